/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"
#include "vdd_help.h"

#define MIB (UINT64_C(1) << 20)

struct place {
	struct turns turns;
	struct disks *disks;
};

static void open_ram(struct place *place, uint64_t bytes)
{
	char why[DISK_WHY_MAX + 1];
	struct disks_config config = {
		.id = "5a8b0a70-0000-4000-8000-000000000001",
		.dir = "/nonexistent",
		.store = DISK_RAM,
		.bytes = bytes,
	};
	bool is_empty = false;

	turns_open(&place->turns);
	config.poster = turns_poster(&place->turns);
	ck_assert(disks_open(&config, &place->disks, &is_empty, why) == DVS_OK);
	ck_assert(is_empty);
}

static void shut(struct place *place)
{
	disks_close(place->disks);
	turns_close(&place->turns);
}

static dvs_err run(struct place *place, enum disk_op op, uint64_t offset, uint64_t bytes,
		   void *buffer)
{
	return do_io(&place->turns, place->disks, op, 0, offset, bytes, buffer);
}

TEST(what_was_written_is_read_and_the_rest_is_zeroes)
{
	static uint8_t in[300 * 1024], out[512 * 1024], zeroes[512 * 1024];
	struct place place;

	open_ram(&place, 16 * MIB);
	fill(in, sizeof(in), 1);
	ck_assert(run(&place, DISK_READ, 0, sizeof(out), out) == DVS_OK);
	ck_assert_int_eq(memcmp(out, zeroes, sizeof(out)), 0);
	ck_assert(run(&place, DISK_WRITE, 512, sizeof(in), in) == DVS_OK);
	ck_assert(run(&place, DISK_READ, 0, sizeof(out), out) == DVS_OK);
	ck_assert_int_eq(memcmp(out, zeroes, 512), 0);
	ck_assert_int_eq(memcmp(out + 512, in, sizeof(in)), 0);
	ck_assert_int_eq(memcmp(out + 512 + sizeof(in), zeroes, sizeof(out) - 512 - sizeof(in)), 0);
	shut(&place);
}

TEST(requests_outside_the_disk_or_of_odd_sizes_are_refused)
{
	static uint8_t buffer[4096];
	struct place place;

	open_ram(&place, MIB);
	ck_assert(run(&place, DISK_READ, MIB, 512, buffer) == DVS_RANGE);
	ck_assert(run(&place, DISK_WRITE, MIB - 512, 1024, buffer) == DVS_RANGE);
	ck_assert(run(&place, DISK_WRITE, UINT64_MAX - 511, 1024, buffer) == DVS_RANGE);
	ck_assert(run(&place, DISK_TRIM, 512, UINT64_MAX - 511, NULL) == DVS_RANGE);
	ck_assert(run(&place, DISK_READ, 1, 512, buffer) == DVS_BADARG);
	ck_assert(run(&place, DISK_READ, 0, 100, buffer) == DVS_BADARG);
	ck_assert(do_io(&place.turns, place.disks, DISK_READ, 1, 0, 512, buffer) == DVS_NOTFOUND);
	ck_assert(do_io(&place.turns, place.disks, DISK_READ, 9999, 0, 512, buffer) ==
		  DVS_NOTFOUND);
	ck_assert(run(&place, DISK_READ, MIB, 0, buffer) == DVS_OK);
	shut(&place);
}

