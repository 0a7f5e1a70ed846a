/* SPDX-License-Identifier: MIT */
/*
 * Random system calls on a small tree: files, directories, links that dangle and loop, FIFOs,
 * sockets, descriptors of every kind, odd paths, pointers and flags; as root, as an ordinary
 * user, by one process and by one that moves to another core by exec every few calls and
 * takes its descriptors along. After each call the whole tree is looked at. Results,
 * errnos and what the tree looks like are summed up in a number that is part of the
 * point's description: it must be the one that tmpfs gives.
 *
 * With $T_TRACE set each call is printed with what it gave, and the tree when it changed: the
 * first line that differs is the fault ("tests/fuzz" compares so). $T_SEEDS="FROM COUNT"
 * runs other seeds than the fixed ones.
 *
 * Nothing here may wait: descriptors are O_NONBLOCK, locks are only tried.
 */
#include "t.h"

#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

enum { INODES = 4096, STEPS = 150, CHUNK = 25, FDS = 14, TEXT = 1 << 16 };

/* What is known of an inode, by its place in the table: that is its name here. */
struct known {
	ino_t ino;
	struct timespec at, mt, ct;
};

/* All that goes on in the process that continues. */
static struct {
	unsigned long rnd, sum, shown;
	long step;
	int user; /* 0: root; 1: an ordinary user; 2: both by turns */
	int times; /* what moves which time is looked at; the tree is only stat'ed then */
	int nknown;
	struct known known[INODES];
} S;

static int base = -1; /* the directory that all happens in */
static char base_path[PATH_MAX];
static char line[8192], state[TEXT];
static size_t nstate;
static const char *trace;

static unsigned rnd(unsigned n)
{
	S.rnd = S.rnd * 6364136223846793005ul + 1442695040888963407ul;
	return (unsigned)(S.rnd >> 33) % n;
}

static long pick_(const long *v, size_t n)
{
	return v[rnd((unsigned)n)];
}
#define PICK(...)                                                                        \
	({                                                                               \
		static const long v_[] = { __VA_ARGS__ };                                \
		pick_(v_, sizeof(v_) / sizeof(*v_));                                     \
	})

static unsigned long hash(const char *s, size_t n)
{
	unsigned long h = 14695981039346656037ul;

	while (n-- > 0)
		h = (h ^ (unsigned char)*s++) * 1099511628211ul;
	return h;
}

T_PRINTF(1, 2) static void say(const char *fmt, ...)
{
	size_t len = strlen(line);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	va_end(ap);
}

/* --- users --------------------------------------------------------------------------------- */

static int am_root; /* we began as root */
static int now_user;

static void be(int user)
{
	if (!am_root || user == now_user)
		return;
	if (user) {
		static const gid_t groups[] = { 1000 };

		must(setgroups(1, groups));
		must(syscall(SYS_setresgid, T_NOBODY, T_NOBODY, 0));
		must(syscall(SYS_setresuid, T_NOBODY, T_NOBODY, 0));
	} else {
		must(syscall(SYS_setresuid, 0, 0, 0));
		must(syscall(SYS_setresgid, 0, 0, 0));
		must(setgroups(0, NULL));
	}
	now_user = user;
}

/* --- arguments ------------------------------------------------------------------------------ */

static const char *quoted(const char *p)
{
	static char bufs[4][64];
	static int next;
	char *b;

	if (p == NULL)
		return "NULL";
	if (p == (char *)8)
		return "BAD";
	b = bufs[next++ % 4];
	if (strncmp(p, base_path, strlen(base_path)) == 0)
		snprintf(b, 64, "\"<base>%s\"", p + strlen(base_path));
	else if (strlen(p) > 50)
		snprintf(b, 64, "\"%.20s...\"[%zu]", p, strlen(p));
	else
		snprintf(b, 64, "\"%s\"", p);
	return b;
}

/* The call follows the last link, so it may be one of /proc's. */
static int follows;

/* A path; pointers that make no sense too. */
static const char *path(void)
{
	static char bufs[4][8192];
	static int next;
	char *p = bufs[next++ % 4];
	unsigned n = 1 + (rnd(3) ? rnd(2) : rnd(4)), kind = rnd(60), ups = 0;

	*p = 0;
	switch (kind) {
	case 0:
		return rnd(2) ? "" : rnd(2) ? NULL : (char *)8;
	case 1:
		memset(p, 'n', 254 + rnd(3));
		p[254 + rnd(3)] = 0;
		return p;
	case 2:
		while (strlen(p) < 4060)
			strcat(p, "d/../d/./");
		for (n = rnd(45); n > 0; n--)
			strcat(p, "/");
		strcat(p, "a");
		return p;
	case 3:
		return rnd(2) ? "." : "..";
	case 4:
		return rnd(2) ? "/dev/null" : "/dev/null/x";
	case 7:
		if (!follows)
			break;
		sprintf(p, rnd(3) ? "/proc/self/fd/%u%s" : "/dev/fd/%u%s", 4 + rnd(FDS),
			rnd(3) ? "" : rnd(2) ? "/a" : "/");
		return p;
	case 5:
	case 6:
		strcpy(p, base_path);
		strcat(p, "/");
		break;
	}
	while (n-- > 0) {
		unsigned k = rnd(22);

		if (k == 0 && ups++ < 2)
			strcat(p, "..");
		else if (k == 1)
			strcat(p, ".");
		else
			sprintf(p + strlen(p), "%c", 'a' + (int)rnd(6));
		if (n)
			strcat(p, rnd(30) ? "/" : "//");
	}
	if (rnd(12) == 0)
		strcat(p, rnd(3) ? "/" : rnd(2) ? "/." : "/..");
	return p;
}

static int fd(void)
{
	if (rnd(25) == 0)
		return (int)PICK(-1, AT_FDCWD, 99, 0, 1000000, -2);
	return 4 + (int)rnd(FDS);
}

static int dirfd_(void)
{
	return rnd(3) ? AT_FDCWD : fd();
}

static long offset(void)
{
	if (rnd(20) == 0)
		return PICK(-1, 1L << 32, 1L << 40, LONG_MAX, LONG_MIN, LONG_MAX - 100);
	return rnd(2) ? (long)rnd(20000) : PICK(0, 1, 4095, 4096, 4097, 8192, 100, 12288);
}

