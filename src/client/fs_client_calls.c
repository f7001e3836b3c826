/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of names and attributes. */
#include <stdlib.h>
#include <string.h>

#include "client/fs_client_internal.h"

#define ENCODE(request, op_name, ...)                                                       \
	do {                                                                                \
		struct writer out_ = writer_over((request)->body, sizeof((request)->body)); \
		fs_##op_name##_req_encode(&out_, &(struct fs_##op_name##_req)__VA_ARGS__);  \
	} while (0)

/* Ask for attributes. */
static dvs_err ask_attr(struct fsc_thread *me, struct fsc_request *request, struct fs_attr *attr)
{
	uint8_t room[FS_ATTR_BYTES_MAX];
	struct cursor in;
	dvs_err err;

	request->in = room;
	request->in_cap = sizeof(room);
	err = fsc_ask(me, request);
	if (err)
		return err;
	in = cursor_over(room, request->in_len);
	fs_attr_get(&in, attr);
	return cursor_done(&in) ? DVS_OK : DVS_PROTO;
}

static struct cursor reply_of(const struct fsc_request *request)
{
	return cursor_over(request->reply, sizeof(request->reply));
}

/* Two texts behind each other; false: they are too long for any file system. */
static bool join_names(uint8_t room[FSC_NAMES_ROOM], struct fsc_name first, struct fsc_name second,
		       struct fsc_request *request)
{
	if (first.len + second.len > FSC_NAMES_ROOM)
		return false;
	memcpy(room, first.text, first.len);
	memcpy(room + first.len, second.text, second.len);
	request->out = room;
	request->out_len = first.len + second.len;
	return true;
}

static bool is_name(struct fsc_name name)
{
	return name.len >= 1 && name.len <= FSC_NAME_MAX;
}

/* ---- names ---- */

dvs_err fsc_lookup(struct fsc_thread *me, const struct fsc_who *who, uint64_t parent,
		   struct fsc_name name, struct fs_attr *attr)
{
	struct fsc_request request = { .op = FS_LOOKUP, .out = name.text, .out_len = name.len };

	if (!is_name(name))
		return name.len ? DVS_NAMELONG : DVS_NOTFOUND;
	ENCODE(&request, lookup, { .parent = parent, .who = who->number });
	return ask_attr(me, &request, attr);
}

dvs_err fsc_symlink(struct fsc_thread *me, const struct fsc_who *who, uint64_t parent,
		    struct fsc_name name, struct fsc_name target, struct fs_attr *attr)
{
	struct fsc_request request = { .op = FS_SYMLINK };
	uint8_t names[FSC_NAMES_ROOM];

	if (!is_name(name) || target.len > FSC_TARGET_MAX ||
	    !join_names(names, name, target, &request))
		return DVS_NAMELONG;
	ENCODE(&request, symlink,
	       { .parent = parent, .who = who->number, .name_bytes = (uint32_t)name.len });
	return ask_attr(me, &request, attr);
}

dvs_err fsc_link(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino, uint64_t parent,
		 struct fsc_name name, struct fs_attr *attr)
{
	struct fsc_request request = { .op = FS_LINK, .out = name.text, .out_len = name.len };

	if (!is_name(name))
		return DVS_NAMELONG;
	ENCODE(&request, link, { .ino = ino, .parent = parent, .who = who->number });
	return ask_attr(me, &request, attr);
}

dvs_err fsc_unlink(struct fsc_thread *me, const struct fsc_who *who, uint64_t parent,
		   struct fsc_name name, bool is_dir, struct fs_unlink_rep *rep)
{
	struct fsc_request request = { .op = FS_UNLINK, .out = name.text, .out_len = name.len };
	struct cursor in;
	dvs_err err;

	if (!is_name(name))
		return DVS_NAMELONG;
	ENCODE(&request, unlink, { .parent = parent, .who = who->number, .flags = is_dir });
	err = fsc_ask(me, &request);
	*rep = (struct fs_unlink_rep){ .ino = 0 };
	/* Its first server may have done it before it died. */
	if (err == DVS_NOTFOUND && request.is_in_doubt)
		return DVS_OK;
	in = reply_of(&request);
	return err ? err : fs_unlink_rep_decode_padded(&in, rep);
}

dvs_err fsc_rename(struct fsc_thread *me, const struct fsc_who *who, uint64_t parent,
		   struct fsc_name name, uint64_t new_parent, struct fsc_name new_name,
		   uint32_t flags, struct fs_rename_rep *rep)
{
	struct fsc_request request = { .op = FS_RENAME };
	uint8_t names[FSC_NAMES_ROOM];
	struct cursor in;
	dvs_err err;

	if (!is_name(name) || !is_name(new_name) || !join_names(names, name, new_name, &request))
		return DVS_NAMELONG;
	/* Exchanged twice is not exchanged. */
	request.never_twice = flags != 0;
	ENCODE(&request, rename,
	       { .parent = parent,
		 .new_parent = new_parent,
		 .who = who->number,
		 .flags = flags,
		 .name_bytes = (uint32_t)name.len });
	err = fsc_ask(me, &request);
	*rep = (struct fs_rename_rep){ .ino = 0 };
	if (err == DVS_NOTFOUND && request.is_in_doubt)
		return DVS_OK;
	in = reply_of(&request);
	return err ? err : fs_rename_rep_decode_padded(&in, rep);
}

dvs_err fsc_readlink(struct fsc_thread *me, uint64_t ino, char target[FSC_TARGET_MAX + 1],
		     size_t *len)
{
	struct fsc_request request = { .op = FS_READLINK, .in = target, .in_cap = FSC_TARGET_MAX };
	dvs_err err;

	ENCODE(&request, readlink, { .ino = ino });
	err = fsc_ask(me, &request);
	*len = err ? 0 : request.in_len;
	target[*len] = '\0';
	return err;
}

