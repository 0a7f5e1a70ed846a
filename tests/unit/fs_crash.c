/* SPDX-License-Identifier: MIT */
/*
 * Kill safety of the file server: for each operation a process dies after its k-th logged store,
 * for every k. The next one to take the lock recovers; then every invariant holds, what is to be
 * seen is the old state or the new one, no memory is lost, and the operation can be done again.
 * At last processes are killed at arbitrary moments.
 */
#include <linux/falloc.h>
#include <sys/inotify.h>

#include "base/hash.h"
#include "unit/fs.h"

extern u64 g_crash_at, g_crash_count;

#define ROOT INO_ROOT
#define MODE (HS_IFREG | 0644)

static struct fsw f;
static u64 a, b, d, ofd; /* of the running scenario */
static u32 seq;          /* of an event of core 0 */
static char data[65536], got[65536];

static void as(bool far)
{
	f.far = far;
	f.core = far ? 1 : 0;
}

/* --- what is to be seen -------------------------------------------------------------------- */

struct seen {
	u64 tree; /* names, types, attributes, contents */
	u64 blocks_free, entries, inodes, heap;
};

static u64 mix(u64 h, u64 v)
{
	return hash_u64(h ^ (v + 0x9e3779b97f4a7c15ULL));
}

static u64 mix_bytes(u64 h, const void *p, u64 len)
{
	return mix(h, hash_name(len, p, len));
}

static u64 file_seen(u64 h, u64 ino)
{
	struct rep_XATTR x = { .data = BYTES(got, sizeof(got)) };
	static const struct cred root;
	struct attr t = stat_of(&f, ino);

	h = mix(mix(mix(mix(h, t.mode), t.nlink), t.uid), t.gid);
	if ((t.mode & HS_IFMT) == HS_IFREG) {
		h = mix(mix(h, t.size), t.blocks);
		for (u64 at = 0; at < t.size && at < 16 * sizeof(got); at += sizeof(got)) {
			long n = rd(&f, ino, at, got, sizeof(got));

			h = mix_bytes(h, got, (u64)n);
		}
	}
	if (FS(&f, xattr, XATTR, &x, .ino = ino, .op = 2, .size = 60000, .cred = &root) == 0)
		h = mix_bytes(h, got, x.data.len);
	if ((t.mode & HS_IFMT) == HS_IFIFO) {
		struct rep_POLL p = { 0 };

		FS(&f, poll, POLL, &p, .ino = ino, .events = 5, .access = O_RDWR);
		h = mix(mix(mix(h, p.bytes), p.revents), p.capacity);
	}
	return h;
}

static u64 dir_seen(u64 h, u64 dir)
{
	static char dents[4][16384];
	static int depth;
	char *buf = dents[depth++];
	struct rep_DIRENT p = { .data = BYTES(buf, 16384) };
	u64 sum = 0;

	need(FS(&f, dirent, DIRENT, &p, .dir = dir, .size = 16384) == 0 && p.eof, "dirent");
	for (u32 at = 0; at < p.data.len;) {
		u64 ino = *(u64 *)(buf + at), e;
		u16 len = *(u16 *)(buf + at + 16);
		const char *name = buf + at + 19;

		e = file_seen(mix_bytes(0, name, strlen(name)), ino);
		if ((stat_of(&f, ino).mode & HS_IFMT) == HS_IFDIR)
			e = mix(e, dir_seen(e, ino));
		sum += e; /* in any order */
		at += len;
	}
	depth--;
	return mix(h, sum);
}

static u64 locks_seen(u64 h, u64 ino)
{
	for (u64 at = 0; at < 40; at += 5) {
		struct rep_LOCK p = { 0 };

		FS(&f, lock, LOCK, &p, .ino = ino, .kind = LOCK_POSIX, .op = LOCK_GET, .owner = 99,
		   .type = 1, .start = at, .end = at);
		h = mix(mix(h, p.type), p.type == 2 ? 0 : p.end);
	}
	return h;
}

static struct seen look_at(void)
{
	struct seen s = { 0 };
	struct fs_stats t;

	as(false);
	f.cred = (struct cred){ 0 };
	fsw_stats(&f, 0, &t);
	s.blocks_free = t.blocks_free;
	s.entries = t.entries;
	s.inodes = t.inodes;
	s.heap = t.heap_used;
	s.tree = file_seen(0, ROOT);
	s.tree = dir_seen(s.tree, ROOT);
	if (a)
		s.tree = locks_seen(file_seen(s.tree, a), a);
	if (ofd) {
		struct rep_LSEEK l = { 0 };
		long r = FS(&f, lseek, LSEEK, &l, .ino = a, .ofd = ofd, .whence = SEEK_CUR);

		s.tree = mix(mix(s.tree, (u64)r), r ? 0 : (u64)l.off);
	}
	return s;
}

static bool same(const struct seen *x, const struct seen *y)
{
	return !memcmp(x, y, sizeof(*x));
}

/* --- scenarios ------------------------------------------------------------------------------ */

