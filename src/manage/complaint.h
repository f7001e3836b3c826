/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong with one thing that a command is about: said to people as "WHAT TITLE TEXT: why", or to the code that had it done. */
#ifndef MANAGE_COMPLAINT_H
#define MANAGE_COMPLAINT_H

#include <stdarg.h>

#include "base/compiler.h"
#include "manage/cli.h"

/* Who says in words of its own what went wrong. */
struct listener {
	void (*told)(void *context, const char *why);
	void *context;
};

struct complaint {
	struct cli *cli;
	const struct listener *listener; /* NULL: people */
	const char *what;		 /* was done: "resize" */
	const char *title;		 /* "volume" */
	const char *text;		 /* "web/data" */
};

/* What ERR is called, and what to try. Returns an exit status. */
int complaint_fail(const struct complaint *complaint, dvs_err err);
/* The same with a sentence of our own. Returns an exit status. */
int complaint_note(const struct complaint *complaint, const char *why, va_list args)
	PRINTF_LIKE(2, 0);

#endif
