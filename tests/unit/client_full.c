/* SPDX-License-Identifier: MIT */
/*
 * A server whose core kernel has no memory for more inodes, while others have: what is made goes
 * there, until the names have no room, or nobody has room for an inode.
 */
#include "unit/client.h"

static struct town g;

struct count {
	u64 files[2]; /* regular files at each server */
};

static void count_files(void *arg, const struct fs_fact *f)
{
	struct count *c = arg;

	if (f->kind == FS_FACT_INODE && f->type == S_IFREG)
		c->files[ino_server(f->ino)]++;
}

static struct count count(void)
{
	struct count c = { { 0 } };

	for (u32 i = 0; i < g.w.cores; i++) {
		ck_lock(&g.w.ctx[i], g.w.ck[i]);
		fs_facts(g.w.ck[i], count_files, &c);
		ck_unlock(g.w.ck[i]);
	}
	return c;
}

static const char *name(const char *dir, u32 i)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/%08u", dir, i);
	return path;
}

static long make(struct person *p, const char *dir, u32 i)
{
	long fd = CALL(p, open, name(dir, i), O_CREAT | O_EXCL | O_RDWR, 0644);

	return fd < 0 ? fd : CALL(p, close, fd);
}

/* Until it fails: how many, and with what. */
static u32 fill(struct person *p, const char *dir, long *r)
{
	u32 n = 0;

	while (!(*r = make(p, dir, n)))
		n++;
	return n;
}

/* A directory of the second server, renamed by the first: without memory its home does not keep the
 * name, which is found all the same. */
static void nameless(struct person *a, struct person *b)
{
	static const char *const at[] = { "/hare/d", "/hare/e" };
	u64 ino = b->p->cwd;
	char was[300] = "/hare/d/x", is[300], cwd[300];
	u32 unnamed = 0, wrong = 0;

	for (u32 i = 0; i < 40; i++) {
		struct req_PARENT q = { .ino = ino };
		struct rep_PARENT p = { .name = { .p = NULL } };

		sprintf(is, "%s/%0*u", at[i % 2], 250 - (int)i, i);
		wrong += CALL(a, rename, was, is) != 0;
		wrong += rpc_parent(&b->t.ctx, 1, &q, &p) != 0;
		unnamed += p.name.len == 0;
		wrong += CALL(b, getcwd, cwd, sizeof(cwd)) < 0 || strcmp(cwd, is);
		strcpy(was, is);
	}
	is(wrong, 0, "its renames are seen");
	ok(unnamed > 0, "%u times its home did not keep the name", unnamed);
	is(CALL(b, chdir, "/hare"), 0, "chdir");
	is(CALL(a, rmdir, was), 0, "rmdir");
}

static void run(const char *what, const struct world_cfg *wc)
{
	struct person *a, *b;
	struct count c;
	long r, fd;
	u32 n, more, bad = 0;

	town_new(&g, wc);
	a = town_person(&g, 0, 0);
	b = town_person(&g, 1, 0);
	for (int i = 0; i < 3; i++) {
		need(!fd_enter_host(&a->t, i), "descriptors");
		need(!fd_enter_host(&b->t, i), "descriptors");
	}
	is(CALL(a, mkdir, "/hare/d", 0755), 0, "%s: a directory of the first core", what);
	is(CALL(b, mkdir, "/hare/e", 0755), 0, "%s: one of the second", what);
	is(CALL(b, mkdir, "/hare/d/x", 0755), 0, "%s: and one there in the first", what);
	is(CALL(b, chdir, "/hare/d/x"), 0, "%s: chdir", what);
	n = fill(a, "/hare/d", &r);
	c = count();
	is(r, -ENOSPC, "%s: the first is filled", what);
	ok(c.files[0] && c.files[1] > c.files[0] / 4,
	   "%s: the second server took some: %lu and %lu", what, (unsigned long)c.files[0],
	   (unsigned long)c.files[1]);
	is(c.files[0] + c.files[1], n, "%s: and no inode is left over", what);
	fd = CALL(a, open, name("/hare/d", 5), O_CREAT | O_RDWR, 0644);
	ok(fd >= 0 && !CALL(a, close, fd), "%s: what is there can be opened with O_CREAT", what);
	is(CALL(a, open, name("/hare/d", 5), O_CREAT | O_EXCL | O_RDWR, 0644), -EEXIST,
	   "%s: and is there already", what);
	is(CALL(a, mkdir, "/hare/d/sub", 0755), -ENOSPC, "%s: mkdir", what);
	is(CALL(a, symlink, "x", "/hare/d/sym"), -ENOSPC, "%s: symlink", what);
	/* Names beside the second server's own: its core is not the creator. */
	more = fill(a, "/hare/e", &r);
	is(r, -ENOSPC, "%s: the second is filled", what);
	ok(more > 0, "%s: that took %u more", what, more);
	c = count();
	is(c.files[0] + c.files[1], n + more, "%s: no inode is left over", what);
	is(town_check(&g, NULL), 0, "%s: consistent", what);
	nameless(a, b);
	is(town_check(&g, NULL), 0, "%s: consistent", what);
	for (u32 i = 0; i < n; i++)
		bad += CALL(a, unlink, name("/hare/d", i)) != 0;
	for (u32 i = 0; i < more; i++)
		bad += CALL(b, unlink, name("/hare/e", i)) != 0;
	is(bad, 0, "%s: all are removed", what);
	for (u32 i = 0; i < g.w.cores; i++)
		msg_drain(&g.w.ctx[i]);
	for (u32 i = 0; i < 2000; i++)
		bad += make(a, "/hare/d", i) != 0;
	c = count();
	is(bad, 0, "%s: there is room again", what);
	ok(c.files[0] == 2000, "%s: at the creator's own server: %lu", what,
	   (unsigned long)c.files[0]);
	is(town_check(&g, NULL), 0, "%s: consistent then", what);
	town_end(&g);
}

int main(void)
{
	run("two islands", &(struct world_cfg){ .cores = 2, .islands = 2, .size = 64u << 20 });
	run("one island", &(struct world_cfg){ .cores = 2, .islands = 1, .size = 64u << 20 });
	return done_testing();
}
