/* SPDX-License-Identifier: Apache-2.0 */
/* What SQLite takes for a file system: two files, the database and its log, both of one image. When SQLite wants the log synced, that is at the end of a change set: then it is handed to the medium, which is all that "committed" means
 * here. What must be durable is flushed by who checkpoints (fsimage_change.c); only the database's sync, which SQLite asks for in a checkpoint alone, is a flush.
 *
 * The database's room is seen to when a page goes to the log: so a checkpoint never lacks space. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "servers/fs/fsimage_internal.h"

#define LOG_HEAD_BYTES 32u
#define FRAME_HEAD_BYTES 24u
#define SOFT_PAGES 64u /* of the database's last room, for change sets that free something */

struct vfs_file {
	sqlite3_file base;
	struct fsimage *image;
	struct image_file *file;
};

static struct vfs_file *file_of(sqlite3_file *base)
{
	return CONTAINER_OF(base, struct vfs_file, base);
}

static int failed(struct fsimage *image, dvs_err err, int otherwise)
{
	image->medium_err = err;
	if (err == DVS_NOSPACE)
		return SQLITE_FULL;
	if (err == DVS_NOMEM)
		return SQLITE_IOERR_NOMEM;
	/* What SQLite believes to be there may be something else now. */
	if (otherwise != SQLITE_IOERR_READ)
		fsimage_break(image, "the medium could not be written: %s", dvs_strerror(err));
	return otherwise;
}

/* ---- files ---- */

static int vfs_close(sqlite3_file *base)
{
	(void)base;
	return SQLITE_OK;
}

static int vfs_read(sqlite3_file *base, void *buffer, int bytes, sqlite3_int64 offset)
{
	const struct vfs_file *vfs = file_of(base);
	bool is_short;
	dvs_err err = fsimage_file_read(vfs->image, vfs->file, (uint64_t)offset, buffer,
					(size_t)bytes, &is_short);

	if (err != DVS_OK)
		return failed(vfs->image, err, SQLITE_IOERR_READ);
	return is_short ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static dvs_err reach(struct fsimage *image, struct image_file *file, uint64_t bytes)
{
	while (fsimage_file_room(image, file) < bytes) {
		uint64_t lacks = bytes - fsimage_file_room(image, file);
		uint64_t n = (lacks + image->super.chunk_bytes - 1) / image->super.chunk_bytes;
		dvs_err err;

		if (file->owner == CHUNK_DB && n < file->n_chunks / 16)
			n = file->n_chunks / 16;
		err = n > image->n_chunks ? DVS_NOSPACE :
					    fsimage_map_extend(image, file, (uint32_t)n);
		if (err != DVS_OK)
			return err;
	}
	return DVS_OK;
}

dvs_err fsimage_vfs_reach(struct fsimage *image, uint64_t pages)
{
	image->db_pages = pages;
	return reach(image, DB_FILE(image), pages * BLOCK);
}

/* A page goes to the log, or, without one, to its place: the database must have room for it. */
static dvs_err room_for_page(struct fsimage *image, uint64_t page)
{
	uint64_t bytes = page * BLOCK;
	dvs_err err;

	if (page <= image->db_pages)
		return DVS_OK;
	if (!image->is_freeing && image->n_nobodys == 0 &&
	    bytes > fsimage_file_room(image, DB_FILE(image)) - SOFT_PAGES * BLOCK)
		return DVS_NOSPACE;
	err = reach(image, DB_FILE(image), bytes);
	if (err == DVS_OK)
		image->db_pages = page;
	return err;
}

/* The page whose frame begins with HEAD. */
static uint64_t page_of(const uint8_t head[FRAME_HEAD_BYTES])
{
	return (uint64_t)head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];
}

static int vfs_write(sqlite3_file *base, const void *data, int bytes, sqlite3_int64 offset)
{
	const struct vfs_file *vfs = file_of(base);
	uint64_t at = (uint64_t)offset;
	dvs_err err = DVS_OK;

	if (vfs->image->broken[0])
		return SQLITE_IOERR_WRITE;
	if (vfs->file->owner == CHUNK_LOG && bytes == FRAME_HEAD_BYTES && at >= LOG_HEAD_BYTES &&
	    (at - LOG_HEAD_BYTES) % (FRAME_HEAD_BYTES + BLOCK) == 0)
		err = room_for_page(vfs->image, page_of(data));
	else if (vfs->file->owner == CHUNK_DB && vfs->image->medium->is_volatile &&
		 !vfs->image->is_making)
		err = room_for_page(vfs->image, (at + (uint64_t)bytes + BLOCK - 1) / BLOCK);
	if (err == DVS_OK)
		err = reach(vfs->image, vfs->file, at + (uint64_t)bytes);
	if (err == DVS_OK)
		err = fsimage_file_write(vfs->image, vfs->file, at, data, (size_t)bytes);
	return err == DVS_OK ? SQLITE_OK : failed(vfs->image, err, SQLITE_IOERR_WRITE);
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 bytes)
{
	const struct vfs_file *vfs = file_of(base);
	dvs_err err = DVS_OK;

	if (vfs->file->owner == CHUNK_LOG && bytes == 0)
		err = fsimage_log_clear(vfs->image);
	return err == DVS_OK ? SQLITE_OK : failed(vfs->image, err, SQLITE_IOERR_TRUNCATE);
}

