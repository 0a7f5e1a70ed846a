/* SPDX-License-Identifier: MIT */
/*
 * rename and RENAME_EXCHANGE, of several messages each (path_rename.c, path_exchange.c), against
 * whoever removes, renames or replaces one of the names between two of them, or the directory that
 * is moved; and with who renames killed there.
 */
#include "race/race.h"

static struct town g;
static struct person *g_p[MAX_CORES];
static struct rival *g_a, *g_b, *g_c;

static void clean(void)
{
	sound(&g, g_p);
}

/* Lets the rename of `r` go on where it stands; or kills it, and the agent does what is left. */
static long go_on(struct rival **r, bool killed)
{
	if (!killed)
		return rival_end(*r);
	rival_kill(*r);
	rival_bury(*r, g_p[0]);
	*r = rival_new(&g, 0);
	quiet(&g, g_p);
	return 1;
}

static const char *how(bool killed)
{
	return killed ? "killed" : "alive";
}

/* What a rename that goes on says; one that was killed says nothing. */
static void said(long r, bool killed, long want, const char *what)
{
	is(r, killed ? 1 : want, "%s, %s", what, how(killed));
}

/* --- two that would put each of two directories below the other --------------------------------- */

static void ring(bool killed)
{
	need(!do_mkdir(g_p[1], "/hare/a", NULL) && !do_mkdir(g_p[2], "/hare/b", NULL), "mkdir");
	ok(rival_run(g_a, do_rename, "/hare/a", "/hare/b/a", RACE_ANSWERED, "PARENT"),
	   "ring: a is not above b");
	ok(rival_run(g_b, do_rename, "/hare/b", "/hare/a/b", RACE_AT, "wait"),
	   "ring: the other waits");
	said(go_on(&g_a, killed), killed, 0, "ring: a goes below b");
	is(rival_end(g_b), killed ? 0 : -EINVAL, "ring: b %s below a", killed ? "goes" : "cannot go");
	ok(there(g_p[0], killed ? "/hare/a/b" : "/hare/b/a"), "ring: there is a way to it");
	do_rmdir(g_p[0], "/hare/a/b", NULL);
	do_rmdir(g_p[0], "/hare/b/a", NULL);
	do_rmdir(g_p[0], "/hare/a", NULL);
	do_rmdir(g_p[0], "/hare/b", NULL);
	clean();
}

/* The same when who renames is killed, and another thread of it waits for the lock: the agent gives that up
 * when it has finished the rename, not with what the waiting thread has left. */
static struct rival *g_dead;

static long do_bury(struct person *p, const char *x, const char *y)
{
	(void)x, (void)y;
	client_settle(&p->t.ctx);
	proc_release(&p->t, g_dead->p->p);
	return 0;
}

static void ring_of_threads(void)
{
	struct rival *a = rival_new(&g, 0), *b = rival_thread(a), *agent = rival_new(&g, 0);

	need(!do_mkdir(g_p[1], "/hare/x", NULL) && !do_mkdir(g_p[2], "/hare/y", NULL) &&
		     !do_mkdir(g_p[1], "/hare/x/i", NULL) && !do_mkdir(g_p[2], "/hare/y/j", NULL) &&
		     !do_mkdir(g_p[0], "/hare/x/k", NULL),
	     "mkdir");
	ok(rival_run(a, do_rename, "/hare/x/i", "/hare/y/j/i", RACE_ASK, "RM_MAP"),
	   "threads: one is about to put i below j");
	ok(rival_run(b, do_rename, "/hare/x/k", "/hare/y/k", RACE_AT, "wait"),
	   "threads: another one waits");
	ok(rival_run(g_b, do_rename, "/hare/y/j", "/hare/x/i/j", RACE_AT, "wait"),
	   "threads: another process, too");
	rival_kill(a);
	rival_kill(b);
	g_dead = a;
	ok(rival_run(agent, do_bury, NULL, NULL, RACE_ASK, "RM_MAP"),
	   "threads: the agent goes on with the first");
	ok(rival_on(g_b, RACE_AT, "wait"), "threads: the other process still waits");
	is(rival_end(agent), 0, "threads: the agent is done");
	is(rival_end(g_b), -EINVAL, "threads: i is below j by now");
	ok(there(g_p[0], "/hare/y/j/i"), "threads: there is a way to it");
	is(do_rmdir(g_p[0], "/hare/y/j/i", NULL) | do_rmdir(g_p[0], "/hare/y/j", NULL) |
		   do_rmdir(g_p[0], "/hare/y", NULL) | do_rmdir(g_p[0], "/hare/x/k", NULL) |
		   do_rmdir(g_p[0], "/hare/x", NULL),
	   0, "rmdir");
	clean();
}

