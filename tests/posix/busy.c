/* SPDX-License-Identifier: MIT */
/* ETXTBSY: what runs is not written, and what is open for writing does not run. */
#include "t.h"

#include <elf.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/socket.h>

extern char **environ;

/* --- programs: copies of this one ------------------------------------------------------ */

static void copy(const char *from, const char *to)
{
	static char buf[65536];
	int in = (int)must(open(from, O_RDONLY)), out;
	ssize_t n;

	out = (int)must(open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755));
	while ((n = must(read(in, buf, sizeof(buf)))) > 0)
		must(write(out, buf, (size_t)n));
	close(in);
	close(out);
}

/* One that runs until it is told to end. */
struct run {
	pid_t pid;
	int said, tell;
};

/* fd >= 0: by fexecve. */
static struct run start_by(int fd, const char *path, const char *sub)
{
	char *argv[] = { (char *)path, (char *)"--sub", (char *)sub, (char *)"arg", NULL };
	struct run r;
	int said[2], tell[2];
	char c = 'x';

	must(pipe2(said, O_CLOEXEC));
	must(pipe2(tell, O_CLOEXEC));
	r.pid = (pid_t)must(fork());
	if (!r.pid) {
		dup2(tell[0], 0);
		dup2(said[1], 1);
		if (fd >= 0)
			fexecve(fd, argv, environ);
		else
			execv(path, argv);
		c = (char)errno;
		if (write(1, &c, 1) != 1)
			_exit(93);
		_exit(92);
	}
	close(tell[0]);
	close(said[1]);
	r.said = said[0];
	r.tell = tell[1];
	if (read(r.said, &c, 1) != 1 || c != 'r') {
		t_diag("it did not start: %d", c);
		t_end(r.pid);
		_exit(91);
	}
	return r;
}
static struct run start(const char *path)
{
	return start_by(-1, path, "run");
}

/* Says that it runs, and ends when nobody has the other end any more. */
static int s_run(int argc, char **argv)
{
	char c = 'r';

	(void)argc, (void)argv;
	if (write(1, &c, 1) != 1)
		return 1;
	return read(0, &c, 1) != 0;
}

static int end(struct run *r)
{
	close(r->tell);
	close(r->said);
	return t_end(r->pid);
}

/* The errno of an exec of it; 0 when it ran, and ended well. */
static int try_at(int fd, const char *path, int flags)
{
	char *argv[] = { (char *)path, (char *)"--sub", (char *)"good", NULL };
	pid_t pid = (pid_t)must(fork());

	if (!pid) {
		syscall(SYS_execveat, fd, path, argv, environ, flags);
		_exit(errno);
	}
	return t_end(pid);
}
static int try(const char *path)
{
	return try_at(AT_FDCWD, path, 0);
}

static int s_good(int argc, char **argv)
{
	(void)argc, (void)argv;
	return 0;
}

