/* SPDX-License-Identifier: MIT */
/*
 * Client state in core-kernel memory, and the client's internal interface (not for other
 * folders; they include client.h).
 *
 * Descriptor: the program's number, an index into struct fdtable. Open description: struct ofd,
 * shared by the descriptors that dup and fork made on this core. Descriptions are LOCAL (offset
 * here) until a process on another core gets one by exec; then SHARED: the offset and flags
 * move to the inode's server (thesis 3.5.1) and `shared` is its id there.
 * Vnode: what this core knows about an open file of a far server: size, blocks, whether its own
 * cache holds unwritten data. Files of near servers have no vnode: a local call is as cheap.
 */
#ifndef HARE_CLIENT_STATE_H
#define HARE_CLIENT_STATE_H

#include "client/client.h"
#include "proto/proc.h"
#include "proto/rpc.h"

enum fd_kind { FD_NONE, FD_HOST, FD_HARE, FD_HIDDEN };

struct fdent {
	struct ofd *ofd; /* FD_HARE */
	u8 kind;         /* enum fd_kind */
	u8 cloexec;
	u16 pad;
	u32 pad2;
};

/* One per process, or shared by processes cloned with CLONE_FILES. */
struct fdtable {
	u32 refs;
	u32 cap;          /* entries; grows by doubling up to the limit on open files */
	u32 lowest;       /* no free number below it */
	u32 pad;
	struct fdent *ent; /* ck_alloc */
};

enum ofd_kind { OFD_FILE, OFD_DIR, OFD_PIPE, OFD_FIFO, OFD_PATH, OFD_RELAY, OFD_EPOLL_SHADOW };

struct ofd {
	u32 refs;      /* descriptors and calls in progress */
	u32 kind;      /* enum ofd_kind */
	u32 flags;     /* O_ACCMODE, O_APPEND, O_NONBLOCK, O_PATH, ... */
	u32 dflags;    /* directories */
	u64 ino;
	u64 off;       /* LOCAL: file offset; directories: cookie */
	u64 shared;    /* SHARED: id at the inode's server; 0 is LOCAL */
	struct vnode *vnode; /* far files; NULL for near ones */
	u64 dir_state; /* directories: server being read, for distributed ones */
	u32 relay_pid, relay_core, relay_fd; /* OFD_RELAY: a host descriptor of a proxy */
	u32 lock_owner;
	u32 mode;      /* type and permissions at open */
	u32 pad;
};

struct vnode {
	struct list hash;
	u64 ino;
	u32 refs;
	u32 flags;   /* VNODE_* */
	u64 size;    /* as last known; own writes included */
	u64 version; /* of the data that this island's cache holds */
	u64 dirty_from, dirty_to; /* blocks written and not yet written back */
	struct radix map; /* block index -> DRAM block, as far as known */
};

/* The lookup cache of one core (thesis 3.7.1). Entries of far servers only. */
struct dentry {
	struct list hash, lru;
	u64 dir, ino; /* ino 0: known not to be there */
	u32 type, dflags;
	u32 len;
	char name[]; /* len bytes */
};
struct dir_perm { /* mode and owner of a far directory, for search permission */
	struct list hash;
	u64 dir;
	u32 mode, uid, gid, pad;
};

#define CACHE_BUCKETS 4096
#define VNODE_BUCKETS 1024
struct client_root {
	struct list *dentries;  /* CACHE_BUCKETS heads */
	struct list *perms;     /* CACHE_BUCKETS heads */
	struct list *vnodes;    /* VNODE_BUCKETS heads */
	struct list lru;
	u64 cached, cache_max;
	u64 inval_count; /* grows with every invalidation: a lookup in flight is not cached if it grew */
};
static inline struct client_root *client_root(struct ck *ck)
{
	return ck->root[CK_ROOT_CLIENT];
}

/* --- path walk: walk.c -------------------------------------------------------------------- */

