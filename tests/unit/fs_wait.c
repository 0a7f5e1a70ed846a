/* SPDX-License-Identifier: MIT */
/* What processes wait for: pipes, FIFOs, locks. */
#include "unit/fs.h"

#define ROOT INO_ROOT

static struct fsw f;
static char big[1 << 20], got[1 << 20];

static long pread_(u64 ino, u32 len, u32 seq)
{
	struct rep_READ p = { .data = BYTES(got, len) };
	long r = FS(&f, read, READ, &p, .ino = ino, .len = len, .flags = seq ? IO_WAIT : 0,
		    .wait_seq = seq);

	return r < 0 ? r : p.data.len;
}
static long pwrite_(u64 ino, const void *from, u32 len, u32 seq)
{
	struct rep_WRITE p = { 0 };
	long r = FS(&f, write, WRITE, &p, .ino = ino, .flags = seq ? IO_WAIT : 0,
		    .wait_seq = seq, .data = BYTES(from, len));

	return r < 0 ? r : p.count;
}
static u32 poll_(u64 ino, u32 access, u32 seq)
{
	struct rep_POLL p = { 0 };

	if (FS(&f, poll, POLL, &p, .ino = ino, .events = HP_IN | HP_OUT, .access = access,
	       .wait_seq = seq) < 0)
		return 0xffff;
	return p.revents;
}

static void t_pipe(void)
{
	struct rep_PIPE p = { 0 };
	struct rep_PIPE_SIZE z = { 0 };
	struct fs_stats s0, s1;
	u64 ino, total = 0;
	u32 seq;
	long r;

	fsw_stats(&f, 0, &s0);
	is(FS(&f, pipe, PIPE, &p, .cred = &f.cred), 0, "pipe");
	ino = p.ino;
	ok(stat_of(&f, ino).mode == (HS_IFIFO | 0600) && stat_of(&f, ino).nlink == 1, "its mode");
	is(poll_(ino, O_RDONLY, 0), 0, "nothing to read");
	is(poll_(ino, O_WRONLY, 0), HP_OUT, "room to write");
	seq = fsw_event(&f);
	is(pread_(ino, 10, seq), -EAGAIN, "read of an empty one: EAGAIN");
	is(pread_(ino, 10, seq), -EAGAIN, "again");
	is(pwrite_(ino, "hello", 5, 0), 5, "write");
	ok(fsw_woken(&f, seq), "wakes the reader");
	is(poll_(ino, O_RDONLY, 0), HP_IN, "now it is readable");
	is(pread_(ino, 3, 0), 3, "read a part");
	is(pread_(ino, 10, 0), 2, "and the rest");
	ok(!memcmp(got, "lo", 2), "in order");
	while ((r = pwrite_(ino, big, 5000, 0)) > 0)
		total += (u64)r;
	is(r, -EAGAIN, "write until it is full");
	is(total, 65536, "which is 64 KiB");
	is(poll_(ino, O_WRONLY, 0), 0, "not writable");
	seq = fsw_event(&f);
	is(pwrite_(ino, big, 100, seq), -EAGAIN, "write waits");
	is(pread_(ino, 4000, 0), 4000, "read less than a page");
	ok(!fsw_woken(&f, seq), "does not wake it");
	is(pwrite_(ino, big, 4096, 0), -EAGAIN, "a page is written whole or not");
	is(pread_(ino, 96, 0), 96, "read the rest of the page");
	ok(fsw_woken(&f, seq), "does");
	is(pwrite_(ino, big, 4096, 0), 4096, "now it fits");
	is(FS(&f, pipe_size, PIPE_SIZE, &z, .ino = ino, .size = 4096), -EBUSY, "size: EBUSY");
	is(FS(&f, pipe_size, PIPE_SIZE, &z, .ino = ino, .size = 0), -EBUSY, "size 0 is a page: EBUSY");
	is(FS(&f, pipe_size, PIPE_SIZE, &z, .ino = ino, .size = 2 << 20), -EPERM, "size: EPERM");
	is(FS(&f, pipe_size, PIPE_SIZE, &z, .ino = ino, .size = 1000000), 0, "size");
	is(z.size, 1 << 20, "rounded up");
	is(fsw_check(&f), 0, "consistent");
	for (total = 0; (r = pread_(ino, 70000, 0)) > 0;)
		total += (u64)r;
	is(total, 65536, "all bytes are still there");
	is(pwrite_(ino, big, 1 << 20, 0), 1 << 20, "a megabyte in one write");
	is(FS(&f, close, CLOSE, NULL, .ino = ino, .flags = O_WRONLY), 0, "close the writing end");
	is(poll_(ino, O_RDONLY, 0), HP_IN | HP_HUP, "hung up, but there is data");
	is(pread_(ino, 1 << 20, 0), 1 << 20, "read it");
	ok(!memcmp(got, big, 1 << 20), "unchanged");
	is(pread_(ino, 1, 0), 0, "then the end");
	is(pwrite_(ino, big, 1, 0), -EBADF, "write: EBADF");
	is(FS(&f, close, CLOSE, NULL, .ino = ino, .flags = O_RDONLY), 0, "close the other");
	is(stat_of(&f, ino).ino, 0, "gone");
	fsw_stats(&f, 0, &s1);
	is(s1.blocks_free, s0.blocks_free, "with its blocks");
	FS(&f, pipe, PIPE, &p, .cred = &f.cred);
	is(cl(&f, p.ino, O_RDONLY), 0, "close the reading end first");
	is(pwrite_(p.ino, big, 1, 0), -EPIPE, "write: EPIPE");
	is(poll_(p.ino, O_WRONLY, 0), HP_OUT | HP_ERR, "poll says so");
	is(cl(&f, p.ino, O_WRONLY), 0, "close");
	is(fsw_check_all(&f), 0, "consistent");
}

