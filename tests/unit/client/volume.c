/* SPDX-License-Identifier: Apache-2.0 */
#include "client/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define ID "5f0c7a52-14a4-4b52-9a3c-0d1f5ab4c1de"
#define LEAST "\"id\": \"" ID "\", \"bytes\": 8192, \"endpoint\": 256"
#define ONE "\"replicas\": [{\"node\": 1}]"

static struct volume volume;
static char why[VOLUME_WHY_MAX + 1];

/* ---- one DC "web" with records, in the place of dvsd ---- */

static struct {
	const char *key;
	const char *value;
} records[8];

dvs_err dvk_record_get(struct dvk *admin, const char *dc, const char *key, void *value, size_t *len,
		       uint64_t *version)
{
	(void)admin;
	if (strcmp(dc, "web") != 0)
		return DVS_NODC;
	for (size_t i = 0; i < 8 && records[i].key; i++) {
		if (strcmp(records[i].key, key) == 0) {
			*len = strlen(records[i].value);
			memcpy(value, records[i].value, *len);
			*version = 100 + i;
			return DVS_OK;
		}
	}
	return DVS_NOTFOUND;
}

dvs_err dvk_record_next(struct dvk *admin, const char *dc, char *key, void *value, size_t *len,
			uint64_t *version)
{
	for (size_t i = 0; i < 8 && records[i].key; i++) {
		if (strcmp(records[i].key, key) > 0) {
			strcpy(key, records[i].key);
			return dvk_record_get(admin, dc, key, value, len, version);
		}
	}
	return DVS_NOTFOUND;
}

/* ---- */

static dvs_err parse(const char *json)
{
	return volume_parse("data", json, strlen(json), &volume, why);
}

TEST(a_volume_with_one_replica_needs_few_words)
{
	ck_assert_msg(parse("{" LEAST ", " ONE "}") == DVS_OK, "%s", why);
	ck_assert_str_eq(volume.name, "data");
	ck_assert_str_eq(volume.id, ID);
	ck_assert_uint_eq(volume.bytes, 8192);
	ck_assert_uint_eq(volume.endpoint, 256);
	ck_assert_uint_eq(volume.minor, 0);
	ck_assert_int_eq(volume.store, VOLUME_FILE);
	ck_assert_uint_eq(volume.n_replicas, 1);
	ck_assert_uint_eq(volume.replicas[0].node, 1);
	ck_assert_str_eq(volume.replicas[0].place, "");
	ck_assert_uint_eq(volume.first, 1);
	ck_assert(!volume.direct && !volume.async && !volume.access_dc);
	ck_assert_uint_eq(volume.lag_bytes + volume.resync_bytes_per_s, 0);
	ck_assert_str_eq(volume.of, "");
}

TEST(everything_can_be_said)
{
	ck_assert_msg(parse("{" LEAST ", \"minor\": 0, \"store\": \"raw\", \"direct\": false, "
			    "\"replicas\": [{\"node\": 3, \"place\": \"/dev/vdb\"}, {\"node\": 61, "
			    "\"place\": \"/dev/disk/by-id/x\"}], \"first\": 61, \"async\": true, "
			    "\"lag_bytes\": 1048576, \"resync_bytes_per_s\": 5000000, \"access\": "
			    "\"dc\", \"of\": \"\"}") == DVS_OK,
		      "%s", why);
	ck_assert_int_eq(volume.store, VOLUME_RAW);
	ck_assert_uint_eq(volume.n_replicas, 2);
	ck_assert_str_eq(volume.replicas[1].place, "/dev/disk/by-id/x");
	ck_assert_uint_eq(volume.first, 61);
	ck_assert(volume.async && volume.access_dc);
	ck_assert_uint_eq(volume.lag_bytes, 1048576);
	ck_assert_uint_eq(volume.resync_bytes_per_s, 5000000);
	ck_assert_ptr_eq(volume_replica_on(&volume, 61), &volume.replicas[1]);
	ck_assert_ptr_null(volume_replica_on(&volume, 0));
}

TEST(a_clone_has_the_replicas_of_its_origin)
{
	ck_assert_msg(parse("{" LEAST ", \"of\": \"base\", \"minor\": 2}") == DVS_OK, "%s", why);
	ck_assert_str_eq(volume.of, "base");
	ck_assert_uint_eq(volume.minor, 2);
	ck_assert_uint_eq(volume.n_replicas, 0);
}

struct mistake {
	const char *json;
	const char *text; /* how the complaint begins */
};

