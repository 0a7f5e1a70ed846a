/* SPDX-License-Identifier: MIT */
/*
 * The proxy: what is left of a process on the core from which it exec'd to another one (thesis
 * section 3.6.1). It holds the pid that its parent waits for; relays signals to the program;
 * performs operations on host descriptors for it (proto/hio.h); stops, continues and ends as the
 * program does. It runs in the loader, without libc, one thread, nothing of the old program.
 *
 *   sleeps on its event <- EXITED handler (entry changed), HOST_IO handler (operation queued),
 *                          own signal handler (signal to relay, descriptor ready: SIGIO)
 *
 * Operations never block it. What can wait is tried on an alias of the descriptor, opened through
 * /proc/self/fd without blocking and with O_ASYNC, so that a signal says when to try again;
 * descriptors that cannot be opened again are looked at every RETRY_NS while somebody waits.
 *
 * The program's end is its own, for its parent waits for it. Descriptors that others still
 * hold (children of the program) it leaves to an heir (hio.h):
 *
 *   proxy                               entry X    entry H        heir
 *   program ended, some are held        PROXY      -
 *   makes H, which gets the operations  HANDED     NEW, HEIR
 *   forks; ends as the program did      (reaped)   NEW
 *                                                  PROXY, HEIR    its pid in H; serves
 *                                                  -              the last was closed: ends
 *
 * Killed before the fork it leaves a NEW entry, which the agent drops as any other.
 *
 * A program that goes on to a third core leaves a host process that no parent waits for, and whose
 * proxy is elsewhere (client/exec_far.c). That one comes here too (`moved`): it passes on the signals
 * that came while it left, and then is an heir from the start.
 *
 * A program that comes back to this core is offered to it (client/exec_home.c): then it becomes that.
 * Until it has, or has not, signals are kept.
 *
 * Killed by SIGKILL it says nothing to anybody: whoever reaps it ends the program (client_reap).
 */
#include <asm/errno.h>
#include <asm/ioctls.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/stat.h>
#include <asm/termbits.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>

#include "base/host.h"
#include "base/race.h"
#include "base/str.h"
#include "base/sys.h"
#include "proto/hio.h"
#include "proto/rpc.h"
#include "sched/sched.h"

#define RETRY_NS       20000000
#define SIGNALS	       64
#define QUEUE	       256 /* signals that came and are not relayed yet */
#define ALIASES	       64
#define O_ASYNC_       020000
#define F_SETOWN_      8
#define EXIT_LOST      127
#define WAIT_CONTINUED 0xffff
#define BIT(sig)       (1ULL << ((sig)-1))

struct kaction {
	u64 handler, flags, restorer, mask;
};

struct arrived {
	u32 sig;
	bool terminal; /* the kernel's, not a process's */
	u8 info[SIGNAL_INFO_SIZE] __attribute__((aligned(8)));
};

/* The state of the only thread. */
static struct proxy {
	struct island isl;
	struct ctx ctx;
	struct proc *proc;
	u32 seq; /* of the event that wakes us */
	u32 changes; /* of proc.changes, dealt with */
	u32 foreground; /* a group of the program's core that stands for ours at the terminal */
	u32 round; /* of trying operations */
	u32 held; /* descriptors that were passed on and not closed yet */
	bool heir; /* its program has ended, or moved on */
	bool moved; /* it was a program from elsewhere, which went on */
	bool pinned; /* moved: the program has not begun where it went */
	bool waiting; /* operations wait for a descriptor without O_ASYNC */
	bool woken; /* a SIGCONT of any kind has come */
	u32 head, tail; /* of queue */
	struct arrived queue[QUEUE];
	struct alias {
		u32 fd; /* the descriptor, plus 1 */
		s32 side[2]; /* to read, to write: plus 1; 0: not tried; -1: there is none */
		u64 dev, ino;
	} alias[ALIASES];
	/* the operation in hand */
	bool again; /* it was tried before */
	struct hio io;
	u8 data[HIO_DATA_MAX];
} g;

/* --- signals ------------------------------------------------------------------------------------- */

void sched_proxy_restore(void);
__asm__(".text\n"
	".globl sched_proxy_restore\n"
	".hidden sched_proxy_restore\n"
	"sched_proxy_restore:\n"
	"	mov $15, %eax\n" /* rt_sigreturn */
	"	syscall\n");

static void set_action(int sig, void *handler)
{
	struct kaction act = {
		.handler = (u64)handler,
		.flags = SA_SIGINFO | 0x04000000, /* SA_RESTORER */
		.restorer = (u64)sched_proxy_restore,
		.mask = ~0ULL,
	};

	SYS(rt_sigaction, sig, &act, 0, 8);
}

static bool is_fault(int sig, const siginfo_t *info)
{
	return info->si_code > 0 &&
	       (sig == SIGBUS || sig == SIGSEGV || sig == SIGILL || sig == SIGFPE);
}

