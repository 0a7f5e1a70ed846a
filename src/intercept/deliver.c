/* SPDX-License-Identifier: MIT */
/*
 * A signal for which the program has a handler. signal_wrapper runs on our alternate
 * stack with everything blocked, for a few microseconds, and never calls the handler: it
 * builds the frame that the kernel would have built, on the program's stack, and returns
 * into the handler. So nothing of ours lies below a handler; it may longjmp away.
 *
 * Where the signal found the thread, and what is done (windows: entry.S):
 *
 *   program code                 the handler is entered at once
 *   in a stub, entry window      back to the site, as if the call had not begun; handler
 *   host window, before the call the same; this is also how the kernel asks for a restart
 *   host window, after the call  the call's result in rax, behind the site; handler
 *   exit window                  the same, from the frame
 *   block window                 host_block returns -EINTR; then as the next line
 *   elsewhere in our code        kept in thread.deferred, all blocked, thread.work set; at the
 *                                end of the call an instruction of the exit window that
 *                                faults leads back here, and it is let in (let_in)
 *
 * It is not sent again: it would come behind those of its kind that were sent since, and not at all
 * if one of them is pending.
 *
 * CLIENT_CUT, a SIGBUS that the core's agent sends, is not the program's: in the first five of these
 * lines it is dealt with at once, elsewhere at the end of the call, by thread.cut (signal_cut). Not
 * a SIGSYS: while one is pending, that of a system call's dispatch is lost, and with it the call;
 * a fault that is lost happens again.
 *
 * CLIENT_WAKE, a SIGCONT that meant the proxy that this process was or is about to be, has done all it
 * is for when it has come.
 *
 * The race that this must win: a signal after the test of thread.work and before the
 * host's call that waits. Test and call lie in one window, and the wrapper looks at rip,
 * so either the call is not made or the kernel's own wait sees the signal.
 */
#include <linux/errno.h>

#include "intercept/icpt.h"

#define RED_ZONE      128
#define EFLAGS_RF     (1u << 16)
#define EFLAGS_TF     (1u << 8)
#define EFLAGS_DF     (1u << 10)
#define AUTODISARM    (1u << 31)
#define STACK_OFF     2
#define XFEATURE_PKRU (1ULL << 9)
#define MXCSR_DEFAULT 0x1f80u

/* What the kernel puts on the stack of a handler. */
struct sigframe {
	u64 restorer;
	struct ucontext uc;
	siginfo_t info;
};

static bool in(u64 rip, const char *from, const char *to)
{
	return rip >= (u64)from && rip < (u64)to;
}

static bool is_own(int sig)
{
	return OWN_SIGNALS & SIG_BIT(sig);
}

static int own_index(int sig)
{
	return sig == SIGSYS ? 0 : sig == SIGSEGV ? 1 : 2;
}

/* Raised by the thread's own instruction, not sent. */
static bool is_fault(const siginfo_t *info)
{
	return info->si_code > 0;
}

/* --- the state of the program ------------------------------------------------------- */

static void load_frame(struct thread *t, struct sigcontext *r, u64 rip, u64 rax)
{
	const struct frame *f = thread_frame(t);

	r->r15 = f->r15;
	r->r14 = f->r14;
	r->r13 = f->r13;
	r->r12 = f->r12;
	r->rbp = f->rbp;
	r->rbx = f->rbx;
	r->r9 = f->r9;
	r->r8 = f->r8;
	r->r10 = f->r10;
	r->rdx = f->rdx;
	r->rsi = f->rsi;
	r->rdi = f->rdi;
	r->rsp = f->rsp;
	r->rcx = f->rip;
	r->r11 = 0; /* trap_was_lost */
	r->rip = rip;
	r->rax = rax;
}

/* A wait of the program's with a mask of its own was ended by this signal: while its handler runs that
 * mask holds, so that others which came meanwhile are taken, too. The one from before the call is
 * what the handler returns to, as the host has it. */
static bool ended_wait(const struct thread *t, const struct sigcontext *r)
{
	return t->waits && (long)r->rax == -EINTR &&
	       (r->rip == (u64)icpt_host_end || r->rip == (u64)icpt_block_end);
}

static bool in_exit_window(u64 rip)
{
	return in(rip, icpt_exit_begin, icpt_exit_end);
}

