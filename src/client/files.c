/* SPDX-License-Identifier: Apache-2.0 */
/* <dvs/fs.h>: sessions, threads, and what is done to names and open files. Directories: files_dir.c. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/files_internal.h"
#include "client/fs_record.h"

#define OPEN_MS 30000u
#define FLAGS_KNOWN \
	(O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_LARGEFILE)
#define CHANGE_SIZE 8u
#define CHANGE_DROP 512u

struct dvs_file {
	uint32_t handle;
	int flags;
	uint64_t ino;
};

/* ---- the session ---- */

dvs_err dvs_fs_open(const char *run_dir, const char *dc, const char *name, uint32_t patience_ms,
		    struct dvs_fs **fs)
{
	const struct fsc_config config = { .open_ms = OPEN_MS, .patience_ms = patience_ms };
	char why[FSC_WHY_MAX + 1];
	dvs_err err;

	if (!dc || !name || !fs)
		return DVS_BADARG;
	*fs = calloc(1, sizeof(**fs));
	if (!*fs)
		return DVS_NOMEM;
	err = fsc_open(run_dir, dc, name, &config, &(*fs)->fsc, why);
	if (err) {
		free(*fs);
		*fs = NULL;
	}
	return err;
}

dvs_err dvs_fs_open_on(struct dvk *dvk, dvs_ep server, uint32_t patience_ms, struct dvs_fs **fs)
{
	const struct fsc_config config = { .open_ms = OPEN_MS, .patience_ms = patience_ms };
	dvs_err err;

	if (!dvk || !fs)
		return DVS_BADARG;
	*fs = calloc(1, sizeof(**fs));
	if (!*fs)
		return DVS_NOMEM;
	err = dvk_wait_bind(dvk, server, OPEN_MS, NULL);
	if (!err)
		err = fsc_open_on(dvk, server, &config, &(*fs)->fsc);
	if (err) {
		free(*fs);
		*fs = NULL;
	}
	return err == DVS_TIMEOUT ? DVS_NODEST : err;
}

dvs_err dvs_fs_open_in(struct dvk *dvk, const char *name, uint32_t patience_ms, struct dvs_fs **fs)
{
	struct fs_record record = { .n_nodes = 0 };
	struct dvk_dc_info dc;
	dvs_err err;

	if (!dvk || !name || !fs)
		return DVS_BADARG;
	err = dvk_dc_info(dvk, &dc);
	if (!err)
		err = fs_record_get(dvk, dc.name, name, &record, NULL);
	return err ? err : dvs_fs_open_on(dvk, dvs_ep_of(record.endpoint), patience_ms, fs);
}

void dvs_fs_close(struct dvs_fs *fs)
{
	if (!fs)
		return;
	fsc_close(fs->fsc);
	free(fs);
}

/* umask(2) tells it only by setting it, for all threads. */
static uint32_t read_umask(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	static const char field[] = "Umask:";
	unsigned long mask = 022;
	char line[256];

	while (status && fgets(line, sizeof(line), status)) {
		if (strncmp(line, field, strlen(field)) == 0)
			mask = strtoul(line + strlen(field), NULL, 8);
	}
	if (status)
		(void)fclose(status);
	return (uint32_t)mask & 0777u;
}

static dvs_err take_identity(struct dvs_fs_thread *me)
{
	gid_t groups[FSC_GROUPS_MAX];
	int n = getgroups((int)FSC_GROUPS_MAX, groups);
	const struct fsc_identity identity = { .uid = geteuid(),
					       .gid = getegid(),
					       .flags = geteuid() == 0 ? FSC_MAY_ALL : 0,
					       .n_groups = n > 0 ? (uint32_t)n : 0,
					       .groups = groups };

	me->is_superuser = identity.uid == 0;
	me->umask = read_umask();
	return fsc_who_get(me->fsc, &identity, &me->who);
}

dvs_err dvs_fs_enter(struct dvs_fs *fs, struct dvs_fs_thread **out)
{
	struct dvs_fs_thread *me;
	dvs_err err;

	if (!fs || !out)
		return DVS_BADARG;
	me = calloc(1, sizeof(*me));
	if (!me)
		return DVS_NOMEM;
	err = fsc_enter(fs->fsc, &me->fsc);
	if (err) {
		free(me);
		return err;
	}
	err = take_identity(me);
	if (err) {
		fsc_leave(me->fsc);
		free(me);
		return err;
	}
	*out = me;
	return DVS_OK;
}

void dvs_fs_leave(struct dvs_fs_thread *me)
{
	if (!me)
		return;
	fsc_who_put(me->fsc, me->who);
	fsc_leave(me->fsc);
	free(me);
}

/* ---- names ---- */

