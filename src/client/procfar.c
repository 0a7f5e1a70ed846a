/* SPDX-License-Identifier: MIT */
/*
 * Processes of other kernels (--kernels separate), of which the own host knows nothing: their files in
 * /proc, and calls that name them. The agent of their core is asked (RPC ASK):
 *
 *   here                              there
 *   ASK: op, process            ->    may this user? queued for the agent: a tag
 *                                     the agent reads the file, or makes the call
 *   ASK_RESULT, tag             <->   result and data; EAGAIN: an EVENT will say when
 *
 * So it costs four messages and a wake-up.
 */
#include <linux/memfd.h>

#include "client/path.h"
#include "client/procfs.h"

#define PIECE	 16384u
#define FILE_MAX (1u << 20)

static long ask(struct task *t, u32 core, struct req_ASK *q, void *out, u32 *len)
{
	struct rep_ASK p = { .data = { out, 0, *len } };
	long r;

	q->uid = t->proc->cred.uid;
	r = rpc_ask(&t->ctx, core, q, &p);
	q->op = ASK_RESULT;
	q->tag = p.tag;
	while (!r) {
		q->wait_seq = msg_event_prepare(&t->ctx);
		p.data.len = 0;
		r = rpc_ask(&t->ctx, core, q, &p);
		if (r == -EAGAIN) {
			retry_wait(t, q->wait_seq);
			r = 0;
		} else if (!r) {
			*len = p.data.len;
			return (long)p.result;
		}
	}
	return r;
}

long procfar_call(struct task *t, u32 core, u32 host_pid, long nr, long arg, void *out,
		  u32 size)
{
	struct req_ASK q = {
		.op = ASK_CALL, .pid = host_pid, .nr = (u32)nr, .a = (u64)arg
	};
	u32 len = size;

	return ask(t, core, &q, out, &len);
}

static long copy_file(struct task *t, u32 core, u32 host_pid, const char *name, int fd)
{
	char *piece = (char *)t->bounce;
	u32 off, len;
	long r = 0;

	for (off = 0; off < FILE_MAX; off += len) {
		struct req_ASK q = { .op = ASK_FILE, .pid = host_pid, .off = off };

		q.name = (struct rpc_str){ name, (u32)strlen(name), 0 };
		len = PIECE;
		r = ask(t, core, &q, piece, &len);
		if (r <= 0 || !len)
			break;
		SYS(pwrite64, fd, piece, len, off);
	}
	return r < 0 ? r : (long)off;
}

long procfar_open(struct task *t, u32 core, u32 host_pid, const char *name, bool cloexec)
{
	long fd = SYS(memfd_create, "proc", cloexec ? MFD_CLOEXEC : 0), r;

	if (sys_failed(fd))
		return fd;
	r = copy_file(t, core, host_pid, name, (int)fd);
	if (r >= 0)
		return fd;
	SYS(close, fd);
	return r;
}
