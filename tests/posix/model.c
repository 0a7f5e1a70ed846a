/* SPDX-License-Identifier: MIT */
/*
 * Several processes work on several files by turns, each step a random one; all know from
 * the seed what every step does, so each has the same copies in memory and compares what
 * it finds with them: files that are written in many ways, cut, removed and made again,
 * renamed over each other and copied, so that their blocks become other files' blocks.
 * What makes a step's writes seen by the next process is a close and an open, or a lock.
 * And without turns: appending by many while others read.
 *
 * Seeds are fixed, so that points are the same in each run; HARE_TEST_SEED=N adds N to
 * them. A failure prints the seed that it ran with.
 */
#include "t.h"

#include <sys/file.h>
#include <sys/sendfile.h>

enum { FILES = 5, LIMIT = 260000, PROCS_MAX = 6 };
enum { WRITE, BIG, VECTOR, APPEND, CUT, REWRITE, PUNCH, ALLOC, MAP, REMOVE, RENAME, COPY, SEND,
       TMP, PLAIN, OPS };
enum { REOPEN, LOCKED };

struct copy {
	long size; /* -1: the file is not there */
	unsigned gen; /* of what the name leads to */
	char data[LIMIT];
};

static struct copy files[FILES];
static struct held {
	int fd;
	unsigned gen;
} held[FILES];
static char got[LIMIT], data[LIMIT];

struct step {
	int op, file, other;
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

static unsigned seed_of(unsigned n)
{
	const char *more = getenv("HARE_TEST_SEED");

	return n + (more ? (unsigned)atoi(more) * 1000u : 0);
}

static struct step step_of(unsigned seed, long i)
{
	unsigned long r = mix(seed * 1000003ul + (unsigned long)i);
	struct step s = { .op = (int)(r % OPS), .fill = (char)(1 + i % 120) };

