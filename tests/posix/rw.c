/* SPDX-License-Identifier: MIT */
/* read, write, pread, pwrite, readv, writev, lseek: offsets, holes, ends, mistakes. */
#include "t.h"

#include <stdbool.h>
#include <sys/mman.h>

enum { BLK = 4096 };

static char buf[64 * BLK], other[64 * BLK];

static void fill(char *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (char)(seed = seed * 1103515245u + 12345u, seed >> 16);
}

static int all_zero(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return 0;
	return 1;
}

static void t_basic(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));

	is_long(read(fd, buf, 10), 0, "read of an empty file");
	is_long(write(fd, "hello world", 11), 11, "write");
	is_long(lseek(fd, 0, SEEK_CUR), 11, "offset after it");
	is_long(read(fd, buf, 10), 0, "read at the end");
	is_long(lseek(fd, 6, SEEK_SET), 6, "seek");
	is_long(read(fd, buf, 100), 5, "read to the end is short");
	ok(memcmp(buf, "world", 5) == 0, "and has the text");
	is_long(pread(fd, buf, 5, 0), 5, "pread");
	ok(memcmp(buf, "hello", 5) == 0, "has the text");
	is_long(lseek(fd, 0, SEEK_CUR), 11, "and leaves the offset");
	is_long(pwrite(fd, "HELLO", 5, 0), 5, "pwrite");
	is_long(lseek(fd, 0, SEEK_CUR), 11, "leaves the offset");
	is_str(t_get("f"), "HELLO world", "what is in the file now");
	is_long(write(fd, "", 0), 0, "write of nothing");
	is_long(t_size("f"), 11, "changes nothing");
	is_long(read(fd, buf, 0), 0, "read of nothing");
	is_errno(pread(fd, buf, 1, -1), EINVAL, "pread at -1");
	is_errno(pwrite(fd, buf, 1, -1), EINVAL, "pwrite at -1");
	is_long(pread(fd, buf, 10, 100), 0, "pread beyond the end");
	is_errno(read(fd, buf, (size_t)-1), EFAULT, "read of more than there is memory");
}

static void t_seek(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644)), dirfd;

	must(write(fd, "0123456789", 10));
	is_long(lseek(fd, 0, SEEK_END), 10, "SEEK_END 0");
	is_long(lseek(fd, -3, SEEK_END), 7, "SEEK_END -3");
	is_long(read(fd, buf, 1), 1, "read there");
	is_long(buf[0], '7', "the byte");
	is_long(lseek(fd, -2, SEEK_CUR), 6, "SEEK_CUR -2");
	is_long(lseek(fd, 5, SEEK_CUR), 11, "SEEK_CUR 5, beyond the end");
	is_long(lseek(fd, 100, SEEK_END), 110, "SEEK_END 100");
	is_long(t_size("f"), 10, "seeking does not grow the file");
	is_errno(lseek(fd, -1, SEEK_SET), EINVAL, "SEEK_SET -1");
	is_errno(lseek(fd, -11, SEEK_END), EINVAL, "SEEK_END below 0");
	is_errno(lseek(fd, -111, SEEK_CUR), EINVAL, "SEEK_CUR below 0");
	is_long(lseek(fd, 0, SEEK_CUR), 110, "failed seeks leave the offset");
	is_errno(lseek(fd, 0, 99), EINVAL, "a bad whence");
	is_errno(lseek(fd, LONG_MAX, SEEK_CUR), EINVAL, "overflow");
	is_ok(lseek(fd, 1L << 40, SEEK_SET), "1 TiB");
	is_long(read(fd, buf, 1), 0, "read there");
	dirfd = must(open(".", O_RDONLY));
	is_long(lseek(dirfd, 0, SEEK_SET), 0, "lseek 0 of a directory");
	is_errno(lseek(dirfd, -1, SEEK_SET), EINVAL, "-1 of a directory");
}