/* Between the look at a name and RENAME it comes to lead to a directory above the new place. */

static void above(void)
{
	need(!do_mkdir(g_p[0], "/hare/q", NULL), "mkdir");
	need(file_put(g_p[0], "/hare/p", "file") == 4, "file");
	ok(rival_run(g_a, do_rename, "/hare/p", "/hare/q/p", RACE_ASK, "RENAME"),
	   "above: a file is about to move into a directory");
	is(do_unlink(g_p[0], "/hare/p", NULL), 0, "the file goes");
	is(do_mkdir(g_p[0], "/hare/p", NULL), 0, "a directory has its name");
	is(do_rename(g_p[0], "/hare/q", "/hare/p/q"), 0, "and the other goes into it");
	/* The path of the new name is walked anew, too. */
	is(rival_end(g_a), -ENOENT, "the rename starts over");
	ok(there(g_p[0], "/hare/p/q"), "there is a way to it");
	is(do_rmdir(g_p[0], "/hare/p/q", NULL) | do_rmdir(g_p[0], "/hare/p", NULL), 0, "rmdir");
	clean();
}

/* With the rename lock held: names in one directory change without it. */
static void above_locked(rival_fn renames, const char *x, const char *y, long want)
{
	need(!do_mkdir(g_p[0], "/hare/s", NULL) && !do_mkdir(g_p[0], "/hare/s/q", NULL) &&
		     !do_mkdir(g_p[0], "/hare/p", NULL) && !do_mkdir(g_p[0], "/hare/s/q/x", NULL),
	     "mkdir");
	ok(rival_run(g_a, renames, x, y, RACE_ASK, "RENAME"), "above: %s, %s, checked", x, y);
	is(do_rename(g_p[0], "/hare/p", "/hare/z"), 0, "it has another name");
	is(do_rename(g_p[0], "/hare/s", "/hare/p"), 0, "what is above has its name");
	is(rival_end(g_a), want, "above: %s, %s", x, y);
	ok(there(g_p[0], "/hare/p/q/x"), "there is a way to it");
	is(do_rmdir(g_p[0], "/hare/p/q/x", NULL) | do_rmdir(g_p[0], "/hare/p/q", NULL) |
		   do_rmdir(g_p[0], "/hare/p", NULL) | do_rmdir(g_p[0], "/hare/z", NULL),
	   0, "rmdir");
	clean();
}

/* Another file came to the name: that one moves, and its new name leads to it. */
static void another_file(void)
{
	u64 ino;

	need(!do_mkdir(g_p[0], "/hare/q", NULL), "mkdir");
	need(file_put(g_p[0], "/hare/p", "old") == 3 && file_put(g_p[0], "/hare/o", "new") == 3,
	     "files");
	ino = ino_of(g_p[0], "/hare/o");
	ok(rival_run(g_a, do_rename, "/hare/p", "/hare/q/p", RACE_ASK, "RENAME"),
	   "another file: one is about to move");
	is(do_rename(g_p[0], "/hare/o", "/hare/p"), 0, "another one has its name");
	is(rival_end(g_a), 0, "rename");
	ok(file_is(g_p[0], "/hare/q/p", "new") && ino_of(g_p[0], "/hare/q/p") == ino,
	   "another file: it moved");
	is(do_unlink(g_p[0], "/hare/q/p", NULL) | do_rmdir(g_p[0], "/hare/q", NULL), 0, "remove");
	clean();
}

