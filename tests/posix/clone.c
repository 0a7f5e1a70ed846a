/* SPDX-License-Identifier: MIT */
/* What processes share that clone made with CLONE_FS or CLONE_FILES, until unshare. */
#include "t.h"

#include <sched.h>

static int to_child[2], to_parent[2];

/* A child that shares `flags`. */
static pid_t child_with(unsigned long flags)
{
	must(pipe(to_child));
	must(pipe(to_parent));
	return (pid_t)must(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
}

static void step(int fd)
{
	must(write(fd, "x", 1));
}

static void await(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		_exit(90);
}

/* Where we are, below the section's directory. */
static const char *here(void)
{
	static char buf[PATH_MAX];

	if (!getcwd(buf, sizeof(buf)))
		return strerror(errno);
	if (strncmp(buf, t_top, strlen(t_top)))
		return buf;
	return buf[strlen(t_top)] ? buf + strlen(t_top) + 1 : ".";
}

static mode_t mask(void)
{
	mode_t m = umask(0);

	umask(m);
	return m;
}

static int s_go(int argc, char **argv)
{
	umask(031);
	return argc != 1 || chdir(argv[0]);
}

static void t_fs(void)
{
	pid_t pid;

	must(mkdir("a", 0777));
	must(mkdir("a/b", 0777));
	pid = child_with(CLONE_FS);
	if (!pid) {
		umask(077);
		must(chdir("a"));
		step(to_parent[1]);
		await(to_child[0]);
		is_long(mask(), 027, "the child has the parent's umask");
		is_str(here(), "a/b", "and is where it went");
		must(fchdir(open("..", O_RDONLY)));
		step(to_parent[1]);
		await(to_child[0]);
		is_str(here(), "/", "it is in a directory outside, too");
		must(chdir(t_top));
		step(to_parent[1]);
		await(to_child[0]);
		_exit(0);
	}
	await(to_parent[0]);
	is_long(mask(), 077, "the parent has the child's umask");
	is_str(here(), "a", "and is where it went");
	is_long(close(open("f", O_CREAT | O_WRONLY, 0666)), 0, "a file is made");
	is_long(t_mode("f"), 0600, "with that umask");
	ok(t_exists("../a/f"), "there");
	umask(027);
	must(chdir("b"));
	step(to_child[1]);
	await(to_parent[0]);
	is_str(here(), "a", "fchdir counts");
	must(chdir("/"));
	step(to_child[1]);
	await(to_parent[0]);
	is_str(here(), ".", "back");
	step(to_child[1]);
	is_long(t_end(pid), 0, "the child ends");
	is_str(here(), ".", "which moves nobody");
}

static void t_exec(void)
{
	char *argv[] = { t_self, (char *)"--sub", (char *)"go", (char *)"d", NULL };
	pid_t pid;

	must(mkdir("d", 0777));
	pid = child_with(CLONE_FS);
	if (!pid) {
		execv(t_self, argv);
		_exit(95);
	}
	is_long(t_end(pid), 0, "a child runs a program");
	is_str(here(), "d", "which goes elsewhere for both");
	is_long(mask(), 031, "and sets both's umask");
	must(chdir(".."));
	is_long(t_end(t_start(T_EXEC, "go", "d", NULL)), 0, "another one shares nothing");
	is_str(here(), ".", "and goes alone");
}

static void t_unshare(void)
{
	pid_t pid;

	must(mkdir("a", 0777));
	must(mkdir("b", 0777));
	umask(022);
	pid = child_with(CLONE_FS);
	if (!pid) {
		pid_t own = fork();

		if (!own) {
			umask(011);
			must(chdir("b"));
			_exit(0);
		}
		is_long(t_end(own), 0, "a child of it, by fork");
		is_str(here(), ".", "goes alone");
		is_long(mask(), 022, "and has its own umask");
		is_long(unshare(CLONE_FS), 0, "unshare");
		is_long(unshare(CLONE_FS), 0, "twice");
		umask(055);
		must(chdir("a"));
		step(to_parent[1]);
		await(to_child[0]);
		is_str(here(), "a", "the child stays where it was");
		is_long(mask(), 055, "with its umask");
		_exit(0);
	}
	await(to_parent[0]);
	is_str(here(), ".", "the parent does not go along");
	is_long(mask(), 022, "with its umask");
	must(chdir("b"));
	umask(01);
	step(to_child[1]);
	is_long(t_end(pid), 0, "the child ends");
}

static int three(void *arg)
{
	must(chdir((char *)arg));
	umask(07);
	return 0;
}

static char stack[1 << 16] __attribute__((aligned(16)));

static void t_many(void)
{
	pid_t pid[20], last;

	must(mkdir("a", 0777));
	must(mkdir("a/gone", 0777));
	for (int i = 0; i < 20; i++) {
		pid[i] = child_with(CLONE_FS);
		if (!pid[i]) {
			await(to_child[0]);
			is_str(here(), "a", "all are there");
			pause();
		}
		if (i < 10) {
			must(kill(pid[i], SIGKILL));
			must(t_end(pid[i]));
		}
	}
	last = (pid_t)must(
		clone(three, stack + sizeof(stack), CLONE_FS | CLONE_VM | SIGCHLD, "a"));
	is_long(t_end(last), 0, "one that shares memory, too, moves them");
	step(to_child[1]);
	t_sleep_ms(50);
	for (int i = 10; i < 20; i++) {
		must(kill(pid[i], SIGKILL));
		must(t_end(pid[i]));
	}
	is_str(here(), "a", "those who are killed leave the others in place");
	is_long(mask(), 07, "with their umask");
	pid[0] = child_with(CLONE_FS);
	if (!pid[0]) {
		must(chdir("gone"));
		step(to_parent[1]);
		pause();
	}
	await(to_parent[0]);
	must(rmdir("../gone"));
	is_str(here(), strerror(ENOENT), "a removed directory");
	must(kill(pid[0], SIGKILL));
	must(t_end(pid[0]));
	is_str(here(), strerror(ENOENT), "it was the child's, too, which was killed");
	is_errno(open("x", O_CREAT | O_WRONLY, 0600), ENOENT, "nothing is made there");
	is_long(chdir(".."), 0, "but out of it one gets");
	is_str(here(), "a", "to where it was");
}

static void t_root(void)
{
	pid_t pid;

	if (geteuid()) {
		t_skip("needs root", "chroot");
		return;
	}
	must(mkdir("r", 0755));
	must(t_put("r/inside", "in"));
	pid = child_with(CLONE_FS);
	if (!pid) {
		is_long(chroot("r"), 0, "the child changes its root");
		step(to_parent[1]);
		await(to_child[0]);
		_exit(0);
	}
	await(to_parent[0]);
	is_str(t_get("/inside"), "in", "which is the parent's, too");
	ok(!t_exists("/proc/self"), "nothing else is");
	step(to_child[1]);
	is_long(t_end(pid), 0, "the child ends");
	is_str(t_get("/inside"), "in", "the root stays");
}

static void t_files(void)
{
	int fd = (int)must(open("f", O_RDWR | O_CREAT, 0600)), null;
	pid_t pid;

	null = (int)must(open("/dev/null", O_RDONLY));
	pid = child_with(CLONE_FILES);
	if (!pid) {
		must(dup2(fd, 50));
		step(to_parent[1]);
		await(to_child[0]);
		ok(!t_is_open(50), "closed there, closed here");
		is_long(unshare(CLONE_FILES), 0, "unshare");
		must(dup2(fd, 51));
		must(close(fd));
		must(close(null));
		step(to_parent[1]);
		await(to_child[0]);
		ok(t_is_open(51), "its own is still open");
		is_long(write(51, "x", 1), 1, "and works");
		_exit(0);
	}
	await(to_parent[0]);
	ok(t_is_open(50), "made there, open here");
	must(close(50));
	step(to_child[1]);
	await(to_parent[0]);
	ok(!t_is_open(51), "then it is not");
	ok(t_is_open(fd), "and what it closed is open");
	ok(t_is_open(null), "outside, too");
	step(to_child[1]);
	is_long(t_end(pid), 0, "the child ends");
	is_long(t_size("f"), 1, "it has written");
}

T_SUBS = { { "go", s_go }, { NULL, NULL } };

T_SECTIONS = { { "fs", t_fs },
	       { "exec", t_exec },
	       { "unshare", t_unshare },
	       { "many", t_many },
	       { "root", t_root },
	       { "files", t_files },
	       T_END };
