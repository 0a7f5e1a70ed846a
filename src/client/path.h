/* SPDX-License-Identifier: MIT */
/*
 * What the files of the path calls (walk.c, cache.c, path_*.c, intent.c) share among themselves.
 * Everything else of the client includes state.h only.
 */
#ifndef HARE_CLIENT_PATH_H
#define HARE_CLIENT_PATH_H

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>

#include "base/str.h"
#include "base/sys.h"
#include "client/state.h"
#include "client/syscalls.h"

/* Dflags of the root directory: it is never distributed. */
#define ROOT_DFLAGS 0u
/* How often an operation starts over because others changed what it had looked up. */
#define RACE_RETRIES 1000

/* t->bounce during a walk: two buffers for expanded symlinks, one for host paths. */
#define WALK_TEXT_SIZE	16384
#define WALK_TEXT(t, i) ((char *)(t)->bounce + (i)*WALK_TEXT_SIZE)

/* --- cache.c ------------------------------------------------------------------------------- */

/* One lookup: the server itself when it is near, else the core's cache, else the server. Fills
 * out's ino, type, dflags, and with want_attr perhaps attr. -ENOENT (ino, type are then 0),
 * -EACCES, -ENOTDIR. */
long cache_lookup(struct task *t, u64 dir, u32 dflags, const char *name, size_t len,
		  bool want_attr, struct place *out);
/* The same if that costs no message: else 0, with out->unlooked. */
long cache_peek(struct task *t, u64 dir, u32 dflags, const char *name, size_t len,
		struct place *out);
/* The parent of a directory (not of the root), which only its home knows. */
long cache_lookup_parent(struct task *t, u64 dir, struct place *out);
/* What a far server told of a name in another way than by RESOLVE (CREATE, ADD_MAP record the
 * caller too): entered, unless it was invalidated since cache_mark. */
u64 cache_mark(struct task *t);
void cache_learn(struct task *t, u64 mark, const struct place *at, u64 ino, u32 type,
		 u32 dflags);
/* Forgets one entry on this core. Called after changes that this core made itself. */
void cache_forget(struct task *t, u64 dir, u32 dflags, const char *name, size_t len);

struct perm {
	u32 mode, uid, gid;
};
/* Mode and owner of a directory: cached, or FSTAT at its home. */
long dir_perm_get(struct task *t, u64 dir, struct perm *p);
/* The same from the cache alone: no message. */
bool dir_perm_peek(struct task *t, u64 dir, struct perm *p);

/* What a lookup that succeeded says of the name. */
static inline void place_resolved(struct place *out)
{
	out->ino = out->res.ino;
	out->type = out->res.type & HS_IFMT;
	out->dflags = out->res.dflags;
	out->has_attr = out->res.has_attr != 0;
}

/* --- perm.c -------------------------------------------------------------------------------- */

bool cred_in_group(const struct cred *cred, u32 gid);
/* Whether this process may add and remove names in a directory: 0 or -EACCES. */
long dir_may_write(struct task *t, u64 dir, struct perm *p);
/* A sticky directory: only owners of the directory or of the entry may remove it. 0, -EPERM. */
long sticky_check(const struct cred *cred, const struct perm *dir, u32 owner);

/* --- walk.c -------------------------------------------------------------------------------- */

/* Copies the path at *upath in and walks it from *dirfd (NULL: AT_FDCWD). 0: in Hare.
 * CLIENT_HOST: *upath and *dirfd have been rewritten when they had to be. -errno. */
long path_walk(struct task *t, long *dirfd, long *upath, u32 flags, struct place *pl);
/* The second path of a call, with the buffers path2 and host_path2. */
long path_walk2(struct task *t, long *dirfd, long *upath, u32 flags, struct place *pl);
/* Whether to walk a path again, with the same arguments: what it led to was gone before it could be
 * used, but its name may have been there all the time, and lead to another file by now. False when
 * that was tried often enough, or no name led there. *tries: 0 at first. */
bool walk_again(struct task *t, const struct place *pl, u32 *tries);
/* The same for the result of what was done with the place:
 *	do {
 *		r = path_walk(t, dirfd, upath, wf, &pl);
 *		if (r)
 *			break;
 *		r = ...;
 *	} while (place_gone(t, r, &pl, &tries)); */
