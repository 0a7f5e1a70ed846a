/* SPDX-License-Identifier: MIT */
/*
 * HOST_IO: operations on the host descriptors of a proxy, made for its program on another core
 * (thesis section 3.6.1). Shared vocabulary of src/client's relay, which asks, and src/sched,
 * whose handler queues and whose proxy performs.
 *
 * An operation is two calls of the RPC. The first queues it and wakes the proxy; its `result` is
 * the operation's tag. When the proxy has performed it, the caller's event is set and HIO_FETCH
 * with that tag brings result and data (-EAGAIN: not done yet); it is forgotten then. HIO_CANCEL
 * with a tag takes back what is not done yet (result -ECANCELED; else it fetches). HIO_FORGET
 * drops all of a dead process's. ESRCH: there is no such proxy.
 *
 *   caller                     handler (core lock)            proxy
 *   HOST_IO read fd 0   --->   hio QUEUED, tag 7; wakes  ---> host's poll: nothing yet, WAITING
 *   event_wait                                                ... terminal readable: read
 *                       <---------------- event ------------- DONE, result 12, data
 *   HOST_IO fetch 7     --->   result 12, data; hio freed
 *
 * A signal at the caller while it waits: HIO_CANCEL; what was read is never lost.
 *
 * Descriptors may have more holders than the proxy's program: its children, and what they
 * execute. When the program ends and some are still held the proxy ends too, for its parent
 * waits for it, and leaves them to an heir: a child of it, with an entry of its own, which
 * is found by the proxy's pid. As pids are used again, numbers of descriptors carry a tag
 * of their proxy in their upper half (0 on operations without descriptor: any).
 */
#ifndef HARE_PROTO_HIO_H
#define HARE_PROTO_HIO_H

#include "proto/proc.h"

#define HIO_DATA_MAX 16384

#define HIO_TAG_SHIFT 16
static inline u32 hio_fd(u32 number)
{
	return number & ((1u << HIO_TAG_SHIFT) - 1);
}
static inline u32 hio_number(u32 tag, u32 fd)
{
	return tag << HIO_TAG_SHIFT | fd;
}

enum hio_op {
	/* on the RPC alone */
	HIO_FETCH, /* a: tag */
	HIO_CANCEL, /* a: tag; -ECANCELED when it was not done */
	HIO_FORGET, /* a: owner, as hio.owner */
	/* on descriptor fd; these may wait, unless the descriptor is O_NONBLOCK. -HARE_ERESTARTSYS:
	 * the terminal sent SIGTTIN or SIGTTOU instead */
	HIO_READ, /* a: bytes */
	HIO_WRITE, /* data; result may be less */
	HIO_PREAD, /* a: bytes, b: offset */
	HIO_PWRITE, /* data, b: offset */
	HIO_POLL, /* a: events; result: revents, now */
	HIO_WATCH, /* a: events; no result: the caller's event is set when there are some. One per
		     * thread and descriptor: a new one takes the old one's place */
	/* never wait */
	HIO_LSEEK, /* a: offset, b: whence */
	HIO_FSTAT, /* data: struct stat */
	HIO_IOCTL, /* a: request, b: argument as a number; data: what it points to, in and out */
	HIO_FCNTL, /* a: command, b: argument */
	HIO_FSYNC, /* a: 1 data only */
	HIO_FTRUNCATE, /* a: size */
	HIO_FALLOCATE, /* a: mode, b: offset, c: length */
	HIO_CLOSE,
	HIO_DUP, /* result: another descriptor of the proxy for the same */
	HIO_OPEN, /* data: path; a: flags, b: mode. /dev/tty and the like */
	/* the proxy itself; no fd */
	HIO_GETPPID,
	HIO_SETPGID, /* a: group, 0: its own */
	HIO_SETSID,
	HIO_FCHMOD, /* a: mode */
	HIO_FCHOWN, /* a: uid, b: gid */
	HIO_FUTIMENS, /* data: two timespecs, or none: now */
	HIO_PATH, /* data: what /proc/self/fd/N says */
	HIO_CRED, /* a: the program's uid from now on, b: its gid; above them its real uid, its saved one */
	HIO_PDEATHSIG, /* a: signal at its parent's death; PDEATHSIG_ASK: result is the one that is set */
	HIO_ENTERED, /* the program that left has begun elsewhere: nobody waits for it */
};

#define PDEATHSIG_ASK (~0ULL)

enum hio_state { HIO_QUEUED, HIO_WAITING, HIO_BUSY, HIO_DONE };

/* In the core kernel of the proxy, on proc.hio. */
struct hio {
	struct list link; /* first: see proc_free */
	u32 tag, state;
	u32 core, slot, seq; /* who waits */
	u32 fd, op;
	u32 len; /* of data */
	u32 round, pad; /* the proxy tried it in this round */
	u64 owner; /* requesting core << 32 | its host pid */
	u64 a, b, c;
	s64 result;
	u8 data[]; /* room: len, or what a READ asks for */
};

/* The bytes that an operation may return. */
static inline u32 hio_room(u32 op, u64 a, u32 len)
{
	switch (op) {
	case HIO_READ:
	case HIO_PREAD:
		return a < HIO_DATA_MAX ? (u32)a : HIO_DATA_MAX;
	case HIO_FSTAT:
		return 144;
	case HIO_PATH:
		return PATH_LEN_MAX;
	default:
		return len;
	}
}

#endif
