/* SPDX-License-Identifier: MIT */
/*
 * Handlers of the scheduling server. See sched.h.
 *
 * A handler runs in whatever thread drains the core's rings, or in the caller itself when that is
 * near: it cannot fork, and must not send signals (it may run in the very process that the signal
 * ends, with the lock held). So EXEC and SIGNAL check, queue a job, and wake the agent.
 */
#include <asm/errno.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/time_types.h>

#include "base/str.h"
#include "base/sys.h"
#include "proto/hio.h"
#include "proto/rpc.h"
#include "sched/sched.h"

#define SIG_MAX		  64
#define SIG_KILL	  9
#define SIG_CONT	  18
#define SIG_STOP	  19
#define SIG_RT_MIN	  32
#define EXEC_THREADS_ROOM 8 /* below PROC_THREADS_MAX */

static bool stopped(u32 status)
{
	return (status & 0xff) == 0x7f;
}

static bool ended(u32 status)
{
	return !stopped(status) && status != 0xffff;
}

/* --- jobs ----------------------------------------------------------------------------------------- */

static struct sched_job *job_new(struct rpc_env *e, u32 kind, const void *data, u32 len)
{
	struct proc_root *r = proc_root(e->ck);
	struct sched_job *j = ck_alloc(e->ck, sizeof(*j) + len);

	if (!j)
		return NULL;
	j->kind = kind;
	j->len = len;
	memcpy(j->data, data, len);
	tx_list_add_tail(e->ck, &r->jobs, &j->link);
	if (r->job_slot)
		rpc_wake(e, e->srv, r->job_slot, r->job_seq);
	return j;
}

bool sched_job_first(struct ctx *c, struct sched_job *buf)
{
	struct ck *ck = c->ck;
	struct proc_root *r = proc_root(ck);
	bool got = false;

	ck_lock(c, ck);
	if (!list_empty(&r->jobs)) {
		struct sched_job *j = LIST_ENTRY(r->jobs.next, struct sched_job, link);

		memcpy(buf, j, sizeof(*j) + (j->kind == JOB_EXEC && j->ino ? 0 : j->len));
		got = true;
	}
	ck_unlock(ck);
	return got;
}

void sched_job_done(struct ctx *c)
{
	struct ck *ck = c->ck;
	struct rpc_env e = {
		.c = c, .ck = ck, .srv = ck->core, .core = c->core, .unlocked = true
	};
	struct sched_job *j;
	struct list *l;

	ck_lock(c, ck);
	l = proc_root(ck)->jobs.next;
	j = LIST_ENTRY(l, struct sched_job, link);
	if (j->kind == JOB_SIGNAL && j->wait_seq)
		rpc_wake(&e, j->wait_core, j->wait_slot, j->wait_seq);
	tx_list_del(ck, l);
	ck_free(ck, j);
	msg_unlock(c, ck);
}

struct proc *sched_job_entry(struct ctx *c, const struct sched_job *job)
{
	struct ck *ck = c->ck;
	struct proc_root *r = proc_root(ck);
	struct proc *found = NULL;
	struct list *l;

	ck_lock(c, ck);
	for (l = r->all.next; l != &r->all && !found; l = l->next) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		if (p->proxy_core == job->core && p->proxy_pid == job->proxy_pid &&
		    p->hop == job->hop)
			found = p;
	}
	ck_unlock(ck);
	return found;
}

/* --- a program that comes back to its proxy (client/exec_home.c) ---------------------------------- */

static struct proc *offered(struct ck *ck, u32 pid)
{
	struct proc_root *r = proc_root(ck);

	for (struct list *l = r->all.next; l != &r->all; l = l->next) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		if (p->offer && p->pid == pid)
			return p;
	}
	return NULL;
}

static void wake_proxy(struct rpc_env *e, struct proc *p)
{
	if (p->proxy_slot)
		rpc_wake(e, e->srv, p->proxy_slot, p->proxy_seq);
}

bool sched_offer(struct ctx *c)
{
	struct ck *ck = c->ck;
	struct rpc_env e = {
		.c = c, .ck = ck, .srv = ck->core, .core = c->core, .unlocked = true
	};
	struct sched_job *j;
	struct proc *p = NULL;

	ck_lock(c, ck);
	j = LIST_ENTRY(proc_root(ck)->jobs.next, struct sched_job, link);
	if (!j->again && !j->started && !j->failed && j->core == c->core)
		p = proc_by_host_pid(ck, j->proxy_pid);
	/* Who reaps it, or is heir to it, has looked for an offer already. */
	if (p && (p->state != PROC_PROXY || p->pid != j->pid || p->reaper ||
		  p->flags & (PROC_HEIR | PROC_HANDED | PROC_REPORTED | PROC_KILLED)))
		p = NULL;
	if (p) {
		TX_SET(ck, j->again, 1);
		tx_list_del(ck, &j->link);
		TX_SET(ck, p->offer, j);
		wake_proxy(&e, p);
	}
	msg_unlock(c, ck);
	return p;
}

