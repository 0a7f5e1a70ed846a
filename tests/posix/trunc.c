/* SPDX-License-Identifier: MIT */
/* truncate, ftruncate, fallocate, O_TRUNC with others at work on the file. */
#include <signal.h>
#include <sys/resource.h>

#include "t.h"

static void t_truncate(void)
{
	must(t_put("f", "0123456789"));
	is_long(truncate("f", 4), 0, "shorter");
	is_str(t_get("f"), "0123", "the text");
	is_long(truncate("f", 8), 0, "longer");
	is_long(t_size("f"), 8, "the size");
	is_long(memcmp(t_get("f"), "0123\0\0\0\0", 8), 0, "zeroes were added");
	is_long(truncate("f", 8), 0, "the same size");
	is_long(truncate("f", 0), 0, "to nothing");
	is_long(t_size("f"), 0, "the size is 0");
	is_errno(truncate("f", -1), EINVAL, "a negative size");
	is_errno(truncate("none", 1), ENOENT, "a name that does not exist");
	is_errno(truncate("f/x", 1), ENOTDIR, "below a file");
	is_errno(truncate("f/", 1), ENOTDIR, "a file with a slash");
	is_errno(truncate("", 1), ENOENT, "the empty name");
	is_errno(truncate(".", 1), EISDIR, "a directory");
	must(symlink("f", "l"));
	is_long(truncate("l", 3), 0, "by a symlink");
	is_long(t_size("f"), 3, "its target is changed");
	is_long(truncate("f", 1L << 40), 0, "to 1 TiB");
	is_long(t_size("f"), 1L << 40, "the size");
	is_long(truncate("f", 1), 0, "and back");
	must(symlink("l2", "l2"));
	is_errno(truncate("l2", 1), ELOOP, "a ring");
}

static void t_ftruncate(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	int p[2], ro, dir;
	char c;

	must(write(fd, "0123456789", 10));
	is_long(ftruncate(fd, 5), 0, "shorter");
	is_long(lseek(fd, 0, SEEK_CUR), 10, "the offset stays");
	is_long(read(fd, &c, 1), 0, "beyond the end");
	is_long(write(fd, "x", 1), 1, "write there");
	is_long(t_size("f"), 11, "grows the file");
	is_errno(ftruncate(fd, -1), EINVAL, "a negative size");
	is_errno(ftruncate(99, 0), EBADF, "a bad descriptor");
	ro = must(open("f", O_RDONLY));
	is_errno(ftruncate(ro, 0), EINVAL, "a read-only descriptor");
	dir = must(open(".", O_RDONLY));
	is_errno(ftruncate(dir, 0), EINVAL, "a directory's");
	must(pipe(p));
	is_errno(ftruncate(p[1], 0), EINVAL, "a pipe's");
	must(unlink("f"));
	is_long(ftruncate(fd, 100), 0, "an unlinked file");
	is_long(lseek(fd, 0, SEEK_END), 100, "has the size");
}

static void t_perm(void)
{
	pid_t pid;

	must(t_put("ro", "text"));
	must(chmod("ro", 0444));
	pid = t_fork_nobody();
	if (pid == 0) {
		is_errno(truncate("ro", 0), EACCES, "a file that one may not write");
		is_long(t_size("ro"), 4, "keeps its size");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the unprivileged child ends");
}

static void t_fallocate(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	struct stat st;
	char buf[10];

	is_long(fallocate(fd, 0, 0, 10000), 0, "fallocate");
	is_long(t_size("f"), 10000, "grows the file");
	fstat(fd, &st);
	ok(st.st_blocks * 512 >= 10000, "and takes blocks");
	is_long(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000), 0, "KEEP_SIZE");
	is_long(t_size("f"), 10000, "keeps the size");
	must(pwrite(fd, "0123456789", 10, 4091));
	is_long(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0,
		"PUNCH_HOLE");
	is_long(pread(fd, buf, 10, 4091), 10, "read around the hole");
	is_long(memcmp(buf, "01234\0\0\0\0\0", 10), 0,
		"zero in the hole, text before it");
	is_errno(fallocate(fd, 0, -1, 10), EINVAL, "a negative offset");
	is_errno(fallocate(fd, 0, 0, 0), EINVAL, "no length");
	is_errno(fallocate(99, 0, 0, 1), EBADF, "a bad descriptor");
	is_long(posix_fallocate(fd, 0, 30000), 0, "posix_fallocate");
	is_long(t_size("f"), 30000, "grows the file");
	is_errno(fallocate(must(open("f", O_RDONLY)), 0, 0, 10), EBADF, "read-only");
}

static int s_cut(int argc, char **argv)
{
	int fd = open(argv[0], O_WRONLY | O_TRUNC);

	return fd < 0 || write(fd, "new", 3) != 3 || argc != 1;
}

static void t_other(void)
{
	char buf[20] = "";
	int fd;

	for (int how = T_FORK; how <= T_EXEC; how++) {
		must(t_put("f", "0123456789"));
		fd = must(open("f", O_RDONLY));
		must(read(fd, buf, 5));
		is_long(t_end(t_start(how, "cut", "f", NULL)), 0, "other %d cuts it",
			how);
		is_long(t_size("f"), 3, "the size, other %d", how);
		is_long(lseek(fd, 0, SEEK_END), 3, "SEEK_END knows, other %d", how);
		close(fd);
		is_str(t_get("f"), "new", "opened again, other %d", how);
	}
}

static int g_xfsz;
static void on_xfsz(int sig)
{
	(void)sig;
	g_xfsz++;
}

static void t_limit(void)
{
	struct rlimit was, now;
	int fd, end;
	long r[7];

	must(t_put("f", "0123456789"));
	fd = must(open("f", O_RDWR));
	end = must(open("f", O_WRONLY | O_APPEND));
	signal(SIGXFSZ, on_xfsz);
	must(getrlimit(RLIMIT_FSIZE, &was));
	now = was;
	now.rlim_cur = 8;
	must(setrlimit(RLIMIT_FSIZE, &now)); /* also of what points are printed to */
	r[0] = ftruncate(fd, 9);
	r[1] = ftruncate(fd, 10) < 0 ? errno : 0;
	r[2] = truncate("f", 10) < 0 ? errno : 0;
	r[3] = fallocate(fd, 0, 0, 10) < 0 ? errno : 0;
	r[4] = write(end, "x", 1) < 0 ? errno : 0;
	r[5] = ftruncate(fd, 6);
	r[6] = write(end, "xyz", 3);
	must(setrlimit(RLIMIT_FSIZE, &was));
	is_long(r[0], 0, "shrinking above the limit");
	is_long(r[1], EFBIG, "ftruncate");
	is_long(r[2], EFBIG, "truncate");
	is_long(r[3], EFBIG, "fallocate");
	is_long(r[4], EFBIG, "an appending write");
	is_long(g_xfsz, 4, "a SIGXFSZ each");
	is_long(r[5], 0, "shrinking below it");
	is_long(r[6], 2, "what fits is appended");
	is_long(t_size("f"), 8, "and no more");
}

T_SUBS = { { "cut", s_cut }, T_END };

T_SECTIONS = {
	{ "truncate", t_truncate },   { "ftruncate", t_ftruncate }, { "perm", t_perm },
	{ "fallocate", t_fallocate }, { "other", t_other },
	{ "limit", t_limit },	      T_END,
};
