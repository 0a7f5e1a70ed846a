/* SPDX-License-Identifier: MIT */
/* Packets of pipes (O_DIRECT): their borders, what is dropped, room, mixing with bytes, splice. */
#include "t.h"

#include <sys/ioctl.h>

#ifndef F_SETPIPE_SZ
#define F_SETPIPE_SZ 1031
#endif

static char big[256 << 10];

/* Reads at most n bytes: they are `want`. */
static void gets_text(int fd, size_t n, const char *want, const char *what)
{
	char buf[200] = "";
	ssize_t r = read(fd, buf, n);

	is_long(r, (long)strlen(want), "%s: so many bytes", what);
	is_str(buf, want, "%s: these", what);
}

static int puts_text(int fd, const char *text)
{
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

static long queued(int fd)
{
	int n = -1;

	return ioctl(fd, FIONREAD, &n) ? -1 : n;
}

static short ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static void packets_on(int fd, int on)
{
	int flags = (int)must(fcntl(fd, F_GETFL));

	must(fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT));
}

static void t_basic(void)
{
	int p[2];

	is_long(pipe2(p, O_DIRECT), 0, "pipe2");
	is_long(fcntl(p[0], F_GETFL) & O_DIRECT, 0, "the read end has not the flag");
	is_long(fcntl(p[1], F_GETFL) & O_DIRECT, O_DIRECT, "the write end has it");
	must(puts_text(p[1], "one"));
	must(puts_text(p[1], "second"));
	must(write(p[1], "", 0));
	must(puts_text(p[1], "3"));
	is_long(queued(p[0]), 10, "FIONREAD counts all of them");
	gets_text(p[0], 100, "one", "a read gets one packet");
	gets_text(p[0], 2, "se", "a short read a part of the next");
	is_long(queued(p[0]), 1, "whose rest is dropped");
	gets_text(p[0], 0, "", "a read of nothing");
	gets_text(p[0], 1, "3", "takes nothing");
	is_long(queued(p[0]), 0, "then there is nothing");
	is_long(ready(p[0]), 0, "to be read");
	must(puts_text(p[1], "last"));
	must(close(p[1]));
	gets_text(p[0], 100, "last", "what was written before the close");
	gets_text(p[0], 100, "", "then the end");
}

static void t_vectors(void)
{
	char a[2], b[3], c[50];
	struct iovec w[3] = { { "ab", 2 }, { "", 0 }, { "cdefghi", 7 } };
	struct iovec r[3] = { { a, 2 }, { b, 3 }, { c, 50 } };
	int p[2];

	must(pipe2(p, O_DIRECT));
	is_long(writev(p[1], w, 3), 9, "writev");
	is_long(writev(p[1], w, 2), 2, "and again");
	is_long(readv(p[0], r, 2), 5, "readv of a part");
	ok(!memcmp(a, "ab", 2) && !memcmp(b, "cde", 3), "the part's text");
	is_long(readv(p[0], r, 3), 2, "readv: writev made one packet");
	is_long(queued(p[0]), 0, "nothing is left");
}

static void t_large(void)
{
	int p[2];

	for (int i = 0; i < 10000; i++)
		big[i] = (char)(i / 100);
	must(pipe2(p, O_DIRECT));
	is_long(write(p[1], big, 4096), 4096, "4096 bytes");
	is_long(write(p[1], big, 10000), 10000, "10000 bytes");
	memset(big, 0, sizeof(big));
	is_long(read(p[0], big, sizeof(big)), 4096, "4096 are one packet");
	is_long(read(p[0], big, sizeof(big)), 4096, "10000 are one of 4096");
	is_long(read(p[0], big + 4096, 1000), 1000, "another one, the rest is dropped");
	is_long(read(p[0], big + 8192, sizeof(big) - 8192), 10000 - 8192,
		"and what is left");
	is_long(big[5000], 50, "a byte of the second one");
	is_long(big[9999], 99, "the last byte");
}

