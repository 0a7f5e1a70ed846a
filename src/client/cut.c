/* SPDX-License-Identifier: MIT */
/*
 * Files that become shorter while they are mapped: when truncate returns, an access behind the new
 * end gives SIGBUS in every process, on every core.
 *
 * Only a process itself can change what its mappings show, and it may be running:
 *
 *   truncating process      server           core of a mapping              its process
 *   TRUNC ----------------> size, CUT_MARK ----> record.cut, proc.cut
 *                                            agent: looks at its threads
 *                                              sleeping: will look at
 *                                              ck->cutting on the way out
 *                                              running: SIGBUS ---------> client_cut_now: maps
 *   CUT_ASK -------------------------------> EAGAIN                         what has no pages
 *                          <------------------------------ EVENT -------- record.cut = 0
 *   CUT_ASK -------------------------------> 0
 *
 * CUT_MARK is part of the transaction that makes the file shorter, so it comes whoever is killed,
 * and in order: whoever learns of the new size from the server finds it delivered. While a ring is full that
 * it has to go by, nothing is done, and TRUNC, or OPEN with O_TRUNC, is asked again: CUT_ASK goes by another
 * ring, and would come first.
 *
 * The agent looks at a thread after it was marked. One that sleeps in the host's kernel runs nothing
 * of the program before it comes by icpt_enter, and so does a new one, and a child of fork. Signals
 * go to the others only, so that none cuts a sleep short. A thread that was sent one and is in the
 * kernel, or is stopped, still gets it before its next instruction. So a process that sleeps or is
 * stopped holds nobody up: it is "safe".
 *
 * A mapping that is being made, or grows, is on no list, or looks shorter than it will be: what was
 * cut since it asked for the file's blocks is in a ring of this core (cut_missed).
 */
#include <linux/fcntl.h>

#include "client/mapping.h"
#include "client/path.h"

#define STEP	   128u /* records marked in one transaction */
#define LOOK_AGAIN 1000000LL /* ns */
#define WAIT_SLICE 50000000LL
#define WAIT_MAX   5000000000ULL
#define SIGBUS_	   7
#define SI_QUEUE_  (-1)

_Static_assert(CLIENT_CUT == PROC_CUT_SIGNAL, "a proxy knows it too");

/* --- marks; lock held ------------------------------------------------------------- */

/* The address at which a file of `size` bytes ends in a mapping. */
static u64 end_in(const struct mapping *m, u64 size)
{
	u64 end = ALIGN_UP(size, (u64)PAGE_SIZE);

	return end <= m->off ? m->start : m->start + MIN(end - m->off, m->end - m->start);
}

static bool mark(struct ck *ck, struct mapping *m, u64 size)
{
	u64 at = end_in(m, size);

	if (m->there <= at || (m->cut && m->cut <= at))
		return false;
	TX_SET(ck, m->cut, at);
	return true;
}

static void mark_proc(struct ck *ck, struct proc *p, const struct req_CUT *q, u32 *n)
{
	struct list *l;
	bool any = false;

	for (l = p->fds->maps.next; l != &p->fds->maps; l = l->next) {
		struct mapping *m = LIST_ENTRY(l, struct mapping, link);

		if (m->pin->ino != q->ino || !mark(ck, m, q->size))
			continue;
		if (!any)
			TX_ADD(ck, p->cut, 1);
		any = true;
		if (++*n % STEP == 0)
			ck_commit(ck);
	}
}

static bool is_pending(const struct proc *p, u64 ino)
{
	struct list *l;

	if (p->cut == p->cut_done || p->cut == p->cut_safe)
		return false;
	for (l = p->fds->maps.next; l != &p->fds->maps; l = l->next) {
		const struct mapping *m = LIST_ENTRY(l, struct mapping, link);

		if (m->cut && m->pin->ino == ino)
			return true;
	}
	return false;
}

/* Partitioned DRAM: the copy that this core has of it ends, too. */
static void cut_copy(struct rpc_env *e, const struct req_CUT *q)
{
	struct req_COPY_DATA cq = { .ino = q->ino, .op = COPY_CUT, .off = q->size };
	struct rep_COPY_DATA p = { .off = 0 };

	(void)fs_copy_data(e, &cq, &p);
}

/* Its server has zeroed what lies behind the end in the last block: this island's cache may hold
 * what was there. */
static void drop_tail(struct rpc_env *e, const struct req_CUT *q)
{
	const struct island *isl = e->c->isl;
	u64 in = q->size % PAGE_SIZE;

	if (q->tail && mem_has_block(isl, q->tail))
		mem_invalidate(isl, mem_block(isl, q->tail) + in, PAGE_SIZE - in);
}

