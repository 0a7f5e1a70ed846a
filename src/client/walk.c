/* SPDX-License-Identifier: MIT */
/*
 * Path walk (thesis, section 3.7.1: one lookup per component, at the server of each).
 *
 * A path starts in Hare or on the host and may cross over, in both directions, any number of
 * times:
 *   into Hare    an absolute path below super.at (textually: slashes, "." and ".." before that
 *                point are resolved by their text alone, the host's symlinks are not followed);
 *                a relative path of a host directory that does the same; /proc/self/fd/N and
 *                the like when they name something of Hare
 *   to the host  ".." at Hare's root; a symlink to an absolute path that is not below super.at.
 *                From there on the rest of the path is the host's.
 *
 * A symlink's target and what follows it are put together in one of two buffers in t->bounce
 * (the text being read is in the other one, or the program's path). Nothing else is copied but
 * the last name. Where long targets are nested so deep that these are too small, two large ones are
 * mapped for the rest of the walk.
 *
 * A walk that may not leave its directory (RESOLVE_BENEATH, RESOLVE_IN_ROOT) remembers the directories
 * that it went into, and `..` leads back into the last of them. Were the server asked, another's
 * rename of a directory that the walk is in would take it out:
 *
 *   openat2(/r, "a/../s", RESOLVE_BENEATH)   rename("/r/a", "/o/a")   `..` of a
 *   is in /r/a                               -                        /r
 *   -                                        done                     /o
 *   opens /r/s                               -                        -
 *
 * Linux gives EAGAIN for any rename meanwhile. A root (chroot) does not confine so, here as there.
 */
#include <linux/mman.h>

#include "client/path.h"
#include "client/procfs.h"

/* All that can be left to be walked: the path and the targets of as many symlinks as are followed. */
#define BIG_TEXT ((SYMLINKS_MAX + 1UL) * PATH_LEN_MAX)

/* A walk in progress inside Hare. */
struct cursor {
	u64 dir;
	u32 dflags;
	u32 links; /* symlinks followed so far */
	u32 text; /* which buffer the next expansion goes to */
	u32 tries; /* how often a name was looked up again, as walk_again has it */
	char *big; /* the two large buffers, or NULL */
	u32 flags; /* WALK_* */
	u32 floor_dflags;
	u64 floor; /* where it starts; WALK_BENEATH, WALK_IN_ROOT: what it may not leave */
	u32 depth,
		lost; /* the same two: directories below it, and how many are forgotten */
	const char *rest; /* what is still to be walked */
};

/* A directory that a confined walk went through, in what is left of t->bounce. */
struct above {
	u64 dir;
	u32 dflags;
	u32 pad;
};
#define ABOVE_MAX ((u32)(WALK_TEXT_SIZE / sizeof(struct above)))
_Static_assert(offsetof(struct task, bounce) % sizeof(u64) == 0 &&
		       4 * WALK_TEXT_SIZE <= CLIENT_BOUNCE_SIZE,
	       "above");

/* The i-th below the floor. Of more the first are forgotten: to go up to them, a path has to come from
 * symlinks. */
static struct above *above(struct task *t, u32 i)
{
	return (struct above *)WALK_TEXT(t, 3) + i % ABOVE_MAX;
}

static bool is_confined(const struct cursor *c)
{
	return unlikely(c->flags & (WALK_BENEATH | WALK_IN_ROOT));
}

static char *text_of(struct task *t, const struct cursor *c)
{
	return unlikely(c->big) ? c->big + c->text * BIG_TEXT : WALK_TEXT(t, c->text);
}

static size_t text_size(const struct cursor *c)
{
	return unlikely(c->big) ? BIG_TEXT : WALK_TEXT_SIZE;
}

static bool text_grow(struct cursor *c)
{
	long r = SYS(mmap, 0, 2 * BIG_TEXT, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (sys_failed(r))
		return false;
	c->big = (char *)r;
	return true;
}

/* --- between host and Hare ------------------------------------------------------------------ */

static size_t component(const char *p)
{
	size_t n = 0;

	while (p[n] && p[n] != '/')
		n++;
	return n;
}

/* Cheap test: only a path with the last name of super.at in it can enter Hare by its text. */
static bool mentions_at(const struct super *s, const char *path)
{
	const char *leaf = strrchr(s->at, '/');
	size_t want = strlen(leaf ? leaf + 1 : s->at);

	while (*path) {
		size_t n = component(path);

		if (n == want && !memcmp(path, leaf ? leaf + 1 : s->at, n))
			return true;
		path += n;
		while (*path == '/')
			path++;
	}
	return false;
}

/* Follows the text of `path` from the host directory `base` (absolute; "" is the root). Where
 * that arrives at super.at, returns what is left of path; NULL when it never does. `base` is
 * used as scratch: WALK_TEXT_SIZE bytes. */
static const char *enters_hare(const struct super *s, char *base, const char *path)
{
	size_t len = strlen(base);

	while (len && base[len - 1] == '/')
		len--;
	for (;;) {
		size_t n;

		while (*path == '/')
			path++;
		n = component(path);
		if (!n)
			return NULL;
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (len && base[--len] != '/')
				;
		} else if (n != 1 || path[0] != '.') {
			if (len + n + 2 > WALK_TEXT_SIZE)
				return NULL;
			base[len++] = '/';
			memcpy(base + len, path, n);
			len += n;
			if (len == s->at_len && !memcmp(base, s->at, len))
				return path + n;
		}
		path += n;
	}
}

