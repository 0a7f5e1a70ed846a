/* SPDX-License-Identifier: MIT */
/* flock, POSIX record locks and open-file-description locks between processes. */
#include "t.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/file.h>

static int setlk(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock fl = { .l_type = (short)type,
			    .l_whence = SEEK_SET,
			    .l_start = start,
			    .l_len = len };

	return fcntl(fd, cmd, &fl);
}

/* The type of the lock that stands in the way, and its range in *fl. */
static int getlk(int fd, int type, off_t start, off_t len, struct flock *fl)
{
	*fl = (struct flock){ .l_type = (short)type,
			      .l_whence = SEEK_SET,
			      .l_start = start,
			      .l_len = len };
	return fcntl(fd, F_GETLK, fl) ? -1 : fl->l_type;
}

/* sub "try KIND FILE START LEN": 0 when an exclusive lock was had, 1 when it was refused. */
static int s_try(int argc, char **argv)
{
	int fd = open(argv[1], O_RDWR), r;

	if (fd < 0 || argc != 4)
		return 2;
	if (argv[0][0] == 'f')
		r = flock(fd, LOCK_EX | LOCK_NB);
	else
		r = setlk(fd, argv[0][0] == 'o' ? F_OFD_SETLK : F_SETLK, F_WRLCK,
			  atol(argv[2]), atol(argv[3]));
	if (r == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? 1 : 3;
}

static int refused(const char *kind, const char *file, long start, long len)
{
	return t_end(t_start(T_EXEC, "try", kind, file, t_num(start), t_num(len), NULL));
}

static int s_flock(int argc, char **argv)
{
	return flock(atoi(argv[0]), atoi(argv[1])) ? errno : argc - 2;
}

static void t_flock(void)
{
	int fd, fd2, fd3;

	must(t_put("f", "x"));
	fd = must(open("f", O_RDWR));
	is_long(flock(fd, LOCK_EX), 0, "exclusive");
	is_long(refused("f", "f", 0, 0), 1, "another process is refused");
	fd2 = must(open("f", O_RDWR));
	is_errno(flock(fd2, LOCK_EX | LOCK_NB), EWOULDBLOCK, "another description too");
	is_errno(flock(fd2, LOCK_SH | LOCK_NB), EWOULDBLOCK, "shared too");
	fd3 = must(dup(fd));
	is_long(flock(fd3, LOCK_EX | LOCK_NB), 0, "a copy has it already");
	is_long(flock(fd, LOCK_UN), 0, "unlock");
	is_long(refused("f", "f", 0, 0), 0, "another process may now");
	is_long(flock(fd, LOCK_SH), 0, "shared");
	is_long(flock(fd2, LOCK_SH | LOCK_NB), 0, "shared twice");
	is_long(refused("f", "f", 0, 0), 1, "exclusive is refused");
	must(close(fd2));
	is_long(flock(fd, LOCK_EX | LOCK_NB), 0, "made exclusive");
	must(close(fd));
	is_long(refused("f", "f", 0, 0), 1, "a copy keeps it after a close");
	must(close(fd3));
	is_long(refused("f", "f", 0, 0), 0, "the last close frees it");
	fd = must(open("f", O_RDONLY));
	is_long(flock(fd, LOCK_EX), 0, "read-only descriptors may");
	is_long(t_end(t_start(T_EXEC, "flock", t_num(fd), t_num(LOCK_UN), NULL)), 0,
		"a child unlocks what it inherited");
	is_long(refused("f", "f", 0, 0), 0, "it is free");
	is_errno(flock(fd, 77), EINVAL, "a bad operation");
	is_errno(flock(99, LOCK_EX), EBADF, "no descriptor");
}

/* convert FD OUT: a description of another's to exclusive, and then given back; tells that it begins. */
static int s_convert(int argc, char **argv)
{
	int fd = atoi(argv[0]);

	if (write(atoi(argv[1]), "x", 1) != 1 || flock(fd, LOCK_EX))
		return 1;
	t_sleep_ms(5);
	return flock(fd, LOCK_UN) ? 2 : argc - 2;
}

/* A conversion that has to wait, or fails, has given up what it had. */
static void t_convert(void)
{
	int a, b, p[2];
	pid_t pid[2];
	char c;

	must(t_put("f", "x"));
	a = must(open("f", O_RDWR));
	b = must(open("f", O_RDWR));
	must(pipe(p));
	must(flock(a, LOCK_SH));
	must(flock(b, LOCK_SH));
	is_errno(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK, "another one shares it");
	is_long(flock(b, LOCK_EX | LOCK_NB), 0, "which becomes exclusive: the first one is gone");
	is_errno(flock(a, LOCK_SH | LOCK_NB), EWOULDBLOCK, "and cannot be had");
	is_long(flock(b, LOCK_SH), 0, "shared again");
	is_long(flock(a, LOCK_SH), 0, "by both");
	is_long(flock(a, LOCK_SH | LOCK_NB), 0, "the same again");
	is_long(refused("f", "f", 0, 0), 1, "is kept");
	for (int how = T_FORK; how <= T_EXEC; how++) {
		must(flock(a, LOCK_SH));
		must(flock(b, LOCK_SH));
		for (int i = 0; i < 2; i++) {
			pid[i] = must(t_start(how, "convert", t_num(i ? b : a),
					      t_num(p[1]), NULL));
			must(read(p[0], &c, 1));
		}
		for (int i = 0; i < 2; i++)
			is_long(t_end(pid[i]), 0, "both are converted, one after the other: %d, how %d",
				i, how);
	}
	/* whoever waits for what is given up goes on */
	must(flock(a, LOCK_SH));
	must(flock(b, LOCK_SH));
	pid[0] = must(t_start(T_EXEC, "convert", t_num(b), t_num(p[1]), NULL));
	must(read(p[0], &c, 1));
	t_sleep_ms(30);
	is_long(flock(a, LOCK_EX), 0, "the other one waits without a lock: this one is converted");
	must(flock(a, LOCK_UN));
	is_long(t_end(pid[0]), 0, "then that one");
	pid[0] = must(fork());
	if (!pid[0]) {
		must(flock(must(open("f", O_RDWR)), LOCK_SH));
		must(write(p[1], "x", 1));
		pause();
	}
	must(read(p[0], &c, 1));
	must(flock(a, LOCK_SH));
	must(flock(b, LOCK_SH));
	pid[1] = must(t_start(T_EXEC, "convert", t_num(b), t_num(p[1]), NULL));
	must(read(p[0], &c, 1));
	t_sleep_ms(30);
	is_errno(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK, "a third one shares it");
	must(kill(pid[0], SIGKILL));
	is_long(t_end(pid[0]), 1000 + SIGKILL, "that one is killed");
	is_long(t_end(pid[1]), 0, "who waited has it");
	is_long(setlk(a, F_OFD_SETLK, F_RDLCK, 0, 0), 0, "a description's lock");
	is_long(setlk(b, F_OFD_SETLK, F_RDLCK, 0, 0), 0, "shared");
	is_errno(setlk(a, F_OFD_SETLK, F_WRLCK, 0, 0), EAGAIN, "cannot be made exclusive");
	is_errno(setlk(b, F_OFD_SETLK, F_WRLCK, 0, 0), EAGAIN, "and is kept");
}

static void t_posix(void)
{
	struct flock fl;
	pid_t pid;
	int fd, fd2, p[2];
	char c;

	must(t_put("f", "0123456789"));
	fd = must(open("f", O_RDWR));
	is_long(setlk(fd, F_SETLK, F_WRLCK, 0, 5), 0, "a range, for writing");
	is_long(refused("p", "f", 0, 5), 1, "another process is refused");
	is_long(refused("p", "f", 4, 1), 1, "its last byte");
	is_long(refused("p", "f", 5, 5), 0, "the range after it is free");
	is_long(refused("p", "f", 0, 0), 1, "the whole file");
	is_long(getlk(fd, F_WRLCK, 0, 0, &fl), F_UNLCK, "our own is not in our way");
	is_long(setlk(fd, F_SETLK, F_UNLCK, 2, 1), 0, "unlock the middle");
	is_long(refused("p", "f", 2, 1), 0, "the middle is free");
	is_long(refused("p", "f", 1, 1), 1, "before it is not");
	is_long(refused("p", "f", 3, 1), 1, "nor after it");
	must(pipe(p));
	pid = fork();
	if (pid == 0) {
		is_long(getlk(fd, F_WRLCK, 0, 0, &fl), F_WRLCK,
			"a child has not its parent's");
		is_long(fl.l_pid, getppid(), "F_GETLK names the parent");
		is_long(fl.l_start, 0, "the start");
		is_long(fl.l_len, 2, "the length");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the child ends");
	is_long(refused("p", "f", 1, 1), 1, "its end frees nothing of ours");
	fd2 = must(open("f", O_RDONLY));
	must(close(fd2));
	is_long(refused("p", "f", 1, 1), 0, "closing any descriptor frees all");
	is_long(setlk(fd, F_SETLK, F_RDLCK, 0, 0), 0, "for reading, all");
	pid = fork();
	if (pid == 0) {
		is_long(setlk(fd, F_SETLK, F_RDLCK, 0, 0), 0, "two may read");
		is_errno(setlk(fd, F_SETLK, F_WRLCK, 3, 1), EAGAIN, "none may write");
		is_long(setlk(fd, F_SETLK, F_RDLCK, 1L << 40, 10), 0,
			"far beyond the end");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the second child ends");
	pid = fork();
	if (pid == 0) {
		must(write(p[1], "x", 1));
		_exit(setlk(fd, F_SETLKW, F_WRLCK, 0, 0) != 0);
	}
	must(read(p[0], &c, 1));
	t_sleep_ms(30);
	is_long(waitpid(pid, NULL, WNOHANG), 0, "F_SETLKW waits");
	must(setlk(fd, F_SETLK, F_UNLCK, 0, 0));
	is_long(t_end(pid), 0, "until it is free");
	is_errno(setlk(must(open("f", O_RDONLY)), F_SETLK, F_WRLCK, 0, 0), EBADF,
		 "for writing by a read-only descriptor");
	is_errno(setlk(fd, F_SETLK, F_WRLCK, -1, 1), EINVAL, "a negative start");
	is_errno(setlk(fd, F_SETLK, 99, 0, 1), EINVAL, "a bad type");
}

static int s_hold(int argc, char **argv)
{
	int fd = open("f", O_RDWR);

	if (fd < 0 ||
	    (argv[0][0] == 'f' ? flock(fd, LOCK_EX) : setlk(fd, F_SETLK, F_WRLCK, 0, 0)))
		return 1;
	if (write(atoi(argv[1]), "x", 1) != 1)
		return 2;
	t_sleep_ms(15000);
	return argc;
}

static void t_killed(void)
{
	static const char *const kinds[] = { "f", "p" };

	must(t_put("f", "x"));
	for (int i = 0; i < 2; i++) {
		int p[2];
		pid_t pid;
		char c;

		must(pipe(p));
		pid = must(t_start(T_EXEC, "hold", kinds[i], t_num(p[1]), NULL));
		must(read(p[0], &c, 1));
		is_long(refused(kinds[i], "f", 0, 0), 1, "another holds it, kind %s",
			kinds[i]);
		must(kill(pid, SIGKILL));
		is_long(t_end(pid), 1000 + SIGKILL, "it is killed, kind %s", kinds[i]);
		is_long(refused(kinds[i], "f", 0, 0), 0, "the lock is free, kind %s",
			kinds[i]);
	}
}

static void t_ofd(void)
{
	int fd, fd2;

	must(t_put("f", "0123456789"));
	fd = must(open("f", O_RDWR));
	fd2 = must(open("f", O_RDWR));
	is_long(setlk(fd, F_OFD_SETLK, F_WRLCK, 0, 0), 0, "a description's lock");
	is_errno(setlk(fd2, F_OFD_SETLK, F_WRLCK, 0, 0), EAGAIN, "another is refused");
	is_long(refused("o", "f", 0, 0), 1, "another process too");
	is_long(refused("p", "f", 0, 0), 1, "a POSIX lock too");
	must(close(must(open("f", O_RDONLY))));
	is_errno(setlk(fd2, F_OFD_SETLK, F_RDLCK, 0, 0), EAGAIN,
		 "another close frees nothing");
	must(close(fd));
	is_long(setlk(fd2, F_OFD_SETLK, F_WRLCK, 0, 0), 0, "its own close does");
}

/* Another descriptor, of Hare's or the host's kind, takes the place of one of the file. */
static void t_dup_over(void)
{
	for (int i = 0; i < 4; i++) {
		int fd, by = i < 2 ? must(eventfd(0, 0)) : must(open("g", O_RDWR | O_CREAT, 0644));

		must(t_put("f", "x"));
		fd = must(open("f", O_RDWR));
		must(setlk(fd, F_SETLK, F_WRLCK, 0, 0));
		is_long(refused("p", "f", 0, 0), 1, "locked, %d", i);
		is_errno(dup3(999, fd, 0), EBADF, "nothing over it, %d", i);
		is_long(refused("p", "f", 0, 0), 1, "it keeps its locks, %d", i);
		is_long(i % 2 ? dup2(by, fd) : dup3(by, fd, O_CLOEXEC), fd, "a descriptor over it, %d", i);
		is_long(refused("p", "f", 0, 0), 0, "gives its locks back, %d", i);
		must(close(fd));
		must(close(by));
	}
}

static int s_exec(int argc, char **argv)
{
	(void)argv;
	return refused("p", "f", 0, 0) * 10 + argc;
}

static void t_exec(void)
{
	int fd;
	pid_t pid;

	must(t_put("f", "x"));
	fd = must(open("f", O_RDWR));
	pid = fork();
	if (pid == 0) {
		must(setlk(fd, F_SETLK, F_WRLCK, 0, 0));
		execl(t_self, t_self, "--sub", "exec", NULL);
		_exit(9);
	}
	is_long(t_end(pid), 10, "a POSIX lock stays over exec");
	is_long(refused("p", "f", 0, 0), 0, "and is free at the end");
	is_long(lockf(fd, F_TLOCK, 0), 0, "lockf");
	is_long(refused("p", "f", 0, 0), 1, "locks");
}

/* sub "move PATH STEP MODE TELL GO FD FD2": a program of which each exec goes to the next of the cores in
 * PATH, where there are that many. On the first one it locks FD, on the last one it tells, and goes on when it is
 * told. MODE: h, to its end; w, to wait for FD2's lock. */
static void move(int argc, char **argv)
{
	char *args[T_MAX_ARGS] = { t_self, (char *)"--sub", (char *)"move" };
	int step = atoi(argv[1]);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(argv[0][step] - '0', &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	for (int i = 0; i < argc; i++)
		args[3 + i] = argv[i];
	args[4] = t_num(step + 1);
	execv(t_self, args);
	_exit(95);
}

static int s_move(int argc, char **argv)
{
	int step = atoi(argv[1]), tell = atoi(argv[3]), go = atoi(argv[4]);
	int fd = atoi(argv[5]);
	char c;

	if (step == 1 && setlk(fd, F_SETLK, F_WRLCK, 0, 0))
		return 2;
	if (argv[0][step])
		move(argc, argv);
	if (write(tell, "x", 1) != 1 || read(go, &c, 1) != 1)
		return 3;
	if (argv[2][0] != 'w')
		return 0;
	return setlk(atoi(argv[6]), F_SETLKW, F_WRLCK, 0, 0) ? errno : 0;
}

struct moved {
	pid_t pid;
	int told, go;
};

/* Started, and where it goes. The intermediate host processes have time to end. */
static struct moved start_moved(const char *path, const char *mode, const char *file,
				const char *other)
{
	int p[2], q[2], fd, fd2;
	struct moved m;
	char c;

	must(pipe(p));
	must(pipe(q));
	m = (struct moved){ .pid = must(fork()), .told = p[0], .go = q[1] };
	if (m.pid == 0) {
		char *argv[] = { (char *)path, (char *)"0", (char *)mode, t_num(p[1]),
				 t_num(q[0]),  NULL,	    NULL };

		must(close(p[0]));
		must(close(q[1]));
		argv[5] = t_num(fd = must(open(file, O_RDWR)));
		argv[6] = t_num(fd2 = must(open(other, O_RDWR)));
		move(7, argv);
	}
	must(close(p[1]));
	must(close(q[0]));
	if (read(p[0], &c, 1) != 1)
		t_diag("it never came to the end of '%s'", path);
	t_sleep_ms(200);
	return m;
}

static int end_moved(struct moved *m, const char *how)
{
	if (*how == 'k')
		must(kill(m->pid, SIGKILL));
	else
		must(write(m->go, "x", 1));
	must(close(m->go));
	must(close(m->told));
	return t_end(m->pid);
}

static void t_moved(void)
{
	static const char *const paths[] = { "01",  "11",  "10",  "012",
					     "120", "102", "121", "0120" };
	struct flock fl;
	int fd;

	must(t_put("f", "x"));
	must(t_put("g", "x"));
	fd = must(open("f", O_RDWR));
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *how = i % 2 ? "killed" : "ended";
		struct moved m = start_moved(paths[i], "h", "f", "g");

		is_long(getlk(fd, F_WRLCK, 0, 0, &fl), F_WRLCK, "%s: it has its lock",
			paths[i]);
		is_long(fl.l_pid, m.pid, "%s: by its number", paths[i]);
		is_long(end_moved(&m, how), *how == 'k' ? 1000 + SIGKILL : 0, "%s: %s",
			paths[i], how);
		for (int n = 0; n < 2000 && getlk(fd, F_WRLCK, 0, 0, &fl) != F_UNLCK; n++)
			t_sleep_ms(10);
		is_long(getlk(fd, F_WRLCK, 0, 0, &fl), F_UNLCK,
			"%s: %s: the lock is free", paths[i], how);
	}
	must(close(fd));
}

/* What it waits for elsewhere closes a cycle with what it locked before. */
static void t_moved_cycle(void)
{
	static const char *const paths[] = { "10", "12", "121", "102" };
	int f, g, first, second;

	must(t_put("f", "x"));
	must(t_put("g", "x"));
	f = must(open("f", O_RDWR));
	g = must(open("g", O_RDWR));
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct moved m = start_moved(paths[i], "w", "f", "g");

		must(setlk(g, F_SETLK, F_WRLCK, 0, 0));
		must(write(m.go, "x", 1));
		first = setlk(f, F_SETLKW, F_WRLCK, 0, 0) ? errno : 0;
		must(setlk(g, F_SETLK, F_UNLCK, 0, 0));
		must(setlk(f, F_SETLK, F_UNLCK, 0, 0));
		second = t_end(m.pid);
		ok((first == EDEADLK && second == 0) ||
			   (first == 0 && second == EDEADLK),
		   "%s: one of the two is told of the deadlock", paths[i]);
		must(close(m.go));
		must(close(m.told));
	}
}

/* Exec closes a descriptor, and with it goes what the process has locked in that file. */
static void t_cloexec(void)
{
	static const int flags[] = { O_RDONLY, O_RDWR };
	struct flock fl;
	int fd;

	must(t_put("f", "x"));
	must(t_put("g", "x"));
	fd = must(open("f", O_RDWR));
	for (int i = 0; i < 8; i++) {
		int p[2], q[2];
		char c;
		pid_t pid;

		must(pipe(p));
		must(pipe(q));
		pid = must(fork());
		if (pid == 0) {
			int own = must(open("f", flags[i % 2] | O_CLOEXEC));
			int other = must(open("g", O_RDWR));
			char *argv[] = { (char *)(i < 4 ? "12" : "01"),
					 (char *)"0",
					 (char *)"h",
					 t_num(p[1]),
					 t_num(q[0]),
					 t_num(other),
					 NULL };

			must(setlk(own, F_SETLK, i % 2 ? F_WRLCK : F_RDLCK, 0, 0));
			must(close(q[1]));
			move(6, argv);
		}
		must(close(p[1]));
		must(close(q[0]));
		is_long(read(p[0], &c, 1), 1, "%d: the program runs", i);
		is_long(getlk(fd, F_WRLCK, 0, 0, &fl), F_UNLCK, "%d: the lock is free",
			i);
		must(write(q[1], "x", 1));
		is_long(t_end(pid), 0, "%d: the program's end", i);
		must(close(p[0]));
		must(close(q[1]));
	}
}

/* Two processes count in a file under a lock: no count is lost. */
static int s_count(int argc, char **argv)
{
	int fd = open("n", O_RDWR), kind = argv[0][0];
	int n;

	for (int i = 0; i < 200; i++) {
		if (kind == 'f' ? flock(fd, LOCK_EX) : setlk(fd, F_SETLKW, F_WRLCK, 0, 0))
			return 1;
		if (pread(fd, &n, sizeof(n), 0) != sizeof(n))
			return 2;
		n++;
		if (pwrite(fd, &n, sizeof(n), 0) != sizeof(n))
			return 3;
		if (kind == 'f' ? flock(fd, LOCK_UN) : setlk(fd, F_SETLK, F_UNLCK, 0, 0))
			return 4;
	}
	return argc - 1;
}

static void t_count(void)
{
	static const char *const kinds[] = { "f", "p" };

	for (int i = 0; i < 2; i++) {
		int fd = must(open("n", O_RDWR | O_CREAT | O_TRUNC, 0644)), n = 0;
		pid_t a, b;

		must(write(fd, &n, sizeof(n)));
		a = must(t_start(T_EXEC, "count", kinds[i], NULL));
		b = must(t_start(T_EXEC, "count", kinds[i], NULL));
		is_long(t_end(a), 0, "one counts, kind %s", kinds[i]);
		is_long(t_end(b), 0, "another counts, kind %s", kinds[i]);
		close(fd);
		fd = must(open("n", O_RDONLY));
		must(read(fd, &n, sizeof(n)));
		is_long(n, 400, "no count is lost, kind %s", kinds[i]);
		must(close(fd));
	}
}

static int lock_whole(int fd, int kind, int type)
{
	if (kind == 'f')
		return flock(fd, type == F_WRLCK ? LOCK_EX : LOCK_UN);
	return setlk(fd, F_SETLKW, type, 0, 0);
}

/* Each adds the record after the last one, at the end, under a lock that is given back in
 * one way or another. */
static int s_log(int argc, char **argv)
{
	int fd = open("log", O_RDWR), kind = argv[0][0];
	char rec[101];

	for (int i = 0; i < 120; i++) {
		off_t end;
		int n = -1;

		if (lock_whole(fd, kind, F_WRLCK))
			return 1;
		end = lseek(fd, 0, SEEK_END);
		if (end > 0 && (pread(fd, rec, 100, end - 100) != 100 ||
				sscanf(rec, "record %d", &n) != 1))
			return 2;
		snprintf(rec, sizeof(rec), "record %-92d\n", n + 1);
		if (write(fd, rec, 60) != 60 || write(fd, rec + 60, 40) != 40)
			return 3;
		if (i % 3 == 2) {
			close(fd);
			fd = open("log", O_RDWR);
		} else if (lock_whole(fd, kind, F_UNLCK)) {
			return 4;
		}
	}
	return argc - 1; /* the lock may be held: it goes with the process */
}

static void t_log(void)
{
	static const char *const kinds[] = { "f", "p" };
	char rec[101] = "";

	for (int i = 0; i < 2; i++) {
		int fd = must(open("log", O_RDWR | O_CREAT | O_TRUNC, 0644)), n, bad = 0;
		pid_t pid[3];

		for (int k = 0; k < 3; k++)
			pid[k] = must(t_start(T_EXEC, "log", kinds[i], NULL));
		for (int k = 0; k < 3; k++)
			is_long(t_end(pid[k]), 0, "writer %d, kind %s", k, kinds[i]);
		must(close(fd));
		fd = must(open("log", O_RDONLY));
		for (int k = 0; k < 360; k++)
			bad += read(fd, rec, 100) != 100 ||
			       sscanf(rec, "record %d", &n) != 1 || n != k ||
			       rec[99] != '\n';
		is_long(bad, 0, "all records, in order, kind %s", kinds[i]);
		is_long(read(fd, rec, 100), 0, "and no more, kind %s", kinds[i]);
		must(close(fd));
	}
}

/* Counts through a shared mapping that stays. */
static int s_mapped(int argc, char **argv)
{
	int fd = open("m", O_RDWR), kind = argv[0][0];
	volatile int *n = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (n == MAP_FAILED)
		return 1;
	for (int i = 0; i < 100; i++) {
		if (lock_whole(fd, kind, F_WRLCK))
			return 2;
		n[0]++;
		n[1500]++;
		if (lock_whole(fd, kind, F_UNLCK))
			return 3;
	}
	return argc - 1;
}

static void t_mapped(void)
{
	static const char *const kinds[] = { "f", "p" };

	for (int i = 0; i < 2; i++) {
		int fd = must(open("m", O_RDWR | O_CREAT | O_TRUNC, 0644)), n = 0;
		pid_t pid[3];

		must(ftruncate(fd, 8192));
		must(close(fd));
		for (int k = 0; k < 3; k++)
			pid[k] = must(t_start(T_EXEC, "mapped", kinds[i], NULL));
		for (int k = 0; k < 3; k++)
			is_long(t_end(pid[k]), 0, "counter %d, kind %s", k, kinds[i]);
		fd = must(open("m", O_RDONLY));
		must(pread(fd, &n, sizeof(n), 0));
		is_long(n, 300, "no count is lost, kind %s", kinds[i]);
		must(pread(fd, &n, sizeof(n), 6000));
		is_long(n, 300, "no count is lost in another block, kind %s", kinds[i]);
		must(close(fd));
	}
}

enum { WAITERS = 860 };

static void *waiter(void *arg)
{
	int *fd_and_pipe = arg;

	if (write(fd_and_pipe[1], "x", 1) == 1)
		setlk(fd_and_pipe[0], F_SETLKW, F_WRLCK, 0, 1);
	return NULL;
}

/* A process of many threads that all wait for a lock is killed: the lock is as good as before. */
static void t_many(void)
{
	int fd, p[2];
	pid_t pid;
	char c;

	must(t_put("f", "0123456789"));
	fd = must(open("f", O_RDWR));
	must(pipe(p));
	must(setlk(fd, F_SETLK, F_WRLCK, 0, 0));
	pid = must(fork());
	if (!pid) {
		int arg[2] = { must(open("f", O_RDWR)), p[1] };
		pthread_attr_t a;
		pthread_t t;

		pthread_attr_init(&a);
		pthread_attr_setstacksize(&a, 65536);
		for (int i = 0; i < WAITERS; i++)
			if (pthread_create(&t, &a, waiter, arg))
				_exit(1);
		pause();
	}
	must(close(p[1]));
	for (int i = 0; i < WAITERS && read(p[0], &c, 1) == 1; i++)
		;
	t_sleep_ms(200);
	must(kill(pid, SIGKILL));
	is_long(t_end(pid), 1000 + SIGKILL, "a process with many waiting threads is killed");
	is_long(setlk(fd, F_SETLK, F_UNLCK, 0, 0), 0, "unlock");
	is_long(setlk(fd, F_SETLK, F_WRLCK, 0, 0), 0, "the lock is free");
	must(close(fd));
}

/* touch FILE: made where this program runs. */
static int s_touch(int argc, char **argv)
{
	return t_put(argv[0], "x") || argc != 1;
}

/* cycle OWN OTHER IN OUT: locks OWN, and when told, waits for OTHER. 'D': a deadlock. Then all is
 * given back. */
static int s_cycle(int argc, char **argv)
{
	int own = open(argv[0], O_RDWR), other = open(argv[1], O_RDWR);
	int in = atoi(argv[2]), out = atoi(argv[3]);
	char c = 'G';

	if (setlk(own, F_SETLK, F_WRLCK, 0, 0) || write(out, "r", 1) != 1 ||
	    read(in, &c, 1) != 1)
		return 1;
	c = 'G';
	if (setlk(other, F_SETLKW, F_WRLCK, 0, 0))
		c = errno == EDEADLK ? 'D' : 'E';
	setlk(own, F_SETLK, F_UNLCK, 0, 0);
	return write(out, &c, 1) != 1 || argc != 4;
}

/* n processes, each with a lock that the next one waits for; how many found the deadlock: 1. */
static void cycle(int how, int n, int together, const char *what)
{
	int go[4][2], out[2], found = 0, granted = 0;
	pid_t pid[4];
	char c;

	must(pipe(out));
	for (int i = 0; i < n; i++) {
		must(pipe(go[i]));
		pid[i] = must(t_start(how, "cycle", t_num(i), t_num((i + 1) % n),
				      t_num(go[i][0]), t_num(out[1]), NULL));
		must(read(out[0], &c, 1));
	}
	for (int i = 0; i < n; i++) {
		must(write(go[i][1], "g", 1));
		if (!together)
			t_sleep_ms(30); /* about to wait, mostly; any order is right */
	}
	for (int i = 0; i < n; i++) {
		must(read(out[0], &c, 1));
		found += c == 'D';
		granted += c == 'G';
	}
	is_long(found, 1, "%s: one of %d finds a deadlock", what, n);
	is_long(granted, n - 1, "%s: the others get their locks", what);
	for (int i = 0; i < n; i++) {
		is_long(t_end(pid[i]), 0, "%s: process %d", what, i);
		close(go[i][0]);
		close(go[i][1]);
	}
	close(out[0]);
	close(out[1]);
}

static void t_deadlock(void)
{
	for (int i = 0; i < 4; i++)
		must(t_end(t_start(i % 2 ? T_EXEC : T_FORK, "touch", t_num(i), NULL)));
	cycle(T_EXEC, 2, 0, "one after the other");
	cycle(T_EXEC, 3, 0, "one after the other");
	cycle(T_FORK, 4, 0, "children");
	for (int i = 0; i < 8; i++)
		cycle(i % 2 ? T_EXEC : T_FORK, 2 + i % 3, 1, "at once");
}

/* Waits that end in nobody's wait are no deadlock, however many there are. */
static int s_queue(int argc, char **argv)
{
	int a = open("0", O_RDWR), b = open("1", O_RDWR);

	for (int i = 0; i < 30; i++) {
		if (setlk(a, F_SETLKW, F_WRLCK, 0, 0) || setlk(b, F_SETLKW, F_WRLCK, 0, 0))
			return 1;
		setlk(i % 2 ? a : b, F_SETLK, F_UNLCK, 0, 0);
		setlk(i % 2 ? b : a, F_SETLK, F_UNLCK, 0, 0);
	}
	return argc != 1 || !argv[0];
}

static void t_queue(void)
{
	pid_t pid[4];

	for (int i = 0; i < 2; i++)
		must(t_end(t_start(i % 2 ? T_EXEC : T_FORK, "touch", t_num(i), NULL)));
	for (int i = 0; i < 4; i++)
		pid[i] = must(t_start(i % 2 ? T_EXEC : T_FORK, "queue", "x", NULL));
	for (int i = 0; i < 4; i++)
		is_long(t_end(pid[i]), 0, "in one order: no deadlock");
}

T_SUBS = { { "try", s_try },   { "flock", s_flock }, { "hold", s_hold },
	   { "convert", s_convert }, { "exec", s_exec }, { "move", s_move },
	   { "count", s_count },
	   { "log", s_log },       { "mapped", s_mapped },
	   { "touch", s_touch },   { "cycle", s_cycle }, { "queue", s_queue }, T_END };

T_SECTIONS = {
	{ "flock", t_flock },
	{ "convert", t_convert },
	{ "posix", t_posix },
	{ "killed", t_killed },
	{ "ofd", t_ofd },
	{ "dup_over", t_dup_over },
	{ "exec", t_exec },
	{ "moved", t_moved },
	{ "moved_cycle", t_moved_cycle },
	{ "cloexec", t_cloexec },
	{ "count", t_count },
	{ "log", t_log },
	{ "mapped", t_mapped },
	{ "many", t_many },
	{ "deadlock", t_deadlock },
	{ "queue", t_queue },
	T_END,
};
