/* SPDX-License-Identifier: MIT */
/*
 * Odds and ends that test suites of system calls look at: which of several errors is told,
 * file handles, device nodes, ioctls of file systems, owners of descriptors, statx's mask.
 */
#include "t.h"

#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static char buf[8192];

/* A path, or a descriptor, and something else are wrong. */
static void t_first_error(void)
{
	struct timespec bad[2] = { { 0, -1 }, { 0, 0 } };
	char name[300];
	int p[2], fd, none = 77;

	memset(name, 'n', 256);
	name[256] = 0;
	must(t_put("f", "text"));
	must(mkdir("d", 0755));
	must(pipe(p));
	fd = (int)must(open("f", O_RDWR));
	is_errno(utimensat(AT_FDCWD, "none", bad, 0), ENOENT, "utimensat: path, then times");
	is_errno(utimensat(AT_FDCWD, "f", bad, 0), EINVAL, "utimensat: times");
	is_errno(mknod("none/x", 0170000, 0), EINVAL, "mknod: type, then path");
	is_errno(mknod("none/x", S_IFDIR, 0), EPERM, "mknod: a directory, then path");
	is_errno(setxattr("none", "user.a", "", 0, 4), EINVAL, "setxattr: flags, then path");
	is_errno(setxattr("none", "", "", 0, 0), ERANGE, "setxattr: name, then path");
	is_errno(setxattr("none", "user.a", "", 70000, 0), E2BIG, "setxattr: size, then path");
	is_errno(getxattr("none", "", buf, 1), ERANGE, "getxattr: name, then path");
	is_errno(fremovexattr(none, ""), ERANGE, "fremovexattr: name, then descriptor");
	is_errno(renameat(none, "f", AT_FDCWD, "none/x"), EBADF, "rename: descriptors in order");
	is_errno(renameat(AT_FDCWD, "none/f", none, "x"), ENOENT, "rename: paths in order");
	is_errno(rename(name, "."), EBUSY, "rename: last names, then what they are");
	is_errno(rename("none", name), ENOENT, "rename: the old name is looked up first");
	is_errno(linkat(none, "f", AT_FDCWD, "none/x", 0), EBADF, "link: descriptors in order");
	is_errno(flock(none, 32 | LOCK_NB) ? -1 : (errno = EBADF, -1), EBADF,
		 "flock: LOCK_MAND does nothing");
	is_errno(flock(none, LOCK_NB), EINVAL, "flock: operation, then descriptor");
	is_errno(ftruncate(none, -1), EINVAL, "ftruncate: size, then descriptor");
	is_errno(pwrite(none, "", 1, -1), EINVAL, "pwrite: offset, then descriptor");
	is_errno(fallocate(p[1], 0x20, 0, 1), ESPIPE, "fallocate: a pipe, then the mode");
	is_errno(fallocate(p[0], 0x20, 0, 1), EBADF, "fallocate: writing, then the pipe");
	is_errno(fallocate(fd, 0x20, 0, 1), EOPNOTSUPP, "fallocate: INSERT_RANGE");
	is_errno(syscall(SYS_sendfile, none, p[0], (off_t[]){ 0 }, 1L), ESPIPE,
		 "sendfile: the source, then the target");
	is_errno(syscall(SYS_write, p[0], NULL, 1L), EBADF, "write: the end, then the buffer");
	is_errno(syscall(SYS_openat, none, "x", O_PATH | O_TMPFILE | O_DIRECTORY, 0), EBADF,
		 "openat: O_PATH makes other flags vanish");
	is_errno(openat(AT_FDCWD, "d", O_RDONLY | O_CREAT | O_DIRECTORY, 0), EINVAL,
		 "openat: O_CREAT of a directory");
	must(close(p[0]));
	signal(SIGPIPE, SIG_IGN);
	is_errno(syscall(SYS_write, p[1], NULL, 1L), EPIPE, "write: readers, then the buffer");
	is_errno(lseek(fd, LONG_MAX, SEEK_SET) == LONG_MAX ? read(fd, buf, 1) : 0, EINVAL,
		 "read: its end is no offset");
	is_errno(pread(fd, buf, 2, LONG_MAX), EINVAL, "pread: the same");
}

