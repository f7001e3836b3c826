/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes: chmod(2), chown(2), utimensat(2), truncate(2), access(2), open(2)'s question whether one may. */
#include <fcntl.h>

#include "servers/fs/tree_internal.h"

/* fs_change.valid, as struct change in fs.toml */
#define SET_MODE 1u
#define SET_UID 2u
#define SET_GID 4u
#define SET_SIZE 8u
#define SET_ATIME 16u
#define SET_MTIME 32u
#define SET_ATIME_NOW 64u
#define SET_MTIME_NOW 128u
#define SET_CTIME 256u
#define SET_DROP 512u
#define SET_ALL 1023u

#define NS_PER_S 1000000000u
#define NO_ID UINT32_MAX

dvs_err fs_getattr(struct fs *fs, uint64_t ino, struct fs_attr *attr)
{
	struct fs_inode *inode;
	dvs_err err = fs_inode_get(fs, ino, &inode);

	if (err == DVS_OK)
		*attr = inode->attr;
	return err;
}

dvs_err fs_access(struct fs *fs, const struct fs_who *who, uint64_t ino, uint32_t mask)
{
	struct fs_inode *inode;
	dvs_err err;

	if (mask & ~7u)
		return DVS_BADARG;
	err = fs_inode_get(fs, ino, &inode);
	if (err != DVS_OK)
		return err;
	if (mask & FS_WRITE && fsimage_why(fs->image) &&
	    (S_ISREG(inode->attr.mode) || S_ISDIR(inode->attr.mode) || S_ISLNK(inode->attr.mode)))
		return DVS_READONLY;
	return fs_permit(fs, who, inode, mask);
}

dvs_err fs_may_open(struct fs *fs, const struct fs_who *who, uint64_t ino, uint32_t flags,
		    struct fs_attr *attr)
{
	static const uint32_t masks[] = { FS_READ, FS_WRITE, FS_READ | FS_WRITE,
					  FS_READ | FS_WRITE };
	uint32_t mask = masks[flags & O_ACCMODE] | (flags & O_TRUNC ? FS_WRITE : 0);
	struct fs_inode *inode;
	dvs_err err = fs_inode_get(fs, ino, &inode);

	if (err != DVS_OK)
		return err;
	if (flags & O_DIRECTORY && !S_ISDIR(inode->attr.mode))
		return DVS_NOTDIR;
	if (S_ISLNK(inode->attr.mode))
		return DVS_LOOP;
	if (S_ISDIR(inode->attr.mode) && (mask & FS_WRITE || flags & O_CREAT))
		return DVS_ISDIR;
	if (mask & FS_WRITE && S_ISREG(inode->attr.mode) && fsimage_why(fs->image))
		return DVS_READONLY;
	err = fs_permit(fs, who, inode, mask);
	if (err != DVS_OK)
		return err;
	if (flags & O_NOATIME && !fs_is_owner(who, inode))
		return DVS_DENIED;
	*attr = inode->attr;
	return DVS_OK;
}

static bool in_range(const struct fs_change *change)
{
	uint32_t valid = change->valid;

	return (valid & ~SET_ALL) == 0 && !(valid & SET_UID && change->uid == NO_ID) &&
	       !(valid & SET_GID && change->gid == NO_ID) &&
	       !(valid & SET_ATIME && change->atime_ns >= NS_PER_S) &&
	       !(valid & SET_MTIME && change->mtime_ns >= NS_PER_S) &&
	       !(valid & SET_CTIME && change->ctime_ns >= NS_PER_S);
}

static dvs_err may_set_size(struct fs *fs, const struct fs_who *who, struct fs_inode *inode,
			    uint64_t size, bool can_write)
{
	dvs_err err;

	if (S_ISDIR(inode->attr.mode))
		return DVS_ISDIR;
	if (!S_ISREG(inode->attr.mode))
		return DVS_BADARG;
	err = can_write ? DVS_OK : fs_permit(fs, who, inode, FS_WRITE);
	if (err == DVS_OK && size > (uint64_t)FS_FILE_MAX)
		err = DVS_FILEBIG;
	return err;
}

/* Times: who may write may say "now" for both; all else is the owner's. */
static dvs_err may_set_times(struct fs *fs, const struct fs_who *who, struct fs_inode *inode,
			     uint32_t valid)
{
	uint32_t now = valid & (SET_ATIME_NOW | SET_MTIME_NOW);

	if (fs_is_owner(who, inode))
		return DVS_OK;
	if (valid & (SET_ATIME | SET_MTIME | SET_CTIME))
		return DVS_DENIED;
	if (now == 0 || valid & SET_SIZE)
		return DVS_OK; /* times of a change of size come with its right */
	if (now != (SET_ATIME_NOW | SET_MTIME_NOW))
		return DVS_DENIED;
	return fs_permit(fs, who, inode, FS_WRITE);
}

