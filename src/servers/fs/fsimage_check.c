/* SPDX-License-Identifier: Apache-2.0 */
/* Each block of a chunk of data is a file's, free, or freed and waiting: exactly one of these. Bits for the blocks that were seen, chunk by chunk, so that chunks that one run has wholly need none. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "servers/fs/fsimage_internal.h"

#define SEEN_ALL ((uint8_t *)1)

struct seen {
	struct fsimage *image;
	struct fsimage_check *check;
	uint8_t **bits; /* of each chunk: NULL none, SEEN_ALL all, else a bit for each block */
};

static void say(struct fsimage_check *check, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct fsimage_check *check, const char *format, ...)
{
	char text[MEDIUM_WHY_MAX + 1];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	check->n_found++;
	if (check->found)
		check->found(check->context, text);
}

/* Blocks [FROM, TO) of CHUNK: how many were seen before. */
static dvs_err mark(struct seen *seen, uint64_t chunk, uint64_t from, uint64_t to, uint64_t *doubly)
{
	uint64_t per_chunk = image_chunk_blocks(seen->image);
	uint8_t **bits = &seen->bits[chunk];

	if (*bits == SEEN_ALL) {
		*doubly += to - from;
		return DVS_OK;
	}
	if (!*bits && from == 0 && to == per_chunk) {
		*bits = SEEN_ALL;
		return DVS_OK;
	}
	if (!*bits)
		*bits = calloc(1, per_chunk / 8);
	if (!*bits)
		return DVS_NOMEM;
	for (uint64_t i = from; i < to; i++) {
		uint8_t bit = (uint8_t)(1u << i % 8);

		*doubly += ((*bits)[i / 8] & bit) != 0;
		(*bits)[i / 8] |= bit;
	}
	return DVS_OK;
}

static dvs_err see(struct seen *seen, int64_t start, int64_t blocks, const char *whose, int64_t ino)
{
	uint64_t per_chunk = image_chunk_blocks(seen->image);
	uint64_t at = (uint64_t)start, n = (uint64_t)blocks, doubly = 0;
	dvs_err err = DVS_OK;

	if (start < 0 || blocks <= 0 || !fsimage_is_data(seen->image, at, n)) {
		say(seen->check,
		    "%s %lld has %lld blocks from %lld on, which are in no chunk of data", whose,
		    (long long)ino, (long long)blocks, (long long)start);
		return DVS_OK;
	}
	while (err == DVS_OK && n > 0) {
		uint64_t from = at % per_chunk;
		uint64_t part = n < per_chunk - from ? n : per_chunk - from;

		err = mark(seen, at / per_chunk, from, from + part, &doubly);
		at += part;
		n -= part;
	}
	if (doubly > 0)
		say(seen->check, "%s %lld: %llu of the %lld blocks from %lld on have another user",
		    whose, (long long)ino, (unsigned long long)doubly, (long long)blocks,
		    (long long)start);
	return err;
}

/* Rows of start, blocks, number. */
static dvs_err see_rows(struct seen *seen, const char *sql, const char *whose)
{
	sqlite3_stmt *statement = NULL;
	dvs_err err = DVS_OK;
	int rc = sqlite3_prepare_v2(seen->image->db, sql, -1, &statement, NULL);

	while (rc == SQLITE_OK && err == DVS_OK) {
		rc = sqlite3_step(statement);
		if (rc != SQLITE_ROW)
			break;
		rc = SQLITE_OK;
		err = see(seen, sqlite3_column_int64(statement, 0),
			  sqlite3_column_int64(statement, 1), whose,
			  sqlite3_column_int64(statement, 2));
	}
	(void)sqlite3_finalize(statement);
	return err == DVS_OK ? fsimage_sql(seen->image, rc) : err;
}

static bool is_seen(const struct seen *seen, uint64_t block)
{
	uint64_t per_chunk = image_chunk_blocks(seen->image);
	const uint8_t *bits = seen->bits[block / per_chunk];

	return bits == SEEN_ALL || (bits && (bits[block % per_chunk / 8] >> block % 8 & 1));
}

