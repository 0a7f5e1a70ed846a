/* SPDX-License-Identifier: MIT */
/* Mappings of Hare's files: what mapping.c, which keeps them, offers mmap.c, which has
 * the calls. */
#ifndef HARE_CLIENT_MAPPING_H
#define HARE_CLIENT_MAPPING_H

#include <linux/mman.h>

#include "client/file.h"

/* What a host mapping takes over from the program's flags. */
#define MAPPING_FLAGS (MAP_POPULATE | MAP_LOCKED | MAP_NORESERVE)

struct mapping {
	struct list link; /* fdtable.maps */
	struct ofd *pin;
	u64 start, end; /* addresses, whole pages */
	u64 off; /* of start in the file */
	u64 there; /* address up to which the file's pages are mapped */
	u32 prot;
	u32 shared;
	u32 stored; /* it may have been written through */
	u32 readonly; /* the descriptor was not writable */
	u64 cut; /* what it shows from this address on is no longer the file's; 0: nothing */
	u32 lazy; /* shared: there are holes that it does not show before they are touched */
	u64 seen; /* client_root.cuts before it was asked what there is to show */
};

static inline bool mapping_overlaps(const struct mapping *m, u64 from, u64 to)
{
	return m->start < to && from < m->end;
}

/* Something in it is shown later only, as it is protected then: parts that are protected
 * differently have records of their own. */
static inline bool is_partly_shown(const struct mapping *m)
{
	return m->lazy || m->there < m->end;
}

/* A description that keeps the file's blocks, with a reference noted as this thread's;
 * `of` is open in this process. NULL and *err. */
struct ofd *mapping_pin(struct task *t, struct ofd *of, bool writable, long *err);
/* Shows the file in the addresses of m, which are reserved, from m->there on; flags: of
 * mmap. */
long mapping_show(struct task *t, struct mapping *m, u32 flags);
/* The same where the host likes (hint: address or 0), if one host mapping can do it:
 * fills start, end, there and returns true. m->end is the length. */
bool mapping_show_once(struct task *t, struct mapping *m, u64 hint, u32 flags);
/* Enters a mapping; its pin's reference moves there. -ENOMEM. */
long mapping_add(struct task *t, const struct mapping *from);
/* The first that overlaps; NULL: none. */
struct mapping *mapping_find(struct fdtable *ft, u64 from, u64 to);
/* Mapping number n, as a copy; its pin is this thread's until ofd_put. False: there are
 * fewer. */
bool mapping_copy(struct task *t, struct fdtable *ft, u32 n, struct mapping *out);
/* Only one thread of a process changes what its mappings show, except in a fault while it does. */
bool mapping_lock(struct task *t); /* false: this thread has the lock */
void mapping_unlock(struct task *t, bool locked);
/* Nothing of the file is shown from m->there on, but SIGBUS. */
long map_beyond(struct task *t, const struct mapping *m);

/* --- cut.c ------------------------------------------------------------------------ */

/* Now: what mapping.seen is to be. */
u64 cut_now(struct task *t);
/* A mapping shows what there was to show since m->seen: what was cut meanwhile is marked. Lock
 * held; m is on the process's list, or about to be. */
void cut_missed(struct task *t, struct ck *ck, struct mapping *m);

/* Makes two records of one, in front of and from address `at`; false: no memory. Lock held. */
bool mapping_split(struct ck *ck, struct fdtable *ft, struct mapping *m, u64 at);
/* Makes one of those that were split, in [from, to] and beside it, where they are the same again;
 * lock held. */
void mapping_join(struct ck *ck, struct fdtable *ft, u64 from, u64 to);
/* The program has unmapped [from, to). */
void mappings_cut(struct task *t, u64 from, u64 to);
/* Writes back what was stored in [from, to), of a copy or of all, and tells the
 * servers. */
void mapping_flush(struct task *t, const struct mapping *m, u64 from, u64 to);
void mappings_flush(struct task *t, u64 from, u64 to);

#endif
