/* SPDX-License-Identifier: MIT */
/* Files that become shorter while they are mapped, here and by other processes: SIGBUS behind the
 * end, zeroes up to the end of the last page, and what is new when they grow again. */
#include <setjmp.h>

#include "t.h"

enum { PG = 4096, PAGES = 6 };

static sigjmp_buf back;
static volatile int bus_code;
static char *volatile bus_addr;

static void on_bus(int sig, siginfo_t *info, void *uc)
{
	(void)sig;
	(void)uc;
	bus_code = info->si_code;
	bus_addr = info->si_addr;
	siglongjmp(back, 1);
}

static void catch_bus(void)
{
	struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };

	must(sigaction(SIGBUS, &sa, NULL));
}

/* What a byte is to the program: itself, '0' for zero, 'B' for SIGBUS. */
static char peek(const char *p)
{
	char c;

	if (sigsetjmp(back, 1))
		return 'B';
	c = *(const volatile char *)p;
	return c ? c : '0';
}

/* The first byte of each page. */
static const char *look(const char *p, int pages)
{
	static char buf[2][PAGES + 1];
	static int n;
	char *s = buf[n++ % 2];

	for (int i = 0; i < pages; i++)
		s[i] = peek(p + i * PG);
	s[pages] = 0;
	return s;
}

/* A file of pages that begin with a, b, c ... and end with z. */
static int make(const char *name, int pages)
{
	int fd = must(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));

	for (int i = 0; i < pages; i++) {
		char page[PG];

		memset(page, 'z', PG);
		page[0] = (char)('a' + i);
		must(pwrite(fd, page, PG, (off_t)i * PG));
	}
	return fd;
}

static char *map(int fd, int pages, int flags)
{
	char *p = mmap(NULL, (size_t)pages * PG, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		_exit(97);
	return p;
}

static void t_own(void)
{
	int fd = make("f", 4), zero = 1;
	char *s = map(fd, PAGES, MAP_SHARED), *p = map(fd, PAGES, MAP_PRIVATE), page[PG];

	catch_bus();
	is_str(look(s, PAGES), "abcdBB", "shared");
	is_str(look(p, PAGES), "abcdBB", "private");
	p[2 * PG] = 'P';
	p[1] = 'P';
	is_long(ftruncate(fd, PG + 10), 0, "shorter");
	is_str(look(s, PAGES), "abBBBB", "shared ends there");
	is_str(look(p, PAGES), "abBBBB", "private too, also where it was stored to");
	is_long(peek(s + 2 * PG + 123), 'B', "in the page");
	is_long(bus_code, BUS_ADRERR, "si_code");
	ok(bus_addr == s + 2 * PG + 123, "si_addr");
	for (int i = PG + 10; i < 2 * PG; i++)
		zero &= s[i] == 0;
	ok(zero, "the rest of the last page is zero");
	is_long(p[1], 'P', "what was stored before the end stays");
	is_long(ftruncate(fd, 4 * PG), 0, "longer");
	is_str(look(s, PAGES), "ab00BB", "shared has zeroes");
	is_str(look(p, PAGES), "ab00BB", "private too");
	memset(page, 'n', PG);
	must(pwrite(fd, page, PG, 3 * PG));
	is_str(look(s, PAGES), "ab0nBB", "and what is written");
	is_long(ftruncate(fd, 0), 0, "to nothing");
	is_str(look(s, PAGES), "BBBBBB", "shared");
	is_str(look(p, PAGES), "BBBBBB", "private");
	must(pwrite(fd, "new", 3, 0));
	is_str(look(s, PAGES), "nBBBBB", "new contents");
	must(close(open("f", O_WRONLY | O_TRUNC)));
	is_str(look(s, PAGES), "BBBBBB", "O_TRUNC");
	must(pwrite(fd, page, PG, PG));
	is_long(truncate("f", PG + 1), 0, "truncate");
	is_str(look(s, PAGES), "0nBBBB", "is the same");
	is_long(s[PG + 1], 0, "to the byte");
}

static void t_calls(void)
{
	int fd = make("f", 4), out = must(open("out", O_RDWR | O_CREAT, 0644));
	char *s = map(fd, 4, MAP_SHARED), *q;

	catch_bus();
	must(ftruncate(fd, PG));
	is_errno(write(out, s + PG, 10), EFAULT, "write from behind the end");
	is_errno(pread(out, s + 2 * PG, 10, 0) == 0 ? -1 : 0, 0, "a read of nothing");
	must(write(out, "0123456789", 10));
	is_errno(pread(out, s + 2 * PG, 10, 0), EFAULT, "read to behind the end");
	is_long(msync(s, 4 * PG, MS_SYNC), 0, "msync of all of it");
	q = mremap(s, 4 * PG, 5 * PG, MREMAP_MAYMOVE);
	ok(q != MAP_FAILED, "mremap");
	is_str(look(q, 5), "aBBBB", "what it shows");
	is_long(mprotect(q + PG, 2 * PG, PROT_READ), 0, "mprotect behind the end");
	is_long(peek(q + PG), 'B', "does not help");
	is_long(munmap(q + 2 * PG, PG), 0, "munmap of a page behind the end");
	must(pwrite(fd, "X", 1, 3 * PG));
	is_str(look(q, 2), "a0", "the file grows before the gap");
	is_long(peek(q + 3 * PG), 'X', "and behind it");
	is_long(munmap(q, 5 * PG), 0, "munmap of all");
}

static void t_punch(void)
{
	int fd = make("f", 5);
	char *s = map(fd, 5, MAP_SHARED), *p = map(fd, 5, MAP_PRIVATE);

	catch_bus();
	p[2 * PG] = 'P';
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PG - 5, 2 * PG + 10)) {
		t_skip("no holes", "a hole");
		return;
	}
	is_str(look(s, 5), "a000e", "shared shows the hole");
	is_str(look(p, 5), "a0P0e", "private too, but not where it was stored to");
	is_long(s[PG - 6], 'z', "before its first byte");
	is_long(s[PG - 5], 0, "its first byte");
	is_long(s[3 * PG + 4], 0, "its last byte");
	is_long(s[3 * PG + 5], 'z', "behind it");
	s[PG] = 'S';
	is_str(look(s, 5), "aS00e", "it can be stored to");
	must(pwrite(fd, "W", 1, 2 * PG));
	is_str(look(s, 5), "aSW0e", "and written");
}

