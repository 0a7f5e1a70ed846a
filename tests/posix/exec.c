/* SPDX-License-Identifier: MIT */
/* exec: what passes through and what does not, mistakes, scripts, programs stored here. */
#include "t.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

extern char **environ;

/* Runs argv with an environment; its output as text (static), its status in *status. */
static const char *run(const char *path, char *const argv[], char *const env[],
		       int *status)
{
	static char buf[8192];
	size_t len = 0;
	ssize_t n;
	pid_t pid;
	int p[2];

	must(pipe(p));
	pid = fork();
	if (pid == 0) {
		dup2(p[1], 1);
		close(p[0]);
		close(p[1]);
		execve(path, argv, env);
		_exit(errno == ENOENT ? 127 : 126);
	}
	close(p[1]);
	while ((n = read(p[0], buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = 0;
	close(p[0]);
	*status = t_end(pid);
	return buf;
}

static int s_show(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		printf("[%s]", argv[i]);
	for (char **e = environ; *e; e++)
		printf("{%s}", *e);
	fflush(stdout);
	return argc;
}

static void t_args(void)
{
	char *argv[] = { t_self,	(char *)"--sub", (char *)"show",
			 (char *)"a b", (char *)"",	 (char *)"c\nd",
			 NULL };
	char *env[] = { (char *)"X=1", (char *)"Y=", (char *)"odd", NULL };
	char *none[] = { NULL };
	int status;

	is_str(run(t_self, argv, env, &status), "[a b][][c\nd]{X=1}{Y=}{odd}",
	       "argv and env");
	is_long(status, 3, "the status");
	is_str(run(t_self, argv, none, &status), "[a b][][c\nd]", "an empty environment");
}

static void t_errors(void)
{
	char *argv[] = { (char *)"x", NULL };
	char *big[] = { (char *)"x", NULL, NULL };
	char *huge = malloc(200000);
	char name[300];
	pid_t pid;

	must(t_put("plain", "text"));
	must(t_put("noexec", "#!/bin/sh\nexit 0\n"));
	must(t_put("garbage", "\x7f\x45LFgarbage"));
	must(chmod("garbage", 0755));
	must(t_put("empty", ""));
	must(chmod("empty", 0755));
	must(t_put("text", "echo hello\n"));
	must(chmod("text", 0755));
	must(t_put("nointerp", "#!/none/such\n"));
	must(chmod("nointerp", 0755));
	must(t_put("dirinterp", "#!/usr\n"));
	must(chmod("dirinterp", 0755));
	must(mkdir("d", 0755));
	must(symlink("ring", "ring"));
	is_errno(execve("none", argv, environ), ENOENT, "nothing");
	is_errno(execve("", argv, environ), ENOENT, "the empty name");
	is_errno(execve("plain", argv, environ), EACCES, "without the x bit");
	is_errno(execve("noexec", argv, environ), EACCES, "a script without it");
	is_errno(execve("d", argv, environ), EACCES, "a directory");
	is_errno(execve("plain/x", argv, environ), ENOTDIR, "below a file");
	is_errno(execve("garbage", argv, environ), ENOEXEC, "garbage");
	is_errno(execve("empty", argv, environ), ENOEXEC, "an empty file");
	is_errno(execve("text", argv, environ), ENOEXEC, "text without #!");
	is_errno(execve("nointerp", argv, environ), ENOENT, "#! of nothing");
	is_errno(execve("dirinterp", argv, environ), EACCES, "#! of a directory");
	is_errno(execve("ring", argv, environ), ELOOP, "a ring of symlinks");
	memset(name, 'n', 299);
	name[299] = 0;
	is_errno(execve(name, argv, environ), ENAMETOOLONG, "a long name");
	memset(huge, 'a', 199999);
	huge[199999] = 0;
	big[1] = huge;
	is_errno(execve("/bin/true", big, environ), E2BIG, "an argument above 128 KiB");
	huge[100000] = 0;
	pid = fork();
	if (pid == 0) {
		execve("/bin/true", big, environ);
		_exit(9);
	}
	is_long(t_end(pid), 0, "one of 100,000 bytes is good");
	is_errno(execve((char *)8, argv, environ), EFAULT, "a bad pointer");
	ok(t_is_open(1), "descriptors are as before");
	is_errno(execveat(99, "x", argv, environ, 0), EBADF, "execveat: no descriptor");
}

static int s_state(int argc, char **argv)
{
	struct sigaction sa;
	sigset_t set;
	mode_t mask = umask(0);
	int bad = 0;

	(void)argv;
	sigprocmask(SIG_SETMASK, NULL, &set);
	bad |= (mask != 0137) << 0;
	bad |= (!sigismember(&set, SIGUSR1) || sigismember(&set, SIGUSR2)) << 1;
	sigaction(SIGINT, NULL, &sa);
	bad |= (sa.sa_handler != SIG_IGN) << 2;
	sigaction(SIGTERM, NULL, &sa);
	bad |= (sa.sa_handler != SIG_DFL) << 3;
	sigpending(&set);
	bad |= !sigismember(&set, SIGUSR1) << 4;
	bad |= (alarm(0) == 0) << 5;
	return bad | (argc != 0) << 6;
}

static void on_term(int sig)
{
	(void)sig;
}

static void t_state(void)
{
	sigset_t set;
	pid_t pid;

	for (int how = T_EXEC; how <= T_EXEC + 1; how++) {
		pid = fork();
		if (pid == 0) {
			char *argv[] = { t_self, (char *)"--sub", (char *)"state", NULL };

			umask(0137);
			sigemptyset(&set);
			sigaddset(&set, SIGUSR1);
			sigprocmask(SIG_BLOCK, &set, NULL);
			signal(SIGINT, SIG_IGN);
			signal(SIGTERM, on_term);
			raise(SIGUSR1);
			alarm(15);
			execv(t_self, argv);
			_exit(99);
		}
		is_long(t_end(pid), 0,
			"umask, mask, dispositions, pending, alarm pass: run %d", how);
	}
}

/* What exec keeps beside that: what /proc and the kernel say of it, a number each. */
enum { KEPT = 22 };
static const char *const kept_name[KEPT] = {
	"nice",	       "policy",	"priority",	 "ioprio",
	"oom score",   "personality",	"no new privs",	 "huge pages",
	"timer slack", "ITIMER_REAL",	"ITIMER_VIRTUAL", "ITIMER_PROF",
	"blocked",     "ignored",	"subreaper",	 "bounding set",
	"securebits",  "inheritable",	"ambient",	 "seccomp",
	"death's",     "pending",
};

static long from_status(const char *key)
{
	const char *s = strstr(t_get("/proc/self/status"), key);

	return s ? strtol(s + strlen(key), NULL, 16) : -1;
}

static long blocked_now(void)
{
	sigset_t set;
	long bits = 0;

	sigprocmask(SIG_SETMASK, NULL, &set);
	for (int sig = 1; sig < 32; sig++)
		bits |= (long)(sigismember(&set, sig) == 1) << sig;
	return bits;
}

static long ignored_now(void)
{
	struct sigaction sa;
	long bits = 0;

	for (int sig = 1; sig < 32; sig++)
		if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
			bits |= 1L << sig;
	return bits;
}

static long pending_now(void)
{
	sigset_t set;
	long bits = 0;

	sigpending(&set);
	for (int sig = 1; sig < 32; sig++)
		bits |= (long)(sigismember(&set, sig) == 1) << sig;
	return bits;
}

static void kept_now(long v[KEPT])
{
	struct sched_param sp = { 0 };
	struct itimerval it;
	int n = 0;

	sched_getparam(0, &sp);
	v[0] = getpriority(PRIO_PROCESS, 0);
	v[1] = sched_getscheduler(0);
	v[2] = sp.sched_priority;
	v[3] = syscall(SYS_ioprio_get, 1, 0);
	v[4] = strtol(t_get("/proc/self/oom_score_adj"), NULL, 10);
	v[5] = personality(0xffffffff);
	v[6] = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	v[7] = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	v[8] = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
	for (int i = 0; i < 3; i++) {
		getitimer(i, &it);
		v[9 + i] = (it.it_value.tv_sec > 0) + 10 * it.it_interval.tv_sec;
	}
	v[12] = blocked_now();
	v[13] = ignored_now();
	prctl(PR_GET_CHILD_SUBREAPER, &n, 0, 0, 0);
	v[14] = n;
	v[15] = prctl(PR_CAPBSET_READ, CAP_SYS_BOOT, 0, 0, 0);
	v[16] = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	v[17] = from_status("CapInh:");
	v[18] = from_status("CapAmb:");
	v[19] = from_status("Seccomp:");
	n = 0;
	prctl(PR_GET_PDEATHSIG, &n, 0, 0, 0);
	v[20] = n;
	v[21] = pending_now();
}

static void pin(char core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core - '0', &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* sub "kept PATH STEP REPORT WHAT...": what is not as WHAT says is written to REPORT; then on to the next of the
 * cores in PATH. */
static int s_kept(int argc, char **argv)
{
	char *args[3 + 3 + KEPT + 1] = { t_self, (char *)"--sub", (char *)"kept" };
	int step = atoi(argv[1]);
	char line[64];
	long v[KEPT];

	kept_now(v);
	for (int i = 0; i < KEPT && argc == 3 + KEPT; i++) {
		long was = atol(argv[3 + i]);

		snprintf(line, sizeof(line), "%.*s: %s is %ld, was %ld ", step, argv[0],
			 kept_name[i], v[i], was);
		if (v[i] != was &&
		    write(atoi(argv[2]), line, strlen(line)) != (ssize_t)strlen(line))
			return 2;
	}
	if (!argv[0][step])
		return 0;
	pin(argv[0][step]);
	args[3] = argv[0];
	snprintf(line, sizeof(line), "%d", step + 1);
	args[4] = line;
	args[5] = argv[2];
	for (int i = 0; i < KEPT; i++)
		args[6 + i] = step ? argv[3 + i] : NULL;
	for (int i = 0; i < KEPT && !step; i++) {
		static char first[KEPT][24];

		snprintf(first[i], sizeof(first[i]), "%ld", v[i]);
		args[6 + i] = first[i];
	}
	execv(t_self, args);
	return 95;
}

static int g_death_fd;

static void on_death(int sig)
{
	_exit(write(g_death_fd, sig == SIGTERM ? "t" : "?", 1) != 1);
}

static int death_is(int sig)
{
	int now = -1;

	return prctl(PR_GET_PDEATHSIG, &now, 0, 0, 0) == 0 && now == sig;
}

/* sub "death PATH STEP SIG SET FD": goes to each core of PATH by an exec, sets the signal of its parent's death
 * in the SETth program, with another group, and waits for it. */
static int s_death(int argc, char **argv)
{
	int step = atoi(argv[1]), sig = atoi(argv[2]), set = atoi(argv[3]);
	int good = 1;

	g_death_fd = atoi(argv[4]);
	if (step == set) {
		must(prctl(PR_SET_PDEATHSIG, SIGUSR2, 0, 0, 0));
		good = death_is(SIGUSR2);
		if (geteuid() == 0) {
			must(setresgid(T_NOBODY, T_NOBODY, T_NOBODY));
			good &= death_is(0);
		}
		good &= prctl(PR_SET_PDEATHSIG, 65, 0, 0, 0) == -1 && errno == EINVAL;
		good &= prctl(PR_SET_PDEATHSIG, -1L, 0, 0, 0) == -1 && errno == EINVAL;
		must(prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0));
	}
	good &= step < set || death_is(sig);
	if (good && argv[0][step]) {
		pin(argv[0][step]);
		execl(t_self, t_self, "--sub", "death", argv[0], t_num(step + 1), argv[2],
		      argv[3], argv[4], NULL);
	}
	signal(SIGTERM, on_death);
	if (argc != 5 || write(g_death_fd, good ? "g" : "b", 1) != 1)
		return 2;
	for (;;)
		pause();
}

/* One byte; 0: the other end is closed; '!': neither, for long. */
static int byte_of(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c = 0;

	if (poll(&p, 1, 20000) != 1)
		return '!';
	return read(fd, &c, 1) == 1 ? c : 0;
}

static void one_death(const char *path, int sig, int set)
{
	int go[2], told[2];
	pid_t parent;
	char c;

	must(pipe(go));
	must(pipe(told));
	parent = must(fork());
	if (parent == 0) {
		char *argv[] = { (char *)path, (char *)"0",    t_num(sig),
				 t_num(set),   t_num(told[1]), NULL };

		must(close(go[1]));
		if (must(fork()) == 0)
			_exit(s_death(5, argv));
		must(close(told[1]));
		_exit(read(go[0], &c, 1) != 0);
	}
	must(close(go[0]));
	must(close(told[1]));
	is_long(byte_of(told[0]), 'g', "by %s: signal %d, set in program %d", path, sig,
		set);
	must(close(go[1]));
	is_long(t_end(parent), 0, "the parent's end");
	if (sig == SIGTERM)
		is_long(byte_of(told[0]), 't', "its signal");
	is_long(byte_of(told[0]), 0, "its end");
	must(close(told[0]));
}

static void t_death(void)
{
	static const char *const paths[] = { "1", "10", "12", "121", "0" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		for (int set = 0; set <= (int)strlen(paths[i]); set++) {
			one_death(paths[i], SIGTERM, set);
			one_death(paths[i], SIGKILL, set);
		}
	}
}

/* sub "masked": is nothing blocked? Without arguments: before. */
static int s_masked(int argc, char **argv)
{
	if (argc)
		return blocked_now() != 0;
	pin(argv[0][0]);
	execl(t_self, t_self, "--sub", "masked", "x", NULL);
	return 95;
}

static void block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* As far as this user may. What goes along, some at a time. */
static void keep_sched(void)
{
	struct sched_param sp = { 0 };

	(void)!nice(3);
	(void)sched_setscheduler(0, SCHED_BATCH | 0x40000000 /* RESET_ON_FORK */, &sp);
	(void)syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6);
}

static void keep_idle(void)
{
	struct sched_param sp = { 0 };

	(void)sched_setscheduler(0, SCHED_IDLE, &sp);
	(void)syscall(SYS_ioprio_set, 1, 0, 3 << 13);
	must(t_put("/proc/self/oom_score_adj", "321"));
	(void)personality(0x0040000 /* ADDR_NO_RANDOMIZE */);
}

static void keep_prctl(void)
{
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	(void)prctl(PR_SET_TIMERSLACK, 77777, 0, 0, 0);
}

static void keep_timers(void)
{
	struct itimerval it = { { 200, 0 }, { 100, 0 } };

	for (int i = 0; i < 3; i++)
		must(setitimer(i, &it, NULL));
}

static void keep_signals(void)
{
	block(SIGUSR1);
	block(SIGSEGV);
	block(SIGBUS);
	block(SIGSYS);
	signal(SIGBUS, SIG_IGN);
	signal(SIGSEGV, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

static void keep_death(void)
{
	must(prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
}

/* What stays, and keeps the program where it is. */
static void keep_subreaper(void)
{
	must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

static void keep_bounds(void)
{
	(void)prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0);
}

static void keep_securebits(void)
{
	(void)prctl(PR_SET_SECUREBITS, 1 << 2 /* NO_SETUID_FIXUP */, 0, 0, 0);
}

static void keep_ambient(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct cap[2];

	must(syscall(SYS_capget, &head, cap));
	cap[0].inheritable = cap[0].permitted & 1u << CAP_KILL;
	must(syscall(SYS_capset, &head, cap));
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0);
}

static void keep_filter(void)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &all };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	(void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}

static void t_kept(void)
{
	static const struct {
		const char *what;
		void (*set)(void);
	} keep[] = {
		{ "nothing", NULL },
		{ "class of batch jobs", keep_sched },
		{ "class of idle time, oom score, personality", keep_idle },
		{ "of prctl", keep_prctl },
		{ "timers", keep_timers },
		{ "blocked and ignored signals", keep_signals },
		{ "signal of the parent's death", keep_death },
		{ "subreaper", keep_subreaper },
		{ "bounding set", keep_bounds },
		{ "securebits", keep_securebits },
		{ "inheritable and ambient capabilities", keep_ambient },
		{ "filter of calls", keep_filter },
	};
	static const char *const paths[] = { "1", "10", "120", "0213" };

	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++) {
		for (size_t k = 0; k < sizeof(paths) / sizeof(paths[0]); k++) {
			char got[2048] = "", *path = (char *)paths[k];
			int p[2];
			pid_t pid;

			must(pipe2(p, O_NONBLOCK));
			pid = must(fork());
			if (pid == 0) {
				char *argv[] = { path, (char *)"0", t_num(p[1]), NULL };

				if (keep[i].set)
					keep[i].set();
				_exit(s_kept(3, argv));
			}
			is_long(t_end(pid), 0, "%s: by %s", keep[i].what, path);
			(void)!read(p[0], got, sizeof(got) - 1);
			is_str(got, "", "%s: by %s: is kept", keep[i].what, path);
			must(close(p[0]));
			must(close(p[1]));
		}
	}
}

/* Signals that are caught in exec leave the mask alone, which is blocked meanwhile. They are of a kind that the
 * next program ignores. */
static void t_mask(void)
{
	int bad = 0, status;

	for (int i = 0; i < 100; i++) {
		char *argv[] = { (char *)(i % 2 ? "2" : "1"), NULL };
		pid_t pid = must(fork());

		if (pid == 0) {
			signal(SIGURG, on_term);
			_exit(s_masked(0, argv));
		}
		while (waitpid(pid, &status, WNOHANG) == 0) {
			kill(pid, SIGURG);
			usleep(50 + 5 * (useconds_t)i);
		}
		bad += status != 0;
	}
	is_long(bad, 0, "signals that come in exec change no mask");
}

static int s_fds(int argc, char **argv)
{
	int bad = 0;

	for (int i = 0; i + 1 < argc; i += 2)
		bad |= (t_is_open(atoi(argv[i])) != atoi(argv[i + 1])) << (i / 2);
	return bad;
}

static void t_fds(void)
{
	int a = must(open("f", O_RDWR | O_CREAT, 0644));
	int b = must(open("f", O_RDWR | O_CLOEXEC));
	int c = must(open("/dev/null", O_RDONLY | O_CLOEXEC));
	int p[2], q[2];

	must(pipe(p));
	must(pipe2(q, O_CLOEXEC));
	is_long(t_end(t_start(T_EXEC, "fds", t_num(a), "1", t_num(b), "0", t_num(c), "0",
			      t_num(p[0]), "1", t_num(q[1]), "0", NULL)),
		0, "close-on-exec closes just those");
	is_long(t_end(t_start(T_FORK, "fds", t_num(a), "1", t_num(b), "1", NULL)), 0,
		"fork closes none");
	must(dup2(a, 200));
	is_long(t_end(t_start(T_EXEC, "fds", "200", "1", "201", "0", NULL)), 0,
		"a high number stays");
	ok(t_is_open(b) && t_is_open(q[0]), "ours stay open");
}

static void t_failed(void)
{
	char *argv[] = { (char *)"none", NULL };
	int fd = must(open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	pid_t pid = getpid();

	is_errno(execv("./none", argv), ENOENT, "a failed exec");
	is_long(write(fd, "x", 1), 1, "leaves descriptors that close on exec");
	is_long(getpid(), pid, "and the pid");
}

static void script(const char *name, const char *text)
{
	must(t_put(name, text));
	must(chmod(name, 0755));
}

static void t_scripts(void)
{
	char *argv[] = { (char *)"zero", (char *)"one two", (char *)"three", NULL };
	char *env[] = { (char *)"PATH=/usr/bin:/bin", NULL };
	char deep[40], next[64];
	int status;

	script("plain", "#!/bin/sh\necho \"$#:$1:$2\"\nexit 5\n");
	is_str(run("./plain", argv, env, &status), "2:one two:three\n", "a script");
	is_long(status, 5, "its status");
	script("zero", "#!/bin/sh\necho \"$0\"\n");
	is_str(run("./zero", argv, env, &status), "./zero\n", "its $0 is the path");
	script("arg", "#!/bin/sh -e\nfalse\necho no\n");
	is_str(run("./arg", argv, env, &status), "", "#! with an argument");
	is_long(status, 1, "which is used");
	script("args", "#! /bin/echo  one  two  \n");
	is_str(run("./args", argv, env, &status), "one  two ./args one two three\n",
	       "all after the interpreter is one argument");
	script("tab", "#!\t/bin/echo\ttab\n");
	is_str(run("./tab", argv, env, &status), "tab ./tab one two three\n", "tabs");
	script("env", "#!/usr/bin/env sh\necho \"env $1\"\n");
	is_str(run("./env", argv, env, &status), "env one two\n", "env");
	script("noeol", "#!/bin/echo");
	is_str(run("./noeol", argv, env, &status), "./noeol one two three\n",
	       "no newline");
	script("interp", "#!/bin/sh\necho \"interp $1 $2\"\n");
	script("nested", "#!./interp\n");
	is_str(run("./nested", argv, env, &status), "interp ./nested one two\n",
	       "the interpreter is a script stored here");
	for (int i = 0; i < 6; i++) {
		snprintf(deep, sizeof(deep), "deep%d", i);
		snprintf(next, sizeof(next), "#!./deep%d\n", i - 1);
		script(deep, i ? next : "#!/bin/echo\n");
	}
	run("./deep4", argv, env, &status);
	is_long(status, 0, "scripts four deep");
	argv[0] = (char *)"x";
	is_errno(execve("./deep5", argv, env), ELOOP, "five deep");
}

static int copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0755);
	static char buf[65536];
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			return -1;
	return n || close(in) || close(out) ? -1 : 0;
}

static void t_stored(void)
{
	char *argv[] = { (char *)"prog", (char *)"--sub", (char *)"show",
			 (char *)"stored", NULL };
	char *env[] = { NULL };
	int status, fd;
	pid_t pid;

	must(mkdir("bin", 0755));
	is_long(copy(t_self, "bin/prog"), 0, "a program is copied here");
	is_str(run("bin/prog", argv, env, &status), "[stored]", "and runs");
	is_str(run("./bin/../bin/prog", argv, env, &status), "[stored]",
	       "by another path");
	must(symlink("bin/prog", "l"));
	is_str(run("./l", argv, env, &status), "[stored]", "by a symlink");
	fd = must(open("bin/prog", O_RDONLY));
	pid = fork();
	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY), 1);
		fexecve(fd, argv, env);
		_exit(9);
	}
	is_long(t_end(pid), 1, "by fexecve");
	must(close(fd));
	must(chmod("bin/prog", 0644));
	is_errno(execve("bin/prog", argv, env), EACCES, "without the x bit it does not");
	must(chmod("bin/prog", 0755));
	must(unlink("bin/prog"));
	is_errno(execve("bin/prog", argv, env), ENOENT, "nor when it is gone");
	is_long(copy("/bin/echo", "bin/echo2"), 0, "another program");
	argv[1] = (char *)"hello";
	argv[2] = NULL;
	is_str(run("bin/echo2", argv, env, &status), "hello\n", "runs");
	fd = must(open("bin", O_RDONLY | O_DIRECTORY));
	pid = fork();
	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY), 1);
		execveat(fd, "echo2", argv, env, 0);
		_exit(9);
	}
	is_long(t_end(pid), 0, "by execveat");
}

