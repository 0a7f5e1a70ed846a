/* SPDX-License-Identifier: MIT */
/* The `hare` command: finds the subcommand. */
#include <stdio.h>
#include <string.h>

#include "cli/boot.h"
#include "cli/cmd.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} g_commands[] = {
	{ "run", cmd_run },	    { "boot", cmd_boot },
	{ "exec", cmd_exec },	    { "halt", cmd_halt },
	{ "ps", cmd_ps },	    { "stat", cmd_stat },
	{ "trace", cmd_trace },	    { "fsck", cmd_fsck },
	{ "mkdir", cmd_mkdir },	    { "help", cmd_help },
	{ "--help", cmd_help },	    { "-h", cmd_help },
	{ "version", cmd_version }, { "--version", cmd_version },
};

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "hare: no command given: try 'hare run -- PROGRAM' or "
				"'hare help'\n");
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(g_commands); i++)
		if (!strcmp(argv[1], g_commands[i].name))
			return argc > 2 && !strcmp(argv[2], "--help")
				       ? cmd_help(2, argv)
				       : g_commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "hare: unknown command '%s': see 'hare help'\n", argv[1]);
	return EXIT_USAGE;
}