/* Blocks that are free again are other files' by now. */
static void t_reuse(void)
{
	int fd = make("f", PAGES), good = 1;
	char *s = map(fd, PAGES, MAP_SHARED), *p = map(fd, PAGES, MAP_PRIVATE), name[8];

	catch_bus();
	must(ftruncate(fd, PG));
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		must(close(make(name, PAGES)));
		good &= !strcmp(look(s, PAGES), "aBBBBB") && !strcmp(look(p, PAGES), "aBBBBB");
	}
	ok(good, "nothing of other files is seen");
	must(munmap(s, PAGES * PG));
	must(munmap(p, PAGES * PG));
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		fd = must(open(name, O_RDWR));
		s = map(fd, PAGES, MAP_SHARED);
		good &= !strcmp(look(s, PAGES), "abcdef");
		must(close(fd));
		must(munmap(s, PAGES * PG));
	}
	ok(good, "nor did they change");
}

/* watch FILE HOW IN OUT: maps a file; then for each byte read from IN tells what its pages show. */
static int s_watch(int argc, char **argv)
{
	int fd = open(argv[0], O_RDWR), in = atoi(argv[2]), out = atoi(argv[3]);
	char *p = map(fd, PAGES, argv[1][0] == 's' ? MAP_SHARED : MAP_PRIVATE), c;

	catch_bus();
	look(p, PAGES);
	if (argv[1][0] == 'c')
		p[2 * PG] = 'P';
	if (write(out, "r", 1) != 1)
		return 1;
	while (read(in, &c, 1) == 1)
		if (write(out, c == 't' ? look(p + PG + 10, 1) : look(p, PAGES),
			  c == 't' ? 1 : PAGES) < 0)
			return 2;
	return argc != 4;
}

struct watcher {
	pid_t pid;
	int to, from;
};

static struct watcher watch(int how, const char *file, const char *kind)
{
	struct watcher w;
	int to[2], from[2];
	char c;

	must(pipe2(to, 0));
	must(pipe2(from, 0));
	fcntl(to[1], F_SETFD, FD_CLOEXEC);
	fcntl(from[0], F_SETFD, FD_CLOEXEC);
	w.pid = must(t_start(how, "watch", file, kind, t_num(to[0]), t_num(from[1]), NULL));
	close(to[0]);
	close(from[1]);
	w.to = to[1];
	w.from = from[0];
	must(read(w.from, &c, 1) == 1 ? 0 : -1);
	return w;
}

static const char *asked(struct watcher *w, char what)
{
	static char buf[PAGES + 1];
	ssize_t n;

	must(write(w->to, &what, 1));
	n = read(w->from, buf, PAGES);
	buf[n < 0 ? 0 : n] = 0;
	return buf;
}

static void end_watch(struct watcher *w, int how)
{
	close(w->to);
	close(w->from);
	if (how == T_FORK) /* it has the other end itself */
		kill(w->pid, SIGKILL);
	t_end(w->pid);
}

