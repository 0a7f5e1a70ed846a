/* SPDX-License-Identifier: MIT */
/*
 * threads DIRECTORY SECONDS: 64 threads in one process do file operations, signals and starts
 * of programs at the same time, each verifying what it did; the same on tmpfs and in Hare.
 *
 * For half of the time all threads work to the end. For the other half, children with 64 such
 * threads each are ended by an exec in one of them, which must find the process as exec
 * leaves it. Every thread is sent signals all the while: a handler with SA_RESTART must
 * not be noticed by any call, one without only by calls that wait.
 *
 * Ends with status 0 when all was as it should be; else says what was not.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 64, FILE_MAX = 200000, NAMES = 24, RECORD = 24, SHOWN = 20 };

struct worker {
	pthread_t thread;
	int n; /* its number */
	unsigned seed;
	long rounds;
	int in; /* of a pair that has a pipe: where it reads, or writes */
	bool eof;
	int sent, got; /* counted signals */
};

static struct worker workers[THREADS];
static char self[PATH_MAX];
static int log_fd, failures;
static volatile int ending;

static void fail(const char *fmt, ...)
{
	int err = errno;
	char buf[512];
	va_list ap;

	if (__atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST) > SHOWN)
		return;
	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	dprintf(2, "%s (errno %d %s)\n", buf, err, strerror(err));
}

#define CHECK(good, ...)                                                                 \
	do {                                                                             \
		if (!(good))                                                             \
			fail(__VA_ARGS__);                                               \
	} while (0)

