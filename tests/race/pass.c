/* SPDX-License-Identifier: MIT */
/*
 * Descriptors on their way through a socket (pass.c), received while the sender's core looks whether that
 * is still possible, and with the sender or the receiver killed.
 */
#include <sys/socket.h>

#include "race/race.h"

static struct town g;
static struct person *g_p[MAX_CORES], *g_own; /* g_own: the sender, of core 1; the file is at server 0 */
static const char g_f[] = "/hare/f";

/* The host's numbers of the two ends, out of the way of those that Hare gives. */
enum { FROM = 900, TO = 901 };

static void pair(void)
{
	int s[2];

	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, s) && dup2(s[0], FROM) == FROM &&
		     dup2(s[1], TO) == TO,
	     "socketpair");
	close(s[0]);
	close(s[1]);
}

static void unpair(void)
{
	close(FROM);
	close(TO);
}

static u64 inodes(void)
{
	return stats_of(&g, g_p).inodes;
}

static void opened(char *fd)
{
	pair();
	is(file_put(g_p[0], g_f, "0123456789"), 10, "a file");
	sprintf(fd, "%ld", CALL(g_own, open, g_f, O_RDWR, 0));
}

/* What the agent of core 1 does several times a second. */
static bool in_flight(void)
{
	return client_passing(&g_p[1]->t) >= 0;
}

struct message {
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov;
	struct msghdr m;
};

static struct msghdr *message(struct message *x)
{
	memset(x, 0, sizeof(*x));
	x->iov = (struct iovec){ &x->byte, 1 };
	x->m = (struct msghdr){ .msg_iov = &x->iov,
				.msg_iovlen = 1,
				.msg_control = x->control,
				.msg_controllen = sizeof(x->control) };
	return &x->m;
}

