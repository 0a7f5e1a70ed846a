/* SPDX-License-Identifier: MIT */
/* opendir, readdir, seekdir, getdents: all names once, cookies, changes meanwhile. */
#include "t.h"

enum { MANY = 10000 };

static int create(const char *dir, int from, int to)
{
	char name[64];

	for (int i = from; i < to; i++) {
		int fd;

		snprintf(name, sizeof(name), "%s/e%05d", dir, i);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0)
			return -1;
		close(fd);
	}
	return 0;
}

/* How often each eNNNNN was seen, for NNNNN below max; returns all entries but . and .. */
static int scan(DIR *d, unsigned char *seen, int max)
{
	struct dirent *de;
	int n = 0;

	while ((de = readdir(d)) != NULL) {
		int i;

		if (de->d_name[0] == '.')
			continue;
		n++;
		if (sscanf(de->d_name, "e%d", &i) == 1 && i >= 0 && i < max)
			seen[i]++;
	}
	return n;
}

static int count_is(const unsigned char *seen, int from, int to, int want)
{
	int good = 1;

	for (int i = from; i < to; i++)
		good &= seen[i] == want;
	return good;
}

static void t_basic(void)
{
	struct dirent *de;
	struct stat st, dot, up;
	int n = 0, types = 1, inos = 1, dots = 0;
	DIR *d;

	must(mkdir("d", 0755));
	must(t_put("d/file", ""));
	must(mkdir("d/dir", 0755));
	must(symlink("x", "d/link"));
	must(mkfifo("d/fifo", 0644));
	must(stat("d", &dot));
	must(stat(".", &up));
	d = opendir("d");
	ok(d != NULL, "opendir");
	while (d && (de = readdir(d)) != NULL) {
		char path[300];

		n++;
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0) {
			dots++;
			inos &= de->d_ino == (de->d_name[1] ? up.st_ino : dot.st_ino);
			types &= de->d_type == DT_DIR || de->d_type == DT_UNKNOWN;
			continue;
		}
		snprintf(path, sizeof(path), "d/%s", de->d_name);
		must(lstat(path, &st));
		inos &= st.st_ino == de->d_ino;
		types &= de->d_type == IFTODT(st.st_mode) || de->d_type == DT_UNKNOWN;
	}
	is_long(n, 6, "all entries");
	is_long(dots, 2, ". and ..");
	ok(types, "d_type");
	ok(inos, "d_ino is st_ino");
	is_long(closedir(d), 0, "closedir");
	ok(opendir("d/file") == NULL && errno == ENOTDIR, "opendir of a file");
	ok(opendir("none") == NULL && errno == ENOENT, "opendir of nothing");
	ok(opendir("") == NULL && errno == ENOENT, "opendir of the empty name");
	d = fdopendir(must(open("d", O_RDONLY)));
	ok(d != NULL, "fdopendir");
	n = 0;
	while (readdir(d))
		n++;
	is_long(n, 6, "all entries by it");
	rewinddir(d);
	while (readdir(d))
		n++;
	is_long(n, 12, "and after rewinddir");
	must(unlink("d/file"));
	must(t_put("d/file2", ""));
	must(t_put("d/file3", ""));
	rewinddir(d);
	n = 0;
	while (readdir(d))
		n++;
	is_long(n, 7, "rewinddir sees what came and went");
	closedir(d);
}

static void t_many(void)
{
	static unsigned char seen[MANY];
	DIR *d;

	must(mkdir("d", 0755));
	is_long(create("d", 0, MANY), 0, "10,000 files are made");
	d = opendir("d");
	is_long(scan(d, seen, MANY), MANY, "10,000 are listed");
	ok(count_is(seen, 0, MANY, 1), "each once");
	closedir(d);
	for (int i = 0; i < MANY; i++) {
		char name[64];

		snprintf(name, sizeof(name), "d/e%05d", i);
		if (i % 10 && unlink(name))
			break;
	}
	d = opendir("d");
	is_long(scan(d, seen, MANY), MANY / 10, "a tenth is left after unlink");
	closedir(d);
}

