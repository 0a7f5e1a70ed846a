/* SPDX-License-Identifier: MIT */
/*
 * Life of a process as its core kernel sees it: attach, threads, fork, leaving, and what is done
 * for one that was killed. (Thesis section 3.6.) Called by src/intercept around the host's own
 * clone, execve and exit_group, and by the agent and by parents for the dead.
 *
 *   fork    prepare: entry NEW with copies of descriptors and cwd; host's clone; the child
 *           enters its host pid and is RUNNING. A maker killed in between leaves a NEW entry
 *           without host pid: the host has written the child's pid into `born` before the child
 *           ran, or there is none and who reaps the maker drops the entry.
 *   exit    closes everything, frees the entry. A process that still has other threads only
 *           says that it is EXITING: they may be in the middle of a call and are gone only when
 *           the host process is, so its parent's wait or the agent does the rest.
 *   killed  the same: client_reap, by whoever sees the end first. It may itself be killed at
 *           any point and is then done again by the next one.
 */
#include <asm/errno.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/time_types.h>

#include "base/race.h"
#include "base/str.h"
#include "base/sys.h"
#include "client/file.h"
#include "client/exec.h"
#include "client/path.h"

#define NAP_NS		 100000
#define US_PER_S	 1000000u
#define RUSAGE_CHILDREN_ (-1)
#define NAPS_MAX	 20000 /* two seconds */
#define BORN_GRACE_NS                                                                    \
	5000000000ULL /* until a child of which nothing is known is given up */

static struct island g_island;

static void nap(void)
{
	struct __kernel_timespec t = { .tv_nsec = NAP_NS };

	SYS(nanosleep, &t, 0);
}

/* --- attach ------------------------------------------------------------------------------------- */

static long map_island(const struct mem_fds *memfds, u32 core)
{
	struct super head;
	u32 id;
	long r = SYS(pread64, memfds->dram, &head, offsetof(struct super, model), 0);

	if (sys_failed(r))
		return r;
	if (head.magic != SUPER_MAGIC || core >= head.cores)
		return -EINVAL;
	id = mem_island_of(&head, core);
	if (g_island.super && g_island.id == id)
		return 0;
	if (g_island.super) /* a fork of who belonged to another one */
		mem_unmap(&g_island);
	return mem_map(&g_island, memfds, id);
}

static void ctx_init(struct task *t, u32 core)
{
	t->ctx = (struct ctx){
		.isl = &g_island,
		.ck = mem_ck(&g_island, core),
		.core = core,
		.tid = (u32)SYS(gettid),
	};
	ck_inherit(&t->ctx);
}

/* Slots are never short for long: the number of threads is bounded by PROC_THREADS_MAX. */
static void slot_take(struct task *t)
{
	t->ctx.slot = 0;
	while (msg_slot_take(&t->ctx) == -EAGAIN)
		nap();
}

long client_attach(struct task *t, const struct mem_fds *memfds, u32 core)
{
	struct ck *ck;
	u32 pid = (u32)SYS(getpid); /* not under the lock: a tracer may stop us here */
	long r = map_island(memfds, core);

	if (r)
		return r;
	rpc_init();
	ctx_init(t, core);
	ck = t->ctx.ck;
	ck_lock(&t->ctx, ck);
	t->proc = proc_by_host_pid(ck, pid);
	ck_unlock(ck);
	if (!t->proc)
		return -ESRCH;
	slot_take(t);
	return 0;
}

long client_attach_core(struct task *t, const struct mem_fds *memfds, u32 core)
{
	long r = map_island(memfds, core);

	if (r)
		return r;
	rpc_init();
	ctx_init(t, core);
	return msg_slot_take(&t->ctx);
}

struct island *client_island(void)
{
	return &g_island;
}

void cred_read(struct task *t, struct cred *cred)
{
	u32 *groups = (u32 *)t->bounce;
	long n = SYS(getgroups, CLIENT_BOUNCE_SIZE / sizeof(u32), groups);

	cred->uid = (u32)SYS(setfsuid, -1);
	cred->gid = (u32)SYS(setfsgid, -1);
	cred->ngroups = n > 0 ? MIN((u32)n, CRED_GROUPS_MAX) : 0;
	memcpy(cred->groups, groups, cred->ngroups * sizeof(u32));
}

