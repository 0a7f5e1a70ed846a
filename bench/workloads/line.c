/* SPDX-License-Identifier: MIT */
/*
 * hb line: what the machine itself charges, as a yardstick for messages and file data.
 *
 *   line_rtt        one cache line bounces between two pinned CPUs: A writes an odd number, B
 *                   answers with the even one; coherence moves the line
 *   line_rtt_flush  the same as between islands without coherence: who writes, writes back
 *                   (clwb, else clflushopt, else clflush); who reads, drops its copy first
 *                   (clflushopt, else clflush). A note says which were used
 *   copy_4k_hot     copy of a 4096-byte block in the cache
 *   write_4k_clwb   copy into a block, write it back, fence
 *   read_4k_flush   drop a block, fence, copy it out
 *
 * The two sides are processes with a shared mapping; each polls with a pause and gives up
 * after a second, so that a missing partner cannot hang it.
 */
#define _GNU_SOURCE
#include "hb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

#define LINE_SIZE 64
#define ROUNDS 20000u
#define COPIES 5000u
#define GIVE_UP_TICKS_NS 1000000000.0

struct cpu_features {
	bool clwb, clflushopt;
};

static struct cpu_features g_cpu;

struct line {
	_Alignas(LINE_SIZE) volatile uint64_t turn;
};

static void detect(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return;
	g_cpu.clflushopt = (b & (1u << 23)) != 0;
	g_cpu.clwb = (b & (1u << 24)) != 0;
}

__attribute__((target("clwb"))) static void do_clwb(const volatile void *p)
{
	_mm_clwb((void *)p);
}

__attribute__((target("clflushopt"))) static void do_clflushopt(const volatile void *p)
{
	_mm_clflushopt((void *)p);
}

static void drop_line(const volatile void *p)
{
	if (g_cpu.clflushopt)
		do_clflushopt(p);
	else
		_mm_clflush((const void *)p);
}

static void write_back_line(const volatile void *p)
{
	if (g_cpu.clwb)
		do_clwb(p);
	else
		drop_line(p);
}

/* Polls until the line shows `want`; false after a second. */
static bool line_await(struct line *l, uint64_t want, bool flush)
{
	uint64_t start = 0;

	for (unsigned int spins = 0;; spins++) {
		if (flush) {
			drop_line(l);
			_mm_mfence();
		}
		if (l->turn == want)
			return true;
		_mm_pause();
		if (spins % 4096 == 0) {
			if (!start)
				start = hb_ticks();
			else if (hb_ticks_ns(hb_ticks() - start) > GIVE_UP_TICKS_NS)
				return false;
		}
	}
}

static void line_set(struct line *l, uint64_t value, bool flush)
{
	l->turn = value;
	if (flush) {
		write_back_line(l);
		_mm_sfence();
	}
}

static void far_side(struct line *l, int cpu, bool flush)
{
	uint64_t turn = 1;

	if (hb_pin(cpu))
		_exit(1);
	while (turn < 2 * ROUNDS) {
		if (!line_await(l, turn, flush))
			_exit(1);
		line_set(l, turn + 1, flush);
		turn += 2;
	}
	_exit(0);
}

static int near_side(struct line *l, bool flush, struct hb_samples *s)
{
	for (uint64_t turn = 1; turn < 2 * ROUNDS; turn += 2) {
		uint64_t t = hb_ticks();

		line_set(l, turn, flush);
		if (!line_await(l, turn + 1, flush))
			return -ETIMEDOUT;
		t = hb_ticks() - t;
		if (turn > ROUNDS / 5)
			hb_samples_add(s, hb_ticks_ns(t));
	}
	return 0;
}

