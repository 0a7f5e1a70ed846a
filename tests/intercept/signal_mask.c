/* SPDX-License-Identifier: MIT */
/* Masks and dispositions read back as they were set, and act as they should in a
 * handler. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tap.h"

static volatile int hits, nested, depth, max_depth;
#define QUEUED 1000

static volatile sig_atomic_t order[QUEUED], order_count;
static volatile int sent;
static sigset_t in_handler;

static void on_signal(int sig)
{
	(void)sig;
	hits++;
	sigprocmask(SIG_BLOCK, NULL, &in_handler);
}

static void on_nest(int sig)
{
	depth++;
	if (depth > max_depth)
		max_depth = depth;
	if (++nested < 4)
		raise(sig);
	depth--;
}

static void on_queued(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	order[order_count++] = si->si_value.sival_int;
}

static void t_read_back(void)
{
	sigset_t all, none, got;
	int bad = 0;

	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigprocmask(SIG_SETMASK, NULL, &got);
	for (int s = 1; s <= 31; s++) {
		if (s != SIGKILL && s != SIGSTOP && !sigismember(&got, s))
			bad++;
	}
	ok(bad == 0, "a full mask reads back full");
	sigprocmask(SIG_SETMASK, &none, &got);
	ok(sigismember(&got, SIGSYS) && sigismember(&got, SIGSEGV),
	   "old mask has SIGSYS, SIGSEGV");
	sigprocmask(SIG_SETMASK, NULL, &got);
	for (int s = 1; s <= 31; s++)
		bad += sigismember(&got, s);
	ok(bad == 0, "an empty mask reads back empty");
	sigemptyset(&none);
	sigaddset(&none, SIGSYS);
	sigprocmask(SIG_BLOCK, &none, NULL);
	sigprocmask(SIG_UNBLOCK, NULL, &got);
	ok(sigismember(&got, SIGSYS) == 1 && getppid() > 0,
	   "SIGSYS blocked: calls still work");
	sigprocmask(SIG_UNBLOCK, &none, NULL);
}

static void t_actions(void)
{
	struct sigaction sa = { .sa_handler = on_signal,
				.sa_flags = SA_RESTART | SA_NODEFER },
			 old;
	sigset_t m;
	int bad = 0;

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGSYS);
	sigaddset(&sa.sa_mask, SIGUSR2);
	for (int s = 1; s < 32; s++) {
		if (s == SIGKILL || s == SIGSTOP)
			continue;
		sigaction(s, &sa, &old);
		bad += old.sa_handler != SIG_DFL;
		sigaction(s, NULL, &old);
		bad += old.sa_handler != on_signal ||
		       (old.sa_flags & ~0x04000000) != sa.sa_flags ||
		       !sigismember(&old.sa_mask, SIGSYS) ||
		       !sigismember(&old.sa_mask, SIGUSR2) ||
		       sigismember(&old.sa_mask, SIGUSR1);
		signal(s, SIG_IGN);
		sigaction(s, NULL, &old);
		bad += old.sa_handler != SIG_IGN;
		signal(s, SIG_DFL);
		sigaction(s, NULL, &old);
		bad += old.sa_handler != SIG_DFL;
	}
	ok(bad == 0, "dispositions of all signals read back");
	ok(sigaction(SIGKILL, &sa, NULL) == -1 && errno == EINVAL, "SIGKILL: EINVAL");
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	ok(hits == 1 && sigismember(&in_handler, SIGUSR2) &&
		   sigismember(&in_handler, SIGSYS) && !sigismember(&in_handler, SIGUSR1),
	   "sa_mask holds in the handler, SA_NODEFER too");
	handle(SIGUSR1, on_signal, 0);
	raise(SIGUSR1);
	ok(sigismember(&in_handler, SIGUSR1) && !sigismember(&in_handler, SIGUSR2),
	   "without SA_NODEFER the signal itself is blocked");
	sigprocmask(SIG_BLOCK, NULL, &m);
	ok(!sigismember(&m, SIGUSR1) && !sigismember(&m, SIGSYS),
	   "the mask is restored after it");
	handle(SIGUSR1, on_signal, SA_RESETHAND);
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &old);
	ok(hits == 3 && old.sa_handler == SIG_DFL, "SA_RESETHAND");
	handle(SIGUSR1, on_nest, SA_NODEFER);
	raise(SIGUSR1);
	ok(nested == 4 && max_depth == 4, "SA_NODEFER nests");
	nested = max_depth = 0;
	handle(SIGUSR1, on_nest, 0);
	raise(SIGUSR1);
	ok(nested == 4 && max_depth == 1, "without it, one after the other");
	signal(SIGUSR1, SIG_DFL);
}

static void t_queue(void)
{
	struct sigaction sa = { .sa_sigaction = on_queued, .sa_flags = SA_SIGINFO };
	sigset_t rt, old;
	int bad = 0;

	sigaction(SIGRTMIN + 1, &sa, NULL);
	sigemptyset(&rt);
	sigaddset(&rt, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &rt, &old);
	for (int i = 0; i < 50; i++)
		sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = i });
	ok(order_count == 0, "blocked: queued");
	sigprocmask(SIG_SETMASK, &old, NULL);
	for (int i = 0; i < 50; i++)
		bad += order[i] != i;
	ok(order_count == 50 && bad == 0,
	   "realtime signals come in order, with their values");
}

static void *queue_all(void *arg)
{
	for (int i = 0; i < QUEUED; i++)
		while (pthread_sigqueue(*(pthread_t *)arg, SIGRTMIN + 1,
					(union sigval){ .sival_int = i }))
			sched_yield();
	sent = 1;
	return NULL;
}

/* The same where they come in the middle of calls. */
static void t_queue_in_calls(void)
{
	struct sigaction sa = { .sa_sigaction = on_queued, .sa_flags = SA_SIGINFO };
	pthread_t self = pthread_self(), t;
	int bad = 0;

	sigfillset(&sa.sa_mask);
	sigaction(SIGRTMIN + 1, &sa, NULL);
	order_count = 0;
	pthread_create(&t, NULL, queue_all, &self);
	while (!sent)
		close(open("/proc/self/stat", O_RDONLY));
	pthread_join(t, NULL);
	for (int i = 0; i < QUEUED; i++)
		bad += order[i] != i;
	ok(order_count == QUEUED && bad == 0, "in order in calls too");
}