static void t_full(void)
{
	int p[2], n = 0;

	must(pipe2(p, O_DIRECT | O_NONBLOCK));
	while (n < 100 && write(p[1], "x", 1) == 1)
		n++;
	is_long(errno, EAGAIN, "it is full");
	is_long(n, 16, "of 16 packets");
	is_long(ready(p[1]), 0, "as poll says");
	is_long(ready(p[0]), POLLIN, "and may be read");
	gets_text(p[0], 100, "x", "one");
	is_long(ready(p[1]), POLLOUT, "makes room");
	is_long(write(p[1], big, 5000), 4096, "for one packet of a longer write");
	is_errno(write(p[1], big, 1), EAGAIN, "not for more");
	for (n = 0; read(p[0], big, sizeof(big)) > 0;)
		n++;
	is_long(n, 16, "all can be read");
	is_long(write(p[1], big, sizeof(big)), 65536, "16 of 4096 bytes fit");
	is_errno(write(p[1], big, 1), EAGAIN, "and not one byte more");
	is_long(fcntl(p[0], F_GETPIPE_SZ), 65536, "F_GETPIPE_SZ is as ever");
	is_errno(fcntl(p[0], F_SETPIPE_SZ, 32768), EBUSY, "it cannot be halved");
	is_long(fcntl(p[0], F_SETPIPE_SZ, 131072), 131072, "but doubled");
	is_long(write(p[1], "end", 3), 3, "which makes room");
	for (n = 0; read(p[0], big, sizeof(big)) == 4096;)
		n++;
	is_long(n, 16, "the packets have stayed");
	is_str(memcmp(big, "end", 3) ? "other" : "end", "end", "the last one's text");
	must(puts_text(p[1], "a"));
	must(puts_text(p[1], "bc"));
	is_errno(fcntl(p[0], F_SETPIPE_SZ, 4096), EBUSY, "two packets need two pages");
	is_long(fcntl(p[0], F_SETPIPE_SZ, 8192), 8192, "which do");
	is_errno(write(p[1], "d", 1), EAGAIN, "then it is full");
	gets_text(p[0], 9, "a", "the first is still");
	gets_text(p[0], 9, "bc", "apart from the second");
}

static void t_mixed(void)
{
	int p[2];

	must(pipe(p));
	must(puts_text(p[1], "abc"));
	packets_on(p[1], 1);
	is_long(fcntl(p[1], F_GETFL) & O_DIRECT, O_DIRECT, "F_SETFL sets the flag");
	must(puts_text(p[1], "defg"));
	gets_text(p[0], 50, "abcdefg", "what fits on a page with bytes is bytes");
	must(puts_text(p[1], "packet"));
	packets_on(p[1], 0);
	is_long(fcntl(p[1], F_GETFL) & O_DIRECT, 0, "and clears it");
	must(puts_text(p[1], "hij"));
	must(puts_text(p[1], "klm"));
	packets_on(p[1], 1);
	must(puts_text(p[1], "no"));
	gets_text(p[0], 3, "pac", "a part of a packet");
	gets_text(p[0], 4, "hijk", "then bytes");
	gets_text(p[0], 50, "lmno", "all of them");
	packets_on(p[1], 0);
	must(puts_text(p[1], "abc"));
	packets_on(p[1], 1);
	must(write(p[1], big, 4096));
	must(puts_text(p[1], "next"));
	packets_on(p[1], 0);
	is_long(read(p[0], big, 5), 5, "bytes and a packet's begin");
	gets_text(p[0], 50, "next", "the packet's rest is dropped");
	must(puts_text(p[1], "abc"));
	must(puts_text(p[1], "def"));
	gets_text(p[0], 50, "abcdef", "bytes are bytes again");
	is_errno(fcntl(p[0], F_SETFL, O_DIRECT | O_NONBLOCK) ? -1 : read(p[0], big, 1),
		 EAGAIN, "of the read end it means nothing");
	must(puts_text(p[1], "abc"));
	must(puts_text(p[1], "def"));
	gets_text(p[0], 50, "abcdef", "there");
	must(write(p[1], big, 3 * 4096));
	packets_on(p[1], 1);
	must(write(p[1], big, 4096));
	must(write(p[1], big, 4096));
	is_long(read(p[0], big, sizeof(big)), 16384,
		"a long read ends at a packet's end");
	is_long(read(p[0], big, sizeof(big)), 4096, "the next one's packet");
}

