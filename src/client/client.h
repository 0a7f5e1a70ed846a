/* SPDX-License-Identifier: MIT */
/*
 * The client library: the layer below a program's system calls (thesis, section 3.2).
 * Path walk, directory cache, descriptor table, file I/O, processes, exec.
 *
 * Called by src/intercept (in a program), by the in-process tests and by src/cli (import,
 * export). All state that outlives one call stands in core-kernel memory (struct proc and
 * what hangs from it), so a killed program leaves nothing that only it knew.
 *
 * One `struct task` per thread, owned by the caller and passed to every call. A task is not
 * shared by threads. Calls of different tasks may run at the same time.
 *
 * System calls: `long client_NAME(struct task *t, long a[6])`, for every row of
 * intercept/syscalls.def whose route is CLIENT. a[] holds the call's arguments as the program
 * gave them (user pointers are checked with base/host.h). Result: what the kernel would
 * return, negative errno on failure, or
 *   CLIENT_HOST           the call concerns the host alone: the caller makes the host's system
 *                         call NAME with a[], which may have been rewritten (a path that lay in
 *                         Hare and leads out of it points into the task). A signal may come
 *                         first: then the program's call is made again from its start, after the
 *                         handler. So what was done before CLIENT_HOST must bear being done twice;
 *                         a handler for which that is not so makes the host's call itself;
 *   -HARE_ERESTARTSYS     interrupted by a signal, see base/host.h.
 * A handler that makes a new host descriptor performs the host's call itself and enters the
 * descriptor into the table (lowest free number over both kinds, as POSIX says).
 */
#ifndef HARE_CLIENT_CLIENT_H
#define HARE_CLIENT_CLIENT_H

#include "base/host.h"
#include "base/types.h"
#include "mem/mem.h"

#define CLIENT_HOST	   (-100000L)
#define CLIENT_BOUNCE_SIZE 65536

#define TASK_HOLDS     6
#define TASK_HOST_ROOT 1u /* absolute paths are the host's, whatever chroot said */

struct proc;
struct ofd;

/* What the running call found by a path or a descriptor, for the events of inotify: an inode and
 * the name that led to it (hash 0: not known). Kept while something is watched. */
struct notify_seen {
	u64 ino, dir, hash;
	u32 dflags; /* of dir */
	u32 type; /* of ino */
};

struct task {
	struct ctx ctx; /* who runs and where, see mem.h; fixed after client_attach */
	struct proc *proc; /* its process's entry in the core kernel */
	u32 flags; /* TASK_* */
	/* descriptions that the running call uses; a bit each: in use, counted in ofd.refs */
	u32 hold_used, hold_counted;
	struct ofd *hold[TASK_HOLDS];
	u32 spread; /* an import: what it makes goes to all servers, see create() */
	bool copies_locked; /* user_read runs with a core lock held: a fault ends it at once */
	bool ids_known; /* uid, gid: the real ones of this thread, asked for once */
	u32 uid, gid;
	struct notify_seen seen;
	void *exec_mem; /* what exec prepares lies here; kept for the next one. NULL: not mapped yet */
	u64 fault_addr; /* of the last fault in a lazy mapping, and how often it came again */
	u32 fault_again;
	s64 *poll_time; /* timespec of the host call that a poke has to end, and that is made
			 * again then: see client_poked */
	/* scratch of the running call */
	char path[PATH_LEN_MAX]; /* a path copied in */
	char path2[PATH_LEN_MAX]; /* the second one of rename, link, symlink */
	char host_path[PATH_LEN_MAX]; /* what CLIENT_HOST calls point to */
	char host_path2[PATH_LEN_MAX];
	u8 copying[16384]; /* between a file and its copy: copy.c, in faults too */
	u8 bounce
		[CLIENT_BOUNCE_SIZE]; /* data on its way between user memory and a core kernel */
	u64 asked; /* client_root.forgets before it asked for a far file's blocks */
};

/* --- boot and recovery -------------------------------------------------------------------- */