/* An absolute path: what is left of it below Hare's root, or NULL for the host's. */
static const char *enters_absolute(struct task *t, const char *path)
{
	const struct super *s = t->ctx.isl->super;
	const char *end = path + s->at_len;
	char *scratch = WALK_TEXT(t, 2);

	if (!strncmp(path, s->at, s->at_len) && (*end == '\0' || *end == '/'))
		return end;
	if (!mentions_at(s, path))
		return NULL;
	scratch[0] = '\0';
	return enters_hare(s, scratch, path);
}

/* A path relative to a host directory: fd, or AT_FDCWD. */
static const char *enters_relative(struct task *t, int dirfd, const char *path)
{
	char *scratch = WALK_TEXT(t, 2);
	char link[32];
	long n;

	if (!mentions_at(t->ctx.isl->super, path))
		return NULL;
	if (dirfd == AT_FDCWD)
		str_copy(link, "/proc/self/cwd", sizeof(link));
	else
		str_format(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = SYS(readlink, link, scratch, PATH_LEN_MAX);
	if (n <= 0 || scratch[0] != '/')
		return NULL;
	scratch[n] = '\0';
	return enters_hare(t->ctx.isl->super, scratch, path);
}

/* --- /proc/self/fd/N and its relatives -------------------------------------------------------- */

enum magic { MAGIC_NO, MAGIC_FD, MAGIC_CWD };

/* What a path means that the host's kernel would resolve by itself. */
struct magic_at {
	enum magic what;
	u32 fd;
	u32 pid; /* of another process; 0: the caller's own */
	const char *rest; /* what follows */
};

static bool skip_prefix(const char **p, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(*p, prefix, n))
		return false;
	*p += n;
	return true;
}

static bool read_number(const char **p, u32 *out)
{
	const char *s = *p;
	u64 v = 0;

	while (*s >= '0' && *s <= '9' && v < 1u << 31)
		v = v * 10 + (u64)(*s++ - '0');
	if (s == *p || v >= 1u << 31 || (*s && *s != '/'))
		return false;
	*p = s;
	*out = (u32)v;
	return true;
}

/* "self/", "thread-self/", "<pid>/", "self/task/<tid>/" */
static bool skip_process(const struct task *t, const char **p, u32 *pid)
{
	u32 n;

	*pid = 0;
	if (!skip_prefix(p, "self/") && !skip_prefix(p, "thread-self/")) {
		if (!read_number(p, &n) || !skip_prefix(p, "/"))
			return false;
		if (n != t->proc->pid && n != t->proc->host_pid)
			*pid = n;
	}
	if (skip_prefix(p, "task/") && (!read_number(p, &n) || !skip_prefix(p, "/")))
		return false;
	return true;
}

/* Paths by which the host's kernel would show a process's descriptors and working directory. */
static struct magic_at magic_path(const struct task *t, const char *path)
{
	struct magic_at m = { MAGIC_NO };
	const char *p = path;

	if (skip_prefix(&p, "/dev/")) {
		if (!strcmp(p, "stdin") || !strcmp(p, "stdout") || !strcmp(p, "stderr")) {
			m.fd = p[3] == 'i' ? 0 : p[3] == 'o' ? 1 : 2;
			m.what = MAGIC_FD;
			p += strlen(p);
		} else if (skip_prefix(&p, "fd/") && read_number(&p, &m.fd)) {
			m.what = MAGIC_FD;
		}
	} else if (skip_prefix(&p, "/proc/") && skip_process(t, &p, &m.pid)) {
		if (skip_prefix(&p, "fd/") && read_number(&p, &m.fd))
			m.what = MAGIC_FD;
		else if (skip_prefix(&p, "cwd") && (!*p || *p == '/'))
			m.what = MAGIC_CWD;
	}
	m.rest = p;
	return m;
}