static int s_write(int argc, char **argv)
{
	return puts_text(atoi(argv[0]), argv[1]) || argc != 2;
}

static int s_packets(int argc, char **argv)
{
	packets_on(atoi(argv[0]), atoi(argv[1]));
	return argc != 2;
}

static int s_read(int argc, char **argv)
{
	char buf[100] = "";

	return read(atoi(argv[0]), buf, (size_t)atoi(argv[1])) < 0 ||
	       strcmp(buf, argv[2]) || argc != 3;
}

/* Writes numbers, each a packet of another length. */
static int s_many(int argc, char **argv)
{
	char buf[4096];

	for (int i = 0; i < atoi(argv[1]); i++) {
		size_t len = 4 + (size_t)i * 97 % 4000;

		memset(buf, i & 255, len);
		memcpy(buf, &i, 4);
		if (write(atoi(argv[0]), buf, len) != (ssize_t)len)
			return 1;
	}
	return argc != 2;
}

static void shared(int how)
{
	int p[2], bad = 0, n;
	pid_t pid;

	must(pipe2(p, O_DIRECT));
	is_long(t_end(t_start(how, "write", t_num(p[1]), "one", NULL)), 0,
		"a child writes, how %d", how);
	must(puts_text(p[1], "two"));
	is_long(t_end(t_start(how, "read", t_num(p[0]), "2", "on", NULL)), 0,
		"a child reads a part, how %d", how);
	gets_text(p[0], 50, "two", "the rest is gone here");
	must(t_end(t_start(how, "packets", t_num(p[1]), "0", NULL)));
	is_long(fcntl(p[1], F_GETFL) & O_DIRECT, 0, "a child clears the flag, how %d",
		how);
	must(puts_text(p[1], "ab"));
	must(puts_text(p[1], "cd"));
	gets_text(p[0], 50, "abcd", "bytes then");
	pid = t_start(how, "packets", t_num(p[1]), "1", NULL);
	is_long(t_end(pid), 0, "a child sets it, how %d", how);
	must(puts_text(p[1], "ab"));
	must(puts_text(p[1], "cd"));
	gets_text(p[0], 50, "ab", "packets then");
	gets_text(p[0], 50, "cd", "the second");
	pid = t_start(how, "many", t_num(p[1]), "500", NULL);
	for (int i = 0; i < 500; i++) {
		ssize_t r = read(p[0], big, 4096);

		memcpy(&n, big, 4);
		bad += n != i || r != 4 + i * 97 % 4000 || big[r - 1] != big[4];
		if (r == 4)
			bad -= big[r - 1] != big[4];
	}
	is_long(bad, 0, "each read gets a packet of another process, how %d", how);
	is_long(t_end(pid), 0, "which has written them, how %d", how);
}

static void t_shared(void)
{
	shared(T_FORK);
	shared(T_EXEC);
}

static void t_fifo(void)
{
	int r, w;

	must(mkfifo("f", 0600));
	r = (int)must(open("f", O_RDONLY | O_NONBLOCK));
	is_errno(open("f", O_WRONLY | O_DIRECT), EINVAL, "no open with O_DIRECT");
	is_errno(open("f", O_RDWR | O_DIRECT), EINVAL, "for reading and writing");
	is_errno(open("f", O_WRONLY | O_NONBLOCK | O_DIRECT), EINVAL, "without blocking");
	w = (int)must(open("f", O_WRONLY));
	packets_on(w, 1);
	must(puts_text(w, "ab"));
	must(puts_text(w, "cd"));
	packets_on(w, 0);
	must(puts_text(w, "ef"));
	gets_text(r, 50, "ab", "a packet by F_SETFL");
	gets_text(r, 50, "cd", "another");
	gets_text(r, 50, "ef", "and bytes");
	packets_on(w, 1);
	must(puts_text(w, "ab"));
	must(puts_text(w, "cd"));
	must(close(r));
	must(close(w));
	r = (int)must(open("f", O_RDONLY | O_NONBLOCK));
	w = (int)must(open("f", O_WRONLY));
	is_long(queued(r), 0, "nobody has it open: all is gone");
	must(puts_text(w, "ab"));
	must(puts_text(w, "cd"));
	gets_text(r, 50, "abcd", "and bytes again");
}

