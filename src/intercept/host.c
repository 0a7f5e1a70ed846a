/* SPDX-License-Identifier: MIT */
/*
 * base/host.h for code that runs inside a program: the clock. (The copies are in copy.S,
 * host_block in entry.S, host_signal_pending in deliver.c.)
 *
 * The vdso's clock_gettime reads the coarse clocks without a system call; it is compiled
 * without vector registers, so that we may call it.
 */
#include <linux/elf.h>
#include <linux/time.h>
#include <linux/time_types.h>

#include "intercept/icpt.h"

#define NS_PER_S 1000000000ULL

typedef int (*clock_fn)(int clock, struct __kernel_timespec *ts);

static clock_fn g_clock; /* NULL: the vdso has none */

struct vdso {
	u64 bias;
	const Elf64_Sym *syms;
	const char *strings;
	u64 count;
};

/* Finds symbol and string table by PT_DYNAMIC; the DT_HASH table tells the number of
 * symbols. */
static bool vdso_parse(const char *base, struct vdso *v)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)base;
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(base + eh->e_phoff);
	const Elf64_Dyn *dyn = NULL;

	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && !v->bias)
			v->bias = (u64)base + ph[i].p_offset - ph[i].p_vaddr;
		else if (ph[i].p_type == PT_DYNAMIC)
			dyn = (const Elf64_Dyn *)(base + ph[i].p_offset);
	}
	for (; dyn && dyn->d_tag != DT_NULL; dyn++) {
		const void *p = (const void *)(v->bias + dyn->d_un.d_ptr);

		if (dyn->d_tag == DT_SYMTAB)
			v->syms = p;
		else if (dyn->d_tag == DT_STRTAB)
			v->strings = p;
		else if (dyn->d_tag == DT_HASH)
			v->count = ((const u32 *)p)[1];
	}
	return v->syms && v->strings;
}

/* Newer kernels give only DT_GNU_HASH: then the symbols end where the strings begin. */
static u64 vdso_symbols(const struct vdso *v)
{
	if (v->count)
		return v->count;
	if ((u64)v->strings > (u64)v->syms)
		return ((u64)v->strings - (u64)v->syms) / sizeof(Elf64_Sym);
	return 0;
}

void host_init(u64 vdso)
{
	struct vdso v = { 0 };

	if (!vdso || !vdso_parse((const char *)vdso, &v))
		return;
	for (u64 i = 0; i < vdso_symbols(&v); i++) {
		const Elf64_Sym *s = &v.syms[i];

		if (s->st_shndx &&
		    !strcmp(v.strings + s->st_name, "__vdso_clock_gettime"))
			g_clock = (clock_fn)(v.bias + s->st_value);
	}
}

static u64 clock_ns(int clock)
{
	struct __kernel_timespec ts;

	if (unlikely(!g_clock && g_program.vdso)) {
		host_init(g_program.vdso); /* at the first use: most programs never ask */
		if (!g_clock)
			g_program.vdso = 0;
	}
	if (!g_clock || g_clock(clock, &ts))
		SYS(clock_gettime, clock, &ts);
	return (u64)ts.tv_sec * NS_PER_S + (u64)ts.tv_nsec;
}

u64 host_realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME_COARSE);
}

u64 host_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void host_unmaps(u64 addr, u64 len)
{
	if (likely(!g_program.vdso || addr >= g_program.vdso + 2 * PAGE_SIZE ||
		   addr + len <= g_program.vdso))
		return;
	g_program.vdso = 0;
	g_clock = NULL;
}
