/* SPDX-License-Identifier: MIT */
/*
 * What operations cost in messages, by the counters that `hare stat` shows: requests sent by the
 * caller's core, of which kind, and broadcasts. The papers' numbers (EuroSys section 3.6, thesis
 * sections 3.4.1 and 3.7): a cached lookup none, file data none, open of a new file one when entry
 * and inode share a server, rename two at most, readdir and each phase of rmdir one broadcast.
 */
#include "unit/client.h"

#define CORES 4

static struct town g;
static struct person *a, *b; /* on core 0, and on core 3, which made what is far */
static const char *g_what;

struct count {
	u64 sent[RPC_COUNT], all, broadcasts;
};

static struct count g_before;

static void read_counts(struct count *n)
{
	struct ck *ck = a->t.ctx.ck;

	n->all = 0;
	for (u32 id = 1; id < RPC_COUNT; id++)
		n->all += n->sent[id] = ck->counter[COUNT_SENT(id)];
	n->broadcasts = ck->counter[COUNT_BROADCASTS];
}

/* `call`, by a: its result, how many requests it sent, and in how many broadcasts. */
static void costs_(long got, long want, u64 requests, u64 broadcasts, const char *what)
{
	struct count now;
	bool fine;

	read_counts(&now);
	fine = got == want && now.all - g_before.all == requests &&
	       now.broadcasts - g_before.broadcasts == broadcasts;
	ok(fine, "%s: %s: %llu requests, %llu broadcasts", g_what, what,
	   (unsigned long long)requests, (unsigned long long)broadcasts);
	if (fine)
		return;
	diag("result %ld, want %ld; %llu requests, %llu broadcasts", got, want,
	     (unsigned long long)(now.all - g_before.all),
	     (unsigned long long)(now.broadcasts - g_before.broadcasts));
	for (u32 id = 1; id < RPC_COUNT; id++)
		if (now.sent[id] != g_before.sent[id])
			diag("  %llu %s",
			     (unsigned long long)(now.sent[id] - g_before.sent[id]),
			     rpc_name(id));
}
#define COSTS(call, want, requests, broadcasts, what)                                    \
	(read_counts(&g_before), costs_((call), want, requests, broadcasts, what))

static long new_file(struct person *p, const char *path)
{
	long fd = CALL(p, open, path, O_CREAT | O_EXCL | O_RDWR, 0644);

	return fd < 0 ? fd : CALL(p, close, fd);
}

/* How many entries getdents finds, to the end. */
static long list(struct person *p, const char *path)
{
	static char buf[32768];
	long fd = CALL(p, open, path, O_RDONLY | O_DIRECTORY, 0);
	long n = 0, r;

	if (fd < 0)
		return fd;
	while ((r = CALL(p, getdents64, fd, buf, sizeof(buf))) > 0)
		for (char *d = buf; d < buf + r; n++)
			d += *(unsigned short *)(d + 16);
	CALL(p, close, fd);
	return r ? r : n;
}

