/* SPDX-License-Identifier: MIT */
/*
 * An exec that brings a program back to the core where its proxy is: the proxy becomes the program
 * again, with its own pid, terminal and descriptors. (Proxy reuse, EuroSys paper section 3.5; theirs did
 * not.) Host process a, on core A, is the proxy; b, on core B, leaves.
 *
 *   step                              b's entry           a's entry          entry there (A)
 *   1 EXEC comes; A's agent offers    PROXY of (A, a)     offer: the job     -
 *     the job to a
 *   2 MOVED comes: b holds nothing    PROXY               target A           -
 *   3 a has looked: all that it       PROXY               offer, taken       -
 *     serves is the program's
 *   4 a receives the image            PROXY               offer, taken       NEW
 *   5 takes on the program's state;   ends, or is an      offer, taken       NEW
 *     HIO_ENTERED to B                heir
 *   6 one transaction                 -                   -                  RUNNING, its host pid is a
 *   7 the host executes the loader
 *
 * It is no proxy's business any more at 3: then, and whenever something else speaks against it (who else
 * has a descriptor, another user, no memory), the job goes back to the agent, and the program is started
 * beside the proxy as on any other core. That is also what becomes of the job when a is killed before 6:
 * the agent drops what a had entered, starts the program, and ends it by the signal that a's reaper sends,
 * as for any proxy that is killed. When b is killed before 2, its agent reports that to a, whose job is
 * taken back by that: as well the same as elsewhere. After 3 that report is no longer heard; b's agent sends
 * the program SIGKILL, too.
 *
 * Signals for the program: from 1 on its pid is a's again for all on this core, and a keeps what comes;
 * between 5 and 7, with all signals blocked, it sends itself what it has kept.
 */
#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/prctl.h>

#include "base/race.h"
#include "base/str.h"
#include "base/sys.h"
#include "client/exec.h"
#include "client/file.h"
#include "client/path.h"
#include "proto/hio.h"
#include "proto/rpc.h"

#define POINTERS    (1u << 20)
#define EXIT_CANNOT 126

struct home {
	struct exec_start st;
	u32 len; /* of the image */
	u32 hop, from_core, from_pid;
	u64 ino; /* the image's file, or 0 */
	char *image;
	char **pointers;
	s32 *aside; /* copies of the descriptors that the program will have, in the image's order */
	u32 asides;
	void (*resend)(void);
};

#define ROOM (EXEC_IMAGE_MAX + POINTERS * sizeof(char *) + EXEC_FDS_MAX * sizeof(s32))

