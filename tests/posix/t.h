/* SPDX-License-Identifier: MIT */
/*
 * t.h: what every program here shares. A program tests one area of POSIX in the directory
 * given as its first argument and prints TAP. The same program runs on tmpfs, where all
 * points must pass, and in Hare, where the same points must pass (suite.sh).
 *
 *	static void t_something(void) { ok(...); is_long(got, want, ...); ... }
 *	T_SECTIONS = { { "something", t_something }, T_END };
 *
 * Each section runs in a process and an empty directory of its own, so that one that
 * dies or hangs (20 s) costs only its own points. Points may be made in any descendant:
 * they are counted in shared memory and printed with one write each. A point's
 * description has the form "section: what" and must be the same in every run: no pids,
 * no paths of the outside.
 *
 * Work that another process does is best written as a sub, "static int s_name(argc,
 * argv)" listed in T_SUBS: t_start(T_FORK, "name", ...) runs it after fork only, T_EXEC
 * after an exec of this program too, which in Hare is what moves a process to another
 * core.
 */
#ifndef HARE_TESTS_POSIX_T_H
#define HARE_TESTS_POSIX_T_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { T_FORK, T_EXEC, T_NOBODY = 65534, T_SECTION_LIMIT = 60, T_MAX_ARGS = 16 };

struct t_section {
	const char *name;
	void (*fn)(void);
};

struct t_sub {
	const char *name;
	int (*fn)(int argc, char **argv);
};

struct t_counts {
	int n;
	int bad;
};

#define T_SECTIONS const struct t_section t_sections[]
#define T_SUBS	   const struct t_sub t_subs[]
#define T_END                                                                            \
	{                                                                                \
		NULL, NULL                                                               \
	}

extern const struct t_section t_sections[];
extern const struct t_sub t_subs[] __attribute__((weak));

static struct t_counts *t_counts;
static const char *t_name = "main";
static char t_self[PATH_MAX];
static char t_top[PATH_MAX];

/* The process group that t_start's children join; 0 is one of their own, -1 none. */
static pid_t t_pgid = -1;

#define T_UNUSED       __attribute__((unused))
#define T_PRINTF(f, a) __attribute__((format(printf, f, a), unused))

/* A diagnostic line, in one write. */
T_PRINTF(1, 2) static void t_diag(const char *fmt, ...)
{
	char buf[2048] = "# ";
	size_t len = 2;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + len, sizeof(buf) - len - 1, fmt, ap);
	va_end(ap);
	len = strlen(buf);
	buf[len++] = '\n';
	if (write(1, buf, len) != (ssize_t)len)
		_exit(99);
}

T_UNUSED static int t_vpoint(int good, const char *tail, const char *fmt, va_list ap)
{
	char buf[1024];
	int saved = errno;
	int n = __atomic_add_fetch(&t_counts->n, 1, __ATOMIC_SEQ_CST);
	size_t len;

	if (!good)
		__atomic_add_fetch(&t_counts->bad, 1, __ATOMIC_SEQ_CST);
	snprintf(buf, sizeof(buf), "%s %d - %s: ", good ? "ok" : "not ok", n, t_name);
	len = strlen(buf);
	vsnprintf(buf + len, sizeof(buf) - len - 64, fmt, ap);
	len = strlen(buf);
	snprintf(buf + len, sizeof(buf) - len, "%s\n", tail);
	len = strlen(buf);
	if (write(1, buf, len) != (ssize_t)len)
		_exit(99);
	errno = saved;
	return good;
}

/* ok(condition, "what", ...): one point; returns the condition. */
T_PRINTF(2, 3) static int ok(int good, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t_vpoint(good, "", fmt, ap);
	va_end(ap);
	return good;
}

/* A point that cannot be tried here, for a reason that is the same on tmpfs and in Hare. */
T_PRINTF(2, 3) static void t_skip(const char *why, const char *fmt, ...)
{
	char tail[128];
	va_list ap;

	snprintf(tail, sizeof(tail), " # SKIP %s", why);
	va_start(ap, fmt);
	t_vpoint(1, tail, fmt, ap);
	va_end(ap);
}

