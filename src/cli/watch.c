/* SPDX-License-Identifier: MIT */
/*
 * Ends an instance that a signal asked to end while boot's own thread cannot look: in an import
 * or export it may wait for the host (a dead network mount, a FIFO) for as long as it likes. A
 * copy that still goes on looks by itself (copy.c), and is given a moment to.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/watch.h"

#define GRACE_MS 1000

static void *watch(void *arg)
{
	struct watch *w = arg;
	struct pollfd p[2] = { { w->done[0], POLLIN, 0 }, { w->signals, POLLIN, 0 } };

	while (poll(p, 2, -1) < 0)
		;
	if (p[0].revents || poll(p, 1, GRACE_MS) > 0)
		return NULL;
	fprintf(stderr, "hare: interrupted; the %s had not ended\n", w->what);
	boot_stop(w->in);
	_exit(EXIT_OWN);
}

void watch_begin(struct watch *w, struct instance *in, const char *what)
{
	sigset_t set;

	*w = (struct watch){ .in = in, .what = what, .signals = -1 };
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	if (pipe2(w->done, O_CLOEXEC))
		return; /* it does without */
	w->signals = signalfd(-1, &set, SFD_CLOEXEC);
	w->on = w->signals >= 0 && !pthread_create(&w->thread, NULL, watch, w);
	if (w->on)
		return;
	close(w->done[0]);
	close(w->done[1]);
	if (w->signals >= 0)
		close(w->signals);
}

void watch_end(struct watch *w)
{
	if (!w->on)
		return;
	close(w->done[1]);
	pthread_join(w->thread, NULL);
	close(w->done[0]);
	close(w->signals);
}
