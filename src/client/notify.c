/* SPDX-License-Identifier: MIT */
/*
 * inotify as a program uses it (fileserver/notify.c says how it works), and what this core tells
 * servers of: what is done through descriptors and by attributes, which directories' servers do
 * not see. While ck->watched is 0 that is one look at a word.
 *
 * The directory and the name of an event are those by which the file was opened, or by which the
 * call found it: t->seen.
 */
#include "base/hash.h"
#include "client/file.h"
#include "client/path.h"

#define ALL_BITS                                                                         \
	(IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR |          \
	 IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_ADD | IN_MASK_CREATE | IN_ISDIR |     \
	 IN_ONESHOT)

/* --- telling ---------------------------------------------------------------------- */

static long note(struct task *t, u32 srv, struct req_NOTE *q)
{
	struct rep_NOTE p = { 0 };
	long r = rpc_note(&t->ctx, srv, q, &p);

	if (!r)
		q->hash = p.hash;
	return r;
}

/* To those who watch the directory. The hash of the name comes back when it was not known. */
static void note_dir(struct task *t, struct notify_seen *s, u32 mask)
{
	struct req_NOTE q = {
		.dir = s->dir, .ino = s->ino, .hash = s->hash, .mask = mask
	};
	u32 servers = t->ctx.isl->super->servers;

	if (!(s->dflags & DIR_DISTRIBUTED)) {
		note(t, ino_server(s->dir), &q);
	} else if (!s->hash || note(t, (u32)(s->hash % servers), &q) == -ENOENT) {
		for (u32 srv = 0; srv < servers; srv++)
			if (!note(t, srv, &q) && q.hash != s->hash)
				break;
	}
	s->hash = q.hash;
}

static void notify_seen_slow(struct task *t, struct notify_seen *s, u32 mask)
{
	struct ck *ck = t->ctx.ck;

	if (s->type == HS_IFDIR)
		mask |= IN_ISDIR;
	if (s->dir && s->ino != INO_ROOT && rpc_is_watched(ck, s->dir))
		note_dir(t, s, mask);
	if (rpc_is_watched(ck, s->ino)) {
		struct req_NOTE q = { .ino = s->ino, .mask = mask };

		note(t, ino_server(s->ino), &q);
	}
}

void notify_ofd_slow(struct task *t, struct ofd *o, u32 mask)
{
	struct notify_seen s = { .ino = o->ino,
				 .dir = o->parent,
				 .hash = o->name_hash,
				 .dflags = o->parent_dflags,
				 .type = o->mode & HS_IFMT };

	if (o->flags & O_PATH || !s.ino || o->kind == OFD_PIPE || !s.type)
		return;
	if (!rpc_is_watched(t->ctx.ck, s.ino) &&
	    !(s.dir && rpc_is_watched(t->ctx.ck, s.dir)))
		return;
	/* Who is told of new data shall find it. */
	if (mask & IN_MODIFY)
		(void)file_sync(t, o);
	notify_seen_slow(t, &s, mask);
	if (s.hash != o->name_hash)
		__atomic_store_n(&o->name_hash, s.hash, __ATOMIC_RELAXED);
}

void notify_opened_slow(struct task *t, struct ofd *o, const struct place *pl,
			bool truncated)
{
	/* A hint, outside the log: whatever stands there, the directory's server checks it. */
	if (pl->name_len && pl->dir)
		o->name_hash = hash_name(pl->dir, pl->name, pl->name_len);
	notify_ofd_slow(t, o, IN_OPEN);
	if (truncated && o->kind == OFD_FILE)
		notify_ofd_slow(t, o, IN_MODIFY);
}

void notify_closed_slow(struct task *t, struct ofd *o)
{
	/* One that cores share: its server says so, when the last of them closes it. OFD_EXE: was said as it
	 * left. */
	if (!ofd_id(o) && o->kind != OFD_EXE)
		notify_ofd_slow(t, o,
				ofd_can_write(o) ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
}

void notify_saw_slow(struct task *t, const struct place *pl)
{
	t->seen = (struct notify_seen){
		.ino = pl->ino,
		.dir = place_has_no_name(pl) ? 0 : pl->dir,
		.hash = pl->name_len ? hash_name(pl->dir, pl->name, pl->name_len) : 0,
		.dflags = pl->dir_dflags,
		.type = pl->type,
	};
}

void notify_saw_ofd_slow(struct task *t, const struct ofd *o)
{
	t->seen = (struct notify_seen){
		.ino = o->ino,
		.dir = o->parent,
		.hash = o->name_hash,
		.dflags = o->parent_dflags,
		.type = o->mode & HS_IFMT,
	};
}

void notify_ino_slow(struct task *t, u64 ino, u32 mask)
{
	struct notify_seen s = { .ino = ino };

	if (t->seen.ino == ino)
		s = t->seen;
	notify_seen_slow(t, &s, mask);
}

static void note_name(struct task *t, u64 dir, u32 dflags, const char *name, u32 mask,
		      u32 cookie)
{
	u32 len = (u32)strlen(name);
	struct req_NOTE q = { .dir = dir,
			      .mask = mask,
			      .cookie = cookie,
			      .name = { .p = name, .len = len } };

	if (rpc_is_watched(t->ctx.ck, dir))
		note(t, rpc_entry_server(&t->ctx, dir, dflags, name, len), &q);
}

/* Joins the halves of a rename; a server's never have the highest bit. */
static u32 new_cookie(struct task *t)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);
	u32 n;

	ck_lock(&t->ctx, ck);
	TX_ADD(ck, r->cookies, 1);
	n = (u32)r->cookies;
	ck_unlock(ck);
	return 0x80000000u | t->ctx.core << 24 | (n & 0xffffff);
}

