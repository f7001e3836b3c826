/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on open files. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "servers/fs/fsd.h"

#define CHANGE_SIZE 8u /* fs_change.valid */
#define WRITE_APPEND 1u
#define WRITE_DURABLE 2u
#define WRITE_DROP 4u

dvs_err fsd_empty(const struct fsd_call *call, uint64_t ino, struct fs_attr *attr)
{
	const struct fs_change change = { .valid = CHANGE_SIZE };

	return fs_setattr(call->fsd->fs, call->who, ino, &change, true, attr);
}

void fsd_open(void *state, struct skeleton_request *request, const struct fs_open_req *req)
{
	struct fsd *fsd = state;
	struct fs_attr attr = { .ino = 0 };
	struct fsd_call call;
	bool truncates;
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, false, req->who))
		return;
	err = fs_may_open(fsd->fs, call.who, req->ino, req->flags, &attr);
	truncates = !err && (req->flags & O_TRUNC) && S_ISREG(attr.mode);
	if (truncates && fsd_wait(&call, req->ino, 0, 0, 0))
		return;
	if (!err)
		err = fsd_handle_add(fsd, call.session, req->handle, req->ino, req->flags,
				     req->who);
	if (!err && truncates) {
		err = fsd_change_begin(&call);
		if (!err)
			err = fsd_empty(&call, req->ino, &attr);
		if (!err)
			fsd_put_attr(&call, &attr);
		err = fsd_change_close(&call, err, NULL, 0, call.attr, call.attr_bytes);
		if (err)
			fsd_handle_drop(fsd, call.session, fsd_handle(call.session, req->handle));
	}
	if (!err && !truncates)
		fsd_put_attr(&call, &attr);
	fsd_answer(&call, err, NULL, 0, call.attr, call.attr_bytes);
}

void fsd_tmpfile(void *state, struct skeleton_request *request, const struct fs_tmpfile_req *req)
{
	struct fsd *fsd = state;
	struct fs_attr attr = { .ino = 0 };
	struct fsd_call call;
	bool is_open = false;
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, false, req->who))
		return;
	err = fsd_change_begin(&call);
	if (!err)
		err = fs_make_tmpfile(fsd->fs, call.who, req->parent, req->mode, req->umask,
				      (req->flags & O_EXCL) == 0, &attr);
	if (!err) {
		/* The making has pinned it once: from here on the handle does. */
		err = fsd_handle_add(fsd, call.session, req->handle, attr.ino, req->flags,
				     req->who);
		is_open = !err;
		if (is_open)
			err = fs_unpin(fsd->fs, attr.ino);
	}
	if (!err)
		fsd_put_attr(&call, &attr);
	err = fsd_change_close(&call, err, NULL, 0, call.attr, call.attr_bytes);
	if (err && is_open)
		fsd_handle_drop(fsd, call.session, fsd_handle(call.session, req->handle));
	fsd_answer(&call, err, NULL, 0, call.attr, call.attr_bytes);
}

static bool close_one(struct fsd_call *call, uint32_t number)
{
	struct fsd_handle *handle = fsd_handle(call->session, number);

	if (handle)
		fsd_handle_drop(call->fsd, call->session, handle);
	return handle != NULL;
}

void fsd_release(void *state, struct skeleton_request *request, const struct fs_release_req *req)
{
	struct fsd *fsd = state;
	struct cursor others;
	struct fsd_call call;
	bool is_open;

	if (!fsd_begin(fsd, &call, request, true, FSD_NOBODY))
		return;
	others = cursor_over(call.data, call.bytes);
	is_open = close_one(&call, req->handle);
	while (cursor_left(&others) >= sizeof(uint32_t))
		is_open |= close_one(&call, cursor_u32(&others));
	fsd_answer(&call, is_open ? DVS_OK : DVS_NOHANDLE, NULL, 0, NULL, 0);
}

