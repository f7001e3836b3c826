/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX access control lists, kept in the form in which the kernel has them as extended attributes: a version, then entries of tag, permissions and id, all little-endian (acl(5), POSIX.1e draft 17). An access ACL that says no more than the mode is not
 * kept; of one that is, the mode always says the same: owner, mask (as the group's bits), others. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "servers/fs/tree_internal.h"

#define VERSION 2u
#define HEAD_BYTES 4u
#define ENTRY_BYTES 8u

#define TAG_USER_OBJ 0x01u
#define TAG_USER 0x02u
#define TAG_GROUP_OBJ 0x04u
#define TAG_GROUP 0x08u
#define TAG_MASK 0x10u
#define TAG_OTHER 0x20u
#define NO_ID UINT32_MAX

struct acl {
	uint8_t *bytes;
	size_t len;
	uint32_t n;
};

struct entry {
	uint32_t tag;
	uint32_t perm;
	uint32_t id;
};

static uint32_t get_le(const uint8_t *at, unsigned int bytes)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < bytes; i++)
		value |= (uint32_t)at[i] << (8 * i);
	return value;
}

static struct entry entry_of(const struct acl *acl, uint32_t i)
{
	const uint8_t *at = acl->bytes + HEAD_BYTES + (size_t)i * ENTRY_BYTES;

	return (struct entry){ get_le(at, 2), get_le(at + 2, 2), get_le(at + 4, 4) };
}

static void put_perm(const struct acl *acl, uint32_t i, uint32_t perm)
{
	uint8_t *at = acl->bytes + HEAD_BYTES + (size_t)i * ENTRY_BYTES + 2;

	at[0] = (uint8_t)perm;
	at[1] = 0;
}

static bool has_id(uint32_t tag)
{
	return tag == TAG_USER || tag == TAG_GROUP;
}

/* Whether it has the form; what its entries say is another question. An id of who has none becomes the one for that. NOTSUP, BADARG. */
static dvs_err parse(uint8_t *bytes, size_t len, struct acl *acl)
{
	if (len < HEAD_BYTES)
		return DVS_BADARG;
	if (get_le(bytes, 4) != VERSION)
		return DVS_NOTSUP;
	if ((len - HEAD_BYTES) % ENTRY_BYTES != 0)
		return DVS_BADARG;
	*acl = (struct acl){ bytes, len, (uint32_t)((len - HEAD_BYTES) / ENTRY_BYTES) };
	for (uint32_t i = 0; i < acl->n; i++) {
		struct entry entry = entry_of(acl, i);

		if (has_id(entry.tag) && entry.id == NO_ID)
			return DVS_BADARG;
		if (entry.tag == 0 || entry.tag > TAG_OTHER || entry.tag & (entry.tag - 1))
			return DVS_BADARG;
		if (!has_id(entry.tag))
			memset(bytes + HEAD_BYTES + (size_t)i * ENTRY_BYTES + 4, 0xff, 4);
	}
	return DVS_OK;
}

/* One owner, users, one group, groups, perhaps a mask (there must be one if anybody is named), one for others: in this order. */
static bool is_valid(const struct acl *acl)
{
	bool names_any = false;
	uint32_t last = 0;

	for (uint32_t i = 0; i < acl->n; i++) {
		struct entry entry = entry_of(acl, i);

		if (entry.perm & ~7u || entry.tag < last || (entry.tag == last && !has_id(last)))
			return false;
		if (last == 0 && entry.tag != TAG_USER_OBJ)
			return false;
		if (last < TAG_GROUP_OBJ && entry.tag > TAG_GROUP_OBJ)
			return false;
		if (entry.tag == TAG_OTHER && names_any && last != TAG_MASK)
			return false;
		names_any |= has_id(entry.tag);
		last = entry.tag;
	}
	return last == TAG_OTHER;
}

