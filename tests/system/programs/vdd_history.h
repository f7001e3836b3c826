/* SPDX-License-Identifier: Apache-2.0 */
/* What a load did to the blocks of a disk, and whether that can have been one disk. Each write gives its blocks a number that no other write gives, so
 * for each block the history is one of a register with unique values. */
#ifndef TESTS_SYSTEM_PROGRAMS_VDD_HISTORY_H
#define TESTS_SYSTEM_PROGRAMS_VDD_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_PENDING UINT64_MAX /* nobody knows whether, and when, it took effect */

struct event {
	uint64_t block;
	uint64_t value; /* 0: as the disk was at first */
	uint64_t begin_ns;
	uint64_t end_ns;
	uint64_t is_write;
};

struct history {
	struct event *events;
	size_t n;
	size_t room;
};

/* Ends the program when there is no memory. */
void history_add(struct history *history, const struct event *event);
/* Append to FILE; the number that could not be written is not known. */
bool history_save(const struct history *history, const char *file);
bool history_load(struct history *history, const char *file);
/* Sorts it. The number of blocks whose history is none of one disk; those are told. */
size_t history_judge(struct history *history);

#endif
