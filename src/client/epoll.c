/* SPDX-License-Identifier: MIT */
/*
 * epoll over both kinds of descriptors. The host's instance holds the host's members;
 * Hare's are in a shadow that hangs from every descriptor of the instance (struct
 * fdent.ofd of kind FD_HOST), goes with it over dup, fork and exec, and is looked at by
 * epoll_wait.
 *
 * A member leaves when its description is closed, as on Linux: ofd.watch lists where it
 * is.
 *
 * Edge-triggered members: the server keeps no edges, so a member is told again when what
 * the pipe holds has changed since, or when somebody of this core has read or written
 * meanwhile (epoll_used). That may be once more often than on Linux, never less often,
 * for who reads until EAGAIN as edge-triggered programs must.
 *
 * Who waits for a set hears of its changes by a topic (msg.h), the shadow. Sets of which no
 * member is Hare's are the host's to wait for, but as soon as another thread, or a process
 * that shares the set, adds one, that wait has to end:
 *
 *   waiter                                   who adds
 *   1  topic                                 a  the member, core lock held
 *   2  no member yet? else looks again       b  sees the topic: pokes
 *   3  the host's epoll_wait                 c  commits, unlocks
 *
 * Either 2 sees a, or b sees 1. A poke before 3 keeps host_block from beginning, a later one
 * ends it (wait.c). The waiter then wants the lock, and so comes behind c; who is killed
 * between b and c has added nothing. Nobody else can add: then it is just the host's call.
 */
#include <linux/eventpoll.h>
#include <linux/poll.h>
#include <linux/time_types.h>

#include "base/race.h"
#include "client/file.h"

#define NS_PER_S      1000000000LL
#define MAXEVENTS_MAX (0x7fffffff / (long)sizeof(struct epoll_event))
#define KEPT_BITS     (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)
#define EXCLUSIVE_OK                                                                     \
	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET |              \
	 EPOLLEXCLUSIVE)
#define NESTING_MAX 4
#define LOOK_AGAIN  (-EAGAIN) /* which no epoll_wait gives */
#define FREE_STEP   256u /* members freed in one transaction */

/* A member of Hare's. All fields under the core lock; told and bytes are hints, not
 * logged. */
struct epoll_item {
	struct list in_set; /* shadow->watch */
	struct list in_ofd; /* ofd->watch; unused for a nested instance */
	struct ofd *set;
	struct ofd *ofd; /* the member; for a nested instance its shadow */
	s32 fd;
	u32 events;
	u64 data;
	u32 told; /* edge-triggered: what was reported */
	u32 bytes; /* that the pipe held then */
};

/* --- the shadow ------------------------------------------------------------------- */

static struct ofd *shadow_new(struct ck *ck)
{
	struct ofd *s = ck_alloc(ck, sizeof(*s));

	if (!s)
		return NULL;
	s->kind = OFD_EPOLL_SHADOW;
	s->refs = 1;
	list_init_fresh(&s->link);
	list_init_fresh(&s->watch);
	return s;
}

/* Gives the host descriptor fd, an epoll instance, its shadow. */
static struct ofd *shadow_attach(struct task *t, int fd)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = t->proc->fds;
	struct ofd *s = NULL;

	ck_lock(&t->ctx, ck);
	if ((u32)fd < ft->cap && ft->ent[fd].kind == FD_HOST) {
		s = ft->ent[fd].ofd;
		if (!s) {
			s = shadow_new(ck);
			if (s)
				TX_SET(ck, ft->ent[fd].ofd, s);
		}
	}
	ck_unlock(ck);
	return s;
}

static void item_free(struct ck *ck, struct epoll_item *i)
{
	tx_list_del(ck, &i->in_set);
	tx_list_del(ck, &i->in_ofd);
	ck_free(ck, i);
}

/* There may be more of them than one transaction holds: what was done so far stays. Who is killed
 * in between leaves an empty shadow at worst. */
static void step(struct ck *ck, u32 *n)
{
	if (++*n % FREE_STEP == 0)
		ck_commit(ck);
}

void epoll_forget(struct ck *ck, struct ofd *o)
{
	u32 n = 0;

	while (!list_empty(&o->watch)) {
		item_free(ck, LIST_ENTRY(o->watch.next, struct epoll_item, in_ofd));
		step(ck, &n);
	}
}

