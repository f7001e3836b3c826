/* SPDX-License-Identifier: Apache-2.0 */
/* A session with a server that stands here in the place of M3-IPC: it answers what it must and notes what it was asked. */
#include "client/fs_client.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/in_place.h"
#include "unit.h"

#define ENDPOINTS 64u

struct m3 {
	dvs_ep ep;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t last_ep;
	uint64_t session; /* 0: none */
	uint64_t last_session;
	uint64_t joined[ENDPOINTS];
	bool is_another; /* the server is another one: it knows the session, and not what it had */
	bool is_ended;	 /* and it does not know the session */
	uint32_t die_after; /* requests until it dies with one */
	dvs_err next;	    /* the answer to what is not of the session */
	uint64_t recall;    /* to be told; 0: none */
	uint64_t acknowledged;
	uint32_t n_resumed;
	bool is_listened_to; /* somebody waits for recalls */
	bool is_woken;
	char trace[4096];
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void note(const char *format, ...) PRINTF_LIKE(1, 2);
static void note(const char *format, ...)
{
	size_t at = strlen(fake.trace);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(fake.trace + at, sizeof(fake.trace) - at, format, args);
	va_end(args);
}

static void traced(const char *wanted)
{
	ck_assert_str_eq(fake.trace, wanted);
	fake.trace[0] = '\0';
}

dvs_err dvk_bind(struct dvk *dvk, dvs_ep want, enum dvk_kind kind, struct m3 **self)
{
	(void)dvk;
	(void)want;
	(void)kind;
	*self = calloc(1, sizeof(**self));
	pthread_mutex_lock(&fake.lock);
	(*self)->ep.n = ++fake.last_ep;
	ck_assert_uint_lt(fake.last_ep, ENDPOINTS);
	pthread_mutex_unlock(&fake.lock);
	return DVS_OK;
}

void dvk_unbind(struct m3 *self)
{
	free(self);
}

void dvk_close(struct dvk *dvk)
{
	(void)dvk;
}

dvs_err dvk_wait_bind(struct dvk *dvk, dvs_ep ep, uint32_t timeout_ms, dvs_ep *bound)
{
	(void)dvk;
	(void)ep;
	(void)timeout_ms;
	(void)bound;
	return DVS_OK;
}

dvs_ep m3_self(const struct m3 *self)
{
	return self->ep;
}

dvs_err m3_wakeup(struct m3 *self, dvs_ep dst)
{
	(void)self;
	(void)dst;
	pthread_mutex_lock(&fake.lock);
	fake.is_woken = true;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
	return DVS_OK;
}

/* ---- the server ---- */

static dvs_err on_session(uint32_t op, uint64_t *joined, struct cursor *in, struct writer *out)
{
	uint64_t number;

	switch (op) {
	case FS_HELLO:
		fake.session = ++fake.last_session;
		fake.is_another = fake.is_ended = false;
		*joined = fake.session;
		writer_u64(out, fake.session);
		writer_u64(out, 1);
		return DVS_OK;
	case FS_JOIN:
		number = cursor_u64(in);
		if (fake.is_another)
			return DVS_RESUME;
		if (fake.is_ended || number != fake.session)
			return DVS_NOTFOUND;
		*joined = number;
		return DVS_OK;
	case FS_RESUME:
		number = cursor_u64(in);
		if (fake.is_ended || number != fake.session)
			return DVS_NOTFOUND;
		*joined = number;
		writer_u64(out, 2);
		return DVS_OK;
	default:
		fake.is_another = false;
		fake.n_resumed++;
		pthread_cond_broadcast(&fake.changed);
		return DVS_OK;
	}
}

static void note_released(struct cursor *in, const void *data, size_t data_bytes)
{
	struct cursor others = cursor_over(data, data_bytes);

	note("release(%u", cursor_u32(in));
	while (cursor_left(&others) > 0)
		note(" %u", cursor_u32(&others));
	note(") ");
}

static void note_request(uint32_t op, struct cursor in, const void *data, size_t data_bytes)
{
	struct cursor body = in;
	struct fs_lock_req lock;
	struct fs_reopen_req reopen;
	uint32_t who = 0;

	if (op == FS_LOCK && fs_lock_req_decode_padded(&body, &lock) == DVS_OK) {
		note("lock(%u %u-%u %s%s) ", lock.handle, (unsigned int)lock.start,
		     (unsigned int)lock.end,
		     lock.type == 1 ? "x" :
		     lock.type == 0 ? "s" :
				      "none",
		     lock.flags & 2 ? " again" : "");
	} else if (op == FS_REOPEN && fs_reopen_req_decode_padded(&body, &reopen) == DVS_OK) {
		note("reopen(%u %u %s%s) ", reopen.handle, (unsigned int)reopen.ino,
		     reopen.flags & O_RDWR ? "rw" : "r", reopen.flags & O_TRUNC ? " trunc" : "");
	} else if (op == FS_RELEASE && data_bytes > 0) {
		note_released(&body, data, data_bytes);
	} else if (op == FS_WHO) {
		memcpy(&who, data, sizeof(who));
		note("who(%u) ", who);
	} else {
		note("%s ", fs_op_name(op));
	}
}

static dvs_err on_recalls(const void *out, size_t out_len, void *in, size_t *in_len,
			  struct writer *reply)
{
	struct writer data = writer_over(in, 4096);