/* Turns the interrupted state into the program's. False: it is inside our code. */
static bool to_program(struct thread *t, struct sigcontext *r)
{
	const struct frame *f = thread_frame(t);
	u64 rip = r->rip, ret;

	if (!in(rip, __executable_start, etext)) {
		if (thread_on_c_stack(t, r->rsp))
			return false; /* the vdso, called by us */
		ret = patch_stub_return(rip, r->rcx);
		if (ret)
			r->rip = ret - SYSCALL_LEN;
		return true;
	}
	if (in(rip, icpt_entry, icpt_entry_pushed)) {
		if (rip >= (u64)icpt_entry_switched)
			r->rsp = r->r11;
		r->rip = r->rcx - SYSCALL_LEN;
		return true;
	}
	if (in(rip, icpt_entry_pushed, icpt_entry_end)) {
		load_frame(t, r, f->rip - SYSCALL_LEN, f->nr);
		return true;
	}
	if (in_exit_window(rip)) {
		load_frame(t, r, f->rip, f->rax);
		return true;
	}
	if (in(rip, icpt_host_begin, icpt_host_syscall + 1)) {
		load_frame(t, r, f->rip - SYSCALL_LEN, r->rax);
		return true;
	}
	if (rip == (u64)icpt_host_end) {
		load_frame(t, r, f->rip, r->rax);
		return true;
	}
	if (in(rip, icpt_sigreturn_begin, icpt_sigreturn_syscall + 1)) {
		load_frame(t, r, f->rip - SYSCALL_LEN, f->nr);
		return true;
	}
	return false;
}

/* --- entering the handler ----------------------------------------------------------- */

static size_t fpstate_size(const struct _fpstate *fp)
{
	if (fp->sw_reserved.magic1 == FP_XSTATE_MAGIC1)
		return fp->sw_reserved.extended_size;
	return sizeof(*fp);
}

/* A handler starts with the vector and floating point state of a fresh process. */
static void fpstate_reset(struct _fpstate *fp)
{
	if (fp->sw_reserved.magic1 != FP_XSTATE_MAGIC1)
		return;
	fp->mxcsr = MXCSR_DEFAULT;
	((struct _xstate *)fp)->xstate_hdr.xfeatures &= XFEATURE_PKRU;
}

/* The stack that the handler runs on: below the red zone, or the program's alternate one.
 * 0 when that one has overflowed. */
static u64 handler_stack(struct thread *t, const struct kact *act, u64 rsp, size_t need)
{
	bool on = signal_on_vstack(t, rsp);
	u64 base = (u64)t->vstack.ss_sp, sp = rsp - RED_ZONE;

	if ((act->flags & SA_ONSTACK) && t->vstack.ss_size && !on) {
		sp = base + t->vstack.ss_size;
		on = true;
	}
	if (on && (sp - need <= base || sp - need > sp))
		return 0;
	return sp;
}

/* Copies the interrupted state to the program's stack as the kernel lays it out. Faults
 * there are fatal, as they are to the kernel: SIGSEGV is blocked now. NULL: no room. */
static struct sigframe *push_frame(struct thread *t, const struct kact *act,
				   const siginfo_t *info, const struct ucontext *uc,
				   u64 old_mask)
{
	struct _fpstate *fp = uc->uc_mcontext.fpstate;
	size_t fp_size = fp ? fpstate_size(fp) : 0;
	u64 sp = handler_stack(t, act, uc->uc_mcontext.rsp,
			       fp_size + 64 + sizeof(struct sigframe) + 16);
	struct sigframe *sf;
	u64 fp_at;

	if (!sp)
		return NULL;
	fp_at = ALIGN_DOWN(sp - fp_size, 64);
	sf = (struct sigframe *)(ALIGN_DOWN(fp_at - sizeof(*sf), 16) - 8);
	if (fp)
		memcpy((void *)fp_at, fp, fp_size);
	sf->restorer = act->restorer;
	memcpy(&sf->uc, uc, sizeof(*uc));
	memcpy(&sf->info, info, sizeof(*info));
	sf->uc.uc_link = NULL;
	sf->uc.uc_stack = t->vstack;
	sf->uc.uc_sigmask = old_mask;
	sf->uc.uc_mcontext.fpstate = fp ? (struct _fpstate *)fp_at : NULL;
	return sf;
}

