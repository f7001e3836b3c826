/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as bytes: what is checked of each before anybody looks into its body. */
#ifndef PROXY_WIRE_H
#define PROXY_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <dvs/m3ipc.h>

#include "base/cursor.h"
#include "proto/frame_proto.h"
#include "proxy/link.h"

#define WIRE_MAGIC 0x5644u /* "DV" */
#define WIRE_HEAD_BYTES ((size_t)FRAME_HEADER_BYTES_MAX)
#define WIRE_DATA_MAX ((uint32_t)DVS_DATA_MAX)
/* Of a frame without its data. */
#define WIRE_FRAME_BYTES_MAX (WIRE_HEAD_BYTES + LINK_BODY_MAX)

enum wire_verdict {
	WIRE_FRAME, /* header and body are good */
	WIRE_SHORT, /* more bytes are needed to tell */
	WIRE_BAD,
};

/* Write HEADER, completed, and BODY to OUT, which has room for WIRE_FRAME_BYTES_MAX. Returns how many bytes. */
size_t wire_encode(uint8_t *out, struct frame_header *header, const void *body, size_t body_bytes,
		   size_t data_bytes, uint64_t seq);

/* Look at the frame at the beginning of BYTES, which must be number SEQ of its connection. The body stays in BYTES.
 * WHY is for WIRE_BAD. */
enum wire_verdict wire_decode(const uint8_t *bytes, size_t len, uint64_t seq,
			      struct frame_header *header, struct cursor *body, const char **why);

#endif
