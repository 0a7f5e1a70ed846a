/* SPDX-License-Identifier: MIT */
/*
 * Processes as the core kernels know them: one entry per process on the core where it runs (and
 * one for its proxy on the core that it left). Shared vocabulary of src/client, which changes a
 * process's own entry, and src/sched, which watches and ends them. (Thesis section 3.6.)
 *
 * A process's pid is the host pid of the process that fork made. When it execs on another core
 * the program there has another host pid; its entry there has the old `pid`, and the old host
 * process stays as the proxy.
 *
 *   fork        client: entry NEW, then RUNNING when the child runs
 *   exec here   same entry, exe changes
 *   exec there  entry here: PROXY, its descriptors of Hare closed; entry there: RUNNING
 *   exit, kill  entry freed: by the process itself (exit_group) or by the agent when the host
 *               process is gone (pidfd)
 */
#ifndef HARE_PROTO_PROC_H
#define HARE_PROTO_PROC_H

#include "mem/mem.h"
#include "proto/types.h"

enum proc_state { PROC_NEW, PROC_RUNNING, PROC_PROXY, PROC_EXITING };
#define PROC_COMM 16

/* What a several-message operation is in the middle of, recorded before its first message; the
 * agent finishes it or takes it back when the process died (`owner` of RMDIR, RENAME_LOCK). */
enum intent_op { INTENT_NONE, INTENT_CREATE, INTENT_UNLINK, INTENT_LINK, INTENT_RENAME,
		 INTENT_RMDIR, INTENT_RENAME_LOCK };
struct intent {
	u32 op;
	u32 step;
	u64 dir, ino, new_dir, old_ino;
	u32 dir_dflags, ino_dflags, new_dflags, old_dflags;
	char name[NAME_LEN_MAX + 1], new_name[NAME_LEN_MAX + 1];
};

struct fdtable; /* src/client's */

struct proc {
	struct list all;  /* proc_root.all */
	u32 state;        /* enum proc_state */
	u32 host_pid;     /* on this core's kernel; 0 while NEW */
	u32 pid;          /* for all who look */
	u32 ppid;         /* pid of the parent at birth */
	u32 pgid, sid;    /* as programs see them */
	u32 proxy_core;   /* where its proxy is, when started by EXEC; else MAX_CORES */
	u32 target_core;  /* PROC_PROXY: where the program runs */
	u32 watched;      /* the agent has a pidfd on it */
	u32 exit_status;  /* wait status, set by the agent for proxies */
	u32 frozen;       /* futex: other threads wait while one executes a new program */
	/* file system context */
	u64 cwd;          /* inode; 0: the host's cwd counts */
	u32 cwd_dflags;
	u32 umask;
	u64 cwd_open;     /* counts as an OPEN of cwd, so that a removed cwd lives on */
	struct fdtable *fds;
	struct cred cred; /* fsuid, fsgid, groups */
	/* placement state, inherited */
	u32 placement;    /* enum placement */
	u32 next_core;    /* round robin */
	u32 distribute;   /* directories made are distributed (environment HARE_DISTRIBUTE) */
	u32 threads;
	struct list intents; /* of running operations of its threads: struct intent_node */
	char comm[PROC_COMM];
	char *exe;        /* ck_alloc: /proc/self/exe */
	u64 start_ns;
};

struct proc_root {
	struct list all;
	u64 count;
	u64 wake_agent; /* something new for the agent to look at (new process, exec job) */
	struct list jobs; /* EXEC jobs: src/sched's */
};

static inline struct proc_root *proc_root(struct ck *ck)
{
	return ck->root[CK_ROOT_SCHED];
}

#endif
