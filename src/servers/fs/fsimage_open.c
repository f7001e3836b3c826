/* SPDX-License-Identifier: Apache-2.0 */
/* Images are made, opened, grown and closed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "servers/fs/fsimage_internal.h"

#define LOG_BYTES_MIN (UINT64_C(1) << 20)
#define LOG_BYTES_MAX (UINT64_C(64) << 20)

static struct fsimage *image_new(struct medium *medium, const struct image_super *super)
{
	struct fsimage *image = calloc(1, sizeof(*image));

	if (!image)
		return NULL;
	image->medium = medium;
	image->super = *super;
	image->log_limit = super->bytes / 64;
	if (image->log_limit < LOG_BYTES_MIN)
		image->log_limit = LOG_BYTES_MIN;
	if (image->log_limit > LOG_BYTES_MAX)
		image->log_limit = LOG_BYTES_MAX;
	image->log_chunks =
		(uint32_t)((2 * image->log_limit + super->chunk_bytes - 1) / super->chunk_bytes);
	if (fsimage_map_init(image) == DVS_OK && fsimage_vfs_register(image) == DVS_OK)
		return image;
	fsimage_map_free(image);
	free(image);
	return NULL;
}

/* The medium stays. */
static void image_free(struct fsimage *image)
{
	fsimage_db_close(image);
	fsimage_vfs_unregister(image);
	fsimage_map_free(image);
	free(image);
}

/* ---- making ---- */

