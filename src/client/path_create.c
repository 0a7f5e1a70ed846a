/* SPDX-License-Identifier: MIT */
/*
 * Making files, directories, symlinks and nodes (thesis, sections 3.7.4 and 3.7.5).
 *
 * Where the inode goes, and how many messages that costs:
 *   entry at the own server    the inode beside its entry: CREATE does both, and opens: one local
 *                              call
 *   entry at another one       creation affinity: the inode at this core's own server (local),
 *                              then ADD_MAP: one message, or a local call. Switched off: CREATE
 *                              there: one message, but the file's data is then far for ever. In
 *                              one island the inode could stand beside its entry for a call less;
 *                              but then writers of different files share a server's lock (two of
 *                              them 0.6 of tmpfs's speed, with affinity 2.8; creates 1.8 and 1.4)
 *   a distributed directory    inode, SHARD_NEW at every server, ADD_MAP
 *   a server without memory    the inode at another one; its name can be nowhere else, and ENOSPC
 *                              means that there is no memory for that, or nowhere for an inode
 *
 * An inode without a name stands between CREATE and ADD_MAP; a name that is taken gives EEXIST
 * there, the inode is destroyed, and open(O_CREAT) goes on with the one that has the name. It is open
 * from CREATE on, so who has made a file has it even if others remove it the moment that it can be
 * seen:
 *
 *   open(O_CREAT | O_EXCL)       another          name  links, opens
 *   CREATE, opens it             -                -     1, 1
 *   ADD_MAP                      -                yes   1, 1
 *   -                            unlink           -     0, 1
 *   returns a file without name  -                -     0, 1
 *
 * Were OPEN to come last it would find nothing, and the file be made a second time, or be another's.
 */
#include "client/path.h"

#define FULL_FOR 256 /* creates, until servers are asked to keep memory for names again */

/* --- the parts ------------------------------------------------------------------------------ */

/* What an inode inherits from its directory when the directory is not at hand where it is made:
 * the group of a set-gid one (inode_init_owner in Linux). */
static u32 inherit(const struct perm *parent, struct cred *cred, u32 mode)
{
	bool member = cred_in_group(cred, parent->gid);

	if (!(parent->mode & HS_ISGID))
		return mode;
	cred->gid = parent->gid;
	if ((mode & HS_IFMT) == HS_IFDIR)
		return mode | HS_ISGID;
	if ((mode & (HS_ISGID | 0010)) == (HS_ISGID | 0010) && !member && cred->uid != 0)
		mode &= ~HS_ISGID;
	return mode;
}

/* What a made inode is noted in, in the transaction that makes it. */
static void note_made(struct ck *ck, const struct creation *cr,
		      const struct rep_CREATE *p)
{
	if (cr->ofd && p->opened)
		TX_SET(ck, cr->ofd->ino, p->ino);
	if (cr->node) {
		TX_SET(ck, cr->node->it.ino, p->ino);
		TX_SET(ck, cr->node->it.ino_dflags, p->dflags);
	}
}

static long call_create(struct task *t, u32 srv, struct req_CREATE *q,
			struct creation *cr)
{
	struct intent_node *n = NULL;
	struct rep_CREATE p;
	long r;

	q->rdev = cr->rdev;
	q->target.p = (void *)cr->target;
	q->target.len = cr->target_len;
	q->target.cap = cr->target_len;
	q->open_flags = cr->open_flags;
	q->flags = (cr->excl ? CREATE_EXCL : 0) | (cr->open ? CREATE_OPEN : 0) |
		   (cr->tmpfile ? CREATE_TMPFILE : 0) |
		   (cr->distribute ? CREATE_DISTRIBUTED : 0) |
		   (cr->spread ? CREATE_SPREAD : 0);
	q->wait_seq = 0;
	p.runs = cr->runs;
	if (cr->open) /* who closes it has to know, from when it has its inode on */
		cr->ofd->far = !rpc_is_near(&t->ctx, srv);
	for (;;) {
		if (cr->open)
			n = far_open_begin(t, srv, RPC_CREATE, 0, q->open_flags);
		r = STEP_CALL(t, srv, CREATE, create, q, &p, note_made(ck_, cr, &p);
			      far_noted(ck_, n));
		if (r)
			far_failed(t, n);
		if (likely(r != -EAGAIN))
			break;
		/* Its directory is being removed: look again when that is over. */
		if (q->wait_seq)
			retry_wait(t, q->wait_seq);
		q->wait_seq = msg_event_prepare(&t->ctx);
	}
	cr->inode_full = r == -ENOSPC;
	if (r)
		return r;
	cr->created = p.created != 0;
	cr->opened = p.opened != 0;
	cr->ino = p.ino;
	cr->type = p.type & HS_IFMT;
	cr->dflags = p.dflags;
	cr->runs.len = p.runs.len;
	cr->attr = p.attr;
	return 0;
}

