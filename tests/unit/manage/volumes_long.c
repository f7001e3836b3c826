/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol: what changes a volume that is in use, with a model of dvsd and of the servers. */
#include "volume_help.h"

TEST(a_volume_grows_and_does_not_shrink_by_mistake)
{
	RESULT more = { 0 };
	RESULT less = { 0 };
	RESULT forced = { 0 };
	RESULT wrong = { 0 };

	volume_with_two();
	more = run("vol resize web/data +5G -o json");
	ck_assert_msg(more.status == 0, "%s", more.err);
	ck_assert_uint_eq(fake()->disk.bytes, UINT64_C(15) << 30);
	less = run("vol resize web/data 1G");
	ck_assert_int_eq(less.status, 1);
	ck_assert_contains(less.err, "what is behind its new end would be lost");
	forced = run("vol resize -f web/data 1G -q");
	ck_assert_msg(forced.status == 0, "%s", forced.err);
	ck_assert_uint_eq(fake()->disk.bytes, UINT64_C(1) << 30);
	wrong = run("vol resize web/data +1");
	ck_assert_int_eq(wrong.status, 2);
	ck_assert_int_eq(fake()->n_open, 0);
}

TEST(a_snapshot_is_made_cloned_and_removed)
{
	RESULT snapshot = { 0 };
	RESULT again = { 0 };
	RESULT clone = { 0 };
	RESULT kept = { 0 };
	RESULT gone = { 0 };
	RESULT last = { 0 };

	volume_with_two();
	snapshot = run("vol snapshot web/data monday -q");
	ck_assert_msg(snapshot.status == 0, "%s", snapshot.err);
	ck_assert_str_eq(snapshot.out, "web/data@monday\n");
	again = run("vol snapshot web/data monday");
	ck_assert_int_eq(again.status, 1);
	ck_assert_contains(again.err, "it has a snapshot 'monday' already; 'dvs vol rm");
	clone = run("vol clone web/data@monday web/test -q");
	ck_assert_msg(clone.status == 0, "%s", clone.err);
	ck_assert_str_eq(clone.out, "web/test\n");
	ck_assert_contains(fake_kept("web", "volume/test"), "\"of\":\"data\"");
	ck_assert_contains(fake_kept("web", "volume/test"), "\"minor\":2");
	kept = run("vol rm web/data@monday");
	ck_assert_int_eq(kept.status, 1);
	ck_assert_contains(kept.err, "clones were made of it; remove them first");
	gone = run("vol rm -f web/test");
	ck_assert_msg(gone.status == 0, "%s", gone.err);
	ck_assert_ptr_null(fake_kept("web", "volume/test"));
	last = run("vol rm web/data@monday");
	ck_assert_msg(last.status == 0, "%s", last.err);
	ck_assert_uint_eq(fake()->disk.n_disks, 0);
	ck_assert_int_eq(fake()->n_open, 0);
}

TEST(a_clone_that_was_begun_is_finished)
{
	RESULT clone = { 0 };

	volume_with_two();
	add_snapshot("monday");
	fake()->disk.disks[1] =
		(struct vdd_disk){ .minor = 9, .kind = 3, .parent = 1, .name = "test" };
	fake()->disk.n_disks = 2;
	clone = run("vol clone web/data@monday test -q");
	ck_assert_msg(clone.status == 0, "%s", clone.err);
	ck_assert_contains(fake_kept("web", "volume/test"), "\"minor\":9");
}

TEST(names_of_snapshots_and_clones_are_checked)
{
	RESULT snapshot = { 0 };
	RESULT elsewhere = { 0 };
	RESULT taken = { 0 };

	volume_with_two();
	add_snapshot("monday");
	snapshot = run("vol snapshot web/data a/b");
	ck_assert_int_eq(snapshot.status, 2);
	ck_assert_contains(snapshot.err, "'a/b' is no name of a snapshot");
	elsewhere = run("vol clone web/data@monday mail/test");
	ck_assert_int_eq(elsewhere.status, 2);
	ck_assert_contains(elsewhere.err, "a clone is in the dc of its snapshot, which is web");
	taken = run("vol clone web/data@monday data");
	ck_assert_int_eq(taken.status, 1);
	ck_assert_contains(taken.err, "there is a 'web/data' already");
	ck_assert_uint_eq(fake()->disk.n_disks, 1);
}

/* ---- replicas ---- */

TEST(a_replica_is_added_and_waited_for)
{
	RESULT added = { 0 };

	volume_begin();
	fake()->barn_is_up = 1;
	fake_keep("web", "volume/data", VOLUME_OF(ON_FARM));
	fake()->n_set_races = 1;
	fake()->disk.syncing = 1;
	fake()->disk.sync_looks = 2;
	added = run("vol replica add web/data barn --progress json -q");
	ck_assert_msg(added.status == 0, "%s", added.err);
	ck_assert_str_eq(added.out, "web/data\n");
	ck_assert_contains(
		added.err,
		"{\"title\":\"replica of web/data on barn\",\"done_bytes\":1073741824,"
		"\"total_bytes\":4294967296,\"bytes_per_s\":104857600,\"eta_ms\":31000}\n");
	ck_assert_contains(fake_kept("web", "volume/data"), "{\"node\":0},{\"node\":1}");
	ck_assert_int_eq(fake()->n_open, 0);
}

