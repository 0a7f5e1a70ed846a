/* SPDX-License-Identifier: MIT */
/*
 * inotify: INOTIFY WD WATCH NOTE NOTIFY FILTER, and the instance's side of READ and POLL.
 *
 *   instance   an inode without a name, with a struct fs_notify where a pipe has its bytes: so
 *              descriptors of it are shared, passed and counted as those of a pipe are
 *   watch      at the server of the watched inode; of a distributed directory at all servers
 *   event      names that come and go: found here, in the transaction that changes the name.
 *              What is done through descriptors, without a message: the client says so by NOTE.
 *              Either way NOTIFY goes to the instance's server, in the same transaction
 *   filter     which inodes of this server are watched, told to all cores (FILTER): without a
 *              watch nobody does anything more than look at one word of his own
 *
 *   step  program on core A       instance at A     inode at B                 all cores
 *   1     WD_ADD                  wd 1 -> inode     -                          -
 *   2     WATCH                   wd 1 -> inode     watch (A's instance, 1)    FILTER on its way
 *   3     PING everywhere         -                 -                          filter set
 *
 * Killed after 1: the wd stands for nothing, and goes with the instance. What an instance has of
 * watches elsewhere is always as much as there is, so that closing it takes all back; it is
 * emptied by fs_trim, a piece at a time. Events of a wd that is gone are dropped.
 *
 * Names of a directory are known at its own server alone, so an event of an open file names its
 * directory and the hash of the name it was opened by; if that leads elsewhere by now, the
 * directory is searched for the inode.
 */
#include <linux/inotify.h>

#include "fileserver/fs.h"

#define QUEUE_MAX 16384u /* events: Linux's default for max_queued_events */
#define WDS_MAX	  65536u
#define WATCHERS_MAX                                                                     \
	64u /* instances that watch one inode: one transaction tells them all */
#define READ_MAX      256u /* events of one READ: so much fits into the log */
#define TRIM_MAX      64u
#define KEEP_MASK     (IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK)
#define INOTIFY_ALIGN sizeof(struct inotify_event)

struct fs_event {
	struct list link; /* notify->events */
	s32 wd;
	u32 mask, cookie, len;
	char name[];
};

struct fs_wd {
	u64 ino;
	u32 wd, mask, dflags, pad;
};

/* One watch, at the inode's server. */
struct fs_watch {
	struct list link; /* watched->watches */
	u64 inst;
	u32 wd, mask;
	u32 lost; /* an event could not be sent */
	u32 pad;
};

struct fs_watched {
	struct fs_node node; /* key: the inode; fs.watched */
	struct list watches;
	u32 count;
	u32 pad;
};

/* --- the queue ---------------------------------------------------------------------------------- */

static u32 event_size(u32 len)
{
	return (u32)(sizeof(struct inotify_event) +
		     (len ? ALIGN_UP(len + 1, INOTIFY_ALIGN) : 0));
}

static struct fs_notify *notify_of(struct rpc_env *e, u64 inst)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), inst);

	return i && fs_type(i) == HS_IFIFO && i->pipe ? i->pipe->notify : NULL;
}

static bool same_event(const struct fs_event *v, s32 wd, u32 mask, const char *name,
		       u32 len)
{
	return v->wd == wd && v->mask == mask && v->len == len &&
	       !memcmp(v->name, name, len);
}

/* Memory is short, or the queue full: says so once, at the end of what is there. */
static void overflow(struct rpc_env *e, struct fs_notify *n)
{
	if (n->over->link.next != &n->over->link)
		return;
	tx_list_add_tail(e->ck, &n->events, &n->over->link);
	TX_SET(e->ck, n->bytes, n->bytes + event_size(0));
}

