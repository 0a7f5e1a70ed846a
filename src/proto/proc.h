/* SPDX-License-Identifier: MIT */
/*
 * Processes as the core kernels know them: one entry per process on the core where it runs (and
 * one for its proxy on the core that it left). Shared vocabulary of src/client, which changes a
 * process's own entry, and src/sched, which watches and ends them. (Thesis section 3.6.)
 *
 * A process's pid is the host pid of the process that fork made. When it execs on another core
 * the program there has another host pid; its entry there has the old `pid`, and the old host
 * process stays as the proxy. From there it may go on, to a third core: the proxy stays where
 * it is and serves it there, and the host process in between ends; or back, and the proxy becomes it.
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
enum intent_op {
	INTENT_NONE,
	INTENT_CREATE,
	INTENT_UNLINK,
	INTENT_LINK,
	INTENT_RENAME,
	INTENT_RMDIR,
	INTENT_RENAME_LOCK,
	INTENT_FAR_OPEN,
	INTENT_FAR_DUP,
	INTENT_EXCHANGE
};
struct intent {
	u32 op;
	u32 step;
	u32 slot,
		seq; /* who makes its calls, and the number of the first: see rpc_late_reply */
	u64 dir, ino, new_dir, old_ino;
	u64 marked; /* RENAME: the directory that RMDIR_MARK was or is about to be sent for */
	u64 owner; /* of marks and locks at servers: OWNER_OF the thread that began it */
	u32 dir_dflags, ino_dflags, new_dflags, old_dflags, marked_dflags;
	u32 ino_type, old_type; /* RENAME, EXCHANGE: HS_IF* */
	u32 flags; /* RENAME: RENAME_WHITEOUT or 0 */
	char name[NAME_LEN_MAX + 1], new_name[NAME_LEN_MAX + 1];
};

struct fdtable; /* src/client's */
struct ofd;

struct proc {
	struct list all; /* proc_root.all */
	struct list hash; /* proc_root.hash, by host_pid; alone while that is 0 */
	u32 state; /* enum proc_state */
	u32 host_pid; /* on this core's kernel; 0 while NEW */
	u32 pid; /* for all who look */
	u32 ppid; /* pid of the parent at birth */
	u32 pgid, sid; /* as programs see them */
	u32 proxy_core; /* where its proxy is, when started by EXEC; else MAX_CORES */
	u32 proxy_pid; /* host pid of the proxy there */
	u32 target_core; /* PROC_PROXY: where the program runs */
	u32 watched; /* the agent has a pidfd on it */
	u32 exit_status; /* wait status, set by the agent for proxies */
	/* file system context; what CLONE_FS shares is changed in all that share it (fs_peers) */
	u64 cwd; /* inode; 0: the host's cwd counts */
	u32 cwd_dflags;
	u32 umask;
	struct ofd *
		cwd_ofd; /* keeps cwd open, so that a removed one lives on; shared by forks */
	u64 root; /* chroot's, in Hare; 0: the host's root counts */
	u32 root_dflags;
	struct ofd *root_ofd; /* as cwd_ofd */
	struct list
		fs_peers; /* processes, all of this core, with one cwd, root and umask */
	struct fdtable *fds;
	struct cred cred; /* fsuid, fsgid, groups */
	/* placement state, inherited */
	u32 placement; /* enum placement */
	u32 next_core; /* round robin: how many cores further than the first one allowed */
	u32 waiting; /* threads that wait for other programs: no load. Not in transactions */
	u64 affinity; /* cores that sched_setaffinity allows, a bit each */
	u32 distribute; /* directories made are distributed (environment HARE_DISTRIBUTE) */
	u32 threads;
	struct list
		intents; /* of running operations of its threads: struct intent_node */
	char comm[PROC_COMM];
	char *exe; /* ck_alloc: /proc/self/exe */
	struct ofd *
		exe_ofd; /* the OPEN_EXEC of the program, if it is in Hare; shared by forks */
	u64 start_ns;
	u64 birth; /* with pid it is this process and no other one, ever; goes along to other cores */
	u32 flags; /* PROC_* */
	u32 tty_core, tty_pid; /* the proxy that can open its terminal, as host pid there;
				* MAX_CORES: it is this core's, or there is none */
	u32 maker; /* NEW: host id of the thread that forks it */
	u32 born; /* NEW: its host pid, which the host's clone writes, outside the log; or 0 */
	u32 reaper; /* thread that closes what a dead process left */
	u32 host_ppid; /* host pid of the parent at birth */
	u32 host_pgid; /* the host's number of group pgid: another one after a remote start */
	struct exec_pass *pass; /* client: an exec on another core is being prepared */
	/* mappings of files that became shorter, see client/cut.c: times that some were marked; of
	 * these, how many it has cut, will have cut before it runs on, was sent a signal for */
	u32 cut, cut_done, cut_safe, cut_sent;
	/* a proxy: written by src/sched's handlers */
	u32 proxy_slot, proxy_seq; /* the event that wakes it */
	u32 changes; /* grows with every EXITED: exit_status is new */
	u32 stops; /* it is about to stop as its program has, or has: only a SIGCONT lets it go on */
	u32 ruid, euid, suid; /* who may signal it, and whom it may (proc_may_signal) */
	u32 hio_next; /* tag of the next HOST_IO */
	struct list hio; /* HOST_IO requests: struct hio */
	/* of the program that ended; of a program: what it used on cores that it has left */
	u64 user_us, system_us, maxrss;
	u32 hop; /* execs elsewhere of the program so far, as far as known here */
	u32 joining; /* calls of others that are about to give it another group: it does not leave */
	u32 relay_tag; /* of its descriptors' numbers in HOST_IO, see hio.h; 0: none yet */
	u32 heir_of; /* PROC_HEIR: host pid of the proxy that it took over from */
	struct sched_job
		*offer; /* a proxy: the EXEC that brings its program back here, or NULL */
	/* of children that were waited for and ran on other cores: the host does not know */
	u64 child_user_us, child_system_us, child_maxrss;
};

