/* SPDX-License-Identifier: MIT */
/*
 * Random operations on one file, checked against a copy in memory after each: by one
 * process, and by several in turns, which find out at once when one sees old data of
 * another. Step i of a seed is the same operation wherever it runs, so all have the
 * same copy.
 */
#include "t.h"

enum { LIMIT = 200000, WRITE, APPEND, CUT, PUNCH, ALLOC, MAP, READ, OPS };

static char model[LIMIT], got[LIMIT], data[LIMIT];
static long size;

struct step {
	int op;
	long off, len;
	char fill;
};

static unsigned long mix(unsigned long x)
{
	x += 0x9e3779b97f4a7c15ul;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ul;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebul;
	return x ^ (x >> 31);
}

static struct step step_of(unsigned seed, long i)
{
	unsigned long r = mix(seed * 1000003ul + (unsigned long)i);
	struct step s = { .op = (int)(WRITE + r % (OPS - WRITE)),
			  .fill = (char)(1 + i % 120) };

	s.len = 1 + (long)(mix(r) % (r % 3 ? 3000 : 30000));
	s.off = (long)(mix(r + 1) % (LIMIT - 40000));
	if (mix(r + 2) % 4 == 0)
		s.off &= ~4095l;
	return s;
}

static void model_write(long off, const struct step *s)
{
	if (off > size)
		memset(model + size, 0, (size_t)(off - size));
	for (long i = 0; i < s->len; i++)
		model[off + i] = (char)(s->fill + i % 7);
	if (off + s->len > size)
		size = off + s->len;
}

static void model_grow(long to)
{
	if (to > size) {
		memset(model + size, 0, (size_t)(to - size));
		size = to;
	}
}

/* The step's effect on the copy; where an append lands depends on what was before. */
static void apply(const struct step *s)
{
	long end = s->off + s->len;

	switch (s->op) {
	case WRITE:
		model_write(s->off, s);
		break;
	case APPEND:
		if (size + s->len <= LIMIT)
			model_write(size, s);
		break;
	case CUT:
		model_grow(s->off);
		size = s->off;
		break;
	case PUNCH:
		for (long i = s->off; i < end && i < size; i++)
			model[i] = 0;
		break;
	case ALLOC:
		model_grow(end);
		break;
	case MAP:
		for (long i = s->off; i < end && i < size; i++)
			model[i] = s->fill;
		break;
	default:
		break;
	}
}

static int do_map(int fd, const struct step *s)
{
	long from = s->off & ~4095l,
	     end = s->off + s->len < size ? s->off + s->len : size;
	char *p;

	if (end <= s->off)
		return 0;
	p = mmap(NULL, (size_t)(end - from), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 from);
	if (p == MAP_FAILED)
		return -1;
	memset(p + (s->off - from), s->fill, (size_t)(end - s->off));
	return msync(p, (size_t)(end - from), MS_SYNC) | munmap(p, (size_t)(end - from));
}

/* Does the step to the file; 0, or -1 with errno. The copy is as before the step. */
static int perform(int fd, const struct step *s)
{
	long off = s->op == APPEND ? size : s->off;

	for (long i = 0; i < s->len; i++)
		data[i] = (char)(s->fill + i % 7);
	switch (s->op) {
	case APPEND:
		if (size + s->len > LIMIT)
			return 0;
		if (lseek(fd, 0, SEEK_END) != size)
			return -1;
		return write(fd, data, (size_t)s->len) == s->len ? 0 : -1;
	case WRITE:
		return pwrite(fd, data, (size_t)s->len, off) == s->len ? 0 : -1;
	case CUT:
		return ftruncate(fd, s->off);
	case PUNCH:
		return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, s->off,
				 s->len);
	case ALLOC:
		return fallocate(fd, 0, s->off, s->len);
	case MAP:
		return do_map(fd, s);
	default:
		return pread(fd, got, (size_t)s->len, s->off) < 0 ? -1 : 0;
	}
}

