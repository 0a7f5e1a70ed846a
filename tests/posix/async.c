/* SPDX-License-Identifier: MIT */
/* Signals about pipes: O_ASYNC, FIOASYNC, F_SETOWN and F_SETSIG, of processes wherever they run. */
#include "t.h"

#include <pthread.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#define RT	  SIGRTMIN
#define BAND_IN	  (POLLIN | POLLRDNORM)
#define BAND_OUT  (POLLOUT | POLLWRNORM | POLLWRBAND)
#define COMES_MS  10000
#define ABSENT_MS 60

static sigset_t all;
static char page[65536];

static void block(void)
{
	sigemptyset(&all);
	sigaddset(&all, SIGIO);
	sigaddset(&all, RT);
	sigaddset(&all, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &all, NULL));
}

/* The next of them; 0: none in that time. */
static int next_within(siginfo_t *si, int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
	int sig;

	memset(si, 0, sizeof(*si));
	do
		sig = sigtimedwait(&all, si, &ts);
	while (sig < 0 && errno == EINTR);
	return sig < 0 ? 0 : sig;
}

static void comes(int sig, int code, int fd, const char *what)
{
	long band = code == POLL_IN ? BAND_IN : BAND_OUT;
	siginfo_t si;

	if (!is_long(next_within(&si, COMES_MS), sig, "%s", what))
		return;
	if (code == SI_KERNEL)
		ok(si.si_code == code && !si.si_pid && !si.si_errno, "%s: from the kernel", what);
	else
		ok(si.si_code == code && si.si_band == band && si.si_fd == fd && !si.si_errno,
		   "%s: how, and what", what);
}

static void absent(const char *what)
{
	siginfo_t si;

	is_long(next_within(&si, ABSENT_MS), 0, "%s", what);
}

static void drop_all(void)
{
	siginfo_t si;

	while (next_within(&si, ABSENT_MS))
		;
}

static void async(int fd, int on)
{
	long fl = must(fcntl(fd, F_GETFL));

	must(fcntl(fd, F_SETFL, on ? fl | O_ASYNC : fl & ~O_ASYNC));
}

static void t_readers(void)
{
	int p[2], q;

	block();
	must(pipe2(p, O_NONBLOCK));
	must(fcntl(p[0], F_SETOWN, getpid()));
	must(write(p[1], "x", 1));
	absent("nobody asked");
	async(p[0], 1);
	ok(fcntl(p[0], F_GETFL) & O_ASYNC, "O_ASYNC is seen");
	absent("what is there already");
	must(write(p[1], "x", 1));
	comes(SIGIO, SI_KERNEL, 0, "something to read");
	must(write(p[1], "x", 1));
	comes(SIGIO, SI_KERNEL, 0, "more");
	must(write(p[1], "x", 0));
	absent("nothing");
	must(read(p[0], page, 1));
	absent("a read is no news for the reader");
	is_long(fcntl(p[0], F_SETSIG, RT), 0, "F_SETSIG");
	is_long(fcntl(p[0], F_GETSIG), RT, "F_GETSIG");
	must(write(p[1], "x", 1));
	must(write(p[1], "x", 1));
	comes(RT, POLL_IN, p[0], "a signal of its own");
	comes(RT, POLL_IN, p[0], "for each write");
	must(fcntl(p[0], F_SETSIG, SIGUSR1));
	must(write(p[1], "x", 1));
	comes(SIGUSR1, POLL_IN, p[0], "another one");
	must(fcntl(p[0], F_SETSIG, SIGIO));
	must(write(p[1], "x", 1));
	comes(SIGIO, POLL_IN, p[0], "SIGIO by name");
	must(fcntl(p[0], F_SETSIG, 0));
	while (write(p[1], page, 4096) > 0)
		;
	while (write(p[1], page, 1) > 0)
		;
	comes(SIGIO, SI_KERNEL, 0, "no longer");
	drop_all();
	is_errno(write(p[1], page, 1), EAGAIN, "no room");
	comes(SIGIO, SI_KERNEL, 0, "a write that found no room");
	async(p[0], 0);
	is_long(fcntl(p[0], F_GETFL) & O_ASYNC, 0, "O_ASYNC is taken away");
	must(read(p[0], page, sizeof(page)));
	must(write(p[1], "x", 1));
	absent("then nothing comes");
	async(p[0], 1);
	q = (int)must(dup(p[0]));
	must(close(p[0]));
	must(write(p[1], "x", 1));
	comes(SIGIO, SI_KERNEL, 0, "a duplicate keeps it");
	must(close(p[1]));
	comes(SIGIO, SI_KERNEL, 0, "hung up");
	must(close(q));
	absent("closed");
}

