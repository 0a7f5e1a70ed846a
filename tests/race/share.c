/* SPDX-License-Identifier: MIT */
/*
 * A description becomes one of several cores (ofd.c: ofd_share, as exec does) while another thread of
 * its process is about to use its offset, is using it, closes it or locks its file; and with who shares
 * it killed. And one of several cores that becomes one core's again (ofd_back).
 */
#include "race/race.h"


static struct town g;
static struct person *g_p[MAX_CORES], *g_own; /* g_own: of core 1; the files are at server 0 */
static struct rival *g_a, *g_b; /* threads of g_own's process */
static const char g_f[] = "/hare/f";

/* A thread of own's process. */
static struct rival *thread_of(struct person *own)
{
	struct rival *r = rival_new(&g, own->t.ctx.core);

	own->p->threads++;
	r->p->p = own->p;
	r->p->t.proc = own->p;
	return r;
}

/* A reference more at the server, for another core. */
static long do_share(struct person *p, const char *x, const char *y)
{
	bool host = false;
	struct ofd *o = fd_get(&p->t, atoi(x), &host);
	long r;

	(void)y;
	if (!o)
		return -EBADF;
	rival_here("sharing");
	r = ofd_share(&p->t, o, 1, NULL);
	ofd_put(&p->t, o);
	return r;
}

static long do_write(struct person *p, const char *x, const char *y)
{
	return CALL(p, write, atoi(x), y, strlen(y));
}

static long do_close_fd(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, close, atoi(x));
}

static long do_flock(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, flock, atoi(x), 2 /* LOCK_EX */);
}

/* Opens, and shares it as an exec does, which dies. */
static long do_open_and_share(struct person *p, const char *x, const char *y)
{
	char fd[16];

	sprintf(fd, "%ld", CALL(p, open, x, O_RDWR, 0));
	return do_share(p, fd, y);
}

/* The image of own's descriptor, taken before others may close it; and its arrival on core 2. */
static struct image_fd *g_image;

static void image_of_person(struct person *p, int fd)
{
	bool host = false;
	struct ofd *o = fd_get(&p->t, fd, &host);

	memset(g_image, 0, sizeof(*g_image));
	need(o, "fd_get");
	ofd_image(o, g_image);
	g_image->shared = o->shared ? o->shared : o->kept;
	ofd_put(&p->t, o);
}

static void image_of(int fd)
{
	image_of_person(g_own, fd);
}

static long arrive(void)
{
	struct ofd *o = ofd_of_image(&g_p[2]->t, g_image, g_image->ino);

	need(o, "ofd_of_image");
	return fd_install(&g_p[2]->t, o, false, 0);
}

static u64 inodes(void)
{
	return stats_of(&g, g_p).inodes;
}

static void clear(void)
{
	do_unlink(g_p[0], g_f, NULL);
	is(inodes(), 0, "nobody has the file open any more");
	is(town_check(&g, NULL), 0, "no invariant is violated");
}

static void opened(char *fd)
{
	is(file_put(g_p[0], g_f, "0123456789"), 10, "a file");
	sprintf(fd, "%ld", CALL(g_own, open, g_f, O_RDWR, 0));
}

static void offset_is(struct person *p, long fd, long want)
{
	is(CALL(p, lseek, fd, 0, SEEK_CUR), want, "its offset on core %u", p->t.ctx.core);
}

/* --- the offset ------------------------------------------------------------------------------------- */

static void shared_before_use(void)
{
	char fd[16];
	long fd2;

	opened(fd);
	ok(rival_run(g_a, do_write, fd, "ab", RACE_AT, "offset"), "about to write at the offset");
	is(rival_do(g_b, do_share, fd, NULL), 0, "it becomes shared");
	image_of(atoi(fd));
	fd2 = arrive();
	is(CALL(g_p[2], write, fd2, "XY", 2), 2, "core 2 writes at the offset");
	is(rival_end(g_a), 2, "the first writes");
	ok(file_is(g_p[0], g_f, "XYab456789"), "behind it");
	offset_is(g_own, atoi(fd), 4);
	offset_is(g_p[2], fd2, 4);
	is(CALL(g_p[2], close, fd2) | CALL(g_own, close, atoi(fd)), 0, "close");
	clear();
}

