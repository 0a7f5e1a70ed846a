/* SPDX-License-Identifier: MIT */
/*
 * Test hook: places where tests/race stops a process, to force an order that chance seldom brings:
 * in its own processes (tests/race/race.h) and, by a loader that has the points, in programs of a
 * whole instance (tests/race/hook.c).
 *
 * Every RPC is one: before it is asked, when it has been sent, after it was answered. Others stand
 * by their own name where two RPCs, or an RPC and memory, must not be told apart by others.
 * Never under a core lock: who stops there holds up everybody. Empty in shipped builds.
 */
#ifndef HARE_BASE_RACE_H
#define HARE_BASE_RACE_H

#include "base/types.h"

enum race_when { RACE_AT, RACE_ASK, RACE_SENT, RACE_ANSWERED };

#if defined(HARE_CRASH_POINTS) || defined(HARE_RACE_POINTS)
#define RACE_POINTS 1
extern void (*g_race_hook)(const char *what, u32 when);
static inline void race_point(const char *what, u32 when)
{
	if (g_race_hook)
		g_race_hook(what, when);
}
#else
static inline void race_point(const char *what, u32 when)
{
	(void)what, (void)when;
}
#endif

#endif
