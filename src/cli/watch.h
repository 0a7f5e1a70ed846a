/* SPDX-License-Identifier: MIT */
/* From watch_begin to watch_end a signal that asks the instance to end (INT, TERM, HUP, QUIT; blocked,
 * and not read by anybody) ends it, and this process, a moment later. See watch.c. */
#ifndef HARE_CLI_WATCH_H
#define HARE_CLI_WATCH_H

#include <fcntl.h>
#include <pthread.h>

#include "cli/boot.h"

struct watch {
	struct instance *in;
	const char *what; /* it does meanwhile, for the message */
	pthread_t thread;
	int done[2], signals;
	bool on;
};

void watch_begin(struct watch *w, struct instance *in, const char *what);
void watch_end(struct watch *w);

#endif