static void queue(struct rpc_env *e, struct fs_pipe *p, s32 wd, u32 mask, u32 cookie,
		  const char *name, u32 len)
{
	struct fs_notify *n = p->notify;
	struct ck *ck = e->ck;
	struct fs_event *v;
	u32 mark;

	if (!list_empty(&n->events)) {
		v = LIST_ENTRY(n->events.prev, struct fs_event, link);
		if (same_event(v, wd, mask, name, len))
			return;
	}
	mark = ck_mark(ck);
	v = n->count < QUEUE_MAX ? fs_alloc(ck, sizeof(*v) + len) : NULL;
	if (v) {
		v->wd = wd;
		v->mask = mask;
		v->cookie = cookie;
		v->len = len;
		memcpy(v->name, name, len);
		tx_list_add_tail(ck, &n->events, &v->link);
		TX_SET(ck, n->count, n->count + 1);
		TX_SET(ck, n->bytes, n->bytes + event_size(len));
	} else {
		ck_abort_to(ck, mark);
		overflow(e, n);
	}
	fs_wake_all(e, &p->waiters, HP_IN | FS_TELL_IN);
}

static void event_put(char *to, const struct fs_event *v)
{
	u32 size = event_size(v->len);
	struct inotify_event head = {
		.wd = v->wd,
		.mask = v->mask,
		.cookie = v->cookie,
		.len = size - (u32)sizeof(head),
	};

	memset(to, 0, size);
	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), v->name, v->len);
}

static void event_drop(struct ck *ck, struct fs_notify *n, struct fs_event *v)
{
	tx_list_del(ck, &v->link);
	TX_SET(ck, n->bytes, n->bytes - event_size(v->len));
	if (v == n->over)
		return;
	TX_SET(ck, n->count, n->count - 1);
	ck_free(ck, v);
}

long fs_notify_read(struct rpc_env *e, struct fs_pipe *p, const struct req_READ *q,
		    struct rep_READ *rep)
{
	u32 room = MIN(q->len, rep->data.cap), at = 0;
	struct fs_notify *n = p->notify;

	if (q->flags & IO_PEEK || !rep->data.p)
		return -EINVAL;
	if (list_empty(&n->events))
		return fs_wait(e, &p->waiters, q->flags & IO_WAIT ? q->wait_seq : 0,
			       HP_IN | HP_HUP);
	for (u32 k = 0; k < READ_MAX && !list_empty(&n->events); k++) {
		struct fs_event *v = LIST_ENTRY(n->events.next, struct fs_event, link);
		u32 size = event_size(v->len);

		if (size > room - at)
			break;
		event_put((char *)rep->data.p + at, v);
		at += size;
		event_drop(e->ck, n, v);
	}
	rep->data.len = at;
	return at ? 0 : -EINVAL;
}

/* --- instances ------------------------------------------------------------------------------------ */

long fs_inotify(struct rpc_env *e, const struct req_INOTIFY *q, struct rep_INOTIFY *rep)
{
	struct fs_inode *i =
		fs_inode_new(e, CK_HELD, HS_IFIFO | 0600, q->cred->uid, q->cred->gid);
	struct fs_pipe *p = i ? fs_alloc(e->ck, sizeof(*p)) : NULL;
	struct fs_notify *n = p ? fs_alloc(e->ck, sizeof(*n)) : NULL;

	if (!n)
		return -ENOSPC;
	n->over = fs_alloc(e->ck, sizeof(*n->over));
	if (!n->over)
		return -ENOSPC;
	n->over->wd = -1;
	n->over->mask = IN_Q_OVERFLOW;
	list_init_fresh(&n->over->link);
	list_init_fresh(&n->events);
	n->inst = i->node.key;
	list_init_fresh(&p->waiters);
	p->writers = 1; /* it is never hung up */
	p->notify = n;
	p->flags = FS_P_NOTIFY;
	i->pipe = p;
	i->nlink = 0;
	i->flags = FS_I_ANON;
	rep->ino = i->node.key;
	return fs_open_inode(e, i, O_RDONLY, NULL, NULL, NULL);
}

/* Its last descriptor is closed: what hangs from it goes by and by. */
void fs_notify_release(struct ck *ck, struct fs_notify *n)
{
	struct fs *f = fs_of(ck);

	TX_SET(ck, n->dead, f->dead_notify);
	TX_SET(ck, f->dead_notify, n);
}

