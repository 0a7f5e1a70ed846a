/* SPDX-License-Identifier: MIT */
/* SIGSYS that others send while system calls are made from places that were never seen: each call is
 * made once, and every handler is entered. One that comes all the time does not pile up on the stack. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "tap.h"

#define SITES  4096
#define ROUNDS 20
#define SLOT   16
#define STORM  200000 /* signals without a pause; a frame of each would not fit on the stack */
#define DEPTH  (64 << 10)

static volatile long hits, stop;
static volatile uintptr_t lowest; /* of the handlers' frames */

static void on_signal(int sig)
{
	uintptr_t here = (uintptr_t)&sig;

	hits++;
	if (!lowest || here < lowest)
		lowest = here;
}

/* Without a pause the program would hardly get on between two of them. */
static void *sender(void *arg)
{
	for (unsigned n = 0; !stop; n++) {
		pthread_kill(*(pthread_t *)arg, SIGSYS);
		for (volatile unsigned i = 0; i < n * 7919 % 20000; i++)
			;
	}
	return NULL;
}

static void *storm(void *arg)
{
	for (int n = 0; n < STORM; n++)
		pthread_kill(*(pthread_t *)arg, SIGSYS);
	stop = 1;
	return NULL;
}

/* mov $getppid, %eax; syscall; ret: in every slot. */
static char *sites(void)
{
	const unsigned char code[] = { 0xb8, SYS_getppid, 0, 0, 0, 0x0f, 0x05, 0xc3 };
	char *p = mmap(NULL, SITES * SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	for (int i = 0; i < SITES; i++)
		memcpy(p + i * SLOT, code, sizeof(code));
	mprotect(p, SITES * SLOT, PROT_READ | PROT_EXEC);
	return p;
}

int main(void)
{
	long lost = 0, parent = getppid();
	pthread_t self = pthread_self(), t;

	limit_seconds(60);
	handle(SIGSYS, on_signal, SA_RESTART);
	pthread_create(&t, NULL, sender, &self);
	for (int n = 0; n < ROUNDS; n++) {
		char *p = sites();

		for (int i = 0; i < SITES; i++)
			lost += ((long (*)(void))(uintptr_t)(p + i * SLOT))() != parent;
		munmap(p, SITES * SLOT);
	}
	stop = 1;
	pthread_join(t, NULL);
	ok(lost == 0, "calls are made, whatever comes");
	ok(hits > 0, "and signals arrive");
	if (lost)
		printf("# %ld of %d lost\n", lost, SITES * ROUNDS);

	stop = 0;
	pthread_create(&t, NULL, storm, &self);
	while (!stop)
		getppid();
	pthread_join(t, NULL);
	ok((uintptr_t)&t - lowest < DEPTH, "handlers do not pile up");
	return done();
}
