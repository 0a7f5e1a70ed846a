/* SPDX-License-Identifier: MIT */
/*
 * The file server's inside: its structures in core-kernel memory and what its files offer each
 * other. Not for other folders; they include fileserver.h.
 *
 *   table.c  hash tables           entry.c  names: (dir, name) -> inode    dir.c   parts, RESOLVE
 *   inode.c  inodes, attributes    block.c  block allocator, STEAL, GIVE   data.c  READ, WRITE
 *   map.c    BLOCKS, TRUNC, FLUSH  open.c   OPEN, CLOSE, shared offsets    pipe.c  pipes, FIFOs
 *   create.c CREATE, ADD_MAP...    rename.c RENAME, its lock               rmdir.c RMDIR, SHARD
 *   lock.c   LOCK                  xattr.c  XATTR                          wait.c  waiters
 *   notify.c inotify               packet.c packets of pipes              async.c SIGIO
 *   copy.c   COPY, COPY_DATA, PATCH
 *   check.c  fsck                  init.c   boot, deaths
 *
 * All of it is protected by the core lock and changed inside transactions (mem.h). Two kinds of
 * memory are outside the undo log: file blocks, and hints that may hold anything (named *_hint).
 *
 * Invariants (checked by check.c):
 * - An inode is in the table while it has links or opens.
 * - A block belongs to one server, or is in flight from one to another (see block.c). There it is
 *   free, or referenced exactly once: by a file's map, a pipe, or a carrier.
 * - Bytes beyond a file's end in its blocks are zero, or were written directly by a core that has
 *   not told its FLUSH yet; so a file grows without zeroing. The exception is marked FS_I_TRIM.
 */
#ifndef HARE_FILESERVER_FS_H
#define HARE_FILESERVER_FS_H

#include <asm/errno.h>
#include <asm/fcntl.h>

#include "base/hash.h"
#include "base/host.h"
#include "base/str.h"
#include "fileserver/fileserver.h"
#include "proto/rpc.h"

/* --- hash tables: table.c ------------------------------------------------------------------- */

struct fs_node {
	struct fs_node *next;
	u64 key;
};

/* Linear hashing: grows by one bucket per insertion once it holds more nodes than buckets. */
#define FS_TABLE_SEG  1024u /* 8 KiB: fills a class of the heap */
#define FS_TABLE_SEGS 1024u
struct fs_table {
	u64 buckets, mask; /* mask: smallest 2^n - 1 >= buckets */
	u64 count;
	struct fs_node **seg[FS_TABLE_SEGS];
};

static inline u64 fs_table_index(const struct fs_table *t, u64 key)
{
	u64 i = ((u32)key + (u32)(key >> INO_SERVER_SHIFT) * 0x9e3779b1u) & t->mask;

	return i < t->buckets ? i : i & (t->mask >> 1);
}
static inline struct fs_node **fs_table_at(const struct fs_table *t, u64 i)
{
	return &t->seg[i / FS_TABLE_SEG][i % FS_TABLE_SEG];
}
static inline struct fs_node **fs_table_bucket(const struct fs_table *t, u64 key)
{
	return fs_table_at(t, fs_table_index(t, key));
}
static inline struct fs_node *fs_table_find(const struct fs_table *t, u64 key)
{
	struct fs_node *n = *fs_table_bucket(t, key);

	while (n && n->key != key)
		n = n->next;
	return n;
}
long fs_table_init(struct ck *ck, struct fs_table *t, u64 buckets);
void fs_table_insert_fresh(struct ck *ck, struct fs_table *t, struct fs_node *n);
void fs_table_remove(struct ck *ck, struct fs_table *t, struct fs_node *n);
/* Iteration, outside transactions: the node after n (NULL: the first). */
struct fs_node *fs_table_next(const struct fs_table *t, const struct fs_node *n);

/* --- structures ------------------------------------------------------------------------------- */

struct fs_entry {
	struct fs_node node; /* key: hash_name(dir, name) */
	u64 dir, ino;
	u64 cached; /* cores that know it */
	u64 cookie;
	u8 type; /* mode >> 12 */
	u8 len;
	u8 dflags;
	u8 pending; /* a rename's new name that may be taken back: see fs_confirm */
	char name[]; /* len bytes */
};

/* A name that far cores know not to be there. */
struct fs_neg {
	struct fs_node node; /* as an entry's */
	struct list lru;
	u64 dir;
	u64 cached;
	u8 len;
	char name[];
};

#define FS_COOKIE_FIRST 3u /* 1 and 2 are `.` and `..` */

/* One server's part of a directory: behind the inode at its home, else alone (a shard). */
struct fs_part {
	struct fs_node node; /* key: the directory; in fs.shards, unless at home */
	u32 mode, uid, gid; /* shards; at home the inode's count */
	u32 dflags;
	u64 entries, subdirs;
	u64 mtime; /* shards */
	u64 next_cookie;
	struct radix cookies; /* cookie - FS_COOKIE_FIRST -> struct fs_entry * */
	u64 perm_cached; /* cores that know mode and owner */
	u64 dotdot_cached; /* cores that know the parent */
	u64 mark_owner; /* RMDIR_MARK; 0: not marked */
	u64 serial_owner; /* RMDIR_SERIALIZE, home only */
	struct list marks; /* in fs.marks while either is set */
	struct list waiters;
	/* home only */
	u64 parent;
	u32 parent_dflags;
	u32 name_len;
	char *name;
};