/* is_long(got, want, "what", ...): one point; both values are shown on failure. */
T_PRINTF(3, 4) static int is_long(long got, long want, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	t_vpoint(got == want, "", fmt, ap);
	va_end(ap);
	if (got != want)
		t_diag("got %ld, want %ld (errno %d %s)", got, want, saved,
		       strerror(saved));
	return got == want;
}

T_PRINTF(3, 4) static int is_str(const char *got, const char *want, const char *fmt, ...)
{
	int good = got && strcmp(got, want) == 0;
	va_list ap;

	va_start(ap, fmt);
	t_vpoint(good, "", fmt, ap);
	va_end(ap);
	if (!good)
		t_diag("got '%.200s', want '%.200s'", got ? got : "(null)", want);
	return good;
}

T_PRINTF(4, 5) static int t_errno(long r, int err, int want, const char *fmt, ...)
{
	int good = r == -1 && err == want;
	va_list ap;

	va_start(ap, fmt);
	t_vpoint(good, "", fmt, ap);
	va_end(ap);
	if (!good && r != -1)
		t_diag("got %ld, want errno %d %s", r, want, strerror(want));
	else if (!good)
		t_diag("got errno %d %s, want %d %s", err, strerror(err), want,
		       strerror(want));
	return good;
}

T_PRINTF(3, 4) static long t_good(long r, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t_vpoint(r != -1, "", fmt, ap);
	va_end(ap);
	if (r == -1)
		t_diag("got errno %d %s", err, strerror(err));
	return r;
}

/* is_errno(call, errno, "what", ...): the call returns -1 with this errno. */
#define is_errno(call, want, ...)                                                        \
	({                                                                               \
		errno = 0;                                                               \
		long r_ = (long)(call);                                                  \
		t_errno(r_, errno, want, __VA_ARGS__);                                   \
	})

/* is_ok(call, "what", ...): the call does not return -1; its value is the expression's. */
#define is_ok(call, ...)                                                                 \
	({                                                                               \
		errno = 0;                                                               \
		long r_ = (long)(call);                                                  \
		t_good(r_, errno, __VA_ARGS__);                                          \
	})

/* must(call): for preparation that is no point of its own; the section ends if it fails. */
#define must(call)                                                                       \
	({                                                                               \
		errno = 0;                                                               \
		long r_ = (long)(call);                                                  \
		if (r_ == -1) {                                                          \
			t_diag("line %d: %s: %s", __LINE__, #call, strerror(errno));     \
			_exit(98);                                                       \
		}                                                                        \
		r_;                                                                      \
	})

/* A file with these contents; -1 when it could not be made. */
T_UNUSED static int t_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	ssize_t len = (ssize_t)strlen(text);

	if (fd < 0)
		return -1;
	if (write(fd, text, (size_t)len) != len) {
		close(fd);
		return -1;
	}
	return close(fd);
}

/* A file's first bytes as a string, in one of four static buffers; NULL on failure. */
T_UNUSED static const char *t_get(const char *path)
{
	static char bufs[4][8192];
	static int next;
	char *buf = bufs[next++ % 4];
	int fd = open(path, O_RDONLY);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return NULL;
	while (len < 8191 && (n = read(fd, buf + len, 8191 - len)) > 0)
		len += (size_t)n;
	close(fd);
	buf[len] = 0;
	return n < 0 ? NULL : buf;
}

T_UNUSED static int t_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

T_UNUSED static long t_size(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? (long)st.st_size : -1;
}

T_UNUSED static long t_nlink(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? (long)st.st_nlink : -1;
}

T_UNUSED static long t_mode(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? (long)st.st_mode & 07777 : -1;
}

