/* SPDX-License-Identifier: MIT */
/*
 * The core lock, and recovery from a holder that died.
 *
 * lock word: 0 free | tid held | tid + WAITERS held, and somebody sleeps on it.
 *
 *   holder                     waiter
 *   cas 0 -> tid               cas fails; short spin; or WAITERS in; futex wait, 20 ms at most
 *   ... TX_SET ...             woken or timed out: holder dead? -> cas to own tid, roll back
 *   commit, xchg 0, wake one   cas 0 -> tid + WAITERS
 *
 * A process may be killed at any instruction: before the commit its log is rolled back by who
 * takes over; after it (log_count = 0) there is nothing to roll back, and what it still had to
 * free stands on the garbage list. A holder that is merely preempted runs again within its
 * scheduler's slice: waiters sleep and never spin long, since they may share its CPU.
 */
#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/futex.h>

#include "base/str.h"
#include "base/sys.h"
#include "mem/heap.h"
#include "mem/mem.h"

#define CK_LOCK_WAITERS 0x80000000u
#define CK_LOCK_TID 0x7fffffffu
#define LOCK_SPINS 40
#define LOCK_WAIT_NS 20000000

#ifdef HARE_CRASH_POINTS
u64 g_crash_at, g_crash_count;
void ck_crash_point(void)
{
	if (++g_crash_count == g_crash_at)
		SYS(exit_group, 99);
}
#endif

static bool lock_cas(struct ck *ck, u32 from, u32 to)
{
	return __atomic_compare_exchange_n(&ck->lock, &from, to, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

bool ck_thread_dead(u32 tid)
{
	char path[32], buf[256];
	const char *state;
	long fd, n;

	if (SYS(tkill, tid, 0) == -ESRCH)
		return true;
	str_format(path, sizeof(path), "/proc/%u/stat", tid);
	fd = SYS(open, path, O_RDONLY | O_CLOEXEC, 0);
	if (sys_failed(fd))
		return fd == -ENOENT;
	n = SYS(read, fd, buf, sizeof(buf) - 1);
	SYS(close, fd);
	if (n <= 0)
		return true;
	buf[n] = 0;
	state = strrchr(buf, ')'); /* the name before it may hold anything */
	return state && (state[2] == 'Z' || state[2] == 'X');
}

static void roll_back(struct ck *ck)
{
	while (ck->log_count) {
		const struct ck_undo *u = &ck->log[ck->log_count - 1];

		memcpy(u->addr, &u->old, u->size);
		compiler_barrier();
		ck->log_count--;
		compiler_barrier();
	}
}

static void take_over(struct ck *ck)
{
	roll_back(ck);
	ck_collect(ck);
	ck->recovered++;
}

static __attribute__((noinline)) void lock_slow(struct ctx *c, struct ck *ck)
{
	struct { s64 sec, nsec; } wait = { 0, LOCK_WAIT_NS };

	for (int i = 0; i < LOCK_SPINS; i++) {
		cpu_pause();
		if (!__atomic_load_n(&ck->lock, __ATOMIC_RELAXED) && lock_cas(ck, 0, c->tid))
			return;
	}
	for (;;) {
		u32 word = __atomic_load_n(&ck->lock, __ATOMIC_RELAXED);

		if (!word) {
			if (lock_cas(ck, 0, c->tid | CK_LOCK_WAITERS))
				return;
			continue;
		}
		BUG_ON((word & CK_LOCK_TID) == c->tid);
		if (!(word & CK_LOCK_WAITERS)) {
			if (!lock_cas(ck, word, word | CK_LOCK_WAITERS))
				continue;
			word |= CK_LOCK_WAITERS;
		}
		if (SYS(futex, &ck->lock, FUTEX_WAIT, word, &wait, 0, 0) != -ETIMEDOUT)
			continue;
		if (!ck_thread_dead(word & CK_LOCK_TID))
			continue;
		if (lock_cas(ck, word, c->tid | CK_LOCK_WAITERS)) {
			take_over(ck);
			return;
		}
	}
}

void ck_lock(struct ctx *c, struct ck *ck)
{
	if (unlikely(!lock_cas(ck, 0, c->tid)))
		lock_slow(c, ck);
}

bool ck_trylock(struct ctx *c, struct ck *ck)
{
	return lock_cas(ck, 0, c->tid);
}

void ck_commit(struct ck *ck)
{
	compiler_barrier();
	ck->log_count = 0;
	compiler_barrier();
	if (unlikely(ck->garbage))
		ck_collect(ck);
}

void ck_abort(struct ck *ck)
{
	roll_back(ck);
}

void ck_unlock(struct ck *ck)
{
	ck_commit(ck);
	if (unlikely(__atomic_exchange_n(&ck->lock, 0, __ATOMIC_RELEASE) & CK_LOCK_WAITERS))
		SYS(futex, &ck->lock, FUTEX_WAKE, 1, 0, 0, 0);
}

void tx_save(struct ck *ck, void *p, size_t len)
{
	u64 *w = p;

	for (size_t i = 0; i < len / 8; i++)
		ck_log(ck, &w[i], w[i], 8);
}
