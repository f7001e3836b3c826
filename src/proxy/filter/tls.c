/* SPDX-License-Identifier: Apache-2.0 */
/* TLS 1.3, with certificates on both sides. What the peer's says must be true: its number, and our cluster.
 *
 * OpenSSL makes the handshake, in memory; the records after it are record.c's. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/filter.h"
#include "proxy/filter/record.h"

/* Far more than a handshake has; its bytes come from whom nobody knows yet. */
#define OUT_BYTES ((size_t)64 << 10)
#define IN_BYTES ((size_t)64 << 10)
/* One key of AES-GCM is good for 2^24.5 records (RFC 8446, 5.5). */
#define REKEY_RECORDS (UINT64_C(1) << 22)
#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define NAME_BYTES 80u

struct tls_filter {
	struct filter filter;
	SSL_CTX *context;
	BIO_METHOD *method;
	struct aead_ipsec *library; /* NULL: none */
	uint64_t rekey_records;
	char cluster[CONFIG_NAME_MAX + 1];
	char peer[NAME_BYTES];
};

struct handshake {
	struct stream *lower;
	SSL *ssl;
	struct record_secret client;
	struct record_secret server;
	uint8_t out[OUT_BYTES]; /* to be sent */
	size_t n_out;
	uint8_t in[IN_BYTES];
	size_t in_start;
	size_t in_end;
};

/* What OpenSSL wants to send. */
static int tls_bio_write(BIO *bio, const char *bytes, int len)
{
	struct handshake *handshake = BIO_get_data(bio);
	size_t n = (size_t)len;

	BIO_clear_retry_flags(bio);
	if (len <= 0 || n > OUT_BYTES - handshake->n_out) {
		BIO_set_retry_write(bio);
		return -1;
	}
	memcpy(handshake->out + handshake->n_out, bytes, n);
	handshake->n_out += n;
	return len;
}

