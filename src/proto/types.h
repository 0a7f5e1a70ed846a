/* SPDX-License-Identifier: MIT */
/*
 * Values that travel in RPCs, and constants that both ends share. Included by rpc.h.
 */
#ifndef HARE_PROTO_TYPES_H
#define HARE_PROTO_TYPES_H

#include "base/types.h"

/* Inode number: the server that owns it and a number that this server never reuses. It is what
 * programs see as st_ino. 0 is no inode. The root directory is number 1 of server 0. */
#define INO_SERVER_SHIFT 40
#define INO_ROOT	 1ULL
static inline u32 ino_server(u64 ino)
{
	return (u32)(ino >> INO_SERVER_SHIFT);
}

/* File types and modes are Linux's (S_IFMT, ...), freestanding copies of <sys/stat.h>. */
#define HS_IFMT	  0170000u
#define HS_IFSOCK 0140000u
#define HS_IFLNK  0120000u
#define HS_IFREG  0100000u
#define HS_IFBLK  0060000u
#define HS_IFDIR  0040000u
#define HS_IFCHR  0020000u
#define HS_IFIFO  0010000u
#define HS_ISUID  04000u
#define HS_ISGID  02000u
#define HS_ISVTX  01000u

/* Permission bits as access(2) has them. */
#define MAY_EXEC  1u
#define MAY_WRITE 2u
#define MAY_READ  4u

/* Whose rights an operation uses: the program's fsuid, fsgid and supplementary groups (the
 * first 32). uid 0 has every right that CAP_DAC_OVERRIDE, CAP_FOWNER and CAP_CHOWN give. */
#define CRED_GROUPS_MAX 32
struct cred {
	u32 uid, gid;
	u32 ngroups; /* <= CRED_GROUPS_MAX */
	u32 groups[CRED_GROUPS_MAX];
};

/* An inode's attributes. Times in nanoseconds since the epoch. */
struct attr {
	u64 ino;
	u32 mode; /* type and permissions */
	u32 nlink;
	u32 uid, gid;
	u64 size; /* bytes; of a directory: its entries here */
	u64 blocks; /* of 4096 bytes, allocated */
	u64 rdev; /* as the kernel's new_encode_dev: minor | major << 8 ... in st_rdev's format */
	u64 atime, mtime, ctime, btime;
	u64 version; /* grows with every change of the data by any island */
	u32 dflags; /* directories: DIR_* */
	u32 pad;
	u64 mapped; /* TRUNC and O_TRUNC: cores that may have it mapped, a bit each; else 0 */
};

#define DIR_DISTRIBUTED 1u /* entries are spread over all servers by hash */

/* A stretch of a file whose blocks are contiguous in DRAM. */
struct run {
	u64 index; /* first block of the stretch in the file, in blocks */
	u32 blk; /* its DRAM block; 0 is a hole */
	u32 count; /* blocks; beyond the end they are zero in DRAM */
};
#define RUNS_MAX 64

/* Blocks that pass from server to server: [blk, blk + count). */
struct extent {
	u32 blk, count;
};
#define EXTENTS_MAX 512
/* A changed piece of a file, in PATCH; its bytes follow. */
struct piece_head {
	u64 off;
	u32 len, pad;
};
/* Instead of ENOSPC, when the request says *_STEAL: this server's blocks are used up, but others may
 * have some. The caller asks them (STEAL), and then again; never seen by programs. */
#define HARE_ESTEAL 54 /* EXFULL, which Linux gives for nothing that Hare does */

/* CREATE flags */
#define CREATE_EXCL	   1u /* -EEXIST when the name is taken */
#define CREATE_OPEN	   2u /* also open it, with open_flags */
#define CREATE_DISTRIBUTED 4u /* a directory whose entries are spread */
#define CREATE_SPREAD                                                                    \
	8u /* -ENOSPC when not much memory is left for inodes: another server may have more */
