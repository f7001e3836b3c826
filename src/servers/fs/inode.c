/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes in memory: a hash table by number. Those that nobody needs are in the list `recent`, and go from its end when there are too many; those that somebody has open stay, as do those that have to be written. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "servers/fs/fs_internal.h"

#define INODES_MAX 65536u
#define RECENT_MIN 16u /* stay in any case: more than one operation has to do with */
#define BUCKETS_MIN 1024u
#define TOUCHED_MAX 8192u /* access times that wait to be written; more are not noted */
#define BEHIND_MAX 16384u /* inodes whose rows are behind */
#define BEHIND_AT_ONCE 256u
#define DAY_S 86400
#define NS_PER_S 1000000000u

/* What an inode was at the begin of the change set. */
struct fs_inode_was {
	struct fs_attr attr;
	uint64_t parent;
	uint32_t flags;
	bool has_row;
};

static struct fs_inode **bucket_of(const struct fs *fs, uint64_t ino)
{
	return &fs->buckets[(ino * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (fs->n_buckets - 1)];
}

dvs_err fs_inodes_open(struct fs *fs)
{
	list_init(&fs->recent);
	list_init(&fs->touched);
	list_init(&fs->changed);
	list_init(&fs->behind);
	fs->defers = fsimage_is_volatile(fs->image);
	fs->max_inodes = INODES_MAX;
	fs->max_behind = BEHIND_MAX;
	fs->n_buckets = BUCKETS_MIN;
	fs->buckets = calloc(fs->n_buckets, sizeof(struct fs_inode *));
	return fs->buckets ? DVS_OK : DVS_NOMEM;
}

void fs_inodes_close(struct fs *fs)
{
	for (uint32_t i = 0; fs->buckets && i < fs->n_buckets; i++) {
		struct fs_inode *next;

		for (struct fs_inode *inode = fs->buckets[i]; inode; inode = next) {
			next = inode->next;
			free(inode->was);
			free(inode);
		}
	}
	free(fs->buckets);
	fs->buckets = NULL;
	fs->n_inodes = 0;
}

/* Twice as many buckets. Without memory it goes on with those that are there. */
static void grow(struct fs *fs)
{
	struct fs_inode **old = fs->buckets;
	uint32_t n_old = fs->n_buckets;
	struct fs_inode **buckets = calloc((size_t)n_old * 2, sizeof(struct fs_inode *));

	if (!buckets)
		return;
	fs->buckets = buckets;
	fs->n_buckets = n_old * 2;
	for (uint32_t i = 0; i < n_old; i++) {
		struct fs_inode *next;

		for (struct fs_inode *inode = old[i]; inode; inode = next) {
			struct fs_inode **bucket = bucket_of(fs, inode->attr.ino);

			next = inode->next;
			inode->next = *bucket;
			*bucket = inode;
		}
	}
	free(old);
}

static void forget(struct fs *fs, struct fs_inode *inode)
{
	struct fs_inode **at = bucket_of(fs, inode->attr.ino);

	while (*at != inode)
		at = &(*at)->next;
	*at = inode->next;
	list_remove(&inode->link);
	fs->n_recent -= inode->is_recent;
	fs->n_behind -= inode->is_behind;
	fs->n_inodes--;
	free(inode->was);
	free(inode);
}

void fs_inode_place(struct fs *fs, struct fs_inode *inode)
{
	list_remove(&inode->link);
	fs->n_recent -= inode->is_recent;
	inode->is_recent = false;
	if (inode->was) {
		list_add_tail(&fs->changed, &inode->link);
	} else if (inode->is_behind) {
		list_add_tail(&fs->behind, &inode->link);
	} else if (inode->is_touched) {
		list_add_tail(&fs->touched, &inode->link);
	} else if (inode->pins == 0) {
		list_add_head(&fs->recent, &inode->link);
		inode->is_recent = true;
		fs->n_recent++;
	}
}

/* An inode in the table, in no list; it is not filled. */
static struct fs_inode *enter(struct fs *fs, uint64_t ino)
{
	struct fs_inode *inode = calloc(1, sizeof(*inode));
	struct fs_inode **bucket;

	if (!inode)
		return NULL;
	while (fs->n_inodes >= fs->max_inodes && fs->n_recent > RECENT_MIN)
		forget(fs, CONTAINER_OF(fs->recent.prev, struct fs_inode, link));
	if (fs->n_inodes >= fs->n_buckets)
		grow(fs);
	bucket = bucket_of(fs, ino);
	inode->attr.ino = ino;
	inode->next = *bucket;
	*bucket = inode;
	list_init(&inode->link);
	fs->n_inodes++;
	return inode;
}

struct fs_inode *fs_inode_known(const struct fs *fs, uint64_t ino)
{
	struct fs_inode *inode = *bucket_of(fs, ino);

