/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of open files, and locks. */
#include <stdlib.h>

#include "client/fs_client_internal.h"

#define ENCODE(request, op_name, ...)                                                       \
	do {                                                                                \
		struct writer out_ = writer_over((request)->body, sizeof((request)->body)); \
		fs_##op_name##_req_encode(&out_, &(struct fs_##op_name##_req)__VA_ARGS__);  \
	} while (0)

static struct cursor reply_of(const struct fsc_request *request)
{
	return cursor_over(request->reply, sizeof(request->reply));
}

/* ---- opening ---- */

/* A file that is being opened: its handle is the session's before it is asked for. */
struct opening {
	struct fsc_request request;
	uint8_t room[FS_ATTR_BYTES_MAX];
	struct fs_attr *attr;
	uint32_t handle;
	bool is_well_said;
};

static void note_opened(struct fsc *fsc, void *context)
{
	struct opening *opening = context;
	struct cursor in = cursor_over(opening->room, opening->request.in_len);
	struct handle *handle = fsc_handle(fsc, opening->handle);

	fs_attr_get(&in, opening->attr);
	opening->is_well_said = cursor_done(&in);
	if (!handle || !opening->is_well_said)
		return;
	handle->ino = opening->attr->ino;
	handle->state = HANDLE_OPEN;
}

static dvs_err take_handle(struct fsc *fsc, struct fsc_who *who, uint32_t flags, uint32_t *number)
{
	dvs_err err;

	pthread_mutex_lock(&fsc->lock);
	err = fsc_handle_take(fsc, who, flags, number);
	pthread_mutex_unlock(&fsc->lock);
	return err;
}

static void give_back(struct fsc *fsc, uint32_t number)
{
	pthread_mutex_lock(&fsc->lock);
	fsc_handle_free(fsc, number);
	pthread_mutex_unlock(&fsc->lock);
}

/* OPENING->handle 0: nothing is opened, only made. */
static dvs_err ask_open(struct fsc_thread *me, struct opening *opening, struct fs_attr *attr)
{
	struct fsc_request *request = &opening->request;
	dvs_err err;

	request->in = opening->room;
	request->in_cap = sizeof(opening->room);
	request->note = note_opened;
	request->context = opening;
	opening->attr = attr;
	err = fsc_ask(me, request);
	if (!err && !opening->is_well_said)
		err = DVS_PROTO;
	if (err && opening->handle)
		give_back(me->fsc, opening->handle);
	return err;
}

dvs_err fsc_create(struct fsc_thread *me, struct fsc_who *who, const struct fsc_new *what,
		   uint32_t flags, uint32_t *handle, struct fs_attr *attr)
{
	struct opening opening = {
		.request = { .op = FS_CREATE, .out = what->name.text, .out_len = what->name.len }
	};
	dvs_err err = DVS_OK;

	if (what->name.len < 1 || what->name.len > FSC_NAME_MAX)
		return DVS_NAMELONG;
	if (handle)
		err = take_handle(me->fsc, who, flags, &opening.handle);
	if (err)
		return err;
	ENCODE(&opening.request, create,
	       { .parent = what->parent,
		 .who = who->number,
		 .mode = what->mode,
		 .umask = what->umask,
		 .rdev = what->rdev,
		 .flags = flags,
		 .handle = opening.handle });
	err = ask_open(me, &opening, attr);
	if (handle)
		*handle = err ? FSC_NO_HANDLE : opening.handle;
	return err;
}

dvs_err fsc_tmpfile(struct fsc_thread *me, struct fsc_who *who, const struct fsc_new *what,
		    uint32_t flags, uint32_t *handle, struct fs_attr *attr)
{
	struct opening opening = { .request = { .op = FS_TMPFILE } };
	dvs_err err = take_handle(me->fsc, who, flags, &opening.handle);

	if (err)
		return err;
	ENCODE(&opening.request, tmpfile,
	       { .parent = what->parent,
		 .who = who->number,
		 .mode = what->mode,
		 .umask = what->umask,
		 .flags = flags,
		 .handle = opening.handle });
	err = ask_open(me, &opening, attr);
	*handle = err ? FSC_NO_HANDLE : opening.handle;
	return err;
}

