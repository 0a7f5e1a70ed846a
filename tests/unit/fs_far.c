/* SPDX-License-Identifier: MIT */
/*
 * File servers and other cores: callbacks to lookup caches, distributed directories, and the
 * checks between servers.
 */
#include "unit/fs.h"

#define ROOT INO_ROOT
#define CORES 4

static struct fsw f;

/* What reached the cores. */
static struct {
	u32 count, kind;
	u64 dir;
	char name[256];
} told[MAX_CORES];

/* The CUTs among it. */
static struct {
	u32 count;
	u64 size;
} cut[MAX_CORES];

static void receiver(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data)
{
	struct rpc_env e = { .c = c, .ck = ck, .srv = c->core, .core = h->src, .far = true };
	union {
		struct req_SET_PARENT home;
		struct req_FILTER filter;
		struct req_CUT cut;
	} o;
	union {
		struct rep_SET_PARENT home;
		struct rep_FILTER filter;
	} none;
	struct req_INVALIDATE q;
	struct cred cred;

	if (h->type == RPC_CONFIRM)
		return; /* of names that are not there: they fill a ring */
	if (h->type != RPC_INVALIDATE)
		need(rpc_decode_req(h->type, &o, data, h->len, &cred) == 0, "decode");
	if (h->type == RPC_SET_PARENT) {
		fs_set_parent(&e, &o.home, &none.home);
		return;
	}
	if (h->type == RPC_FILTER) {
		fs_filter(&e, &o.filter, &none.filter);
		return;
	}
	if (h->type == RPC_CUT) {
		cut[c->core].count++;
		cut[c->core].size = o.cut.size;
		return;
	}
	need(h->type == RPC_INVALIDATE, "only these are sent");
	need(rpc_decode_req(h->type, &q, data, h->len, &cred) == 0, "decode");
	told[c->core].count++;
	told[c->core].kind = q.kind;
	told[c->core].dir = q.dir;
	memcpy(told[c->core].name, q.name.p, q.name.len);
	told[c->core].name[q.name.len] = 0;
}

/* Bits of the cores that were told since the last time. */
static u32 drain(void)
{
	u32 mask = 0;

	for (u32 c = 0; c < f.w.cores; c++)
		told[c].count = 0;
	for (u32 c = 0; c < f.w.cores; c++) {
		while (msg_drain(&f.w.ctx[c]))
			;
		if (told[c].count)
			mask |= 1u << c;
	}
	return mask;
}

static void as(u32 core)
{
	f.core = core;
	f.far = core != f.srv;
}

static long look_as(u32 core, u64 dir, const char *name)
{
	long r;

	as(core);
	r = look(&f, dir, name);
	as(0);
	return r;
}

static void t_callbacks(void)
{
	u64 d, a;
	struct fs_stats s;

	as(0);
	drain();
	d = (u64)mk(&f, ROOT, "d", HS_IFDIR | 0755);
	a = (u64)mk(&f, d, "a", HS_IFREG | 0644);
	is(drain(), 0, "nobody knew these names");
	is(look_as(1, d, "a"), a, "core 1 looks up");
	is(look_as(2, d, "a"), a, "core 2 too");
	is(look_as(0, d, "a"), a, "the own core does not cache");
	is(look_as(3, d, "b"), -ENOENT, "core 3 looks for another name");
	is(look_as(1, d, "c"), -ENOENT, "core 1 for a third");
	is(rm(&f, d, "a"), 0, "unlink");
	is(drain(), 6, "cores 1 and 2 are told");
	ok(told[1].kind == INVAL_ENTRY && told[1].dir == d && !strcmp(told[1].name, "a"),
	   "which name");
	ok(mk(&f, d, "b", HS_IFREG | 0644) > 0, "create what core 3 knows not to be there");
	is(drain(), 8, "core 3 is told, no other");
	ok(!strcmp(told[3].name, "b"), "which name");
	ok(mk(&f, d, "x", HS_IFREG | 0644) > 0, "create what nobody looked for");
	is(drain(), 0, "nobody is told");
	as(2);
	ok(mk(&f, d, "y", HS_IFREG | 0644) > 0, "core 2 creates");
	as(0);
	is(rm(&f, d, "y"), 0, "unlink");
	is(drain(), 4, "it cached that");
	look_as(1, d, "x");
	look_as(2, d, "z");
	drain();
	is(FS(&f, rename, RENAME, NULL, .dir = d, .name = NAME("x"), .new_dir = d,
	      .new_name = NAME("z"), .cred = &f.cred),
	   0, "rename");
	is(drain(), 6, "who knew either name is told");
	look_as(3, d, "z");
	drain();
	is(FS(&f, chmod, CHMOD, NULL, .ino = d, .mode = 0700, .cred = &f.cred), 0,
	   "chmod of the directory");
	is(drain(), 14, "all who looked in it are told");
	is(told[3].kind, INVAL_DIR, "that its mode changed");
	is(FS(&f, chmod, CHMOD, NULL, .ino = d, .mode = 0755, .cred = &f.cred), 0, "again");
	is(drain(), 0, "they know nothing any more");
	is(look_as(1, d, ".."), ROOT, "core 1 looks up ..");
	mk(&f, ROOT, "e", HS_IFDIR | 0755);
	is(FS(&f, rename, RENAME, NULL, .dir = ROOT, .name = NAME("d"),
	      .new_dir = (u64)look(&f, ROOT, "e"), .new_name = NAME("d"), .cred = &f.cred,
	      .expect = d),
	   0, "the directory moves");
	is(drain(), 2, "core 1 is told");
	ok(told[1].dir == d && !strcmp(told[1].name, ".."), "of ..");
	/* negative entries are bounded */
	for (u32 i = 0; i < 70000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "none%u", i);
		look_as(3, d, name);
		if (i % 1000 == 0)
			drain();
	}
	drain();
	fsw_stats(&f, 0, &s);
	ok(s.negative <= 65536 && s.negative >= 256, "%lu negative entries are kept", s.negative);
	mk(&f, d, "none69999", HS_IFREG | 0644);
	is(drain(), 8, "the newest are");
	is(fsw_check_all(&f), 0, "consistent");
}

