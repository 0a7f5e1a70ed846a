/* SPDX-License-Identifier: MIT */
/* RPC OWNER_GONE: an agent tells all servers that a process died. */
#include "fileserver/fileserver.h"
#include "proto/rpc.h"

long fs_owner_gone(struct rpc_env *e, const struct req_OWNER_GONE *q,
		   struct rep_OWNER_GONE *p)
{
	(void)p;
	fs_owner_died(e->c, e->ck, q->owner);
	return 0;
}