dvs_err fsc_open_file(struct fsc_thread *me, struct fsc_who *who, uint64_t ino, uint32_t flags,
		      uint32_t *handle, struct fs_attr *attr)
{
	struct opening opening = { .request = { .op = FS_OPEN } };
	dvs_err err = take_handle(me->fsc, who, flags, &opening.handle);

	if (err)
		return err;
	ENCODE(&opening.request, open,
	       { .ino = ino, .who = who->number, .flags = flags, .handle = opening.handle });
	err = ask_open(me, &opening, attr);
	*handle = err ? FSC_NO_HANDLE : opening.handle;
	return err;
}

static dvs_err check_handle(struct fsc_thread *me, uint32_t number)
{
	const struct handle *handle;
	dvs_err err = DVS_OK;

	pthread_mutex_lock(&me->fsc->lock);
	handle = fsc_handle(me->fsc, number);
	if (!handle || handle->state == HANDLE_FREE)
		err = DVS_NOHANDLE;
	else if (handle->state == HANDLE_LOST)
		err = DVS_STALE;
	pthread_mutex_unlock(&me->fsc->lock);
	return err;
}

/* Ask about an open file, which can be lost meanwhile. */
static dvs_err ask_handle(struct fsc_thread *me, uint32_t handle, struct fsc_request *request)
{
	dvs_err err = check_handle(me, handle);

	if (!err)
		err = fsc_ask(me, request);
	return err == DVS_NOHANDLE && check_handle(me, handle) == DVS_STALE ? DVS_STALE : err;
}

static void note_released(struct fsc *fsc, void *context)
{
	fsc_handle_free(fsc, *(const uint32_t *)context);
}

dvs_err fsc_release(struct fsc_thread *me, uint32_t handle)
{
	struct fsc_request request = { .op = FS_RELEASE,
				       .note = note_released,
				       .context = &handle };
	dvs_err err = check_handle(me, handle);

	if (err == DVS_NOHANDLE)
		return err;
	ENCODE(&request, release, { .handle = handle });
	if (!err)
		err = fsc_ask(me, &request);
	if (err)
		give_back(me->fsc, handle);
	/* The server it was open at has forgotten it. */
	return err == DVS_STALE || err == DVS_NOHANDLE ? DVS_OK : err;
}

struct releasing {
	const uint32_t *handles;
	uint32_t n;
};

static void note_released_many(struct fsc *fsc, void *context)
{
	const struct releasing *releasing = context;

	for (uint32_t i = 0; i < releasing->n; i++) {
		const struct handle *handle = fsc_handle(fsc, releasing->handles[i]);

		if (handle && handle->state != HANDLE_FREE)
			fsc_handle_free(fsc, releasing->handles[i]);
	}
}

dvs_err fsc_release_many(struct fsc_thread *me, const uint32_t *handles, uint32_t n)
{
	struct releasing releasing = { handles, n };
	uint8_t numbers[FSC_RELEASE_MAX * sizeof(uint32_t)];
	struct writer out = writer_over(numbers, sizeof(numbers));
	struct fsc_request request = {
		.op = FS_RELEASE, .out = numbers, .note = note_released_many, .context = &releasing
	};
	dvs_err err;

	if (n == 0 || n > FSC_RELEASE_MAX)
		return DVS_BADARG;
	ENCODE(&request, release, { .handle = handles[0] });
	for (uint32_t i = 1; i < n; i++)
		writer_u32(&out, handles[i]);
	request.out_len = writer_len(&out);
	err = fsc_ask(me, &request);
	if (!err)
		return DVS_OK;
	pthread_mutex_lock(&me->fsc->lock);
	note_released_many(me->fsc, &releasing);
	pthread_mutex_unlock(&me->fsc->lock);
	/* The server that they were open at has forgotten them. */
	return err == DVS_NOHANDLE ? DVS_OK : err;
}

/* ---- contents ---- */

dvs_err fsc_read(struct fsc_thread *me, uint32_t handle, uint64_t offset, size_t bytes,
		 const void **data, size_t *len)
{
	struct fsc_request request = { .op = FS_READ, .in_cap = bytes };
	dvs_err err;

	if (bytes > FSC_IO_MAX)
		return DVS_BADARG;
	ENCODE(&request, read, { .handle = handle, .bytes = (uint32_t)bytes, .offset = offset });
	err = ask_handle(me, handle, &request);
	*data = request.place;
	*len = err ? 0 : request.in_len;
	return err;
}