static void shared_while_used(void)
{
	char fd[16];
	long fd2;

	opened(fd);
	ok(rival_run(g_a, do_write, fd, "ab", RACE_AT, "copied in"), "writing at the offset");
	ok(rival_run(g_b, do_share, fd, NULL, RACE_AT, "busy"), "who shares it waits");
	is(rival_end(g_a), 2, "the write ends");
	is(rival_end(g_b), 0, "it becomes shared");
	image_of(atoi(fd));
	fd2 = arrive();
	offset_is(g_p[2], fd2, 2);
	is(CALL(g_p[2], write, fd2, "XY", 2), 2, "core 2 writes at the offset");
	ok(file_is(g_p[0], g_f, "abXY456789"), "behind it");
	offset_is(g_own, atoi(fd), 4);
	is(CALL(g_p[2], close, fd2) | CALL(g_own, close, atoi(fd)), 0, "close");
	clear();
}

/* --- back to one core ----------------------------------------------------------------------------- */

/* Shared with core 2, which has closed it, so that its next user takes the offset back. */
static void shared_and_alone(char *fd)
{
	opened(fd);
	is(rival_do(g_b, do_share, fd, NULL), 0, "it becomes shared");
	image_of(atoi(fd));
	is(CALL(g_p[2], close, arrive()), 0, "core 2 closes it");
	is(CALL(g_own, write, atoi(fd), "01", 2), 2, "core 1 writes, and hears that it is alone");
}

/* One thread asks for the offset; another one, which still finds it at the server, is about to use it
 * there. */
static void back_while_used(u32 when)
{
	char fd[16];

	shared_and_alone(fd);
	ok(rival_run(g_a, do_write, fd, "ab", when, "OFD_LOCAL"), "one takes the offset back");
	ok(rival_run(g_b, do_write, fd, "cd", RACE_AT, "busy"), "another one waits");
	is(rival_end(g_a), 2, "the first has written");
	is(rival_end(g_b), 2, "then the second");
	ok(file_is(g_p[0], g_f, "01abcd6789"), "behind it");
	offset_is(g_own, atoi(fd), 6);
	is(CALL(g_own, close, atoi(fd)), 0, "close");
	clear();
}

/* The other way round: it is used at the server, and nobody takes it back before that has ended. */
static void used_while_back(u32 when)
{
	char fd[16];

	opened(fd);
	is(rival_do(g_b, do_share, fd, NULL), 0, "it becomes shared");
	image_of(atoi(fd));
	is(CALL(g_p[2], close, arrive()), 0, "core 2 closes it");
	ok(rival_run(g_a, do_write, fd, "ab", when, "WRITE"), "one writes at the server's offset");
	ok(rival_run(g_b, do_write, fd, "cd", RACE_AT, "busy"), "another one waits");
	is(rival_end(g_a), 2, "the first hears that it is alone");
	is(rival_end(g_b), 2, "the second takes the offset back");
	is(CALL(g_own, write, atoi(fd), "ef", 2), 2, "and the third has it here");
	ok(file_is(g_p[0], g_f, "abcdef6789"), "all in turn");
	is(CALL(g_own, close, atoi(fd)), 0, "close");
	clear();
}

/* Killed while it is taken back: with its process the description goes. */
static long do_back(struct person *p, const char *x, const char *y)
{
	char fd[16];
	long r;

	sprintf(fd, "%ld", CALL(p, open, x, O_RDWR, 0));
	r = do_share(p, fd, y);
	if (r)
		return r;
	image_of_person(p, atoi(fd));
	rival_here("shared");
	if (CALL(p, write, atoi(fd), "01", 2) != 2)
		return -EIO;
	return CALL(p, write, atoi(fd), "23", 2);
}

static void killed_on_its_way_back(u32 when, const char *at)
{
	struct rival *r = rival_new(&g, 1);

	is(file_put(g_p[0], g_f, "0123456789"), 10, "a file");
	ok(rival_run(r, do_back, g_f, NULL, RACE_AT, "shared"), "it is shared");
	is(CALL(g_p[2], close, arrive()), 0, "core 2 closes it");
	ok(rival_on(r, when, at), "core 1 takes it back: %s", at);
	rival_kill(r);
	rival_bury(r, g_p[1]);
	clear();
}

/* --- close and death ------------------------------------------------------------------------------------ */

/* The image that the exec would make, from what the sharing rival's description says. */
static long do_share_and_tell(struct person *p, const char *x, const char *y)
{
	bool host = false;
	struct ofd *o = fd_get(&p->t, atoi(x), &host);
	struct image_fd *im = (struct image_fd *)y;
	long r;

	if (!o)
		return -EBADF;
	rival_here("sharing");
	r = ofd_share(&p->t, o, 1, NULL);
	ofd_image(o, im);
	im->shared = o->shared;
	ofd_put(&p->t, o);
	return r;
}

