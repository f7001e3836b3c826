/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "base/compiler.h"
#include "manage/bench/fs/job.h"

/* Odd, so that its multiples go through all places of a power of two. */
#define STRIDE UINT64_C(2654435761)
#define SYNCS 1024u

static const char full[] = "full";

/* A name of MEMBER's own. */
static const char *name_of(const struct file_member *member, char kind, uint64_t round, uint64_t i,
			   char name[FILE_NAME_BYTES])
{
	snprintf(name, FILE_NAME_BYTES, "%c%u-%llu-%llu", kind, member->index,
		 (unsigned long long)round, (unsigned long long)i);
	return name;
}

static dvs_err make_names(const struct file_visit *visit, const struct file_member *member,
			  char kind, uint64_t round, uint64_t n)
{
	char name[FILE_NAME_BYTES];
	dvs_err err = DVS_OK;

	for (uint64_t i = 0; i < n && !err; i++)
		err = visit->way->create(visit->me, name_of(member, kind, round, i, name));
	return err;
}

/* Those from FROM to TO; who is not there is fine. */
static dvs_err remove_names(const struct file_visit *visit, const struct file_member *member,
			    char kind, uint64_t round, uint64_t from, uint64_t to)
{
	char name[FILE_NAME_BYTES];
	dvs_err err = DVS_OK;

	for (uint64_t i = from; i < to && !err; i++) {
		err = visit->way->unlink(visit->me, name_of(member, kind, round, i, name));
		if (err == DVS_NOTFOUND)
			err = DVS_OK;
	}
	return err;
}

dvs_err file_fill(const struct file_job *job, const struct file_visit *visit)
{
	char name[FILE_NAME_BYTES];
	dvs_err err = visit->way->stat(visit->me, full);

	if (err != DVS_NOTFOUND)
		return err;
	err = DVS_OK;
	for (uint64_t i = 0; i + 1 < job->files && !err; i++) {
		snprintf(name, sizeof(name), "base-%llu", (unsigned long long)i);
		err = visit->way->create(visit->me, name);
		/* Who filled it was ended. */
		if (err == DVS_EXISTS)
			err = DVS_OK;
	}
	return err ? err : visit->way->create(visit->me, full);
}

static uint64_t one_pass(const struct file_member *member)
{
	(void)member;
	return FILE_PASS;
}

/* ---- contents ---- */

static void stamp(const struct file_member *member, size_t bytes, uint64_t offset)
{
	for (size_t at = 0; at < bytes; at += FILE_STAMP_BYTES) {
		uint64_t mark = offset + at + 1;

		memcpy(member->room + at, &mark, sizeof(mark));
	}
}

static dvs_err check(const void *data, size_t bytes, uint64_t offset)
{
	for (size_t at = 0; at < bytes; at += FILE_STAMP_BYTES) {
		uint64_t mark;

		memcpy(&mark, (const char *)data + at, sizeof(mark));
		if (mark != offset + at + 1)
			return DVS_CORRUPT;
	}
	return DVS_OK;
}

static dvs_err write_at(struct file_member *member, uint64_t offset, size_t bytes)
{
	stamp(member, bytes, offset);
	return member->self.way->write(member->self.me, member->handle, offset, member->room,
				       bytes);
}

static dvs_err read_at(struct file_member *member, uint64_t offset)
{
	const void *data = member->room;
	dvs_err err = member->self.way->read(member->self.me, member->handle, offset, member->room,
					     member->job->bytes, &data);

	return err ? err : check(data, member->job->bytes, offset);
}

static dvs_err data_open(struct file_member *member, int flags)
{
	char name[FILE_NAME_BYTES];

	return member->self.way->open(member->self.me, name_of(member, 'd', 0, 0, name), flags,
				      &member->handle);
}

/* A file with contents, opened once more as FLAGS say. */
static dvs_err data_begin(struct file_member *member, int flags)
{
	const struct file_way *way = member->self.way;
	dvs_err err = data_open(member, O_RDWR | O_CREAT);

	for (uint64_t at = 0; at < FILE_SPAN_BYTES && !err; at += BENCH_PAYLOAD_MAX_BYTES)
		err = write_at(member, at, BENCH_PAYLOAD_MAX_BYTES);
	if (!err)
		err = way->fsync(member->self.me, member->handle);
	if (!err)
		err = way->close(member->self.me, member->handle);
	return err ? err : data_open(member, flags);
}

