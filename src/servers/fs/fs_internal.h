/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the file system share (fs.h has what others see).
 *
 * Inodes are read from the table `files` into a cache and changed there; fs_commit() writes those that changed as rows, so a directory in which many names are made in one change set is written once.
 * On a medium that goes with the process fs_commit() leaves them for later: a row is read again only when its inode has left the cache, and those whose rows are behind stay there until these are written, many in one change set.
 * fs_rollback() gives each the attributes back that it had, and forgets those that were made. Names, contents and extended attributes are changed in the database at once, and undone by the database. */
#ifndef SERVERS_FS_FS_INTERNAL_H
#define SERVERS_FS_FS_INTERNAL_H

#include <sys/stat.h>

#include "base/list.h"
#include "servers/fs/fs.h"

/* Statements, prepared when they are used first; sql.c has their texts. Those of file*.c stand behind the others. */
enum fs_sql_id {
	FS_SQL_WHOLE_GET,
	FS_SQL_WHOLE_PUT,
	FS_SQL_FILE_GET,
	FS_SQL_FILE_ADD,
	FS_SQL_FILE_PUT,
	FS_SQL_FILE_PUT_ATIME,
	FS_SQL_FILE_REMOVE,
	FS_SQL_FILE_NEXT,
	FS_SQL_FILE_PARENT,
	FS_SQL_FILE_MEND,
	FS_SQL_FILE_BLOCKS,
	FS_SQL_ORPHAN_NEXT,
	FS_SQL_CONTENT_GET,
	FS_SQL_CONTENT_PUT,
	FS_SQL_NAME_FIND,
	FS_SQL_NAME_ADD,
	FS_SQL_NAME_PUT,
	FS_SQL_NAME_REMOVE,
	FS_SQL_NAME_FROM,
	FS_SQL_NAME_NEXT,
	FS_SQL_XATTR_GET,
	FS_SQL_XATTR_PUT,
	FS_SQL_XATTR_REMOVE,
	FS_SQL_XATTR_REMOVE_ALL,
	FS_SQL_XATTR_LIST,
	FS_SQL_XATTR_SUM,
	FS_SQL_XATTR_STRAYS,
	FS_SQL_XATTR_REMOVE_STRAYS,
	FS_SQL_USAGE,
	FS_SQL_SESSION_PUT,
	FS_SQL_SESSION_REMOVE,
	FS_SQL_SESSION_NEXT,
	FS_SQL_ANSWER_PUT,
	FS_SQL_ANSWER_GET,
	FS_SQL_ANSWER_REMOVE,
	FS_SQL_ANSWER_NEXT,
	FS_SQL_EXTENTS_FROM,
	FS_SQL_EXTENT_BEFORE,
	FS_SQL_EXTENT_ADD,
	FS_SQL_EXTENT_PUT,
	FS_SQL_EXTENT_REMOVE,
	FS_SQL_N
};

/* fs_inode.flags; they are columns of the database: never renumber. */
#define FS_INODE_LINKABLE 1u	/* without a name since it was made, and may get one */
#define FS_INODE_XATTRS 2u	/* it has some */
#define FS_INODE_ACL 4u		/* an access ACL that says more than the mode */
#define FS_INODE_DEFAULT_ACL 8u /* a directory's */
#define FS_INODE_CAPABILITY 16u /* security.capability */
#define FS_INODE_CONTENT 32u	/* the contents (a symbolic link's target) stand in the row */
#define FS_INODE_FLAGS_ALL 63u

struct fs_inode_was;

struct fs_inode {
	struct list
		link; /* of fs.recent, .touched, .behind or .changed; none when it is only pinned */
	struct fs_inode *next; /* in the same bucket */
	struct fs_attr attr;   /* of a directory, size is the number of its names */
	uint64_t parent;       /* a directory's; the root's is itself */
	uint32_t flags;
	uint32_t pins;
	bool is_recent; /* in fs.recent */
	bool is_new;	/* made in this change set */
	bool has_row;	/* there is one, however old */
	bool is_behind; /* in fs.behind, unless it is changed just now: not all of it stands in the row */
	bool is_removed;	  /* in this change set */
	bool is_unpinned;	  /* by its removal */
	bool is_touched;	  /* its access time is newer than the row's */
	struct fs_inode_was *was; /* not NULL: changed in this change set */
};

