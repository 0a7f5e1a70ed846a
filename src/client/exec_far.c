/* SPDX-License-Identifier: MIT */
/*
 * An exec on another core: what the process is goes there, the host process here becomes its
 * proxy. (Thesis section 3.6.1.) This is the end that leaves; exec_arrive.c is the other one, in the
 * agent of the core where the program goes on, and exec_home.c in its proxy, when it comes back there.
 *
 *   step                                      entry here   pass           entry there
 *   1 may everything go along?                RUNNING      -
 *   2 references for the descriptors          RUNNING      one by one     -
 *   3 state PROXY, then EXEC                  PROXY        all            job
 *   4 commit: own descriptors closed          PROXY        -              job, NEW, RUNNING
 *   5 the host executes the loader as proxy   PROXY        -              RUNNING
 *
 * Killed at 2: the references recorded in proc.pass are given back. Killed after 3: who reaps the
 * proxy tells the other core to end the program (SIGNAL). If EXEC was answered (PROC_SENT, which
 * is in the transaction that handles it, or the reply in the dead one's slot) the references are
 * the program's; else EXEC never arrived there and they are given back.
 *
 * A program (host process b, on core B) that has a proxy already (host process a, on core A) and
 * goes on to core C leaves no second one: a serves it from then on.
 *
 *   step                                     b's entry            a's entry      C
 *   3 state PROXY; EXEC, which names a       PROXY of (A, a)      target B       job
 *   4 own descriptors closed; MOVED to A     PROXY of (A, a)      target C       job, RUNNING
 *     then nobody's                          PROXY                target C       RUNNING
 *   5 the loader as proxy: passes on the     PROXY                target C       RUNNING
 *     signals that came meanwhile
 *     then HEIR: serves its descriptors, if  PROXY, HEIR          target C       HIO_ENTERED to B
 *     the program has some; keeps the cwd
 *     until the program has begun; ends      -                    target C       RUNNING
 *
 * What the host sends to the process that leaves is blocked from 3 on, when the program may have begun with
 * handlers of its own, and waits for the proxy, which passes it on.
 *
 * Signals that come to B by the old way are sent on to C while b's entry has the pid; afterwards
 * B does not know it, and who asks goes by A (pid.c), or B's agent asks around (sched.c). Until
 * EXEC is answered b keeps them for the program. b killed before it is HEIR: the process is, so
 * the program on C is ended, and A told as of any end. MOVED may come when a has heard of the
 * program's end, or was killed: no matter, whoever killed a finds the program by B or C. Two MOVED of
 * one program may come to A in the wrong order: the hop tells.
 *
 * The OPEN_EXEC that keeps the program's file from being written goes along without a message: it
 * counts for this core, and the CLOSE, which names that, is owed by the thread here until EXEC has
 * arrived, in the transaction that notes that, and from then on by the program (proc.exe_ofd).
 *
 * An exec goes only if everything that it would inherit can go along (may_leave, add_fds); else
 * it stays on its core, which is always right.
 */
#include <asm/errno.h>
#include <asm/signal.h>
#include <asm/stat.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/time.h>
#include <linux/time_types.h>

#include "base/str.h"
#include "base/sys.h"
#include "client/exec.h"
#include "client/file.h"
#include "client/path.h"
#include "proto/hio.h"

#define INLINE_MAX	      16384
#define CHUNK		      16384
#define O_PATH_		      010000000u
#define WNOHANG_EXITED_NOWAIT (1 | 4 | 0x01000000)

/* Shared descriptions whose references travel with an EXEC. In core-kernel memory. */
struct exec_pass {
	u64 file; /* the image's inode, when it is a file; 0 */
	struct ofd *
		exe; /* the program's OPEN_EXEC: its CLOSE is owed here until EXEC arrives */
	u32 slot, seq; /* who asks EXEC, and the number of that call at least */
	u32 count, cap;
	struct {
		u64 ino, shared;
	} ref[];
};

/* --- step 1: may everything go along? -------------------------------------------------------------- */

