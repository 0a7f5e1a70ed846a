/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes, by path and (xattr_*) by inode. The servers keep them and check rights;
 * user.hare.distribute of a directory is made up here, from its flags: "1" when its entries are
 * spread over all servers. It can be read only.
 *
 * A value that is too big for a message (only far servers need one) is staged: written into an
 * inode without a name at the attribute's server, from which that copies it in the transaction
 * that sets it. Killed before that, the attribute has its old value; the intent of the inode
 * (CREATE, step 0) takes it away.
 */
#include "client/path.h"

#define XATTR_NAME_SIZE	 256
#define XATTR_SIZE_LIMIT 65536 /* Linux's, of a value and of a list: E2BIG beyond */
#define XATTR_BYTES	 16384 /* what a message carries */
#define XATTR_GET	 0u
#define XATTR_SET	 1u
#define XATTR_LIST	 2u
#define XATTR_REMOVE	 3u
#define DISTRIBUTE	 "user.hare.distribute"

/* --- by inode --------------------------------------------------------------------------------------------- */

/* Bytes of a value or list that one call carries. */
static u32 piece_of(const struct task *t, u64 ino)
{
	return rpc_is_near(&t->ctx, ino_server(ino)) ? XATTR_SIZE_LIMIT : XATTR_BYTES;
}

/* flags, size, from: as XATTR has them; the value of a set is in t->bounce, if it is not in `from`. */
static long xattr_call(struct task *t, u64 ino, u32 op, const char *name, size_t len,
		       u32 flags, size_t size, u64 from)
{
	struct req_XATTR q = { .ino = ino,
			       .op = op,
			       .name = { .p = name, .len = (u32)len },
			       .flags = flags,
			       .size = (u32)size,
			       .from = from,
			       .cred = &t->proc->cred };
	struct rep_XATTR p = { 0 };

	if (!ino)
		return -EBADF;
	if (op == XATTR_SET && !from)
		q.value = (struct rpc_bytes){ t->bounce, (u32)size, (u32)size };
	return rpc_xattr(&t->ctx, ino_server(ino), &q, &p);
}

/* All of a value or a list, up to `size` bytes of it, into t->bounce: its length, or -ERANGE, -E2BIG.
 * What changes between two pieces is read anew. size 0: the length alone. */
static long fetch(struct task *t, u64 ino, u32 op, const char *name, size_t len,
		  size_t size)
{
	u32 room = (u32)MIN(size, (size_t)XATTR_SIZE_LIMIT), at = 0;
	u64 changes = 0;

	if (!ino)
		return -EBADF;
	for (;;) {
		u32 n = MIN(room - at, piece_of(t, ino));
		struct req_XATTR q = { .ino = ino,
				       .op = op,
				       .name = { .p = name, .len = (u32)len },
				       .flags = at,
				       .size = n,
				       .cred = &t->proc->cred };
		struct rep_XATTR p = { .data = { .p = t->bounce + at, .cap = n } };
		long r = rpc_xattr(&t->ctx, ino_server(ino), &q, &p);

		if (r || !size)
			return r ? r : (long)p.len;
		if (at && p.changes != changes) {
			at = 0;
			continue;
		}
		if (p.len > room)
			return size >= XATTR_SIZE_LIMIT ? -E2BIG : -ERANGE;
		changes = p.changes;
		at += p.data.len;
		if (at >= p.len)
			return (long)p.len;
		if (!p.data.len)
			return -EIO;
	}
}

/* What a fetch left in t->bounce, to the program. */
static long give(struct task *t, long len, void *user, size_t size)
{
	long r;

	if (len < 0 || !size)
		return len;
	r = len ? user_write(user, t->bounce, (size_t)len) : 0;
	return r ? r : len;
}

/* Copies a name into t->path2; its length or -errno. */
static long read_name(struct task *t, const char *user)
{
	long len = user_read_str(t->path2, user, XATTR_NAME_SIZE);

	return len == -ENAMETOOLONG || len == 0 ? -ERANGE : len;
}

static bool is_distribute(struct task *t)
{
	return unlikely(!strcmp(t->path2, DISTRIBUTE));
}

long xattr_check_name(struct task *t, const char *user_name)
{
	long len = read_name(t, user_name);

	return len < 0 ? len : 0;
}

long xattr_check_set(struct task *t, const char *user_name, size_t size, int flags)
{
	long r;

	if (flags & ~3)
		return -EINVAL;
	r = xattr_check_name(t, user_name);
	return !r && size > XATTR_SIZE_LIMIT ? -E2BIG : r;
}

