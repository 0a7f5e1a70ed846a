/* SPDX-License-Identifier: MIT */
/*
 * Processes in one test program: a whole small Hare (world.h) with file servers, an agent thread
 * per core, and any number of tasks that make the client's system calls.
 *
 *	struct town town;
 *	town_new(&town, &(struct world_cfg){ .cores = 2 });
 *	struct person *p = town_person(&town, core, uid);
 *	is(CALL(p, mkdir, "/hare/d", 0755), 0, "mkdir");
 *	town_end(&town);
 */
#ifndef HARE_TESTS_UNIT_CLIENT_H
#define HARE_TESTS_UNIT_CLIENT_H

#include <fcntl.h>
#include <sys/stat.h>

#include "client/state.h"
#include "client/syscalls.h"
#include "fileserver/fileserver.h"
#include "unit/world.h"

#define PERSONS_MAX 48

struct person {
	struct task t;
	struct proc *p;
};

struct town {
	struct world w;
	pthread_t agent[MAX_CORES];
	struct ctx agent_ctx[MAX_CORES];
	u32 stop;
	u64 pause, paused; /* cores whose agents are to do nothing, and do nothing */
	struct person *person[PERSONS_MAX];
	u32 persons;
};

/* A call with arguments of any integer or pointer type. */
/* clang-format off */
#define CALL(p, name, ...) \
	client_##name(&(p)->t, (long[6]){ CALL_ARGS(__VA_ARGS__) })
#define CALL_ARGS(...) CALL_PICK(__VA_ARGS__, A6, A5, A4, A3, A2, A1)(__VA_ARGS__)
#define CALL_PICK(_1, _2, _3, _4, _5, _6, f, ...) f
#define A1(a) (long)(a)
#define A2(a, b) (long)(a), (long)(b)
#define A3(a, b, c) A2(a, b), (long)(c)
#define A4(a, b, c, d) A3(a, b, c), (long)(d)
#define A5(a, b, c, d, e) A4(a, b, c, d), (long)(e)
#define A6(a, b, c, d, e, f) A5(a, b, c, d, e), (long)(f)
/* clang-format on */

struct town_agent_arg {
	struct town *town;
	u32 core;
};

static void *town_agent_main(void *arg)
{
	struct town_agent_arg a = *(struct town_agent_arg *)arg;
	struct ctx *c = &a.town->agent_ctx[a.core];

	free(arg);
	c->tid = (u32)syscall(SYS_gettid);
	while (!__atomic_load_n(&a.town->stop, __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(&a.town->pause, __ATOMIC_SEQ_CST) & 1ULL << a.core) {
			__atomic_fetch_or(&a.town->paused, 1ULL << a.core, __ATOMIC_SEQ_CST);
			usleep(100);
			continue;
		}
		__atomic_fetch_and(&a.town->paused, ~(1ULL << a.core), __ATOMIC_SEQ_CST);
		msg_drain(c);
		msg_agent_sleep(c, 2000000);
	}
	return NULL;
}

static inline void town_new(struct town *town, const struct world_cfg *wc)
{
	struct world *w = &town->w;

	memset(town, 0, sizeof(*town));
	world_new(w, wc);
	/* No descriptors are hidden: nothing of Hare is open in this process by number. */
	for (u32 i = 0; i < w->islands; i++)
		w->isl[i].super->fd_base = 1 << 20;
	rpc_init();
	for (u32 i = 0; i < w->cores; i++) {
		struct ctx *c = &w->ctx[i];

		ck_lock(c, c->ck);
		need(proc_init(c->ck) == 0, "proc_init");
		need(fs_init(c, c->ck, 0) == 0, "fs_init");
		need(client_core_init(c->ck) == 0, "client_core_init");
		ck_unlock(c->ck);
		town->agent_ctx[i] = *c;
	}
	for (u32 i = 0; i < w->cores; i++) {
		struct town_agent_arg *a = malloc(sizeof(*a));

		a->town = town;
		a->core = i;
		pthread_create(&town->agent[i], NULL, town_agent_main, a);
	}
}

/* What is sent to this core lies there until somebody of it comes by: its agent does not. */
static inline void town_pause(struct town *town, u32 core)
{
	__atomic_fetch_or(&town->pause, 1ULL << core, __ATOMIC_SEQ_CST);
	msg_ring(town->w.ctx[core].isl, core, 0);
	while (!(__atomic_load_n(&town->paused, __ATOMIC_SEQ_CST) & 1ULL << core))
		usleep(100);
}

