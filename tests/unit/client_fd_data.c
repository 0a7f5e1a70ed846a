/* SPDX-License-Identifier: MIT */
/*
 * File data through descriptors, against a plain array: processes on two cores and two on the
 * same core take turns with one file, by read, write, append, truncate, fallocate, mmap and
 * seeks, in every memory model and with techniques off. Whoever opens a file sees what was
 * written before the last close or fsync (thesis 3.3.1); on one core everybody sees all at once.
 * And its times and set-id bits, when a write is told later than what came after it.
 */
#include <linux/falloc.h>
#include <poll.h>

#include "unit/client.h"

#define SIZE_MAX_ (300 << 10)

static struct town g;
static const char *g_path; /* of the file that they work with */
static struct person *who[4]; /* 0 and 1 on core 0, 2 and 3 on the last one */
static u8 model[SIZE_MAX_ + 65536], buf[SIZE_MAX_ + 65536];
static u64 size;
static u32 bad;
static unsigned int seed;

static u32 rnd(u32 n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 8) % n;
}

static void fill(u8 *p, u32 n)
{
	u32 v = rnd(255) + 1;

	for (u32 i = 0; i < n; i++)
		p[i] = (u8)(v + i * 7);
}

static void expect(bool cond, const char *what, long got, long want)
{
	if (cond || bad++ > 5)
		return;
	diag("%s: %ld, want %ld (seed %u, size %lu)", what, got, want, seed,
	     (unsigned long)size);
}

static void model_write(u64 off, const u8 *p, u32 n)
{
	if (off > size)
		memset(model + size, 0, off - size);
	memcpy(model + off, p, n);
	size = MAX(size, off + n);
}

static void check_read(struct person *p, long fd, u64 off, u32 n)
{
	long want = off >= size ? 0 : (long)MIN((u64)n, size - off);
	long got = CALL(p, pread64, fd, buf, n, off), i;

	expect(got == want, "pread", got, want);
	for (i = 0; got == want && i < want && buf[i] == model[off + (u64)i]; i++)
		;
	expect(i >= want || got != want, "byte differs at", (long)off + i, (long)n);
}

static void check_mapping(struct person *p, long fd)
{
	u64 len = MAX(size, 1ULL);
	long at = CALL(p, mmap, 0, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), i;

	if (at < 0 && at > -4096) {
		expect(false, "mmap", at, 0);
		return;
	}
	for (i = 0; i < (long)size && ((u8 *)at)[i] == model[i]; i++)
		;
	expect(i == (long)size, "mapping differs at", i, (long)size);
	if (size) {
		u32 from = rnd((u32)size), n = rnd((u32)(size - from)) + 1;

		fill(model + from, n);
		memcpy((u8 *)at + from, model + from, n);
	}
	expect(CALL(p, munmap, at, len) == 0, "munmap", 0, 0);
}

/* One operation of an open descriptor. */
static void act(struct person *p, long fd)
{
	u32 n = rnd(4) ? rnd(5000) + 1 : rnd(60000) + 1, off = rnd(SIZE_MAX_), cut;
	struct stat st;
	long r;

	if (rnd(3) && size)
		off = rnd((u32)size);
	switch (rnd(12)) {
	case 0:
	case 1:
	case 2:
		n = MIN(n, SIZE_MAX_ - off);
		fill(buf, n);
		r = CALL(p, pwrite64, fd, buf, n, off);
		expect(r == (long)n, "pwrite", r, (long)n);
		if (r == (long)n)
			model_write(off, buf, n);
		break;
	case 3:
		r = CALL(p, lseek, fd, 0, SEEK_END);
		expect(r == (long)size, "lseek", r, (long)size);
		n = (u32)MIN((u64)n, SIZE_MAX_ - size);
		fill(buf, n);
		r = CALL(p, write, fd, buf, n);
		expect(r == (long)n, "write at the end", r, (long)n);
		model_write(size, buf, n);
		break;
	case 4:
		cut = rnd(9000);
		off = rnd(2) ? off : (u32)(size - MIN(size, (u64)cut));
		r = rnd(2) ? CALL(p, ftruncate, fd, off) : CALL(p, truncate, g_path, off);
		expect(r == 0, "truncate", r, 0);
		if (off > size)
			memset(model + size, 0, off - size);
		size = off;
		break;
	case 5:
		n = MIN(n, SIZE_MAX_ - off);
		r = CALL(p, fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, n);
		expect(r == 0, "fallocate", r, 0);
		if (off < size)
			memset(model + off, 0, MIN((u64)n, size - off));
		break;
	case 6:
		r = CALL(p, fstat, fd, &st);
		expect(!r && st.st_size == (long)size, "fstat", st.st_size, (long)size);
		break;
	case 7:
		if (rnd(4) == 0)
			check_mapping(p, fd);
		break;
	default:
		check_read(p, fd, off, n);
	}
}