/* proc.flags. An exec of a process with PROC_STAY is always local: it has something that cannot
 * go along (a namespace, a root, fewer rights ...); inherited. */
#define PROC_STAY     1u
#define PROC_TOOL     2u /* a hare command that looks in from outside, no program */
#define PROC_REPORTED 4u /* remote start: its end was told to the proxy */
#define PROC_KILLED   8u /* a proxy that died; its program was told to end */
#define PROC_HEIR     16u /* goes on serving an ended proxy's descriptors, see proxy.c */
#define PROC_HANDED   32u /* a proxy whose descriptors an heir serves now */
#define PROC_SENT     64u /* a proxy whose program has arrived where it went */

/* Where the pid is the host's, by its own process or by its proxy: at one place all its life, so who looks for
 * all of a group, core by core, meets it once even if it is going from core to core. */
static inline bool proc_is_at_home(const struct proc *p)
{
	if (p->host_pid != p->pid || p->flags & PROC_TOOL)
		return false;
	return p->state == PROC_RUNNING ||
	       (p->state == PROC_PROXY && !(p->flags & PROC_REPORTED));
}

/* The value of a SIGBUS by which an agent has a process look at its mappings (client/cut.c). */
#define PROC_CUT_SIGNAL 0x4841524543555421ULL
/* The value of a SIGCONT that is to let a proxy go on, and does not mean its program (proc_wake). */
#define PROC_WAKE_SIGNAL 0x4841524557414b45ULL

/* --- what EXEC carries --------------------------------------------------------------------- */
/*
 * The anonymous file of an EXEC: struct exec_image, then `fds` times struct image_fd, then
 * strings, each with its NUL: path, comm, host cwd, argc arguments, envc environment strings.
 * Made by the core that the process leaves, read by the agent of the core where it goes on.
 */
#define EXEC_IMAGE_MAGIC 0x45455845u
#define EXEC_IMAGE_MAX	 (16u << 20)
#define EXEC_RLIMITS	 16
#define EXEC_FDS_MAX	 2000u
#define EXEC_TIMERS	 3 /* ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF */

/* What exec keeps, as the host's kernel has it: client/exec_keep.c. */
struct exec_keep {
	u32 policy, priority; /* SCHED_* */
	u64 sched_flags; /* SCHED_FLAG_RESET_ON_FORK */
	s32 nice, ioprio; /* ioprio < 0: unknown */
	s32 oom; /* oom_score_adj */
	u32 persona; /* personality(2) */
	u32 no_new_privs;
	s32 thp; /* as PR_GET_THP_DISABLE says */
	s64 timer_slack; /* ns */
	struct {
		u64 value_us, interval_us;
	} timer[EXEC_TIMERS];
};

