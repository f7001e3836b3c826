/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/remote/pull.h"

#include <stdlib.h>

#include "manage/bench/container/commands.h"
#include "manage/bench/remote/program.h"

enum { PATIENCE_MS = 10000 };

void bench_pull_stop(struct bench_lab *lab)
{
	if (lab->iperf3)
		bench_program_stop(lab->iperf3);
	free(lab->iperf3);
	lab->iperf3 = NULL;
}

dvs_err bench_pull_start(struct bench_lab *lab, unsigned node, struct bench_fault *fault)
{
	char port[8], said[512];
	const char *argv[] = { "iperf3", "-s", "-p", port, "--forceflush", NULL };
	dvs_err err;

	lab->iperf3 = calloc(1, sizeof(*lab->iperf3));
	if (!lab->iperf3)
		return bench_fail_errno(fault, "allocate");
	snprintf(port, sizeof(port), "%d", BENCH_PULL_PORT);
	err = bench_program_start(lab, (enum bench_side)node, argv, lab->iperf3, fault);
	if (err == DVS_OK)
		err = bench_program_read(lab, lab->iperf3, "listening", said, sizeof(said),
					 PATIENCE_MS, fault);
	if (err == DVS_IO)
		err = bench_fail(fault, DVS_BADSTATE, "the program iperf3 does not start; %s",
				 "install it, or choose the systems with --system");
	if (err != DVS_OK)
		bench_pull_stop(lab);
	return err;
}

dvs_err bench_pull_measure(const struct bench_lab *lab, const struct bench_pull *pull,
			   struct bench_sample *sample, struct bench_fault *fault)
{
	/* Its report's line of the receiver, in bits per second. */
	static const char script[] = "iperf3 -c \"$1\" -p \"$2\" -C cubic -t \"$3\" -l \"$4\" $5"
				     " -J | sed -n '/\"sum_received\"/,/}/s/.*\"bits_per_second\":"
				     "[[:space:]]*\\([0-9.e+]*\\).*/\\1/p'";
	size_t block = pull->bytes < BENCH_PAYLOAD_MAX_BYTES ? pull->bytes :
							       BENCH_PAYLOAD_MAX_BYTES;
	char port[16], seconds[16], bytes[24];
	const struct bench_command command = {
		.path = "sh",
		.argv = { "sh", "-c", script, "sh", bench_net_address(lab->net, pull->server_node),
			  port, seconds, bytes, pull->is_push ? "" : "-R", NULL },
		.heard = true,
	};
	struct bench_heard heard = { .ns = 0 };
	double bits;
	dvs_err err;

	snprintf(port, sizeof(port), "%d", BENCH_PULL_PORT);
	snprintf(seconds, sizeof(seconds), "%u", (pull->ms + 999) / 1000);
	snprintf(bytes, sizeof(bytes), "%zu", block);
	err = bench_commands_run(
		lab,
		&(struct bench_commands){ .node = pull->client_node, .list = &command, .n = 1 },
		&heard, fault);
	if (err)
		return err;
	bits = strtod(heard.text, NULL);
	if (!(bits > 0))
		return bench_fail(fault, DVS_IO, "iperf3 gave no figure");
	*sample = (struct bench_sample){ .msg_per_s = bits / 8 / (double)pull->bytes };
	sample->rt_ns = 1e9 * pull->clients / sample->msg_per_s;
	return DVS_OK;
}