/* One process after the other has the file open. */
static void turns(u32 rounds)
{
	const char *path = g_path = rnd(2) ? "/hare/near" : "/hare/e/far";

	size = 0;
	for (u32 i = 0; i < rounds; i++) {
		struct person *p = who[rnd(4)];
		u32 flags = O_RDWR | O_CREAT | (rnd(10) ? 0 : O_TRUNC);
		long fd = CALL(p, open, path, flags, 0644), copy = -1;

		expect(fd >= 0, "open", fd, 0);
		if (flags & O_TRUNC)
			size = 0;
		if (rnd(4) == 0)
			copy = CALL(p, dup, fd);
		for (u32 k = rnd(12); k && fd >= 0; k--)
			act(p, copy >= 0 && rnd(2) ? copy : fd);
		check_read(p, fd, 0, SIZE_MAX_);
		expect(CALL(p, close, fd) == 0, "close", 0, 0);
		if (copy >= 0)
			CALL(p, close, copy);
	}
	CALL(who[0], unlink, path);
}

/* Two processes of one core have it open at once; each sees what the other did. */
static void together(u32 rounds)
{
	const char *path = g_path = rnd(2) ? "/hare/near2" : "/hare/e/far2";
	long fd[2];

	size = 0;
	for (int i = 0; i < 2; i++)
		fd[i] = CALL(who[i], open, path, O_RDWR | O_CREAT, 0644);
	for (u32 i = 0; i < rounds; i++) {
		u32 k = rnd(2);

		act(who[k], fd[k]);
	}
	for (int i = 0; i < 2; i++) {
		check_read(who[i], fd[i], 0, SIZE_MAX_);
		CALL(who[i], close, fd[i]);
	}
	CALL(who[0], unlink, path);
}

/* Descriptions whose offset is at the server. */
static void shared(void)
{
	long fd = CALL(who[0], open, "/hare/e/s", O_RDWR | O_CREAT, 0644);
	bool host;
	struct ofd *o = fd_get(&who[0]->t, (int)fd, &host);

	g_path = "/hare/e/s";
	size = 0;
	fill(buf, 50000);
	expect(CALL(who[0], write, fd, buf, 50000) == 50000, "write", 0, 0);
	model_write(0, buf, 50000);
	expect(!ofd_share(&who[0]->t, o, 1, NULL), "ofd_share", 0, 0);
	ofd_put(&who[0]->t, o);
	expect(CALL(who[0], lseek, fd, 0, SEEK_CUR) == 50000, "the offset went along", 0, 0);
	for (int i = 0; i < 40; i++)
		act(who[0], fd);
	expect(CALL(who[0], fcntl, fd, F_GETFL) >= 0, "F_GETFL", 0, 0);
	/* In turn at the server and here. */
	for (int i = 0; i < 8; i++) {
		o = fd_get(&who[0]->t, (int)fd, &host);
		expect(!ofd_share(&who[0]->t, o, 0, NULL), "ofd_share", 0, 0);
		ofd_put(&who[0]->t, o);
		act(who[0], fd);
		act(who[0], fd);
		act(who[0], fd);
	}
	expect(CALL(who[0], lseek, fd, 100, SEEK_SET) == 100, "lseek", 0, 0);
	expect(CALL(who[0], close, fd) == 0, "close", 0, 0);
	CALL(who[0], unlink, "/hare/e/s");
}

/* A description as an exec from another core brings it, of one that is shared then. */
static long arrive(struct person *p, struct ofd *o)
{
	struct image_fd d = { 0 };
	struct ofd *n;

	need(!ofd_share(&p->t, o, 1, NULL), "ofd_share");
	ofd_image(o, &d);
	n = ofd_of_image(&p->t, &d, o->ino);
	need(n, "ofd_of_image");
	return fd_install(&p->t, n, false, 0);
}

