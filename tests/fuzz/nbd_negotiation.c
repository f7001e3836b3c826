/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the NBD server that says arbitrary bytes before it has chosen an export: each unit is taken as a whole or not at all, there is an end, and
 * nothing is told before TLS when that is demanded. */
#include "gateways/nbd/negotiate.h"

#include <assert.h>
#include <string.h>

#include "fuzz.h"

static dvs_err list(void *context, struct nbd_names *names)
{
	(void)context;
	memcpy(names->name[names->n++], "disk", 5);
	return DVS_OK;
}

static dvs_err look(void *context, const char *name, struct nbd_info *info)
{
	const struct negotiation *negotiation = context;

	assert(negotiation->tls != NEGOTIATION_MUST_TLS);
	assert(strlen(name) < NBD_NAME_BYTES);
	*info = (struct nbd_info){ .bytes = 1 << 20, .name = "disk" };
	return name[0] == 'd' || !name[0] ? DVS_OK : DVS_NOTFOUND;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct negotiation_ops ops = { .list = list, .look = look };
	struct negotiation negotiation;
	enum negotiation_step step = NEGOTIATION_MORE;
	size_t at = 1;

	if (size == 0)
		return 0;
	negotiation_init(&negotiation, &ops, &negotiation,
			 data[0] & 1 ? NEGOTIATION_MUST_TLS : NEGOTIATION_NO_TLS);
	while (step == NEGOTIATION_MORE || step == NEGOTIATION_TLS) {
		size_t used;

		negotiation.out_bytes = 0;
		step = negotiation_feed(&negotiation, data + at, size - at, &used);
		assert(used <= size - at);
		at += used;
		if (used == 0 && step == NEGOTIATION_MORE)
			break;
	}
	if (step == NEGOTIATION_TRANSMIT)
		assert(negotiation.rules.bytes == 1 << 20 && negotiation.out_bytes >= 10);
	negotiation_free(&negotiation);
	return 0;
}
