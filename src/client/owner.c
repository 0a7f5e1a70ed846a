/* SPDX-License-Identifier: MIT */
/*
 * Who gets signals about a description: F_SETOWN, F_SETSIG and their like, O_ASYNC. Pipes send some;
 * of them the inode's server knows it (fileserver/async.c), by what the description's locks are known by,
 * so that it goes where the description goes. Others only tell again what they were told.
 */
#include "client/file.h"
#include "client/process.h"

#define SIG_LAST	64
#define CORES_OF(t)	((t)->ctx.isl->super->cores)
#define OWNER_HOW(k, s) ((u32)(k) | (u32)(s) << 8) /* ofd.owner_how */
#define HOW_KIND(how)	((how)&0xff)
#define HOW_SIG(how)	((how) >> 8)

/* --- whom a number means ---------------------------------------------------------- */

/* A process of any core; *birth is 0 for one of the host's. */
static bool find_process(struct task *t, u32 pid, u64 *birth)
{
	struct req_SIGNAL q = { .pid = pid };
	struct rep_SIGNAL rep = { 0 };
	struct ck *ck = t->ctx.ck;
	struct proc *p;
	bool found;

	ck_lock(&t->ctx, ck);
	p = proc_by_pid(ck, pid);
	found = p != NULL;
	*birth = p ? p->birth : 0;
	ck_unlock(ck);
	for (u32 core = 0; !found && core < CORES_OF(t); core++) {
		if (core == t->ctx.core || rpc_signal(&t->ctx, core, &q, &rep) < 0)
			continue;
		found = true;
		*birth = rep.birth;
	}
	return found || !sys_failed(SYS(kill, pid, 0));
}

/* Process number n of this core; false: there are fewer. */
static bool nth_process(struct task *t, u32 n, u32 *host_pid, u32 *pid)
{
	struct ck *ck = t->ctx.ck;
	struct proc_root *r = proc_root(ck);
	struct list *l;

	ck_lock(&t->ctx, ck);
	for (l = r->all.next; l != &r->all && n; l = l->next)
		n--;
	if (l != &r->all) {
		const struct proc *p = LIST_ENTRY(l, struct proc, all);

		*host_pid = p->state == PROC_RUNNING ? p->host_pid : 0;
		*pid = p->pid;
	}
	ck_unlock(ck);
	return l != &r->all;
}

/* The process of this core that has a thread; 0: none. */
static u32 process_of(struct task *t, u32 tid)
{
	u32 host, pid;

	for (u32 n = 0; nth_process(t, n, &host, &pid); n++)
		if (host && !sys_failed(SYS(tgkill, host, tid, 0)))
			return pid;
	return 0;
}

static bool find_group(struct task *t, u32 pgid)
{
	long a[6] = { -(long)pgid };
	long r = client_kill(t, a); /* signal 0: is there anybody? */

	if (r == CLIENT_HOST)
		r = SYS(kill, a[0], 0);
	return r != -ESRCH;
}

struct owner {
	u32 kind, pid, tid; /* of a thread, pid is its process */
	u64 birth;
};

/* -ESRCH; -EINVAL. */
static long find_owner(struct task *t, u32 kind, u32 number, struct owner *w)
{
	*w = (struct owner){ .kind = kind, .pid = number };
	if (kind > ASYNC_PGRP)
		return -EINVAL;
	if (!number)
		return 0;
	if ((s32)number < 0)
		return -ESRCH;
	if (kind == ASYNC_PGRP)
		return find_group(t, number) ? 0 : -ESRCH;
	if (kind == ASYNC_TID) {
		u32 pid = 0;

		w->tid = number;
		if (!find_process(t, number, &w->birth))
			return -ESRCH;
		if (!w->birth)
			pid = process_of(t, number);
		w->pid = pid ? pid : number;
	}
	return find_process(t, w->pid, &w->birth) ? 0 : -ESRCH;
}

/* What F_GETOWN tells; 0: it is no more. */
static s32 shown(struct task *t, const struct owner *w)
{
	u64 birth;

	if (!w->pid)
		return 0;
	if (w->kind == ASYNC_PGRP)
		return find_group(t, w->pid) ? (s32)w->pid : 0;
	if (!find_process(t, w->pid, &birth) || birth != w->birth)
		return 0;
	if (w->kind == ASYNC_TID && w->tid != w->pid && process_of(t, w->tid) != w->pid)
		return 0;
	return (s32)(w->kind == ASYNC_TID ? w->tid : w->pid);
}

/* --- at the pipe's server --------------------------------------------------------- */

