/* SPDX-License-Identifier: MIT */
/* Strings and memory without libc; see str.h. */
#include "base/str.h"

#if !__STDC_HOSTED__
/* The compiler must not turn these into calls of themselves. */
#pragma GCC optimize("no-tree-loop-distribute-patterns")

#define REP_MIN 256 /* from here on `rep movsb` is the fastest without vector registers */

typedef u64 __attribute__((may_alias, aligned(1))) word_t;
typedef u32 __attribute__((may_alias, aligned(1))) half_t;

void *memcpy(void *restrict dst, const void *restrict src, size_t len)
{
	char *d = dst;
	const char *s = src;

	if (len >= REP_MIN) {
		void *ret = dst;

		__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(len)::"memory");
		return ret;
	}
	if (len >= 8) {
		u64 last = *(const word_t *)(s + len - 8);
		size_t i = 0;

		for (; i + 32 < len; i += 32) {
			*(word_t *)(d + i) = *(const word_t *)(s + i);
			*(word_t *)(d + i + 8) = *(const word_t *)(s + i + 8);
			*(word_t *)(d + i + 16) = *(const word_t *)(s + i + 16);
			*(word_t *)(d + i + 24) = *(const word_t *)(s + i + 24);
		}
		for (; i < len - 8; i += 8)
			*(word_t *)(d + i) = *(const word_t *)(s + i);
		*(word_t *)(d + len - 8) = last;
	} else if (len >= 4) {
		u32 last = *(const half_t *)(s + len - 4);

		*(half_t *)d = *(const half_t *)s;
		*(half_t *)(d + len - 4) = last;
	} else {
		for (size_t i = 0; i < len; i++)
			d[i] = s[i];
	}
	return dst;
}

void *memmove(void *dst, const void *src, size_t len)
{
	char *d = dst;
	const char *s = src;

	if (d <= s || d >= s + len) {
		if (s - d >= 8 || d >= s + len)
			return memcpy(dst, src, len);
		for (size_t i = 0; i < len; i++)
			d[i] = s[i];
		return dst;
	}
	while (len >= 8 && d - s >= 8) {
		len -= 8;
		*(word_t *)(d + len) = *(const word_t *)(s + len);
	}
	while (len--)
		d[len] = s[len];
	return dst;
}