static inline void town_resume(struct town *town, u32 core)
{
	__atomic_fetch_and(&town->pause, ~(1ULL << core), __ATOMIC_SEQ_CST);
}

/* A process on a core, run by the calling thread. */
static inline struct person *town_person(struct town *town, u32 core, u32 uid)
{
	struct person *p = calloc(1, sizeof(*p));
	struct ctx *c = &p->t.ctx;
	struct proc *pr;

	*c = town->w.ctx[core];
	c->tid = (u32)syscall(SYS_gettid);
	c->slot = 0;
	ck_lock(c, c->ck);
	pr = proc_new(c->ck);
	need(pr, "proc_new");
	pr->state = PROC_RUNNING;
	proc_set_host_pid(c->ck, pr, 1000 + town->persons);
	pr->pid = 1000 + town->persons;
	pr->umask = 022;
	pr->threads = 1;
	pr->cred.uid = uid;
	pr->cred.gid = uid;
	ck_unlock(c->ck);
	p->p = pr;
	p->t.proc = pr;
	need(msg_slot_take(c) == 0, "msg_slot_take");
	need(fdtable_new(&p->t, &pr->fds, false) == 0, "fdtable_new");
	town->person[__atomic_fetch_add(&town->persons, 1, __ATOMIC_RELAXED)] = p;
	return p;
}

/* In a forked child: a task that is about to be its. */
static inline void town_mine(struct person *p)
{
	p->t.ctx.tid = (u32)syscall(SYS_gettid);
	p->t.ctx.slot = 0;
	need(msg_slot_take(&p->t.ctx) == 0, "msg_slot_take");
}

static inline void town_fact(void *arg, const struct fs_fact *f)
{
	struct {
		struct fs_fact *f;
		size_t n;
	} *v = arg;

	v->f = realloc(v->f, (v->n + 1) * sizeof(*f));
	v->f[v->n++] = *f;
}

struct town_bad {
	u32 leaks;
	bool quiet;
};

/* An inode that nobody can reach costs memory alone; it is counted apart. */
static inline void town_between(void *arg, const char *text)
{
	struct town_bad *b = arg;

	if (strstr(text, "links but 0 entries"))
		b->leaks++;
	if (!b->quiet || !strstr(text, "links but 0 entries"))
		diag("%s", text);
}

/* Violations of every invariant, of all servers together; *leaks (if not NULL): of these, inodes
 * without a name. */
static inline u32 town_check(struct town *town, u32 *leaks)
{
	struct {
		struct fs_fact *f;
		size_t n;
	} v = { 0 };
	struct town_bad b = { .quiet = leaks != NULL };
	u32 bad = 0;

	for (u32 i = 0; i < town->w.cores; i++) {
		struct ctx *c = &town->w.ctx[i];

		msg_drain(c);
		bad += world_check(&town->w, i);
		ck_lock(c, c->ck);
		bad += fs_check(c, c->ck, world_bad, NULL);
		fs_facts(c->ck, town_fact, &v);
		ck_unlock(c->ck);
	}
	bad += fs_check_between(v.f, v.n, town->w.cores, town_between, &b);
	free(v.f);
	if (leaks)
		*leaks = b.leaks;
	return bad;
}

/* Until what was under way between the cores when a process died has arrived: requests, and what
 * their handlers sent on. One person of each core is asked to wait for it. */
static inline void town_settle(struct town *town, struct person **p, u32 n)
{
	struct req_PING q = { 0 };
	struct rep_PING rep;

	for (u32 i = 0; i < 3 * n; i++)
		for (u32 core = 0; core < town->w.cores; core++)
			rpc_ping(&p[i % n]->t.ctx, core, &q, &rep);
}

static inline void town_end(struct town *town)
{
	__atomic_store_n(&town->stop, 1, __ATOMIC_RELEASE);
	for (u32 i = 0; i < town->w.cores; i++) {
		msg_ring(town->w.ctx[i].isl, i, 0);
		pthread_join(town->agent[i], NULL);
	}
	for (u32 i = 0; i < town->persons; i++)
		free(town->person[i]);
	world_end(&town->w);
}

#endif