/* The open file that REQUEST names, for reading or writing. */
static dvs_err find(const struct fsd_call *call, uint32_t number, bool writes,
		    const struct fsd_handle **handle)
{
	uint32_t not = writes ? O_RDONLY : O_WRONLY;

	*handle = fsd_handle(call->session, number);
	return *handle && ((*handle)->flags & O_ACCMODE) != not ? DVS_OK : DVS_NOHANDLE;
}

/* ---- reading ---- */

void fsd_read(void *state, struct skeleton_request *request, const struct fs_read_req *req)
{
	struct fsd *fsd = state;
	const struct fsd_handle *handle;
	struct fsd_call call;
	uint8_t lease = 0;
	uint8_t *window;
	size_t room = 0;
	size_t got = 0;
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, false, FSD_NOBODY))
		return;
	err = find(&call, req->handle, false, &handle);
	if (!err && req->bytes > request->reply_cap)
		err = DVS_TOOBIG;
	window = err ? NULL : skeleton_window(request, &room);
	if (!err && !window) {
		skeleton_drop(request);
		fsd_end(&call);
		return;
	}
	if (!err && (req->flags & 1)) {
		struct fs_attr attr;

		err = fs_getattr(fsd->fs, handle->ino, &attr);
		if (!err) {
			fsd_put_attr(&call, &attr);
			lease = attr.lease != 0;
			if (req->bytes + call.attr_bytes > room)
				err = DVS_TOOBIG;
			else
				memcpy(window, call.attr, call.attr_bytes);
		}
	}
	if (!err)
		err = fs_read(fsd->fs, handle->ino, req->offset, window + call.attr_bytes,
			      req->bytes, &got);
	if (!err && !(handle->flags & O_NOATIME))
		fs_was_read(fsd->fs, handle->ino);
	if (!err)
		fsd->figures.read_bytes += got;
	fsd_answer(&call, err, &lease, sizeof(lease), window, call.attr_bytes + got);
}

void fsd_seek(void *state, struct skeleton_request *request, const struct fs_seek_req *req)
{
	struct fs_seek_rep rep = { .offset = 0 };
	const struct fsd_handle *handle;
	struct fsd_call call;
	dvs_err err;

	if (!fsd_begin(state, &call, request, false, FSD_NOBODY))
		return;
	handle = fsd_handle(call.session, req->handle);
	err = handle ? fs_seek(call.fsd->fs, handle->ino, req->whence, req->offset, &rep.offset) :
		       DVS_NOHANDLE;
	fs_seek_answer(request, err, &rep);
	fsd_end(&call);
}

/* ---- writing ---- */

/* At the end, wherever that is. */
static dvs_err place(const struct fsd_call *call, const struct fs_write_req *req, uint64_t ino,
		     uint64_t *offset)
{
	struct fs_attr attr;
	dvs_err err;

	*offset = req->offset;
	if ((req->flags & WRITE_APPEND) == 0)
		return DVS_OK;
	err = fs_getattr(call->fsd->fs, ino, &attr);
	if (!err)
		*offset = attr.size;
	return err;
}

void fsd_write(void *state, struct skeleton_request *request, const struct fs_write_req *req)
{
	struct fsd *fsd = state;
	const struct fsd_handle *handle;
	struct fs_attr attr = { .ino = 0 };
	struct fsd_call call;
	uint8_t payload[28];
	struct writer out = writer_over(payload, sizeof(payload));
	uint64_t offset = 0;
	size_t done = 0;
	bool must_sync = false;
	bool drop = (req->flags & WRITE_DROP) != 0;
	dvs_err err;

	/* The data goes to the medium from the client's window: it harms only itself when it changes it. */
	if (!fsd_begin(fsd, &call, request, false, FSD_NOBODY))
		return;
	err = find(&call, req->handle, true, &handle);
	if (!err && fsd_wait(&call, handle->ino, 0, 0, 0))
		return;
	if (!err)
		err = place(&call, req, handle->ino, &offset);
	if (!err)
		err = fsd_change_begin(&call);
	if (!err)
		err = fs_write(fsd->fs, handle->ino, offset, request->data, request->data_bytes,
			       drop, &done, &attr, &must_sync);
	if (err && must_sync) {
		err = fsd_change_again(&call);
		if (!err)
			err = fs_write(fsd->fs, handle->ino, offset, request->data,
				       request->data_bytes, drop, &done, &attr, &must_sync);
	}
	writer_u32(&out, done);
	writer_u64(&out, offset);
	writer_u64(&out, attr.size);
	writer_u64(&out, attr.version);
	err = fsd_change_close(&call, err, payload, sizeof(payload), NULL, 0);
	if (!err)
		fsd->figures.written_bytes += done;
	if (!err && (req->flags & WRITE_DURABLE))
		err = fsimage_sync(fs_image(fsd->fs));
	fsd_answer(&call, err, payload, sizeof(payload), NULL, 0);
}