static void t_pipe_random(void)
{
	struct rep_PIPE p = { 0 };
	u64 rnd = 5, in = 0, out = 0;
	u32 errors = 0;

	FS(&f, pipe, PIPE, &p, .cred = &f.cred);
	for (u32 i = 0; i < 20000; i++) {
		u32 n = 1 + (u32)(t_random(&rnd) % (t_random(&rnd) % 4 ? 300 : 9000));
		long r;

		if (t_random(&rnd) % 2) {
			r = pwrite_(p.ino, big + in % 250, n, 0);
			errors += r < 0 ? r != -EAGAIN : n <= 4096 && r != n;
			in += r > 0 ? (u64)r : 0;
		} else {
			r = pread_(p.ino, n, 0);
			errors += r < 0 && (r != -EAGAIN || in != out);
			errors += r > 0 && memcmp(got, big + out % 250, (size_t)r);
			out += r > 0 ? (u64)r : 0;
		}
		if (i % 2000 == 1999)
			FS(&f, pipe_size, PIPE_SIZE, NULL, .ino = p.ino,
			   .size = 1 << (14 + t_random(&rnd) % 5));
	}
	is(errors, 0, "%lu bytes went through a pipe in order", out);
	is(fsw_check(&f), 0, "consistent");
	cl(&f, p.ino, O_RDONLY);
	cl(&f, p.ino, O_WRONLY);
}

static void t_fifo(void)
{
	u64 ino = (u64)mk(&f, ROOT, "fifo", HS_IFIFO | 0666);
	struct rep_OPEN r = { 0 }, w = { 0 };
	struct rep_POLL p = { 0 };
	u32 seq;

#define PEER(acc, snc, sq)                                                             \
	FS(&f, poll, POLL, &p, .ino = ino, .access = (acc), .fifo_peer = 1, .since = (snc), \
	   .wait_seq = (sq))
	is(op(&f, ino, O_WRONLY | O_NONBLOCK), -ENXIO, "open: ENXIO without a reader");
	is(FS(&f, open, OPEN, &r, .ino = ino, .flags = O_RDONLY, .cred = &f.cred), 0,
	   "open for reading");
	seq = fsw_event(&f);
	is(PEER(O_RDONLY, (u32)r.attr.version, seq), 0, "wait for a writer");
	is(p.revents, 0, "there is none");
	is(FS(&f, open, OPEN, &w, .ino = ino, .flags = O_WRONLY | O_NONBLOCK, .cred = &f.cred),
	   0, "a writer comes");
	ok(fsw_woken(&f, seq), "the reader is woken");
	is(pwrite_(ino, "hi", 2, 0), 2, "it writes");
	is(cl(&f, ino, O_WRONLY), 0, "and goes");
	is(PEER(O_RDONLY, (u32)r.attr.version, 0), 0, "the reader looks again");
	ok(p.revents, "and does not wait any more: there was one");
	is(pread_(ino, 10, 0), 2, "it reads");
	is(pread_(ino, 10, 0), 0, "to the end");
	is(FS(&f, open, OPEN, &w, .ino = ino, .flags = O_WRONLY, .cred = &f.cred), 0,
	   "another writer");
	is(PEER(O_WRONLY, (u32)w.attr.version, 0), 0, "finds");
	ok(p.revents, "the reader");
	pwrite_(ino, "lost", 4, 0);
	cl(&f, ino, O_WRONLY);
	cl(&f, ino, O_RDONLY);
	is(op(&f, ino, O_RDWR), 0, "open for both never waits");
	is(pread_(ino, 10, 0), -EAGAIN, "what was in it is gone");
	cl(&f, ino, O_RDWR);
	is(FS(&f, open, OPEN, &r, .ino = ino, .flags = O_RDONLY | O_NONBLOCK, .cred = &f.cred),
	   0, "a reader that does not wait");
	FS(&f, poll, POLL, &p, .ino = ino, .events = HP_IN, .access = O_RDONLY,
	   .since = (u32)r.attr.version);
	is(p.revents, 0, "is not hung up: nobody wrote yet");
	is(rm(&f, ROOT, "fifo"), 0, "unlink");
	is(cl(&f, ino, O_RDONLY), 0, "last close");
	is(fsw_check_all(&f), 0, "consistent");
}