static void t_vectors(void)
{
	struct iovec v[3] = { { (void *)"0123456789", 10 }, { NULL, 10 }, { (void *)"x", 1 } };
	int fd = (int)must(open("f", O_RDWR | O_CREAT, 0644));

	is_long(writev(fd, v, 3), 10, "what comes before a bad buffer is written");
	is_long(lseek(fd, 0, SEEK_CUR), 10, "and the offset is behind it");
	is_long(pwritev(fd, v, 3, 5), 10, "at an offset");
	is_long(t_size("f"), 15, "the size");
	is_errno(writev(fd, v + 1, 2), EFAULT, "a bad one first");
	is_long(preadv2(fd, v, 0, 0, 0x1000), 0, "flags do not matter when there is nothing to do");
	is_errno(preadv2(fd, v, 1, 0, 0x1000), EOPNOTSUPP, "flags");
}

static void t_handles(void)
{
	struct {
		struct file_handle h;
		char room[128];
	} a = { .h.handle_bytes = 128 }, b = { .h.handle_bytes = 128 };
	int mount, mount2, dir = (int)must(open(".", O_RDONLY)), fd;

	must(t_put("f", "text"));
	must(symlink("f", "ln"));
	is_long(name_to_handle_at(AT_FDCWD, "f", &a.h, &mount, 0), 0, "a handle");
	is_long(name_to_handle_at(AT_FDCWD, "ln", &b.h, &mount2, AT_SYMLINK_FOLLOW), 0,
		"by a link");
	ok(a.h.handle_bytes == b.h.handle_bytes &&
		   !memcmp(a.h.f_handle, b.h.f_handle, a.h.handle_bytes) && mount == mount2,
	   "is the same");
	must(link("f", "g"));
	must(rename("f", "moved"));
	fd = open_by_handle_at(dir, &a.h, O_RDONLY);
	if (geteuid()) {
		ok(fd == -1 && errno == EPERM, "opened by root alone");
	} else {
		ok(fd >= 0 && read(fd, buf, 10) == 4, "opens the file");
		close(fd);
		is_errno(open_by_handle_at(77, &a.h, O_RDONLY), EBADF, "a bad descriptor");
		must(unlink("moved"));
		must(unlink("g"));
		is_errno(open_by_handle_at(dir, &a.h, O_RDONLY), ESTALE, "the file is gone");
		a.h.handle_bytes = 0;
		is_errno(open_by_handle_at(dir, &a.h, O_RDONLY), EINVAL, "no handle");
	}
	a.h.handle_bytes = 0;
	is_errno(name_to_handle_at(AT_FDCWD, ".", &a.h, &mount, 0), EOVERFLOW, "too short");
	ok(a.h.handle_bytes > 0, "how long it must be");
	a.h.handle_bytes = 1000;
	is_errno(name_to_handle_at(AT_FDCWD, ".", &a.h, &mount, 0), EINVAL, "too long");
	is_errno(name_to_handle_at(AT_FDCWD, "none", &b.h, &mount, 0), ENOENT, "not there");
	is_errno(name_to_handle_at(AT_FDCWD, ".", &b.h, &mount, 0x80), EINVAL, "flags");
}

static void t_devices(void)
{
	char c = 1;
	int fd;

	if (geteuid()) {
		is_errno(mknod("n", S_IFCHR | 0666, makedev(1, 3)), EPERM, "not root");
		is_long(mknod("w", S_IFCHR | 0666, 0), 0, "a whiteout");
		return;
	}
	is_long(mknod("zero", S_IFCHR | 0644, makedev(1, 5)), 0, "a device");
	is_long(mknod("other", S_IFCHR | 0644, makedev(1, 255)), 0, "one that is not there");
	is_long(mknod("disk", S_IFBLK | 0644, makedev(1, 255)), 0, "a disk");
	fd = open("zero", O_RDONLY);
	/* a file system mounted nodev refuses */
	ok(fd >= 0 ? read(fd, &c, 1) == 1 && c == 0 : errno == EACCES, "is read");
	close(fd);
	fd = open("other", O_RDONLY);
	ok(fd == -1 && (errno == ENXIO || errno == EACCES), "nothing there");
	fd = open("disk", O_RDONLY);
	ok(fd == -1 && (errno == ENXIO || errno == EACCES), "no disk");
	is_long(close((int)must(open("zero", O_PATH))), 0, "O_PATH");
	must(chmod("zero", 0600));
	fd = (int)must(t_fork_nobody());
	if (fd == 0)
		_exit(open("zero", O_RDONLY) < 0 ? errno : 0);
	is_long(t_end(fd), EACCES, "rights are the node's");
}

