/* SPDX-License-Identifier: MIT */
/*
 * How hare commands find a running instance and get at its memory. The process that booted it
 * listens on an abstract socket, "hare/UID/ID", where ID is the boot id in hexadecimal, and the
 * name too if it has one: nothing is left behind in any file system, however it ends. Only the
 * same user (and uid 0) is answered.
 */
#ifndef HARE_CLI_CONTROL_H
#define HARE_CLI_CONTROL_H

#include "mem/mem.h"

struct control_info {
	u64 boot_id;
	u32 cores, islands;
	s32 pid; /* of the process that booted it */
	u32 split; /* the first of the cores that run programs */
	u32 separate, inside; /* the latter: the client is a program of it */
	s32 keeper[MAX_CORES]; /* separate: by island, as the console knows them */
	char name[64]; /* empty: it has none (hare run) */
};

/* What a client gets: descriptors of its own, close-on-exec. */
struct control {
	int sock; /* to the instance; the end of file tells its end */
	struct control_info info;
	struct mem_fds fds[MAX_CORES]; /* by island; copy is -1 unless emulated */
};

#define CONTROL_DEFAULT "default" /* the name that `hare boot` gives */

/* name NULL: the instance that we run in, else the default one, else the only one of this user. 0, or an exit status
 * (125) after a line on stderr that says what is wrong. */
int control_open(const char *name, struct control *c);
void control_close(struct control *c);
/* Ends the instance; returns when it is gone. */
int control_halt(struct control *c);
/* In a program of separate kernels: a connection over which the console answers a command, its arguments
 * each with a NUL, of at most CONTROL_COMMAND_MAX bytes. -1 after a line on stderr. */
#define CONTROL_COMMAND_MAX 8192
int control_command(const char *text, size_t len);
/* From now on this process means that instance when it names none. */
void control_use(u64 boot_id);
/* True when this command is a program of an instance: *boot_id is filled. */
bool control_inside(u64 *boot_id);

/* The other end. Listens by boot id and, if not NULL, by name. A socket, or -errno (-EADDRINUSE:
 * the name is taken). */
int control_listen(u64 boot_id, const char *name, int *by_name);
/* One request on a connection. CONTROL_HALT is the caller's to do; the connection stays open
 * until then. -1, CONTROL_SERVED: it is to be closed. inside: from a program of separate kernels. */
enum { CONTROL_NONE, CONTROL_HALT, CONTROL_SERVED };
int control_serve(int conn, const struct control_info *info, const struct mem_fds *fds,
		  bool inside);

#endif