/* What is in the one row of the table `whole`. */
struct fs_whole {
	uint64_t next_ino;
	uint64_t files;
	uint64_t bytes;	      /* of blocks and extended attributes: what the quota counts */
	uint64_t quota_bytes; /* 0: none */
	uint64_t quota_files;
	uint64_t id;
};

/* A name that was looked for, and what was found (names.c). */
struct fs_memo {
	uint64_t parent;
	uint64_t cookie;
	uint64_t ino; /* 0: there is no such name */
	uint8_t kind;
	uint8_t len; /* 0: nothing stands here */
	char text[FS_NAME_MAX];
};

struct fs {
	struct fsimage *image;
	struct log *log;
	sqlite3 *db;
	sqlite3_stmt *sql[FS_SQL_N];
	uint64_t key[2]; /* of the hash of names */
	struct fs_whole whole;
	struct fs_whole whole_was; /* at the begin of the change set */
	struct fs_inode **buckets;
	uint32_t n_buckets; /* a power of two */
	uint32_t n_inodes;
	uint32_t max_inodes; /* beyond it, those that nobody needs go */
	uint32_t n_touched;
	uint32_t n_recent;
	struct list recent; /* in no use, last used first */
	struct list touched;
	struct list changed;
	struct list behind; /* their rows are older than they are, or missing */
	uint32_t n_behind;
	uint32_t max_behind; /* beyond it, those that were changed longest ago are written */
	bool defers;	     /* rows may stay behind: nobody reads them but this process */
	bool is_crammed;     /* there was no room for rows that are missing */
	struct fs_memo memos[4];
	uint32_t next_memo;
	void *room; /* what pointers "valid until the next call" point to */
	size_t room_bytes;
};

/* ---- sql.c ---- */
/* The statement, reset; NULL: out of memory, or the database has no such tables (fs_sql_error() says). */
sqlite3_stmt *fs_sql(struct fs *fs, enum fs_sql_id id);
/* One that gives no rows. */
DVS_MUST_USE dvs_err fs_sql_run(struct fs *fs, sqlite3_stmt *stmt);
/* The next row; NOTFOUND: there is none (more), and the statement is reset. */
DVS_MUST_USE dvs_err fs_sql_row(struct fs *fs, sqlite3_stmt *stmt);
/* What the last failure was. Never DVS_OK. */
DVS_MUST_USE dvs_err fs_sql_error(const struct fs *fs);
void fs_sql_close(struct fs *fs);
static inline void fs_bind(sqlite3_stmt *stmt, int column, uint64_t value)
{
	(void)sqlite3_bind_int64(
		stmt, column,
		(sqlite3_int64)value); /* the number of columns is right, nothing else can fail */
}
/* VALUE must stay as it is until the statement is reset. An empty one is an empty blob, not NULL. */
static inline void fs_bind_blob(sqlite3_stmt *stmt, int column, const void *value, size_t len)
{
	if (len == 0)
		(void)sqlite3_bind_zeroblob(stmt, column, 0);
	else
		(void)sqlite3_bind_blob64(stmt, column, value, len, SQLITE_STATIC);
}
static inline uint64_t fs_column(sqlite3_stmt *stmt, int column)
{
	return (uint64_t)sqlite3_column_int64(stmt, column);
}
/* fs.room with at least BYTES. NOMEM. */
DVS_MUST_USE dvs_err fs_room(struct fs *fs, size_t bytes);

