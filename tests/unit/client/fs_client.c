/* SPDX-License-Identifier: Apache-2.0 */
/* A session with a server that stands here in the place of M3-IPC (fs_fake.h). */
#include "client/fs_client.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs_fake.h"
#include "unit.h"

/* ---- what tests share ---- */

static struct fsc *fsc;
static struct fsc_thread *me;
static struct fsc_who *root;
static struct fs_attr attr;
static const struct fsc_name name = { "x", 1 };
static const struct fsc_config plain = { .open_ms = 5000, .patience_ms = 5000 };

static void begin(void)
{
	const struct fsc_identity identity = { .flags = FSC_MAY_ALL };

	ck_assert(fsc_open_on(NULL, dvs_ep_of(770), &plain, &fsc) == DVS_OK);
	pthread_mutex_lock(&fake.lock);
	while (!fake.is_listened_to)
		pthread_cond_wait(&fake.changed, &fake.lock);
	pthread_mutex_unlock(&fake.lock);
	ck_assert(fsc_enter(fsc, &me) == DVS_OK);
	ck_assert(fsc_who_get(me, &identity, &root) == DVS_OK);
	fake_traced("hello join who(1) ");
}

static void finish(void)
{
	fsc_who_put(me, root);
	fsc_leave(me);
	fsc_close(fsc);
}

static uint32_t open_one(uint32_t flags)
{
	uint32_t handle;

	ck_assert(fsc_open_file(me, root, 5, flags, &handle, &attr) == DVS_OK);
	return handle;
}

static struct fs_lock_req range(uint32_t handle, uint8_t type, uint64_t start, uint64_t end)
{
	return (struct fs_lock_req){ .handle = handle,
				     .kind = FSC_LOCK_FCNTL,
				     .type = type,
				     .owner = 9,
				     .start = start,
				     .end = end };
}

static void lock(uint32_t handle, uint8_t type, uint64_t start, uint64_t end)
{
	const struct fs_lock_req what = range(handle, type, start, end);

	ck_assert(fsc_lock(me, &what) == DVS_OK);
}

/* ---- tests ---- */

TEST(an_identity_is_told_once)
{
	struct fsc_who *again;
	const struct fsc_identity same = { .flags = FSC_MAY_ALL };

	begin();
	ck_assert(fsc_lookup(me, root, FSC_ROOT, name, &attr) == DVS_OK);
	ck_assert_uint_eq(attr.ino, 5);
	ck_assert(fsc_who_get(me, &same, &again) == DVS_OK);
	ck_assert_ptr_eq(again, root);
	fsc_who_put(me, again);
	fake_traced("lookup ");
	finish();
}
END_TEST

TEST(identities_that_nobody_uses_give_their_numbers_away)
{
	begin();
	for (uint32_t uid = 1; uid < 3000; uid++) {
		const struct fsc_identity identity = { .uid = uid };
		struct fsc_who *who;

		fake.trace[0] = '\0';
		ck_assert(fsc_who_get(me, &identity, &who) == DVS_OK);
		fsc_who_put(me, who);
	}
	/* The number of who is in use is not among them. */
	ck_assert_str_ne(fake.trace, "who(1) ");
	fake.trace[0] = '\0';
	ck_assert(fsc_lookup(me, root, FSC_ROOT, name, &attr) == DVS_OK);
	fake_traced("lookup ");
	finish();
}
END_TEST

TEST(another_server_is_told_everything_before_it_is_asked_again)
{
	uint32_t one;
	uint32_t other;

	begin();
	one = open_one(O_RDWR | O_TRUNC);
	other = open_one(O_RDONLY);
	lock(one, FSC_LOCK_EXCLUSIVE, 10, 19);
	ck_assert(fsc_release(me, other) == DVS_OK);
	fake_traced("open open lock(1 10-19 x) release ");
	fake.is_another = true;
	ck_assert(fsc_lookup(me, root, FSC_ROOT, name, &attr) == DVS_OK);
	fake_traced("lookup resume who(1) reopen(1 5 rw) lock(1 10-19 x again) resumed lookup ");
	ck_assert(fsc_release(me, one) == DVS_OK);
	finish();
}
END_TEST