static void t_seek(void)
{
	long pos[200];
	char names[200][32];
	struct dirent *de;
	int n = 0, good = 1;
	DIR *d;

	must(mkdir("d", 0755));
	must(create("d", 0, 150));
	d = opendir("d");
	for (pos[0] = telldir(d); n < 199 && (de = readdir(d)) != NULL;
	     pos[++n] = telldir(d))
		snprintf(names[n], sizeof(names[n]), "%.31s", de->d_name);
	is_long(n, 152, "all entries with telldir");
	for (int i = n - 1; i >= 0; i -= 7) {
		seekdir(d, pos[i]);
		de = readdir(d);
		good &= de && strcmp(de->d_name, names[i]) == 0;
	}
	ok(good, "seekdir goes to each");
	seekdir(d, pos[100]);
	for (int i = 100; i < n; i++) {
		de = readdir(d);
		good &= de && strcmp(de->d_name, names[i]) == 0;
	}
	ok(good, "and on from there in the same order");
	ok(readdir(d) == NULL, "to the end");
	must(create("d", 150, 160));
	seekdir(d, pos[75]);
	for (int i = 75; i < 152; i++) {
		char path[64];

		if (names[i][0] == 'e' && i % 2) {
			snprintf(path, sizeof(path), "d/%s", names[i]);
			unlink(path);
		}
	}
	de = readdir(d);
	ok(de != NULL, "a cookie stays good when entries come and go");
	closedir(d);
}

#define COOKIES 3000
#define MARKED	7 /* every so manyth entry is marked by telldir */

/* A mark leads to its entry, or when that was removed to what was behind it, while many others come
 * and go; what was there all the time is behind a mark or before it, once. */
static void t_cookies(void)
{
	static long pos[COOKIES / MARKED + 2];
	static int marked[COOKIES / MARKED + 2], order[COOKIES];
	int n = 0, marks = 0, wrong = 0, gone = 0, rest = 0, old;
	struct dirent *de;
	char path[64];
	DIR *d;

	must(mkdir("d", 0755));
	for (int i = 0; i < COOKIES; i++) {
		snprintf(path, sizeof(path), "d/f%d", i);
		must(mknod(path, S_IFREG | 0644, 0));
	}
	d = opendir("d");
	for (long at = telldir(d); (de = readdir(d)) != NULL && n < COOKIES;) {
		if (de->d_name[0] == 'f' && n % MARKED == 0) {
			pos[marks] = at;
			marked[marks++] = n;
		}
		if (de->d_name[0] == 'f')
			order[n++] = atoi(de->d_name + 1);
		at = telldir(d);
	}
	is_long(n, COOKIES, "all entries");
	for (int i = 0; i < COOKIES; i += 3) {
		snprintf(path, sizeof(path), "d/f%d", i);
		must(unlink(path));
		snprintf(path, sizeof(path), "d/new%d", i);
		must(mknod(path, S_IFREG | 0644, 0));
	}
	for (int m = marks - 1; m >= 0; m--) {
		seekdir(d, pos[m]);
		de = readdir(d);
		old = de && de->d_name[0] == 'f' ? atoi(de->d_name + 1) : -1;
		if (order[marked[m]] % 3)
			wrong += old != order[marked[m]];
		else
			gone += old >= 0 && old % 3 == 0;
	}
	is_long(wrong, 0, "marks lead to their entries");
	is_long(gone, 0, "to none that was removed");
	for (int m = 0; m < marks; m += 50) {
		int want = 0, got = 0;

		for (int i = marked[m]; i < n; i++)
			want += order[i] % 3 != 0;
		seekdir(d, pos[m]);
		while ((de = readdir(d)) != NULL)
			got += de->d_name[0] == 'f';
		rest += want != got;
	}
	is_long(rest, 0, "what was behind a mark still is");
	closedir(d);
}

/* Entries there all the time are seen once, whatever happens to others meanwhile. */
static void t_changes(void)
{
	static unsigned char seen[4000];
	struct dirent *de;
	int n = 0, i, removed = 0;
	char path[64];
	DIR *d;

	must(mkdir("d", 0755));
	must(create("d", 0, 2000));
	d = opendir("d");
	while ((de = readdir(d)) != NULL) {
		if (sscanf(de->d_name, "e%d", &i) != 1)
			continue;
		seen[i]++;
		n++;
		if (i % 2 == 0 && i < 2000) {
			snprintf(path, sizeof(path), "d/e%05d", i);
			removed += unlink(path) == 0;
		}
		if (n % 10 == 0 && n < 10000)
			create("d", 2000 + n / 10, 2001 + n / 10);
	}
	closedir(d);
	ok(count_is(seen, 0, 2000, 1), "each old entry once, while half are removed");
	is_long(removed, 1000, "all removals");
	for (i = 2000, n = 1; i < 4000; i++)
		n &= seen[i] <= 1;
	ok(n, "no new entry twice");
	memset(seen, 0, sizeof(seen));
	d = opendir("d");
	scan(d, seen, 4000);
	closedir(d);
	n = 1;
	for (i = 0; i < 2000; i++)
		n &= seen[i] == i % 2;
	ok(n, "the right half is left");
}

