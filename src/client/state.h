/* SPDX-License-Identifier: MIT */
/*
 * Client state in core-kernel memory, and the client's internal interface (not for other
 * folders; they include client.h).
 *
 * Descriptor: the program's number, an index into struct fdtable. Open description: struct ofd,
 * shared by the descriptors that dup and fork made on this core. Descriptions are LOCAL (offset
 * here) until a process on another core gets one by exec; then SHARED: the offset and flags
 * move to the inode's server (thesis 3.5.1) and `shared` is its id there. When one core alone
 * has it they come back; the server goes on counting it under the id, which then is `kept`.
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
	struct ofd
		*ofd; /* FD_HARE; FD_HOST: Hare's members of an epoll instance, or NULL */
	union {
		struct {
			u8 kind; /* enum fd_kind */
			u8 cloexec;
			u8 proc_dir; /* FD_HOST: perhaps /proc, see procfs.c */
			u8 pad;
		};
		u32 what; /* the four of them, changed by one store */
	};
	u32 far_pid; /* proc_dir: the descriptors of this process of another kernel, see procfd.c */
};

/* One per process, or shared by processes cloned with CLONE_FILES. */
struct fdtable {
	u32 refs;
	u32 cap; /* entries; grows by doubling up to the limit on open files */
	u32 lowest; /* no free number below it */
	u32 hidden; /* the first of the HIDDEN_FDS numbers that are not the program's */
	u32 pad;
	u32 limit; /* RLIMIT_NOFILE, at most FD_MAX */
	struct fdent *ent; /* in a struct fdents; read without the lock, see fdtable.c */
	u64 fsize; /* RLIMIT_FSIZE, bytes */
	u32 held; /* descriptions that its threads have in client_root.holds */
	u64 posix_locks; /* servers where its process has set some, a bit each: each close has to release */
	u32 map_busy; /* futex: tid of the thread that changes mappings of Hare's files */
	u32 pad2;
	struct list maps; /* struct mapping: files of Hare that the process has mapped */
};
#define FD_MAX                                                                           \
	65535u /* entries of a table; numbers from there on can be the host's alone */

enum ofd_kind {
	OFD_FILE,
	OFD_DIR,
	OFD_PIPE,
	OFD_FIFO,
	OFD_PATH,
	OFD_RELAY,
	OFD_EPOLL_SHADOW,
	OFD_EXE /* a program's OPEN_EXEC that came with it: proc.exe_ofd */
};

struct ofd {
	u32 refs; /* descriptors and calls in progress */
	u32 kind; /* enum ofd_kind */
	u32 flags; /* O_ACCMODE, O_APPEND, O_NONBLOCK, O_PATH, ... */
	u32 dflags; /* directories */
	u64 ino;
	u64 off; /* LOCAL: file offset; directories: cookie */
	u64 shared; /* SHARED: id at the inode's server; 0 is LOCAL */
	u64 kept; /* LOCAL again: its id at the server; 0: it never was SHARED */
	struct vnode *vnode; /* far files; NULL for near ones */
	struct ofd *copy; /* a pin's: of the copy that it is shown as, or NULL */
	u64 dir_state; /* directories: server being read, for distributed ones */
	u32 relay_pid, relay_core,
		relay_fd; /* OFD_RELAY: a host descriptor of a proxy. OFD_EXE:
					      * relay_core is whose its OPEN is */
	u32 lock_owner;
	u32 mode; /* type and permissions at open */
	u32 flights; /* on their way through sockets: it stays SHARED */
	u64 parent; /* the directory that it was opened in, for /proc/self/fd; 0: unknown */
	u32 parent_dflags;
	u32 far; /* the inode's server is reached by messages */
	struct list link; /* client_root.closing, once refs is 0 */
	struct list watch; /* struct epoll_item: the epoll sets that it is in */
	u32 busy; /* futex: tid of the thread that moves `off`, for descriptions with sharers */
	u32 closer; /* thread that closes it */
	u32 close_sent; /* its CLOSE left by a local call on another core */
	u32 untold; /* no OPEN of it is counted: no CLOSE is owed */
	u32 last; /* SHARED: perhaps nobody else has it any more; a hint, outside the log */
	u32 owner; /* F_SETOWN's number and, with F_SETSIG's, owner_how: to be told again; of pipes the
		    * server knows it */
	u32 owner_how;
	u32 pad;
	u64 name_hash; /* of the name in `parent` that it was opened by, for inotify; 0: unknown */
};

