/* SPDX-License-Identifier: MIT */
/*
 * rmdir against everything that adds a name to the directory, against another rmdir, and against
 * the death of who removes it, at each of its steps (path_remove.c): before MARK the name wins,
 * between MARK and COMMIT or ABORT it waits, and then it is made or there is no directory.
 */
#include "race/race.h"

static struct town g;
static struct person *g_p[MAX_CORES];
static struct rival *g_a, *g_b, *g_c; /* who removes, who adds, another who removes */
static char g_dir[] = "/hare/d";

/* What adds a name to /hare/d: of core 0, so that nothing is near all of them. */
static const struct adder {
	const char *what;
	rival_fn run;
	const char *x, *y, *made;
} g_adders[] = {
	{ "create", do_create, "/hare/d/n", NULL, "/hare/d/n" },
	{ "mkdir", do_mkdir, "/hare/d/n", NULL, "/hare/d/n" },
	{ "symlink", do_symlink, "/hare/d/n", NULL, "/hare/d/n" },
	{ "link", do_link, "/hare/f", "/hare/d/n", "/hare/d/n" },
	{ "rename", do_rename, "/hare/f", "/hare/d/n", "/hare/d/n" },
	{ "rename of a directory", do_rename, "/hare/e", "/hare/d/n", "/hare/d/n" },
};

static bool g_spread; /* /hare/d is distributed */

static long do_mkdir_spread(struct person *p, const char *x, const char *y)
{
	(void)y;
	return client_mkdir_distributed(&p->t, x, 0755);
}

/* /hare/d, made on core 1 and so at home there, a file and a directory of core 0. */
static void furnish(void)
{
	need(!(g_spread ? do_mkdir_spread : do_mkdir)(g_p[1], g_dir, NULL) &&
		     !do_create(g_p[0], "/hare/f", NULL) &&
		     !do_mkdir(g_p[0], "/hare/e", NULL),
	     "furnish");
}

static void clear(void)
{
	do_unlink(g_p[0], "/hare/d/n", NULL);
	do_rmdir(g_p[0], "/hare/d/n", NULL);
	do_rmdir(g_p[0], g_dir, NULL);
	do_unlink(g_p[0], "/hare/f", NULL);
	do_rmdir(g_p[0], "/hare/e", NULL);
	sound(&g, g_p);
}

/* The source of link and rename is as it was. */
static bool source_is(const struct adder *ad, bool moved)
{
	return ad->run != do_rename || there(g_p[2], ad->x) == !moved;
}

static void add_first(const struct adder *ad)
{
	furnish();
	ok(rival_run(g_a, do_rmdir, g_dir, NULL, RACE_AT, "serialized"), "it is alone");
	is(rival_do(g_b, ad->run, ad->x, ad->y), 0, "%s before MARK", ad->what);
	is(rival_end(g_a), -ENOTEMPTY, "rmdir finds it");
	ok(there(g_p[2], ad->made) && source_is(ad, true), "it is there");
	is(do_create(g_p[1], "/hare/d/again", NULL), 0, "nothing is marked any more");
	is(do_unlink(g_p[1], "/hare/d/again", NULL), 0, "unlink");
	clear();
}

static void add_meanwhile(const struct adder *ad)
{
	furnish();
	ok(rival_run(g_a, do_rmdir, g_dir, NULL, RACE_ASK, "RM_MAP"), "all is marked");
	ok(rival_run(g_b, ad->run, ad->x, ad->y, RACE_AT, "wait"), "%s waits", ad->what);
	is(rival_end(g_a), 0, "rmdir");
	is(rival_end(g_b), -ENOENT, "%s finds no directory", ad->what);
	ok(source_is(ad, false), "its source is as before");
	clear();
}

/* The name of the directory changes while it is marked, so the removal is aborted. */
static void add_and_abort(const struct adder *ad)
{
	struct adder moved = *ad;

	moved.made = "/hare/d2/n";
	furnish();
	ok(rival_run(g_a, do_rmdir, g_dir, NULL, RACE_ASK, "RM_MAP"), "all is marked");
	ok(rival_run(g_b, ad->run, ad->x, ad->y, RACE_AT, "wait"), "%s waits", ad->what);
	is(do_rename(g_p[2], g_dir, "/hare/d2"), 0, "the directory is renamed");
	is(rival_end(g_a), -ENOENT, "rmdir finds no such name");
	is(rival_end(g_b), 0, "%s goes on", ad->what);
	ok(there(g_p[2], moved.made) && source_is(ad, true), "it is there");
	is(do_rename(g_p[2], "/hare/d2", g_dir), 0, "renamed back");
	clear();
}

