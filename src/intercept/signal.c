/* SPDX-License-Identifier: MIT */
/*
 * The system calls about signals, and the waits that take a mask. The program's handlers
 * are kept here; the host knows only signal_wrapper (deliver.c), for each signal that has
 * one.
 *
 * OWN_SIGNALS (SIGSYS, SIGSEGV, SIGBUS) always have our handlers and are never blocked:
 * system calls and checked copies depend on them. What the program wishes for them is in
 * sighand.act and thread.vmask. All other dispositions and masks are the host's own.
 *
 * A call that changes the host's mask goes through a window of entry.S, so that a signal
 * that came just before it is delivered before it.
 */
#include <linux/errno.h>
#include <linux/time_types.h>

#include "intercept/icpt.h"

#define SIGSET_SIZE 8
/* What the kernel keeps of sa_flags. */
#define SA_KNOWN                                                                         \
	(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART |            \
	 SA_NODEFER | SA_RESETHAND | SA_RESTORER | 0x00000800UL)
#define SA_TO_HOST    (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_RESTART)
#define NEVER_BLOCKED (SIG_BIT(SIGKILL) | SIG_BIT(SIGSTOP))
#define IGNORED_BY_DEFAULT                                                               \
	(SIG_BIT(SIGCHLD) | SIG_BIT(SIGCONT) | SIG_BIT(SIGURG) | SIG_BIT(SIGWINCH))
#define MIN_STACK  2048
#define AUTODISARM (1u << 31)
#define ON_STACK   1
#define STACK_OFF  2
#define NS_PER_S   1000000000ULL
#define WAIT_MAX_S (1LL << 32) /* what is longer does not end */

static bool is_own(int sig)
{
	return OWN_SIGNALS & SIG_BIT(sig);
}

static bool is_handler(u64 handler)
{
	return handler != (u64)SIG_DFL && handler != (u64)SIG_IGN;
}

/* --- dispositions ------------------------------------------------------------------- */

long signal_install_wrapper(int sig, u64 flags, struct kact *old)
{
	struct kact act = {
		.handler = sig == SIGSYS ? (u64)sud_signal : (u64)signal_wrapper,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER | (flags & SA_TO_HOST),
		.restorer = (u64)icpt_restorer,
		.mask = ~0ULL,
	};

	return SYS(rt_sigaction, sig, &act, old, SIGSET_SIZE);
}

void signal_init(struct thread *t, bool known, u64 ignored)
{
	for (int sig = 1; ignored >> (sig - 1); sig++) {
		if (ignored & SIG_BIT(sig))
			t->sighand->act[sig].handler = (u64)SIG_IGN;
		if (sig == SIG_MAX)
			break;
	}
	t->sighand->known = known ? ~0ULL : OWN_SIGNALS;
	signal_install_wrapper(SIGSYS, SA_RESTART, NULL);
	signal_install_wrapper(SIGSEGV, SA_RESTART, NULL);
	signal_install_wrapper(SIGBUS, SA_RESTART, NULL);
}

/* The lock of the actions. A signal that comes meanwhile needs them too: the wrapper sees hand_busy
 * and leaves the signal for the end of the call, where the lock is free. */
void signal_lock(struct thread *t)
{
	t->hand_busy = true;
	compiler_barrier();
	lock_take(&t->sighand->lock);
}

void signal_unlock(struct thread *t)
{
	lock_drop(&t->sighand->lock);
	compiler_barrier();
	t->hand_busy = false;
}

void signal_get_action(struct thread *t, int sig, struct kact *act)
{
	signal_lock(t);
	*act = t->sighand->act[sig];
	signal_unlock(t);
}

/* SA_RESETHAND: the disposition becomes the default as the handler is called. */
void signal_reset_action(struct thread *t, int sig)
{
	struct kact dfl = { 0 };

	signal_lock(t);
	t->sighand->act[sig].handler = (u64)SIG_DFL;
	if (!is_own(sig))
		SYS(rt_sigaction, sig, &dfl, NULL, SIGSET_SIZE);
	signal_unlock(t);
}

void signal_clear_handlers(struct thread *t)
{
	struct kact dfl = { 0 };

	for (int sig = 1; sig <= SIG_MAX; sig++) {
		struct kact *act = &t->sighand->act[sig];

		if (!is_handler(act->handler))
			continue;
		*act = dfl;
		if (!is_own(sig))
			SYS(rt_sigaction, sig, &dfl, NULL, SIGSET_SIZE);
	}
}