/* --- a file between two servers -------------------------------------------------------------------- */

static const char g_from[] = "/hare/p/f", g_to[] = "/hare/q/g", g_off[] = "/hare/p/off";

static void files(void)
{
	need(!do_mkdir(g_p[1], "/hare/p", NULL) && !do_mkdir(g_p[2], "/hare/q", NULL) &&
		     file_put(g_p[1], g_from, "new") == 3 && file_put(g_p[2], g_to, "old") == 3,
	     "files");
}

static void no_files(void)
{
	static const char *const all[] = { g_from, g_to, g_off };

	for (u32 i = 0; i < ARRAY_SIZE(all); i++)
		do_unlink(g_p[0], all[i], NULL);
	is(do_rmdir(g_p[0], "/hare/p", NULL) | do_rmdir(g_p[0], "/hare/q", NULL), 0,
	   "nothing else is there");
	clean();
}

static void both_names(void)
{
	files();
	ok(rival_run(g_a, do_rename, g_from, g_to, RACE_ASK, "RM_MAP"), "rename has added the name");
	ok(file_is(g_p[2], g_to, "new") && file_is(g_p[2], g_from, "new"), "both lead to it");
}

static void old_name_removed(bool killed)
{
	both_names();
	is(do_unlink(g_p[1], g_from, NULL), 0, "its old name is removed");
	said(go_on(&g_a, killed), killed, -ENOENT, "rename");
	ok(file_is(g_p[1], g_to, "old"), "what was replaced has its name again");
	no_files();
}

static long do_read_old(struct person *p, const char *x, const char *y)
{
	(void)y;
	return file_is(p, x, "old") ? 0 : -EILSEQ;
}

static long do_open_or_make(struct person *p, const char *x, const char *y)
{
	(void)y;
	return do_close(p, CALL(p, open, x, O_CREAT | O_RDWR, 0644));
}

/* Its new name leads to a file that is gone: who opens that waits, however long it takes. */
static void old_name_removed_new_opened(bool killed, rival_fn opens)
{
	both_names();
	is(do_unlink(g_p[1], g_from, NULL), 0, "its old name is removed");
	ok(rival_run(g_b, opens, g_to, NULL, RACE_AT, "wait"), "an open of its new name waits");
	said(go_on(&g_a, killed), killed, -ENOENT, "rename");
	is(rival_end(g_b), 0, "and opens what was there before");
	ok(file_is(g_p[1], g_to, "old"), "which nobody has made anew");
	no_files();
}

static void old_name_moved(bool killed)
{
	both_names();
	is(do_rename(g_p[1], g_from, g_off), 0, "its old name is changed");
	said(go_on(&g_a, killed), killed, -ENOENT, "rename");
	ok(file_is(g_p[2], g_to, "old") && file_is(g_p[2], g_off, "new"), "all have their names");
	no_files();
}

/* The new name is pending until the rename is decided: who would take it away waits. */
static void new_name_removed(bool killed)
{
	both_names();
	ok(rival_run(g_b, do_unlink, g_to, NULL, RACE_AT, "wait"), "unlink of its new name waits");
	said(go_on(&g_a, killed), killed, 0, "rename");
	is(rival_end(g_b), 0, "unlink");
	ok(!there(g_p[1], g_from) && !there(g_p[1], g_to), "it is gone");
	no_files();
}

static void new_name_moved(bool killed)
{
	both_names();
	ok(rival_run(g_b, do_rename, g_to, g_off, RACE_AT, "wait"), "rename of its new name waits");
	said(go_on(&g_a, killed), killed, 0, "rename");
	is(rival_end(g_b), 0, "the second rename");
	ok(file_is(g_p[1], g_off, "new") && !there(g_p[1], g_from), "it has its third name");
	no_files();
}