/* The errno of an open of it. */
static int may_open(const char *path, int flags)
{
	int fd = open(path, flags, 0755);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* --- what runs ------------------------------------------------------------------------- */

static void t_running(void)
{
	struct run r;
	struct stat st;
	long size;
	pid_t pid;
	int fd;

	copy(t_self, "prog");
	size = t_size("prog");
	must(link("prog", "other"));
	is_long(may_open("prog", O_WRONLY), 0, "it can be opened for writing before");
	r = start("./prog");
	is_long(may_open("prog", O_WRONLY), ETXTBSY, "for writing");
	is_long(may_open("prog", O_RDWR), ETXTBSY, "for both");
	is_long(may_open("prog", O_WRONLY | O_CREAT), ETXTBSY, "O_CREAT");
	is_long(may_open("prog", O_WRONLY | O_CREAT | O_EXCL), EEXIST, "O_EXCL");
	is_long(may_open("prog", O_WRONLY | O_CREAT | O_TRUNC), ETXTBSY, "as creat");
	is_long(may_open("prog", O_RDONLY | O_TRUNC), ETXTBSY, "O_TRUNC");
	is_long(may_open("prog", O_WRONLY | O_APPEND), ETXTBSY, "for appending");
	is_long(may_open("prog", O_WRONLY | O_DIRECTORY), ENOTDIR, "O_DIRECTORY");
	is_long(may_open("other", O_WRONLY), ETXTBSY, "by another name");
	is_long(may_open("prog", O_RDONLY), 0, "for reading");
	is_long(may_open("prog", O_ACCMODE), 0, "for neither");
	is_long(may_open("prog", O_PATH), 0, "O_PATH");
	is_errno(truncate("prog", 0), ETXTBSY, "truncate");
	is_errno(truncate("prog", size), ETXTBSY, "to the same size");
	is_errno(truncate("prog", -1), EINVAL, "to a negative one");
	is_long(t_size("prog"), size, "its size is the same");
	is_long(access("prog", W_OK), 0, "access says that it can be written");
	is_long(chmod("prog", 0700), 0, "chmod");
	is_long(utimensat(AT_FDCWD, "prog", NULL, 0), 0, "utimensat");
	fd = (int)must(open("prog", O_RDONLY));
	is_errno(ftruncate(fd, 0), EINVAL, "ftruncate of one open for reading");
	is_errno(write(fd, "x", 1), EBADF, "write");
	close(fd);
	if (geteuid() == 0) {
		pid = t_fork_nobody();
		if (!pid)
			_exit(may_open("prog", O_WRONLY));
		is_long(t_end(pid), EACCES, "who has no permission hears that");
		pid = t_fork_nobody();
		if (!pid)
			_exit(truncate("prog", 0) ? errno : 0);
		is_long(t_end(pid), EACCES, "of truncate too");
	}
	is_long(try("./prog"), 0, "it can be run again");
	is_long(end(&r), 0, "it ends");
	is_long(may_open("prog", O_RDWR), 0, "it can be written then");
	is_long(truncate("prog", size), 0, "and truncated");
	must(stat("prog", &st));
	is_long((long)st.st_size, size, "to what it was");
}

static void t_names(void)
{
	struct run r;

	copy(t_self, "prog");
	copy(t_self, "new");
	r = start("./prog");
	must(symlink("prog", "sym"));
	is_long(may_open("sym", O_WRONLY), ETXTBSY, "by a symlink");
	is_long(rename("prog", "moved"), 0, "rename");
	is_long(may_open("moved", O_WRONLY), ETXTBSY, "it is still busy");
	is_long(rename("new", "moved"), 0, "another is put in its place");
	is_long(may_open("moved", O_WRONLY), 0, "which can be written");
	is_long(end(&r), 0, "the first one ends");
	r = start("./moved");
	is_long(unlink("moved"), 0, "unlink");
	copy(t_self, "moved");
	is_long(try("./moved"), 0, "a new one by the same name");
	is_long(end(&r), 0, "the old one ends");
}

static int s_self(int argc, char **argv)
{
	(void)argc, (void)argv;
	return may_open("/proc/self/exe", O_WRONLY);
}

static void t_self_exe(void)
{
	char *argv[] = { (char *)"prog", (char *)"--sub", (char *)"self", NULL };
	pid_t pid;

	copy(t_self, "prog");
	pid = (pid_t)must(fork());
	if (!pid) {
		execv("./prog", argv);
		_exit(90);
	}
	is_long(t_end(pid), ETXTBSY, "a program's own file by /proc/self/exe");
}

/* --- what is open for writing ------------------------------------------------------------ */

static int s_writer(int argc, char **argv)
{
	int fd = argc ? open(argv[0], O_WRONLY) : -1;

	if (fd < 0)
		return 1;
	return s_run(0, NULL);
}

static void t_writers(void)
{
	int fd, other;
	pid_t pid;
	struct run w;

	copy(t_self, "prog");
	copy(t_self, "arg"); /* what s_writer writes */
	is_long(try("./prog"), 0, "it runs");
	fd = (int)must(open("prog", O_WRONLY | O_CLOEXEC));
	is_long(try("./prog"), ETXTBSY, "not while it is open for writing");
	other = (int)must(dup(fd));
	close(fd);
	is_long(try("./prog"), ETXTBSY, "nor by a duplicate");
	close(other);
	is_long(try("./prog"), 0, "it runs once that is closed");
	fd = (int)must(open("prog", O_RDWR));
	is_long(try("./prog"), ETXTBSY, "open for both");
	is_long(try_at(fd, "", AT_EMPTY_PATH), ETXTBSY, "by that descriptor itself");
	close(fd);
	fd = (int)must(open("prog", O_RDONLY | O_CLOEXEC));
	is_long(try("./prog"), 0, "open for reading it runs");
	is_long(try_at(fd, "", AT_EMPTY_PATH), 0, "by that descriptor too");
	close(fd);
	fd = (int)must(open("prog", O_ACCMODE));
	is_long(try("./prog"), 0, "open for neither, too");
	close(fd);
	fd = (int)must(open("prog", O_WRONLY));
	must(chmod("prog", 0644));
	is_long(try("./prog"), EACCES, "without the x bit that is said first");
	must(chmod("prog", 0755));
	close(fd);
	w = start_by(-1, t_self, "writer");
	is_long(try("./arg"), ETXTBSY, "another program has it open");
	is_long(end(&w), 0, "which ends");
	is_long(try("./arg"), 0, "it runs then");
	w = start_by(-1, t_self, "writer");
	must(kill(w.pid, SIGKILL));
	is_long(end(&w), 1000 + SIGKILL, "one that is killed");
	is_long(try("./arg"), 0, "it runs then, too");
	fd = (int)must(open("made", O_WRONLY | O_CREAT | O_EXCL, 0755));
	is_long(try("./made"), ETXTBSY, "one that is just being made");
	close(fd);
	is_long(try("./made"), ENOEXEC, "and is empty");
	fd = (int)must(open("prog", O_WRONLY));
	pid = (pid_t)must(fork());
	if (!pid) {
		t_sleep_ms(100000);
		_exit(0);
	}
	close(fd);
	is_long(try("./prog"), ETXTBSY, "a child has it open");
	must(kill(pid, SIGKILL));
	t_end(pid);
	is_long(try("./prog"), 0, "until it is killed");
}

/* Open in a process that executed something else, on whatever core that is. */
static void t_inherited(void)
{
	struct run r;
	int fd;

	copy(t_self, "prog");
	fd = (int)must(open("prog", O_WRONLY));
	r = start(t_self);
	close(fd);
	is_long(try("./prog"), ETXTBSY, "a program inherited it");
	is_long(end(&r), 0, "and ends");
	is_long(try("./prog"), 0, "it runs then");
	fd = (int)must(open("prog", O_WRONLY | O_CLOEXEC));
	r = start(t_self);
	close(fd);
	is_long(try("./prog"), 0, "close-on-exec did not let it through");
	is_long(end(&r), 0, "the program ends");
}

static void t_mapped(void)
{
	static const struct {
		const char *name;
		int open, map;
		int busy;
	} g[] = { { "shared", O_RDWR, MAP_SHARED, ETXTBSY },
		  { "private, of one that is writable", O_RDWR, MAP_PRIVATE, ETXTBSY },
		  { "shared, of one that is not", O_RDONLY, MAP_SHARED, 0 },
		  { "private, of one that is not", O_RDONLY, MAP_PRIVATE, 0 } };
	pid_t pid;
	char *at;
	int fd;

	copy(t_self, "prog");
	for (unsigned i = 0; i < sizeof(g) / sizeof(g[0]); i++) {
		fd = (int)must(open("prog", g[i].open));
		at = mmap(NULL, 8192, PROT_READ, g[i].map, fd, 0);
		must(at == MAP_FAILED ? -1 : 0);
		close(fd);
		is_long(try("./prog"), g[i].busy, "mapped: %s", g[i].name);
		must(munmap(at, 4096));
		is_long(try("./prog"), g[i].busy, "half of it: %s", g[i].name);
		must(munmap(at + 4096, 4096));
		is_long(try("./prog"), 0, "unmapped: %s", g[i].name);
	}
	fd = (int)must(open("prog", O_RDWR));
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	pid = (pid_t)must(fork());
	if (!pid) {
		t_sleep_ms(100000);
		_exit(0);
	}
	must(munmap(at, 4096));
	is_long(try("./prog"), ETXTBSY, "a child has it mapped");
	must(kill(pid, SIGKILL));
	t_end(pid);
	is_long(try("./prog"), 0, "until it is killed");
}

static void t_socket(void)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr h;
	} c = { 0 };
	char byte = 'b';
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = &c,
			    .msg_controllen = sizeof(c.room) };
	int s[2], fd;

	copy(t_self, "prog");
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	fd = (int)must(open("prog", O_WRONLY | O_CLOEXEC));
	c.h.cmsg_level = SOL_SOCKET;
	c.h.cmsg_type = SCM_RIGHTS;
	c.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	must(sendmsg(s[0], &m, 0));
	close(fd);
	is_long(try("./prog"), ETXTBSY, "on its way through a socket");
	must(recvmsg(s[1], &m, MSG_CMSG_CLOEXEC));
	memcpy(&fd, CMSG_DATA(&c.h), sizeof(fd));
	is_long(try("./prog"), ETXTBSY, "received");
	close(fd);
	for (int i = 0; i < 200 && try("./prog") == ETXTBSY; i++)
		t_sleep_ms(10);
	is_long(try("./prog"), 0, "closed");
}

