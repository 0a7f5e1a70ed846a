/* SPDX-License-Identifier: MIT */
/*
 * Shared DRAM, the memory models, and the core kernel's memory: heap, lock, undo log.
 * (Thesis section 3.3; design: DESIGN.md "Memory".)
 *
 * This is the only layer that knows that memory may be stale. DRAM is one object (memfd, file
 * or device) laid out as
 *
 *   super | doorbells | rings, one per ordered pair of cores | core kernels | file blocks
 *
 * A process maps, at fixed addresses that are the same in all processes of an island: super,
 * doorbells and rings, the core kernels of its own island, and the file blocks. The core kernel
 * of another island is never mapped, nor are its blocks when DRAM is partitioned.
 *
 * Models: `coherent`: write-back and invalidate are compiler barriers. `flush`: clwb, clflushopt
 * and fences. `emulated`: every island maps a private copy of DRAM ("its cache"); write-back
 * copies lines from the copy to DRAM and invalidate from DRAM to the copy. The doorbells alone
 * are mapped from DRAM itself: they are the interrupt controller, and carry no data.
 *
 * Rules for memory that crosses islands (rings, file blocks): write, then mem_writeback, then
 * tell; be told, then mem_invalidate, then read. Never invalidate a line that holds writes of
 * this island that were not written back. Core-kernel memory never crosses islands, so inside
 * it plain pointers are used (every process of the island maps it at the same address).
 */
#ifndef HARE_MEM_MEM_H
#define HARE_MEM_MEM_H

#include "base/types.h"

/* --- boot-time geometry, in DRAM, never changed after boot -------------------------------- */

enum mem_model { MEM_COHERENT, MEM_FLUSH, MEM_EMULATED };

/* Techniques of the papers and of ours that --without NAME switches off (bits of
 * super.without). */
enum {
	WITHOUT_DISTRIBUTION = 1 << 0,
	WITHOUT_BROADCAST = 1 << 1,
	WITHOUT_DIRECT_ACCESS = 1 << 2,
	WITHOUT_DIRECTORY_CACHE = 1 << 3,
	WITHOUT_CREATION_AFFINITY = 1 << 4,
	WITHOUT_COALESCING = 1 << 5,
	WITHOUT_LOCAL_CALLS = 1 << 6,
};

enum placement { PLACE_ROUND_ROBIN, PLACE_RANDOM, PLACE_LOCAL, PLACE_LOAD };

/* One Linux kernel below all islands, or one below each (--kernels). */
enum { KERNELS_SHARED, KERNELS_SEPARATE };

#define SUPER_MAGIC 0x3145524148ULL /* "HARE1" */
#define AT_DIR_MAX  256

struct super {
	u64 magic;
	u64 dram_size; /* bytes of the whole object */
	u32 cores; /* 1..MAX_CORES */
	u32 islands; /* 1..cores; core c belongs to island c * islands / cores */
	u32 model; /* enum mem_model */
	u32 without; /* WITHOUT_* */
	u64 chaos_seed; /* 0: no evictions */
	u64 doorbell_off; /* offsets into DRAM and sizes, bytes */
	u64 ring_off, ring_size;
	u64 ck_off, ck_size; /* core c's core kernel at ck_off + c * ck_size */
	u64 block_off;
	u32 blocks_per_core; /* core c owns blocks [1 + c * blocks_per_core, ...) at boot, see mem_block_cores */
	u32 cpus; /* host CPUs; core c is pinned to cpu[c % cpus] */
	u16 cpu[MAX_CORES];
	u32 placement; /* enum placement, the default */
	u32 servers; /* cores 0..servers-1 hold the file system; all of them, or see --split */
	u64 boot_id;
	u32 uid, gid; /* owner of the root directory */
	u32 kernels; /* KERNELS_* */
	u32 pid_span; /* separate: how many process numbers each kernel has */
	s32 fd_base; /* the first hidden descriptor, see FD_LOADER */
	u32 at_len;
	char at[AT_DIR_MAX]; /* where Hare appears, absolute, no trailing slash */
	char loader[PATH_LEN_MAX]; /* host path of the program loader */
	char hare[PATH_LEN_MAX]; /* host path of the hare command */
};

/* The hidden descriptors that programs inherit: fd_base is DRAM, fd_base + 1 the island's copy when
 * it has one, and this one the program loader, so that an exec walks no path. */
