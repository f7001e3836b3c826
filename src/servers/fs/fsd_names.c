/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on names. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "servers/fs/fsd.h"

static void end_attr(struct fsd_call *call, dvs_err err, struct fs_attr *attr)
{
	if (!err)
		fsd_put_attr(call, attr);
	fsd_answer(call, err, NULL, 0, call->attr, call->attr_bytes);
}

/* The same of a change. A payload comes encoded. */
static void end_change_attr(struct fsd_call *call, dvs_err err, struct fs_attr *attr,
			    const void *payload, size_t len)
{
	if (!err)
		fsd_put_attr(call, attr);
	fsd_change_end(call, err, payload, len, call->attr, call->attr_bytes);
}

void fsd_lookup(void *state, struct skeleton_request *request, const struct fs_lookup_req *req)
{
	struct fs_attr attr = { .ino = 0 };
	struct fsd_call call;
	struct fs_name name;
	dvs_err err;

	if (!fsd_begin(state, &call, request, true, req->who))
		return;
	err = fsd_names(&call, 0, &name, NULL);
	if (!err)
		err = fs_lookup(call.fsd->fs, call.who, req->parent, name, &attr);
	end_attr(&call, err, &attr);
}

/* ---- making ---- */

/* The file that is there already is opened instead, as open(2) with O_CREAT does. */
static dvs_err open_it(struct fsd_call *call, const struct fs_create_req *req, struct fs_name name,
		       struct fs_attr *attr)
{
	struct fs *fs = call->fsd->fs;
	dvs_err err;

	if ((req->flags & O_EXCL) || req->handle == 0 || !S_ISREG(req->mode))
		return DVS_EXISTS;
	err = fs_lookup(fs, call->who, req->parent, name, attr);
	if (!err && S_ISDIR(attr->mode))
		err = DVS_ISDIR;
	if (!err && S_ISLNK(attr->mode))
		err = req->flags & O_NOFOLLOW ? DVS_LOOP : DVS_EXISTS;
	if (!err)
		err = fs_may_open(fs, call->who, attr->ino, req->flags, attr);
	if (!err && (req->flags & O_TRUNC) && S_ISREG(attr->mode))
		err = fsd_empty(call, attr->ino, attr);
	return err;
}

void fsd_create(void *state, struct skeleton_request *request, const struct fs_create_req *req)
{
	struct fsd *fsd = state;
	struct fs_attr attr = { .ino = 0 };
	uint8_t made = 1;
	bool is_open = false;
	uint64_t there = 0;
	struct fsd_call call;
	struct fs_name name;
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, true, req->who))
		return;
	err = fsd_names(&call, 0, &name, NULL);
	if (!err && req->handle && fsd_handle(call.session, req->handle))
		err = DVS_BADSTATE;
	if (err) {
		fsd_answer(&call, err, NULL, 0, NULL, 0);
		return;
	}
	if (fs_peek(fsd->fs, req->parent, name, &there) != DVS_OK)
		there = 0;
	/* Of one that is there only truncating it changes something. */
	if (there ? (req->flags & O_TRUNC) && fsd_wait(&call, there, 0, 0, 0) :
		    fsd_wait(&call, req->parent, 0, 0, 0))
		return;
	err = fsd_change_begin(&call);
	if (!err && there) {
		made = 0;
		err = open_it(&call, req, name, &attr);
	} else if (!err) {
		err = fs_make(fsd->fs, call.who, req->parent, name, req->mode, req->umask,
			      req->rdev, &attr);
	}
	if (!err && req->handle)
		err = fsd_handle_add(fsd, call.session, req->handle, attr.ino, req->flags,
				     req->who);
	if (!err) {
		fsd_put_attr(&call, &attr);
		is_open = req->handle != 0;
	}
	err = fsd_change_close(&call, err, &made, sizeof(made), call.attr, call.attr_bytes);
	if (err && is_open)
		fsd_handle_drop(fsd, call.session, fsd_handle(call.session, req->handle));
	fsd_answer(&call, err, &made, sizeof(made), call.attr, call.attr_bytes);
}