TEST(a_trim_gives_space_back_and_reads_as_zeroes)
{
	static uint8_t in[4 * 65536], out[4 * 65536], zeroes[65536];
	struct place place;
	struct disk_info info;
	uint64_t bytes;
	bool is_hole;

	open_ram(&place, UINT64_C(16) << 40);
	fill(in, sizeof(in), 2);
	ck_assert(run(&place, DISK_WRITE, 65536, sizeof(in), in) == DVS_OK);
	ck_assert(disks_look(place.disks, 0, &info) == DVS_OK);
	ck_assert_uint_eq(info.used_bytes, 4 * 65536);
	ck_assert(run(&place, DISK_TRIM, 65536 + 512, 2 * 65536, NULL) == DVS_OK);
	ck_assert(disks_look(place.disks, 0, &info) == DVS_OK);
	ck_assert_uint_eq(info.used_bytes, 3 * 65536);
	ck_assert(disks_extent(place.disks, 0, 2 * 65536, UINT64_MAX, &bytes, &is_hole) == DVS_OK);
	ck_assert(is_hole);
	ck_assert_uint_eq(bytes, 65536);
	ck_assert(run(&place, DISK_READ, 65536, sizeof(out), out) == DVS_OK);
	ck_assert_int_eq(memcmp(out, in, 512), 0);
	ck_assert_int_eq(memcmp(out + 512, zeroes, 65536), 0);
	ck_assert_int_eq(memcmp(out + 512 + 65536, zeroes, 65536), 0);
	ck_assert_int_eq(memcmp(out + 512 + 2 * 65536, in + 512 + 2 * 65536, 65536), 0);
	/* All 16 TiB of it. */
	ck_assert(run(&place, DISK_TRIM, 0, UINT64_C(16) << 40, NULL) == DVS_OK);
	ck_assert(disks_look(place.disks, 0, &info) == DVS_OK);
	ck_assert_uint_eq(info.used_bytes, 0);
	shut(&place);
}

TEST(a_resized_disk_has_zeroes_where_it_grew)
{
	static uint8_t in[65536], out[65536], zeroes[65536];
	struct place place;

	open_ram(&place, MIB);
	fill(in, sizeof(in), 3);
	ck_assert(run(&place, DISK_WRITE, MIB - 65536, 65536, in) == DVS_OK);
	ck_assert(run(&place, DISK_RESIZE, 0, MIB - 4096 - 512, NULL) == DVS_OK);
	ck_assert(run(&place, DISK_READ, MIB - 65536, 65536, out) == DVS_RANGE);
	ck_assert(run(&place, DISK_RESIZE, 0, 2 * MIB, NULL) == DVS_OK);
	ck_assert(run(&place, DISK_READ, MIB - 65536, 65536, out) == DVS_OK);
	ck_assert_int_eq(memcmp(out, in, 65536 - 4096 - 512), 0);
	ck_assert_int_eq(memcmp(out + 65536 - 4096 - 512, zeroes, 4096 + 512), 0);
	ck_assert(run(&place, DISK_RESIZE, 0, 0, NULL) == DVS_BADARG);
	ck_assert(run(&place, DISK_RESIZE, 0, 1000, NULL) == DVS_BADARG);
	ck_assert(run(&place, DISK_RESIZE, 0, (UINT64_C(16) << 40) + 512, NULL) == DVS_BADARG);
	shut(&place);
}

TEST(reads_wait_for_a_held_write_and_nothing_else_does)
{
	static uint8_t in[1024], out[4096];
	struct place place;
	struct one write = {
		.io = { .op = DISK_WRITE,
			.flags = DISK_HOLD,
			.offset = 512,
			.bytes = 1024,
			.buffer = in },
	};
	struct one read = { .io = { .op = DISK_READ, .bytes = 4096, .buffer = out } };
	struct one again = {
		.io = { .op = DISK_WRITE, .offset = 1024, .bytes = 512, .buffer = in }
	};

	open_ram(&place, MIB);
	fill(in, sizeof(in), 4);
	one_submit(place.disks, &write);
	ck_assert(write.is_done && write.err == DVS_OK);
	ck_assert(!disks_can_map(place.disks, 0, 0, 4096));
	ck_assert(disks_can_map(place.disks, 0, 4096, 4096));
	one_submit(place.disks, &read);
	ck_assert(!read.is_done);
	ck_assert(run(&place, DISK_READ, 4096, 4096, out) == DVS_OK);
	ck_assert(run(&place, DISK_READ, 0, 512, out) == DVS_OK);
	ck_assert(run(&place, DISK_FLUSH, 0, 0, NULL) == DVS_OK);
	/* One behind the read must not overtake it. */
	one_submit(place.disks, &again);
	ck_assert(!again.is_done);
	disk_io_release(place.disks, &write.io);
	ck_assert(read.is_done && read.err == DVS_OK);
	ck_assert_int_eq(memcmp(out + 512, in, 1024), 0);
	ck_assert(again.is_done);
	disk_io_release(place.disks, &write.io);
	shut(&place);
}

