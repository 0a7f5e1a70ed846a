/* SPDX-License-Identifier: MIT */
/*
 * ioctl of Hare's files, directories and pipes: what Linux's fs/ioctl.c serves for every file
 * system, and what tmpfs says to the rest. Host descriptors are the host's.
 */
#include <asm/ioctls.h>
#include <linux/fs.h>
#include <linux/fiemap.h>
#include <linux/kvm.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>

#include "client/file.h"

#define BLOCK_SIZE_ 4096
#define SIG_TTOU    22

static long fionread(struct task *t, struct ofd *o, void *user)
{
	struct req_POLL q = { .ino = o->ino, .access = o->flags & O_ACCMODE };
	struct rep_POLL p;
	struct attr a;
	s64 at;
	s32 n;
	long r;

	if (ofd_is_pipe(o)) {
		r = rpc_poll(&t->ctx, ofd_server(o), &q, &p);
		n = (s32)p.bytes;
	} else if (o->kind == OFD_FILE) {
		r = ofd_base(t, o, SEEK_CUR, &at);
		if (!r)
			r = attr_get(t, o->ino, &a);
		n = (s32)((s64)a.size - at);
	} else {
		return -ENOTTY;
	}
	return r ? r : user_write(user, &n, sizeof(n));
}

/* FIONBIO; FIOASYNC, which only pipes can do. */
static long set_flag(struct task *t, struct ofd *o, u32 fd, u32 flag, const void *user)
{
	long now = ofd_flags(t, o);
	s32 on;

	if (user_read(&on, user, sizeof(on)))
		return -EFAULT;
	if (now < 0)
		return now;
	if (!on == !(now & flag))
		return 0;
	if (flag == FASYNC && !ofd_is_pipe(o))
		return -ENOTTY;
	return ofd_set_flags(t, o, fd, on ? (u32)now | flag : (u32)now & ~flag);
}

/* The bytes that are there of a file or a directory. */
static long fioqsize(struct task *t, struct ofd *o, void *user)
{
	struct attr a;
	s64 size;
	long r;

	if (ofd_is_pipe(o))
		return -ENOTTY;
	r = attr_get(t, o->ino, &a);
	size = (s64)(a.blocks * PAGE_SIZE);
	return r ? r : user_write(user, &size, sizeof(size));
}

static long figetbsz(void *user)
{
	s32 size = BLOCK_SIZE_;

	return user_write(user, &size, sizeof(size));
}

/* FIBMAP: there is no device with blocks. */
static long fibmap(struct task *t, struct ofd *o, void *user)
{
	s32 n;

	if (o->kind != OFD_FILE)
		return -ENOTTY;
	if (t->proc->cred.uid)
		return -EPERM;
	if (user_read(&n, user, sizeof(n)))
		return -EFAULT;
	if (n < 0)
		return -EINVAL;
	n = 0;
	return user_write(user, &n, sizeof(n)) ? -EFAULT : -EINVAL;
}

/* Blocks are not shared between files: what a clone is refused for before that. */
static long clone_file(struct task *t, struct ofd *to, int from_fd)
{
	bool host;
	struct ofd *from = fd_get(t, from_fd, &host);
	long r = -EOPNOTSUPP;

	if (!from) {
		if (!host || sys_failed(SYS(fcntl, from_fd, F_GETFD)))
			return -EBADF;
		return -EXDEV;
	}
	if (from->flags & O_PATH)
		r = -EBADF;
	else if (from->kind == OFD_RELAY ||
		 (from->kind == OFD_PIPE) != (to->kind == OFD_PIPE))
		r = -EXDEV;
	else if (from->kind == OFD_DIR || to->kind == OFD_DIR)
		r = -EISDIR;
	else if (from->kind != OFD_FILE || to->kind != OFD_FILE)
		r = -EINVAL;
	else if (!ofd_can_read(from) || !ofd_can_write(to) || to->flags & O_APPEND)
		r = -EBADF;
	ofd_put(t, from);
	return r;
}