	while (inode && inode->attr.ino != ino)
		inode = inode->next;
	return inode;
}

static bool mode_ok(uint32_t mode)
{
	uint32_t kind = mode & S_IFMT;

	return (mode & ~(uint32_t)(S_IFMT | 07777)) == 0 &&
	       (kind == S_IFREG || kind == S_IFDIR || kind == S_IFLNK || kind == S_IFCHR ||
		kind == S_IFBLK || kind == S_IFIFO || kind == S_IFSOCK);
}

/* Whether a row can be one that was written here. */
static bool row_ok(const struct fs_inode *inode)
{
	const struct fs_attr *attr = &inode->attr;

	return mode_ok(attr->mode) && attr->nlink <= FS_LINKS_MAX &&
	       attr->size <= (uint64_t)FS_FILE_MAX && attr->blocks <= INT64_MAX / 512 &&
	       attr->atime_ns < NS_PER_S && attr->mtime_ns < NS_PER_S &&
	       attr->ctime_ns < NS_PER_S && (inode->flags & ~FS_INODE_FLAGS_ALL) == 0;
}

static void from_row(struct fs_inode *inode, sqlite3_stmt *stmt)
{
	struct fs_attr *attr = &inode->attr;

	attr->mode = (uint32_t)fs_column(stmt, 0);
	attr->nlink = (uint32_t)fs_column(stmt, 1);
	attr->uid = (uint32_t)fs_column(stmt, 2);
	attr->gid = (uint32_t)fs_column(stmt, 3);
	attr->rdev = (uint32_t)fs_column(stmt, 4);
	attr->size = fs_column(stmt, 5);
	attr->blocks = fs_column(stmt, 6);
	attr->version = fs_column(stmt, 7);
	attr->atime_s = (int64_t)fs_column(stmt, 8);
	attr->atime_ns = (uint32_t)fs_column(stmt, 9);
	attr->mtime_s = (int64_t)fs_column(stmt, 10);
	attr->mtime_ns = (uint32_t)fs_column(stmt, 11);
	attr->ctime_s = (int64_t)fs_column(stmt, 12);
	attr->ctime_ns = (uint32_t)fs_column(stmt, 13);
	inode->parent = fs_column(stmt, 14);
	inode->flags = (uint32_t)fs_column(stmt, 15);
	inode->has_row = true;
}

dvs_err fs_inode_get(struct fs *fs, uint64_t ino, struct fs_inode **inode)
{
	struct fs_inode *found = fs_inode_known(fs, ino);
	sqlite3_stmt *stmt;
	dvs_err err;

	if (found) {
		if (found->is_removed)
			return DVS_STALE;
		if (found->is_recent)
			fs_inode_place(fs, found);
		*inode = found;
		return DVS_OK;
	}
	stmt = fs_sql(fs, FS_SQL_FILE_GET);
	if (stmt)
		fs_bind(stmt, 1, ino);
	err = fs_sql_row(fs, stmt);
	if (err != DVS_OK)
		return err == DVS_NOTFOUND ? DVS_STALE : err;
	found = enter(fs, ino);
	if (found)
		from_row(found, stmt);
	(void)sqlite3_reset(stmt);
	if (!found)
		return DVS_NOMEM;
	if (!row_ok(found)) {
		forget(fs, found);
		return DVS_CORRUPT;
	}
	fs_inode_place(fs, found);
	*inode = found;
	return DVS_OK;
}

dvs_err fs_inode_add(struct fs *fs, struct fs_inode **inode)
{
	struct fs_inode *added;

	if (fs->whole.quota_files != 0 && fs->whole.files >= fs->whole.quota_files)
		return DVS_QUOTA;
	if (fs->whole.next_ino >= INT64_MAX || (fs->is_crammed && fs->n_behind >= fs->max_behind))
		return DVS_NOSPACE;
	added = enter(fs, fs->whole.next_ino);
	if (!added)
		return DVS_NOMEM;
	added->was = calloc(1, sizeof(*added->was));
	if (!added->was) {
		forget(fs, added);
		return DVS_NOMEM;
	}
	fs->whole.next_ino++;
	fs->whole.files++;
	added->is_new = true;
	added->attr.version = 1;
	fs_inode_place(fs, added);
	*inode = added;
	return DVS_OK;
}

dvs_err fs_inode_change(struct fs *fs, struct fs_inode *inode)
{
	inode->attr.version++;
	if (inode->was)
		return DVS_OK;
	inode->was = malloc(sizeof(*inode->was));
	if (!inode->was) {
		inode->attr.version--;
		return DVS_NOMEM;
	}
	*inode->was =
		(struct fs_inode_was){ inode->attr, inode->parent, inode->flags, inode->has_row };
	inode->was->attr.version--;
	fs_inode_place(fs, inode);
	return DVS_OK;
}

void fs_inode_stamp(struct fs_inode *inode, uint32_t times)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (times & FS_ATIME) {
		inode->attr.atime_s = now.tv_sec;
		inode->attr.atime_ns = (uint32_t)now.tv_nsec;
	}
	if (times & FS_MTIME) {
		inode->attr.mtime_s = now.tv_sec;
		inode->attr.mtime_ns = (uint32_t)now.tv_nsec;
	}
	if (times & FS_CTIME) {
		inode->attr.ctime_s = now.tv_sec;
		inode->attr.ctime_ns = (uint32_t)now.tv_nsec;
	}
}