/* The value, in t->bounce, goes ahead of the call that sets it: see above. */
static long set_staged(struct task *t, u64 ino, size_t len, u32 flags, u32 size)
{
	struct intent it = { .op = INTENT_CREATE };
	struct creation cr = { .mode = HS_IFREG | 0600, .node = intent_begin(t, &it) };
	const struct place nowhere = { .dir = 0 };
	const struct perm none = { 0 };
	u32 srv = ino_server(ino), off, n;
	long r;

	if (!cr.node)
		return -ENOSPC;
	r = create_unnamed(t, &nowhere, &none, srv, &cr);
	for (off = 0; !r && off < size; off += n) {
		struct req_WRITE q = { .ino = cr.ino, .off = off };
		struct rep_WRITE p;

		n = MIN(size - off, (u32)XATTR_BYTES);
		q.data = (struct rpc_bytes){ t->bounce + off, n, n };
		r = room_write(t, srv, &q, &p);
		if (!r && p.count != n)
			r = -ENOSPC;
	}
	if (!r)
		r = xattr_call(t, ino, XATTR_SET, t->path2, len, flags, size, cr.ino);
	if (cr.ino)
		inode_destroy(t, cr.ino, 0);
	intent_end(t, cr.node);
	return r;
}

long xattr_set(struct task *t, u64 ino, const char *user_name, const void *user_value,
	       size_t size, int flags)
{
	long len = read_name(t, user_name), r;

	if (len < 0)
		return len;
	if (is_distribute(t))
		return -EPERM;
	r = size ? user_read(t->bounce, user_value, size) : 0;
	if (!r && ino && size > piece_of(t, ino))
		r = set_staged(t, ino, (size_t)len, (u32)flags, (u32)size);
	else if (!r)
		r = xattr_call(t, ino, XATTR_SET, t->path2, (size_t)len, (u32)flags, size,
			       0);
	if (!r)
		notify_ino(t, ino, IN_ATTRIB);
	return r;
}

static long get_distribute(struct task *t, u64 ino, void *user, size_t size)
{
	struct attr a;
	long r = attr_get(t, ino, &a);

	if (r)
		return r;
	if ((a.mode & HS_IFMT) != HS_IFDIR)
		return -ENODATA;
	t->bounce[0] = a.dflags & DIR_DISTRIBUTED ? '1' : '0';
	return give(t, 1, user, size);
}

long xattr_get(struct task *t, u64 ino, const char *user_name, void *user_value,
	       size_t size)
{
	long len = read_name(t, user_name);

	if (len < 0)
		return len;
	if (is_distribute(t))
		return get_distribute(t, ino, user_value, size);
	return give(t, fetch(t, ino, XATTR_GET, t->path2, (size_t)len, size), user_value,
		    size);
}

long xattr_list(struct task *t, u64 ino, char *user_list, size_t size)
{
	return give(t, fetch(t, ino, XATTR_LIST, "", 0, size), user_list, size);
}

long xattr_remove(struct task *t, u64 ino, const char *user_name)
{
	long len = read_name(t, user_name);
	long r;

	if (len < 0)
		return len;
	if (is_distribute(t))
		return -EPERM;
	r = xattr_call(t, ino, XATTR_REMOVE, t->path2, (size_t)len, 0, 0, 0);
	if (!r)
		notify_ino(t, ino, IN_ATTRIB);
	return r;
}

/* --- by path ------------------------------------------------------------------------------------------------ */

/* Names, sizes and flags that make no sense are refused before the path is looked at. */