/* On one core a description that was inherited, and local ones of the same file. */
static void shared_and_local(void)
{
	static const char path[] = "/hare/e/both";
	long fd[3];
	bool host;
	struct ofd *o;

	g_path = path;
	size = 0;
	CALL(who[2], close, CALL(who[2], open, path, O_WRONLY | O_CREAT, 0644));
	for (int i = 0; i < 2; i++)
		fd[i] = CALL(who[i], open, path, O_RDWR, 0);
	o = fd_get(&who[0]->t, (int)fd[0], &host);
	fd[2] = arrive(who[0], o);
	expect(fd[2] >= 0, "fd_install", fd[2], 0);
	ofd_put(&who[0]->t, o);
	for (int i = 0; i < 80; i++) {
		u32 k = rnd(3);

		act(who[k & 1], fd[k]);
	}
	for (int i = 0; i < 3; i++) {
		check_read(who[i & 1], fd[i], 0, SIZE_MAX_);
		expect(CALL(who[i & 1], close, fd[i]) == 0, "close", 0, 0);
	}
	fd[0] = CALL(who[2], open, path, O_RDONLY, 0);
	check_read(who[2], fd[0], 0, SIZE_MAX_);
	CALL(who[2], close, fd[0]);
	CALL(who[0], unlink, path);
}

/* What was written and not told yet is what a truncation keeps. */
static void cut_by_name(const char *what)
{
	static const char path[] = "/hare/e/cut";
	long fd;

	CALL(who[2], close, CALL(who[2], open, path, O_WRONLY | O_CREAT, 0644));
	fd = CALL(who[0], open, path, O_RDWR, 0);
	fill(model, 8192);
	expect(CALL(who[0], write, fd, model, 8192) == 8192, "write", 0, 0);
	CALL(who[0], fsync, fd);
	fill(model, 8192);
	expect(CALL(who[0], pwrite64, fd, model, 8192, 0) == 8192, "pwrite", 0, 0);
	is(CALL(who[0], truncate, path, 100), 0, "%s: truncate by name", what);
	is(CALL(who[0], truncate, path, 8192), 0, "%s: and back", what);
	memset(model + 100, 0, 8192 - 100);
	size = 8192;
	check_read(who[0], fd, 0, 8192);
	CALL(who[0], close, fd);
	fd = CALL(who[2], open, path, O_RDONLY, 0);
	check_read(who[2], fd, 0, 8192);
	CALL(who[2], close, fd);
	CALL(who[0], unlink, path);
}

/* Coarse clocks tick. */
static u64 later(void)
{
	struct timespec ts;

	usleep(12000);
	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

static u64 mtime(struct person *p, const char *path)
{
	struct stat st = { 0 };

	CALL(p, stat, path, &st);
	return (u64)st.st_mtim.tv_sec * 1000000000 + (u64)st.st_mtim.tv_nsec;
}

static void set_mtime(struct person *p, const char *path, u64 ns)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT },
				  { (time_t)(ns / 1000000000), (long)(ns % 1000000000) } };

	expect(!CALL(p, utimensat, AT_FDCWD, path, ts, 0), "utimensat", 0, 0);
}

/* Inside the file, by the far core: told when it closes. */
static long write_inside(struct person *p, const char *path)
{
	long fd = CALL(p, open, path, O_RDWR, 0);

	expect(CALL(p, pwrite64, fd, "inside", 6, 10) == 6, "pwrite", fd, 6);
	return fd;
}

/* A time that was set counts no more once a write, or touch(1), has come after it: what is told later of a
 * write after that has its time, also when the mode was changed in between. */
static void set_before(const char *what, const char *path, bool touch)
{
	struct person *near = who[0], *far = who[2];
	u64 t;
	long fd;

	set_mtime(near, path, 1000000000);
	if (touch) {
		expect(!CALL(near, utimensat, AT_FDCWD, path, NULL, 0), "utimensat", 0, 0);
	} else {
		fd = CALL(near, open, path, O_RDWR, 0);
		expect(CALL(near, pwrite64, fd, "later", 5, 100) == 5, "pwrite", 0, 0);
		CALL(near, close, fd);
	}
	t = later();
	fd = write_inside(far, path);
	later();
	expect(!CALL(near, chmod, path, 0640), "chmod", 0, 0);
	CALL(far, close, fd);
	ok(mtime(far, path) >= t, "%s: a time set before %s is gone", what, touch ? "now" : "a write");
}

