/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of a process that is killed after its k-th store, for every k: after the agent's
 * part of the recovery nothing is open at any server that the dead process had open, no core
 * kernel has lost memory, and no invariant is violated.
 */
#include <elf.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>

#include "client/client.h"
#include "client/exec.h"
#include "client/process.h"
#include "sched/sched.h"
#include "unit/client.h"

extern u64 g_crash_at, g_crash_count;

static struct town g;
static char g_buf[20000];

/* What the process has open from before: numbers 3 (near), 4 (far), 5 and 6 (a pipe). */
enum { NEAR = 3, FAR = 4, PIPE_R = 5, PIPE_W = 6 };

static long r_open(struct person *p)
{
	long fd = CALL(p, open, "/hare/d/f", O_RDWR, 0), r = CALL(p, close, fd);

	return fd < 0 ? fd : r;
}
static long r_open_far(struct person *p)
{
	long fd = CALL(p, open, "/hare/e/f", O_RDWR, 0);
	long r = CALL(p, write, fd, g_buf, 5000);

	return r == 5000 ? CALL(p, close, fd) : -EIO;
}
static long r_open_only(struct person *p)
{
	return CALL(p, open, "/hare/e/f", O_RDONLY, 0) < 0;
}
static long r_write(struct person *p)
{
	return CALL(p, write, NEAR, g_buf, sizeof(g_buf)) != sizeof(g_buf);
}
static long r_write_far(struct person *p)
{
	if (CALL(p, write, FAR, g_buf, sizeof(g_buf)) != sizeof(g_buf))
		return -EIO;
	if (CALL(p, pwrite64, FAR, g_buf, 100, 50) != 100)
		return -EIO;
	if (CALL(p, pread64, FAR, g_buf, 10000, 0) != 10000)
		return -EIO;
	return CALL(p, fsync, FAR);
}
static long r_truncate_far(struct person *p)
{
	long r = CALL(p, write, FAR, g_buf, sizeof(g_buf)) != sizeof(g_buf);

	return r ? r : CALL(p, ftruncate, FAR, 100);
}
static long r_dup(struct person *p)
{
	long fd = CALL(p, dup, NEAR);

	return fd < 0 ? fd : CALL(p, close, fd);
}
static long r_dup2(struct person *p)
{
	return CALL(p, dup2, NEAR, FAR) != FAR || CALL(p, dup2, PIPE_R, NEAR) != NEAR ||
	       CALL(p, dup2, NEAR, 100) != 100;
}
static long r_pipe(struct person *p)
{
	int fd[2];
	long r = CALL(p, pipe, fd);

	if (r)
		return r;
	if (CALL(p, write, fd[1], g_buf, 4096) != 4096 || CALL(p, read, fd[0], g_buf, 5) != 5)
		return -EIO;
	return CALL(p, close, fd[0]) | CALL(p, close, fd[1]);
}
static long r_inotify(struct person *p)
{
	long fd = CALL(p, inotify_init1, 0);

	return fd < 0 ? fd : CALL(p, close, fd);
}
static long r_close(struct person *p)
{
	return CALL(p, close, NEAR) | CALL(p, close, FAR) | CALL(p, close, PIPE_W);
}
static long r_close_range(struct person *p)
{
	return CALL(p, close_range, 3, 6, 0);
}
static long r_copy(struct person *p)
{
	struct proc *child;
	long r = client_fork_prepare(&p->t, 0, &child);

	if (!r)
		client_fork_parent(&p->t, child, -EAGAIN);
	return r;
}
static long r_share(struct person *p)
{
	bool host;
	struct ofd *o = fd_get(&p->t, NEAR, &host);
	long r = ofd_share(&p->t, o, 0, NULL);

	ofd_put(&p->t, o);
	return r ? r : CALL(p, read, NEAR, g_buf, 10) != 0;
}
static long r_share_far(struct person *p)
{
	bool host;
	struct ofd *o = fd_get(&p->t, FAR, &host);
	long r = ofd_share(&p->t, o, 0, NULL);

	ofd_put(&p->t, o);
	return r ? r : CALL(p, write, FAR, g_buf, 10) != 10;
}
/* Shared, with one reference: back; shared again from there. */
static long back(struct person *p, int fd)
{
	bool host;
	struct ofd *o = fd_get(&p->t, fd, &host);
	long r = ofd_share(&p->t, o, 0, NULL);

	if (!r && (CALL(p, write, fd, g_buf, 10) != 10 ||
		   CALL(p, write, fd, g_buf, 10) != 10))
		r = -EIO;
	if (!r && o->shared)
		r = -EBUSY;
	if (!r)
		r = ofd_share(&p->t, o, 0, NULL);
	ofd_put(&p->t, o);
	return r ? r : CALL(p, lseek, fd, 0, SEEK_CUR) != 20;
}
static long r_back(struct person *p)
{
	return back(p, NEAR);
}
static long r_back_far(struct person *p)
{
	return back(p, FAR);
}
static long r_open_exec(struct person *p)
{
	char host[PATH_LEN_MAX];
	struct place at;
	bool rewritten;
	struct ofd *o;
	long r = path_open_exec(&p->t, AT_FDCWD, "/hare/e/x", 0, &at, host, &rewritten, &o);

	if (!r)
		ofd_put(&p->t, o);
	return r;
}
/* A program runs, forks and runs another one, up to the point where the host would execute it. */
static long exec_program(struct person *p, const char *path, u32 placement)
{
	static struct exec_plan plan;
	char *argv[] = { (char *)path, NULL };
	long r;

	p->p->placement = placement;
	p->p->next_core = 1;
	r = client_exec_prepare(&p->t, AT_FDCWD, path, argv, NULL, 0, &plan);
	if (r)
		return r;
	client_exec_commit(&p->t, &plan);
	client_exec_drop(&plan);
	return 0;
}
static long r_exec(struct person *p)
{
	struct proc *child;
	long r = exec_program(p, "/hare/e/x", PLACE_LOCAL);

	if (r || msg_slot_take(&p->t.ctx))
		return r ? r : -EAGAIN;
	r = client_fork_prepare(&p->t, 0, &child);
	if (!r)
		client_fork_parent(&p->t, child, -EAGAIN);
	return r ? r : exec_program(p, "/hare/d/x", PLACE_LOCAL);
}
/* On another core, if nothing keeps it here: a filter, a tracer. */
static long r_exec_far(struct person *p)
{
	for (int n = 0; n < 3; n++)
		CALL(p, close, n);
	return exec_program(p, "/hare/e/x", PLACE_ROUND_ROBIN);
}
static long r_exec_again(struct person *p)
{
	long r = exec_program(p, "/hare/d/x", PLACE_LOCAL);

	if (r || msg_slot_take(&p->t.ctx))
		return r ? r : -EAGAIN;
	CALL(p, fcntl, NEAR, F_SETFD, FD_CLOEXEC);
	return r_exec_far(p);
}
/* A value that goes to its server in pieces. */
#define VALUE 60000
static char g_value[VALUE];
static long r_xattr(struct person *p)
{
	memset(g_value, 'n', VALUE);
	return CALL(p, setxattr, "/hare/e/f", "user.v", g_value, VALUE, 0);
}
static bool xattr_is_whole(struct person *a)
{
	long n = CALL(a, getxattr, "/hare/e/f", "user.v", g_value, VALUE);
	u32 same = 0;

	for (long i = 0; i < n; i++)
		same += g_value[i] == 'n';
	return n == VALUE ? same == VALUE : n == 3 && !memcmp(g_value, "old", 3);
}
static long r_chdir(struct person *p)
{
	return CALL(p, chdir, "/hare/e") | CALL(p, chdir, "/hare/d");
}
/* With a child that shares the working directory, and goes. */
static long r_chdir_shared(struct person *p)
{
	struct proc *child;
	long r = client_fork_prepare(&p->t, CLONE_FS, &child);

	if (r)
		return r;
	r = CALL(p, chdir, "/hare/e") | CALL(p, chroot, "/hare/d");
	if (child->cwd != p->p->cwd || child->cwd_ofd != p->p->cwd_ofd ||
	    child->root != p->p->root || child->root_ofd != p->p->root_ofd)
		r = -EIO;
	client_fork_parent(&p->t, child, -EAGAIN);
	return r | CALL(p, chdir, "/") | (p->p->cwd != p->p->root);
}
static long r_flock(struct person *p)
{
	long r = CALL(p, flock, NEAR, LOCK_EX) | CALL(p, flock, FAR, LOCK_EX);

	return r | CALL(p, close, NEAR) | CALL(p, close, FAR);
}
static long r_lock(struct person *p)
{
	struct flock fl = { .l_type = F_WRLCK, .l_start = 5, .l_len = 10 };
	long r = CALL(p, fcntl, FAR, F_SETLK, &fl);

	return r | CALL(p, close, FAR);
}
static long r_mmap(struct person *p)
{
	long at;

	if (CALL(p, write, NEAR, g_buf, sizeof(g_buf)) != sizeof(g_buf))
		return -EIO;
	at = CALL(p, mmap, 0, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, NEAR, 0);
	if (at < 0 && at > -4096)
		return at;
	memcpy((void *)at, "stored", 6);
	if (client_munmap(&p->t, (long[6]){ at + 4096, 4096 }))
		return -EIO;
	return CALL(p, munmap, at, 20000) == 0 ? 0 : -EIO;
}
static long r_mmap_far(struct person *p)
{
	long at;

	if (CALL(p, ftruncate, FAR, 10000))
		return -EIO;
	at = CALL(p, mmap, 0, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, FAR, 0);
	return at < 0 && at > -4096 ? at : 0;
}
/* Everything that has to do with a copy when DRAM is partitioned. */
static long r_mmap_store_far(struct person *p)
{
	char *at;
	long r;

	if (CALL(p, pwrite64, FAR, g_buf, 9000, 0) != 9000)
		return -EIO;
	at = (char *)CALL(p, mmap, 0, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, FAR, 0);
	if ((long)at < 0 && (long)at > -4096)
		return (long)at;
	memcpy(at + 4090, "stored", 6);
	r = CALL(p, msync, at, 12288, MS_SYNC);
	at[8999] = 1;
	if (r != CLIENT_HOST || CALL(p, pread64, FAR, g_buf, 20000, 0) != 9000 || !g_buf[8999] ||
	    CALL(p, pwrite64, FAR, "x", 1, 5000) != 1 || at[5000] != 'x')
		return -EIO;
	at[1] = 1;
	return CALL(p, munmap, at, 12288);
}
/* A file that becomes shorter while it is mapped. */
static bool is_there(long at)
{
	int fd = open("/dev/zero", O_RDONLY);
	bool there = read(fd, (void *)at, 1) == 1;

	close(fd);
	return there;
}
static long cut(struct person *p, int fd)
{
	long at;

	if (CALL(p, ftruncate, fd, 20000))
		return -EIO;
	at = CALL(p, mmap, 0, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at < 0 || CALL(p, ftruncate, fd, 100))
		return -EIO;
	client_cut_now(&p->t);
	if (client_cut_due(&p->t) || is_there(at + 4096) || CALL(p, ftruncate, fd, 9000) ||
	    !is_there(at + 8192) || is_there(at + 12288))
		return -EIO;
	CALL(p, munmap, at, 20000);
	return 0;
}
static long r_cut(struct person *p)
{
	return cut(p, NEAR);
}
static long r_cut_far(struct person *p)
{
	return cut(p, FAR);
}
static long r_epoll(struct person *p)
{
	struct epoll_event ev = { .events = EPOLLIN };
	long ep = CALL(p, epoll_create1, 0), r = CALL(p, epoll_ctl, ep, EPOLL_CTL_ADD, PIPE_R, &ev);

	if (ep < 0 || r)
		return r ? r : ep;
	CALL(p, epoll_wait, ep, &ev, 1, 0);
	return CALL(p, close, PIPE_R);
}
/* A program from another core that this one cannot start: the second of its descriptors has a number
 * that it cannot give. What came along is given back; what others have of it stays. */
