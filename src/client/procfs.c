/* SPDX-License-Identifier: MIT */
/*
 * /proc as programs are to see it: a process that was started on another core is there under the
 * pid that it was born with, and its host's number is not; stat and status name parents, groups
 * and sessions by the numbers that getpid and getppid give. So ps, pgrep and pkill see one pid
 * per process, wherever they run.
 *
 * The table of numbers that differ is asked of all cores (RPC PROCS) and kept for TABLE_NS. On one
 * core, and while no program was started from afar, nothing of this costs more than a look.
 *
 * Directories of descriptors are procfd.c's.
 *
 * Not seen: descriptors of /proc directories used with relative paths; files other than stat and
 * status keep the host's numbers inside.
 */
#include <linux/fs.h>
#include <linux/memfd.h>
#include <linux/stat.h>

#include "base/str.h"
#include "base/sys.h"
#include "client/file.h"
#include "client/process.h"
#include "client/procfs.h"

#define TABLE_NS    20000000
#define TABLE_MAX   1024
#define TEXT_MAX    8192
#define PROC_MAGIC  0x9fa0
#define DIRENT_HEAD 19 /* bytes before d_name in struct linux_dirent64 */

static struct {
	u64 until_ns;
	u32 count;
	u32 pid; /* of the process that asked: a fork's copy is no good */
	struct proc_numbers row[TABLE_MAX];
} g_table;

static void table_ask(struct task *t, u32 core)
{
	struct req_PROCS q = { 0 };
	struct rep_PROCS p;

	do {
		u32 room = TABLE_MAX - g_table.count;

		p.data.p = &g_table.row[g_table.count];
		p.data.cap = MIN(room * (u32)sizeof(struct proc_numbers), 16384u);
		if (!p.data.cap || rpc_procs(&t->ctx, core, &q, &p))
			return;
		for (u32 end = g_table.count +
			       p.data.len / (u32)sizeof(struct proc_numbers);
		     g_table.count < end;)
			g_table.row[g_table.count++].core = core;
		q.from = p.next;
	} while (p.next);
}

/* On the only core of the host's own kernel numbers are what they are. */
static bool is_plain(const struct task *t)
{
	const struct super *s = t->ctx.isl->super;

	return s->cores == 1 && s->kernels != KERNELS_SEPARATE;
}

/* True when there is anything to translate. Threads of one process may both fill the table: it
 * is a hint, and a torn one lasts 20 ms. */
static bool table_ready(struct task *t)
{
	u32 cores = t->ctx.isl->super->cores, core;
	u64 now;

	if (is_plain(t))
		return false;
	now = host_monotonic_ns();
	if (now < g_table.until_ns && g_table.pid == t->proc->host_pid)
		return g_table.count;
	g_table.count = 0;
	for (core = 0; core < cores; core++)
		table_ask(t, core);
	g_table.pid = t->proc->host_pid;
	g_table.until_ns = now + TABLE_NS;
	return g_table.count;
}

static const struct proc_numbers *by_host(u32 host_pid)
{
	u32 i;

	for (i = 0; i < g_table.count; i++)
		if (g_table.row[i].host_pid == host_pid)
			return &g_table.row[i];
	return NULL;
}

static bool is_far(struct task *t, const struct proc_numbers *row)
{
	const struct super *s = t->ctx.isl->super;

	return mem_separate(s) && mem_island_of(s, row->core) != t->ctx.isl->id;
}

static const struct proc_numbers *by_pid(u32 pid)
{
	u32 i;

	for (i = 0; i < g_table.count; i++)
		if (g_table.row[i].pid == pid)
			return &g_table.row[i];
	return NULL;
}

u32 procfs_host_pid(struct task *t, u32 pid)
{
	const struct proc_numbers *row = table_ready(t) ? by_pid(pid) : NULL;

	return row ? row->host_pid : pid;
}

u32 procfs_seen_pid(struct task *t, u32 host_pid)
{
	const struct proc_numbers *row = table_ready(t) ? by_host(host_pid) : NULL;

	return row ? row->pid : host_pid;
}

u32 procfs_uid(u32 pid)
{
	const struct proc_numbers *row = by_pid(pid);

	return row ? row->uid : ~0U;
}

bool procfs_is_far(struct task *t, u32 pid, u32 *core, u32 *host_pid)
{
	const struct proc_numbers *row =
		mem_separate(t->ctx.isl->super) && table_ready(t) ? by_pid(pid) : NULL;

	if (!row || !is_far(t, row))
		return false;
	*core = row->core;
	*host_pid = row->host_pid;
	return true;
}

