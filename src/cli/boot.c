/* SPDX-License-Identifier: MIT */
/* Boots an instance, runs a program in it, and takes it down. See boot.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/boot.h"
#include "client/syscalls.h"

#define FD_BASE_MAX	1024
#define FD_HIDDEN_COUNT 8
#define CONNECTIONS	16
#define RESTARTS_MAX	10000
#define END_WAIT_MS	10000
#define COPY_GRACE_S	1

static int fail(const char *what, const char *subject, int err)
{
	if (subject)
		fprintf(stderr, "hare: cannot %s '%s': %s\n", what, subject,
			strerror(err));
	else
		fprintf(stderr, "hare: cannot %s: %s\n", what, strerror(err));
	return EXIT_OWN;
}

/* --- what is there ---------------------------------------------------------------------------- */

/* High enough to be out of the way, low enough that the host's descriptor tables, which every
 * fork copies up to the highest number, stay small. */
int boot_fd_base(void)
{
	struct rlimit rl;
	rlim_t top = FD_BASE_MAX;

	if (!getrlimit(RLIMIT_NOFILE, &rl) && rl.rlim_cur < top)
		top = rl.rlim_cur;
	return (int)top - FD_HIDDEN_COUNT;
}

static bool try_loader(struct instance *in, const char *dir, int len, const char *rest)
{
	struct stat st;

	snprintf(in->loader, sizeof(in->loader), "%.*s/%s", len, dir, rest);
	return !stat(in->loader, &st) && S_ISREG(st.st_mode) && !access(in->loader, X_OK);
}

static int find_loader(struct instance *in)
{
	ssize_t n = readlink("/proc/self/exe", in->self, sizeof(in->self) - 1);
	const char *slash;

	if (n <= 0)
		return fail("find my own path in", "/proc/self/exe", errno);
	in->self[n] = 0;
	slash = strrchr(in->self, '/');
	if (try_loader(in, in->self, (int)(slash - in->self), "hare-ld") ||
	    try_loader(in, in->self, (int)(slash - in->self), "../libexec/hare/hare-ld"))
		return 0;
	fprintf(stderr,
		"hare: no program loader beside '%s': hare-ld belongs there, or in "
		"../libexec/hare\n",
		in->self);
	return EXIT_OWN;
}

static void find_cpus(struct mem_config *cfg)
{
	cpu_set_t set;
	u32 i;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	for (i = 0; i < CPU_SETSIZE && cfg->cpus < MAX_CORES; i++)
		if (CPU_ISSET(i, &set))
			cfg->cpu[cfg->cpus++] = (u16)i;
	if (!cfg->cpus)
		cfg->cpus = 1;
	for (i = cfg->cpus; i < MAX_CORES; i++)
		cfg->cpu[i] = cfg->cpu[i % cfg->cpus];
}

static int configure(struct instance *in, const struct settings *s)
{
	struct mem_config *cfg = &in->cfg;
	size_t len = strlen(s->at);

	find_cpus(cfg);
	cfg->size = s->memory;
	cfg->cores = s->cores ? s->cores : cfg->cpus;
	cfg->islands = s->islands ? s->islands : cfg->cores;
	cfg->model = s->model;
	cfg->without = s->without;
	cfg->placement = s->placement;
	cfg->split = s->split;
	cfg->chaos_seed = s->chaos;
	cfg->uid = geteuid();
	cfg->gid = getegid();
	cfg->kernels = s->kernels;
	in->separate = s->kernels == KERNELS_SEPARATE;
	cfg->fd_base = boot_fd_base();
	cfg->at = s->at;
	cfg->loader = in->loader;
	cfg->hare = in->self;
	if (cfg->islands > cfg->cores) {
		fprintf(stderr,
			"hare: --islands %u is more than --cores %u: an island has at "
			"least one core\n",
			cfg->islands, cfg->cores);
		return EXIT_USAGE;
	}
	cfg->pid_span = in->separate ? kernel_span(cfg->islands, cfg->cores) : 0;
	if (in->separate && !cfg->pid_span) {
		fprintf(stderr,
			"hare: this host has too few process numbers for %u kernels: set "
			"kernel.pid_max to 4194304 (sysctl)\n",
			cfg->islands);
		return EXIT_OWN;
	}
	if (cfg->split >= cfg->cores) {
		fprintf(stderr,
			"hare: --split %u leaves none of %u cores to run programs\n",
			cfg->split, cfg->cores);
		return EXIT_USAGE;
	}
	if (s->at[0] != '/' || len < 2 || s->at[len - 1] == '/' || len >= AT_DIR_MAX) {
		fprintf(stderr,
			"hare: --at '%s' must be an absolute path without a slash at its "
			"end, of at most %d bytes\n",
			s->at, AT_DIR_MAX - 1);
		return EXIT_USAGE;
	}
	if (cfg->chaos_seed && cfg->model != MEM_EMULATED) {
		fprintf(stderr, "hare: --chaos needs --memory-model emulated\n");
		return EXIT_USAGE;
	}
	return 0;
}

