/* SPDX-License-Identifier: MIT */
/*
 * Race points (base/race.h) of programs in a whole instance: linked into build/race/hare-ld alone. The
 * test, outside or inside, names a folder in HARE_RACE and arms a point there:
 *
 *	test: makes FOLDER/POINT                program: comes by
 *	                                        renames it to POINT.here, with its host pid inside
 *	test: sees POINT.here, does what has    that thread waits; signals, kills and others' calls
 *	      to come in between                reach it as they would
 *	test: removes POINT.here                goes on
 *
 * POINT is a point's name; of an RPC ask-NAME, sent-NAME, answered-NAME. What is written in the file is
 * the name (comm) of the only program that is meant. tests/race/points.sh has it for scripts.
 */
#include <linux/fcntl.h>
#include <linux/prctl.h>

#include "base/race.h"
#include "base/str.h"
#include "base/sys.h"

#define LOOK_NS 1000000

static void stop_at(const char *what, u32 when);
void (*g_race_hook)(const char *what, u32 when) = stop_at;

static char g_folder[256];
static u32 g_known;

/* Of the environment that the process was started with. */
static void find_folder(void)
{
	static const char key[] = "HARE_RACE=";
	static char env[65536];
	long fd = SYS(open, "/proc/self/environ", O_RDONLY | O_CLOEXEC, 0), len = 0, n;

	if (sys_failed(fd))
		return;
	while (len < (long)sizeof(env) - 1 &&
	       (n = SYS(read, fd, env + len, sizeof(env) - 1 - (u64)len)) > 0)
		len += n;
	SYS(close, fd);
	for (const char *s = env; s < env + len; s += strlen(s) + 1)
		if (!strncmp(s, key, sizeof(key) - 1))
			str_copy(g_folder, s + sizeof(key) - 1, sizeof(g_folder));
	g_known = 1;
}

static bool is_meant(long fd)
{
	char want[32], comm[32] = "";
	long n = SYS(read, fd, want, sizeof(want) - 1);

	while (n > 0 && want[n - 1] == '\n')
		n--;
	if (n <= 0)
		return true;
	want[n] = 0;
	SYS(prctl, PR_GET_NAME, comm);
	return !strcmp(want, comm);
}

static bool take(const char *armed, const char *here)
{
	char mine[320], pid[16];
	long fd = SYS(open, armed, O_RDONLY | O_CLOEXEC, 0);
	bool meant;
	int len;

	if (sys_failed(fd))
		return false;
	meant = is_meant(fd);
	SYS(close, fd);
	str_format(mine, sizeof(mine), "%s.%u", armed, (u32)SYS(gettid));
	if (!meant || sys_failed(SYS(rename, armed, mine)))
		return false;
	fd = SYS(open, mine, O_WRONLY | O_TRUNC | O_CLOEXEC, 0);
	if (!sys_failed(fd)) {
		len = str_format(pid, sizeof(pid), "%u\n", (u32)SYS(getpid));
		SYS(write, fd, pid, len);
		SYS(close, fd);
	}
	return !sys_failed(SYS(rename, mine, here));
}

static void stop_at(const char *what, u32 when)
{
	static const char *const prefix[] = { "", "ask-", "sent-", "answered-" };
	struct {
		s64 sec, nsec;
	} nap = { 0, LOOK_NS };
	char armed[300], here[310];

	if (!g_known)
		find_folder();
	if (!g_folder[0])
		return;
	str_format(armed, sizeof(armed), "%s/%s%s", g_folder, prefix[when], what);
	str_format(here, sizeof(here), "%s.here", armed);
	if (take(armed, here))
		while (!sys_failed(SYS(access, here, 0)))
			SYS(nanosleep, &nap, 0);
}