/* --- paths ------------------------------------------------------------------------------------------ */

static const char *number(const char *s, u32 *out)
{
	const char *p = s;

	for (*out = 0; *p >= '0' && *p <= '9' && p - s < 9; p++)
		*out = *out * 10 + (u32)(*p - '0');
	return p == s ? NULL : p;
}

/* A path below /proc/N of the host's number N; behind "/task/", a process's first thread has the
 * process's number: *rest comes behind it then. */
static long host_path(u32 pid, u32 host_pid, const char *rest, char *buf, bool *rewritten)
{
	const char *end = NULL;
	int len = 0;
	u32 tid;

	if (!strncmp(rest, "/task/", 6))
		end = number(rest + 6, &tid);
	if (end && (!*end || *end == '/')) {
		if (tid == host_pid)
			return -ENOENT;
		if (tid == pid)
			rest = end;
		else
			end = NULL;
	}
	len = str_format(buf, PATH_LEN_MAX, "/proc/%u", host_pid);
	if (end)
		len += str_format(buf + len, PATH_LEN_MAX - (size_t)len, "/task/%u",
				  host_pid);
	if (str_format(buf + len, PATH_LEN_MAX - (size_t)len, "%s", rest) >=
	    PATH_LEN_MAX - len)
		return -ENAMETOOLONG;
	*rewritten = true;
	return 0;
}

long procfs_path(struct task *t, const char *path, char *buf, bool *rewritten)
{
	const struct proc_numbers *row;
	const char *rest;
	u32 pid;

	if (strncmp(path, "/proc/", 6))
		return 0;
	if (unlikely(t->proc->pid != t->proc->host_pid) &&
	    !strncmp(path + 6, "self/task/", 10))
		return host_path(t->proc->pid, t->proc->host_pid, path + 10, buf,
				 rewritten);
	rest = number(path + 6, &pid);
	if (!rest || (*rest && *rest != '/') || !table_ready(t))
		return 0;
	row = by_pid(pid);
	if (row && is_far(t, row)) { /* a file of the same kind */
		/* where links lead to that Hare does not know, nobody here does */
		if (!strcmp(rest, "/cwd") || !strcmp(rest, "/exe") ||
		    !strcmp(rest, "/root") || (*rest && strchr(rest + 1, '/')))
			rest = "/-";
		str_format(buf, PATH_LEN_MAX, "/proc/%s%s", *rest ? "self" : "1", rest);
		*rewritten = true;
		return 0;
	}
	if (row && row->host_pid != pid)
		return host_path(pid, row->host_pid, rest, buf, rewritten);
	row = by_host(pid);
	return row && row->pid != pid ? -ENOENT : 0;
}

/* --- contents --------------------------------------------------------------------------------------- */

struct text {
	char *s;
	size_t len, size;
};

static void add(struct text *out, const char *s, size_t len)
{
	len = MIN(len, out->size - out->len);
	memcpy(out->s + out->len, s, len);
	out->len += len;
}

static void add_number(struct text *out, u32 n)
{
	char s[16];

	add(out, s, (size_t)str_format(s, sizeof(s), "%u", n));
}

static u32 seen_pid(u32 host_pid)
{
	const struct proc_numbers *row = by_host(host_pid);

	return row ? row->pid : host_pid;
}

static u32 seen_ppid(const struct proc_numbers *row, u32 host_ppid)
{
	bool from_afar = row && row->pid != row->host_pid;

	return row && (from_afar || host_ppid == row->host_ppid) ? row->ppid
								 : seen_pid(host_ppid);
}

/* "pid (comm) state ppid pgrp session ...": fields 1, 4, 5 and 6. */
static void translate_stat(struct text *out, const char *in, size_t len)
{
	const char *end = in + len, *p, *at = strrchr(in, ')');
	const struct proc_numbers *row;
	u32 field, n;

	p = number(in, &n);
	if (!p || !at)
		return add(out, in, len);
	row = by_host(n);
	add_number(out, row ? row->pid : n);
	add(out, p, (size_t)(at + 1 - p));
	p = at + 1;
	for (field = 3; field <= 6 && p < end; field++) {
		const char *s = p + 1, *q;

		add(out, " ", 1);
		for (p = s; p < end && *p != ' '; p++)
			;
		q = number(s, &n);
		if (field == 4 && q)
			add_number(out, seen_ppid(row, n));
		else if (field == 5 && q && row)
			add_number(out, row->pgid);
		else if (field == 6 && q && row)
			add_number(out, row->sid);
		else
			add(out, s, (size_t)(p - s));
	}
	add(out, p, (size_t)(end - p));
}