/* Flags of an inode. */
#define FS_I_TRIM     1u /* blocks beyond the end are garbage, to be freed before it grows */
#define FS_I_LINKABLE 2u /* by O_TMPFILE, and had no name yet: LINK may give it one */
#define FS_I_ANON     4u /* a pipe of PIPE: no links, shown as one */
#define FS_I_DIRTY                                                                       \
	8u /* map has FS_BLK_DIRTY values between more->dirty_lo and dirty_hi */
#define FS_I_REMOTE 16u /* a far core wrote blocks more->remote_lo to remote_hi */
#define FS_I_COPY   32u /* the copy of a far file: copy.c */
#define FS_I_AHEAD  64u /* BLOCKS_ALLOC gave blocks beyond the end */
#define FS_I_KEPT   128u /* and fallocate, for good */
#define FS_I_HINT   (7u << 8) /* of F_SET_RW_HINT */
#define FS_I_TIMED  2048u /* mtime may be what utimens set, at ctime or before */

struct fs_inode {
	struct fs_node node; /* key: the number */
	u16 mode;
	u16 flags; /* FS_I_* */
	u32 nlink; /* of a directory: 1, or 0 when removed */
	u32 uid, gid;
	u64 size;
	u64 mtime, ctime;
	union {
		struct {
			u32 opens; /* by all cores; pipe ends count one each */
			union {
				u32 writers; /* files: those that may write */
				u32 readers; /* directories: those that may list it */
			};
		};
		u64 uses; /* the two: an open and a close change both at once */
	};
	/* -- a cache line -- */
	struct radix map; /* block index -> FS_BLK | FS_BLK_DIRTY */
	u64 atime, btime;
	u64 version;
	struct fs_more *more;
	union {
		struct fs_pipe *pipe;
		char *target; /* symlinks, NUL-terminated */
		u64 rdev;
		u32 runs; /* files: OPEN_EXECs; this or writers is 0 */
	};
};

/* A directory's inode is allocated with its part. */
struct fs_dirinode {
	struct fs_inode i;
	struct fs_part part;
};

/* What few inodes need. */
struct fs_more {
	struct list all; /* fs.more */
	struct fs_inode *inode;
	struct fs_far *far;
	struct fs_copy *copy; /* FS_I_COPY */
	u32 far_opens; /* sum over far */
	u32 pins; /* mappings, near and far */
	struct list locks, lock_waiters, ofds;
	u64 appender; /* owner of LOCK_APPEND, or 0; of a pipe it alone reads */
	struct fs_xattr *xattrs;
	struct fs_inode *limbo; /* carriers of blocks not to be reused yet */
	u64 dirty_lo, dirty_hi; /* block indices, hi exclusive */
	u64 remote_lo, remote_hi;
};

/* Opens of one inode by one far core. */
struct fs_far {
	struct fs_far *next;
	u32 core;
	u32 opens, readers, writers, pins;
	u32 runs;
};

struct fs_xattr {
	struct fs_xattr *next;
	u64 id; /* another one whenever the value is set */
	u32 len;
	u32 name_len;
	char data[]; /* name, value */
};

/* A shared open description (thesis 3.5.1). */
struct fs_ofd {
	struct list link; /* more->ofds */
	u64 id, off;
	u32 flags, refs;
	u32 core; /* whose OPEN it took over */
	u32 parent_dflags;
	u64 parent, hash; /* the name that it was opened by, for inotify */
};

/* This island's copy of a far file: copy.c. */
struct fs_copy {
	u64 ino; /* the file */
	struct list hash; /* fs.copies */
	struct list link; /* fs.copies_new, until it is opened */
	struct fs_inode *inode; /* its map: FS_BLK and the epoch, see copy.c */
	struct fs_inode *twins; /* a carrier: of pages that may be stored in */
	u64 version; /* of the file, when it was last asked */
	u32 gen; /* grows when what was read from the file before is not to be filled in */
	u32 epoch; /* of pages that are not old */
};

struct fs_waiter {
	struct list link;
	u32 core, slot, seq, events;
};

struct fs_pipe {
	u32 readers, writers;
	u32 reader_opens, writer_opens; /* ever, for opens that wait for the other end */
	u64 head, tail; /* bytes read and written since it was last empty */
	u32 pages; /* a power of two */
	u32 flags; /* FS_P_* */
	blk_t *slot; /* pages blocks, 0: not allocated */
	/* -- a cache line -- */
	struct list waiters;
	struct fs_notify *notify; /* it is an inotify instance */
	u32 *page; /* pages words, made for the first packet: packet.c */
};
/* Flags of a pipe; most have none. */
#define FS_P_NOTIFY  1u /* it is an inotify instance */
#define FS_P_PACKETS 2u /* head and tail count whole pages; `page` says what is in each */
#define FS_P_DIRECT                                                                      \
	4u /* O_DIRECT of a shared description of it was changed: fs_ofd.flags tells */

