/* SPDX-License-Identifier: MIT */
/* Permission by mode and owner, as Linux's generic_permission has it without ACLs. */
#include "client/path.h"

bool cred_in_group(const struct cred *cred, u32 gid)
{
	u32 i;

	if (cred->gid == gid)
		return true;
	for (i = 0; i < cred->ngroups && i < CRED_GROUPS_MAX; i++)
		if (cred->groups[i] == gid)
			return true;
	return false;
}

long perm_check(const struct cred *cred, u32 mode, u32 uid, u32 gid, u32 want)
{
	u32 bits = mode;

	/* uid 0 may do everything, but execute only what somebody may execute. */
	if (cred->uid == 0) {
		bool exec = (mode & 0111) || (mode & HS_IFMT) == HS_IFDIR;

		return (want & MAY_EXEC) && !exec ? -EACCES : 0;
	}
	if (cred->uid == uid)
		bits = mode >> 6;
	else if (cred_in_group(cred, gid))
		bits = mode >> 3;
	return want & ~bits & (MAY_READ | MAY_WRITE | MAY_EXEC) ? -EACCES : 0;
}

long dir_may_write(struct task *t, u64 dir, struct perm *p)
{
	long r = dir_perm_get(t, dir, p);

	if (r)
		return r;
	return perm_check(&t->proc->cred, p->mode | HS_IFDIR, p->uid, p->gid,
			  MAY_WRITE | MAY_EXEC);
}

long sticky_check(const struct cred *cred, const struct perm *dir, u32 owner)
{
	if (!(dir->mode & HS_ISVTX) || cred->uid == 0)
		return 0;
	return cred->uid == dir->uid || cred->uid == owner ? 0 : -EPERM;
}