static void t_others(void)
{
	int fd;

	must(mkdir("d", 0700));
	is_errno(open("d", O_RDONLY | O_DIRECT), EINVAL, "a directory with O_DIRECT");
	is_errno(open("d", O_DIRECTORY | O_DIRECT), EINVAL, "with O_DIRECTORY");
	fd = (int)must(open("d", O_RDONLY));
	is_errno(fcntl(fd, F_SETFL, O_DIRECT), EINVAL, "F_SETFL of it");
	fd = (int)must(open("f", O_RDWR | O_CREAT | O_DIRECT, 0600));
	is_long(fcntl(fd, F_GETFL) & O_DIRECT, O_DIRECT, "a file");
	is_long(fcntl(fd, F_SETFL, 0), 0, "without it");
	is_long(fcntl(fd, F_SETFL, O_DIRECT), 0, "and with it");
	fd = (int)must(open("d", O_PATH | O_DIRECT));
	is_errno(fcntl(fd, F_SETFL, O_DIRECT), EBADF, "O_PATH");
}

static void t_splice(void)
{
	int p[2], q[2], fd = (int)must(open("f", O_RDWR | O_CREAT, 0600));

	must(pipe2(p, O_DIRECT));
	must(pipe2(q, O_NONBLOCK));
	must(puts_text(p[1], "one"));
	must(puts_text(p[1], "second"));
	must(puts_text(p[1], "third"));
	is_long(tee(p[0], q[1], 100, SPLICE_F_NONBLOCK), 14, "tee");
	gets_text(q[0], 50, "one", "has copied packets");
	gets_text(q[0], 50, "second", "all");
	gets_text(q[0], 50, "third", "of them");
	is_long(splice(p[0], NULL, q[1], NULL, 5, 0), 5, "splice of a part");
	is_long(splice(p[0], NULL, q[1], NULL, 100, SPLICE_F_NONBLOCK), 9,
		"and of the rest");
	gets_text(q[0], 50, "one", "the first");
	gets_text(q[0], 50, "se", "the second's part");
	gets_text(q[0], 50, "cond", "is a packet, and the rest of it");
	gets_text(q[0], 50, "third", "and the third");
	must(puts_text(p[1], "one"));
	must(puts_text(p[1], "second"));
	is_long(splice(p[0], NULL, fd, NULL, 5, 0), 5, "splice to a file");
	gets_text(p[0], 50, "cond", "leaves the rest");
	is_str(t_get("f"), "onese", "the file");
	must(lseek(fd, 0, SEEK_SET));
	is_long(splice(fd, NULL, p[1], NULL, 3, 0), 3, "splice from a file");
	is_long(splice(fd, NULL, p[1], NULL, 2, 0), 2, "and more");
	gets_text(p[0], 50, "onese", "makes no packets");
}

static void t_efault(void)
{
	int p[2];

	must(pipe2(p, O_DIRECT));
	must(puts_text(p[1], "one"));
	must(puts_text(p[1], "second"));
	is_errno(read(p[0], (char *)8, 50), EFAULT, "no memory for the first");
	gets_text(p[0], 50, "one", "it is there");
	gets_text(p[0], 50, "second", "and is one packet");
	must(write(p[1], big, 5000));
	is_errno(read(p[0], (char *)8, 50000), EFAULT, "for one of two pages");
	is_long(queued(p[0]), 5000, "all of it stays");
	is_long(read(p[0], big, 50000), 4096, "the first page");
	is_long(read(p[0], big, 50000), 904, "the second");
}

T_SUBS = { { "write", s_write },
	   { "packets", s_packets },
	   { "read", s_read },
	   { "many", s_many },
	   { NULL, NULL } };

T_SECTIONS = { { "basic", t_basic },
	       { "vectors", t_vectors },
	       { "large", t_large },
	       { "full", t_full },
	       { "mixed", t_mixed },
	       { "shared", t_shared },
	       { "fifo", t_fifo },
	       { "splice", t_splice },
	       { "others", t_others },
	       { "efault", t_efault },
	       T_END };
