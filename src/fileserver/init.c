/* SPDX-License-Identifier: MIT */
/* Boot of a file server, statistics, and what the deaths of cores and processes undo. */
#include "fileserver/fs.h"

#define CLAMP(x, lo, hi) MIN(MAX(x, (u64)(lo)), (u64)(hi))

static long root_new(struct ctx *c, struct ck *ck, u32 dflags)
{
	const struct super *s = c->isl->super;
	struct rpc_env e = { .c = c, .ck = ck, .srv = ck->core, .core = c->core };
	struct fs_inode *i =
		fs_inode_new(&e, CK_GROWTH, HS_IFDIR | 01777, s->uid, s->gid);

	if (!i)
		return -ENOSPC;
	BUG_ON(i->node.key != INO_ROOT);
	fs_inode_part(i)->dflags = dflags;
	return fs_dir_set_parent(&e, fs_inode_part(i), INO_ROOT, dflags, "", 0);
}

static long root_shard(struct ctx *c, struct ck *ck)
{
	const struct super *s = c->isl->super;
	struct rpc_env e = { .c = c, .ck = ck, .srv = ck->core, .core = c->core };
	struct req_SHARD q = { .dir = INO_ROOT,
			       .op = SHARD_NEW,
			       .mode = 01777,
			       .uid = s->uid,
			       .gid = s->gid };
	struct rep_SHARD p = { 0 };

	return fs_shard(&e, &q, &p);
}

long fs_init(struct ctx *c, struct ck *ck, u32 root_dflags)
{
	const struct super *s = c->isl->super;
	u64 heap = ck->heap_end - ck->heap_next;
	u64 buckets = CLAMP(heap / 4096, FS_TABLE_SEG, 32 * FS_TABLE_SEG);
	struct fs *f = ck_alloc(ck, sizeof(*f));

	if (!f)
		return -ENOSPC;
	f->srv = ck->core;
	for (u32 i = 0; i < c->isl->near_count; i++)
		f->near_cores |= 1ULL << (c->isl->first_core + i);
	f->cores = s->cores;
	f->servers = s->servers;
	f->super = s;
	f->blk_cores = mem_block_cores(s);
	/* Partitioned: nobody else accesses its blocks. */
	f->coherent = s->model == MEM_COHERENT || mem_is_partitioned(s);
	f->no_cache = !!(s->without & WITHOUT_DIRECTORY_CACHE);
	f->next_ino = ((u64)ck->core << INO_SERVER_SHIFT) | 1;
	f->next_ofd = 1;
	f->neg_max = CLAMP(heap / 8192, 256, 65536);
	list_init_fresh(&f->marks);
	list_init_fresh(&f->neg_lru);
	list_init_fresh(&f->more);
	list_init_fresh(&f->blocked);
	list_init_fresh(&f->dead_locks);
	list_init_fresh(&f->rename_waiters);
	list_init_fresh(&f->copies_new);
	for (u32 i = 0; i < FS_COPY_BUCKETS; i++)
		list_init_fresh(&f->copies[i]);
	if (fs_table_init(ck, &f->inodes, buckets) < 0 ||
	    fs_table_init(ck, &f->entries, buckets) < 0 ||
	    fs_table_init(ck, &f->shards, FS_TABLE_SEG) < 0 ||
	    fs_table_init(ck, &f->negs, FS_TABLE_SEG) < 0 ||
	    fs_blk_init(ck, f, s->blocks_per_core) < 0)
		return -ENOSPC;
	TX_SET(ck, ck->root[CK_ROOT_FS], f);
	if (ck->core == ino_server(INO_ROOT))
		return root_new(c, ck, root_dflags & DIR_DISTRIBUTED);
	return root_dflags & DIR_DISTRIBUTED && ck->core < s->servers ? root_shard(c, ck)
								      : 0;
}

void fs_stats(struct ck *ck, struct fs_stats *s)
{
	const struct fs *f = fs_of(ck);

	s->inodes = f->inodes.count;
	s->entries = f->entries.count;
	s->negative = f->negs.count;
	s->blocks = f->blk_own - f->blk_kept;
	s->blocks_free = fs_blk_room(f) + f->dead_blocks;
	s->heap = ck->heap_end - ck->heap_base;
	s->heap_used = ck->heap_used;
}

/* --- deaths ------------------------------------------------------------------------------------ */

void fs_core_died(struct ctx *c, struct ck *ck, u32 core)
{
	struct fs *f = fs_of(ck);
	struct rpc_env e = {
		.c = c, .ck = ck, .srv = ck->core, .core = core, .far = true
	};
	struct list *next;

	for (struct list *l = f->more.next; l != &f->more; l = next) {
		struct fs_inode *i = LIST_ENTRY(l, struct fs_more, all)->inode;

		next = l->next;
		fs_far_drop(&e, i, core);
		ck_commit(ck);
	}
}

void fs_owner_died(struct ctx *c, struct ck *ck, u64 owner)
{
	struct fs *f = fs_of(ck);
	/* far: whom it wakes is woken at once, since no call returns to do it. */
	struct rpc_env e = {
		.c = c, .ck = ck, .srv = ck->core, .core = c->core, .far = true
	};

	if (!owner)
		return;
	fs_marks_owner_died(&e, owner);
	ck_commit(ck);
	fs_locks_owner_died(&e, owner);
	ck_commit(ck);
	if (OWNER_PROC(f->rename_owner) == owner) {
		TX_SET(ck, f->rename_owner, 0);
		fs_wake_all(&e, &f->rename_waiters, FS_WAIT_ANY);
	}
}
