/* SPDX-License-Identifier: MIT */
/*
 * mapper HOW FILE: a program that maps a file of four pages, while the test has it made shorter, to one
 * page, at a race point on the way (tests/race/memory.t). Says what it finds in the second page: a letter, or
 * SIGBUS.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PG = 4096, PAGES = 4 };

static sigjmp_buf back;
static int fd;

static void on_bus(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

static char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED) {
		puts("mmap failed");
		_exit(1);
	}
	return p;
}

static void look(const char *p)
{
	if (sigsetjmp(back, 1))
		puts("SIGBUS");
	else
		printf("%c\n", *(const volatile char *)(p + PG));
}

/* From here on the point that the test has armed for "mapper" is meant. */
static void now(void)
{
	prctl(PR_SET_NAME, "mapper");
}

int main(int argc, char **argv)
{
	const char *how = argc == 3 ? argv[1] : "";
	char *p, c;

	prctl(PR_SET_NAME, "not yet");
	signal(SIGBUS, on_bus);
	fd = open(argv[2], O_RDWR);
	if (!strcmp(how, "made")) {
		now();
		p = map(PAGES);
	} else if (!strcmp(how, "grown")) {
		/* it was one page long when it was mapped */
		p = map(PAGES);
		now();
		if (ftruncate(fd, PAGES * PG))
			return 1;
	} else if (!strcmp(how, "stretched")) {
		p = map(1);
		now();
		p = mremap(p, PG, PAGES * PG, MREMAP_MAYMOVE);
	} else if (!strcmp(how, "in a call")) {
		p = map(PAGES);
		now();
		if (read(fd, &c, 1) != 1)
			return 1;
	} else if (!strcmp(how, "forked")) {
		p = map(PAGES);
		now();
		fflush(stdout);
		if (fork()) {
			wait(NULL);
			return 0;
		}
	} else {
		return 2;
	}
	look(p);
	return 0;
}
