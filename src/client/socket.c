/* SPDX-License-Identifier: MIT */
/*
 * Sockets: they are the host's. Two things of theirs are Hare's: the names of AF_UNIX
 * sockets in Hare's directories, and descriptors that arrive in messages, which have to
 * be adopted.
 *
 * A socket's name in Hare is an inode of type socket; the host's socket is bound to an
 * abstract address made of this instance's id, the inode's number and the path that the
 * program gave. That path, and the socket's type, are kept as an attribute of the inode.
 *
 *   bind "/hare/s"     CREATE s (socket, inode 17), host: bind "\0hareID17/hare/s"
 *   connect "/hare/s"  look up: inode 17, may the caller write it? its attribute: the path;
 *                      host: connect "\0hareID17/hare/s"
 *   getpeername        host: "\0hareID17/hare/s": "/hare/s", also when that is removed
 *
 * A path too long for that is left out, and asked of the inode.
 *
 * Descriptors of Hare's travel as tokens (pass.c): control data that names some is sent from
 * a copy of ours. Credentials name processes by the numbers that programs see.
 */
#include <linux/socket.h>
#include <linux/un.h>

#include "client/file.h"
#include "client/path.h"
#include "client/procfs.h"

#define MY_AF_UNIX	  1
#define SOL_SOCKET_	  1
#define SCM_RIGHTS_	  1
#define SCM_CREDENTIALS_  2
#define SCM_PIDFD_	  4
#define SO_PEERCRED_	  17
#define MSG_CTRUNC_	  8
#define MSG_CMSG_CLOEXEC_ 0x40000000
#define CONTROL_MAX	  4096u /* of control data that is sent from a copy */
#define MMSG_PIECE	  16u /* messages of one host call */
#define FDS_MAX		  253 /* in one message, as the kernel has it */
#define BOUND_XATTR	  "trusted.hare.bound"
#define SO_TYPE_	  3
#define SOCK_DGRAM_	  2
#define ABSTRACT_TAG	  "hare"
#define NUMBER_LEN	  11u /* of 64 bits, six in a character */
#define ABSTRACT_HEAD	  (5 + 2 * NUMBER_LEN) /* NUL, tag, instance, inode */

struct unix_addr {
	u16 family;
	char path[UNIX_PATH_MAX + 1];
};
#define FAMILY_LEN 2u
/* Where the host puts an address, of any family. */
struct host_addr {
	union {
		struct unix_addr ua;
		u8 room[128]; /* struct sockaddr_storage */
	};
};

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

/* What is kept of a socket at its inode. */
struct bound {
	u8 type; /* SOCK_* */
	char path[UNIX_PATH_MAX + 1]; /* as the program gave it */
};

static void put_number(char *s, u64 v)
{
	for (u32 i = 0; i < NUMBER_LEN; i++, v >>= 6)
		s[i] = (char)('0' + (v & 63));
}

static u64 get_number(const char *s)
{
	u64 v = 0;

	for (u32 i = NUMBER_LEN; i--;)
		v = v << 6 | (u64)((s[i] - '0') & 63);
	return v;
}

static void abstract_head(const struct task *t, u64 ino, char *head)
{
	head[0] = '\0';
	memcpy(head + 1, ABSTRACT_TAG, 4);
	put_number(head + 5, t->ctx.isl->super->boot_id);
	put_number(head + 5 + NUMBER_LEN, ino);
}

/* The abstract address of a socket's inode; its length. */
static long abstract_of(const struct task *t, u64 ino, const char *path,
			struct unix_addr *ua)
{
	size_t len = strlen(path), room = UNIX_PATH_MAX - ABSTRACT_HEAD;

	ua->family = MY_AF_UNIX;
	abstract_head(t, ino, ua->path);
	if (len > room)
		len = 0;
	memcpy(ua->path + ABSTRACT_HEAD, path, len);
	return (long)(FAMILY_LEN + ABSTRACT_HEAD + len);
}

/* The attribute of a socket's inode: 0 or an error. */
static long bound_get(struct task *t, u64 ino, struct bound *b)
{
	struct cred root = { 0 };
	struct req_XATTR q = { .ino = ino,
			       .name = { BOUND_XATTR, sizeof(BOUND_XATTR) - 1, 0 },
			       .size = 1 + UNIX_PATH_MAX,
			       .cred = &root };
	struct rep_XATTR p = { .data = { .p = b, .cap = 1 + UNIX_PATH_MAX } };
	long r = rpc_xattr(&t->ctx, ino_server(ino), &q, &p);

	if (r || !p.data.len)
		return r ? r : -ENODATA;
	b->path[p.data.len - 1] = '\0';
	return 0;
}