static size_t count(void)
{
	return rnd(3) ? rnd(300) : (size_t)PICK(0, 1, 4096, 5000, 8192, 64);
}

static int mode(void)
{
	return (int)PICK(0644, 0755, 0777, 0600, 0, 0444, 0222, 0111, 0700, 01777, 02755,
			 04755, 06711, 02644, 07777, 0107, 0170, 0500, 0300);
}

static char data[16384], back[16384];

static void fill(void)
{
	memset(data, 'A' + (int)rnd(26), 9000);
	if (rnd(4) == 0)
		memcpy(data, rnd(4) ? "#!/bin/true\nx" : "#!/dev/null/x\n", 13);
}

/* --- the calls ------------------------------------------------------------------------------ */

/* R(call): makes it and says what it gave. */
#define R(call)                                                                          \
	({                                                                               \
		errno = 0;                                                               \
		long r_ = (long)(call);                                                  \
		said(r_, errno);                                                         \
		r_;                                                                      \
	})

static void said(long r, int err)
{
	if (r == -1)
		say(" = -1 %s", strerrorname_np(err));
	else
		say(" = %ld", r);
}

static int open_flags(void)
{
	int f = (int)PICK(O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR, O_RDONLY, 3);

	if (rnd(2))
		f |= O_CREAT;
	if (rnd(6) == 0)
		f |= O_EXCL;
	if (rnd(6) == 0)
		f |= O_TRUNC;
	if (rnd(6) == 0)
		f |= O_APPEND;
	if (rnd(6) == 0)
		f |= O_DIRECTORY;
	if (rnd(6) == 0)
		f |= O_NOFOLLOW;
	if (rnd(6) == 0)
		f |= O_PATH;
	if (rnd(12) == 0)
		f |= O_NOATIME;
	if (rnd(10) == 0)
		f |= O_TMPFILE;
	if (rnd(10) == 0)
		f |= O_CLOEXEC;
	if (rnd(20) == 0)
		f |= (int)PICK(O_SYNC, O_DSYNC, O_NOCTTY, 0x40000000, 020);
	return f | O_NONBLOCK;
}

/* /proc's links themselves are not what this is about. */
static int is_magic(const char *p)
{
	return p && p != (char *)8 && (!strncmp(p, "/proc", 5) || !strncmp(p, "/dev/fd", 7));
}

static void c_open(void)
{
	const char *p = path();
	int f = open_flags(), m = mode(), at = dirfd_();

	if (is_magic(p))
		f &= ~O_NOFOLLOW;
	say("openat(%d, %s, %#x, %#o)", at, quoted(p), f, m);
	R(syscall(SYS_openat, at, p, f, m));
}

static void c_open_dir(void)
{
	const char *p = path();
	int f = O_DIRECTORY | (rnd(3) ? O_RDONLY : O_PATH);

	say("open(%s, %#x)", quoted(p), f);
	R(syscall(SYS_open, p, f, 0));
}

static void c_openat2(void)
{
	const char *p = path();
	int at = dirfd_();
	struct open_how how = { .flags = (unsigned long)(unsigned)open_flags(),
				.mode = rnd(2) ? (unsigned)mode() : 0,
				.resolve = (unsigned long)PICK(0, RESOLVE_BENEATH,
							       RESOLVE_IN_ROOT,
							       RESOLVE_NO_SYMLINKS,
							       RESOLVE_NO_XDEV,
							       RESOLVE_NO_MAGICLINKS, 0x100) };

	if (p && p != (char *)8 && *p == '/' && how.resolve == RESOLVE_IN_ROOT)
		p = "a/b";
	if (is_magic(p))
		how.flags &= ~(unsigned long)O_NOFOLLOW;
	say("openat2(%d, %s, %#llx, %#llo, %#llx)", at, quoted(p),
	    (unsigned long long)how.flags, (unsigned long long)how.mode,
	    (unsigned long long)how.resolve);
	R(syscall(SYS_openat2, at, p, &how, rnd(20) ? sizeof(how) : 8));
}

static void c_close(void)
{
	int n = fd();

	if (n < 4)
		n = 77;
	say("close(%d)", n);
	R(close(n));
}

static void c_dup(void)
{
	int a = fd(), b = 4 + (int)rnd(FDS), f = (int)PICK(0, O_CLOEXEC, 1);

	switch (rnd(4)) {
	case 0:
		say("dup(%d)", a);
		R(dup(a));
		break;
	case 1:
		say("dup2(%d, %d)", a, b);
		R(dup2(a, b));
		break;
	case 2:
		say("dup3(%d, %d, %#x)", a, b, f);
		R(syscall(SYS_dup3, a, b, f));
		break;
	default:
		say("fcntl(%d, F_DUPFD, %d)", a, b);
		R(fcntl(a, rnd(2) ? F_DUPFD : F_DUPFD_CLOEXEC, b));
	}
}

static void got(long n)
{
	if (n > 0)
		say(" %08lx", hash(back, (size_t)n) & 0xffffffff);
}

static void c_read(void)
{
	int n = fd(), f = (int)PICK(0, 0, RWF_HIPRI, RWF_NOWAIT, RWF_APPEND, 0x1000);
	size_t len = count();
	long off = offset(), r;
	struct iovec v[2] = { { back, len / 2 }, { back + len / 2, len - len / 2 } };
	void *to = rnd(40) ? back : (void *)8;

	if (S.times && !len) /* is a read for tmpfs */
		len = 1;
	switch (rnd(4)) {
	case 0:
	case 1:
		say("read(%d, %zu%s)", n, len, to == back ? "" : " BAD");
		r = R(syscall(SYS_read, n, to, len));
		break;
	case 2:
		say("pread(%d, %zu, %ld)", n, len, off);
		r = R(syscall(SYS_pread64, n, to, len, off));
		break;
	default:
		off = rnd(3) ? off : -1;
		say("preadv2(%d, %zu, %ld, %#x)", n, len, off, f);
		r = R(syscall(SYS_preadv2, n, v, 2L, off, 0L, (long)f));
	}
	if (to == back)
		got(r);
}

