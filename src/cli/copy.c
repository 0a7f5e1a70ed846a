/* SPDX-License-Identifier: MIT */
/*
 * Copies a tree from one side to the other: regular files with their holes, directories,
 * symlinks, hard links as links, FIFOs, sockets' names, devices; modes, times in nanoseconds,
 * attributes user.*, and owners when root copies. Symlinks are copied, never followed.
 *
 * What is there already is merged into as `cp -a` does: directories are kept, files are
 * overwritten, anything else is replaced. One thing that cannot be copied costs one line on
 * stderr and the rest goes on; a full target ends the copy.
 *
 * Order for each thing: make it, its data, owner (which clears set-id bits), attributes user.*
 * (which want a writable file), mode, times. A directory's come after what is in it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/sys.h"
#include "cli/boot.h"
#include "cli/copy.h"

#define BUF_SIZE	  (256u << 10) /* fits in a CPU's second cache: data is copied twice */
#define DIRENT_BUF	  32768
#define ERROR_LINES	  20
#define TICKS		  16
#define PROGRESS_AFTER_NS 500000000ULL
#define PROGRESS_EVERY_NS 100000000ULL
#define XATTR_LIST_MAX	  65536

struct dirent_rec { /* linux_dirent64 */
	u64 ino;
	s64 off;
	u16 len;
	u8 type;
	char name[];
};

/* A file with several names, by where it came from. */
struct link_slot {
	u64 dev, ino;
	char *path; /* its first name in the target, below the top; NULL: free slot */
};

/* --- messages ------------------------------------------------------------------------------ */

static void progress_clear(struct copy *c)
{
	if (c->shown)
		fputs("\r\033[K", stderr);
	c->shown = false;
}

static void show_progress(struct copy *c)
{
	u64 now = host_monotonic_ns();

	if (now - c->started_ns < PROGRESS_AFTER_NS ||
	    now - c->shown_ns < PROGRESS_EVERY_NS)
		return;
	fprintf(stderr, "\rhare: %sing '%s': %llu files, %llu MiB\033[K", c->verb,
		c->from_name, (unsigned long long)c->files,
		(unsigned long long)(c->bytes >> 20));
	c->shown_ns = now;
	c->shown = true;
}

/* Who boots an instance has blocked all signals; nobody else looks at them meanwhile. */
static bool interrupted(void)
{
	sigset_t set;

	return !sigpending(&set) &&
	       (sigismember(&set, SIGINT) || sigismember(&set, SIGTERM) ||
		sigismember(&set, SIGHUP) || sigismember(&set, SIGQUIT));
}

/* Called often: after every entry and every buffer. */
static void progress(struct copy *c)
{
	if (++c->ticks % TICKS)
		return;
	if (c->tty)
		show_progress(c);
	if (!c->stopped && interrupted()) {
		progress_clear(c);
		fprintf(stderr, "hare: %s of '%s' was interrupted\n", c->verb,
			c->from_name);
		c->stopped = true;
		c->errors++;
	}
}

/* The thing whose path is c->path was not copied, or not wholly. */
static void failed(struct copy *c, long err)
{
	size_t len = strlen(c->from_name);
	const char *slash =
		c->path_len && (!len || c->from_name[len - 1] != '/') ? "/" : "";

	progress_clear(c);
	if (c->stopped)
		return;
	if (err == -ENOSPC || err == -EDQUOT || err == -EROFS) {
		c->stopped = true;
		c->errors++;
		fprintf(stderr, "hare: %s stopped at '%s%s%s': %s%s\n", c->verb,
			c->from_name, slash, c->path, strerror((int)-err),
			err == -ENOSPC ? c->no_space : "");
		return;
	}
	if (c->errors++ < ERROR_LINES)
		fprintf(stderr, "hare: cannot %s '%s%s%s': %s\n", c->verb, c->from_name,
			slash, c->path, strerror((int)-err));
	else if (c->errors == ERROR_LINES + 1)
		fprintf(stderr, "hare: more cannot be %sed; only counted from here on\n",
			c->verb);
}