	s.file = (int)(mix(r + 3) % FILES);
	s.other = (s.file + 1 + (int)(mix(r + 4) % (FILES - 1))) % FILES;
	s.len = 1 + (long)(mix(r) % (r % 3 ? 3000 : 20000));
	if (s.op == BIG)
		s.len = 60000 + (long)(mix(r) % 40000);
	s.off = (long)(mix(r + 1) % (mix(r + 5) % 2 ? 20000 : LIMIT - 110000));
	if (mix(r + 2) % 4 == 0)
		s.off &= ~4095l;
	return s;
}

static char pattern(const struct step *s, long i)
{
	return (char)(s->fill + i % 7);
}

/* --- the copies ------------------------------------------------------------------------ */

static void grow(struct copy *c, long to)
{
	if (c->size < 0)
		c->size = 0;
	if (to > c->size) {
		memset(c->data + c->size, 0, (size_t)(to - c->size));
		c->size = to;
	}
}

static void put(struct copy *c, long off, const struct step *s)
{
	grow(c, off);
	for (long i = 0; i < s->len; i++)
		c->data[off + i] = pattern(s, i);
	if (off + s->len > c->size)
		c->size = off + s->len;
}

static void zero(struct copy *c, const struct step *s, char fill)
{
	for (long i = s->off; i < s->off + s->len && i < c->size; i++)
		c->data[i] = fill;
}

static void take_over(struct copy *to, const struct copy *from)
{
	to->size = from->size;
	memcpy(to->data, from->data, (size_t)from->size);
}

static void apply(const struct step *s)
{
	struct copy *c = &files[s->file], *o = &files[s->other];

	if (c->size < 0)
		c->gen++;
	grow(c, 0);
	switch (s->op) {
	case WRITE:
	case BIG:
	case VECTOR:
		put(c, s->off, s);
		break;
	case APPEND:
		if (c->size + s->len <= LIMIT)
			put(c, c->size, s);
		break;
	case CUT:
		grow(c, s->off);
		c->size = s->off;
		break;
	case REWRITE:
		c->size = 0;
		put(c, 0, s);
		break;
	case PUNCH:
		zero(c, s, 0);
		break;
	case ALLOC:
		grow(c, s->off + s->len);
		break;
	case MAP:
		zero(c, s, s->fill);
		break;
	case REMOVE:
		c->size = -1;
		break;
	case RENAME:
		take_over(o, c);
		o->gen += 1000 + c->gen;
		c->size = -1;
		break;
	case COPY:
	case SEND:
		if (o->size < 0)
			o->gen++;
		take_over(o, c);
		break;
	default:
		break;
	}
}

/* --- the files -------------------------------------------------------------------------- */

static const char *name_of(int file)
{
	static char name[2][8];
	static int n;

	n = !n;
	snprintf(name[n], sizeof(name[n]), "m%d", file);
	return name[n];
}

/* A descriptor of a file, locked if need be; kept ones are opened again only when their name
 * leads elsewhere. Files that are not there are made. */
static int get(int how, int file)
{
	struct held *h = &held[file];
	struct flock fl = { .l_type = F_WRLCK };

	if (how != REOPEN && h->fd >= 0 && h->gen == files[file].gen &&
	    files[file].size >= 0) {
		if (how == LOCKED && file % 2 && fcntl(h->fd, F_SETLKW, &fl))
			return -1;
		if (how == LOCKED && !(file % 2) && flock(h->fd, LOCK_EX))
			return -1;
		return h->fd;
	}
	if (h->fd >= 0)
		close(h->fd);
	h->fd = open(name_of(file), O_RDWR | O_CREAT, 0644);
	h->gen = files[file].gen + (files[file].size < 0);
	return h->fd;
}

static int unlock(int file)
{
	struct flock fl = { .l_type = F_UNLCK };

	if (held[file].fd < 0)
		return 0;
	if (file % 2 && fcntl(held[file].fd, F_SETLK, &fl))
		return -1;
	return file % 2 ? 0 : flock(held[file].fd, LOCK_UN);
}

static int let_go(int how, int file)
{
	struct held *h = &held[file];
	int r = 0;

	if (h->fd < 0)
		return 0;
	if (how == LOCKED)
		return unlock(file);
	r = close(h->fd);
	h->fd = -1;
	return r;
}

static int do_map(int fd, const struct step *s, long size)
{
	long from = s->off & ~4095l, end = s->off + s->len < size ? s->off + s->len : size;
	char *p;
	int r = 0;

	if (end <= s->off)
		return 0;
	p = mmap(NULL, (size_t)(end - from), PROT_READ | PROT_WRITE, MAP_SHARED, fd, from);
	if (p == MAP_FAILED)
		return -1;
	memset(p + (s->off - from), s->fill, (size_t)(end - s->off));
	if (s->len % 2)
		r = msync(p, (size_t)(end - from), MS_SYNC);
	return r | munmap(p, (size_t)(end - from));
}

static int do_copy(int how, int fd, const struct step *s, long size)
{
	int to = get(how, s->other), r = 0;
	long done = 0;

	if (to < 0 || ftruncate(to, 0) || lseek(fd, 0, SEEK_SET) || lseek(to, 0, SEEK_SET))
		return -1;
	while (!r && done < size) {
		ssize_t n = s->op == COPY ? copy_file_range(fd, NULL, to, NULL,
							    (size_t)(size - done), 0)
					  : sendfile(to, fd, NULL, (size_t)(size - done));

		if (n <= 0)
			r = -1;
		done += n;
	}
	return let_go(how, s->other) | r;
}

static int do_append(const struct step *s)
{
	int fd = open(name_of(s->file), O_WRONLY | O_APPEND);
	int r = write(fd, data, (size_t)s->len) == s->len ? 0 : -1;

	return close(fd) | r;
}

static int do_rewrite(const struct step *s)
{
	int fd = open(name_of(s->file), O_WRONLY | O_TRUNC);
	int r = write(fd, data, (size_t)s->len) == s->len ? 0 : -1;

	return close(fd) | r;
}

/* A file that is gone at once: its blocks, with their lines in this cache, are others' then. */
static int do_tmp(const struct step *s)
{
	int fd = open("tmp", O_RDWR | O_CREAT | O_EXCL, 0600), r;

	if (fd < 0 || unlink("tmp"))
		return -1;
	r = pwrite(fd, data, (size_t)s->len, s->off % 9000) == s->len ? 0 : -1;
	if (pread(fd, got, (size_t)s->len, s->off % 9000) != s->len ||
	    memcmp(got, data, (size_t)s->len))
		r = -1;
	return close(fd) | r;
}

static int do_vector(int fd, const struct step *s)
{
	struct iovec v[3] = { { data, (size_t)s->len / 3 },
			      { data + s->len / 3, 0 },
			      { data + s->len / 3, (size_t)(s->len - s->len / 3) } };

	return pwritev(fd, v, 3, s->off) == s->len ? 0 : -1;
}

static int perform(int how, int fd, const struct step *s)
{
	long size = files[s->file].size < 0 ? 0 : files[s->file].size;

	for (long i = 0; i < s->len; i++)
		data[i] = pattern(s, i);
	switch (s->op) {
	case WRITE:
	case BIG:
		return pwrite(fd, data, (size_t)s->len, s->off) == s->len ? 0 : -1;
	case VECTOR:
		return do_vector(fd, s);
	case APPEND:
		return size + s->len <= LIMIT ? do_append(s) : 0;
	case CUT:
		return ftruncate(fd, s->off);
	case REWRITE:
		return do_rewrite(s);
	case PUNCH:
		return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, s->off,
				 s->len);
	case ALLOC:
		return fallocate(fd, 0, s->off, s->len);
	case MAP:
		return do_map(fd, s, size);
	case REMOVE:
		return unlink(name_of(s->file));
	case RENAME:
		return rename(name_of(s->file), name_of(s->other));
	case COPY:
	case SEND:
		return do_copy(how, fd, s, size);
	case TMP:
		return do_tmp(s);
	default:
		return pread(fd, got, (size_t)s->len, s->off) < 0 ? -1 : 0;
	}
}

