/* SPDX-License-Identifier: MIT */
/* wait, waitpid, waitid: exit codes, signals, stop and continue, who is waited for. */
#include "t.h"

#include <sys/resource.h>

static int s_exit(int argc, char **argv)
{
	(void)argc;
	exit(atoi(argv[0]));
}

static int s_die(int argc, char **argv)
{
	struct rlimit none = { 0, 0 };

	(void)argc;
	setrlimit(RLIMIT_CORE, &none);
	signal(atoi(argv[0]), SIG_DFL);
	raise(atoi(argv[0]));
	return 33;
}

static int s_sleep(int argc, char **argv)
{
	t_sleep_ms(argc ? atoi(argv[0]) : 15000);
	return 0;
}

static int s_crash(int argc, char **argv)
{
	struct rlimit none = { 0, 0 };

	(void)argv;
	setrlimit(RLIMIT_CORE, &none);
	*(volatile int *)8 = argc;
	return 33;
}

static int s_stop(int argc, char **argv)
{
	char c;

	raise(SIGSTOP);
	return read(atoi(argv[0]), &c, 1) == 1 ? 9 + argc : 0;
}

static void t_codes(void)
{
	static const int codes[] = { 0, 1, 2, 126, 127, 128, 200, 255, 256, -1 };

	for (int how = T_FORK; how <= T_EXEC; how++)
		for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
			is_long(t_end(t_start(how, "exit", t_num(codes[i]), NULL)),
				codes[i] & 255, "exit(%d), how %d", codes[i], how);
}

static void t_signals(void)
{
	static const int sigs[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGABRT, SIGKILL,
				    SIGSEGV, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1 };
	int status;

	for (int how = T_FORK; how <= T_EXEC; how++) {
		for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
			is_long(t_end(t_start(how, "die", t_num(sigs[i]), NULL)),
				1000 + sigs[i], "killed by signal %d, how %d", sigs[i],
				how);
		pid_t pid = t_start(how, "crash", NULL);
		is_long(waitpid(pid, &status, 0), pid, "waitpid of a crash, how %d", how);
		ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
		   "a crash is SIGSEGV, how %d", how);
	}
}

static void t_waitpid(void)
{
	pid_t a, b;
	int status;

	is_errno(wait(&status), ECHILD, "wait without children");
	is_errno(waitpid(-1, &status, WNOHANG), ECHILD, "WNOHANG without children");
	is_errno(waitpid(1, &status, 0), ECHILD, "waitpid of no child");
	a = must(t_start(T_EXEC, "sleep", "15000", NULL));
	is_long(waitpid(a, &status, WNOHANG), 0, "WNOHANG while it runs");
	is_long(waitpid(-1, &status, WNOHANG), 0, "WNOHANG of any");
	is_errno(waitpid(a, &status, 0x8000), EINVAL, "a bad option");
	b = must(t_start(T_EXEC, "exit", "7", NULL));
	is_long(waitpid(b, &status, 0), b, "waitpid of one of two");
	is_long(WEXITSTATUS(status), 7, "its status");
	is_errno(waitpid(b, &status, 0), ECHILD, "again");
	must(kill(a, SIGKILL));
	is_long(wait(&status), a, "wait for any");
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it was killed");
	is_long(waitpid(t_start(T_FORK, "exit", "0", NULL), NULL, 0) > 0, 1,
		"no status wanted");
}

static void t_waitid(void)
{
	siginfo_t si;
	pid_t pid = must(t_start(T_EXEC, "exit", "9", NULL));

	memset(&si, 0, sizeof(si));
	is_long(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0, "waitid WNOWAIT");
	is_long(si.si_pid, pid, "the pid");
	is_long(si.si_status, 9, "the status");
	is_long(si.si_code, CLD_EXITED, "the code");
	memset(&si, 0, sizeof(si));
	is_long(waitid(P_ALL, 0, &si, WEXITED), 0, "waitid P_ALL");
	is_long(si.si_pid, pid, "the same pid");
	is_errno(waitid(P_ALL, 0, &si, WEXITED), ECHILD, "then none");
	pid = must(t_start(T_EXEC, "die", t_num(SIGTERM), NULL));
	is_long(waitid(P_PID, (id_t)pid, &si, WEXITED), 0, "waitid of a killed one");
	is_long(si.si_code, CLD_KILLED, "its code");
	is_long(si.si_status, SIGTERM, "its signal");
	is_errno(waitid(P_ALL, 0, &si, 0), EINVAL, "no option");
}

