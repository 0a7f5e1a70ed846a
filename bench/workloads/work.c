/* SPDX-License-Identifier: MIT */
/*
 * hb work: the paper's microbenchmarks (thesis, Table 5.1), N processes that start together.
 *
 *   creates      open(O_CREAT) + close + unlink                        65,535 iterations
 *   writes       open(O_CREAT|O_TRUNC) + 10 writes of 4096 + close     65,535
 *   renames      open(O_CREAT) + close + rename to a fresh name        56,000
 *   directories  mkdir + rmdir                                         128,000
 *
 * All processes work in one shared directory, as in the paper; --own gives each its own.
 * Names are unique to process and iteration. Each process is started by fork + exec of this
 * program, because exec is where Hare places a process on another core.
 *
 *   parent                              worker i
 *   mkdir ctl, shared
 *   fork + exec the workers             opens nothing, makes its own directory if --own
 *                                       ctl/ready.i
 *   sees all ready files
 *   ctl/go := start time                sees ctl/go, sleeps until the start time
 *                                       iterates; ctl/res.i := start, end, count, CPU
 *                                       removes what it left (not timed)
 *   waits; reads ctl/res.*
 *
 * The barrier is a file because files are what every system under test has.
 */
#define _GNU_SOURCE
#include "hb.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCS_MAX 256
#define READY_TIMEOUT_NS 30000000000ull
#define START_DELAY_NS 5000000u /* from writing go until the start: all have seen it by then */
#define WRITES_PER_FILE 10

struct workload {
	const char *name;
	unsigned int iters;	     /* at scale 1: the paper's */
	unsigned int calls_per_iter; /* system calls on files */
	int (*iter)(unsigned int id, unsigned int i);
	void (*clean)(unsigned int id, unsigned int iters); /* NULL: leaves nothing */
};

static char g_block[HB_BLOCK];

/* --- one iteration each; the cwd is the work directory ----------------------------------- */

static int create_file(const char *name)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);

	if (fd < 0)
		return -errno;
	return close(fd) ? -errno : 0;
}

static int creates_iter(unsigned int id, unsigned int i)
{
	char name[64];
	int err;

	snprintf(name, sizeof(name), "c.%u.%u", id, i);
	err = create_file(name);
	if (err)
		return err;
	return unlink(name) ? -errno : 0;
}

static int writes_iter(unsigned int id, unsigned int i)
{
	char name[64];
	int fd, err = 0;
	ssize_t n;

	(void)i;
	snprintf(name, sizeof(name), "w.%u", id);
	fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	if (fd < 0)
		return -errno;
	for (int k = 0; k < WRITES_PER_FILE && !err; k++) {
		n = write(fd, g_block, sizeof(g_block));
		if (n != (ssize_t)sizeof(g_block))
			err = n < 0 ? -errno : -ENOSPC;
	}
	if (close(fd) && !err)
		err = -errno;
	return err;
}

static void writes_clean(unsigned int id, unsigned int iters)
{
	char name[64];

	(void)iters;
	snprintf(name, sizeof(name), "w.%u", id);
	unlink(name);
}

static int renames_iter(unsigned int id, unsigned int i)
{
	char from[64], to[64];
	int err;

	snprintf(from, sizeof(from), "r.%u.%u", id, i);
	snprintf(to, sizeof(to), "m.%u.%u", id, i);
	err = create_file(from);
	if (err)
		return err;
	return rename(from, to) ? -errno : 0;
}

static void renames_clean(unsigned int id, unsigned int iters)
{
	char name[64];

	for (unsigned int i = 0; i < iters; i++) {
		snprintf(name, sizeof(name), "m.%u.%u", id, i);
		unlink(name);
	}
}

static int directories_iter(unsigned int id, unsigned int i)
{
	char name[64];

	snprintf(name, sizeof(name), "d.%u.%u", id, i);
	if (mkdir(name, 0755))
		return -errno;
	return rmdir(name) ? -errno : 0;
}