static void die(struct thread *t, int sig, siginfo_t *info, struct ucontext *uc);

/* uc is the program's state; afterwards it is the handler's first instruction. host_mask is what it
 * returns to, waited: it ended a wait with a mask. */
static void enter_handler(struct thread *t, int sig, const struct kact *act,
			  siginfo_t *info, struct ucontext *uc, u64 host_mask,
			  bool waited)
{
	struct sigcontext *r = &uc->uc_mcontext;
	u64 old_mask = host_mask | t->vmask, mask;
	struct sigframe *sf;

	if (sig == SIGSYS && is_fault(info))
		info->_sifields._sigsys._call_addr = (void *)r->rip;
	if (info->si_code <= 0)
		client_siginfo(&t->task, info);
	sf = push_frame(t, act, info, uc, old_mask);
	if (!sf) {
		die(t, SIGSEGV, info, uc);
		return;
	}
	if (act->flags & SA_RESETHAND)
		signal_reset_action(t, sig);
	if ((u32)t->vstack.ss_flags & AUTODISARM)
		t->vstack = (stack_t){ .ss_flags = STACK_OFF };
	t->waits = false;
	mask = (waited ? t->wait_mask : old_mask) | act->mask;
	if (!(act->flags & SA_NODEFER))
		mask |= SIG_BIT(sig);
	t->vmask = mask & OWN_SIGNALS;
	uc->uc_sigmask = mask & ~OWN_SIGNALS;
	r->rdi = (u64)sig;
	r->rsi = (u64)&sf->info;
	r->rdx = (u64)&sf->uc;
	r->rax = 0;
	r->rsp = (u64)sf;
	r->rip = act->handler;
	r->eflags &= ~(u64)(EFLAGS_DF | EFLAGS_RF | EFLAGS_TF);
	if (r->fpstate)
		fpstate_reset(r->fpstate);
}

/* --- what is not delivered ---------------------------------------------------------- */

void signal_send_self(int sig, siginfo_t *info)
{
	long pid = SYS(getpid), tid = SYS(gettid);

	if (sys_failed(SYS(rt_tgsigqueueinfo, pid, tid, sig, info)))
		SYS(tgkill, pid, tid, sig); /* no memory for the details */
}

/* The default action, and the true wait status: a fault happens again, a signal is sent
 * again. */
static void die(struct thread *t, int sig, siginfo_t *info, struct ucontext *uc)
{
	struct kact dfl = { 0 };

	(void)t;
	SYS(rt_sigaction, sig, &dfl, NULL, 8);
	uc->uc_sigmask &= ~SIG_BIT(sig);
	if (!is_fault(info) || sig == SIGSYS || info->si_signo != sig)
		signal_send_self(sig, info);
}

static void fault_in_ours(int sig, const siginfo_t *info, const struct ucontext *uc)
{
	log_error("internal error: signal %d at %lx, address %lx (loader at %lx)", sig,
		  (unsigned long)uc->uc_mcontext.rip, (unsigned long)info->si_addr,
		  (unsigned long)__executable_start);
}

static void keep(struct held *h, int sig, const siginfo_t *info)
{
	h->sig = (u32)sig;
	memcpy(&h->info, info, sizeof(*info));
}

static void defer(struct thread *t, int sig, const siginfo_t *info, struct ucontext *uc)
{
	struct sigcontext *r = &uc->uc_mcontext;

	keep(&t->deferred, sig, info);
	t->saved_mask = uc->uc_sigmask;
	t->waited = ended_wait(t, r);
	t->work = 1;
	uc->uc_sigmask = ~OWN_SIGNALS;
	if (in(r->rip, icpt_block_begin, icpt_block_syscall + 1))
		r->rip = (u64)icpt_block_intr;
}

/* --- the handler of the host -------------------------------------------------------- */