static int compare(int fd, unsigned seed, long i, int file, const char *when)
{
	const struct copy *c = &files[file];
	long size = c->size < 0 ? 0 : c->size;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) || st.st_size != size) {
		t_diag("seed %u, %s step %ld: file %d has size %ld, want %ld", seed, when, i,
		       file, (long)st.st_size, size);
		return -1;
	}
	n = pread(fd, got, LIMIT, 0);
	if (n != size) {
		t_diag("seed %u, %s step %ld: file %d: read %ld of %ld", seed, when, i, file,
		       (long)n, size);
		return -1;
	}
	for (long j = 0; j < size; j++) {
		if (got[j] == c->data[j])
			continue;
		t_diag("seed %u, %s step %ld: file %d, byte %ld is %d, want %d", seed, when, i,
		       file, j, got[j], c->data[j]);
		return -1;
	}
	return 0;
}

static int one_step(int how, unsigned seed, long i)
{
	struct step s = step_of(seed, i);
	int fd = get(how, s.file), bad;

	bad = fd < 0 || compare(fd, seed, i, s.file, "before");
	if (!bad && perform(how, fd, &s)) {
		t_diag("seed %u, step %ld: operation %d of file %d at %ld+%ld: %s", seed, i,
		       s.op, s.file, s.off, s.len, strerror(errno));
		bad = 1;
	}
	apply(&s);
	if (!bad && files[s.file].size >= 0)
		bad = compare(fd, seed, i, s.file, "after");
	return let_go(how, s.file) || bad;
}

/* --- by turns ---------------------------------------------------------------------------- */

/* "turn ID N SEED COUNT IN OUT HOW" */
static int s_turn(int argc, char **argv)
{
	int id = atoi(argv[0]), n = atoi(argv[1]), in = atoi(argv[4]), out = atoi(argv[5]);
	unsigned seed = (unsigned)atoi(argv[2]);
	int how = atoi(argv[6]), bad = argc != 7;
	long count = atol(argv[3]);
	char c = 0;

	for (int f = 0; f < FILES; f++) {
		files[f].size = held[f].fd = -1;
		files[f].gen = 0;
	}
	for (long i = 0; i < count && !bad; i++) {
		/* whose turn it is does not follow from the step before */
		int who = (int)(mix(seed + (unsigned long)i * 77) % (unsigned)n);

		if (read(in, &c, 1) != 1 || c != 'g')
			return 2;
		if (who == id) {
			bad = one_step(how, seed, i);
		} else {
			struct step s = step_of(seed, i);

			apply(&s);
		}
		/* the token goes round once per step: nobody runs ahead */
		if (write(out, bad ? "x" : "g", 1) != 1)
			return 3;
	}
	return bad;
}

