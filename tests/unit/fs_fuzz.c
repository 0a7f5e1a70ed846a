/* SPDX-License-Identifier: MIT */
/*
 * Handlers against requests that make no sense: every row of the file server with random fields,
 * some plausible, by near and far cores. Nothing may crash, hang, or break an invariant that no
 * client can be blamed for; memory and blocks come back when all is removed.
 */
#include "client/client.h"
#include "unit/fs.h"

static struct fsw f;
static u64 rnd;
static char name[300], bytes[70000], out[70000];
static struct cred cred;
static u64 inos[32];

static u64 pick(u64 n)
{
	return t_random(&rnd) % n;
}

static u64 number(void)
{
	switch (pick(6)) {
	case 0:
		return inos[pick(32)];
	case 1:
		return pick(8);
	case 2:
		return t_random(&rnd) >> pick(64);
	case 3:
		return (1ULL << pick(64)) - pick(3);
	case 4:
		return pick(4) << 12;
	default:
		return pick(100000);
	}
}

static struct rpc_str string(u32 max)
{
	u32 len = pick(6) ? 1 + (u32)pick(2) : (u32)pick(max + 1);

	for (u32 i = 0; i < len; i++)
		name[i] = pick(40) ? (char)('a' + pick(4)) : (char)pick(256);
	return (struct rpc_str){ .p = name, .len = len };
}

static struct rpc_bytes blob(u32 max)
{
	u32 n = (u32)pick(pick(3) ? 100 : max);

	return (struct rpc_bytes){ .p = bytes, .len = n, .cap = n };
}

#define REQ(...) __VA_ARGS__
#define REP(...) __VA_ARGS__
#define F_U32(n) q.n = (u32)number();
#define F_U64(n) q.n = number();
#define F_S64(n) q.n = (s64)number();
#define F_STR(n, max) q.n = string(max);
#define F_BYTES(n, max) q.n = blob(max);
#define F_CRED(n) q.n = &cred;
#define F_ATTR(n)

union any_rep {
#define RPC(layer, NAME, nm, kind, server, cost, doc, rq, rp) struct rep_##NAME nm;
#include "proto/rpc.def"
#undef RPC
};

static union any_rep reply;
static u32 last;

