/* SPDX-License-Identifier: MIT */
/*
 * Trees into Hare and out of it: what `--import` and `--export` say, turned into two sides and
 * two paths for copy.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/sys.h"
#include "cli/copy.h"
#include "cli/transfer.h"

/* A path in Hare as a person gives it: from Hare's root, or absolute with the place where Hare
 * appears before it. False when it is too long. */
static bool hare_path(struct task *t, const char *given, char *out, size_t size)
{
	const struct super *s = t->ctx.isl->super;

	if (!given)
		given = "";
	if (!strncmp(given, s->at, s->at_len) &&
	    (!given[s->at_len] || given[s->at_len] == '/'))
		given += s->at_len;
	while (*given == '/')
		given++;
	return (size_t)snprintf(out, size, "%.*s/%s", (int)s->at_len, s->at, given) <
	       size;
}

static bool host_path(const char *given, char *out, size_t size)
{
	return (size_t)snprintf(out, size, "%s", given) < size;
}

static bool is_dir(struct side *s, const char *path)
{
	struct stat st;

	return SIDE(s, newfstatat, AT_FDCWD, path, &st, 0) >= 0 && S_ISDIR(st.st_mode);
}

/* The directories above the last name of path. Errors show when the last one is made. */
static void make_parents(struct side *s, char *path)
{
	char *p;

	for (p = strchr(path + 1, '/'); p && p[1]; p = strchr(p + 1, '/')) {
		*p = 0;
		SIDE(s, mkdirat, AT_FDCWD, path, 0777);
		*p = '/';
	}
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void drop_slashes(char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		path[--len] = 0;
}

static void report(const struct copy *c, const char *to)
{
	u64 done = c->files + c->dirs + c->others;

	if (c->no_xattr)
		fprintf(stderr,
			"hare: %sed without attributes user.*: %llu files; '%s' cannot "
			"hold them\n",
			c->verb, (unsigned long long)c->no_xattr, to);
	if (c->errors)
		fprintf(stderr, "hare: %s of '%s': %llu copied, %llu not%s\n", c->verb,
			c->from_name, (unsigned long long)done,
			(unsigned long long)c->errors,
			c->stopped ? ", the rest not tried" : "");
}

static long resolve(struct side *from, struct side *to, char *src, char *dst, size_t size)
{
	const char *name;
	struct stat st;
	bool into = dst[strlen(dst) - 1] == '/';
	long r = SIDE(from, newfstatat, AT_FDCWD, src, &st, 0);

	if (r == -ENOENT || r == -ELOOP) /* a symlink that leads nowhere is copied, too */
		r = SIDE(from, newfstatat, AT_FDCWD, src, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return r;
	drop_slashes(src);
	name = last_name(src);
	if (S_ISDIR(st.st_mode)) { /* through a symlink, if it is one: it was named */
		if (strlen(src) + 3 > size)
			return -ENAMETOOLONG;
		strcat(src, "/.");
	} else if (into || is_dir(to, dst)) {
		drop_slashes(dst);
		if (strlen(dst) + strlen(name) + 2 > size)
			return -ENAMETOOLONG;
		strcat(strcat(dst, "/"), name);
	}
	drop_slashes(dst);
	make_parents(to, dst);
	return 0;
}

static int transfer(struct copy *c, char *src, char *dst, size_t size)
{
	long r = resolve(c->from, c->to, src, dst, size);

	if (r < 0) {
		fprintf(stderr, "hare: cannot %s '%s': %s\n", c->verb, c->from_name,
			strerror((int)-r));
		return 1;
	}
	copy_tree(c, AT_FDCWD, src, AT_FDCWD, dst);
	report(c, dst);
	return c->errors != 0;
}

static int too_long(const char *verb, const char *path)
{
	fprintf(stderr, "hare: cannot %s '%.60s...': %s\n", verb, path,
		strerror(ENAMETOOLONG));
	return 1;
}

static const char *shown_name(const char *given)
{
	return given && *given ? given : "/";
}

int transfer_import(struct task *t, const char *src, const char *dst)
{
	char from[PATH_LEN_MAX], to[PATH_LEN_MAX];
	struct side host, hare;
	struct copy c = { .from = &host,
			  .to = &hare,
			  .verb = "import",
			  .from_name = src,
			  .no_space = "; give Hare more memory with --memory" };
	int r;

	side_host(&host);
	side_hare(&hare, t);
	if (!*src) {
		fputs("hare: cannot import '': name a file or directory\n", stderr);
		return 1;
	}
	if (!host_path(src, from, sizeof(from)) || !hare_path(t, dst, to, sizeof(to)))
		return too_long("import", src);
	t->spread = 1;
	r = transfer(&c, from, to, sizeof(from));
	t->spread = 0;
	return r;
}

int transfer_export(struct task *t, const char *src, const char *dst)
{
	char from[PATH_LEN_MAX], to[PATH_LEN_MAX];
	struct side host, hare;
	struct copy c = { .from = &hare,
			  .to = &host,
			  .verb = "export",
			  .from_name = shown_name(src),
			  .no_space = "" };

	side_host(&host);
	side_hare(&hare, t);
	if (!dst || !*dst) {
		fprintf(stderr, "hare: cannot export '%s': say where to, SRC:DST\n",
			c.from_name);
		return 1;
	}
	if (!hare_path(t, src, from, sizeof(from)) || !host_path(dst, to, sizeof(to)))
		return too_long("export", dst);
	return transfer(&c, from, to, sizeof(from));
}