/* Boot: the client's root in a core kernel (lock held, in a transaction). -ENOSPC. */
long client_core_init(struct ck *ck);
/* For the core agent, before it looks at anything of a dead process: rolls back what the process
 * left half done in the core kernels of this island. Its calls on near servers mark their progress
 * in the servers' transactions (STEP_CALL in path.h), so a mark counts only after this. */
void client_settle(struct ctx *c);

/* --- life of a process, called by intercept in this order ------------------------------- */

/* After a program was started (first program, or execve): maps DRAM through the descriptors
 * in `memfds`, finds the process's entry by its host pid, takes a reply slot. -ESRCH when there
 * is no entry. */
long client_attach(struct task *t, const struct mem_fds *memfds, u32 core);

/* The same for one that is no program yet: an agent (no entry: t->proc stays NULL) and a hare
 * command (an entry of its own, PROC_TOOL, with the host's cwd, umask and descriptors). A tool
 * may make system calls of this library in-process, fork (fork_prepare and so on) and in the child
 * become a program: exec_prepare, exec_commit, and the host's execve of the loader. */
long client_attach_core(struct task *t, const struct mem_fds *memfds, u32 core);
long client_attach_tool(struct task *t, const struct mem_fds *memfds, u32 core);
void client_tool_becomes_program(struct task *t);
/* The process has a root of its own in Hare: no path of the host's is its own. */
bool client_chrooted(const struct task *t);
struct island *client_island(void); /* of this process, once attached */

/* A new thread of t's process: fills `child` (tid 0 until it runs). The thread itself calls
 * thread_run first; thread_exit gives its slot back. */
long client_thread_new(struct task *t, struct task *child);
void client_thread_run(struct task *child, s32 tid);
void client_thread_exit(struct task *t);

/* A descriptor that the host made beside a call's result: the number that it gets among Hare's, or
 * -EMFILE. */
long client_adopt(struct task *t, long host_fd, bool cloexec);

/* fork, vfork, clone without CLONE_VM|CLONE_THREAD. prepare copies the descriptor table
 * (CLONE_FILES shares it), cwd and the rest into a new entry before the host's call; the child
 * calls fork_child first of all (with its own task: for fork t is its copy); the parent calls
 * fork_parent with the host's result (an error drops the entry again). */
long client_fork_prepare(struct task *t, u64 clone_flags, struct proc **child);
/* Where the host's call has to leave the child's pid (CLONE_PARENT_SETTID), or it is set to UNKNOWN
 * before. */
#define CLIENT_BORN_UNKNOWN 0xffffffffu
u32 *client_fork_born(struct proc *child);
void client_fork_child(struct task *t, struct proc *child, s32 tid);
void client_fork_parent(struct task *t, struct proc *child, long result);

/* For the handler of SIGSYS: true when a signal that came with this value (SI_QUEUE) is this
 * layer's own, sent to end a host call of this thread; then it has been dealt with. */
bool client_poked(struct task *t, u64 value);

/* For the handler of SIGBUS, at a moment when this thread is in no call of this library but
 * perhaps in user_read or user_write: true when the address is a mapping's page behind the end
 * that its file had, and the file has grown, or in a hole that is not shown yet: now the page is
 * there, and the access goes on. */
bool client_fault(struct task *t, u64 addr);
/* A call of the host gave EFAULT: true when one of its arguments points to such a hole, which is
 * now shown, so that the call is to be made again. */
bool client_unshown(struct task *t, const long a[6]);

/* The value of a SIGCONT that is for proxies alone. */
#define CLIENT_WAKE 0x4841524557414b45ULL

/* A file that is mapped has become shorter. A thread that goes from our code to the program's asks
 * whether something is to be cut, and then cuts, in no other call of this library. One that runs
 * gets a SIGBUS with this value (SI_QUEUE) for it, from the core's agent, which calls
 * client_cut_tend when it wakes: in how many ns again, or -1. */
