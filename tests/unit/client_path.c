/* SPDX-License-Identifier: MIT */
/*
 * The path calls of the client, in one program: what each returns and leaves behind, seen from
 * the same core and from another one, near and far, with and without the techniques. What they
 * share with any POSIX file system is tested by tests/posix; here is what is Hare's own: where
 * things are placed, what the cache says, paths that lead in and out.
 */
#include "unit/client.h"

static struct town g;
static struct person *a, *b; /* on the first and the last core */
static char g_what[64];

#define IS(got, want, what) is(got, want, "%s: %s", g_what, what)
#define OK(cond, what)	    ok(cond, "%s: %s", g_what, what)

static long touch(struct person *p, const char *path)
{
	long fd = CALL(p, open, path, O_CREAT | O_RDWR, 0644);

	return fd < 0 ? fd : CALL(p, close, fd);
}

static long mode_of(struct person *p, const char *path)
{
	struct stat st;
	long r = CALL(p, lstat, path, &st);

	return r ? r : (long)st.st_mode;
}

static u64 ino_of(struct person *p, const char *path)
{
	struct stat st;

	return CALL(p, stat, path, &st) ? 0 : st.st_ino;
}

static void t_create(void)
{
	struct stat st;
	long fd;

	IS(CALL(a, mkdir, "/hare/c", 0777), 0, "mkdir");
	IS(mode_of(b, "/hare/c"), 040755,
	   "the other core sees it, with the umask applied");
	IS(CALL(b, mkdir, "/hare/c", 0777), -EEXIST, "mkdir again");
	IS(touch(a, "/hare/c/f"), 0, "open(O_CREAT)");
	IS(mode_of(b, "/hare/c/f"), 0100644, "the other core sees the file");
	fd = CALL(b, open, "/hare/c/f", O_CREAT | O_EXCL | O_RDWR, 0644);
	IS(fd, -EEXIST, "O_EXCL");
	fd = CALL(b, open, "/hare/c/f", O_CREAT | O_RDWR, 0600);
	OK(fd >= 0, "O_CREAT of a file that is there opens it");
	IS(CALL(b, close, fd), 0, "close");
	IS(CALL(a, open, "/hare/c/", O_CREAT | O_RDWR, 0600), -EISDIR,
	   "O_CREAT with a slash");
	IS(CALL(a, open, "/hare/c", O_CREAT | O_RDWR, 0600), -EISDIR,
	   "O_CREAT of a directory");
	IS(CALL(a, open, "/hare/c", O_RDWR, 0), -EISDIR, "a directory for writing");
	IS(CALL(a, open, "/hare/c/f", O_DIRECTORY, 0), -ENOTDIR, "O_DIRECTORY of a file");
	IS(CALL(a, open, "/hare/c/none", O_RDONLY, 0), -ENOENT, "no such file");
	IS(CALL(a, open, "/hare/c/f/x", O_RDONLY, 0), -ENOTDIR, "below a file");
	IS(CALL(a, mknod, "/hare/c/p", S_IFIFO | 0666, 0), 0, "mknod of a FIFO");
	IS(mode_of(b, "/hare/c/p"), 010644, "the FIFO is seen");
	IS(CALL(a, mknod, "/hare/c/n/", S_IFREG | 0666, 0), -ENOENT,
	   "mknod with a slash");
	IS(CALL(a, symlink, "f", "/hare/c/l"), 0, "symlink");
	IS(CALL(b, stat, "/hare/c/l", &st), 0, "stat through it");
	IS(st.st_ino, ino_of(a, "/hare/c/f"), "leads to the file");
	IS(CALL(b, open, "/hare/c/l", O_RDONLY | O_NOFOLLOW, 0), -ELOOP, "O_NOFOLLOW");
	IS(CALL(a, symlink, "new", "/hare/c/dangling"), 0, "a dangling symlink");
	IS(touch(b, "/hare/c/dangling"), 0, "O_CREAT through it");
	IS(mode_of(a, "/hare/c/new"), 0100644, "makes its target");
	fd = CALL(a, open, "/hare/c", O_TMPFILE | O_RDWR, 0600);
	OK(fd >= 0, "O_TMPFILE");
	IS(CALL(a, close, fd), 0, "close drops it");
}

