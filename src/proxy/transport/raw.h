/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of the transport raw, and the streams made of them.
 *
 * They are frames of Ethernet with a type of their own, RAW_ETHER_TYPE, one of those set aside for local use (IEEE 802, 9.2.3). Whose they are stands in the
 * packet: the pair of nodes, a number made of the cluster's name, and a random token that its receiver chose for the connection.
 *
 *	connecting node: SYN, to everybody, with its token     listening node: SYN_ACK, with its own
 *	then DATA both ways, numbered, and ACK: the number of the next packet that is missing, and which of those behind it are here
 *
 * What is under way is bounded by a window, which grows while nothing is lost and is halved when something was. An acknowledgement travels
 * with data, or by itself for every RAW_ACK_EVERY packets, when one is missing, or after RAW_TICK_MS. */
#ifndef PROXY_TRANSPORT_RAW_H
#define PROXY_TRANSPORT_RAW_H

#include <linux/if_packet.h>

#include "proxy/transport.h"

#define RAW_ETHER_TYPE 0x88b5u
#define RAW_VERSION 1u
#define RAW_HEAD_BYTES 36u
#define RAW_PACKET_BYTES_MAX 9216u
#define RAW_PACKET_BYTES_MIN 576u
/* Where a packet has its kind and the token, for filters in the kernel. */
#define RAW_KIND_AT 1u
#define RAW_TOKEN_AT 10u
/* Packets that a stream has memory for in each direction; a power of two. */
#define RAW_SLOTS 1024u
#define RAW_ACK_EVERY 32u
#define RAW_TICK_MS 5u

enum raw_kind { RAW_SYN = 1, RAW_SYN_ACK = 2, RAW_DATA = 3, RAW_ACK = 4, RAW_RESET = 5 };

struct raw_packet {
	enum raw_kind kind;
	uint32_t from;
	uint32_t to;
	uint32_t dvs;	/* of the cluster's name */
	uint64_t token; /* of the receiver; 0 in SYN */
	uint32_t seq;
	uint32_t ack; /* the next one that is missing */
	uint32_t len; /* of the payload */
	uint32_t sum; /* CRC-32C of the payload */
	const uint8_t *payload;
};

/* What SYN and SYN_ACK carry. */
struct raw_offer {
	uint64_t token;
	uint32_t packet_bytes; /* at most, with the head */
};
#define RAW_OFFER_BYTES 12u

/* The RAW_HEAD_BYTES of PACKET; the payload follows them on the wire. */
void raw_head_encode(uint8_t *out, const struct raw_packet *packet);
/* False: what came is no whole and true packet. The payload stays in BYTES. */
MUST_USE bool raw_packet_decode(const uint8_t *bytes, size_t len, struct raw_packet *packet);
void raw_offer_encode(uint8_t *out, const struct raw_offer *offer);
MUST_USE bool raw_offer_decode(const struct raw_packet *packet, struct raw_offer *offer);

/* Both ends of a connection. */
struct raw_pair {
	uint32_t from;
	uint32_t to;
	uint32_t dvs;
	uint64_t token; /* of the other side */
	struct sockaddr_ll peer;
	size_t packet_bytes;
};

/* Takes FD, which gives only packets with this side's token; NULL: no memory. */
struct stream *raw_stream(int fd, const struct raw_pair *pair, struct link_figures *figures);
/* One packet as it came: for the stream itself, and for fuzzing. */
struct raw_stream;
struct raw_stream *raw_stream_of(struct stream *stream);
void raw_stream_take(struct raw_stream *raw, const uint8_t *bytes, size_t len);

#endif