static u64 ino_key(u64 ino)
{
	u64 srv = ino_server(ino) & 0xff;

	return (ino & ((1ULL << INO_SERVER_SHIFT) - 1)) << 8 | srv;
}

static void wd_free(struct ck *ck, struct fs_notify *n, struct fs_wd *w)
{
	tx_radix_set(ck, &n->wds, w->wd, 0);
	tx_radix_set(ck, &n->inos, ino_key(w->ino), 0);
	TX_SET(ck, n->watches, n->watches - 1);
	ck_free(ck, w);
}

static void watch_set(struct rpc_env *e, struct fs_watched *x, struct fs_watch *w,
		      u32 mask);
static struct fs_watched *watched_find(struct fs *f, u64 ino);

/* Of that wd alone: one that the instance has made since for the same inode stays, should this come late. */
static void watch_remove(struct rpc_env *e, u64 ino, u64 inst, u32 wd)
{
	struct fs_watched *x = watched_find(fs_of(e->ck), ino);

	for (struct list *l = x ? x->watches.next : NULL; l && l != &x->watches;
	     l = l->next) {
		struct fs_watch *w = LIST_ENTRY(l, struct fs_watch, link);

		if (w->inst == inst && w->wd == wd) {
			watch_set(e, x, w, 0);
			return;
		}
	}
}

/* Takes the watch of a wd back where it is. -ENOSPC: later. */
static long take_back(struct rpc_env *e, u64 inst, const struct fs_wd *w)
{
	static const struct cred nobody = { 0 };
	struct req_WATCH q = {
		.ino = w->ino, .inst = inst, .wd = w->wd, .cred = &nobody
	};
	bool all = w->dflags & DIR_DISTRIBUTED;
	u32 home = ino_server(w->ino);
	long r = 0;

	if (home >= fs_of(e->ck)->servers)
		return 0; /* the host's */
	for (u32 srv = 0; !r && srv < fs_of(e->ck)->servers; srv++) {
		if (srv != home && !all)
			continue;
		if (srv == e->srv)
			watch_remove(e, w->ino, inst, w->wd);
		else
			r = rpc_post_watch(e, srv, &q);
	}
	return r;
}

/* A piece of an instance that was closed. True while more is to do. */
bool fs_notify_trim(struct ctx *c, struct ck *ck)
{
	struct rpc_env e = { .c = c, .ck = ck, .srv = ck->core, .core = ck->core };
	struct fs *f = fs_of(ck);
	struct fs_notify *n = f->dead_notify;
	u64 at, v;

	if (likely(!n))
		return false;
	/* A watch of a directory of many parts takes some hundred entries of the log, more when
	 * rings are full. */
	for (u32 k = 0; k < TRIM_MAX && ck->log_count < CK_LOG_MAX / 2; k++) {
		if (!list_empty(&n->events)) {
			event_drop(ck, n,
				   LIST_ENTRY(n->events.next, struct fs_event, link));
		} else if (radix_next(&n->wds, 0, &at, &v)) {
			u32 mark = ck_mark(ck);

			if (take_back(&e, n->inst, (struct fs_wd *)v) < 0) {
				ck_abort_to(ck, mark);
				return false;
			}
			wd_free(ck, n, (struct fs_wd *)v);
		} else {
			TX_SET(ck, f->dead_notify, n->dead);
			ck_free(ck, n->over);
			ck_free(ck, n);
			break;
		}
	}
	msg_flush(c, ck);
	return f->dead_notify != NULL;
}

static struct fs_wd *wd_find(const struct fs_notify *n, u32 wd)
{
	return (struct fs_wd *)radix_get(&n->wds, wd);
}

static long wd_add(struct rpc_env *e, struct fs_notify *n, const struct req_WD *q,
		   struct rep_WD *p)
{
	u64 wd = radix_get(&n->inos, ino_key(q->ino));
	struct fs_wd *w = wd ? wd_find(n, (u32)wd) : NULL;
	u32 mask = q->mask & KEEP_MASK;