static void t_walk(void)
{
	struct stat st;
	char buf[PATH_LEN_MAX];
	char name[300];
	long args[6] = { (long)"/hare/../etc/passwd", (long)&st };

	IS(CALL(a, mkdir, "/hare/w", 0755), 0, "mkdir");
	IS(CALL(a, mkdir, "/hare/w/d", 0755), 0, "mkdir below");
	IS(touch(a, "/hare/w/d/f"), 0, "a file");
	IS(CALL(b, stat, "//hare///w/./d/../d//f", &st), 0, "slashes and dots");
	IS(CALL(b, stat, "/tmp/../hare/w", &st), 0, "into Hare from the host's side");
	IS(CALL(b, stat, "/hare/w/../../hare/w", &st), 0, "out and in again");
	IS(client_stat(&a->t, args), CLIENT_HOST, "out");
	OK(!strcmp((char *)args[0], "/etc/passwd"), "the host's path");
	IS(CALL(a, stat, "/harebell", &st), CLIENT_HOST, "a longer name is another");
	IS(CALL(a, stat, "", &st), -ENOENT, "an empty path");
	IS(CALL(a, stat, "/hare/w/d/f/", &st), -ENOTDIR, "a slash behind a file");
	IS(CALL(a, stat, "/hare/w/d/f/.", &st), -ENOTDIR, "a dot behind a file");
	memset(name, 'x', sizeof(name));
	memcpy(name, "/hare/", 6);
	name[299] = 0;
	IS(CALL(a, stat, name, &st), -ENAMETOOLONG, "a name that is too long");
	name[6 + 255] = 0;
	IS(CALL(a, stat, name, &st), -ENOENT, "the longest name");
	IS(CALL(a, symlink, "/hare/w/d", "/hare/w/abs"), 0, "an absolute symlink");
	IS(CALL(b, stat, "/hare/w/abs/f", &st), 0, "is followed");
	IS(CALL(a, symlink, "../../../../../etc", "/hare/w/up"), 0,
	   "a symlink out by dots");
	args[0] = (long)"/hare/w/up/passwd";
	IS(client_stat(&a->t, args), CLIENT_HOST, "leads to the host");
	OK(!strcmp((char *)args[0], "/../../etc/passwd") ||
		   !strcmp((char *)args[0], "/../../../etc/passwd"),
	   "with the rest appended");
	IS(CALL(a, symlink, "/etc", "/hare/w/etc"), 0, "an absolute symlink to the host");
	args[0] = (long)"/hare/w/etc/passwd";
	IS(client_stat(&a->t, args), CLIENT_HOST, "leads to the host");
	OK(!strcmp((char *)args[0], "/etc/passwd"), "by its path");
	IS(CALL(a, symlink, "loop", "/hare/w/loop"), 0, "a loop");
	IS(CALL(a, stat, "/hare/w/loop", &st), -ELOOP, "is noticed");
	IS(CALL(a, lstat, "/hare/w/loop", &st), 0, "lstat does not follow");
	IS(CALL(a, readlink, "/hare/w/abs", buf, sizeof(buf)), 9, "readlink");
	OK(!memcmp(buf, "/hare/w/d", 9), "gives the target");
	IS(CALL(a, readlink, "/hare/w/d", buf, sizeof(buf)), -EINVAL,
	   "readlink of a directory");
	IS(CALL(a, chdir, "/hare/w/d"), 0, "chdir");
	IS(CALL(a, stat, "f", &st), 0, "a relative path");
	IS(CALL(a, stat, "../d/f", &st), 0, "through the parent");
	IS(CALL(a, getcwd, buf, sizeof(buf)), 10, "getcwd");
	OK(!strcmp(buf, "/hare/w/d"), "says where");
	IS(CALL(a, getcwd, buf, 9), -ERANGE, "getcwd into too little");
	IS(CALL(a, chdir, "../../.."), 0, "chdir to the host");
	IS(CALL(a, getcwd, buf, sizeof(buf)), CLIENT_HOST, "the host knows where");
	IS(CALL(a, stat, "hare/w", &st), 0, "a relative path from the host into Hare");
}

