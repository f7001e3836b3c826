/* SPDX-License-Identifier: Apache-2.0 */
/* The cipher of TLS 1.3's records for one direction: one record after the other, each of any number of pieces. By OpenSSL; or, for AES-GCM, by Intel's
 * library where that is faster (docs/decisions/0014). */
#ifndef PROXY_FILTER_AEAD_H
#define PROXY_FILTER_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/compiler.h"

#define AEAD_NONCE_BYTES 12u
#define AEAD_TAG_BYTES 16u
#define AEAD_KEY_BYTES_MAX 32u

struct aead;

struct aead_ops {
	bool (*use_key)(struct aead *aead, const uint8_t *key);
	bool (*begin)(struct aead *aead, const uint8_t *nonce, const uint8_t *head,
		      size_t head_bytes);
	bool (*update)(struct aead *aead, uint8_t *out, const uint8_t *in, size_t len);
	bool (*tag)(struct aead *aead, uint8_t *tag);
	bool (*check)(struct aead *aead, const uint8_t *tag);
	void (*close)(struct aead *aead);
};

struct aead {
	const struct aead_ops *ops;
	size_t key_bytes; /* at most AEAD_KEY_BYTES_MAX */
};

/* NULL: no memory, or CIPHER is none of those that can do this. */
struct aead *aead_openssl(const SSL_CIPHER *cipher, bool seals);

/* Intel's library. It does not change, so that several threads can use it. */
struct aead_ipsec;
/* NULL: it is not built in, or this CPU lacks the instructions that make it faster, or no memory. */
struct aead_ipsec *aead_ipsec_open(void);
/* What uses it is closed. NULL is fine. */
void aead_ipsec_close(struct aead_ipsec *library);
/* NULL: no memory, or it does not know CIPHER. */
struct aead *aead_ipsec(const SSL_CIPHER *cipher, bool seals, const struct aead_ipsec *library);

/* The faster one. LIBRARY may be NULL. */
static inline struct aead *aead_open(const SSL_CIPHER *cipher, bool seals,
				     const struct aead_ipsec *library)
{
	struct aead *aead = library ? aead_ipsec(cipher, seals, library) : NULL;

	return aead ? aead : aead_openssl(cipher, seals);
}

/* From the next record on. KEY has key_bytes. */
MUST_USE static inline bool aead_use_key(struct aead *aead, const uint8_t *key)
{
	return aead->ops->use_key(aead, key);
}

/* A record with HEAD before it, which is not hidden. A NONCE is used only once with a key. */
MUST_USE static inline bool aead_begin(struct aead *aead, const uint8_t nonce[AEAD_NONCE_BYTES],
				       const uint8_t *head, size_t head_bytes)
{
	return aead->ops->begin(aead, nonce, head, head_bytes);
}

/* LEN bytes more, from IN to OUT. */
MUST_USE static inline bool aead_update(struct aead *aead, uint8_t *out, const void *in, size_t len)
{
	return aead->ops->update(aead, out, in, len);
}

/* The end of a record that is sealed. */
MUST_USE static inline bool aead_tag(struct aead *aead, uint8_t tag[AEAD_TAG_BYTES])
{
	return aead->ops->tag(aead, tag);
}

/* The end of one that is opened. False: it was not sealed so. */
MUST_USE static inline bool aead_check(struct aead *aead, const uint8_t tag[AEAD_TAG_BYTES])
{
	return aead->ops->check(aead, tag);
}

/* Wipes the keys. NULL is fine. */
static inline void aead_close(struct aead *aead)
{
	if (aead)
		aead->ops->close(aead);
}

#endif
