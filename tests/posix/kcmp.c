/* SPDX-License-Identifier: MIT */
/* kcmp: which descriptors of two processes mean one description, and what else they share. */
#include "t.h"

#include <linux/kcmp.h>
#include <sched.h>
#include <sys/socket.h>

static long cmp(pid_t a, pid_t b, int type, unsigned long x, unsigned long y)
{
	return syscall(SYS_kcmp, a, b, type, x, y);
}

/* One before the other, and the other behind the one. */
static int apart(pid_t a, pid_t b, int type, unsigned long x, unsigned long y)
{
	long r = cmp(a, b, type, x, y), back = cmp(b, a, type, y, x);

	if ((r == 1 && back == 2) || (r == 2 && back == 1))
		return 1;
	t_diag("got %ld and %ld", r, back);
	return 0;
}

static int s_wait(int argc, char **argv)
{
	char c;

	if (write(atoi(argv[1]), "x", 1) != 1)
		return 1;
	return read(atoi(argv[0]), &c, 1) != 1 || argc != 2;
}

static void t_own(void)
{
	int f = (int)must(open("f", O_RDWR | O_CREAT, 0600)), d = (int)must(dup(f));
	int g = (int)must(open("f", O_RDWR)), n = (int)must(open("/dev/null", O_RDWR));
	pid_t me = getpid();
	int p[2];

	must(pipe(p));
	is_long(cmp(me, me, KCMP_FILE, (unsigned)f, (unsigned)f), 0, "one number");
	is_long(cmp(me, me, KCMP_FILE, (unsigned)f, (unsigned)d), 0, "two of one open");
	ok(apart(me, me, KCMP_FILE, (unsigned)f, (unsigned)g), "two opens of a file");
	ok(apart(me, me, KCMP_FILE, (unsigned)p[0], (unsigned)p[1]), "a pipe's ends");
	ok(apart(me, me, KCMP_FILE, (unsigned)f, (unsigned)n), "one outside");
	is_errno(cmp(me, me, KCMP_FILE, (unsigned)f, 99), EBADF, "a closed number");
	is_errno(cmp(me, me, KCMP_FILE, 99, (unsigned)f), EBADF, "the first");
	is_errno(cmp(me, me, KCMP_FILE, 99, (unsigned)n), EBADF, "and one outside");
	is_errno(cmp(me, me, KCMP_FILE, 1000000, (unsigned)f), EBADF, "a high one");
	is_errno(cmp(me, 0x7ffffff0, KCMP_FILE, (unsigned)f, (unsigned)f), ESRCH,
		 "no process");
	is_errno(cmp(0, me, KCMP_FILE, (unsigned)f, (unsigned)f), ESRCH, "nor is 0");
	is_errno(cmp(me, me, 99, 0, 0), EINVAL, "no such comparison");
}

static void t_others(void)
{
	int f = (int)must(open("f", O_RDWR | O_CREAT, 0600));
	int go[2], up[2], sock[2], n;
	pid_t me = getpid();

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	n = sock[0];
	for (int how = T_FORK; how <= T_EXEC; how++) {
		pid_t pid;
		char c;

		must(pipe(go));
		must(pipe(up));
		pid = (pid_t)must(t_start(how, "wait", t_num(go[0]), t_num(up[1]), NULL));
		must(read(up[0], &c, 1));
		is_long(cmp(me, pid, KCMP_FILE, (unsigned)f, (unsigned)f), 0,
			"a file of a child, how %d", how);
		is_long(cmp(pid, me, KCMP_FILE, (unsigned)go[0], (unsigned)go[0]), 0,
			"a pipe's end, how %d", how);
		is_long(cmp(pid, me, KCMP_FILE, (unsigned)n, (unsigned)n), 0,
			"one outside, how %d", how);
		ok(apart(pid, me, KCMP_FILE, (unsigned)f, (unsigned)go[0]),
		   "a file and a pipe, how %d", how);
		ok(apart(pid, me, KCMP_FILE, (unsigned)f, (unsigned)n),
		   "a file and one outside, how %d", how);
		is_long(cmp(pid, pid, KCMP_FILE, (unsigned)f, (unsigned)f), 0,
			"within it, how %d", how);
		is_errno(cmp(pid, me, KCMP_FILE, 99, (unsigned)f), EBADF,
			 "a closed number, how %d", how);
		ok(apart(pid, me, KCMP_VM, 0, 0), "its memory is another, how %d", how);
		ok(apart(pid, me, KCMP_FILES, 0, 0), "its table, too, how %d", how);
		ok(apart(pid, me, KCMP_FS, 0, 0), "and its directory, how %d", how);
		must(write(go[1], "x", 1));
		is_long(t_end(pid), 0, "it ends, how %d", how);
	}
}

static void t_shared(void)
{
	pid_t pid = (pid_t)must(
		syscall(SYS_clone, CLONE_FS | CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
	pid_t me = getpid();

	if (!pid) {
		pause();
		_exit(0);
	}
	is_long(cmp(pid, me, KCMP_FS, 0, 0), 0, "CLONE_FS");
	is_long(cmp(pid, me, KCMP_FILES, 0, 0), 0, "CLONE_FILES");
	ok(apart(pid, me, KCMP_VM, 0, 0), "no CLONE_VM");
	must(kill(pid, SIGKILL));
	must(t_end(pid));
}

static void t_rights(void)
{
	int f = (int)must(open("f", O_RDWR | O_CREAT, 0600));
	pid_t me = getpid(), pid;

	if (geteuid()) {
		t_skip("needs root", "another user's process");
		return;
	}
	pid = (pid_t)must(t_fork_nobody());
	if (!pid) {
		is_errno(cmp(me, me, KCMP_FILE, (unsigned)f, (unsigned)f), EPERM,
			 "another user's process");
		_exit(0);
	}
	is_long(t_end(pid), 0, "it ends");
}

T_SUBS = { { "wait", s_wait }, { NULL, NULL } };

T_SECTIONS = { { "own", t_own },
	       { "others", t_others },
	       { "shared", t_shared },
	       { "rights", t_rights },
	       T_END };
