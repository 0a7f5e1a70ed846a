/* SPDX-License-Identifier: MIT */
/* Both ends of the control socket, see control.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/relay.h"
#include "client/client.h"

#define FDS_MAX	 (1 + MAX_CORES)
#define EXIT_OWN 125

enum { OP_FDS = 1, OP_HALT, OP_COMMAND };

struct request {
	u32 op;
	char text[CONTROL_COMMAND_MAX]; /* COMMAND */
};

static u64 g_use;

static socklen_t address(struct sockaddr_un *a, const char *id)
{
	int n;

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	n = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "hare/%u/%s", getuid(),
		     id);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

bool control_inside(u64 *boot_id)
{
	struct hare_info info;

	if (syscall(HARE_CALL, HARE_INFO, &info))
		return false;
	*boot_id = info.boot_id;
	return true;
}

static bool same_user(int sock)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	return peer.uid == geteuid() || !peer.uid || !geteuid();
}

/* --- clients -------------------------------------------------------------------------------- */

static int connect_to(const char *id)
{
	struct sockaddr_un a;
	socklen_t len = address(&a, id);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return -1;
	if (!connect(sock, (struct sockaddr *)&a, len) && same_user(sock))
		return sock;
	close(sock);
	return -1;
}

/* The ids (not names) of this user's instances: at most max; how many there are. */
static int list_instances(char (*ids)[17], int max)
{
	char want[32], line[512];
	FILE *f = fopen("/proc/net/unix", "re");
	int n = 0;

	if (!f)
		return 0;
	snprintf(want, sizeof(want), "@hare/%u/", getuid());
	while (fgets(line, sizeof(line), f)) {
		char *at = strstr(line, want), *id;
		int i;

		if (!at)
			continue;
		id = at + strlen(want);
		id[strcspn(id, "\n")] = 0;
		if (strlen(id) != 16 || strspn(id, "0123456789abcdef") != 16)
			continue;
		for (i = 0; i < n && strcmp(ids[i], id); i++)
			;
		if (i == n && n < max)
			strcpy(ids[n++], id);
	}
	fclose(f);
	return n;
}

static int complain(const char *what, const char *subject, const char *todo)
{
	if (subject)
		fprintf(stderr, "hare: %s '%s': %s\n", what, subject, todo);
	else
		fprintf(stderr, "hare: %s: %s\n", what, todo);
	return EXIT_OWN;
}

void control_use(u64 boot_id)
{
	g_use = boot_id;
}

static int find(const char *name, int *sock)
{
	char ids[8][17], id[17];
	u64 boot_id;
	int n;

	if (name) {
		*sock = connect_to(name);
		return *sock >= 0 ? 0
				  : complain("no instance", name,
					     "start one with 'hare boot --name NAME'");
	}
	if (control_inside(&boot_id) || (boot_id = g_use)) {
		snprintf(id, sizeof(id), "%016lx", (unsigned long)boot_id);
		*sock = connect_to(id);
		return *sock >= 0 ? 0
				  : complain("this instance does not answer", NULL,
					     "is it ending?");
	}
	*sock = connect_to(CONTROL_DEFAULT);
	if (*sock >= 0)
		return 0;
	n = list_instances(ids, 8);
	if (n > 1)
		return complain("several instances run", NULL,
				"say which with --name NAME");
	*sock = n == 1 ? connect_to(ids[0]) : -1;
	return *sock >= 0
		       ? 0
		       : complain("no instance runs", NULL, "start one with 'hare boot'");
}

static bool receive_fds(struct control *c)
{
	char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct iovec iov = { &c->info, sizeof(c->info) };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room),
	};
	struct cmsghdr *h;
	int fd[FDS_MAX];
	size_t n, i;

	if (recvmsg(c->sock, &m, MSG_CMSG_CLOEXEC) != sizeof(c->info))
		return false;
	h = CMSG_FIRSTHDR(&m);
	if (!h || h->cmsg_type != SCM_RIGHTS || c->info.islands > MAX_CORES)
		return false;
	n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fd, CMSG_DATA(h), n * sizeof(int));
	for (i = 0; i < MAX_CORES; i++) {
		c->fds[i].dram = fd[0];
		c->fds[i].copy = i + 1 < n ? fd[i + 1] : -1;
	}
	return true;
}