static void watched(int how, const char *kind, const char *what)
{
	int fd = make("f", 4);
	struct watcher w;

	must(close(fd));
	w = watch(how, "f", kind);
	is_str(asked(&w, 'l'), *kind == 'c' ? "abPdBB" : "abcdBB", "%s: before", what);
	is_long(truncate("f", PG + 10), 0, "%s: shorter", what);
	is_str(asked(&w, 'l'), "abBBBB", "%s: it ends there", what);
	is_str(asked(&w, 't'), "0", "%s: the rest of the last page", what);
	fd = must(open("f", O_RDWR));
	must(pwrite(fd, "N", 1, 3 * PG));
	must(close(fd));
	is_str(asked(&w, 'l'), "ab0NBB", "%s: longer again", what);
	must(close(open("f", O_WRONLY | O_TRUNC)));
	is_str(asked(&w, 'l'), "BBBBBB", "%s: O_TRUNC", what);
	for (int i = 0; i < 10; i++) {
		char name[8];

		snprintf(name, sizeof(name), "g%d", i);
		must(close(make(name, PAGES)));
	}
	is_str(asked(&w, 'l'), "BBBBBB", "%s: nothing of other files", what);
	end_watch(&w, how);
}

static void t_other(void)
{
	watched(T_FORK, "s", "a child, shared");
	watched(T_FORK, "p", "a child, private");
	watched(T_FORK, "c", "a child, private and stored to");
	watched(T_EXEC, "s", "a program, shared");
	watched(T_EXEC, "p", "a program, private");
	watched(T_EXEC, "c", "a program, private and stored to");
}

/* A mapping that fork left to a child, and one with an own copy of a page. */
static void t_inherited(void)
{
	int fd = make("f", 4), to[2], from[2];
	char *s = map(fd, PAGES, MAP_SHARED), *p = map(fd, PAGES, MAP_PRIVATE), c, got[13] = "";
	pid_t pid;

	catch_bus();
	p[3 * PG] = 'P';
	must(pipe(to));
	must(pipe(from));
	pid = fork();
	if (pid == 0) {
		if (read(to[0], &c, 1) != 1)
			_exit(1);
		_exit(write(from[1], look(s, PAGES), PAGES) < 0 ||
		      write(from[1], look(p, PAGES), PAGES) < 0);
	}
	must(ftruncate(fd, 2 * PG));
	is_str(look(s, PAGES), "abBBBB", "the parent's");
	must(write(to[1], "x", 1));
	must(t_end(pid));
	must(read(from[0], got, 12));
	is_str(got, "abBBBBabBBBB", "the child's");
}

/* spin FILE OUT: touches page 2 and makes no system call until that gives SIGBUS. */
static int s_spin(int argc, char **argv)
{
	char *p = map(open(argv[0], O_RDWR), PAGES, MAP_SHARED);

	catch_bus();
	if (write(atoi(argv[1]), "r", 1) != 1)
		return 1;
	while (peek(p + 2 * PG) != 'B')
		;
	return argc != 2 || strcmp(look(p, 3), "abB");
}

static void spun(int how, const char *what)
{
	pid_t pid[3];
	int p[2];
	char c;

	must(close(make("f", 4)));
	must(pipe(p));
	for (int i = 0; i < 3; i++)
		pid[i] = must(t_start(how, "spin", "f", t_num(p[1]), NULL));
	for (int i = 0; i < 3; i++)
		must(read(p[0], &c, 1));
	is_long(truncate("f", 2 * PG), 0, "%s: shorter", what);
	for (int i = 0; i < 3; i++)
		is_long(t_end(pid[i]), 0, "%s: SIGBUS in the midst of a loop", what);
	close(p[0]);
	close(p[1]);
}

static void t_spin(void)
{
	spun(T_FORK, "children");
	spun(T_EXEC, "programs");
}

/* sleep FILE OUT: is asleep in the host's calls meanwhile. */
static int s_sleep(int argc, char **argv)
{
	char *p = map(open(argv[0], O_RDWR), PAGES, MAP_SHARED);
	struct timespec ts = { 0, 100000000 }, left = { 0, 0 };

	catch_bus();
	look(p, PAGES);
	for (int i = 0; i < 5; i++) {
		if (write(atoi(argv[1]), "r", 1) != 1)
			return 1;
		if (nanosleep(&ts, &left) || poll(NULL, 0, 50))
			return 2;
	}
	return argc != 2;
}

static void t_asleep(void)
{
	int p[2], fd;
	pid_t pid;
	char c;

	fd = make("f", 4);
	must(pipe(p));
	pid = must(t_start(T_EXEC, "sleep", "f", t_num(p[1]), NULL));
	for (int i = 0; i < 5; i++) {
		must(read(p[0], &c, 1));
		must(ftruncate(fd, i % 2 ? 4 * PG : 0));
	}
	is_long(t_end(pid), 0, "no sleep is cut short");
}

