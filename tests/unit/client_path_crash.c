/* SPDX-License-Identifier: MIT */
/*
 * Every path call that changes something, killed after its k-th store for every k: the lock is
 * rolled back, the agent's part of the recovery runs, and then no invariant of any server may be
 * violated, and the call must have happened wholly or not at all.
 *
 * All servers near (one island), far ones, and all of it as on a traced system; and with a
 * neighbour who, between the death and the recovery, gives what the call was about another name.
 */
#include "race/race.h"

extern u64 g_crash_at, g_crash_count;

/* One call; before it /hare/d (home: core 0), /hare/e (home: core 1) and some files are there. */
struct act {
	const char *name;
	long (*run)(struct person *p);
	/* What /hare looks like before and after: paths that must be there, blank separated; with !
	 * those that must not. */
	const char *before, *after;
	/* A name that it takes away, and one that it makes. */
	const char *from, *to;
};

static long finish(struct person *p, long fd)
{
	return fd < 0 ? fd : CALL(p, close, fd);
}
static long r_create(struct person *p)
{
	return finish(p, CALL(p, open, "/hare/e/new", O_CREAT | O_RDWR, 0644));
}
static long r_create_own(struct person *p)
{
	return finish(p, CALL(p, open, "/hare/d/new", O_CREAT | O_RDWR, 0644));
}
/* Names that are taken: what was made, and open, is taken back. */
static long r_create_there(struct person *p)
{
	return finish(p, CALL(p, open, "/hare/e/f", O_CREAT | O_RDWR, 0644));
}
static long r_create_excl(struct person *p)
{
	long r = CALL(p, open, "/hare/e/f", O_CREAT | O_EXCL | O_RDWR, 0644);

	return r == -EEXIST ? 0 : finish(p, r);
}
static long r_open(struct person *p)
{
	return finish(p, CALL(p, open, "/hare/e/f", O_RDWR | O_TRUNC, 0));
}
static long r_tmpfile(struct person *p)
{
	return finish(p, CALL(p, open, "/hare/e", O_TMPFILE | O_RDWR, 0600));
}
static long r_mkdir(struct person *p)
{
	return CALL(p, mkdir, "/hare/e/new", 0755);
}
static long r_mkdir_dist(struct person *p)
{
	return client_mkdir_distributed(&p->t, "/hare/e/new", 0755);
}
static long r_symlink(struct person *p)
{
	return CALL(p, symlink, "f", "/hare/e/new");
}
static long r_unlink(struct person *p)
{
	return CALL(p, unlink, "/hare/e/f");
}
static long r_unlink_apart(struct person *p)
{
	return CALL(p, unlink, "/hare/e/g");
}
static long r_rmdir(struct person *p)
{
	return CALL(p, rmdir, "/hare/e/s");
}
static long r_rmdir_dist(struct person *p)
{
	return CALL(p, rmdir, "/hare/e/t");
}
static long r_link(struct person *p)
{
	return CALL(p, link, "/hare/d/f", "/hare/e/new");
}
static long r_rename(struct person *p)
{
	return CALL(p, rename, "/hare/e/f", "/hare/e/new");
}
static long r_rename_over(struct person *p)
{
	return CALL(p, rename, "/hare/e/f", "/hare/e/g");
}
static long r_rename_away(struct person *p)
{
	return CALL(p, rename, "/hare/d/f", "/hare/e/f");
}
static long r_rename_dir(struct person *p)
{
	return CALL(p, rename, "/hare/e/s", "/hare/d/new");
}
static long r_rename_dir_over(struct person *p)
{
	return CALL(p, rename, "/hare/d/s", "/hare/e/s");
}
static long r_rename_dist(struct person *p)
{
	return CALL(p, rename, "/hare/d/s", "/hare/e/t");
}
static long r_whiteout(struct person *p)
{
	return CALL(p, renameat2, AT_FDCWD, "/hare/e/f", AT_FDCWD, "/hare/e/new", 4);
}
static long r_whiteout_away(struct person *p)
{
	return CALL(p, renameat2, AT_FDCWD, "/hare/d/f", AT_FDCWD, "/hare/e/new", 4);
}
static long r_whiteout_dir(struct person *p)
{
	return CALL(p, renameat2, AT_FDCWD, "/hare/e/s", AT_FDCWD, "/hare/d/new", 4);
}
static long r_exchange(struct person *p)
{
	return CALL(p, renameat2, AT_FDCWD, "/hare/d/f", AT_FDCWD, "/hare/e/f", 2);
}
static long r_exchange_dir(struct person *p)
{
	return CALL(p, renameat2, AT_FDCWD, "/hare/e/s", AT_FDCWD, "/hare/d/f", 2);
}

