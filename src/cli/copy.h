/* SPDX-License-Identifier: MIT */
/* Copying a tree from one side to the other, as `cp -a` would. See copy.c. */
#ifndef HARE_CLI_COPY_H
#define HARE_CLI_COPY_H

#include "cli/side.h"

struct copy {
	/* set by the caller */
	struct side *from, *to;
	const char *verb; /* "import", "export": for messages */
	const char *from_name; /* the top, as people know it */
	const char *no_space; /* what to do when the target is full */
	/* results */
	u64 files, dirs, others, bytes; /* copied */
	u64 errors; /* things not copied, each said on stderr */
	u64 no_xattr; /* files whose attributes user.* the target cannot hold */
	bool stopped; /* by a full target or a signal: the rest was not tried */
	/* of copy.c */
	bool owners;
	u8 *buf;
	char *path; /* below the top, of what is being copied */
	size_t path_len, path_cap;
	struct link_slot *links;
	size_t link_count, link_cap;
	s32 to_top; /* directory that paths of links start from */
	u64 started_ns, shown_ns;
	u32 ticks;
	bool tty, shown;
};

/* Copies `name` in directory from_dir to `to_name` in to_dir, whatever it is. A directory that
 * is there already is merged into, and the topmost one keeps its own mode, owner and times.
 * Results are in *c; true when all of it was copied. */
bool copy_tree(struct copy *c, int from_dir, const char *name, int to_dir,
	       const char *to_name);

#endif
