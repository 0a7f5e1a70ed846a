/* SPDX-License-Identifier: MIT */
/* mmap of files: shared and private, with read and write, over fork, exec and unlink. */
#include "t.h"

#include <sys/auxv.h>

enum { PG = 4096 };

static char *map(size_t len, int prot, int flags, int fd, off_t off)
{
	return mmap(NULL, len, prot, flags, fd, off);
}

static void t_shared(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	char buf[16] = "";
	char *p, *q;

	must(ftruncate(fd, 3 * PG));
	must(pwrite(fd, "hello", 5, 0));
	p = map(3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ok(p != MAP_FAILED, "mmap");
	ok(memcmp(p, "hello", 5) == 0, "has the file's text");
	ok(p[PG] == 0 && p[3 * PG - 1] == 0, "and its holes");
	memcpy(p + 100, "mapped", 6);
	is_long(msync(p, PG, MS_SYNC), 0, "msync");
	is_long(pread(fd, buf, 6, 100), 6, "read");
	is_str(buf, "mapped", "sees what was stored");
	must(pwrite(fd, "WRITTEN", 7, PG + 10));
	ok(memcmp(p + PG + 10, "WRITTEN", 7) == 0, "the mapping sees what was written");
	q = map(PG, PROT_READ, MAP_SHARED, fd, PG);
	ok(q != MAP_FAILED && memcmp(q + 10, "WRITTEN", 7) == 0,
	   "a mapping at an offset");
	p[PG + 20] = '!';
	ok(q[20] == '!', "two mappings are one memory");
	must(close(fd));
	p[0] = 'H';
	is_long(munmap(p, 3 * PG), 0, "munmap");
	is_str(t_get("f"), "Hello",
	       "stored after the descriptor was closed, before munmap");
	ok(memcmp(q + 10, "WRITTEN", 7) == 0, "the other mapping stays");
}

static void t_private(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	char *p;

	must(write(fd, "original", 8));
	p = map(PG, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ok(p != MAP_FAILED, "mmap");
	ok(memcmp(p, "original", 8) == 0, "has the file's text");
	memcpy(p, "modified", 8);
	is_str(t_get("f"), "original", "a store does not reach the file");
	must(munmap(p, PG));
	fd = must(open("f", O_RDONLY));
	p = map(PG, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ok(p != MAP_FAILED, "writable and private of a read-only descriptor");
	p[0] = 'X';
	is_long(p[0], 'X', "can be stored to");
	p = map(PG, PROT_READ, MAP_PRIVATE, fd, 0);
	ok(p != MAP_FAILED && p[0] == 'o', "another private one has the original");
}

static void t_errors(void)
{
	int fd, ro, wo;

	must(t_put("f", "text"));
	fd = must(open("f", O_RDWR));
	ro = must(open("f", O_RDONLY));
	wo = must(open("f", O_WRONLY));
	is_errno(map(PG, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0), EACCES,
		 "shared and writable of a read-only descriptor");
	is_errno(map(PG, PROT_READ, MAP_SHARED, wo, 0), EACCES,
		 "a write-only descriptor");
	is_errno(map(0, PROT_READ, MAP_SHARED, fd, 0), EINVAL, "no length");
	is_errno(map(PG, PROT_READ, MAP_SHARED, fd, 100), EINVAL, "an odd offset");
	is_errno(map(PG, PROT_READ, 0, fd, 0), EINVAL, "neither shared nor private");
	is_errno(map(PG, PROT_READ, MAP_SHARED, 99, 0), EBADF, "no descriptor");
	is_errno(map(PG, PROT_READ, MAP_SHARED, must(open(".", O_RDONLY)), 0), ENODEV,
		 "a directory");
	ok(map(PG, PROT_READ, MAP_SHARED, ro, 0) != MAP_FAILED, "read-only is good");
}

static void t_fork(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	char *s, *p;
	pid_t pid;

	must(ftruncate(fd, PG));
	s = map(PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	p = map(PG, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	p[1] = 'p';
	pid = fork();
	if (pid == 0) {
		s[0] = 'c';
		p[1] = 'c';
		_exit(0);
	}
	t_end(pid);
	is_long(s[0], 'c', "a child's store to a shared mapping is seen");
	is_long(p[1], 'p', "to a private one it is not");
}

static int s_map(int argc, char **argv)
{
	int fd = open(argv[0], O_RDWR);
	char *p =
		fd < 0 ? MAP_FAILED : map(PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED || memcmp(p, "from parent", 11))
		return 1;
	memcpy(p, "from child!", 11);
	return msync(p, PG, MS_SYNC) || munmap(p, PG) || close(fd) || argc != 1;
}

/* Close-to-open: what one process synced and closed, the next sees after its open. */
static void t_other(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	char *p;

	must(ftruncate(fd, PG));
	p = map(PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memcpy(p, "from parent", 11);
	must(msync(p, PG, MS_SYNC));
	must(munmap(p, PG));
	must(close(fd));
	is_long(t_end(t_start(T_EXEC, "map", "f", NULL)), 0, "another maps and stores");
	is_long(memcmp(t_get("f"), "from child!", 11), 0, "read sees it");
	fd = must(open("f", O_RDWR));
	p = map(PG, PROT_READ, MAP_SHARED, fd, 0);
	is_long(memcmp(p, "from child!", 11), 0, "and a mapping");
}

static void t_unlinked(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	char *p;

	must(ftruncate(fd, 2 * PG));
	p = map(2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memcpy(p + PG, "still", 5);
	must(unlink("f"));
	must(close(fd));
	ok(memcmp(p + PG, "still", 5) == 0, "a mapping outlives name and descriptor");
	memset(p, 'x', 2 * PG);
	for (int i = 0; i < 20; i++) {
		char name[16], data[PG];

		memset(data, 'y', sizeof(data));
		snprintf(name, sizeof(name), "g%d", i);
		fd = must(open(name, O_RDWR | O_CREAT, 0644));
		must(write(fd, data, sizeof(data)));
		must(close(fd));
	}
	int good = 1;
	for (int i = 0; i < 2 * PG; i++)
		good &= p[i] == 'x';
	ok(good, "and its memory is not given to other files");
	must(munmap(p, 2 * PG));
}

static void on_bus(int sig)
{
	_exit(sig == SIGBUS ? 7 : 8);
}

static void t_end_of_file(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644)), good = 1;
	pid_t pid;
	char *p;

	must(write(fd, "0123456789", 10));
	p = map(PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (int i = 10; i < PG; i++)
		good &= p[i] == 0;
	ok(good, "the last page is zero after the end");
	p[5] = 'x';
	p[50] = 'y';
	must(msync(p, PG, MS_SYNC));
	is_long(t_size("f"), 10, "a store after the end does not grow the file");
	is_str(t_get("f"), "01234x6789", "the text");
	pid = fork();
	if (pid == 0) {
		signal(SIGBUS, on_bus);
		p = map(4 * PG, PROT_READ, MAP_SHARED, fd, 0);
		_exit(p[2 * PG]);
	}
	is_long(t_end(pid), 7, "SIGBUS beyond the last page");
}

static void t_large(void)
{
	size_t len = 8 << 20;
	int fd = must(open("f", O_RDWR | O_CREAT, 0644)), good = 1;
	unsigned *p;
	unsigned v;

	must(ftruncate(fd, (off_t)len));
	p = (unsigned *)map(len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (size_t i = 0; i < len / 4; i += 1024)
		p[i] = (unsigned)i ^ 0x5a5a5a5a;
	must(msync(p, len, MS_SYNC));
	for (size_t i = 0; i < len / 4; i += 1024)
		good &= pread(fd, &v, 4, (off_t)i * 4) == 4 &&
			v == ((unsigned)i ^ 0x5a5a5a5a);
	ok(good, "8 MiB by a mapping, read back");
	for (size_t i = 0; i < len / 4; i += 4096) {
		v = (unsigned)i * 3;
		good &= pwrite(fd, &v, 4, (off_t)i * 4) == 4 && p[i] == (unsigned)i * 3;
	}
	ok(good, "and written, seen by the mapping");
	is_long(madvise(p, len, MADV_SEQUENTIAL), 0, "madvise");
	is_long(mprotect(p, len, PROT_READ), 0, "mprotect");
	p = mremap(p, len, len / 2, MREMAP_MAYMOVE);
	ok(p != MAP_FAILED && p[1024] == (1024 ^ 0x5a5a5a5a), "mremap to a half");
}

/* A file that is larger than all memory, of holes: what is touched becomes blocks. */
enum { STEP = 4096 };
static const off_t huge = 5LL << 30;

static char *map_huge(int *fd)
{
	*fd = must(open("f", O_RDWR | O_CREAT, 0644));
	must(ftruncate(*fd, huge));
	return map((size_t)huge, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
}

static int s_sparse(int argc, char **argv)
{
	int fd = must(open("f", O_RDWR)), good;
	char *p = map((size_t)huge, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)argc;
	(void)argv;
	good = !strcmp(p + huge / 2 - 2, "middle") && !p[huge / 4] &&
	       !strcmp(p + huge - 4, "end");
	strcpy(p + huge / 4, "other");
	munmap(p, (size_t)huge);
	close(fd);
	return good ? 3 : 4;
}

static void t_sparse(void)
{
	struct stat st;
	char buf[16] = "";
	int fd, good = 1;
	char *p = map_huge(&fd);

	sigset_t all, old;

	sigfillset(&all);
	must(sigprocmask(SIG_BLOCK, &all,
			 &old)); /* a touch is no signal to the program */
	strcpy(p + huge / 2 - 2, "middle"); /* in two pages */
	must(sigprocmask(SIG_SETMASK, &old, NULL));
	strcpy(p + huge - 4, "end");
	is_long(p[huge / 2 + 100000], 0, "a hole is zeros");
	is_long(pread(fd, buf, 7, huge / 2 - 2), 7, "a read of it");
	is_str(buf, "middle", "sees what was stored");
	for (off_t at = 0; at < 4 << 20; at += STEP)
		good &= !p[at] && (p[at] = (char)(at / STEP));
	must(pwrite(fd, "x", 1, huge / 8));
	is_long(p[huge / 8], 'x', "a write into a hole is seen");
	p[huge / 8 + 1] = 'y';
	is_long(pread(fd, buf, 2, huge / 8), 2, "a store behind it");
	ok(!memcmp(buf, "xy", 2), "is read");
	must(fstat(fd, &st));
	ok(st.st_size == huge && st.st_blocks < 65536, "most of it is still holes");
	must(msync(p, (size_t)huge, MS_SYNC));
	is_long(t_end(t_start(T_EXEC, "sparse", NULL)), 3,
		"another program sees all of it");
	is_str(p + huge / 4, "other", "and is seen");
	is_long(munmap(p, (size_t)huge), 0, "munmap");
}

/* The host's kernel, and calls on files, read and write in holes. */
static void t_sparse_calls(void)
{
	int fd, other = must(open("g", O_RDWR | O_CREAT, 0644)), zero, pfd[2];
	char *p = map_huge(&fd), *q = p + huge / 2;
	char buf[16];

	zero = must(open("/dev/zero", O_RDONLY));
	is_long(read(zero, q, 300000), 300000, "read of a device into holes");
	is_long(pwrite(other, q + (1 << 20), 200000, 0), 200000, "a file from holes");
	must(pwrite(other, "text", 4, 5000));
	is_long(pread(other, q + (2 << 20), 200000, 0), 200000, "a file into holes");
	is_str(q + (2 << 20) + 5000, "text", "its bytes");
	must(pipe(pfd));
	is_long(write(pfd[1], q + (3 << 20), 9), 9, "a pipe from holes");
	is_long(read(pfd[0], q + (4 << 20), 9), 9, "and into some");
	is_long(getcwd(q + (5 << 20), 4096) == q + (5 << 20), 1, "a name into one");
	is_long(clock_gettime(CLOCK_REALTIME, (struct timespec *)(q + (6 << 20))), 0,
		"the time");
	must(munmap(q + (8 << 20), 4096));
	is_errno((int)read(zero, q + (8 << 20), 1), EFAULT, "what is unmapped: EFAULT");
	is_long(pread(fd, buf, 1, huge), 0, "and the file has not grown");
}

static void t_sparse_shape(void)
{
	int fd, status;
	char *p = map_huge(&fd), *q = p + huge / 2;
	pid_t pid;

	is_long(mprotect(p, (size_t)huge, PROT_NONE), 0, "nothing may be touched");
	is_long(mprotect(q, 64 * STEP, PROT_READ | PROT_WRITE), 0, "a part may");
	q[0] = q[63 * STEP] = 1;
	ok(q[0] == 1 && q[40 * STEP] == 0, "and is");
	pid = fork();
	if (!pid)
		_exit(q[64 * STEP]);
	must(waitpid(pid, &status, 0));
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "what is behind may not");
	is_long(mprotect(p, (size_t)huge, PROT_READ | PROT_WRITE), 0, "all may");
	p[STEP] = 4;
	pid = fork();
	if (!pid) {
		q[100 * STEP] = 5;
		q[63 * STEP] = 6;
		_exit(p[STEP]);
	}
	must(waitpid(pid, &status, 0));
	is_long(WEXITSTATUS(status), 4, "a child sees it");
	ok(q[100 * STEP] == 5 && q[63 * STEP] == 6, "and is seen");
	must(ftruncate(fd, huge / 2 + STEP));
	pid = fork();
	if (!pid) {
		signal(SIGBUS, on_bus);
		_exit(q[2000 * STEP]);
	}
	must(waitpid(pid, &status, 0));
	is_long(WEXITSTATUS(status), 7, "SIGBUS behind a new end");
	is_long(q[0], 1, "not before it");
	must(ftruncate(fd, huge));
	ok(!q[2000 * STEP] && !q[63 * STEP], "zeros when it is long again");
	q[2000 * STEP] = 9;
	p = mremap(p, (size_t)huge, (size_t)huge * 2, MREMAP_MAYMOVE);
	ok(p != MAP_FAILED && p[huge / 2] == 1 && p[huge / 2 + 2000 * STEP] == 9,
	   "mremap takes it along");
	ok(p[huge / 2 + 5000 * STEP] == 0, "and its holes");
}

static void t_again(void)
{
	int fd = (int)must(open("f", O_RDWR | O_CREAT, 0600));
	char *m, *again, *third, *private;

	must(ftruncate(fd, 4 * 4096));
	must(pwrite(fd, "second page", 12, 4096));
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	must(m == MAP_FAILED || private == MAP_FAILED ? -1 : 0);
	is_errno((long)mremap(m, 0, 8192, 0), ENOMEM, "it cannot be at the old place");
	is_errno((long)mremap(m, 0, 0, MREMAP_MAYMOVE), EINVAL, "nothing of nothing");
	is_errno((long)mremap(private, 0, 8192, MREMAP_MAYMOVE), EINVAL, "private");
	is_errno((long)mremap(m, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, m + 4096),
		 EINVAL, "a move over itself");
	is_errno((long)mremap(m, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, m + 1),
		 EINVAL, "no page");
	again = mremap(m, 0, 8192, MREMAP_MAYMOVE);
	if (!ok(again != MAP_FAILED && again != m, "a second mapping"))
		return;
	is_str(again + 4096, "second page", "of the same pages");
	strcpy(again, "by the second");
	is_str(m, "by the second", "the first shows what is stored by it");
	third = mremap(again + 4096, 0, 3 * 4096, MREMAP_MAYMOVE);
	if (!ok(third != MAP_FAILED, "one from its second page on, longer"))
		return;
	is_str(third, "second page", "begins there");
	must(pwrite(fd, "last", 5, 3 * 4096));
	is_str(third + 2 * 4096, "last", "and goes on");
	is_long(munmap(m, 8192), 0, "the first goes");
	strcpy(third, "changed");
	is_str(again + 4096, "changed", "the others stay");
	is_long(munmap(again, 8192), 0, "the second, too");
	is_long(msync(third, 3 * 4096, MS_SYNC), 0, "msync");
	is_long(munmap(third, 3 * 4096), 0, "and the last");
	must(pread(fd, private, 20, 4096));
	is_str(private, "changed", "the file has it");
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	is_errno((long)mremap(m, 0, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, m), EFAULT,
		 "over itself");
	is_errno(msync(m, 8192, MS_SYNC), ENOMEM, "which is gone then");
}

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* Linux 5.13 for files */
static void t_dontunmap(void)
{
	const int dont = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
	int fd = (int)must(open("f", O_RDWR | O_CREAT, 0600));
	char *m, *p, *q, *at, *host;

	must(ftruncate(fd, 3 * 4096 + 100));
	must(pwrite(fd, "first", 6, 0));
	must(pwrite(fd, "second", 7, 4096));
	m = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	p = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	at = mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	host = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!ok(m != MAP_FAILED && p != MAP_FAILED && at != MAP_FAILED && host != MAP_FAILED,
		"mappings"))
		return;
	is_errno((long)mremap(m, 4096, 4096, MREMAP_DONTUNMAP, NULL), EINVAL, "without MAYMOVE");
	is_errno((long)mremap(m, 4096, 8192, dont, NULL), EINVAL, "longer");
	is_errno((long)mremap(m, 8192, 4096, dont, NULL), EINVAL, "shorter");
	is_errno((long)mremap(m, 0, 4096, dont, NULL), EINVAL, "nothing");
	is_errno((long)mremap(m, 8192, 8192, dont | MREMAP_FIXED, m + 4096), EINVAL, "over itself");
	is_errno((long)syscall(SYS_mremap, m, 4096, 4096, dont, at + 1), EINVAL, "a hint that is no page");
	is_errno((long)mremap(m + 6 * 4096, 4 * 4096, 4 * 4096, dont, NULL), EFAULT, "more than it is");

	q = mremap(m, 8 * 4096, 8 * 4096, dont, NULL);
	if (!ok(q != MAP_FAILED && q != m, "a shared mapping"))
		return;
	is_str(q + 4096, "second", "is there");
	strcpy(q, "by the new");
	is_str(m, "by the new", "and where it was");
	is_long(munmap(q, 8 * 4096), 0, "one goes");
	is_str(m + 4096, "second", "the other stays");

	strcpy(p + 4096, "private");
	q = mremap(p, 8 * 4096, 8 * 4096, dont | MREMAP_FIXED, at);
	if (!ok(q == at, "a private one, to a place"))
		return;
	is_str(q, "by the new", "the file's");
	is_str(q + 4096, "private", "its own page goes along");
	is_str(p + 4096, "second", "the file's is where it was");
	must(pwrite(fd, "changed", 8, 4096));
	is_str(p + 4096, "changed", "again");
	is_str(q + 4096, "private", "not the one that went");
	strcpy(p + 4096, "anew");
	is_str(p + 4096, "anew", "a new page of its own");
	q = mremap(p + 4096, 4096, 4096, dont, NULL);
	ok(q != MAP_FAILED && !strcmp(q, "anew") && !strcmp(p + 4096, "changed"), "a part");
	must(ftruncate(fd, 5 * 4096));
	must(pwrite(fd, "longer", 7, 4 * 4096));
	is_str(p + 4 * 4096, "longer", "what the file gets later is seen where it was");
	is_str(at + 4 * 4096, "longer", "and where it is");
	must(ftruncate(fd, 4096));
	must(ftruncate(fd, 8192));
	is_long(p[4096], 0, "and that it loses some");

	strcpy(host, "not the file's");
	q = mremap(host, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, m);
	ok(q == m && !strcmp(m, "not the file's"), "other memory takes its place");
	must(ftruncate(fd, 0));
	is_str(m, "not the file's", "and has nothing to do with the file");
}

T_SUBS = { { "sparse", s_sparse }, { "map", s_map }, T_END };

/* As Valgrind does: from then on a clock is a system call, also for who sets times of files. */
static void t_vdso(void)
{
	char *vdso = (char *)getauxval(AT_SYSINFO_EHDR);
	struct stat st = { 0 };
	int status, fd;
	pid_t pid = must(fork());

	if (!pid) {
		if (vdso && munmap(vdso, 2 * (size_t)sysconf(_SC_PAGESIZE)))
			_exit(1);
		fd = open("f", O_RDWR | O_CREAT, 0644);
		if (fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &st) || !st.st_mtime)
			_exit(2);
		_exit(close(fd) ? 3 : 0);
	}
	must(waitpid(pid, &status, 0));
	is_long(status, 0, "a program without its vdso writes a file");
	is_long(t_size("f"), 1, "which is there");
}

T_SECTIONS = {
	{ "shared", t_shared },
	{ "private", t_private },
	{ "errors", t_errors },
	{ "fork", t_fork },
	{ "other", t_other },
	{ "unlinked", t_unlinked },
	{ "endoffile", t_end_of_file },
	{ "large", t_large },
	{ "sparse", t_sparse },
	{ "sparsecalls", t_sparse_calls },
	{ "sparseshape", t_sparse_shape },
	{ "dontunmap", t_dontunmap },
	{ "vdso", t_vdso },
	{ "again", t_again },
	T_END,
};
