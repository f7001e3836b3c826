/* SPDX-License-Identifier: Apache-2.0 */
/* What the operations on names and attributes share. */
#ifndef SERVERS_FS_TREE_INTERNAL_H
#define SERVERS_FS_TREE_INTERNAL_H

#include "servers/fs/fs_internal.h"

#define FS_READ 4u
#define FS_WRITE 2u
#define FS_SEARCH 1u

#define FS_COOKIE_DOT 1u
#define FS_COOKIE_DOTDOT 2u

/* ---- names.c ---- */
struct fs_found {
	uint64_t cookie; /* when it was not found: where it would stand */
	uint64_t ino;
	uint8_t kind; /* the file type's bits of the mode >> 12 */
};
/* The first cookie that a name of this hash can have. */
uint64_t fs_name_cookie(const struct fs *fs, struct fs_name name);
bool fs_name_is(struct fs_name name, const char *text);
/* NAMELONG, BADARG: it is empty, or has a zero byte or a slash. */
DVS_MUST_USE dvs_err fs_name_check(struct fs_name name);
DVS_MUST_USE dvs_err fs_name_find(struct fs *fs, uint64_t parent, struct fs_name name,
				  struct fs_found *found);
/* FOUND: where, as fs_name_find() said, and which file. */
DVS_MUST_USE dvs_err fs_name_add(struct fs *fs, uint64_t parent, struct fs_name name,
				 const struct fs_found *found);
/* Another file gets the name at found.cookie. */
DVS_MUST_USE dvs_err fs_name_put(struct fs *fs, uint64_t parent, const struct fs_found *found);
DVS_MUST_USE dvs_err fs_name_remove(struct fs *fs, uint64_t parent, uint64_t cookie);

/* ---- tree.c ---- */
static inline uint8_t fs_kind(uint32_t mode)
{
	return (uint8_t)((mode & S_IFMT) >> 12);
}
/* The directory, which WHO may search. STALE, NOTDIR, NOACCESS. */
DVS_MUST_USE dvs_err fs_dir_get(struct fs *fs, const struct fs_who *who, uint64_t ino,
				struct fs_inode **dir);
/* What NAME, neither "." nor "..", is in DIR. NOTFOUND (FOUND says where it would stand; not in a directory that was removed), NAMELONG, BADARG. */
DVS_MUST_USE dvs_err fs_dir_find(struct fs *fs, struct fs_inode *dir, struct fs_name name,
				 struct fs_found *found);
/* The file that a name leads to. CORRUPT: there is none. */
DVS_MUST_USE dvs_err fs_target_get(struct fs *fs, const struct fs_found *found,
				   struct fs_inode **inode);
/* DIR has so many names and subdirectories more; its times are now. */
DVS_MUST_USE dvs_err fs_dir_changed(struct fs *fs, struct fs_inode *dir, int names, int subdirs);
/* INODE has lost a name (a directory: its only one) and goes, if nobody has it open. */
DVS_MUST_USE dvs_err fs_name_lost(struct fs *fs, struct fs_inode *inode);

/* ---- xattr.c ---- */
/* *VALUE is in fs.room. NOATTR. */
DVS_MUST_USE dvs_err fs_xattr_get(struct fs *fs, const struct fs_inode *inode, const char *name,
				  uint8_t **value, size_t *len);
/* After fs_inode_change(); the quota counts it, but does not refuse it. The flags of INODE are kept in step. */
DVS_MUST_USE dvs_err fs_xattr_put(struct fs *fs, struct fs_inode *inode, const char *name,
				  const void *value, size_t len);
/* Also if there is none. */
DVS_MUST_USE dvs_err fs_xattr_remove(struct fs *fs, struct fs_inode *inode, const char *name);

/* ---- acl.c ---- */
#define FS_ACL_ACCESS "system.posix_acl_access"
#define FS_ACL_DEFAULT "system.posix_acl_default"
#define FS_CAPABILITY "security.capability"
/* What INODE's access ACL says; INODE has one. NOACCESS. */
DVS_MUST_USE dvs_err fs_acl_permit(struct fs *fs, const struct fs_who *who,
				   const struct fs_inode *inode, uint32_t mask);
/* A new file's mode and ACLs: from the default ACL of DIR, else *MODE without UMASK. */
DVS_MUST_USE dvs_err fs_acl_inherit(struct fs *fs, const struct fs_inode *dir,
				    struct fs_inode *inode, uint32_t umask);
/* The mode's bits were changed: the ACL follows. */
DVS_MUST_USE dvs_err fs_acl_follow(struct fs *fs, struct fs_inode *inode);
/* setxattr(2) of one of them; LEN 0 removes it. */
DVS_MUST_USE dvs_err fs_acl_set(struct fs *fs, const struct fs_who *who, struct fs_inode *inode,
				const char *name, const void *value, size_t len);

#endif
