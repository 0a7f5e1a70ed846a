/* SPDX-License-Identifier: MIT */
/* chmod, chown, umask, access, and who may do what: as root and as an ordinary user. */
#include "t.h"

static void t_chmod(void)
{
	int fd;

	must(t_put("f", ""));
	must(mkdir("d", 0755));
	is_long(chmod("f", 0), 0, "0");
	is_long(t_mode("f"), 0, "is seen");
	is_long(chmod("f", 0777), 0, "0777");
	is_long(chmod("f", 04755), 0, "set-user-id");
	is_long(t_mode("f"), 04755, "is seen, set-user-id");
	is_long(chmod("d", 01777), 0, "sticky");
	is_long(t_mode("d"), 01777, "is seen, sticky");
	is_long(chmod("f", 0100644), 0, "with type bits");
	is_long(t_mode("f"), 0644, "which are ignored");
	fd = must(open("f", O_RDONLY));
	is_long(fchmod(fd, 0600), 0, "fchmod of a read-only descriptor");
	is_long(t_mode("f"), 0600, "is seen, fchmod");
	is_long(fchmodat(AT_FDCWD, "f", 0640, 0), 0, "fchmodat");
	is_long(t_mode("f"), 0640, "is seen, fchmodat");
	must(symlink("f", "l"));
	is_long(chmod("l", 0611), 0, "a symlink");
	is_long(t_mode("f"), 0611, "changes its target");
	is_long(t_mode("l"), 0777, "not itself");
	is_errno(chmod("none", 0), ENOENT, "nothing");
	is_errno(chmod("f/x", 0), ENOTDIR, "below a file");
	is_errno(chmod("", 0), ENOENT, "the empty name");
	is_errno(fchmod(77, 0), EBADF, "no descriptor");
	fd = must(open("d", O_RDONLY));
	is_long(fchmod(fd, 0700), 0, "fchmod of a directory");
	is_long(t_mode("d"), 0700, "is seen, directory");
}

