/* SPDX-License-Identifier: Apache-2.0 */
/* The file system itself: operations of (state, identity, arguments) on an open image; no messages, no sessions. One thread. Each operation that changes something does so within the change set that its caller has begun
 * (fs_begin()). An operation that ends with NOSPACE, IO, NOMEM or CORRUPT may be half done: the caller rolls back. One that ends with another error has changed nothing, so that the change set can go on. tree*.c: names and attributes; file*.c: contents. */
#ifndef SERVERS_FS_FS_H
#define SERVERS_FS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "proto/fs_proto.h"
#include "servers/fs/fsimage.h"

#define FS_ROOT 1u
#define FS_NAME_MAX 255u
#define FS_TARGET_MAX 4095u
#define FS_XATTR_MAX 65536u
#define FS_LINKS_MAX 65000u
#define FS_FILE_MAX (INT64_MAX - 4095) /* as large as offsets can say */
#define FS_INLINE_MAX 1024u	       /* contents up to this stand in the row of the file */

/* fs_who.flags, as op who in fs.toml */
#define FS_MAY_OVERRIDE 1u
#define FS_MAY_OWN 2u
#define FS_MAY_CHOWN 4u
#define FS_MAY_FSETID 8u
#define FS_MAY_MKNOD 16u
#define FS_MAY_IMMUTABLE 32u
#define FS_MAY_ADMIN 64u
#define FS_MAY_SETFCAP 128u

/* Who asks. */
struct fs_who {
	uint32_t uid;
	uint32_t gid;
	uint32_t flags;
	uint32_t n_groups;
	const uint32_t *groups;
};

struct fs;

/* The tables that fsimage_create() is to make, root directory included (owner 0:0, mode 0755; time of the making). */
extern const char fs_schema[];

/* Takes IMAGE over on success. NOMEM, CORRUPT. */
DVS_MUST_USE dvs_err fs_open(struct fsimage *image, struct log *log, struct fs **fs);
/* Closes the image, too. */
void fs_close(struct fs *fs, bool in_order);
struct fsimage *fs_image(struct fs *fs);

/* A change set of the file system: what fsimage_begin() and so on do, and the inodes in memory go with it. Only these are to be called on the image of a file system that is open. Several operations may be in one. Pins are not undone by a rollback; but a
 * file that was made in the change set is gone with its pins, and one that fs_unpin() had removed is pinned as before. Errors as fsimage_begin() and fsimage_commit() have them; after an error of fs_commit() all is as at fs_begin(). */
DVS_MUST_USE dvs_err fs_begin(struct fs *fs);
DVS_MUST_USE dvs_err fs_commit(struct fs *fs);
void fs_rollback(struct fs *fs);
/* Whether access times wait to be written; any change set does it, also an empty one. */
bool fs_has_times(const struct fs *fs);

/* A file somebody has open (or pinned): it lives on without a name. Counted; fs_unpin() of the last one of a file without names removes it and gives its space back, for which it needs a change set: fs_is_last_pin() says so before. FULL; STALE: there is no such file, or it is not pinned. */
DVS_MUST_USE dvs_err fs_pin(struct fs *fs, uint64_t ino);
bool fs_is_last_pin(const struct fs *fs, uint64_t ino);
DVS_MUST_USE dvs_err fs_unpin(struct fs *fs, uint64_t ino);
/* After all sessions have said what they have open: remove files that have no names and no pins, at most MAX in this change set; *LEFT: there are more. */
DVS_MUST_USE dvs_err fs_remove_orphans(struct fs *fs, uint32_t max, bool *left);

/* ---- names (tree*.c) ----
 * NAME is NAME_LEN bytes, checked here. Errors as the operations of fs.toml have them. */
struct fs_name {
	const char *text;
	size_t len;
};

DVS_MUST_USE dvs_err fs_lookup(struct fs *fs, const struct fs_who *who, uint64_t parent,
			       struct fs_name name, struct fs_attr *attr);
/* MODE with the file type's bits. EXISTS also when it could be opened: the caller then looks it up. */
DVS_MUST_USE dvs_err fs_make(struct fs *fs, const struct fs_who *who, uint64_t parent,
			     struct fs_name name, uint32_t mode, uint32_t umask, uint32_t rdev,
			     struct fs_attr *attr);