	p->made = !w;
	if (w && q->mask & IN_MASK_CREATE)
		return -EEXIST;
	if (!w) {
		if (n->watches >= WDS_MAX || n->next_wd >= 0x7fffffff)
			return -ENOSPC;
		w = fs_alloc(e->ck, sizeof(*w));
		if (!w)
			return -ENOSPC;
		TX_SET(e->ck, n->next_wd, n->next_wd + 1);
		TX_SET(e->ck, n->watches, n->watches + 1);
		w->wd = n->next_wd;
		w->ino = q->ino;
		w->dflags = q->dflags;
		if (tx_radix_set(e->ck, &n->wds, w->wd, (u64)w) < 0 ||
		    tx_radix_set(e->ck, &n->inos, ino_key(q->ino), w->wd) < 0)
			return -ENOSPC;
	} else if (q->mask & IN_MASK_ADD) {
		mask |= w->mask;
	}
	TX_SET(e->ck, w->mask, mask);
	p->wd = w->wd;
	p->mask = mask;
	p->ino = q->ino;
	return 0;
}

long fs_wd(struct rpc_env *e, const struct req_WD *q, struct rep_WD *p)
{
	struct fs_notify *n = notify_of(e, q->inst);
	struct fs_wd *w;
	long r;

	if (!n)
		return -EINVAL;
	if (q->op == WD_ADD)
		return wd_add(e, n, q, p);
	w = wd_find(n, q->wd);
	if (!w || q->op > WD_DROP)
		return -EINVAL;
	p->wd = w->wd;
	p->mask = w->mask;
	p->ino = w->ino;
	p->made = 0;
	r = take_back(e, q->inst, w);
	if (r < 0)
		return r;
	if (q->op == WD_REMOVE)
		queue(e, fs_inode_find(fs_of(e->ck), q->inst)->pipe, (s32)w->wd,
		      IN_IGNORED, 0, "", 0);
	wd_free(e->ck, n, w);
	return 0;
}

/* An event that has come to its instance. */
static void arrived(struct rpc_env *e, const struct req_NOTIFY *q)
{
	struct fs_notify *n = notify_of(e, q->inst);
	struct fs_wd *w;
	struct fs_pipe *p;
	u32 mask = q->mask;

	if (!n)
		return;
	if (q->lost)
		overflow(e, n);
	w = wd_find(n, q->wd);
	if (!w)
		return;
	p = fs_inode_find(fs_of(e->ck), q->inst)->pipe;
	if (mask & ~(IN_IGNORED | IN_ONESHOT))
		queue(e, p, (s32)q->wd, mask & ~(IN_IGNORED | IN_ONESHOT), q->cookie,
		      q->name.p, q->name.len);
	if (!(mask & (IN_IGNORED | IN_ONESHOT)))
		return;
	queue(e, p, (s32)q->wd, IN_IGNORED, 0, "", 0);
	/* The other parts of a directory wanted one event too. Without room in the log they keep
	 * their watch until their own one comes, and is dropped. */
	if (mask & IN_ONESHOT && w->dflags & DIR_DISTRIBUTED &&
	    e->ck->log_count < CK_LOG_MAX / 2)
		(void)take_back(e, q->inst, w);
	wd_free(e->ck, n, w);
}

long fs_notify(struct rpc_env *e, const struct req_NOTIFY *q, struct rep_NOTIFY *p)
{
	(void)p;
	arrived(e, q);
	return 0;
}

/* --- watches -------------------------------------------------------------------------------------- */

static struct fs_watched *watched_find(struct fs *f, u64 ino)
{
	return f->watched.count ? (struct fs_watched *)fs_table_find(&f->watched, ino)
				: NULL;
}

