/* SPDX-License-Identifier: MIT */
/*
 * XATTR: extended attributes, a short list per inode. Namespaces as tmpfs has them: user.* on
 * files and directories, trusted.* for root, security.* (root sets, everybody reads).
 * "user.hare.distributed" of a directory reads 0 or 1: whether its entries are spread.
 *
 * Values have up to 64 KiB, which is more than a message carries. A far client reads one in pieces,
 * and from the start again when its id has changed; it sets one by writing the value into an inode
 * without a name first, which SET then copies from: so it is set whole, in one transaction.
 */
#include "fileserver/fs.h"

#define FREED_AT_ONCE 256u

enum { OP_GET, OP_SET, OP_LIST, OP_REMOVE };
#define XATTR_CREATE	1u
#define XATTR_REPLACE	2u
#define XATTR_NAME_MAX	255u
#define XATTR_VALUE_MAX 65536u

static const char distributed[] = "user.hare.distributed";

static bool has_prefix(const struct rpc_str *name, const char *prefix)
{
	u32 len = (u32)strlen(prefix);

	return name->len >= len && !memcmp(name->p, prefix, len);
}

static bool is_distributed(const struct rpc_str *name)
{
	return name->len == sizeof(distributed) - 1 && has_prefix(name, distributed);
}

static long check_user(const struct fs_inode *i, const struct cred *cr, bool write)
{
	if (!fs_is_reg(i) && !fs_is_dir(i))
		return write ? -EPERM : -ENODATA;
	if (write && fs_is_dir(i) && (i->mode & HS_ISVTX) && cr->uid && cr->uid != i->uid)
		return -EPERM;
	return fs_perm(cr, i->mode, i->uid, i->gid, write ? MAY_WRITE : MAY_READ);
}

static long check(const struct fs_inode *i, const struct req_XATTR *q, bool write)
{
	long r;

	if (!q->name.len || q->name.len > XATTR_NAME_MAX)
		return -ERANGE;
	/* who may, before whether anything follows the prefix */
	if (has_prefix(&q->name, "user.")) {
		r = check_user(i, q->cred, write);
		return !r && q->name.len == 5 ? -EINVAL : r;
	}
	if (has_prefix(&q->name, "trusted.")) {
		if (q->cred->uid)
			return write ? -EPERM : -ENODATA;
		return q->name.len == 8 ? -EINVAL : 0;
	}
	if (has_prefix(&q->name, "security.")) {
		if (write && q->cred->uid)
			return -EPERM;
		return q->name.len == 9 ? -EINVAL : 0;
	}
	if (!has_prefix(&q->name, "system.")) {
		r = fs_perm(q->cred, i->mode, i->uid, i->gid,
			    write ? MAY_WRITE : MAY_READ);
		if (r < 0)
			return r;
	}
	return -EOPNOTSUPP;
}

static struct fs_xattr **find(struct fs_more *m, const struct rpc_str *name)
{
	struct fs_xattr **at = &m->xattrs;

	while (*at &&
	       ((*at)->name_len != name->len || memcmp((*at)->data, name->p, name->len)))
		at = &(*at)->next;
	return at;
}

/* What was asked for of a value goes out, as far as there is room. */
static long give(const struct req_XATTR *q, struct rep_XATTR *p, const char *value,
		 u32 len)
{
	u32 from = MIN(q->flags, len), room = p->data.p ? p->data.cap : 0;

	p->len = len;
	p->data.len = MIN(MIN(q->size, room), len - from);
	if (p->data.len)
		memcpy(p->data.p, value + from, p->data.len);
	return 0;
}

static long get(struct fs_inode *i, const struct req_XATTR *q, struct rep_XATTR *p)
{
	struct fs_xattr *x;
	long r = check(i, q, false);

	if (r < 0)
		return r;
	if (is_distributed(&q->name) && fs_is_dir(i))
		return give(q, p, fs_inode_part(i)->dflags & DIR_DISTRIBUTED ? "1" : "0",
			    1);
	x = i->more ? *find(i->more, &q->name) : NULL;
	if (!x)
		return -ENODATA;
	p->changes = x->id;
	return give(q, p, x->data + x->name_len, x->len);
}

/* Where the value of a SET is: in the request, or in inode `from`, which is given. */
static long value_of(struct rpc_env *e, const struct req_XATTR *q, struct fs_inode **from,
		     u32 *len)
{
	*from = NULL;
	*len = q->from ? q->size : q->value.len;
	if (*len > XATTR_VALUE_MAX)
		return -E2BIG;
	if (!q->from)
		return 0;
	*from = fs_inode_find(fs_of(e->ck), q->from);
	return *from && fs_is_reg(*from) && (*from)->size >= *len ? 0 : -EINVAL;
}