#define FD_LOADER 2

/* Do cores of different islands have different Linux kernels? */
static inline bool mem_separate(const struct super *s)
{
	return s->kernels == KERNELS_SEPARATE && s->islands > 1;
}

/* Timeshare: every core serves and runs programs. Split (thesis section 3.2): cores 0..servers-1
 * serve, the others run programs. */
static inline u32 mem_first_program_core(const struct super *s)
{
	return s->servers == s->cores ? 0 : s->servers;
}
static inline u64 mem_program_cores(const struct super *s)
{
	u64 all = s->cores >= 64 ? ~0ULL : (1ULL << s->cores) - 1;

	return all & ~((1ULL << mem_first_program_core(s)) - 1);
}

u32 mem_island_of(const struct super *s, u32 core);
/* Partitioned DRAM (thesis section 6.2.1): without direct access an island maps the blocks of its
 * own cores alone, and data of others goes by message. */
static inline bool mem_is_partitioned(const struct super *s)
{
	return s->without & WITHOUT_DIRECT_ACCESS && s->islands > 1;
}
/* Cores 0..this-1 own blocks at boot: the servers; with partitioned DRAM all, for an island needs
 * memory of its own for what it maps of others' files. */
static inline u32 mem_block_cores(const struct super *s)
{
	return mem_is_partitioned(s) ? s->cores : s->servers;
}
/* Blocks of one core may become the other's. */
static inline bool mem_may_pass(const struct super *s, u32 from, u32 to)
{
	return !mem_is_partitioned(s) || mem_island_of(s, from) == mem_island_of(s, to);
}
/* The first core of an island; of one behind the last: the number of cores. */
static inline u32 mem_island_first(const struct super *s, u32 island)
{
	return (u32)(((u64)island * s->cores + s->islands - 1) / s->islands);
}

/* --- a process's view ---------------------------------------------------------------------- */

struct mem_fds {
	s32 dram; /* the DRAM object */
	s32 copy; /* this island's copy; -1 unless emulated */
};

struct island {
	u32 id;
	u32 model;
	struct super *super;
	char *base; /* what programs and handlers access: the copy, or DRAM itself */
	char *dram; /* emulated: DRAM itself, for src/mem alone; else equal to base */
	char *shadow; /* emulated: lines as last synchronised; a line that differs is dirty */
	char *locks; /* emulated: of lines being synchronised */
	struct mem_fds fds;
	char *doorbells; /* always DRAM itself */
	u32 first_core, core_count; /* the cores of this island */
	u32 near_count; /* of these, whose servers are reached by local calls: all, or none */
	u32 pad;
};

struct mem_config {
	u64 size; /* bytes of DRAM wanted, e.g. 2 GiB */
	u32 cores, islands, model, without, placement;
	u32 split; /* cores that only serve, the others only run programs; 0: all do both */
	u64 chaos_seed;
	u32 cpus;
	u16 cpu[MAX_CORES];
	u32 uid, gid;
	u32 kernels, pid_span;
	s32 fd_base;
	const char *at, *loader, *hare;
};

/* Fills a new DRAM object (fd, of any size: it is truncated to what the configuration needs)
 * with super, empty doorbells and rings. Returns its size in bytes; -EINVAL for a geometry
 * that cannot be (too small for its cores), -errno of the host. */
long mem_format(int dram_fd, const struct mem_config *cfg);
/* Maps DRAM for island `id` at the island's fixed address. Several islands may be mapped in one
 * process (tests). -EEXIST when the address range is taken, -EINVAL when fd holds no Hare. */
long mem_map(struct island *isl, const struct mem_fds *fds, u32 id);
/* The same without mapping: for an island that this process has mapped already. */
long mem_describe(struct island *isl, const struct mem_fds *fds, u32 id);
void mem_unmap(struct island *isl);
u64 mem_mapped(const struct island *isl); /* bytes of address space that mem_map took */
/* Asks the host to hold the 2 MiB around `addr` as one huge page from now on: then a process that
 * is new maps them with one page fault, and needs no page table for them. Takes milliseconds, in
 * which who accesses them waits. -errno when the host cannot: nothing has changed then. */
long mem_gather(void *addr);
#define MEM_HUGE (2UL << 20)

/* --- consistency -------------------------------------------------------------------------- */

