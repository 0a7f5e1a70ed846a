/* SPDX-License-Identifier: MIT */
/*
 * The client's system calls: client_NAME for every row of intercept/syscalls.def whose route
 * leads here. See client.h for arguments and results. A section per file.
 */
#ifndef HARE_CLIENT_SYSCALLS_H
#define HARE_CLIENT_SYSCALLS_H

#include "client/client.h"

/* clang-format off */
#define CLIENT_CALL(name) long client_##name(struct task *t, long a[6]);

/* --- paths: path_open.c --- */
CLIENT_CALL(open)
CLIENT_CALL(openat)
CLIENT_CALL(openat2)
CLIENT_CALL(creat)

/* --- paths: path_stat.c --- */
CLIENT_CALL(stat)
CLIENT_CALL(lstat)
CLIENT_CALL(newfstatat)
CLIENT_CALL(statx)
CLIENT_CALL(statfs)
CLIENT_CALL(access)
CLIENT_CALL(faccessat)
CLIENT_CALL(faccessat2)
CLIENT_CALL(readlink)
CLIENT_CALL(readlinkat)

/* --- paths: path_create.c --- */
CLIENT_CALL(mkdir)
CLIENT_CALL(mkdirat)
CLIENT_CALL(mknod)
CLIENT_CALL(mknodat)
CLIENT_CALL(symlink)
CLIENT_CALL(symlinkat)

/* --- paths: path_remove.c --- */
CLIENT_CALL(unlink)
CLIENT_CALL(unlinkat)
CLIENT_CALL(rmdir)

/* --- paths: path_link.c --- */
CLIENT_CALL(link)
CLIENT_CALL(linkat)

/* --- paths: path_rename.c --- */
CLIENT_CALL(rename)
CLIENT_CALL(renameat)
CLIENT_CALL(renameat2)

/* --- paths: path_attr.c --- */
CLIENT_CALL(chmod)
CLIENT_CALL(fchmodat)
CLIENT_CALL(fchmodat2)
CLIENT_CALL(chown)
CLIENT_CALL(lchown)
CLIENT_CALL(fchownat)
CLIENT_CALL(utime)
CLIENT_CALL(utimes)
CLIENT_CALL(futimesat)
CLIENT_CALL(utimensat)
CLIENT_CALL(truncate)

/* --- paths: path_xattr.c --- */
CLIENT_CALL(setxattr)
CLIENT_CALL(lsetxattr)
CLIENT_CALL(getxattr)
CLIENT_CALL(lgetxattr)
CLIENT_CALL(listxattr)
CLIENT_CALL(llistxattr)
CLIENT_CALL(removexattr)
CLIENT_CALL(lremovexattr)
CLIENT_CALL(setxattrat)
CLIENT_CALL(getxattrat)
CLIENT_CALL(listxattrat)
CLIENT_CALL(removexattrat)

/* --- paths: path_cwd.c --- */
CLIENT_CALL(chdir)
CLIENT_CALL(fchdir)
CLIENT_CALL(getcwd)
CLIENT_CALL(chroot)
CLIENT_CALL(umask)

/* --- directories: path_dirent.c --- */
CLIENT_CALL(getdents)
CLIENT_CALL(getdents64)

/* --- paths of calls that no file in Hare can serve: path_host.c --- */
CLIENT_CALL(acct)
CLIENT_CALL(swapon)
CLIENT_CALL(swapoff)
CLIENT_CALL(mount)
CLIENT_CALL(umount2)
CLIENT_CALL(pivot_root)
CLIENT_CALL(quotactl)
CLIENT_CALL(name_to_handle_at)
CLIENT_CALL(inotify_add_watch)
CLIENT_CALL(fanotify_mark)
CLIENT_CALL(open_tree)
CLIENT_CALL(open_tree_attr)
CLIENT_CALL(move_mount)
CLIENT_CALL(fspick)
CLIENT_CALL(mount_setattr)
CLIENT_CALL(file_getattr)
CLIENT_CALL(file_setattr)

/* --- processes: process.c, pid.c --- */
CLIENT_CALL(wait4)
CLIENT_CALL(waitid)
CLIENT_CALL(getpid)
CLIENT_CALL(gettid)
CLIENT_CALL(getppid)
CLIENT_CALL(getpgrp)
CLIENT_CALL(getpgid)
CLIENT_CALL(getsid)
CLIENT_CALL(setpgid)
CLIENT_CALL(setsid)
CLIENT_CALL(kill)
CLIENT_CALL(tkill)
CLIENT_CALL(tgkill)
CLIENT_CALL(rt_sigqueueinfo)
CLIENT_CALL(rt_tgsigqueueinfo)
CLIENT_CALL(pidfd_send_signal)
CLIENT_CALL(sched_getaffinity)
CLIENT_CALL(sched_setaffinity)
CLIENT_CALL(getcpu)
CLIENT_CALL(setuid)
CLIENT_CALL(setgid)
CLIENT_CALL(setreuid)
CLIENT_CALL(setregid)
CLIENT_CALL(setresuid)
CLIENT_CALL(setresgid)
CLIENT_CALL(setfsuid)
CLIENT_CALL(setfsgid)
CLIENT_CALL(setgroups)
CLIENT_CALL(capset)
CLIENT_CALL(unshare)
CLIENT_CALL(setns)

/* clang-format on */
#endif