static u64 file;

static long lk(u32 kind, u64 owner, u32 type, u64 start, u64 end, u32 seq)
{
	return FS(&f, lock, LOCK, NULL, .ino = file, .kind = kind, .op = LOCK_SET,
		  .owner = owner, .type = type, .start = start, .end = end, .wait_seq = seq,
		  .pid = (u32)owner);
}

static void t_locks(void)
{
	struct rep_LOCK p = { 0 };
	u64 max = ~0ULL;
	u32 seq;

	file = (u64)mk(&f, ROOT, "l", HS_IFREG | 0644);
	is(lk(LOCK_POSIX, 1, 2, 0, max, 0), 0, "unlock of nothing");
	is(lk(LOCK_POSIX, 1, 3, 0, 1, 0), -EINVAL, "lock: EINVAL, type");
	is(lk(LOCK_POSIX, 1, 0, 2, 1, 0), -EINVAL, "lock: EINVAL, range");
	is(lk(LOCK_POSIX, 1, 0, 0, 99, 0), 0, "read lock");
	is(lk(LOCK_POSIX, 2, 0, 50, 150, 0), 0, "another's read lock");
	is(lk(LOCK_POSIX, 2, 1, 120, 150, 0), 0, "part of it becomes a write lock");
	is(lk(LOCK_POSIX, 1, 1, 10, 60, 0), -EAGAIN, "write lock: EAGAIN");
	is(lk(LOCK_POSIX, 1, 0, 120, 120, 0), -EAGAIN, "read lock: EAGAIN");
	is(FS(&f, lock, LOCK, &p, .ino = file, .kind = LOCK_POSIX, .op = LOCK_GET, .owner = 1,
	      .type = 1, .start = 100, .end = max),
	   0, "get");
	ok(p.type == 0 && p.start == 50 && p.end == 119 && p.pid == 2, "the first in conflict");
	is(lk(LOCK_FLOCK, 9, 1, 0, 0, 0), 0, "flock does not see them");
	is(lk(LOCK_FLOCK, 8, 0, 0, 0, 0), -EAGAIN, "but other flocks");
	is(lk(LOCK_OFD, 1, 1, 70, 70, 0), -EAGAIN, "an OFD lock sees POSIX locks");
	seq = fsw_event(&f);
	is(lk(LOCK_POSIX, 1, 1, 10, 60, seq), -EAGAIN, "wait");
	f.slot = 5; /* another thread: what one asks ends its own waiting */
	is(lk(LOCK_POSIX, 2, 2, 55, 70, 0), 0, "unlock a middle part");
	ok(!fsw_woken(&f, seq), "not enough");
	is(lk(LOCK_POSIX, 2, 2, 0, 54, 0), 0, "unlock the beginning");
	f.slot = f.w.ctx[0].slot;
	ok(fsw_woken(&f, seq), "woken");
	is(lk(LOCK_POSIX, 1, 1, 10, 60, seq), 0, "got it");
	is(fsw_check(&f), 0, "consistent");
	/* 1 holds 10-60 W and the rest of 0-99 R; 2 holds 71-119 R, 120-150 W */
	f.slot = 5;
	is(lk(LOCK_POSIX, 1, 1, 120, 120, 7), -EAGAIN, "1 waits for 2");
	f.slot = 6;
	is(lk(LOCK_POSIX, 2, 1, 20, 20, 7), -EDEADLK, "2 for 1: EDEADLK");
	is(lk(LOCK_POSIX, 3, 1, 20, 20, 7), -EAGAIN, "3 may wait for 1");
	f.slot = 7;
	is(lk(LOCK_POSIX, 2, 1, 20, 20, 0), -EAGAIN, "2 may ask");
	f.slot = f.w.ctx[0].slot;
	is(fsw_check(&f), 0, "consistent");
	is(FS(&f, lock, LOCK, NULL, .ino = file, .kind = LOCK_POSIX, .op = LOCK_RELEASE_OWNER,
	      .owner = 2),
	   0, "2 releases all");
	is(lk(LOCK_OFD, 7, 1, 100, max, 0), 0, "an OFD lock");
	is(lk(LOCK_POSIX, 3, 0, max, max, 0), -EAGAIN, "to the end of the range");
	is(lk(LOCK_OFD, 7, 1, 0, 5, 0), -EAGAIN, "1 still has its own");
	ck_lock(&f.w.ctx[0], f.w.ck[0]);
	fs_owner_died(&f.w.ctx[0], f.w.ck[0], 1);
	ck_unlock(f.w.ck[0]);
	is(lk(LOCK_OFD, 7, 1, 0, 5, 0), 0, "until it dies");
	is(op(&f, file, O_RDWR), 0, "open");
	is(rm(&f, ROOT, "l"), 0, "unlink");
	is(cl(&f, file, O_RDWR), 0, "close frees all locks");
	is(fsw_check_all(&f), 0, "consistent");
}

