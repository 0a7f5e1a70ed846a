/* SPDX-License-Identifier: MIT */
/*
 * Rings that are full. What is sent one way stands in its core's outbox then, and what others send to the same
 * core by rings of their own would come first: so what they may rely on is not done, or not over, before
 * it is in the ring.
 */
#include <sys/inotify.h>
#include <sys/mman.h>

#include "race/race.h"

static struct town g;
static struct person *g_p[MAX_CORES];
static const char g_f[] = "/hare/f";

/* The ring from core src to core dst, whose agent does nothing, and the outbox begun. */
static void fill(u32 src, u32 dst)
{
	struct ctx *c = &g.w.ctx[src];
	struct rpc_env e = { .c = c, .ck = c->ck, .srv = src, .core = src };
	struct req_CLOSE q = { .ino = (u64)dst << INO_SERVER_SHIFT | 0xffffff, .core = src };

	ck_lock(c, c->ck);
	while (!msg_is_behind(c->ck, dst))
		need(rpc_post_close(&e, dst, &q) == 0, "post");
	msg_unlock(c, c->ck);
}

static void clear(void)
{
	quiet(&g, g_p);
	do_unlink(g_p[0], g_f, NULL);
	quiet(&g, g_p);
	for (u32 i = 0; i < g.w.cores; i++) {
		ck_lock(&g.w.ctx[i], g.w.ctx[i].ck);
		while (fs_trim(&g.w.ctx[i], g.w.ctx[i].ck))
			ck_commit(g.w.ctx[i].ck);
		msg_unlock(&g.w.ctx[i], g.w.ctx[i].ck);
	}
	is(stats_of(&g, g_p).inodes, 0, "nothing is left");
	sound(&g, g_p);
}

static long do_watch(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, inotify_init1, IN_NONBLOCK), r;
	char buf[256];

	(void)y;
	if (CALL(p, inotify_add_watch, fd, x, IN_MODIFY) < 0)
		return -1;
	rival_here("watching");
	msg_drain(&p->t.ctx);
	r = CALL(p, read, fd, buf, sizeof(buf));
	CALL(p, close, fd);
	return r;
}

/* The file's server could not tell core 2 of the watch before core 2 is asked whether it has heard. */
static void watched(void)
{
	struct rival *a = rival_new(&g, 1);

	is(file_put(g_p[0], g_f, "0"), 1, "a file");
	town_pause(&g, 2);
	fill(0, 2);
	ok(rival_run(a, do_watch, g_f, NULL, RACE_EVER, "wait|PING") && rival_is_at(a, "wait"),
	   "a watch waits for core 2");
	is(g.w.ck[0]->watched, 0, "nobody has heard of it yet");
	town_resume(&g, 2);
	ok(rival_on(a, RACE_AT, "watching"), "core 2 makes room: it watches");
	ok(g.w.ck[2]->watched, "and core 2 has heard");
	is(file_put(g_p[2], g_f, "1"), 1, "it writes");
	quiet(&g, g_p);
	ok(rival_end(a) > 0, "and is heard");
	clear();
	rival_free(a);
}

static long do_cut(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, truncate, x, 4096);
}
static long do_open_cut(struct person *p, const char *x, const char *y)
{
	(void)y;
	return do_close(p, CALL(p, open, x, O_WRONLY | O_TRUNC, 0));
}
static long do_creat_cut(struct person *p, const char *x, const char *y)
{
	(void)y;
	return do_close(p, CALL(p, open, x, O_CREAT | O_WRONLY | O_TRUNC, 0644));
}
static long do_ftruncate(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_WRONLY, 0), r = CALL(p, ftruncate, fd, 100);

	(void)y;
	CALL(p, close, fd);
	return r;
}

static u64 cuts(u32 core)
{
	return client_root(g.w.ck[core])->cuts;
}

/* The server could not tell core 2, which has the file mapped, before it is asked whether it has cut. */
static void cut(rival_fn fn, const char *what, long size)
{
	struct req_OPEN q = { .flags = O_RDONLY | OPEN_PIN, .cred = &g_p[2]->p->cred };
	struct req_CLOSE end = { .flags = q.flags, .core = 2 };
	struct rival *a = rival_new(&g, 1);
	struct rep_OPEN p = { 0 };
	struct stat st;
	u64 before;

	is(file_put(g_p[0], g_f, "0"), 1, "a file");
	is(CALL(g_p[0], truncate, g_f, 9000), 0, "of 9000 bytes");
	end.ino = q.ino = ino_of(g_p[0], g_f);
	is(rpc_open(&g_p[2]->t.ctx, 0, &q, &p), 0, "core 2 has it mapped");
	before = cuts(2);
	town_pause(&g, 2);
	fill(0, 2);
	ok(rival_run(a, fn, g_f, NULL, RACE_EVER, "wait|CUT") && rival_is_at(a, "wait"),
	   "%s waits for core 2", what);
	is(CALL(g_p[0], stat, g_f, &st) ? -1 : st.st_size, 9000, "it has not been cut yet");
	town_resume(&g, 2);
	if (rival_on(a, RACE_ANSWERED, "CUT"))
		ok(cuts(2) > before, "core 2 has cut when it is asked");
	is(rival_end(a), 0, "%s", what);
	ok(cuts(2) > before, "core 2 has cut");
	is(CALL(g_p[0], stat, g_f, &st) ? -1 : st.st_size, size, "it has been cut");
	rpc_close(&g_p[2]->t.ctx, 0, &end, NULL);
	clear();
	rival_free(a);
}