void fsd_symlink(void *state, struct skeleton_request *request, const struct fs_symlink_req *req)
{
	struct fsd *fsd = state;
	struct fs_attr attr = { .ino = 0 };
	struct fsd_call call;
	struct fs_name name = { .len = 0 };
	struct fs_name target = { .len = 0 };
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, true, req->who))
		return;
	err = fsd_names(&call, req->name_bytes, &name, &target);
	if (!err && fsd_wait(&call, req->parent, 0, 0, 0))
		return;
	if (!err)
		err = fsd_change_begin(&call);
	if (!err)
		err = fs_make_symlink(fsd->fs, call.who, req->parent, name, target, &attr);
	end_change_attr(&call, err, &attr, NULL, 0);
}

void fsd_link(void *state, struct skeleton_request *request, const struct fs_link_req *req)
{
	struct fsd *fsd = state;
	struct fs_attr attr = { .ino = 0 };
	struct fsd_call call;
	struct fs_name name = { .len = 0 };
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, true, req->who))
		return;
	err = fsd_names(&call, 0, &name, NULL);
	if (!err && fsd_wait(&call, req->parent, req->ino, 0, 0))
		return;
	if (!err)
		err = fsd_change_begin(&call);
	if (!err)
		err = fs_link(fsd->fs, call.who, req->ino, req->parent, name, &attr);
	end_change_attr(&call, err, &attr, NULL, 0);
}

/* ---- removing and renaming ---- */

static uint64_t peek(const struct fsd *fsd, uint64_t parent, struct fs_name name)
{
	uint64_t ino;

	return fs_peek(fsd->fs, parent, name, &ino) == DVS_OK ? ino : 0;
}

void fsd_unlink(void *state, struct skeleton_request *request, const struct fs_unlink_req *req)
{
	struct fsd *fsd = state;
	struct fs_concerned concerned = { .ino = 0 };
	uint8_t payload[12];
	struct writer out = writer_over(payload, sizeof(payload));
	struct fsd_call call;
	struct fs_name name = { .len = 0 };
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, true, req->who))
		return;
	err = fsd_names(&call, 0, &name, NULL);
	if (!err && fsd_wait(&call, req->parent, peek(fsd, req->parent, name), 0, 0))
		return;
	if (!err)
		err = fsd_change_begin(&call);
	if (!err)
		err = fs_unlink(fsd->fs, call.who, req->parent, name, (req->flags & 1) != 0,
				&concerned);
	writer_u64(&out, concerned.ino);
	writer_u32(&out, concerned.nlink);
	fsd_change_end(&call, err, payload, sizeof(payload), NULL, 0);
	if (concerned.ino)
		fsd_lease_gone(fsd, concerned.ino);
}

void fsd_rename(void *state, struct skeleton_request *request, const struct fs_rename_req *req)
{
	struct fsd *fsd = state;
	struct fs_concerned concerned = { .ino = 0 };
	uint8_t payload[16];
	struct writer out = writer_over(payload, sizeof(payload));
	struct fsd_call call;
	struct fs_name name = { .len = 0 };
	struct fs_name new_name = { .len = 0 };
	dvs_err err;

	if (!fsd_begin(fsd, &call, request, true, req->who))
		return;
	err = fsd_names(&call, req->name_bytes, &name, &new_name);
	if (!err && fsd_wait(&call, req->parent, req->new_parent, peek(fsd, req->parent, name),
			     peek(fsd, req->new_parent, new_name)))
		return;
	if (!err)
		err = fsd_change_begin(&call);
	if (!err)
		err = fs_rename(fsd->fs, call.who, req->parent, name, req->new_parent, new_name,
				req->flags, &concerned);
	writer_u64(&out, concerned.ino);
	writer_u64(&out, concerned.replaced);
	fsd_change_end(&call, err, payload, sizeof(payload), NULL, 0);
	if (concerned.replaced)
		fsd_lease_gone(fsd, concerned.replaced);
}

/* ---- reading ---- */