static bool starts(const char *s, const char *key, const char **value)
{
	size_t len = strlen(key);

	if (strncmp(s, key, len))
		return false;
	*value = s + len;
	return true;
}

/* Lines that hold a number, and that one as programs know it; false: another line. Of NS*, the first
 * one: it is that of the reader's namespace. */
static bool translate_line(const char *line, const struct proc_numbers **row,
			   const char **value, const char **rest, u32 *seen)
{
	u32 n;

	if ((!starts(line, "Tgid:\t", value) && !starts(line, "Pid:\t", value) &&
	     !starts(line, "PPid:\t", value) && !starts(line, "NStgid:\t", value) &&
	     !starts(line, "NSpid:\t", value) && !starts(line, "NSpgid:\t", value) &&
	     !starts(line, "NSsid:\t", value)))
		return false;
	*rest = number(*value, &n);
	if (!*rest)
		return false;
	if (*line == 'T')
		*row = by_host(n);
	if (line[1] == 'P')
		*seen = seen_ppid(*row, n);
	else if (*row && line[2] == 'p' && line[3] == 'g')
		*seen = (*row)->pgid;
	else if (*row && line[2] == 's')
		*seen = (*row)->sid;
	else
		*seen = seen_pid(n);
	return true;
}

/* Lines Tgid:, Pid: and PPid:, NStgid: and its like. */
static void translate_status(struct text *out, const char *in, size_t len)
{
	const char *end = in + len, *line = in, *next, *v, *rest;
	const struct proc_numbers *row = NULL;
	u32 seen;

	for (; line < end; line = next) {
		next = strchr(line, '\n');
		next = next ? next + 1 : end;
		if (translate_line(line, &row, &v, &rest, &seen)) {
			add(out, line, (size_t)(v - line));
			add_number(out, seen);
			line = rest;
		}
		add(out, line, (size_t)(next - line));
	}
}

/* /proc/N/stat, /proc/self/task/N/status and so on: 1 stat, 2 status, 0 others. */
static int which_file(const char *path)
{
	const char *slash = strrchr(path, '/'), *p = path + 6;
	u32 n;

	if (strncmp(path, "/proc/", 6) || !slash || slash < p)
		return 0;
	if (strncmp(p, "self/", 5) && strncmp(p, "thread-self/", 12) && !number(p, &n))
		return 0;
	if (!strcmp(slash, "/stat"))
		return 1;
	return strcmp(slash, "/status") ? 0 : 2;
}

/* "/proc/self/fdinfo/N", which the host has not when N is Hare's. */
static bool is_fdinfo(const char *path, u64 *fd)
{
	return !strncmp(path, "/proc/self/fdinfo/", 18) && str_to_u64(path + 18, fd) &&
	       *fd < FD_MAX;
}

/* A copy of a file of /proc: what was read of it, stat and status in translation. */
static long translated(struct task *t, int which, char *in, size_t len, bool cloexec)
{
	struct text out = { (char *)t->bounce, 0, TEXT_MAX };
	long fd;

	in[len] = 0;
	if (which == 1)
		translate_stat(&out, in, len);
	else
		translate_status(&out, in, len);
	fd = SYS(memfd_create, "proc", cloexec ? MFD_CLOEXEC : 0);
	if (!sys_failed(fd))
		SYS(pwrite64, fd, out.s, out.len, 0);
	return fd;
}

long procfs_open_far(struct task *t, const char *user_path, u32 flags)
{
	char path[64], *in = (char *)t->bounce + TEXT_MAX;
	bool cloexec = flags & O_CLOEXEC;
	const char *rest;
	u32 pid, core;
	long fd, n;
	int which;

	if (user_read(path, user_path, 6) || memcmp(path, "/proc/", 6) ||
	    user_read_str(path, user_path, sizeof(path)) < 0)
		return CLIENT_HOST;
	rest = number(path + 6, &pid);
	if (!rest || (*rest && *rest != '/') || !procfs_is_far(t, pid, &core, &pid))
		return CLIENT_HOST;
	if (!strncmp(rest, "/fd/", 4) || !strncmp(rest, "/cwd", 4))
		return CLIENT_HOST; /* the walk knows */
	if (!strcmp(rest, "/fd"))
		return procfs_open_far_fds(t, pid, flags);
	if (!*rest || strchr(rest + 1, '/') || flags & O_DIRECTORY)
		return -ENOENT;
	if (flags & O_ACCMODE)
		return -EACCES;
	which = which_file(path);
	fd = procfar_open(t, core, pid, rest + 1, cloexec);
	if (fd >= 0 && which) {
		n = SYS(pread64, fd, in, TEXT_MAX - 1, 0);
		SYS(close, fd);
		fd = n < 0 ? n : translated(t, which, in, (size_t)n, cloexec);
	}
	return fd < 0 ? fd : fd_adopt(t, fd, cloexec, 0);
}

