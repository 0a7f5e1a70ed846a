/* SPDX-License-Identifier: MIT */
/*
 * A parent that puts its child into a group of its own, and the child, which executes this program on core 1.
 * The parent waits for a line in `parent`, and writes the error of setpgid to `error`; the child for one in
 * `child` before its exec, for one in `program` behind it, and writes to `group` whether it leads one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void wait_for(const char *path)
{
	int fd = open(path, O_RDONLY);
	char c;

	if (fd < 0 || read(fd, &c, 1) != 1)
		exit(10);
	close(fd);
}

static void tell(const char *path, int n)
{
	FILE *f = fopen(path, "w");

	if (!f || fprintf(f, "%d\n", n) < 0 || fclose(f))
		exit(11);
}

int main(int argc, char **argv)
{
	cpu_set_t one;
	pid_t pid;
	int status;

	if (argc > 1) {
		wait_for("program");
		tell("group", getpgrp() == getpid());
		return 0;
	}
	pid = fork();
	if (!pid) {
		CPU_ZERO(&one);
		CPU_SET(1, &one);
		sched_setaffinity(0, sizeof(one), &one);
		wait_for("child");
		execl(argv[0], argv[0], "program", NULL);
		return 12;
	}
	wait_for("parent");
	tell("error", setpgid(pid, pid) ? errno : 0);
	return waitpid(pid, &status, 0) != pid || status;
}
