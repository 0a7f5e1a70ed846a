/* SPDX-License-Identifier: MIT */
/*
 * The core lock, and recovery from a holder that died.
 *
 *   holder                        waiter
 *   cas lock 0 -> tid             cas fails; a short spin; then, again and again:
 *   ... TX_SET ...                  seq = wake_seq; waiters = 1; lock still held?
 *   commit, lock = 0                futex wait while wake_seq is seq
 *   waiters? waiters = 0,           timed out and the holder dead: cas lock to own tid, roll back
 *     wake_seq++, wake one          lock free: cas 0 -> tid; waiters = 1, for those who still sleep
 *
 * The unlock is a plain store, so its look at `waiters` may come before the store is visible, and
 * a waiter that announces itself at just that moment is not woken. Therefore who sets waiters
 * first sleeps FIRST_WAIT_NS at most: longer than any store is delayed. Later ones are woken by
 * that one.
 *
 * A process may be killed at any instruction: before the commit its log is rolled back by who
 * takes over; after it (log_count = 0) there is nothing to roll back, and what it still had to
 * free stands on the garbage list. A holder that is merely preempted runs again within its
 * scheduler's slice: waiters sleep and never spin long, since they may share its CPU.
 */
#include <asm/errno.h>
#include <asm/signal.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/ptrace.h>

#include "base/race.h"
#include "base/str.h"
#include "base/sys.h"
#include "mem/mem.h"

#define LOCK_SPINS    80
#define FIRST_WAIT_NS 50000
#define LOCK_WAIT_NS  4000000

/* waitid's, which the kernel's headers name as libc's do */

#define TRAP_TRACE_ 2 /* siginfo's */

#ifdef HARE_CRASH_POINTS
u64 g_crash_at, g_crash_count;
void (*g_race_hook)(const char *what, u32 when);
void ck_crash_point(void)
{
	if (++g_crash_count == g_crash_at)
		SYS(exit_group, 99);
}
#endif

static bool thread_exists(u32 tid)
{
	return SYS(tkill, tid, 0) != -ESRCH;
}

/* The state letter in /proc/tid/stat; 0 when that cannot be read. */
static char thread_state(u32 tid)
{
	char path[32], buf[256];
	const char *state;
	long fd, n;

	str_format(path, sizeof(path), "/proc/%u/stat", tid);
	fd = SYS(open, path, O_RDONLY | O_CLOEXEC, 0);
	if (sys_failed(fd))
		return 0;
	n = SYS(read, fd, buf, sizeof(buf) - 1);
	SYS(close, fd);
	if (n <= 0)
		return 0;
	buf[n] = 0;
	state = strrchr(buf, ')'); /* the name before it may hold anything */
	return state ? state[2] : 0;
}

static bool thread_is_zombie(u32 tid)
{
	char state = thread_state(tid);

	return state == 'Z' || state == 'X';
}

/* A thread without memory has no exe: it is past its last instruction. Seen this way, a zombie
 * costs no descriptor, of which the program may have no more. But a /proc that hides the
 * processes of others (hidepid) shows neither exe nor stat of a thread that lives. */
bool ck_thread_dead(u32 tid)
{
	char path[32], to[8];
	long r;

	if (!thread_exists(tid))
		return true;
	str_format(path, sizeof(path), "/proc/%u/exe", tid);
	r = SYS(readlink, path, to, sizeof(to));
	if (!sys_failed(r))
		return false;
	if (r != -ENOENT)
		return thread_is_zombie(tid) || !thread_exists(tid);
	str_format(path, sizeof(path), "/proc/%u/stat", tid);
	return SYS(access, path, 0) == 0 || !thread_exists(tid);
}

void ck_abort_to(struct ck *ck, u32 mark)
{
	while (ck->log_count > mark) {
		const struct ck_undo *u = &ck->log[ck->log_count - 1];

		memcpy(u->addr, &u->old, u->size);
		compiler_barrier();
		ck_crash_point();
		ck->log_count--;
		compiler_barrier();
	}
}

static void take_over(struct ck *ck)
{
	ck_abort(ck);
	ck_collect(ck);
	ck->recovered++;
}

void ck_inherit(struct ctx *c)
{
	for (u32 core = 0; core < c->isl->super->cores; core++) {
		struct ck *ck = mem_ck(c->isl, core);

		if (!mem_is_near(c->isl, core) ||
		    __atomic_load_n(&ck->lock, __ATOMIC_RELAXED) != c->tid)
			continue;
		take_over(ck);
		ck_unlock(ck);
	}
}

