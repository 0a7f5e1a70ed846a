/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of Hare on their way through a socket (SCM_RIGHTS). The host's socket carries a
 * token in place of each, so the host's kernel keeps their order and their life: a token is
 * dropped when it is received, when there is no room for it, or when the socket goes unread.
 *
 * A token is an open description of the program loader's file, which programs have no use for.
 * Its offset says the sender's core and the number of the flight; a lock that belongs to it
 * (F_OFD_SETLK) tells anybody who asks whether a copy of it is left anywhere: in a socket, or in
 * a process that peeked. The flight, in the sender's core kernel, holds a reference of the
 * description meanwhile.
 *
 *   step                                   token          flight
 *   1 sender: open, seek, lock             sender's       -
 *   2 sender: description made SHARED if   sender's       -
 *     another core could receive it
 *   3 sender: reference, flight entered;   sender's       there
 *     it stays SHARED (2 and 3: busy)
 *   4 host's sendmsg; sender closes        the socket's   there
 *   5 host's recvmsg                       receiver's     there
 *   6 receiver takes a reference: of the   receiver's     there
 *     sender's description on its core,
 *     of its own by TAKE and DUP elsewhere
 *   7 receiver closes, asks the lock       -              dropped: nobody has the token
 *
 * Whoever is killed where: what nobody has the token of is dropped, at 7, by a close, by a parent
 * in wait, else by the sender's agent, which asks after all flights a few times a second.
 */
#include <linux/fs.h>

#include "client/file.h"
#include "client/path.h"
#include "client/process.h"
#include "proto/hio.h"

#define LOCK_SHIFT 39 /* tokens of other instances have their locks elsewhere */
#define BATCH	   64
#define YOUNG_NS   500000000ULL
#define LOOK_SOON  20000000LL
#define LOOK_LATER 200000000LL

struct flight {
	struct list link; /* client_root.flights */
	struct ofd *ofd; /* a reference */
	u64 since_ns;
	u32 id, pad;
};

/* --- the token -------------------------------------------------------------------- */

struct host_id {
	u64 dev, ino;
};

static const char *token_file(const struct task *t)
{
	return t->ctx.isl->super->loader;
}

static u64 token_offset(u32 core, u32 id)
{
	return (u64)core << 32 | id;
}

static long token_lock(const struct task *t, int fd, int cmd, u64 off, short type,
		       short *found)
{
	u64 where = (t->ctx.isl->super->boot_id & 0xffffff) << LOCK_SHIFT | off;
	struct flock fl = { .l_type = type, .l_start = (long)where, .l_len = 1 };
	long r = SYS(fcntl, fd, cmd, &fl);

	if (found)
		*found = fl.l_type;
	return r;
}

static long token_open(const struct task *t)
{
	long fd = SYS(open, token_file(t), O_RDONLY | O_CLOEXEC, 0);

	/* A process whose root is elsewhere cannot pass anything. */
	return fd == -ENOENT || fd == -EACCES ? -EOPNOTSUPP : fd;
}

static long token_new(const struct task *t, u32 id)
{
	u64 off = token_offset(t->ctx.core, id);
	long fd = token_open(t), r;

	if (sys_failed(fd))
		return fd;
	r = SYS(lseek, fd, off, SEEK_SET);
	if (!sys_failed(r))
		r = token_lock(t, (int)fd, F_OFD_SETLK, off, F_RDLCK, NULL);
	if (!sys_failed(r))
		return fd;
	SYS(close, fd);
	return r;
}

/* Is a copy of it left? fd: of the token's file, but no token. */
static bool token_lives(const struct task *t, int fd, u64 off)
{
	short found = F_RDLCK;

	return token_lock(t, fd, F_OFD_GETLK, off, F_WRLCK, &found) || found != F_UNLCK;
}

static bool host_id_of(int fd, struct host_id *id)
{
	u8 st[144]; /* struct stat begins with these two */

	if (SYS(fstat, fd, st))
		return false;
	memcpy(id, st, sizeof(*id));
	return true;
}

/* A token's offset; 0: it is none. */
static u64 token_read(const struct task *t, int fd)
{
	static struct host_id loader;
	struct host_id id;
	long off;

	if (!loader.ino) {
		long own = token_open(t);

		if (sys_failed(own))
			return 0;
		(void)host_id_of((int)own, &loader);
		SYS(close, own);
	}
	if (!host_id_of(fd, &id) || id.ino != loader.ino || id.dev != loader.dev)
		return 0;
	off = SYS(lseek, fd, 0, SEEK_CUR);
	return sys_failed(off) || off >> 32 >= t->ctx.isl->super->cores ? 0 : (u64)off;
}

/* --- flights; the lock is held ---------------------------------------------------- */

static struct flight *flight_find(struct ck *ck, u32 id)
{
	struct client_root *r = client_root(ck);
	struct list *l;

	for (l = r->flights.next; l != &r->flights; l = l->next)
		if (LIST_ENTRY(l, struct flight, link)->id == id)
			return LIST_ENTRY(l, struct flight, link);
	return NULL;
}