/* An EXEC that has come, while its program has no entry yet. */
static bool is_starting(struct ck *ck, u32 pid)
{
	struct proc_root *r = proc_root(ck);
	struct list *l;

	if (offered(ck, pid))
		return true;
	for (l = r->jobs.next; l != &r->jobs; l = l->next) {
		struct sched_job *j = LIST_ENTRY(l, struct sched_job, link);

		if (j->kind == JOB_EXEC && j->pid == pid)
			return true;
	}
	return false;
}

long sched_exec(struct rpc_env *e, const struct req_EXEC *q, struct rep_EXEC *p)
{
	struct proc_root *r = proc_root(e->ck);
	struct sched_job *j;

	(void)p;
	if (r->halting || r->threads + EXEC_THREADS_ROOM > PROC_THREADS_MAX)
		return -EAGAIN;
	if (q->len > EXEC_IMAGE_MAX || (!q->ino && q->len != q->data.len) ||
	    q->core >= e->c->isl->super->cores ||
	    q->from_core >= e->c->isl->super->cores ||
	    e->srv < mem_first_program_core(e->c->isl->super))
		return -EINVAL;
	j = job_new(e, JOB_EXEC, q->data.p, q->ino ? 0 : q->data.len);
	if (!j)
		return -ENOSPC;
	j->pid = q->pid;
	j->core = q->core;
	j->proxy_pid = q->proxy_pid;
	j->from_core = q->from_core;
	j->from_pid = q->from_pid;
	j->hop = q->hop;
	j->ino = q->ino;
	j->len = q->len;
	return 0;
}

long sched_moved(struct rpc_env *e, const struct req_MOVED *q, struct rep_MOVED *rep)
{
	struct proc *p = proc_by_host_pid(e->ck, q->pid);

	(void)rep;
	if (!p || p->state != PROC_PROXY || q->core >= e->c->isl->super->cores)
		return -ESRCH;
	if (q->hop > p->hop) {
		TX_SET(e->ck, p->hop, q->hop);
		TX_SET(e->ck, p->target_core, q->core);
		if (p->offer)
			wake_proxy(e, p);
	}
	return 0;
}

/* --- signals -------------------------------------------------------------------------------------- */

static bool may_signal(const struct req_SIGNAL *q, const struct proc *p)
{
	struct sender s = { q->ruid, q->euid, q->sid };

	return proc_may_signal(p, &s, q->sig);
}

static bool job_may_signal(const struct sched_job *j, const struct proc *p)
{
	struct sender s = { j->ruid, j->euid, j->sid };

	return proc_may_signal(p, &s, j->sig);
}

static bool is_member(const struct proc *p, u32 pgid, u32 except)
{
	return proc_is_at_home(p) && (!pgid || p->pgid == pgid) && p->pid != except;
}

static long check_group(struct ck *ck, const struct req_SIGNAL *q)
{
	struct proc_root *r = proc_root(ck);
	long ret = -ESRCH;
	struct list *l;

	for (l = r->all.next; l != &r->all; l = l->next) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		if (!is_member(p, q->pid, q->tid))
			continue;
		if (may_signal(q, p))
			return 0;
		ret = -EPERM;
	}
	return ret;
}

#define SAME_MAX 64u /* of a signal that is queued more than once */

/* A signal of a descriptor (fileserver/async.c) that is to be sent already, as often as is useful: whoever
 * makes it ready again and again does not fill the memory with jobs. The first may have been sent. */
static bool is_queued(struct ck *ck, const struct req_SIGNAL *q)
{
	const struct signal_info *i = q->info.p;
	struct proc_root *r = proc_root(ck);
	u32 n = 0, max = q->sig < SIG_RT_MIN ? 1 : SAME_MAX;

	if (q->info.len != SIGNAL_INFO_SIZE || i->error != SIGNAL_INFO_IO ||
	    list_empty(&r->jobs))
		return false;
	for (struct list *l = r->jobs.next->next; l != &r->jobs && n < max; l = l->next) {
		struct sched_job *j = LIST_ENTRY(l, struct sched_job, link);

		n += j->kind == JOB_SIGNAL && j->pid == q->pid && j->sig == q->sig &&
		     j->group == q->group && j->tid == q->tid && j->len == q->info.len &&
		     !memcmp(j->data, q->info.p, j->len);
	}
	return n >= max;
}

static struct sched_job *signal_job(struct rpc_env *e, u32 pid, u32 sig, u32 group,
				    const void *info, u32 len)
{
	struct sched_job *j = job_new(e, JOB_SIGNAL, info, len);

	if (!j)
		return NULL;
	j->pid = pid;
	j->sig = sig;
	j->group = group;
	return j;
}

static long queue_signal(struct rpc_env *e, const struct req_SIGNAL *q,
			 struct rep_SIGNAL *rep, bool unchecked)
{
	struct sched_job *j;