void epoll_shadow_free(struct ck *ck, struct ofd *s)
{
	u32 n = 0;

	/* Nested instances list this one's items as members of others: `link` of the
	 * shadow. */
	while (!list_empty(&s->link)) {
		item_free(ck, LIST_ENTRY(s->link.next, struct epoll_item, in_ofd));
		step(ck, &n);
	}
	while (!list_empty(&s->watch)) {
		item_free(ck, LIST_ENTRY(s->watch.next, struct epoll_item, in_set));
		step(ck, &n);
	}
	ck_free(ck, s);
}

void epoll_used(struct task *t, struct ofd *o, u32 event)
{
	struct ck *ck = t->ctx.ck;
	struct list *l;

	if (likely(list_empty(&o->watch)))
		return;
	ck_lock(&t->ctx, ck);
	for (l = o->watch.next; l != &o->watch; l = l->next) {
		struct epoll_item *i = LIST_ENTRY(l, struct epoll_item, in_ofd);

		i->told &= ~event;
	}
	ck_unlock(ck);
}

struct ofd *epoll_shadow_of(struct task *t, int fd)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = t->proc->fds;
	struct fdent *e = ft ? fd_entry(ft, fd) : NULL;
	struct ofd *s = NULL;
	u32 i;

	if (likely(!e || !e->ofd) || e->kind != FD_HOST)
		return NULL;
	ck_lock(&t->ctx, ck);
	e = fd_entry(ft, fd);
	if (e->kind == FD_HOST && e->ofd && !list_empty(&e->ofd->watch)) {
		s = e->ofd;
		TX_ADD(ck, s->refs, 1);
		if (hold_push(t, s, true, &i))
			hold_note(t, ck, i, s);
	}
	ck_unlock(ck);
	return s;
}

/* Who waits for a set that was changed, or for one that it is a member of, looks again. Lock held;
 * before msg_unlock. */
static void wake_waiters(struct task *t, const struct ofd *set, u32 depth)
{
	const struct list *l;

	msg_topic_post(&t->ctx, (u64)set);
	for (l = set->link.next; depth && l != &set->link; l = l->next)
		wake_waiters(t, LIST_ENTRY(l, struct epoll_item, in_ofd)->set, depth - 1);
}

/* --- looking ---------------------------------------------------------------------- */

/* A member as it was when it was looked up; looking at it takes no lock. */
struct seen {
	struct epoll_item *item; /* to be compared, not followed */
	struct ofd o; /* what ofd_poll needs of it */
	u32 events, told, bytes;
	u64 data;
	bool nested;
};

/* Member number n of a set; false: there are fewer. */
static bool see(struct task *t, struct ofd *shadow, u32 n, struct seen *s)
{
	struct ck *ck = t->ctx.ck;
	struct list *l;

	ck_lock(&t->ctx, ck);
	for (l = shadow->watch.next; l != &shadow->watch && n; l = l->next)
		n--;
	if (l != &shadow->watch) {
		struct epoll_item *i = LIST_ENTRY(l, struct epoll_item, in_set);

		s->item = i;
		s->o = *i->ofd;
		s->events = i->events;
		s->told = i->told;
		s->bytes = i->bytes;
		s->data = i->data;
		s->nested = i->ofd->kind == OFD_EPOLL_SHADOW;
	}
	ck_unlock(ck);
	return l != &shadow->watch;
}

static u32 poll_seen(struct task *t, struct seen *s, u32 seq, u32 *bytes)
{
	struct told told = { s->events & EPOLLET ? s->told : 0, s->bytes };
	u32 ready;

	*bytes = 0;
	if (s->o.kind == OFD_RELAY)
		return (u32)relay_poll(t, &s->o, s->events & 0xffff);
	ready = ofd_poll(t, &s->o, s->events & 0xffff, seq, &told);
	*bytes = told.bytes;
	return ready;
}

/* Is it to be reported, given what was reported before? */
static u32 is_news(const struct seen *s, u32 ready, u32 bytes)
{
	if (!(s->events & EPOLLET) || bytes != s->bytes)
		return ready;
	return ready & ~s->told;
}

/* The member, if it is one still, and as it was seen. Lock held. */
static struct epoll_item *item_as_seen(struct ofd *shadow, const struct seen *s)
{
	struct list *l;