/* --- scripts and interpreters --------------------------------------------------------------- */

static void t_scripts(void)
{
	char *argv[] = { (char *)"script", NULL };
	struct run r;
	pid_t pid;
	int fd;

	/* An interpreter gets one argument: this one is told what to do by its name alone. */
	must(t_put("script", "#!/bin/sh\nexit 0\n"));
	must(chmod("script", 0755));
	fd = (int)must(open("script", O_WRONLY | O_CLOEXEC));
	is_long(try("./script"), ETXTBSY, "a script that is open for writing");
	close(fd);
	is_long(try("./script"), 0, "it runs then");
	must(t_put("wait", "#!/bin/sh\necho r\nread x\nexit 0\n"));
	must(chmod("wait", 0755));
	r = start("./wait");
	is_long(may_open("wait", O_WRONLY), 0, "a script that runs can be written");
	is_long(end(&r), 0, "it ends");
	copy(t_self, "interp");
	must(t_put("script", "#!./interp\n"));
	fd = (int)must(open("interp", O_WRONLY | O_CLOEXEC));
	is_long(try("./script"), ETXTBSY, "its interpreter is open for writing");
	close(fd);
	must(t_put("nested", "#!./script\n"));
	must(chmod("nested", 0755));
	fd = (int)must(open("interp", O_RDWR | O_CLOEXEC));
	is_long(try("./nested"), ETXTBSY, "that of its interpreter");
	close(fd);
	fd = (int)must(open("script", O_WRONLY | O_CLOEXEC));
	is_long(try("./nested"), ETXTBSY, "a script in between");
	close(fd);
	pid = (pid_t)must(fork());
	if (!pid) {
		execv("./script", argv);
		_exit(errno);
	}
	is_long(t_end(pid), 2, "it runs then, and has its own say");
}

