/* SPDX-License-Identifier: MIT */
/*
 * hb COMMAND ...: the benchmark programs' common main. bench/README.md describes the commands.
 */
#include "hb.h"

#include <string.h>

/* Where this program runs, as its exit status: lets a parent tell local exec from remote. */
static int hb_where_status(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return hb_where() % HB_CPUS_MAX;
}

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	bool measures; /* needs a calibrated clock */
	const char *usage;
} commands[] = {
	{ "work", hb_work, false,
	  "work creates|writes|renames|directories [-p N] [--scale F] [--dir D] [--own]\n"
	  "          [--pin CPU,...]        throughput of N processes that start together" },
	{ "lat", hb_lat, true,
	  "lat [--samples N] [--ops A,B,...] [--dir D] [--pin OWN,OTHER]\n"
	  "                                 latency of one call each" },
	{ "loop", hb_loop, true, "loop OP N [--dir D]   only N calls of OP, for counting and profiles" },
	{ "line", hb_line, true, "line --pin A,B        a cache line's round trip between two CPUs" },
	{ "time", hb_time, true, "time [-n N] -- CMD    p50 of starting CMD until it has ended" },
	{ "worker", hb_worker, false, NULL },
	{ "prep", hb_prep, false, NULL },
	{ "pong", hb_pong, false, NULL },
	{ "where", hb_where_status, false, NULL },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static int usage(void)
{
	fprintf(stderr, "usage:\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (commands[i].usage)
			fprintf(stderr, "  hb %s\n", commands[i].usage);
	}
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage();
	hb_self_init(argv[0]);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (commands[i].measures)
			hb_ticks_init();
		return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "hb: no command '%s'\n", argv[1]);
	return usage();
}
