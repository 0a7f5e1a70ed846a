/* SPDX-License-Identifier: MIT */
/*
 * hare fsck: every invariant of a file server's state, and of all servers' together.
 *
 * Blocks: that each used block is referenced exactly once is checked without a copy of the
 * bitmap, by comparing count and hash sum of what is referenced with those of what is used.
 */
#include "fileserver/fs.h"

struct check {
	struct ck *ck;
	struct fs *f;
	void (*bad)(void *arg, const char *text);
	void *arg;
	u32 errors;
	u64 blocks, block_sum; /* referenced */
	u64 entries, subdirs; /* in all parts */
	u32 copies, pad;
};

__attribute__((format(printf, 2, 3))) static void report(struct check *k, const char *fmt,
							 ...)
{
	char text[512]; /* names are up to 255 bytes */
	va_list ap;

	va_start(ap, fmt);
	str_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	k->bad(k->arg, text);
	k->errors++;
}

/* --- blocks ------------------------------------------------------------------------------------- */

static void block(struct check *k, u64 blk, u64 ino)
{
	u64 n = blk - 1;

	k->blocks++;
	k->block_sum += hash_u64(blk);
	if (n >= k->f->blk_all || !fs_blk_own(k->f, n))
		report(k, "inode %lx: block %lu is not of this server", ino, blk);
	else if (!fs_blk_used(k->f, n))
		report(k, "inode %lx: block %lu is free", ino, blk);
}

static void map(struct check *k, const struct radix *r, u64 ino)
{
	u64 index = 0, v, n = 0;

	for (; radix_next(r, index, &index, &v); index++, n++)
		block(k, FS_BLK(v), ino);
	if (n != r->count)
		report(k, "inode %lx: map counts %lu blocks but holds %lu", ino, r->count,
		       n);
}

static void bitmap(struct check *k)
{
	const struct fs *f = k->f;
	u64 used = 0, own = 0, sum = 0;

	for (u64 n = 0; n < f->blk_all; n++) {
		own += fs_blk_own(f, n);
		if (!fs_blk_used(f, n)) {
			if (!fs_blk_own(f, n))
				report(k, "block %lu: free, but not of this server",
				       n + 1);
			continue;
		}
		if (!fs_blk_own(f, n))
			continue;
		used++;
		sum += hash_u64(1 + n);
	}
	for (u64 w = 0; w < (f->blk_all + 63) / 64; w++) {
		const struct fs_bitmap *m = f->blk_map[w / FS_BITMAP_WORDS];
		u64 i = w % FS_BITMAP_WORDS;

		if (!!(m->full[i / 64] & (1ULL << (i % 64))) != (m->used[i] == ~0ULL))
			report(k, "block bitmap: summary of word %lu is wrong", w);
	}
	if (own != f->blk_own || used + f->blk_free != own)
		report(k, "%lu blocks are used and %lu free, of %lu, counted as %lu",
		       used, f->blk_free, own, f->blk_own);
	if (used != k->blocks)
		report(k, "%lu blocks are used but %lu referenced", used, k->blocks);
	else if (sum != k->block_sum)
		report(k, "a used block is referenced twice and another not at all");
}

static void carriers(struct check *k, const struct fs_inode *c, const char *what,
		     u64 *blocks)
{
	u64 loops = 0;

	for (; c; c = (const struct fs_inode *)c->node.next) {
		map(k, &c->map, 0);
		*blocks += c->map.count;
		if (++loops > 1u << 24) {
			report(k, "the list of %s carriers has a loop", what);
			return;
		}
	}
}

/* --- tables and lists --------------------------------------------------------------------------- */

static void table(struct check *k, const struct fs_table *t, const char *what)
{
	u64 n = 0;

	for (u64 b = 0; b < t->buckets; b++) {
		for (struct fs_node *x = *fs_table_at(t, b); x; x = x->next) {
			if (fs_table_index(t, x->key) != b)
				report(k, "%s table: key %lx is in a wrong bucket", what,
				       x->key);
			if (++n > t->count) {
				report(k, "%s table: more nodes than its count %lu", what,
				       t->count);
				return;
			}
		}
	}
	if (n != t->count)
		report(k, "%s table: counts %lu but holds %lu", what, t->count, n);
}

static void list(struct check *k, const struct list *head, const char *what)
{
	u64 n = 0;

	for (const struct list *l = head;;) {
		if (l->next->prev != l || ++n > 1u << 28) {
			report(k, "the list of %s is broken", what);
			return;
		}
		l = l->next;
		if (l == head)
			return;
	}
}

