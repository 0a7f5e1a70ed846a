/* SPDX-License-Identifier: MIT */
/*
 * An exec on another core, where it arrives: client_exec_receive and client_exec_start, in the agent
 * there. The process that leaves, and the protocol, are in exec_far.c. (Thesis section 3.6.1.)
 */
#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/time.h>
#include <linux/time_types.h>

#include "base/str.h"
#include "base/sys.h"
#include "client/exec.h"
#include "client/file.h"
#include "client/path.h"
#include "proto/hio.h"

#define SIG_KILL   9
#define READ_CHUNK 16384u

/* --- an image that came as a file ---------------------------------------------------------------------- */

bool client_exec_read(struct task *t, u64 ino, char *data, u32 len)
{
	u32 off = 0;

	while (off < len) {
		struct req_READ q = { .ino = ino,
				      .off = off,
				      .len = MIN(len - off, READ_CHUNK) };
		struct rep_READ p = { .data = { data + off, 0, q.len } };

		if (rpc_read(&t->ctx, ino_server(ino), &q, &p) || !p.data.len)
			break;
		off += p.data.len;
	}
	return off == len;
}

void client_exec_drop_file(struct task *t, u64 ino)
{
	struct req_DESTROY q = { .ino = ino };
	struct rep_DESTROY rep;

	if (ino)
		(void)rpc_destroy(&t->ctx, ino_server(ino), &q, &rep);
}

void client_exec_entered(struct task *t, u32 core, u32 pid)
{
	struct req_HOST_IO q = { .pid = pid, .op = HIO_ENTERED };
	struct rep_HOST_IO p = { 0 };

	(void)rpc_host_io(&t->ctx, core, &q, &p);
}

/* --- the image becomes a process ------------------------------------------------------------- */

/* The next string of the image; NULL when it is cut short. */
static char *get(char **at, char *end)
{
	char *s = *at;
	size_t i, max = (size_t)(end - s);

	for (i = 0; i < max; i++) {
		if (!s[i]) {
			*at = s + i + 1;
			return s;
		}
	}
	return NULL;
}

bool exec_parse(struct exec_start *st, char *data, u32 len, char **pointers, u32 max)
{
	struct exec_image *im = (struct exec_image *)data;
	char *at, *end = data + len;
	u32 i, n = 0;

	if (len < sizeof(*im) || im->magic != EXEC_IMAGE_MAGIC || im->size != len ||
	    im->fds > EXEC_FDS_MAX || im->cred.ngroups > CRED_GROUPS_MAX ||
	    len < sizeof(*im) + im->fds * sizeof(struct image_fd) ||
	    (u64)im->argc + im->envc + EXEC_WORDS + 2 > max)
		return false;
	st->image = im;
	st->fds = (struct image_fd *)(im + 1);
	at = (char *)(st->fds + im->fds);
	if (!(st->path = get(&at, end)) || !(st->name = get(&at, end)) ||
	    !(st->cwd = get(&at, end)))
		return false;
	st->argv = pointers += EXEC_WORDS;
	for (i = 0; i < im->argc + im->envc; i++) {
		if (i == im->argc)
			pointers[n++] = NULL;
		if (!(pointers[n++] = get(&at, end)))
			return false;
	}
	if (!im->argc)
		return false;
	if (!im->envc)
		pointers[n++] = NULL;
	pointers[n] = NULL;
	st->argv0 = st->argv[0];
	st->envp = pointers + im->argc + 1;
	return true;
}

/* That the program runs: counted since before it was sent. */
static long exe_from(struct task *t, const struct exec_image *im, struct proc *p)
{
	struct ofd *o =
		im->exe ? ofd_alloc(t, OFD_EXE, im->exe, O_RDONLY | OPEN_EXEC) : NULL;

	if (!im->exe)
		return 0;
	if (!o)
		return -ENOSPC;
	o->relay_core = im->exe_core;
	o->mode = HS_IFREG;
	o->parent = im->exe_parent;
	o->parent_dflags = im->exe_parent_dflags;
	p->exe_ofd = o;
	return 0;
}

static struct proc *entry_from(struct task *t, const struct exec_start *st)
{
	const struct exec_image *im = st->image;
	struct ck *ck = t->ctx.ck;
	struct proc *p = NULL;

