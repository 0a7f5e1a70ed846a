/* SPDX-License-Identifier: MIT */
/* A running instance, seen from a hare command. See view.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/boot.h"
#include "cli/view.h"

#define STAND_IN_S    86400
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

/* A process in another kernel that lives as long as this one does: there, its number stands for us
 * as a lock's holder. 0: there can be none. */
static u32 stand_in(pid_t keeper)
{
	u32 tid = 0;
	pid_t pid;
	int p[2];

	if (pipe2(p, O_CLOEXEC))
		return 0;
	pid = kernel_fork(keeper);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		tid = (u32)getpid();
		if (write(p[1], &tid, sizeof(tid)) != sizeof(tid))
			_exit(EXIT_OWN);
		close_range(0, ~0U,
			    0); /* its parent may have died before it could say so */
		for (u32 left = STAND_IN_S; left;)
			left = sleep(left);
		_exit(0);
	}
	close(p[1]);
	if (pid < 0 || read(p[0], &tid, sizeof(tid)) != sizeof(tid))
		tid = 0;
	close(p[0]);
	return tid;
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
	for (u32 i = 0; i < MAX_CORES; i++)
		v->keeper[i] = c.info.keeper[i];
	control_close(&c);
	for (core = 0; !r && core < v->cores; core++) {
		u32 id = mem_island_of(v->super, core);
		struct island *isl = &v->isl[id];

		if (v->keeper[id] && (!core || isl != v->ctx[core - 1].isl))
			tid = stand_in(v->keeper[id]);
		if (!tid)
			return fail("enter a kernel of the instance", -ESRCH);
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
