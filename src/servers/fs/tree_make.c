/* SPDX-License-Identifier: Apache-2.0 */
/* New files and new names. */
#include "servers/fs/tree_internal.h"

/* Where a new name is to stand: DIR may get one. */
static dvs_err find_room(struct fs *fs, const struct fs_who *who, uint64_t parent,
			 struct fs_name name, struct fs_inode **dir, struct fs_found *found)
{
	dvs_err err = fs_dir_get(fs, who, parent, dir);

	if (err != DVS_OK)
		return err;
	if (fs_name_is(name, ".") || fs_name_is(name, ".."))
		return DVS_EXISTS;
	err = fs_dir_find(fs, *dir, name, found);
	if (err == DVS_OK)
		return DVS_EXISTS;
	if (err != DVS_NOTFOUND || (*dir)->attr.nlink == 0)
		return err;
	return fs_permit(fs, who, *dir, FS_WRITE | FS_SEARCH);
}

/* What is left of MODE for a new file in DIR, before the umask. */
static uint32_t allowed_mode(const struct fs_who *who, const struct fs_inode *dir, uint32_t mode)
{
	if (S_ISDIR(mode))
		return mode & (S_IFMT | S_IRWXU | S_IRWXG | S_IRWXO | S_ISVTX);
	if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && dir->attr.mode & S_ISGID &&
	    !fs_is_member(who, dir->attr.gid) && !(who->flags & FS_MAY_FSETID))
		mode &= ~(uint32_t)S_ISGID;
	return mode & (S_IFMT | 07777);
}

/* A new file for DIR; it has no name yet. QUOTA. */
static dvs_err new_file(struct fs *fs, const struct fs_who *who, const struct fs_inode *dir,
			uint32_t mode, uint32_t umask, struct fs_inode **inode)
{
	struct fs_attr *attr;
	dvs_err err = fs_inode_add(fs, inode);

	if (err != DVS_OK)
		return err;
	attr = &(*inode)->attr;
	attr->mode = allowed_mode(who, dir, mode);
	attr->uid = who->uid;
	attr->gid = who->gid;
	attr->nlink = 1;
	if (dir->attr.mode & S_ISGID) {
		attr->gid = dir->attr.gid;
		if (S_ISDIR(mode))
			attr->mode |= S_ISGID;
	}
	if (S_ISDIR(mode)) {
		(*inode)->parent = dir->attr.ino;
		attr->nlink = 2;
	}
	fs_inode_stamp(*inode, FS_ATIME | FS_MTIME | FS_CTIME);
	attr->mtime_s = attr->ctime_s = attr->atime_s;
	attr->mtime_ns = attr->ctime_ns = attr->atime_ns;
	if (S_ISLNK(mode))
		return DVS_OK;
	return fs_acl_inherit(fs, dir, *inode, umask & (S_IRWXU | S_IRWXG | S_IRWXO));
}

static dvs_err give_name(struct fs *fs, struct fs_inode *dir, struct fs_name name,
			 struct fs_found *at, struct fs_inode *inode)
{
	dvs_err err;

	at->ino = inode->attr.ino;
	at->kind = fs_kind(inode->attr.mode);
	err = fs_name_add(fs, dir->attr.ino, name, at);
	if (err != DVS_OK)
		return err;
	return fs_dir_changed(fs, dir, 1, S_ISDIR(inode->attr.mode));
}

static bool is_device(uint32_t mode)
{
	return S_ISCHR(mode) || S_ISBLK(mode);
}