static long send_away(struct person *p, int fd)
{
	struct message x;
	struct cmsghdr *c = CMSG_FIRSTHDR(message(&x));

	*c = (struct cmsghdr){ CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return CALL(p, sendmsg, FROM, &x.m, 0);
}

static long do_send(struct person *p, const char *x, const char *y)
{
	(void)y;
	return send_away(p, (int)CALL(p, open, x, O_RDWR, 0));
}

/* Receives it and reads what is there. */
static long do_receive(struct person *p, const char *x, const char *y)
{
	char buf[16] = "";
	struct message in;
	struct cmsghdr *c;
	long r = CALL(p, recvmsg, TO, message(&in), 0);
	int fd;

	(void)y;
	c = CMSG_FIRSTHDR(&in.m);
	if (r != 1 || !c || c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return r < 0 ? r : -EBADF;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (CALL(p, read, fd, buf, 4) != 4 || memcmp(buf, x, 4))
		return -EILSEQ;
	return CALL(p, close, fd);
}

static void clear(void)
{
	unpair();
	do_unlink(g_p[0], g_f, NULL);
	is(inodes(), 0, "nobody has the file open any more");
	is(town_check(&g, NULL), 0, "no invariant is violated");
}

/* The receiver has the token, or its reference, when the sender's core looks. */
static void looked_at(u32 core, u32 when, const char *at)
{
	struct rival *r = rival_new(&g, core);
	char fd[16];

	opened(fd);
	is(send_away(g_own, atoi(fd)), 1, "sent");
	is(CALL(g_own, close, atoi(fd)), 0, "and closed");
	ok(rival_run(r, do_receive, "0123", NULL, when, at), "core %u receives it: %s", core, at);
	ok(in_flight(), "the sender's core looks: it is under way");
	is(rival_end(r), 0, "it is received");
	ok(!in_flight(), "and has landed");
	clear();
	rival_free(r);
}

/* Two of the sender's core find that nobody has the token. */
static long do_look(struct person *p, const char *x, const char *y)
{
	(void)x, (void)y;
	return client_passing(&p->t);
}

static void two_look(void)
{
	struct rival *r = rival_new(&g, 1);
	char fd[16], buf[8];

	opened(fd);
	is(send_away(g_own, atoi(fd)), 1, "sent");
	unpair();
	ok(rival_run(r, do_look, NULL, NULL, RACE_AT, "no token"), "one is about to drop it");
	ok(!in_flight(), "another one has done so");
	is(rival_end(r), -1, "the first finds nothing");
	is(CALL(g_own, read, atoi(fd), buf, 4), 4, "the sender still has its own");
	is(CALL(g_own, close, atoi(fd)), 0, "close");
	clear();
	rival_free(r);
}

/* The receiver is about to count its reference; the sender, who alone has the description, uses its
 * offset. */
static void stays_shared(void)
{
	struct rival *r = rival_new(&g, 2);
	char fd[16];

	opened(fd);
	is(send_away(g_own, atoi(fd)), 1, "sent");
	ok(rival_run(r, do_receive, "4567", NULL, RACE_ASK, "DUP"), "core 2 is about to have it");
	is(CALL(g_own, write, atoi(fd), "ab", 2) + CALL(g_own, write, atoi(fd), "cd", 2), 4,
	   "the sender writes at the offset, twice");
	is(rival_end(r), 0, "core 2 reads on from there");
	is(CALL(g_own, lseek, atoi(fd), 0, SEEK_CUR), 8, "and so would the sender");
	ok(!in_flight(), "it has landed");
	is(CALL(g_own, close, atoi(fd)), 0, "close");
	clear();
	rival_free(r);
}

static void killed_sending(u32 when, const char *at)
{
	struct rival *r = rival_new(&g, 1);

	pair();
	is(file_put(g_p[0], g_f, "0123456789"), 10, "a file");
	ok(rival_run(r, do_send, g_f, NULL, when, at), "it is being sent: %u %s", when, at);
	rival_kill(r);
	rival_bury(r, g_p[1]);
	ok(!in_flight(), "killed: nothing is under way");
	clear();
}

static void killed_receiving(u32 core, u32 when, const char *at)
{
	struct rival *r = rival_new(&g, core);
	char fd[16];

	opened(fd);
	is(send_away(g_own, atoi(fd)), 1, "sent");
	is(CALL(g_own, close, atoi(fd)), 0, "and closed");
	ok(rival_run(r, do_receive, "0123", NULL, when, at), "core %u receives it: %u %s", core,
	   when, at);
	rival_kill(r);
	rival_bury(r, g_p[core]);
	ok(!in_flight(), "killed: nothing is under way");
	clear();
}

static void run(const char *what, const struct world_cfg *wc)
{
	bool far = wc->islands != 1;

	town_open(&g, g_p, what, wc);
	for (u32 i = 0; i < g.w.islands; i++)
		need(readlink("/proc/self/exe", g.w.isl[i].super->loader, PATH_LEN_MAX - 1) > 0,
		     "the token's file");
	g_own = town_person(&g, 1, 0);
	looked_at(1, RACE_AT, "token");
	looked_at(1, RACE_AT, "taken");
	looked_at(2, RACE_AT, "token");
	looked_at(2, RACE_ASK, "TAKE");
	looked_at(2, RACE_ASK, "DUP");
	looked_at(2, RACE_ANSWERED, "DUP");
	looked_at(2, RACE_AT, "taken");
	two_look();
	stays_shared();
	killed_sending(RACE_ASK, "DUP");
	killed_sending(RACE_AT, "in flight");
	killed_receiving(1, RACE_AT, "token");
	killed_receiving(1, RACE_AT, "taken");
	killed_receiving(2, RACE_AT, "token");
	killed_receiving(2, RACE_ANSWERED, "TAKE");
	killed_receiving(2, RACE_ASK, "DUP");
	killed_receiving(2, RACE_AT, "taken");
	if (far) {
		killed_sending(RACE_SENT, "DUP");
		killed_sending(RACE_ANSWERED, "DUP");
		killed_receiving(2, RACE_SENT, "TAKE");
		killed_receiving(2, RACE_SENT, "DUP");
		killed_receiving(2, RACE_ANSWERED, "DUP");
	}
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_ONE | IN_EMULATED);
}