static dvs_err may_set(struct fs *fs, const struct fs_who *who, struct fs_inode *inode,
		       const struct fs_change *change, bool can_write)
{
	const struct fs_attr *attr = &inode->attr;
	uint32_t valid = change->valid;
	bool may_chown = who->flags & FS_MAY_CHOWN;
	dvs_err err = DVS_OK;

	if (valid & SET_SIZE)
		err = may_set_size(fs, who, inode, change->size, can_write);
	if (err != DVS_OK)
		return err;
	if (valid & SET_MODE && S_ISLNK(attr->mode))
		return DVS_NOTSUP;
	if (valid & SET_UID && !may_chown && (who->uid != attr->uid || change->uid != attr->uid))
		return DVS_DENIED;
	if (valid & SET_GID && !may_chown &&
	    (who->uid != attr->uid ||
	     (change->gid != attr->gid && !fs_is_member(who, change->gid))))
		return DVS_DENIED;
	if (valid & SET_MODE && !fs_is_owner(who, inode))
		return DVS_DENIED;
	return may_set_times(fs, who, inode, valid);
}

/* Owner, group, mode, and what a new owner takes away. */
static dvs_err set_owner_and_mode(struct fs *fs, const struct fs_who *who, struct fs_inode *inode,
				  const struct fs_change *change)
{
	struct fs_attr *attr = &inode->attr;
	uint32_t valid = change->valid, drop = S_ISUID;
	dvs_err err = DVS_OK;

	if (valid & (SET_UID | SET_GID) && !S_ISDIR(attr->mode)) {
		if (attr->mode & S_IXGRP ||
		    (!fs_is_member(who, attr->gid) && !(who->flags & FS_MAY_FSETID)))
			drop |= S_ISGID;
		attr->mode &= ~drop;
		err = fs_xattr_remove(fs, inode, FS_CAPABILITY);
	}
	if (valid & SET_UID)
		attr->uid = change->uid;
	if (valid & SET_GID)
		attr->gid = change->gid;
	if (!(valid & SET_MODE) || err != DVS_OK)
		return err;
	attr->mode = (attr->mode & S_IFMT) | (change->mode & 07777);
	if (!fs_is_member(who, attr->gid) && !(who->flags & FS_MAY_FSETID))
		attr->mode &= ~(uint32_t)S_ISGID;
	return fs_acl_follow(fs, inode);
}

static void set_times(struct fs_inode *inode, const struct fs_change *change)
{
	struct fs_attr *attr = &inode->attr;
	uint32_t valid = change->valid;

	fs_inode_stamp(inode, FS_CTIME | (valid & SET_ATIME_NOW ? FS_ATIME : 0) |
				      (valid & SET_MTIME_NOW ? FS_MTIME : 0));
	if (valid & SET_ATIME) {
		attr->atime_s = change->atime_s;
		attr->atime_ns = change->atime_ns;
	}
	if (valid & SET_MTIME) {
		attr->mtime_s = change->mtime_s;
		attr->mtime_ns = change->mtime_ns;
	}
	if (valid & SET_CTIME) {
		attr->ctime_s = change->ctime_s;
		attr->ctime_ns = change->ctime_ns;
	}
}

dvs_err fs_setattr(struct fs *fs, const struct fs_who *who, uint64_t ino,
		   const struct fs_change *change, bool can_write, struct fs_attr *attr)
{
	struct fs_inode *inode;
	uint64_t size;
	dvs_err err;

	if (!in_range(change))
		return DVS_BADARG;
	err = fs_inode_get(fs, ino, &inode);
	if (err == DVS_OK)
		err = may_set(fs, who, inode, change, can_write);
	if (err == DVS_OK)
		err = fs_inode_change(fs, inode);
	if (err != DVS_OK)
		return err;
	size = inode->attr.size;
	if (change->valid & (SET_SIZE | SET_DROP))
		err = fs_drop_privileges(fs, change->valid & SET_DROP ? NULL : who, inode);
	if (err == DVS_OK && change->valid & SET_SIZE)
		err = fs_truncate(fs, ino, change->size);
	if (err == DVS_OK && change->valid & SET_SIZE && (can_write || size != change->size))
		fs_inode_stamp(inode, FS_MTIME | FS_CTIME);
	if (err == DVS_OK)
		err = set_owner_and_mode(fs, who, inode, change);
	if (err != DVS_OK)
		return err;
	if (change->valid & ~(SET_SIZE | SET_DROP))
		set_times(inode, change);
	*attr = inode->attr;
	return DVS_OK;
}
