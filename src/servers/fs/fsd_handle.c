/* SPDX-License-Identifier: Apache-2.0 */
/* What sessions have open. */
#include <stdlib.h>

#include "servers/fs/fsd.h"

struct fsd_handle *fsd_handle(const struct fsd_session *session, uint32_t number)
{
	LIST_FOREACH(link, &session->handles[number % ARRAY_LEN(session->handles)]) {
		struct fsd_handle *handle = CONTAINER_OF(link, struct fsd_handle, of_session);

		if (handle->number == number)
			return handle;
	}
	return NULL;
}

dvs_err fsd_handle_add(struct fsd *fsd, struct fsd_session *session, uint32_t number, uint64_t ino,
		       uint32_t flags, uint32_t who)
{
	struct fsd_handle *handle;
	dvs_err err;

	if (number == 0 || fsd_handle(session, number))
		return DVS_BADSTATE;
	if (session->n_handles >= FSD_HANDLES_MAX)
		return DVS_FULL;
	handle = calloc(1, sizeof(*handle));
	if (!handle)
		return DVS_NOMEM;
	err = fs_pin(fsd->fs, ino);
	if (err) {
		free(handle);
		return err;
	}
	handle->number = number;
	handle->flags = flags;
	handle->who = who;
	handle->ino = ino;
	list_add_tail(&session->handles[number % ARRAY_LEN(session->handles)], &handle->of_session);
	session->n_handles++;
	return DVS_OK;
}

/* The last one of a file without names removes it: a change set of its own. */
static void unpin(struct fsd *fsd, uint64_t ino)
{
	dvs_err err = DVS_OK;
	bool is_change = fs_is_last_pin(fsd->fs, ino);

	if (is_change)
		err = fs_begin(fsd->fs);
	if (!err)
		err = fs_unpin(fsd->fs, ino);
	if (is_change && !err)
		err = fs_commit(fsd->fs);
	else if (is_change)
		fs_rollback(fsd->fs);
	if (is_change && !err)
		fsd_lease_gone(fsd, ino);
	if (err && err != DVS_STALE)
		log_warning(&fsd->log, "a file without a name stays until the next start",
			    LOG_U64("ino", ino), LOG_STR("why", dvs_strerror(err)));
}

void fsd_handle_drop(struct fsd *fsd, struct fsd_session *session, struct fsd_handle *handle)
{
	fsd_locks_end(fsd, session, handle);
	list_remove(&handle->of_session);
	session->n_handles--;
	unpin(fsd, handle->ino);
	free(handle);
}
