/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of fs-stand-in on names, attributes and open files. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "fs_stand_in.h"

/* ---- names ---- */

static void on_lookup(void *state, struct skeleton_request *request,
		      const struct fs_lookup_req *req)
{
	struct server *server = state;
	struct file *dir = file_of(server, req->parent);
	struct name *name;

	if (!begin(server, request))
		return;
	if (!dir || !S_ISDIR(dir->attr.mode)) {
		refuse(request, dir ? DVS_NOTDIR : DVS_STALE);
		return;
	}
	name = *find(dir, (const char *)request->data, request->data_bytes);
	if (name)
		answer_attr(server, request, server->files[name->ino]);
	else
		refuse(request, DVS_NOTFOUND);
}

static void on_create(void *state, struct skeleton_request *request,
		      const struct fs_create_req *req)
{
	struct server *server = state;
	struct file *dir = file_of(server, req->parent);
	struct session *session = begin(server, request);
	uint8_t room[FS_ATTR_BYTES_MAX];
	struct writer out = writer_over(room, sizeof(room));
	struct fs_create_rep rep = { .made = 0 };
	struct name *name;
	struct file *file;

	if (!session)
		return;
	if (!dir || request->data_bytes > 255) {
		refuse(request, dir ? DVS_NAMELONG : DVS_STALE);
		return;
	}
	name = *find(dir, (const char *)request->data, request->data_bytes);
	if (name && ((req->flags & O_EXCL) || !req->handle)) {
		refuse(request, DVS_EXISTS);
		return;
	}
	if (!name && waits(server, request, req->parent))
		return;
	if (name && (req->flags & O_TRUNC) && waits(server, request, name->ino))
		return;
	file = name ? server->files[name->ino] :
		      make_file(server, req->mode & ~req->umask, req->parent);
	if (!file) {
		refuse(request, DVS_NOSPACE);
		return;
	}
	if (!name) {
		add_name(dir, (const char *)request->data, request->data_bytes, file->attr.ino);
		rep.made = 1;
	} else if (req->flags & O_TRUNC) {
		resize(file, 0);
	}
	if (req->handle)
		session->handles[req->handle % HANDLES] = file->attr.ino;
	(void)put_attr(server, request, file, &out);
	fs_create_answer_data(request, DVS_OK, &rep, room, writer_len(&out));
}

static void on_unlink(void *state, struct skeleton_request *request,
		      const struct fs_unlink_req *req)
{
	struct server *server = state;
	struct file *dir = file_of(server, req->parent);
	struct fs_unlink_rep rep = { .ino = 0 };
	struct name **at;
	struct file *file;

	if (!begin(server, request))
		return;
	at = dir ? find(dir, (const char *)request->data, request->data_bytes) : NULL;
	if (!at || !*at) {
		refuse(request, DVS_NOTFOUND);
		return;
	}
	file = server->files[(*at)->ino];
	if ((req->flags & 1) && file->names) {
		refuse(request, DVS_NOTEMPTY);
		return;
	}
	if (waits(server, request, req->parent) || waits(server, request, file->attr.ino))
		return;
	remove_name(dir, at);
	file->attr.nlink = 0;
	touch(file);
	rep.ino = file->attr.ino;
	fs_unlink_answer(request, DVS_OK, &rep);
}

static void on_rename(void *state, struct skeleton_request *request,
		      const struct fs_rename_req *req)
{
	struct server *server = state;
	struct file *dir = file_of(server, req->parent);
	struct file *new_dir = file_of(server, req->new_parent);
	const char *text = (const char *)request->data;
	struct fs_rename_rep rep = { .ino = 0 };
	struct name **at;
	struct name **there;

	if (!begin(server, request))
		return;
	at = dir && new_dir && req->name_bytes < request->data_bytes ?
		     find(dir, text, req->name_bytes) :
		     NULL;
	if (!at || !*at) {
		refuse(request, DVS_NOTFOUND);
		return;
	}
	if (waits(server, request, req->parent) || waits(server, request, req->new_parent))
		return;
	there = find(new_dir, text + req->name_bytes, request->data_bytes - req->name_bytes);
	rep.ino = (*at)->ino;
	if (*there) {
		rep.replaced = (*there)->ino;
		remove_name(new_dir, there);
		at = find(dir, text, req->name_bytes);
	}
	add_name(new_dir, text + req->name_bytes, request->data_bytes - req->name_bytes, rep.ino);
	remove_name(dir, at);
	fs_rename_answer(request, DVS_OK, &rep);
}

