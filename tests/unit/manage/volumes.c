/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol: creating, listing and removing volumes, with a model of dvsd and of the servers. */
#include <jansson.h>

#include "volume_help.h"

/* ---- create ---- */

static json_t *kept_volume(const char *name)
{
	char key[64];
	const char *value;
	json_t *document;

	snprintf(key, sizeof(key), "volume/%s", name);
	value = fake_kept("web", key);
	ck_assert_msg(value != NULL, "no record of %s", name);
	document = json_loads(value, 0, NULL);
	ck_assert_ptr_nonnull(document);
	return document;
}

static long long number_of(const json_t *document, const char *key)
{
	return json_integer_value(json_object_get(document, key));
}

TEST(a_volume_is_a_record_and_is_waited_for)
{
	RESULT made = { 0 };
	json_t *volume;

	volume_begin();
	made = run("vol create web/data --size 10G -q");
	ck_assert_msg(made.status == 0, "%s", made.err);
	ck_assert_str_eq(made.out, "web/data\n");
	ck_assert_str_eq(made.err, "");
	volume = kept_volume("data");
	ck_assert_int_eq(number_of(volume, "bytes"), 10737418240);
	ck_assert_int_eq(number_of(volume, "endpoint"), 256);
	ck_assert_str_eq(json_string_value(json_object_get(volume, "store")), "file");
	ck_assert_str_eq(json_string_value(json_object_get(volume, "access")), "managers");
	ck_assert_uint_eq(json_array_size(json_object_get(volume, "replicas")), 1);
	json_decref(volume);
	ck_assert_int_eq(fake()->n_open, 0);
}

TEST(everything_that_can_be_said_of_a_volume_is_in_its_record)
{
	RESULT made = { 0 };
	json_t *volume;
	json_t *replicas;

	volume_begin();
	fake()->barn_is_up = 1;
	fake()->disk.primary = 1;
	made = run("vol create web/d --size 1M --nodes barn,farm --store file --direct --place "
		   "farm=/srv/d.img --async --lag 8M --resync-rate 100M --access dc -o json");
	ck_assert_msg(made.status == 0, "%s", made.err);
	volume = kept_volume("d");
	replicas = json_object_get(volume, "replicas");
	ck_assert_int_eq(number_of(volume, "first"), 1);
	ck_assert_int_eq(number_of(json_array_get(replicas, 0), "node"), 1);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(replicas, 1), "place")),
			 "/srv/d.img");
	ck_assert(json_is_true(json_object_get(volume, "direct")));
	ck_assert(json_is_true(json_object_get(volume, "async")));
	ck_assert_int_eq(number_of(volume, "lag_bytes"), 8 << 20);
	ck_assert_int_eq(number_of(volume, "resync_bytes_per_s"), 100 << 20);
	ck_assert_str_eq(json_string_value(json_object_get(volume, "access")), "dc");
	json_decref(volume);
	ck_assert_contains(made.out, "\"nodes\": [\n    \"barn\",\n    \"farm\"\n  ]");
}

TEST(no_two_volumes_get_one_endpoint)
{
	RESULT first = { 0 };
	RESULT second = { 0 };
	json_t *volume;

	volume_begin();
	fake_keep("web", "volume/data", VOLUME_OF(ON_FARM));
	fake_keep("web", "volume-last", "{\"endpoint\": 299}");
	fake()->n_set_races = 1;
	first = run("vol create web/a --size 1M -q");
	ck_assert_msg(first.status == 0, "%s", first.err);
	volume = kept_volume("a");
	ck_assert_int_eq(number_of(volume, "endpoint"), 301);
	json_decref(volume);
	fake_keep("web", "volume-last", "{\"endpoint\": 767}");
	second = run("vol create web/b --size 1M -q");
	ck_assert_msg(second.status == 0, "%s", second.err);
	volume = kept_volume("b");
	ck_assert_int_eq(number_of(volume, "endpoint"), 256);
	json_decref(volume);
}

struct refusal {
	const char *line;
	int status;
	const char *text;
};

static void are_refused(const struct refusal *refusals, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		RESULT result = run(refusals[i].line);

		ck_assert_msg(result.status == refusals[i].status, "%s: %d: %s", refusals[i].line,
			      result.status, result.err);
		ck_assert_msg(strstr(result.err, refusals[i].text) != NULL,
			      "%s\nsays: %s\nnot:  %s", refusals[i].line, result.err,
			      refusals[i].text);
	}
}

