/* SPDX-License-Identifier: MIT */
/* The file server's handlers about names and attributes: results, errors, counts, times. */
#include "unit/fs.h"

#define ROOT INO_ROOT
#define FILE_MODE (HS_IFREG | 0644)
#define DIR_MODE (HS_IFDIR | 0755)

static struct fsw f;
static struct cred alice = { .uid = 1000, .gid = 100, .ngroups = 1, .groups = { 200 } };
static struct cred bob = { .uid = 1001, .gid = 101 };

static void be(const struct cred *c)
{
	static const struct cred root;

	f.cred = c ? *c : root;
}

static void t_create(void)
{
	struct rep_CREATE p = { 0 };
	struct attr a;
	char longest[257];
	long ino = mk(&f, ROOT, "a", FILE_MODE);

	memset(longest, 'n', 256);
	longest[256] = 0;
	ok(ino > 1, "create gives a number");
	is(look(&f, ROOT, "a"), ino, "and it is found");
	is(look(&f, ROOT, "b"), -ENOENT, "another name is not");
	is(mk(&f, ROOT, "a", FILE_MODE), -EEXIST, "create: EEXIST");
	is(mk(&f, ROOT, "", FILE_MODE), -ENOENT, "create: ENOENT for an empty name");
	is(mk(&f, ROOT, "x/y", FILE_MODE), -EINVAL, "create: EINVAL for a slash");
	is(mk(&f, ROOT, ".", DIR_MODE), -EEXIST, "create: EEXIST for .");
	is(mk(&f, ROOT, "..", DIR_MODE), -EEXIST, "create: EEXIST for ..");
	is(mk(&f, ROOT, longest, FILE_MODE), -ENAMETOOLONG, "create: ENAMETOOLONG");
	is(look(&f, ROOT, longest), -ENAMETOOLONG, "resolve: ENAMETOOLONG");
	longest[255] = 0;
	ok(mk(&f, ROOT, longest, FILE_MODE) > 0, "255 bytes are a name");
	is(rm(&f, ROOT, longest), 0, "which can be removed");
	is(mk(&f, 99999, "a", FILE_MODE), -ENOENT, "create: ENOENT without a directory");
	is(mk(&f, (u64)ino, "a", FILE_MODE), -ENOTDIR, "create: ENOTDIR");
	is(look(&f, (u64)ino, "a"), -ENOTDIR, "resolve: ENOTDIR");
	is(mk(&f, ROOT, "b", 0644), -EINVAL, "create: EINVAL without a type");
	is(FS(&f, create, CREATE, &p, .dir = ROOT, .name = NAME("a"), .cred = &f.cred,
	      .mode = FILE_MODE, .flags = CREATE_OPEN, .open_flags = O_RDWR),
	   0, "create of what is there, not exclusive");
	ok(!p.created && p.opened && p.ino == (u64)ino && p.type == HS_IFREG,
	   "opens it instead");
	is(cl(&f, (u64)ino, O_RDWR), 0, "close");
	is(FS(&f, create, CREATE, &p, .dir = ROOT, .name = NAME("c"), .cred = &alice,
	      .mode = HS_IFREG | 0400, .flags = CREATE_OPEN, .open_flags = O_RDWR | O_TRUNC),
	   0, "create and open");
	ok(p.created && p.opened && p.attr.mode == (HS_IFREG | 0400) && p.attr.uid == 1000 &&
		   p.attr.gid == 100 && p.attr.nlink == 1 && !p.attr.size,
	   "is open whatever its mode, with the caller's owner");
	is(rm(&f, ROOT, "c"), 0, "unlink while open");
	a = stat_of(&f, p.ino);
	ok(a.ino == p.ino && !a.nlink, "it lives on without links");
	is(cl(&f, p.ino, O_RDWR), 0, "last close");
	is(stat_of(&f, p.ino).ino, 0, "now it is gone");
	is(rm(&f, ROOT, "a"), 0, "unlink");
	is(rm(&f, ROOT, "a"), -ENOENT, "unlink: ENOENT");
	is(fsw_check_all(&f), 0, "consistent");
}

static void t_types(void)
{
	char buf[64] = "";
	struct rep_READLINK l = { .data = BYTES(buf, sizeof(buf)) };
	long d = mk(&f, ROOT, "d", DIR_MODE), s = mk(&f, ROOT, "s", HS_IFLNK);
	long p = mk(&f, ROOT, "p", HS_IFIFO | 0600), k = mk(&f, ROOT, "k", HS_IFSOCK | 0600);
	long n = mk(&f, ROOT, "n", HS_IFCHR | 0600);
	struct attr a;

	ok(d > 0 && s > 0 && p > 0 && k > 0 && n > 0, "all types can be made");
	a = stat_of(&f, (u64)s);
	ok(a.mode == (HS_IFLNK | 0777) && a.size == 6, "a symlink's mode and size");
	is(FS(&f, readlink, READLINK, &l, .ino = (u64)s), 0, "readlink");
	ok(l.data.len == 6 && !memcmp(buf, "target", 6), "gives the target");
	is(FS(&f, readlink, READLINK, &l, .ino = (u64)d), -EINVAL, "readlink: EINVAL");
	is(FS(&f, readlink, READLINK, &l, .ino = 12345), -ENOENT, "readlink: ENOENT");
	is(op(&f, (u64)k, O_RDONLY), -ENXIO, "open: ENXIO for a socket's name");
	is(op(&f, (u64)n, O_RDONLY), -ENXIO, "open: ENXIO for a device");
	is(op(&f, (u64)s, O_RDONLY), -ELOOP, "open: ELOOP for a symlink");
	is(op(&f, (u64)s, O_PATH), 0, "but O_PATH opens it");
	is(cl(&f, (u64)s, O_PATH), 0, "close");
	is(op(&f, (u64)d, O_WRONLY), -EISDIR, "open: EISDIR");
	is(op(&f, (u64)s + 1000, O_RDONLY), -ENOENT, "open: ENOENT");
	is(op(&f, (u64)k, O_RDONLY | O_DIRECTORY), -ENOTDIR, "open: ENOTDIR");
	is(rm(&f, ROOT, "d"), -EISDIR, "unlink: EISDIR");
	is(rmdir_all(&f, ROOT, "s"), -ENOTDIR, "rmdir: ENOTDIR");
	be(&alice);
	is(mk(&f, ROOT, "n2", HS_IFBLK | 0600), -EPERM, "mknod: EPERM");
	is(FS(&f, create, CREATE, NULL, .dir = ROOT, .name = NAME("n3"), .cred = &alice,
	      .mode = HS_IFCHR, .rdev = 0x103),
	   -EPERM, "mknod of a character device: EPERM");
	is(FS(&f, create, CREATE, NULL, .dir = ROOT, .name = NAME("n3"), .cred = &alice,
	      .mode = HS_IFLNK),
	   -ENOENT, "symlink: ENOENT for an empty target");
	be(NULL);
	is(rmdir_all(&f, ROOT, "d"), 0, "rmdir");
	ok(!rm(&f, ROOT, "s") && !rm(&f, ROOT, "p") && !rm(&f, ROOT, "k") && !rm(&f, ROOT, "n"),
	   "unlink of all types");
	is(fsw_check_all(&f), 0, "consistent");
}

