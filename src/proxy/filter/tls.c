/* SPDX-License-Identifier: Apache-2.0 */
/* TLS 1.3, with certificates on both sides. What the peer's says must be true: its number, and our cluster.
 *
 * OpenSSL gets its bytes from memory and leaves them there, so that its object is locked only while it computes, a record at
 * a time, and never while anybody waits for the network. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/filter.h"

#define RECORD_BYTES ((size_t)SSL3_RT_MAX_PLAIN_LENGTH)
#define RECORD_ROOM (RECORD_BYTES + 512u)
/* Sent when there is as much. */
#define OUT_BYTES ((size_t)128 << 10)
#define OUT_ROOM (OUT_BYTES + RECORD_ROOM)
#define IN_BYTES ((size_t)128 << 10)
/* One key of AES-GCM is good for 2^24.5 records (RFC 8446, 5.5). */
#define REKEY_RECORDS (UINT64_C(1) << 22)
#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define NAME_BYTES 80u

struct tls_filter {
	struct filter filter;
	SSL_CTX *context;
	BIO_METHOD *method;
	uint64_t rekey_records;
	char cluster[CONFIG_NAME_MAX + 1];
	char peer[NAME_BYTES];
};

struct out {
	uint8_t *bytes; /* OUT_ROOM */
	size_t used;
};

struct tls {
	struct stream stream;
	pthread_mutex_t lock;
	/* under lock: */
	SSL *ssl;
	struct out out; /* sealed, to be sent */
	/* the receiver's, also where OpenSSL reads it: */
	uint8_t *in; /* IN_BYTES */
	size_t in_start;
	size_t in_end;
	/* the sender's: */
	struct out sending;
	uint8_t *record; /* RECORD_BYTES: small pieces go into one record */
	uint64_t n_records;
	uint64_t rekey_records;
};

/* What OpenSSL wants to send. */
static int tls_bio_write(BIO *bio, const char *bytes, int len)
{
	struct tls *tls = BIO_get_data(bio);
	size_t n = (size_t)len;

	BIO_clear_retry_flags(bio);
	if (len <= 0 || n > OUT_ROOM - tls->out.used) {
		BIO_set_retry_write(bio);
		return -1;
	}
	memcpy(tls->out.bytes + tls->out.used, bytes, n);
	tls->out.used += n;
	return len;
}