static long r_rename_beside(struct person *p)
{
	return CALL(p, rename, "/hare/e/s", "/hare/e/u");
}

static const struct act g_acts[] = {
	{ "create", r_create, "!e/new", "e/new", NULL, "e/new" },
	{ "create near its own", r_create_own, "!d/new", "d/new", NULL, "d/new" },
	{ "create what is there", r_create_there, "e/f", "e/f", "e/f", NULL },
	{ "create with O_EXCL", r_create_excl, "e/f", "e/f", NULL, NULL },
	{ "open", r_open, "e/f", "e/f", "e/f", NULL },
	{ "O_TMPFILE", r_tmpfile, "", "", NULL, NULL },
	{ "mkdir", r_mkdir, "!e/new", "e/new", NULL, "e/new" },
	{ "mkdir distributed", r_mkdir_dist, "!e/new", "e/new", NULL, "e/new" },
	{ "symlink", r_symlink, "!e/new", "e/new", NULL, "e/new" },
	{ "unlink", r_unlink, "e/f", "!e/f", "e/f", NULL },
	{ "unlink apart", r_unlink_apart, "e/g", "!e/g", "e/g", NULL },
	{ "rmdir", r_rmdir, "e/s", "!e/s", "e/s", NULL },
	{ "rmdir distributed", r_rmdir_dist, "e/t", "!e/t", "e/t", NULL },
	{ "link", r_link, "d/f !e/new", "d/f e/new", "d/f", "e/new" },
	{ "rename", r_rename, "e/f !e/new", "!e/f e/new", "e/f", "e/new" },
	{ "rename over", r_rename_over, "e/f e/g", "!e/f e/g", "e/f", "e/g" },
	{ "rename away", r_rename_away, "d/f e/f", "!d/f e/f", "d/f", "e/f" },
	{ "rename a directory", r_rename_dir, "e/s !d/new", "!e/s d/new", "e/s",
	  "d/new" },
	{ "rename over a directory", r_rename_dir_over, "d/s e/s", "!d/s e/s", "d/s",
	  "e/s" },
	{ "rename over one beside it", r_rename_beside, "e/s e/u", "!e/s e/u", "e/s",
	  "e/u" },
	{ "rename over a distributed one", r_rename_dist, "d/s e/t", "!d/s e/t", "d/s",
	  "e/t" },
	{ "rename with whiteout", r_whiteout, "e/f !e/new", "e/f e/new", NULL, "e/new" },
	{ "rename away with whiteout", r_whiteout_away, "d/f !e/new", "d/f e/new", NULL,
	  "e/new" },
	{ "rename a directory with whiteout", r_whiteout_dir, "e/s/. !d/new", "!e/s/. e/s d/new/.",
	  NULL, "d/new" },
	{ "exchange", r_exchange, "d/f e/f", "d/f e/f", "d/f", "e/f" },
	{ "exchange with a directory", r_exchange_dir, "e/s/. !d/f/.", "!e/s/. d/f/.",
	  "e/s", "d/f" },
};

static struct town g;

static void furnish(struct person *a, struct person *b)
{
	bool good = !CALL(a, mkdir, "/hare/d", 0755) &&
		    !CALL(b, mkdir, "/hare/e", 0755) &&
		    !CALL(a, mkdir, "/hare/d/s", 0755) &&
		    !CALL(a, mkdir, "/hare/e/s", 0755) &&
		    !CALL(a, mkdir, "/hare/e/u", 0755) &&
		    !client_mkdir_distributed(&a->t, "/hare/e/t", 0755) &&
		    !CALL(a, mknod, "/hare/d/f", S_IFREG | 0644, 0) &&
		    !CALL(b, mknod, "/hare/e/f", S_IFREG | 0644, 0) &&
		    !CALL(a, mknod, "/hare/d/g", S_IFREG | 0644, 0) &&
		    !CALL(a, rename, "/hare/d/g", "/hare/e/g");

	need(good, "furnish");
}

/* Which of the paths are as the list says. */
static bool matches(struct person *p, const char *list)
{
	char copy[256], path[300], *save, *w;
	struct stat st;

	snprintf(copy, sizeof(copy), "%s", list);
	for (w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		bool want = *w != '!';

		snprintf(path, sizeof(path), "/hare/%s", w + !want);
		if ((CALL(p, lstat, path, &st) == 0) != want)
			return false;
	}
	return true;
}

