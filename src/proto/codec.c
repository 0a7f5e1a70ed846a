/* SPDX-License-Identifier: MIT */
/* The codec: rpc.def expanded once per direction. See codec.h. */
#include <asm/errno.h>

#include "proto/codec.h"

static void enc_bytes(struct enc *e, const void *p, size_t len)
{
	if (e->bad || len > (size_t)(e->end - e->p)) {
		e->bad = true;
		return;
	}
	if (len) /* p may be NULL */
		memcpy(e->p, p, len);
	e->p += len;
}

static void enc_u32(struct enc *e, u32 v)
{
	enc_bytes(e, &v, sizeof(v));
}

static void enc_u64(struct enc *e, u64 v)
{
	enc_bytes(e, &v, sizeof(v));
}

static void enc_blob(struct enc *e, const void *p, u32 len, u32 max)
{
	if (len > max) {
		e->bad = true;
		return;
	}
	enc_u32(e, len);
	enc_bytes(e, p, len);
}

static void enc_cred(struct enc *e, const struct cred *c)
{
	static const struct cred none;
	u32 n;

	if (!c)
		c = &none;
	n = MIN(c->ngroups, (u32)CRED_GROUPS_MAX);
	enc_u32(e, c->uid);
	enc_u32(e, c->gid);
	enc_u32(e, n);
	enc_bytes(e, c->groups, n * sizeof(u32));
}

static const u8 *dec_take(struct dec *d, size_t len)
{
	const u8 *p = d->p;

	if (d->bad || len > (size_t)(d->end - d->p)) {
		d->bad = true;
		return NULL;
	}
	d->p += len;
	return p;
}

