/* SPDX-License-Identifier: MIT */
/* The `hare` command: finds the subcommand. */
#include <stdio.h>
#include <string.h>

#include "cli/boot.h"
#include "cli/cmd.h"
#include "cli/relay.h"

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

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(g_commands); i++)
		if (!strcmp(name, g_commands[i].name))
			return &g_commands[i];
	return NULL;
}

bool command_looks(const char *name)
{
	return !strcmp(name, "ps") || !strcmp(name, "stat") || !strcmp(name, "trace") ||
	       !strcmp(name, "fsck");
}

int command_run(int argc, char **argv)
{
	return find(argv[0])->run(argc, argv);
}

int main(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		fprintf(stderr, "hare: no command given: try 'hare run -- PROGRAM' or "
				"'hare help'\n");
		return EXIT_USAGE;
	}
	c = find(argv[1]);
	if (c && argc > 2 && !strcmp(argv[2], "--help"))
		return cmd_help(2, argv);
	if (c && command_looks(argv[1]) && c->run != cmd_trace && relay_needed())
		return relay_command(argc - 1, argv + 1);
	if (c)
		return c->run(argc - 1, argv + 1);
	fprintf(stderr, "hare: unknown command '%s': see 'hare help'\n", argv[1]);
	return EXIT_USAGE;
}