/* Random sets and unsets against an array of bytes. */
static struct rep_LOCK_WAITS waits(u64 owner, u64 id, u32 over)
{
	struct rep_LOCK_WAITS p = { 0 };

	is(FS(&f, lock_waits, LOCK_WAITS, &p, .owner = owner, .wait_id = id, .over = over), 0,
	   "LOCK_WAITS");
	return p;
}

/* What the search for deadlocks over several servers is told. */
static void t_lock_waits(void)
{
	struct rep_LOCK_WAITS w;
	struct rep_LOCK p = { 0 };
	u32 seq = fsw_event(&f);
	u64 id;

	file = (u64)mk(&f, ROOT, "w", HS_IFREG | 0644);
	is(lk(LOCK_POSIX, 1, 1, 0, 9, 0), 0, "1 has a lock");
	w = waits(2, 0, 0);
	ok(!w.blocker && !w.awaited, "2 waits for nobody");
	is(FS(&f, lock, LOCK, &p, .ino = file, .kind = LOCK_POSIX, .op = LOCK_SET, .owner = 2,
	      .type = 1, .end = 5, .wait_seq = seq, .servers = 1),
	   -EAGAIN, "2 waits, with locks here alone");
	ok(p.blocker == 1 && p.wait_id && !p.search, "for 1; nothing to search");
	ok(waits(1, 0, 0).awaited, "1 is waited for");
	is(FS(&f, lock, LOCK, &p, .ino = file, .kind = LOCK_POSIX, .op = LOCK_SET, .owner = 2,
	      .type = 1, .end = 5, .wait_seq = seq, .servers = 3),
	   -EAGAIN, "with locks at another server");
	id = p.wait_id;
	ok(p.search, "a cycle can be");
	w = waits(2, 0, 0);
	ok(w.blocker == 1 && w.wait_id == id && w.searching, "it is searching");
	ok(!waits(2, id + 1, 0).blocker, "another wait of it is not there");
	ok(waits(2, id, 0).blocker == 1, "this one is");
	ok(!waits(2, id, 1).searching && !waits(2, 0, 0).searching, "it has looked");
	is(FS(&f, lock, LOCK, &p, .ino = file, .kind = LOCK_POSIX, .op = LOCK_SET, .owner = 2,
	      .type = 1, .end = 5, .wait_seq = seq, .servers = 3, .searched = 1),
	   -EAGAIN, "again for the same");
	ok(!p.search && p.wait_id != id, "nothing new: no search");
	f.slot = 5;
	is(lk(LOCK_POSIX, 1, 2, 0, 9, 0), 0, "1 gives it back");
	f.slot = f.w.ctx[0].slot;
	ok(!waits(2, 0, 0).blocker && !waits(1, 0, 0).awaited, "nobody waits any more");
	is(lk(LOCK_OFD, 7, 1, 0, 9, 0), 0, "an OFD lock");
	is(FS(&f, lock, LOCK, &p, .ino = file, .kind = LOCK_POSIX, .op = LOCK_SET, .owner = 2,
	      .type = 1, .end = 5, .wait_seq = seq, .servers = 3),
	   -EAGAIN, "2 waits for it");
	ok(!p.search && !waits(2, 0, 0).blocker, "that is no part of a cycle");
	is(lk(LOCK_POSIX, 2, 2, 0, 9, 0), 0, "2 waits no more");
	is(lk(LOCK_OFD, 7, 2, 0, 9, 0), 0, "and the lock goes");
}