static const struct mistake mistakes[] = {
	{ "", "the volume: this is not JSON: line 1" },
	{ "[]", "the volume: must be an object {...}, but is a list" },
	{ "{}", "the volume: lacks the key 'id'" },
	{ "{" LEAST "}", "replicas: a volume has at least one" },
	{ "{" LEAST ", " ONE ", \"byte\": 1}", "byte: there is no 'byte'; did you mean 'bytes'?" },
	{ "{" LEAST ", " ONE ", \"bytes\": 4096}", "the volume: this is not JSON" },
	{ "{\"id\": \"5F0C7A52-14a4-4b52-9a3c-0d1f5ab4c1de\"}", "id: must be a UUID of small" },
	{ "{\"id\": \"../../../../../etc/passwd/..........\"}", "id: must be a UUID" },
	{ "{\"id\": \"5f0c\"}", "id: must be a UUID" },
	{ "{\"id\": 7}", "id: must be a text, but is a number" },
	{ "{\"bytes\": 0}", "bytes: 0 is not a whole number from 4096 to 17592186044416" },
	{ "{\"bytes\": -4096}", "bytes: -4096 is not" },
	{ "{\"bytes\": 4097}", "bytes: must be a multiple of 4096" },
	{ "{\"bytes\": 17592186048512}", "bytes: 17592186048512 is not" },
	{ "{\"bytes\": 4096.0}", "bytes: must be a whole number, but is a broken number" },
	{ "{\"endpoint\": 255}", "endpoint: 255 is not a whole number from 256 to 767" },
	{ "{\"endpoint\": 768}", "endpoint: 768 is not" },
	{ "{\"minor\": 64}", "minor: 64 is not a whole number from 0 to 63" },
	{ "{\"store\": \"fil\"}", "store: there is no 'fil'; did you mean 'file'?" },
	{ "{\"direct\": 1}", "direct: must be true or false, but is a number" },
	{ "{\"replicas\": {}}", "replicas: must be a list [...], but is an object" },
	{ "{\"replicas\": [1]}", "replicas[0]: must be an object {...}, but is a number" },
	{ "{\"replicas\": [{}]}", "replicas[0]: lacks the key 'node'" },
	{ "{\"replicas\": [{\"node\": 62}]}", "replicas[0].node: 62 is not" },
	{ "{\"replicas\": [{\"node\": 1}, {\"node\": 1}]}",
	  "replicas[1]: node 1 has a replica already" },
	{ "{\"replicas\": [{\"node\": 1, \"place\": \"/a\\nb\"}]}",
	  "replicas[0].place: has a control character" },
	{ "{\"replicas\": [{\"node\": 1, \"path\": \"/a\"}]}", "replicas[0].path: there is no" },
	{ "{\"access\": \"all\"}", "access: there is no 'all'; there are managers, dc" },
	{ "{\"of\": \"a/b\"}", "of: is no name of a volume" },
	{ "{\"lag_bytes\": 1099511627777}", "lag_bytes: 1099511627777 is not" },
	{ "{\"resync_bytes_per_s\": null}", "resync_bytes_per_s: must be a whole number" },
	{ "{" LEAST ", " ONE ", \"minor\": 1}", "minor: is not 0: that of a clone" },
	{ "{" LEAST ", \"of\": \"base\"}", "minor: is 0, which is the volume itself" },
	{ "{" LEAST ", \"of\": \"base\", \"minor\": 1, " ONE "}",
	  "replicas: a clone has those of the volume in 'of'" },
	{ "{" LEAST ", " ONE ", \"first\": 2}", "first: is no node that has a replica" },
	{ "{" LEAST ", " ONE ", \"direct\": true, \"store\": \"ram\"}", "direct: only a store" },
	{ "{" LEAST ", " ONE ", \"async\": true}", "lag_bytes: must be said of an asynchronous" },
	{ "{" LEAST ", " ONE ", \"lag_bytes\": 1}", "lag_bytes: only an asynchronous volume" },
	{ "{" LEAST ", " ONE ", \"store\": \"raw\"}",
	  "replicas[0].place: must be the absolute path of a block device" },
	{ "{" LEAST ", " ONE ", \"store\": \"nbd\"}", "replicas[0].place: must be an NBD URI" },
	{ "{" LEAST ", \"replicas\": [{\"node\": 0, \"place\": \"a\"}]}",
	  "replicas[0].place: must be an absolute path, or nothing" },
	{ "{" LEAST ", \"store\": \"ram\", \"replicas\": [{\"node\": 0, \"place\": \"/a\"}]}",
	  "replicas[0].place: a store in memory has no place" },
};

