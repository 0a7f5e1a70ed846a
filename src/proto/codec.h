/* SPDX-License-Identifier: MIT */
/*
 * Bounds-checked encoding of rpc.def's fields, private to src/proto and its tests.
 *
 * Encoding: fields in order, little-endian, unpadded; STR and BYTES as a u32 length and the bytes;
 * CRED as uid, gid, ngroups, groups; ATTR as the struct. A decoder never reads beyond the message
 * and refuses lengths over the row's maximum: hostile messages give -EBADMSG, never a crash.
 */
#ifndef HARE_PROTO_CODEC_H
#define HARE_PROTO_CODEC_H

#include "base/str.h"
#include "proto/rpc.h"

struct enc {
	u8 *p, *end;
	bool bad;
};
struct dec {
	const u8 *p, *end;
	bool bad;
	struct cred *cred; /* room for a decoded CRED */
};

/* Of a request (reply) of RPC `id`: encoded length, or -EMSGSIZE. */
long rpc_encode_req(u32 id, const void *req, u8 *buf, size_t size);
long rpc_encode_rep(u32 id, const void *rep, u8 *buf, size_t size);
/* 0 or -EBADMSG. A request's STR and BYTES point into buf; a reply's BYTES are copied to the
 * caller's p (cut to cap). */
long rpc_decode_req(u32 id, void *req, const u8 *buf, size_t len, struct cred *cred);
long rpc_decode_rep(u32 id, void *rep, const u8 *buf, size_t len);
/* Zeroes a reply but for its BYTES buffers. */
void rpc_clear_rep(u32 id, void *rep);
/* Points the BYTES of a reply at a buffer (a row has at most one). */
void rpc_place_rep(u32 id, void *rep, void *buf, u32 cap);
size_t rpc_req_size(u32 id);
size_t rpc_rep_size(u32 id);

#endif
