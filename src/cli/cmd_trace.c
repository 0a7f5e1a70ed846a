/* SPDX-License-Identifier: MIT */
/*
 * hare trace: every RPC and system call of an instance, as it happens, or a program's summary.
 *
 * Each core kernel has a ring of records that its threads fill while `tracing` is set. We set it,
 * look at the rings every few milliseconds, and clear it at the end; if we are killed an agent does. Records that were
 * overwritten before we looked are counted as lost. Summaries take their counts from the cores'
 * counters, which lose nothing, and only their times from the records.
 *
 *   hare trace                 prints records until interrupted
 *   hare trace -- CMD          runs CMD in the instance, then a summary on stderr
 * Outside an instance the second is `hare run [options] -- hare trace -- CMD`.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/host.h"
#include "cli/boot.h"
#include "cli/cmd.h"
#include "cli/relay.h"
#include "cli/stats.h"
#include "cli/view.h"

#define POLL_NS	    5000000
#define SYSCALL_MAX 512

enum { LOCAL, MESSAGE, SERVED, HOW_MAX }; /* trace_rec.where of an RPC */

struct cost {
	u64 count, ns;
};

struct trace {
	struct view v;
	struct trace_ring *ring[MAX_CORES];
	u64 seen[MAX_CORES]; /* records dealt with */
	u64 complete[MAX_CORES]; /* records written before the last look: whole by now */
	u64 lost, start_ns;
	bool each;
	FILE *out;
	struct trace_rec *batch; /* what one look found; the core stands in `pad` */
	size_t batch_count;
	struct core_stats before;
	struct cost rpc[RPC_COUNT][HOW_MAX];
	struct cost sys[SYSCALL_MAX][2]; /* in Hare, at the host */
};

static volatile sig_atomic_t g_stop;

static void on_signal(int sig)
{
	(void)sig;
	g_stop = 1;
}

static const char *syscall_name(u32 nr)
{
	switch (nr) {
#define SYSCALL(number, name, route, args, note)                                         \
	case number:                                                                     \
		return #name;
#include "intercept/syscalls.def"
#undef SYSCALL
	default:
		return "?";
	}
}

/* --- the rings --------------------------------------------------------------------------------- */

/* By our number, so that an agent switches them off when we are killed; the last one to come is who
 * switches them off in order. */