/* Makes fields plausible that only lucky numbers would make so. */
static void help(u32 id, void *req)
{
	switch (id) {
	case RPC_CREATE: {
		struct req_CREATE *q = req;

		q->dir = pick(4) ? inos[pick(8)] : 0;
		q->mode = (u32)pick(16) << 12 | (u32)pick(4096);
		break;
	}
	case RPC_OPEN: {
		struct req_OPEN *q = req;

		q->flags = pick(3) ? (u32)pick(4) : q->flags & ~(u32)O_TRUNC;
		break;
	}
	case RPC_CLOSE: {
		struct req_CLOSE *q = req;

		q->core = (u32)pick(3);
		q->flags = (u32)pick(4);
		q->ofd = pick(3) ? 0 : pick(9);
		break;
	}
	case RPC_RENAME: {
		struct req_RENAME *q = req;

		q->dir = inos[pick(8)];
		q->new_dir = inos[pick(8)];
		break;
	}
	case RPC_RMDIR: {
		struct req_RMDIR *q = req;

		q->phase = (u32)pick(6);
		q->owner = pick(3);
		break;
	}
	case RPC_TRUNC: {
		struct req_TRUNC *q = req;

		q->size = pick(5) ? pick(300000) : q->size;
		break;
	}
	case RPC_WRITE: {
		struct req_WRITE *q = req;

		q->off = pick(5) ? pick(300000) : q->off;
		break;
	}
	case RPC_BLOCKS: {
		struct req_BLOCKS *q = req;

		q->first = pick(5) ? pick(100) : q->first;
		break;
	}
	case RPC_FALLOCATE: {
		struct req_FALLOCATE *q = req;

		q->mode = (u32)pick(20);
		q->off = pick(9) ? pick(100000) : q->off;
		q->len = pick(9) ? pick(100000) : q->len;
		break;
	}
	case RPC_FLUSH: {
		struct req_FLUSH *q = req;

		q->end = pick(9) ? pick(300000) : q->end;
		q->off = pick(9) ? pick(300000) : q->off;
		break;
	}
	case RPC_LOCK: {
		struct req_LOCK *q = req;

		q->type = (u32)pick(4);
		q->kind = (u32)pick(4);
		q->op = (u32)pick(4);
		q->owner = pick(4);
		q->start = pick(100);
		q->end = pick(100);
		break;
	}
	case RPC_DUP: {
		struct req_DUP *q = req;

		q->ofd = pick(9);
		q->refs = (u32)pick(4);
		q->push = (u32)pick(2);
		break;
	}
	case RPC_OFD_LOCAL: {
		struct req_OFD_LOCAL *q = req;

		q->ofd = pick(9);
		break;
	}
	case RPC_SHARD: {
		struct req_SHARD *q = req;

		q->dir = (pick(3) << INO_SERVER_SHIFT) | pick(9);
		q->op = (u32)pick(5);
		break;
	}
	case RPC_XATTR: {
		struct req_XATTR *q = req;

		q->name.p = "user.x1234";
		q->name.len = (u32)pick(11);
		q->op = (u32)pick(5);
		break;
	}
	case RPC_ADD_MAP: {
		struct req_ADD_MAP *q = req;

		q->dir = inos[pick(8)];
		q->type = (u32)pick(16) << 12;
		break;
	}
	case RPC_RESOLVE: {
		struct req_RESOLVE *q = req;

		q->dir = inos[pick(8)];
		break;
	}
	case RPC_RM_MAP: {
		struct req_RM_MAP *q = req;

		q->dir = inos[pick(8)];
		q->flags = (u32)pick(3) + (pick(9) ? RM_UNLINK : 0);
		break;
	}
	case RPC_DIRENT: {
		struct req_DIRENT *q = req;

		q->dir = inos[pick(8)];
		break;
	}
	case RPC_PARENT: {
		struct req_PARENT *q = req;

		q->ino = inos[pick(8)];
		break;
	}
	case RPC_SET_PARENT: {
		struct req_SET_PARENT *q = req;

		q->ino = inos[pick(8)];
		break;
	}
	case RPC_RENAME_LOCK: {
		struct req_RENAME_LOCK *q = req;

		q->op = (u32)pick(3);
		q->owner = pick(3);
		break;
	}
	case RPC_CHMOD: {
		struct req_CHMOD *q = req;

		q->ino = inos[pick(32)];
		break;
	}
	case RPC_READLINK: {
		struct req_READLINK *q = req;

		q->ino = inos[pick(32)];
		break;
	}
	case RPC_LSEEK: {
		struct req_LSEEK *q = req;

		q->whence = (u32)pick(6);
		q->ofd = pick(9);
		break;
	}
	case RPC_OFD_FLAGS: {
		struct req_OFD_FLAGS *q = req;

		q->ofd = pick(9);
		break;
	}
	case RPC_READ: {
		struct req_READ *q = req;

		q->ino = inos[pick(32)];
		break;
	}
	case RPC_POLL: {
		struct req_POLL *q = req;

		q->ino = inos[pick(32)];
		break;
	}
	case RPC_ASYNC: {
		struct req_ASYNC *q = req;

		q->ino = inos[pick(32)];
		q->op = (u32)pick(6);
		q->key = pick(4);
		q->sig = (u32)pick(66);
		q->kind = (u32)pick(4);
		break;
	}
	case RPC_PIPE_SIZE: {
		struct req_PIPE_SIZE *q = req;

		q->ino = inos[pick(32)];
		break;
	}
	default:
		break;
	}
}