static void none(void)
{
}
static void file(void)
{
	a = (u64)mk(&f, ROOT, "a", MODE);
	wr(&f, a, 0, data, 20000);
}
static void file_seen_by_far(void)
{
	file();
	as(true);
	look(&f, ROOT, "a");
	look(&f, ROOT, "b");
	as(false);
}
static void file_open(void)
{
	file();
	op(&f, a, O_RDWR);
}
static void file_open_far(void)
{
	file();
	as(true);
	op(&f, a, O_RDWR);
	as(false);
}
static void file_in_limbo(void)
{
	file_open_far();
	trunc_to(&f, a, 5000);
}
static void two(void)
{
	file();
	b = (u64)mk(&f, ROOT, "b", MODE);
	d = (u64)mk(&f, ROOT, "d", HS_IFDIR | 0755);
}
static void two_dirs(void)
{
	two();
	rm(&f, ROOT, "b");
	b = (u64)mk(&f, ROOT, "b", HS_IFDIR | 0755);
}
static void marked(void)
{
	two_dirs();
	FS(&f, rmdir, RMDIR, NULL, .dir = d, .phase = RMDIR_SERIALIZE, .owner = 5);
	FS(&f, rmdir, RMDIR, NULL, .dir = d, .phase = RMDIR_MARK, .owner = 5);
	FS(&f, create, CREATE, NULL, .dir = d, .name = NAME("x"), .cred = &f.cred, .mode = MODE,
	   .wait_seq = seq);
}
static void pipe_(void)
{
	struct rep_PIPE p = { 0 };

	FS(&f, pipe, PIPE, &p, .cred = &f.cred);
	a = p.ino;
	wr(&f, a, 0, data, 10000);
}
static void pipe_packets(void)
{
	pipe_();
	FS(&f, write, WRITE, NULL, .ino = a, .flags = IO_PACKET, .data = BYTES(data, 8192));
	wr(&f, a, 0, data, 100);
}
static void pipe_empty(void)
{
	pipe_();
	rd(&f, a, 0, got, 10000);
	FS(&f, read, READ, &(struct rep_READ){ .data = BYTES(got, 9) }, .ino = a, .len = 9,
	   .flags = IO_WAIT, .wait_seq = seq);
}
/* a: an inotify instance; b: the file that is watched, d: the watch's number. */
static void instance(void)
{
	struct rep_INOTIFY p = { 0 };

	FS(&f, inotify, INOTIFY, &p, .cred = &f.cred);
	a = p.ino;
	b = (u64)mk(&f, ROOT, "w", MODE);
}
static long watch(u64 ino, u32 mask)
{
	struct rep_WD p = { 0 };
	long r = FS(&f, wd, WD, &p, .inst = a, .op = WD_ADD, .ino = ino, .mask = mask);

	d = p.wd;
	return r < 0 ? r
		     : FS(&f, watch, WATCH, NULL, .ino = ino, .inst = a, .wd = p.wd,
			  .mask = p.mask, .cred = &f.cred);
}
static void watched(void)
{
	instance();
	watch(ROOT, IN_ALL_EVENTS);
	watch(b, IN_ALL_EVENTS);
}
static void watched_once(void)
{
	instance();
	watch(b, IN_ALL_EVENTS | IN_ONESHOT);
}
static void watched_read(void)
{
	watched();
	FS(&f, read, READ, &(struct rep_READ){ .data = BYTES(got, 900) }, .ino = a, .len = 900,
	   .flags = IO_WAIT, .wait_seq = seq);
}
static void told(void)
{
	watched();
	rm(&f, ROOT, "w");
}
static void fifo(void)
{
	a = (u64)mk(&f, ROOT, "a", HS_IFIFO | 0600);
}
static void fifo_open(void)
{
	fifo();
	op(&f, a, O_RDONLY | O_NONBLOCK);
}
static long lock(u64 owner, u32 type, u64 start, u64 end)
{
	return FS(&f, lock, LOCK, NULL, .ino = a, .kind = LOCK_POSIX, .op = LOCK_SET,
		  .owner = owner, .type = type, .start = start, .end = end,
		  .wait_seq = seq);
}
static void locked(void)
{
	file();
	lock(1, 1, 0, 30);
	lock(2, 1, 10, 12); /* waits */
}
static void xattr(void)
{
	file();
	FS(&f, xattr, XATTR, NULL, .ino = a, .op = 1, .name = NAME("user.x"),
	   .value = BYTES("1", 1), .cred = &f.cred);
}
static void shared(void)
{
	struct rep_DUP p = { 0 };

	file_open();
	FS(&f, dup, DUP, &p, .ino = a, .refs = 1, .off = 3, .flags = O_RDWR);
	ofd = p.ofd;
}
static void large(void)
{
	a = (u64)mk(&f, ROOT, "a", MODE);
	for (u64 at = 0; at < 500; at++) /* every other block, so that runs are short */
		wr(&f, a, at * 8192, data, 4096);
}

