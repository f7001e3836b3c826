/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in the DVS, told to a daemon for as long as there is a dvsd. A dvsd that begins anew within a minute is waited for; without one for longer, or when its directory is gone, the
 * daemon has nobody to serve: whoever starts the next dvsd starts the next daemon, too. */
#ifndef CLIENT_FOLLOW_H
#define CLIENT_FOLLOW_H

#include <dvs/dvk.h>

struct follow {
	struct dvk *admin;   /* which watches: dvk_watch() */
	const char *run_dir; /* of dvsd */
	void (*happened)(void *context, const struct dvk_event *event);
	void (*missed)(void *context); /* some events are lost: all is to be looked at */
	void *context;
};

/* Calls both from this thread, for which it is all that there is to do. Ends with NODVSD: as above; or with another error: dvsd tells nothing any more. */
DVS_MUST_USE dvs_err follow_events(const struct follow *follow);

#endif
