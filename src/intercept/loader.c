/* SPDX-License-Identifier: MIT */
/*
 * Start of the loader: what the host executes in place of every program.
 *
 *   hare-ld MODE ARGS ARGV0 PATH [ARG...]      made by exec.c and by the hare command
 *
 * MODE `run` maps PATH and its ELF interpreter, makes the kernel's initial stack into the
 * one that the program would have found, and jumps. MODE `proxy` stands for a program
 * that was started on another core (src/sched). ARGS: see parse_options.
 *
 * The stack is changed in place: the words of `hare-ld MODE ARGS` and PATH fall away, and
 * the strings ARGV0 and PATH change places, so that the program's arguments are
 * contiguous.
 *
 *   argc | hare-ld | MODE | ARGS | ARGV0 | PATH | ARG... | 0 | env... | 0 | auxv
 *                               argc' | ARGV0 | ARG... | 0 | env... | 0 | auxv'
 */
#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/prctl.h>

#include "intercept/icpt.h"

#define EXIT_USAGE  2
#define EXIT_CANNOT 126
#define PATCH_AFTER 8
#define LIB_DISTANCE                                                                     \
	(96ULL << 30) /* images start this far below the kernel's own mappings */
#define DT_RELA_	  7
#define R_X86_64_RELATIVE 8

struct program g_program;

/* The first process's; see icpt.h. */
static struct process g_process;
static struct sighand g_sighand;

/* The kernel's initial stack. */
struct start {
	u64 *sp;
	long argc;
	char **argv, **envp;
	u64 *auxv; /* pairs */
	size_t aux_count;
};

struct options {
	struct mem_fds fds;
	u32 core;
	u64 mask, ignored;
	bool has_mask, has_ignored;
	s32 thp; /* -1: as it is */
	s32 close_fd; /* -1: none */
	const char *name; /* comm; NULL: of the path */
};

u64 loader_main(u64 *sp, u64 out[2]);

/* --- our own relocation ------------------------------------------------------------- */

extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

static void relocate(void)
{
	u64 base = (u64)__ehdr_start, size = 0;
	const Elf64_Rela *rela = NULL;

	for (const Elf64_Dyn *d = _DYNAMIC; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_RELA)
			rela = (const Elf64_Rela *)(base + d->d_un.d_ptr);
		else if (d->d_tag == DT_RELASZ)
			size = d->d_un.d_val;
	}
	for (u64 i = 0; rela && i < size / sizeof(*rela); i++) {
		if ((u32)rela[i].r_info == R_X86_64_RELATIVE)
			*(u64 *)(base + rela[i].r_offset) = base + (u64)rela[i].r_addend;
	}
}

/* --- command line and stack --------------------------------------------------------- */

_Noreturn void load_fail(int status, const char *path, const char *why, long err)
{
	if (err)
		log_error("cannot run '%s': %s (error %ld)", path, why, -err);
	else
		log_error("cannot run '%s': %s", path, why);
	for (;;)
		SYS(exit_group, status);
}

static void parse_start(u64 *sp, struct start *s)
{
	size_t n = 0;

	s->sp = sp;
	s->argc = (long)sp[0];
	s->argv = (char **)(sp + 1);
	s->envp = s->argv + s->argc + 1;
	while (s->envp[n])
		n++;
	s->auxv = (u64 *)(s->envp + n + 1);
	for (n = 0; s->auxv[2 * n] != AT_NULL; n++)
		;
	s->aux_count = n;
}

static u64 *aux_find(const struct start *s, u64 type)
{
	for (size_t i = 0; i < s->aux_count; i++) {
		if (s->auxv[2 * i] == type)
			return &s->auxv[2 * i + 1];
	}
	return NULL;
}

static u64 aux_get(const struct start *s, u64 type)
{
	u64 *v = aux_find(s, type);

	return v ? *v : 0;
}

static void aux_set(const struct start *s, u64 type, u64 value)
{
	u64 *v = aux_find(s, type);

	if (v)
		*v = value;
}

/* Digits of the base until something else comes. */
static u64 parse_number(const char *s, u32 base)
{
	u64 v = 0;

	for (;; s++) {
		u32 digit = *s >= '0' && *s <= '9'   ? (u32)(*s - '0')
			    : *s >= 'a' && *s <= 'f' ? (u32)(*s - 'a' + 10)
						     : 99;

		if (digit >= base)
			return v;
		v = v * base + digit;
	}
}

