/* SPDX-License-Identifier: MIT */
/*
 * What the files about descriptors and data (fdtable.c, ofd.c, uio.c, file.c, vnode.c,
 * io.c, fcntl.c, lock.c, pipe.c, wait.c, poll.c, epoll.c, mapping.c, mmap.c, copy.c, socket.c,
 * adopt.c, aio.c, splice.c, path_dirent.c, pass.c) share among themselves. Everything else of the
 * client includes state.h only.
 */
#ifndef HARE_CLIENT_FILE_H
#define HARE_CLIENT_FILE_H

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>
#include <linux/uio.h>

#include "base/str.h"
#include "base/sys.h"
#include "client/state.h"
#include "client/syscalls.h"

#define RW_MAX	     0x7ffff000UL /* bytes of one read or write, as Linux has it */
#define FILE_OFF_MAX 0x7fffffffffffffffULL
#define MSG_IO_MAX   16384u /* bytes of data in one message */

/* --- fdtable.c -------------------------------------------------------------------- */

/* Arrays of entries only grow, and outgrown ones stay until the table goes: so that a
 * thread may look at an entry's kind without the lock. */
struct fdents {
	struct fdents *older;
	u32 cap;
	u32 pad;
	struct fdent e[];
};
static inline struct fdents *fdents_of(struct fdent *e)
{
	return container_of(e, struct fdents, e);
}
/* The entry of a number; NULL beyond the table. */
static inline struct fdent *fd_entry(struct fdtable *ft, int fd)
{
	struct fdent *e = __atomic_load_n(&ft->ent, __ATOMIC_ACQUIRE);

	return (u32)fd < fdents_of(e)->cap ? &e[fd] : NULL;
}
/* The loader's own descriptors: the program's calls on these numbers give EBADF. */
#define HIDDEN_FDS 8u
static inline bool fd_is_hidden(const struct task *t, int fd)
{
	return (u32)(fd - t->ctx.isl->super->fd_base) < HIDDEN_FDS;
}
/* No other thread or process can change this table or the references of its
 * descriptions. */
static inline bool fd_is_alone(const struct task *t, const struct fdtable *ft)
{
	return ft->refs == 1 && t->proc->threads <= 1;
}
/* Nobody else moves this description's offset. */
static inline bool ofd_is_alone(const struct task *t, const struct ofd *o)
{
	return o->refs == 1 && fd_is_alone(t, t->proc->fds);
}
/* Sets and clears entries; core lock held. */
void fd_set_entry(struct ck *ck, struct fdtable *ft, u32 fd, u32 kind, struct ofd *o,
		  bool cloexec);
/* The lowest free number >= min, with an entry for it; -EMFILE, -ENOMEM. Lock held. */
long fd_lowest(struct ck *ck, struct fdtable *ft, u32 min);
/* Makes room for an entry; 0, -EMFILE (not below FD_MAX), -ENOMEM. Lock held. */
long fd_grow(struct ck *ck, struct fdtable *ft, u32 fd);
/* Takes the entry of a number out; what has to be dropped afterwards, or NULL. Lock
 * held. */
struct ofd *fd_clear(struct ck *ck, struct fdtable *ft, u32 fd);
/* The lowest free number >= min for the description of one of Hare's numbers, in one transaction.
 * -EBADF, -EMFILE. */
long fd_dup(struct task *t, int fd, bool cloexec, u32 min);
/* The lowest free number from min on, for which the table has room now. -EMFILE, -ENOMEM. */
long fd_room(struct task *t, u32 min);
/* Closes a number of Hare's, or only forgets one of the host's. */
void fd_close_entry(struct task *t, struct fdtable *ft, u32 fd);
/* Another descriptor is about to take a number: what a close does for the file that it means now, which
 * stays there until then. */
void fd_before_replace(struct task *t, u32 fd);
/* A table of its own for a process that shares one. -ENOMEM. */
long fdtable_unshare(struct task *t, struct proc *p);
/* fd_get for calls that can only be about Hare's: *ret is CLIENT_HOST or -EBADF on
 * NULL. The one description that the only thread of a process uses is noted inline. */
