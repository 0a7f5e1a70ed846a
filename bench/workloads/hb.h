/* SPDX-License-Identifier: MIT */
/*
 * hb: the benchmark programs, one command each. Ordinary Linux programs: nothing here knows
 * Hare; the same binary runs in a directory of tmpfs and in a directory of Hare.
 *
 * Functions return 0 or a negative errno. Results go to stdout, one JSON object a line, so
 * that a run which dies half-way still leaves what it had measured.
 */
#ifndef HB_H
#define HB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define HB_BLOCK 4096u
#define HB_FILE_BLOCKS 256u /* of the file that reads and writes go to: 1 MiB */
#define HB_CPUS_MAX 64

/* --- util.c ------------------------------------------------------------------------------- */

uint64_t hb_now_ns(void); /* CLOCK_MONOTONIC */

/* Time-stamp counter where it is invariant, else hb_now_ns. It is read by an instruction, so
 * that it costs the same where system calls are intercepted. */
uint64_t hb_ticks(void);
void hb_ticks_init(void); /* calibrates, about 10 ms */
double hb_ticks_ns(uint64_t ticks);

struct hb_samples {
	double *ns;
	size_t count, cap;
};
void hb_samples_init(struct hb_samples *s, size_t cap); /* exits when out of memory */
void hb_samples_release(struct hb_samples *s);
void hb_samples_add(struct hb_samples *s, double ns); /* drops what is beyond cap */

/* Prints {"op":NAME,...,"p10_ns","p50_ns","p99_ns"}; `batch` calls were timed as one sample.
 * Sorts the samples. */
void hb_report(const char *name, struct hb_samples *s, unsigned int batch);
/* Prints {"op":NAME,"error":...}; err is a negative errno, or 0 when `what` says it all. */
void hb_report_error(const char *name, int err, const char *what);
/* Prints {"op":NAME,"absent":WHY}: there is nothing to measure here, which is no failure. */
void hb_report_absent(const char *name, const char *why);

const char *hb_self(void); /* the path of this program, for exec */
void hb_self_init(const char *argv0);

struct hb_cpus {
	unsigned int count;
	int cpu[HB_CPUS_MAX];
};
int hb_cpus_parse(struct hb_cpus *c, const char *list); /* "0,1"; -EINVAL */
int hb_pin(int cpu);					  /* this process; cpu < 0: no change */
int hb_where(void);					  /* the CPU that it runs on, 0 if unknown */

/* fork, pin the child to `cpu` (< 0: leave placement to the system), exec. Returns the pid;
 * an exec that fails is exit status 127. */
pid_t hb_spawn(int cpu, char *const argv[]);
int hb_wait(pid_t pid); /* exit status, 128 + signal, or negative errno */

int hb_write_file(const char *path, const char *text); /* appears at once and whole */
int hb_read_file(const char *path, char *buf, size_t size);
bool hb_parse_uint(const char *s, unsigned int *out);

/* --- the commands, one file each ------------------------------------------------------------ */

int hb_work(int argc, char **argv);   /* work.c */
int hb_worker(int argc, char **argv); /* work.c: one process of hb_work */
int hb_lat(int argc, char **argv);    /* lat.c */
int hb_loop(int argc, char **argv);   /* lat.c */
int hb_prep(int argc, char **argv);   /* lat.c: makes the directory that lat works in */
int hb_pong(int argc, char **argv);   /* latproc.c: the far end of the pipes */
int hb_line(int argc, char **argv);   /* line.c */
int hb_time(int argc, char **argv);   /* latproc.c */

/* What lat.c asks of latproc.c: the rows that need a second process. `own_cpu`/`other_cpu` < 0:
 * nothing is pinned, the system under test places the programs. */
struct hb_place {
	int own_cpu, other_cpu;
};
struct hb_proc_op {
	const char *name;
	int (*run)(const struct hb_place *place, unsigned int samples);
};
extern const struct hb_proc_op hb_proc_ops[]; /* ends with a NULL name */

#endif