/* One distributed directory, made as clients make it. */
static u64 mkdir_distributed(u32 home, u64 parent, const char *name)
{
	struct rep_CREATE p = { 0 };

	f.srv = home;
	as(home);
	need(FS(&f, create, CREATE, &p, .cred = &f.cred, .mode = HS_IFDIR | 0755,
		.parent = parent, .name = NAME(name), .flags = CREATE_DISTRIBUTED) == 0,
	     "create");
	for (u32 s = 0; s < CORES; s++) {
		f.srv = s;
		need(FS(&f, shard, SHARD, NULL, .dir = p.ino, .op = SHARD_NEW, .mode = 0755) == 0,
		     "shard");
	}
	f.srv = 0;
	need(FS(&f, add_map, ADD_MAP, NULL, .dir = parent, .name = NAME(name), .cred = &f.cred,
		.ino = p.ino, .type = HS_IFDIR, .dflags = DIR_DISTRIBUTED) == 0, "add_map");
	return p.ino;
}

static u32 server_of(u64 dir, const char *name)
{
	return rpc_entry_server(&f.w.ctx[0], dir, DIR_DISTRIBUTED, name, strlen(name));
}

static void t_distributed(void)
{
	u64 d = mkdir_distributed(2, ROOT, "spread"), entries = 0, subdirs = 0;
	struct rep_SHARD p = { 0 };
	char name[32];
	u32 full = 0;

	is(fsw_check_all(&f), 0, "a distributed directory is consistent");
	for (u32 i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		f.srv = server_of(d, name);
		as(f.srv);
		if (mk(&f, d, name, i % 10 ? HS_IFREG | 0644 : HS_IFDIR | 0755) < 0)
			ok(0, "create %s", name);
	}
	for (f.srv = 0; f.srv < CORES; f.srv++) {
		is(FS(&f, shard, SHARD, &p, .dir = d, .op = SHARD_STAT), 0, "stat of a part");
		ok(p.entries > 50, "it has its share: %lu", p.entries);
		entries += p.entries;
		subdirs += p.subdirs;
		full += FS(&f, rmdir, RMDIR, NULL, .dir = d, .phase = RMDIR_MARK, .owner = 3) ==
			-ENOTEMPTY;
	}
	ok(entries == 400 && subdirs == 40, "the parts add up");
	is(full, CORES, "no part can be marked");
	is(fsw_check_all(&f), 0, "consistent");
	f.srv = 1;
	is(FS(&f, shard, SHARD, NULL, .dir = d, .op = SHARD_DROP), -ENOTEMPTY, "drop: ENOTEMPTY");
	is(FS(&f, shard, SHARD, NULL, .dir = 999, .op = SHARD_STAT), -ENOENT, "stat: ENOENT");
	is(FS(&f, shard, SHARD, NULL, .dir = d, .op = 17), -EINVAL, "no such operation");
	is(FS(&f, shard, SHARD, NULL, .dir = d, .op = SHARD_ATTR, .mode = 0700, .uid = 5), 0,
	   "attributes of a part");
	f.cred.uid = 6;
	is(look(&f, d, "n1"), -EACCES, "are checked");
	f.cred.uid = 0;
	f.srv = 2;
	is(FS(&f, shard, SHARD, NULL, .dir = d, .op = SHARD_DROP), 0, "the home drops nothing");
	for (u32 i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		f.srv = server_of(d, name);
		if ((i % 10 ? rm(&f, d, name) : rmdir_all(&f, d, name)) < 0)
			ok(0, "remove %s", name);
	}
	f.srv = 2;
	is(FS(&f, rmdir, RMDIR, NULL, .dir = d, .phase = RMDIR_SERIALIZE, .owner = 3), 0,
	   "serialize");
	for (f.srv = 0; f.srv < CORES; f.srv++)
		is(FS(&f, rmdir, RMDIR, NULL, .dir = d, .phase = RMDIR_MARK, .owner = 3), 0, "mark");
	f.srv = 0;
	is(rmdir_all(&f, ROOT, "spread"), -EAGAIN, "all in one is not for it");
	is(FS(&f, rm_map, RM_MAP, NULL, .dir = ROOT, .name = NAME("spread"), .cred = &f.cred,
	      .flags = RM_DIR, .expect = d),
	   0, "its entry");
	for (f.srv = 0; f.srv < CORES; f.srv++)
		is(FS(&f, rmdir, RMDIR, NULL, .dir = d, .phase = RMDIR_COMMIT, .owner = 3), 0,
		   "commit");
	f.srv = 0;
	is(fsw_check_all(&f), 0, "gone, and consistent");
}

