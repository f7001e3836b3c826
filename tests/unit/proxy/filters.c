/* SPDX-License-Identifier: Apache-2.0 */
/* Filters by themselves, over a stream that gives one byte at a time, or as many as there are. */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "certs.h"
#include "pair.h"
#include "proxy/filter.h"
#include "proxy/transport/socket.h"
#include "unit.h"

#define WAIT_NS (20 * CLOCK_NS_PER_S)
#define REKEY_RECORDS 3

/* A stream that gives at most so many bytes at once. */
struct trickle {
	struct stream stream;
	size_t at_once;
};

static bool trickle_send(struct stream *stream, struct iovec *pieces, size_t n)
{
	return stream_send(stream->lower, pieces, n);
}

static ssize_t trickle_receive(struct stream *stream, const struct iovec *room, size_t n,
			       uint64_t deadline_ns)
{
	struct trickle *trickle = CONTAINER_OF(stream, struct trickle, stream);
	struct iovec less = room[0];

	(void)n;
	if (less.iov_len > trickle->at_once)
		less.iov_len = trickle->at_once;
	return stream_receive(stream->lower, &less, 1, deadline_ns);
}

static void trickle_close(struct stream *stream)
{
	stream_close(stream->lower);
	free(CONTAINER_OF(stream, struct trickle, stream));
}

static const struct stream_ops trickle_ops = {
	.send = trickle_send,
	.receive = trickle_receive,
	.can_send = stream_lower_can_send,
	.shut = stream_lower_shut,
	.close = trickle_close,
};

static struct stream *trickle_over(int fd, size_t at_once, struct link_figures *figures)
{
	struct trickle *trickle = calloc(1, sizeof(*trickle));

	trickle->stream.ops = &trickle_ops;
	trickle->stream.lower = socket_stream(fd, figures);
	trickle->at_once = at_once;
	ck_assert_ptr_nonnull(trickle->stream.lower);
	return &trickle->stream;
}

struct end {
	pthread_t thread;
	const struct filter_ops *ops;
	struct filter *filter;
	struct stream *stream;
	struct config config;
	struct link_figures figures;
	bool listens;
	bool is_wrapped;
	const uint8_t *bytes;
	size_t len;
	char text[TRANSPORT_TEXT_BYTES];
};

static void *end_wrap(void *argument)
{
	struct end *end = argument;
	struct stream *upper;

	end->is_wrapped = end->ops->wrap(end->filter, end->stream, end->listens,
					 clock_deadline_ns(WAIT_NS), &upper, end->text,
					 sizeof(end->text)) == DVS_OK;
	if (end->is_wrapped)
		end->stream = upper;
	return NULL;
}

/* In pieces of different lengths. */
static void *end_send(void *argument)
{
	struct end *end = argument;
	uint8_t *copy = malloc(end->len);
	size_t at = 0;
	size_t step = 1;

	memcpy(copy, end->bytes, end->len);
	while (at < end->len) {
		size_t left = end->len - at;
		size_t first = step < left ? step : left;
		size_t second = step * 2 < left - first ? step * 2 : left - first;
		struct iovec pieces[2] = { { copy + at, first }, { copy + at + first, second } };

		if (!stream_send(end->stream, pieces, second > 0 ? 2 : 1))
			break;
		at += first + second;
		step = step * 3 + 1;
	}
	free(copy);
	return NULL;
}

static void ends_open(struct end ends[2], const struct filter_ops *ops, size_t at_once,
		      const struct authority *authority)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	memset(ends, 0, 2 * sizeof(ends[0]));
	for (uint32_t i = 0; i < 2; i++) {
		const struct filter_setup setup = {
			.config = &ends[i].config,
			.node = i,
			.peer = 1 - i,
			.rekey_records = REKEY_RECORDS,
		};

		config_defaults(&ends[i].config);
		snprintf(ends[i].config.cluster, sizeof(ends[i].config.cluster), "farm");
		certs_dir(ends[i].config.dir);
		certs_write(ends[i].config.dir, authority, authority, "farm",
			    i == 0 ? "node0" : "node1", 60, 3600);
		ends[i].ops = ops;
		ends[i].listens = i == 0;
		ends[i].stream = trickle_over(fds[i], at_once, &ends[i].figures);
		ck_assert_msg(ops->open(&setup, &ends[i].filter, ends[i].text,
					sizeof(ends[i].text)) == DVS_OK,
			      "%s", ends[i].text);
		ck_assert_int_eq(pthread_create(&ends[i].thread, NULL, end_wrap, &ends[i]), 0);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(ends[i].thread, NULL);
		ck_assert_msg(ends[i].is_wrapped, "%s", ends[i].text);
	}
}

