/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on attributes. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "servers/fs/fsd.h"

#define CHANGE_SIZE 8u

void fsd_getattr(void *state, struct skeleton_request *request, const struct fs_getattr_req *req)
{
	struct fs_attr attr = { .ino = 0 };
	struct fsd_call call;
	dvs_err err;

	if (!fsd_begin(state, &call, request, false, FSD_NOBODY))
		return;
	err = fs_getattr(call.fsd->fs, req->ino, &attr);
	if (!err)
		fsd_put_attr(&call, &attr);
	fsd_answer(&call, err, NULL, 0, call.attr, call.attr_bytes);
}

/* Whether HANDLE, when one is named, is that file and open for writing. */
static dvs_err can_write(const struct fsd_call *call, uint32_t number, uint64_t ino, bool *can)
{
	const struct fsd_handle *handle;

	*can = false;
	if (number == 0)
		return DVS_OK;
	handle = fsd_handle(call->session, number);
	if (!handle || handle->ino != ino)
		return DVS_NOHANDLE;
	*can = (handle->flags & O_ACCMODE) != O_RDONLY;
	return DVS_OK;
}

void fsd_setattr(void *state, struct skeleton_request *request, const struct fs_setattr_req *req)
{
	struct fsd *fsd = state;
	struct fs_attr attr = { .ino = 0 };
	struct fs_change change = { .valid = 0 };
	struct cursor in;
	struct fsd_call call;
	bool can = false;
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, true, req->who))
		return;
	in = cursor_over(call.data, call.bytes);
	fs_change_get(&in, &change);
	err = cursor_done(&in) ? DVS_OK : DVS_BADARG;
	if (!err)
		err = can_write(&call, req->handle, req->ino, &can);
	if (!err && req->handle && (change.valid & CHANGE_SIZE) && !can)
		err = DVS_BADARG;
	if (!err && fsd_wait(&call, req->ino, 0, 0, 0))
		return;
	if (!err)
		err = fsd_change_begin(&call);
	if (!err)
		err = fs_setattr(fsd->fs, call.who, req->ino, &change, can, &attr);
	if (!err)
		fsd_put_attr(&call, &attr);
	fsd_change_end(&call, err, NULL, 0, call.attr, call.attr_bytes);
}

void fsd_access(void *state, struct skeleton_request *request, const struct fs_access_req *req)
{
	struct fsd_call call;
	dvs_err err;

	if (!fsd_begin(state, &call, request, false, req->who))
		return;
	err = fs_access(call.fsd->fs, call.who, req->ino, req->mask);
	fsd_answer(&call, err, NULL, 0, NULL, 0);
}

/* ---- extended attributes ---- */

/* A value, or only its length when the client has no room. */
static void answer_value(struct fsd_call *call, dvs_err err, const void *value, size_t len)
{
	uint8_t payload[4];
	struct writer out = writer_over(payload, sizeof(payload));
	size_t cap = call->request->reply_cap;

	if (!err && cap > 0 && cap < len)
		err = DVS_RANGE;
	writer_u32(&out, len);
	fsd_answer(call, err, payload, sizeof(payload), value, cap > 0 ? len : 0);
}

void fsd_getxattr(void *state, struct skeleton_request *request, const struct fs_getxattr_req *req)
{
	struct fsd_call call;
	struct fs_name name;
	const void *value = NULL;
	size_t len = 0;
	dvs_err err;

	if (!fsd_begin(state, &call, request, true, req->who))
		return;
	err = fsd_names(&call, 0, &name, NULL);
	if (!err)
		err = fs_getxattr(call.fsd->fs, call.who, req->ino, name, &value, &len);
	answer_value(&call, err, value, len);
}

void fsd_listxattr(void *state, struct skeleton_request *request,
		   const struct fs_listxattr_req *req)
{
	struct fsd_call call;
	const char *names = NULL;
	size_t len = 0;
	dvs_err err;

	if (!fsd_begin(state, &call, request, false, req->who))
		return;
	err = fs_listxattr(call.fsd->fs, call.who, req->ino, &names, &len);
	answer_value(&call, err, names, len);
}

void fsd_setxattr(void *state, struct skeleton_request *request, const struct fs_setxattr_req *req)
{
	struct fsd *fsd = state;
	struct fsd_call call;
	struct fs_name name = { .len = 0 };
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, true, req->who))
		return;
	/* A value may be empty. */
	err = req->name_bytes <= call.bytes ? DVS_OK : DVS_BADARG;
	name = (struct fs_name){ (const char *)call.data, req->name_bytes };
	if (!err && fsd_wait(&call, req->ino, 0, 0, 0))
		return;
	if (!err)
		err = fsd_change_begin(&call);
	if (!err)
		err = fs_setxattr(fsd->fs, call.who, req->ino, name, call.data + req->name_bytes,
				  call.bytes - req->name_bytes, req->flags);
	fsd_change_end(&call, err, NULL, 0, NULL, 0);
}

void fsd_removexattr(void *state, struct skeleton_request *request,
		     const struct fs_removexattr_req *req)
{
	struct fsd *fsd = state;
	struct fsd_call call;
	struct fs_name name = { .len = 0 };
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, true, req->who))
		return;
	err = fsd_names(&call, 0, &name, NULL);
	if (!err && fsd_wait(&call, req->ino, 0, 0, 0))
		return;
	if (!err)
		err = fsd_change_begin(&call);
	if (!err)
		err = fs_removexattr(fsd->fs, call.who, req->ino, name);
	fsd_change_end(&call, err, NULL, 0, NULL, 0);
}

void fsd_statfs(void *state, struct skeleton_request *request, const struct fs_statfs_req *req)
{
	struct fs_statfs_rep rep;
	struct fsd_call call;

	(void)req;
	if (!fsd_begin(state, &call, request, false, FSD_NOBODY))
		return;
	fs_statfs(call.fsd->fs, &rep);
	fs_statfs_answer(request, DVS_OK, &rep);
	fsd_end(&call);
}
