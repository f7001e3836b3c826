/* SPDX-License-Identifier: Apache-2.0 */
/* An open image, and what its parts ask of one another.
 *
 * On the medium: chunk 0 has the superblock (first and last block of its first MiB) and the map (two rooms). Each other chunk is of the database, of its log, of data, or nobody's. The map has only the first two: which chunks are of data
 * is in the database, so that taking one is part of a change set. What goes back from data, or from the log, is nobody's only after a flush; so whatever a power cut leaves of map and log, no chunk has two owners. */
#ifndef SERVERS_FS_FSIMAGE_INTERNAL_H
#define SERVERS_FS_FSIMAGE_INTERNAL_H

#include "servers/fs/fsimage.h"
#include "servers/fs/medium_internal.h"

#define BLOCK MEDIUM_BLOCK_BYTES
#define CHUNK_BYTES_MIN (1u << 20)
#define CHUNK_BYTES_MAX (64u << 20)
#define HEAD_BYTES (1u << 20) /* superblocks and maps */
#define MAP_ROOM_BYTES (256u << 10)
#define WINDOW_BYTES (256u << 10)
#define FREED_AT_ONCE 4096u /* runs that one change set makes free again */

enum chunk_owner { CHUNK_NOBODY, CHUNK_HEAD, CHUNK_DB, CHUNK_LOG, CHUNK_DATA };

struct image_super {
	uint64_t generation;
	uint8_t id[16];
	char label[64];
	uint64_t bytes; /* in use; whole chunks */
	uint32_t chunk_bytes;
};

/* A file of SQLite's in chunks, with the part that was written last in memory (the window), so that the medium gets large requests of whole blocks. */
struct image_file {
	enum chunk_owner owner;
	uint32_t n_chunks;
	uint32_t chunks_room;
	uint32_t *chunk;
	uint64_t high; /* nothing that counts is behind it */
	uint64_t at;   /* of the window's first byte: a whole block */
	uint32_t len;  /* bytes in the window that are as they should be */
	uint32_t dirty_from, dirty_to;
	uint8_t *window;
};

/* What a rollback takes back. */
struct image_space {
	uint64_t free_blocks;  /* in free runs */
	uint64_t freed_blocks; /* that wait for the end of their epoch */
	uint64_t cursor;
};

enum image_statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_ROLLBACK,
	ST_OVER,
	ST_RUN_AT,   /* the free run that ends behind a block, and the ones after it */
	ST_RUN_ENDS, /* the one that ends at a block */
	ST_RUN_ADD,
	ST_RUN_SET,
	ST_RUN_DROP,
	ST_FREED_ADD,
	ST_FREED_OVER,
	ST_FREED_DROP,
	ST_CHUNK_ADD,
	ST_CHUNK_DROP,
	ST_N,
};

struct fsimage {
	struct medium *medium;
	struct log *log;
	sqlite3 *db;
	sqlite3_vfs vfs;
	char vfs_name[32];
	sqlite3_stmt *statement[ST_N];
	struct image_super super;
	uint64_t map_generation;
	bool map_is_flushed;
	uint8_t *map_room; /* to encode it */
	uint8_t *owner;	   /* enum chunk_owner of each chunk */
	uint32_t n_chunks;
	uint32_t n_nobodys;
	uint64_t db_pages;	    /* that the database has or had room for */
	uint32_t log_chunks;	    /* that the log has when it is empty */
	uint64_t log_limit;	    /* bytes; then it is carried over */
	struct image_file files[2]; /* database, log */
	struct image_space space, space_before;
	uint32_t *taken; /* chunks that this change set made data */
	uint32_t n_taken, taken_room;
	uint64_t over;	    /* the last epoch that is over, durably */
	bool is_epoch_used; /* data were written or freed in it */
	bool is_dirty;
	bool is_changing;
	bool is_freeing; /* in this change set: it may take the last pages */
	bool is_making;
	dvs_err medium_err; /* of the last request of SQLite's to the medium */
	char broken[MEDIUM_WHY_MAX + 1];
	int changes_before;
	uint64_t n_commits, n_flushes;
};

#define DB_FILE(image) (&(image)->files[0])
#define LOG_FILE(image) (&(image)->files[1])

static inline uint64_t image_chunk_blocks(const struct fsimage *image)
{
	return image->super.chunk_bytes / BLOCK;
}

/* medium_flush(), counted; an error breaks the image. */
DVS_MUST_USE dvs_err fsimage_flush(struct fsimage *image);

