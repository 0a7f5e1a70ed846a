/* SPDX-License-Identifier: MIT */
/*
 * A client without Hare: every call is the host's. Linked in place of src/client and all
 * below it, it makes `hare-passthrough`, which runs unmodified programs on the host
 * through the full interposition layer. For the layer's own tests, and to tell whose
 * fault something is.
 *
 * With `core=1` among the loader's arguments the calls that wait are made by host_block,
 * as a real client makes them; `core=0` leaves them to the dispatch.
 */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/stat.h>

#include "intercept/icpt.h"
#include "proto/rpc.h"

#define SCRIPT_DEPTH 4
#define SCRIPT_LINE  256
#define FD_LINK	     "/proc/self/fd/"

/* --- system calls ------------------------------------------------------------------- */

/* Also the numbers that <asm/unistd.h> is too old to know. */
enum {
#define SYSCALL(nr, name, route, args, note) NR_##name = nr,
#include "intercept/syscalls.def"
#undef SYSCALL
};

/* The calls that wait, and how a signal ends them. */
static long as_client(long nr, const long a[6])
{
	long ret, interrupted;

	switch (nr) {
	case __NR_read:
	case __NR_write:
	case __NR_readv:
	case __NR_writev:
	case __NR_wait4:
	case __NR_waitid:
		interrupted = -HARE_ERESTARTSYS;
		break;
	case __NR_poll:
	case __NR_ppoll:
	case __NR_select:
	case __NR_pselect6:
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
		interrupted = -HARE_ERESTARTNOHAND;
		break;
	default:
		return CLIENT_HOST;
	}
	ret = host_block(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	return ret == -EINTR ? interrupted : ret;
}

#define ROUTE_ICPT(name)
#define ROUTE_HOST(name)
#define ROUTE_DENY(name)
#define ROUTE_PATH(name) ROUTE_CLIENT(name)
#define ROUTE_AT(name)	 ROUTE_CLIENT(name)
#define ROUTE_CLIENT(name)                                                               \
	long client_##name(struct task *t, long a[6])                                    \
	{                                                                                \
		return t->ctx.core ? as_client(NR_##name, a) : CLIENT_HOST;              \
	}
#define SYSCALL(nr, name, route, args, note) ROUTE_##route(name)
#include "intercept/syscalls.def"
#undef SYSCALL
ROUTE_CLIENT(mmap)
ROUTE_CLIENT(readlink)
ROUTE_CLIENT(readlinkat)
ROUTE_CLIENT(prctl)
ROUTE_CLIENT(pselect6)
ROUTE_CLIENT(rt_sigtimedwait)
ROUTE_CLIENT(ppoll)
ROUTE_CLIENT(epoll_pwait)
ROUTE_CLIENT(epoll_pwait2)

/* --- life of a process -------------------------------------------------------------- */

long client_attach(struct task *t, const struct mem_fds *memfds, u32 core)
{
	(void)memfds;
	t->ctx.core = core;
	return 0;
}

long client_thread_new(struct task *t, struct task *child)
{
	child->ctx = t->ctx;
	return 0;
}

void client_thread_run(struct task *child, s32 tid)
{
	child->ctx.tid = (u32)tid;
}

void client_thread_exit(struct task *t)
{
	(void)t;
}

long client_fork_prepare(struct task *t, u64 clone_flags, struct proc **child)
{
	(void)t;
	(void)clone_flags;
	*child = NULL;
	return 0;
}

long client_adopt(struct task *t, long host_fd, bool cloexec)
{
	(void)t;
	(void)cloexec;
	return host_fd;
}

u32 *client_fork_born(struct proc *child)
{
	static u32 born;

	(void)child;
	return &born;
}

void client_fork_child(struct task *t, struct proc *child, s32 tid)
{
	(void)child;
	t->ctx.tid = (u32)tid;
}

void client_fork_parent(struct task *t, struct proc *child, long result)
{
	(void)t;
	(void)child;
	(void)result;
}

void client_exit(struct task *t, int status)
{
	(void)t;
	(void)status;
}

bool client_poked(struct task *t, u64 value)
{
	(void)t;
	(void)value;
	return false;
}

void client_cut_now(struct task *t)
{
	(void)t;
}

long client_hare(struct task *t, long a[6])
{
	(void)t;
	(void)a;
	return -ENOSYS;
}

/* --- exec --------------------------------------------------------------------------- */

/* An absolute path for what (dirfd, path) names. */
static long absolute_path(int dirfd, const char *path, int flags, char *out)
{
	char link[40];
	size_t len = 0;
	long n;

	if (path[0] == '/') {
		str_copy(out, path, PATH_LEN_MAX);
		return 0;
	}
	if (!path[0] && !(flags & AT_EMPTY_PATH))
		return -ENOENT;
	if (dirfd == AT_FDCWD) {
		n = SYS(getcwd, out, PATH_LEN_MAX);
		len = n > 0 ? (size_t)n - 1 : 0;
	} else {
		str_format(link, sizeof(link), FD_LINK "%d", dirfd);
		n = SYS(readlink, link, out, PATH_LEN_MAX - 1);
		len = n > 0 ? (size_t)n : 0;
		n = n == -ENOENT ? -EBADF : n;
	}
	if (n < 0)
		return n;
	out[len] = 0;
	if (!path[0])
		return 0;
	if (len + strlen(path) + 2 > PATH_LEN_MAX)
		return -ENAMETOOLONG;
	out[len++] = '/';
	str_copy(out + len, path, PATH_LEN_MAX - len);
	return 0;
}

/* Reads the head of an executable file. Bytes read, or why it cannot be executed. */
static long read_head(const char *path, int flags, char head[SCRIPT_LINE])
{
	int nofollow = flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0;
	struct statx st;
	long fd, ret = SYS(faccessat2, AT_FDCWD, path, 1, AT_EACCESS);

	if (ret)
		return ret;
	fd = SYS(open, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | nofollow, 0);
	if (fd < 0)
		return fd;
	ret = SYS(statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st);
	if (!ret)
		ret = (st.stx_mode & S_IFMT) == S_IFREG
			      ? SYS(pread64, fd, head, SCRIPT_LINE - 1, 0)
			      : -EACCES;
	SYS(close, fd);
	if (ret >= 0)
		head[ret] = 0;
	return ret;
}

/* `#! interpreter argument`: two strings in the line, cut off in place. */
static bool split_script(char *line, char **interp, char **arg)
{
	char *p = line + 2, *end = strchr(line, '\n');

	if (!end)
		end = line + strlen(line);
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = 0;
	while (*p == ' ' || *p == '\t')
		p++;
	*interp = p;
	while (*p && *p != ' ' && *p != '\t')
		p++;
	*arg = NULL;
	if (*p) {
		*p++ = 0;
		while (*p == ' ' || *p == '\t')
			p++;
		*arg = *p ? p : NULL;
	}
	return **interp;
}

static long count_pointers(char **user)
{
	long n = 0;
	char *p;

	if (!user)
		return 0;
	for (;; n++) {
		if (user_read(&p, user + n, sizeof(p)))
			return -EFAULT;
		if (!p)
			return n;
	}
}

/* plan.mem: room for SCRIPT_DEPTH scripts' arguments before argv, both arrays, script
 * lines. */
static long plan_memory(struct exec_plan *plan, char **argv, char **envp)
{
	long argc = count_pointers(argv), envc = count_pointers(envp), mem;
	size_t lines = SCRIPT_DEPTH * (SCRIPT_LINE + PATH_LEN_MAX);
	size_t front = EXEC_WORDS + 2 * SCRIPT_DEPTH;

	if (argc < 0 || envc < 0)
		return -EFAULT;
	plan->mem_size = lines + (front + (size_t)(argc + envc) + 4) * sizeof(char *);
	mem = SYS(mmap, NULL, plan->mem_size, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_failed(mem))
		return mem;
	plan->mem = (void *)mem;
	plan->argv = (char **)(mem + (long)lines) + front;
	plan->argc = (u32)argc;
	plan->envp = plan->argv + argc + 2;
	if (user_read(plan->argv, argv, (size_t)argc * sizeof(char *)) ||
	    user_read(plan->envp, envp, (size_t)envc * sizeof(char *)))
		return -EFAULT;
	if (!argc)
		plan->argv[plan->argc++] = (char *)"";
	return 0;
}

/* Follows `#!` lines: argv becomes interpreter, its argument, the script, the script's
 * own. */
static long resolve_scripts(struct exec_plan *plan, int flags)
{
	char *line = plan->mem, *interp, *arg, *script;
	long n;

	for (int depth = 0;; depth++, line += SCRIPT_LINE + PATH_LEN_MAX) {
		if (depth > SCRIPT_DEPTH)
			return -ELOOP;
		char head[SCRIPT_LINE];

		n = read_head(plan->path, flags, head);
		if (n < 0)
			return n;
		if (n >= 4 && !memcmp(head, "\177ELF", 4))
			return 0;
		if (n < 3 || memcmp(head, "#!", 2))
			return -ENOEXEC;
		if (depth == SCRIPT_DEPTH)
			return -ELOOP;
		memcpy(line, head, SCRIPT_LINE);
		if (!split_script(line, &interp, &arg))
			return -ENOEXEC;
		script = line + SCRIPT_LINE;
		str_copy(script, plan->path, PATH_LEN_MAX);
		plan->argv[0] = script;
		if (arg) {
			*--plan->argv = arg;
			plan->argc++;
		}
		*--plan->argv = interp;
		plan->argc++;
		n = absolute_path(AT_FDCWD, interp, 0, plan->path);
		if (n)
			return n;
		flags = 0;
	}
}

long client_open_program(struct task *t, const char *path)
{
	(void)t, (void)path;
	return -EACCES;
}

long client_open_running(struct task *t)
{
	(void)t;
	return -ENOENT;
}

long client_exec_prepare(struct task *t, int dirfd, const char *user_path,
			 char **user_argv, char **user_envp, int flags,
			 struct exec_plan *plan)
{
	long ret = user_read_str(t->path, user_path, PATH_LEN_MAX);
	const char *slash;

	plan->mem = NULL;
	plan->remote = false;
	if (ret >= 0)
		ret = absolute_path(dirfd, t->path, flags, plan->path);
	if (!ret)
		ret = plan_memory(plan, user_argv, user_envp);
	if (!ret)
		ret = resolve_scripts(plan, flags);
	slash = strrchr(*t->path ? t->path : plan->path, '/');
	str_copy(plan->comm, slash ? slash + 1 : t->path, sizeof(plan->comm));
	str_format(plan->loader_args, sizeof(plan->loader_args), "core=%u", t->ctx.core);
	if (ret)
		client_exec_drop(plan);
	return ret;
}

void client_exec_commit(struct task *t, struct exec_plan *plan)
{
	(void)t;
	(void)plan;
}

void client_exec_drop(struct exec_plan *plan)
{
	if (plan->mem)
		SYS(munmap, plan->mem, plan->mem_size);
	plan->mem = NULL;
}

/* There is no core kernel here, so no trace ring either. */
void trace_add(struct ck *ck, const struct trace_rec *r)
{
	(void)ck;
	(void)r;
}

bool client_chrooted(const struct task *t)
{
	(void)t;
	return false;
}

/* Every pid is the host's own here. */
void client_siginfo(struct task *t, void *siginfo)
{
	(void)t;
	(void)siginfo;
}

/* No file of Hare is mapped here. */
bool client_fault(struct task *t, u64 addr)
{
	(void)t;
	(void)addr;
	return false;
}

bool client_unshown(struct task *t, const long a[6])
{
	(void)t;
	(void)a;
	return false;
}

/* Nothing is learned from other processes. */
void client_site_trapped(struct task *t, u64 file, u32 off, u32 weight)
{
	(void)t;
	(void)file;
	(void)off;
	(void)weight;
}

u32 client_sites_hot(struct task *t, u64 file, u32 *off, u32 max)
{
	(void)t;
	(void)file;
	(void)off;
	(void)max;
	return 0;
}

void client_sites_mapped(struct task *t, u64 file)
{
	(void)t;
	(void)file;
}

u64 client_sites_news(struct task *t)
{
	(void)t;
	return 0;
}

void client_exec_lend(struct task *from, struct task *to)
{
	(void)from;
	(void)to;
}
