/* SPDX-License-Identifier: MIT */
/* open(2): what each flag does and which errno each mistake gives. */
#include "t.h"

static void t_create(void)
{
	struct stat st;
	int fd, fd2;

	is_errno(open("f", O_RDONLY), ENOENT, "a name that does not exist");
	is_errno(open("f", O_WRONLY), ENOENT, "O_WRONLY alone creates nothing");
	fd = is_ok(open("f", O_RDWR | O_CREAT, 0640), "O_CREAT creates");
	is_long(fstat(fd, &st), 0, "fstat of the new file");
	is_long(st.st_mode, S_IFREG | 0640, "its mode");
	is_long(st.st_size, 0, "its size");
	is_long(st.st_nlink, 1, "its link count");
	is_long(st.st_uid, geteuid(), "its owner");
	is_long(st.st_gid, getegid(), "its group");
	fd2 = is_ok(open("f", O_RDWR | O_CREAT, 0777), "O_CREAT opens what exists");
	is_long(t_mode("f"), 0640, "and leaves its mode");
	is_errno(open("f", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST, "O_EXCL refuses it");
	is_ok(open("g", O_RDWR | O_CREAT | O_EXCL, 0644), "O_EXCL creates a new one");
	must(symlink("nowhere", "dangling"));
	is_errno(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST,
		 "O_EXCL does not follow a dangling symlink");
	is_ok(open("dangling", O_RDWR | O_CREAT, 0600), "O_CREAT follows one");
	is_long(t_mode("nowhere"), 0600, "and creates its target");
	is_ok(open("ro", O_RDWR | O_CREAT, 0400),
	      "a read-only new file, opened for writing");
	is_long(t_mode("ro"), 0400, "has its mode nevertheless");
	is_ok(open("zero", O_RDWR | O_CREAT, 0), "a new file of mode 0");
	is_long(t_mode("zero"), 0, "has mode 0");
	close(fd);
	close(fd2);
	umask(027);
	is_ok(open("masked", O_WRONLY | O_CREAT, 0666), "created under umask 027");
	is_long(t_mode("masked"), 0640, "has mode 0640");
	is_ok(creat("crt", 0666), "creat");
	is_long(t_mode("crt"), 0640, "creat obeys umask");
}

static void t_trunc(void)
{
	int fd;

	must(t_put("f", "some text"));
	fd = is_ok(open("f", O_WRONLY | O_TRUNC), "O_TRUNC");
	is_long(t_size("f"), 0, "empties the file");
	close(fd);
	must(t_put("f", "some text"));
	fd = is_ok(open("f", O_RDONLY), "O_RDONLY");
	is_long(t_size("f"), 9, "keeps it");
	is_errno(open("f", O_WRONLY | O_TRUNC | O_CREAT | O_EXCL, 0644), EEXIST,
		 "O_TRUNC with O_EXCL");
	is_long(t_size("f"), 9, "does not truncate");
	close(fd);
	fd = is_ok(open("f", O_RDWR | O_APPEND), "O_APPEND");
	is_long(lseek(fd, 0, SEEK_CUR), 0, "starts at offset 0");
	is_long(write(fd, "+", 1), 1, "write");
	is_long(lseek(fd, 0, SEEK_CUR), 10, "moves the offset to the new end");
	is_long(lseek(fd, 2, SEEK_SET), 2, "seek back");
	is_long(write(fd, "-", 1), 1, "write again");
	is_str(t_get("f"), "some text+-", "both were appended");
	must(lseek(fd, 0, SEEK_SET));
	is_long(pwrite(fd, "!", 1, 0), 1, "pwrite on an O_APPEND descriptor");
	is_str(t_get("f"), "some text+-!", "appends too (Linux)");
	is_long(lseek(fd, 0, SEEK_CUR), 0, "and leaves the offset");
	close(fd);
}

static void t_modes(void)
{
	char c;
	int fd;

	must(t_put("f", "x"));
	fd = must(open("f", O_RDONLY));
	is_errno(write(fd, "y", 1), EBADF, "write on O_RDONLY");
	is_errno(ftruncate(fd, 0), EINVAL, "ftruncate on O_RDONLY");
	is_long(read(fd, &c, 1), 1, "read on O_RDONLY");
	close(fd);
	fd = must(open("f", O_WRONLY));
	is_errno(read(fd, &c, 1), EBADF, "read on O_WRONLY");
	is_errno(pread(fd, &c, 1, 0), EBADF, "pread on O_WRONLY");
	is_long(write(fd, "y", 1), 1, "write on O_WRONLY");
	close(fd);
	fd = is_ok(open("f", O_PATH), "O_PATH");
	is_errno(read(fd, &c, 1), EBADF, "read on O_PATH");
	is_errno(write(fd, &c, 1), EBADF, "write on O_PATH");
	is_errno(fchmod(fd, 0600), EBADF, "fchmod on O_PATH");
	is_errno(ftruncate(fd, 0), EBADF, "ftruncate on O_PATH");
	is_long(fstat(fd, &(struct stat){}), 0, "fstat on O_PATH");
	is_errno(lseek(fd, 0, SEEK_SET), EBADF, "lseek on O_PATH");
	close(fd);
	is_errno(write(fd, "y", 1), EBADF, "write on a closed descriptor");
	is_errno(read(fd, &c, 1), EBADF, "read on a closed descriptor");
	is_errno(close(fd), EBADF, "close of a closed descriptor");
	is_errno(fstat(fd, &(struct stat){}), EBADF, "fstat of a closed descriptor");
	is_errno(lseek(fd, 0, SEEK_SET), EBADF, "lseek of a closed descriptor");
	is_errno(close(-1), EBADF, "close(-1)");
	is_errno(close(1 << 20), EBADF, "close of a large number");
}

static void t_dirs(void)
{
	char c;
	int fd;

	must(mkdir("d", 0755));
	must(t_put("f", "x"));
	is_errno(open("d", O_WRONLY), EISDIR, "a directory for writing");
	is_errno(open("d", O_RDWR), EISDIR, "a directory for both");
	is_errno(open("d", O_RDONLY | O_CREAT, 0644), EISDIR, "a directory with O_CREAT");
	is_errno(open("d", O_WRONLY | O_TRUNC), EISDIR, "a directory with O_TRUNC");
	is_errno(open("d", O_RDONLY | O_CREAT | O_EXCL, 0644), EEXIST,
		 "a directory with O_EXCL");
	fd = is_ok(open("d", O_RDONLY), "a directory for reading");
	is_errno(read(fd, &c, 1), EISDIR, "read of a directory");
	is_errno(pread(fd, &c, 1, 0), EISDIR, "pread of a directory");
	is_errno(write(fd, &c, 1), EBADF, "write to a directory");
	is_errno(ftruncate(fd, 0), EINVAL, "ftruncate of a directory");
	close(fd);
	is_ok(open("d", O_RDONLY | O_DIRECTORY), "O_DIRECTORY on a directory");
	is_errno(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR, "O_DIRECTORY on a file");
	is_errno(open("none", O_RDONLY | O_DIRECTORY), ENOENT, "O_DIRECTORY on nothing");
	is_ok(open("d/", O_RDONLY), "a directory with a slash after it");
	is_ok(open("d///", O_RDONLY), "with several");
	is_ok(open("d/.", O_RDONLY), "with /.");
	is_ok(open("./d/../f", O_RDONLY), "a file by way of ..");
	is_ok(open(".//d/..//./f", O_RDONLY), "and many slashes");
	is_errno(open("f/", O_RDONLY), ENOTDIR, "a file with a slash after it");
	is_errno(open("f/.", O_RDONLY), ENOTDIR, "a file with /.");
	is_errno(open("f/..", O_RDONLY), ENOTDIR, "a file with /..");
	is_errno(open("f/x", O_RDONLY), ENOTDIR, "a name below a file");
	is_errno(open("f/x", O_WRONLY | O_CREAT, 0644), ENOTDIR, "created below a file");
	is_errno(open("none/", O_RDONLY), ENOENT, "nothing, with a slash after it");
	is_errno(open("new/", O_WRONLY | O_CREAT, 0644), EISDIR, "O_CREAT of a name/");
	is_errno(open("none/x", O_WRONLY | O_CREAT, 0644), ENOENT,
		 "created in a directory that does not exist");
	is_errno(open("d/none/../../f", O_RDONLY), ENOENT, ".. of what does not exist");
	is_errno(open("", O_RDONLY), ENOENT, "the empty name");
	is_errno(open("", O_WRONLY | O_CREAT, 0644), ENOENT, "creating the empty name");
	is_ok(open(".", O_RDONLY), "the current directory");
	is_ok(open("..", O_RDONLY), "its parent");
	is_errno(open(".", O_WRONLY), EISDIR, ". for writing");
	is_errno(open("..", O_RDWR | O_CREAT, 0644), EISDIR, ".. with O_CREAT");
}

static void t_symlinks(void)
{
	char name[32];
	int fd;

	must(mkdir("d", 0755));
	must(t_put("f", "text"));
	must(symlink("f", "lf"));
	must(symlink("d", "ld"));
	must(symlink("self", "self"));
	must(symlink("b", "a"));
	must(symlink("a", "b"));
	must(symlink("none", "dang"));
	is_ok(open("lf", O_RDONLY), "a symlink to a file");
	is_errno(open("lf", O_RDONLY | O_NOFOLLOW), ELOOP, "O_NOFOLLOW on it");
	is_errno(open("ld", O_RDONLY | O_NOFOLLOW), ELOOP,
		 "O_NOFOLLOW on one to a directory");
	is_errno(open("ld", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR,
		 "O_NOFOLLOW and O_DIRECTORY");
	is_ok(open("ld", O_RDONLY | O_DIRECTORY), "O_DIRECTORY follows");
	is_ok(open("ld/", O_RDONLY | O_NOFOLLOW), "O_NOFOLLOW with a slash follows");
	is_errno(open("lf/", O_RDONLY), ENOTDIR, "a symlink to a file with a slash");
	fd = is_ok(open("lf", O_PATH | O_NOFOLLOW), "O_PATH and O_NOFOLLOW");
	ok(fd >= 0 && ({
		   struct stat st;
		   fstat(fd, &st) == 0 && S_ISLNK(st.st_mode);
	   }),
	   "is the symlink itself");
	is_errno(open("self", O_RDONLY), ELOOP, "a symlink to itself");
	is_errno(open("a", O_RDONLY), ELOOP, "a ring of two");
	is_errno(open("a/x", O_RDONLY), ELOOP, "below a ring");
	is_errno(open("self", O_WRONLY | O_CREAT, 0644), ELOOP, "creating by a ring");
	is_errno(open("dang", O_RDONLY), ENOENT, "a dangling symlink");
	is_errno(open("dang/x", O_RDONLY), ENOENT, "below a dangling symlink");
	is_errno(open("dang/", O_WRONLY | O_CREAT, 0644), EISDIR, "creating dangling/");
	must(t_put("d/in", "inside"));
	is_str(t_get("ld/in"), "inside", "through a symlink to a directory");
	is_str(t_get("ld/../f"), "text", ".. of a symlink's target");
	must(symlink("f", "c0"));
	for (int i = 1; i <= 41; i++) {
		char to[32];

		snprintf(to, sizeof(to), "c%d", i - 1);
		snprintf(name, sizeof(name), "c%d", i);
		must(symlink(to, name));
	}
	is_ok(open("c39", O_RDONLY), "a chain of 40 symlinks");
	is_errno(open("c40", O_RDONLY), ELOOP, "a chain of 41");
	snprintf(name, sizeof(name), "abs");
	{
		char target[PATH_MAX + 8];

		snprintf(target, sizeof(target), "%s/f", t_top);
		must(symlink(target, name));
	}
	is_str(t_get("abs"), "text", "an absolute symlink");
}

static void t_names(void)
{
	char name[300], path[PATH_MAX + 300];
	size_t len;

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	is_ok(open(name, O_WRONLY | O_CREAT, 0644), "a name of 255 bytes");
	ok(t_exists(name), "is there");
	name[255] = 'n';
	name[256] = 0;
	is_errno(open(name, O_WRONLY | O_CREAT, 0644), ENAMETOOLONG, "one of 256");
	is_errno(open(name, O_RDONLY), ENAMETOOLONG, "looked up");
	is_errno(mkdir(name, 0755), ENAMETOOLONG, "as a directory");
	is_errno(symlink("x", name), ENAMETOOLONG, "as a symlink");
	is_errno(unlink(name), ENAMETOOLONG, "removed");
	is_errno(rename("x", name), ENOENT,
		 "a rename's new name: the old one comes first");
	must(t_put("f", "text"));
	is_errno(rename("f", name), ENAMETOOLONG, "renamed to");
	is_errno(link("f", name), ENAMETOOLONG, "linked to");
	is_errno(stat(name, &(struct stat){}), ENAMETOOLONG, "stat");
	len = 0;
	while (len < PATH_MAX - 3) {
		path[len++] = '.';
		path[len++] = '/';
	}
	strcpy(path + len, "f");
	for (char *p = path; strlen(p) > PATH_MAX - 1;)
		memmove(p, p + 2, strlen(p) - 1);
	ok(strlen(path) <= PATH_MAX - 1, "a path of %s bytes",
	   "PATH_MAX - 1 or one less");
	is_str(t_get(path), "text", "is good");
	memmove(path + 4, path, strlen(path) + 1);
	memcpy(path, "././", 4);
	is_errno(open(path, O_RDONLY), ENAMETOOLONG, "a longer one is not");
	must(t_put("sp ace", "1"));
	must(t_put("new\nline", "2"));
	must(t_put("\xff\xfe\x80", "3"));
	must(t_put("...", "4"));
	must(t_put("-", "5"));
	must(t_put("*?[]", "6"));
	is_str(t_get("sp ace"), "1", "a space in a name");
	is_str(t_get("new\nline"), "2", "a newline in a name");
	is_str(t_get("\xff\xfe\x80"), "3", "bytes that are no UTF-8");
	is_str(t_get("..."), "4", "three dots");
	is_str(t_get("-"), "5", "a dash");
	is_str(t_get("*?[]"), "6", "what shells expand");
}

static void t_fault(void)
{
	const char *bad = (const char *)8;
	int fd;

	must(t_put("f", "text"));
	fd = must(open("f", O_RDWR));
	is_errno(open(bad, O_RDONLY), EFAULT, "open");
	is_errno(syscall(SYS_stat, bad, &(struct stat){}), EFAULT, "stat's name");
	is_errno(syscall(SYS_stat, "f", bad), EFAULT, "stat's buffer");
	is_errno(syscall(SYS_fstat, fd, bad), EFAULT, "fstat's buffer");
	is_errno(read(fd, (void *)bad, 4), EFAULT, "read");
	is_errno(write(fd, bad, 4), EFAULT, "write");
	is_errno(pread(fd, (void *)bad, 4, 0), EFAULT, "pread");
	is_errno(syscall(SYS_mkdir, bad, 0755), EFAULT, "mkdir");
	is_errno(syscall(SYS_unlink, bad), EFAULT, "unlink");
	is_errno(syscall(SYS_rename, "f", bad), EFAULT, "rename");
	is_errno(syscall(SYS_getcwd, bad, 4096), EFAULT, "getcwd");
	is_errno(syscall(SYS_readlink, "f", bad, 10), EINVAL, "readlink of a file");
	is_errno(syscall(SYS_pipe2, bad, 0), EFAULT, "pipe2");
	is_long(lseek(fd, 0, SEEK_CUR), 0, "the offset did not move");
	is_str(t_get("f"), "text", "nor did the file change");
}

static void t_openat2_flags(void)
{
	int fd;

	must(t_put("f", "text"));
	fd = is_ok(open("f", O_RDONLY | O_CLOEXEC), "O_CLOEXEC");
	is_long(fcntl(fd, F_GETFD), FD_CLOEXEC, "sets FD_CLOEXEC");
	fd = must(open("f", O_RDONLY));
	is_long(fcntl(fd, F_GETFD), 0, "and is not set without");
	fd = is_ok(open("f", O_RDWR | O_NONBLOCK), "O_NONBLOCK on a file");
	is_long(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK, "is kept");
	fd = is_ok(open("f", O_RDWR | O_SYNC), "O_SYNC");
	is_long(write(fd, "T", 1), 1, "and write");
	is_errno(open("f", O_RDWR | O_TMPFILE, 0600), ENOTDIR, "O_TMPFILE on a file");
	is_errno(open(".", O_RDONLY | O_TMPFILE, 0600), EINVAL, "O_TMPFILE for reading");
	is_ok(open("f", O_RDONLY | O_NOCTTY), "O_NOCTTY");
	is_ok(open("f", O_WRONLY | O_DSYNC), "O_DSYNC");
}

static void t_perm(void)
{
	pid_t pid;

	must(t_put("none", "x"));
	must(t_put("ro", "x"));
	must(t_put("wo", "x"));
	must(mkdir("noexec", 0755));
	must(t_put("noexec/f", "x"));
	must(mkdir("nowrite", 0755));
	must(mkdir("noread", 0755));
	must(t_put("noread/f", "x"));
	must(chmod("none", 0));
	must(chmod("ro", 0444));
	must(chmod("wo", 0222));
	must(chmod("noexec", 0666));
	must(chmod("nowrite", 0555));
	must(chmod("noread", 0333));
	pid = t_fork_nobody();
	if (pid == 0) {
		is_errno(open("none", O_RDONLY), EACCES, "mode 0 for reading");
		is_errno(open("none", O_WRONLY), EACCES, "mode 0 for writing");
		is_ok(open("none", O_PATH), "mode 0 with O_PATH");
		is_ok(open("ro", O_RDONLY), "0444 for reading");
		is_errno(open("ro", O_WRONLY), EACCES, "0444 for writing");
		is_errno(open("ro", O_RDONLY | O_TRUNC), EACCES, "0444 with O_TRUNC");
		is_errno(open("ro", O_RDWR | O_CREAT, 0644), EACCES, "0444 with O_CREAT");
		is_ok(open("wo", O_WRONLY), "0222 for writing");
		is_errno(open("wo", O_RDONLY), EACCES, "0222 for reading");
		is_errno(open("wo", O_RDWR), EACCES, "0222 for both");
		is_errno(open("noexec/f", O_RDONLY), EACCES, "below 0666");
		is_errno(open("noexec/none", O_RDONLY), EACCES, "nothing, below 0666");
		is_ok(open("noexec", O_RDONLY), "0666 itself");
		is_errno(open("nowrite/new", O_WRONLY | O_CREAT, 0644), EACCES,
			 "creating in 0555");
		is_ok(open("noread/f", O_RDONLY), "below 0333");
		is_errno(open("noread", O_RDONLY), EACCES, "0333 itself");
		is_ok(open("noread/new", O_WRONLY | O_CREAT, 0644), "creating in 0333");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the unprivileged child ends");
	if (geteuid() == 0) {
		is_ok(open("none", O_RDWR), "root opens mode 0");
		is_ok(open("nowrite/root", O_WRONLY | O_CREAT, 0644),
		      "root creates in 0555");
		is_ok(open("noexec/f", O_RDONLY), "root goes through 0666");
	}
	chmod("noexec", 0755);
	chmod("nowrite", 0755);
	chmod("noread", 0755);
}

T_SECTIONS = {
	{ "create", t_create },	    { "trunc", t_trunc },
	{ "modes", t_modes },	    { "dirs", t_dirs },
	{ "symlinks", t_symlinks }, { "names", t_names },
	{ "fault", t_fault },	    { "flags", t_openat2_flags },
	{ "perm", t_perm },	    T_END,
};