static void t_writers(void)
{
	int p[2], on = 1;

	block();
	must(pipe2(p, O_NONBLOCK));
	is_long(ioctl(p[1], FIOASYNC, &on), 0, "FIOASYNC");
	must(fcntl(p[1], F_SETSIG, RT));
	must(write(p[1], "abc", 3));
	must(read(p[0], page, 1));
	absent("nobody is the owner");
	must(fcntl(p[1], F_SETOWN, getpid()));
	must(write(p[1], "abc", 3));
	absent("a write is no news for the writer");
	must(read(p[0], page, 1));
	comes(RT, POLL_OUT, p[1], "a read");
	must(read(p[0], page, 100));
	comes(RT, POLL_OUT, p[1], "another one");
	is_errno(read(p[0], page, 1), EAGAIN, "nothing there");
	comes(RT, POLL_OUT, p[1], "one that found nothing");
	while (write(p[1], page, 4096) > 0)
		;
	must(read(p[0], page, 1));
	comes(RT, POLL_OUT, p[1], "of a full one");
	must(fcntl(p[1], F_SETOWN, 0));
	must(read(p[0], page, 1));
	absent("no owner any more");
	must(fcntl(p[1], F_SETOWN, getpid()));
	must(close(p[0]));
	comes(RT, POLL_OUT, p[1], "nobody reads it");
	absent("once");
	must(close(p[1]));
	absent("closed");
}

static void t_fifo(void)
{
	int fd, other, packets[2];

	block();
	must(mkfifo("fifo", 0600));
	fd = (int)must(open("fifo", O_RDWR | O_NONBLOCK));
	must(fcntl(fd, F_SETOWN, getpid()));
	must(fcntl(fd, F_SETSIG, RT));
	async(fd, 1);
	must(write(fd, "x", 1));
	comes(RT, POLL_IN, fd, "both ends: a write");
	must(read(fd, page, 1));
	comes(RT, POLL_OUT, fd, "a read");
	other = (int)must(open("fifo", O_RDONLY));
	must(close(other));
	absent("others open and close it");
	must(pipe2(packets, O_DIRECT));
	must(fcntl(packets[0], F_SETOWN, getpid()));
	async(packets[0], 1);
	must(write(packets[1], "x", 1));
	comes(SIGIO, SI_KERNEL, 0, "a packet");
	must(splice(packets[0], NULL, fd, NULL, 1, 0));
	comes(RT, POLL_IN, fd, "what was spliced");
}

static void t_inotify(void)
{
	int in = (int)must(inotify_init1(IN_NONBLOCK));

	block();
	must(inotify_add_watch(in, ".", IN_CREATE));
	must(fcntl(in, F_SETOWN, getpid()));
	must(fcntl(in, F_SETSIG, RT));
	async(in, 1);
	must(close((int)must(open("f", O_CREAT | O_WRONLY, 0600))));
	comes(RT, POLL_IN, in, "an event");
	ok(read(in, page, sizeof(page)) > 0, "is there");
}