long create_unnamed(struct task *t, const struct place *at, const struct perm *parent,
		    u32 srv, struct creation *cr)
{
	struct cred cred = t->proc->cred;
	struct req_CREATE q = { .dir = 0,
				.parent = at->dir,
				.cred = &cred,
				.name = { .p = at->name, .len = at->name_len } };

	q.mode = inherit(parent, &cred, cr->mode);
	cr->mode = q.mode;
	return call_create(t, srv, &q, cr);
}

long shards_all(struct ctx *c, const struct req_SHARD *q)
{
	struct rep_SHARD p[MAX_CORES];
	long r[MAX_CORES];
	u32 srv;

	rpc_all_shard(c, rpc_servers(c), q, false, p, r);
	for (srv = 0; srv < c->isl->super->servers; srv++)
		if (r[srv] && r[srv] != -ENOENT)
			return r[srv];
	return 0;
}

void inode_destroy(struct task *t, u64 ino, u32 dflags)
{
	struct ctx *c = &t->ctx;
	struct req_DESTROY q = { .ino = ino };
	struct rep_DESTROY p;

	if (dflags & DIR_DISTRIBUTED) {
		struct req_SHARD sq = { .dir = ino, .op = SHARD_DROP };

		(void)shards_all(c, &sq);
	}
	rpc_destroy(c, ino_server(ino), &q, &p);
}

/* A distributed directory's part at every server. */
static long make_shards(struct task *t, const struct creation *cr)
{
	struct req_FSTAT fq = { .ino = cr->ino };
	struct rep_FSTAT fp;
	struct req_SHARD q = { .dir = cr->ino, .op = SHARD_NEW };
	long r = rpc_fstat(&t->ctx, ino_server(cr->ino), &fq, &fp);

	q.mode = fp.attr.mode;
	q.uid = fp.attr.uid;
	q.gid = fp.attr.gid;
	return r ? r : shards_all(&t->ctx, &q);
}

/* Names the inode. -EEXIST: *taken says what has the name. */
static long add_map(struct task *t, const struct place *pl, u32 srv,
		    const struct creation *cr, struct rep_ADD_MAP *taken)
{
	struct req_ADD_MAP q = { .dir = pl->dir,
				 .name = { .p = pl->name, .len = pl->name_len },
				 .cred = &t->proc->cred,
				 .ino = cr->ino,
				 .type = cr->mode & HS_IFMT,
				 .dflags = cr->dflags };
	long r;

	for (;;) {
		r = STEP_CALL(t, srv, ADD_MAP, add_map, &q, taken,
			      TX_SET(ck_, cr->node->it.step, 1));
		if (likely(r != -EAGAIN))
			return r;
		if (q.wait_seq)
			retry_wait(t, q.wait_seq);
		q.wait_seq = msg_event_prepare(&t->ctx);
	}
}

void dir_set_parent(struct task *t, u64 ino, u64 dir, u32 dir_dflags, const char *name)
{
	struct req_SET_PARENT q = { .ino = ino,
				    .parent = dir,
				    .parent_dflags = dir_dflags,
				    .name = { .p = name, .len = (u32)strlen(name) } };
	struct rep_SET_PARENT p;

	rpc_set_parent(&t->ctx, ino_server(ino), &q, &p);
}

/* --- inode and entry at different servers, or by different calls --------------------------------- */

static void fill_found(struct creation *cr, const struct place *pl)
{
	cr->created = false;
	cr->opened = false;
	cr->ino = pl->ino;
	cr->type = pl->type;
	cr->dflags = pl->dflags;
}

/* The entry's server is far: what the cache says of the name may save all messages, and the
 * directory's group must be known. 1: the name is there, cr is filled. */
static long look_before(struct task *t, const struct place *pl, struct creation *cr,
			struct perm *parent)
{
	struct place pl2;
	long r;

