/* SPDX-License-Identifier: MIT */
/*
 * Deadlocks of POSIX locks over files of several servers: a wait that closes a cycle of processes
 * that wait for each other fails with EDEADLK, as in Linux. Each server knows the waits for its own
 * files, and servers never wait for each other; so who begins to wait follows the chain:
 *
 *   A (core 0)                       server 1          server 2          B (core 3)
 *   has file 2                                         A's lock          has file 1
 *                                    B's lock
 *                                                      B waits for A <-- F_SETLKW of file 2
 *   F_SETLKW of file 1 ------------> A waits for B
 *   does anybody wait for A? -------------------------> yes
 *   for whom does B wait? ---------> nobody here, ----> A: a cycle
 *   the same once more: still so? -> ...
 *   EDEADLK
 *
 * Found exactly when it is there: the last wait of a cycle is registered before its process looks,
 * so that one, at the latest, finds the cycle whole. And each wait (by its number) was seen twice,
 * all of them once before any of them again; so in between all were there at once.
 *
 * Two that begin at the same moment both find the cycle, but one of them must go on: a registration
 * says `searching` until its process has looked. Of those the one with the highest owner fails; the
 * others look again until there is no such one, or no cycle.
 *
 * It costs nothing when a process that has set locks at one server alone waits there and nobody
 * waits for it, and else, when nobody does, a message to each server where it has set locks.
 */
#include "base/race.h"
#include "client/file.h"

#define DEPTH  11 /* waits in a cycle, as Linux looks */
#define NAP_NS 500000

struct chain {
	u64 wait[DEPTH]; /* server << 48 ^ the wait's number there */
	u32 count;
	bool yields; /* somebody else in it is searching, and goes first */
};

static bool is_awaited(struct task *t, u64 owner, u64 servers)
{
	struct req_LOCK_WAITS q = { .owner = owner };
	struct rep_LOCK_WAITS p[MAX_CORES];
	long result[MAX_CORES] = { 0 };

	rpc_all_lock_waits(&t->ctx, servers, &q, false, p, result);
	for (; servers; servers &= servers - 1) {
		u32 s = (u32)__builtin_ctzll(servers);

		if (!result[s] && p[s].awaited)
			return true;
	}
	return false;
}

/* For whom `owner` waits, at whatever server; 0: for nobody. */
static u64 next_in(struct task *t, u64 owner, struct chain *c, u64 self)
{
	struct req_LOCK_WAITS q = { .owner = owner };
	struct rep_LOCK_WAITS p[MAX_CORES];
	long result[MAX_CORES];
	u64 servers = rpc_servers(&t->ctx);

	rpc_all_lock_waits(&t->ctx, servers, &q, false, p, result);
	for (; servers; servers &= servers - 1) {
		u32 s = (u32)__builtin_ctzll(servers);

		if (result[s] || !p[s].blocker)
			continue;
		c->wait[c->count++] = (u64)s << 48 ^ p[s].wait_id;
		c->yields |= p[s].searching && owner > self;
		return p[s].blocker;
	}
	return 0;
}

/* From the wait `id` of `self` at srv on, is there a cycle? */
static bool follow(struct task *t, u32 srv, u64 self, u64 id, struct chain *c)
{
	struct req_LOCK_WAITS q = { .owner = self, .wait_id = id };
	struct rep_LOCK_WAITS p;
	u64 owner;

	c->count = 0;
	c->yields = false;
	if (rpc_lock_waits(&t->ctx, srv, &q, &p))
		return false;
	c->wait[c->count++] = (u64)srv << 48 ^ id;
	race_point("followed", RACE_AT);
	for (owner = p.blocker; owner && owner != self && c->count < DEPTH;)
		owner = next_in(t, owner, c, self);
	return owner == self;
}

static bool same(const struct chain *a, const struct chain *b)
{
	if (a->count != b->count)
		return false;
	for (u32 i = 0; i < a->count; i++)
		if (a->wait[i] != b->wait[i])
			return false;
	return true;
}

long lock_deadlock(struct task *t, u32 srv, const struct req_LOCK *q,
		   const struct rep_LOCK *p)
{
	struct req_LOCK_WAITS over = { .owner = q->owner,
				       .wait_id = p->wait_id,
				       .over = 1 };
	struct {
		s64 sec, nsec;
	} nap = { 0, NAP_NS };
	struct rep_LOCK_WAITS rep;
	struct chain a, b;

	race_point("registered", RACE_AT);
	if (is_awaited(t, q->owner, q->servers | 1ULL << srv)) {
		while (follow(t, srv, q->owner, p->wait_id, &a)) {
			if (!follow(t, srv, q->owner, p->wait_id, &b))
				break;
			if (same(&a, &b) && !b.yields)
				return -EDEADLK;
			if (host_signal_pending())
				return -HARE_ERESTARTSYS;
			race_point("looks again", RACE_AT);
			SYS(nanosleep, &nap, 0);
		}
	}
	(void)rpc_lock_waits(&t->ctx, srv, &over, &rep);
	return 0;
}