/* It takes a record and no more: what is behind the handshake stays here. */
static int tls_bio_read(BIO *bio, char *bytes, int len)
{
	struct handshake *handshake = BIO_get_data(bio);
	size_t n = handshake->in_end - handshake->in_start;

	BIO_clear_retry_flags(bio);
	if (n == 0 || len <= 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (n > (size_t)len)
		n = (size_t)len;
	memcpy(bytes, handshake->in + handshake->in_start, n);
	handshake->in_start += n;
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

/* LINE is a name, the client's random number, and the secret, as OpenSSL tells the keys of a connection. */
static void tls_learn_secret(const SSL *ssl, const char *line)
{
	struct handshake *handshake = SSL_get_app_data(ssl);
	bool is_client = strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0;
	bool is_server = strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) == 0;
	struct record_secret *secret = is_client ? &handshake->client : &handshake->server;
	const char *digits = strrchr(line, ' ');

	if ((is_client || is_server) && digits &&
	    OPENSSL_hexstr2buf_ex(secret->bytes, sizeof(secret->bytes), &secret->len, digits + 1,
				  '\0') != 1)
		secret->len = 0;
}

static bool tls_send_out(struct handshake *handshake)
{
	struct iovec piece = { handshake->out, handshake->n_out };

	handshake->n_out = 0;
	return piece.iov_len == 0 || stream_send(handshake->lower, &piece, 1);
}

/* More from the network; as receive(). OpenSSL has read all that was there. */
static ssize_t tls_fill(struct handshake *handshake, uint64_t deadline_ns)
{
	struct iovec room = { handshake->in, IN_BYTES };
	ssize_t got = stream_receive(handshake->lower, &room, 1, deadline_ns);

	if (got > 0) {
		handshake->in_start = 0;
		handshake->in_end = (size_t)got;
	}
	return got;
}

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

static dvs_err tls_check_peer(const struct tls_filter *filter, const struct handshake *handshake,
			      char *text, size_t text_bytes)
{
	X509 *certificate = SSL_get1_peer_certificate(handshake->ssl);
	bool is_right = certificate && tls_names(certificate, filter->peer, filter->cluster);

	X509_free(certificate);
	if (is_right)
		return DVS_OK;
	snprintf(text, text_bytes, "its certificate is not that of %s of the cluster \"%s\"",
		 filter->peer, filter->cluster);
	return DVS_DENIED;
}

static dvs_err tls_refused(const struct handshake *handshake, char *text, size_t text_bytes)
{
	long verdict = SSL_get_verify_result(handshake->ssl);

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

static dvs_err tls_shake(struct handshake *handshake, uint64_t deadline_ns, char *text,
			 size_t text_bytes)
{
	for (;;) {
		int done;
		int error;
		bool is_sent;
		ssize_t got;

		ERR_clear_error();
		done = SSL_do_handshake(handshake->ssl);
		error = SSL_get_error(handshake->ssl, done);
		/* Also after a failure: it tells the peer why. */
		is_sent = tls_send_out(handshake);
		if (done == 1 && is_sent)
			return DVS_OK;
		if (done != 1 && error != SSL_ERROR_WANT_READ)
			return tls_refused(handshake, text, text_bytes);
		got = is_sent ? tls_fill(handshake, deadline_ns) : STREAM_END;
		if (got > 0)
			continue;
		snprintf(text, text_bytes, "tls: %s",
			 got == STREAM_LATE ? "it said nothing in time" :
					      "it closed the connection");
		return got == STREAM_LATE ? DVS_TIMEOUT : DVS_IO;
	}
}

static void handshake_free(struct handshake *handshake)
{
	if (!handshake)
		return;
	SSL_free(handshake->ssl);
	OPENSSL_cleanse(&handshake->client, sizeof(handshake->client));
	OPENSSL_cleanse(&handshake->server, sizeof(handshake->server));
	free(handshake);
}

static struct handshake *handshake_new(struct tls_filter *filter, struct stream *lower,
				       bool listens)
{
	struct handshake *handshake = calloc(1, sizeof(*handshake));
	BIO *bio = BIO_new(filter->method);

	if (handshake)
		handshake->ssl = SSL_new(filter->context);
	if (!handshake || !handshake->ssl || !bio) {
		BIO_free(bio);
		handshake_free(handshake);
		return NULL;
	}
	handshake->lower = lower;
	BIO_set_data(bio, handshake);
	BIO_set_init(bio, 1);
	SSL_set_bio(handshake->ssl, bio, bio);
	(void)SSL_set_app_data(handshake->ssl, handshake);
	if (listens)
		SSL_set_accept_state(handshake->ssl);
	else
		SSL_set_connect_state(handshake->ssl);
	return handshake;
}

static dvs_err tls_use(const struct tls_filter *filter, const struct handshake *handshake,
		       bool listens, struct stream **upper, char *text, size_t text_bytes)
{
	const struct record_setup setup = {
		.cipher = SSL_get_current_cipher(handshake->ssl),
		.library = filter->library,
		.sending = listens ? &handshake->server : &handshake->client,
		.receiving = listens ? &handshake->client : &handshake->server,
		.rekey_records = filter->rekey_records,
		.ahead = handshake->in + handshake->in_start,
		.ahead_bytes = handshake->in_end - handshake->in_start,
	};

	*upper = record_stream(handshake->lower, &setup);
	if (*upper)
		return DVS_OK;
	snprintf(text, text_bytes, "no memory, or no keys: %s", tls_error_text());
	return DVS_NOMEM;
}

static dvs_err tls_wrap(struct filter *base, struct stream *lower, bool listens,
			uint64_t deadline_ns, struct stream **upper, char *text, size_t text_bytes)
{
	struct tls_filter *filter = CONTAINER_OF(base, struct tls_filter, filter);
	struct handshake *handshake = handshake_new(filter, lower, listens);
	dvs_err err;

	if (!handshake) {
		snprintf(text, text_bytes, "no memory");
		return DVS_NOMEM;
	}
	err = tls_shake(handshake, deadline_ns, text, text_bytes);
	if (err == DVS_OK)
		err = tls_check_peer(filter, handshake, text, text_bytes);
	if (err == DVS_OK)
		err = tls_use(filter, handshake, listens, upper, text, text_bytes);
	handshake_free(handshake);
	return err;
}

static void tls_filter_close(struct filter *base)
{
	struct tls_filter *filter = CONTAINER_OF(base, struct tls_filter, filter);

	aead_ipsec_close(filter->library);
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
	SSL_CTX_set_keylog_callback(context, tls_learn_secret);
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
	filter->library = aead_ipsec_open();
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