static const char *status_field(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (; text; text = strchr(text, '\n')) {
		if (*text == '\n')
			text++;
		if (!strncmp(text, name, len) && text[len] == ':') {
			for (text += len + 1; *text == '\t' || *text == ' '; text++)
				;
			return text;
		}
	}
	return "0";
}

static u64 hex(const char *s)
{
	u64 v = 0;

	for (;; s++) {
		if (*s >= '0' && *s <= '9')
			v = v * 16 + (u64)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			v = v * 16 + (u64)(*s - 'a') + 10;
		else
			return v;
	}
}

/* Ignored signals, and what binds the process to its core: a tracer, a filter, a pending signal. */
static bool read_status(struct exec_image *im)
{
	char text[4096];
	long fd = SYS(open, "/proc/thread-self/status", O_RDONLY | O_CLOEXEC, 0), n;

	if (sys_failed(fd))
		return false;
	n = SYS(read, fd, text, sizeof(text) - 1);
	SYS(close, fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	if (hex(status_field(text, "TracerPid")) || hex(status_field(text, "Seccomp")) ||
	    hex(status_field(text, "SigPnd")) || hex(status_field(text, "ShdPnd")))
		return false;
	im->ignored |= hex(status_field(text, "SigIgn"));
	return true;
}

/* The agent there takes the process's ids on; without privilege it has but its own. */
static bool read_ids(struct task *t, struct exec_image *im)
{
	const struct super *s = t->ctx.isl->super;
	u32 *groups = (u32 *)t->bounce;
	long n = SYS(getgroups, CLIENT_BOUNCE_SIZE / sizeof(u32), groups);

	SYS(getresuid, &im->ruid, &im->euid, &im->suid);
	SYS(getresgid, &im->rgid, &im->egid, &im->sgid);
	if (n < 0 || n > CRED_GROUPS_MAX)
		return false;
	return !s->uid ||
	       (im->ruid == s->uid && im->euid == s->uid && im->suid == s->uid &&
		im->rgid == s->gid && im->egid == s->gid && im->sgid == s->gid);
}

static bool has_children(void)
{
	u8 info[128];

	return SYS(waitid, 0, 0, info, WNOHANG_EXITED_NOWAIT, 0) != -ECHILD;
}

static void read_limits(struct exec_image *im)
{
	for (u32 i = 0; i < EXEC_RLIMITS; i++)
		SYS(prlimit64, 0, i, 0, im->rlimit[i]);
}

static bool may_leave(struct task *t, struct exec_image *im)
{
	struct proc *p = t->proc;

	return p->threads == 1 && p->fds && p->fds->refs == 1 && !has_children() &&
	       read_status(im) && read_ids(t, im) && exec_keep_read(&im->keep);
}

/* --- descriptors -------------------------------------------------------------------------------------- */

static struct exec_pass *pass_new(struct task *t, u32 cap)
{
	struct ck *ck = t->ctx.ck;
	struct exec_pass *pass;

	ck_lock(&t->ctx, ck);
	pass = ck_alloc(ck, sizeof(*pass) + cap * sizeof(pass->ref[0]));
	if (pass) {
		pass->cap = cap;
		TX_SET(ck, t->proc->pass, pass);
	}
	ck_unlock(ck);
	return pass;
}

/* In the transaction that counts the reference at its server, or hears of it. */
static void pass_add(struct task *t, struct ck *ck, struct ofd *o)
{
	struct exec_pass *pass = t->proc->pass;

	TX_SET(ck, pass->ref[pass->count].ino, o->ino);
	TX_SET(ck, pass->ref[pass->count].shared, o->shared);
	TX_ADD(ck, pass->count, 1);
}

static void pass_exe(struct task *t, struct ofd *o)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	TX_SET(ck, t->proc->pass->exe, o);
	ck_unlock(ck);
}