static void fill_from_host(struct proc *p, const struct super *s, u32 core)
{
	p->pid = (u32)SYS(getpid);
	p->ppid = p->host_ppid = (u32)SYS(getppid);
	p->pgid = p->host_pgid = (u32)SYS(getpgid, 0);
	p->sid = (u32)SYS(getsid, 0);
	SYS(getresuid, &p->ruid, &p->euid, &p->suid);
	/* Those of a console outside of this kernel have no number here, see proc_from_console. */
	p->pgid = p->pgid ? p->pgid : p->pid;
	p->sid = p->sid ? p->sid : p->pid;
	p->placement = s->placement;
	p->next_core = core - mem_first_program_core(s) + 1;
	p->start_ns = p->birth = host_monotonic_ns();
	str_copy(p->comm, "hare", sizeof(p->comm));
}

long client_attach_tool(struct task *t, const struct mem_fds *memfds, u32 core)
{
	struct cred cred;
	struct ck *ck;
	u32 mask = (u32)SYS(umask, 022);
	long r = client_attach_core(t, memfds, core);

	SYS(umask, mask);
	if (r)
		return r;
	ck = t->ctx.ck;
	cred_read(t, &cred);
	ck_lock(&t->ctx, ck);
	t->proc = proc_new(ck); /* also at the end: exports come after the programs */
	if (t->proc) {
		fill_from_host(t->proc, g_island.super, core);
		t->proc->cred = cred;
		t->proc->umask = mask;
		t->proc->flags = PROC_TOOL;
		t->proc->state = PROC_RUNNING;
		proc_set_host_pid(ck, t->proc, t->proc->pid);
	}
	ck_unlock(ck);
	if (!t->proc)
		return -ENOSPC;
	agent_wake(t);
	return fdtable_new(t, &t->proc->fds, true);
}

void client_tool_becomes_program(struct task *t)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	TX_SET(ck, t->proc->flags, t->proc->flags & ~PROC_TOOL);
	ck_unlock(ck);
}

/* Our number is one of the last in its kernel's range: no more are to be had before the agent has
 * turned the counter back. */
static void pids_wait(struct task *t)
{
	struct proc_root *r = proc_root(t->ctx.ck);
	u32 naps;

	for (naps = 0; naps < NAPS_MAX; naps++) {
		if (!(naps % 100)) {
			__atomic_store_n(&r->pids_out, 1, __ATOMIC_SEQ_CST);
			__atomic_store_n(&r->wake_agent, 1, __ATOMIC_SEQ_CST);
			msg_ring(t->ctx.isl, t->ctx.core, 0);
		}
		nap();
		if (!__atomic_load_n(&r->pids_out, __ATOMIC_SEQ_CST))
			return;
	}
}

static void pids_check(struct task *t, u32 tid)
{
	u32 turn = proc_root(t->ctx.ck)->pid_turn;

	if (unlikely(turn && tid >= turn))
		pids_wait(t);
}

/* The agent looks at new processes some time after the first of them came. */
void agent_wake(struct task *t)
{
	struct proc_root *r = proc_root(t->ctx.ck);

	if (__atomic_load_n(&r->wake_agent, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&r->wake_agent, 1, __ATOMIC_SEQ_CST);
	msg_ring(t->ctx.isl, t->ctx.core, 0);
}

/* --- threads ------------------------------------------------------------------------------------ */

static bool thread_room(struct ck *ck)
{
	struct proc_root *r = proc_root(ck);

	return !r->halting && r->threads < PROC_THREADS_MAX;
}

static void thread_count(struct task *t, u32 delta)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	TX_ADD(ck, t->proc->threads, delta);
	TX_ADD(ck, proc_root(ck)->threads, (u64)(s64)(s32)delta);
	ck_unlock(ck);
}

long client_thread_new(struct task *t, struct task *child)
{
	if (!thread_room(t->ctx.ck))
		return -EAGAIN;
	thread_count(t, 1);
	child->ctx = t->ctx;
	child->ctx.tid = 0;
	child->ctx.slot = 0;
	child->proc = t->proc;
	child->flags = t->flags;
	return 0;
}

void client_thread_run(struct task *child, s32 tid)
{
	child->ctx.tid = (u32)tid;
	pids_check(child, (u32)tid);
	slot_take(child);
}

