/* SPDX-License-Identifier: MIT */
/* hare run, boot, exec, halt: an instance for one program, and one that stays. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/boot.h"
#include "cli/cmd.h"
#include "cli/transfer.h"
#include "cli/view.h"
#include "cli/watch.h"
#include "client/syscalls.h"

/* Options up to `--` or the first word. The index of what follows, or -1 after a complaint. */
static int parse(struct settings *s, int argc, char **argv, const char **name)
{
	int i, r;

	settings_init(s);
	for (i = 1; i < argc; i++) {
		const char *v;

		if (!strcmp(argv[i], "--"))
			return i + 1;
		if (argv[i][0] != '-')
			return i;
		if (name && (v = opt_value(argc, argv, &i, "--name"))) {
			*name = v;
			continue;
		}
		r = strncmp(argv[i], "--", 2) ? 0 : settings_parse(s, argc, argv, &i);
		if (!r)
			usage_option(argv[0], argv[i]);
		if (r <= 0)
			return -1;
	}
	return i;
}

static bool good_name(const char *cmd, const char *name)
{
	if (*name && strlen(name) < 60 && !strchr(name, '/'))
		return true;
	usage(cmd, "--name wants up to 59 characters without a slash", name);
	return false;
}

/* "SRC:DST" or "SRC"; the part before the colon is copied to src. */
static const char *split(const char *item, char *src, size_t size)
{
	const char *colon = strchr(item, ':');
	size_t len = colon ? (size_t)(colon - item) : strlen(item);

	if (len >= size)
		len = size - 1;
	memcpy(src, item, len);
	src[len] = 0;
	return colon ? colon + 1 : NULL;
}

static int import_all(struct instance *in, const struct settings *s)
{
	char src[PATH_LEN_MAX];
	struct watch w;
	int ret = 0;
	u32 i;

	if (!in->inside)
		watch_begin(&w, in, "import");
	for (i = 0; !ret && i < s->import.count; i++) {
		const char *dst = split(s->import.item[i], src, sizeof(src));

		if (transfer_import(in->task, src, dst))
			ret = EXIT_OWN;
	}
	if (!in->inside)
		watch_end(&w);
	return ret;
}

static int export_all(struct instance *in, const struct settings *s)
{
	char src[PATH_LEN_MAX];
	struct watch w;
	int ret = 0;
	u32 i;

	if (!in->inside)
		watch_begin(&w, in, "export");
	for (i = 0; i < s->export.count; i++) {
		const char *dst = split(s->export.item[i], src, sizeof(src));

		if (!dst || !*dst)
			ret = usage("run", "--export wants SRC:DST, not",
				    s->export.item[i]);
		else if (transfer_export(in->task, src, dst))
			ret = EXIT_OWN;
	}
	if (!in->inside)
		watch_end(&w);
	return ret;
}

/* Where the first --import went: the program starts there unless --chdir says otherwise. */
static const char *import_directory(struct task *t, const struct settings *s, char *dir,
				    size_t size)
{
	const char *at = t->ctx.isl->super->at;
	size_t len = strlen(at);
	char src[PATH_LEN_MAX];
	const char *dst = split(s->import.item[0], src, sizeof(src));
	long a[6] = { (long)dir };

	if (dst && !strncmp(dst, at, len) && (dst[len] == '/' || !dst[len]))
		dst += len;
	snprintf(dir, size, "%s/%s", at, dst ? dst : "");
	if (client_chdir(t, a) == -ENOTDIR) /* a file was imported */
		snprintf(dir, size, "%s", at);
	return dir;
}

/* --chdir, and without it the caller's directory: below --at it is Hare's. */
static int enter_directory(struct task *t, const char *dir)
{
	char cwd[PATH_LEN_MAX];
	long a[6] = { (long)dir }, r;

	if (!dir) {
		const char *pwd = getenv("PWD");

		/* A shell that stands in a directory of that name on the host stays there. */
		if (getcwd(cwd, sizeof(cwd)) || !pwd)
			return 0;
		a[0] = (long)pwd;
	}
	r = client_chdir(t, a);
	if (r == CLIENT_HOST)
		r = chdir((const char *)a[0]) ? -errno : 0;
	if (!r)
		return 0;
	fprintf(stderr, "hare: cannot change to '%s': %s\n", (const char *)a[0],
		strerror((int)-r));
	return EXIT_OWN;
}