static long set_by_path(struct task *t, long a[6], u32 wf)
{
	long r = xattr_check_set(t, (char *)a[1], (size_t)a[3], (int)a[4]);
	struct place pl;
	u32 tries = 0;

	if (r)
		return r;
	do {
		r = path_walk(t, NULL, &a[0], wf, &pl);
		if (r)
			break;
		r = xattr_set(t, pl.ino, (char *)a[1], (void *)a[2], (size_t)a[3],
			      (int)a[4]);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

long client_setxattr(struct task *t, long a[6])
{
	return set_by_path(t, a, WALK_FOLLOW);
}

long client_lsetxattr(struct task *t, long a[6])
{
	return set_by_path(t, a, 0);
}

static long get_by_path(struct task *t, long a[6], u32 wf)
{
	long r = xattr_check_name(t, (char *)a[1]);
	struct place pl;
	u32 tries = 0;

	if (r)
		return r;
	do {
		r = path_walk(t, NULL, &a[0], wf, &pl);
		if (r)
			break;
		r = xattr_get(t, pl.ino, (char *)a[1], (void *)a[2], (size_t)a[3]);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

long client_getxattr(struct task *t, long a[6])
{
	return get_by_path(t, a, WALK_FOLLOW);
}

long client_lgetxattr(struct task *t, long a[6])
{
	return get_by_path(t, a, 0);
}

static long list_by_path(struct task *t, long a[6], u32 wf)
{
	struct place pl;
	u32 tries = 0;
	long r;

	do {
		r = path_walk(t, NULL, &a[0], wf, &pl);
		if (r)
			break;
		r = xattr_list(t, pl.ino, (char *)a[1], (size_t)a[2]);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

long client_listxattr(struct task *t, long a[6])
{
	return list_by_path(t, a, WALK_FOLLOW);
}

long client_llistxattr(struct task *t, long a[6])
{
	return list_by_path(t, a, 0);
}

static long remove_by_path(struct task *t, long a[6], u32 wf)
{
	long r = xattr_check_name(t, (char *)a[1]);
	struct place pl;
	u32 tries = 0;

	if (r)
		return r;
	do {
		r = path_walk(t, NULL, &a[0], wf, &pl);
		if (r)
			break;
		r = xattr_remove(t, pl.ino, (char *)a[1]);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

long client_removexattr(struct task *t, long a[6])
{
	return remove_by_path(t, a, WALK_FOLLOW);
}

long client_lremovexattr(struct task *t, long a[6])
{
	return remove_by_path(t, a, 0);
}

/* --- the *at calls of Linux 6.13: (dirfd, path, at_flags, ...) ------------------------------------------ */

struct xattr_args { /* the kernel's */
	u64 value;
	u32 size;
	u32 flags;
};

static long check_at(long at_flags)
{
	return at_flags & ~(long)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) ? -EINVAL : 0;
}

static long walk_at(struct task *t, long a[6], struct place *pl)
{
	return path_walk(t, &a[0], &a[1],
			 (a[2] & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
				 (a[2] & AT_EMPTY_PATH ? WALK_EMPTY : 0),
			 pl);
}

/* For the two that carry more arguments in a struct. */
static long read_args(const long a[6], struct xattr_args *x)
{
	return (u64)a[5] < sizeof(*x)  ? -EINVAL
	       : (u64)a[5] > PAGE_SIZE ? -E2BIG
				       : user_read(x, (void *)a[4], sizeof(*x));
}

long client_setxattrat(struct task *t, long a[6])
{
	struct xattr_args x;
	struct place pl;
	u32 tries = 0;
	long r = read_args(a, &x);

	if (!r)
		r = check_at(a[2]);
	if (!r)
		r = xattr_check_set(t, (char *)a[3], x.size, (int)x.flags);
	if (r)
		return r;
	do {
		r = walk_at(t, a, &pl);
		if (r)
			break;
		r = xattr_set(t, pl.ino, (char *)a[3], (void *)x.value, x.size,
			      (int)x.flags);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

long client_getxattrat(struct task *t, long a[6])
{
	struct xattr_args x;
	struct place pl;
	u32 tries = 0;
	long r = read_args(a, &x);

	if (!r && x.flags)
		r = -EINVAL;
	if (!r)
		r = check_at(a[2]);
	if (!r)
		r = xattr_check_name(t, (char *)a[3]);
	if (r)
		return r;
	do {
		r = walk_at(t, a, &pl);
		if (r)
			break;
		r = xattr_get(t, pl.ino, (char *)a[3], (void *)x.value, x.size);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

long client_listxattrat(struct task *t, long a[6])
{
	struct place pl;
	u32 tries = 0;
	long r = check_at(a[2]);

	if (r)
		return r;
	do {
		r = walk_at(t, a, &pl);
		if (r)
			break;
		r = xattr_list(t, pl.ino, (char *)a[3], (size_t)a[4]);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

long client_removexattrat(struct task *t, long a[6])
{
	struct place pl;
	u32 tries = 0;
	long r = check_at(a[2]);

	if (!r)
		r = xattr_check_name(t, (char *)a[3]);
	if (r)
		return r;
	do {
		r = walk_at(t, a, &pl);
		if (r)
			break;
		r = xattr_remove(t, pl.ino, (char *)a[3]);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}