static void one(u32 id)
{
	struct rpc_env e = fsw_env(&f);
	long r = 0;

	last = id;
	cred = (struct cred){ .uid = pick(3) ? 0 : (u32)pick(3), .gid = (u32)pick(3),
			      .ngroups = (u32)pick(40) };
	rpc_clear_rep(id, &reply);
	rpc_place_rep(id, &reply, out, pick(4) ? sizeof(out) - 4096 : (u32)pick(200));
	ck_lock(e.c, e.ck);
	switch (id) {
#define FS_ONLY_fs(x) x
#define FS_ONLY_client(x)
#define FS_ONLY_sched(x)
#define RPC(layer, NAME, nm, kind, server, cost, doc, rq, rp)                          \
	FS_ONLY_##layer(case RPC_##NAME: {                                             \
		struct req_##NAME q;                                                   \
		memset(&q, 0, sizeof(q));                                              \
		rq (void)q;                                                            \
		help(id, &q);                                                          \
		r = fs_##nm(&e, &q, &reply.nm);                                        \
		break;                                                                 \
	})
#include "proto/rpc.def"
#undef RPC
	default:
		break;
	}
	fsw_finish(&f, &e, r);
	if (r >= 0 && id == RPC_CREATE && reply.create.ino)
		inos[(reply.create.type == HS_IFDIR ? 0 : 8) +
		     pick(reply.create.type == HS_IFDIR ? 8 : 24)] = reply.create.ino;
	if (r >= 0 && id == RPC_PIPE)
		inos[8 + pick(24)] = reply.pipe.ino;
}

static u32 violations;

/* A client that takes links or makes entries as it likes breaks these and no others. */
static void bad(void *arg, const char *text)
{
	(void)arg;
	if (strstr(text, "is not there") || strstr(text, "its type is not"))
		return;
	if (violations++ < 10)
		diag("%s", text);
}

static void check(void)
{
	struct ctx *c = &f.w.ctx[0];

	ck_lock(c, c->ck);
	fs_check(c, c->ck, bad, NULL);
	ck_check(c->ck, bad, NULL);
	ck_unlock(c->ck);
}

static void run(u64 seed, u32 model, u32 rounds)
{
	rnd = seed;
	violations = 0;
	fsw_new(&f, &(struct world_cfg){ .cores = 3, .islands = 3, .model = model,
					 .size = 64 << 20 }, 0);
	f.w.ctx[0].slot = 0;
	for (u32 i = 0; i < f.w.cores; i++) { /* which are told of truncations */
		ck_lock(&f.w.ctx[i], f.w.ck[i]);
		need(client_core_init(f.w.ck[i]) == 0, "client_core_init");
		ck_unlock(f.w.ck[i]);
	}
	for (u32 i = 0; i < 32; i++)
		inos[i] = INO_ROOT;
	for (u32 i = 0; i < rounds; i++) {
		u32 id = 1 + (u32)pick(RPC_COUNT - 1);

		f.far = !pick(3);
		f.core = f.far ? 1 + (u32)pick(2) : 0;
		f.slot = (u32)pick(20);
		if (!pick(3))
			id = RPC_CREATE;
		one(id);
		if (i % 512 == 0) {
			check();
			for (u32 c = 1; c < 3; c++)
				while (msg_drain(&f.w.ctx[c]))
					;
			ck_lock(&f.w.ctx[0], f.w.ck[0]);
			fs_core_died(&f.w.ctx[0], f.w.ck[0], 1 + (u32)pick(2));
			fs_owner_died(&f.w.ctx[0], f.w.ck[0], pick(4));
			fs_trim(&f.w.ctx[0], f.w.ck[0]);
			ck_unlock(f.w.ck[0]);
		}
	}
	check();
	is(violations, 0, "%s, seed %lu: %u senseless requests break nothing", world_model(model),
	   seed, rounds);
	ok(f.max_log < CK_LOG_MAX / 2, "the longest transaction has %lu stores", f.max_log);
	fsw_end(&f);
}

static void receiver(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data)
{
	(void)c, (void)ck, (void)h, (void)data;
}

int main(int argc, char **argv)
{
	u32 rounds = argc > 1 ? (u32)atoi(argv[1]) : 20000;
	u64 first = argc > 2 ? (u64)atoi(argv[2]) : 1;

	msg_set_receiver(receiver);
	memset(bytes, 'b', sizeof(bytes));
	for (u64 seed = first; seed < first + 4; seed++)
		run(seed, seed % 2 ? MEM_COHERENT : MEM_EMULATED, rounds);
	return done_testing();
}
