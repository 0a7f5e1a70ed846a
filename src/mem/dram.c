/* SPDX-License-Identifier: MIT */
/*
 * The DRAM object: its layout, and how an island maps it. See mem.h.
 *
 * Address space of island i, at ISLAND_BASE + i * ISLAND_STRIDE:
 *
 *   +0        what handlers and programs access: super | doorbells | rings, own core kernels,
 *             file blocks (each at its DRAM offset; the core kernels of others stay unmapped,
 *             and their blocks when DRAM is partitioned: a stray access faults)
 *   +256 GiB  emulated: DRAM itself, for write-back and invalidate
 *   +512 GiB  emulated: the shadow, second part of the island's copy object
 *   +768 GiB  emulated: locks of lines, last part of the copy object
 *
 * Pieces that other models than emulated map start and end at multiples of 2 MiB, so that DRAM
 * may be huge pages or a device.
 */
#include <asm/errno.h>
#include <linux/mman.h>

#include "base/str.h"
#include "base/sys.h"
#include "mem/models.h"

#define ISLAND_BASE   0x300000000000UL
#define ISLAND_STRIDE 0x10000000000UL
#define DRAM_AT	      0x4000000000UL
#define SHADOW_AT     0x8000000000UL
#define LOCKS_AT      0xc000000000UL
#define DRAM_MAX      DRAM_AT
#ifndef MADV_COLLAPSE /* Linux 6.1 */
#define MADV_COLLAPSE 25
#endif
#define HUGE ((u64)MEM_HUGE)

#define SUPER_SIZE    65536u
#define DOORBELL_SIZE 4096u
#define RING_SIZE     65536u
#define SUPER_HEAD    offsetof(struct super, at)
#define CK_SIZE_MIN   (4u << 20)
#define BLOCKS_MIN    64u

static u64 geometry(struct super *s, u64 size)
{
	u64 rings, rest;

	size = ALIGN_DOWN(size, HUGE);
	s->doorbell_off = SUPER_SIZE;
	s->ring_off = SUPER_SIZE + (u64)MAX_CORES * DOORBELL_SIZE;
	s->ring_size = RING_SIZE;
	rings = (u64)s->cores * s->cores * RING_SIZE;
	s->ck_off = ALIGN_UP(s->ring_off + rings, HUGE);
	if (size < s->ck_off)
		return 0;
	rest = size - s->ck_off;
	/* A quarter for core kernels (inodes, entries, tables), the rest for file data. */
	s->ck_size = ALIGN_DOWN(rest / 4 / s->cores, HUGE);
	if (s->ck_size < CK_SIZE_MIN)
		return 0;
	s->block_off = s->ck_off + s->ck_size * s->cores;
	s->blocks_per_core =
		(u32)((size - s->block_off) / PAGE_SIZE / mem_block_cores(s));
	if (mem_is_partitioned(s)) /* each island maps a piece */
		s->blocks_per_core =
			ALIGN_DOWN(s->blocks_per_core, (u32)(HUGE / PAGE_SIZE));
	if (s->blocks_per_core < BLOCKS_MIN)
		return 0;
	s->dram_size = size;
	return size;
}

static bool config_is_sane(const struct mem_config *cfg)
{
	return cfg->cores >= 1 && cfg->cores <= MAX_CORES && cfg->islands >= 1 &&
	       cfg->islands <= cfg->cores && cfg->model <= MEM_EMULATED &&
	       cfg->placement <= PLACE_LOAD && cfg->split < cfg->cores &&
	       cfg->size <= DRAM_MAX && cfg->cpus <= MAX_CORES;
}

static void super_fill(struct super *s, const struct mem_config *cfg)
{
	memset(s, 0, sizeof(*s));
	s->cores = cfg->cores;
	s->servers = cfg->split ? cfg->split : cfg->cores;
	s->islands = cfg->islands;
	s->model = cfg->model;
	s->without = cfg->without;
	s->placement = cfg->placement;
	s->chaos_seed = cfg->chaos_seed;
	s->cpus = MAX(cfg->cpus, 1u);
	memcpy(s->cpu, cfg->cpu, sizeof(s->cpu));
	s->uid = cfg->uid;
	s->gid = cfg->gid;
	s->kernels = cfg->kernels;
	s->pid_span = cfg->pid_span;
	s->fd_base = cfg->fd_base;
	s->at_len = (u32)str_copy(s->at, cfg->at, sizeof(s->at));
	str_copy(s->loader, cfg->loader ? cfg->loader : "", sizeof(s->loader));
	str_copy(s->hare, cfg->hare ? cfg->hare : "", sizeof(s->hare));
	SYS(getrandom, &s->boot_id, sizeof(s->boot_id), 0);
}