/* The agent is to look after the flights of its core. */
static void agent_told(struct rpc_env *e)
{
	struct proc_root *r = proc_root(e->ck);

	if (r->job_slot)
		rpc_wake(e, e->srv, r->job_slot, r->job_seq);
}

/* --- sending ---------------------------------------------------------------------- */

static u32 flight_number(struct task *t)
{
	struct ck *ck = t->ctx.ck;
	u32 id;

	ck_lock(&t->ctx, ck);
	TX_ADD(ck, client_root(ck)->flight_last, 1);
	if (!client_root(ck)->flight_last)
		TX_SET(ck, client_root(ck)->flight_last, 1);
	id = client_root(ck)->flight_last;
	ck_unlock(ck);
	return id;
}

/* The agent is not woken for it: it looks by itself a few times a second, and most flights are
 * over by then. */
static long flight_enter(struct task *t, struct ofd *o, u32 id)
{
	struct client_root *r = client_root(t->ctx.ck);
	struct ck *ck = t->ctx.ck;
	struct flight *f;

	ck_lock(&t->ctx, ck);
	f = ck_alloc(ck, sizeof(*f));
	if (f) {
		f->id = id;
		f->ofd = o;
		f->since_ns = host_monotonic_ns();
		TX_ADD(ck, o->refs, 1);
		TX_ADD(ck, o->flights, 1);
		tx_list_add_tail(ck, &r->flights, &f->link);
	} else {
		ck_abort(ck);
	}
	ck_unlock(ck);
	return f ? 0 : -ENOMEM;
}

static bool has_server_offset(const struct ofd *o)
{
	return o->kind != OFD_RELAY && o->kind != OFD_PATH;
}

long pass_out(struct task *t, struct ofd *o)
{
	u32 id = flight_number(t);
	long fd = token_new(t, id), r = 0;
	bool locked;

	if (sys_failed(fd))
		return fd;
	locked = pos_lock(t, o);
	if (t->ctx.isl->super->cores > 1 && has_server_offset(o))
		r = ofd_share_held(t, o, 0, NULL);
	if (!r)
		r = flight_enter(t, o, id);
	pos_unlock(o, locked);
	race_point("in flight", RACE_AT);
	if (!r)
		return fd;
	SYS(close, fd);
	return r;
}

/* --- receiving -------------------------------------------------------------------- */

/* The sender's own description, for a receiver of its core. */
static struct ofd *take_here(struct task *t, u32 id)
{
	struct ck *ck = t->ctx.ck;
	struct ofd *o = NULL;
	struct flight *f;
	u32 i;

	ck_lock(&t->ctx, ck);
	f = flight_find(ck, id);
	if (f) {
		o = f->ofd;
		TX_ADD(ck, o->refs, 1);
		if (hold_push(t, o, true, &i))
			hold_note(t, ck, i, o);
	}
	ck_unlock(ck);
	return o;
}

static long count_shared(struct task *t, struct ofd *o, const struct image_fd *d)
{
	u32 srv = ino_server(d->ino);
	struct req_DUP q = { .ino = d->ino, .ofd = d->shared, .refs = 1 };
	struct rep_DUP p;
	struct intent_node *n = far_dup_begin(t, d->ino, d->shared, 1, NULL);
	long r = STEP_CALL(t, srv, DUP, dup, &q, &p, TX_SET(ck_, o->ino, d->ino);
			   TX_SET(ck_, o->shared, d->shared); far_noted(ck_, n));

	if (r)
		far_failed(t, n);
	return r;
}

static long count_path(struct task *t, struct ofd *o, const struct image_fd *d)
{
	struct req_OPEN q = { .ino = d->ino,
			      .flags = d->flags | OPEN_NOCHECK,
			      .cred = &t->proc->cred };
	struct rep_OPEN p = { 0 };

	return far_aware_open(t, o, &q, &p);
}

/* The proxy's descriptor, under a number of its own there. */
static long count_relay(struct task *t, struct ofd *o, const struct image_fd *d)
{
	long fd;

	o->kind = OFD_PATH; /* until there is something to close */
	fd = relay_request(t, o, HIO_DUP, 0, 0);
	if (fd < 0)
		return fd;
	o->relay_fd = (u32)fd;
	o->kind = d->kind;
	return 0;
}

/* A description of this core for one that is on its way from another one. */
static struct ofd *take_there(struct task *t, u32 core, u32 id)
{
	struct image_fd d;
	struct req_TAKE q = { .id = id };
	struct rep_TAKE p = { .fd = { .p = &d, .cap = sizeof(d) } };
	struct ofd *o;
	long r;

	if (rpc_take(&t->ctx, core, &q, &p) || p.fd.len != sizeof(d))
		return NULL;
	o = ofd_of_image(t, &d, 0);
	if (!o)
		return NULL;
	if (d.kind == OFD_RELAY)
		r = count_relay(t, o, &d);
	else
		r = d.kind == OFD_PATH ? count_path(t, o, &d) : count_shared(t, o, &d);
	if (!r)
		return o;
	ofd_put(t, o);
	return NULL;
}

