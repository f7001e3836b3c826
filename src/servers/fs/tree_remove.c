/* SPDX-License-Identifier: Apache-2.0 */
/* Names that end: unlink(2), rmdir(2), rename(2). */
#include "servers/fs/tree_internal.h"

#define RENAME_NOREPLACE_FLAG 1u
#define RENAME_EXCHANGE_FLAG 2u

/* Whether WHO may take VICTIM's name out of DIR, which is for a directory (IS_DIR) or not. */
static dvs_err may_remove(struct fs *fs, const struct fs_who *who, struct fs_inode *dir,
			  const struct fs_inode *victim, bool is_dir)
{
	dvs_err err = fs_permit(fs, who, dir, FS_WRITE | FS_SEARCH);

	if (err != DVS_OK)
		return err;
	if (dir->attr.mode & S_ISVTX && who->uid != dir->attr.uid && !fs_is_owner(who, victim))
		return DVS_DENIED;
	if (is_dir && !S_ISDIR(victim->attr.mode))
		return DVS_NOTDIR;
	if (is_dir && victim->attr.ino == FS_ROOT)
		return DVS_BADSTATE;
	if (!is_dir && S_ISDIR(victim->attr.mode))
		return DVS_ISDIR;
	return DVS_OK;
}

static dvs_err is_empty(struct fs *fs, const struct fs_inode *dir)
{
	sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_NAME_FROM);
	dvs_err err;

	if (stmt) {
		fs_bind(stmt, 1, dir->attr.ino);
		fs_bind(stmt, 2, 0);
	}
	err = fs_sql_row(fs, stmt);
	if (stmt)
		(void)sqlite3_reset(stmt);
	if (err == DVS_NOTFOUND)
		return DVS_OK;
	return err == DVS_OK ? DVS_NOTEMPTY : err;
}

dvs_err fs_unlink(struct fs *fs, const struct fs_who *who, uint64_t parent, struct fs_name name,
		  bool is_dir, struct fs_concerned *concerned)
{
	struct fs_inode *dir, *victim;
	struct fs_found found;
	dvs_err err = fs_dir_get(fs, who, parent, &dir);

	*concerned = (struct fs_concerned){ 0 };
	if (err != DVS_OK)
		return err;
	if (fs_name_is(name, "."))
		return is_dir ? DVS_BADARG : DVS_ISDIR;
	if (fs_name_is(name, ".."))
		return is_dir ? DVS_NOTEMPTY : DVS_ISDIR;
	err = fs_dir_find(fs, dir, name, &found);
	if (err == DVS_OK)
		err = fs_target_get(fs, &found, &victim);
	if (err == DVS_OK)
		err = may_remove(fs, who, dir, victim, is_dir);
	if (err == DVS_OK && is_dir)
		err = is_empty(fs, victim);
	if (err == DVS_OK)
		err = fs_name_remove(fs, parent, found.cookie);
	if (err == DVS_OK)
		err = fs_dir_changed(fs, dir, -1, is_dir ? -1 : 0);
	if (err != DVS_OK)
		return err;
	concerned->ino = victim->attr.ino;
	concerned->nlink = is_dir || victim->attr.nlink == 0 ? 0 : victim->attr.nlink - 1;
	return fs_name_lost(fs, victim);
}

/* A renaming: from one place to another, with what stands there. */
struct renaming {
	const struct fs_who *who;
	struct fs_inode *dir, *new_dir;
	struct fs_found at, new_at;
	struct fs_inode *inode;
	struct fs_inode *replaced; /* NULL: nothing has the new name */
	struct fs_name new_name;
	bool exchanges;
};

/* Whether directory INO is ANCESTOR, or below it. */
static dvs_err is_within(struct fs *fs, uint64_t ino, uint64_t ancestor, bool *is)
{
	*is = false;
	for (uint64_t steps = 0; steps <= fs->whole.files; steps++) {
		const struct fs_inode *known = fs_inode_known(fs, ino);
		sqlite3_stmt *stmt;
		dvs_err err;

		*is = ino == ancestor;
		if (*is || ino == FS_ROOT)
			return DVS_OK;
		if (known) {
			ino = known->parent;
			continue;
		}
		/* Not through the cache: a deep tree would drive out what is in use here. */
		stmt = fs_sql(fs, FS_SQL_FILE_PARENT);
		if (stmt)
			fs_bind(stmt, 1, ino);
		err = fs_sql_row(fs, stmt);
		if (err == DVS_NOTFOUND)
			return DVS_OK; /* the directory was removed, with some above it */
		if (err != DVS_OK)
			return err;
		ino = fs_column(stmt, 0);
		(void)sqlite3_reset(stmt);
	}
	return DVS_CORRUPT;
}

