/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the image share. */
#ifndef TESTS_FS_IMAGE_HELP_H
#define TESTS_FS_IMAGE_HELP_H

#include "servers/fs/fsimage.h"

#include "fs_medium.h"
#include "unit.h"

#define MIB (UINT64_C(1) << 20)
#define SCHEMA "CREATE TABLE notes(n INTEGER PRIMARY KEY, text TEXT NOT NULL);"

extern struct log quiet;

#define ck_ok(call)                                                                     \
	do {                                                                            \
		dvs_err ck_err = (call);                                                \
                                                                                        \
		ck_assert_msg(ck_err == DVS_OK, "%s: %s", #call, dvs_strerror(ck_err)); \
	} while (0)

#define ck_err(call, wanted)                                                              \
	do {                                                                              \
		dvs_err ck_got = (call);                                                  \
                                                                                          \
		ck_assert_msg(ck_got == (wanted), "%s: %s", #call, dvs_strerror(ck_got)); \
	} while (0)

void create(struct medium *medium);
struct fsimage *open_image(struct medium *medium);
dvs_err sql(struct fsimage *image, const char *text);
int64_t number(struct fsimage *image, const char *text);
/* A change set with a note. */
void note(struct fsimage *image, const char *text);
/* An extent of file INO, as file.c makes it. */
void give(struct fsimage *image, uint64_t ino, uint64_t first, uint64_t place, uint64_t blocks);
/* How much is wrong. */
uint32_t check(struct fsimage *image);
uint64_t free_bytes(struct fsimage *image);

#endif