/* [p, p+len) rounded out to lines, in rings or blocks. Ordered with accesses around them. */
void mem_writeback(const struct island *isl, const void *p, size_t len);
void mem_invalidate(const struct island *isl, const void *p, size_t len);
/* To be called before stores to file blocks that this island has not invalidated since another
 * one may have written them (blocks just allocated, about to be filled). A cache notices every
 * store; the emulation only those that change something, so what it holds must be up to date.
 * Nothing in the other models. */
static inline void mem_overwrite(const struct island *isl, const void *p, size_t len)
{
	if (unlikely(isl->model == MEM_EMULATED))
		mem_invalidate(isl, p, len);
}
/* Emulated with a chaos seed: evicts some lines (dirty ones written back, clean ones dropped),
 * both of which a cache may do at any moment. Called from the agents' loops and, now and then,
 * from write-back and invalidate. Nothing in the other models. */
void mem_chaos(const struct island *isl);

/* --- file blocks --------------------------------------------------------------------------- */

/* Block numbers: 1..mem_block_cores * blocks_per_core; 0 is no block. They mean the same on every
 * core. */
typedef u32 blk_t;
/* Is it a block, and mapped here? */
static inline bool mem_has_block(const struct island *isl, blk_t blk)
{
	u32 core = (u32)((blk - 1ULL) / isl->super->blocks_per_core);

	return blk &&
	       (mem_is_partitioned(isl->super) ? core - isl->first_core < isl->core_count
					       : core < isl->super->servers);
}
static inline char *mem_block(const struct island *isl, blk_t blk)
{
	return isl->base + isl->super->block_off + (u64)(blk - 1) * PAGE_SIZE;
}
/* For mmap: the descriptor and file offset that show a block to this island. */
static inline int mem_block_fd(const struct island *isl)
{
	return isl->model == MEM_EMULATED ? isl->fds.copy : isl->fds.dram;
}
static inline u64 mem_block_off(const struct island *isl, blk_t blk)
{
	BUG_ON(!mem_has_block(isl, blk)); /* the host would show it */
	return isl->super->block_off + (u64)(blk - 1) * PAGE_SIZE;
}

/* --- the core kernel: lock, transaction, heap ---------------------------------------------- */
/*
 * All state that one core's kernel owns. Changed only with its lock held, and only through
 * TX_SET and the heap, which keep an undo log beside the lock. Whoever finds the holder dead
 * takes the lock over, rolls the log back, and goes on. So a critical section is a transaction:
 * ck_lock begins it, ck_commit makes what was done permanent and begins the next, ck_abort
 * takes it back, ck_unlock commits and releases.
 *
 * Sections are short (well under a microsecond), never block, and never touch program memory.
 * A process holds at most one core lock at a time.
 */
struct ck;

/* Who runs: a thread of a program, an agent, a test. */
struct ctx {
	struct island *isl;
	struct ck *ck; /* the core kernel of `core` */
	u32 core;
	u32 slot; /* its reply slot there, see msg.h; 0 while it has none */
	u32 tid; /* host thread id: the lock's owner mark */
	u32 pad;
};

enum ck_root {
	CK_ROOT_MSG,
	CK_ROOT_FS,
	CK_ROOT_SCHED,
	CK_ROOT_CLIENT,
	CK_ROOT_TRACE,
	CK_ROOTS
};
#define CK_LOG_MAX  8192
#define CK_CLASSES  28
#define CK_COUNTERS 512

struct ck_undo {
	void *addr;
	u64 old;
	u32 size; /* 1, 2, 4 or 8 bytes */
	u32 pad;
};

struct ck_class { /* objects of one size, see heap.c */
	void *free;
	u64 cur, cur_end; /* rest of the newest chunk: addresses */
	u64 pad;
};