static void t_remove(void)
{
	struct stat st;

	IS(CALL(a, mkdir, "/hare/r", 0755), 0, "mkdir");
	IS(touch(a, "/hare/r/f"), 0, "a file");
	IS(CALL(b, stat, "/hare/r/f", &st), 0, "the other core looks");
	IS(CALL(a, unlink, "/hare/r/f"), 0, "unlink");
	IS(CALL(b, stat, "/hare/r/f", &st), -ENOENT,
	   "the other core's lookup is not stale");
	IS(touch(a, "/hare/r/f"), 0, "made again");
	IS(CALL(b, stat, "/hare/r/f", &st), 0, "nor is its negative one");
	IS(CALL(b, unlink, "/hare/r/"), -EISDIR, "unlink of a directory");
	IS(CALL(b, unlink, "/hare/r/f/"), -ENOTDIR, "unlink with a slash");
	IS(CALL(b, rmdir, "/hare/r"), -ENOTEMPTY, "rmdir of what is not empty");
	IS(CALL(b, rmdir, "/hare/r/f"), -ENOTDIR, "rmdir of a file");
	IS(CALL(b, rmdir, "/hare/r/."), -EINVAL, "rmdir of a dot");
	IS(CALL(b, rmdir, "/hare"), -EBUSY, "rmdir of the root");
	IS(CALL(b, unlink, "/hare/r/f"), 0, "unlink from the other core");
	IS(CALL(b, rmdir, "/hare/r"), 0, "rmdir");
	IS(CALL(a, stat, "/hare/r", &st), -ENOENT, "gone");
	IS(CALL(a, rmdir, "/hare/r"), -ENOENT, "rmdir again");
}

static void t_rename(void)
{
	struct stat st;
	u64 ino;

	IS(CALL(a, mkdir, "/hare/n", 0755), 0, "mkdir");
	IS(CALL(b, mkdir, "/hare/n/x", 0755), 0, "a directory of the other core");
	IS(CALL(a, mkdir, "/hare/n/y", 0755), 0, "one of this core");
	IS(touch(a, "/hare/n/x/f"), 0, "a file");
	IS(touch(b, "/hare/n/y/g"), 0, "another");
	ino = ino_of(a, "/hare/n/x/f");
	IS(CALL(b, rename, "/hare/n/x/f", "/hare/n/y/g"), 0,
	   "rename over a file, between servers");
	IS(ino_of(a, "/hare/n/y/g"), ino, "has moved");
	IS(CALL(a, stat, "/hare/n/x/f", &st), -ENOENT, "and is gone where it was");
	IS(CALL(a, rename, "/hare/n/x", "/hare/n/x/z"), -EINVAL, "below itself");
	IS(CALL(a, rename, "/hare/n/x", "/hare/n/y/x"), 0,
	   "a directory to another parent");
	IS(CALL(b, stat, "/hare/n/y/x/../g", &st), 0, "its parent has changed");
	IS(CALL(a, rename, "/hare/n/y", "/hare/n/y/x/q"), -EINVAL,
	   "further below itself");
	IS(CALL(a, mkdir, "/hare/n/e", 0755), 0, "an empty directory");
	IS(CALL(b, rename, "/hare/n/y", "/hare/n/e"), 0, "replaced by one that is not");
	IS(ino_of(a, "/hare/n/e/g"), ino, "moved");
	IS(CALL(b, mkdir, "/hare/n/y", 0755), 0, "another directory");
	IS(CALL(b, rename, "/hare/n/y", "/hare/n/e"), -ENOTEMPTY,
	   "not over one with entries");
	IS(CALL(b, rename, "/hare/n/e/g", "/hare/n/y"), -EISDIR,
	   "a file over a directory");
	IS(CALL(b, rename, "/hare/n/y", "/hare/n/e/g"), -ENOTDIR, "the reverse");
	IS(CALL(b, rename, "/hare/n/none", "/hare/n/e/g"), -ENOENT, "what is not there");
	IS(CALL(b, rename, "/hare/n/e/g", "/etc/g"), -EXDEV, "to the host");
	IS(CALL(a, link, "/hare/n/e/g", "/hare/n/y/h"), 0, "link");
	IS(CALL(b, stat, "/hare/n/y/h", &st), 0, "stat of it");
	IS(st.st_nlink, 2, "two links");
	IS(CALL(a, rename, "/hare/n/e/g", "/hare/n/y/h"), 0, "rename to the same file");
	IS(CALL(b, stat, "/hare/n/e/g", &st), 0, "does nothing");
	IS(CALL(a, link, "/hare/n/e", "/hare/n/y/k"), -EPERM, "link to a directory");
	IS(CALL(a, link, "/hare/n/e/g", "/hare/n/y/h"), -EEXIST, "link to what is there");
	IS(CALL(a, renameat2, AT_FDCWD, "/hare/n/e/g", AT_FDCWD, "/hare/n/y/h", 1),
	   -EEXIST, "RENAME_NOREPLACE");
	IS(CALL(a, unlink, "/hare/n/y/h"), 0, "unlink");
	IS(CALL(b, stat, "/hare/n/e/g", &st), 0, "the other name");
	IS(st.st_nlink, 1, "one link");
}