static void new_name_replaced(bool killed)
{
	both_names();
	is(file_put(g_p[1], g_off, "other"), 5, "another file");
	ok(rival_run(g_b, do_rename, g_off, g_to, RACE_AT, "wait"), "rename onto the new name waits");
	is(do_link(g_p[1], g_off, g_to), -EEXIST, "link sees the name");
	said(go_on(&g_a, killed), killed, 0, "rename");
	is(rival_end(g_b), 0, "the second rename");
	ok(file_is(g_p[1], g_to, "other") && !there(g_p[1], g_from), "one after the other");
	no_files();
}

/* Without the wait the file would be gone with its only link, under a third name that stays. */
static void old_name_removed_new_moved(bool killed)
{
	both_names();
	ok(rival_run(g_b, do_rename, g_to, g_off, RACE_AT, "wait"), "rename of its new name waits");
	is(do_unlink(g_p[1], g_from, NULL), 0, "its old name is removed");
	said(go_on(&g_a, killed), killed, -ENOENT, "rename");
	is(rival_end(g_b), 0, "the second rename");
	ok(file_is(g_p[2], g_off, "old") && !there(g_p[1], g_to), "moves what was there before");
	no_files();
}

static void both_names_removed(bool killed)
{
	both_names();
	ok(rival_run(g_b, do_unlink, g_to, NULL, RACE_AT, "wait"), "unlink of its new name waits");
	is(do_unlink(g_p[2], g_from, NULL), 0, "its old name is removed");
	said(go_on(&g_a, killed), killed, -ENOENT, "rename");
	is(rival_end(g_b), 0, "unlink removes what was there before");
	ok(!there(g_p[1], g_from) && !there(g_p[1], g_to), "neither comes back");
	no_files();
}

/* Old names that are pending: whose rename waits for which. */
static void chain(bool killed)
{
	files();
	ok(rival_run(g_a, do_rename, g_from, g_to, RACE_ASK, "RM_MAP"), "rename has added the name");
	ok(rival_run(g_b, do_rename, g_to, g_off, RACE_AT, "wait"), "rename of the new name waits");
	ok(rival_run(g_c, do_exchange, "/hare/p", g_to, RACE_AT, "wait"), "so does an exchange");
	said(go_on(&g_a, killed), killed, 0, "the first rename");
	is(rival_end(g_b), 0, "the second rename");
	is(rival_end(g_c), -ENOENT, "exchange finds nothing there");
	ok(file_is(g_p[2], g_off, "new"), "it has its third name");
	no_files();
}

static void target_is_another(void)
{
	files();
	ok(rival_run(g_a, do_rename, g_from, g_to, RACE_ASK, "ADD_MAP"), "rename is about to add");
	is(do_unlink(g_p[1], g_to, NULL) | do_mkdir(g_p[1], g_to, NULL), 0,
	   "its target is a directory now");
	is(rival_end(g_a), -EISDIR, "rename sees it");
	ok(file_is(g_p[1], g_from, "new"), "nothing is moved");
	do_rmdir(g_p[1], g_to, NULL);
	no_files();
}

