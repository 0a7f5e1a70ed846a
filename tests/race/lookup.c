/* SPDX-License-Identifier: MIT */
/*
 * Cached lookups against what makes them stale (cache.c): the reply of a lookup under way crosses
 * the invalidation, or the invalidation lies in the ring when the next one looks. And the modes that
 * servers check by: all parts of a distributed directory end up with the same.
 */
#include "race/race.h"

static struct town g;
static struct person *g_p[MAX_CORES], *g_user; /* g_user: no root, on core 1 */
static struct rival *g_a; /* on core 1; the root directory is at server 0 */
static const char g_f[] = "/hare/f", g_g[] = "/hare/g";


/* The reply is in; then something changes, and core 1 hears of it before the reply is entered. */
static void reply_is_in(struct rival *a, const char *path)
{
	ok(rival_run(a, do_stat, path, NULL, RACE_ANSWERED, "RESOLVE"), "looked up");
}

static void heard(void)
{
	msg_drain(&g.w.ctx[1]);
}

static void clear(void)
{
	do_unlink(g_p[0], g_f, NULL);
	do_unlink(g_p[0], g_g, NULL);
	sound(&g, g_p);
}

static void crossed_by_unlink(void)
{
	is(file_put(g_p[0], g_f, "one"), 3, "a file");
	reply_is_in(g_a, g_f);
	is(do_unlink(g_p[0], g_f, NULL), 0, "unlink");
	heard();
	(void)rival_end(g_a);
	is(do_create(g_p[1], g_f, NULL), 0, "nothing of that name is cached");
	clear();
}

static void crossed_by_create(void)
{
	reply_is_in(g_a, g_f);
	is(file_put(g_p[2], g_f, "one"), 3, "it is made");
	heard();
	is(rival_end(g_a), -ENOENT, "it was not there when it was looked up");
	ok(file_is(g_p[1], g_f, "one"), "it is there now");
	clear();
}

static void crossed_by_rename(void)
{
	is(file_put(g_p[0], g_f, "one") + file_put(g_p[2], g_g, "two"), 6, "two files");
	reply_is_in(g_a, g_f);
	is(do_rename(g_p[2], g_g, g_f), 0, "the second replaces the first");
	heard();
	(void)rival_end(g_a);
	ok(file_is(g_p[1], g_f, "two"), "the name leads to the second");
	clear();
}

static void crossed_by_chmod(void)
{
	struct rival *u = rival_new_as(&g, 1, 1000);

	is(do_mkdir(g_p[0], "/hare/d", NULL) | do_create(g_p[0], "/hare/d/f", NULL), 0, "mkdir");
	ok(rival_run_skip(u, do_stat, "/hare/d/f", NULL, RACE_ANSWERED, "RESOLVE", 1),
	   "looked up in a directory");
	is(CALL(g_p[0], chmod, "/hare/d", 0700), 0, "that others may search no more");
	heard();
	(void)rival_end(u);
	is(do_stat(g_user, "/hare/d/f", NULL), -EACCES, "so it is for the next one");
	do_unlink(g_p[0], "/hare/d/f", NULL);
	do_rmdir(g_p[0], "/hare/d", NULL);
	clear();
}

/* --- delivered, and not looked at yet ----------------------------------------------------------------- */

static void delivered_unlink(void)
{
	is(file_put(g_p[0], g_f, "one"), 3, "a file");
	ok(there(g_p[1], g_f), "core 1 knows it");
	town_pause(&g, 1);
	is(do_unlink(g_p[2], g_f, NULL), 0, "core 2 removes it, nobody is awake on core 1");
	is(do_create(g_p[1], g_f, NULL), 0, "who looks next on core 1 finds nothing");
	town_resume(&g, 1);
	clear();
}

static void delivered_create(void)
{
	ok(!there(g_p[1], g_f), "core 1 knows that it is not there");
	town_pause(&g, 1);
	is(file_put(g_p[2], g_f, "one"), 3, "core 2 makes it, nobody is awake on core 1");
	ok(there(g_p[1], g_f), "who looks next on core 1 finds it");
	town_resume(&g, 1);
	clear();
}

static void delivered_rename(void)
{
	is(file_put(g_p[0], g_f, "one") + file_put(g_p[2], g_g, "two"), 6, "two files");
	ok(file_is(g_p[1], g_f, "one"), "core 1 knows the first");
	town_pause(&g, 1);
	is(do_rename(g_p[2], g_g, g_f), 0, "core 2 replaces it, nobody is awake on core 1");
	ok(file_is(g_p[1], g_f, "two"), "who opens next on core 1 gets the second");
	town_resume(&g, 1);
	clear();
}

static void delivered_chmod(void)
{
	is(do_mkdir(g_p[0], "/hare/d", NULL) | do_create(g_p[0], "/hare/d/f", NULL), 0, "mkdir");
	is(do_stat(g_user, "/hare/d/f", NULL), 0, "core 1 knows the directory");
	town_pause(&g, 1);
	is(CALL(g_p[2], chmod, "/hare/d", 0700), 0, "core 2 closes it");
	is(do_stat(g_user, "/hare/d/f", NULL), -EACCES, "who looks next on core 1 may not");
	town_resume(&g, 1);
	do_unlink(g_p[0], "/hare/d/f", NULL);
	do_rmdir(g_p[0], "/hare/d", NULL);
	clear();
}

/* --- the parts of a directory -------------------------------------------------------------------- */

static const char g_d[] = "/hare/d";

static long do_chmod_500(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, chmod, x, 0500);
}

/* The mode by which a server checks. */
static u32 mode_at(u32 srv, u64 dir)
{
	struct req_RESOLVE q = { .dir = dir,
				 .name = { .p = "none", .len = 4 },
				 .cred = &g_p[srv]->t.proc->cred };
	struct rep_RESOLVE p = { 0 };

	(void)rpc_resolve(&g_p[srv]->t.ctx, srv, &q, &p);
	return p.dir_mode & 07777;
}

/* chmod 0500, stopped where the answer to `at` is in; then another one, or it is killed. */
static void parts(const char *at, bool killed)
{
	struct rival *a = rival_new(&g, 1);
	u64 dir;

	is(client_mkdir_distributed(&g_p[0]->t, g_d, 0755), 0, "a distributed directory");
	dir = ino_of(g_p[0], g_d);
	ok(rival_run(a, do_chmod_500, g_d, NULL, RACE_ANSWERED, at), "chmod: home has done it");
	if (killed) {
		rival_kill(a);
		rival_bury(a, g_p[1]);
		quiet(&g, g_p);
	} else {
		is(CALL(g_p[2], chmod, g_d, 0711), 0, "another chmod");
		is(rival_end(a), 0, "the first ends");
	}
	for (u32 srv = 0; srv < g.w.cores; srv++)
		is(mode_at(srv, dir), killed ? 0500 : 0711, "part at server %u", srv);
	is(do_rmdir(g_p[0], g_d, NULL), 0, "rmdir");
	sound(&g, g_p);
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	g_user = town_person(&g, 1, 1000);
	g_a = rival_new(&g, 1);
	crossed_by_unlink();
	crossed_by_create();
	crossed_by_rename();
	crossed_by_chmod();
	delivered_unlink();
	delivered_create();
	delivered_rename();
	delivered_chmod();
	parts("CHMOD", false);
	parts("CHMOD", true);
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_EMULATED);
}
