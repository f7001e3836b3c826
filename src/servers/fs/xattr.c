/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes (xattr(7)): user.* is for who may read or write the file, trusted.* and security.* for managers, of system.* there are only ACLs. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "servers/fs/tree_internal.h"

#define LIST_MAX 65536u /* bytes of all names of one file, as listxattr(2) can give */
#define CREATE_FLAG 1u
#define REPLACE_FLAG 2u

static sqlite3_stmt *bound(struct fs *fs, enum fs_sql_id id, uint64_t ino, struct fs_name name)
{
	sqlite3_stmt *stmt = fs_sql(fs, id);

	if (stmt) {
		fs_bind(stmt, 1, ino);
		fs_bind_blob(stmt, 2, name.text, name.len);
	}
	return stmt;
}

static dvs_err get(struct fs *fs, const struct fs_inode *inode, struct fs_name name,
		   uint8_t **value, size_t *len)
{
	sqlite3_stmt *stmt;
	dvs_err err;

	if (!(inode->flags & FS_INODE_XATTRS))
		return DVS_NOATTR;
	stmt = bound(fs, FS_SQL_XATTR_GET, inode->attr.ino, name);
	err = fs_sql_row(fs, stmt);
	if (err != DVS_OK)
		return err == DVS_NOTFOUND ? DVS_NOATTR : err;
	*len = (size_t)sqlite3_column_bytes(stmt, 0);
	err = fs_room(fs, *len + 1);
	if (err == DVS_OK && *len > 0)
		memcpy(fs->room, sqlite3_column_blob(stmt, 0), *len);
	(void)sqlite3_reset(stmt);
	*value = fs->room;
	return err;
}

static struct fs_name name_of(const char *text)
{
	return (struct fs_name){ text, strlen(text) };
}

/* What NAME's being there is noted as in the inode. */
static uint32_t flag_of(struct fs_name name)
{
	if (fs_name_is(name, FS_ACL_ACCESS))
		return FS_INODE_ACL;
	if (fs_name_is(name, FS_ACL_DEFAULT))
		return FS_INODE_DEFAULT_ACL;
	return fs_name_is(name, FS_CAPABILITY) ? FS_INODE_CAPABILITY : 0;
}

/* How many bytes the attribute has, with its name. Not there: none. */
static dvs_err bytes_of(struct fs *fs, const struct fs_inode *inode, struct fs_name name,
			uint64_t *bytes)
{
	uint8_t *value;
	size_t len;
	dvs_err err = get(fs, inode, name, &value, &len);

	*bytes = err == DVS_OK ? name.len + len : 0;
	return err == DVS_NOATTR ? DVS_OK : err;
}

static dvs_err put(struct fs *fs, struct fs_inode *inode, struct fs_name name, const void *value,
		   size_t len)
{
	sqlite3_stmt *stmt;
	uint64_t old;
	dvs_err err = bytes_of(fs, inode, name, &old);

	if (err != DVS_OK)
		return err;
	stmt = bound(fs, FS_SQL_XATTR_PUT, inode->attr.ino, name);
	if (stmt)
		fs_bind_blob(stmt, 3, value, len);
	err = fs_sql_run(fs, stmt);
	if (err != DVS_OK)
		return err;
	fs_usage_less(fs, old);
	fs->whole.bytes += name.len + len;
	inode->flags |= FS_INODE_XATTRS | flag_of(name);
	return DVS_OK;
}

static dvs_err take_out(struct fs *fs, struct fs_inode *inode, struct fs_name name)
{
	uint64_t old;
	dvs_err err = bytes_of(fs, inode, name, &old);

	if (err != DVS_OK || old == 0)
		return err;
	err = fs_sql_run(fs, bound(fs, FS_SQL_XATTR_REMOVE, inode->attr.ino, name));
	if (err != DVS_OK)
		return err;
	fs_usage_less(fs, old);
	inode->flags &= ~flag_of(name);
	return DVS_OK;
}

dvs_err fs_xattr_get(struct fs *fs, const struct fs_inode *inode, const char *name, uint8_t **value,
		     size_t *len)
{
	return get(fs, inode, name_of(name), value, len);
}

dvs_err fs_xattr_put(struct fs *fs, struct fs_inode *inode, const char *name, const void *value,
		     size_t len)
{
	return put(fs, inode, name_of(name), value, len);
}

dvs_err fs_xattr_remove(struct fs *fs, struct fs_inode *inode, const char *name)
{
	return take_out(fs, inode, name_of(name));
}