/* What the host has for a signal that has no handler is asked for once, with the lock. */
static long learn_action(struct sighand *hand, int sig)
{
	long ret;

	if (hand->known & SIG_BIT(sig))
		return 0;
	ret = SYS(rt_sigaction, sig, NULL, &hand->act[sig], SIGSET_SIZE);
	if (!ret)
		hand->known |= SIG_BIT(sig);
	return ret;
}

/* Signals that exec must leave ignored. Only this thread of the process runs. */
u64 signal_ignored(struct thread *t)
{
	u64 ignored = 0;

	for (int sig = 1; sig <= SIG_MAX; sig++) {
		learn_action(t->sighand, sig);
		if (t->sighand->act[sig].handler == (u64)SIG_IGN)
			ignored |= SIG_BIT(sig);
	}
	return ignored;
}

/* SIGSYS is also sent among ourselves (client_poked): then nothing may end with EINTR. */
static u64 own_flags(int sig, const struct kact *act)
{
	return sig != SIGSYS && is_handler(act->handler) ? act->flags : SA_RESTART;
}

/* Nothing would change at the host. A signal that is ignored by default is different: setting
 * its action drops one that is pending. */
static bool is_no_change(int sig, const struct kact *had, const struct kact *act)
{
	if (is_own(sig))
		return own_flags(sig, had) == own_flags(sig, act);
	return had->handler == (u64)SIG_DFL && act->handler == (u64)SIG_DFL &&
	       !(IGNORED_BY_DEFAULT & SIG_BIT(sig));
}

/* Sets what the host has for a signal; *old is what the program had. Called with the
 * lock. */
static long set_action(struct sighand *hand, int sig, const struct kact *act,
		       struct kact *old)
{
	long ret = learn_action(hand, sig);

	if (ret)
		return ret;
	*old = hand->act[sig];
	if (!act)
		return 0;
	hand->act[sig] = *act; /* first: the wrapper must find it */
	if (is_no_change(sig, old, act))
		return 0;
	if (is_own(sig))
		ret = signal_install_wrapper(sig, own_flags(sig, act), NULL);
	else if (is_handler(act->handler))
		ret = signal_install_wrapper(sig, act->flags, NULL);
	else
		ret = SYS(rt_sigaction, sig, act, NULL, SIGSET_SIZE);
	if (ret)
		hand->act[sig] = *old;
	return ret;
}

long icpt_rt_sigaction(struct task *task, long a[6])
{
	struct thread *t = thread_of(task);
	struct kact act, old = { 0 };
	int sig = (int)a[0];
	long ret;

	if (a[3] != SIGSET_SIZE)
		return -EINVAL;
	if (a[1]) {
		if (user_read(&act, (void *)a[1], sizeof(act)))
			return -EFAULT;
		act.flags &= SA_KNOWN;
		act.mask &= ~NEVER_BLOCKED;
	}
	if (sig < 1 || sig > SIG_MAX || (a[1] && (NEVER_BLOCKED & SIG_BIT(sig))))
		return -EINVAL;
	signal_lock(t);
	ret = set_action(t->sighand, sig, a[1] ? &act : NULL, &old);
	signal_unlock(t);
	if (!ret && a[2])
		ret = user_write((void *)a[2], &old, sizeof(old));
	return ret;
}

/* --- masks -------------------------------------------------------------------------- */

void signal_block_all(u64 *old)
{
	u64 all = ~0ULL;

	SYS(rt_sigprocmask, SIG_SETMASK, &all, old, SIGSET_SIZE);
}

void signal_set_mask(u64 mask)
{
	SYS(rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGSET_SIZE);
}

static u64 apply_mask(long how, u64 have, u64 set)
{
	switch (how) {
	case SIG_BLOCK:
		return have | set;
	case SIG_UNBLOCK:
		return have & ~set;
	default:
		return set;
	}
}

/* Only when own signals are concerned is there more to do than the host does. */
static long set_mask_own(struct thread *t, const long a[6], u64 set)
{
	u64 old, before = t->vmask;
	long ret;

	t->scratch[0] = set & ~OWN_SIGNALS;
	ret = host_block(__NR_rt_sigprocmask, a[0], a[1] ? (long)&t->scratch[0] : 0,
			 (long)&old, SIGSET_SIZE, 0, 0);
	if (ret)
		return ret == -EINTR ? -ICPT_ERESTARTNOINTR : ret;
	if (a[1])
		t->vmask = apply_mask(a[0], before, set) & OWN_SIGNALS;
	if (before & ~t->vmask)
		signal_release_own(t);
	old |= before;
	return a[2] ? user_write((void *)a[2], &old, sizeof(old)) : 0;
}