/* Compares the whole file with the copy; the step that broke it is named. */
static int check(int fd, long i)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) || st.st_size != size) {
		t_diag("before step %ld: size %ld, want %ld", i, (long)st.st_size, size);
		return -1;
	}
	n = pread(fd, got, LIMIT, 0);
	if (n != size) {
		t_diag("before step %ld: read %ld of %ld", i, (long)n, size);
		return -1;
	}
	for (long j = 0; j < size; j++) {
		if (got[j] != model[j]) {
			t_diag("before step %ld: byte %ld is %d, want %d", i, j, got[j],
			       model[j]);
			return -1;
		}
	}
	return 0;
}

static int one_step(int fd, unsigned seed, long i)
{
	struct step s = step_of(seed, i);

	if (perform(fd, &s)) {
		t_diag("step %ld: operation %d at %ld+%ld: %s", i, s.op, s.off, s.len,
		       strerror(errno));
		return -1;
	}
	apply(&s);
	return 0;
}

static void alone(unsigned seed, long count)
{
	int fd = must(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644)), bad = 0;

	size = 0;
	for (long i = 0; i < count && !bad; i++) {
		if (i % 5 == 4) {
			must(close(fd));
			fd = must(open("f", O_RDWR));
		}
		bad = check(fd, i) || one_step(fd, seed, i);
	}
	ok(!bad && check(fd, count) == 0, "seed %u: %ld steps by one process", seed,
	   count);
	must(close(fd));
}

static void t_alone(void)
{
	for (unsigned seed = 1; seed <= 6; seed++)
		alone(seed, 250);
}

/* "turn ID N SEED COUNT IN OUT FD": waits for its turn at IN, passes it on at OUT. FD is -1,
 * or a description that all share. */
static int s_turn(int argc, char **argv)
{
	int id = atoi(argv[0]), n = atoi(argv[1]), in = atoi(argv[4]),
	    out = atoi(argv[5]);
	unsigned seed = (unsigned)atoi(argv[2]);
	int shared = atoi(argv[6]), bad = argc != 7;
	long count = atol(argv[3]);
	struct step s;
	char c = 0;

	for (long i = 0; i < count && !bad; i++) {
		int fd = shared;

		if (i % n != id) {
			s = step_of(seed, i);
			apply(&s);
			continue;
		}
		if (read(in, &c, 1) != 1 || c != 'g')
			return 2;
		if (shared < 0)
			fd = open("f", O_RDWR);
		bad = fd < 0 || check(fd, i) || one_step(fd, seed, i);
		if (shared < 0 && close(fd))
			bad = 1;
		if (write(out, bad ? "x" : "g", 1) != 1)
			return 3;
	}
	return bad;
}

static void turns(unsigned seed, int n, long count, int share)
{
	int p[8][2], fd = must(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644)), bad = 0;
	pid_t pid[8];

	for (int i = 0; i < n; i++)
		must(pipe(p[i]));
	for (int i = 0; i < n; i++)
		pid[i] = must(t_start(T_EXEC, "turn", t_num(i), t_num(n), t_num(seed),
				      t_num(count), t_num(p[i][0]),
				      t_num(p[(i + 1) % n][1]), t_num(share ? fd : -1),
				      NULL));
	if (!share)
		must(close(fd));
	must(write(p[0][1], "g", 1));
	for (int i = 0; i < n; i++) {
		bad |= t_end(pid[i]) != 0;
		must(close(p[i][0]));
		must(close(p[i][1]));
	}
	ok(!bad, "seed %u: %ld steps by %d processes, %s", seed, count, n,
	   share ? "one description" : "each its own open");
	if (share)
		must(close(fd));
}

static void t_turns(void)
{
	turns(11, 2, 150, 0);
	turns(12, 3, 150, 0);
	turns(13, 4, 160, 0);
}

static void t_shared(void)
{
	turns(21, 2, 150, 1);
	turns(22, 3, 150, 1);
	turns(23, 4, 160, 1);
}

T_SUBS = { { "turn", s_turn }, T_END };

T_SECTIONS = {
	{ "alone", t_alone }, { "turns", t_turns }, { "shared", t_shared }, T_END
};
