/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-tcp and all others: M3-IPC between two nodes, by each transport and filter. The proxies are begun anew with
 * those when the turn of another one comes. */
#include <errno.h>
#include <linux/tipc.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <dvs/dvk.h>

#include "manage/bench/remote/detect.h"
#include "manage/bench/remote/peers.h"
#include "manage/bench/remote/ways.h"
#include "manage/bench/sys_dvs.h"

/* ---- what the transports need ---- */

static dvs_err way_start(struct bench_lab *lab, struct bench_fault *fault)
{
	return bench_net_make_dc(lab->net, fault);
}

static dvs_err tipc_start(struct bench_lab *lab, struct bench_fault *fault)
{
	int fd = socket(AF_TIPC, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return bench_fail(fault, DVS_BADSTATE, "this kernel has no TIPC (%s)",
				  strerror(errno));
	close(fd);
	return way_start(lab, fault);
}

static void way_stop(struct bench_lab *lab)
{
	(void)lab;
}

/* ---- bind ---- */

/* The endpoint that is bound and let go again, in mcast. */
enum { BOUND = 40 };

struct binder {
	struct dvk *dvk;
	struct m3 *self;
};

static dvs_err bind_setup(struct bench_link *link)
{
	return peer_state_make(link, sizeof(struct binder));
}

static dvs_err bind_open(struct bench_link *link, unsigned client)
{
	struct binder *binder = link->state;
	dvs_err err = dvk_open(BENCH_NET_CONTROL, &binder->dvk);

	(void)client;
	if (err != DVS_OK)
		return bench_fail(&link->fault, err, "dvk_open: %s", dvs_strerror(err));
	return DVS_OK;
}

static dvs_err bind_prepare(struct bench_link *link)
{
	struct binder *binder = link->state;

	if (binder->self)
		dvk_unbind(binder->self);
	binder->self = NULL;
	return DVS_OK;
}

static dvs_err bind_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct binder *binder = link->state;
	dvs_err err;

	/* The last call, which is not measured, comes without the one before let go. */
	(void)!bind_prepare(link);
	err = dvk_bind(binder->dvk, dvs_ep_of(BOUND), DVK_LOCAL, &binder->self);
	if (err != DVS_OK)
		return bench_fail(&link->fault, err, "dvk_bind: %s", dvs_strerror(err));
	memcpy(reply, request, sizeof(*reply));
	return DVS_OK;
}

static void bind_leave(struct bench_link *link)
{
	struct binder *binder = link->state;

	(void)!bind_prepare(link);
	if (binder->dvk)
		dvk_close(binder->dvk);
}

static const struct bench_system bind_system = {
	.name = "dvs-tcp",
	.class = BENCH_DVS,
	.solo = true,
	.setup = bind_setup,
	.teardown = peer_teardown,
	.client_open = bind_open,
	.prepare = bind_prepare,
	.call = bind_call,
	.leave = bind_leave,
};

/* ---- the systems ---- */

static dvs_err way_measure(struct bench_lab *lab, const struct bench_system *system,
			   const struct bench_cell *cell, const struct bench_options *options,
			   struct bench_sample *sample, struct bench_fault *fault)
{
	dvs_err err = bench_net_make_dc(lab->net, fault);

	if (err == DVS_OK)
		err = bench_net_choose(lab->net, system->detail, fault);
	if (err != DVS_OK)
		return err;
	if (cell->pattern == BENCH_REMOTE_DETECT)
		return bench_detect(lab, BENCH_DETECT_ENDPOINT, sample, fault);
	return bench_measure(lab, cell->pattern == BENCH_REMOTE_MCAST ? &bind_system : system, cell,
			     options, sample, fault);
}

static uint64_t proxies_cpu_ns(struct bench_lab *lab)
{
	return bench_net_proxies_cpu_ns(lab->net);
}

#define WAY(symbol, is_due, called, how, begin, also, ...)            \
	static const struct bench_way symbol##_way = { __VA_ARGS__ }; \
	const struct bench_system bench_##symbol = {                  \
		.name = called,                                       \
		.summary = how,                                       \
		.class = BENCH_DVS,                                   \
		.patterns = PEER_MESSAGES | (also),                   \
		.when = is_due,                                       \
		.detail = &symbol##_way,                              \
		.in_place = true,                                     \
		.measure = way_measure,                               \
		.start = begin,                                       \
		.stop = way_stop,                                     \
		.setup = bench_dvs_setup,                             \
		.teardown = bench_dvs_teardown,                       \
		.server_open = bench_dvs_server_open,                 \
		.receive = bench_dvs_receive,                         \
		.reply = bench_dvs_reply,                             \
		.client_open = bench_dvs_client_open,                 \
		.call = bench_dvs_call,                               \
		.leave = bench_dvs_leave,                             \
		.helpers_cpu_ns = proxies_cpu_ns,                     \
	}

#define ORDERED (1u << BENCH_REMOTE_MCAST | 1u << BENCH_REMOTE_DETECT)

/* clang-format off */
WAY(dvs_tcp, BENCH_ALWAYS, "dvs-tcp", "M3-IPC, the proxies talk over TCP", way_start, ORDERED,
    CONFIG_TCP, { CONFIG_NO_FILTER });
WAY(dvs_tcp_tls, BENCH_ALWAYS, "dvs-tcp+tls", "the same, encrypted by TLS 1.3", way_start, 0,
    CONFIG_TCP, { CONFIG_TLS });
WAY(dvs_tcp_zstd, BENCH_FULL, "dvs-tcp+zstd", "over TCP, compressed by zstd", way_start, 0,
    CONFIG_TCP, { CONFIG_ZSTD });
WAY(dvs_tcp_lz4, BENCH_FULL, "dvs-tcp+lz4", "over TCP, compressed by lz4", way_start, 0,
    CONFIG_TCP, { CONFIG_LZ4 });
WAY(dvs_tcp_zstd_tls, BENCH_FULL, "dvs-tcp+zstd+tls", "over TCP, compressed, then encrypted", way_start, 0,
    CONFIG_TCP, { CONFIG_ZSTD, CONFIG_TLS });
WAY(dvs_tcp_lz4_tls, BENCH_NAMED, "dvs-tcp+lz4+tls", "over TCP, compressed, then encrypted", way_start, 0,
    CONFIG_TCP, { CONFIG_LZ4, CONFIG_TLS });
WAY(dvs_raw, BENCH_ALWAYS, "dvs-raw", "over Ethernet frames of their own", way_start, 0,
    CONFIG_RAW, { CONFIG_NO_FILTER });
WAY(dvs_raw_tls, BENCH_NAMED, "dvs-raw+tls", "the same, encrypted by TLS 1.3", way_start, 0,
    CONFIG_RAW, { CONFIG_TLS });
WAY(dvs_udp, BENCH_FULL, "dvs-udp", "over reliable datagrams (SRT)", way_start, 0,
    CONFIG_UDP, { CONFIG_NO_FILTER });
WAY(dvs_udp_tls, BENCH_NAMED, "dvs-udp+tls", "the same, encrypted by TLS 1.3", way_start, 0,
    CONFIG_UDP, { CONFIG_TLS });
WAY(dvs_tipc, BENCH_FULL, "dvs-tipc", "over TIPC, where the kernel has it", tipc_start, 0,
    CONFIG_TIPC, { CONFIG_NO_FILTER });
/* clang-format on */