/* What a walk ends at when its last component is no name: the root, ".", "..", a descriptor. */
static void place_nameless(struct place *out, u64 ino, u32 type, u32 dflags)
{
	out->host = false;
	out->dir = 0;
	out->dir_dflags = 0;
	out->type = type;
	out->ino = ino;
	out->dflags = dflags;
	out->name_len = 0;
	out->name[0] = '\0';
	out->must_dir = false;
	out->last_dot = false;
	out->last_dotdot = false;
	out->has_attr = false;
	out->magic = false;
}

/* A description by itself: AT_EMPTY_PATH, /proc/self/fd/N. */
static long place_ofd(struct task *t, int fd, struct ofd *o, struct place *out)
{
	u32 type = o->mode & HS_IFMT;

	if (!type)
		type = o->kind == OFD_DIR			    ? HS_IFDIR
		       : o->kind == OFD_PIPE || o->kind == OFD_FIFO ? HS_IFIFO
								    : HS_IFREG;
	place_nameless(out, o->ino, type, o->dflags);
	if (o->kind == OFD_PIPE)
		out->dflags |= PLACE_PIPE;
	out->magic = true;
	out->magic_fd = fd;
	out->magic_pid = 0;
	ofd_put(t, o);
	return 0;
}

/* --- the walk inside Hare ---------------------------------------------------------------------- */

/* chroot: absolute paths and links begin there, none is the host's. The loader alone opens what an
 * exec gave it as /proc/self/fd/N, which only the host's root has. */
static bool has_own_root(const struct task *t)
{
	return unlikely(t->proc->root != 0) && !(t->flags & TASK_HOST_ROOT);
}

/* Search permission in a directory, for "." and ".." where no lookup checks it. */
static long may_search(struct task *t, u64 dir)
{
	struct perm p;
	long r;

	if (t->proc->cred.uid == 0)
		return 0;
	r = dir_perm_get(t, dir, &p);
	if (r)
		return r;
	return perm_check(&t->proc->cred, p.mode | HS_IFDIR, p.uid, p.gid, MAY_EXEC);
}

static long to_host(struct place *out, const char *text, char *host_buf, bool *rewritten)
{
	out->host = true;
	out->dir = 0;
	out->ino = 0;
	*rewritten = true;
	if (str_copy(host_buf, text, PATH_LEN_MAX) >= PATH_LEN_MAX)
		return -ENAMETOOLONG;
	return 0;
}

/* ".." at the root: 0 when the rest re-enters Hare, 1 when it is the host's (out is filled). */
static long leave_root(struct task *t, struct cursor *c, const char *rest,
		       struct place *out, char *host_buf, bool *rewritten)
{
	const struct super *s = t->ctx.isl->super;
	char *text = text_of(t, c);
	char *scratch = WALK_TEXT(t, 2);
	const char *again;
	size_t len = s->at_len, room;
	long r;

	while (len && s->at[--len] != '/')
		;
	memcpy(scratch, s->at, len);
	scratch[len] = '\0';
	if (c->flags & (WALK_NO_XDEV | WALK_BENEATH))
		return -EXDEV;
	again = enters_hare(s, scratch, rest);
	if (again) {
		c->rest = again;
		return 0;
	}
	memcpy(text, s->at, len);
	text[len] = '\0';
	room = text_size(c) - len;
	if (str_copy(text + len, *rest ? rest : "/", room) >= room)
		return -ENAMETOOLONG;
	r = to_host(out, text, host_buf, rewritten);
	return r ? r : 1;
}

/* Into a directory that was found in the one where the walk is. */
static void step_into(struct task *t, struct cursor *c, u64 dir, u32 dflags)
{
	if (is_confined(c)) {
		struct above *a = above(t, c->depth++);

		a->dir = c->dir;
		a->dflags = c->dflags;
		if (c->depth > ABOVE_MAX)
			c->lost = MAX(c->lost, c->depth - ABOVE_MAX);
	}
	c->dir = dir;
	c->dflags = dflags;
}

/* Goes to the parent of one that may not leave its floor. */
static long step_up_confined(struct task *t, struct cursor *c, const char *rest)
{
	long r;

	if (!c->depth && c->flags & WALK_BENEATH)
		return -EXDEV;
	r = may_search(t, c->dir);
	if (r)
		return r;
	if (c->depth) {
		const struct above *a = above(t, --c->depth);

		if (c->depth < c->lost)
			return -ENAMETOOLONG;
		c->dir = a->dir;
		c->dflags = a->dflags;
	}
	c->rest = rest;
	return 0;
}

