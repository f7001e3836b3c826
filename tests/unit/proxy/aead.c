/* SPDX-License-Identifier: Apache-2.0 */
/* The ciphers of records: whoever makes them, what one seals the other opens, and nothing else. */
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "proxy/filter/aead.h"

#include "pair.h"
#include "unit.h"

#define RECORD_BYTES ((size_t)16385)
#define HEAD_BYTES 5u

static const char *const suites[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
				      "TLS_CHACHA20_POLY1305_SHA256" };

/* Both sides of one cipher: by OpenSSL, and by what is taken where there is something faster. */
struct both {
	SSL_CTX *context;
	SSL *ssl;
	struct aead_ipsec *library;
	struct aead *seals[2];
	struct aead *opens[2];
};

static const SSL_CIPHER *cipher_named(SSL *ssl, const char *name)
{
	STACK_OF(SSL_CIPHER) *all = SSL_get_ciphers(ssl);

	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++)
		if (strcmp(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i)), name) == 0)
			return sk_SSL_CIPHER_value(all, i);
	ck_abort_msg("OpenSSL has no %s", name);
}

static void both_open(struct both *both, const char *suite)
{
	const SSL_CIPHER *cipher;
	uint8_t key[AEAD_KEY_BYTES_MAX];

	both->context = SSL_CTX_new(TLS_method());
	ck_assert_int_eq(SSL_CTX_set_ciphersuites(both->context, suite), 1);
	both->ssl = SSL_new(both->context);
	both->library = aead_ipsec_open();
	cipher = cipher_named(both->ssl, suite);
	both->seals[0] = aead_openssl(cipher, true);
	both->opens[0] = aead_openssl(cipher, false);
	both->seals[1] = aead_open(cipher, true, both->library);
	both->opens[1] = aead_open(cipher, false, both->library);
	pair_fill(key, sizeof(key), 7);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert(both->seals[i] && both->opens[i]);
		ck_assert_uint_eq(both->seals[i]->key_bytes, both->seals[0]->key_bytes);
		ck_assert(aead_use_key(both->seals[i], key) && aead_use_key(both->opens[i], key));
	}
}

static void both_close(struct both *both)
{
	for (unsigned i = 0; i < 2; i++) {
		aead_close(both->seals[i]);
		aead_close(both->opens[i]);
	}
	aead_ipsec_close(both->library);
	SSL_free(both->ssl);
	SSL_CTX_free(both->context);
}

struct sealed {
	uint8_t nonce[AEAD_NONCE_BYTES];
	uint8_t head[HEAD_BYTES];
	uint8_t bytes[RECORD_BYTES];
	uint8_t tag[AEAD_TAG_BYTES];
	size_t len;
};

/* In pieces of at most PIECE. */
static bool pass(struct aead *aead, const struct sealed *by, uint8_t *out, const uint8_t *in,
		 size_t piece)
{
	bool is_done = aead_begin(aead, by->nonce, by->head, HEAD_BYTES);

	for (size_t at = 0; is_done && at < by->len; at += piece)
		is_done = aead_update(aead, out + at, in + at,
				      by->len - at < piece ? by->len - at : piece);
	return is_done;
}

static void seal(struct aead *aead, struct sealed *sealed, const uint8_t *plain, size_t len,
		 size_t piece)
{
	sealed->len = len;
	pair_fill(sealed->nonce, sizeof(sealed->nonce), len + piece);
	pair_fill(sealed->head, sizeof(sealed->head), len);
	ck_assert(pass(aead, sealed, sealed->bytes, plain, piece));
	ck_assert(aead_tag(aead, sealed->tag));
}

static bool opens(struct aead *aead, const struct sealed *sealed, const uint8_t *plain)
{
	static uint8_t room[RECORD_BYTES];

	memset(room, 0, sizeof(room));
	return pass(aead, sealed, room, sealed->bytes, RECORD_BYTES) &&
	       aead_check(aead, sealed->tag) && memcmp(room, plain, sealed->len) == 0;
}

static void check_sealing(const char *suite)
{
	static const size_t lengths[] = { 0, 1, 15, 16, 17, 255, 1000, 16384, RECORD_BYTES };
	static const size_t pieces[] = { 1, 7, 16, 100, 4096, RECORD_BYTES };
	uint8_t *plain = malloc(RECORD_BYTES);
	struct sealed *sealed[2] = { malloc(sizeof(**sealed)), malloc(sizeof(**sealed)) };
	struct both both;

	pair_fill(plain, RECORD_BYTES, 1);
	both_open(&both, suite);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
			for (unsigned by = 0; by < 2; by++)
				seal(both.seals[by], sealed[by], plain, lengths[i], pieces[k]);
			ck_assert_mem_eq(sealed[0]->bytes, sealed[1]->bytes, lengths[i]);
			ck_assert_mem_eq(sealed[0]->tag, sealed[1]->tag, AEAD_TAG_BYTES);
			ck_assert(opens(both.opens[0], sealed[1], plain));
			ck_assert(opens(both.opens[1], sealed[0], plain));
		}
	}
	both_close(&both);
	free(sealed[0]);
	free(sealed[1]);
	free(plain);
}

TEST(what_one_seals_the_other_opens)
{
	for (size_t i = 0; i < ARRAY_LEN(suites); i++)
		check_sealing(suites[i]);
}
END_TEST

static void check_changes(const char *suite)
{
	uint8_t *plain = malloc(RECORD_BYTES);
	struct sealed *sealed = malloc(sizeof(*sealed));
	struct both both;

	pair_fill(plain, RECORD_BYTES, 2);
	both_open(&both, suite);
	seal(both.seals[0], sealed, plain, 1000, 1000);
	for (unsigned by = 0; by < 2; by++) {
		uint8_t *const spoilt[] = { &sealed->nonce[3], &sealed->head[4],
					    &sealed->bytes[0], &sealed->bytes[999],
					    &sealed->tag[0],   &sealed->tag[AEAD_TAG_BYTES - 1] };

		for (size_t i = 0; i < ARRAY_LEN(spoilt); i++) {
			*spoilt[i] ^= 1;
			ck_assert(!opens(both.opens[by], sealed, plain));
			*spoilt[i] ^= 1;
			ck_assert(opens(both.opens[by], sealed, plain));
		}
	}
	both_close(&both);
	free(sealed);
	free(plain);
}

TEST(what_was_changed_is_not_opened)
{
	for (size_t i = 0; i < ARRAY_LEN(suites); i++)
		check_changes(suites[i]);
}
END_TEST

UNIT_MAIN("proxy-aead", what_one_seals_the_other_opens, what_was_changed_is_not_opened)