dvs_err dvs_fs_stat(struct dvs_fs_thread *me, const char *path, bool follow, struct stat *info)
{
	struct files_place place;
	dvs_err err = files_walk(me, path, follow ? FILES_FOLLOW : 0, &place);

	if (!err)
		*info = files_stat(&place.attr);
	return err;
}

dvs_err dvs_fs_mkdir(struct dvs_fs_thread *me, const char *path, mode_t mode)
{
	struct files_place place;
	dvs_err err = files_walk(me, path, FILES_NAME, &place);
	struct fsc_new what = { .parent = place.parent, .name = place.name };

	if (err)
		return err;
	if (place.name.len == 0)
		return DVS_EXISTS;
	what.mode = S_IFDIR | (mode & 07777u);
	what.umask = me->umask;
	return fsc_create(me->fsc, me->who, &what, 0, NULL, &place.attr);
}

dvs_err dvs_fs_symlink(struct dvs_fs_thread *me, const char *target, const char *path)
{
	const struct fsc_name text = { target, strlen(target) };
	struct files_place place;
	dvs_err err = files_walk(me, path, FILES_NAME, &place);

	if (err)
		return err;
	if (text.len == 0)
		return DVS_NOTFOUND;
	if (text.len > FSC_TARGET_MAX)
		return DVS_NAMELONG;
	if (place.name.len == 0)
		return DVS_EXISTS;
	if (place.must_be_dir)
		return DVS_NOTFOUND;
	return fsc_symlink(me->fsc, me->who, place.parent, place.name, text, &place.attr);
}

static dvs_err remove_name(struct dvs_fs_thread *me, const char *path, bool is_dir)
{
	struct fs_unlink_rep rep;
	struct files_place place;
	dvs_err err = files_walk(me, path, FILES_NAME, &place);

	if (err)
		return err;
	if (place.name.len == 0)
		return is_dir ? DVS_BADARG : DVS_ISDIR;
	if (place.must_be_dir && !is_dir)
		return DVS_NOTDIR;
	return fsc_unlink(me->fsc, me->who, place.parent, place.name, is_dir, &rep);
}

dvs_err dvs_fs_unlink(struct dvs_fs_thread *me, const char *path)
{
	return remove_name(me, path, false);
}

dvs_err dvs_fs_rmdir(struct dvs_fs_thread *me, const char *path)
{
	return remove_name(me, path, true);
}

dvs_err dvs_fs_rename(struct dvs_fs_thread *me, const char *from, const char *to)
{
	char name[FSC_NAME_MAX + 1];
	struct files_place old, new;
	struct fs_rename_rep rep;
	dvs_err err = files_walk(me, from, FILES_NAME, &old);

	if (err)
		return err;
	/* The next walk takes the room that the name is in. */
	memcpy(name, old.name.text, old.name.len);
	err = files_walk(me, to, FILES_NAME, &new);
	if (err)
		return err;
	if (old.name.len == 0 || new.name.len == 0)
		return DVS_BADSTATE;
	if (old.must_be_dir || new.must_be_dir) {
		struct fs_attr attr;

		err = fsc_lookup(me->fsc, me->who, old.parent,
				 (struct fsc_name){ name, old.name.len }, &attr);
		if (err)
			return err;
		if (!S_ISDIR(attr.mode))
			return DVS_NOTDIR;
	}
	return fsc_rename(me->fsc, me->who, old.parent, (struct fsc_name){ name, old.name.len },
			  new.parent, new.name, 0, &rep);
}

dvs_err dvs_fs_readlink(struct dvs_fs_thread *me, const char *path, char *target, size_t size)
{
	char text[FSC_TARGET_MAX + 1];
	struct files_place place;
	size_t len = 0;
	dvs_err err = files_walk(me, path, 0, &place);

	if (err)
		return err;
	if (!S_ISLNK(place.attr.mode))
		return DVS_BADARG;
	err = fsc_readlink(me->fsc, place.attr.ino, text, &len);
	if (err)
		return err;
	if (len >= size)
		return DVS_RANGE;
	memcpy(target, text, len + 1);
	return DVS_OK;
}

dvs_err dvs_fs_sync(struct dvs_fs_thread *me)
{
	return fsc_fsync(me->fsc, 0, false);
}

/* ---- files ---- */

static dvs_err open_new(struct dvs_fs_thread *me, struct files_place *place, int flags, mode_t mode,
			uint32_t *handle)
{
	const struct fsc_new what = { .parent = place->parent,
				      .name = place->name,
				      .mode = S_IFREG | (mode & 07777u),
				      .umask = me->umask };

	return place->must_be_dir ?
		       DVS_ISDIR :
		       fsc_create(me->fsc, me->who, &what, (uint32_t)flags, handle, &place->attr);
}

