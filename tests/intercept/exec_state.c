/* SPDX-License-Identifier: MIT */
/* What a program finds after exec: mask, ignored and pending signals, names,
 * arguments. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tap.h"

static char self[PATH_MAX];

static void on_signal(int sig)
{
	(void)sig;
}

/* The second life: checks, and tells by the exit status. */
static int after_exec(int argc, char **argv)
{
	char link[PATH_MAX] = "", cmdline[512] = "", comm[32] = "";
	struct sigaction sa;
	struct stat a, b;
	sigset_t m, p;
	int fd, bad = 0;
	ssize_t n;

	sigprocmask(SIG_BLOCK, NULL, &m);
	sigpending(&p);
	bad |= !(sigismember(&m, SIGUSR1) && sigismember(&m, SIGSEGV) &&
		 sigismember(&m, SIGSYS) && !sigismember(&m, SIGUSR2) &&
		 !sigismember(&m, SIGBUS))
	       << 0;
	bad |= !(sigismember(&p, SIGUSR1) && sigismember(&p, SIGSEGV) &&
		 sigismember(&p, SIGSYS))
	       << 1;
	sigaction(SIGHUP, NULL, &sa);
	bad |= (sa.sa_handler != SIG_IGN) << 2;
	sigaction(SIGBUS, NULL, &sa);
	bad |= (sa.sa_handler != SIG_IGN) << 2;
	sigaction(SIGUSR2, NULL, &sa);
	bad |= (sa.sa_handler != SIG_DFL) << 3;
	n = readlink("/proc/self/exe", link, sizeof(link) - 1);
	bad |= (n <= 0 || strcmp(link, self)) << 4;
	bad |= (stat("/proc/self/exe", &a) || stat(self, &b) || a.st_ino != b.st_ino)
	       << 4;
	fd = open("/proc/self/cmdline", O_RDONLY);
	n = read(fd, cmdline, sizeof(cmdline));
	close(fd);
	bad |= (n != 12 || memcmp(cmdline, "zero\0again\0", 12)) << 5;
	prctl(PR_GET_NAME, comm);
	bad |= (strncmp(comm, strrchr(self, '/') + 1, 15) != 0) << 6;
	bad |= (argc != 3 || strcmp(argv[0], "zero") || *argv[2] ||
		strcmp((char *)getauxval(AT_EXECFN), self))
	       << 7;
	return bad;
}

static int run(char **argv, char **envp)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		sigset_t m;

		handle(SIGUSR2, on_signal, 0);
		signal(SIGHUP, SIG_IGN);
		signal(SIGBUS, SIG_IGN);
		sigemptyset(&m);
		sigaddset(&m, SIGUSR1);
		sigaddset(&m, SIGSEGV);
		sigaddset(&m, SIGSYS);
		sigprocmask(SIG_SETMASK, &m, NULL);
		raise(SIGUSR1);
		raise(SIGSEGV);
		raise(SIGSYS);
		execve(self, argv, envp);
		_exit(255);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void t_errors(void)
{
	char *argv[] = { "x", NULL }, name[] = "/tmp/hare-exec-XXXXXX";
	int fd = mkstemp(name);

	ok(execv("/nonexistent", argv) == -1 && errno == ENOENT, "ENOENT");
	ok(execv("/etc/passwd", argv) == -1 && errno == EACCES, "EACCES");
	ok(execv("/tmp", argv) == -1 && errno == EACCES, "a directory: EACCES");
	ok(execv("/etc/passwd/x", argv) == -1 && errno == ENOTDIR, "ENOTDIR");
	fchmod(fd, 0755);
	close(fd);
	ok(execv(name, argv) == -1 && errno == ENOEXEC, "an empty file: ENOEXEC");
	unlink(name);
	ok(execv("", argv) == -1 && errno == ENOENT, "no name: ENOENT");
}

static int script_output(const char *first_line, const char *want)
{
	char name[] = "/tmp/hare-script-XXXXXX", got[256] = "";
	int fd = mkstemp(name), p[2], status;
	pid_t pid;

	dprintf(fd, "%s\n", first_line);
	fchmod(fd, 0755);
	close(fd);
	if (pipe(p))
		return 0;
	pid = fork();
	if (!pid) {
		dup2(p[1], 1);
		execl(name, "ignored", "A", "B", NULL);
		_exit(1);
	}
	close(p[1]);
	for (ssize_t n, len = 0;
	     (n = read(p[0], got + len, sizeof(got) - 1 - (size_t)len)) > 0;)
		len += n;
	close(p[0]);
	waitpid(pid, &status, 0);
	unlink(name);
	return status == 0 && strstr(got, want) && strstr(got, name) &&
	       strstr(got, "A B");
}

int main(int argc, char **argv)
{
	char *args[] = { "zero", "again", "", NULL }, *envp[] = { "A=b", NULL },
	     *none[] = { NULL };
	int status;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0)
		return 1;
	if (argc > 1 && !strcmp(argv[1], "again"))
		return after_exec(argc, argv);
	limit_seconds(30);
	status = run(args, envp);
	ok(status == 0, "state after exec (status %d)", status);
	status = run(args, none);
	ok(status == 0, "and with no environment (status %d)", status);
	t_errors();
	ok(script_output("#!/bin/echo", ""), "#! with no argument");
	ok(script_output("#! /bin/echo  one two  ", "one two"), "#! with one argument");
	return done();
}
