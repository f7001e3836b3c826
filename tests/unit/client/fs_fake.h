/* SPDX-License-Identifier: Apache-2.0 */
/* A file server that stands in the place of M3-IPC: it answers what it must and notes what it was asked. */
#ifndef TESTS_FS_FAKE_H
#define TESTS_FS_FAKE_H

#include <pthread.h>

#include "client/fs_client.h"

#define FAKE_ENDPOINTS 64u

struct fake {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t last_ep;
	uint64_t session; /* 0: none */
	uint64_t last_session;
	uint64_t joined[FAKE_ENDPOINTS];
	bool is_another; /* the server is another one: it knows the session, and not what it had */
	bool is_ended;	 /* and it does not know the session */
	uint32_t die_after; /* requests until it dies with one */
	dvs_err next;	    /* the answer to what is not of the session */
	uint64_t recall;    /* to be told; 0: none */
	uint64_t acknowledged;
	uint32_t n_resumed;
	bool is_listened_to; /* somebody waits for recalls */
	bool is_woken;
	char trace[4096];
};
extern struct fake fake;

/* So it was asked since this was called last. */
void fake_traced(const char *wanted);

#endif
