/* SPDX-License-Identifier: Apache-2.0 */
#include "container/inside.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "unit.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "# no account\n"
			     "\n"
			     "short:x:7\n"
			     "www:x:33:44:a,b:/srv/www:/bin/false:x\n"
			     "www:x:34:45::/other:\n"
			     "5:x:6:6::/five:\n"
			     "far:x:4294967296:1::/:\n"
			     "here:x:8:8::relative:";
static const char group[] =
	"root:x:0:\nwww:x:44:\nweb:x:50:a,www,b\nmore:x:51:www\nnot:x:52:wwww,ww\n"
	"own:x:44:www\nbad:x:no:www\n";

static char why[DESCRIPTION_TEXT_MAX];

static void is(const char *user, uint32_t uid, uint32_t gid, uint32_t n_groups, const char *home)
{
	struct inside_user found;
	dvs_err err = inside_find_user(user, passwd, group, &found, why);

	ck_assert_msg(err == DVS_OK, "%s: %s", user, why);
	ck_assert_msg(found.uid == uid && found.gid == gid, "%s: %u:%u", user, found.uid,
		      found.gid);
	ck_assert_msg(found.n_groups == n_groups, "%s: %u groups", user, found.n_groups);
	ck_assert_str_eq(found.home, home);
}

TEST(users_are_found_by_name_and_number)
{
	is("", 0, 0, 0, "/root");
	is("0", 0, 0, 0, "/root");
	is("www", 33, 44, 2, "/srv/www");
}

TEST(users_without_an_account_have_a_number)
{
	is("99", 99, 0, 0, "/");
	is("99:98", 99, 98, 0, "/");
	is("short", 7, 0, 0, "/");
	is("here", 8, 8, 0, "/");
	/* A name of digits comes before a number. */
	is("5", 6, 6, 0, "/five");
}

TEST(a_group_that_is_named_is_the_only_one)
{
	is("root:web", 0, 50, 0, "/root");
	is("root:52", 0, 52, 0, "/root");
}

TEST(what_is_nobody_is_said_to_be)
{
	static const struct {
		const char *user;
		dvs_err err;
	} wrongs[] = { { "nobody", DVS_NOTFOUND },	{ "far", DVS_NOTFOUND },
		       { "root:none", DVS_NOTFOUND },	{ ":5", DVS_BADARG },
		       { "root:", DVS_BADARG },		{ "65536", DVS_NOTFOUND },
		       { "99999999999", DVS_NOTFOUND }, { "-1", DVS_NOTFOUND },
		       { "root:65536", DVS_NOTFOUND } };

	for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
		struct inside_user found;

		why[0] = '\0';
		ck_assert_msg(inside_find_user(wrongs[i].user, passwd, group, &found, why) ==
				      wrongs[i].err,
			      "%s: %s", wrongs[i].user, why);
		ck_assert(why[0]);
	}
}

UNIT_MAIN("container-users", users_are_found_by_name_and_number,
	  users_without_an_account_have_a_number, a_group_that_is_named_is_the_only_one,
	  what_is_nobody_is_said_to_be)
