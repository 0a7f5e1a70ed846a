/* SPDX-License-Identifier: MIT */
/*
 * hare fsck: every layer's invariants on all cores, and what the file servers say of each other.
 *
 * All cores are stopped by their locks, taken in order of core number, while their states are
 * checked and their facts copied; the facts are compared afterwards. An operation of several
 * messages that is under way (a create whose entry is on another server, say) looks broken in
 * between, so on a busy system only what several looks in a row have found is reported.
 *
 * While the locks are held nothing is printed and no memory is asked for: inside an instance
 * that could be a call of Hare, which would wait for us.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "cli/boot.h"
#include "cli/cmd.h"
#include "cli/view.h"
#include "fileserver/fileserver.h"
#include "msg/msg.h"

#define TEXT_SIZE	 (1u << 20)
#define LOOKS		 5
#define BETWEEN_LOOKS_NS 100000000

/* Violations, one NUL-terminated line each. */
struct findings {
	char *text;
	size_t len;
	u64 count; /* also those that there was no room for */
	u32 core;
	const char *layer;
};

struct facts {
	struct fs_fact *fact;
	size_t count, cap; /* count may exceed cap: that many are needed */
};

static void *need_memory(void *p)
{
	if (!p) {
		fputs("hare: out of memory\n", stderr);
		exit(EXIT_OWN);
	}
	return p;
}

static void found(void *arg, const char *text)
{
	struct findings *f = arg;
	size_t room = TEXT_SIZE - f->len;
	int n;

	f->count++;
	if (f->layer)
		n = str_format(f->text + f->len, room, "core %u: %s: %s", f->core,
			       f->layer, text);
	else
		n = str_format(f->text + f->len, room, "between cores: %s", text);
	if ((size_t)n < room)
		f->len += (size_t)n + 1;
}

static void add_fact(void *arg, const struct fs_fact *fact)
{
	struct facts *f = arg;

	if (f->count < f->cap)
		f->fact[f->count] = *fact;
	f->count++;
}

static void check_owners(struct view *v, struct findings *out)
{
	struct ck *ck[MAX_CORES];
	u32 core;

	for (core = 0; core < v->cores; core++)
		ck[core] = view_ck(v, core);
	out->layer = NULL;
	fs_check_owners(ck, v->cores, found, out);
}

static void check_core(struct ctx *c, struct findings *out)
{
	out->core = c->core;
	out->layer = "memory";
	ck_check(c->ck, found, out);
	out->layer = "messages";
	msg_check(c, c->ck, found, out);
	out->layer = "files";
	fs_check(c, c->ck, found, out);
}

/* One look at the whole instance. */
static void look(struct view *v, struct facts *facts, struct findings *out)
{
	u32 core;

	do {
		if (facts->count > facts->cap) {
			facts->cap = facts->count + facts->count / 4;
			facts->fact = need_memory(
				realloc(facts->fact, facts->cap * sizeof(*facts->fact)));
		}
		facts->count = out->len = out->count = 0;
		for (core = 0; core < v->cores; core++)
			view_lock(v, core);
		for (core = 0; core < v->cores; core++) {
			check_core(&v->ctx[core], out);
			fs_facts(view_ck(v, core), add_fact, facts);
		}
		check_owners(v, out);
		for (core = v->cores; core-- > 0;)
			view_unlock(v, core);
	} while (facts->count > facts->cap);
	out->layer = NULL;
	fs_check_between(facts->fact, facts->count, v->cores, found, out);
}

static bool has_line(const struct findings *f, const char *line)
{
	const char *p;

	for (p = f->text; p < f->text + f->len; p += strlen(p) + 1) {
		if (!strcmp(p, line))
			return true;
	}
	return false;
}

/* Keeps of `f` what `again` found, too. */
static void intersect(struct findings *f, const struct findings *again)
{
	char *in = f->text, *end = f->text + f->len, *out = f->text;

	f->count = 0;
	while (in < end) {
		size_t len = strlen(in) + 1;

		if (has_line(again, in)) {
			memmove(out, in, len);
			out += len;
			f->count++;
		}
		in += len;
	}
	f->len = (size_t)(out - f->text);
}

static void print_findings(const struct findings *f)
{
	const char *p;
	u64 shown = 0;

	for (p = f->text; p < f->text + f->len; p += strlen(p) + 1, shown++)
		puts(p);
	if (shown < f->count)
		printf("and %llu more\n", (unsigned long long)(f->count - shown));
}

static size_t count_kind(const struct facts *f, u32 kind)
{
	size_t i, n = 0;

	for (i = 0; i < f->count; i++)
		n += f->fact[i].kind == kind;
	return n;
}

int cmd_fsck(int argc, char **argv)
{
	static struct view v;
	struct timespec nap = { 0, BETWEEN_LOOKS_NS };
	struct findings first = { .text = need_memory(malloc(TEXT_SIZE)) };
	struct findings next = { .text = need_memory(malloc(TEXT_SIZE)) };
	struct facts facts = { .fact = need_memory(malloc(4096 * sizeof(struct fs_fact))),
			       .cap = 4096 };
	const char *name = NULL, *val;
	int i, r, looks;

	for (i = 1; i < argc; i++) {
		if ((val = opt_value(argc, argv, &i, "--name")))
			name = val;
		else
			return usage_option("fsck", argv[i]);
	}
	r = view_open(&v, name);
	if (r)
		return r;
	look(&v, &facts, &first);
	for (looks = 1; looks < LOOKS && first.count; looks++) {
		nanosleep(&nap, NULL);
		look(&v, &facts, &next);
		intersect(&first, &next);
	}
	print_findings(&first);
	printf("%u cores, %zu inodes, %zu names: %llu violation%s\n", v.cores,
	       count_kind(&facts, FS_FACT_INODE), count_kind(&facts, FS_FACT_ENTRY),
	       (unsigned long long)first.count, first.count == 1 ? "" : "s");
	return first.count != 0;
}