static long ask(struct task *t, struct ofd *o, struct req_ASYNC *q, struct rep_ASYNC *p)
{
	q->ino = o->ino;
	q->key = ofd_lock_owner(t, o);
	q->access = o->flags & O_ACCMODE;
	q->ruid = t->proc->ruid;
	q->euid = t->proc->euid;
	return rpc_async(&t->ctx, ofd_server(o), q, p);
}

/* Its key changes when another core gets it, and not while its lock is held. */
static long ask_locked(struct task *t, struct ofd *o, struct req_ASYNC *q,
		       struct rep_ASYNC *p)
{
	bool locked = pos_lock(t, o);
	long r = 0;

	*p = (struct rep_ASYNC){ 0 };
	if (q->op != ASYNC_GET || o->lock_owner || ofd_id(o))
		r = ask(t, o, q, p);
	pos_unlock(o, locked);
	return r;
}

long owner_async(struct task *t, struct ofd *o, u32 fd, bool on)
{
	struct req_ASYNC q = { .op = on ? ASYNC_ON : ASYNC_OFF, .fd = fd };
	struct rep_ASYNC p;

	return ask(t, o, &q, &p);
}

/* --- the calls -------------------------------------------------------------------- */

static long get(struct task *t, struct ofd *o, struct owner *w, u32 *sig)
{
	struct req_ASYNC q = { .op = ASYNC_GET };
	struct rep_ASYNC p;
	long r;

	if (!ofd_is_pipe(o)) {
		*w = (struct owner){ .kind = HOW_KIND(o->owner_how), .pid = o->owner };
		w->tid = w->pid;
		if (w->pid && w->kind != ASYNC_PGRP)
			(void)find_process(t, w->pid, &w->birth);
		*sig = HOW_SIG(o->owner_how);
		return 0;
	}
	r = ask_locked(t, o, &q, &p);
	*w = (struct owner){ p.kind, p.pid, p.tid, p.birth };
	*sig = p.sig;
	return r;
}

static long keep(struct task *t, struct ofd *o, u32 number, u32 how)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	TX_SET(ck, o->owner, number);
	TX_SET(ck, o->owner_how, how);
	ck_unlock(ck);
	return 0;
}

static long set_owner(struct task *t, struct ofd *o, u32 kind, u32 number)
{
	struct req_ASYNC q = { .op = ASYNC_OWNER };
	struct rep_ASYNC p;
	struct owner w;
	long r = find_owner(t, kind, number, &w);

	if (r)
		return r;
	if (!ofd_is_pipe(o))
		return keep(t, o, number, OWNER_HOW(kind, HOW_SIG(o->owner_how)));
	q.kind = w.kind;
	q.pid = w.pid;
	q.tid = w.tid;
	q.birth = w.birth;
	return ask_locked(t, o, &q, &p);
}

static long set_sig(struct task *t, struct ofd *o, long sig)
{
	struct req_ASYNC q = { .op = ASYNC_SIG, .sig = (u32)sig };
	struct rep_ASYNC p;

	if (sig < 0 || sig > SIG_LAST)
		return -EINVAL;
	if (ofd_is_pipe(o))
		return ask_locked(t, o, &q, &p);
	return keep(t, o, o->owner, OWNER_HOW(HOW_KIND(o->owner_how), sig));
}

static long set_owner_ex(struct task *t, struct ofd *o, const void *user)
{
	struct f_owner_ex x;

	if (user_read(&x, user, sizeof(x)))
		return -EFAULT;
	return x.type < F_OWNER_TID || x.type > F_OWNER_PGRP
		       ? -EINVAL
		       : set_owner(t, o, (u32)x.type, (u32)x.pid);
}

long owner_fcntl(struct task *t, struct ofd *o, int cmd, long arg)
{
	struct f_owner_ex x;
	s32 who = (s32)arg;
	struct owner w;
	u32 sig;
	long r;

	switch (cmd) {
	case F_SETSIG:
		return set_sig(t, o, arg);
	case F_SETOWN:
		if (who == (s32)0x80000000)
			return -EINVAL;
		return set_owner(t, o, who < 0 ? ASYNC_PGRP : ASYNC_PID,
				 (u32)(who < 0 ? -who : who));
	case F_SETOWN_EX:
		return set_owner_ex(t, o, (const void *)arg);
	}
	r = get(t, o, &w, &sig);
	if (r || cmd == F_GETSIG)
		return r ? r : (long)sig;
	x.type = (int)w.kind;
	x.pid = shown(t, &w);
	if (cmd == F_GETOWN)
		return w.kind == ASYNC_PGRP ? -(long)x.pid : (long)x.pid;
	return user_write((void *)arg, &x, sizeof(x));
}
