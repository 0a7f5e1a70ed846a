/* SPDX-License-Identifier: MIT */
/*
 * The agent of one core: serves messages when no program of the core does, starts programs for
 * other cores, and cleans up after processes that were killed. (Thesis sections 3.2 and 3.6.)
 *
 *   main thread   its children's ends and stops, pidfds of all other processes of the core, the
 *                 socket to who booted it; when that ends, so do all programs and the agent
 *   server thread sleeps on the core's doorbell and drains its rings; trims, evicts (chaos)
 *   job thread    what the scheduling server queued: execs and signals; looks after descriptors
 *                 on their way through sockets
 *
 * New processes ring the doorbell once for many; WATCH_DELAY_MS later those that still live get a
 * pidfd, so that a short life costs no wake-up at all. Whoever waits for a killed child
 * cleans up after it itself (client_wait4), so the delay is seen by nobody.
 *
 * All state stands in the core kernel: an agent that is killed is replaced by another one, which
 * looks at everything anew. Programs that it had started for other cores are then orphans of who
 * booted it, which passes their ends on (AGENT_STATUS).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/boot.h"
#include "fileserver/fileserver.h"
#include "proto/rpc.h"
#include "sched/sched.h"

#define WATCH_DELAY_MS 20
#define GATHER_AFTER   8 /* programs */
#define GATHER_MAX     (8UL << 20) /* of a core kernel */
#define LOST_AFTER_MS  1500 /* a new agent waits so long for its predecessor's orphans */
#define GIVE_UP_MS     2000
#define TEND_MS	       1000
#define DAY_TICK_MS    60000
#define DAY_NS	       (24ULL * 3600 * 1000000000)
#define CHAOS_NS       3000000
#define IDLE_NS	       1000000000
#define PINGS	       8
#define EVENTS	       64
#define STACK_SIZE     65536
#define ARGV_MAX       (1u << 20)

enum {
	KEY_SIGNALS = 1,
	KEY_SOCKET,
	KEY_DOORBELL
}; /* of epoll, beside pidfd << 32 | host pid */

static struct agent {
	u32 core;
	int sock, epoll, doorbell;
	bool ending, ended_told, fresh;
	u64 lost_at; /* when to look for the predecessor's lost children; 0: never */
	u64 give_up_at; /* alone: when to end whatever is left; 0: not alone */
	u64 watch_at; /* when to look at new processes; 0: none are new */
	u64 gathered; /* bytes of the core kernel that are in huge pages, if the host could */
	u64 tend_at; /* when to tend the watches of the host's files */
	bool tends; /* there are some */
	struct task task; /* of the main thread */
	struct task job_task;
	struct ctx server;
} g_agent;

static _Noreturn void die(const char *what, long err)
{
	struct agent_msg m = { .op = AGENT_FAILED, .status = (s32)-err };

	if (g_agent.fresh)
		send(g_agent.sock, &m, sizeof(m), MSG_NOSIGNAL);
	else
		fprintf(stderr, "hare: agent of core %u: %s: %s\n", g_agent.core, what,
			strerror((int)-err));
	_exit(EXIT_OWN);
}

static void *must(void *p, const char *what)
{
	if (!p)
		die(what, -ENOMEM);
	return p;
}

static u64 now_ms(void)
{
	return host_monotonic_ns() / 1000000;
}

/* --- the core kernel ------------------------------------------------------------------------- */

static long make_core_kernel(struct ctx *c)
{
	struct ck *ck = c->ck;
	long r;

	ck_init(c->isl, c->core);
	ck_lock(c, ck);
	r = msg_init(c, ck);
	if (!r)
		r = rpc_core_init(ck);
	if (!r)
		r = proc_init(ck);
	if (!r)
		r = client_core_init(ck);
	if (!r)
		r = fs_init(c, ck, 0);
	ck_unlock(ck);
	return r;
}

