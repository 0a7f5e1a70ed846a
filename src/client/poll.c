/* SPDX-License-Identifier: MIT */
/*
 * poll, ppoll, select, pselect6. Sets of host descriptors alone are the host's call;
 * others are looked at descriptor by descriptor, and waited for by wait.c.
 *
 * One array of struct pollfd serves Hare and the host: an entry of Hare's has the
 * complement of its number, which is negative, so the host's ppoll passes it over.
 */
#include <linux/poll.h>
#include <linux/time.h>
#include <linux/time_types.h>

#include "client/file.h"

#define IGNORED	      ((s32)0x80000000) /* the program's entry was negative */
#define HIDDEN_NUMBER 0x7fffffff /* nobody has it open: POLLNVAL */
#define NS_PER_S      1000000000LL
#define SEL_IN	      (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SEL_OUT	      (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define ALWAYS_READY  (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)

/* Memory for the arrays of a call: t->bounce when they fit. */
struct room {
	void *p;
	size_t mapped;
};

static long room_take(struct task *t, struct room *m, size_t size)
{
	long p;

	m->p = t->bounce;
	m->mapped = 0;
	if (size <= sizeof(t->bounce))
		return 0;
	p = SYS(mmap, NULL, size, 3 /* read, write */, 0x22 /* private, anonymous */, -1,
		0);
	if (sys_failed(p))
		return -ENOMEM;
	m->p = (void *)p;
	m->mapped = size;
	return 0;
}

static void room_give(struct room *m)
{
	if (m->mapped)
		SYS(munmap, m->p, m->mapped);
}

/* --- one descriptor --------------------------------------------------------------- */

u32 ofd_poll(struct task *t, struct ofd *o, u32 events, u32 seq, struct told *told)
{
	struct req_POLL q = { .ino = o->ino,
			      .access = o->flags & O_ACCMODE,
			      .wait_seq = seq };
	struct rep_POLL p = { 0 };
	long r;

	if (told) {
		q.told = told->events;
		q.told_bytes = told->bytes;
		told->bytes = 0;
	}
	if (o->flags & O_PATH)
		return POLLNVAL;
	if (!ofd_is_pipe(o))
		return events & ALWAYS_READY;
	q.events = events;
	q.since = o->kind == OFD_FIFO ? (u32)o->off : 0;
	r = rpc_poll(&t->ctx, ofd_server(o), &q, &p);
	if (r)
		return POLLERR;
	if (told)
		told->bytes = p.bytes;
	return p.revents & (events | POLLERR | POLLHUP | POLLNVAL);
}

/* --- an array --------------------------------------------------------------------- */

/* What the entries of a set are. */
struct set {
	struct pollfd *p;
	u32 n;
	u32 hosts, hares, relays, epolls;
};

/* An epoll instance with members of Hare's, or that may get some while it is waited for. */
static bool has_members(struct task *t, int fd, bool waits)
{
	struct fdtable *ft = t->proc->fds;
	struct fdent *e = ft ? fd_entry(ft, fd) : NULL;
	struct ofd *s = e && e->kind == FD_HOST ? e->ofd : NULL;

	return s && (!list_empty(&s->watch) || (waits && epoll_may_grow(t, s)));
}

/* Tells Hare's entries from the host's. */
static void sort_out(struct task *t, struct set *s, bool waits)
{
	for (u32 i = 0; i < s->n; i++) {
		struct pollfd *p = &s->p[i];
		bool host;
		struct ofd *o;

		p->revents = 0;
		if (p->fd < 0) {
			p->fd = IGNORED;
			continue;
		}
		o = fd_get(t, p->fd, &host);
		if (!o) {
			s->hosts++;
			s->epolls += has_members(t, p->fd, waits);
			if (!host)
				p->fd = HIDDEN_NUMBER;
			continue;
		}
		s->hares++;
		s->relays += o->kind == OFD_RELAY;
		ofd_put(t, o);
		p->fd = ~p->fd;
	}
}

static struct ofd *entry_ofd(struct task *t, const struct pollfd *p)
{
	bool host;

	return p->fd < 0 && p->fd != IGNORED ? fd_get(t, ~p->fd, &host) : NULL;
}

/* Relayed descriptors: each asks its proxy, and uses this thread's event. */
static u32 look_relays(struct task *t, struct set *s)
{
	u32 ready = 0;

	for (u32 i = 0; s->relays && i < s->n; i++) {
		struct ofd *o = entry_ofd(t, &s->p[i]);

		if (o && o->kind == OFD_RELAY)
			s->p[i].revents = (short)relay_poll(t, o, (u16)s->p[i].events);
		if (o) {
			ready += o->kind == OFD_RELAY && s->p[i].revents;
			ofd_put(t, o);
		}
	}
	return ready;
}