static dvs_err read_begin(struct file_member *member)
{
	return data_begin(member, O_RDONLY);
}

static dvs_err write_begin(struct file_member *member)
{
	return data_begin(member, O_WRONLY);
}

static dvs_err data_drop(struct file_member *member)
{
	return member->self.way->drop(member->self.me, member->handle);
}

static uint64_t data_items(const struct file_member *member)
{
	return FILE_SPAN_BYTES / member->job->bytes;
}

static uint64_t random_place(const struct file_member *member, uint64_t i)
{
	return (i + member->round + 1) * STRIDE % data_items(member) * member->job->bytes;
}

static dvs_err read_next(struct file_member *member, uint64_t i)
{
	return read_at(member, i * member->job->bytes);
}

static dvs_err read_random(struct file_member *member, uint64_t i)
{
	return read_at(member, random_place(member, i));
}

static dvs_err write_next(struct file_member *member, uint64_t i)
{
	return write_at(member, i * member->job->bytes, member->job->bytes);
}

static dvs_err write_random(struct file_member *member, uint64_t i)
{
	return write_at(member, random_place(member, i), member->job->bytes);
}

static dvs_err data_end(struct file_member *member)
{
	char name[FILE_NAME_BYTES];
	dvs_err err = member->self.way->close(member->self.me, member->handle);

	if (!err)
		err = member->self.way->unlink(member->self.me, name_of(member, 'd', 0, 0, name));
	return err;
}

static dvs_err cached_begin(struct file_member *member)
{
	dvs_err err = read_begin(member);

	for (uint64_t i = 0; i < data_items(member) && !err; i++)
		err = read_next(member, i);
	return err;
}

/* ---- fsync ---- */

static dvs_err sync_prepare(struct file_member *member)
{
	return data_open(member, O_WRONLY | O_CREAT | O_TRUNC);
}

static dvs_err sync_item(struct file_member *member, uint64_t i)
{
	dvs_err err = write_at(member, i * member->job->bytes, member->job->bytes);

	return err ? err : member->self.way->fsync(member->self.me, member->handle);
}

static uint64_t sync_items(const struct file_member *member)
{
	(void)member;
	return SYNCS;
}

/* ---- names ---- */

static dvs_err create_item(struct file_member *member, uint64_t i)
{
	char name[FILE_NAME_BYTES];

	return member->self.way->create(member->self.me,
					name_of(member, 'c', member->round, i, name));
}

static dvs_err create_clear(struct file_member *member)
{
	return remove_names(&member->self, member, 'c', member->round, 0, member->n_round);
}

static dvs_err unlink_prepare(struct file_member *member)
{
	return make_names(&member->self, member, 'u', member->round, FILE_PASS);
}

static dvs_err unlink_item(struct file_member *member, uint64_t i)
{
	char name[FILE_NAME_BYTES];

	return member->self.way->unlink(member->self.me,
					name_of(member, 'u', member->round, i, name));
}

static dvs_err unlink_clear(struct file_member *member)
{
	return remove_names(&member->self, member, 'u', member->round, member->n_round, FILE_PASS);
}

static dvs_err rename_prepare(struct file_member *member)
{
	return make_names(&member->self, member, 'r', member->round, FILE_PASS);
}

static dvs_err rename_item(struct file_member *member, uint64_t i)
{
	char from[FILE_NAME_BYTES], to[FILE_NAME_BYTES];

	return member->self.way->rename(member->self.me,
					name_of(member, 'r', member->round, i, from),
					name_of(member, 's', member->round, i, to));
}

static dvs_err rename_clear(struct file_member *member)
{
	dvs_err err = remove_names(&member->self, member, 's', member->round, 0, member->n_round);

	return err ? err :
		     remove_names(&member->self, member, 'r', member->round, member->n_round,
				  FILE_PASS);
}

/* Each pass has names that this node has never seen. */
static dvs_err stat_prepare(struct file_member *member)
{
	return make_names(&member->maker, member, 'n', member->round, FILE_PASS);
}

