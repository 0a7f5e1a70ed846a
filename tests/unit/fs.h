/* SPDX-License-Identifier: MIT */
/*
 * File servers in a test program: a world.h whose cores run file servers, called directly.
 *
 *	struct fsw f;
 *	fsw_new(&f, &(struct world_cfg){ .cores = 1 });
 *	is(FS(&f, MKDIR..., see below
 *	fsw_end(&f);
 *
 * FS(f, name, NAME, &rep, .field = value, ...) runs handler fs_name of server f->srv for the
 * asking core f->core as rpc.c does: rolled back when it fails, else committed.
 */
#ifndef HARE_TESTS_UNIT_FS_H
#define HARE_TESTS_UNIT_FS_H

#include <fcntl.h>

#include "fileserver/fileserver.h"
#include "proto/codec.h"
#include "proto/proc.h"
#include "unit/world.h"

struct fsw {
	struct world w;
	u32 srv, core, slot;
	bool far;
	struct cred cred; /* default of requests: root */
	u64 max_log;      /* longest transaction seen at a commit */
};

static inline void fsw_new(struct fsw *f, const struct world_cfg *cfg, u32 root_dflags)
{
	memset(f, 0, sizeof(*f));
	world_new(&f->w, cfg);
	for (u32 c = 0; c < f->w.cores; c++) {
		struct ctx *x = &f->w.ctx[c];

		ck_lock(x, x->ck);
		need(fs_init(x, x->ck, root_dflags) == 0, "fs_init");
		need(proc_init(x->ck) == 0, "proc_init");
		ck_unlock(x->ck);
	}
	need(msg_slot_take(&f->w.ctx[0]) == 0, "msg_slot_take");
	f->core = 0;
	f->slot = f->w.ctx[0].slot;
}

/* Waiting: seq = fsw_event(f); a request of core 0 with .wait_seq = seq; fsw_woken(f, seq). */
static inline u32 fsw_event(struct fsw *f)
{
	return msg_event_prepare(&f->w.ctx[0]);
}
static inline bool fsw_woken(struct fsw *f, u32 seq)
{
	return msg_event_wait(&f->w.ctx[0], seq, 0) == 0;
}

/* The context in which server srv's handlers run. */
static inline struct rpc_env fsw_env(struct fsw *f)
{
	struct ctx *c = &f->w.ctx[f->srv];
	struct rpc_env e = {
		.c = c, .ck = c->ck, .srv = f->srv, .core = f->core, .slot = f->slot, .far = f->far
	};

	return e;
}

static inline void fsw_finish(struct fsw *f, struct rpc_env *e, long r)
{
	f->max_log = MAX(f->max_log, (u64)e->ck->log_count);
	if (r < 0)
		ck_abort(e->ck);
	else
		ck_commit(e->ck);
	msg_flush(e->c, e->ck);
	ck_unlock(e->ck);
}

#define FS(f, name, NAME, rep, ...)                                                    \
	({                                                                             \
		struct req_##NAME q_ = { __VA_ARGS__ };                                \
		struct rpc_env e_ = fsw_env(f);                                        \
		struct rep_##NAME empty_ = {}, *p_ = (rep);                            \
		long r_;                                                               \
		ck_lock(e_.c, e_.ck);                                                  \
		r_ = fs_##name(&e_, &q_, p_ ? p_ : &empty_);                           \
		fsw_finish(f, &e_, r_);                                                \
		r_;                                                                    \
	})
#define NAME(s) { .p = (s), .len = (u32)strlen(s) }
#define BYTES(b, n) { .p = (void *)(uintptr_t)(b), .len = (u32)(n), .cap = (u32)(n) }

static inline u32 fsw_check(struct fsw *f)
{
	u32 n = 0;

	for (u32 c = 0; c < f->w.cores; c++) {
		struct ctx *x = &f->w.ctx[c];

		ck_lock(x, x->ck);
		n += fs_check(x, x->ck, world_bad, NULL) + ck_check(x->ck, world_bad, NULL);
		ck_unlock(x->ck);
	}
	return n;
}

struct fsw_facts {
	struct fs_fact *fact;
	size_t count, room;
};