static bool lock_cas(struct ck *ck, u32 from, u32 to)
{
	return __atomic_compare_exchange_n(&ck->lock, &from, to, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static bool lock_spin(struct ctx *c, struct ck *ck)
{
	for (int i = 0; i < LOCK_SPINS; i++) {
		cpu_pause();
		if (!__atomic_load_n(&ck->lock, __ATOMIC_RELAXED) && ck_trylock(c, ck))
			return true;
	}
	return false;
}

/* Sleeps while `holder` has the lock. True when it sat there for the whole time. */
static bool lock_sleep(struct ck *ck, u32 holder)
{
	struct {
		s64 sec, nsec;
	} wait = { 0, LOCK_WAIT_NS };
	u32 seq = __atomic_load_n(&ck->wake_seq, __ATOMIC_ACQUIRE);
	bool first = !__atomic_exchange_n(&ck->waiters, 1, __ATOMIC_SEQ_CST);

	if (__atomic_load_n(&ck->lock, __ATOMIC_RELAXED) != holder)
		return false;
	if (first)
		wait.nsec = FIRST_WAIT_NS;
	return SYS(futex, &ck->wake_seq, FUTEX_WAIT, seq, &wait, 0, 0) == -ETIMEDOUT;
}

/* A holder that was stopped (^Z, SIGSTOP) would keep its core waiting until somebody continues
 * it: so the waiter does, and stops it again when it has let go. True when it was so. */
static bool lock_nudge(u32 holder, char state)
{
	return state == 'T' && !SYS(tkill, holder, SIGCONT);
}

/* --- a holder that a tracer has stopped ----------------------------------------------- */

/* The tracer is a program of Hare too, and may need this lock before it goes on, to write down
 * what it saw. So when it is ourselves that wait, we let the holder run until it has let go, and
 * then bring the same stop about again. Nothing calls the host under a lock (but to ask who
 * died), so a holder's stop is that of a signal, or of the tracer's own asking. */

#define RESTOPS 8

struct siginfo_raw {
	s32 signo, err, code;
	u32 rest[29];
};

static void lock_nap(void)
{
	struct {
		s64 sec, nsec;
	} nap = { 0, 100000 };

	SYS(nanosleep, &nap, 0);
}

/* Is it the stop of a system call, as PTRACE_SYSCALL asks for? */
static bool is_call_stop(const struct siginfo_raw *seen)
{
	return seen->signo == SIGTRAP && (seen->code & ~0x80) == SIGTRAP;
}

/* Or that behind one instruction, as PTRACE_SINGLESTEP asks for? */
static bool is_step_stop(const struct siginfo_raw *seen)
{
	return seen->signo == SIGTRAP && seen->code == TRAP_TRACE_;
}

/* op: PTRACE_SYSCALL_INFO_ENTRY, _EXIT; 0: an old kernel */
static struct ptrace_syscall_info call_stop(u32 tid)
{
	struct ptrace_syscall_info info = { 0 };

	SYS(ptrace, PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info);
	return info;
}

/* One that is about to end stops for no signal any more. */
static bool is_exit_stop(u32 tid, const struct siginfo_raw *seen)
{
	struct ptrace_syscall_info info;

	if (!is_call_stop(seen))
		return false;
	info = call_stop(tid);
	return info.op == PTRACE_SYSCALL_INFO_ENTRY &&
	       (info.entry.nr == __NR_exit_group || info.entry.nr == __NR_exit);
}

/* Lets a stopped one run on, to its next call at most, without its signal, which is noted. False: not
 * ours, or not stopped. */
static bool trace_pass(u32 tid, struct siginfo_raw *seen, u32 *n)
{
	struct siginfo_raw now;
	long r = SYS(ptrace, PTRACE_GETSIGINFO, tid, 0, &now);

	if (r == -EINVAL) /* a stop of the whole process */
		now = (struct siginfo_raw){ .signo = SIGSTOP };
	if ((r && r != -EINVAL) || SYS(ptrace, PTRACE_SYSCALL, tid, 0, 0))
		return false;
	if (!is_call_stop(&now))
		seen[(*n)++] = now;
	return true;
}

static void trace_again(u32 tid, const struct siginfo_raw *seen)
{
	bool event = seen->signo == SIGTRAP && seen->code > 0xff;

	/* Only who was seized can be interrupted. */
	if (!event || SYS(ptrace, PTRACE_INTERRUPT, tid, 0, 0))
		SYS(tkill, tid, seen->signo);
}

/* Until the first of the stops is there, which the tracer takes for the one that it has seen, and goes on
 * from with its signal. What stops the tracee before that, by which it calls Hare or faults, would be lost if
 * that signal took its place, and with it the call: it passes. True: stopped so, outside of the lock, or
 * where it ends. */
static bool trace_await(struct ck *ck, u32 tid, const struct siginfo_raw *seen)
{
	struct siginfo_raw now;

	while (!ck_thread_dead(tid)) {
		long r = SYS(ptrace, PTRACE_GETSIGINFO, tid, 0, &now);

		if (r == -ESRCH) {
			lock_nap();
		} else if (!r && (is_call_stop(&now) ? is_exit_stop(tid, &now)
						     : now.signo == seen->signo)) {
			if (__atomic_load_n(&ck->lock, __ATOMIC_RELAXED) == tid)
				return false;
			SYS(ptrace, PTRACE_SETSIGINFO, tid, 0, seen);
			return true;
		} else {
			SYS(ptrace, PTRACE_SYSCALL, tid, 0,
			    r || is_call_stop(&now) ? 0 : now.signo);
		}
	}
	return true;
}

/* From one stop of the tracer's kind, behind an instruction or at a system call, to the next, until
 * one finds the lock free: that is its stop, and no signal mask was in the way of it. No exit of a
 * call takes the place of an entry; an entry does of an exit, as the call may block. (The emulated
 * model asks for its tid under the lock.) */
static void trace_on(struct ck *ck, u32 tid, bool step)
{
	struct siginfo_raw seen[RESTOPS], now;
	u8 op = step ? 0 : call_stop(tid).op;
	u32 n = 0;

	while (!SYS(ptrace, step ? PTRACE_SINGLESTEP : PTRACE_SYSCALL, tid, 0, 0)) {
		long r;

		while ((r = SYS(ptrace, PTRACE_GETSIGINFO, tid, 0, &now)) == -ESRCH) {
			if (ck_thread_dead(tid))
				return;
			lock_nap();
		}
		if (r) /* a stop of the whole process */
			now = (struct siginfo_raw){ .signo = SIGSTOP };
		if (step ? !is_step_stop(&now) : !is_call_stop(&now)) {
			if (n < RESTOPS)
				seen[n++] = now;
		} else if (__atomic_load_n(&ck->lock, __ATOMIC_RELAXED) != tid &&
			   !(op == PTRACE_SYSCALL_INFO_ENTRY &&
			     call_stop(tid).op == PTRACE_SYSCALL_INFO_EXIT)) {
			break;
		}
	}
	for (u32 i = 0; i < n; i++)
		trace_again(tid, &seen[i]);
}

static void lock_untrace(struct ck *ck, u32 holder)
{
	struct siginfo_raw seen[RESTOPS];
	u32 n = 0;

	if (!SYS(ptrace, PTRACE_GETSIGINFO, holder, 0, &seen[0]) &&
	    (is_call_stop(&seen[0]) || is_step_stop(&seen[0]))) {
		trace_on(ck, holder, is_step_stop(&seen[0]));
		return;
	}
	do {
		n = 0;
		while (n < RESTOPS &&
		       __atomic_load_n(&ck->lock, __ATOMIC_RELAXED) == holder &&
		       !ck_thread_dead(holder)) {
			if (!trace_pass(holder, seen, &n) && !n)
				return;
			lock_nap();
		}
		for (u32 i = 0; i < n; i++)
			trace_again(holder, &seen[i]);
	} while (n && !trace_await(ck, holder, &seen[0]));
}

void ck_lock_slow(struct ctx *c, struct ck *ck)
{
	bool won = lock_spin(c, ck);
	u32 nudged = 0;

	while (!won) {
		u32 holder = __atomic_load_n(&ck->lock, __ATOMIC_RELAXED);

		BUG_ON(holder == c->tid);
		if (!holder) {
			won = ck_trylock(c, ck);
		} else if (!lock_sleep(ck, holder)) {
			continue;
		} else if (!ck_thread_dead(holder)) {
			char state = thread_state(holder);

			if (lock_nudge(holder, state))
				nudged = holder;
			else if (state == 't')
				lock_untrace(ck, holder);
		} else if (lock_cas(ck, holder, c->tid)) {
			take_over(ck);
			won = true;
		}
		if (won) /* others may still sleep */
			__atomic_store_n(&ck->waiters, 1, __ATOMIC_RELAXED);
	}
	if (unlikely(nudged)) /* it cannot be inside: we are */
		SYS(tkill, nudged, SIGSTOP);
}

void ck_unlock_slow(struct ck *ck)
{
	__atomic_store_n(&ck->waiters, 0, __ATOMIC_RELAXED);
	__atomic_fetch_add(&ck->wake_seq, 1, __ATOMIC_SEQ_CST);
	SYS(futex, &ck->wake_seq, FUTEX_WAKE, 1, 0, 0, 0);
}

void tx_save(struct ck *ck, void *p, size_t len)
{
	u64 *w = p;

	for (size_t i = 0; i < len / 8; i++)
		ck_log(ck, &w[i], w[i], 8);
}
