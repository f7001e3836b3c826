/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/filter/record.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 5u
#define PLAIN_BYTES ((size_t)16384)
/* Content, its type, and the tag. */
#define SEALED_BYTES(plain) ((plain) + 1 + AEAD_TAG_BYTES)
/* What a peer may send: with padding, which ours do not use. */
#define SEALED_BYTES_MAX (PLAIN_BYTES + 256)
/* Sent when there is as much. */
#define OUT_BYTES ((size_t)128 << 10)
#define OUT_ROOM (OUT_BYTES + 2 * (HEAD_BYTES + SEALED_BYTES(PLAIN_BYTES)))
#define IN_BYTES ((size_t)192 << 10)

enum content { CONTENT_ALERT = 21, CONTENT_HANDSHAKE = 22, CONTENT_DATA = 23 };

/* The message KeyUpdate: type, length 1, and that no update is asked of the other side. */
static const uint8_t key_update[] = { 24, 0, 0, 1, 0 };

/* The keys of one direction. */
struct direction {
	struct aead *aead;
	const EVP_MD *digest;
	struct record_secret secret;
	uint8_t iv[AEAD_NONCE_BYTES];
	uint64_t seq;
};

struct record {
	struct stream stream;
	/* the sender's: */
	struct direction sending;
	uint64_t rekey_records;
	uint8_t *out; /* OUT_ROOM */
	size_t n_out;
	/* the receiver's: */
	struct direction receiving;
	uint8_t *in; /* IN_BYTES */
	size_t in_start;
	size_t in_end;
	uint8_t *plain; /* SEALED_BYTES_MAX: of a record for which there was no room */
	size_t plain_start;
	size_t plain_end;
};

/* ---- keys ---- */

static bool derive(const struct direction *direction, const char *label, uint8_t *out,
		   size_t out_bytes)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	char digest[20];
	char name[20];
	char prefix[] = "tls13 ";
	struct record_secret secret = direction->secret;
	bool is_done;

	snprintf(digest, sizeof(digest), "%s", EVP_MD_get0_name(direction->digest));
	snprintf(name, sizeof(name), "%s", label);
	is_done = context &&
		  EVP_KDF_derive(context, out, out_bytes,
				 (const OSSL_PARAM[]){
					 OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
					 OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
									  digest, 0),
					 OSSL_PARAM_construct_octet_string(
						 OSSL_KDF_PARAM_KEY, secret.bytes, secret.len),
					 OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX,
									   prefix, strlen(prefix)),
					 OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL,
									   name, strlen(name)),
					 OSSL_PARAM_construct_end(),
				 }) == 1;
	OPENSSL_cleanse(&secret, sizeof(secret));
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return is_done;
}

static bool direction_use_secret(struct direction *direction)
{
	uint8_t key[AEAD_KEY_BYTES_MAX];
	bool is_done = derive(direction, "key", key, direction->aead->key_bytes) &&
		       derive(direction, "iv", direction->iv, AEAD_NONCE_BYTES) &&
		       aead_use_key(direction->aead, key);

	OPENSSL_cleanse(key, sizeof(key));
	direction->seq = 0;
	return is_done;
}

static bool direction_next_secret(struct direction *direction)
{
	struct record_secret next = { .len = direction->secret.len };
	bool is_done = derive(direction, "traffic upd", next.bytes, next.len);

	direction->secret = next;
	OPENSSL_cleanse(&next, sizeof(next));
	return is_done && direction_use_secret(direction);
}

static bool direction_open(struct direction *direction, const struct record_setup *setup,
			   bool seals)
{
	direction->digest = SSL_CIPHER_get_handshake_digest(setup->cipher);
	direction->secret = seals ? *setup->sending : *setup->receiving;
	direction->aead = aead_open(setup->cipher, seals, setup->library);
	return direction->digest && direction->aead &&
	       direction->secret.len == (size_t)EVP_MD_get_size(direction->digest) &&
	       direction_use_secret(direction);
}

static void direction_close(struct direction *direction)
{
	aead_close(direction->aead);
	OPENSSL_cleanse(direction, sizeof(*direction));
}

/* Begin the next record, whose head is HEAD. */
static bool direction_begin(struct direction *direction, const uint8_t head[HEAD_BYTES])
{
	uint8_t nonce[AEAD_NONCE_BYTES];

	memcpy(nonce, direction->iv, sizeof(nonce));
	for (size_t i = 0; i < sizeof(direction->seq); i++)
		nonce[AEAD_NONCE_BYTES - 1 - i] ^= (uint8_t)(direction->seq >> 8 * i);
	direction->seq++;
	return aead_begin(direction->aead, nonce, head, HEAD_BYTES);
}