/* What the agents do when a process is dead. */
static void bury(struct person *agent, struct person *dead)
{
	u64 owner = (u64)dead->t.ctx.core << 32 | dead->p->host_pid;

	client_settle(&agent->t.ctx);
	proc_release(&agent->t, dead->p);
	for (u32 i = 0; i < g.w.cores; i++) {
		struct ctx *c = &g.w.ctx[i];

		ck_lock(c, c->ck);
		fs_owner_died(c, c->ck, owner);
		ck_unlock(c->ck);
	}
}

enum meddle { ALONE, MOVES_FROM, MOVES_TO };

struct kind {
	struct world_cfg wc;
	enum meddle meddle;
	bool traced;
};

/* Before the recovery, or, when the name is pending until then, waiting for it. */
static void meddle(struct rival *b, const char *name)
{
	char from[300], to[300];

	snprintf(from, sizeof(from), "/hare/%s", name);
	snprintf(to, sizeof(to), "/hare/%s.moved", name);
	rival_run(b, do_rename, from, to, RACE_AT, "wait");
}

static void trace_all(void)
{
	for (u32 i = 0; i < g.w.cores; i++)
		g.w.ctx[i].ck->tracing = 1;
}

/* Exit status of the child: 99 when it died at its k-th store, 0 when it has fewer. */
static int one(const struct kind *kind, const struct act *act, u64 k, u32 *bad)
{
	struct person *a, *b, *p;
	struct rival *m = NULL;
	pid_t pid;
	int status;
	u32 n;

	town_new(&g, &kind->wc);
	a = town_person(&g, 0, 0);
	b = town_person(&g, kind->wc.cores - 1, 0);
	furnish(a, b);
	if (kind->traced)
		trace_all();
	p = town_person(&g, 0, 0);
	pid = world_fork(&g.w);
	if (!pid) {
		town_mine(p);
		g_crash_count = 0;
		g_crash_at = k;
		_exit(act->run(p) == 0 ? 0 : 1);
	}
	status = world_wait(pid);
	if (kind->meddle) {
		m = rival_new(&g, kind->wc.cores - 1);
		meddle(m, kind->meddle == MOVES_TO ? act->to : act->from);
	}
	bury(a, p);
	if (m)
		rival_free(m);
	town_settle(&g, (struct person *[]){ a, b }, 2);
	n = 0;
	if (!kind->meddle && !matches(a, act->after) &&
	    (status != 99 || !matches(a, act->before))) {
		diag("neither done nor not done: %s, store %lu", act->name,
		     (unsigned long)k);
		n++;
	}
	n += town_check(&g, NULL);
	if (n)
		diag("%u violations: %s, store %lu", n, act->name, (unsigned long)k);
	*bad += n;
	town_end(&g);
	return status;
}

static void run(const char *what, const struct kind *kind, u64 stride)
{
	for (u32 i = 0; i < ARRAY_SIZE(g_acts); i++) {
		const struct act *act = &g_acts[i];
		u64 k = 0;
		u32 bad = 0;
		int status;

		if (kind->meddle && !(kind->meddle == MOVES_TO ? act->to : act->from))
			continue;
		do
			k += stride;
		while ((status = one(kind, act, k, &bad)) == 99 && bad < 3);
		is(status, 0, "%s: %s ends well after %lu stores", what, act->name,
		   (unsigned long)k);
		is(bad, 0, "%s: %s can be killed anywhere", what, act->name);
	}
}

int main(void)
{
	struct world_cfg near = { .cores = 2, .islands = 1 }, far = { .cores = 2 }, there = far;

	/* CREATE of an inode without a name, and its open, at a far server */
	there.without = WITHOUT_CREATION_AFFINITY | WITHOUT_COALESCING;
	run("one island", &(struct kind){ .wc = near }, 1);
	run("two islands", &(struct kind){ .wc = far }, 1);
	run("one island, traced", &(struct kind){ .wc = near, .traced = true }, 3);
	run("two islands, far inodes", &(struct kind){ .wc = there }, 3);
	run("two islands, old name moved", &(struct kind){ far, MOVES_FROM, false }, 1);
	run("two islands, new name moved", &(struct kind){ far, MOVES_TO, false }, 1);
	return done_testing();
}