struct vnode {
	struct list hash;
	u64 ino;
	u32 refs;
	u32 flags; /* VNODE_* */
	u64 size; /* as last known; own writes included */
	u64 version; /* of the data that this island's cache holds */
	u64 dirty_from, dirty_to; /* bytes written and not yet written back */
	struct radix map; /* block index -> DRAM block and VBLK_*, as far as known */
	struct list lru; /* client_root.vnode_lru, while refs is 0 */
	u64 mtime; /* of the last write that the server was not told of */
	u64 atime; /* VNODE_READ: of the read that it was not told of */
	u32 writes; /* counts writes inside the file */
	u32 busy; /* futex: tid of the thread that makes the file longer */
	u32 epoch; /* grows when entries of the map are forgotten */
	u32 pad;
	u64 forgot; /* client_root.forgets, when that was last */
};

/* Blocks of a far file that a thread is copying to, outside the log: what it leaves in this island's
 * cache when it is killed there is in no book. */
#define WRITE_BLOCKS 64
struct writing {
	u32 tid; /* 0: nothing is under way */
	u32 count; /* of blocks */
	struct vnode *v;
	u64 off, end; /* bytes of the file */
	u32 blk[WRITE_BLOCKS];
};

/* Descriptions that a thread uses in its running call, by its reply slot: if it is killed there,
 * the agent gives them back. */
#define HOLDS TASK_HOLDS
struct hold {
	struct fdtable *ft;
	struct ofd *ofd[HOLDS];
};

/* The lookup cache of one core (thesis 3.7.1). Entries of far servers only. An entry counts only
 * while its directory's dir_perm is there with the same epoch, and that only while its `all`
 * equals client_root.all_epoch: so forgetting a directory, or everything, is one store. */
struct dentry {
	struct list hash, lru;
	u64 dir, ino; /* ino 0: known not to be there */
	u64 epoch; /* of its dir_perm when it was entered */
	u32 type, dflags;
	u32 used; /* hit since it was last at the head of the lru list; outside the log */
	u32 len;
	char name[]; /* len bytes */
};
struct dir_perm { /* mode and owner of a far directory, for search permission */
	struct list hash, lru;
	u64 dir;
	u64 epoch, all;
	u32 mode, uid, gid;
	u32 used;
};

/* The last invalidations: one entry (hash_name of it), all of a directory (hash 0), or everything
 * (both 0). */
#define INVAL_RING 64
struct inval {
	u64 dir, hash;
};