/* A copy of this program that wants ./ld.so */
static int with_interpreter(const char *path)
{
	static char buf[4096];
	Elf64_Ehdr *eh = (Elf64_Ehdr *)buf;
	Elf64_Phdr *ph;
	int fd, ret = -1;

	copy(t_self, path);
	fd = (int)must(open(path, O_RDWR));
	must(pread(fd, buf, sizeof(buf), 0));
	ph = (Elf64_Phdr *)(buf + eh->e_phoff);
	for (int i = 0; i < eh->e_phnum; i++) {
		char name[256] = "";

		if (ph[i].p_type != PT_INTERP || ph[i].p_filesz > sizeof(name))
			continue;
		must(pread(fd, name, ph[i].p_filesz, (off_t)ph[i].p_offset));
		copy(name, "ld.so");
		memset(name, 0, sizeof(name));
		strcpy(name, "./ld.so");
		must(pwrite(fd, name, ph[i].p_filesz, (off_t)ph[i].p_offset));
		ret = 0;
	}
	close(fd);
	return ret;
}

static void t_interpreter(void)
{
	struct run r;
	int fd;

	if (!ok(with_interpreter("prog") == 0, "a program with an interpreter of its own"))
		return;
	is_long(try("./prog"), 0, "it runs");
	fd = (int)must(open("ld.so", O_WRONLY | O_CLOEXEC));
	is_long(try("./prog"), ETXTBSY, "not while that is open for writing");
	close(fd);
	must(chmod("ld.so", 0644));
	is_long(try("./prog"), EACCES, "nor while it cannot be executed");
	must(chmod("ld.so", 0755));
	must(rename("ld.so", "away"));
	is_long(try("./prog"), ENOENT, "nor while it is not there");
	must(rename("away", "ld.so"));
	r = start("./prog");
	is_long(may_open("ld.so", O_WRONLY), 0, "it can be written while the program runs");
	is_long(may_open("prog", O_WRONLY), ETXTBSY, "which cannot");
	is_long(end(&r), 0, "it ends");
}