	if (is_queued(e->ck, q))
		return 0;
	j = signal_job(e, q->pid, q->sig, q->group, q->info.p, q->info.len);
	if (!j)
		return -EAGAIN;
	j->tid = q->tid;
	j->ruid = q->ruid;
	j->euid = q->euid;
	j->sid = q->sid;
	j->unchecked = unchecked;
	j->birth = q->birth;
	j->wait_core = q->wait_core;
	j->wait_slot = q->wait_slot;
	j->wait_seq = q->wait_seq;
	rep->queued = 1;
	return 0;
}

#define FORWARDS_MAX 16u /* a program that moves is found sooner, or has ended */

/* The program of a proxy is elsewhere. */
static long forward_signal(struct rpc_env *e, u32 core, const struct req_SIGNAL *q,
			   struct rep_SIGNAL *rep)
{
	struct req_SIGNAL on = *q;

	if (q->forwarded >= FORWARDS_MAX)
		return -ESRCH;
	on.forwarded = q->forwarded + 1;
	rep->queued = 1;
	return rpc_post_signal(e, core, &on);
}

static long signal_process(struct rpc_env *e, const struct req_SIGNAL *q,
			   struct rep_SIGNAL *rep)
{
	struct proc *p = proc_by_pid(e->ck, q->pid);
	bool unchecked = !p;

	if (p && q->birth && q->birth != p->birth)
		return -ESRCH;
	if (p && !may_signal(q, p))
		return -EPERM;
	rep->birth = p ? p->birth : 0;
	/* after the start, in the order of the queue */
	if (is_starting(e->ck, q->pid))
		p = NULL;
	else if (!p)
		return -ESRCH;
	else if (p->state == PROC_EXITING) /* as for a zombie */
		return 0;
	if (p && p->state == PROC_PROXY) { /* it went on: so does the signal */
		if (p->flags & PROC_REPORTED)
			return -ESRCH;
		/* Before its EXEC is answered its host process keeps signals for it. */
		if (p->flags & PROC_SENT)
			return q->sig ? forward_signal(e, p->target_core, q, rep) : 0;
	}
	return q->sig ? queue_signal(e, q, rep, unchecked) : 0;
}

long sched_signal(struct rpc_env *e, const struct req_SIGNAL *q, struct rep_SIGNAL *rep)
{
	long r;

	rep->queued = 0;
	rep->birth = 0;
	if (q->sig > SIG_MAX || q->info.len > SIGNAL_INFO_SIZE || q->group > 2 ||
	    q->wait_core >= e->c->isl->super->cores)
		return -EINVAL;
	if (q->group != 1) {
		r = signal_process(e, q, rep);
	} else {
		r = check_group(e->ck, q);
		if (!r && q->sig)
			r = queue_signal(e, q, rep, false);
	}
	/* The sender waits although there is nobody any more. */
	if (q->forwarded && q->wait_seq && !rep->queued) {
		rpc_wake(e, q->wait_core, q->wait_slot, q->wait_seq);
		return 0;
	}
	return r;
}

static void signal_one(u32 host_pid, const struct sched_job *job)
{
	if (job->tid && job->len == SIGNAL_INFO_SIZE)
		SYS(rt_tgsigqueueinfo, host_pid,
		    job->tid == job->pid ? host_pid : job->tid, job->sig, job->data);
	else if (job->len == SIGNAL_INFO_SIZE)
		SYS(rt_sigqueueinfo, host_pid, job->sig, job->data);
	else
		SYS(kill, host_pid, job->sig);
}

static long signal_core(struct ctx *c, u32 core, const struct sched_job *job)
{
	struct req_SIGNAL q = {
		.pid = job->pid,
		.sig = job->sig,
		.group = job->group,
		.tid = job->tid,
		.birth = job->birth,
		.info = { (void *)job->data, job->len, 0 },
		.ruid = job->ruid,
		.euid = job->unchecked ? job->euid : 0,
		.sid = job->sid,
		.forwarded = 1,
	};
	struct rep_SIGNAL rep;

	return rpc_signal(c, core, &q, &rep);
}

/* Since the job was queued it went on to another core. False: none has it. */
static bool signal_elsewhere(struct ctx *c, const struct sched_job *job)
{
	for (u32 core = 0; core < c->isl->super->cores; core++)
		if (core != c->core && signal_core(c, core, job) != -ESRCH)
			return true;
	return false;
}

/* STARTING: behind this job its EXEC is queued, which its proxy has given back. */
enum whereabouts { HERE, LEAVING, STARTING, GONE };

struct receiver {
	u32 host_pid; /* if a signal is to be sent here; else 0 */
	u32 core; /* where it may be already, LEAVING from where it was born; else MAX_CORES */
	bool own_group; /* the host's group is its alone */
};

static enum whereabouts whereabouts_of(struct ck *ck, const struct proc *p)
{
	if (p->state != PROC_PROXY)
		return HERE;
	/* What its program is to come back to keeps its signals. */
	if (p->offer || !(p->flags & PROC_SENT))
		return LEAVING;
	return is_starting(ck, p->pid) ? STARTING : GONE;
}

