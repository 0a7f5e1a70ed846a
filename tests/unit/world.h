/* SPDX-License-Identifier: MIT */
/*
 * A small Hare in one test program: DRAM in a memfd, every island mapped, a context per core.
 *
 *	struct world w;
 *	world_new(&w, &(struct world_cfg){ .cores = 2, .islands = 2, .model = MEM_EMULATED });
 *	... w.ctx[core], w.ck[core] ...
 *	world_end(&w);
 *
 * Children made by world_fork see the same DRAM; their contexts name their own thread. Handlers
 * that the program is not linked with answer -ENOSYS.
 */
#ifndef HARE_TESTS_UNIT_WORLD_H
#define HARE_TESTS_UNIT_WORLD_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/host.h"
#include "base/sys.h"
#include "mem/mem.h"
#include "msg/msg.h"
#include "proto/rpc.h"
#include "unit/t.h"

#define WORLD_SIZE (96u << 20)

struct world_cfg {
	u32 cores, islands, model;
	u64 chaos, size;
	u32 without;
	u32 split; /* servers, when not every core has one */
};

struct world {
	int dram, copy[MAX_CORES];
	u32 cores, islands;
	struct island isl[MAX_CORES];
	struct ck *ck[MAX_CORES]; /* one per core, as its island maps it */
	struct ctx ctx[MAX_CORES];
};

static inline const char *world_model(u32 model)
{
	static const char *const name[] = { "coherent", "flush", "emulated" };

	return name[model];
}

static inline void world_mine(struct world *w)
{
	for (u32 c = 0; c < w->cores; c++)
		w->ctx[c].tid = (u32)syscall(SYS_gettid);
}

static inline void world_core_init(struct world *w, u32 core)
{
	struct island *isl = &w->isl[mem_island_of(w->isl[0].super, core)];
	struct ctx *c = &w->ctx[core];

	ck_init(isl, core);
	*c = (struct ctx){ .isl = isl, .ck = mem_ck(isl, core), .core = core };
	c->tid = (u32)syscall(SYS_gettid);
	w->ck[core] = c->ck;
	ck_lock(c, c->ck);
	need(msg_init(c, c->ck) == 0, "msg_init");
	need(rpc_core_init(c->ck) == 0, "rpc_core_init");
	ck_unlock(c->ck);
}

static inline void world_new(struct world *w, const struct world_cfg *wc)
{
	struct mem_config cfg = {
		.size = wc->size ? wc->size : WORLD_SIZE,
		.cores = wc->cores,
		.islands = wc->islands ? wc->islands : wc->cores,
		.model = wc->model,
		.chaos_seed = wc->chaos,
		.without = wc->without,
		.split = wc->split,
		.cpus = (u32)sysconf(_SC_NPROCESSORS_ONLN),
		.fd_base = -1,
		.at = "/hare",
	};

	memset(w, 0, sizeof(*w));
	for (u32 i = 0; i < MAX_CORES; i++)
		cfg.cpu[i] = (u16)(i % cfg.cpus);
	w->cores = cfg.cores;
	w->islands = cfg.islands;
	w->dram = memfd_create("dram", MFD_CLOEXEC);
	need(w->dram >= 0 && mem_format(w->dram, &cfg) > 0, "mem_format");
	for (u32 i = 0; i < w->islands; i++) {
		struct mem_fds fds = { w->dram, -1 };

		if (cfg.model == MEM_EMULATED)
			fds.copy = memfd_create("copy", MFD_CLOEXEC);
		w->copy[i] = fds.copy;
		need(mem_map(&w->isl[i], &fds, i) == 0, "mem_map");
	}
	for (u32 c = 0; c < w->cores; c++)
		world_core_init(w, c);
}

static inline void world_end(struct world *w)
{
	for (u32 i = 0; i < w->islands; i++) {
		mem_unmap(&w->isl[i]);
		if (w->copy[i] >= 0)
			close(w->copy[i]);
	}
	close(w->dram);
}

/* fork; in the child the contexts are its own, and it dies with its parent. */
static inline pid_t world_fork(struct world *w)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	need(pid >= 0, "fork");
	if (!pid) {
		syscall(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, SIGKILL, 0, 0, 0);
		world_mine(w);
	}
	return pid;
}

/* Exit status of a child; 128 + the signal that ended it. */
static inline int world_wait(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void world_pin(u32 cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % (u32)sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Memory that forked children share. */
static inline void *world_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		       0);

	need(p != MAP_FAILED, "mmap");
	return p;
}

static inline void world_bad(void *arg, const char *text)
{
	(void)arg;
	diag("%s", text);
}

/* Violations of the core kernel's and the message layer's invariants. */
static inline u32 world_check(struct world *w, u32 core)
{
	struct ctx *c = &w->ctx[core];
	u32 n;

	ck_lock(c, c->ck);
	n = ck_check(c->ck, world_bad, NULL) + msg_check(c, c->ck, world_bad, NULL);
	ck_unlock(c->ck);
	return n;
}

#define RPC(layer, NAME, name, kind, server, cost, doc, q, p)                            \
	__attribute__((weak)) long layer##_##name(struct rpc_env *env_,                  \
						  const struct req_##NAME *req_,         \
						  struct rep_##NAME *rep_)               \
	{                                                                                \
		(void)env_, (void)req_, (void)rep_;                                      \
		return -ENOSYS;                                                          \
	}
#include "proto/rpc.def"
#undef RPC

#endif
