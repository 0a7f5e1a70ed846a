/* SPDX-License-Identifier: MIT */
/* A running instance, seen from a hare command. See view.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/boot.h"
#include "cli/view.h"

#define LOCK_NAP_NS   50000
#define LOCK_NAPS_MAX 100000 /* five seconds */

static int fail(const char *what, long err)
{
	fprintf(stderr, "hare: cannot %s: %s\n", what, strerror((int)-err));
	return EXIT_OWN;
}

/* This thread as the host knows it: inside an instance gettid has another answer for a program
 * that came from another core. The call also unsets an address that only threads need. */
static u32 host_tid(void)
{
	return (u32)SYS(set_tid_address, 0);
}

/* The island that we run in as a program; it is mapped here already. */
static u32 own_island(const struct super *s)
{
	struct hare_info info;

	if (syscall(HARE_CALL, HARE_INFO, &info) || info.boot_id != s->boot_id)
		return MAX_CORES;
	return mem_island_of(s, info.core);
}

static int map_all(struct view *v, const struct control *c)
{
	static struct super s;
	u32 i, own;
	long r;

	if (pread(c->fds[0].dram, &s, sizeof(s), 0) != (ssize_t)sizeof(s))
		return fail("read the instance's memory", -EIO);
	own = own_island(&s);
	v->inside = own < MAX_CORES;
	v->cores = s.cores;
	v->islands = s.islands;
	for (i = 0; i < s.islands; i++) {
		if (i == own)
			r = mem_describe(&v->isl[i], &c->fds[i], i);
		else
			r = mem_map(&v->isl[i], &c->fds[i], i);
		if (r < 0)
			return fail("map the instance's memory", r);
	}
	v->super = v->isl[0].super;
	return 0;
}

int view_open(struct view *v, const char *name)
{
	struct control c;
	u32 core, tid = host_tid();
	int r = control_open(name, &c);

	if (r)
		return r;
	r = map_all(v, &c);
	control_close(&c);
	for (core = 0; !r && core < v->cores; core++) {
		struct island *isl = &v->isl[mem_island_of(v->super, core)];

		v->ctx[core] = (struct ctx){
			.isl = isl,
			.ck = mem_ck(isl, core),
			.core = core,
			.tid = tid,
		};
	}
	return r;
}

struct ctx *view_lock(struct view *v, u32 core)
{
	struct timespec nap = { 0, LOCK_NAP_NS };
	struct ctx *c = &v->ctx[core];
	u32 naps;

	for (naps = 0; !ck_trylock(c, c->ck); naps++) {
		if (naps == LOCK_NAPS_MAX) {
			fprintf(stderr,
				"hare: core %u is stuck: its lock has been held for 5 "
				"s\n",
				core);
			exit(EXIT_OWN);
		}
		nanosleep(&nap, NULL);
	}
	return c;
}

void view_unlock(struct view *v, u32 core)
{
	ck_unlock(v->ctx[core].ck);
}
