/* SPDX-License-Identifier: MIT */
/*
 * execve and execveat up to the point of no return: finds the program, resolves `#!`, copies
 * arguments and environment, chooses the core. (Thesis section 3.6.1; the other core's part is
 * exec_far.c.) The host's execve of the loader, which follows, is src/intercept's.
 *
 * Everything that can fail fails here, as POSIX wants: after client_exec_commit the old program
 * has no way back.
 *
 * A program of Hare cannot be written while it runs (ETXTBSY). What was opened for its head, with
 * OPEN_EXEC, stays open as proc.exe_ofd until the last process that runs it has ended or executed
 * something else; forks share it, so it costs no message but the OPEN and the CLOSE of the head.
 *
 *   step                                        who owes the CLOSE
 *   1 head read                                 this thread (client_root.holds)
 *   2 here: committed                           proc.exe_ofd
 *     elsewhere: EXEC sent                      this thread, until EXEC has arrived (exec_far.c)
 *                its entry made there           proc.exe_ofd there; the OPEN still counts for this core
 *   3 the next exec's 2; exit; reaped           nobody
 *
 * It is also what the loader maps (client_open_running): whoever waits for the exec, by vfork or a
 * pipe that the exec closes, may take the name away before the loader comes to it.
 */
#include <asm/errno.h>
#include <linux/elf.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/resource.h>

#include "base/hash.h"
#include "base/str.h"
#include "base/sys.h"
#include "client/exec.h"
#include "client/file.h"

#define HEAD_SIZE   256 /* what Linux looks at for `#!` */
#define ELF_SIZE    2048 /* ELF header and, nearly always, the program headers */
#define ASKED	    4 /* cores, for their load */
#define SCRIPTS_MAX 5 /* nested */
#define STRING_MAX  131072
#define ARGS_MIN    131072
#define ARGS_MAX    (6u << 20)
#define LOADER_ROOM 8192 /* of the host's limit on arguments, for the loader's own */
#define ARENA_SIZE  (16u << 20)
#define ARENA_KEPT  65536u /* of its pages, from one exec that fails to the next one */

/* --- memory of a plan ----------------------------------------------------------------------------- */

/* Strings, pointers, more strings: close together, as each page of it costs a fault. */
struct arena {
	char *base;
	size_t used;
	size_t strings; /* bytes of them */
	size_t limit; /* strings and pointers, as the host counts them */
	char **pointer; /* `room` of them */
	u32 pointers, room;
};