static void on_readdir(void *state, struct skeleton_request *request,
		       const struct fs_readdir_req *req)
{
	struct server *server = state;
	struct file *dir = file_of(server, req->ino);
	struct fs_readdir_rep rep = { .end = 1 };
	struct writer out = writer_over(server->room, request->reply_cap < DVS_DATA_MAX ?
							      request->reply_cap :
							      DVS_DATA_MAX);

	if (!begin(server, request))
		return;
	for (struct name *name = dir ? dir->names : NULL; name; name = name->next) {
		struct fs_dirent entry = { .ino = name->ino,
					   .cookie = name->cookie,
					   .kind = (uint8_t)(server->files[name->ino]->attr.mode >>
							     12),
					   .n_name = (uint32_t)name->len };
		struct writer before = out;

		if (name->cookie <= req->cookie)
			continue;
		memcpy(entry.name, name->text, name->len);
		fs_dirent_put(&out, &entry);
		if (req->flags & 1)
			(void)put_attr(server, request, server->files[name->ino], &out);
		if (!writer_ok(&out)) {
			out = before;
			rep.end = 0;
			break;
		}
		rep.count++;
	}
	fs_readdir_answer_data(request, DVS_OK, &rep, server->room, writer_len(&out));
}

/* ---- attributes ---- */

static void on_getattr(void *state, struct skeleton_request *request,
		       const struct fs_getattr_req *req)
{
	struct server *server = state;
	struct file *file = file_of(server, req->ino);

	if (!begin(server, request))
		return;
	if (file)
		answer_attr(server, request, file);
	else
		refuse(request, DVS_STALE);
}

static void on_setattr(void *state, struct skeleton_request *request,
		       const struct fs_setattr_req *req)
{
	struct server *server = state;
	struct file *file = file_of(server, req->ino);
	struct cursor in = cursor_over(request->data, request->data_bytes);
	struct fs_change change;

	if (!begin(server, request))
		return;
	if (!file) {
		refuse(request, DVS_STALE);
		return;
	}
	fs_change_get(&in, &change);
	if (waits(server, request, req->ino))
		return;
	if (change.valid & 1)
		file->attr.mode = (file->attr.mode & S_IFMT) | change.mode;
	if (change.valid & 2)
		file->attr.uid = change.uid;
	if (change.valid & 4)
		file->attr.gid = change.gid;
	if (change.valid & 8)
		resize(file, change.size);
	touch(file);
	answer_attr(server, request, file);
}

static void on_getxattr(void *state, struct skeleton_request *request,
			const struct fs_getxattr_req *req)
{
	(void)req;
	if (begin(state, request))
		refuse(request, DVS_NOATTR);
}

static uint32_t n_open(const struct server *server)
{
	uint32_t n = 0;

	for (size_t i = 0; i < SESSIONS; i++)
		for (size_t k = 0; k < HANDLES; k++)
			n += server->sessions[i].handles[k] != 0;
	return n;
}

/* As numbers of files: what is open, and how many requests `release` there were. */
static void on_statfs(void *state, struct skeleton_request *request,
		      const struct fs_statfs_req *req)
{
	const struct server *server = state;

	(void)req;
	if (begin(state, request))
		fs_statfs_answer(request, DVS_OK,
				 &(struct fs_statfs_rep){ .block_bytes = 4096,
							  .blocks = 1000,
							  .free = 500,
							  .files = n_open(server),
							  .files_free = server->n_releases });
}

/* ---- open files ---- */

static void on_open(void *state, struct skeleton_request *request, const struct fs_open_req *req)
{
	struct server *server = state;
	struct session *session = begin(server, request);
	struct file *file = file_of(server, req->ino);

	if (!session)
		return;
	if (!file) {
		refuse(request, DVS_STALE);
		return;
	}
	if ((req->flags & O_TRUNC) && waits(server, request, req->ino))
		return;
	if (req->flags & O_TRUNC)
		resize(file, 0);
	session->handles[req->handle % HANDLES] = req->ino;
	answer_attr(server, request, file);
}

static struct file *opened(struct server *server, struct skeleton_request *request, uint32_t handle)
{
	struct session *session = begin(server, request);
	struct file *file = NULL;

