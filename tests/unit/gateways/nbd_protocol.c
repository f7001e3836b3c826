/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/protocol.h"

#include <string.h>

#include "unit.h"

#define DISK_BYTES (UINT64_C(1) << 30)

static const struct nbd_rules plain = { .bytes = DISK_BYTES, .zeroes_quickly = true };
static const struct nbd_rules structured = {
	.bytes = DISK_BYTES, .is_structured = true, .has_status = true, .zeroes_quickly = true
};
static const struct nbd_rules read_only = { .bytes = DISK_BYTES,
					    .is_read_only = true,
					    .is_structured = true };

static struct nbd_request request_of(uint16_t command, uint16_t flags, uint64_t offset,
				     uint32_t bytes)
{
	return (struct nbd_request){
		.flags = flags, .command = command, .cookie = 7, .offset = offset, .bytes = bytes
	};
}

static enum nbd_error check(const struct nbd_rules *rules, uint16_t command, uint16_t flags,
			    uint64_t offset, uint32_t bytes)
{
	struct nbd_request request = request_of(command, flags, offset, bytes);

	return nbd_request_check(&request, rules);
}

TEST(a_request_is_read_from_its_28_bytes)
{
	static const uint8_t head[NBD_REQUEST_BYTES] = { 0x25, 0x60, 0x95, 0x13, 0, 1,	  0,
							 6,    1,    2,	   3,	 4, 5,	  6,
							 7,    8,    0,	   0,	 0, 1,	  0,
							 0,    2,    0,	   0,	 0, 0x10, 0 };
	uint8_t broken[NBD_REQUEST_BYTES];
	struct nbd_request request;

	ck_assert(nbd_request_parse(head, &request));
	ck_assert_uint_eq(request.flags, NBD_CMD_FUA);
	ck_assert_uint_eq(request.command, NBD_WRITE_ZEROES);
	ck_assert_uint_eq(request.cookie, UINT64_C(0x0102030405060708));
	ck_assert_uint_eq(request.offset, UINT64_C(0x100000200));
	ck_assert_uint_eq(request.bytes, 0x1000);
	memcpy(broken, head, sizeof(broken));
	broken[3] = 0x14;
	ck_assert(!nbd_request_parse(broken, &request));
}

TEST(requests_beyond_the_end_are_refused)
{
	ck_assert_uint_eq(check(&plain, NBD_READ, 0, DISK_BYTES - 4096, 4096), NBD_OK);
	ck_assert_uint_eq(check(&plain, NBD_READ, 0, DISK_BYTES - 512, 4096), NBD_EINVAL);
	ck_assert_uint_eq(check(&plain, NBD_READ, 0, UINT64_MAX - 511, 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&plain, NBD_WRITE, 0, DISK_BYTES, 512), NBD_ENOSPC);
	ck_assert_uint_eq(check(&plain, NBD_WRITE_ZEROES, 0, DISK_BYTES, 512), NBD_ENOSPC);
	ck_assert_uint_eq(check(&plain, NBD_TRIM, 0, DISK_BYTES, 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&structured, NBD_BLOCK_STATUS, 0, DISK_BYTES, 512), NBD_EINVAL);
}

TEST(requests_of_less_than_a_sector_are_refused)
{
	ck_assert_uint_eq(check(&plain, NBD_READ, 0, 1, 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&plain, NBD_READ, 0, 0, 511), NBD_EINVAL);
	ck_assert_uint_eq(check(&plain, NBD_WRITE, 0, 256, 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&plain, NBD_TRIM, 0, 512, 100), NBD_EINVAL);
}

TEST(payloads_have_a_bound_and_effects_have_none)
{
	ck_assert_uint_eq(check(&plain, NBD_READ, 0, 0, NBD_PAYLOAD_MAX), NBD_OK);
	ck_assert_uint_eq(check(&plain, NBD_READ, 0, 0, NBD_PAYLOAD_MAX + 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&plain, NBD_WRITE, 0, 0, NBD_PAYLOAD_MAX + 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&plain, NBD_TRIM, 0, 0, DISK_BYTES), NBD_OK);
	ck_assert_uint_eq(check(&plain, NBD_WRITE_ZEROES, 0, 0, DISK_BYTES), NBD_OK);
}