/* --- memory ------------------------------------------------------------------------------------- */

/* Moves a descriptor to its hidden number, where programs inherit it. */
static int hide(int fd, int number)
{
	return dup3(fd, number, 0) < 0 ? -errno : number;
}

int hide_loader(const char *path, int fd_base)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0 || hide(fd, fd_base + FD_LOADER) < 0)
		return fail("open the program loader", path, errno);
	return close(fd);
}

static int open_memory(struct instance *in, const char *path)
{
	int fd;

	if (!path)
		return memfd_create("hare-dram", MFD_CLOEXEC);
	in->memory_file = path;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	in->made_file = fd >= 0;
	if (fd < 0 && errno == EEXIST)
		fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, 0) && errno != EINVAL) {
		close(fd);
		return -1;
	}
	return fd;
}

static u32 program_island(const struct mem_config *cfg)
{
	return (u32)((u64)cfg->split * cfg->islands / cfg->cores);
}

static int make_memory(struct instance *in, const struct settings *s)
{
	int dram = open_memory(in, s->memory_file), copy;
	long size;
	u32 i;

	if (dram < 0)
		return fail("open the memory", s->memory_file, errno);
	size = mem_format(dram, &in->cfg);
	if (size == -EINVAL) {
		fprintf(stderr,
			"hare: --memory is too small for %u cores: give more, or fewer "
			"cores\n",
			in->cfg.cores);
		return EXIT_USAGE;
	}
	if (size < 0)
		return fail("format the memory", s->memory_file, (int)-size);
	for (i = 0; i < in->cfg.islands; i++) {
		copy = -1;
		if (in->cfg.model == MEM_EMULATED) {
			copy = memfd_create("hare-cache", MFD_CLOEXEC);
			if (copy < 0)
				return fail("make the memory of an island", NULL, errno);
		}
		in->fds[i] = (struct mem_fds){ dram, copy };
	}
	/* those of the core where the first program starts */
	copy = in->fds[program_island(&in->cfg)].copy;
	in->own =
		(struct mem_fds){ in->cfg.fd_base, copy < 0 ? -1 : in->cfg.fd_base + 1 };
	if (hide(dram, in->own.dram) < 0 ||
	    (in->own.copy >= 0 && hide(copy, in->own.copy) < 0))
		return fail("place the memory's descriptors", NULL, errno);
	return hide_loader(in->loader, in->cfg.fd_base);
}

/* --- agents ------------------------------------------------------------------------------------- */

/* Separate kernels: the memory is opened anew for each. */
static bool own_memory(const struct instance *in)
{
	return !kernel_reopen(in->own.dram, O_RDWR) &&
	       (in->own.copy < 0 || !kernel_reopen(in->own.copy, O_RDWR)) &&
	       !hide_loader(in->loader, in->cfg.fd_base);
}

static void own_stderr(void)
{
	int null;

	if (!kernel_reopen(2, O_WRONLY | O_APPEND))
		return;
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, 2) < 0)
		_exit(EXIT_OWN);
}