/* ---- inode.c ---- */
DVS_MUST_USE dvs_err fs_inodes_open(struct fs *fs);
void fs_inodes_close(struct fs *fs);
/* The inode, valid until the operation ends. STALE, CORRUPT, IO, NOMEM. */
DVS_MUST_USE dvs_err fs_inode_get(struct fs *fs, uint64_t ino, struct fs_inode **inode);
/* As fs_inode_get(), only what is in memory; NULL. */
struct fs_inode *fs_inode_known(const struct fs *fs, uint64_t ino);
/* A new one, with a number, in this change set; all attributes but ino are zero. It counts as a file: QUOTA. */
DVS_MUST_USE dvs_err fs_inode_add(struct fs *fs, struct fs_inode **inode);
/* To be called before anything of it is changed: keeps what it was, and gives it a new version. NOMEM. */
DVS_MUST_USE dvs_err fs_inode_change(struct fs *fs, struct fs_inode *inode);
#define FS_ATIME 1u
#define FS_MTIME 2u
#define FS_CTIME 4u
/* These times are now. After fs_inode_change(). */
void fs_inode_stamp(struct fs_inode *inode, uint32_t times);
/* It was read: the access time as relatime says, in memory; fs_commit() writes it. No change set is needed. */
void fs_inode_touch(struct fs *fs, struct fs_inode *inode);
/* To the list where it belongs, when its pins have changed. */
void fs_inode_place(struct fs *fs, struct fs_inode *inode);
/* The file is gone, with contents and extended attributes: nobody has it open, and it has no name. */
DVS_MUST_USE dvs_err fs_inode_remove(struct fs *fs, struct fs_inode *inode);
/* Rows of all that changed are written, in this change set: statements see what the cache has. */
DVS_MUST_USE dvs_err fs_inodes_write(struct fs *fs);
/* There is a row of this one. In this change set, after fs_inode_change(). */
DVS_MUST_USE dvs_err fs_inode_need_row(struct fs *fs, struct fs_inode *inode);
/* Between change sets: when too many rows are behind, some are written. */
void fs_inodes_catch_up(struct fs *fs);
/* The change set has ended: well (what was removed goes), or not (everything is as it was). */
void fs_inodes_settle(struct fs *fs, bool is_well);

/* ---- names.c ---- */
/* Names are not what they were: a change set was taken back. */
void fs_names_forget(struct fs *fs);

/* ---- content.c: what stands in the row of a file ---- */
/* *DATA is valid until the next call; none is zero bytes. */
DVS_MUST_USE dvs_err fs_content_get(struct fs *fs, struct fs_inode *inode, const void **data,
				    size_t *bytes);
/* In this change set, after fs_inode_change(). DATA NULL: nothing stands there any more. */
DVS_MUST_USE dvs_err fs_content_put(struct fs *fs, struct fs_inode *inode, const void *data,
				    size_t bytes);

/* ---- fs.c ---- */
/* So many bytes more are in use in this change set. QUOTA, and nothing has changed. */
DVS_MUST_USE dvs_err fs_usage_more(struct fs *fs, uint64_t bytes);
void fs_usage_less(struct fs *fs, uint64_t bytes);
/* How many bytes more the quota allows; UINT64_MAX: there is none. */
uint64_t fs_usage_left(const struct fs *fs);

/* ---- permission.c ---- */
bool fs_is_member(const struct fs_who *who, uint32_t gid);
/* The owner, or who may do as one. */
bool fs_is_owner(const struct fs_who *who, const struct fs_inode *inode);
/* MASK: 4 read, 2 write, 1 execute or search. NOACCESS. */
DVS_MUST_USE dvs_err fs_permit(struct fs *fs, const struct fs_who *who, struct fs_inode *inode,
			       uint32_t mask);
/* Set-id bits and capabilities that a write (or a change of the size) by WHO takes away. In this change set, after fs_inode_change(); WHO NULL: of somebody who may keep nothing. */
DVS_MUST_USE dvs_err fs_drop_privileges(struct fs *fs, const struct fs_who *who,
					struct fs_inode *inode);