int control_command(const char *text, size_t len)
{
	struct request q = { .op = OP_COMMAND };
	int sock;

	if (find(NULL, &sock))
		return -1;
	memcpy(q.text, text, len);
	len += offsetof(struct request, text);
	if (send(sock, &q, len, MSG_NOSIGNAL) == (ssize_t)len)
		return sock;
	close(sock);
	complain("the instance does not answer", NULL, "is it ending?");
	return -1;
}

int control_open(const char *name, struct control *c)
{
	u32 op = OP_FDS;
	int r = find(name, &c->sock);

	if (r)
		return r;
	if (write(c->sock, &op, sizeof(op)) == sizeof(op) && receive_fds(c))
		return 0;
	close(c->sock);
	return complain("the instance does not answer as expected", NULL,
			"is it ending?");
}

void control_close(struct control *c)
{
	u32 i;

	close(c->fds[0].dram);
	for (i = 0; i < c->info.islands; i++)
		if (c->fds[i].copy >= 0)
			close(c->fds[i].copy);
	close(c->sock);
}

int control_halt(struct control *c)
{
	u32 op = OP_HALT;
	char end;

	if (write(c->sock, &op, sizeof(op)) != sizeof(op))
		return complain("the instance does not answer", NULL, "is it ending?");
	while (read(c->sock, &end, 1) > 0)
		;
	return 0;
}

/* --- the instance ------------------------------------------------------------------------------- */

static int listen_as(const char *id)
{
	struct sockaddr_un a;
	socklen_t len = address(&a, id);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (sock < 0)
		return -errno;
	if (!bind(sock, (struct sockaddr *)&a, len) && !listen(sock, 16))
		return sock;
	len = (socklen_t)errno;
	close(sock);
	return -(int)len;
}

int control_listen(u64 boot_id, const char *name, int *by_name)
{
	char id[17];

	snprintf(id, sizeof(id), "%016lx", (unsigned long)boot_id);
	*by_name = -1;
	if (name) {
		*by_name = listen_as(name);
		if (*by_name < 0)
			return *by_name;
	}
	return listen_as(id);
}

static void send_fds(int conn, const struct control_info *info, const struct mem_fds *fds)
{
	char room[CMSG_SPACE(FDS_MAX * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)info, sizeof(*info) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room };
	int fd[FDS_MAX];
	struct cmsghdr *h;
	u32 n = 0, i;

	fd[n++] = fds[0].dram;
	for (i = 0; i < info->islands && fds[i].copy >= 0; i++)
		fd[n++] = fds[i].copy;
	m.msg_controllen = CMSG_SPACE(n * sizeof(int));
	h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(h), fd, n * sizeof(int));
	if (sendmsg(conn, &m, MSG_NOSIGNAL) < 0)
		return;
}

int control_serve(int conn, const struct control_info *info, const struct mem_fds *fds,
		  bool inside)
{
	struct request q = { 0 };
	ssize_t n = recv(conn, &q, sizeof(q) - 1, MSG_DONTWAIT);
	const ssize_t head = offsetof(struct request, text);

	if (n < 0 && errno == EAGAIN)
		return CONTROL_NONE;
	if (n < (ssize_t)sizeof(q.op) || !same_user(conn))
		return -1;
	if (inside) {
		if (q.op == OP_COMMAND && n > head)
			relay_serve(conn, info->boot_id, q.text, (size_t)(n - head));
		return CONTROL_SERVED;
	}
	if (q.op == OP_HALT)
		return CONTROL_HALT;
	if (q.op == OP_FDS)
		send_fds(conn, info, fds);
	return CONTROL_NONE;
}