static enum whereabouts find_receiver(struct ctx *c, const struct sched_job *job,
				      struct receiver *to)
{
	enum whereabouts at = HERE;
	struct ck *ck = c->ck;
	struct proc *p;

	*to = (struct receiver){ .core = MAX_CORES };
	ck_lock(c, ck);
	p = offered(ck, job->pid);
	if (!p)
		p = proc_by_pid(ck, job->pid);
	if (p && job->birth && p->birth != job->birth)
		p = NULL; /* another one has its number: it is nowhere */
	else if (p && job->unchecked && !job_may_signal(job, p))
		p = NULL;
	else
		at = p ? whereabouts_of(ck, p) : GONE;
	if (p && (at == HERE || at == LEAVING) && p->state != PROC_EXITING) {
		to->host_pid = p->host_pid;
		to->own_group = p->proxy_core != MAX_CORES;
		if (at == LEAVING && !p->offer && !to->own_group)
			to->core = p->target_core;
	}
	ck_unlock(ck);
	return at;
}

/* EXEC has arrived, which its host process has not heard of yet: the program may be running. */
static bool signal_arrived(struct ctx *c, const struct receiver *to,
			   const struct sched_job *job)
{
	return to->core != MAX_CORES && signal_core(c, to->core, job) != -ESRCH;
}

/* False: nobody has it. */
static bool signal_single(struct ctx *c, const struct sched_job *job)
{
	struct receiver to, again;
	enum whereabouts at = find_receiver(c, job, &to);

	if (at == GONE)
		return signal_elsewhere(c, job);
	if (at == STARTING)
		return signal_core(c, c->core, job) != -ESRCH;
	if (!to.host_pid || signal_arrived(c, &to, job))
		return true;
	if (job->group == 2 && to.own_group)
		SYS(kill, -(long)to.host_pid, job->sig);
	else
		signal_one(to.host_pid, job);
	/* Others stay pending until the loader, as proxy, passes them on; these two it cannot. */
	if (job->sig != SIG_KILL && job->sig != SIG_STOP)
		return true;
	at = find_receiver(c, job, &again);
	if (at == GONE)
		(void)signal_elsewhere(c, job);
	else if (at == STARTING)
		(void)signal_core(c, c->core, job);
	else if (!signal_arrived(c, &again, job))
		return true;
	if (job->sig == SIG_STOP)
		(void)proc_wake(to.host_pid);
	return true;
}

/* A member may be signalled by job's sender. Its proxy knows whose the program is. */
static bool may_reach(struct ctx *c, u32 pid, const struct sched_job *job)
{
	struct proc *p;
	bool may;

	ck_lock(c, c->ck);
	p = proc_by_host_pid(c->ck, pid);
	may = p && job_may_signal(job, p);
	ck_unlock(c->ck);
	return may;
}

/* Members one by one, those that are elsewhere too. Of one that nobody has its proxy may know where it
 * went; unless it has ended. */
static void signal_group(struct ctx *c, const struct sched_job *job)
{
	u8 room[sizeof(*job) + SIGNAL_INFO_SIZE] __attribute__((aligned(8)));
	struct sched_job *one = (struct sched_job *)room;
	u32 pids[64], n, i, after = 0;

	memcpy(one, job, sizeof(*job) + job->len);
	one->group = one->tid = 0;
	do {
		ck_lock(c, c->ck);
		n = proc_members(c->ck, job->pid, job->tid, after, pids,
				 ARRAY_SIZE(pids));
		ck_unlock(c->ck);
		for (i = 0; i < n; i++) {
			one->pid = after = pids[i];
			if (may_reach(c, one->pid, job) && !signal_single(c, one) &&
			    job->sig != SIG_STOP)
				signal_one(one->pid, one);
		}
	} while (n == ARRAY_SIZE(pids));
}

#define WAKE_NAP_NS 200000
#define WAKE_TRIES  50000u

static bool is_to_wake(struct ctx *c, u32 host_pid)
{
	struct proc *p;
	bool yes;

	ck_lock(c, c->ck);
	p = proc_by_host_pid(c->ck, host_pid);
	yes = p && p->state == PROC_PROXY && p->stops && !proc_is_stopped(p);
	ck_unlock(c->ck);
	return yes;
}

/* What comes before it has stopped its own stop takes away: it is woken until it has gone on. */
static void wake_stopped(struct ctx *c, u32 host_pid)
{
	struct __kernel_timespec nap = { .tv_nsec = WAKE_NAP_NS };

	for (u32 i = 0; i < WAKE_TRIES && is_to_wake(c, host_pid); i++) {
		(void)proc_wake(host_pid);
		SYS(nanosleep, &nap, 0);
	}
}

void sched_job_signal(struct ctx *c, const struct sched_job *job)
{
	if (job->group == JOB_HOST)
		wake_stopped(c, job->pid);
	else if (job->group == 1)
		signal_group(c, job);
	else
		(void)signal_single(c, job);
}

