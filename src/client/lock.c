/* SPDX-License-Identifier: MIT */
/*
 * Locks of files: flock, fcntl's POSIX locks and its open-file-description locks. All are
 * kept by the inode's server (fileserver/lock.c); this is their way there, and waiting.
 *
 * Owners: a POSIX lock belongs to the process (posix_owner), and goes when it closes any
 * descriptor of the file (fd_close_entry); the others belong to the description
 * (ofd_lock_owner), and go with it (ofd.c), or with its last sharer (fileserver/open.c).
 *
 * Consistency between islands: programs that change a file under a lock expect to see what
 * its last holder wrote. So a lock that is taken is like an open, one that is given back
 * like a close, whichever of the two ways it goes:
 *
 *   core A                       server                 core B
 *   write, in its cache
 *   unlock: write back
 *     FLUSH, LOCK unlock  --->   version 6
 *                                LOCK granted,  --->    knew version 5: forgets what it
 *                                attr: version 6        knew; reads what A wrote
 */
#include <linux/fs.h>

#include "client/file.h"

#define LOCK_MAND_ 32
#define FL_END	   0x7fffffffffffffffLL

/* What this core wrote is for others to see. */
static void before(struct task *t, struct ofd *o)
{
	if (o->kind != OFD_FILE)
		return;
	maps_sync(t, o->ino);
	vnode_sync_ino(t, o->ino);
}

/* What others wrote is for this core to see. */
static void after(struct task *t, struct ofd *o, struct rep_LOCK *p)
{
	if (o->kind != OFD_FILE)
		return;
	maps_refresh(t, o->ino, 0, ~0ULL);
	file_attr(t, &p->attr);
}

/* The calling thread waits for no lock of this server any more: by an unlock where no lock can
 * be. */
static void wait_no_more(struct task *t, const struct ofd *o)
{
	struct req_LOCK none = {
		.ino = o->ino,
		.kind = LOCK_OFD,
		.op = LOCK_SET,
		.type = F_UNLCK,
		.start = ~0ULL,
		.end = ~0ULL,
	};
	struct rep_LOCK p;

	rpc_lock(&t->ctx, ofd_server(o), &none, &p);
}

static long lock_wait(struct task *t, struct ofd *o, struct req_LOCK *q,
		      struct rep_LOCK *p, bool wait)
{
	for (;;) {
		long r;

		q->wait_seq = wait ? msg_event_prepare(&t->ctx) : 0;
		r = rpc_lock(&t->ctx, ofd_server(o), q, p);
		if (r != -EAGAIN || !wait)
			return r;
		r = p->search ? lock_deadlock(t, ofd_server(o), q, p) : 0;
		q->searched = p->blocker;
		if (!r)
			r = msg_event_wait(&t->ctx, q->wait_seq, -1);
		if (r == -HARE_ERESTARTSYS || r == -EDEADLK) {
			wait_no_more(t, o);
			return r;
		}
	}
}

/* The description became SHARED while the call was under way, and its locks another
 * owner's: what was done for the old one is taken back. */
static bool owner_moved(struct task *t, struct ofd *o, const struct req_LOCK *q)
{
	struct req_LOCK old = { .ino = q->ino,
				.kind = q->kind,
				.op = LOCK_RELEASE_OWNER,
				.owner = q->owner };
	struct rep_LOCK p;

	if (q->kind == LOCK_POSIX || likely(q->owner == ofd_lock_owner(t, o)))
		return false;
	rpc_lock(&t->ctx, ofd_server(o), &old, &p);
	return true;
}

/* A LOCK; with `wait` until it is granted. The owner, unless it is the process, is filled
 * in. */
static long lock_call(struct task *t, struct ofd *o, struct req_LOCK *q,
		      struct rep_LOCK *p, bool wait)
{
	long r;

	if (q->op == LOCK_SET)
		before(t, o);
	do {
		if (q->kind != LOCK_POSIX)
			q->owner = ofd_lock_owner(t, o);
		r = lock_wait(t, o, q, p, wait);
	} while (!r && owner_moved(t, o, q));
	if (!r && q->op == LOCK_SET && q->type != F_UNLCK)
		after(t, o, p);
	return r;
}

long client_flock(struct task *t, long a[6])
{
	struct req_LOCK q = { .kind = LOCK_FLOCK, .op = LOCK_SET };
	struct rep_LOCK p;
	u32 op = (u32)a[1] & ~(u32)LOCK_NB;
	long r;
	struct ofd *o;

	if (a[1] & LOCK_MAND_)
		return 0;
	if (op != LOCK_SH && op != LOCK_EX && op != LOCK_UN)
		return -EINVAL;
	o = fd_use(t, a[0], &r);
	if (!o)
		return r;
	if (o->flags & O_PATH ||
	    (op != LOCK_UN && !ofd_can_read(o) && !ofd_can_write(o))) {
		r = -EBADF;
	} else if (o->kind == OFD_RELAY) {
		r = relay_op(t, o, __NR_flock, a);
	} else {
		q.ino = o->ino;
		q.pid = t->proc->pid;
		q.type = op == LOCK_SH ? F_RDLCK : op == LOCK_EX ? F_WRLCK : F_UNLCK;
		r = lock_call(t, o, &q, &p, !(a[1] & LOCK_NB) && op != LOCK_UN);
	}
	ofd_put(t, o);
	return r;
}