/* Who may run a program and not read it runs it, here and on other cores. */
static void t_unread(void)
{
	char *argv[] = { (char *)"prog", (char *)"hello", NULL }, *env[] = { NULL };
	pid_t pid;

	must(copy("/bin/echo", "prog"));
	must(chmod("prog", 0111));
	for (int n = 0; n < 3; n++) {
		pid = t_fork_nobody();
		if (pid == 0) {
			dup2(open("/dev/null", O_WRONLY), 1);
			if (open("prog", O_RDONLY) >= 0 || errno != EACCES)
				_exit(98);
			execve("./prog", argv, env);
			_exit(errno);
		}
		is_long(t_end(pid), 0, "a program that cannot be read, %d", n);
	}
	is_long(open("prog", O_WRONLY | O_APPEND) >= 0, geteuid() == 0, "and is not held afterwards");
}

static int s_exe(int argc, char **argv)
{
	char buf[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", buf, sizeof(buf) - 1);
	int fd = open("/proc/self/exe", O_RDONLY);
	char magic[4] = "";

	return n <= 0 || strcmp(buf, argv[0]) || fd < 0 || read(fd, magic, 4) != 4 ||
	       memcmp(magic, "\177ELF", 4) || argc != 1;
}

static void t_proc(void)
{
	char path[PATH_MAX + 16], comm[64] = "", args[256] = "";
	int p[2];
	pid_t pid;

	is_long(t_end(t_start(T_EXEC, "exe", t_self, NULL)), 0, "/proc/self/exe");
	must(copy(t_self, "prog"));
	snprintf(path, sizeof(path), "%s/prog", t_top);
	pid = fork();
	if (pid == 0) {
		execl(path, path, "--sub", "exe", path, NULL);
		_exit(9);
	}
	is_long(t_end(pid), 0, "/proc/self/exe of a program stored here");
	must(pipe(p));
	pid = fork();
	if (pid == 0) {
		dup2(p[1], 1);
		execl("/bin/cat", "cat", "/proc/self/comm", NULL);
		_exit(9);
	}
	must(read(p[0], comm, sizeof(comm) - 1));
	is_str(comm, "cat\n", "/proc/self/comm");
	t_end(pid);
	pid = fork();
	if (pid == 0) {
		dup2(p[1], 1);
		execl("/bin/cat", "kitty", "/proc/self/cmdline", NULL);
		_exit(9);
	}
	t_end(pid);
	ssize_t n = read(p[0], args, sizeof(args) - 1);
	is_long(n, 25, "/proc/self/cmdline");
	is_str(args, "kitty", "its first word");
}

static int s_again(int argc, char **argv)
{
	int left = atoi(argv[0]);
	char num[16];

	if (getpid() != atoi(argv[1]) || argc != 2)
		return 1;
	if (left == 0)
		return 0;
	snprintf(num, sizeof(num), "%d", left - 1);
	execl(t_self, t_self, "--sub", "again", num, argv[1], NULL);
	return 2;
}

static void t_again(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		char *argv[] = { t_num(20), t_num(getpid()) };

		_exit(s_again(2, argv));
	}
	is_long(t_end(pid), 0, "20 execs in a row keep the pid");
}