/* The mode's bits that it stands for. True: the mode says all of it. */
static bool to_mode(const struct acl *acl, uint32_t *mode)
{
	bool is_all = true;

	*mode = 0;
	for (uint32_t i = 0; i < acl->n; i++) {
		struct entry entry = entry_of(acl, i);

		if (entry.tag == TAG_USER_OBJ)
			*mode |= entry.perm << 6;
		else if (entry.tag == TAG_GROUP_OBJ)
			*mode |= entry.perm << 3;
		else if (entry.tag == TAG_OTHER)
			*mode |= entry.perm;
		else if (entry.tag == TAG_MASK)
			*mode = (*mode & ~(uint32_t)S_IRWXG) | entry.perm << 3;
		is_all &= !has_id(entry.tag) && entry.tag != TAG_MASK;
	}
	return is_all;
}

static dvs_err load(struct fs *fs, const struct fs_inode *inode, const char *name, struct acl *acl)
{
	uint8_t *bytes;
	size_t len;
	dvs_err err = fs_xattr_get(fs, inode, name, &bytes, &len);

	if (err == DVS_OK)
		err = parse(bytes, len, acl);
	if (err == DVS_OK && is_valid(acl))
		return DVS_OK;
	return err == DVS_OK || err == DVS_BADARG || err == DVS_NOTSUP || err == DVS_NOATTR ?
		       DVS_CORRUPT :
		       err;
}

static uint32_t mask_of(const struct acl *acl)
{
	for (uint32_t i = 0; i < acl->n; i++) {
		struct entry entry = entry_of(acl, i);

		if (entry.tag == TAG_MASK)
			return entry.perm;
	}
	return 7;
}

dvs_err fs_acl_permit(struct fs *fs, const struct fs_who *who, const struct fs_inode *inode,
		      uint32_t mask)
{
	struct acl acl;
	bool is_in_group = false;
	dvs_err err = load(fs, inode, FS_ACL_ACCESS, &acl);

	if (err != DVS_OK)
		return err;
	for (uint32_t i = 0; i < acl.n; i++) {
		struct entry entry = entry_of(&acl, i);
		bool is_enough = (entry.perm & mask) == mask;
		bool is_group =
			(entry.tag == TAG_GROUP_OBJ && fs_is_member(who, inode->attr.gid)) ||
			(entry.tag == TAG_GROUP && fs_is_member(who, entry.id));

		if (entry.tag == TAG_USER_OBJ && who->uid == inode->attr.uid)
			return is_enough ? DVS_OK : DVS_NOACCESS;
		if ((entry.tag == TAG_USER && who->uid == entry.id) || (is_group && is_enough))
			return is_enough && (mask_of(&acl) & mask) == mask ? DVS_OK : DVS_NOACCESS;
		is_in_group |= is_group;
		if (entry.tag == TAG_OTHER)
			return is_enough && !is_in_group ? DVS_OK : DVS_NOACCESS;
	}
	return DVS_NOACCESS;
}

/* ACL and *MODE of a new file: each allows only what the other one does. */
static void meet(const struct acl *acl, uint32_t *mode)
{
	uint32_t left = *mode;
	bool has_mask = false;

	for (uint32_t i = 0; i < acl->n; i++)
		has_mask |= entry_of(acl, i).tag == TAG_MASK;
	for (uint32_t i = 0; i < acl->n; i++) {
		struct entry entry = entry_of(acl, i);
		unsigned int shift;

		if (entry.tag == TAG_USER_OBJ)
			shift = 6;
		else if (entry.tag == (has_mask ? TAG_MASK : TAG_GROUP_OBJ))
			shift = 3;
		else if (entry.tag == TAG_OTHER)
			shift = 0;
		else
			continue;
		entry.perm &= *mode >> shift;
		put_perm(acl, i, entry.perm);
		left &= entry.perm << shift | ~(7u << shift);
	}
	*mode = left;
}

