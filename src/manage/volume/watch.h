/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for something long at a volume's server: how far it is shows, and Ctrl-C ends the wait. */
#ifndef MANAGE_VOLUME_WATCH_H
#define MANAGE_VOLUME_WATCH_H

#include "manage/progress.h"
#include "manage/terminal.h"
#include "manage/volume/vol.h"

/* Between two looks. */
#define WATCH_MS 200u

struct watch {
	struct cli *cli;
	const char *title;
	struct progress progress;
	struct interrupts interrupts;
	bool is_ended; /* somebody pressed Ctrl-C */
};

/* False, with the message: there is no descriptor left. */
MUST_USE bool watch_begin(struct watch *watch, struct cli *cli, const char *title);
void watch_end(struct watch *watch);

/* Show how far it is, as --progress says; ETA_MS 0: nobody knows. */
void watch_bytes(struct watch *watch, uint64_t done, uint64_t total, uint64_t bytes_per_s,
		 uint64_t eta_ms);
void watch_text(struct watch *watch, const char *state);

/* Until the next look. False: somebody wants us to end. */
MUST_USE bool watch_pause(struct watch *watch);

#endif
