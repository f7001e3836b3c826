/* SPDX-License-Identifier: Apache-2.0 */
/* Work for another thread: something that it is to run. What waits has its post inside and finds itself by CONTAINER_OF. */
#ifndef BASE_POST_H
#define BASE_POST_H

#include "base/list.h"

struct post {
	struct list queued;
	void (*run)(struct post *post);
};

/* Where posts go. `put` may be called by any thread, does not block, and never fails; POST lives until it has run. They run in the order of putting. */
struct poster {
	void *context;
	void (*put)(void *context, struct post *post);
};

static inline void poster_put(const struct poster *poster, struct post *post)
{
	poster->put(poster->context, post);
}

#endif