static bool hangs(u32 home, u64 ino, u64 dir, const char *name)
{
	struct rep_PARENT p = { .name = BYTES((char[256]){ 0 }, 255) };
	long r;

	f.srv = home;
	r = FS(&f, parent, PARENT, &p, .ino = ino);
	f.srv = 0;
	return !r && p.parent == dir && p.name.len == strlen(name) &&
	       !memcmp(p.name.p, name, p.name.len);
}

/* The ring to core 3 has no room for n records more; 0: what is posted now waits. */
static void fill(u32 n)
{
	struct rpc_env e = fsw_env(&f);
	struct req_CONFIRM q = { .dir = ROOT, .name = NAME("none"), .ino = 99 };
	u32 count = 0;

	ck_lock(e.c, e.ck);
	do {
		need(rpc_post_confirm(&e, 3, &q) == 0, "post");
		count++;
	} while (!msg_is_behind(e.ck, 3));
	if (n) {
		ck_abort(e.ck);
		for (count -= 1 + n; count; count--)
			need(rpc_post_confirm(&e, 3, &q) == 0, "post");
	}
	msg_unlock(e.c, e.ck);
}

/* A directory of another server is renamed while what tells that server would have to wait. */
static void t_full_ring(void)
{
	struct rep_CREATE made = { 0 };
	struct rep_RENAME p = { 0 };
	struct rep_RM_MAP rm = { 0 };
	u64 to, ino;

	as(0);
	f.srv = 0;
	to = (u64)mk(&f, ROOT, "to", HS_IFDIR | 0755);
	f.srv = 3;
	need(FS(&f, create, CREATE, &made, .cred = &f.cred, .mode = HS_IFDIR | 0755,
		.parent = ROOT, .name = NAME("far")) == 0,
	     "create");
	f.srv = 0;
	ino = made.ino;
	need(FS(&f, add_map, ADD_MAP, NULL, .dir = ROOT, .name = NAME("far"), .cred = &f.cred,
		.ino = ino, .type = HS_IFDIR) == 0,
	     "add_map");
	drain();
	fill(0);
#define MOVE()                                                                         \
	FS(&f, rename, RENAME, &p, .dir = ROOT, .name = NAME("far"), .new_dir = to,    \
	   .new_name = NAME("here"), .cred = &f.cred, .expect = ino)
	is(MOVE(), -EAGAIN, "a rename has to wait for it");
	is(p.busy, BUSY_PENDING, "and to ask again");
	is(FS(&f, rm_map, RM_MAP, &rm, .dir = ROOT, .name = NAME("far"), .cred = &f.cred,
	      .expect = ino, .flags = RM_MOVED | RM_CONFIRM, .confirm_dir = to,
	      .confirm_name = NAME("here")),
	   -EAGAIN, "the second half of one over two servers too");
	is(rm.busy, BUSY_PENDING, "and to ask again");
	is(look(&f, ROOT, "far"), ino, "nothing was done");
	drain();
	drain(); /* and what stood in the outbox */
	ok(hangs(3, ino, ROOT, "far"), "nor told");
	is(MOVE(), 0, "with room in the ring it is done");
#undef MOVE
	drain();
	ok(hangs(3, ino, to, "here"), "and told");
	is(fsw_check_all(&f), 0, "consistent");
}

