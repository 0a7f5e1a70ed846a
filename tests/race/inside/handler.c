/* SPDX-License-Identifier: MIT */
/* Has a handler of SIGTERM, which ends it with status 9, then makes the file "up" and waits. It asks nothing of
 * its proxy. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static void on_term(int sig)
{
	(void)sig;
	_exit(9);
}

int main(void)
{
	signal(SIGTERM, on_term);
	if (open("up", O_WRONLY | O_CREAT, 0644) < 0)
		return 1;
	for (;;)
		pause();
}