dvs_err fsc_write(struct fsc_thread *me, uint32_t handle, uint32_t flags, uint64_t offset,
		  const void *data, size_t len, struct fs_write_rep *rep)
{
	struct fsc_request request = {
		.op = FS_WRITE, .out = data, .out_len = len, .never_twice = flags & FSC_WRITE_APPEND
	};
	struct cursor in;
	dvs_err err;

	if (len > FSC_IO_MAX)
		return DVS_BADARG;
	ENCODE(&request, write, { .handle = handle, .flags = flags, .offset = offset });
	err = ask_handle(me, handle, &request);
	in = reply_of(&request);
	return err ? err : fs_write_rep_decode_padded(&in, rep);
}

dvs_err fsc_fsync(struct fsc_thread *me, uint32_t handle, bool data_only)
{
	struct fsc_request request = { .op = FS_FSYNC };

	ENCODE(&request, fsync, { .handle = handle, .flags = data_only });
	return handle ? ask_handle(me, handle, &request) : fsc_ask(me, &request);
}

dvs_err fsc_allocate(struct fsc_thread *me, uint32_t handle, uint32_t mode, uint64_t offset,
		     uint64_t bytes)
{
	struct fsc_request request = { .op = FS_ALLOCATE };

	ENCODE(&request, allocate,
	       { .handle = handle, .mode = mode, .offset = offset, .bytes = bytes });
	return ask_handle(me, handle, &request);
}

dvs_err fsc_seek(struct fsc_thread *me, uint32_t handle, uint32_t whence, uint64_t offset,
		 uint64_t *found)
{
	struct fsc_request request = { .op = FS_SEEK };
	struct fs_seek_rep rep = { .offset = 0 };
	struct cursor in;
	dvs_err err;

	if (whence < 3 || whence > 4)
		return DVS_BADARG;
	ENCODE(&request, seek, { .handle = handle, .whence = whence, .offset = offset });
	err = ask_handle(me, handle, &request);
	in = reply_of(&request);
	if (!err)
		err = fs_seek_rep_decode_padded(&in, &rep);
	*found = rep.offset;
	return err;
}

dvs_err fsc_copy(struct fsc_thread *me, const struct fs_copy_req *what, struct fs_copy_rep *rep)
{
	struct fsc_request request = { .op = FS_COPY };
	struct writer out = writer_over(request.body, sizeof(request.body));
	struct cursor in;
	dvs_err err = check_handle(me, what->to);

	if (err)
		return err;
	fs_copy_req_encode(&out, what);
	err = ask_handle(me, what->from, &request);
	in = reply_of(&request);
	return err ? err : fs_copy_rep_decode_padded(&in, rep);
}

/* ---- locks ---- */

struct locking {
	struct fs_lock_req what;
	struct held_lock *room[2]; /* the new one, and what is left behind an old one */
};

static void note_lock(struct fsc *fsc, void *context)
{
	struct locking *locking = context;

	fsc_lock_note(fsc, &locking->what, locking->room);
}

dvs_err fsc_lock(struct fsc_thread *me, const struct fs_lock_req *what)
{
	struct locking locking = {
		.what = *what,
		.room = { calloc(1, sizeof(struct held_lock)),
			  calloc(1, sizeof(struct held_lock)) },
	};
	struct fsc_request request = { .op = FS_LOCK, .note = note_lock, .context = &locking };
	struct writer out = writer_over(request.body, sizeof(request.body));
	dvs_err err = DVS_NOMEM;

	fs_lock_req_encode(&out, what);
	if (!writer_ok(&out))
		err = DVS_BADARG;
	else if (locking.room[0] && locking.room[1])
		err = ask_handle(me, what->handle, &request);
	free(locking.room[0]);
	free(locking.room[1]);
	return err;
}

dvs_err fsc_test_lock(struct fsc_thread *me, const struct fs_test_lock_req *what,
		      struct fs_test_lock_rep *rep)
{
	struct fsc_request request = { .op = FS_TEST_LOCK };
	struct writer out = writer_over(request.body, sizeof(request.body));
	struct cursor in;
	dvs_err err;

	fs_test_lock_req_encode(&out, what);
	err = writer_ok(&out) ? ask_handle(me, what->handle, &request) : DVS_BADARG;
	in = reply_of(&request);
	return err ? err : fs_test_lock_rep_decode_padded(&in, rep);
}

dvs_err fsc_cancel(struct fsc_thread *me, uint32_t handle, uint8_t kind, uint64_t owner)
{
	struct fsc_request request = { .op = FS_CANCEL };

	ENCODE(&request, cancel, { .handle = handle, .kind = kind, .owner = owner });
	return ask_handle(me, handle, &request);
}