static void switch_rings(struct trace *t, bool on)
{
	u32 c;

	for (c = 0; c < t->v.cores; c++) {
		u32 *who = &view_ck(&t->v, c)->tracing, self = t->v.ctx[c].tid;

		if (!t->ring[c])
			continue;
		if (on)
			__atomic_store_n(who, self, __ATOMIC_RELAXED);
		else
			__atomic_compare_exchange_n(who, &self, 0, false,
						    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
}

static void open_rings(struct trace *t)
{
	u32 c;

	for (c = 0; c < t->v.cores; c++) {
		t->ring[c] = trace_ring(view_ck(&t->v, c));
		if (t->ring[c])
			t->seen[c] = t->complete[c] =
				__atomic_load_n(&t->ring[c]->next, __ATOMIC_RELAXED);
	}
	t->start_ns = host_monotonic_ns();
}

static void take(struct trace *t, u32 core, const struct trace_rec *r)
{
	if (r->tid == t->v.ctx[core].tid && !(r->kind == 0 && r->where == SERVED))
		return;
	t->batch[t->batch_count] = *r;
	t->batch[t->batch_count++].pad = (u16)core;
}

/* What core's ring got up to the last look. `next` grows before its record is written, so the
 * newest ones may be half there; they wait for the next look. */
static void collect_core(struct trace *t, u32 core)
{
	struct trace_ring *ring = t->ring[core];
	u64 now = __atomic_load_n(&ring->next, __ATOMIC_ACQUIRE), i = t->seen[core];

	if (now - i > TRACE_RECS) {
		t->lost += now - TRACE_RECS - i;
		i = now - TRACE_RECS;
	}
	for (; i < t->complete[core]; i++)
		take(t, core, &ring->rec[i % TRACE_RECS]);
	t->seen[core] = i;
	t->complete[core] = now;
}

static int by_time(const void *a, const void *b)
{
	const struct trace_rec *x = a, *y = b;

	return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

static void account(struct trace *t, const struct trace_rec *r)
{
	struct cost *c;

	if (r->kind == 0) {
		if (r->id >= RPC_COUNT || r->where >= HOW_MAX)
			return;
		c = &t->rpc[r->id][r->where];
	} else {
		if (r->id >= SYSCALL_MAX)
			return;
		c = &t->sys[r->id][r->where ? 1 : 0];
	}
	c->count++;
	c->ns += r->cost_ns;
}

static void print_result(FILE *f, s64 result)
{
	const char *name =
		result < 0 && result > -4096 ? strerrorname_np((int)-result) : NULL;

	if (name)
		fprintf(f, " = -%s", name);
	else if (result > 0xffffff)
		fprintf(f, " = 0x%llx", (unsigned long long)result);
	else
		fprintf(f, " = %lld", (long long)result);
}

static void print_record(struct trace *t, const struct trace_rec *r)
{
	static const char *const how[HOW_MAX] = { "local call", "message", "served" };
	FILE *f = t->out;

	fprintf(f, "%11.6f core %-2u %7u ", (double)(s64)(r->time_ns - t->start_ns) / 1e9,
		r->pad, r->tid);
	if (r->kind == 0) {
		fprintf(f, "  %s %s core %u", rpc_name(r->id),
			r->where == SERVED ? "from" : "to", r->peer);
		print_result(f, r->result);
		fprintf(f, "  %s", r->where < HOW_MAX ? how[r->where] : "?");
	} else {
		fprintf(f, "%s(0x%llx)", syscall_name(r->id), (unsigned long long)r->arg);
		print_result(f, r->result);
		fprintf(f, "  %s", r->where ? "host" : "hare");
	}
	fprintf(f, " %.2f us\n", r->cost_ns / 1e3);
}

/* Records are printed in order of time, the cores' mixed. */
static void deal_with_batch(struct trace *t)
{
	size_t i;

	if (t->each && t->batch_count)
		qsort(t->batch, t->batch_count, sizeof(*t->batch), by_time);
	for (i = 0; i < t->batch_count; i++) {
		account(t, &t->batch[i]);
		if (t->each)
			print_record(t, &t->batch[i]);
	}
	t->batch_count = 0;
	if (t->each && fflush(t->out))
		g_stop = 1;
}

static void collect(struct trace *t)
{
	u32 c;

	for (c = 0; c < t->v.cores; c++) {
		if (t->ring[c])
			collect_core(t, c);
	}
	deal_with_batch(t);
	switch_rings(t, true); /* another trace may have ended meanwhile */
}

/* --- summary ------------------------------------------------------------------------------------- */

static void print_mean(FILE *f, const struct cost *c)
{
	if (c->count)
		fprintf(f, " %9.2f", (double)c->ns / (double)c->count / 1e3);
	else
		fprintf(f, " %9s", "-");
}

static void print_rpcs(const struct trace *t, const struct core_stats *s)
{
	FILE *f = t->out;
	u32 id;

	fprintf(f, "%-14s %12s %9s %12s %9s %12s\n", "RPC", "local calls", "mean us",
		"requests", "mean us", "messages");
	for (id = 1; id < RPC_COUNT; id++) {
		u64 local = s->counter[COUNT_LOCAL(id)],
		    sent = s->counter[COUNT_SENT(id)];
		u64 served = s->counter[COUNT_SERVED(id)];

		if (!local && !sent && !served)
			continue;
		fprintf(f, "%-14s %12llu", rpc_name(id), (unsigned long long)local);
		print_mean(f, &t->rpc[id][LOCAL]);
		fprintf(f, " %12llu", (unsigned long long)sent);
		print_mean(f, &t->rpc[id][MESSAGE]);
		fprintf(f, " %12llu\n",
			(unsigned long long)(served * (rpc_is_two_way(id) ? 2 : 1)));
	}
	fprintf(f, "%-14s %12llu %9s %12llu %9s %12llu\n\n", "all",
		(unsigned long long)stats_local(s), "", (unsigned long long)stats_sent(s),
		"", (unsigned long long)stats_messages(s));
}

static void print_syscalls(const struct trace *t)
{
	FILE *f = t->out;
	u32 nr;

	fprintf(f, "%-22s %10s %9s %10s %9s\n", "system call", "in Hare", "mean us",
		"at host", "mean us");
	for (nr = 0; nr < SYSCALL_MAX; nr++) {
		const struct cost *c = t->sys[nr];

		if (!c[0].count && !c[1].count)
			continue;
		fprintf(f, "%-22s %10llu", syscall_name(nr),
			(unsigned long long)c[0].count);
		print_mean(f, &c[0]);
		fprintf(f, " %10llu", (unsigned long long)c[1].count);
		print_mean(f, &c[1]);
		fputc('\n', f);
	}
}

static void read_counters(struct trace *t, struct core_stats *sum)
{
	static struct core_stats one;
	u32 c;

	memset(sum, 0, sizeof(*sum));
	for (c = 0; c < t->v.cores; c++) {
		stats_read(&t->v, c, &one);
		stats_add(sum, &one);
	}
}

static void print_summary(struct trace *t)
{
	static struct core_stats s;

	read_counters(t, &s);
	stats_sub(&s, &t->before);
	print_rpcs(t, &s);
	print_syscalls(t);
	if (t->lost)
		fprintf(t->out,
			"%llu records were lost: system calls and mean times are of the "
			"others; counts of RPCs are exact\n",
			(unsigned long long)t->lost);
}

/* --- running ----------------------------------------------------------------------------------- */

static void nap(void)
{
	struct timespec ts = { 0, POLL_NS };

	nanosleep(&ts, NULL);
}

static void finish(struct trace *t)
{
	collect(t); /* what was half written at the last look is whole now */
	nap();
	collect(t);
	switch_rings(t, false);
}

/* For relay_trace: says that it has begun, and sums up what there was until it is interrupted. */
static int watch_for_another(struct trace *t, bool each)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	read_counters(t, &t->before);
	t->each = each;
	t->out = stdout;
	putchar('\n');
	fflush(stdout);
	while (!g_stop) {
		nap();
		collect(t);
	}
	finish(t);
	print_summary(t);
	return 0;
}

static int watch(struct trace *t)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	while (!g_stop) {
		nap();
		collect(t);
	}
	finish(t);
	return 0;
}

static pid_t start(char **cmd)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	execvp(cmd[0], cmd);
	fprintf(stderr, "hare: cannot run '%s': %s\n", cmd[0], strerror(errno));
	_exit(errno == ENOENT ? EXIT_MISSING : EXIT_CANNOT);
}