static long arena_map(struct task *t, struct arena *a)
{
	if (!t->exec_mem) {
		long p = SYS(mmap, 0, ARENA_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (sys_failed(p))
			return p;
		t->exec_mem = (void *)p;
	}
	*a = (struct arena){ .base = t->exec_mem, .limit = ARGS_MIN - LOADER_ROOM };
	return 0;
}

void client_exec_drop(struct exec_plan *plan)
{
	if (plan->mem_size > ARENA_KEPT)
		SYS(madvise, (char *)plan->mem + ARENA_KEPT, plan->mem_size - ARENA_KEPT,
		    MADV_DONTNEED);
	plan->mem_size = 0;
}

void exec_forget(struct task *t)
{
	if (t->exec_mem)
		SYS(munmap, t->exec_mem, ARENA_SIZE);
	t->exec_mem = NULL;
}

void client_exec_lend(struct task *from, struct task *to)
{
	if (!from->exec_mem)
		return;
	if (to->exec_mem)
		SYS(munmap, from->exec_mem, ARENA_SIZE);
	else
		to->exec_mem = from->exec_mem;
	from->exec_mem = NULL;
}

/* The host's limit is a quarter of the stack's; asked for only by those who need it. */
static bool arena_fits(struct arena *a, size_t more)
{
	struct {
		u64 cur, max;
	} rl;
	size_t want = a->strings + more + a->pointers * sizeof(char *);

	if (likely(want <= a->limit))
		return true;
	if (!sys_failed(SYS(prlimit64, 0, RLIMIT_STACK, 0, &rl)))
		a->limit = MIN(MAX((size_t)(rl.cur / 4), (size_t)ARGS_MIN),
			       (size_t)ARGS_MAX) -
			   LOADER_ROOM;
	return want <= a->limit;
}

/* A string of our own memory. */
static char *arena_add(struct arena *a, const char *s)
{
	size_t len = strlen(s) + 1;
	char *at = a->base + a->used;

	if (!arena_fits(a, len))
		return NULL;
	memcpy(at, s, len);
	a->used += len;
	a->strings += len;
	return at;
}

static long arena_reserve(struct arena *a, size_t pointers)
{
	if (!arena_fits(a, pointers * sizeof(char *)))
		return -E2BIG;
	a->used = ALIGN_UP(a->used, sizeof(char *));
	a->pointer = (char **)(a->base + a->used);
	a->room = (u32)pointers;
	a->used += pointers * sizeof(char *);
	return 0;
}

static bool arena_point(struct arena *a, char *s)
{
	if (a->pointers == a->room) /* the array grew while we read it */
		return false;
	a->pointer[a->pointers++] = s;
	return true;
}

/* Of a NULL-terminated array of the program's memory. */
static long count_strings(char **user)
{
	char *p;

	for (u32 n = 0; user && n < ARGS_MAX / sizeof(char *); n++) {
		if (user_read(&p, user + n, sizeof(p)))
			return -EFAULT;
		if (!p)
			return n;
	}
	return user ? -E2BIG : 0;
}

/* A NULL-terminated array of strings of the program's memory, from its `skip`th on. Count. */
static long copy_strings(struct arena *a, char **user, u32 skip)
{
	u32 n;

	for (n = 0; user; n++) {
		char *p, *at = a->base + a->used;
		long len;

		if (user_read(&p, user + n, sizeof(p)))
			return -EFAULT;
		if (!p)
			break;
		if (n < skip)
			continue;
		len = user_read_str(at, p, MIN((size_t)STRING_MAX, ARENA_SIZE - a->used));
		if (len < 0)
			return len == -ENAMETOOLONG ? -E2BIG : len;
		if (!arena_fits(a, (size_t)len + 1) || !arena_point(a, at))
			return -E2BIG;
		a->used += (size_t)len + 1;
		a->strings += (size_t)len + 1;
	}
	return n > skip ? (long)(n - skip) : 0;
}

/* Room for what copy_arguments enters. */
static long reserve_arguments(struct arena *a, char **argv, char **envp, u32 heads)
{
	long args = count_strings(argv), envs = count_strings(envp);

	if (args < 0 || envs < 0)
		return args < 0 ? args : envs;
	/* an empty name, a NULL each */
	return arena_reserve(a, EXEC_WORDS + heads + (size_t)args + (size_t)envs + 3);
}

static long copy_arguments(struct exec_plan *plan, struct arena *a, char **argv,
			   char **envp, char **head, u32 heads)
{
	long n = reserve_arguments(a, argv, envp, heads);
	u32 i;

	if (n)
		return n;
	a->pointers = EXEC_WORDS;
	plan->argv = a->pointer + a->pointers;
	for (i = 0; i < heads; i++)
		if (!arena_point(a, head[i]))
			return -E2BIG;
	n = copy_strings(a, argv, heads ? 1 : 0);
	if (n < 0)
		return n;
	plan->argc = (u32)n + heads;
	if (!plan->argc) { /* as Linux does: a program always has its name */
		arena_point(a, arena_add(a, ""));
		plan->argc = 1;
	}
	if (!arena_point(a, NULL))
		return -E2BIG;
	plan->envp = a->pointer + a->pointers;
	n = copy_strings(a, envp, 0);
	if (n < 0)
		return n;
	plan->envc = (u32)n;
	return arena_point(a, NULL) ? 0 : -E2BIG;
}

/* --- the file --------------------------------------------------------------------------------------- */

/* One file of the chain from the script to the program. */
struct target {
	char path
		[PATH_LEN_MAX]; /* what the loader, or the script's interpreter, shall open */
	char head[ELF_SIZE + 1] __attribute__((aligned(8)));
	struct ofd *exe; /* in Hare: open with OPEN_EXEC; NULL */
	s32 keep_fd; /* path is /proc/self/fd/keep_fd, open for the loader alone; -1 */
};

static long host_head(struct target *g, int dirfd, const char *path, int flags)
{
	u32 follow = (u32)flags & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
	u32 nofollow = flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0;
	char self[32];
	long fd, n;

	/* AT_EACCESS: by the effective ids; refuses mounts without execution, too. */
	n = SYS(faccessat2, dirfd, path, 1, (long)(AT_EACCESS | follow));
	if (sys_failed(n))
		return n;
	if (!*path) {
		str_format(self, sizeof(self), "/proc/self/fd/%d", dirfd);
		path = self;
		nofollow = 0;
	}
	/* Without waiting for a FIFO's writer. */
	fd = SYS(openat, dirfd, path,
		 (long)(O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | nofollow), 0);
	if (sys_failed(fd)) /* a socket, a device that nobody drives */
		return fd == -ENXIO || fd == -ENODEV ? -EACCES : fd;
	n = SYS(pread64, fd, g->head, ELF_SIZE, 0);
	SYS(close, fd);
	if (sys_failed(n))
		return n == -EIO ? n : -EACCES; /* a directory, a FIFO, a device */
	g->head[n] = 0;
	return n;
}

static long hare_head(struct task *t, struct target *g, struct ofd *o)
{
	u64 off = 0;
	long n = file_read(t, o, g->head, ELF_SIZE, &off);

	if (n >= 0)
		g->head[n] = 0;
	if (o->vnode) { /* as at a close: it stays open for long, and is read no more */
		vnode_sync(t, o->vnode);
		vnode_leave(t, o);
	}
	return n;
}

static void drop_exe(struct task *t, struct target *g)
{
	if (g->exe)
		ofd_put(t, g->exe);
	g->exe = NULL;
}

/* /proc/self/fd/N, for programs that are given as a descriptor. It must outlive close-on-exec. */
static long name_descriptor(struct task *t, struct target *g, int fd)
{
	long a[6] = { fd, F_DUPFD, 3 };
	long r = client_fcntl(t, a);

	if (r == CLIENT_HOST)
		r = SYS(fcntl, fd, F_DUPFD, 3);
	if (sys_failed(r))
		return r;
	g->keep_fd = (s32)r;
	str_format(g->path, sizeof(g->path), "/proc/self/fd/%d", (int)r);
	return 0;
}

/* A path that means the same without dirfd. */
static long name_path(struct task *t, struct target *g, int dirfd, const char *path,
		      const struct place *pl)
{
	char link[40];
	long n;

	if (*path == '/' || dirfd == AT_FDCWD) {
		str_copy(g->path, path, sizeof(g->path));
		return 0;
	}
	if (pl->host) {
		str_format(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		n = SYS(readlink, link, g->path, sizeof(g->path) - 1);
	} else {
		n = walk_path_of(t, pl->dir, g->path, sizeof(g->path) - 1);
		path = pl->name;
	}
	if (sys_failed(n))
		return n;
	if ((size_t)n + strlen(path) + 2 > sizeof(g->path))
		return -ENAMETOOLONG;
	g->path[n] = '/';
	str_copy(g->path + n + 1, path, sizeof(g->path) - (size_t)n - 1);
	return 0;
}

/* Finds the file of one step. Its head's length; everything that forbids to execute it. */
static long find_target(struct task *t, struct target *g, int dirfd, const char *path,
			int flags)
{
	bool empty = !*path, rewritten = false;
	struct place pl;
	long n = path_open_exec(t, dirfd, path, flags, &pl, t->host_path, &rewritten,
				&g->exe);

	if (n)
		return n;
	if (pl.host && rewritten)
		path = t->host_path, dirfd = AT_FDCWD, empty = false;
	n = pl.host ? host_head(g, dirfd, path, flags) : hare_head(t, g, g->exe);
	if (n >= 0) {
		long r = empty ? name_descriptor(t, g, dirfd)
			       : name_path(t, g, dirfd, path, &pl);

		n = r < 0 ? r : n;
	}
	return n;
}

long client_open_program(struct task *t, const char *path)
{
	bool rewritten = false;
	struct place pl;
	struct ofd *o;
	long r = path_open_exec(t, AT_FDCWD, path, 0, &pl, t->host_path, &rewritten, &o);

	if (r || !o)
		return r ? r : -EACCES;
	return fd_install(t, o, true, 0);
}

long client_open_running(struct task *t)
{
	struct ofd *o;
	long r = path_open_running(t, &o);

	return r ? r : fd_install(t, o, true, 0);
}

/* --- `#!` ------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cuts the line of a script into interpreter and argument (NULL: none), as Linux does. */
static long parse_script(char *head, long len, char **interp, char **arg)
{
	char *end = strchr(head, '\n'), *p = head + 2;

	while (is_blank(*p))
		p++;
	if (!end || end >= head + HEAD_SIZE) {
		end = head + len;
		/* A line that is cut off must not name another program. */
		for (*arg = p; **arg && !is_blank(**arg); (*arg)++)
			;
		if (len == HEAD_SIZE && !**arg)
			return -ENOEXEC;
	}
	while (end > p && is_blank(end[-1]))
		end--;
	*end = 0;
	if (!*p)
		return -ENOEXEC;
	*interp = p;
	while (*p && !is_blank(*p))
		p++;
	*arg = NULL;
	if (!*p)
		return 0;
	*p++ = 0;
	while (is_blank(*p))
		p++;
	*arg = *p ? p : NULL;
	return 0;
}

static long check_elf(const char *head, long len)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)head;

	if (len < (long)sizeof(*eh) || memcmp(head, ELFMAG, SELFMAG) ||
	    eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_machine != EM_X86_64 ||
	    (eh->e_type != ET_EXEC && eh->e_type != ET_DYN))
		return -ENOEXEC;
	return 0;
}

