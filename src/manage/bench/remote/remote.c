/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench remote: messages and data between two nodes of a cluster. */
#include "manage/bench/remote/peers.h"
#include "manage/bench/remote/ways.h"

/* So that processes that keep all CPUs busy do not look like dead nodes; and what dvs gives a cluster by itself. */
enum { TOKEN_BUSY_MS = 3000, TOKEN_DEFAULT_MS = 0 };

static bool needs_three(enum bench_pattern pattern)
{
	return pattern == BENCH_REMOTE_MCAST || pattern == BENCH_REMOTE_DETECT;
}

static dvs_err remote_begin(struct bench_lab *lab, const struct bench_options *options,
			    struct bench_fault *fault)
{
	return bench_net_start(&(struct bench_net_setup){ .name = options->lab,
							  .n_nodes = 2,
							  .token_ms = TOKEN_BUSY_MS,
							  .has_keys = true },
			       &lab->net, fault);
}

/* The patterns with three nodes come last, and have a lab of their own. */
static dvs_err remote_cell(struct bench_lab *lab, const struct bench_options *options,
			   const struct bench_cell *cell, struct bench_fault *fault)
{
	if (!needs_three(cell->pattern) || (lab->net && bench_net_nodes(lab->net) >= 3))
		return DVS_OK;
	if (options->lab)
		return bench_fail(fault, DVS_BADARG, "lab '%s' has too few nodes: 3 are needed",
				  options->lab);
	/* Its server lives in the lab that goes, which could not end before it. */
	bench_peer_iperf3.stop(lab);
	bench_net_stop(lab->net);
	lab->net = NULL;
	return bench_net_start(&(struct bench_net_setup){ .n_nodes = 3,
							  .token_ms = TOKEN_DEFAULT_MS,
							  .has_keys = true },
			       &lab->net, fault);
}

static void remote_end(struct bench_lab *lab)
{
	bench_net_stop(lab->net);
	lab->net = NULL;
}

/* A new peer or way of the DVS is one file and one row here. */
static const struct bench_system *const systems[] = {
	&bench_dvs_tcp,		 &bench_dvs_tcp_tls,	 &bench_dvs_tcp_zstd, &bench_dvs_tcp_lz4,
	&bench_dvs_tcp_zstd_tls, &bench_dvs_tcp_lz4_tls, &bench_dvs_raw,      &bench_dvs_raw_tls,
	&bench_dvs_udp,		 &bench_dvs_udp_tls,	 &bench_dvs_tipc,     &bench_peer_tcp,
	&bench_peer_tcp_batch,	 &bench_peer_zmq,	 &bench_peer_nng,     &bench_peer_rpc,
	&bench_peer_iperf3,	 &bench_peer_corosync,
};
_Static_assert(sizeof(systems) / sizeof(systems[0]) <= BENCH_SYSTEMS_MAX,
	       "the system table has its bound");

const struct bench_system *const *bench_remote_systems(size_t *count)
{
	*count = sizeof(systems) / sizeof(systems[0]);
	return systems;
}

/* --transport says which of the DVS are meant. */
static bool remote_wants(const struct bench_options *options, const struct bench_system *system)
{
	const struct bench_way *way = system->detail;

	return system->class != BENCH_DVS || (options->transports >> way->transport & 1);
}

const struct bench_suite bench_suite_remote = {
	.name = "remote",
	.purpose = "Measure messages and data between two nodes, in a lab on this machine.",
	.usage =
		"  --clients N       in rt and fan-in, so many clients in place of 1, 8, 64\n"
		"  --transport T[,T] only these transports of the dvs systems: tcp, udp, raw, tipc\n"
		"  --lab NAME        in this lab, which runs already, in place of one of its own\n",
	.quick_time = "under 60 s",
	.svg_kernel = "peers",
	.svg_limit = "limits: one stream, and all clients in one process",
	.patterns = 1u << BENCH_REMOTE_RT | 1u << BENCH_REMOTE_FAN_IN | 1u << BENCH_REMOTE_DATA |
		    1u << BENCH_REMOTE_MCAST | 1u << BENCH_REMOTE_DETECT,
	.repeats_full = 5,
	.repeats_quick = 3,
	.sample_full_ms = 100,
	.sample_quick_ms = 50,
	.cells = bench_remote_cells,
	.systems = bench_remote_systems,
	.wants = remote_wants,
	.begin = remote_begin,
	.end = remote_end,
	.cell = remote_cell,
};
