/* SPDX-License-Identifier: MIT */
/*
 * Path calls of several cores on the same few names, in any order: every result is one that
 * POSIX allows, nothing hangs, and when all are done no invariant is violated and everything
 * that can be seen can be removed.
 */
#include "unit/client.h"

#define THREADS 4
#define DIRS	3
#define NAMES	4

static struct town g;
static u32 g_calls, g_odd, g_turns;
static bool g_crowd; /* only directories, made, renamed over each other and removed in one place */

struct racer {
	u32 core;
	u64 seed;
	struct town *town;
};

static void place_name(char *buf, u64 *seed)
{
	u32 d = (u32)t_random(seed) % DIRS, n = (u32)t_random(seed) % NAMES;

	if (g_crowd)
		sprintf(buf, "/hare/d0/n%u", n);
	else if (t_random(seed) % 6 == 0)
		sprintf(buf, "/hare/d%u/n%u/n%u", d, n, (u32)t_random(seed) % NAMES);
	else
		sprintf(buf, "/hare/d%u/n%u", d, n);
}

static bool expected(long r)
{
	switch (r) {
	case 0:
	case -ENOENT:
	case -EEXIST:
	case -ENOTDIR:
	case -EISDIR:
	case -ENOTEMPTY:
	case -EINVAL:
	case -EPERM:
	case -EBUSY:
	case -ELOOP:
		return true;
	default:
		return false;
	}
}

static long act(struct person *p, u32 what, const char *x, const char *y)
{
	struct stat st;
	long fd;

	switch (what) {
	case 0:
	case 1:
		fd = CALL(p, open, x, O_CREAT | O_RDWR, 0644);
		return fd < 0 ? fd : CALL(p, close, fd);
	case 2:
		return CALL(p, mkdir, x, 0755);
	case 3:
		return CALL(p, rmdir, x);
	case 4:
		return CALL(p, unlink, x);
	case 5:
	case 6:
		return CALL(p, rename, x, y);
	case 7:
		return CALL(p, link, x, y);
	case 8:
		return CALL(p, symlink, "n1", x);
	case 9:
		fd = CALL(p, open, x, O_CREAT | O_EXCL | O_RDWR, 0644);
		return fd < 0 ? fd : CALL(p, close, fd);
	case 10:
		return client_mkdir_distributed(&p->t, x, 0755);
	default:
		return CALL(p, stat, x, &st);
	}
}

static void *race(void *arg)
{
	struct racer *r = arg;
	struct person *p = town_person(r->town, r->core, 0);
	char x[64], y[64];

	for (u32 i = 0; i < g_turns; i++) {
		static const u8 crowd[] = { 2, 3, 5, 5 };
		u32 what = (u32)t_random(&r->seed) % 13;
		long res;

		if (g_crowd)
			what = crowd[what % 4];

		place_name(x, &r->seed);
		place_name(y, &r->seed);
		res = act(p, what, x, y);
		__atomic_fetch_add(&g_calls, 1, __ATOMIC_RELAXED);
		if (!expected(res)) {
			__atomic_fetch_add(&g_odd, 1, __ATOMIC_RELAXED);
			diag("act %u %s %s: %ld", what, x, y, res);
		}
	}
	return NULL;
}

/* Removes everything below a directory. */
static void clear(struct person *p, const char *path)
{
	struct {
		u64 ino, off;
		u16 len;
		u8 type;
		char name[];
	} * d;
	char buf[2048], sub[512];
	long fd = CALL(p, open, path, O_RDONLY | O_DIRECTORY, 0), n, at;

	if (fd < 0)
		return;
	while ((n = CALL(p, getdents64, fd, buf, sizeof(buf))) > 0)
		for (at = 0; at < n; at += d->len) {
			d = (void *)(buf + at);
			if (!strcmp(d->name, ".") || !strcmp(d->name, ".."))
				continue;
			snprintf(sub, sizeof(sub), "%s/%s", path, d->name);
			if (d->type == 4) {
				clear(p, sub);
				is(CALL(p, rmdir, sub), 0, "rmdir %s", sub);
			} else {
				is(CALL(p, unlink, sub), 0, "unlink %s", sub);
			}
		}
	CALL(p, close, fd);
}

static void run(const char *what, const struct world_cfg *wc, u32 turns, u64 seed)
{
	struct racer r[THREADS];
	pthread_t t[THREADS];
	struct person *p;
	u64 inodes = 0;
	char path[32];

	g_turns = turns;
	g_odd = 0;
	town_new(&g, wc);
	p = town_person(&g, 0, 0);
	for (u32 i = 0; i < DIRS; i++) {
		sprintf(path, "/hare/d%u", i);
		is(i == 1 ? client_mkdir_distributed(&p->t, path, 0755)
			  : CALL(p, mkdir, path, 0755),
		   0, "%s: mkdir", what);
	}
	for (u32 i = 0; i < THREADS; i++) {
		r[i] = (struct racer){ .core = i % wc->cores,
				       .seed = seed + i,
				       .town = &g };
		pthread_create(&t[i], NULL, race, &r[i]);
	}
	for (u32 i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	is(g_odd, 0, "%s: no strange result", what);
	is(town_check(&g, NULL), 0, "%s: no invariant is violated", what);
	for (u32 i = 0; i < DIRS; i++) {
		sprintf(path, "/hare/d%u", i);
		clear(p, path);
		is(CALL(p, rmdir, path), 0, "%s: rmdir", what);
	}
	/* The last links go by one-way messages, of which some wait in a sender's outbox. */
	for (u32 i = 0; i < 4 * wc->cores; i++)
		msg_drain(&g.w.ctx[i % wc->cores]);
	for (u32 i = 0; i < wc->cores; i++) {
		struct fs_stats s;
		struct ctx *c = &g.w.ctx[i];

		ck_lock(c, c->ck);
		fs_stats(c->ck, &s);
		ck_unlock(c->ck);
		inodes += s.inodes;
	}
	is(inodes, 1, "%s: only the root is left", what);
	town_end(&g);
}

int main(int argc, char **argv)
{
	u64 seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	u32 n = argc > 2 ? (u32)atoi(argv[2]) : 20000;

	run("one island", &(struct world_cfg){ .cores = 4, .islands = 1 }, n, seed);
	run("one core", &(struct world_cfg){ .cores = 1 }, n, seed);
	run("four islands", &(struct world_cfg){ .cores = 4 }, n / 10, seed);
	run("emulated", &(struct world_cfg){ .cores = 3, .model = MEM_EMULATED }, n / 10,
	    seed);
	g_crowd = true;
	run("crowd", &(struct world_cfg){ .cores = 4 }, n / 4, seed);
	return done_testing();
}