static int rtt_row(const char *row, struct line *l, const int cpu[2], bool flush)
{
	struct hb_samples s;
	pid_t pid;
	int err, status;

	l->turn = 0;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		far_side(l, cpu[1], flush);
	hb_samples_init(&s, ROUNDS);
	err = hb_pin(cpu[0]);
	if (!err)
		err = near_side(l, flush, &s);
	status = hb_wait(pid); /* gives up by itself */
	if (!err && status)
		err = -ECHILD;
	if (!err)
		hb_report(row, &s, 1);
	hb_samples_release(&s);
	return err;
}

/* --- 4096-byte blocks ---------------------------------------------------------------------------- */

/* Copies `size` bytes as rep movsb does, which is what a loader without vector registers uses. */
static void copy_bytes(void *dst, const void *src, size_t size)
{
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(size)::"memory");
}

static void copy_hot(char *shared, char *own)
{
	copy_bytes(own, shared, HB_BLOCK);
}

static void copy_write_back(char *shared, char *own)
{
	copy_bytes(shared, own, HB_BLOCK);
	for (size_t i = 0; i < HB_BLOCK; i += LINE_SIZE)
		write_back_line(shared + i);
	_mm_sfence();
}

static void copy_reload(char *shared, char *own)
{
	for (size_t i = 0; i < HB_BLOCK; i += LINE_SIZE)
		drop_line(shared + i);
	_mm_mfence();
	copy_bytes(own, shared, HB_BLOCK);
}

static void copy_row(const char *row, char *shared, void (*copy)(char *shared, char *own))
{
	static _Alignas(LINE_SIZE) char own[HB_BLOCK];
	struct hb_samples s;

	hb_samples_init(&s, COPIES);
	for (unsigned int i = 0; i < COPIES + COPIES / 10; i++) {
		uint64_t t = hb_ticks();

		copy(shared, own);
		t = hb_ticks() - t;
		if (i >= COPIES / 10)
			hb_samples_add(&s, hb_ticks_ns(t));
	}
	hb_report(row, &s, 1);
	hb_samples_release(&s);
}

static void flush_row(char *mem, const int cpu[2])
{
	const char *row = "line_rtt_flush";
	int err;

	printf("{\"note\":\"line_rtt_flush: written back with %s, dropped with %s\"}\n",
	       g_cpu.clwb ? "clwb" : (g_cpu.clflushopt ? "clflushopt" : "clflush"),
	       g_cpu.clflushopt ? "clflushopt" : "clflush");
	err = rtt_row(row, (struct line *)mem, cpu, true);
	if (err)
		hb_report_error(row, err, "round trip");
}

int hb_line(int argc, char **argv)
{
	struct hb_cpus cpus;
	int err;
	char *mem;

	if (argc != 3 || strcmp(argv[1], "--pin") || hb_cpus_parse(&cpus, argv[2])) {
		fprintf(stderr, "hb: line: bad arguments, see 'hb'\n");
		return 2;
	}
	detect();
	mem = mmap(NULL, 2 * HB_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED) {
		fprintf(stderr, "hb: mmap: %s\n", strerror(errno));
		return 1;
	}
	memset(mem, 1, 2 * HB_BLOCK);
	cpus.cpu[1] = cpus.cpu[cpus.count - 1];
	if (cpus.cpu[0] == cpus.cpu[1]) {
		hb_report_absent("line_rtt", "needs two CPUs");
		hb_report_absent("line_rtt_flush", "needs two CPUs");
	} else {
		err = rtt_row("line_rtt", (struct line *)mem, cpus.cpu, false);
		if (err)
			hb_report_error("line_rtt", err, "round trip");
		flush_row(mem, cpus.cpu);
	}
	copy_row("copy_4k_hot", mem + HB_BLOCK, copy_hot);
	copy_row("write_4k_clwb", mem + HB_BLOCK, copy_write_back);
	copy_row("read_4k_flush", mem + HB_BLOCK, copy_reload);
	munmap(mem, 2 * HB_BLOCK);
	return 0;
}

#else

int hb_line(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	hb_report_error("line_rtt", 0, "written for x86-64 only");
	return 0;
}

#endif