/* All signals are blocked in it. Of a full queue the newest are lost, as a full host's are. */
static void on_signal(int sig, siginfo_t *info, void *uc)
{
	(void)uc;
	if (is_fault(sig, info)) { /* of ours: it happens again */
		set_action(sig, (void *)SIG_DFL);
		return;
	}
	if (sig == SIGPIPE && info->si_code == SI_USER && (u32)info->si_pid == g.ctx.tid)
		return; /* a write of ours: the program's core makes its own */
	if (sig == SIGBUS && info->si_code == SI_QUEUE &&
	    (u64)info->si_value.sival_ptr == PROC_CUT_SIGNAL)
		return; /* meant what ran here before */
	g.woken |= sig == SIGCONT;
	if (sig == SIGCONT && info->si_code == SI_QUEUE &&
	    (u64)info->si_value.sival_ptr == PROC_WAKE_SIGNAL)
		return; /* meant us, to follow the program */
	if (sig != SIGIO || info->si_code <= 0) {
		u32 next = (g.tail + 1) % QUEUE;

		if (next != g.head) {
			struct arrived *a = &g.queue[g.tail];

			a->sig = (u32)sig;
			a->terminal = info->si_code == SI_KERNEL;
			memcpy(a->info, info, SIGNAL_INFO_SIZE);
			compiler_barrier();
			g.tail = next;
		}
	}
	msg_event_set(&g.ctx, g.ctx.core, g.ctx.slot, g.seq);
}

