/* SPDX-License-Identifier: MIT */
/*
 * The rows of hb lat that need a second process: pipes, fork, exec. And hb time.
 *
 * Which core a started program runs on is the system's choice under Hare (exec places it);
 * natively this file pins. Either way the program started says where it ran (hb pong through
 * the pipe, hb where by its exit status), and the sample is booked under that: *_same and
 * *_local when it is the CPU of the program that measures, *_other and *_remote when not.
 */
#define _GNU_SOURCE
#include "hb.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACE_TRIES 4 /* programs started until one ran on the wanted side */

extern char **environ;

static void report_not_placed(const char *row, bool other)
{
	hb_report_absent(row, other ? "no program was placed on another CPU"
				    : "no program was placed on this CPU");
}

/* --- pipes ----------------------------------------------------------------------------------------- */

/* hb pong RFD WFD: says its CPU, then sends every byte back. */
int hb_pong(int argc, char **argv)
{
	unsigned int rfd, wfd;
	int cpu = hb_where();
	char c;

	if (argc != 3 || !hb_parse_uint(argv[1], &rfd) || !hb_parse_uint(argv[2], &wfd))
		return 2;
	if (write((int)wfd, &cpu, sizeof(cpu)) != sizeof(cpu))
		return 1;
	while (read((int)rfd, &c, 1) == 1) {
		if (write((int)wfd, &c, 1) != 1)
			return 1;
	}
	return 0;
}

struct pong {
	int to, from; /* our ends */
	pid_t pid;
	int cpu;
};

static void pong_release(struct pong *p)
{
	close(p->to); /* end of file: it leaves */
	close(p->from);
	hb_wait(p->pid);
}

static int pong_spawn(struct pong *p, int cpu, const int there[2], const int back[2])
{
	char rfd[16], wfd[16];
	char *argv[] = { (char *)hb_self(), "pong", rfd, wfd, NULL };

	snprintf(rfd, sizeof(rfd), "%d", there[0]);
	snprintf(wfd, sizeof(wfd), "%d", back[1]);
	/* Ours must not stay open in the child, or it never sees the end of file. */
	fcntl(there[1], F_SETFD, FD_CLOEXEC);
	fcntl(back[0], F_SETFD, FD_CLOEXEC);
	p->to = there[1];
	p->from = back[0];
	p->pid = hb_spawn(cpu, argv);
	close(there[0]);
	close(back[1]);
	return p->pid < 0 ? (int)p->pid : 0;
}

static int pong_start(struct pong *p, int cpu)
{
	int there[2], back[2], err;

	if (pipe(there))
		return -errno;
	if (pipe(back)) {
		err = -errno;
		close(there[0]);
		close(there[1]);
		return err;
	}
	err = pong_spawn(p, cpu, there, back);
	if (err) {
		close(p->to);
		close(p->from);
		return err;
	}
	if (read(p->from, &p->cpu, sizeof(p->cpu)) == sizeof(p->cpu))
		return 0;
	pong_release(p);
	return -EPIPE;
}

static int pong_measure(const struct pong *p, const char *row, unsigned int samples)
{
	struct hb_samples s;
	unsigned int warm = samples / 10 + 1;
	char c = 'x';
	int err = 0;

	hb_samples_init(&s, samples);
	for (unsigned int i = 0; i < warm + samples && !err; i++) {
		uint64_t t = hb_ticks();

		if (write(p->to, &c, 1) != 1 || read(p->from, &c, 1) != 1)
			err = errno ? -errno : -EPIPE;
		t = hb_ticks() - t;
		if (i >= warm)
			hb_samples_add(&s, hb_ticks_ns(t));
	}
	if (!err)
		hb_report(row, &s, 1);
	hb_samples_release(&s);
	return err;
}

/* Starts programs until one runs on the wanted side. */
static int pipe_row(const struct hb_place *place, const char *row, bool other, unsigned int samples)
{
	struct pong p;
	int err;

	for (int i = 0; i < PLACE_TRIES; i++) {
		errno = 0;
		err = pong_start(&p, other ? place->other_cpu : place->own_cpu);
		if (err)
			return err;
		if ((p.cpu != hb_where()) == other) {
			err = pong_measure(&p, row, samples);
			pong_release(&p);
			return err;
		}
		pong_release(&p);
	}
	report_not_placed(row, other);
	return 0;
}

static int pipe_same(const struct hb_place *place, unsigned int samples)
{
	return pipe_row(place, "pipe_rtt_same", false, samples * 10);
}

static int pipe_other(const struct hb_place *place, unsigned int samples)
{
	return pipe_row(place, "pipe_rtt_other", true, samples * 10);
}

/* --- fork, exec ----------------------------------------------------------------------------------- */

static int fork_row(const char *row, bool share, unsigned int samples)
{
	struct hb_samples s;
	int status = 0;

	hb_samples_init(&s, samples);
	for (unsigned int i = 0; i < samples && status >= 0; i++) {
		volatile uint64_t t = hb_ticks();
		pid_t pid = share ? vfork() : fork();

		if (!pid)
			_exit(0);
		status = pid < 0 ? -errno : hb_wait(pid);
		t = hb_ticks() - t;
		hb_samples_add(&s, hb_ticks_ns(t));
	}
	if (status >= 0)
		hb_report(row, &s, 1);
	hb_samples_release(&s);
	return status < 0 ? status : 0;
}

static int fork_wait(const struct hb_place *place, unsigned int samples)
{
	(void)place;
	return fork_row("fork_wait", false, samples);
}

static int vfork_wait(const struct hb_place *place, unsigned int samples)
{
	(void)place;
	return fork_row("vfork_wait", true, samples);
}

