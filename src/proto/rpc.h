/* SPDX-License-Identifier: MIT */
/*
 * RPCs: everything generated from rpc.def, and how a call is made (thesis, table 4.2).
 *
 * The stub `long rpc_name(struct ctx *c, u32 server, const struct req_NAME *q,
 * struct rep_NAME *p)` hides where the server is. In the caller's island it takes the server
 * core's lock and runs the handler right here (a local call: no message, about 30 ns); else it
 * sends a message and waits for the reply, handling meanwhile what other cores ask of this one.
 * It returns the handler's status: 0 or a negative errno. On errors p is filled all the same
 * where rpc.def says so. -EINTR never: replies are waited for whatever happens.
 *
 * Handlers: `long LAYER_name(struct rpc_env *e, const struct req_NAME *q, struct rep_NAME *p)`,
 * run with e->ck locked inside a transaction. A negative return rolls back everything done since
 * the last ck_commit. They never block, never send and wait, never touch program memory. What they want to tell
 * other cores they post (rpc_post_name): it leaves after the commit.
 */
#ifndef HARE_PROTO_RPC_H
#define HARE_PROTO_RPC_H

#include "base/hash.h"
#include "base/host.h"
#include "base/race.h"
#include "mem/mem.h"
#include "msg/msg.h"
#include "proto/types.h"

/* STR and BYTES fields point into memory of whoever made the struct: a request's into the
 * message or the caller's own; a reply's `p` must be set by the caller to a buffer of `cap` bytes
 * (NULL: the field is not wanted) and the handler writes there and sets len. */
struct rpc_str {
	const char *p; /* not NUL-terminated */
	u32 len;
	u32 pad;
};
struct rpc_bytes {
	void *p;
	u32 len;
	u32 cap; /* replies: room at p */
};

#define REQ(...)	__VA_ARGS__
#define REP(...)	__VA_ARGS__
#define F_U32(n)	u32 n;
#define F_U64(n)	u64 n;
#define F_S64(n)	s64 n;
#define F_STR(n, max)	struct rpc_str n;
#define F_BYTES(n, max) struct rpc_bytes n;
#define F_CRED(n)	const struct cred *n;
#define F_ATTR(n)	struct attr n;
#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep)                        \
	struct req_##NAME {                                                              \
		req char end_[0];                                                        \
	};                                                                               \
	struct rep_##NAME {                                                              \
		rep char end_[0];                                                        \
	};
#include "proto/rpc.def"
#undef RPC

#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep) RPC_##NAME,
enum rpc_id {
	RPC_NONE,
#include "proto/rpc.def"
	RPC_COUNT
};
#undef RPC

struct rpc_env {
	struct ctx *c; /* the thread that runs the handler */
	struct ck *ck; /* the server's core kernel, locked */
	u32 srv; /* the server's core */
	u32 core; /* who asks: core and reply slot, for callbacks and events */
	u32 slot;
	bool far; /* it came by message: the asking core caches what we answer */
	bool replies; /* who asks waits for a reply, which follows what is posted to its core */
	bool unlocked; /* ends with msg_unlock, which then wakes whom rpc_wake names */
};

#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep)                        \
	long layer##_##name(struct rpc_env *e, const struct req_##NAME *q,               \
			    struct rep_##NAME *p);                                       \
	long rpc_##name(struct ctx *c, u32 srv, const struct req_##NAME *q,              \
			struct rep_##NAME *p);                                           \
	long rpc_post_##name(struct rpc_env *e, u32 core, const struct req_##NAME *q);
#include "proto/rpc.def"
#undef RPC

#undef REQ
#undef REP
#undef F_U32
#undef F_U64
#undef F_S64
#undef F_STR
#undef F_BYTES
#undef F_CRED
#undef F_ATTR

/* Boot: scratch and trace ring of a core kernel (lock held). -ENOSPC. */
long rpc_core_init(struct ck *ck);
/* Once per process: messages that arrive are decoded and dispatched from now on. */
void rpc_init(void);
const char *rpc_name(u32 id);
/* An RPC as a place to stop at. */
static inline void rpc_race(u32 id, u32 when)
{
#ifdef RACE_POINTS
	race_point(rpc_name(id), when);
#else
	(void)id, (void)when;
#endif
}
bool rpc_is_two_way(u32 id); /* it has a reply */

/* Broadcast (thesis, section 3.7.3): one RPC to every server of the mask at once, all requests sent
 * before any reply is awaited; near ones are served meanwhile. rpc_all_name(): q is one request
 * for all or, with each, an array; p and result are arrays; all are indexed by server. BYTES of replies
 * are cut to what fits: ask for RPC_ALL_ROOM(servers) bytes at most. */
#define RPC_ALL_ROOM(count) (MSG_MANY_ROOM(count) - 24u)
#define RPC_ALL_REQUEST_MAX 1024 /* bytes of a request; what is longer is -EMSGSIZE */
void rpc_all(struct ctx *c, u32 id, u64 servers, const void *q, size_t q_step, void *p,
	     size_t p_step, long *result);
#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep)                        \
	static inline void rpc_all_##name(struct ctx *c, u64 servers,                    \
					  const struct req_##NAME *q, bool each,         \
					  struct rep_##NAME *p, long *result)            \
	{                                                                                \
		rpc_all(c, RPC_##NAME, servers, q, each ? sizeof(*q) : 0, p, sizeof(*p), \
			result);                                                         \
	}
