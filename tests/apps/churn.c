/* SPDX-License-Identifier: MIT */
/*
 * churn DIR SEED COUNT: file operations at random, as fast as they go, in a directory
 * that others use at the same time; made to be killed at any moment (kill.t). COUNT 0
 * goes on until the file DIR/stop is there. Exit status 0; 1 and a line when an
 * operation fails in a way that no race with the others explains, or when a file's
 * content is not what one writer wrote.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAMES = 12, MAX = 20000 };

static unsigned seed;
static char buf[MAX];

static unsigned rnd(unsigned n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 10) % n;
}

static const char *name(char kind)
{
	static char names[4][32];
	static int next;
	char *p = names[next++ % 4];

	snprintf(p, sizeof(names[0]), "%c%u", kind, rnd(NAMES));
	return p;
}

static void bad(const char *what)
{
	fprintf(stderr, "churn: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Errors that others at work in the same directory explain. */
static int raced(int r)
{
	if (r >= 0)
		return 0;
	return errno == ENOENT || errno == EEXIST || errno == ENOTEMPTY ||
	       errno == EISDIR || errno == ENOTDIR || errno == EINVAL ||
	       errno == ETXTBSY || errno == ENOSPC || errno == EMLINK;
}

static void expect(int r, const char *what)
{
	if (r < 0 && !raced(r))
		bad(what);
}

/* Each write is of one letter, so whatever is read of one block came from one write. */
static void write_file(void)
{
	int fd =
		open(name('f'), O_WRONLY | O_CREAT | (rnd(2) ? O_TRUNC : O_APPEND), 0644);
	size_t len = 1 + rnd(MAX);

	expect(fd, "open to write");
	if (fd < 0)
		return;
	memset(buf, 'a' + (int)rnd(26), len);
	if (write(fd, buf, len) < 0 && errno != ENOSPC)
		bad("write");
	if (rnd(4) == 0 && ftruncate(fd, rnd(MAX)))
		bad("ftruncate");
	if (close(fd))
		bad("close");
}

static void read_file(void)
{
	int fd = open(name('f'), O_RDONLY);
	ssize_t n;

	expect(fd, "open to read");
	if (fd < 0)
		return;
	n = read(fd, buf, sizeof(buf));
	if (n < 0)
		bad("read");
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] && (buf[i] < 'a' || buf[i] > 'z')) {
			errno = 0;
			bad("a byte that nobody wrote");
		}
	}
	close(fd);
}

static void map_file(void)
{
	int fd = open(name('m'), O_RDWR | O_CREAT, 0644);
	char *p;

	expect(fd, "open to map");
	if (fd < 0)
		return;
	if (ftruncate(fd, 8192) == 0) {
		p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			bad("mmap");
		memset(p + rnd(4096), 'a' + (int)rnd(26), 4096);
		munmap(p, 8192);
	}
	close(fd);
}

static void list(void)
{
	DIR *d = opendir(".");

	if (!d)
		bad("opendir");
	while (readdir(d))
		;
	closedir(d);
}

static void through_pipe(void)
{
	int p[2], status;
	pid_t pid;
	ssize_t n;

	if (pipe(p))
		bad("pipe");
	pid = fork();
	if (pid < 0)
		bad("fork");
	if (pid == 0) {
		close(p[0]);
		_exit(write(p[1], buf, 4096) != 4096);
	}
	close(p[1]);
	while ((n = read(p[0], buf, sizeof(buf))) > 0)
		;
	close(p[0]);
	if (n < 0 || waitpid(pid, &status, 0) != pid)
		bad("a child's pipe");
}

static void exec_child(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		bad("a child");
}

static void step(void)
{
	struct stat st;

	switch (rnd(26)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		write_file();
		break;
	case 5:
	case 6:
	case 7:
		read_file();
		break;
	case 8:
	case 9:
	case 10:
		expect(unlink(name('f')), "unlink");
		break;
	case 11:
	case 12:
	case 13:
		expect(rename(name('f'), name('f')), "rename");
		break;
	case 14:
		expect(link(name('f'), name('f')), "link");
		break;
	case 15:
	case 16:
		expect(mkdir(name('d'), 0755), "mkdir");
		break;
	case 17:
	case 18:
		expect(rmdir(name('d')), "rmdir");
		break;
	case 19:
		expect(rename(name('d'), name('d')), "rename of a directory");
		break;
	case 20:
		expect(stat(name('f'), &st), "stat");
		expect(chmod(name('f'), 0600 + rnd(64)), "chmod");
		break;
	case 21:
		expect(symlink(name('f'), name('s')), "symlink");
		expect(unlink(name('s')), "unlink of a symlink");
		break;
	case 22:
		list();
		break;
	case 23:
		map_file();
		break;
	case 24:
		through_pipe();
		break;
	default:
		exec_child();
		break;
	}
}

int main(int argc, char **argv)
{
	unsigned long count;

	if (argc != 4 || chdir(argv[1])) {
		fprintf(stderr, "usage: churn DIR SEED COUNT\n");
		return 2;
	}
	seed = (unsigned)strtoul(argv[2], NULL, 10) * 2654435761u;
	count = strtoul(argv[3], NULL, 10);
	for (unsigned long i = 0; count ? i < count : access("stop", F_OK) != 0; i++)
		step();
	return 0;
}