static void *need_memory(void *p)
{
	if (!p) {
		fputs("hare: out of memory\n", stderr);
		exit(EXIT_OWN);
	}
	return p;
}

/* --- the path of what is being copied --------------------------------------------------------- */

static size_t path_push(struct copy *c, const char *name)
{
	size_t old = c->path_len, len = strlen(name);

	if (old + len + 2 > c->path_cap) {
		c->path_cap = 2 * (old + len + 2);
		c->path = need_memory(realloc(c->path, c->path_cap));
	}
	if (old)
		c->path[c->path_len++] = '/';
	memcpy(c->path + c->path_len, name, len + 1);
	c->path_len += len;
	return old;
}

static void path_pop(struct copy *c, size_t old)
{
	c->path_len = old;
	c->path[old] = 0;
}

/* --- hard links -------------------------------------------------------------------------------- */

static struct link_slot *link_find(struct copy *c, u64 dev, u64 ino)
{
	size_t i = hash_u64(ino + dev * 31) & (c->link_cap - 1);

	while (c->links[i].path && (c->links[i].dev != dev || c->links[i].ino != ino))
		i = (i + 1) & (c->link_cap - 1);
	return &c->links[i];
}

static void links_grow(struct copy *c)
{
	struct link_slot *old = c->links;
	size_t i, n = c->link_cap;

	c->link_cap = n ? 2 * n : 256;
	c->links = need_memory(calloc(c->link_cap, sizeof(*old)));
	for (i = 0; i < n; i++) {
		if (old[i].path)
			*link_find(c, old[i].dev, old[i].ino) = old[i];
	}
	free(old);
}

static void links_free(struct copy *c)
{
	size_t i;

	for (i = 0; i < c->link_cap; i++)
		free(c->links[i].path);
	free(c->links);
	c->links = NULL;
	c->link_count = c->link_cap = 0;
}

/* A file with several names. True when it is there already under another one and `to_name` is
 * now a link to it (or that failed and was said). */
static bool link_to_first(struct copy *c, const struct stat *st, int to_dir,
			  const char *to_name)
{
	struct link_slot *l;
	long r;

	if (2 * c->link_count >= c->link_cap)
		links_grow(c);
	l = link_find(c, st->st_dev, st->st_ino);
	if (!l->path) {
		l->dev = st->st_dev;
		l->ino = st->st_ino;
		l->path = need_memory(strdup(c->path));
		c->link_count++;
		return false;
	}
	r = SIDE(c->to, linkat, c->to_top, l->path, to_dir, to_name, 0);
	if (r == -EEXIST) {
		r = SIDE(c->to, unlinkat, to_dir, to_name, 0);
		if (r >= 0)
			r = SIDE(c->to, linkat, c->to_top, l->path, to_dir, to_name, 0);
	}
	if (r == -ENOENT) { /* the first one could not be copied: this is the first now */
		free(l->path);
		l->path = need_memory(strdup(c->path));
		return false;
	}
	if (r < 0)
		failed(c, r);
	else
		c->others++;
	return true;
}

/* --- attributes -------------------------------------------------------------------------------- */

static long copy_xattr(struct copy *c, int from, int to, const char *name)
{
	long n = SIDE(c->from, fgetxattr, from, name, c->buf, BUF_SIZE);

	if (n < 0)
		return n == -ENODATA ? 0 : n;
	return SIDE(c->to, fsetxattr, to, name, c->buf, n, 0);
}

/* Attributes user.* alone: the others belong to the system that the file is on. */
static long copy_xattrs(struct copy *c, int from, int to, struct stat *made)
{
	static char list[XATTR_LIST_MAX];
	long len = SIDE(c->from, flistxattr, from, list, sizeof(list)), r = 0;
	char *name;

	if (len <= 0)
		return 0; /* none, or a file system that has none */
	for (name = list; name < list + len && !r; name += strlen(name) + 1) {
		if (strncmp(name, "user.", 5))
			continue;
		if (!(made->st_mode & S_IWUSR)) {
			made->st_mode |= S_IWUSR;
			SIDE(c->to, fchmod, to, made->st_mode & 07777);
		}
		r = copy_xattr(c, from, to, name);
	}
	if (r != -EOPNOTSUPP)
		return r;
	c->no_xattr++;
	return 0;
}

