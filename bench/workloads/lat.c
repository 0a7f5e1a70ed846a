/* SPDX-License-Identifier: MIT */
/*
 * hb lat: the latency of single calls; hb loop: one such call N times and nothing else.
 *
 * One sample is the mean of a batch of 8 equal calls, timed together, less what reading the
 * clock costs; p50 is the median of the samples. A tenth as many samples are run first and
 * thrown away.
 *
 * Every file operation has two rows: NAME works in a directory that this process made,
 * remote_NAME in one that another program made, which this one started by fork + exec first
 * (hb prep). Where exec places programs on other cores, the second is the cost when the
 * server is another core; where it does not, the two rows are equal.
 */
#define _GNU_SOURCE
#include "hb.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH 8u
#define PROC_SAMPLES_PER 10u /* rows with processes take a tenth of the samples */
#define LIST_FILES 64u
#define LONG_LIST_FILES 1000u
#define LARGE_IO 65536u
#define FILE_SIZE (HB_BLOCK * HB_FILE_BLOCKS)

/* What the operations work on; the cwd is a directory that prep made. */
static int g_fd = -1;
static int g_pipe[2] = { -1, -1 };
static char g_buf[LARGE_IO];

/* --- the directory ------------------------------------------------------------------------------- */

/* The content of block `blk` of the file f: every block differs. */
static void fill_block(char *buf, unsigned int blk)
{
	memset(buf, (int)('A' + blk % 26), HB_BLOCK);
	memcpy(buf, &blk, sizeof(blk));
}

static int make_file(const char *name, unsigned int blocks)
{
	static char block[HB_BLOCK];
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644), err = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	for (unsigned int i = 0; i < blocks && !err; i++) {
		fill_block(block, i);
		n = write(fd, block, sizeof(block));
		if (n != (ssize_t)sizeof(block))
			err = n < 0 ? -errno : -ENOSPC;
	}
	if (close(fd) && !err)
		err = -errno;
	return err;
}

static int make_dir(const char *path)
{
	return mkdir(path, 0755) ? -errno : 0;
}

static int make_list(const char *path, unsigned int files)
{
	char name[64];
	int err = make_dir(path);

	for (unsigned int i = 0; i < files && !err; i++) {
		snprintf(name, sizeof(name), "%s/file.%u", path, i);
		err = make_file(name, 0);
	}
	return err;
}

static void remove_list(const char *path, unsigned int files)
{
	char name[64];

	for (unsigned int i = 0; i < files; i++) {
		snprintf(name, sizeof(name), "%s/file.%u", path, i);
		unlink(name);
	}
	rmdir(path);
}

/* Makes `dir` with f (1 MiB), d1/d2/d3/f, the symlink l and list/ with 64 files. */
static int prep_make(const char *dir)
{
	int err = make_dir(dir);

	if (!err && chdir(dir))
		err = -errno;
	if (!err)
		err = make_file("f", HB_FILE_BLOCKS);
	if (!err)
		err = make_dir("d1");
	if (!err)
		err = make_dir("d1/d2");
	if (!err)
		err = make_dir("d1/d2/d3");
	if (!err)
		err = make_file("d1/d2/d3/f", 1);
	if (!err && symlink("f", "l"))
		err = -errno;
	if (!err)
		err = make_list("list", LIST_FILES);
	return err;
}