static long clone_range(struct task *t, struct ofd *o, const void *user)
{
	struct file_clone_range c;

	if (user_read(&c, user, sizeof(c)))
		return -EFAULT;
	return clone_file(t, o, c.src_fd >= 0 && c.src_fd < FD_MAX ? (int)c.src_fd : -1);
}

static long dedupe_range(struct ofd *o, const void *user)
{
	struct file_dedupe_range d;

	if (user_read(&d, user, sizeof(d)))
		return -EFAULT;
	if (sizeof(d) + d.dest_count * sizeof(struct file_dedupe_range_info) > PAGE_SIZE)
		return -ENOMEM;
	if (!ofd_can_read(o) || d.reserved1 || d.reserved2)
		return -EINVAL;
	return o->kind == OFD_DIR ? -EISDIR : o->kind != OFD_FILE ? -EINVAL : -EOPNOTSUPP;
}

/* lsattr: no file has any of these flags. chattr may take away what is not there. */
static long get_flags(const struct ofd *o, void *user)
{
	u32 none = 0;

	if (o->kind != OFD_FILE && o->kind != OFD_DIR)
		return -ENOTTY;
	return user_write(user, &none, sizeof(none));
}

static long get_fsx(const struct ofd *o, void *user)
{
	struct fsxattr none = { 0 };

	if (o->kind != OFD_FILE && o->kind != OFD_DIR)
		return -ENOTTY;
	return user_write(user, &none, sizeof(none));
}

/* Only the owner could; none: nothing is asked for. */
static long set_none(struct task *t, const struct ofd *o, bool none)
{
	struct attr a;
	long r = attr_get(t, o->ino, &a);

	if (!r && t->proc->cred.uid && a.uid != t->proc->cred.uid)
		r = -EPERM;
	return r ? r : none ? 0 : -EOPNOTSUPP;
}

static long set_flags(struct task *t, const struct ofd *o, const void *user)
{
	u32 flags;

	if (o->kind != OFD_FILE && o->kind != OFD_DIR)
		return -ENOTTY;
	if (user_read(&flags, user, sizeof(flags)))
		return -EFAULT;
	return set_none(t, o, !flags);
}

/* Flags that say something of a file, or of a size that is 0, set nothing. */
#define FSX_MOOT                                                                         \
	(FS_XFLAG_PREALLOC | FS_XFLAG_EXTSIZE | FS_XFLAG_COWEXTSIZE | FS_XFLAG_HASATTR)

static long set_fsx(struct task *t, const struct ofd *o, const void *user)
{
	struct fsxattr x;

	if (o->kind != OFD_FILE && o->kind != OFD_DIR)
		return -ENOTTY;
	if (user_read(&x, user, sizeof(x)))
		return -EFAULT;
	return set_none(t, o,
			!(x.fsx_xflags & ~(u32)FSX_MOOT) && !x.fsx_extsize &&
				!x.fsx_projid && !x.fsx_cowextsize);
}

/* Of the whole file system; only fsfreeze's is known, and not possible here. */
static long freeze(struct task *t, bool thaw)
{
	return t->proc->cred.uid ? -EPERM : thaw ? -EINVAL : -EOPNOTSUPP;
}

static long ioctl_hare(struct task *t, struct ofd *o, long a[6])
{
	void *arg = (void *)a[2];

	if (o->kind == OFD_RELAY && (u32)a[1] != FIOCLEX && (u32)a[1] != FIONCLEX)
		return relay_op(t, o, __NR_ioctl, a);
	if (o->flags & O_PATH)
		return -EBADF;
	switch ((u32)a[1]) {
	case FIOCLEX:
	case FIONCLEX:
		fd_cloexec(t, t->proc->fds, (u32)a[0], (u32)a[1] == FIOCLEX);
		return 0;
	case FIONREAD:
		return fionread(t, o, arg);
	case FIONBIO:
		return set_flag(t, o, (u32)a[0], O_NONBLOCK, arg);
	case FIOASYNC:
		return set_flag(t, o, (u32)a[0], FASYNC, arg);
	case FIOQSIZE:
		return fioqsize(t, o, arg);
	case FIGETBSZ:
		return figetbsz(arg);
	case FIBMAP:
		return fibmap(t, o, arg);
	case FIFREEZE:
	case FITHAW:
		return freeze(t, (u32)a[1] == FITHAW);
	case FS_IOC_FIEMAP:
		return -EOPNOTSUPP;
	case FICLONE:
		return clone_file(t, o, (int)a[2]);
	case FICLONERANGE:
		return clone_range(t, o, arg);
	case FIDEDUPERANGE:
		return dedupe_range(o, arg);
	case FS_IOC_GETFLAGS:
		return get_flags(o, arg);
	case FS_IOC_FSGETXATTR:
		return get_fsx(o, arg);
	case FS_IOC_FSSETXATTR:
		return set_fsx(t, o, arg);
	case FS_IOC_SETFLAGS:
		return set_flags(t, o, arg);
	default:
		return -ENOTTY;
	}
}

