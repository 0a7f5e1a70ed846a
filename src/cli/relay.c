/* SPDX-License-Identifier: MIT */
/*
 * Hare commands inside an instance of separate kernels. They look at all core kernels, which no
 * program there can: so the console runs them, outside, and sends what they print.
 *
 *   command inside                      console's process for it
 *   COMMAND, the arguments        ->    runs the command, its output in pipes
 *   prints                        <-    1 or 2 (stdout, stderr), some bytes     again and again
 *   ends with that status         <-    0, the status
 *
 * Who asked ends its side of the connection to interrupt the command (a trace ends and sums up); a
 * connection that is gone kills it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/boot.h"
#include "cli/cmd.h"
#include "cli/relay.h"
#include "cli/view.h"

#define ARGS_MAX 64
#define PIECE	 16384

struct piece {
	u8 kind; /* 1, 2: output; 0: the end */
	u8 status;
	char data[PIECE];
};
#define PIECE_HEAD offsetof(struct piece, data)

/* --- inside ----------------------------------------------------------------------------------- */

bool relay_needed(void)
{
	struct hare_info info;

	return !syscall(HARE_CALL, HARE_INFO, &info) && info.separate;
}

int relay_begin(int argc, char **argv)
{
	char text[CONTROL_COMMAND_MAX];
	size_t len = 0;
	int i;

	for (i = 0; i < argc; i++) {
		size_t n = strlen(argv[i]) + 1;

		if (n > sizeof(text) - len || i == ARGS_MAX)
			break;
		memcpy(text + len, argv[i], n);
		len += n;
	}
	if (i == argc)
		return control_command(text, len);
	usage(argv[0], "these are too many arguments", NULL);
	return -1;
}

int relay_end(int conn, FILE *out, FILE *err)
{
	struct piece p;
	ssize_t n;

	while ((n = recv(conn, &p, sizeof(p), 0)) >= (ssize_t)PIECE_HEAD) {
		FILE *f = p.kind == 1 ? out : err;

		if (!p.kind)
			return p.status;
		if (fwrite(p.data, 1, (size_t)n - PIECE_HEAD, f) !=
			    (size_t)n - PIECE_HEAD ||
		    fflush(f))
			return EXIT_OWN;
	}
	fprintf(stderr, "hare: the instance did not answer to the end: is it ending?\n");
	return EXIT_OWN;
}

void relay_begun(int conn, FILE *out)
{
	struct piece p;
	ssize_t n = recv(conn, &p, sizeof(p), 0);

	if (n > (ssize_t)PIECE_HEAD + 1)
		fwrite(p.data + 1, 1, (size_t)n - PIECE_HEAD - 1, out);
}

int relay_command(int argc, char **argv)
{
	int conn = relay_begin(argc, argv), r;

	if (conn < 0)
		return EXIT_OWN;
	r = relay_end(conn, stdout, stderr);
	close(conn);
	return r;
}

/* --- the console ------------------------------------------------------------------------------ */

static _Noreturn void run_command(u64 boot_id, char *text, size_t len, int out[2],
				  int err[2])
{
	char *argv[ARGS_MAX + 1], *p;
	sigset_t none;
	int argc = 0;

	for (p = text; p < text + len && argc < ARGS_MAX; p += strlen(p) + 1)
		argv[argc++] = p;
	argv[argc] = NULL;
	dup2(out[1], 1);
	dup2(err[1], 2);
	close_range(3, ~0U, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	control_use(boot_id);
	if (!argc || !command_looks(argv[0])) {
		fprintf(stderr, "hare: not a command for the console\n");
		_exit(EXIT_USAGE);
	}
	argc = command_run(argc, argv);
	fflush(NULL);
	_exit(argc);
}

/* What is there of one stream; false: no more will come. */
static bool pump(int conn, int from, u8 kind)
{
	struct piece p = { .kind = kind };
	ssize_t n = read(from, p.data, sizeof(p.data));

	return n > 0 && send(conn, &p, PIECE_HEAD + (size_t)n, MSG_NOSIGNAL) > 0;
}

/* Copies what the command prints; -1 when the asker is gone. */
static int copy_output(int conn, int out, int err, pid_t pid)
{
	struct pollfd p[3] = { { out, POLLIN, 0 },
			       { err, POLLIN, 0 },
			       { conn, POLLIN | POLLRDHUP, 0 } };

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		if (poll(p, 3, -1) < 0)
			continue;
		for (int i = 0; i < 2; i++) {
			if (p[i].revents && !pump(conn, p[i].fd, (u8)(i + 1)))
				p[i].fd = -1;
		}
		if (p[2].revents & (POLLHUP | POLLERR))
			return -1;
		if (p[2].revents) {
			kill(pid, SIGINT);
			p[2].events = 0;
		}
	}
	return 0;
}

void relay_serve(int conn, u64 boot_id, char *text, size_t len)
{
	struct piece end = { 0 };
	int out[2], err[2], status;
	pid_t pid = fork();

	if (pid)
		return; /* the caller closes its copy of conn */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(conn, 3) < 0 || close_range(4, ~0U, 0) || pipe(out) || pipe(err))
		_exit(EXIT_OWN);
	pid = fork();
	if (!pid)
		run_command(boot_id, text, len, out, err);
	close(out[1]);
	close(err[1]);
	if (pid < 0)
		_exit(EXIT_OWN);
	if (copy_output(3, out[0], err[0], pid))
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	end.status = (u8)boot_exit_status(status);
	send(3, &end, PIECE_HEAD, MSG_NOSIGNAL);
	_exit(0);
}