static long set(struct rpc_env *e, struct fs_inode *i, const struct req_XATTR *q)
{
	struct ck *ck = e->ck;
	struct fs_xattr **at, *x;
	struct fs *f = fs_of(ck);
	struct fs_inode *from;
	struct fs_more *m;
	u32 len;
	long r = check(i, q, true);

	if (r < 0)
		return r;
	if (q->flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	r = value_of(e, q, &from, &len);
	if (r < 0)
		return r;
	if (is_distributed(&q->name))
		return -EPERM;
	m = fs_inode_more(e, i);
	if (!m)
		return -ENOSPC;
	at = find(m, &q->name);
	if (*at && (q->flags & XATTR_CREATE))
		return -EEXIST;
	if (!*at && (q->flags & XATTR_REPLACE))
		return -ENODATA;
	x = fs_alloc(ck, sizeof(*x) + q->name.len + len);
	if (!x)
		return -ENOSPC;
	TX_SET(ck, f->next_xattr, f->next_xattr + 1);
	x->id = f->next_xattr;
	x->name_len = q->name.len;
	x->len = len;
	memcpy(x->data, q->name.p, q->name.len);
	if (from)
		fs_data_read(e, from, 0, x->data + x->name_len, len);
	else if (len)
		memcpy(x->data + x->name_len, q->value.p, len);
	x->next = *at ? (*at)->next : NULL;
	ck_free(ck, *at);
	TX_SET(ck, *at, x);
	TX_SET(ck, i->ctime, host_realtime_ns());
	return 0;
}

static bool listed(const struct fs_xattr *x, const struct cred *cr)
{
	struct rpc_str name = { .p = x->data, .len = x->name_len };

	return !cr->uid || !has_prefix(&name, "trusted.");
}

/* The part of a name, with the NUL behind it, that lies in [from, to) of the list, in which the name
 * begins at `at`. */
static void list_part(const struct fs_xattr *x, u32 at, u32 from, u32 to, char *out)
{
	u32 end = at + x->name_len + 1;

	for (u32 i = MAX(at, from); i < MIN(end, to); i++)
		out[i - from] = i == end - 1 ? 0 : x->data[i - at];
}

static long list(struct fs_inode *i, const struct req_XATTR *q, struct rep_XATTR *p)
{
	u32 len = 0, from = q->flags, to = from + MIN(q->size, p->data.cap);

	if (to < from)
		return -EINVAL;
	for (struct fs_xattr *x = i->more ? i->more->xattrs : NULL; x; x = x->next) {
		if (!listed(x, q->cred))
			continue;
		list_part(x, len, from, to, p->data.p);
		len += x->name_len + 1;
	}
	p->len = len;
	p->changes = i->ctime;
	p->data.len = len > from ? MIN(len, to) - from : 0;
	return 0;
}

static long remove(struct rpc_env *e, struct fs_inode *i, const struct req_XATTR *q)
{
	struct fs_xattr **at, *x;
	long r = check(i, q, true);

	if (r < 0)
		return r;
	at = i->more ? find(i->more, &q->name) : NULL;
	if (!at || !*at)
		return -ENODATA;
	x = *at;
	TX_SET(e->ck, *at, x->next);
	ck_free(e->ck, x);
	TX_SET(e->ck, i->ctime, host_realtime_ns());
	return 0;
}

long fs_xattr(struct rpc_env *e, const struct req_XATTR *q, struct rep_XATTR *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);

	fs_make_room(e->ck);
	p->len = p->data.len = 0;
	p->changes = 0;
	if (!i)
		return -ENOENT;
	switch (q->op) {
	case OP_GET:
		return get(i, q, p);
	case OP_SET:
		return set(e, i, q);
	case OP_LIST:
		return list(i, q, p);
	case OP_REMOVE:
		return remove(e, i, q);
	default:
		return -EINVAL;
	}
}

void fs_xattrs_free(struct ck *ck, struct fs_more *m)
{
	struct fs *f = fs_of(ck);
	u32 n = 0;

	for (; m->xattrs && n < FREED_AT_ONCE; n++) {
		struct fs_xattr *x = m->xattrs;

		TX_SET(ck, m->xattrs, x->next);
		ck_free(ck, x);
	}
	if (!m->xattrs)
		return;
	/* More than one transaction holds: freed later, in steps. */
	for (struct fs_xattr *x = m->xattrs;; x = x->next) {
		if (x->next)
			continue;
		TX_SET(ck, x->next, f->dead_xattrs);
		break;
	}
	TX_SET(ck, f->dead_xattrs, m->xattrs);
	TX_SET(ck, m->xattrs, NULL);
}

bool fs_xattrs_trim(struct ck *ck)
{
	struct fs *f = fs_of(ck);

	for (u32 n = 0; n < FREED_AT_ONCE && f->dead_xattrs; n++) {
		struct fs_xattr *x = f->dead_xattrs;

		TX_SET(ck, f->dead_xattrs, x->next);
		ck_free(ck, x);
	}
	return f->dead_xattrs != NULL;
}
