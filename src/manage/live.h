/* SPDX-License-Identifier: Apache-2.0 */
/* A table that is looked at again and again: on the whole screen until somebody presses q, or as often as --count says. */
#ifndef MANAGE_LIVE_H
#define MANAGE_LIVE_H

#include "manage/cli.h"
#include "manage/terminal.h"

struct live {
	struct cli *cli;
	/* Both return an exit status, EXIT_DONE if all went well; else the message is out. */
	int (*load)(void *context);
	int (*print)(void *context, const struct output *output);
	void *context;
	/* of live_options(): */
	uint32_t interval_ms;
	uint64_t count; /* 0: without end */
	/* its own: */
	struct terminal terminal;
	struct interrupts interrupts;
};

/* Take --count and --interval. False: the message is out. */
MUST_USE bool live_options(struct live *live);
/* Load once, then again and again after the interval, and print each time: rates need two looks. Returns an exit status. */
MUST_USE int live_run(struct live *live);

#endif
