/* SPDX-License-Identifier: MIT */
/*
 * open and link against unlink of the same name, in both orders: who opened first keeps the file
 * (an orphan, that goes with its last close or death), who comes later finds what the name leads to
 * by then.
 */
#include "race/race.h"

static struct town g;
static struct person *g_p[MAX_CORES];
static struct rival *g_a; /* on core 1; the files are at server 0 */
static const char g_f[] = "/hare/f", g_g[] = "/hare/g";

static u64 inodes(void)
{
	return stats_of(&g, g_p).inodes;
}

static void clear(void)
{
	do_unlink(g_p[0], g_f, NULL);
	do_unlink(g_p[0], g_g, NULL);
	is(inodes(), 0, "no inode is left");
	is(town_check(&g, NULL), 0, "no invariant is violated");
}

/* Opens x and expects to read y in it; with a pause between. */
static long do_read(struct person *p, const char *x, const char *y)
{
	char buf[16] = "";
	long fd = CALL(p, open, x, O_RDONLY, 0), n;

	if (fd < 0)
		return fd;
	rival_here("opened");
	n = CALL(p, read, fd, buf, sizeof(buf));
	CALL(p, close, fd);
	return n == (long)strlen(y) && !memcmp(buf, y, (size_t)n) ? 0 : -EILSEQ;
}

static long do_read_or_make(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_CREAT | O_RDWR, 0644), n;
	char buf[16] = "";

	if (fd < 0)
		return fd;
	n = CALL(p, read, fd, buf, sizeof(buf));
	CALL(p, close, fd);
	return n == (long)strlen(y) && !memcmp(buf, y, (size_t)n) ? 0 : -EILSEQ;
}

static void opened_first(u32 when, const char *at)
{
	is(file_put(g_p[0], g_f, "one"), 3, "a file");
	ok(rival_run(g_a, do_read, g_f, "one", when, at), "it is open");
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	is(file_put(g_p[0], g_f, "two"), 3, "another one gets its name");
	is(inodes(), 2, "both live");
	is(rival_end(g_a), 0, "what was opened can be read");
	is(inodes(), 1, "and is gone when it is closed");
	clear();
}

static void opened_and_killed(u32 when, const char *at)
{
	struct rival *a = rival_new(&g, 1);

	is(file_put(g_p[0], g_f, "one"), 3, "a file");
	ok(rival_run(a, do_read, g_f, "one", when, at), "it is open");
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	is(inodes(), 1, "it lives");
	rival_kill(a);
	rival_bury(a, g_p[1]);
	is(inodes(), 0, "and is gone when who had it open is dead");
	clear();
}

static void unlinked_first(void)
{
	is(file_put(g_p[0], g_f, "one"), 3, "a file");
	ok(rival_run(g_a, do_read, g_f, "one", RACE_ASK, "OPEN"), "it is looked up");
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	is(rival_end(g_a), -ENOENT, "open finds nothing");
	clear();
}

static void unlinked_and_made(void)
{
	is(file_put(g_p[0], g_f, "one"), 3, "a file");
	ok(rival_run(g_a, do_read, g_f, "two", RACE_ASK, "OPEN"), "it is looked up");
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	is(file_put(g_p[2], g_f, "two"), 3, "another one gets its name");
	is(rival_end(g_a), 0, "open opens that");
	clear();
}

static void renamed_over(void)
{
	is(file_put(g_p[0], g_f, "one") + file_put(g_p[0], g_g, "two"), 6, "two files");
	ok(rival_run(g_a, do_read, g_f, "two", RACE_ASK, "OPEN"), "the first is looked up");
	is(do_rename(g_p[2], g_g, g_f), 0, "the second replaces it");
	is(rival_end(g_a), 0, "open opens that");
	clear();
}

/* O_CREAT found the file; it is gone before it is opened, so it is made. */
static void created_after_all(void)
{
	is(file_put(g_p[0], g_f, "one"), 3, "a file");
	ok(there(g_p[1], g_f), "core 1 knows it");
	ok(rival_run(g_a, do_read_or_make, g_f, "", RACE_ASK, "OPEN"), "it is looked up");
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	is(rival_end(g_a), 0, "a new one is made and opened");
	ok(there(g_p[0], g_f), "it is there");
	clear();
}

/* --- a name for what is open --------------------------------------------------------------------------- */

/* A file that x makes, removed again, or without x never named; linked as y. */
static long do_link_open(struct person *p, const char *x, const char *y)
{
	long fd = *x ? CALL(p, open, x, O_CREAT | O_EXCL | O_RDWR, 0644)
		     : CALL(p, open, "/hare", O_TMPFILE | O_RDWR, 0644);
	long r = fd < 0 ? fd : *x ? do_unlink(p, x, NULL) : 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%ld", fd);
	if (!r)
		r = CALL(p, linkat, AT_FDCWD, path, AT_FDCWD, y, AT_SYMLINK_FOLLOW);
	if (r == -EEXIST) /* another name, then */
		r = CALL(p, linkat, AT_FDCWD, path, AT_FDCWD, "/hare/h", AT_SYMLINK_FOLLOW);
	if (!r && !*x) {
		do_unlink(p, y, NULL);
		do_unlink(p, "/hare/h", NULL);
		r = CALL(p, linkat, AT_FDCWD, path, AT_FDCWD, y, AT_SYMLINK_FOLLOW);
	}
	CALL(p, close, fd);
	return r;
}

