/* SPDX-License-Identifier: MIT */
/*
 * Process numbers, groups, sessions and signals as programs see them, wherever they run. (Thesis
 * section 3.6.)
 *
 * A process keeps the pid that it was born with. On the core where it was born the host knows it
 * by that number too; after an exec on another core the host there knows the program by another
 * one, and the old number is its proxy's. So numbers are translated through the entries of the
 * core kernel (struct proc), and a signal for a process that is not here goes to the core where
 * it is: by the proxy's entry, else by asking all cores. What no core knows is the host's affair.
 */
#include <asm/errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/time_types.h>

#include "base/race.h"
#include "base/str.h"
#include "base/sys.h"
#include "client/process.h"
#include "client/procfs.h"
#include "proto/hio.h"

#define SIG_MAX	       64
#define SIG_CONT       18
#define SIG_STOP       19
#define WAIT_CONTINUED 0xffff /* a wait status */
#define NS_GET_NSTYPE_ 0xb703
#define SENT_WITHIN_NS 1000000000LL /* a signal to another core, unless its agent dies */

_Static_assert(CLIENT_WAKE == PROC_WAKE_SIGNAL, "a proxy knows it too");

static bool is_remote(const struct proc *p)
{
	return p->proxy_core != MAX_CORES;
}

static void nap_ms(void)
{
	struct __kernel_timespec ms = { .tv_nsec = 1000000 };

	SYS(nanosleep, &ms, 0);
}

/* --- who am I ----------------------------------------------------------------------------------- */

long client_getpid(struct task *t, long a[6])
{
	(void)a;
	return (long)t->proc->pid;
}

long client_gettid(struct task *t, long a[6])
{
	(void)a;
	return t->ctx.tid == t->proc->host_pid ? (long)t->proc->pid : (long)t->ctx.tid;
}

/* The parent at birth, while it lives; afterwards whoever took us over. */
long client_getppid(struct task *t, long a[6])
{
	struct proc *p = t->proc, *parent;
	struct ck *ck = t->ctx.ck;
	u32 host, pid = 0;

	(void)a;
	if (is_remote(p)) {
		long r = relay_own(t, HIO_GETPPID, 0, 0);

		return r > 0 ? r : (long)p->ppid;
	}
	host = (u32)SYS(getppid);
	if (host == p->host_ppid)
		return (long)p->ppid;
	ck_lock(&t->ctx, ck);
	parent = proc_by_host_pid(ck, host);
	if (parent)
		pid = parent->pid;
	else if (host == proc_root(ck)->agent_pid)
		pid = 1;
	ck_unlock(ck);
	return pid ? (long)pid : (long)host;
}

/* --- groups and sessions ------------------------------------------------------------------------ */

struct ids {
	u32 host_pid, pgid, sid;
	bool found;
};

static struct ids ids_of(struct task *t, u32 pid)
{
	struct ck *ck = t->ctx.ck;
	struct ids ids = { 0 };
	struct proc *p;

	ck_lock(&t->ctx, ck);
	p = pid ? proc_by_pid(ck, pid) : t->proc;
	if (p)
		ids = (struct ids){ p->host_pid, p->pgid, p->sid, true };
	ck_unlock(ck);
	return ids;
}

long client_getpgrp(struct task *t, long a[6])
{
	(void)a;
	return (long)t->proc->pgid;
}

long client_getpgid(struct task *t, long a[6])
{
	struct ids ids = ids_of(t, (u32)a[0]);

	return ids.found ? (long)ids.pgid : CLIENT_HOST;
}

long client_getsid(struct task *t, long a[6])
{
	struct ids ids = ids_of(t, (u32)a[0]);

	return ids.found ? (long)ids.sid : CLIENT_HOST;
}

/* The host's number of a group that a process of this core is to join. */
static u32 host_group(struct ck *ck, struct proc *p, u32 pgid)
{
	struct proc_root *r = proc_root(ck);
	struct list *l;

	if (pgid == p->pid)
		return p->host_pid;
	for (l = r->all.next; l != &r->all; l = l->next) {
		struct proc *q = LIST_ENTRY(l, struct proc, all);

		if (q->pgid == pgid && q->sid == p->sid)
			return q->host_pgid;
	}
	return pgid;
}

/* Another process that has begun an exec elsewhere has done it for all who look; the host does not know that
 * yet. From here on until the end of the call it does not begin one. */