/* --- lives -------------------------------------------------------------------------------- */

/* A child goes on when its parent has ended. */
static int s_forks(int argc, char **argv)
{
	if (fork())
		return 0;
	return s_run(argc, argv);
}

static int s_again(int argc, char **argv)
{
	char *args[] = { (char *)"second", (char *)"--sub", (char *)"run", NULL };

	(void)argc, (void)argv;
	execv("./second", args);
	return errno;
}

static void *thread(void *arg)
{
	(void)arg;
	_exit(s_run(0, NULL));
}

static int s_thread(int argc, char **argv)
{
	pthread_t id;

	(void)argc, (void)argv;
	if (pthread_create(&id, NULL, thread, NULL))
		return 1;
	pthread_exit(NULL);
}

static int s_vfork(int argc, char **argv)
{
	char *args[] = { (char *)"second", (char *)"--sub", (char *)"good", NULL };
	pid_t pid;

	if (posix_spawn(&pid, "./second", NULL, NULL, args, environ) || t_end(pid))
		return 1;
	return s_run(argc, argv);
}

static void t_lives(void)
{
	struct run r;
	char c;
	int fd, i;

	copy(t_self, "prog");
	copy(t_self, "second");
	r = start_by(-1, "./prog", "forks");
	is_long(t_end(r.pid), 0, "the first process ends");
	is_long(may_open("prog", O_WRONLY), ETXTBSY, "its child runs it");
	close(r.tell);
	is_long(read(r.said, &c, 1), 0, "and ends");
	close(r.said);
	for (i = 0; i < 500 && may_open("prog", O_WRONLY); i++)
		t_sleep_ms(10);
	is_long(may_open("prog", O_WRONLY), 0, "it can be written then");
	r = start_by(-1, "./prog", "again");
	is_long(may_open("prog", O_WRONLY), 0, "what executed another file can be written");
	is_long(may_open("second", O_WRONLY), ETXTBSY, "the other one not");
	is_long(end(&r), 0, "it ends");
	is_long(may_open("second", O_WRONLY), 0, "now it can");
	r = start_by(-1, "./prog", "thread");
	is_long(may_open("prog", O_WRONLY), ETXTBSY, "its first thread has ended");
	is_long(end(&r), 0, "now all");
	is_long(may_open("prog", O_WRONLY), 0, "it can be written then");
	r = start_by(-1, "./prog", "vfork");
	is_long(may_open("prog", O_WRONLY), ETXTBSY, "it ran another one by posix_spawn");
	is_long(may_open("second", O_WRONLY), 0, "which can be written");
	is_long(end(&r), 0, "it ends");
	is_long(may_open("prog", O_WRONLY), 0, "it can be written then");
	r = start("./prog");
	must(kill(r.pid, SIGKILL));
	is_long(end(&r), 1000 + SIGKILL, "one that is killed");
	is_long(may_open("prog", O_WRONLY), 0, "can be written");
	fd = (int)must(open("prog", O_RDONLY | O_CLOEXEC));
	r = start_by(fd, "prog", "run");
	close(fd);
	is_long(may_open("prog", O_WRONLY), ETXTBSY, "one that was started by fexecve");
	is_long(end(&r), 0, "ends");
	is_long(may_open("prog", O_WRONLY), 0, "can be written then");
	is_long(try("./garbage"), ENOENT, "an exec that fails");
	must(t_put("garbage", "garbage"));
	must(chmod("garbage", 0755));
	is_long(try("./garbage"), ENOEXEC, "another one");
	is_long(may_open("garbage", O_WRONLY), 0, "leaves nothing behind");
}

