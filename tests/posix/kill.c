/* SPDX-License-Identifier: MIT */
/* kill, process groups, sessions, getpid and getppid over exec, handlers. */
#include "t.h"

#include <sys/ptrace.h>
#include <sys/time.h>

static volatile sig_atomic_t got, got_pid;

static void on_sig(int sig, siginfo_t *si, void *ctx)
{
	(void)ctx;
	got = sig;
	got_pid = si->si_pid;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_sigaction = on_sig, .sa_flags = SA_SIGINFO | flags };

	must(sigaction(sig, &sa, NULL));
}

static int s_ids(int argc, char **argv)
{
	return getpid() != atoi(argv[0]) || getppid() != atoi(argv[1]) ||
	       getpgrp() != atoi(argv[2]) || getsid(0) != atoi(argv[3]) || argc != 4;
}

static int s_pid(int argc, char **argv)
{
	pid_t pid = getpid();

	return write(atoi(argv[0]), &pid, sizeof(pid)) != sizeof(pid) || argc != 1;
}

static int s_wait(int argc, char **argv)
{
	int fd = argc ? atoi(argv[0]) : -1;

	handle(SIGUSR1, 0);
	if (fd >= 0 && write(fd, "r", 1) != 1)
		return 1;
	for (int i = 0; i < 1500 && !got; i++)
		t_sleep_ms(10);
	return got == SIGUSR1 ? 42 : 43;
}

static int s_signal(int argc, char **argv)
{
	return kill((pid_t)atoi(argv[0]), atoi(argv[1])) || argc != 2;
}

static void t_pids(void)
{
	int p[2];
	pid_t pid, said = 0;

	must(pipe(p));
	for (int how = T_FORK; how <= T_EXEC; how++) {
		pid = must(t_start(how, "pid", t_num(p[1]), NULL));
		must(read(p[0], &said, sizeof(said)));
		is_long(said, pid, "getpid is what fork returned, how %d", how);
		is_long(t_end(pid), 0, "and what wait takes, how %d", how);
	}
	pid = fork();
	if (pid == 0) {
		char *argv[] = { t_self,	   (char *)"--sub",
				 (char *)"ids",	   t_num(getpid()),
				 t_num(getppid()), t_num(getpgrp()),
				 t_num(getsid(0)), NULL };

		execv(t_self, argv);
		_exit(9);
	}
	is_long(t_end(pid), 0, "pid, parent, group, session are the same after an exec");
	pid = fork();
	if (pid == 0) {
		pid_t me = getpid();

		_exit(setsid() != me || getpgrp() != me || getsid(0) != me ||
		      t_end(t_start(T_EXEC, "pid", t_num(p[1]), NULL)));
	}
	is_long(t_end(pid), 0, "setsid");
	pid = fork();
	if (pid == 0) {
		must(setpgid(0, 0));
		is_errno(setsid(), EPERM, "setsid of a group's leader");
		_exit(0);
	}
	t_end(pid);
}

static void t_kill(void)
{
	int p[2];
	char c;

	must(pipe(p));
	for (int how = T_FORK; how <= T_EXEC; how++) {
		pid_t pid = must(t_start(how, "wait", t_num(p[1]), NULL));

		must(read(p[0], &c, 1));
		is_long(kill(pid, 0), 0, "signal 0, how %d", how);
		is_long(kill(pid, SIGUSR1), 0, "kill, how %d", how);
		is_long(t_end(pid), 42, "its handler ran, how %d", how);
		is_errno(kill(pid, 0), ESRCH, "it is gone, how %d", how);
		pid = must(t_start(how, "wait", t_num(p[1]), NULL));
		must(read(p[0], &c, 1));
		is_long(kill(pid, SIGTERM), 0, "SIGTERM, how %d", how);
		is_long(t_end(pid), 1000 + SIGTERM, "killed by it, how %d", how);
	}
	is_errno(kill(getpid(), 99), EINVAL, "a bad signal");
	is_errno(kill(99999999, 0), ESRCH, "a pid that cannot be");
	handle(SIGUSR2, 0);
	is_long(kill(getpid(), SIGUSR2), 0, "to oneself");
	is_long(got, SIGUSR2, "comes at once");
	is_long(got_pid, getpid(), "from oneself");
	got = 0;
	pid_t pid =
		must(t_start(T_EXEC, "signal", t_num(getpid()), t_num(SIGUSR2), NULL));
	is_long(t_end(pid), 0, "a child signals its parent");
	is_long(got, SIGUSR2, "it comes");
	is_long(got_pid, pid, "from the child's pid");
}