static bool is_before(int64_t s, uint32_t ns, int64_t than_s, uint32_t than_ns)
{
	return s < than_s || (s == than_s && ns <= than_ns);
}

void fs_inode_touch(struct fs *fs, struct fs_inode *inode)
{
	const struct fs_attr *attr = &inode->attr;
	bool is_due = is_before(attr->atime_s, attr->atime_ns, attr->mtime_s, attr->mtime_ns) ||
		      is_before(attr->atime_s, attr->atime_ns, attr->ctime_s, attr->ctime_ns) ||
		      attr->atime_s < (int64_t)time(NULL) - DAY_S;

	if (!is_due)
		return;
	if (!inode->was && !inode->is_touched && !inode->is_behind) {
		if (fs->n_touched >= TOUCHED_MAX || fsimage_why(fs->image))
			return;
		inode->is_touched = true;
		fs->n_touched++;
		fs_inode_place(fs, inode);
	}
	fs_inode_stamp(inode, FS_ATIME);
}

static dvs_err remove_rows(struct fs *fs, struct fs_inode *inode)
{
	sqlite3_stmt *stmt;
	uint64_t bytes = 0;
	dvs_err err = fs_extents_remove(fs, inode);

	if (err == DVS_OK && inode->flags & FS_INODE_XATTRS) {
		stmt = fs_sql(fs, FS_SQL_XATTR_SUM);
		if (stmt)
			fs_bind(stmt, 1, inode->attr.ino);
		err = fs_sql_row(fs, stmt);
		if (err != DVS_OK)
			return err;
		bytes = fs_column(stmt, 0);
		(void)sqlite3_reset(stmt);
		stmt = fs_sql(fs, FS_SQL_XATTR_REMOVE_ALL);
		if (stmt)
			fs_bind(stmt, 1, inode->attr.ino);
		err = fs_sql_run(fs, stmt);
	}
	if (err == DVS_OK && inode->has_row) {
		stmt = fs_sql(fs, FS_SQL_FILE_REMOVE);
		if (stmt)
			fs_bind(stmt, 1, inode->attr.ino);
		err = fs_sql_run(fs, stmt);
	}
	if (err == DVS_OK)
		fs_usage_less(fs, bytes);
	return err;
}

dvs_err fs_inode_remove(struct fs *fs, struct fs_inode *inode)
{
	dvs_err err = fs_inode_change(fs, inode);

	if (err == DVS_OK)
		err = remove_rows(fs, inode);
	if (err != DVS_OK)
		return err;
	inode->is_removed = true;
	if (fs->whole.files > 0)
		fs->whole.files--;
	return DVS_OK;
}

static void bind_row(sqlite3_stmt *stmt, const struct fs_inode *inode)
{
	const struct fs_attr *attr = &inode->attr;
	const uint64_t columns[] = {
		attr->ino,	attr->mode,
		attr->nlink,	attr->uid,
		attr->gid,	attr->rdev,
		attr->size,	attr->blocks,
		attr->version,	(uint64_t)attr->atime_s,
		attr->atime_ns, (uint64_t)attr->mtime_s,
		attr->mtime_ns, (uint64_t)attr->ctime_s,
		attr->ctime_ns, inode->parent,
		inode->flags,
	};

	for (int i = 0; i < (int)ARRAY_LEN(columns); i++)
		fs_bind(stmt, i + 1, columns[i]);
}

static dvs_err write_row(struct fs *fs, const struct fs_inode *inode)
{
	sqlite3_stmt *stmt = fs_sql(fs, inode->has_row ? FS_SQL_FILE_PUT : FS_SQL_FILE_ADD);

	if (stmt)
		bind_row(stmt, inode);
	return fs_sql_run(fs, stmt);
}

