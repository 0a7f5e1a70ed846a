/* SPDX-License-Identifier: MIT */
/*
 * One line per finished call, as strace writes it, to the descriptor that the loader's
 * argument trace=FD names:   1234 openat(-100, "/etc/passwd", 0x80000) = 3
 * A call that a signal ended inside the host's window leaves no line.
 */
#include "intercept/icpt.h"

#define TRACE_LINE 512
#define TRACE_STR  48

struct row {
	u16 nr;
	u16 name; /* offsets into the strings */
	u16 args;
};

/* Offsets, not pointers: the table needs no relocation. */
static const struct strings {
#define SYSCALL(nr, name, route, args, note)                                             \
	char name_##nr[sizeof(#name)], args_##nr[sizeof(args)];
#include "intercept/syscalls.def"
#undef SYSCALL
} g_strings = {
#define SYSCALL(nr, name, route, args, note) #name, args,
#include "intercept/syscalls.def"
#undef SYSCALL
};

static const struct row g_rows[] = {
#define SYSCALL(nr, name, route, args, note)                                             \
	{ nr, offsetof(struct strings, name_##nr), offsetof(struct strings, args_##nr) },
#include "intercept/syscalls.def"
#undef SYSCALL
};

static const char *string_at(u16 off)
{
	return (const char *)&g_strings + off;
}

static const struct row *find_row(long nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(g_rows); i++) {
		if (g_rows[i].nr == nr)
			return &g_rows[i];
	}
	return NULL;
}

const char *syscall_name(long nr)
{
	const struct row *r = find_row(nr);

	return r ? string_at(r->name) : "?";
}

struct line {
	size_t len;
	char buf[TRACE_LINE];
};

#define ADD(line, ...) line_add(line, __VA_ARGS__)
static void __attribute__((format(printf, 2, 3)))
line_add(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = str_vformat(l->buf + l->len, sizeof(l->buf) - l->len, fmt, ap);
	va_end(ap);
	l->len = MIN(l->len + (size_t)n, sizeof(l->buf) - 2);
}

static void add_string(struct line *l, long user)
{
	char s[TRACE_STR];
	long n = user_read_str(s, (const char *)user, sizeof(s));

	if (n == -14)
		ADD(l, "0x%lx", (unsigned long)user);
	else
		ADD(l, "\"%.*s\"%s", (int)(n < 0 ? TRACE_STR : n), s, n < 0 ? "..." : "");
}

static void add_arg(struct line *l, const char *kind, long v)
{
	switch (kind[0]) {
	case 's':
		if (kind[1] == 'i') { /* sig, size */
			ADD(l, "%ld", v);
			break;
		}
		/* fall through */
	case 'p':
		if (kind[1] == 'i') /* pid */
			ADD(l, "%d", (int)v);
		else if (kind[1] == 't' && kind[2] == 'r' && kind[0] == 'p')
			ADD(l, "0x%lx", (unsigned long)v);
		else
			add_string(l, v);
		break;
	case 'f':
	case 'i':
		ADD(l, "%d", (int)v);
		break;
	case 'o':
		if (kind[1] == 'f')
			ADD(l, "%ld", v);
		else
			ADD(l, "0x%lx", (unsigned long)v);
		break;
	default:
		ADD(l, "0x%lx", (unsigned long)v);
	}
}

static void add_args(struct line *l, const char *kinds, const long a[6])
{
	for (int i = 0; i < 6 && *kinds; i++) {
		if (i)
			ADD(l, ", ");
		add_arg(l, kinds, a[i]);
		while (*kinds && *kinds != ' ')
			kinds++;
		kinds += *kinds == ' ';
	}
}

void trace_call(struct thread *t, long nr, const long a[6], long ret)
{
	const struct row *r = find_row(nr);
	struct line l = { 0 };

	ADD(&l, "%d %s(", t->tid, r ? string_at(r->name) : "?");
	if (r)
		add_args(&l, string_at(r->args), a);
	else
		ADD(&l, "%ld", nr);
	if (ret > 0xffffff || (ret < -4096))
		ADD(&l, ") = 0x%lx", (unsigned long)ret);
	else
		ADD(&l, ") = %ld", ret);
	l.buf[l.len++] = '\n';
	SYS(write, g_program.trace_fd, l.buf, l.len);
}