/* An inotify instance: notify.c. */
struct fs_event;
struct fs_notify {
	u64 inst; /* its inode */
	struct list events; /* not read yet */
	struct fs_event *over; /* IN_Q_OVERFLOW, in events or not */
	u32 count, bytes; /* of events; bytes as programs read them */
	u32 next_wd, watches;
	struct radix wds, inos; /* wd -> struct fs_wd *; inode -> wd */
	struct fs_notify *dead; /* fs.dead_notify, once it is closed */
};

struct fs_lock {
	struct list link; /* more->locks */
	u32 kind, type; /* LOCK_FLOCK...; F_RDLCK 0, F_WRLCK 1 */
	u64 owner;
	u64 start, end; /* inclusive */
	u32 pid, pad;
};

struct fs_lock_waiter {
	struct list link; /* more->lock_waiters */
	struct list blocked; /* fs.blocked */
	struct fs_lock want; /* its link unused */
	struct fs_more *more;
	u64 id;
	u32 core, slot, seq;
	u32 searching; /* its process looks for a deadlock now */
};

/* A piece of the bitmaps, which have a bit for each block of DRAM. */
#define FS_BITMAP_WORDS 960u
struct fs_bitmap {
	u64 full[FS_BITMAP_WORDS / 64]; /* a bit per word of used: all ones */
	u64 used[FS_BITMAP_WORDS]; /* 0: free, and this server's */
	u64 own[FS_BITMAP_WORDS]; /* 1: this server's */
};

/* Blocks that this server gave to another one or got from it, ever: how many, and the sum of
 * hash_u64 of their numbers. What one gave and the other did not get yet is in flight. */
struct fs_passed {
	u64 count, sum;
};

#define FS_COPY_BUCKETS 256u

struct fs {
	u32 srv, cores, servers;
	u32 blk_cores; /* that own blocks at boot */
	const struct super *super; /* as this island maps it */
	u64 near_cores; /* a bit each, when they make local calls; else 0 */
	u32 coherent; /* write-back and invalidate cost nothing: no dirty ranges are kept */
	u32 no_cache; /* clients cache no lookups */
	u64 next_ino;
	u64 next_ofd, next_wait, next_xattr;
	/* blocks: block.c */
	u64 blk_free;
	u64 blk_own; /* blocks of this server; at boot blk_share of them, from blk_home on */
	u64 blk_all, blk_share, blk_home;
	u64 blk_kept; /* of the free ones, for pipes alone */
	u64 freed_hint; /* grows whenever a block becomes free */
	u64 blk_hint; /* about the lowest free block: warm memory is used again first */
	u64 blk_room_hint; /* where 64 free blocks together may be */
	u64 dead_blocks;
	struct fs_inode *dead; /* carriers to be trimmed, linked by node.next */
	struct fs_bitmap **blk_map;
	struct fs_passed gave[MAX_CORES], got[MAX_CORES];
	/* the file whose last block was written beyond its end last, and ck->recovered then;
	 * outside the log, see fs_tail_guard */
	u64 tail_hint;
	u32 tail_recovered_hint, pad;
	u64 data_seq; /* outside the log: see fs_data_changes */
	/* names */
	struct list marks; /* parts with an owner */
	struct list neg_lru;
	u64 neg_max;
	/* locks and waiters */
	struct list more;
	struct list blocked;
	struct list dead_locks; /* to be freed: fs_locks_trim */
	struct fs_xattr *dead_xattrs; /* the same */
	u64 rename_owner;
	struct list rename_waiters;
	/* inotify: notify.c */
	u64 watch_bits; /* what FILTER said last */
	u32 watch_count[64]; /* inodes of each bit */
	u32 next_cookie, pad2;
	struct fs_notify *dead_notify;
	struct fs_table watched; /* struct fs_watched; made at the first */
	struct fs_table inodes, entries, shards, negs;
	/* copies of far files: copy.c */
	struct list copies[FS_COPY_BUCKETS]; /* struct fs_copy */
	struct list copies_new; /* not opened yet */
};

static inline struct fs *fs_of(const struct ck *ck)
{
	return ck->root[CK_ROOT_FS];
}

/* --- small things ----------------------------------------------------------------------------- */

/* Memory for something that grows the file system: leaves a reserve for programs and removals. */
void *fs_alloc(struct ck *ck, size_t size);

static inline bool fs_in_group(const struct cred *cr, u32 gid)
{
	u32 n = MIN(cr->ngroups, (u32)CRED_GROUPS_MAX);

	if (cr->gid == gid)
		return true;
	for (u32 i = 0; i < n; i++)
		if (cr->groups[i] == gid)
			return true;
	return false;
}