	if (dir_perm_peek(t, pl->dir, parent))
		return 0;
	r = cache_lookup(t, pl->dir, pl->dir_dflags, pl->name, pl->name_len, false, &pl2);
	if (!r) {
		fill_found(cr, &pl2);
		return cr->excl ? -EEXIST : 1;
	}
	return r == -ENOENT ? dir_perm_get(t, pl->dir, parent) : r;
}

/* Takes back an inode that got no name, and its open. That first: CLOSE is one way, and the call behind it
 * makes sure that the inode is gone. */
static void unmake(struct task *t, struct creation *cr)
{
	if (cr->opened) {
		ofd_put(t, cr->ofd);
		cr->ofd = NULL;
	}
	inode_destroy(t, cr->ino, cr->dflags);
	cr->created = cr->opened = false;
}

/* From the inode to its name; undone when that fails. */
static long make_and_name(struct task *t, const struct place *pl, u32 entry_srv, u32 srv,
			  const struct perm *parent, struct creation *cr,
			  struct rep_ADD_MAP *taken)
{
	u64 mark = cache_mark(t);
	long r;

	r = create_unnamed(t, pl, parent, srv, cr);
	if (r)
		return r;
	if (cr->distribute)
		r = make_shards(t, cr);
	/* Before it can be found by name: `..` must work from the first moment. */
	if (!r && cr->type == HS_IFDIR)
		dir_set_parent(t, cr->ino, pl->dir, pl->dir_dflags, pl->name);
	if (!r)
		r = add_map(t, pl, entry_srv, cr, taken);
	if (r) {
		unmake(t, cr);
		return r;
	}
	cache_learn(t, mark, pl, cr->ino, cr->type, cr->dflags);
	return 0;
}

static long create_apart(struct task *t, const struct place *pl, u32 entry_srv, u32 srv,
			 struct creation *cr)
{
	struct intent it = { .op = INTENT_CREATE,
			     .dir = pl->dir,
			     .dir_dflags = pl->dir_dflags };
	struct rep_ADD_MAP taken;
	struct perm parent;
	long r;

	if (rpc_is_near(&t->ctx, entry_srv))
		r = dir_perm_get(t, pl->dir, &parent);
	else
		r = look_before(t, pl, cr, &parent);
	if (r)
		return r < 0 ? r : 0;
	memcpy(it.name, pl->name, pl->name_len + 1);
	cr->node = intent_begin(t, &it);
	if (!cr->node)
		return -ENOSPC;
	r = make_and_name(t, pl, entry_srv, srv, &parent, cr, &taken);
	intent_end(t, cr->node);
	cr->node = NULL;
	if (r == -EEXIST && !cr->excl) {
		cr->ino = taken.old_ino;
		cr->type = taken.old_type & HS_IFMT;
		cr->dflags = taken.old_dflags;
		return 0;
	}
	return r;
}

/* Where this task's inodes go when their entries are elsewhere. An import makes what programs on
 * all cores will use: directories go to all servers in turn, and files where their directories are,
 * as if a program on that core had made both. */
static u32 home_of(struct task *t, u32 entry_srv, bool is_dir)
{
	if (likely(!t->spread))
		return core_server(&t->ctx);
	return is_dir ? t->spread++ % t->ctx.isl->super->servers : entry_srv;
}

/* Makes it with its inode at server `home`. */
static long create_at(struct task *t, const struct place *pl, u32 srv, u32 home,
		      struct creation *cr)
{
	struct req_CREATE q = { .dir = pl->dir,
				.parent = pl->dir,
				.mode = cr->mode,
				.cred = &t->proc->cred,
				.name = { .p = pl->name, .len = pl->name_len } };
	u64 mark;
	long r;

	if (srv != home || cr->distribute ||
	    t->ctx.isl->super->without & WITHOUT_COALESCING)
		return create_apart(t, pl, srv, home, cr);
	mark = cache_mark(t);
	r = call_create(t, srv, &q, cr);
	if (!r)
		cache_learn(t, mark, pl, cr->ino, cr->type, cr->dflags);
	return r;
}

/* --- the inode's server has no memory for it ------------------------------------------------------------ */

/* Which server is the i-th to be asked for an inode: the one where it ought to be, then the others,
 * beginning with the one that had room last. */
static u32 home_nth(const struct client_root *r, u32 own, u32 servers, u32 i)
{
	return i ? (own + 1 + (r->spread_hint + i - 1) % (servers - 1)) % servers : own;
}

