/* SPDX-License-Identifier: MIT */
/*
 * Maps the program and its ELF interpreter as the kernel's binfmt_elf does. The file may
 * lie in Hare: it is read and mapped by the program's own system calls (program_call).
 */
#include <linux/elf.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "intercept/icpt.h"

#define HEAD_SIZE    2048 /* ELF header and, nearly always, the program headers */
#define PHDRS_MAX    64
#define EXIT_CANNOT  126
#define EXIT_MISSING 127
/* Programs that may be anywhere go where the kernel puts them; sanitizers rely on it. */
#define PIE_BASE   0x558000000000ULL
#define PIE_RANDOM 0xfffffULL

struct file {
	struct thread *t;
	const char *path;
	int fd;
	const Elf64_Phdr *ph; /* in head, or in far_ph */
	union {
		Elf64_Ehdr eh;
		char head[HEAD_SIZE];
	};
	Elf64_Phdr far_ph[PHDRS_MAX];
};

static void fail(const struct file *f, const char *why, long err)
{
	load_fail(err == -ENOENT ? EXIT_MISSING : EXIT_CANNOT, f->path, why, err);
}

/* The program is what exec found, be it by another name now, or by none. */
static void file_open(struct file *f, bool interp)
{
	long fd = interp ? -ENOENT : client_open_running(&f->t->task);

	if (fd == -ENOENT)
		fd = program_call(f->t, __NR_openat, AT_FDCWD, (long)f->path,
				  O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd == -EACCES) /* one that may be run, and not be read */
		fd = client_open_program(&f->t->task, f->path);
	if (sys_failed(fd))
		fail(f, "cannot open it", fd);
	f->fd = (int)fd;
}

static void file_read(struct file *f, void *buf, size_t len, u64 off, size_t least)
{
	long n = program_call(f->t, __NR_pread64, f->fd, (long)buf, (long)len, (long)off,
			      0, 0);

	if (sys_failed(n))
		fail(f, "cannot read it", n);
	if ((size_t)n < least)
		fail(f, "the file is cut short", 0);
}

static void read_headers(struct file *f)
{
	const Elf64_Ehdr *eh = &f->eh;
	size_t size;

	file_read(f, f->head, HEAD_SIZE, 0, sizeof(*eh));
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_machine != EM_X86_64)
		fail(f, "not a program for this machine", -ENOEXEC);
	if ((eh->e_type != ET_EXEC && eh->e_type != ET_DYN) ||
	    eh->e_phentsize != sizeof(Elf64_Phdr) || !eh->e_phnum ||
	    eh->e_phnum > PHDRS_MAX)
		fail(f, "not an executable file", -ENOEXEC);
	size = eh->e_phnum * sizeof(Elf64_Phdr);
	f->ph = f->far_ph;
	if (eh->e_phoff <= HEAD_SIZE - size && !(eh->e_phoff & 7))
		f->ph = (const Elf64_Phdr *)(f->head + eh->e_phoff);
	else
		file_read(f, f->far_ph, size, eh->e_phoff, size);
}

/* --- where it goes ------------------------------------------------------------------ */

static u64 random_pie(struct thread *t)
{
	/* the kernel's randomness: it chose where our block lies */
	return PIE_BASE +
	       ((((u64)t >> 12) * 0x9e3779b97f4a7c15ULL >> 20) & PIE_RANDOM) * 0x10000;
}

