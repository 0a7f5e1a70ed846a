/* SPDX-License-Identifier: MIT */
/*
 * The file server of one core: the handlers of every `fs` row of proto/rpc.def, declared by
 * proto/rpc.h, and what the agent and the hare command need besides. (Thesis sections 3.3-3.7.)
 *
 * All state stands in the core kernel's memory (root CK_ROOT_FS). Every function here wants the
 * core lock held and leaves its changes to the caller's transaction.
 */
#ifndef HARE_FILESERVER_FILESERVER_H
#define HARE_FILESERVER_FILESERVER_H

#include "mem/mem.h"

/* Boot: makes the file server's structures in an initialised core kernel, once; on server 0 the
 * root directory too (mode 01777, owner super->uid and gid). root_dflags: 0 or DIR_DISTRIBUTED,
 * the same on all servers. -ENOSPC when the core kernel is too small. */
long fs_init(struct ctx *c, struct ck *ck, u32 root_dflags);

/* A core's kernel is gone, with all its processes: drops what it had open. */
void fs_core_died(struct ctx *c, struct ck *ck, u32 core);
/* A process died (owner: core << 32 | host pid, as POSIX LOCK got it, and RMDIR and RENAME_LOCK with a thread):
 * aborts its RMDIR marks, gives back its rename lock and its POSIX locks, wakes who waits. An
 * agent that finishes the process's intents does so before. Also after exits: cheap then. */
void fs_owner_died(struct ctx *c, struct ck *ck, u64 owner);

/* Frees some of the blocks of large files that were removed; call it in idle moments, with a
 * commit after each. True while more is to do. What is left is freed when blocks run out. */
bool fs_trim(struct ctx *c, struct ck *ck);

struct fs_stats {
	u64 inodes, entries,
		negative; /* negative: names known not to be there, for callbacks */
	u64 blocks, blocks_free; /* free: also what fs_trim will free */
	u64 heap, heap_used; /* bytes of the core kernel's memory */
};
void fs_stats(struct ck *ck, struct fs_stats *s);

/* --- hare fsck ------------------------------------------------------------------------------ */

/* Checks every invariant inside one core kernel; bad(arg, text) per violation, no change.
 * Number of violations. */
u32 fs_check(struct ctx *c, struct ck *ck, void (*bad)(void *arg, const char *text),
	     void *arg);

/* Whose blocks are: each one is of one server, or on its way from one to another. The locks of all
 * servers are held. */
u32 fs_check_owners(struct ck *const *ck, u32 servers,
		    void (*bad)(void *arg, const char *text), void *arg);

/* What servers say of each other's state: an inode, an entry, a part of a directory. */
enum fs_fact_kind { FS_FACT_INODE, FS_FACT_ENTRY, FS_FACT_PART };
struct fs_fact {
	u64 ino; /* INODE: it; ENTRY: what it leads to; PART: the directory */
	u64 dir; /* ENTRY: its directory; INODE of a directory: its parent */
	u32 kind; /* enum fs_fact_kind */
	u32 type; /* HS_IF* */
	u32 nlink; /* INODE: stored links (1 for a directory that is there) */
	u32 opens; /* INODE */
	u32 srv;
	u32 dflags; /* ENTRY of a directory, PART, INODE of a directory */
	u32 mode, uid, gid; /* PART, INODE of a directory */
	u32 walk; /* of fs_check_between; 0 before */
};
/* Calls fn for every fact of one core kernel. */
void fs_facts(struct ck *ck, void (*fn)(void *arg, const struct fs_fact *f), void *arg);
/* Checks the facts of all servers together (sorts them in place): every entry's inode is there
 * and has its type; links are as many as entries; directories have one entry and a way to the root,
 * parts have homes.
 * True of a quiescent system only: an operation of several messages looks broken inside. */
u32 fs_check_between(struct fs_fact *facts, size_t count, u32 servers,
		     void (*bad)(void *arg, const char *text), void *arg);

#endif
