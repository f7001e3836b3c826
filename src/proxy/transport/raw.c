/* SPDX-License-Identifier: Apache-2.0 */
/* Ethernet itself, for nodes on one segment. Peers find each other by node number: who connects asks everybody. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/sum.h"
#include "proxy/transport/address.h"
#include "proxy/transport/raw.h"
#include "proxy/transport/socket.h"

#define SYN_RETRY_MIN_MS 20u
#define SYN_RETRY_MAX_MS 320u
#define BUFFER_BYTES (8 << 20)
/* Connections that a late or doubled SYN may still mean. */
#define ANSWERED_MAX 32u

struct answered {
	uint64_t asked; /* the other side's token; 0: none */
	struct raw_offer offer;
};

struct raw {
	struct transport transport;
	const char *interface; /* "": where the peer's address is */
	const char *peer_address;
	uint32_t dvs;
	int listener; /* -1: none yet */
	uint32_t n_answered;
	struct answered answered[ANSWERED_MAX];
};

static bool raw_any_token(uint64_t *token)
{
	*token = 0;
	return getrandom(token, sizeof(*token), 0) == (ssize_t)sizeof(*token) && *token != 0;
}

/* The name of the interface that leads to the peer. */
static bool raw_find_interface(const struct raw *raw, char *name, size_t name_bytes, char *text,
			       size_t text_bytes)
{
	struct ifaddrs *all = NULL;
	struct sockaddr_storage own;
	socklen_t own_bytes = sizeof(own);
	struct address peer;
	AUTO_CLOSE int fd = -1;
	bool is_found = false;

	if (raw->interface[0]) {
		snprintf(name, name_bytes, "%s", raw->interface);
		return true;
	}
	if (address_find(raw->peer_address, 1, &peer, text, text_bytes) != DVS_OK)
		return false;
	fd = socket(peer.at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&peer.at, peer.bytes) == 0 &&
	    getsockname(fd, (struct sockaddr *)&own, &own_bytes) == 0 && getifaddrs(&all) == 0) {
		for (const struct ifaddrs *at = all; at && !is_found; at = at->ifa_next) {
			is_found = at->ifa_addr &&
				   address_same_host((const void *)at->ifa_addr, &own);
			if (is_found)
				snprintf(name, name_bytes, "%s", at->ifa_name);
		}
		freeifaddrs(all);
	}
	if (!is_found)
		snprintf(text, text_bytes,
			 "no interface leads to %s: set links.interface to one on its segment",
			 raw->peer_address);
	return is_found;
}