static int vfs_sync(sqlite3_file *base, int flags)
{
	const struct vfs_file *vfs = file_of(base);
	dvs_err err;

	(void)flags;
	if (vfs->image->broken[0])
		return SQLITE_IOERR_FSYNC;
	err = fsimage_file_put(vfs->image, vfs->file);
	if (err == DVS_OK && vfs->file->owner == CHUNK_DB && !vfs->image->is_making)
		err = fsimage_flush(vfs->image);
	return err == DVS_OK ? SQLITE_OK : failed(vfs->image, err, SQLITE_IOERR_FSYNC);
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *bytes)
{
	const struct vfs_file *vfs = file_of(base);

	*bytes = (sqlite3_int64)fsimage_file_room(vfs->image, vfs->file);
	if (vfs->file->owner == CHUNK_LOG && vfs->file->high == 0)
		*bytes = 0;
	return SQLITE_OK;
}

static int vfs_lock(sqlite3_file *base, int level)
{
	(void)base;
	(void)level;
	return SQLITE_OK;
}

static int vfs_is_locked(sqlite3_file *base, int *is_locked)
{
	(void)base;
	*is_locked = 0;
	return SQLITE_OK;
}

static int vfs_control(sqlite3_file *base, int op, void *argument)
{
	(void)base;
	(void)op;
	(void)argument;
	return SQLITE_NOTFOUND;
}

static int vfs_sector(sqlite3_file *base)
{
	(void)base;
	return BLOCK;
}

/* What stands beside the bytes that are written is written again as it is. */
static int vfs_device(sqlite3_file *base)
{
	(void)base;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = vfs_close,
	.xRead = vfs_read,
	.xWrite = vfs_write,
	.xTruncate = vfs_truncate,
	.xSync = vfs_sync,
	.xFileSize = vfs_size,
	.xLock = vfs_lock,
	.xUnlock = vfs_lock,
	.xCheckReservedLock = vfs_is_locked,
	.xFileControl = vfs_control,
	.xSectorSize = vfs_sector,
	.xDeviceCharacteristics = vfs_device,
};

/* ---- names ---- */

static struct fsimage *image_of(sqlite3_vfs *vfs)
{
	return CONTAINER_OF(vfs, struct fsimage, vfs);
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
		    int *out_flags)
{
	struct vfs_file *file = file_of(base);

	(void)name;
	base->pMethods = NULL;
	if (!(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
		return SQLITE_CANTOPEN;
	file->image = image_of(vfs);
	file->file = flags & SQLITE_OPEN_WAL ? LOG_FILE(file->image) : DB_FILE(file->image);
	base->pMethods = &methods;
	if (out_flags)
		*out_flags = flags;
	return SQLITE_OK;
}

static bool is_log(const char *name)
{
	size_t len = strlen(name);

	return len >= 4 && strcmp(name + len - 4, "-wal") == 0;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	dvs_err err = DVS_OK;

	(void)sync_dir;
	if (is_log(name))
		err = fsimage_log_clear(image_of(vfs));
	return err == DVS_OK ? SQLITE_OK : failed(image_of(vfs), err, SQLITE_IOERR_DELETE);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
	(void)flags;
	/* SQLite would use a log that is there, whatever it was told. */
	*result = is_log(name) && DB_FILE(image_of(vfs))->n_chunks > 0 &&
		  !image_of(vfs)->medium->is_volatile;
	return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
	(void)vfs;
	(void)snprintf(out, (size_t)room, "%s", name);
	return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int bytes, char *out)
{
	ssize_t got = getrandom(out, (size_t)bytes, 0);

	(void)vfs;
	return got < 0 ? 0 : (int)got;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
	(void)vfs;
	return microseconds;
}

/* Milliseconds of the Julian calendar. */
static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *now)
{
	struct timespec ts;

	(void)vfs;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	*now = INT64_C(210866760000000) + (sqlite3_int64)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int room, char *out)
{
	(void)vfs;
	(void)room;
	(void)out;
	return 0;
}

dvs_err fsimage_vfs_register(struct fsimage *image)
{
	/* Nobody asks how much memory it has, and counting takes a lock for each piece. Once it is at work it refuses, and counts on. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	(void)snprintf(image->vfs_name, sizeof(image->vfs_name), "fsimage-%p", (void *)image);
	image->vfs = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = sizeof(struct vfs_file),
		.mxPathname = 32,
		.zName = image->vfs_name,
		.pAppData = image,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_name,
		.xRandomness = vfs_random,
		.xSleep = vfs_sleep,
		.xGetLastError = vfs_last_error,
		.xCurrentTimeInt64 = vfs_time,
	};
	return sqlite3_vfs_register(&image->vfs, 0) == SQLITE_OK ? DVS_OK : DVS_NOMEM;
}

void fsimage_vfs_unregister(struct fsimage *image)
{
	if (image->vfs.zName)
		(void)sqlite3_vfs_unregister(&image->vfs);
}
