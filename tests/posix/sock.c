/* SPDX-License-Identifier: MIT */
/* Unix sockets whose names are here: bind, connect, the name's life. */
#include "t.h"

#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un addr(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", name);
	return a;
}

static int bind_to(int fd, const char *name)
{
	struct sockaddr_un a = addr(name);

	return bind(fd, (struct sockaddr *)&a, sizeof(a));
}

static int connect_to(int fd, const char *name)
{
	struct sockaddr_un a = addr(name);

	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static int s_client(int argc, char **argv)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char buf[16] = "";

	if (connect_to(fd, argv[0]) || write(fd, "ping", 4) != 4)
		return 1;
	return read(fd, buf, 15) != 4 || strcmp(buf, "pong") || argc != 1;
}

static void t_stream(void)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);
	struct stat st;
	char buf[16];
	int s, c;

	s = must(socket(AF_UNIX, SOCK_STREAM, 0));
	is_long(bind_to(s, "sock"), 0, "bind");
	is_long(lstat("sock", &st), 0, "the name is there");
	ok(S_ISSOCK(st.st_mode), "its type");
	is_long(getsockname(s, (struct sockaddr *)&a, &len), 0, "getsockname");
	is_str(a.sun_path, "sock", "the name that was given");
	is_errno(open("sock", O_RDWR), ENXIO, "open");
	is_errno(bind_to(must(socket(AF_UNIX, SOCK_STREAM, 0)), "sock"), EADDRINUSE,
		 "again");
	is_errno(connect_to(must(socket(AF_UNIX, SOCK_STREAM, 0)), "sock"), ECONNREFUSED,
		 "connect before listen");
	is_long(listen(s, 5), 0, "listen");
	for (int how = T_FORK; how <= T_EXEC; how++) {
		pid_t pid = must(t_start(how, "client", "sock", NULL));

		c = is_ok(accept(s, NULL, NULL), "accept, how %d", how);
		is_long(read(c, buf, 16), 4, "read, how %d", how);
		is_long(write(c, "pong", 4), 4, "write, how %d", how);
		is_long(t_end(pid), 0, "the client ends, how %d", how);
		must(close(c));
	}
	must(mkdir("d", 0755));
	is_long(rename("sock", "d/moved"), 0, "rename");
	pid_t pid = must(t_start(T_EXEC, "client", "d/moved", NULL));
	c = is_ok(accept(s, NULL, NULL), "accept after it");
	must(read(c, buf, 16));
	must(write(c, "pong", 4));
	is_long(t_end(pid), 0, "the client of the new name ends");
	is_errno(connect_to(must(socket(AF_UNIX, SOCK_STREAM, 0)), "sock"), ENOENT,
		 "connect to the old name");
	is_long(unlink("d/moved"), 0, "unlink");
	is_errno(connect_to(must(socket(AF_UNIX, SOCK_STREAM, 0)), "d/moved"), ENOENT,
		 "connect to nothing");
	must(t_put("file", "x"));
	is_errno(connect_to(must(socket(AF_UNIX, SOCK_STREAM, 0)), "file"), ECONNREFUSED,
		 "connect to a file");
	is_errno(bind_to(must(socket(AF_UNIX, SOCK_STREAM, 0)), "none/s"), ENOENT,
		 "bind in no directory");
}

static void t_dgram(void)
{
	struct sockaddr_un a;
	char buf[16] = "";
	int s, c;

	s = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	c = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	is_long(bind_to(s, "dg"), 0, "bind");
	a = addr("dg");
	is_long(sendto(c, "hello", 5, 0, (struct sockaddr *)&a, sizeof(a)), 5, "sendto");
	is_long(recv(s, buf, 16, 0), 5, "recv");
	is_str(buf, "hello", "the text");
	must(close(s));
	is_errno(sendto(c, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED,
		 "sendto when the socket is closed and the name still there");
}

T_SUBS = { { "client", s_client }, T_END };

T_SECTIONS = { { "stream", t_stream }, { "dgram", t_dgram }, T_END };
