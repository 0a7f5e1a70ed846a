/* SPDX-License-Identifier: MIT */
/*
 * Calls whose paths only the host's file systems can serve: mounts, swap, accounting, file
 * handles. Host paths are passed on; a path in Hare gives what a file system without
 * the feature gives.
 */
#include "client/path.h"

/* The call is the host's; in Hare it is `err`. */
static long host_only(struct task *t, long *dirfd, long *upath, u32 wf, long err)
{
	struct place pl;
	long r = path_walk(t, dirfd, upath, wf, &pl);

	return r ? r : err;
}

/* The same for a call that makes a descriptor. */
static long host_fd(struct task *t, long nr, long a[6], bool cloexec)
{
	long fd = host_block(nr, a[0], a[1], a[2], a[3], a[4], a[5]);

	return fd < 0 ? fd : fd_adopt(t, fd, cloexec, 0);
}

static u32 at_walk(long flags)
{
	return (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
	       (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
}

long client_acct(struct task *t, long a[6])
{
	return a[0] ? host_only(t, NULL, &a[0], WALK_FOLLOW, -EPERM) : CLIENT_HOST;
}

long client_swapon(struct task *t, long a[6])
{
	return host_only(t, NULL, &a[0], WALK_FOLLOW,
			 t->proc->cred.uid ? -EPERM : -EINVAL);
}

long client_swapoff(struct task *t, long a[6])
{
	return host_only(t, NULL, &a[0], WALK_FOLLOW,
			 t->proc->cred.uid ? -EPERM : -EINVAL);
}

/* The source may be a word ("tmpfs") as well as a path; it is only text unless it is in Hare. */
long client_mount(struct task *t, long a[6])
{
	struct place pl;
	long r = path_walk2(t, NULL, &a[1], WALK_FOLLOW, &pl);

	if (r != CLIENT_HOST)
		return r ? r : -EPERM;
	if (!a[0])
		return CLIENT_HOST;
	r = path_walk(t, NULL, &a[0], WALK_FOLLOW, &pl);
	return r == 0 ? -EPERM : CLIENT_HOST;
}

long client_umount2(struct task *t, long a[6])
{
	return host_only(t, NULL, &a[0], WALK_FOLLOW,
			 t->proc->cred.uid ? -EPERM : -EINVAL);
}

long client_pivot_root(struct task *t, long a[6])
{
	struct place pl;
	long r = path_walk(t, NULL, &a[0], WALK_FOLLOW, &pl);

	if (r != CLIENT_HOST)
		return r ? r : -EPERM;
	r = path_walk2(t, NULL, &a[1], WALK_FOLLOW, &pl);
	return r ? r : -EPERM;
}

long client_quotactl(struct task *t, long a[6])
{
	return a[1] ? host_only(t, NULL, &a[1], WALK_FOLLOW, -ENOTBLK) : CLIENT_HOST;
}

/* An inode number is never used again, so a handle needs nothing else. */
#define HANDLE_FLAGS	   0x203 /* AT_HANDLE_FID, _CONNECTABLE, _MNT_ID_UNIQUE */
#define HANDLE_UNIQUE_ID   1
#define HANDLE_CONNECTABLE 2 /* tmpfs cannot, either */
static long give_handle(u64 ino, void *user, void *user_mount, u32 flags)
{
	struct hare_handle h;
	u64 mount = HARE_MOUNT;
	long r = user_read(&h, user, offsetof(struct hare_handle, ino));
	bool fits = h.bytes >= HANDLE_BYTES;

	if (r)
		return r;
	if (h.bytes > HANDLE_MAX)
		return -EINVAL;
	h = (struct hare_handle){ .bytes = HANDLE_BYTES,
				  .type = fits ? HANDLE_TYPE : 0xff,
				  .ino = { 0, (u32)ino, (u32)(ino >> 32) } };
	r = user_write(user_mount, &mount,
		       flags & HANDLE_UNIQUE_ID ? sizeof(u64) : sizeof(s32));
	if (!r)
		r = user_write(user, &h,
			       fits ? sizeof(h) : offsetof(struct hare_handle, ino));
	return r ? r : fits ? 0 : -EOVERFLOW;
}

long client_name_to_handle_at(struct task *t, long a[6])
{
	u32 wf = (a[4] & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) |
		 (a[4] & AT_EMPTY_PATH ? WALK_EMPTY : 0);
	struct place pl;
	long r;

	if (a[4] & ~(long)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | HANDLE_FLAGS))
		return -EINVAL;
	r = path_walk(t, &a[0], &a[1], wf, &pl);
	if (r)
		return r;
	return pl.ino && !(a[4] & HANDLE_CONNECTABLE)
		       ? give_handle(pl.ino, (void *)a[2], (void *)a[3], (u32)a[4])
		       : -EOPNOTSUPP;
}

long client_fanotify_mark(struct task *t, long a[6])
{
	if (!a[4])
		return fd_is_host(t, (int)a[3]) || (int)a[3] == AT_FDCWD ? CLIENT_HOST
									 : -ENODEV;
	return host_only(t, &a[3], &a[4], WALK_FOLLOW, -ENODEV);
}

#define OPEN_TREE_CLOEXEC_ O_CLOEXEC

long client_open_tree(struct task *t, long a[6])
{
	long r = host_only(t, &a[0], &a[1], at_walk(a[2]), -EINVAL);

	if (r != CLIENT_HOST)
		return r;
	return host_fd(t, __NR_open_tree, a, (a[2] & OPEN_TREE_CLOEXEC_) != 0);
}

#ifndef __NR_open_tree_attr
#define __NR_open_tree_attr 467
#endif

long client_open_tree_attr(struct task *t, long a[6])
{
	long r = host_only(t, &a[0], &a[1], at_walk(a[2]), -EINVAL);

	if (r != CLIENT_HOST)
		return r;
	return host_fd(t, __NR_open_tree_attr, a, (a[2] & OPEN_TREE_CLOEXEC_) != 0);
}

#define MOVE_MOUNT_F_EMPTY 4
#define MOVE_MOUNT_T_EMPTY 0x40

long client_move_mount(struct task *t, long a[6])
{
	struct place pl;
	long r = path_walk(t, &a[0], &a[1],
			   WALK_FOLLOW | (a[4] & MOVE_MOUNT_F_EMPTY ? WALK_EMPTY : 0),
			   &pl);

	if (r != CLIENT_HOST)
		return r ? r : -EINVAL;
	r = path_walk2(t, &a[2], &a[3],
		       WALK_FOLLOW | (a[4] & MOVE_MOUNT_T_EMPTY ? WALK_EMPTY : 0), &pl);
	return r ? r : -EINVAL;
}

#define FSPICK_CLOEXEC_	 1
#define FSPICK_NOFOLLOW_ 2
#define FSPICK_EMPTY_	 8

long client_fspick(struct task *t, long a[6])
{
	long r = host_only(t, &a[0], &a[1],
			   (a[2] & FSPICK_NOFOLLOW_ ? 0 : WALK_FOLLOW) |
				   (a[2] & FSPICK_EMPTY_ ? WALK_EMPTY : 0),
			   -EINVAL);

	return r == CLIENT_HOST
		       ? host_fd(t, __NR_fspick, a, (a[2] & FSPICK_CLOEXEC_) != 0)
		       : r;
}

long client_mount_setattr(struct task *t, long a[6])
{
	return host_only(t, &a[0], &a[1], at_walk(a[2]),
			 t->proc->cred.uid ? -EPERM : -EINVAL);
}

long client_file_getattr(struct task *t, long a[6])
{
	return host_only(t, &a[0], &a[1], at_walk(a[4]), -EOPNOTSUPP);
}

long client_file_setattr(struct task *t, long a[6])
{
	return host_only(t, &a[0], &a[1], at_walk(a[4]), -EOPNOTSUPP);
}
