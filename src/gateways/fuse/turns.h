/* SPDX-License-Identifier: Apache-2.0 */
/* Which thread reads the next request from the kernel.
 *
 * The kernel gives its requests to those who read in turn, one after the other. If all threads that there are read, each request so finds a thread that has long done nothing: what it needs is in no cache, and the server, which looks
 * first at who has just asked (decision 0006), must be told. So only as many read as pay. While answers come at once that is one, which goes on as long as there are requests; each answer that was long in coming makes it more
 * for a while. All others stand by.
 *
 * One that stands by is on watch. While there are requests it looks every millisecond; when nobody reads, and nobody has since it looked last, it reads itself. So a request that others wait for never stands behind those that wait. */
#ifndef GATEWAYS_FUSE_TURNS_H
#define GATEWAYS_FUSE_TURNS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* At most so many read. */
#define TURNS_READERS_MAX 8u
/* A request that took so long waited for somebody who may as well answer several at once. */
#define TURNS_SLOW_NS UINT64_C(250000)

struct turns {
	pthread_mutex_t lock;
	pthread_cond_t watch; /* of the one on watch */
	pthread_cond_t rest;  /* of the others that stand by */
	/* under lock: */
	uint32_t n_readers;
	uint32_t n_resting;
	uint32_t slowness;
	uint64_t n_taken; /* requests so far */
	bool has_watch;
	bool is_watch_asleep; /* until a request finds no other reader */
	bool is_over;
};

/* A thread's. Begins as zeroes. */
struct turn {
	uint64_t taken_ns; /* its request; 0: it has none */
};

void turns_begin(struct turns *turns);
/* All threads have left. */
void turns_free(struct turns *turns);

/* What the thread had is answered; it wants to read. Returns when it may; false: it is over. */
bool turns_wait(struct turns *turns, struct turn *turn);
/* It has read something. True: nobody reads now, and nobody is there who would. */
bool turns_take(struct turns *turns, struct turn *turn);
/* turns_wait() is false from now on, for all. */
void turns_end(struct turns *turns);

#endif