struct ck {
	/* the lock, and what every section touches: one cache line */
	u32 lock; /* 0, or the holder's tid; see lock.c */
	u32 waiters; /* somebody may sleep on wake_seq */
	u32 wake_seq; /* futex: grows before a sleeper is woken */
	u32 log_count; /* this and all that follows: protected by the lock */
	void *garbage; /* freed in this transaction, to be put on free lists after commit */
	void *root[CK_ROOTS]; /* each layer's own root structure */
	u64 heap_used; /* bytes handed out, for statistics and fsck */
	u64 heap_base, heap_next,
		heap_end; /* chunks in use, and never used memory: addresses */
	u32 recovered; /* times a dead holder's transaction was rolled back */
	/* chunks of the heap that hold nothing, see heap.c */
	void *chunks;
	u64 chunk_bytes;
	void *limbo; /* free objects of chunks that are being given back */
	u64 freed; /* raw: bytes that became free since it was last looked for such chunks */
	u32 starved; /* raw: an allocation failed since then */
	u32 pad2;
	/* fixed after init */
	u32 core, island;
	u32 tracing; /* outside the log: the thread of `hare trace` that listens to this core, or 0 */
	u32 watched; /* inotify watches something: rpc_is_watched says more */
	u32 cutting; /* mappings of some process are to be cut: src/client/cut.c. Outside the log */
	u32 copies; /* of far files, for mappings: src/fileserver/copy.c */
	u32 pad3;
	u64 day_ago; /* outside the log: 24 hours ago, to the minute; 0: not known. For relatime */
	u64 magic;
	struct ck_class cls[CK_CLASSES];
	u64 counter[CK_COUNTERS]; /* statistics: relaxed, outside the log */
	struct ck_undo log[CK_LOG_MAX];
};
_Static_assert(offsetof(struct ck, heap_used) == CACHE_LINE, "the lock's line");

static inline struct ck *mem_ck(const struct island *isl, u32 core)
{
	return (struct ck *)(isl->base + isl->super->ck_off +
			     (u64)core * isl->super->ck_size);
}
/* The core kernel is in this island, so its handlers can run right here. */
static inline bool mem_is_near(const struct island *isl, u32 core)
{
	return core - isl->first_core < isl->core_count;
}

void ck_init(struct island *isl, u32 core); /* empty heap; once, at boot */
/* To be called first by a process that begins: takes over the core locks of this island that stand
 * under its own thread id. An execve by another thread than the first kills that one, wherever it
 * is, and gives its id to the new program, so that nobody else can see that it died. */
void ck_inherit(struct ctx *c);
/* True when a thread with this host id no longer runs (ended, or a zombie). */
bool ck_thread_dead(u32 tid);

/* Test hook: counts the points where dying may matter (logged stores, commits, publications) and
 * dies at the chosen one. Empty in shipped builds. */
#ifdef HARE_CRASH_POINTS
extern u64 g_crash_at, g_crash_count;
void ck_crash_point(void);
#else
static inline void ck_crash_point(void)
{
}
#endif

/* What the inline functions below leave to lock.c and heap.c. */
void ck_lock_slow(struct ctx *c, struct ck *ck);
void ck_unlock_slow(struct ck *ck);
void ck_collect(struct ck *ck);