#define CREATE_TMPFILE                                                                   \
	16u /* with CREATE_OPEN, dir = 0, of a file: no link, but LINK may give it a name unless CREATE_EXCL */
/* ADD_MAP flags */
#define MAP_REPLACE                                                                      \
	1u /* rename: replaces an entry that is there (checks types, see rpc.def) */
#define MAP_EXCHANGE 2u /* replaces whatever is there, if it is `expect` */
#define MAP_MOVED    4u /* half of a rename: inotify hears of it by NOTE */
#define MAP_PENDING  8u /* the name is not to be relied on before CONFIRM: others wait */
#define MAP_UNDO     16u /* with MAP_EXCHANGE: takes a pending name back */
#define MAP_CONFIRM  32u /* CONFIRM of the name `confirm` in the same transaction */
/* RM_MAP flags */
#define RM_FILE	  1u /* -EISDIR for a directory */
#define RM_DIR	  2u /* -ENOTDIR for anything else */
#define RM_UNLINK 4u /* also drop the link (coalescing), see rpc.def */
#define RM_MOVED                                                                         \
	8u /* second half of a rename: no permission check, entry must be `ino` */
#define RM_UNDO	   16u /* takes a pending name back */
#define RM_CONFIRM 32u /* as MAP_CONFIRM */
#define RM_WHITEOUT                                                                      \
	64u /* the name stays, and leads to a new device 0/0, of cred: RENAME_WHITEOUT */
/* rep.busy with -EAGAIN: registered for an EVENT; the name is pending, ask again soon; or it leads to
 * another directory than the one that was checked */
#define BUSY_REMOVED 1u
#define BUSY_PENDING 2u
#define BUSY_OTHER   3u
/* RENAME flags are Linux's: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2, RENAME_WHITEOUT 4 */
/* READ, WRITE flags */
#define IO_APPEND  1u /* at the end, atomically; req.off is ignored, rep.off says where */
#define IO_WAIT	   2u /* on -EAGAIN register (from core, slot, wait_seq) for an EVENT */
#define IO_SHARED  4u /* offset is the shared description's (req.ofd) and moves */
#define IO_NOATIME 8u /* READ does not set atime (O_NOATIME) */
#define IO_PEEK                                                                          \
	16u /* READ of a pipe, from byte `off` of what is in it: nothing is taken */
#define IO_STEAL                                                                         \
	32u /* WRITE: -HARE_ESTEAL when there are too few blocks here to write it all */
#define IO_NOAPPEND 64u /* WRITE: where the offset is, also with O_APPEND */
#define IO_ANYWAY   128u /* WRITE: also while another has LOCK_APPEND, else -EAGAIN */
#define IO_PACKET                                                                        \
	256u /* WRITE to a pipe: packets (O_DIRECT), unless a shared description says else */
#define IO_SPLICE                                                                        \
	512u /* pipes: no time moves; READ: what is left of a packet stays; WRITE: IO_PACKET alone decides */
#define IO_BACK                                                                          \
	1024u /* WRITE to a pipe: what was read goes back to its front; with IO_PACKET: a packet */
/* BLOCKS flags */
#define BLOCKS_ALLOC 1u
#define BLOCKS_STEAL 2u /* as IO_STEAL */
/* OPEN flags: the program's O_ flags, and: */
#define OPEN_PIN                                                                         \
	0x10000000u /* for a mapping: blocks stay allocated; no permission check */
#define OPEN_NOCHECK                                                                     \
	0x20000000u /* reopening what was open already (exec, descriptor passing) */
#define OPEN_EXEC                                                                        \
	0x40000000u /* of a program, for as long as it runs: execute permission; see ETXTBSY */
/* FLUSH flags */
#define FLUSH_WROTE                                                                      \
	1u /* bytes up to `end` were written directly; mtime and ctime are set */