static long begin_move(struct task *t, struct proc *p)
{
	if (p == t->proc)
		return 0;
	if (p->state != PROC_PROXY) {
		TX_ADD(t->ctx.ck, p->joining, 1);
		return 0;
	}
	if (p->host_ppid != t->proc->host_pid)
		return -ESRCH;
	return p->sid == t->proc->sid ? -EACCES : -EPERM;
}

/* The process of the host's number pid, if it is still there, has that group, or the one that it had (0). */
static void end_move(struct task *t, u32 pid, u32 pgid, u32 host_pgid)
{
	struct ck *ck = t->ctx.ck;
	struct proc *p;

	ck_lock(&t->ctx, ck);
	p = proc_by_host_pid(ck, pid);
	if (p && p != t->proc && p->joining)
		TX_ADD(ck, p->joining, -1);
	if (p && pgid) {
		TX_SET(ck, p->pgid, pgid);
		TX_SET(ck, p->host_pgid, host_pgid);
	}
	ck_unlock(ck);
}

/* setpgid for a process of this core (who: 0, the caller), in both worlds. The host checks what
 * POSIX wants. */
static long move_to_group(struct task *t, u32 who, u32 pgid)
{
	struct ck *ck = t->ctx.ck;
	u32 pid = 0, group = 0, seen = 0;
	bool own = false, first = false;
	struct proc *p;
	long r = 0;

	ck_lock(&t->ctx, ck);
	p = who ? proc_by_pid(ck, who) : t->proc;
	if (p) { /* it may be gone as soon as the lock is */
		r = begin_move(t, p);
		seen = pgid ? pgid : p->pid;
		pid = p->host_pid;
		group = host_group(ck, p, seen);
		own = p == t->proc && is_remote(p);
		first = seen == p->pid;
	}
	ck_unlock(ck);
	if (!p)
		return CLIENT_HOST;
	if (r)
		return r;
	if (!group) { /* a console's, which nobody can join from here */
		end_move(t, pid, 0, 0);
		return pid == t->proc->host_pid && seen == t->proc->pgid ? 0 : -EPERM;
	}
	/* The host's group of a program started here from afar is its own already. */
	r = SYS(setpgid, pid == t->proc->host_pid ? 0 : pid, group);
	if (own && (!r || group == pid)) {
		r = relay_own(t, HIO_SETPGID, first ? 0 : seen, 0);
		group = pid;
	}
	race_point("joined", RACE_AT);
	end_move(t, pid, r ? 0 : seen, group);
	return r;
}

long client_setpgid(struct task *t, long a[6])
{
	if ((s32)a[1] < 0)
		return -EINVAL;
	return move_to_group(t, (u32)a[0], (u32)a[1]);
}

long client_setsid(struct task *t, long a[6])
{
	struct ck *ck = t->ctx.ck;
	struct proc *p = t->proc;
	long r;

	(void)a;
	if (p->pgid == p->pid)
		return -EPERM;
	r = SYS(setsid);
	/* From afar: here it leads a group already, which no terminal knows. */
	if (is_remote(p))
		r = relay_own(t, HIO_SETSID, 0, 0);
	if (r < 0)
		return r;
	ck_lock(&t->ctx, ck);
	TX_SET(ck, p->pgid, p->pid);
	TX_SET(ck, p->sid, p->pid);
	TX_SET(ck, p->host_pgid, p->host_pid);
	TX_SET(ck, p->tty_core, MAX_CORES);
	ck_unlock(ck);
	return (long)p->pid;
}

/* --- signals ------------------------------------------------------------------------------------ */

/* How a signal is sent: kill, tgkill and the like as one thing. info: rt_sigqueueinfo's, or NULL. */
struct sending {
	u32 sig;
	const void *info;
};
#define INFO_SIZE SIGNAL_INFO_SIZE
#define SI_USER_  0
#define SI_QUEUE_ (-1)
#define SI_TKILL_ (-6)

/* What the receiver of a plain kill is to see of its sender. */
static void sender_info(struct task *t, u32 sig, u8 *room)
{
	struct signal_info *i = (struct signal_info *)room;

	memset(room, 0, INFO_SIZE);
	i->signo = (s32)sig;
	i->error = SIGNAL_INFO_MARK;
	i->code = SI_QUEUE_;
	i->pid = t->proc->pid;
	i->uid = (u32)SYS(getuid);
}

/* On another core; with group to the members of that one that are at home there, but the caller. -ESRCH:
 * nobody there. */