long icpt_rt_sigprocmask(struct task *task, long a[6])
{
	struct thread *t = thread_of(task);
	u64 set = 0;

	if (a[3] != SIGSET_SIZE)
		return -EINVAL;
	if (a[1] && user_read(&set, (void *)a[1], sizeof(set)))
		return -EFAULT;
	if (t->vmask || (set & OWN_SIGNALS))
		return set_mask_own(t, a, set);
	return icpt_host_call(__NR_rt_sigprocmask, a);
}

/* --- own signals that are blocked in name: the host does not have them ----------------- */

static u64 own_held(const struct thread *t)
{
	u64 set = 0;

	for (size_t i = 0; i < ARRAY_SIZE(t->own); i++)
		if (t->own[i].sig)
			set |= SIG_BIT(t->own[i].sig);
	return set & t->vmask;
}

long icpt_rt_sigpending(struct task *task, long a[6])
{
	u64 set;
	long ret;

	if ((size_t)a[1] > SIGSET_SIZE)
		return -EINVAL;
	ret = SYS(rt_sigpending, &set, SIGSET_SIZE);
	set |= own_held(thread_of(task));
	return ret ? ret : user_write((void *)a[0], &set, (size_t)a[1]);
}

/* Takes one of the set; 0: there is none. */
static int own_take(struct thread *t, u64 set, siginfo_t *info)
{
	int sig = 0;
	u64 mask;

	if (!(own_held(t) & set))
		return 0;
	signal_block_all(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(t->own) && !sig; i++) {
		if (!t->own[i].sig || !(set & SIG_BIT(t->own[i].sig)))
			continue;
		sig = (int)t->own[i].sig;
		memcpy(info, &t->own[i].info, sizeof(*info));
		t->own[i].sig = 0;
	}
	signal_set_mask(mask);
	if (sig && info->si_code <= 0)
		client_siginfo(&t->task, info);
	return sig;
}

/* One that comes before the host's wait zeroes its time (own_waits), a later one ends it. */
static long wait_for_own(struct thread *t, u64 set, long a[6], u64 end)
{
	struct __kernel_timespec ts;
	siginfo_t info;
	long ret, taken;
	u64 left;

	do {
		left = end - MIN(end, host_monotonic_ns());
		ts.tv_sec = (s64)(left / NS_PER_S);
		ts.tv_nsec = (s64)(left % NS_PER_S);
		t->task.poll_time = (s64 *)&ts;
		compiler_barrier();
		ret = taken = own_take(t, set, &info);
		if (!taken)
			ret = client_rt_sigtimedwait(
				&t->task, (long[6]){ a[0], a[1], (long)&ts, a[3] });
		if (ret == CLIENT_HOST)
			ret = host_block(__NR_rt_sigtimedwait, a[0], a[1], (long)&ts,
					 a[3], 0, 0);
		compiler_barrier();
		t->task.poll_time = NULL;
		host_poke_over();
	} while ((ret == -EAGAIN && left) || (ret == -EINTR && !host_signal_pending()));
	if (taken && a[1] && user_write((void *)a[1], &info, sizeof(info)))
		return -EFAULT;
	return ret;
}

long icpt_rt_sigtimedwait(struct task *task, long a[6])
{
	struct __kernel_timespec ts = { .tv_sec = WAIT_MAX_S };
	u64 set = 0;
	long ret;

	if (a[3] != SIGSET_SIZE)
		return -EINVAL;
	if (user_read(&set, (void *)a[0], sizeof(set)) ||
	    (a[2] && user_read(&ts, (void *)a[2], sizeof(ts))))
		return -EFAULT;
	if (set & OWN_SIGNALS && ts.tv_sec >= 0 && (u64)ts.tv_nsec < NS_PER_S)
		return wait_for_own(thread_of(task), set, a,
				    ts.tv_sec >= WAIT_MAX_S
					    ? ~0ULL
					    : host_monotonic_ns() +
						      (u64)ts.tv_sec * NS_PER_S +
						      (u64)ts.tv_nsec);
	ret = client_rt_sigtimedwait(task, a);
	return ret == CLIENT_HOST ? icpt_host_call(__NR_rt_sigtimedwait, a) : ret;
}

/* --- waits with a mask ------------------------------------------------------------------ */

/* A mask argument for a call that waits with it: own signals stay open. */
static long open_mask(struct thread *t, long *user_mask, long size)
{
	u64 set;

	if (!*user_mask || size != SIGSET_SIZE)
		return 0; /* the host finds the error */
	if (user_read(&set, (void *)*user_mask, sizeof(set)))
		return -EFAULT;
	t->wait_mask = set & ~NEVER_BLOCKED;
	t->waits = true;
	if (set & OWN_SIGNALS) {
		t->scratch[0] = set & ~OWN_SIGNALS;
		*user_mask = (long)&t->scratch[0];
	}
	return 0;
}

