/* SPDX-License-Identifier: MIT */
/* Unix sockets whose names are here: bind, connect, the name's life. */
#include "t.h"

#include <stddef.h>
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


static const char *name_of(int fd, int peer)
{
	static char text[200];
	struct sockaddr_un a;
	socklen_t len = sizeof(a);

	memset(&a, 0, sizeof(a));
	if (peer ? getpeername(fd, (struct sockaddr *)&a, &len)
		 : getsockname(fd, (struct sockaddr *)&a, &len))
		return NULL;
	snprintf(text, sizeof(text), "%d %.150s",
		 (int)(len - offsetof(struct sockaddr_un, sun_path)), a.sun_path);
	return text;
}

static int make(int type)
{
	return must(socket(AF_UNIX, type, 0));
}

/* answer NAME TYPE: is bound there, says "up", and answers one message. */
static int s_answer(int argc, char **argv)
{
	int type = atoi(argv[1]), s = make(type), c = s;
	struct sockaddr_un from;
	socklen_t len = sizeof(from);
	char buf[32];
	ssize_t n;

	if (bind_to(s, argv[0]) || (type != SOCK_DGRAM && listen(s, 3)))
		return 1;
	if (write(atoi(argv[2]), "up", 2) != 2)
		return 2;
	if (type != SOCK_DGRAM) {
		c = accept(s, (struct sockaddr *)&from, &len);
		if (c < 0 || strcmp(from.sun_path, "client"))
			return 3;
		n = recv(c, buf, sizeof(buf), 0);
		return send(c, buf, (size_t)n, 0) != n || argc != 3;
	}
	n = recvfrom(s, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
	if (n < 0 || strcmp(from.sun_path, "client"))
		return 4;
	return sendto(s, buf, (size_t)n, 0, (struct sockaddr *)&from, len) != n ||
	       argc != 3;
}

static void t_types(void)
{
	const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
	char name[16], want[32], buf[32];
	struct sockaddr_un a;

	for (int i = 0; i < 3; i++) {
		for (int how = T_FORK; how <= T_EXEC; how++) {
			int c = make(types[i]), p[2];
			pid_t pid;

			must(pipe(p));
			snprintf(name, sizeof(name), "srv%d%d", i, how);
			pid = must(t_start(how, "answer", name, t_num(types[i]),
					   t_num(p[1]), NULL));
			must(close(p[1]));
			is_long(read(p[0], buf, 2), 2, "type %d is up, how %d", i, how);
			is_long(bind_to(c, "client"), 0, "type %d: bind, how %d", i, how);
			is_long(connect_to(c, name), 0, "type %d: connect, how %d", i,
				how);
			snprintf(want, sizeof(want), "%d %s", (int)strlen(name) + 1,
				 name);
			is_str(name_of(c, 1), want, "type %d: getpeername, how %d", i,
			       how);
			is_str(name_of(c, 0), "7 client", "type %d: getsockname, how %d",
			       i, how);
			is_long(send(c, "hello", 5, 0), 5, "type %d: send, how %d", i,
				how);
			memset(buf, 0, sizeof(buf));
			is_long(recv(c, buf, sizeof(buf), 0), 5,
				"type %d: the answer, how %d", i, how);
			is_str(buf, "hello", "type %d: its text, how %d", i, how);
			is_long(t_end(pid), 0, "type %d: the server ends, how %d", i,
				how);
			is_errno(connect_to(make(types[i]), name), ECONNREFUSED,
				 "type %d: when it is gone, how %d", i, how);
			a = addr(name);
			if (types[i] == SOCK_DGRAM)
				is_errno(sendto(make(SOCK_DGRAM), "x", 1, 0,
						(struct sockaddr *)&a, sizeof(a)),
					 ECONNREFUSED, "sendto when it is gone, how %d",
					 how);
			must(unlink("client"));
			must(close(c));
			is_long(bind_to(make(types[i]), name), -1,
				"type %d: the name is still taken, how %d", i, how);
			must(unlink(name));
			is_long(bind_to(make(types[i]), name), 0,
				"type %d: until it is removed, how %d", i, how);
		}
	}
}

static void t_names(void)
{
	struct sockaddr_un a;
	socklen_t len;
	char longname[109], want[130], tiny[4];
	struct stat st;
	int s, c, d;

	umask(027);
	s = make(SOCK_STREAM);
	must(bind_to(s, "m"));
	is_long(t_mode("m"), 0750, "the mode is 0777 less umask");
	is_errno(bind_to(s, "m2"), EINVAL, "bind twice");
	ok(!t_exists("m2"), "makes no name");
	s = make(SOCK_STREAM);
	must(fchmod(s, 0600));
	must(bind_to(s, "fm"));
	is_long(t_mode("fm"), 0600, "fchmod before bind");
	umask(022);
	is_long(chmod("m", 0444), 0, "chmod");
	is_long(t_mode("m"), 0444, "its mode");
	must(symlink("m", "link"));
	must(symlink("nowhere", "dangling"));
	is_errno(bind_to(make(SOCK_STREAM), "link"), EADDRINUSE, "bind at a link");
	is_errno(bind_to(make(SOCK_STREAM), "dangling"), EADDRINUSE,
		 "bind at a dangling link");
	is_errno(bind_to(make(SOCK_STREAM), "dir/"), ENOENT, "bind with a slash");
	must(mkdir("dir", 0755));
	is_errno(bind_to(make(SOCK_STREAM), "dir"), EADDRINUSE, "bind at a directory");
	is_errno(bind_to(make(SOCK_STREAM), "m/x"), ENOTDIR, "bind below a socket");
	is_errno(connect_to(make(SOCK_STREAM), "m/x"), ENOTDIR, "connect below a socket");
	is_errno(connect_to(make(SOCK_STREAM), "dir"), ECONNREFUSED,
		 "connect to a directory");
	is_errno(connect_to(make(SOCK_STREAM), "dangling"), ENOENT,
		 "connect to a dangling link");
	must(mknod("node", S_IFSOCK | 0777, 0));
	is_errno(connect_to(make(SOCK_STREAM), "node"), ECONNREFUSED,
		 "connect to a socket that mknod made");

	/* links, types */
	s = make(SOCK_STREAM);
	must(bind_to(s, "dir/s"));
	must(listen(s, 5));
	must(symlink("dir/s", "to"));
	c = make(SOCK_STREAM);
	is_long(connect_to(c, "to"), 0, "connect by a link");
	is_str(name_of(c, 1), "6 dir/s", "the peer's name is that of bind");
	is_str(name_of(c, 0), "0 ", "the client has none");
	is_errno(connect_to(make(SOCK_DGRAM), "to"), EPROTOTYPE, "of another type");
	is_errno(connect_to(c, "to"), EISCONN, "connect again");
	must(link("dir/s", "hard"));
	is_long(connect_to(make(SOCK_STREAM), "hard"), 0, "connect by a hard link");
	must(unlink("hard"));
	must(unlink("dir/s"));
	is_str(name_of(s, 0), "6 dir/s", "its own name when that is removed");
	is_str(name_of(c, 1), "6 dir/s", "its peer's name too");
	len = sizeof(tiny);
	memset(tiny, 0, sizeof(tiny));
	is_long(getsockname(s, (struct sockaddr *)tiny, &len), 0, "with little room");
	is_long(len, 8, "tells the whole length");
	ok(!memcmp(tiny + 2, "di", 2), "and gives the start");
	c = must(accept(s, NULL, NULL));
	is_str(name_of(c, 0), "6 dir/s", "what accept gave has the name");
	is_str(name_of(c, 1), "0 ", "and a peer without one");

	/* as long as can be: no NUL is needed */
	memset(longname, 'L', 108);
	memset(&a, 0, sizeof(a));
	a.sun_family = AF_UNIX;
	memcpy(a.sun_path, longname, 108);
	s = make(SOCK_STREAM);
	is_long(bind(s, (struct sockaddr *)&a, sizeof(a)), 0, "a name of 108 bytes");
	must(listen(s, 1));
	longname[108] = 0;
	is_long(lstat(longname, &st), 0, "is there");
	is_long(connect(make(SOCK_STREAM), (struct sockaddr *)&a, sizeof(a)), 0,
		"connect to it");
	snprintf(want, sizeof(want), "109 %s", longname);
	is_str(name_of(s, 0), want, "getsockname");
	is_errno(bind(make(SOCK_STREAM), (struct sockaddr *)&a, sizeof(a) + 1), EINVAL,
		 "longer than that");

	/* other kinds of names */
	s = make(SOCK_STREAM);
	is_long(bind(s, (struct sockaddr *)&a, sizeof(sa_family_t)), 0, "autobind");
	is_long(name_of(s, 0) ? atoi(name_of(s, 0)) : -1, 6, "has a name of its own");
	memset(&a, 0, sizeof(a));
	a.sun_family = AF_UNIX;
	snprintf(a.sun_path + 1, 60, "posix-sock-%d", getpid());
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			  strlen(a.sun_path + 1));
	s = make(SOCK_STREAM);
	is_long(bind(s, (struct sockaddr *)&a, len), 0, "abstract");
	must(listen(s, 1));
	is_long(connect(make(SOCK_STREAM), (struct sockaddr *)&a, len), 0,
		"connect to it, abstract");

	/* a directory that is removed while somebody is in it, paths by . and .. */
	must(mkdir("w", 0755));
	must(chdir("w"));
	must(bind_to(make(SOCK_STREAM), "./../w/./in"));
	ok(t_exists("in"), "a path with dots");
	must(unlink("in"));
	d = open("../w", O_RDONLY);
	must(rmdir("../w"));
	is_errno(bind_to(make(SOCK_STREAM), "in"), ENOENT, "in a removed directory");
	must(close(d));
	must(chdir(".."));
}