static bool map_room(struct home *h)
{
	long room = SYS(mmap, 0, ROOM, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (sys_failed(room))
		return false;
	h->image = (char *)room;
	h->pointers = (char **)(h->image + EXEC_IMAGE_MAX);
	h->aside = (s32 *)(h->pointers + POINTERS);
	return true;
}

/* The job, as long as it is there: who takes it back may free it at once. */
static bool read_job(struct task *t, struct home *h)
{
	struct ck *ck = t->ctx.ck;
	struct sched_job *j;

	ck_lock(&t->ctx, ck);
	j = h->st.proxy->offer;
	if (j) {
		h->st.job = j;
		h->len = j->len;
		h->hop = j->hop;
		h->ino = j->ino;
		h->from_core = j->from_core;
		h->from_pid = j->from_pid;
		if (!j->ino)
			memcpy(h->image, j->data, j->len);
	}
	ck_unlock(ck);
	return j;
}

/* The proxy's user can be the program's. */
static bool ids_fit(const struct exec_image *im)
{
	u32 u[3], g[3];

	if (SYS(geteuid) == 0)
		return true;
	SYS(getresuid, &u[0], &u[1], &u[2]);
	SYS(getresgid, &g[0], &g[1], &g[2]);
	return u[0] == im->ruid && u[1] == im->euid && u[2] == im->suid &&
	       g[0] == im->rgid && g[1] == im->egid && g[2] == im->sgid;
}

static u32 lowest_aside(struct task *t, const struct home *h)
{
	u32 max = 0;

	for (u32 i = 0; i < h->st.image->fds; i++) {
		const struct image_fd *d = &h->st.fds[i];

		max = MAX(max, (u32)d->fd);
		if (exec_fd_is_home(&h->st, &t->ctx, d))
			max = MAX(max, hio_fd(d->relay_fd));
	}
	return max + 1;
}

static void close_asides(struct home *h)
{
	while (h->asides)
		SYS(close, h->aside[--h->asides]);
}

/* Copies of what the program will have, above all numbers that it will use. False: somebody else has
 * something of the proxy's, or the limit is too low. */
static bool set_aside(struct task *t, struct home *h, u32 held)
{
	u32 lowest = lowest_aside(t, h);

	for (u32 i = 0; i < h->st.image->fds; i++) {
		const struct image_fd *d = &h->st.fds[i];
		long fd;

		if (!exec_fd_is_home(&h->st, &t->ctx, d))
			continue;
		fd = SYS(fcntl, hio_fd(d->relay_fd), F_DUPFD_CLOEXEC, lowest);
		if (sys_failed(fd))
			return false;
		h->aside[h->asides++] = (s32)fd;
		if (fd >= t->ctx.isl->super->fd_base)
			return false; /* among the hidden ones */
	}
	return h->asides == held;
}

/* Step 3. */
static bool take(struct task *t, struct home *h)
{
	struct ck *ck = t->ctx.ck;
	struct proc *proxy = h->st.proxy;
	bool ours;

	ck_lock(&t->ctx, ck);
	ours = proxy->offer == h->st.job && proxy->offer->hop == h->hop;
	if (ours)
		TX_SET(ck, proxy->offer->taken, 1);
	ck_unlock(ck);
	return ours;
}

/* All that the proxy had for others goes, and each of the program's comes to its place; the copies
 * close themselves at exec. */
static void place_fds(struct task *t, struct home *h)
{
	u32 base = (u32)t->ctx.isl->super->fd_base, from = 0, n = 0;

	for (u32 i = 0; i < h->asides; i++) {
		u32 fd = (u32)h->aside[i];

		if (fd > from)
			SYS(close_range, from, fd - 1, 0);
		from = fd + 1;
	}
	if (from < base)
		SYS(close_range, from, base - 1, 0);
	SYS(close_range, base + FD_LOADER + 1, ~0U, 0);
	for (u32 i = 0; i < h->st.image->fds; i++) {
		const struct image_fd *d = &h->st.fds[i];

		if (exec_fd_is_home(&h->st, &t->ctx, d))
			SYS(dup3, h->aside[n++], d->fd, 0);
		else if (exec_fd_goes_home(&h->st, &t->ctx, d))
			SYS(dup3, d->same, d->fd, 0);
	}
}

/* It cannot be started, and so ends here. */
static _Noreturn void fail(struct task *t, struct home *h)
{
	struct proc *proxy = h->st.proxy;
	struct ck *ck = t->ctx.ck;

	t->proc = proxy;
	client_exec_give_up(t, &h->st);
	if (h->st.proc)
		client_reap_new(t, h->st.proc);
	client_exec_drop_file(t, h->ino);
	client_exec_entered(t, h->from_core, h->from_pid);
	ck_lock(&t->ctx, ck);
	TX_SET(ck, proxy->offer, NULL);
	TX_SET(ck, proxy->flags, proxy->flags | PROC_REPORTED);
	ck_free(ck, h->st.job);
	ck_unlock(ck);
	msg_slot_give(&t->ctx);
	for (;;)
		SYS(exit_group, EXIT_CANNOT);
}

/* What only this host knows, and what a program started from afar has otherwise. Lock held. */
static void come_home(struct ck *ck, struct proc *p, const struct proc *proxy)
{
	TX_SET(ck, p->host_ppid, proxy->host_ppid);
	TX_SET(ck, p->host_pgid, proxy->host_pgid);
	TX_SET(ck, p->watched, proxy->watched);
	TX_SET(ck, p->child_user_us, proxy->child_user_us);
	TX_SET(ck, p->child_system_us, proxy->child_system_us);
	TX_SET(ck, p->child_maxrss, proxy->child_maxrss);
	if (p->tty_core == p->proxy_core && p->tty_pid == proxy->host_pid) {
		TX_SET(ck, p->tty_core, MAX_CORES);
		TX_SET(ck, p->tty_pid, 0);
	}
	TX_SET(ck, p->proxy_core, MAX_CORES);
	TX_SET(ck, p->proxy_pid, 0);
	TX_SET(ck, p->state, PROC_RUNNING);
}

/* The program's state, but the signal at its parent's death, which this process has had for it all the time:
 * the host forgets that when ids change, and here they only become what they are. */
static long enter_state(const struct exec_start *st)
{
	s32 sig = 0;
	long r;

	SYS(prctl, PR_GET_PDEATHSIG, &sig, 0, 0, 0);
	r = exec_enter_state(st);
	if (sig)
		SYS(prctl, PR_SET_PDEATHSIG, sig, 0, 0, 0);
	return r;
}

/* Step 6. The file of the image is the program's to drop from here on. False: no memory for that. */
static bool swap(struct task *t, struct home *h)
{
	struct proc *proxy = h->st.proxy, *p = h->st.proc;
	u32 host_pid = proxy->host_pid;
	struct exec_pass *pass = NULL;
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	if (h->ino) {
		pass = exec_pass_file(ck, h->ino);
		if (!pass) {
			ck_unlock(ck);
			return false;
		}
		TX_SET(ck, p->pass, pass);
	}
	come_home(ck, p, proxy);
	ck_free(ck, h->st.job);
	proc_free(ck, proxy);
	proc_set_host_pid(ck, p, host_pid);
	ck_unlock(ck);
	return true;
}

static _Noreturn void become(struct task *t, struct home *h)
{
	struct proc *proxy = h->st.proxy;

	race_point("home taken", RACE_AT);
	client_exec_agent();
	if (exec_receive(t, &h->st))
		fail(t, h);
	race_point("home received", RACE_AT);
	exec_raise_limit();
	place_fds(t, h);
	if (exec_open_devices(&h->st) || enter_state(&h->st))
		fail(t, h);
	client_exec_entered(t, h->from_core, h->from_pid);
	proc_release(t, proxy);
	h->resend();
	if (!swap(t, h))
		fail(t, h);
	t->proc = h->st.proc;
	client_exec_drop_file(t, h->ino);
	exec_pass_done(t, t->proc);
	msg_slot_give(&t->ctx);
	race_point("home swapped", RACE_AT);
	exec_run_loader(t, &h->st);
	for (;;)
		SYS(exit_group, EXIT_CANNOT);
}

void client_exec_home(struct task *t, const struct ctx *c, struct proc *proxy, u32 held,
		      void (*resend)(void))
{
	struct home h = { .st.proxy = proxy, .resend = resend };

	t->ctx = *c;
	t->proc = proxy;
	if (!map_room(&h))
		return;
	if (read_job(t, &h) && (!h.ino || client_exec_read(t, h.ino, h.image, h.len)) &&
	    exec_parse(&h.st, h.image, h.len, h.pointers, POINTERS) &&
	    ids_fit(h.st.image) && set_aside(t, &h, held) && take(t, &h))
		become(t, &h);
	close_asides(&h);
	SYS(munmap, h.image, ROOM);
}