static bool is_tty_group(u32 cmd)
{
	return cmd == TIOCGPGRP || cmd == TIOCSPGRP || cmd == TIOCGSID;
}

/* Separate kernels: a terminal's group or session may be its console's, outside: see
 * proc_from_console. Only who came in from there can give the terminal back to it. */
static long console_group(struct task *t, long a[6])
{
	u32 number, who = 0, cmd = (u32)a[1];
	struct ck *ck = t->ctx.ck;
	struct proc *p;
	long r = 0;

	if (cmd != TIOCSPGRP)
		r = SYS(ioctl, a[0], cmd, &number);
	else if (user_read(&number, (void *)a[2], sizeof(number)))
		return -EFAULT;
	if (r)
		return r;
	ck_lock(&t->ctx, ck);
	p = proc_from_console(ck, cmd == TIOCSPGRP && number ? number : 0);
	if (p && cmd == TIOCSPGRP && number)
		who = p->host_pid;
	else if (p && !number)
		number = cmd == TIOCGSID ? p->sid : p->pgid;
	ck_unlock(ck);
	if (cmd != TIOCSPGRP)
		return user_write((void *)a[2], &number, sizeof(number)) ? -EFAULT : 0;
	return who ? SYS(kill, who, SIG_TTOU) : SYS(ioctl, a[0], cmd, &number);
}

/* Is the result of this ioctl of the host a descriptor, and is it close-on-exec? */
static bool ioctl_makes_fd(const long a[6], bool *cloexec)
{
	*cloexec = true;
	switch ((u32)a[1]) {
	case TIOCGPTPEER:
		*cloexec = a[2] & O_CLOEXEC;
		return true;
	case NS_GET_USERNS:
	case NS_GET_PARENT:
	case SIOCGSKNS:
	case KVM_CREATE_VM:
	case KVM_CREATE_VCPU:
		return true;
	default: /* PIDFD_GET_CGROUP_NAMESPACE ... PIDFD_GET_UTS_NAMESPACE */
		return (u32)a[1] >= _IO(0xff, 1) && (u32)a[1] <= _IO(0xff, 10);
	}
}

static long ioctl_host(struct task *t, long a[6])
{
	bool cloexec;

	if (!t->proc->fds || !ioctl_makes_fd(a, &cloexec))
		return CLIENT_HOST;
	return fd_adopt(t, SYS(ioctl, a[0], a[1], a[2]), cloexec, 0);
}

long client_ioctl(struct task *t, long a[6])
{
	bool host;
	struct ofd *o = fd_get(t, (int)a[0], &host);
	long r;

	if (o) {
		r = ioctl_hare(t, o, a);
		ofd_put(t, o);
		return r;
	}
	if (!host)
		return -EBADF;
	if (unlikely(proc_root(t->ctx.ck)->pid_turn) && is_tty_group((u32)a[1]))
		return console_group(t, a);
	if ((u32)a[1] != FIOCLEX && (u32)a[1] != FIONCLEX)
		return ioctl_host(t, a);
	r = SYS(ioctl, a[0], a[1]);
	if (!r && t->proc->fds)
		fd_cloexec(t, t->proc->fds, (u32)a[0], (u32)a[1] == FIOCLEX);
	return r;
}