static int s_group(int argc, char **argv)
{
	pid_t pid[3];
	int sum = 0, p[2];
	char c;

	(void)argv;
	if (setpgid(0, 0) || pipe(p))
		return 1;
	signal(SIGUSR1, SIG_IGN);
	for (int i = 0; i < 3; i++)
		pid[i] = t_start(i % 2 ? T_FORK : T_EXEC, "wait", t_num(p[1]), NULL);
	for (int i = 0; i < 3; i++)
		if (read(p[0], &c, 1) != 1)
			return 2;
	if (kill(0, SIGUSR1))
		return 3;
	for (int i = 0; i < 3; i++)
		sum += t_end(pid[i]) == 42;
	return sum + argc;
}

static int s_regroup(int argc, char **argv)
{
	return setpgid((pid_t)atoi(argv[0]), 0) ? errno : argc - 1;
}

static int s_session(int argc, char **argv)
{
	return setsid() < 0 ? 1 : s_wait(argc, argv);
}

static void t_group(void)
{
	int p[2], n = 0;
	pid_t pid[3], lead;
	char c;

	is_long(t_end(t_start(T_FORK, "group", NULL)), 3, "kill(0): all of the group");
	is_long(t_end(t_start(T_EXEC, "group", NULL)), 3, "kill(0) after an exec");
	must(pipe(p));
	t_pgid = 0;
	for (int i = 0; i < 3; i++) {
		pid[i] = must(t_start(T_EXEC, "wait", t_num(p[1]), NULL));
		must(read(p[0], &c, 1));
		t_pgid = pid[0];
	}
	lead = pid[0];
	is_long(getpgid(pid[2]), lead, "getpgid of another");
	is_long(kill(-lead, SIGUSR1), 0, "kill of a group");
	for (int i = 0; i < 3; i++)
		n += t_end(pid[i]) == 42;
	is_long(n, 3, "reaches all three");
	is_errno(kill(-lead, 0), ESRCH, "the group is gone");
	is_errno(getpgid(99999999), ESRCH, "getpgid of nothing");
	is_errno(setpgid(99999999, 0), ESRCH, "setpgid of nothing");
	is_errno(setpgid(0, 99999999), EPERM, "setpgid to no group");
	is_errno(setpgid(getppid(), 0), ESRCH, "setpgid of the parent");
	for (int how = T_FORK; how <= T_EXEC; how++) {
		pid[0] = must(t_start(how, "wait", t_num(p[1]), NULL));
		must(read(p[0], &c, 1));
		if (how == T_EXEC)
			is_errno(setpgid(pid[0], 0), EACCES, "setpgid of one that has executed");
		else
			is_long(setpgid(pid[0], 0), 0, "setpgid of a child");
		is_long(getpgid(pid[0]) == pid[0], how == T_FORK, "its group, how %d", how);
		pid[1] = must(t_start(T_EXEC, "regroup", t_num(pid[0]), NULL));
		is_long(t_end(pid[1]), ESRCH, "setpgid of a sibling, how %d", how);
		must(kill(pid[0], SIGKILL));
		t_end(pid[0]);
		pid[0] = must(t_start(how, "session", t_num(p[1]), NULL));
		must(read(p[0], &c, 1));
		is_errno(setpgid(pid[0], getpgrp()), EPERM, "setpgid over sessions, how %d", how);
		must(kill(pid[0], SIGKILL));
		t_end(pid[0]);
	}
}

static void t_mask(void)
{
	sigset_t set, old, pend;
	siginfo_t si;
	struct timespec ts = { 5, 0 };

	handle(SIGUSR1, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, &old));
	got = 0;
	must(kill(getpid(), SIGUSR1));
	is_long(got, 0, "blocked: it does not come");
	must(sigpending(&pend));
	is_long(sigismember(&pend, SIGUSR1), 1, "it is pending");
	must(sigprocmask(SIG_SETMASK, &old, NULL));
	is_long(got, SIGUSR1, "it comes when unblocked");
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	pid_t pid =
		must(t_start(T_EXEC, "signal", t_num(getpid()), t_num(SIGUSR1), NULL));
	is_long(sigtimedwait(&set, &si, &ts), SIGUSR1, "sigtimedwait");
	is_long(si.si_pid, pid, "from the child");
	t_end(pid);
	ts.tv_sec = 0;
	is_errno(sigtimedwait(&set, &si, &ts), EAGAIN, "sigtimedwait, none");
	got = 0;
	pid = must(t_start(T_EXEC, "signal", t_num(getpid()), t_num(SIGUSR1), NULL));
	is_errno(sigsuspend(&old), EINTR, "sigsuspend");
	is_long(got, SIGUSR1, "lets it come");
	t_end(pid);
}

