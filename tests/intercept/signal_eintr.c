/* SPDX-License-Identifier: MIT */
/* A signal ends or restarts a waiting call exactly as signal(7) says. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "tap.h"

static volatile int hits;

static void on_signal(int sig)
{
	(void)sig;
	hits++;
}

/* SIGALRM after ms milliseconds. */
static void arm(int ms, int flags)
{
	struct itimerval it = { .it_value = { .tv_usec = ms * 1000 } };

	handle(SIGALRM, on_signal, flags);
	hits = 0;
	setitimer(ITIMER_REAL, &it, NULL);
}

static void t_nanosleep(void)
{
	struct timespec want = { .tv_sec = 5 }, left = { 0 };
	double start = now();
	int ret;

	arm(50, SA_RESTART);
	ret = nanosleep(&want, &left);
	ok(ret == -1 && errno == EINTR && hits == 1,
	   "nanosleep: EINTR, also with SA_RESTART");
	ok(left.tv_sec == 4 && now() - start < 2,
	   "nanosleep: the remaining time is told");
}

static void t_read(void)
{
	int p[2];
	char c = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(p))
		exit(1);
	arm(50, 0);
	n = read(p[0], &c, 1);
	ok(n == -1 && errno == EINTR && hits == 1, "read: EINTR without SA_RESTART");
	pid = fork();
	if (!pid) {
		usleep(200000);
		_exit(write(p[1], "x", 1) != 1);
	}
	arm(50, SA_RESTART);
	n = read(p[0], &c, 1);
	ok(n == 1 && c == 'x' && hits == 1, "read: goes on with SA_RESTART");
	waitpid(pid, NULL, 0);
}

static void t_wait(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		usleep(200000);
		_exit(7);
	}
	arm(50, 0);
	ok(waitpid(pid, &status, 0) == -1 && errno == EINTR, "waitpid: EINTR");
	arm(50, SA_RESTART);
	ok(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7 && hits == 1,
	   "waitpid: goes on with SA_RESTART");
}

static void t_poll(void)
{
	struct timespec ts = { .tv_sec = 5 };
	struct timeval tv = { .tv_sec = 5 };
	struct epoll_event ev;
	int e = epoll_create1(0), word = 0;

	arm(30, SA_RESTART);
	ok(poll(NULL, 0, 5000) == -1 && errno == EINTR,
	   "poll: EINTR, also with SA_RESTART");
	arm(30, SA_RESTART);
	ok(ppoll(NULL, 0, &ts, NULL) == -1 && errno == EINTR, "ppoll: EINTR");
	arm(30, SA_RESTART);
	ok(select(0, NULL, NULL, NULL, &tv) == -1 && errno == EINTR, "select: EINTR");
	arm(30, SA_RESTART);
	ok(pselect(0, NULL, NULL, NULL, &ts, NULL) == -1 && errno == EINTR,
	   "pselect: EINTR");
	arm(30, SA_RESTART);
	ok(epoll_wait(e, &ev, 1, 5000) == -1 && errno == EINTR, "epoll_wait: EINTR");
	arm(30, SA_RESTART);
	ok(pause() == -1 && errno == EINTR, "pause: EINTR");
	arm(30, 0);
	ok(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0) == -1 &&
		   errno == EINTR,
	   "futex: EINTR");
	close(e);
}

static void t_stop(void)
{
	int status = 0;
	pid_t pid = fork();
	double start;

	if (!pid) {
		struct timespec want = { .tv_nsec = 300000000 };
		int ret = nanosleep(&want, NULL);

		_exit(ret ? 1 : 0);
	}
	start = now();
	usleep(50000);
	kill(pid, SIGSTOP);
	ok(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status),
	   "a child stops");
	usleep(50000);
	kill(pid, SIGCONT);
	ok(waitpid(pid, &status, 0) == pid && status == 0,
	   "its sleep goes on after SIGCONT");
	ok(now() - start < 1, "and ends in time");
}

int main(void)
{
	limit_seconds(30);
	t_nanosleep();
	t_read();
	t_wait();
	t_poll();
	t_stop();
	return done();
}