static long wait_ends(struct thread *t, long ret, long nr, const long a[6])
{
	if (ret == CLIENT_HOST)
		ret = icpt_host_call(nr, a);
	t->waits = false;
	return ret;
}

long icpt_rt_sigsuspend(struct task *task, long a[6])
{
	long ret = open_mask(thread_of(task), &a[0], a[1]);

	return ret ? ret : wait_ends(thread_of(task), CLIENT_HOST, __NR_rt_sigsuspend, a);
}

long icpt_ppoll(struct task *task, long a[6])
{
	long ret = open_mask(thread_of(task), &a[3], a[4]);

	return ret ? ret
		   : wait_ends(thread_of(task), client_ppoll(task, a), __NR_ppoll, a);
}

long icpt_epoll_pwait(struct task *task, long a[6])
{
	long ret = open_mask(thread_of(task), &a[4], a[5]);

	return ret ? ret
		   : wait_ends(thread_of(task), client_epoll_pwait(task, a),
			       __NR_epoll_pwait, a);
}

long icpt_epoll_pwait2(struct task *task, long a[6])
{
	long ret = open_mask(thread_of(task), &a[4], a[5]);

	return ret ? ret
		   : wait_ends(thread_of(task), client_epoll_pwait2(task, a),
			       __NR_epoll_pwait2, a);
}

/* The last argument of pselect6 and io_pgetevents: { mask, size }. */
static long open_mask_pair(struct thread *t, long *user_pair)
{
	long pair[2];
	long ret;

	if (!*user_pair)
		return 0;
	if (user_read(pair, (void *)*user_pair, sizeof(pair)))
		return -EFAULT;
	ret = open_mask(t, &pair[0], pair[1]);
	if (!ret && pair[0] == (long)&t->scratch[0]) {
		t->scratch[1] = (u64)pair[0];
		t->scratch[2] = (u64)pair[1];
		*user_pair = (long)&t->scratch[1];
	}
	return ret;
}

long icpt_pselect6(struct task *task, long a[6])
{
	long ret = open_mask_pair(thread_of(task), &a[5]);

	return ret ? ret
		   : wait_ends(thread_of(task), client_pselect6(task, a), __NR_pselect6,
			       a);
}

long icpt_io_pgetevents(struct task *task, long a[6])
{
	long ret = open_mask_pair(thread_of(task), &a[5]);

	return ret ? ret : wait_ends(thread_of(task), CLIENT_HOST, __NR_io_pgetevents, a);
}

/* --- the alternate stack ------------------------------------------------------------ */

bool signal_on_vstack(const struct thread *t, u64 sp)
{
	u64 base = (u64)t->vstack.ss_sp;

	if ((u32)t->vstack.ss_flags & AUTODISARM)
		return false;
	return t->vstack.ss_size && sp > base && sp - base <= t->vstack.ss_size;
}

/* What do_sigaltstack of the kernel does. */
long signal_set_vstack(struct thread *t, const stack_t *ss, u64 sp)
{
	u32 mode = (u32)ss->ss_flags & ~AUTODISARM;

	if (signal_on_vstack(t, sp))
		return -EPERM;
	if (mode != STACK_OFF && mode != ON_STACK && mode != 0)
		return -EINVAL;
	if (mode != STACK_OFF && ss->ss_size < MIN_STACK)
		return -ENOMEM;
	t->vstack = *ss;
	if (mode == STACK_OFF) {
		t->vstack.ss_size = 0;
		t->vstack.ss_sp = NULL;
	}
	return 0;
}

long icpt_sigaltstack(struct task *task, long a[6])
{
	struct thread *t = thread_of(task);
	u64 sp = thread_frame(t)->rsp;
	stack_t new, old = t->vstack;
	u32 disarm = (u32)old.ss_flags & AUTODISARM;
	long ret = 0;

	/* Not the mode that it was set with: where the thread is. */
	old.ss_flags = !old.ss_size ? STACK_OFF : signal_on_vstack(t, sp) ? ON_STACK : 0;
	old.ss_flags |= (int)disarm;
	if (a[0]) {
		if (user_read(&new, (void *)a[0], sizeof(new)))
			return -EFAULT;
		ret = signal_set_vstack(t, &new, sp);
	}
	if (!ret && a[1])
		ret = user_write((void *)a[1], &old, sizeof(old));
	return ret;
}