static long do_write_close(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_WRONLY, 0), r;

	(void)y;
	rival_here("opened");
	r = CALL(p, close, fd);
	rival_here("closed");
	return r;
}

static long do_run(struct person *p, const char *x, const char *y)
{
	char host[4096];
	struct place pl;
	struct ofd *o;
	bool rewritten;
	long r = path_open_exec(&p->t, AT_FDCWD, x, 0, &pl, host, &rewritten, &o);

	(void)y;
	if (!r && o)
		ofd_put(&p->t, o);
	return r;
}

static void program(void)
{
	is(file_put(g_p[0], g_f, "x"), 1, "a program");
	is(CALL(g_p[0], chmod, g_f, 0755), 0, "to be executed");
	is(do_run(g_p[2], g_f, NULL), 0, "by core 2");
}

/* A close is over when nobody who is told of that can come before it. */
static void closed(void)
{
	struct rival *a = rival_new(&g, 1), *b = rival_new(&g, 2);

	program();
	ok(rival_run(a, do_write_close, g_f, NULL, RACE_AT, "opened"), "core 1 writes it");
	is(do_run(g_p[2], g_f, NULL), -ETXTBSY, "so long nobody runs it");
	town_pause(&g, 0);
	fill(1, 0);
	ok(rival_on(a, RACE_AT, "wait|closed") && rival_is_at(a, "wait"),
	   "its close waits for the server");
	town_resume(&g, 0);
	ok(rival_on(a, RACE_AT, "closed"), "which makes room: closed");
	is(rival_do(b, do_run, g_f, NULL), 0, "core 2 executes it");
	is(rival_end(a), 0, "close");
	clear();
	rival_free(a);
	rival_free(b);
}

/* All memory of a core kernel, in pieces that are linked. */
static void *take_memory(u32 core)
{
	struct ctx *c = &g.w.ctx[core];
	void **taken = NULL, **p;

	for (size_t size = 1 << 20; size; size = size > 1024 ? size / 2 : size - 16) {
		do {
			ck_lock(c, c->ck);
			p = ck_alloc(c->ck, size);
			ck_unlock(c->ck);
			if (p) {
				*p = taken;
				taken = p;
			}
		} while (p);
	}
	return taken;
}

static void give_memory(u32 core, void **taken)
{
	struct ctx *c = &g.w.ctx[core];

	while (taken) {
		void **next = *taken;

		ck_lock(c, c->ck);
		ck_free(c->ck, taken);
		ck_unlock(c->ck);
		taken = next;
	}
}

/* Killed as its close waits, or as the close has just been sent, without memory for the outbox: it is one
 * close, and another process of the core, which has the file open too, goes on having it. */
static void killed_closing(const char *at)
{
	struct rival *a = rival_new(&g, 1);
	void *taken;
	long fd;

	program();
	fd = CALL(g_p[1], open, g_f, O_WRONLY, 0);
	ok(fd >= 0 && rival_run(a, do_write_close, g_f, NULL, RACE_AT, "opened"),
	   "two processes of core 1 write it");
	town_pause(&g, 0);
	fill(1, 0);
	taken = take_memory(1);
	ok(rival_on(a, RACE_EVER, "wait|CLOSE") && rival_is_at(a, "wait"),
	   "the close of one waits for the server");
	town_resume(&g, 0);
	if (strcmp(at, "wait"))
		ok(rival_on(a, RACE_EVER, "CLOSE|closed") && rival_is_at(a, at), "%s", at);
	if (a->pid)
		rival_kill(a);
	give_memory(1, taken);
	quiet(&g, g_p);
	rival_bury(a, g_p[1]);
	quiet(&g, g_p);
	is(do_run(g_p[2], g_f, NULL), -ETXTBSY, "killed at \"%s\": the other has it open", at);
	is(CALL(g_p[1], close, fd), 0, "which closes it");
	quiet(&g, g_p);
	is(do_run(g_p[2], g_f, NULL), 0, "nobody has");
	clear();
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	watched();
	cut(do_cut, "truncate", 4096);
	cut(do_ftruncate, "ftruncate", 100);
	cut(do_open_cut, "O_TRUNC", 0);
	cut(do_creat_cut, "O_CREAT with O_TRUNC", 0);
	closed();
	killed_closing("wait");
	killed_closing("closed");
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_EMULATED);
}