static void set_mask(u64 mask)
{
	SYS(rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
}

static void catch_signals(void)
{
	int sig;

	for (sig = 1; sig <= SIGNALS; sig++) {
		switch (sig) {
		case SIGKILL:
		case SIGSTOP:
			break;
		default:
			set_action(sig, (void *)on_signal);
		}
	}
	set_mask(0);
}

static bool takes_signal(const struct arrived *a)
{
	const struct signal_info *info = (const struct signal_info *)a->info;

	if (a->sig == SIGCHLD && info->code > 0)
		return false; /* a child of the process from before its exec */
	return a->sig != SIGCHLD || !a->terminal;
}

static void send_to_group(u32 pgid, struct req_SIGNAL *q)
{
	struct rep_SIGNAL p;
	u32 core;

	q->pid = pgid;
	q->group = 1;
	for (core = 0; core < g.isl.super->cores; core++)
		(void)rpc_signal(&g.ctx, core, q, &p);
}

static u32 target(void)
{
	return __atomic_load_n(&g.proc->target_core, __ATOMIC_ACQUIRE);
}

/* It may move while we ask. */
static void send_to_program(struct req_SIGNAL *q)
{
	struct rep_SIGNAL p;
	u32 core;
	long r;

	do {
		core = target();
		r = rpc_signal(&g.ctx, core, q, &p);
	} while (r == -ESRCH && core != target());
}

/* What a terminal sends, and what wakes a stopped job, is for the program's whole group; with
 * another group of its core in the foreground for that one. */
static void relay_signal(struct arrived *a)
{
	bool job = a->terminal || a->sig == SIGCONT;
	struct signal_info *info = (struct signal_info *)a->info;
	struct req_SIGNAL q = {
		.pid = g.proc->pid,
		.sig = a->sig,
		.group = job ? 2 : 0,
		.info = { a->info, SIGNAL_INFO_SIZE, 0 },
	};

	if (info->code != SI_QUEUE) {
		info->error = SIGNAL_INFO_MARK;
		info->code = SI_QUEUE;
	}
	if (a->terminal && g.foreground)
		send_to_group(g.foreground, &q);
	else
		send_to_program(&q);
}

static void relay_signals(void)
{
	while (g.head != g.tail) {
		struct arrived a = g.queue[g.head];

		compiler_barrier();
		g.head = (g.head + 1) % QUEUE;
		if (takes_signal(&a))
			relay_signal(&a);
	}
}

/* To this process itself, which is about to be the program. Those that are pending in the host came
 * later. */
static void resend_signals(void)
{
	struct {
		s64 s, ns;
	} now = { 0 };
	u64 all = ~0ULL;
	siginfo_t info;
	long sig;

	while ((sig = SYS(rt_sigtimedwait, &all, &info, &now, 8)) > 0)
		on_signal((int)sig, &info, NULL);
	for (; g.head != g.tail; g.head = (g.head + 1) % QUEUE) {
		struct arrived *a = &g.queue[g.head];

		if (takes_signal(a))
			SYS(rt_sigqueueinfo, g.proc->host_pid, a->sig, a->info);
	}
}

/* --- as the program, so its proxy ------------------------------------------------------------------ */

static void raise_default(int sig)
{
	set_action(sig, (void *)SIG_DFL);
	set_mask(~BIT(sig));
	SYS(kill, g.proc->host_pid, sig);
	set_mask(0);
	set_action(sig, (void *)on_signal);
}

static _Noreturn void end_as(u32 status)
{
	struct {
		u64 cur, max;
	} no_core = { 0, 0 };
	u32 sig = status & 0x7f;

	msg_slot_give(&g.ctx);
	if (sig) {
		SYS(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
		SYS(setrlimit, RLIMIT_CORE, &no_core);
		raise_default((int)sig);
		SYS(exit_group, 128 + sig);
	}
	for (;;)
		SYS(exit_group, status >> 8 & 0xff);
}

/* --- aliases --------------------------------------------------------------------------------------- */

static bool can_alias(const struct stat *st)
{
	u64 major = st->st_rdev >> 8 & 0xfff;

	if ((st->st_mode & 0170000) == 0010000)
		return true;
	/* terminals; a pty's master would be another one */
	return (st->st_mode & 0170000) == 0020000 &&
	       (major == 4 || (major >= 136 && major <= 143));
}

/* Open for one direction alone, whatever the descriptor is: see alias_quiet. */
static s32 alias_open(struct alias *at, u32 fd, bool out)
{
	long acc = out ? O_WRONLY : O_RDONLY, flags, a;
	char path[32];
	struct stat st;

	if (sys_failed(SYS(fstat, fd, &st)) || !can_alias(&st))
		return -1;
	flags = SYS(fcntl, fd, F_GETFL);
	if (sys_failed(flags) ||
	    ((flags & O_ACCMODE) != O_RDWR && (flags & O_ACCMODE) != acc))
		return -1;
	str_format(path, sizeof(path), "/proc/self/fd/%u", fd);
	a = SYS(open, path, acc | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	if (sys_failed(a))
		return -1;
	SYS(fcntl, a, F_SETOWN_, g.proc->host_pid);
	SYS(fcntl, a, F_SETFL, acc | O_NONBLOCK | O_ASYNC_);
	at->dev = st.st_dev;
	at->ino = st.st_ino;
	return (s32)a + 1;
}

static struct alias *alias_find(u32 fd)
{
	u32 i;

	for (i = 0; i < ALIASES; i++)
		if (g.alias[i].fd == fd + 1)
			return &g.alias[i];
	return NULL;
}

/* A descriptor for the same that does not block, or -1. */
static s32 alias_of(u32 fd, bool out)
{
	struct alias *a = alias_find(fd);
	u32 i;

	for (i = 0; !a && i < ALIASES; i++) {
		if (g.alias[i].fd)
			continue;
		a = &g.alias[i];
		*a = (struct alias){ .fd = fd + 1 };
	}
	if (!a)
		return -1;
	if (!a->side[out])
		a->side[out] = alias_open(a, fd, out);
	return a->side[out] > 0 ? a->side[out] - 1 : -1;
}

static void side_close(struct alias *a, u32 side)
{
	if (a->side[side] > 0)
		SYS(close, a->side[side] - 1);
	a->side[side] = 0;
}

static void alias_close(u32 fd)
{
	struct alias *a = alias_find(fd);

	if (!a)
		return;
	side_close(a, 0);
	side_close(a, 1);
	a->fd = 0;
}

/* A read of an empty FIFO, too, tells its writers that there may be room, and the other way round: of one
 * that we have open both ways our own attempt would wake us without end. The other way is opened
 * anew when it is used next. */
static void alias_quiet(u32 fd, bool out)
{
	const struct alias *a = alias_find(fd);
	u32 i;

	for (i = 0; a && i < ALIASES; i++) {
		struct alias *b = &g.alias[i];

		if (b->fd && b->side[!out] > 0 && b->ino == a->ino && b->dev == a->dev)
			side_close(b, !out);
	}
}

/* --- operations ------------------------------------------------------------------------------------ */

static u32 ready(u32 fd, u32 events)
{
	struct pollfd p = { .fd = (int)fd, .events = (short)events };
	long r = SYS(poll, &p, 1, 0);

	return sys_failed(r) ? POLLNVAL : (u32)(u16)p.revents;
}

#define NOT_YET (-100001L)

/* A program that was stopped while it waited for its terminal: what is typed now is for others. (Of
 * another kernel's programs nobody here knows.) Costs a look into /proc for what is typed to a program
 * that waits. */
static bool owner_stopped(u32 fd)
{
	char path[32], buf[128], *p;
	struct termios tio;
	long f, n;

	if (!g.again || mem_separate(g.isl.super) || SYS(ioctl, fd, TCGETS, &tio))
		return false;
	str_format(path, sizeof(path), "/proc/%u/stat", (u32)g.io.owner);
	f = SYS(open, path, O_RDONLY | O_CLOEXEC, 0);
	if (sys_failed(f))
		return false;
	n = SYS(read, f, buf, sizeof(buf) - 1);
	SYS(close, f);
	buf[MAX(n, 0L)] = '\0';
	p = strrchr(buf, ')');
	return p && p[1] == ' ' && p[2] == 'T';
}

/* Reads or writes what can be now. NOT_YET: nothing, and the descriptor is one that blocks. */
static long transfer(u32 fd, bool out)
{
	u32 len = out ? g.io.len : hio_room(HIO_READ, g.io.a, 0);
	s32 alias = alias_of(fd, out);
	bool blocks = !(SYS(fcntl, fd, F_GETFL) & O_NONBLOCK);
	u32 use = alias >= 0 ? (u32)alias : fd;
	long r;

	if (blocks && alias < 0 && !ready(fd, out ? POLLOUT : POLLIN))
		return NOT_YET;
	if (!out && blocks && ready(fd, POLLIN) && owner_stopped(fd)) {
		g.waiting = true;
		return NOT_YET;
	}
	if (out && blocks && alias < 0 && len > 4096)
		len = 4096; /* a pipe with room has that much */
	r = out ? SYS(write, use, g.data, len) : SYS(read, use, g.data, len);
	if (r == -EAGAIN && blocks) {
		alias_quiet(fd, out);
		return NOT_YET;
	}
	if (r ==
	    -EINTR) /* a terminal's answer to a background job, or a signal to relay first */
		return g.head != g.tail ? -HARE_ERESTARTSYS : NOT_YET;
	return r;
}

static long do_ppid(void)
{
	struct ck *ck = g.ctx.ck;
	u32 host = (u32)SYS(getppid);
	struct proc *p;
	u32 pid = host;

	if (host == g.proc->host_ppid)
		return (long)g.proc->ppid;
	ck_lock(&g.ctx, ck);
	p = proc_by_host_pid(ck, host);
	if (p)
		pid = p->pid;
	else if (host == proc_root(ck)->agent_pid)
		pid = 1;
	ck_unlock(ck);
	return (long)pid;
}

/* The host's number of a group of this core in our own session; 0: there is none. */
static u32 host_group(u32 pgid)
{
	struct ck *ck = g.ctx.ck;
	struct proc_root *r = proc_root(ck);
	u32 found = 0;
	struct list *l;

	ck_lock(&g.ctx, ck);
	for (l = r->all.next; l != &r->all && !found; l = l->next) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		/* a program started from afar is in its agent's session */
		if (p->pgid == pgid && p->sid == g.proc->sid && p->host_pgid == pgid)
			found = pgid;
	}
	ck_unlock(ck);
	return found;
}

static void note_group(u32 pgid, u32 host_pgid, u32 sid)
{
	struct ck *ck = g.ctx.ck;

	ck_lock(&g.ctx, ck);
	TX_SET(ck, g.proc->pgid, pgid);
	TX_SET(ck, g.proc->host_pgid, host_pgid);
	if (sid)
		TX_SET(ck, g.proc->sid, sid);
	ck_unlock(ck);
}

static void note_ids(u64 a, u64 b)
{
	struct ck *ck = g.ctx.ck;

	ck_lock(&g.ctx, ck);
	TX_SET(ck, g.proc->cred.uid, (u32)a);
	TX_SET(ck, g.proc->cred.gid, (u32)b);
	TX_SET(ck, g.proc->ruid, (u32)(a >> 32));
	TX_SET(ck, g.proc->suid, (u32)(b >> 32));
	ck_unlock(ck);
}

/* Another user's signals: as the host forgets it for a process that changes them itself. */
static void new_user(u32 uid, u32 gid)
{
	if (uid != g.proc->cred.uid || gid != g.proc->cred.gid)
		SYS(prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
}

/* This process is the one that has the program's parent. */
static long do_pdeathsig(u64 sig)
{
	s32 now = 0;

	if (sig != PDEATHSIG_ASK)
		return SYS(prctl, PR_SET_PDEATHSIG, sig, 0, 0, 0);
	SYS(prctl, PR_GET_PDEATHSIG, &now, 0, 0, 0);
	return now;
}

static long do_setpgid(u32 pgid)
{
	u32 host = pgid ? host_group(pgid) : g.proc->host_pid;
	long r = SYS(setpgid, 0, host ? host : pgid);

	if (!r)
		note_group(pgid ? pgid : g.proc->pid, host ? host : pgid, 0);
	return r;
}

static long do_setsid(void)
{
	long r = SYS(setsid);

	if (sys_failed(r))
		return r;
	note_group(g.proc->pid, g.proc->host_pid, g.proc->pid);
	return 0;
}

/* A terminal's foreground group. Groups that exist on the program's core alone are stood for by
 * the proxy's own. */
static long do_set_foreground(u32 fd)
{
	struct proc *p;
	u32 pgid, host;
	u64 all = ~0ULL;
	long r;

	if (g.io.len < sizeof(pgid))
		return -EINVAL;
	memcpy(&pgid, g.data, sizeof(pgid));
	ck_lock(&g.ctx, g.ctx.ck);
	p = proc_from_console(g.ctx.ck, pgid);
	host = pgid && p ? p->host_pid : 0;
	ck_unlock(g.ctx.ck);
	if (host)
		return SYS(kill, host, SIGTTOU);
	host = host_group(pgid);
	if (!host)
		host = (u32)SYS(getpgid, 0);
	SYS(rt_sigprocmask, SIG_SETMASK, &all, 0,
	    8); /* no SIGTTOU for a shell's own change */
	r = SYS(ioctl, fd, TIOCSPGRP, &host);
	set_mask(0);
	if (!r)
		g.foreground = host_group(pgid) ? 0 : pgid;
	return r;
}

static long do_get_foreground(u32 fd)
{
	struct ck *ck = g.ctx.ck;
	struct proc_root *root = proc_root(ck);
	u32 pgid;
	long r = SYS(ioctl, fd, TIOCGPGRP, &pgid);
	struct list *l;

	if (r)
		return r;
	if (g.foreground && pgid == (u32)SYS(getpgid, 0)) {
		pgid = g.foreground;
	} else {
		ck_lock(&g.ctx, ck);
		for (l = root->all.next; l != &root->all; l = l->next) {
			struct proc *p = LIST_ENTRY(l, struct proc, all);

			if (p->host_pgid == pgid) {
				pgid = p->pgid;
				break;
			}
		}
		ck_unlock(ck);
	}
	memcpy(g.data, &pgid, sizeof(pgid));
	return 0;
}

static long do_ioctl(u32 fd)
{
	if (g.io.a == TIOCSPGRP)
		return do_set_foreground(fd);
	if (g.io.a == TIOCGPGRP && g.io.len >= sizeof(u32))
		return do_get_foreground(fd);
	return SYS(ioctl, fd, g.io.a, g.io.len ? (u64)g.data : g.io.b);
}

static long do_path(u32 fd)
{
	char path[32];
	long r;

	str_format(path, sizeof(path), "/proc/self/fd/%u", fd);
	r = SYS(readlink, path, g.data, PATH_LEN_MAX);
	g.io.len = r > 0 ? (u32)r : 0;
	return r;
}

static long do_open(void)
{
	if (!g.io.len || g.data[g.io.len - 1])
		return -EINVAL;
	return SYS(open, g.data, g.io.a | O_CLOEXEC, g.io.b);
}

static long do_poll(u32 fd, bool now)
{
	u32 got;

	/* their signals say when to look again */
	if (!now && g.io.a & POLLIN)
		(void)alias_of(fd, false);
	if (!now && g.io.a & POLLOUT)
		(void)alias_of(fd, true);
	got = ready(fd, (u32)g.io.a);
	return got || now ? (long)got : NOT_YET;
}

static long do_close(u32 fd)
{
	long r;

	alias_close(fd);
	r = SYS(close, fd);
	if (!r && g.held)
		g.held--;
	return r;
}

/* A new descriptor that somebody will hold: its number for HOST_IO. */
static long passed_on(long fd)
{
	if (sys_failed(fd))
		return fd;
	g.held++;
	return (long)hio_number(g.proc->relay_tag, (u32)fd);
}

static long perform(void)
{
	struct hio *h = &g.io;
	u32 fd = hio_fd(h->fd);

	switch (h->op) {
	case HIO_READ:
		return transfer(fd, false);
	case HIO_WRITE:
		return transfer(fd, true);
	case HIO_PREAD:
		return SYS(pread64, fd, g.data, hio_room(HIO_PREAD, h->a, 0), h->b);
	case HIO_PWRITE:
		return SYS(pwrite64, fd, g.data, h->len, h->b);
	case HIO_POLL:
		return do_poll(fd, true);
	case HIO_WATCH:
		return do_poll(fd, false);
	case HIO_LSEEK:
		return SYS(lseek, fd, h->a, h->b);
	case HIO_FSTAT:
		h->len = sizeof(struct stat);
		return SYS(fstat, fd, g.data);
	case HIO_IOCTL:
		return do_ioctl(fd);
	case HIO_FCNTL:
		return SYS(fcntl, fd, h->a, h->b);
	case HIO_FSYNC:
		return h->a ? SYS(fdatasync, fd) : SYS(fsync, fd);
	case HIO_FTRUNCATE:
		return SYS(ftruncate, fd, h->a);
	case HIO_FALLOCATE:
		return SYS(fallocate, fd, h->a, h->b, h->c);
	case HIO_CLOSE:
		return do_close(fd);
	case HIO_DUP:
		return passed_on(SYS(fcntl, fd, F_DUPFD_CLOEXEC, 3));
	case HIO_OPEN:
		return passed_on(do_open());
	case HIO_GETPPID:
		return do_ppid();
	case HIO_SETPGID:
		return do_setpgid((u32)h->a);
	case HIO_SETSID:
		return do_setsid();
	case HIO_FCHMOD:
		return SYS(fchmod, fd, h->a);
	case HIO_FCHOWN:
		return SYS(fchown, fd, h->a, h->b);
	case HIO_FUTIMENS:
		return SYS(utimensat, fd, 0, h->len == 32 ? g.data : NULL, 0);
	case HIO_PATH:
		return do_path(fd);
	case HIO_PDEATHSIG:
		return do_pdeathsig(h->a);
	case HIO_CRED:
		new_user((u32)h->a, (u32)h->b);
		note_ids(h->a, h->b);
		return 0;
	case HIO_ENTERED:
		g.pinned = false;
		return 0;
	default:
		return -EINVAL;
	}
}

/* Takes the next operation that was not tried in this round. */
static bool take(void)
{
	struct ck *ck = g.ctx.ck;
	struct list *l;
	bool got = false;

	ck_lock(&g.ctx, ck);
	for (l = g.proc->hio.next; l != &g.proc->hio && !got; l = l->next) {
		struct hio *h = LIST_ENTRY(l, struct hio, link);

		if (h->state != HIO_QUEUED &&
		    (h->state != HIO_WAITING || h->round == g.round))
			continue;
		g.again = h->state == HIO_WAITING;
		TX_SET(ck, h->state, HIO_BUSY);
		TX_SET(ck, h->round, g.round);
		memcpy(&g.io, h, sizeof(*h));
		memcpy(g.data, h->data, h->len);
		got = true;
	}
	ck_unlock(ck);
	return got;
}

static struct hio *find(u32 tag)
{
	struct list *l;

	for (l = g.proc->hio.next; l != &g.proc->hio; l = l->next)
		if (LIST_ENTRY(l, struct hio, link)->tag == tag)
			return LIST_ENTRY(l, struct hio, link);
	return NULL;
}

static void store_data(struct hio *h, long r)
{
	switch (h->op) {
	case HIO_READ:
	case HIO_PREAD:
		h->len = r > 0 ? (u32)r : 0;
		break;
	case HIO_FSTAT:
	case HIO_PATH:
		h->len = r < 0 ? 0 : g.io.len;
		break;
	case HIO_IOCTL:
		h->len = r < 0 ? 0 : h->len;
		break;
	default:
		h->len = 0;
	}
	memcpy(h->data, g.data, h->len);
}

/* Nobody reads data and result before the state says DONE, so they need no log. */
static void finish(long r)
{
	struct ck *ck = g.ctx.ck;
	struct rpc_env e = {
		.c = &g.ctx, .ck = ck, .srv = ck->core, .core = ck->core, .far = true
	};
	struct hio *h;

	ck_lock(&g.ctx, ck);
	h = find(g.io.tag);
	if (h && h->op == HIO_FORGET) {
		tx_list_del(ck, &h->link);
		ck_free(ck, h);
	} else if (h && r == NOT_YET) {
		TX_SET(ck, h->state, HIO_WAITING);
	} else if (h) {
		if (h->seq)
			rpc_wake(&e, h->core, h->slot, h->seq);
		store_data(h, r);
		h->result = r;
		TX_SET(ck, h->state, HIO_DONE);
		if (h->op == HIO_WATCH || h->op == HIO_CLOSE || h->op == HIO_ENTERED) {
			tx_list_del(ck, &h->link);
			ck_free(ck, h);
		}
	}
	ck_commit(ck);
	msg_flush(&g.ctx, ck);
	ck_unlock(ck);
}

static bool has_signal(u32 fd)
{
	struct alias *a = alias_find(fd);

	return a && (a->side[0] > 0 || a->side[1] > 0);
}

static void hio_run(void)
{
	g.round++;
	g.waiting = false;
	while (take()) {
		long r = perform();

		if (r == NOT_YET && !has_signal(hio_fd(g.io.fd)))
			g.waiting = true;
		finish(r);
	}
}

/* From here on the handlers' wake-ups find us; what they did before is looked at next. */
static void listen(void)
{
	struct ck *ck = g.ctx.ck;

	g.seq = msg_event_prepare(&g.ctx);
	compiler_barrier();
	ck_lock(&g.ctx, ck);
	TX_SET(ck, g.proc->proxy_slot, g.ctx.slot);
	TX_SET(ck, g.proc->proxy_seq, g.seq);
	ck_unlock(ck);
}

/* --- the heir ------------------------------------------------------------------------------------ */

/* The entry that an heir will have, with all operations that are under way; NULL: no memory. */
static struct proc *heir_entry(void)
{
	struct ck *ck = g.ctx.ck;
	struct proc *h;

	ck_lock(&g.ctx, ck);
	h = proc_new(ck);
	if (h) {
		h->flags = PROC_HEIR | PROC_REPORTED;
		h->heir_of = g.proc->host_pid;
		h->relay_tag = g.proc->relay_tag;
		h->hio_next = g.proc->hio_next;
		h->maker = g.ctx.tid;
		h->start_ns = host_monotonic_ns();
		h->cred = g.proc->cred;
		memcpy(h->comm, g.proc->comm, sizeof(h->comm));
		while (!list_empty(&g.proc->hio)) {
			struct list *l = g.proc->hio.next;

			tx_list_del(ck, l);
			tx_list_add_tail(ck, &h->hio, l);
		}
		TX_SET(ck, g.proc->flags, g.proc->flags | PROC_HANDED);
	}
	ck_unlock(ck);
	return h;
}

/* In the heir, whose signals are blocked: from here on it is a proxy without a program. */
static void heir_begin(struct proc *h)
{
	struct ck *ck = g.ctx.ck;
	u32 i, pid = (u32)SYS(getpid);

	race_point("heir", RACE_AT);
	g.ctx.tid = pid;
	g.heir = true;
	if (msg_slot_take(&g.ctx))
		SYS(exit_group, EXIT_LOST);
	ck_lock(&g.ctx, ck);
	proc_set_host_pid(ck, h, pid);
	TX_SET(ck, h->state, PROC_PROXY);
	ck_unlock(ck);
	g.proc = h;
	__atomic_store_n(&proc_root(ck)->wake_agent, 1, __ATOMIC_SEQ_CST);
	msg_ring(g.ctx.isl, g.ctx.core, 0);
	for (i = 0; i < 2 * ALIASES; i++)
		if (g.alias[i / 2].fd && g.alias[i / 2].side[i % 2] > 0)
			SYS(fcntl, g.alias[i / 2].side[i % 2] - 1, F_SETOWN_, pid);
	g.head = g.tail;
	listen();
	set_mask(0);
}

static bool hand_over(void)
{
	struct proc *h = heir_entry();
	long pid = 0;

	if (!h)
		return false;
	race_point("handed", RACE_AT);
	set_mask(~0ULL);
	/* The heir is known from its birth on: this process may be gone before it has run. */
	pid = SYS(clone, CLONE_PARENT_SETTID, 0, &h->born, 0, 0);
	if (!pid)
		heir_begin(h);
	return !pid;
}

/* The program is elsewhere and has another proxy. Signals that came on its way are passed on
 * first; from here on nobody takes this process for it. */
static void moved_on(void)
{
	struct ck *ck = g.ctx.ck;
	struct proc *p = g.proc;

	race_point("moved on", RACE_AT);
	relay_signals();
	set_mask(~0ULL);
	relay_signals();
	race_point("moved last", RACE_AT);
	ck_lock(&g.ctx, ck);
	TX_SET(ck, p->flags, p->flags | PROC_HEIR | PROC_REPORTED);
	TX_SET(ck, p->heir_of, p->host_pid);
	TX_SET(ck, p->pid, 0);
	ck_unlock(ck);
	g.heir = true;
	set_mask(0);
}

/* Nobody holds anything any more. Of one that was a program the agent, its parent, frees what is
 * left. */
static void heir_end(void)
{
	struct ck *ck = g.ctx.ck;
	struct list *l = g.proc->hio.next;
	bool idle;

	ck_lock(&g.ctx, ck);
	idle = l == &g.proc->hio;
	if (idle && !g.moved)
		proc_free(ck, g.proc);
	ck_unlock(ck);
	if (!idle)
		return;
	msg_slot_give(&g.ctx);
	for (;;)
		SYS(exit_group, 0);
}

/* The program has ended. What it closed at its end is closed here first. */
static void leave(u32 status)
{
	hio_run();
	race_point("leaving", RACE_AT);
	if (!g.held || !hand_over())
		end_as(status);
}

static bool is_stopped(u32 status)
{
	return (status & 0xff) == 0x7f;
}

/* What the program does now. If it is stopped, so are we about to be: who hears that it goes on sends
 * SIGCONT until that is over (sched.c). */
static u32 look_at_program(void)
{
	struct ck *ck = g.ctx.ck;
	u32 status;

	ck_lock(&g.ctx, ck);
	g.changes = g.proc->changes;
	status = g.proc->exit_status;
	TX_SET(ck, g.proc->stops, proc_is_stopped(g.proc));
	ck_unlock(ck);
	return status;
}

static bool has_queued(u32 sig)
{
	for (u32 i = g.head; i != g.tail; i = (i + 1) % QUEUE)
		if (g.queue[i].sig == sig)
			return true;
	return false;
}

/* Not if the program is to be continued already: a stop would take that away. */
static void stop_as(int sig)
{
	u64 pending = 0;

	race_point("stopping", RACE_AT);
	g.woken = false;
	set_mask(~0ULL);
	SYS(rt_sigpending, &pending, 8);
	if (!has_queued(SIGCONT) && !(pending & BIT(SIGCONT)))
		raise_default(sig);
	set_mask(0);
}

/* What stopped it there does not stop us: our group is orphaned, so nobody would ever continue it, and the
 * signal should have been ignored. Marked as what wakes a proxy: no handler runs. */
static void continue_program(void)
{
	union {
		struct signal_info i;
		u8 room[SIGNAL_INFO_SIZE];
	} info = {
		.i = { .signo = SIGCONT, .code = SI_QUEUE, .value = PROC_WAKE_SIGNAL }
	};
	struct req_SIGNAL q = {
		.pid = g.proc->pid,
		.tid = g.proc->pid,
		.sig = SIGCONT,
		.info = { &info, SIGNAL_INFO_SIZE, 0 },
	};

	send_to_program(&q);
}

static void stop_no_more(void)
{
	ck_lock(&g.ctx, g.ctx.ck);
	TX_SET(g.ctx.ck, g.proc->stops, 0);
	ck_unlock(g.ctx.ck);
}

/* Stops as often as the program has; what wakes us while that is stopped came late. A SIGCONT of the
 * program's own is relayed next. What the program does then. */
static u32 stop_with_program(u32 status)
{
	do {
		u32 changes = g.changes, sig = status >> 8 & 0xff;

		stop_as((int)sig);
		if (has_queued(SIGCONT)) {
			stop_no_more();
			return WAIT_CONTINUED;
		}
		status = look_at_program();
		if (is_stopped(status) && !g.woken && sig != SIGSTOP &&
		    changes == g.changes) {
			stop_no_more();
			continue_program();
			return WAIT_CONTINUED;
		}
	} while (is_stopped(status));
	return status;
}
static void follow_program(void)
{
	u32 status;

	if (__atomic_load_n(&g.proc->changes, __ATOMIC_ACQUIRE) == g.changes)
		return;
	status = look_at_program();
	if (is_stopped(status))
		status = stop_with_program(status);
	if (status != WAIT_CONTINUED) /* as we are */
		leave(status);
}

/* --- the program comes back ------------------------------------------------------------------------ */

/* Once MOVED has come, what it closed elsewhere has been asked for; and is done, when nothing is queued. */
static bool has_moved(bool *idle)
{
	struct ck *ck = g.ctx.ck;
	const struct proc *p = g.proc;
	bool moved;

	ck_lock(&g.ctx, ck);
	moved = p->offer && p->hop >= p->offer->hop && p->target_core == g.ctx.core;
	*idle = list_empty(&p->hio);
	for (struct list *l = p->hio.next; l != &p->hio; l = l->next)
		moved &= LIST_ENTRY(l, struct hio, link)->state != HIO_QUEUED;
	ck_unlock(ck);
	return moved;
}

static void come_home(sched_home *home, struct task *arg)
{
	struct ck *ck = g.ctx.ck;
	struct rpc_env e = {
		.c = &g.ctx, .ck = ck, .srv = ck->core, .core = ck->core, .unlocked = true
	};
	bool idle;

	if (g.heir || !g.proc->offer || !has_moved(&idle))
		return;
	if (idle && home) {
		set_mask(~0ULL);
		home(arg, &g.ctx, g.proc, g.held, resend_signals);
		set_mask(0);
	}
	ck_lock(&g.ctx, ck);
	proc_offer_back(&e, g.proc);
	msg_unlock(&g.ctx, ck);
}

/* --- life ------------------------------------------------------------------------------------------ */

static u64 argument(const char *args, const char *key)
{
	size_t len = strlen(key);
	u64 v = 0;

	for (; args; args = strchr(args, ',') ? strchr(args, ',') + 1 : NULL) {
		if (strncmp(args, key, len))
			continue;
		for (args += len; *args >= '0' && *args <= '9'; args++)
			v = v * 10 + (u64)(*args - '0');
		return v;
	}
	return ~0ULL;
}

static long attach(const char *args)
{
	struct mem_fds fds = { (s32)argument(args, "dram="),
			       (s32)argument(args, "copy=") };
	u32 core = (u32)argument(args, "core="), pid;
	struct super head;
	long r = SYS(pread64, fds.dram, &head, offsetof(struct super, model), 0);

	if (sys_failed(r))
		return r;
	if (core >= head.cores)
		return -EINVAL;
	r = mem_map(&g.isl, &fds, mem_island_of(&head, core));
	if (r)
		return r;
	rpc_init();
	g.moved = g.pinned = argument(args, "moved=") == 1;
	g.held = (u32)argument(args, "relays=");
	g.ctx = (struct ctx){
		.isl = &g.isl,
		.ck = mem_ck(&g.isl, core),
		.core = core,
		.tid = (u32)SYS(gettid),
	};
	pid = (u32)SYS(getpid);
	ck_lock(&g.ctx, g.ctx.ck);
	g.proc = proc_by_host_pid(g.ctx.ck, pid);
	ck_unlock(g.ctx.ck);
	if (!g.proc || g.proc->state != PROC_PROXY)
		return -ESRCH;
	return msg_slot_take(&g.ctx);
}

_Noreturn void sched_proxy_main(const char *args, sched_home *home, struct task *arg)
{
	struct {
		struct {
			s64 s, us;
		} interval, value;
	} no_timer = { 0 };

	set_mask(~0ULL);
	for (u32 i = 0; i < EXEC_TIMERS; i++)
		SYS(setitimer, i, &no_timer, 0); /* the program took it along */
	if (attach(args))
		SYS(exit_group, EXIT_LOST);
	SYS(prctl, PR_SET_NAME, g.proc->comm);
	listen();
	catch_signals();
	if (g.moved)
		moved_on();
	for (;;) {
		bool keeps = g.proc->offer;

		if (!g.heir) {
			if (!keeps)
				relay_signals();
			follow_program();
		}
		g.head = g.heir ? g.tail : g.head;
		hio_run();
		if (g.heir && !g.held && !g.pinned)
			heir_end();
		come_home(home, arg);
		if (keeps ? g.proc->offer != NULL : g.head == g.tail)
			(void)msg_event_wait(&g.ctx, g.seq, g.waiting ? RETRY_NS : -1);
		listen();
	}
}