void notify_moved_slow(struct task *t, u64 ino)
{
	struct req_NOTE q = { .ino = ino, .mask = IN_MOVE_SELF };

	if (rpc_is_watched(t->ctx.ck, ino))
		note(t, ino_server(ino), &q);
}

void notify_renamed_slow(struct task *t, const struct intent *it)
{
	u32 dir = it->ino_type == HS_IFDIR ? IN_ISDIR : 0, cookie = new_cookie(t);

	note_name(t, it->dir, it->dir_dflags, it->name, IN_MOVED_FROM | dir, cookie);
	note_name(t, it->new_dir, it->new_dflags, it->new_name, IN_MOVED_TO | dir,
		  cookie);
	notify_moved_slow(t, it->ino);
}

void notify_exchanged_slow(struct task *t, const struct intent *it)
{
	u32 dir = it->old_type == HS_IFDIR ? IN_ISDIR : 0, cookie;

	notify_renamed_slow(t, it);
	cookie = new_cookie(t);
	note_name(t, it->new_dir, it->new_dflags, it->new_name, IN_MOVED_FROM | dir,
		  cookie);
	note_name(t, it->dir, it->dir_dflags, it->name, IN_MOVED_TO | dir, cookie);
	notify_moved_slow(t, it->old_ino);
}

/* --- the calls -------------------------------------------------------------------- */

/* An instance, with a reference noted as this thread's; until it has its inode it owes no CLOSE. */
static long do_init(struct task *t, u32 flags)
{
	u32 srv = core_server(&t->ctx);
	bool far = !rpc_is_near(&t->ctx, srv);
	struct req_INOTIFY q = { .cred = &t->proc->cred };
	struct rep_INOTIFY p;
	struct intent_node *n;
	struct ofd *o;
	long r;

	if (flags & ~(u32)(IN_CLOEXEC | IN_NONBLOCK))
		return -EINVAL;
	if (!t->proc->fds)
		return CLIENT_HOST;
	o = ofd_new(t, OFD_PIPE, 0, O_RDONLY | (flags & IN_NONBLOCK));
	if (!o)
		return -ENFILE;
	n = far_open_begin(t, srv, RPC_INOTIFY, 0, O_RDONLY);
	r = STEP_CALL(t, srv, INOTIFY, inotify, &q, &p, TX_SET(ck_, o->ino, p.ino);
		      TX_SET(ck_, o->far, (u32)far); TX_SET(ck_, o->mode, 0600);
		      far_noted(ck_, n));
	if (r) {
		far_failed(t, n);
		ofd_put(t, o);
		return r == -ENOSPC ? -EMFILE : r;
	}
	return fd_install(t, o, (flags & IN_CLOEXEC) != 0, 0);
}

long client_inotify_init(struct task *t, long a[6])
{
	(void)a;
	return do_init(t, 0);
}

long client_inotify_init1(struct task *t, long a[6])
{
	return do_init(t, (u32)a[0]);
}

static long wd_call(struct task *t, const struct ofd *o, struct req_WD *q,
		    struct rep_WD *p)
{
	q->inst = o->ino;
	return rpc_wd(&t->ctx, ofd_server(o), q, p);
}

/* Every core has heard of what a server told it when it answers this. */
static void everybody_knows(struct task *t)
{
	struct req_PING q = { 0 };
	struct rep_PING p;

	for (u32 core = 0; core < t->ctx.isl->super->cores; core++)
		(void)rpc_ping(&t->ctx, core, &q, &p);
}

/* Again while there is a core that cannot hear of it yet: its ring is full. */
static long watch_at(struct task *t, u32 srv, const struct req_WATCH *q)
{
	struct rep_WATCH p;
	long r;

	while ((r = rpc_watch(&t->ctx, srv, q, &p)) == -EAGAIN)
		pending_wait();
	return r;
}

static long watch(struct task *t, const struct ofd *o, const struct place *pl,
		  const struct rep_WD *wd)
{
	struct req_WATCH q = { .ino = pl->ino,
			       .inst = o->ino,
			       .wd = wd->wd,
			       .mask = wd->mask,
			       .cred = &t->proc->cred };
	u32 home = ino_server(pl->ino), srv;
	long r = watch_at(t, home, &q);

	if (pl->type == HS_IFDIR && pl->dflags & DIR_DISTRIBUTED)
		for (srv = 0; !r && srv < t->ctx.isl->super->servers; srv++)
			if (srv != home)
				r = watch_at(t, srv, &q);
	return r;
}