static void c_write(void)
{
	int n = fd(), f = (int)PICK(0, 0, RWF_HIPRI, RWF_APPEND, RWF_DSYNC, RWF_NOWAIT, 0x20,
				    0x1000);
	size_t len = count();
	long off = offset() % (1L << 33);
	struct iovec v[2] = { { data, len / 2 }, { data + len / 2, len - len / 2 } };
	const void *from = rnd(40) ? data : (void *)8;
	struct stat st;

	/* tmpfs keeps the page that a write to a file did not fill */
	if (fstat(n, &st) == 0 && S_ISREG(st.st_mode))
		from = data;

	fill();
	switch (rnd(4)) {
	case 0:
	case 1:
		say("write(%d, %zu%s)", n, len, from == data ? "" : " BAD");
		R(syscall(SYS_write, n, from, len));
		break;
	case 2:
		say("pwrite(%d, %zu, %ld)", n, len, off);
		R(syscall(SYS_pwrite64, n, from, len, off));
		break;
	default:
		off = rnd(3) ? off : -1;
		say("pwritev2(%d, %zu, %ld, %#x)", n, len, off, f);
		R(syscall(SYS_pwritev2, n, v, 2L, off, 0L, (long)f));
	}
}

static void c_lseek(void)
{
	int n = fd(), whence = (int)PICK(SEEK_SET, SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA,
					 SEEK_HOLE, 5, -1);
	long off = offset() - (rnd(3) ? 0 : 5000);
	struct stat st;

	/* a directory's offsets are cookies */
	if (fstat(n, &st) == 0 && S_ISDIR(st.st_mode)) {
		off = 0;
		whence = 0;
	}
	say("lseek(%d, %ld, %d)", n, off, whence);
	R(syscall(SYS_lseek, n, off, whence));
}

static void c_truncate(void)
{
	const char *p = path();
	int n = fd();
	long len = offset();

	if (len > 1L << 33 && len < LONG_MAX - 4096)
		len = 1L << 33;
	if (rnd(2)) {
		say("truncate(%s, %ld)", quoted(p), len);
		R(truncate(p, len));
	} else {
		say("ftruncate(%d, %ld)", n, len);
		R(ftruncate(n, len));
	}
}

static void c_fallocate(void)
{
	int n = fd();
	int m = (int)PICK(0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE,
			  FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, 0x1000,
			  FALLOC_FL_UNSHARE_RANGE);
	long off = (long)rnd(20000), len = (long)rnd(10000);

	if (rnd(15) == 0)
		off = PICK(-1, LONG_MAX);
	if (rnd(15) == 0)
		len = PICK(-1, 0, LONG_MAX);
	say("fallocate(%d, %#x, %ld, %ld)", n, m, off, len);
	R(syscall(SYS_fallocate, n, m, off, len));
}

/* The stat of anything but a directory's size, as text. */
static int known(ino_t ino)
{
	for (int i = 0; i < S.nknown; i++)
		if (S.known[i].ino == ino)
			return i;
	if (S.nknown == INODES)
		return -1;
	S.known[S.nknown].ino = ino;
	return S.nknown++;
}

static void say_stat(const struct stat *st)
{
	if (S_ISREG(st->st_mode) || S_ISLNK(st->st_mode))
		say(" {%o %ld %d:%d %ld}", st->st_mode, (long)st->st_nlink, (int)st->st_uid,
		    (int)st->st_gid, (long)st->st_size);
	else
		say(" {%o %ld %d:%d %lx}", st->st_mode, (long)st->st_nlink, (int)st->st_uid,
		    (int)st->st_gid, (long)st->st_rdev);
}

