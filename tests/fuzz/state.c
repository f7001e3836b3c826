/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as the state file, and as commands without checksums: what is accepted must
 * give a whole core, which a snapshot copies exactly. */
#include <assert.h>
#include <stdlib.h>

#include "fuzz.h"
#include "node/api.h"

static dvs_err feed(void *context, const struct core_command *command)
{
	struct core_effects effects = { 0 };
	dvs_err err = core_step(context, command, &effects);

	core_effects_free(&effects);
	return err;
}

static void check_copy(const struct core *core)
{
	struct core *copy;
	dvs_err err = core_create(&copy);

	assert(err == DVS_OK);
	err = core_snapshot(core, feed, copy);
	assert(err == DVS_OK);
	assert(core_digest(copy) == core_digest(core));
	core_destroy(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options options = { .log_level = LOG_LEVEL_ERROR };
	struct host *host = calloc(1, sizeof(*host));
	struct cursor in = cursor_over(data, size);

	assert(host && host_init(host, &options) == DVS_OK);
	host->log.fd = -1;
	state_replay(host, data, size);
	while (cursor_left(&in) > 0) {
		struct core_command command;
		size_t len = cursor_u8(&in);
		struct cursor body;

		if (len > cursor_left(&in))
			len = cursor_left(&in);
		body = cursor_over(cursor_borrow(&in, len), len);
		if (core_command_decode(&body, &command) == DVS_OK)
			(void)!core_step(host->core, &command, &host->effects);
	}
	(void)!core_step(host->core, &(struct core_command){ .op = CORE_NODE_DOWN, .node = 61 },
			 &host->effects);
	check_copy(host->core);
	host_free(host);
	free(host);
	return 0;
}
