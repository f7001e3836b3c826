/* SPDX-License-Identifier: Apache-2.0 */
/* Change sets and their durability. A change set is a transaction of SQLite's; committed means: its pages are in the log, in the medium. fsimage_sync() then needs two flushes: after the first one all that was committed and all data are on
 * stable storage, and only then may the log say that the epoch is over, which is durable after the second. The log's pages go to their places in the database when it has become long, right after such a sync, since then nothing
 * in it waits for a flush. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "servers/fs/fsimage_internal.h"

#define RETURNED_AT_ONCE 64u

void fsimage_break(struct fsimage *image, const char *format, ...)
{
	va_list args;

	if (image->broken[0])
		return;
	va_start(args, format);
	(void)vsnprintf(image->broken, sizeof(image->broken), format, args);
	va_end(args);
	if (image->log)
		log_error(image->log, "nothing can be changed in the file system any more",
			  LOG_STR("why", image->broken));
}

dvs_err fsimage_flush(struct fsimage *image)
{
	dvs_err err;

	if (image->broken[0])
		return DVS_IO;
	err = medium_flush(image->medium);
	image->n_flushes++;
	if (err == DVS_OK)
		image->map_is_flushed = true;
	else
		fsimage_break(image, "the medium could not be flushed: %s", dvs_strerror(err));
	return err;
}

/* ---- change sets ---- */

dvs_err fsimage_begin(struct fsimage *image)
{
	dvs_err err;

	assert(!image->is_changing);
	if (image->broken[0])
		return DVS_READONLY;
	err = fsimage_db_do(image, ST_BEGIN, 0, 0, 0);
	if (err != DVS_OK)
		return err;
	image->is_changing = true;
	image->is_freeing = false;
	image->n_taken = 0;
	image->space_before = image->space;
	image->changes_before = sqlite3_total_changes(image->db);
	return DVS_OK;
}

void fsimage_rollback(struct fsimage *image)
{
	assert(image->is_changing);
	/* After some errors SQLite has done it itself. */
	if (!sqlite3_get_autocommit(image->db) &&
	    fsimage_db_do(image, ST_ROLLBACK, 0, 0, 0) != DVS_OK)
		fsimage_break(image, "a change could not be taken back: %s",
			      sqlite3_errmsg(image->db));
	while (image->n_taken > 0)
		fsimage_map_own(image, image->taken[--image->n_taken], CHUNK_NOBODY);
	image->space = image->space_before;
	image->is_changing = false;
}

static dvs_err commit(struct fsimage *image)
{
	dvs_err err;

	assert(image->is_changing);
	/* Without a transaction: an error has ended it before. */
	err = sqlite3_get_autocommit(image->db) ? DVS_IO : fsimage_db_do(image, ST_COMMIT, 0, 0, 0);
	if (err != DVS_OK) {
		fsimage_rollback(image);
		return err;
	}
	image->is_changing = false;
	image->n_commits++;
	if (sqlite3_total_changes(image->db) != image->changes_before)
		image->is_dirty = true;
	return DVS_OK;
}

dvs_err fsimage_commit(struct fsimage *image)
{
	dvs_err err = commit(image);

	/* It is committed, whatever becomes of this: an error there ends later changes. */
	if (err == DVS_OK && LOG_FILE(image)->high > image->log_limit &&
	    fsimage_sync(image) != DVS_OK)
		assert(image->broken[0]);
	return err;
}

bool fsimage_is_changing(const struct fsimage *image)
{
	return image->is_changing;
}

/* ---- durability ---- */

dvs_err fsimage_checkpoint(struct fsimage *image)
{
	int rc = sqlite3_wal_checkpoint_v2(image->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	dvs_err err = fsimage_sql(image, rc);

	/* Somebody reads: the next time. */
	if (err == DVS_BADSTATE)
		return DVS_OK;
	if (err != DVS_OK)
		fsimage_break(image, "the log could not be carried over: %s", dvs_strerror(err));
	return err;
}

/* The change set that ends an epoch. */
static dvs_err say_over(struct fsimage *image, uint32_t ripen, uint32_t *chunk, uint32_t *n)
{
	uint64_t epoch = image->over + 1;
	uint32_t n_done;
	dvs_err err = fsimage_begin(image);

	*n = 0;
	if (err != DVS_OK)
		return err;
	image->is_freeing = true;
	err = fsimage_db_do(image, ST_OVER, (int64_t)epoch, 0, 0);
	if (err == DVS_OK && ripen > 0)
		err = fsimage_space_ripen(image, epoch, ripen, &n_done);
	if (err == DVS_OK && ripen > 0)
		err = fsimage_space_return(image, chunk, RETURNED_AT_ONCE, n);
	if (err == DVS_OK)
		return commit(image);
	fsimage_rollback(image);
	return err;
}

static dvs_err end_epoch(struct fsimage *image)
{
	uint32_t chunk[RETURNED_AT_ONCE];
	uint32_t n = 0;
	dvs_err err = say_over(image, FREED_AT_ONCE, chunk, &n);

	/* What is full may not be so in its smallest form, or without what is in the log. */
	if (err == DVS_NOSPACE)
		err = say_over(image, 0, chunk, &n);
	if (err == DVS_NOSPACE) {
		err = fsimage_checkpoint(image);
		if (err == DVS_OK)
			err = say_over(image, 0, chunk, &n);
	}
	if (err == DVS_OK)
		err = fsimage_flush(image);
	if (err != DVS_OK) {
		fsimage_break(image, "an epoch could not be ended: %s", dvs_strerror(err));
		return err;
	}
	image->over++;
	image->is_epoch_used = false;
	for (uint32_t i = 0; i < n; i++)
		fsimage_map_own(image, chunk[i], CHUNK_NOBODY);
	return DVS_OK;
}

dvs_err fsimage_sync(struct fsimage *image)
{
	dvs_err err = DVS_OK;

	assert(!image->is_changing);
	if (image->broken[0])
		return DVS_IO;
	if (image->is_dirty || image->is_epoch_used) {
		err = fsimage_flush(image);
		if (err == DVS_OK && image->is_epoch_used)
			err = end_epoch(image);
		if (err == DVS_OK)
			image->is_dirty = false;
	}
	if (err == DVS_OK && LOG_FILE(image)->high > image->log_limit)
		err = fsimage_checkpoint(image);
	return err;
}

bool fsimage_is_dirty(const struct fsimage *image)
{
	return image->is_dirty || image->is_epoch_used;
}

const char *fsimage_why(const struct fsimage *image)
{
	return image->broken[0] ? image->broken : NULL;
}

bool fsimage_is_volatile(const struct fsimage *image)
{
	return image->medium->is_volatile;
}

uint64_t fsimage_epoch(const struct fsimage *image)
{
	return image->over + 1;
}

uint64_t fsimage_new_data(struct fsimage *image)
{
	assert(image->is_changing);
	image->is_epoch_used = true;
	return image->over + 1;
}

uint64_t fsimage_over(const struct fsimage *image)
{
	return image->over;
}