#define ARE_REFUSED(refusals) are_refused(refusals, sizeof(refusals) / sizeof((refusals)[0]))

TEST(what_is_wrong_with_a_new_volume_is_said_before_there_is_one)
{
	static const struct refusal refusals[] = {
		{ "vol create web/d", 2, "say how large it is: --size 10G" },
		{ "vol create d --size 1M", 2, "'d' is no name of a volume; write DC/VOLUME" },
		{ "vol create web/d@x --size 1M", 2, "'web/d@x' is a snapshot; name a volume" },
		{ "vol create web/-d --size 1M", 2, "is no name of a volume" },
		{ "vol create web/d --size 10X", 2, "'10X' is no size; give bytes" },
		{ "vol create web/d --size 5000", 2,
		  "multiple of 4096 bytes; 5000 is 5000 bytes, give 8192" },
		{ "vol create web/d --size 17T", 2, "'17T' is no size of a volume" },
		{ "vol create web/d --size 0", 2, "is no size of a volume" },
		{ "vol create web/d --size 1M --nodes farm --replicas 2", 2, "give one of them" },
		{ "vol create web/d --size 1M --direct --store ram", 2,
		  "--direct is for --store file" },
		{ "vol create web/d --size 1M --lag 1M", 2, "--lag is for asynchronous volumes" },
		{ "vol create web/d --size 1M --async --lag 0", 2, "--lag does not take '0'" },
		{ "vol create web/d --size 1M --resync-rate fast", 2,
		  "--resync-rate does not take" },
		{ "vol create web/d --size 1M --replicas 0", 2,
		  "'0' is no whole number from 1 to 62" },
		{ "vol create web/d --size 1M --store tape", 2, "--store does not take 'tape'" },
		{ "vol create wob/d --size 1M", 1, "no such DC; did you mean 'web'?" },
		{ "vol create web/d --size 1M --nodes fram", 2, "did you mean 'farm'?" },
		{ "vol create web/d --size 1M --nodes farm,farm", 2, "--nodes names farm twice" },
		{ "vol create web/d --size 1M --nodes barn", 1,
		  "node barn is down; 'dvs node ls'" },
		{ "vol create web/d --size 1M --replicas 2", 1,
		  "only 1 nodes are up and not drained, so it cannot have 2 replicas" },
		{ "vol create web/d --size 1M --store raw", 2,
		  "--place farm=...: must be the absolute path of a block device" },
		{ "vol create web/d --size 1M --store nbd --place farm=http://x", 2,
		  "--place farm=http://x: must be an NBD URI" },
		{ "vol create web/d --size 1M --place farm=a", 2, "must be an absolute path" },
		{ "vol create web/d --size 1M --place barn=/a --nodes farm", 2,
		  "node barn gets no replica" },
		{ "vol create web/d --size 1M --place barn=/a", 1, "node barn is down" },
		{ "vol create web/d --size 1M --place bran=/a", 2, "did you mean 'barn'?" },
		{ "vol create web/d --size 1M --place /a", 2, "give NODE=PATH" },
		{ "vol create web/d --size 1M --place farm=/a --place farm=/b", 2,
		  "node farm has a place already" },
	};

	volume_begin();
	ARE_REFUSED(refusals);
	ck_assert_uint_eq(fake()->n_kept, 0);
	fake_keep("web", "volume/d", VOLUME_OF(ON_FARM));
	ARE_REFUSED(
		((struct refusal[]){ { "vol create web/d --size 1M", 1,
				       "create volume web/d: there is a volume of that name" } }));
	fake()->has_agents = 0;
	ARE_REFUSED(((struct refusal[]){
		{ "vol create web/e --size 1M", 1, "node farm: that node runs no containers" } }));
	ck_assert_uint_eq(fake()->n_kept, 1);
	ck_assert_int_eq(fake()->n_open, 0);
}

