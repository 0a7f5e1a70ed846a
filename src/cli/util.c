/* SPDX-License-Identifier: MIT */
/* Command lines: what the commands share. See view.h. */
#include <stdio.h>
#include <string.h>

#include "cli/view.h"

const char *opt_value(int argc, char **argv, int *i, const char *opt)
{
	size_t len = strlen(opt);

	if (strncmp(argv[*i], opt, len))
		return NULL;
	if (argv[*i][len] == '=')
		return argv[*i] + len + 1;
	if (argv[*i][len])
		return NULL;
	return ++*i < argc ? argv[*i] : "";
}

int usage(const char *cmd, const char *what, const char *subject)
{
	if (subject)
		fprintf(stderr, "hare: %s '%s': see 'hare help %s'\n", what, subject,
			cmd);
	else
		fprintf(stderr, "hare: %s: see 'hare help %s'\n", what, cmd);
	return 2;
}

int usage_option(const char *cmd, const char *arg)
{
	return usage(cmd, arg[0] == '-' ? "unknown option" : "unexpected argument", arg);
}
