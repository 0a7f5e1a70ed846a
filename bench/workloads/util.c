/* SPDX-License-Identifier: MIT */
/* Time, samples, reports, and starting processes: what all commands of hb share. */
#define _GNU_SOURCE
#include "hb.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <cpuid.h>
#include <x86intrin.h>
#endif

static double g_ns_per_tick = 1.0;
static bool g_use_tsc;
static char g_self[4096];

uint64_t hb_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t hb_ticks(void)
{
#ifdef __x86_64__
	if (g_use_tsc) {
		unsigned int aux;
		uint64_t t = __rdtscp(&aux);

		_mm_lfence();
		return t;
	}
#endif
	return hb_now_ns();
}

static bool tsc_is_invariant(void)
{
#ifdef __x86_64__
	unsigned int a, b, c, d;

	if (!__get_cpuid(0x80000007u, &a, &b, &c, &d))
		return false;
	return (d & (1u << 8)) != 0;
#else
	return false;
#endif
}

void hb_ticks_init(void)
{
	uint64_t ns0, t0, ns1, t1;

	g_use_tsc = tsc_is_invariant();
	if (!g_use_tsc)
		return;
	ns0 = hb_now_ns();
	t0 = hb_ticks();
	do {
		ns1 = hb_now_ns();
		t1 = hb_ticks();
	} while (ns1 - ns0 < 10000000u);
	g_ns_per_tick = (double)(ns1 - ns0) / (double)(t1 - t0);
}

double hb_ticks_ns(uint64_t ticks)
{
	return (double)ticks * g_ns_per_tick;
}

void hb_samples_init(struct hb_samples *s, size_t cap)
{
	s->count = 0;
	s->cap = cap;
	s->ns = malloc((cap ? cap : 1) * sizeof(*s->ns));
	if (!s->ns) {
		fprintf(stderr, "hb: out of memory for %zu samples\n", cap);
		exit(1);
	}
	/* Touch it now: a page fault inside the measurement would be measured. */
	memset(s->ns, 0, cap * sizeof(*s->ns));
}

void hb_samples_release(struct hb_samples *s)
{
	free(s->ns);
	s->ns = NULL;
}

void hb_samples_add(struct hb_samples *s, double ns)
{
	if (s->count < s->cap)
		s->ns[s->count++] = ns;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(const struct hb_samples *s, double q)
{
	return s->ns[(size_t)(q * (double)(s->count - 1) + 0.5)];
}

void hb_report(const char *name, struct hb_samples *s, unsigned int batch)
{
	if (!s->count) {
		hb_report_error(name, 0, "no samples");
		return;
	}
	qsort(s->ns, s->count, sizeof(*s->ns), by_value);
	printf("{\"op\":\"%s\",\"samples\":%zu,\"batch\":%u,"
	       "\"p10_ns\":%.1f,\"p50_ns\":%.1f,\"p99_ns\":%.1f}\n",
	       name, s->count, batch, quantile(s, 0.10), quantile(s, 0.50), quantile(s, 0.99));
	fflush(stdout);
}

void hb_report_error(const char *name, int err, const char *what)
{
	printf("{\"op\":\"%s\",\"error\":\"%s%s%s\"}\n", name, what, err ? ": " : "",
	       err ? strerror(-err) : "");
	fflush(stdout);
}

void hb_report_absent(const char *name, const char *why)
{
	printf("{\"op\":\"%s\",\"absent\":\"%s\"}\n", name, why);
	fflush(stdout);
}

const char *hb_self(void)
{
	return g_self;
}

void hb_self_init(const char *argv0)
{
	ssize_t n;

	/* Started by path: absolute, so that it still holds after chdir. */
	if (strchr(argv0, '/') && realpath(argv0, g_self))
		return;
	n = readlink("/proc/self/exe", g_self, sizeof(g_self) - 1);
	if (n > 0)
		g_self[n] = 0;
	else
		snprintf(g_self, sizeof(g_self), "%s", argv0);
}

int hb_cpus_parse(struct hb_cpus *c, const char *list)
{
	char *end;
	long v;

	c->count = 0;
	for (; *list; list = *end ? end + 1 : end) {
		v = strtol(list, &end, 10);
		if (end == list || (*end && *end != ',') || v < 0 || v >= CPU_SETSIZE ||
		    c->count == HB_CPUS_MAX)
			return -EINVAL;
		c->cpu[c->count++] = (int)v;
	}
	return c->count ? 0 : -EINVAL;
}

int hb_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

int hb_where(void)
{
	int cpu = sched_getcpu();

	return cpu < 0 ? 0 : cpu;
}

pid_t hb_spawn(int cpu, char *const argv[])
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid)
		return pid;
	hb_pin(cpu);
	execv(argv[0], argv);
	_exit(127);
}

int hb_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int hb_write_file(const char *path, const char *text)
{
	char tmp[4096];
	size_t len = strlen(text);
	int fd, err = 0;

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		err = errno ? -errno : -EIO;
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(tmp, path))
		err = -errno;
	return err;
}

int hb_read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		n = -errno;
	else
		buf[n] = 0;
	close(fd);
	return n < 0 ? (int)n : 0;
}

bool hb_parse_uint(const char *s, unsigned int *out)
{
	char *end;
	unsigned long v;

	if (*s < '0' || *s > '9')
		return false;
	v = strtoul(s, &end, 10);
	if (*end || v > 1000000000ul)
		return false;
	*out = (unsigned int)v;
	return true;
}