static bool begins(struct fs_name name, const char *prefix)
{
	return name.len >= strlen(prefix) && memcmp(name.text, prefix, strlen(prefix)) == 0;
}

static bool is_acl(struct fs_name name)
{
	return fs_name_is(name, FS_ACL_ACCESS) || fs_name_is(name, FS_ACL_DEFAULT);
}

/* Whether WHO may read (MASK FS_READ) or change the attribute, and it is of a kind that there is. */
static dvs_err may_use(struct fs *fs, const struct fs_who *who, struct fs_inode *inode,
		       struct fs_name name, uint32_t mask)
{
	static const char *const spaces[] = { "user.", "trusted.", "security." };
	dvs_err err = DVS_OK;
	dvs_err refused = mask == FS_WRITE ? DVS_DENIED : DVS_NOATTR;
	uint32_t mode = inode->attr.mode;

	if (begins(name, "trusted.")) {
		err = who->flags & FS_MAY_ADMIN ? DVS_OK : refused;
	} else if (begins(name, "user.")) {
		if (!S_ISREG(mode) && !S_ISDIR(mode))
			return refused;
		if (S_ISDIR(mode) && mode & S_ISVTX && mask == FS_WRITE && !fs_is_owner(who, inode))
			return DVS_DENIED;
		err = fs_permit(fs, who, inode, mask);
	} else if (!begins(name, "security.") && !begins(name, "system.")) {
		err = fs_permit(fs, who, inode, mask);
	} else if (mask == FS_WRITE && begins(name, "security.") &&
		   !(who->flags &
		     (fs_name_is(name, FS_CAPABILITY) ? FS_MAY_SETFCAP : FS_MAY_ADMIN))) {
		err = DVS_DENIED;
	}
	if (err != DVS_OK)
		return err;
	for (size_t i = 0; i < ARRAY_LEN(spaces); i++) {
		if (begins(name, spaces[i]))
			return name.len > strlen(spaces[i]) ? DVS_OK : DVS_BADARG;
	}
	return DVS_NOTSUP;
}

/* struct vfs_cap_data of <linux/capability.h>, versions 2 and 3. */
static bool is_capability(const uint8_t *value, size_t len)
{
	/* The low bit of the first byte says "effective"; the last byte is the version. */
	if (len < 4 || value[0] & ~1u || value[1] || value[2])
		return false;
	return (len == 20 && value[3] == 2) || (len == 24 && value[3] == 3);
}

static dvs_err check_name(struct fs_name name)
{
	if (name.len == 0 || name.len > FS_NAME_MAX)
		return DVS_RANGE;
	return memchr(name.text, 0, name.len) ? DVS_BADARG : DVS_OK;
}

dvs_err fs_getxattr(struct fs *fs, const struct fs_who *who, uint64_t ino, struct fs_name name,
		    const void **value, size_t *len)
{
	struct fs_inode *inode;
	uint8_t *found = NULL;
	dvs_err err = check_name(name);

	*value = NULL;
	*len = 0;
	if (err == DVS_OK)
		err = fs_inode_get(fs, ino, &inode);
	if (err != DVS_OK)
		return err;
	if (is_acl(name))
		err = S_ISLNK(inode->attr.mode) ? DVS_NOTSUP : DVS_OK;
	else
		err = may_use(fs, who, inode, name, FS_READ);
	if (err == DVS_OK)
		err = get(fs, inode, name, &found, len);
	*value = found;
	return err;
}

/* Whether there is room for the attribute: in the quota, and in the list of names if it is NEW. */
static dvs_err check_room(struct fs *fs, const struct fs_inode *inode, struct fs_name name,
			  size_t len, uint64_t old)
{
	sqlite3_stmt *stmt;
	uint64_t list;
	dvs_err err;

	if (name.len + len > old && name.len + len - old > fs_usage_left(fs))
		return DVS_QUOTA;
	if (old > 0 || !(inode->flags & FS_INODE_XATTRS))
		return DVS_OK;
	stmt = fs_sql(fs, FS_SQL_XATTR_SUM);
	if (stmt)
		fs_bind(stmt, 1, inode->attr.ino);
	err = fs_sql_row(fs, stmt);
	if (err != DVS_OK)
		return err;
	list = fs_column(stmt, 1);
	(void)sqlite3_reset(stmt);
	return list + name.len + 1 > LIST_MAX ? DVS_NOSPACE : DVS_OK;
}

