/* SPDX-License-Identifier: Apache-2.0 */
/* A thread for disks to live on: posts wait in a queue until the test runs them. */
#ifndef TESTS_VDD_HELP_H
#define TESTS_VDD_HELP_H

#include <pthread.h>

#include "servers/vdd/disks.h"

struct turns {
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct list posts;
};

void turns_open(struct turns *turns);
void turns_close(struct turns *turns);
struct poster turns_poster(struct turns *turns);
/* Run what was posted; wait at most 20 s for something (then the test has failed). */
void turns_run(struct turns *turns);
/* Run what was posted, without waiting. */
void turns_poll(struct turns *turns);

/* A request whose end is waited for. */
struct one {
	struct disk_io io;
	bool is_done;
	dvs_err err;
};

/* Submit ONE (op, flags and so on are set in its io), and wait. */
dvs_err one_run(struct turns *turns, struct disks *disks, struct one *one);
void one_submit(struct disks *disks, struct one *one);
void one_wait(struct turns *turns, struct one *one);
dvs_err do_io(struct turns *turns, struct disks *disks, enum disk_op op, uint32_t minor,
	      uint64_t offset, uint64_t bytes, void *buffer);

/* BYTES that are different for each SEED. */
void fill(void *buffer, uint64_t bytes, uint64_t seed);

#endif