static void linked_open(void)
{
	for (u32 i = 0; i < 2; i++) {
		is(do_link_open(g_p[i], g_f, g_g), -ENOENT, "what had a name gets none again");
		is(do_link_open(g_p[i], "", g_g), -ENOENT, "O_TMPFILE: one, once");
	}
	clear();
}

/* A name that was taken while the link was counted does not count as one. */
static void linked_open_over(void)
{
	ok(rival_run(g_a, do_link_open, "", g_g, RACE_ASK, "ADD_MAP"), "the link is counted");
	is(file_put(g_p[2], g_g, "two"), 3, "its name is taken");
	ok(rival_on(g_a, RACE_ANSWERED, "ADD_MAP"), "and not given");
	ok(rival_on(g_a, RACE_ANSWERED, "ADD_MAP"), "another one is");
	is(ino_of(g_p[2], "/hare/h") != 0, 1, "by which it is there");
	is(rival_end(g_a), -ENOENT, "that was its last one");
	clear();
}

/* --- a file that is made on another server than its name -------------------------------------------- */

/* Named by a, and gone again before a returns; others may have made another one meanwhile. */
static void made_and_gone(rival_fn fn, bool again)
{
	ok(rival_run(g_a, fn, g_f, "", RACE_ANSWERED, "ADD_MAP"), "it is made and named");
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	if (again)
		is(file_put(g_p[2], g_f, "two"), 3, "another one gets its name");
	is(rival_end(g_a), 0, "who made it has it");
	is(there(g_p[0], g_f), again, "and makes no other");
	clear();
}

/* Others are first to name theirs so. */
static void made_in_vain(rival_fn fn, const char *text, long want)
{
	ok(rival_run(g_a, fn, g_f, text, RACE_ASK, "ADD_MAP"), "it is made, and has no name yet");
	is(file_put(g_p[2], g_f, "two"), 3, "another one gets the name");
	is(rival_end(g_a), want, "that one is there");
	is(inodes(), 1, "and no other");
	clear();
}

static void made_and_killed(u32 when, const char *at, bool made)
{
	struct rival *a = rival_new(&g, 1);

	ok(rival_run(a, do_create, g_f, NULL, when, at), "it is being made");
	rival_kill(a);
	rival_bury(a, g_p[1]);
	is(there(g_p[2], g_f), made, "it is there, or not");
	is(inodes(), made, "without a leak");
	if (made)
		is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	is(inodes(), 0, "nobody has it open");
	clear();
}

/* --- link ------------------------------------------------------------------------------------------------ */

static void linked_late(void)
{
	is(file_put(g_p[0], g_f, "one"), 3, "a file");
	ok(rival_run(g_a, do_link, g_f, g_g, RACE_ASK, "LINK"), "link has looked it up");
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	is(rival_end(g_a), -ENOENT, "link finds no file");
	ok(!there(g_p[0], g_g), "no name is made");
	clear();
}

static void linked_first(void)
{
	is(file_put(g_p[0], g_f, "one"), 3, "a file");
	ok(rival_run(g_a, do_link, g_f, g_g, RACE_ASK, "ADD_MAP"), "link has counted the link");
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	is(rival_end(g_a), 0, "link adds the name");
	ok(file_is(g_p[2], g_g, "one"), "the file lives under it");
	clear();
}

static void linked_and_killed(u32 when, const char *at, bool made)
{
	struct rival *a = rival_new(&g, 1);

	is(file_put(g_p[0], g_f, "one"), 3, "a file");
	ok(rival_run(a, do_link, g_f, g_g, when, at), "link is under way");
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	rival_kill(a);
	rival_bury(a, g_p[1]);
	is(there(g_p[2], g_g), made, "the file has its second name, or is gone");
	is(inodes(), made, "without a leak");
	clear();
}

static void linked_over(void)
{
	is(file_put(g_p[0], g_f, "one"), 3, "a file");
	ok(rival_run(g_a, do_link, g_f, g_g, RACE_ASK, "ADD_MAP"), "link has counted the link");
	is(file_put(g_p[2], g_g, "two"), 3, "its name is taken");
	is(rival_end(g_a), -EEXIST, "link");
	is(do_unlink(g_p[2], g_f, NULL), 0, "unlink");
	is(inodes(), 1, "the link was taken back");
	clear();
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	g_a = rival_new(&g, 1);
	opened_first(RACE_AT, "opened");
	opened_first(RACE_ANSWERED, "OPEN");
	opened_and_killed(RACE_AT, "opened");
	opened_and_killed(RACE_ANSWERED, "OPEN");
	unlinked_first();
	unlinked_and_made();
	renamed_over();
	created_after_all();
	made_and_gone(do_create, false);
	made_and_gone(do_create, true);
	made_and_gone(do_read_or_make, false);
	made_and_gone(do_read_or_make, true);
	made_in_vain(do_create, "", -EEXIST);
	made_in_vain(do_read_or_make, "two", 0);
	made_and_killed(RACE_ANSWERED, "CREATE", false);
	made_and_killed(RACE_ASK, "ADD_MAP", false);
	made_and_killed(RACE_ANSWERED, "ADD_MAP", true);
	linked_open();
	linked_open_over();
	linked_late();
	linked_first();
	linked_over();
	linked_and_killed(RACE_ASK, "ADD_MAP", false);
	linked_and_killed(RACE_ANSWERED, "ADD_MAP", true);
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_EMULATED);
}