static unsigned rnd(struct worker *w, unsigned below)
{
	return (unsigned)rand_r(&w->seed) % below;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- signals ---------------------------------------------------------------------- */

static __thread struct worker *me;

static void on_count(int sig)
{
	(void)sig;
	if (me)
		__atomic_add_fetch(&me->got, 1, __ATOMIC_SEQ_CST);
}

static void on_interrupt(int sig)
{
	(void)sig;
}

static void handlers(void)
{
	struct sigaction sa = { .sa_handler = on_count, .sa_flags = SA_RESTART };

	sigaction(SIGRTMIN, &sa, NULL);
	sa.sa_handler = on_interrupt;
	sa.sa_flags = 0;
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
}

/* A call that waits may be interrupted by SIGUSR1, and is made again. */
#define AGAIN(call)                                                                      \
	({                                                                               \
		long r_;                                                                 \
		do                                                                       \
			r_ = (long)(call);                                               \
		while (r_ == -1 && errno == EINTR);                                      \
		r_;                                                                      \
	})

/* Signals to all: each real-time one arrives, once. */
static void signals(struct worker *w)
{
	struct timespec ts = { 0, 200000 };
	struct worker *to = &workers[rnd(w, THREADS)];
	union sigval v = { .sival_int = 1 };
	int err = pthread_sigqueue(to->thread, SIGRTMIN, v);

	if (err == 0)
		__atomic_add_fetch(&to->sent, 1, __ATOMIC_SEQ_CST);
	else
		CHECK(err == EAGAIN, "sigqueue: %d", err);
	if (rnd(w, 4) == 0)
		pthread_kill(workers[rnd(w, THREADS)].thread, SIGUSR1);
	nanosleep(&ts, NULL);
}

/* --- files -------------------------------------------------------------------------- */

/* A file beside a copy of it in memory. */
struct model {
	int fd;
	size_t size;
	char *data;
	char name[32];
};
static __thread struct model model;

static void model_open(struct worker *w)
{
	struct model *m = &model;

	if (!m->data) {
		m->data = calloc(1, FILE_MAX);
		snprintf(m->name, sizeof(m->name), "f%d", w->n);
		m->fd = open(m->name, O_RDWR | O_CREAT | O_EXCL, 0644);
		CHECK(m->fd >= 0, "%s: cannot be made", m->name);
	} else if (rnd(w, 8) == 0) {
		CHECK(close(m->fd) == 0, "close");
		m->fd = open(m->name, O_RDWR);
		CHECK(m->fd >= 0, "%s: cannot be opened again", m->name);
	}
}

static void model_write(struct worker *w)
{
	struct model *m = &model;
	size_t off = rnd(w, FILE_MAX - 20000), len = 1 + rnd(w, 20000);

	memset(m->data + off, 'a' + (int)rnd(w, 26), len);
	if (off + len > m->size)
		m->size = off + len;
	CHECK(pwrite(m->fd, m->data + off, len, (off_t)off) == (ssize_t)len, "pwrite");
}

static void model_cut(struct worker *w)
{
	struct model *m = &model;
	size_t size = rnd(w, FILE_MAX);

	CHECK(ftruncate(m->fd, (off_t)size) == 0, "ftruncate");
	if (size < m->size)
		memset(m->data + size, 0, m->size - size);
	m->size = size;
}

static void model_mapped(struct worker *w)
{
	struct model *m = &model;
	char *map;
	size_t off;

	if (m->size == 0)
		return;
	map = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	if (map == MAP_FAILED) {
		fail("mmap");
		return;
	}
	CHECK(memcmp(map, m->data, m->size) == 0, "%s: the mapping differs", m->name);
	off = rnd(w, (unsigned)m->size);
	map[off] = m->data[off] = 'M';
	CHECK(munmap(map, m->size) == 0, "munmap");
}

static void model_compare(struct worker *w)
{
	struct model *m = &model;
	size_t off = rnd(w, FILE_MAX), len = rnd(w, 60000), want;
	static __thread char buf[60000];
	struct stat st;
	ssize_t n = pread(m->fd, buf, len, (off_t)off);

	want = off >= m->size ? 0 : m->size - off < len ? m->size - off : len;
	CHECK(n == (ssize_t)want, "%s: pread gave %zd, not %zu", m->name, n, want);
	CHECK(n <= 0 || memcmp(buf, m->data + off, (size_t)n) == 0, "%s: data differs",
	      m->name);
	CHECK(fstat(m->fd, &st) == 0 && st.st_size == (off_t)m->size, "%s: its size",
	      m->name);
}

static void file(struct worker *w)
{
	model_open(w);
	switch (rnd(w, 8)) {
	case 0:
		model_cut(w);
		break;
	case 1:
		model_mapped(w);
		break;
	case 2:
	case 3:
	case 4:
		model_write(w);
		break;
	default:
		break;
	}
	model_compare(w);
}

/* --- names -------------------------------------------------------------------------- */

static __thread unsigned present; /* a bit for each name of the thread's directory */

static void name_of(struct worker *w, char buf[32], unsigned i)
{
	snprintf(buf, 32, "d%d/n%u", w->n, i);
}

static void name_make(struct worker *w, unsigned i)
{
	char name[32], other[32];
	unsigned j = rnd(w, NAMES);
	bool linked = (present & 1u << j) && j != i;
	int r;

	name_of(w, name, i);
	name_of(w, other, j);
	r = linked ? link(other, name) : open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (present & 1u << i)
		CHECK(r == -1 && errno == EEXIST, "%s: made twice", name);
	else
		CHECK(r >= 0, "%s: cannot be made", name);
	if (!linked && r >= 0)
		close(r);
	present |= 1u << i;
}

static void name_remove(struct worker *w, unsigned i)
{
	char name[32];
	int r;

	name_of(w, name, i);
	r = unlink(name);
	if (present & 1u << i)
		CHECK(r == 0, "%s: cannot be removed", name);
	else
		CHECK(r == -1 && errno == ENOENT, "%s: removed twice", name);
	present &= ~(1u << i);
}

static void name_move(struct worker *w, unsigned i)
{
	char from[32], to[32];
	unsigned j = rnd(w, NAMES);
	struct stat a, b;
	bool same;
	int r;

	name_of(w, from, i);
	name_of(w, to, j);
	same = stat(from, &a) == 0 && stat(to, &b) == 0 && a.st_ino == b.st_ino;
	r = rename(from, to);
	if (!(present & 1u << i)) {
		CHECK(r == -1 && errno == ENOENT, "%s: renamed though absent", from);
		return;
	}
	CHECK(r == 0, "%s: cannot be renamed", from);
	if (!same)
		present = (present & ~(1u << i)) | 1u << j;
}

static void name_list(struct worker *w)
{
	unsigned seen = 0, i;
	char name[32];
	struct dirent *e;
	DIR *d;

	snprintf(name, sizeof(name), "d%d", w->n);
	d = opendir(name);
	if (!d) {
		fail("%s: cannot be listed", name);
		return;
	}
	while ((e = readdir(d)) != NULL)
		if (sscanf(e->d_name, "n%u", &i) == 1 && i < NAMES)
			seen |= 1u << i;
	CHECK(seen == present, "%s: lists %x, not %x", name, seen, present);
	closedir(d);
}

static void names(struct worker *w)
{
	char name[32];

	if (w->rounds == 0) {
		snprintf(name, sizeof(name), "d%d", w->n);
		CHECK(mkdir(name, 0755) == 0, "mkdir %s", name);
	}
	switch (rnd(w, 4)) {
	case 0:
		name_remove(w, rnd(w, NAMES));
		break;
	case 1:
		name_move(w, rnd(w, NAMES));
		break;
	default:
		name_make(w, rnd(w, NAMES));
	}
	if (rnd(w, 8) == 0)
		name_list(w);
}

/* --- things shared by threads --------------------------------------------------------- */

static void append(struct worker *w)
{
	char rec[RECORD + 1];

	snprintf(rec, sizeof(rec), "%4d %18ld\n", w->n, w->rounds);
	CHECK(write(log_fd, rec, RECORD) == RECORD, "append");
	if (w->rounds % 64 == 63)
		usleep(1000); /* the log need not fill the memory */
}

/* A number in a file, counted up by many under a lock. */
static void count_locked(struct worker *w)
{
	long n = 0;
	int fd = open("count", O_RDWR);

	CHECK(fd >= 0, "count: cannot be opened");
	CHECK(AGAIN(flock(fd, LOCK_EX)) == 0, "flock");
	CHECK(pread(fd, &n, sizeof(n), 0) == sizeof(n), "count: cannot be read");
	n++;
	CHECK(pwrite(fd, &n, sizeof(n), 0) == sizeof(n), "count: cannot be written");
	close(fd);
	(void)w;
}

static void pipe_write(struct worker *w)
{
	long words[600];
	size_t len = sizeof(long) * (1 + rnd(w, 600)), done = 0;

	for (size_t i = 0; i < len / sizeof(long); i++)
		words[i] = w->rounds + (long)i;
	w->rounds += (long)(len / sizeof(long)) - 1;
	while (done < len) {
		long n = AGAIN(write(w->in, (char *)words + done, len - done));

		if (n <= 0) {
			fail("a pipe's write gave %ld", n);
			return;
		}
		done += (size_t)n;
	}
}

/* The numbers come in their order. A signal may cut them anywhere. */
static __thread size_t part;
static __thread long partial;

static void pipe_read(struct worker *w)
{
	char buf[2000];
	long n = AGAIN(read(w->in, buf, 1 + rnd(w, sizeof(buf))));

	CHECK(n >= 0, "a pipe's read");
	w->eof = n <= 0;
	for (long i = 0; i < n; i++) {
		((char *)&partial)[part++] = buf[i];
		if (part < sizeof(partial))
			continue;
		part = 0;
		CHECK(partial == w->rounds, "a pipe gave %ld, not %ld", partial,
		      w->rounds);
		w->rounds = partial + 1;
	}
	w->rounds--;
}

/* --- programs ----------------------------------------------------------------------- */

static int status_of(pid_t pid)
{
	int status;

	if (AGAIN(waitpid(pid, &status, 0)) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void look_at(struct worker *w, const char *name, const char *want)
{
	char buf[64] = "";
	int fd = open(name, O_RDONLY);

	CHECK(fd >= 0 && read(fd, buf, sizeof(buf) - 1) >= 0 && strcmp(buf, want) == 0,
	      "%s: has '%s', not '%s'", name, buf, want);
	close(fd);
	CHECK(unlink(name) == 0, "%s: cannot be removed", name);
	(void)w;
}

/* A child, by fork or vfork, that becomes this program, which writes a file. */
static void start(struct worker *w)
{
	char name[32], text[32];
	char *argv[] = { self, (char *)"--child", name, text, NULL };
	int got;
	pid_t pid;

	snprintf(name, sizeof(name), "c%d", w->n);
	snprintf(text, sizeof(text), "%u", rnd(w, 100));
	pid = rnd(w, 2) ? vfork() : fork();
	if (pid == 0) {
		execv(self, argv);
		_exit(126);
	}
	got = pid < 0 ? -1 : status_of(pid);
	CHECK(got == atoi(text), "a child ended with %d, not %s", got, text);
	look_at(w, name, text);
}

/* The same by posix_spawn; what it prints goes to a file. */
static void spawn(struct worker *w)
{
	char name[32], text[32];
	char *argv[] = { self, (char *)"--print", text, NULL };
	posix_spawn_file_actions_t fa;
	pid_t pid;
	int err;

	snprintf(name, sizeof(name), "s%d", w->n);
	snprintf(text, sizeof(text), "%d", (int)rnd(w, 10000));
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
	err = posix_spawn(&pid, self, &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	errno = err;
	CHECK(err == 0 && status_of(pid) == 0, "posix_spawn");
	look_at(w, name, text);
}

/* --- the whole ------------------------------------------------------------------------- */

static void (*const roles[])(struct worker *) = {
	file,  names,  append, count_locked, pipe_write, pipe_read, signals, file,
	names, append, start,  file,	     names,	 spawn,	    signals, count_locked,
};
enum { ROLES = sizeof(roles) / sizeof(roles[0]) };

/* For the children that an exec ends: whose turn it is, when all are at work. */
static int exec_by = -1;

static void become_another(struct worker *w)
{
	char words[4][24];
	char *argv[] = { self,	   (char *)"--after", words[0], words[1],
			 words[2], words[3],	      NULL };

	snprintf(words[0], sizeof(words[0]), "%d", (int)getpid());
	snprintf(words[1], sizeof(words[1]), "%d", log_fd);
	snprintf(words[2], sizeof(words[2]), "%d", model.fd);
	snprintf(words[3], sizeof(words[3]), "%zu", model.size);
	signal(SIGRTMIN, SIG_IGN); /* one under way would end what comes now */
	signal(SIGUSR1, SIG_IGN);
	execv(self, argv);
	fail("exec by thread %d", w->n);
	_exit(1);
}

static pthread_barrier_t all_there;

/* Those that send signals stop first, the others when no more can come. A writer's end is what its
 * reader waits for. */
static void *work(void *arg)
{
	struct worker *w = arg;
	void (*role)(struct worker *) = roles[w->n % ROLES];
	int limit = role == signals ? 1 : role == pipe_read ? 3 : 2;
	sigset_t none;

	me = w;
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	pthread_barrier_wait(&all_there);
	while (__atomic_load_n(&ending, __ATOMIC_SEQ_CST) < limit && !w->eof) {
		role(w);
		w->rounds++;
		if (__atomic_load_n(&exec_by, __ATOMIC_RELAXED) == w->n)
			become_another(w);
	}
	if (role == pipe_write)
		close(w->in);
	sched_yield(); /* what was sent is delivered */
	return NULL;
}

static void prepare(void)
{
	long zero = 0;
	int fd = open("count", O_RDWR | O_CREAT | O_EXCL, 0644), fds[2];

	CHECK(fd >= 0 && write(fd, &zero, sizeof(zero)) == sizeof(zero), "count");
	close(fd);
	log_fd = open("log", O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
	CHECK(log_fd >= 0, "log");
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .n = i, .seed = (unsigned)i + 1 };
		if (roles[i % ROLES] == pipe_read) {
			CHECK(pipe2(fds, O_CLOEXEC) == 0, "pipe");
			workers[i].in = fds[0];
			workers[i - 1].in = fds[1];
		}
	}
}

/* A thread takes signals only when it knows who it is. */
static void begin(void)
{
	sigset_t all, old;

	prepare();
	pthread_barrier_init(&all_there, NULL, THREADS + 1);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (int i = 0; i < THREADS; i++) {
		int err = pthread_create(&workers[i].thread, NULL, work, &workers[i]);

		if (err) {
			errno = err;
			fail("pthread_create");
			exit(1);
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_barrier_wait(&all_there);
}

static void check_log(void)
{
	static long next[THREADS];
	FILE *f = fopen("log", "r");
	char line[64];
	long n, who;

	while (f && fgets(line, sizeof(line), f)) {
		bool good = sscanf(line, "%ld %ld", &who, &n) == 2 && who >= 0 &&
			    who < THREADS && next[who]++ == n;

		CHECK(good, "a line of the log: '%s'", line);
	}
	for (int i = 0; i < THREADS; i++)
		CHECK(roles[i % ROLES] != append || next[i] == workers[i].rounds,
		      "thread %d: %ld records, not %ld", i, next[i], workers[i].rounds);
	if (f)
		fclose(f);
}

static void check_count(void)
{
	long n = -1, want = 0;
	int fd = open("count", O_RDONLY);

	for (int i = 0; i < THREADS; i++)
		if (roles[i % ROLES] == count_locked)
			want += workers[i].rounds;
	CHECK(read(fd, &n, sizeof(n)) == sizeof(n) && n == want, "counted %ld, not %ld",
	      n, want);
	close(fd);
}

static void join_signals(int which)
{
	for (int i = 0; i < THREADS; i++)
		if ((roles[i % ROLES] == signals) == which)
			pthread_join(workers[i].thread, NULL);
}

static void all_to_the_end(double seconds)
{
	CHECK(mkdir("all", 0755) == 0 && chdir("all") == 0, "all");
	begin();
	usleep((useconds_t)(seconds * 1e6));
	__atomic_store_n(&ending, 1, __ATOMIC_SEQ_CST);
	join_signals(1);
	__atomic_store_n(&ending, 2, __ATOMIC_SEQ_CST);
	join_signals(0);
	check_log();
	check_count();
	for (int i = 0; i < THREADS; i++) {
		struct worker *w = &workers[i];

		CHECK(w->rounds > 0, "thread %d did nothing", i);
		CHECK(roles[i % ROLES] == signals || w->sent == w->got,
		      "thread %d: %d signals of %d arrived", i, w->got, w->sent);
	}
	CHECK(chdir("..") == 0, "chdir");
}

/* A child with all its threads at work, of which one becomes another program. */
static void ended_by_exec(int round)
{
	struct timespec ts = { 0, 1000000L * (1 + round * 7 % 40) };
	char name[32];

	snprintf(name, sizeof(name), "x%d", round);
	if (mkdir(name, 0755) || chdir(name)) {
		fail("%s", name);
		_exit(1);
	}
	begin();
	while (nanosleep(&ts, &ts) == -1 && errno == EINTR)
		;
	if (failures)
		_exit(1);
	__atomic_store_n(&exec_by, round % (THREADS / ROLES) * ROLES, __ATOMIC_SEQ_CST);
	pthread_join(workers[0].thread, NULL);
	_exit(2);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	CHECK(remove(path) == 0, "%s: cannot be removed", path);
	return 0;
}

static void remove_tree(const char *name)
{
	CHECK(nftw(name, remove_one, 20, FTW_DEPTH | FTW_PHYS) == 0, "%s: nftw", name);
}

static void ends_by_exec(double until)
{
	char name[32];

	for (int round = 0; now() < until && !failures; round++) {
		pid_t pid = fork();
		int got;

		if (pid == 0)
			ended_by_exec(round);
		got = pid < 0 ? -1 : status_of(pid);
		CHECK(got == 17, "after exec by a thread: status %d", got);
		snprintf(name, sizeof(name), "x%d", round);
		remove_tree(name);
	}
}

/* --- the programs that are started ---------------------------------------------------- */

static int child(char **argv)
{
	int fd = open(argv[2], O_WRONLY | O_CREAT | O_EXCL, 0644);
	ssize_t len = (ssize_t)strlen(argv[3]);

	if (fd < 0 || write(fd, argv[3], (size_t)len) != len || close(fd))
		return 125;
	return atoi(argv[3]);
}

static int threads_now(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

/* What is left of a process of many threads when one has executed this. */
static int after(char **argv)
{
	struct sigaction sa;
	struct stat st;

	CHECK(getpid() == atoi(argv[2]), "pid %d, not %s", (int)getpid(), argv[2]);
	CHECK(fcntl(atoi(argv[3]), F_GETFD) == -1 && errno == EBADF, "O_CLOEXEC");
	CHECK(fstat(atoi(argv[4]), &st) == 0 && st.st_size == atol(argv[5]),
	      "an open file's size after exec");
	CHECK(sigaction(SIGUSR1, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN,
	      "an ignored signal is not");
	CHECK(sigaction(SIGUSR2, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL,
	      "a handler survived");
	CHECK(threads_now() == 1, "%d threads after exec", threads_now());
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	CHECK(errno == ECHILD, "waitpid");
	return failures ? 3 : 17;
}

int main(int argc, char **argv)
{
	double start_time = now(), seconds;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (argc == 4 && strcmp(argv[1], "--child") == 0)
		return child(argv);
	if (argc == 3 && strcmp(argv[1], "--print") == 0)
		return printf("%s", argv[2]) < 0;
	if (argc == 6 && strcmp(argv[1], "--after") == 0)
		return after(argv);
	if (argc != 3 || n <= 0 || chdir(argv[1])) {
		fprintf(stderr, "usage: %s DIRECTORY SECONDS\n", argv[0]);
		return 2;
	}
	seconds = atof(argv[2]);
	handlers();
	ends_by_exec(start_time + seconds / 2);
	all_to_the_end(seconds / 2);
	remove_tree("all");
	return failures != 0;
}
