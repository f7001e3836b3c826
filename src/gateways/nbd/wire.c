/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
/* What goes into one call of OpenSSL: heads of replies are small, and each call makes a record. */
#define STAGE_BYTES ((size_t)64 << 10)
#define PATH_BYTES 4096u

struct wire_tls {
	SSL_CTX *context;
};

/* OpenSSL allows one thread at a time; so nothing waits inside of it. */
struct wire_session {
	pthread_mutex_t lock;
	SSL *ssl;		    /* under the lock */
	uint8_t stage[STAGE_BYTES]; /* the sender's */
};

static const char *tls_error_text(void)
{
	unsigned long error = ERR_peek_last_error();
	const char *text = error ? ERR_reason_error_string(error) : NULL;

	return text ? text : "the connection broke";
}

static bool tls_configure(SSL_CTX *context)
{
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_mode(context,
			       SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_ciphersuites(context, CIPHERS) == 1 &&
	       SSL_CTX_set_num_tickets(context, 0) == 1;
}

static dvs_err tls_load(SSL_CTX *context, const char *dir, char why[WIRE_WHY_MAX + 1])
{
	char path[PATH_BYTES];

	ERR_clear_error();
	(void)snprintf(path, sizeof(path), "%s/node.pem", dir);
	if (SSL_CTX_use_certificate_chain_file(context, path) != 1)
		goto failed;
	(void)snprintf(path, sizeof(path), "%s/node.key", dir);
	if (SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(context) != 1)
		goto failed;
	(void)snprintf(path, sizeof(path), "%s/ca.pem", dir);
	if (access(path, F_OK) && errno == ENOENT)
		return DVS_OK;
	if (SSL_CTX_load_verify_file(context, path) != 1)
		goto failed;
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return DVS_OK;
failed:
	(void)snprintf(why, WIRE_WHY_MAX + 1, "%.180s: %.60s", path, tls_error_text());
	return DVS_BADARG;
}

dvs_err wire_tls_open(const char *dir, struct wire_tls **out, char why[WIRE_WHY_MAX + 1])
{
	struct wire_tls *tls = calloc(1, sizeof(*tls));
	dvs_err err;

	(void)snprintf(why, WIRE_WHY_MAX + 1, "no memory");
	if (!tls)
		return DVS_NOMEM;
	tls->context = SSL_CTX_new(TLS_server_method());
	if (!tls->context || !tls_configure(tls->context))
		err = DVS_NOMEM;
	else
		err = tls_load(tls->context, dir, why);
	if (err) {
		wire_tls_close(tls);
		return err;
	}
	*out = tls;
	return DVS_OK;
}

void wire_tls_close(struct wire_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

void wire_init(struct wire *wire, int fd)
{
	*wire = (struct wire){ .fd = fd };
}

/* False: DEADLINE_NS passed, or the socket is broken. */
static bool wait_for(const struct wire *wire, short events, uint64_t deadline_ns)
{
	struct pollfd look = { .fd = wire->fd, .events = events };
	int n;

	do
		n = poll(&look, 1, clock_poll_ms(deadline_ns));
	while (n < 0 && errno == EINTR);
	return n > 0;
}

/* After a call of OpenSSL that gave RESULT: true when it is to be called again. */
static bool session_wait(const struct wire *wire, int error, uint64_t deadline_ns)
{
	if (error == SSL_ERROR_WANT_READ)
		return wait_for(wire, POLLIN, deadline_ns);
	if (error == SSL_ERROR_WANT_WRITE)
		return wait_for(wire, POLLOUT, deadline_ns);
	return false;
}

static void session_free(struct wire_session *session)
{
	SSL_free(session->ssl);
	pthread_mutex_destroy(&session->lock);
	free(session);
}

dvs_err wire_start_tls(struct wire *wire, struct wire_tls *tls, uint64_t deadline_ns,
		       char why[WIRE_WHY_MAX + 1])
{
	struct wire_session *session = calloc(1, sizeof(*session));
	int flags = fcntl(wire->fd, F_GETFL);

	(void)snprintf(why, WIRE_WHY_MAX + 1, "no memory");
	if (!session)
		return DVS_NOMEM;
	pthread_mutex_init(&session->lock, NULL);
	session->ssl = SSL_new(tls->context);
	if (!session->ssl || SSL_set_fd(session->ssl, wire->fd) != 1 || flags < 0 ||
	    fcntl(wire->fd, F_SETFL, flags | O_NONBLOCK)) {
		session_free(session);
		return DVS_NOMEM;
	}
	for (;;) {
		int done;
		int error;

		ERR_clear_error();
		done = SSL_accept(session->ssl);
		error = SSL_get_error(session->ssl, done);
		if (done == 1)
			break;
		if (session_wait(wire, error, deadline_ns))
			continue;
		(void)snprintf(why, WIRE_WHY_MAX + 1, "tls: %s", tls_error_text());
		session_free(session);
		return DVS_DENIED;
	}
	wire->session = session;
	return DVS_OK;
}

static size_t session_receive(struct wire *wire, const struct iovec *piece, uint64_t deadline_ns)
{
	struct wire_session *session = wire->session;

	for (;;) {
		size_t got = 0;
		int error = SSL_ERROR_NONE;
		int done;

		pthread_mutex_lock(&session->lock);
		ERR_clear_error();
		done = SSL_read_ex(session->ssl, piece->iov_base, piece->iov_len, &got);
		if (done != 1)
			error = SSL_get_error(session->ssl, done);
		pthread_mutex_unlock(&session->lock);
		if (done == 1)
			return got;
		if (!session_wait(wire, error, deadline_ns))
			return 0;
	}
}

static bool session_send(struct wire *wire, const uint8_t *bytes, size_t len)
{
	struct wire_session *session = wire->session;

	while (len > 0) {
		size_t sent = 0;
		int error = SSL_ERROR_NONE;
		int done;

		pthread_mutex_lock(&session->lock);
		ERR_clear_error();
		done = SSL_write_ex(session->ssl, bytes, len, &sent);
		if (done != 1)
			error = SSL_get_error(session->ssl, done);
		pthread_mutex_unlock(&session->lock);
		if (done == 1) {
			bytes += sent;
			len -= sent;
		} else if (!session_wait(wire, error, CLOCK_NEVER_NS)) {
			return false;
		}
	}
	return true;
}

static bool session_send_pieces(struct wire *wire, const struct iovec *pieces, size_t n)
{
	uint8_t *stage = wire->session->stage;
	size_t staged = 0;

	for (size_t i = 0; i < n; i++) {
		const uint8_t *at = pieces[i].iov_base;
		size_t left = pieces[i].iov_len;

		while (left > 0) {
			size_t part = left < STAGE_BYTES - staged ? left : STAGE_BYTES - staged;

			memcpy(stage + staged, at, part);
			staged += part;
			at += part;
			left -= part;
			if (staged == STAGE_BYTES && !session_send(wire, stage, staged))
				return false;
			staged %= STAGE_BYTES;
		}
	}
	return session_send(wire, stage, staged);
}

size_t wire_receive(struct wire *wire, struct iovec *pieces, size_t n, uint64_t deadline_ns)
{
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = n };
	ssize_t got;

	if (wire->session)
		return session_receive(wire, &pieces[0], deadline_ns);
	do {
		if (deadline_ns != CLOCK_NEVER_NS && !wait_for(wire, POLLIN, deadline_ns))
			return 0;
		got = recvmsg(wire->fd, &message, 0);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? 0 : (size_t)got;
}

bool wire_send(struct wire *wire, struct iovec *pieces, size_t n)
{
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = n };

	if (wire->session)
		return session_send_pieces(wire, pieces, n);
	while (message.msg_iovlen > 0) {
		ssize_t sent = sendmsg(wire->fd, &message, MSG_NOSIGNAL);
		size_t left;

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return false;
		left = (size_t)sent;
		while (message.msg_iovlen > 0 && left >= message.msg_iov->iov_len) {
			left -= message.msg_iov->iov_len;
			message.msg_iov++;
			message.msg_iovlen--;
		}
		if (message.msg_iovlen > 0) {
			message.msg_iov->iov_base = (uint8_t *)message.msg_iov->iov_base + left;
			message.msg_iov->iov_len -= left;
		}
	}
	return true;
}

void wire_cut(struct wire *wire)
{
	(void)shutdown(wire->fd, SHUT_RDWR);
}

void wire_stop_receiving(struct wire *wire)
{
	(void)shutdown(wire->fd, SHUT_RD);
}

void wire_close(struct wire *wire)
{
	if (wire->session) {
		/* Once, without waiting for the client's. */
		ERR_clear_error();
		(void)SSL_shutdown(wire->session->ssl);
		session_free(wire->session);
		wire->session = NULL;
	}
	if (wire->fd >= 0)
		close(wire->fd);
	wire->fd = -1;
}