/* A fault of the thread's own making. True when it is dealt with. */
static bool handle_fault(struct thread *t, int sig, siginfo_t *info, struct ucontext *uc,
			 const struct kact *act)
{
	const struct sigcontext *r = &uc->uc_mcontext;

	if (sig != SIGSYS &&
	    (in(r->rip, __executable_start, etext) || thread_on_c_stack(t, r->rsp))) {
		fault_in_ours(sig, info, uc);
		die(t, sig, info, uc);
		return true;
	}
	if (act->handler == (u64)SIG_DFL || act->handler == (u64)SIG_IGN ||
	    (t->vmask & SIG_BIT(sig))) {
		die(t, sig, info, uc);
		return true;
	}
	return false;
}

/* An own signal that somebody sent has to wait: it is blocked in name, or another one's turn. */
static bool own_waits(struct thread *t, int sig, siginfo_t *info)
{
	if (!(t->vmask & SIG_BIT(sig)) && !t->work)
		return false;
	keep(&t->own[own_index(sig)], sig, info);
	if (t->task.poll_time) /* a wait for just these looks at them again */
		t->task.poll_time[0] = t->task.poll_time[1] = 0;
	return true;
}

/* Those that had to wait for another one's turn come after it. Everything is blocked now. */
static void own_resend(struct thread *t, u64 vmask)
{
	for (size_t i = 0; i < ARRAY_SIZE(t->own); i++) {
		struct held *h = &t->own[i];
		int sig = (int)h->sig;

		if (!sig || (vmask & SIG_BIT(sig)))
			continue;
		h->sig = 0;
		signal_send_self(sig, &h->info);
	}
}

/* An own signal that somebody sent. True when it is dealt with. */
static bool handle_sent_own(struct thread *t, int sig, siginfo_t *info,
			    struct ucontext *uc, const struct kact *act)
{
	if (own_waits(t, sig, info))
		return true;
	if (act->handler == (u64)SIG_IGN)
		return true;
	if (act->handler == (u64)SIG_DFL) {
		die(t, sig, info, uc);
		return true;
	}
	return false;
}

/* True: there is no handler to be entered, and what there is to do is done. */
static bool no_handler(struct thread *t, int sig, siginfo_t *info, struct ucontext *uc,
		       const struct kact *act)
{
	if (is_own(sig))
		return is_fault(info) ? handle_fault(t, sig, info, uc, act)
				      : handle_sent_own(t, sig, info, uc, act);
	/* the disposition has changed since the host chose this handler */
	if (act->handler == (u64)SIG_DFL)
		signal_send_self(sig, info);
	return act->handler == (u64)SIG_DFL || act->handler == (u64)SIG_IGN;
}

/* An access behind the end that a mapped file of Hare had; when the file is longer now the access
 * goes on. Only where no core lock can be held: in the program, or in a checked copy. */
static bool grown_mapping(struct thread *t, const siginfo_t *info,
			  const struct sigcontext *r)
{
	if (!in(r->rip, icpt_copy_begin, icpt_copy_end) &&
	    (in(r->rip, __executable_start, etext) || thread_on_c_stack(t, r->rsp)))
		return false;
	if (t->task.copies_locked)
		return false;
	return client_fault(&t->task, (u64)info->si_addr);
}

/* A signal that is none of the program's ended a wait that has no restart of the kernel's: it begins anew. */
static void wait_anew(struct thread *t, struct sigcontext *r)
{
	if (r->rip == (u64)icpt_host_end && (long)r->rax == -EINTR) {
		r->rip = (u64)icpt_host_syscall;
		r->rax = thread_frame(t)->nr;
	}
}

void signal_cut(struct thread *t, struct ucontext *uc)
{
	struct sigcontext *r = &uc->uc_mcontext;
	u64 rip = r->rip;

	if (in(rip, icpt_entry, icpt_entry_end) || in_exit_window(rip) ||
	    in(rip, icpt_sigreturn_begin, icpt_sigreturn_syscall + 1) ||
	    (!in(rip, __executable_start, etext) && !thread_on_c_stack(t, r->rsp))) {
		client_cut_now(&t->task);
		return;
	}
	t->cut = 1;
	if (rip == (u64)icpt_block_end && (long)r->rax == -EINTR && t->task.poll_time)
		t->task.poll_time[0] = t->task.poll_time[1] = 0;
	wait_anew(t, r); /* it was still running when the signal was sent */
}

/* The end of a call with work: the thread stands at icpt_exit_deliver, everything is blocked. What came
 * in the call comes now, as if from the kernel; the others behind it. */