static long send_far(struct task *t, u32 core, u32 pid, bool group,
		     const struct sending *s)
{
	const struct proc *own = t->proc;
	u8 info[INFO_SIZE] __attribute__((aligned(8)));
	struct req_SIGNAL q = {
		.pid = pid,
		.sig = s->sig,
		.group = group,
		.tid = group ? own->pid : 0,
		.info = { (void *)(s->info ? s->info : info), INFO_SIZE, 0 },
		.ruid = own->ruid,
		.euid = own->euid,
		.sid = own->sid,
		.wait_core = t->ctx.core,
		.wait_slot = t->ctx.slot,
		.wait_seq = msg_event_prepare(&t->ctx),
	};
	struct rep_SIGNAL p = { 0 };
	u64 until = 0;
	long r;

	if (!s->info)
		sender_info(t, s->sig, info);
	r = rpc_signal(&t->ctx, core, &q, &p);
	/* Sent when kill returns, as on one kernel: who waits for us then finds it has come. */
	if (!r && p.queued)
		until = host_monotonic_ns() + SENT_WITHIN_NS;
	while (!msg_event_came(&t->ctx, q.wait_seq) && host_monotonic_ns() < until)
		if (msg_event_wait(&t->ctx, q.wait_seq, SENT_WITHIN_NS))
			break;
	return r;
}

/* -ESRCH when no other core has it; else what the first that has it says. */
static long send_anywhere(struct task *t, u32 pid, const struct sending *s)
{
	u32 cores = t->ctx.isl->super->cores, core;
	long r;

	for (core = 0; core < cores; core++) {
		if (core == t->ctx.core)
			continue;
		r = send_far(t, core, pid, false, s);
		if (r != -ESRCH)
			return r;
	}
	return -ESRCH;
}

/* Where a pid is. Here: its host pid, core MAX_CORES. A proxy: core is where the program runs,
 * host_pid the proxy's. Unknown: host_pid 0. */
struct location {
	u32 host_pid, core;
	u32 changes; /* proc.changes then */
	bool ended; /* a proxy whose program is no more */
	bool refused; /* not to be signalled by this process: where the host does not know that */
	bool session; /* the host thinks of another session than its, or this process's */
};

static struct location locate(struct task *t, u32 pid, u32 sig)
{
	struct sender own = { t->proc->ruid, t->proc->euid, t->proc->sid };
	struct ck *ck = t->ctx.ck;
	struct location at = { .core = MAX_CORES };
	struct proc *p;

	ck_lock(&t->ctx, ck);
	p = proc_by_pid(ck, pid);
	if (p) {
		at.host_pid = p->host_pid;
		at.changes = p->changes;
		at.ended = p->flags & PROC_REPORTED;
		at.refused = !proc_may_signal(p, &own, sig);
		at.session = is_remote(p) || is_remote(t->proc);
		if (p->state == PROC_PROXY)
			at.core = p->target_core;
	}
	ck_unlock(ck);
	return at;
}

/* The program of a proxy was continued: so is that, before kill returns, and without hearing of the
 * signal, which would be a second one. Unless the program has been stopped since: then nothing that
 * continued it before may undo this. */
static void continue_proxy(struct task *t, const struct location *at)
{
	struct ck *ck = t->ctx.ck;
	bool wake = false;
	struct proc *p;

	ck_lock(&t->ctx, ck);
	p = proc_by_host_pid(ck, at->host_pid);
	if (p && p->state == PROC_PROXY) {
		if (proc_is_stopped(p) && p->changes == at->changes) {
			TX_SET(ck, p->exit_status, WAIT_CONTINUED);
			TX_ADD(ck, p->changes, 1);
		}
		wake = !proc_is_stopped(p);
	}
	ck_unlock(ck);
	if (wake)
		(void)proc_wake(at->host_pid);
}

/* To the program of a proxy of this core. What stops and continues it does so to the proxy too;
 * before the program has arrived there the proxy keeps the signal for it. */
static long send_by_proxy(struct task *t, u32 pid, const struct location *at,
			  const struct sending *s)
{
	long r;

	/* Where it is just starting nobody knows yet whose it is. */
	if (at->refused)
		return -EPERM;
	r = at->ended ? -ESRCH : send_far(t, at->core, pid, false, s);
	/* Stopped by itself, it would not follow a program that is ending, or has gone on. */
	if (r == -ESRCH && !at->ended && s->sig == SIG_STOP) {
		r = send_anywhere(t, pid, s);
		r = r == -ESRCH ? 0 : r;
	}
	if (r == -ESRCH && !at->ended)
		r = SYS(kill, at->host_pid, s->sig);
	else if (s->sig == SIG_CONT && r != -EPERM)
		continue_proxy(t, at);
	/* Its parent has not waited for it yet: signals for a zombie are not errors. */
	return at->ended ? 0 : r;
}