/* 0 or -EACCES. want: MAY_*. */
static inline long fs_perm(const struct cred *cr, u32 mode, u32 uid, u32 gid, u32 want)
{
	u32 bits = mode;

	if (cr->uid == 0) {
		bool x = (mode & 0111) || (mode & HS_IFMT) == HS_IFDIR;

		return (want & MAY_EXEC) && !x ? -EACCES : 0;
	}
	if (cr->uid == uid)
		bits >>= 6;
	else if (fs_in_group(cr, gid))
		bits >>= 3;
	return (bits & want) == want ? 0 : -EACCES;
}

static inline u32 fs_type(const struct fs_inode *i)
{
	return i->mode & HS_IFMT;
}
static inline bool fs_is_dir(const struct fs_inode *i)
{
	return fs_type(i) == HS_IFDIR;
}
static inline bool fs_is_reg(const struct fs_inode *i)
{
	return fs_type(i) == HS_IFREG;
}

#define FS_SIZE_MAX  0x7fffffffffffffffULL
#define FS_O_ACCMODE 3u

/* --- inode.c ---------------------------------------------------------------------------------- */

static inline struct fs_inode *fs_inode_find(const struct fs *f, u64 ino)
{
	return (struct fs_inode *)fs_table_find(&f->inodes, ino);
}
static inline struct fs_part *fs_inode_part(struct fs_inode *i)
{
	return &((struct fs_dirinode *)i)->part;
}
/* A new inode with one link, in the table; NULL: full. Its memory is fresh. use: pipes are HELD. */
struct fs_inode *fs_inode_new(struct rpc_env *e, enum ck_use use, u32 mode, u32 uid,
			      u32 gid);
struct fs_more *fs_inode_more(struct rpc_env *e, struct fs_inode *i); /* NULL: full */
/* Frees an inode that has neither links nor opens. */
void fs_inode_release(struct rpc_env *e, struct fs_inode *i);
/* One link less. */
void fs_inode_unlink(struct rpc_env *e, struct fs_inode *i, u64 now);
void fs_inode_attr(const struct fs_inode *i, struct attr *a);
/* Sets mtime and ctime, when they differ. One that utimens had set is gone then. */
static inline void fs_inode_touch(struct ck *ck, struct fs_inode *i, u64 now)
{
	if (i->mtime != now) {
		TX_SET(ck, i->mtime, now);
		if (unlikely(i->flags & FS_I_TIMED))
			TX_SET(ck, i->flags, (u16)(i->flags & ~FS_I_TIMED));
	}
	if (i->ctime != now)
		TX_SET(ck, i->ctime, now);
}
/* A write by a user: set-id bits go. */
void fs_inode_drop_setid(struct ck *ck, struct fs_inode *i, u32 uid);
void fs_inode_drop_setid_of(struct ck *ck, struct fs_inode *i, const struct cred *cr);
/* After a read: atime, when it is older than the data, or than a day (relatime). */
static inline void fs_inode_read_at(struct ck *ck, struct fs_inode *i)
{
	s64 atime = (s64)i->atime; /* times before 1970 are negative */

	if (unlikely(atime <= (s64)i->mtime || atime <= (s64)i->ctime ||
		     atime <= (s64)ck->day_ago)) {
		u64 now = host_realtime_ns();

		if (i->atime != now)
			TX_SET(ck, i->atime, now);
	}
}

/* --- dir.c -------------------------------------------------------------------------------------- */

/* A directory as one server sees it. */
struct fs_dir {
	struct fs_part *part;
	struct fs_inode *inode; /* home only */
	u32 mode, uid, gid;
};
/* Finds this server's part. -ENOENT (also when removed), -ENOTDIR. */
long fs_dir_find(struct fs *f, u64 dir, struct fs_dir *d);
static inline long fs_dir_perm(const struct fs_dir *d, const struct cred *cr, u32 want)
{
	return fs_perm(cr, d->mode, d->uid, d->gid, want);
}
/* Its entries changed: mtime and ctime. */
void fs_dir_touch(struct ck *ck, const struct fs_dir *d, u64 now);
/* Sticky directories: whether cr may remove or rename what `owner` owns. 0 or -EPERM. */
long fs_dir_sticky(const struct fs_dir *d, const struct cred *cr, u32 owner);
/* Where the directory hangs; the strings are copied. -ENOSPC. */
long fs_dir_set_parent(struct rpc_env *e, struct fs_part *p, u64 parent, u32 dflags,
		       const char *name, u32 len);
/* A directory's home is told where that hangs now, in the transaction of the rename, so that no kill can
 * come between; who hears of the rename finds it told. -EAGAIN with *busy = BUSY_PENDING: the
 * home's ring is full. What waited for room there would come after what others ask the home, who could
 * put the directory below itself. */
long fs_dir_tell_home(struct rpc_env *e, u64 ino, u64 parent, u32 dflags,
		      const struct rpc_str *name, u32 *busy);
/* While it is marked by RMDIR: registers and -EAGAIN, else 0. */
long fs_dir_delayed(struct rpc_env *e, struct fs_dir *d, u32 seq);
/* Mode or owner changed: tells the cores that know them. */
long fs_part_perm_changed(struct rpc_env *e, struct fs_part *p);
/* The same of an inode, and its other parts. -EAGAIN: a ring is full, ask again. */
long fs_dir_perm_changed(struct rpc_env *e, struct fs_inode *i);
/* After a post, with its result: -EAGAIN when the record would have to wait for room in the ring, where what
 * others send overtakes it. */