/* ---- sending ---- */

/* A record with the first LEN bytes of PIECES, which are taken off. */
static bool record_seal(struct record *record, struct iovec **pieces, size_t *n, size_t len,
			enum content content)
{
	struct direction *sending = &record->sending;
	uint8_t *head = record->out + record->n_out;
	uint8_t *at = head + HEAD_BYTES;
	const uint8_t type = (uint8_t)content;
	size_t sealed = SEALED_BYTES(len);

	assert(len <= PLAIN_BYTES && record->n_out + HEAD_BYTES + sealed <= OUT_ROOM);
	head[0] = CONTENT_DATA;
	head[1] = 3;
	head[2] = 3;
	head[3] = (uint8_t)(sealed >> 8);
	head[4] = (uint8_t)sealed;
	if (!direction_begin(sending, head))
		return false;
	while (len > 0) {
		size_t part = (*pieces)->iov_len < len ? (*pieces)->iov_len : len;

		if (!aead_update(sending->aead, at, (*pieces)->iov_base, part))
			return false;
		at += part;
		len -= part;
		stream_advance(pieces, n, part);
	}
	if (!aead_update(sending->aead, at, &type, 1) || !aead_tag(sending->aead, at + 1))
		return false;
	record->n_out += HEAD_BYTES + sealed;
	return true;
}

static bool record_rekey(struct record *record)
{
	uint8_t message[sizeof(key_update)];
	struct iovec piece = { message, sizeof(message) };
	struct iovec *pieces = &piece;
	size_t n = 1;

	memcpy(message, key_update, sizeof(message));
	return record_seal(record, &pieces, &n, sizeof(message), CONTENT_HANDSHAKE) &&
	       direction_next_secret(&record->sending);
}

static bool record_send_out(struct record *record)
{
	struct iovec piece = { record->out, record->n_out };

	record->n_out = 0;
	return piece.iov_len == 0 || stream_send(record->stream.lower, &piece, 1);
}

static bool record_send(struct stream *stream, struct iovec *pieces, size_t n)
{
	struct record *record = CONTAINER_OF(stream, struct record, stream);
	size_t left = 0;

	for (size_t i = 0; i < n; i++)
		left += pieces[i].iov_len;
	while (left > 0) {
		size_t len = left < PLAIN_BYTES ? left : PLAIN_BYTES;

		if (record->sending.seq >= record->rekey_records && !record_rekey(record))
			return false;
		if (!record_seal(record, &pieces, &n, len, CONTENT_DATA))
			return false;
		left -= len;
		if (record->n_out >= OUT_BYTES && !record_send_out(record))
			return false;
	}
	return record_send_out(record);
}

/* ---- receiving ---- */

static ssize_t record_broken(struct record *record, const char *why)
{
	stream_say(&record->stream, "tls: %s", why);
	return STREAM_BROKEN;
}

/* A record that is no data: LEN bytes at PLAIN. 0 when it is dealt with. */
static ssize_t record_other(struct record *record, uint8_t type, const uint8_t *plain, size_t len)
{
	if (type == CONTENT_ALERT && len == 2) {
		stream_say(&record->stream, "tls: the peer says: %s",
			   SSL_alert_desc_string_long(plain[1]));
		return STREAM_BROKEN;
	}
	if (type == CONTENT_HANDSHAKE && len == sizeof(key_update) &&
	    memcmp(plain, key_update, len) == 0)
		return direction_next_secret(&record->receiving) ?
			       0 :
			       record_broken(record, "no new keys");
	return record_broken(record, "a message that does not belong here");
}

/* Open the record at SEALED to OUT. The bytes of its content, which may be 0; *TYPE says of what. */
static ssize_t record_open(struct record *record, const uint8_t *head, size_t sealed, uint8_t *out,
			   uint8_t *type)
{
	struct direction *receiving = &record->receiving;
	const uint8_t *at = head + HEAD_BYTES;
	size_t len = sealed - 1 - AEAD_TAG_BYTES;

	if (!direction_begin(receiving, head) || !aead_update(receiving->aead, out, at, len) ||
	    !aead_update(receiving->aead, type, at + len, 1) ||
	    !aead_check(receiving->aead, at + len + 1))
		return record_broken(record, "a record that was not sealed by the peer");
	return (ssize_t)len;
}

/* The next record of what came: to OUT when there is room for it, otherwise it waits in `plain`. The bytes in OUT; 0: not all of it is here, or it
 * has gone elsewhere. */
