/* SPDX-License-Identifier: Apache-2.0 */
/* A poster that lasts longer than the loop that it posts to: while there is none, what is posted waits for the next one. */
#ifndef SERVERS_VDD_POSTS_H
#define SERVERS_VDD_POSTS_H

#include <pthread.h>
#include <stdbool.h>

#include "base/list.h"
#include "base/post.h"

struct posts {
	pthread_mutex_t lock;
	/* under lock: */
	struct list waiting;
	bool is_put;  /* `run` is the loop's */
	bool is_open; /* there is a loop */
	struct poster loop;
	struct post run;
};

void posts_init(struct posts *posts);
struct poster posts_poster(struct posts *posts);
/* From now on they run in LOOP. */
void posts_connect(struct posts *posts, struct poster loop);
/* By the loop's thread, when it has ended: what it was given and did not run is run by none. */
void posts_disconnect(struct posts *posts);

#endif