/* In directories of a far server. */
static void t_far(void)
{
	struct stat st;
	char buf[100] = "";
	long fd;

	need(CALL(b, mkdir, "/hare/far", 0777) == 0, "mkdir");
	need(new_file(b, "/hare/far/x") == 0 && new_file(b, "/hare/far/y") == 0, "files");
	need(CALL(a, stat, "/hare/far/x", &st) == 0, "stat");
	COSTS(CALL(a, access, "/hare/far/x", F_OK), 0, 0, 0, "a cached lookup");
	COSTS(CALL(a, access, "/hare/far/none", F_OK), -ENOENT, 1, 0,
	      "a name that is not there");
	COSTS(CALL(a, access, "/hare/far/none", F_OK), -ENOENT, 0, 0, "the same, cached");
	COSTS(CALL(a, stat, "/hare/far/x", &st), 0, 1, 0, "stat of a cached name");
	COSTS(new_file(a, "/hare/far/new"), 0, 1, 0, "open of a new file, and close");
	COSTS(CALL(a, rename, "/hare/far/new", "/hare/far/new2"), 0, 1, 0,
	      "rename in a directory");
	COSTS(CALL(a, unlink, "/hare/far/new2"), 0, 1, 0, "unlink of a file made here");
	fd = CALL(a, open, "/hare/far/x", O_RDWR, 0);
	need(fd >= 0, "open");
	need(CALL(a, write, fd, "abc", 3) == 3, "write");
	COSTS(CALL(a, pread64, fd, buf, 3, 0), 3, 0, 0, "read of data");
	COSTS(CALL(a, pwrite64, fd, "abd", 3, 0), 3, 0, 0, "write of data within the size");
	COSTS(CALL(a, lseek, fd, 0, SEEK_SET), 0, 0, 0, "lseek");
	CALL(a, close, fd);
	COSTS(CALL(a, mkdir, "/hare/far/d", 0755), 0, 1, 0, "mkdir");
	COSTS(CALL(a, rmdir, "/hare/far/d"), 0, 1, 0, "rmdir of a directory made here");
	need(CALL(b, mkdir, "/hare/far/d", 0755) == 0, "mkdir");
	need(CALL(a, stat, "/hare/far/d", &st) == 0, "stat");
	COSTS(CALL(a, rmdir, "/hare/far/d"), 0, 1, 0, "rmdir of a far directory");
	need(CALL(a, mkdir, "/hare/near", 0755) == 0, "mkdir");
	need(new_file(a, "/hare/near/f") == 0, "file");
	COSTS(CALL(a, rename, "/hare/near/f", "/hare/far/g"), 0, 1, 0,
	      "rename from a near directory to a far one");
	COSTS(CALL(a, unlink, "/hare/far/g"), 0, 1, 0, "unlink");
	need(new_file(a, "/hare/near/f") == 0, "file");
	COSTS(CALL(a, rename, "/hare/near/f", "/hare/far/y"), 0, 2, 0,
	      "the same over a file that is there");
	need(new_file(b, "/hare/far/h") == 0, "file");
	COSTS(CALL(a, unlink, "/hare/far/h"), 0, 2, 0, "lookup and unlink of a far file");
	need(CALL(a, rmdir, "/hare/near") == 0, "rmdir");
}

/* In directories of the own server: nothing at all. */
static void t_near(void)
{
	char buf[100];
	long fd;

	COSTS(CALL(a, mkdir, "/hare/n", 0755), 0, 0, 0, "mkdir");
	COSTS(new_file(a, "/hare/n/f"), 0, 0, 0, "open of a new file");
	fd = CALL(a, open, "/hare/n/f", O_RDWR, 0);
	COSTS(CALL(a, write, fd, "abc", 3), 3, 0, 0, "write");
	COSTS(CALL(a, pread64, fd, buf, 3, 0), 3, 0, 0, "read");
	COSTS(CALL(a, close, fd), 0, 0, 0, "close");
	COSTS(CALL(a, rename, "/hare/n/f", "/hare/n/g"), 0, 0, 0, "rename");
	COSTS(list(a, "/hare/n"), 3, 0, 0, "readdir");
	COSTS(CALL(a, unlink, "/hare/n/g"), 0, 0, 0, "unlink");
	COSTS(CALL(a, rmdir, "/hare/n"), 0, 0, 0, "rmdir");
}

/* A directory of all servers, made by b: its home is core 3. */
static void t_spread(bool near_home)
{
	struct person *p = near_home ? a : b;
	const char *name = near_home ? "/hare/s-near" : "/hare/s-far";
	u64 home = near_home ? 0 : 1; /* requests that only the home gets */
	struct statfs {
		long words[15];
	} fs;
	struct stat st;
	char path[64];
	long n;

	if (near_home)
		COSTS(client_mkdir_distributed(&a->t, name, 0777), 0, CORES - 1, 1,
		      "mkdir of a distributed directory");
	else
		need(client_mkdir_distributed(&p->t, name, 0777) == 0, "mkdir");
	for (u32 i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "%s/file%u", name, i);
		need(new_file(b, path) == 0, "file");
	}
	need(list(a, name) == 42, "readdir"); /* learns ".." */
	COSTS(list(a, name), 42, CORES - 1 + 2 * home, 1, "readdir, with open and close");
	COSTS(CALL(a, stat, name, &st), 0, CORES - 1 + home, 1, "stat");
	COSTS(CALL(a, chmod, name, 0755), 0, CORES - 1, 1, "chmod"); /* CHMOD, PING of the others */
	COSTS(CALL(a, statfs, name, &fs), 0, CORES - 1, 1, "statfs");
	need(CALL(a, stat, name, &st) == 0, "stat");
	/* One that is not empty: SERIALIZE, MARK, ABORT. */
	n = near_home ? CORES - 1 + CORES - 1 : CORES - 1 + CORES - 2 + 2;
	COSTS(CALL(a, rmdir, name), -ENOTEMPTY, (u64)n, 2, "rmdir, not empty");
	for (u32 i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "%s/file%u", name, i);
		need(CALL(b, unlink, path) == 0, "unlink");
	}
	/* SERIALIZE at home, MARK, the entry (of the root, which is near), COMMIT. */
	COSTS(CALL(a, rmdir, name), 0, (u64)(2 * (CORES - 1)) + home, 2, "rmdir");
	need(CALL(a, stat, name, &st) == -ENOENT, "gone");
}