/* The ELF interpreter, if it is in Hare, has to be there and not open for writing, too; later it may
 * be. Of one of the host's the loader will tell. Unlike Linux, which opens it here, the loader opens it
 * by its name: one that is taken away in between ends the program (127). */
static long check_interp(struct task *t, const struct target *g, long len)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)g->head;
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(g->head + eh->e_phoff);
	bool rewritten;
	struct place pl;
	struct ofd *o;
	long r;

	if (eh->e_phentsize != sizeof(*ph) || eh->e_phoff % sizeof(u64) ||
	    eh->e_phoff > (u64)len ||
	    eh->e_phnum > ((u64)len - eh->e_phoff) / sizeof(*ph))
		return 0;
	for (u32 i = 0; i < eh->e_phnum; i++, ph++) {
		const char *name = g->head + ph->p_offset;

		if (ph->p_type != PT_INTERP)
			continue;
		if (ph->p_filesz < 2 || ph->p_offset > (u64)len ||
		    ph->p_filesz > (u64)len - ph->p_offset || name[ph->p_filesz - 1])
			return 0; /* the loader looks at it */
		r = path_open_exec(t, AT_FDCWD, name, 0, &pl, t->host_path, &rewritten,
				   &o);
		if (!r && o)
			ofd_put(t, o);
		return r;
	}
	return 0;
}