static _Noreturn void agent_child(struct instance *in, u32 core, int sock, bool fresh)
{
	struct super s;
	const struct mem_fds *fds;
	u32 i;

	if (pread(in->own.dram, &s, sizeof(s), 0) != (ssize_t)sizeof(s))
		_exit(EXIT_OWN);
	fds = &in->fds[mem_island_of(&s, core)];
	if (fds->copy >= 0 && hide(fds->copy, in->own.copy) < 0)
		_exit(EXIT_OWN);
	if (in->separate) {
		/* all else that is boot's goes */
		int last = in->own.dram + FD_HIDDEN_COUNT;

		own_stderr();
		if (!own_memory(in) || dup3(sock, last, O_CLOEXEC) < 0)
			_exit(EXIT_OWN);
		close_range(3, (u32)in->own.dram - 1, 0);
		close_range((u32)last + 1, ~0U, 0);
		agent_main(&s, core, last, fresh);
	}
	/* what is boot's own is not the agent's, nor its programs' */
	for (i = 0; i < in->cfg.cores; i++)
		if (i != core && in->agent_sock[i] >= 0)
			close(in->agent_sock[i]);
	close(in->sig_fd);
	if (in->listener >= 0)
		close(in->listener);
	if (in->by_name >= 0)
		close(in->by_name);
	if (in->halt_conn >= 0)
		close(in->halt_conn);
	agent_main(&s, core, sock, fresh);
}

static u32 island_of(const struct instance *in, u32 core)
{
	return (u32)((u64)core * in->cfg.islands / in->cfg.cores);
}

static int agent_start(struct instance *in, u32 core, bool fresh)
{
	int pair[2];
	u32 i;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	in->agent[core] = in->separate
				  ? kernel_fork(in->kernel[island_of(in, core)].keeper)
				  : fork();
	if (!in->agent[core]) {
		close(pair[0]);
		agent_child(in, core, pair[1], fresh);
	}
	close(pair[1]);
	if (in->agent[core] < 0) {
		int r = in->separate ? in->agent[core] : -errno;

		close(pair[0]);
		in->agent[core] = 0;
		return r;
	}
	in->agent_sock[core] = pair[0];
	for (i = 0; !fresh && i < ORPHANS_KEPT; i++)
		if (in->orphan[i].op)
			send(pair[0], &in->orphan[i], sizeof(in->orphan[i]),
			     MSG_NOSIGNAL);
	return 0;
}

static int start_kernel(struct instance *in, u32 island)
{
	struct kernel *k = &in->kernel[island];
	const char *what;
	int r = kernel_start(k, island, in->cfg.pid_span, in->info.boot_id, &what);

	in->info.keeper[island] = k->keeper;
	if (r)
		fprintf(stderr,
			"hare: no kernel for each island (--kernels separate): this host "
			"does not let us %s: %s\n",
			what, strerror(-r));
	return r ? EXIT_OWN : 0;
}

static int agents_start(struct instance *in)
{
	struct agent_msg m;
	u32 i;
	int r;

	for (i = 0; in->separate && i < in->cfg.islands; i++)
		if (start_kernel(in, i))
			return EXIT_OWN;
	for (i = 0; i < in->cfg.cores; i++) {
		r = agent_start(in, i, true);
		if (r)
			return fail("start an agent", NULL, -r);
	}
	for (i = 0; i < in->cfg.cores; i++) {
		if (recv(in->agent_sock[i], &m, sizeof(m), 0) != sizeof(m))
			return fail("start an agent", NULL, ECHILD);
		if (m.op != AGENT_READY)
			return fail("make a core kernel", NULL, m.status);
	}
	return 0;
}

static int agent_of(const struct instance *in, pid_t pid)
{
	u32 i;

	for (i = 0; i < in->cfg.cores; i++)
		if (in->agent[i] == pid)
			return (int)i;
	return -1;
}

/* A killed agent's successor takes its core kernel over as it is. */
static void agent_restart(struct instance *in, u32 core)
{
	close(in->agent_sock[core]);
	in->agent_sock[core] = -1;
	in->agent[core] = 0;
	if (in->ending)
		return;
	/* It may have died with its kernel: then kernel_died starts both. */
	if (in->restarts++ >= RESTARTS_MAX ||
	    (agent_start(in, core, false) && !in->separate)) {
		fprintf(stderr,
			"hare: cannot replace the agent of core %u: the instance ends\n",
			core);
		in->ending = true;
	}
}

/* --- the terminal of separate kernels ----------------------------------------------------------- */

/* A program inside cannot give the terminal to a group outside: who came in with it asks us, by a
 * pipe and SIGIO. */
static int g_link = -1;

void boot_link(int link[2])
{
	sigset_t io;

	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	sigprocmask(SIG_BLOCK, &io, NULL);
	if (pipe2(link, O_CLOEXEC | O_NONBLOCK)) {
		link[0] = link[1] = -1;
		return;
	}
	fcntl(link[0], F_SETOWN, getpid());
	fcntl(link[0], F_SETFL, O_NONBLOCK | O_ASYNC);
}