/* A description of a's goes to b too, as an exec takes it; its number there. */
static long give(long fd, bool alone)
{
	struct image_fd d = { 0 };
	struct ofd *o;
	bool host;
	long r;

	o = fd_get(&a->t, (int)fd, &host);
	need(o && ofd_share(&a->t, o, 1, NULL) == 0, "ofd_share");
	ofd_image(o, &d);
	d.alone = alone;
	ofd_put(&a->t, o);
	o = ofd_of_image(&b->t, &d, d.ino);
	r = o ? fd_install(&b->t, o, false, 0) : -1;
	need(r >= 0, "fd_install");
	return r;
}

/* Closed, and told. */
static void b_closes(long fd)
{
	struct req_PING q = { 0 };
	struct rep_PING p;

	need(CALL(b, close, fd) == 0, "close");
	rpc_ping(&b->t.ctx, 0, &q, &p);
	rpc_ping(&b->t.ctx, 3, &q, &p);
}

/* A description that two cores had is local again when one has it (thesis 3.5). */
static void t_back(void)
{
	struct stat st;
	char buf[20] = "";
	long fd, far;

	need(CALL(b, mkdir, "/hare/back", 0777) == 0, "mkdir");
	need(new_file(b, "/hare/back/x") == 0, "file");
	fd = CALL(a, open, "/hare/back/x", O_RDWR, 0);
	need(fd >= 0 && CALL(a, write, fd, "0123456789abcdef", 16) == 16, "write");
	need(CALL(a, lseek, fd, 0, SEEK_SET) == 0, "lseek");
	far = give(fd, false);
	COSTS(CALL(a, read, fd, buf, 2), 2, 1, 0, "read at an offset of two cores");
	COSTS(CALL(a, read, fd, buf, 2), 2, 1, 0, "again");
	need(CALL(b, read, far, buf, 2) == 2 && !memcmp(buf, "45", 2), "the other's read");
	COSTS(CALL(a, lseek, fd, 0, SEEK_CUR), 6, 1, 0, "lseek");
	b_closes(far);
	COSTS(CALL(a, read, fd, buf, 2), 2, 1, 0, "the first read after the other's close");
	COSTS(CALL(a, read, fd, buf, 2), 2, 1, 0, "the next takes the offset back");
	ok(!memcmp(buf, "89", 2), "%s: at the right place", g_what);
	COSTS(CALL(a, read, fd, buf, 2), 2, 0, 0, "then read asks no server");
	COSTS(CALL(a, write, fd, "CD", 2), 2, 0, 0, "nor does write");
	COSTS(CALL(a, lseek, fd, 0, SEEK_CUR), 14, 0, 0, "nor lseek");
	COSTS(CALL(a, fcntl, fd, F_SETFL, O_APPEND), 0, 0, 0, "nor F_SETFL");
	/* Once more: what it is now goes along, and with the flag comes back at the first call. */
	far = give(fd, true);
	is(CALL(b, fcntl, far, F_GETFL) & O_APPEND, O_APPEND, "%s: O_APPEND goes along", g_what);
	is(CALL(b, fcntl, far, F_SETFL, 0), 0, "%s: is cleared there", g_what);
	is(CALL(b, lseek, far, 0, SEEK_CUR), 14, "%s: and the offset", g_what);
	is(CALL(b, read, far, buf, 20), 2, "%s: read there", g_what);
	CALL(a, close, fd);
	fd = CALL(a, open, "/hare/back/x", O_RDWR, 0);
	far = give(fd, true);
	need(CALL(b, pwrite64, far, "XY", 2, 1) == 2, "pwrite");
	b_closes(far);
	need(CALL(a, read, fd, buf, 1) == 1, "read");
	need(CALL(a, read, fd, buf, 2) == 2 && !memcmp(buf, "XY", 2), "what the other wrote");
	COSTS(CALL(a, read, fd, buf, 1), 1, 0, 0, "back, after the other wrote");
	CALL(a, close, fd);
	/* A program that was started with a redirection, by a process that is gone. */
	need(new_file(a, "/hare/back/y") == 0, "file");
	fd = CALL(a, open, "/hare/back/y", O_RDWR, 0);
	far = give(fd, true);
	CALL(a, close, fd);
	town_settle(&g, (struct person *[]){ a, b }, 2);
	need(CALL(b, write, far, "text", 4) == 4, "write");
	need(b->t.ctx.ck->counter[COUNT_SENT(RPC_WRITE)] == 0, "without WRITE");
	is(CALL(a, stat, "/hare/back/y", &st) ? 0 : st.st_size, 4, "%s: its size", g_what);
	b_closes(far);
	need(list(a, "/hare/back") == 4, "readdir");
	fd = CALL(a, open, "/hare/back", O_RDONLY | O_DIRECTORY, 0);
	b_closes(give(fd, false));
	is(CALL(a, getdents64, fd, buf, 20), -EINVAL, "%s: no room for an entry", g_what);
	is(CALL(a, lseek, fd, 0, SEEK_SET), 0, "%s: a directory's place", g_what);
	COSTS(CALL(a, lseek, fd, 0, SEEK_CUR), 0, 0, 0, "is local again");
	CALL(a, close, fd);
	for (const char **n = (const char *[]){ "/hare/back/x", "/hare/back/y", NULL }; *n; n++)
		need(CALL(a, unlink, *n) == 0, "unlink");
	need(CALL(a, rmdir, "/hare/back") == 0, "rmdir");
}

