/* SPDX-License-Identifier: Apache-2.0 */
/* The negotiation: "fixed newstyle" of the NBD protocol, as a machine that is fed what the client sends and says what to answer. It does no input or output.
 *
 * What the client sends comes in units: its flags, then one option after the other. negotiation_feed() takes one unit when it is there as a whole; options that are longer than any that has
 * a meaning are read over. */
#ifndef GATEWAYS_NBD_NEGOTIATE_H
#define GATEWAYS_NBD_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/compiler.h"
#include "gateways/nbd/backend.h"
#include "gateways/nbd/protocol.h"

/* What the server says first. */
#define NBD_GREETING_BYTES 18u
/* A string's length, as the protocol has it, and that of an option. */
#define NBD_STRING_MAX 4096u
#define NBD_OPTION_MAX 16384u
#define NBD_OPTION_HEAD_BYTES 16u
/* More than any client needs. */
#define NBD_OPTIONS_MAX 256u
#define NBD_SKIP_MAX (UINT32_C(1) << 20)
/* The only one there is. */
#define NBD_CONTEXT_NAME "base:allocation"
#define NBD_CONTEXT_ID 1u

/* Where the negotiation asks. Each may take a while. */
struct negotiation_ops {
	/* As in backend.h. */
	dvs_err (*list)(void *context, struct nbd_names *names);
	dvs_err (*look)(void *context, const char *name, struct nbd_info *info);
	/* The export that was looked at last is about to be chosen by who may write to it. WHY gets a sentence. NULL: whoever wants may. */
	dvs_err (*claim)(void *context, char why[NBD_WHY_BYTES]);
};

enum negotiation_tls {
	NEGOTIATION_NO_TLS,
	NEGOTIATION_MUST_TLS, /* nothing is told before it */
	NEGOTIATION_IN_TLS,
};

enum negotiation_step {
	NEGOTIATION_MORE,     /* of the client's bytes, or the next unit */
	NEGOTIATION_TLS,      /* send what there is, then begin TLS, then go on */
	NEGOTIATION_TRANSMIT, /* send what there is: the export is `info`, the rules are `rules` */
	NEGOTIATION_END,      /* send what there is, then close */
};

struct negotiation {
	const struct negotiation_ops *ops;
	void *context;
	enum negotiation_tls tls;
	/* its own */
	bool has_flags;
	bool is_fixed;
	bool no_zeroes;
	bool is_structured;
	uint32_t n_options;
	uint32_t skip_bytes;
	bool has_selected; /* the context, for the export of that name */
	char selected[NBD_NAME_BYTES];
	/* results */
	struct nbd_info info;
	struct nbd_rules rules;
	/* what is to be sent; whoever sends it sets out_bytes to 0 */
	uint8_t *out;
	size_t out_bytes;
	size_t out_room;
	bool failed; /* no memory */
};

void negotiation_init(struct negotiation *negotiation, const struct negotiation_ops *ops,
		      void *context, enum negotiation_tls tls);
void negotiation_free(struct negotiation *negotiation);
void negotiation_greet(uint8_t out[NBD_GREETING_BYTES]);
/* Take one unit, if it is there, from LEN bytes; *USED tells how many bytes it had (0: more are needed). At most NBD_OPTION_HEAD_BYTES + NBD_OPTION_MAX bytes are needed. */
MUST_USE enum negotiation_step negotiation_feed(struct negotiation *negotiation,
						const uint8_t *bytes, size_t len, size_t *used);

#endif
