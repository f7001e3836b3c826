/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of requests have in common: the session, the identity, waiting for leases, change sets, answers that are remembered. */
#include <stdlib.h>
#include <string.h>

#include "servers/fs/fsd.h"

static bool refuse(struct fsd_call *call, dvs_err err)
{
	if (!fsd_defer(call->fsd, call->request, err))
		skeleton_answer(call->request, err, NULL, 0);
	return false;
}

bool fsd_begin(struct fsd *fsd, struct fsd_call *call, struct skeleton_request *request, bool copy,
	       uint64_t who)
{
	*call = (struct fsd_call){ .fsd = fsd, .request = request };
	fsd_take_over(fsd);
	if (!fsd->fs)
		return refuse(call, DVS_IO);
	fsd->figures.requests++;
	call->session = fsd_session_of(fsd, request->source);
	/* A change that the former server has carried out is answered whoever is known here. */
	if (request->resent && fsd_was_done(call))
		return false;
	if (!call->session || call->session->is_resuming || call->session->is_expected)
		return refuse(call, DVS_RESUME);
	if (who == 0)
		return refuse(call, DVS_BADARG);
	call->who = who == FSD_NOBODY ? NULL : fsd_who(call->session, (uint32_t)who);
	if (who != FSD_NOBODY && !call->who)
		return refuse(call, DVS_RESUME);
	if (!copy || request->data_bytes == 0)
		return true;
	call->bytes = request->data_bytes;
	call->data = malloc(call->bytes);
	if (!call->data)
		return refuse(call, DVS_NOMEM);
	memcpy(call->data, request->data, call->bytes);
	return true;
}

void fsd_end(struct fsd_call *call)
{
	free(call->data);
	call->data = NULL;
}

void fsd_answer(struct fsd_call *call, dvs_err err, const void *payload, size_t len,
		const void *data, size_t bytes)
{
	if (err && !fsd_defer(call->fsd, call->request, err))
		skeleton_answer(call->request, err, NULL, 0);
	else if (!err)
		skeleton_answer_data(call->request, DVS_OK, payload, len, data, bytes);
	fsd_end(call);
}

bool fsd_wait(struct fsd_call *call, uint64_t one, uint64_t two, uint64_t three, uint64_t four)
{
	const uint64_t inos[FSD_PARK_MAX] = { one, two, three, four };

	if (!fsd_park(call->fsd, call->session, call->request, inos))
		return false;
	fsd_end(call);
	return true;
}

/* ---- answers that are remembered: length of the payload, the payload, the data ---- */

bool fsd_was_done(struct fsd_call *call)
{
	uint8_t kept[FS_ANSWER_MAX];
	size_t bytes = 0;
	const struct skeleton_request *request = call->request;

	if (fs_answer_find(call->fsd->fs, request->source.n, request->call, kept, &bytes) !=
		    DVS_OK ||
	    bytes < 1 || bytes < 1u + kept[0])
		return false;
	fsd_answer(call, DVS_OK, kept + 1, kept[0], kept + 1 + kept[0], bytes - 1 - kept[0]);
	return true;
}

static dvs_err remember(const struct fsd_call *call, const void *payload, size_t len,
			const void *data, size_t bytes)
{
	uint8_t kept[FS_ANSWER_MAX];

	if (1 + len + bytes > sizeof(kept))
		return DVS_TOOBIG;
	kept[0] = (uint8_t)len;
	if (len)
		memcpy(kept + 1, payload, len);
	if (bytes)
		memcpy(kept + 1 + len, data, bytes);
	return fs_answer_keep(call->fsd->fs, call->request->source.n, call->request->call, kept,
			      1 + len + bytes);
}

dvs_err fsd_change_begin(struct fsd_call *call)
{
	dvs_err err = fs_begin(call->fsd->fs);

	call->is_changing = err == DVS_OK;
	return err;
}

dvs_err fsd_change_again(struct fsd_call *call)
{
	dvs_err err;

	fs_rollback(call->fsd->fs);
	call->is_changing = false;
	err = fsimage_sync(fs_image(call->fsd->fs));
	return err ? err : fsd_change_begin(call);
}

dvs_err fsd_change_close(struct fsd_call *call, dvs_err err, const void *payload, size_t len,
			 const void *data, size_t bytes)
{
	if (!call->is_changing)
		return err ? err : DVS_IO;
	call->is_changing = false;
	if (!err)
		err = remember(call, payload, len, data, bytes);
	if (!err)
		return fs_commit(call->fsd->fs);
	fs_rollback(call->fsd->fs);
	return err;
}

void fsd_change_end(struct fsd_call *call, dvs_err err, const void *payload, size_t len,
		    const void *data, size_t bytes)
{
	err = fsd_change_close(call, err, payload, len, data, bytes);
	fsd_answer(call, err, payload, len, data, bytes);
}

/* ---- what requests and answers have ---- */

dvs_err fsd_names(const struct fsd_call *call, size_t first, struct fs_name *one,
		  struct fs_name *two)
{
	if (first > call->bytes || (two && first == call->bytes))
		return DVS_BADARG;
	*one = (struct fs_name){ (const char *)call->data, two ? first : call->bytes };
	if (two)
		*two = (struct fs_name){ (const char *)call->data + first, call->bytes - first };
	return DVS_OK;
}

void fsd_put_attr(struct fsd_call *call, struct fs_attr *attr)
{
	struct writer out = writer_over(call->attr, sizeof(call->attr));

	attr->lease = attr->ino ? fsd_lease(call->fsd, call->session, attr) : 0;
	fs_attr_put(&out, attr);
	call->attr_bytes = writer_len(&out);
}