struct ofd *fd_use_slow(struct task *t, long fd, long *ret);
static inline struct ofd *fd_use(struct task *t, long fd, long *ret)
{
	struct fdtable *ft = t->proc->fds;
	struct fdent *e = likely(ft) ? fd_entry(ft, (int)fd) : NULL;

	if (unlikely(!e || e->kind != FD_HARE || !fd_is_alone(t, ft) || t->hold_used))
		return fd_use_slow(t, fd, ret);
	t->hold_used = 1;
	t->hold[0] = e->ofd;
	return e->ofd;
}
/* ofd_put of what fd_use gave. */
static inline void fd_done(struct task *t, struct ofd *o)
{
	if (likely(t->hold_used == 1 && !t->hold_counted && t->hold[0] == o))
		t->hold_used = 0;
	else
		ofd_put(t, o);
}

/* --- ofd.c ------------------------------------------------------------------------ */

/* Notes, for the case that this thread is killed, that it uses o (counted). Lock held. */
void hold_note(struct task *t, struct ck *ck, u32 i, struct ofd *o);
/* One more description in t->hold; false when it is full. */
static inline bool hold_push(struct task *t, struct ofd *o, bool counted, u32 *at)
{
	u32 i = (u32)__builtin_ctz(~t->hold_used);

	if (i >= HOLDS)
		return false;
	t->hold_used |= 1u << i;
	if (counted)
		t->hold_counted |= 1u << i;
	t->hold[i] = o;
	*at = i;
	return true;
}
/* Which hold is o's; -1 none. */
static inline int hold_find(const struct task *t, const struct ofd *o)
{
	for (u32 m = t->hold_used; m; m &= m - 1) {
		int i = __builtin_ctz(m);

		if (t->hold[i] == o)
			return i;
	}
	return -1;
}
/* One counted reference less; lock held; commits and releases it. */
void ofd_drop_unlock(struct task *t, struct ofd *o);
/* The same, lock not held. */
void ofd_drop(struct task *t, struct ofd *o);
/* The reference that ofd_new noted as this thread's goes elsewhere, in this
 * transaction. */
void hold_pass(struct task *t, struct ck *ck, struct ofd *o);
/* Gives back what threads that died in a call used. */
void holds_release(struct task *t, struct fdtable *ft);
/* What dead threads left half closed. */
void closing_finish(struct task *t);
/* A lock in a word of core-kernel memory that dies with its holder. Held while data is
 * copied, not while waiting for anything. */
void busy_lock(struct task *t, u32 *word);
void busy_unlock(u32 *word);
bool busy_is_mine(const struct task *t, const u32 *word);
bool busy_is_held(const u32 *word); /* by one that lives */
/* Offset and status flags of a description that others may change too: locked against
 * them. True when it has to be unlocked. */
bool pos_lock(struct task *t, struct ofd *o);
static inline void pos_unlock(struct ofd *o, bool locked)
{
	if (unlikely(locked))
		busy_unlock(&o->busy);
}
/* The same, and whether they are here: false, it is SHARED, the server has them. A description
 * becomes SHARED, and LOCAL again, under this lock; so it is held over what is asked of the
 * server, too. */
bool ofd_back(struct task *t, struct ofd *o);
static inline bool pos_lock_local(struct task *t, struct ofd *o, bool *locked)
{
	race_point("offset", RACE_AT);
	*locked = pos_lock(t, o);
	return likely(!__atomic_load_n(&o->shared, __ATOMIC_RELAXED)) || ofd_back(t, o);
}
/* A reply about a SHARED description said who has it. */
static inline void ofd_told(struct ofd *o, u32 last)
{
	if (unlikely(last))
		__atomic_store_n(&o->last, 1, __ATOMIC_RELAXED);
}
/* Its id at the inode's server; 0: it has none. */
static inline u64 ofd_id(const struct ofd *o)
{
	return o->shared ? o->shared : o->kept;
}
/* Its offset, wherever it is; lock not held. 0, -errno. */
long ofd_pos(struct task *t, struct ofd *o, u64 *pos);
long ofd_set_pos(struct task *t, struct ofd *o, u64 pos);
/* The same; held. */
long pos_get(struct task *t, struct ofd *o, u64 *pos);
long pos_set(struct task *t, struct ofd *o, u64 pos);
/* Whose locks flock and F_OFD_SETLK set; makes one. */
u64 ofd_lock_owner(struct task *t, struct ofd *o);
/* A close of a descriptor gives back the process's POSIX locks of the file. */
void posix_locks_release(struct task *t, u64 ino);