static inline bool ck_trylock(struct ctx *c, struct ck *ck)
{
	u32 unlocked = 0;

	return __atomic_compare_exchange_n(&ck->lock, &unlocked, c->tid, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}
static inline void ck_lock(struct ctx *c, struct ck *ck)
{
	if (unlikely(!ck_trylock(c, ck)))
		ck_lock_slow(c, ck);
}
static inline void ck_commit(struct ck *ck)
{
	compiler_barrier();
	ck->log_count = 0;
	compiler_barrier();
	ck_crash_point();
	if (unlikely(ck->garbage))
		ck_collect(ck);
}
/* No locked instruction: lock.c says how a waiter makes up for it. */
static inline void ck_unlock(struct ck *ck)
{
	ck_commit(ck);
	__atomic_store_n(&ck->lock, 0, __ATOMIC_RELEASE);
	ck_crash_point();
	compiler_barrier();
	if (unlikely(__atomic_load_n(&ck->waiters, __ATOMIC_RELAXED)))
		ck_unlock_slow(ck);
}
/* Takes back what was done since ck_mark, within one transaction. */
static inline u32 ck_mark(const struct ck *ck)
{
	return ck->log_count;
}
void ck_abort_to(struct ck *ck, u32 mark);
static inline void ck_abort(struct ck *ck)
{
	ck_abort_to(ck, 0);
}

/* Logs the old content of one aligned 1, 2, 4 or 8 byte field. */
static inline void ck_log(struct ck *ck, void *addr, u64 old, u32 size)
{
	u32 n = ck->log_count;

	BUG_ON(n >= CK_LOG_MAX);
	ck->log[n].addr = addr;
	ck->log[n].old = old;
	ck->log[n].size = size;
	compiler_barrier();
	ck->log_count = n + 1;
	compiler_barrier();
}

/* Sets a field of core-kernel memory inside the running transaction. */
#define TX_SET(ck, lvalue, value)                                                        \
	do {                                                                             \
		__typeof__(lvalue) *tx_p_ = &(lvalue);                                   \
		__typeof__(lvalue) tx_v_ = (value);                                      \
		_Static_assert(sizeof(*tx_p_) <= 8, "TX_SET sets one field");            \
		u64 tx_o_ = 0;                                                           \
		__builtin_memcpy(&tx_o_, tx_p_, sizeof(*tx_p_));                         \
		ck_log((ck), tx_p_, tx_o_, (u32)sizeof(*tx_p_));                         \
		*tx_p_ = tx_v_;                                                          \
		ck_crash_point();                                                        \
	} while (0)
#define TX_ADD(ck, lvalue, delta)                                                        \
	TX_SET(ck, lvalue, (__typeof__(lvalue))((lvalue) + (delta)))

/* Logs a range of up to 512 bytes (8-byte aligned, whole words) before it is overwritten. */
void tx_save(struct ck *ck, void *p, size_t len);
/* Memory of the core kernel, zeroed, 16-byte aligned; NULL when it is full (ENOSPC). Rolled back
 * with the transaction. Fresh memory may be written without TX_SET until the commit. Sizes up
 * to two megabytes; freed memory is reused for the same class of sizes first. */
void *ck_alloc(struct ck *ck, size_t size);
/* The same for what may fail before other things do: leaves memory for those. GROWTH: files and names;
 * leaves enough to start and end programs. HELD: what programs hold, descriptors for example; leaves
 * enough to remove files and end programs. SPREAD: what another core kernel may take as well; leaves a
 * quarter for what cannot go elsewhere. */
enum ck_use { CK_NEEDED, CK_HELD, CK_GROWTH, CK_SPREAD };
void *ck_alloc_for(struct ck *ck, enum ck_use use, size_t size);
/* For what cannot be told its use: growth has to stop, since memory was taken after ck_spare gave
 * `before`, and too little is left. The transaction is to fail. */
static inline u64 ck_spare(const struct ck *ck)
{
	return ck->heap_end - ck->heap_next + ck->chunk_bytes;
}
bool ck_is_full(struct ck *ck);
/* Nearly so: what is to be freed some time should be freed now. */
bool ck_is_tight(const struct ck *ck);
static inline bool ck_filled(struct ck *ck, u64 before)
{
	return unlikely(ck_spare(ck) != before) && ck_is_full(ck);
}
/* After a failure of an allocation, when the transaction has been aborted: looks for memory that other
 * sizes have left. True: it may be tried again. */
bool ck_reclaim(struct ck *ck);
static inline bool ck_reclaimed(struct ck *ck)
{
	return unlikely(ck->starved) && ck_reclaim(ck);
}
/* Frees at commit: the content stays intact until then, except its first 8 bytes, which are
 * logged. */
void ck_free(struct ck *ck, void *p);
/* Checks lock, log, free lists; calls bad(arg, text) per violation. Number of violations. */
u32 ck_check(struct ck *ck, void (*bad)(void *arg, const char *text), void *arg);

/* --- lists in core-kernel memory, circular, with transactional links ------------------------ */

struct list {
	struct list *next, *prev;
};
static inline void list_init_fresh(struct list *l) /* memory just allocated */
{
	l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}
void tx_list_add_tail(struct ck *ck, struct list *head, struct list *node);
void tx_list_del(struct ck *ck, struct list *node); /* node then points to itself */
#define LIST_ENTRY(p, type, member) container_of(p, type, member)

/* --- radix: u64 index -> u64 value, 0 is absent; block maps and directory cookies ------------ */
/* 64 slots a node (512 bytes + header); a map of index 0 alone needs no node. */
struct radix {
	u64 root; /* height 0: the value of index 0; else a struct radix_node * */
	u32 height; /* levels of nodes */
	u32 pad;
	u64 count; /* values present */
};
u64 radix_get(const struct radix *r, u64 index);
/* -ENOSPC when the core kernel is full. value 0 removes; empty nodes are freed. */
long tx_radix_set(struct ck *ck, struct radix *r, u64 index, u64 value);
/* The first index >= from with a value; false when there is none. */
bool radix_next(const struct radix *r, u64 from, u64 *index, u64 *value);

#endif