static inline void fsw_fact(void *arg, const struct fs_fact *t)
{
	struct fsw_facts *l = arg;

	if (l->count == l->room) {
		l->room = l->room ? l->room * 2 : 1024;
		l->fact = realloc(l->fact, l->room * sizeof(*t));
		need(l->fact, "realloc");
	}
	l->fact[l->count++] = *t;
}

/* Checks each server and all together. */
static inline u32 fsw_check_all(struct fsw *f)
{
	struct fsw_facts l = { 0 };
	u32 n = fsw_check(f);

	for (u32 c = 0; c < f->w.cores; c++)
		fs_facts(f->w.ck[c], fsw_fact, &l);
	n += fs_check_between(l.fact, l.count, f->w.cores, world_bad, NULL);
	n += fs_check_owners(f->w.ck, f->w.cores, world_bad, NULL);
	free(l.fact);
	return n;
}

static inline void fsw_stats(struct fsw *f, u32 core, struct fs_stats *s)
{
	ck_lock(&f->w.ctx[core], f->w.ck[core]);
	fs_stats(f->w.ck[core], s);
	ck_unlock(f->w.ck[core]);
}

static inline void fsw_end(struct fsw *f)
{
	world_end(&f->w);
}

/* --- common requests, as root by default -------------------------------------------------- */

/* CREATE in dir; its number, or the error. */
static inline long mk(struct fsw *f, u64 dir, const char *name, u32 mode)
{
	struct rep_CREATE p = { 0 };
	long r = FS(f, create, CREATE, &p, .dir = dir, .name = NAME(name), .cred = &f->cred,
		    .mode = mode, .flags = CREATE_EXCL,
		    .target = BYTES("target", (mode & HS_IFMT) == HS_IFLNK ? 6 : 0));

	return r < 0 ? r : (long)p.ino;
}
static inline long look(struct fsw *f, u64 dir, const char *name)
{
	struct rep_RESOLVE p = { 0 };
	long r = FS(f, resolve, RESOLVE, &p, .dir = dir, .name = NAME(name), .cred = &f->cred);

	return r < 0 ? r : (long)p.ino;
}
static inline long rm(struct fsw *f, u64 dir, const char *name)
{
	return FS(f, rm_map, RM_MAP, NULL, .dir = dir, .name = NAME(name), .cred = &f->cred,
		  .flags = RM_FILE | RM_UNLINK);
}
static inline long rmdir_all(struct fsw *f, u64 parent, const char *name)
{
	return FS(f, rmdir, RMDIR, NULL, .parent = parent, .name = NAME(name), .cred = &f->cred,
		  .phase = RMDIR_ALL);
}
static inline struct attr stat_of(struct fsw *f, u64 ino)
{
	struct rep_FSTAT p = { 0 };

	if (FS(f, fstat, FSTAT, &p, .ino = ino) < 0)
		p.attr.ino = 0;
	return p.attr;
}
static inline long op(struct fsw *f, u64 ino, u32 flags)
{
	return FS(f, open, OPEN, NULL, .ino = ino, .flags = flags, .cred = &f->cred);
}
static inline long cl(struct fsw *f, u64 ino, u32 flags)
{
	return FS(f, close, CLOSE, NULL, .ino = ino, .flags = flags, .core = f->core);
}
static inline long wr(struct fsw *f, u64 ino, u64 off, const void *buf, size_t len)
{
	struct rep_WRITE p = { 0 };
	long r = FS(f, write, WRITE, &p, .ino = ino, .off = off, .data = BYTES(buf, len));

	return r < 0 ? r : p.count;
}
static inline long rd(struct fsw *f, u64 ino, u64 off, void *buf, size_t len)
{
	struct rep_READ p = { .data = BYTES(buf, len) };
	long r = FS(f, read, READ, &p, .ino = ino, .off = off, .len = (u32)len);

	return r < 0 ? r : p.data.len;
}
static inline long trunc_to(struct fsw *f, u64 ino, u64 size)
{
	return FS(f, trunc, TRUNC, NULL, .ino = ino, .size = size, .cred = &f->cred);
}

#endif
