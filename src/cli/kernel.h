/* SPDX-License-Identifier: MIT */
/*
 * --kernels separate: every island has a Linux kernel of its own, as on a machine whose islands
 * are hosts or boards. Here a kernel is a set of namespaces (PID, mount, IPC, network; for an
 * ordinary user within a user namespace of its own), whose first process, the keeper, holds it
 * together: it reaps orphans, and when it dies so does all of that kernel.
 *
 *   hare run (no kernel: the console)
 *     +- keeper of kernel 0, pid 1 there     +- keeper of kernel 1, pid 1 there
 *     +- agents of island 0's cores          +- agents of island 1's cores
 *     +- what the console needs inside: import, export, the first program's parent
 *
 * All of these are children of the console, which sees them from outside. It is connected to each
 * by a socket of its own (a serial line), and nothing that one kernel has open does another one
 * have: DRAM is opened by each. Process numbers stay unique over all kernels, since each gives
 * out those of its own range alone: kernel k those from kernel_first_pid(span, k) on.
 */
#ifndef HARE_CLI_KERNEL_H
#define HARE_CLI_KERNEL_H

#include <stddef.h>
#include <sys/types.h>

#include "base/types.h"

struct kernel {
	pid_t keeper; /* as the console sees it; 0: none */
	int line; /* to the keeper, which sends struct agent_msg; -1 */
	int listener; /* hare commands inside connect to it; -1 */
	u32 births; /* how often this kernel was started */
};

/* Where the numbers of kernel k begin, when each has `span` of them. The lowest are not given out
 * again by Linux. */
#define KERNEL_PIDS_LOW 512u
static inline u32 kernel_first_pid(u32 span, u32 k)
{
	return k * span + KERNEL_PIDS_LOW;
}

/* How many numbers each of `kernels` gets. 0: the host has too few for so many cores. */
u32 kernel_span(u32 kernels, u32 cores);

/* Starts a kernel and its keeper. 0; -errno, and *what says what the host does not allow. boot_id: of
 * the instance, by which hare commands inside find the listener. */
int kernel_start(struct kernel *k, u32 id, u32 span, u64 boot_id, const char **what);
void kernel_stop(struct kernel *k);

/* As fork(), but the child, ours, lives in the kernel of that keeper. Its cwd is the same path there,
 * if that leads anywhere, else the root. */
pid_t kernel_fork(pid_t keeper);

/* Opens anew what a descriptor leads to, closes that, and gives the new one its number: nothing is
 * shared with whoever has the old one. 0 or -errno. */
int kernel_reopen(int fd, int flags);

/* In an agent: keeps its kernel's numbers in their range. Called when new processes were heard of;
 * costs two system calls. */
void kernel_turn_pids(u32 first, u32 turn);

#endif