static inline long fs_posted_at_once(struct rpc_env *e, u32 srv, long r)
{
	return r == -ENOSPC || (!r && msg_is_behind(e->ck, srv)) ? -EAGAIN : r;
}
void fs_part_init_fresh(struct fs_part *p, u64 dir);
/* Frees a part's own memory, not the part; it has no entries. */
void fs_part_release(struct rpc_env *e, struct fs_part *p);

/* --- entry.c ------------------------------------------------------------------------------------ */

struct fs_entry *fs_entry_find(const struct fs *f, u64 dir, const char *name, u32 len,
			       u64 hash);
static inline u64 fs_hash(u64 dir, const struct rpc_str *name)
{
	return hash_name(dir, name->p, name->len);
}
/* 0, -ENOENT (empty), -ENAMETOOLONG, -EINVAL ('/' or NUL inside), -EEXIST ("." and ".."). */
long fs_name_check(const struct rpc_str *name);
/* Adds an entry that is not there, tells who cached that, touches nothing else of the
 * directory than its counts. -ENOSPC. */
long fs_entry_add(struct rpc_env *e, struct fs_dir *d, u64 dir,
		  const struct rpc_str *name, u64 hash, u64 ino, u32 type, u32 dflags);
/* Removes an entry, or makes it lead to another inode; tells who cached it. */
long fs_entry_del(struct rpc_env *e, struct fs_dir *d, struct fs_entry *n);
long fs_entry_set(struct rpc_env *e, struct fs_dir *d, struct fs_entry *n, u64 ino,
		  u32 type, u32 dflags);
/* The asking core caches it. */
static inline void fs_entry_cached(struct rpc_env *e, struct fs_entry *n)
{
	u64 bit = 1ULL << e->core;

	if (e->far && !(n->cached & bit) && !fs_of(e->ck)->no_cache)
		TX_SET(e->ck, n->cached, n->cached | bit);
}
/* The asking core is told that a name is not there. -ENOSPC: it must not remember it. */
long fs_neg_add(struct rpc_env *e, u64 dir, const struct rpc_str *name, u64 hash);
/* Posts INVALIDATE to every core of a mask. */
long fs_invalidate(struct rpc_env *e, u64 mask, u32 kind, u64 dir, const char *name,
		   u32 len);

/* --- block.c ------------------------------------------------------------------------------------ */

#define FS_BLK(v)    ((blk_t)(v))
#define FS_BLK_DIRTY (1ULL << 32) /* this island wrote it and did not write it back */
#define FS_TRIM_STEP 384u /* blocks freed in one transaction at most */

/* `blocks` for each server. -ENOSPC. */
long fs_blk_init(struct ck *ck, struct fs *f, u32 blocks);
/* Block n, counted from 0: whose it is, and whether it is taken. */
static inline bool fs_blk_own(const struct fs *f, u64 n)
{
	const struct fs_bitmap *m = f->blk_map[n / 64 / FS_BITMAP_WORDS];

	return m->own[n / 64 % FS_BITMAP_WORDS] >> (n % 64) & 1;
}
static inline bool fs_blk_used(const struct fs *f, u64 n)
{
	const struct fs_bitmap *m = f->blk_map[n / 64 / FS_BITMAP_WORDS];

	return m->used[n / 64 % FS_BITMAP_WORDS] >> (n % 64) & 1;
}
/* Blocks that files may have. */
static inline u64 fs_blk_room(const struct fs *f)
{
	return f->blk_free - MIN(f->blk_free, f->blk_kept);
}
/* True when files may have that many blocks now. What was removed before counts: it is freed, and
 * committed, if need be, so nothing may have been changed in the transaction. */
bool fs_blk_enough(struct ck *ck, u64 count);
#define FS_BLK_ROOM 1u /* elsewhere than at goal, look for a place with room to grow */
#define FS_BLK_PIPE 2u /* also of those kept for pipes */
/* 1 to want contiguous blocks, at goal when that is free; returns the first, 0: none left. Their
 * content is undefined. */
blk_t fs_blk_alloc(struct rpc_env *e, blk_t goal, u32 flags, u32 want, u32 *got);
void fs_blk_free(struct ck *ck, blk_t blk, u32 count);
/* Removes up to max values with an index >= from and frees their blocks. How many. */
u32 fs_map_free(struct ck *ck, struct radix *map, u64 from, u64 to, u32 max);
/* Takes all blocks from a file: freed, or kept in limbo while somebody may access them directly.
 * -ENOSPC (limbo needs memory). */
long fs_map_drop(struct rpc_env *e, struct fs_inode *i);
/* The same for the blocks from index `from` to `to` (exclusive), max at most; *done: how many. */
long fs_map_punch(struct rpc_env *e, struct fs_inode *i, u64 from, u64 to, u32 max,
		  u32 *done);