/* A process that is just leaving for another core must stop there, not as its proxy. */
static long send_stop(struct task *t, u32 pid, u32 host_pid, const struct sending *s)
{
	long r = SYS(kill, host_pid, SIG_STOP);
	struct location now = locate(t, pid, SIG_STOP);

	if (r || now.host_pid != host_pid || now.core == MAX_CORES || now.ended)
		return r;
	r = send_far(t, now.core, pid, false, s);
	if (r != -ESRCH)
		(void)proc_wake(host_pid);
	return r == -ESRCH ? 0 : r;
}

/* To one process: 0, an error, or CLIENT_HOST with *pid translated. */
static long send_to(struct task *t, long *pid, const struct sending *s)
{
	struct location at = locate(t, (u32)*pid, s->sig);
	bool alone = t->ctx.isl->super->cores == 1;
	long r;

	if (at.core != MAX_CORES)
		return send_by_proxy(t, (u32)*pid, &at, s);
	if (at.host_pid) {
		bool other = !alone && at.host_pid != t->proc->host_pid;

		if (s->sig == SIG_STOP && other)
			return send_stop(t, (u32)*pid, at.host_pid, s);
		if (s->sig == SIG_CONT && other && at.session)
			return at.refused ? -EPERM
					  : send_far(t, t->ctx.core, (u32)*pid, false, s);
		*pid = (long)at.host_pid;
		return CLIENT_HOST;
	}
	r = alone ? -ESRCH : send_anywhere(t, (u32)*pid, s);
	return r == -ESRCH ? CLIENT_HOST : r;
}

#define KILL_BATCH 64

struct tally {
	u32 sent, refused;
};

static void tally_add(struct tally *n, long r)
{
	if (!r)
		n->sent++;
	else if (r == -EPERM)
		n->refused++;
}

static void send_members_here(struct task *t, u32 pgid, const struct sending *s,
			      struct tally *n)
{
	u32 pids[KILL_BATCH], count, i, after = 0;

	do {
		ck_lock(&t->ctx, t->ctx.ck);
		count = proc_members(t->ctx.ck, pgid, t->proc->pid, after, pids,
				     KILL_BATCH);
		ck_unlock(t->ctx.ck);
		for (i = 0; i < count; i++) {
			long pid = (long)pids[i], r = send_to(t, &pid, s);

			tally_add(n, r == CLIENT_HOST ? SYS(kill, pid, s->sig) : r);
		}
		after = count ? pids[count - 1] : after;
	} while (count == KILL_BATCH);
}

/* kill(0), kill(-pgid), kill(-1): here one by one, elsewhere by each core for itself, the caller
 * last, since the signal may end it. */
static long send_group(struct task *t, long a[6], u32 pgid, const struct sending *s)
{
	u32 cores = t->ctx.isl->super->cores, core;
	bool self = pgid && t->proc->pgid == pgid;
	struct tally n = { 0 };

	for (core = 0; core < cores; core++) {
		if (core == t->ctx.core)
			send_members_here(t, pgid, s, &n);
		else
			tally_add(&n, send_far(t, core, pgid, true, s));
	}
	if (self) {
		a[0] = (long)t->proc->host_pid;
		return CLIENT_HOST;
	}
	if (n.sent)
		return 0;
	if (n.refused)
		return -EPERM;
	return pgid ? CLIENT_HOST : -ESRCH; /* a group outside of Hare */
}

long client_kill(struct task *t, long a[6])
{
	struct sending s = { .sig = (u32)a[1] };
	s32 pid = (s32)a[0];

	if (s.sig > SIG_MAX)
		return -EINVAL;
	if (pid > 0)
		return send_to(t, &a[0], &s);
	if (pid == -1)
		return send_group(t, a, 0, &s);
	return send_group(t, a, pid ? (u32)-pid : t->proc->pgid, &s);
}

long client_rt_sigqueueinfo(struct task *t, long a[6])
{
	u8 info[INFO_SIZE];
	struct sending s = { .sig = (u32)a[1], .info = info };

	if (s.sig > SIG_MAX || (s32)a[0] <= 0)
		return CLIENT_HOST;
	if (user_read(info, (const void *)a[2], sizeof(info)))
		return -EFAULT;
	return send_to(t, &a[0], &s);
}