TEST(a_read_only_export_is_not_changed)
{
	ck_assert_uint_eq(check(&read_only, NBD_WRITE, 0, 0, 512), NBD_EPERM);
	ck_assert_uint_eq(check(&read_only, NBD_TRIM, 0, 0, 512), NBD_EPERM);
	ck_assert_uint_eq(check(&read_only, NBD_WRITE_ZEROES, 0, 0, 512), NBD_EPERM);
	ck_assert_uint_eq(check(&read_only, NBD_READ, 0, 0, 512), NBD_OK);
	ck_assert_uint_eq(check(&read_only, NBD_FLUSH, 0, 0, 0), NBD_OK);
}

TEST(flags_belong_to_commands)
{
	/* Clients are known to set it on anything. */
	ck_assert_uint_eq(check(&plain, NBD_READ, NBD_CMD_FUA, 0, 512), NBD_OK);
	ck_assert_uint_eq(check(&plain, NBD_FLUSH, NBD_CMD_FUA, 0, 0), NBD_OK);
	ck_assert_uint_eq(check(&plain, NBD_READ, NBD_CMD_DF, 0, 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&structured, NBD_READ, NBD_CMD_DF, 0, 512), NBD_OK);
	ck_assert_uint_eq(check(&structured, NBD_READ, NBD_CMD_DF, 0, NBD_UNFRAGMENTED_MAX + 512),
			  NBD_EOVERFLOW);
	ck_assert_uint_eq(check(&plain, NBD_WRITE, NBD_CMD_NO_HOLE, 0, 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&plain, NBD_TRIM, NBD_CMD_REQ_ONE, 0, 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&plain, NBD_READ, 1u << 9, 0, 512), NBD_EINVAL);
}

TEST(zeroes_are_fast_only_as_holes)
{
	struct nbd_rules slow = plain;

	slow.zeroes_quickly = false;
	ck_assert_uint_eq(check(&plain, NBD_WRITE_ZEROES, NBD_CMD_FAST_ZERO, 0, 512), NBD_OK);
	ck_assert_uint_eq(check(&plain, NBD_WRITE_ZEROES, NBD_CMD_FAST_ZERO | NBD_CMD_NO_HOLE, 0,
				512),
			  NBD_ENOTSUP);
	ck_assert_uint_eq(check(&slow, NBD_WRITE_ZEROES, NBD_CMD_FAST_ZERO, 0, 512), NBD_ENOTSUP);
	ck_assert_uint_eq(check(&slow, NBD_WRITE_ZEROES, 0, 0, 512), NBD_OK);
}

TEST(block_status_needs_to_be_agreed_on)
{
	ck_assert_uint_eq(check(&plain, NBD_BLOCK_STATUS, 0, 0, 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&structured, NBD_BLOCK_STATUS, NBD_CMD_REQ_ONE, 0, 512), NBD_OK);
	ck_assert_uint_eq(check(&structured, NBD_BLOCK_STATUS, 0, 0, 0), NBD_EINVAL);
}

TEST(unknown_commands_and_strange_flushes_are_refused)
{
	ck_assert_uint_eq(check(&structured, NBD_CACHE, 0, 0, 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&structured, 8, 0, 0, 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&structured, 65535, 0, 0, 512), NBD_EINVAL);
	ck_assert_uint_eq(check(&structured, NBD_FLUSH, 0, 512, 0), NBD_EINVAL);
}

TEST(replies_are_as_the_protocol_has_them)
{
	uint8_t out[NBD_ERROR_CHUNK_MAX];
	static const uint8_t simple[] = {
		0x67, 0x44, 0x66, 0x98, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7
	};
	static const uint8_t data[] = { 0x66, 0x8e, 0x33, 0xef, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0,
					0,    7,    0,	  0,	2, 8, 0, 0, 0, 0, 0, 0, 4, 0 };
	static const uint8_t none[] = { 0x66, 0x8e, 0x33, 0xef, 0, 1, 0, 0, 0, 0,
					0,    0,    0,	  0,	0, 7, 0, 0, 0, 0 };
	static const uint8_t error[] = { 0x66, 0x8e, 0x33, 0xef, 0, 1, 0x80, 1,	 0, 0,
					 0,    0,    0,	   0,	 0, 7, 0,    0,	 0, 8,
					 0,    0,    0,	   28,	 0, 2, 'n',  'o' };

	ck_assert_uint_eq(nbd_put_simple(out, 7, NBD_EIO), sizeof(simple));
	ck_assert_mem_eq(out, simple, sizeof(simple));
	ck_assert_uint_eq(nbd_put_data_chunk(out, 7, 0x400, 0x200, true), sizeof(data));
	ck_assert_mem_eq(out, data, sizeof(data));
	ck_assert_uint_eq(nbd_put_none_chunk(out, 7), sizeof(none));
	ck_assert_mem_eq(out, none, sizeof(none));
	ck_assert_uint_eq(nbd_put_error_chunk(out, 7, NBD_ENOSPC, "no"), sizeof(error));
	ck_assert_mem_eq(out, error, sizeof(error));
}

