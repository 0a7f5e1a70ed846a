/* SPDX-License-Identifier: MIT */
/* Commands that programs of separate kernels ask the console to run, see relay.c. */
#ifndef HARE_CLI_RELAY_H
#define HARE_CLI_RELAY_H

#include <stdbool.h>
#include <stdio.h>

#include "base/types.h"

/* Is this a program of an instance with separate kernels? */
bool relay_needed(void);
/* Runs the command outside, as if it were here: its exit status. */
int relay_command(int argc, char **argv);
/* The same in pieces: a connection (negative after a line on stderr); waiting until the command has
 * begun, which it says by a newline; and all else that it prints, until it ends. */
int relay_begin(int argc, char **argv);
void relay_begun(int conn, FILE *out);
int relay_end(int conn, FILE *out, FILE *err);

/* The console: runs a command for who is connected, in a process of its own. text: arguments, each
 * with its NUL, of len bytes. */
void relay_serve(int conn, u64 boot_id, char *text, size_t len);

#endif