void boot_link_use(int link[2], bool inside)
{
	if (g_link >= 0)
		close(g_link);
	g_link = link[inside ? 1 : 0];
	if (link[0] >= 0)
		close(link[inside ? 0 : 1]);
}

static void link_signal(int sig)
{
	char byte = 0;
	int tty;

	if (g_link < 0)
		return;
	if (sig == SIGTTOU) {
		(void)!write(g_link, &byte, 1);
		return;
	}
	while (read(g_link, &byte, 1) == 1)
		;
	tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (tty >= 0) {
		tcsetpgrp(tty, getpgrp());
		close(tty);
	}
}

/* --- start -------------------------------------------------------------------------------------- */

static sigset_t g_caller_mask;

static int open_signals(struct instance *in)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigprocmask(SIG_SETMASK, &all, &g_caller_mask);
	in->sig_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	return in->sig_fd < 0 ? fail("open a signal descriptor", NULL, errno) : 0;
}

static int open_control(struct instance *in, const char *name)
{
	struct super s;

	if (pread(in->own.dram, &s, sizeof(s), 0) != (ssize_t)sizeof(s))
		return fail("read the memory", NULL, EIO);
	in->info = (struct control_info){
		.boot_id = s.boot_id,
		.cores = s.cores,
		.islands = s.islands,
		.split = mem_first_program_core(&s),
		.separate = in->separate,
		.pid = getpid(),
	};
	snprintf(in->info.name, sizeof(in->info.name), "%s", name ? name : "");
	in->listener = control_listen(s.boot_id, name, &in->by_name);
	if (in->listener >= 0)
		return 0;
	if (in->listener == -EADDRINUSE && name) {
		fprintf(stderr,
			"hare: an instance named '%s' runs already: give another --name, "
			"or end it with 'hare halt'\n",
			name);
		return EXIT_OWN;
	}
	return fail("listen for hare commands", NULL, -in->listener);
}