/* --- affinity ------------------------------------------------------------------------------------- */

long sched_affinity(struct rpc_env *e, const struct req_AFFINITY *q,
		    struct rep_AFFINITY *rep)
{
	struct proc *p = proc_by_pid(e->ck, q->pid);

	*rep = (struct rep_AFFINITY){ 0 };
	if (is_starting(e->ck, q->pid))
		return -EAGAIN;
	if (!p || p->state == PROC_EXITING || p->flags & PROC_REPORTED)
		return -ESRCH;
	if (p->state == PROC_PROXY) {
		rep->away = 1;
		rep->core = p->target_core;
		return 0;
	}
	if (q->set && q->cred->uid && q->cred->uid != p->cred.uid)
		return -EPERM;
	if (q->set)
		TX_SET(e->ck, p->affinity, q->mask);
	rep->mask = p->affinity;
	return 0;
}

/* --- the program's end, at the proxy's core ------------------------------------------------------- */

long sched_exited(struct rpc_env *e, const struct req_EXITED *q, struct rep_EXITED *rep)
{
	struct proc *p = proc_by_host_pid(e->ck, q->pid);

	(void)rep;
	if (!p || p->state != PROC_PROXY || p->flags & PROC_REPORTED)
		return 0; /* the first end counts */
	/* The proxy is dead, and who reaps it ends what it had been given back: this was another end of it. */
	if (p->reaper && ended(q->status))
		return 0;
	if (p->offer && ended(q->status)) {
		/* Killed as it left: the proxy is the program already, and gets a SIGKILL too. */
		if (p->offer->taken)
			return 0;
		proc_offer_back(e, p);
	}
	TX_SET(e->ck, p->exit_status, q->status);
	TX_ADD(e->ck, p->changes, 1);
	TX_SET(e->ck, p->user_us, q->user_us);
	TX_SET(e->ck, p->system_us, q->system_us);
	TX_SET(e->ck, p->maxrss, q->maxrss);
	if (ended(q->status))
		TX_SET(e->ck, p->flags, p->flags | PROC_REPORTED);
	/* A proxy that stops with its program must run to follow it. */
	if (p->stops && !stopped(q->status))
		(void)signal_job(e, p->host_pid, SIG_CONT, JOB_HOST, NULL, 0);
	wake_proxy(e, p);
	return 0;
}

void sched_report(struct ctx *c, u32 proxy_core, u32 proxy_pid, u32 status, u64 user_us,
		  u64 system_us, u64 maxrss)
{
	struct req_EXITED q = {
		.pid = proxy_pid,
		.status = status,
		.user_us = user_us,
		.system_us = system_us,
		.maxrss = maxrss,
	};
	struct rep_EXITED p;

	(void)rpc_exited(c, proxy_core, &q, &p);
}

/* --- operations on a proxy's descriptors ---------------------------------------------------------- */

static struct hio *hio_find(struct proc *p, u32 tag)
{
	struct list *l;

	for (l = p->hio.next; l != &p->hio; l = l->next) {
		struct hio *h = LIST_ENTRY(l, struct hio, link);

		if (h->tag == tag)
			return h;
	}
	return NULL;
}

static void hio_drop(struct ck *ck, struct hio *h)
{
	tx_list_del(ck, &h->link);
	ck_free(ck, h);
}

static long hio_fetch(struct rpc_env *e, struct proc *p, const struct req_HOST_IO *q,
		      struct rep_HOST_IO *rep)
{
	struct hio *h = hio_find(p, (u32)q->a);

	if (!h || h->core != e->core || h->owner != q->owner)
		return -EINVAL;
	if (h->state == HIO_DONE) {
		rep->result = h->result;
		if (rep->data.p) {
			rep->data.len = MIN(h->len, rep->data.cap);
			memcpy(rep->data.p, h->data, rep->data.len);
		}
	} else if (q->op == HIO_CANCEL && h->state != HIO_BUSY) {
		rep->result = -ECANCELED;
	} else {
		return -EAGAIN;
	}
	hio_drop(e->ck, h);
	return 0;
}

static long hio_forget(struct rpc_env *e, struct proc *p, u64 owner)
{
	struct list *l = p->hio.next;

	while (l != &p->hio) {
		struct hio *h = LIST_ENTRY(l, struct hio, link);

		l = l->next;
		if (h->owner != owner)
			continue;
		if (h->state == HIO_BUSY)
			TX_SET(e->ck, h->op, HIO_FORGET); /* the proxy drops it */
		else
			hio_drop(e->ck, h);
	}
	return 0;
}

static void hio_replace_watch(struct rpc_env *e, struct proc *p,
			      const struct req_HOST_IO *q)
{
	struct list *l = p->hio.next;

	while (l != &p->hio) {
		struct hio *h = LIST_ENTRY(l, struct hio, link);

		l = l->next;
		if (h->op == HIO_WATCH && h->state != HIO_BUSY && h->core == e->core &&
		    h->slot == e->slot && h->fd == q->fd)
			hio_drop(e->ck, h);
	}
}