/* Takes it away again; the cwd is `dir`. What an operation that failed left goes too. */
static void prep_remove(const char *dir)
{
	static const char *const files[] = { "f",  "l",	 "d1/d2/d3/f", "n", "r1",
					     "r2", "w", "ln",	      "sl" };
	static const char *const dirs[] = { "d1/d2/d3", "d1/d2", "d1", "nd" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(files[i]);
	remove_list("list", LIST_FILES);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		rmdir(dirs[i]);
	if (!chdir("/"))
		rmdir(dir);
}

int hb_prep(int argc, char **argv)
{
	int err = argc == 2 ? prep_make(argv[1]) : -EINVAL;

	if (err)
		fprintf(stderr, "hb: prep: %s\n", strerror(-err));
	return err ? 1 : 0;
}

/* --- the operations -------------------------------------------------------------------------- */

static int open_f_setup(void)
{
	g_fd = open("f", O_RDWR);
	return g_fd < 0 ? -errno : 0;
}

static void close_fd(void)
{
	if (g_fd >= 0)
		close(g_fd);
	g_fd = -1;
}

/* A benchmark of wrong answers is worthless: the content is looked at once, before. */
static int read_setup(void)
{
	char expect[HB_BLOCK];
	int err = open_f_setup();

	for (unsigned int blk = 0; blk < HB_FILE_BLOCKS && !err; blk += 37) {
		fill_block(expect, blk);
		if (pread(g_fd, g_buf, HB_BLOCK, (off_t)blk * HB_BLOCK) != HB_BLOCK)
			err = errno ? -errno : -EIO;
		else if (memcmp(expect, g_buf, HB_BLOCK) != 0)
			err = -EBADMSG;
	}
	return err;
}

static int write_setup(void)
{
	int err = make_file("w", HB_FILE_BLOCKS);

	if (err)
		return err;
	g_fd = open("w", O_RDWR);
	return g_fd < 0 ? -errno : 0;
}

static void write_done(void)
{
	close_fd();
	unlink("w");
}

static int stat_run(unsigned int i)
{
	struct stat st;

	(void)i;
	return stat("f", &st) ? -errno : 0;
}

static int stat_deep_run(unsigned int i)
{
	struct stat st;

	(void)i;
	return stat("d1/d2/d3/f", &st) ? -errno : 0;
}

static int stat_enoent_run(unsigned int i)
{
	struct stat st;

	(void)i;
	if (!stat("none", &st))
		return -EEXIST;
	return errno == ENOENT ? 0 : -errno;
}

static int open_close_run(unsigned int i)
{
	int fd = open("f", O_RDONLY);

	(void)i;
	if (fd < 0)
		return -errno;
	return close(fd) ? -errno : 0;
}

static int create_close_unlink_run(unsigned int i)
{
	int fd = open("n", O_CREAT | O_EXCL | O_WRONLY, 0644);

	(void)i;
	if (fd < 0)
		return -errno;
	if (close(fd))
		return -errno;
	return unlink("n") ? -errno : 0;
}

/* There and back: even calls rename r1 to r2, odd ones r2 to r1. */
static int rename_setup(void)
{
	return make_file("r1", 0);
}

static int rename_run(unsigned int i)
{
	return (i % 2 ? rename("r2", "r1") : rename("r1", "r2")) ? -errno : 0;
}

static void rename_done(void)
{
	unlink("r1");
	unlink("r2");
}

static int mkdir_rmdir_run(unsigned int i)
{
	(void)i;
	if (mkdir("nd", 0755))
		return -errno;
	return rmdir("nd") ? -errno : 0;
}

static int read_list(const char *path, unsigned int files)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned int n = 0;

	if (!d)
		return -errno;
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	return n == files ? 0 : -EBADMSG;
}

static int readdir_run(unsigned int i)
{
	(void)i;
	return read_list("list", LIST_FILES);
}

static int long_list_setup(void)
{
	return make_list("long", LONG_LIST_FILES);
}

static int long_list_run(unsigned int i)
{
	(void)i;
	return read_list("long", LONG_LIST_FILES);
}

static void long_list_done(void)
{
	remove_list("long", LONG_LIST_FILES);
}

static int access_run(unsigned int i)
{
	(void)i;
	return access("f", R_OK) ? -errno : 0;
}

static int readlink_run(unsigned int i)
{
	(void)i;
	return readlink("l", g_buf, sizeof(g_buf)) == 1 ? 0 : -EBADMSG;
}

static int symlink_unlink_run(unsigned int i)
{
	(void)i;
	if (symlink("f", "sl"))
		return -errno;
	return unlink("sl") ? -errno : 0;
}

static int link_unlink_run(unsigned int i)
{
	(void)i;
	if (link("f", "ln"))
		return -errno;
	return unlink("ln") ? -errno : 0;
}

static off_t scattered(unsigned int i)
{
	return (off_t)(i * 37u % HB_FILE_BLOCKS) * HB_BLOCK;
}

static int io_result(ssize_t n)
{
	if (n == HB_BLOCK)
		return 0;
	return n < 0 ? -errno : -EIO;
}

static int pread_run(unsigned int i)
{
	return io_result(pread(g_fd, g_buf, HB_BLOCK, scattered(i)));
}

static int pwrite_run(unsigned int i)
{
	return io_result(pwrite(g_fd, g_buf, HB_BLOCK, scattered(i)));
}

