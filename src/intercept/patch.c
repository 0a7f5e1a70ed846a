/* SPDX-License-Identifier: MIT */
/*
 * One-byte patches of sites that trap often.
 *
 *   before   site: 0f 05  n0 n1 n2          syscall; whatever follows
 *   after    site: e9 05  n0 n1 n2          jmp site + 5 + (n2 n1 n0 05)
 *   stub     lea  site+2(%rip), %rcx        15 bytes, at the jmp's target
 *            jmp  *%gs:T_ENTRY               to icpt_entry
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
 * When: in the SIGSYS handler, at a site that has trapped often in this process; when a
 * file is mapped, at the sites that other processes met in it often (src/client/sites.c),
 * before its pages are executable; and before a fork, at those that children met. Nobody
 * waits: while another thread is patching, a site's turn comes later.
 */
#include <asm/stat.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/stat.h>

#include "base/hash.h"
#include "intercept/icpt.h"

#define HOT_SLOTS   512 /* sites being counted; a collision starts over. One page */
#define AREA_SIZE   (2UL << 20)
#define AREA_SLOTS  4096 /* areas; a power of two */
#define AREAS_MAX   (AREA_SLOTS / 2)
#define AREA_USED   (AREA_SIZE - PAGE_SIZE) /* too little for a huge page of the host's */
#define STUB_SIZE   15
#define OPEN_MAX    4 /* areas that one file's sites need, hardly ever more */
#define KNOWN_MAX   200 /* sites of a file that are patched as it is mapped */
#define TALLY_MAX   16
#define STUBS_LEAST 4 /* for a new area, as a file is mapped */
#define IMAGES_MAX  32
#define HOT_REFUSED 0x8000u /* count of a site that cannot be patched */

/* site << 16 | count */
static u64 g_hot[HOT_SLOTS] __attribute__((aligned(PAGE_SIZE)));
/* Open addressing; entries are only added. See area_key. */
static u64 g_areas[AREA_SLOTS];
static u32 g_areas_count;
static u32 g_busy; /* a thread is patching */

/* Text that is mapped from a file. */
static struct image_text {
	u64 lo, hi; /* hi 0: not yet entered */
	u64 off; /* of lo, in the file */
	u64 file; /* its number, see client_site_trapped */
} g_images[IMAGES_MAX];
static u32 g_images_count;
static u64 g_news_seen; /* of client_sites_news */

struct area {
	u64 base, size; /* size 0: none */
};

/* One go at patching, by who holds g_busy. */
struct patcher {
	bool direct; /* the sites' pages are writable, and not executable */
	s32 mem; /* /proc/self/mem, once it is needed; -1 */
	u32 open; /* of area: new ones, writable until the end */
	struct area area[OPEN_MAX];
};

/* What stands in g_areas: the base, and in its lowest bit that it is one page. */
static u64 area_key(const struct area *a)
{
	return a->base | (a->size == PAGE_SIZE);
}

static u64 area_end(const struct area *a)
{
	return a->base + MIN(a->size, AREA_USED);
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

static bool area_map(struct patcher *p, const struct area *a)
{
	u64 len = area_end(a) - a->base;
	long at = SYS(mmap, a->base, len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		      -1, 0);

	if (at != (long)a->base) {
		if (!sys_failed(at))
			SYS(munmap, at, len); /* an old kernel took it for a hint */
		return false;
	}
	if (p->direct && p->open < OPEN_MAX)
		p->area[p->open++] = *a;
	else
		SYS(mprotect, a->base, len, PROT_READ | PROT_EXEC);
	key_add(area_key(a));
	return true;
}

/* The area around addr; makes it when there is none yet. */
static bool area_get(struct patcher *p, u64 addr, struct area *a)
{
	if (area_find(addr, a))
		return true;
	if (g_areas_count >= AREAS_MAX)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(area_sizes); i++) {
		*a = (struct area){ ALIGN_DOWN(addr, area_sizes[i]), area_sizes[i] };
		if (area_map(p, a))
			return true;
	}
	return false;
}

static bool area_is_open(const struct patcher *p, const struct area *a)
{
	for (u32 i = 0; i < p->open; i++) {
		if (p->area[i].base == a->base && p->area[i].size == a->size)
			return true;
	}
	return false;
}

static s32 memory_of(struct patcher *p)
{
	if (p->mem < 0)
		p->mem = (s32)SYS(open, "/proc/self/mem", O_RDWR | O_CLOEXEC, 0);
	return p->mem;
}

static bool write_text(struct patcher *p, bool direct, u64 addr, const void *bytes,
		       size_t len)
{
	if (!direct)
		return SYS(pwrite64, memory_of(p), bytes, len, addr) == (long)len;
	memcpy((void *)addr, bytes, len);
	return true;
}