dvs_err fs_make(struct fs *fs, const struct fs_who *who, uint64_t parent, struct fs_name name,
		uint32_t mode, uint32_t umask, uint32_t rdev, struct fs_attr *attr)
{
	struct fs_inode *dir, *inode;
	struct fs_found at;
	dvs_err err;

	if ((mode & S_IFMT) == 0)
		mode |= S_IFREG;
	if (!S_ISREG(mode) && !S_ISDIR(mode) && !is_device(mode) && !S_ISFIFO(mode) &&
	    !S_ISSOCK(mode))
		return DVS_BADARG;
	err = find_room(fs, who, parent, name, &dir, &at);
	if (err != DVS_OK)
		return err;
	if (is_device(mode) && !(who->flags & FS_MAY_MKNOD))
		return DVS_DENIED;
	if (S_ISDIR(mode) && dir->attr.nlink >= FS_LINKS_MAX)
		return DVS_LINKS;
	err = new_file(fs, who, dir, mode, umask, &inode);
	if (err != DVS_OK)
		return err;
	if (is_device(mode))
		inode->attr.rdev = rdev;
	err = give_name(fs, dir, name, &at, inode);
	if (err == DVS_OK)
		*attr = inode->attr;
	return err;
}

dvs_err fs_make_symlink(struct fs *fs, const struct fs_who *who, uint64_t parent,
			struct fs_name name, struct fs_name target, struct fs_attr *attr)
{
	struct fs_inode *dir, *inode;
	struct fs_found at;
	dvs_err err;

	if (target.len == 0)
		return DVS_NOTFOUND;
	if (target.len > FS_TARGET_MAX)
		return DVS_NAMELONG;
	for (size_t i = 0; i < target.len; i++) {
		if (target.text[i] == 0)
			return DVS_BADARG;
	}
	err = find_room(fs, who, parent, name, &dir, &at);
	if (err == DVS_OK)
		err = new_file(fs, who, dir, S_IFLNK | 0777, 0, &inode);
	if (err != DVS_OK)
		return err;
	inode->attr.size = target.len;
	err = fs_content_put(fs, inode, target.text, target.len);
	if (err == DVS_OK)
		err = give_name(fs, dir, name, &at, inode);
	if (err == DVS_OK)
		*attr = inode->attr;
	return err;
}

dvs_err fs_make_tmpfile(struct fs *fs, const struct fs_who *who, uint64_t parent, uint32_t mode,
			uint32_t umask, bool linkable, struct fs_attr *attr)
{
	struct fs_inode *dir, *inode;
	dvs_err err = fs_dir_get(fs, who, parent, &dir);

	if (err == DVS_OK)
		err = fs_permit(fs, who, dir, FS_WRITE | FS_SEARCH);
	if (err == DVS_OK)
		err = new_file(fs, who, dir, S_IFREG | (mode & 07777), umask, &inode);
	if (err != DVS_OK)
		return err;
	inode->attr.nlink = 0;
	if (linkable)
		inode->flags |= FS_INODE_LINKABLE;
	inode->pins = 1;
	*attr = inode->attr;
	return DVS_OK;
}

dvs_err fs_link(struct fs *fs, const struct fs_who *who, uint64_t ino, uint64_t parent,
		struct fs_name name, struct fs_attr *attr)
{
	struct fs_inode *dir, *inode;
	struct fs_found at;
	dvs_err err = fs_inode_get(fs, ino, &inode);

	if (err == DVS_OK)
		err = find_room(fs, who, parent, name, &dir, &at);
	if (err != DVS_OK)
		return err;
	if (S_ISDIR(inode->attr.mode))
		return DVS_DENIED;
	if (inode->attr.nlink == 0 && !(inode->flags & FS_INODE_LINKABLE))
		return DVS_NOTFOUND;
	if (inode->attr.nlink >= FS_LINKS_MAX)
		return DVS_LINKS;
	err = fs_inode_change(fs, inode);
	if (err == DVS_OK)
		err = give_name(fs, dir, name, &at, inode);
	if (err != DVS_OK)
		return err;
	inode->attr.nlink++;
	inode->flags &= ~FS_INODE_LINKABLE;
	fs_inode_stamp(inode, FS_CTIME);
	*attr = inode->attr;
	return DVS_OK;
}