/* Sequential, `size` bytes a call: back to the start at the end of the file. */
static int rewind_at_end(unsigned int i, unsigned int size)
{
	if (i % (FILE_SIZE / size))
		return 0;
	return lseek(g_fd, 0, SEEK_SET) ? -errno : 0;
}

static int read_next(unsigned int i, unsigned int size)
{
	int err = rewind_at_end(i, size);
	ssize_t n = err ? 0 : read(g_fd, g_buf, size);

	return n == (ssize_t)size ? 0 : n < 0 ? -errno : err ? err : -EIO;
}

static int write_next(unsigned int i, unsigned int size)
{
	int err = rewind_at_end(i, size);
	ssize_t n = err ? 0 : write(g_fd, g_buf, size);

	return n == (ssize_t)size ? 0 : n < 0 ? -errno : err ? err : -EIO;
}

static int read_run(unsigned int i)
{
	return read_next(i, HB_BLOCK);
}

static int write_run(unsigned int i)
{
	return write_next(i, HB_BLOCK);
}

static int read_1_run(unsigned int i)
{
	return read_next(i, 1);
}

static int write_1_run(unsigned int i)
{
	return write_next(i, 1);
}

static int read_64k_run(unsigned int i)
{
	return read_next(i, LARGE_IO);
}

static int write_64k_run(unsigned int i)
{
	return write_next(i, LARGE_IO);
}

static int append_setup(void)
{
	g_fd = open("w", O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0644);
	return g_fd < 0 ? -errno : 0;
}

/* Emptied once in 256 calls, which is part of it. */
static int append_run(unsigned int i)
{
	if (i % HB_FILE_BLOCKS == 0 && ftruncate(g_fd, 0))
		return -errno;
	return io_result(write(g_fd, g_buf, HB_BLOCK));
}

/* The size alone changes: to and fro within the last block. */
static int ftruncate_run(unsigned int i)
{
	return ftruncate(g_fd, (off_t)FILE_SIZE - (i % 2 ? 1 : 0)) ? -errno : 0;
}

static int pipe_setup(void)
{
	return pipe(g_pipe) ? -errno : 0;
}

static void pipe_done(void)
{
	close(g_pipe[0]);
	close(g_pipe[1]);
}

/* Written and read by the same process. */
static int pipe_pass(size_t size)
{
	if (write(g_pipe[1], g_buf, size) != (ssize_t)size)
		return errno ? -errno : -EIO;
	return read(g_pipe[0], g_buf, size) == (ssize_t)size ? 0 : -EIO;
}

static int pipe_1_run(unsigned int i)
{
	(void)i;
	return pipe_pass(1);
}

static int pipe_4k_run(unsigned int i)
{
	(void)i;
	return pipe_pass(HB_BLOCK);
}

static int lseek_run(unsigned int i)
{
	return lseek(g_fd, scattered(i), SEEK_SET) < 0 ? -errno : 0;
}

static int fstat_run(unsigned int i)
{
	struct stat st;

	(void)i;
	return fstat(g_fd, &st) ? -errno : 0;
}

static int dup_close_run(unsigned int i)
{
	int fd = dup(g_fd);

	(void)i;
	if (fd < 0)
		return -errno;
	return close(fd) ? -errno : 0;
}

static int getpid_run(unsigned int i)
{
	(void)i;
	return syscall(SYS_getpid) > 0 ? 0 : -EINVAL;
}

struct file_op {
	const char *name;
	int (*setup)(void); /* NULL: nothing to do */
	int (*run)(unsigned int i);
	void (*done)(void);
	bool remote; /* has a remote_ row */
};