/* A server that has said why it cannot: its volume has another id each time, so it says so of all. */
TEST(a_volume_that_a_node_cannot_have_is_taken_back)
{
	RESULT made = { 0 };

	volume_begin();
	fake()->disk.is_away = 1;
	fake()->why_of_new = "/dev/vdb is mounted; unmount it first";
	made = run("vol create web/d --size 1M");
	ck_assert_int_eq(made.status, 1);
	ck_assert_str_eq(made.err, "dvs: create volume web/d: node farm: /dev/vdb is mounted; "
				   "unmount it first; nothing of it stays\n");
	ck_assert_ptr_null(fake_kept("web", "volume/d"));
	ck_assert_uint_eq(fake()->n_kept, 1); /* the number that was drawn */
	ck_assert_int_eq(fake()->n_open, 0);
}

TEST(with_detach_nothing_is_waited_for)
{
	RESULT made = { 0 };

	volume_begin();
	fake()->disk.is_away = 1;
	made = run("vol create web/d --size 1M -d -q");
	ck_assert_msg(made.status == 0, "%s", made.err);
	ck_assert_ptr_nonnull(fake_kept("web", "volume/d"));
}

/* ---- stats ---- */

TEST(the_figures_of_volumes_are_rates_between_two_looks)
{
	RESULT once = { 0 };
	RESULT told = { 0 };
	json_t *row;
	json_t *document;

	volume_with_two();
	fake_keep("web", "volume/bad", "{}");
	fake()->disk.counts = 1 << 20;
	once = run("vol stats web --once -i 0.1");
	ck_assert_msg(once.status == 0, "%s", once.err);
	ck_assert_contains(once.out, "NAME      READS/S ");
	ck_assert_contains(once.out, "farm* barn  healthy");
	ck_assert_contains(once.out, "damaged record");
	told = run("vol stats web/data --once -i 0.1 -o json");
	ck_assert_msg(told.status == 0, "%s", told.err);
	document = json_loads(told.out, 0, NULL);
	row = json_array_get(json_object_get(document, "volumes"), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "volumes")), 1);
	/* A million more than before within a tenth of a second, or as long as it took. */
	ck_assert_int_gt(number_of(row, "reads_rate"), 0);
	ck_assert_int_gt(number_of(row, "read_bytes_per_s"), number_of(row, "reads_rate"));
	ck_assert_int_gt(number_of(row, "flushes_rate"), 0);
	ck_assert_int_eq(number_of(row, "writes_rate"), 0);
	ck_assert_int_eq(number_of(row, "reads"), number_of(row, "flushes") + 8);
	ck_assert_uint_eq(json_array_size(json_object_get(row, "replicas")), 2);
	json_decref(document);
	ck_assert_int_eq(fake()->n_open, 0);
}

TEST(the_figures_tell_how_long_requests_take)
{
	RESULT table = { 0 };
	RESULT told = { 0 };
	json_t *document;
	json_t *read;
	json_t *last;
	json_t *write;

	volume_with_two();
	fake()->disk.counts = 1 << 20;
	table = run("vol stats web/data --once -i 0.1");
	ck_assert_msg(table.status == 0, "%s", table.err);
	ck_assert_contains(table.out, "READ P99");
	ck_assert_contains(table.out, "1.0ms");
	fake()->disk.counted = 0;
	fake()->disk.counts = 20;
	told = run("vol stats web/data --once -i 0.1 -o json");
	ck_assert_msg(told.status == 0, "%s", told.err);
	document = json_loads(told.out, 0, NULL);
	read = json_array_get(json_object_get(document, "volumes"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(read, "read_p50")), "1.0ms");
	ck_assert(json_is_null(json_object_get(read, "write_p99")));
	write = json_object_get(json_object_get(read, "latencies"), "write");
	ck_assert_int_eq(number_of(write, "count"), 0);
	ck_assert(json_is_null(json_object_get(write, "p50_ns")));
	read = json_object_get(json_object_get(read, "latencies"), "read");
	last = json_object_get(read, "last");
	/* All: a thousand of 100 us, and some 30 of 1 ms. */
	ck_assert_int_gt(number_of(read, "count"), 1010);
	ck_assert_int_eq(number_of(read, "p50_ns"), 106495);
	ck_assert_int_eq(number_of(read, "p99_ns"), 1048575);
	ck_assert_int_eq(number_of(read, "max_ns"), 7000000);
	/* What took 7 ms was before the first look. */
	ck_assert_int_eq(number_of(last, "count") % 20, 0);
	ck_assert_int_gt(number_of(last, "count"), 0);
	ck_assert_int_eq(number_of(last, "p50_ns"), 1048575);
	ck_assert_int_eq(number_of(last, "max_ns"), 1048575);
	json_decref(document);
}