/* An inode that leaves with its blocks; its own memory carries them until they are freed. */
void fs_dead_add(struct ck *ck, struct fs_inode *carrier);
/* Nobody accesses the file directly any more: limbo is freed. */
void fs_limbo_free(struct ck *ck, struct fs_more *m);
bool fs_dead_trim(struct ck *ck, u32 max);
/* Before anything grows, with nothing changed in the transaction: while memory is short, what was
 * removed goes for good. */
void fs_dead_free(struct ck *ck);
static inline void fs_make_room(struct ck *ck)
{
	const struct fs *f = fs_of(ck);

	if (unlikely(f->dead || f->dead_xattrs || f->dead_locks.next != &f->dead_locks) &&
	    ck_is_tight(ck))
		fs_dead_free(ck);
}

/* --- data.c, map.c -------------------------------------------------------------------------------- */

static inline bool fs_has_direct(const struct fs_inode *i)
{
	return i->more && (i->more->far_opens || i->more->pins);
}
/* Cores whose processes may have the file mapped, a bit each. */
u64 fs_mapped_by(const struct fs *f, const struct fs_inode *i);
/* The file ends at `size` from now on: whoever has mapped it is told, when this is committed. tail:
 * its last block, if that was changed behind the end, or 0. -ENOSPC; -EAGAIN (tail 0): some core's ring
 * is full, and it would hear of it too late; what was sent to others has to be taken back. */
long fs_cut(struct rpc_env *e, struct fs_inode *i, u64 size, blk_t tail);
/* Before the bytes of any block change under the lock, and when a block is freed: who copies from
 * blocks without the lock (fs_span) then copies again. One word for all files of the server, since
 * an inode may be gone when its copy ends; a change in so short a time is rare. */
static inline void fs_data_changes(struct fs *f)
{
	__atomic_store_n(&f->data_seq, f->data_seq + 1, __ATOMIC_RELEASE);
}
void fs_data_read(struct rpc_env *e, struct fs_inode *i, u64 off, void *buf, u32 len);
/* Writes and grows; bytes written (fewer when blocks run out) or -ENOSPC, -EFBIG. */
long fs_data_write(struct rpc_env *e, struct fs_inode *i, u64 off, const void *buf,
		   u32 len);
/* How many of the blocks [first, first+count) are holes. */
u64 fs_map_holes(const struct radix *map, u64 first, u64 count);
long fs_data_truncate(struct rpc_env *e, struct fs_inode *i, u64 size);
/* Before a far core accesses blocks [first, first+count) directly: writes back what this island
 * wrote, `max` blocks at most. Index up to which it is done. */
u64 fs_data_push(struct rpc_env *e, struct fs_inode *i, u64 first, u64 count, u32 max);
/* Before this island accesses [first, first+count): drops what a far core wrote meanwhile. */
void fs_data_pull(struct rpc_env *e, struct fs_inode *i, u64 first, u64 count);
static inline void fs_data_fresh(struct rpc_env *e, struct fs_inode *i, u64 off, u64 len)
{
	if (unlikely(i->flags & FS_I_REMOTE) && len)
		fs_data_pull(e, i, off / PAGE_SIZE,
			     (off + len - 1) / PAGE_SIZE - off / PAGE_SIZE + 1);
}
/* [first, first+count) may hold dirty blocks from now on. -ENOSPC. */
long fs_data_dirty(struct rpc_env *e, struct fs_inode *i, u64 first, u64 count);
/* Before any file grows. Whoever writes beyond the end in a last block that is there already, and
 * is rolled back, leaves bytes there that are not zero: after a recovery they are zeroed first. */
void fs_tail_repair(struct rpc_env *e);
static inline void fs_tail_guard(struct rpc_env *e)
{
	if (unlikely(fs_of(e->ck)->tail_recovered_hint != e->ck->recovered))
		fs_tail_repair(e);
}
/* Does what FS_I_TRIM says, committing in between. -ENOSPC. */
long fs_trim_finish(struct rpc_env *e, struct fs_inode *i);
#define FS_AHEAD_STEP 256u
/* Frees what FS_I_AHEAD tells of, FS_AHEAD_STEP blocks at most; the rest at another close. */
void fs_ahead_free(struct rpc_env *e, struct fs_inode *i);
/* A far core may have written [first, first+count) directly. */
long fs_data_remote(struct rpc_env *e, struct fs_inode *i, u64 first, u64 count);
/* Marks the blocks under these bytes as dirty before they are changed, and commits; nothing in
 * the coherent model. -ENOSPC. */
long fs_data_will_write(struct rpc_env *e, struct fs_inode *i, u64 off, u64 len);
/* The runs that cover [first, first+count), into a reply. */
void fs_runs(struct rpc_env *e, struct fs_inode *i, u64 first, u64 count,
	     struct rpc_bytes *out);

/* --- copy.c --------------------------------------------------------------------------------------- */