/* A directory that was marked to be replaced is not any more what the name leads to. */
static void marked_is_another(void)
{
	need(!do_mkdir(g_p[1], "/hare/p", NULL) && !do_mkdir(g_p[2], "/hare/q", NULL) &&
		     !do_mkdir(g_p[1], "/hare/p/d", NULL) && !do_mkdir(g_p[1], "/hare/q/e", NULL),
	     "mkdir");
	ok(rival_run(g_a, do_rename, "/hare/p/d", "/hare/q/e", RACE_ASK, "ADD_MAP"),
	   "rename has marked the directory it replaces");
	is(do_rename(g_p[2], "/hare/q/e", "/hare/q/e2"), 0, "which gets another name");
	is(do_mkdir(g_p[2], "/hare/q/e", NULL) | do_create(g_p[2], "/hare/q/e/x", NULL), 0,
	   "and another one its name");
	is(rival_end(g_a), -ENOTEMPTY, "rename sees it");
	is(do_create(g_p[1], "/hare/q/e2/y", NULL), 0, "the first one is not marked any more");
	do_unlink(g_p[1], "/hare/q/e2/y", NULL);
	do_unlink(g_p[1], "/hare/q/e/x", NULL);
	is(do_rmdir(g_p[1], "/hare/q/e2", NULL) | do_rmdir(g_p[1], "/hare/q/e", NULL) |
		   do_rmdir(g_p[1], "/hare/p/d", NULL),
	   0, "rmdir");
	no_files();
}

/* --- RENAME_EXCHANGE: between its two steps both names lead to the first one's file ------------------ */

static void exchanging(void)
{
	files();
	ok(rival_run_skip(g_a, do_exchange, g_from, g_to, RACE_ASK, "ADD_MAP", 1),
	   "exchange is half done");
	ok(file_is(g_p[1], g_from, "new") && file_is(g_p[1], g_to, "new"), "no name is missing");
}

static void exchange_first_removed(bool killed)
{
	exchanging();
	is(do_unlink(g_p[1], g_from, NULL), 0, "its first name is removed");
	said(go_on(&g_a, killed), killed, -ENOENT, "exchange");
	ok(file_is(g_p[0], g_to, "old") && !there(g_p[2], g_from), "the second is as before");
	no_files();
}

static void exchange_second_removed(bool killed)
{
	exchanging();
	ok(rival_run(g_b, do_unlink, g_to, NULL, RACE_AT, "wait"), "unlink of its second name waits");
	said(go_on(&g_a, killed), killed, 0, "exchange");
	is(rival_end(g_b), 0, "unlink");
	ok(file_is(g_p[2], g_from, "old") && !there(g_p[1], g_to), "exchange, then unlink");
	no_files();
}

static void exchange_both_removed(bool killed)
{
	exchanging();
	ok(rival_run(g_b, do_unlink, g_to, NULL, RACE_AT, "wait"), "unlink of its second name waits");
	is(do_unlink(g_p[2], g_from, NULL), 0, "its first name is removed");
	said(go_on(&g_a, killed), killed, -ENOENT, "exchange");
	is(rival_end(g_b), 0, "unlink");
	ok(!there(g_p[1], g_from) && !there(g_p[1], g_to), "neither comes back");
	no_files();
}

static void exchange_first_moved(bool killed)
{
	exchanging();
	is(do_rename(g_p[2], g_from, g_off), 0, "its first name is changed");
	said(go_on(&g_a, killed), killed, -ENOENT, "exchange");
	ok(file_is(g_p[0], g_to, "old") && file_is(g_p[2], g_off, "new"), "all have their names");
	no_files();
}

static void exchange_first_replaced(bool killed)
{
	exchanging();
	is(do_unlink(g_p[1], g_from, NULL), 0, "its first name is removed");
	is(file_put(g_p[1], g_from, "other"), 5, "and made anew");
	said(go_on(&g_a, killed), killed, 0, "exchange starts over");
	ok(file_is(g_p[0], killed ? g_to : g_from, "old") &&
		   file_is(g_p[2], killed ? g_from : g_to, "other"),
	   "all have their names");
	no_files();
}