void exec_pass_done(struct task *t, struct proc *p)
{
	struct ck *ck = t->ctx.ck;

	if (!p->pass)
		return;
	ck_lock(&t->ctx, ck);
	ck_free(ck, p->pass);
	TX_SET(ck, p->pass, NULL);
	ck_unlock(ck);
}

/* Gives the last reference of the record back; that it is off the record is in the transaction that
 * closes it, or sends the CLOSE. */
static void pass_close(struct task *t, struct exec_pass *pass)
{
	struct req_CLOSE q = {
		.ino = pass->ref[pass->count - 1].ino,
		.ofd = pass->ref[pass->count - 1].shared,
		.core = t->ctx.core,
	};
	u32 srv = ino_server(q.ino);
	struct rep_CLOSE rep;
	struct rpc_env e;

	if (rpc_is_near(&t->ctx, srv) &&
	    !STEP_CALL(t, srv, CLOSE, close, &q, &rep, TX_ADD(ck_, pass->count, -1)))
		return;
	step_lock(t, t->ctx.core, &e);
	/* Without memory the reference is lost: less harm than one CLOSE too many. */
	if (!rpc_is_near(&t->ctx, srv))
		(void)rpc_post_close(&e, srv, &q);
	TX_ADD(e.ck, pass->count, -1);
	msg_unlock(&t->ctx, e.ck);
}

/* EXEC has arrived: the program there owes the CLOSE. Lock held. */
static void exe_gone(struct ck *ck, struct exec_pass *pass)
{
	if (pass->exe)
		TX_SET(ck, pass->exe->untold, 1);
	TX_SET(ck, pass->exe, NULL);
}

void exec_pass_undo(struct task *t, struct proc *p)
{
	struct rep_EXEC rep;
	bool arrived =
		p->state == PROC_PROXY &&
		((p->flags & (PROC_SENT | PROC_KILLED)) || p->changes ||
		 !rpc_late_reply(&t->ctx, p->pass->slot, p->pass->seq, RPC_EXEC, &rep));

	if (!arrived) {
		while (p->pass->count)
			pass_close(t, p->pass);
		client_exec_drop_file(t, p->pass->file);
	} else if (p->pass->exe) {
		ck_lock(&t->ctx, t->ctx.ck);
		exe_gone(t->ctx.ck, p->pass);
		ck_unlock(t->ctx.ck);
	}
	exec_pass_done(t, p);
}

struct exec_pass *exec_pass_file(struct ck *ck, u64 ino)
{
	struct exec_pass *pass = ck_alloc(ck, sizeof(*pass));

	if (pass)
		pass->file = ino;
	return pass;
}

static bool is_memory_device(u64 rdev)
{
	u64 minor = rdev & 0xff;

	/* null zero full random urandom: any core has them */
	return rdev >> 8 == 1 &&
	       (minor == 3 || minor == 5 || minor == 7 || minor == 8 || minor == 9);
}

/* What tells this process's descriptors from those of another one that had its pid. */
static u32 relay_tag(struct task *t)
{
	struct proc *p = t->proc;
	struct ck *ck = t->ctx.ck;

	if (!p->relay_tag) {
		ck_lock(&t->ctx, ck);
		TX_ADD(ck, proc_root(ck)->relay_tags, 1);
		TX_SET(ck, p->relay_tag, proc_root(ck)->relay_tags % 0xffff + 1);
		ck_unlock(ck);
	}
	return p->relay_tag;
}

/* A descriptor of this core's host: a device that every core has, or one that the proxy serves;
 * of any other kind the process stays. */
static bool host_fd(struct task *t, int fd, struct image_fd *d)
{
	struct stat st;
	u32 type;

	if (sys_failed(SYS(fstat, fd, &st)))
		return false;
	type = st.st_mode & HS_IFMT;
	d->flags = (u32)SYS(fcntl, fd, F_GETFL);
	d->mode = st.st_mode;
	d->how = IMAGE_RELAY;
	d->relay_pid = t->proc->host_pid;
	d->relay_core = t->ctx.core;
	if (d->flags & O_PATH_)
		return false;
	if (type == HS_IFCHR && is_memory_device(st.st_rdev)) {
		d->how = IMAGE_DEVICE;
		d->rdev = st.st_rdev;
		return true;
	}
	if (type != HS_IFCHR && type != HS_IFIFO && type != HS_IFREG)
		return false;
	d->relay_fd = hio_number(relay_tag(t), (u32)fd);
	return true;
}