static int attach(struct instance *in)
{
	long r;

	in->task = mmap(NULL, sizeof(*in->task), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (in->task == MAP_FAILED)
		return fail("get memory", NULL, errno);
	r = client_attach_tool(in->task, &in->own, in->cfg.split);
	return r ? fail("join the instance", NULL, (int)-r) : 0;
}

static void forget_numbers(struct instance *in)
{
	u32 i;

	memset(in, 0, sizeof(*in));
	in->listener = in->by_name = in->sig_fd = in->halt_conn = -1;
	for (i = 0; i < MAX_CORES; i++) {
		in->agent_sock[i] = -1;
		in->fds[i] = (struct mem_fds){ -1, -1 };
		in->kernel[i].line = in->kernel[i].listener = -1;
	}
}

/* The loader of a program inside needs what the loader around it has taken for itself. */
static int refuse_inside(void)
{
	u64 boot_id;

	if (!control_inside(&boot_id))
		return 0;
	fprintf(stderr,
		"hare: this is a program of an instance already: one inside another is "
		"not possible\n");
	return EXIT_OWN;
}

int boot_start(struct instance *in, const struct settings *s, const char *name)
{
	int r;

	forget_numbers(in);
	r = refuse_inside();
	if (!r)
		r = find_loader(in);
	if (!r)
		r = configure(in, s);
	if (!r)
		r = make_memory(in, s);
	if (r)
		return r;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	r = open_signals(in);
	if (!r)
		r = open_control(in, name);
	if (!r)
		r = agents_start(in);
	if (!r && !in->separate)
		r = attach(in);
	if (r)
		boot_stop(in);
	return r;
}

pid_t boot_fork_inside(struct instance *in)
{
	int link[2];
	pid_t pid;

	boot_link(link);
	pid = kernel_fork(in->kernel[program_island(&in->cfg)].keeper);
	if (pid) {
		boot_link_use(link, false);
		return pid;
	}
	in->inside = true;
	/* Boot's descriptors close at an exec; what else there is the caller gave for the program. */
	for (int fd = 3; fd < in->own.dram; fd++)
		if (fd != link[1] && fcntl(fd, F_GETFD) > 0)
			close(fd);
	g_link = link[1];
	if (!own_memory(in) || attach(in))
		_exit(EXIT_OWN);
	return 0;
}

/* --- a program ---------------------------------------------------------------------------------- */

static long try_path(struct task *t, const char *path, char **argv,
		     struct exec_plan *plan)
{
	return client_exec_prepare(t, AT_FDCWD, path, argv, environ, 0, plan);
}

/* As execvp(3) searches: EACCES is remembered, a script without `#!` is a shell's. */
static long search(struct task *t, char **argv, struct exec_plan *plan)
{
	const char *path = getenv("PATH"), *dir, *end;
	char full[PATH_LEN_MAX];
	long r, ret = -ENOENT;

	if (strchr(argv[0], '/'))
		return try_path(t, argv[0], argv, plan);
	for (dir = path ? path : "/bin:/usr/bin"; dir; dir = *end ? end + 1 : NULL) {
		end = dir + strcspn(dir, ":");
		if (snprintf(full, sizeof(full), "%.*s%s%s", (int)(end - dir), dir,
			     end == dir ? "" : "/", argv[0]) >= (int)sizeof(full))
			continue;
		r = try_path(t, full, argv, plan);
		if (r == -EACCES)
			ret = r;
		else if (r != -ENOENT && r != -ENOTDIR)
			return r;
	}
	return ret;
}

static _Noreturn void cannot_run(const char *what, long r)
{
	fprintf(stderr, "hare: cannot run '%s': %s\n", what, strerror((int)-r));
	_exit(r == -ENOENT || r == -ENOTDIR ? EXIT_MISSING : EXIT_CANNOT);
}

static _Noreturn void become_program(struct task *t, char **argv)
{
	static struct exec_plan plan;
	const struct super *s = t->ctx.isl->super;
	char args[1024], **words;
	unsigned long mask = 0;
	cpu_set_t cpu;
	long r = search(t, argv, &plan);
	u32 i;

	if (r)
		cannot_run(argv[0], r);
	client_tool_becomes_program(t);
	for (i = 1; i < 64; i++)
		if (sigismember(&g_caller_mask, (int)i) == 1)
			mask |= 1UL << (i - 1);
	snprintf(args, sizeof(args), "%s,mask=%lx,name=%s", plan.loader_args, mask,
		 plan.comm);
	words = plan.argv - EXEC_WORDS;
	words[0] = (char *)"hare-ld";
	words[1] = (char *)"run";
	words[2] = args;
	words[3] = plan.argv[0];
	words[4] = plan.path;
	CPU_ZERO(&cpu);
	CPU_SET(s->cpu[t->ctx.core], &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	client_exec_commit(t, &plan);
	execve(s->loader, words, plan.envp);
	cannot_run(s->loader, -errno);
}

pid_t boot_spawn(struct task *t, char **argv)
{
	struct proc *child;
	long r = client_fork_prepare(t, SIGCHLD, &child);
	pid_t pid;

	if (r)
		return (pid_t)r;
	/* fork() leaves the child's pid nowhere: should we be killed, the child still has time to
	 * come. */
	*client_fork_born(child) = CLIENT_BORN_UNKNOWN;
	pid = fork();
	if (!pid) {
		client_fork_child(t, child, gettid());
		become_program(t, argv);
	}
	if (pid < 0)
		pid = -errno;
	client_fork_parent(t, child, pid);
	return pid;
}

int boot_exit_status(int st)
{
	return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}

/* --- while it runs ------------------------------------------------------------------------------ */

/* The terminal's signals reach the program by themselves, others are for it. */
static void forward(const struct signalfd_siginfo *si, pid_t child)
{
	switch (si->ssi_signo) {
	case SIGTTOU:
		if (si->ssi_code <= 0)
			link_signal(SIGTTOU);
		return;
	case SIGIO:
		if (si->ssi_code > 0)
			link_signal(SIGIO);
		else if (child > 0)
			kill(child, SIGIO);
		return;
	case SIGCHLD:
	case SIGPIPE:
	case SIGTTIN:
		return;
	case SIGTSTP:
		if (si->ssi_code > 0)
			return; /* the program stops, then so do we */
		break;
	case SIGCONT:
		break;
	default:
		if (si->ssi_code > 0)
			return;
	}
	if (child > 0)
		kill(child, (int)si->ssi_signo);
}

static void stop_with(pid_t child)
{
	kill(getpid(), SIGSTOP);
	kill(child, SIGCONT);
}

static void tell_agents(struct instance *in, const struct agent_msg *m)
{
	u32 i;

	in->orphan[in->orphans++ % ORPHANS_KEPT] = *m;
	for (i = 0; i < in->cfg.cores; i++)
		if (in->agent_sock[i] >= 0)
			send(in->agent_sock[i], m, sizeof(*m),
			     MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int keeper_of(const struct instance *in, pid_t pid)
{
	u32 i;

	for (i = 0; in->separate && i < in->cfg.islands; i++)
		if (in->kernel[i].keeper == pid)
			return (int)i;
	return -1;
}

/* All of it died with its keeper. It is started anew, and its agents take their core kernels over, whose
 * processes are all gone. */
static void kernel_died(struct instance *in, u32 island)
{
	struct kernel *k = &in->kernel[island];
	u32 core, failed = 0;

	k->keeper = 0;
	kernel_stop(k);
	if (in->ending)
		return;
	failed = in->restarts++ >= RESTARTS_MAX || start_kernel(in, island);
	for (core = 0; !failed && core < in->cfg.cores; core++)
		if (island_of(in, core) == island && !in->agent[core])
			failed = (u32)agent_start(in, core, false);
	if (!failed)
		return;
	fprintf(stderr, "hare: cannot replace kernel %u: the instance ends\n", island);
	in->ending = true;
}

/* What a keeper says: orphans of its kernel. */
static void hear(struct instance *in, u32 island)
{
	struct agent_msg m;

	if (recv(in->kernel[island].line, &m, sizeof(m), MSG_DONTWAIT) != sizeof(m))
		return; /* its end shows as a child's */
	if (m.op == AGENT_STATUS)
		tell_agents(in, &m);
}

/* Children: the program, agents, and orphans. True when the program has ended. */
static bool reap(struct instance *in, pid_t child, int *status)
{
	struct agent_msg m = { .op = AGENT_STATUS };
	bool ended = false;
	int core;

	for (;;) {
		m.pid = wait4(-1, &m.status, WNOHANG | WUNTRACED, &m.usage);
		if (m.pid <= 0)
			return ended;
		core = agent_of(in, m.pid);
		if (m.pid == child && WIFSTOPPED(m.status)) {
			if (!in->copying)
				stop_with(child);
		} else if (m.pid == child) {
			*status = m.status;
			ended = true;
			if (in->task)
				client_reap(in->task, (u32)child);
		} else if (core >= 0 && !WIFSTOPPED(m.status)) {
			agent_restart(in, (u32)core);
		} else if (keeper_of(in, m.pid) >= 0) {
			kernel_died(in, (u32)keeper_of(in, m.pid));
		} else if (core < 0 && !in->separate) {
			tell_agents(in, &m);
		}
	}
}

/* A copy that a process inside makes: it looks for pending signals itself, unless it hangs. */
static void interrupt(const struct signalfd_siginfo *si, pid_t child)
{
	switch (si->ssi_signo) {
	case SIGINT:
	case SIGTERM:
	case SIGHUP:
	case SIGQUIT:
		kill(child, (int)si->ssi_signo);
		alarm(COPY_GRACE_S);
		break;
	case SIGALRM:
		fprintf(stderr, "hare: interrupted; the copy had not ended\n");
		kill(child, SIGKILL);
	}
}

/* True when the program has ended. */
static bool signals(struct instance *in, pid_t child, int *status)
{
	struct signalfd_siginfo si;
	bool ended = false;

	while (read(in->sig_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			ended |= reap(in, child, status);
		else if (child && in->copying)
			interrupt(&si, child);
		else if (child)
			forward(&si, child);
		else if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT ||
			 si.ssi_signo == SIGHUP)
			in->ending = true;
	}
	return ended;
}

struct serving {
	int conn[CONNECTIONS];
	bool inside[CONNECTIONS]; /* from a kernel of ours */
	u32 count;
};

static void accept_from(struct serving *v, int listener, bool inside)
{
	int conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn < 0)
		return;
	if (v->count == CONNECTIONS)
		close(conn);
	else
		v->inside[v->count] = inside, v->conn[v->count++] = conn;
}

static void serve(struct instance *in, struct serving *v, u32 i)
{
	int op = control_serve(v->conn[i], &in->info, in->fds, v->inside[i]);

	if (op == CONTROL_NONE)
		return;
	if (op == CONTROL_HALT) {
		in->ending = true;
		in->halt_conn = v->conn[i];
	} else {
		close(v->conn[i]);
	}
	v->inside[i] = v->inside[v->count - 1];
	v->conn[i] = v->conn[--v->count];
}

int boot_wait(struct instance *in, pid_t child)
{
	static struct serving v;
	struct pollfd p[3 + CONNECTIONS + 2 * MAX_CORES], *q;
	u32 kernels = in->separate ? in->cfg.islands : 0, i;
	bool ended = false;
	int status = -1;

	while (!ended && (!in->ending || in->last)) {
		p[0] = (struct pollfd){ in->sig_fd, POLLIN, 0 };
		p[1] = (struct pollfd){ in->listener, POLLIN, 0 };
		p[2] = (struct pollfd){ in->by_name, POLLIN, 0 };
		for (i = 0; i < v.count; i++)
			p[3 + i] = (struct pollfd){ v.conn[i], POLLIN, 0 };
		q = p + 3 + v.count;
		for (i = 0; i < kernels; i++) {
			q[2 * i] = (struct pollfd){ in->kernel[i].listener, POLLIN, 0 };
			q[2 * i + 1] = (struct pollfd){ in->kernel[i].line, POLLIN, 0 };
		}
		if (poll(p, 3 + v.count + 2 * kernels, -1) < 0 && errno != EINTR)
			break;
		for (i = 0; i < kernels; i++)
			if (q[2 * i + 1].revents & POLLIN)
				hear(in, i);
		if (p[0].revents)
			ended = signals(in, child, &status);
		for (i = v.count; i-- > 0;)
			if (p[3 + i].revents)
				serve(in, &v, i);
		for (i = 1; i < 3; i++)
			if (p[i].revents)
				accept_from(&v, p[i].fd, false);
		for (i = 0; i < kernels; i++)
			if (q[2 * i].revents & POLLIN &&
			    q[2 * i].fd == in->kernel[i].listener)
				accept_from(&v, q[2 * i].fd, true);
	}
	return status;
}

int boot_follow(pid_t child)
{
	sigset_t all, old;
	int status;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	for (;;) {
		siginfo_t si;
		int sig = sigwaitinfo(&all, &si);
		struct signalfd_siginfo s = { .ssi_signo = (u32)sig,
					      .ssi_code = si.si_code };
		pid_t pid;

		if (sig < 0)
			continue;
		if (sig != SIGCHLD) {
			forward(&s, child);
			continue;
		}
		while ((pid = waitpid(child, &status, WNOHANG | WUNTRACED)) == child) {
			if (!WIFSTOPPED(status))
				return status;
			stop_with(child);
		}
	}
}

/* --- the end ------------------------------------------------------------------------------------ */

/* Waits for one agent's word; -1 when it is dead. */
static int await(struct instance *in, u32 core, u32 op)
{
	struct pollfd p = { in->agent_sock[core], POLLIN, 0 };
	struct agent_msg m;

	while (poll(&p, 1, END_WAIT_MS) > 0) {
		if (recv(in->agent_sock[core], &m, sizeof(m), 0) != sizeof(m))
			return -1;
		if (m.op == op)
			return 0;
	}
	return -1;
}

void boot_end_programs(struct instance *in)
{
	struct agent_msg m = { .op = AGENT_END };
	u32 i;
	int status;

	in->ending = true;
	for (i = 0; i < in->cfg.cores; i++)
		if (in->agent_sock[i] >= 0)
			send(in->agent_sock[i], &m, sizeof(m), MSG_NOSIGNAL);
	for (i = 0; i < in->cfg.cores; i++)
		if (in->agent_sock[i] >= 0)
			await(in, i, AGENT_ENDED);
	reap(in, 0, &status);
}

static void kill_children(void)
{
	char path[64], text[4096], *at, *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	for (at = text;; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			return;
		kill((pid_t)pid, SIGKILL);
	}
}

void boot_stop(struct instance *in)
{
	u32 i;

	in->ending = true;
	for (i = 0; i < in->cfg.cores; i++) {
		if (in->agent_sock[i] >= 0)
			close(in->agent_sock[i]);
		in->agent_sock[i] = -1;
		if (in->agent[i] > 0)
			kill(in->agent[i], SIGKILL);
	}
	for (i = 0; in->separate && i < in->cfg.islands; i++)
		kernel_stop(&in->kernel[i]);
	/* Whatever is left is our child or becomes one when its parent is gone. */
	do
		kill_children();
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR);
	if (in->made_file)
		unlink(in->memory_file);
}