TEST(writes_wait_for_a_held_read)
{
	static uint8_t in[1024], out[4096];
	struct place place;
	struct one read = {
		.io = { .op = DISK_READ, .flags = DISK_HOLD, .bytes = 4096, .buffer = out },
	};
	struct one write = {
		.io = { .op = DISK_WRITE, .offset = 512, .bytes = 1024, .buffer = in }
	};

	open_ram(&place, MIB);
	one_submit(place.disks, &read);
	ck_assert(read.is_done);
	one_submit(place.disks, &write);
	ck_assert(!write.is_done);
	ck_assert(run(&place, DISK_READ, 4096, 4096, out) == DVS_OK);
	disk_io_release(place.disks, &read.io);
	ck_assert(write.is_done);
	shut(&place);
}

TEST(a_read_in_place_shows_the_stores_memory)
{
	static uint8_t in[65536], zeroes[65536];
	struct place place;
	struct one read = { .io = { .op = DISK_READ, .offset = 65536, .bytes = 65536 } };

	open_ram(&place, MIB);
	fill(in, sizeof(in), 5);
	ck_assert(disks_can_map(place.disks, 0, 65536, 65536));
	ck_assert(one_run(&place.turns, place.disks, &read) == DVS_OK);
	ck_assert_int_eq(memcmp(read.io.buffer, zeroes, 65536), 0);
	ck_assert(run(&place, DISK_WRITE, 65536, 65536, in) == DVS_OK);
	read.io.buffer = NULL;
	ck_assert(one_run(&place.turns, place.disks, &read) == DVS_OK);
	ck_assert_ptr_ne(read.io.buffer, in);
	ck_assert_int_eq(memcmp(read.io.buffer, in, 65536), 0);
	shut(&place);
}

TEST(marks_of_what_was_written_go_off_at_the_second_cooling)
{
	static uint8_t in[512], said[256];
	struct place place, other;
	uint64_t chunk = 0;
	size_t len;

	open_ram(&place, 64 * MIB);
	open_ram(&other, 64 * MIB);
	ck_assert(run(&place, DISK_WRITE, 9 * MIB, 512, in) == DVS_OK);
	ck_assert(disks_next_dirty(place.disks, 0, &chunk));
	ck_assert_uint_eq(chunk, 2);
	disks_cool(place.disks);
	ck_assert(disks_is_dirty(place.disks, 0, 2));
	ck_assert(run(&place, DISK_WRITE, 33 * MIB, 512, in) == DVS_OK);
	disks_mark_dirty(other.disks, 0, 1);
	ck_assert(disks_dirty_encode(place.disks, said, sizeof(said), &len));
	ck_assert(disks_dirty_add(other.disks, said, len) == DVS_OK);
	ck_assert(disks_is_dirty(other.disks, 0, 1) && disks_is_dirty(other.disks, 0, 2));
	ck_assert(disks_is_dirty(other.disks, 0, 8) && !disks_is_dirty(other.disks, 0, 3));
	/* Without room they are said coarser. */
	ck_assert(disks_dirty_encode(place.disks, said, 16, &len));
	ck_assert_uint_eq(len, 16);
	ck_assert(!disks_dirty_encode(place.disks, said, 8, &len));
	ck_assert(disks_dirty_add(other.disks, said, 7) == DVS_PROTO);
	disks_cool(place.disks);
	ck_assert(!disks_is_dirty(place.disks, 0, 2));
	ck_assert(disks_is_dirty(place.disks, 0, 8));
	shut(&place);
	shut(&other);
}

/* ---- bringing up to date ---- */

static struct disks_config file_config(struct place *place, const char *dir)
{
	return (struct disks_config){
		.id = "5a8b0a70-0000-4000-8000-000000000007",
		.dir = dir,
		.store = DISK_FILE,
		.bytes = 4 * 65536,
		.poster = turns_poster(&place->turns),
	};
}

static dvs_err make_behind(struct place *place, enum disk_op op, uint32_t minor, uint32_t made,
			   const char *name)
{
	struct one one = {
		.io = { .op = op, .minor = minor, .flags = DISK_BEHIND, .made = made },
	};

	(void)snprintf(one.io.name, sizeof(one.io.name), "%s", name);
	return one_run(&place->turns, place->disks, &one);
}