static void let_in(struct thread *t, struct ucontext *uc)
{
	struct sigcontext *r = &uc->uc_mcontext;
	siginfo_t *info = &t->deferred.info;
	int sig = (int)t->deferred.sig;
	struct kact act;

	if (t->cut) {
		t->cut = 0;
		client_cut_now(&t->task);
	}
	r->rip = (u64)icpt_exit_begin; /* unless there is a handler */
	uc->uc_sigmask = t->saved_mask;
	t->deferred.sig = 0;
	t->work = 0;
	signal_get_action(t, sig, &act);
	if (sig == SIGSYS && signal_is_freeze(info)) {
		thread_park(t);
	} else if (!no_handler(t, sig, info, uc, &act)) {
		to_program(t, r);
		enter_handler(t, sig, &act, info, uc, t->saved_mask, t->waited);
	}
	own_resend(t, t->vmask);
}

void signal_wrapper(int sig, siginfo_t *info, struct ucontext *uc)
{
	struct thread *t = thread_self();
	u64 rip = uc->uc_mcontext.rip, host_mask = uc->uc_sigmask;
	bool waited = ended_wait(t, &uc->uc_mcontext);
	struct kact act;

	if (rip == (u64)icpt_exit_deliver && is_fault(info)) {
		let_in(t, uc);
		return;
	}
	if (sig == SIGBUS && info->si_code == SI_QUEUE &&
	    (u64)info->si_value.sival_ptr == CLIENT_CUT) {
		signal_cut(t, uc);
		return;
	}
	if (sig == SIGCONT && info->si_code == SI_QUEUE &&
	    (u64)info->si_value.sival_ptr == CLIENT_WAKE) {
		wait_anew(t, &uc->uc_mcontext);
		return;
	}
	if (sig == SIGBUS && is_fault(info) && grown_mapping(t, info, &uc->uc_mcontext))
		return;
	if (is_own(sig) && is_fault(info) && in(rip, icpt_copy_begin, icpt_copy_end)) {
		uc->uc_mcontext.rip = (u64)icpt_copy_fault;
		return;
	}
	if (unlikely(t->hand_busy) && !(is_own(sig) && is_fault(info))) {
		/* its action cannot be read now: see signal_lock */
		if (!is_own(sig) || !own_waits(t, sig, info))
			defer(t, sig, info, uc);
		return;
	}
	if (unlikely(t->hand_busy)) /* a fault of our own: nothing is asked of it */
		memset(&act, 0, sizeof(act));
	else
		signal_get_action(t, sig, &act);
	if (no_handler(t, sig, info, uc, &act))
		return;
	if (!to_program(t, &uc->uc_mcontext)) {
		if (sig == SIGSYS && is_fault(info))
			uc->uc_mcontext.rax =
				(u64)-ENOSYS; /* a filter refused a call of ours */
		defer(t, sig, info, uc);
		return;
	}
	enter_handler(t, sig, &act, info, uc, host_mask, waited);
	if (waited)
		own_resend(t, t->vmask);
}

/* --- a wait in the host ends ---------------------------------------------------------- */

/* Also when it has no time that could be zeroed, and is about to begin. */
void signal_poked(struct thread *t, struct sigcontext *r)
{
	if (!t->task.poll_time)
		return;
	t->poked = 1;
	if (in(r->rip, icpt_block_begin, icpt_block_syscall + 1))
		r->rip = (u64)icpt_block_intr;
}

void host_poke_over(void)
{
	thread_self()->poked = 0;
}

/* --- stopped for an exec of another thread ------------------------------------------ */

bool signal_is_freeze(const siginfo_t *info)
{
	return info->si_code == SI_QUEUE && (u64)info->si_value.sival_ptr == FREEZE_VALUE;
}

/* Where the program's state is complete the thread stops in this handler; a call is ended first, and
 * made again after the thaw. One that a signal is ending already stops when it is asked again. */
void signal_freeze(struct thread *t, siginfo_t *info, struct ucontext *uc)
{
	struct sigcontext state = uc->uc_mcontext;
	u32 who = __atomic_load_n(&t->process->freeze, __ATOMIC_ACQUIRE);

	if (!who || who == (u32)t->tid)
		return;
	if (to_program(t, &state))
		thread_park(t);
	else if (!t->work)
		defer(t, SIGSYS, info, uc);
}