#define CUT_RING      16
#define CUT_WAITERS   8
#define CACHE_BUCKETS 4096
#define VNODE_BUCKETS 1024
struct client_root {
	struct list *dentries; /* CACHE_BUCKETS heads */
	struct list *perms; /* CACHE_BUCKETS heads */
	struct list *vnodes; /* VNODE_BUCKETS heads */
	struct list lru;
	u64 cached, cache_max;
	/* creates that ask no server for less than all of its memory; who took the last inode that the
	 * own server had no room for */
	u32 full_hint, spread_hint;
	u64 inval_count; /* grows with every invalidation: a lookup in flight is not cached if it grew */
	struct list perm_lru;
	u64 perms_cached;
	u64 epoch; /* the last one given to a dir_perm */
	u64 all_epoch; /* grows with INVAL_ALL */
	struct inval inval_ring[INVAL_RING]; /* at inval_count % INVAL_RING */
	/* descriptors */
	struct hold *holds; /* MSG_SLOTS of them */
	struct list closing; /* descriptions without references: ofd.link */
	struct list vnode_lru; /* closed vnodes, oldest first */
	u64 vnodes_closed;
	u64 lock_owners; /* lock owners given out, see ofd.lock_owner */
	u64 cookies; /* of renames that inotify is told of by this core */
	struct list flights; /* descriptions on their way through sockets: pass.c */
	u32 flight_last, pad; /* the last number given */
	struct site *sites; /* sites.c */
	u64 sites_news; /* grows when there are more sites to patch */
	/* files that became shorter while they were mapped: cut.c */
	u64 cuts; /* how many; the last ones are in cut_ring, number n at n % CUT_RING */
	struct cut {
		u64 ino, size;
	} cut_ring[CUT_RING];
	struct {
		u32 core, slot, seq, pad;
	} cut_wait[CUT_WAITERS]; /* who waits until they are cut; seq 0: nobody */
	u32 copy_busy[16]; /* futex: who writes in a copied file: copy.c */
	/* far files that are written */
	u64 forgets; /* grows when entries of any vnode's map are forgotten */
	struct writing **writing; /* MSG_SLOTS, or NULL; each is made when it is needed */
	u32 writers, pad2; /* the first so many may be there */
};
long sites_init(struct ck *ck, struct client_root *r); /* -ENOSPC */
static inline struct client_root *client_root(struct ck *ck)
{
	return ck->root[CK_ROOT_CLIENT];
}

/* --- path walk: walk.c -------------------------------------------------------------------- */

/* Where a path leads. host: not in Hare; host_path holds what to give to the host's call. */
struct place {
	bool host;
	u64 dir; /* directory that holds (or would hold) the last name; 0: it is the root */
	u32 dir_dflags;
	u32 type; /* HS_IF* of ino, 0 when the name is not there */
	u64 ino; /* 0: not there */
	u32 dflags;
	u32 name_len;
	bool must_dir; /* the path ended in a slash (or /. ) */
	bool last_dot; /* the last component was "." (rmdir: EINVAL, rename: EBUSY) */
	bool last_dotdot;
	bool unlooked; /* WALK_PEEK, and it would have cost a message: ino is 0 */
	bool has_attr; /* res.attr is valid: it came with the lookup */
	bool magic; /* /proc/self/fd/N, /dev/fd/N of Hare's description number magic_fd: it, or
			  * with `host` the link, which the host does not have */
	s32 magic_fd;
	u32 magic_pid; /* it is that process's, as programs know it; 0: the caller's */
	struct rep_RESOLVE
		res; /* the server's answer to the last lookup, made in place */
	char name[NAME_LEN_MAX + 1];
};
#define WALK_FOLLOW 1u /* follow a symlink at the end */
#define WALK_PARENT                                                                      \
	2u /* the last name need not exist (create, rename target): no -ENOENT */
#define WALK_ATTR	 4u /* attr is wanted if it costs no more */
#define WALK_EMPTY	 8u /* an empty path means dirfd itself (AT_EMPTY_PATH) */
#define WALK_NOLAST	 16u /* with WALK_PARENT: the last name is not looked up at all */
#define WALK_NO_SYMLINKS 32u /* openat2's RESOLVE_*: -ELOOP at any symlink */
#define WALK_NO_MAGIC	 64u
#define WALK_BENEATH	 128u /* -EXDEV for what leaves dirfd's tree */
#define WALK_IN_ROOT	 256u /* dirfd is the root */
#define WALK_PEEK	 1024u /* with WALK_PARENT: the last name only if it costs no message */
#define WALK_NO_XDEV	 512u /* -EXDEV for what leads from Hare to the host */

/* Resolves path (already in task memory) relative to dirfd. 0 also when place->host; then
 * host_path is in `host_buf` (PATH_LEN_MAX) when it differs from what the program gave, and
 * *rewritten says so. Errors: ENOENT ENOTDIR EACCES ELOOP ENAMETOOLONG EBADF. A directory fd of the
 * host with a relative path is host. Symlinks are expanded in t->bounce: it is overwritten. */