/* ---- fsimage_super.c ---- */
void fsimage_super_layout(struct image_super *super, uint64_t medium_bytes);
/* First the one copy, then the other one, flushed in between. */
DVS_MUST_USE dvs_err fsimage_super_write(struct medium *medium, struct image_super *super);
DVS_MUST_USE dvs_err fsimage_super_read(struct medium *medium, struct image_super *super,
					char *why);
DVS_MUST_USE dvs_err fsimage_super_wipe(struct medium *medium);

/* ---- fsimage_map.c ---- */
/* Of an image without any chunks in use but the head's. */
DVS_MUST_USE dvs_err fsimage_map_init(struct fsimage *image);
void fsimage_map_free(struct fsimage *image);
DVS_MUST_USE dvs_err fsimage_map_read(struct fsimage *image, char *why);
DVS_MUST_USE dvs_err fsimage_map_wipe(struct medium *medium);
DVS_MUST_USE dvs_err fsimage_map_write(struct fsimage *image);
/* N chunks more for FILE, in the map on the medium, too. NOSPACE. */
DVS_MUST_USE dvs_err fsimage_map_extend(struct fsimage *image, struct image_file *file, uint32_t n);
/* The log has only N chunks from now on: the others are nobody's. Flushes. */
DVS_MUST_USE dvs_err fsimage_map_shorten(struct fsimage *image, struct image_file *file,
					 uint32_t n);
void fsimage_map_own(struct fsimage *image, uint32_t chunk, enum chunk_owner owner);
/* Chunks that data leave to the database. */
uint32_t fsimage_map_reserve(const struct fsimage *image);
DVS_MUST_USE dvs_err fsimage_map_resize(struct fsimage *image, uint64_t bytes);

/* ---- fsimage_file.c ---- */
uint64_t fsimage_file_room(const struct fsimage *image, const struct image_file *file);
/* What is behind the room reads as zeroes: *IS_SHORT. */
DVS_MUST_USE dvs_err fsimage_file_read(struct fsimage *image, struct image_file *file,
				       uint64_t offset, void *buffer, size_t bytes, bool *is_short);
DVS_MUST_USE dvs_err fsimage_file_write(struct fsimage *image, struct image_file *file,
					uint64_t offset, const void *data, size_t bytes);
/* What is in the window only goes to the medium. */
DVS_MUST_USE dvs_err fsimage_file_put(struct fsimage *image, struct image_file *file);
/* The log is empty, durably. */
DVS_MUST_USE dvs_err fsimage_log_clear(struct fsimage *image);

/* ---- fsimage_vfs.c ---- */
DVS_MUST_USE dvs_err fsimage_vfs_register(struct fsimage *image);
void fsimage_vfs_unregister(struct fsimage *image);
/* The database has so many pages: there is room for all. NOSPACE. */
DVS_MUST_USE dvs_err fsimage_vfs_reach(struct fsimage *image, uint64_t pages);

/* ---- fsimage_db.c ---- */
DVS_MUST_USE dvs_err fsimage_db_open(struct fsimage *image, char *why);
void fsimage_db_close(struct fsimage *image);
DVS_MUST_USE dvs_err fsimage_db_prepare(struct fsimage *image, char *why);
DVS_MUST_USE dvs_err fsimage_db_run(struct fsimage *image, const char *sql);
/* Bind up to three integers, step once, reset. */
DVS_MUST_USE dvs_err fsimage_db_do(struct fsimage *image, enum image_statement which, int64_t a,
				   int64_t b, int64_t c);
/* The tables are as this program makes them, and nothing is there that acts by itself. */
DVS_MUST_USE dvs_err fsimage_db_verify(struct fsimage *image, const char *schema, char *why);
extern const char fsimage_own_schema[];

/* ---- fsimage_change.c ---- */
/* Carry the log over into the database, when nothing in it waits for a flush any more. Done later if somebody reads. */
DVS_MUST_USE dvs_err fsimage_checkpoint(struct fsimage *image);

/* ---- fsimage_space.c ---- */
DVS_MUST_USE dvs_err fsimage_space_load(struct fsimage *image, char *why);
/* Runs that were freed in epochs up to EPOCH are free: at most MAX. */
DVS_MUST_USE dvs_err fsimage_space_ripen(struct fsimage *image, uint64_t epoch, uint32_t max,
					 uint32_t *n_done);
/* Give empty chunks of data to nobody, if the database is short of them: in this change set *N chunks of CHUNK[], which are nobody's after a flush. */
DVS_MUST_USE dvs_err fsimage_space_return(struct fsimage *image, uint32_t *chunk, uint32_t max,
					  uint32_t *n);
/* One run becomes free. CORRUPT: it is already. */
DVS_MUST_USE dvs_err fsimage_space_add(struct fsimage *image, uint64_t start, uint64_t blocks);

#endif