static void c_stat(void)
{
	const char *p = path();
	int n = fd(), at = dirfd_();
	int f = (int)PICK(0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 0x1, AT_NO_AUTOMOUNT,
			  AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
	struct stat st;
	struct statx sx;
	unsigned mask = (unsigned)PICK(STATX_ALL, 0, STATX_SIZE, 0x80000000, STATX_BASIC_STATS);
	unsigned how = rnd(3);
	void *to = rnd(40) ? &st : (void *)8;

	if (how == 0) {
		say("fstat(%d)", n);
		if (R(syscall(SYS_fstat, n, &st)) == 0 && n > 3)
			say_stat(&st);
	} else if (how == 1) {
		say("newfstatat(%d, %s, %#x)", at, quoted(p), f);
		if (R(syscall(SYS_newfstatat, at, p, to, f)) == 0 && to == &st &&
		    st.st_rdev != makedev(1, 3))
			say_stat(&st);
	} else {
		f |= (int)PICK(0, 0x2000, 0x4000, 0x6000);
		say("statx(%d, %s, %#x, %#x)", at, quoted(p), f, mask);
		memset(&sx, 0, sizeof(sx));
		if (R(syscall(SYS_statx, at, p, f, mask, &sx)) == 0)
			say(" {%o %d %d}", sx.stx_mode, sx.stx_nlink, sx.stx_uid);
	}
}

static void c_access(void)
{
	const char *p = path();
	int m = (int)PICK(F_OK, R_OK, W_OK, X_OK, R_OK | W_OK, 7, 8, -1), at = dirfd_();
	int f = (int)PICK(0, AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 1);

	if (rnd(2)) {
		say("access(%s, %d)", quoted(p), m);
		R(syscall(SYS_access, p, m));
	} else {
		say("faccessat2(%d, %s, %d, %#x)", at, quoted(p), m, f);
		R(syscall(SYS_faccessat2, at, p, m, f));
	}
}

/* A descriptor that may be changed: not the host's own device's. */
static int own_fd(int n)
{
	struct stat st;

	return n >= 4 && fstat(n, &st) == 0 && st.st_rdev == makedev(1, 3) ? -1 : n < 4 ? -1 : n;
}

static int harmless(const char *p, int at, int f)
{
	struct stat st;

	/* not the host's own files */
	return (!p || p == (char *)8 || strncmp(p, "/dev/null", 9)) &&
	       !(f & AT_EMPTY_PATH && own_fd(at) < 0) &&
	       !(syscall(SYS_newfstatat, at, p, &st, 0) == 0 &&
		 st.st_rdev == makedev(1, 3));
}

static void c_chmod(void)
{
	const char *p = path();
	int n = fd(), m = mode(), at = dirfd_();
	int f = (int)PICK(0, 0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 2);

	switch (rnd(4)) {
	case 0:
		n = own_fd(n);
		say("fchmod(%d, %#o)", n, m);
		R(syscall(SYS_fchmod, n, m));
		break;
	case 1:
		if (!harmless(p, at, f))
			return;
		say("fchmodat2(%d, %s, %#o, %#x)", at, quoted(p), m, f);
		R(syscall(SYS_fchmodat2, at, p, m, f));
		break;
	default:
		if (!harmless(p, AT_FDCWD, 0))
			return;
		say("chmod(%s, %#o)", quoted(p), m);
		R(syscall(SYS_chmod, p, m));
	}
}

static void c_chown(void)
{
	const char *p = path();
	int n = fd(), at = dirfd_();
	int u = (int)PICK(-1, 0, T_NOBODY, 1000), g = (int)PICK(-1, 0, T_NOBODY, 1000);
	int f = (int)PICK(0, 0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 2);

	switch (rnd(3)) {
	case 0:
		n = own_fd(n);
		say("fchown(%d, %d, %d)", n, u, g);
		R(syscall(SYS_fchown, n, u, g));
		break;
	case 1:
		if (!harmless(p, at, f))
			return;
		say("fchownat(%d, %s, %d, %d, %#x)", at, quoted(p), u, g, f);
		R(syscall(SYS_fchownat, at, p, u, g, f));
		break;
	default:
		if (!harmless(p, AT_FDCWD, 0))
			return;
		say("lchown(%s, %d, %d)", quoted(p), u, g);
		R(syscall(SYS_lchown, p, u, g));
	}
}

static void c_utimens(void)
{
	const char *p = path();
	int at = dirfd_();
	int f = (int)PICK(0, 0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 2);
	struct timespec ts[2];

	for (int i = 0; i < 2; i++) {
		ts[i].tv_sec = PICK(0, 1000000000, -5, 1L << 34, 1L << 40);
		ts[i].tv_nsec = PICK(UTIME_NOW, UTIME_OMIT, 0, 5, 999999999, 1000000000, -1);
	}
	if (!harmless(p, at, f))
		return;
	if (rnd(10) == 0)
		p = NULL;
	if (!p && own_fd(at) < 0)
		return;
	f |= rnd(6) == 0 ? 0x10000 : 0;
	if (f & 0x10000) {
		say("utimensat(%d, %s, NULL, %#x)", at, quoted(p), f & 0xffff);
		R(syscall(SYS_utimensat, at, p, NULL, f & 0xffff));
		return;
	}
	say("utimensat(%d, %s, {%ld.%ld, %ld.%ld}, %#x)", at, quoted(p), (long)ts[0].tv_sec,
	    ts[0].tv_nsec, (long)ts[1].tv_sec, ts[1].tv_nsec, f);
	R(syscall(SYS_utimensat, at, p, ts, f));
}

static void c_mkdir(void)
{
	const char *p = path();
	int m = mode(), at = dirfd_();

	say("mkdirat(%d, %s, %#o)", at, quoted(p), m);
	R(syscall(SYS_mkdirat, at, p, m));
}

static void c_rmdir(void)
{
	const char *p = path();

	say("rmdir(%s)", quoted(p));
	R(syscall(SYS_rmdir, p));
}

static void c_unlink(void)
{
	const char *p = path();
	int at = dirfd_(), f = (int)PICK(0, 0, 0, AT_REMOVEDIR, 1);

	if (!harmless(p, AT_FDCWD, 0))
		return;
	say("unlinkat(%d, %s, %#x)", at, quoted(p), f);
	R(syscall(SYS_unlinkat, at, p, f));
}

static void c_rename(void)
{
	const char *p = path(), *q = path();
	int at = dirfd_(), to = dirfd_();
	int f = (int)PICK(0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE, 8,
			  RENAME_NOREPLACE | RENAME_EXCHANGE);

	if (!harmless(p, AT_FDCWD, 0) || !harmless(q, AT_FDCWD, 0))
		return;
	say("renameat2(%d, %s, %d, %s, %#x)", at, quoted(p), to, quoted(q), f);
	R(syscall(SYS_renameat2, at, p, to, q, f));
}

static void c_link(void)
{
	const char *p = path(), *q = path();
	int at = dirfd_(), to = dirfd_();
	int f = (int)PICK(0, 0, 0, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, 2);

	if (now_user) /* allowed or not by how the user came about */
		f &= ~AT_EMPTY_PATH;
	say("linkat(%d, %s, %d, %s, %#x)", at, quoted(p), to, quoted(q), f);
	R(syscall(SYS_linkat, at, p, to, q, f));
}

static void c_symlink(void)
{
	const char *p = path(), *q = path();
	int at = dirfd_();

	if (p && p != (char *)8 && *p == '/')
		p = "a/b"; /* its length differs, or it leads to what is not ours */
	say("symlinkat(%s, %d, %s)", quoted(p), at, quoted(q));
	R(syscall(SYS_symlinkat, p, at, q));
}

static void c_readlink(void)
{
	const char *p = path();
	int at = dirfd_();
	long size = PICK(0, 1, 5, 4096, 4096, -1), r;

	say("readlinkat(%d, %s, %ld)", at, quoted(p), size);
	r = R(syscall(SYS_readlinkat, at, p, back, size));
	got(strncmp(back, base_path, 10) ? r : 0);
}

static void c_mknod(void)
{
	const char *p = path();
	int m = (int)PICK(S_IFIFO, S_IFIFO, S_IFSOCK, S_IFREG, 0, S_IFCHR, S_IFBLK, S_IFDIR,
			  S_IFLNK, 0170000) |
		mode();
	int at = dirfd_(), dev = (int)PICK(0, 0x1ff, 0x12345);

	say("mknodat(%d, %s, %#o, %#x)", at, quoted(p), m, dev);
	R(syscall(SYS_mknodat, at, p, m, dev));
}

static int cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names of a directory, in order. */
static int names_of(int n, char **names, char *text, size_t room)
{
	int count = 0;
	long r;
	size_t used = 0;

	while ((r = syscall(SYS_getdents64, n, back, sizeof(back))) > 0) {
		for (long at = 0; at < r;) {
			struct dirent64 *d = (struct dirent64 *)(back + at);

			at += d->d_reclen;
			if (d->d_name[0] == 's') /* the directory of all seeds */
				continue;
			if (count == 100 || used + strlen(d->d_name) + 1 > room)
				continue;
			names[count++] = strcpy(text + used, d->d_name);
			used += strlen(d->d_name) + 1;
		}
	}
	qsort(names, (size_t)count, sizeof(*names), cmp);
	return r < 0 ? -1 : count;
}

static void c_getdents(void)
{
	static char text[8192], *names[100];
	int n = fd(), c;

	say("getdents(%d)", n);
	if (rnd(2))
		syscall(SYS_lseek, n, 0, 0);
	c = (int)R(names_of(n, names, text, sizeof(text)));
	for (int i = 0; i < c; i++)
		say(" %.20s", names[i]);
}

static void c_fcntl(void)
{
	int n = fd(), which = (int)rnd(13), arg = (int)rnd(4);
	struct flock l = { .l_type = (short)PICK(F_RDLCK, F_WRLCK, F_UNLCK, 7),
			   .l_whence = (short)PICK(SEEK_SET, SEEK_CUR, SEEK_END, 9),
			   .l_start = offset() - 3, .l_len = (long)rnd(200) - 20 };
	static const int cmds[] = { F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_GETLK, F_SETLK,
				    F_OFD_GETLK, F_OFD_SETLK, F_GETPIPE_SZ, F_SETPIPE_SZ,
				    F_GET_SEALS, 9999, F_GETLEASE };
	long r;

	switch (which) {
	case 1:
		arg = (int)PICK(O_NONBLOCK, O_NONBLOCK | O_APPEND, O_NONBLOCK | O_NOATIME,
				O_NONBLOCK | O_RDWR | O_CREAT, O_NONBLOCK | O_DIRECT);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		say("fcntl(%d, %d, {%d %d %ld %ld})", n, cmds[which], l.l_type, l.l_whence,
		    (long)l.l_start, (long)l.l_len);
		R(fcntl(n, cmds[which], rnd(30) ? &l : (void *)8));
		say(" {%d}", l.l_type);
		return;
	case 9:
		arg = (int)PICK(0, 4096, 100, 65536, 1 << 20, -1);
		break;
	}
	say("fcntl(%d, %d, %d)", n, cmds[which], arg);
	r = R(fcntl(n, cmds[which], arg));
	if (r > 0)
		say(" %#lx", r);
}

static void c_flock(void)
{
	int n = fd(), op = (int)PICK(LOCK_SH, LOCK_EX, LOCK_UN, 0, 32) | LOCK_NB;

	say("flock(%d, %d)", n, op);
	R(flock(n, op));
}

static void c_ioctl(void)
{
	static const struct {
		unsigned long nr;
		const char *name;
	} ops[] = { { FIONREAD, "FIONREAD" },	    { FIONBIO, "FIONBIO" },
		    { FIOCLEX, "FIOCLEX" },	    { FIONCLEX, "FIONCLEX" },
		    { 0x5401, "TCGETS" },	    { 0x1234, "0x1234" },
		    { FICLONE, "FICLONE" },	    { FIBMAP, "FIBMAP" },
		    { FIGETBSZ, "FIGETBSZ" },	    { FIOQSIZE, "FIOQSIZE" },
		    { FS_IOC_FIEMAP, "FIEMAP" },    { FIFREEZE, "FIFREEZE" },
		    { FITHAW, "FITHAW" },	    { FITRIM, "FITRIM" },
		    { FS_IOC_FSGETXATTR, "FSGETX" }, { FS_IOC_GETVERSION, "GETVERSION" },
		    { FIOASYNC, "FIOASYNC" },	    { FICLONERANGE, "FICLONERANGE" },
		    { FIDEDUPERANGE, "FIDEDUPERANGE" } };
	unsigned k = rnd(sizeof(ops) / sizeof(*ops));
	long long arg[64] = { 0 };
	int n = fd();
	long r;

	n = own_fd(n);
	if (ops[k].nr == FIONBIO)
		arg[0] = 1;
	say("ioctl(%d, %s)", n, ops[k].name);
	r = R(ioctl(n, ops[k].nr, ops[k].nr == FICLONE ? (void *)(long)fd() : arg));
	if (r == 0 && (ops[k].nr == FIONREAD || ops[k].nr == FIGETBSZ))
		say(" %d", *(int *)arg);
}

static void c_sync(void)
{
	int n = fd();

	switch (rnd(5)) {
	case 0:
		say("fsync(%d)", n);
		R(fsync(n));
		break;
	case 1:
		say("fdatasync(%d)", n);
		R(fdatasync(n));
		break;
	case 2:
		say("syncfs(%d)", n);
		R(n < 4 ? -1 : syncfs(n));
		break;
	case 3:
		say("sync_file_range(%d)", n);
		R(sync_file_range(n, offset(), (long)count(), (unsigned)PICK(0, 7, 8)));
		break;
	default:
		say("fadvise(%d)", n);
		R(syscall(SYS_fadvise64, n, 0L, (long)count(), PICK(0, 3, 4, 9)));
	}
}

static void c_copy(void)
{
	int a = fd(), b = fd();
	long x = (long)rnd(6000), y = (long)rnd(6000);
	size_t len = count();
	int xo = (int)rnd(2), yo = (int)rnd(2);
	unsigned f = (unsigned)PICK(0, 0, 0, 0, 1, SPLICE_F_NONBLOCK);

	if (rnd(20) == 0)
		x = -1;
	switch (rnd(4)) {
	case 0:
		say("sendfile(%d, %d, %s%ld, %zu)", a, b, xo ? "&" : "-", x, len);
		R(syscall(SYS_sendfile, a, b, xo ? &x : NULL, len));
		say(" %ld", x);
		break;
	case 1:
		say("copy_file_range(%d, %s%ld, %d, %s%ld, %zu, %u)", a, xo ? "&" : "-", x, b,
		    yo ? "&" : "-", y, len, f & 1);
		R(syscall(SYS_copy_file_range, a, xo ? &x : NULL, b, yo ? &y : NULL, len,
			  f & 1));
		say(" %ld %ld", x, y);
		break;
	case 2:
		say("splice(%d, %s%ld, %d, %s%ld, %zu)", a, xo ? "&" : "-", x, b,
		    yo ? "&" : "-", y, len);
		R(syscall(SYS_splice, a, xo ? &x : NULL, b, yo ? &y : NULL, len,
			  SPLICE_F_NONBLOCK));
		say(" %ld %ld", x, y);
		break;
	default:
		say("tee(%d, %d, %zu)", a, b, len);
		R(tee(a, b, len, SPLICE_F_NONBLOCK));
	}
}

static const char *attr_name(void)
{
	return (const char *[]){ "user.a", "user.b", "user.", "trusted.a", "security.x",
				 "system.x", "none", "", "user.a" }[rnd(9)];
}

static void c_xattr(void)
{
	const char *p = path(), *name = attr_name();
	int n = fd(), f = (int)PICK(0, 0, XATTR_CREATE, XATTR_REPLACE, 3, 4);
	size_t len = (size_t)PICK(0, 1, 10, 100, 70000);

	if (!harmless(p, AT_FDCWD, 0))
		return;
	switch (rnd(8)) {
	case 0:
		say("setxattr(%s, %s, %zu, %d)", quoted(p), name, len, f);
		R(setxattr(p, name, data, len, f));
		break;
	case 1:
		say("lsetxattr(%s, %s, %zu, %d)", quoted(p), name, len, f);
		R(lsetxattr(p, name, data, len, f));
		break;
	case 2:
		n = own_fd(n);
		say("fsetxattr(%d, %s, %zu, %d)", n, name, len, f);
		R(fsetxattr(n, name, data, len, f));
		break;
	case 3:
		say("getxattr(%s, %s, %zu)", quoted(p), name, len);
		R(getxattr(p, name, back, len));
		break;
	case 4:
		n = n < 0 ? -1 : n; /* of AT_FDCWD kernels differ */
		say("fgetxattr(%d, %s, %zu)", n, name, len);
		R(fgetxattr(n, name, back, len));
		break;
	case 5:
		say("removexattr(%s, %s)", quoted(p), name);
		R(removexattr(p, name));
		break;
	case 6:
		say("llistxattr(%s, %zu)", quoted(p), len);
		R(llistxattr(p, back, len));
		break;
	default:
		say("lgetxattr(%s, %s)", quoted(p), name);
		R(lgetxattr(p, name, back, 100));
	}
}

static void home(void)
{
	int saved = now_user;

	be(0);
	if (fchdir(base))
		must(chdir(base_path));
	be(saved);
}

static void c_chdir(void)
{
	const char *p = path();
	int n = fd();
	char cwd[PATH_MAX];
	long r;

	if (rnd(3)) {
		say("chdir(%s)", quoted(p));
		R(chdir(p));
	} else {
		n = n == AT_FDCWD ? -1 : n;
		say("fchdir(%d)", n);
		R(fchdir(n));
	}
	r = syscall(SYS_getcwd, cwd, sizeof(cwd));
	if (r < 0)
		say(" cwd %s", strerrorname_np(errno));
	else if (strncmp(cwd, base_path, strlen(base_path)) || rnd(4) == 0)
		home();
	else
		say(" cwd %s", cwd + strlen(base_path));
}

static void c_umask(void)
{
	int m = (int)PICK(022, 0, 077, 0777, 02, 0111, 07777);

	say("umask(%#o)", m);
	R(umask((mode_t)m));
}

static void c_statfs(void)
{
	const char *p = path();
	struct statfs st;
	int n = fd();

	if (rnd(2)) {
		say("statfs(%s)", quoted(p));
		R(syscall(SYS_statfs, p, rnd(20) ? &st : (void *)8));
	} else {
		say("fstatfs(%d)", n);
		R(syscall(SYS_fstatfs, n, &st));
	}
}

static void c_poll(void)
{
	struct pollfd p[2] = { { fd(), (short)PICK(POLLIN, POLLOUT, POLLIN | POLLOUT, 0, 0x7f), 0 },
			       { fd(), POLLIN | POLLOUT | POLLRDHUP, 0 } };
	fd_set set;
	struct timeval none = { 0, 0 };

	if (rnd(3)) {
		p[0].fd = p[0].fd < 4 ? -1 : p[0].fd;
		p[1].fd = p[1].fd < 4 ? -1 : p[1].fd;
		say("poll(%d %#x, %d)", p[0].fd, p[0].events, p[1].fd);
		R(poll(p, 2, 0));
		say(" %#x %#x", p[0].revents, p[1].revents);
	} else {
		FD_ZERO(&set);
		FD_SET(4 + rnd(FDS), &set);
		say("select");
		R(select(20, rnd(2) ? &set : NULL, rnd(2) ? &set : NULL, NULL, &none));
	}
}

static void c_mmap(void)
{
	int n = fd(), prot = (int)PICK(PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE, PROT_NONE);
	int f = (int)PICK(MAP_SHARED, MAP_PRIVATE, MAP_SHARED | MAP_PRIVATE, 0, MAP_SHARED);
	long off = PICK(0, 0, 0, 4096, 100, -4096);
	size_t len = (size_t)PICK(4096, 8192, 0, 100);
	struct stat st;
	char *p;
	int good;

	say("mmap(%zu, %d, %#x, %d, %ld)", len, prot, f, n, off);
	errno = 0;
	p = mmap(NULL, len, prot, f, n, off);
	good = p != MAP_FAILED;
	said(good ? 0 : -1, errno);
	if (!good)
		return;
	if (fstat(n, &st) == 0 && st.st_size > off + 50) {
		if (prot & PROT_WRITE)
			p[10] = 'm';
		if (prot & PROT_READ)
			say(" %d", p[20]);
	}
	say(" msync");
	R(msync(p, len, (int)PICK(MS_SYNC, MS_ASYNC, MS_INVALIDATE, 8, MS_SYNC | MS_ASYNC)));
	say(" munmap");
	R(munmap(p, len));
}

static void c_pipe(void)
{
	int p[2] = { -1, -1 }, f = O_NONBLOCK | (int)PICK(0, O_CLOEXEC, 1, 0);

	say("pipe2(%#x)", f);
	R(syscall(SYS_pipe2, rnd(30) ? p : (void *)8, f));
	say(" %d %d", p[0], p[1]);
}

static void c_socket(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *p = path();
	int n;

	if (!p || p == (char *)8 || strlen(p) >= sizeof(a.sun_path) || !*p || *p == '/')
		p = "s";
	strcpy(a.sun_path, p);
	n = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (n < 0)
		return;
	if (rnd(2)) {
		say("bind(%s)", quoted(p));
		R(bind(n, (void *)&a, sizeof(a)));
		if (rnd(2))
			listen(n, 1);
	} else {
		say("connect(%s)", quoted(p));
		R(connect(n, (void *)&a, sizeof(a)));
	}
	close(n);
}

static void c_misc(void)
{
	const char *p = path();
	int n = fd(), m = fd(), at = dirfd_();
	struct {
		struct file_handle h;
		char room[128];
	} h = { .h.handle_bytes = 128 };
	int mnt;

	switch (rnd(6)) {
	case 0:
		say("readahead(%d)", n);
		R(readahead(n, 0, 100));
		break;
	case 1:
		say("isatty(%d)", n);
		R(isatty(n));
		break;
	case 2:
		say("inotify_add_watch(%d, %s)", n, quoted(p));
		R(inotify_add_watch(n, p, IN_CREATE));
		break;
	case 3: {
		struct epoll_event e = { .events = EPOLLIN };

		m = epoll_create1(0);
		say("epoll_ctl(%d)", n);
		R(epoll_ctl(m, (int)PICK(EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, 9), n,
			    &e));
		close(m);
		break;
	}
	case 4:
		h.h.handle_bytes = (unsigned)PICK(0, 128, 1000);
		say("name_to_handle_at(%d, %s, %u)", at, quoted(p), h.h.handle_bytes);
		R(name_to_handle_at(at, p, &h.h, &mnt, (int)PICK(0, AT_EMPTY_PATH, 2)) == 0 ?
			  0 :
			  -1);
		break;
	default:
		say("futimesat(%d)", at);
		if (own_fd(at) > 3)
			R(syscall(SYS_futimesat, at, NULL, NULL));
	}
}

static void c_exec(void)
{
	const char *p = path();
	int at = dirfd_(), f = (int)PICK(0, 0, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, 2);
	pid_t pid;
	int status;

	say("execveat(%d, %s, %#x)", at, quoted(p), f);
	pid = fork();
	if (pid == 0) {
		syscall(SYS_execveat, at, p, (char *[]){ (char *)"x", NULL },
			(char *[]){ NULL }, f);
		_exit(errno);
	}
	while (waitpid(pid, &status, 0) != pid)
		;
	say(" = %#x", status);
}

static void c_user(void)
{
	be(S.user == 2 ? !now_user : S.user);
	say("user %d", now_user);
}

static const struct {
	void (*fn)(void);
	int weight, follows;
} calls[] = { { c_open, 16, 1 },	 { c_open_dir, 4, 1 }, { c_openat2, 4, 1 }, { c_close, 6 },
	      { c_dup, 3 },	 { c_read, 6 },	    { c_write, 8 },   { c_lseek, 5 },
	      { c_truncate, 4, 1 }, { c_fallocate, 3 }, { c_stat, 5 },   { c_access, 4, 1 },
	      { c_chmod, 6 },	 { c_chown, 4 },    { c_utimens, 4 }, { c_mkdir, 10 },
	      { c_rmdir, 4 },	 { c_unlink, 5 },   { c_rename, 12 }, { c_link, 7 },
	      { c_symlink, 5 },	 { c_readlink, 3 }, { c_mknod, 4 },   { c_getdents, 3 },
	      { c_fcntl, 6 },	 { c_flock, 2 },    { c_ioctl, 3 },   { c_sync, 2 },
	      { c_copy, 6 },	 { c_xattr, 5 },    { c_chdir, 4, 1 },   { c_umask, 1 },
	      { c_statfs, 1, 1 },	 { c_poll, 2 },	    { c_mmap, 3 },    { c_pipe, 2 },
	      { c_socket, 2 },	 { c_misc, 3 },	    { c_user, 3 },
	      { c_exec, 2, 1 } };

/* --- what the tree looks like ------------------------------------------------------------------- */

T_PRINTF(1, 2) static void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (nstate < sizeof(state) - 600)
		nstate += (size_t)vsnprintf(state + nstate, sizeof(state) - nstate, fmt, ap);
	va_end(ap);
}

