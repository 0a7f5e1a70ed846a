/* SPDX-License-Identifier: MIT */
/*
 * killop OPERATION ROUNDS SEED: workers do one operation over and over in the directory w
 * until SIGKILL takes them, at moments that SEED decides (kill.t). Each operation is one that
 * takes several steps, on two cores as often as not; what its death leaves must be the state
 * before or after, and nothing held. "fork" kills children at once when they are born.
 * Without rounds it is a worker. The directory is empty, or gone, at the end.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 3, NAMES = 8 };

static unsigned seed;
static char data[9000];

static unsigned rnd(unsigned n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 10) % n;
}

static const char *name(char kind)
{
	static char names[4][16];
	static int next;
	char *p = names[next++ % 4];

	snprintf(p, sizeof(names[0]), "%c%u", kind, rnd(NAMES));
	return p;
}

static void make(size_t len)
{
	int fd = open(name('f'), O_CREAT | O_WRONLY | O_TRUNC, 0644);

	if (fd < 0)
		return;
	if (write(fd, data, len) < 0)
		perror("write");
	close(fd);
}

static void do_create(void)
{
	make(0);
	unlink(name('f'));
}

static void do_write(void)
{
	make(sizeof(data));
	unlink(name('f'));
}

static void do_link(void)
{
	make(0);
	if (link(name('f'), name('f')) == 0)
		unlink(name('f'));
	unlink(name('f'));
}

static void do_rename(void)
{
	make(10);
	rename(name('f'), name('f'));
}

static void do_mkdir(void)
{
	mkdir(name('d'), 0755);
	rmdir(name('d'));
}

static void do_rendir(void)
{
	mkdir(name('d'), 0755);
	rename(name('d'), name('d'));
	rmdir(name('d'));
}

static void do_symlink(void)
{
	if (symlink("x", name('s')))
		unlink(name('s'));
}

static void do_exec(void)
{
	int fd = open(name('f'), O_CREAT | O_WRONLY, 0644);
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	close(fd);
	waitpid(pid, NULL, 0);
	unlink(name('f'));
}

/* A child that is killed before it has run an instruction of its own holds nothing on. */
static void do_fork(void)
{
	char c;
	int p[2];
	pid_t pid;

	if (pipe(p))
		exit(1);
	pid = fork();
	if (pid == 0) {
		alarm(1); /* for when its parent is the one that is killed */
		pause();
		_exit(0);
	}
	close(p[1]);
	kill(pid, SIGKILL);
	if (read(p[0], &c, 1) != 0)
		exit(1);
	close(p[0]);
	waitpid(pid, NULL, 0);
}

static const struct {
	const char *name;
	void (*fn)(void);
} ops[] = {
	{ "create", do_create }, { "write", do_write },	    { "link", do_link },
	{ "rename", do_rename }, { "mkdir", do_mkdir },	    { "rendir", do_rendir },
	{ "exec", do_exec },	 { "symlink", do_symlink }, { "fork", do_fork },
};

static void work(const char *op)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		while (strcmp(op, ops[i].name) == 0)
			ops[i].fn();
	fprintf(stderr, "killop: no operation '%s'\n", op);
	exit(2);
}

static pid_t start(const char *op)
{
	char num[16];
	pid_t pid;

	snprintf(num, sizeof(num), "%u", rnd(1u << 20));
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "killop", op, "0", num, (char *)NULL);
		_exit(1);
	}
	return pid;
}

int main(int argc, char **argv)
{
	pid_t pid[WORKERS];
	int rounds, status;

	if (argc != 4)
		return 2;
	memset(data, 'a', sizeof(data));
	rounds = atoi(argv[2]);
	seed = (unsigned)atoi(argv[3]) * 2654435761u;
	if (rounds == 0)
		work(argv[1]);
	mkdir("w", 0755);
	if (chdir("w"))
		return 1;
	for (int i = 0; i < WORKERS; i++)
		pid[i] = start(argv[1]);
	for (int r = 0; r < rounds + WORKERS; r++) {
		int i = r < rounds ? (int)rnd(WORKERS) : r - rounds;

		usleep(3000 + rnd(20000));
		kill(pid[i], SIGKILL);
		if (waitpid(pid[i], &status, 0) != pid[i] || !WIFSIGNALED(status)) {
			fprintf(stderr, "killop: a worker ended by itself\n");
			return 1;
		}
		if (r < rounds)
			pid[i] = start(argv[1]);
	}
	return chdir("..") || system("rm -rf w");
}
