/* SPDX-License-Identifier: MIT */
/*
 * hare ps: the processes of all cores, as the core kernels know them.
 *
 * A process that went to another core by exec stands there; the proxy that it left behind is
 * shown with --proxies (or -a), on the core that it waits on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/cmd.h"
#include "cli/view.h"
#include "proto/proc.h"

#define ARGS_MAX 512
#define EXE_MAX	 256

struct ps_row {
	u32 core, pid, ppid, state, target_core, threads;
	u32 proc_pid; /* its number in /proc as this command sees that */
	s32 keeper; /* whose /proc that is; 0: ours */
	char comm[PROC_COMM];
	char exe[EXE_MAX];
};

struct ps_list {
	struct ps_row *row;
	size_t count, cap;
};

static void copy_proc(struct ps_row *r, const struct view *v, u32 core,
		      const struct proc *p)
{
	r->core = core;
	r->pid = p->pid;
	r->ppid = p->ppid;
	r->proc_pid = v->inside ? p->pid : p->host_pid;
	r->keeper = v->keeper[mem_island_of(v->super, core)];
	r->state = p->state;
	r->target_core = p->target_core;
	r->threads = p->threads;
	memcpy(r->comm, p->comm, sizeof(r->comm));
	r->comm[PROC_COMM - 1] = 0;
	r->exe[0] = 0;
	if (p->exe)
		str_copy(r->exe, p->exe, sizeof(r->exe));
}

/* Fills what there is room for; how many there are. */
static size_t gather_core(struct view *v, u32 core, struct ps_row *out, size_t room)
{
	struct proc_root *root = proc_root(view_lock(v, core)->ck);
	struct list *l;
	size_t n = 0;

	for (l = root->all.next; l != &root->all; l = l->next) {
		const struct proc *p = LIST_ENTRY(l, struct proc, all);

		if (p->flags & (PROC_TOOL | PROC_HEIR))
			continue;
		if (n < room)
			copy_proc(&out[n], v, core, p);
		n++;
	}
	view_unlock(v, core);
	return n;
}

static void gather(struct view *v, struct ps_list *ps)
{
	u32 core;

	for (core = 0; core < v->cores; core++) {
		size_t n = 0, room;

		do {
			room = ps->cap - ps->count;
			if (n > room) {
				ps->cap = 2 * (ps->count + n);
				ps->row = realloc(ps->row, ps->cap * sizeof(*ps->row));
				if (!ps->row)
					abort();
				room = ps->cap - ps->count;
			}
			n = gather_core(v, core, ps->row + ps->count, room);
		} while (n > room);
		ps->count += n;
	}
}

static void proc_path(const struct ps_row *r, const char *file, char *path, size_t size)
{
	if (r->keeper)
		snprintf(path, size, "/proc/%d/root/proc/%u/%s", r->keeper, r->proc_pid,
			 file);
	else
		snprintf(path, size, "/proc/%u/%s", r->proc_pid, file);
}

/* As Linux's ps: what the host says of the process (R, S, D, T, Z), P for a proxy, N for one
 * that is not there yet, X for one on its way out. */
static char state_letter(const struct ps_row *r)
{
	char path[64], buf[512], *end;
	FILE *f;

	if (r->state == PROC_NEW)
		return 'N';
	if (r->state == PROC_PROXY)
		return 'P';
	if (r->state == PROC_EXITING)
		return 'X';
	proc_path(r, "stat", path, sizeof(path));
	f = fopen(path, "re");
	if (!f)
		return '?';
	buf[fread(buf, 1, sizeof(buf) - 1, f)] = 0;
	fclose(f);
	end = strrchr(buf, ')');
	return end && end[1] ? end[2] : '?';
}

/* The arguments, if the host shows them as the program's own; else what the entry knows. */
static void command_of(const struct ps_row *r, char *out, size_t size)
{
	char path[64];
	size_t n, i;
	FILE *f;

	str_copy(out, r->exe[0] ? r->exe : r->comm, size);
	proc_path(r, "cmdline", path, sizeof(path));
	f = fopen(path, "re");
	if (!f)
		return;
	n = fread(out, 1, size - 1, f);
	fclose(f);
	if (!n || strstr(out, "hare-ld")) {
		str_copy(out, r->exe[0] ? r->exe : r->comm, size);
		return;
	}
	for (i = 0; i < n; i++) {
		if ((unsigned char)out[i] < ' ')
			out[i] = ' ';
	}
	out[n - (out[n - 1] == ' ')] = 0;
}

static void print_row(const struct ps_row *r)
{
	char command[ARGS_MAX], core[16], state = state_letter(r);

	command_of(r, command, sizeof(command));
	if (r->state == PROC_PROXY)
		snprintf(core, sizeof(core), "%u>%u", r->core, r->target_core);
	else
		snprintf(core, sizeof(core), "%u", r->core);
	printf("%7u %7u %5s %c %4u %s\n", r->pid, r->ppid, core, state, r->threads,
	       command);
}

static int by_pid(const void *a, const void *b)
{
	const struct ps_row *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->core < y->core ? -1 : x->core > y->core;
}

int cmd_ps(int argc, char **argv)
{
	static struct view v;
	struct ps_list ps = { 0 };
	const char *name = NULL, *val;
	bool all = false;
	size_t k;
	int i, r;

	for (i = 1; i < argc; i++) {
		if ((val = opt_value(argc, argv, &i, "--name")))
			name = val;
		else if (!strcmp(argv[i], "-a") || !strcmp(argv[i], "--proxies"))
			all = true;
		else
			return usage_option("ps", argv[i]);
	}
	r = view_open(&v, name);
	if (r)
		return r;
	gather(&v, &ps);
	if (ps.count)
		qsort(ps.row, ps.count, sizeof(*ps.row), by_pid);
	printf("%7s %7s %5s %c %4s %s\n", "PID", "PPID", "CORE", 'S', "THR", "COMMAND");
	for (k = 0; k < ps.count; k++) {
		if (all || ps.row[k].state != PROC_PROXY)
			print_row(&ps.row[k]);
	}
	free(ps.row);
	return 0;
}