/* The path that abstract address ua of `len` bytes stands for; its length as an address.
 * Others stay as they are. */
static long path_of(struct task *t, struct unix_addr *ua, long len)
{
	long n = len - (long)(FAMILY_LEN + ABSTRACT_HEAD);
	char head[ABSTRACT_HEAD];
	struct bound b;

	abstract_head(t, 0, head);
	if (n < 0 || memcmp(ua->path, head, ABSTRACT_HEAD - NUMBER_LEN))
		return len;
	if (n) {
		memmove(ua->path, ua->path + ABSTRACT_HEAD, (size_t)n);
	} else {
		if (bound_get(t, get_number(ua->path + ABSTRACT_HEAD - NUMBER_LEN), &b))
			return FAMILY_LEN; /* unlinked: unnamed now */
		n = (long)str_copy(ua->path, b.path, sizeof(ua->path));
	}
	ua->path[n] = '\0';
	return (long)FAMILY_LEN + n + 1;
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

/* Of another type than fd's, and somebody holds it? */
static bool is_other_type(const struct task *t, int fd, u64 ino, const struct bound *b)
{
	struct unix_addr ua;
	u32 type = 0, size = sizeof(type);
	long len = abstract_of(t, ino, b->path, &ua), try, r;

	if (SYS(getsockopt, fd, SOL_SOCKET_, SO_TYPE_, &type, &size) || type == b->type)
		return false;
	try = SYS(socket, MY_AF_UNIX, b->type | O_CLOEXEC, 0);
	if (sys_failed(try))
		return false;
	r = SYS(bind, try, &ua, len);
	SYS(close, try);
	return r == -EADDRINUSE;
}

/* The socket at a place, if it may be written to. */
static long bound_at(struct task *t, struct place *pl, struct bound *b)
{
	const struct attr *a = &pl->res.attr;
	long r = place_attr(t, pl);

	if (!r)
		r = perm_check(&t->proc->cred, a->mode, a->uid, a->gid, MAY_WRITE);
	if (r)
		return r;
	r = (a->mode & HS_IFMT) == HS_IFSOCK ? bound_get(t, pl->ino, b) : -ECONNREFUSED;
	return r && r != -ENOENT ? -ECONNREFUSED : r;
}

/* Where connect and send go: ua, *len become what the host understands. 0 or -errno. */
static long resolve(struct task *t, int fd, struct unix_addr *ua, long *len)
{
	struct bound b;
	struct place pl;
	u32 tries = 0;
	long r;

	do {
		r = walk_addr(t, ua, WALK_FOLLOW | WALK_ATTR, &pl, len);
		if (r)
			return r == CLIENT_HOST ? 0 : r;
		r = bound_at(t, &pl, &b);
	} while (place_gone(t, r, &pl, &tries));
	if (r)
		return r;
	/* The host finds abstract names among those of one type. */
	if (is_other_type(t, fd, pl.ino, &b))
		return -EPROTOTYPE;
	*len = abstract_of(t, pl.ino, b.path, ua);
	return 0;
}

/* --- bind, connect ---------------------------------------------------------------- */

static void bound_set(struct task *t, u64 ino, u32 type, const char *path)
{
	struct bound b = { .type = (u8)type };
	struct cred root = { 0 };
	struct req_XATTR q = {
		.ino = ino,
		.op = 1,
		.name = { BOUND_XATTR, sizeof(BOUND_XATTR) - 1, 0 },
		.value = { .p = &b, .len = 1 + (u32)strlen(path) },
		.cred = &root,
	};
	struct rep_XATTR p = { 0 };

	str_copy(b.path, path, sizeof(b.path));
	(void)rpc_xattr(&t->ctx, ino_server(ino), &q, &p);
}

static bool is_bound(int fd)
{
	struct unix_addr ua;
	u32 len = sizeof(ua);

	return !SYS(getsockname, fd, &ua, &len) && len > FAMILY_LEN;
}

/* The mode of a name is that of the socket, which fchmod may have changed. */
static u32 socket_mode(int fd)
{
	struct {
		u64 dev, ino, nlink;
		u32 mode, rest[29];
	} st; /* struct stat */

	return SYS(fstat, fd, &st) ? 0777 : st.mode & 0777;
}

static long bind_in_hare(struct task *t, int fd, const char *path, const struct place *pl)
{
	struct creation cr = { .mode = HS_IFSOCK | (socket_mode(fd) & ~t->proc->umask),
			       .excl = true };
	u32 type = 0, size = sizeof(type);
	long args[6] = { (long)path };
	struct unix_addr ua;
	long r, len;

	if (pl->ino || place_has_no_name(pl))
		return -EADDRINUSE;
	if (pl->must_dir)
		return -ENOENT;
	r = SYS(getsockopt, fd, SOL_SOCKET_, SO_TYPE_, &type, &size);
	if (!r)
		r = create(t, pl, &cr);
	if (r)
		return r == -EEXIST ? -EADDRINUSE : r;
	bound_set(t, cr.ino, type, path);
	len = abstract_of(t, cr.ino, path, &ua);
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
	r = resolve(t, (int)a[0], &ua, &len);
	return r ? r
		 : restartable(host_block(__NR_connect, a[0], (long)&ua, len, 0, 0, 0));
}

/* --- addresses that the host reports ---------------------------------------------- */

/* An address of `len` bytes as the program is to see it; its length. */
static u32 name_seen(struct task *t, struct host_addr *h, u32 len)
{
	if (len < FAMILY_LEN || h->ua.family != MY_AF_UNIX)
		return len;
	return (u32)path_of(t, &h->ua, (long)len);
}

/* It goes to the program, which has room for `room` bytes of it. */
static long name_back(struct task *t, struct host_addr *h, u32 len, void *user,
		      void *user_len, u32 room)
{
	len = name_seen(t, h, len);
	if (user_write(user, h, MIN(MIN(room, len), (u32)sizeof(*h))) ||
	    user_write(user_len, &len, sizeof(len)))
		return -EFAULT;
	return 0;
}

/* A call that reports an address in arguments name and len: made with room for any, since a name
 * of ours may be longer at the host. CLIENT_HOST: it wants none. */
static long report(struct task *t, long nr, long a[6], int name, int len)
{
	long r = not_a_socket(t, a[0]), b[6];
	u32 room = 0, got = sizeof(struct host_addr);
	struct host_addr h;

	if (r)
		return r;
	if (!a[name] || !a[len])
		return CLIENT_HOST;
	if (user_read(&room, (const void *)a[len], sizeof(room)))
		return -EFAULT;
	if ((s32)room < 0)
		return CLIENT_HOST; /* the host refuses it */
	memcpy(b, a, sizeof(b));
	b[name] = (long)&h;
	b[len] = (long)&got;
	r = restartable(host_block(nr, b[0], b[1], b[2], b[3], b[4], b[5]));
	if (r >= 0 && name_back(t, &h, got, (void *)a[name], (void *)a[len], room))
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
	r = resolve(t, (int)a[0], &ua, &len);
	if (r)
		return r;
	return restartable(
		host_block(__NR_sendto, a[0], a[1], a[2], a[3], (long)&ua, len));
}

/* A message on its way out. */
struct sending {
	struct user_msg m; /* name and control point here when they had to be changed */
	struct unix_addr ua;
	bool changed;
	u32 tokens;
	s32 token[FDS_MAX]; /* to be closed afterwards */
	u8 control[CONTROL_MAX];
};

/* The control message at `at`, of `left` bytes; NULL: that was the last one, or is none. */
static struct cmsg *cmsg_at(u8 *at, u64 left)
{
	struct cmsg *c = (struct cmsg *)at;

	return left < sizeof(*c) || c->len < sizeof(*c) || c->len > left ? NULL : c;
}

/* Is the other end of a socket held by a process that is none of Hare's? Who made it counts; when
 * nobody knows it any more, the answer is no. */
static bool peer_is_outside(struct task *t, int fd)
{
	struct {
		s32 pid;
		u32 uid, gid;
	} peer;
	u32 len = sizeof(peer), type = 0, type_len = sizeof(type);
	char link[64];
	char *exe = t->host_path, *own = t->host_path2;
	long n, m;

	if (SYS(getsockopt, fd, SOL_SOCKET_, SO_PEERCRED_, &peer, &len))
		return false;
	if (peer.pid <=
	    0) /* connected to who has no number here: outside of our kernel */
		return t->ctx.isl->super->kernels == KERNELS_SEPARATE &&
		       !SYS(getsockopt, fd, SOL_SOCKET_, SO_TYPE_, &type, &type_len) &&
		       type != SOCK_DGRAM_ &&
		       !SYS(getpeername, fd, t->host_path, &(u32){ 128 });
	if ((u32)peer.pid == t->proc->host_pid)
		return false;
	str_format(link, sizeof(link), "/proc/%d/exe", peer.pid);
	n = SYS(readlink, link, exe, PATH_LEN_MAX);
	m = SYS(readlink, "/proc/self/exe", own, PATH_LEN_MAX);
	return n > 0 && m > 0 && (n != m || memcmp(exe, own, (size_t)n));
}

/* Puts tokens in the place of Hare's descriptors. -EXDEV: they would leave Hare. */
static long send_rights(struct task *t, int sock, struct sending *s, s32 *fds, u64 count)
{
	for (u64 i = 0; i < count; i++) {
		bool host;
		struct ofd *o = fd_get(t, fds[i], &host);
		long r;

		if (!o && !host)
			return -EBADF;
		if (!o)
			continue;
		if (s->tokens == FDS_MAX)
			r = -EINVAL;
		else if (!s->tokens && peer_is_outside(t, sock))
			r = -EXDEV;
		else
			r = pass_out(t, o);
		ofd_put(t, o);
		if (r < 0)
			return r;
		s->token[s->tokens++] = fds[i] = (s32)r;
		s->changed = true;
	}
	return 0;
}

static void send_pid(struct task *t, struct sending *s, u32 *pid)
{
	u32 host = procfs_host_pid(t, *pid);

	s->changed |= host != *pid;
	*pid = host;
}

static long send_control(struct task *t, int sock, struct sending *s)
{
	u64 left = s->m.control_len;
	u8 *at = s->control;
	struct cmsg *c;
	long r = 0;

	if (!s->m.control || left < sizeof(struct cmsg))
		return 0;
	if (left > CONTROL_MAX)
		return 0; /* more than any message of this kind has: the host says so */
	if (user_read(at, s->m.control, left))
		return -EFAULT;
	while (!r && (c = cmsg_at(at, left))) {
		u64 step = CMSG_ALIGN_(c->len), data = c->len - sizeof(*c);

		if (c->level == SOL_SOCKET_ && c->type == SCM_RIGHTS_)
			r = send_rights(t, sock, s, (s32 *)(c + 1), data / sizeof(s32));
		else if (c->level == SOL_SOCKET_ && c->type == SCM_CREDENTIALS_ &&
			 data >= sizeof(u32))
			send_pid(t, s, (u32 *)(c + 1));
		if (step >= left)
			break;
		at += step;
		left -= step;
	}
	if (s->changed)
		s->m.control = s->control;
	return r;
}

static long send_name(struct task *t, int sock, struct sending *s)
{
	long len = s->m.name_len, r = read_addr(&s->ua, s->m.name, len);

	if (r <= 0)
		return r;
	r = resolve(t, sock, &s->ua, &len);
	if (r)
		return r;
	s->m.name = &s->ua;
	s->m.name_len = (s32)len;
	s->changed = true;
	return 0;
}

/* Sends one message. CLIENT_HOST: there is nothing in it that the host would not know. */
static long send_one(struct task *t, int sock, const void *user, u32 flags)
{
	struct sending s;
	long r;

	s.changed = false;
	s.tokens = 0;
	if (user_read(&s.m, user, sizeof(s.m)))
		return -EFAULT;
	r = send_name(t, sock, &s);
	if (!r)
		r = send_control(t, sock, &s);
	if (!r && !s.changed)
		return CLIENT_HOST;
	if (!r)
		r = restartable(
			host_block(__NR_sendmsg, sock, (long)&s.m, flags, 0, 0, 0));
	for (u32 i = 0; i < s.tokens; i++)
		SYS(close, s.token[i]);
	if (r < 0 && s.tokens)
		pass_settle(t);
	return r;
}

long client_sendmsg(struct task *t, long a[6])
{
	long r = not_a_socket(t, a[0]);

	return r ? r : send_one(t, (int)a[0], (const void *)a[1], (u32)a[2]);
}

/* struct mmsghdr is a struct msghdr and a length. */
struct user_mmsg {
	struct user_msg m;
	u32 len, pad;
};

/* Is a message data alone? */
static bool only_data(const struct user_mmsg *user)
{
	struct user_msg m;

	return !user_read(&m, user, sizeof(m)) && !m.name && !m.control_len;
}

long client_sendmmsg(struct task *t, long a[6])
{
	struct user_mmsg *user = (struct user_mmsg *)a[1];
	u32 count = MIN((u32)a[2], 1024u), i;
	long r = not_a_socket(t, a[0]);

	for (i = 0; i < count && only_data(&user[i]);)
		i++;
	if (!r && i == count)
		return CLIENT_HOST;
	for (i = 0; !r && i < count; i++) {
		r = send_one(t, (int)a[0], &user[i].m, (u32)a[3]);
		if (r == CLIENT_HOST)
			r = restartable(host_block(__NR_sendmsg, a[0], (long)&user[i].m,
						   a[3], 0, 0, 0));
		if (r >= 0) {
			u32 len = (u32)r;

			r = user_write(&user[i].len, &len, sizeof(len));
		}
	}
	if (r && i)
		i--; /* the one that failed */
	return i ? (long)i : r;
}

/* --- receiving -------------------------------------------------------------------- */

/* A control message of the program's shrinks to `len` bytes; what is behind it moves up. */
static long control_cut(struct user_msg *m, u8 *at, struct cmsg *c, u64 len)
{
	u8 *end = (u8 *)m->control + m->control_len, *from = at + CMSG_ALIGN_(c->len);
	u8 *to = at + (len > sizeof(*c) ? CMSG_ALIGN_(len) : 0), buf[256];

	m->flags |= MSG_CTRUNC_;
	c->len = len;
	if (to != at && user_write(at, c, sizeof(*c)))
		return -EFAULT;
	while (from < end) {
		size_t n = MIN((size_t)(end - from), sizeof(buf));

		if (user_read(buf, from, n) || user_write(to, buf, n))
			return -EFAULT;
		from += n;
		to += n;
	}
	m->control_len = (u64)(to - (u8 *)m->control);
	return 0;
}

/* Descriptors that arrived get numbers. How many there was room for. */
static u64 receive_rights(struct task *t, u8 *user, u64 count, bool cloexec,
			  struct landing *l)
{
	bool full = false;
	u64 done = 0;

	for (u64 i = 0; i < count; i++) {
		s32 fd;

		if (user_read(&fd, user + i * sizeof(fd), sizeof(fd)) || fd < 0)
			continue;
		if (full) {
			SYS(close, fd);
			continue;
		}
		fd = (s32)pass_in(t, fd, cloexec, l);
		full = fd < 0;
		if (!full && !user_write(user + done * sizeof(fd), &fd, sizeof(fd)))
			done++;
	}
	return done;
}

static void receive_pid(struct task *t, u8 *user)
{
	u32 pid, seen;

	if (user_read(&pid, user, sizeof(pid)) || !pid)
		return;
	seen = procfs_seen_pid(t, pid);
	if (seen != pid)
		(void)user_write(user, &seen, sizeof(seen));
}

static void receive_control(struct task *t, struct user_msg *m, bool cloexec)
{
	struct landing l = { 0 };
	u8 *at = m->control;
	struct cmsg c;

	while (at + sizeof(c) <= (u8 *)m->control + m->control_len) {
		u64 left = (u64)((u8 *)m->control + m->control_len - at), n, got;

		if (user_read(&c, at, sizeof(c)) || c.len < sizeof(c) || c.len > left)
			break;
		n = (c.len - sizeof(c)) / sizeof(s32);
		if (c.level == SOL_SOCKET_ && c.type == SCM_CREDENTIALS_ && n)
			receive_pid(t, at + sizeof(c));
		if (c.level == SOL_SOCKET_ &&
		    (c.type == SCM_RIGHTS_ || c.type == SCM_PIDFD_)) {
			got = receive_rights(t, at + sizeof(c), n, cloexec, &l);
			if (got < n && control_cut(m, at, &c, sizeof(c) + 4 * got))
				break;
			if (!got && n)
				continue; /* the next one is here now */
		}
		at += CMSG_ALIGN_(c.len);
	}
	if (l.cores)
		pass_landed(t, &l);
}

/* A message that the host has filled in, m, goes to the program's; its name is in h. */
static long received(struct task *t, struct user_msg *m, struct host_addr *h,
		     struct user_msg *user, u32 flags)
{
	struct user_msg was;
	u32 len;

	if (user_read(&was, user, sizeof(was)))
		return -EFAULT;
	if (m->control && m->control_len)
		receive_control(t, m, flags & MSG_CMSG_CLOEXEC_);
	if (user_write(&user->control_len, &m->control_len, sizeof(m->control_len)) ||
	    user_write(&user->flags, &m->flags, sizeof(m->flags)))
		return -EFAULT;
	if (!was.name)
		return 0;
	len = (u32)m->name_len;
	return name_back(t, h, len, was.name, &user->name_len, (u32)was.name_len);
}

/* The program's message with room for any name; false: only its data can come. */
static bool receiving(struct user_msg *m, struct host_addr *h)
{
	bool plain = !m->name && (!m->control || m->control_len < sizeof(struct cmsg));

	if (m->name && m->name_len >= 0) {
		m->name = h;
		m->name_len = sizeof(*h);
	}
	return !plain;
}

long client_recvmsg(struct task *t, long a[6])
{
	struct user_msg *user = (struct user_msg *)a[1], m;
	struct host_addr h;
	long r = not_a_socket(t, a[0]);

	if (r)
		return r;
	if (user_read(&m, user, sizeof(m)))
		return -EFAULT;
	if (!receiving(&m, &h) || (m.name && m.name != &h))
		return CLIENT_HOST;
	r = restartable(host_block(__NR_recvmsg, a[0], (long)&m, a[2], 0, 0, 0));
	if (r >= 0 && received(t, &m, &h, user, (u32)a[2]))
		return -EFAULT;
	return r;
}

/* Up to MMSG_PIECE messages; time: what is left of the program's, updated, or NULL. */
static long receive_some(struct task *t, int sock, struct user_mmsg *user, u32 count,
			 u32 flags, void *time)
{
	struct user_mmsg mm[MMSG_PIECE];
	struct host_addr h[MMSG_PIECE];
	long r;

	for (u32 i = 0; i < count; i++) {
		if (user_read(&mm[i], &user[i], sizeof(mm[i])))
			return -EFAULT;
		(void)receiving(&mm[i].m, &h[i]);
	}
	r = restartable(
		host_block(__NR_recvmmsg, sock, (long)mm, count, flags, (long)time, 0));
	for (long i = 0; i < r; i++)
		if (user_write(&user[i].len, &mm[i].len, sizeof(mm[i].len)) ||
		    received(t, &mm[i].m, &h[i], &user[i].m, flags))
			return -EFAULT;
	return r;
}

#define MSG_WAITFORONE_ 0x10000
#define MSG_DONTWAIT_	0x40

long client_recvmmsg(struct task *t, long a[6])
{
	struct user_mmsg *user = (struct user_mmsg *)a[1];
	u32 count = MIN((u32)a[2], 1024u), done = 0, flags = (u32)a[3];
	long r = not_a_socket(t, a[0]);

	if (r || !count)
		return r ? r : CLIENT_HOST;
	while (done < count) {
		u32 n = MIN(count - done, MMSG_PIECE);

		r = receive_some(t, (int)a[0], user + done, n, flags, (void *)a[4]);
		if (r > 0)
			done += (u32)r;
		if (r < (long)n)
			break;
		if (flags & MSG_WAITFORONE_)
			flags |= MSG_DONTWAIT_;
	}
	return done ? (long)done : r;
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

/* SO_PEERCRED names a process. */
long client_getsockopt(struct task *t, long a[6])
{
	long r = not_a_socket(t, a[0]);
	u32 len;

	if (r || (s32)a[1] != SOL_SOCKET_ || (s32)a[2] != SO_PEERCRED_)
		return r ? r : CLIENT_HOST;
	r = SYS(getsockopt, a[0], a[1], a[2], a[3], a[4]);
	if (!r && !user_read(&len, (const void *)a[4], sizeof(len)) && len >= sizeof(u32))
		receive_pid(t, (u8 *)a[3]);
	return r;
}
