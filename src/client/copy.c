/* SPDX-License-Identifier: MIT */
/*
 * Partitioned DRAM: files of other islands that are mapped. What this island's processes are shown
 * is a copy in its own DRAM (fileserver/copy.c has the picture and the rules); here it is opened,
 * filled by READ, and what was stored in it is written to the file by PATCH. Reads and writes of
 * such a file are messages to its server; they see and are seen by this island's mappings:
 *
 *   read    what was stored in the range is written to the file first
 *   write   the copy gets the bytes too; if it changed meanwhile, they are read from the file
 *
 * A pin (mapping.c) of such a file holds the copy's description (ofd.copy), which keeps it, and its
 * pages, as pins keep a file's. A copy is made and opened in two calls; one that nobody opens, since
 * its maker was killed, is freed by the agent.
 *
 * Who writes to the file what is also in the copy holds a lock of the island (lock_of), so that
 * two do not do it in another order than the one that the copy shows, nor one of them once more
 * what the other has written. It dies with its holder. Filling takes no lock: it is told when it has to
 * read again.
 */
#include "base/hash.h"
#include "client/file.h"
#include "client/path.h"

#define TRIES_MAX  1000u /* of opening a copy that was just made */
#define TRIES_FREE 4u /* of filling without the lock */

static u32 home(const struct task *t, u64 ino)
{
	const struct island *isl = t->ctx.isl;

	return rpc_copy_core(isl->super, isl->id, ino);
}

static u32 *lock_of(const struct task *t, u64 ino)
{
	struct client_root *r = client_root(mem_ck(t->ctx.isl, home(t, ino)));

	return &r->copy_busy[hash_u64(ino) % ARRAY_SIZE(r->copy_busy)];
}

bool copy_wanted(const struct task *t, u64 ino)
{
	const struct island *isl = t->ctx.isl;

	return mem_is_partitioned(isl->super) && !mem_is_near(isl, ino_server(ino));
}

bool copy_any(const struct task *t, u64 ino)
{
	return copy_wanted(t, ino) &&
	       __atomic_load_n(&mem_ck(t->ctx.isl, home(t, ino))->copies,
			       __ATOMIC_SEQ_CST);
}

static long data_op(struct task *t, struct req_COPY_DATA *q, struct rep_COPY_DATA *p)
{
	p->data = (struct rpc_bytes){ .p = NULL };
	if (q->op == COPY_DIFF)
		p->data =
			(struct rpc_bytes){ .p = t->copying, .cap = sizeof(t->copying) };
	return rpc_copy_data(&t->ctx, home(t, q->ino), q, p);
}

/* --- opening ---------------------------------------------------------------------- */

long copy_open(struct task *t, struct ofd *pin)
{
	struct req_COPY cq = { .ino = pin->ino };
	struct req_OPEN q = { .flags = O_RDWR | OPEN_PIN | OPEN_NOCHECK,
			      .cred = &t->proc->cred };
	struct rep_OPEN p = { .runs = { .p = NULL } };
	struct ck *ck = t->ctx.ck;
	struct ofd *o = ofd_new(t, OFD_FILE, 0, q.flags);
	struct rep_COPY cp;
	long r = -ENOENT;

	if (!o)
		return -ENOMEM;
	o->far = !rpc_is_near(&t->ctx, home(t, pin->ino));
	for (u32 i = 0; r == -ENOENT && i < TRIES_MAX; i++) {
		r = rpc_copy(&t->ctx, home(t, pin->ino), &cq, &cp);
		q.ino = cp.copy;
		if (!r)
			r = far_aware_open(t, o, &q, &p);
	}
	if (r) {
		ofd_put(t, o);
		return r;
	}
	ck_lock(&t->ctx, ck);
	TX_SET(ck, pin->copy, o);
	hold_pass(t, ck, o);
	ck_unlock(ck);
	return 0;
}