/* --- made and run at once, as compilers and make do ------------------------------------------ */

static int s_make(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		copy(t_self, argv[i]);
	return 0;
}

/* Has it open for writing, close-on-exec, and executes who runs it. */
static int s_hand_over(int argc, char **argv)
{
	char *args[] = { t_self, (char *)"--sub", (char *)"runs", argv[0], NULL };

	if (argc != 1 || open(argv[0], O_WRONLY | O_CLOEXEC) < 0)
		return 1;
	execv(t_self, args);
	return errno;
}

static int s_runs(int argc, char **argv)
{
	return argc == 1 ? try(argv[0]) : 1;
}

/* Runs this program, which then writes what ran before. */
static int s_writes(int argc, char **argv)
{
	return argc == 1 ? may_open(argv[0], O_RDWR) : 1;
}

static int s_replaced(int argc, char **argv)
{
	char *args[] = { (char *)"second", (char *)"--sub", (char *)"writes",
			 (char *)"./prog", NULL };

	(void)argc, (void)argv;
	execv("./second", args);
	return errno;
}

static void t_at_once(void)
{
	int bad[5] = { 0 };

	for (int i = 0; i < 20; i++) {
		char *args[] = { (char *)"prog", (char *)"--sub", (char *)"replaced", NULL };
		pid_t pid;

		bad[0] += t_end(t_start(T_EXEC, "make", "./prog", "./second", NULL));
		bad[1] += try("./prog");
		bad[2] += may_open("prog", O_WRONLY);
		bad[3] += t_end(t_start(T_EXEC, "hand_over", "./prog", NULL));
		pid = (pid_t)must(fork());
		if (!pid) {
			execv("./prog", args);
			_exit(errno);
		}
		bad[4] += t_end(pid);
	}
	is_long(bad[0], 0, "a program can be made over the one that just ran");
	is_long(bad[1], 0, "and run at once");
	is_long(bad[2], 0, "and opened for writing when it has ended");
	is_long(bad[3], 0, "close-on-exec closes before the next program runs it");
	is_long(bad[4], 0, "a program that executes another can be written by that one");
}

T_SECTIONS = { { "running", t_running },   { "names", t_names },
	       { "self", t_self_exe },	   { "writers", t_writers },
	       { "inherited", t_inherited }, { "mapped", t_mapped },
	       { "socket", t_socket },	   { "scripts", t_scripts },
	       { "interpreter", t_interpreter }, { "lives", t_lives },
	       { "at_once", t_at_once },   T_END };
T_SUBS = { { "run", s_run },	   { "good", s_good },	   { "self", s_self },
	   { "writer", s_writer }, { "forks", s_forks },
	   { "again", s_again },   { "thread", s_thread }, { "vfork", s_vfork },
	   { "make", s_make },	   { "runs", s_runs },	   { "hand_over", s_hand_over },
	   { "writes", s_writes }, { "replaced", s_replaced }, T_END };
