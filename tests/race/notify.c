/* SPDX-License-Identifier: MIT */
/*
 * Watches (fileserver/notify.c) against what goes on on other cores: a core that has not heard of a watch
 * when it is added; an instance that is closed, or loses the watch, or whose program is killed, while an
 * event is on its way to it.
 */
#include <sys/inotify.h>

#include "race/race.h"

static struct town g;
static struct person *g_p[MAX_CORES];
/* Who watches, on core 1, where its instance is; who writes, on core 2. The file is at server 0. */
static struct rival *g_a, *g_b;
static const char g_f[] = "/hare/f";

/* What has come, as one mask; 0: nothing. */
static long events(struct person *p, long fd)
{
	char buf[4096];
	long n = CALL(p, read, fd, buf, sizeof(buf)), mask = 0;

	for (long at = 0; at < n;) {
		struct inotify_event *e = (struct inotify_event *)(buf + at);

		mask |= e->mask;
		at += (long)(sizeof(*e) + e->len);
	}
	return mask;
}

static long do_touch(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_WRONLY, 0), n;

	(void)y;
	rival_here("opened");
	n = CALL(p, write, fd, "x", 1);
	CALL(p, close, fd);
	return n;
}

static long watch(struct person *p, const char *x, long *wd)
{
	long fd = CALL(p, inotify_init1, IN_NONBLOCK);

	*wd = CALL(p, inotify_add_watch, fd, x, IN_MODIFY);
	return fd;
}

/* Watches, lets others write, and says what it heard of. */
static long do_watch(struct person *p, const char *x, const char *y)
{
	long wd, fd = watch(p, x, &wd), r;

	(void)y;
	if (wd < 0)
		return wd;
	rival_here("watching");
	msg_drain(&p->t.ctx);
	r = events(p, fd);
	CALL(p, close, fd);
	return r;
}

static void clear(void)
{
	quiet(&g, g_p);
	for (u32 i = 0; i < g.w.cores; i++) {
		ck_lock(&g.w.ctx[i], g.w.ctx[i].ck);
		while (fs_trim(&g.w.ctx[i], g.w.ctx[i].ck))
			ck_commit(g.w.ctx[i].ck);
		msg_unlock(&g.w.ctx[i], g.w.ctx[i].ck);
	}
	quiet(&g, g_p);
	is(g.w.ck[0]->watched | g.w.ck[1]->watched | g.w.ck[2]->watched, 0, "no watch is left");
	do_unlink(g_p[0], g_f, NULL);
	is(stats_of(&g, g_p).inodes, 0, "and no instance");
	is(town_check(&g, NULL), 0, "no invariant is violated");
}

/* Core 2 does not look at its messages: until it has, inotify_add_watch does not return. */
static void added_unheard(void)
{
	is(file_put(g_p[0], g_f, "0"), 1, "a file");
	ok(there(g_p[2], g_f), "core 2 knows it");
	town_pause(&g, 2);
	ok(rival_run_skip(g_a, do_watch, g_f, NULL, RACE_SENT, "PING", 1) &&
		   rival_on(g_a, RACE_AT, "call looked"),
	   "a watch is being added, and waits for core 2");
	is(g.w.ck[2]->watched, 0, "which has not heard of it");
	town_resume(&g, 2);
	msg_ring(g.w.ctx[2].isl, 2, 0);
	ok(rival_on(g_a, RACE_AT, "watching"), "core 2 has heard: it watches");
	is(do_touch(g_p[2], g_f, NULL), 1, "core 2 writes");
	quiet(&g, g_p);
	is(rival_end(g_a), IN_MODIFY, "and is heard");
	clear();
}

/* Core 2 has written and said so to server 0, which does not look yet: whatever is asked of it now, it
 * sends the event first. */
static void note_on_its_way(void)
{
	ok(rival_run(g_b, do_touch, g_f, NULL, RACE_AT, "opened"), "core 2 opens it");
	quiet(&g, g_p);
	town_pause(&g, 0);
	ok(rival_on(g_b, RACE_SENT, "NOTE"), "and writes, server 0 does not look");
}

static void arrives(void)
{
	town_resume(&g, 0);
	msg_ring(g.w.ctx[0].isl, 0, 0);
	is(rival_end(g_b), 1, "server 0 looks");
	quiet(&g, g_p);
}

static void watched(long *fd, long *wd)
{
	is(file_put(g_p[0], g_f, "0"), 1, "a file");
	*fd = watch(g_p[1], g_f, wd);
	ok(*fd >= 0 && *wd > 0, "is watched");
	note_on_its_way();
}

static void closed(void)
{
	long fd, wd;

	watched(&fd, &wd);
	is(CALL(g_p[1], close, fd), 0, "the instance is closed");
	arrives();
	clear();
}

static void removed(void)
{
	long fd, wd;

	watched(&fd, &wd);
	is(CALL(g_p[1], inotify_rm_watch, fd, wd), 0, "the watch is removed");
	arrives();
	is(events(g_p[1], fd), IN_IGNORED, "nothing more is heard of it");
	is(CALL(g_p[1], close, fd), 0, "close");
	clear();
}

static void killed(void)
{
	struct rival *r = rival_new(&g, 1);

	is(file_put(g_p[0], g_f, "0"), 1, "a file");
	ok(rival_run(r, do_watch, g_f, NULL, RACE_AT, "watching"), "is watched");
	note_on_its_way();
	rival_kill(r);
	client_settle(&g_p[1]->t.ctx);
	proc_release(&g_p[1]->t, r->p->p);
	arrives();
	clear();
}

/* Killed on the way to the watch: what it has made of it goes. */
static void killed_adding(u32 when, const char *at)
{
	struct rival *r = rival_new(&g, 1);

	is(file_put(g_p[0], g_f, "0"), 1, "a file");
	ok(rival_run(r, do_watch, g_f, NULL, when, at), "a watch is being added: %u %s", when, at);
	rival_kill(r);
	is(do_touch(g_p[0], g_f, NULL), 1, "core 0 writes");
	rival_bury(r, g_p[1]);
	clear();
}

static void run(const char *what, const struct world_cfg *wc)
{
	bool far = wc->islands != 1;

	town_open(&g, g_p, what, wc);
	g_a = rival_new(&g, 1);
	g_b = rival_new(&g, 2);
	if (far) {
		added_unheard();
		closed();
		removed();
		killed();
	}
	killed_adding(RACE_ASK, "WATCH");
	killed_adding(RACE_ANSWERED, "WATCH");
	killed_adding(RACE_ASK, "PING");
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_ONE | IN_EMULATED);
}
