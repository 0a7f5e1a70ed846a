/* SPDX-License-Identifier: MIT */
/* chroot: what "/" means then to paths, links, "..", getcwd, exec; ways out; who may. */
#include "t.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static int outside; /* a descriptor of the directory that the jail is in */

static int root(const char *what)
{
	if (geteuid() == 0)
		return 1;
	t_skip("not root", "%s", what);
	return 0;
}

/* jail/ with some things in it; the rest of the section goes on inside. */
static void jail(void)
{
	must(mkdir("jail", 0755));
	must(mkdir("jail/d", 0755));
	must(mkdir("jail/d/e", 0755));
	must(t_put("jail/f", "inside"));
	must(t_put("f", "outside"));
	must(symlink("/f", "jail/abs"));
	must(symlink("/d/../../../f", "jail/up"));
	must(symlink("/dev/null", "jail/d/null"));
	must(symlink(t_top, "jail/home"));
	outside = (int)must(open(".", O_RDONLY | O_DIRECTORY));
}

static const char *cwd(void)
{
	static char buf[PATH_MAX];

	return syscall(SYS_getcwd, buf, sizeof(buf)) < 0 ? strerror(errno) : buf;
}

static void t_paths(void)
{
	char buf[64] = "";
	struct stat st;
	int fd;

	if (!root("paths"))
		return;
	jail();
	is_long(chroot("jail"), 0, "chroot");
	ok(strncmp(cwd(), "(unreachable)/", 14) == 0, "the working directory is outside");
	is_str(t_get("f"), "outside", "and stays what it was");
	is_long(chdir("/"), 0, "chdir to the root");
	is_str(cwd(), "/", "getcwd of the root");
	is_str(t_get("/f"), "inside", "an absolute path");
	is_str(t_get("/../../f"), "inside", "above the root");
	is_str(t_get("../f"), "inside", "above the root, relative");
	is_str(t_get("/abs"), "inside", "an absolute link");
	is_str(t_get("/up"), "inside", "a link that climbs");
	is_errno(open("/home", O_RDONLY), ENOENT, "a link to where we were");
	is_errno(open("/dev/null", O_RDONLY), ENOENT, "the host's devices");
	is_errno(open("/d/null", O_RDONLY), ENOENT, "a link to them");
	is_errno(stat("/proc/self/exe", &st), ENOENT, "/proc");
	is_errno(readlink("/proc/self/exe", buf, 60), ENOENT, "a link there");
	is_errno(execv("/bin/sh", (char *[]){ (char *)"sh", NULL }), ENOENT, "programs");
	is_long(chdir("/d/e"), 0, "chdir");
	is_str(cwd(), "/d/e", "getcwd");
	is_long(mkdir("/new", 0755), 0, "mkdir");
	is_long(rename("/new", "/d/new"), 0, "rename");
	ok(faccessat(outside, "jail/d/new", F_OK, 0) == 0, "seen from outside");
	is_long(rmdir("../new"), 0, "rmdir");
	is_errno(rmdir("/"), EBUSY, "rmdir of the root");
	is_errno(unlink("/"), EISDIR, "unlink of it");
	is_errno(rename("/", "/x"), EBUSY, "rename of it");
	is_errno(mkdir("/", 0755), EEXIST, "mkdir of it");
	is_long(stat("/", &st), 0, "stat of it");
	is_long(stat("/..", &st) || !S_ISDIR(st.st_mode), 0, "stat above it");
	fd = (int)is_ok(open("/made", O_WRONLY | O_CREAT, 0600), "a file is made");
	is_long(close(fd), 0, "and closed");
	ok(faccessat(outside, "jail/made", F_OK, 0) == 0, "in the jail");
}