static void watch_relays(struct task *t, struct set *s, u32 seq)
{
	for (u32 i = 0; s->relays && i < s->n; i++) {
		struct ofd *o = entry_ofd(t, &s->p[i]);

		if (o && o->kind == OFD_RELAY)
			relay_watch(t, o, (u16)s->p[i].events, seq);
		if (o)
			ofd_put(t, o);
	}
}

/* Hare's entries; once one is ready the others need not be waited for. */
static u32 look_hares(struct task *t, struct set *s, u32 ready, u32 seq)
{
	for (u32 i = 0; s->hares && i < s->n; i++) {
		struct pollfd *p = &s->p[i];
		struct ofd *o = entry_ofd(t, p);

		/* One that is closed meanwhile is told of, but ends no wait. */
		if (p->fd < 0 && p->fd != IGNORED && !o)
			p->revents = POLLNVAL;
		else if (o && o->kind != OFD_RELAY)
			p->revents = (short)ofd_poll(t, o, (u16)p->events,
						     ready ? 0 : seq, NULL);
		ready += o && p->revents && o->kind != OFD_RELAY;
		if (o)
			ofd_put(t, o);
	}
	return ready;
}

/* Epoll instances of the host that have members of Hare's, in addition to what the host
 * says. */
static u32 look_epolls(struct task *t, struct set *s, u32 ready, u32 seq, bool merge)
{
	for (u32 i = 0; s->epolls && i < s->n; i++) {
		struct pollfd *p = &s->p[i];
		struct ofd *shadow = p->fd >= 0 && (p->events & SEL_IN)
					     ? epoll_shadow_of(t, p->fd)
					     : NULL;

		if (!shadow)
			continue;
		if (epoll_shadow_ready(t, shadow, ready || merge ? 0 : seq)) {
			ready++;
			if (merge)
				p->revents |= (short)(p->events & (POLLIN | POLLRDNORM));
		}
		ofd_put(t, shadow);
	}
	return ready;
}

static u32 count_ready(const struct set *s)
{
	u32 n = 0;

	for (u32 i = 0; i < s->n; i++)
		n += s->p[i].revents != 0;
	return n;
}

/* Entries that are ready; -HARE_ERESTARTNOHAND. */
static long look_until(struct task *t, struct set *s, const struct until *u,
		       const void *mask, size_t mask_size)
{
	const struct until now = { 0 };
	bool mixed = s->hosts || mask;
	long r = 0;

	for (;;) {
		u32 ready = look_relays(t, s), seq = msg_event_prepare(&t->ctx);
		bool end;

		if (unlikely(s->epolls))
			msg_topic_set(&t->ctx, MSG_TOPIC_ANY);
		if (!ready)
			watch_relays(t, s, seq);
		ready = look_hares(t, s, ready, seq);
		ready = look_epolls(t, s, ready, seq, false);
		end = ready || until_left(u) == 0;
		if (mixed)
			r = wait_mixed(t, seq, s->p, s->n, end ? &now : u,
				       ready ? NULL : mask, mask_size);
		else if (!end)
			r = wait_event(t, seq, u);
		if (r < 0 && r != -ETIMEDOUT && !ready)
			return r;
		if (end || r > 0) {
			/* The host's ppoll wrote 0 into the entries that it passed
			 * over. */
			if (mixed) {
				look_relays(t, s);
				look_hares(t, s, 1, 0);
			}
			look_epolls(t, s, 0, 0, true);
			return count_ready(s);
		}
		r = 0;
	}
}

/* A set that is not the host's alone; what it gives is look_until's. */
static long poll_set(struct task *t, struct set *s, const struct until *u,
		     const void *mask, size_t mask_size)
{
	long r = look_until(t, s, u, mask, mask_size);

	if (unlikely(s->epolls))
		msg_topic_set(&t->ctx, 0);
	return r;
}

/* --- poll, ppoll ------------------------------------------------------------------ */

