/* SPDX-License-Identifier: MIT */
/* hare help, hare version: one table of commands, and base/settings.def for those that boot. */
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/settings.h"
#include "cli/view.h"

static const struct command {
	const char *name, *args, *what;
	bool boots; /* takes the options of settings.def */
	const char *text; /* its own options and more, lines indented */
} g_commands[] = {
	{ "run", "[options] -- CMD [ARG...]",
	  "run a program on all cores: boot, run, tear down", true,
	  "Exits with CMD's status; 125: Hare failed, 126: CMD cannot be run, 127: there "
	  "is no CMD.\n" },
	{ "boot", "[--name NAME] [options]", "start an instance that stays up", true,
	  "  --name NAME\n\tname of the instance (default: default)\n" },
	{ "exec", "[--name NAME] [--chdir DIR] -- CMD [ARG...]",
	  "run a program in an instance that is up", false,
	  "Exits as 'hare run' does.\n" },
	{ "halt", "[--name NAME]", "end an instance and all its programs", false, NULL },
	{ "ps", "[-a] [--name NAME]", "processes of all cores", false,
	  "  -a, --proxies\n\talso what stays behind when a program goes to another "
	  "core\n" },
	{ "stat", "[--json] [--name NAME]", "what every core did and holds", false,
	  NULL },
	{ "trace", "[--each] [-o FILE] [--name NAME | options of run] [-- CMD [ARG...]]",
	  "every RPC and system call as it happens, or a program's summary", false,
	  "Without CMD: prints each until interrupted. With CMD: runs it, then a summary "
	  "on stderr.\n"
	  "  --each\n\twith CMD: print each one, too\n"
	  "  -o FILE\n\twrite there\n" },
	{ "fsck", "[--name NAME]", "check every invariant on all cores and between them",
	  false, "One line per violation; exit status 1 when there are any.\n" },
	{ "mkdir", "[--distribute] [-p] [-m MODE] DIR...", "make directories", false,
	  "  --distribute\n\tspread the entries over all cores: for directories that "
	  "many cores change\n"
	  "  -p\n\tparents as needed; no error when it is there\n"
	  "  -m MODE\n\tpermissions, octal\n" },
	{ "help", "[CMD]", "this, or what a command takes", false, NULL },
	{ "version", "", "the version", false, NULL },
};

static void print_list(FILE *f)
{
	size_t i;

	fputs("usage: hare COMMAND [options]\n\n"
	      "One file system and one process space over cores that share memory "
	      "without coherence.\n\n",
	      f);
	for (i = 0; i < ARRAY_SIZE(g_commands); i++)
		fprintf(f, "  %-9s %s\n", g_commands[i].name, g_commands[i].what);
	fputs("\n'hare help COMMAND' says more; for a start: hare run --cores 4 -- "
	      "bash\n",
	      f);
}

static void print_command(const struct command *c)
{
	printf("usage: hare %s%s%s\n%s\n", c->name, *c->args ? " " : "", c->args,
	       c->what);
	if (c->text)
		printf("\n%s", c->text);
	if (c->boots) {
		puts("\nOptions:");
		settings_print(stdout);
	}
}

int cmd_help(int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		print_list(stdout);
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(g_commands); i++) {
		if (strcmp(g_commands[i].name, argv[1]))
			continue;
		print_command(&g_commands[i]);
		return 0;
	}
	fprintf(stderr, "hare: no command '%s': 'hare help' lists them\n", argv[1]);
	return 2;
}

int cmd_version(int argc, char **argv)
{
	if (argc > 1)
		return usage_option("version", argv[1]);
	puts("hare " HARE_VERSION);
	return 0;
}