/* Descriptions told whom they belong to. */
static void t_told(void)
{
	struct f_owner_ex x;
	int p[2], fd = (int)must(open("f", O_RDWR | O_CREAT, 0600));
	pid_t pid;

	must(pipe(p));
	is_long(fcntl(p[0], F_GETOWN), 0, "nobody");
	is_long(fcntl(p[0], F_GETSIG), 0, "no signal of its own");
	is_errno(fcntl(p[0], F_SETOWN, INT_MIN), EINVAL, "no number");
	is_errno(fcntl(p[0], F_SETOWN, 4000000), ESRCH, "no process");
	is_errno(fcntl(p[0], F_SETOWN, -4000000), ESRCH, "no group");
	is_errno(fcntl(p[0], F_SETSIG, 65), EINVAL, "no signal");
	is_errno(fcntl(p[0], F_SETSIG, -1), EINVAL, "none, either");
	for (int i = 0; i < 2; i++) {
		int d = i ? fd : p[0];

		x = (struct f_owner_ex){ F_OWNER_TID, getpid() };
		is_long(fcntl(d, F_SETOWN_EX, &x), 0, "a thread, %d", i);
		is_long(fcntl(d, F_GETOWN) == getpid(), 1, "F_GETOWN, %d", i);
		memset(&x, 1, sizeof(x));
		must(fcntl(d, F_GETOWN_EX, &x));
		ok(x.type == F_OWNER_TID && x.pid == getpid(), "F_GETOWN_EX, %d", i);
		must(fcntl(d, F_SETSIG, SIGUSR1));
		is_long(fcntl(d, F_GETSIG), SIGUSR1, "F_GETSIG, %d", i);
		must(fcntl(d, F_SETOWN, -getpgrp()));
		is_long(fcntl(d, F_GETOWN) == -getpgrp(), 1, "a group, %d", i);
		must(fcntl(d, F_GETOWN_EX, &x));
		ok(x.type == F_OWNER_PGRP && x.pid == getpgrp(), "is told, %d", i);
		is_long(fcntl(d, F_GETSIG), SIGUSR1, "the signal stays, %d", i);
		pid = must(fork());
		if (!pid)
			t_sleep_ms(15000), _exit(0);
		must(fcntl(d, F_SETOWN, pid));
		is_long(fcntl(d, F_GETOWN) == pid, 1, "a child, %d", i);
		must(kill(pid, SIGKILL));
		must(waitpid(pid, NULL, 0));
		is_long(fcntl(d, F_GETOWN), 0, "that is no more, %d", i);
		must(fcntl(d, F_GETOWN_EX, &x));
		ok(x.type == F_OWNER_PID && !x.pid, "of that kind, %d", i);
	}
	is_long(fcntl(p[1], F_GETOWN), 0, "the other end's is another one's");
	pid = must(fork());
	if (!pid)
		_exit(fcntl(p[0], F_GETSIG) != SIGUSR1 || fcntl(p[0], F_SETSIG, RT));
	is_long(t_end(pid), 0, "a child has the same description");
	is_long(fcntl(p[0], F_GETSIG), RT, "and what it set is set");
}

/* --- of and by other processes ---------------------------------------------------------- */

/* "wait FD": says on FD that it is there, and how a signal came: 42. */
static int s_wait(int argc, char **argv)
{
	siginfo_t si;
	int sig;

	block();
	if (argc != 1 || write(atoi(argv[0]), "r", 1) != 1)
		return 1;
	sig = next_within(&si, COMES_MS);
	if (sig == SIGIO && si.si_code == SI_KERNEL)
		return 41;
	return sig == RT && si.si_code == POLL_IN && si.si_band == BAND_IN ? 42 : 2;
}

/* "arm FD PID SIG": as the owner of a descriptor that it was given. */
static int s_arm(int argc, char **argv)
{
	int fd = argc == 3 ? atoi(argv[0]) : -1;

	if (fcntl(fd, F_SETOWN, atoi(argv[1])) || fcntl(fd, F_SETSIG, atoi(argv[2])))
		return 1;
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC) ? 2 : 0;
}

/* "told FD": what it was told before. */
static int s_told(int argc, char **argv)
{
	int fd = argc == 1 ? atoi(argv[0]) : -1;

	return fcntl(fd, F_GETSIG) != RT || fcntl(fd, F_GETOWN) != getppid() ||
	       !(fcntl(fd, F_GETFL) & O_ASYNC);
}

/* "off FD": without asking what the flags are. */
static int s_off(int argc, char **argv)
{
	return argc != 1 || fcntl(atoi(argv[0]), F_SETFL, O_NONBLOCK);
}