static inline u32 ofd_server(const struct ofd *o)
{
	return ino_server(o->ino);
}
static inline bool ofd_can_read(const struct ofd *o)
{
	return !(o->flags & O_PATH) && ((o->flags & O_ACCMODE) + 1) & 1;
}
static inline bool ofd_can_write(const struct ofd *o)
{
	return !(o->flags & O_PATH) && ((o->flags & O_ACCMODE) + 1) & 2;
}
/* O_NONBLOCK, as far as it is known here: of a SHARED one the server is asked when it would
 * wait (pipe.c), for another core may have changed it. */
static inline bool ofd_nonblock(const struct ofd *o)
{
	return o->flags & O_NONBLOCK && !o->shared;
}
static inline bool ofd_is_pipe(const struct ofd *o)
{
	return o->kind == OFD_PIPE || o->kind == OFD_FIFO;
}

/* A handler of this core's own server run inside a transaction of the client: exactly
 * once also when the thread is killed. Between begin and end the core lock is held. */
void own_begin(struct task *t, struct rpc_env *e);
void own_end(struct rpc_env *e);

/* ofd_share for who holds the description's lock, or is alone with it. */
long ofd_share_held(struct task *t, struct ofd *o, u32 add_refs, ofd_share_fn *noted);
/* Flags of open that F_SETFL changes. */
#define OFD_STATUS ((u32)(O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT | FASYNC))

/* --- pass.c ----------------------------------------------------------------------- */

/* Tokens that a call has received and closed. */
struct landing {
	u64 cores; /* a bit for each that sent some */
	u32 count; /* of this core; the first of them are in id */
	u32 id[16];
};
/* A host descriptor, close-on-exec, that takes a description's place in a message. The
 * caller closes it once it is sent, or is not. -EOPNOTSUPP, -EMFILE, -ENOMEM, ... */
long pass_out(struct task *t, struct ofd *o);
/* A host descriptor that came in a message: its number, or that of the description that it
 * stands for; on an error (-EMFILE; -EBADF: lost) it is closed. After a message's last one
 * pass_landed. */
long pass_in(struct task *t, int fd, bool cloexec, struct landing *l);
void pass_landed(struct task *t, const struct landing *l);
/* Gives back what was sent from this core and will never arrive. Cheap when nothing is on
 * its way. */
void pass_settle(struct task *t);
static inline bool pass_any(const struct task *t)
{
	const struct client_root *r = client_root(t->ctx.ck);

	return r->holds && !list_empty(&r->flights);
}

/* --- uio.c ------------------------------------------------------------------------ */

#define UIO_FAST 8
/* A program's buffers, walked once from begin to end. */
struct uio {
	const struct iovec *user; /* the program's array; NULL: all are in fast */
	u32 count, next; /* segments; the next one to start */
	char *at; /* in the current segment */
	size_t left; /* bytes of the current segment */
	size_t total; /* bytes left altogether */
	u32 first, cached; /* fast holds segments [first, first + cached) */
	struct iovec fast[UIO_FAST];
};
void uio_buf(struct uio *u, void *buf, size_t len);
/* readv's arguments: -EINVAL, -EFAULT. */
long uio_vec(struct uio *u, const void *user_iov, long count);
/* Copies n bytes on: 0, or -EFAULT when not all could be copied; uio->total says how far it came:
 * up to the page that is not there. n <= u->total. */
long uio_put(struct uio *u, const void *src, size_t n);
long uio_get(struct uio *u, void *dst, size_t n);
long uio_zero(struct uio *u, size_t n);
/* Back to `done` bytes from the begin, of `total`. */
void uio_back(struct uio *u, size_t total, size_t done);
/* Where it stands, and back to there. */
struct uio_pos {
	char *at;
	size_t left, total;
	u32 next;
};
static inline struct uio_pos uio_pos(const struct uio *u)
{
	return (struct uio_pos){ u->at, u->left, u->total, u->next };
}
static inline void uio_back_to(struct uio *u, const struct uio_pos *p)
{
	u->at = p->at;
	u->left = p->left;
	u->total = p->total;
	u->next = p->next;
}
long user_zero(char *user, size_t n); /* zeros to the program's memory: 0, -EFAULT */