static void t_holes(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	struct stat st;

	is_long(pwrite(fd, "end", 3, 1000000), 3, "write far beyond the end");
	is_long(t_size("f"), 1000003, "the size");
	fstat(fd, &st);
	ok(st.st_blocks * 512 < 1000000, "the hole takes no blocks");
	memset(buf, 'x', sizeof(buf));
	is_long(pread(fd, buf, sizeof(buf), 0), sizeof(buf), "read of the hole");
	ok(all_zero(buf, sizeof(buf)), "is all zero");
	memset(buf, 'x', sizeof(buf));
	is_long(pread(fd, buf, 103, 999900), 103, "read across its end");
	ok(all_zero(buf, 100), "zero before");
	ok(memcmp(buf + 100, "end", 3) == 0, "and the text");
	is_long(pwrite(fd, "mid", 3, 500000), 3, "write in the middle of it");
	is_long(pread(fd, buf, 5, 499999), 5, "read around it");
	ok(memcmp(buf, "\0mid\0", 5) == 0, "zero on both sides");
	is_long(t_size("f"), 1000003, "the size stays");
	is_ok(lseek(fd, 1L << 32, SEEK_SET), "seek to 4 GiB");
	is_long(write(fd, "x", 1), 1, "write there");
	is_long(t_size("f"), (1L << 32) + 1, "the size is right");
	is_long(pread(fd, buf, 2, (1L << 32) - 1), 2, "read there");
	ok(memcmp(buf, "\0x", 2) == 0, "is right");
	is_long(pread(fd, buf, 3, 1000000), 3, "read of the old end");
	ok(memcmp(buf, "end", 3) == 0, "is right");
	fstat(fd, &st);
	ok(st.st_blocks * 512 < 2000000, "still sparse");
	is_long(ftruncate(fd, 0), 0, "truncate it");
	fstat(fd, &st);
	is_long(st.st_blocks, 0, "no blocks are left");
}

static void t_data_hole(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));

	must(ftruncate(fd, 1 << 20));
	must(pwrite(fd, buf, 4096, 512 << 10));
	ok(lseek(fd, 0, SEEK_DATA) <= 512 << 10,
	   "SEEK_DATA finds the data or a start before");
	ok(lseek(fd, 512 << 10, SEEK_DATA) == 512 << 10, "SEEK_DATA in the data");
	ok(lseek(fd, 512 << 10, SEEK_HOLE) >= (512 << 10) + 4096,
	   "SEEK_HOLE after the data");
	is_errno(lseek(fd, 1 << 20, SEEK_DATA), ENXIO, "SEEK_DATA at the end");
	is_errno(lseek(fd, 1 << 20, SEEK_HOLE), ENXIO, "SEEK_HOLE at the end");
	must(ftruncate(fd, 0));
	is_errno(lseek(fd, 0, SEEK_DATA), ENXIO, "SEEK_DATA of an empty file");
}

static void t_large(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	int good = 1;

	for (unsigned i = 0; i < 64; i++) {
		fill(buf, sizeof(buf), i);
		good &= write(fd, buf, sizeof(buf)) == sizeof(buf);
	}
	ok(good, "16 MiB in writes of 256 KiB");
	is_long(t_size("f"), 64L * sizeof(buf), "the size");
	is_long(lseek(fd, 0, SEEK_SET), 0, "rewind");
	for (unsigned i = 0; i < 64; i++) {
		fill(other, sizeof(other), i);
		good &= read(fd, buf, sizeof(buf)) == sizeof(buf);
		good &= memcmp(buf, other, sizeof(buf)) == 0;
	}
	ok(good, "reads back the same");
	for (unsigned i = 0; i < 200; i++) {
		off_t off = (off_t)i * 77777;
		size_t len = 1 + i * 53;

		fill(buf, len, i + 1000);
		good &= pwrite(fd, buf, len, off) == (ssize_t)len;
		good &= pread(fd, other, len, off) == (ssize_t)len;
		good &= memcmp(buf, other, len) == 0;
	}
	ok(good, "200 writes at odd offsets read back");
	close(fd);
	fd = must(open("f", O_RDONLY));
	for (unsigned i = 0; i < 200; i++) {
		size_t len = 1 + i * 53;

		fill(buf, len, i + 1000);
		good &= pread(fd, other, len, (off_t)i * 77777) == (ssize_t)len;
		good &= memcmp(buf, other, len) == 0;
	}
	ok(good, "and again after close and open");
}