/* "put FD": writes one byte. */
static int s_put(int argc, char **argv)
{
	return argc != 1 || write(atoi(argv[0]), "x", 1) != 1;
}

/* "hold PATH PID FD": has the reading end of a FIFO, whose signals go to PID, until it is killed. */
static int s_hold(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[0], O_RDONLY | O_NONBLOCK) : -1;

	if (fd < 0 || fcntl(fd, F_SETOWN, atoi(argv[1])) || fcntl(fd, F_SETFL, O_ASYNC) ||
	    write(atoi(argv[2]), "r", 1) != 1)
		return 1;
	t_sleep_ms(15000);
	return 2;
}

static void t_others(void)
{
	int p[2], ready[2];
	char c;

	block();
	must(pipe(p));
	must(pipe(ready));
	for (int how = T_FORK; how <= T_EXEC; how++) {
		pid_t pid = must(t_start(how, "wait", t_num(ready[1]), NULL));

		must(read(ready[0], &c, 1));
		must(fcntl(p[0], F_SETOWN, pid));
		must(fcntl(p[0], F_SETSIG, RT));
		async(p[0], 1);
		must(write(p[1], "x", 1));
		is_long(t_end(pid), 42, "a child gets it, how %d", how);
		must(write(p[1], "x", 1));
		absent("and nobody when it has ended");
		async(p[0], 0);

		is_long(t_end(must(t_start(how, "arm", t_num(p[0]), t_num(getpid()), t_num(RT), NULL))), 0,
			"a child asks for its parent, how %d", how);
		must(write(p[1], "x", 1));
		comes(RT, POLL_IN, p[0], "who gets it");
		is_long(t_end(must(t_start(how, "told", t_num(p[0]), NULL))), 0, "another one is told, how %d",
			how);
		is_long(t_end(must(t_start(how, "put", t_num(p[1]), NULL))), 0, "and writes, how %d", how);
		comes(RT, POLL_IN, p[0], "what it writes");
		is_long(t_end(must(t_start(how, "off", t_num(p[0]), NULL))), 0,
			"one takes O_ASYNC away, how %d", how);
		is_long(fcntl(p[0], F_GETFL) & O_ASYNC, 0, "for all");
		is_long(t_end(must(t_start(how, "put", t_num(p[1]), NULL))), 0, "writes again, how %d", how);
		absent("nobody asked for it");
	}
}

static void t_group(void)
{
	int p[2], ready[2];
	pid_t a, b;
	char c;

	block();
	must(pipe(p));
	must(pipe(ready));
	t_pgid = 0;
	a = must(t_start(T_EXEC, "wait", t_num(ready[1]), NULL));
	must(read(ready[0], &c, 1)); /* the group is there */
	t_pgid = a;
	b = must(t_start(T_EXEC, "wait", t_num(ready[1]), NULL));
	must(read(ready[0], &c, 1));
	must(fcntl(p[0], F_SETOWN, -a));
	async(p[0], 1);
	must(write(p[1], "x", 1));
	is_long(t_end(a), 41, "one of the group");
	is_long(t_end(b), 41, "the other");
	absent("not who is none of it");
	is_long(fcntl(p[0], F_GETOWN), 0, "the group is no more");
}

static void t_killed(void)
{
	int ready[2], fd;
	char c;

	block();
	must(pipe(ready));
	must(mkfifo("fifo", 0600));
	fd = (int)must(open("fifo", O_RDWR));
	for (int how = T_FORK; how <= T_EXEC; how++) {
		pid_t pid = must(t_start(how, "hold", "fifo", t_num(getpid()), t_num(ready[1]),
					 NULL));

		must(read(ready[0], &c, 1));
		must(write(fd, "x", 1));
		comes(SIGIO, SI_KERNEL, 0, "somebody has it told to us");
		must(kill(pid, SIGKILL));
		must(waitpid(pid, NULL, 0));
		drop_all();
		must(write(fd, "x", 1));
		absent("with its description that ends");
	}
}