static bool read_text(struct patcher *p, u64 addr, void *bytes, size_t len)
{
	if (!p->direct)
		return SYS(pread64, memory_of(p), bytes, len, addr) == (long)len;
	memcpy(bytes, (const void *)addr, len);
	return true;
}

static bool patch_begin(struct patcher *p, bool direct)
{
	if (__atomic_exchange_n(&g_busy, 1, __ATOMIC_ACQUIRE))
		return false;
	p->direct = direct;
	p->mem = -1;
	p->open = 0;
	return true;
}

static void patch_end(struct patcher *p)
{
	for (u32 i = 0; i < p->open; i++) {
		const struct area *a = &p->area[i];

		SYS(mprotect, a->base, area_end(a) - a->base, PROT_READ | PROT_EXEC);
	}
	if (p->mem >= 0)
		SYS(close, p->mem);
	__atomic_store_n(&g_busy, 0, __ATOMIC_RELEASE);
}

static bool is_stub(const u8 *p)
{
	return p[0] == 0x48 && p[1] == 0x8d && p[2] == 0x0d && p[7] == 0x65 &&
	       p[8] == 0xff;
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
static bool stub_put(struct patcher *p, const struct area *a, u64 target,
		     const u8 stub[STUB_SIZE])
{
	if (!memcmp((const u8 *)target, stub, STUB_SIZE))
		return true; /* of a library that was unloaded and is back */
	return is_free(a, target) &&
	       write_text(p, area_is_open(p, a), target, stub, STUB_SIZE);
}

static void stub_make(u8 stub[STUB_SIZE], u64 site, u64 target)
{
	s32 to_return = (s32)(site + SYSCALL_LEN - (target + 7));
	u32 entry = T_ENTRY;

	memcpy(stub, "\x48\x8d\x0d", 3);
	memcpy(stub + 3, &to_return, 4);
	memcpy(stub + 7, "\x65\xff\x24\x25", 4);
	memcpy(stub + 11, &entry, 4);
}

/* Where the site's stub has to be; 0: it cannot be patched. */
static u64 target_of(struct patcher *p, u64 site)
{
	u8 code[5];
	u64 target;
	s32 rel;

	if (!read_text(p, site, code, sizeof(code)) || code[0] != 0x0f || code[1] != 0x05)
		return 0;
	memcpy(&rel, code + 1, 4);
	target = site + 5 + (u64)(s64)rel;
	return target < 0x10000 || target >= 1ULL << 47 ? 0 : target;
}

static bool patch_site(struct patcher *p, u64 site)
{
	u64 target = target_of(p, site);
	u8 stub[STUB_SIZE];
	struct area area;

	if (!target || !area_get(p, target, &area) ||
	    target + STUB_SIZE > area_end(&area))
		return false;
	stub_make(stub, site, target);
	return stub_put(p, &area, target, stub) &&
	       write_text(p, p->direct, site, "\xe9", 1);
}

static bool is_placed(u64 site)
{
	return (site >= g_program.lib_base && site < g_program.lib_next) ||
	       (site >= g_program.main_lo && site < g_program.main_hi);
}

/* --- what processes learn from each other ------------------------------------------- */

static void learn(u64 site, u32 weight)
{
	struct task *t = &thread_self()->task;
	u32 count =
		MIN(__atomic_load_n(&g_images_count, __ATOMIC_RELAXED), (u32)IMAGES_MAX);

	for (u32 i = 0; i < count && t->ctx.ck; i++) {
		const struct image_text *m = &g_images[i];

		if (site < __atomic_load_n(&m->hi, __ATOMIC_ACQUIRE) && site >= m->lo) {
			client_site_trapped(t, m->file, (u32)(site - m->lo + m->off),
					    weight);
			return;
		}
	}
}

void patch_count(u64 site)
{
	u64 *h = &g_hot[hash_u64(site) % HOT_SLOTS];
	u32 count = *h >> 16 == site ? (u32)*h & 0xffff : 0;
	struct patcher p;

	if (!g_program.patch_after || !is_placed(site) || count >= HOT_REFUSED)
		return;
	*h = site << 16 | ++count; /* races between threads lose a count, no more */
	if (count == 1)
		learn(site, 1);
	if (count < MIN(g_program.patch_after, HOT_REFUSED - 1))
		return;
	if (!patch_begin(&p, false))
		return;
	*h = site << 16;
	if (patch_site(&p, site))
		learn(site, count);
	else
		*h = site << 16 | HOT_REFUSED;
	patch_end(&p);
}

/* The same only for a file that has the same contents. 0: none. */
static u64 file_number(int fd)
{
	struct stat st;
	u64 h;

	if (sys_failed(SYS(fstat, fd, &st)) || !S_ISREG(st.st_mode))
		return 0;
	h = hash_u64(st.st_dev) ^ st.st_ino;
	h = hash_u64(h) ^ (u64)st.st_size;
	h = hash_u64(h) ^ (st.st_mtime << 30 ^ st.st_mtime_nsec);
	return hash_u64(h) ^ (st.st_ctime << 30 ^ st.st_ctime_nsec);
}

static void image_add(u64 lo, const long a[6], u64 file)
{
	u32 i = __atomic_fetch_add(&g_images_count, 1, __ATOMIC_RELAXED);

	if (i >= IMAGES_MAX)
		return;
	g_images[i].lo = lo;
	g_images[i].off = (u64)a[5];
	g_images[i].file = file;
	__atomic_store_n(&g_images[i].hi, lo + (u64)a[1], __ATOMIC_RELEASE);
}

/* How many stubs would lie where; an area costs a process as much as some traps. */
struct tally {
	u32 count;
	struct {
		u64 base;
		u32 stubs;
	} area[TALLY_MAX];
};

static void tally_add(struct tally *t, u64 target)
{
	u64 base = ALIGN_DOWN(target, AREA_SIZE);
	u32 i;

	for (i = 0; i < t->count && t->area[i].base != base; i++)
		;
	if (i == TALLY_MAX)
		return;
	if (i == t->count) {
		t->area[t->count].base = base;
		t->area[t->count++].stubs = 0;
	}
	t->area[i].stubs++;
}

static bool pays(const struct tally *t, u64 target)
{
	u64 base = ALIGN_DOWN(target, AREA_SIZE);
	struct area known;

	for (u32 i = 0; i < t->count; i++) {
		if (t->area[i].base == base && t->area[i].stubs >= STUBS_LEAST)
			return true;
	}
	return area_find(target, &known);
}

/* The sites of an image that is mapped writable and not yet executable. */
static void patch_known(struct patcher *p, u64 image, const u32 *off, u32 count)
{
	struct tally t = { 0 };

	for (u32 i = 0; i < count; i++) {
		u64 target = target_of(p, image + off[i]);

		if (target)
			tally_add(&t, target);
	}
	for (u32 i = 0; i < count; i++) {
		u64 target = target_of(p, image + off[i]);

		if (target && pays(&t, target))
			(void)patch_site(p, image + off[i]);
	}
}

static long map_patched(const long a[6], const u32 *off, u32 count)
{
	struct patcher p;
	long at;

	if (!patch_begin(&p, true))
		return -EBUSY;
	at = SYS(mmap, a[0], a[1], PROT_READ | PROT_WRITE, a[3], a[4], a[5]);
	if (!sys_failed(at))
		patch_known(&p, (u64)(at - a[5]), off, count);
	patch_end(&p);
	if (!sys_failed(at) && sys_failed(SYS(mprotect, at, a[1], a[2])))
		return -EPERM; /* a policy of the host's: mapped anew, as it was */
	return at;
}

/* Those of this mapping, with room behind each for what a patch looks at. */
static u32 sites_within(const long a[6], u32 *off, u32 count)
{
	u32 n = 0;

	for (u32 i = 0; i < count; i++) {
		if (off[i] >= (u64)a[5] && off[i] + 5 <= (u64)a[5] + (u64)a[1])
			off[n++] = off[i];
	}
	return n;
}

long patch_map(struct task *t, const long a[6])
{
	u64 file = g_program.patch_after && t->ctx.ck ? file_number((int)a[4]) : 0;
	u32 off[KNOWN_MAX], count = 0;
	long at = -EBUSY;

	if (file) {
		count = client_sites_hot(t, file, off, KNOWN_MAX);
		client_sites_mapped(t, file);
		count = sites_within(a, off, count);
	}
	if (count && (a[3] & MAP_FIXED))
		at = map_patched(a, off, count);
	if (sys_failed(at))
		at = SYS(mmap, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (!sys_failed(at) && file)
		image_add((u64)at, a, file);
	return at;
}

bool patch_is_text(const long a[6])
{
	return (a[2] & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC &&
	       !(a[3] & (MAP_ANONYMOUS | MAP_SHARED)) && is_placed((u64)a[0]);
}

void patch_before_fork(struct task *t)
{
	u64 news = client_sites_news(t);
	u32 off[KNOWN_MAX];
	u32 images = MIN(g_images_count, (u32)IMAGES_MAX);
	struct patcher p;

	if (news == g_news_seen || !g_program.patch_after || !patch_begin(&p, false))
		return;
	g_news_seen = news;
	for (u32 i = 0; i < images; i++) {
		const struct image_text *m = &g_images[i];
		u32 count = client_sites_hot(t, m->file, off, KNOWN_MAX);

		for (u32 k = 0; k < count; k++) {
			u64 site = m->lo + off[k] - m->off;

			if (site >= m->lo && site + 5 <= m->hi)
				(void)patch_site(&p, site);
		}
	}
	patch_end(&p);
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
		return rcx; /* its second instruction */
	memcpy(&rel, code + 3, 4);
	return rip + 7 + (u64)(s64)rel;
}