static dvs_err behind(struct place *place, enum disk_op op, uint32_t minor, uint64_t bytes,
		      int value)
{
	static uint8_t room[65536];
	struct one one = { .io = { .op = op,
				   .minor = minor,
				   .flags = DISK_BEHIND,
				   .bytes = bytes,
				   .buffer = room } };

	memset(room, value, sizeof(room));
	return one_run(&place->turns, place->disks, &one);
}

/* The first sector and the rest of the first granule of MINOR. */
static void check_granule(struct place *place, uint32_t minor, int first, int rest)
{
	static uint8_t room[65536], wanted[65536];

	memset(wanted, first, 512);
	memset(wanted + 512, rest, sizeof(wanted) - 512);
	ck_assert(do_io(&place->turns, place->disks, DISK_READ, minor, 0, 65536, room) == DVS_OK);
	ck_assert_msg(memcmp(room, wanted, 65536) == 0, "minor %u has %u and %u", minor, room[0],
		      room[512]);
}

static void check_ranks(struct place *place)
{
	static const uint32_t wanted[8] = { 0, 2, 1, 0, 0, 0, 0, 3 };
	struct disk_info info;

	for (uint32_t m = 0; disks_look(place->disks, m, &info) == DVS_OK; m = info.minor + 1)
		ck_assert_uint_eq(info.rank, wanted[info.minor]);
}

TEST(what_is_brought_up_to_date_is_not_marked_and_moves_no_blocks)
{
	char dir[] = "/dev/shm/dvs-vdd-XXXXXX", why[DISK_WHY_MAX + 1];
	struct disks_config config;
	struct place place;
	bool is_empty;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	turns_open(&place.turns);
	config = file_config(&place, dir);
	ck_assert(disks_open(&config, &place.disks, &is_empty, why) == DVS_OK);
	ck_assert(behind(&place, DISK_WRITE, 0, 65536, 1) == DVS_OK);
	ck_assert(make_behind(&place, DISK_SNAPSHOT, 0, 1, "older") == DVS_OK);
	ck_assert(run(&place, DISK_TRIM, 0, 65536, NULL) == DVS_OK);
	ck_assert(make_behind(&place, DISK_SNAPSHOT, 0, 2, "newer") == DVS_OK);
	ck_assert(make_behind(&place, DISK_SNAPSHOT, 0, 2, "third") == DVS_EXISTS);
	ck_assert(make_behind(&place, DISK_CLONE, 1, 7, "clone") == DVS_OK);
	check_ranks(&place);
	disks_cool(place.disks);
	disks_cool(place.disks);
	/* The volume's block shows through, until the snapshots are brought up to date for themselves. */
	ck_assert(behind(&place, DISK_WRITE, 0, 65536, 3) == DVS_OK);
	check_granule(&place, 2, 3, 3);
	check_granule(&place, 1, 1, 1);
	check_granule(&place, 7, 1, 1);
	ck_assert(behind(&place, DISK_WRITE, 2, 65536, 4) == DVS_OK);
	ck_assert(behind(&place, DISK_WRITE, 2, 512, 5) == DVS_OK);
	ck_assert(behind(&place, DISK_WRITE, 1, 512, 6) == DVS_OK);
	ck_assert(behind(&place, DISK_TRIM, 7, 512, 0) == DVS_OK);
	ck_assert(do_io(&place.turns, place.disks, DISK_WRITE, 2, 0, 512, why) == DVS_READONLY);
	for (unsigned int i = 0; i < 2; i++) {
		check_granule(&place, 0, 3, 3);
		check_granule(&place, 2, 5, 4);
		check_granule(&place, 1, 6, 1);
		check_granule(&place, 7, 0, 1);
		ck_assert(i == 1 || !disks_is_dirty(place.disks, 0, 0));
		disks_close(place.disks);
		turns_poll(&place.turns);
		ck_assert(disks_open(&config, &place.disks, &is_empty, why) == DVS_OK);
		check_ranks(&place);
	}
	ck_assert(run(&place, DISK_RESIZE, 0, 65536, NULL) == DVS_BADSTATE);
	ck_assert(behind(&place, DISK_RESIZE, 0, 65536, 0) == DVS_OK);
	ck_assert(behind(&place, DISK_RESIZE, 2, 2 * 65536, 0) == DVS_OK);
	check_granule(&place, 2, 5, 4);
	disks_close(place.disks);
	turns_close(&place.turns);
	ck_assert(disks_destroy(dir) == DVS_OK);
}