#define CLIENT_CUT 0x4841524543555421ULL
static inline bool client_may_cut(const struct task *t)
{
	return t->ctx.ck && t->ctx.ck->cutting;
}
bool client_cut_due(const struct task *t); /* of this process */
void client_cut_now(struct task *t);
s64 client_cut_tend(struct task *t);

/* Sites of system calls in a file, known by a number that is the same only for the same contents;
 * offsets in the file, not 0 or 1. See sites.c. These may be called in a signal handler. */
/* A call at a site trapped. weight: how much a patch would have saved, in traps. */
void client_site_trapped(struct task *t, u64 file, u32 off, u32 weight);
/* The sites to patch, at most max of them: how many. */
u32 client_sites_hot(struct task *t, u64 file, u32 *off, u32 max);
/* A process has mapped the file to run it. */
void client_sites_mapped(struct task *t, u64 file);
/* Changes when there are more sites to patch. */
u64 client_sites_news(struct task *t);

/* Leaving: closes all descriptors and frees the entry; a killed process's agent does the same.
 * Called before the host's exit_group. */
void client_exit(struct task *t, int status);

/* For agents and for parents: a process of this core is dead; closes what it left, and frees
 * its entry unless a proxy waits for it. Nothing to do when it left in order. */
void client_reap(struct task *t, u32 host_pid);
/* May p have POSIX locks, or wait for some? The core lock is held. */
bool client_has_locks(const struct proc *p);
/* For agents: an entry whose process never ran. */
void client_reap_new(struct task *t, struct proc *p);
/* Drops the entries of this core whose maker died before the child was there. True when there may be
 * more, later. */
bool client_reap_unborn(struct task *t);

/* For the agent, each time it wakes: gives back descriptors that were sent over sockets and will not
 * arrive. When to call it again at the latest, in ns from now; -1: nothing is on its way. */
s64 client_passing(struct task *t);

/* System call number HARE_CALL, known only inside: how the hare command, when it runs in an
 * instance, finds that out. a[0] is the operation. */
#define HARE_CALL 0x48415245L
struct hare_info {
	u64 boot_id;
	u32 core, cores, islands, pid;
	u32 separate, pad; /* every island has a kernel of its own */
};
enum {
	HARE_INFO, /* a[1]: struct hare_info to fill */
	HARE_MKDIR, /* a[1]: path, a[2]: mode; see client_mkdir_distributed */
};
long client_hare(struct task *t, long a[6]);

/* `hare mkdir --distribute`: as mkdir(2), but its entries are spread over all servers; path is in
 * the program's memory. */
long client_mkdir_distributed(struct task *t, const char *path, u32 mode);

/* A pid as this core's host knows the program itself, not its proxy; other numbers as they are. */
long client_host_pid(struct task *t, long pid);
/* A signal's siginfo_t on its way to a handler of the program: si_pid as programs know it. Not
 * from within other calls of this library. */
void client_siginfo(struct task *t, void *siginfo);

/* --- exec --------------------------------------------------------------------------------- */

/* The loader's command line has these before the program's: hare-ld MODE ARGS ARGV0 PATH ARG...,
 * PATH in the place of argv[0]. */
#define EXEC_WORDS 4

struct exec_plan {
	/* before prepare, by a program: the mask that it has (the host may have another one for the time of a
	 * call), and signals that it ignores and the host does not */
	u64 mask, ignored;
	bool remote; /* started on another core: become its proxy */
	u32 argc; /* of the final argv, `#!` resolved */
	u32 envc;
	char **argv; /* strings and arrays in memory of the plan; EXEC_WORDS are free before it */
	char **envp;
	char path
		[PATH_LEN_MAX]; /* the program to load, as the program named it, absolute */
	char comm[16]; /* the last part of the name that the program gave, cut short */
	void *mem; /* the plan's memory: the task's exec_mem */
	size_t mem_size; /* used of it */
	/* arguments for the loader's own command line, see loader.c: core, memory descriptors;
	 * loader=FD: the loader itself; close=FD: path is /proc/self/fd/FD, to be closed when it
	 * is loaded */
	char loader_args[512];
	u32 target; /* core */
	u32 relays; /* remote: descriptors that the proxy serves */
	u32 placement, next_core, distribute; /* of the process from now on */
	s32 keep_fd;
	struct ofd
		*exe; /* the program, not to be written from now on; NULL: the host's */
};