static void t_perm(void)
{
	pid_t pid;

	if (geteuid() != 0) {
		t_skip("root", "perm");
		return;
	}
	pid = t_fork_nobody();
	if (pid == 0) {
		is_errno(kill(getppid(), SIGTERM), EPERM, "another user's process");
		is_errno(kill(getppid(), 0), EPERM, "signal 0 too");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the unprivileged child ends");
}

static int until_closed(void)
{
	char c;

	return read(0, &c, 1) != 0;
}

/* Two of a group, born where this is: the other user's, and one that says how it ended. */
static int s_member(int argc, char **argv)
{
	pid_t pid, other;

	if (argc != 2 || close(atoi(argv[1])))
		return 1;
	pid = must(fork());
	if (!pid)
		_exit(until_closed());
	other = t_fork_nobody();
	if (!other) {
		signal(SIGUSR1, SIG_IGN);
		_exit(write(atoi(argv[0]), "a", 1) != 1 || until_closed());
	}
	return t_end(pid) || t_end(other);
}

/* A group with two users: of kill by one of them the other one's processes hear nothing. */
static int mixed_group(void)
{
	int ready[2], go[2];
	pid_t pid, members[4];
	char c;

	must(setpgid(0, 0));
	must(pipe(ready));
	must(pipe(go));
	handle(SIGUSR1, 0);
	must(dup2(go[0], 0));
	must(fcntl(go[0], F_SETFD, FD_CLOEXEC));
	for (int i = 0; i < 4; i++)
		members[i] = must(t_start(T_EXEC, "member", t_num(ready[1]), t_num(go[1]), NULL));
	for (int i = 0; i < 4; i++)
		must(read(ready[0], &c, 1));
	pid = t_fork_nobody();
	if (!pid) {
		signal(SIGUSR1, SIG_IGN);
		_exit(kill(0, SIGUSR1) ? errno : 0);
	}
	if (t_end(pid) || got)
		return 1;
	must(close(go[1]));
	for (int i = 0; i < 4; i++)
		if (t_end(members[i]))
			return 2;
	return 0;
}

static void t_mixed(void)
{
	pid_t pid;

	if (geteuid() != 0) {
		t_skip("root", "mixed");
		return;
	}
	pid = must(fork());
	if (!pid)
		_exit(mixed_group());
	is_long(t_end(pid), 0, "kill(0) reaches the own processes of a group alone");
}

/* A parent that is killed leaves its child running. */
static int s_parent(int argc, char **argv)
{
	t_start(T_EXEC, "orphan", argv[0], NULL);
	t_sleep_ms(15000);
	return argc;
}

static int s_orphan(int argc, char **argv)
{
	int out = atoi(argv[0]);
	pid_t parent = getppid();

	if (write(out, "a", 1) != 1)
		return 1;
	for (int i = 0; i < 500 && getppid() == parent; i++)
		t_sleep_ms(10);
	if (getppid() == parent || t_put("orphan", "alive"))
		return 1;
	return write(out, "b", 1) != 1 || argc != 1;
}

static void t_orphan(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		pid_t pid;
		int p[2];
		char c = 0;

		must(pipe(p));
		must(fcntl(p[0], F_SETFD, FD_CLOEXEC));
		pid = must(t_start(how, "parent", t_num(p[1]), NULL));
		must(close(p[1]));
		must(read(p[0], &c, 1));
		must(kill(pid, SIGKILL));
		is_long(t_end(pid), 1000 + SIGKILL, "a parent is killed, how %d", how);
		is_long(read(p[0], &c, 1), 1, "its child lives, how %d", how);
		is_long(c, 'b', "has another parent, how %d", how);
		is_str(t_get("orphan"), "alive", "and writes files, how %d", how);
		is_long(read(p[0], &c, 1), 0, "until it ends, how %d", how);
		must(close(p[0]));
		must(unlink("orphan"));
	}
}

/* --- who may --- */