static dvs_err set(struct fs *fs, const struct fs_who *who, struct fs_inode *inode,
		   struct fs_name name, const void *value, size_t len, uint32_t flags)
{
	uint64_t old;
	dvs_err err;

	if (fs_name_is(name, FS_CAPABILITY) && !is_capability(value, len))
		return DVS_BADARG;
	err = may_use(fs, who, inode, name, FS_WRITE);
	if (err == DVS_OK)
		err = bytes_of(fs, inode, name, &old);
	if (err != DVS_OK)
		return err;
	if (flags & CREATE_FLAG && old > 0)
		return DVS_EXISTS;
	if (flags & REPLACE_FLAG && old == 0)
		return DVS_NOATTR;
	err = check_room(fs, inode, name, len, old);
	if (err == DVS_OK)
		err = fs_inode_change(fs, inode);
	if (err != DVS_OK)
		return err;
	fs_inode_stamp(inode, FS_CTIME);
	return put(fs, inode, name, value, len);
}

dvs_err fs_setxattr(struct fs *fs, const struct fs_who *who, uint64_t ino, struct fs_name name,
		    const void *value, size_t len, uint32_t flags)
{
	struct fs_inode *inode;
	dvs_err err;

	if (flags & ~(CREATE_FLAG | REPLACE_FLAG))
		return DVS_BADARG;
	err = check_name(name);
	if (err == DVS_OK && len > FS_XATTR_MAX)
		err = DVS_TOOBIG;
	if (err == DVS_OK)
		err = fs_inode_get(fs, ino, &inode);
	if (err != DVS_OK)
		return err;
	if (fs_name_is(name, FS_ACL_ACCESS))
		return fs_acl_set(fs, who, inode, FS_ACL_ACCESS, value, len);
	if (fs_name_is(name, FS_ACL_DEFAULT))
		return fs_acl_set(fs, who, inode, FS_ACL_DEFAULT, value, len);
	return set(fs, who, inode, name, value, len, flags);
}

dvs_err fs_removexattr(struct fs *fs, const struct fs_who *who, uint64_t ino, struct fs_name name)
{
	struct fs_inode *inode;
	uint64_t old;
	dvs_err err = check_name(name);

	if (err == DVS_OK)
		err = fs_inode_get(fs, ino, &inode);
	if (err != DVS_OK)
		return err;
	if (is_acl(name))
		return fs_acl_set(fs, who, inode,
				  fs_name_is(name, FS_ACL_ACCESS) ? FS_ACL_ACCESS : FS_ACL_DEFAULT,
				  NULL, 0);
	err = may_use(fs, who, inode, name, FS_WRITE);
	if (err == DVS_OK)
		err = bytes_of(fs, inode, name, &old);
	if (err == DVS_OK && old == 0)
		err = DVS_NOATTR;
	if (err == DVS_OK)
		err = fs_inode_change(fs, inode);
	if (err != DVS_OK)
		return err;
	fs_inode_stamp(inode, FS_CTIME);
	return take_out(fs, inode, name);
}

dvs_err fs_listxattr(struct fs *fs, const struct fs_who *who, uint64_t ino, const char **names,
		     size_t *len)
{
	struct fs_inode *inode;
	sqlite3_stmt *stmt;
	dvs_err err = fs_inode_get(fs, ino, &inode);

	*names = "";
	*len = 0;
	if (err != DVS_OK || !(inode->flags & FS_INODE_XATTRS))
		return err;
	err = fs_room(fs, LIST_MAX);
	if (err != DVS_OK)
		return err;
	stmt = fs_sql(fs, FS_SQL_XATTR_LIST);
	if (stmt)
		fs_bind(stmt, 1, ino);
	while ((err = fs_sql_row(fs, stmt)) == DVS_OK) {
		struct fs_name name = { sqlite3_column_blob(stmt, 0),
					(size_t)sqlite3_column_bytes(stmt, 0) };

		if (name.len == 0 || *len + name.len + 1 > LIST_MAX) {
			(void)sqlite3_reset(stmt);
			return DVS_CORRUPT;
		}
		if (begins(name, "trusted.") && !(who->flags & FS_MAY_ADMIN))
			continue;
		memcpy((char *)fs->room + *len, name.text, name.len);
		*len += name.len;
		((char *)fs->room)[(*len)++] = 0;
	}
	*names = fs->room;
	return err == DVS_NOTFOUND ? DVS_OK : err;
}
