/* SPDX-License-Identifier: MIT */
/*
 * Every RPC of rpc.def there and back, with random fields and with the largest; then truncated,
 * mutated and random messages, which must be refused or mean exactly what they say.
 */
#include <errno.h>

#include "proto/codec.h"
#include "unit/t.h"

#define BIG    262144
#define ROUNDS 60

static u64 g_seed = 11;
static char g_text[BIG];
static struct cred g_cred[2], g_decoded_cred;

static u32 random_len(u32 max, bool largest)
{
	if (largest)
		return max;
	return (u32)(t_random(&g_seed) %
		     (t_random(&g_seed) % 4 ? MIN(max, 40u) + 1 : max + 1));
}

static void *random_bytes(u32 len)
{
	u64 at = t_random(&g_seed) % (BIG - len);

	return g_text + at;
}

static const struct cred *random_cred(bool largest)
{
	struct cred *c = &g_cred[0];

	c->uid = (u32)t_random(&g_seed);
	c->gid = (u32)t_random(&g_seed);
	c->ngroups = random_len(CRED_GROUPS_MAX, largest);
	for (u32 i = 0; i < c->ngroups; i++)
		c->groups[i] = (u32)t_random(&g_seed);
	return c;
}

static bool same_bytes(const void *a, u32 alen, const void *b, u32 blen)
{
	return alen == blen && (!alen || !memcmp(a, b, alen));
}

static bool same_cred(const struct cred *a, const struct cred *b)
{
	return a->uid == b->uid && a->gid == b->gid &&
	       same_bytes(a->groups, a->ngroups * 4, b->groups, b->ngroups * 4);
}

#define REQ(...) __VA_ARGS__
#define REP(...) __VA_ARGS__

/* fill */
#define F_U32(n) v->n = (u32)t_random(&g_seed);
#define F_U64(n) v->n = t_random(&g_seed);
#define F_S64(n) v->n = (s64)t_random(&g_seed);
#define F_STR(n, max)                                                                    \
	v->n.len = random_len(max, largest);                                             \
	v->n.p = random_bytes(v->n.len);
#define F_BYTES(n, max)                                                                  \
	v->n.len = random_len(max, largest);                                             \
	v->n.p = random_bytes(v->n.len);
#define F_CRED(n) v->n = random_cred(largest);
#define F_ATTR(n) memcpy(&v->n, random_bytes(sizeof(v->n)), sizeof(v->n));
#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep)                        \
	static void fill_req_##NAME(struct req_##NAME *v, bool largest)                  \
	{                                                                                \
		(void)v, (void)largest;                                                  \
		req                                                                      \
	}                                                                                \
	static void fill_rep_##NAME(struct rep_##NAME *v, bool largest)                  \
	{                                                                                \
		(void)v, (void)largest;                                                  \
		rep                                                                      \
	}
#include "proto/rpc.def"
#undef RPC
#undef F_U32
#undef F_U64
#undef F_S64
#undef F_STR
#undef F_BYTES
#undef F_CRED
#undef F_ATTR

/* compare */
#define F_U32(n)	same &= a->n == b->n;
#define F_U64(n)	same &= a->n == b->n;
#define F_S64(n)	same &= a->n == b->n;
#define F_STR(n, max)	same &= same_bytes(a->n.p, a->n.len, b->n.p, b->n.len);
#define F_BYTES(n, max) same &= same_bytes(a->n.p, a->n.len, b->n.p, b->n.len);
#define F_CRED(n)	same &= same_cred(a->n, b->n);
#define F_ATTR(n)	same &= !memcmp(&a->n, &b->n, sizeof(a->n));
#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep)                        \
	static bool same_req_##NAME(const struct req_##NAME *a,                          \
				    const struct req_##NAME *b)                          \
	{                                                                                \
		bool same = true;                                                        \
		(void)a, (void)b;                                                        \
		req return same;                                                         \
	}                                                                                \
	static bool same_rep_##NAME(const struct rep_##NAME *a,                          \
				    const struct rep_##NAME *b)                          \
	{                                                                                \
		bool same = true;                                                        \
		(void)a, (void)b;                                                        \
		rep return same;                                                         \
	}
#include "proto/rpc.def"
#undef RPC