static const struct workload workloads[] = {
	{ "creates", 65535, 3, creates_iter, NULL },
	{ "writes", 65535, 2 + WRITES_PER_FILE, writes_iter, writes_clean },
	{ "renames", 56000, 3, renames_iter, renames_clean },
	{ "directories", 128000, 2, directories_iter, NULL },
	{ NULL, 0, 0, NULL, NULL },
};

static const struct workload *workload_find(const char *name)
{
	for (const struct workload *w = workloads; w->name; w++) {
		if (!strcmp(w->name, name))
			return w;
	}
	return NULL;
}

/* --- a worker -------------------------------------------------------------------------------- */

static void sleep_until(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

/* Waits for the parent's go and for the moment that it names. */
static int worker_barrier(const char *ctl, unsigned int id)
{
	uint64_t give_up = hb_now_ns() + READY_TIMEOUT_NS, now, start;
	char path[4096], text[64];
	int err;

	snprintf(path, sizeof(path), "%s/ready.%u", ctl, id);
	err = hb_write_file(path, "ready\n");
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/go", ctl);
	while ((err = hb_read_file(path, text, sizeof(text))) == -ENOENT) {
		if (hb_now_ns() > give_up)
			return -ETIMEDOUT;
		usleep(500);
	}
	if (err)
		return err;
	start = strtoull(text, NULL, 10);
	now = hb_now_ns();
	/* A clock that is not the parent's (another machine's kernel): start at once. */
	if (start > now && start - now < 1000000000u)
		sleep_until(start);
	return 0;
}

static int worker_run(const struct workload *w, const char *ctl, unsigned int id,
		      unsigned int iters)
{
	char path[4096], text[256];
	uint64_t start, end;
	unsigned int i;
	int err;

	err = worker_barrier(ctl, id);
	if (err) {
		fprintf(stderr, "hb: %s: worker %u: barrier: %s\n", w->name, id, strerror(-err));
		return 1;
	}
	start = hb_now_ns();
	for (i = 0; i < iters && !err; i++)
		err = w->iter(id, i);
	end = hb_now_ns();
	if (err)
		fprintf(stderr, "hb: %s: worker %u: iteration %u: %s\n", w->name, id, i - 1,
			strerror(-err));
	else if (w->clean)
		w->clean(id, iters);
	snprintf(path, sizeof(path), "%s/res.%u", ctl, id);
	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %u %d\n", start, end, i, hb_where());
	if (!err) {
		err = hb_write_file(path, text);
		if (err)
			fprintf(stderr, "hb: %s: worker %u: result: %s\n", w->name, id,
				strerror(-err));
	}
	return err ? 1 : 0;
}

/* hb worker NAME DIR CTL ID ITERS OWN */
int hb_worker(int argc, char **argv)
{
	const struct workload *w = argc == 7 ? workload_find(argv[1]) : NULL;
	unsigned int id, iters;
	char own[4096];
	const char *dir;
	int rc;

	if (!w || !hb_parse_uint(argv[4], &id) || !hb_parse_uint(argv[5], &iters)) {
		fprintf(stderr, "hb: worker: bad arguments\n");
		return 2;
	}
	dir = argv[2];
	if (argv[6][0] == '1') {
		snprintf(own, sizeof(own), "%s/own.%u", dir, id);
		dir = own;
		if (mkdir(own, 0755)) {
			fprintf(stderr, "hb: mkdir '%s': %s\n", own, strerror(errno));
			return 1;
		}
	}
	if (chdir(dir)) {
		fprintf(stderr, "hb: chdir '%s': %s\n", dir, strerror(errno));
		return 1;
	}
	memset(g_block, 'h', sizeof(g_block));
	rc = worker_run(w, argv[3], id, iters);
	if (dir == own)
		rmdir(own);
	return rc;
}

/* --- the parent --------------------------------------------------------------------------------- */

struct job {
	const struct workload *w;
	unsigned int procs, iters;
	double scale;
	bool own;
	struct hb_cpus cpus;
	char dir[2048]; /* absolute */
	char shared[2112], ctl[2112];
	pid_t pid[PROCS_MAX];
	int worker_cpu[PROCS_MAX];
	uint64_t longest_ns;
	uint64_t total_iters;
};

/* The shared directory, by the command in HB_MKDIR if there is one ("hare mkdir --distribute"). */
static int make_shared(const char *path)
{
	const char *cmd = getenv("HB_MKDIR");
	char copy[1024], *argv[16], *save = NULL;
	int n = 0;
	pid_t pid;

	if (!cmd || !*cmd)
		return mkdir(path, 0755) ? -errno : 0;
	snprintf(copy, sizeof(copy), "%s", cmd);
	for (char *s = strtok_r(copy, " ", &save); s && n < 14; s = strtok_r(NULL, " ", &save))
		argv[n++] = s;
	argv[n++] = (char *)path;
	argv[n] = NULL;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		execvp(argv[0], argv);
		_exit(127);
	}
	return hb_wait(pid) ? -EIO : 0;
}