static void t_ioctls(void)
{
	long long size = -1;
	int fd, p[2], n = 0, dir, none = -1;

	must(t_put("f", "0123456789"));
	fd = (int)must(open("f", O_RDWR));
	dir = (int)must(open(".", O_RDONLY));
	must(pipe(p));
	is_long(ioctl(fd, FIGETBSZ, &n), 0, "FIGETBSZ");
	is_long(n, 4096, "a page");
	is_long(ioctl(fd, FIOQSIZE, &size), 0, "FIOQSIZE");
	is_long(size, 4096, "bytes of blocks");
	is_errno(ioctl(p[0], FIOQSIZE, &size), ENOTTY, "of a pipe");
	is_long(ioctl(fd, FIONREAD, &n), 0, "FIONREAD");
	is_long(n, 10, "what is left");
	is_errno(ioctl(dir, FIONREAD, &n), ENOTTY, "of a directory");
	is_errno(ioctl(fd, FICLONE, none), EBADF, "FICLONE of nothing");
	is_errno(ioctl(fd, FICLONE, dir), EISDIR, "of a directory");
	is_errno(ioctl(fd, FICLONE, fd), EOPNOTSUPP, "of a file");
	is_errno(ioctl(fd, FICLONE, 0), EXDEV, "of another file system's");
	n = 1;
	is_errno(ioctl(fd, FIOASYNC, &n), ENOTTY, "FIOASYNC of a file");
	is_long(ioctl(p[0], FIOASYNC, &n), 0, "of a pipe");
	ok((fcntl(p[0], F_GETFL) & O_ASYNC) != 0, "is seen");
	is_long(fcntl(fd, F_SETFL, O_ASYNC), 0, "F_SETFL of a file");
	is_long(fcntl(fd, F_GETFL) & O_ASYNC, 0, "is not");
	is_errno(ioctl(fd, FIFREEZE, 0), geteuid() ? EPERM : EOPNOTSUPP, "FIFREEZE");
	is_errno(ioctl(fd, FITHAW, 0), geteuid() ? EPERM : EINVAL, "FITHAW");
	is_errno(ioctl(fd, 0x5401, buf), ENOTTY, "TCGETS");
	is_long(ioctl(fd, FIOCLEX), 0, "FIOCLEX");
	is_long(fcntl(fd, F_GETFD), FD_CLOEXEC, "is seen");
	n = (int)must(open("f", O_PATH));
	is_errno(ioctl(n, FIONCLEX), EBADF, "of O_PATH");
}

static void t_owners(void)
{
	struct f_owner_ex x = { F_OWNER_PID, 0 };
	int fd = (int)must(open("f", O_RDWR | O_CREAT, 0644)), other;

	is_long(fcntl(fd, F_GETOWN), 0, "nobody");
	is_long(fcntl(fd, F_SETOWN, getpid()), 0, "this process");
	is_long(fcntl(fd, F_GETOWN) == getpid(), 1, "is told");
	is_long(fcntl(fd, F_SETOWN, -getpgrp()), 0, "its group");
	is_long(fcntl(fd, F_GETOWN_EX, &x), 0, "F_GETOWN_EX");
	ok(x.type == F_OWNER_PGRP && x.pid == getpgrp(), "is told");
	is_errno(fcntl(fd, F_SETOWN, 4000000), ESRCH, "who is not there");
	x.type = 77;
	is_errno(fcntl(fd, F_SETOWN_EX, &x), EINVAL, "a bad kind");
	is_errno(fcntl(fd, F_SETSIG, 100), EINVAL, "a bad signal");
	/* Linux 6.10 */
	other = fcntl(fd, 1027, dup(fd));
	ok(other == 1 || (other == -1 && errno == EINVAL), "F_DUPFD_QUERY of a duplicate");
	other = fcntl(fd, 1027, (int)must(open("f", O_RDONLY)));
	ok(other == 0 || (other == -1 && errno == EINVAL), "of another description");
	is_long(fcntl(fd, F_GET_SEALS) & ~1, 0, "seals");
	is_errno(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM, "none can be added");
}

struct pages {
	unsigned long long cache, dirty, writeback, evicted, recently_evicted;
};

static long cachestat_of(int fd, unsigned long long off, unsigned long long len,
			 struct pages *p)
{
	unsigned long long range[2] = { off, len };

	memset(p, 0x55, sizeof(*p));
	return syscall(451, fd, range, p, 0);
}

