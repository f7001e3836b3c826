/* SPDX-License-Identifier: Apache-2.0 */
/* The systems of `dvs bench web`: which server a sample asks, and for which path. */
#include "base/compiler.h"
#include "manage/bench/container/commands.h"
#include "manage/bench/remote/pull.h"
#include "manage/bench/web/web.h"

#define BOTH_PATTERNS (UINT64_C(1) << BENCH_WEB_WARM | UINT64_C(1) << BENCH_WEB_COLD)

static unsigned node_of(const struct bench_cell *cell)
{
	return cell->remote ? FILES_CLIENT_NODE : FILES_SERVER_NODE;
}

static enum files_store store_of(const struct bench_cell *cell)
{
	return (enum files_store)cell->servers;
}

/* To open and close a file matters where that is much of the work. */
static bool keeps_open(const struct bench_system *system)
{
	return system == &bench_web_nginx_host_open || system == &bench_web_nginx_dvs_open;
}

static unsigned nginx_port(const struct bench_system *system)
{
	return keeps_open(system) ? WEB_PORT_NGINX_OPEN : WEB_PORT_NGINX;
}

bool bench_web_fits(const struct bench_system *system, const struct bench_cell *cell)
{
	bool is_page = cell->bytes == WEB_PAGE_BYTES;

	if (system == &bench_web_iperf3)
		return cell->remote && !is_page;
	return !keeps_open(system) || is_page;
}

/* Who is asked, and for what. */
struct target {
	unsigned port;
	const char *path;
	const char *dir; /* whose files the kernel forgets for a cold sample; NULL: none */
};

static dvs_err measure(const struct bench_lab *lab, const struct bench_cell *cell,
		       const struct target *target, unsigned ms, struct bench_sample *sample,
		       struct bench_fault *fault)
{
	bool is_cold = cell->pattern == BENCH_WEB_COLD && target->dir;
	char numbers[4][24];
	const struct bench_command command = {
		.path = BENCH_SELF,
		.argv = { "dvs", "bench", "work", "web", "--port", numbers[0], "--bytes",
			  numbers[1], "--connections", numbers[2], "--ms", numbers[3], "--path",
			  target->path, is_cold ? "--drop" : NULL, target->dir, NULL },
		.heard = true,
	};

	snprintf(numbers[0], sizeof(numbers[0]), "%u", target->port);
	snprintf(numbers[1], sizeof(numbers[1]), "%zu", cell->bytes);
	snprintf(numbers[2], sizeof(numbers[2]), "%u", cell->clients);
	snprintf(numbers[3], sizeof(numbers[3]), "%u", ms);
	return bench_command_sample(lab, node_of(cell), &command, sample, fault);
}

static dvs_err nginx_start(struct bench_lab *lab, struct bench_fault *fault)
{
	dvs_err err = bench_web_nginx(lab, FILES_SERVER_NODE, fault);

	return err ? err : bench_web_nginx(lab, FILES_CLIENT_NODE, fault);
}

static dvs_err host_measure(struct bench_lab *lab, const struct bench_system *system,
			    const struct bench_cell *cell, const struct bench_options *options,
			    struct bench_sample *sample, struct bench_fault *fault)
{
	return measure(lab, cell, &(struct target){ nginx_port(system), "/tmpfs", NULL },
		       options->sample_ms, sample, fault);
}

const struct bench_system bench_web_nginx_host = {
	.name = "nginx-host",
	.summary = "nginx, serving from the host's file system in memory: configuration A",
	.class = BENCH_KERNEL,
	.patterns = UINT64_C(1) << BENCH_WEB_WARM,
	.measure = host_measure,
	.start = nginx_start,
};

static dvs_err mounted_measure(struct bench_lab *lab, const struct bench_system *system,
			       const struct bench_cell *cell, const struct bench_options *options,
			       struct bench_sample *sample, struct bench_fault *fault)
{
	char path[32], dir[64];

	snprintf(path, sizeof(path), "/%s", bench_files_store_name(store_of(cell)));
	snprintf(dir, sizeof(dir), FILES_DIR "%s", path);
	return measure(lab, cell, &(struct target){ nginx_port(system), path, dir },
		       options->sample_ms, sample, fault);
}

const struct bench_system bench_web_nginx_dvs = {
	.name = "nginx-dvs",
	.summary = "the same nginx, serving from a file system of a DC that is mounted",
	.class = BENCH_DVS,
	.patterns = BOTH_PATTERNS,
	.measure = mounted_measure,
	.start = nginx_start,
};

/* Its open_file_cache, with 2000 files. */
const struct bench_system bench_web_nginx_host_open = {
	.name = "nginx-host-open",
	.summary = "nginx over the host's file system, which keeps files open",
	.class = BENCH_KERNEL,
	.patterns = UINT64_C(1) << BENCH_WEB_WARM,
	.measure = host_measure,
	.start = nginx_start,
};
const struct bench_system bench_web_nginx_dvs_open = {
	.name = "nginx-dvs-open",
	.summary = "nginx over a file system of a DC, which keeps files open",
	.class = BENCH_DVS,
	.patterns = UINT64_C(1) << BENCH_WEB_WARM,
	.measure = mounted_measure,
	.start = nginx_start,
};

static dvs_err nweb_measure(struct bench_lab *lab, const struct bench_system *system,
			    const struct bench_cell *cell, const struct bench_options *options,
			    struct bench_sample *sample, struct bench_fault *fault)
{
	enum files_store store = store_of(cell);
	dvs_err err = bench_web_nweb(lab, node_of(cell), store, fault);

	(void)system;
	/* It remembers nothing, so there is nothing to forget. */
	return err ? err :
		     measure(lab, cell, &(struct target){ WEB_PORT_NWEB + store, "/", NULL },
			     options->sample_ms, sample, fault);
}

const struct bench_system bench_web_nweb_dvs = {
	.name = "nweb",
	.summary = "nweb, which asks the file server by M3-IPC: nothing is remembered",
	.class = BENCH_DVS,
	.patterns = BOTH_PATTERNS,
	.measure = nweb_measure,
};

const struct bench_system bench_web_iperf3 = {
	.name = "iperf3",
	.summary = "one TCP stream between the nodes: what the network carries",
	.class = BENCH_LIMIT,
	.patterns = UINT64_C(1) << BENCH_WEB_COLD,
	.measure = bench_files_iperf3_measure,
	.start = bench_files_iperf3_start,
	.stop = bench_pull_stop,
};
