/* SPDX-License-Identifier: MIT */
/* inotify on files and directories here. */
#include "t.h"

#include <sys/inotify.h>

static int in;

/* Reads events until none comes for a while; their masks by name, as text. */
static const char *events(void)
{
	static char out[2048];
	char buf[4096] __attribute__((aligned(8)));
	struct pollfd pfd = { in, POLLIN, 0 };

	out[0] = 0;
	while (poll(&pfd, 1, out[0] ? 60 : 3000) == 1) {
		ssize_t n = read(in, buf, sizeof(buf));

		for (char *p = buf; p < buf + n;) {
			struct inotify_event *e = (struct inotify_event *)p;
			uint32_t m = e->mask;
			size_t len = strlen(out);

			snprintf(out + len, sizeof(out) - len, "%s%s%s%s%s%s%s%s%s%s:%s ",
				 m & IN_CREATE ? "create" : "",
				 m & IN_DELETE ? "delete" : "",
				 m & IN_MODIFY ? "modify" : "",
				 m & IN_ATTRIB ? "attrib" : "",
				 m & IN_MOVED_FROM ? "from" : "",
				 m & IN_MOVED_TO ? "to" : "",
				 m & IN_CLOSE_WRITE ? "close" : "",
				 m & IN_DELETE_SELF ? "gone" : "",
				 m & IN_IGNORED ? "ignored" : "",
				 m & IN_ISDIR ? "+dir" : "", e->len ? e->name : "");
			p += sizeof(*e) + e->len;
		}
	}
	return out;
}

static void t_dir(void)
{
	int fd, wd;

	in = must(inotify_init1(IN_CLOEXEC));
	must(mkdir("d", 0755));
	wd = is_ok(inotify_add_watch(in, "d",
				     IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE |
					     IN_CLOSE_WRITE | IN_ATTRIB),
		   "watch a directory");
	fd = must(open("d/f", O_WRONLY | O_CREAT, 0644));
	is_str(events(), "create:f ", "create");
	must(write(fd, "x", 1));
	is_str(events(), "modify:f ", "modify");
	must(close(fd));
	is_str(events(), "close:f ", "close");
	must(chmod("d/f", 0600));
	is_str(events(), "attrib:f ", "attrib");
	must(rename("d/f", "d/g"));
	is_str(events(), "from:f to:g ", "rename");
	must(mkdir("d/s", 0755));
	is_str(events(), "create+dir:s ", "mkdir");
	must(rename("d/g", "out"));
	is_str(events(), "from:g ", "move out");
	must(rmdir("d/s"));
	is_str(events(), "delete+dir:s ", "rmdir");
	is_long(inotify_rm_watch(in, wd), 0, "remove the watch");
	is_str(events(), "ignored: ", "ignored");
	is_errno(inotify_add_watch(in, "none", IN_CREATE), ENOENT, "watch nothing");
}

static int s_make(int argc, char **argv)
{
	return t_put(argv[0], "x") || argc != 1;
}

static void t_other(void)
{
	in = must(inotify_init1(IN_CLOEXEC));
	must(mkdir("d", 0755));
	is_ok(inotify_add_watch(in, "d", IN_CREATE | IN_CLOSE_WRITE), "watch");
	is_long(t_end(t_start(T_EXEC, "make", "d/f", NULL)), 0, "another makes a file");
	is_str(events(), "create:f close:f ", "it is told");
	must(t_put("w", "x"));
	is_ok(inotify_add_watch(in, "w", IN_MODIFY | IN_DELETE_SELF), "watch a file");
	must(unlink("w"));
	is_str(events(), "gone: ignored: ", "its end is told");
}

T_SUBS = { { "make", s_make }, T_END };

T_SECTIONS = { { "dir", t_dir }, { "other", t_other }, T_END };
