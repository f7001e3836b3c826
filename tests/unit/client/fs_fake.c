/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_fake.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/in_place.h"
#include "unit.h"

struct m3 {
	dvs_ep ep;
};

struct fake fake = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void note(const char *format, ...) PRINTF_LIKE(1, 2);
static void note(const char *format, ...)
{
	size_t at = strlen(fake.trace);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(fake.trace + at, sizeof(fake.trace) - at, format, args);
	va_end(args);
}

void fake_traced(const char *wanted)
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
	ck_assert_uint_lt(fake.last_ep, FAKE_ENDPOINTS);
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
