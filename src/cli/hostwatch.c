/* SPDX-License-Identifier: MIT */
/*
 * inotify watches of the host's files, for instances (fileserver/notify.c) of this core, or of other
 * kernels, whose agents see nothing here: the
 * agent has an instance of the host's for each of them that watches anything there, and passes
 * its events on, so that a program finds both kinds in one queue.
 *
 *   program: HOST_WATCH ---> job ---> hostwatch_job: inotify_add_watch of /proc/PID/fd/N, WD_ADD
 *   host: an event ---> hostwatch_read: NOTIFY to the instance
 *
 * Instances that were closed are found by hostwatch_tend, which the main thread calls about once
 * a second while there are any. The watches of an agent that is killed are lost.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cli/boot.h"
#include "proto/rpc.h"
#include "sched/sched.h"

struct host_instance {
	struct host_instance *next;
	u64 inst; /* Hare's */
	int fd; /* the host's */
	u32 cap;
	u32 *wd; /* Hare's watch descriptors, by the host's */
};

static struct {
	pthread_mutex_t lock;
	struct host_instance *all;
	int epoll;
} g_watches = { .lock = PTHREAD_MUTEX_INITIALIZER };

void hostwatch_init(int epoll)
{
	g_watches.epoll = epoll;
}

/* --- instances; the lock is held -------------------------------------------------------------- */

static struct host_instance *find(u64 inst)
{
	struct host_instance *h = g_watches.all;

	while (h && h->inst != inst)
		h = h->next;
	return h;
}

static struct host_instance *make(u64 inst)
{
	struct host_instance *h = calloc(1, sizeof(*h));
	struct epoll_event e = { .events = EPOLLIN };

	if (!h)
		return NULL;
	h->inst = inst;
	h->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	e.data.u64 = (u64)h->fd << 32;
	if (h->fd < 0 || epoll_ctl(g_watches.epoll, EPOLL_CTL_ADD, h->fd, &e)) {
		if (h->fd >= 0)
			close(h->fd);
		free(h);
		return NULL;
	}
	h->next = g_watches.all;
	g_watches.all = h;
	return h;
}

static bool map_wd(struct host_instance *h, u32 host_wd, u32 wd)
{
	if (host_wd >= h->cap) {
		u32 cap = MAX(host_wd + 1, h->cap * 2 + 16);
		u32 *p = realloc(h->wd, cap * sizeof(*p));

		if (!p)
			return false;
		memset(p + h->cap, 0, (cap - h->cap) * sizeof(*p));
		h->wd = p;
		h->cap = cap;
	}
	h->wd[host_wd] = wd;
	return true;
}

/* --- jobs ----------------------------------------------------------------------------------------- */

static s64 add(struct task *t, const struct host_watch *w)
{
	struct host_instance *h = find(w->inst);
	struct req_WD q = { .inst = w->inst, .op = WD_ADD, .mask = w->mask };
	struct rep_WD p;
	char path[64];
	long host_wd, r;

	if (!h)
		h = make(w->inst);
	if (!h)
		return -ENOSPC;
	snprintf(path, sizeof(path), "/proc/%u/fd/%u", w->pid, w->fd);
	host_wd = inotify_add_watch(h->fd, path, w->mask);
	if (host_wd < 0)
		return -errno;
	q.ino = WD_HOST | (u64)t->ctx.core << 32 | (u64)host_wd;
	q.mask &= ~(u32)IN_MASK_CREATE;
	r = rpc_wd(&t->ctx, ino_server(w->inst), &q, &p);
	if (!r && !map_wd(h, (u32)host_wd, p.wd))
		r = -ENOMEM;
	if (r)
		inotify_rm_watch(h->fd, (int)host_wd);
	return r ? r : (s64)p.wd;
}

void hostwatch_job(struct task *t, const struct sched_job *job)
{
	struct host_instance *h;
	struct host_watch w;
	s64 r = 0;

	memcpy(&w, job->data, sizeof(w));
	pthread_mutex_lock(&g_watches.lock);
	if (w.op == HOST_WATCH_ADD)
		r = add(t, &w);
	else if ((h = find(w.inst)))
		r = inotify_rm_watch(h->fd, (int)w.fd);
	pthread_mutex_unlock(&g_watches.lock);
	sched_watch_done(&t->ctx, w.tag, r);
}

/* --- events ---------------------------------------------------------------------------------------- */

static void pass_on(struct task *t, const struct host_instance *h,
		    const struct inotify_event *v)
{
	struct req_NOTIFY q = {
		.inst = h->inst,
		.mask = v->mask & ~(u32)IN_Q_OVERFLOW,
		.cookie = v->cookie,
		.lost = (v->mask & IN_Q_OVERFLOW) != 0,
		.name = { .p = v->name, .len = v->len ? (u32)strlen(v->name) : 0 },
	};
	struct rep_NOTIFY p;

	if (v->wd >= 0 && (u32)v->wd < h->cap)
		q.wd = h->wd[v->wd];
	(void)rpc_notify(&t->ctx, ino_server(h->inst), &q, &p);
}

void hostwatch_read(struct task *t, int fd)
{
	char buf[4096] __attribute__((aligned(8)));
	struct host_instance *h;
	ssize_t n;

	pthread_mutex_lock(&g_watches.lock);
	for (h = g_watches.all; h && h->fd != fd; h = h->next)
		;
	while (h && (n = read(fd, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n;) {
			struct inotify_event *v = (struct inotify_event *)p;

			pass_on(t, h, v);
			p += sizeof(*v) + v->len;
		}
	pthread_mutex_unlock(&g_watches.lock);
}

bool hostwatch_tend(struct task *t)
{
	struct host_instance **at, *h;
	bool any;

	pthread_mutex_lock(&g_watches.lock);
	for (at = &g_watches.all; (h = *at);) {
		struct req_FSTAT q = { .ino = h->inst };
		struct rep_FSTAT p;

		if (rpc_fstat(&t->ctx, ino_server(h->inst), &q, &p) != -ENOENT) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		close(h->fd);
		free(h->wd);
		free(h);
	}
	any = g_watches.all != NULL;
	pthread_mutex_unlock(&g_watches.lock);
	return any;
}