/* The client library's attach wants a core kernel to be there already. */
static long prepare(const struct super *s, u32 core, bool fresh)
{
	struct mem_fds fds = { s->fd_base,
			       s->model == MEM_EMULATED ? s->fd_base + 1 : -1 };
	struct island isl;
	struct ctx c;
	long r;

	if (!fresh)
		return 0;
	r = mem_map(&isl, &fds, mem_island_of(s, core));
	if (r)
		return r;
	c = (struct ctx){
		.isl = &isl,
		.ck = mem_ck(&isl, core),
		.core = core,
		.tid = (u32)syscall(SYS_gettid),
	};
	r = make_core_kernel(&c);
	mem_unmap(&isl);
	return r;
}

/* --- watching processes ------------------------------------------------------------------------ */

static void epoll_watch(int fd, u64 key)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = key };

	if (epoll_ctl(g_agent.epoll, EPOLL_CTL_ADD, fd, &e))
		close(fd);
}

/* A dead process's marks, locks and so on at all servers, after its intents were dealt with. */
static void owner_gone(struct ctx *c, u32 core, u32 host_pid)
{
	struct req_OWNER_GONE q = { .owner = (u64)core << 32 | host_pid };
	struct rep_OWNER_GONE p;

	for (core = 0; core < c->isl->super->servers; core++)
		(void)rpc_owner_gone(c, core, &q, &p);
}

static void process_gone(u32 host_pid)
{
	client_reap(&g_agent.task, host_pid);
	owner_gone(&g_agent.task.ctx, g_agent.core, host_pid);
	/* Killed as it forked it has told nobody of its child, which may be dead too. */
	if (!g_agent.watch_at)
		g_agent.watch_at = now_ms() + WATCH_DELAY_MS;
}

static bool watch(u32 host_pid)
{
	int fd = (int)syscall(SYS_pidfd_open, host_pid, 0);

	if (fd < 0)
		return errno != ESRCH;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	epoll_watch(fd, (u64)fd << 32 | host_pid);
	return true;
}

/* The next process that nobody watches yet; 0: none. It counts as watched from now on. */
static u32 next_unwatched(void)
{
	struct ctx *c = &g_agent.task.ctx;
	struct proc_root *r = proc_root(c->ck);
	u32 host_pid = 0;
	struct list *l;

	ck_lock(c, c->ck);
	for (l = r->all.next; l != &r->all && !host_pid; l = l->next) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		if (p->watched || !p->host_pid)
			continue;
		TX_SET(c->ck, p->watched, 1);
		host_pid = p->host_pid;
	}
	ck_unlock(c->ck);
	return host_pid;
}

/* Once programs come and go here, what each of them touches at its start and at its end should cost
 * few page faults: the used part of the core kernel, as far as it has grown by now. */
static void gather_memory(void)
{
	struct ctx *c = &g_agent.task.ctx;
	u64 used = c->ck->heap_next - (u64)c->ck;

	if (c->ck->counter[COUNT_PROCS] < GATHER_AFTER)
		return;
	if (!g_agent.gathered && c->core == c->isl->first_core)
		(void)mem_gather(c->isl->super);
	while (g_agent.gathered < MIN(used, GATHER_MAX)) {
		(void)mem_gather((char *)c->ck + g_agent.gathered);
		g_agent.gathered += MEM_HUGE;
	}
}

/* Separate kernels: process numbers stay in the range of this one. */
static void turn_pids(void)
{
	const struct super *s = g_agent.task.ctx.isl->super;
	u32 first = kernel_first_pid(s->pid_span, g_agent.task.ctx.isl->id);

	if (s->kernels != KERNELS_SEPARATE)
		return;
	kernel_turn_pids(first, first + s->pid_span / 2);
	__atomic_store_n(&proc_root(g_agent.task.ctx.ck)->pids_out, 0, __ATOMIC_SEQ_CST);
}