static void t_dirs(void)
{
	struct attr before = stat_of(&f, ROOT), a;
	u64 d = (u64)mk(&f, ROOT, "d", DIR_MODE), d2 = (u64)mk(&f, d, "sub", DIR_MODE);
	struct rep_PARENT pp = { .name = BYTES((char[256]){ 0 }, 255) };
	struct rep_RESOLVE rr = { 0 };

	a = stat_of(&f, d);
	ok(a.nlink == 3 && a.size == 1, "a directory's links and entries");
	a = stat_of(&f, ROOT);
	ok(a.nlink == before.nlink + 1 && a.size == before.size + 1, "and its parent's");
	is(look(&f, d2, ".."), d, ".. is the parent");
	is(look(&f, d2, "."), d2, ". is itself");
	is(look(&f, ROOT, ".."), ROOT, "the root is its own parent");
	is(FS(&f, parent, PARENT, &pp, .ino = d2), 0, "parent");
	ok(pp.parent == d && pp.name.len == 3 && !memcmp(pp.name.p, "sub", 3), "is right");
	is(FS(&f, parent, PARENT, &pp, .ino = ROOT), 0, "the root's parent");
	is(pp.parent, ROOT, "is itself");
	is(FS(&f, resolve, RESOLVE, &rr, .dir = d, .name = NAME("sub"), .cred = &f.cred,
	      .want_attr = 1),
	   0, "resolve with attributes");
	ok(rr.has_attr && rr.attr.ino == d2 && rr.type == HS_IFDIR && rr.dir_mode == DIR_MODE,
	   "gives them");
	is(rmdir_all(&f, ROOT, "d"), -ENOTEMPTY, "rmdir: ENOTEMPTY");
	is(rmdir_all(&f, ROOT, "none"), -ENOENT, "rmdir: ENOENT");
	is(op(&f, d2, O_RDONLY), 0, "open a directory");
	is(rmdir_all(&f, d, "sub"), 0, "rmdir while it is open");
	is(stat_of(&f, d2).nlink, 0, "no links any more");
	is(mk(&f, d2, "x", FILE_MODE), -ENOENT, "create: ENOENT in a removed directory");
	is(look(&f, d2, "x"), -ENOENT, "resolve: ENOENT in it");
	is(look(&f, d2, ".."), d, "but .. still leads out");
	is(op(&f, d2, O_RDONLY), -ENOENT, "open: ENOENT for it");
	is(FS(&f, parent, PARENT, &pp, .ino = d2), -ENOENT, "parent: ENOENT");
	is(cl(&f, d2, O_RDONLY), 0, "close");
	is(stat_of(&f, d2).ino, 0, "gone");
	is(rmdir_all(&f, ROOT, "d"), 0, "rmdir of the parent");
	is(stat_of(&f, ROOT).nlink, before.nlink, "counts are back");
	is(fsw_check_all(&f), 0, "consistent");
}