static void ends_close(struct end ends[2])
{
	for (int i = 0; i < 2; i++) {
		stream_close(ends[i].stream);
		ends[i].ops->close(ends[i].filter);
		certs_remove(ends[i].config.dir);
	}
}

/* Both ways at once: senders of their own, and this thread receives. */
static void ends_talk(struct end ends[2], size_t len)
{
	uint8_t *sent[2];
	uint8_t *got = malloc(len);

	for (int i = 0; i < 2; i++) {
		sent[i] = malloc(len);
		pair_fill(sent[i], len, (uint64_t)i + 1);
		ends[i].bytes = sent[i];
		ends[i].len = len;
		ck_assert_int_eq(pthread_create(&ends[i].thread, NULL, end_send, &ends[i]), 0);
	}
	for (int i = 0; i < 2; i++) {
		ssize_t n = stream_receive_all(ends[1 - i].stream, got, len,
					       clock_deadline_ns(WAIT_NS));

		ck_assert_msg(n == (ssize_t)len, "%zd: %s", n, ends[1 - i].stream->why);
		ck_assert_int_eq(memcmp(got, sent[i], len), 0);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(ends[i].thread, NULL);
		free(sent[i]);
	}
	free(got);
}

static void filter_works(const struct filter_ops *ops, size_t at_once, size_t len)
{
	struct authority authority;
	struct end ends[2];

	authority_make(&authority, "farm");
	ends_open(ends, ops, at_once, &authority);
	ends_talk(ends, len);
	ends_close(ends);
	authority_free(&authority);
}

static const struct filter_ops *const all[] = { &filter_tls, &filter_zstd, &filter_lz4 };

TEST(filters_take_bytes_one_by_one)
{
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		filter_works(all[i], 1, 60000);
}
END_TEST

/* With new keys every few records, as this test wants it. */
TEST(filters_take_as_much_as_there_is)
{
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		filter_works(all[i], (size_t)1 << 20, 3000000);
}
END_TEST

TEST(what_can_be_compressed_is)
{
	for (size_t i = 1; i < ARRAY_LEN(all); i++) {
		struct authority authority;
		struct end ends[2];

		authority_make(&authority, "farm");
		ends_open(ends, all[i], (size_t)1 << 20, &authority);
		ends_talk(ends, 1000000);
		/* Half of what pair_fill() makes. */
		ck_assert_uint_lt(ends[0].figures.bytes_out, 700000);
		ck_assert_uint_gt(ends[0].figures.bytes_out, 400000);
		ends_close(ends);
		authority_free(&authority);
	}
}
END_TEST

/* The one bit that is wrong is in the midst of a long record. */
TEST(sealed_bytes_that_were_changed_are_refused)
{
	struct authority authority;
	struct end ends[2];
	uint8_t bytes[1000] = { 1 };
	struct iovec piece = { bytes, sizeof(bytes) };
	struct iovec sealed = { bytes, sizeof(bytes) };
	ssize_t got;

	authority_make(&authority, "farm");
	ends_open(ends, &filter_tls, (size_t)1 << 20, &authority);
	ck_assert(stream_send(ends[0].stream, &piece, 1));
	/* Taken from below the filter, and given back changed. */
	got = stream_receive(ends[1].stream->lower, &sealed, 1, clock_deadline_ns(WAIT_NS));
	ck_assert_int_gt(got, 100);
	bytes[got / 2] ^= 1;
	piece = (struct iovec){ bytes, (size_t)got };
	ck_assert(stream_send(ends[0].stream->lower, &piece, 1));
	sealed = (struct iovec){ bytes, sizeof(bytes) };
	ck_assert_int_eq(stream_receive(ends[1].stream, &sealed, 1, clock_deadline_ns(WAIT_NS)),
			 STREAM_BROKEN);
	ends_close(ends);
	authority_free(&authority);
}
END_TEST

/* A peer that is all OpenSSL's: it says what TLS is. */
struct judge {
	pthread_t thread;
	const char *dir;
	int fd;
	bool listens;
	bool is_content;
	size_t len;
};