/* Also for a thread that the host refused to make: then t has no tid, and the caller's is as
 * good for the lock as any that lives. */
void client_thread_exit(struct task *t)
{
	if (!t->ctx.tid)
		t->ctx.tid = (u32)SYS(gettid);
	exec_forget(t);
	msg_slot_give(&t->ctx);
	thread_count(t, (u32)-1);
}

/* --- fork --------------------------------------------------------------------------------------- */

static void inherit(struct ck *ck, struct proc *p, struct proc *c, u64 clone_flags)
{
	bool sibling = clone_flags & CLONE_PARENT;

	c->maker = p->host_pid;
	c->ppid = sibling ? p->ppid : p->pid;
	c->host_ppid = sibling ? p->host_ppid : p->host_pid;
	c->pgid = p->pgid;
	c->host_pgid = p->host_pgid;
	c->sid = p->sid;
	c->tty_core = p->tty_core;
	c->tty_pid = p->tty_pid;
	c->cred = p->cred;
	c->ruid = p->ruid;
	c->euid = p->euid;
	c->suid = p->suid;
	c->placement = p->placement;
	c->next_core = p->next_core;
	c->affinity = p->affinity;
	c->distribute = p->distribute;
	c->flags = p->flags & (PROC_STAY | PROC_TOOL);
	c->start_ns = c->birth = host_monotonic_ns();
	memcpy(c->comm, p->comm, sizeof(c->comm));
	/* Each child starts the round one core further (thesis 3.6.1). */
	if (p->placement == PLACE_ROUND_ROBIN)
		TX_SET(ck, p->next_core, p->next_core + 1);
}

static struct proc *entry_for_child(struct task *t, u64 clone_flags)
{
	struct ck *ck = t->ctx.ck;
	struct proc *p = t->proc, *c = NULL;

	ck_lock(&t->ctx, ck);
	if (thread_room(ck))
		c = proc_new(ck);
	if (c) {
		inherit(ck, p, c, clone_flags);
		c->maker = t->ctx.tid;
		cwd_inherit(ck, p, c, (clone_flags & CLONE_FS) != 0);
		c->exe_ofd = p->exe_ofd;
		if (p->exe_ofd)
			TX_ADD(ck, p->exe_ofd->refs, 1);
		if (p->exe && proc_set_exe(ck, c, p->exe)) {
			ck_abort(ck);
			c = NULL;
		} else if ((clone_flags & CLONE_FILES) && p->fds) {
			TX_ADD(ck, p->fds->refs, 1);
			c->fds = p->fds;
		}
	}
	ck->counter[COUNT_FORKS]++;
	ck_unlock(ck);
	return c;
}

/* As a kernel without PID namespaces: in one, the numbers by which a core lock's holder is known, and
 * known to live, would be other ones. */
static bool has_new_pids(u64 flags)
{
	return flags & CLONE_NEWPID;
}

long client_fork_prepare(struct task *t, u64 clone_flags, struct proc **child)
{
	struct proc *p = t->proc;
	struct proc *c =
		has_new_pids(clone_flags) ? NULL : entry_for_child(t, clone_flags);
	/* The mappings stay the parent's: what it unmaps meanwhile may be something else already
	 * when the child would cut a file in it. */
	bool shares_memory = clone_flags & CLONE_VM && clone_flags & CLONE_VFORK;
	long r = 0;

	if (!c)
		return has_new_pids(clone_flags) ? -EINVAL : -EAGAIN;
	if (!c->fds && p->fds)
		r = fdtable_copy(t, p->fds, &c->fds, !shares_memory);
	if (r) {
		client_fork_parent(t, c, r);
		return r == -ENOSPC ? -ENOMEM : r;
	}
	*child = c;
	return 0;
}

void client_fork_child(struct task *t, struct proc *child, s32 tid)
{
	struct ck *ck = t->ctx.ck;
	bool mine;

	t->ctx.tid = (u32)tid;
	t->proc = child;
	ck_lock(&t->ctx, ck);
	mine = child->state == PROC_NEW && !proc_root(ck)->halting;
	if (mine) {
		TX_SET(ck, child->pid, (u32)tid);
		TX_SET(ck, child->state, PROC_RUNNING);
		proc_set_host_pid(ck, child, (u32)tid);
		ck->counter[COUNT_PROCS]++;
	}
	ck_unlock(ck);
	if (!mine) /* the instance ends, or nobody expected us any more */
		SYS(exit_group, 128 + 9);
	race_point("known", RACE_AT);
	agent_wake(t);
	pids_check(t, (u32)tid);
	slot_take(t);
	maps_born(t);
}