static int tls_bio_read(BIO *bio, char *bytes, int len)
{
	struct tls *tls = BIO_get_data(bio);
	size_t n = tls->in_end - tls->in_start;

	BIO_clear_retry_flags(bio);
	if (n == 0 || len <= 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (n > (size_t)len)
		n = (size_t)len;
	memcpy(bytes, tls->in + tls->in_start, n);
	tls->in_start += n;
	return (int)n;
}

static long tls_bio_ctrl(BIO *bio, int what, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return what == BIO_CTRL_FLUSH;
}

static const char *tls_error_text(void)
{
	unsigned long error = ERR_peek_last_error();
	const char *text = error ? ERR_reason_error_string(error) : NULL;

	return text ? text : "the connection broke";
}

/* Send what is sealed. By the sending thread, without the lock. */
static bool tls_send_out(struct tls *tls)
{
	struct out sealed;
	struct iovec piece;

	pthread_mutex_lock(&tls->lock);
	sealed = tls->out;
	tls->out = tls->sending;
	tls->out.used = 0;
	tls->sending = sealed;
	pthread_mutex_unlock(&tls->lock);
	if (sealed.used == 0)
		return true;
	piece = (struct iovec){ sealed.bytes, sealed.used };
	return stream_send(tls->stream.lower, &piece, 1);
}

/* One record of LEN bytes. */
static bool tls_seal(struct tls *tls, const void *bytes, size_t len)
{
	bool is_sealed;
	bool is_full;
	size_t written;

	pthread_mutex_lock(&tls->lock);
	ERR_clear_error();
	is_sealed = (++tls->n_records % tls->rekey_records != 0 ||
		     SSL_key_update(tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1) &&
		    SSL_write_ex(tls->ssl, bytes, len, &written) == 1;
	is_full = tls->out.used >= OUT_BYTES;
	pthread_mutex_unlock(&tls->lock);
	return is_sealed && (!is_full || tls_send_out(tls));
}

static bool tls_send(struct stream *stream, struct iovec *pieces, size_t n)
{
	struct tls *tls = CONTAINER_OF(stream, struct tls, stream);
	size_t waiting = 0;

	while (n > 0) {
		size_t len = pieces->iov_len;

		if (waiting == 0 && len >= RECORD_BYTES) {
			len = RECORD_BYTES;
			if (!tls_seal(tls, pieces->iov_base, len))
				return false;
		} else {
			if (len > RECORD_BYTES - waiting)
				len = RECORD_BYTES - waiting;
			memcpy(tls->record + waiting, pieces->iov_base, len);
			waiting += len;
		}
		stream_advance(&pieces, &n, len);
		/* A full record; or what waits is not to be split by a large piece. */
		if (waiting == RECORD_BYTES ||
		    (waiting > 0 && (n == 0 || pieces->iov_len >= RECORD_BYTES))) {
			if (!tls_seal(tls, tls->record, waiting))
				return false;
			waiting = 0;
		}
	}
	return tls_send_out(tls);
}

/* What can be opened without more from the network; 0: nothing. */
static ssize_t tls_open_records(struct tls *tls, const struct iovec *room, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		size_t used = 0;

		while (used < room[i].iov_len) {
			size_t got = 0;
			int error = SSL_ERROR_NONE;

			pthread_mutex_lock(&tls->lock);
			ERR_clear_error();
			if (SSL_read_ex(tls->ssl, (char *)room[i].iov_base + used,
					room[i].iov_len - used, &got) != 1)
				error = SSL_get_error(tls->ssl, 0);
			pthread_mutex_unlock(&tls->lock);
			used += got;
			total += got;
			if (error == SSL_ERROR_NONE)
				continue;
			if (error == SSL_ERROR_WANT_READ || total > 0)
				return (ssize_t)total;
			stream_say(&tls->stream, "tls: %s", tls_error_text());
			return STREAM_BROKEN;
		}
	}
	return (ssize_t)total;
}

/* More from the network; as receive(). */
static ssize_t tls_fill(struct tls *tls, uint64_t deadline_ns)
{
	struct iovec room = { tls->in, IN_BYTES };
	ssize_t got = stream_receive(tls->stream.lower, &room, 1, deadline_ns);

	if (got > 0) {
		tls->in_start = 0;
		tls->in_end = (size_t)got;
	} else if (got == STREAM_BROKEN) {
		stream_say(&tls->stream, "%s", tls->stream.lower->why);
	}
	return got;
}

static ssize_t tls_receive(struct stream *stream, const struct iovec *room, size_t n,
			   uint64_t deadline_ns)
{
	struct tls *tls = CONTAINER_OF(stream, struct tls, stream);

	for (;;) {
		ssize_t got = tls_open_records(tls, room, n);

		if (got != 0)
			return got;
		/* It has read all that was there, and wants more. */
		got = tls_fill(tls, deadline_ns);
		if (got <= 0)
			return got;
	}
}

static void tls_close(struct stream *stream)
{
	struct tls *tls = CONTAINER_OF(stream, struct tls, stream);

	stream_close(stream->lower);
	SSL_free(tls->ssl);
	free(tls->out.bytes);
	free(tls->sending.bytes);
	free(tls->in);
	free(tls->record);
	pthread_mutex_destroy(&tls->lock);
	free(tls);
}

static const struct stream_ops tls_ops = {
	.send = tls_send,
	.receive = tls_receive,
	.can_send = stream_lower_can_send,
	.shut = stream_lower_shut,
	.close = tls_close,
};

/* The one value of KIND in the subject of CERTIFICATE is VALUE. */
static bool tls_subject_is(const X509 *certificate, int kind, const char *value)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, kind, -1);
	unsigned char *text = NULL;
	bool is_same;
	int len;

	if (at < 0 || X509_NAME_get_index_by_NID(subject, kind, at) >= 0)
		return false;
	len = ASN1_STRING_to_UTF8(&text,
				  X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (len < 0)
		return false;
	is_same = (size_t)len == strlen(value) && memcmp(text, value, (size_t)len) == 0;
	OPENSSL_free(text);
	return is_same;
}

