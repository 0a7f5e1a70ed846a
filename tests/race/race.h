/* SPDX-License-Identifier: MIT */
/*
 * Orders that are forced: processes of a small Hare (unit/client.h) that stop where they are told.
 *
 * A rival is a process of its own. It runs one function and stops, by SIGSTOP, at the first race
 * point (base/race.h) of the name it was given; the test then does whatever has to come in
 * between, and lets it go on to the next point, to the end, or kills it there. Nothing sleeps and
 * nothing is measured: who is to wait for another is seen waiting, at the point "wait".
 *
 * Where a change may lead to another point than what it is to mend, both are named, "wait|PING", with
 * RACE_EVER for when; rival_is_at says which one it is: so a test that fails does not hang.
 *
 *	struct rival *a = rival_new(&town, 1), *b = rival_new(&town, 2);
 *	ok(rival_run(a, do_rmdir, "/hare/d", NULL, RACE_ASK, "RM_MAP"), "all is marked");
 *	ok(rival_run(b, do_create, "/hare/d/f", NULL, RACE_AT, "wait"), "create is delayed");
 *	is(rival_end(a), 0, "rmdir");
 *	is(rival_end(b), -ENOENT, "create finds no directory");
 */
#ifndef HARE_TESTS_RACE_H
#define HARE_TESTS_RACE_H

#include "base/race.h"
#include "client/process.h"
#include "unit/client.h"

#define RIVAL_SECONDS 250 /* a test that hangs ends, as one that failed; from the last one's birth */

typedef long (*rival_fn)(struct person *p, const char *x, const char *y);

#define RACE_EVER 99u /* whenever */

/* What a rival and the test tell each other. */
struct rival_words {
	char what[24]; /* where to stop, names with | between them; "": nowhere */
	char at[24]; /* where it stopped last */
	u32 when, skip;
	u32 done;
	long result;
};

struct rival {
	struct town *town;
	struct person *p;
	struct rival_words *w;
	pid_t pid; /* 0: none runs */
};

static struct rival_words *g_rival_words; /* in a rival: its own */

static inline bool rival_is_named(const char *names, const char *what)
{
	size_t len = strlen(what);

	for (; *names; names += strcspn(names, "|"), names += *names == '|')
		if (strcspn(names, "|") == len && !memcmp(names, what, len))
			return true;
	return false;
}

static inline void rival_hook(const char *what, u32 when)
{
	struct rival_words *w = g_rival_words;

	if (!w || (when != w->when && w->when != RACE_EVER) || !rival_is_named(w->what, what))
		return;
	if (w->skip) {
		w->skip--;
		return;
	}
	w->what[0] = 0;
	snprintf(w->at, sizeof(w->at), "%s", what);
	raise(SIGSTOP);
}

/* A point of the test's own, in a rival's function. */
static inline void rival_here(const char *what)
{
	race_point(what, RACE_AT);
}

static inline struct rival *rival_new_as(struct town *town, u32 core, u32 uid)
{
	struct rival *r = calloc(1, sizeof(*r));

	r->town = town;
	r->p = town_person(town, core, uid);
	r->w = world_shared(sizeof(*r->w));
	g_race_hook = rival_hook;
	alarm(RIVAL_SECONDS);
	return r;
}

static inline struct rival *rival_new(struct town *town, u32 core)
{
	return rival_new_as(town, core, 0);
}

/* Another thread of the same process. It dies with it: kill both before they are buried. */
__attribute__((unused)) static struct rival *rival_thread(struct rival *of)
{
	struct rival *r = rival_new(of->town, of->p->t.ctx.core);

	r->p->p = r->p->t.proc = of->p->p;
	return r;
}

/* Until it stops (true) or is done. */
static inline bool rival_wait(struct rival *r)
{
	int status;

	while (waitpid(r->pid, &status, WUNTRACED) < 0)
		;
	if (WIFSTOPPED(status))
		return true;
	if (!WIFEXITED(status) || WEXITSTATUS(status) || !r->w->done) {
		diag("a rival died: status 0x%x", status);
		r->w->result = -9999;
	}
	r->pid = 0;
	return false;
}