void copy_leave(struct task *t, struct ofd *pin)
{
	struct ck *ck = t->ctx.ck;
	struct ofd *o = pin->copy;

	ck_lock(&t->ctx, ck);
	TX_SET(ck, pin->copy, NULL);
	ofd_drop_unlock(t, o);
}

/* --- filling ---------------------------------------------------------------------- */

void copy_version(struct task *t, u64 ino, u64 version)
{
	struct req_COPY_DATA q = { .ino = ino, .op = COPY_VERSION, .version = version };
	struct rep_COPY_DATA p;

	(void)data_op(t, &q, &p);
}

/* What the file has in `len` bytes from off on, into t->copying: how many. */
static long read_file(struct task *t, u64 ino, u64 off, u32 len)
{
	struct req_READ q = { .ino = ino, .off = off, .len = len, .flags = IO_NOATIME };
	struct rep_READ p = { .data = { .p = t->copying, .cap = len } };
	long r = rpc_read(&t->ctx, ino_server(ino), &q, &p);

	return r < 0 ? r : (long)p.data.len;
}

/* What is wanted of [*off, end), once: *off moves on. -EAGAIN: the copy changed meanwhile. */
static long fill_some(struct task *t, u64 ino, u64 *off, u64 end, u32 flags)
{
	struct req_COPY_DATA q = {
		.ino = ino, .op = COPY_WANT, .flags = flags, .off = *off, .end = end
	};
	struct rep_COPY_DATA p, ignored;
	u32 count;
	long r = data_op(t, &q, &p);

	if (r)
		return r;
	*off = p.off;
	count = p.count;
	if (!count)
		return 0;
	r = read_file(t, ino, p.off, count * (u32)PAGE_SIZE);
	if (r < 0)
		return r;
	q.op = COPY_FILL;
	q.flags |= COPY_STEAL;
	q.off = p.off;
	q.end = p.off + count * PAGE_SIZE;
	q.gen = p.gen;
	q.data = (struct rpc_bytes){ .p = t->copying, .len = (u32)r };
	while ((r = data_op(t, &q, &ignored)) == -HARE_ESTEAL)
		if (!room_steal(t, home(t, ino), 2 * count))
			q.flags &= ~COPY_STEAL;
	if (!r)
		*off = q.end;
	return r;
}

/* Those that write again and again are held up in the end. */
long copy_fill(struct task *t, u64 ino, u64 off, u64 end, u32 flags)
{
	bool locked = busy_is_mine(t, lock_of(t, ino)), mine = locked;
	u32 tries = 0;
	long r = 0;

	while (off < end && (!r || r == -EAGAIN)) {
		r = fill_some(t, ino, &off, end, flags);
		if (r != -EAGAIN || ++tries < TRIES_FREE || locked)
			continue;
		busy_lock(t, lock_of(t, ino));
		locked = true;
	}
	if (locked && !mine)
		busy_unlock(lock_of(t, ino));
	return r;
}

long copy_read(struct task *t, u64 ino, u64 off, char *to, u64 len)
{
	while (len) {
		u32 n = (u32)MIN(len, (u64)sizeof(t->copying));
		long r = read_file(t, ino, off, n);

		if (r < 0)
			return r;
		if (user_write(to, t->copying, (size_t)r))
			return -EFAULT;
		off += n;
		to += n;
		len -= n;
	}
	return 0;
}

long copy_runs(struct task *t, struct ofd *pin, u64 first, u64 count, bool stored,
	       struct run *runs, u32 *n)
{
	struct req_BLOCKS q = { .ino = pin->copy->ino,
				.first = first,
				.count = (u32)count };
	struct rep_BLOCKS p = { .runs = { .p = runs, .cap = RUNS_MAX * sizeof(*runs) } };
	long r = copy_fill(t, pin->ino, first * PAGE_SIZE, (first + count) * PAGE_SIZE,
			   stored ? COPY_TWIN : 0);

