/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the files of the site: each block says of which file it is, and which one of it. */
#ifndef DVS_MANAGE_BENCH_WEB_SITE_H
#define DVS_MANAGE_BENCH_WEB_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "manage/bench/internal.h"

enum { SITE_BLOCK_BYTES = 4096, SITE_STAMP_BYTES = 16 };

/* Files of BYTES each: one, or as many as there are pages. */
uint64_t site_files(uint64_t bytes);
/* Whether LEN bytes that came from OFFSET on are those of the file NUMBER; not WHOLE: the first of each block are looked at. */
bool site_is(uint64_t number, uint64_t offset, const void *data, size_t len, bool whole);
/* Write all of it into the directory DIR, which is there. */
DVS_MUST_USE dvs_err site_make(const char *dir, struct bench_fault *fault);

#endif
