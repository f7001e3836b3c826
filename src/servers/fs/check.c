/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing what the tables say of each other: names lead to files, every file can be reached, counts are what there is. A repair takes out what leads nowhere first, gives files that nothing leads to a name in /lost+found, and counts last. Blocks are
 * compared by fsimage_check(). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "servers/fs/tree_internal.h"

#define TEXT_MAX 200
#define LOST_NAME "lost+found"

enum reach { REACH_UNKNOWN, REACH_ASKED, REACH_FOUND };

struct check_file {
	uint64_t ino;
	uint64_t parent;   /* as its row says */
	uint64_t named_in; /* a directory's only name; 0: it has none */
	uint64_t cookie;
	uint64_t size;
	uint32_t nlink;
	uint32_t mode;
	uint32_t names; /* that it has; of a directory: that are in it */
	uint32_t subdirs;
	enum reach reach;
};

struct check {
	struct fs *fs;
	bool repairs;
	bool is_silent; /* counting again, after repairs */
	void (*found)(void *context, const char *text);
	void *context;
	uint32_t n_repaired;
	struct check_file *files; /* by number */
	size_t n_files, room;
};

static void say(struct check *check, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct check *check, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	if (check->is_silent)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	check->found(check->context, text);
	check->n_repaired += check->repairs;
}