/* Runs with some ids and tells when it does, until SIGUSR1 ends it. */
static int s_target(int argc, char **argv)
{
	uid_t r = (uid_t)atoi(argv[1]), e = (uid_t)atoi(argv[2]), s = (uid_t)atoi(argv[3]);

	if (argc != 4 || setresuid(r, e, s) || write(atoi(argv[0]), "r", 1) != 1)
		return 1;
	for (;;)
		pause();
}

static int by_kill(pid_t pid, int sig)
{
	return kill(pid, sig);
}

static int by_queue(pid_t pid, int sig)
{
	return sigqueue(pid, sig, (union sigval){ 0 });
}

static int by_thread(pid_t pid, int sig)
{
	return (int)syscall(SYS_tgkill, pid, pid, sig);
}

static int by_pidfd(pid_t pid, int sig)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	/* another kernel's process has none (CAVEATS.md) */
	return fd < 0 ? kill(pid, sig) : (int)syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
}

static int by_group(pid_t pid, int sig)
{
	return kill(-pid, sig);
}

static int (*const g_ways[])(pid_t pid, int sig) = { by_kill, by_queue, by_thread, by_pidfd,
						     by_group };

/* With some ids: 0 or the error of what it does. */
static int s_sender(int argc, char **argv)
{
	uid_t r = (uid_t)atoi(argv[0]), e = (uid_t)atoi(argv[1]);

	if (argc != 6 || (atoi(argv[5]) && setsid() < 0) || setresuid(r, e, e))
		return 1;
	return g_ways[atoi(argv[2])]((pid_t)atoi(argv[3]), atoi(argv[4])) ? errno : 0;
}

static const struct {
	int ruid, euid, suid; /* the target's */
	int by_ruid, by_euid; /* the sender's */
	int sig, session; /* session: the sender has one of its own */
	int want;
} g_rights[] = {
	{ 0, 1000, 0, 1000, 1000, 0, 0, EPERM },
	{ 1000, 1000, 1000, 1000, 2000, 0, 0, 0 },
	{ 1000, 1000, 1000, 2000, 1000, 0, 0, 0 },
	{ 3000, 2000, 1000, 1000, 4000, 0, 0, 0 },
	{ 3000, 1000, 2000, 1000, 1000, 0, 0, EPERM },
	{ 1000, 1000, 1000, 2000, 2000, SIGUSR1, 0, EPERM },
	{ 1000, 1000, 1000, 2000, 2000, SIGCONT, 0, 0 },
	{ 1000, 1000, 1000, 2000, 2000, SIGCONT, 1, EPERM },
	{ 1000, 1000, 1000, 2000, 0, 0, 1, 0 },
	{ 1000, 1000, 1000, 0, 2000, 0, 1, EPERM },
};

/* One target, that runs where it was born or elsewhere, and senders anywhere. */
static void right(int n, int how)
{
	int p[2], bad = 0;
	char c;
	pid_t pid;

	must(pipe(p));
	t_pgid = 0;
	pid = must(t_start(how, "target", t_num(p[1]), t_num(g_rights[n].ruid),
			   t_num(g_rights[n].euid), t_num(g_rights[n].suid), NULL));
	t_pgid = -1;
	must(read(p[0], &c, 1));
	for (int i = 0; i < 10; i++) {
		int got = t_end(t_start(i & 1, "sender", t_num(g_rights[n].by_ruid),
					t_num(g_rights[n].by_euid), t_num(i / 2),
					t_num(pid), t_num(g_rights[n].sig),
					t_num(g_rights[n].session), NULL));

		if (got != g_rights[n].want && !bad++)
			t_diag("got %d by way %d", got, i / 2);
	}
	is_long(bad, 0, "right %d, how %d", n, how);
	must(kill(pid, SIGUSR1));
	is_long(t_end(pid), 1000 + SIGUSR1, "the target was there");
	must(close(p[0]));
	must(close(p[1]));
}

/* An exec makes the effective uid the saved one. */
static int s_becomes(int argc, char **argv)
{
	if (argc != 1 || setresuid(3000, 1000, 2000))
		return 1;
	execl(t_self, t_self, "--sub", "ready", argv[0], NULL);
	return 2;
}

static int s_ready(int argc, char **argv)
{
	if (argc != 1 || write(atoi(argv[0]), "r", 1) != 1)
		return 1;
	for (;;)
		pause();
}

