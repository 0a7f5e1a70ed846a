/* SPDX-License-Identifier: MIT */
/*
 * Fixed-width types and small predicates, used by every layer.
 *
 * Everything below src/cli is freestanding: it is compiled twice, once into the program
 * loader (no libc, general registers only) and once into the hare command and the tests.
 * Errors are negative errno everywhere: it is the kernel's own ABI.
 */
#ifndef HARE_BASE_TYPES_H
#define HARE_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define ARRAY_SIZE(a)		      (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)		      ((a) < (b) ? (a) : (b))
#define MAX(a, b)		      ((a) > (b) ? (a) : (b))
#define ALIGN_UP(x, a)		      (((x) + ((a)-1)) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a)	      ((x) & ~((__typeof__(x))(a)-1))
#define likely(x)		      __builtin_expect(!!(x), 1)
#define unlikely(x)		      __builtin_expect(!!(x), 0)
#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

#define CACHE_LINE   64
#define PAGE_SIZE    4096
#define MAX_CORES    64
#define NAME_LEN_MAX 255 /* bytes of one name, without the NUL */
#define PATH_LEN_MAX 4096 /* bytes of a path, with the NUL */
#define SYMLINKS_MAX 40

/* Keeps the compiler, not the processor, from moving memory accesses across it. */
#define compiler_barrier() __asm__ volatile("" ::: "memory")
static inline void cpu_pause(void)
{
	__builtin_ia32_pause();
}

/* A broken invariant of ours: says what and where on stderr, with the trace ring's tail,
 * and dies by SIGABRT. Never for bad input. */
_Noreturn void hare_bug(const char *file, int line, const char *what);
#define BUG(what) hare_bug(__FILE__, __LINE__, what)
#define BUG_ON(cond)                                                                     \
	do {                                                                             \
		if (unlikely(cond))                                                      \
			BUG(#cond);                                                      \
	} while (0)

#endif