/* Reserves [lo, hi) of the image, at an address that is a multiple of align. */
static void reserve(struct file *f, struct image *img, u64 lo, u64 hi, u64 align,
		    bool interp)
{
	u64 span = hi - lo, want, at;
	long base;

	if (f->eh.e_type == ET_EXEC) {
		base = SYS(mmap, lo, span, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (base != (long)lo)
			fail(f, "its fixed addresses are taken", -ENOMEM);
		return;
	}
	want = interp ? place_image(span) : ALIGN_UP(random_pie(f->t), align);
	base = SYS(mmap, want, span + align - PAGE_SIZE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_failed(base))
		fail(f, "no room in the address space", base);
	at = ALIGN_UP((u64)base, align);
	if (at > (u64)base)
		SYS(munmap, base, at - (u64)base);
	if ((u64)base + align - PAGE_SIZE > at)
		SYS(munmap, at + span, (u64)base + align - PAGE_SIZE - at);
	img->bias = at - lo;
}

static void find_extent(struct file *f, struct image *img, bool interp)
{
	u64 lo = ~0ULL, hi = 0, align = PAGE_SIZE;

	for (int i = 0; i < f->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &f->ph[i];
		u64 end = p->p_vaddr + p->p_memsz;

		if (p->p_type != PT_LOAD)
			continue;
		if (end < p->p_vaddr || end >= 1ULL << 47 || p->p_filesz > p->p_memsz)
			fail(f, "a segment makes no sense", -ENOEXEC);
		lo = MIN(lo, ALIGN_DOWN(p->p_vaddr, PAGE_SIZE));
		hi = MAX(hi, ALIGN_UP(end, (u64)PAGE_SIZE));
		if (!(p->p_align & (p->p_align - 1)))
			align = MAX(align, p->p_align);
	}
	if (lo >= hi)
		fail(f, "nothing in it to load", -ENOEXEC);
	reserve(f, img, lo, hi, align, interp);
	img->lo = lo + img->bias;
	img->hi = hi + img->bias;
}

/* --- segments ----------------------------------------------------------------------- */

static int protection(const Elf64_Phdr *p)
{
	return (p->p_flags & PF_R ? PROT_READ : 0) |
	       (p->p_flags & PF_W ? PROT_WRITE : 0) | (p->p_flags & PF_X ? PROT_EXEC : 0);
}

/* The rest of the last file page is zeroed, to its end: ld.so's first allocations lie
 * there. */
static void map_bss(struct file *f, const struct image *img, const Elf64_Phdr *p)
{
	u64 start = img->bias + p->p_vaddr + p->p_filesz;
	u64 end = ALIGN_UP(img->bias + p->p_vaddr + p->p_memsz, (u64)PAGE_SIZE);
	u64 page = p->p_filesz ? ALIGN_UP(start, (u64)PAGE_SIZE)
			       : ALIGN_DOWN(start, PAGE_SIZE);
	long ret;

	if (page > start && (p->p_flags & PF_W))
		memset((void *)start, 0, page - start);
	if (end <= page)
		return;
	ret = SYS(mmap, page, end - page, protection(p),
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (sys_failed(ret))
		fail(f, "no memory", ret);
}

static void map_segment(struct file *f, const struct image *img, const Elf64_Phdr *p)
{
	u64 in_page = p->p_vaddr & (PAGE_SIZE - 1);
	long ret;

	if (p->p_filesz) {
		ret = program_call(
			f->t, __NR_mmap, (long)(img->bias + p->p_vaddr - in_page),
			(long)(p->p_filesz + in_page), protection(p),
			MAP_PRIVATE | MAP_FIXED, f->fd, (long)(p->p_offset - in_page));
		if (sys_failed(ret))
			fail(f, "cannot map it", ret);
	}
	if (p->p_memsz > p->p_filesz)
		map_bss(f, img, p);
}

static void read_interp(struct file *f, struct image *img, const Elf64_Phdr *p)
{
	if (p->p_filesz < 2 || p->p_filesz > PATH_LEN_MAX)
		fail(f, "its interpreter's name makes no sense", -ENOEXEC);
	if (p->p_offset <= HEAD_SIZE - p->p_filesz && p->p_filesz <= HEAD_SIZE)
		memcpy(img->interp, f->head + p->p_offset, p->p_filesz);
	else
		file_read(f, img->interp, p->p_filesz, p->p_offset, p->p_filesz);
	img->interp[p->p_filesz - 1] = 0;
}

static bool holds_phdrs(const Elf64_Ehdr *eh, const Elf64_Phdr *p)
{
	return eh->e_phoff >= p->p_offset && eh->e_phoff < p->p_offset + p->p_filesz;
}

static void load_segments(struct file *f, struct image *img)
{
	for (int i = 0; i < f->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &f->ph[i];

		switch (p->p_type) {
		case PT_LOAD:
			map_segment(f, img, p);
			if (holds_phdrs(&f->eh, p))
				img->phdr = img->bias + p->p_vaddr + f->eh.e_phoff -
					    p->p_offset;
			break;
		case PT_INTERP:
			read_interp(f, img, p);
			break;
		case PT_GNU_STACK:
			img->exec_stack = p->p_flags & PF_X;
			break;
		}
	}
}

/* A program in Hare has a name too. That of one of the host's is found out when it is asked for:
 * a process that is new pays dear for its first look at /proc. */
static void record_exe(struct file *f)
{
	char link[40];
	long a[6] = { (long)link, (long)g_program.exe, PATH_LEN_MAX - 1 };
	long n;

	str_format(link, sizeof(link), "/proc/self/fd/%d", f->fd);
	n = client_readlink(&f->t->task, a);
	g_program.exe_known = n >= 0;
	if (n >= 0)
		g_program.exe[MIN(n, PATH_LEN_MAX - 1)] = 0;
	else
		str_copy(g_program.exe, f->path, PATH_LEN_MAX);
}

void elf_load(struct thread *t, const char *path, struct image *img, bool interp)
{
	struct file f; /* most of it stays untouched */

	f.t = t;
	f.path = path;
	img->bias = 0;
	img->interp[0] = 0;
	img->phdr = 0;
	img->exec_stack = false;
	file_open(&f, interp);
	read_headers(&f);
	find_extent(&f, img, interp);
	if (!interp) {
		g_program.main_lo = img->lo;
		g_program.main_hi = img->hi;
	}
	load_segments(&f, img);
	img->entry = img->bias + f.eh.e_entry;
	img->phnum = f.eh.e_phnum;
	if (!interp)
		record_exe(&f);
	program_call(t, __NR_close, f.fd, 0, 0, 0, 0, 0);
}