struct exec_message {
	struct exec_image im;
	struct image_fd fd[4];
	char strings[64];
};
static char g_exec[sizeof(struct exec_message) + 64];

static void exec_job_new(struct person *p)
{
	struct exec_message m = { .im = { .magic = EXEC_IMAGE_MAGIC, .argc = 1, .fds = 4 } };
	static const char strings[] = "/x\0x\0/\0x";
	struct proc_root *r = proc_root(p->t.ctx.ck);
	struct sched_job *j;
	bool host;

	memcpy(m.strings, strings, sizeof(strings));
	m.im.size = (u32)(offsetof(struct exec_message, strings) + sizeof(strings));
	m.im.proxy_core = 0;
	m.im.proxy_pid = 77;
	m.im.hop = 1;
	for (u32 i = 0; i < 4; i++) { /* near, far, near, far */
		struct ofd *o = fd_get(&p->t, i % 2 ? FAR : NEAR, &host);

		need(!ofd_share(&p->t, o, 1, NULL), "ofd_share");
		ofd_image(o, &m.fd[i]);
		m.fd[i].fd = i == 1 ? (1 << 20) + 1 : (s32)(10 + i);
		ofd_put(&p->t, o);
	}
	ck_lock(&p->t.ctx, p->t.ctx.ck);
	j = ck_alloc(p->t.ctx.ck, sizeof(*j) + m.im.size);
	need(j, "a job");
	j->kind = JOB_EXEC;
	j->proxy_pid = 77;
	j->hop = 1;
	j->len = m.im.size;
	memcpy(j->data, &m, m.im.size);
	tx_list_add_tail(p->t.ctx.ck, &r->jobs, &j->link);
	ck_unlock(p->t.ctx.ck);
}