/* Servers are asked twice: first they keep a quarter of their memory, for names, which cannot be
 * elsewhere; then for what they have. When that was in vain lately, the second round alone. */
static u32 first_step(struct client_root *r, u32 servers)
{
	u32 times = __atomic_load_n(&r->full_hint, __ATOMIC_RELAXED);

	if (servers == 1)
		return servers;
	if (likely(!times))
		return 0;
	__atomic_store_n(&r->full_hint, times - 1, __ATOMIC_RELAXED);
	return servers;
}

static void note_step(struct client_root *r, u32 servers, u32 step, u32 first)
{
	u32 i = step % servers;

	if (i)
		r->spread_hint = (r->spread_hint + i - 1) % (servers - 1);
	if (step >= servers && !first)
		r->full_hint = FULL_FOR;
}

/* Calls `ask`, which gives a long and uses the server `home`, until an inode is made, or nobody has
 * room for one. One call, unless memory is short. */
#define ASK_HOMES(t, own, cr, home, ask)                                                 \
	({                                                                               \
		struct client_root *root_ = client_root((t)->ctx.ck);                    \
		u32 n_ = (t)->ctx.isl->super->servers, first_ = first_step(root_, n_);   \
		u32 step_ = first_, mode_ = (cr)->mode, home;                            \
		long r_;                                                                 \
		do {                                                                     \
			home = home_nth(root_, own, n_, step_ % n_);                     \
			(cr)->spread = step_ < n_;                                       \
			(cr)->inode_full = false;                                        \
			(cr)->mode = mode_;                                              \
			r_ = (ask);                                                      \
		} while (unlikely(r_ == -ENOSPC && (cr)->inode_full) &&                  \
			 ++step_ < 2 * n_);                                              \
		if (unlikely(step_ != first_))                                           \
			note_step(root_, n_, MIN(step_, 2 * n_ - 1), first_);            \
		r_;                                                                      \
	})

long create_unnamed_any(struct task *t, const struct place *at, const struct perm *parent,
			struct creation *cr)
{
	return ASK_HOMES(t, core_server(&t->ctx), cr, home,
			 create_unnamed(t, at, parent, home, cr));
}

/* There is no memory for an inode, but none is needed if the name is there already. */
static long find_full(struct task *t, const struct place *pl, struct creation *cr)
{
	struct place there;
	long r = cache_lookup(t, pl->dir, pl->dir_dflags, pl->name, pl->name_len, false,
			      &there);

	if (r)
		return r == -ENOENT ? -ENOSPC : r;
	fill_found(cr, &there);
	return cr->excl ? -EEXIST : 0;
}

long create(struct task *t, const struct place *pl, struct creation *cr)
{
	u32 without = t->ctx.isl->super->without;
	bool is_dir = (cr->mode & HS_IFMT) == HS_IFDIR;
	u32 srv = rpc_entry_server(&t->ctx, pl->dir, pl->dir_dflags, pl->name,
				   pl->name_len);
	u32 own = without & WITHOUT_CREATION_AFFINITY ? srv : home_of(t, srv, is_dir);
	long r;

	cr->node = NULL;
	if (!is_dir || without & WITHOUT_DISTRIBUTION)
		cr->distribute = false;
	r = ASK_HOMES(t, own, cr, home, create_at(t, pl, srv, home, cr));
	return unlikely(r == -ENOSPC) ? find_full(t, pl, cr) : r;
}

/* --- mkdir, mknod, symlink -------------------------------------------------------------------------- */

/* A path that ends in no name, or in a slash where no directory is made. */
static long bad_target(struct task *t, const struct place *pl, bool is_dir)
{
	struct place there;
	long r;

	if (place_has_no_name(pl))
		return -EEXIST;
	if (!pl->must_dir || is_dir)
		return 0;
	r = cache_lookup(t, pl->dir, pl->dir_dflags, pl->name, pl->name_len, false,
			 &there);
	return r ? r : -EEXIST;
}

static long make(struct task *t, long *dirfd, long *upath, struct creation *cr)
{
	struct place pl;
	long r;

	r = path_walk(t, dirfd, upath, WALK_PARENT | WALK_NOLAST, &pl);
	if (r)
		return r;
	r = bad_target(t, &pl, (cr->mode & HS_IFMT) == HS_IFDIR);
	if (r)
		return r;
	cr->excl = true;
	return create(t, &pl, cr);
}