static int job_make_dirs(struct job *j)
{
	int err;

	snprintf(j->shared, sizeof(j->shared), "%s/shared.%ld", j->dir, (long)getpid());
	snprintf(j->ctl, sizeof(j->ctl), "%s/ctl.%ld", j->dir, (long)getpid());
	err = make_shared(j->shared);
	if (!err && mkdir(j->ctl, 0755))
		err = -errno;
	if (err)
		fprintf(stderr, "hb: making '%s': %s\n", j->shared, strerror(-err));
	return err;
}

static int job_start(struct job *j)
{
	char id[16], iters[16], own[2] = { j->own ? '1' : '0', 0 };
	char *argv[] = { (char *)hb_self(), "worker", (char *)j->w->name, j->shared, j->ctl,
			 id, iters, own, NULL };

	snprintf(iters, sizeof(iters), "%u", j->iters);
	for (unsigned int i = 0; i < j->procs; i++) {
		int cpu = j->cpus.count ? j->cpus.cpu[i % j->cpus.count] : -1;

		snprintf(id, sizeof(id), "%u", i);
		j->pid[i] = hb_spawn(cpu, argv);
		if (j->pid[i] < 0) {
			fprintf(stderr, "hb: fork: %s\n", strerror(-j->pid[i]));
			return (int)j->pid[i];
		}
	}
	return 0;
}

/* Waits until all are ready; -ECHILD when one has died instead. */
static int job_wait_ready(struct job *j)
{
	uint64_t give_up = hb_now_ns() + READY_TIMEOUT_NS;
	char path[4096];
	struct stat st;
	int status;

	for (unsigned int i = 0; i < j->procs; i++) {
		snprintf(path, sizeof(path), "%s/ready.%u", j->ctl, i);
		while (stat(path, &st)) {
			if (errno != ENOENT)
				return -errno;
			if (waitpid(j->pid[i], &status, WNOHANG) == j->pid[i]) {
				j->pid[i] = 0;
				return -ECHILD;
			}
			if (hb_now_ns() > give_up)
				return -ETIMEDOUT;
			usleep(500);
		}
	}
	return 0;
}

static int job_go(struct job *j)
{
	char path[4096], text[64];

	snprintf(path, sizeof(path), "%s/go", j->ctl);
	snprintf(text, sizeof(text), "%" PRIu64 "\n", hb_now_ns() + START_DELAY_NS);
	return hb_write_file(path, text);
}