#include "proto/rpc.def"
#undef RPC
static inline u64 rpc_servers(const struct ctx *c) /* all of them */
{
	return ~0ULL >> (64 - c->isl->super->servers);
}

/* For recovery: what a thread that is dead was answered to the last call that it made to a far
 * server, if that was of RPC id and its number `since` (msg_call_next) or later: p as the stub
 * would have filled it, and its result; -ENOMSG when there was no such call, or it never left. Makes
 * a call itself, behind which nothing of the dead one can still be under way. */
long rpc_late_reply(struct ctx *c, u32 slot, u32 since, u32 id, void *p);

/* True when calls to that core are local calls. */
static inline bool rpc_is_near(const struct ctx *c, u32 core)
{
	return core - c->isl->first_core < c->isl->near_count;
}

/* Tells a waiter (core, slot, seq) of a handler that what it waits for may have changed: near
 * ones are woken, after the unlock if that is msg_unlock, far ones get an EVENT. */
void rpc_wake(struct rpc_env *e, u32 core, u32 slot, u32 seq);

/* What a near reader copies by itself once the lock is released: data is copied once, and a page
 * of the program that is missing delays nobody else. */
#define FS_SPAN_BLOCKS 17u
struct fs_span {
	u64 seq; /* of the server's data when it was taken */
	u32 len; /* bytes there are */
	blk_t blk[FS_SPAN_BLOCKS]; /* 0: a hole */
};
/* READ of a regular file's bytes [off, off+len) (at most FS_SPAN_BLOCKS - 1 blocks of them), for a
 * near caller, into a span: 0, the errors of READ, -EOPNOTSUPP when it is no regular file. flags:
 * IO_NOATIME or 0. */
long fs_read_span(struct rpc_env *e, u64 ino, u64 off, u32 len, u32 flags,
		  struct fs_span *s);
/* Whether what was copied since is what the file held when the span was taken: no lock needed. */
bool fs_span_holds(const struct ck *ck, const struct fs_span *s);

/* Partitioned DRAM: which core of an island has its copy of a far file. */
static inline u32 rpc_copy_core(const struct super *s, u32 island, u64 ino)
{
	u32 first = mem_island_first(s, island);

	return first + (u32)(hash_u64(ino) % (mem_island_first(s, island + 1) - first));
}
/* Placement of directory entries (thesis, equation 3.1). */
u32 rpc_entry_server(const struct ctx *c, u64 dir, u32 dflags, const char *name,
		     size_t len);

/* Statistics: counters of a core kernel, indices into ck->counter. */
#define COUNT_LOCAL(id)	 ((u32)(id)) /* local calls made to this core's server */
#define COUNT_SENT(id)	 (128u + (u32)(id)) /* requests sent from this core */
#define COUNT_SERVED(id) (256u + (u32)(id)) /* requests of other cores served */
enum {
	COUNT_SYSCALLS = 384, /* of programs on this core */
	COUNT_HOST_CALLS, /* of these, passed to the host */
	COUNT_PROCS, /* programs started here */
	COUNT_FORKS,
	COUNT_EXEC_LOCAL,
	COUNT_EXEC_REMOTE,
	COUNT_INVALIDATIONS,
	COUNT_CACHE_HITS,
	COUNT_BYTES_READ,
	COUNT_BYTES_WRITTEN,
	COUNT_RECOVERIES,
	COUNT_BROADCASTS, /* made by this core */
};

/* Trace: a ring per core kernel, filled while `hare trace` listens. kind 0: RPC, 1: syscall. */
struct trace_rec {
	u64 time_ns;
	u32 tid;
	u16 kind;
	u16 id; /* enum rpc_id, or the system call's number */
	s64 result;
	u32 cost_ns;
	u8 where; /* RPC: 0 local call, 1 message, 2 served; system call: 0 Hare, 1 host */
	u8 peer; /* RPC: the server's core, or who asked */
	u16 pad;
	u64 arg; /* RPC: 0; system call: first argument */
};
#define TRACE_RECS 16384
struct trace_ring {
	u64 next; /* records written so far */
	struct trace_rec rec[TRACE_RECS];
};
void trace_add(struct ck *ck, const struct trace_rec *r);
/* What rpc_core_init made, as far as others may know. */
struct rpc_core {
	struct trace_ring *trace;
	u64 watched[MAX_CORES]; /* FILTER: which inodes of each server inotify watches */
};
/* The ring of a core kernel, made at boot. */
static inline struct trace_ring *trace_ring(struct ck *ck)
{
	struct rpc_core *r = ck->root[CK_ROOT_TRACE];

	return r ? r->trace : NULL;
}
/* Perhaps watched by inotify, as this core was told; ask ck->watched first. */
static inline u64 rpc_watch_bit(u64 ino)
{
	return 1ULL << (hash_u64(ino) & 63);
}
static inline bool rpc_is_watched(struct ck *ck, u64 ino)
{
	const struct rpc_core *r = ck->root[CK_ROOT_TRACE];
	u32 srv = ino_server(ino);

	return srv < MAX_CORES && (r->watched[srv] & rpc_watch_bit(ino));
}
static inline bool trace_is_on(const struct ck *ck)
{
	return unlikely(__atomic_load_n(&ck->tracing, __ATOMIC_RELAXED));
}
/* A call that is not made by its stub: when it began, or 0 when nobody listens; and its record. */
static inline u64 rpc_trace_start(struct ctx *c)
{
	return trace_is_on(c->ck) ? host_monotonic_ns() : 0;
}
void rpc_trace(struct ctx *c, u32 id, u64 start, long result, u32 where, u32 peer);

#endif
