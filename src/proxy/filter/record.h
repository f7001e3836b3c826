/* SPDX-License-Identifier: Apache-2.0 */
/* The records of TLS 1.3 (RFC 8446, section 5) after the handshake, by OpenSSL's ciphers with the keys that the handshake agreed on.
 *
 * OpenSSL's own connection object copies what it sends twice and what it receives twice, and is for one thread at a time. Here each byte is
 * sealed from where it lies into what is sent, and opened from what came to where it belongs; and the two directions have nothing in common.
 * What is on the wire is the same. */
#ifndef PROXY_FILTER_RECORD_H
#define PROXY_FILTER_RECORD_H

#include <openssl/ssl.h>

#include "proxy/filter/aead.h"
#include "proxy/stream.h"

#define RECORD_SECRET_MAX 48u /* of SHA-384 */

struct record_secret {
	uint8_t bytes[RECORD_SECRET_MAX];
	size_t len; /* 0: there is none */
};

struct record_setup {
	const SSL_CIPHER *cipher;
	const struct aead_ipsec *library; /* NULL: OpenSSL does it; lives as long as the stream */
	/* client's and server's application traffic secrets, as for this side */
	const struct record_secret *sending;
	const struct record_secret *receiving;
	uint64_t rekey_records; /* new keys for what is sent after so many */
	/* What came behind the handshake already. */
	const uint8_t *ahead;
	size_t ahead_bytes;
};

/* NULL: no memory, or the cipher is none of those that we ask for. LOWER is taken by the stream, unless it is NULL. */
struct stream *record_stream(struct stream *lower, const struct record_setup *setup);

#endif