static dvs_err open_place(struct dvs_fs_thread *me, const char *path, int flags, mode_t mode,
			  struct files_place *place, uint32_t *handle)
{
	const bool is_exclusive = (flags & O_CREAT) && (flags & O_EXCL);
	const bool follows = !(flags & O_NOFOLLOW) && !is_exclusive;
	dvs_err err = files_walk(me, path, follows ? FILES_FOLLOW : 0, place);

	if (err == DVS_NOTFOUND && place->parent != 0 && (flags & O_CREAT))
		return open_new(me, place, flags, mode, handle);
	if (err)
		return err;
	if (is_exclusive)
		return DVS_EXISTS;
	if (S_ISLNK(place->attr.mode))
		return DVS_LOOP;
	if (S_ISDIR(place->attr.mode))
		return DVS_ISDIR;
	if (!S_ISREG(place->attr.mode))
		return DVS_NOTSUP;
	return fsc_open_file(me->fsc, me->who, place->attr.ino,
			     (uint32_t)(flags & ~(O_CREAT | O_EXCL)), handle, &place->attr);
}

dvs_err dvs_file_open(struct dvs_fs_thread *me, const char *path, int flags, mode_t mode,
		      struct dvs_file **out, struct stat *info)
{
	struct dvs_file *file;
	struct files_place place;
	dvs_err err;

	if ((flags & ~FLAGS_KNOWN) || (flags & O_ACCMODE) == O_ACCMODE)
		return DVS_BADARG;
	file = calloc(1, sizeof(*file));
	if (!file)
		return DVS_NOMEM;
	err = open_place(me, path, flags & ~(O_CLOEXEC | O_LARGEFILE), mode, &place, &file->handle);
	if (err) {
		free(file);
		return err;
	}
	file->flags = flags;
	file->ino = place.attr.ino;
	if (info)
		*info = files_stat(&place.attr);
	*out = file;
	return DVS_OK;
}

void dvs_file_close(struct dvs_fs_thread *me, struct dvs_file *file)
{
	if (!file)
		return;
	/* Nothing can be done about it, and what it tells, fsync has told. */
	(void)!fsc_release(me->fsc, file->handle);
	free(file);
}

dvs_err dvs_file_stat(struct dvs_fs_thread *me, struct dvs_file *file, struct stat *info)
{
	struct fs_attr attr;
	dvs_err err = fsc_getattr(me->fsc, file->ino, &attr);

	if (!err)
		*info = files_stat(&attr);
	return err;
}

dvs_err dvs_file_view(struct dvs_fs_thread *me, struct dvs_file *file, uint64_t offset,
		      size_t bytes, const void **data, size_t *len)
{
	return fsc_read(me->fsc, file->handle, offset, bytes < FSC_IO_MAX ? bytes : FSC_IO_MAX,
			data, len);
}

dvs_err dvs_file_read(struct dvs_fs_thread *me, struct dvs_file *file, uint64_t offset, void *data,
		      size_t bytes, size_t *done)
{
	for (*done = 0; *done < bytes;) {
		const void *part;
		size_t len;
		dvs_err err = dvs_file_view(me, file, offset + *done, bytes - *done, &part, &len);

		if (err)
			return err;
		if (len == 0)
			break;
		memcpy((uint8_t *)data + *done, part, len);
		*done += len;
	}
	return DVS_OK;
}

dvs_err dvs_file_write(struct dvs_fs_thread *me, struct dvs_file *file, uint64_t offset,
		       const void *data, size_t bytes, size_t *done)
{
	const uint32_t flags = ((file->flags & O_APPEND) ? FSC_WRITE_APPEND : 0) |
			       (me->is_superuser ? 0 : FSC_WRITE_DROP);

	for (*done = 0; *done < bytes;) {
		size_t part = bytes - *done < FSC_IO_MAX ? bytes - *done : FSC_IO_MAX;
		struct fs_write_rep rep;
		dvs_err err = fsc_write(me->fsc, file->handle, flags, offset + *done,
					(const uint8_t *)data + *done, part, &rep);

		if (err)
			return err;
		*done += rep.bytes;
		if (rep.bytes == 0)
			return DVS_NOSPACE;
	}
	return DVS_OK;
}

dvs_err dvs_file_truncate(struct dvs_fs_thread *me, struct dvs_file *file, uint64_t size)
{
	const struct fs_change change = {
		.valid = CHANGE_SIZE | (me->is_superuser ? 0 : CHANGE_DROP),
		.size = size,
	};
	struct fs_attr attr;

	return fsc_setattr(me->fsc, me->who, file->ino, file->handle, &change, &attr);
}

dvs_err dvs_file_sync(struct dvs_fs_thread *me, struct dvs_file *file)
{
	return fsc_fsync(me->fsc, file->handle, false);
}