	ck_lock(&t->ctx, ck);
	if (!proc_root(ck)->halting)
		p = proc_new(ck);
	if (p) {
		p->pid = im->pid;
		p->ppid = im->ppid;
		p->pgid = im->pgid;
		p->sid = im->sid;
		p->tty_core = im->tty_core;
		p->tty_pid = im->tty_pid;
		p->umask = im->umask;
		p->proxy_core = im->proxy_core;
		p->proxy_pid = im->proxy_pid;
		p->hop = im->hop;
		p->birth = im->birth;
		p->user_us = im->user_us;
		p->system_us = im->system_us;
		p->maxrss = im->maxrss;
		p->placement = im->placement;
		p->next_core = im->next_core;
		p->affinity = im->affinity;
		p->distribute = im->distribute;
		p->cred = im->cred;
		p->ruid = im->ruid;
		p->euid = p->suid = im->euid; /* as an exec does */
		p->maker = proc_root(ck)->agent_pid;
		p->start_ns = host_monotonic_ns();
		str_copy(p->comm, st->name, sizeof(p->comm));
		ck->counter[COUNT_PROCS]++;
		if (proc_set_exe(ck, p, st->path) || exe_from(t, im, p)) {
			ck_abort(ck);
			p = NULL;
		}
	}
	ck_unlock(ck);
	return p;
}

static struct ofd *ofd_from(struct task *t, const struct image_fd *d)
{
	struct req_OPEN q = { .ino = d->ino,
			      .flags = d->flags | OPEN_NOCHECK,
			      .cred = &t->proc->cred };
	struct rep_OPEN rep = { 0 };
	struct ofd *o;

	if (d->how != IMAGE_HARE || d->kind != OFD_PATH)
		return ofd_of_image(t, d, d->ino);
	o = ofd_of_image(t, d, 0);
	if (!o || !far_aware_open(t, o, &q, &rep))
		return o;
	ofd_put(t, o);
	return NULL;
}

/* What the agent works on: the first of all jobs. */
static struct sched_job *exec_job(struct task *t)
{
	return LIST_ENTRY(proc_root(t->ctx.ck)->jobs.next, struct sched_job, link);
}

/* What came with the image, and was entered, is entered again: closing it tells nobody. */
static void forget(struct task *t, struct proc *p)
{
	struct client_root *r = client_root(t->ctx.ck);
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft;

	ck_lock(&t->ctx, ck);
	ft = p->fds;
	if (ft)
		TX_SET(ck, ft->posix_locks, 0);
	for (u32 i = 0; ft && i < ft->cap; i++)
		if (ft->ent[i].kind == FD_HARE && ft->ent[i].ofd->kind != OFD_PATH)
			TX_SET(ck, ft->ent[i].ofd->untold, 1);
	for (u32 s = 0; ft && r->holds && s < MSG_SLOTS; s++)
		for (u32 i = 0; r->holds[s].ft == ft && i < HOLDS; i++)
			if (r->holds[s].ofd[i] && r->holds[s].ofd[i]->kind != OFD_PATH)
				TX_SET(ck, r->holds[s].ofd[i]->untold, 1);
	ck_unlock(ck);
}

void client_exec_again(struct task *t, const struct sched_job *job, struct proc *p)
{
	if (!job->failed)
		forget(t, p);
	client_reap_new(t, p);
}

/* Gives one descriptor back; that it is given is in the transaction that closes it, or sends the
 * CLOSE. A proxy's is closed once at most: it may have the number for something else. */
static void give_back_one(struct task *t, struct sched_job *j, const struct image_fd *d)
{
	struct req_CLOSE q = { .ino = d->ino, .ofd = d->shared, .core = t->ctx.core };
	bool counted = d->how == IMAGE_HARE && d->kind != OFD_PATH;
	bool near = counted && rpc_is_near(&t->ctx, ino_server(d->ino));
	struct rep_CLOSE p;
	struct rpc_env e;

	if (near && !STEP_CALL(t, ino_server(d->ino), CLOSE, close, &q, &p,
			       TX_ADD(ck_, j->given, 1)))
		return;
	step_lock(t, t->ctx.core, &e);
	if (counted && !near)
		(void)rpc_post_close(&e, ino_server(d->ino), &q);
	TX_ADD(e.ck, j->given, 1);
	msg_unlock(&t->ctx, e.ck);
	if (d->how == IMAGE_RELAY)
		relay_close(t, d->relay_pid, d->relay_core, d->relay_fd);
}

void client_exec_give_up(struct task *t, const struct exec_start *st)
{
	struct sched_job *j = st->job;
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	if (!j->failed) {
		TX_SET(ck, j->failed, 1);
		TX_SET(ck, j->given, st->entered_fds);
	}
	ck_unlock(ck);
	while (st->image && j->given < st->image->fds)
		give_back_one(t, j, &st->fds[j->given]);
}