static void look_at_processes(void)
{
	struct proc_root *r = proc_root(g_agent.task.ctx.ck);
	u32 host_pid;

	__atomic_store_n(&r->wake_agent, 0, __ATOMIC_SEQ_CST);
	g_agent.watch_at = 0;
	turn_pids();
	while ((host_pid = next_unwatched()))
		if (!watch(host_pid))
			process_gone(host_pid);
	if (client_reap_unborn(&g_agent.task))
		g_agent.watch_at = now_ms() + 500;
	gather_memory();
}

/* --- children: programs started for other cores ---------------------------------------------- */

struct started {
	u32 core, pid; /* of its proxy */
	bool found;
	bool leaving; /* it was going on to another core */
	bool locks; /* it may have POSIX locks, or wait for some */
	u64 user_us, system_us, maxrss; /* of it and its children on other cores */
};

/* The entry of a program that a proxy waits for; with `drop` it is freed. */
static struct started find_started(u32 host_pid, bool drop)
{
	struct ctx *c = &g_agent.task.ctx;
	struct started s = { 0 };
	struct proc *p;

	ck_lock(c, c->ck);
	p = proc_by_host_pid(c->ck, host_pid);
	if (p && p->proxy_core != MAX_CORES) {
		s = (struct started){
			.core = p->proxy_core,
			.pid = p->proxy_pid,
			.found = true,
			.leaving = p->state == PROC_PROXY,
			.locks = client_has_locks(p),
			/* its own only if it was a proxy too */
			.user_us = p->user_us + p->child_user_us,
			.system_us = p->system_us + p->child_system_us,
			.maxrss = MAX(p->maxrss, p->child_maxrss),
		};
		if (drop)
			proc_free(c->ck, p);
	}
	ck_unlock(c->ck);
	return s;
}

static u64 us(const struct timeval *tv)
{
	return (u64)tv->tv_sec * 1000000 + (u64)tv->tv_usec;
}

static void report(const struct started *s, int status, const struct rusage *ru)
{
	sched_report(&g_agent.task.ctx, s->core, s->pid, (u32)status,
		     us(&ru->ru_utime) + s->user_us, us(&ru->ru_stime) + s->system_us,
		     MAX((u64)ru->ru_maxrss, s->maxrss));
}

/* What waitpid said of a process: its proxy follows. */
static void child_changed(pid_t pid, int status, const struct rusage *ru)
{
	bool ended = WIFEXITED(status) || WIFSIGNALED(status);
	struct started s = find_started((u32)pid, false);

	/* One that dies as it goes on has ended by this, not by what process_gone does to the program
	 * where it went: told first, for the first end that is told counts. */
	if (ended && s.leaving)
		report(&s, status, ru);
	if (ended)
		process_gone((u32)pid);
	/* Those are its proxy's. One that goes on has them until it ends there. */
	if (ended && s.locks && !s.leaving)
		owner_gone(&g_agent.task.ctx, s.core, s.pid);
	s = find_started((u32)pid, ended);
	if (s.found)
		report(&s, status, ru);
}

static void reap_children(void)
{
	struct rusage ru;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG | WUNTRACED | WCONTINUED, &ru)) > 0)
		child_changed(pid, status, &ru);
}

/* Programs that ended while no agent was there to see it, and of which nobody told us. */
static void report_lost(void)
{
	struct ctx *c = &g_agent.task.ctx;
	struct proc_root *r = proc_root(c->ck);
	struct rusage none = { 0 };
	u32 lost;

	g_agent.lost_at = 0;
	do {
		struct list *l;

		lost = 0;
		ck_lock(c, c->ck);
		for (l = r->all.next; l != &r->all && !lost; l = l->next) {
			struct proc *p = LIST_ENTRY(l, struct proc, all);

			if (p->proxy_core != MAX_CORES && p->host_pid &&
			    ck_thread_dead(p->host_pid))
				lost = p->host_pid;
		}
		ck_unlock(c->ck);
		if (lost)
			child_changed((pid_t)lost, SIGKILL, &none);
	} while (lost);
}

/* --- jobs -------------------------------------------------------------------------------------- */

struct start_args {
	struct task *task;
	struct exec_start *st;
};