/* A child may be killed before its first instruction: so the parent, too, enters its host pid. Only while the
 * entry is still the one that this thread made. */
static void child_name(struct task *t, struct proc *child, u32 host_pid)
{
	struct ck *ck = t->ctx.ck;
	struct proc_root *r = proc_root(ck);
	struct list *l;

	ck_lock(&t->ctx, ck);
	for (l = r->all.prev; l != &r->all; l = l->prev) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		if (p != child)
			continue;
		if (p->state == PROC_NEW && !p->host_pid && p->maker == t->ctx.tid) {
			TX_SET(ck, p->pid, host_pid);
			proc_set_host_pid(ck, p, host_pid);
		}
		break;
	}
	ck_unlock(ck);
}

void client_fork_parent(struct task *t, struct proc *child, long result)
{
	if (!sys_failed(result)) {
		child_name(t, child, (u32)result);
		/* As the child does: it may have been killed when its pid was there, and before that. */
		agent_wake(t);
		return; /* the entry is the child's now, which may be gone already */
	}
	proc_release(t, child);
	proc_drop(t, child);
}

/* --- unshare ----------------------------------------------------------------------------------- */

/* What a process has in common with others as well: CLONE_FS, CLONE_FILES. Of a single thread none of
 * its own is kept. */
#define UNSHARE_PLAIN                                                                    \
	(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)
long client_unshare(struct task *t, long a[6])
{
	u64 flags = (u64)a[0];
	long r;

	if (has_new_pids(flags))
		return -EINVAL;
	if (flags & ~(u64)UNSHARE_PLAIN)
		stay_here(t);
	r = SYS(unshare, a[0]);
	if (r || t->proc->threads > 1)
		return r;
	if (flags & (CLONE_FS | CLONE_NEWNS | CLONE_NEWUSER))
		fs_unshare(t, t->proc);
	if (flags & CLONE_FILES)
		r = fdtable_unshare(t, t->proc);
	return r;
}

/* --- leaving ------------------------------------------------------------------------------------ */

/* A task that acts for another process of its core: whoever looks at t->proc sees that one. */
static struct proc *act_for(struct task *t, struct proc *p)
{
	struct proc *self = t->proc;

	t->proc = p;
	return self;
}

static void intents_recover(struct task *t, struct proc *p)
{
	struct ck *ck = t->ctx.ck;

	for (;;) {
		struct intent_node *n = NULL;

		ck_lock(&t->ctx, ck);
		/* The newest first: what it was part of stays locked meanwhile. */
		if (!list_empty(&p->intents)) {
			n = LIST_ENTRY(p->intents.prev, struct intent_node, link);
			ck->counter[COUNT_RECOVERIES]++;
		}
		ck_unlock(ck);
		if (!n)
			return;
		intent_recover(t, n);
	}
}

/* Closes what a process holds, whoever does it, as often as it is called. */
void proc_release(struct task *t, struct proc *p)
{
	struct proc *self = act_for(t, p);

	/* What a dead process never committed must be rolled back before its marks are read. */
	if (p != self) {
		client_settle(&t->ctx);
		vnode_recover(t);
	}
	intents_recover(t, p);
	if (p->pass)
		exec_pass_undo(t, p);
	if (p->fds)
		fdtable_put(t, &p->fds);
	fs_unshare(t, p);
	if (p->cwd)
		(void)cwd_set(t, p, 0, 0);
	if (p->root)
		(void)root_set(t, p, 0, 0);
	exec_runs(t, p, NULL);
	t->proc = self;
}

void proc_drop(struct task *t, struct proc *p)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	proc_free(ck, p);
	ck_unlock(ck);
	maps_gone(t);
}

static void set_state(struct task *t, struct proc *p, u32 state)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	TX_SET(ck, p->state, state);
	ck_unlock(ck);
}

static void add_usage(struct ck *ck, struct proc *p, u64 user, u64 system, u64 maxrss)
{
	TX_ADD(ck, p->child_user_us, user);
	TX_ADD(ck, p->child_system_us, system);
	if (maxrss > p->child_maxrss)
		TX_SET(ck, p->child_maxrss, maxrss);
}