static int moved(const struct timespec *a, struct timespec *b)
{
	int r = a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec;

	*b = *a;
	return r;
}

static void note_stat(const struct stat *st)
{
	struct known *k;
	int i = known(st->st_ino);

	note(" #%d %o %ld %d:%d", i, st->st_mode, (long)st->st_nlink, (int)st->st_uid,
	     (int)st->st_gid);
	if (S_ISREG(st->st_mode))
		note(" %ld/%ld", (long)st->st_size, (long)st->st_blocks);
	else if (!S_ISDIR(st->st_mode))
		note(" %ld %lx", (long)st->st_size, (long)st->st_rdev);
	if (!S.times || i < 0)
		return;
	k = &S.known[i];
	note(" %s", moved(&st->st_atim, &k->at) ? "a" : "");
	note("%s", moved(&st->st_mtim, &k->mt) ? "m" : "");
	note("%s", moved(&st->st_ctim, &k->ct) ? "c" : "");
}

static void note_content(int dir, const char *name)
{
	int n = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	unsigned long h = 0;
	long r, total = 0;

	while (n >= 0 && total < 65536 && (r = read(n, back, sizeof(back))) > 0) {
		h = h * 31 + hash(back, (size_t)r);
		total += r;
	}
	note(" %08lx", h & 0xffffffff);
	close(n);
}