static long hio_queue(struct rpc_env *e, struct proc *p, const struct req_HOST_IO *q,
		      struct rep_HOST_IO *rep)
{
	u32 room = hio_room(q->op, q->a, q->data.len);
	struct hio *h = ck_alloc(e->ck, sizeof(*h) + MAX(room, q->data.len));

	if (!h)
		return -ENOMEM;
	*h = (struct hio){
		.tag = p->hio_next + 1,
		.core = e->core,
		.slot = e->slot,
		.seq = q->wait_seq,
		.fd = q->fd,
		.op = q->op,
		.len = q->data.len,
		.owner = q->owner,
		.a = q->a,
		.b = q->b,
		.c = q->c,
	};
	memcpy(h->data, q->data.p, q->data.len);
	tx_list_add_tail(e->ck, &p->hio, &h->link);
	TX_ADD(e->ck, p->hio_next, 1);
	wake_proxy(e, p);
	rep->result = (s64)h->tag;
	return 0;
}

/* Who serves a proxy's descriptors: itself, or its heir. */
static struct proc *server_of(struct ck *ck, u32 pid, u32 number)
{
	struct proc_root *r = proc_root(ck);
	struct proc *p = proc_by_host_pid(ck, pid);
	u32 tag = number >> HIO_TAG_SHIFT;
	struct list *l;

	if (p && p->state == PROC_PROXY && !(p->flags & (PROC_HANDED | PROC_HEIR)) &&
	    (!tag || p->relay_tag == tag))
		return p;
	for (l = r->all.next; l != &r->all; l = l->next) {
		p = LIST_ENTRY(l, struct proc, all);
		if (p->flags & PROC_HEIR && p->heir_of == pid &&
		    p->state != PROC_EXITING && (!tag || p->relay_tag == tag))
			return p;
	}
	return NULL;
}

long sched_host_io(struct rpc_env *e, const struct req_HOST_IO *q,
		   struct rep_HOST_IO *rep)
{
	struct proc *p = server_of(e->ck, q->pid, q->fd);

	rep->data.len = 0;
	if (!p)
		return -ESRCH;
	switch (q->op) {
	case HIO_FETCH:
	case HIO_CANCEL:
		return hio_fetch(e, p, q, rep);
	case HIO_FORGET:
		return hio_forget(e, p, q->a);
	case HIO_WATCH:
		hio_replace_watch(e, p, q);
		return hio_queue(e, p, q, rep);
	default:
		return hio_queue(e, p, q, rep);
	}
}

/* --- watches of the host's files ------------------------------------------------------------------- */

#define WATCHES_MAX 1024u /* not fetched: of threads that were killed */

static struct host_watch *watch_find(struct proc_root *r, u32 tag)
{
	for (struct list *l = r->watches.next; l != &r->watches; l = l->next) {
		struct host_watch *w = LIST_ENTRY(l, struct host_watch, link);

		if (w->tag == tag)
			return w;
	}
	return NULL;
}

static void watch_drop(struct ck *ck, struct host_watch *w)
{
	tx_list_del(ck, &w->link);
	TX_ADD(ck, proc_root(ck)->watch_count, -1);
	ck_free(ck, w);
}

static long watch_fetch(struct rpc_env *e, const struct req_HOST_WATCH *q,
			struct rep_HOST_WATCH *rep)
{
	struct host_watch *w = watch_find(proc_root(e->ck), q->tag);

	if (!w)
		return -EINVAL;
	if (!w->done) {
		TX_SET(e->ck, w->core, e->core);
		TX_SET(e->ck, w->slot, e->slot);
		TX_SET(e->ck, w->seq, q->wait_seq);
		ck_commit(e->ck);
		return -EAGAIN;
	}
	rep->result = w->result;
	watch_drop(e->ck, w);
	return 0;
}

long sched_host_watch(struct rpc_env *e, const struct req_HOST_WATCH *q,
		      struct rep_HOST_WATCH *rep)
{
	struct proc_root *r = proc_root(e->ck);
	struct host_watch *w;

	rep->tag = 0;
	rep->result = 0;
	if (q->op == HOST_WATCH_RESULT)
		return watch_fetch(e, q, rep);
	if (q->op > HOST_WATCH_RESULT)
		return -EINVAL;
	if (r->watch_count >= WATCHES_MAX)
		watch_drop(e->ck, LIST_ENTRY(r->watches.next, struct host_watch, link));
	w = ck_alloc(e->ck, sizeof(*w));
	if (!w)
		return -ENOMEM;
	TX_ADD(e->ck, r->watch_tag, 1);
	TX_ADD(e->ck, r->watch_count, 1);
	*w = (struct host_watch){
		.inst = q->inst,
		.op = q->op,
		.pid = q->pid,
		.fd = q->fd,
		.mask = q->mask,
		.tag = r->watch_tag,
	};
	list_init_fresh(&w->link);
	tx_list_add_tail(e->ck, &r->watches, &w->link);
	rep->tag = w->tag;
	return job_new(e, JOB_HOST_WATCH, w, sizeof(*w)) ? 0 : -ENOMEM;
}