/* What the host does not know of what a process used; it counts once. Lock held. */
static void usage_out(struct ck *ck, struct proc *p, u64 *user, u64 *system, u64 *maxrss)
{
	*user = p->user_us + p->child_user_us;
	*system = p->system_us + p->child_system_us;
	*maxrss = p->maxrss;
	TX_SET(ck, p->user_us, 0);
	TX_SET(ck, p->child_user_us, 0);
	TX_SET(ck, p->system_us, 0);
	TX_SET(ck, p->child_system_us, 0);
}

/* What its children used on other cores goes to the parent, as what they used here does. */
static void leave_usage(struct task *t, struct proc *p)
{
	struct ck *ck = t->ctx.ck;
	struct proc *parent;
	u32 ppid;

	if (!(p->child_user_us | p->child_system_us) || p->proxy_core != MAX_CORES)
		return; /* or the agent reports it */
	ppid = (u32)SYS(getppid);
	ck_lock(&t->ctx, ck);
	parent = proc_by_host_pid(ck, ppid);
	if (parent)
		add_usage(ck, parent, p->child_user_us, p->child_system_us,
			  p->child_maxrss);
	ck_unlock(ck);
}

void client_exit(struct task *t, int status)
{
	struct proc *p = t->proc;
	bool stays;

	(void)status;
	if (p->threads > 1) {
		set_state(t, p, PROC_EXITING);
		agent_wake(t);
		return;
	}
	/* Of a program that a proxy waits for the agent has still to tell the end; and of one that was
	 * elsewhere its parent, or the agent, counts what it used there. */
	stays = p->proxy_core != MAX_CORES || p->user_us | p->system_us;
	if (!stays)
		leave_usage(t, p);
	proc_release(t, p);
	if (stays)
		set_state(t, p, PROC_EXITING);
	if (stays && p->proxy_core == MAX_CORES)
		agent_wake(t); /* of one from elsewhere it is the parent, and knows */
	msg_slot_give(&t->ctx);
	if (!stays)
		proc_drop(t, p);
	t->proc = NULL;
}

/* One reaper at a time; one that was killed is replaced. */
static bool reap_claim(struct task *t, struct proc *p)
{
	struct ck *ck = t->ctx.ck;

	if (p->reaper && p->reaper != t->ctx.tid && !ck_thread_dead(p->reaper))
		return false;
	TX_SET(ck, p->reaper, t->ctx.tid);
	if (p->state != PROC_PROXY)
		TX_SET(ck, p->state, PROC_EXITING);
	return true;
}

/* The entry of a dead process, claimed; NULL when there is none (*busy: or another reaps). */
static struct proc *reap_find(struct task *t, u32 host_pid, bool *busy)
{
	struct ck *ck = t->ctx.ck;
	struct proc *p;

	*busy = false;
	ck_lock(&t->ctx, ck);
	p = proc_by_host_pid(ck, host_pid);
	if (p && !reap_claim(t, p)) {
		*busy = true;
		p = NULL;
	}
	ck_unlock(ck);
	return p;
}

/* What comes back to a proxy that was killed is started all the same, to be killed as elsewhere. */
static void offer_back(struct task *t, struct proc *p)
{
	struct rpc_env e;

	if (!p->offer)
		return;
	step_lock(t, t->ctx.core, &e);
	proc_offer_back(&e, p);
	msg_unlock(&t->ctx, e.ck);
}

/* The program of a proxy that was killed must end with it. */
static void kill_program(struct task *t, struct proc *p)
{
	struct req_SIGNAL q = { .pid = p->pid, .sig = 9 };
	struct rep_SIGNAL rep;
	u32 target;
	long r;

	if (p->state != PROC_PROXY || p->target_core == MAX_CORES ||
	    p->flags & PROC_REPORTED)
		return;
	do { /* it may be going on while we ask */
		target = __atomic_load_n(&p->target_core, __ATOMIC_ACQUIRE);
		r = rpc_signal(&t->ctx, target, &q, &rep);
	} while (r == -ESRCH &&
		 target != __atomic_load_n(&p->target_core, __ATOMIC_ACQUIRE));
	if (!r) {
		/* It arrived there: what went along is the program's to close. */
		ck_lock(&t->ctx, t->ctx.ck);
		TX_SET(t->ctx.ck, p->flags, p->flags | PROC_KILLED);
		ck_unlock(t->ctx.ck);
	}
}