static bool tls_names(const X509 *certificate, const char *node, const char *cluster)
{
	return tls_subject_is(certificate, NID_commonName, node) &&
	       tls_subject_is(certificate, NID_organizationName, cluster);
}

static dvs_err tls_check_peer(const struct tls_filter *filter, const struct tls *tls, char *text,
			      size_t text_bytes)
{
	X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
	bool is_right = certificate && tls_names(certificate, filter->peer, filter->cluster);

	X509_free(certificate);
	if (is_right)
		return DVS_OK;
	snprintf(text, text_bytes, "its certificate is not that of %s of the cluster \"%s\"",
		 filter->peer, filter->cluster);
	return DVS_DENIED;
}

static dvs_err tls_handshake_failed(const struct tls *tls, char *text, size_t text_bytes)
{
	long verdict = SSL_get_verify_result(tls->ssl);

	if (verdict != X509_V_OK)
		snprintf(text, text_bytes, "its certificate is refused: %s",
			 X509_verify_cert_error_string(verdict));
	else
		snprintf(
			text, text_bytes,
			"tls: %s (has the peer the filter tls, and a certificate of this cluster?)",
			tls_error_text());
	return DVS_DENIED;
}

static dvs_err tls_handshake(struct tls *tls, uint64_t deadline_ns, char *text, size_t text_bytes)
{
	for (;;) {
		int done;
		int error;
		bool is_sent;
		ssize_t got;

		ERR_clear_error();
		done = SSL_do_handshake(tls->ssl);
		error = SSL_get_error(tls->ssl, done);
		/* Also after a failure: it tells the peer why. */
		is_sent = tls_send_out(tls);
		if (done == 1 && is_sent)
			return DVS_OK;
		if (done != 1 && error != SSL_ERROR_WANT_READ)
			return tls_handshake_failed(tls, text, text_bytes);
		got = is_sent ? tls_fill(tls, deadline_ns) : STREAM_END;
		if (got > 0)
			continue;
		snprintf(text, text_bytes, "tls: %s",
			 got == STREAM_LATE ? "it said nothing in time" :
					      "it closed the connection");
		return got == STREAM_LATE ? DVS_TIMEOUT : DVS_IO;
	}
}

static struct tls *tls_new(struct tls_filter *filter, struct stream *lower, bool listens)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	BIO *bio = BIO_new(filter->method);

	if (!tls || !bio) {
		free(tls);
		BIO_free(bio);
		return NULL;
	}
	tls->stream = (struct stream){ .ops = &tls_ops, .lower = lower };
	pthread_mutex_init(&tls->lock, NULL);
	tls->rekey_records = filter->rekey_records;
	tls->out.bytes = malloc(OUT_ROOM);
	tls->sending.bytes = malloc(OUT_ROOM);
	tls->in = malloc(IN_BYTES);
	tls->record = malloc(RECORD_BYTES);
	tls->ssl = SSL_new(filter->context);
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	if (!tls->ssl || !tls->out.bytes || !tls->sending.bytes || !tls->in || !tls->record) {
		BIO_free(bio);
		tls->stream.lower = NULL;
		tls_close(&tls->stream);
		return NULL;
	}
	SSL_set_bio(tls->ssl, bio, bio);
	if (listens)
		SSL_set_accept_state(tls->ssl);
	else
		SSL_set_connect_state(tls->ssl);
	return tls;
}