/* Puts interpreter, its argument and the script's path before the arguments; what stood first
 * (the name that the script was called by) falls away. */
static long add_heads(struct arena *a, char **head, u32 *heads, const char *interp,
		      const char *arg, const char *script)
{
	char *add[3];
	u32 n = 0, keep = *heads ? *heads - 1 : 0, i;

	add[n++] = arena_add(a, interp);
	if (arg)
		add[n++] = arena_add(a, arg);
	add[n++] = arena_add(a, script);
	for (i = keep; i-- > 0;)
		head[n + i] = head[1 + i];
	for (i = 0; i < n; i++) {
		if (!add[i])
			return -E2BIG;
		head[i] = add[i];
	}
	*heads = keep + n;
	return 0;
}

static void close_kept(struct task *t, struct target *g)
{
	long a[6] = { g->keep_fd };

	if (g->keep_fd >= 0 && client_close(t, a) == CLIENT_HOST)
		SYS(close, g->keep_fd);
	g->keep_fd = -1;
}

/* A script that execveat found by a descriptor: its interpreter shall open it by that one too, which
 * it cannot if exec closes it. */
static long name_script(struct task *t, struct target *g, int dirfd, const char *path)
{
	long a[6] = { dirfd, F_GETFD }, r;

	close_kept(t, g);
	if (*path == '/' || dirfd == AT_FDCWD)
		return 0;
	r = client_fcntl(t, a);
	if (r == CLIENT_HOST)
		r = SYS(fcntl, dirfd, F_GETFD, 0);
	if (r & FD_CLOEXEC)
		return -ENOENT;
	if (str_format(g->path, sizeof(g->path), "/dev/fd/%d%s%s", dirfd,
		       *path ? "/" : "", path) >= (int)sizeof(g->path))
		return -ENAMETOOLONG;
	return 0;
}