static void note(struct ck *ck, struct client_root *r, const struct req_CUT *q)
{
	struct cut *c = &r->cut_ring[r->cuts % CUT_RING];

	TX_SET(ck, c->ino, q->ino);
	TX_SET(ck, c->size, q->size);
	TX_ADD(ck, r->cuts, 1);
}

static void wait_for(struct rpc_env *e, u32 seq)
{
	struct client_root *r = client_root(e->ck);

	for (u32 i = 0; seq && i < CUT_WAITERS; i++) {
		if (r->cut_wait[i].seq)
			continue;
		TX_SET(e->ck, r->cut_wait[i].core, e->core);
		TX_SET(e->ck, r->cut_wait[i].slot, e->slot);
		TX_SET(e->ck, r->cut_wait[i].seq, seq);
		return;
	}
}

static void wake(struct rpc_env *e)
{
	struct client_root *r = client_root(e->ck);

	for (u32 i = 0; i < CUT_WAITERS; i++) {
		if (!r->cut_wait[i].seq)
			continue;
		rpc_wake(e, r->cut_wait[i].core, r->cut_wait[i].slot, r->cut_wait[i].seq);
		TX_SET(e->ck, r->cut_wait[i].seq, 0);
	}
}

/* --- what servers and clients ask; run by whoever drains -------------------------- */

long client_cut(struct rpc_env *e, const struct req_CUT *q, struct rep_CUT *p)
{
	struct proc_root *r = proc_root(e->ck);
	bool pending = false;
	struct list *l;
	u32 n = 0;

	(void)p;
	if (q->op == CUT_MARK) {
		note(e->ck, client_root(e->ck), q);
		drop_tail(e, q);
		if (unlikely(e->ck->copies))
			cut_copy(e, q);
	}
	for (l = r->all.next; l != &r->all; l = l->next) {
		struct proc *pr = LIST_ENTRY(l, struct proc, all);

		if (!pr->fds || list_empty(&pr->fds->maps))
			continue;
		if (q->op == CUT_MARK)
			mark_proc(e->ck, pr, q, &n);
		pending |= is_pending(pr, q->ino);
	}
	if (!pending)
		return 0;
	__atomic_store_n(&e->ck->cutting, 1, __ATOMIC_SEQ_CST);
	if (!r->job_slot) /* no agent, no programs: a test */
		return 0;
	rpc_wake(e, e->srv, r->job_slot, r->job_seq);
	if (q->op == CUT_MARK)
		return 0;
	wait_for(e, q->wait_seq);
	ck_commit(e->ck);
	return -EAGAIN;
}

/* --- the truncating process ------------------------------------------------------- */

static void wait_until_cut(struct task *t, u32 core, u64 ino, u64 end)
{
	struct req_CUT q = { .ino = ino, .op = CUT_ASK };
	struct {
		s64 sec, nsec;
	} nap = { 0, LOOK_AGAIN };
	struct rep_CUT p;

	do {
		q.wait_seq = msg_event_prepare(&t->ctx);
		if (rpc_cut(&t->ctx, core, &q, &p) != -EAGAIN)
			return;
		if (client_cut_due(t))
			client_cut_now(t);
		else if (msg_event_wait(&t->ctx, q.wait_seq, WAIT_SLICE) ==
			 -HARE_ERESTARTSYS)
			SYS(nanosleep, &nap,
			    0); /* a signal is no reason to leave early */
	} while (host_monotonic_ns() < end);
}

long truncate_call(struct task *t, const struct req_TRUNC *q, struct rep_TRUNC *p)
{
	long r;

	while ((r = rpc_trunc(&t->ctx, ino_server(q->ino), q, p)) == -EAGAIN)
		pending_wait();
	return r;
}

void maps_shrunk(struct task *t, u64 ino, u64 mapped)
{
	u64 end;

	if (likely(!mapped))
		return;
	end = host_monotonic_ns() + WAIT_MAX;
	for (; mapped; mapped &= mapped - 1)
		wait_until_cut(t, (u32)__builtin_ctzll(mapped), ino, end);
}

/* --- the process with the mapping ------------------------------------------------- */

u64 cut_now(struct task *t)
{
	return __atomic_load_n(&client_root(t->ctx.ck)->cuts, __ATOMIC_ACQUIRE);
}

