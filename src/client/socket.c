/* SPDX-License-Identifier: MIT */
/*
 * Sockets: they are the host's. Two things of theirs are Hare's: the names of AF_UNIX
 * sockets in Hare's directories, and descriptors that arrive in messages, which have to
 * be adopted.
 *
 * A socket's name in Hare is an inode of type socket; the host's socket is bound to an
 * abstract address made of this instance's id and the inode's number. The path that the
 * program gave is kept as an attribute of the inode, for getsockname and its like.
 *
 *   bind "/hare/s"     CREATE s (socket, inode 17), host: bind "\0hare-ID-17"
 *   connect "/hare/s"  look up: inode 17; may the caller write it? host: connect "\0hare-ID-17"
 *   getpeername        host: "\0hare-ID-17" -> attribute of inode 17: "/hare/s"
 *
 * A descriptor of Hare's cannot be sent in a message: EINVAL.
 */
#include <linux/socket.h>
#include <linux/un.h>

#include "client/file.h"
#include "client/path.h"

#define MY_AF_UNIX	  1
#define SOL_SOCKET_	  1
#define SCM_RIGHTS_	  1
#define SCM_PIDFD_	  4
#define MSG_CMSG_CLOEXEC_ 0x40000000
#define FDS_MAX		  253 /* in one message, as the kernel has it */
#define BOUND_XATTR	  "trusted.hare.bound"
#define ABSTRACT_LEN	  37 /* "hare-" and twice 16 digits, with a '-' */

struct unix_addr {
	u16 family;
	char path[UNIX_PATH_MAX + 1];
};
#define FAMILY_LEN 2u

/* As the kernel has them. */
struct user_msg {
	void *name;
	s32 name_len;
	s32 pad;
	struct iovec *iov;
	u64 iov_len;
	void *control;
	u64 control_len;
	u32 flags;
	u32 pad2;
};
struct cmsg {
	u64 len;
	s32 level, type;
};
#define CMSG_ALIGN_(n) ALIGN_UP(n, (u64)8)

static long not_a_socket(struct task *t, long fd)
{
	bool host;
	struct ofd *o = fd_get(t, (int)fd, &host);
	long r;

	if (!o)
		return host ? 0 : -EBADF;
	r = o->flags & O_PATH ? -EBADF : -ENOTSOCK;
	ofd_put(t, o);
	return r;
}

/* --- addresses -------------------------------------------------------------------- */

static bool is_path(const struct unix_addr *ua, long len)
{
	return len > (long)FAMILY_LEN && ua->family == MY_AF_UNIX && ua->path[0];
}

/* The program's address, when it is a path of AF_UNIX: 1. 0: of another kind. -EFAULT. */
static long read_addr(struct unix_addr *ua, const void *user, long len)
{
	if (!user || len <= (long)FAMILY_LEN || len > (long)(FAMILY_LEN + UNIX_PATH_MAX))
		return 0;
	if (user_read(ua, user, (size_t)len))
		return -EFAULT;
	((char *)ua)[len] = '\0';
	return is_path(ua, len);
}

/* The abstract address of a socket's inode; its length. */
static long abstract_of(struct task *t, u64 ino, struct unix_addr *ua)
{
	ua->family = MY_AF_UNIX;
	ua->path[0] = '\0';
	str_format(ua->path + 1, sizeof(ua->path) - 1, "hare-%016lx-%016lx",
		   (unsigned long)t->ctx.isl->super->boot_id, (unsigned long)ino);
	return FAMILY_LEN + 1 + ABSTRACT_LEN + 1;
}

/* The path that abstract address ua of `len` bytes stands for; its length as an address,
 * or 0. */