static dvs_err stat_item(struct file_member *member, uint64_t i)
{
	char name[FILE_NAME_BYTES];

	return member->self.way->stat(member->self.me,
				      name_of(member, 'n', member->round, i, name));
}

static dvs_err stat_clear(struct file_member *member)
{
	return remove_names(&member->maker, member, 'n', member->round, 0, FILE_PASS);
}

static dvs_err stat_known(struct file_member *member, uint64_t i)
{
	char name[FILE_NAME_BYTES];

	return member->self.way->stat(member->self.me, name_of(member, 'k', 0, i, name));
}

static dvs_err known_begin(struct file_member *member)
{
	dvs_err err = make_names(&member->self, member, 'k', 0, FILE_PASS);

	for (uint64_t i = 0; i < FILE_PASS && !err; i++)
		err = stat_known(member, i);
	return err;
}

static dvs_err known_end(struct file_member *member)
{
	return remove_names(&member->self, member, 'k', 0, 0, FILE_PASS);
}

/* Made, written, closed, opened, read, closed, removed. */
static dvs_err small_item(struct file_member *member, uint64_t i)
{
	const struct file_way *way = member->self.way;
	char name[FILE_NAME_BYTES];
	dvs_err err;

	(void)name_of(member, 't', member->round, i, name);
	err = way->open(member->self.me, name, O_WRONLY | O_CREAT | O_EXCL, &member->handle);
	if (!err)
		err = write_at(member, 0, member->job->bytes);
	if (!err)
		err = way->close(member->self.me, member->handle);
	if (!err)
		err = way->open(member->self.me, name, O_RDONLY, &member->handle);
	if (!err)
		err = read_at(member, 0);
	if (!err)
		err = way->close(member->self.me, member->handle);
	return err ? err : way->unlink(member->self.me, name);
}

static dvs_err list_item(struct file_member *member, uint64_t i)
{
	uint64_t n = 0;
	dvs_err err = member->self.way->list(member->self.me, &n);

	(void)i;
	if (!err && n < member->job->files + 2)
		err = DVS_CORRUPT;
	return err;
}

static const struct file_pattern patterns[] = {
	{ .name = "seq-read",
	  .begin = read_begin,
	  .prepare = data_drop,
	  .item = read_next,
	  .n_items = data_items,
	  .end = data_end },
	{ .name = "seq-write",
	  .begin = write_begin,
	  .item = write_next,
	  .n_items = data_items,
	  .end = data_end },
	{ .name = "rand-read",
	  .begin = read_begin,
	  .prepare = data_drop,
	  .item = read_random,
	  .n_items = data_items,
	  .end = data_end },
	{ .name = "rand-write",
	  .begin = write_begin,
	  .item = write_random,
	  .n_items = data_items,
	  .end = data_end },
	{ .name = "read-cached",
	  .begin = cached_begin,
	  .item = read_next,
	  .n_items = data_items,
	  .end = data_end },
	{ .name = "create",
	  .needs_files = true,
	  .item = create_item,
	  .n_items = one_pass,
	  .clear = create_clear },
	{ .name = "stat",
	  .needs_files = true,
	  .prepare = stat_prepare,
	  .item = stat_item,
	  .n_items = one_pass,
	  .clear = stat_clear },
	{ .name = "stat-cached",
	  .begin = known_begin,
	  .item = stat_known,
	  .n_items = one_pass,
	  .end = known_end },
	{ .name = "rename",
	  .needs_files = true,
	  .prepare = rename_prepare,
	  .item = rename_item,
	  .n_items = one_pass,
	  .clear = rename_clear },
	{ .name = "unlink",
	  .needs_files = true,
	  .prepare = unlink_prepare,
	  .item = unlink_item,
	  .n_items = one_pass,
	  .clear = unlink_clear },
	{ .name = "small", .item = small_item, .n_items = one_pass },
	{ .name = "fsync",
	  .prepare = sync_prepare,
	  .item = sync_item,
	  .n_items = sync_items,
	  .clear = data_end },
	{ .name = "readdir", .needs_files = true, .item = list_item, .n_items = one_pass },
};

const struct file_pattern *file_pattern_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		if (strcmp(patterns[i].name, name) == 0)
			return &patterns[i];
	return NULL;
}
