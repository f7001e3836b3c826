/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_image_help.h"

#include <stdio.h>

struct log quiet = { .fd = -1, .level = LOG_LEVEL_ERROR };

void create(struct medium *medium)
{
	const struct fsimage_options options = { .label = "unit" };
	char why[MEDIUM_WHY_MAX + 1];
	dvs_err err = fsimage_create(medium, &options, SCHEMA, why);

	ck_assert_msg(err == DVS_OK, "%s", why);
}

struct fsimage *open_image(struct medium *medium)
{
	char why[MEDIUM_WHY_MAX + 1];
	struct fsimage *image = NULL;
	dvs_err err = fsimage_open(medium, SCHEMA, &quiet, &image, why);

	ck_assert_msg(err == DVS_OK, "%s", why);
	return image;
}

dvs_err sql(struct fsimage *image, const char *text)
{
	return fsimage_sql(image, sqlite3_exec(fsimage_db(image), text, NULL, NULL, NULL));
}

int64_t number(struct fsimage *image, const char *text)
{
	sqlite3_stmt *statement;
	int64_t value = -1;

	ck_assert_int_eq(sqlite3_prepare_v2(fsimage_db(image), text, -1, &statement, NULL),
			 SQLITE_OK);
	if (sqlite3_step(statement) == SQLITE_ROW)
		value = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return value;
}

void note(struct fsimage *image, const char *text)
{
	char statement[128];

	(void)snprintf(statement, sizeof(statement), "INSERT INTO notes(text) VALUES('%s')", text);
	ck_ok(fsimage_begin(image));
	ck_ok(sql(image, statement));
	ck_ok(fsimage_commit(image));
}

void give(struct fsimage *image, uint64_t ino, uint64_t first, uint64_t place, uint64_t blocks)
{
	char statement[256];

	(void)snprintf(statement, sizeof(statement),
		       "INSERT INTO extents VALUES(%llu, %llu, %llu, %llu, %llu, 0)",
		       (unsigned long long)ino, (unsigned long long)first,
		       (unsigned long long)blocks, (unsigned long long)place,
		       (unsigned long long)fsimage_new_data(image));
	ck_ok(sql(image, statement));
}

static void tell(void *context, const char *text)
{
	(void)context;
	(void)fprintf(stderr, "# %s\n", text);
}

uint32_t check(struct fsimage *image)
{
	struct fsimage_check check = { .found = tell };

	ck_ok(fsimage_check(image, &check));
	return check.n_found;
}

uint64_t free_bytes(struct fsimage *image)
{
	struct fsimage_figures figures;

	fsimage_look(image, &figures);
	return figures.free_bytes;
}