/* Directories: where they hang is told too. */
static void exchange_directories(bool killed)
{
	char cwd[64];

	need(!do_mkdir(g_p[1], "/hare/p", NULL) && !do_mkdir(g_p[2], "/hare/q", NULL) &&
		     !do_mkdir(g_p[0], "/hare/p/i", NULL) && !do_mkdir(g_p[1], "/hare/q/j", NULL),
	     "mkdir");
	is(CALL(g_p[1], chdir, "/hare/p/i"), 0, "chdir");
	is(CALL(g_p[2], chdir, "/hare/q/j"), 0, "chdir");
	ok(rival_run_skip(g_a, do_exchange, "/hare/p/i", "/hare/q/j", RACE_ASK, "ADD_MAP", 1),
	   "exchange of directories is half done");
	ok(rival_run(g_b, do_rmdir, "/hare/q/j", NULL, RACE_AT, "wait"), "rmdir waits");
	said(go_on(&g_a, killed), killed, 0, "exchange");
	CALL(g_p[1], getcwd, cwd, sizeof(cwd));
	ok(!strcmp(cwd, "/hare/q/j"), "the first is at %s", cwd);
	CALL(g_p[2], getcwd, cwd, sizeof(cwd));
	ok(!strcmp(cwd, "/hare/p/i"), "the second is at %s", cwd);
	is(rival_end(g_b), 0, "rmdir");
	is(CALL(g_p[1], getcwd, cwd, sizeof(cwd)), -ENOENT, "the first is gone");
	is(CALL(g_p[1], chdir, "/hare") | CALL(g_p[2], chdir, "/hare"), 0, "chdir");
	is(do_rmdir(g_p[0], "/hare/p/i", NULL), 0, "rmdir");
	no_files();
}

/* --- a directory between two servers of a distributed one ---------------------------------------------- */

static char g_x[64], g_y[64], g_z[64], g_y2[64]; /* at servers 1, 2, 0, 2 */

static void name_in_d(char *out, u64 dir, u32 srv, const char *stem)
{
	char name[16];

	sprintf(out, "/hare/d/%s", name_at(&g, dir, srv, stem, name));
}

static void spread(void)
{
	u64 dir;

	need(!client_mkdir_distributed(&g_p[0]->t, "/hare/d", 0755), "mkdir");
	dir = ino_of(g_p[0], "/hare/d");
	name_in_d(g_x, dir, 1, "x");
	name_in_d(g_y, dir, 2, "y");
	name_in_d(g_z, dir, 0, "z");
	name_in_d(g_y2, dir, 2, "w");
	need(!do_mkdir(g_p[1], g_x, NULL), "mkdir");
	ok(rival_run(g_a, do_rename, g_x, g_y, RACE_ASK, "RM_MAP"), "a directory has two names");
	ok(there(g_p[1], g_x) && there(g_p[1], g_y), "both are seen");
}

/* Of the names only `left` leads anywhere, to a directory that can be used, and knows its name. */
static void one_left(const char *left)
{
	const char *all[] = { g_x, g_y, g_z, g_y2 };
	char file[80], cwd[64];

	for (u32 i = 0; i < ARRAY_SIZE(all); i++) {
		bool want = left && !strcmp(all[i], left);

		is(there(g_p[1], all[i]), want, "%s is %sthere", all[i], want ? "" : "not ");
		if (!want)
			continue;
		sprintf(file, "%s/file", left);
		is(do_create(g_p[2], file, NULL) | do_unlink(g_p[1], file, NULL), 0,
		   "it is a directory");
		CALL(g_p[2], chdir, left);
		CALL(g_p[2], getcwd, cwd, sizeof(cwd));
		ok(!strcmp(cwd, left), "that knows its name: %s", cwd);
		CALL(g_p[2], chdir, "/hare");
		is(do_rmdir(g_p[1], left, NULL), 0, "rmdir");
	}
	is(do_rmdir(g_p[1], "/hare/d", NULL), 0, "nothing else is there");
	clean();
}

/* It is removed by the old name; by the new one, which has to wait. */
static void moved_and_removed(bool killed)
{
	spread();
	is(do_rmdir(g_p[2], g_x, NULL), 0, "it is removed by its old name");
	said(go_on(&g_a, killed), killed, -ENOENT, "rename");
	one_left(NULL);

	spread();
	ok(rival_run(g_c, do_rmdir, g_y, NULL, RACE_AT, "wait"),
	   "who removes it by its new name waits");
	said(go_on(&g_a, killed), killed, 0, "rename");
	is(rival_end(g_c), 0, "rmdir");
	one_left(NULL);
}

