/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the benchmarks in the table of commands, which alone includes this. */
#ifndef MANAGE_BENCH_COMMANDS_H
#define MANAGE_BENCH_COMMANDS_H

#include "manage/command.h"

#define BENCH_LAST_OPTION        \
	{                        \
		.id = OPTION_END \
	}

static const struct cli_option bench_ipc_options[] = {
	{ OPTION_OF_BENCH, 0, "quick", NULL, NULL, "fewer and shorter measurements: under 20 s" },
	{ OPTION_OF_BENCH, 0, "json", NULL, NULL,
	  "one JSON object per line and result, as -o json" },
	{ OPTION_OF_BENCH, 'o', "output", "FORMAT", "table json", "form of the output" },
	{ OPTION_OF_BENCH, 0, "plot", "FILE", NULL, "also draw the results into FILE, as SVG" },
	{ OPTION_OF_BENCH, 0, "pattern", "LIST", "pair sleepy one-cpu pairs fan-in data",
	  "only these patterns: names with commas between" },
	{ OPTION_OF_BENCH, 0, "system", "LIST",
	  "dvs dvs-inplace raw memcpy futex eventfd pipe fifo unix-stream unix-seqpacket mq-posix"
	  " mq-sysv tcp",
	  "only these systems: names with commas between" },
	{ OPTION_OF_BENCH, 0, "repeats", "COUNT", NULL, "how often each measurement is repeated" },
	{ OPTION_OF_BENCH, 0, "seed", "NUMBER", NULL,
	  "seed of the order in which systems take turns" },
	BENCH_LAST_OPTION,
};

static const struct cli_option bench_remote_options[] = {
	{ OPTION_OF_BENCH, 0, "quick", NULL, NULL, "fewer and shorter measurements: under 60 s" },
	{ OPTION_OF_BENCH, 0, "json", NULL, NULL,
	  "one JSON object per line and result, as -o json" },
	{ OPTION_OF_BENCH, 'o', "output", "FORMAT", "table json", "form of the output" },
	{ OPTION_OF_BENCH, 0, "plot", "FILE", NULL, "also draw the results into FILE, as SVG" },
	{ OPTION_OF_BENCH, 0, "pattern", "LIST", "rt fan-in data mcast detect",
	  "only these patterns: names with commas between" },
	{ OPTION_OF_BENCH, 0, "system", "LIST",
	  "dvs-tcp dvs-tcp+tls dvs-tcp+zstd dvs-tcp+lz4 dvs-tcp+zstd+tls dvs-tcp+lz4+tls dvs-raw"
	  " dvs-raw+tls dvs-udp dvs-udp+tls dvs-tipc tcp tcp-batch zmq nng rpc iperf3 corosync",
	  "only these systems: names with commas between" },
	{ OPTION_OF_BENCH, 0, "transport", "LIST", "tcp udp raw tipc",
	  "of the DVS only these transports" },
	{ OPTION_OF_BENCH, 0, "clients", "COUNT", NULL,
	  "in rt and fan-in, so many clients (default: 1, 8, 64)" },
	{ OPTION_OF_BENCH, 0, "lab", "NAME", NULL,
	  "a lab that runs already (default: one of its own)" },
	{ OPTION_OF_BENCH, 0, "repeats", "COUNT", NULL, "how often each measurement is repeated" },
	{ OPTION_OF_BENCH, 0, "seed", "NUMBER", NULL,
	  "seed of the order in which systems take turns" },
	BENCH_LAST_OPTION,
};

static const struct cli_option bench_container_options[] = {
	{ OPTION_OF_BENCH, 0, "quick", NULL, NULL, "fewer and shorter measurements: under 60 s" },
	{ OPTION_OF_BENCH, 0, "json", NULL, NULL,
	  "one JSON object per line and result, as -o json" },
	{ OPTION_OF_BENCH, 'o', "output", "FORMAT", "table json", "form of the output" },
	{ OPTION_OF_BENCH, 0, "plot", "FILE", NULL, "also draw the results into FILE, as SVG" },
	{ OPTION_OF_BENCH, 0, "pattern", "LIST", "exec start footprint",
	  "only these patterns: names with commas between" },
	{ OPTION_OF_BENCH, 0, "system", "LIST", "dvs-run dvs-exec crun plain dvsd dvs-agent",
	  "only these systems: names with commas between" },
	{ OPTION_OF_BENCH, 0, "repeats", "COUNT", NULL, "how often each measurement is repeated" },
	{ OPTION_OF_BENCH, 0, "seed", "NUMBER", NULL,
	  "seed of the order in which systems take turns" },
	BENCH_LAST_OPTION,
};