/* What another proxy serves already goes on being served by it, under a number of its own. */
static bool relayed_fd(struct task *t, struct ofd *o, struct image_fd *d)
{
	long r = relay_request(t, o, HIO_DUP, 0, 0);

	if (r < 0)
		return false;
	d->how = IMAGE_RELAY;
	d->relay_pid = o->relay_pid;
	d->relay_core = o->relay_core;
	d->relay_fd = (u32)r;
	return true;
}

/* Which descriptor of those that are entered has this description; -1: none. */
static s32 entered_as(const struct fdtable *ft, const struct ofd *o,
		      const struct image_fd *d, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if ((d[i].how == IMAGE_HARE || d[i].how == IMAGE_RELAY) &&
		    ft->ent[d[i].fd].kind == FD_HARE && ft->ent[d[i].fd].ofd == o)
			return d[i].fd;
	return -1;
}

/* Once this process's descriptors are closed nobody has it but who gets it now. */
static bool leaves_all(const struct fdtable *ft, const struct ofd *o)
{
	u32 n = 0;

	if (o->shared && !o->last)
		return false;
	for (u32 i = 0; i < ft->cap && n <= o->refs; i++)
		n += ft->ent[i].kind == FD_HARE && ft->ent[i].ofd == o;
	return n == o->refs;
}

static bool hare_fd(struct task *t, struct ofd *o, struct image_fd *d)
{
	ofd_image(o, d);
	d->alone = leaves_all(t->proc->fds, o);
	switch (o->kind) {
	case OFD_FILE:
	case OFD_DIR:
	case OFD_PIPE:
	case OFD_FIFO:
		if (ofd_share(t, o, 1, pass_add))
			return false;
		d->shared = o->shared;
		return true;
	case OFD_PATH:
		return true; /* opened anew there */
	case OFD_RELAY:
		return relayed_fd(t, o, d);
	default:
		return false;
	}
}

/* What other proxies made for an exec that does not come about. */
static void give_back(struct task *t, const struct image_fd *fds, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (fds[i].how == IMAGE_RELAY && (fds[i].relay_pid != t->proc->host_pid ||
						  fds[i].relay_core != t->ctx.core))
			relay_close(t, fds[i].relay_pid, fds[i].relay_core,
				    fds[i].relay_fd);
}

/* How many of them the own proxy is to serve. */
static u32 count_own(struct task *t, const struct image_fd *fds, u32 n)
{
	u32 own = 0;

	for (u32 i = 0; i < n; i++)
		own += fds[i].how == IMAGE_RELAY &&
		       fds[i].relay_pid == t->proc->host_pid &&
		       fds[i].relay_core == t->ctx.core;
	return own;
}

/* All that survives exec. Count, or -1 when something of it cannot go. */
static s32 add_fds(struct task *t, struct image_fd *out, u32 max)
{
	struct fdtable *ft = t->proc->fds;
	u32 n = 0, i;

	for (i = 0; i < ft->cap; i++) {
		struct fdent *e = &ft->ent[i];
		bool ok;

		if (e->cloexec || (e->kind != FD_HARE && e->kind != FD_HOST))
			continue;
		if (n == max) {
			give_back(t, out, n);
			return -1;
		}
		memset(&out[n], 0, sizeof(out[n]));
		out[n].fd = (s32)i;
		if (e->kind == FD_HOST)
			ok = host_fd(t, (int)i, &out[n]);
		else if ((out[n].same = entered_as(ft, e->ofd, out, n)) >= 0)
			ok = (out[n].how = IMAGE_SAME);
		else
			ok = hare_fd(t, e->ofd, &out[n]);
		if (!ok) {
			give_back(t, out, n);
			return -1;
		}
		n++;
	}
	return (s32)n;
}

