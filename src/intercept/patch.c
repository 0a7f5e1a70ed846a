/* SPDX-License-Identifier: MIT */
/*
 * One-byte patches of sites that trap often.
 *
 *   before   site: 0f 05  n0 n1 n2          syscall; whatever follows
 *   after    site: e9 05  n0 n1 n2          jmp site + 5 + (n2 n1 n0 05)
 *   stub     lea  site+2(%rip), %rcx        12 bytes, at the jmp's target
 *            jmp  hub
 *   hub      jmp  *icpt_entry               at the end of each area of stubs
 *
 * Only the first byte changes, so the store is atomic, a thread that is about to execute
 * the site sees one or the other, nothing needs to be disassembled, and code that jumps
 * behind the syscall is unharmed. The target is where the bytes say: in glibc mostly 4 MB
 * or 20.8 MB ahead, which is why images are placed far apart (place_image). A site whose
 * target is taken, and any site outside of images that we placed, stays on SUD.
 *
 * Stubs lie in areas of 2 MB (few mappings make fork cheap), or of one page where there
 * is no room for that; memory is used only for pages that hold stubs. An area is never
 * writable once it is executable: stubs are written through /proc/self/mem.
 *
 * Runs in the SIGSYS handler. Never waits: when another thread is patching, this site's
 * turn comes at its next trap.
 */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "base/hash.h"
#include "intercept/icpt.h"

#define HOT_SLOTS   512 /* sites being counted; a collision starts over. One page */
#define AREA_SIZE   (2UL << 20)
#define AREA_SLOTS  4096 /* areas; a power of two */
#define AREAS_MAX   (AREA_SLOTS / 2)
#define STUB_SIZE   12
#define HUB_SIZE    16
#define HOT_REFUSED 0x8000u /* count of a site that cannot be patched */

/* site << 16 | count */
static u64 g_hot[HOT_SLOTS] __attribute__((aligned(PAGE_SIZE)));
/* Open addressing; entries are only added. See area_key. */
static u64 g_areas[AREA_SLOTS];
static u32 g_areas_count;
static u32 g_busy; /* a thread is patching */

struct area {
	u64 base, size; /* size 0: none */
};

/* What stands in g_areas: the base, and in its lowest bit that it is one page. */
static u64 area_key(const struct area *a)
{
	return a->base | (a->size == PAGE_SIZE);
}

static u64 area_hub(const struct area *a)
{
	return a->base + a->size - HUB_SIZE;
}

static bool key_known(u64 key)
{
	u64 h = hash_u64(key);

	for (;; h++) {
		u64 have = __atomic_load_n(&g_areas[h % AREA_SLOTS], __ATOMIC_RELAXED);

		if (have == key)
			return true;
		if (!have)
			return false;
	}
}

static void key_add(u64 key)
{
	u64 h = hash_u64(key);

	while (g_areas[h % AREA_SLOTS])
		h++;
	__atomic_store_n(&g_areas[h % AREA_SLOTS], key, __ATOMIC_RELEASE);
	g_areas_count++;
}

static const u64 area_sizes[] = { AREA_SIZE, PAGE_SIZE };

static bool area_find(u64 addr, struct area *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(area_sizes); i++) {
		*a = (struct area){ ALIGN_DOWN(addr, area_sizes[i]), area_sizes[i] };
		if (key_known(area_key(a)))
			return true;
	}
	return false;
}

static bool area_map(const struct area *a)
{
	u8 hub[HUB_SIZE] = { 0xff, 0x25 }; /* jmp *0(%rip), the address behind it */
	u64 entry = (u64)icpt_entry;
	long at = SYS(mmap, a->base, a->size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		      -1, 0);

	if (at != (long)a->base) {
		if (!sys_failed(at))
			SYS(munmap, at, a->size); /* an old kernel took it for a hint */
		return false;
	}
	SYS(madvise, a->base, a->size, MADV_NOHUGEPAGE);
	memcpy(hub + 6, &entry, sizeof(entry));
	memcpy((void *)area_hub(a), hub, HUB_SIZE);
	SYS(mprotect, a->base, a->size, PROT_READ | PROT_EXEC);
	key_add(area_key(a));
	return true;
}

