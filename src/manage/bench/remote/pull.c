/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/remote/pull.h"

#include <stdlib.h>

#include "manage/bench/container/commands.h"
#include "manage/bench/remote/net.h"

dvs_err bench_pull_measure(const struct bench_lab *lab, const struct bench_pull *pull,
			   struct bench_sample *sample, struct bench_fault *fault)
{
	/* Its report's line of the receiver, in bits per second. */
	static const char script[] = "iperf3 -c \"$1\" -p \"$2\" -C cubic -t \"$3\" -l \"$4\" $5"
				     " -J | sed -n '/\"sum_received\"/,/}/s/.*\"bits_per_second\":"
				     "[[:space:]]*\\([0-9.e+]*\\).*/\\1/p'";
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

	snprintf(port, sizeof(port), "%u", pull->port);
	snprintf(seconds, sizeof(seconds), "%u", (pull->ms + 999) / 1000);
	snprintf(bytes, sizeof(bytes), "%zu", pull->bytes);
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
	return DVS_OK;
}