	for (l = shadow->watch.next; l != &shadow->watch; l = l->next) {
		struct epoll_item *i = LIST_ENTRY(l, struct epoll_item, in_set);

		if (i != s->item)
			continue;
		if (i->events != s->events || i->data != s->data)
			return NULL;
		return s->events & EPOLLET && (i->told != s->told || i->bytes != s->bytes)
			       ? NULL
			       : i;
	}
	return NULL;
}

/* What was told is over, and an edge when it comes again. */
static void note_over(struct task *t, struct ofd *shadow, const struct seen *s, u32 now,
		      u32 bytes)
{
	struct ck *ck = t->ctx.ck;
	struct epoll_item *i;

	if (!(s->events & EPOLLET))
		return;
	ck_lock(&t->ctx, ck);
	i = item_as_seen(shadow, s);
	if (i) {
		i->told = s->told & now;
		i->bytes = bytes;
	}
	ck_unlock(ck);
}

/* Of a shot, or an edge, one thread tells: the first that is here. False: another one was, or
 * the member was changed meanwhile. */
static bool claim(struct task *t, struct ofd *shadow, const struct seen *s, u32 now,
		  u32 bytes)
{
	struct ck *ck = t->ctx.ck;
	struct epoll_item *i;

	if (!(s->events & (EPOLLET | EPOLLONESHOT)))
		return true;
	race_point("epoll claim", RACE_AT);
	ck_lock(&t->ctx, ck);
	i = item_as_seen(shadow, s);
	if (i) {
		i->told = now;
		i->bytes = bytes;
		if (s->events & EPOLLONESHOT)
			TX_SET(ck, i->events, s->events & KEPT_BITS);
	}
	ck_unlock(ck);
	return i != NULL;
}

/* It could not be told. */
static void give_back(struct task *t, struct ofd *shadow, const struct seen *s, u32 now,
		      u32 bytes)
{
	struct seen claimed = *s;
	struct ck *ck = t->ctx.ck;
	struct epoll_item *i;

	if (!(s->events & (EPOLLET | EPOLLONESHOT)))
		return;
	if (s->events & EPOLLONESHOT)
		claimed.events &= KEPT_BITS;
	claimed.told = now;
	claimed.bytes = bytes;
	ck_lock(&t->ctx, ck);
	i = item_as_seen(shadow, &claimed);
	if (i) {
		i->told = s->told;
		i->bytes = s->bytes;
		TX_SET(ck, i->events, s->events);
		wake_waiters(t, shadow, NESTING_MAX);
	}
	msg_unlock(&t->ctx, ck);
}

/* Is there something in an instance that is a member of another? */
static bool nested_ready(struct task *t, struct ofd *outer, struct epoll_item *item,
			 u32 seq, u32 depth);

static bool ready_within(struct task *t, struct ofd *shadow, u32 seq, u32 depth)
{
	bool ready = false;
	struct seen s;

	for (u32 n = 0; see(t, shadow, n, &s); n++) {
		u32 bytes, now;

		if (s.o.kind == OFD_RELAY)
			continue; /* only looked at in the instance itself */
		if (s.nested) {
			ready |= depth && nested_ready(t, shadow, s.item, seq, depth - 1);
		} else if (s.events & ~KEPT_BITS) {
			now = poll_seen(t, &s, seq, &bytes);
			ready |= is_news(&s, now, bytes) != 0;
		}
		if (ready)
			seq = 0;
	}
	return ready;
}

static bool nested_ready(struct task *t, struct ofd *outer, struct epoll_item *item,
			 u32 seq, u32 depth)
{
	struct ck *ck = t->ctx.ck;
	struct ofd *inner = NULL;
	struct list *l;
	bool ready;

	ck_lock(&t->ctx, ck);
	for (l = outer->watch.next; l != &outer->watch && !inner; l = l->next)
		if (LIST_ENTRY(l, struct epoll_item, in_set) == item)
			inner = item->ofd;
	if (inner)
		TX_ADD(ck, inner->refs, 1);
	ck_unlock(ck);
	if (!inner)
		return false;
	ready = ready_within(t, inner, seq, depth);
	ofd_drop(t, inner);
	return ready;
}

bool epoll_shadow_ready(struct task *t, struct ofd *shadow, u32 seq)
{
	return ready_within(t, shadow, seq, NESTING_MAX);
}