/* For the loader: opens a program of Hare for which the caller has execute permission, also when it
 * has none to read. The descriptor's number (close-on-exec); -EACCES, or as execve. One OPEN. */
long client_open_program(struct task *t, const char *path);
/* The same of the program of Hare that the process's exec found and checked, whatever its path leads to by
 * now. -ENOENT: it is one of the host's, or the first program of all. */
long client_open_running(struct task *t);

/* execve and execveat: resolves `#!` (4 levels), checks everything that can fail (ENOENT, EACCES,
 * ENOEXEC, ETXTBSY, ELOOP, E2BIG, ...), picks the core. For a local start nothing has changed yet and the
 * caller executes the loader; before that exec_commit applies close-on-exec. For a remote start
 * the program is already running there when this returns 0, and the caller executes the loader
 * in proxy mode, which never fails visibly. On an error nothing has changed. */
long client_exec_prepare(struct task *t, int dirfd, const char *user_path,
			 char **user_argv, char **user_envp, int flags,
			 struct exec_plan *plan);
void client_exec_commit(struct task *t, struct exec_plan *plan);
void client_exec_drop(struct exec_plan *plan);
/* Gives exec_mem of one task to another one of the same memory: to a vfork child, and back. */
void client_exec_lend(struct task *from, struct task *to);

/* The other end of an exec on another core, for the agent there. receive makes the entry of a
 * process (st->proc, also on most errors: then client_reap_new drops it) from an image of len
 * bytes; what st points to lies in data and in pointers (room for max). start, in a new host
 * process (it may share memory with the agent, as vfork's does), takes the process's state on and
 * executes the loader; it returns when that failed, and then the host process must end. */
struct sched_job;
struct exec_start {
	struct exec_image *image;
	struct image_fd *fds;
	struct proc *proc;
	char *path, *name, *cwd, *argv0;
	char **argv, **envp;
	struct sched_job *job;
	struct proc
		*proxy; /* that becomes the program, see client_exec_home; else NULL */
	u32 entered_fds; /* so many descriptors of the image are the entry's */
	bool entered; /* by start: the entry knows its process, and is no longer the agent's own */
};
void client_exec_agent(
	void); /* once, before the first start: what its children inherit */
/* The entry that a predecessor had made for a job goes: what came with the image is not closed with
 * it, because it is received again, unless the predecessor was giving it up. */
void client_exec_again(struct task *t, const struct sched_job *job, struct proc *p);
/* What came with the image of a job and is no entry's is given back, once, whoever is killed over it:
 * the program cannot be started. */
void client_exec_give_up(struct task *t, const struct exec_start *st);
long client_exec_receive(struct task *t, char *data, u32 len, char **pointers, u32 max,
			 struct exec_start *st);
void client_exec_start(struct task *t, struct exec_start *st);

/* An image of len bytes that came as a file, to data. False: it is not there in full. Then the file goes, if
 * there is one (ino 0: none). */
bool client_exec_read(struct task *t, u64 ino, char *data, u32 len);
void client_exec_drop_file(struct task *t, u64 ino);
/* Tells who left for here that its program, or its end, is known here: EXEC's from_core, from_pid. */
void client_exec_entered(struct task *t, u32 core, u32 pid);

/* In a proxy (its entry; held: descriptors that somebody has) to which proxy->offer brings its program
 * back: becomes the program, if all that the proxy serves is the program's. It returns when that is not
 * so, and nothing has changed. All signals are blocked; resend: the process sends itself those that it had
 * kept. A few local calls, and what receiving any EXEC costs. */
void client_exec_home(struct task *t, const struct ctx *c, struct proc *proxy, u32 held,
		      void (*resend)(void));

#endif