static bool on_list(const struct list *head, const struct list *node)
{
	for (const struct list *l = head->next; l != head; l = l->next)
		if (l == node)
			return true;
	return false;
}

/* --- directories --------------------------------------------------------------------------------- */

static void part(struct check *k, const struct fs_part *p)
{
	u64 dir = p->node.key, at = 0, v, n = 0, subdirs = 0;
	bool owned = p->mark_owner || p->serial_owner;

	for (; radix_next(&p->cookies, at, &at, &v); at++, n++) {
		u64 cookie = at + FS_COOKIE_FIRST;
		const struct fs_entry *t = (const struct fs_entry *)v;

		if (t->dir != dir || t->cookie != cookie)
			report(k, "directory %lx: cookie %lu leads to an entry of %lx",
			       dir, cookie, t->dir);
		if (fs_entry_find(k->f, dir, t->name, t->len, t->node.key) != t)
			report(k, "directory %lx: entry '%.*s' is not in the table", dir,
			       (int)t->len, t->name);
		if (cookie >= p->next_cookie)
			report(k, "directory %lx: cookie %lu was not given yet", dir,
			       cookie);
		subdirs += t->type == HS_IFDIR >> 12;
	}
	if (n != p->entries || n != p->cookies.count)
		report(k, "directory %lx: counts %lu and %lu entries but holds %lu", dir,
		       p->entries, p->cookies.count, n);
	if (subdirs != p->subdirs)
		report(k, "directory %lx: counts %lu subdirectories but holds %lu", dir,
		       p->subdirs, subdirs);
	if (p->mark_owner && n)
		report(k, "directory %lx: is marked for removal but has entries", dir);
	if (owned != !list_empty(&p->marks) || owned != on_list(&k->f->marks, &p->marks))
		report(k, "directory %lx: its mark and the list of marks differ", dir);
	list(k, &p->waiters, "a directory's waiters");
	k->entries += n;
}

static void entries(struct check *k)
{
	const struct fs *f = k->f;

	for (struct fs_node *n = NULL; (n = fs_table_next(&f->entries, n));) {
		const struct fs_entry *t = (const struct fs_entry *)n;
		struct fs_dir d;
		const struct fs_inode *i;

		if (hash_name(t->dir, t->name, t->len) != n->key)
			report(k, "entry '%.*s' of %lx: wrong hash", (int)t->len, t->name,
			       t->dir);
		if (fs_dir_find(k->f, t->dir, &d) < 0) {
			report(k, "entry '%.*s': its directory %lx is not there",
			       (int)t->len, t->name, t->dir);
			continue;
		}
		if (radix_get(&d.part->cookies, t->cookie - FS_COOKIE_FIRST) != (u64)t)
			report(k, "entry '%.*s' of %lx: not under its cookie %lu",
			       (int)t->len, t->name, t->dir, t->cookie);
		if (ino_server(t->ino) != f->srv)
			continue;
		i = fs_inode_find(f, t->ino);
		if (!i || !i->nlink)
			report(k, "entry '%.*s' of %lx: inode %lx is not there",
			       (int)t->len, t->name, t->dir, t->ino);
		else if (fs_type(i) != (u32)t->type << 12)
			report(k, "entry '%.*s' of %lx: its type is not inode %lx's",
			       (int)t->len, t->name, t->dir, t->ino);
	}
	if (k->entries != f->entries.count)
		report(k, "directories hold %lu entries but the table %lu", k->entries,
		       f->entries.count);
}

static void negatives(struct check *k)
{
	const struct fs *f = k->f;
	u64 n = 0;

	for (struct fs_node *x = NULL; (x = fs_table_next(&f->negs, x)); n++) {
		const struct fs_neg *t = (const struct fs_neg *)x;

		if (fs_entry_find(f, t->dir, t->name, t->len, x->key))
			report(k, "'%.*s' of %lx is there and known not to be",
			       (int)t->len, t->name, t->dir);
	}
	list(k, &f->neg_lru, "negative entries");
	for (const struct list *l = f->neg_lru.next; l != &f->neg_lru; l = l->next)
		n--;
	if (n)
		report(k, "negative entries: table and list differ");
}

/* --- inodes ---------------------------------------------------------------------------------------- */