/* --- steps 2 and 3 ------------------------------------------------------------------------------------ */

/* What a program used on a core that it leaves for good: its proxy's host does not know. */
static void fill_usage(struct task *t, struct exec_image *im)
{
	struct {
		struct __kernel_old_timeval user, system;
		s64 maxrss, rest[13];
	} ru[2] = { 0 };
	const struct proc *p = t->proc;

	/* Of a process where it was born the host knows but what it used elsewhere. */
	im->user_us = p->user_us;
	im->system_us = p->system_us;
	im->maxrss = p->maxrss;
	if (!exec_has_proxy(p))
		return;
	SYS(getrusage, 0, &ru[0]);
	SYS(getrusage, -1, &ru[1]);
	im->user_us = p->user_us + p->child_user_us;
	im->system_us = p->system_us + p->child_system_us;
	im->maxrss = MAX(p->maxrss, p->child_maxrss);
	for (u32 i = 0; i < 2; i++) {
		im->user_us += timeval_us(&ru[i].user);
		im->system_us += timeval_us(&ru[i].system);
		im->maxrss = MAX(im->maxrss, (u64)ru[i].maxrss);
	}
}

static void fill_image(struct task *t, const struct exec_plan *plan,
		       struct exec_image *im)
{
	const struct proc *p = t->proc;
	bool again = exec_has_proxy(p);

	im->magic = EXEC_IMAGE_MAGIC;
	im->argc = plan->argc;
	im->envc = plan->envc;
	im->pid = p->pid;
	im->ppid = p->ppid;
	im->pgid = p->pgid;
	im->sid = p->sid;
	im->proxy_core = again ? p->proxy_core : t->ctx.core;
	im->proxy_pid = again ? p->proxy_pid : p->host_pid;
	im->hop = p->hop + 1;
	im->birth = p->birth;
	fill_usage(t, im);
	im->tty_core = p->tty_core == MAX_CORES ? t->ctx.core : p->tty_core;
	im->tty_pid = p->tty_core == MAX_CORES ? p->host_pid : p->tty_pid;
	im->umask = p->umask;
	im->placement = plan->placement;
	im->next_core = plan->next_core;
	im->distribute = plan->distribute;
	im->cwd = p->cwd;
	im->cwd_dflags = p->cwd_dflags;
	im->root = p->root;
	im->root_dflags = p->root_dflags;
	im->locks = p->fds->posix_locks;
	im->affinity = p->affinity;
	im->cred = p->cred;
	memcpy(im->comm, p->comm, sizeof(im->comm));
}

struct writer {
	char *at, *end;
};

static bool put(struct writer *w, const char *s)
{
	size_t len = strlen(s) + 1;

	if ((size_t)(w->end - w->at) < len)
		return false;
	memcpy(w->at, s, len);
	w->at += len;
	return true;
}

static bool put_strings(struct writer *w, const struct exec_plan *plan)
{
	char cwd[PATH_LEN_MAX];
	u32 i;

	if (SYS(getcwd, cwd, sizeof(cwd)) <= 0)
		str_copy(cwd, "/", sizeof(cwd));
	if (!put(w, plan->path) || !put(w, plan->comm) || !put(w, cwd))
		return false;
	for (i = 0; i < plan->argc; i++)
		if (!put(w, plan->argv[i]))
			return false;
	for (i = 0; i < plan->envc; i++)
		if (!put(w, plan->envp[i]))
			return false;
	return true;
}

