/* SPDX-License-Identifier: Apache-2.0 */
/* What a new machine needs to become a node, in one file that only its owner can read: the number, the certificate and the key of the node, the
 * authority's certificate, corosync's key, and the configuration of both.
 *
 *	dvs-join 1 SHA-256 of the rest, in hexadecimal digits
 *	{ one JSON object }
 *
 * The sum finds damage. Who made the file cannot be seen from it: it must come by a way that is as safe as the machine. */
#ifndef MANAGE_CLUSTER_BUNDLE_H
#define MANAGE_CLUSTER_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "config/config.h"
#include "manage/cluster/ca.h"
#include "manage/cluster/nodelist.h"

#define BUNDLE_BYTES_MAX (256u * 1024u)
#define BUNDLE_WHY_MAX 640u
#define BUNDLE_AUTHKEY_MAX 4096u

struct bundle {
	struct config config; /* of the new node */
	struct ca_pem ca;
	struct ca_pem cert;
	struct ca_pem key;
	unsigned char authkey[BUNDLE_AUTHKEY_MAX];
	size_t authkey_bytes;
	char *corosync_conf;
	struct nodelist nodes; /* what corosync_conf says; set by bundle_read() */
};

/* NULL is fine. Wiped. */
void bundle_free(struct bundle *bundle);

/* Write it as text, for the caller to wipe and free. NOMEM. */
DVS_MUST_USE dvs_err bundle_write(const struct bundle *bundle, char **bytes, size_t *len);

/* Read and check all of it: the sum, each part, and that the parts belong together. BUNDLE is to be freed only after DVS_OK. BADARG: WHY says what is
 * wrong. NOMEM. */
DVS_MUST_USE dvs_err bundle_read(const void *bytes, size_t len, struct bundle **bundle,
				 char why[BUNDLE_WHY_MAX]);

#endif