/* No directory may come to stand below itself, nor in the place of one that is above it. */
static dvs_err check_circle(struct fs *fs, const struct renaming *r)
{
	bool is = false;
	dvs_err err = DVS_OK;

	if (r->dir == r->new_dir)
		return DVS_OK;
	if (S_ISDIR(r->inode->attr.mode))
		err = is_within(fs, r->new_dir->attr.ino, r->inode->attr.ino, &is);
	if (err != DVS_OK || is)
		return is ? DVS_BADARG : err;
	if (r->replaced && S_ISDIR(r->replaced->attr.mode))
		err = is_within(fs, r->dir->attr.ino, r->replaced->attr.ino, &is);
	if (err != DVS_OK || is)
		return is && r->exchanges ? DVS_BADARG : is ? DVS_NOTEMPTY : err;
	return DVS_OK;
}

static dvs_err find_places(struct fs *fs, struct renaming *r, struct fs_name name, uint32_t flags)
{
	dvs_err err;

	if (fs_name_is(name, ".") || fs_name_is(name, ".."))
		return DVS_BADSTATE;
	if (fs_name_is(r->new_name, ".") || fs_name_is(r->new_name, ".."))
		return flags & RENAME_NOREPLACE_FLAG ? DVS_EXISTS : DVS_BADSTATE;
	err = fs_dir_find(fs, r->dir, name, &r->at);
	if (err == DVS_OK)
		err = fs_target_get(fs, &r->at, &r->inode);
	if (err != DVS_OK)
		return err;
	err = fs_dir_find(fs, r->new_dir, r->new_name, &r->new_at);
	if (err == DVS_OK)
		err = flags & RENAME_NOREPLACE_FLAG ? DVS_EXISTS :
						      fs_target_get(fs, &r->new_at, &r->replaced);
	else if (err == DVS_NOTFOUND && !r->exchanges && r->new_dir->attr.nlink > 0)
		err = DVS_OK;
	return err;
}

static dvs_err check_links(const struct renaming *r)
{
	bool is_dir = S_ISDIR(r->inode->attr.mode);
	bool new_is_dir = r->replaced && S_ISDIR(r->replaced->attr.mode);

	if (r->dir == r->new_dir)
		return DVS_OK;
	if (is_dir && !new_is_dir && r->new_dir->attr.nlink >= FS_LINKS_MAX)
		return DVS_LINKS;
	if (r->exchanges && !is_dir && new_is_dir && r->dir->attr.nlink >= FS_LINKS_MAX)
		return DVS_LINKS;
	return DVS_OK;
}

static dvs_err may_rename(struct fs *fs, const struct renaming *r)
{
	bool is_dir = S_ISDIR(r->inode->attr.mode);
	bool new_is_dir = r->replaced && S_ISDIR(r->replaced->attr.mode);
	dvs_err err = may_remove(fs, r->who, r->dir, r->inode, is_dir);

	if (err != DVS_OK)
		return err;
	if (!r->replaced)
		err = fs_permit(fs, r->who, r->new_dir, FS_WRITE | FS_SEARCH);
	else
		err = may_remove(fs, r->who, r->new_dir, r->replaced,
				 r->exchanges ? new_is_dir : is_dir);
	/* A directory that gets another parent is written: its "..". */
	if (err == DVS_OK && r->dir != r->new_dir && is_dir)
		err = fs_permit(fs, r->who, r->inode, FS_WRITE);
	if (err == DVS_OK && r->dir != r->new_dir && r->exchanges && new_is_dir)
		err = fs_permit(fs, r->who, r->replaced, FS_WRITE);
	if (err == DVS_OK)
		err = check_links(r);
	if (err == DVS_OK && new_is_dir && !r->exchanges)
		err = is_empty(fs, r->replaced);
	return err;
}