bool exec_fd_is_home(const struct exec_start *st, const struct ctx *c,
		     const struct image_fd *d)
{
	return st->proxy && d->how == IMAGE_RELAY && d->relay_core == c->core &&
	       d->relay_pid == st->proxy->host_pid &&
	       d->relay_fd >> HIO_TAG_SHIFT == st->proxy->relay_tag;
}

bool exec_fd_goes_home(const struct exec_start *st, const struct ctx *c,
		       const struct image_fd *d)
{
	u32 i = 0;

	if (d->how != IMAGE_SAME)
		return exec_fd_is_home(st, c, d);
	while (i < st->image->fds && st->fds[i].fd != d->same)
		i++;
	return i < st->image->fds && exec_fd_is_home(st, c, &st->fds[i]);
}

/* One of Hare or of a proxy; the child opens devices itself, see exec_open_devices. It fails without
 * having taken what came along. */
static long enter_fd(struct task *t, const struct exec_start *st,
		     const struct image_fd *d)
{
	struct ofd *o;
	long r;

	if (d->how == IMAGE_DEVICE || exec_fd_goes_home(st, &t->ctx, d))
		return fd_enter_host(t, d->fd);
	if (d->how == IMAGE_SAME)
		return fd_dup(t, d->same, false, (u32)d->fd);
	r = fd_room(t, (u32)d->fd);
	if (r != d->fd)
		return r < 0 ? r : -EBADF;
	o = ofd_from(t, d);
	return o ? fd_install(t, o, false, d->fd) : -ENFILE;
}

long exec_receive(struct task *t, struct exec_start *st)
{
	struct proc *p, *self = t->proc;
	long r;

	if (st->job->failed)
		return -ECANCELED;
	p = entry_from(t, st);
	if (!p)
		return -ENOSPC;
	t->proc = st->proc = p;
	r = fdtable_new(t, &p->fds, false);
	if (!r)
		fdtable_pass_locks(t, p->fds, st->image->locks);
	for (; r >= 0 && st->entered_fds < st->image->fds; st->entered_fds++) {
		r = enter_fd(t, st, &st->fds[st->entered_fds]);
		if (r < 0)
			break;
	}
	if (r >= 0)
		r = 0;
	if (!r && st->image->cwd)
		r = cwd_set(t, p, st->image->cwd, st->image->cwd_dflags);
	if (!r && st->image->root)
		r = root_set(t, p, st->image->root, st->image->root_dflags);
	t->proc = self;
	return r;
}

long client_exec_receive(struct task *t, char *data, u32 len, char **pointers, u32 max,
			 struct exec_start *st)
{
	st->job = exec_job(t);
	if (!exec_parse(st, data, len, pointers, max))
		return -EBADMSG;
	return exec_receive(t, st);
}

/* Those of the agent, or of the proxy that becomes the program. */
static u64 g_limits[EXEC_RLIMITS][2];

void client_exec_agent(void)
{
	struct {
		u64 handler, flags, restorer, mask;
	} act = { 0 }; /* SIG_DFL */
	u32 i;

	for (i = 0; i < EXEC_RLIMITS; i++)
		SYS(prlimit64, 0, i, 0, g_limits[i]);
	exec_keep_agent();
	for (i = 1; i <= 64; i++)
		SYS(rt_sigaction, i, &act, 0, 8);
}

/* --- in the new host process -------------------------------------------------------------------- */

static const char *device_path(u64 rdev)
{
	switch (rdev & 0xff) {
	case 5:
		return "/dev/zero";
	case 7:
		return "/dev/full";
	case 8:
		return "/dev/random";
	case 9:
		return "/dev/urandom";
	default:
		return "/dev/null";
	}
}

/* Everything of the agent's goes, but the hidden descriptors. */
static void close_agents(s32 fd_base)
{
	SYS(close_range, 0, fd_base - 1, 0);
	SYS(close_range, fd_base + FD_LOADER + 1, ~0U, 0);
}

long exec_open_devices(const struct exec_start *st)
{
	u32 i;

	for (i = 0; i < st->image->fds; i++) {
		const struct image_fd *d = &st->fds[i];
		long fd;

		if (d->how != IMAGE_DEVICE)
			continue;
		fd = SYS(open, device_path(d->rdev), d->flags & ~(u32)(O_CREAT | O_EXCL),
			 0);
		if (sys_failed(fd))
			return fd;
		if (fd != d->fd) {
			SYS(dup3, fd, d->fd, 0);
			SYS(close, fd);
		}
	}
	return 0;
}

/* Nothing is ignored yet. */
static void enter_signals(const struct exec_image *im)
{
	struct {
		u64 handler, flags, restorer, mask;
	} act = { .handler = 1 }; /* SIG_IGN */
	u32 sig;

	for (sig = 1; sig <= 64; sig++)
		if (im->ignored & (1ULL << (sig - 1)))
			SYS(rt_sigaction, sig, &act, 0, 8);
}