static void t_rmdir_phases(void)
{
	u64 d = (u64)mk(&f, ROOT, "d", DIR_MODE);
	struct rep_RMDIR p = { 0 };
	struct rep_ADD_MAP am = { 0 };
	u32 seq = fsw_event(&f);

#define PHASE(ph, who, seq)                                                            \
	FS(&f, rmdir, RMDIR, &p, .dir = d, .phase = (ph), .owner = (who), .wait_seq = (seq))
	is(PHASE(RMDIR_MARK, 0, 0), -EINVAL, "an owner is needed");
	is(PHASE(RMDIR_SERIALIZE, 7, 0), 0, "serialize");
	is(PHASE(RMDIR_SERIALIZE, 7, 0), -EAGAIN, "not twice, not even for the same process");
	is(PHASE(RMDIR_SERIALIZE, 8, seq), -EAGAIN, "another waits");
	is(p.busy, 1, "and is told to wait");
	is(PHASE(RMDIR_MARK, 7, 0), 0, "mark");
	is(PHASE(RMDIR_MARK, 7, 0), 0, "mark again changes nothing");
	is(PHASE(RMDIR_COMMIT, 9, 0), -EINVAL, "commit by another: EINVAL");
	is(mk(&f, d, "x", FILE_MODE), -EAGAIN, "create in it is delayed");
	is(FS(&f, create, CREATE, NULL, .dir = d, .name = NAME("x"), .cred = &f.cred,
	      .mode = FILE_MODE, .wait_seq = seq),
	   -EAGAIN, "and registers");
	is(FS(&f, add_map, ADD_MAP, &am, .dir = d, .name = NAME("x"), .cred = &f.cred,
	      .ino = 77, .type = HS_IFREG, .wait_seq = seq),
	   -EAGAIN, "add_map too");
	is(am.busy, 1, "with busy");
	is(fsw_check(&f), 0, "consistent while marked");
	ok(!fsw_woken(&f, seq), "nobody was woken yet");
	is(PHASE(RMDIR_ABORT, 7, 0), 0, "abort");
	ok(fsw_woken(&f, seq), "wakes the waiter");
	ok(mk(&f, d, "x", FILE_MODE) > 0, "create works again");
	is(PHASE(RMDIR_SERIALIZE, 8, 0), 0, "the other's turn");
	is(PHASE(RMDIR_MARK, 8, 0), -ENOTEMPTY, "mark: ENOTEMPTY");
	is(PHASE(RMDIR_ABORT, 8, 0), 0, "abort");
	is(rm(&f, d, "x"), 0, "empty it");
	is(PHASE(RMDIR_SERIALIZE, 9, 0), 0, "serialize");
	is(PHASE(RMDIR_MARK, 9, 0), 0, "mark");
	ck_lock(&f.w.ctx[0], f.w.ck[0]);
	fs_owner_died(&f.w.ctx[0], f.w.ck[0], 9);
	ck_unlock(f.w.ck[0]);
	ok(mk(&f, d, "x", FILE_MODE) > 0, "the marking process died: the mark is gone");
	is(rm(&f, d, "x"), 0, "empty it");
	ok(!PHASE(RMDIR_SERIALIZE, 7, 0) && !PHASE(RMDIR_MARK, 7, 0), "mark again");
	is(rmdir_all(&f, ROOT, "d"), -EAGAIN, "rmdir in one waits meanwhile");
	is(FS(&f, rm_map, RM_MAP, NULL, .dir = ROOT, .name = NAME("d"), .cred = &f.cred,
	      .flags = RM_DIR, .expect = d),
	   0, "the entry goes");
	is(PHASE(RMDIR_COMMIT, 7, 0), 0, "commit");
	is(PHASE(RMDIR_COMMIT, 7, 0), -ENOENT, "once");
	is(stat_of(&f, d).ino, 0, "it is gone");
	d = ROOT;
	is(PHASE(RMDIR_SERIALIZE, 7, 0), -EBUSY, "the root: EBUSY");
	is(fsw_check_all(&f), 0, "consistent");
}

static void t_permissions(void)
{
	u64 d, s, a;
	struct rep_CREATE p = { 0 };

	be(&alice);
	d = (u64)mk(&f, ROOT, "d", HS_IFDIR | 0750);
	a = (u64)mk(&f, d, "a", HS_IFREG | 0640);
	be(&bob);
	is(look(&f, d, "a"), -EACCES, "resolve: EACCES without search permission");
	is(mk(&f, d, "b", FILE_MODE), -EACCES, "create: EACCES");
	is(rm(&f, d, "a"), -EACCES, "unlink: EACCES");
	is(op(&f, a, O_RDONLY), -EACCES, "open: EACCES");
	is(FS(&f, trunc, TRUNC, NULL, .ino = a, .size = 0, .check = 1, .cred = &bob), -EACCES,
	   "truncate: EACCES");
	is(FS(&f, chmod, CHMOD, NULL, .ino = a, .mode = 0777, .cred = &bob), -EPERM,
	   "chmod: EPERM");
	is(FS(&f, chown, CHOWN, NULL, .ino = a, .uid = 1001, .gid = ~0u, .cred = &bob), -EPERM,
	   "chown: EPERM");
	is(FS(&f, utimens, UTIMENS, NULL, .ino = a, .flags = UTIMENS_MTIME | UTIMENS_OWNER,
	      .cred = &bob),
	   -EPERM, "utimens with times: EPERM");
	is(FS(&f, utimens, UTIMENS, NULL, .ino = a, .flags = UTIMENS_MTIME_NOW, .cred = &bob),
	   -EACCES, "utimens now: EACCES");
	is(op(&f, a, O_PATH), 0, "O_PATH needs no permission");
	is(cl(&f, a, O_PATH), 0, "close");
	be(&alice);
	is(op(&f, a, O_RDWR), 0, "the owner may open");
	is(cl(&f, a, O_RDWR), 0, "close");
	is(FS(&f, chmod, CHMOD, NULL, .ino = a, .mode = 06755, .cred = &alice), 0, "chmod");
	is(stat_of(&f, a).mode, HS_IFREG | 06755, "set-id bits of the own group stay");
	is(FS(&f, chown, CHOWN, NULL, .ino = a, .uid = ~0u, .gid = 200, .cred = &alice), 0,
	   "chown to another of one's groups");
	is(stat_of(&f, a).mode, HS_IFREG | 0755, "takes set-id bits");
	is(FS(&f, chown, CHOWN, NULL, .ino = a, .uid = ~0u, .gid = 300, .cred = &alice), -EPERM,
	   "chown to a foreign group: EPERM");
	is(FS(&f, chown, CHOWN, NULL, .ino = a, .uid = 1001, .gid = ~0u, .cred = &alice), -EPERM,
	   "giving a file away: EPERM");
	is(FS(&f, chmod, CHMOD, NULL, .ino = a, .mode = 06755, .cred = &f.cred), 0, "set-id");
	is(FS(&f, write, WRITE, NULL, .ino = a, .uid = 1000, .data = BYTES("x", 1)), 0, "write");
	is(stat_of(&f, a).mode, HS_IFREG | 0755, "clears set-id bits");
	be(NULL);
	is(FS(&f, chmod, CHMOD, NULL, .ino = d, .mode = 02777, .cred = &f.cred), 0, "set-gid dir");
	be(&bob);
	is(FS(&f, create, CREATE, &p, .dir = d, .name = NAME("in"), .cred = &bob,
	      .mode = HS_IFDIR | 0755),
	   0, "mkdir in it");
	ok(p.attr.gid == 100 && (p.attr.mode & HS_ISGID), "inherits group and bit");
	is(FS(&f, create, CREATE, &p, .dir = d, .name = NAME("inf"), .cred = &bob,
	      .mode = HS_IFREG | 02755),
	   0, "create in it");
	ok(p.attr.gid == 100 && !(p.attr.mode & HS_ISGID), "no set-gid to a foreign group");
	/* sticky */
	be(NULL);
	s = (u64)mk(&f, ROOT, "sticky", HS_IFDIR | 01777);
	be(&alice);
	mk(&f, s, "mine", FILE_MODE);
	mk(&f, s, "dir", DIR_MODE);
	be(&bob);
	is(rm(&f, s, "mine"), -EPERM, "sticky: unlink EPERM");
	is(rmdir_all(&f, s, "dir"), -EPERM, "sticky: rmdir EPERM");
	is(FS(&f, rename, RENAME, NULL, .dir = s, .name = NAME("mine"), .new_dir = s,
	      .new_name = NAME("his"), .cred = &bob),
	   -EPERM, "sticky: rename EPERM");
	mk(&f, s, "bobs", FILE_MODE);
	is(FS(&f, rename, RENAME, NULL, .dir = s, .name = NAME("bobs"), .new_dir = s,
	      .new_name = NAME("mine"), .cred = &bob),
	   -EPERM, "sticky: replacing EPERM");
	be(&alice);
	is(rm(&f, s, "mine"), 0, "sticky: the owner may");
	is(rmdir_all(&f, s, "dir"), 0, "sticky: rmdir too");
	be(NULL);
	is(rm(&f, s, "bobs"), 0, "and root");
	is(rmdir_all(&f, ROOT, "sticky"), 0, "clean up");
	ok(!rm(&f, d, "a") && !rm(&f, d, "inf") && !rmdir_all(&f, d, "in") &&
		   !rmdir_all(&f, ROOT, "d"),
	   "clean up");
	is(fsw_check_all(&f), 0, "consistent");
}