	if (out_len == sizeof(uint64_t))
		memcpy(&fake.acknowledged, out, sizeof(uint64_t));
	fake.is_listened_to = true;
	pthread_cond_broadcast(&fake.changed);
	while (!fake.recall && !fake.is_woken && !fake.is_another && !fake.is_ended)
		pthread_cond_wait(&fake.changed, &fake.lock);
	if (fake.is_woken)
		return DVS_WOKEN;
	if (!fake.recall)
		return DVS_RESUME;
	fs_recall_put(&data, &(struct fs_recall){ .number = fake.recall, .ino = 5, .kind = 7 });
	fake.recall = 0;
	writer_u32(reply, 1);
	*in_len = writer_len(&data);
	return DVS_OK;
}

static bool gives_attr(uint32_t op)
{
	return op == FS_LOOKUP || op == FS_CREATE || op == FS_OPEN || op == FS_GETATTR;
}

static dvs_err serve(struct m3 *self, uint32_t op, const struct dvs_msg *msg, struct writer *reply,
		     const void *out, size_t out_len, void *in, size_t *in_len)
{
	struct cursor body = cursor_over(msg->bytes, sizeof(msg->bytes));
	uint64_t *joined = &fake.joined[self->ep.n];
	struct writer data = writer_over(in, in ? FS_ATTR_BYTES_MAX : 0);

	if (op == FS_RECALLS && *joined == fake.session && !fake.is_another && !fake.is_ended)
		return on_recalls(out, out_len, in, in_len, reply);
	if (op != FS_RECALLS)
		note_request(op, body, out, out_len);
	if (op == FS_HELLO || op == FS_JOIN || op == FS_RESUME || op == FS_RESUMED)
		return on_session(op, joined, &body, reply);
	if (*joined != fake.session || fake.is_ended || !fake.session)
		return DVS_RESUME;
	if (fake.is_another && op != FS_WHO && op != FS_REOPEN &&
	    !(op == FS_LOCK && msg->bytes[6] == 2))
		return DVS_RESUME;
	if (op != FS_WHO && op != FS_REOPEN && fake.next) {
		dvs_err err = fake.next;

		fake.next = DVS_OK;
		return err;
	}
	if (gives_attr(op))
		fs_attr_put(&data, &(struct fs_attr){ .ino = 5, .nlink = 1, .lease = 1 });
	*in_len = writer_len(&data);
	return DVS_OK;
}

dvs_err m3_call(struct m3 *self, dvs_ep dst, struct dvs_msg *msg, const void *out, size_t out_len,
		void *in, size_t in_cap, size_t *in_len, uint32_t timeout_ms)
{
	struct dvs_msg reply = { .type = msg->type };
	struct writer writer = writer_over(reply.bytes + 4, sizeof(reply.bytes) - 4);
	size_t len = 0;
	dvs_err err;

	(void)dst;
	(void)in_cap;
	(void)timeout_ms;
	pthread_mutex_lock(&fake.lock);
	if (fake.die_after > 0 && msg->type != FS_RECALLS && --fake.die_after == 0) {
		note("(dies) ");
		pthread_mutex_unlock(&fake.lock);
		return DVS_PEERDEAD;
	}
	err = serve(self, msg->type, msg, &writer, out, out_len, in, &len);
	pthread_mutex_unlock(&fake.lock);
	if (in_len)
		*in_len = len;
	reply.u32[0] = (uint32_t)err;
	*msg = reply;
	return err == DVS_WOKEN ? err : DVS_OK;
}

dvs_err m3_call_in_place(struct m3 *self, dvs_ep dst, struct dvs_msg *msg, const void *out,
			 size_t out_len, size_t in_cap, const void **in, size_t *in_len,
			 uint32_t timeout_ms)
{
	*in = NULL;
	return m3_call(self, dst, msg, out, out_len, NULL, in_cap, in_len, timeout_ms);
}

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
	traced("hello join who(1) ");
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
	traced("lookup ");
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
	traced("lookup ");
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
	traced("open open lock(1 10-19 x) release ");
	fake.is_another = true;
	ck_assert(fsc_lookup(me, root, FSC_ROOT, name, &attr) == DVS_OK);
	traced("lookup resume who(1) reopen(1 5 rw) lock(1 10-19 x again) resumed lookup ");
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
	traced("release(1 2 3) ");
	for (uint32_t i = 0; i < 3; i++)
		ck_assert(fsc_write(me, handles[i], 0, 0, "x", 1, &rep) == DVS_NOHANDLE);
	traced("");
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
	traced("getattr resume hello who(1) open getattr ");
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
	traced("getattr resume who(1) reopen(1 5 rw) lock(1 0-39 x again) lock(1 60-89 x again) "
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
	traced("(dies) lookup ");
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
	traced("(dies) ");
	fake.die_after = 1;
	ck_assert(fsc_write(me, handle, 0, 0, "x", 1, &rep) == DVS_OK);
	traced("(dies) write ");
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
	traced("");
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
	traced("resume who(1) reopen(1 5 rw) resumed ");
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