struct exec_image {
	u32 magic, size; /* of all, bytes */
	u32 argc, envc, fds, flags;
	u32 pid, ppid, pgid, sid;
	u32 proxy_core, proxy_pid; /* pid: the host's number there */
	u32 tty_core, tty_pid;
	u32 umask, pad0;
	u32 placement, next_core, distribute, cwd_dflags;
	u64 affinity;
	u64 cwd; /* inode of Hare; 0: the host's */
	u64 root; /* the same; root_dflags below */
	u64 locks; /* servers where it has set POSIX locks, a bit each */
	u64 ignored, mask; /* signals: a bit each */
	struct cred cred;
	u32 ruid, euid, suid, rgid, egid, sgid;
	u32 root_dflags;
	u32 hop; /* see proc.hop */
	u32 exe_core; /* the core that the OPEN_EXEC of the program counts for */
	u64 exe; /* the program's inode, if it is in Hare: its OPEN_EXEC goes along */
	u64 exe_parent; /* the directory that it was found in; 0: unknown */
	u32 exe_parent_dflags, pad;
	u64 user_us, system_us,
		maxrss; /* used on cores that it has left, but the proxy's */
	struct exec_keep keep;
	u64 birth; /* see proc.birth */
	u64 rlimit[EXEC_RLIMITS][2];
	char comm[PROC_COMM];
};
enum image_fd_how { IMAGE_HARE, IMAGE_RELAY, IMAGE_DEVICE, IMAGE_SAME };
struct image_fd {
	s32 fd;
	u32 how; /* enum image_fd_how */
	u32 kind; /* HARE: enum ofd_kind */
	u32 flags; /* O_* */
	u32 dflags, mode;
	u64 ino, shared,
		dir_state; /* HARE: shared is the description's id at its server */
	u64 rdev; /* DEVICE: opened anew there */
	u32 relay_pid, relay_core, relay_fd; /* RELAY */
	u32 parent_dflags;
	u64 parent; /* the directory that it was opened in; 0: unknown */
	u64 name_hash; /* of its name there, for inotify; 0: unknown */
	u32 alone; /* HARE: nobody else has it once the process has gone */
	s32 same; /* SAME: the description of that descriptor, which came before */
};

/* What tells an open description from all others. */
struct fd_which {
	u32 kind; /* enum which_kind */
	u32 pid, core, fd; /* RELAY: the proxy's host pid, core and number */
	u64 ino,
		id; /* HARE: its id at its inode's server; ino 0: it has none, so one of this core */
};
enum which_kind { WHICH_HOST, WHICH_HARE, WHICH_RELAY };

/* --- the processes of one core kernel -------------------------------------------------------- */

#define PROC_BUCKETS 256
/* Threads of one core, in all: MSG_SLOTS less what agents and tools need. */
#define PROC_THREADS_MAX (MSG_SLOTS - 64)

struct proc_root {
	struct list all;
	u64 count, threads; /* threads of all of them */
	u64 wake_agent; /* something new for the agent to look at (new process, exec job) */
	struct list jobs; /* for the agent: struct sched_job, src/sched's */
	struct list *hash; /* PROC_BUCKETS heads, by host_pid */
	u32 job_slot, job_seq; /* the event that wakes the agent for jobs */
	u32 halting; /* the instance ends: no new processes */
	u32 agent_pid; /* host pid of the agent */
	u32 server; /* split: where this core's programs make inodes and pipes */
	struct list asks; /* struct proc_ask: asked for, or done and not fetched */
	u32 ask_tag, ask_count;
	struct list watches; /* struct host_watch: asked for, or done and not fetched */
	u32 watch_tag, watch_count;
	u32 relay_tags; /* given out */
	/* Separate kernels: a process or thread with a number from pid_turn on waits until the agent has
	 * put the kernel's counter back, so that the kernel's range is never left. pids_out: one waits.
	 * Not in transactions. */
	u32 pid_turn; /* 0: one kernel */
	u32 pids_out;
	u32 pad;
};

static inline struct proc_root *proc_root(struct ck *ck)
{
	return ck->root[CK_ROOT_SCHED];
}

/* The server that is nearest to a core: its own or, when it has none (split), the one of least
 * latency, which its agent measures at boot. */
static inline u32 core_server(const struct ctx *c)
{
	return likely(c->core < c->isl->super->servers) ? c->core
							: proc_root(c->ck)->server;
}

/* What the scheduling server gives its agent to do. In core-kernel memory, on proc_root.jobs. */
enum sched_job_kind { JOB_EXEC, JOB_SIGNAL, JOB_HOST_WATCH, JOB_ASK };
struct sched_job {
	struct list link;
	u32 kind;
	u32 pid; /* SIGNAL: as RPC SIGNAL; JOB_HOST in group: a host pid */
	u32 core, proxy_pid; /* EXEC: whom to tell about its end */
	u32 from_core, from_pid, hop; /* EXEC: as in the RPC */
	u32 sig, group, tid; /* SIGNAL: the same */
	u32 ruid, euid,
		sid; /* SIGNAL: who sends it, for members of a group are asked one by one */
	u32 unchecked; /* SIGNAL: its receiver had no entry yet */
	u64 birth;
	u32 wait_core, wait_slot,
		wait_seq; /* SIGNAL: whom to tell that it was sent; seq 0: nobody */
	u64 ino; /* EXEC: the image's file, else it is in data */
	u32 len; /* of the image, or of a SIGNAL's siginfo */
	u32 started; /* EXEC: its program has begun */
	u32 failed; /* EXEC: it cannot be started; what came along is given back: */
	u32 given; /* descriptors before this one are, or are the entry's */
	u32 again; /* EXEC: somebody has begun with it, who was not the agent */
	u32 taken; /* EXEC: its proxy becomes the program, see client/exec_home.c */
	u8 data[];
};
#define JOB_HOST                                                                         \
	3u /* group: pid is the host's number of a proxy, which is to follow its program */