void sched_watch_done(struct ctx *c, u32 tag, s64 result)
{
	struct rpc_env e = {
		.c = c, .ck = c->ck, .srv = c->core, .core = c->core, .slot = c->slot
	};
	struct host_watch *w;

	ck_lock(c, c->ck);
	w = watch_find(proc_root(c->ck), tag);
	if (w) {
		TX_SET(c->ck, w->result, result);
		TX_SET(c->ck, w->done, 1);
		if (w->seq)
			rpc_wake(&e, w->core, w->slot, w->seq);
		if (w->op == HOST_WATCH_REMOVE) /* nobody asks */
			watch_drop(c->ck, w);
	}
	msg_unlock(c, c->ck);
}

/* --- what only the host knows ------------------------------------------------------------------------ */

#define ASKS_MAX 64u /* not fetched: of threads that were killed */

/* Files of /proc/PID that can be asked for; the others are not the business of every user. */
static const struct {
	const char *name;
	bool open;
} g_files[] = {
	{ "stat", true },	{ "status", true },    { "cmdline", true },
	{ "comm", true },	{ "statm", true },     { "cgroup", true },
	{ "limits", true },	{ "oom_score", true }, { "oom_score_adj", true },
	{ "loginuid", true },	{ "sessionid", true }, { "wchan", true },
	{ "schedstat", true },	{ "environ", false },  { "io", false },
	{ "maps", false },	{ "smaps", false },    { "smaps_rollup", false },
	{ "mountinfo", false }, { "mounts", false },   { "auxv", false },
};

static long may_read(const struct req_ASK *q, const struct proc *p)
{
	bool own = !q->uid || q->uid == p->cred.uid;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(g_files); i++)
		if (strlen(g_files[i].name) == q->name.len &&
		    !memcmp(g_files[i].name, q->name.p, q->name.len))
			return own || g_files[i].open ? 0 : -EACCES;
	return -ENOENT;
}

/* Changes are made with the agent's rights: they are for who might make them. */
static long may_call(const struct req_ASK *q, const struct proc *p)
{
	switch (q->nr) {
	case __NR_getpriority:
	case __NR_sched_getscheduler:
	case __NR_sched_getparam:
		return 0;
	case __NR_setpriority:
		if (q->uid && q->uid != p->cred.uid)
			return -EPERM;
		return 0;
	default:
		return -EINVAL;
	}
}

static struct proc_ask *ask_find(struct proc_root *r, u32 tag)
{
	for (struct list *l = r->asks.next; l != &r->asks; l = l->next) {
		struct proc_ask *a = LIST_ENTRY(l, struct proc_ask, link);

		if (a->tag == tag)
			return a;
	}
	return NULL;
}

static void ask_drop(struct ck *ck, struct proc_ask *a)
{
	tx_list_del(ck, &a->link);
	TX_ADD(ck, proc_root(ck)->ask_count, -1);
	ck_free(ck, a);
}

static long ask_fetch(struct rpc_env *e, const struct req_ASK *q, struct rep_ASK *rep)
{
	struct proc_ask *a = ask_find(proc_root(e->ck), q->tag);

	if (!a)
		return -ESRCH;
	if (!a->done) {
		TX_SET(e->ck, a->core, e->core);
		TX_SET(e->ck, a->slot, e->slot);
		TX_SET(e->ck, a->seq, q->wait_seq);
		ck_commit(e->ck);
		return -EAGAIN;
	}
	rep->result = a->result;
	rep->data.len = MIN(a->len, rep->data.cap);
	memcpy(rep->data.p, a->data, rep->data.len);
	ask_drop(e->ck, a);
	return 0;
}

long sched_ask(struct rpc_env *e, const struct req_ASK *q, struct rep_ASK *rep)
{
	struct proc_root *r = proc_root(e->ck);
	struct proc *p = proc_by_host_pid(e->ck, q->pid);
	struct proc_ask *a;
	u32 cap = q->op == ASK_FILE ? ASK_DATA_MAX : 64;
	long ret;

	rep->tag = 0;
	rep->result = 0;
	rep->data.len = 0;
	if (q->op == ASK_RESULT)
		return ask_fetch(e, q, rep);
	if (q->op > ASK_RESULT || q->name.len > ASK_NAME_MAX)
		return -EINVAL;
	if (!p || p->state != PROC_RUNNING || p->flags & PROC_TOOL)
		return -ESRCH;
	ret = q->op == ASK_FILE ? may_read(q, p) : may_call(q, p);
	if (ret)
		return ret;
	if (r->ask_count >= ASKS_MAX)
		ask_drop(e->ck, LIST_ENTRY(r->asks.next, struct proc_ask, link));
	a = ck_alloc(e->ck, sizeof(*a) + cap);
	if (!a)
		return -ENOMEM;
	TX_ADD(e->ck, r->ask_tag, 1);
	TX_ADD(e->ck, r->ask_count, 1);
	*a = (struct proc_ask){
		.op = q->op,
		.pid = q->pid,
		.nr = q->nr,
		.tag = r->ask_tag,
		.a = q->a,
		.off = q->off,
		.cap = cap,
	};
	memcpy(a->name, q->name.p, q->name.len);
	list_init_fresh(&a->link);
	tx_list_add_tail(e->ck, &r->asks, &a->link);
	rep->tag = a->tag;
	return job_new(e, JOB_ASK, a, sizeof(*a)) ? 0 : -ENOMEM;
}