TEST(the_figures_tell_how_far_a_replica_is)
{
	RESULT told = { 0 };
	RESULT wrong = { 0 };

	volume_with_two();
	fake()->disk.syncing = 1;
	fake()->disk.sync_looks = 100;
	told = run("vol stats --once -i 0.1");
	ck_assert_msg(told.status == 0, "%s", told.err);
	ck_assert_contains(told.out, "syncing 25%");
	ck_assert_contains(told.out, "25%, left 32");
	wrong = run("vol stats web/date");
	ck_assert_int_eq(wrong.status, 1);
	ck_assert_contains(wrong.err, "did you mean 'web/data'?");
}

/* ---- ls and inspect ---- */

TEST(a_list_tells_at_a_glance_what_is_healthy)
{
	RESULT list = { 0 };
	RESULT wide = { 0 };
	RESULT names = { 0 };

	volume_with_two();
	fake_keep("web", "volume/bad", "{}");
	fake_keep("web", "volume/test", CLONE_OF("data"));
	add_snapshot("monday");
	list = run("vol ls");
	ck_assert_msg(list.status == 0, "%s", list.err);
	ck_assert_contains(list.out, "NAME      SIZE  USED  STORE  REPLICAS    STATE\n");
	ck_assert_contains(list.out, "web/bad   -     -     -      -           damaged record\n");
	ck_assert_contains(list.out, "web/data  10G   3M    file   farm* barn  healthy\n");
	ck_assert_contains(list.out, "web/test  1G    -     file   farm* barn  healthy\n");
	wide = run("vol ls web -w");
	ck_assert_contains(wide.out, "web/data");
	names = run("vol ls -q");
	ck_assert_str_eq(names.out, "web/bad\nweb/data\nweb/test\n");
	ck_assert_int_eq(fake()->n_open, 0);
}

TEST(a_list_tells_who_is_behind_away_or_silent)
{
	RESULT syncing = { 0 };
	RESULT away = { 0 };
	RESULT over = { 0 };
	RESULT paused = { 0 };
	RESULT silent = { 0 };

	volume_with_two();
	fake()->disk.syncing = 1;
	fake()->disk.sync_looks = 1;
	syncing = run("vol ls");
	ck_assert_contains(syncing.out, "farm* barn!  syncing 25%\n");
	fake()->disk.away = 1;
	away = run("vol ls");
	ck_assert_contains(away.out, "farm* barn!  degraded\n");
	fake()->disk.paused_ms = 5;
	over = run("vol ls");
	ck_assert_contains(over.out, "degraded\n");
	fake()->disk.waiting = 3;
	paused = run("vol ls");
	ck_assert_contains(paused.out, "paused\n");
	fake()->disk.is_away = 1;
	silent = run("vol ls");
	ck_assert_int_eq(silent.status, 0);
	ck_assert_contains(silent.out, "farm barn  unreachable\n");
}

TEST(inspect_tells_everything)
{
	RESULT text = { 0 };
	RESULT json = { 0 };

	volume_with_two();
	add_snapshot("monday");
	fake()->disk.syncing = 1;
	fake()->disk.sync_looks = 2;
	text = run("vol inspect web/data");
	ck_assert_msg(text.status == 0, "%s", text.err);
	ck_assert_contains(text.out, "syncing 25%");
	ck_assert_contains(text.out, "10737418240");
	ck_assert_contains(text.out, "web/data@monday");
	ck_assert_contains(text.out, "100M");
	ck_assert_contains(text.out, "32s");
	json = run("vol inspect web/data -o json");
	ck_assert_contains(json.out, "\"state\": \"syncing\"");
	ck_assert_contains(json.out, "\"eta_ms\": 31000");
	ck_assert_contains(json.out, "\"kind\": \"snapshot\"");
	ck_assert_contains(json.out, "\"epoch\": 7");
}