TEST(a_mistake_is_named_with_its_place)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const char *json = mistakes[i].json;

		if (strcmp(mistakes[i].text, "the volume: this is not JSON") == 0)
			json = "{\"bytes\": 4096, \"bytes\": 4096}";
		ck_assert_msg(parse(json) == DVS_BADARG, "taken: %s", json);
		ck_assert_msg(strncmp(why, mistakes[i].text, strlen(mistakes[i].text)) == 0,
			      "%s\nsays: %s\nnot:  %s", json, why, mistakes[i].text);
	}
}

TEST(names_that_could_be_paths_or_options_are_refused)
{
	static const char *const bad[] = { "",	  ".",	 "..",	".a",	   "-a",
					   "a/b", "a@b", "a b", "\xc3\xa4" };
	char longest[VOLUME_NAME_MAX + 2];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!volume_name_ok(bad[i]), "'%s' was taken", bad[i]);
	memset(longest, 'a', sizeof(longest));
	longest[VOLUME_NAME_MAX + 1] = '\0';
	ck_assert(!volume_name_ok(longest));
	longest[VOLUME_NAME_MAX] = '\0';
	ck_assert(volume_name_ok(longest));
	ck_assert(volume_name_ok("pg-14.main_2"));
	ck_assert(volume_parse(".a", "{}", 2, &volume, why) == DVS_BADARG);
	ck_assert_msg(strncmp(why, "the name of a volume is", 23) == 0, "%s", why);
}

TEST(a_volume_and_its_snapshot_have_one_name)
{
	static const char *const bad[] = { "",	      "web",   "/data", "web/", "web/data@",
					   "web/@s",  "a/b/c", "a/@b",	"@a/b", "a/b@c@d",
					   "a/b@c/d", ".a/b",  "a/-b",	"a/.b", "a/b@.." };
	char dc[DVS_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	char snapshot[DVS_NAME_MAX + 1];

	ck_assert(volume_name_split("web/data", dc, name, snapshot));
	ck_assert_str_eq(dc, "web");
	ck_assert_str_eq(name, "data");
	ck_assert_str_eq(snapshot, "");
	ck_assert(volume_name_split("w.1/d-2@before", dc, name, snapshot));
	ck_assert_str_eq(dc, "w.1");
	ck_assert_str_eq(name, "d-2");
	ck_assert_str_eq(snapshot, "before");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!volume_name_split(bad[i], dc, name, snapshot), "'%s' was taken",
			      bad[i]);
}

static void is_printed_and_read(const char *json)
{
	struct volume same;
	char *text;

	ck_assert_msg(parse(json) == DVS_OK, "%s", why);
	ck_assert(volume_print(&volume, &text) == DVS_OK);
	ck_assert_msg(volume_parse("data", text, strlen(text), &same, why) == DVS_OK, "%s: %s",
		      text, why);
	ck_assert_msg(memcmp(&same, &volume, sizeof(same)) == 0, "%s", text);
	free(text);
}

TEST(what_is_printed_is_read_again)
{
	is_printed_and_read("{" LEAST ", " ONE "}");
	is_printed_and_read("{" LEAST ", \"of\": \"base\", \"minor\": 63, \"access\": \"dc\"}");
	is_printed_and_read("{" LEAST ", \"direct\": true, \"store\": \"file\", \"replicas\": "
			    "[{\"node\": 3, \"place\": \"/a\"}, {\"node\": 0}], \"first\": 3, "
			    "\"async\": true, \"lag_bytes\": 5, \"resync_bytes_per_s\": 6}");
}