TEST(many_files_are_given_back_at_once)
{
	uint32_t handles[3];
	struct fs_write_rep rep;

	begin();
	for (uint32_t i = 0; i < 3; i++)
		handles[i] = open_one(O_RDWR);
	lock(handles[2], FSC_LOCK_EXCLUSIVE, 10, 19);
	ck_assert(!fsc_holds_locks(me, handles[0]) && fsc_holds_locks(me, handles[2]));
	fake.trace[0] = '\0';
	ck_assert(fsc_release_many(me, handles, FSC_RELEASE_MAX + 1) == DVS_BADARG);
	ck_assert(fsc_release_many(me, handles, 3) == DVS_OK);
	fake_traced("release(1 2 3) ");
	for (uint32_t i = 0; i < 3; i++)
		ck_assert(fsc_write(me, handles[i], 0, 0, "x", 1, &rep) == DVS_NOHANDLE);
	fake_traced("");
	/* They are free also when the server does not say so. */
	handles[0] = open_one(O_RDWR);
	fake.trace[0] = '\0';
	fake.next = DVS_IO;
	ck_assert(fsc_release_many(me, handles, 1) == DVS_IO);
	ck_assert(fsc_write(me, handles[0], 0, 0, "x", 1, &rep) == DVS_NOHANDLE);
	finish();
}
END_TEST

TEST(a_session_that_has_ended_loses_what_had_locks)
{
	struct fs_write_rep rep;
	uint32_t one;
	uint32_t other;

	begin();
	one = open_one(O_RDWR);
	other = open_one(O_RDWR);
	lock(one, FSC_LOCK_EXCLUSIVE, 0, 9);
	fake.trace[0] = '\0';
	fake.is_ended = true;
	ck_assert(fsc_getattr(me, 5, &attr) == DVS_OK);
	fake_traced("getattr resume hello who(1) open getattr ");
	ck_assert(fsc_write(me, one, 0, 0, "x", 1, &rep) == DVS_STALE);
	ck_assert(fsc_write(me, other, 0, 0, "x", 1, &rep) == DVS_OK);
	ck_assert(fsc_release(me, one) == DVS_OK);
	ck_assert(fsc_release(me, one) == DVS_NOHANDLE);
	finish();
}
END_TEST

TEST(locks_are_cut_and_joined_as_the_server_does)
{
	uint32_t handle;

	begin();
	handle = open_one(O_RDWR);
	lock(handle, FSC_LOCK_EXCLUSIVE, 0, 99);
	lock(handle, FSC_LOCK_SHARED, 40, 59);
	lock(handle, FSC_LOCK_NONE, 90, 200);
	ck_assert(fsc_has_locks(me, handle, 9));
	ck_assert(!fsc_has_locks(me, handle, 8));
	fake.trace[0] = '\0';
	fake.is_another = true;
	ck_assert(fsc_getattr(me, 5, &attr) == DVS_OK);
	fake_traced(
		"getattr resume who(1) reopen(1 5 rw) lock(1 0-39 x again) lock(1 60-89 x again) "
		"lock(1 40-59 s again) resumed getattr ");
	lock(handle, FSC_LOCK_NONE, 0, INT64_MAX);
	ck_assert(!fsc_has_locks(me, handle, 9));
	finish();
}
END_TEST

TEST(what_died_with_its_server_is_asked_again)
{
	struct fs_unlink_rep rep;

	begin();
	fake.die_after = 1;
	ck_assert(fsc_lookup(me, root, FSC_ROOT, name, &attr) == DVS_OK);
	fake_traced("(dies) lookup ");
	/* It was removed before the answer was lost. */
	fake.die_after = 1;
	fake.next = DVS_NOTFOUND;
	ck_assert(fsc_unlink(me, root, FSC_ROOT, name, false, &rep) == DVS_OK);
	fake.next = DVS_NOTFOUND;
	ck_assert(fsc_unlink(me, root, FSC_ROOT, name, false, &rep) == DVS_NOTFOUND);
	finish();
}
END_TEST

TEST(nothing_is_appended_twice)
{
	struct fs_write_rep rep;
	uint32_t handle;

	begin();
	handle = open_one(O_WRONLY | O_APPEND);
	fake.trace[0] = '\0';
	fake.die_after = 1;
	ck_assert(fsc_write(me, handle, FSC_WRITE_APPEND, 0, "x", 1, &rep) == DVS_IO);
	fake_traced("(dies) ");
	fake.die_after = 1;
	ck_assert(fsc_write(me, handle, 0, 0, "x", 1, &rep) == DVS_OK);
	fake_traced("(dies) write ");
	finish();
}
END_TEST

TEST(a_name_is_1_to_255_bytes)
{
	char text[300];

	begin();
	memset(text, 'n', sizeof(text));
	ck_assert(fsc_lookup(me, root, FSC_ROOT, (struct fsc_name){ text, 256 }, &attr) ==
		  DVS_NAMELONG);
	ck_assert(fsc_lookup(me, root, FSC_ROOT, (struct fsc_name){ text, 0 }, &attr) ==
		  DVS_NOTFOUND);
	fake_traced("");
	ck_assert(fsc_lookup(me, root, FSC_ROOT, (struct fsc_name){ text, 255 }, &attr) == DVS_OK);
	finish();
}
END_TEST