long walk(struct task *t, int dirfd, const char *path, u32 flags, struct place *out,
	  char *host_buf, bool *rewritten);
/* One lookup through the cache. */
long walk_lookup(struct task *t, u64 dir, u32 dflags, const char *name, size_t len,
		 struct place *out);
/* The path of a directory from Hare's root, with the --at prefix, or from the process's own root
 * (chroot), with "(unreachable)" before the former if it is not below that; length without NUL;
 * -ENOENT when removed, -ERANGE when size is too small. */
long walk_path_of(struct task *t, u64 dir, char *buf, size_t size);
/* Search, read or write permission by mode and owner; 0 or -EACCES. */
long perm_check(const struct cred *cred, u32 mode, u32 uid, u32 gid, u32 want);

/* --- descriptors: fdtable.c ------------------------------------------------------------------ */

/* A description by number; takes a reference so that close in another thread does no harm.
 * NULL and *host = true for a host descriptor; NULL and false: EBADF. */
struct ofd *fd_get(struct task *t, int fd, bool *host);
/* The same of another process of this core; NULL: it has no such descriptor of Hare. */
struct ofd *fd_get_of(struct task *t, u32 host_pid, int fd);
void ofd_put(struct task *t,
	     struct ofd *o); /* closes at the server when the last one goes */
struct ofd *ofd_new(struct task *t, u32 kind, u64 ino,
		    u32 flags); /* refs 1; NULL: ENFILE */
/* The same in a transaction that gives it a number too, or takes it back; lock held. */
struct ofd *ofd_alloc(struct task *t, u32 kind, u64 ino, u32 flags);
/* Gives the lowest free number >= min, over both kinds, to the description (its reference
 * moves). -EMFILE (the reference is dropped). */
long fd_install(struct task *t, struct ofd *o, bool cloexec, int min);
/* A descriptor that a host call just made: enters it, moving it to the lowest free number of
 * both kinds when the host's choice differs. Returns the number. */
long fd_adopt(struct task *t, long host_fd, bool cloexec, int min);
long fd_enter_host(struct task *t,
		   int fd); /* number fd is to be FD_HOST (exec); -EMFILE */
bool fd_is_host(struct task *t, int fd); /* cheap test, lock-free */
void fdtable_exec_close(struct task *t,
			struct proc *p); /* close-on-exec of Hare's and the table's */
long fdtable_copy(struct task *t, struct fdtable *from, struct fdtable **to, bool maps);
/* Closes all at the last reference; *ft (in core-kernel memory) becomes NULL in the transaction
 * that frees the table. Who is killed inside has it called again by the agent. */
void fdtable_put(struct task *t, struct fdtable **ft);
/* A table, stored at *to (in core-kernel memory), without descriptors but the hidden ones
 * (FD_HIDDEN); with `host` those of the running process that are open on the host and not
 * close-on-exec are entered as FD_HOST. */
long fdtable_new(struct task *t, struct fdtable **to, bool host);
/* Exec elsewhere: where the table's process has set POSIX locks; 0: they are another one's from now on. */
void fdtable_pass_locks(struct task *t, struct fdtable *ft, u64 servers);
/* Makes a description SHARED (idempotent), for passing it to another core, with add_refs references
 * for there; -errno. `noted` (may be NULL) runs in the transaction that counts them, to note them
 * for the case that the process is killed. */
typedef void ofd_share_fn(struct task *t, struct ck *ck, struct ofd *o);
long ofd_share(struct task *t, struct ofd *o, u32 add_refs, ofd_share_fn *noted);
/* What TAKE and EXEC tell of a description; and a description as they tell (NULL: ENFILE),
 * with inode `ino`, which it owes a close: 0 when that is counted later. */
void ofd_image(const struct ofd *o, struct image_fd *d);
struct ofd *ofd_of_image(struct task *t, const struct image_fd *d, u64 ino);