static long add_hare(struct task *t, const struct ofd *o, const struct place *pl,
		     u32 mask)
{
	struct req_WD q = {
		.op = WD_ADD, .ino = pl->ino, .dflags = pl->dflags, .mask = mask
	};
	struct rep_WD p, dropped;
	struct attr at;
	long r;

	if (mask & IN_ONLYDIR && pl->type != HS_IFDIR)
		return -ENOTDIR;
	r = attr_get(t, pl->ino, &at);
	if (!r)
		r = perm_check(&t->proc->cred, at.mode, at.uid, at.gid, MAY_READ);
	if (!r)
		r = wd_call(t, o, &q, &p);
	if (r)
		return r;
	r = watch(t, o, pl, &p);
	if (r && p.made) {
		q.op = WD_DROP;
		q.wd = p.wd;
		(void)wd_call(t, o, &q, &dropped);
	}
	if (r)
		return r;
	everybody_knows(t);
	return (long)p.wd;
}

/* A file of the host: the agent of the instance's core watches it, for programs of all cores; of another
 * kernel than its own it sees nothing, so there the program's does. */
static u32 agent_core(struct task *t, const struct ofd *o)
{
	const struct super *s = t->ctx.isl->super;
	u32 srv = ofd_server(o);

	return mem_separate(s) && mem_island_of(s, srv) != t->ctx.isl->id ? t->ctx.core
									  : srv;
}

/* Its watch descriptor. */
static long ask_agent(struct task *t, u32 core, const struct ofd *o,
		      struct req_HOST_WATCH *q)
{
	struct rep_HOST_WATCH p;
	long r;

	q->inst = o->ino;
	r = rpc_host_watch(&t->ctx, core, q, &p);
	if (r || q->op == HOST_WATCH_REMOVE)
		return r;
	q->op = HOST_WATCH_RESULT;
	q->tag = p.tag;
	for (;;) {
		q->wait_seq = msg_event_prepare(&t->ctx);
		r = rpc_host_watch(&t->ctx, core, q, &p);
		if (r != -EAGAIN)
			return r ? r : (long)p.result;
		retry_wait(t, q->wait_seq);
	}
}

static long add_host(struct task *t, const struct ofd *o, long upath, u32 mask)
{
	u32 how = O_PATH | O_CLOEXEC | (mask & IN_DONT_FOLLOW ? O_NOFOLLOW : 0) |
		  (mask & IN_ONLYDIR ? O_DIRECTORY : 0);
	long fd = SYS(openat, AT_FDCWD, upath, how, 0);
	struct req_HOST_WATCH q = {
		.op = HOST_WATCH_ADD,
		.pid = t->ctx.tid,
		.fd = (u32)fd,
		.mask = mask & ~(u32)(IN_DONT_FOLLOW | IN_ONLYDIR),
	};
	long r;

	if (fd < 0)
		return fd;
	r = SYS(faccessat2, fd, "", 4 /* R_OK */, AT_EACCESS | AT_EMPTY_PATH);
	if (r != -EACCES)
		r = ask_agent(t, agent_core(t, o), o, &q);
	SYS(close, fd);
	return r;
}

static long add(struct task *t, struct ofd *o, long a[6])
{
	u32 mask = (u32)a[2], tries = 0;
	struct place pl;
	long r;

	if (mask & IN_MASK_ADD && mask & IN_MASK_CREATE)
		return -EINVAL;
	if (!ofd_is_inotify(o))
		return -EINVAL;
	do {
		r = path_walk(t, NULL, &a[1], mask & IN_DONT_FOLLOW ? 0 : WALK_FOLLOW,
			      &pl);
		if (r)
			return r == CLIENT_HOST ? add_host(t, o, a[1], mask) : r;
		r = add_hare(t, o, &pl, mask);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

long client_inotify_add_watch(struct task *t, long a[6])
{
	struct ofd *o;
	bool host;
	long r;

	if (!((u32)a[2] & ALL_BITS))
		return -EINVAL;
	o = fd_get(t, (int)a[0], &host);
	if (!o)
		return host ? CLIENT_HOST : -EBADF;
	r = o->flags & O_PATH ? -EBADF : add(t, o, a);
	ofd_put(t, o);
	return r;
}

long client_inotify_rm_watch(struct task *t, long a[6])
{
	struct req_WD q = { .op = WD_REMOVE, .wd = (u32)a[1] };
	struct rep_WD p;
	bool host;
	struct ofd *o = fd_get(t, (int)a[0], &host);
	long r;

	if (!o)
		return host ? CLIENT_HOST : -EBADF;
	if (o->flags & O_PATH)
		r = -EBADF;
	else
		r = ofd_is_inotify(o) ? wd_call(t, o, &q, &p) : -EINVAL;
	if (!r && p.ino >= WD_HOST) {
		struct req_HOST_WATCH hq = { .op = HOST_WATCH_REMOVE, .fd = (u32)p.ino };

		(void)ask_agent(t, WD_HOST_CORE(p.ino), o, &hq);
	}
	ofd_put(t, o);
	return r;
}