static long tmpfile_of(struct fsw *w, u32 flags, u32 mode, struct rep_CREATE *c)
{
	return FS(w, create, CREATE, c, .cred = &w->cred, .mode = mode, .parent = ROOT,
		  .flags = flags, .open_flags = O_RDWR);
}

static void t_maps(void)
{
	u64 a = (u64)mk(&f, ROOT, "a", FILE_MODE), d = (u64)mk(&f, ROOT, "d", DIR_MODE), n, dd;
	struct rep_ADD_MAP p = { 0 };
	struct rep_RM_MAP m = { 0 };
	struct rep_CREATE c = { 0 };
	struct rep_LINK l = { 0 };

#define ADD(nm, i, ty, ...)                                                            \
	FS(&f, add_map, ADD_MAP, &p, .dir = ROOT, .name = NAME(nm), .cred = &f.cred,   \
	   .ino = (i), .type = (ty), ##__VA_ARGS__)
	is(FS(&f, link, LINK, &l, .ino = a, .delta = 1), 0, "link");
	is(l.attr.nlink, 2, "two links");
	is(ADD("b", a, HS_IFREG), 0, "second name");
	is(ADD("b", a, HS_IFREG), -EEXIST, "add_map: EEXIST");
	ok(p.old_ino == a && p.old_type == HS_IFREG, "says what is there");
	is(ADD("c", a, 0644), -EINVAL, "add_map: EINVAL for a type that is none");
	is(ADD("b", a, HS_IFREG, .flags = MAP_REPLACE), 0, "replace by itself");
	is(p.same, 1, "nothing is done");
	is(ADD("d", a, HS_IFREG, .flags = MAP_REPLACE), -EISDIR, "add_map: EISDIR");
	is(ADD("a", d, HS_IFDIR, .flags = MAP_REPLACE), -ENOTDIR, "add_map: ENOTDIR");
	is(FS(&f, link, LINK, NULL, .ino = d, .delta = 1), -EPERM, "link: EPERM for a directory");
	is(FS(&f, link, LINK, NULL, .ino = 4242, .delta = 1), -ENOENT, "link: ENOENT");
	is(FS(&f, link, LINK, NULL, .ino = a, .delta = 2), -EINVAL, "link: EINVAL");
	is(fsw_check_all(&f), 0, "consistent");
	/* O_TMPFILE and linking it */
	is(FS(&f, create, CREATE, &c, .cred = &f.cred, .mode = FILE_MODE, .parent = ROOT,
	      .flags = CREATE_OPEN, .open_flags = O_RDWR),
	   0, "create without a name");
	n = c.ino;
	ok(c.opened && c.attr.nlink == 1, "open, one link");
	is(FS(&f, destroy, DESTROY, NULL, .ino = n), 0, "destroy: no link");
	is(stat_of(&f, n).nlink, 0, "but it is open");
	is(FS(&f, destroy, DESTROY, NULL, .ino = n), -ENOENT, "destroy: ENOENT");
	is(FS(&f, link, LINK, NULL, .ino = n, .delta = 1), -ENOENT, "it can have no other");
	is(cl(&f, n, O_RDWR), 0, "close");
	is(stat_of(&f, n).ino, 0, "is its end");
	is(tmpfile_of(&f, CREATE_TMPFILE, FILE_MODE, &c), -EINVAL, "O_TMPFILE, not opened");
	is(tmpfile_of(&f, CREATE_TMPFILE | CREATE_OPEN, S_IFIFO | 0600, &c), -EINVAL,
	   "O_TMPFILE, not a file");
	is(tmpfile_of(&f, CREATE_TMPFILE | CREATE_OPEN | CREATE_EXCL, FILE_MODE, &c), 0,
	   "O_TMPFILE with O_EXCL");
	is(FS(&f, link, LINK, NULL, .ino = c.ino, .delta = 1), -ENOENT, "link: ENOENT");
	is(cl(&f, c.ino, O_RDWR), 0, "close");
	is(stat_of(&f, c.ino).ino, 0, "is its end");
	is(tmpfile_of(&f, CREATE_TMPFILE | CREATE_OPEN, FILE_MODE, &c), 0, "O_TMPFILE");
	n = c.ino;
	ok(c.opened && c.attr.nlink == 0, "open, no link");
	is(FS(&f, destroy, DESTROY, NULL, .ino = n), -ENOENT, "destroy: ENOENT");
	is(FS(&f, link, LINK, NULL, .ino = n, .delta = 1), 0, "a link");
	is(FS(&f, link, LINK, NULL, .ino = n, .delta = -1, .undo = 1), 0, "taken back");
	is(FS(&f, link, LINK, NULL, .ino = n, .delta = 1), 0, "linking it");
	is(ADD("t", n, HS_IFREG), 0, "gives it a name");
	is(rm(&f, ROOT, "t"), 0, "which goes");
	is(FS(&f, link, LINK, NULL, .ino = n, .delta = 1), -ENOENT, "link: ENOENT, it had one");
	is(cl(&f, n, O_RDWR), 0, "close");
	is(tmpfile_of(&f, CREATE_TMPFILE | CREATE_OPEN, FILE_MODE, &c), 0, "another");
	n = c.ino;
	is(FS(&f, link, LINK, NULL, .ino = n, .delta = 1), 0, "linking it");
	is(ADD("t", n, HS_IFREG), 0, "gives it a name");
	is(cl(&f, n, O_RDWR), 0, "close");
	is(look(&f, ROOT, "t"), n, "it stays");
	is(op(&f, a, O_RDONLY), 0, "open a");
	ok(!rm(&f, ROOT, "a") && !rm(&f, ROOT, "b"), "both names of a go");
	is(FS(&f, link, LINK, NULL, .ino = a, .delta = 1), -ENOENT, "link: ENOENT, no way back");
	is(cl(&f, a, O_RDONLY), 0, "close");
	/* replacing */
	a = (u64)mk(&f, ROOT, "a", FILE_MODE);
	is(FS(&f, link, LINK, NULL, .ino = a, .delta = 1), 0, "link a");
	is(ADD("t", a, HS_IFREG, .flags = MAP_REPLACE), 0, "a replaces t");
	is(p.old_ino, n, "which comes back");
	is(FS(&f, link, LINK, NULL, .ino = n, .delta = -1), 0, "and loses its link");
	is(stat_of(&f, n).ino, 0, "and life");
	is(FS(&f, rm_map, RM_MAP, &m, .dir = ROOT, .name = NAME("t"), .cred = &f.cred,
	      .expect = 99),
	   -EAGAIN, "rm_map: EAGAIN, another inode");
	is(m.ino, a, "says which");
	is(FS(&f, rm_map, RM_MAP, &m, .dir = ROOT, .name = NAME("t"), .cred = &f.cred,
	      .expect = a, .flags = RM_DIR),
	   -ENOTDIR, "rm_map: ENOTDIR");
	is(FS(&f, rm_map, RM_MAP, &m, .dir = ROOT, .name = NAME("t"), .cred = &f.cred,
	      .expect = a, .flags = RM_FILE),
	   0, "rm_map without the link");
	ok(!m.done && m.type == HS_IFREG, "leaves that to the caller");
	is(FS(&f, link, LINK, NULL, .ino = a, .delta = -1), 0, "who does it");
	/* a directory replaced */
	is(FS(&f, create, CREATE, &c, .cred = &f.cred, .mode = DIR_MODE, .parent = ROOT,
	      .name = NAME("d")),
	   0, "a directory without a name");
	dd = c.ino;
	is(ADD("d", dd, HS_IFDIR, .flags = MAP_REPLACE), -EAGAIN, "replacing wants a mark");
	ok(p.old_ino == d && !p.busy, "says of which, no waiting");
	is(FS(&f, rmdir, RMDIR, NULL, .dir = d, .phase = RMDIR_SERIALIZE, .owner = 5), 0, "serialize");
	is(FS(&f, rmdir, RMDIR, NULL, .dir = d, .phase = RMDIR_MARK, .owner = 5), 0, "mark");
	is(ADD("d", dd, HS_IFDIR, .flags = MAP_REPLACE, .marked = d), 0, "then it is replaced");
	is(FS(&f, rmdir, RMDIR, NULL, .dir = d, .phase = RMDIR_COMMIT, .owner = 5), 0, "commit");
	is(look(&f, ROOT, "d"), dd, "the new one is there");
	is(FS(&f, destroy, DESTROY, NULL, .ino = ROOT), -EBUSY, "destroy: never the root");
	is(rmdir_all(&f, ROOT, "d"), 0, "rmdir");
	is(rm(&f, ROOT, "a"), 0, "unlink");
	is(fsw_check_all(&f), 0, "consistent");
}

static void t_rename(void)
{
	u64 a = (u64)mk(&f, ROOT, "a", FILE_MODE), b = (u64)mk(&f, ROOT, "b", FILE_MODE);
	u64 d = (u64)mk(&f, ROOT, "d", DIR_MODE), g = (u64)mk(&f, ROOT, "g", DIR_MODE), x;
	struct rep_RENAME p = { 0 };
	u32 seq;
	struct rep_PARENT pp = { .name = BYTES((char[256]){ 0 }, 255) };

#define REN(d1, n1, d2, n2, ...)                                                       \
	FS(&f, rename, RENAME, &p, .dir = (d1), .name = NAME(n1), .new_dir = (d2),     \
	   .new_name = NAME(n2), .cred = &f.cred, ##__VA_ARGS__)
	is(REN(ROOT, "none", ROOT, "x"), -ENOENT, "rename: ENOENT");
	is(REN(ROOT, "a", ROOT, "a"), 0, "to itself");
	is(p.same, 1, "nothing is done");
	is(REN(ROOT, "a", ROOT, "c"), 0, "rename");
	ok(look(&f, ROOT, "a") == -ENOENT && look(&f, ROOT, "c") == (long)a, "the name changed");
	is(REN(ROOT, "c", ROOT, "b", .flags = 1), -EEXIST, "NOREPLACE: EEXIST");
	is(REN(ROOT, "c", ROOT, "b"), 0, "replacing");
	ok(p.old_ino == b && p.old_done && look(&f, ROOT, "b") == (long)a &&
		   !stat_of(&f, b).ino,
	   "what was there is gone");
	is(REN(ROOT, "b", ROOT, "d"), -EISDIR, "rename: EISDIR");
	is(REN(ROOT, "d", ROOT, "b"), -ENOTDIR, "rename: ENOTDIR");
	is(REN(ROOT, "d", d, "x"), -EINVAL, "into itself: EINVAL");
	is(REN(ROOT, "d", ROOT, "."), -EBUSY, "to a dot: EBUSY");
	is(REN(ROOT, "d", ROOT, "b", .flags = 3), -EINVAL, "both flags: EINVAL");
	is(REN(ROOT, "d", ROOT, "x", .flags = 2), -ENOENT, "EXCHANGE: ENOENT");
	x = (u64)mk(&f, g, "x", FILE_MODE);
	is(REN(ROOT, "d", ROOT, "g"), -ENOTEMPTY, "onto a full directory: ENOTEMPTY");
	is(REN(g, "x", d, "y"), 0, "to another directory");
	is(look(&f, d, "y"), x, "is there");
	is(REN(ROOT, "d", ROOT, "g"), 0, "a directory onto an empty one");
	ok(p.old_ino == g && p.old_done && look(&f, ROOT, "g") == (long)d, "replaces it");
	is(stat_of(&f, g).ino, 0, "which is gone");
	g = (u64)mk(&f, ROOT, "h", DIR_MODE);
	is(REN(ROOT, "g", g, "d"), -EAGAIN, "a directory that was not checked: EAGAIN");
	is(p.busy, BUSY_OTHER, "another one was");
	is(REN(ROOT, "g", g, "d", .expect = d), 0, "a directory into another");
	is(look(&f, d, ".."), g, "changes its ..");
	is(FS(&f, parent, PARENT, &pp, .ino = d), 0, "parent");
	ok(pp.parent == g && pp.name.len == 1, "knows where it is");
	ok(stat_of(&f, g).nlink == 3, "and its link count");
	is(REN(ROOT, "b", g, "d", .flags = 2, .expect = a), -EAGAIN,
	   "exchange: the second is not checked");
	is(p.busy, BUSY_OTHER, "another one was");
	is(REN(ROOT, "b", g, "d", .flags = 2, .new_expect = d), 0, "exchange of file and directory");
	ok(look(&f, ROOT, "b") == (long)d && look(&f, g, "d") == (long)a &&
		   stat_of(&f, g).nlink == 2 && look(&f, d, "..") == ROOT,
	   "both stand in the other's place");
	is(fsw_check_all(&f), 0, "consistent");
	be(&bob);
	is(REN(g, "d", g, "e"), -EACCES, "rename: EACCES");
	be(NULL);
	is(REN(g, "d", ROOT, "a"), 0, "back");
	is(FS(&f, rmdir, RMDIR, NULL, .dir = g, .phase = RMDIR_SERIALIZE, .owner = 5), 0, "serialize");
	is(FS(&f, rmdir, RMDIR, NULL, .dir = g, .phase = RMDIR_MARK, .owner = 5), 0, "mark");
	is(REN(ROOT, "a", g, "a", .wait_seq = fsw_event(&f)), -EAGAIN, "into a marked directory: EAGAIN");
	is(p.busy, 1, "registered");
	is(REN(ROOT, "b", ROOT, "h", .wait_seq = fsw_event(&f)), -EAGAIN, "onto a marked one: EAGAIN");
	is(p.busy, 1, "registered");
	is(FS(&f, rmdir, RMDIR, NULL, .dir = g, .phase = RMDIR_ABORT, .owner = 5), 0, "abort");
	ok(!rm(&f, d, "y") && !rmdir_all(&f, ROOT, "b") && !rmdir_all(&f, ROOT, "h") &&
		   !rm(&f, ROOT, "a"),
	   "clean up");
	/* the rename lock */
	seq = fsw_event(&f);
#define LOCK(o, who, seq) \
	FS(&f, rename_lock, RENAME_LOCK, NULL, .op = (o), .owner = (who), .wait_seq = (seq))
	is(LOCK(1, 5, 0), 0, "rename lock");
	is(LOCK(1, 6, seq), -EAGAIN, "another waits");
	is(LOCK(0, 6, 0), -EINVAL, "and cannot give it back");
	is(LOCK(0, 5, 0), 0, "given back");
	ok(fsw_woken(&f, seq), "the waiter is woken");
	is(LOCK(1, 6, 0), 0, "and gets it");
	ck_lock(&f.w.ctx[0], f.w.ck[0]);
	fs_owner_died(&f.w.ctx[0], f.w.ck[0], 6);
	ck_unlock(f.w.ck[0]);
	is(LOCK(1, 7, 0), 0, "it dies: free again");
	is(LOCK(0, 7, 0), 0, "done");
	is(fsw_check_all(&f), 0, "consistent");
}

struct dent {
	u64 ino;
	s64 off;
	u16 reclen;
	u8 type;
	char name[];
} __attribute__((packed));

static void t_dirent(void)
{
	u64 d = (u64)mk(&f, ROOT, "big", DIR_MODE), cookie = 0;
	char name[32], buf[1024], seen[600] = { 0 };
	struct rep_DIRENT p = { .data = BYTES(buf, sizeof(buf)) };
	u32 n = 0, calls = 0, doubled = 0;

	for (u32 i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		if (mk(&f, d, name, FILE_MODE) < 0)
			ok(0, "create %u", i);
	}
	is(FS(&f, dirent, DIRENT, &p, .dir = d, .size = 8), -EINVAL, "dirent: EINVAL, no room");
	is(FS(&f, dirent, DIRENT, &p, .dir = 4711, .size = 8), -ENOENT, "dirent: ENOENT");
	do {
		need(FS(&f, dirent, DIRENT, &p, .dir = d, .cookie = cookie,
			.size = sizeof(buf)) == 0, "dirent");
		for (u32 at = 0; at < p.data.len;) {
			struct dent *t = (struct dent *)(buf + at);
			u32 i = (u32)atoi(t->name + 4);

			if (i < 600 && seen[i]++)
				doubled++;
			cookie = (u64)t->off;
			at += t->reclen;
			n++;
		}
		/* Names come and go meanwhile: what stays is seen, once. */
		snprintf(name, sizeof(name), "file%u", calls);
		rm(&f, d, name);
		snprintf(name, sizeof(name), "more%u", 500 + calls);
		if (calls++ < 20)
			mk(&f, d, name, FILE_MODE);
	} while (!p.eof);
	ok(n >= 500 && !doubled, "500 entries in %u calls, none twice", calls);
	for (u32 i = calls; i < 500; i++)
		if (!seen[i])
			ok(0, "file%u was not seen", i);
	for (u32 i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		rm(&f, d, name);
		snprintf(name, sizeof(name), "more%u", i);
		rm(&f, d, name);
	}
	is(rmdir_all(&f, ROOT, "big"), 0, "rmdir");
	is(fsw_check_all(&f), 0, "consistent");
}

/* Makes a name, says what its cookie is, and removes it. */
static u64 cookie_of(u64 d, const char *name)
{
	char buf[1024];
	struct rep_DIRENT p = { .data = BYTES(buf, sizeof(buf)) };
	u64 cookie = 0;

	need(mk(&f, d, name, FILE_MODE) > 0, "create");
	need(FS(&f, dirent, DIRENT, &p, .dir = d, .size = sizeof(buf)) == 0, "dirent");
	for (u32 at = 0; at < p.data.len;) {
		struct dent *t = (struct dent *)(buf + at);

		if (!strcmp(t->name, name))
			cookie = (u64)t->off - 1;
		at += t->reclen;
	}
	need(cookie && rm(&f, d, name) == 0, "remove");
	return cookie;
}

/* A name that comes and goes takes a new cookie only while somebody may be listing. */
static void t_cookies(void)
{
	u64 d = (u64)mk(&f, ROOT, "cookies", DIR_MODE), first, kept;
	const u32 list = O_RDONLY | O_DIRECTORY, path = O_PATH | O_DIRECTORY;

	first = cookie_of(d, "a");
	is((long)cookie_of(d, "b"), (long)first, "the only name: the same cookie");
	need(mk(&f, d, "stays", FILE_MODE) > 0, "create");
	kept = cookie_of(d, "c");
	ok(kept > first, "one stays: the next cookie");
	is((long)cookie_of(d, "d"), (long)kept, "and that one again");
	is(FS(&f, open, OPEN, NULL, .ino = d, .flags = path, .cred = &f.cred), 0, "O_PATH");
	is((long)cookie_of(d, "e"), (long)kept, "which lists nothing");
	is(FS(&f, open, OPEN, NULL, .ino = d, .flags = list, .cred = &f.cred), 0, "open");
	is((long)cookie_of(d, "f"), (long)kept, "it was not given since");
	is((long)cookie_of(d, "g"), (long)kept + 1, "but now it was");
	FS(&f, close, CLOSE, NULL, .ino = d, .flags = path);
	is((long)cookie_of(d, "h"), (long)kept + 2, "closed as something else");
	FS(&f, close, CLOSE, NULL, .ino = d, .flags = list);
	is((long)cookie_of(d, "i"), (long)kept + 3, "nobody lists");
	is((long)cookie_of(d, "j"), (long)kept + 3, "and so it stays");
	is(rm(&f, d, "stays"), 0, "remove");
	is((long)cookie_of(d, "k"), (long)first, "empty: from the first on");
	is(rmdir_all(&f, ROOT, "cookies"), 0, "rmdir");
	is(fsw_check_all(&f), 0, "consistent");
}

static void t_xattr(void)
{
	u64 a = (u64)mk(&f, ROOT, "a", FILE_MODE), s = (u64)mk(&f, ROOT, "s", HS_IFLNK);
	char buf[64];
	struct rep_XATTR p = { .data = BYTES(buf, sizeof(buf)) };

#define X(i, o, nm, ...)                                                               \
	FS(&f, xattr, XATTR, &p, .ino = (i), .op = (o), .name = NAME(nm), .cred = &f.cred, \
	   ##__VA_ARGS__)
	is(X(a, 0, "user.x"), -ENODATA, "get: ENODATA");
	is(X(a, 1, "user.x", .value = BYTES("hello", 5)), 0, "set");
	is(X(a, 1, "user.x", .value = BYTES("hello", 5), .flags = 1), -EEXIST, "set: EEXIST");
	is(X(a, 1, "user.y", .value = BYTES("hello", 5), .flags = 2), -ENODATA, "set: ENODATA");
	is(X(a, 1, "user.y", .flags = 8), -EINVAL, "set: EINVAL");
	is(X(a, 1, "other.y"), -EOPNOTSUPP, "set: ENOTSUP");
	is(X(a, 1, "user."), -EINVAL, "set: an empty name");
	is(X(a, 1, "user.y", .value = BYTES(buf, 65537)), -E2BIG, "set: E2BIG");
	is(X(a, 1, "user.y", .from = s, .size = 5), -EINVAL, "set: from what is no file");
	is(X(a, 1, "user.y", .from = a, .size = 5), -EINVAL, "set: from what is too short");
	is(X(s, 1, "user.y"), -EPERM, "set: EPERM on a symlink");
	is(X(a, 0, "user.x"), 0, "get the length");
	is(p.len, 5, "is 5");
	is(X(a, 0, "user.x", .size = 3), 0, "get a part");
	ok(p.len == 5 && p.data.len == 3 && !memcmp(buf, "hel", 3), "as much as asked for");
	is(X(a, 0, "user.x", .flags = 3, .size = 64), 0, "the rest");
	ok(p.data.len == 2 && !memcmp(buf, "lo", 2), "of it");
	is(X(a, 0, "user.x", .flags = 9, .size = 64), 0, "beyond");
	is(p.data.len, 0, "there is nothing");
	is(X(a, 0, "user.x", .size = 64), 0, "get");
	ok(p.data.len == 5 && !memcmp(buf, "hello", 5), "the value");
	is(X(a, 1, "trusted.t", .value = BYTES("1", 1)), 0, "trusted");
	is(X(a, 2, "", .size = 64), 0, "list");
	ok(p.len == 17 && !memcmp(buf, "user.x\0trusted.t", 17), "both");
	be(&bob);
	is(X(a, 2, "", .size = 64), 0, "list of a user");
	is(p.len, 7, "without trusted");
	is(X(a, 0, "trusted.t", .size = 64), -ENODATA, "get: trusted is not there");
	is(X(a, 1, "trusted.t"), -EPERM, "set: EPERM");
	is(X(a, 1, "user.z"), -EACCES, "set: EACCES");
	be(NULL);
	is(X(a, 1, "user.x", .value = BYTES("", 0), .flags = 2), 0, "replace by nothing");
	is(X(a, 0, "user.x", .size = 64), 0, "get nothing");
	is(p.len, 0, "empty");
	is(X(a, 3, "user.x"), 0, "remove");
	is(X(a, 3, "user.x"), -ENODATA, "remove: ENODATA");
	is(X(ROOT, 0, "user.hare.distributed", .size = 64), 0, "whether it is distributed");
	is(buf[0], '0', "no");
	is(X(a, 9, "user.x"), -EINVAL, "no such operation");
	ok(!rm(&f, ROOT, "a") && !rm(&f, ROOT, "s"), "clean up");
	is(fsw_check_all(&f), 0, "consistent");
}

static void t_times(void)
{
	u64 a = (u64)mk(&f, ROOT, "a", FILE_MODE), old = 1000000007;
	struct attr s;

	is(FS(&f, utimens, UTIMENS, NULL, .ino = a, .atime = old, .mtime = old + 1,
	      .flags = UTIMENS_ATIME | UTIMENS_MTIME | UTIMENS_OWNER, .cred = &f.cred),
	   0, "utimens");
	s = stat_of(&f, a);
	ok(s.atime == old && s.mtime == old + 1 && s.ctime > old, "times to the nanosecond");
	wr(&f, a, 0, "x", 1);
	s = stat_of(&f, a);
	ok(s.mtime > old + 1 && s.mtime == s.ctime && s.atime == old, "a write sets mtime");
	rd(&f, a, 0, (char[4]){ 0 }, 4);
	ok(stat_of(&f, a).atime >= s.mtime, "a read sets an older atime");
	is(FS(&f, utimens, UTIMENS, NULL, .ino = ROOT, .mtime = 5,
	      .flags = UTIMENS_MTIME | UTIMENS_OWNER, .cred = &f.cred),
	   0, "utimens of a directory");
	is(rm(&f, ROOT, "a"), 0, "unlink");
	s = stat_of(&f, ROOT);
	ok(s.mtime > 5 && s.mtime == s.ctime, "sets the directory's mtime and ctime");
}

static void t_memory(void)
{
	struct fs_stats before, after;
	char name[32];

	fsw_stats(&f, 0, &before);
	for (int round = 0; round < 2; round++) {
		for (u32 i = 0; i < 5000; i++) {
			snprintf(name, sizeof(name), "n%u", i);
			if (mk(&f, ROOT, name, FILE_MODE) < 0)
				ok(0, "create %u", i);
		}
		for (u32 i = 0; i < 5000; i++) {
			snprintf(name, sizeof(name), "n%u", i);
			if (rm(&f, ROOT, name) < 0)
				ok(0, "unlink %u", i);
		}
		if (!round)
			fsw_stats(&f, 0, &before);
	}
	fsw_stats(&f, 0, &after);
	is(after.heap_used, before.heap_used, "5000 files come and go without a trace");
	is(after.entries, 0, "no entries left");
	is(after.inodes, 1, "but the root");
	is(fsw_check_all(&f), 0, "consistent");
}

static void t_heap_full(void)
{
	char name[200];
	u32 n = 0, removed = 0;
	long r;

	for (;; n++) {
		snprintf(name, sizeof(name), "%0150u", n);
		r = mk(&f, ROOT, name, n % 7 ? FILE_MODE : n % 2 ? DIR_MODE : HS_IFLNK);
		if (r < 0)
			break;
	}
	is(r, -ENOSPC, "%u files, then ENOSPC", n);
	is(fsw_check(&f), 0, "consistent");
	for (u32 i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%0150u", i);
		r = i % 7 || i % 2 == 0 ? rm(&f, ROOT, name) : rmdir_all(&f, ROOT, name);
		removed += !r;
	}
	is(removed, n, "all can be removed");
	ok(mk(&f, ROOT, "again", FILE_MODE) > 0, "and others made");
	is(rm(&f, ROOT, "again"), 0, "unlink");
	is(fsw_check_all(&f), 0, "consistent");
}

int main(void)
{
	fsw_new(&f, &(struct world_cfg){ .cores = 1 }, 0);
	is(fsw_check_all(&f), 0, "a new file system is consistent");
	t_create();
	t_types();
	t_dirs();
	t_rmdir_phases();
	t_permissions();
	t_maps();
	t_rename();
	t_dirent();
	t_cookies();
	t_xattr();
	t_times();
	t_memory();
	t_heap_full();
	fsw_end(&f);
	return done_testing();
}