static void look(int dir, const char *where, int depth)
{
	char text[4096], *names[100], p[600];
	int n = 0;

	if (S.times) { /* reading a directory would move its time */
		for (n = 0; n < 8; n++) {
			names[n] = text + n * 2;
			text[n * 2] = (char)('a' + n);
			text[n * 2 + 1] = 0;
		}
	} else {
		int d = openat(dir, ".", O_RDONLY | O_DIRECTORY);

		n = names_of(d, names, text, sizeof(text));
		close(d);
	}
	for (int i = 0; i < n; i++) {
		struct stat st;

		if (!strcmp(names[i], ".") || !strcmp(names[i], "..") ||
		    fstatat(dir, names[i], &st, AT_SYMLINK_NOFOLLOW))
			continue;
		snprintf(p, sizeof(p), "%s/%.20s", where, names[i]);
		note("\n#   %s", p);
		note_stat(&st);
		if (S_ISLNK(st.st_mode) && !S.times) {
			long r = readlinkat(dir, names[i], back, 60);

			back[r < 0 ? 0 : r] = 0;
			if (strncmp(back, base_path, 8))
				note(" -> %s", back);
		} else if (S_ISREG(st.st_mode) && !S.times) {
			note_content(dir, names[i]);
		} else if (S_ISDIR(st.st_mode) && depth < 12) {
			int d = openat(dir, names[i], O_RDONLY | O_DIRECTORY);

			if (d >= 0)
				look(d, p, depth + 1);
			close(d);
		}
	}
}