static bool judge_talk(SSL *ssl, size_t len)
{
	uint8_t *expected = malloc(len);
	uint8_t *got = malloc(len);
	size_t at = 0;
	size_t n = 0;
	bool is_right;

	pair_fill(expected, len, 1);
	while (at < len && SSL_read_ex(ssl, got + at, len - at, &n) == 1)
		at += n;
	is_right = at == len && memcmp(got, expected, len) == 0;
	/* Back, with new keys in the midst of it. */
	is_right = is_right && SSL_write_ex(ssl, got, len / 2, &n) == 1 &&
		   SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
		   SSL_write_ex(ssl, got + len / 2, len - len / 2, &n) == 1;
	free(expected);
	free(got);
	return is_right;
}

static void *judge_run(void *argument)
{
	struct judge *judge = argument;
	SSL_CTX *context = SSL_CTX_new(TLS_method());
	char path[128];
	SSL *ssl;

	snprintf(path, sizeof(path), "%s/ca.pem", judge->dir);
	SSL_CTX_load_verify_file(context, path);
	snprintf(path, sizeof(path), "%s/node.pem", judge->dir);
	SSL_CTX_use_certificate_chain_file(context, path);
	snprintf(path, sizeof(path), "%s/node.key", judge->dir);
	SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_num_tickets(context, 0);
	ssl = SSL_new(context);
	SSL_set_fd(ssl, judge->fd);
	judge->is_content = (judge->listens ? SSL_accept(ssl) : SSL_connect(ssl)) == 1 &&
			    SSL_version(ssl) == TLS1_3_VERSION &&
			    SSL_get_verify_result(ssl) == X509_V_OK && judge_talk(ssl, judge->len);
	SSL_free(ssl);
	SSL_CTX_free(context);
	return NULL;
}

static void judged(struct end *end, struct judge *judge)
{
	uint8_t *bytes = malloc(judge->len);
	uint8_t *back = malloc(judge->len);

	pair_fill(bytes, judge->len, 1);
	end->bytes = bytes;
	end->len = judge->len;
	end_wrap(end);
	ck_assert_msg(end->is_wrapped, "%s", end->text);
	end_send(end);
	ck_assert_msg(stream_receive_all(end->stream, back, judge->len,
					 clock_deadline_ns(WAIT_NS)) == (ssize_t)judge->len,
		      "%s", end->stream->why);
	ck_assert_int_eq(memcmp(back, bytes, judge->len), 0);
	free(bytes);
	free(back);
}

TEST(what_is_sealed_is_tls_as_openssl_has_it)
{
	struct authority authority;

	authority_make(&authority, "farm");
	for (uint32_t i = 0; i < 2; i++) {
		struct end end = { .ops = &filter_tls, .listens = i == 0 };
		const struct filter_setup setup = {
			.config = &end.config,
			.node = i,
			.peer = 1 - i,
			.rekey_records = REKEY_RECORDS,
		};
		struct judge judge = { .listens = i != 0, .len = 200000 };
		char dir[64];
		int fds[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		certs_dir(dir);
		certs_write(dir, &authority, &authority, "farm", i == 0 ? "node1" : "node0", 60,
			    3600);
		judge.dir = dir;
		judge.fd = fds[1];
		ck_assert_int_eq(pthread_create(&judge.thread, NULL, judge_run, &judge), 0);
		config_defaults(&end.config);
		snprintf(end.config.cluster, sizeof(end.config.cluster), "farm");
		certs_dir(end.config.dir);
		certs_write(end.config.dir, &authority, &authority, "farm",
			    i == 0 ? "node0" : "node1", 60, 3600);
		end.stream = trickle_over(fds[0], 5000, &end.figures);
		ck_assert(filter_tls.open(&setup, &end.filter, end.text, sizeof(end.text)) ==
			  DVS_OK);
		judged(&end, &judge);
		pthread_join(judge.thread, NULL);
		ck_assert(judge.is_content);
		stream_close(end.stream);
		filter_tls.close(end.filter);
		close(fds[1]);
		certs_remove(end.config.dir);
		certs_remove(dir);
	}
	authority_free(&authority);
}
END_TEST

UNIT_MAIN_TIMEOUT("proxy-filters", 60, filters_take_bytes_one_by_one,
		  filters_take_as_much_as_there_is, what_can_be_compressed_is,
		  sealed_bytes_that_were_changed_are_refused,
		  what_is_sealed_is_tls_as_openssl_has_it)
