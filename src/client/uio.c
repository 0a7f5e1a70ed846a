/* SPDX-License-Identifier: MIT */
/*
 * A program's buffers, of read and of readv alike, walked once from begin to end. The
 * array of readv is read as it is needed, eight segments at a time; its lengths are added
 * up before, and a program that changes them meanwhile gets no more than that sum.
 */
#include "client/file.h"

#define UIO_SEGMENTS_MAX 1024

static const char g_zeros[PAGE_SIZE];

void uio_buf(struct uio *u, void *buf, size_t len)
{
	u->user = NULL;
	u->count = u->next = 1;
	u->at = buf;
	u->left = u->total = MIN(len, RW_MAX);
}

/* Brings segment i into the cache. */
static long load(struct uio *u, u32 i)
{
	u32 n = MIN(u->count - i, (u32)UIO_FAST);

	if (i >= u->first && i < u->first + u->cached)
		return 0;
	if (user_read(u->fast, u->user + i, n * sizeof(struct iovec)))
		return -EFAULT;
	u->first = i;
	u->cached = n;
	return 0;
}

long uio_vec(struct uio *u, const void *user_iov, long count)
{
	size_t total = 0;

	u->user = user_iov;
	u->next = u->first = u->cached = 0;
	u->left = u->total = 0;
	if (count < 0 || count > UIO_SEGMENTS_MAX)
		return -EINVAL;
	u->count = (u32)count;
	for (u32 i = 0; i < u->count; i++) {
		size_t len;

		if (load(u, i))
			return -EFAULT;
		len = u->fast[i - u->first].iov_len;
		if ((s64)len < 0 || (s64)(total + len) < 0)
			return -EINVAL;
		total += len;
	}
	u->total = MIN(total, RW_MAX);
	return 0;
}

/* The next bytes in one piece, at most n; 0 on a bad array or when it shrank. */
static size_t piece(struct uio *u, size_t n)
{
	while (!u->left) {
		const struct iovec *v;

		if (u->next >= u->count || load(u, u->next))
			return 0;
		v = &u->fast[u->next - u->first];
		u->at = v->iov_base;
		u->left = v->iov_len;
		u->next++;
	}
	return MIN(n, u->left);
}

static void advance(struct uio *u, size_t n)
{
	u->at += n;
	u->left -= n;
	u->total -= n;
}

/* A page of the program's after the other, up to one that is not there: how many bytes. */
static __attribute__((noinline)) size_t by_pages(char *user, char *ours, size_t n,
						 bool put)
{
	size_t at, k;

	for (at = 0; at < n; at += k) {
		k = MIN(n - at, PAGE_SIZE - (u64)(user + at) % PAGE_SIZE);
		if (put ? user_write(user + at, ours + at, k)
			: user_read(ours + at, user + at, k))
			break;
	}
	return at;
}

long uio_put(struct uio *u, const void *src, size_t n)
{
	const char *p = src;

	while (n) {
		size_t len = piece(u, n);

		if (unlikely(!len || user_write(u->at, p, len))) {
			advance(u, by_pages(u->at, (char *)p, len, true));
			return -EFAULT;
		}
		advance(u, len);
		p += len;
		n -= len;
	}
	return 0;
}

long uio_get(struct uio *u, void *dst, size_t n)
{
	char *p = dst;

	while (n) {
		size_t len = piece(u, n);

		if (unlikely(!len || user_read(p, u->at, len))) {
			advance(u, by_pages(u->at, p, len, false));
			return -EFAULT;
		}
		advance(u, len);
		p += len;
		n -= len;
	}
	return 0;
}

void uio_back(struct uio *u, size_t total, size_t done)
{
	size_t n = u->user ? 0 : total - u->total;

	u->at -= n;
	u->left = u->user ? 0 : total;
	u->total = total;
	if (u->user)
		u->next = 0;
	while (done && (n = piece(u, done))) {
		advance(u, n);
		done -= n;
	}
}

long uio_zero(struct uio *u, size_t n)
{
	while (n) {
		size_t len = MIN(n, sizeof(g_zeros));

		if (uio_put(u, g_zeros, len))
			return -EFAULT;
		n -= len;
	}
	return 0;
}

long user_zero(char *user, size_t n)
{
	while (n) {
		size_t len = MIN(n, sizeof(g_zeros));

		if (user_write(user, g_zeros, len))
			return -EFAULT;
		user += len;
		n -= len;
	}
	return 0;
}