void fsd_fsync(void *state, struct skeleton_request *request, const struct fs_fsync_req *req)
{
	struct fsd *fsd = state;
	struct fsd_call call;
	dvs_err err = DVS_OK;

	if (!fsd_begin(fsd, &call, request, false, FSD_NOBODY))
		return;
	if (req->handle && !fsd_handle(call.session, req->handle))
		err = DVS_NOHANDLE;
	if (!err)
		err = fsimage_sync(fs_image(fsd->fs));
	fsd_answer(&call, err, NULL, 0, NULL, 0);
}

void fsd_allocate(void *state, struct skeleton_request *request, const struct fs_allocate_req *req)
{
	struct fsd *fsd = state;
	const struct fsd_handle *handle;
	struct fs_attr attr = { .ino = 0 };
	struct fsd_call call;
	uint8_t payload[8];
	struct writer out = writer_over(payload, sizeof(payload));
	bool must_sync = false;
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, false, FSD_NOBODY))
		return;
	err = find(&call, req->handle, true, &handle);
	if (!err && fsd_wait(&call, handle->ino, 0, 0, 0))
		return;
	if (!err)
		err = fsd_change_begin(&call);
	if (!err)
		err = fs_allocate(fsd->fs, handle->ino, req->mode, req->offset, req->bytes, &attr,
				  &must_sync);
	if (err && must_sync) {
		err = fsd_change_again(&call);
		if (!err)
			err = fs_allocate(fsd->fs, handle->ino, req->mode, req->offset, req->bytes,
					  &attr, &must_sync);
	}
	writer_u64(&out, attr.size);
	fsd_change_end(&call, err, payload, sizeof(payload), NULL, 0);
}

/* So much at once: others are to have their turn. */
#define COPY_MAX (8u << 20)

static dvs_err copy(const struct fsd_call *call, const struct fs_copy_req *req, uint64_t from,
		    uint64_t to, uint64_t *done, struct fs_attr *attr, bool *must_sync)
{
	uint64_t bytes = req->bytes < COPY_MAX ? req->bytes : COPY_MAX;

	return fs_copy(call->fsd->fs, from, req->from_offset, to, req->to_offset, bytes, done, attr,
		       must_sync);
}

void fsd_copy(void *state, struct skeleton_request *request, const struct fs_copy_req *req)
{
	struct fsd *fsd = state;
	const struct fsd_handle *from;
	const struct fsd_handle *to = NULL;
	struct fs_attr attr = { .ino = 0 };
	struct fsd_call call;
	uint8_t payload[16];
	struct writer out = writer_over(payload, sizeof(payload));
	uint64_t done = 0;
	bool must_sync = false;
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, false, FSD_NOBODY))
		return;
	err = find(&call, req->from, false, &from);
	if (!err)
		err = find(&call, req->to, true, &to);
	if (!err && fsd_wait(&call, to->ino, 0, 0, 0))
		return;
	if (!err)
		err = fsd_change_begin(&call);
	if (!err)
		err = copy(&call, req, from->ino, to->ino, &done, &attr, &must_sync);
	if (err && must_sync) {
		err = fsd_change_again(&call);
		if (!err)
			err = copy(&call, req, from->ino, to->ino, &done, &attr, &must_sync);
	}
	writer_u64(&out, done);
	writer_u64(&out, attr.size);
	fsd_change_end(&call, err, payload, sizeof(payload), NULL, 0);
}