	if (!r)
		r = rpc_blocks(&t->ctx, ofd_server(pin->copy), &q, &p);
	*n = p.runs.len / (u32)sizeof(*runs);
	return r < 0 ? r : *n ? 0 : -EIO;
}

/* --- writing back ----------------------------------------------------------------- */

/* What was stored in [*off, end), into t->copying; *off moves on. How many bytes that are, as pieces;
 * 0: nothing is left. */
static long next_diff(struct task *t, u64 ino, u64 *off, u64 end)
{
	struct req_COPY_DATA q = { .ino = ino, .op = COPY_DIFF, .off = *off, .end = end };
	struct rep_COPY_DATA p;
	long r;

	do {
		r = data_op(t, &q, &p);
		if (r)
			return r == -ENOENT ? 0 : r;
		q.off = *off = p.off;
	} while (!p.data.len && *off < end);
	return (long)p.data.len;
}

static long patch(struct task *t, u64 ino, u32 len)
{
	struct req_PATCH q = { .ino = ino,
			       .uid = t->proc->cred.uid,
			       .steal = 1,
			       .data = { .p = t->copying, .len = len } };
	struct rep_PATCH p;
	long r;

	while ((r = rpc_patch(&t->ctx, ino_server(ino), &q, &p)) == -HARE_ESTEAL)
		if (!room_steal(t, ino_server(ino), len / PAGE_SIZE + 2))
			q.steal = 0;
	return r;
}

long copy_flush(struct task *t, u64 ino, u64 off, u64 end)
{
	struct req_COPY_DATA q = { .ino = ino,
				   .op = COPY_CLEAN,
				   .data = { .p = t->copying } };
	struct rep_COPY_DATA p;
	u64 at = off;
	long r;

	/* Without the lock: as a rule there is nothing. */
	if (!copy_any(t, ino) || next_diff(t, ino, &at, end) <= 0)
		return 0;
	at = off;
	busy_lock(t, lock_of(t, ino));
	while ((r = next_diff(t, ino, &at, end)) > 0) {
		q.data.len = (u32)r;
		r = patch(t, ino, q.data.len);
		if (r)
			break;
		race_point("patched", RACE_AT);
		(void)data_op(t, &q, &p);
	}
	busy_unlock(lock_of(t, ino));
	return r;
}

/* --- reads and writes by message -------------------------------------------------- */

bool copy_write_begin(struct task *t, u64 ino, u32 *gen)
{
	struct req_COPY_DATA q = { .ino = ino, .op = COPY_WANT };
	struct rep_COPY_DATA p;

	if (!copy_any(t, ino))
		return false;
	busy_lock(t, lock_of(t, ino));
	if (!data_op(t, &q, &p)) {
		*gen = p.gen;
		return true;
	}
	busy_unlock(lock_of(t, ino));
	return false;
}

void copy_changed(struct task *t, u64 ino, u64 off, u64 end)
{
	struct req_COPY_DATA q = { .ino = ino, .op = COPY_OLD, .off = off, .end = end };
	struct rep_COPY_DATA p;

	if (copy_any(t, ino) && !data_op(t, &q, &p))
		(void)copy_fill(t, ino, off, end, COPY_HAVE);
}

void copy_write_end(struct task *t, u64 ino, bool begun, u32 gen, u64 off,
		    const void *data, u32 len)
{
	struct req_COPY_DATA q = { .ino = ino,
				   .op = COPY_PUT,
				   .off = off,
				   .gen = gen,
				   .data = { .p = (void *)data, .len = len } };
	struct rep_COPY_DATA p;

	/* One that was not there before may have been filled before the write, or after it. */
	if (len && (begun ? data_op(t, &q, &p) == -EAGAIN : copy_any(t, ino)))
		copy_changed(t, ino, off, off + len);
	if (begun)
		busy_unlock(lock_of(t, ino));
}