static inline bool place_gone(struct task *t, long r, const struct place *pl, u32 *tries)
{
	return unlikely(r == -ENOENT) && walk_again(t, pl, tries);
}
/* In place.dflags: a pipe of pipe(2), reached by its descriptor; opening it never waits. */
#define PLACE_PIPE 0x40000000u
/* In ofd.dflags of a file (O_TMPFILE with O_EXCL): it can be given no name. */
#define OFD_NOLINK 0x80000000u
/* Two paths of which one is the host's and one Hare's: what the host says of its own. */
long host_lookup(long *dirfd, long upath, int at_flags);
/* A path without a last name: the root, ".", "..", or a descriptor itself. */
static inline bool place_has_no_name(const struct place *pl)
{
	return !pl->dir || pl->last_dot || pl->last_dotdot;
}
/* The attributes of what a walk found: into pl->res.attr. */
long place_attr(struct task *t, struct place *pl);
/* Waits until a server says that what made it answer -EAGAIN may have changed. */
void retry_wait(struct task *t, u32 seq);
/* Until a name may be pending no more. */
void pending_wait(void);
/* The name of the directory `ino` in the directory `dir`, into NAME_LEN_MAX + 1 bytes, from its entries:
 * its length, or -ENOENT. */
long dir_name_of(struct task *t, u64 dir, u32 dflags, u64 ino, char *name);
/* Whichever of the two a server's -EAGAIN with busy asks for; *seq: the request's wait_seq, from 0 on. */
void busy_wait(struct task *t, u32 busy, u32 *seq);

/* --- intent.c ------------------------------------------------------------------------------ */

/* Locks a near server's core kernel to run its handlers here; ended by msg_unlock. */
void step_lock(struct task *t, u32 srv, struct rpc_env *e);
/* rpc_name(), and when it succeeds `...` in the transaction that is open then in core kernel ck_:
 * the server's own one when it is near, so that the call and the mark are one even if the thread
 * is killed; else one of this core, when the reply is in. */