/* Descriptors: what they are open on, their flags and offsets. */
static void look_fds(void)
{
	for (int n = 4; n < 4 + FDS; n++) {
		struct stat st;

		if (n == base || fstat(n, &st))
			continue;
		note("\n#   fd %d %#x %d", n, fcntl(n, F_GETFL), fcntl(n, F_GETFD));
		if (S_ISREG(st.st_mode) && fcntl(n, F_GETFL) >= 0 && !(fcntl(n, F_GETFL) & O_PATH))
			note(" at %ld", (long)lseek(n, 0, SEEK_CUR));
		if (st.st_rdev != makedev(1, 3))
			note_stat(&st);
	}
}

static void summed(const char *s)
{
	S.sum = (S.sum ^ hash(s, strlen(s))) * 1099511628211ul;
}

static void step(void)
{
	unsigned total = 0, k, i;
	unsigned long h;
	int who = now_user;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		total += (unsigned)calls[i].weight;
	k = rnd(total);
	for (i = 0; k >= (unsigned)calls[i].weight; i++)
		k -= (unsigned)calls[i].weight;
	if (S.times)
		t_sleep_ms(12);
	line[0] = 0;
	follows = calls[i].follows;
	calls[i].fn();
	who = now_user;
	be(0);
	nstate = 0;
	state[0] = 0;
	if (fcntl(base, F_GETFD) >= 0)
		look(base, "", 0);
	look_fds();
	be(who);
	summed(line);
	summed(state);
	h = hash(state, nstate);
	if (trace) {
		t_diag("%ld: %s", S.step, line);
		if (h != S.shown)
			printf("%s\n", state), fflush(stdout);
	}
	S.shown = h;
}