/* Follows the scripts to a program. head: room for 2 * SCRIPTS_MAX + 2 strings. */
static long resolve(struct task *t, struct arena *a, struct target *g, int dirfd,
		    int flags, char **head, u32 *heads)
{
	char *interp, *arg;
	u32 depth;
	long n;

	*heads = 0;
	for (depth = 0;; depth++) {
		n = find_target(t, g, dirfd, t->path, flags);
		if (n < 0)
			return n;
		if (g->head[0] != '#' || g->head[1] != '!') {
			long r = check_elf(g->head, n);

			return r ? r : check_interp(t, g, n);
		}
		if (depth == SCRIPTS_MAX)
			return -ELOOP;
		n = MIN(n, (long)HEAD_SIZE);
		g->head[n] = 0;
		n = parse_script(g->head, n, &interp, &arg);
		if (!n)
			n = name_script(t, g, dirfd, t->path);
		if (!n)
			n = add_heads(a, head, heads, interp, arg, g->path);
		if (n)
			return n;
		drop_exe(t, g);
		str_copy(t->path, interp, sizeof(t->path));
		dirfd = AT_FDCWD;
		flags = 0;
	}
}

/* --- the core --------------------------------------------------------------------------------------- */

static const char *env_value(char **envp, const char *name)
{
	size_t len = strlen(name);

	for (; *envp; envp++)
		if (!strncmp(*envp, name, len) && (*envp)[len] == '=')
			return *envp + len + 1;
	return NULL;
}

static void read_environment(struct task *t, struct exec_plan *plan)
{
	const char *v = env_value(plan->envp, "HARE_PLACEMENT");

	plan->placement = t->proc->placement;
	if (v && !strcmp(v, "round-robin"))
		plan->placement = PLACE_ROUND_ROBIN;
	else if (v && !strcmp(v, "random"))
		plan->placement = PLACE_RANDOM;
	else if (v && !strcmp(v, "local"))
		plan->placement = PLACE_LOCAL;
	else if (v && !strcmp(v, "load"))
		plan->placement = PLACE_LOAD;
	v = env_value(plan->envp, "HARE_DISTRIBUTE");
	plan->distribute = v && !strcmp(v, "1");
}

static u32 random_below(struct task *t, u32 n)
{
	return (u32)(hash_u64(host_monotonic_ns() ^ (u64)t->ctx.tid << 32) % n);
}

/* The i-th core of a mask that has more. */
static u32 nth_allowed(u64 mask, u32 i)
{
	while (i--)
		mask &= mask - 1;
	return (u32)__builtin_ctzll(mask);
}