/* Relayed members have to be asked before the event is prepared that the others use. */
enum which { RELAYED, OTHERS };

/* Where a call found no more room the next one begins, as Linux has members take turns.
 * Hints, in fields that a shadow has no other use for. */
static u32 turn(const struct ofd *shadow)
{
	return (u32)__atomic_load_n(&shadow->off, __ATOMIC_RELAXED);
}

static void set_turn(struct ofd *shadow, u32 n)
{
	__atomic_store_n(&shadow->off, n, __ATOMIC_RELAXED);
}

static bool hosts_first(const struct ofd *shadow)
{
	return __atomic_load_n(&shadow->dir_state, __ATOMIC_RELAXED);
}

static void set_hosts_first(struct ofd *shadow, bool first)
{
	if (unlikely(first != hosts_first(shadow)))
		__atomic_store_n(&shadow->dir_state, first, __ATOMIC_RELAXED);
}

/* Member number *n of a set, or from its end on the first, until all were seen that there
 * are from `from` on. */
static bool see_next(struct task *t, struct ofd *shadow, u32 from, u32 *n, bool *over,
		     struct seen *s)
{
	if (!*over && see(t, shadow, *n, s))
		return true;
	if (!*over) {
		*over = true;
		*n = 0;
	}
	return *n < from && see(t, shadow, *n, s);
}

/* One member's event, if there is one, to the program: 1, 0, -EFAULT; -EAGAIN: it is to be seen
 * again. */
static long tell(struct task *t, struct ofd *shadow, struct seen *s,
		 struct epoll_event *user, u32 seq)
{
	struct epoll_event ev = { .data = s->data };
	u32 bytes = 0, now;

	if (s->nested)
		now = nested_ready(t, shadow, s->item, seq, NESTING_MAX)
			      ? s->events & EPOLLIN
			      : 0;
	else
		now = poll_seen(t, s, seq, &bytes);
	ev.events = is_news(s, now, bytes);
	if (!ev.events) {
		if (s->told & ~now)
			note_over(t, shadow, s, now, bytes);
		return 0;
	}
	if (!claim(t, shadow, s, now, bytes))
		return -EAGAIN;
	if (!user_write(user, &ev, sizeof(ev)))
		return 1;
	give_back(t, shadow, s, now, bytes);
	return -EFAULT;
}

/* Events of Hare's members, behind `got` others and at most max in all, to the program:
 * how many there are then, or -EFAULT. */
static long collect(struct task *t, struct ofd *shadow, enum which which,
		    struct epoll_event *user, long got, long max, u32 seq)
{
	u32 from = turn(shadow), n = from;
	bool over = false;
	struct seen s;

	while (got < max && see_next(t, shadow, from, &n, &over, &s)) {
		bool shot = !(s.events & ~KEPT_BITS); /* one-shot, and shot */
		long r = 0;

		if (!shot && (s.o.kind == OFD_RELAY) == (which == RELAYED))
			r = tell(t, shadow, &s, &user[got], got ? 0 : seq);
		if (r == -EAGAIN)
			continue;
		if (r < 0)
			return got ? got : r;
		n++;
		got += r;
		if (got == max)
			set_turn(shadow, n);
	}
	return got;
}

/* --- making and changing ---------------------------------------------------------- */

static long create_instance(struct task *t, long nr, long arg, bool cloexec)
{
	long fd = fd_adopt(t, SYS_CALL_1(nr, arg), cloexec, 0);

	/* Made now, so that all descriptors of the instance will share it. */
	if (fd >= 0 && t->proc->fds)
		(void)shadow_attach(t, (int)fd);
	return fd;
}

long client_epoll_create(struct task *t, long a[6])
{
	return create_instance(t, __NR_epoll_create, a[0], false);
}

long client_epoll_create1(struct task *t, long a[6])
{
	return create_instance(t, __NR_epoll_create1, a[0], a[0] & EPOLL_CLOEXEC);
}

static struct epoll_item *item_find(struct ofd *shadow, const struct ofd *o, int fd)
{
	struct list *l;

	for (l = shadow->watch.next; l != &shadow->watch; l = l->next) {
		struct epoll_item *i = LIST_ENTRY(l, struct epoll_item, in_set);

		if (i->ofd == o && i->fd == fd)
			return i;
	}
	return NULL;
}