/* Dead with everything marked: the name may be added after all. */
static void add_and_death(const struct adder *ad)
{
	struct rival *a = rival_new(&g, 0);

	furnish();
	ok(rival_run(a, do_rmdir, g_dir, NULL, RACE_ASK, "RM_MAP"), "all is marked");
	ok(rival_run(g_b, ad->run, ad->x, ad->y, RACE_AT, "wait"), "%s waits", ad->what);
	rival_kill(a);
	rival_bury(a, g_p[0]);
	is(rival_end(g_b), 0, "%s goes on when who removed is dead", ad->what);
	ok(there(g_p[2], ad->made) && source_is(ad, true), "it is there");
	clear();
}

/* Dead behind the point of no return: the agent removes the rest. */
static void add_and_late_death(const struct adder *ad)
{
	struct rival *a = rival_new(&g, 0);

	furnish();
	ok(rival_run(a, do_rmdir, g_dir, NULL, RACE_ANSWERED, "RM_MAP"), "the name is gone");
	ok(!there(g_p[2], g_dir), "so it is seen");
	rival_kill(a);
	rival_bury(a, g_p[0]);
	quiet(&g, g_p);
	is(rival_do(g_b, ad->run, ad->x, ad->y), -ENOENT, "%s finds no directory", ad->what);
	clear();
}

/* --- two removers --------------------------------------------------------------------------------- */

static void two(void)
{
	furnish();
	ok(rival_run(g_a, do_rmdir, g_dir, NULL, RACE_ASK, "RM_MAP"), "two: all is marked");
	ok(rival_run(g_c, do_rmdir, g_dir, NULL, RACE_AT, "wait"), "two: the second waits");
	is(rival_end(g_a), 0, "two: one removes it");
	is(rival_end(g_c), -ENOENT, "two: the other finds nothing");
	clear();
}

/* Between SERIALIZE and MARK: without the first the two could each mark half of it. */
static void two_at_once(void)
{
	furnish();
	ok(rival_run(g_a, do_rmdir, g_dir, NULL, RACE_AT, "serialized"), "two: it is alone");
	ok(rival_run(g_c, do_rmdir, g_dir, NULL, RACE_AT, "wait"),
	   "two: the second waits before it marks anything");
	is(rival_end(g_a), 0, "two: one removes it");
	is(rival_end(g_c), -ENOENT, "two: the other finds nothing");
	clear();
}

static void two_and_abort(void)
{
	furnish();
	is(do_create(g_p[2], "/hare/d/n", NULL), 0, "two: it is not empty");
	ok(rival_run(g_a, do_rmdir, g_dir, NULL, RACE_AT, "marked"), "two: MARK has failed");
	ok(rival_run(g_c, do_rmdir, g_dir, NULL, RACE_AT, "wait"), "two: the second waits");
	is(do_unlink(g_p[2], "/hare/d/n", NULL), 0, "two: now it is empty");
	is(rival_end(g_a), -ENOTEMPTY, "two: the first gives up");
	is(rival_end(g_c), 0, "two: the second removes it");
	ok(!there(g_p[1], g_dir), "two: it is gone");
	clear();
}

static void two_and_death(void)
{
	static const char *const at[] = { "serialized", "marked" };

	for (u32 i = 0; i < ARRAY_SIZE(at); i++) {
		struct rival *a = rival_new(&g, 0);

		furnish();
		ok(rival_run(a, do_rmdir, g_dir, NULL, RACE_AT, at[i]), "%s", at[i]);
		ok(rival_run(g_c, do_rmdir, g_dir, NULL, RACE_AT, "wait"),
		   "%s: the second waits", at[i]);
		rival_kill(a);
		rival_bury(a, g_p[0]);
		is(rival_end(g_c), 0, "%s: it goes on when the first is dead", at[i]);
		clear();
	}
}