static void turns(unsigned n, int procs, long count, int how, const char *what)
{
	unsigned seed = seed_of(n);
	int p[PROCS_MAX][2], bad = 0;
	pid_t pid[PROCS_MAX];

	for (int f = 0; f < FILES; f++)
		(void)unlink(name_of(f));
	for (int i = 0; i < procs; i++)
		must(pipe(p[i]));
	for (int i = 0; i < procs; i++)
		pid[i] = must(t_start(i % 3 == 2 ? T_FORK : T_EXEC, "turn", t_num(i),
				      t_num(procs), t_num((long)seed), t_num(count),
				      t_num(p[i][0]), t_num(p[(i + 1) % procs][1]),
				      t_num(how), NULL));
	must(write(p[0][1], "g", 1));
	for (int i = 0; i < procs; i++)
		bad |= t_end(pid[i]) != 0;
	for (int i = 0; i < procs; i++) {
		must(close(p[i][0]));
		must(close(p[i][1]));
	}
	ok(!bad, "%ld steps by %d processes, %s (%u)", count, procs, what, n);
}

static void t_reopen(void)
{
	turns(1, 2, 150, REOPEN, "open and close");
	turns(2, 3, 150, REOPEN, "open and close");
	turns(3, 5, 150, REOPEN, "open and close");
}

static void t_locked(void)
{
	turns(4, 2, 150, LOCKED, "locks");
	turns(5, 3, 150, LOCKED, "locks");
	turns(6, 5, 150, LOCKED, "locks");
}

/* --- without turns ------------------------------------------------------------------------ */

enum { RECORDS = 60, RECORD_MAX = 3000 };

/* A record: who, its number, its length, and bytes that follow from these. */
static int record_len(int who, int n)
{
	return 16 + (int)(mix((unsigned long)(who * 1000 + n)) % (RECORD_MAX - 16));
}

static void record_make(char *to, int who, int n)
{
	int len = record_len(who, n);

	memset(to, 'a' + (who * 7 + n) % 26, (size_t)len);
	snprintf(to, 16, "%02d %03d %05d", who, n, len);
	to[14] = '.';
	to[len - 1] = '\n';
}

/* Checks records up to `size`; what is wrong, or NULL. next: per writer, the number that has
 * to come. */
static const char *records_check(const char *p, long size, int *next)
{
	static char want[RECORD_MAX];
	long at = 0;

	while (at < size) {
		int who, n, len;

		if (size - at < 16 || sscanf(p + at, "%2d %3d %5d", &who, &n, &len) != 3)
			return "no record where one begins";
		if (who < 0 || who >= PROCS_MAX || n != next[who])
			return "a record is missing or double";
		next[who]++;
		record_make(want, who, n);
		if (len != record_len(who, n) || size - at < len)
			return "a record is cut short";
		if (memcmp(p + at, want, (size_t)len))
			return "a record is torn";
		at += len;
	}
	return NULL;
}

/* "append WHO FD": records at the end; FD -1: a descriptor of its own, opened now and then. */
static int s_append(int argc, char **argv)
{
	int who = atoi(argv[0]), shared = atoi(argv[1]), fd = shared, bad = argc != 2;

	for (int n = 0; n < RECORDS && !bad; n++) {
		if (shared < 0 && n % 8 == 0) {
			if (fd >= 0)
				close(fd);
			fd = open("log", O_WRONLY | O_APPEND);
		}
		record_make(data, who, n);
		bad = write(fd, data, (size_t)record_len(who, n)) != record_len(who, n);
	}
	return bad;
}

/* "follow WRITERS": opens and reads the log until all is there. */
static int s_follow(int argc, char **argv)
{
	int writers = atoi(argv[0]), done = 0;
	static char log[PROCS_MAX * RECORDS * RECORD_MAX];

	for (int round = 0; round < 20000 && done < writers && argc == 1; round++) {
		int fd = open("log", O_RDONLY), next[PROCS_MAX] = { 0 };
		ssize_t n = read(fd, log, sizeof(log));
		const char *wrong;

		close(fd);
		wrong = n < 0 ? strerror(errno) : records_check(log, n, next);
		/* tmpfs may show zeroes where an append is under way: its size moves first */
		if (wrong && n >= 0 && getenv("T_NATIVE")) {
			t_sleep_ms(1);
			continue;
		}
		if (wrong) {
			t_diag("after %ld bytes: %s", (long)n, wrong);
			return 1;
		}
		done = 0;
		for (int i = 0; i < writers; i++)
			done += next[i] == RECORDS;
		if (done < writers)
			t_sleep_ms(1);
	}
	return done != writers;
}

