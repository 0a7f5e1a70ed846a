/* SPDX-License-Identifier: MIT */
/* `--import SRC[:DST]` and `--export SRC:DST`: trees into Hare and out of it. See transfer.c. */
#ifndef HARE_CLI_TRANSFER_H
#define HARE_CLI_TRANSFER_H

struct task;

/* From the host's `src` to Hare's `dst` and back; t is a task of this process in the instance.
 * In Hare a path counts from its root, or is absolute below --at; dst NULL or "" is the root.
 * A directory's content becomes dst's content; a file becomes dst, or goes into the directory
 * dst. Missing directories above dst are made. What cannot be copied is said on stderr, a line
 * each, and the rest goes on. 0: all was copied; 1: not all. */
int transfer_import(struct task *t, const char *src, const char *dst);
int transfer_export(struct task *t, const char *src, const char *dst);

#endif
