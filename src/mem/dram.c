/* SPDX-License-Identifier: MIT */
/*
 * The DRAM object: its layout, and how an island maps it. See mem.h.
 *
 * Address space of island i, at ISLAND_BASE + i * ISLAND_STRIDE:
 *
 *   +0        what handlers and programs access: super | doorbells | rings, own core kernels,
 *             file blocks (each at its DRAM offset; the core kernels of others stay unmapped)
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

#define ISLAND_BASE 0x300000000000UL
#define ISLAND_STRIDE 0x10000000000UL
#define DRAM_AT 0x4000000000UL
#define SHADOW_AT 0x8000000000UL
#define LOCKS_AT 0xc000000000UL
#define DRAM_MAX DRAM_AT
#define HUGE ((u64)2 << 20)

#define SUPER_SIZE 65536u
#define DOORBELL_SIZE 4096u
#define RING_SIZE 65536u
#define CK_SIZE_MIN (4u << 20)
#define BLOCKS_MIN 64u

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
	s->blocks_per_core = (u32)((size - s->block_off) / PAGE_SIZE / s->cores);
	if (s->blocks_per_core < BLOCKS_MIN)
		return 0;
	s->dram_size = size;
	return size;
}

static bool config_is_sane(const struct mem_config *cfg)
{
	return cfg->cores >= 1 && cfg->cores <= MAX_CORES && cfg->islands >= 1 &&
	       cfg->islands <= cfg->cores && cfg->model <= MEM_EMULATED &&
	       cfg->placement <= PLACE_LOCAL && cfg->size <= DRAM_MAX && cfg->cpus <= MAX_CORES;
}

static void super_fill(struct super *s, const struct mem_config *cfg)
{
	memset(s, 0, sizeof(*s));
	s->cores = cfg->cores;
	s->islands = cfg->islands;
	s->model = cfg->model;
	s->without = cfg->without;
	s->placement = cfg->placement;
	s->chaos_seed = cfg->chaos_seed;
	s->cpus = MAX(cfg->cpus, 1u);
	memcpy(s->cpu, cfg->cpu, sizeof(s->cpu));
	s->uid = cfg->uid;
	s->gid = cfg->gid;
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

static long map_piece(u64 base, u64 off, u64 len, int fd, u64 fd_off)
{
	long p = SYS(mmap, base + off, len, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED_NOREPLACE, fd, fd_off);

	if (sys_failed(p))
		return p;
	if ((u64)p != base + off) { /* a kernel that takes the address as a hint */
		SYS(munmap, p, len);
		return -EEXIST;
	}
	return 0;
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

static long map_view(struct island *isl, const struct super *s, u64 base, int fd)
{
	u64 blocks = s->dram_size - s->block_off;
	u32 first = 0, count;
	long r;

	island_cores(s, isl->id, &first, &count);
	if (isl->model == MEM_EMULATED) {
		u64 doors = (u64)MAX_CORES * DOORBELL_SIZE;

		r = map_piece(base, 0, SUPER_SIZE, isl->fds.dram, 0);
		if (!r)
			r = map_piece(base, SUPER_SIZE, doors, isl->fds.dram, SUPER_SIZE);
		if (!r)
			r = map_piece(base, s->ring_off, s->ck_off - s->ring_off, fd,
				      s->ring_off);
	} else {
		r = map_piece(base, 0, s->ck_off, fd, 0);
	}
	if (!r)
		r = map_piece(base, s->ck_off + first * s->ck_size, count * s->ck_size, fd,
			      s->ck_off + first * s->ck_size);
	if (!r)
		r = map_piece(base, s->block_off, blocks, fd, s->block_off);
	return r;
}

static long map_emulated(struct island *isl, const struct super *s, u64 base)
{
	long r = SYS(ftruncate, isl->fds.copy, 2 * s->dram_size + MEM_LOCKS_SIZE);

	if (sys_failed(r))
		return r;
	r = map_piece(base, DRAM_AT, s->dram_size, isl->fds.dram, 0);
	if (!r)
		r = map_piece(base, SHADOW_AT, s->dram_size, isl->fds.copy, s->dram_size);
	if (!r)
		r = map_piece(base, LOCKS_AT, MEM_LOCKS_SIZE, isl->fds.copy, 2 * s->dram_size);
	return r;
}

/* A device may know mmap alone. */
static long read_super(int fd, struct super *s)
{
	long r = SYS(pread64, fd, s, sizeof(*s), 0);

	if (r == (long)sizeof(*s))
		return 0;
	if (r != -EINVAL && r != -ENODEV)
		return sys_failed(r) ? r : -EINVAL;
	r = SYS(mmap, 0, HUGE, PROT_READ, MAP_SHARED, fd, 0);
	if (sys_failed(r))
		return r;
	memcpy(s, (void *)r, sizeof(*s));
	SYS(munmap, r, HUGE);
	return 0;
}

static void describe(struct island *isl, const struct super *s, const struct mem_fds *fds, u32 id)
{
	u64 base = ISLAND_BASE + id * ISLAND_STRIDE;

	memset(isl, 0, sizeof(*isl));
	isl->id = id;
	isl->model = s->model;
	isl->fds = *fds;
	isl->base = (char *)base;
	isl->dram = isl->base;
	isl->super = (struct super *)base;
	isl->doorbells = isl->base + s->doorbell_off;
	if (s->model == MEM_EMULATED) {
		isl->dram = (char *)base + DRAM_AT;
		isl->shadow = (char *)base + SHADOW_AT;
		isl->locks = (char *)base + LOCKS_AT;
	}
}

long mem_describe(struct island *isl, const struct mem_fds *fds, u32 id)
{
	struct super s;
	long r = read_super(fds->dram, &s);

	if (r < 0)
		return r;
	if (s.magic != SUPER_MAGIC || id >= s.islands)
		return -EINVAL;
	describe(isl, &s, fds, id);
	return 0;
}

long mem_map(struct island *isl, const struct mem_fds *fds, u32 id)
{
	struct super s;
	u64 base;
	long r = read_super(fds->dram, &s);

	if (r < 0)
		return r;
	if (s.magic != SUPER_MAGIC || id >= s.islands)
		return -EINVAL;
	describe(isl, &s, fds, id);
	base = (u64)isl->base;
	r = map_view(isl, &s, base, s.model == MEM_EMULATED ? fds->copy : fds->dram);
	if (!r && s.model == MEM_EMULATED)
		r = map_emulated(isl, &s, base);
	if (r < 0)
		mem_unmap(isl);
	return r;
}

void mem_unmap(struct island *isl)
{
	SYS(munmap, isl->base, DRAM_MAX);
	if (isl->model == MEM_EMULATED)
		SYS(munmap, isl->base + DRAM_AT, 3 * DRAM_MAX);
	isl->super = NULL;
}