static long wait_with(int how, const sigset_t *mask)
{
	struct timespec ts = { .tv_sec = 2 };
	struct epoll_event ev;
	struct pollfd p = { .events = POLLIN };
	int fd[2];
	long r;

	if (how == 0)
		return sigsuspend(mask);
	if (how == 1)
		return pselect(0, NULL, NULL, NULL, &ts, mask);
	if (how == 2) {
		if (pipe(fd))
			return 0;
		p.fd = fd[0];
		r = ppoll(&p, 1, &ts, mask);
		close(fd[0]);
		close(fd[1]);
		return r;
	}
	p.fd = epoll_create1(0);
	r = epoll_pwait(p.fd, &ev, 1, 2000, mask);
	close(p.fd);
	return r;
}

/* While handlers run that end a wait with a mask, that mask holds: so all that it lets in come. */
static void t_wait_masks(void)
{
	static const char *name[] = { "sigsuspend", "pselect", "ppoll", "epoll_pwait" };
	sigset_t both, hup, got;

	handle(SIGUSR1, on_signal, 0);
	handle(SIGUSR2, on_signal, 0);
	sigemptyset(&both);
	sigaddset(&both, SIGUSR1);
	sigaddset(&both, SIGUSR2);
	sigemptyset(&hup);
	sigaddset(&hup, SIGHUP);
	sigaddset(&hup, SIGSEGV);
	sigprocmask(SIG_BLOCK, &both, NULL);
	for (int i = 0; i < 4; i++) {
		hits = 0;
		raise(SIGUSR1);
		raise(SIGUSR2);
		ok(wait_with(i, &hup) == -1 && errno == EINTR && hits == 2,
		   "%s: two that are pending, two handlers", name[i]);
		ok(sigismember(&in_handler, SIGHUP) && sigismember(&in_handler, SIGSEGV),
		   "%s: its mask in the handler", name[i]);
		sigprocmask(SIG_SETMASK, NULL, &got);
		ok(sigismember(&got, SIGUSR1) && sigismember(&got, SIGUSR2) &&
			   !sigismember(&got, SIGHUP) && !sigismember(&got, SIGSEGV),
		   "%s: the old one afterwards", name[i]);
	}
	sigprocmask(SIG_UNBLOCK, &both, NULL);
}