static int run(struct trace *t, char **cmd)
{
	int status = 0;
	pid_t pid;

	read_counters(t, &t->before);
	pid = start(cmd);
	if (pid < 0) {
		fprintf(stderr, "hare: cannot fork: %s\n", strerror(errno));
		return EXIT_OWN;
	}
	signal(SIGINT, SIG_IGN); /* the program's */
	signal(SIGQUIT, SIG_IGN);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		nap();
		collect(t);
	}
	finish(t);
	print_summary(t);
	return boot_exit_status(status);
}

/* The command line. What is not ours among the options is for `hare run`. */
struct trace_opts {
	const char *name, *file;
	bool each;
	bool summary; /* asked for by another one of us, inside */
	char **other; /* `others` of them */
	int others;
	char **cmd; /* NULL: none */
};

static int trace(struct trace *t, const struct trace_opts *o)
{
	int r = view_open(&t->v, o->name);

	if (r)
		return r;
	t->batch = malloc((size_t)t->v.cores * TRACE_RECS * sizeof(*t->batch));
	if (!t->batch) {
		fputs("hare: out of memory\n", stderr);
		return EXIT_OWN;
	}
	t->each = o->each || !o->cmd;
	t->out = o->cmd ? stderr : stdout;
	if (o->file)
		t->out = fopen(o->file, "we");
	if (!t->out) {
		fprintf(stderr, "hare: cannot write '%s': %s\n", o->file,
			strerror(errno));
		return EXIT_OWN;
	}
	signal(SIGPIPE, SIG_IGN);
	open_rings(t);
	switch_rings(t, true);
	if (o->summary)
		return watch_for_another(t, o->each);
	return o->cmd ? run(t, o->cmd) : watch(t);
}

