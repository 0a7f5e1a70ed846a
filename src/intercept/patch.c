/* SPDX-License-Identifier: MIT */
/*
 * One-byte patches of sites that trap often.
 *
 *   before   site: 0f 05  n0 n1 n2          syscall; whatever follows
 *   after    site: e9 05  n0 n1 n2          jmp site + 5 + (n2 n1 n0 05)
 *   stub     lea  site+2(%rip), %rcx        12 bytes, at the jmp's target
 *            jmp  hub
 *   hub      jmp  *icpt_entry               one per 256 MB: a rel32 reaches it
 *
 * Only the first byte changes, so the store is atomic, a thread that is about to execute the
 * site sees one or the other, nothing needs to be disassembled, and code that jumps behind the
 * syscall is unharmed. The target is where the bytes say: in glibc mostly 4 MB or 20.8 MB
 * ahead, which is why images are placed far apart (place_image). A site whose target is taken,
 * and any site outside of images that we placed, stays on SUD.
 *
 * Runs in the SIGSYS handler. Never waits: when another thread is patching, this site's turn
 * comes at its next trap. Stub pages are never writable: they are filled before they become
 * executable, and later stubs are written through /proc/self/mem.
 */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "base/hash.h"
#include "intercept/icpt.h"

#define HOT_SLOTS 1024  /* sites being counted; a collision starts over */
#define PAGE_SLOTS 4096 /* stub pages; a power of two */
#define PAGES_MAX (PAGE_SLOTS / 2)
#define STUB_SIZE 12
#define HUB_MASK 0x0fffffffULL
#define HUB_OFF 0x0ffff000ULL
#define FREE_BYTE 0xcc
#define HOT_REFUSED 0x80000000u /* count of a site that cannot be patched */

struct hot {
	u64 site;
	u32 count;
	u32 pad;
};

static struct hot g_hot[HOT_SLOTS];
static u64 g_pages[PAGE_SLOTS]; /* open addressing; entries are only added */
static u32 g_pages_count;
static u32 g_busy; /* a thread is patching */

static bool page_known(u64 page)
{
	u64 h = hash_u64(page);

	for (;; h++) {
		u64 have = __atomic_load_n(&g_pages[h % PAGE_SLOTS], __ATOMIC_RELAXED);

		if (have == page)
			return true;
		if (!have)
			return false;
	}
}

static void page_add(u64 page)
{
	u64 h = hash_u64(page);

	while (g_pages[h % PAGE_SLOTS])
		h++;
	__atomic_store_n(&g_pages[h % PAGE_SLOTS], page, __ATOMIC_RELEASE);
	g_pages_count++;
}

/* Makes sure that the page holds stubs; `fill` is written at its start when it is new. */
static bool page_make(u64 page, const void *fill, size_t fill_len)
{
	long at;

	if (page_known(page))
		return true;
	if (g_pages_count >= PAGES_MAX)
		return false;
	at = SYS(mmap, page, PAGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (at != (long)page) {
		if (!sys_failed(at))
			SYS(munmap, at, PAGE_SIZE); /* an old kernel took it for a hint */
		return false;
	}
	memset((void *)page, FREE_BYTE, PAGE_SIZE);
	memcpy((void *)page, fill, fill_len);
	SYS(mprotect, page, PAGE_SIZE, PROT_READ | PROT_EXEC);
	page_add(page);
	return true;
}

static bool write_text(int mem, u64 addr, const void *bytes, size_t len)
{
	return SYS(pwrite64, mem, bytes, len, addr) == (long)len;
}

/* True when the stub's bytes are there, or can be: nothing else lies at its place. */
static bool stub_put(int mem, u64 target, const u8 stub[STUB_SIZE])
{
	const u8 *there = (const u8 *)target;

	if (!memcmp(there, stub, STUB_SIZE))
		return true; /* of a library that was unloaded and is back */
	for (int i = 0; i < STUB_SIZE; i++) {
		if (there[i] != FREE_BYTE)
			return false;
	}
	return write_text(mem, target, stub, STUB_SIZE);
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
	u8 code[5], stub[STUB_SIZE], hub_code[14] = {0xff, 0x25};
	u64 target, first, last, hub, entry = (u64)icpt_entry;
	s32 rel;

	if (SYS(pread64, mem, code, sizeof(code), site) != sizeof(code) ||
	    code[0] != 0x0f || code[1] != 0x05)
		return false;
	memcpy(&rel, code + 1, 4);
	target = site + 5 + (u64)(s64)rel;
	first = ALIGN_DOWN(target, PAGE_SIZE);
	last = ALIGN_DOWN(target + STUB_SIZE - 1, PAGE_SIZE);
	hub = (target & ~HUB_MASK) | HUB_OFF;
	if (target < 0x10000 || target >= 1ULL << 47 || first == hub || last == hub)
		return false;
	memcpy(hub_code + 6, &entry, 8);
	if (!page_make(first, NULL, 0) || !page_make(last, NULL, 0) ||
	    !page_make(hub, hub_code, sizeof(hub_code)))
		return false;
	stub_make(stub, site, target, hub);
	return stub_put(mem, target, stub) && write_text(mem, site, "\xe9", 1);
}

static bool is_placed(u64 site)
{
	return (site >= g_program.lib_base && site < g_program.lib_next) ||
	       (site >= g_program.main_lo && site < g_program.main_hi);
}

void patch_count(u64 site)
{
	struct hot *h = &g_hot[hash_u64(site) % HOT_SLOTS];
	long mem;

	if (!g_program.patch_after || !is_placed(site))
		return;
	if (h->site != site) { /* races between threads lose a count, no more */
		h->site = site;
		h->count = 0;
	}
	if (h->count >= HOT_REFUSED || ++h->count < g_program.patch_after)
		return;
	h->count = 0;
	if (__atomic_exchange_n(&g_busy, 1, __ATOMIC_ACQUIRE))
		return;
	mem = SYS(open, "/proc/self/mem", O_RDWR | O_CLOEXEC, 0);
	if (mem >= 0) {
		if (!patch_site((int)mem, site))
			h->count = HOT_REFUSED;
		SYS(close, mem);
	}
	__atomic_store_n(&g_busy, 0, __ATOMIC_RELEASE);
}

/* The thread that was patching is not in the child; what it left half done is harmless. */
void patch_fork_child(void)
{
	if (g_busy)
		g_busy = 0;
}

u64 patch_stub_return(u64 rip, u64 rcx)
{
	const u8 *code = (const u8 *)rip;
	s32 rel;

	if (!g_pages_count || !page_known(ALIGN_DOWN(rip, PAGE_SIZE)))
		return 0;
	if (code[0] == 0x48 && code[1] == 0x8d && code[2] == 0x0d) {
		memcpy(&rel, code + 3, 4);
		return rip + 7 + (u64)(s64)rel;
	}
	return rcx;
}