static void appending(int share, const char *what)
{
	int fd = must(open("log", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644));
	pid_t pid[PROCS_MAX];
	int n = 4;

	for (int i = 0; i < n; i++)
		pid[i] = must(t_start(i % 4 == 3 ? T_FORK : T_EXEC, "append", t_num(i),
				      t_num(share && i % 2 ? fd : -1), NULL));
	pid[n] = must(t_start(T_EXEC, "follow", t_num(n), NULL));
	pid[n + 1] = must(t_start(T_FORK, "follow", t_num(n), NULL));
	for (int i = 0; i < n + 2; i++)
		is_long(t_end(pid[i]), 0, "%s %d, %s", i < n ? "writer" : "reader", i, what);
	must(close(fd));
}

static void t_append(void)
{
	appending(0, "each its own open");
	appending(1, "half of them share one");
}

/* "racer SEED COUNT": writes and cuts one file with others, no matter what it holds then. */
static int s_racer(int argc, char **argv)
{
	unsigned seed = (unsigned)atoi(argv[0]);
	long count = atol(argv[1]);
	int fd = -1;

	memset(data, 0x7e, sizeof(data));
	for (long i = 0; i < count && argc == 2; i++) {
		struct step s = step_of(seed, i);

		if (fd >= 0 && s.op % 3 == 0) {
			close(fd);
			fd = -1;
		}
		if (fd < 0)
			fd = open("x", O_RDWR | O_CREAT | (s.op % 2 ? O_TRUNC : 0), 0644);
		if (s.op == REMOVE)
			unlink("x");
		else if (s.op == CUT || s.op == PUNCH || s.op == ALLOC)
			(void)!ftruncate(fd, s.op == CUT ? s.off : 0);
		else if (s.op == MAP)
			(void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					 s.off, s.len);
		else
			(void)!pwrite(fd, data, (size_t)s.len, s.off);
	}
	return fd < 0;
}

/* "owner ID SEED COUNT": steps on a file of its own, while blocks change hands. */
static int s_owner(int argc, char **argv)
{
	int id = atoi(argv[0]), bad = argc != 3;
	unsigned seed = (unsigned)atoi(argv[1]);
	long count = atol(argv[2]);

	for (int f = 0; f < FILES; f++) {
		files[f].size = held[f].fd = -1;
		files[f].gen = 0;
	}
	for (long i = 0; i < count && !bad; i++) {
		struct step s = step_of(seed, i);
		int fd;

		s.file = id;
		if (s.op == RENAME || s.op == COPY || s.op == SEND || s.op == TMP)
			s.op = WRITE;
		fd = get(REOPEN, id);
		bad = fd < 0 || compare(fd, seed, i, id, "before") ||
		      perform(REOPEN, fd, &s);
		apply(&s);
		bad |= let_go(REOPEN, id);
	}
	return bad;
}

static void t_reuse(void)
{
	pid_t pid[PROCS_MAX];

	for (int i = 0; i < 3; i++)
		pid[i] = must(t_start(i ? T_EXEC : T_FORK, "racer",
				      t_num((long)seed_of((unsigned)(20 + i))), "400", NULL));
	for (int i = 3; i < 6; i++)
		pid[i] = must(t_start(i > 3 ? T_EXEC : T_FORK, "owner", t_num(i - 3),
				      t_num((long)seed_of((unsigned)(20 + i))), "200", NULL));
	for (int i = 0; i < 6; i++)
		is_long(t_end(pid[i]), 0, "%s %d", i < 3 ? "racer" : "owner", i);
}

T_SUBS = { { "turn", s_turn },	   { "append", s_append }, { "follow", s_follow },
	   { "racer", s_racer }, { "owner", s_owner },	 T_END };

T_SECTIONS = { { "reopen", t_reopen },
	       { "locked", t_locked },
	       { "append", t_append },
	       { "reuse", t_reuse },
	       T_END };
