/* SPDX-License-Identifier: MIT */
/*
 * Names that are there all the time: rename puts another file in the place of the one that a call by
 * path has just looked up, and the old one goes with its last link. The call is about the new one then;
 * Linux would have held the old one.
 */
#include "client/exec.h"
#include "race/race.h"

#include <sys/inotify.h>

static struct town g;
static struct person *g_p[MAX_CORES];
static struct rival *g_a; /* on core 1; the names are at server 0 */
static const char g_f[] = "/hare/f", g_g[] = "/hare/g";

static long do_chmod(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, chmod, x, 0711);
}
static long do_chown(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, chown, x, 1, 1);
}
static long do_utime(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, utimensat, AT_FDCWD, x, NULL, 0);
}
static long do_truncate(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, truncate, x, 0);
}
static long do_stat_to(struct person *p, const char *x, const char *y)
{
	struct stat st;

	(void)y;
	return CALL(p, stat, x, &st);
}
static long do_statx(struct person *p, const char *x, const char *y)
{
	u8 stx[256];

	(void)y;
	return CALL(p, statx, AT_FDCWD, x, 0, 0x7ff, stx);
}
static long do_access(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, access, x, 4);
}
static long do_readlink(struct person *p, const char *x, const char *y)
{
	char buf[64];

	(void)y;
	return CALL(p, readlink, x, buf, sizeof(buf));
}
static long do_open(struct person *p, const char *x, const char *y)
{
	(void)y;
	return do_close(p, CALL(p, open, x, O_RDONLY, 0));
}
static long do_setxattr(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, setxattr, x, "user.b", "2", 1, 0);
}
static long do_getxattr(struct person *p, const char *x, const char *y)
{
	char buf[8];

	(void)y;
	return CALL(p, getxattr, x, "user.a", buf, sizeof(buf));
}
static long do_listxattr(struct person *p, const char *x, const char *y)
{
	char buf[64];

	(void)y;
	return CALL(p, listxattr, x, buf, sizeof(buf));
}
static long do_removexattr(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, removexattr, x, "user.a");
}
static long do_exec(struct person *p, const char *x, const char *y)
{
	static char host[PATH_LEN_MAX];
	struct place pl;
	struct ofd *o;
	bool rewritten;
	long r = path_open_exec(&p->t, AT_FDCWD, x, 0, &pl, host, &rewritten, &o);

	(void)y;
	if (!r)
		ofd_put(&p->t, o);
	return r;
}
static long do_watch(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, inotify_init1, 0), r;

	(void)y;
	r = CALL(p, inotify_add_watch, fd, x, IN_MODIFY);
	CALL(p, close, fd);
	return MIN(r, 0L);
}
static long do_chdir(struct person *p, const char *x, const char *y)
{
	long r = CALL(p, chdir, x);

	(void)y;
	if (!r)
		CALL(p, chdir, "/hare");
	return r;
}
static long do_tmpfile(struct person *p, const char *x, const char *y)
{
	(void)y;
	return do_close(p, CALL(p, open, x, O_TMPFILE | O_RDWR, 0600));
}

/* --- files --------------------------------------------------------------------------------- */

static void two_files(void)
{
	is(file_put(g_p[0], g_f, "one") + file_put(g_p[0], g_g, "two"), 6, "two files");
	CALL(g_p[0], chmod, g_f, 0755);
	CALL(g_p[0], chmod, g_g, 0755);
	CALL(g_p[0], setxattr, g_f, "user.a", "1", 1, 0);
	CALL(g_p[0], setxattr, g_g, "user.a", "1", 1, 0);
	ok(there(g_p[1], g_f), "core 1 knows the first");
}

static void files(rival_fn fn, const char *at, long want)
{
	two_files();
	ok(rival_run(g_a, fn, g_f, "", RACE_ASK, at), "%s of the first is asked for", at);
	is(do_rename(g_p[2], g_g, g_f), 0, "the second replaces it");
	is(rival_end(g_a), want, "%s is done to the second", at);
	do_unlink(g_p[0], g_f, NULL);
	two_files();
	ok(rival_run(g_a, fn, g_f, "", RACE_ASK, at), "%s of it is asked for", at);
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	ok(!rival_on(g_a, RACE_AT, "wait"), "nothing is waited for");
	is(rival_end(g_a), -ENOENT, "there is nothing");
	do_unlink(g_p[0], g_g, NULL);
}