static ssize_t record_take(struct record *record, uint8_t *out, size_t out_bytes, bool *took)
{
	const uint8_t *head = record->in + record->in_start;
	size_t here = record->in_end - record->in_start;
	size_t sealed;
	uint8_t type = 0;
	bool fits;
	ssize_t len;

	*took = false;
	if (here < HEAD_BYTES)
		return 0;
	sealed = (size_t)head[3] << 8 | head[4];
	if (head[0] != CONTENT_DATA || head[1] != 3 || head[2] != 3)
		return record_broken(record, "what comes is no record");
	if (sealed < SEALED_BYTES(0) || sealed > SEALED_BYTES_MAX)
		return record_broken(record, "a record of impossible length");
	if (here < HEAD_BYTES + sealed)
		return 0;
	fits = sealed - 1 - AEAD_TAG_BYTES <= out_bytes;
	len = record_open(record, head, sealed, fits ? out : record->plain, &type);
	if (len < 0)
		return len;
	*took = true;
	record->in_start += HEAD_BYTES + sealed;
	if (type != CONTENT_DATA)
		return record_other(record, type, fits ? out : record->plain, (size_t)len);
	if (fits)
		return len;
	record->plain_start = 0;
	record->plain_end = (size_t)len;
	return 0;
}

/* What is here, to OUT. */
static ssize_t record_give(struct record *record, uint8_t *out, size_t out_bytes)
{
	size_t used = 0;

	while (used < out_bytes) {
		size_t len = record->plain_end - record->plain_start;
		bool took = true;

		if (len > out_bytes - used)
			len = out_bytes - used;
		if (len > 0) {
			memcpy(out + used, record->plain + record->plain_start, len);
			record->plain_start += len;
			used += len;
		} else {
			ssize_t taken = record_take(record, out + used, out_bytes - used, &took);

			if (taken < 0)
				return used > 0 ? (ssize_t)used : taken;
			used += (size_t)taken;
		}
		if (!took)
			break;
	}
	return (ssize_t)used;
}

static ssize_t record_fill(struct record *record, uint64_t deadline_ns)
{
	struct iovec room;
	ssize_t got;

	memmove(record->in, record->in + record->in_start, record->in_end - record->in_start);
	record->in_end -= record->in_start;
	record->in_start = 0;
	room = (struct iovec){ record->in + record->in_end, IN_BYTES - record->in_end };
	got = stream_receive(record->stream.lower, &room, 1, deadline_ns);
	if (got > 0)
		record->in_end += (size_t)got;
	else if (got == STREAM_BROKEN)
		stream_say(&record->stream, "%s", record->stream.lower->why);
	return got;
}

static ssize_t record_receive(struct stream *stream, const struct iovec *room, size_t n,
			      uint64_t deadline_ns)
{
	struct record *record = CONTAINER_OF(stream, struct record, stream);

	for (;;) {
		ssize_t total = 0;
		ssize_t got;

		for (size_t i = 0; i < n; i++) {
			got = record_give(record, room[i].iov_base, room[i].iov_len);
			if (got < 0)
				return total > 0 ? total : got;
			total += got;
			if ((size_t)got < room[i].iov_len)
				break;
		}
		if (total > 0)
			return total;
		got = record_fill(record, deadline_ns);
		if (got <= 0)
			return got;
	}
}

static void record_close(struct stream *stream)
{
	struct record *record = CONTAINER_OF(stream, struct record, stream);

	stream_close(stream->lower);
	direction_close(&record->sending);
	direction_close(&record->receiving);
	free(record->out);
	free(record->in);
	free(record->plain);
	free(record);
}

static const struct stream_ops record_ops = {
	.send = record_send,
	.receive = record_receive,
	.can_send = stream_lower_can_send,
	.shut = stream_lower_shut,
	.close = record_close,
};

struct stream *record_stream(struct stream *lower, const struct record_setup *setup)
{
	struct record *record = calloc(1, sizeof(*record));

	if (!record)
		return NULL;
	record->stream.ops = &record_ops;
	record->rekey_records = setup->rekey_records;
	record->out = malloc(OUT_ROOM);
	record->in = malloc(IN_BYTES);
	record->plain = malloc(SEALED_BYTES_MAX);
	if (!record->out || !record->in || !record->plain || setup->ahead_bytes > IN_BYTES ||
	    !direction_open(&record->sending, setup, true) ||
	    !direction_open(&record->receiving, setup, false)) {
		record_close(&record->stream);
		return NULL;
	}
	memcpy(record->in, setup->ahead, setup->ahead_bytes);
	record->in_end = setup->ahead_bytes;
	record->stream.lower = lower;
	return &record->stream;
}