/* An image too big for one message goes as a file of the server there. */
static long send_as_file(struct task *t, u32 core, const char *data, u32 len, u64 *ino)
{
	struct cred root = { 0 };
	struct req_CREATE cq = { .cred = &root, .mode = HS_IFREG | 0600 };
	struct rep_CREATE cp = { 0 };
	struct intent it = { .op = INTENT_CREATE };
	struct intent_node *made = intent_begin(t, &it);
	u32 srv = core % t->ctx.isl->super->servers, off;
	long r;

	if (!made)
		return -ENOSPC;
	r = STEP_CALL(t, srv, CREATE, create, &cq, &cp,
		      TX_SET(ck_, t->proc->pass->file, cp.ino);
		      TX_SET(ck_, made->it.op, INTENT_NONE));
	intent_end(t, made);
	if (r)
		return r;
	*ino = cp.ino;
	for (off = 0; off < len; off += CHUNK) {
		u32 n = MIN(len - off, (u32)CHUNK);
		struct req_WRITE q = { .ino = cp.ino,
				       .off = off,
				       .data = { (void *)(data + off), n, n } };
		struct rep_WRITE p;

		r = room_write(t, srv, &q, &p);
		if (r || p.count != n)
			return r ? r : -ENOSPC;
	}
	return 0;
}

/* What is counted for this program alone goes before the one there can look: it may want to write
 * this program's file, or run what this one has written, as after an exec here. So does any file that it has
 * locked and exec closes, for that frees the lock: once EXEC is sent its locks are the program's there. Nothing
 * is lost if the exec stays here after all: it cannot fail any more, and there is no other thread. */
static void let_go(struct task *t)
{
	struct fdtable *ft = t->proc->fds;

	exec_runs(t, t->proc, NULL);
	for (u32 i = 0; i < ft->cap; i++) {
		const struct fdent *e = &ft->ent[i];

		if (e->kind == FD_HARE && e->cloexec && e->ofd->kind == OFD_FILE &&
		    (ft->posix_locks || ofd_can_write(e->ofd)))
			fd_close_entry(t, ft, i);
	}
}

/* False: since the image was made its parent has given it another group, or is about to. Nothing is changed
 * then. */
static bool set_proxy(struct task *t, u32 state, u32 target, u32 hop, u32 pgid)
{
	struct ck *ck = t->ctx.ck;
	struct proc *p = t->proc;

	ck_lock(&t->ctx, ck);
	if (p->joining || p->pgid != pgid) {
		ck_unlock(ck);
		return false;
	}
	TX_SET(ck, p->state, state);
	TX_SET(ck, p->target_core, target);
	TX_SET(ck, p->hop, hop);
	TX_SET(ck, p->changes, 0);
	TX_SET(ck, p->pass->slot, t->ctx.slot);
	TX_SET(ck, p->pass->seq, msg_call_next(&t->ctx));
	ck_unlock(ck);
	return true;
}

/* EXEC; that it was answered is noted in the transaction that handles it, or hears of it. */
static long call_exec(struct task *t, u32 core, const struct req_EXEC *q)
{
	struct proc *p = t->proc;
	bool near = rpc_is_near(&t->ctx, core);
	struct rep_EXEC rep;
	struct rpc_env e;
	long r;

	if (near) {
		rpc_race(RPC_EXEC, RACE_ASK);
		step_lock(t, core, &e);
		r = sched_exec(&e, q, &rep);
		e.ck->counter[COUNT_LOCAL(RPC_EXEC)]++;
		if (r < 0)
			ck_abort(e.ck);
	} else {
		r = rpc_exec(&t->ctx, core, q, &rep);
		step_lock(t, t->ctx.core, &e);
	}
	if (!r) {
		TX_SET(e.ck, p->flags, p->flags | PROC_SENT);
		exe_gone(e.ck, p->pass);
	}
	msg_unlock(&t->ctx, e.ck);
	if (near)
		rpc_race(RPC_EXEC, RACE_ANSWERED);
	return r;
}

#define BIT(sig) (1ULL << ((sig)-1))

/* From here on the program may run there, and have handlers: what comes is for it, and waits for the proxy.
 * Those that are the layer's own are never blocked. The mask before. */