static const struct rpc {
	const char *name;
	void (*fill_req)(void *v, bool largest), (*fill_rep)(void *v, bool largest);
	bool (*same_req)(const void *a, const void *b),
		(*same_rep)(const void *a, const void *b);
} g_rpcs[RPC_COUNT] = {
#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep)                        \
	[RPC_##NAME] = { #NAME, (void (*)(void *, bool))(void *)fill_req_##NAME,         \
			 (void (*)(void *, bool))(void *)fill_rep_##NAME,                \
			 (bool (*)(const void *, const void *))(void *)same_req_##NAME,  \
			 (bool (*)(const void *, const void *))(                         \
				 void *)same_rep_##NAME },
#include "proto/rpc.def"
#undef RPC
};

/* Room for any request or reply, its end guarded by the sanitizers. */
struct value {
	void *v;
	void *bytes; /* where a decoded reply's BYTES go */
};

static struct value value_new(size_t size)
{
	struct value x = { malloc(size + 1), malloc(BIG) };

	memset(x.v, 0x5a, size);
	return x;
}

static void value_free(struct value *x)
{
	free(x->v);
	free(x->bytes);
}

static long encode(u32 id, bool rep, const void *v, u8 *buf, size_t size)
{
	return rep ? rpc_encode_rep(id, v, buf, size) : rpc_encode_req(id, v, buf, size);
}

/* Decodes from a copy of just that length. */
static long decode(u32 id, bool rep, struct value *x, const u8 *buf, size_t len,
		   u8 **copy)
{
	*copy = malloc(len ? len : 1);
	memcpy(*copy, buf, len);
	if (!rep)
		return rpc_decode_req(id, x->v, *copy, len, &g_decoded_cred);
	rpc_clear_rep(id, x->v);
	rpc_place_rep(id, x->v, x->bytes, BIG);
	return rpc_decode_rep(id, x->v, *copy, len);
}

static size_t value_size(u32 id, bool rep)
{
	return rep ? rpc_rep_size(id) : rpc_req_size(id);
}

static bool round_trip(u32 id, bool rep, bool largest)
{
	static u8 buf[BIG];
	struct value in = value_new(value_size(id, rep)),
		     out = value_new(value_size(id, rep));
	u8 *copy;
	long len;
	bool good;

	(rep ? g_rpcs[id].fill_rep : g_rpcs[id].fill_req)(in.v, largest);
	len = encode(id, rep, in.v, buf, sizeof(buf));
	good = len >= 0 && decode(id, rep, &out, buf, (size_t)len, &copy) == 0 &&
	       (rep ? g_rpcs[id].same_rep : g_rpcs[id].same_req)(in.v, out.v);
	/* One byte less room is too little. */
	if (len > 0) {
		u8 *small = malloc((size_t)len - 1 ? (size_t)len - 1 : 1);

		good &= encode(id, rep, in.v, small, (size_t)len - 1) == -EMSGSIZE;
		free(small);
	}
	free(copy);
	value_free(&in);
	value_free(&out);
	return good;
}

/* A message that is accepted encodes to the same bytes again. */
static bool refused_or_exact(u32 id, bool rep, const u8 *buf, size_t len, bool *accepted)
{
	static u8 again[BIG];
	struct value x = value_new(value_size(id, rep));
	u8 *copy;
	long r = decode(id, rep, &x, buf, len, &copy);
	bool good;

	*accepted = r == 0;
	good = r == -EBADMSG ||
	       (r == 0 && encode(id, rep, x.v, again, sizeof(again)) == (long)len &&
		!memcmp(again, buf, len));
	free(copy);
	value_free(&x);
	return good;
}

static u32 fuzz(u32 id, bool rep)
{
	static u8 buf[BIG];
	struct value in = value_new(value_size(id, rep));
	u32 wrong = 0;
	bool accepted;
	size_t len;

	(rep ? g_rpcs[id].fill_rep : g_rpcs[id].fill_req)(in.v, false);
	len = (size_t)encode(id, rep, in.v, buf, sizeof(buf));
	value_free(&in);
	for (size_t cut = 0; cut < len; cut += 1 + cut / 16) {
		wrong += !refused_or_exact(id, rep, buf, cut, &accepted);
		wrong += accepted;
	}
	buf[len] = 0;
	wrong += !refused_or_exact(id, rep, buf, len + 1, &accepted);
	wrong += accepted;
	for (u32 i = 0; i < 40 && len; i++) {
		size_t at = t_random(&g_seed) % len;
		u8 was = buf[at];

		buf[at] = (u8)t_random(&g_seed);
		wrong += !refused_or_exact(id, rep, buf, len, &accepted);
		if (i % 2)
			buf[at] = was;
	}
	for (u32 i = 0; i < 40; i++) {
		len = t_random(&g_seed) % 400;
		for (size_t k = 0; k < len; k++)
			buf[k] = t_random(&g_seed) % 3 ? 0 : (u8)t_random(&g_seed);
		wrong += !refused_or_exact(id, rep, buf, len, &accepted);
	}
	return wrong;
}

/* A caller that wants no BYTES, or has little room, gets what fits. */
static void t_small_buffers(void)
{
	struct rep_READLINK in = { .data = { g_text, 100, 0 } }, out = { 0 };
	char room[10];
	u8 buf[200];
	long len = rpc_encode_rep(RPC_READLINK, &in, buf, sizeof(buf));

	is(rpc_decode_rep(RPC_READLINK, &out, buf, (size_t)len), 0,
	   "BYTES that nobody wants");
	is(out.data.len, 0, "are dropped");
	out.data.p = room;
	out.data.cap = sizeof(room);
	is(rpc_decode_rep(RPC_READLINK, &out, buf, (size_t)len), 0,
	   "BYTES that do not fit");
	is(out.data.len, 10, "are cut");
	ok(!memcmp(room, g_text, 10), "to their beginning");
	is(rpc_decode_req(0, &out, buf, 0, &g_decoded_cred), -EBADMSG, "no RPC has id 0");
	is(rpc_decode_rep(RPC_COUNT, &out, buf, 0), -EBADMSG,
	   "nor the one after the last");
	is(rpc_encode_req(~0u, &out, buf, sizeof(buf)), -EBADMSG,
	   "nor the largest number");
}

int main(int argc, char **argv)
{
	g_seed = argc > 1 ? strtoull(argv[1], NULL, 0) : g_seed;
	for (u32 i = 0; i < BIG; i++)
		g_text[i] = (char)t_random(&g_seed);
	for (u32 id = 1; id < RPC_COUNT; id++) {
		u32 wrong = 0, fuzzed = 0;

		for (u32 i = 0; i < ROUNDS * 2; i++)
			wrong += !round_trip(id, i % 2, i >= ROUNDS * 2 - 4);
		for (u32 i = 0; i < 6; i++)
			fuzzed += fuzz(id, i % 2);
		is(wrong, 0, "%s: there and back", g_rpcs[id].name);
		is(fuzzed, 0, "%s: bad messages are refused", g_rpcs[id].name);
	}
	t_small_buffers();
	return done_testing();
}
