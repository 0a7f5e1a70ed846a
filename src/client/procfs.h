/* SPDX-License-Identifier: MIT */
/* The host's /proc with the numbers that programs see: procfs.c. For the path calls. */
#ifndef HARE_CLIENT_PROCFS_H
#define HARE_CLIENT_PROCFS_H

#include "client/state.h"

/* A path of the host: /proc/N... of a process that the host knows by another number is rewritten
 * into buf (PATH_LEN_MAX; *rewritten). -ENOENT: a number that programs do not see. */
long procfs_path(struct task *t, const char *path, char *buf, bool *rewritten);
/* open of a host path: a descriptor of the host for /proc/N/stat and status in translation, and
 * for /proc/self/fdinfo/N; or CLIENT_HOST. *dir: it may be a directory of /proc: procfs_mark its
 * descriptor. */
long procfs_open(struct task *t, const char *user_path, u32 flags, bool *dir);
void procfs_mark(struct task *t, int fd);
/* What /proc/self and /proc/thread-self lead to in a process that the host knows by another number;
 * length, or CLIENT_HOST. */
long procfs_link(struct task *t, const char *path, char *buf, size_t size);
/* getdents64 of a host descriptor; CLIENT_HOST when it is not /proc. */
long procfs_getdents(struct task *t, long a[6]);

/* Separate kernels. Is `path` below /proc/N of a process of another one? Then what an open of it gives, a
 * copy for reading; else CLIENT_HOST. */
long procfs_open_far(struct task *t, const char *user_path, u32 flags);
/* Where a process of another kernel is; false: it is none. *host_pid by the pid that programs know. */
bool procfs_is_far(struct task *t, u32 pid, u32 *core, u32 *host_pid);
/* procfd.c: such a process's directory of descriptors. */
long procfs_open_far_fds(struct task *t, u32 host_pid, u32 flags);
long procfs_far_getdents(struct task *t, long a[6], u32 host_pid);
u32 procfs_uid(u32 pid); /* whose it is, as was heard last */
/* procfar.c: a call about such a process, which gives up to `size` bytes; and a copy of a file of its /proc
 * directory. */
long procfar_call(struct task *t, u32 core, u32 host_pid, long nr, long arg, void *out,
		  u32 size);
long procfar_open(struct task *t, u32 core, u32 host_pid, const char *name, bool cloexec);

/* procfd.c */
long procfs_fd_getdents(struct task *t,
			long a[6]); /* the same; it is a /proc directory */
long procfs_fdinfo(struct task *t, u32 fd, bool cloexec); /* a descriptor of the host */
/* What descriptor fd (FDS_ONE) or the working directory (FDS_CWD) of process pid is. -ENOENT: none
 * of Hare's, or none of the caller's business. The path of its program; length. */
long procfs_fd(struct task *t, u32 pid, u32 op, u32 fd, struct image_fd *d);
long procfs_exe(struct task *t, u32 pid, char *buf, u32 size);

/* The number by which this core's host knows the program of a pid; the pid itself when that is
 * so, or nobody knows. */
u32 procfs_host_pid(struct task *t, u32 pid);
/* The other way: the pid that programs know. */
u32 procfs_seen_pid(struct task *t, u32 host_pid);

#endif
