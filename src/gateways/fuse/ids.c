/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/fuse/ids.h"

#include "base/cursor.h"

/* As the kernel has ACLs in extended attributes: a version, then entries of a tag, rights and a number. */
#define ACL_VERSION 2u
#define ACL_HEAD_BYTES 4u
#define ACL_ENTRY_BYTES 8u
#define ACL_NUMBER_AT 4u
#define ACL_USER 2u
#define ACL_GROUP 8u

uint32_t ids_outside(const struct ids *ids, uint32_t inside)
{
	return inside < ids->count ? ids->base + inside : IDS_NOBODY;
}

bool ids_inside(const struct ids *ids, uint32_t outside, uint32_t *inside)
{
	*inside = IDS_NOBODY;
	if (outside >= ids->base && outside - ids->base < ids->count)
		*inside = outside - ids->base;
	else if (outside == 0)
		*inside = 0;
	else
		return false;
	return true;
}

bool ids_acl(const struct ids *ids, bool to_inside, void *value, size_t len)
{
	struct cursor in = cursor_over(value, len);
	uint8_t *at = (uint8_t *)value + ACL_HEAD_BYTES;

	if (len < ACL_HEAD_BYTES || (len - ACL_HEAD_BYTES) % ACL_ENTRY_BYTES != 0 ||
	    cursor_u32(&in) != ACL_VERSION)
		return false;
	for (; cursor_left(&in) > 0; at += ACL_ENTRY_BYTES) {
		uint16_t tag = cursor_u16(&in);
		uint32_t number;
		struct writer out = writer_over(at + ACL_NUMBER_AT, sizeof(number));

		(void)cursor_u16(&in);
		number = cursor_u32(&in);
		if (tag != ACL_USER && tag != ACL_GROUP)
			continue;
		if (!to_inside)
			number = ids_outside(ids, number);
		else if (!ids_inside(ids, number, &number))
			return false;
		writer_u32(&out, number);
	}
	return true;
}
