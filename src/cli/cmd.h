/* SPDX-License-Identifier: MIT */
/* The commands of `hare`: each gets its own name as argv[0] and returns the exit status. */
#ifndef HARE_CLI_CMD_H
#define HARE_CLI_CMD_H

#include <stdbool.h>

/* Runs the command argv[0]; its exit status. */
int command_run(int argc, char **argv);
/* Is it one that looks at all core kernels? */
bool command_looks(const char *name);

int cmd_run(int argc, char **argv);
int cmd_boot(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_halt(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_fsck(int argc, char **argv);
int cmd_mkdir(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