/* More than one batch of each part, with a small and a large buffer, and to the end. */
static void t_large(void)
{
	char path[300];
	u32 bad = 0;
	long fd, r, n = 0;
	static char buf[1000];

	need(client_mkdir_distributed(&b->t, "/hare/large", 0777) == 0, "mkdir");
	for (u32 i = 0; i < 600; i++) {
		snprintf(path, sizeof(path), "/hare/large/%0200u", i);
		bad += new_file(i % 2 ? a : b, path) != 0;
	}
	is(bad, 0, "%s: 600 files with long names", g_what);
	is(list(a, "/hare/large"), 602, "%s: readdir finds each once", g_what);
	fd = CALL(a, open, "/hare/large", O_RDONLY | O_DIRECTORY, 0);
	while ((r = CALL(a, getdents64, fd, buf, sizeof(buf))) > 0)
		for (char *d = buf; d < buf + r; n++)
			d += *(unsigned short *)(d + 16);
	is(n, 602, "%s: with a small buffer too", g_what);
	is(CALL(a, lseek, fd, 0, SEEK_SET), 0, "%s: rewinddir", g_what);
	is(CALL(a, getdents64, fd, buf, 20), -EINVAL, "%s: no room for one", g_what);
	CALL(a, close, fd);
	for (u32 i = 0; i < 600; i++) {
		snprintf(path, sizeof(path), "/hare/large/%0200u", i);
		bad += CALL(i % 3 ? a : b, unlink, path) != 0;
	}
	is(bad, 0, "%s: all are removed", g_what);
	is(CALL(a, rmdir, "/hare/large"), 0, "%s: and the directory", g_what);
}

static void all(const char *what, const struct world_cfg *wc)
{
	g_what = what;
	town_new(&g, wc);
	a = town_person(&g, 0, 0);
	b = town_person(&g, CORES - 1, 0);
	for (int n = 0; n < 3; n++)
		need(!fd_enter_host(&b->t, n), "0 to 2 are the host's");
	t_far();
	t_back();
	t_near();
	t_spread(true);
	t_spread(false);
	t_large();
	is(town_check(&g, NULL), 0, "%s: sound", what);
	town_end(&g);
}

int main(void)
{
	all("coherent", &(struct world_cfg){ .cores = CORES });
	all("emulated", &(struct world_cfg){
				.cores = CORES, .model = MEM_EMULATED, .chaos = 7 });
	return done_testing();
}