/* In the new process, which shares our memory until it executes the loader. */
static int start_child(void *arg)
{
	struct start_args *a = arg;

	client_exec_start(a->task, a->st);
	syscall(SYS_exit_group, EXIT_CANNOT);
	return 0;
}

/* A process that did not get as far as its entry was ours alone. */
static void start_failed(struct task *t, const struct sched_job *job, struct proc *p,
			 u32 status)
{
	if (p)
		client_reap_new(t, p);
	sched_report(&t->ctx, job->core, job->proxy_pid, status << 8, 0, 0, 0);
}

static void start_program(struct task *t, const struct sched_job *job, char *data,
			  u32 len, char **pointers, char *stack)
{
	struct exec_start st = { 0 };
	struct start_args a = { t, &st };
	long r = client_exec_receive(t, data, len, pointers, ARGV_MAX, &st);

	if (!r && clone(start_child, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD,
			&a) < 0)
		r = -errno;
	if (r || !st.entered) {
		client_exec_give_up(t, &st);
		if (st.image && st.image->locks)
			owner_gone(&t->ctx, job->core, job->proxy_pid);
		start_failed(t, job, st.proc, EXIT_CANNOT);
	}
}

/* A predecessor, or a proxy, was killed over this job. True when it had started the program; what it had
 * only begun is taken back: the child that was to become it died with it. */
static bool was_done(struct task *t, const struct sched_job *job)
{
	struct proc *p = job->started ? NULL : sched_job_entry(&t->ctx, job);

	if (p)
		client_exec_again(t, job, p);
	return job->started;
}

