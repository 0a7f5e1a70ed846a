/* SPDX-License-Identifier: MIT */
/*
 * threads GO FILE: one thread writes to a file of Hare, by a descriptor that exec closes, as long as it can,
 * and says in a file of the host (GO.bad) when it cannot; the other one execs when something can be read from
 * GO. On the way the test holds both (tests/race/process.t).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static int fd;
static const char *go;

static void *writer(void *arg)
{
	char name[4096];
	int bad;

	(void)arg;
	prctl(PR_SET_NAME, "writer");
	while (write(fd, "x", 1) == 1)
		;
	snprintf(name, sizeof(name), "%s.bad", go);
	bad = open(name, O_CREAT | O_WRONLY, 0644);
	dprintf(bad, "%d\n", errno);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	pthread_t t;
	char c;

	if (argc != 3)
		return 2;
	go = argv[1];
	fd = open(argv[2], O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	pthread_create(&t, NULL, writer, NULL);
	if (read(open(go, O_RDONLY), &c, 1) != 1)
		return 1;
	execlp("echo", "echo", "on", NULL);
	return 1;
}