/* The area around addr; makes it when there is none yet. */
static bool area_get(u64 addr, struct area *a)
{
	if (area_find(addr, a))
		return true;
	if (g_areas_count >= AREAS_MAX)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(area_sizes); i++) {
		*a = (struct area){ ALIGN_DOWN(addr, area_sizes[i]), area_sizes[i] };
		if (area_map(a))
			return true;
	}
	return false;
}

static bool write_text(int mem, u64 addr, const void *bytes, size_t len)
{
	return SYS(pwrite64, mem, bytes, len, addr) == (long)len;
}

static bool is_stub(const u8 *p)
{
	return p[0] == 0x48 && p[1] == 0x8d && p[2] == 0x0d && p[7] == 0xe9;
}

/* Nothing lies in the stub's place: it is empty, and no stub before it reaches into
 * it. */
static bool is_free(const struct area *a, u64 target)
{
	const u8 *there = (const u8 *)target;
	u64 before = MIN(target - a->base, (u64)STUB_SIZE - 1);

	for (u64 i = 1; i <= before; i++) {
		if (is_stub(there - i))
			return false;
	}
	for (int i = 0; i < STUB_SIZE; i++) {
		if (there[i])
			return false;
	}
	return true;
}

/* True when the stub's bytes are there, or can be. */
static bool stub_put(int mem, const struct area *a, u64 target, const u8 stub[STUB_SIZE])
{
	if (!memcmp((const u8 *)target, stub, STUB_SIZE))
		return true; /* of a library that was unloaded and is back */
	return is_free(a, target) && write_text(mem, target, stub, STUB_SIZE);
}

static void stub_make(u8 stub[STUB_SIZE], u64 site, u64 target, u64 hub)
{
	s32 to_return = (s32)(site + SYSCALL_LEN - (target + 7));
	s32 to_hub = (s32)(hub - (target + STUB_SIZE));

	memcpy(stub, "\x48\x8d\x0d", 3);
	memcpy(stub + 3, &to_return, 4);
	stub[7] = 0xe9;
	memcpy(stub + 8, &to_hub, 4);
}

static bool patch_site(int mem, u64 site)
{
	u8 code[5], stub[STUB_SIZE];
	struct area area;
	u64 target;
	s32 rel;

	if (SYS(pread64, mem, code, sizeof(code), site) != sizeof(code) ||
	    code[0] != 0x0f || code[1] != 0x05)
		return false;
	memcpy(&rel, code + 1, 4);
	target = site + 5 + (u64)(s64)rel;
	if (target < 0x10000 || target >= 1ULL << 47 || !area_get(target, &area) ||
	    target + STUB_SIZE > area_hub(&area))
		return false;
	stub_make(stub, site, target, area_hub(&area));
	return stub_put(mem, &area, target, stub) && write_text(mem, site, "\xe9", 1);
}

static bool is_placed(u64 site)
{
	return (site >= g_program.lib_base && site < g_program.lib_next) ||
	       (site >= g_program.main_lo && site < g_program.main_hi);
}

void patch_count(u64 site)
{
	u64 *h = &g_hot[hash_u64(site) % HOT_SLOTS];
	u32 count = *h >> 16 == site ? (u32)*h & 0xffff : 0;
	long mem;

	if (!g_program.patch_after || !is_placed(site) || count >= HOT_REFUSED)
		return;
	*h = site << 16 | ++count; /* races between threads lose a count, no more */
	if (count < MIN(g_program.patch_after, HOT_REFUSED - 1))
		return;
	*h = site << 16;
	if (__atomic_exchange_n(&g_busy, 1, __ATOMIC_ACQUIRE))
		return;
	mem = SYS(open, "/proc/self/mem", O_RDWR | O_CLOEXEC, 0);
	if (mem >= 0) {
		if (!patch_site((int)mem, site))
			*h = site << 16 | HOT_REFUSED;
		SYS(close, mem);
	}
	__atomic_store_n(&g_busy, 0, __ATOMIC_RELEASE);
}

/* The thread that was patching is not in the child; what it left half done is
 * harmless. */
void patch_fork_child(void)
{
	if (g_busy)
		g_busy = 0;
}

u64 patch_stub_return(u64 rip, u64 rcx)
{
	const u8 *code = (const u8 *)rip;
	struct area area;
	s32 rel;

	if (!g_areas_count || !area_find(rip, &area))
		return 0;
	if (!is_stub(code))
		return rcx; /* its second instruction, or the hub */
	memcpy(&rel, code + 3, 4);
	return rip + 7 + (u64)(s64)rel;
}