static dvs_err write_state(struct fsimage *image, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(image->db, sql, -1, &statement, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(statement, 1, (sqlite3_int64)image->over);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_blob(statement, 2, image->medium->incarnation,
				       sizeof(image->medium->incarnation), SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	(void)sqlite3_finalize(statement);
	return fsimage_sql(image, rc);
}

static dvs_err make_database(struct fsimage *image, const char *schema, char *why)
{
	dvs_err err = fsimage_map_extend(image, LOG_FILE(image), image->log_chunks);

	/* What another image has left there could be taken for a log. */
	if (err == DVS_OK)
		err = fsimage_log_clear(image);
	if (err == DVS_OK)
		err = fsimage_db_open(image, why);
	if (err == DVS_OK)
		err = fsimage_db_run(image, "BEGIN");
	if (err == DVS_OK)
		err = fsimage_db_run(image, fsimage_own_schema);
	if (err == DVS_OK)
		err = write_state(image, "INSERT INTO fsimage_state VALUES(1, ?1, ?2)");
	if (err == DVS_OK)
		err = fsimage_db_run(image, schema);
	if (err == DVS_OK)
		err = fsimage_db_run(image, "COMMIT");
	if (err == DVS_OK)
		err = fsimage_flush(image);
	if (err == DVS_OK)
		err = fsimage_checkpoint(image);
	return err == DVS_OK ? fsimage_flush(image) : err;
}

dvs_err fsimage_create(struct medium *medium, const struct fsimage_options *options,
		       const char *schema, char *why)
{
	static const uint8_t nothing[16];
	struct image_super super = { 0 };
	struct fsimage *image;
	dvs_err err;

	if (medium->bytes < FSIMAGE_BYTES_MIN) {
		medium_why(why, "a file system needs at least %u MiB",
			   (unsigned int)(FSIMAGE_BYTES_MIN >> 20));
		return DVS_NOSPACE;
	}
	fsimage_super_layout(&super, medium->bytes);
	memcpy(super.id, options->id, sizeof(super.id));
	memcpy(super.label, options->label, sizeof(super.label) - 1);
	if (memcmp(super.id, nothing, sizeof(super.id)) == 0 &&
	    getrandom(super.id, sizeof(super.id), 0) != (ssize_t)sizeof(super.id))
		return DVS_IO;
	image = image_new(medium, &super);
	if (!image)
		return DVS_NOMEM;
	image->is_making = true;
	if (why)
		why[0] = '\0';
	err = fsimage_super_wipe(medium);
	if (err == DVS_OK)
		err = fsimage_map_wipe(medium);
	if (err == DVS_OK)
		err = make_database(image, schema, why);
	/* Only now it is one. */
	if (err == DVS_OK)
		err = fsimage_super_write(medium, &image->super);
	if (err != DVS_OK && why && why[0] == '\0')
		medium_why(why, "cannot make the file system: %s",
			   image->broken[0] ? image->broken : dvs_strerror(err));
	image_free(image);
	return err;
}

/* ---- opening ---- */

/* For all pages that it has: a power cut may have kept what is in the log, and not the map with the room for it. Only now it is known which chunks are nobody's. */
static dvs_err room_for_database(struct fsimage *image, char *why)
{
	sqlite3_stmt *statement = NULL;
	int64_t pages = 0;
	dvs_err err;
	int rc = sqlite3_prepare_v2(image->db, "PRAGMA page_count", -1, &statement, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		pages = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	err = fsimage_sql(image, rc);
	if (err == DVS_OK && (pages <= 0 || (uint64_t)pages > image->super.bytes / BLOCK))
		err = DVS_CORRUPT;
	if (err == DVS_OK)
		err = fsimage_vfs_reach(image, (uint64_t)pages);
	if (err != DVS_OK)
		medium_why(why, "the database is damaged: %s", dvs_strerror(err));
	return err;
}

static dvs_err read_state(struct fsimage *image, bool *is_same)
{
	sqlite3_stmt *statement = NULL;
	dvs_err err = DVS_CORRUPT;
	int rc = sqlite3_prepare_v2(image->db,
				    "SELECT over, incarnation FROM fsimage_state WHERE one = 1", -1,
				    &statement, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW) {
		int64_t over = sqlite3_column_int64(statement, 0);
		const void *incarnation = sqlite3_column_blob(statement, 1);
		int bytes = sqlite3_column_bytes(statement, 1);

		image->over = (uint64_t)over;
		*is_same = bytes == sizeof(image->medium->incarnation) && incarnation &&
			   memcmp(incarnation, image->medium->incarnation, (size_t)bytes) == 0;
		err = over >= 0 && over < INT64_MAX / 2 ? DVS_OK : DVS_CORRUPT;
	} else if (rc != SQLITE_DONE) {
		err = fsimage_sql(image, rc);
	}
	(void)sqlite3_finalize(statement);
	return err;
}

/* What the former incarnation had not flushed may be lost, in any order, while the log is there as far as it goes. So data of the epoch that was not over count as never written. With that the epoch is over. */
static dvs_err forget_lost(struct fsimage *image)
{
	sqlite3_stmt *statement = NULL;
	dvs_err err = fsimage_begin(image);
	int rc;

	if (err != DVS_OK)
		return err;
	rc = sqlite3_prepare_v2(image->db,
				"UPDATE extents SET is_unwritten = 1, epoch = 0 WHERE epoch > ?1",
				-1, &statement, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(statement, 1, (sqlite3_int64)image->over);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	(void)sqlite3_finalize(statement);
	err = fsimage_sql(image, rc);
	image->over++;
	if (err == DVS_OK)
		err = write_state(image, "UPDATE fsimage_state SET over = ?1, incarnation = ?2"
					 " WHERE one = 1");
	if (err != DVS_OK) {
		fsimage_rollback(image);
		return err;
	}
	return fsimage_commit(image);
}

/* After a crash or without one: the log is carried over, and begins anew. */
static dvs_err take_up(struct fsimage *image, char *why)
{
	bool is_same = false;
	dvs_err err = read_state(image, &is_same);

	if (err == DVS_OK && !is_same)
		err = forget_lost(image);
	image->is_epoch_used = is_same;
	image->is_dirty = is_same;
	if (err == DVS_OK)
		err = fsimage_flush(image);
	if (err == DVS_OK)
		err = fsimage_checkpoint(image);
	if (err == DVS_OK && image->medium->is_volatile)
		err = fsimage_log_clear(image); /* it is not used */
	if (err == DVS_OK && LOG_FILE(image)->high != 0)
		err = DVS_CORRUPT;
	if (err != DVS_OK)
		medium_why(why, "cannot take up what was going on: %s",
			   image->broken[0] ? image->broken : dvs_strerror(err));
	return err;
}

dvs_err fsimage_open(struct medium *medium, const char *schema, struct log *log,
		     struct fsimage **opened, char *why)
{
	struct image_super super;
	struct fsimage *image;
	dvs_err err = fsimage_super_read(medium, &super, why);

	if (err != DVS_OK)
		return err;
	image = image_new(medium, &super);
	if (!image) {
		medium_why(why, "out of memory");
		return DVS_NOMEM;
	}
	image->map_is_flushed = false;
	err = fsimage_map_read(image, why);
	if (err == DVS_OK)
		err = fsimage_db_open(image, why);
	if (err == DVS_OK)
		err = fsimage_db_verify(image, schema, why);
	if (err == DVS_OK)
		err = fsimage_db_prepare(image, why);
	if (err == DVS_OK)
		err = fsimage_space_load(image, why);
	if (err == DVS_OK)
		err = room_for_database(image, why);
	if (err == DVS_OK)
		err = take_up(image, why);
	if (err != DVS_OK) {
		image_free(image);
		return err;
	}
	image->log = log;
	*opened = image;
	return DVS_OK;
}

void fsimage_close(struct fsimage *image, bool in_order)
{
	struct medium *medium;

	if (!image)
		return;
	medium = image->medium;
	if (image->is_changing)
		fsimage_rollback(image);
	/* Who cannot write it does not lose more than by a crash; it was said in the log. */
	if (in_order && !image->broken[0] && fsimage_sync(image) == DVS_OK)
		(void)!fsimage_checkpoint(image);
	image_free(image);
	medium_close(medium);
}

dvs_err fsimage_grow(struct fsimage *image)
{
	struct image_super super = image->super;
	uint64_t bytes;
	dvs_err err;

	if (image->broken[0])
		return DVS_READONLY;
	err = medium_grown(image->medium);
	if (err != DVS_OK)
		return err;
	bytes = image->medium->bytes < FSIMAGE_BYTES_MAX ? image->medium->bytes : FSIMAGE_BYTES_MAX;
	super.bytes = bytes - bytes % super.chunk_bytes;
	if (super.bytes <= image->super.bytes)
		return DVS_OK;
	err = fsimage_super_write(image->medium, &super);
	if (err != DVS_OK) {
		fsimage_break(image, "the superblock could not be written: %s", dvs_strerror(err));
		return err;
	}
	err = fsimage_map_resize(image, super.bytes);
	if (err == DVS_OK)
		image->super = super;
	return err;
}

/* ---- looking ---- */

sqlite3 *fsimage_db(struct fsimage *image)
{
	return image->db;
}

struct medium *fsimage_medium(struct fsimage *image)
{
	return image->medium;
}

void fsimage_look(struct fsimage *image, struct fsimage_figures *figures)
{
	uint32_t reserve = fsimage_map_reserve(image);
	uint64_t chunks = image->n_nobodys > reserve ? image->n_nobodys - reserve : 0;
	uint64_t blocks = image->space.free_blocks + image->space.freed_blocks;

	*figures = (struct fsimage_figures){
		.bytes = image->super.bytes,
		.meta_bytes = (uint64_t)(1 + DB_FILE(image)->n_chunks + LOG_FILE(image)->n_chunks) *
			      image->super.chunk_bytes,
		.free_bytes = blocks * BLOCK + chunks * image->super.chunk_bytes,
		.commits = image->n_commits,
		.flushes = image->n_flushes,
		.epoch = image->over + 1,
	};
	memcpy(figures->id, image->super.id, sizeof(figures->id));
	memcpy(figures->label, image->super.label, sizeof(figures->label));
}
