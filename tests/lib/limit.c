// SPDX-License-Identifier: MIT
/*
 * limit: run one command with a time limit and leave nothing of it behind.
 *
 *	limit [-k] SECONDS COMMAND [ARG...]
 *
 * The command runs in a session of its own; this process is the subreaper of all that
 * it starts, so that daemons and orphans come back here and are found whatever process
 * group they moved to. At the limit the state of every descendant is printed, the
 * command gets SIGTERM and two seconds, then all get SIGKILL, and the exit status is
 * 124. After a normal end, descendants have GRACE_MS to go; what is then left is named,
 * killed, and makes the exit status 123 (-k: killed without a word, for commands that
 * may leave some). Otherwise the status is the command's, 128 + N for signal N. Only
 * descendants are ever signalled, each by its pid.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_MS = 3000, TERM_MS = 2000, MAX_PROCS = 65536 };

struct proc {
	pid_t pid, ppid;
	int ours;
	char state;
	char comm[64];
};

static struct proc procs[MAX_PROCS];

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static ssize_t read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n >= 0)
		buf[n] = 0;
	return n;
}

static int read_proc(pid_t pid, struct proc *p)
{
	char path[64], buf[1024];
	char *open_par, *close_par;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return -1;
	open_par = strchr(buf, '(');
	close_par = strrchr(buf, ')');
	if (!open_par || !close_par)
		return -1;
	*close_par = 0;
	memset(p, 0, sizeof(*p));
	p->pid = pid;
	snprintf(p->comm, sizeof(p->comm), "%.60s", open_par + 1);
	return sscanf(close_par + 1, " %c %d", &p->state, &p->ppid) == 2 ? 0 : -1;
}

/* Marks our descendants, zombies left out; returns how many there are. */
static int find_descendants(int *count)
{
	DIR *dir = opendir("/proc");
	struct dirent *de;
	int n = 0, found = 0, again = 1;

	while (dir && (de = readdir(dir)) != NULL && n < MAX_PROCS)
		if (atoi(de->d_name) > 0 && read_proc(atoi(de->d_name), &procs[n]) == 0)
			n++;
	if (dir)
		closedir(dir);
	while (again) {
		again = 0;
		for (int i = 0; i < n; i++) {
			if (procs[i].ours)
				continue;
			procs[i].ours = procs[i].ppid == getpid();
			for (int j = 0; j < n && !procs[i].ours; j++)
				procs[i].ours =
					procs[j].ours && procs[j].pid == procs[i].ppid;
			again |= procs[i].ours;
		}
	}
	for (int i = 0; i < n; i++) {
		if (procs[i].state == 'Z')
			procs[i].ours = 0;
		found += procs[i].ours;
	}
	*count = n;
	return found;
}

static void describe(const struct proc *p)
{
	char path[64], cmd[400] = "", wchan[64] = "", call[128] = "";
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", p->pid);
	n = read_file(path, cmd, sizeof(cmd));
	for (ssize_t i = 0; i + 1 < n; i++)
		if (cmd[i] == 0 || cmd[i] == '\n')
			cmd[i] = ' ';
	snprintf(path, sizeof(path), "/proc/%d/wchan", p->pid);
	read_file(path, wchan, sizeof(wchan));
	snprintf(path, sizeof(path), "/proc/%d/syscall", p->pid);
	read_file(path, call, sizeof(call));
	call[strcspn(call, "\n")] = 0;
	dprintf(2, "# pid %d ppid %d (%s) %c %s: %.200s [%.100s]\n", p->pid, p->ppid,
		p->comm, p->state, wchan, cmd, call);
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void kill_all(int tell)
{
	long long end = now_ms() + 10000;
	int n;

	while (find_descendants(&n) > 0 && now_ms() < end) {
		for (int i = 0; i < n; i++) {
			if (!procs[i].ours)
				continue;
			if (tell)
				describe(&procs[i]);
			kill(procs[i].pid, SIGKILL);
		}
		tell = 0;
		reap();
		usleep(10000);
	}
	reap();
}

/* Waits until `pid` ends or the time comes; 0 and its wait status, or -1. Reaps others. */
static int wait_until(pid_t pid, long long end, int *status)
{
	sigset_t set;
	long long left;
	int st;
	pid_t got;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (;;) {
		while ((got = waitpid(-1, &st, WNOHANG)) > 0) {
			if (got == pid) {
				*status = st;
				return 0;
			}
		}
		left = end - now_ms();
		if (left <= 0)
			return -1;
		sigtimedwait(&set, NULL,
			     &(struct timespec){ left / 1000, left % 1000 * 1000000 });
	}
}

static int wait_gone(void)
{
	long long end = now_ms() + GRACE_MS;
	int n;

	for (;;) {
		reap();
		if (find_descendants(&n) == 0)
			return 0;
		if (now_ms() > end)
			return -1;
		usleep(20000);
	}
}

static pid_t start(char **argv)
{
	pid_t pid;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		setsid();
		execvp(argv[0], argv);
		dprintf(2, "limit: '%s': %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	return pid;
}

int main(int argc, char **argv)
{
	int quiet = argc > 1 && strcmp(argv[1], "-k") == 0;
	int status = 0, n;
	double secs;
	pid_t pid;

	argc -= quiet;
	argv += quiet;
	if (argc < 3 || (secs = atof(argv[1])) <= 0) {
		fprintf(stderr, "usage: limit [-k] SECONDS COMMAND [ARG...]\n");
		return 2;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = start(argv + 2);
	if (pid < 0)
		return 125;
	if (wait_until(pid, now_ms() + (long long)(secs * 1000), &status) != 0) {
		dprintf(2, "# time limit of %s s reached; what was running:\n", argv[1]);
		find_descendants(&n);
		for (int i = 0; i < n; i++)
			if (procs[i].ours)
				describe(&procs[i]);
		kill(pid, SIGTERM);
		wait_until(pid, now_ms() + TERM_MS, &status);
		kill_all(0);
		return 124;
	}
	if (quiet) {
		kill_all(0);
	} else if (wait_gone() != 0) {
		dprintf(2, "# processes left behind:\n");
		kill_all(1);
		return 123;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
