/* SPDX-License-Identifier: MIT */
/* Threads: one descriptor table, one current directory, files used by all of them. */
#include "t.h"

#include <pthread.h>

enum { N = 8, ROUNDS = 150 };

static int shared_fd, failures;

static void fail(void)
{
	__atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST);
}

static void all(void *(*fn)(void *))
{
	pthread_t t[N];

	failures = 0;
	for (intptr_t i = 0; i < N; i++)
		if (pthread_create(&t[i], NULL, fn, (void *)i))
			fail();
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
}

static void *own_files(void *arg)
{
	char name[32], buf[32];

	for (int i = 0; i < ROUNDS; i++) {
		int fd;

		snprintf(name, sizeof(name), "t%ld-%d", (long)(intptr_t)arg, i % 10);
		fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
		if (fd < 0 || write(fd, name, strlen(name)) != (ssize_t)strlen(name) ||
		    pread(fd, buf, sizeof(buf), 0) != (ssize_t)strlen(name) ||
		    memcmp(buf, name, strlen(name)) || close(fd) ||
		    (i % 3 == 0 && unlink(name)))
			fail();
	}
	return NULL;
}

static void *append(void *arg)
{
	char rec[16];

	for (int i = 0; i < ROUNDS; i++) {
		int len =
			snprintf(rec, sizeof(rec), "%ld %04d\n", (long)(intptr_t)arg, i);

		if (write(shared_fd, rec, (size_t)len) != len)
			fail();
	}
	return NULL;
}

static void *exclusive(void *arg)
{
	char name[32];
	long won = 0;

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		int fd;

		snprintf(name, sizeof(name), "x%d", i);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd >= 0)
			won++;
		else if (errno != EEXIST)
			fail();
		if (fd >= 0)
			close(fd);
	}
	__atomic_add_fetch(&shared_fd, won, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *spawn(void *arg)
{
	for (int i = 0; i < 4; i++) {
		pid_t pid = t_start(T_EXEC, "code", t_num((long)(intptr_t)arg), NULL);
		int status = t_end(pid);

		if (status == (int)(intptr_t)arg)
			continue;
		t_diag("child %d: %d, want %d (%s)", pid, status, (int)(intptr_t)arg,
		       status < 0 ? strerror(errno) : "ended");
		fail();
	}
	return NULL;
}

static int s_code(int argc, char **argv)
{
	return atoi(argv[0]) + argc - 1;
}

static void t_files(void)
{
	all(own_files);
	is_long(failures, 0, "8 threads, each its own files");
}

static void t_append(void)
{
	char seen[N][ROUNDS] = { { 0 } };
	char line[64];
	int who, i, n = 0, bad = 0;
	FILE *f;

	shared_fd = must(open("log", O_WRONLY | O_CREAT, 0644));
	all(append);
	is_long(failures, 0, "8 threads write by one descriptor");
	f = fopen("log", "r");
	while (f && fgets(line, sizeof(line), f)) {
		n++;
		if (sscanf(line, "%d %d", &who, &i) != 2 || who >= N || i >= ROUNDS ||
		    seen[who][i]++)
			bad++;
	}
	is_long(n, N * ROUNDS, "all records are there");
	is_long(bad, 0, "each once");
}

static void t_exclusive(void)
{
	shared_fd = 0;
	all(exclusive);
	is_long(failures, 0, "8 threads create the same names with O_EXCL");
	is_long(shared_fd, ROUNDS, "each name is won once");
}

static void t_spawn(void)
{
	all(spawn);
	is_long(failures, 0, "8 threads start children and wait for them");
}

static int duel[2];

static void *reader(void *arg)
{
	char c;
	long n = 0;

	(void)arg;
	while (read(duel[0], &c, 1) == 1)
		n++;
	return (void *)n;
}

static void t_blocked(void)
{
	pthread_t t;
	void *n;

	must(pipe(duel));
	must(pthread_create(&t, NULL, reader, NULL) ? -1 : 0);
	t_sleep_ms(20);
	is_long(t_put("f", "x"), 0, "one thread works while another waits in read");
	for (int i = 0; i < 100; i++)
		must(write(duel[1], "x", 1));
	must(close(duel[1]));
	pthread_join(t, &n);
	is_long((long)n, 100, "the waiting one got all");
}

static void *opener(void *arg)
{
	(void)arg;
	must(chdir("d"));
	shared_fd = must(open("f", O_RDONLY));
	return NULL;
}

static void t_table(void)
{
	pthread_t t;
	char buf[8] = "";

	must(mkdir("d", 0755));
	must(t_put("d/f", "thread"));
	must(pthread_create(&t, NULL, opener, NULL) ? -1 : 0);
	pthread_join(t, NULL);
	is_long(read(shared_fd, buf, 7), 6, "a descriptor opened by another thread");
	is_str(buf, "thread", "its text");
	is_str(t_get("f"), "thread", "the current directory is everybody's");
}

static void *exec_it(void *arg)
{
	(void)arg;
	execl(t_self, t_self, "--sub", "code", "17", NULL);
	return NULL;
}

static void t_exec(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pthread_t t[3];

		must(pipe(duel));
		pthread_create(&t[0], NULL, reader, NULL);
		pthread_create(&t[1], NULL, reader, NULL);
		pthread_create(&t[2], NULL, exec_it, NULL);
		pthread_join(t[0], NULL);
		_exit(9);
	}
	is_long(t_end(pid), 17, "exec by a thread that is not the first ends the others");
}