static void t_ways_out(void)
{
	int fd, in;

	if (!root("ways_out"))
		return;
	jail();
	is_long(chroot("jail"), 0, "chroot");
	is_long(chdir("/d"), 0, "inside");
	in = (int)must(open(".", O_RDONLY | O_DIRECTORY));
	fd = (int)is_ok(openat(outside, "f", O_RDONLY), "a descriptor leads out");
	close(fd);
	is_errno(openat(outside, "/d/nothing", O_RDONLY), ENOENT,
		 "an absolute path is the root's");
	is_errno(openat(outside, "jail/home/f", O_RDONLY), ENOENT, "and so is a link");
	fd = (int)is_ok(openat(outside, "jail/../f", O_RDONLY),
			"outside, the root does not stop ..");
	close(fd);
	is_long(fchdir(outside), 0, "fchdir");
	is_str(t_get("f"), "outside", "is outside");
	ok(strncmp(cwd(), "(unreachable)/", 14) == 0, "getcwd says so");
	ok(access("../../../../../../../../../../../../dev/null", F_OK) == 0,
	   "up to the real root");
	is_long(fchdir(in), 0, "back in");
	is_str(cwd(), "/d", "getcwd");
	is_long(chroot("/d"), 0, "once more");
	is_str(cwd(), "/", "the working directory is the root");
	is_errno(access("/f", F_OK), ENOENT, "what was the root is not seen");
	is_long(chdir("/e"), 0, "deeper");
	is_long(chroot("."), 0, "chroot to where we are");
	is_str(cwd(), "/", "it is the root");
	is_long(chroot("/"), 0, "chroot to the root");
	is_str(cwd(), "/", "changes nothing");
	is_long(fchdir(outside), 0, "outside");
	is_long(chroot("../../../../../../../../../../.."), 0, "out again");
	ok(access("/dev/null", F_OK) == 0, "the real root");
}

static int as_nobody(void)
{
	pid_t pid = t_fork_nobody();

	if (pid == 0) {
		int r = chroot("jail");

		_exit(r == 0 ? 0 : errno);
	}
	return t_end(pid);
}

static void t_errors(void)
{
	if (!root("errors"))
		return;
	jail();
	is_errno(chroot("nothing"), ENOENT, "not there");
	is_errno(chroot("f"), ENOTDIR, "a file");
	is_errno(chroot(""), ENOENT, "an empty path");
	is_errno(syscall(SYS_chroot, 8L), EFAULT, "a bad pointer");
	is_long(as_nobody(), EPERM, "an ordinary user");
	must(chmod("jail", 0700));
	is_long(as_nobody(), EACCES, "who may not even search it");
	must(chmod("jail", 0));
	is_long(chroot("jail"), 0, "root may");
	is_str(t_get("/f"), "inside", "and search");
}

/* Children have the root, and programs that they execute, on whatever core. */

