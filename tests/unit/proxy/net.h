/* SPDX-License-Identifier: Apache-2.0 */
/* Two network namespaces with a cable between them, or with this process in its midst. */
#ifndef TESTS_PROXY_NET_H
#define TESTS_PROXY_NET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct net {
	pid_t holder[2];
	int own; /* the namespace of this process */
	/* of those in its midst: */
	bool has_middle;
	pthread_t middle;
	int port[2];
	int stop;
	uint64_t seed;
	/* In how many of a thousand packets. */
	unsigned int lost, doubled, late, cut, spoilt;
	_Atomic uint64_t harmed;
};

/* The interfaces are v0 and v1, with 10.7.6.1 and 10.7.6.2. False: it is not allowed here. */
bool net_open(struct net *net, bool has_middle);
void net_close(struct net *net);
/* The thread goes there; threads that it makes are there. */
void net_enter(const struct net *net, int which);
void net_leave(const struct net *net);
void net_cable(const struct net *net, bool is_up);

#endif