/* --- the end of a call -------------------------------------------------------------- */

u64 signal_exit_work(struct frame *f)
{
	struct thread *t = thread_self();

	(void)f;
	if (t->cut) {
		t->cut = 0;
		client_cut_now(&t->task);
	}
	return t->work;
}

long signal_finish(struct thread *t, struct frame *f, long ret)
{
	struct kact act;

	if (t->work && ret != -ICPT_ERESTARTNOINTR &&
	    !(t->deferred.sig == SIGSYS && signal_is_freeze(&t->deferred.info))) {
		signal_get_action(t, (int)t->deferred.sig, &act);
		if (ret == -HARE_ERESTARTNOHAND || !(act.flags & SA_RESTART))
			return -EINTR;
	}
	f->rip -= SYSCALL_LEN;
	return (long)f->nr;
}

void signal_release_own(struct thread *t)
{
	u64 all = ~0ULL, most = ~OWN_SIGNALS;

	for (size_t i = 0; i < ARRAY_SIZE(t->own); i++) {
		struct held *h = &t->own[i];

		if (!h->sig || (t->vmask & SIG_BIT(h->sig)))
			continue;
		/* the own ones too: one that came in between would be deferred over this one */
		SYS(rt_sigprocmask, SIG_SETMASK, &all, &t->scratch[3], 8);
		if (!t->work) { /* else another one came first; this one's turn is later */
			t->saved_mask = t->scratch[3];
			t->waited = false;
			t->deferred = *h;
			t->work = 1;
			h->sig = 0;
		}
		signal_set_mask(most);
		return;
	}
}

void signal_fork_child(struct thread *t)
{
	if (t->work)
		t->start_mask = t->saved_mask;
	t->work = 0;
	t->deferred.sig = 0;
	for (size_t i = 0; i < ARRAY_SIZE(t->own); i++) {
		if (t->own[i].sig)
			t->own[i].sig = 0;
	}
}

/* As long as its handler runs an own signal is blocked in name. One that was held meanwhile is sent
 * again, to come when the kernel has restored what the handler interrupted: a handler whose signal
 * keeps coming must not pile up on the stack. */
static void sigreturn_own(struct thread *t, u64 vmask)
{
	u64 mask;

	if (t->vmask & ~vmask) {
		signal_block_all(&mask);
		if (t->work || t->cut) { /* the call is made again after it */
			signal_set_mask(mask);
			return;
		}
		own_resend(t, vmask);
	}
	t->vmask = vmask;
}

/* The new program finds them pending. Everything is blocked now. */
void signal_own_to_host(struct thread *t)
{
	own_resend(t, 0);
}

/* The frame is the program's to change: what own signals it blocks is taken out, and the
 * alternate stack that the kernel restores is ours. */
long icpt_rt_sigreturn(struct task *task, long a[6])
{
	struct thread *t = thread_of(task);
	struct ucontext *uc = &t->sigreturn;
	u64 sp = thread_frame(t)->rsp, vmask;
	size_t size;

	(void)a;
	if (user_read(uc, (void *)sp, sizeof(*uc))) {
		/* the kernel kills for a bad frame; so does reading one here */
		SYS(rt_sigaction, SIGSEGV, &(struct kact){ 0 }, NULL, 8);
		signal_send_self(SIGSEGV,
				 &(siginfo_t){ .si_signo = SIGSEGV, .si_code = SI_USER });
		return -EFAULT;
	}
	signal_set_vstack(t, &uc->uc_stack, sp);
	vmask = uc->uc_sigmask & OWN_SIGNALS;
	uc->uc_sigmask &= ~OWN_SIGNALS;
	uc->uc_stack.ss_sp = thread_altstack(t, &size);
	uc->uc_stack.ss_size = size;
	uc->uc_stack.ss_flags = 0;
	/* as icpt_enter, to which this does not return */
	if (unlikely(client_may_cut(task)))
		client_cut_now(task);
	sigreturn_own(t, vmask);
	return icpt_do_sigreturn(uc);
}

bool host_signal_pending(void)
{
	return thread_self()->work;
}