void cut_missed(struct task *t, struct ck *ck, struct mapping *m)
{
	const struct client_root *r = client_root(ck);
	u64 n = r->cuts - m->seen;
	bool any = false;

	for (u64 i = 0; i < MIN(n, (u64)CUT_RING); i++)
		if (r->cut_ring[(r->cuts - 1 - i) % CUT_RING].ino == m->pin->ino)
			any |= mark(ck, m,
				    r->cut_ring[(r->cuts - 1 - i) % CUT_RING].size);
	if (n > CUT_RING)
		any |= mark(ck, m, 0);
	if (!any)
		return;
	TX_ADD(ck, t->proc->cut, 1);
	__atomic_store_n(&ck->cutting, 1, __ATOMIC_SEQ_CST);
}

bool client_cut_due(const struct task *t)
{
	return t->proc && t->proc->cut != t->proc->cut_done;
}

void maps_born(struct task *t)
{
	struct ck *ck = t->ctx.ck;
	struct list *l;

	if (likely(!maps_any(t)))
		return;
	ck_lock(&t->ctx, ck);
	for (l = t->proc->fds->maps.next; l != &t->proc->fds->maps; l = l->next) {
		if (!LIST_ENTRY(l, struct mapping, link)->cut)
			continue;
		TX_ADD(ck, t->proc->cut, 1);
		__atomic_store_n(&ck->cutting, 1, __ATOMIC_SEQ_CST);
		break;
	}
	ck_unlock(ck);
}

/* A marked record, as a copy, its pin this thread's; false: there is none. Lock held. */
static bool marked(struct task *t, struct ck *ck, struct mapping *out)
{
	struct list *maps = &t->proc->fds->maps, *l;
	u32 i;

	for (l = maps->next; l != maps; l = l->next) {
		struct mapping *m = LIST_ENTRY(l, struct mapping, link);

		if (!m->cut)
			continue;
		*out = *m;
		TX_ADD(ck, out->pin->refs, 1);
		if (hold_push(t, out->pin, true, &i))
			hold_note(t, ck, i, out->pin);
		return true;
	}
	return false;
}

static void was_cut(struct task *t, struct ck *ck, const struct mapping *m)
{
	struct list *maps = &t->proc->fds->maps, *l;

	for (l = maps->next; l != maps; l = l->next) {
		struct mapping *r = LIST_ENTRY(l, struct mapping, link);

		if (r->start != m->start || r->end != m->end || r->pin != m->pin)
			continue;
		if (r->there > m->cut)
			TX_SET(ck, r->there, m->cut);
		if (r->cut == m->cut)
			TX_SET(ck, r->cut, 0);
	}
}

static bool any_left(struct ck *ck)
{
	struct proc_root *r = proc_root(ck);
	struct list *l;

	for (l = r->all.next; l != &r->all; l = l->next) {
		const struct proc *p = LIST_ENTRY(l, struct proc, all);

		if (p->cut != p->cut_done && p->fds && !list_empty(&p->fds->maps))
			return true;
	}
	return false;
}

/* Less is to be cut than before. Releases the lock. */
static void settle(struct task *t, struct ck *ck)
{
	struct rpc_env e = { .c = &t->ctx,
			     .ck = ck,
			     .srv = ck->core,
			     .core = t->ctx.core,
			     .unlocked = true };

	if (!any_left(ck))
		__atomic_store_n(&ck->cutting, 0, __ATOMIC_SEQ_CST);
	wake(&e);
	msg_unlock(&t->ctx, ck);
}

void maps_gone(struct task *t)
{
	struct ck *ck = t->ctx.ck;

	if (likely(!ck->cutting))
		return;
	ck_lock(&t->ctx, ck);
	settle(t, ck);
}

void client_cut_now(struct task *t)
{
	struct ck *ck = t->ctx.ck;
	struct mapping m;
	bool locked;

	if (!client_cut_due(t) || !t->proc->fds)
		return;
	locked = mapping_lock(t);
	ck_lock(&t->ctx, ck);
	while (marked(t, ck, &m)) {
		ck_unlock(ck);
		m.there = m.cut;
		(void)map_beyond(t, &m);
		ck_lock(&t->ctx, ck);
		was_cut(t, ck, &m);
		ck_unlock(ck);
		ofd_put(t, m.pin);
		ck_lock(&t->ctx, ck);
	}
	TX_SET(ck, t->proc->cut_done, t->proc->cut);
	settle(t, ck);
	mapping_unlock(t, locked);
}

/* --- the agent -------------------------------------------------------------------- */