TEST(a_replica_that_cannot_be_is_taken_back)
{
	RESULT added = { 0 };

	volume_begin();
	fake()->barn_is_up = 1;
	fake_keep("web", "volume/data", VOLUME_OF(ON_FARM));
	fake_keep("web", "volume-why/" VOLUME_ID "/1", "no space is left");
	fake()->disk.syncing = 1;
	fake()->disk.sync_looks = 100;
	added = run("vol replica add web/data barn");
	ck_assert_int_eq(added.status, 1);
	ck_assert_str_eq(added.err, "dvs: add a replica of volume web/data: node barn: no space is "
				    "left; nothing of it stays\n");
	ck_assert_lacks(fake_kept("web", "volume/data"), "\"node\":1");
}

TEST(a_primary_hands_over_before_its_replica_goes)
{
	RESULT removed = { 0 };

	volume_with_two();
	removed = run("vol replica rm web/data farm -q");
	ck_assert_msg(removed.status == 0, "%s", removed.err);
	ck_assert_uint_eq(fake()->disk.primary, 1);
	ck_assert_contains(fake_kept("web", "volume/data"), "\"replicas\":[{\"node\":1}]");
	ck_assert_contains(fake_kept("web", "volume/data"), "\"first\":1");
}

TEST(nothing_is_lost_with_a_replica)
{
	RESULT last = { 0 };
	RESULT none = { 0 };
	RESULT there = { 0 };
	RESULT behind = { 0 };
	RESULT word = { 0 };
	RESULT forced = { 0 };

	volume_with_two();
	fake_keep("web", "volume/one", VOLUME_OF(ON_FARM));
	last = run("vol replica rm web/one farm --force");
	ck_assert_int_eq(last.status, 1);
	ck_assert_contains(last.err, "it is the only one, with all that is in it");
	none = run("vol replica rm web/one barn");
	ck_assert_contains(none.err, "node barn has none");
	there = run("vol replica add web/data barn");
	ck_assert_contains(there.err, "node barn has one already");
	fake()->disk.away = 1;
	behind = run("vol replica rm web/data farm");
	ck_assert_int_eq(behind.status, 1);
	ck_assert_contains(behind.err, "no other replica has everything");
	word = run("vol replica remove web/data farm");
	ck_assert_int_eq(word.status, 2);
	ck_assert_contains(word.err, "say add or rm");
	forced = run("vol replica rm web/data farm --force -q");
	ck_assert_msg(forced.status == 0, "%s", forced.err);
	ck_assert_int_eq(fake()->n_open, 0);
}

TEST(promote_waits_for_the_new_primary)
{
	RESULT promoted = { 0 };
	RESULT behind = { 0 };
	RESULT stranger = { 0 };

	volume_with_two();
	promoted = run("vol promote web/data barn -q");
	ck_assert_msg(promoted.status == 0, "%s", promoted.err);
	ck_assert_uint_eq(fake()->disk.primary, 1);
	fake()->disk.hand_over_err = DVS_NOTFOUND;
	behind = run("vol promote web/data farm");
	ck_assert_int_eq(behind.status, 1);
	ck_assert_contains(behind.err, "node farm is not up to date; wait until");
	fake_keep("web", "volume/data", VOLUME_OF(ON_FARM));
	stranger = run("vol promote web/data barn");
	ck_assert_contains(stranger.err, "node barn has no replica of it; 'dvs vol replica add");
}

/* ---- verify and set ---- */

TEST(verify_tells_by_its_status_whether_replicas_differ)
{
	RESULT equal = { 0 };
	RESULT differ = { 0 };
	RESULT repaired = { 0 };

	volume_with_two();
	fake()->disk.verify_looks = 2;
	equal = run("vol verify web/data --progress json -q");
	ck_assert_msg(equal.status == 0, "%s", equal.err);
	ck_assert_contains(equal.err,
			   "\"title\":\"verify volume web/data\",\"done_bytes\":1048576");
	fake()->disk.verify_looks = 1;
	fake()->disk.differs = 3;
	differ = run("vol verify web/data");
	ck_assert_int_eq(differ.status, 1);
	ck_assert_contains(differ.err, "3 chunks differ between its replicas; '--repair' sends");
	fake()->disk.verify_looks = 1;
	repaired = run("vol verify web/data --repair -o json");
	ck_assert_int_eq(repaired.status, 0);
	ck_assert_contains(repaired.out, "\"repaired\": 3");
}

TEST(the_rate_is_set_now_and_for_later)
{
	RESULT set = { 0 };
	RESULT later = { 0 };
	RESULT nothing = { 0 };

	volume_with_two();
	set = run("vol set web/data --resync-rate 100M -q");
	ck_assert_msg(set.status == 0, "%s", set.err);
	ck_assert_uint_eq(fake()->disk.rate, 100 << 20);
	ck_assert_contains(fake_kept("web", "volume/data"), "\"resync_bytes_per_s\":104857600");
	fake()->disk.is_away = 1;
	later = run("vol set web/data --resync-rate none -q");
	ck_assert_int_eq(later.status, 0);
	ck_assert_contains(later.err, "kept for its next start; its server could not be told");
	ck_assert_contains(fake_kept("web", "volume/data"), "\"resync_bytes_per_s\":0");
	nothing = run("vol set web/data");
	ck_assert_int_eq(nothing.status, 2);
	ck_assert_contains(nothing.err, "say what to change");
}

UNIT_MAIN("manage-volumes-long", a_volume_grows_and_does_not_shrink_by_mistake,
	  a_snapshot_is_made_cloned_and_removed, a_clone_that_was_begun_is_finished,
	  names_of_snapshots_and_clones_are_checked, a_replica_is_added_and_waited_for,
	  a_replica_that_cannot_be_is_taken_back, a_primary_hands_over_before_its_replica_goes,
	  nothing_is_lost_with_a_replica, promote_waits_for_the_new_primary,
	  verify_tells_by_its_status_whether_replicas_differ, the_rate_is_set_now_and_for_later)