static long do_poll(struct task *t, void *user, u32 n, s64 ns, struct until *u,
		    const void *mask, size_t mask_size)
{
	struct pollfd *up = user;
	struct set s = { .n = n };
	struct room m;
	long r;

	if (n > FD_MAX)
		return CLIENT_HOST;
	r = room_take(t, &m, n * sizeof(struct pollfd));
	if (r)
		return r;
	s.p = m.p;
	if (user_read(s.p, user, n * sizeof(struct pollfd))) {
		r = -EFAULT;
		goto out;
	}
	sort_out(t, &s, ns);
	if (!s.hares && !s.epolls) {
		r = CLIENT_HOST;
		goto out;
	}
	*u = until_in(ns);
	r = poll_set(t, &s, u, mask, mask_size);
	for (u32 i = 0; r >= 0 && i < n; i++)
		if (user_write(&up[i].revents, &s.p[i].revents, sizeof(s.p[i].revents)))
			r = -EFAULT;
out:
	room_give(&m);
	return r;
}

long client_poll(struct task *t, long a[6])
{
	struct until u = { .forever = true };
	s64 ms = (s32)a[2];

	return do_poll(t, (void *)a[0], (u32)a[1], ms < 0 ? -1 : ms * 1000000, &u, NULL,
		       0);
}

/* A timespec as a duration; -1 for NULL. */
static long read_timespec(const void *user, s64 *ns)
{
	struct __kernel_timespec ts;

	*ns = -1;
	if (!user)
		return 0;
	if (user_read(&ts, user, sizeof(ts)))
		return -EFAULT;
	if (ts.tv_sec < 0 || (u64)ts.tv_nsec >= (u64)NS_PER_S)
		return -EINVAL;
	*ns = ts.tv_sec > (s64)FILE_OFF_MAX / NS_PER_S - 1
		      ? -1
		      : ts.tv_sec * NS_PER_S + ts.tv_nsec;
	return 0;
}

/* What is left goes back to the program; an error there is none, as on Linux. */
static void write_left(void *user, const struct until *u, bool micro)
{
	s64 left = until_left(u);
	struct __kernel_timespec ts;

	if (!user || left < 0)
		return;
	ts.tv_sec = left / NS_PER_S;
	ts.tv_nsec = left % NS_PER_S / (micro ? 1000 : 1);
	(void)user_write(user, &ts, sizeof(ts));
}

long client_ppoll(struct task *t, long a[6])
{
	struct until u = { .forever = true };
	s64 ns;
	long r = read_timespec((const void *)a[2], &ns);

	if (r)
		return r;
	if (a[3] && a[4] != 8)
		return -EINVAL;
	r = do_poll(t, (void *)a[0], (u32)a[1], ns, &u, (const void *)a[3], (size_t)a[4]);
	if (r != CLIENT_HOST)
		write_left((void *)a[2], &u, false);
	return r;
}

/* --- select ----------------------------------------------------------------------- */

/* A call of select: three bitmaps, and the array that they are as one for poll. */
struct selection {
	u32 n, words;
	u64 *in[3]; /* as given; NULL: not given */
	u64 *out; /* 3 * words */
	struct room room;
	struct set set;
};

static u32 sel_words(u32 n)
{
	return (n + 63) / 64;
}

static u64 sel_any(const struct selection *s, u32 w)
{
	u64 bits = 0;

	for (int k = 0; k < 3; k++)
		bits |= s->in[k] ? s->in[k][w] : 0;
	if (w == s->words - 1 && s->n % 64)
		bits &= (1ULL << s->n % 64) - 1;
	return bits;
}

static long sel_read(struct task *t, struct selection *s, long a[6])
{
	size_t bytes = s->words * sizeof(u64);
	u64 *at;
	long r = room_take(t, &s->room, 6 * bytes + s->n * sizeof(struct pollfd));

	if (r)
		return r;
	at = s->room.p;
	for (int k = 0; k < 3; k++, at += s->words) {
		s->in[k] = a[1 + k] ? at : NULL;
		/* the program's bitmap is in longs of 8 bytes, as the kernel reads it */
		if (s->in[k] && user_read(at, (const void *)a[1 + k], bytes))
			return -EFAULT;
	}
	s->out = at;
	memset(s->out, 0, 3 * bytes);
	s->set.p = (struct pollfd *)(at + 3 * s->words);
	return 0;
}

/* Any descriptor of Hare's in it? A look before any copying into an array. */
static bool sel_concerns(struct task *t, const struct selection *s, bool waits)
{
	for (u32 w = 0; w < s->words; w++)
		for (u64 m = sel_any(s, w); m; m &= m - 1) {
			int fd = (int)(w * 64) + __builtin_ctzll(m);

			if (!fd_is_host(t, fd) || has_members(t, fd, waits))
				return true;
		}
	return false;
}