static long do_mkdir(struct task *t, long *dirfd, long *upath, u32 mode, bool distribute)
{
	struct creation cr;

	cr.mode = HS_IFDIR | (mode & 01777 & ~t->proc->umask);
	cr.open_flags = 0;
	cr.rdev = 0;
	cr.target = NULL;
	cr.target_len = 0;
	cr.open = false;
	cr.tmpfile = false;
	cr.ofd = NULL;
	cr.distribute = distribute;
	cr.runs = (struct rpc_bytes){ 0 };
	return make(t, dirfd, upath, &cr);
}

long client_mkdir(struct task *t, long a[6])
{
	return do_mkdir(t, NULL, &a[0], (u32)a[1], t->proc->distribute != 0);
}

long client_mkdirat(struct task *t, long a[6])
{
	return do_mkdir(t, &a[0], &a[1], (u32)a[2], t->proc->distribute != 0);
}

long client_mkdir_distributed(struct task *t, const char *path, u32 mode)
{
	long upath = (long)path;
	long r = do_mkdir(t, NULL, &upath, mode, true);

	return r == CLIENT_HOST ? -EXDEV : r;
}

/* Who may not make devices hears of the name and the directory first. */
static long no_device(struct task *t, const struct place *pl)
{
	struct place there;
	struct perm p;
	long r = cache_lookup(t, pl->dir, pl->dir_dflags, pl->name, pl->name_len, false,
			      &there);

	if (!r)
		return -EEXIST;
	if (r == -ENOENT)
		r = dir_may_write(t, pl->dir, &p);
	return r ? r : -EPERM;
}

static long do_mknod(struct task *t, long *dirfd, long *upath, u32 mode, u64 dev)
{
	u32 type = mode & HS_IFMT ? mode & HS_IFMT : HS_IFREG;
	struct creation cr;
	struct place pl;
	long r;

	/* A type that cannot be made is refused before the path is looked at. */
	switch (type) {
	case HS_IFREG:
	case HS_IFIFO:
	case HS_IFSOCK:
	case HS_IFCHR:
	case HS_IFBLK:
		break;
	default:
		return type == HS_IFDIR ? -EPERM : -EINVAL;
	}
	r = path_walk(t, dirfd, upath, WALK_PARENT | WALK_NOLAST, &pl);
	if (r)
		return r;
	r = bad_target(t, &pl, false);
	if (!r && t->proc->cred.uid &&
	    (type == HS_IFBLK || (type == HS_IFCHR && dev & 0xffffffffu)))
		r = no_device(t, &pl);
	if (r)
		return r;
	cr.mode = type | (mode & 07777 & ~t->proc->umask);
	cr.open_flags = 0;
	cr.rdev = type == HS_IFCHR || type == HS_IFBLK ? dev & 0xffffffffu : 0;
	cr.target = NULL;
	cr.target_len = 0;
	cr.excl = true;
	cr.open = false;
	cr.tmpfile = false;
	cr.ofd = NULL;
	cr.distribute = false;
	cr.runs = (struct rpc_bytes){ 0 };
	return create(t, &pl, &cr);
}

long client_mknod(struct task *t, long a[6])
{
	return do_mknod(t, NULL, &a[0], (u32)a[1], (u64)a[2]);
}

long client_mknodat(struct task *t, long a[6])
{
	return do_mknod(t, &a[0], &a[1], (u32)a[2], (u64)a[3]);
}

static long do_symlink(struct task *t, long utarget, long *dirfd, long *upath)
{
	struct creation cr;
	long len = user_read_str(t->path2, (const char *)utarget, PATH_LEN_MAX);

	if (len < 0)
		return len;
	if (len == 0)
		return -ENOENT;
	cr.mode = HS_IFLNK | 0777;
	cr.open_flags = 0;
	cr.rdev = 0;
	cr.target = t->path2;
	cr.target_len = (u32)len;
	cr.open = false;
	cr.tmpfile = false;
	cr.ofd = NULL;
	cr.distribute = false;
	cr.runs = (struct rpc_bytes){ 0 };
	return make(t, dirfd, upath, &cr);
}

long client_symlink(struct task *t, long a[6])
{
	return do_symlink(t, a[0], NULL, &a[1]);
}

long client_symlinkat(struct task *t, long a[6])
{
	return do_symlink(t, a[0], &a[1], &a[2]);
}