#define INST ((3ULL << INO_SERVER_SHIFT) | 77) /* an inotify instance of core 3 */
#define WATCH(ino_, wd_, mask_)                                                        \
	FS(&f, watch, WATCH, NULL, .ino = ino_, .inst = INST, .wd = wd_, .mask = mask_,  \
	   .cred = &f.cred)
#define KNOWS(core, ino) (f.w.ck[core]->watched && rpc_is_watched(f.w.ck[core], ino))

/* A watch is made while a core could not hear of it before it is asked something. */
static void t_full_watch(void)
{
	u64 ino;

	as(0);
	f.srv = 0;
	ino = (u64)mk(&f, ROOT, "seen", HS_IFREG | 0644);
	drain();
	as(1);
	fill(0);
	is(WATCH(ino, 1, 2), -EAGAIN, "a watch has to wait for it");
	ok(!KNOWS(0, ino), "nothing was done");
	drain();
	drain();
	is(WATCH(ino, 1, 2), 0, "with room in the ring it is made");
	drain();
	ok(KNOWS(3, ino), "and told");
	fill(0);
	is(WATCH(ino, 1, 0), 0, "it can be taken back at any time");
	ok(!KNOWS(0, ino) && KNOWS(3, ino), "who does not hear of that is only too careful");
	is(WATCH(ino, 2, 2), -EAGAIN, "but it is not made again before");
	drain();
	drain();
	ok(!KNOWS(3, ino), "it hears");
	is(WATCH(ino, 2, 2), 0, "made again");
	is(WATCH(ino, 2, 0), 0, "and taken back");
	drain();
	ok(!KNOWS(0, ino) && !KNOWS(3, ino), "watched no more");
	as(0);
	is(rm(&f, ROOT, "seen"), 0, "unlink");
	drain();
	is(fsw_check_all(&f), 0, "consistent");
}

/* Taking a watch back waited in the outbox of the instance's core, while its program, on another one,
 * made the next. */
static void t_late_watch(void)
{
	u64 ino;

	as(0);
	f.srv = 0;
	ino = (u64)mk(&f, ROOT, "seen", HS_IFREG | 0644);
	drain();
	as(1);
	is(WATCH(ino, 1, 2), 0, "a watch");
	is(WATCH(ino, 2, 2), 0, "the next one of the same instance");
	as(3);
	is(WATCH(ino, 1, 0), 0, "the first is taken back, late");
	drain();
	ok(KNOWS(0, ino) && KNOWS(1, ino), "which leaves the other alone");
	is(WATCH(ino, 2, 0), 0, "the other is taken back");
	drain();
	ok(!KNOWS(0, ino) && !KNOWS(1, ino), "watched no more");
	as(0);
	is(rm(&f, ROOT, "seen"), 0, "unlink");
	drain();
	is(fsw_check_all(&f), 0, "consistent");
}

static u64 size_of(u64 ino)
{
	struct rep_FSTAT p;

	return FS(&f, fstat, FSTAT, &p, .ino = ino) ? ~0ULL : p.attr.size;
}

#define TRUNC(size_)                                                                   \
	FS(&f, trunc, TRUNC, NULL, .ino = ino, .size = (size_), .cred = &f.cred)