static void t_rights(void)
{
	int p[2];
	char c;

	if (geteuid() != 0) {
		t_skip("root", "rights");
		return;
	}
	for (int how = T_FORK; how <= T_EXEC; how++)
		for (size_t n = 0; n < sizeof(g_rights) / sizeof(g_rights[0]); n++)
			right((int)n, how);
	must(pipe(p));
	for (int how = T_FORK; how <= T_EXEC; how++) {
		pid_t pid = must(t_start(how, "becomes", t_num(p[1]), NULL));

		must(read(p[0], &c, 1));
		for (int i = T_FORK; i <= T_EXEC; i++) {
			is_long(t_end(t_start(i, "sender", "2000", "2000", "0", t_num(pid),
					      "0", "0", NULL)),
				EPERM, "the uid that was saved before an exec");
			is_long(t_end(t_start(i, "sender", "1000", "1000", "0", t_num(pid),
					      "0", "0", NULL)),
				0, "the one that is");
		}
		must(kill(pid, SIGKILL));
		t_end(pid);
	}
}

/* --- stopped and continued --- */

static volatile sig_atomic_t conts;

static void on_cont(int sig)
{
	(void)sig;
	conts++;
}

/* Answers each byte that it reads with how many SIGCONT have come. */
static int s_counter(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_cont, .sa_flags = SA_RESTART };
	char c;

	if (argc != 2 || sigaction(SIGCONT, &sa, NULL))
		return 1;
	do {
		c = (char)conts;
		if (write(atoi(argv[1]), &c, 1) != 1)
			return 2;
	} while (read(atoi(argv[0]), &c, 1) == 1);
	return 0;
}

struct counter {
	pid_t pid;
	int to, from;
};

/* What it answers; -1: nothing within that time. */
static int answer(const struct counter *k, int ms)
{
	struct pollfd p = { .fd = k->from, .events = POLLIN };
	char c;

	return must(poll(&p, 1, ms)) == 1 && read(k->from, &c, 1) == 1 ? c : -1;
}

static int counted(const struct counter *k)
{
	must(write(k->to, "?", 1));
	return answer(k, 20000);
}

/* In a group of its own, which is not orphaned, or a session of its own, whose group is. */
static struct counter counter_start(int how, int session)
{
	int go[2], back[2];
	struct counter k;

	must(pipe(go));
	must(pipe(back));
	k.pid = must(fork());
	if (!k.pid) {
		char *argv[] = { t_self,       (char *)"--sub", (char *)"counter",
				 t_num(go[0]), t_num(back[1]),	NULL };

		must(session ? setsid() : setpgid(0, 0));
		if (how == T_EXEC)
			execv(t_self, argv);
		_exit(s_counter(2, argv + 3));
	}
	must(close(go[0]));
	must(close(back[1]));
	k.to = go[1];
	k.from = back[0];
	is_long(answer(&k, 20000), 0, "it runs, how %d", how);
	return k;
}

static void counter_end(const struct counter *k)
{
	must(kill(k->pid, SIGKILL));
	is_long(t_end(k->pid), 1000 + SIGKILL, "and it ends");
	must(close(k->to));
	must(close(k->from));
}

static void stops(const struct counter *k, int sig, const char *what)
{
	int status = 0;

	is_long(waitpid(k->pid, &status, WUNTRACED), k->pid, "%s: its parent is told", what);
	ok(WIFSTOPPED(status) && WSTOPSIG(status) == sig, "%s: that it has stopped", what);
}

static void goes_on(const struct counter *k, const char *what)
{
	int status = 0;

	is_long(waitpid(k->pid, &status, WCONTINUED), k->pid, "%s: its parent is told", what);
	ok(WIFCONTINUED(status), "%s: that it goes on", what);
}

/* by: -1, this process sends the signal; else a child that has or has not executed something. */
static void sent_by(int by, const struct counter *k, int sig)
{
	if (by < 0)
		must(kill(k->pid, sig));
	else
		must(t_end(t_start(by, "signal", t_num(k->pid), t_num(sig), NULL)) ? -1 : 0);
}