/* Owner and group when root copies; else the group alone, if we may. */
static long copy_owner(struct copy *c, int to, const struct stat *st,
		       const struct stat *made)
{
	if (c->owners && (made->st_uid != st->st_uid || made->st_gid != st->st_gid))
		return SIDE(c->to, fchown, to, st->st_uid, st->st_gid);
	if (!c->owners && made->st_gid != st->st_gid)
		SIDE(c->to, fchown, to, -1, st->st_gid);
	return 0;
}

/* Of an open file or directory; `made` is how it is now. */
static long copy_attributes(struct copy *c, int from, int to, const struct stat *st,
			    struct stat *made)
{
	struct timespec ts[2] = { st->st_atim, st->st_mtim };
	long r = copy_owner(c, to, st, made);

	if (r >= 0)
		r = copy_xattrs(c, from, to, made);
	if (r >= 0 && (made->st_mode & 07777) != (st->st_mode & 07777))
		r = SIDE(c->to, fchmod, to, st->st_mode & 07777);
	if (r >= 0)
		r = SIDE(c->to, utimensat, to, NULL, ts, 0);
	return r;
}

/* Of a symlink, FIFO, ... by its name. */
static long copy_attributes_at(struct copy *c, int dir, const char *name,
			       const struct stat *st)
{
	struct timespec ts[2] = { st->st_atim, st->st_mtim };
	long r = 0;

	if (c->owners)
		r = SIDE(c->to, fchownat, dir, name, st->st_uid, st->st_gid,
			 AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		r = SIDE(c->to, utimensat, dir, name, ts, AT_SYMLINK_NOFOLLOW);
	return r;
}

/* --- regular files ------------------------------------------------------------------------------ */

static long write_all(struct copy *c, int to, const u8 *p, long len)
{
	while (len > 0) {
		long n = SIDE(c->to, write, to, p, len);

		if (n < 0)
			return n;
		if (!n)
			return -EIO;
		p += n;
		len -= n;
		c->bytes += (u64)n;
	}
	return 0;
}

/* Bytes from both descriptors' offsets on: `len` of them, or to the end when it is < 0. */
static long copy_bytes(struct copy *c, int from, int to, s64 len)
{
	while (len && !c->stopped) {
		s64 want = len < 0 ? BUF_SIZE : MIN(len, (s64)BUF_SIZE);
		long n = SIDE(c->from, read, from, c->buf, want), r;

		if (n <= 0)
			return n;
		r = write_all(c, to, c->buf, n);
		if (r < 0)
			return r;
		if (len > 0)
			len -= n;
		progress(c);
	}
	return 0;
}

/* -ENOTSUP when the side cannot tell where data is; nothing was copied then. */
static long copy_sparse(struct copy *c, int from, int to, s64 size)
{
	s64 data = SIDE(c->from, lseek, from, 0, SEEK_DATA), hole = 0;
	long r;

	if (data < 0 && data != -ENXIO)
		return -ENOTSUP;
	while (data >= 0) {
		hole = SIDE(c->from, lseek, from, data, SEEK_HOLE);
		if (hole < 0)
			return hole == -ENXIO ? 0 : hole;
		r = SIDE(c->from, lseek, from, data, SEEK_SET);
		if (r >= 0)
			r = SIDE(c->to, lseek, to, data, SEEK_SET);
		if (r >= 0)
			r = copy_bytes(c, from, to, hole - data);
		if (r < 0)
			return r;
		data = SIDE(c->from, lseek, from, hole, SEEK_DATA);
	}
	if (data != -ENXIO)
		return data;
	return hole < size ? SIDE(c->to, ftruncate, to, size) : 0;
}

static long copy_data(struct copy *c, int from, int to, const struct stat *st)
{
	long r = -ENOTSUP;

	if (st->st_blocks < st->st_size / 512)
		r = copy_sparse(c, from, to, st->st_size);
	return r == -ENOTSUP ? copy_bytes(c, from, to, -1) : r;
}

/* Opens the target for writing: a new file of that mode, or the one there, emptied; what is
 * not a regular file, or may not be written, is replaced. */
static long open_target(struct copy *c, int dir, const char *name, mode_t mode)
{
	int flags = O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	struct stat st;
	long fd = SIDE(c->to, openat, dir, name, flags | O_CREAT | O_EXCL, mode), r;

	if (fd != -EEXIST)
		return fd;
	r = SIDE(c->to, newfstatat, dir, name, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (S_ISREG(st.st_mode)) {
		fd = SIDE(c->to, openat, dir, name, flags | O_TRUNC, 0);
		if (fd >= 0 || (fd != -EACCES && fd != -ETXTBSY))
			return fd;
	}
	r = SIDE(c->to, unlinkat, dir, name, 0);
	if (r < 0)
		return r;
	return SIDE(c->to, openat, dir, name, flags | O_CREAT | O_EXCL, mode);
}

/* The content and attributes of an open file. */
static long copy_open_file(struct copy *c, int from, const struct stat *st, int to_dir,
			   const char *to_name)
{
	/* Nobody else reads it before it has its owner. */
	bool others = c->owners && (st->st_uid || st->st_gid);
	long to = open_target(c, to_dir, to_name, st->st_mode & (others ? 0700 : 0777)),
	     r;
	struct stat made;

	if (to < 0)
		return to;
	r = SIDE(c->to, fstat, to, &made);
	if (r >= 0)
		r = copy_data(c, from, (int)to, st);
	if (r >= 0)
		r = copy_attributes(c, from, (int)to, st, &made);
	SIDE(c->to, close, to);
	return r;
}

static void copy_file(struct copy *c, int from_dir, const char *name, int to_dir,
		      const char *to_name)
{
	struct stat st;
	long r, from = SIDE(c->from, openat, from_dir, name,
			    O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);

	if (from < 0) {
		failed(c, from);
		return;
	}
	r = SIDE(c->from, fstat, from, &st);
	if (r >= 0 && !S_ISREG(st.st_mode))
		r = -EAGAIN; /* it became another thing since it was listed */
	if (r < 0 || st.st_nlink < 2 || !link_to_first(c, &st, to_dir, to_name)) {
		if (r >= 0)
			r = copy_open_file(c, (int)from, &st, to_dir, to_name);
		if (r < 0)
			failed(c, r);
		else
			c->files++;
	}
	SIDE(c->from, close, from);
}

/* --- everything else ------------------------------------------------------------------------------ */

static long make_other(struct copy *c, int from_dir, const char *name, int to_dir,
		       const char *to_name, const struct stat *st)
{
	char target[PATH_LEN_MAX];
	long n;

	if (!S_ISLNK(st->st_mode))
		return SIDE(c->to, mknodat, to_dir, to_name, st->st_mode, st->st_rdev);
	n = SIDE(c->from, readlinkat, from_dir, name, target, sizeof(target) - 1);
	if (n < 0)
		return n;
	target[n] = 0;
	return SIDE(c->to, symlinkat, target, to_dir, to_name);
}

/* A symlink, FIFO, socket or device. */
static void copy_other(struct copy *c, int from_dir, const char *name, int to_dir,
		       const char *to_name, const struct stat *st)
{
	long r;

	if (st->st_nlink > 1 && link_to_first(c, st, to_dir, to_name))
		return;
	r = make_other(c, from_dir, name, to_dir, to_name, st);
	if (r == -EEXIST) {
		r = SIDE(c->to, unlinkat, to_dir, to_name, 0);
		if (r >= 0)
			r = make_other(c, from_dir, name, to_dir, to_name, st);
	}
	if (r >= 0)
		r = copy_attributes_at(c, to_dir, to_name, st);
	if (r < 0)
		failed(c, r);
	else
		c->others++;
}

/* --- directories ----------------------------------------------------------------------------------- */

static void copy_entry(struct copy *c, int from_dir, const char *name, int to_dir,
		       const char *to_name, u8 type, bool top);

static void copy_entries(struct copy *c, int from, int to)
{
	u8 *buf = need_memory(malloc(DIRENT_BUF));
	long n = 0, at;

	while (!c->stopped &&
	       (n = SIDE(c->from, getdents64, from, buf, DIRENT_BUF)) > 0) {
		const struct dirent_rec *d;

		for (at = 0; at < n && !c->stopped; at += d->len) {
			d = (const struct dirent_rec *)(buf + at);
			if (!strcmp(d->name, ".") || !strcmp(d->name, ".."))
				continue;
			copy_entry(c, from, d->name, to, d->name, d->type, false);
		}
	}
	if (n < 0)
		failed(c, n);
	free(buf);
}

/* The directory in the target: new, or the one there. *made says which. */
static long open_target_dir(struct copy *c, int dir, const char *name, bool *made)
{
	long r = SIDE(c->to, mkdirat, dir, name, 0700);

	*made = r >= 0;
	if (r < 0 && r != -EEXIST)
		return r;
	return SIDE(c->to, openat, dir, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
}

/* Between open directories. The topmost one keeps what it is when it was there before. */
static long copy_open_dir(struct copy *c, int from, const struct stat *st, int to_dir,
			  const char *to_name, bool top)
{
	struct stat now;
	bool made;
	long to = open_target_dir(c, to_dir, to_name, &made), r = 0;

	if (to < 0)
		return to;
	if (top)
		c->to_top = (s32)to;
	copy_entries(c, from, (int)to);
	if (made || !top) {
		r = SIDE(c->to, fstat, to, &now);
		if (r >= 0)
			r = copy_attributes(c, from, (int)to, st, &now);
	}
	SIDE(c->to, close, to);
	return r;
}

static void copy_dir(struct copy *c, int from_dir, const char *name, int to_dir,
		     const char *to_name, bool top)
{
	struct stat st;
	long r, from = SIDE(c->from, openat, from_dir, name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);

	if (from < 0) {
		failed(c, from);
		return;
	}
	r = SIDE(c->from, fstat, from, &st);
	if (r >= 0)
		r = copy_open_dir(c, (int)from, &st, to_dir, to_name, top);
	if (r < 0)
		failed(c, r);
	else
		c->dirs++;
	SIDE(c->from, close, from);
}

static void copy_entry(struct copy *c, int from_dir, const char *name, int to_dir,
		       const char *to_name, u8 type, bool top)
{
	size_t old = top ? 0 : path_push(c, name);
	struct stat st;
	long r = 0;

	if (type != DT_REG && type != DT_DIR) {
		r = SIDE(c->from, newfstatat, from_dir, name, &st, AT_SYMLINK_NOFOLLOW);
		if (r >= 0)
			type = S_ISREG(st.st_mode)   ? DT_REG
			       : S_ISDIR(st.st_mode) ? DT_DIR
						     : DT_LNK;
	}
	if (r < 0)
		failed(c, r);
	else if (type == DT_REG)
		copy_file(c, from_dir, name, to_dir, to_name);
	else if (type == DT_DIR)
		copy_dir(c, from_dir, name, to_dir, to_name, top);
	else
		copy_other(c, from_dir, name, to_dir, to_name, &st);
	progress(c);
	if (!top)
		path_pop(c, old);
}

bool copy_tree(struct copy *c, int from_dir, const char *name, int to_dir,
	       const char *to_name)
{
	c->owners = geteuid() == 0;
	c->tty = isatty(STDERR_FILENO);
	c->started_ns = host_monotonic_ns();
	c->to_top = -1;
	c->buf = need_memory(malloc(BUF_SIZE));
	c->path = need_memory(calloc(1, c->path_cap = 256));
	c->to->old_umask = SIDE(c->to, umask, 0);
	copy_entry(c, from_dir, name, to_dir, to_name, DT_UNKNOWN, true);
	SIDE(c->to, umask, c->to->old_umask);
	progress_clear(c);
	links_free(c);
	free(c->path);
	free(c->buf);
	return !c->errors;
}
