/* SPDX-License-Identifier: Apache-2.0 */
/* dvsd: the daemon of one node. It says who may talk to whom and hands out the memory for it;
 * no message passes through it. */
#include <stdlib.h>

#include "node/api.h"
#include "node/options.h"

/* As usual: 1 for a failure, 2 for a wrong command line. */
#define EXIT_USAGE 2

int main(int argc, char **argv)
{
	static struct host host;
	static struct options options;
	enum options_result result = options_parse(argc, argv, &options);
	dvs_err err;

	if (result != OPTIONS_RUN)
		return result == OPTIONS_EXIT ? EXIT_SUCCESS : EXIT_USAGE;
	err = host_open(&host, &options);
	if (err == DVS_OK)
		host_run(&host);
	else
		log_error(&host.log, "cannot start", LOG_STR("why", dvs_strerror(err)));
	host_close(&host);
	return err == DVS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