/* --- file data: file.c ------------------------------------------------------------------------ */

/* Reads or writes at *off (moved), user memory; count or -errno. flags: IO_APPEND. Near
 * servers: local calls through the bounce buffer; far ones: blocks directly. */
long file_read(struct task *t, struct ofd *o, char *user, size_t len, u64 *off);
long file_write(struct task *t, struct ofd *o, const char *user, size_t len, u64 *off,
		u32 flags);
void file_opened(struct task *t, struct ofd *o, const struct attr *a,
		 const struct rpc_bytes *runs);
long file_sync(struct task *t, struct ofd *o); /* write back (fsync, close) */
/* RLIMIT_FSIZE, for a file that is to be `end` bytes long: -EFBIG, with SIGXFSZ. */
long file_limit(struct task *t, u64 ino, u64 end);

/* --- blocks for a server that has none left: room.c -------------------------------------------- */

/* Other servers give blocks to srv, which said -HARE_ESTEAL: true, ask it again; false: there
 * are not enough anywhere. */
bool room_steal(struct task *t, u32 srv, u64 want);
/* The calls that may need blocks, with stealing. */
long room_write(struct task *t, u32 srv, struct req_WRITE *q, struct rep_WRITE *p);
long room_blocks(struct task *t, u32 srv, struct req_BLOCKS *q, struct rep_BLOCKS *p);
long room_fallocate(struct task *t, u32 srv, struct req_FALLOCATE *q,
		    struct rep_FALLOCATE *p);

/* --- metadata, for calls on paths and on descriptors alike: path_attr.c, path_stat.c ----------- */

/* st_dev of everything in Hare: makedev(0, 0x4861) as stat(2) reports it. */
#define HARE_DEV 0x04800061ULL
/* What statx and name_to_handle_at say that it is mounted as. */
#define HARE_MOUNT 0x4861u
/* How a working directory is pinned: flags of its OPEN and CLOSE. */
#define OPEN_CWD (010000000u | 0200000u | OPEN_NOCHECK) /* O_PATH | O_DIRECTORY */

/* Attributes of any inode: FSTAT; distributed directories with all their parts; files of far
 * servers with what this core wrote and did not tell yet (file_attr). */
long attr_get(struct task *t, u64 ino, struct attr *a);
/* In the program's memory: struct stat, struct statx, struct statfs. 0 or -EFAULT. */
long attr_put_stat(const struct attr *a, void *user);
long attr_put_statx(const struct attr *a, u32 wanted, void *user); /* STATX_* asked for */
long attr_put_statfs(struct task *t,
		     void *user); /* of the whole file system; 1 call per server */
/* chmod, chown, utimensat, truncate of an inode, with the process's rights. */
long attr_chmod(struct task *t, u64 ino, u32 mode);
long attr_chown(struct task *t, u64 ino, u32 uid, u32 gid);
long attr_utimens(struct task *t, u64 ino,
		  const void *user_timespecs); /* two, or NULL: now */
/* xattrs; name, value and list in the program's memory; t->path2 and t->bounce are overwritten.
 * check_set and check_name: what is refused before the file is looked for. set relies on it.
 * get and list return a length, which with size 0 is all that they do. */
long xattr_check_set(struct task *t, const char *user_name, size_t size, int flags);
long xattr_check_name(struct task *t, const char *user_name);
long xattr_set(struct task *t, u64 ino, const char *user_name, const void *user_value,
	       size_t size, int flags);
long xattr_get(struct task *t, u64 ino, const char *user_name, void *user_value,
	       size_t size);
long xattr_list(struct task *t, u64 ino, char *user_list, size_t size);
long xattr_remove(struct task *t, u64 ino, const char *user_name);
/* Changes the working directory (ino 0: the host's) of p, pinning the new and unpinning the old. */
long cwd_set(struct task *t, struct proc *p, u64 ino, u32 dflags);
/* The same for chroot's root. */
long root_set(struct task *t, struct proc *p, u64 ino, u32 dflags);
/* A thread of p begins (1) or ceases (-1) to wait for other programs. */
static inline void proc_waits(struct proc *p, int n)
{
	__atomic_fetch_add(&p->waiting, (u32)n, __ATOMIC_RELAXED);
}