static long append(const char *text)
{
	struct rep_WRITE p = { 0 };

	return FS(&f, write, WRITE, &p, .ino = file, .flags = IO_APPEND, .data = BYTES(text, strlen(text)));
}

/* Writes of several pieces at the end. */
static void t_append_lock(void)
{
	u64 me = OWNER_OF(3, f.w.ctx[0].slot), other = OWNER_OF(4, 5);
	u32 seq = fsw_event(&f);

	file = (u64)mk(&f, ROOT, "a", HS_IFREG | 0644);
	is(lk(LOCK_APPEND, other, 1, 0, 0, 0), 0, "the lock for appending");
	is(lk(LOCK_POSIX, 9, 1, 0, 9, 0), 0, "does not meet POSIX locks");
	is(append("one"), -EAGAIN, "another thread's write at the end: EAGAIN");
	is(FS(&f, write, WRITE, NULL, .ino = file, .data = BYTES("x", 1)), 0, "not elsewhere");
	is(lk(LOCK_APPEND, me, 1, 0, 0, seq), -EAGAIN, "it waits");
	f.slot = 5;
	is(append("two"), 0, "who has it writes");
	is(lk(LOCK_APPEND, other, 2, 0, 0, 0), 0, "unlock");
	f.slot = f.w.ctx[0].slot;
	ok(fsw_woken(&f, seq), "who waits is woken");
	is(lk(LOCK_APPEND, me, 1, 0, 0, 0), 0, "and has its turn");
	is(append("three"), 0, "writes");
	f.slot = 5;
	is(append("four"), -EAGAIN, "the other has to wait now");
	ck_lock(&f.w.ctx[0], f.w.ck[0]);
	fs_owner_died(&f.w.ctx[0], f.w.ck[0], 3);
	ck_unlock(f.w.ck[0]);
	is(append("four"), 0, "until that process has died");
	f.slot = f.w.ctx[0].slot;
	is(lk(LOCK_POSIX, 9, 2, 0, 9, 0), 0, "unlock");
}

static void t_locks_random(void)
{
	static u8 own[3][64];
	u64 rnd = 9;
	u32 errors = 0;

	file = (u64)mk(&f, ROOT, "l", HS_IFREG | 0644);
	for (u32 i = 0; i < 20000; i++) {
		u64 start = t_random(&rnd) % 64, end = start + t_random(&rnd) % (64 - start);
		u32 who = (u32)(t_random(&rnd) % 3), type = (u32)(t_random(&rnd) % 3);
		bool conflict = false;
		long r = lk(LOCK_POSIX, who + 1, type, start, end, 0);

		for (u64 n = start; n <= end && type != 2; n++)
			for (u32 o = 0; o < 3; o++)
				conflict |= o != who && own[o][n] && (type || own[o][n] == 2);
		errors += r != (conflict ? -EAGAIN : 0);
		if (!r)
			memset(&own[who][start], type == 2 ? 0 : type + 1, end - start + 1);
		if (i % 500 == 0)
			errors += fsw_check(&f);
	}
	is(errors, 0, "20000 locks of three owners agree with the model");
	rm(&f, ROOT, "l");
}

/* Signals that are to be sent; taken away. */
static u32 signals(u32 *sig)
{
	struct ck *ck = f.w.ck[0];
	struct proc_root *r = proc_root(ck);
	u32 n = 0;

	ck_lock(&f.w.ctx[0], ck);
	while (!list_empty(&r->jobs)) {
		struct sched_job *j = LIST_ENTRY(r->jobs.next, struct sched_job, link);

		n += j->kind == JOB_SIGNAL && j->pid == 77;
		*sig = j->sig;
		tx_list_del(ck, &j->link);
		ck_free(ck, j);
	}
	ck_unlock(ck);
	return n;
}

static struct proc *process(u32 pid, u64 birth)
{
	struct ck *ck = f.w.ck[0];
	struct proc *p;