enum { MIB = 1 << 20 };

/* The limit of address space that came along, and what it allows. */
static int s_space(int argc, char **argv)
{
	struct rlimit rl;
	void *p;

	if (argc != 1 || getrlimit(RLIMIT_AS, &rl))
		return 1;
	if (rl.rlim_cur != 200UL * MIB || rl.rlim_max != (rlim_t)atol(argv[0]))
		return 2;
	p = mmap(NULL, 20 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || munmap(p, 20 * MIB))
		return 3;
	p = mmap(NULL, 300UL * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED && errno == ENOMEM ? 0 : 4;
}

static void t_space(void)
{
	struct rlimit rl;
	char max[24];

	must(getrlimit(RLIMIT_AS, &rl));
	rl.rlim_cur = 200UL * MIB;
	if (rl.rlim_max == RLIM_INFINITY)
		rl.rlim_max = 3000UL * MIB;
	snprintf(max, sizeof(max), "%ld", (long)rl.rlim_max);
	is_long(setrlimit(RLIMIT_AS, &rl), 0, "setrlimit RLIMIT_AS");
	is_long(t_end(t_start(T_FORK, "space", max, NULL)), 0, "the limit, after fork");
	is_long(t_end(t_start(T_EXEC, "space", max, NULL)), 0, "after exec");
	is_long(t_end(t_start(T_EXEC, "space", max, NULL)), 0, "after another");
}

/* The name of the program as the kernel keeps it. */
static int s_comm(int argc, char **argv)
{
	const char *comm = t_get("/proc/self/comm");

	return argc != 1 || !comm || strncmp(comm, argv[0], strlen(argv[0]));
}

static long by_fd(int fd, const char *path, const char *arg)
{
	char *argv[] = { (char *)"zero", (char *)"--sub", (char *)"comm", (char *)arg, NULL };
	pid_t pid = fork();

	if (pid == 0) {
		syscall(SYS_execveat, fd, path, argv, environ, AT_EMPTY_PATH);
		_exit(errno);
	}
	return t_end(pid);
}

/* execveat by descriptors: close-on-exec ones are no good for a script. */
static void t_by_fd(void)
{
	char prog[PATH_MAX + 8];
	int dir, cdir, sock, fd;

	snprintf(prog, sizeof(prog), "cp %s prog", t_self);
	must(system(prog));
	must(t_put("script", "#!/bin/sh\necho \"$0\" >out; exit 0\n"));
	must(chmod("script", 0755));
	dir = (int)must(open(".", O_RDONLY | O_DIRECTORY));
	cdir = (int)must(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	sock = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	is_long(by_fd((int)must(open("prog", O_RDONLY | O_CLOEXEC)), "", "prog"), 0,
		"a program by its descriptor, and its name");
	is_long(by_fd(cdir, "prog", "prog"), 0, "by a directory's");
	fd = (int)must(open("script", O_RDONLY));
	is_long(by_fd(fd, "", ""), 0, "a script by its descriptor");
	snprintf(prog, sizeof(prog), "/dev/fd/%d\n", fd);
	is_str(t_get("out"), prog, "its name");
	is_long(by_fd(dir, "script", ""), 0, "a script by a directory's");
	snprintf(prog, sizeof(prog), "/dev/fd/%d/script\n", dir);
	is_str(t_get("out"), prog, "its name");
	is_long(by_fd((int)must(open("script", O_RDONLY | O_CLOEXEC)), "", ""), ENOENT,
		"a script, close-on-exec");
	is_long(by_fd(cdir, "script", ""), ENOENT, "a script of such a directory");
	is_long(by_fd(sock, "", ""), EACCES, "a socket");
}

T_SUBS = { { "show", s_show }, { "comm", s_comm }, { "state", s_state }, { "fds", s_fds },
	   { "kept", s_kept },   { "masked", s_masked },
	   { "death", s_death },
	   { "exe", s_exe },   { "again", s_again }, { "space", s_space }, T_END };

T_SECTIONS = {
	{ "args", t_args },	{ "errors", t_errors },
	{ "state", t_state },	{ "fds", t_fds },
	{ "kept", t_kept },	{ "mask", t_mask },
	{ "death", t_death },
	{ "failed", t_failed }, { "scripts", t_scripts },
	{ "stored", t_stored }, { "proc", t_proc },
	{ "again", t_again },	{ "space", t_space },
	{ "by_fd", t_by_fd },	{ "unread", t_unread },
	T_END,
};