static int run_program(struct instance *in, const struct settings *s, char **argv)
{
	char start[PATH_LEN_MAX + AT_DIR_MAX];
	const char *dir = s->chdir;
	pid_t pid;
	int status;

	if (!dir && s->import.count)
		dir = import_directory(in->task, s, start, sizeof(start));
	status = enter_directory(in->task, dir);
	if (status)
		return status;
	pid = boot_spawn(in->task, argv);
	if (pid < 0) {
		fprintf(stderr, "hare: cannot start '%s': %s\n", argv[0], strerror(-pid));
		return EXIT_OWN;
	}
	if (in->inside) {
		status = boot_follow(pid);
		client_reap(in->task, (u32)pid);
		client_exit(in->task, 0);
	} else {
		status = boot_wait(in, pid);
	}
	return status < 0 ? EXIT_OWN : boot_exit_status(status);
}

static int import_step(struct instance *in, const struct settings *s, char **argv)
{
	(void)argv;
	return import_all(in, s);
}

static int export_step(struct instance *in, const struct settings *s, char **argv)
{
	(void)argv;
	return export_all(in, s);
}

/* What works on the instance as a program does. With separate kernels a process inside does it. */
static int step(struct instance *in, const struct settings *s, char **argv,
		int (*f)(struct instance *, const struct settings *, char **))
{
	pid_t pid;
	int status;

	if (!in->separate)
		return f(in, s, argv);
	fflush(NULL);
	pid = boot_fork_inside(in);
	if (!pid) {
		status = f(in, s, argv);
		fflush(NULL);
		_exit(status);
	}
	if (pid < 0) {
		fprintf(stderr, "hare: cannot start a process inside: %s\n",
			strerror(-pid));
		return EXIT_OWN;
	}
	in->copying = f != run_program;
	status = boot_wait(in, pid);
	if (in->copying && WIFSIGNALED(status))
		status = -1;
	in->copying = false;
	return status < 0 ? EXIT_OWN : boot_exit_status(status);
}

static int import_step_if_any(struct instance *in, const struct settings *s)
{
	return s->import.count ? step(in, s, NULL, import_step) : 0;
}

static int export_step_if_any(struct instance *in, const struct settings *s)
{
	in->last = true;
	return s->export.count ? step(in, s, NULL, export_step) : 0;
}

int cmd_run(int argc, char **argv)
{
	static struct instance in;
	struct settings s;
	int i = parse(&s, argc, argv, NULL), status, r;

	if (i < 0)
		return EXIT_USAGE;
	if (i >= argc)
		return usage("run",
			     "no program given: hare run [options] -- CMD [ARG...]",
			     NULL);
	status = boot_start(&in, &s, NULL);
	if (status)
		return status;
	status = import_step_if_any(&in, &s);
	if (!status)
		status = step(&in, &s, argv + i, run_program);
	boot_end_programs(&in);
	r = export_step_if_any(&in, &s);
	boot_stop(&in);
	return r ? r : status;
}

/* --- an instance that stays ------------------------------------------------------------------ */

static void detach(int ready)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char ok = 0;

	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		close(null);
	}
	if (write(ready, &ok, 1) != 1)
		_exit(EXIT_OWN);
	close(ready);
}

static _Noreturn void stay(const struct settings *s, const char *name, int ready)
{
	static struct instance in;
	int status;

	setsid();
	status = boot_start(&in, s, name);
	if (status)
		exit(status);
	status = import_step_if_any(&in, s);
	if (status) {
		boot_end_programs(&in);
		boot_stop(&in);
		exit(status);
	}
	if (chdir("/"))
		_exit(EXIT_OWN);
	detach(ready);
	boot_wait(&in, 0);
	boot_end_programs(&in);
	export_step_if_any(&in, s);
	boot_stop(&in);
	exit(0);
}

int cmd_boot(int argc, char **argv)
{
	const char *name = CONTROL_DEFAULT;
	struct settings s;
	int i = parse(&s, argc, argv, &name), ready[2], status;
	pid_t pid;
	char ok;

	if (i < 0 || !good_name("boot", name))
		return EXIT_USAGE;
	if (i < argc)
		return usage("boot", "it starts no program, use 'hare exec' for",
			     argv[i]);
	if (pipe2(ready, O_CLOEXEC) || (pid = fork()) < 0) {
		fprintf(stderr, "hare: cannot fork: %s\n", strerror(errno));
		return EXIT_OWN;
	}
	if (!pid) {
		close(ready[0]);
		stay(&s, name, ready[1]);
	}
	close(ready[1]);
	if (read(ready[0], &ok, 1) == 1)
		return 0;
	waitpid(pid, &status, 0);
	return boot_exit_status(status);
}

