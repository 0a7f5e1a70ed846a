/* SPDX-License-Identifier: MIT */
/* The memory models' inside, for src/mem alone. */
#ifndef HARE_MEM_MODELS_H
#define HARE_MEM_MODELS_H

#include "mem/mem.h"

#define MEM_LOCKS_SIZE 65536u /* bytes of an island's line locks */

/* Boot: brings DRAM that was just written at p, outside any island, into DRAM. */
void mem_flush_fresh(const struct super *s, char *p, size_t len);

#endif