static u32 list(struct person *p, const char *path, char *names, size_t size)
{
	struct {
		u64 ino, off;
		u16 len;
		u8 type;
		char name[];
	} * d;
	char buf[400];
	u32 n = 0;
	long fd = CALL(p, open, path, O_RDONLY | O_DIRECTORY, 0), r, at;

	names[0] = 0;
	if (fd < 0)
		return 0;
	while ((r = CALL(p, getdents64, fd, buf, sizeof(buf))) > 0)
		for (at = 0; at < r; at += d->len, n++) {
			d = (void *)(buf + at);
			snprintf(names + strlen(names), size - strlen(names), "%s ",
				 d->name);
		}
	CALL(p, close, fd);
	return r < 0 ? (u32)r : n;
}

static void t_distributed(void)
{
	char names[4096], path[64], val[4];
	struct stat st;
	int i, bad = 0;

	IS(client_mkdir_distributed(&a->t, "/hare/dist", 0777), 0, "mkdir --distribute");
	IS(CALL(b, getxattr, "/hare/dist", "user.hare.distribute", val, 4), 1,
	   "its xattr");
	IS(val[0], '1', "says so");
	for (i = 0; i < 40; i++) {
		sprintf(path, "/hare/dist/file%d", i);
		bad += touch(i & 1 ? a : b, path) != 0;
	}
	IS(bad, 0, "40 files from both cores");
	for (i = 0; i < 40; i++) {
		sprintf(path, "/hare/dist/file%d", i);
		bad += CALL(i & 1 ? b : a, stat, path, &st) != 0;
	}
	IS(bad, 0, "each seen by the other");
	IS(list(b, "/hare/dist", names, sizeof(names)), 42, "readdir gives all of them");
	OK(strstr(names, "file39 ") && strstr(names, ".. "), "with their names");
	IS(CALL(b, stat, "/hare/dist", &st), 0, "stat");
	IS(st.st_size, 42 * 20, "counts all");
	IS(CALL(b, rmdir, "/hare/dist"), -ENOTEMPTY, "rmdir of what is not empty");
	IS(CALL(b, mkdir, "/hare/dist/sub", 0755), 0, "mkdir in it");
	IS(CALL(a, rename, "/hare/dist/file1", "/hare/dist/file2"), 0, "rename in it");
	IS(CALL(a, chmod, "/hare/dist", 0700), 0, "chmod");
	for (i = 0; i < 40; i++) {
		sprintf(path, "/hare/dist/file%d", i);
		bad += CALL(a, unlink, path) != (i == 1 ? -ENOENT : 0);
	}
	IS(bad, 0, "unlink of all");
	IS(CALL(a, rmdir, "/hare/dist"), -ENOTEMPTY, "a directory is still in it");
	IS(CALL(a, rmdir, "/hare/dist/sub"), 0, "rmdir of that");
	IS(CALL(a, rmdir, "/hare/dist"), 0, "rmdir");
	IS(CALL(b, stat, "/hare/dist", &st), -ENOENT, "gone");
}