T_UNUSED static int t_same(const char *a, const char *b)
{
	struct stat x, y;

	return lstat(a, &x) == 0 && lstat(b, &y) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

T_UNUSED static int t_is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

/* Is the host's Linux that version, or later? */
T_UNUSED static int t_kernel(int major, int minor)
{
	struct utsname u;
	int a = 0, b = 0;

	if (uname(&u) == 0)
		sscanf(u.release, "%d.%d", &a, &b);
	return a > major || (a == major && b >= minor);
}

T_UNUSED static void t_sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) == -1 && errno == EINTR)
		;
}

/* Waits for a child: its exit status, 1000 + the signal, or -1. */
T_UNUSED static int t_end(pid_t pid)
{
	int status;

	if (pid < 0) /* of a fork that failed: not any child */
		return -1;
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			return -1;
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* fork, whose child is user and group "nobody" when we are root. */
T_UNUSED static pid_t t_fork_nobody(void)
{
	pid_t pid = fork();

	if (pid == 0 && geteuid() == 0 &&
	    (setgroups(0, NULL) || setgid(T_NOBODY) || setuid(T_NOBODY)))
		_exit(97);
	return pid;
}

static int t_run_sub(const char *name, int argc, char **argv)
{
	for (const struct t_sub *s = t_subs; s && s->name; s++)
		if (strcmp(s->name, name) == 0)
			return s->fn(argc, argv);
	t_diag("no sub '%s'", name);
	return 96;
}

/* Starts a sub in a child: t_start(T_EXEC, "name", "arg", ..., NULL). */
T_UNUSED static pid_t t_start(int how, const char *name, ...)
{
	char *argv[T_MAX_ARGS + 4] = { t_self, (char *)"--sub", (char *)name };
	int argc = 3;
	va_list ap;
	pid_t pid;

	va_start(ap, name);
	while (argc < T_MAX_ARGS + 3 && (argv[argc] = va_arg(ap, char *)) != NULL)
		argc++;
	va_end(ap);
	pid = fork();
	if (pid != 0)
		return pid;
	if (t_pgid != -1)
		setpgid(0, t_pgid);
	if (how == T_EXEC) {
		execv(t_self, argv);
		_exit(95);
	}
	_exit(t_run_sub(name, argc - 3, argv + 3));
}

/* A number as text, in one of eight buffers of this thread: for t_start's arguments. */
T_UNUSED static char *t_num(long n)
{
	static __thread char bufs[8][24];
	static __thread int next;
	char *buf = bufs[next++ % 8];

	snprintf(buf, sizeof(bufs[0]), "%ld", n);
	return buf;
}

static void t_run_section(const struct t_section *s)
{
	char dir[64];
	pid_t pid;
	int how;

	t_name = s->name;
	snprintf(dir, sizeof(dir), "t_%s", s->name);
	if (mkdir(dir, 0777) || chmod(dir, 0777)) {
		ok(0, "its directory is made: %s", strerror(errno));
		return;
	}
	pid = fork();
	if (pid == 0) {
		if (chdir(dir) || !getcwd(t_top, sizeof(t_top)))
			_exit(94);
		alarm(T_SECTION_LIMIT);
		s->fn();
		_exit(0);
	}
	how = t_end(pid);
	if (!ok(how == 0, "ran to its end"))
		t_diag(how == 1000 + SIGALRM ? "it hung" : "its status was %d", how);
}

int main(int argc, char **argv)
{
	ssize_t n = readlink("/proc/self/exe", t_self, sizeof(t_self) - 1);

	if (argc > 2 && strcmp(argv[1], "--sub") == 0)
		return t_run_sub(argv[2], argc - 3, argv + 3);
	t_counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (argc < 2 || t_counts == MAP_FAILED || n <= 0) {
		t_diag("usage: %s DIRECTORY", argv[0]);
		return 2;
	}
	if (chdir(argv[1])) {
		t_diag("'%s': %s", argv[1], strerror(errno));
		return 2;
	}
	umask(022);
	signal(SIGPIPE, SIG_DFL);
	for (const struct t_section *s = t_sections; s->name; s++)
		if (argc < 3 || strcmp(argv[2], s->name) == 0)
			t_run_section(s);
	printf("1..%d\n", t_counts->n);
	return t_counts->bad != 0;
}

#endif