/* Goes to the parent. As leave_root. */
static long step_up(struct task *t, struct cursor *c, const char *rest, struct place *out,
		    char *host_buf, bool *rewritten)
{
	long r;

	if (is_confined(c))
		return step_up_confined(t, c, rest);
	if (unlikely(c->dir == t->proc->root)) {
		c->rest = rest;
		return may_search(t, c->dir);
	}
	if (c->dir == INO_ROOT) {
		r = may_search(t, c->dir);
		return r ? r : leave_root(t, c, rest, out, host_buf, rewritten);
	}
	r = cache_lookup_parent(t, c->dir, out);
	if (r)
		return r;
	c->dir = out->ino;
	c->dflags = out->dflags;
	c->rest = rest;
	return 0;
}

/* A symlink: c->rest becomes its target followed by `rest`. As leave_root. */
static long follow(struct task *t, struct cursor *c, u64 ino, const char *rest,
		   struct place *out, char *host_buf, bool *rewritten)
{
	char *text = text_of(t, c);
	struct req_READLINK q = { .ino = ino };
	struct rep_READLINK p = { .data = { .p = text, .cap = PATH_LEN_MAX } };
	const char *inside;
	size_t room;
	long r;

	if (c->flags & WALK_NO_SYMLINKS || c->links >= SYMLINKS_MAX)
		return -ELOOP;
	r = rpc_readlink(&t->ctx, ino_server(ino), &q, &p);
	if (r)
		return r;
	c->links++;
	room = text_size(c) - p.data.len;
	if (unlikely(str_copy(text + p.data.len, rest, room) >= room)) {
		const char *target = text;

		if (c->big || !text_grow(c))
			return -ENOMEM;
		text = text_of(t, c);
		memcpy(text, target, p.data.len);
		(void)str_copy(text + p.data.len, rest, BIG_TEXT - p.data.len);
	}
	c->text ^= 1;
	c->rest = text;
	if (text[0] != '/')
		return 0;
	if (c->flags & WALK_BENEATH)
		return -EXDEV;
	if (c->flags & WALK_IN_ROOT) {
		c->dir = c->floor;
		c->dflags = c->floor_dflags;
		c->depth = c->lost = 0;
		return 0;
	}
	if (has_own_root(t)) {
		c->dir = t->proc->root;
		c->dflags = t->proc->root_dflags;
		return 0;
	}
	inside = enters_absolute(t, text);
	/* by way of the host's root, which is another file system */
	if (c->flags & WALK_NO_XDEV)
		return -EXDEV;
	if (inside) {
		c->dir = INO_ROOT;
		c->dflags = ROOT_DFLAGS;
		c->rest = inside;
		return 0;
	}
	r = to_host(out, text, host_buf, rewritten);
	return r ? r : 1;
}

static void place_named(struct place *out, const struct cursor *c, const char *name,
			size_t len, bool must_dir)
{
	out->host = false;
	out->dir = c->dir;
	out->dir_dflags = c->dflags;
	out->name_len = (u32)len;
	memcpy(out->name, name, len);
	out->name[len] = '\0';
	out->must_dir = must_dir;
	out->last_dot = false;
	out->last_dotdot = false;
	out->has_attr = false;
	out->unlooked = false;
	out->magic = false;
}

/* Follows the symlink that `name` led to, out->ino. As leave_root. Gone meanwhile: 0 with c as it
 * was, so that the name is looked up again; who replaces a link by rename breaks no path. */
static long follow_name(struct task *t, struct cursor *c, const char *name, size_t len,
			struct place *out, char *host_buf, bool *rewritten)
{
	long r = follow(t, c, out->ino, name + len, out, host_buf, rewritten);

	if (likely(r != -ENOENT))
		return r;
	place_named(out, c, name, len, false);
	return walk_again(t, out, &c->tries) ? 0 : r;
}

/* The last name. 0: out is filled; 1: it is a symlink to be followed. */
static long last_name(struct task *t, struct cursor *c, const char *name, size_t len,
		      bool must_dir, struct place *out)
{
	long r;

	place_named(out, c, name, len, must_dir);
	out->ino = 0;
	out->type = 0;
	out->dflags = 0;
	if (c->flags & WALK_NOLAST)
		return 0;
	if (c->flags & WALK_PEEK && !must_dir) {
		r = cache_peek(t, c->dir, c->dflags, name, len, out);
		return r == -ENOENT ? 0 : r;
	}
	r = cache_lookup(t, c->dir, c->dflags, name, len, (c->flags & WALK_ATTR) != 0,
			 out);
	if (r == -ENOENT && c->flags & WALK_PARENT)
		return 0;
	if (r)
		return r;
	if (out->type == HS_IFLNK &&
	    (c->flags & WALK_FOLLOW || (must_dir && !(c->flags & WALK_PARENT))))
		return 1;
	if (must_dir && out->type != HS_IFDIR && !(c->flags & WALK_PARENT))
		return -ENOTDIR;
	return 0;
}