dvs_err fsc_readdir(struct fsc_thread *me, const struct fsc_who *who, uint32_t handle, uint64_t ino,
		    uint64_t cookie, bool with_attr, void *room, size_t room_bytes,
		    struct fsc_entries *entries)
{
	struct fsc_request request = { .op = FS_READDIR, .in = room, .in_cap = room_bytes };
	struct fs_readdir_rep rep;
	struct cursor in;
	dvs_err err;

	ENCODE(&request, readdir,
	       { .ino = ino,
		 .cookie = cookie,
		 .handle = handle,
		 .who = who ? who->number : 0,
		 .flags = with_attr });
	err = fsc_ask(me, &request);
	in = reply_of(&request);
	if (!err)
		err = fs_readdir_rep_decode_padded(&in, &rep);
	if (err)
		return err;
	*entries = (struct fsc_entries){ .at = room,
					 .end = (const uint8_t *)room + request.in_len,
					 .left = rep.count,
					 .with_attr = with_attr,
					 .is_end = rep.end || rep.count == 0 };
	return DVS_OK;
}

bool fsc_entry_next(struct fsc_entries *entries, struct fs_dirent *entry, struct fs_attr *attr)
{
	struct cursor in = cursor_over(entries->at, (size_t)(entries->end - entries->at));
	struct fs_attr unwanted;

	if (!entries->left)
		return false;
	fs_dirent_get(&in, entry);
	if (entries->with_attr)
		fs_attr_get(&in, attr ? attr : &unwanted);
	if (in.failed) {
		entries->left = 0;
		return false;
	}
	entries->left--;
	entries->at = in.at;
	return true;
}

/* ---- attributes ---- */

dvs_err fsc_getattr(struct fsc_thread *me, uint64_t ino, struct fs_attr *attr)
{
	struct fsc_request request = { .op = FS_GETATTR };

	ENCODE(&request, getattr, { .ino = ino });
	return ask_attr(me, &request, attr);
}

dvs_err fsc_setattr(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino, uint32_t handle,
		    const struct fs_change *change, struct fs_attr *attr)
{
	uint8_t room[FS_CHANGE_BYTES_MAX];
	struct writer out = writer_over(room, sizeof(room));
	struct fsc_request request = { .op = FS_SETATTR, .out = room };

	fs_change_put(&out, change);
	request.out_len = writer_len(&out);
	ENCODE(&request, setattr, { .ino = ino, .who = who->number, .handle = handle });
	return ask_attr(me, &request, attr);
}

dvs_err fsc_access(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino, uint32_t mask)
{
	struct fsc_request request = { .op = FS_ACCESS };

	ENCODE(&request, access, { .ino = ino, .who = who->number, .mask = mask & 7u });
	return fsc_ask(me, &request);
}

/* What a length comes back of. */
static dvs_err ask_value(struct fsc_thread *me, struct fsc_request *request, void *room,
			 size_t room_bytes, size_t *len)
{
	struct cursor in;
	dvs_err err;

	request->in = room_bytes ? room : NULL;
	request->in_cap = room_bytes < DVS_DATA_MAX ? room_bytes : DVS_DATA_MAX;
	err = fsc_ask(me, request);
	in = reply_of(request);
	*len = err ? 0 : cursor_u32(&in);
	return !err && room_bytes && *len != request->in_len ? DVS_PROTO : err;
}

dvs_err fsc_getxattr(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino,
		     struct fsc_name name, void *room, size_t room_bytes, size_t *len)
{
	struct fsc_request request = { .op = FS_GETXATTR, .out = name.text, .out_len = name.len };

	if (!is_name(name))
		return DVS_RANGE;
	ENCODE(&request, getxattr, { .ino = ino, .who = who->number });
	return ask_value(me, &request, room, room_bytes, len);
}

dvs_err fsc_setxattr(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino,
		     struct fsc_name name, const void *value, size_t len, uint32_t flags)
{
	struct fsc_request request = { .op = FS_SETXATTR };
	uint8_t *room;
	dvs_err err;

	if (!is_name(name))
		return DVS_RANGE;
	if (len > FSC_XATTR_MAX)
		return DVS_TOOBIG;
	room = malloc(name.len + len);
	if (!room)
		return DVS_NOMEM;
	memcpy(room, name.text, name.len);
	if (len > 0)
		memcpy(room + name.len, value, len);
	request.out = room;
	request.out_len = name.len + len;
	ENCODE(&request, setxattr,
	       { .ino = ino,
		 .who = who->number,
		 .flags = flags & 3u,
		 .name_bytes = (uint32_t)name.len });
	err = fsc_ask(me, &request);
	free(room);
	return err;
}

dvs_err fsc_listxattr(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino, void *room,
		      size_t room_bytes, size_t *len)
{
	struct fsc_request request = { .op = FS_LISTXATTR };

	ENCODE(&request, listxattr, { .ino = ino, .who = who->number });
	return ask_value(me, &request, room, room_bytes, len);
}

dvs_err fsc_removexattr(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino,
			struct fsc_name name)
{
	struct fsc_request request = { .op = FS_REMOVEXATTR,
				       .out = name.text,
				       .out_len = name.len };

	if (!is_name(name))
		return DVS_RANGE;
	ENCODE(&request, removexattr, { .ino = ino, .who = who->number });
	return fsc_ask(me, &request);
}

dvs_err fsc_statfs(struct fsc_thread *me, struct fs_statfs_rep *rep)
{
	struct fsc_request request = { .op = FS_STATFS };
	dvs_err err = fsc_ask(me, &request);
	struct cursor in = reply_of(&request);

	return err ? err : fs_statfs_rep_decode_padded(&in, rep);
}