static void t_stop(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		int status = 0, p[2];
		pid_t pid;

		must(pipe(p));
		pid = must(t_start(how, "stop", t_num(p[0]), NULL));
		is_long(waitpid(pid, &status, WUNTRACED), pid, "WUNTRACED, how %d", how);
		ok(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "stopped, how %d",
		   how);
		is_long(waitpid(pid, &status, WNOHANG | WUNTRACED), 0,
			"told once, how %d", how);
		must(kill(pid, SIGCONT));
		is_long(waitpid(pid, &status, WCONTINUED), pid, "WCONTINUED, how %d",
			how);
		ok(WIFCONTINUED(status), "continued, how %d", how);
		must(write(p[1], "x", 1));
		is_long(t_end(pid), 10, "and ends, how %d", how);
		pid = must(t_start(how, "sleep", NULL));
		t_sleep_ms(50);
		must(kill(pid, SIGSTOP));
		is_long(waitpid(pid, &status, WUNTRACED), pid, "stopped by us, how %d",
			how);
		ok(WIFSTOPPED(status), "it is, how %d", how);
		must(kill(pid, SIGKILL));
		is_long(t_end(pid), 1000 + SIGKILL, "killed while stopped, how %d", how);
	}
}

static volatile sig_atomic_t chlds;

static void on_chld(int sig)
{
	(void)sig;
	chlds++;
}

static void t_sigchld(void)
{
	pid_t pid;

	signal(SIGCHLD, on_chld);
	pid = must(t_start(T_EXEC, "exit", "0", NULL));
	is_long(t_end(pid), 0, "a child ends");
	is_long(chlds, 1, "SIGCHLD comes, once");
	signal(SIGCHLD, SIG_IGN);
	pid = must(t_start(T_EXEC, "exit", "0", NULL));
	is_errno(waitpid(pid, NULL, 0), ECHILD, "SIG_IGN reaps by itself");
	signal(SIGCHLD, SIG_DFL);
}

static int s_many(int argc, char **argv)
{
	return atoi(argv[0]) % 100 + argc - 1;
}

static void t_many(void)
{
	enum { N = 30 };
	pid_t pid[N];
	int good = 1;

	for (int i = 0; i < N; i++)
		pid[i] = must(t_start(T_EXEC, "many", t_num(i), NULL));
	for (int i = 0; i < N; i++)
		good &= t_end(pid[i]) == i;
	ok(good, "30 children at a time, each its own status");
}

static void t_session(void)
{
	pid_t a, b;
	int status;

	t_pgid = 0;
	a = must(t_start(T_EXEC, "sleep", NULL));
	setpgid(a, a); /* whoever comes first; after its exec it has done so itself */
	t_pgid = -1;
	b = must(t_start(T_EXEC, "exit", "3", NULL));
	is_long(waitpid(-a, &status, WNOHANG), 0, "waitpid of a group");
	is_long(waitpid(0, &status, 0), b, "waitpid of our own group");
	must(kill(a, SIGTERM));
	is_long(waitpid(-a, &status, 0), a, "the group's one when it ends");
	is_errno(waitpid(-a, &status, 0), ECHILD, "the group is empty");
}

static void t_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 12", NULL);
		_exit(1);
	}
	is_long(t_end(pid), 12, "vfork and exec");
	pid = vfork();
	if (pid == 0) {
		execl("/none", "none", NULL);
		_exit(13);
	}
	is_long(t_end(pid), 13, "vfork and an exec that fails");
	is_long(system("exit 14"), 14 << 8, "system()");
	FILE *f = popen("echo popen; exit 15", "r");
	char line[32] = "";
	is_str(f && fgets(line, sizeof(line), f) ? line : "", "popen\n", "popen()");
	is_long(pclose(f), 15 << 8, "pclose()");
}

T_SUBS = { { "exit", s_exit },
	   { "die", s_die },
	   { "sleep", s_sleep },
	   { "crash", s_crash },
	   { "stop", s_stop },
	   { "many", s_many },
	   T_END };

T_SECTIONS = {
	{ "codes", t_codes },	  { "signals", t_signals },
	{ "waitpid", t_waitpid }, { "waitid", t_waitid },
	{ "stop", t_stop },	  { "sigchld", t_sigchld },
	{ "many", t_many },	  { "groups", t_session },
	{ "vfork", t_vfork },	  T_END,
};