dvs_err fs_inode_need_row(struct fs *fs, struct fs_inode *inode)
{
	dvs_err err = inode->has_row ? DVS_OK : write_row(fs, inode);

	inode->has_row |= err == DVS_OK;
	return err;
}

/* Rows that are behind are of this change set, too, and as they were before if it is taken back. */
static dvs_err change_behind(struct fs *fs)
{
	LIST_FOREACH_SAFE(link, &fs->behind) {
		struct fs_inode *inode = CONTAINER_OF(link, struct fs_inode, link);
		dvs_err err = fs_inode_change(fs, inode);

		if (err != DVS_OK)
			return err;
		inode->attr.version--;
	}
	return DVS_OK;
}

dvs_err fs_inodes_write(struct fs *fs)
{
	dvs_err err = change_behind(fs);

	LIST_FOREACH(link, &fs->changed) {
		struct fs_inode *inode = CONTAINER_OF(link, struct fs_inode, link);

		if (err != DVS_OK)
			break;
		if (inode->is_removed)
			continue;
		err = write_row(fs, inode);
		inode->has_row |= err == DVS_OK;
	}
	LIST_FOREACH(link, &fs->touched) {
		const struct fs_inode *inode = CONTAINER_OF(link, struct fs_inode, link);
		sqlite3_stmt *stmt = err == DVS_OK ? fs_sql(fs, FS_SQL_FILE_PUT_ATIME) : NULL;

		if (err != DVS_OK)
			break;
		if (stmt) {
			fs_bind(stmt, 1, inode->attr.ino);
			fs_bind(stmt, 2, (uint64_t)inode->attr.atime_s);
			fs_bind(stmt, 3, inode->attr.atime_ns);
		}
		err = fs_sql_run(fs, stmt);
	}
	return err;
}

static void leave_behind(struct fs *fs, struct fs_inode *inode)
{
	fs->n_behind += !inode->is_behind;
	inode->is_behind = true;
}

static void settle_one(struct fs *fs, struct fs_inode *inode, bool is_well)
{
	if (is_well ? inode->is_removed : inode->is_new) {
		if (inode->is_touched)
			fs->n_touched--;
		forget(fs, inode);
		return;
	}
	if (!is_well) {
		inode->attr = inode->was->attr;
		inode->parent = inode->was->parent;
		inode->flags = inode->was->flags;
		inode->has_row = inode->was->has_row;
		inode->is_removed = false;
		if (inode->is_unpinned)
			inode->pins = 1;
	} else if (inode->is_touched) {
		inode->is_touched = false;
		fs->n_touched--;
	}
	if (is_well && fs->defers)
		leave_behind(fs, inode);
	inode->is_unpinned = false;
	inode->is_new = false;
	free(inode->was);
	inode->was = NULL;
	fs_inode_place(fs, inode);
}

void fs_inodes_settle(struct fs *fs, bool is_well)
{
	LIST_FOREACH_SAFE(link, &fs->changed)
		settle_one(fs, CONTAINER_OF(link, struct fs_inode, link), is_well);
	if (!is_well)
		return;
	LIST_FOREACH_SAFE(link, &fs->touched) {
		struct fs_inode *inode = CONTAINER_OF(link, struct fs_inode, link);

		inode->is_touched = false;
		fs->n_touched--;
		if (fs->defers)
			leave_behind(fs, inode);
		fs_inode_place(fs, inode);
	}
}

/* ---- rows that are behind ---- */

/* Those that were changed longest ago. */
static dvs_err write_behind(struct fs *fs, uint32_t most, uint32_t *n)
{
	dvs_err err = DVS_OK;

	*n = 0;
	LIST_FOREACH(link, &fs->behind) {
		if (*n == most || err != DVS_OK)
			break;
		err = write_row(fs, CONTAINER_OF(link, struct fs_inode, link));
		*n += err == DVS_OK;
	}
	return err;
}

void fs_inodes_catch_up(struct fs *fs)
{
	uint32_t n;
	dvs_err err;

	if (fs->n_behind < fs->max_behind || fsimage_begin(fs->image) != DVS_OK)
		return;
	err = write_behind(fs, fs->is_crammed ? 1 : BEHIND_AT_ONCE, &n);
	if (err == DVS_OK)
		err = fsimage_commit(fs->image);
	else
		fsimage_rollback(fs->image);
	/* They stay in memory, and no more are made. */
	fs->is_crammed = err != DVS_OK;
	while (err == DVS_OK && n-- > 0) {
		struct fs_inode *inode = CONTAINER_OF(fs->behind.next, struct fs_inode, link);

		inode->has_row = true;
		inode->is_behind = false;
		fs->n_behind--;
		fs_inode_place(fs, inode);
	}
}
