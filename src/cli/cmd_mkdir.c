/* SPDX-License-Identifier: MIT */
/*
 * hare mkdir --distribute: directories whose entries are spread over all servers (thesis 3.4),
 * for directories that many cores change at the same time. Inside an instance only: it is a
 * program's call, under that program's rights and umask. Other mkdirs: mkdir(1) does as well.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/view.h"
#include "client/client.h"

struct mkdir_opts {
	bool distribute, parents;
	long mode; /* -1: as the umask says */
};

static int make_one(const struct mkdir_opts *o, const char *path, mode_t mode)
{
	if (!o->distribute)
		return mkdir(path, mode);
	return (int)syscall(HARE_CALL, HARE_MKDIR, path, mode);
}

static bool is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The directories above the last name, as mkdir -p makes them: u+wx, and not distributed. */
static int make_parents(char *path)
{
	mode_t mask = umask(0), now = mask & ~(mode_t)(S_IWUSR | S_IXUSR);
	int r = 0;
	char *p;

	umask(now);
	for (p = strchr(path + 1, '/'); p && !r; p = strchr(p + 1, '/')) {
		*p = 0;
		if (mkdir(path, 0777) && errno != EEXIST && !is_dir(path))
			r = -1;
		*p = '/';
	}
	umask(mask);
	return r;
}

static int make(const struct mkdir_opts *o, const char *arg)
{
	char *path = strdup(arg);
	size_t len = strlen(arg);
	int r = 0;

	if (!path)
		abort();
	while (len > 1 && path[len - 1] == '/')
		path[--len] = 0;
	if (o->parents && is_dir(path)) {
		free(path);
		return 0;
	}
	if (o->parents && *path)
		r = make_parents(path);
	if (!r)
		r = make_one(o, path, o->mode < 0 ? 0777 : (mode_t)o->mode);
	if (!r && o->mode >= 0) /* -m is not for the umask to cut */
		r = chmod(path, (mode_t)o->mode);
	if (r)
		fprintf(stderr, "hare: cannot make directory '%s': %s%s\n", arg,
			strerror(errno),
			errno == EXDEV ? " (only directories in Hare can be distributed)"
				       : "");
	free(path);
	return r != 0;
}

static bool parse_mode(const char *text, long *mode)
{
	char *end;

	*mode = strtol(text, &end, 8);
	return *text && !*end && *mode >= 0 && *mode <= 07777;
}

int cmd_mkdir(int argc, char **argv)
{
	struct mkdir_opts o = { .mode = -1 };
	struct hare_info info;
	const char *val;
	int i, status = 0;

	for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (!strcmp(argv[i], "--distribute")) {
			o.distribute = true;
		} else if (!strcmp(argv[i], "-p") || !strcmp(argv[i], "--parents")) {
			o.parents = true;
		} else if ((val = opt_value(argc, argv, &i, "-m")) ||
			   (val = opt_value(argc, argv, &i, "--mode"))) {
			if (!parse_mode(val, &o.mode))
				return usage("mkdir", "not an octal mode", val);
		} else if (!strcmp(argv[i], "--")) {
			i++;
			break;
		} else {
			return usage_option("mkdir", argv[i]);
		}
	}
	if (i == argc)
		return usage("mkdir", "missing operand after", argv[i - 1]);
	if (o.distribute && syscall(HARE_CALL, HARE_INFO, &info) < 0) {
		fputs("hare: cannot make a distributed directory from outside: use "
		      "'hare run -- hare mkdir ...' or 'hare exec -- hare mkdir ...'\n",
		      stderr);
		return 1;
	}
	for (; i < argc; i++)
		status |= make(&o, argv[i]);
	return status;
}
