/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what: mode bits, ACLs, and what overrides them. In the order in which Linux looks (path_resolution(7), acl(5), capabilities(7)). */
#include "servers/fs/tree_internal.h"

bool fs_is_member(const struct fs_who *who, uint32_t gid)
{
	if (who->gid == gid)
		return true;
	for (uint32_t i = 0; i < who->n_groups; i++) {
		if (who->groups[i] == gid)
			return true;
	}
	return false;
}

bool fs_is_owner(const struct fs_who *who, const struct fs_inode *inode)
{
	return who->uid == inode->attr.uid || who->flags & FS_MAY_OWN;
}

static dvs_err by_mode(struct fs *fs, const struct fs_who *who, const struct fs_inode *inode,
		       uint32_t mask)
{
	uint32_t mode = inode->attr.mode;

	if (who->uid == inode->attr.uid)
		return mask & ~(mode >> 6) ? DVS_NOACCESS : DVS_OK;
	/* As in Linux, an ACL whose mask allows nothing is not looked at. */
	if (inode->flags & FS_INODE_ACL && mode & S_IRWXG)
		return fs_acl_permit(fs, who, inode, mask);
	if (fs_is_member(who, inode->attr.gid))
		mode >>= 3;
	return mask & ~mode ? DVS_NOACCESS : DVS_OK;
}

dvs_err fs_permit(struct fs *fs, const struct fs_who *who, struct fs_inode *inode, uint32_t mask)
{
	dvs_err err;

	mask &= FS_READ | FS_WRITE | FS_SEARCH;
	err = by_mode(fs, who, inode, mask);
	if (err != DVS_NOACCESS || !(who->flags & FS_MAY_OVERRIDE))
		return err;
	if (S_ISDIR(inode->attr.mode) || !(mask & FS_SEARCH) ||
	    inode->attr.mode & (S_IXUSR | S_IXGRP | S_IXOTH))
		return DVS_OK;
	return DVS_NOACCESS;
}

dvs_err fs_drop_privileges(struct fs *fs, const struct fs_who *who, struct fs_inode *inode)
{
	uint32_t mode = inode->attr.mode, drop = mode & S_ISUID;

	if (!S_ISREG(mode))
		return DVS_OK;
	if (mode & S_ISGID && (mode & S_IXGRP || !who || !fs_is_member(who, inode->attr.gid)))
		drop |= S_ISGID;
	if (!who || !(who->flags & FS_MAY_FSETID))
		inode->attr.mode &= ~drop;
	if (!(inode->flags & FS_INODE_CAPABILITY))
		return DVS_OK;
	return fs_xattr_remove(fs, inode, FS_CAPABILITY);
}