/* A new process has its maker's, and umask; share: from now on what one of them changes is changed
 * for both (CLONE_FS). The lock is held. */
void cwd_inherit(struct ck *ck, struct proc *p, struct proc *child, bool share);
/* A process has what it has for itself, from now on. */
void fs_unshare(struct task *t, struct proc *p);
static inline bool fs_is_shared(const struct proc *p)
{
	return !list_empty(&p->fs_peers);
}
/* Opens what execve shall load: walks `path` (in task memory; at_flags: AT_EMPTY_PATH,
 * AT_SYMLINK_NOFOLLOW), wants a regular file with execute permission that is not open for writing
 * (-ETXTBSY). On 0 *o is a description with one reference, during which it cannot be written, or
 * out->host is set (host_path as walk's) and *o is NULL. */
long path_open_exec(struct task *t, int dirfd, const char *path, int at_flags,
		    struct place *out, char *host_buf, bool *rewritten, struct ofd **o);
/* What this process runs by its last exec, which keeps it alive, to be read and mapped: by whatever name it
 * was found then. As path_open_exec; -ENOENT: that is the host's, or nobody counted it. One OPEN. */
long path_open_running(struct task *t, struct ofd **o);
/* open_by_handle_at in Hare, which mount_fd (or the working directory) is of. The handle, in the
 * program's memory, is one of name_to_handle_at's. */
struct hare_handle {
	u32 bytes; /* struct file_handle's, of what follows type */
	s32 type;
	u32 ino[3]; /* as tmpfs has it: 0, low, high */
};
#define HANDLE_BYTES 12u
#define HANDLE_MAX   128u
#define HANDLE_TYPE  1
long handle_open(struct task *t, int mount_fd, const void *user_handle, u32 flags);
/* The path that /proc/self/fd shows for a description; length without NUL. */
long ofd_path(struct task *t, struct ofd *o, char *buf, size_t size);

/* From file.c, for these: what this core knows of a far file that is open here. */
void file_attr(struct task *t,
	       struct attr *a); /* size (and blocks, times) brought up to date */

/* --- host descriptors of another core: relay.c -------------------------------------------------- */

/* System call nr of a descriptor that is OFD_RELAY, with the program's arguments: read, write,
 * readv, writev, p*, lseek, fstat, ioctl, fcntl (F_GETFL, F_SETFL, pipe size; what concerns the
 * number is the table's), fsync, fdatasync, ftruncate, fallocate, fchmod, fchown, utimensat.
 * Waits as the host's call would. */
long relay_op(struct task *t, struct ofd *o, long nr, long a[6]);
/* What /proc/self/fd says of it at the proxy; length without NUL. */
long relay_path(struct task *t, struct ofd *o, char *buf, size_t size);
/* Which of `events` are ready now; waits for the proxy's answer, and uses the thread's event. */
long relay_poll(struct task *t, struct ofd *o, u32 events);
/* Sets the event seq when one of them is, once. For a wait: first relay_poll all, then
 * msg_event_prepare, then relay_watch, look at the others, wait, from the start. */
void relay_watch(struct task *t, struct ofd *o, u32 events, u32 seq);
/* The last reference went: the proxy closes its descriptor. */
void relay_close(struct task *t, u32 pid, u32 core, u32 fd);
/* open(/dev/tty) of a program whose terminal is on another core (proc.tty_core): a new
 * descriptor. path: our memory. */
bool relay_is_tty(const char *user_path);
long relay_open(struct task *t, const char *path, u32 flags, u32 mode);

/* --- operations of several messages: intent.c ---------------------------------------------------- */