static void t_perm(void)
{
	int s = make(SOCK_STREAM), g = make(SOCK_DGRAM);
	struct sockaddr_un a = addr("dg");
	pid_t pid;

	must(bind_to(s, "s"));
	must(bind_to(g, "dg"));
	must(listen(s, 5));
	must(chmod("s", 0700));
	must(chmod("dg", 0700));
	must(mkdir("shut", 0755));
	must(bind_to(make(SOCK_STREAM), "shut/s"));
	must(chmod("shut", 0700));
	pid = must(t_fork_nobody());
	if (pid == 0) {
		int mine = geteuid() == (uid_t)T_NOBODY && getppid() && t_is_open(s);
		struct stat st;

		if (stat("s", &st) == 0 && st.st_uid == geteuid())
			_exit(42); /* its own: nothing to see */
		if (!mine || connect_to(make(SOCK_STREAM), "s") != -1 || errno != EACCES)
			_exit(1);
		if (sendto(make(SOCK_DGRAM), "x", 1, 0, (struct sockaddr *)&a,
			   sizeof(a)) != -1 ||
		    errno != EACCES)
			_exit(2);
		if (connect_to(make(SOCK_STREAM), "shut/s") != -1 || errno != EACCES)
			_exit(3);
		if (bind_to(make(SOCK_STREAM), "shut/new") != -1 || errno != EACCES)
			_exit(4);
		_exit(0);
	}
	int r = t_end(pid);
	ok(r == 0 || r == 42, "another user needs permission to write");
	must(chmod("s", 0722));
	must(chmod("shut", 0711));
	pid = must(t_fork_nobody());
	if (pid == 0)
		_exit(connect_to(make(SOCK_STREAM), "s") != 0);
	is_long(t_end(pid), 0, "and may then connect");
}

