/* SPDX-License-Identifier: MIT */
/* The options of `hare run` and `hare boot`, see base/settings.def. */
#ifndef HARE_CLI_SETTINGS_H
#define HARE_CLI_SETTINGS_H

#include <stdio.h>

#include "base/types.h"

#define SETTINGS_LIST_MAX 64

struct setting_list {
	u32 count;
	const char *item[SETTINGS_LIST_MAX];
};

#define TYPE_COUNT     u32
#define TYPE_SIZE      u64
#define TYPE_SEED      u64
#define TYPE_TEXT      const char *
#define TYPE_LIST      struct setting_list
#define TYPE_MODEL     u32
#define TYPE_PLACEMENT u32
#define TYPE_WITHOUT   u32
#define TYPE_KERNELS   u32
struct settings {
#define SETTING(field, name, type, arg, dflt, help) TYPE_##type field;
#include "base/settings.def"
#undef SETTING
};

/* Defaults that need no look at the machine; 0 and NULL: to be found out at boot. */
void settings_init(struct settings *s);
/* Takes argv[*i] (and its value: "--name VALUE" or "--name=VALUE"; *i moves). 1: taken; 0: not an
 * option of ours; -1: taken and wrong: said so on stderr, exit status 2. */
int settings_parse(struct settings *s, int argc, char **argv, int *i);
/* For help: a line or more per option. */
void settings_print(FILE *f);

#endif