static inline bool rival_is_at(const struct rival *r, const char *what)
{
	return r->pid && !strcmp(r->w->at, what);
}

static inline void rival_aim(struct rival *r, u32 when, const char *what, u32 skip)
{
	r->w->when = when;
	r->w->skip = skip;
	snprintf(r->w->what, sizeof(r->w->what), "%s", what);
}

/* Begins, and runs to its skip + 1st point of that name. True: it stands there. */
static inline bool rival_run_skip(struct rival *r, rival_fn fn, const char *x, const char *y,
				  u32 when, const char *what, u32 skip)
{
	need(!r->pid, "one at a time");
	r->w->done = 0;
	rival_aim(r, when, what, skip);
	r->pid = world_fork(&r->town->w);
	if (!r->pid) {
		g_rival_words = r->w;
		town_mine(r->p);
		r->w->result = fn(r->p, x, y);
		msg_slot_give(&r->p->t.ctx);
		r->w->done = 1;
		_exit(0);
	}
	return rival_wait(r);
}
#define rival_run(r, fn, x, y, when, what) rival_run_skip(r, fn, x, y, when, what, 0)

/* Goes on to the next such point. */
static inline bool rival_on(struct rival *r, u32 when, const char *what)
{
	need(r->pid, "it stands somewhere");
	rival_aim(r, when, what, 0);
	kill(r->pid, SIGCONT);
	return rival_wait(r);
}

/* Goes on to the end; its result. */
static inline long rival_end(struct rival *r)
{
	if (r->pid)
		rival_on(r, RACE_AT, "");
	return r->w->result;
}

/* To the end, and forgotten. */
static inline void rival_free(struct rival *r)
{
	rival_end(r);
	munmap(r->w, sizeof(*r->w));
	free(r);
}

/* All of it in one go. */
static inline long rival_do(struct rival *r, rival_fn fn, const char *x, const char *y)
{
	return rival_run(r, fn, x, y, RACE_AT, "") ? -9999 : r->w->result;
}

/* What the agents do when a process is dead; agent: a person of the same core. */
static inline void rival_bury(struct rival *r, struct person *agent)
{
	u64 owner = (u64)r->p->t.ctx.core << 32 | r->p->p->host_pid;

	client_settle(&agent->t.ctx);
	proc_release(&agent->t, r->p->p);
	for (u32 i = 0; i < r->town->w.cores; i++) {
		struct ctx *c = &r->town->w.ctx[i];

		ck_lock(c, c->ck);
		fs_owner_died(c, c->ck, owner);
		msg_unlock(c, c->ck);
	}
}

/* Dies where it stands. What it left is taken back or finished when it is buried. */
static inline void rival_kill(struct rival *r)
{
	int status;

	need(r->pid, "it stands somewhere");
	kill(r->pid, SIGKILL);
	while (waitpid(r->pid, &status, 0) < 0)
		;
	r->pid = 0;
}

/* --- what rivals do ----------------------------------------------------------------------------- */

static inline long do_close(struct person *p, long fd)
{
	return fd < 0 ? fd : CALL(p, close, fd);
}
__attribute__((unused)) static long do_create(struct person *p, const char *x, const char *y)
{
	(void)y;
	return do_close(p, CALL(p, open, x, O_CREAT | O_EXCL | O_RDWR, 0644));
}
__attribute__((unused)) static long do_mkdir(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, mkdir, x, 0755);
}
__attribute__((unused)) static long do_symlink(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, symlink, "nowhere", x);
}
__attribute__((unused)) static long do_rmdir(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, rmdir, x);
}
__attribute__((unused)) static long do_unlink(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, unlink, x);
}
__attribute__((unused)) static long do_link(struct person *p, const char *x, const char *y)
{
	return CALL(p, link, x, y);
}
__attribute__((unused)) static long do_rename(struct person *p, const char *x, const char *y)
{
	return CALL(p, rename, x, y);
}
__attribute__((unused)) static long do_exchange(struct person *p, const char *x, const char *y)
{
	return CALL(p, renameat2, AT_FDCWD, x, AT_FDCWD, y, 2);
}
__attribute__((unused)) static long do_stat(struct person *p, const char *x, const char *y)
{
	struct stat st;

	(void)y;
	return CALL(p, lstat, x, &st);
}