/* ---- claims ---- */

static void open_dir(struct place *place, const char *dir)
{
	char why[DISK_WHY_MAX + 1];
	struct disks_config config = {
		.id = "5a8b0a70-0000-4000-8000-000000000001",
		.dir = dir,
		.store = DISK_FILE,
		.bytes = MIB,
	};
	bool is_empty = false;

	turns_open(&place->turns);
	config.poster = turns_poster(&place->turns);
	ck_assert_msg(disks_open(&config, &place->disks, &is_empty, why) == DVS_OK, "%s", why);
}

static dvs_err claim(struct place *place, uint32_t minor, uint64_t number)
{
	struct one one = { .io = { .op = DISK_CLAIM, .minor = minor, .claim = number } };

	return one_run(&place->turns, place->disks, &one);
}

TEST(a_claim_outlives_the_process_and_never_falls)
{
	char dir[] = "/tmp/vdd-disks.XXXXXX";
	struct place place;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	open_dir(&place, dir);
	ck_assert_uint_eq(disks_claim(place.disks, 0), 0);
	/* Known before it is on stable storage, so that nothing slips by. */
	disks_expect_claim(place.disks, 0, 7);
	ck_assert_uint_eq(disks_claim(place.disks, 0), 7);
	ck_assert(claim(&place, 0, 7) == DVS_OK);
	ck_assert(claim(&place, 0, 3) == DVS_OK);
	shut(&place);
	open_dir(&place, dir);
	ck_assert_uint_eq(disks_claim(place.disks, 0), 7);
	shut(&place);
	ck_assert(disks_destroy(dir) == DVS_OK);
}
END_TEST

TEST(each_disk_has_a_claim_of_its_own)
{
	struct one one = { .io = { .op = DISK_SNAPSHOT, .name = "s", .now_ns = 1 } };
	struct place place;

	open_ram(&place, MIB);
	ck_assert(claim(&place, 0, 9) == DVS_OK);
	ck_assert(one_run(&place.turns, place.disks, &one) == DVS_OK);
	ck_assert(claim(&place, 1, 10) == DVS_READONLY);
	one = (struct one){ .io = { .op = DISK_CLONE, .minor = 1, .name = "c", .now_ns = 2 } };
	ck_assert(one_run(&place.turns, place.disks, &one) == DVS_OK);
	ck_assert_uint_eq(disks_claim(place.disks, 2), 0);
	ck_assert(claim(&place, 2, 4) == DVS_OK);
	one = (struct one){ .io = { .op = DISK_REMOVE, .minor = 2 } };
	ck_assert(one_run(&place.turns, place.disks, &one) == DVS_OK);
	one = (struct one){ .io = { .op = DISK_CLONE, .minor = 1, .name = "d", .now_ns = 3 } };
	ck_assert(one_run(&place.turns, place.disks, &one) == DVS_OK);
	/* Another disk of that number begins anew. */
	ck_assert_uint_eq(disks_claim(place.disks, 2), 0);
	ck_assert_uint_eq(disks_claim(place.disks, 0), 9);
	ck_assert(claim(&place, 3, 4) == DVS_NOTFOUND);
	shut(&place);
}
END_TEST

UNIT_MAIN("vdd-disks", what_is_brought_up_to_date_is_not_marked_and_moves_no_blocks,
	  what_was_written_is_read_and_the_rest_is_zeroes,
	  requests_outside_the_disk_or_of_odd_sizes_are_refused,
	  a_trim_gives_space_back_and_reads_as_zeroes, a_resized_disk_has_zeroes_where_it_grew,
	  reads_wait_for_a_held_write_and_nothing_else_does, writes_wait_for_a_held_read,
	  a_read_in_place_shows_the_stores_memory,
	  marks_of_what_was_written_go_off_at_the_second_cooling,
	  a_claim_outlives_the_process_and_never_falls, each_disk_has_a_claim_of_its_own)