/* The state letter of a thread; 0: it is gone. */
static char state_of(u32 pid, const char *tid)
{
	char path[64], buf[512];
	long fd, n;

	str_format(path, sizeof(path), "/proc/%u/task/%s/stat", pid, tid);
	fd = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (sys_failed(fd))
		return 0;
	n = SYS(read, fd, buf, sizeof(buf) - 1);
	SYS(close, fd);
	/* "TID (NAME) S ...": the name may hold anything, what follows no bracket. */
	while (n > 2 && buf[n - 1] != ')')
		n--;
	return n > 2 ? buf[n + 1] : 0;
}

/* Of a stopped thread: one that was stopped in a call goes on with that. */
static bool in_call(u32 pid, const char *tid)
{
	char path[64], c;
	long fd, n;

	str_format(path, sizeof(path), "/proc/%u/task/%s/syscall", pid, tid);
	fd = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (sys_failed(fd))
		return false;
	n = SYS(read, fd, &c, 1); /* its number; or "-1 ...", or "running" */
	SYS(close, fd);
	return n == 1 && c >= '0' && c <= '9';
}

static void interrupt(u32 pid, const char *tid)
{
	struct {
		s32 signo, error, code, pad, pid;
		u32 uid;
		u64 value;
		u8 rest[128 - 32];
	} info = { .signo = SIGBUS_, .code = SI_QUEUE_, .value = CLIENT_CUT };
	u32 n = 0;

	while (*tid)
		n = n * 10 + (u32)(*tid++ - '0');
	SYS(rt_tgsigqueueinfo, pid, n, SIGBUS_, &info);
}

/* Sends it on its way; true when it runs nothing of the program until it has cut. sent: it was
 * sent signals some time ago. */
static bool is_safe(u32 pid, bool sent)
{
	char path[32], buf[1024];
	bool safe = true;
	long dir, n;

	str_format(path, sizeof(path), "/proc/%u/task", pid);
	dir = SYS(openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (sys_failed(dir))
		return true; /* it has ended */
	while ((n = SYS(getdents64, dir, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n;) {
			const char *name = buf + at + 19;
			u16 len;
			char s;

			memcpy(&len, buf + at + 16, sizeof(len));
			at += len;
			s = name[0] == '.' ? 0 : state_of(pid, name);
			if (s == 'R' || s == 'D') {
				interrupt(pid, name);
				safe &= s == 'D' && sent;
			} else if ((s == 'T' || s == 't') && !sent &&
				   !in_call(pid, name)) {
				interrupt(pid, name);
			}
		}
	}
	SYS(close, dir);
	return safe;
}

struct look {
	u32 pid, cut;
	bool sent;
};

/* Processes to look at, max at most: how many. */
static u32 to_look_at(struct task *t, struct look *look, u32 max)
{
	struct ck *ck = t->ctx.ck;
	struct proc_root *r = proc_root(ck);
	struct list *l;
	u32 n = 0;

	ck_lock(&t->ctx, ck);
	for (l = r->all.next; l != &r->all && n < max; l = l->next) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		if (p->cut == p->cut_done || p->cut == p->cut_safe)
			continue;
		if (!p->host_pid) /* when it begins it finds the mark */
			TX_SET(ck, p->cut_safe, p->cut);
		else
			look[n++] = (struct look){ p->host_pid, p->cut,
						   p->cut_sent == p->cut };
	}
	ck_unlock(ck);
	return n;
}

static void looked_at(struct task *t, const struct look *look, bool safe)
{
	struct ck *ck = t->ctx.ck;
	struct rpc_env e = { .c = &t->ctx,
			     .ck = ck,
			     .srv = ck->core,
			     .core = t->ctx.core,
			     .unlocked = true };
	struct proc *p;

	ck_lock(&t->ctx, ck);
	p = proc_by_host_pid(ck, look->pid);
	if (p) {
		TX_SET(ck, p->cut_sent, look->cut);
		if (safe)
			TX_SET(ck, p->cut_safe, look->cut);
	}
	if (safe)
		wake(&e);
	msg_unlock(&t->ctx, ck);
}

s64 client_cut_tend(struct task *t)
{
	struct look look[32];
	bool all_safe = true;
	u32 n;

	if (likely(!__atomic_load_n(&t->ctx.ck->cutting, __ATOMIC_SEQ_CST)))
		return -1;
	n = to_look_at(t, look, ARRAY_SIZE(look));
	for (u32 i = 0; i < n; i++) {
		bool safe = is_safe(look[i].pid, look[i].sent);

		looked_at(t, &look[i], safe);
		all_safe &= safe;
	}
	return all_safe && n < ARRAY_SIZE(look) ? -1 : LOOK_AGAIN;
}
