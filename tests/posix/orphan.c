/* SPDX-License-Identifier: MIT */
/* Files that live on after their last name is gone (thesis, figure 3-3). */
#include "t.h"

static char block[65536];

static void t_open(void)
{
	char buf[32] = "";
	struct stat st;
	int fd;

	must(t_put("f", "some text"));
	fd = must(open("f", O_RDWR));
	is_long(unlink("f"), 0, "unlink of an open file");
	ok(!t_exists("f"), "its name is gone");
	is_long(fstat(fd, &st), 0, "fstat");
	is_long(st.st_nlink, 0, "no links");
	is_long(st.st_size, 9, "its size");
	is_long(read(fd, buf, 20), 9, "read");
	is_str(buf, "some text", "its text");
	is_long(write(fd, " more", 5), 5, "write");
	is_long(pread(fd, buf, 20, 0), 14, "read again");
	is_str(buf, "some text more", "its new text");
	is_long(ftruncate(fd, 4), 0, "ftruncate");
	is_long(fchmod(fd, 0600), 0, "fchmod");
	must(t_put("f", "another"));
	is_long(pread(fd, buf, 20, 0), 4, "a new file of that name is another one");
	is_str(t_get("f"), "another", "with its own text");
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	is_errno(link(path, "g"), EXDEV,
		 "it cannot be linked by /proc without AT_SYMLINK_FOLLOW");
	int fd2 = is_ok(open(path, O_RDONLY), "opened again by /proc/self/fd");
	is_long(read(fd2, buf, 20), 4, "read by that");
}

static void t_blocks(void)
{
	int fd, good = 1;

	fd = must(open("f", O_RDWR | O_CREAT, 0644));
	memset(block, 'a', sizeof(block));
	for (int i = 0; i < 16; i++)
		must(write(fd, block, sizeof(block)));
	must(unlink("f"));
	memset(block, 'b', sizeof(block));
	for (int i = 0; i < 32; i++) {
		char name[16];

		snprintf(name, sizeof(name), "g%d", i);
		int g = must(open(name, O_WRONLY | O_CREAT, 0644));
		must(write(g, block, sizeof(block)));
		must(close(g));
	}
	for (int i = 0; i < 16; i++) {
		good &= pread(fd, block, sizeof(block), (off_t)i * 65536) == 65536;
		for (size_t j = 0; j < sizeof(block); j++)
			good &= block[j] == 'a';
	}
	ok(good, "its blocks are not given to others");
}

static int s_remove(int argc, char **argv)
{
	return unlink(argv[0]) || t_put(argv[0], "new file") || argc != 1;
}

static int s_hold(int argc, char **argv)
{
	int fd = open(argv[0], O_RDONLY), go = atoi(argv[2]);
	char buf[16] = "", c;

	if (fd < 0 || write(atoi(argv[1]), "o", 1) != 1 || read(go, &c, 1) != 1)
		return 1;
	if (read(fd, buf, 15) != 8 || strcmp(buf, "old text"))
		return 2;
	return argc != 3;
}

static void t_other(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		int up[2], down[2], fd;
		char buf[16] = "", c;
		pid_t pid;

		must(t_put("f", "old text"));
		fd = must(open("f", O_RDWR));
		is_long(t_end(t_start(how, "remove", "f", NULL)), 0,
			"another removes it, how %d", how);
		is_long(read(fd, buf, 15), 8, "we still read, how %d", how);
		is_str(buf, "old text", "the old text, how %d", how);
		is_str(t_get("f"), "new file", "the name has the new, how %d", how);
		must(close(fd));
		must(pipe(up));
		must(pipe(down));
		must(t_put("f", "old text"));
		pid = must(t_start(how, "hold", "f", t_num(up[1]), t_num(down[0]), NULL));
		must(read(up[0], &c, 1));
		must(unlink("f"));
		must(t_put("f", "yet another"));
		must(write(down[1], "x", 1));
		is_long(t_end(pid), 0, "another still reads what we removed, how %d",
			how);
		must(close(up[0]));
		must(close(up[1]));
		must(close(down[0]));
		must(close(down[1]));
	}
}

static int s_use(int argc, char **argv)
{
	int fd = atoi(argv[0]);
	char buf[16] = "";

	return pread(fd, buf, 15, 0) != 6 || strcmp(buf, "orphan") ||
	       pwrite(fd, "ORPHAN", 6, 0) != 6 || argc != 1;
}

static void t_inherited(void)
{
	char buf[16] = "";
	int fd;

	must(t_put("f", "orphan"));
	fd = must(open("f", O_RDWR));
	must(unlink("f"));
	is_long(t_end(t_start(T_EXEC, "use", t_num(fd), NULL)), 0,
		"a child on another core uses an inherited orphan");
	is_long(pread(fd, buf, 15, 0), 6, "its write is here");
	is_str(buf, "ORPHAN", "the text");
	pid_t pid = fork();
	if (pid == 0) {
		must(pwrite(fd, "orphan", 6, 0));
		_exit(t_end(t_start(T_EXEC, "use", t_num(fd), NULL)));
	}
	must(close(fd));
	is_long(t_end(pid), 0, "and after its opener closed it");
}

static void t_tmpfile(void)
{
	char path[64];
	struct stat st;
	int fd;

	fd = is_ok(open(".", O_TMPFILE | O_RDWR, 0600), "O_TMPFILE");
	is_long(fstat(fd, &st), 0, "fstat");
	is_long(st.st_nlink, 0, "no links");
	is_long(st.st_mode, S_IFREG | 0600, "its mode");
	is_long(write(fd, "text", 4), 4, "write");
	DIR *d = opendir(".");
	int n = 0;
	while (readdir(d))
		n++;
	is_long(n, 2, "it has no name");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	is_long(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0,
		"linkat");
	is_str(t_get("named"), "text", "gives it one");
	is_long(t_nlink("named"), 1, "one link");
	is_long(unlink("named"), 0, "unlink");
	is_errno(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), ENOENT,
		 "it gets no other");
	fd = is_ok(open("made", O_CREAT | O_EXCL | O_RDWR, 0600), "a file that is made");
	is_long(unlink("made"), 0, "unlink");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	is_errno(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), ENOENT,
		 "does not get its name back");
	fd = is_ok(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600), "O_TMPFILE with O_EXCL");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	is_errno(linkat(AT_FDCWD, path, AT_FDCWD, "named2", AT_SYMLINK_FOLLOW), ENOENT,
		 "can have no name");
	is_errno(open("none", O_TMPFILE | O_RDWR, 0600), ENOENT, "O_TMPFILE in nothing");
	FILE *f = tmpfile();
	ok(f && fputs("x", f) >= 0 && fclose(f) == 0, "tmpfile()");
}

T_SUBS = { { "remove", s_remove }, { "hold", s_hold }, { "use", s_use }, T_END };

T_SECTIONS = {
	{ "open", t_open },	      { "blocks", t_blocks },	{ "other", t_other },
	{ "inherited", t_inherited }, { "tmpfile", t_tmpfile }, T_END,
};