/* The new name is at another server than the old one, and stays pending. */
static void apart(rival_fn fn, const char *at, long want)
{
	struct rival *b = rival_new(&g, 2);

	is(CALL(g_p[2], mkdir, "/hare/d", 0755), 0, "a directory of server 2");
	two_files();
	is(do_rename(g_p[0], g_g, "/hare/d/g"), 0, "a file in it");
	ok(rival_run(g_a, fn, g_f, "", RACE_ASK, at), "%s of the first is asked for", at);
	ok(rival_run(b, do_rename, "/hare/d/g", g_f, RACE_ASK, "RM_MAP"), "replaced, pending");
	quiet(&g, g_p);
	is(rival_end(g_a), want, "%s is done to the second", at);
	is(rival_end(b), 0, "rename");
	rival_free(b);
	do_unlink(g_p[0], g_f, NULL);
	do_rmdir(g_p[0], "/hare/d", NULL);
}

/* --- symlinks ------------------------------------------------------------------------------ */

static void links(rival_fn fn, const char *path, long want, bool is_dir)
{
	const char *target = is_dir ? "e" : "h";

	is(do_mkdir(g_p[0], "/hare/e", NULL), 0, "mkdir");
	is(file_put(g_p[0], "/hare/e/h", "x") + file_put(g_p[0], "/hare/h", "x"), 2, "files");
	is(CALL(g_p[0], symlink, target, g_f) | CALL(g_p[0], symlink, target, g_g), 0, "links");
	ok(there(g_p[1], g_f), "core 1 knows the first");
	ok(rival_run(g_a, fn, path, "", RACE_ASK, "READLINK"), "%s: it is to be read", path);
	is(do_rename(g_p[2], g_g, g_f), 0, "the second replaces it");
	is(rival_end(g_a), want, "%s leads on", path);
	ok(rival_run(g_a, fn, path, "", RACE_ASK, "READLINK"), "%s: again", path);
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	ok(!rival_on(g_a, RACE_AT, "wait"), "nothing is waited for");
	is(rival_end(g_a), -ENOENT, "there is nothing");
	do_unlink(g_p[0], "/hare/h", NULL);
	do_unlink(g_p[0], "/hare/e/h", NULL);
	do_rmdir(g_p[0], "/hare/e", NULL);
}

/* --- directories --------------------------------------------------------------------------- */

static void dirs(rival_fn fn, const char *path, const char *at, u32 skip)
{
	is(do_mkdir(g_p[0], g_f, NULL) | do_mkdir(g_p[0], g_g, NULL), 0, "two directories");
	is(file_put(g_p[0], "/hare/h", "x"), 1, "a file beside them");
	ok(there(g_p[1], g_f), "core 1 knows the first");
	ok(rival_run_skip(g_a, fn, path, "", RACE_ASK, at, skip), "%s, %s", path, at);
	is(do_rename(g_p[2], g_g, g_f), 0, "the second replaces it");
	is(rival_end(g_a), 0, "%s is of the second", path);
	do_unlink(g_p[0], "/hare/h", NULL);
	do_rmdir(g_p[0], g_f, NULL);
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	g_a = rival_new(&g, 1);
	files(do_chmod, "CHMOD", 0);
	files(do_chown, "CHOWN", 0);
	files(do_utime, "UTIMENS", 0);
	files(do_truncate, "TRUNC", 0);
	files(do_stat_to, "FSTAT", 0);
	files(do_statx, "FSTAT", 0);
	files(do_access, "FSTAT", 0);
	files(do_open, "OPEN", 0);
	files(do_exec, "OPEN", 0);
	files(do_setxattr, "XATTR", 0);
	files(do_getxattr, "XATTR", 1);
	files(do_listxattr, "XATTR", 7);
	files(do_removexattr, "XATTR", 0);
	files(do_watch, "FSTAT", 0);
	files(do_watch, "WATCH", 0);
	apart(do_stat_to, "FSTAT", 0);
	apart(do_exec, "OPEN", 0);
	links(do_readlink, g_f, 1, false);
	links(do_stat_to, g_f, 0, false);
	links(do_stat_to, "/hare/f/h", 0, true);
	dirs(do_chdir, g_f, "FSTAT", 0);
	dirs(do_chdir, g_f, "OPEN", 0);
	dirs(do_stat_to, "/hare/f/.", "FSTAT", 0);
	dirs(do_stat_to, "/hare/f/../h", "RESOLVE", 0);
	dirs(do_tmpfile, g_f, "FSTAT", 0);
	sound(&g, g_p);
	is(stats_of(&g, g_p).inodes, 0, "no inode is left");
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_EMULATED);
}