static void t_edges(void)
{
	static const int offs[] = { 0, 1, BLK - 1, BLK, BLK + 1, 2 * BLK - 1, 2 * BLK };
	static const int lens[] = { 1, 2, BLK - 1, BLK, BLK + 1, 3 * BLK };
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	static char model[8 * BLK];
	unsigned seed = 7;
	int good;

	must(ftruncate(fd, sizeof(model)));
	for (size_t i = 0; i < sizeof(offs) / sizeof(offs[0]); i++) {
		good = 1;
		for (size_t j = 0; j < sizeof(lens) / sizeof(lens[0]); j++) {
			fill(model + offs[i], (size_t)lens[j], seed++);
			good &= pwrite(fd, model + offs[i], (size_t)lens[j], offs[i]) ==
				lens[j];
			good &= pread(fd, buf, sizeof(model), 0) == sizeof(model);
			good &= memcmp(buf, model, sizeof(model)) == 0;
		}
		ok(good, "writes of all lengths at offset %d", offs[i]);
	}
	is_long(t_size("f"), sizeof(model), "the size is as before");
}

static void t_vectors(void)
{
	struct iovec iov[3] = { { (char *)"one ", 4 },
				{ (char *)"two ", 4 },
				{ (char *)"three", 5 } };
	char a[4] = "", b[7] = "", c[10] = "";
	struct iovec in[3] = { { a, 3 }, { b, 6 }, { c, 9 } };
	static struct iovec many[1025];
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));

	is_long(writev(fd, iov, 3), 13, "writev");
	is_str(t_get("f"), "one two three", "writes all in order");
	is_long(lseek(fd, 0, SEEK_SET), 0, "rewind");
	is_long(readv(fd, in, 3), 13, "readv");
	is_str(a, "one", "first");
	is_str(b, " two t", "second");
	is_str(c, "hree", "third, short");
	is_long(preadv(fd, in, 2, 4), 9, "preadv");
	is_str(a, "two", "its first");
	is_str(b, " three", "its second");
	is_long(pwritev(fd, iov, 2, 20), 8, "pwritev");
	is_long(t_size("f"), 28, "the size");
	is_long(lseek(fd, 0, SEEK_CUR), 13, "the offset did not move");
	is_long(writev(fd, iov, 0), 0, "writev of no vectors");
	is_errno(writev(fd, iov, -1), EINVAL, "writev of -1");
	is_errno(readv(fd, many, 1025), EINVAL, "readv of 1025");
	is_errno(preadv(fd, in, 2, -1), EINVAL, "preadv at -1");
	for (int i = 0; i < 1024; i++)
		many[i] = (struct iovec){ (char *)"abcd" + i % 4, 1 };
	must(ftruncate(fd, 0));
	must(lseek(fd, 0, SEEK_SET));
	is_long(writev(fd, many, 1024), 1024, "writev of 1024");
	ok(strncmp(t_get("f") + 1020, "abcd", 4) == 0, "is right to the last");
	is_long(preadv2(fd, in, 2, 0, 0), 9, "preadv2");
	is_str(b, "dabcda", "its second part");
}

static void t_beyond_size(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));

	memset(buf, 'a', 2 * BLK);
	must(write(fd, buf, 2 * BLK));
	must(ftruncate(fd, 100));
	must(ftruncate(fd, 2 * BLK));
	memset(buf, 'x', 2 * BLK);
	is_long(pread(fd, buf, 2 * BLK, 0), 2 * BLK, "read after cutting and growing");
	ok(buf[99] == 'a' && all_zero(buf + 100, 2 * BLK - 100),
	   "what was cut reads as zero");
	must(ftruncate(fd, 100));
	must(pwrite(fd, "z", 1, BLK + 5));
	memset(buf, 'x', 2 * BLK);
	is_long(pread(fd, buf, 2 * BLK, 0), BLK + 6,
		"read after cutting and writing beyond");
	ok(all_zero(buf + 100, BLK + 5 - 100), "the gap reads as zero");
	is_long(buf[BLK + 5], 'z', "the byte written");
}