/* INODE has its name in DIR from now on. */
static dvs_err came_to(struct fs *fs, struct fs_inode *inode, const struct fs_inode *dir)
{
	dvs_err err = fs_inode_change(fs, inode);

	if (err != DVS_OK)
		return err;
	if (S_ISDIR(inode->attr.mode))
		inode->parent = dir->attr.ino;
	fs_inode_stamp(inode, FS_CTIME);
	return DVS_OK;
}

static dvs_err exchange(struct fs *fs, struct renaming *r)
{
	const struct fs_found old = r->at;
	int subdirs = (S_ISDIR(r->replaced->attr.mode) != 0) - (S_ISDIR(r->inode->attr.mode) != 0);
	dvs_err err;

	r->at.ino = r->new_at.ino;
	r->at.kind = r->new_at.kind;
	r->new_at.ino = old.ino;
	r->new_at.kind = old.kind;
	err = fs_name_put(fs, r->dir->attr.ino, &r->at);
	if (err == DVS_OK)
		err = fs_name_put(fs, r->new_dir->attr.ino, &r->new_at);
	if (err == DVS_OK)
		err = came_to(fs, r->inode, r->new_dir);
	if (err == DVS_OK)
		err = came_to(fs, r->replaced, r->dir);
	if (err == DVS_OK)
		err = fs_dir_changed(fs, r->dir, 0, subdirs);
	if (err == DVS_OK)
		err = fs_dir_changed(fs, r->new_dir, 0, -subdirs);
	return err;
}

static dvs_err move(struct fs *fs, struct renaming *r)
{
	int is_dir = S_ISDIR(r->inode->attr.mode) != 0;
	int new_is_dir = r->replaced && S_ISDIR(r->replaced->attr.mode);
	dvs_err err = fs_name_remove(fs, r->dir->attr.ino, r->at.cookie);

	r->new_at.ino = r->at.ino;
	r->new_at.kind = r->at.kind;
	if (err == DVS_OK && r->replaced)
		err = fs_name_put(fs, r->new_dir->attr.ino, &r->new_at);
	else if (err == DVS_OK)
		err = fs_name_add(fs, r->new_dir->attr.ino, r->new_name, &r->new_at);
	if (err == DVS_OK)
		err = came_to(fs, r->inode, r->new_dir);
	if (err == DVS_OK)
		err = fs_dir_changed(fs, r->dir, -1, -is_dir);
	if (err == DVS_OK)
		err = fs_dir_changed(fs, r->new_dir, r->replaced ? 0 : 1, is_dir - new_is_dir);
	if (err == DVS_OK && r->replaced)
		err = fs_name_lost(fs, r->replaced);
	return err;
}

dvs_err fs_rename(struct fs *fs, const struct fs_who *who, uint64_t parent, struct fs_name name,
		  uint64_t new_parent, struct fs_name new_name, uint32_t flags,
		  struct fs_concerned *concerned)
{
	struct renaming r = { .who = who,
			      .new_name = new_name,
			      .exchanges = flags & RENAME_EXCHANGE_FLAG };
	dvs_err err;

	*concerned = (struct fs_concerned){ 0 };
	if (flags & ~(RENAME_NOREPLACE_FLAG | RENAME_EXCHANGE_FLAG) ||
	    flags == (RENAME_NOREPLACE_FLAG | RENAME_EXCHANGE_FLAG))
		return DVS_BADARG;
	err = fs_dir_get(fs, who, parent, &r.dir);
	if (err == DVS_OK)
		err = fs_dir_get(fs, who, new_parent, &r.new_dir);
	if (err == DVS_OK)
		err = find_places(fs, &r, name, flags);
	if (err == DVS_OK)
		err = check_circle(fs, &r);
	if (err != DVS_OK)
		return err;
	concerned->ino = r.at.ino;
	if (r.replaced == r.inode)
		return DVS_OK; /* two names of the same file: nothing is to be done */
	err = may_rename(fs, &r);
	if (err != DVS_OK)
		return err;
	concerned->replaced = r.replaced ? r.new_at.ino : 0;
	return r.exchanges ? exchange(fs, &r) : move(fs, &r);
}