/* A thread: of this process, of another one here, or the main thread of one elsewhere. */
static long send_thread(struct task *t, long *tgid, long *tid, const struct sending *s)
{
	struct proc *p = t->proc;
	bool main_thread = *tgid == *tid;
	long r;

	if ((u32)*tgid == p->pid) {
		*tgid = (long)p->host_pid;
		if (main_thread)
			*tid = (long)p->host_pid;
		return CLIENT_HOST;
	}
	if ((s32)*tgid <= 0)
		return CLIENT_HOST;
	r = send_to(t, tgid, s);
	if (r == CLIENT_HOST && main_thread)
		*tid = *tgid;
	return r;
}

long client_tgkill(struct task *t, long a[6])
{
	struct sending s = { .sig = (u32)a[2] };

	if (s.sig > SIG_MAX)
		return -EINVAL;
	return send_thread(t, &a[0], &a[1], &s);
}

long client_rt_tgsigqueueinfo(struct task *t, long a[6])
{
	u8 info[INFO_SIZE];
	struct sending s = { .sig = (u32)a[2], .info = info };

	if (s.sig > SIG_MAX)
		return CLIENT_HOST;
	if (user_read(info, (const void *)a[3], sizeof(info)))
		return -EFAULT;
	return send_thread(t, &a[0], &a[1], &s);
}

long client_tkill(struct task *t, long a[6])
{
	struct sending s = { .sig = (u32)a[1] };

	if (s.sig > SIG_MAX)
		return -EINVAL;
	if ((u32)a[0] == t->proc->pid) {
		a[0] = (long)t->proc->host_pid;
		return CLIENT_HOST;
	}
	/* Another thread of ours, or a process's main thread. */
	return (s32)a[0] > 0 ? send_to(t, &a[0], &s) : CLIENT_HOST;
}