/* As the agent does; it may be its successor. */
static long exec_job_do(struct person *p)
{
	static u8 buf[SCHED_JOB_MAX] __attribute__((aligned(8)));
	struct sched_job *job = (struct sched_job *)buf;
	struct exec_start st = { 0 };
	char *pointers[16];
	struct proc *made;

	if (!sched_job_first(&p->t.ctx, job))
		return 0;
	made = sched_job_entry(&p->t.ctx, job);
	if (made)
		client_exec_again(&p->t, job, made);
	memcpy(g_exec, job->data, job->len);
	if (!client_exec_receive(&p->t, g_exec, job->len, pointers, 16, &st))
		return -EEXIST;
	client_exec_give_up(&p->t, &st);
	if (st.proc)
		client_reap_new(&p->t, st.proc);
	sched_job_done(&p->t.ctx);
	return 0;
}

static long r_exec_fails(struct person *p)
{
	return exec_job_do(p);
}

static long r_exit(struct person *p)
{
	fdtable_put(&p->t, &p->p->fds);
	return 0;
}

static const struct act {
	const char *name;
	long (*run)(struct person *p);
	bool (*whole)(struct person *a); /* afterwards, what another one sees; NULL */
} g_acts[] = {
	{ "open and close", r_open, NULL },
	{ "open, write and close far", r_open_far, NULL },
	{ "open far", r_open_only, NULL },
	{ "write", r_write, NULL },
	{ "write far", r_write_far, NULL },
	{ "ftruncate far", r_truncate_far, NULL },
	{ "dup", r_dup, NULL },
	{ "dup2", r_dup2, NULL },
	{ "pipe", r_pipe, NULL },
	{ "inotify_init", r_inotify, NULL },
	{ "close", r_close, NULL },
	{ "close_range", r_close_range, NULL },
	{ "fork's copy", r_copy, NULL },
	{ "sharing", r_share, NULL },
	{ "sharing far", r_share_far, NULL },
	{ "local again", r_back, NULL },
	{ "local again, far", r_back_far, NULL },
	{ "opening a far program", r_open_exec, NULL },
	{ "exec, fork and exec", r_exec, NULL },
	{ "exec elsewhere", r_exec_far, NULL },
	{ "exec, and exec elsewhere", r_exec_again, NULL },
	{ "setxattr of a big value", r_xattr, xattr_is_whole },
	{ "chdir", r_chdir, NULL },
	{ "chdir and chroot of two", r_chdir_shared, NULL },
	{ "flock", r_flock, NULL },
	{ "fcntl lock", r_lock, NULL },
	{ "mmap", r_mmap, NULL },
	{ "mmap far", r_mmap_far, NULL },
	{ "mmap far, and stores", r_mmap_store_far, NULL },
	{ "ftruncate of what is mapped", r_cut, NULL },
	{ "the same far", r_cut_far, NULL },
	{ "epoll", r_epoll, NULL },
	{ "an exec that cannot be taken", r_exec_fails, NULL },
	{ "exit", r_exit, NULL },
};