static long op_create(void)
{
	return mk(&f, ROOT, "b", MODE);
}
static long op_create_far(void)
{
	as(true);
	return mk(&f, ROOT, "b", MODE);
}
static long op_create_open(void)
{
	return FS(&f, create, CREATE, NULL, .dir = ROOT, .name = NAME("a"), .cred = &f.cred,
		  .mode = MODE, .flags = CREATE_OPEN, .open_flags = O_RDWR | O_TRUNC);
}
static long op_mkdir(void)
{
	return mk(&f, ROOT, "b", HS_IFDIR | 0755);
}
static long op_symlink(void)
{
	return mk(&f, ROOT, "b", HS_IFLNK);
}
static long op_nameless(void)
{
	return FS(&f, create, CREATE, NULL, .cred = &f.cred, .mode = MODE);
}
static long op_resolve_none(void)
{
	as(true);
	return look(&f, ROOT, "none") == -ENOENT ? 0 : -EIO;
}
static long op_unlink(void)
{
	return rm(&f, ROOT, "a");
}
static long op_rmdir(void)
{
	return rmdir_all(&f, ROOT, "d");
}
static long op_rmdir_mark(void)
{
	return FS(&f, rmdir, RMDIR, NULL, .dir = d, .phase = RMDIR_SERIALIZE, .owner = 6,
		  .wait_seq = seq) == -EAGAIN ? 0 : -EIO;
}
static long op_rmdir_abort(void)
{
	return FS(&f, rmdir, RMDIR, NULL, .dir = d, .phase = RMDIR_ABORT, .owner = 5);
}
static long op_owner_died(void)
{
	ck_lock(&f.w.ctx[0], f.w.ck[0]);
	fs_owner_died(&f.w.ctx[0], f.w.ck[0], 5);
	ck_unlock(f.w.ck[0]);
	return 0;
}
static long op_core_died(void)
{
	ck_lock(&f.w.ctx[0], f.w.ck[0]);
	fs_core_died(&f.w.ctx[0], f.w.ck[0], 1);
	ck_unlock(f.w.ck[0]);
	return 0;
}
static long ren(const char *from, u64 to_dir, const char *to, u32 flags)
{
	return FS(&f, rename, RENAME, NULL, .dir = ROOT, .name = NAME(from), .new_dir = to_dir,
		  .new_name = NAME(to), .cred = &f.cred, .flags = flags,
		  .expect = (u64)look(&f, ROOT, from));
}
static long op_rename(void)
{
	return ren("a", ROOT, "c", 0);
}
static long op_rename_over(void)
{
	return ren("b", ROOT, "a", 0);
}
static long op_rename_dir(void)
{
	return ren("b", d, "x", 0);
}
static long op_rename_over_dir(void)
{
	return ren("b", ROOT, "d", 0);
}
static long op_exchange(void)
{
	return ren("b", ROOT, "a", 2);
}
static long op_add_map(void)
{
	return FS(&f, add_map, ADD_MAP, NULL, .dir = ROOT, .name = NAME("x"), .cred = &f.cred,
		  .ino = (1ULL << 40) | 5, .type = HS_IFSOCK);
}
static long op_add_map_over(void)
{
	return FS(&f, add_map, ADD_MAP, NULL, .dir = ROOT, .name = NAME("b"), .cred = &f.cred,
		  .ino = (1ULL << 40) | 5, .type = HS_IFREG, .flags = MAP_REPLACE);
}
/* Halves of a rename over two servers. */
static long map_of(const char *name, u64 ino, u32 type, u32 flags, u64 expect)
{
	return FS(&f, add_map, ADD_MAP, NULL, .dir = ROOT, .name = { .p = name, .len = 1 },
		  .cred = &f.cred, .ino = ino, .type = type, .flags = flags, .expect = expect);
}
static void file_pending(void)
{
	two();
	need(map_of("b", (1ULL << 40) | 5, HS_IFREG, MAP_REPLACE | MAP_PENDING, 0) == 0, "add_map");
}
static void name_pending(void)
{
	need(map_of("x", (1ULL << 40) | 5, HS_IFREG, MAP_PENDING, 0) == 0, "add_map");
}
static void dir_pending(void)
{
	two_dirs();
	need(map_of("x", look(&f, ROOT, "d"), HS_IFDIR, MAP_PENDING, 0) == 0, "add_map");
}
static long op_add_map_pending(void)
{
	return map_of("x", (1ULL << 40) | 5, HS_IFREG, MAP_PENDING, 0);
}
static long op_add_map_undo(void)
{
	return map_of("b", b, HS_IFREG, MAP_EXCHANGE | MAP_UNDO, (1ULL << 40) | 5);
}
static long op_rm_map_undo(void)
{
	return FS(&f, rm_map, RM_MAP, NULL, .dir = ROOT, .name = NAME("x"), .cred = &f.cred,
		  .flags = RM_MOVED | RM_UNDO, .expect = (1ULL << 40) | 5);
}
static long op_rm_map_confirm(void)
{
	return FS(&f, rm_map, RM_MAP, NULL, .dir = ROOT, .name = NAME("d"), .cred = &f.cred,
		  .flags = RM_MOVED | RM_CONFIRM, .confirm_dir = ROOT, .confirm_name = NAME("x"));
}
static long op_rm_map_confirm_far(void)
{
	return FS(&f, rm_map, RM_MAP, NULL, .dir = ROOT, .name = NAME("d"), .cred = &f.cred,
		  .flags = RM_MOVED | RM_CONFIRM, .confirm_dir = (1ULL << 40) | 77,
		  .confirm_name = NAME("x"));
}
static long op_link(void)
{
	return FS(&f, link, LINK, NULL, .ino = a, .delta = 1);
}
static long op_write(void)
{
	return wr(&f, a, 20000, data + 7, 40000);
}
static long op_write_over(void)
{
	return wr(&f, a, 18000, data + 7, 40000);
}
static long op_overwrite(void)
{
	return wr(&f, a, 4096, data, 4096);
}
static long op_trunc(void)
{
	return trunc_to(&f, a, 5000);
}
static long op_trunc_0(void)
{
	return trunc_to(&f, a, 0);
}
static long op_grow(void)
{
	return trunc_to(&f, a, 1 << 20);
}
static long op_punch(void)
{
	return FS(&f, fallocate, FALLOCATE, NULL, .ino = a, .off = 4096, .len = 8192,
		  .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
}
static long op_fallocate(void)
{
	return FS(&f, fallocate, FALLOCATE, NULL, .ino = a, .off = 10000, .len = 40000);
}
static long op_blocks(void)
{
	struct run run[64];
	struct rep_BLOCKS p = { .runs = BYTES(run, sizeof(run)) };

	as(true);
	return FS(&f, blocks, BLOCKS, &p, .ino = a, .first = 3, .count = 20,
		  .flags = BLOCKS_ALLOC);
}
static void file_ahead(void)
{
	file_open_far();
	need(!op_blocks(), "blocks");
}
static void file_ahead_read(void)
{
	file_ahead();
	as(true);
	need(!op(&f, a, O_RDONLY), "open");
}
static long op_flush(void)
{
	as(true);
	return FS(&f, flush, FLUSH, NULL, .ino = a, .flags = FLUSH_WROTE, .off = 0, .end = 30000);
}
static long op_open(void)
{
	return op(&f, a, O_RDWR);
}
static long op_open_far(void)
{
	as(true);
	return op(&f, a, O_RDWR);
}
static long op_close(void)
{
	return cl(&f, a, O_RDWR);
}
static long op_close_far(void)
{
	as(true);
	return cl(&f, a, O_RDWR);
}
static long op_close_reader(void)
{
	return cl(&f, a, O_RDONLY);
}
static long op_dup(void)
{
	return FS(&f, dup, DUP, NULL, .ino = a, .refs = 2, .off = 3, .flags = O_RDWR);
}
static long op_dup_push(void)
{
	return FS(&f, dup, DUP, NULL, .ino = a, .ofd = ofd, .refs = 1, .push = 1, .off = 9,
		  .flags = O_RDWR | O_APPEND);
}
/* To a far core, and to a near one again. */
static long op_local_far(void)
{
	as(true);
	return FS(&f, ofd_local, OFD_LOCAL, NULL, .ino = a, .ofd = ofd);
}
static long op_local_near(void)
{
	return FS(&f, ofd_local, OFD_LOCAL, NULL, .ino = a, .ofd = ofd);
}
static void shared_far(void)
{
	shared();
	need(op_local_far() == 0, "ofd_local");
	as(false);
}
static long op_shared_read(void)
{
	struct rep_READ p = { .data = BYTES(got, 7) };

	return FS(&f, read, READ, &p, .ino = a, .ofd = ofd, .len = 7, .flags = IO_SHARED);
}
static long op_close_ofd(void)
{
	return FS(&f, close, CLOSE, NULL, .ino = a, .ofd = ofd);
}
static long op_pipe(void)
{
	return FS(&f, pipe, PIPE, NULL, .cred = &f.cred);
}
static long op_inotify(void)
{
	return FS(&f, inotify, INOTIFY, NULL, .cred = &f.cred);
}
static long op_watch(void)
{
	return watch(ROOT, IN_CREATE);
}
static long op_unwatch(void)
{
	return FS(&f, wd, WD, NULL, .inst = a, .op = WD_REMOVE, .wd = (u32)d);
}
static long op_unlink_watched(void)
{
	return rm(&f, ROOT, "w");
}
static long op_rename_watched(void)
{
	return ren("w", ROOT, "v", 0);
}
static long op_note(void)
{
	return FS(&f, note, NOTE, NULL, .ino = b, .mask = IN_MODIFY);
}
static long op_events(void)
{
	return rd(&f, a, 0, got, 900);
}
/* Closed, and all that hung from it taken back. */
static long op_close_instance(void)
{
	struct ctx *c = &f.w.ctx[0];
	bool more = true;

	FS(&f, close, CLOSE, NULL, .ino = a, .flags = O_RDONLY);
	while (more) {
		ck_lock(c, c->ck);
		more = fs_trim(c, c->ck);
		ck_unlock(c->ck);
	}
	return 0;
}
static long op_pipe_read(void)
{
	return rd(&f, a, 0, got, 9000);
}
static long op_pipe_write(void)
{
	return wr(&f, a, 0, data, 9000);
}
static long op_packet_write(void)
{
	return FS(&f, write, WRITE, NULL, .ino = a, .flags = IO_PACKET,
		  .data = BYTES(data, 9000));
}
static long op_packet_small(void)
{
	return FS(&f, write, WRITE, NULL, .ino = a, .flags = IO_PACKET,
		  .data = BYTES(data, 10));
}
static long op_pipe_back(void)
{
	return FS(&f, write, WRITE, NULL, .ino = a, .flags = IO_BACK | IO_SPLICE,
		  .data = BYTES(data, 9000));
}
static long op_packet_back(void)
{
	return FS(&f, write, WRITE, NULL, .ino = a,
		  .flags = IO_BACK | IO_SPLICE | IO_PACKET, .data = BYTES(data, 9000));
}
static long op_pipe_size(void)
{
	return FS(&f, pipe_size, PIPE_SIZE, NULL, .ino = a, .size = 200000);
}
static long op_lock(void)
{
	return lock(1, 1, 3, 20);
}
static long op_lock_wait(void)
{
	struct rep_LOCK p = { 0 };
	long r = FS(&f, lock, LOCK, &p, .ino = a, .kind = LOCK_POSIX, .op = LOCK_SET,
		    .owner = 3, .type = 1, .end = 20, .wait_seq = seq, .servers = 3);

	if (r != -EAGAIN || !p.search)
		return -EIO;
	return FS(&f, lock_waits, LOCK_WAITS, NULL, .owner = 3, .wait_id = p.wait_id,
		  .over = 1);
}
static long op_lock_append(void)
{
	u64 me = OWNER_OF(7, f.slot);
	long r = FS(&f, lock, LOCK, NULL, .ino = a, .kind = LOCK_APPEND, .op = LOCK_SET,
		    .owner = me, .type = 1, .end = ~0ULL);

	return r ? r
		 : FS(&f, lock, LOCK, NULL, .ino = a, .kind = LOCK_APPEND, .op = LOCK_SET,
		      .owner = me, .type = 2, .end = ~0ULL);
}
static long op_unlock_middle(void)
{
	return lock(1, 2, 10, 15);
}
static long op_xattr(void)
{
	return FS(&f, xattr, XATTR, NULL, .ino = a, .op = 1, .name = NAME("user.y"),
		  .value = BYTES(data, 3000), .cred = &f.cred);
}
static long op_xattr_again(void)
{
	return FS(&f, xattr, XATTR, NULL, .ino = a, .op = 1, .name = NAME("user.x"),
		  .value = BYTES(data, 30), .cred = &f.cred);
}
static long op_xattr_remove(void)
{
	return FS(&f, xattr, XATTR, NULL, .ino = a, .op = 3, .name = NAME("user.x"),
		  .cred = &f.cred);
}
static long op_chown(void)
{
	return FS(&f, chown, CHOWN, NULL, .ino = a, .uid = 7, .gid = 8, .cred = &f.cred);
}
static long op_shard(void)
{
	return FS(&f, shard, SHARD, NULL, .dir = (1ULL << 40) | 77, .op = SHARD_NEW,
		  .mode = 0755);
}
static long op_many(void)
{
	char name[16];
	long r = 0;

	for (u32 i = 0; i < 70 && r >= 0; i++) { /* grows tables and cookie maps */
		snprintf(name, sizeof(name), "m%u", i);
		r = mk(&f, ROOT, name, MODE);
		if (r == -EEXIST)
			r = 0;
	}
	return r;
}

/* Partitioned DRAM: the copy of a far file, a. */
#define FAR_FILE ((1ULL << 40) | 77)
#define COPY_OP(...) FS(&f, copy_data, COPY_DATA, NULL, .ino = FAR_FILE, __VA_ARGS__)
static void copy_new(void)
{
	struct rep_COPY p = { 0 };

	need(FS(&f, copy, COPY, &p, .ino = FAR_FILE) == 0, "copy");
	a = p.copy;
}
static void copy_open(void)
{
	copy_new();
	op(&f, a, O_RDWR | OPEN_PIN);
}
static long op_copy(void)
{
	return FS(&f, copy, COPY, NULL, .ino = FAR_FILE);
}
static long op_copy_fill(void)
{
	return COPY_OP(.op = COPY_FILL, .end = 16384, .flags = COPY_TWIN, .data = BYTES(data, 9000));
}
static void copy_filled(void)
{
	copy_open();
	op_copy_fill();
}
static void copy_old(void)
{
	copy_filled();
	COPY_OP(.op = COPY_OLD, .end = 16384);
}
static long op_copy_again(void)
{
	return COPY_OP(.op = COPY_FILL, .end = 16384, .flags = COPY_TWIN, .gen = 1,
		       .data = BYTES(data + 7, 9000));
}
static long op_copy_version(void)
{
	return COPY_OP(.op = COPY_VERSION, .version = 5);
}
static long op_copy_old(void)
{
	return COPY_OP(.op = COPY_OLD, .off = 5000, .end = 1 << 20);
}
static long op_copy_cut(void)
{
	return COPY_OP(.op = COPY_CUT, .off = 5000);
}
static long op_copy_close(void)
{
	return cl(&f, a, O_RDWR | OPEN_PIN);
}
static long op_patch(void)
{
	static char piece[200];
	struct piece_head h[2] = { { .off = 4090, .len = 50 }, { .off = 12000, .len = 60 } };

	memcpy(piece, &h[0], 16);
	memcpy(piece + 16, data + 4090, 50);
	memcpy(piece + 66, &h[1], 16);
	memcpy(piece + 82, data + 12000, 60);
	return FS(&f, patch, PATCH, NULL, .ino = a, .steal = 1, .data = BYTES(piece, 142));
}
static void file_punched(void)
{
	file();
	op_punch();
}

static const struct scenario {
	const char *name;
	void (*setup)(void);
	long (*op)(void);
	bool steps; /* several commits: states in between are legal */
	u32 stride; /* of k, for long ones; 0 is 1 */
} scenario[] = {
	{ "create", none, op_create, false, 0 },
	{ "create by a far core that knew it is not there", file_seen_by_far, op_create_far, false, 0 },
	{ "create, open and truncate", file, op_create_open, false, 0 },
	{ "mkdir", none, op_mkdir, false, 0 },
	{ "symlink", none, op_symlink, false, 0 },
	{ "create without a name", none, op_nameless, false, 0 },
	{ "resolve of nothing by a far core", none, op_resolve_none, true, 0 },
	{ "unlink", file, op_unlink, false, 0 },
	{ "unlink of what far cores cache", file_seen_by_far, op_unlink, false, 0 },
	{ "unlink of an open file", file_open, op_unlink, false, 0 },
	{ "unlink of a large file", large, op_unlink, false, 37 },
	{ "rmdir", two, op_rmdir, false, 0 },
	{ "rmdir, waiting", marked, op_rmdir_mark, true, 0 },
	{ "rmdir, abort", marked, op_rmdir_abort, false, 0 },
	{ "death of who marked", marked, op_owner_died, true, 0 },
	{ "rename", file, op_rename, false, 0 },
	{ "rename over a file", two, op_rename_over, false, 0 },
	{ "rename of a directory", two_dirs, op_rename_dir, false, 0 },
	{ "rename over a directory", two_dirs, op_rename_over_dir, false, 0 },
	{ "exchange", two_dirs, op_exchange, false, 0 },
	{ "add_map", none, op_add_map, false, 0 },
	{ "add_map over a file", two, op_add_map_over, false, 0 },
	{ "add_map, pending", none, op_add_map_pending, false, 0 },
	{ "add_map, taken back", file_pending, op_add_map_undo, false, 0 },
	{ "rm_map, taken back", name_pending, op_rm_map_undo, false, 0 },
	{ "rm_map of a directory that has its new name", dir_pending, op_rm_map_confirm, false, 0 },
	{ "rm_map of a directory that has it elsewhere", two_dirs, op_rm_map_confirm_far, false, 0 },
	{ "link", file, op_link, false, 0 },
	{ "write", file, op_write, false, 0 },
	{ "write over the end", file, op_write_over, true, 0 },
	{ "overwrite", file, op_overwrite, false, 0 },
	{ "truncate", file, op_trunc, true, 0 },
	{ "truncate of an open file", file_open_far, op_trunc, true, 0 },
	{ "truncate to nothing", file, op_trunc_0, false, 0 },
	{ "truncate to nothing, deferred", file_open_far, op_trunc_0, false, 0 },
	{ "truncate of a large file", large, op_trunc, true, 53 },
	{ "truncate of a large file to nothing", large, op_trunc_0, false, 0 },
	{ "growing", file, op_grow, false, 0 },
	{ "punch", file, op_punch, false, 0 },
	{ "punch, deferred", file_open_far, op_punch, false, 0 },
	{ "fallocate", file, op_fallocate, false, 0 },
	{ "blocks for a far core", file, op_blocks, false, 0 },
	{ "flush of a far core", file_open_far, op_flush, false, 0 },
	{ "open", file, op_open, false, 0 },
	{ "open by a far core", file, op_open_far, false, 0 },
	{ "close", file_open, op_close, false, 0 },
	{ "last close by a far core", file_in_limbo, op_close_far, false, 0 },
	{ "last close, with blocks ahead", file_ahead, op_close_far, false, 0 },
	{ "the same, of the last writer", file_ahead_read, op_close_far, false, 0 },
	{ "death of a far core", file_in_limbo, op_core_died, false, 0 },
	{ "dup", file_open, op_dup, false, 0 },
	{ "dup with push", shared, op_dup_push, false, 0 },
	{ "local again, far", shared, op_local_far, false, 0 },
	{ "local again, near", shared_far, op_local_near, false, 0 },
	{ "read at a shared offset", shared, op_shared_read, false, 0 },
	{ "close of a shared description", shared, op_close_ofd, false, 0 },
	{ "pipe", none, op_pipe, false, 0 },
	{ "read from a pipe", pipe_, op_pipe_read, false, 0 },
	{ "write to a pipe", pipe_, op_pipe_write, false, 0 },
	{ "write to a waiting reader", pipe_empty, op_pipe_write, false, 0 },
	{ "size of a pipe", pipe_, op_pipe_size, false, 0 },
	{ "a packet behind bytes", pipe_, op_packet_write, false, 0 },
	{ "a packet behind packets", pipe_packets, op_packet_write, false, 0 },
	{ "a packet to a waiting reader", pipe_empty, op_packet_small, false, 0 },
	{ "bytes behind packets", pipe_packets, op_pipe_write, false, 0 },
	{ "bytes go back", pipe_, op_pipe_back, false, 0 },
	{ "bytes go back to an empty pipe", pipe_empty, op_pipe_back, false, 0 },
	{ "bytes and a packet go back", pipe_packets, op_packet_back, false, 0 },
	{ "read of a packet", pipe_packets, op_pipe_read, false, 0 },
	{ "size of a pipe of packets", pipe_packets, op_pipe_size, false, 0 },
	{ "close of a pipe's end", pipe_, op_close_reader, false, 0 },
	{ "inotify instance", none, op_inotify, false, 0 },
	{ "watch", instance, op_watch, true, 0 },
	{ "watch taken back", watched, op_unwatch, false, 0 },
	{ "create in a watched directory", watched, op_create, false, 0 },
	{ "create, and a reader waits for events", watched_read, op_create, false, 0 },
	{ "unlink of a watched file", watched, op_unlink_watched, false, 0 },
	{ "rename of a watched file", watched, op_rename_watched, false, 0 },
	{ "an event that is wanted once", watched_once, op_note, false, 0 },
	{ "reading events", told, op_events, false, 0 },
	{ "close of an instance", told, op_close_instance, true, 0 },
	{ "open of a FIFO", fifo, op_open, false, 0 },
	{ "last close of a FIFO", fifo_open, op_close_reader, false, 0 },
	{ "lock", file, op_lock, false, 0 },
	{ "the lock for long writes at the end", file, op_lock_append, true, 0 },
	{ "a wait for a lock, and the search for a deadlock", locked, op_lock_wait, true, 0 },
	{ "unlock of the middle, with a waiter", locked, op_unlock_middle, true, 0 },
	{ "setxattr", file, op_xattr, false, 0 },
	{ "setxattr again", xattr, op_xattr_again, false, 0 },
	{ "removexattr", xattr, op_xattr_remove, false, 0 },
	{ "chown", file, op_chown, false, 0 },
	{ "shard", none, op_shard, false, 0 },
	{ "copy of a far file", none, op_copy, false, 0 },
	{ "open of a copy", copy_new, op_open, false, 0 },
	{ "filling a copy", copy_open, op_copy_fill, false, 0 },
	{ "filling it again", copy_old, op_copy_again, true, 0 },
	{ "another version", copy_filled, op_copy_version, false, 0 },
	{ "a copy that is old", copy_filled, op_copy_old, false, 0 },
	{ "cut of a copy", copy_filled, op_copy_cut, true, 0 },
	{ "last close of a copy", copy_filled, op_copy_close, false, 0 },
	{ "patch", file, op_patch, false, 0 },
	{ "patch in a hole", file_punched, op_patch, true, 0 },
	{ "many creates", none, op_many, true, 97 },
};

static void world(u32 model)
{
	fsw_new(&f, &(struct world_cfg){ .cores = 2, .islands = 2, .model = model,
					 .size = 40 << 20 }, 0);
	a = b = d = ofd = 0;
	seq = fsw_event(&f);
}

/* The states before and after, when nobody dies. */
static void reference(const struct scenario *s, u32 model, struct seen *before, struct seen *after)
{
	world(model);
	s->setup();
	*before = look_at();
	if (s->op() < 0)
		ok(0, "%s: fails", s->name);
	*after = look_at();
	fsw_end(&f);
}

/* Dies at store k of the operation. True when it got so far. */
static bool die_at(const struct scenario *s, u64 k)
{
	pid_t pid = world_fork(&f.w);
	int status;

	if (!pid) {
		f.w.ctx[0].slot = 0;
		g_crash_count = 0;
		g_crash_at = k;
		s->op();
		_exit(0);
	}
	status = world_wait(pid);
	as(false);
	if (status && status != 99)
		ok(0, "%s: status %d at store %lu", s->name, status, k);
	return status == 99;
}

/* Bytes beyond the end, when they come to light. */
static u32 tail_problems(void)
{
	struct attr t = stat_of(&f, a);
	u32 n = 0;

	if ((t.mode & HS_IFMT) != HS_IFREG || !t.nlink)
		return 0;
	trunc_to(&f, a, t.size + 5000);
	need(rd(&f, a, t.size, got, 5000) == 5000, "read");
	for (u32 i = 0; i < 5000; i++)
		n += got[i] != 0;
	trunc_to(&f, a, t.size);
	if (n)
		diag("%u bytes beyond the end are not zero", n);
	return n;
}

static u32 problems(const struct scenario *s, u64 k, const struct seen *before,
		    const struct seen *after)
{
	struct seen now;
	u32 n = fsw_check(&f);

	ck_lock(&f.w.ctx[0], f.w.ck[0]);
	msg_flush(&f.w.ctx[0], f.w.ck[0]);
	ck_unlock(f.w.ck[0]);
	now = look_at();
	if (!s->steps && !same(&now, before) && !same(&now, after)) {
		diag("%s: neither old nor new after store %lu: heap %lu, %lu or %lu; blocks %lu, %lu or %lu",
		     s->name, k, now.heap, before->heap, after->heap, now.blocks_free,
		     before->blocks_free, after->blocks_free);
		n++;
	}
	if (!s->steps && same(&now, after) && !same(before, after))
		return n;
	n += tail_problems();
	if (s->op() < 0) {
		diag("%s: cannot be repeated after store %lu", s->name, k);
		n++;
	}
	return n + fsw_check(&f);
}

static void t_scenario(const struct scenario *s, u32 model)
{
	struct seen before, after;
	u32 n = 0, points = 0;

	reference(s, model, &before, &after);
	for (u64 k = 1;; k += s->stride ? s->stride : 1) {
		bool died;

		world(model);
		s->setup();
		died = die_at(s, k);
		if (died) {
			n += problems(s, k, &before, &after);
			points++;
		}
		fsw_end(&f);
		if (!died || n > 10)
			break;
	}
	ok(!n && points, "%s%s: dying at %u points", s->name,
	   model == MEM_EMULATED ? " (emulated)" : "", points);
}

/* --- killed at any moment -------------------------------------------------------------------- */

static void churn(u64 seed)
{
	char name[16];

	for (;;) {
		u32 i = (u32)(t_random(&seed) % 20);
		long ino;

		snprintf(name, sizeof(name), "n%u", i);
		ino = look(&f, ROOT, name);
		as(t_random(&seed) % 3 == 0);
		switch (t_random(&seed) % 8) {
		case 0:
			mk(&f, ROOT, name, i % 4 ? MODE : HS_IFDIR | 0755);
			break;
		case 1:
			rm(&f, ROOT, name);
			break;
		case 2:
			rmdir_all(&f, ROOT, name);
			break;
		case 3:
			ren(name, ROOT, i % 2 ? "x" : "y", 0);
			break;
		case 4:
		case 5:
			if (ino > 0)
				wr(&f, (u64)ino, t_random(&seed) % 200000, data, 50000);
			break;
		case 6:
			if (ino > 0)
				trunc_to(&f, (u64)ino, t_random(&seed) % 200000);
			break;
		case 7:
			if (ino > 0 && !op(&f, (u64)ino, O_RDWR)) {
				wr(&f, (u64)ino, 0, data, 9000);
				cl(&f, (u64)ino, O_RDWR);
			}
			break;
		}
		as(false);
	}
}

static void t_kill(u32 model)
{
	u64 seed = 42;
	u32 n = 0, recovered;

	world(model);
	for (u32 i = 0; i < 60; i++) {
		pid_t pid = world_fork(&f.w);

		if (!pid) {
			f.w.ctx[0].slot = 0;
			churn(i);
		}
		usleep((useconds_t)(500 + t_random(&seed) % 4000));
		kill(pid, SIGKILL);
		world_wait(pid);
		n += fsw_check(&f);
		/* Whatever the dead far client had open. */
		ck_lock(&f.w.ctx[0], f.w.ck[0]);
		fs_core_died(&f.w.ctx[0], f.w.ck[0], 1);
		msg_flush(&f.w.ctx[0], f.w.ck[0]);
		ck_unlock(f.w.ck[0]);
	}
	recovered = f.w.ck[0]->recovered;
	is(n, 0, "%s: 60 processes killed at any moment, %u inside", world_model(model), recovered);
	fsw_end(&f);
}

int main(void)
{
	for (u32 i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 256 + 1);
	for (u32 i = 0; i < ARRAY_SIZE(scenario); i++)
		t_scenario(&scenario[i], MEM_COHERENT);
	for (u32 i = 0; i < ARRAY_SIZE(scenario); i++)
		if (scenario[i].op == op_write || scenario[i].op == op_trunc ||
		    scenario[i].op == op_blocks || scenario[i].op == op_close)
			t_scenario(&scenario[i], MEM_EMULATED);
	t_kill(MEM_COHERENT);
	t_kill(MEM_EMULATED);
	return done_testing();
}
