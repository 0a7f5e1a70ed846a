/* SPDX-License-Identifier: MIT */
/*
 * writer HOSTFILE FILE: writes a page of a file of the host, as it is mapped, to a file of Hare; on the way
 * the test takes the page away (tests/race/memory.t). Says what write did, and that of a page that is there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PG = 4096 };

static void say(long r)
{
	printf("%s ", r >= 0 ? "written" : errno == EFAULT ? "EFAULT" : "another error");
}

int main(int argc, char **argv)
{
	static char there[PG] = "there";
	int from, to;
	char *p;

	if (argc != 3)
		return 2;
	from = open(argv[1], O_RDWR);
	to = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
	p = mmap(NULL, PG, PROT_READ, MAP_SHARED, from, 0);
	if (p == MAP_FAILED || to < 0)
		return 1;
	say(write(to, p, PG));
	say(write(to, there, 5));
	printf("%ld\n", (long)lseek(to, 0, SEEK_END));
	return 0;
}