DVS_MUST_USE dvs_err fs_make_symlink(struct fs *fs, const struct fs_who *who, uint64_t parent,
				     struct fs_name name, struct fs_name target,
				     struct fs_attr *attr);
/* Without a name, and pinned. LINKABLE: fs_link() may give it one. */
DVS_MUST_USE dvs_err fs_make_tmpfile(struct fs *fs, const struct fs_who *who, uint64_t parent,
				     uint32_t mode, uint32_t umask, bool linkable,
				     struct fs_attr *attr);
DVS_MUST_USE dvs_err fs_link(struct fs *fs, const struct fs_who *who, uint64_t ino, uint64_t parent,
			     struct fs_name name, struct fs_attr *attr);
/* What a removal or renaming concerns, before it is done: the server recalls leases on these. 0: none. */
struct fs_concerned {
	uint64_t ino;	   /* who has or had the (old) name */
	uint64_t replaced; /* who had the new name */
	uint32_t nlink;	   /* fs_unlink(): that are left */
};
/* With IS_DIR: rmdir. */
DVS_MUST_USE dvs_err fs_unlink(struct fs *fs, const struct fs_who *who, uint64_t parent,
			       struct fs_name name, bool is_dir, struct fs_concerned *concerned);
DVS_MUST_USE dvs_err fs_rename(struct fs *fs, const struct fs_who *who, uint64_t parent,
			       struct fs_name name, uint64_t new_parent, struct fs_name new_name,
			       uint32_t flags, struct fs_concerned *concerned);
/* Only the number, without asking whether one may: for recalls before a change. NOTFOUND. */
DVS_MUST_USE dvs_err fs_peek(struct fs *fs, uint64_t parent, struct fs_name name, uint64_t *ino);
DVS_MUST_USE dvs_err fs_readlink(struct fs *fs, uint64_t ino, char target[FS_TARGET_MAX + 1],
				 size_t *len);
struct fs_name_entry {
	uint64_t ino;
	uint64_t cookie;
	uint8_t kind;
	struct fs_name name;
};
/* Calls EACH for the entries behind COOKIE until it returns false or there are no more (*END). EACH must not change anything. */
DVS_MUST_USE dvs_err fs_readdir(struct fs *fs, uint64_t ino, uint64_t cookie,
				bool (*each)(void *context, const struct fs_name_entry *entry),
				void *context, bool *end);

/* ---- attributes ---- */
DVS_MUST_USE dvs_err fs_getattr(struct fs *fs, uint64_t ino, struct fs_attr *attr);
/* CAN_WRITE: an open file says so; then the size can be changed without the right. A change of size changes the contents (file*.c). */
DVS_MUST_USE dvs_err fs_setattr(struct fs *fs, const struct fs_who *who, uint64_t ino,
				const struct fs_change *change, bool can_write,
				struct fs_attr *attr);
/* MASK: 4 read, 2 write, 1 execute or search. NOACCESS. */
DVS_MUST_USE dvs_err fs_access(struct fs *fs, const struct fs_who *who, uint64_t ino,
			       uint32_t mask);
/* Whether WHO may open INO with these flags of open(2). */
DVS_MUST_USE dvs_err fs_may_open(struct fs *fs, const struct fs_who *who, uint64_t ino,
				 uint32_t flags, struct fs_attr *attr);
/* *VALUE is valid until the next call. */
DVS_MUST_USE dvs_err fs_getxattr(struct fs *fs, const struct fs_who *who, uint64_t ino,
				 struct fs_name name, const void **value, size_t *len);
DVS_MUST_USE dvs_err fs_setxattr(struct fs *fs, const struct fs_who *who, uint64_t ino,
				 struct fs_name name, const void *value, size_t len,
				 uint32_t flags);
/* Names, each ended by a zero byte; *NAMES is valid until the next call. Names of trusted.* only for who may. */
DVS_MUST_USE dvs_err fs_listxattr(struct fs *fs, const struct fs_who *who, uint64_t ino,
				  const char **names, size_t *len);
DVS_MUST_USE dvs_err fs_removexattr(struct fs *fs, const struct fs_who *who, uint64_t ino,
				    struct fs_name name);
void fs_statfs(struct fs *fs, struct fs_statfs_rep *rep);

/* ---- contents (file*.c) ----
 * A quick medium is read and written here; of another one these give the runs, and workers move the data: see struct fs_run. */
