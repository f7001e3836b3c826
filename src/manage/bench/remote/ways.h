/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DVS_MANAGE_BENCH_REMOTE_WAYS_H
#define DVS_MANAGE_BENCH_REMOTE_WAYS_H

#include "manage/bench/internal.h"

extern const struct bench_system bench_dvs_tcp;
extern const struct bench_system bench_dvs_tcp_tls;
extern const struct bench_system bench_dvs_tcp_zstd;
extern const struct bench_system bench_dvs_tcp_lz4;
extern const struct bench_system bench_dvs_tcp_zstd_tls;
extern const struct bench_system bench_dvs_tcp_lz4_tls;
extern const struct bench_system bench_dvs_raw;
extern const struct bench_system bench_dvs_raw_tls;
extern const struct bench_system bench_dvs_udp;
extern const struct bench_system bench_dvs_udp_tls;
extern const struct bench_system bench_dvs_tipc;

#endif
