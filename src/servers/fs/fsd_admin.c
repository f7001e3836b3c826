/* SPDX-License-Identifier: Apache-2.0 */
/* Operations of managers, and the table of all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "servers/fs/fsd.h"

static uint32_t n_open(const struct fsd *fsd)
{
	uint32_t n = 0;

	LIST_FOREACH(link, &fsd->sessions)
		n += CONTAINER_OF(link, struct fsd_session, of_fsd)->n_handles;
	return n;
}

/* A manager needs no session: he only looks. */
static bool is_there(struct fsd *fsd, struct skeleton_request *request)
{
	fsd_take_over(fsd);
	if (fsd->fs)
		return true;
	skeleton_answer(request, DVS_IO, NULL, 0);
	return false;
}

void fsd_status(void *state, struct skeleton_request *request, const struct fs_status_req *req)
{
	struct fsd *fsd = state;
	struct fs_status_rep *rep = &fsd->rep.status;
	struct fsimage_figures figures;
	struct fs_statfs_rep space;
	const char *why;

	(void)req;
	if (!is_there(fsd, request))
		return;
	fsimage_look(fs_image(fsd->fs), &figures);
	fs_statfs(fsd->fs, &space);
	why = fsimage_why(fs_image(fsd->fs));
	*rep = (struct fs_status_rep){
		.bytes = figures.bytes,
		.free_bytes = figures.free_bytes,
		.meta_bytes = figures.meta_bytes,
		.files = space.files - space.files_free,
		.sessions = fsd->n_sessions,
		.open_files = n_open(fsd),
		.locks = fsd->n_locks,
		.leases = fsd->n_leases,
		.requests = fsd->figures.requests,
		.recalls = fsd->figures.recalls,
		.read_bytes = fsd->figures.read_bytes,
		.written_bytes = fsd->figures.written_bytes,
		.commits = figures.commits,
		.flushes = figures.flushes,
		.read_only = why != NULL,
	};
	(void)snprintf(rep->why, sizeof(rep->why), "%s", why ? why : "");
	(void)snprintf(rep->store, sizeof(rep->store), "%s", fs_record_stores[fsd->record.store]);
	fs_get_quota(fsd->fs, &rep->quota_bytes, &rep->quota_files);
	fs_status_answer(request, DVS_OK, rep);
}

void fsd_grow(void *state, struct skeleton_request *request, const struct fs_grow_req *req)
{
	struct fsd *fsd = state;
	struct fsimage_figures figures;
	struct fs_grow_rep rep = { .bytes = 0 };
	dvs_err err;

	(void)req;
	if (!is_there(fsd, request))
		return;
	err = medium_grown(fsimage_medium(fs_image(fsd->fs)));
	if (!err)
		err = fsimage_grow(fs_image(fsd->fs));
	fsimage_look(fs_image(fsd->fs), &figures);
	rep.bytes = figures.bytes;
	fs_grow_answer(request, err, &rep);
}

/* End the change set as ERR says. */
static dvs_err end(struct fsd *fsd, dvs_err err)
{
	if (!err)
		return fs_commit(fsd->fs);
	fs_rollback(fsd->fs);
	return err;
}

void fsd_quota(void *state, struct skeleton_request *request, const struct fs_quota_req *req)
{
	struct fsd *fsd = state;
	dvs_err err;

	if (!is_there(fsd, request))
		return;
	err = fs_begin(fsd->fs);
	if (!err)
		err = end(fsd, fs_set_quota(fsd->fs, req->bytes, req->files));
	fs_quota_answer(request, err, NULL);
}

static void found(void *context, const char *text)
{
	struct fs_check_rep *rep = context;

	if (rep->n_found == ARRAY_LEN(rep->found))
		rep->more_found++;
	else
		(void)snprintf(rep->found[rep->n_found++], sizeof(rep->found[0]), "%s", text);
}

void fsd_check(void *state, struct skeleton_request *request, const struct fs_check_req *req)
{
	struct fsd *fsd = state;
	struct fs_check_rep *rep = &fsd->rep.check;
	dvs_err err = DVS_OK;

	if (!is_there(fsd, request))
		return;
	memset(rep, 0, sizeof(*rep));
	if (req->repair)
		err = fs_begin(fsd->fs);
	if (!err) {
		err = fs_check(fsd->fs, req->repair, found, rep, &rep->repaired);
		if (req->repair)
			err = end(fsd, err);
	}
	fs_check_answer(request, err, rep);
}

void fsd_list_sessions(void *state, struct skeleton_request *request,
		       const struct fs_sessions_req *req)
{
	struct fsd *fsd = state;
	struct fs_sessions_rep *rep = &fsd->rep.sessions;

	rep->n_sessions = 0;
	LIST_FOREACH(link, &fsd->sessions) {
		const struct fsd_session *session = CONTAINER_OF(link, struct fsd_session, of_fsd);
		bool is_deaf = !list_is_empty(&session->told) && !session->listener;

		if (session->number < req->cursor || rep->n_sessions == ARRAY_LEN(rep->sessions))
			continue;
		rep->sessions[rep->n_sessions++] =
			(struct fs_session){ .session = session->number,
					     .node = session->node,
					     .endpoint = dvs_ep_number(session->first),
					     .state = session->is_expected ? 2 :
						      is_deaf		   ? 3 :
									     1,
					     .open_files = session->n_handles,
					     .leases = session->n_leases,
					     .locks = session->n_locks };
	}
	fs_sessions_answer(request, DVS_OK, rep);
}

const struct fs_handlers fsd_handlers = {
	.hello = fsd_hello,
	.join = fsd_join,
	.bye = fsd_bye,
	.resume = fsd_resume,
	.resumed = fsd_resumed,
	.who = fsd_whom,
	.reopen = fsd_reopen,
	.hold = fsd_hold,
	.recalls = fsd_recalls,
	.recalled = fsd_recalled,
	.lookup = fsd_lookup,
	.create = fsd_create,
	.symlink = fsd_symlink,
	.link = fsd_link,
	.unlink = fsd_unlink,
	.rename = fsd_rename,
	.readlink = fsd_readlink,
	.readdir = fsd_readdir,
	.getattr = fsd_getattr,
	.setattr = fsd_setattr,
	.access = fsd_access,
	.getxattr = fsd_getxattr,
	.setxattr = fsd_setxattr,
	.listxattr = fsd_listxattr,
	.removexattr = fsd_removexattr,
	.statfs = fsd_statfs,
	.open = fsd_open,
	.tmpfile = fsd_tmpfile,
	.release = fsd_release,
	.read = fsd_read,
	.write = fsd_write,
	.fsync = fsd_fsync,
	.allocate = fsd_allocate,
	.seek = fsd_seek,
	.copy = fsd_copy,
	.lock = fsd_lock,
	.test_lock = fsd_test_lock,
	.cancel = fsd_cancel,
	.status = fsd_status,
	.grow = fsd_grow,
	.quota = fsd_quota,
	.check = fsd_check,
	.sessions = fsd_list_sessions,
	.yield = fsd_yield,
};