/* --- file.c, vnode.c -------------------------------------------------------------- */

/* Around a change of a far file that its server makes, other than by WRITE: what this core has written
 * is told before, and nobody here makes it longer; what it knows is forgotten afterwards, unless a is NULL: nothing was changed. NULL:
 * the file is near, or not accessed directly. v->busy is held in between, and no reference: who is killed
 * there leaves nothing. */
struct vnode *there_begin(struct task *t, u64 ino);
void there_done(struct task *t, struct vnode *v, const struct attr *a);
long file_readv(struct task *t, struct ofd *o, struct uio *u, u64 *off);
long file_writev(struct task *t, struct ofd *o, struct uio *u, u64 *off, u32 flags);
/* A mapping of it counts as reading it, for its time; of far files only what costs no message. */
void file_accessed(struct task *t, struct ofd *o);
/* LOCK_APPEND: waits for its turn. False: a signal, or who has the lock is stopped, it seems. */
bool append_lock(struct task *t, struct ofd *o);
void append_unlock(struct task *t, struct ofd *o);
/* A read or write at the description's own offset (shared ones: at the server). flags:
 * IO_APPEND, IO_NOAPPEND in O_APPEND's place. */
long file_read_here(struct task *t, struct ofd *o, struct uio *u);
long file_write_here(struct task *t, struct ofd *o, struct uio *u, u32 flags);

#define VNODE_WROTE 1u /* written by this core since `version` was learned */
#define VNODE_ATIME 2u /* the first read has to set atime */
#define VNODE_READ  4u /* was read, and atime is to be told */
#define VBLK_HOLE   (1ULL << 32) /* known to be a hole */
#define VBLK_STALE  (1ULL << 33) /* this island's cache may hold old lines of it */
#define VBLK(v)	    ((blk_t)(v))

struct vnode *vnode_get(struct task *t, u64 ino); /* a reference; NULL: full */
/* The description's own, o->vnode, from now on if not before; NULL: full. */
struct vnode *vnode_join(struct task *t, struct ofd *o);
struct vnode *vnode_find(struct task *t, u64 ino); /* a reference; NULL: none */
void vnode_put(struct task *t, struct vnode *v);
void vnode_accessed(struct task *t, struct vnode *v); /* as if it were read */
void vnode_leave(struct task *t, struct ofd *o);
/* What a server told of it is entered: attributes and, when they came with an OPEN or OFD_LOCAL, runs
 * (else NULL); before asking for these, vnode_asked. */
void vnode_refresh(struct task *t, struct vnode *v, const struct attr *a,
		   const struct rpc_bytes *runs);
void vnode_asked(struct task *t);
/* The server has written from off on, and the file is so long; or it has changed more of it. Held: v->busy. */
void vnode_written(struct task *t, struct vnode *v, u64 off, u64 size);
void vnode_changed(struct task *t, struct vnode *v, const struct attr *a);
void vnode_sync(struct task *t, struct vnode *v); /* writes back and tells */
void vnode_sync_ino(struct task *t, u64 ino); /* the same, where the file is known */
/* Holes of a far file that may have been filled: what this core knows of them is
 * forgotten. */
void vnode_filled(struct task *t, u64 ino, u64 from, u64 to);
/* Threads were killed: what they were copying to blocks of far files is written back. Before their
 * descriptions are closed: until then nobody else has the blocks. */
void vnode_recover(struct task *t);
long vnode_read(struct task *t, struct vnode *v, struct uio *u, u64 *off);
long vnode_write(struct task *t, struct vnode *v, struct uio *u, u64 *off);

/* --- io.c ------------------------------------------------------------------------- */

/* preadv2 and pwritev2 on a file or (off does not count) a pipe that is open for it. */
long io_at(struct task *t, struct ofd *o, struct uio *u, u64 off, bool write, u32 rwf);