static void t_two_fds(void)
{
	int a = must(open("f", O_RDWR | O_CREAT, 0644));
	int b = must(open("f", O_RDWR));

	must(write(a, "from a", 6));
	is_long(read(b, buf, 10), 6, "the other descriptor sees it");
	ok(memcmp(buf, "from a", 6) == 0, "the text");
	must(pwrite(b, "FROM", 4, 0));
	is_long(pread(a, buf, 6, 0), 6, "and the first sees the second's");
	ok(memcmp(buf, "FROM a", 6) == 0, "the text");
	must(ftruncate(a, 2));
	is_long(pread(b, buf, 10, 0), 2, "a cut by one is seen by the other");
	must(write(b, "b", 1));
	is_long(pread(a, buf, 10, 0), 7, "writing at an old offset leaves a gap");
	ok(memcmp(buf, "FR\0\0\0\0b", 7) == 0, "of zeroes");
}

static long blocks_of(const char *path)
{
	struct stat st;

	must(stat(path, &st));
	return st.st_blocks * 512 / BLK;
}

static void in_pieces(const char *path, int flags, int from, int to)
{
	int fd = must(open(path, O_WRONLY | O_CREAT | flags, 0644));

	for (int i = from; i < to; i++) {
		fill(buf, BLK, i);
		must(pwrite(fd, buf, BLK, (off_t)i * BLK));
	}
	must(close(fd));
}

static bool is_filled(int fd, int from, int to)
{
	for (int i = from; i < to; i++) {
		fill(buf, BLK, i);
		if (pread(fd, other, BLK, (off_t)i * BLK) != BLK || memcmp(buf, other, BLK))
			return false;
	}
	return true;
}

/* A file that grows by pieces takes no more blocks than it needs once its writers have closed. */
static void t_pieces(void)
{
	int fd, w;

	in_pieces("f", O_TRUNC, 0, 100);
	is_long(blocks_of("f"), 100, "written in pieces");
	fd = must(open("f", O_RDONLY));
	ok(is_filled(fd, 0, 100), "its content");
	in_pieces("f", 0, 100, 150);
	is_long(blocks_of("f"), 150, "and longer, with a reader");
	ok(is_filled(fd, 0, 150), "who sees it");
	w = must(open("f", O_RDWR));
	in_pieces("f", 0, 150, 170);
	fill(buf, BLK, 170);
	is_long(pwrite(w, buf, BLK, 170L * BLK), BLK, "another writer, open before");
	must(close(w));
	is_long(blocks_of("f"), 171, "both closed");
	in_pieces("f", 0, 171, 180);
	ok(is_filled(fd, 0, 180), "all of it");
	must(ftruncate(must(open("f", O_WRONLY)), 300 * BLK));
	is_long(blocks_of("f"), 180, "a hole behind it takes none");
	must(close(fd));

	fd = must(open("g", O_WRONLY | O_CREAT, 0644));
	must(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 200 * BLK));
	must(close(fd));
	in_pieces("g", 0, 0, 50);
	is_long(blocks_of("g"), 200, "what was allocated for it stays");
	must(truncate("g", 60 * BLK));
	in_pieces("g", 0, 60, 90);
	is_long(blocks_of("g"), 200, "as it grows");
	must(truncate("g", 40 * BLK));
	in_pieces("g", 0, 40, 90);
	is_long(blocks_of("g"), 90, "until it is cut");
	fd = must(open("g", O_RDONLY));
	ok(is_filled(fd, 0, 90), "its content");
}