/* The file's offset or size, as struct flock's l_whence needs it. */
long ofd_base(struct task *t, struct ofd *o, short whence, s64 *base)
{
	struct attr a;
	long r = 0;

	*base = 0;
	if (whence == SEEK_SET || (whence == SEEK_CUR && ofd_is_pipe(o)))
		return 0;
	if (whence == SEEK_END) {
		r = attr_get(t, o->ino, &a);
		*base = (s64)a.size;
	} else if (whence == SEEK_CUR) {
		r = ofd_pos(t, o, (u64 *)base);
	} else {
		r = -EINVAL;
	}
	return r;
}

/* As flock64_to_posix_lock of Linux. */
static long lock_range(struct task *t, struct ofd *o, const struct flock *fl,
		       struct req_LOCK *q)
{
	s64 base, start, end;
	long r = ofd_base(t, o, fl->l_whence, &base);

	if (r)
		return r;
	if (__builtin_add_overflow(base, fl->l_start, &start))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	end = FL_END;
	if (fl->l_len > 0) {
		if (__builtin_add_overflow(start, fl->l_len - 1, &end))
			return -EOVERFLOW;
	} else if (fl->l_len < 0) {
		if (start + fl->l_len < 0)
			return -EINVAL;
		end = start - 1;
		start += fl->l_len;
	}
	q->start = (u64)start;
	q->end = (u64)end;
	return 0;
}

static void lock_result(struct flock *fl, const struct rep_LOCK *p, bool ofd_lock)
{
	fl->l_type = (short)p->type;
	if (p->type == F_UNLCK)
		return;
	fl->l_whence = SEEK_SET;
	fl->l_start = (s64)p->start;
	fl->l_len = p->end >= FL_END ? 0 : (s64)(p->end - p->start + 1);
	fl->l_pid = ofd_lock || !p->pid ? -1 : (s32)p->pid;
}

static long check_lock_mode(const struct ofd *o, const struct flock *fl, bool get,
			    bool ofd_lock)
{
	if (fl->l_type != F_RDLCK && fl->l_type != F_WRLCK && fl->l_type != F_UNLCK)
		return -EINVAL;
	if (!get && ((fl->l_type == F_RDLCK && !ofd_can_read(o)) ||
		     (fl->l_type == F_WRLCK && !ofd_can_write(o))))
		return -EBADF;
	return ofd_lock && fl->l_pid ? -EINVAL : 0;
}

static void note_posix(struct task *t, u32 srv)
{
	struct fdtable *ft = t->proc->fds;
	struct ck *ck = t->ctx.ck;

	if (ft->posix_locks & 1ULL << srv)
		return;
	ck_lock(&t->ctx, ck);
	TX_SET(ck, ft->posix_locks, ft->posix_locks | 1ULL << srv);
	ck_unlock(ck);
}

bool client_has_locks(const struct proc *p)
{
	return p->fds && p->fds->posix_locks;
}

/* F_GETLK, F_SETLK, F_SETLKW and their F_OFD_ variants. */
long lock_fcntl(struct task *t, struct ofd *o, int cmd, void *user)
{
	bool ofd_lock = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
	bool get = cmd == F_GETLK || cmd == F_OFD_GETLK;
	bool wait = cmd == F_SETLKW || cmd == F_OFD_SETLKW;
	struct req_LOCK q = {
		.ino = o->ino,
		.kind = ofd_lock ? LOCK_OFD : LOCK_POSIX,
		.op = get ? LOCK_GET : LOCK_SET,
		.pid = ofd_lock ? 0 : t->proc->pid,
	};
	struct rep_LOCK p;
	struct flock fl;
	long r;

	if (user_read(&fl, user, sizeof(fl)))
		return -EFAULT;
	/* F_UNLCK asks for the description's own locks; nothing can be asked of a process's. */
	if (cmd == F_GETLK && fl.l_type != F_RDLCK && fl.l_type != F_WRLCK)
		return -EINVAL;
	r = lock_range(t, o, &fl, &q);
	if (!r)
		r = check_lock_mode(o, &fl, get, ofd_lock);
	if (r)
		return r;
	q.type = (u32)fl.l_type;
	q.owner = ofd_lock ? 0 : posix_owner(t);
	if (!ofd_lock && !get)
		note_posix(t, ofd_server(o));
	if (!ofd_lock)
		q.servers = t->proc->fds->posix_locks & rpc_servers(&t->ctx);
	r = lock_call(t, o, &q, &p, wait);
	if (r || !get)
		return r;
	lock_result(&fl, &p, ofd_lock);
	return user_write(user, &fl, sizeof(fl));
}