static void enter_limits(const struct exec_image *im)
{
	for (u32 i = 0; i < EXEC_RLIMITS; i++)
		if (i == RLIMIT_NOFILE ||
		    memcmp(g_limits[i], im->rlimit[i], sizeof(im->rlimit[i])))
			SYS(prlimit64, 0, i, im->rlimit[i], 0);
}

static long enter_ids(const struct exec_image *im)
{
	u32 r, e, s;
	long ret = 0;

	SYS(getresgid, &r, &e, &s);
	if (SYS(geteuid) == 0)
		ret = SYS(setgroups, im->cred.ngroups, im->cred.groups);
	if (!ret && (r != im->rgid || e != im->egid || s != im->sgid))
		ret = SYS(setresgid, im->rgid, im->egid, im->sgid);
	SYS(getresuid, &r, &e, &s);
	if (!ret && (r != im->ruid || e != im->euid || s != im->suid))
		ret = SYS(setresuid, im->ruid, im->euid, im->suid);
	return ret;
}

/* The entry gets its host pid before the program can ask for it. The job, the first of all, is done
 * then, also for a successor of this agent: the program may be gone when that looks. */
static void enter_table(struct task *t, struct exec_start *st)
{
	struct proc *p = st->proc;
	struct ctx c = t->ctx;
	struct ck *ck = c.ck;

	c.tid = (u32)SYS(gettid);
	ck_lock(&c, ck);
	proc_set_host_pid(ck, p, c.tid);
	TX_SET(ck, p->host_pgid, c.tid);
	TX_SET(ck, p->state, PROC_RUNNING);
	TX_SET(ck, p->watched, 1); /* a child of the agent */
	TX_SET(ck, st->job->started, 1);
	ck_unlock(ck);
	st->entered = true;
}

void exec_raise_limit(void)
{
	u64 l[2] = { g_limits[RLIMIT_NOFILE][1], g_limits[RLIMIT_NOFILE][1] };

	SYS(prlimit64, 0, RLIMIT_NOFILE, l, 0);
}

long exec_enter_state(const struct exec_start *st)
{
	enter_signals(st->image);
	enter_limits(st->image);
	exec_keep_enter(&st->image->keep);
	SYS(umask, st->image->umask);
	if (sys_failed(SYS(chdir, st->cwd)))
		SYS(chdir, "/");
	return enter_ids(st->image);
}

void exec_run_loader(struct task *t, const struct exec_start *st)
{
	const struct super *s = t->ctx.isl->super;
	const struct mem_fds *fds = &t->ctx.isl->fds;
	long thp = SYS(prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0);
	char args[256];
	int n = str_format(args, sizeof(args),
			   "core=%u,dram=%d,copy=%d,loader=%d,mask=%lx,ignore=%lx",
			   t->ctx.core, fds->dram, fds->copy, s->fd_base + FD_LOADER,
			   (unsigned long)st->image->mask,
			   (unsigned long)st->image->ignored);

	/* It is the memory's, which is still the agent's. */
	if (st->image->keep.thp >= 0 && thp != st->image->keep.thp)
		n += str_format(args + n, sizeof(args) - (size_t)n, ",thp=%u",
				(u32)st->image->keep.thp);
	str_format(args + n, sizeof(args) - (size_t)n, ",name=%.15s", st->name);
	/* hare-ld run ARGS ARGV0 PATH ARG..., see intercept/loader.c */
	st->argv[0] = st->path;
	st->argv[-1] = st->argv0;
	st->argv[-2] = args;
	st->argv[-3] = (char *)"run";
	st->argv[-4] = (char *)"hare-ld";
	SYS(execveat, s->fd_base + FD_LOADER, "", st->argv - EXEC_WORDS, st->envp,
	    AT_EMPTY_PATH);
	SYS(execve, s->loader, st->argv - EXEC_WORDS, st->envp);
}

void client_exec_start(struct task *t, struct exec_start *st)
{
	/* Should the agent die now, its successor starts the program anew. */
	SYS(prctl, PR_SET_PDEATHSIG, SIG_KILL, 0, 0, 0);
	/* A group of its own: what a terminal sends comes by the proxy, once. */
	SYS(setpgid, 0, 0);
	close_agents(t->ctx.isl->super->fd_base);
	exec_raise_limit();
	if (exec_open_devices(st) || exec_enter_state(st))
		return;
	enter_table(t, st);
	SYS(prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
	exec_run_loader(t, st);
}
