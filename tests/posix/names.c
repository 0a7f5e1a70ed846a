/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a small tree of names, by one process and by several in turns.
 * What each gives (its errno) and what the tree then looks like is summed up in a
 * number that is part of the point's description: it must be the one that tmpfs gives.
 * With $T_TRACE set, every step and its errno is printed: the first line that differs
 * is the fault.
 */
#include "t.h"

enum { DEPTH = 3, NAMES = 4 };

static unsigned long state, sum;

static unsigned rnd(unsigned n)
{
	state = state * 6364136223846793005ul + 1442695040888963407ul;
	return (unsigned)(state >> 33) % n;
}

static void add(unsigned long x)
{
	sum = (sum ^ x) * 1099511628211ul;
}

static void add_text(const char *s)
{
	for (; *s; s++)
		add((unsigned char)*s);
}

/* A path of one to three names below "t". */
static const char *path(void)
{
	static char bufs[2][64];
	static int next;
	char *p = bufs[next++ % 2];
	unsigned n = 1 + rnd(DEPTH);

	strcpy(p, "t");
	while (n-- > 0)
		sprintf(p + strlen(p), "/%c", 'a' + rnd(NAMES));
	if (rnd(20) == 0)
		strcat(p, rnd(2) ? "/" : "/..");
	return p;
}

static int step(long i)
{
	const char *a = path(), *b = path();
	unsigned op = rnd(16);
	int fd;

	if (getenv("T_TRACE"))
		t_diag("step %ld: operation %u of %s and %s", i, op, a, b);
	switch (op) {
	case 0:
	case 1:
	case 2:
		return mkdir(a, 0755);
	case 3:
	case 4:
	case 5:
		fd = open(a, O_WRONLY | O_CREAT | (rnd(2) ? O_EXCL : 0), 0644);
		return fd < 0 ? -1 : close(fd);
	case 6:
		return rmdir(a);
	case 7:
		return unlink(a);
	case 8:
	case 9:
	case 10:
		return rename(a, b);
	case 11:
		return link(a, b);
	case 12:
		return symlink(rnd(2) ? "a/b" : "../c", b);
	case 13:
		return (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 1 + rnd(2));
	case 14:
		return chmod(a, 0700 + rnd(64));
	default:
		fd = open(a, O_RDONLY | (rnd(2) ? O_DIRECTORY : 0));
		return fd < 0 ? -1 : close(fd);
	}
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Adds all that is below a directory to the sum, in the order of names. */
static void look(const char *dir, int depth)
{
	struct dirent **list;
	int n = scandir(dir, &list, NULL, by_name);

	for (int i = 0; i < n; i++) {
		char p[PATH_MAX], target[64] = "";
		struct stat st;

		if (list[i]->d_name[0] != '.') {
			snprintf(p, sizeof(p), "%s/%s", dir, list[i]->d_name);
			must(lstat(p, &st));
			add_text(p);
			add(st.st_mode);
			add(st.st_nlink);
			if (S_ISLNK(st.st_mode) &&
			    readlink(p, target, sizeof(target) - 1) > 0)
				add_text(target);
			if (S_ISDIR(st.st_mode) && depth < 20)
				look(p, depth + 1);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

/* "steps SEED FROM TO": does these steps; what came of them goes to descriptor 3's pipe. */
static int s_steps(int argc, char **argv)
{
	long from = atol(argv[1]), to = atol(argv[2]);
	int out = atoi(argv[3]);

	sum = 14695981039346656037ul;
	for (long i = from; i < to; i++) {
		state = (unsigned long)atol(argv[0]) * 7919 + (unsigned long)i * 104729;
		rnd(2);
		errno = 0;
		add(step(i) < 0 ? (unsigned long)errno : 0);
		if (getenv("T_TRACE"))
			t_diag("step %ld: errno %d, sum %016lx", i, errno, sum);
	}
	look("t", 0);
	return write(out, &sum, sizeof(sum)) != sizeof(sum) || argc != 4;
}

static void sequence(const char *what, int seed, int count, int each, int how)
{
	unsigned long one, all = 0;
	int p[2];

	must(pipe(p));
	must(mkdir("t", 0755));
	for (int i = 0; i < count; i += each) {
		pid_t pid = must(t_start(how, "steps", t_num(seed), t_num(i),
					 t_num(i + each), t_num(p[1]), NULL));

		if (t_end(pid) || read(p[0], &one, sizeof(one)) != sizeof(one)) {
			ok(0, "%s, seed %d, steps %d to %d", what, seed, i, i + each);
			break;
		}
		all = (all ^ one) * 1099511628211ul;
		if ((i + each) % 100 == 0)
			ok(1, "%s, seed %d, to step %d: %016lx", what, seed, i + each,
			   all);
	}
	must(system("rm -rf t"));
	must(close(p[0]));
	must(close(p[1]));
}

static void t_alone(void)
{
	for (int seed = 1; seed <= 4; seed++)
		sequence("one process", seed, 1000, 100, T_FORK);
}

/* Ten steps in one process, the next ten in another, on another core. */
static void t_turns(void)
{
	for (int seed = 11; seed <= 13; seed++)
		sequence("in turns", seed, 300, 10, T_EXEC);
}

/* One step a process: a directory cache that was not told shows at once. */
static void t_single(void)
{
	sequence("step by step", 21, 200, 1, T_EXEC);
}

T_SUBS = { { "steps", s_steps }, T_END };

T_SECTIONS = {
	{ "alone", t_alone }, { "turns", t_turns }, { "single", t_single }, T_END
};