static const char *option(const char *s, const char *key)
{
	size_t len = strlen(key);

	return !strncmp(s, key, len) ? s + len : NULL;
}

/*
 * ARGS is KEY=VALUE,... From src/client: core=N, dram=FD, copy=FD, loader=FD (this file),
 * close=FD (to be closed when the program is mapped). From exec.c: mask=HEX (the signal mask to start with;
 * absent: the one that we have), ignore=HEX (ignored signals; absent: the host is
 * asked), thp=N (PR_SET_THP_DISABLE, what PR_GET_THP_DISABLE said; absent: as it is), trace=FD, patch=N (traps
 * before a site is patched, 0: never), name=COMM, which takes the rest. Keys that are not
 * known are other layers'.
 */
static void parse_options(const char *args, struct options *o)
{
	const char *v;

	for (const char *s = args; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL) {
		if ((v = option(s, "core=")))
			o->core = (u32)parse_number(v, 10);
		else if ((v = option(s, "dram=")))
			o->fds.dram = (s32)parse_number(v, 10);
		else if ((v = option(s, "copy=")))
			o->fds.copy = *v == '-' ? -1 : (s32)parse_number(v, 10);
		else if ((v = option(s, "loader=")))
			g_program.loader_fd = (s32)parse_number(v, 10);
		else if ((v = option(s, "close=")))
			o->close_fd = (s32)parse_number(v, 10);
		else if ((v = option(s, "mask=")))
			o->mask = parse_number(v, 16), o->has_mask = true;
		else if ((v = option(s, "ignore=")))
			o->ignored = parse_number(v, 16), o->has_ignored = true;
		else if ((v = option(s, "thp=")))
			o->thp = (s32)parse_number(v, 10);
		else if ((v = option(s, "trace=")))
			g_program.trace_fd = (s32)parse_number(v, 10);
		else if ((v = option(s, "patch=")))
			g_program.patch_after = (u32)parse_number(v, 10);
		else if ((v = option(s, "name="))) {
			o->name = v;
			return;
		}
	}
}

/* ARGV0 PATH -> PATH ARGV0, where they lie: argv and environment stay one run of
 * strings. */
static void swap_strings(char **argv)
{
	char *argv0 = argv[3], *path = argv[4], tmp[PATH_LEN_MAX];
	size_t len0 = strlen(argv0) + 1, len = strlen(path) + 1;

	if (path != argv0 + len0 || len > sizeof(tmp))
		return; /* not as the kernel lays them out: then leave it */
	memcpy(tmp, path, len);
	memmove(argv0 + len, argv0, len0);
	memcpy(argv0, tmp, len);
	argv[3] = argv0 + len;
	argv[4] = argv0;
}

/* --- what ps shows ------------------------------------------------------------------ */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* /proc/PID/cmdline and auxv: the program's, not ours. Not all kernels let us; never
 * mind. */
static void show_as(const struct start *s, const struct image *img, u64 args_start)
{
	u64 brk = (u64)SYS(brk, 0), args_end, env_end;
	struct prctl_mm_map map;
	size_t n = 0;

	while (s->envp[n])
		n++;
	args_end = s->envp[0] ? (u64)s->envp[0] : args_start;
	env_end = n ? (u64)s->envp[n - 1] + strlen(s->envp[n - 1]) + 1 : args_end;
	if (!n) {
		const char *last = s->argv[s->argc - 1];

		args_end = env_end = (u64)last + strlen(last) + 1;
	}
	map = (struct prctl_mm_map){
		.start_code = img->lo,
		.end_code = img->hi,
		.start_data = img->lo,
		.end_data = img->lo,
		.start_brk = brk,
		.brk = brk,
		.start_stack = (u64)s->sp,
		.arg_start = args_start,
		.arg_end = args_end,
		.env_start = args_end,
		.env_end = env_end,
		.auxv = (void *)s->auxv,
		.auxv_size = (u32)((s->aux_count + 1) * 16),
		.exe_fd = (u32)-1,
	};
	SYS(prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0);
}

/* --- life --------------------------------------------------------------------------- */

long program_call(struct thread *t, long nr, long a, long b, long c, long d, long e,
		  long f)
{
	long args[6] = { a, b, c, d, e, f };

	return icpt_syscall(&t->task, nr, args);
}

static struct thread *first_thread(const struct start *s, const char *path)
{
	struct thread *t;