static const struct file_op file_ops[] = {
	{ "stat", NULL, stat_run, NULL, true },
	{ "stat_deep", NULL, stat_deep_run, NULL, true },
	{ "stat_enoent", NULL, stat_enoent_run, NULL, true },
	{ "open_close", NULL, open_close_run, NULL, true },
	{ "create_close_unlink", NULL, create_close_unlink_run, NULL, true },
	{ "rename", rename_setup, rename_run, rename_done, true },
	{ "mkdir_rmdir", NULL, mkdir_rmdir_run, NULL, true },
	{ "readdir_64", NULL, readdir_run, NULL, true },
	{ "readdir_1000", long_list_setup, long_list_run, long_list_done, false },
	{ "access", NULL, access_run, NULL, false },
	{ "readlink", NULL, readlink_run, NULL, false },
	{ "symlink_unlink", NULL, symlink_unlink_run, NULL, false },
	{ "link_unlink", NULL, link_unlink_run, NULL, false },
	{ "pread_4k", read_setup, pread_run, close_fd, true },
	{ "pwrite_4k", write_setup, pwrite_run, write_done, true },
	{ "read_4k", read_setup, read_run, close_fd, true },
	{ "write_4k", write_setup, write_run, write_done, true },
	{ "read_1", read_setup, read_1_run, close_fd, false },
	{ "write_1", write_setup, write_1_run, write_done, false },
	{ "read_64k", read_setup, read_64k_run, close_fd, false },
	{ "write_64k", write_setup, write_64k_run, write_done, false },
	{ "append_4k", append_setup, append_run, write_done, false },
	{ "ftruncate", write_setup, ftruncate_run, write_done, false },
	{ "pipe_1", pipe_setup, pipe_1_run, pipe_done, false },
	{ "pipe_4k", pipe_setup, pipe_4k_run, pipe_done, false },
	{ "lseek", open_f_setup, lseek_run, close_fd, false },
	{ "fstat", open_f_setup, fstat_run, close_fd, true },
	{ "dup_close", open_f_setup, dup_close_run, close_fd, false },
	{ "getpid", NULL, getpid_run, NULL, false },
	{ NULL, NULL, NULL, NULL, false },
};

/* --- measuring ---------------------------------------------------------------------------------- */

static uint64_t clock_cost(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t t = hb_ticks(), d = hb_ticks() - t;

		if (d < best)
			best = d;
	}
	return best;
}

static int op_measure(const struct file_op *op, struct hb_samples *s)
{
	size_t warm = s->cap / 10 + 1;
	uint64_t cost = clock_cost(), t;
	unsigned int i = 0;
	int err = 0;

	for (size_t k = 0; k < warm + s->cap && !err; k++) {
		t = hb_ticks();
		for (unsigned int b = 0; b < BATCH && !err; b++)
			err = op->run(i++);
		t = hb_ticks() - t;
		if (k >= warm)
			hb_samples_add(s, hb_ticks_ns(t > cost ? t - cost : 0) / BATCH);
	}
	return err;
}

static void op_row(const struct file_op *op, const char *row, unsigned int samples)
{
	struct hb_samples s;
	int err = op->setup ? op->setup() : 0;

	if (err) {
		hb_report_error(row, err, "setup");
	} else {
		hb_samples_init(&s, samples);
		err = op_measure(op, &s);
		if (err)
			hb_report_error(row, err, op->name);
		else
			hb_report(row, &s, BATCH);
		hb_samples_release(&s);
	}
	if (op->done)
		op->done();
}

struct lat {
	unsigned int samples;
	const char *ops; /* comma-separated; NULL: all */
	struct hb_place place;
	char dir[2048]; /* absolute */
};

static bool wanted(const struct lat *l, const char *row)
{
	size_t len = strlen(row);

	if (!l->ops)
		return true;
	for (const char *p = l->ops; (p = strstr(p, row)) != NULL; p += len) {
		if ((p == l->ops || p[-1] == ',') && (!p[len] || p[len] == ','))
			return true;
	}
	return false;
}

static const char *row_name(const struct file_op *op, bool remote)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s%s", remote ? "remote_" : "", op->name);
	return name;
}

static bool group_wanted(const struct lat *l, bool remote)
{
	for (const struct file_op *op = file_ops; op->name; op++) {
		if ((!remote || op->remote) && wanted(l, row_name(op, remote)))
			return true;
	}
	return false;
}

/* Has the directory made, here or by another program, and enters it. */
static int group_enter(const struct lat *l, bool remote, char *dir, size_t size)
{
	char *argv[] = { (char *)hb_self(), "prep", dir, NULL };
	pid_t pid;

	if (snprintf(dir, size, "%s/lat%c.%ld", l->dir, remote ? 'r' : 'l', (long)getpid()) >=
	    (int)size)
		return -ENAMETOOLONG;
	if (!remote)
		return prep_make(dir);
	pid = hb_spawn(l->place.other_cpu, argv);
	if (pid < 0)
		return (int)pid;
	if (hb_wait(pid))
		return -EIO;
	return chdir(dir) ? -errno : 0;
}