static void *thread(void *arg)
{
	int *tid = arg;
	siginfo_t si;

	__atomic_store_n(tid, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	*(volatile int *)(tid + 1) = next_within(&si, COMES_MS);
	return NULL;
}

static void t_threads(void)
{
	struct f_owner_ex x = { F_OWNER_TID, 0 };
	static int it[2];
	pthread_t th;
	int p[2];

	block();
	must(pipe(p));
	pthread_create(&th, NULL, thread, it);
	while (!__atomic_load_n(it, __ATOMIC_SEQ_CST))
		t_sleep_ms(1);
	x.pid = it[0];
	is_long(fcntl(p[0], F_SETOWN_EX, &x), 0, "a thread");
	is_long(fcntl(p[0], F_GETOWN) == it[0], 1, "is told");
	async(p[0], 1);
	must(write(p[1], "x", 1));
	pthread_join(th, NULL);
	is_long(it[1], SIGIO, "it gets it");
	absent("the others do not");
	x.pid = getpid();
	must(fcntl(p[0], F_SETOWN_EX, &x));
	must(write(p[1], "x", 1));
	comes(SIGIO, SI_KERNEL, 0, "the main one");
}

/* Somebody gets the number of an owner that has died: tried, since it takes rights and luck. */
static pid_t same_number(pid_t want, int fd)
{
	int last = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
	char text[20];
	pid_t pid;

	snprintf(text, sizeof(text), "%d", want - 1);
	for (int i = 0; last >= 0 && i < 20; i++) {
		if (pwrite(last, text, strlen(text), 0) < 0)
			break;
		pid = must(fork());
		if (!pid) {
			siginfo_t si;

			must(write(fd, "r", 1));
			_exit(next_within(&si, 400) ? 1 : 0);
		}
		if (pid == want)
			return pid;
		must(waitpid(pid, NULL, 0));
	}
	return 0;
}

static void t_number(void)
{
	int p[2], ready[2], good = 1;
	pid_t pid;
	char c;

	block();
	must(pipe(p));
	must(pipe(ready));
	pid = must(fork());
	if (!pid)
		t_sleep_ms(15000), _exit(0);
	must(fcntl(p[0], F_SETOWN, pid));
	async(p[0], 1);
	must(kill(pid, SIGKILL));
	must(waitpid(pid, NULL, 0));
	pid = same_number(pid, ready[1]);
	if (pid) {
		must(read(ready[0], &c, 1));
		must(write(p[1], "x", 1));
		good = !fcntl(p[0], F_GETOWN) && t_end(pid) == 0;
	}
	ok(good, "not who gets the number of one that has died");
}

static volatile sig_atomic_t handled, handled_fd;

static void on_io(int sig, siginfo_t *si, void *ctx)
{
	(void)sig, (void)ctx;
	if (si->si_code == POLL_IN && si->si_band == BAND_IN)
		handled_fd = si->si_fd;
	handled++;
}

static void t_handler(void)
{
	struct sigaction sa = { .sa_sigaction = on_io, .sa_flags = SA_SIGINFO };
	int p[2];

	must(pipe(p));
	must(sigaction(SIGIO, &sa, NULL));
	must(fcntl(p[0], F_SETOWN, getpid()));
	must(fcntl(p[0], F_SETSIG, SIGIO));
	async(p[0], 1);
	for (int i = 0; i < 1000; i++)
		must(write(p[1], "x", 1));
	for (int i = 0; i < 1000 && !handled; i++)
		t_sleep_ms(10);
	ok(handled > 0 && handled <= 1000, "a handler runs");
	is_long(handled_fd, p[0], "and is told what for");
	must(read(p[0], page, 1000));
}

T_SUBS = { { "wait", s_wait }, { "arm", s_arm }, { "told", s_told }, { "put", s_put },
	   { "hold", s_hold }, { "off", s_off }, T_END };

T_SECTIONS = {
	{ "readers", t_readers }, { "writers", t_writers }, { "fifo", t_fifo },
	{ "inotify", t_inotify }, { "told", t_told },	    { "others", t_others },
	{ "group", t_group },	  { "killed", t_killed },   { "threads", t_threads },
	{ "number", t_number },	  { "handler", t_handler }, T_END,
};