/* A program that could not be started, or that died, must not pass for a fast one. */
static int status_error(int status, int expected)
{
	if (status < 0)
		return status;
	if (status == 127)
		return -ENOEXEC;
	return expected >= 0 && status != expected ? -ECHILD : 0;
}

static int exec_true(const struct hb_place *place, unsigned int samples)
{
	char *argv[] = { "/bin/true", NULL };
	struct hb_samples s;
	int err = 0;

	(void)place;
	hb_samples_init(&s, samples);
	for (unsigned int i = 0; i < samples && !err; i++) {
		uint64_t t = hb_ticks();
		pid_t pid = hb_spawn(-1, argv);

		err = pid < 0 ? (int)pid : status_error(hb_wait(pid), 0);
		t = hb_ticks() - t;
		hb_samples_add(&s, hb_ticks_ns(t));
	}
	if (!err)
		hb_report("exec_true", &s, 1);
	hb_samples_release(&s);
	return err;
}

static pid_t spawn(char *const argv[])
{
	pid_t pid;
	int err = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);

	return err ? -err : pid;
}

/* fork + exec, or posix_spawn, of hb where + wait; books only the samples of the wanted side.
 * Natively posix_spawn cannot place: it stays on this CPU, and both rows are that. */
static int exec_row(const struct hb_place *place, const char *row, bool by_spawn, bool other,
		    unsigned int samples)
{
	char *argv[] = { (char *)hb_self(), "where", NULL };
	int cpu = other ? place->other_cpu : place->own_cpu;
	bool any = by_spawn && place->own_cpu >= 0;
	struct hb_samples s;
	int status, err = 0;

	hb_samples_init(&s, samples);
	for (unsigned int i = 0; i < PLACE_TRIES * samples && s.count < samples && !err; i++) {
		uint64_t t = hb_ticks();
		pid_t pid = by_spawn ? spawn(argv) : hb_spawn(cpu, argv);

		status = pid < 0 ? (int)pid : hb_wait(pid);
		t = hb_ticks() - t;
		err = status_error(status, -1);
		if (!err && status >= HB_CPUS_MAX)
			err = -ECHILD;
		if (any || (status != hb_where() % HB_CPUS_MAX) == other)
			hb_samples_add(&s, hb_ticks_ns(t));
		if (i == samples && !s.count)
			break;
	}
	if (!err && !s.count)
		report_not_placed(row, other);
	else if (!err)
		hb_report(row, &s, 1);
	hb_samples_release(&s);
	return err;
}

static int exec_local(const struct hb_place *place, unsigned int samples)
{
	return exec_row(place, "exec_local", false, false, samples);
}

static int exec_remote(const struct hb_place *place, unsigned int samples)
{
	return exec_row(place, "exec_remote", false, true, samples);
}

static int spawn_local(const struct hb_place *place, unsigned int samples)
{
	return exec_row(place, "posix_spawn_local", true, false, samples);
}

static int spawn_remote(const struct hb_place *place, unsigned int samples)
{
	return exec_row(place, "posix_spawn_remote", true, true, samples);
}

static int spawn_true(const struct hb_place *place, unsigned int samples)
{
	char *argv[] = { "/bin/true", NULL };
	struct hb_samples s;
	int err = 0;

	(void)place;
	hb_samples_init(&s, samples);
	for (unsigned int i = 0; i < samples && !err; i++) {
		uint64_t t = hb_ticks();
		pid_t pid;

		err = -posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
		if (!err)
			err = status_error(hb_wait(pid), 0);
		t = hb_ticks() - t;
		hb_samples_add(&s, hb_ticks_ns(t));
	}
	if (!err)
		hb_report("posix_spawn_true", &s, 1);
	hb_samples_release(&s);
	return err;
}

const struct hb_proc_op hb_proc_ops[] = {
	{ "pipe_rtt_same", pipe_same },
	{ "pipe_rtt_other", pipe_other },
	{ "fork_wait", fork_wait },
	{ "vfork_wait", vfork_wait },
	{ "exec_true", exec_true },
	{ "exec_local", exec_local },
	{ "exec_remote", exec_remote },
	{ "posix_spawn_true", spawn_true },
	{ "posix_spawn_local", spawn_local },
	{ "posix_spawn_remote", spawn_remote },
	{ NULL, NULL },
};

/* --- hb time ----------------------------------------------------------------------------------------- */

static int time_once(char **argv, uint64_t *ticks)
{
	uint64_t t = hb_ticks();
	pid_t pid;
	int err = -posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);

	if (err)
		return err;
	err = hb_wait(pid);
	*ticks = hb_ticks() - t;
	return err;
}

/* hb time [-n N] -- CMD ARG...: the time from before the start until CMD has ended. */
int hb_time(int argc, char **argv)
{
	unsigned int n = 20;
	struct hb_samples s;
	uint64_t ticks;
	int at = 1, status = 0;

	if (argc > 2 && !strcmp(argv[1], "-n")) {
		if (!hb_parse_uint(argv[2], &n) || !n)
			at = argc;
		else
			at = 3;
	}
	if (at < argc && !strcmp(argv[at], "--"))
		at++;
	if (at >= argc) {
		fprintf(stderr, "hb: time: bad arguments, see 'hb'\n");
		return 2;
	}
	hb_samples_init(&s, n);
	for (unsigned int i = 0; i <= n && !status; i++) {
		status = time_once(argv + at, &ticks);
		if (i && !status)
			hb_samples_add(&s, hb_ticks_ns(ticks));
	}
	if (status)
		fprintf(stderr, "hb: '%s' ended with status %d\n", argv[at], status);
	else
		hb_report("time", &s, 1);
	hb_samples_release(&s);
	return status ? 1 : 0;
}
