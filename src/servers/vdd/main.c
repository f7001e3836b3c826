/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-vdd: serves the volumes of a DC that have a replica on this node. Started by dvs-agent; it outlives it. */
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arguments.h"
#include "base/err.h"
#include "base/rights.h"
#include "servers/vdd/process.h"

static int parse(int argc, char **argv, struct process_options *options)
{
	const struct argument rows[] = {
		{ "run-dir", "DIR", "of dvsd", ARGUMENT_DIR, .is_needed = true,
		  .to = options->run_dir, .size = sizeof(options->run_dir) },
		{ "lib-dir", "DIR", "for what volumes keep", ARGUMENT_DIR, .is_needed = true,
		  .to = options->lib_dir, .size = sizeof(options->lib_dir) },
		{ "dc", "NAME", "the DC", ARGUMENT_NAME, .is_needed = true, .to = options->dc,
		  .size = sizeof(options->dc) },
		{ "node", "N", "number of this node", ARGUMENT_NUMBER, .is_needed = true,
		  .to = &options->node, .most = DVS_NODES_MAX - 1 },
		{ "log-level", "LEVEL", ARGUMENT_LEVEL_HELP, ARGUMENT_LEVEL,
		  .to = &options->log_level },
	};
	const struct arguments arguments = {
		.program = "dvs-vdd",
		.synopsis = "--run-dir DIR --lib-dir DIR --dc NAME --node N [options]",
		.about = "Serve the volumes of a DC that have a replica on this node. dvs-agent"
			 " starts it when there are some.",
		.rows = rows,
		.n_rows = ARRAY_LEN(rows),
	};
	int first;

	return arguments_parse(&arguments, argc, argv, &first);
}

int main(int argc, char **argv)
{
	static struct process process;
	int status;
	dvs_err err;

	process.options.log_level = LOG_LEVEL_INFO;
	status = parse(argc, argv, &process.options);
	if (status != ARGUMENTS_RUN)
		return status;
	process.log = log_to_stderr(process.options.log_level);
	(void)signal(SIGPIPE, SIG_IGN);
	/* A file that may not grow is an error of the write. */
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)umask(077);
	/* It stays user 0: dvsd's admin socket is root's, and so are devices and files. CAP_DAC_OVERRIDE: a device that belongs to group "disk" and another user, the socket of a DC whose owner is somebody else. io_uring, files, sockets and
	 * shared memory need no other. */
	err = rights_keep(RIGHT(CAP_DAC_OVERRIDE));
	if (!err)
		err = process_run(&process);
	if (err)
		log_error(&process.log, "the server of volumes ends",
			  LOG_STR("dc", process.options.dc), LOG_STR("why", dvs_strerror(err)));
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