/* --- seeds -------------------------------------------------------------------------------------- */

static void save(void)
{
	int n = open("../saved", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (write(n, &S, sizeof(S)) != sizeof(S))
		_exit(93);
	close(n);
}

/* "steps BASEFD CHUNK": goes on where the saved state says; does CHUNK steps, then executes
 * itself anew. The working directory is the base's but for one call to the next. */
static int s_steps(int argc, char **argv)
{
	int n, chunk = atoi(argv[1]), user;

	(void)argc;
	trace = getenv("T_TRACE");
	am_root = geteuid() == 0 || getuid() == 0;
	base = atoi(argv[0]);
	strcpy(base_path, argv[2]);
	now_user = 1;
	if (am_root)
		be(0);
	else
		now_user = 0;
	n = openat(base, "../saved", O_RDONLY);
	if (n < 0 || read(n, &S, sizeof(S)) != sizeof(S))
		return 92;
	close(n);
	user = atoi(argv[3]);
	be(user);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < chunk && S.step < STEPS; i++, S.step++)
		step();
	user = now_user;
	be(0);
	must(fchdir(base));
	save();
	if (S.step == STEPS)
		return 0;
	if (chunk == STEPS)
		return 91;
	execl(t_self, t_self, "--sub", "steps", argv[0], argv[1], argv[2], t_num(user), NULL);
	return 95;
}

/* A process of its own for each seed, since descriptors and the rest are left as they are. */
static int one(int seed, int how)
{
	struct rlimit_ {
		unsigned long cur, max;
	} rl = { 18, 18 };
	char dir[32];
	int status, n;
	pid_t pid;

	snprintf(dir, sizeof(dir), "s%d.%d", seed, how);
	must(mkdir(dir, 0777));
	must(chmod(dir, 0777));
	memset(&S, 0, sizeof(S));
	S.rnd = (unsigned long)seed * 104729 + 7;
	rnd(2);
	S.user = (int)rnd(3);
	S.times = how == 2;
	pid = must(fork());
	if (pid == 0) {
		char top[PATH_MAX];

		must(chdir(dir));
		must(mkdir("w", 0777));
		must(chmod("w", rnd(3) ? 0777 : 01777));
		must(chdir("w"));
		save();
		must((long)getcwd(top, sizeof(top)) - 1);
		n = must(open(".", O_RDONLY | O_DIRECTORY));
		must(dup2(n, 3));
		if (n != 3)
			close(n);
		syscall(SYS_close_range, 4, ~0U, 0);
		n = must(open("/dev/null", O_RDWR));
		dup2(n, 0);
		close(n);
		syscall(SYS_setrlimit, 7, &rl);
		execl(t_self, t_self, "--sub", "steps", "3", t_num(how == 1 ? CHUNK : STEPS), top,
		      S.user ? "1" : "0", NULL);
		_exit(95);
	}
	status = t_end(pid);
	snprintf(dir, sizeof(dir), "s%d.%d/saved", seed, how);
	n = open(dir, O_RDONLY);
	if (n < 0 || read(n, &S, sizeof(S)) != sizeof(S))
		status = 92;
	close(n);
	snprintf(dir, sizeof(dir), "s%d.%d", seed, how);
	return status;
}

static void seeds(const char *what, int from, int count, int how)
{
	const char *other = getenv("T_SEEDS");
	int status;

	if (geteuid()) { /* who could not look at the tree: root's seeds are an ordinary user's, too */
		t_skip("not root", "%s", what);
		return;
	}
	if (other && sscanf(other, "%d %d", &from, &count) != 2)
		return;
	for (int i = from; i < from + count; i++) {
		if (getenv("T_TRACE"))
			t_diag("seed %d", i);
		status = one(i, how);
		ok(status == 0, "%s, seed %d: %016lx", what, i, S.sum);
		if (status)
			t_diag("got status %d at step %ld", status, S.step);
	}
}

static void t_alone(void)
{
	seeds("one process", 1, 12, 0);
}

/* On to another core every 25 calls. */
static void t_moving(void)
{
	seeds("moving", 101, 8, 1);
}

/* Which times move: each call waits for the clock to go on. */
static void t_moved(void)
{
	seeds("times", 201, 1, 2);
}

T_SUBS = { { "steps", s_steps }, T_END };

T_SECTIONS = { { "alone", t_alone }, { "moving", t_moving }, { "moved", t_moved }, T_END };