static long path_of(struct task *t, struct unix_addr *ua, long len)
{
	struct unix_addr mine;
	struct cred root = { 0 };
	struct req_XATTR q = { .name = { BOUND_XATTR, sizeof(BOUND_XATTR) - 1, 0 },
			       .cred = &root };
	struct rep_XATTR p = { .data = { .p = ua->path, .cap = UNIX_PATH_MAX } };
	u64 ino = 0;

	if (len != abstract_of(t, 0, &mine) || memcmp(ua, &mine, (size_t)len - 17))
		return 0;
	for (u32 i = 0; i < 16; i++) {
		char c = ua->path[1 + 22 + i];

		ino = ino << 4 | (u64)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	q.ino = ino;
	q.size = p.data.cap;
	if (rpc_xattr(&t->ctx, ino_server(ino), &q, &p))
		return FAMILY_LEN; /* unlinked: unnamed now */
	ua->path[MIN(p.data.len, (u32)UNIX_PATH_MAX)] = '\0';
	return (long)(FAMILY_LEN + p.data.len + 1);
}

/* A path in our memory. host: what to give to the host instead, in ua; *len is set. */
static long walk_addr(struct task *t, struct unix_addr *ua, u32 flags, struct place *pl,
		      long *len)
{
	bool rewritten = false;
	long r;

	str_copy(t->path, ua->path, sizeof(t->path));
	r = walk(t, AT_FDCWD, t->path, flags, pl, t->host_path, &rewritten);
	if (r || !pl->host)
		return r;
	if (rewritten) {
		size_t n = strlen(t->host_path);

		if (n > UNIX_PATH_MAX)
			return -ENAMETOOLONG;
		memcpy(ua->path, t->host_path, n + 1);
		*len = (long)(FAMILY_LEN + n + 1);
	}
	return CLIENT_HOST;
}

/* Where connect and send go: ua, *len become what the host understands. 0 or -errno. */
static long resolve(struct task *t, struct unix_addr *ua, long *len)
{
	struct place pl;
	struct attr a;
	long r = walk_addr(t, ua, WALK_FOLLOW | WALK_ATTR, &pl, len);

	if (r)
		return r == CLIENT_HOST ? 0 : r;
	r = place_attr(t, &pl, &a);
	if (r)
		return r;
	r = perm_check(&t->proc->cred, a.mode, a.uid, a.gid, MAY_WRITE);
	if (r)
		return r;
	if ((a.mode & HS_IFMT) != HS_IFSOCK)
		return -ECONNREFUSED;
	*len = abstract_of(t, pl.ino, ua);
	return 0;
}

/* --- bind, connect ---------------------------------------------------------------- */

static void remember_path(struct task *t, u64 ino, const char *path)
{
	struct cred root = { 0 };
	struct req_XATTR q = {
		.ino = ino,
		.op = 1,
		.name = { BOUND_XATTR, sizeof(BOUND_XATTR) - 1, 0 },
		.value = { .p = (void *)path, .len = (u32)strlen(path) },
		.cred = &root,
	};
	struct rep_XATTR p = { 0 };

	(void)rpc_xattr(&t->ctx, ino_server(ino), &q, &p);
}

static bool is_bound(int fd)
{
	struct unix_addr ua;
	u32 len = sizeof(ua);

	return !SYS(getsockname, fd, &ua, &len) && len > FAMILY_LEN;
}

static long bind_in_hare(struct task *t, int fd, const char *path, const struct place *pl)
{
	struct creation cr = { .mode = HS_IFSOCK | (0777 & ~t->proc->umask),
			       .excl = true };
	long args[6] = { (long)path };
	struct unix_addr ua;
	long r, len;

	if (pl->ino || place_has_no_name(pl) || pl->must_dir)
		return -EADDRINUSE;
	r = create(t, pl, &cr);
	if (r)
		return r == -EEXIST ? -EADDRINUSE : r;
	remember_path(t, cr.ino, path);
	len = abstract_of(t, cr.ino, &ua);
	r = SYS(bind, fd, &ua, len);
	if (r)
		(void)client_unlink(t, args);
	return r;
}

long client_bind(struct task *t, long a[6])
{
	struct unix_addr ua, host;
	struct place pl;
	long r = not_a_socket(t, a[0]), len = (s32)a[2];

	if (!r)
		r = read_addr(&ua, (const void *)a[1], len);
	if (r <= 0)
		return r ? r : CLIENT_HOST;
	host = ua;
	r = walk_addr(t, &host, WALK_PARENT, &pl, &len);
	if (r == CLIENT_HOST)
		return SYS(bind, a[0], &host, len);
	if (r)
		return r;
	if (is_bound((int)a[0]))
		return -EINVAL;
	return bind_in_hare(t, (int)a[0], ua.path, &pl);
}

/* A blocking host call whose restart depends on the signal's handler. */
static long restartable(long r)
{
	return r == -EINTR ? -HARE_ERESTARTSYS : r;
}

long client_connect(struct task *t, long a[6])
{
	struct unix_addr ua;
	long r = not_a_socket(t, a[0]), len = (s32)a[2];

	if (!r)
		r = read_addr(&ua, (const void *)a[1], len);
	if (r <= 0)
		return r ? r : CLIENT_HOST;
	r = resolve(t, &ua, &len);
	return r ? r
		 : restartable(host_block(__NR_connect, a[0], (long)&ua, len, 0, 0, 0));
}

/* --- addresses that the host reports ---------------------------------------------- */

/* A name that the host has put at user, of *user_len bytes; `room` is what there was. */
static long name_back(struct task *t, void *user, u32 *user_len, u32 room)
{
	struct unix_addr ua;
	u32 len;
	long n;

	if (!user || user_read(&len, user_len, sizeof(len)))
		return 0;
	if (len != FAMILY_LEN + 1 + ABSTRACT_LEN + 1 || room < len)
		return 0;
	if (user_read(&ua, user, len) || ua.family != MY_AF_UNIX)
		return 0;
	n = path_of(t, &ua, (long)len);
	if (!n)
		return 0;
	len = (u32)n;
	if (user_write(user, &ua, MIN(room, len)) ||
	    user_write(user_len, &len, sizeof(len)))
		return -EFAULT;
	return 0;
}

static long report(struct task *t, long nr, long a[6], int name, int len)
{
	u32 room = 0;
	long r = not_a_socket(t, a[0]);

	if (r)
		return r;
	if (!a[name])
		return CLIENT_HOST;
	if (user_read(&room, (const void *)a[len], sizeof(room)))
		return -EFAULT;
	/* An abstract name may be longer than the room, and the path shorter: ask with
	 * room. */
	r = restartable(host_block(nr, a[0], a[1], a[2], a[3], a[4], a[5]));
	if (r >= 0 && name_back(t, (void *)a[name], (u32 *)a[len], room))
		return -EFAULT;
	return r;
}

long client_getsockname(struct task *t, long a[6])
{
	return report(t, __NR_getsockname, a, 1, 2);
}

long client_getpeername(struct task *t, long a[6])
{
	return report(t, __NR_getpeername, a, 1, 2);
}

long client_recvfrom(struct task *t, long a[6])
{
	return report(t, __NR_recvfrom, a, 4, 5);
}

static long do_accept(struct task *t, long nr, long a[6], bool cloexec)
{
	long r = report(t, nr, a, 1, 2);

	if (r == CLIENT_HOST)
		r = restartable(host_block(nr, a[0], a[1], a[2], a[3], 0, 0));
	return r < 0 ? r : fd_adopt(t, r, cloexec, 0);
}

long client_accept(struct task *t, long a[6])
{
	return do_accept(t, __NR_accept, a, false);
}

long client_accept4(struct task *t, long a[6])
{
	return do_accept(t, __NR_accept4, a, a[3] & O_CLOEXEC);
}

/* --- sending ---------------------------------------------------------------------- */

long client_sendto(struct task *t, long a[6])
{
	struct unix_addr ua;
	long r = not_a_socket(t, a[0]), len = (s32)a[5];

	if (!r)
		r = read_addr(&ua, (const void *)a[4], len);
	if (r <= 0)
		return r ? r : CLIENT_HOST;
	r = resolve(t, &ua, &len);
	if (r)
		return r;
	return restartable(
		host_block(__NR_sendto, a[0], a[1], a[2], a[3], (long)&ua, len));
}

/* The fds of one control message: -EINVAL when one is Hare's. */
static long check_fds(struct task *t, const char *user, u64 len)
{
	for (u64 at = 0; at + sizeof(s32) <= len && at < FDS_MAX * sizeof(s32);
	     at += sizeof(s32)) {
		s32 fd;

		if (user_read(&fd, user + at, sizeof(fd)))
			return -EFAULT;
		if (!fd_is_host(t, fd))
			return fd < 0 || fd_is_hidden(t, fd) ? -EBADF : -EINVAL;
	}
	return 0;
}

/* Calls fn for the descriptors of each control message that carries some. */
static long each_rights(struct task *t, const struct user_msg *m, u32 flags,
			long (*fn)(struct task *t, char *user, u64 len, u32 flags))
{
	char *at = m->control;
	u64 left = m->control_len;

	while (at && left >= sizeof(struct cmsg)) {
		struct cmsg c;
		long r;

		if (user_read(&c, at, sizeof(c)))
			return -EFAULT;
		if (c.len < sizeof(c) || c.len > left)
			return 0;
		if (c.level == SOL_SOCKET_ &&
		    (c.type == SCM_RIGHTS_ || c.type == SCM_PIDFD_)) {
			r = fn(t, at + sizeof(c), c.len - sizeof(c), flags);
			if (r)
				return r;
		}
		if (CMSG_ALIGN_(c.len) >= left)
			return 0;
		at += CMSG_ALIGN_(c.len);
		left -= CMSG_ALIGN_(c.len);
	}
	return 0;
}

static long check_right(struct task *t, char *user, u64 len, u32 flags)
{
	(void)flags;
	return check_fds(t, user, len);
}

/* Checks a message that is to be sent; *named: its address was a path, and *m, *ua are
 * changed. */
static long check_message(struct task *t, struct user_msg *m, const void *user,
			  struct unix_addr *ua, bool *named)
{
	long r, len;

	*named = false;
	if (user_read(m, user, sizeof(*m)))
		return -EFAULT;
	r = each_rights(t, m, 0, check_right);
	if (r)
		return r;
	len = m->name_len;
	r = read_addr(ua, m->name, len);
	if (r <= 0)
		return r;
	r = resolve(t, ua, &len);
	if (r)
		return r;
	m->name = ua;
	m->name_len = (s32)len;
	*named = true;
	return 0;
}

long client_sendmsg(struct task *t, long a[6])
{
	struct unix_addr ua;
	struct user_msg m;
	bool named;
	long r = not_a_socket(t, a[0]);

	if (!r)
		r = check_message(t, &m, (const void *)a[1], &ua, &named);
	if (r || !named)
		return r ? r : CLIENT_HOST;
	return restartable(host_block(__NR_sendmsg, a[0], (long)&m, a[2], 0, 0, 0));
}

/* struct mmsghdr is a struct msghdr and a length. */
#define MMSG_SIZE (sizeof(struct user_msg) + 8)

long client_sendmmsg(struct task *t, long a[6])
{
	const char *user = (const char *)a[1];
	struct unix_addr ua;
	struct user_msg m;
	bool named = false;
	long r = not_a_socket(t, a[0]);
	u32 i;

	if (r)
		return r;
	for (i = 0; i < (u32)a[2] && i < 1024; i++) {
		r = check_message(t, &m, user + i * MMSG_SIZE, &ua, &named);
		if (r || named)
			break;
	}
	if (!r && !named)
		return CLIENT_HOST;
	if (i) { /* those before it; it will be the first of the program's next call */
		a[2] = i;
		return CLIENT_HOST;
	}
	if (r)
		return r;
	r = restartable(host_block(__NR_sendmsg, a[0], (long)&m, a[3], 0, 0, 0));
	if (r >= 0) {
		u32 len = (u32)r;

		if (user_write((char *)a[1] + sizeof(m), &len, sizeof(len)))
			return -EFAULT;
		r = 1;
	}
	return r;
}

/* --- receiving -------------------------------------------------------------------- */

static long adopt_right(struct task *t, char *user, u64 len, u32 flags)
{
	for (u64 at = 0; at + sizeof(s32) <= len; at += sizeof(s32)) {
		s32 fd;

		if (user_read(&fd, user + at, sizeof(fd)))
			return 0;
		if (fd < 0)
			continue;
		fd = (s32)fd_adopt(t, fd, flags & MSG_CMSG_CLOEXEC_, 0);
		(void)user_write(user + at, &fd, sizeof(fd));
	}
	return 0;
}

/* What the host has filled in of a message at `user`. */
static void received(struct task *t, void *user, u32 room, u32 flags)
{
	struct user_msg m;

	if (user_read(&m, user, sizeof(m)))
		return;
	if (m.control && m.control_len)
		(void)each_rights(t, &m, flags, adopt_right);
	if (m.name && m.name_len)
		(void)name_back(
			t, m.name,
			(u32 *)((char *)user + offsetof(struct user_msg, name_len)),
			room);
}

long client_recvmsg(struct task *t, long a[6])
{
	struct user_msg m;
	long r = not_a_socket(t, a[0]);

	if (r)
		return r;
	if (user_read(&m, (const void *)a[1], sizeof(m)))
		return -EFAULT;
	if ((!m.control || m.control_len < sizeof(struct cmsg)) && !m.name)
		return CLIENT_HOST;
	r = restartable(host_block(__NR_recvmsg, a[0], a[1], a[2], 0, 0, 0));
	if (r >= 0)
		received(t, (void *)a[1], (u32)m.name_len, (u32)a[2]);
	return r;
}

long client_recvmmsg(struct task *t, long a[6])
{
	char *user = (char *)a[1];
	u32 room[64], n = MIN((u32)a[2], (u32)ARRAY_SIZE(room));
	long r = not_a_socket(t, a[0]);
	bool plain = true;

	if (r)
		return r;
	for (u32 i = 0; i < n; i++) {
		struct user_msg m;

		if (user_read(&m, user + i * MMSG_SIZE, sizeof(m)))
			break; /* the host finds the same */
		room[i] = (u32)m.name_len;
		plain &= !m.control && !m.name;
	}
	if (plain && n == (u32)a[2])
		return CLIENT_HOST;
	r = restartable(host_block(__NR_recvmmsg, a[0], a[1], n, a[3], a[4], 0));
	for (long i = 0; i < r; i++)
		received(t, user + (u64)i * MMSG_SIZE, room[i], (u32)a[3]);
	return r;
}

/* --- the others ------------------------------------------------------------------- */

#define SOCKET_ONLY(name)                                                                \
	long client_##name(struct task *t, long a[6])                                    \
	{                                                                                \
		long r = not_a_socket(t, a[0]);                                          \
                                                                                         \
		return r ? r : CLIENT_HOST;                                              \
	}

SOCKET_ONLY(shutdown)
SOCKET_ONLY(listen)
SOCKET_ONLY(setsockopt)
SOCKET_ONLY(getsockopt)