dvs_err fs_acl_inherit(struct fs *fs, const struct fs_inode *dir, struct fs_inode *inode,
		       uint32_t umask)
{
	AUTO_FREE uint8_t *copy = NULL;
	struct acl acl;
	uint32_t mode;
	dvs_err err;

	if (!(dir->flags & FS_INODE_DEFAULT_ACL)) {
		inode->attr.mode &= ~umask;
		return DVS_OK;
	}
	err = load(fs, dir, FS_ACL_DEFAULT, &acl);
	if (err != DVS_OK)
		return err;
	copy = malloc(acl.len);
	if (!copy)
		return DVS_NOMEM;
	memcpy(copy, acl.bytes, acl.len);
	acl.bytes = copy;
	if (S_ISDIR(inode->attr.mode))
		err = fs_xattr_put(fs, inode, FS_ACL_DEFAULT, copy, acl.len);
	meet(&acl, &inode->attr.mode);
	if (err == DVS_OK && !to_mode(&acl, &mode))
		err = fs_xattr_put(fs, inode, FS_ACL_ACCESS, copy, acl.len);
	return err;
}

dvs_err fs_acl_follow(struct fs *fs, struct fs_inode *inode)
{
	AUTO_FREE uint8_t *copy = NULL;
	uint32_t mode = inode->attr.mode;
	struct acl acl;
	dvs_err err;

	if (!(inode->flags & FS_INODE_ACL))
		return DVS_OK;
	err = load(fs, inode, FS_ACL_ACCESS, &acl);
	if (err != DVS_OK)
		return err;
	copy = malloc(acl.len);
	if (!copy)
		return DVS_NOMEM;
	memcpy(copy, acl.bytes, acl.len);
	acl.bytes = copy;
	for (uint32_t i = 0; i < acl.n; i++) {
		uint32_t tag = entry_of(&acl, i).tag;

		if (tag == TAG_USER_OBJ)
			put_perm(&acl, i, mode >> 6 & 7);
		else if (tag == TAG_MASK)
			put_perm(&acl, i, mode >> 3 & 7);
		else if (tag == TAG_OTHER)
			put_perm(&acl, i, mode & 7);
	}
	return fs_xattr_put(fs, inode, FS_ACL_ACCESS, copy, acl.len);
}

/* A valid access ACL: kept if it says more than the mode, which becomes what it says. */
static dvs_err set_access(struct fs *fs, struct fs_inode *inode, const struct acl *acl)
{
	uint32_t bits;
	bool is_mode = to_mode(acl, &bits);

	inode->attr.mode = (inode->attr.mode & ~(uint32_t)(S_IRWXU | S_IRWXG | S_IRWXO)) | bits;
	if (is_mode)
		return fs_xattr_remove(fs, inode, FS_ACL_ACCESS);
	return fs_xattr_put(fs, inode, FS_ACL_ACCESS, acl->bytes, acl->len);
}

dvs_err fs_acl_set(struct fs *fs, const struct fs_who *who, struct fs_inode *inode,
		   const char *name, const void *value, size_t len)
{
	AUTO_FREE uint8_t *copy = malloc(len + 1);
	bool is_default = strcmp(name, FS_ACL_DEFAULT) == 0;
	struct acl acl = { 0 };
	dvs_err err = DVS_OK;

	if (!copy)
		return DVS_NOMEM;
	if (len > 0) {
		memcpy(copy, value, len);
		err = parse(copy, len, &acl);
	}
	if (err != DVS_OK)
		return err;
	if (S_ISLNK(inode->attr.mode))
		return DVS_NOTSUP;
	if (is_default && !S_ISDIR(inode->attr.mode))
		return acl.n > 0 ? DVS_NOACCESS : DVS_OK;
	if (!fs_is_owner(who, inode))
		return DVS_DENIED;
	if (acl.n > 0 && !is_valid(&acl))
		return DVS_BADARG;
	if (acl.n > 0 && len > fs_usage_left(fs))
		return DVS_QUOTA;
	err = fs_inode_change(fs, inode);
	if (err != DVS_OK)
		return err;
	fs_inode_stamp(inode, FS_CTIME);
	if (!is_default && !fs_is_member(who, inode->attr.gid) && !(who->flags & FS_MAY_FSETID))
		inode->attr.mode &= ~(uint32_t)S_ISGID;
	if (acl.n == 0)
		return fs_xattr_remove(fs, inode, name);
	if (is_default)
		return fs_xattr_put(fs, inode, name, copy, len);
	return set_access(fs, inode, &acl);
}