long pass_in(struct task *t, int fd, bool cloexec, struct landing *l)
{
	u64 off = token_read(t, fd);
	u32 core = (u32)(off >> 32), id = (u32)off;
	struct fdent *e;
	struct ofd *o;

	if (likely(!off))
		return fd_adopt(t, fd, cloexec, 0);
	race_point("token", RACE_AT);
	o = core == t->ctx.core ? take_here(t, id) : take_there(t, core, id);
	race_point("taken", RACE_AT);
	SYS(close, fd);
	/* fd_adopt of another one may have come upon the number. */
	e = fd_entry(t->proc->fds, fd);
	if (e && e->kind == FD_HOST)
		fd_close_entry(t, t->proc->fds, (u32)fd);
	l->cores |= 1ULL << core;
	if (core == t->ctx.core && l->count++ < ARRAY_SIZE(l->id))
		l->id[l->count - 1] = id;
	return o ? fd_install(t, o, cloexec, 0) : -EBADF;
}

/* --- the end of a flight ---------------------------------------------------------- */

static void flight_drop(struct task *t, u32 id)
{
	struct ck *ck = t->ctx.ck;
	struct flight *f;
	struct ofd *o;

	ck_lock(&t->ctx, ck);
	f = flight_find(ck, id);
	if (!f) {
		ck_unlock(ck);
		return;
	}
	o = f->ofd;
	TX_ADD(ck, o->flights, -1);
	tx_list_del(ck, &f->link);
	ck_free(ck, f);
	ofd_drop_unlock(t, o);
}

/* Numbers of flights behind `after`, at most BATCH; *young: one of them is. */
static u32 flights_list(struct task *t, u32 skip, u32 *ids, bool *young)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);
	u64 now = host_monotonic_ns();
	u32 n = 0, at = 0;
	struct list *l;

	ck_lock(&t->ctx, ck);
	for (l = r->flights.next; l != &r->flights && n < BATCH; l = l->next) {
		struct flight *f = LIST_ENTRY(l, struct flight, link);

		if (at++ < skip)
			continue;
		ids[n++] = f->id;
		*young |= now - f->since_ns < YOUNG_NS;
	}
	ck_unlock(ck);
	return n;
}

/* Drops what nobody has the token of. True when one of those that stay is young. */
static bool settle(struct task *t)
{
	u32 ids[BATCH], n, i, stay = 0;
	bool young = false;
	long fd = token_open(t);

	if (sys_failed(fd))
		return false;
	do {
		n = flights_list(t, stay, ids, &young);
		for (i = 0; i < n; i++) {
			if (token_lives(t, (int)fd, token_offset(t->ctx.core, ids[i]))) {
				stay++;
				continue;
			}
			race_point("no token", RACE_AT);
			flight_drop(t, ids[i]);
		}
	} while (n == BATCH);
	SYS(close, fd);
	return young;
}

void pass_settle(struct task *t)
{
	if (unlikely(pass_any(t)))
		(void)settle(t);
}

static void settle_some(struct task *t, const struct landing *l)
{
	long fd = token_open(t);

	if (sys_failed(fd))
		return;
	for (u32 i = 0; i < l->count; i++)
		if (!token_lives(t, (int)fd, token_offset(t->ctx.core, l->id[i])))
			flight_drop(t, l->id[i]);
	SYS(close, fd);
}

void pass_landed(struct task *t, const struct landing *l)
{
	struct req_LANDED q = { 0 };
	struct rep_LANDED p;

	if (l->count > ARRAY_SIZE(l->id))
		pass_settle(t);
	else if (l->count)
		settle_some(t, l);
	for (u64 m = l->cores & ~(1ULL << t->ctx.core); m; m &= m - 1)
		(void)rpc_landed(&t->ctx, (u32)__builtin_ctzll(m), &q, &p);
}

s64 client_passing(struct task *t)
{
	bool young = pass_any(t) && settle(t);

	if (!pass_any(t))
		return -1;
	return young ? LOOK_SOON : LOOK_LATER;
}

/* --- what other cores ask; run by whoever drains, e->ck locked ---------------------- */

long client_take(struct rpc_env *e, const struct req_TAKE *q, struct rep_TAKE *p)
{
	struct flight *f = flight_find(e->ck, q->id);
	struct image_fd d = { 0 };

	if (!f)
		return -ENOENT;
	ofd_image(f->ofd, &d);
	if (p->fd.cap < sizeof(d))
		return -ENOSPC;
	memcpy(p->fd.p, &d, sizeof(d));
	p->fd.len = sizeof(d);
	return 0;
}

long client_landed(struct rpc_env *e, const struct req_LANDED *q, struct rep_LANDED *p)
{
	(void)q;
	(void)p;
	agent_told(e);
	return 0;
}