/* Two threads of one process: what the one holds is not given up for the other that waits for it. */
static void two_threads_and_death(void)
{
	struct rival *a = rival_new(&g, 0), *b = rival_thread(a);

	furnish();
	ok(rival_run(a, do_rmdir, g_dir, NULL, RACE_ASK, "RM_MAP"), "threads: one has marked it");
	ok(rival_run(b, do_rmdir, g_dir, NULL, RACE_AT, "wait"), "threads: another one waits");
	ok(rival_on(a, RACE_ANSWERED, "RM_MAP"), "threads: the name is gone");
	rival_kill(b);
	rival_kill(a);
	rival_bury(a, g_p[0]);
	ok(!there(g_p[1], g_dir), "threads: and so is the directory");
	clear();
}

/* --- parts ------------------------------------------------------------------------------------------ */

/* MARK failed at one server; the others are marked until ABORT, which loses nothing. */
static void abort_of_parts(void)
{
	char name[16], there_[64], late[64];
	u64 dir;

	furnish();
	dir = ino_of(g_p[0], g_dir);
	sprintf(there_, "/hare/d/%s", name_at(&g, dir, 2, "x", name));
	sprintf(late, "/hare/d/%s", name_at(&g, dir, 0, "y", name));
	is(do_create(g_p[0], there_, NULL), 0, "parts: an entry at server 2");
	ok(rival_run(g_a, do_rmdir, g_dir, NULL, RACE_AT, "marked"), "parts: the rest is marked");
	ok(rival_run(g_b, do_create, late, NULL, RACE_AT, "wait"),
	   "parts: create at server 0 waits");
	is(do_stat(g_p[1], there_, NULL), 0, "parts: who only looks does not");
	is(rival_end(g_a), -ENOTEMPTY, "parts: rmdir");
	is(rival_end(g_b), 0, "parts: create goes on");
	ok(there(g_p[1], there_) && there(g_p[1], late), "parts: both are there");
	do_unlink(g_p[0], there_, NULL);
	do_unlink(g_p[0], late, NULL);
	clear();
}

/* The same, dead before ABORT. */
static void death_of_parts(void)
{
	struct rival *a = rival_new(&g, 0);
	char name[16], there_[64], late[64];
	u64 dir;

	furnish();
	dir = ino_of(g_p[0], g_dir);
	sprintf(there_, "/hare/d/%s", name_at(&g, dir, 2, "x", name));
	sprintf(late, "/hare/d/%s", name_at(&g, dir, 0, "y", name));
	do_create(g_p[0], there_, NULL);
	ok(rival_run(a, do_rmdir, g_dir, NULL, RACE_AT, "marked"), "parts: the rest is marked");
	ok(rival_run(g_b, do_create, late, NULL, RACE_AT, "wait"), "parts: create waits");
	rival_kill(a);
	rival_bury(a, g_p[0]);
	is(rival_end(g_b), 0, "parts: create goes on when who removed is dead");
	do_unlink(g_p[0], there_, NULL);
	do_unlink(g_p[0], late, NULL);
	is(do_rmdir(g_p[2], g_dir, NULL), 0, "parts: and nothing is left marked");
	clear();
}

/* --- a rename that replaces it marks it as well --------------------------------------------------------- */

static void replaced(const struct adder *ad)
{
	furnish();
	is(do_mkdir(g_p[2], "/hare/new", NULL), 0, "mkdir");
	ok(rival_run(g_a, do_rename, "/hare/new", g_dir, RACE_AT, "marked"),
	   "a rename onto it marks it");
	ok(rival_run(g_b, ad->run, ad->x, ad->y, RACE_AT, "wait"), "%s waits", ad->what);
	is(rival_end(g_a), 0, "rename");
	is(rival_end(g_b), -ENOENT, "%s finds no directory", ad->what);
	ok(!there(g_p[1], ad->made) && source_is(ad, false), "nothing was made");
	clear();
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	g_a = rival_new(&g, 0);
	g_b = rival_new(&g, wc->cores - 1);
	g_c = rival_new(&g, 1);
	for (int spread = 0; spread < 2; spread++) {
		g_spread = spread;
		for (u32 i = 0; i < ARRAY_SIZE(g_adders); i++) {
			add_first(&g_adders[i]);
			add_meanwhile(&g_adders[i]);
			add_and_abort(&g_adders[i]);
			replaced(&g_adders[i]);
		}
		add_and_death(&g_adders[0]);
		add_and_late_death(&g_adders[3]);
		two();
		two_at_once();
		two_and_abort();
		two_and_death();
	two_threads_and_death();
	}
	abort_of_parts();
	death_of_parts();
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_ONE | IN_EMULATED);
}
