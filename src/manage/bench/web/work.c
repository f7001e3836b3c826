/* SPDX-License-Identifier: Apache-2.0 */
/* What a client of `dvs bench web` does, on its node: it prints how many files per second came, and how long one took on average, in ns. And how the site comes to be. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "manage/bench/web/load.h"
#include "manage/bench/web/site.h"
#include "manage/bench/web/web.h"

/* ARGUMENTS_RUN, or the status to exit with. */
static int parse(int argc, char **argv, struct load *load)
{
	uint32_t port = 0, bytes = 0, connections = 1, ms = 0;
	const struct argument rows[] = {
		{ .name = "port",
		  .value = "N",
		  .help = "of the web server on 127.0.0.1",
		  .kind = ARGUMENT_NUMBER,
		  .is_needed = true,
		  .to = &port,
		  .least = 1,
		  .most = UINT16_MAX },
		{ .name = "path",
		  .value = "PATH",
		  .help = "of the site; default: the root",
		  .kind = ARGUMENT_PATH,
		  .to = &load->path },
		{ .name = "bytes",
		  .value = "N",
		  .help = "of a file",
		  .kind = ARGUMENT_NUMBER,
		  .is_needed = true,
		  .to = &bytes,
		  .least = SITE_BLOCK_BYTES,
		  .most = WEB_FILE_BYTES_MAX },
		{ .name = "connections",
		  .value = "N",
		  .help = "default 1",
		  .kind = ARGUMENT_NUMBER,
		  .to = &connections,
		  .least = 1,
		  .most = WEB_CONNECTIONS_MAX },
		{ .name = "ms",
		  .value = "N",
		  .help = "milliseconds; default: one file",
		  .kind = ARGUMENT_NUMBER,
		  .to = &ms,
		  .most = 3600000 },
		{ .name = "drop",
		  .value = "DIR",
		  .help = "the site's directory: the kernel forgets its files before they are loaded",
		  .kind = ARGUMENT_PATH,
		  .to = &load->drop },
	};
	const struct arguments arguments = {
		.program = "dvs bench work web",
		.synopsis = "--port N --bytes N [options]",
		.about = "Load files by HTTP, and look at what comes.",
		.rows = rows,
		.n_rows = ARRAY_LEN(rows),
	};
	int first;
	int status;

	optind = 0; /* the command line of dvs has been read by the same means */
	status = arguments_parse(&arguments, argc - 1, argv + 1, &first);
	load->port = (uint16_t)port;
	load->bytes = bytes;
	load->connections = connections;
	load->duration_ns = ms * CLOCK_NS_PER_MS;
	return status;
}

int bench_web_work_main(int argc, char **argv)
{
	struct load load = { .path = "/" };
	struct load_done done = { .per_s = 0 };
	struct bench_fault fault = { .text = "" };
	int status = parse(argc, argv, &load);

	if (status != ARGUMENTS_RUN)
		return status;
	if (strcmp(load.path, "/") == 0)
		load.path = "";
	if (load_run(&load, &done, &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		return EXIT_FAILURE;
	}
	printf("%.3f %.1f\n", done.per_s, done.latency_ns);
	return 0;
}

int bench_site_work_main(int argc, char **argv)
{
	struct bench_fault fault = { .text = "" };

	if (argc != 3) {
		fprintf(stderr, "usage: dvs bench work site DIRECTORY\n");
		return EXIT_USAGE;
	}
	if (site_make(argv[2], &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		return EXIT_FAILURE;
	}
	return 0;
}