static void sel_to_poll(struct selection *s)
{
	static const short events[3] = { SEL_IN, SEL_OUT, POLLPRI };

	for (u32 w = 0; w < s->words; w++)
		for (u64 m = sel_any(s, w); m; m &= m - 1) {
			int bit = __builtin_ctzll(m);
			struct pollfd *p = &s->set.p[s->set.n++];

			p->fd = (int)(w * 64) + bit;
			p->events = 0;
			for (int k = 0; k < 3; k++)
				if (s->in[k] && s->in[k][w] >> bit & 1)
					p->events |= events[k];
		}
}

/* Open, and yet POLLNVAL: by O_PATH. For select it is ready in every way. */
static bool open_as_path(struct task *t, int fd)
{
	struct fdtable *ft = t->proc->fds;
	struct fdent *e = ft ? fd_entry(ft, fd) : NULL;

	if (fd_is_hidden(t, fd))
		return false;
	return (e && e->kind == FD_HARE) || !sys_failed(SYS(fcntl, fd, F_GETFD));
}

/* Bits for what is ready; their number, or -EBADF. */
static long sel_from_poll(struct task *t, struct selection *s)
{
	static const short events[3] = { SEL_IN, SEL_OUT, POLLPRI };
	long n = 0;

	for (u32 i = 0; i < s->set.n; i++) {
		struct pollfd *p = &s->set.p[i];
		u32 fd = (u32)(p->fd < 0 ? ~p->fd : p->fd), w = fd / 64;
		u64 bit = 1ULL << fd % 64;

		if (p->revents & POLLNVAL) {
			if (!open_as_path(t, (int)fd))
				return -EBADF;
			p->revents = SEL_IN | SEL_OUT | POLLPRI;
		}
		for (int k = 0; k < 3; k++)
			if (s->in[k] && s->in[k][w] & bit && p->revents & events[k]) {
				s->out[(u32)k * s->words + w] |= bit;
				n++;
			}
	}
	return n;
}

static long sel_write(const struct selection *s, long a[6])
{
	for (int k = 0; k < 3; k++)
		if (s->in[k] && user_write((void *)a[1 + k], s->out + (u32)k * s->words,
					   s->words * sizeof(u64)))
			return -EFAULT;
	return 0;
}

static long do_select(struct task *t, long a[6], s64 ns, struct until *u,
		      const void *mask, size_t mask_size)
{
	struct selection s = { .n = (u32)a[0], .words = sel_words((u32)a[0]) };
	long r;

	if ((int)a[0] < 0)
		return -EINVAL;
	if (!s.n || s.n > FD_MAX)
		return CLIENT_HOST;
	r = sel_read(t, &s, a);
	if (r)
		goto out;
	if (!sel_concerns(t, &s, ns)) {
		r = CLIENT_HOST;
		goto out;
	}
	sel_to_poll(&s);
	sort_out(t, &s.set, ns);
	*u = until_in(ns);
	r = poll_set(t, &s.set, u, mask, mask_size);
	if (r >= 0)
		r = sel_from_poll(t, &s);
	if (r >= 0 && sel_write(&s, a))
		r = -EFAULT;
out:
	room_give(&s.room);
	return r;
}

long client_select(struct task *t, long a[6])
{
	struct __kernel_old_timeval tv;
	struct until u = { .forever = true };
	s64 ns = -1;
	long r;

	if (a[4]) {
		if (user_read(&tv, (const void *)a[4], sizeof(tv)))
			return -EFAULT;
		if (tv.tv_sec < 0 || tv.tv_usec < 0)
			return -EINVAL;
		if (tv.tv_sec < (long)(FILE_OFF_MAX / NS_PER_S / 2))
			ns = tv.tv_sec * NS_PER_S + tv.tv_usec * 1000;
	}
	r = do_select(t, a, ns, &u, NULL, 0);
	if (r != CLIENT_HOST && r != -EINVAL && r != -EFAULT)
		write_left((void *)a[4], &u, true);
	return r;
}

long client_pselect6(struct task *t, long a[6])
{
	struct {
		const void *mask;
		size_t size;
	} sig = { NULL, 0 };
	struct until u = { .forever = true };
	s64 ns;
	long r = read_timespec((const void *)a[4], &ns);

	if (r)
		return r;
	if (a[5] && user_read(&sig, (const void *)a[5], sizeof(sig)))
		return -EFAULT;
	if (sig.mask && sig.size != 8)
		return -EINVAL;
	r = do_select(t, a, ns, &u, sig.mask, sig.size);
	if (r != CLIENT_HOST && r != -EINVAL && r != -EFAULT)
		write_left((void *)a[4], &u, false);
	return r;
}