static void *send_later(void *arg)
{
	usleep(50000);
	pthread_kill(*(pthread_t *)arg, SIGSEGV);
	return NULL;
}

/* Pending ones of the signals that the layer needs itself. */
static void t_wait_own(void)
{
	pthread_t self = pthread_self(), t;
	struct timespec ts = { .tv_sec = 10 }, soon = { .tv_nsec = 30000000 };
	siginfo_t info = { 0 };
	sigset_t s, p;
	double begin = now();

	sigemptyset(&s);
	sigaddset(&s, SIGSEGV);
	sigaddset(&s, SIGBUS);
	sigprocmask(SIG_BLOCK, &s, NULL);
	raise(SIGBUS);
	sigpending(&p);
	ok(sigismember(&p, SIGBUS) && !sigismember(&p, SIGSEGV), "SIGBUS is pending");
	ok(sigtimedwait(&s, &info, &ts) == SIGBUS && info.si_signo == SIGBUS &&
		   info.si_pid == getpid(),
	   "and is waited for");
	sigpending(&p);
	ok(!sigismember(&p, SIGBUS), "it was one");
	ok(sigtimedwait(&s, NULL, &soon) == -1 && errno == EAGAIN, "no more: EAGAIN");
	pthread_create(&t, NULL, send_later, &self);
	ok(sigtimedwait(&s, NULL, &ts) == SIGSEGV, "one that comes during the wait");
	pthread_join(t, NULL);
	pthread_create(&t, NULL, send_later, &self);
	ok(sigwaitinfo(&s, &info) == SIGSEGV, "also without a limit");
	pthread_join(t, NULL);
	ok(now() - begin < 9, "at once");
	sigprocmask(SIG_UNBLOCK, &s, NULL);
}

static void t_wait_calls(void)
{
	struct signalfd_siginfo si;
	struct timespec ts = { .tv_sec = 1 };
	siginfo_t info;
	sigset_t s, p;
	int fd;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	sigaddset(&s, SIGSYS);
	sigprocmask(SIG_BLOCK, &s, NULL);
	raise(SIGUSR1);
	sigpending(&p);
	ok(sigismember(&p, SIGUSR1), "sigpending");
	ok(sigtimedwait(&s, &info, &ts) == SIGUSR1 && info.si_pid == getpid(),
	   "sigtimedwait");
	fd = signalfd(-1, &s, SFD_CLOEXEC);
	raise(SIGUSR1);
	ok(read(fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGUSR1,
	   "signalfd");
	close(fd);
	sigprocmask(SIG_UNBLOCK, &s, NULL);
}

/* Signals that the layer needs itself, sent by kill. */
static void t_sent_faults(void)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGSYS };

	for (int i = 0; i < 3; i++) {
		int s = sigs[i], status;
		sigset_t m;
		pid_t pid;

		hits = 0;
		handle(s, on_signal, 0);
		kill(getpid(), s);
		ok(hits == 1, "kill %d: handler", s);
		sigemptyset(&m);
		sigaddset(&m, s);
		sigprocmask(SIG_BLOCK, &m, NULL);
		kill(getpid(), s);
		ok(hits == 1, "blocked: not yet");
		sigprocmask(SIG_UNBLOCK, &m, NULL);
		ok(hits == 2, "unblocked: now");
		signal(s, SIG_IGN);
		kill(getpid(), s);
		ok(hits == 2, "ignored");
		signal(s, SIG_DFL);
		pid = fork();
		if (!pid) {
			kill(getpid(), s);
			_exit(0);
		}
		waitpid(pid, &status, 0);
		ok(WIFSIGNALED(status) && WTERMSIG(status) == s, "default: dies of it");
	}
}

int main(void)
{
	limit_seconds(30);
	t_read_back();
	t_actions();
	t_queue();
	t_queue_in_calls();
	t_wait_masks();
	t_wait_own();
	t_wait_calls();
	t_sent_faults();
	return done();
}