/* Where a path leads. host: not in Hare; host_path holds what to give to the host's call. */
struct place {
	bool host;
	u64 dir;         /* directory that holds (or would hold) the last name; 0: it is the root */
	u32 dir_dflags;
	u32 type;        /* HS_IF* of ino, 0 when the name is not there */
	u64 ino;         /* 0: not there */
	u32 dflags;
	u32 name_len;
	bool must_dir;   /* the path ended in a slash (or /. ) */
	bool last_dot;   /* the last component was "." (rmdir: EINVAL, rename: EBUSY) */
	bool last_dotdot;
	bool has_attr;   /* attr is valid: it came with the lookup */
	struct attr attr;
	char name[NAME_LEN_MAX + 1];
};
#define WALK_FOLLOW 1u  /* follow a symlink at the end */
#define WALK_PARENT 2u  /* the last name need not exist (create, rename target): no -ENOENT */
#define WALK_ATTR 4u    /* attr is wanted if it costs no more */
#define WALK_EMPTY 8u   /* an empty path means dirfd itself (AT_EMPTY_PATH) */

/* Resolves path (already in task memory) relative to dirfd. 0 also when place->host; then
 * host_path is in `host_buf` (PATH_LEN_MAX) when it differs from what the program gave, and
 * *rewritten says so. Errors: ENOENT ENOTDIR EACCES ELOOP ENAMETOOLONG EBADF. A directory fd of the
 * host with a relative path is host. */
long walk(struct task *t, int dirfd, const char *path, u32 flags, struct place *out,
	  char *host_buf, bool *rewritten);
/* One lookup through the cache. */
long walk_lookup(struct task *t, u64 dir, u32 dflags, const char *name, size_t len, struct place *out);
/* The path of a directory from Hare's root, with the --at prefix; length without NUL; -ENOENT
 * when removed, -ERANGE when size is too small. */
long walk_path_of(struct task *t, u64 dir, char *buf, size_t size);
/* Search, read or write permission by mode and owner; 0 or -EACCES. */
long perm_check(const struct cred *cred, u32 mode, u32 uid, u32 gid, u32 want);

/* --- descriptors: fdtable.c ------------------------------------------------------------------ */

/* A description by number; takes a reference so that close in another thread does no harm.
 * NULL and *host = true for a host descriptor; NULL and false: EBADF. */
struct ofd *fd_get(struct task *t, int fd, bool *host);
void ofd_put(struct task *t, struct ofd *o); /* closes at the server when the last one goes */
struct ofd *ofd_new(struct task *t, u32 kind, u64 ino, u32 flags); /* refs 1; NULL: ENFILE */
/* Gives the lowest free number >= min, over both kinds, to the description (its reference
 * moves). -EMFILE (the reference is dropped). */
long fd_install(struct task *t, struct ofd *o, bool cloexec, int min);
/* A descriptor that a host call just made: enters it, moving it to the lowest free number of
 * both kinds when the host's choice differs. Returns the number. */
long fd_adopt(struct task *t, long host_fd, bool cloexec, int min);
bool fd_is_host(struct task *t, int fd); /* cheap test, lock-free */
void fdtable_exec_close(struct task *t, struct proc *p); /* close-on-exec of Hare's and the table's */
long fdtable_copy(struct task *t, struct fdtable *from, struct fdtable **to);
void fdtable_put(struct task *t, struct fdtable *ft); /* closes all at the last reference */
/* Makes a description SHARED (idempotent), for passing it to another core; -errno. */
long ofd_share(struct task *t, struct ofd *o, u32 add_refs);

/* --- file data: file.c ------------------------------------------------------------------------ */

/* Reads or writes at *off (moved), user memory; count or -errno. flags: IO_APPEND. Near
 * servers: local calls through the bounce buffer; far ones: blocks directly. */
long file_read(struct task *t, struct ofd *o, char *user, size_t len, u64 *off);
long file_write(struct task *t, struct ofd *o, const char *user, size_t len, u64 *off, u32 flags);
void file_opened(struct task *t, struct ofd *o, const struct attr *a, const struct rpc_bytes *runs);
long file_sync(struct task *t, struct ofd *o); /* write back (fsync, close) */

/* --- waiting: wait.c ---------------------------------------------------------------------------- */
struct intent_node {
	struct list link;
	struct intent it;
};

static inline u64 task_owner(const struct task *t)
{
	return ((u64)t->ctx.core << 32) | t->proc->host_pid;
}

#endif