static void more(struct check *k, const struct fs_inode *i)
{
	const struct fs_more *m = i->more;
	u64 ino = i->node.key, far = 0, pins = 0, limbo = 0;

	if (m->inode != i)
		report(k, "inode %lx: its extension belongs to another", ino);
	for (const struct fs_far *x = m->far; x; x = x->next) {
		far += x->opens;
		pins += x->pins;
		if (!x->opens || x->core >= k->f->cores)
			report(k, "inode %lx: %u far opens by core %u", ino, x->opens,
			       x->core);
	}
	if (far != m->far_opens || far > i->opens || pins > m->pins)
		report(k, "inode %lx: %u opens, %u far, but %lu by far cores", ino,
		       i->opens, m->far_opens, far);
	if (m->limbo && !fs_has_direct(i))
		report(k, "inode %lx: blocks in limbo though nobody accesses it", ino);
	carriers(k, m->limbo, "limbo", &limbo);
	list(k, &m->locks, "locks");
	list(k, &m->lock_waiters, "lock waiters");
	list(k, &m->ofds, "shared descriptions");
	for (const struct list *l = m->ofds.next; l != &m->ofds; l = l->next)
		if (!LIST_ENTRY(l, const struct fs_ofd, link)->refs)
			report(k, "inode %lx: a shared description without references",
			       ino);
}

static void pipe(struct check *k, const struct fs_inode *i)
{
	const struct fs_pipe *p = i->pipe;
	u64 ino = i->node.key;

	if (!p)
		return;
	for (u32 n = 0; n < p->pages; n++)
		if (p->slot[n])
			block(k, p->slot[n], ino);
	if (p->tail < p->head || p->tail - p->head > (u64)p->pages * PAGE_SIZE)
		report(k, "pipe %lx: holds %ld bytes", ino, (long)(p->tail - p->head));
	if (!p->readers && !p->writers)
		report(k, "pipe %lx: has content but no ends", ino);
	for (u64 at = p->head; at < p->tail; at = (at / PAGE_SIZE + 1) * PAGE_SIZE)
		if (!p->slot[fs_pipe_page(p, at)])
			report(k, "pipe %lx: bytes without a block", ino);
	list(k, &p->waiters, "a pipe's waiters");
}

static void copy(struct check *k, const struct fs_inode *i)
{
	const struct fs_copy *cp = i->more->copy;
	const struct list *head =
		&k->f->copies[hash_u64(cp->ino) % ARRAY_SIZE(k->f->copies)];

	map(k, &cp->twins->map, i->node.key);
	k->copies++;
	if (cp->inode != i || !on_list(head, &cp->hash))
		report(k, "inode %lx: not the copy of inode %lx", i->node.key, cp->ino);
	if (!i->opens != on_list(&k->f->copies_new, &cp->link))
		report(k, "copy %lx: %u opens, but a list says otherwise", i->node.key,
		       i->opens);
}

static void inode(struct check *k, const struct fs_inode *i)
{
	u64 ino = i->node.key;

	if (ino_server(ino) != k->f->srv || ino >= k->f->next_ino)
		report(k, "inode %lx: a number that was never given", ino);
	if (!i->nlink && !i->opens && !(i->flags & FS_I_COPY))
		report(k, "inode %lx: neither linked nor open", ino);
	if (i->more)
		more(k, i);
	else if (i->flags & (FS_I_DIRTY | FS_I_REMOTE))
		report(k, "inode %lx: dirty without a range", ino);
	switch (fs_type(i)) {
	case HS_IFREG:
		map(k, &i->map, ino);
		if (i->flags & FS_I_COPY)
			copy(k, i);
		if (i->size > FS_SIZE_MAX)
			report(k, "inode %lx: size %lu", ino, i->size);
		if ((i->writers && i->runs) || (u64)i->writers + i->runs > i->opens)
			report(k, "inode %lx: %u writers, runs %u times, %u opens", ino,
			       i->writers, i->runs, i->opens);
		break;
	case HS_IFDIR:
		if (i->nlink > 1)
			report(k, "directory %lx: %u links", ino, i->nlink);
		if (!i->nlink && ((const struct fs_dirinode *)i)->part.entries)
			report(k, "directory %lx: removed, but has entries", ino);
		if (i->readers > i->opens)
			report(k, "directory %lx: %u readers, %u opens", ino, i->readers,
			       i->opens);
		part(k, &((const struct fs_dirinode *)i)->part);
		break;
	case HS_IFIFO:
		pipe(k, i);
		break;
	case HS_IFLNK:
		if (!i->target || strlen(i->target) != i->size)
			report(k, "symlink %lx: its target is not %lu bytes", ino,
			       i->size);
		break;
	case HS_IFSOCK:
	case HS_IFCHR:
	case HS_IFBLK:
		break;
	default:
		report(k, "inode %lx: type %x", ino, fs_type(i));
	}
}