/* A file is cut while a core that has it mapped could not hear of it before it is asked. */
static void t_full_cut(void)
{
	struct rep_CREATE p = { 0 };
	u64 ino;

	as(0);
	f.srv = 0;
	memset(cut, 0, sizeof(cut));
	ino = (u64)mk(&f, ROOT, "mapped", HS_IFREG | 0644);
	is(TRUNC(9000), 0, "a file");
	as(3);
	is(op(&f, ino, O_RDONLY | OPEN_PIN), 0, "that core 3 has mapped");
	as(1);
	drain();
	fill(0);
	is(TRUNC(8192), -EAGAIN, "to cut it has to wait for core 3");
	is(op(&f, ino, O_RDWR | O_TRUNC), -EAGAIN, "by O_TRUNC too");
	is(FS(&f, create, CREATE, &p, .dir = ROOT, .name = NAME("mapped"), .cred = &f.cred,
	      .mode = HS_IFREG | 0644, .flags = CREATE_OPEN, .open_flags = O_RDWR | O_TRUNC),
	   0, "O_CREAT finds it");
	ok(p.ino == ino && !p.opened && !p.created, "and does not open it");
	is(size_of(ino), 9000, "nothing was done");
	is(TRUNC(9001), 0, "to make it longer it has not");
	drain();
	drain();
	is(cut[3].count, 0, "nor told");
	fill(1);
	is(TRUNC(100), f.w.isl[0].model == MEM_COHERENT ? 0 : -EAGAIN,
	   "where a cut ends within a block two records have to fit");
	drain();
	drain();
	is(TRUNC(50), 0, "with room in the ring it is done");
	is(size_of(ino), 50, "it is shorter");
	drain();
	ok(cut[3].count && cut[3].size == 50, "and told");
	is(op(&f, ino, O_RDWR | O_TRUNC), 0, "O_TRUNC");
	is(size_of(ino), 0, "it is empty");
	drain();
	ok(cut[3].size == 0, "and told");
	as(3);
	is(cl(&f, ino, O_RDONLY | OPEN_PIN), 0, "unmapped");
	as(1);
	is(cl(&f, ino, O_RDWR), 0, "closed");
	as(0);
	is(rm(&f, ROOT, "mapped"), 0, "unlink");
	drain();
	is(fsw_check_all(&f), 0, "consistent");
}

/* The checks find what is wrong. */
static u32 found;
static void count_bad(void *arg, const char *text)
{
	(void)arg, (void)text;
	found++;
}

static void t_finds(void)
{
	struct fsw_facts l = { 0 };
	u64 p, a;
	u32 n;

	f.srv = 0;
	as(0);
	/* The server takes a client's word for it that a directory is not above its new place. */
	p = (u64)mk(&f, ROOT, "p", HS_IFDIR | 0755);
	a = (u64)mk(&f, p, "a", HS_IFDIR | 0755);
	mk(&f, a, "b", HS_IFDIR | 0755);
	is(FS(&f, rename, RENAME, NULL, .dir = ROOT, .name = NAME("p"), .new_dir = a,
	      .new_name = NAME("p"), .cred = &f.cred, .expect = p),
	   0, "a ring of directories is made");
	mk(&f, ROOT, "h", HS_IFREG | 0644);
	FS(&f, add_map, ADD_MAP, NULL, .dir = ROOT, .name = NAME("dangling"), .cred = &f.cred,
	   .ino = (3ULL << INO_SERVER_SHIFT) | 77, .type = HS_IFREG);
	FS(&f, link, LINK, NULL, .ino = (u64)look(&f, ROOT, "h"), .delta = 1);
	for (u32 c = 0; c < CORES; c++)
		fs_facts(f.w.ck[c], fsw_fact, &l);
	n = fs_check_between(l.fact, l.count, CORES, count_bad, NULL);
	is(n, 3, "an entry without inode, a wrong link count and a ring are found");
	is(found, 3, "and reported");
	free(l.fact);
	is(fsw_check(&f), 0, "no single server can see that");
}

int main(void)
{
	fsw_new(&f, &(struct world_cfg){ .cores = CORES, .islands = CORES, .size = 256 << 20 }, 0);
	msg_set_receiver(receiver);
	t_callbacks();
	t_distributed();
	t_full_ring();
	t_full_watch();
	t_late_watch();
	t_full_cut();
	t_finds();
	fsw_end(&f);
	fsw_new(&f, &(struct world_cfg){ .cores = CORES, .islands = CORES, .size = 256 << 20 },
		DIR_DISTRIBUTED);
	is(fsw_check_all(&f), 0, "a distributed root is consistent");
	fsw_end(&f);
	fsw_new(&f, &(struct world_cfg){ .cores = CORES, .islands = CORES, .size = 256 << 20,
					 .without = WITHOUT_DIRECTORY_CACHE }, 0);
	look_as(1, ROOT, "none");
	mk(&f, ROOT, "none", HS_IFREG | 0644);
	is(drain(), 0, "without caches nobody is told");
	fsw_end(&f);
	fsw_new(&f, &(struct world_cfg){ .cores = CORES, .islands = CORES, .size = 256 << 20,
					 .model = MEM_FLUSH }, 0);
	t_full_cut();
	fsw_end(&f);
	return done_testing();
}