/* By load (thesis 6.1.3): of ASKED cores, drawn at random when there are more, the one with the
 * fewest programs that do not wait; the earliest in the round where they are equal. A message to
 * each: some microseconds beside an exec's hundreds, and two random choices are already nearly as
 * good as all (Mitzenmacher 2001). */
static u32 least_loaded(struct task *t, u64 mask, u32 count, u32 next)
{
	u32 least = ~0u, best = t->ctx.core;

	for (u32 i = 0; i < MIN(count, (u32)ASKED); i++) {
		u32 nth = count > ASKED ? random_below(t, count) : (next + i) % count;
		u32 core = nth_allowed(mask, nth);
		struct req_PING q = { .count = 1 };
		struct rep_PING p;

		if (rpc_ping(&t->ctx, core, &q, &p))
			continue;
		p.load -= core == t->ctx.core && p.load; /* the one that asks leaves */
		if (p.load < least) {
			least = p.load;
			best = core;
		}
	}
	return best;
}

/* The scheduling policy (thesis 3.6.1): state is the process's, inherited by its children. */
static void choose_core(struct task *t, struct exec_plan *plan)
{
	u64 mask = t->proc->affinity & mem_program_cores(t->ctx.isl->super);
	u32 count = (u32)__builtin_popcountll(mask), own = t->ctx.core;

	plan->target = own;
	plan->next_core = t->proc->next_core;
	if (t->ctx.isl->super->cores == 1 || !mask ||
	    (t->proc->flags & (PROC_STAY | PROC_TOOL)) || fs_is_shared(t->proc))
		return;
	switch (plan->placement) {
	case PLACE_ROUND_ROBIN:
		plan->target = nth_allowed(mask, plan->next_core % count);
		plan->next_core++;
		break;
	case PLACE_RANDOM:
		plan->target = nth_allowed(mask, random_below(t, count));
		break;
	case PLACE_LOAD:
		plan->target = least_loaded(t, mask, count, plan->next_core);
		plan->next_core++;
		break;
	default:
		if (!(mask & (1ULL << own)))
			plan->target = nth_allowed(mask, 0);
	}
}

/* --- the calls -------------------------------------------------------------------------------------- */