static long pages_of(int fd, unsigned long long off, unsigned long long len)
{
	struct pages p;

	if (cachestat_of(fd, off, len, &p))
		return -errno;
	return p.dirty || p.writeback || p.evicted || p.recently_evicted ? -1
									 : (long)p.cache;
}

/* Linux 6.5; who may not write it is told nothing since 6.14. */
static void t_cachestat(void)
{
	unsigned long long range[2] = { 0, 0 };
	struct pages out;
	int fd = (int)must(open("f", O_RDWR | O_CREAT, 0644)), p[2], status;
	pid_t pid;

	if (pages_of(fd, 0, 0) == -ENOSYS) {
		ok(1, "this kernel has no cachestat");
		return;
	}
	is_long(pages_of(fd, 0, 0), 0, "an empty file");
	must(pwrite(fd, buf, 8202, 0));
	is_long(pages_of(fd, 0, 0), 3, "three pages");
	must(ftruncate(fd, 20 * 4096));
	must(pwrite(fd, buf, 10, 10 * 4096));
	is_long(pages_of(fd, 0, 0), 4, "one behind a hole");
	is_long(pages_of(fd, 3 * 4096, 7 * 4096), 0, "the hole");
	is_long(pages_of(fd, 3 * 4096, 7 * 4096 + 1), 1, "and a byte");
	is_long(pages_of(fd, 4095, 2), 2, "a byte of each of two");
	is_long(pages_of(fd, 4096, 1), 1, "of one");
	is_long(pages_of(fd, 100 << 20, 0), 0, "behind the end");
	is_long(pages_of(fd, -5, 0), 0, "far behind it");
	is_long(pages_of(fd, 4096, -4097), 3, "all but the first");
	is_long(pages_of(fd, 4096, -1), 0, "up to before it");
	is_long(pages_of((int)must(open("f", O_WRONLY)), 0, 0), 4,
		"not open for reading");
	must(fallocate(fd, 0, 12 * 4096, 8192));
	is_long(pages_of(fd, 0, 0), 6, "two that are made");
	must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192));
	is_long(pages_of(fd, 0, 0), 4, "two that are taken away");
	must(ftruncate(fd, 4096));
	must(ftruncate(fd, 20 * 4096));
	is_long(pages_of(fd, 0, 0), 0, "all of them");
	must(fallocate(fd, 0, 0, 9000 * 4096L));
	is_long(pages_of(fd, 0, 0), 9000, "many");
	is_long(pages_of(fd, 4096, 8998 * 4096L), 8998, "but the first and last");

	is_errno(syscall(451, fd, range, &out, 1), EINVAL, "flags");
	is_errno(syscall(451, fd, NULL, &out, 1), EFAULT, "the range, then flags");
	is_errno(syscall(451, fd, range, NULL, 0), EFAULT, "no place for it");
	is_errno(syscall(451, -1, NULL, &out, 1), EBADF, "no descriptor");
	is_errno(syscall(451, open("f", O_PATH), range, &out, 0), EBADF, "O_PATH");
	must(pipe(p));
	is_long(pages_of(p[0], 0, 0), 0, "a pipe");
	is_long(pages_of((int)must(open(".", O_RDONLY)), 0, 0), 0, "a directory");
	if (geteuid())
		return;
	p[0] = (int)must(open("f", O_RDONLY));
	pid = must(fork());
	if (!pid) {
		must(setresuid(1000, 1000, 1000));
		status = pages_of(fd, 0, 0) == 9000;
		_exit(status && cachestat_of(p[0], 0, 0, &out) ? errno : 0);
	}
	must(waitpid(pid, &status, 0));
	ok(status == EPERM << 8 || !status, "whose file it is not, nor may be written");
}

static unsigned mask_of(unsigned wanted)
{
	struct statx x;

	must(statx(AT_FDCWD, "f", 0, wanted, &x));
	return x.stx_mask;
}

static void t_statx(void)
{
	must(t_put("f", "x"));
	is_long(mask_of(STATX_SIZE) & 0x73f, 0x73f, "what is always there");
	is_long(mask_of(STATX_MTIME) & 0xc0, 0xc0, "times that were asked for");
	is_long(mask_of(STATX_BTIME) & 0x800, 0x800, "birth");
	is_long(mask_of(STATX_SIZE) & 0x800, 0, "not asked for");
	is_long(syscall(SYS_newfstatat, AT_FDCWD, "", buf, AT_EMPTY_PATH), 0, "of nothing: here");
}