static long item_add(struct ck *ck, struct ofd *shadow, struct ofd *o, int fd,
		     const struct epoll_event *ev)
{
	struct list *watchers = o->kind == OFD_EPOLL_SHADOW ? &o->link : &o->watch;
	struct epoll_item *i;

	if (item_find(shadow, o, fd))
		return -EEXIST;
	i = ck_alloc_for(ck, CK_HELD, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->set = shadow;
	i->ofd = o;
	i->fd = fd;
	i->events = ev->events | POLLERR | POLLHUP;
	i->data = ev->data;
	list_init_fresh(&i->in_set);
	list_init_fresh(&i->in_ofd);
	tx_list_add_tail(ck, &shadow->watch, &i->in_set);
	tx_list_add_tail(ck, watchers, &i->in_ofd);
	return 0;
}

static long item_mod(struct ck *ck, struct ofd *shadow, struct ofd *o, int fd,
		     const struct epoll_event *ev)
{
	struct epoll_item *i = item_find(shadow, o, fd);

	if (!i)
		return -ENOENT;
	if ((i->events | ev->events) & EPOLLEXCLUSIVE)
		return -EINVAL;
	TX_SET(ck, i->events, ev->events | POLLERR | POLLHUP);
	TX_SET(ck, i->data, ev->data);
	i->told = 0;
	return 0;
}

static long item_change(struct task *t, struct ofd *shadow, struct ofd *o, int op, int fd,
			const struct epoll_event *ev)
{
	struct ck *ck = t->ctx.ck;
	struct epoll_item *i;
	long r = 0;

	ck_lock(&t->ctx, ck);
	switch (op) {
	case EPOLL_CTL_ADD:
		r = item_add(ck, shadow, o, fd, ev);
		break;
	case EPOLL_CTL_MOD:
		r = item_mod(ck, shadow, o, fd, ev);
		break;
	case EPOLL_CTL_DEL:
		i = item_find(shadow, o, fd);
		if (i)
			item_free(ck, i);
		else
			r = -ENOENT;
		break;
	default:
		r = -EINVAL;
	}
	if (r)
		ck_abort(ck);
	else if (op != EPOLL_CTL_DEL)
		wake_waiters(t, shadow, NESTING_MAX);
	msg_unlock(&t->ctx, ck);
	return r;
}

/* What /proc says of a descriptor that came by another way than epoll_create here. */
static bool is_epoll(int fd)
{
	static const char name[] = "anon_inode:[eventpoll]";
	char path[32], link[sizeof(name)];

	str_format(path, sizeof(path), "/proc/self/fd/%d", fd);
	return SYS(readlink, path, link, sizeof(link)) == sizeof(name) - 1 &&
	       !memcmp(link, name, sizeof(name) - 1);
}

/* The shadow of an instance that may have been opened elsewhere. */
static struct ofd *instance(struct task *t, int epfd, long *r)
{
	struct fdtable *ft = t->proc->fds;
	struct fdent *e = ft ? fd_entry(ft, epfd) : NULL;

	*r = -EINVAL;
	if (e && e->kind == FD_HOST && e->ofd)
		return e->ofd;
	if (!e || e->kind != FD_HOST) {
		*r = fd_is_host(t, epfd) ? -EBADF : -EINVAL;
		return NULL;
	}
	if (!is_epoll(epfd))
		return NULL;
	*r = -ENOMEM;
	return shadow_attach(t, epfd);
}

/* The member is Hare's. */
static long ctl_hare(struct task *t, struct ofd *o, long a[6])
{
	struct epoll_event ev = { 0 };
	struct ofd *shadow;
	long r;

	if ((int)a[1] != EPOLL_CTL_DEL && user_read(&ev, (const void *)a[3], sizeof(ev)))
		return -EFAULT;
	if (o->flags & O_PATH)
		return -EBADF;
	if (!ofd_is_pipe(o) && o->kind != OFD_RELAY)
		return -EPERM;
	shadow = instance(t, (int)a[0], &r);
	if (shadow && ev.events & EPOLLEXCLUSIVE && ev.events & ~EXCLUSIVE_OK)
		return -EINVAL;
	return shadow ? item_change(t, shadow, o, (int)a[1], (int)a[2], &ev) : r;
}

/* An instance becomes a member of another: the host's part, and Hare's. */
static long ctl_nested(struct task *t, struct ofd *outer, struct ofd *inner, long a[6])
{
	struct epoll_event ev = { 0 };
	long r = SYS(epoll_ctl, a[0], a[1], a[2], a[3]);

	if (r)
		return r;
	if ((int)a[1] != EPOLL_CTL_DEL && user_read(&ev, (const void *)a[3], sizeof(ev)))
		return -EFAULT;
	(void)item_change(t, outer, inner, (int)a[1], (int)a[2], &ev);
	return 0;
}

long client_epoll_ctl(struct task *t, long a[6])
{
	struct fdtable *ft = t->proc->fds;
	struct fdent *e, *ep;
	bool host;
	struct ofd *o = fd_get(t, (int)a[2], &host);
	long r;

	if (o) {
		r = ctl_hare(t, o, a);
		ofd_put(t, o);
		return r;
	}
	if (!host || !ft)
		return host ? CLIENT_HOST : -EBADF;
	if (!fd_is_host(t, (int)a[0]))
		return fd_is_hidden(t, (int)a[0]) ? -EBADF : -EINVAL;
	e = fd_entry(ft, (int)a[2]);
	ep = fd_entry(ft, (int)a[0]);
	if (unlikely(e && e->kind == FD_HOST && e->ofd && ep && ep->kind == FD_HOST &&
		     ep->ofd && e->ofd != ep->ofd))
		return ctl_nested(t, ep->ofd, e->ofd, a);
	return CLIENT_HOST;
}

/* --- waiting ---------------------------------------------------------------------- */

/* The host's events, without waiting, behind those of Hare's. */
static long host_events(int epfd, struct epoll_event *user, long got, long max)
{
	long r;

	if (got >= max)
		return got;
	r = SYS(epoll_pwait, epfd, user + got, max - got, 0, NULL, 0);
	return r > 0 ? got + r : got ? got : r;
}

static void watch_relayed(struct task *t, struct ofd *shadow, u32 seq)
{
	struct seen s;

	for (u32 n = 0; see(t, shadow, n, &s); n++)
		if (s.o.kind == OFD_RELAY && s.events & ~KEPT_BITS)
			relay_watch(t, &s.o, s.events & 0xffff, seq);
}

/* A call of epoll_wait, epoll_pwait or epoll_pwait2. */
struct wait {
	long nr;
	long *a;
	const void *mask;
	size_t mask_size;
	struct until until;
};

static long wait_members(struct task *t, struct ofd *shadow, const struct wait *w)
{
	const long *a = w->a;
	struct epoll_event *user = (struct epoll_event *)a[1];
	long max = (s32)a[2];

	for (;;) {
		struct pollfd p = { .fd = (int)a[0], .events = POLLIN };
		long got = collect(t, shadow, RELAYED, user, 0, max, 0), r;
		bool first = hosts_first(shadow);
		u32 seq = msg_event_prepare(&t->ctx);

		msg_topic_set(&t->ctx, (u64)shadow);
		if (!got)
			watch_relayed(t, shadow, seq);
		/* When Hare's had left no room for the host's these come first. */
		if (first)
			got = host_events((int)a[0], user, got, max);
		if (got >= 0)
			got = collect(t, shadow, OTHERS, user, got, max, seq);
		if (got < 0)
			return got;
		set_hosts_first(shadow, !first && got == max);
		if (!first)
			got = host_events((int)a[0], user, got, max);
		if (got || until_left(&w->until) == 0)
			return got;
		r = wait_mixed(t, seq, &p, 1, &w->until, w->mask, w->mask_size);
		if (r < 0)
			return r == -HARE_ERESTARTNOHAND ? -EINTR : r;
	}
}

/* The shadow of an instance that has no member of Hare's, but may get one; or NULL. */
static struct ofd *may_grow(struct task *t, int epfd)
{
	struct fdtable *ft = t->proc->fds;
	struct fdent *e = ft ? fd_entry(ft, epfd) : NULL;
	struct ofd *set = e && e->kind == FD_HOST ? e->ofd : NULL;

	if (likely(set))
		return epoll_may_grow(t, set) ? set : NULL;
	/* One that came by another way. */
	if (e && e->kind == FD_HOST && !fd_is_alone(t, ft) && is_epoll(epfd))
		return shadow_attach(t, epfd);
	return NULL;
}

/* The host's wait: the program's own call or, when that was begun in vain, one for the time that
 * is left. LOOK_AGAIN: a member of Hare's has come, or a poke for nothing. */
static long wait_host(struct task *t, struct ofd *set, const struct wait *w, bool again)
{
	s64 left = again ? until_left(&w->until) : -1, poked[2] = { 1, 1 };
	struct __kernel_timespec ts = { .tv_sec = left / NS_PER_S,
					.tv_nsec = left % NS_PER_S };
	const long *a = w->a;
	long r = 0;

	t->poll_time = poked;
	compiler_barrier();
	(void)msg_event_prepare(&t->ctx);
	msg_poke_begin(&t->ctx, t->proc->host_pid);
	msg_topic_set(&t->ctx, (u64)set);
	t->ctx.ck->counter[COUNT_HOST_CALLS]++;
	if (!list_empty(&set->watch))
		poked[0] = 0;
	else if (!again)
		r = host_block(w->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	else
		r = host_block(__NR_epoll_pwait2, a[0], a[1], a[2],
			       left < 0 ? 0 : (long)&ts, (long)w->mask,
			       (long)w->mask_size);
	compiler_barrier();
	t->poll_time = NULL;
	host_poke_over();
	msg_topic_set(&t->ctx, 0);
	msg_poke_end(&t->ctx);
	if (r == -EINTR && host_signal_pending())
		return -HARE_ERESTARTNOHAND;
	if (r == -EFAULT && client_unshown(t, w->a))
		return LOOK_AGAIN;
	return (r == 0 || r == -EINTR) && !poked[0] ? LOOK_AGAIN : r;
}

static long do_epoll_wait(struct task *t, struct wait *w, s64 ns)
{
	int epfd = (int)w->a[0];
	struct ofd *shadow = epoll_shadow_of(t, epfd), *set = NULL;
	bool again = false;
	long r;

	if (likely(!shadow)) {
		if (!fd_is_host(t, epfd))
			return fd_is_hidden(t, epfd) ? -EBADF : -EINVAL;
		set = ns ? may_grow(t, epfd) : NULL;
		if (!set)
			return CLIENT_HOST;
	}
	w->until = until_in(ns);
	for (; !shadow; again = true) {
		r = wait_host(t, set, w, again);
		if (r != LOOK_AGAIN)
			return r;
		shadow = epoll_shadow_of(t, epfd);
	}
	if ((s32)w->a[2] <= 0 || (s32)w->a[2] > MAXEVENTS_MAX ||
	    (w->mask && w->mask_size != 8))
		r = -EINVAL;
	else
		r = wait_members(t, shadow, w);
	msg_topic_set(&t->ctx, 0);
	ofd_put(t, shadow);
	return r;
}

long client_epoll_wait(struct task *t, long a[6])
{
	struct wait w = { .nr = __NR_epoll_wait, .a = a };
	s64 ms = (s32)a[3];

	return do_epoll_wait(t, &w, ms < 0 ? -1 : ms * 1000000);
}

long client_epoll_pwait(struct task *t, long a[6])
{
	struct wait w = { .nr = __NR_epoll_pwait,
			  .a = a,
			  .mask = (const void *)a[4],
			  .mask_size = (size_t)a[5] };
	s64 ms = (s32)a[3];

	return do_epoll_wait(t, &w, ms < 0 ? -1 : ms * 1000000);
}

long client_epoll_pwait2(struct task *t, long a[6])
{
	struct wait w = { .nr = __NR_epoll_pwait2,
			  .a = a,
			  .mask = (const void *)a[4],
			  .mask_size = (size_t)a[5] };
	struct __kernel_timespec ts;
	s64 ns = -1;

	if (a[3]) {
		if (user_read(&ts, (const void *)a[3], sizeof(ts)))
			return -EFAULT;
		if (ts.tv_sec < 0 || (u64)ts.tv_nsec >= (u64)NS_PER_S)
			return -EINVAL;
		if (ts.tv_sec < (s64)(FILE_OFF_MAX / NS_PER_S - 1))
			ns = ts.tv_sec * NS_PER_S + ts.tv_nsec;
	}
	return do_epoll_wait(t, &w, ns);
}
