/* SPDX-License-Identifier: Apache-2.0 */
#include "client/follow.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/clock.h"

/* A dvsd that is not there for so long does not come back. */
#define LOST_NS (60 * CLOCK_NS_PER_S)
#define LOST_PAUSE_MS 200
#define EVENT_MS 2000

static bool is_lost(const struct follow *follow, uint64_t *since_ns)
{
	struct stat info;

	if (*since_ns == 0)
		*since_ns = clock_now_ns();
	if (clock_now_ns() - *since_ns > LOST_NS ||
	    (stat(follow->run_dir, &info) != 0 && errno == ENOENT))
		return true;
	/* The link tries again by itself when it is asked; nobody tells when dvsd is there. */
	(void)poll(NULL, 0, LOST_PAUSE_MS);
	return false;
}

dvs_err follow_events(const struct follow *follow)
{
	uint64_t n_known = 0;
	uint64_t since_ns = 0;

	for (;;) {
		struct dvk_event event;
		struct dvk_dvs_info info;
		uint64_t n_lost = n_known;
		dvs_err err = dvk_event_next(follow->admin, EVENT_MS, &event, &n_lost);

		/* That nothing happens may be because there is nobody to tell it. */
		if (err == DVS_TIMEOUT && dvk_dvs_info(follow->admin, &info) == DVS_NODVSD)
			err = DVS_NODVSD;
		if (err == DVS_NODVSD) {
			if (is_lost(follow, &since_ns))
				return err;
			continue;
		}
		if (since_ns || n_lost != n_known)
			follow->missed(follow->context);
		since_ns = 0;
		n_known = n_lost;
		if (!err)
			follow->happened(follow->context, &event);
		else if (err != DVS_TIMEOUT)
			return err;
	}
}
