/* SPDX-License-Identifier: MIT */
/*
 * Processes and their descriptors as other calls name them: clone3's arguments, CLONE_PIDFD,
 * pidfd_getfd; /proc/self, /proc/PID/task and capget of programs that were started anew.
 */
#include "t.h"

#include <dirent.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* A child that ends once it can read from `wait`. */
static pid_t child(int wait, int *pidfd)
{
	struct clone_args args = { .flags = pidfd ? CLONE_PIDFD : 0,
				   .pidfd = (uintptr_t)pidfd,
				   .exit_signal = SIGCHLD };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	char c;

	if (pid == 0)
		_exit(read(wait, &c, 1) != 1);
	return pid;
}

static void t_clone3(void)
{
	struct {
		struct clone_args args;
		char more[200];
	} a = { .args.exit_signal = SIGCHLD };
	pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));

	if (pid == 0)
		_exit(0);
	is_long(t_end(pid), 0, "more than any kernel knows, all 0");
	a.more[150] = 1;
	is_errno(syscall(SYS_clone3, &a, sizeof(a)), E2BIG, "not 0");
	is_errno(syscall(SYS_clone3, &a, 4096UL + 8), E2BIG, "more than a page");
	is_errno(syscall(SYS_clone3, &a, 56UL), EINVAL, "too few");
	is_errno(syscall(SYS_clone3, NULL, sizeof(a)), EFAULT, "none");
	memset(&a, 0, sizeof(a));
	a.args.flags = CLONE_PIDFD;
	a.args.exit_signal = SIGCHLD;
	is_errno(syscall(SYS_clone3, &a, sizeof(a)), EFAULT, "no place for a pidfd");
}

/* The numbers that files have are not those of the host's. */
static void t_clone_pidfd(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644)), p[2], pidfd = -1, low;
	pid_t pid;

	must(pipe(p));
	low = (int)must(dup(fd));
	must(close(low));
	pid = child(p[0], &pidfd);
	is_long(pidfd, low, "the lowest free number");
	is_long(fcntl(pidfd, F_GETFD), FD_CLOEXEC, "close-on-exec");
	is_ok(write(fd, "x", 1), "a file");
	is_ok(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), "it is a pidfd");
	is_ok(write(p[1], "x", 1), "to the child");
	is_long(t_end(pid), 0, "the child");
	is_errno(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), ESRCH,
		 "of one that ended");
	is_ok(close(pidfd), "close");
	is_ok(write(fd, "x", 1), "the file, still");
	is_long(t_size("f"), 2, "its size");
}

static void t_getfd(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644)), p[2], pidfd = -1, got;
	int sock = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	pid_t pid;

	must(pipe(p));
	pid = child(p[0], &pidfd);
	must(write(fd, "abcd", 4));
	must(lseek(fd, 1, SEEK_SET));
	got = (int)is_ok(syscall(SYS_pidfd_getfd, pidfd, fd, 0), "a file");
	is_long(lseek(got, 0, SEEK_CUR), 1, "with its offset");
	must(lseek(got, 3, SEEK_SET));
	is_long(lseek(fd, 0, SEEK_CUR), 3, "which it shares");
	is_long(fcntl(got, F_GETFD), FD_CLOEXEC, "close-on-exec");
	got = (int)is_ok(syscall(SYS_pidfd_getfd, pidfd, p[1], 0), "a pipe");
	is_ok(syscall(SYS_pidfd_getfd, pidfd, sock, 0), "a socket");
	is_errno(syscall(SYS_pidfd_getfd, pidfd, 500, 0), EBADF, "no such descriptor");
	is_errno(syscall(SYS_pidfd_getfd, fd, fd, 0), EBADF, "not of a pidfd");
	is_errno(syscall(SYS_pidfd_getfd, pidfd, fd, 1), EINVAL, "flags");
	is_ok(write(got, "x", 1), "write to the pipe");
	is_long(t_end(pid), 0, "the child read it");
	is_errno(syscall(SYS_pidfd_getfd, pidfd, fd, 0), ESRCH,
		 "of a process that ended");
}

static int in_task_dir(const char *path, pid_t tid)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.' ? atoi(e->d_name) == tid ? 1 : 100 : 0;
	if (d)
		closedir(d);
	return n;
}

/* The first word behind `key` in a file; 0: none. */
static long line_of(const char *path, const char *key)
{
	const char *text = t_get(path), *at = text ? strstr(text, key) : NULL;

	return at ? atol(at + strlen(key)) : 0;
}

/* A program that may be on another core than the one it was born on. */
static int s_numbers(int argc, char **argv)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, getpid() };
	struct __user_cap_data_struct caps[2];
	char path[64], link[64] = { 0 }, want[64];
	struct robust_list_head *list;
	pid_t pid = getpid();
	size_t len;

	if (argc != 0 || !argv)
		return 1;
	snprintf(want, sizeof(want), "%d", pid);
	if (readlink("/proc/self", link, sizeof(link) - 1) < 0 || strcmp(link, want))
		return 2;
	memset(link, 0, sizeof(link));
	snprintf(want, sizeof(want), "%d/task/%d", pid, pid);
	if (readlink("/proc/thread-self", link, sizeof(link) - 1) < 0 ||
	    strcmp(link, want))
		return 3;
	if (in_task_dir("/proc/self/task", pid) != 1)
		return 4;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	if (in_task_dir(path, pid) != 1)
		return 5;
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", pid);
	if (line_of(path, "\nPid:\t") != pid || line_of(path, "\nNSpid:\t") != pid)
		return 6;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
	if (line_of(path, "") != pid)
		return 7;
	if (line_of("/proc/self/status", "\nNSpgid:\t") != getpgid(0) ||
	    line_of("/proc/self/status", "\nNSsid:\t") != getsid(0))
		return 8;
	if (syscall(SYS_capget, &head, caps) || syscall(SYS_capset, &head, caps))
		return 9;
	head.version = 1;
	if (syscall(SYS_capget, &head, NULL) ||
	    head.version != _LINUX_CAPABILITY_VERSION_3)
		return 10;
	if (syscall(SYS_get_robust_list, pid, &list, &len) || len != sizeof(*list))
		return 11;
	return 0;
}

static void t_numbers(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++)
		is_long(t_end(t_start(how, "numbers", NULL)), 0, "how %d", how);
	is_long(t_end(t_start(T_EXEC, "numbers", NULL)), 0, "once more");
}

T_SUBS = { { "numbers", s_numbers }, T_END };

T_SECTIONS = { { "clone3", t_clone3 },
	       { "clone_pidfd", t_clone_pidfd },
	       { "getfd", t_getfd },
	       { "numbers", t_numbers },
	       T_END };
