/* SPDX-License-Identifier: Apache-2.0 */
/* Free blocks: runs as rows. Who says where it wants to go on gets that if it is free; all others get the next run behind the cursor that is large enough. */
#include <assert.h>
#include <stdlib.h>

#include "servers/fs/fsimage_internal.h"

#define LOOK_MAX 64u /* runs that are looked at before a smaller one will do */
#define RIPEN_AT_ONCE 256u

struct run {
	uint64_t start;
	uint64_t blocks;
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The run in STATEMENT's row. A damaged database may say anything. */
static dvs_err run_of(struct fsimage *image, sqlite3_stmt *statement, struct run *run)
{
	int64_t past = sqlite3_column_int64(statement, 0);
	int64_t blocks = sqlite3_column_int64(statement, 1);

	if (past > 0 && blocks > 0 && blocks <= past) {
		run->start = (uint64_t)(past - blocks);
		run->blocks = (uint64_t)blocks;
		if (fsimage_is_data(image, run->start, run->blocks))
			return DVS_OK;
	}
	fsimage_break(image, "a free run is in no chunk of data");
	return DVS_CORRUPT;
}

/* The free run that ends behind block AT, NOTFOUND. */
static dvs_err run_at(struct fsimage *image, uint64_t at, struct run *run)
{
	sqlite3_stmt *statement = image->statement[ST_RUN_AT];
	int rc = sqlite3_bind_int64(statement, 1, (sqlite3_int64)at);
	dvs_err err;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	err = rc == SQLITE_ROW	? run_of(image, statement, run) :
	      rc == SQLITE_DONE ? DVS_NOTFOUND :
				  fsimage_sql(image, rc);
	(void)sqlite3_reset(statement);
	return err;
}

/* Take N blocks from block AT on, which RUN has. */
static dvs_err take(struct fsimage *image, const struct run *run, uint64_t at, uint64_t n)
{
	int64_t past = (int64_t)(run->start + run->blocks);
	uint64_t behind = run->start + run->blocks - (at + n);
	dvs_err err;

	if (behind > 0)
		err = fsimage_db_do(image, ST_RUN_SET, past, (int64_t)behind, 0);
	else
		err = fsimage_db_do(image, ST_RUN_DROP, past, 0, 0);
	if (err == DVS_OK && at > run->start)
		err = fsimage_db_do(image, ST_RUN_ADD, (int64_t)at, (int64_t)(at - run->start), 0);
	if (err == DVS_OK)
		image->space.free_blocks -= n;
	return err;
}

static dvs_err add_run(struct fsimage *image, uint64_t start, uint64_t blocks)
{
	struct run before = { 0 };
	struct run behind = { 0 };
	uint64_t past = start + blocks;
	bool joins_before, joins_behind;
	dvs_err err = start > 0 ? run_at(image, start - 1, &before) : DVS_NOTFOUND;

	if (err != DVS_OK && err != DVS_NOTFOUND)
		return err;
	/* The one found covers the block before or begins behind it. */
	joins_before = err == DVS_OK && before.start + before.blocks == start;
	err = run_at(image, start, &behind);
	if (err != DVS_OK && err != DVS_NOTFOUND)
		return err;
	if (err == DVS_OK && behind.start < past) {
		fsimage_break(image, "a block was freed twice");
		return DVS_CORRUPT;
	}
	joins_behind = err == DVS_OK && behind.start == past;
	err = DVS_OK;
	if (joins_before) {
		blocks += before.blocks;
		err = fsimage_db_do(image, ST_RUN_DROP, (int64_t)start, 0, 0);
	}
	if (err == DVS_OK && joins_behind)
		return fsimage_db_do(image, ST_RUN_SET, (int64_t)(past + behind.blocks),
				     (int64_t)(blocks + behind.blocks), 0);
	return err == DVS_OK ? fsimage_db_do(image, ST_RUN_ADD, (int64_t)past, (int64_t)blocks, 0) :
			       err;
}

dvs_err fsimage_space_add(struct fsimage *image, uint64_t start, uint64_t blocks)
{
	dvs_err err = add_run(image, start, blocks);

	if (err == DVS_OK)
		image->space.free_blocks += blocks;
	return err;
}

/* ---- chunks ---- */

/* CHUNK, nobody's, is of data in this change set. */
static dvs_err take_chunk(struct fsimage *image, uint32_t chunk)
{
	dvs_err err;

	if (image->n_taken == image->taken_room) {
		uint32_t room = image->taken_room ? image->taken_room * 2 : 16;
		uint32_t *more = realloc(image->taken, room * sizeof(*more));

		if (!more)
			return DVS_NOMEM;
		image->taken = more;
		image->taken_room = room;
	}
	err = fsimage_db_do(image, ST_CHUNK_ADD, chunk, 0, 0);
	if (err != DVS_OK)
		return err;
	fsimage_map_own(image, chunk, CHUNK_DATA);
	image->taken[image->n_taken++] = chunk;
	return fsimage_space_add(image, chunk * image_chunk_blocks(image),
				 image_chunk_blocks(image));
}

static bool can_take(const struct fsimage *image)
{
	return image->n_nobodys > fsimage_map_reserve(image);
}

/* The first chunk from FROM on that is nobody's, around the end. */
static uint32_t next_nobodys(const struct fsimage *image, uint32_t from)
{
	for (uint32_t i = 0; i < image->n_chunks; i++) {
		uint32_t c = (from + i) % image->n_chunks;

		if (image->owner[c] == CHUNK_NOBODY)
			return c;
	}
	assert(!"counted wrong");
	return 0;
}

/* Chunks for BLOCKS blocks, as near behind the cursor as there are, as many in a row as there are: *AT is their first block. NOSPACE. */
static dvs_err take_chunks(struct fsimage *image, uint64_t blocks, uint64_t *at)
{
	uint64_t per_chunk = image_chunk_blocks(image);
	uint32_t first;

	if (!can_take(image))
		return DVS_NOSPACE;
	first = next_nobodys(image, (uint32_t)(image->space.cursor / per_chunk));
	*at = first * per_chunk;
	for (uint64_t had = 0; had < blocks; had += per_chunk) {
		uint64_t c = first + had / per_chunk;
		dvs_err err;

		if (c >= image->n_chunks || image->owner[c] != CHUNK_NOBODY || !can_take(image))
			break;
		err = take_chunk(image, (uint32_t)c);
		if (err != DVS_OK)
			return err;
	}
	return DVS_OK;
}

/* ---- allocation ---- */

/* Exactly at GOAL; NOTFOUND. A file that ends with its chunk goes on in the next one, if nobody has it. */
static dvs_err take_goal(struct fsimage *image, uint64_t goal, uint64_t blocks, uint64_t *got)
{
	uint64_t chunk = goal / image_chunk_blocks(image);
	struct run run = { 0 };
	dvs_err err;

	if (chunk >= image->n_chunks)
		return DVS_NOTFOUND;
	if (image->owner[chunk] == CHUNK_NOBODY && can_take(image)) {
		err = take_chunk(image, (uint32_t)chunk);
		if (err != DVS_OK)
			return err;
	}
	err = run_at(image, goal, &run);
	if (err == DVS_OK && run.start > goal)
		err = DVS_NOTFOUND;
	if (err != DVS_OK)
		return err;
	*got = least(blocks, run.start + run.blocks - goal);
	return take(image, &run, goal, *got);
}

/* Among the next LOOK_MAX runs behind AT: one with WANTED blocks there, else the largest. BEST.blocks 0: there is none at all. */
static dvs_err look(struct fsimage *image, uint64_t at, uint64_t wanted, struct run *best,
		    uint64_t *best_at)
{
	sqlite3_stmt *statement = image->statement[ST_RUN_AT];
	int rc = sqlite3_bind_int64(statement, 1, (sqlite3_int64)at);
	dvs_err err = DVS_OK;
	uint64_t most = 0;

	*best = (struct run){ 0 };
	for (uint32_t i = 0; rc == SQLITE_OK && i < LOOK_MAX && most < wanted; i++) {
		struct run run = { 0 };
		uint64_t from;

		rc = sqlite3_step(statement);
		if (rc != SQLITE_ROW)
			break;
		rc = SQLITE_OK;
		err = run_of(image, statement, &run);
		if (err != DVS_OK)
			break;
		from = run.start > at ? run.start : at;
		if (run.start + run.blocks - from > most) {
			most = run.start + run.blocks - from;
			*best = run;
			*best_at = from;
		}
	}
	(void)sqlite3_reset(statement);
	return err == DVS_OK ? fsimage_sql(image, rc) : err;
}

/* Somewhere. First where what is left alone fits, too; then in new chunks; then in what was left alone; then in whatever there is. */
static dvs_err take_anywhere(struct fsimage *image, uint64_t blocks, uint64_t ahead,
			     uint64_t *start, uint64_t *got)
{
	struct run run = { 0 };
	dvs_err err = look(image, image->space.cursor, blocks + ahead, &run, start);

	if (err == DVS_OK &&
	    (run.blocks == 0 || run.start + run.blocks - *start < blocks + ahead)) {
		err = take_chunks(image, blocks + ahead, start);
		if (err == DVS_NOSPACE)
			err = look(image, 0, blocks, &run, start);
		else if (err == DVS_OK)
			err = run_at(image, *start, &run);
	}
	if (err != DVS_OK)
		return err == DVS_NOTFOUND ? DVS_NOSPACE : err;
	if (run.blocks == 0)
		return DVS_NOSPACE;
	*got = least(blocks, run.start + run.blocks - *start);
	err = take(image, &run, *start, *got);
	if (err == DVS_OK)
		image->space.cursor = *start + *got + ahead;
	return err;
}

dvs_err fsimage_alloc(struct fsimage *image, uint64_t goal, uint64_t blocks, uint64_t ahead,
		      uint64_t *start, uint64_t *got, bool *must_sync)
{
	dvs_err err = DVS_NOTFOUND;

	assert(image->is_changing);
	assert(blocks > 0);
	*must_sync = false;
	*start = goal;
	image->is_epoch_used = true;
	if (goal > 0)
		err = take_goal(image, goal, blocks, got);
	if (err == DVS_NOTFOUND)
		err = take_anywhere(image, blocks, ahead, start, got);
	while (err == DVS_NOSPACE && image->space.freed_blocks > 0) {
		uint32_t n_done;

		err = fsimage_space_ripen(image, image->over, RIPEN_AT_ONCE, &n_done);
		if (err == DVS_OK && n_done == 0) {
			*must_sync = true;
			return DVS_NOSPACE;
		}
		if (err == DVS_OK)
			err = take_anywhere(image, blocks, 0, start, got);
	}
	return err;
}

dvs_err fsimage_free(struct fsimage *image, uint64_t start, uint64_t blocks)
{
	dvs_err err;

	assert(image->is_changing);
	if (!fsimage_is_data(image, start, blocks)) {
		fsimage_break(image, "a file has blocks that are in no chunk of data");
		return DVS_CORRUPT;
	}
	image->is_freeing = true;
	image->is_epoch_used = true;
	err = fsimage_db_do(image, ST_FREED_ADD, (int64_t)fsimage_epoch(image), (int64_t)start,
			    (int64_t)blocks);
	if (err == DVS_EXISTS) {
		fsimage_break(image, "a block was freed twice");
		return DVS_CORRUPT;
	}
	if (err == DVS_OK)
		image->space.freed_blocks += blocks;
	return err;
}

/* ---- after the epoch ---- */

/* Up to MAX runs that were freed in epochs up to EPOCH. */
static dvs_err ripe_runs(struct fsimage *image, uint64_t epoch, uint32_t max,
			 int64_t rows[RIPEN_AT_ONCE][3], uint32_t *n)
{
	sqlite3_stmt *statement = image->statement[ST_FREED_OVER];
	int rc = sqlite3_bind_int64(statement, 1, (sqlite3_int64)epoch);

	*n = 0;
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(statement, 2, max);
	while (rc == SQLITE_OK && *n < max) {
		rc = sqlite3_step(statement);
		if (rc != SQLITE_ROW)
			break;
		rc = SQLITE_OK;
		for (int i = 0; i < 3; i++)
			rows[*n][i] = sqlite3_column_int64(statement, i);
		++*n;
	}
	(void)sqlite3_reset(statement);
	return fsimage_sql(image, rc);
}

dvs_err fsimage_space_ripen(struct fsimage *image, uint64_t epoch, uint32_t max, uint32_t *n_done)
{
	int64_t rows[RIPEN_AT_ONCE][3];
	uint32_t n;
	dvs_err err = DVS_OK;

	*n_done = 0;
	do {
		uint32_t part = max - *n_done < RIPEN_AT_ONCE ? max - *n_done : RIPEN_AT_ONCE;

		err = ripe_runs(image, epoch, part, rows, &n);
		for (uint32_t i = 0; err == DVS_OK && i < n; i++) {
			uint64_t start = (uint64_t)rows[i][1], blocks = (uint64_t)rows[i][2];

			if (rows[i][1] < 0 || rows[i][2] <= 0 ||
			    !fsimage_is_data(image, start, blocks)) {
				fsimage_break(image, "a freed run is in no chunk of data");
				return DVS_CORRUPT;
			}
			err = fsimage_db_do(image, ST_FREED_DROP, rows[i][0], rows[i][1], 0);
			if (err == DVS_OK)
				err = fsimage_space_add(image, start, blocks);
			if (err == DVS_OK)
				image->space.freed_blocks -=
					least(blocks, image->space.freed_blocks);
		}
		*n_done += n;
	} while (err == DVS_OK && n > 0 && *n_done < max);
	return err;
}

/* One run that has a whole chunk from AT on: *CHUNK, NOTFOUND. */
static dvs_err whole_chunk(struct fsimage *image, uint64_t *at, uint32_t *chunk, struct run *run)
{
	uint64_t per_chunk = image_chunk_blocks(image);
	dvs_err err;

	while ((err = run_at(image, *at, run)) == DVS_OK) {
		uint64_t first = (run->start + per_chunk - 1) / per_chunk;

		*at = run->start + run->blocks;
		if ((first + 1) * per_chunk <= *at) {
			*chunk = (uint32_t)first;
			return DVS_OK;
		}
	}
	return err;
}

dvs_err fsimage_space_return(struct fsimage *image, uint32_t *chunk, uint32_t max, uint32_t *n)
{
	uint64_t per_chunk = image_chunk_blocks(image);
	uint32_t reserve = fsimage_map_reserve(image);
	uint64_t at = 0;

	*n = 0;
	if (image->space.free_blocks < per_chunk)
		return DVS_OK;
	while (*n < max && image->n_nobodys + *n < reserve) {
		struct run run = { 0 };
		dvs_err err = whole_chunk(image, &at, &chunk[*n], &run);

		if (err == DVS_NOTFOUND)
			return DVS_OK;
		if (err == DVS_OK)
			err = take(image, &run, chunk[*n] * per_chunk, per_chunk);
		if (err == DVS_OK)
			err = fsimage_db_do(image, ST_CHUNK_DROP, chunk[*n], 0, 0);
		if (err != DVS_OK)
			return err;
		++*n;
		/* What is left of the run may have another one. */
		at = run.start;
	}
	return DVS_OK;
}

/* ---- opening ---- */

static dvs_err load_chunks(struct fsimage *image)
{
	sqlite3_stmt *statement = NULL;
	dvs_err err = DVS_OK;
	int rc = sqlite3_prepare_v2(image->db, "SELECT chunk FROM fsimage_chunks", -1, &statement,
				    NULL);

	while (rc == SQLITE_OK && err == DVS_OK) {
		int64_t chunk;

		rc = sqlite3_step(statement);
		if (rc != SQLITE_ROW)
			break;
		rc = SQLITE_OK;
		chunk = sqlite3_column_int64(statement, 0);
		if (chunk < 0 || chunk >= image->n_chunks || image->owner[chunk] != CHUNK_NOBODY)
			err = DVS_CORRUPT;
		else
			fsimage_map_own(image, (uint32_t)chunk, CHUNK_DATA);
	}
	(void)sqlite3_finalize(statement);
	return err == DVS_OK ? fsimage_sql(image, rc) : err;
}

static dvs_err sum(struct fsimage *image, const char *sql, uint64_t *blocks)
{
	sqlite3_stmt *statement = NULL;
	int64_t got = -1;
	int rc = sqlite3_prepare_v2(image->db, sql, -1, &statement, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		got = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	/* A sum that overflows is an error of SQLite's. */
	if (rc != SQLITE_ROW)
		return rc == SQLITE_ERROR ? DVS_CORRUPT : fsimage_sql(image, rc);
	*blocks = (uint64_t)got;
	return got >= 0 && *blocks <= image->n_chunks * image_chunk_blocks(image) ? DVS_OK :
										    DVS_CORRUPT;
}

dvs_err fsimage_space_load(struct fsimage *image, char *why)
{
	dvs_err err = load_chunks(image);

	if (err == DVS_OK)
		err = sum(image, "SELECT coalesce(sum(blocks), 0) FROM fsimage_runs",
			  &image->space.free_blocks);
	if (err == DVS_OK)
		err = sum(image, "SELECT coalesce(sum(blocks), 0) FROM fsimage_freed",
			  &image->space.freed_blocks);
	if (err != DVS_OK)
		medium_why(why, "what the database says about space is damaged: %s",
			   dvs_strerror(err));
	return err;
}