static bool program(struct person *p, const char *path)
{
	Elf64_Ehdr eh = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64 },
			  .e_type = ET_DYN,
			  .e_machine = EM_X86_64 };
	long fd = CALL(p, open, path, O_CREAT | O_WRONLY, 0755);

	return fd >= 0 && CALL(p, write, fd, &eh, sizeof(eh)) == sizeof(eh) &&
	       !CALL(p, close, fd);
}

/* Others run them too, and go on: one CLOSE too many would be theirs. */
#define OTHERS 2
static bool runs_too(struct person *p, const char *path)
{
	char host[PATH_LEN_MAX];
	struct place at;
	bool rewritten;
	struct ofd *o;

	if (path_open_exec(&p->t, AT_FDCWD, path, 0, &at, host, &rewritten, &o))
		return false;
	exec_runs(&p->t, p->p, o);
	return true;
}

static void furnish(struct person *a, struct person *b, struct person *p)
{
	int fd[2];
	bool good = !CALL(a, mkdir, "/hare/d", 0755) && !CALL(b, mkdir, "/hare/e", 0755) &&
		    !CALL(a, mknod, "/hare/d/f", S_IFREG | 0644, 0) &&
		    !CALL(b, mknod, "/hare/e/f", S_IFREG | 0755, 0) &&
		    program(a, "/hare/d/x") && program(b, "/hare/e/x") &&
		    runs_too(a, "/hare/d/x") && runs_too(b, "/hare/e/x") &&
		    !CALL(a, setxattr, "/hare/e/f", "user.v", "old", 3, 0);

	for (int n = 0; n < 3; n++) /* 0-2 are taken by the host's, as this program knows */
		good &= !fd_enter_host(&p->t, n);
	good &= CALL(p, open, "/hare/d/f", O_RDWR, 0) == NEAR;
	good &= CALL(p, open, "/hare/e/f", O_RDWR, 0) == FAR;
	good &= !CALL(p, pipe, fd) && fd[0] == PIPE_R && fd[1] == PIPE_W;
	need(good, "furnish");
}