/* The descriptors that programs of an instance inherit, for core `core`. */
static int take_memory(const struct control *c, u32 core, struct mem_fds *own)
{
	struct super s;
	const struct mem_fds *fds;

	if (pread(c->fds[0].dram, &s, sizeof(s), 0) != (ssize_t)sizeof(s))
		return -EIO;
	fds = &c->fds[mem_island_of(&s, core)];
	*own = (struct mem_fds){ s.fd_base, fds->copy < 0 ? -1 : s.fd_base + 1 };
	if (dup3(fds->dram, own->dram, 0) < 0)
		return -errno;
	if (own->copy >= 0 && dup3(fds->copy, own->copy, 0) < 0)
		return -errno;
	if (c->info.separate && (kernel_reopen(own->dram, O_RDWR) ||
				 (own->copy >= 0 && kernel_reopen(own->copy, O_RDWR))))
		return -EIO;
	return hide_loader(s.loader, s.fd_base) ? -ENOENT : 0;
}

static struct task *join(struct control *c, u32 core)
{
	struct task *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mem_fds own;
	long r;

	if (t == MAP_FAILED)
		return NULL;
	r = take_memory(c, core, &own);
	if (!r)
		r = client_attach_tool(t, &own, core);
	if (!r)
		return t;
	fprintf(stderr, "hare: cannot join the instance: %s\n", strerror((int)-r));
	return NULL;
}

static int exec_there(struct control *c, u32 core, const char *dir, char **argv)
{
	struct task *t = join(c, core);
	int status;
	pid_t pid;

	if (!t || enter_directory(t, dir))
		return EXIT_OWN;
	control_close(c);
	pid = boot_spawn(t, argv);
	if (pid < 0) {
		fprintf(stderr, "hare: cannot start '%s': %s\n", argv[0], strerror(-pid));
		return EXIT_OWN;
	}
	status = boot_follow(pid);
	client_reap(t, (u32)pid);
	client_exit(t, 0);
	return boot_exit_status(status);
}

/* Its core has a kernel of its own: we stay outside and follow. */
static int exec_in_kernel(struct control *c, u32 core, const char *dir, char **argv)
{
	u32 island = core * c->info.islands / c->info.cores;
	int link[2];
	pid_t pid;

	boot_link(link);
	pid = kernel_fork(c->info.keeper[island]);
	boot_link_use(link, !pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(exec_there(c, core, dir, argv));
	}
	if (pid > 0)
		return boot_exit_status(boot_follow(pid));
	fprintf(stderr, "hare: cannot enter the instance: %s\n", strerror(-pid));
	return EXIT_OWN;
}

int cmd_exec(int argc, char **argv)
{
	const char *name = NULL;
	struct control c;
	struct settings s;
	int i = parse(&s, argc, argv, &name), status;
	u32 core;

	if (i < 0 || (name && !good_name("exec", name)))
		return EXIT_USAGE;
	if (i >= argc)
		return usage("exec",
			     "no program given: hare exec [--name N] -- CMD [ARG...]",
			     NULL);
	status = control_open(name, &c);
	if (status)
		return status;
	core = c.info.split + (u32)getpid() % (c.info.cores - c.info.split);
	return c.info.separate ? exec_in_kernel(&c, core, s.chdir, argv + i)
			       : exec_there(&c, core, s.chdir, argv + i);
}

int cmd_halt(int argc, char **argv)
{
	const char *name = NULL;
	struct settings s;
	struct control c;
	int i = parse(&s, argc, argv, &name), status;

	if (i < 0 || (name && !good_name("halt", name)))
		return EXIT_USAGE;
	if (i < argc)
		return usage("halt", "it takes no arguments, not", argv[i]);
	status = control_open(name, &c);
	if (status)
		return status;
	if (!c.info.name[0]) {
		fprintf(stderr,
			"hare: this instance is of a 'hare run' and ends with its "
			"program\n");
		return EXIT_OWN;
	}
	return control_halt(&c);
}