static void t_rights(void)
{
	struct person *u = town_person(&g, g.w.cores - 1, 1000);
	struct stat st;

	IS(CALL(a, mkdir, "/hare/p", 0755), 0, "mkdir");
	IS(touch(a, "/hare/p/f"), 0, "a file");
	IS(CALL(u, stat, "/hare/p/f", &st), 0, "another user sees it");
	IS(touch(u, "/hare/p/g"), -EACCES, "but makes none");
	IS(CALL(u, mkdir, "/hare/p/g", 0755), -EACCES, "and no directory");
	IS(CALL(u, unlink, "/hare/p/f"), -EACCES, "and removes none");
	IS(CALL(u, rename, "/hare/p/f", "/hare/p/g"), -EACCES, "nor renames");
	IS(CALL(u, open, "/hare/p/f", O_WRONLY, 0), -EACCES, "nor writes");
	IS(CALL(u, chmod, "/hare/p/f", 0777), -EPERM, "nor changes modes");
	IS(CALL(a, chmod, "/hare/p", 0700), 0, "chmod");
	IS(CALL(u, stat, "/hare/p/f", &st), -EACCES, "no search at once, cached or not");
	IS(CALL(a, chmod, "/hare/p", 0777 | S_ISVTX), 0, "sticky");
	IS(touch(u, "/hare/p/g"), 0, "now it makes one");
	IS(CALL(u, unlink, "/hare/p/f"), -EPERM, "but does not remove another's");
	IS(CALL(u, rename, "/hare/p/g", "/hare/p/f"), -EPERM, "nor replaces it");
	IS(CALL(u, rename, "/hare/p/f", "/hare/p/h"), -EPERM, "nor moves it");
	IS(CALL(u, unlink, "/hare/p/g"), 0, "its own it does");
	IS(CALL(a, chown, "/hare/p", 0, 1000), 0, "chown");
	IS(CALL(a, chmod, "/hare/p", 02775), 0, "set-gid");
	IS(CALL(a, mkdir, "/hare/p/s", 0755), 0, "mkdir in it");
	IS(CALL(b, stat, "/hare/p/s", &st), 0, "stat");
	IS(st.st_gid, 1000, "has its group");
	IS(st.st_mode, 042755, "and its set-gid bit");
}

static u64 atime_after_read(struct person *p, const char *path)
{
	long fd = CALL(p, open, path, O_RDONLY, 0);
	struct stat st;
	char c;

	CALL(p, read, fd, &c, 1);
	CALL(p, close, fd);
	if (CALL(a, stat, path, &st))
		return 0;
	return (u64)st.st_atim.tv_sec * 1000000000 + (u64)st.st_atim.tv_nsec;
}

static void set_day_ago(u64 ns)
{
	for (u32 i = 0; i < g.w.cores; i++)
		g.w.ctx[i].ck->day_ago = ns;
}