long procfs_open(struct task *t, const char *user_path, u32 flags, bool *dir)
{
	char path[64];
	char *in = (char *)t->bounce + TEXT_MAX;
	int which;
	long fd, n;
	u64 number;

	*dir = (flags & O_DIRECTORY) != 0;
	if (user_read(path, user_path, 5))
		return CLIENT_HOST;
	if (memcmp(path, "/proc", 5)) {
		*dir |= !memcmp(path, "/dev/", 5) && !user_read(path, user_path + 5, 2) &&
			!memcmp(path, "fd", 2);
		return CLIENT_HOST;
	}
	*dir = true;
	if (user_read_str(path, user_path, sizeof(path)) < 0)
		return CLIENT_HOST;
	if (is_fdinfo(path, &number))
		return procfs_fdinfo(t, (u32)number, flags & O_CLOEXEC);
	if (is_plain(t))
		return CLIENT_HOST;
	which = which_file(path);
	if (!which || (flags & (O_ACCMODE | O_DIRECTORY | O_PATH)) || !table_ready(t))
		return CLIENT_HOST;
	fd = SYS(open, path, O_RDONLY | O_CLOEXEC, 0);
	if (sys_failed(fd))
		return fd;
	n = SYS(read, fd, in, TEXT_MAX - 1);
	SYS(close, fd);
	if (sys_failed(n))
		return n;
	return translated(t, which, in, (size_t)n, flags & O_CLOEXEC);
}

/* --- the list --------------------------------------------------------------------------------------- */

static bool is_proc(int fd)
{
	struct {
		long type, rest[15];
	} fs;

	return !SYS(fstatfs, fd, &fs) && fs.type == PROC_MAGIC;
}

void procfs_mark(struct task *t, int fd)
{
	struct fdent *e = fd_entry(t->proc->fds, fd);

	if (e && is_proc(fd)) {
		e->far_pid = 0;
		e->proc_dir = 1; /* a hint, checked when it is used */
	}
}

static bool is_proc_root(int fd)
{
	struct statx stx;

	return is_proc(fd) && !SYS(statx, fd, "", AT_EMPTY_PATH, STATX_INO, &stx) &&
	       stx.stx_ino == 1;
}

/* Takes the numbers that only the host knows out of a page of entries. */
static size_t filter(u8 *buf, size_t len)
{
	size_t at = 0, out = 0;

	while (at < len) {
		u16 size = (u16)(buf[at + 16] | buf[at + 17] << 8);
		const struct proc_numbers *row;
		const char *end;
		u32 n;

		end = number((const char *)buf + at + DIRENT_HEAD, &n);
		row = end && !*end ? by_host(n) : NULL;
		if (!row || row->pid == row->host_pid) {
			memmove(buf + out, buf + at, size);
			out += size;
		}
		at += size;
	}
	return out;
}