static void t_select(void)
{
	int fd = (int)must(open(".", O_PATH));
	struct timeval none = { 0, 0 };
	fd_set in, out, ex;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	out = ex = in;
	is_long(select(fd + 1, &in, &out, &ex, &none), 3, "O_PATH is always ready");
	must(close(fd));
	is_errno(select(fd + 1, &in, NULL, NULL, &none), EBADF, "closed");
}

static void t_pipefs(void)
{
	struct statfs a, b;
	int p[2];

	must(pipe(p));
	must(mkfifo("fifo", 0600));
	is_long(fstatfs(p[0], &a), 0, "of a pipe");
	is_long(fstatfs((int)must(open("fifo", O_RDWR)), &b), 0, "of a FIFO");
	ok(a.f_type != b.f_type, "a pipe is of another file system");
	is_errno(fsetxattr(p[0], "trusted.a", "", 0, 0), geteuid() ? EPERM : EOPNOTSUPP,
		 "which has no attributes");
	is_errno(fsetxattr(p[0], "user.a", "", 0, 0), EPERM, "least of all user's");
	is_long(fcntl(p[0], F_SETPIPE_SZ, 0), 4096, "the smallest pipe");
	is_errno(open("fifo", 3), EINVAL, "a FIFO for nothing");
}

/* F_OFD_GETLK of F_UNLCK (Linux 6.6): the description's own. */
static void t_own_locks(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5 };
	int fd = (int)must(open("f", O_RDWR | O_CREAT, 0644));

	is_long(fcntl(fd, F_OFD_SETLK, &l), 0, "a lock");
	l = (struct flock){ .l_type = F_UNLCK, .l_whence = SEEK_SET };
	is_errno(fcntl(fd, F_GETLK, &l), EINVAL, "not of a process");
	is_long(fcntl(fd, F_OFD_GETLK, &l), 0, "asked for");
	ok(l.l_type == F_WRLCK && l.l_start == 10 && l.l_len == 5, "and told");
	l = (struct flock){ .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_len = 10 };
	is_long(fcntl(fd, F_OFD_GETLK, &l), 0, "elsewhere");
	is_long(l.l_type, F_UNLCK, "nothing");
	fd = (int)must(open("f", 3));
	is_errno(flock(fd, LOCK_SH), EBADF, "flock of what is open for nothing");
}

static int moves(const char *what)
{
	struct stat a, b;
	int fd;

	must(lstat(what, &a));
	t_sleep_ms(15);
	if (S_ISLNK(a.st_mode)) {
		must(stat(what, &b));
	} else {
		fd = (int)must(open(what, O_RDONLY));
		must(munmap(mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0), 1));
	}
	must(lstat(what, &b));
	return a.st_atim.tv_sec != b.st_atim.tv_sec || a.st_atim.tv_nsec != b.st_atim.tv_nsec;
}

/* relatime, where times are before 1970; what counts as reading. */
static void t_atimes(void)
{
	struct timespec old[2] = { { -5, 0 }, { -5, 0 } }, mixed[2] = { { -5, 0 }, { -9, 0 } };

	must(t_put("f", "x"));
	must(symlink("f", "ln"));
	t_sleep_ms(15);
	must(utimensat(AT_FDCWD, "ln", old, AT_SYMLINK_NOFOLLOW));
	is_long(moves("ln"), 1, "a link that is followed");
	must(utimensat(AT_FDCWD, "f", mixed, 0));
	is_long(moves("f"), 1, "a file that is mapped");
	is_long(moves("f"), 0, "once more, it was not changed");
}