TEST(a_long_message_is_cut)
{
	uint8_t out[NBD_ERROR_CHUNK_MAX];
	char message[NBD_MESSAGE_MAX + 50];

	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	ck_assert_uint_eq(nbd_put_error_chunk(out, 1, NBD_EIO, message), NBD_ERROR_CHUNK_MAX);
}

TEST(extents_of_a_kind_become_one_and_end_with_the_request)
{
	const struct nbd_extent extents[] = {
		{ 4096, 0 }, { 4096, 0 }, { 8192, 3 }, { UINT64_C(1) << 40, 0 }
	};
	struct nbd_request request = request_of(NBD_BLOCK_STATUS, 0, 0, 32768);
	uint8_t out[NBD_STATUS_BYTES(4)];
	static const uint8_t three[] = { 0, 0, 0x20, 0, 0, 0, 0,    0, 0, 0, 0x20, 0,
					 0, 0, 0,    3, 0, 0, 0x40, 0, 0, 0, 0,	   0 };

	ck_assert_uint_eq(nbd_put_status_chunk(out, &request, 1, extents, 4), NBD_STATUS_BYTES(3));
	ck_assert_mem_eq(out + NBD_CHUNK_BYTES + 4, three, sizeof(three));
	ck_assert_uint_eq(out[7], 5);
	request.flags = NBD_CMD_REQ_ONE;
	ck_assert_uint_eq(nbd_put_status_chunk(out, &request, 1, extents, 4), NBD_STATUS_BYTES(1));
	ck_assert_mem_eq(out + NBD_CHUNK_BYTES + 4, three, 8);
}

TEST(errors_of_the_server_are_told_in_the_words_of_the_protocol)
{
	ck_assert_uint_eq(nbd_error_of(DVS_OK, NBD_READ), NBD_OK);
	ck_assert_uint_eq(nbd_error_of(DVS_RANGE, NBD_READ), NBD_EINVAL);
	ck_assert_uint_eq(nbd_error_of(DVS_RANGE, NBD_WRITE), NBD_ENOSPC);
	ck_assert_uint_eq(nbd_error_of(DVS_NOSPACE, NBD_FLUSH), NBD_ENOSPC);
	ck_assert_uint_eq(nbd_error_of(DVS_READONLY, NBD_WRITE), NBD_EPERM);
	ck_assert_uint_eq(nbd_error_of(DVS_NOQUORUM, NBD_WRITE), NBD_EIO);
	ck_assert_uint_eq(nbd_error_of(DVS_NODEST, NBD_READ), NBD_EIO);
}

TEST(only_what_can_be_written_promises_to_take_zeroes)
{
	ck_assert_uint_eq(nbd_export_flags(false, true),
			  0x1 | 0x4 | 0x8 | 0x20 | 0x40 | 0x80 | 0x100 | 0x800);
	ck_assert_uint_eq(nbd_export_flags(true, false), 0x1 | 0x2 | 0x4 | 0x8 | 0x100);
}

UNIT_MAIN("gateways-nbd-protocol", a_request_is_read_from_its_28_bytes,
	  requests_beyond_the_end_are_refused, requests_of_less_than_a_sector_are_refused,
	  payloads_have_a_bound_and_effects_have_none, a_read_only_export_is_not_changed,
	  flags_belong_to_commands, zeroes_are_fast_only_as_holes,
	  block_status_needs_to_be_agreed_on, unknown_commands_and_strange_flushes_are_refused,
	  replies_are_as_the_protocol_has_them, a_long_message_is_cut,
	  extents_of_a_kind_become_one_and_end_with_the_request,
	  errors_of_the_server_are_told_in_the_words_of_the_protocol,
	  only_what_can_be_written_promises_to_take_zeroes)
