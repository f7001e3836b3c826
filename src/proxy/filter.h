/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream goes through on its way: a filter wraps one stream into another. A new one is a file in filter/ and a
 * row in filter.c. */
#ifndef PROXY_FILTER_H
#define PROXY_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/log.h"
#include "config/config.h"
#include "proxy/stream.h"

struct filter_setup {
	const struct config *config;
	uint32_t node;
	uint32_t peer;
	uint64_t rekey_records; /* a new key after so many records; 0: as it is best */
};

/* What an implementation begins with; one for each link. */
struct filter {
	const struct filter_ops *ops;
};

struct filter_ops {
	const char *name;
	/* Says who the peer is: it is there before the peers greet each other. The others begin after that, so that
	 * a peer with other filters can be told. */
	bool secures;
	/* TEXT gets the reason of a failure: what, why, what to try. BADARG; NOMEM; IO. */
	dvs_err (*open)(const struct filter_setup *setup, struct filter **filter, char *text,
			size_t text_bytes);
	/* Both sides do it at once, by DEADLINE_NS; LISTENS: it is the one that was called. LOWER is taken by the new
	 * stream when it is OK, and stays the caller's otherwise. */
	dvs_err (*wrap)(struct filter *filter, struct stream *lower, bool listens,
			uint64_t deadline_ns, struct stream **upper, char *text, size_t text_bytes);
	/* The streams are closed already. */
	void (*close)(struct filter *filter);
};

extern const struct filter_ops filter_zstd;
extern const struct filter_ops filter_lz4;
extern const struct filter_ops filter_tls;

const struct filter_ops *filter_find(enum config_filter which);

#endif
