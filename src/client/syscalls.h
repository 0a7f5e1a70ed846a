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

/* --- descriptors: io.c, for path_stat.c --- */
CLIENT_CALL(fstat)

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

/* --- processes: process.c, pid.c, exec_keep.c --- */
CLIENT_CALL(prctl)
CLIENT_CALL(wait4)
CLIENT_CALL(waitid)
CLIENT_CALL(getrusage)
CLIENT_CALL(times)
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
CLIENT_CALL(rt_sigtimedwait)
CLIENT_CALL(getpriority)
CLIENT_CALL(setpriority)
CLIENT_CALL(sched_setparam)
CLIENT_CALL(sched_getparam)
CLIENT_CALL(sched_setscheduler)
CLIENT_CALL(sched_getscheduler)
CLIENT_CALL(sched_rr_get_interval)
CLIENT_CALL(ioprio_set)
CLIENT_CALL(ioprio_get)
CLIENT_CALL(process_vm_readv)
CLIENT_CALL(process_vm_writev)
CLIENT_CALL(kcmp)
CLIENT_CALL(sched_setattr)
CLIENT_CALL(sched_getattr)
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
CLIENT_CALL(capget)
CLIENT_CALL(capset)
CLIENT_CALL(migrate_pages)
CLIENT_CALL(move_pages)
CLIENT_CALL(get_robust_list)
CLIENT_CALL(unshare)
CLIENT_CALL(setns)

/* --- reading and writing: io.c --- */
CLIENT_CALL(read)
CLIENT_CALL(write)
CLIENT_CALL(pread64)
CLIENT_CALL(pwrite64)
CLIENT_CALL(readv)
CLIENT_CALL(writev)
CLIENT_CALL(preadv)
CLIENT_CALL(pwritev)
CLIENT_CALL(preadv2)
CLIENT_CALL(pwritev2)
CLIENT_CALL(lseek)
CLIENT_CALL(fstatfs)
CLIENT_CALL(fchmod)
CLIENT_CALL(fchown)
CLIENT_CALL(fsetxattr)
CLIENT_CALL(fgetxattr)
CLIENT_CALL(flistxattr)
CLIENT_CALL(fremovexattr)
CLIENT_CALL(fsync)
CLIENT_CALL(fdatasync)
CLIENT_CALL(syncfs)
CLIENT_CALL(sync_file_range)
CLIENT_CALL(ftruncate)
CLIENT_CALL(fallocate)
CLIENT_CALL(fadvise64)
CLIENT_CALL(readahead)

/* --- descriptors: fcntl.c --- */
CLIENT_CALL(close)
CLIENT_CALL(close_range)
CLIENT_CALL(dup)
CLIENT_CALL(dup2)
CLIENT_CALL(dup3)
CLIENT_CALL(fcntl)
CLIENT_CALL(ioctl)

/* --- locks: lock.c --- */
CLIENT_CALL(flock)

/* --- pipes: pipe.c --- */
CLIENT_CALL(pipe)
CLIENT_CALL(pipe2)

/* --- poll, select: poll.c --- */
CLIENT_CALL(poll)
CLIENT_CALL(ppoll)
CLIENT_CALL(select)
CLIENT_CALL(pselect6)

/* --- epoll: epoll.c --- */
CLIENT_CALL(epoll_create)
CLIENT_CALL(epoll_create1)
CLIENT_CALL(epoll_ctl)
CLIENT_CALL(epoll_wait)
CLIENT_CALL(epoll_pwait)
CLIENT_CALL(epoll_pwait2)

/* --- mappings: mmap.c --- */
CLIENT_CALL(mmap)
CLIENT_CALL(munmap)
CLIENT_CALL(mprotect)
CLIENT_CALL(pkey_mprotect)
CLIENT_CALL(msync)
CLIENT_CALL(mremap)

/* --- from one descriptor to another: splice.c --- */
CLIENT_CALL(sendfile)
CLIENT_CALL(copy_file_range)
CLIENT_CALL(splice)
CLIENT_CALL(tee)
CLIENT_CALL(vmsplice)

/* --- sockets: socket.c --- */
CLIENT_CALL(bind)
CLIENT_CALL(connect)
CLIENT_CALL(getsockname)
CLIENT_CALL(getpeername)
CLIENT_CALL(recvfrom)
CLIENT_CALL(accept)
CLIENT_CALL(accept4)
CLIENT_CALL(sendto)
CLIENT_CALL(sendmsg)
CLIENT_CALL(sendmmsg)
CLIENT_CALL(recvmsg)
CLIENT_CALL(recvmmsg)
CLIENT_CALL(shutdown)
CLIENT_CALL(listen)
CLIENT_CALL(setsockopt)
CLIENT_CALL(getsockopt)

/* --- host calls that make descriptors, or want kinds that Hare has not: adopt.c --- */
CLIENT_CALL(mq_notify)
CLIENT_CALL(kexec_file_load)
CLIENT_CALL(signalfd)
CLIENT_CALL(signalfd4)
CLIENT_CALL(perf_event_open)
CLIENT_CALL(open_by_handle_at)
CLIENT_CALL(fsmount)
CLIENT_CALL(pidfd_open)
CLIENT_CALL(pidfd_getfd)
CLIENT_CALL(landlock_create_ruleset)
CLIENT_CALL(bpf)
CLIENT_CALL(socketpair)
CLIENT_CALL(io_submit)
CLIENT_CALL(sync)
CLIENT_CALL(socket)
CLIENT_CALL(eventfd)
CLIENT_CALL(eventfd2)
CLIENT_CALL(timerfd_create)
CLIENT_CALL(inotify_init)
CLIENT_CALL(inotify_init1)
CLIENT_CALL(memfd_create)
CLIENT_CALL(memfd_secret)
CLIENT_CALL(userfaultfd)
CLIENT_CALL(fanotify_init)
CLIENT_CALL(fsopen)
CLIENT_CALL(mq_open)
CLIENT_CALL(timerfd_settime)
CLIENT_CALL(timerfd_gettime)
CLIENT_CALL(inotify_rm_watch)
CLIENT_CALL(mq_timedsend)
CLIENT_CALL(mq_timedreceive)
CLIENT_CALL(mq_getsetattr)
CLIENT_CALL(fsconfig)
CLIENT_CALL(landlock_add_rule)
CLIENT_CALL(landlock_restrict_self)
CLIENT_CALL(process_madvise)
CLIENT_CALL(process_mrelease)
CLIENT_CALL(quotactl_fd)
CLIENT_CALL(cachestat)
CLIENT_CALL(finit_module)

/* --- limits: fdtable.c --- */
CLIENT_CALL(prlimit64)
CLIENT_CALL(getrlimit)
CLIENT_CALL(setrlimit)

/* clang-format on */
#endif