long fs_filter(struct rpc_env *e, const struct req_FILTER *q, struct rep_FILTER *p)
{
	struct rpc_core *r = e->ck->root[CK_ROOT_TRACE];
	u32 any = 0;

	(void)p;
	if (q->srv >= fs_of(e->ck)->servers)
		return -EINVAL;
	TX_SET(e->ck, r->watched[q->srv], q->bits);
	for (u32 srv = 0; srv < fs_of(e->ck)->servers; srv++)
		any |= r->watched[srv] != 0;
	if (e->ck->watched != any)
		TX_SET(e->ck, e->ck->watched, any);
	return 0;
}

/* What was posted last to some core waits for room there. */
static bool any_is_behind(struct rpc_env *e)
{
	struct fs *f = fs_of(e->ck);

	for (u32 core = 0; core < f->cores; core++)
		if (core != f->srv && msg_is_behind(e->ck, core))
			return true;
	return false;
}

/* One inode more or less that is watched: all cores hear when that changes what they look at. One more:
 * not while somebody would hear of it later than of what the watcher asks next. -ENOSPC, -EAGAIN. */
static long filter_count(struct rpc_env *e, u64 ino, s32 delta)
{
	struct fs *f = fs_of(e->ck);
	u32 bit = (u32)__builtin_ctzll(rpc_watch_bit(ino));
	struct req_FILTER q = { .srv = f->srv, .bits = f->watch_bits };
	struct rep_FILTER p;
	long r = 0;

	TX_SET(e->ck, f->watch_count[bit], f->watch_count[bit] + (u32)delta);
	if (f->watch_count[bit])
		q.bits |= 1ULL << bit;
	else
		q.bits &= ~(1ULL << bit);
	if (q.bits == f->watch_bits)
		return 0;
	TX_SET(e->ck, f->watch_bits, q.bits);
	for (u32 core = 0; r >= 0 && core < f->cores; core++)
		r = core == f->srv ? fs_filter(e, &q, &p) : rpc_post_filter(e, core, &q);
	if (r >= 0 && delta > 0 && any_is_behind(e))
		r = -EAGAIN;
	return r;
}

/* The last watch of an inode is gone. A FILTER that cannot be sent leaves others too careful. */
static void watched_free(struct rpc_env *e, struct fs_watched *x)
{
	u32 mark;

	fs_table_remove(e->ck, &fs_of(e->ck)->watched, &x->node);
	mark = ck_mark(e->ck);
	if (filter_count(e, x->node.key, -1) < 0)
		ck_abort_to(e->ck, mark);
	ck_free(e->ck, x);
}

static void watch_set(struct rpc_env *e, struct fs_watched *x, struct fs_watch *w,
		      u32 mask)
{
	TX_SET(e->ck, w->mask, mask);
	if (mask)
		return;
	tx_list_del(e->ck, &w->link);
	ck_free(e->ck, w);
	TX_SET(e->ck, x->count, x->count - 1);
	if (!x->count)
		watched_free(e, x);
}

/* Made at the first watch. What fs_table_init stores is not fresh memory here: logged before. */
static long watched_table(struct ck *ck, struct fs_table *t)
{
	TX_SET(ck, t->seg[0], NULL);
	TX_SET(ck, t->mask, 0);
	TX_SET(ck, t->buckets, 0);
	return fs_table_init(ck, t, 64);
}

static long watched_get(struct rpc_env *e, u64 ino, struct fs_watched **out)
{
	struct fs *f = fs_of(e->ck);
	struct fs_watched *x;

	if (!f->watched.buckets && watched_table(e->ck, &f->watched) < 0)
		return -ENOSPC;
	x = watched_find(f, ino);
	if (!x) {
		x = fs_alloc(e->ck, sizeof(*x));
		if (!x)
			return -ENOSPC;
		x->node.key = ino;
		list_init_fresh(&x->watches);
		fs_table_insert_fresh(e->ck, &f->watched, &x->node);
		*out = x;
		return filter_count(e, ino, 1);
	}
	*out = x;
	return 0;
}

static long may_watch(struct rpc_env *e, const struct req_WATCH *q)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	struct fs_dir d;

	if (i)
		return fs_is_dir(i) && !i->nlink
			       ? -ENOENT
			       : fs_perm(q->cred, i->mode, i->uid, i->gid, MAY_READ);
	return fs_dir_find(fs_of(e->ck), q->ino, &d); /* its home has been asked */
}

