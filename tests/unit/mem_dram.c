/* SPDX-License-Identifier: MIT */
/* Formatting and mapping DRAM: geometry, what is mapped where, and what is refused. */
#include <fcntl.h>
#include <sys/stat.h>

#include "unit/world.h"

static struct mem_config config(u32 cores, u32 islands, u64 size)
{
	return (struct mem_config){
		.size = size, .cores = cores, .islands = islands, .cpus = 1, .at = "/hare"
	};
}

/* 0 when the pieces of DRAM follow each other without overlap and hold what they must. */
static u32 check_super(const struct super *s)
{
	u64 ends = s->ck_off + (u64)s->cores * s->ck_size;
	u64 blocks = s->block_off + (u64)s->cores * s->blocks_per_core * PAGE_SIZE;
	u32 bad = 0, per_island[MAX_CORES] = { 0 };

	bad += s->doorbell_off < sizeof(*s);
	bad += s->ring_off < s->doorbell_off + (u64)s->cores * PAGE_SIZE;
	bad += s->ck_off < s->ring_off + (u64)s->cores * s->cores * s->ring_size;
	bad += s->block_off < ends || s->dram_size < blocks ||
	       blocks + (2 << 20) < s->dram_size - s->cores * (u64)PAGE_SIZE;
	bad += s->ck_size < sizeof(struct ck) ||
	       (s->ck_off | s->ck_size | s->block_off | s->dram_size) % (2 << 20);
	for (u32 c = 0; c < s->cores; c++) {
		u32 i = mem_island_of(s, c);

		bad += i >= s->islands || (c && i < mem_island_of(s, c - 1));
		per_island[i % MAX_CORES]++;
	}
	for (u32 i = 0; i < s->islands; i++)
		bad += !per_island[i];
	return bad;
}

static void t_geometry(void)
{
	u32 bad = 0, formatted = 0;
	struct super s;

	for (u32 cores = 1; cores <= MAX_CORES;
	     cores = cores < 8 ? cores + 1 : cores * 2) {
		for (u32 islands = 1; islands <= cores; islands += 1 + islands / 3) {
			u64 size = (u64)cores * (cores + 24) << 20;
			struct mem_config cfg = config(cores, islands, size + 12345);
			int fd = memfd_create("dram", 0);
			long r = mem_format(fd, &cfg);
			struct stat st;

			fstat(fd, &st);
			need(pread(fd, &s, sizeof(s), 0) == sizeof(s), "pread");
			bad += r < 0 || st.st_size != r || (u64)r > cfg.size ||
			       check_super(&s);
			formatted++;
			close(fd);
		}
	}
	is(bad, 0, "%u geometries are sound", formatted);
}

static long try(u32 cores, u32 islands, u64 size, u32 model)
{
	struct mem_config cfg = config(cores, islands, size);
	int fd = memfd_create("dram", 0);
	long r;

	cfg.model = model;
	r = mem_format(fd, &cfg);
	close(fd);
	return r;
}

static void t_refused(void)
{
	struct mem_fds fds = { memfd_create("empty", 0), -1 };
	struct island isl, again;
	struct mem_config cfg = config(2, 2, WORLD_SIZE);
	void *p;

	is(try(0, 1, WORLD_SIZE, 0), -EINVAL, "no cores");
	is(try(65, 1, WORLD_SIZE, 0), -EINVAL, "too many cores");
	is(try(2, 0, WORLD_SIZE, 0), -EINVAL, "no islands");
	is(try(2, 3, WORLD_SIZE, 0), -EINVAL, "more islands than cores");
	is(try(2, 2, WORLD_SIZE, 3), -EINVAL, "an unknown model");
	is(try(2, 2, 0, 0), -EINVAL, "no memory");
	is(try(2, 2, 20 << 20, 0), -EINVAL, "too little memory");
	is(try(2, 2, 1ULL << 50, 0), -EINVAL, "too much");
	is(mem_map(&isl, &fds, 0), -EINVAL, "an empty file");
	need(ftruncate(fds.dram, 1 << 20) == 0, "ftruncate");
	is(mem_map(&isl, &fds, 0), -EINVAL, "a file of zeroes");
	ok(mem_format(fds.dram, &cfg) > 0, "which can be formatted");
	is(mem_map(&isl, &fds, 2), -EINVAL, "an island that there is not");
	is(mem_map(&isl, &fds, 0), 0, "one that there is");
	is(mem_map(&again, &fds, 0), -EEXIST, "but not twice");
	p = isl.base;
	ok(isl.super->magic == SUPER_MAGIC, "the first mapping is unharmed");
	mem_unmap(&isl);
	is(mem_map(&isl, &fds, 0), 0, "again, when it was unmapped");
	ok(isl.base == p, "at the same address");
	mem_unmap(&isl);
	close(fds.dram);
	fds.dram = -1;
	is(mem_map(&isl, &fds, 0), -EBADF, "no file at all");
}

static bool mapped(const void *p)
{
	unsigned char vec;

	return mincore((void *)((u64)p & ~4095ULL), 4096, &vec) == 0;
}