/* Each of these is a record of its own. */
static const char *const different[] = {
	"{" LEAST ", " ONE "}",
	"{\"id\": \"6f0c7a52-14a4-4b52-9a3c-0d1f5ab4c1de\", \"bytes\": 8192, \"endpoint\": 256, " ONE
	"}",
	"{\"id\": \"" ID "\", \"bytes\": 4096, \"endpoint\": 256, " ONE "}",
	"{\"id\": \"" ID "\", \"bytes\": 8192, \"endpoint\": 257, " ONE "}",
	"{" LEAST ", \"of\": \"a\", \"minor\": 1}",
	"{" LEAST ", \"of\": \"a\", \"minor\": 2}",
	"{" LEAST ", \"of\": \"b\", \"minor\": 1}",
	"{" LEAST ", " ONE ", \"store\": \"ram\"}",
	"{" LEAST ", " ONE ", \"direct\": true}",
	"{" LEAST ", \"replicas\": [{\"node\": 2}]}",
	"{" LEAST ", \"replicas\": [{\"node\": 1, \"place\": \"/a\"}]}",
	"{" LEAST ", \"replicas\": [{\"node\": 1}, {\"node\": 2}]}",
	"{" LEAST ", \"replicas\": [{\"node\": 1}, {\"node\": 2}], \"first\": 2}",
	"{" LEAST ", " ONE ", \"async\": true, \"lag_bytes\": 1}",
	"{" LEAST ", " ONE ", \"async\": true, \"lag_bytes\": 2}",
	"{" LEAST ", " ONE ", \"resync_bytes_per_s\": 1}",
	"{" LEAST ", " ONE ", \"access\": \"dc\"}",
};
#define N_DIFFERENT (sizeof(different) / sizeof(different[0]))

TEST(volumes_are_equal_when_they_say_the_same)
{
	static struct volume all[N_DIFFERENT];

	for (size_t i = 0; i < N_DIFFERENT; i++) {
		ck_assert_msg(parse(different[i]) == DVS_OK, "%s: %s", different[i], why);
		all[i] = volume;
	}
	for (size_t i = 0; i < N_DIFFERENT; i++) {
		ck_assert(parse(different[i]) == DVS_OK);
		for (size_t k = 0; k < N_DIFFERENT; k++)
			ck_assert_msg(volume_equal(&volume, &all[k]) == (i == k), "%s\n%s",
				      different[i], different[k]);
	}
	memcpy(volume.name, "other", 6);
	ck_assert(!volume_equal(&volume, &all[N_DIFFERENT - 1]));
}

TEST(a_record_that_does_not_fit_is_too_big)
{
	char *text;

	ck_assert(parse("{" LEAST ", " ONE "}") == DVS_OK);
	volume.n_replicas = 40;
	for (uint32_t i = 0; i < 40; i++) {
		volume.replicas[i].node = i;
		memset(volume.replicas[i].place, 'a', VOLUME_PLACE_MAX);
	}
	ck_assert(volume_print(&volume, &text) == DVS_TOOBIG);
}

TEST(the_volumes_of_a_dc_are_told_one_after_the_other)
{
	char name[VOLUME_NAME_MAX + 1] = "";
	uint64_t version = 0;
	static const char *const good = "{" LEAST ", " ONE "}";

	records[0].key = "dc";
	records[1].key = "volume-last";
	records[2].key = "volume/-no-volume";
	records[3].key = "volume/a";
	records[4].key = "volume/b";
	records[5].key = "volume/c";
	records[6].key = "volumes";
	for (size_t i = 0; i < 7; i++)
		records[i].value = i == 4 ? "{}" : good;
	ck_assert(volume_next(NULL, "web", name, &volume, &version) == DVS_OK);
	ck_assert_str_eq(name, "a");
	ck_assert_str_eq(volume.name, "a");
	ck_assert_uint_eq(version, 103);
	ck_assert(volume_next(NULL, "web", name, &volume, NULL) == DVS_BADARG);
	ck_assert_str_eq(name, "b");
	ck_assert(volume_next(NULL, "web", name, &volume, NULL) == DVS_OK);
	ck_assert_str_eq(name, "c");
	ck_assert(volume_next(NULL, "web", name, &volume, NULL) == DVS_NOTFOUND);
	ck_assert(volume_get(NULL, "web", "c", &volume, &version) == DVS_OK);
	ck_assert_uint_eq(version, 105);
	ck_assert(volume_get(NULL, "web", "b", &volume, NULL) == DVS_BADARG);
	ck_assert(volume_get(NULL, "web", "d", &volume, NULL) == DVS_NOTFOUND);
	ck_assert(volume_get(NULL, "web", "../a", &volume, NULL) == DVS_NOTFOUND);
	ck_assert(volume_get(NULL, "wob", "c", &volume, NULL) == DVS_NODC);
}

UNIT_MAIN("client-volume", a_volume_with_one_replica_needs_few_words, everything_can_be_said,
	  a_clone_has_the_replicas_of_its_origin, a_mistake_is_named_with_its_place,
	  names_that_could_be_paths_or_options_are_refused, a_volume_and_its_snapshot_have_one_name,
	  what_is_printed_is_read_again, a_record_that_does_not_fit_is_too_big,
	  volumes_are_equal_when_they_say_the_same,
	  the_volumes_of_a_dc_are_told_one_after_the_other)