void fsd_readlink(void *state, struct skeleton_request *request, const struct fs_readlink_req *req)
{
	char target[FS_TARGET_MAX + 1];
	struct fsd_call call;
	size_t len = 0;
	dvs_err err;

	if (!fsd_begin(state, &call, request, false, FSD_NOBODY))
		return;
	err = fs_readlink(call.fsd->fs, req->ino, target, &len);
	fsd_answer(&call, err, NULL, 0, target, len);
}

/* Entries as they fit. */
struct listing {
	struct fsd_call *call;
	struct writer out;
	uint32_t count;
	bool is_full;
};

static bool list_one(void *context, const struct fs_name_entry *entry)
{
	struct listing *listing = context;
	struct writer before = listing->out;
	struct fs_dirent dirent = { .ino = entry->ino,
				    .cookie = entry->cookie,
				    .kind = entry->kind,
				    .n_name = (uint32_t)entry->name.len };

	memcpy(dirent.name, entry->name.text, entry->name.len);
	fs_dirent_put(&listing->out, &dirent);
	if (writer_ok(&listing->out)) {
		listing->count++;
		return true;
	}
	listing->out = before;
	listing->is_full = true;
	return false;
}

/* Read without attributes first: while the rows are read nothing else is asked of the database. */
static void add_attrs(struct listing *listing, size_t room)
{
	uint8_t *names = listing->call->fsd->names;
	uint8_t *listing_room = listing->call->fsd->listing;
	size_t bytes = writer_len(&listing->out);
	uint32_t count = listing->count;
	struct cursor in;

	memcpy(names, listing_room, bytes);
	in = cursor_over(names, bytes);
	listing->out = writer_over(listing_room, room);
	listing->count = 0;
	while (listing->count < count) {
		struct writer before = listing->out;
		struct fs_attr attr = { .ino = 0 };
		struct fs_dirent dirent;

		fs_dirent_get(&in, &dirent);
		fs_dirent_put(&listing->out, &dirent);
		if (fs_getattr(listing->call->fsd->fs, dirent.ino, &attr) != DVS_OK)
			attr = (struct fs_attr){ .ino = 0 };
		fs_attr_put(&listing->out, &attr);
		if (!writer_ok(&listing->out)) {
			listing->out = before;
			listing->is_full = true;
			return;
		}
		/* Only what is told counts: the lease is the last byte. */
		if (attr.ino)
			listing_room[writer_len(&listing->out) - 1] =
				fsd_lease(listing->call->fsd, listing->call->session, &attr);
		listing->count++;
	}
}

static dvs_err may_list(const struct fsd_call *call, const struct fs_readdir_req *req)
{
	const struct fsd_handle *handle;

	if (req->handle == 0)
		return fs_access(call->fsd->fs, call->who, req->ino, 4);
	handle = fsd_handle(call->session, req->handle);
	return handle && handle->ino == req->ino ? DVS_OK : DVS_NOHANDLE;
}

void fsd_readdir(void *state, struct skeleton_request *request, const struct fs_readdir_req *req)
{
	uint8_t payload[5];
	struct writer out = writer_over(payload, sizeof(payload));
	struct fsd_call call;
	struct listing listing = { .call = &call };
	uint8_t *listing_room = ((struct fsd *)state)->listing;
	bool end = false;
	size_t room;
	dvs_err err;

	if (!fsd_begin(state, &call, request, false, req->handle ? FSD_NOBODY : req->who))
		return;
	room = request->reply_cap < DVS_DATA_MAX ? request->reply_cap : DVS_DATA_MAX;
	listing.out = writer_over(listing_room, room);
	err = may_list(&call, req);
	if (!err)
		err = fs_readdir(call.fsd->fs, req->ino, req->cookie, list_one, &listing, &end);
	if (!err && (req->flags & 1))
		add_attrs(&listing, room);
	if (!err && listing.is_full && listing.count == 0)
		err = DVS_TOOBIG;
	writer_u32(&out, listing.count);
	writer_u8(&out, end && !listing.is_full);
	fsd_answer(&call, err, payload, sizeof(payload), listing_room, writer_len(&listing.out));
}