/* Packets whose bytes from AT on are WANTED, 1, 4 or 8 of them. */
static bool raw_filter(int fd, uint32_t at, const uint8_t *wanted, size_t len)
{
	struct sock_filter code[6];
	struct sock_fprog program = { .filter = code };
	unsigned short n = 0;
	size_t n_words = len == 1 ? 1 : len / 4;

	for (size_t i = 0; i < n_words; i++) {
		uint32_t word = wanted[0];

		if (len > 1)
			word = (uint32_t)wanted[4 * i] << 24 | (uint32_t)wanted[4 * i + 1] << 16 |
			       (uint32_t)wanted[4 * i + 2] << 8 | wanted[4 * i + 3];
		code[n++] = (struct sock_filter)BPF_STMT(
			BPF_LD | (len == 1 ? BPF_B : BPF_W) | BPF_ABS, at + 4 * (uint32_t)i);
		code[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word, 0,
						       (uint8_t)(2 * (n_words - i) - 1));
		n++;
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	program.len = n;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
}

static bool raw_filter_token(int fd, uint64_t token)
{
	uint8_t wanted[sizeof(token)];
	struct writer writer = writer_over(wanted, sizeof(wanted));

	writer_u64(&writer, token);
	return raw_filter(fd, RAW_TOKEN_AT, wanted, sizeof(wanted));
}

/* A socket that gives nothing before it has its filter and its interface. */
static int raw_socket(void)
{
	return socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* What fails here costs speed, not correctness. */
static void raw_tune(int fd)
{
	int bytes = BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/* Bind FD to the interface; its index, and the largest packet there. */
static dvs_err raw_bind(const struct raw *raw, int fd, int *index, uint32_t *packet_bytes,
			char *text, size_t text_bytes)
{
	struct sockaddr_ll own = { .sll_family = AF_PACKET, .sll_protocol = htons(RAW_ETHER_TYPE) };
	struct ifreq request;

	memset(&request, 0, sizeof(request));
	if (!raw_find_interface(raw, request.ifr_name, sizeof(request.ifr_name), text, text_bytes))
		return DVS_IO;
	own.sll_ifindex = (int)if_nametoindex(request.ifr_name);
	if (own.sll_ifindex == 0 || ioctl(fd, SIOCGIFMTU, &request) < 0 ||
	    bind(fd, (struct sockaddr *)(void *)&own, sizeof(own)) < 0) {
		snprintf(text, text_bytes, "interface %s: %s", request.ifr_name, strerror(errno));
		return DVS_IO;
	}
	if (request.ifr_mtu < (int)RAW_PACKET_BYTES_MIN) {
		snprintf(text, text_bytes, "interface %s takes packets of %d bytes only",
			 request.ifr_name, request.ifr_mtu);
		return DVS_IO;
	}
	*index = own.sll_ifindex;
	*packet_bytes = request.ifr_mtu < (int)RAW_PACKET_BYTES_MAX ? (uint32_t)request.ifr_mtu :
								      RAW_PACKET_BYTES_MAX;
	return DVS_OK;
}

static dvs_err raw_open(const struct transport_setup *setup, struct transport **transport,
			char *text, size_t text_bytes)
{
	AUTO_CLOSE int fd = raw_socket();
	const char *cluster = setup->config->cluster;
	struct raw *raw;

	if (fd < 0) {
		snprintf(
			text, text_bytes,
			"no packet socket: %s (it takes the right CAP_NET_RAW and a kernel with AF_PACKET)",
			strerror(errno));
		return DVS_BADARG;
	}
	raw = calloc(1, sizeof(*raw));
	if (!raw || !transport_begin(&raw->transport, &transport_raw, setup)) {
		snprintf(text, text_bytes, "no memory or no descriptor");
		free(raw);
		return DVS_NOMEM;
	}
	raw->interface = setup->config->link[setup->peer].interface;
	raw->peer_address = setup->address;
	raw->dvs = sum_crc32c(0, cluster, strlen(cluster));
	raw->listener = -1;
	*transport = &raw->transport;
	return DVS_OK;
}

static bool raw_send_offer(const struct raw *raw, int fd, enum raw_kind kind, uint64_t token,
			   const struct raw_offer *offer, const struct sockaddr_ll *to)
{
	uint8_t bytes[RAW_HEAD_BYTES + RAW_OFFER_BYTES];
	struct raw_packet packet = {
		.kind = kind,
		.from = raw->transport.node,
		.to = raw->transport.peer,
		.dvs = raw->dvs,
		.token = token,
		.len = RAW_OFFER_BYTES,
	};

	raw_offer_encode(bytes + RAW_HEAD_BYTES, offer);
	packet.sum = sum_crc32c(0, bytes + RAW_HEAD_BYTES, RAW_OFFER_BYTES);
	raw_head_encode(bytes, &packet);
	return sendto(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (const struct sockaddr *)to,
		      sizeof(*to)) == (ssize_t)sizeof(bytes);
}

/* The next offer of this KIND from the peer that has come; false: none. */
static bool raw_receive_offer(const struct raw *raw, int fd, enum raw_kind kind,
			      struct raw_offer *offer, struct sockaddr_ll *from)
{
	uint8_t bytes[RAW_PACKET_BYTES_MIN];
	struct raw_packet packet;

	for (;;) {
		socklen_t from_bytes = sizeof(*from);
		ssize_t got = recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT,
				       (struct sockaddr *)(void *)from, &from_bytes);

		if (got < 0)
			return false;
		if (raw_packet_decode(bytes, (size_t)got, &packet) && packet.kind == kind &&
		    packet.from == raw->transport.peer && packet.to == raw->transport.node &&
		    packet.dvs == raw->dvs && raw_offer_decode(&packet, offer))
			return true;
	}
}

/* Takes FD. */
static struct stream *raw_connected(const struct raw *raw, int fd, const struct raw_offer *theirs,
				    uint32_t packet_bytes, const struct sockaddr_ll *peer)
{
	struct raw_pair pair = {
		.from = raw->transport.node,
		.to = raw->transport.peer,
		.dvs = raw->dvs,
		.token = theirs->token,
		.peer = *peer,
		.packet_bytes = theirs->packet_bytes < packet_bytes ? theirs->packet_bytes :
								      packet_bytes,
	};

	pair.peer.sll_protocol = htons(RAW_ETHER_TYPE);
	return raw_stream(fd, &pair, raw->transport.figures);
}

static dvs_err raw_listen(struct raw *raw, char *text, size_t text_bytes)
{
	const uint8_t kind = RAW_SYN;
	AUTO_CLOSE int fd = raw_socket();
	uint32_t packet_bytes;
	int index;
	dvs_err err;

	if (fd < 0 || !raw_filter(fd, RAW_KIND_AT, &kind, 1)) {
		snprintf(text, text_bytes, "packet socket: %s", strerror(errno));
		return DVS_IO;
	}
	err = raw_bind(raw, fd, &index, &packet_bytes, text, text_bytes);
	if (err == DVS_OK)
		raw->listener = take_fd(&fd);
	return err;
}

/* A new connection for a SYN, and its answer. */
static dvs_err raw_answer(struct raw *raw, const struct raw_offer *theirs,
			  const struct sockaddr_ll *from, struct stream **stream, char *text,
			  size_t text_bytes)
{
	struct answered *answered = &raw->answered[raw->n_answered++ % ANSWERED_MAX];
	AUTO_CLOSE int fd = raw_socket();
	uint32_t packet_bytes;
	int index;
	dvs_err err;

	answered->asked = 0;
	if (fd < 0 || !raw_any_token(&answered->offer.token) ||
	    !raw_filter_token(fd, answered->offer.token)) {
		snprintf(text, text_bytes, "packet socket: %s", strerror(errno));
		return DVS_IO;
	}
	raw_tune(fd);
	err = raw_bind(raw, fd, &index, &packet_bytes, text, text_bytes);
	if (err != DVS_OK)
		return err;
	answered->asked = theirs->token;
	answered->offer.packet_bytes = packet_bytes;
	(void)raw_send_offer(raw, fd, RAW_SYN_ACK, theirs->token, &answered->offer, from);
	*stream = raw_connected(raw, take_fd(&fd), theirs, packet_bytes, from);
	return *stream ? DVS_OK : DVS_NOMEM;
}

/* Is it one that was answered before? The answer may be lost. */
static bool raw_answer_again(const struct raw *raw, const struct raw_offer *theirs,
			     const struct sockaddr_ll *from)
{
	for (size_t i = 0; i < ANSWERED_MAX; i++) {
		const struct answered *answered = &raw->answered[i];

		if (answered->asked == 0 || answered->asked != theirs->token)
			continue;
		(void)raw_send_offer(raw, raw->listener, RAW_SYN_ACK, theirs->token,
				     &answered->offer, from);
		return true;
	}
	return false;
}

static dvs_err raw_accept(struct transport *transport, uint64_t deadline_ns, struct stream **stream,
			  bool *known, char *text, size_t text_bytes)
{
	struct raw *raw = CONTAINER_OF(transport, struct raw, transport);
	struct raw_offer theirs;
	struct sockaddr_ll from;
	dvs_err err;

	/* Anybody on the segment can have any address. */
	*known = false;
	if (raw->listener < 0) {
		err = raw_listen(raw, text, text_bytes);
		if (err != DVS_OK)
			return err;
	}
	for (;;) {
		while (raw_receive_offer(raw, raw->listener, RAW_SYN, &theirs, &from)) {
			if (theirs.token != 0 && !raw_answer_again(raw, &theirs, &from))
				return raw_answer(raw, &theirs, &from, stream, text, text_bytes);
		}
		err = socket_wait(transport, raw->listener, POLLIN, deadline_ns);
		if (err != DVS_OK)
			return err;
	}
}

/* Ask everybody for the peer until it answers. */
static dvs_err raw_ask(const struct raw *raw, int fd, int index, const struct raw_offer *ours,
		       uint64_t deadline_ns, struct raw_offer *theirs, struct sockaddr_ll *from)
{
	struct sockaddr_ll everybody = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(RAW_ETHER_TYPE),
		.sll_ifindex = index,
		.sll_halen = 6,
		.sll_addr = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
	};
	struct pollfd stop = { .fd = raw->transport.stop_fd, .events = POLLIN };
	uint32_t retry_ms = SYN_RETRY_MIN_MS;

	while (!clock_is_past(deadline_ns)) {
		uint64_t until_ns = clock_deadline_ns(retry_ms * CLOCK_NS_PER_MS);

		(void)raw_send_offer(raw, fd, RAW_SYN, 0, ours, &everybody);
		while (socket_wait(&raw->transport, fd, POLLIN, until_ns) == DVS_OK) {
			if (raw_receive_offer(raw, fd, RAW_SYN_ACK, theirs, from))
				return DVS_OK;
		}
		if (poll(&stop, 1, 0) != 0)
			return DVS_TIMEOUT;
		retry_ms = retry_ms * 2 < SYN_RETRY_MAX_MS ? retry_ms * 2 : SYN_RETRY_MAX_MS;
	}
	return DVS_TIMEOUT;
}

static dvs_err raw_connect(struct transport *transport, uint64_t deadline_ns,
			   struct stream **stream, char *text, size_t text_bytes)
{
	const struct raw *raw = CONTAINER_OF(transport, struct raw, transport);
	AUTO_CLOSE int fd = raw_socket();
	struct raw_offer ours;
	struct raw_offer theirs;
	struct sockaddr_ll from;
	int index;
	dvs_err err;

	if (fd < 0 || !raw_any_token(&ours.token) || !raw_filter_token(fd, ours.token)) {
		snprintf(text, text_bytes, "packet socket: %s", strerror(errno));
		return DVS_IO;
	}
	raw_tune(fd);
	err = raw_bind(raw, fd, &index, &ours.packet_bytes, text, text_bytes);
	if (err != DVS_OK)
		return err;
	err = raw_ask(raw, fd, index, &ours, deadline_ns, &theirs, &from);
	if (err != DVS_OK) {
		snprintf(text, text_bytes, "no answer");
		return err;
	}
	*stream = raw_connected(raw, take_fd(&fd), &theirs, ours.packet_bytes, &from);
	return *stream ? DVS_OK : DVS_NOMEM;
}

static void raw_close(struct transport *transport)
{
	struct raw *raw = CONTAINER_OF(transport, struct raw, transport);

	if (raw->listener >= 0)
		close(raw->listener);
	transport_end(transport);
	free(raw);
}

const struct transport_ops transport_raw = {
	.name = "raw",
	.open = raw_open,
	.accept = raw_accept,
	.connect = raw_connect,
	.close = raw_close,
};