static const struct cli_option bench_neighbour_options[] = {
	{ OPTION_OF_BENCH, 0, "quick", NULL, NULL, "fewer and shorter measurements: under 90 s" },
	{ OPTION_OF_BENCH, 0, "json", NULL, NULL,
	  "one JSON object per line and result, as -o json" },
	{ OPTION_OF_BENCH, 'o', "output", "FORMAT", "table json", "form of the output" },
	{ OPTION_OF_BENCH, 0, "plot", "FILE", NULL, "also draw the results into FILE, as SVG" },
	{ OPTION_OF_BENCH, 0, "pattern", "LIST", "cpu memory processes disk",
	  "only these patterns: names with commas between" },
	{ OPTION_OF_BENCH, 0, "system", "LIST", "alone limited unlimited",
	  "only these systems: names with commas between" },
	{ OPTION_OF_BENCH, 0, "repeats", "COUNT", NULL, "how often each measurement is repeated" },
	{ OPTION_OF_BENCH, 0, "seed", "NUMBER", NULL,
	  "seed of the order in which systems take turns" },
	BENCH_LAST_OPTION,
};

static const struct cli_option bench_vdd_options[] = {
	{ OPTION_OF_BENCH, 0, "quick", NULL, NULL, "fewer and shorter measurements: about 90 s" },
	{ OPTION_OF_BENCH, 0, "json", NULL, NULL,
	  "one JSON object per line and result, as -o json" },
	{ OPTION_OF_BENCH, 'o', "output", "FORMAT", "table json", "form of the output" },
	{ OPTION_OF_BENCH, 0, "plot", "FILE", NULL, "also draw the results into FILE, as SVG" },
	{ OPTION_OF_BENCH, 0, "pattern", "LIST", "seq-read seq-write rand-read rand-write",
	  "only these patterns: names with commas between" },
	{ OPTION_OF_BENCH, 0, "system", "LIST",
	  "dvs-ipc dvs-nbd nbdkit-memory nbdkit-file qemu-quorum raw-file iperf3",
	  "only these systems: names with commas between" },
	{ OPTION_OF_BENCH, 0, "repeats", "COUNT", NULL, "how often each measurement is repeated" },
	{ OPTION_OF_BENCH, 0, "seed", "NUMBER", NULL,
	  "seed of the order in which systems take turns" },
	BENCH_LAST_OPTION,
};

static const struct cli_option bench_fs_options[] = {
	{ OPTION_OF_BENCH, 0, "quick", NULL, NULL,
	  "fewer and shorter measurements: about 4 minutes" },
	{ OPTION_OF_BENCH, 0, "json", NULL, NULL,
	  "one JSON object per line and result, as -o json" },
	{ OPTION_OF_BENCH, 'o', "output", "FORMAT", "table json", "form of the output" },
	{ OPTION_OF_BENCH, 0, "plot", "FILE", NULL, "also draw the results into FILE, as SVG" },
	{ OPTION_OF_BENCH, 0, "pattern", "LIST",
	  "seq-read seq-write rand-read rand-write read-cached create stat stat-cached rename"
	  " unlink small fsync readdir cp untar make",
	  "only these patterns: names with commas between" },
	{ OPTION_OF_BENCH, 0, "system", "LIST", "dvs-fuse dvs-ipc passthrough ext4 tmpfs iperf3",
	  "only these systems: names with commas between" },
	{ OPTION_OF_BENCH, 0, "repeats", "COUNT", NULL, "how often each measurement is repeated" },
	{ OPTION_OF_BENCH, 0, "seed", "NUMBER", NULL,
	  "seed of the order in which systems take turns" },
	{ OPTION_OF_BENCH, 0, "many", NULL, NULL,
	  "create and stat also in a directory of a million files" },
	BENCH_LAST_OPTION,
};

static const struct cli_option bench_web_options[] = {
	{ OPTION_OF_BENCH, 0, "quick", NULL, NULL,
	  "fewer and shorter measurements: about a minute" },
	{ OPTION_OF_BENCH, 0, "json", NULL, NULL,
	  "one JSON object per line and result, as -o json" },
	{ OPTION_OF_BENCH, 'o', "output", "FORMAT", "table json", "form of the output" },
	{ OPTION_OF_BENCH, 0, "plot", "FILE", NULL, "also draw the results into FILE, as SVG" },
	{ OPTION_OF_BENCH, 0, "pattern", "LIST", "warm cold",
	  "only these patterns: names with commas between" },
	{ OPTION_OF_BENCH, 0, "system", "LIST",
	  "nginx-host nginx-dvs nginx-host-open nginx-dvs-open nweb iperf3",
	  "only these systems: names with commas between" },
	{ OPTION_OF_BENCH, 0, "repeats", "COUNT", NULL, "how often each measurement is repeated" },
	{ OPTION_OF_BENCH, 0, "seed", "NUMBER", NULL,
	  "seed of the order in which systems take turns" },
	BENCH_LAST_OPTION,
};