	if (!session)
		return NULL;
	file = file_of(server, session->handles[handle % HANDLES]);
	if (!file)
		refuse(request, DVS_NOHANDLE);
	return file;
}

static void on_release(void *state, struct skeleton_request *request,
		       const struct fs_release_req *req)
{
	struct server *server = state;
	struct session *session = begin(server, request);

	struct cursor others = cursor_over(request->data, request->data_bytes);

	if (!session)
		return;
	server->n_releases++;
	session->handles[req->handle % HANDLES] = 0;
	while (cursor_left(&others) >= sizeof(uint32_t))
		session->handles[cursor_u32(&others) % HANDLES] = 0;
	refuse(request, DVS_OK);
}

static void on_read(void *state, struct skeleton_request *request, const struct fs_read_req *req)
{
	struct server *server = state;
	struct file *file = opened(server, request, req->handle);
	size_t n = 0;

	if (!file)
		return;
	if (req->offset < file->attr.size)
		n = file->attr.size - req->offset < req->bytes ? file->attr.size - req->offset :
								 req->bytes;
	fs_read_answer_data(request, DVS_OK, &(struct fs_read_rep){ .lease = 0 },
			    n ? file->data + req->offset : NULL, n);
}

static void on_write(void *state, struct skeleton_request *request, const struct fs_write_req *req)
{
	struct server *server = state;
	struct file *file = opened(server, request, req->handle);
	uint64_t at;

	if (!file || waits(server, request, file->attr.ino))
		return;
	at = req->flags & 1 ? file->attr.size : req->offset;
	if (at + request->data_bytes > file->attr.size)
		resize(file, at + request->data_bytes);
	memcpy(file->data + at, request->data, request->data_bytes);
	touch(file);
	fs_write_answer(request, DVS_OK,
			&(struct fs_write_rep){ .bytes = (uint32_t)request->data_bytes,
						.offset = at,
						.size = file->attr.size,
						.version = file->attr.version });
}

static void on_fsync(void *state, struct skeleton_request *request, const struct fs_fsync_req *req)
{
	(void)req;
	if (begin(state, request))
		refuse(request, DVS_OK);
}

/* One exclusive lock for each file is enough here. */
static void on_lock(void *state, struct skeleton_request *request, const struct fs_lock_req *req)
{
	struct server *server = state;
	struct file *file = opened(server, request, req->handle);
	uint32_t own = session_of(server, request->source) + 1;

	if (!file)
		return;
	if (req->type == 2) {
		if (file->locked_by == own && file->owner == req->owner)
			file->locked_by = 0;
		refuse(request, DVS_OK);
		replay(server);
	} else if (!file->locked_by || (file->locked_by == own && file->owner == req->owner)) {
		file->locked_by = own;
		file->owner = req->owner;
		refuse(request, DVS_OK);
	} else if (req->flags & 1) {
		list_add_tail(&server->parked, &request->kept);
	} else {
		refuse(request, DVS_LOCKED);
	}
}

static void on_cancel(void *state, struct skeleton_request *request,
		      const struct fs_cancel_req *req)
{
	struct server *server = state;

	LIST_FOREACH_SAFE(link, &server->parked) {
		struct skeleton_request *waiting =
			CONTAINER_OF(link, struct skeleton_request, kept);
		struct cursor in = cursor_over(waiting->payload, sizeof(waiting->payload));
		struct fs_lock_req lock;

		if (waiting->op != FS_LOCK || fs_lock_req_decode_padded(&in, &lock) ||
		    lock.owner != req->owner)
			continue;
		list_remove(&waiting->kept);
		refuse(waiting, DVS_WOKEN);
	}
	refuse(request, DVS_OK);
}

const struct fs_handlers handlers = {
	.hello = on_hello,
	.join = on_join,
	.bye = on_bye,
	.resume = on_resume,
	.who = on_who,
	.recalls = on_recalls,
	.lookup = on_lookup,
	.create = on_create,
	.unlink = on_unlink,
	.rename = on_rename,
	.readdir = on_readdir,
	.getattr = on_getattr,
	.setattr = on_setattr,
	.getxattr = on_getxattr,
	.statfs = on_statfs,
	.open = on_open,
	.release = on_release,
	.read = on_read,
	.write = on_write,
	.fsync = on_fsync,
	.lock = on_lock,
	.cancel = on_cancel,
};
