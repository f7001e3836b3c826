/* SPDX-License-Identifier: Apache-2.0 */
/* What is on the wire after the negotiation: requests of clients and the replies to them (the NBD protocol, doc/proto.md of the NBD project). Pure: bytes in, bytes out.
 * All numbers are big-endian. */
#ifndef GATEWAYS_NBD_PROTOCOL_H
#define GATEWAYS_NBD_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/compiler.h"
#include "base/cursor.h"

/* The smallest unit of a request, and the most that a read or write may carry. */
#define NBD_BLOCK_MIN 512u
#define NBD_PAYLOAD_MAX (UINT32_C(32) << 20)
/* The most that a read with "do not fragment" gets. */
#define NBD_UNFRAGMENTED_MAX (UINT32_C(1) << 20)

enum nbd_command {
	NBD_READ = 0,
	NBD_WRITE = 1,
	NBD_DISC = 2,
	NBD_FLUSH = 3,
	NBD_TRIM = 4,
	NBD_CACHE = 5,
	NBD_WRITE_ZEROES = 6,
	NBD_BLOCK_STATUS = 7,
};

#define NBD_CMD_FUA (1u << 0)
#define NBD_CMD_NO_HOLE (1u << 1)
#define NBD_CMD_DF (1u << 2)
#define NBD_CMD_REQ_ONE (1u << 3)
#define NBD_CMD_FAST_ZERO (1u << 4)

/* Errors that a reply can have. */
enum nbd_error {
	NBD_OK = 0,
	NBD_EPERM = 1,
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
	NBD_EOVERFLOW = 75,
	NBD_ENOTSUP = 95,
	NBD_ESHUTDOWN = 108,
};

/* Flags of an export. */
#define NBD_FLAG_HAS_FLAGS (1u << 0)
#define NBD_FLAG_READ_ONLY (1u << 1)
#define NBD_FLAG_SEND_FLUSH (1u << 2)
#define NBD_FLAG_SEND_FUA (1u << 3)
#define NBD_FLAG_SEND_TRIM (1u << 5)
#define NBD_FLAG_SEND_WRITE_ZEROES (1u << 6)
#define NBD_FLAG_SEND_DF (1u << 7)
#define NBD_FLAG_CAN_MULTI_CONN (1u << 8)
#define NBD_FLAG_SEND_FAST_ZERO (1u << 11)

#define NBD_REQUEST_BYTES 28u
#define NBD_SIMPLE_BYTES 16u
#define NBD_CHUNK_BYTES 20u
/* A chunk's head and the offset of the data behind it. */
#define NBD_DATA_CHUNK_BYTES (NBD_CHUNK_BYTES + 8u)
#define NBD_MESSAGE_MAX 200u
/* The longest reply that carries no data of the disk: an error with its sentence. */
#define NBD_ERROR_CHUNK_MAX (NBD_CHUNK_BYTES + 6u + NBD_MESSAGE_MAX)
/* Extents in one reply, and the flags of each. */
#define NBD_EXTENTS_MAX 4096u
#define NBD_STATE_HOLE 1u
#define NBD_STATE_ZERO 2u

struct nbd_request {
	uint16_t flags;
	uint16_t command; /* perhaps none that there is */
	uint64_t cookie;
	uint64_t offset;
	uint32_t bytes;
};

/* What was agreed on with a client, and what its export allows. */
struct nbd_rules {
	uint64_t bytes;
	bool is_read_only;
	bool is_structured;
	bool has_status;     /* base:allocation was selected */
	bool zeroes_quickly; /* zeroing takes less time than writing */
};

struct nbd_extent {
	uint64_t bytes;
	uint32_t flags;
};

/* False: it is no request; nothing that follows can be understood. */
MUST_USE bool nbd_request_parse(const uint8_t head[NBD_REQUEST_BYTES], struct nbd_request *request);
/* Whether REQUEST is one that may be carried out. */
MUST_USE enum nbd_error nbd_request_check(const struct nbd_request *request,
					  const struct nbd_rules *rules);
/* The flags of an export; without those that need structured replies unless these are agreed on. */
uint16_t nbd_export_flags(bool is_read_only, bool is_structured);
/* COMMAND failed with ERR. */
enum nbd_error nbd_error_of(dvs_err err, uint16_t command);

/* Each writes a reply, or the head of one, and gives its length. */
size_t nbd_put_simple(uint8_t out[NBD_SIMPLE_BYTES], uint64_t cookie, enum nbd_error error);
/* The head of BYTES of data from OFFSET on; not the last chunk unless IS_LAST. */
size_t nbd_put_data_chunk(uint8_t out[NBD_DATA_CHUNK_BYTES], uint64_t cookie, uint64_t offset,
			  uint32_t bytes, bool is_last);
/* Nothing more to say: success. */
size_t nbd_put_none_chunk(uint8_t out[NBD_CHUNK_BYTES], uint64_t cookie);
/* The last chunk: an error, with a sentence (cut to NBD_MESSAGE_MAX). */
size_t nbd_put_error_chunk(uint8_t out[NBD_ERROR_CHUNK_MAX], uint64_t cookie, enum nbd_error error,
			   const char *message);
/* The reply to a block status REQUEST, from N extents (at least one) that begin at its offset: neighbours of the same kind become one, and what is beyond its end is cut off. OUT has room for
 * NBD_STATUS_BYTES(n). */
#define NBD_STATUS_BYTES(n) (NBD_CHUNK_BYTES + 4u + 8u * (n))
size_t nbd_put_status_chunk(uint8_t *out, const struct nbd_request *request, uint32_t context_id,
			    const struct nbd_extent *extents, size_t n);

/* Numbers in the order of the wire; as those of base/cursor.h. */
uint16_t nbd_get_u16(struct cursor *in);
uint32_t nbd_get_u32(struct cursor *in);
uint64_t nbd_get_u64(struct cursor *in);
void nbd_put_u16(struct writer *out, uint16_t value);
void nbd_put_u32(struct writer *out, uint32_t value);
void nbd_put_u64(struct writer *out, uint64_t value);

#endif