/* Two renames of it, one of which fails; whose new name must not be what is removed. */
static void moved_twice_and_removed(bool killed)
{
	spread();
	ok(rival_run(g_b, do_rename, g_x, g_z, RACE_ASK, "RM_MAP"), "a directory has three names");
	ok(rival_run(g_c, do_rmdir, g_z, NULL, RACE_AT, "wait"), "rmdir by the third waits");
	said(go_on(&g_a, killed), killed, 0, "the first rename");
	is(rival_end(g_b), -ENOENT, "the second rename");
	is(rival_end(g_c), -ENOENT, "rmdir finds nothing there");
	one_left(g_y);
}

/* The same with the third renamed on, which would leave two names for good. */
static void moved_twice_and_on(bool killed)
{
	spread();
	ok(rival_run(g_b, do_rename, g_x, g_z, RACE_ASK, "RM_MAP"), "a directory has three names");
	ok(rival_run(g_c, do_rename, g_z, g_y2, RACE_AT, "wait"), "rename of the third waits");
	said(go_on(&g_a, killed), killed, 0, "the first rename");
	is(rival_end(g_b), -ENOENT, "the second rename");
	is(rival_end(g_c), -ENOENT, "the third finds nothing there");
	one_left(g_y);
}

/* Renamed on by its new name: within that name's server, to another, and over it. */
static void moved_on(bool killed)
{
	spread();
	ok(rival_run(g_b, do_rename, g_y, g_y2, RACE_AT, "wait"), "rename of the new name waits");
	said(go_on(&g_a, killed), killed, 0, "the first rename");
	is(rival_end(g_b), 0, "the second rename");
	one_left(g_y2);

	spread();
	ok(rival_run(g_b, do_rename, g_y, g_z, RACE_AT, "wait"), "rename of the new name waits");
	said(go_on(&g_a, killed), killed, 0, "the first rename");
	is(rival_end(g_b), 0, "the second rename");
	one_left(g_z);

	spread();
	need(!do_mkdir(g_p[2], g_z, NULL), "mkdir");
	ok(rival_run(g_b, do_rename, g_z, g_y, RACE_AT, "wait"), "rename onto the new name waits");
	said(go_on(&g_a, killed), killed, 0, "the first rename");
	is(rival_end(g_b), 0, "the second rename");
	one_left(g_y);
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	g_a = rival_new(&g, 0);
	g_b = rival_new(&g, 2);
	g_c = rival_new(&g, 1);
	for (int killed = 0; killed < 2; killed++) {
		ring(killed);
		old_name_removed(killed);
		old_name_removed_new_opened(killed, do_read_old);
		old_name_removed_new_opened(killed, do_open_or_make);
		old_name_moved(killed);
		new_name_removed(killed);
		new_name_moved(killed);
		new_name_replaced(killed);
		old_name_removed_new_moved(killed);
		both_names_removed(killed);
		chain(killed);
		exchange_first_removed(killed);
		exchange_second_removed(killed);
		exchange_both_removed(killed);
		exchange_first_moved(killed);
		exchange_first_replaced(killed);
		exchange_directories(killed);
		moved_and_removed(killed);
		moved_twice_and_removed(killed);
		moved_twice_and_on(killed);
		moved_on(killed);
	}
	if (wc->islands != 1)
		ring_of_threads();
	above();
	above_locked(do_rename, "/hare/p", "/hare/s/q/p", -ENOENT);
	above_locked(do_exchange, "/hare/p", "/hare/s/q/x", -ENOENT);
	above_locked(do_exchange, "/hare/s/q/x", "/hare/p", -ENOENT);
	another_file();
	target_is_another();
	marked_is_another();
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_ONE | IN_EMULATED);
}