u32 fs_check(struct ctx *c, struct ck *ck, void (*bad)(void *arg, const char *text),
	     void *arg)
{
	struct fs *f = fs_of(ck);
	struct check k = { .ck = ck, .f = f, .bad = bad, .arg = arg };
	u64 dead = 0;

	(void)c;
	if (!f) {
		bad(arg, "no file server was started here");
		return 1;
	}
	table(&k, &f->inodes, "inode");
	table(&k, &f->entries, "entry");
	table(&k, &f->shards, "shard");
	table(&k, &f->negs, "negative entry");
	list(&k, &f->marks, "marks");
	list(&k, &f->more, "inode extensions");
	list(&k, &f->blocked, "lock waiters");
	list(&k, &f->dead_locks, "dead locks");
	list(&k, &f->rename_waiters, "rename waiters");
	list(&k, &f->copies_new, "new copies");
	for (u32 i = 0; i < ARRAY_SIZE(f->copies); i++)
		list(&k, &f->copies[i], "copies");
	if (k.errors)
		return k.errors; /* what follows walks these */
	for (struct fs_node *n = NULL; (n = fs_table_next(&f->inodes, n));)
		inode(&k, (const struct fs_inode *)n);
	for (struct fs_node *n = NULL; (n = fs_table_next(&f->shards, n));)
		part(&k, (const struct fs_part *)n);
	for (const struct list *l = f->more.next; l != &f->more; l = l->next) {
		const struct fs_more *m = LIST_ENTRY(l, const struct fs_more, all);

		if (m->inode->more != m)
			report(&k, "an inode extension without an inode");
	}
	if (k.copies != ck->copies)
		report(&k, "%u copies of far files, counted as %u", k.copies, ck->copies);
	entries(&k);
	negatives(&k);
	carriers(&k, f->dead, "dead", &dead);
	if (dead != f->dead_blocks)
		report(&k, "%lu blocks to be freed, but %lu counted", dead,
		       f->dead_blocks);
	bitmap(&k);
	return k.errors;
}

/* --- between servers ------------------------------------------------------------------------------ */

u32 fs_check_owners(struct ck *const *ck, u32 servers,
		    void (*bad)(void *arg, const char *text), void *arg)
{
	struct check k = { .bad = bad, .arg = arg, .f = fs_of(ck[0]) };
	u64 own = 0, sum = 0, all = 0;

	for (u64 n = 0; n < k.f->blk_all; n++)
		all += hash_u64(1 + n);
	for (u32 i = 0; i < servers; i++) {
		const struct fs *f = fs_of(ck[i]);

		for (u64 n = 0; n < f->blk_all; n++)
			if (fs_blk_own(f, n))
				sum += hash_u64(1 + n);
		own += f->blk_own;
		for (u32 to = 0; to < servers; to++) {
			const struct fs_passed *gave = &f->gave[to];
			const struct fs_passed *got = &fs_of(ck[to])->got[i];

			if (got->count > gave->count)
				report(&k, "server %u gave %u %lu blocks, which got %lu",
				       i, to, gave->count, got->count);
			own += gave->count - got->count;
			sum += gave->sum - got->sum;
		}
	}
	if (own != k.f->blk_all)
		report(&k, "%lu blocks belong to servers or are in flight, of %lu", own,
		       k.f->blk_all);
	else if (sum != all)
		report(&k, "a block belongs to two servers and another to none");
	return k.errors;
}

static void part_fact(struct ck *ck, const struct fs_part *p, u32 dflags,
		      void (*fn)(void *arg, const struct fs_fact *f), void *arg)
{
	struct fs_fact t = { .kind = FS_FACT_PART,
			     .ino = p->node.key,
			     .srv = ck->core,
			     .dflags = dflags,
			     .mode = p->mode,
			     .uid = p->uid,
			     .gid = p->gid };

	fn(arg, &t);
}

void fs_facts(struct ck *ck, void (*fn)(void *arg, const struct fs_fact *f), void *arg)
{
	const struct fs *f = fs_of(ck);

	for (struct fs_node *n = NULL; (n = fs_table_next(&f->inodes, n));) {
		struct fs_inode *i = (struct fs_inode *)n;
		struct fs_fact t = {
			.kind = FS_FACT_INODE,
			.ino = n->key,
			.type = fs_type(i),
			.nlink = i->nlink,
			.opens = i->opens,
			.srv = f->srv,
			.mode = i->mode,
			.uid = i->uid,
			.gid = i->gid,
		};

		if (fs_is_dir(i)) {
			t.dir = fs_inode_part(i)->parent;
			t.dflags = fs_inode_part(i)->dflags;
		}
		fn(arg, &t);
	}
	for (struct fs_node *n = NULL; (n = fs_table_next(&f->shards, n));)
		part_fact(ck, (const struct fs_part *)n, DIR_DISTRIBUTED, fn, arg);
	for (struct fs_node *n = NULL; (n = fs_table_next(&f->entries, n));) {
		const struct fs_entry *x = (const struct fs_entry *)n;
		struct fs_fact t = {
			.kind = FS_FACT_ENTRY,
			.ino = x->ino,
			.dir = x->dir,
			.type = (u32)x->type << 12,
			.srv = f->srv,
			.dflags = x->dflags,
		};

		fn(arg, &t);
	}
}

