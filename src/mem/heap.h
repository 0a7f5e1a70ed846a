/* SPDX-License-Identifier: MIT */
/* The core-kernel heap's inside, for src/mem alone. */
#ifndef HARE_MEM_HEAP_H
#define HARE_MEM_HEAP_H

#include "mem/mem.h"

/* Moves what was freed from the garbage list to the free lists, each item in a transaction of
 * its own, so that dying in between loses nothing. No transaction may be open. */
void ck_collect(struct ck *ck);

#endif