/* What the agents do when a process is dead. */
static void bury(struct person *agent, struct person *dead)
{
	u64 owner = (u64)dead->t.ctx.core << 32 | dead->p->host_pid;

	client_settle(&agent->t.ctx);
	(void)client_reap_unborn(&agent->t); /* a child that it was about to make */
	proc_release(&agent->t, dead->p);
	for (u32 i = 0; i < g.w.cores; i++) {
		struct ctx *c = &g.w.ctx[i];

		ck_lock(c, c->ck);
		fs_owner_died(c, c->ck, owner);
		ck_unlock(c->ck);
	}
}

/* What has come to an agent is begun there, and ends. */
static void arrive(struct person *agent)
{
	struct sched_job *job = malloc(SCHED_JOB_MAX);
	char *pointers[64];

	while (sched_job_first(&agent->t.ctx, job)) {
		struct exec_start st = { 0 };

		(void)client_exec_receive(&agent->t, (char *)job->data, job->len, pointers,
					  ARRAY_SIZE(pointers), &st);
		if (st.proc)
			client_reap_new(&agent->t, st.proc);
		sched_job_done(&agent->t.ctx);
	}
	free(job);
}

struct result {
	u32 opens, inodes;
	u64 heap[2];
};

static void count_opens(void *arg, const struct fs_fact *f)
{
	struct result *r = arg;

	if (f->kind != FS_FACT_INODE)
		return;
	r->inodes++;
	if (f->type != S_IFDIR)
		r->opens += f->opens;
}

static void measure(struct result *r)
{
	*r = (struct result){ 0 };
	for (u32 i = 0; i < g.w.cores; i++) {
		struct ctx *c = &g.w.ctx[i];

		msg_drain(c);
		ck_lock(c, c->ck);
		while (fs_trim(c, c->ck)) /* as its agent does, also copies that nobody opened */
			ck_commit(c->ck);
		ck_commit(c->ck);
		fs_facts(c->ck, count_opens, r);
		r->heap[i] = c->ck->heap_used;
		ck_unlock(c->ck);
	}
	r->opens -= OTHERS;
}