/* What chattr asks for: nothing, of others' files, what no file system of memory has. */
static void t_attributes(void)
{
	int fd = (int)must(open("f", O_RDWR | O_CREAT, 0644)), p[2], flags = 0;
	struct fsxattr x = { 0 };

	must(pipe(p));
	is_long(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0, "no flags");
	flags = FS_COMPR_FL;
	is_errno(ioctl(fd, FS_IOC_SETFLAGS, &flags), EOPNOTSUPP, "compression");
	is_errno(ioctl(fd, FS_IOC_SETFLAGS, NULL), EFAULT, "a bad place");
	is_errno(ioctl(p[0], FS_IOC_SETFLAGS, &flags), ENOTTY, "of a pipe");
	is_long(ioctl(fd, FS_IOC_FSSETXATTR, &x), 0, "FSSETXATTR of nothing");
	x.fsx_xflags = FS_XFLAG_COWEXTSIZE | FS_XFLAG_EXTSIZE;
	is_long(ioctl(fd, FS_IOC_FSSETXATTR, &x), 0, "of sizes that are 0");
	x.fsx_xflags = FS_XFLAG_REALTIME;
	is_errno(ioctl(fd, FS_IOC_FSSETXATTR, &x), EOPNOTSUPP, "of a real-time file");
	x.fsx_xflags = 0;
	x.fsx_projid = 5;
	is_errno(ioctl(fd, FS_IOC_FSSETXATTR, &x), EOPNOTSUPP, "of a project");
	is_errno(ioctl(fd, FS_IOC_FSSETXATTR, NULL), EFAULT, "of a bad place");
	is_errno(ioctl(p[0], FS_IOC_FSSETXATTR, &x), ENOTTY, "of a pipe");
	is_long(ioctl(fd, FS_IOC_FSGETXATTR, &x), 0, "FSGETXATTR");
	is_long(x.fsx_xflags | x.fsx_projid, 0, "nothing is set");
}

#ifndef F_GET_RW_HINT
#define F_GET_RW_HINT (1024 + 11)
#define F_SET_RW_HINT (1024 + 12)
#endif
#define F_GET_FILE_HINT (1024 + 13)
#define F_SET_FILE_HINT (1024 + 14)

static long hint_of(int fd)
{
	uint64_t hint = 77;

	return fcntl(fd, F_GET_RW_HINT, &hint) ? -errno : (long)hint;
}

static long set_hint(int fd, uint64_t hint)
{
	return fcntl(fd, F_SET_RW_HINT, &hint);
}

static void t_hints(void)
{
	int fd = (int)must(open("f", O_RDWR | O_CREAT, 0644)), other, p[2];
	pid_t pid;

	is_long(hint_of(fd), 0, "none is set");
	is_long(set_hint(fd, 3), 0, "F_SET_RW_HINT");
	is_long(hint_of(fd), 3, "F_GET_RW_HINT");
	other = (int)must(open("f", O_RDONLY));
	is_long(hint_of(other), 3, "another open has it, too");
	is_long(set_hint(other, 5), 0, "and sets it, only for reading");
	is_long(hint_of(fd), 5, "for all");
	is_errno(set_hint(fd, 6), EINVAL, "no such hint");
	is_errno(set_hint(fd, 1ULL << 32), EINVAL, "nor this one");
	is_errno(fcntl(fd, F_GET_RW_HINT, NULL), EFAULT, "a bad place");
	is_errno(fcntl(fd, F_SET_RW_HINT, NULL), EFAULT, "to set it, too");
	is_errno(fcntl(fd, F_GET_FILE_HINT, &p), EINVAL, "those of descriptors are gone");
	is_errno(fcntl(fd, F_SET_FILE_HINT, &p), EINVAL, "for setting, too");
	must(close(fd));
	must(close(other));
	other = (int)must(open("f", O_RDONLY));
	is_long(hint_of(other), 5, "it is the inode's");
	must(pipe(p));
	is_long(set_hint(p[0], 2), 0, "a pipe");
	is_long(hint_of(p[1]), 2, "both ends of it");
	fd = (int)must(open(".", O_RDONLY));
	is_long(set_hint(fd, 1), 0, "a directory");
	is_long(hint_of(fd), 1, "has one");
	is_errno(set_hint((int)must(open("f", O_PATH)), 1), EBADF, "O_PATH");
	if (geteuid()) {
		t_skip("needs root", "another user");
		return;
	}
	pid = (pid_t)must(t_fork_nobody());
	if (!pid) {
		is_errno(set_hint(other, 1), EPERM, "another user");
		is_errno(fcntl(other, F_SET_RW_HINT, NULL), EPERM, "with a bad place");
		_exit(hint_of(other) != 5);
	}
	is_long(t_end(pid), 0, "who may ask");
}

T_SECTIONS = { { "first_error", t_first_error },
	       { "vectors", t_vectors },
	       { "handles", t_handles },
	       { "devices", t_devices },
	       { "ioctls", t_ioctls },
	       { "owners", t_owners },
	       { "cachestat", t_cachestat },
	       { "statx", t_statx },
	       { "select", t_select },
	       { "pipefs", t_pipefs },
	       { "own_locks", t_own_locks },
	       { "atimes", t_atimes },
	       { "attributes", t_attributes },
	       { "hints", t_hints },
	       T_END };
