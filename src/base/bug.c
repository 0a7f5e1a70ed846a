/* SPDX-License-Identifier: MIT */
/* Broken invariants and errors that people must see. */
#include <linux/signal.h>

#include "base/str.h"
#include "base/sys.h"

void log_error(const char *fmt, ...)
{
	char line[512] = "hare: ";
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = 6 + str_vformat(line + 6, sizeof(line) - 7, fmt, ap);
	va_end(ap);
	len = MIN(len, (int)sizeof(line) - 2);
	line[len++] = '\n';
	SYS(write, 2, line, len);
}

void hare_bug(const char *file, int line, const char *what)
{
	long tid = SYS(gettid);

	log_error("broken invariant at %s:%d: %s (thread %ld)", file, line, what, tid);
	SYS(tkill, tid, SIGABRT);
	SYS(exit_group, 134);
	__builtin_unreachable();
}