/* The agent can be faster than the parent that waits: what a process and its children used
 * elsewhere is its parent's then, as if that had taken it. */
static void reap_usage(struct task *t, struct proc *p)
{
	struct ck *ck = t->ctx.ck;
	u64 user, system, maxrss;
	struct proc *parent;

	if (p->proxy_core != MAX_CORES)
		return; /* reported */
	ck_lock(&t->ctx, ck);
	parent = proc_by_host_pid(ck, p->host_ppid);
	usage_out(ck, p, &user, &system, &maxrss);
	if (parent && (user | system))
		add_usage(ck, parent, user, system, maxrss);
	ck_unlock(ck);
}

static void reap(struct task *t, struct proc *p)
{
	reap_usage(t, p);
	offer_back(t, p);
	kill_program(t, p);
	relay_forget(t, p);
	proc_release(t, p);
	pass_settle(t);
	if (p->proxy_core == MAX_CORES)
		proc_drop(t, p); /* else the agent tells the proxy and drops it */
	(void)client_reap_unborn(t);
}

void client_reap(struct task *t, u32 host_pid)
{
	bool busy;
	u32 naps = 0;

	do {
		struct proc *p = reap_find(t, host_pid, &busy);

		if (p)
			reap(t, p);
		if (busy)
			nap();
	} while (busy && naps++ < NAPS_MAX);
}

void client_reap_new(struct task *t, struct proc *p)
{
	proc_release(t, p);
	proc_drop(t, p);
}

/* An entry whose maker died in fork. A child that was born is entered in its stead; an entry whose
 * child never was is claimed. */
static struct proc *unborn_find(struct task *t, bool *later)
{
	struct ck *ck = t->ctx.ck;
	struct proc_root *r = proc_root(ck);
	struct proc *found = NULL;
	bool born = false;
	struct list *l;

	ck_lock(&t->ctx, ck);
	for (l = r->all.next; l != &r->all && !found; l = l->next) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		if (p->state != PROC_NEW || p->host_pid || p->proxy_core != MAX_CORES ||
		    p->maker == t->ctx.tid || !ck_thread_dead(p->maker))
			continue;
		if (p->born == CLIENT_BORN_UNKNOWN &&
		    host_monotonic_ns() - p->start_ns < BORN_GRACE_NS) {
			*later = true;
		} else if (p->born && p->born != CLIENT_BORN_UNKNOWN) {
			if (!(p->flags & PROC_HEIR)) /* which is no program */
				TX_SET(ck, p->pid, p->born);
			proc_set_host_pid(ck, p, p->born);
			born = true;
		} else if (!p->reaper || p->reaper == t->ctx.tid ||
			   ck_thread_dead(p->reaper)) {
			TX_SET(ck, p->reaper, t->ctx.tid);
			found = p;
		}
	}
	ck_unlock(ck);
	if (born)
		agent_wake(t);
	return found;
}

bool client_reap_unborn(struct task *t)
{
	bool later = false;
	struct proc *p;

	while ((p = unborn_find(t, &later)))
		client_reap_new(t, p);
	return later;
}

u32 *client_fork_born(struct proc *child)
{
	return &child->born;
}

/* --- waiting for children --------------------------------------------------------------------- */

#define W_EXITED(st)   (((st)&0x7f) == 0)
#define W_SIGNALED(st) (((st)&0x7f) && ((st)&0x7f) != 0x7f)
#define W_NOWAIT       0x01000000

static long wait_result(long r)
{
	return r == -EINTR ? -HARE_ERESTARTSYS : r;
}

/* A group by the number that the host knows it by. */
static long host_group_arg(struct task *t, long pid)
{
	return pid < -1 && (u32)-pid == t->proc->pgid &&
			       t->proc->pgid != t->proc->host_pgid
		       ? 0
		       : pid;
}

/* struct rusage's first members, and the rest of it. */
struct usage {
	struct __kernel_old_timeval user, system;
	s64 maxrss, rest[13];
};

static void add_us(struct __kernel_old_timeval *tv, u64 us)
{
	us += (u64)tv->tv_sec * US_PER_S + (u64)tv->tv_usec;
	tv->tv_sec = (long)(us / US_PER_S);
	tv->tv_usec = (long)(us % US_PER_S);
}