static void t_owner(void)
{
	struct stat st;
	pid_t pid;

	if (geteuid() != 0) {
		must(t_put("f", ""));
		is_errno(chown("f", 0, (gid_t)-1), EPERM, "to root, by a user");
		is_long(chown("f", geteuid(), getegid()), 0, "to oneself");
		is_long(chown("f", (uid_t)-1, (gid_t)-1), 0, "to nobody else");
		return;
	}
	must(t_put("f", ""));
	must(symlink("f", "l"));
	is_long(chown("f", 12, 34), 0, "chown");
	must(stat("f", &st));
	is_long(st.st_uid, 12, "the owner");
	is_long(st.st_gid, 34, "the group");
	is_long(chown("f", (uid_t)-1, 56), 0, "the group alone");
	must(stat("f", &st));
	is_long(st.st_uid, 12, "leaves the owner");
	is_long(st.st_gid, 56, "sets the group");
	is_long(lchown("l", 7, 8), 0, "lchown");
	must(lstat("l", &st));
	is_long(st.st_uid, 7, "changes the symlink");
	is_long(chown("l", 9, 9), 0, "chown of a symlink");
	must(stat("f", &st));
	is_long(st.st_uid, 9, "changes its target");
	must(chmod("f", 06755));
	is_long(chown("f", 1, 1), 0, "chown of a set-user-id file");
	is_long(t_mode("f"), 0755, "clears the bits");
	is_errno(chown("none", 1, 1), ENOENT, "nothing");
	is_errno(chown("f/x", 1, 1), ENOTDIR, "below a file");
	is_errno(fchown(77, 1, 1), EBADF, "no descriptor");
	is_long(fchownat(AT_FDCWD, "l", 3, 3, AT_SYMLINK_NOFOLLOW), 0, "fchownat");
	must(lstat("l", &st));
	is_long(st.st_uid, 3, "of the symlink");
	must(mkdir("g", 0755));
	must(chown("g", 0, 77));
	must(chmod("g", 02777));
	must(t_put("g/f", ""));
	must(stat("g/f", &st));
	is_long(st.st_gid, 77, "a file in a set-group-id directory has its group");
	must(mkdir("mine", 0777));
	must(chmod("mine", 0777));
	pid = t_fork_nobody();
	if (pid == 0) {
		must(t_put("mine/f", ""));
		must(stat("mine/f", &st));
		is_long(st.st_uid, T_NOBODY, "a user's file has the user");
		is_long(st.st_gid, T_NOBODY, "and the group");
		is_errno(chown("mine/f", 0, (gid_t)-1), EPERM, "given away");
		is_errno(chown("mine/f", (uid_t)-1, 0), EPERM, "to another's group");
		is_long(chown("mine/f", T_NOBODY, T_NOBODY), 0, "to oneself");
		is_errno(chown("f", T_NOBODY, (gid_t)-1), EPERM, "another's file taken");
		is_errno(chmod("f", 0777), EPERM, "another's mode");
		is_errno(chmod(".", 0777), EPERM, "another's directory's");
		must(chmod("mine/f", 06755));
		is_long(t_mode("mine/f"), 06755, "set-user-id, before");
		int fd = must(open("mine/f", O_WRONLY));
		must(write(fd, "x", 1));
		is_long(t_mode("mine/f"), 0755, "a user's write clears set-user-id");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the unprivileged child ends");
}

static void t_umask(void)
{
	umask(0);
	must(close(creat("a", 0666)));
	is_long(t_mode("a"), 0666, "0, a file");
	must(mkdir("b", 0777));
	is_long(t_mode("b"), 0777, "0, a directory");
	is_long(umask(0777), 0, "the old one is returned");
	must(close(creat("c", 0666)));
	is_long(t_mode("c"), 0, "0777, a file");
	is_long(umask(022), 0777, "and again");
	must(mkfifo("d", 0666));
	is_long(t_mode("d"), 0644, "a FIFO");
	must(mknod("e", S_IFREG | 0666, 0));
	is_long(t_mode("e"), 0644, "mknod");
	must(symlink("x", "f"));
	is_long(t_mode("f"), 0777, "not for symlinks");
	is_long(umask(01777), 022, "bits beyond 0777");
	is_long(umask(022), 0777, "are not kept");
}

static void t_access(void)
{
	pid_t pid;

	must(t_put("f", ""));
	must(chmod("f", 0640));
	must(t_put("x", ""));
	must(chmod("x", 0711));
	must(mkdir("d", 0755));
	must(t_put("d/f", ""));
	is_long(access("f", F_OK), 0, "F_OK");
	is_long(access("f", R_OK | W_OK), 0, "R_OK and W_OK of one's own");
	is_errno(access("f", X_OK), EACCES, "X_OK without any x bit");
	is_long(access("x", X_OK), 0, "X_OK with one");
	is_errno(access("none", F_OK), ENOENT, "nothing");
	is_errno(access("f/x", F_OK), ENOTDIR, "below a file");
	is_errno(access("f", 8), EINVAL, "a bad mode");
	is_long(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS), 0, "AT_EACCESS");
	is_long(access("d", R_OK | W_OK | X_OK), 0, "a directory");
	must(symlink("none", "l"));
	is_errno(access("l", F_OK), ENOENT, "a dangling symlink");
	must(chmod("d", 0700));
	if (geteuid() != 0)
		return;
	pid = t_fork_nobody();
	if (pid == 0) {
		is_long(access("f", F_OK), 0, "another: F_OK");
		is_errno(access("f", R_OK), EACCES, "another: R_OK of 0640");
		is_errno(access("f", W_OK), EACCES, "another: W_OK of 0640");
		is_long(access("x", X_OK), 0, "another: X_OK of 0711");
		is_errno(access("x", R_OK), EACCES, "another: R_OK of 0711");
		is_errno(access("d/f", F_OK), EACCES, "another: below 0700");
		is_errno(stat("d/f", &(struct stat){}), EACCES,
			 "another: stat below 0700");
		is_errno(readlink("d/f", (char[9]){}, 9), EACCES,
			 "another: readlink there");
		is_errno(chdir("d"), EACCES, "another: chdir to 0700");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the unprivileged child ends");
}

static void t_groups(void)
{
	pid_t pid;

	if (geteuid() != 0) {
		t_skip("root", "groups");
		return;
	}
	must(t_put("own", "x"));
	must(chown("own", T_NOBODY, 0));
	must(chmod("own", 0077));
	must(t_put("grp", "x"));
	must(chown("grp", 0, 5000));
	must(chmod("grp", 0707));
	must(t_put("sup", "x"));
	must(chown("sup", 0, 6000));
	must(chmod("sup", 0060));
	pid = fork();
	if (pid == 0) {
		gid_t sup = 6000;

		must(setgroups(1, &sup));
		must(setgid(5000));
		must(setuid(T_NOBODY));
		is_errno(open("own", O_RDONLY), EACCES, "the owner's bits count, alone");
		is_errno(open("grp", O_RDONLY), EACCES, "the group's bits count, alone");
		is_ok(open("sup", O_RDWR), "a supplementary group counts");
		is_long(chmod("own", 0600), 0, "the owner may change that");
		is_ok(open("own", O_RDWR), "and then open");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the child ends");
	must(chmod("own", 0077));
	pid = fork();
	if (pid == 0) {
		must(setresuid(T_NOBODY, 0, 0));
		is_ok(open("grp", O_RDONLY), "the effective user is root");
		is_errno(access("own", R_OK), EACCES, "access uses the real user");
		is_long(faccessat(AT_FDCWD, "own", R_OK, AT_EACCESS), 0,
			"AT_EACCESS the effective one");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the second child ends");
}

static int s_try(int argc, char **argv)
{
	int fd = open(argv[0], O_RDWR);

	return argc == 1 && fd >= 0 ? 0 : errno;
}

static void t_other(void)
{
	pid_t pid;

	must(t_put("f", "x"));
	must(chmod("f", 0666));
	must(chmod(".", 0777));
	for (int i = 0; i < 2; i++) {
		must(chmod("f", i ? 0600 : 0666));
		pid = t_fork_nobody();
		if (pid == 0)
			_exit(t_end(t_start(T_EXEC, "try", "f", NULL)));
		is_long(t_end(pid), i && geteuid() == 0 ? EACCES : 0,
			"another user, after an exec, mode %s", i ? "0600" : "0666");
	}
}

T_SUBS = { { "try", s_try }, T_END };

T_SECTIONS = {
	{ "chmod", t_chmod },
	{ "owner", t_owner },
	{ "umask", t_umask },
	{ "access", t_access },
	{ "groups", t_groups },
	{ "other", t_other },
	T_END,
};