TEST(inspect_tells_what_is_known_of_a_volume_that_does_not_answer)
{
	RESULT result = { 0 };
	RESULT resize = { 0 };

	volume_begin();
	fake_keep("web", "volume/data", VOLUME_OF(ON_BOTH));
	fake_keep("web", "volume-why/" VOLUME_ID "/0", "disk.img is \033[1mtruncated");
	fake()->disk.is_away = 1;
	result = run("vol inspect web/data");
	ck_assert_int_eq(result.status, 0);
	ck_assert_contains(result.out, "unreachable");
	ck_assert_contains(result.out,
			   "node farm: disk.img is \\x1b[1mtruncated; node barn is down");
	resize = run("vol resize web/data 20G");
	ck_assert_int_eq(resize.status, 1);
	ck_assert_contains(resize.err,
			   "resize volume web/data: no server of it answers: node farm: "
			   "disk.img is \\x1b[1mtruncated; node barn is down\n");
}

TEST(names_that_are_wrong_get_an_advice)
{
	static const struct refusal refusals[] = {
		{ "vol inspect web/dada", 1,
		  "the dc web has no such volume; did you mean 'web/data'?" },
		{ "vol inspect web/zzzzzzzz", 1, "'dvs vol ls web' lists them" },
		{ "vol inspect web/data@monday", 2, "is a snapshot; name a volume: web/data" },
		{ "vol inspect wob/data", 1, "did you mean 'web'?" },
		{ "vol ls wob", 1, "did you mean 'web'?" },
		{ "vol inspect web/bad", 1,
		  "its record is damaged: the volume: lacks the key 'id'; 'dvs vol rm --force" },
		{ "vol inspect web/test", 1, "it is a clone of 'web/gone', which is gone" },
		{ "vol clone web/data new", 2,
		  "'web/data' is no snapshot; write web/data@SNAPSHOT" },
		{ "vol clone web/data@no new", 1, "there is no snapshot of that name" },
		{ "vol frobnicate", 2, "unknown command 'frobnicate'" },
	};

	volume_with_two();
	fake_keep("web", "volume/bad", "{}");
	fake_keep("web", "volume/test", CLONE_OF("gone"));
	ARE_REFUSED(refusals);
	ck_assert_int_eq(fake()->n_open, 0);
}

/* ---- rm ---- */

TEST(a_volume_is_removed_with_all_that_belongs_to_it)
{
	RESULT unsure = { 0 };
	RESULT sure = { 0 };

	volume_with_two();
	fake_keep("web", "view/" VOLUME_ID, "{}");
	fake_keep("web", "volume-why/" VOLUME_ID "/0", "a");
	fake_keep("web", "volume-why/" VOLUME_ID "/1", "b");
	unsure = run("vol rm web/data");
	ck_assert_int_eq(unsure.status, 1);
	ck_assert_contains(unsure.err, "would be lost; say that you mean it with --force");
	ck_assert_uint_eq(fake()->n_kept, 4);
	sure = run("vol rm --force web/data -q");
	ck_assert_msg(sure.status == 0, "%s", sure.err);
	ck_assert_str_eq(sure.out, "web/data\n");
	ck_assert_uint_eq(fake()->n_kept, 0);
	ck_assert_int_eq(fake()->n_open, 0);
}

TEST(a_volume_that_is_a_block_device_stays)
{
	RESULT kept = { 0 };
	RESULT told = { 0 };
	RESULT kept_for_fs = { 0 };
	RESULT told_of_fs = { 0 };
	RESULT gone = { 0 };
	struct fake_dc *dc;

	volume_with_two();
	dc = &fake()->dcs[0];
	fake_add_endpoint(dc, 2000, 3, "dvs-attach");
	fake_keep(
		"web", "volume-attach/" VOLUME_ID,
		"{\"holders\":[{\"token\":\"t\",\"node\":1,\"endpoint\":3147728,\"shared\":false}]}");
	told = run("vol inspect web/data");
	ck_assert_contains(told.out, "barn\n");
	kept = run("vol rm --force web/data");
	ck_assert_int_eq(kept.status, 1);
	ck_assert_contains(kept.err, "it is a block device of node barn; take it off with 'dvs vol "
				     "detach' there");
	ck_assert_contains(told.out, "a block device on barn\n");
	fake_keep("web", "volume-attach/" VOLUME_ID,
		  "{\"number\":4,\"holders\":[{\"token\":\"t\",\"kind\":\"fs\",\"about\":\"home\","
		  "\"node\":1,\"endpoint\":3147728,\"shared\":false}]}");
	told_of_fs = run("vol inspect web/data");
	ck_assert_contains(told_of_fs.out, "file system home on barn\n");
	kept_for_fs = run("vol rm --force web/data");
	ck_assert_int_eq(kept_for_fs.status, 1);
	ck_assert_contains(kept_for_fs.err, "file system home is on it, which node 1 serves");
	dc->n_endpoints = 0;
	gone = run("vol rm --force web/data");
	ck_assert_msg(gone.status == 0, "%s", gone.err);
	ck_assert_uint_eq(fake()->n_kept, 0);
}

