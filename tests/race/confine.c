/* SPDX-License-Identifier: MIT */
/*
 * openat2 with RESOLVE_BENEATH and RESOLVE_IN_ROOT against renames that take the directory in which the
 * walk is out of the one that it may not leave: wherever the walk is by then, what is outside is not
 * opened.
 */
#include "race/race.h"

#include <linux/openat2.h>

static struct town g;
static struct person *g_p[MAX_CORES];
static u64 g_resolve;

#define OUTSIDE 'o'
#define INSIDE	'i'

/* The first byte of y, opened beneath x; or an error. */
static long do_beneath(struct person *p, const char *x, const char *y)
{
	struct open_how how = { .flags = O_RDONLY, .resolve = g_resolve };
	long dir = CALL(p, open, x, O_RDONLY | O_DIRECTORY, 0), fd, n;
	char c = 0;

	if (dir < 0)
		return dir;
	rival_here("begun");
	fd = CALL(p, openat2, dir, y, &how, sizeof(how));
	n = fd < 0 ? fd : CALL(p, read, fd, &c, 1);
	if (fd >= 0)
		CALL(p, close, fd);
	CALL(p, close, dir);
	return n < 0 ? n : c;
}

static void furnish(void)
{
	bool good = !do_mkdir(g_p[0], "/hare/r", NULL) && !do_mkdir(g_p[0], "/hare/o", NULL) &&
		    !do_mkdir(g_p[0], "/hare/r/a", NULL) &&
		    !do_mkdir(g_p[2], "/hare/r/a/b", NULL) &&
		    !CALL(g_p[0], symlink, "b/../../s", "/hare/r/a/up") &&
		    file_put(g_p[0], "/hare/r/s", "in") == 2 &&
		    file_put(g_p[0], "/hare/o/s", "out") == 3;

	need(good, "furnish");
}

static void clear(void)
{
	do_unlink(g_p[0], "/hare/r/s", NULL);
	do_unlink(g_p[0], "/hare/o/s", NULL);
	do_unlink(g_p[0], "/hare/o/a/up", NULL);
	do_rmdir(g_p[0], "/hare/o/a/b", NULL);
	do_rmdir(g_p[0], "/hare/o/a", NULL);
	do_rmdir(g_p[0], "/hare/r", NULL);
	is(do_rmdir(g_p[0], "/hare/o", NULL), 0, "all is gone");
}

/* At a's skip + 1st lookup; false when it makes fewer. */
static bool moved_at(struct rival *a, u32 skip, const char *path)
{
	bool stands;
	long r;

	furnish();
	ok(rival_run(a, do_beneath, "/hare/r", path, RACE_AT, "begun"), "%s", path);
	rival_aim(a, RACE_ASK, "RESOLVE", skip);
	kill(a->pid, SIGCONT);
	stands = rival_wait(a);
	is(do_rename(g_p[0], "/hare/r/a", "/hare/o/a"), 0, "where it was goes");
	r = rival_end(a);
	ok(r == INSIDE || r == -ENOENT || r == -EAGAIN, "at lookup %u: nothing outside (%ld)",
	   skip, r);
	if (!stands)
		is(r, INSIDE, "and what is inside is found");
	clear();
	return stands;
}

static void beneath(struct rival *a, const char *path)
{
	for (u32 skip = 0; moved_at(a, skip, path); skip++)
		;
}

static void run(const char *what, const struct world_cfg *wc)
{
	static const char *const paths[] = { "a/../s", "a/b/../../s", "a/up" };
	struct rival *a[2];

	town_open(&g, g_p, what, wc);
	for (u32 core = 0; core < ARRAY_SIZE(a); core++)
		a[core] = rival_new(&g, core);
	for (u32 i = 0; i < ARRAY_SIZE(paths); i++)
		for (u32 core = 0; core < ARRAY_SIZE(a); core++) {
			g_resolve = RESOLVE_BENEATH;
			beneath(a[core], paths[i]);
			g_resolve = RESOLVE_IN_ROOT;
			beneath(a[core], paths[i]);
		}
	sound(&g, g_p);
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_ONE | IN_EMULATED);
}
