/* SPDX-License-Identifier: Apache-2.0 */
/* AES-GCM by Intel's library of ciphers (libipsec-mb), for CPUs whose widest vectors can do AES: there a byte costs less than half of what it costs OpenSSL
 * before 3.1. */
/* Without the names of its former versions, some of which are OpenSSL's. */
#define NO_COMPAT_IMB_API_053
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "proxy/filter/aead.h"

#define NEEDS (IMB_FEATURE_AVX512_SKX | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ)
/* Its keys are read with aligned instructions. */
#define KEY_ALIGN 64u
#define KEY_ROOM ((sizeof(struct gcm_key_data) + KEY_ALIGN - 1) & ~(size_t)(KEY_ALIGN - 1))

struct aead_ipsec {
	IMB_MGR *functions;
};

/* The functions for one direction and one length of keys. */
struct ipsec {
	struct aead aead;
	aes_gcm_pre_t pre;
	aes_gcm_init_t init;
	aes_gcm_enc_dec_update_t update;
	aes_gcm_enc_dec_finalize_t finalize;
	struct gcm_key_data *key;
	struct gcm_context_data record;
};

static struct ipsec *ipsec_of(struct aead *aead)
{
	return CONTAINER_OF(aead, struct ipsec, aead);
}

struct aead_ipsec *aead_ipsec_open(void)
{
	AUTO_FREE struct aead_ipsec *library = calloc(1, sizeof(*library));
	bool is_fit;

	if (!library)
		return NULL;
	library->functions = alloc_mb_mgr(0);
	if (!library->functions)
		return NULL;
	is_fit = (library->functions->features & NEEDS) == NEEDS;
	if (is_fit) {
		init_mb_mgr_avx512(library->functions);
		is_fit = imb_get_errno(library->functions) == 0;
	}
	if (!is_fit) {
		free_mb_mgr(library->functions);
		return NULL;
	}
	return TAKE_PTR(library);
}

void aead_ipsec_close(struct aead_ipsec *library)
{
	if (!library)
		return;
	free_mb_mgr(library->functions);
	free(library);
}

static bool ipsec_use_key(struct aead *aead, const uint8_t *key)
{
	struct ipsec *ipsec = ipsec_of(aead);

	ipsec->pre(key, ipsec->key);
	return true;
}

static bool ipsec_begin(struct aead *aead, const uint8_t *nonce, const uint8_t *head,
			size_t head_bytes)
{
	struct ipsec *ipsec = ipsec_of(aead);

	ipsec->init(ipsec->key, &ipsec->record, nonce, head, head_bytes);
	return true;
}

static bool ipsec_update(struct aead *aead, uint8_t *out, const uint8_t *in, size_t len)
{
	struct ipsec *ipsec = ipsec_of(aead);

	if (len > 0)
		ipsec->update(ipsec->key, &ipsec->record, out, in, len);
	return true;
}

static bool ipsec_tag(struct aead *aead, uint8_t *tag)
{
	struct ipsec *ipsec = ipsec_of(aead);

	ipsec->finalize(ipsec->key, &ipsec->record, tag, AEAD_TAG_BYTES);
	return true;
}

static bool ipsec_check(struct aead *aead, const uint8_t *tag)
{
	uint8_t ours[AEAD_TAG_BYTES];

	return ipsec_tag(aead, ours) && CRYPTO_memcmp(ours, tag, sizeof(ours)) == 0;
}

static void ipsec_close(struct aead *aead)
{
	struct ipsec *ipsec = ipsec_of(aead);

	if (ipsec->key)
		OPENSSL_cleanse(ipsec->key, KEY_ROOM);
	free(ipsec->key);
	OPENSSL_cleanse(&ipsec->record, sizeof(ipsec->record));
	free(ipsec);
}

static const struct aead_ops ipsec_ops = {
	.use_key = ipsec_use_key,
	.begin = ipsec_begin,
	.update = ipsec_update,
	.tag = ipsec_tag,
	.check = ipsec_check,
	.close = ipsec_close,
};

/* False: there are none for CIPHER. */
static bool choose(struct ipsec *ipsec, const SSL_CIPHER *cipher, bool seals,
		   const IMB_MGR *functions)
{
	switch (SSL_CIPHER_get_cipher_nid(cipher)) {
	case NID_aes_128_gcm:
		ipsec->aead.key_bytes = 16;
		ipsec->pre = functions->gcm128_pre;
		ipsec->init = functions->gcm128_init;
		ipsec->update = seals ? functions->gcm128_enc_update : functions->gcm128_dec_update;
		ipsec->finalize = seals ? functions->gcm128_enc_finalize :
					  functions->gcm128_dec_finalize;
		return true;
	case NID_aes_256_gcm:
		ipsec->aead.key_bytes = 32;
		ipsec->pre = functions->gcm256_pre;
		ipsec->init = functions->gcm256_init;
		ipsec->update = seals ? functions->gcm256_enc_update : functions->gcm256_dec_update;
		ipsec->finalize = seals ? functions->gcm256_enc_finalize :
					  functions->gcm256_dec_finalize;
		return true;
	default:
		return false;
	}
}

struct aead *aead_ipsec(const SSL_CIPHER *cipher, bool seals, const struct aead_ipsec *library)
{
	struct ipsec *ipsec = calloc(1, sizeof(*ipsec));

	if (!ipsec)
		return NULL;
	ipsec->aead.ops = &ipsec_ops;
	ipsec->key = aligned_alloc(KEY_ALIGN, KEY_ROOM);
	if (ipsec->key && choose(ipsec, cipher, seals, library->functions))
		return &ipsec->aead;
	ipsec_close(&ipsec->aead);
	return NULL;
}