static int s_churn(int argc, char **argv)
{
	char a[64];

	for (int i = 0; i < atoi(argv[1]); i++) {
		int fd;

		snprintf(a, sizeof(a), "%s/x%d", argv[0], i % 20);
		fd = open(a, O_WRONLY | O_CREAT, 0644);
		if (fd < 0 || close(fd) || unlink(a))
			return argc;
	}
	return 0;
}

static void t_other(void)
{
	static unsigned char seen[500];
	int good = 1;
	pid_t pid;

	must(mkdir("d", 0755));
	must(create("d", 0, 500));
	pid = must(t_start(T_EXEC, "churn", "d", "1500", NULL));
	for (int i = 0; i < 15; i++) {
		DIR *d = opendir("d");

		memset(seen, 0, sizeof(seen));
		scan(d, seen, 500);
		closedir(d);
		good &= count_is(seen, 0, 500, 1);
	}
	ok(good, "500 that stay are each seen once while another makes and removes");
	is_long(t_end(pid), 0, "the other ends");
}

static void t_rmwhile(void)
{
	struct dirent *de;
	char path[300];
	int left = 0;
	DIR *d;

	must(mkdir("d", 0755));
	must(create("d", 0, 3000));
	d = opendir("d");
	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "d/%s", de->d_name);
		left += unlink(path) != 0;
	}
	closedir(d);
	is_long(left, 0, "rm -r's loop removes each once");
	is_long(rmdir("d"), 0, "and leaves an empty directory");
}

static void t_getdents(void)
{
	char buf[1024];
	int fd = must(open(".", O_RDONLY));
	int n = 0;
	long r;

	must(create(".", 0, 100));
	while ((r = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		for (long off = 0; off < r; n++)
			off += ((struct dirent64 *)(buf + off))->d_reclen;
	is_long(r, 0, "getdents ends with 0");
	is_long(n, 102, "all entries by a small buffer");
	is_long(syscall(SYS_getdents64, fd, buf, sizeof(buf)), 0, "and again 0");
	is_long(lseek(fd, 0, SEEK_SET), 0, "lseek to the start");
	ok(syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0, "entries again");
	must(lseek(fd, 0, SEEK_SET));
	is_errno(syscall(SYS_getdents64, fd, buf, 10), EINVAL,
		 "a buffer that is too small");
	must(t_put("file", ""));
	is_errno(syscall(SYS_getdents64, must(open("file", O_RDONLY)), buf, 1024),
		 ENOTDIR, "of a file");
	is_errno(syscall(SYS_getdents64, 99, buf, 1024), EBADF, "of no descriptor");
	must(mkdir("gone", 0755));
	fd = must(open("gone", O_RDONLY));
	must(rmdir("gone"));
	is_errno(syscall(SYS_getdents64, fd, buf, 1024), ENOENT,
		 "of a removed directory");
}

static int s_list(int argc, char **argv)
{
	int n = 0;
	DIR *d = fdopendir(atoi(argv[0]));

	while (d && readdir(d))
		n++;
	return argc == 1 ? n : 0;
}

static void t_shared(void)
{
	char buf[512];
	int fd, first = 0, n;
	long r;

	must(mkdir("d", 0755));
	must(create("d", 0, 100));
	fd = must(open("d", O_RDONLY));
	r = must(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	for (long off = 0; off < r; first++)
		off += ((struct dirent64 *)(buf + off))->d_reclen;
	n = t_end(t_start(T_EXEC, "list", t_num(fd), NULL));
	is_long(n + first, 102, "a child goes on where the parent stopped");
	is_long(syscall(SYS_getdents64, fd, buf, sizeof(buf)), 0,
		"the parent is at the end");
}

T_SUBS = { { "churn", s_churn }, { "list", s_list }, T_END };

T_SECTIONS = {
	{ "basic", t_basic },	    { "many", t_many },	    { "seek", t_seek }, { "cookies", t_cookies },
	{ "changes", t_changes },   { "other", t_other },   { "rmwhile", t_rmwhile },
	{ "getdents", t_getdents }, { "shared", t_shared }, T_END,
};