static u64 keep_signals(void)
{
	u64 all = ~(BIT(SIGSYS) | BIT(SIGSEGV) | BIT(SIGBUS)), mask = 0;

	SYS(rt_sigprocmask, SIG_SETMASK, &all, &mask, 8);
	return mask;
}

static long send_image(struct task *t, u32 core, const struct exec_image *im)
{
	char *data = (char *)im;
	u32 len = im->size;
	struct req_EXEC q = { .pid = im->pid,
			      .core = im->proxy_core,
			      .proxy_pid = im->proxy_pid,
			      .hop = im->hop,
			      .len = len };
	u64 mask;
	long r;

	if (len <= INLINE_MAX) {
		q.data = (struct rpc_bytes){ data, len, len };
	} else {
		r = send_as_file(t, core, data, len, &q.ino);
		if (r)
			return r;
	}
	if (exec_has_proxy(t->proc)) {
		q.from_core = t->ctx.core;
		q.from_pid = t->proc->host_pid;
	}
	mask = keep_signals();
	r = set_proxy(t, PROC_PROXY, core, im->hop, im->pgid) ? call_exec(t, core, &q)
							      : -EAGAIN;
	if (r) {
		if (t->proc->state == PROC_PROXY)
			(void)set_proxy(t, PROC_RUNNING, MAX_CORES, im->hop - 1,
					im->pgid);
		SYS(rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
	}
	return r;
}

/* Step 4 of a program that leaves a core where it was not born: its proxy is told, and this
 * process is nobody's any more. */
void exec_moved(struct task *t, u32 target)
{
	struct proc *p = t->proc;
	struct req_MOVED q = { .pid = p->proxy_pid, .core = target, .hop = p->hop };
	struct rep_MOVED rep;
	struct ck *ck = t->ctx.ck;

	(void)rpc_moved(&t->ctx, p->proxy_core, &q, &rep);
	ck_lock(&t->ctx, ck);
	TX_SET(ck, p->proxy_core, MAX_CORES);
	TX_SET(ck, p->user_us, 0);
	TX_SET(ck, p->system_us, 0);
	TX_SET(ck, p->child_user_us, 0);
	TX_SET(ck, p->child_system_us, 0);
	ck_unlock(ck);
}

static long far(struct task *t, struct exec_plan *plan, char *room, size_t size)
{
	struct exec_image *im = (struct exec_image *)room;
	struct image_fd *fds = (struct image_fd *)(im + 1);
	struct writer w;
	long r;
	s32 n;

	im->mask = plan->mask;
	im->ignored = plan->ignored;
	if (!may_leave(t, im) || !pass_new(t, MIN(t->proc->fds->cap, EXEC_FDS_MAX)))
		return -EPERM;
	fill_image(t, plan, im);
	read_limits(im);
	n = add_fds(t, fds, t->proc->pass->cap);
	if (n < 0)
		return -EPERM;
	im->fds = (u32)n;
	if (plan->exe) {
		im->exe = plan->exe->ino;
		im->exe_core = t->ctx.core;
		im->exe_parent = plan->exe->parent;
		im->exe_parent_dflags = plan->exe->parent_dflags;
		pass_exe(t, plan->exe);
	}
	w = (struct writer){ (char *)(fds + n), room + size };
	plan->relays = count_own(t, fds, (u32)n);
	r = put_strings(&w, plan) ? 0 : -E2BIG;
	if (!r) {
		im->size = (u32)(w.at - room);
		race_point("leaves", RACE_AT);
		let_go(t);
		r = send_image(t, plan->target, im);
	}
	if (r)
		give_back(t, fds, (u32)n);
	return r;
}

bool exec_far(struct task *t, struct exec_plan *plan)
{
	long room = SYS(mmap, 0, EXEC_IMAGE_MAX, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long r;

	if (sys_failed(room))
		return false;
	r = far(t, plan, (char *)room, EXEC_IMAGE_MAX);
	SYS(munmap, room, EXEC_IMAGE_MAX);
	if (r && t->proc->pass)
		exec_pass_undo(t, t->proc);
	return !r;
}