	g_program.hwcap2 = aux_get(s, AT_HWCAP2);
	g_program.vdso = aux_get(s, AT_SYSINFO_EHDR);
	t = thread_new();
	if (!t)
		load_fail(EXIT_CANNOT, path, "no memory", 0);
	t->process = &g_process;
	t->sighand = &g_sighand;
	t->tid = (s32)SYS(gettid);
	g_process.threads = 1;
	g_program.lib_base = ALIGN_DOWN((u64)t, 2UL << 20) - LIB_DISTANCE;
	g_program.lib_next = g_program.lib_base;
	/* GS first: a checked copy needs the handlers, the handlers need GS */
	if (sys_failed(thread_activate(t)))
		load_fail(EXIT_CANNOT, path,
			  "this kernel has no syscall user dispatch "
			  "(Linux 5.11 has)",
			  0);
	return t;
}

static void attach(struct thread *t, const struct options *o, const char *path)
{
	long ret = client_attach(&t->task, &o->fds, o->core);

	if (ret)
		load_fail(EXIT_CANNOT, path, "cannot join Hare", ret);
}

/* Maps the program; returns where to start. */
static u64 load_program(struct thread *t, const struct start *s, const char *path,
			struct image *img)
{
	struct image interp;
	u64 page = (u64)s->sp & ~(u64)(PAGE_SIZE - 1);

	interp.bias = 0;
	elf_load(t, path, img, false);
	t->task.flags &= ~TASK_HOST_ROOT;
	if (img->interp[0])
		elf_load(t, img->interp, &interp, true);
	if (img->exec_stack)
		SYS(mprotect, page, PAGE_SIZE,
		    PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
	aux_set(s, AT_PHDR, img->phdr);
	aux_set(s, AT_PHNUM, img->phnum);
	aux_set(s, AT_BASE, interp.bias);
	aux_set(s, AT_ENTRY, img->entry);
	aux_set(s, AT_EXECFN, (u64)path);
	return img->interp[0] ? interp.entry : img->entry;
}

static u64 inherited_mask(const struct options *o)
{
	u64 mask;

	if (o->has_mask)
		return o->mask;
	SYS(rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
	return mask;
}

static void run(const struct start *s, struct options *o, u64 out[2])
{
	struct image img;
	struct thread *t = first_thread(s, s->argv[4]);
	const char *path;
	u64 mask = inherited_mask(o);

	signal_init(t, o->has_ignored, o->ignored);
	t->vmask = mask & OWN_SIGNALS; /* one may be pending */
	signal_set_mask(~OWN_SIGNALS);
	if (o->thp >= 0)
		SYS(prctl, PR_SET_THP_DISABLE, o->thp & 1, o->thp & ~1, 0, 0);
	attach(t, o, s->argv[4]);
	swap_strings(s->argv);
	path = s->argv[4];
	if (o->close_fd >= 0) /* path is /proc/self/fd/N */
		t->task.flags |= TASK_HOST_ROOT;
	out[0] = load_program(t, s, path, &img);
	if (o->close_fd >= 0)
		program_call(t, __NR_close, o->close_fd, 0, 0, 0, 0, 0);
	SYS(prctl, PR_SET_NAME, o->name ? o->name : base_name(path));
	show_as(s, &img, (u64)s->argv[3]);
	s->sp[5] = (u64)s->argv[3];
	s->sp[4] = (u64)s->argc - 4;
	out[1] = (u64)(s->sp + 4);
	signal_set_mask(mask & ~OWN_SIGNALS);
}

/* Called by _start on the kernel's stack; out: entry point and stack pointer of the
 * program. */
u64 loader_main(u64 *sp, u64 out[2])
{
	struct options o = { .fds = { .dram = -1, .copy = -1 },
			     .thp = -1,
			     .close_fd = -1 };
	struct start s;

	relocate();
	g_program.trace_fd = -1;
	g_program.loader_fd = -1;
	g_program.patch_after = PATCH_AFTER;
	parse_start(sp, &s);
	if (s.argc >= 5 && !strcmp(s.argv[1], "run")) {
		parse_options(s.argv[2], &o);
		run(&s, &o, out);
		return 0;
	}
	if (s.argc >= 3 && !strcmp(s.argv[1], "proxy") && sched_proxy_main) {
		parse_options(s.argv[2], &o);
		sched_proxy_main(s.argv[2], client_exec_home,
				 &first_thread(&s, "proxy")->task);
	}
	log_error("this is the program loader of Hare, which 'hare run' uses; "
		  "usage: hare-ld run ARGS ARGV0 PATH [ARG...]");
	for (;;)
		SYS(exit_group, EXIT_USAGE);
}