/* A HOST_WATCH that was asked for: until its result is fetched, on proc_root.watches; and what
 * its job carries. */
struct host_watch {
	struct list link;
	u64 inst;
	u32 op, pid, fd, mask;
	u32 tag, done;
	s64 result;
	u32 core, slot, seq, pad; /* who waits */
};

/* An ASK, until its result is fetched, on proc_root.asks; and, without data, what its job carries. */
#define ASK_NAME_MAX 31
#define ASK_DATA_MAX 16384u
struct proc_ask {
	struct list link;
	u32 op, pid, nr, tag;
	u64 a, off;
	char name[ASK_NAME_MAX + 1];
	s64 result;
	u32 core, slot, seq, done; /* who waits */
	u32 cap, len;
	u8 data[];
};

/* What PROCS tells of a process. */
struct proc_numbers {
	u32 host_pid, host_ppid, host_pgid; /* as the host says */
	u32 pid, ppid, pgid, sid; /* as programs see them */
	u32 uid;
	u32 core; /* filled in by who asks */
	u32 pad;
};

/* The start of siginfo_t of a signal that a process sent. A kill that came from another core is
 * queued by an agent, which may not say SI_USER: the mark says so for it, and the receiver's
 * client library takes it away (client_siginfo). */
struct signal_info {
	s32 signo, error, code, pad;
	u32 pid, uid;
	u64 value;
};
#define SIGNAL_INFO_SIZE 128 /* of a whole siginfo_t */
#define SIGNAL_INFO_MARK 0x45524148 /* in error, code being SI_QUEUE */

/* The same for what a kernel says of a descriptor that is ready (O_ASYNC). */
struct signal_info_io {
	s32 signo, error, code, pad;
	s32 real_code; /* 0: SI_KERNEL, which says nothing more */
	u32 fd;
	u64 band;
};
#define SIGNAL_INFO_IO	  0x4f524148 /* in error */
#define SIGNAL_CODE_QUEUE (-1) /* SI_QUEUE */

/* All of these with the lock of ck held, inside its transaction. */
long proc_init(struct ck *ck); /* boot: the root. -ENOSPC */
struct proc *
proc_new(struct ck *ck); /* NEW, all else zero; NULL: the core kernel is full */
void proc_set_host_pid(struct ck *ck, struct proc *p, u32 host_pid);
/* Of what hangs from it frees exe and hio alone. */
void proc_free(struct ck *ck, struct proc *p);
struct proc *proc_by_host_pid(struct ck *ck, u32 host_pid); /* NULL: none */
/* By the pid that all see: the entry that runs, else a proxy; NULL: none. */
struct proc *proc_by_pid(struct ck *ck, u32 pid);
/* Separate kernels: a group or session of a console, outside, which the host calls 0 here, is called by
 * the pid of who came in from there (a tool). That entry: by its number, or with 0 any; NULL: none. */
struct proc *proc_from_console(struct ck *ck, u32 pgid);
long proc_set_exe(struct ck *ck, struct proc *p, const char *exe); /* -ENOSPC */
/* Members of a group (0: all processes) that are at home on this core, but `except`: at most max whose pid
 * is over `after`, in ascending order. How many. */
u32 proc_members(struct ck *ck, u32 pgid, u32 except, u32 after, u32 *pids, u32 max);
/* Who sends a signal. */
struct sender {
	u32 ruid, euid, sid;
};
/* As Linux decides it; CAP_KILL is euid 0's. */
bool proc_may_signal(const struct proc *p, const struct sender *s, u32 sig);
/* The program of a proxy is stopped, as far as is known here. */
static inline bool proc_is_stopped(const struct proc *proxy)
{
	return proxy->changes && (proxy->exit_status & 0xff) == 0x7f;
}
/* No lock: a stopped proxy goes on, and its program is not told. -errno as the host says. */
long proc_wake(u32 host_pid);
/* What a proxy was offered, if anything, is its agent's job after all; wakes that. */
struct rpc_env;
void proc_offer_back(struct rpc_env *e, struct proc *proxy);

#endif
