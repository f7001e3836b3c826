/* SPDX-License-Identifier: Apache-2.0 */
/* iperf3: what one TCP stream carries when nobody looks at the data. The program itself, with one server for the
 * whole run; a sample is one run of its client, whose report in JSON is read. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/bench/remote/peers.h"
#include "manage/bench/remote/program.h"
#include "manage/bench/remote/pull.h"

enum { PATIENCE_MS = 10000, REPORT_BYTES = 1 << 18 };
/* What a fast machine moves in a millisecond: so a sample takes about as long as those of the others. */
enum { BYTES_PER_MS = 3 << 20 };

static dvs_err iperf3_start(struct bench_lab *lab, struct bench_fault *fault)
{
	return bench_pull_start(lab, BENCH_SERVER_SIDE, fault);
}

/* The number at PATH, a list of names that ends with NULL; 0 when there is none. */
static double number_at(json_t *json, const char *const *path)
{
	for (; json && *path; path++)
		json = json_object_get(json, *path);
	return json_number_value(json);
}

static dvs_err read_report(const char *text, const struct bench_cell *cell,
			   struct bench_sample *sample, struct bench_fault *fault)
{
	static const char *const rate_path[] = { "end", "sum_received", "bits_per_second", NULL };
	static const char *const host_path[] = { "end", "cpu_utilization_percent", "host_total",
						 NULL };
	static const char *const remote_path[] = { "end", "cpu_utilization_percent", "remote_total",
						   NULL };
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);
	const char *complaint = json_string_value(json_object_get(json, "error"));
	double bytes_per_s = number_at(json, rate_path) / 8;
	dvs_err err = DVS_OK;

	sample->msg_per_s = bytes_per_s / (double)cell->bytes;
	sample->rt_ns = 1e9 / sample->msg_per_s;
	sample->cpu = (number_at(json, host_path) + number_at(json, remote_path)) / 100;
	if (complaint || !(bytes_per_s > 0))
		err = bench_fail(fault, DVS_IO, "%s", complaint ? complaint : error.text);
	json_decref(json);
	return err;
}

static dvs_err iperf3_measure(struct bench_lab *lab, const struct bench_system *system,
			      const struct bench_cell *cell, const struct bench_options *options,
			      struct bench_sample *sample, struct bench_fault *fault)
{
	char port[8], amount[24], block[24];
	const char *argv[] = { "iperf3", "-c",	  bench_net_address(lab->net, BENCH_SERVER_SIDE),
			       "-p",	 port,	  "-n",
			       amount,	 "-l",	  block,
			       "-C",	 "cubic", "-J",
			       NULL };
	AUTO_FREE char *report = malloc(REPORT_BYTES);
	struct bench_program client = { 0 };
	dvs_err err;

	(void)system;
	if (!report)
		return bench_fail_errno(fault, "allocate");
	snprintf(port, sizeof(port), "%d", BENCH_PULL_PORT);
	snprintf(block, sizeof(block), "%zu", cell->bytes);
	snprintf(amount, sizeof(amount), "%u", options->sample_ms * BYTES_PER_MS);
	err = bench_program_start(lab, BENCH_CLIENT_SIDE, argv, &client, fault);
	if (err == DVS_OK)
		err = bench_program_read(lab, &client, NULL, report, REPORT_BYTES, PATIENCE_MS,
					 fault);
	bench_program_stop(&client);
	return err == DVS_OK ? read_report(report, cell, sample, fault) : err;
}

const struct bench_system bench_peer_iperf3 = {
	.name = "iperf3",
	.summary = "the program iperf3: one TCP stream in one direction, no replies",
	.class = BENCH_LIMIT,
	.patterns = 1u << BENCH_REMOTE_DATA,
	.start = iperf3_start,
	.stop = bench_pull_stop,
	.measure = iperf3_measure,
};