static void times(const char *what)
{
	static const char path[] = "/hare/times";
	const u64 past = 1000000000, future = 5000000000ULL * 1000000000;
	struct person *near = who[0], *far = who[2];
	struct stat st;
	u64 t, t2;
	long fd;

	fill(buf, 5000);
	fd = CALL(near, open, path, O_CREAT | O_RDWR, 0644);
	expect(CALL(near, write, fd, buf, 5000) == 5000, "write", 0, 0);
	t = later();
	long fd2 = write_inside(far, path);
	t2 = later();
	expect(CALL(near, pwrite64, fd, "later", 5, 100) == 5, "pwrite", 0, 0);
	CALL(near, fsync, fd);
	CALL(far, close, fd2);
	ok(mtime(far, path) >= t2, "%s: of two writes the later one's time stays", what);

	fd2 = write_inside(far, path);
	later();
	set_mtime(near, path, past);
	CALL(far, close, fd2);
	is(mtime(far, path), past, "%s: a time set after the write stays", what);

	set_mtime(near, path, future);
	t = later();
	fd2 = write_inside(far, path);
	t2 = later();
	CALL(far, close, fd2);
	ok(mtime(far, path) >= t && mtime(far, path) <= t2,
	   "%s: a time in the future goes with a later write", what);

	set_before(what, path, false);
	set_before(what, path, true);

	fd2 = write_inside(far, path);
	CALL(far, fsync, fd2);
	t = later();
	expect(CALL(far, pwrite64, fd2, "longer", 6, 5000) == 6, "pwrite", 0, 0);
	t2 = later();
	CALL(far, close, fd2);
	ok(mtime(far, path) >= t, "%s: the close does not bring an earlier time back", what);

	CALL(near, close, fd);
	/* The first that the far core writes of a file, and its close, wait in its home's ring. */
	fd = CALL(near, open, "/hare/times2", O_CREAT | O_RDWR, 0644);
	fd2 = CALL(far, open, "/hare/times2", O_RDWR, 0);
	expect(CALL(far, write, fd2, buf, 100) == 100, "write", 0, 0);
	town_pause(&g, 0);
	CALL(far, close, fd2);
	t = later();
	town_resume(&g, 0);
	ok(mtime(far, "/hare/times2") < t, "%s: nor a later one", what);
	CALL(near, close, fd);
	expect(!CALL(near, unlink, "/hare/times2"), "unlink", 0, 0);
	expect(!CALL(near, chown, path, 7, 7), "chown", 0, 0);
	far->p->cred.uid = far->p->cred.gid = 7;
	fd2 = write_inside(far, path);
	expect(!CALL(far, fchmod, fd2, 04755), "fchmod", 0, 0);
	CALL(far, close, fd2);
	is(CALL(far, stat, path, &st), 0, "stat");
	is(st.st_mode & 07777, 04755, "%s: set-id bits set after the write stay", what);
	fd2 = write_inside(far, path);
	CALL(far, fstat, fd2, &st);
	is(st.st_mode & 07777, 0755, "%s: and go with the next one", what);
	CALL(far, close, fd2);
	CALL(near, stat, path, &st);
	is(st.st_mode & 07777, 0755, "%s: as others see then", what);
	far->p->cred.uid = far->p->cred.gid = 0;
	expect(!CALL(near, unlink, path), "unlink", 0, 0);
}

static void run(const char *what, struct world_cfg wc, u32 rounds)
{
	bad = 0;
	wc.cores = 2;
	town_new(&g, &wc);
	for (u32 i = 0; i < 4; i++) {
		who[i] = town_person(&g, i / 2, 0);
		for (int n = 0; n < 3; n++)
			fd_enter_host(&who[i]->t, n);
	}
	need(!CALL(who[2], mkdir, "/hare/e", 0755), "mkdir");
	for (u32 i = 0; i < rounds; i++) {
		turns(30);
		together(60);
		shared();
		shared_and_local();
	}
	cut_by_name(what);
	times(what);
	is(bad, 0, "%s: data is as it was written", what);
	for (u32 i = 0; i < 4; i++)
		fdtable_put(&who[i]->t, &who[i]->p->fds);
	is(town_check(&g, NULL), 0, "%s: no invariant is violated", what);
	town_end(&g);
}

int main(int argc, char **argv)
{
	u32 rounds = argc > 1 ? (u32)atoi(argv[1]) : 3;

	seed = argc > 2 ? (u32)atoi(argv[2]) : 1;
	run("coherent", (struct world_cfg){ .model = MEM_COHERENT }, rounds);
	run("one island", (struct world_cfg){ .islands = 1 }, rounds);
	run("flush", (struct world_cfg){ .model = MEM_FLUSH }, rounds);
	run("emulated", (struct world_cfg){ .model = MEM_EMULATED }, rounds);
	run("chaos", (struct world_cfg){ .model = MEM_EMULATED, .chaos = 7 }, rounds);
	run("without direct access",
	    (struct world_cfg){ .model = MEM_EMULATED, .without = WITHOUT_DIRECT_ACCESS }, rounds);
	run("without local calls", (struct world_cfg){ .without = WITHOUT_LOCAL_CALLS }, rounds);
	return done_testing();
}