long fs_watch(struct rpc_env *e, const struct req_WATCH *q, struct rep_WATCH *p)
{
	struct fs_watched *x = NULL;
	struct fs_watch *w;
	long r;

	(void)p;
	if (!q->mask) {
		watch_remove(e, q->ino, q->inst, q->wd);
		return 0;
	}
	if (ino_server(q->inst) >= fs_of(e->ck)->servers)
		return -EINVAL;
	r = may_watch(e, q);
	if (!r)
		r = watched_get(e, q->ino, &x);
	if (r < 0)
		return r;
	for (struct list *l = x->watches.next; l != &x->watches; l = l->next) {
		w = LIST_ENTRY(l, struct fs_watch, link);
		if (w->inst == q->inst) {
			TX_SET(e->ck, w->wd, q->wd);
			watch_set(e, x, w, q->mask & KEEP_MASK);
			return 0;
		}
	}
	w = x->count < WATCHERS_MAX ? fs_alloc(e->ck, sizeof(*w)) : NULL;
	if (!w)
		return -ENOSPC;
	w->inst = q->inst;
	w->wd = q->wd;
	w->mask = q->mask & KEEP_MASK;
	tx_list_add_tail(e->ck, &x->watches, &w->link);
	TX_SET(e->ck, x->count, x->count + 1);
	return 0;
}

/* --- events ---------------------------------------------------------------------------------------- */

static void tell(struct rpc_env *e, struct fs_watched *x, struct fs_watch *w, u32 mask,
		 u32 cookie, const char *name, u32 len)
{
	struct req_NOTIFY q = { .inst = w->inst,
				.wd = w->wd,
				.mask = mask,
				.cookie = cookie,
				.lost = w->lost,
				.name = { .p = name, .len = len } };
	bool last;
	u32 lost = 0;

	if (w->mask & IN_ONESHOT && mask & IN_ALL_EVENTS)
		q.mask |= IN_ONESHOT;
	last = q.mask & (IN_ONESHOT | IN_IGNORED);
	if (last) /* first: its instance may take it back in the same transaction */
		watch_set(e, x, w, 0);
	if (ino_server(q.inst) == e->srv)
		arrived(e, &q);
	else if (rpc_post_notify(e, ino_server(q.inst), &q) < 0)
		lost = 1;
	if (!last && w->lost != lost)
		TX_SET(e->ck, w->lost, lost);
}

/* To all who want it; those who wanted one only are gone then, and so may x be. */
static void tell_all(struct rpc_env *e, struct fs_watched *x, u32 mask, u32 cookie,
		     const char *name, u32 len)
{
	u32 left = x->count;

	for (struct list *l = x->watches.next, *next; left--; l = next) {
		struct fs_watch *w = LIST_ENTRY(l, struct fs_watch, link);

		next = l->next;
		if (w->mask & mask & IN_ALL_EVENTS)
			tell(e, x, w, mask, cookie, name, len);
	}
}

void fs_notify_name_slow(struct rpc_env *e, u64 dir, const char *name, u32 len, u32 type,
			 u32 mask, u32 cookie)
{
	struct fs_watched *x = watched_find(fs_of(e->ck), dir);

	if (x)
		tell_all(e, x, mask | (type == HS_IFDIR ? IN_ISDIR : 0), cookie, name,
			 len);
}

void fs_notify_self_slow(struct rpc_env *e, u64 ino, u32 mask)
{
	struct fs_watched *x = watched_find(fs_of(e->ck), ino);
	struct fs_inode *i = x ? fs_inode_find(fs_of(e->ck), ino) : NULL;

	if (!i)
		return; /* a part of a directory that is elsewhere */
	if (fs_is_dir(i) && !(mask & (IN_MOVE_SELF | IN_DELETE_SELF)))
		mask |= IN_ISDIR;
	tell_all(e, x, mask, 0, "", 0);
}