static void run_group(const struct lat *l, bool remote)
{
	char dir[2112];
	int err;

	if (!group_wanted(l, remote))
		return;
	err = group_enter(l, remote, dir, sizeof(dir));
	for (const struct file_op *op = file_ops; op->name; op++) {
		const char *row = row_name(op, remote);

		if ((remote && !op->remote) || !wanted(l, row))
			continue;
		if (err)
			hb_report_error(row, err, "making the directory");
		else
			op_row(op, row, l->samples);
	}
	prep_remove(dir);
	if (chdir(l->dir))
		fprintf(stderr, "hb: chdir '%s': %s\n", l->dir, strerror(errno));
}

static void run_procs(const struct lat *l)
{
	unsigned int samples = l->samples / PROC_SAMPLES_PER;
	int err;

	for (const struct hb_proc_op *op = hb_proc_ops; op->name; op++) {
		if (!wanted(l, op->name))
			continue;
		err = op->run(&l->place, samples < 10 ? 10 : samples);
		if (err)
			hb_report_error(op->name, err, op->name);
	}
}

static int lat_dir(struct lat *l, const char *dir)
{
	if (!chdir(dir) && getcwd(l->dir, sizeof(l->dir)))
		return 0;
	fprintf(stderr, "hb: '%s': %s\n", dir, strerror(errno));
	return -errno;
}

static int lat_parse(struct lat *l, int argc, char **argv)
{
	struct hb_cpus cpus = { .count = 0 };
	const char *dir = ".";

	*l = (struct lat){ .samples = 1000, .place = { -1, -1 } };
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--samples")) {
			if (!hb_parse_uint(argv[i + 1], &l->samples) || !l->samples)
				return -EINVAL;
		} else if (!strcmp(argv[i], "--ops")) {
			l->ops = argv[i + 1];
		} else if (!strcmp(argv[i], "--dir")) {
			dir = argv[i + 1];
		} else if (strcmp(argv[i], "--pin") || hb_cpus_parse(&cpus, argv[i + 1])) {
			return -EINVAL;
		}
	}
	if (argc % 2 == 0)
		return -EINVAL;
	if (cpus.count) {
		l->place.own_cpu = cpus.cpu[0];
		l->place.other_cpu = cpus.cpu[cpus.count - 1];
	}
	return lat_dir(l, dir);
}

int hb_lat(int argc, char **argv)
{
	struct lat l;
	int err = lat_parse(&l, argc, argv);

	if (err) {
		fprintf(stderr, "hb: lat: bad arguments, see 'hb'\n");
		return 2;
	}
	err = hb_pin(l.place.own_cpu);
	if (err) {
		fprintf(stderr, "hb: pinning to CPU %d: %s\n", l.place.own_cpu, strerror(-err));
		return 1;
	}
	run_group(&l, false);
	run_group(&l, true);
	run_procs(&l);
	return 0;
}

/* --- loop ----------------------------------------------------------------------------------------- */

static const struct file_op *op_find(const char *name)
{
	for (const struct file_op *op = file_ops; op->name; op++) {
		if (!strcmp(op->name, name))
			return op;
	}
	return NULL;
}

static int loop_run(const struct file_op *op, unsigned int count)
{
	int err = op->setup ? op->setup() : 0;

	for (unsigned int i = 0; i < count && !err; i++)
		err = op->run(i);
	if (op->done)
		op->done();
	if (err)
		fprintf(stderr, "hb: %s: %s\n", op->name, strerror(-err));
	return err ? 1 : 0;
}

/* hb loop [remote_]OP N [--dir D] */
int hb_loop(int argc, char **argv)
{
	bool remote = argc > 1 && !strncmp(argv[1], "remote_", 7);
	const struct file_op *op = argc > 1 ? op_find(argv[1] + (remote ? 7 : 0)) : NULL;
	struct lat l = { .place = { -1, -1 } };
	unsigned int count;
	char dir[2112];
	int err, rc;

	if (!op || (argc != 3 && argc != 5) || !hb_parse_uint(argv[2], &count) ||
	    (argc == 5 && strcmp(argv[3], "--dir"))) {
		fprintf(stderr, "hb: loop: bad arguments, see 'hb'\n");
		return 2;
	}
	if (lat_dir(&l, argc == 5 ? argv[4] : "."))
		return 1;
	err = group_enter(&l, remote, dir, sizeof(dir));
	if (err)
		fprintf(stderr, "hb: '%s': %s\n", dir, strerror(-err));
	rc = err ? 1 : loop_run(op, count);
	prep_remove(dir);
	return rc;
}