/* "/proc/N/task" of a process that the host knows as N and programs by another number, or NULL. */
static const struct proc_numbers *task_dir(struct task *t, int fd)
{
	char link[32], path[40];
	const struct proc_numbers *row;
	const char *rest;
	long n;
	u32 pid;

	str_format(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = SYS(readlink, link, path, sizeof(path) - 1);
	path[MAX(n, 0L)] = '\0';
	rest = strncmp(path, "/proc/", 6) ? NULL : number(path + 6, &pid);
	if (!rest || strcmp(rest, "/task") || !table_ready(t))
		return NULL;
	row = by_host(pid);
	return row && row->pid != pid ? row : NULL;
}

/* Its threads: the first one has the process's number. */
static long list_tasks(struct task *t, long a[6], const struct proc_numbers *row)
{
	size_t half = sizeof(t->bounce) / 2, size = MIN((size_t)(u32)a[2], half);
	u8 *in = t->bounce, *out = in + half;
	size_t at, used = 0;
	/* one name may become longer, and so its record by 8 */
	long n = SYS(getdents64, a[0], in, size > 64 ? size - 8 : size);
	u32 tid;

	for (at = 0; n > 0 && at < (size_t)n;) {
		u16 need = (u16)(in[at + 16] | in[at + 17] << 8);
		u8 *name = out + used + DIRENT_HEAD;
		const char *end = number((const char *)in + at + DIRENT_HEAD, &tid);

		memcpy(out + used, in + at, need);
		at += need;
		if (end && !*end && tid == row->host_pid) {
			int len = str_format((char *)name, 12, "%u", row->pid);

			need = (u16)ALIGN_UP(DIRENT_HEAD + (u32)len + 1, 8u);
			memcpy(out + used + 16, &need, 2);
		}
		used += need;
	}
	if (n <= 0)
		return n;
	if (used > size)
		return -EINVAL;
	return user_write((void *)a[1], out, used) ? -EFAULT : (long)used;
}

long procfs_link(struct task *t, const char *path, char *buf, size_t size)
{
	struct proc *p = t->proc;
	s32 tid = t->ctx.tid;

	if (p->pid == p->host_pid || strncmp(path, "/proc/", 6))
		return CLIENT_HOST;
	if (!strcmp(path + 6, "self"))
		return str_format(buf, size, "%u", p->pid);
	if (!strcmp(path + 6, "thread-self"))
		return str_format(buf, size, "%u/task/%u", p->pid,
				  (u32)tid == p->host_pid ? p->pid : (u32)tid);
	return CLIENT_HOST;
}

#define FAR_POS (1UL << 24) /* beyond all of the host's positions */
#define DT_DIR_ 4

/* The lowest pid from `from` on that only other cores know. */
static const struct proc_numbers *next_far(u32 from)
{
	const struct proc_numbers *best = NULL;
	u32 i;

	for (i = 0; i < g_table.count; i++) {
		const struct proc_numbers *row = &g_table.row[i];

		if (row->pid >= from && (!best || row->pid < best->pid) &&
		    SYS(kill, row->pid, 0) == -ESRCH)
			best = row;
	}
	return best;
}

/* Separate kernels: behind the host's, processes that this one does not know. */
static long list_far(struct task *t, int fd, void *user, size_t size)
{
	long pos = SYS(lseek, fd, 0, SEEK_CUR);
	u32 from = pos >= (long)FAR_POS ? (u32)(pos - (long)FAR_POS) : 0;
	const struct proc_numbers *row;
	size_t used = 0;

	while ((row = next_far(from)) && used + DIRENT_HEAD + 13 <= size) {
		u8 *d = t->bounce + used;
		u64 ino = FAR_POS + row->pid, next = ino + 1;
		int len = str_format((char *)d + DIRENT_HEAD, 12, "%u", row->pid);
		u16 need = (u16)ALIGN_UP(DIRENT_HEAD + (u32)len + 1, 8u);

		memcpy(d, &ino, 8);
		memcpy(d + 8, &next, 8);
		memcpy(d + 16, &need, 2);
		d[18] = DT_DIR_;
		used += need;
		from = row->pid + 1;
	}
	if (used)
		SYS(lseek, fd, FAR_POS + from, SEEK_SET);
	return user_write(user, t->bounce, used) ? -EFAULT : (long)used;
}

long procfs_getdents(struct task *t, long a[6])
{
	struct fdtable *ft = t->proc->fds;
	struct fdent *e = ft ? fd_entry(ft, (int)a[0]) : NULL;
	size_t size = MIN((size_t)(u32)a[2], sizeof(t->bounce));
	long n;

	if (likely(!e || !e->proc_dir))
		return CLIENT_HOST;
	if (e->far_pid)
		return procfs_far_getdents(t, a, e->far_pid);
	if (!is_proc_root((int)a[0])) {
		const struct proc_numbers *row = task_dir(t, (int)a[0]);

		return row ? list_tasks(t, a, row) : procfs_fd_getdents(t, a);
	}
	if (!table_ready(t))
		return CLIENT_HOST;
	do {
		n = SYS(getdents64, a[0], t->bounce, size);
		if (!n && mem_separate(t->ctx.isl->super))
			return list_far(t, (int)a[0], (void *)a[1], size);
		if (n <= 0)
			return n;
		n = (long)filter(t->bounce, (size_t)n);
	} while (!n);
	return user_write((void *)a[1], t->bounce, (size_t)n) ? -EFAULT : n;
}
