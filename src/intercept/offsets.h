/* SPDX-License-Identifier: MIT */
/* What entry.S and C must agree on; icpt.h checks it with _Static_assert. */
#ifndef HARE_INTERCEPT_OFFSETS_H
#define HARE_INTERCEPT_OFFSETS_H

/* struct thread, found through GS */
#define T_SELF	0
#define T_STACK 8
#define T_WORK	16
#define T_ENTRY 24
#define T_POKED 32

/* struct frame */
#define F_SIZE 128

/* internal results, next to HARE_ERESTARTSYS of base/host.h */
#define ICPT_EINTR 4
#define ICPT_ERESTARTNOINTR                                                              \
	513 /* make the call again, whatever the handler's flags say */

#endif
