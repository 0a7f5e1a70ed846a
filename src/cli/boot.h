/* SPDX-License-Identifier: MIT */
/*
 * A running instance, as the process that booted it sees it: DRAM, one agent per core, and a task
 * of its own in core 0's island, so that it can make Hare's system calls in-process (imports,
 * exports, the first program's chdir). See boot.c and hared.c.
 *
 *   boot_start      memory, agents; all core kernels are ready when it returns
 *   boot_spawn      a program, as a child of this process
 *   boot_wait       until the program ends; meanwhile agents that die are replaced, signals are
 *                   forwarded, hare commands are answered
 *   boot_end_programs, boot_stop
 *
 * Everything that it makes ends with it, also when it is killed: memory and sockets have no names,
 * and agents end all programs when their connection to it ends.
 */
#ifndef HARE_CLI_BOOT_H
#define HARE_CLI_BOOT_H

#include <sys/resource.h>
#include <sys/types.h>

#include "cli/control.h"
#include "cli/kernel.h"
#include "cli/settings.h"
#include "client/client.h"

#define EXIT_USAGE   2
#define EXIT_OWN     125
#define EXIT_CANNOT  126
#define EXIT_MISSING 127

/* What boot tells an agent, and an agent boot, over their socket. */
enum agent_op {
	AGENT_READY = 1, /* agent: the core kernel is there */
	AGENT_FAILED, /* agent: and will not be; status: errno */
	AGENT_END, /* boot: end all programs and let no new one start */
	AGENT_ENDED, /* agent: none is left */
	AGENT_STATUS, /* boot: pid, an orphan, perhaps of the agent's predecessor, ended;
			 a keeper: the same to boot */
};
struct agent_msg {
	u32 op;
	s32 pid, status;
	u32 pad;
	struct rusage usage;
};

#define ORPHANS_KEPT 64

struct instance {
	struct mem_config cfg;
	char loader[PATH_LEN_MAX], self[PATH_LEN_MAX];
	struct control_info info;
	struct mem_fds
		fds[MAX_CORES]; /* by island, at numbers of our own, close-on-exec */
	struct mem_fds
		own; /* the hidden numbers, for the island of the first core that runs programs */
	pid_t agent[MAX_CORES];
	int agent_sock[MAX_CORES];
	struct kernel kernel[MAX_CORES]; /* by island; --kernels separate */
	bool separate;
	bool inside; /* a fork that lives in a kernel, see boot_fork_inside */
	u32 restarts;
	int listener, by_name, sig_fd;
	int halt_conn; /* who waits for the end; -1 */
	bool ending, made_file;
	bool copying; /* the process inside that is waited for imports or exports */
	bool last; /* an export goes on although the instance ends */
	const char *memory_file;
	struct agent_msg
		orphan[ORPHANS_KEPT]; /* the last ones, for agents that start anew */
	u32 orphans;
	struct task *task;
};

/* 0, or an exit status after a line on stderr. name: of the instance, or NULL. */
int boot_start(struct instance *in, const struct settings *s, const char *name);
/* Starts argv as a child; it has the caller's descriptors, terminal, cwd (Hare's after a
 * client_chdir of t). Its pid, or -errno. A program that cannot be started exits with 126 or 127
 * after a line on stderr. Also for tasks that joined an instance (hare exec). */
pid_t boot_spawn(struct task *t, char **argv);
/* Serves until child (0: none) has ended or somebody halts the instance; the child's wait status,
 * or -1. */
int boot_wait(struct instance *in, pid_t child);
void boot_end_programs(struct instance *in);
/* --kernels separate: as fork(), but the child lives in the kernel where the first program starts, and
 * has joined the instance there (in->task). */
pid_t boot_fork_inside(struct instance *in);
/* Between who goes into a kernel with a terminal and its parent outside, made before the fork: for what only
 * the parent can do with the terminal. */
void boot_link(int link[2]);
void boot_link_use(int link[2], bool inside);
void boot_stop(struct instance *in);

/* Waits for a child as a shell's job: stops with it, forwards signals. For hare exec. */
int boot_follow(pid_t child);
int boot_exit_status(int wait_status);

/* The lowest of the hidden descriptors: just below what most programs may use. */
int boot_fd_base(void);
/* Opens the program loader where programs inherit it. 0, or an exit status after a message. */
int hide_loader(const char *path, int fd_base);

/* hared.c: the agent of one core, in a process of its own; ends with the process. fresh: the core
 * kernel is still to be made. */
_Noreturn void agent_main(const struct super *s, u32 core, int sock, bool fresh);

/* hostwatch.c: inotify watches of the host's files. The job thread has the job; the main thread
 * reads what is ready in epoll under key fd << 32, and tends about once a second while there is
 * anything to tend. */
struct task;
struct sched_job;
void hostwatch_init(int epoll);
void hostwatch_job(struct task *t, const struct sched_job *job);
void hostwatch_read(struct task *t, int fd);
bool hostwatch_tend(struct task *t);

#endif
