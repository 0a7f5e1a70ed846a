/* SPDX-License-Identifier: MIT */
/*
 * Kernels of their own for islands, see kernel.h.
 *
 * A process can only make its children enter a PID namespace, and once it has entered a user
 * namespace it does not come back. So the console forks a helper, which enters and makes the
 * wanted process as its sibling (CLONE_PARENT): a child of the console.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/boot.h"
#include "cli/kernel.h"

#define LAST_PID     "/proc/sys/kernel/ns_last_pid"
#define PID_MAX	     "/proc/sys/kernel/pid_max"
#define SPARE_PIDS   1024u /* of a range, beside what its cores' threads need */
#define THREAD_PIDS  2048u /* of a core, at most */
#define BIRTH_PLACES 4u /* a kernel that is born again begins elsewhere in its range */
#define KERNEL_NS    (CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET)

/* What a keeper says that could not do it; its status is the errno. */
enum { STEP_LINE, STEP_MOUNT, STEP_PROC, STEP_PIDS, STEP_NET, STEP_LISTEN };
static const char *const g_steps[] = {
	[STEP_LINE] = "start a process in it",
	[STEP_MOUNT] = "make its mounts its own",
	[STEP_PROC] = "mount its /proc",
	[STEP_PIDS] = "choose its process numbers (" LAST_PID ")",
	[STEP_NET] = "bring its loopback network up",
	[STEP_LISTEN] = "listen for hare commands in it",
};

/* --- process numbers ---------------------------------------------------------------------------- */

static u32 read_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	if (fd >= 0)
		close(fd);
	return (u32)strtoul(text, NULL, 10);
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int set_last_pid(u32 pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", pid);
	return write_text(LAST_PID, text);
}

u32 kernel_span(u32 kernels, u32 cores)
{
	u32 span = read_number(PID_MAX) / kernels;
	u32 each = (cores + kernels - 1) / kernels;

	return span < KERNEL_PIDS_LOW + SPARE_PIDS + each * THREAD_PIDS ? 0 : span;
}

void kernel_turn_pids(u32 first, u32 turn)
{
	u32 last = read_number(LAST_PID);

	if (last >= turn || last < first)
		(void)set_last_pid(first - 1);
}

/* --- entering ------------------------------------------------------------------------------------- */