static int job_collect(struct job *j)
{
	uint64_t start, end;
	char path[4096], text[256];
	unsigned int iters;
	int err, status;

	for (unsigned int i = 0; i < j->procs; i++) {
		status = hb_wait(j->pid[i]);
		j->pid[i] = 0;
		if (status) {
			fprintf(stderr, "hb: worker %u ended with status %d\n", i, status);
			return -ECHILD;
		}
	}
	for (unsigned int i = 0; i < j->procs; i++) {
		snprintf(path, sizeof(path), "%s/res.%u", j->ctl, i);
		err = hb_read_file(path, text, sizeof(text));
		if (err)
			return err;
		if (sscanf(text, "%" SCNu64 " %" SCNu64 " %u %d", &start, &end, &iters,
			   &j->worker_cpu[i]) != 4)
			return -EBADMSG;
		if (end - start > j->longest_ns)
			j->longest_ns = end - start;
		j->total_iters += iters;
	}
	return 0;
}

static void job_report(const struct job *j)
{
	double secs = (double)j->longest_ns / 1e9, rate = (double)j->total_iters / secs;

	printf("{\"work\":\"%s\",\"procs\":%u,\"scale\":%g,\"own_dir\":%s,\"iters\":%" PRIu64
	       ",\"secs\":%.6f,\"iters_per_s\":%.1f,\"calls_per_s\":%.1f,\"us_per_iter\":%.3f,"
	       "\"cpus\":[",
	       j->w->name, j->procs, j->scale, j->own ? "true" : "false", j->total_iters, secs, rate,
	       rate * j->w->calls_per_iter, 1e6 * j->procs / rate);
	for (unsigned int i = 0; i < j->procs; i++)
		printf("%s%d", i ? "," : "", j->worker_cpu[i]);
	printf("]}\n");
}

/* Removes the files of `path` and then the directory itself; after a failure what workers left. */
static void remove_flat_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static void job_release(struct job *j)
{
	for (unsigned int i = 0; i < j->procs; i++) {
		if (j->pid[i] > 0) {
			kill(j->pid[i], SIGKILL);
			hb_wait(j->pid[i]);
		}
	}
	remove_flat_dir(j->ctl);
	remove_flat_dir(j->shared);
}

static int job_run(struct job *j)
{
	int err = job_make_dirs(j);

	if (err)
		return 1;
	err = job_start(j);
	if (!err)
		err = job_wait_ready(j);
	if (!err)
		err = job_go(j);
	if (!err)
		err = job_collect(j);
	if (err)
		fprintf(stderr, "hb: %s: %s\n", j->w->name, strerror(-err));
	else
		job_report(j);
	job_release(j);
	return err ? 1 : 0;
}

static int job_parse(struct job *j, int argc, char **argv)
{
	const char *dir = ".";
	char *end;

	j->procs = 1;
	j->scale = 1.0;
	j->w = argc > 1 ? workload_find(argv[1]) : NULL;
	if (!j->w)
		return -EINVAL;
	for (int i = 2; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "--own")) {
			j->own = true;
			continue;
		}
		i++;
		if (!strcmp(argv[i - 1], "-p")) {
			if (!hb_parse_uint(value, &j->procs) || !j->procs || j->procs > PROCS_MAX)
				return -EINVAL;
		} else if (!strcmp(argv[i - 1], "--scale")) {
			j->scale = strtod(value, &end);
			if (end == value || *end || !(j->scale > 0) || j->scale > 1000)
				return -EINVAL;
		} else if (!strcmp(argv[i - 1], "--dir")) {
			dir = value;
		} else if (strcmp(argv[i - 1], "--pin") || hb_cpus_parse(&j->cpus, value)) {
			return -EINVAL;
		}
	}
	j->iters = (unsigned int)((double)j->w->iters * j->scale);
	if (!j->iters)
		j->iters = 1;
	/* Absolute: the workers are started elsewhere and change their directory. */
	if (chdir(dir) || !getcwd(j->dir, sizeof(j->dir))) {
		int err = errno;

		fprintf(stderr, "hb: '%s': %s\n", dir, strerror(err));
		return -err;
	}
	return 0;
}

int hb_work(int argc, char **argv)
{
	static struct job j;
	int err = job_parse(&j, argc, argv);

	if (err == -EINVAL)
		fprintf(stderr, "hb: work: bad arguments, see 'hb'\n");
	return err ? 2 : job_run(&j);
}