/* relatime: the first read after a change, and one a day. */
static void t_relatime(struct person *p)
{
	u64 first, later;

	IS(touch(a, "/hare/r"), 0, "a file");
	usleep(20000); /* more than a tick of the clock */
	IS(CALL(a, truncate, "/hare/r", 10), 0, "truncate");
	usleep(20000);
	first = atime_after_read(p, "/hare/r");
	usleep(20000);
	set_day_ago(first - 1);
	OK(atime_after_read(p, "/hare/r") == first, "not yet a day: not noted");
	set_day_ago(first);
	later = atime_after_read(p, "/hare/r");
	OK(later > first, "after a day it is");
	usleep(20000);
	OK(atime_after_read(p, "/hare/r") == later, "once");
	set_day_ago(0);
	IS(CALL(a, unlink, "/hare/r"), 0, "unlink");
}

static void t_times(void)
{
	struct timespec ts[2] = { { 5, 7 }, { 0, UTIME_OMIT } };
	struct stat st;

	t_relatime(a);
	t_relatime(b);
	IS(touch(a, "/hare/t"), 0, "a file");
	IS(CALL(b, utimensat, AT_FDCWD, "/hare/t", ts, 0), 0, "utimensat");
	IS(CALL(a, stat, "/hare/t", &st), 0, "stat");
	IS(st.st_atim.tv_sec * 1000 + st.st_atim.tv_nsec, 5007, "atime");
	OK(st.st_mtim.tv_sec > 1000, "mtime is left alone");
	ts[0].tv_sec = -3;
	IS(CALL(b, utimensat, AT_FDCWD, "/hare/t", ts, 0), 0, "before 1970");
	IS(CALL(a, stat, "/hare/t", &st), 0, "stat");
	IS(st.st_atim.tv_sec, -3, "atime");
	IS(CALL(a, truncate, "/hare/t", 10000), 0, "truncate");
	IS(CALL(b, stat, "/hare/t", &st), 0, "stat");
	IS(st.st_size, 10000, "size");
	IS(CALL(b, truncate, "/hare", 1), -EISDIR, "truncate of a directory");
	IS(CALL(b, access, "/hare/t", X_OK), -EACCES, "access X_OK");
	IS(CALL(b, access, "/hare/t", R_OK | W_OK), 0, "access");
	IS(CALL(b, setxattr, "/hare/t", "user.x", "abc", 3, 0), 0, "setxattr");
	IS(CALL(a, getxattr, "/hare/t", "user.x", NULL, 0), 3, "getxattr");
	IS(CALL(a, listxattr, "/hare/t", NULL, 0), 7, "listxattr");
	IS(CALL(a, removexattr, "/hare/t", "user.x"), 0, "removexattr");
	IS(CALL(a, getxattr, "/hare/t", "user.x", NULL, 0), -ENODATA, "gone");
}

static void run(const char *what, const struct world_cfg *wc)
{
	snprintf(g_what, sizeof(g_what), "%s", what);
	town_new(&g, wc);
	a = town_person(&g, 0, 0);
	b = town_person(&g, wc->cores - 1, 0);
	t_create();
	t_walk();
	t_remove();
	t_rename();
	t_distributed();
	t_rights();
	t_times();
	IS(town_check(&g, NULL), 0, "no invariant is violated");
	town_end(&g);
}

int main(void)
{
	run("1 core", &(struct world_cfg){ .cores = 1 });
	run("4 cores, 1 island", &(struct world_cfg){ .cores = 4, .islands = 1 });
	run("4 cores", &(struct world_cfg){ .cores = 4 });
	run("3 cores, emulated",
	    &(struct world_cfg){ .cores = 3, .model = MEM_EMULATED });
	run("no cache",
	    &(struct world_cfg){ .cores = 3, .without = WITHOUT_DIRECTORY_CACHE });
	run("no affinity",
	    &(struct world_cfg){ .cores = 3, .without = WITHOUT_CREATION_AFFINITY });
	run("no coalescing",
	    &(struct world_cfg){ .cores = 3, .without = WITHOUT_COALESCING });
	run("no local calls",
	    &(struct world_cfg){ .cores = 3, .without = WITHOUT_LOCAL_CALLS });
	return done_testing();
}
