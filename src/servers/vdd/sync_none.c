/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes with one replica: nobody is to be brought up to date. */
#include "servers/vdd/sync.h"

dvs_err sync_open(struct disks *disks, struct replica *replica, struct skeleton *skeleton,
		  struct log *log, uint64_t bytes_per_s, struct sync **sync)
{
	(void)disks;
	(void)replica;
	(void)skeleton;
	(void)log;
	(void)bytes_per_s;
	*sync = NULL;
	return DVS_OK;
}

void sync_close(struct sync *sync)
{
	(void)sync;
}

void sync_tune(struct sync *sync, uint64_t bytes_per_s)
{
	(void)sync;
	(void)bytes_per_s;
}

size_t sync_hello(struct sync *sync, bool is_empty, void *room)
{
	(void)sync;
	(void)is_empty;
	(void)room;
	return 0;
}

void sync_joined(struct sync *sync, dvs_nodeid node, const void *hello, size_t n)
{
	(void)sync;
	(void)node;
	(void)hello;
	(void)n;
}

void sync_left(struct sync *sync, dvs_nodeid node)
{
	(void)sync;
	(void)node;
}

bool sync_heard(struct sync *sync, struct replica_heard *heard)
{
	(void)sync;
	(void)heard;
	return false;
}

void sync_stop(struct sync *sync)
{
	(void)sync;
}

bool sync_look(const struct sync *sync, dvs_nodeid node, struct sync_progress *progress)
{
	(void)sync;
	(void)node;
	(void)progress;
	return false;
}

dvs_err sync_verify_start(struct sync *sync, bool repair)
{
	(void)sync;
	(void)repair;
	return DVS_BADSTATE;
}

void sync_verify_stop(struct sync *sync)
{
	(void)sync;
}

void sync_verify_look(const struct sync *sync, struct sync_verify *verify)
{
	(void)sync;
	*verify = (struct sync_verify){ .state = 0 };
}