static void loader_args(struct task *t, struct exec_plan *plan)
{
	const struct mem_fds *fds = &t->ctx.isl->fds;
	char *s = plan->loader_args;
	size_t size = sizeof(plan->loader_args);
	int n = str_format(s, size, "core=%u,dram=%d,copy=%d,loader=%d", t->ctx.core,
			   fds->dram, fds->copy, t->ctx.isl->super->fd_base + FD_LOADER);

	if (plan->remote)
		str_format(s + n, size - (size_t)n, ",target=%u,relays=%u,moved=%u",
			   plan->target, plan->relays, exec_has_proxy(t->proc));
	else if (plan->keep_fd >= 0)
		str_format(s + n, size - (size_t)n, ",close=%d", plan->keep_fd);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static long plan_program(struct task *t, int dirfd, char **argv, char **envp, int flags,
			 struct exec_plan *plan, struct target *g)
{
	char *head[2 * SCRIPTS_MAX + 2];
	struct arena a;
	u32 heads;
	long r = arena_map(t, &a);

	if (r)
		return r;
	r = resolve(t, &a, g, dirfd, flags, head, &heads);
	if (!r)
		r = copy_arguments(plan, &a, argv, envp, head, heads);
	plan->mem = a.base;
	plan->mem_size = a.used;
	if (r)
		return r;
	str_copy(plan->path, g->path, sizeof(plan->path));
	if (!plan->comm[0])
		str_copy(plan->comm, base_name(plan->path), sizeof(plan->comm));
	return 0;
}

/* The name of a program that is given as a descriptor alone; left empty where nobody knows it. */
static void name_by_fd(struct task *t, int fd, struct exec_plan *plan)
{
	char link[40];
	bool host;
	struct ofd *o = fd_get(t, fd, &host);
	long n = -ENOENT, cut;

	if (o) {
		n = o->parent ? ofd_path(t, o, t->host_path, PATH_LEN_MAX - 1) : n;
		ofd_put(t, o);
	} else if (host) {
		str_format(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = SYS(readlink, link, t->host_path, PATH_LEN_MAX - 1);
	}
	if (n <= 0)
		return;
	t->host_path[n] = '\0';
	cut = n - (long)strlen(" (deleted)");
	if (cut > 0 && !strcmp(t->host_path + cut, " (deleted)"))
		t->host_path[cut] = '\0';
	str_copy(plan->comm, base_name(t->host_path), sizeof(plan->comm));
}

long client_exec_prepare(struct task *t, int dirfd, const char *user_path,
			 char **user_argv, char **user_envp, int flags,
			 struct exec_plan *plan)
{
	struct target g = { .keep_fd = -1 };
	long r;

	plan->mem = NULL;
	plan->mem_size = 0;
	plan->remote = false;
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	r = user_read_str(t->path, user_path, sizeof(t->path));
	if (r < 0)
		return r;
	if (!r && !(flags & AT_EMPTY_PATH))
		return -ENOENT;
	str_copy(plan->comm, base_name(t->path), sizeof(plan->comm));
	if (!r)
		name_by_fd(t, dirfd, plan);
	r = plan_program(t, dirfd, user_argv, user_envp, flags, plan, &g);
	plan->keep_fd = g.keep_fd;
	plan->exe = g.exe;
	if (r) {
		drop_exe(t, &g);
		close_kept(t, &g);
		client_exec_drop(plan);
		return r;
	}
	read_environment(t, plan);
	choose_core(t, plan);
	if (plan->target != t->ctx.core && plan->keep_fd < 0) {
		exec_saves_uid(t); /* the program may run before EXEC's answer is heard */
		plan->remote = exec_far(t, plan);
	}
	loader_args(t, plan);
	return 0;
}

static void commit_entry(struct task *t, const struct exec_plan *plan)
{
	struct ck *ck = t->ctx.ck;
	struct proc *p = t->proc;

	ck_lock(&t->ctx, ck);
	tx_save(ck, p->comm, sizeof(p->comm));
	memcpy(p->comm, plan->comm, sizeof(p->comm));
	TX_SET(ck, p->placement, plan->placement);
	TX_SET(ck, p->next_core, plan->next_core);
	TX_SET(ck, p->distribute, plan->distribute);
	TX_ADD(ck, proc_root(ck)->threads, -(u64)(p->threads - 1));
	TX_SET(ck, p->threads, 1);
	if (!plan->remote)
		(void)proc_set_exe(ck, p, plan->path);
	ck->counter[plan->remote ? COUNT_EXEC_REMOTE : COUNT_EXEC_LOCAL]++;
	ck_unlock(ck);
}

void exec_runs(struct task *t, struct proc *p, struct ofd *o)
{
	struct ck *ck = t->ctx.ck;
	struct ofd *old = p->exe_ofd;

	if (!old && !o)
		return;
	ck_lock(&t->ctx, ck);
	TX_SET(ck, p->exe_ofd, o);
	if (o)
		hold_pass(t, ck, o);
	if (old)
		ofd_drop_unlock(t, old);
	else
		ck_unlock(ck);
}

void client_exec_commit(struct task *t, struct exec_plan *plan)
{
	exec_saves_uid(t);
	if (plan->remote) {
		/* The proxy needs the host's descriptors alone. Its cwd stays pinned: the program
		 * may not have come so far yet. */
		if (plan->exe) /* that the program runs is counted there */
			ofd_put(t, plan->exe);
		if (t->proc->fds)
			fdtable_pass_locks(t, t->proc->fds, 0);
		fdtable_put(t, &t->proc->fds);
		if (exec_has_proxy(t->proc))
			exec_moved(t, plan->target);
		exec_pass_done(t, t->proc);
	} else {
		fdtable_exec_close(t, t->proc);
		exec_runs(t, t->proc, plan->exe);
	}
	commit_entry(t, plan);
	msg_slot_give(&t->ctx);
}