void *memset(void *dst, int c, size_t len)
{
	void *ret = dst;
	u64 word = (u8)c * 0x0101010101010101ULL;
	char *d = dst;

	if (len >= REP_MIN) {
		__asm__ volatile("rep stosb" : "+D"(dst), "+c"(len) : "a"(c) : "memory");
		return ret;
	}
	if (len >= 8) {
		for (size_t i = 0; i < len - 8; i += 8)
			*(word_t *)(d + i) = word;
		*(word_t *)(d + len - 8) = word;
		return ret;
	}
	for (size_t i = 0; i < len; i++)
		d[i] = (char)c;
	return ret;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const u8 *x = a, *y = b;

	while (len >= 8 && *(const word_t *)x == *(const word_t *)y) {
		x += 8;
		y += 8;
		len -= 8;
	}
	for (; len; len--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

size_t strlen(const char *s)
{
	const char *p = s;

	while (*p)
		p++;
	return (size_t)(p - s);
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t len)
{
	for (; len; len--, a++, b++) {
		if (*a != *b || !*a)
			return (u8)*a - (u8)*b;
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)s;
		if (!*s)
			return NULL;
	}
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;

	for (;; s++) {
		if (*s == (char)c)
			last = s;
		if (!*s)
			return (char *)last;
	}
}
#endif

size_t str_copy(char *dst, const char *src, size_t size)
{
	size_t len = strlen(src), n = len;

	if (size) {
		n = MIN(len, size - 1);
		memcpy(dst, src, n);
		dst[n] = 0;
	}
	return len;
}

bool str_to_u64(const char *s, u64 *out)
{
	u64 v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (u64)(*s - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

/* --- printf's small sister ---------------------------------------------------------- */

struct out {
	char *dst;
	size_t size, len; /* len: of the whole text, also what did not fit */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->dst[o->len] = c;
	o->len++;
}

static void put_text(struct out *o, const char *s, size_t len, int width, bool left)
{
	int pad = width > (int)len ? width - (int)len : 0;

	for (int i = 0; !left && i < pad; i++)
		put(o, ' ');
	for (size_t i = 0; i < len; i++)
		put(o, s[i]);
	for (int i = 0; left && i < pad; i++)
		put(o, ' ');
}

struct spec {
	int width, precision; /* precision -1: none */
	bool zero, left, wide;
};

static void put_number(struct out *o, const struct spec *f, u64 v, u32 base,
		       bool negative)
{
	char digits[24];
	int n = 0, total;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	total = n + negative;
	if (negative && f->zero)
		put(o, '-');
	for (int i = total; !f->left && i < f->width; i++)
		put(o, f->zero ? '0' : ' ');
	if (negative && !f->zero)
		put(o, '-');
	while (n)
		put(o, digits[--n]);
	for (int i = total; f->left && i < f->width; i++)
		put(o, ' ');
}

static const char *parse_spec(const char *p, struct spec *f, va_list *ap)
{
	*f = (struct spec){ .precision = -1 };
	for (; *p == '0' || *p == '-'; p++) {
		f->zero |= *p == '0';
		f->left |= *p == '-';
	}
	if (*p == '*') {
		f->width = va_arg(*ap, int);
		p++;
	}
	for (; *p >= '0' && *p <= '9'; p++)
		f->width = f->width * 10 + (*p - '0');
	if (*p == '.') {
		f->precision = 0;
		if (*++p == '*') {
			f->precision = va_arg(*ap, int);
			p++;
		}
		for (; *p >= '0' && *p <= '9'; p++)
			f->precision = f->precision * 10 + (*p - '0');
	}
	for (; *p == 'l' || *p == 'z'; p++)
		f->wide = true;
	return p;
}

static void put_string(struct out *o, const struct spec *f, const char *s)
{
	size_t len = 0;

	if (!s)
		s = "(null)";
	while ((f->precision < 0 || len < (size_t)f->precision) && s[len])
		len++;
	put_text(o, s, len, f->width, f->left);
}

static void put_arg(struct out *o, const struct spec *f, char kind, va_list *ap)
{
	char c;
	s64 v;

	switch (kind) {
	case 's':
		put_string(o, f, va_arg(*ap, const char *));
		break;
	case 'c':
		c = (char)va_arg(*ap, int);
		put_text(o, &c, 1, f->width, f->left);
		break;
	case 'd':
	case 'i':
		v = f->wide ? va_arg(*ap, long) : va_arg(*ap, int);
		put_number(o, f, v < 0 ? -(u64)v : (u64)v, 10, v < 0);
		break;
	case 'u':
	case 'x':
		put_number(o, f, f->wide ? va_arg(*ap, unsigned long) : va_arg(*ap, u32),
			   kind == 'x' ? 16 : 10, false);
		break;
	case 'p':
		put_text(o, "0x", 2, 0, false);
		put_number(o, f, (u64)va_arg(*ap, void *), 16, false);
		break;
	default: /* %% and what is not known */
		put(o, kind);
	}
}

int str_vformat(char *dst, size_t size, const char *fmt, va_list ap)
{
	struct out o = { .dst = dst, .size = size };
	struct spec f;
	va_list args;

	va_copy(args, ap);
	for (const char *p = fmt; *p; p++) {
		if (*p != '%') {
			put(&o, *p);
			continue;
		}
		p = parse_spec(p + 1, &f, &args);
		if (!*p)
			break;
		put_arg(&o, &f, *p, &args);
	}
	va_end(args);
	if (size)
		dst[MIN(o.len, size - 1)] = 0;
	return (int)o.len;
}

int str_format(char *dst, size_t size, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = str_vformat(dst, size, fmt, ap);
	va_end(ap);
	return len;
}