void fs_notify_gone_slow(struct rpc_env *e, u64 ino, bool home)
{
	struct fs_watched *x = watched_find(fs_of(e->ck), ino);
	u32 left = x ? x->count : 0;

	for (struct list *l = x ? x->watches.next : NULL, *next; left--; l = next) {
		struct fs_watch *w = LIST_ENTRY(l, struct fs_watch, link);

		next = l->next;
		if (home)
			tell(e, x, w, IN_IGNORED | (w->mask & IN_DELETE_SELF), 0, "", 0);
		else
			watch_set(e, x, w, 0);
	}
}

u32 fs_notify_cookie(struct rpc_env *e)
{
	struct fs *f = fs_of(e->ck);

	TX_SET(e->ck, f->next_cookie, f->next_cookie + 1);
	return (f->next_cookie * MAX_CORES + f->srv) & 0x7fffffff;
}

/* The entry of a directory that leads to an inode, by the hash of its name or by looking at
 * all of them. */
static const struct fs_entry *entry_of(struct fs *f, const struct fs_dir *d, u64 dir,
				       u64 ino, u64 hash)
{
	u64 cookie = 0, v;

	for (struct fs_node *n = *fs_table_bucket(&f->entries, hash); n; n = n->next) {
		const struct fs_entry *t = (const struct fs_entry *)n;

		if (t->node.key == hash && t->dir == dir && t->ino == ino)
			return t;
	}
	for (; radix_next(&d->part->cookies, cookie, &cookie, &v); cookie++)
		if (((const struct fs_entry *)v)->ino == ino)
			return (const struct fs_entry *)v;
	return NULL;
}

long fs_note(struct rpc_env *e, const struct req_NOTE *q, struct rep_NOTE *p)
{
	struct fs *f = fs_of(e->ck);
	const struct fs_entry *n;
	const struct fs_inode *i;
	struct fs_dir d;
	u32 mask = q->mask & (IN_ALL_EVENTS | IN_ISDIR);
	u32 type = mask & IN_ISDIR ? HS_IFDIR : HS_IFREG;
	long r;

	p->hash = q->hash;
	if (!q->dir) {
		fs_notify_self(e, q->ino, mask & ~IN_ISDIR);
		return 0;
	}
	if (!watched_find(f, q->dir))
		return 0;
	if (q->name.len) {
		fs_notify_name(e, q->dir, q->name.p, q->name.len, type, mask, q->cookie);
		return 0;
	}
	i = fs_inode_find(f, q->ino);
	if (i && !i->nlink)
		return -ENOENT; /* without looking through the directory at each read and write */
	r = fs_dir_find(f, q->dir, &d);
	if (r < 0)
		return r;
	n = entry_of(f, &d, q->dir, q->ino, q->hash);
	if (!n)
		return -ENOENT;
	p->hash = n->node.key;
	fs_notify_name(e, q->dir, n->name, n->len, type, mask, q->cookie);
	return 0;
}

void fs_notify_closed(struct rpc_env *e, const struct fs_inode *i, const struct fs_ofd *o)
{
	struct req_NOTE q = { .dir = o->parent, .ino = i->node.key, .hash = o->hash };
	u32 srv = ino_server(o->parent);
	struct rep_NOTE p;

	if (likely(!e->ck->watched) || o->flags & O_PATH)
		return;
	q.mask =
		(o->flags & FS_O_ACCMODE) != O_RDONLY ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE;
	if (fs_is_dir(i))
		q.mask |= IN_ISDIR;
	if (o->parent_dflags & DIR_DISTRIBUTED)
		srv = (u32)(o->hash % fs_of(e->ck)->servers);
	if (o->parent && rpc_is_watched(e->ck, o->parent) && srv == e->srv)
		(void)fs_note(e, &q, &p);
	else if (o->parent && rpc_is_watched(e->ck, o->parent) &&
		 srv < fs_of(e->ck)->servers)
		(void)rpc_post_note(e, srv, &q);
	fs_notify_self(e, q.ino, q.mask & ~(u32)IN_ISDIR);
}