/* From outside: the same command as a program of an instance, a new one unless it has a name. */
static int trace_from_outside(int argc, const struct trace_opts *o)
{
	static char self[PATH_LEN_MAX];
	char **av = calloc((size_t)argc + 16, sizeof(*av)), **p;
	int n = 0, i;

	if (!av || readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return EXIT_OWN;
	av[n++] = o->name ? "exec" : "run";
	if (o->name) {
		av[n++] = "--name";
		av[n++] = (char *)o->name;
	}
	for (i = 0; i < o->others; i++)
		av[n++] = o->other[i];
	av[n++] = "--";
	av[n++] = self;
	av[n++] = "trace";
	if (o->each)
		av[n++] = "--each";
	if (o->file) {
		av[n++] = "-o";
		av[n++] = (char *)o->file;
	}
	av[n++] = "--";
	for (p = o->cmd; *p; p++)
		av[n++] = *p;
	return o->name ? cmd_exec(n, av) : cmd_run(n, av);
}

static int g_relay;

static void end_relay(int sig)
{
	(void)sig;
	shutdown(g_relay, SHUT_WR);
}

/* A program of separate kernels: the console traces, CMD runs here. */
static int relay_trace(const struct trace_opts *o)
{
	char *each[] = { "trace", "--summary", o->each ? "--each" : NULL, NULL };
	char *plain[] = { "trace", NULL };
	int conn = o->cmd ? relay_begin(o->each ? 3 : 2, each) : relay_begin(1, plain);
	FILE *out = o->file ? fopen(o->file, "we") : o->cmd ? stderr : stdout;
	int status = 0, r = 0;
	pid_t reader, pid;

	if (conn < 0)
		return EXIT_OWN;
	if (!out) {
		fprintf(stderr, "hare: cannot write '%s': %s\n", o->file,
			strerror(errno));
		return EXIT_OWN;
	}
	if (!o->cmd) {
		struct sigaction sa = { .sa_handler = end_relay, .sa_flags = SA_RESTART };

		g_relay = conn;
		sigaction(SIGINT, &sa, NULL);
		sigaction(SIGTERM, &sa, NULL);
		sigaction(SIGHUP, &sa, NULL);
		return relay_end(conn, out, stderr);
	}
	relay_begun(conn, out);
	reader = fork();
	if (!reader)
		_exit(relay_end(conn, out, stderr));
	pid = start(o->cmd);
	signal(SIGINT, SIG_IGN); /* the program's */
	signal(SIGQUIT, SIG_IGN);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	shutdown(conn, SHUT_WR);
	while (reader > 0 && waitpid(reader, &r, 0) < 0 && errno == EINTR)
		;
	return pid < 0 || reader < 0 || boot_exit_status(r) ? EXIT_OWN
							    : boot_exit_status(status);
}

int cmd_trace(int argc, char **argv)
{
	static struct trace t;
	struct trace_opts o = { .other = calloc((size_t)argc + 1, sizeof(*o.other)) };
	const char *val;
	u64 boot_id;
	int i;

	if (!o.other)
		return EXIT_OWN;
	for (i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if ((val = opt_value(argc, argv, &i, "--name")))
			o.name = val;
		else if ((val = opt_value(argc, argv, &i, "-o")))
			o.file = val;
		else if (!strcmp(argv[i], "--each"))
			o.each = true;
		else if (!strcmp(argv[i], "--summary"))
			o.summary = true;
		else
			o.other[o.others++] = argv[i];
	}
	if (i == argc - 1)
		return usage("trace", "no command after", "--");
	if (i < argc)
		o.cmd = argv + i + 1;
	if (o.cmd && !control_inside(&boot_id))
		return trace_from_outside(argc, &o);
	if (o.others)
		return usage_option("trace", o.other[0]);
	return relay_needed() ? relay_trace(&o) : trace(&t, &o);
}