static void t_stopped(void)
{
	struct watcher w;
	int st;

	must(close(make("f", 4)));
	w = watch(T_EXEC, "f", "s");
	must(kill(w.pid, SIGSTOP));
	must(waitpid(w.pid, &st, WUNTRACED));
	is_long(truncate("f", PG), 0, "shorter while it is stopped");
	must(kill(w.pid, SIGCONT));
	is_str(asked(&w, 'l'), "aBBBBB", "it goes on and sees the end");
	end_watch(&w, T_EXEC);
}

/* Stopped at an instruction of its own, in no call. */
static void t_stopped_running(void)
{
	volatile int *flag = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = make("f", 4), st;
	pid_t pid;

	if (flag == MAP_FAILED)
		_exit(97);
	pid = fork();
	if (pid == 0) {
		char *p = map(fd, 4, MAP_SHARED);

		catch_bus();
		look(p, 4);
		for (flag[0] = 1; !flag[1];)
			flag[2]++;
		_exit(peek(p + 2 * PG));
	}
	while (!flag[2])
		usleep(1000);
	must(kill(pid, SIGSTOP));
	must(waitpid(pid, &st, WUNTRACED));
	is_long(ftruncate(fd, PG), 0, "shorter while it is stopped in a loop");
	flag[1] = 1;
	must(kill(pid, SIGCONT));
	is_long(t_end(pid), 'B', "it goes on and sees the end");
}

/* traps FILE OUT: system calls at places that none was made at before. */
static int s_traps(int argc, char **argv)
{
	char *p = map(open(argv[0], O_RDWR), PAGES, MAP_SHARED);
	long pid = getpid(), stubs = 20000, bad = 0;
	unsigned char *code = mmap(NULL, (size_t)stubs * 8, PROT_READ | PROT_WRITE | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (code == MAP_FAILED)
		return 3;
	for (long i = 0; i < stubs; i++) /* mov $SYS_getpid, %eax; syscall; ret */
		memcpy(code + i * 8, (unsigned char[]){ 0xb8, SYS_getpid, 0, 0, 0, 0x0f, 0x05, 0xc3 }, 8);
	catch_bus();
	if (write(atoi(argv[1]), "r", 1) != 1)
		return 1;
	for (long i = 0; i < stubs; i++) {
		if (i % 4 == 0)
			peek(p);
		bad += ((long (*)(void))(void *)(code + i * 8))() != pid;
	}
	if (bad)
		t_diag("%ld calls were not made", bad);
	return bad != 0 || argc != 2;
}

static void t_traps(void)
{
	int p[2], fd = make("f", 4), st;
	pid_t pid;
	char c;

	must(pipe(p));
	pid = must(t_start(T_EXEC, "traps", "f", t_num(p[1]), NULL));
	must(read(p[0], &c, 1));
	while (waitpid(pid, &st, WNOHANG) == 0) {
		must(ftruncate(fd, 0));
		must(ftruncate(fd, 4 * PG));
	}
	is_long(st, 0, "no system call is lost");
}

/* Both cut and grow what both have mapped: nobody waits for ever, nobody sees what is not there. */
static int s_busy(int argc, char **argv)
{
	int fd = open(argv[0], O_RDWR);
	char *p = map(fd, PAGES, MAP_SHARED);

	catch_bus();
	for (int i = 0; i < 100; i++) {
		if (ftruncate(fd, i % 3 * PG) || pwrite(fd, "x", 1, i % PAGES * PG) != 1) {
			t_diag("step %d: %s", i, strerror(errno));
			return 1;
		}
		for (const char *s = look(p, PAGES); *s; s++)
			if (!strchr("Bx0", *s))
				return 2;
	}
	return argc != 1;
}

static void t_both(void)
{
	pid_t pid[4];

	must(close(open("f", O_RDWR | O_CREAT, 0644)));
	for (int i = 0; i < 4; i++)
		pid[i] = must(t_start(i % 2 ? T_EXEC : T_FORK, "busy", "f", NULL));
	for (int i = 0; i < 4; i++)
		is_long(t_end(pid[i]), 0, "process %d", i);
}

T_SUBS = { { "watch", s_watch },
	   { "spin", s_spin },
	   { "sleep", s_sleep },
	   { "traps", s_traps },
	   { "busy", s_busy },
	   T_END };

T_SECTIONS = {
	{ "own", t_own },	    { "calls", t_calls },   { "punch", t_punch },
	{ "reuse", t_reuse },	    { "other", t_other },   { "inherited", t_inherited },
	{ "spin", t_spin },	    { "asleep", t_asleep }, { "stopped", t_stopped },
	{ "stopped_running", t_stopped_running },	    { "traps", t_traps },
	{ "both", t_both },	    T_END,
};