#define STEP_CALL(t, srv, NAME, name, q, p, ...)                                         \
	({                                                                               \
		struct task *t_ = (t);                                                   \
		struct rpc_env e_;                                                       \
		u32 srv_ = (srv);                                                        \
		long r_;                                                                 \
		if (likely(rpc_is_near(&t_->ctx, srv_))) {                               \
			u64 start_ = rpc_trace_start(&t_->ctx);                          \
			rpc_race(RPC_##NAME, RACE_ASK);                                  \
			step_lock(t_, srv_, &e_);                                        \
			do {                                                             \
				r_ = fs_##name(&e_, (q), (p));                           \
				if (r_ < 0)                                              \
					ck_abort(e_.ck);                                 \
			} while (unlikely(r_ < 0) && ck_reclaimed(e_.ck));               \
			e_.ck->counter[COUNT_LOCAL(RPC_##NAME)]++;                       \
			if (unlikely(start_))                                            \
				rpc_trace(&t_->ctx, RPC_##NAME, start_, r_, 0, srv_);    \
		} else {                                                                 \
			r_ = rpc_##name(&t_->ctx, srv_, (q), (p));                       \
			step_lock(t_, t_->ctx.core, &e_);                                \
		}                                                                        \
		if (!r_) {                                                               \
			struct ck *ck_ = e_.ck;                                          \
			__VA_ARGS__;                                                     \
		}                                                                        \
		msg_unlock(&t_->ctx, e_.ck);                                             \
		if (rpc_is_near(&t_->ctx, srv_))                                         \
			rpc_race(RPC_##NAME, RACE_ANSWERED);                             \
		r_;                                                                      \
	})
/* Sets the step of an intent in a transaction; calls count from here. Where a step's call is of the
 * same RPC as the one before, this and not step alone has to be set. */
void intent_mark(struct task *t, struct ck *ck, struct intent_node *n, u32 step);
/* Ends an intent in the running transaction. */
void intent_drop(struct ck *ck, struct intent_node *n);
/* The last steps of an operation: a link of `ino` is dropped, exactly once, and the intent ends. */
void link_drop_end(struct task *t, struct intent_node *n, u64 ino);

/* --- far_open.c ------------------------------------------------------------------------------- */

/* An open, or more references of a shared description, at a far server, from before the call (NULL
 * when it is near) to the transaction that notes it, or to its failure. */
struct intent_node *far_open_begin_far(struct task *t, u32 srv, u32 id, u64 ino,
				       u32 flags);
static inline struct intent_node *far_open_begin(struct task *t, u32 srv, u32 id, u64 ino,
						 u32 flags)
{
	return likely(rpc_is_near(&t->ctx, srv))
		       ? NULL
		       : far_open_begin_far(t, srv, id, ino, flags);
}
struct intent_node *far_dup_begin(struct task *t, u64 ino, u64 shared, u32 refs,
				  struct ofd *moved);
void far_noted(struct ck *ck, struct intent_node *n);
void far_failed(struct task *t, struct intent_node *n);
/* OPEN; the transaction that counts it, or hears of it, gives o its inode: from then on it owes a
 * CLOSE. */
long far_aware_open(struct task *t, struct ofd *o, const struct req_OPEN *q,
		    struct rep_OPEN *p);
/* Recovery of both. */
void far_recover(struct task *t, struct intent_node *n);

/* --- path_create.c -------------------------------------------------------------------------- */

struct creation {
	u32 mode; /* type and permissions, umask applied */
	u32 open_flags; /* with `open`: as open(2)'s */
	u64 rdev;
	const char *target; /* symlinks */
	u32 target_len;
	bool excl; /* -EEXIST when the name is there */
	bool open; /* open it in the same operation */
	bool tmpfile; /* with `open`, not named: it has no link; LINK may give it one, but with excl */
	bool distribute; /* a directory whose entries are spread */
	bool spread; /* set by create: as CREATE_SPREAD */
	bool inode_full; /* a result: -ENOSPC was for the inode, at the server asked for it */
	struct ofd *
		ofd; /* with `open`: gets its ino with the open; NULL when that was undone */
	struct intent_node *node; /* its ino is set when the inode is made */
	/* results */
	bool created, opened;
	u64 ino;
	u32 type, dflags;
	struct attr attr; /* when opened */
	struct rpc_bytes runs; /* when opened; the caller sets p and cap */
};
/* Makes pl->name in pl->dir, by one call or by several (creation affinity). Without excl, a
 * name that is there gives 0 with created = false and its ino and type. */
long create(struct task *t, const struct place *pl, struct creation *cr);
/* An inode without a name, to be found in `at` (for what it inherits); at srv, or at any server that
 * has memory for it. */
long create_unnamed_any(struct task *t, const struct place *at, const struct perm *parent,
			struct creation *cr);
long create_unnamed(struct task *t, const struct place *at, const struct perm *parent,
		    u32 srv, struct creation *cr);
/* Takes an inode without a name back; dflags: a distributed directory has parts everywhere. */
void inode_destroy(struct task *t, u64 ino, u32 dflags);
/* Tells a directory where it hangs. */
void dir_set_parent(struct task *t, u64 ino, u64 dir, u32 dir_dflags, const char *name);

/* The same for every server's part of a distributed directory, at once; parts that are gone do not
 * matter. The first error. */
long shards_all(struct ctx *c, const struct req_SHARD *q);

/* --- path_exchange.c ------------------------------------------------------------------------ */

/* Exchanges two names at different servers; both were looked up, and may be exchanged. -EAGAIN: look
 * again, they lead elsewhere by now. */
long exchange_apart(struct task *t, const struct place *from, const struct place *to,
		    u32 sticky_owner);
/* Steps of an INTENT_EXCHANGE, see there; from any of them to the end, of the intent too. */
enum { EXCHANGE_FIRST, EXCHANGE_SECOND, EXCHANGE_DONE, EXCHANGE_UNDO, EXCHANGE_UNDONE };
long exchange_finish(struct task *t, struct intent_node *n);

/* --- path_remove.c -------------------------------------------------------------------------- */

/* Phases of rmdir at all servers that hold a part of the directory, a broadcast each. MARK undoes
 * itself when a server refuses. */
long dir_mark(struct task *t, u64 dir, u32 dflags);
void dir_unmark(struct task *t, u64 dir, u32 dflags, u32 phase, u64 owner);

/* --- path_rename.c -------------------------------------------------------------------------- */

/* Steps of an INTENT_RENAME, see there. */
enum {
	RENAME_BEGUN,
	RENAME_ADD,
	RENAME_REMOVE,
	RENAME_DONE,
	RENAME_TOLD,
	RENAME_UNDO,
	RENAME_UNDONE
};
/* What the replies to ADD_MAP and RENAME say becomes the step; in a transaction. */
void rename_note_added(struct ck *ck, struct intent_node *n, const struct rep_ADD_MAP *p);
void rename_note_renamed(struct ck *ck, struct intent_node *n,
			 const struct rep_RENAME *p);
/* From any step to the end, of the intent too; by the process or by who recovers it. 0, or -EAGAIN
 * when the old name was gone and all is as before; -ENOSPC: no memory for a whiteout. */
long rename_finish(struct task *t, struct intent_node *n);

#endif
