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

/* With a file its events are in the file as soon as they are noted, whatever becomes of the program. */
struct history {
	struct event *events;
	uint64_t n;
	uint64_t room;
	int fd; /* 0: in memory only */
	struct history_head *head;
};

/* End the program when there is no room. */
void history_open(struct history *history, const char *path);
/* Its place. */
uint64_t history_add(struct history *history, const struct event *event);
/* What was pending at that place, and N - 1 behind it, has ended. */
void history_end(struct history *history, uint64_t at, uint64_t n, uint64_t end_ns);
bool history_load(struct history *history, const char *path);
/* Sorts it. The number of blocks whose history is none of one disk; those are told. */
size_t history_judge(struct history *history);

#endif