#define FLUSH_INSIDE 4u /* with WROTE: [off, end) lay inside the file: it does not grow */
/* UTIMENS flags */
#define UTIMENS_ATIME	  1u /* set atime to the value given */
#define UTIMENS_MTIME	  2u
#define UTIMENS_ATIME_NOW 4u
#define UTIMENS_MTIME_NOW 8u
#define UTIMENS_OWNER	  16u /* explicit times: owner only; else write permission suffices */
#define RW_HINT_MAX	  5u /* HINT: RWH_WRITE_LIFE_EXTREME */
/* RMDIR phases (thesis 3.4.1); RMDIR_ALL: all in one at a server that holds everything */
enum { RMDIR_ALL, RMDIR_SERIALIZE, RMDIR_MARK, RMDIR_COMMIT, RMDIR_ABORT };
/* SHARD operations on a distributed directory's part at one server */
enum { SHARD_NEW, SHARD_ATTR, SHARD_STAT, SHARD_DROP };
/* INVALIDATE kinds */
enum { INVAL_ENTRY, INVAL_DIR, INVAL_ALL };
/* CUT operations */
enum { CUT_MARK, CUT_ASK };
/* COPY_DATA operations and flags */
enum {
	COPY_VERSION,
	COPY_WANT,
	COPY_FILL,
	COPY_PUT,
	COPY_OLD,
	COPY_DIFF,
	COPY_CLEAN,
	COPY_CUT
};
#define COPY_TWIN   1u /* pages that may be stored in: what is in the file is remembered */
#define COPY_HAVE   2u /* only pages that are there */
#define COPY_STEAL  4u /* as IO_STEAL */
#define COPY_IO_MAX 16384u
/* FDS operations */
enum { FDS_LIST, FDS_ONE, FDS_CWD, FDS_EXE, FDS_LIST_ALL, FDS_WHICH };
/* LOCK operations */
enum { LOCK_FLOCK, LOCK_POSIX, LOCK_OFD, LOCK_APPEND };
/* LOCK_APPEND: nobody else writes at the end, or at a shared offset, between two writes of one
 * thread. Of a pipe: nobody else reads between two reads. */
/* The owner of what a thread holds over several requests (RMDIR, RENAME_LOCK, LOCK_APPEND), so that
 * none takes what another one of its process has: core << 32 | host pid, and its reply slot. */
#define OWNER_OF(proc, slot) ((proc) | (u64)(slot) << 40)
#define OWNER_PROC(owner)    ((owner) & ((1ULL << 40) - 1))
#define OWNER_SLOT(owner)    ((u32)((owner) >> 40))

/* The owner of flock and OFD locks of a shared description: this and its id. */
#define LOCK_OWNER_SHARED (3ULL << 62)
enum { LOCK_GET, LOCK_SET, LOCK_RELEASE_OWNER };
/* ASYNC operations; kinds, as F_OWNER_* */
enum { ASYNC_GET, ASYNC_OWNER, ASYNC_SIG, ASYNC_ON, ASYNC_OFF };
enum { ASYNC_TID, ASYNC_PID, ASYNC_PGRP };
#define SIGNAL_MAX 64u
/* WD operations; its inode for a watch of the host's: this, the core whose agent watches, and the host's
 * own number. */
enum { WD_ADD, WD_REMOVE, WD_DROP };
#define WD_HOST		  (0xffffULL << INO_SERVER_SHIFT)
#define WD_HOST_CORE(ino) ((u32)((ino) >> 32) & 0xff)
/* HOST_WATCH operations */
enum { HOST_WATCH_ADD, HOST_WATCH_REMOVE, HOST_WATCH_RESULT };
/* ASK operations */
enum { ASK_FILE, ASK_CALL, ASK_RESULT };
/* events for POLL, as poll(2)'s bits */
#define HP_IN	 0x1u
#define HP_PRI	 0x2u
#define HP_OUT	 0x4u
#define HP_ERR	 0x8u
#define HP_HUP	 0x10u
#define HP_RDHUP 0x2000u

#endif