/* One SIGCONT is one, whoever sends it; and what was sent before does not undo what is sent then. */
static void t_cont(void)
{
	static const int stop[] = { SIGSTOP, SIGTSTP };

	for (int i = 0; i < 6; i++) {
		struct counter k = counter_start(i ? T_EXEC : T_FORK, 0);
		int by = i % 3 - 1, n = 0;

		for (int s = 0; s < 2; s++) {
			sent_by(by, &k, stop[s]);
			stops(&k, stop[s], "stopped");
			sent_by(by, &k, SIGCONT);
			goes_on(&k, "continued");
			is_long(counted(&k), ++n, "one SIGCONT");
			t_sleep_ms(50);
			is_long(counted(&k), n, "is one later, too");
		}
		sent_by(by, &k, SIGSTOP);
		stops(&k, SIGSTOP, "stopped again");
		for (int s = 0; s < 2; s++) {
			sent_by(by, &k, SIGCONT);
			sent_by(by, &k, stop[s]);
			stops(&k, stop[s], "stopped as it goes on");
			must(write(k.to, "?", 1));
			is_long(answer(&k, 200), -1, "it has stopped");
			if (s)
				break;
			must(kill(k.pid, SIGCONT));
			ok(answer(&k, 20000) > 0, "it goes on");
			must(kill(k.pid, SIGSTOP));
			stops(&k, SIGSTOP, "and stops");
		}
		must(kill(k.pid, SIGCONT));
		ok(answer(&k, 20000) > 0, "it goes on at last");
		counter_end(&k);
	}
}

/* Of a group that nobody could continue what a terminal sends stops nobody. */
static void t_orphaned(void)
{
	static const int sigs[] = { SIGTSTP, SIGTTIN, SIGTTOU };
	int status;

	for (int how = T_FORK; how <= T_EXEC; how++) {
		struct counter k = counter_start(how, 1);

		for (int i = 0; i < 6; i++) {
			must(kill(k.pid, sigs[i % 3]));
			is_long(counted(&k), 0, "it runs on, without SIGCONT");
			is_long(waitpid(k.pid, &status, WUNTRACED | WNOHANG), 0,
				"its parent is told nothing");
		}
		must(kill(k.pid, SIGSTOP));
		stops(&k, SIGSTOP, "SIGSTOP");
		must(kill(k.pid, SIGCONT));
		goes_on(&k, "SIGCONT");
		is_long(counted(&k), 1, "and SIGCONT are as ever");
		counter_end(&k);
	}
}

T_SUBS = { { "ids", s_ids },	   { "pid", s_pid },	   { "counter", s_counter },
	   { "target", s_target }, { "sender", s_sender },
	   { "regroup", s_regroup }, { "session", s_session },
	   { "becomes", s_becomes }, { "ready", s_ready },
	   { "wait", s_wait },	   { "signal", s_signal },
	   { "group", s_group },   { "parent", s_parent },
	   { "orphan", s_orphan }, { "member", s_member }, T_END };

/* Makes and removes files, with a timer's signals between, for a tracer that writes down each stop. */
static void traced(void)
{
	struct itimerval iv = { { 0, 2000 }, { 0, 2000 } };
	char name[16];
	int alarms = 0;

	handle(SIGALRM, SA_RESTART);
	must((int)ptrace(PTRACE_TRACEME, 0, 0, 0));
	raise(SIGSTOP);
	must(setitimer(ITIMER_REAL, &iv, NULL));
	for (int i = 0; alarms < 30; i++) {
		snprintf(name, sizeof(name), "t%d", i % 7);
		if (t_put(name, "x") || t_size(name) != 1 || unlink(name))
			_exit(1);
		alarms += got == SIGALRM;
		got = 0;
	}
	_exit(7);
}

/* request: how it is sent on. */
static void trace(int request, const char *what)
{
	int log = must(open("log", O_WRONLY | O_CREAT | O_APPEND, 0644)), status, sig = 0;
	int alarms = 0;
	pid_t pid = must(fork());

	if (!pid)
		traced();
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		sig = WSTOPSIG(status);
		if (write(log, "stop\n", 5) != 5)
			break;
		alarms += sig == SIGALRM;
		if (ptrace(request, pid, 0, sig == SIGTRAP || sig == SIGSTOP ? 0 : sig))
			break;
	}
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%s: it goes on to its end", what);
	ok(alarms >= 30, "%s: its signals were seen", what);
	must(close(log));
}

static void t_traced(void)
{
	trace(PTRACE_CONT, "traced for signals");
	trace(PTRACE_SYSCALL, "traced for calls");
}

T_SECTIONS = {
	{ "pids", t_pids },
	{ "kill", t_kill },
	{ "group", t_group },
	{ "mask", t_mask },
	{ "perm", t_perm },
	{ "mixed", t_mixed },
	{ "orphan", t_orphan },
	{ "rights", t_rights },
	{ "cont", t_cont },
	{ "orphaned", t_orphaned },
	{ "traced", t_traced },
	T_END,
};