static dvs_err tls_wrap(struct filter *base, struct stream *lower, bool listens,
			uint64_t deadline_ns, struct stream **upper, char *text, size_t text_bytes)
{
	struct tls_filter *filter = CONTAINER_OF(base, struct tls_filter, filter);
	struct tls *tls = tls_new(filter, lower, listens);
	dvs_err err;

	if (!tls) {
		snprintf(text, text_bytes, "no memory");
		return DVS_NOMEM;
	}
	err = tls_handshake(tls, deadline_ns, text, text_bytes);
	if (err == DVS_OK)
		err = tls_check_peer(filter, tls, text, text_bytes);
	if (err != DVS_OK) {
		tls->stream.lower = NULL;
		tls_close(&tls->stream);
		return err;
	}
	*upper = &tls->stream;
	return DVS_OK;
}

static void tls_filter_close(struct filter *base)
{
	struct tls_filter *filter = CONTAINER_OF(base, struct tls_filter, filter);

	SSL_CTX_free(filter->context);
	BIO_meth_free(filter->method);
	free(filter);
}

static dvs_err tls_load(struct tls_filter *filter, const struct filter_setup *setup, char *text,
			size_t text_bytes)
{
	char path[CONFIG_PATH_MAX + sizeof("/node.pem")];
	const char *dir = setup->config->dir;
	char own[NAME_BYTES];

	snprintf(own, sizeof(own), "node%u", setup->node);
	ERR_clear_error();
	snprintf(path, sizeof(path), "%s/ca.pem", dir);
	if (SSL_CTX_load_verify_file(filter->context, path) != 1)
		goto failed;
	snprintf(path, sizeof(path), "%s/node.pem", dir);
	if (SSL_CTX_use_certificate_chain_file(filter->context, path) != 1)
		goto failed;
	if (!tls_names(SSL_CTX_get0_certificate(filter->context), own, filter->cluster)) {
		snprintf(
			text, text_bytes,
			"%s is not the certificate of %s of the cluster \"%s\": make one with dvs ca",
			path, own, filter->cluster);
		return DVS_BADARG;
	}
	snprintf(path, sizeof(path), "%s/node.key", dir);
	if (SSL_CTX_use_PrivateKey_file(filter->context, path, SSL_FILETYPE_PEM) != 1)
		goto failed;
	return DVS_OK;
failed:
	snprintf(text, text_bytes, "%s: %s: make keys with dvs ca, or configure no tls", path,
		 tls_error_text());
	return DVS_BADARG;
}

static bool tls_configure(SSL_CTX *context)
{
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_ciphersuites(context, CIPHERS) == 1 &&
	       SSL_CTX_set_num_tickets(context, 0) == 1;
}

static dvs_err tls_filter_open(const struct filter_setup *setup, struct filter **out, char *text,
			       size_t text_bytes)
{
	struct tls_filter *filter = calloc(1, sizeof(*filter));
	dvs_err err;

	snprintf(text, text_bytes, "no memory");
	if (!filter)
		return DVS_NOMEM;
	filter->filter.ops = &filter_tls;
	filter->rekey_records = setup->rekey_records ? setup->rekey_records : REKEY_RECORDS;
	snprintf(filter->cluster, sizeof(filter->cluster), "%s", setup->config->cluster);
	snprintf(filter->peer, sizeof(filter->peer), "node%u", setup->peer);
	filter->context = SSL_CTX_new(TLS_method());
	filter->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory of dvs");
	if (!filter->context || !filter->method || !tls_configure(filter->context) ||
	    BIO_meth_set_write(filter->method, tls_bio_write) != 1 ||
	    BIO_meth_set_read(filter->method, tls_bio_read) != 1 ||
	    BIO_meth_set_ctrl(filter->method, tls_bio_ctrl) != 1)
		err = DVS_NOMEM;
	else
		err = tls_load(filter, setup, text, text_bytes);
	if (err != DVS_OK) {
		tls_filter_close(&filter->filter);
		return err;
	}
	*out = &filter->filter;
	return DVS_OK;
}

const struct filter_ops filter_tls = {
	.name = "tls",
	.secures = true,
	.open = tls_filter_open,
	.wrap = tls_wrap,
	.close = tls_filter_close,
};