/* Buffers in pages that are not there yet, may not be touched, or are the file itself. */
static void t_pages(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644)), prot = PROT_READ | PROT_WRITE;
	char *p = mmap(NULL, 32 * BLK, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *bad = p + 16 * BLK, *m;

	must(mprotect(bad, 16 * BLK, PROT_NONE));
	fill(buf, 12 * BLK, 7);
	is_long(pwrite(fd, p, 3 * BLK, 0), 3 * BLK, "write from pages never touched");
	is_long(pwrite(fd, buf, 12 * BLK, 3 * BLK), 12 * BLK, "more");
	is_long(pread(fd, p, 15 * BLK, 0), 15 * BLK, "read into them");
	ok(all_zero(p, 3 * BLK) && !memcmp(p + 3 * BLK, buf, 12 * BLK), "the content");
	is_errno(pread(fd, bad, 100, 0), EFAULT, "read into a page without rights");
	is_errno(pwrite(fd, bad, 100, 0), EFAULT, "write from one");
	is_errno(pwrite(fd, NULL, 2 * BLK, 0), EFAULT, "write from address 0");
	is_long(pread(fd, p, 15 * BLK, 0), 15 * BLK, "read again");
	ok(all_zero(p, 3 * BLK) && !memcmp(p + 3 * BLK, buf, 12 * BLK), "nothing changed");
	must(mprotect(p, BLK, PROT_READ));
	is_long(pwrite(fd, p, BLK, 0), BLK, "write from a page that is read only");
	is_errno(pread(fd, p, 10, 0), EFAULT, "read into it");
	m = mmap(NULL, 15 * BLK, prot, MAP_SHARED, fd, 0);
	ok(m != MAP_FAILED, "mmap of the file");
	is_long(pwrite(fd, m + 5 * BLK, 2 * BLK, 0), 2 * BLK, "write from a mapping of the file");
	ok(!memcmp(m, buf + 2 * BLK, 2 * BLK), "is there");
	is_long(pread(fd, m + 2 * BLK, BLK, 5 * BLK), BLK, "read into it");
	ok(!memcmp(m + 2 * BLK, buf + 2 * BLK, BLK), "is there too");
	munmap(m, 15 * BLK);
	munmap(p, 32 * BLK);
}

/* append WHO FD ROUNDS: writes of one letter, each longer than what is written at once elsewhere;
 * FD -1: its own description. */
enum { LONG = 200000 };

static int s_append(int argc, char **argv)
{
	int fd = atoi(argv[1]);
	char *p = malloc(LONG);

	if (fd < 0)
		fd = open("log", O_WRONLY | O_APPEND);
	memset(p, argv[0][0], LONG);
	for (int i = 0; i < atoi(argv[2]); i++)
		if (write(fd, p, i % 4 == 3 ? 1000 : LONG) != (i % 4 == 3 ? 1000 : LONG))
			return 1;
	return argc != 3;
}

static void appending(int flags, int share, const char *what)
{
	int fd = must(open("log", O_RDWR | O_CREAT | O_TRUNC | flags, 0644)), good = 1;
	static const char who[][2] = { "a", "b", "c", "d" };
	long run = 0, size = 0, n;
	pid_t pid[4];
	char was = 0, *p = malloc(LONG);

	for (int i = 0; i < 4; i++)
		pid[i] = must(t_start(i == 3 ? T_FORK : T_EXEC, "append", who[i],
				      t_num(share ? fd : -1), "8", NULL));
	for (int i = 0; i < 4; i++)
		is_long(t_end(pid[i]), 0, "%s: %s", what, who[i]);
	must(lseek(fd, 0, SEEK_SET));
	while ((n = read(fd, p, LONG)) > 0) {
		for (long i = 0; i < n; i++, run++) {
			if (was && p[i] != was) {
				good &= run % 1000 == 0;
				run = 0;
			}
			was = p[i];
		}
		size += n;
	}
	is_long(size, 4 * (6 * (long)LONG + 2000), "%s: all is there", what);
	ok(good, "%s: nothing comes between", what);
	must(close(fd));
	free(p);
}

static void t_append_long(void)
{
	appending(O_APPEND, 0, "each its own open");
	appending(O_APPEND, 1, "all share one");
	appending(0, 1, "all share an offset");
}

T_SUBS = { { "append", s_append }, T_END };

T_SECTIONS = {
	{ "basic", t_basic },	  { "seek", t_seek },
	{ "holes", t_holes },	  { "datahole", t_data_hole },
	{ "large", t_large },	  { "edges", t_edges },
	{ "vectors", t_vectors }, { "cut", t_beyond_size },
	{ "twofds", t_two_fds },  { "pages", t_pages },
	{ "append", t_append_long }, { "pieces", t_pieces },
	T_END,
};