static void *busy_files(void *arg)
{
	char name[16];

	snprintf(name, sizeof(name), "b%ld", (long)(intptr_t)arg);
	for (;;) {
		int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

		must(write(fd, name, 1));
		must(close(fd));
	}
	return NULL;
}

static void *busy_pipe(void *arg)
{
	char c = 'x';

	(void)arg;
	for (;;) {
		must(write(duel[1], &c, 1));
		must(read(duel[0], &c, 1));
	}
	return NULL;
}

static int kept;

static void *exec_busy(void *arg)
{
	char num[16];

	(void)arg;
	t_sleep_ms(2);
	snprintf(num, sizeof(num), "%d", kept);
	execl(t_self, t_self, "--sub", "left", num, NULL);
	return NULL;
}

/* Nothing is open but what was to stay. */
static int s_left(int argc, char **argv)
{
	int fd, stays = atoi(argv[0]);
	char buf[8] = "";

	for (fd = 3; fd < 100; fd++)
		if (t_is_open(fd) != (fd == stays))
			return 30;
	return read(stays, buf, 7) == 4 && strcmp(buf, "kept") == 0 && argc == 1 ? 18
										 : 31;
}

/* What the others were doing neither fails, as their descriptors are closed, nor opens anything. */
static void t_exec_busy(void)
{
	long good = 0;

	must(t_put("kept", "kept"));
	for (int round = 0; round < 24; round++) {
		pid_t pid = fork();

		if (pid == 0) {
			pthread_t t;

			for (int fd = 3; fd < 100; fd++)
				close(fd); /* the test's own surroundings */
			must(pipe2(duel, O_CLOEXEC));
			kept = must(open("kept", O_RDONLY));
			for (intptr_t i = 0; i < 6; i++)
				pthread_create(&t, NULL, i < 3 ? busy_files : busy_pipe,
					       (void *)i);
			pthread_create(&t, NULL, exec_busy, NULL);
			pause();
		}
		good += t_end(pid) == 18;
	}
	is_long(good, 24, "exec while other threads use descriptors");
}

static void *ends(void *arg)
{
	(void)arg;
	return NULL;
}

static void *exec_fails(void *arg)
{
	errno = 0;
	execl("/", "x", NULL);
	*(int *)arg = errno;
	return NULL;
}

/* Others go on when it fails, and one that has ended is not waited for. */
static void t_exec_first(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pthread_t t;
		int err = 0;

		must(pipe2(duel, O_CLOEXEC));
		pthread_create(&t, NULL, exec_fails, &err);
		pthread_join(t, NULL);
		if (err != EACCES)
			_exit(40);
		pthread_create(&t, NULL, ends, NULL);
		pthread_create(&t, NULL, busy_pipe, NULL);
		pthread_create(&t, NULL, exec_it, NULL);
		pthread_exit(NULL);
	}
	is_long(t_end(pid), 17, "exec when the first thread has ended");
}

static int vforked(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		sleep(2);
		_exit(0);
	}
	return pid;
}

static void *vfork_it(void *arg)
{
	(void)arg;
	vforked();
	return NULL;
}

static void t_exec_vfork(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pthread_t t;

		pthread_create(&t, NULL, vfork_it, NULL);
		t_sleep_ms(20);
		exec_it(NULL);
	}
	is_long(t_end(pid), 17, "exec while another thread waits in vfork");
}

static volatile int stop;

/* Own files, made shorter and longer, and mapped whole in between. */
static void *map_and_cut(void *arg)
{
	char name[16];
	int fd;

	snprintf(name, sizeof(name), "m%ld", (long)(intptr_t)arg);
	fd = must(open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	for (long i = 1; !stop; i++) {
		long size = 4096 * (1 + i * 7 % 20);
		char *map;

		must(ftruncate(fd, size));
		map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		must(map == MAP_FAILED ? -1 : 0);
		for (long at = 0; at < size; at += 4096)
			map[at] = 'x';
		must(munmap(map, (size_t)size));
	}
	return NULL;
}

/* A child that shares memory with threads that map and unmap touches nothing of theirs, and what
 * looks after their mappings does not touch it. */
static void t_vfork_maps(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pthread_t t[6];
		int bad = 0;

		for (intptr_t i = 0; i < 6; i++)
			pthread_create(&t[i], NULL, map_and_cut, (void *)i);
		for (int i = 0; i < 25; i++) {
			pid_t child = vfork();

			if (child == 0) {
				execl(t_self, t_self, "--sub", "code", "3", NULL);
				_exit(9);
			}
			bad += t_end(child) != 3;
		}
		stop = 1;
		for (int i = 0; i < 6; i++)
			pthread_join(t[i], NULL);
		_exit(bad);
	}
	is_long(t_end(pid), 0,
		"vfork and exec beside threads that map files and cut them");
}

T_SUBS = { { "code", s_code }, { "left", s_left }, T_END };

T_SECTIONS = {
	{ "files", t_files },
	{ "append", t_append },
	{ "exclusive", t_exclusive },
	{ "spawn", t_spawn },
	{ "blocked", t_blocked },
	{ "table", t_table },
	{ "exec", t_exec },
	{ "exec_busy", t_exec_busy },
	{ "exec_first", t_exec_first },
	{ "exec_vfork", t_exec_vfork },
	{ "vfork_maps", t_vfork_maps },
	T_END,
};