struct intent_node {
	struct list link;
	struct intent it;
};
/* Records what is about to happen in proc.intents, where the agent finds it if the process dies;
 * NULL when the core kernel is full. step marks how far it went; end forgets it. */
struct intent_node *intent_begin(struct task *t, const struct intent *it);
void intent_step(struct task *t, struct intent_node *n, u32 step);
void intent_end(struct task *t, struct intent_node *n);
/* The process of an intent is dead: goes on with the operation or takes it back, then ends it. t acts
 * for that process (t->proc); who dies in it is followed by another one that does the rest. */
void intent_recover(struct task *t, struct intent_node *n);

/* --- inotify: notify.c --------------------------------------------------------------------------- */

static inline bool watching(const struct task *t)
{
	return unlikely(__atomic_load_n(&t->ctx.ck->watched, __ATOMIC_RELAXED));
}
static inline bool ofd_is_inotify(const struct ofd *o)
{
	return o->kind == OFD_PIPE && !(o->mode & HS_IFMT);
}
void notify_ofd_slow(struct task *t, struct ofd *o, u32 mask);
void notify_opened_slow(struct task *t, struct ofd *o, const struct place *pl,
			bool truncated);
void notify_closed_slow(struct task *t, struct ofd *o);
void notify_saw_slow(struct task *t, const struct place *pl);
void notify_saw_ofd_slow(struct task *t, const struct ofd *o);
void notify_ino_slow(struct task *t, u64 ino, u32 mask);
void notify_moved_slow(struct task *t, u64 ino);
void notify_renamed_slow(struct task *t, const struct intent *it);
void notify_exchanged_slow(struct task *t, const struct intent *it);
/* mask (IN_ACCESS...) of an open file happened. */
static inline void notify_ofd(struct task *t, struct ofd *o, u32 mask)
{
	if (watching(t))
		notify_ofd_slow(t, o, mask);
}
/* It was opened (and truncated) by this name. */
static inline void notify_opened(struct task *t, struct ofd *o, const struct place *pl,
				 bool truncated)
{
	if (watching(t))
		notify_opened_slow(t, o, pl, truncated);
}
static inline void notify_closed(struct task *t, struct ofd *o)
{
	if (watching(t))
		notify_closed_slow(t, o);
}
/* The call is about what a path, or a descriptor, led to: for a notify_ino that follows. */
static inline void notify_saw(struct task *t, const struct place *pl)
{
	if (watching(t))
		notify_saw_slow(t, pl);
}
static inline void notify_saw_ofd(struct task *t, const struct ofd *o)
{
	if (watching(t))
		notify_saw_ofd_slow(t, o);
}
static inline void notify_ino(struct task *t, u64 ino, u32 mask)
{
	if (watching(t))
		notify_ino_slow(t, ino, mask);
}
/* A rename by a server that has not the inode. */
static inline void notify_moved(struct task *t, u64 ino)
{
	if (watching(t))
		notify_moved_slow(t, ino);
}
/* A rename, or an exchange, of names at different servers. */
static inline void notify_renamed(struct task *t, const struct intent *it)
{
	if (watching(t))
		notify_renamed_slow(t, it);
}
static inline void notify_exchanged(struct task *t, const struct intent *it)
{
	if (watching(t))
		notify_exchanged_slow(t, it);
}

/* --- waiting: wait.c ---------------------------------------------------------------------------- */

static inline u64 task_owner(const struct task *t)
{
	return ((u64)t->ctx.core << 32) | (t->proc ? t->proc->host_pid : 0);
}
static inline u64 thread_owner(const struct task *t)
{
	return OWNER_OF(task_owner(t), t->ctx.slot);
}
/* Of POSIX locks: the process by its number at home. That of the host process that it is elsewhere would
 * be another one after each exec, and end with it. */
static inline u64 posix_owner(const struct task *t)
{
	const struct proc *p = t->proc;

	return p->proxy_core == MAX_CORES ? task_owner(t)
					  : (u64)p->proxy_core << 32 | p->proxy_pid;
}

#endif