#define FS_RUNS_MAX 64u
struct fs_run {
	uint64_t
		bytes; /* of the file; the sum of all is what was asked for, cut at the end of the file, and where there is no room for more runs */
	uint64_t place; /* byte of the medium; 0: zeroes */
};
/* Where bytes OFFSET and on are, up to FS_RUNS_MAX runs. Contents that stand in the row: *INLINE_DATA, valid until the next call, and no runs. */
DVS_MUST_USE dvs_err fs_map(struct fs *fs, uint64_t ino, uint64_t offset, size_t bytes,
			    struct fs_run runs[FS_RUNS_MAX], uint32_t *n_runs,
			    const void **inline_data, size_t *inline_bytes);
/* Read through fs_map(); *GOT is less than BYTES only at the end. */
DVS_MUST_USE dvs_err fs_read(struct fs *fs, uint64_t ino, uint64_t offset, void *buffer,
			     size_t bytes, size_t *got);
/* The access time is changed as relatime says, in memory; it is written with the next change. */
void fs_was_read(struct fs *fs, uint64_t ino);
/* Write, in a change set: data goes to the medium first. *DONE bytes of it (fewer: no space for the rest). DROP: set-id bits go (the writer may not keep them). *MUST_SYNC as in fsimage_alloc(). */
DVS_MUST_USE dvs_err fs_write(struct fs *fs, uint64_t ino, uint64_t offset, const void *data,
			      size_t bytes, bool drop, size_t *done, struct fs_attr *attr,
			      bool *must_sync);
DVS_MUST_USE dvs_err fs_truncate(struct fs *fs, uint64_t ino, uint64_t bytes);
DVS_MUST_USE dvs_err fs_allocate(struct fs *fs, uint64_t ino, uint32_t mode, uint64_t offset,
				 uint64_t bytes, struct fs_attr *attr, bool *must_sync);
#define FS_SEEK_DATA 3u
#define FS_SEEK_HOLE 4u
/* NODATA. Space that was given and not written is a hole. */
DVS_MUST_USE dvs_err fs_seek(struct fs *fs, uint64_t ino, uint32_t whence, uint64_t offset,
			     uint64_t *found);
DVS_MUST_USE dvs_err fs_copy(struct fs *fs, uint64_t from, uint64_t from_offset, uint64_t to,
			     uint64_t to_offset, uint64_t bytes, uint64_t *done,
			     struct fs_attr *attr, bool *must_sync);

/* ---- the whole ---- */
DVS_MUST_USE dvs_err fs_set_quota(struct fs *fs, uint64_t bytes, uint64_t files);
void fs_get_quota(const struct fs *fs, uint64_t *bytes, uint64_t *files);
/* Compare everything: names, link counts, extents, space. FOUND gets sentences. REPAIR within a change set. */
DVS_MUST_USE dvs_err fs_check(struct fs *fs, bool repair,
			      void (*found)(void *context, const char *text), void *context,
			      uint32_t *n_repaired);

/* ---- what survives the server: sessions and answers (remember.c) ---- */
struct fs_session_row {
	uint64_t session;
	uint64_t ep; /* dvs_ep of who began it */
	uint32_t node;
};
DVS_MUST_USE dvs_err fs_session_add(struct fs *fs, const struct fs_session_row *row);
DVS_MUST_USE dvs_err fs_session_remove(struct fs *fs, uint64_t session);
/* The first behind SESSION; NOTFOUND: that was all. */
DVS_MUST_USE dvs_err fs_session_next(struct fs *fs, uint64_t session, struct fs_session_row *row);
#define FS_ANSWER_MAX 256u
/* In the change set of what is answered: the answer to call CALL of CLIENT replaces the one before. */
DVS_MUST_USE dvs_err fs_answer_keep(struct fs *fs, uint64_t client, uint32_t call,
				    const void *answer, size_t bytes);
/* NOTFOUND. */
DVS_MUST_USE dvs_err fs_answer_find(struct fs *fs, uint64_t client, uint32_t call, void *answer,
				    size_t *bytes);
DVS_MUST_USE dvs_err fs_answer_forget(struct fs *fs, uint64_t client);
/* The first client behind CLIENT that has an answer; NOTFOUND: that was all. */
DVS_MUST_USE dvs_err fs_answer_next(struct fs *fs, uint64_t client, uint64_t *next);

#endif
