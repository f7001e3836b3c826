/* SPDX-License-Identifier: Apache-2.0 */
/* The options of dvs dc create as a description, and the places of dvs cp. */
#include "manage/container/limits.h"
#include "manage/container/place.h"
#include "run.h"

static bool is_size(const char *text, uint64_t wanted)
{
	uint64_t bytes = 12345;

	return limits_size(text, &bytes) && bytes == wanted;
}

TEST(sizes_have_units)
{
	uint64_t bytes;

	ck_assert(is_size("0", 0));
	ck_assert(is_size("4096", 4096));
	ck_assert(is_size("1K", 1024));
	ck_assert(is_size("256M", 256 << 20));
	ck_assert(is_size("256MiB", 256 << 20));
	ck_assert(is_size("1.5g", UINT64_C(3) << 29));
	ck_assert(is_size("2T", UINT64_C(2) << 40));
	ck_assert(!limits_size("", &bytes));
	ck_assert(!limits_size("-1", &bytes));
	ck_assert(!limits_size("lots", &bytes));
	ck_assert(!limits_size("1X", &bytes));
	ck_assert(!limits_size("1MM", &bytes));
	ck_assert(!limits_size("0x10", &bytes));
	ck_assert(!limits_size("1e3", &bytes));
	ck_assert(!limits_size("99999999999T", &bytes));
}

/* The description that LINE makes; the caller frees it. */
static json_t *described(const char *const *argv, int argc)
{
	struct cli cli = { .output = { .file = stdout }, .err = stderr };
	json_t *document = json_object();

	ck_assert(cli_parse(&cli, argc, (char **)(uintptr_t)argv));
	ck_assert_int_eq(limits_take(&cli, document), EXIT_DONE);
	return document;
}

static void check_described(const char *wanted, const char *const *argv, int argc)
{
	json_t *document = described(argv, argc);
	json_t *other = json_loads(wanted, 0, NULL);

	ck_assert_ptr_nonnull(other);
	ck_assert_msg(json_equal(document, other), "%s", json_dumps(document, JSON_SORT_KEYS));
	json_decref(document);
	json_decref(other);
}

#define CHECK(wanted, ...)                                                           \
	do {                                                                         \
		const char *argv_[] = { "dvs", "dc", "create", "web", __VA_ARGS__ }; \
                                                                                     \
		check_described(wanted, argv_, (int)ARRAY_LEN(argv_));               \
	} while (0)

TEST(options_become_a_description)
{
	CHECK("{\"root\": {\"kind\": \"host\"}}", "--root", "host");
	CHECK("{\"root\": {\"kind\": \"image\", \"name\": \"debian\"}, \"memory\": 268435456, \"cpus\": 1.5}",
	      "--image", "debian", "--memory", "256M", "--cpus", "1.5");
	CHECK("{\"root\": {\"kind\": \"directory\", \"path\": \"/srv/x\"}, \"env\": {\"A\": \"b=c\", \"D\": \"\"}}",
	      "--directory", "/srv/x", "-e", "A=b=c", "-e", "D=");
	CHECK("{\"root\": {\"kind\": \"host\"}, \"volumes\": [{\"source\": \"/a\", \"target\": \"/b\","
	      " \"readonly\": true}, {\"source\": \"/c\", \"target\": \"/d\", \"readonly\": false}]}",
	      "-v", "/a:/b:ro", "-v", "/c:/d");
	CHECK("{\"root\": {\"kind\": \"host\"}, \"volumes\": [{\"source\": \"site\", \"target\": \"/b\","
	      " \"readonly\": false}]}",
	      "-v", "site:/b");
	CHECK("{\"root\": {\"kind\": \"host\"}, \"io\": [{\"device\": \"/dev/vda\", \"read_bps\": 1048576,"
	      " \"write_iops\": 100}]}",
	      "--io", "/dev/vda:read_bps=2M", "--io", "/dev/vda:read_bps=1M,write_iops=100");
	CHECK("{\"root\": {\"kind\": \"host\"}, \"rlimits\": {\"nofile\": [1024, 4096], \"core\":"
	      " [\"unlimited\", \"unlimited\"]}, \"capabilities\": {\"add\": [\"NET_ADMIN\"], \"drop\": [\"ALL\"]}}",
	      "--rlimit", "nofile=1024:4096", "--rlimit", "core=unlimited", "--cap-add",
	      "NET_ADMIN", "--cap-drop", "ALL");
	CHECK("{\"root\": {\"kind\": \"host\"}, \"network\": \"none\", \"pids\": 7}", "--network",
	      "none", "--pids", "7");
	/* The word takes away what there was. */
	CHECK("{\"root\": {\"kind\": \"host\"}}", "--memory", "none", "--cpus", "none");
}

TEST(places_are_told_apart)
{
	struct cli cli = { .output = { .file = stdout }, .err = stderr };
	struct place place;

	ck_assert(place_parse(&cli, "-", &place) && place.kind == PLACE_STREAM);
	ck_assert(place_parse(&cli, "./a:b", &place) && place.kind == PLACE_HERE);
	ck_assert_str_eq(place_name(&place), "a:b");
	ck_assert(place_parse(&cli, "web:/srv/x/", &place) && place.kind == PLACE_CONTAINER);
	ck_assert(place.must_be_directory && !place.contents);
	ck_assert_str_eq(place.dc, "web");
	ck_assert_str_eq(place.path, "/srv/x");
	ck_assert_str_eq(place_name(&place), "x");
	ck_assert(place_parse(&cli, "web@n1:tmp/.", &place));
	ck_assert_str_eq(place.node_name, "n1");
	ck_assert_str_eq(place.path, "/tmp");
	ck_assert(place.contents);
	ck_assert_str_eq(place_name(&place), "");
	ck_assert(place_parse(&cli, "web:/", &place) && place.contents);
	ck_assert(place_parse(&cli, ".", &place) && place.contents);
}

UNIT_MAIN("manage-limits", sizes_have_units, options_become_a_description, places_are_told_apart)
