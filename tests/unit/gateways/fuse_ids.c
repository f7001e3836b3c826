/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/fuse/ids.h"

#include <string.h>

#include "unit.h"

static const struct ids ids = { .base = 100000, .count = 65536 };

TEST(numbers_are_moved_by_the_base)
{
	uint32_t inside = 7;

	ck_assert_uint_eq(ids_outside(&ids, 0), 100000);
	ck_assert_uint_eq(ids_outside(&ids, 65535), 165535);
	ck_assert(ids_inside(&ids, 100042, &inside));
	ck_assert_uint_eq(inside, 42);
}
END_TEST

TEST(numbers_outside_of_the_map_are_nobodys)
{
	uint32_t inside = 7;

	ck_assert_uint_eq(ids_outside(&ids, 65536), IDS_NOBODY);
	ck_assert(!ids_inside(&ids, 99999, &inside));
	ck_assert_uint_eq(inside, IDS_NOBODY);
	ck_assert(!ids_inside(&ids, 165536, &inside));
	ck_assert(!ids_inside(&ids, UINT32_MAX, &inside));
}
END_TEST

TEST(root_of_the_node_is_root)
{
	uint32_t inside = 7;

	ck_assert(ids_inside(&ids, 0, &inside));
	ck_assert_uint_eq(inside, 0);
}
END_TEST

TEST(without_a_map_numbers_are_the_same)
{
	const struct ids same = IDS_SAME;
	uint32_t inside = 0;

	ck_assert_uint_eq(ids_outside(&same, 4000000000u), 4000000000u);
	ck_assert(ids_inside(&same, 4000000000u, &inside));
	ck_assert_uint_eq(inside, 4000000000u);
}
END_TEST

/* A version, the owner, user 42, the group, group 7, the mask. */
static const uint8_t inside_acl[] = {
	2, 0, 0,   0,	1,   0,	  7, 0, 255, 255, 255, 255, 2, 0, 4,  0, 42, 0, 0,   0,	  4,   0,
	5, 0, 255, 255, 255, 255, 8, 0, 1,   0,	  7,   0,   0, 0, 16, 0, 7,  0, 255, 255, 255, 255,
};

TEST(acls_name_users_and_groups_by_the_other_numbers)
{
	uint8_t acl[sizeof(inside_acl)];
	uint32_t user;
	uint32_t group;

	memcpy(acl, inside_acl, sizeof(acl));
	ck_assert(ids_acl(&ids, false, acl, sizeof(acl)));
	memcpy(&user, acl + 16, 4);
	memcpy(&group, acl + 32, 4);
	ck_assert_uint_eq(user, 100042);
	ck_assert_uint_eq(group, 100007);
	ck_assert(memcmp(acl + 4, inside_acl + 4, 12) == 0);
	ck_assert(ids_acl(&ids, true, acl, sizeof(acl)));
	ck_assert(memcmp(acl, inside_acl, sizeof(acl)) == 0);
}
END_TEST

TEST(what_is_no_acl_is_refused)
{
	uint8_t acl[sizeof(inside_acl)];

	memcpy(acl, inside_acl, sizeof(acl));
	ck_assert(!ids_acl(&ids, true, acl, sizeof(acl) - 1));
	ck_assert(!ids_acl(&ids, true, acl, 3));
	/* 42 is no number that somebody of the container has outside. */
	ck_assert(!ids_acl(&ids, true, acl, sizeof(acl)));
	acl[0] = 3;
	ck_assert(!ids_acl(&ids, false, acl, sizeof(acl)));
}
END_TEST

UNIT_MAIN("gateways-fuse-ids", numbers_are_moved_by_the_base,
	  numbers_outside_of_the_map_are_nobodys, root_of_the_node_is_root,
	  without_a_map_numbers_are_the_same, acls_name_users_and_groups_by_the_other_numbers,
	  what_is_no_acl_is_refused)