/* The process that a pidfd means, as /proc/self/fdinfo says. */
static u32 pidfd_pid(int fd)
{
	char path[40], text[512];
	const char *at;
	long f, n;
	u32 pid = 0;

	str_format(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	f = SYS(open, path, 0x80000 /* O_CLOEXEC */, 0);
	if (sys_failed(f))
		return 0;
	n = SYS(read, f, text, sizeof(text) - 1);
	SYS(close, f);
	text[n > 0 ? n : 0] = 0;
	for (at = text; at && strncmp(at, "Pid:\t", 5);) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	for (at = at ? at + 5 : ""; *at >= '0' && *at <= '9'; at++)
		pid = pid * 10 + (u32)(*at - '0');
	return pid;
}

/* A pidfd is the host's: of a process elsewhere it is the proxy's, which SIGKILL and SIGSTOP
 * would reach without the program knowing. */
long client_pidfd_send_signal(struct task *t, long a[6])
{
	struct sending s = { .sig = (u32)a[1] };
	u8 info[INFO_SIZE];
	struct proc *p;
	long pid, of, r;

	if (t->ctx.isl->super->cores == 1 || s.sig > SIG_MAX)
		return CLIENT_HOST;
	of = pid = (long)pidfd_pid((int)a[0]);
	if (!pid)
		return CLIENT_HOST;
	ck_lock(&t->ctx, t->ctx.ck);
	p = proc_by_host_pid(t->ctx.ck, (u32)pid);
	if (p && p->pid)
		pid = (long)p->pid;
	ck_unlock(t->ctx.ck);
	if (a[2]) {
		if (user_read(info, (const void *)a[2], sizeof(info)))
			return -EFAULT;
		s.info = info;
	}
	r = send_to(t, &pid, &s);
	if (r != CLIENT_HOST || pid == of)
		return r;
	/* the proxy's on another core, of a program that is here */
	return a[2] ? SYS(rt_sigqueueinfo, pid, s.sig, info) : SYS(kill, pid, s.sig);
}

/* --- who sent a signal ------------------------------------------------------------------------- */

#define SI_KERNEL_ 0x80

/* What the host's kernel would have said of a descriptor that is ready. */
static void io_info(struct signal_info_io *i)
{
	struct {
		s32 signo, error, code, pad;
		u64 band;
		u32 fd, pad2;
	} io = { .signo = i->signo, .code = i->real_code };

	if (i->real_code) {
		io.band = i->band;
		io.fd = i->fd;
	} else {
		io.code = SI_KERNEL_;
	}
	memcpy(i, &io, sizeof(io));
}

void client_siginfo(struct task *t, void *siginfo)
{
	struct signal_info *i = siginfo;
	struct ck *ck = t->ctx.ck;
	struct proc *p;

	if (i->code == SI_QUEUE_ && i->error == SIGNAL_INFO_IO) {
		io_info(siginfo);
		return;
	}
	if (i->code == SI_QUEUE_ && i->error == SIGNAL_INFO_MARK) {
		i->code = SI_USER_;
		i->error = 0;
		return;
	}
	if ((i->code != SI_USER_ && i->code != SI_QUEUE_ && i->code != SI_TKILL_) ||
	    t->ctx.isl->super->cores == 1 || !i->pid)
		return;
	ck_lock(&t->ctx, ck);
	p = proc_by_host_pid(ck, i->pid);
	if (p)
		i->pid = p->pid;
	ck_unlock(ck);
}

long client_rt_sigtimedwait(struct task *t, long a[6])
{
	u8 info[INFO_SIZE] __attribute__((aligned(8)));
	long r = host_block(__NR_rt_sigtimedwait, a[0], (long)info, a[2], a[3], 0, 0);

	if (r < 0 || !a[1])
		return r;
	client_siginfo(t, info);
	return user_write((void *)a[1], info, sizeof(info)) ? -EFAULT : r;
}

/* --- CPUs: a program sees Hare's cores ----------------------------------------------------------- */

#define AFFINITY_TRIES 1000 /* of a millisecond: it is about to start */
#define AWAY_MAX       8 /* a program that moves so often is somewhere else again */

/* Of a process of any core: asks this one, then where that says that it went; -ESRCH: it is
 * nowhere there. */
static long affinity_at(struct task *t, u32 core, struct req_AFFINITY *q,
			struct rep_AFFINITY *p)
{
	u32 away = 0, tries = 0;
	long r;

	for (;;) {
		r = rpc_affinity(&t->ctx, core, q, p);
		if (r == -EAGAIN && tries++ < AFFINITY_TRIES) {
			nap_ms();
		} else if (r || !p->away) {
			return r == -EAGAIN ? -ESRCH : r;
		} else {
			if (away++ == AWAY_MAX)
				return -ESRCH;
			core = p->core;
		}
	}
}

static long affinity_anywhere(struct task *t, struct req_AFFINITY *q,
			      struct rep_AFFINITY *p)
{
	u32 cores = t->ctx.isl->super->cores, i;
	long r = -ESRCH;

	for (i = 0; i < cores && r == -ESRCH; i++)
		r = affinity_at(t, (t->ctx.core + i) % cores, q, p);
	return r;
}

/* set or get; numbers of our own threads mean ourselves. 0, -errno; *mask is what holds. */
static long affinity(struct task *t, u32 pid, bool set, u64 *mask)
{
	struct req_AFFINITY q = {
		.pid = pid, .set = set, .mask = *mask, .cred = &t->proc->cred
	};
	struct rep_AFFINITY p = { 0 };
	long r = -ESRCH;

	if (pid && pid != t->ctx.tid && pid != t->proc->pid) {
		if ((s32)pid > 0)
			r = affinity_anywhere(t, &q, &p);
		if (r != -ESRCH || (s32)pid < 0 ||
		    SYS(tgkill, t->proc->host_pid, pid, 0)) {
			*mask = p.mask;
			return r;
		}
	}
	if (set) {
		ck_lock(&t->ctx, t->ctx.ck);
		TX_SET(t->ctx.ck, t->proc->affinity, *mask);
		ck_unlock(t->ctx.ck);
	}
	*mask = t->proc->affinity;
	return 0;
}

long client_sched_getaffinity(struct task *t, long a[6])
{
	size_t size = (size_t)(u32)a[1];
	u64 mask = 0;
	long r;

	if (size * 8 < t->ctx.isl->super->cores || (size & (sizeof(u64) - 1)))
		return -EINVAL;
	r = affinity(t, (u32)a[0], false, &mask);
	if (r)
		return r;
	mask &= mem_program_cores(t->ctx.isl->super);
	return user_write((void *)a[2], &mask, sizeof(mask)) ? -EFAULT
							     : (long)sizeof(mask);
}

/* Decides where the process's next exec may go: a running one stays where it is. */
long client_sched_setaffinity(struct task *t, long a[6])
{
	u64 mask = 0;

	if (user_read(&mask, (const void *)a[2], MIN((size_t)(u32)a[1], sizeof(mask))))
		return -EFAULT;
	mask &= mem_program_cores(t->ctx.isl->super);
	if (!mask)
		return -EINVAL;
	return affinity(t, (u32)a[0], true, &mask);
}

long client_getcpu(struct task *t, long a[6])
{
	u32 node = 0;

	if (a[0] && user_write((void *)a[0], &t->ctx.core, sizeof(u32)))
		return -EFAULT;
	if (a[1] && user_write((void *)a[1], &node, sizeof(node)))
		return -EFAULT;
	return 0;
}

/* --- rights ------------------------------------------------------------------------------------ */

/* To its proxy: who may signal it is looked up there, too. */
static void tell_ids(struct task *t)
{
	const struct proc *p = t->proc;

	if (is_remote(p))
		(void)relay_own(t, HIO_CRED, p->cred.uid | (u64)p->ruid << 32,
				p->cred.gid | (u64)p->suid << 32);
}

void exec_saves_uid(struct task *t)
{
	struct ck *ck = t->ctx.ck;

	if (likely(t->proc->suid == t->proc->euid))
		return;
	ck_lock(&t->ctx, ck);
	TX_SET(ck, t->proc->suid, t->proc->euid);
	ck_unlock(ck);
	tell_ids(t);
}

/* The host's call, then what the file system is to think of the process. */
static long change_ids(struct task *t, long nr, const long a[6])
{
	struct ck *ck = t->ctx.ck;
	long r = sys_call6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	u32 ruid, euid, suid;
	struct cred cred;

	if (sys_failed(r))
		return r;
	t->ids_known = false;
	cred_read(t, &cred);
	SYS(getresuid, &ruid, &euid, &suid);
	ck_lock(&t->ctx, ck);
	tx_save(ck, &t->proc->cred, ALIGN_DOWN(sizeof(cred), (size_t)8));
	TX_SET(ck, t->proc->cred.groups[CRED_GROUPS_MAX - 1],
	       t->proc->cred.groups[CRED_GROUPS_MAX - 1]);
	t->proc->cred = cred;
	TX_SET(ck, t->proc->ruid, ruid);
	TX_SET(ck, t->proc->euid, euid);
	TX_SET(ck, t->proc->suid, suid);
	ck_unlock(ck);
	tell_ids(t);
	return r;
}

#define CHANGES_IDS(name)                                                                \
	long client_##name(struct task *t, long a[6])                                    \
	{                                                                                \
		return change_ids(t, __NR_##name, a);                                    \
	}
CHANGES_IDS(setuid)
CHANGES_IDS(setgid)
CHANGES_IDS(setreuid)
CHANGES_IDS(setregid)
CHANGES_IDS(setresuid)
CHANGES_IDS(setresgid)
CHANGES_IDS(setfsuid)
CHANGES_IDS(setfsgid)
CHANGES_IDS(setgroups)

void stay_here(struct task *t)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	TX_SET(ck, t->proc->flags, t->proc->flags | PROC_STAY);
	ck_unlock(ck);
}

long client_setns(struct task *t, long a[6])
{
	/* not into another PID namespace: see client_fork_prepare */
	if (a[1] & CLONE_NEWPID || SYS(ioctl, a[0], NS_GET_NSTYPE_) == CLONE_NEWPID)
		return -EINVAL;
	stay_here(t);
	return CLIENT_HOST;
}

/* --- the host's calls that name a process --------------------------------------------------------- */

long client_host_pid(struct task *t, long pid)
{
	struct location at;

	if (pid <= 0 || t->ctx.isl->super->cores == 1)
		return pid;
	if ((u32)pid == t->proc->pid)
		return (long)t->proc->host_pid;
	at = locate(t, (u32)pid, 0);
	if (at.host_pid && at.core == MAX_CORES)
		return (long)at.host_pid;
	return (long)procfs_host_pid(t, (u32)pid);
}

/* A process of another kernel: its agent is asked, for what it can answer. */
static long call_far(struct task *t, long nr, u32 core, u32 host_pid, long arg,
		     const long a[6])
{
	u32 out = 0;
	long r;

	switch (nr) {
	case __NR_setpriority: /* as the host would: whoever is no root can only ask for less */
		r = procfar_call(t, core, host_pid, __NR_getpriority, 0, &out,
				 sizeof(out));
		if (t->proc->cred.uid && r >= 0 && arg < 20 - r)
			return -EACCES;
		return procfar_call(t, core, host_pid, nr, arg, &out, sizeof(out));
	case __NR_getpriority:
	case __NR_sched_getscheduler:
		return procfar_call(t, core, host_pid, nr, 0, &out, sizeof(out));
	case __NR_sched_getparam:
		r = procfar_call(t, core, host_pid, nr, 0, &out, sizeof(out));
		return r ? r : user_write((void *)a[1], &out, sizeof(out)) ? -EFAULT : 0;
	default:
		return -EPERM;
	}
}

static long name_process(struct task *t, long nr, long *pid, long arg, const long a[6])
{
	u32 core, host_pid;

	if (*pid > 0 && unlikely(mem_separate(t->ctx.isl->super)) &&
	    (u32)*pid != t->proc->pid && procfs_is_far(t, (u32)*pid, &core, &host_pid))
		return call_far(t, nr, core, host_pid, arg, a);
	*pid = client_host_pid(t, (s32)*pid);
	return CLIENT_HOST;
}

/* Argument `index` is a pid, if the condition holds. */
#define NAMES_PROCESS(name, index, condition, arg)                                       \
	long client_##name(struct task *t, long a[6])                                    \
	{                                                                                \
		if (condition)                                                           \
			return name_process(t, __NR_##name, &a[index], arg, a);          \
		return CLIENT_HOST;                                                      \
	}
#define IOPRIO_WHO_PROCESS_ 1
NAMES_PROCESS(getpriority, 1, !a[0], a[1])
NAMES_PROCESS(setpriority, 1, !a[0], a[2])
NAMES_PROCESS(sched_setparam, 0, true, 0)
NAMES_PROCESS(sched_getparam, 0, true, 0)
NAMES_PROCESS(sched_setscheduler, 0, true, 0)
NAMES_PROCESS(sched_getscheduler, 0, true, 0)
NAMES_PROCESS(sched_rr_get_interval, 0, true, 0)
NAMES_PROCESS(sched_setattr, 0, true, 0)
NAMES_PROCESS(sched_getattr, 0, true, 0)
NAMES_PROCESS(process_vm_readv, 0, true, 0)
NAMES_PROCESS(process_vm_writev, 0, true, 0)
NAMES_PROCESS(ioprio_set, 1, a[0] == IOPRIO_WHO_PROCESS_, 0)
NAMES_PROCESS(ioprio_get, 1, a[0] == IOPRIO_WHO_PROCESS_, 0)
NAMES_PROCESS(migrate_pages, 0, true, 0)
NAMES_PROCESS(move_pages, 0, true, 0)
NAMES_PROCESS(get_robust_list, 0, true, 0)

/* These name one in memory: the host gets a copy of the header, into which it may write the version that
 * it wants. */
static long capabilities(struct task *t, long nr, long a[6])
{
	struct __user_cap_header_struct head;
	u32 version;
	long pid, r;

	if (user_read(&head, (void *)a[0], sizeof(head)))
		return -EFAULT;
	pid = client_host_pid(t, head.pid);
	if (pid == head.pid)
		return CLIENT_HOST;
	version = head.version;
	head.pid = (s32)pid;
	r = sys_call6(nr, (long)&head, a[1], 0, 0, 0, 0);
	if (head.version != version &&
	    user_write((void *)a[0], &head.version, sizeof(head.version)))
		return -EFAULT;
	return r;
}

long client_capget(struct task *t, long a[6])
{
	return capabilities(t, __NR_capget, a);
}

long client_capset(struct task *t, long a[6])
{
	stay_here(t);
	return capabilities(t, __NR_capset, a);
}

/* --- the hare command inside ------------------------------------------------------------------- */

long client_hare(struct task *t, long a[6])
{
	const struct super *s = t->ctx.isl->super;
	struct hare_info info = {
		.boot_id = s->boot_id,
		.core = t->ctx.core,
		.cores = s->cores,
		.islands = s->islands,
		.pid = t->proc->pid,
		.separate = s->kernels == KERNELS_SEPARATE,
	};

	switch (a[0]) {
	case HARE_INFO:
		return user_write((void *)a[1], &info, sizeof(info)) ? -EFAULT : 0;
	case HARE_MKDIR:
		return client_mkdir_distributed(t, (const char *)a[1], (u32)a[2]);
	default:
		return -EINVAL;
	}
}