/* ---- file_extents.c ---- */
#define FS_BLOCK ((uint64_t)MEDIUM_BLOCK_BYTES)
#define FS_BLOCKS_MAX (UINT64_C(1) << 51) /* of a file */

/* Blocks of a file that stand together on the medium. Unwritten ones read as zeroes, whatever stands there. */
struct fs_extent {
	uint64_t first;
	uint64_t blocks;
	uint64_t place; /* block of the medium */
	uint64_t epoch; /* in which it was written first; 0 of an unwritten one */
	bool is_unwritten;
};

/* Begin with the first extent that ends behind BLOCK, then fs_extents_next(); NOTFOUND: that was all. Nothing may be changed before the end, or fs_extents_stop(). */
DVS_MUST_USE dvs_err fs_extents_from(struct fs *fs, uint64_t ino, uint64_t block,
				     struct fs_extent *extent);
DVS_MUST_USE dvs_err fs_extents_next(struct fs *fs, struct fs_extent *extent);
void fs_extents_stop(struct fs *fs);
/* One alone. */
DVS_MUST_USE dvs_err fs_extent_at(struct fs *fs, uint64_t ino, uint64_t block,
				  struct fs_extent *extent);
/* The last one that begins before BLOCK. NOTFOUND. */
DVS_MUST_USE dvs_err fs_extent_before(struct fs *fs, uint64_t ino, uint64_t block,
				      struct fs_extent *extent);
/* Where none is; joined with its neighbours if they are of one kind. */
DVS_MUST_USE dvs_err fs_extent_add(struct fs *fs, uint64_t ino, const struct fs_extent *extent);
/* No extent has blocks [FROM, TO) any more. DO_FREE: their places are freed, too, and not counted any more. After fs_inode_change(). */
DVS_MUST_USE dvs_err fs_extents_cut(struct fs *fs, struct fs_inode *inode, uint64_t from,
				    uint64_t to, bool do_free);
/* Up to BLOCKS blocks from block FIRST on, which is in no extent: *EXTENT is an unwritten one, counted, not yet added. QUOTA, NOSPACE and *MUST_SYNC as fsimage_alloc(). */
DVS_MUST_USE dvs_err fs_extent_make(struct fs *fs, struct fs_inode *inode, uint64_t first,
				    uint64_t blocks, struct fs_extent *extent, bool *must_sync);
/* Extents (rows, space and what they count in the quota) of a file that is removed. */
DVS_MUST_USE dvs_err fs_extents_remove(struct fs *fs, struct fs_inode *inode);

/* ---- file_data.c ---- */
/* The inode if it is a regular file: ISDIR, BADARG otherwise. */
DVS_MUST_USE dvs_err fs_file_get(struct fs *fs, uint64_t ino, struct fs_inode **inode);
/* BYTES at OFFSET of a file go to EXTENT, which has these blocks. What is in a block besides is kept, unless it is FRESH or behind the end of the file: then it is zeroes. DATA NULL: zeroes. */
DVS_MUST_USE dvs_err fs_data_put(struct fs *fs, const struct fs_inode *inode,
				 const struct fs_extent *extent, bool is_fresh, uint64_t offset,
				 const uint8_t *data, uint64_t bytes);
/* What stands in the row goes to blocks. After fs_inode_change(). */
DVS_MUST_USE dvs_err fs_data_spill(struct fs *fs, struct fs_inode *inode, bool *must_sync);
/* Zeroes at OFFSET, as far as something else is there; extents stay. */
DVS_MUST_USE dvs_err fs_data_zero(struct fs *fs, const struct fs_inode *inode, uint64_t offset,
				  uint64_t bytes);
/* The file is BYTES long from now on: what is behind its end in its last block must not be seen then. */
DVS_MUST_USE dvs_err fs_data_extend(struct fs *fs, struct fs_inode *inode, uint64_t bytes);

#endif