/* The successor ends what the agent left; what the agent itself has open must still be counted. */
static bool exec_is_undone(struct person *a, struct person *b)
{
	struct result r;

	client_settle(&a->t.ctx);
	need(!exec_job_do(a), "the job");
	town_settle(&g, (struct person *[]){ a, b }, 2);
	measure(&r);
	if (r.opens != 4)
		diag("%u open, not two files and a pipe's two ends", r.opens);
	return r.opens == 4;
}

/* Exit status of the child: 99 when it died at its k-th store, 0 when it has fewer. */
static int one(const struct world_cfg *wc, const struct act *act, u64 k, struct result *res,
	       u32 *bad)
{
	struct person *a, *b, *p;
	pid_t pid;
	int status;
	u32 n;

	town_new(&g, wc);
	a = town_person(&g, 0, 0);
	b = town_person(&g, wc->cores - 1, 0);
	p = town_person(&g, wc->split, 0);
	furnish(a, b, p);
	if (act->run == r_exec_fails)
		exec_job_new(p);
	pid = world_fork(&g.w);
	if (!pid) {
		town_mine(p);
		g_crash_count = 0;
		g_crash_at = k;
		_exit(act->run(p) == 0 ? 0 : 1);
	}
	status = world_wait(pid);
	*bad += act->run == r_exec_fails && !exec_is_undone(a, b);
	bury(wc->split ? b : a, p);
	arrive(b);
	town_settle(&g, (struct person *[]){ a, b }, 2);
	measure(res);
	n = town_check(&g, NULL);
	n += act->whole && !act->whole(a);
	if (n)
		diag("%u violations: %s, store %lu", n, act->name, (unsigned long)k);
	*bad += n;
	town_end(&g);
	return status;
}

/* split: of a core without a server, where only what a server makes for it is another thing. */
static void run(const char *what, const struct world_cfg *wc, u64 stride)
{
	for (u32 i = 0; i < ARRAY_SIZE(g_acts); i++) {
		if (wc->split && g_acts[i].run != r_pipe && g_acts[i].run != r_inotify)
			continue;
		u32 bad = 0, lost = 0;
		struct result whole, part;
		u64 k = 0;
		int status = one(wc, &g_acts[i], 0, &whole, &bad);

		is(status, 0, "%s: %s", what, g_acts[i].name);
		is(whole.opens, 0, "%s: %s leaves nothing open", what, g_acts[i].name);
		do {
			k += stride;
			status = one(wc, &g_acts[i], k, &part, &bad);
			for (u32 c = 0; c < g.w.cores; c++)
				lost += !part.opens && part.heap[c] > whole.heap[c] + 2048;
			if (part.opens || part.inodes != whole.inodes || (lost && bad < 3)) {
				diag("%s, store %lu: %u open, %d inodes, heap %ld %ld",
				     g_acts[i].name, (unsigned long)k, part.opens,
				     (int)(part.inodes - whole.inodes),
				     (long)(part.heap[0] - whole.heap[0]),
				     (long)(part.heap[1] - whole.heap[1]));
				bad += part.opens || part.inodes != whole.inodes;
			}
		} while (status == 99 && bad < 3 && lost < 3);
		is(status, 0, "%s: %s ends well after %lu stores", what, g_acts[i].name,
		   (unsigned long)k);
		is(bad, 0, "%s: %s can be killed anywhere", what, g_acts[i].name);
		is(lost, 0, "%s: %s loses no memory", what, g_acts[i].name);
	}
}

int main(int argc, char **argv)
{
	u64 stride = argc > 1 ? strtoul(argv[1], NULL, 10) : 3;

	run("two islands", &(struct world_cfg){ .cores = 2, .islands = 2 }, stride);
	run("flushed", &(struct world_cfg){ .cores = 2, .islands = 2, .model = MEM_FLUSH }, 2 * stride);
	run("partitioned",
	    &(struct world_cfg){ .cores = 2, .islands = 2, .without = WITHOUT_DIRECT_ACCESS },
	    stride);
	run("split", &(struct world_cfg){ .cores = 2, .split = 1 }, 1);
	run("one island", &(struct world_cfg){ .cores = 2, .islands = 1 }, stride);
	return done_testing();
}