static dvs_err lost_run(struct seen *seen, uint64_t start, uint64_t blocks)
{
	dvs_err err;

	say(seen->check, "%llu blocks from %llu on are nobody's", (unsigned long long)blocks,
	    (unsigned long long)start);
	if (!seen->check->repair)
		return DVS_OK;
	err = fsimage_space_add(seen->image, start, blocks);
	if (err == DVS_OK)
		seen->check->n_repaired++;
	return err;
}

static dvs_err find_lost(struct seen *seen)
{
	struct fsimage *image = seen->image;
	uint64_t per_chunk = image_chunk_blocks(image);
	dvs_err err = DVS_OK;

	for (uint32_t c = 0; err == DVS_OK && c < image->n_chunks; c++) {
		uint64_t at = c * per_chunk, end = at + per_chunk;

		if (image->owner[c] != CHUNK_DATA || seen->bits[c] == SEEN_ALL)
			continue;
		while (err == DVS_OK && at < end) {
			uint64_t from;

			while (at < end && is_seen(seen, at))
				at++;
			from = at;
			while (at < end && !is_seen(seen, at))
				at++;
			if (at > from)
				err = lost_run(seen, from, at - from);
		}
	}
	return err;
}

/* ---- tables ---- */

static dvs_err check_extents(struct fsimage *image, struct fsimage_check *check)
{
	sqlite3_stmt *statement = NULL;
	int64_t ino = 0, past = 0;
	int rc = sqlite3_prepare_v2(image->db,
				    "SELECT ino, first, blocks, epoch FROM extents"
				    " ORDER BY ino, first",
				    -1, &statement, NULL);

	while (rc == SQLITE_OK) {
		int64_t first, blocks, epoch;

		rc = sqlite3_step(statement);
		if (rc != SQLITE_ROW)
			break;
		rc = SQLITE_OK;
		if (sqlite3_column_int64(statement, 0) != ino)
			past = 0;
		ino = sqlite3_column_int64(statement, 0);
		first = sqlite3_column_int64(statement, 1);
		blocks = sqlite3_column_int64(statement, 2);
		epoch = sqlite3_column_int64(statement, 3);
		if (first < past || blocks <= 0 || blocks > INT64_MAX / BLOCK - first ||
		    epoch < 0 || (uint64_t)epoch > fsimage_epoch(image))
			say(check, "file %lld: the extent at block %lld is impossible",
			    (long long)ino, (long long)first);
		else
			past = first + blocks;
	}
	(void)sqlite3_finalize(statement);
	return fsimage_sql(image, rc);
}

static dvs_err check_database(struct fsimage *image, struct fsimage_check *check)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(image->db, "PRAGMA integrity_check", -1, &statement, NULL);

	while (rc == SQLITE_OK) {
		const char *text;

		rc = sqlite3_step(statement);
		if (rc != SQLITE_ROW)
			break;
		rc = SQLITE_OK;
		text = (const char *)sqlite3_column_text(statement, 0);
		if (text && strcmp(text, "ok") != 0)
			say(check, "the database: %s", text);
	}
	(void)sqlite3_finalize(statement);
	return fsimage_sql(image, rc);
}

dvs_err fsimage_check(struct fsimage *image, struct fsimage_check *check)
{
	struct seen seen = { .image = image, .check = check };
	dvs_err err;

	assert(!check->repair || image->is_changing);
	seen.bits = calloc(image->n_chunks, sizeof(*seen.bits));
	if (!seen.bits)
		return DVS_NOMEM;
	err = check_database(image, check);
	if (err == DVS_OK)
		err = check_extents(image, check);
	if (err == DVS_OK)
		err = see_rows(&seen, "SELECT place, blocks, ino FROM extents", "file");
	if (err == DVS_OK)
		err = see_rows(&seen, "SELECT past - blocks, blocks, past FROM fsimage_runs",
			       "the free run");
	if (err == DVS_OK)
		err = see_rows(&seen, "SELECT start, blocks, epoch FROM fsimage_freed",
			       "what was freed in epoch");
	if (err == DVS_OK)
		err = find_lost(&seen);
	for (uint32_t c = 0; c < image->n_chunks; c++) {
		if (seen.bits[c] != SEEN_ALL)
			free(seen.bits[c]);
	}
	free(seen.bits);
	return err;
}