/* --- what the test looks at ---------------------------------------------------------------------- */

static inline bool there(struct person *p, const char *path)
{
	return do_stat(p, path, NULL) == 0;
}

static inline u64 ino_of(struct person *p, const char *path)
{
	struct stat st = { 0 };

	return CALL(p, lstat, path, &st) ? 0 : st.st_ino;
}

static inline long file_put(struct person *p, const char *path, const char *text)
{
	long fd = CALL(p, open, path, O_CREAT | O_TRUNC | O_WRONLY, 0644), n;

	if (fd < 0)
		return fd;
	n = CALL(p, write, fd, text, strlen(text));
	CALL(p, close, fd);
	return n;
}

static inline bool file_is(struct person *p, const char *path, const char *text)
{
	char buf[256] = "";
	long fd = CALL(p, open, path, O_RDONLY, 0), n;

	if (fd < 0)
		return false;
	n = CALL(p, read, fd, buf, sizeof(buf) - 1);
	CALL(p, close, fd);
	return n == (long)strlen(text) && !memcmp(buf, text, (size_t)n);
}

/* A name for a directory that is distributed whose entry is at server srv. */
static inline const char *name_at(struct town *town, u64 dir, u32 srv, const char *stem,
				  char *buf)
{
	for (u32 i = 0;; i++) {
		sprintf(buf, "%s%u", stem, i);
		if (rpc_entry_server(&town->w.ctx[0], dir, DIR_DISTRIBUTED, buf,
				     strlen(buf)) == srv)
			return buf;
	}
}

/* Everything on its way has arrived: asked of each core, by a person of each. */
static inline void quiet(struct town *town, struct person **p)
{
	town_settle(town, p, town->w.cores);
}

/* What all servers hold together; .inodes without the root. */
static inline struct fs_stats stats_of(struct town *town, struct person **p)
{
	struct fs_stats sum = { 0 };

	quiet(town, p);
	for (u32 i = 0; i < town->w.cores; i++) {
		struct ctx *c = &town->w.ctx[i];
		struct fs_stats s;

		ck_lock(c, c->ck);
		fs_stats(c->ck, &s);
		ck_unlock(c->ck);
		sum.inodes += s.inodes;
		sum.blocks_free += s.blocks_free;
	}
	sum.inodes--;
	return sum;
}

/* --- a test's frame -------------------------------------------------------------------------------- */

/* A town of three cores, and a person of each. */
static inline void town_open(struct town *town, struct person **p, const char *what,
			     const struct world_cfg *wc)
{
	diag("%s", what);
	town_new(town, wc);
	for (u32 i = 0; i < wc->cores; i++)
		p[i] = town_person(town, i, 0);
}

static inline void sound(struct town *town, struct person **p)
{
	quiet(town, p);
	is(town_check(town, NULL), 0, "no invariant is violated");
}

/* All of a test's cases, in the towns that it is for. */
#define IN_ISLANDS  1u
#define IN_ONE	    2u
#define IN_EMULATED 4u
static inline int race_main(void (*run)(const char *what, const struct world_cfg *wc), u32 in)
{
	if (in & IN_ISLANDS)
		run("three islands", &(struct world_cfg){ .cores = 3 });
	if (in & IN_ONE)
		run("one island", &(struct world_cfg){ .cores = 3, .islands = 1 });
	if (in & IN_EMULATED)
		run("emulated", &(struct world_cfg){ .cores = 3, .model = MEM_EMULATED });
	return done_testing();
}

#endif