static long ask_file(const struct proc_ask *a, u8 *data)
{
	char path[64];
	long fd, n;

	str_format(path, sizeof(path), "/proc/%u/%s", a->pid, a->name);
	fd = SYS(open, path, O_RDONLY | O_CLOEXEC, 0);
	if (sys_failed(fd))
		return fd;
	n = SYS(pread64, fd, data, ASK_DATA_MAX, a->off);
	SYS(close, fd);
	return n;
}

static long ask_call(const struct proc_ask *a, u8 *data)
{
	switch (a->nr) {
	case __NR_getpriority:
		return SYS(getpriority, 0, a->pid);
	case __NR_setpriority:
		return SYS(setpriority, 0, a->pid, a->a);
	case __NR_sched_getscheduler:
		return SYS(sched_getscheduler, a->pid);
	default:
		return SYS(sched_getparam, a->pid, data);
	}
}

void sched_job_ask(struct ctx *c, const struct sched_job *job)
{
	static u8 data[ASK_DATA_MAX]; /* jobs are done one by one */
	struct rpc_env e = {
		.c = c, .ck = c->ck, .srv = c->core, .core = c->core, .slot = c->slot
	};
	const struct proc_ask *q = (const struct proc_ask *)job->data;
	bool file = q->op == ASK_FILE;
	long r = file ? ask_file(q, data) : ask_call(q, data);
	struct proc_ask *a;

	ck_lock(c, c->ck);
	a = ask_find(proc_root(c->ck), q->tag);
	if (a) {
		/* nobody reads data before it is done: no log */
		a->len = file ? (r > 0 ? (u32)r : 0) : sizeof(u32);
		memcpy(a->data, data, a->len);
		TX_SET(c->ck, a->result, r);
		TX_SET(c->ck, a->done, 1);
		if (a->seq)
			rpc_wake(&e, a->core, a->slot, a->seq);
	}
	msg_unlock(c, c->ck);
}

static bool has_other_numbers(const struct proc *p)
{
	return p->state == PROC_RUNNING && p->host_pid &&
	       (p->pid != p->host_pid || p->ppid != p->host_ppid ||
		p->pgid != p->host_pgid);
}

static bool is_program(const struct proc *p)
{
	return p->state == PROC_RUNNING && p->host_pid && !(p->flags & PROC_TOOL);
}

long sched_procs(struct rpc_env *e, const struct req_PROCS *q, struct rep_PROCS *rep)
{
	struct proc_root *r = proc_root(e->ck);
	struct proc_numbers *out = rep->data.p;
	u32 max = rep->data.cap / (u32)sizeof(*out), n = 0, at = 0;
	bool separate = mem_separate(e->c->isl->super);
	struct list *l;

	rep->next = 0;
	for (l = r->all.next; l != &r->all; l = l->next, at++) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		if (at < q->from || !(separate ? is_program(p) : has_other_numbers(p)))
			continue;
		if (n == max) {
			rep->next = at;
			break;
		}
		out[n++] = (struct proc_numbers){
			.host_pid = p->host_pid,
			.host_ppid = p->host_ppid,
			.host_pgid = p->host_pgid,
			.pid = p->pid,
			.ppid = p->ppid,
			.pgid = p->pgid,
			.sid = p->sid,
			.uid = p->cred.uid,
		};
	}
	rep->data.len = n * (u32)sizeof(*out);
	return 0;
}

/* Programs that run or are about to, without those that wait for others of them. */
static u32 load(struct ck *ck)
{
	struct proc_root *r = proc_root(ck);
	u32 n = 0;
	struct list *l;

	for (l = r->all.next; l != &r->all; l = l->next) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		n += (p->state == PROC_RUNNING || p->state == PROC_NEW) && !p->waiting &&
		     !(p->flags & PROC_TOOL);
	}
	for (l = r->jobs.next; l != &r->jobs; l = l->next)
		n += LIST_ENTRY(l, struct sched_job, link)->kind == JOB_EXEC;
	return n;
}

long sched_ping(struct rpc_env *e, const struct req_PING *q, struct rep_PING *rep)
{
	rep->load = q->count ? load(e->ck) : 0;
	return 0;
}