static int copied(const char *from, const char *to)
{
	static char buf[65536];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	ssize_t n = -1;

	while (in >= 0 && out >= 0 && (n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			return -1;
	close(in);
	close(out);
	return n == 0 ? 0 : -1;
}

static void parents(char *path)
{
	for (char *p = path + 1; *p; p++)
		if (*p == '/') {
			*p = 0;
			mkdir(path, 0755);
			*p = '/';
		}
}

/* This program, its libraries and their loader. */
static void furnish(void)
{
	char line[PATH_MAX + 200], to[PATH_MAX + 300], *so;
	FILE *f = fopen("/proc/self/maps", "r");

	must(copied(t_self, "jail/self"));
	while (f && fgets(line, sizeof(line), f)) {
		so = strchr(line, '/');
		if (!so || !strstr(so, ".so"))
			continue;
		so[strcspn(so, "\n")] = 0;
		snprintf(to, sizeof(to), "jail%s", so);
		parents(to);
		if (access(to, F_OK))
			must(copied(so, to));
	}
	if (f)
		fclose(f);
	mkdir("jail/lib64", 0755);
	must(copied("/lib64/ld-linux-x86-64.so.2", "jail/lib64/ld-linux-x86-64.so.2"));
}

static int run(const char *path, const char *arg)
{
	pid_t pid = must(fork());

	if (pid == 0) {
		execl(path, "self", "--sub", "look", arg, NULL);
		_exit(errno == ENOENT ? 90 : 91);
	}
	return t_end(pid);
}

/* "look WHAT": 0 when all is as it should be in the jail. */
static int s_look(int argc, char **argv)
{
	(void)argc;
	if (!t_get("/f") || strcmp(t_get("/f"), "inside"))
		return 1;
	if (access("/dev/null", F_OK) == 0)
		return 2;
	if (strcmp(cwd(), "/d"))
		return 3;
	if (strcmp(argv[0], "again") == 0)
		return run("/self", "last");
	return 0;
}

/* As a script: "#!/self --sub", so its path is the sub's name. */
static int s_script(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return s_look(1, (char *[]){ (char *)"script" }) ? 1 : 42;
}

static void t_exec(void)
{
	int fd;
	pid_t pid;

	if (!root("exec"))
		return;
	jail();
	furnish();
	must(t_put("jail/script", "#!/self --sub\n"));
	must(chmod("jail/script", 0755));
	must(t_put("jail/hostly", "#!/bin/sh\n"));
	must(chmod("jail/hostly", 0755));
	is_long(chroot("jail"), 0, "chroot");
	must(chdir("/d"));
	pid = must(fork());
	if (pid == 0)
		_exit(t_get("/f") && strcmp(t_get("/f"), "inside") == 0 ? 0 : 1);
	is_long(t_end(pid), 0, "a child");
	for (int i = 0; i < 4; i++)
		is_long(run("/self", "once"), 0, "a program, time %d", i);
	is_long(run("../self", "again"), 0, "a program that starts another");
	is_long(run("/bin/sh", "x"), 90, "a program outside");
	is_long(run("/hostly", "x"), 90, "a script whose interpreter is outside");
	pid = must(fork());
	if (pid == 0) {
		execl("/script", "script", NULL);
		_exit(errno);
	}
	is_long(t_end(pid), 42, "a script");
	fd = (int)must(open("/self", O_RDONLY | O_CLOEXEC));
	pid = must(fork());
	if (pid == 0) {
		syscall(SYS_execveat, fd, "",
			(char *[]){ (char *)"self", (char *)"--sub", (char *)"look",
				    (char *)"fd", NULL },
			(char *[]){ NULL }, AT_EMPTY_PATH);
		_exit(91);
	}
	is_long(t_end(pid), 0, "a program given as a descriptor");
}

static void t_things(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/sock" };
	char c = 1;
	int fd, s;

	if (!root("things"))
		return;
	jail();
	is_long(chroot("jail"), 0, "chroot");
	must(chdir("/"));
	s = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	is_long(bind(s, (void *)&a, sizeof(a)), 0, "a socket's name");
	must(listen(s, 1));
	ok(faccessat(outside, "jail/sock", F_OK, 0) == 0, "is in the jail");
	fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	is_long(connect(fd, (void *)&a, sizeof(a)), 0, "and leads to it");
	/* a file system mounted nodev refuses to open it */
	is_long(mknod("/null", S_IFCHR | 0666, makedev(1, 3)), 0, "a device");
	fd = open("/null", O_RDWR);
	ok(fd >= 0 ? write(fd, "x", 1) == 1 && read(fd, &c, 1) == 0 : errno == EACCES,
	   "is the device");
	is_long(mkfifo("/fifo", 0600), 0, "a FIFO");
	fd = (int)is_ok(open("/fifo", O_RDWR), "is opened");
	is_long(write(fd, "y", 1), 1, "and written");
	is_long(mkdir("/gone", 0755), 0, "a directory");
	is_long(chroot("/gone"), 0, "is the root");
	is_long(unlinkat(outside, "jail/gone", AT_REMOVEDIR), 0, "and removed");
	is_errno(open("/f", O_WRONLY | O_CREAT, 0600), ENOENT, "nothing can be made there");
	is_errno(access("/f", F_OK), ENOENT, "nothing is found there");
	is_long(access("/", F_OK), 0, "it is there itself");
}

T_SUBS = { { "look", s_look }, { "/script", s_script }, T_END };

T_SECTIONS = { { "paths", t_paths },   { "ways_out", t_ways_out }, { "errors", t_errors },
	       { "exec", t_exec },     { "things", t_things },	   T_END };