static long fork_sibling(unsigned long flags)
{
	return syscall(SYS_clone, flags | CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
}

/* Runs `f` in a helper, which makes a child of ours and says its number. In that child: 0. */
static pid_t by_helper(long (*f)(void *), void *arg)
{
	int p[2], status;
	long pid = -EAGAIN;
	pid_t helper;

	if (pipe2(p, O_CLOEXEC))
		return -errno;
	helper = fork();
	if (!helper) {
		pid = f(arg);
		if (!pid) {
			close(p[0]);
			close(p[1]);
			return 0;
		}
		if (write(p[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		_exit(0);
	}
	close(p[1]);
	if (helper < 0)
		pid = -errno;
	else if (read(p[0], &pid, sizeof(pid)) != sizeof(pid))
		pid = -ECHILD;
	close(p[0]);
	while (helper > 0 && waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
	return (pid_t)pid;
}

static bool other_user_namespace(pid_t keeper)
{
	struct stat own, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", keeper);
	return !stat("/proc/self/ns/user", &own) && !stat(path, &its) &&
	       (own.st_ino != its.st_ino || own.st_dev != its.st_dev);
}

static long enter(void *arg)
{
	char cwd[PATH_LEN_MAX] = "";
	pid_t keeper = *(pid_t *)arg;
	int user = other_user_namespace(keeper) ? CLONE_NEWUSER : 0;
	int fd = (int)syscall(SYS_pidfd_open, keeper, 0);
	long pid;

	if (fd < 0)
		return -errno;
	if (!getcwd(cwd, sizeof(cwd)))
		cwd[0] = 0;
	if (setns(fd, CLONE_NEWPID | user))
		return -errno;
	pid = fork_sibling(0);
	if (pid)
		return pid < 0 ? -errno : pid;
	/* the rest is only for the child: the helper needs its old self no more */
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (setns(fd, KERNEL_NS))
		_exit(EXIT_OWN);
	close(fd);
	if (cwd[0] && chdir(cwd))
		(void)!chdir("/");
	return 0;
}

pid_t kernel_fork(pid_t keeper)
{
	return keeper > 0 ? by_helper(enter, &keeper) : -ESRCH;
}

int kernel_reopen(int fd, int flags)
{
	char path[32];
	int new, r = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	new = open(path, flags | O_NOCTTY | O_CLOEXEC);
	if (new < 0)
		return -errno;
	if (dup3(new, fd, flags & O_CLOEXEC) < 0)
		r = -errno;
	close(new);
	return r;
}

/* --- the keeper ----------------------------------------------------------------------------------- */

struct birth {
	const struct kernel *k;
	u32 id, span;
	u64 boot_id;
	int line;
};

static _Noreturn void give_up(int line, int step, int err)
{
	struct agent_msg m = { .op = AGENT_FAILED, .pid = step, .status = err };

	send(line, &m, sizeof(m), MSG_NOSIGNAL);
	_exit(EXIT_OWN);
}

static int loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	if (sock < 0)
		return errno == EAFNOSUPPORT ? 0 : -errno;
	if (ioctl(sock, SIOCGIFFLAGS, &ifr)) {
		r = -errno;
	} else {
		ifr.ifr_flags |= IFF_UP | IFF_RUNNING;
		r = ioctl(sock, SIOCSIFFLAGS, &ifr) ? -errno : 0;
	}
	close(sock);
	return r;
}

/* Tells the console that all is there, with the socket that commands inside connect to. */
static void send_ready(int line, int listener)
{
	struct agent_msg m = { .op = AGENT_READY };
	char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &m, sizeof(m) };
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &listener, sizeof(int));
	if (sendmsg(line, &h, MSG_NOSIGNAL) < 0)
		_exit(EXIT_OWN);
}

static void set_up(const struct birth *b)
{
	u32 place = b->k->births % BIRTH_PLACES * (b->span / 8);
	int by_name, r;

	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		give_up(b->line, STEP_MOUNT, errno);
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		give_up(b->line, STEP_PROC, errno);
	r = set_last_pid(kernel_first_pid(b->span, b->id) + place - 1);
	if (r)
		give_up(b->line, STEP_PIDS, -r);
	r = loopback_up();
	if (r)
		give_up(b->line, STEP_NET, -r);
	r = control_listen(b->boot_id, NULL, &by_name);
	if (r < 0)
		give_up(b->line, STEP_LISTEN, -r);
	send_ready(b->line, r);
	close(r);
}

/* Orphans of this kernel: their agents want to know, and are told by the console. */
static void reap_orphans(int line)
{
	struct agent_msg m = { .op = AGENT_STATUS };

	while ((m.pid = wait4(-1, &m.status, WNOHANG, &m.usage)) > 0)
		send(line, &m, sizeof(m), MSG_NOSIGNAL);
}

static _Noreturn void keeper(const struct birth *b)
{
	struct signalfd_siginfo si;
	struct pollfd p[2];
	sigset_t all;
	int fd;

	setsid();
	prctl(PR_SET_NAME, "hare-kernel");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	dup2(b->line, 0);
	close_range(1, ~0U, 0);
	fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 || chdir("/"))
		give_up(0, STEP_LINE, errno);
	set_up(&(struct birth){ b->k, b->id, b->span, b->boot_id, 0 });
	p[0] = (struct pollfd){ fd, POLLIN, 0 };
	p[1] = (struct pollfd){ 0, 0, 0 }; /* its end */
	for (;;) {
		reap_orphans(0);
		(void)poll(p, 2, -1);
		if (p[1].revents)
			_exit(0);
		while (read(fd, &si, sizeof(si)) == sizeof(si))
			;
	}
}

/* A user namespace in which we are who we are, with all rights over what is made in it. */
static int own_user_namespace(void)
{
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	if (unshare(CLONE_NEWUSER))
		return -errno;
	r = write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	if (!r || r == -ENOENT)
		r = write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	return r ? r : write_text("/proc/self/gid_map", map);
}

static long give_birth(void *arg)
{
	const struct birth *b = arg;
	long pid = fork_sibling(KERNEL_NS | CLONE_NEWPID);

	if (pid < 0 && errno == EPERM) {
		int r = own_user_namespace();

		if (r)
			return r;
		pid = fork_sibling(KERNEL_NS | CLONE_NEWPID);
	}
	if (pid < 0)
		return -errno;
	if (!pid)
		keeper(b);
	return pid;
}

static int receive_ready(struct kernel *k, const char **what)
{
	struct agent_msg m = { 0 };
	char room[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &m, sizeof(m) };
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *c;

	*what = g_steps[STEP_LINE];
	if (recvmsg(k->line, &h, MSG_CMSG_CLOEXEC) != sizeof(m))
		return -ECHILD;
	if (m.op != AGENT_READY) {
		if (m.pid >= 0 && m.pid < (int)ARRAY_SIZE(g_steps))
			*what = g_steps[m.pid];
		return -m.status;
	}
	c = CMSG_FIRSTHDR(&h);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return -ECHILD;
	memcpy(&k->listener, CMSG_DATA(c), sizeof(int));
	return 0;
}

int kernel_start(struct kernel *k, u32 id, u32 span, u64 boot_id, const char **what)
{
	struct birth b = { .k = k, .id = id, .span = span, .boot_id = boot_id };
	int pair[2], r;

	*what = "make its namespaces";
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	b.line = pair[1];
	k->keeper = by_helper(give_birth, &b);
	close(pair[1]);
	k->line = pair[0];
	k->births++;
	if (k->keeper < 0) {
		r = k->keeper;
		k->keeper = 0;
	} else {
		r = receive_ready(k, what);
	}
	if (r)
		kernel_stop(k);
	return r;
}

void kernel_stop(struct kernel *k)
{
	if (k->keeper > 0)
		kill(k->keeper, SIGKILL);
	if (k->line >= 0)
		close(k->line);
	if (k->listener >= 0)
		close(k->listener);
	k->line = k->listener = -1;
}