static bool before(const struct fs_fact *a, const struct fs_fact *b)
{
	if (a->ino != b->ino)
		return a->ino < b->ino;
	return a->kind < b->kind;
}

static void sift(struct fs_fact *a, size_t at, size_t n)
{
	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		struct fs_fact t = a[at];

		if (child + 1 < n && before(&a[child], &a[child + 1]))
			child++;
		if (!before(&a[at], &a[child]))
			return;
		a[at] = a[child];
		a[child] = t;
	}
}

/* Heap sort: in place, and no input makes it slow. */
static void sort(struct fs_fact *a, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sift(a, i, n);
	for (size_t i = n; i-- > 1;) {
		struct fs_fact t = a[0];

		a[0] = a[i];
		a[i] = t;
		sift(a, 0, i);
	}
}

/* All facts of one number: its inode, then entries that lead to it, then parts. */
static void together(struct check *k, const struct fs_fact *a, size_t n, u32 servers)
{
	const struct fs_fact *i = a[0].kind == FS_FACT_INODE ? &a[0] : NULL;
	u32 links = 0, parts = 0;

	if (!i) {
		report(k, "server %u has %s of inode %lx, which is not at its server",
		       a[0].srv, a[0].kind == FS_FACT_ENTRY ? "an entry" : "a part",
		       a[0].ino);
		return;
	}
	for (size_t x = 1; x < n; x++) {
		parts += a[x].kind == FS_FACT_PART;
		if (a[x].kind == FS_FACT_PART &&
		    (a[x].mode != i->mode || a[x].uid != i->uid || a[x].gid != i->gid))
			report(k,
			       "directory %lx: server %u has another mode or owner of it",
			       i->ino, a[x].srv);
		if (a[x].kind != FS_FACT_ENTRY)
			continue;
		links++;
		if (a[x].type != i->type)
			report(k, "inode %lx: an entry in %lx has another type", i->ino,
			       a[x].dir);
		if (i->type == HS_IFDIR && a[x].dir != i->dir)
			report(k, "directory %lx: hangs in %lx but thinks in %lx", i->ino,
			       a[x].dir, i->dir);
		if (i->type == HS_IFDIR && a[x].dflags != i->dflags)
			report(k,
			       "directory %lx: its entry in %lx is wrong about its parts",
			       i->ino, a[x].dir);
	}
	if (i->ino == INO_ROOT)
		links++;
	if (links != i->nlink)
		report(k, "inode %lx: %u links but %u entries", i->ino, i->nlink, links);
	if (parts && i->type != HS_IFDIR)
		report(k, "inode %lx: has parts but is no directory", i->ino);
	else if (i->nlink && parts != (i->dflags & DIR_DISTRIBUTED ? servers - 1 : 0))
		report(k, "directory %lx: has %u parts", i->ino, parts);
	else if (!i->nlink && parts)
		report(k, "directory %lx: removed, but has %u parts", i->ino, parts);
}

static struct fs_fact *directory(struct fs_fact *a, size_t n, u64 ino)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (a[mid].ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && a[lo].ino == ino && a[lo].kind == FS_FACT_INODE &&
			       a[lo].type == HS_IFDIR
		       ? &a[lo]
		       : NULL;
}

/* Directories that hang in each other, with no way to them. Each is walked over once. */
static void rings(struct check *k, struct fs_fact *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		u32 walk = (u32)i + 1;
		struct fs_fact *d = directory(a, n, a[i].ino);

		while (d && !d->walk) {
			d->walk = walk;
			d = d->ino == INO_ROOT ? NULL : directory(a, n, d->dir);
		}
		if (d && d->walk == walk)
			report(k, "directory %lx: hangs below itself", d->ino);
	}
}

u32 fs_check_between(struct fs_fact *facts, size_t count, u32 servers,
		     void (*bad)(void *arg, const char *text), void *arg)
{
	struct check k = { .bad = bad, .arg = arg };
	size_t n;

	sort(facts, count);
	for (size_t i = 0; i < count; i += n) {
		for (n = 1; i + n < count && facts[i + n].ino == facts[i].ino;)
			n++;
		together(&k, &facts[i], n, servers);
	}
	rings(&k, facts, count);
	return k.errors;
}
