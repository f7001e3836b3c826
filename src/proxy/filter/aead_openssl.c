/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/filter/aead.h"

struct openssl {
	struct aead aead;
	bool seals;
	EVP_CIPHER_CTX *context;
};

static struct openssl *openssl_of(struct aead *aead)
{
	return CONTAINER_OF(aead, struct openssl, aead);
}

static bool openssl_use_key(struct aead *aead, const uint8_t *key)
{
	struct openssl *openssl = openssl_of(aead);

	return EVP_CipherInit_ex(openssl->context, NULL, NULL, key, NULL, openssl->seals) == 1;
}

static bool openssl_begin(struct aead *aead, const uint8_t *nonce, const uint8_t *head,
			  size_t head_bytes)
{
	EVP_CIPHER_CTX *context = openssl_of(aead)->context;
	int n;

	return EVP_CipherInit_ex(context, NULL, NULL, NULL, nonce, -1) == 1 &&
	       EVP_CipherUpdate(context, NULL, &n, head, (int)head_bytes) == 1;
}

static bool openssl_update(struct aead *aead, uint8_t *out, const uint8_t *in, size_t len)
{
	int n = 0;

	return EVP_CipherUpdate(openssl_of(aead)->context, out, &n, in, (int)len) == 1 &&
	       n == (int)len;
}

static bool openssl_tag(struct aead *aead, uint8_t *tag)
{
	EVP_CIPHER_CTX *context = openssl_of(aead)->context;
	int none;

	return EVP_CipherFinal_ex(context, tag, &none) == 1 &&
	       EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, tag) == 1;
}

static bool openssl_check(struct aead *aead, const uint8_t *tag)
{
	EVP_CIPHER_CTX *context = openssl_of(aead)->context;
	uint8_t copy[AEAD_TAG_BYTES];
	int none;

	memcpy(copy, tag, sizeof(copy));
	return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, copy) == 1 &&
	       EVP_CipherFinal_ex(context, copy, &none) == 1;
}

static void openssl_close(struct aead *aead)
{
	struct openssl *openssl = openssl_of(aead);

	EVP_CIPHER_CTX_free(openssl->context);
	free(openssl);
}

static const struct aead_ops openssl_ops = {
	.use_key = openssl_use_key,
	.begin = openssl_begin,
	.update = openssl_update,
	.tag = openssl_tag,
	.check = openssl_check,
	.close = openssl_close,
};

struct aead *aead_openssl(const SSL_CIPHER *cipher, bool seals)
{
	const EVP_CIPHER *which = EVP_get_cipherbynid(SSL_CIPHER_get_cipher_nid(cipher));
	struct openssl *openssl = calloc(1, sizeof(*openssl));

	if (!openssl)
		return NULL;
	openssl->aead.ops = &openssl_ops;
	openssl->seals = seals;
	openssl->context = EVP_CIPHER_CTX_new();
	if (which && openssl->context &&
	    EVP_CipherInit_ex(openssl->context, which, NULL, NULL, NULL, seals) == 1 &&
	    EVP_CIPHER_CTX_get_iv_length(openssl->context) == (int)AEAD_NONCE_BYTES)
		openssl->aead.key_bytes = (size_t)EVP_CIPHER_CTX_get_key_length(openssl->context);
	if (openssl->aead.key_bytes > 0 && openssl->aead.key_bytes <= AEAD_KEY_BYTES_MAX)
		return &openssl->aead;
	openssl_close(&openssl->aead);
	return NULL;
}