static struct check_file *file_of(const struct check *check, uint64_t ino)
{
	size_t low = 0, high = check->n_files;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (check->files[middle].ino == ino)
			return &check->files[middle];
		if (check->files[middle].ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static dvs_err note_file(struct check *check, const struct check_file *file)
{
	if (check->n_files == check->room) {
		size_t room = check->room ? check->room * 2 : 1024;
		struct check_file *files = realloc(check->files, room * sizeof(*files));

		if (!files)
			return DVS_NOMEM;
		check->files = files;
		check->room = room;
	}
	check->files[check->n_files++] = *file;
	return DVS_OK;
}

/* A row that cannot have been written here gets values that can. */
static dvs_err mend_row(struct check *check, const struct check_file *file)
{
	bool is_dir = S_ISDIR(file->mode);
	sqlite3_stmt *stmt;

	say(check, "file %llu has attributes that cannot be", (unsigned long long)file->ino);
	if (!check->repairs)
		return DVS_OK;
	stmt = fs_sql(check->fs, FS_SQL_FILE_MEND);
	if (stmt) {
		fs_bind(stmt, 1, file->ino);
		fs_bind(stmt, 2, is_dir ? S_IFDIR | 0700 : S_IFREG | 0600);
		fs_bind(stmt, 3, (uint64_t)FS_FILE_MAX);
		fs_bind(stmt, 4, FS_LINKS_MAX);
	}
	return fs_sql_run(check->fs, stmt);
}

static dvs_err load_files(struct check *check)
{
	struct check_file file = { 0 };
	struct fs_inode *inode;
	dvs_err err = DVS_OK;

	check->n_files = 0;
	while (err == DVS_OK) {
		sqlite3_stmt *stmt = fs_sql(check->fs, FS_SQL_FILE_NEXT);

		if (stmt)
			fs_bind(stmt, 1, file.ino);
		err = fs_sql_row(check->fs, stmt);
		if (err != DVS_OK)
			break;
		file.ino = fs_column(stmt, 0);
		file.nlink = (uint32_t)fs_column(stmt, 1);
		file.mode = (uint32_t)fs_column(stmt, 2);
		file.parent = fs_column(stmt, 3);
		file.size = fs_column(stmt, 4);
		(void)sqlite3_reset(stmt);
		err = fs_inode_get(check->fs, file.ino, &inode);
		if (err == DVS_CORRUPT) {
			err = mend_row(check, &file);
			if (!S_ISDIR(file.mode))
				file.mode = S_IFREG;
		}
		if (err == DVS_OK)
			err = note_file(check, &file);
	}
	return err == DVS_NOTFOUND ? DVS_OK : err;
}

/* A row of the table of names. */
struct check_name {
	uint64_t parent;
	struct fs_found at;
	char text[FS_NAME_MAX];
	size_t len;
};

static bool is_name(const struct check *check, const struct check_name *name)
{
	struct fs_name text = { name->text, name->len };

	return fs_name_check(text) == DVS_OK && !fs_name_is(text, ".") && !fs_name_is(text, "..") &&
	       fs_name_cookie(check->fs, text) == (name->at.cookie & ~UINT64_C(255));
}

/* Why the row cannot stay; NULL: it can. */
static const char *why_not(const struct check *check, const struct check_name *name,
			   const struct check_file *dir, const struct check_file *file)
{
	if (!dir || !S_ISDIR(dir->mode))
		return "is in no directory";
	if (!file)
		return "leads to no file";
	if (!is_name(check, name))
		return "is none, or stands in the wrong place";
	if (S_ISDIR(file->mode) && (file->named_in != 0 || file->ino == FS_ROOT))
		return "is another name of a directory";
	return NULL;
}

static dvs_err check_name(struct check *check, struct check_name *name)
{
	struct check_file *dir = file_of(check, name->parent);
	struct check_file *file = file_of(check, name->at.ino);
	const char *why = why_not(check, name, dir, file);

	if (why) {
		say(check, "a name in %llu for file %llu %s", (unsigned long long)name->parent,
		    (unsigned long long)name->at.ino, why);
		return check->repairs ? fs_name_remove(check->fs, name->parent, name->at.cookie) :
					DVS_OK;
	}
	dir->names++;
	if (S_ISDIR(file->mode)) {
		dir->subdirs++;
		file->named_in = dir->ino;
		file->cookie = name->at.cookie;
	} else {
		file->names++;
	}
	if (name->at.kind == fs_kind(file->mode))
		return DVS_OK;
	say(check, "a name in %llu for file %llu says that it is of another kind",
	    (unsigned long long)name->parent, (unsigned long long)name->at.ino);
	name->at.kind = fs_kind(file->mode);
	return check->repairs ? fs_name_put(check->fs, name->parent, &name->at) : DVS_OK;
}

static dvs_err check_names(struct check *check)
{
	struct check_name name = { .parent = 0 };
	dvs_err err = DVS_OK;

	while (err == DVS_OK) {
		sqlite3_stmt *stmt = fs_sql(check->fs, FS_SQL_NAME_NEXT);
		const void *text;

		if (stmt) {
			fs_bind(stmt, 1, name.parent);
			fs_bind(stmt, 2, name.at.cookie);
		}
		err = fs_sql_row(check->fs, stmt);
		if (err != DVS_OK)
			break;
		name.parent = fs_column(stmt, 0);
		name.at.cookie = fs_column(stmt, 1);
		name.at.ino = fs_column(stmt, 2);
		name.at.kind = (uint8_t)fs_column(stmt, 3);
		text = sqlite3_column_blob(stmt, 4);
		name.len = (size_t)sqlite3_column_bytes(stmt, 4);
		if (name.len > sizeof(name.text))
			name.len = 0; /* it is none */
		if (name.len > 0)
			memcpy(name.text, text, name.len);
		(void)sqlite3_reset(stmt);
		err = check_name(check, &name);
	}
	return err == DVS_NOTFOUND ? DVS_OK : err;
}

static dvs_err lost_dir(struct fs *fs, struct fs_inode **dir)
{
	static const struct fs_who who = { .flags = FS_MAY_OVERRIDE };
	const struct fs_name name = { LOST_NAME, strlen(LOST_NAME) };
	struct fs_attr attr;
	dvs_err err = fs_lookup(fs, &who, FS_ROOT, name, &attr);

	if (err == DVS_NOTFOUND)
		err = fs_make(fs, &who, FS_ROOT, name, S_IFDIR | 0700, 0, 0, &attr);
	if (err == DVS_OK)
		err = fs_inode_get(fs, attr.ino, dir);
	if (err == DVS_OK && !S_ISDIR((*dir)->attr.mode))
		err = fs_inode_get(fs, FS_ROOT, dir); /* something else has the name */
	return err;
}

static dvs_err give_name(struct check *check, const struct check_file *file)
{
	struct fs *fs = check->fs;
	struct fs_inode *dir, *inode;
	struct fs_found at;
	char text[24];
	struct fs_name name = { text, 0 };
	dvs_err err;

	say(check, "nothing leads to file %llu", (unsigned long long)file->ino);
	if (!check->repairs)
		return DVS_OK;
	name.len = (size_t)snprintf(text, sizeof(text), "#%llu", (unsigned long long)file->ino);
	err = lost_dir(fs, &dir);
	if (err == DVS_OK)
		err = fs_inode_get(fs, file->ino, &inode);
	if (err == DVS_OK)
		err = fs_inode_change(fs, inode);
	if (err != DVS_OK)
		return err;
	err = fs_name_find(fs, dir->attr.ino, name, &at);
	if (err == DVS_OK)
		return DVS_OK; /* it is there from an earlier repair that gave it this name */
	if (err != DVS_NOTFOUND)
		return err;
	at.ino = file->ino;
	at.kind = fs_kind(inode->attr.mode);
	if (S_ISDIR(inode->attr.mode))
		inode->parent = dir->attr.ino;
	else
		inode->attr.nlink = file->names + 1;
	err = fs_name_add(fs, dir->attr.ino, name, &at);
	return err == DVS_OK ? fs_dir_changed(fs, dir, 1, S_ISDIR(inode->attr.mode)) : err;
}

/* Go up from a directory until one whose reach is known. True: they all can be reached; else *TOP is the one where it ends: it has no name, or it closes a circle. */
static bool goes_up(const struct check *check, struct check_file *file, struct check_file **top)
{
	struct check_file *at = file;

	while (at->reach == REACH_UNKNOWN) {
		at->reach = REACH_ASKED;
		*top = at;
		if (at->ino == FS_ROOT || at->named_in == 0)
			break;
		at = file_of(check, at->named_in);
		*top = at;
	}
	return at->reach == REACH_FOUND || at->ino == FS_ROOT;
}

static void mark_found(const struct check *check, struct check_file *file)
{
	while (file && file->reach == REACH_ASKED) {
		file->reach = REACH_FOUND;
		file = file->named_in ? file_of(check, file->named_in) : NULL;
	}
}

/* A directory, unless it was removed and nobody has closed it yet. */
static dvs_err check_dir(struct check *check, struct check_file *file)
{
	struct check_file *top = file;
	dvs_err err = DVS_OK;
	bool is_lost = !goes_up(check, file, &top);

	mark_found(check, file); /* all on the way is where TOP will be */
	if (!is_lost || (top->nlink == 0 && top->names == 0 && top->named_in == 0))
		return DVS_OK;
	if (top->named_in != 0) {
		say(check, "directory %llu is in a circle", (unsigned long long)top->ino);
		if (check->repairs)
			err = fs_name_remove(check->fs, top->named_in, top->cookie);
		top->named_in = 0;
	}
	return err == DVS_OK ? give_name(check, top) : err;
}

static dvs_err check_reach(struct check *check)
{
	dvs_err err = DVS_OK;

	for (size_t i = 0; i < check->n_files && err == DVS_OK; i++) {
		struct check_file *file = &check->files[i];

		if (S_ISDIR(file->mode))
			err = check_dir(check, file);
		else if (file->names == 0 && file->nlink > 0)
			err = give_name(check, file);
	}
	return err;
}

static dvs_err check_counts_of(struct check *check, const struct check_file *file)
{
	bool is_dir = S_ISDIR(file->mode);
	bool is_removed = is_dir && file->named_in == 0 && file->ino != FS_ROOT;
	uint64_t parent = file->ino == FS_ROOT ? FS_ROOT : file->named_in;
	uint32_t nlink = is_removed ? 0 : is_dir ? 2 + file->subdirs : file->names;
	struct fs_inode *inode;
	dvs_err err;

	if (file->nlink == nlink &&
	    (!is_dir || is_removed || (file->size == file->names && file->parent == parent)))
		return DVS_OK;
	if (file->nlink != nlink)
		say(check, "file %llu has %u links, and says %u", (unsigned long long)file->ino,
		    nlink, file->nlink);
	else
		say(check, "directory %llu has %u names in %llu, and says %llu in %llu",
		    (unsigned long long)file->ino, file->names, (unsigned long long)parent,
		    (unsigned long long)file->size, (unsigned long long)file->parent);
	if (!check->repairs)
		return DVS_OK;
	err = fs_inode_get(check->fs, file->ino, &inode);
	if (err == DVS_OK)
		err = fs_inode_change(check->fs, inode);
	if (err != DVS_OK)
		return err;
	inode->attr.nlink = nlink;
	if (is_dir && !is_removed) {
		inode->attr.size = file->names;
		inode->parent = parent;
	}
	return DVS_OK;
}

/* Files that say they have another number of blocks than their extents. */
static dvs_err check_blocks(struct check *check)
{
	uint64_t ino = 0;
	dvs_err err = DVS_OK;

	while (err == DVS_OK) {
		sqlite3_stmt *stmt = fs_sql(check->fs, FS_SQL_FILE_BLOCKS);
		struct fs_inode *inode;
		uint64_t blocks;

		if (stmt)
			fs_bind(stmt, 1, ino);
		err = fs_sql_row(check->fs, stmt);
		if (err != DVS_OK)
			break;
		ino = fs_column(stmt, 0);
		blocks = fs_column(stmt, 1);
		(void)sqlite3_reset(stmt);
		say(check, "file %llu does not have as many blocks as it says",
		    (unsigned long long)ino);
		if (!check->repairs)
			continue;
		err = fs_inode_get(check->fs, ino, &inode);
		if (err == DVS_OK)
			err = fs_inode_change(check->fs, inode);
		if (err == DVS_OK)
			inode->attr.blocks = blocks;
	}
	return err == DVS_NOTFOUND ? DVS_OK : err;
}

static dvs_err check_whole(struct check *check)
{
	struct fs *fs = check->fs;
	uint64_t strays, bytes, files;
	dvs_err err = fs_sql_row(fs, fs_sql(fs, FS_SQL_XATTR_STRAYS));

	if (err != DVS_OK)
		return err;
	strays = fs_column(fs->sql[FS_SQL_XATTR_STRAYS], 0);
	(void)sqlite3_reset(fs->sql[FS_SQL_XATTR_STRAYS]);
	if (strays > 0)
		say(check, "%llu extended attributes are of no file", (unsigned long long)strays);
	if (strays > 0 && check->repairs)
		err = fs_sql_run(fs, fs_sql(fs, FS_SQL_XATTR_REMOVE_STRAYS));
	if (err == DVS_OK)
		err = fs_sql_row(fs, fs_sql(fs, FS_SQL_USAGE));
	if (err != DVS_OK)
		return err;
	bytes = fs_column(fs->sql[FS_SQL_USAGE], 0);
	files = fs_column(fs->sql[FS_SQL_USAGE], 1);
	(void)sqlite3_reset(fs->sql[FS_SQL_USAGE]);
	if (bytes == fs->whole.bytes && files == fs->whole.files)
		return DVS_OK;
	say(check, "%llu files and %llu bytes are counted, there are %llu and %llu",
	    (unsigned long long)fs->whole.files, (unsigned long long)fs->whole.bytes,
	    (unsigned long long)files, (unsigned long long)bytes);
	if (check->repairs) {
		fs->whole.bytes = bytes;
		fs->whole.files = files;
	}
	return DVS_OK;
}

/* Rows as the inodes in memory are. */
static dvs_err write_back(struct fs *fs)
{
	dvs_err err;

	if (fsimage_is_changing(fs->image))
		return fs_inodes_write(fs);
	if (!fs->defers)
		return DVS_OK;
	err = fs_begin(fs);
	if (err == DVS_OK)
		err = fs_inodes_write(fs);
	if (err == DVS_OK)
		return fs_commit(fs);
	if (fsimage_is_changing(fs->image))
		fs_rollback(fs);
	return err;
}

static dvs_err check_tables(struct check *check)
{
	dvs_err err = write_back(check->fs);

	if (err == DVS_OK)
		err = load_files(check);
	if (err == DVS_OK)
		err = check_names(check);
	if (err == DVS_OK)
		err = check_reach(check);
	if (err == DVS_OK && check->n_repaired > 0) {
		check->is_silent = true;
		err = write_back(check->fs);
		if (err == DVS_OK)
			err = load_files(check);
		if (err == DVS_OK)
			err = check_names(check);
		check->is_silent = false;
	}
	for (size_t i = 0; i < check->n_files && err == DVS_OK; i++)
		err = check_counts_of(check, &check->files[i]);
	if (err == DVS_OK)
		err = check_blocks(check);
	if (err == DVS_OK)
		err = write_back(check->fs);
	return err == DVS_OK ? check_whole(check) : err;
}

static void found_in_image(void *context, const char *text)
{
	const struct check *check = context;

	check->found(check->context, text);
}

dvs_err fs_check(struct fs *fs, bool repair, void (*found)(void *context, const char *text),
		 void *context, uint32_t *n_repaired)
{
	struct check check = { .fs = fs, .repairs = repair, .found = found, .context = context };
	struct fsimage_check image_check = { .repair = repair,
					     .found = found_in_image,
					     .context = &check };
	dvs_err err = check_tables(&check);

	free(check.files);
	if (err == DVS_OK)
		err = fsimage_check(fs->image, &image_check);
	*n_repaired = check.n_repaired + image_check.n_repaired;
	return err;
}