/* --- fcntl.c ---------------------------------------------------------------------- */

/* O_* as they are now: those of a SHARED description are the server's. */
long ofd_flags(struct task *t, struct ofd *o);
/* F_SETFL. */
long ofd_set_flags(struct task *t, struct ofd *o, u32 fd, u32 flags);
/* The number's close-on-exec; the host's own number is not told. */
void fd_cloexec(struct task *t, struct fdtable *ft, u32 fd, bool on);

/* --- owner.c ---------------------------------------------------------------------- */

/* F_GETOWN, F_SETOWN, their _EX, F_GETSIG, F_SETSIG. */
long owner_fcntl(struct task *t, struct ofd *o, int cmd, long arg);
/* O_ASYNC of a pipe was set, by number fd, or taken away; its lock is held. */
long owner_async(struct task *t, struct ofd *o, u32 fd, bool on);

/* --- lock.c ----------------------------------------------------------------------- */

/* What an offset given with `whence` counts from: 0, the description's offset, the
 * size. */
long ofd_base(struct task *t, struct ofd *o, short whence, s64 *base);
/* deadlock.c: a wait was registered at srv, and may close a cycle: 0, -EDEADLK,
 * -HARE_ERESTARTSYS. */
long lock_deadlock(struct task *t, u32 srv, const struct req_LOCK *q,
		   const struct rep_LOCK *p);
/* F_GETLK, F_SETLK, F_SETLKW and their F_OFD_ variants. */
long lock_fcntl(struct task *t, struct ofd *o, int cmd, void *user);

/* --- pipe.c ----------------------------------------------------------------------- */

/* flags: those of the description, or IO_SPLICE. */
long pipe_readv(struct task *t, struct ofd *o, struct uio *u, bool nonblock, u32 flags);
long pipe_writev(struct task *t, struct ofd *o, struct uio *u, bool nonblock, u32 flags);
static inline u32 pipe_flags(const struct ofd *o)
{
	return (o->flags & O_DIRECT ? IO_PACKET : 0) |
	       (o->flags & O_NOATIME ? IO_NOATIME : 0);
}
void raise_sigpipe(struct task *t);
/* What is in a pipe from byte `off` on, without taking it, into memory of ours: bytes (0:
 * nothing there, or the end), -EAGAIN, -HARE_ERESTARTSYS. *packet: they are one packet, or the
 * begin of one, else none of them is. And takes len bytes away. */
long pipe_peek(struct task *t, struct ofd *o, void *to, u32 len, u64 off, bool nonblock,
	       bool *packet);
void pipe_drop(struct task *t, struct ofd *o, u32 len);

/* --- wait.c ----------------------------------------------------------------------- */

struct pollfd;
/* When a wait that began now ends; ns -1: never. */
struct until {
	u64 end;
	bool forever;
};
struct until until_in(s64 ns);
s64 until_left(const struct until *u); /* ns, not below 0; -1 for ever */
/* Sleeps until event seq, one of the host's descriptors, a signal or the time. mask: a
 * signal mask in force meanwhile, in memory that the host can read, or NULL. The count of
 * host descriptors that are ready; 0: look again; -HARE_ERESTARTNOHAND. */
long wait_mixed(struct task *t, u32 seq, struct pollfd *host, u32 n,
		const struct until *u, const void *mask, size_t mask_size);
/* Sleeps until event seq, a signal or the time: 0 (look again), -ETIMEDOUT,
 * -HARE_ERESTARTNOHAND. */
long wait_event(struct task *t, u32 seq, const struct until *u);

/* --- poll.c, epoll.c -------------------------------------------------------------- */

/* What an edge-triggered member was told, and how much the pipe held then. */
struct told {
	u32 events, bytes;
};
/* What is ready of `events` (poll(2)'s bits); with seq != 0 registers for an EVENT when
 * nothing is, or nothing that is not in *told (may be NULL), whose bytes become what the
 * pipe holds. Relayed ones are left out: they are asked by relay_poll. */
u32 ofd_poll(struct task *t, struct ofd *o, u32 events, u32 seq, struct told *told);
/* Hare's members of an epoll instance; NULL: fd is none, or has none. A counted
 * reference. */