/* The last name was looked up, with result r: 1 when that is all, else the caller's result. */
static long near_last(struct cursor *c, const char *name, size_t len, long r,
		      struct place *out)
{
	if (r && !(r == -ENOENT && c->flags & WALK_PARENT))
		return r;
	if (!r && (out->res.type & HS_IFMT) == HS_IFLNK && c->flags & WALK_FOLLOW)
		return 0; /* last_name knows what to do */
	place_named(out, c, name, len, false);
	if (r) {
		out->ino = 0;
		out->type = 0;
		out->dflags = 0;
	} else {
		place_resolved(out);
	}
	return 1;
}

/* A name in the middle: into the directory that it names. As leave_root. */
static long middle_name(struct task *t, struct cursor *c, const char *name, size_t len,
			struct place *out, char *host_buf, bool *rewritten)
{
	long r = cache_lookup(t, c->dir, c->dflags, name, len, false, out);

	if (r)
		return r;
	if (out->type == HS_IFLNK)
		return follow_name(t, c, name, len, out, host_buf, rewritten);
	if (out->type != HS_IFDIR)
		return -ENOTDIR;
	step_into(t, c, out->ino, out->dflags);
	c->rest = name + len;
	return 0;
}

/* "." or "..". As leave_root; `last`: nothing follows. */
static long dots(struct task *t, struct cursor *c, const char *p, size_t len, bool last,
		 struct place *out, char *host_buf, bool *rewritten)
{
	long r;

	if (len == 1) {
		r = may_search(t, c->dir);
		c->rest = p + len;
	} else {
		r = step_up(t, c, p + len, out, host_buf, rewritten);
	}
	if (r || !last)
		return r;
	/* leave_root may have come back in with more to walk. */
	while (*c->rest == '/')
		c->rest++;
	if (*c->rest)
		return 0;
	place_nameless(out, c->dir, HS_IFDIR, c->dflags);
	out->last_dot = len == 1;
	out->last_dotdot = len == 2;
	return 1;
}

/* "." and ".." of a directory that went after its name had led to it: all from the start, since the name
 * may lead to another one by now. Linux holds the directory meanwhile, and knows where it hung. */
static bool dots_again(struct task *t, struct cursor *c, const char *start)
{
	const struct place dots = { .last_dotdot = true };

	if (c->dir == c->floor || !walk_again(t, &dots, &c->tries))
		return false;
	c->dir = c->floor;
	c->dflags = c->floor_dflags;
	c->rest = start;
	c->links = c->text = c->depth = c->lost = 0;
	return true;
}

/* Goes on as long as it is plain: names of one near server, into directories, and perhaps the last
 * name. 1: out is filled; 0: on with c as it is then, for whatever comes next; -errno. One hold of
 * the server's lock instead of one a name; of so many names, since others wait. */
