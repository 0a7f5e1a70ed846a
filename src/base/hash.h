/* SPDX-License-Identifier: MIT */
/* Hashes for tables and for the placement of directory entries (thesis, equation 3.1). */
#ifndef HARE_BASE_HASH_H
#define HARE_BASE_HASH_H

#include "base/types.h"

static inline u64 hash_u64(u64 x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	return x ^ (x >> 32);
}

/* Of (dir, name): eight bytes at a time, well mixed; about 1 ns per 8 bytes. */
static inline u64 hash_name(u64 dir, const char *name, size_t len)
{
	u64 h = dir * 0x9e3779b97f4a7c15ULL + len;

	while (len >= 8) {
		u64 w;

		__builtin_memcpy(&w, name, 8);
		h = (h ^ w) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
		name += 8;
		len -= 8;
	}
	while (len)
		h = (h ^ (u8)name[--len]) * 0x100000001b3ULL;
	return hash_u64(h);
}

#endif