struct ofd *epoll_shadow_of(struct task *t, int fd);
/* Others may add members to an instance while this thread waits. Whoever does says so by a topic
 * (msg.h), its shadow. */
static inline bool epoll_may_grow(const struct task *t, const struct ofd *shadow)
{
	return shadow->refs > 1 || !fd_is_alone(t, t->proc->fds);
}
/* Is one of its members ready? */
bool epoll_shadow_ready(struct task *t, struct ofd *shadow, u32 seq);
/* A description is closed: it leaves all epoll sets. Lock held. */
void epoll_forget(struct ck *ck, struct ofd *o);
/* The shadow of an epoll instance goes. Lock held. */
void epoll_shadow_free(struct ck *ck, struct ofd *shadow);
/* What a read (HP_IN) or write (HP_OUT) means to edge-triggered members: tell them
 * again. */
void epoll_used(struct task *t, struct ofd *o, u32 event);

/* --- copy.c ----------------------------------------------------------------------- */

/* Partitioned DRAM, and the file is another island's: mappings show a copy. */
bool copy_wanted(const struct task *t, u64 ino);
/* The same, and perhaps there is one. */
bool copy_any(const struct task *t, u64 ino);
/* A pin opens its file's copy, and leaves it. -ENOMEM, -ENOSPC. */
long copy_open(struct task *t, struct ofd *pin);
void copy_leave(struct task *t, struct ofd *pin);
/* The file has this version now: what was filled in of another one is old. */
void copy_version(struct task *t, u64 ino, u64 version);
/* Pages of [off, end) are filled that are not, or are old. flags: COPY_TWIN, COPY_HAVE. -ENOSPC: this island
 * has no memory left; -ENOENT: there is no copy. A READ for 16 KiB. */
long copy_fill(struct task *t, u64 ino, u64 off, u64 end, u32 flags);
/* Reads the file into memory of the program's that can be written. */
long copy_read(struct task *t, u64 ino, u64 off, char *to, u64 len);
/* The copy's blocks for pages [first, first+count), filled. stored: they may be stored in. */
long copy_runs(struct task *t, struct ofd *pin, u64 first, u64 count, bool stored,
	       struct run *runs, u32 *n);
/* What was stored in the copy is written to the file. 0; what PATCH says. */
long copy_flush(struct task *t, u64 ino, u64 off, u64 end);
/* Around a WRITE: true, and *gen, when the copy is to be told; locked then, which is not for waits. */
bool copy_write_begin(struct task *t, u64 ino, u32 *gen);
void copy_write_end(struct task *t, u64 ino, bool begun, u32 gen, u64 off,
		    const void *data, u32 len);
/* The file was changed there otherwise: the copy reads it anew. */
void copy_changed(struct task *t, u64 ino, u64 off, u64 end);

/* --- mapping.c -------------------------------------------------------------------- */

long maps_copy(struct task *t, struct fdtable *from, struct fdtable *to);
void maps_drop(struct task *t, struct fdtable *ft);
/* What this process stored through shared mappings of a file is written back and told. */
void maps_sync(struct task *t, u64 ino);
/* What this island's cache holds of bytes [from, to) of a file where this process has mapped it is
 * dropped: another, or its server, may have written them. */
void maps_refresh(struct task *t, u64 ino, u64 from, u64 to);
/* A file may be longer now: pages of this process's mappings that lay behind its end are
 * there. */
void maps_grown(struct task *t, u64 ino);
/* TRUNC, which is asked again while it answers -EAGAIN. */
long truncate_call(struct task *t, const struct req_TRUNC *q, struct rep_TRUNC *p);
/* A file has become shorter; attr.mapped says who may have it mapped. When this returns they show
 * no more of it. */
void maps_shrunk(struct task *t, u64 ino, u64 mapped);
/* A process has ended, or its mappings. */
void maps_gone(struct task *t);
/* A child of fork has the marks of its parent's mappings. */
void maps_born(struct task *t);
static inline bool maps_any(const struct task *t)
{
	const struct fdtable *ft = t->proc->fds;

	return unlikely(ft && !list_empty(&ft->maps));
}

#endif