TEST(a_volume_with_a_file_system_stays_also_while_nobody_serves_it)
{
	RESULT kept = { 0 };
	RESULT gone = { 0 };

	volume_with_two();
	fake_keep("web", "fs/other",
		  "{\"id\":\"1c53160c-b2c9-4c30-a96b-9dc0403d6307\",\"endpoint\":999,"
		  "\"store\":\"ram\",\"bytes\":67108864,\"nodes\":[1],\"access\":\"managers\"}");
	fake_keep("web", "fs/site",
		  "{\"id\":\"1c53160c-b2c9-4c30-a96b-9dc0403d6308\",\"endpoint\":998,"
		  "\"store\":\"volume\",\"volume\":\"data\",\"nodes\":[1],"
		  "\"access\":\"managers\"}");
	kept = run("vol rm --force web/data");
	ck_assert_int_eq(kept.status, 1);
	ck_assert_contains(kept.err, "file system site is on it, and would be lost with it; remove "
				     "that first ('dvs fs rm web/site')");
	fake_keep("web", "fs/site",
		  "{\"id\":\"1c53160c-b2c9-4c30-a96b-9dc0403d6308\",\"endpoint\":998,"
		  "\"store\":\"volume\",\"volume\":\"elsewhere\",\"nodes\":[1],"
		  "\"access\":\"managers\"}");
	gone = run("vol rm --force web/data");
	ck_assert_msg(gone.status == 0, "%s", gone.err);
	ck_assert_uint_eq(fake()->n_kept, 2);
}

TEST(a_volume_with_clones_stays)
{
	static const struct refusal refusals[] = {
		{ "vol rm --force web/data", 1, "'web/test' is a clone of it; remove that first" },
	};

	volume_with_two();
	fake_keep("web", "volume/test", CLONE_OF("data"));
	ARE_REFUSED(refusals);
	ck_assert_uint_eq(fake()->n_kept, 2);
}

TEST(what_is_damaged_can_be_removed)
{
	RESULT damaged = { 0 };
	RESULT orphan = { 0 };

	volume_with_two();
	fake_keep("web", "volume/bad", "{}");
	fake_keep("web", "volume/test", CLONE_OF("gone"));
	damaged = run("vol rm --force web/bad");
	ck_assert_msg(damaged.status == 0, "%s", damaged.err);
	orphan = run("vol rm --force web/test");
	ck_assert_msg(orphan.status == 0, "%s", orphan.err);
	ck_assert_uint_eq(fake()->n_kept, 1);
}

UNIT_MAIN("manage-volumes", a_volume_is_a_record_and_is_waited_for,
	  the_figures_of_volumes_are_rates_between_two_looks,
	  the_figures_tell_how_long_requests_take, the_figures_tell_how_far_a_replica_is,
	  everything_that_can_be_said_of_a_volume_is_in_its_record, no_two_volumes_get_one_endpoint,
	  what_is_wrong_with_a_new_volume_is_said_before_there_is_one,
	  a_volume_that_a_node_cannot_have_is_taken_back, with_detach_nothing_is_waited_for,
	  a_list_tells_at_a_glance_what_is_healthy, a_list_tells_who_is_behind_away_or_silent,
	  inspect_tells_everything, inspect_tells_what_is_known_of_a_volume_that_does_not_answer,
	  names_that_are_wrong_get_an_advice, a_volume_is_removed_with_all_that_belongs_to_it,
	  a_volume_that_is_a_block_device_stays,
	  a_volume_with_a_file_system_stays_also_while_nobody_serves_it, a_volume_with_clones_stays,
	  what_is_damaged_can_be_removed)