/* A child has ended: what it used on another core is its parent's children's from now on. */
static void take_usage(struct task *t, u32 host_pid, struct usage *ru)
{
	struct ck *ck = t->ctx.ck;
	u64 user, system, maxrss;
	struct proc *p;

	ck_lock(&t->ctx, ck);
	p = proc_by_host_pid(ck, host_pid);
	if (p) {
		usage_out(ck, p, &user, &system, &maxrss);
		add_usage(ck, t->proc, user, system, maxrss);
		add_us(&ru->user, user);
		add_us(&ru->system, system);
		ru->maxrss = MAX(ru->maxrss, (s64)maxrss);
	}
	ck_unlock(ck);
}

long client_getrusage(struct task *t, long a[6])
{
	const struct proc *p = t->proc;
	struct usage ru;
	long r;

	if ((s32)a[0] != RUSAGE_CHILDREN_ || !(p->child_user_us | p->child_system_us))
		return CLIENT_HOST;
	r = SYS(getrusage, a[0], &ru);
	if (r)
		return r;
	add_us(&ru.user, p->child_user_us);
	add_us(&ru.system, p->child_system_us);
	ru.maxrss = MAX(ru.maxrss, (s64)p->child_maxrss);
	return user_write((void *)a[1], &ru, sizeof(ru)) ? -EFAULT : 0;
}

long client_times(struct task *t, long a[6])
{
	const struct proc *p = t->proc;
	struct {
		s64 user, system, child_user, child_system;
	} tms; /* in 1/100 s */
	long r;

	if (!a[0] || !(p->child_user_us | p->child_system_us))
		return CLIENT_HOST;
	r = SYS(times, &tms);
	tms.child_user += (s64)(p->child_user_us / (US_PER_S / 100));
	tms.child_system += (s64)(p->child_system_us / (US_PER_S / 100));
	return user_write((void *)a[0], &tms, sizeof(tms)) ? -EFAULT : r;
}

/* Children are children of the host too: of one that is on another core its proxy is. What a
 * killed child or one with threads left open is closed before the wait returns, so that its
 * parent finds what the child wrote. */
long client_wait4(struct task *t, long a[6])
{
	int status = 0;
	struct usage ru;
	long r;

	proc_waits(t->proc, 1);
	r = host_block(__NR_wait4, host_group_arg(t, (int)a[0]), (long)&status, a[2],
		       (long)&ru, 0, 0);
	proc_waits(t->proc, -1);
	if (r <= 0)
		return wait_result(r);
	if (W_EXITED(status) || W_SIGNALED(status)) {
		take_usage(t, (u32)r, &ru);
		client_reap(t, (u32)r);
	}
	if (a[3] && user_write((void *)a[3], &ru, sizeof(ru)))
		return -EFAULT;
	if (a[1] && user_write((void *)a[1], &status, sizeof(status)))
		return -EFAULT;
	return r;
}

/* The part of siginfo_t that waitid fills. */
struct wait_info {
	s32 signo, error, code, pad;
	s32 pid;
	u32 uid;
	s32 status;
};

#define P_PGID_	    2
#define CLD_DUMPED_ 3

long client_waitid(struct task *t, long a[6])
{
	union {
		struct wait_info w;
		u8 room[128];
	} info = { 0 };
	struct usage ru;
	long id = a[1], r;

	if (a[0] == P_PGID_ && (u32)id == t->proc->pgid &&
	    t->proc->pgid != t->proc->host_pgid)
		id = 0;
	proc_waits(t->proc, 1);
	r = host_block(__NR_waitid, a[0], id, (long)&info, a[3], (long)&ru, 0);
	proc_waits(t->proc, -1);
	if (r < 0)
		return wait_result(r);
	if (info.w.pid && info.w.code <= CLD_DUMPED_ && !(a[3] & W_NOWAIT)) {
		take_usage(t, (u32)info.w.pid, &ru);
		client_reap(t, (u32)info.w.pid);
	}
	if (a[4] && info.w.pid && user_write((void *)a[4], &ru, sizeof(ru)))
		return -EFAULT;
	if (a[2] && user_write((void *)a[2], &info.w, sizeof(info.w)))
		return -EFAULT;
	return r;
}