/* A copy is opened, and is no longer new; its inode goes. */
void fs_copy_opened_slow(struct ck *ck, struct fs_inode *i);
void fs_copy_gone(struct ck *ck, struct fs_inode *i);
static inline void fs_copy_opened(struct ck *ck, struct fs_inode *i)
{
	if (unlikely(i->flags & FS_I_COPY))
		fs_copy_opened_slow(ck, i);
}
/* Copies that nobody came to open are freed. True while there are more. */
bool fs_copies_trim(struct ctx *c, struct ck *ck);

/* --- open.c --------------------------------------------------------------------------------------- */

/* OPEN of an inode at this server. cr NULL: no permission check. */
long fs_open_inode(struct rpc_env *e, struct fs_inode *i, u32 flags,
		   const struct cred *cr, struct attr *attr, struct rpc_bytes *runs);
/* Nobody may write a file while it runs as a program, nor run it while it is open for writing, as
 * Linux has it. A word of a line that OPEN reads anyway. 0 or -ETXTBSY. */
static inline long fs_may_write(const struct fs_inode *i)
{
	return unlikely(fs_is_reg(i) && i->runs) ? -ETXTBSY : 0;
}
struct fs_ofd *fs_ofd_find(const struct fs_inode *i, u64 id);
/* Drops a far core's opens, all of them. */
void fs_far_drop(struct rpc_env *e, struct fs_inode *i, u32 core);

/* --- pipe.c --------------------------------------------------------------------------------------- */

struct fs_pipe *fs_pipe_of(struct rpc_env *e,
			   struct fs_inode *i); /* makes it; NULL: full */
void fs_pipe_ends(struct rpc_env *e, struct fs_inode *i, u32 flags, s32 delta);
void fs_pipe_lost(struct rpc_env *e, struct fs_inode *i, u32 readers, u32 writers);
void fs_pipe_release(struct rpc_env *e, struct fs_inode *i);
/* Others may read from it again (LOCK_APPEND). */
void fs_pipe_free_again(struct rpc_env *e, struct fs_pipe *p);
long fs_pipe_read(struct rpc_env *e, struct fs_inode *i, const struct req_READ *q,
		  struct rep_READ *p);
long fs_pipe_write(struct rpc_env *e, struct fs_inode *i, const struct req_WRITE *q,
		   struct rep_WRITE *p);
/* Between read and written, with FS_P_PACKETS rounded to pages; and what may be written. */
static inline u32 fs_pipe_used(const struct fs_pipe *p)
{
	return (u32)(p->tail - p->head);
}
static inline u32 fs_pipe_room(const struct fs_pipe *p)
{
	return p->pages * PAGE_SIZE - fs_pipe_used(p);
}
/* Which of its pages a position is on. */
static inline u32 fs_pipe_page(const struct fs_pipe *p, u64 pos)
{
	return (u32)(pos / PAGE_SIZE) & (p->pages - 1);
}
/* The block under a position; 0: none left. flags: FS_BLK_*. */
blk_t fs_pipe_block_new(struct rpc_env *e, struct fs_pipe *p, u64 pos, u32 flags);
static inline blk_t fs_pipe_block(struct rpc_env *e, struct fs_pipe *p, u64 pos,
				  u32 flags)
{
	blk_t blk = p->slot[fs_pipe_page(p, pos)];

	return likely(blk) ? blk : fs_pipe_block_new(e, p, pos, flags);
}

/* The same positions, but at least `len` of them are before the first byte. */
void fs_pipe_turn(struct ck *ck, struct fs_pipe *p, u32 len);

/* --- packet.c ------------------------------------------------------------------------------------- */

/* Does a write make packets, or go behind some that are there? */
bool fs_packets(struct rpc_env *e, const struct fs_inode *i, const struct req_WRITE *q);
/* Then it is this that puts it in: how many bytes; -EAGAIN: there is no room, nothing was changed;
 * -HARE_ESTEAL, -ENOMEM. */
long fs_packet_put(struct rpc_env *e, const struct fs_inode *i,
		   const struct req_WRITE *q);
/* READ of a pipe that has FS_P_PACKETS, and is not empty. */
void fs_packet_get(struct rpc_env *e, struct fs_pipe *p, const struct req_READ *q,
		   struct rep_READ *rep);
/* IO_BACK into such a pipe: as fs_packet_put. */
long fs_packet_back(struct rpc_env *e, struct fs_pipe *p, const struct req_WRITE *q);
u32 fs_packet_bytes(const struct fs_pipe *p); /* all that is in it */
/* The pages of such a pipe, in new arrays. -EBUSY, -ENOMEM. */
long fs_packet_resize(struct rpc_env *e, struct fs_pipe *p, u32 pages);

/* --- wait.c --------------------------------------------------------------------------------------- */

/* Registers the asking thread (seq 0: does not), commits, and is -EAGAIN; -ENOMEM when full.
 * Nothing else may have been changed in the transaction. */
long fs_wait(struct rpc_env *e, struct list *head, u32 seq, u32 events);
/* Wakes, and forgets, the waiters for any of `events`. */
void fs_wake_all(struct rpc_env *e, struct list *head, u32 events);
void fs_wait_free(struct ck *ck, struct list *head);
#define FS_WAIT_ANY 0x3fffffffu