	ck_lock(&f.w.ctx[0], ck);
	p = proc_new(ck);
	need(p != NULL, "proc_new");
	p->pid = pid;
	p->birth = birth;
	p->state = PROC_RUNNING;
	proc_set_host_pid(ck, p, pid);
	ck_unlock(ck);
	return p;
}

#define ASYNC_(...) FS(&f, async, ASYNC, NULL, .ino = p.ino, __VA_ARGS__)

static void t_async(void)
{
	u64 key = 5;
	struct rep_PIPE p = { 0 };
	struct rep_DUP d = { 0 };
	struct rep_ASYNC a = { 0 };
	u32 sig = 0;
	struct proc *who = process(77, 1000);

	is(FS(&f, pipe, PIPE, &p, .cred = &f.cred), 0, "pipe");
	is(ASYNC_(.op = ASYNC_OFF, .key = key), 0, "what is not there is taken away");
	is(ASYNC_(.op = ASYNC_ON, .key = key, .access = O_RDONLY, .fd = 3), 0, "signals are asked for");
	is(pwrite_(p.ino, "x", 1, 0), 1, "write");
	is(signals(&sig), 0, "for nobody");
	is(ASYNC_(.op = ASYNC_OWNER, .key = key, .kind = ASYNC_PID, .pid = 77, .birth = 1000), 0, "for one");
	is(pwrite_(p.ino, "x", 1, 0), 1, "write");
	is(signals(&sig), 1, "who gets one");
	is(sig, 29, "SIGIO");
	is(pread_(p.ino, 1, 0), 1, "read");
	is(signals(&sig), 0, "says nothing to a reader");
	is(ASYNC_(.op = ASYNC_OWNER, .key = key, .kind = ASYNC_PID, .pid = 77, .birth = 999), 0,
	   "one that had its number before");
	is(pwrite_(p.ino, "x", 1, 0), 1, "write");
	is(signals(&sig), 0, "gets nothing any more, nor does the other");
	is(ASYNC_(.op = ASYNC_OWNER, .key = key, .kind = ASYNC_PID, .pid = 77, .birth = 1000), 0, "again");
	for (int i = 0; i < 300; i++)
		pwrite_(p.ino, "x", 1, 0);
	ok(signals(&sig) <= 2, "no more of them than are of use");
	is(ASYNC_(.op = ASYNC_SIG, .key = key, .sig = 40), 0, "a signal that is queued");
	for (int i = 0; i < 300; i++)
		pwrite_(p.ino, "x", 1, 0);
	is(signals(&sig), 65, "comes often, but not for ever");
	is(sig, 40, "that one");
	is(FS(&f, dup, DUP, &d, .ino = p.ino, .refs = 2, .lock_owner = key, .flags = O_RDONLY), 0,
	   "the description is shared");
	is(FS(&f, async, ASYNC, &a, .ino = p.ino, .key = LOCK_OWNER_SHARED | d.ofd), 0, "is asked for");
	ok(a.pid == 77 && a.sig == 40 && a.birth == 1000, "has what it had");
	is(FS(&f, close, CLOSE, NULL, .ino = p.ino, .ofd = d.ofd), 0, "one closes it");
	is(pwrite_(p.ino, "x", 1, 0), 1, "write");
	is(signals(&sig), 1, "a signal");
	is(FS(&f, close, CLOSE, NULL, .ino = p.ino, .ofd = d.ofd), 0, "the last one, too");
	is(signals(&sig), 0, "none: it was the reader");
	is(FS(&f, close, CLOSE, NULL, .ino = p.ino, .flags = O_WRONLY), 0, "and the writer");
	ck_lock(&f.w.ctx[0], f.w.ck[0]);
	proc_free(f.w.ck[0], who);
	ck_unlock(f.w.ck[0]);
}

int main(void)
{
	for (u32 i = 0; i < sizeof(big); i++)
		big[i] = (char)(i % 250);
	fsw_new(&f, &(struct world_cfg){ .cores = 1 }, 0);
	t_pipe();
	t_pipe_random();
	t_fifo();
	t_locks();
	t_lock_waits();
	t_append_lock();
	t_locks_random();
	t_async();
	is(fsw_check_all(&f), 0, "consistent");
	fsw_end(&f);
	fsw_new(&f, &(struct world_cfg){ .cores = 1, .model = MEM_EMULATED, .chaos = 3 }, 0);
	t_pipe_random();
	fsw_end(&f);
	return done_testing();
}