static void dec_raw(struct dec *d, void *out, size_t len)
{
	const u8 *p = dec_take(d, len);

	if (p)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

static u32 dec_u32(struct dec *d)
{
	u32 v;

	dec_raw(d, &v, sizeof(v));
	return v;
}

static u64 dec_u64(struct dec *d)
{
	u64 v;

	dec_raw(d, &v, sizeof(v));
	return v;
}

static const u8 *dec_blob(struct dec *d, u32 max, u32 *len)
{
	const u8 *p;

	*len = dec_u32(d);
	if (*len > max)
		d->bad = true;
	p = dec_take(d, *len);
	if (!p)
		*len = 0;
	return p;
}

static const struct cred *dec_cred(struct dec *d)
{
	struct cred *c = d->cred;

	c->uid = dec_u32(d);
	c->gid = dec_u32(d);
	c->ngroups = dec_u32(d);
	if (c->ngroups > CRED_GROUPS_MAX) {
		d->bad = true;
		c->ngroups = 0;
	}
	dec_raw(d, c->groups, c->ngroups * sizeof(u32));
	return c;
}

/* A reply's bytes go to the caller's own buffer. */
static void dec_reply_bytes(struct dec *d, struct rpc_bytes *b, u32 max)
{
	u32 len;
	const u8 *p = dec_blob(d, max, &len);

	if (!b->p)
		b->cap = 0;
	b->len = MIN(len, b->cap);
	if (p && b->len)
		memcpy(b->p, p, b->len);
}

#define SKIP(...)
#define KEEP(...) __VA_ARGS__

/* encode */
#define F_U32(n)	enc_u32(e, v->n);
#define F_U64(n)	enc_u64(e, v->n);
#define F_S64(n)	enc_u64(e, (u64)v->n);
#define F_STR(n, max)	enc_blob(e, v->n.p, v->n.len, max);
#define F_BYTES(n, max) enc_blob(e, v->n.p, v->n.len, max);
#define F_CRED(n)	enc_cred(e, v->n);
#define F_ATTR(n)	enc_bytes(e, &v->n, sizeof(v->n));
#define REQ		KEEP
#define REP		KEEP
#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep)                        \
	static void enc_req_##NAME(struct enc *e, const struct req_##NAME *v)            \
	{                                                                                \
		(void)e, (void)v;                                                        \
		req                                                                      \
	}                                                                                \
	static void enc_rep_##NAME(struct enc *e, const struct rep_##NAME *v)            \
	{                                                                                \
		(void)e, (void)v;                                                        \
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

/* decode */
#define F_U32(n)      v->n = dec_u32(d);
#define F_U64(n)      v->n = dec_u64(d);
#define F_S64(n)      v->n = (s64)dec_u64(d);
#define F_STR(n, max) v->n.p = (const char *)dec_blob(d, max, &v->n.len);
#define F_BYTES(n, max)                                                                  \
	v->n.p = (void *)(uintptr_t)dec_blob(d, max, &v->n.len);                         \
	v->n.cap = v->n.len;
#define F_CRED(n) v->n = dec_cred(d);
#define F_ATTR(n) dec_raw(d, &v->n, sizeof(v->n));
#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep)                        \
	static void dec_req_##NAME(struct dec *d, struct req_##NAME *v)                  \
	{                                                                                \
		(void)d, (void)v;                                                        \
		req                                                                      \
	}
#include "proto/rpc.def"
#undef RPC
#undef F_BYTES
#define F_BYTES(n, max) dec_reply_bytes(d, &v->n, max);
#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep)                        \
	static void dec_rep_##NAME(struct dec *d, struct rep_##NAME *v)                  \
	{                                                                                \
		(void)d, (void)v;                                                        \
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

/* clear and place replies */
#define F_U32(n)	v->n = 0;
#define F_U64(n)	v->n = 0;
#define F_S64(n)	v->n = 0;
#define F_STR(n, max)	v->n.len = 0;
#define F_BYTES(n, max) v->n.len = 0;
#define F_CRED(n)
#define F_ATTR(n) memset(&v->n, 0, sizeof(v->n));
#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep)                        \
	static void clear_##NAME(struct rep_##NAME *v)                                   \
	{                                                                                \
		(void)v;                                                                 \
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

#define F_U32(n)
#define F_U64(n)
#define F_S64(n)
#define F_STR(n, max)
#define F_BYTES(n, max)                                                                  \
	v->n.p = buf;                                                                    \
	v->n.cap = MIN(cap, (u32)(max));
#define F_CRED(n)
#define F_ATTR(n)
#define RPC(layer, NAME, name, kind, server, cost, doc, req, rep)                        \
	static void place_##NAME(struct rep_##NAME *v, void *buf, u32 cap)               \
	{                                                                                \
		(void)v, (void)buf, (void)cap;                                           \
		rep                                                                      \
	}
#include "proto/rpc.def"
#undef RPC

long rpc_encode_req(u32 id, const void *req, u8 *buf, size_t size)
{
	struct enc e = { buf, buf + size, false };

	switch (id) {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p)                            \
	case RPC_##NAME:                                                                 \
		enc_req_##NAME(&e, req);                                                 \
		break;
#include "proto/rpc.def"
#undef RPC
	default:
		return -EBADMSG;
	}
	return e.bad ? -EMSGSIZE : e.p - buf;
}

long rpc_encode_rep(u32 id, const void *rep, u8 *buf, size_t size)
{
	struct enc e = { buf, buf + size, false };

	switch (id) {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p)                            \
	case RPC_##NAME:                                                                 \
		enc_rep_##NAME(&e, rep);                                                 \
		break;
#include "proto/rpc.def"
#undef RPC
	default:
		return -EBADMSG;
	}
	return e.bad ? -EMSGSIZE : e.p - buf;
}

long rpc_decode_req(u32 id, void *req, const u8 *buf, size_t len, struct cred *cred)
{
	struct dec d = { buf, buf + len, false, cred };

	switch (id) {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p)                            \
	case RPC_##NAME:                                                                 \
		dec_req_##NAME(&d, req);                                                 \
		break;
#include "proto/rpc.def"
#undef RPC
	default:
		return -EBADMSG;
	}
	return d.bad || d.p != d.end ? -EBADMSG : 0;
}

long rpc_decode_rep(u32 id, void *rep, const u8 *buf, size_t len)
{
	struct cred unused;
	struct dec d = { buf, buf + len, false, &unused };

	switch (id) {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p)                            \
	case RPC_##NAME:                                                                 \
		dec_rep_##NAME(&d, rep);                                                 \
		break;
#include "proto/rpc.def"
#undef RPC
	default:
		return -EBADMSG;
	}
	return d.bad || d.p != d.end ? -EBADMSG : 0;
}

void rpc_clear_rep(u32 id, void *rep)
{
	switch (id) {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p)                            \
	case RPC_##NAME:                                                                 \
		clear_##NAME(rep);                                                       \
		break;
#include "proto/rpc.def"
#undef RPC
	default:
		break;
	}
}

void rpc_place_rep(u32 id, void *rep, void *buf, u32 cap)
{
	switch (id) {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p)                            \
	case RPC_##NAME:                                                                 \
		place_##NAME(rep, buf, cap);                                             \
		break;
#include "proto/rpc.def"
#undef RPC
	default:
		break;
	}
}

size_t rpc_req_size(u32 id)
{
	switch (id) {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p)                            \
	case RPC_##NAME:                                                                 \
		return sizeof(struct req_##NAME);
#include "proto/rpc.def"
#undef RPC
	default:
		return 0;
	}
}

size_t rpc_rep_size(u32 id)
{
	switch (id) {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p)                            \
	case RPC_##NAME:                                                                 \
		return sizeof(struct rep_##NAME);
#include "proto/rpc.def"
#undef RPC
	default:
		return 0;
	}
}