#define NEAR_NAMES 16
static long walk_near(struct task *t, struct cursor *c, struct place *out)
{
	u32 srv = ino_server(c->dir);
	struct req_RESOLVE q = { .cred = &t->proc->cred };
	struct rpc_env e;
	long r = 0;
	u32 n;

	step_lock(t, srv, &e);
	for (n = 0; n < NEAR_NAMES; n++) {
		const char *p = c->rest, *after;
		size_t len;
		bool last;

		while (*p == '/')
			p++;
		len = component(p);
		for (after = p + len; *after == '/'; after++)
			;
		if (unlikely(!len || len > NAME_LEN_MAX ||
			     (p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.')))))
			break;
		last = !*after;
		if (last && (p[len] || c->flags & WALK_NOLAST))
			break;
		q.dir = c->dir;
		q.name.p = p;
		q.name.len = (u32)len;
		q.want_attr = last && c->flags & WALK_ATTR;
		r = fs_resolve(&e, &q, &out->res);
		if (last) {
			r = near_last(c, p, len, r, out);
			n++;
			break;
		}
		if (r || (out->res.type & HS_IFMT) != HS_IFDIR)
			break;
		c->dir = out->res.ino;
		c->dflags = out->res.dflags;
		c->rest = p + len;
		if (c->dflags & DIR_DISTRIBUTED || ino_server(c->dir) != srv) {
			n++;
			break;
		}
	}
	e.ck->counter[COUNT_LOCAL(RPC_RESOLVE)] += n;
	if (unlikely(r < 0))
		ck_abort(e.ck);
	msg_unlock(&t->ctx, e.ck);
	return r;
}

static bool goes_near(const struct task *t, const struct cursor *c)
{
	return rpc_is_near(&t->ctx, ino_server(c->dir)) &&
	       !(c->dflags & DIR_DISTRIBUTED) && !is_confined(c) &&
	       !trace_is_on(t->ctx.ck);
}

static long walk_inside(struct task *t, struct cursor *c, struct place *out,
			char *host_buf, bool *rewritten)
{
	const char *start = c->rest; /* of c->floor */

	if (likely(goes_near(t, c))) {
		long r = walk_near(t, c, out);

		if (likely(r))
			return r < 0 ? r : 0;
	}
	for (;;) {
		const char *p = c->rest;
		const char *after;
		size_t len;
		long r;

		while (*p == '/')
			p++;
		if (!*p) {
			place_nameless(out, c->dir, HS_IFDIR, c->dflags);
			return 0;
		}
		len = component(p);
		if (unlikely(len > NAME_LEN_MAX))
			return -ENAMETOOLONG;
		for (after = p + len; *after == '/'; after++)
			;
		if (p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.'))) {
			r = dots(t, c, p, len, !*after, out, host_buf, rewritten);
			if (unlikely(r == -ENOENT) && dots_again(t, c, start))
				continue;
		} else if (*after) {
			r = middle_name(t, c, p, len, out, host_buf, rewritten);
		} else {
			r = last_name(t, c, p, len, p[len] == '/', out);
			if (r != 1)
				return r;
			r = follow_name(t, c, p, len, out, host_buf, rewritten);
		}
		if (r)
			return r < 0 ? r : 0;
	}
}

/* --- where a walk starts ------------------------------------------------------------------------ */

static long start_host(struct place *out)
{
	out->host = true;
	out->dir = 0;
	out->ino = 0;
	return 0;
}

static void start_at(struct cursor *c, u64 dir, u32 dflags, const char *rest)
{
	c->dir = dir;
	c->dflags = dflags;
	c->floor = dir;
	c->floor_dflags = dflags;
	c->rest = rest;
}

/* At a descriptor: 0 to walk on from it, 1 when out is the result. */
static long start_fd(struct task *t, int fd, const char *path, struct cursor *c,
		     struct place *out)
{
	bool host;
	struct ofd *o = fd_get(t, fd, &host);
	long r = 0;

	if (!o) {
		start_host(out);
		return host ? 1 : -EBADF;
	}
	if (!*path) {
		place_ofd(t, fd, o, out);
		return 1;
	}
	if ((o->mode & HS_IFMT) == HS_IFDIR || o->kind == OFD_DIR)
		start_at(c, o->ino, o->dflags, path);
	else
		r = -ENOTDIR;
	ofd_put(t, o);
	return r;
}

/* Another process's descriptor or working directory, which its core told: as start_fd. */
static long start_image(const struct magic_at *m, const struct image_fd *d,
			struct cursor *c, struct place *out)
{
	u32 type = d->mode & HS_IFMT;

	if (*m->rest && type != HS_IFDIR)
		return -ENOTDIR;
	if (*m->rest || m->what == MAGIC_CWD) {
		start_at(c, d->ino, d->dflags, m->rest);
		return 0;
	}
	place_nameless(out, d->ino, type ? type : HS_IFREG, d->dflags);
	if (d->kind == OFD_PIPE)
		out->dflags |= PLACE_PIPE;
	out->magic = true;
	out->magic_fd = (s32)m->fd;
	out->magic_pid = m->pid;
	return 1;
}

/* /proc/PID/...: as start_fd; 2 when the path is the host's. */
static long start_magic(struct task *t, const char *path, struct cursor *c,
			struct place *out)
{
	struct magic_at m = magic_path(t, path);
	struct image_fd d;

	if (m.what == MAGIC_NO || c->flags & WALK_NO_MAGIC)
		return 2;
	if (m.pid) {
		if (procfs_fd(t, m.pid, m.what == MAGIC_FD ? FDS_ONE : FDS_CWD, m.fd, &d))
			return 2;
	} else if (m.what == MAGIC_FD ? fd_is_host(t, (int)m.fd) : !t->proc->cwd) {
		return 2;
	}
	/* The link itself is the host's business; what it cannot know is told by out->magic. */
	if (!*m.rest && !(c->flags & (WALK_FOLLOW | WALK_NOLAST))) {
		out->magic = m.what == MAGIC_FD;
		out->magic_fd = (s32)m.fd;
		out->magic_pid = m.pid;
		return 2;
	}
	if (m.pid)
		return start_image(&m, &d, c, out);
	if (m.what == MAGIC_FD)
		return start_fd(t, (int)m.fd, m.rest, c, out);
	start_at(c, t->proc->cwd, t->proc->cwd_dflags, m.rest);
	return 0;
}

static long start_absolute(struct task *t, const char *path, struct cursor *c,
			   struct place *out)
{
	const char *rest;
	long r;

	if (has_own_root(t)) {
		start_at(c, t->proc->root, t->proc->root_dflags, path);
		return 0;
	}
	rest = enters_absolute(t, path);
	if (rest && c->flags & WALK_NO_XDEV)
		return -EXDEV;
	if (rest) {
		start_at(c, INO_ROOT, ROOT_DFLAGS, rest);
		return 0;
	}
	if (path[1] == 'p' || path[1] == 'd') {
		r = start_magic(t, path, c, out);
		if (r != 2)
			return r;
	}
	start_host(out);
	return 1;
}

static long start_relative(struct task *t, int dirfd, const char *path, struct cursor *c,
			   struct place *out)
{
	const char *rest;

	if (dirfd == AT_FDCWD && t->proc->cwd) {
		start_at(c, t->proc->cwd, t->proc->cwd_dflags, path);
		return 0;
	}
	if (dirfd != AT_FDCWD && !fd_is_host(t, dirfd))
		return start_fd(t, dirfd, path, c, out);
	rest = enters_relative(t, dirfd, path);
	if (rest) {
		start_at(c, INO_ROOT, ROOT_DFLAGS, rest);
		return 0;
	}
	start_host(out);
	return 1;
}

/* AT_EMPTY_PATH. */
static long start_empty(struct task *t, int dirfd, struct cursor *c, struct place *out)
{
	if (dirfd != AT_FDCWD)
		return start_fd(t, dirfd, "", c, out);
	if (!t->proc->cwd) {
		start_host(out);
		return 1;
	}
	place_nameless(out, t->proc->cwd, HS_IFDIR, t->proc->cwd_dflags);
	return 1;
}

long walk(struct task *t, int dirfd, const char *path, u32 flags, struct place *out,
	  char *host_buf, bool *rewritten)
{
	struct cursor c = { .flags = flags };
	long r;

	*rewritten = false;
	out->magic = false;
	if (path[0] == '/' && !(flags & (WALK_BENEATH | WALK_IN_ROOT))) {
		r = start_absolute(t, path, &c, out);
		if (r == 1 && out->host && path[1] == 'p')
			return procfs_path(t, path, host_buf, rewritten);
	} else if (path[0])
		r = start_relative(t, dirfd, path, &c, out);
	else if (flags & WALK_EMPTY)
		r = start_empty(t, dirfd, &c, out);
	else
		return -ENOENT;
	if (r)
		return r < 0 ? r : 0;
	if (path[0] == '/' && flags & WALK_BENEATH)
		return -EXDEV;
	r = walk_inside(t, &c, out, host_buf, rewritten);
	if (unlikely(c.big))
		SYS(munmap, c.big, 2 * BIG_TEXT);
	return r;
}

/* --- for the calls --------------------------------------------------------------------------------- */

static long walk_user(struct task *t, long *dirfd, long *upath, u32 flags,
		      struct place *pl, char *buf, char *host_buf)
{
	bool rewritten;
	long r = user_read_str(buf, (const char *)*upath, PATH_LEN_MAX);

	if (unlikely(r < 0))
		return r;
	r = walk(t, dirfd ? (int)*dirfd : AT_FDCWD, buf, flags, pl, host_buf, &rewritten);
	if (!r && !pl->host)
		notify_saw(t, pl);
	if (r || !pl->host)
		return r;
	if (pl->magic) { /* the link of a descriptor of Hare's: one that the host has instead */
		str_format(host_buf, PATH_LEN_MAX, "/proc/self/fd/%d",
			   t->ctx.isl->fds.dram);
		rewritten = true;
	}
	if (rewritten) {
		*upath = (long)host_buf;
		if (dirfd)
			*dirfd = AT_FDCWD;
	}
	return CLIENT_HOST;
}

long path_walk(struct task *t, long *dirfd, long *upath, u32 flags, struct place *pl)
{
	return walk_user(t, dirfd, upath, flags, pl, t->path, t->host_path);
}

long path_walk2(struct task *t, long *dirfd, long *upath, u32 flags, struct place *pl)
{
	return walk_user(t, dirfd, upath, flags, pl, t->path2, t->host_path2);
}

long host_lookup(long *dirfd, long upath, int at_flags)
{
	u8 st[256]; /* struct stat */

	return SYS(newfstatat, dirfd ? (int)*dirfd : AT_FDCWD, upath, st, at_flags);
}

/* "." or ".." of a directory that is gone: as often as that, since none of its kind is ever pending,
 * and the working directory itself may be one. */
#define DOTS_RETRIES 8

/* Once more at once, then after a while each time. A name that is the new one of a rename under way
 * leads to a file that others may have removed by its old name: until that has come out, and the name
 * leads to what it led to before, there is nothing to find. What this core knows of the name is
 * forgotten: the invalidation may still lie in its sender's outbox. */
bool walk_again(struct task *t, const struct place *pl, u32 *tries)
{
	bool dots = pl->last_dot || pl->last_dotdot;

	if ((!pl->dir && !dots) || *tries >= (dots ? DOTS_RETRIES : RACE_RETRIES))
		return false;
	if (pl->dir)
		cache_forget(t, pl->dir, pl->dir_dflags, pl->name, pl->name_len);
	if ((*tries)++)
		pending_wait();
	return true;
}

long place_attr(struct task *t, struct place *pl)
{
	struct attr *a = &pl->res.attr;

	if (!pl->has_attr || (pl->type == HS_IFDIR && pl->dflags & DIR_DISTRIBUTED))
		return attr_get(t, pl->ino, a);
	if (pl->type == HS_IFREG && unlikely(!rpc_is_near(&t->ctx, ino_server(pl->ino))))
		file_attr(t, a);
	return 0;
}

void retry_wait(struct task *t, u32 seq)
{
	/* Not interruptible, as in Linux: it lasts for another core's rmdir or rename at most. A
	 * signal that waits would make the event return at once, so sleep a little then. */
	struct {
		s64 sec, nsec;
	} nap = { 0, 50000 };

	race_point("wait", RACE_AT);
	if (msg_event_wait(&t->ctx, seq, -1) == -HARE_ERESTARTSYS)
		SYS(nanosleep, &nap, 0);
}

/* Not an event: that the name is pending no more is told by a record that wakes nobody, so that
 * renames cost no wake-up. Who asks again has it handled. */
void pending_wait(void)
{
	struct {
		s64 sec, nsec;
	} nap = { 0, 200000 };

	race_point("wait", RACE_AT);
	SYS(nanosleep, &nap, 0);
}

void busy_wait(struct task *t, u32 busy, u32 *seq)
{
	if (busy == BUSY_PENDING) {
		pending_wait();
		return;
	}
	if (*seq)
		retry_wait(t, *seq);
	*seq = msg_event_prepare(&t->ctx);
}

/* The path of a directory: from it up to the root, names written from the buffer's end.
 * -ENAMETOOLONG: no room, as d_path has it. */
long walk_path_of(struct task *t, u64 dir, char *buf, size_t size)
{
	const struct super *s = t->ctx.isl->super;
	char name[NAME_LEN_MAX + 1];
	u64 root = t->proc ? t->proc->root : 0;
	size_t at = size, len;
	int depth = 0;

	if (size < 2)
		return -ENAMETOOLONG;
	buf[--at] = '\0';
	while (dir != INO_ROOT && dir != root) {
		struct req_PARENT q = { .ino = dir };
		struct rep_PARENT p = { .name = { .p = name, .cap = sizeof(name) } };
		long r = rpc_parent(&t->ctx, ino_server(dir), &q, &p);

		if (!r && !p.name.len)
			r = dir_name_of(t, p.parent, p.parent_dflags, dir, name);
		if (r < 0)
			return r;
		if (r)
			p.name.len = (u32)r;
		if (p.name.len + 1u > at || ++depth > PATH_LEN_MAX)
			return -ENAMETOOLONG;
		at -= p.name.len;
		memcpy(buf + at, name, p.name.len);
		buf[--at] = '/';
		dir = p.parent;
	}
	len = root && dir == root ? (buf[at] ? 0 : 1) : s->at_len;
	if (len > at)
		return -ENAMETOOLONG;
	at -= len;
	memcpy(buf + at, dir == root ? "/" : s->at, len);
	if (root && dir != root) {
		static const char outside[] = "(unreachable)";

		if (sizeof(outside) > at)
			return -ENAMETOOLONG;
		at -= sizeof(outside) - 1;
		memcpy(buf + at, outside, sizeof(outside) - 1);
	}
	memmove(buf, buf + at, size - at);
	return (long)(size - at - 1);
}