/* Many clients of other cores at once, each with several connections. */
static int s_client2(int argc, char **argv)
{
	for (int i = 0; i < 10; i++) {
		int fd = make(SOCK_SEQPACKET);
		char buf[16];

		if (connect_to(fd, argv[0]) || send(fd, argv[1], 1, 0) != 1 ||
		    recv(fd, buf, 16, 0) != 1 || buf[0] != argv[1][0])
			return 1;
		close(fd);
	}
	return argc != 2;
}

static void t_clients(void)
{
	int s = make(SOCK_SEQPACKET), n = 0;
	pid_t pid[4];
	char c;

	must(bind_to(s, "s"));
	must(listen(s, 50));
	for (int i = 0; i < 4; i++)
		pid[i] = must(
			t_start(T_EXEC, "client2", "s", i % 2 ? "b" : "a", NULL));
	for (; n < 40; n++) {
		int fd = must(accept(s, NULL, NULL));

		if (recv(fd, &c, 1, 0) != 1 || send(fd, &c, 1, 0) != 1)
			break;
		close(fd);
	}
	is_long(n, 40, "all clients were served");
	for (int i = 0; i < 4; i++)
		is_long(t_end(pid[i]), 0, "client %d ends well", i);
}

T_SUBS = { { "client", s_client }, { "answer", s_answer }, { "client2", s_client2 },
	   T_END };

T_SECTIONS = { { "stream", t_stream }, { "dgram", t_dgram }, { "types", t_types },
	       { "names", t_names },   { "perm", t_perm },   { "clients", t_clients },
	       T_END };