static void closed_meanwhile(u32 when, const char *at)
{
	struct image_fd *im = world_shared(sizeof(*im));
	char fd[16], buf[16] = "";
	long fd2;

	opened(fd);
	is(CALL(g_own, lseek, atoi(fd), 4, SEEK_SET), 4, "lseek");
	ok(rival_run(g_a, do_share_and_tell, fd, (char *)im, when, at), "it is being shared");
	is(rival_do(g_b, do_close_fd, fd, NULL), 0, "another thread closes it");
	is(CALL(g_own, write, atoi(fd), "x", 1), CLIENT_HOST, "it is none of Hare's any more");
	is(rival_end(g_a), 0, "the sharing ends");
	is(do_unlink(g_p[0], g_f, NULL), 0, "unlink");
	is(inodes(), 1, "the other core's reference holds the file");
	*g_image = *im;
	fd2 = arrive();
	is(CALL(g_p[2], read, fd2, buf, 6), 6, "which it can read");
	ok(!memcmp(buf, "456789", 6), "from the offset on");
	is(CALL(g_p[2], close, fd2), 0, "until it closes it");
	clear();
}

static u64 heap_used(void)
{
	struct ctx *c = &g.w.ctx[0];
	struct fs_stats s;

	quiet(&g, g_p);
	ck_lock(c, c->ck);
	fs_stats(c->ck, &s);
	ck_unlock(c->ck);
	return s.heap_used;
}

/* Twice: whatever the server keeps of the first it would keep of the second. */
static void killed_while_sharing(u32 when, const char *at)
{
	u64 used = 0;

	is(file_put(g_p[0], g_f, "0123456789"), 10, "a file");
	for (u32 i = 0; i < 2; i++) {
		struct rival *r = rival_new(&g, 1);

		ok(rival_run(r, do_open_and_share, g_f, NULL, when, at), "it is being shared");
		rival_kill(r);
		rival_bury(r, g_p[1]);
		if (!i)
			used = heap_used();
	}
	is(heap_used(), used, "the server keeps nothing of it");
	clear();
}

/* --- locks ------------------------------------------------------------------------------------------------ */

static void locked_meanwhile(u32 when)
{
	long fd0, fd2;
	char fd[16];

	opened(fd);
	fd0 = CALL(g_p[0], open, g_f, O_RDWR, 0);
	ok(rival_run(g_a, do_flock, fd, NULL, when, "LOCK"), "a lock is taken");
	is(rival_do(g_b, do_share, fd, NULL), 0, "the description becomes shared");
	is(rival_end(g_a), 0, "who has the lock hears of it");
	image_of(atoi(fd));
	fd2 = arrive();
	is(CALL(g_p[0], flock, fd0, 2 | 4), -EWOULDBLOCK, "core 0 cannot lock the file");
	is(CALL(g_p[2], flock, fd2, 8), 0, "core 2 gives the lock back, which is its too");
	is(CALL(g_p[0], flock, fd0, 2 | 4), 0, "core 0 can");
	is(CALL(g_p[2], close, fd2) | CALL(g_own, close, atoi(fd)) | CALL(g_p[0], close, fd0), 0,
	   "close");
	clear();
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	g_own = town_person(&g, 1, 0);
	g_a = thread_of(g_own);
	g_b = thread_of(g_own);
	shared_before_use();
	if (wc->islands != 1)
		shared_while_used();
	back_while_used(RACE_ASK);
	back_while_used(RACE_ANSWERED);
	used_while_back(RACE_ASK);
	used_while_back(RACE_ANSWERED);
	killed_on_its_way_back(RACE_ASK, "OFD_LOCAL");
	killed_on_its_way_back(RACE_ANSWERED, "OFD_LOCAL");
	closed_meanwhile(RACE_AT, "sharing");
	closed_meanwhile(RACE_ASK, "DUP");
	closed_meanwhile(RACE_ANSWERED, "DUP");
	killed_while_sharing(RACE_AT, "sharing");
	killed_while_sharing(RACE_ASK, "DUP");
	/* Of a near server the reference is noted with the DUP, by exec in its own record. */
	if (wc->islands != 1) {
		killed_while_sharing(RACE_SENT, "DUP");
		killed_while_sharing(RACE_ANSWERED, "DUP");
	}
	locked_meanwhile(RACE_ASK);
	locked_meanwhile(RACE_ANSWERED);
	town_end(&g);
}

int main(void)
{
	g_image = world_shared(sizeof(*g_image));
	return race_main(run, IN_ISLANDS | IN_ONE | IN_EMULATED);
}
