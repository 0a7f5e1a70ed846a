/* SPDX-License-Identifier: MIT */
/*
 * Host calls that make descriptors: the call, then fd_adopt. And host calls that use
 * descriptors of kinds that Hare does not have: for one of Hare's the errno that a real
 * file would give.
 */
#include "base/str.h"
#include "base/sys.h"
#include "client/file.h"
#include "client/process.h"

#define NEVER		      false
#define MFD_CLOEXEC_	      1
#define FAN_CLOEXEC_	      1
#define FSOPEN_CLOEXEC_	      1
#define PERF_FLAG_FD_CLOEXEC_ 8

static long make(struct task *t, long nr, const long a[6], bool cloexec)
{
	if (!t->proc->fds)
		return CLIENT_HOST;
	return fd_adopt(t, host_block(nr, a[0], a[1], a[2], a[3], a[4], a[5]), cloexec,
			0);
}

long client_adopt(struct task *t, long host_fd, bool cloexec)
{
	return t->proc->fds ? fd_adopt(t, host_fd, cloexec, 0) : host_fd;
}

/* A call whose result is a descriptor, close-on-exec when `cloexec` says so. */
#define MAKES(name, cloexec)                                                             \
	long client_##name(struct task *t, long a[6])                                    \
	{                                                                                \
		return make(t, __NR_##name, a, (cloexec) != 0);                          \
	}

MAKES(socket, a[1] & O_CLOEXEC)
MAKES(eventfd, NEVER)
MAKES(eventfd2, a[1] & O_CLOEXEC)
MAKES(timerfd_create, a[1] & O_CLOEXEC)
MAKES(memfd_create, a[1] & MFD_CLOEXEC_)
MAKES(memfd_secret, a[0] & O_CLOEXEC)
MAKES(userfaultfd, a[0] & O_CLOEXEC)
MAKES(fanotify_init, a[0] & FAN_CLOEXEC_)
MAKES(fsopen, a[1] & FSOPEN_CLOEXEC_)
MAKES(mq_open, a[1] & O_CLOEXEC)

/* 0, or the error of a call on descriptor fd when that is Hare's or hidden. */
static long only_host(struct task *t, long fd, long err)
{
	if (likely(fd_is_host(t, (int)fd)))
		return 0;
	return (int)fd < 0 || fd_is_hidden(t, (int)fd) ? -EBADF : err;
}

/* A call on a descriptor (argument n) that Hare's are never good for. */
#define WANTS_HOST(name, n, err)                                                         \
	long client_##name(struct task *t, long a[6])                                    \
	{                                                                                \
		long r = only_host(t, a[n], -(err));                                     \
                                                                                         \
		return r ? r : CLIENT_HOST;                                              \
	}

WANTS_HOST(timerfd_settime, 0, EINVAL)
WANTS_HOST(timerfd_gettime, 0, EINVAL)
WANTS_HOST(mq_timedsend, 0, EBADF)
WANTS_HOST(mq_timedreceive, 0, EBADF)
WANTS_HOST(mq_getsetattr, 0, EBADF)
WANTS_HOST(fsconfig, 0, EINVAL)
WANTS_HOST(process_madvise, 0, EBADF)
WANTS_HOST(process_mrelease, 0, EBADF)
WANTS_HOST(quotactl_fd, 0, ENOSYS)
WANTS_HOST(finit_module, 0, ENOEXEC)

long client_mq_notify(struct task *t, long a[6])
{
	long r = only_host(t, a[0], -EBADF);

	return r ? r : CLIENT_HOST;
}

long client_kexec_file_load(struct task *t, long a[6])
{
	long r = only_host(t, a[0], -ENOEXEC);

	return r ? r : CLIENT_HOST;
}

/* With an existing descriptor these change its mask, else they make one. */
static long do_signalfd(struct task *t, long nr, const long a[6], bool cloexec)
{
	long r;

	if ((int)a[0] == -1)
		return make(t, nr, a, cloexec);
	r = only_host(t, a[0], -EINVAL);
	return r ? r : CLIENT_HOST;
}

long client_signalfd(struct task *t, long a[6])
{
	return do_signalfd(t, __NR_signalfd, a, false);
}

long client_signalfd4(struct task *t, long a[6])
{
	return do_signalfd(t, __NR_signalfd4, a, a[3] & O_CLOEXEC);
}

long client_perf_event_open(struct task *t, long a[6])
{
	long r = (int)a[3] == -1 ? 0 : only_host(t, a[3], -EBADF);

	return r ? r : make(t, __NR_perf_event_open, a, a[4] & PERF_FLAG_FD_CLOEXEC_);
}

long client_open_by_handle_at(struct task *t, long a[6])
{
	int fd = (int)a[0];

	if (fd == AT_FDCWD ? t->proc->cwd != 0 : !fd_is_host(t, fd))
		return handle_open(t, fd, (const void *)a[1], (u32)a[2]);
	return make(t, __NR_open_by_handle_at, a, a[2] & O_CLOEXEC);
}

long client_fsmount(struct task *t, long a[6])
{
	long r = only_host(t, a[0], -EINVAL);

	return r ? r : make(t, __NR_fsmount, a, a[1] & FSOPEN_CLOEXEC_);
}

long client_pidfd_open(struct task *t, long a[6])
{
	return make(t, __NR_pidfd_open, a, true);
}

long client_landlock_create_ruleset(struct task *t, long a[6])
{
	/* flags ask for a version, not for a descriptor */
	return a[2] ? CLIENT_HOST : make(t, __NR_landlock_create_ruleset, a, true);
}

#define NO_FD 0x7fffffffL

/* The process of a pidfd, as the host knows it; 0: it is none, or its process is gone. */
static u32 pid_of_pidfd(int pidfd)
{
	char path[40], text[512], *line;
	long fd, n;
	u64 pid = 0;

	str_format(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = SYS(open, path, O_RDONLY | O_CLOEXEC, 0);
	if (sys_failed(fd))
		return 0;
	n = SYS(read, fd, text, sizeof(text) - 1);
	SYS(close, fd);
	text[MAX(n, 0L)] = '\0';
	for (line = text; line && strncmp(line, "Pid:\t", 5);
	     line = line ? line + 1 : NULL)
		line = strchr(line, '\n');
	for (line = line ? line + 5 : NULL; line && *line >= '0' && *line <= '9'; line++)
		pid = pid * 10 + (u64)(*line - '0');
	return (u32)pid;
}

/* Of processes of other cores only the host's descriptors can be fetched: EBADF. */
long client_pidfd_getfd(struct task *t, long a[6])
{
	struct ofd *o;
	long r;
	u32 pid;

	if ((u32)a[2])
		return CLIENT_HOST;
	if (!fd_is_host(t, (int)a[0]))
		return -EBADF;
	pid = t->proc->fds ? pid_of_pidfd((int)a[0]) : 0;
	o = pid ? fd_get_of(t, pid, (int)a[1]) : NULL;
	if (!o) {
		r = host_block(__NR_pidfd_getfd, a[0], a[1], a[2], 0, 0, 0);
		return t->proc->fds ? fd_adopt(t, r, true, 0) : r;
	}
	r = SYS(pidfd_getfd, a[0], NO_FD, 0); /* may this process? */
	if (r != -EBADF) {
		ofd_put(t, o);
		return r;
	}
	return fd_install(t, o, true, 0);
}

/* What is wrong besides the descriptor comes first: the host says. */
static long landlock(struct task *t, long nr, long a[6])
{
	long r = only_host(t, a[0], -EBADFD), host;

	if (!r)
		return CLIENT_HOST;
	host = sys_call6(nr, -1, a[1], a[2], a[3], 0, 0);
	return host == -EBADF ? r : host;
}

long client_landlock_add_rule(struct task *t, long a[6])
{
	return landlock(t, __NR_landlock_add_rule, a);
}

long client_landlock_restrict_self(struct task *t, long a[6])
{
	long r = landlock(t, __NR_landlock_restrict_self, a);

	if (r == CLIENT_HOST) /* no other core's kernel knows of the rules */
		stay_here(t);
	return r;
}

/* Commands of bpf(2) that return a descriptor. */
#define BPF_MAKES                                                                        \
	(1ULL << 0 | 1ULL << 5 | 1ULL << 7 | 1ULL << 13 | 1ULL << 14 | 1ULL << 17 |      \
	 1ULL << 18 | 1ULL << 19 | 1ULL << 28 | 1ULL << 30 | 1ULL << 32 | 1ULL << 33 |   \
	 1ULL << 36)

long client_bpf(struct task *t, long a[6])
{
	if ((u64)a[0] < 64 && BPF_MAKES >> a[0] & 1)
		return make(t, __NR_bpf, a, true);
	return CLIENT_HOST;
}

long client_socketpair(struct task *t, long a[6])
{
	s32 fd[2], moved;
	bool cloexec = a[1] & O_CLOEXEC;
	long r;

	if (!t->proc->fds)
		return CLIENT_HOST;
	r = SYS(socketpair, a[0], a[1], a[2], fd);
	if (r)
		return r;
	/* The first may have to move to where the second is: out of the way with that. */
	moved = (s32)SYS(fcntl, fd[1], cloexec ? F_DUPFD_CLOEXEC : F_DUPFD,
			 t->proc->fds->cap);
	if (moved >= 0) {
		SYS(close, fd[1]);
		fd[1] = moved;
	}
	moved = (s32)fd_adopt(t, fd[0], cloexec, 0);
	if (moved < 0) {
		SYS(close, fd[1]);
		return moved;
	}
	fd[0] = moved;
	fd[1] = (s32)fd_adopt(t, fd[1], cloexec, 0);
	if (fd[1] >= 0 && !user_write((void *)a[3], fd, sizeof(fd)))
		return 0;
	r = fd[1] < 0 ? fd[1] : -EFAULT;
	for (int i = 0; i < 2; i++) {
		if (fd[i] < 0)
			continue;
		fd_close_entry(t, t->proc->fds, (u32)fd[i]);
		SYS(close, fd[i]);
	}
	return r;
}

/* What this process wrote is written back; then the host's file systems. */
long client_sync(struct task *t, long a[6])
{
	struct fdtable *ft = t->proc->fds;

	(void)a;
	for (u32 fd = 0; ft && fd < ft->cap; fd++) {
		bool host;
		struct ofd *o =
			ft->ent[fd].kind == FD_HARE ? fd_get(t, (int)fd, &host) : NULL;

		if (o && o->kind == OFD_FILE)
			(void)file_sync(t, o);
		if (o)
			ofd_put(t, o);
	}
	return CLIENT_HOST;
}