/* What mem_format maps: super, doorbells, rings. A file is emptied first, so that all of it reads
 * as zeroes; a device can be neither emptied nor grown, and need not be. */
static long format_map(int fd, u64 len, bool *device)
{
	long r = SYS(ftruncate, fd, 0);

	*device = r == -EINVAL;
	if (!*device && !sys_failed(r))
		r = SYS(ftruncate, fd, len);
	if (sys_failed(r) && !*device)
		return r;
	return SYS(mmap, 0, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

long mem_format(int dram_fd, const struct mem_config *cfg)
{
	struct super s;
	bool device;
	long p;

	if (!config_is_sane(cfg))
		return -EINVAL;
	super_fill(&s, cfg);
	if (!geometry(&s, cfg->size))
		return -EINVAL;
	p = format_map(dram_fd, s.ck_off, &device);
	if (sys_failed(p))
		return p;
	if (device)
		memset((char *)p, 0, s.ck_off);
	s.magic = SUPER_MAGIC;
	memcpy((char *)p, &s, sizeof(s));
	mem_flush_fresh(&s, (char *)p, s.ck_off);
	SYS(munmap, p, s.ck_off);
	p = device ? 0 : SYS(ftruncate, dram_fd, s.dram_size);
	return sys_failed(p) ? p : (long)s.dram_size;
}

u32 mem_island_of(const struct super *s, u32 core)
{
	return (u32)((u64)core * s->islands / s->cores);
}

/* The island's core kernels are neighbours in DRAM. */
static void island_cores(const struct super *s, u32 id, u32 *first, u32 *count)
{
	u32 c;

	*count = 0;
	for (c = 0; c < s->cores; c++) {
		if (mem_island_of(s, c) != id)
			continue;
		if (!(*count)++)
			*first = c;
	}
}

struct piece {
	u64 at, len; /* in the island's range: bytes */
	u64 off; /* in the file */
	s32 fd;
	u32 pad;
};
#define PIECES_MAX 8u

struct view {
	struct piece piece[PIECES_MAX];
	u32 count;
};

/* One more piece, or a longer one where it goes on. */
static void view_add(struct view *v, u64 at, u64 len, s32 fd, u64 off)
{
	struct piece *last = v->count ? &v->piece[v->count - 1] : NULL;

	if (last && last->fd == fd && last->at + last->len == at &&
	    last->off + last->len == off) {
		last->len += len;
		return;
	}
	BUG_ON(v->count == PIECES_MAX);
	v->piece[v->count++] =
		(struct piece){ .at = at, .len = len, .off = off, .fd = fd };
}

static void view_blocks(struct view *v, const struct island *isl, const struct super *s,
			s32 fd)
{
	u64 share = (u64)s->blocks_per_core * PAGE_SIZE;
	u64 at = s->block_off + isl->first_core * share;

	if (mem_is_partitioned(s))
		view_add(v, at, isl->core_count * share, fd, at);
	else
		view_add(v, s->block_off, s->dram_size - s->block_off, fd, s->block_off);
}

static void view_fill(struct view *v, const struct island *isl, const struct super *s)
{
	bool emulated = isl->model == MEM_EMULATED;
	s32 dram = isl->fds.dram, fd = emulated ? isl->fds.copy : dram;
	u64 ck = s->ck_off + isl->first_core * s->ck_size;

	v->count = 0;
	view_add(v, 0, s->ring_off, dram, 0);
	view_add(v, s->ring_off, s->ck_off - s->ring_off, fd, s->ring_off);
	view_add(v, ck, isl->core_count * s->ck_size, fd, ck);
	view_blocks(v, isl, s, fd);
	if (!emulated)
		return;
	view_add(v, DRAM_AT, s->dram_size, dram, 0);
	view_add(v, SHADOW_AT, s->dram_size, fd, s->dram_size);
	view_add(v, LOCKS_AT, MEM_LOCKS_SIZE, fd, 2 * s->dram_size);
}

static long map_piece(char *base, const struct piece *k)
{
	long p = SYS(mmap, base + k->at, k->len, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED_NOREPLACE, k->fd, k->off);

	if (sys_failed(p) || (char *)p == base + k->at)
		return sys_failed(p) ? p : 0;
	SYS(munmap, p, k->len); /* a kernel that takes the address as a hint */
	return -EEXIST;
}

/* All pieces or none: what else there may be in the range is not ours. */
static long view_map(const struct view *v, char *base)
{
	for (u32 i = 0; i < v->count; i++) {
		long r = map_piece(base, &v->piece[i]);

		if (!r)
			continue;
		while (i--)
			SYS(munmap, base + v->piece[i].at, v->piece[i].len);
		return r;
	}
	return 0;
}

/* The numbers, without the paths at the end: every program that starts reads them. A device may
 * know mmap alone. */
static long read_super(int fd, struct super *s)
{
	long r = SYS(pread64, fd, s, SUPER_HEAD, 0);

	if (r == (long)SUPER_HEAD)
		return 0;
	if (r != -EINVAL && r != -ENODEV)
		return sys_failed(r) ? r : -EINVAL;
	r = SYS(mmap, 0, HUGE, PROT_READ, MAP_SHARED, fd, 0);
	if (sys_failed(r))
		return r;
	memcpy(s, (void *)r, SUPER_HEAD);
	SYS(munmap, r, HUGE);
	return 0;
}

/* Reads the super and says where all is in island id. */
static long describe(struct island *isl, struct super *s, const struct mem_fds *fds,
		     u32 id)
{
	u64 base = ISLAND_BASE + id * ISLAND_STRIDE;
	long r = read_super(fds->dram, s);

	if (r < 0)
		return r;
	if (s->magic != SUPER_MAGIC || id >= s->islands)
		return -EINVAL;
	memset(isl, 0, sizeof(*isl));
	isl->id = id;
	isl->model = s->model;
	isl->fds = *fds;
	isl->base = (char *)base;
	isl->dram = isl->base;
	isl->super = (struct super *)base;
	isl->doorbells = isl->base + s->doorbell_off;
	island_cores(s, id, &isl->first_core, &isl->core_count);
	isl->near_count = s->without & WITHOUT_LOCAL_CALLS ? 0 : isl->core_count;
	if (s->model == MEM_EMULATED) {
		isl->dram = (char *)base + DRAM_AT;
		isl->shadow = (char *)base + SHADOW_AT;
		isl->locks = (char *)base + LOCKS_AT;
	}
	return 0;
}

long mem_describe(struct island *isl, const struct mem_fds *fds, u32 id)
{
	struct super s;

	return describe(isl, &s, fds, id);
}

long mem_map(struct island *isl, const struct mem_fds *fds, u32 id)
{
	struct super s;
	struct view v;
	long r = describe(isl, &s, fds, id);

	if (r < 0)
		return r;
	if (s.model == MEM_EMULATED) {
		r = SYS(ftruncate, fds->copy, 2 * s.dram_size + MEM_LOCKS_SIZE);
		if (sys_failed(r))
			return r;
	}
	view_fill(&v, isl, &s);
	r = view_map(&v, isl->base);
	if (r < 0)
		isl->super = NULL;
	return r;
}

u64 mem_mapped(const struct island *isl)
{
	struct view v;
	u64 n = 0;

	view_fill(&v, isl, isl->super);
	for (u32 i = 0; i < v.count; i++)
		n += v.piece[i].len;
	return n;
}

void mem_unmap(struct island *isl)
{
	struct view v;

	if (!isl->super)
		return;
	view_fill(&v, isl, isl->super);
	for (u32 i = v.count; i--;) /* super goes last */
		SYS(munmap, isl->base + v.piece[i].at, v.piece[i].len);
	isl->super = NULL;
}

long mem_gather(void *addr)
{
	return SYS(madvise, ALIGN_DOWN((u64)addr, HUGE), HUGE, MADV_COLLAPSE);
}