/* ---- several threads ---- */

#define LOOKUPS 300u

static void *look_up_often(void *context)
{
	const struct fsc_identity identity = { .uid = *(const uint32_t *)context };
	struct fsc_thread *mine;
	struct fs_attr found;
	struct fsc_who *who;

	ck_assert(fsc_enter(fsc, &mine) == DVS_OK);
	ck_assert(fsc_who_get(mine, &identity, &who) == DVS_OK);
	for (uint32_t i = 0; i < LOOKUPS; i++) {
		uint32_t handle;

		ck_assert(fsc_open_file(mine, who, 5, O_RDONLY, &handle, &found) == DVS_OK);
		if (i % 50 == 49) {
			pthread_mutex_lock(&fake.lock);
			fake.is_another = true;
			pthread_mutex_unlock(&fake.lock);
		}
		ck_assert(fsc_lookup(mine, who, FSC_ROOT, name, &found) == DVS_OK);
		ck_assert(fsc_release(mine, handle) == DVS_OK);
	}
	fsc_who_put(mine, who);
	fsc_leave(mine);
	return NULL;
}

TEST(many_threads_go_on_over_changes_of_the_server)
{
	pthread_t threads[4];
	uint32_t uids[4] = { 1, 2, 3, 4 };

	begin();
	for (size_t i = 0; i < 4; i++)
		ck_assert(!pthread_create(&threads[i], NULL, look_up_often, &uids[i]));
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_ge(fake.n_resumed, 6);
	finish();
}
END_TEST

TEST(who_asks_for_nothing_tells_another_server_what_it_has)
{
	begin();
	(void)open_one(O_RDWR);
	fake.trace[0] = '\0';
	pthread_mutex_lock(&fake.lock);
	fake.is_another = true;
	pthread_cond_broadcast(&fake.changed);
	while (fake.n_resumed == 0)
		pthread_cond_wait(&fake.changed, &fake.lock);
	fake_traced("resume who(1) reopen(1 5 rw) resumed ");
	pthread_mutex_unlock(&fake.lock);
	finish();
}
END_TEST

/* ---- recalls ---- */

static uint64_t recalled_ino;
static uint32_t n_lost;

static bool recalled(void *context, const struct fs_recall *recall)
{
	(void)context;
	pthread_mutex_lock(&fake.lock);
	/* Not before this has returned. */
	ck_assert_uint_ne(fake.acknowledged, recall->number);
	recalled_ino = recall->ino;
	pthread_mutex_unlock(&fake.lock);
	return true;
}

static void lost(void *context)
{
	(void)context;
	pthread_mutex_lock(&fake.lock);
	n_lost++;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

TEST(a_recall_is_acknowledged_when_it_was_carried_out)
{
	const struct fsc_recalls recalls = { .recalled = recalled, .lost = lost };
	const struct fsc_config config = { .open_ms = 5000,
					   .patience_ms = 5000,
					   .recalls = &recalls };

	ck_assert(fsc_open_on(NULL, dvs_ep_of(770), &config, &fsc) == DVS_OK);
	pthread_mutex_lock(&fake.lock);
	fake.recall = 42;
	pthread_cond_broadcast(&fake.changed);
	while (fake.acknowledged != 42)
		pthread_cond_wait(&fake.changed, &fake.lock);
	ck_assert_uint_eq(recalled_ino, 5);
	/* Another server knows of no leases. */
	n_lost = 0;
	fake.is_another = true;
	pthread_cond_broadcast(&fake.changed);
	while (n_lost == 0)
		pthread_cond_wait(&fake.changed, &fake.lock);
	pthread_mutex_unlock(&fake.lock);
	fsc_close(fsc);
}
END_TEST

UNIT_MAIN("client-fs-client", an_identity_is_told_once,
	  identities_that_nobody_uses_give_their_numbers_away,
	  another_server_is_told_everything_before_it_is_asked_again,
	  many_files_are_given_back_at_once, a_session_that_has_ended_loses_what_had_locks,
	  locks_are_cut_and_joined_as_the_server_does, what_died_with_its_server_is_asked_again,
	  nothing_is_appended_twice, a_name_is_1_to_255_bytes,
	  many_threads_go_on_over_changes_of_the_server,
	  who_asks_for_nothing_tells_another_server_what_it_has,
	  a_recall_is_acknowledged_when_it_was_carried_out)
