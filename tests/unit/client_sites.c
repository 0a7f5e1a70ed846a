/* SPDX-License-Identifier: MIT */
/* Sites of system calls that processes learn from each other (src/client/sites.c). */
#include "unit/client.h"

#define FILE_A 0x1234567800000001ULL
#define FILE_B 0x1234567800000002ULL /* its entries lie among those of A */

static struct town g;
static struct person *p;

static void traps(u64 file, u32 off, u32 times)
{
	while (times--)
		client_site_trapped(&p->t, file, off, 1);
}

static void maps(u64 file, u32 times)
{
	while (times--)
		client_sites_mapped(&p->t, file);
}

static u32 hot(u64 file)
{
	u32 off[16];

	return client_sites_hot(&p->t, file, off, ARRAY_SIZE(off));
}

static void t_page(void)
{
	u64 news = client_sites_news(&p->t);

	maps(FILE_A, 10);
	maps(FILE_B, 3);
	traps(FILE_A, 0x20b1d, 9);
	traps(FILE_A, 0x30000, 7);
	traps(FILE_B, 0x20b1d, 1);
	is(hot(FILE_A), 0, "less than two traps of a process in a page: it is left alone");
	is(client_sites_news(&p->t), news, "no news");
	traps(FILE_A, 0x20ca3, 11);
	is(hot(FILE_A), 2, "two: all its sites are to be patched");
	is(hot(FILE_B), 0, "those of another file are not");
	ok(client_sites_news(&p->t) != news, "who has mapped it already can learn so");
	traps(FILE_A, 0x20d07, 1);
	is(hot(FILE_A), 3, "a site met later in such a page is one of them");
	client_site_trapped(&p->t, FILE_B, 0x40000, 9);
	is(hot(FILE_B), 1, "a site that a process patched counts as often as it trapped");
}

static void t_full(void)
{
	u32 off[1200];

	for (u32 i = 0; i < 5000; i++)
		client_site_trapped(&p->t, FILE_A + i % 3, 0x100000 + 7 * i, 20);
	ok(client_sites_hot(&p->t, FILE_A, off, ARRAY_SIZE(off)) < 1024, "it can be full");
	is(client_sites_hot(&p->t, FILE_A, off, 2), 2, "no more than there is room for");
	is(hot(FILE_A + 99), 0, "a file that nobody knows has none");
}

int main(void)
{
	struct world_cfg wc = { .cores = 1, .islands = 1 };

	town_new(&g, &wc);
	p = town_person(&g, 0, 0);
	t_page();
	t_full();
	is(town_check(&g, NULL), 0, "no invariant is violated");
	town_end(&g);
	return done_testing();
}
