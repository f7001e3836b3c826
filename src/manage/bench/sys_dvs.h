/* SPDX-License-Identifier: Apache-2.0 */
/* The part of clients and servers that talk in M3-IPC, for all systems that do: on one node through a dvsd of their
 * own, between nodes through those of the lab. */
#ifndef DVS_MANAGE_BENCH_SYS_DVS_H
#define DVS_MANAGE_BENCH_SYS_DVS_H

#include "manage/bench/internal.h"

dvs_err bench_dvs_setup(struct bench_link *link);
void bench_dvs_teardown(struct bench_link *link);
dvs_err bench_dvs_server_open(struct bench_link *link);
dvs_err bench_dvs_receive(struct bench_link *link, struct bench_request *request);
dvs_err bench_dvs_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply);
dvs_err bench_dvs_client_open(struct bench_link *link, unsigned client);
dvs_err bench_dvs_call(struct bench_link *link, const void *request, struct bench_msg *reply);
void bench_dvs_leave(struct bench_link *link);

#endif
