/* SPDX-License-Identifier: Apache-2.0 */
/* How far something long is, for people: a bar that is drawn over and over on a terminal, else a
 * plain line every few seconds. What takes no time shows nothing. */
#ifndef MANAGE_PROGRESS_H
#define MANAGE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
	FILE *file;
	bool bar;
	bool shown;
	uint64_t begun_ns;
	uint64_t drawn_ns;
};

/* On FILE, which is where messages go. */
void progress_begin(struct progress *progress, FILE *file);

/* Tell that DONE of TOTAL bytes (0: nobody knows) of WHAT are done; it is drawn as often as is good. */
void progress_bytes(struct progress *progress, const char *what, uint64_t done, uint64_t total);

/* The same for what is not counted in bytes: STATE in words. */
void progress_text(struct progress *progress, const char *what, const char *state);

/* Leave the line to who writes next. */
void progress_end(struct progress *progress);

#endif
