/* SPDX-License-Identifier: MIT */
/*
 * Strings and memory without libc. In the loader str.c also defines memcpy, memmove, memset
 * and memcmp, which the compiler calls by itself; hosted builds take libc's.
 */
#ifndef HARE_BASE_STR_H
#define HARE_BASE_STR_H

#include <stdarg.h>

#include "base/types.h"

void *memcpy(void *restrict dst, const void *restrict src, size_t len);
void *memmove(void *dst, const void *src, size_t len);
void *memset(void *dst, int c, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t len);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

/* Copies src with its NUL into dst of size bytes, cut short if it must be. Length of src. */
size_t str_copy(char *dst, const char *src, size_t size);
/* printf of %s %.*s %c %d %u %x %ld %lu %lx %zu %% with width and 0, into dst of size bytes,
 * always terminated. The length that the whole text has. */
int str_format(char *dst, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int str_vformat(char *dst, size_t size, const char *fmt, va_list ap);
/* Decimal digits; false when s is empty, not a number, or over 64 bits. */
bool str_to_u64(const char *s, u64 *out);
/* One line on stderr, "hare: ..." : for errors that people must see. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