static void t_what_is_mapped(u32 model)
{
	const char *name = world_model(model);
	struct world w;
	u32 wrong = 0;

	world_new(&w, &(struct world_cfg){ .cores = 4, .islands = 2, .model = model });
	for (u32 i = 0; i < 2; i++) {
		struct island *isl = &w.isl[i];

		for (u32 c = 0; c < 4; c++) {
			char *ck = (char *)mem_ck(isl, c);
			bool near = mem_is_near(isl, c);

			wrong += near != (c / 2 == i);
			wrong += mapped(ck) != near;
			wrong += mapped(ck + isl->super->ck_size - 1) != near;
			wrong += !mapped(
				mem_block(isl, 1 + c * isl->super->blocks_per_core));
		}
		wrong += !mapped(mem_block(isl, 4 * isl->super->blocks_per_core));
		wrong += mem_block_off(isl, 1) != isl->super->block_off;
	}
	is(wrong, 0,
	   "%s: own core kernels and all blocks are mapped, and no foreign core kernel",
	   name);
	mem_block(&w.isl[0], 5)[7] = 'x';
	mem_writeback(&w.isl[0], mem_block(&w.isl[0], 5), PAGE_SIZE);
	ok(pread(mem_block_fd(&w.isl[0]), &(char){ 0 }, 1,
		 (off_t)mem_block_off(&w.isl[0], 5) + 7) == 1,
	   "%s: blocks can be read through the descriptor", name);
	is(mem_block_fd(&w.isl[0]) == w.dram, model != MEM_EMULATED,
	   "%s: which is DRAM's unless emulated", name);
	world_end(&w);
}

/* Partitioned: an island has the blocks of its own cores, whichever of them serve, and no others. */
static void t_partitioned(u32 model, u32 split)
{
	struct world w;
	u32 wrong = 0, share;

	world_new(&w, &(struct world_cfg){ .cores = 4,
					   .islands = 2,
					   .model = model,
					   .split = split,
					   .without = WITHOUT_DIRECT_ACCESS });
	share = w.isl[0].super->blocks_per_core;
	wrong += !share || share % 512; /* islands map pieces of 2 MiB */
	for (u32 i = 0; i < 2; i++) {
		struct island *isl = &w.isl[i];

		for (blk_t blk = 1; blk <= 4 * share; blk += blk % share ? share - 1 : 1) {
			bool own = (blk - 1) / share / 2 == i;

			wrong += mem_has_block(isl, blk) != own;
			wrong += mapped(mem_block(isl, blk)) != own;
		}
		wrong += mem_has_block(isl, 0) || mem_has_block(isl, 4 * share + 1);
		for (u32 c = 0; c < 4; c++)
			wrong += mapped(mem_ck(isl, c)) != (c / 2 == i);
	}
	is(wrong, 0, "%s, partitioned, %u serve alone: own blocks are mapped and no others",
	   world_model(model), split);
	world_end(&w);
}

/* Formatting again forgets everything. */
static void t_again(void)
{
	struct mem_config cfg = config(1, 1, WORLD_SIZE);
	struct mem_fds fds = { memfd_create("dram", 0), -1 };
	struct island isl;
	u64 first;

	mem_format(fds.dram, &cfg);
	mem_map(&isl, &fds, 0);
	first = isl.super->boot_id;
	memset(isl.base + isl.super->ring_off, 0xff, 4096);
	memset(isl.doorbells, 0xff, 64);
	mem_unmap(&isl);
	mem_format(fds.dram, &cfg);
	mem_map(&isl, &fds, 0);
	ok(isl.super->boot_id != first, "another boot");
	ok(!isl.base[isl.super->ring_off] && !isl.doorbells[0],
	   "with empty rings and doorbells");
	mem_unmap(&isl);
	close(fds.dram);
}

/* Huge pages, if this machine has any to give. */
static void t_huge(void)
{
	struct mem_config cfg = config(2, 2, 64 << 20);
	struct mem_fds fds = { memfd_create("huge", MFD_HUGETLB), -1 };
	struct island a, b;
	void *p;

	p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (fds.dram < 0 || p == MAP_FAILED) {
		ok(1, "huge pages # SKIP this machine has none");
		return;
	}
	munmap(p, 64 << 20);
	ok(mem_format(fds.dram, &cfg) > 0, "huge pages can be formatted");
	ok(mem_map(&a, &fds, 0) == 0 && mem_map(&b, &fds, 1) == 0, "and mapped");
	mem_unmap(&a);
	mem_unmap(&b);
	close(fds.dram);
}

/* With or without the host's help, what was there stays. */
static void t_gather(void)
{
	struct mem_config cfg = config(2, 2, 64 << 20);
	struct mem_fds fds = { memfd_create("gather", 0), -1 };
	struct island a, b;
	u64 *ck, bad = 0;
	long r;

	ok(mem_format(fds.dram, &cfg) > 0 && mem_map(&a, &fds, 0) == 0 &&
		   mem_map(&b, &fds, 1) == 0,
	   "two islands");
	ck = (u64 *)(a.base + a.super->ck_off);
	for (u64 i = 0; i < MEM_HUGE / 8; i += 300)
		ck[i] = i + 1;
	r = mem_gather((char *)ck + 5000);
	ok(!r || (r < 0 && r > -4096), "huge pages are had, or refused (%ld)", r);
	(void)mem_gather(a.super);
	for (u64 i = 0; i < MEM_HUGE / 8; i += 300)
		bad += ck[i] != i + 1;
	ok(!bad && b.super->magic == SUPER_MAGIC, "what was there is there");
	mem_unmap(&a);
	mem_unmap(&b);
	close(fds.dram);
}

int main(void)
{
	t_geometry();
	t_refused();
	t_what_is_mapped(MEM_COHERENT);
	t_what_is_mapped(MEM_EMULATED);
	for (u32 split = 0; split < 3; split++) {
		t_partitioned(MEM_COHERENT, split);
		t_partitioned(MEM_EMULATED, split);
	}
	t_again();
	t_huge();
	t_gather();
	return done_testing();
}