static void do_exec_job(struct task *t, struct sched_job *job, char *image,
			char **pointers, char *stack)
{
	if ((!g_agent.fresh || job->again) && was_done(t, job))
		;
	else if (!job->ino)
		start_program(t, job, (char *)job->data, job->len, pointers, stack);
	else if (client_exec_read(t, job->ino, image, job->len))
		start_program(t, job, image, job->len, pointers, stack);
	else
		start_failed(t, job, NULL, EXIT_CANNOT);
	if (job->from_pid)
		client_exec_entered(t, job->from_core, job->from_pid);
	if (job->ino) {
		madvise(image, EXEC_IMAGE_MAX, MADV_DONTNEED);
		client_exec_drop_file(t, job->ino);
	}
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void do_watch_job(struct task *t, const struct sched_job *job)
{
	u64 one = 1;

	hostwatch_job(t, job);
	__atomic_store_n(&g_agent.tends, true, __ATOMIC_SEQ_CST);
	if (write(g_agent.doorbell, &one, sizeof(one)) < 0)
		die("doorbell", -errno);
}

static u32 listen_for_jobs(struct task *t)
{
	struct proc_root *r = proc_root(t->ctx.ck);
	u32 seq = msg_event_prepare(&t->ctx);

	ck_lock(&t->ctx, t->ctx.ck);
	TX_SET(t->ctx.ck, r->job_slot, t->ctx.slot);
	TX_SET(t->ctx.ck, r->job_seq, seq);
	ck_unlock(t->ctx.ck);
	return seq;
}

static void *job_thread(void *arg)
{
	struct task *t = arg;
	struct sched_job *job = must(malloc(SCHED_JOB_MAX), "memory");
	char **pointers = must(map(ARGV_MAX * sizeof(char *)), "memory");
	char *image = must(map(EXEC_IMAGE_MAX), "memory");
	char *stack = must(map(STACK_SIZE), "memory");

	t->ctx.tid = (u32)syscall(SYS_gettid);
	if (msg_slot_take(&t->ctx))
		die("no reply slot", -EAGAIN);
	for (;;) {
		s64 at, passing;
		u32 seq = listen_for_jobs(t);

		while (sched_job_first(&t->ctx, job)) {
			if (job->kind == JOB_EXEC && sched_offer(&t->ctx))
				continue;
			if (job->kind == JOB_EXEC)
				do_exec_job(t, job, image, pointers, stack);
			else if (job->kind == JOB_HOST_WATCH)
				do_watch_job(t, job);
			else if (job->kind == JOB_ASK)
				sched_job_ask(&t->ctx, job);
			else
				sched_job_signal(&t->ctx, job);
			sched_job_done(&t->ctx);
		}
		at = client_cut_tend(t);
		passing = client_passing(t);
		if (at < 0 || (passing >= 0 && passing < at))
			at = passing;
		(void)msg_event_wait(&t->ctx, seq, at);
	}
	return NULL;
}

/* --- serving ------------------------------------------------------------------------------------- */

static void trim(struct ctx *c)
{
	bool more = true;

	while (more && !__atomic_load_n(&c->ck->lock, __ATOMIC_RELAXED)) {
		ck_lock(c, c->ck);
		more = fs_trim(c, c->ck);
		ck_unlock(c->ck);
	}
}

/* `hare trace` was killed: nobody listens any more. */
static void stop_tracing(struct ck *ck)
{
	u32 who = __atomic_load_n(&ck->tracing, __ATOMIC_RELAXED);

	if (unlikely(who) && ck_thread_dead(who))
		__atomic_compare_exchange_n(&ck->tracing, &who, 0, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void *server_thread(void *arg)
{
	struct ctx *c = &g_agent.server;
	struct proc_root *r = proc_root(c->ck);
	s64 nap = c->isl->super->chaos_seed ? CHAOS_NS : IDLE_NS;
	u64 one = 1;

	(void)arg;
	c->tid = (u32)syscall(SYS_gettid);
	for (;;) {
		if (msg_drain(c))
			continue;
		if (__atomic_load_n(&r->wake_agent, __ATOMIC_SEQ_CST) == 1) {
			__atomic_store_n(&r->wake_agent, 2, __ATOMIC_SEQ_CST);
			if (write(g_agent.doorbell, &one, sizeof(one)) < 0)
				die("doorbell", -errno);
		}
		trim(c);
		stop_tracing(c->ck);
		if (c->isl->super->chaos_seed)
			mem_chaos(c->isl);
		msg_agent_sleep(c, nap);
	}
	return NULL;
}

/* --- the end ------------------------------------------------------------------------------------- */

static bool counts(const struct proc *p)
{
	return !(p->flags & PROC_TOOL);
}

/* Kills all programs of this core; true when none is left. Called again at each change. */
static bool end_programs(void)
{
	struct ctx *c = &g_agent.task.ctx;
	struct proc_root *r = proc_root(c->ck);
	u32 pids[EVENTS], n, skip = 0, i;
	bool any = false;

	__atomic_store_n(&r->halting, 1, __ATOMIC_SEQ_CST);
	do {
		struct list *l;
		u32 at = 0;

		n = 0;
		ck_lock(c, c->ck);
		for (l = r->all.next; l != &r->all && n < EVENTS; l = l->next) {
			struct proc *p = LIST_ENTRY(l, struct proc, all);

			if (!counts(p) || at++ < skip)
				continue;
			any = true;
			pids[n++] = p->host_pid;
		}
		ck_unlock(c->ck);
		for (i = 0; i < n; i++)
			if (pids[i])
				kill((pid_t)pids[i], SIGKILL);
		skip += n;
	} while (n == EVENTS);
	return !any;
}

static void check_end(void)
{
	struct agent_msg m = { .op = AGENT_ENDED };

	if (!g_agent.ending || g_agent.ended_told)
		return;
	look_at_processes();
	g_agent.watch_at = now_ms() + WATCH_DELAY_MS;
	if (!end_programs() && !(g_agent.give_up_at && now_ms() > g_agent.give_up_at))
		return;
	if (g_agent.sock < 0)
		_exit(0);
	g_agent.ended_told = true;
	send(g_agent.sock, &m, sizeof(m), MSG_NOSIGNAL);
}

/* Who booted us is gone: so must everything be. The other agents end too, so what waits for one
 * of them is cut short by an alarm. */
static void end_alone(void)
{
	sigset_t alarms;

	end_programs();
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarms, NULL);
	alarm(GIVE_UP_MS / 1000 + 1);
	close(g_agent.sock);
	g_agent.sock = -1;
	g_agent.ending = true;
	g_agent.ended_told = false;
	g_agent.give_up_at = now_ms() + GIVE_UP_MS;
}

/* --- main thread ---------------------------------------------------------------------------------- */

static void read_socket(void)
{
	struct agent_msg m;
	ssize_t n = recv(g_agent.sock, &m, sizeof(m), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n != sizeof(m))
		end_alone();
	else if (m.op == AGENT_END)
		g_agent.ending = true;
	else if (m.op == AGENT_STATUS)
		child_changed(m.pid, m.status, &m.usage);
}

static void read_signals(int fd)
{
	struct signalfd_siginfo si;

	while (read(fd, &si, sizeof(si)) == sizeof(si))
		;
	reap_children();
}

/* Reads compare times of files with this instead of asking for the time. */
static void tell_day(void)
{
	__atomic_store_n(&g_agent.task.ctx.ck->day_ago, host_realtime_ns() - DAY_NS,
			 __ATOMIC_RELAXED);
}

static int timeout(void)
{
	u64 now = now_ms(), at = g_agent.watch_at;

	if (g_agent.lost_at && (!at || g_agent.lost_at < at))
		at = g_agent.lost_at;
	if (g_agent.tends && (!at || g_agent.tend_at < at))
		at = g_agent.tend_at;
	if (!at || at > now + DAY_TICK_MS)
		return DAY_TICK_MS;
	return at > now ? (int)(at - now) : 0;
}

static void handle(const struct epoll_event *e, int sig_fd)
{
	u64 count;

	switch (e->data.u64) {
	case KEY_SIGNALS:
		read_signals(sig_fd);
		break;
	case KEY_SOCKET:
		read_socket();
		break;
	case KEY_DOORBELL:
		if (read(g_agent.doorbell, &count, sizeof(count)) > 0 &&
		    !g_agent.watch_at)
			g_agent.watch_at = now_ms() + WATCH_DELAY_MS;
		if (__atomic_load_n(&proc_root(g_agent.task.ctx.ck)->pids_out,
				    __ATOMIC_SEQ_CST))
			turn_pids();
		break;
	default:
		if (!(u32)e->data.u64) {
			hostwatch_read(&g_agent.task, (int)(e->data.u64 >> 32));
			break;
		}
		close((int)(e->data.u64 >> 32));
		process_gone((u32)e->data.u64);
	}
}

static _Noreturn void main_thread(int sig_fd)
{
	struct epoll_event e[EVENTS];

	for (;;) {
		int n;

		tell_day();
		n = epoll_wait(g_agent.epoll, e, EVENTS, timeout());
		for (int i = 0; i < n; i++)
			handle(&e[i], sig_fd);
		if (g_agent.watch_at && now_ms() >= g_agent.watch_at)
			look_at_processes();
		if (g_agent.lost_at && now_ms() >= g_agent.lost_at)
			report_lost();
		if (g_agent.tends && now_ms() >= g_agent.tend_at) {
			g_agent.tends = false; /* a job may come meanwhile */
			if (hostwatch_tend(&g_agent.task))
				g_agent.tends = true;
			g_agent.tend_at = now_ms() + TEND_MS;
		}
		check_end();
	}
}

/* --- start ---------------------------------------------------------------------------------------- */

static int own_environment(const struct super *s)
{
	cpu_set_t cpu;
	sigset_t all;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), fd;

	setsid();
	prctl(PR_SET_NAME, "hared");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	CPU_ZERO(&cpu);
	CPU_SET(s->cpu[g_agent.core], &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	if (chdir("/"))
		die("chdir", -errno);
	dup2(null, 0);
	dup2(null, 1);
	close(null);
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGABRT);
	sigprocmask(SIG_SETMASK, &all, NULL);
	fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		die("signalfd", -errno);
	client_exec_agent();
	return fd;
}

/* The least time that a call to a server took. */
static u64 ping_ns(struct ctx *c, u32 srv)
{
	struct req_PING q = { 0 };
	struct rep_PING p;
	u64 least = ~0ULL;

	for (u32 i = 0; i < PINGS; i++) {
		u64 begin = host_monotonic_ns();

		if (!rpc_ping(c, srv, &q, &p))
			least = MIN(least, host_monotonic_ns() - begin);
	}
	return least;
}

/* Split: the server for what programs of this core make is the one that answers first. Each core
 * begins with another one and keeps it unless another is clearly nearer, so that equals share. */
static void find_server(void)
{
	struct ctx *c = &g_agent.task.ctx;
	u32 servers = c->isl->super->servers, first = c->core % servers, best = first;
	u64 least = 0;

	if (c->core < servers)
		return;
	for (u32 i = 0; i < servers && servers > 1; i++) {
		u32 srv = (first + i) % servers;
		u64 ns = ping_ns(c, srv);

		if (!i || ns < least - least / 4) {
			least = ns;
			best = srv;
		}
	}
	ck_lock(c, c->ck);
	TX_SET(c->ck, proc_root(c->ck)->server, best);
	ck_unlock(c->ck);
}

/* A predecessor may have left anything: nothing is watched, its threads are gone. */
static void take_over(void)
{
	struct ctx *c = &g_agent.task.ctx;
	const struct super *s = c->isl->super;
	struct proc_root *r = proc_root(c->ck);
	struct list *l;

	ck_lock(c, c->ck);
	for (l = r->all.next; l != &r->all; l = l->next)
		TX_SET(c->ck, LIST_ENTRY(l, struct proc, all)->watched, 0);
	TX_SET(c->ck, r->job_slot, 0);
	TX_SET(c->ck, r->agent_pid, (u32)getpid());
	if (s->kernels == KERNELS_SEPARATE)
		TX_SET(c->ck, r->pid_turn,
		       kernel_first_pid(s->pid_span, c->isl->id) + s->pid_span / 2);
	ck_unlock(c->ck);
	if (g_agent.fresh)
		return;
	g_agent.watch_at = now_ms();
	g_agent.lost_at = now_ms() + LOST_AFTER_MS;
	g_agent.ending = r->halting;
}

static void start_threads(void)
{
	pthread_t id;
	int r;

	g_agent.job_task.ctx = g_agent.server = g_agent.task.ctx;
	g_agent.job_task.ctx.slot = g_agent.server.slot = 0;
	r = pthread_create(&id, NULL, server_thread, NULL);
	if (!r)
		r = pthread_create(&id, NULL, job_thread, &g_agent.job_task);
	if (r)
		die("threads", -r);
}

_Noreturn void agent_main(const struct super *s, u32 core, int sock, bool fresh)
{
	struct mem_fds fds = { s->fd_base,
			       s->model == MEM_EMULATED ? s->fd_base + 1 : -1 };
	struct agent_msg m = { .op = AGENT_READY };
	int sig_fd;
	long r;

	g_agent.core = core;
	g_agent.sock = sock;
	g_agent.fresh = fresh;
	sig_fd = own_environment(s);
	r = prepare(s, core, fresh);
	if (!r)
		r = client_attach_core(&g_agent.task, &fds, core);
	if (r)
		die("join the instance", r);
	g_agent.epoll = epoll_create1(EPOLL_CLOEXEC);
	g_agent.doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (g_agent.epoll < 0 || g_agent.doorbell < 0)
		die("descriptors", -errno);
	hostwatch_init(g_agent.epoll);
	epoll_watch(sig_fd, KEY_SIGNALS);
	epoll_watch(sock, KEY_SOCKET);
	epoll_watch(g_agent.doorbell, KEY_DOORBELL);
	take_over();
	start_threads();
	send(sock, &m, sizeof(m), MSG_NOSIGNAL);
	find_server(); /* all are there, or come */
	main_thread(sig_fd);
}