/* --- async.c -------------------------------------------------------------------------------------- */

/* A waiter of this core is whom a description's signals go to. It is told, not forgotten, of these
 * events: there may be something to read, or room to write. */
#define FS_ASYNC    0xffffffffu
#define FS_TELL_IN  0x40000000u
#define FS_TELL_OUT 0x80000000u
void fs_async_tell(struct rpc_env *e, struct fs_waiter *w, u32 events);
/* A description has O_ASYNC no more; with its locks: its key is another one, it is closed. */
void fs_async_off(struct rpc_env *e, struct fs_inode *i, u64 key);
void fs_async_pass(struct rpc_env *e, struct fs_inode *i, u64 from, u64 to);
void fs_async_gone(struct rpc_env *e, struct fs_inode *i, u64 key);
/* A far core is lost, with what it had open of a pipe. */
void fs_async_lost(struct rpc_env *e, struct fs_inode *i, u32 core);

/* --- lock.c, xattr.c, rmdir.c ----------------------------------------------------------------------- */

void fs_locks_release(struct rpc_env *e, struct fs_more *m);
/* The flock and OFD locks of a description: another owner's now; given back.
 * -ENOSPC: too many. */
long fs_locks_pass(struct rpc_env *e, struct fs_more *m, u64 from, u64 to);
/* Frees some locks of inodes that are gone. True while there are more. */
bool fs_locks_trim(struct ck *ck);
void fs_locks_ofd_gone(struct rpc_env *e, struct fs_more *m, u64 owner);
/* The owner of LOCK_APPEND is the thread that calls. */
static inline bool fs_is_callers(const struct rpc_env *e, u64 owner)
{
	return OWNER_SLOT(owner) == e->slot && OWNER_PROC(owner) >> 32 == e->core;
}
void fs_locks_owner_died(struct rpc_env *e, u64 owner);
void fs_xattrs_free(struct ck *ck, struct fs_more *m);
/* Frees some attributes of inodes that are gone. True while there are more. */
bool fs_xattrs_trim(struct ck *ck);
void fs_marks_owner_died(struct rpc_env *e, u64 owner);
/* The marks of a part that goes, or of a dead owner: removed, waiters woken. */
void fs_part_unmark(struct rpc_env *e, struct fs_part *p, bool serial);
/* A directory of this server loses its last link. */
void fs_dir_gone(struct rpc_env *e, struct fs_inode *i, u64 now);

/* --- notify.c ------------------------------------------------------------------------------------- */

long fs_notify_read(struct rpc_env *e, struct fs_pipe *p, const struct req_READ *q,
		    struct rep_READ *rep);
void fs_notify_release(struct ck *ck, struct fs_notify *n);
bool fs_notify_trim(struct ctx *c, struct ck *ck);
u32 fs_notify_cookie(struct rpc_env *e); /* joins the two halves of a rename */
void fs_notify_name_slow(struct rpc_env *e, u64 dir, const char *name, u32 len, u32 type,
			 u32 mask, u32 cookie);
void fs_notify_self_slow(struct rpc_env *e, u64 ino, u32 mask);
void fs_notify_gone_slow(struct rpc_env *e, u64 ino, bool home);
/* A shared description of an inode of this server is closed. */
void fs_notify_closed(struct rpc_env *e, const struct fs_inode *i,
		      const struct fs_ofd *o);
/* Does anybody watch anything of this server? */
static inline bool fs_watching(const struct rpc_env *e)
{
	return unlikely(fs_of(e->ck)->watch_bits != 0);
}
/* mask (IN_CREATE...) of a name in a directory, of which this server has that part. */
static inline void fs_notify_name(struct rpc_env *e, u64 dir, const char *name, u32 len,
				  u32 type, u32 mask, u32 cookie)
{
	if (fs_watching(e))
		fs_notify_name_slow(e, dir, name, len, type, mask, cookie);
}
/* mask of an inode of this server. */
static inline void fs_notify_self(struct rpc_env *e, u64 ino, u32 mask)
{
	if (fs_watching(e))
		fs_notify_self_slow(e, ino, mask);
}
/* An inode, or (not home) a part of a directory, goes, and with it its watches. */
static inline void fs_notify_gone(struct rpc_env *e, u64 ino, bool home)
{
	if (fs_watching(e))
		fs_notify_gone_slow(e, ino, home);
}

/* create.c: a name that is renamed away leads to a new device 0/0, of cr. -ENOSPC. */
long fs_whiteout(struct rpc_env *e, struct fs_dir *d, struct fs_entry *n,
		 const struct cred *cr);
/* create.c: one link less of a file of another server. -ENOSPC. */
long fs_link_drop_far(struct rpc_env *e, u64 ino);
/* A pending name, which only the rename that added it may take away: others get -EAGAIN, and ask again. */
static inline long fs_entry_busy(const struct fs_entry *n, u32 *busy)
{
	if (likely(!n->pending))
		return 0;
	*busy = BUSY_PENDING;
	return -EAGAIN;
}

#endif
