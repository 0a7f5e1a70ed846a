/* SPDX-License-Identifier: MIT */
/* The rest of the calls that are this layer's own: placement of images, prctl,
 * arch_prctl, /proc/self/exe. */
#include <asm/prctl.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>

#include "intercept/icpt.h"

#ifndef MAP_DENYWRITE
#define MAP_DENYWRITE 0x0800
#endif

/* Images lie this far apart: the commonest patch targets are 4 MB and 20.8 MB behind a
 * site. */
#define IMAGE_GAP (32UL << 20)

u64 place_image(u64 len)
{
	return __atomic_fetch_add(&g_program.lib_next,
				  ALIGN_UP(len, IMAGE_GAP) + IMAGE_GAP, __ATOMIC_RELAXED);
}

/* A dynamic loader's mapping of a library; only glibc's says MAP_DENYWRITE. */
static bool is_image(const long a[6])
{
	return !a[0] && !(a[3] & (MAP_ANONYMOUS | MAP_FIXED | MAP_SHARED)) &&
	       ((a[3] & MAP_DENYWRITE) || (a[2] & PROT_EXEC));
}

long icpt_mmap(struct task *task, long a[6])
{
	long ret;

	if ((a[3] & MAP_ANONYMOUS) && !(a[3] & MAP_FIXED))
		return icpt_host_call(__NR_mmap, a);
	if (is_image(a))
		a[0] = (long)place_image((u64)a[1]);
	ret = client_mmap(task, a);
	if (ret != CLIENT_HOST)
		return ret;
	return patch_is_text(a) ? patch_map(task, a) : icpt_host_call(__NR_mmap, a);
}

long icpt_prctl(struct task *task, long a[6])
{
	long ret;

	if (a[0] == PR_SET_SYSCALL_USER_DISPATCH)
		return -EINVAL;
	ret = client_prctl(task, a);
	return ret == CLIENT_HOST ? icpt_host_call(__NR_prctl, a) : ret;
}

/* A traced thread stops at each SIGSYS until its tracer lets it go on; the parent of a
 * vfork child would never do that, because it waits in the kernel. */
long icpt_ptrace(struct task *task, long a[6])
{
	if (a[0] == PTRACE_TRACEME && thread_of(task)->parent_frees)
		return -EPERM;
	return icpt_host_call(__NR_ptrace, a);
}

#define ARCH_SHSTK_ENABLE 0x5001
#define ARCH_SHSTK_STATUS 0x5005

long icpt_arch_prctl(struct task *task, long a[6])
{
	u64 zero = 0;

	(void)task;
	if (a[0] == ARCH_SET_GS)
		return -EPERM;
	if (a[0] == ARCH_GET_GS)
		return user_write((void *)a[1], &zero, sizeof(zero));
	if (a[0] >= ARCH_SHSTK_ENABLE && a[0] <= ARCH_SHSTK_STATUS)
		return -EOPNOTSUPP;
	return icpt_host_call(__NR_arch_prctl, a);
}

/* --- /proc/self/exe ----------------------------------------------------------------- */

/* The path of the mapping that starts where the program does, from /proc/self/maps. False: it is
 * not there any more. buf: size + 1 bytes. */
static bool find_exe(long fd, char *buf, size_t size, char *exe)
{
	size_t have = 0;
	char want[20], *path;
	size_t len = (size_t)str_format(want, sizeof(want), "%lx-",
					(unsigned long)g_program.main_lo);
	long n;

	while ((n = SYS(read, fd, buf + have, size - have)) > 0) {
		char *line = buf, *end;

		buf[have + (size_t)n] = 0;
		for (; (end = strchr(line, '\n')); line = end + 1) {
			if (strncmp(line, want, len))
				continue;
			*end = 0;
			path = strchr(line, '/');
			if (path)
				str_copy(exe, path, PATH_LEN_MAX);
			return path;
		}
		have = strlen(line);
		memmove(buf, line, have);
	}
	return false;
}

/* As the kernel keeps it: a program that was renamed since is shown by its new name. Threads that
 * ask at the same time write the same. */
const char *program_exe(void)
{
	struct task *t = &thread_self()->task;
	long fd;

	if (g_program.exe_known)
		return g_program.exe;
	fd = SYS(open, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
	if (!sys_failed(fd)) {
		(void)find_exe(fd, (char *)t->bounce, CLIENT_BOUNCE_SIZE - 1,
			       g_program.exe);
		SYS(close, fd);
	}
	__atomic_store_n(&g_program.exe_known, true, __ATOMIC_RELEASE);
	return g_program.exe;
}

/* True for "NUMBER/exe" with our own number. */
static bool is_own_pid_exe(const char *s, s32 pid)
{
	char want[24];

	str_format(want, sizeof(want), "%d/exe", pid);
	return !strcmp(s, want);
}

bool proc_is_exe(const struct task *task, const char *user_path)
{
	char path[40];
	u64 head = 0;

	/* the first word rules out nearly all paths: "/proc/" */
	if (user_read(&head, user_path, 6) || head != 0x2f636f72702fULL)
		return false;
	if (user_read_str(path, user_path, sizeof(path)) < 0 || client_chrooted(task))
		return false;
	if (!strcmp(path + 6, "self/exe") || !strcmp(path + 6, "thread-self/exe"))
		return true;
	if (path[6] < '0' || path[6] > '9')
		return false;
	return is_own_pid_exe(path + 6, (s32)SYS(getpid));
}

static long copy_exe(long user_buf, long size)
{
	const char *exe = program_exe();
	size_t len = strlen(exe);
	long ret;

	if (size <= 0)
		return -EINVAL;
	len = MIN(len, (size_t)size);
	ret = user_write((void *)user_buf, exe, len);
	return ret ? ret : (long)len;
}

long icpt_readlink(struct task *task, long a[6])
{
	long ret;

	if (proc_is_exe(task, (const char *)a[0]))
		return copy_exe(a[1], a[2]);
	ret = client_readlink(task, a);
	return ret == CLIENT_HOST ? icpt_host_call(__NR_readlink, a) : ret;
}

long icpt_readlinkat(struct task *task, long a[6])
{
	long ret;

	if (proc_is_exe(task, (const char *)a[1]))
		return copy_exe(a[2], a[3]);
	ret = client_readlinkat(task, a);
	return ret == CLIENT_HOST ? icpt_host_call(__NR_readlinkat, a) : ret;
}