static const struct cli_option bench_work_options[] = { BENCH_LAST_OPTION };

static const struct cli_example bench_ipc_examples[] = {
	{ "dvs bench ipc --quick", "a first impression" },
	{ "dvs bench ipc --plot ipc.svg", "everything, with a picture" },
	{ NULL, NULL },
};

static const struct cli_example bench_remote_examples[] = {
	{ "dvs bench remote --quick", "a first impression, in a lab of its own" },
	{ "dvs bench remote --pattern rt --system dvs-tcp,tcp", "the DVS beside plain TCP" },
	{ NULL, NULL },
};

static const struct cli_example bench_container_examples[] = {
	{ "dvs bench container --quick", "a first impression, in a lab of its own" },
	{ "dvs bench container --pattern exec", "only what running a program costs" },
	{ NULL, NULL },
};

static const struct cli_example bench_neighbour_examples[] = {
	{ "dvs bench neighbour --pattern cpu,disk", "two of the four dimensions" },
	{ NULL, NULL },
};

static const struct cli_example bench_vdd_examples[] = {
	{ "dvs bench vdd --quick", "a first impression, in a lab of its own" },
	{ "dvs bench vdd --pattern rand-read --system dvs-nbd,nbdkit-memory", "two of them" },
	{ NULL, NULL },
};

static const struct cli_example bench_fs_examples[] = {
	{ "dvs bench fs --quick", "a first impression, in a lab of its own" },
	{ "dvs bench fs --pattern create,stat --many", "directories, also a very large one" },
	{ NULL, NULL },
};

static const struct cli_example bench_web_examples[] = {
	{ "dvs bench web --quick", "a first impression, in a lab of its own" },
	{ "dvs bench web --pattern warm --system nginx-host,nginx-dvs", "what a mount costs" },
	{ NULL, NULL },
};

static const struct cli_example bench_work_examples[] = {
	{ "dvs bench work cpu 1000", "how often a second, for a second" },
	{ NULL, NULL },
};

/* clang-format off */
#define BENCH_COMMANDS \
	{ \
		.name = "bench ipc", \
		.arguments = "", \
		.help = "measure messages against what the host offers", \
		.options = bench_ipc_options, \
		.examples = bench_ipc_examples, \
		.run = cmd_bench, \
		.page = "dvs-bench(1)", \
		.takes_rest = 1, \
	}, \
	{ \
		.name = "bench remote", \
		.arguments = "", \
		.help = "measure messages between nodes against other ways", \
		.options = bench_remote_options, \
		.examples = bench_remote_examples, \
		.run = cmd_bench, \
		.page = "dvs-bench(1)", \
		.takes_rest = 1, \
	}, \
	{ \
		.name = "bench container", \
		.arguments = "", \
		.help = "measure containers beside crun alone", \
		.options = bench_container_options, \
		.examples = bench_container_examples, \
		.run = cmd_bench, \
		.page = "dvs-bench(1)", \
		.takes_rest = 1, \
	}, \
	{ \
		.name = "bench neighbour", \
		.arguments = "", \
		.help = "measure what limits keep for a DC beside a greedy one", \
		.options = bench_neighbour_options, \
		.examples = bench_neighbour_examples, \
		.run = cmd_bench, \
		.page = "dvs-bench(1)", \
		.takes_rest = 1, \
	}, \
	{ \
		.name = "bench vdd", \
		.arguments = "", \
		.help = "measure volumes beside other virtual disks", \
		.options = bench_vdd_options, \
		.examples = bench_vdd_examples, \
		.run = cmd_bench, \
		.page = "dvs-bench(1)", \
		.takes_rest = 1, \
	}, \
	{ \
		.name = "bench fs", \
		.arguments = "", \
		.help = "measure file systems of DCs beside other ones", \
		.options = bench_fs_options, \
		.examples = bench_fs_examples, \
		.run = cmd_bench, \
		.page = "dvs-bench(1)", \
		.takes_rest = 1, \
	}, \
	{ \
		.name = "bench web", \
		.arguments = "", \
		.help = "measure web servers of DCs beside one of the host", \
		.options = bench_web_options, \
		.examples = bench_web_examples, \
		.run = cmd_bench, \
		.page = "dvs-bench(1)", \
		.takes_rest = 1, \
	}, \
	{ \
		.name = "bench work", \
		.arguments = "DIMENSION MILLISECONDS", \
		.help = "what the DCs of bench neighbour run", \
		.options = bench_work_options, \
		.examples = bench_work_examples, \
		.run = cmd_bench, \
		.page = "dvs-bench(1)", \
		.takes_rest = 1, \
	},
/* clang-format on */

#endif
