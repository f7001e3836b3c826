/* SPDX-License-Identifier: Apache-2.0 */
#define FUSE_USE_VERSION 314
#include "gateways/attach/file.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "gateways/attach/beginning.h"

#define INODE 2u
/* Requests that the kernel has under way in the background: more than there are threads, so that none is idle. */
#define BACKGROUND_MAX 128u
#define STATFS_BLOCK_BYTES 4096u
#define ATTRIBUTES_S 1.0

struct file {
	struct attach_backend backend;
	char name[ATTACH_NAME_MAX + 1];
	bool is_read_only;
	_Atomic uint64_t bytes;
	_Atomic unsigned int n_open;
	struct fuse_session *session;
	pthread_key_t thread; /* struct server of each thread */
	int ended_fd;
};

/* What each thread that serves has. */
struct server {
	void *thread; /* the backend's */
	void *room;   /* ATTACH_REQUEST_MAX bytes */
};

static struct file *file_of(fuse_req_t request)
{
	return fuse_req_userdata(request);
}

static struct server *server_of(fuse_req_t request)
{
	return pthread_getspecific(file_of(request)->thread);
}

static void answer(fuse_req_t request, dvs_err err)
{
	/* As a disk says it: file systems know what these mean. */
	int number = err == DVS_NOSPACE ? ENOSPC : err == DVS_READONLY ? EROFS : EIO;

	fuse_reply_err(request, err ? number : 0);
}

static struct stat stat_of(const struct file *file, fuse_ino_t inode)
{
	struct stat stat = {
		.st_ino = inode,
		.st_nlink = 1,
		.st_mode = S_IFDIR | 0500,
	};

	if (inode == INODE) {
		stat.st_mode = S_IFREG | (file->is_read_only ? 0400 : 0600);
		stat.st_size = (off_t)file->bytes;
		stat.st_blksize = STATFS_BLOCK_BYTES;
		stat.st_blocks = stat.st_size / ATTACH_SECTOR_BYTES;
	}
	return stat;
}

static void op_init(void *context, struct fuse_conn_info *connection)
{
	(void)context;
	connection->max_background = BACKGROUND_MAX;
	connection->congestion_threshold = BACKGROUND_MAX;
	connection->want |= connection->capable & FUSE_CAP_ASYNC_DIO;
	/* The data is in memory on both sides: pipes only cost. */
	connection->want &= ~(unsigned int)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
					    FUSE_CAP_SPLICE_MOVE);
}

static void op_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	const struct file *file = file_of(request);
	struct fuse_entry_param entry = { .ino = INODE, .attr_timeout = ATTRIBUTES_S };

	if (parent != FUSE_ROOT_ID || strcmp(name, file->name) != 0) {
		fuse_reply_err(request, ENOENT);
		return;
	}
	entry.attr = stat_of(file, INODE);
	fuse_reply_entry(request, &entry);
}

static void op_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct stat stat = stat_of(file_of(request), inode);

	(void)info;
	fuse_reply_attr(request, &stat, ATTRIBUTES_S);
}

static void op_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct file *file = file_of(request);

	if (inode != INODE) {
		fuse_reply_err(request, EISDIR);
		return;
	}
	file->n_open++;
	/* The device over it has the cache, and orders nothing among requests that are under way: neither need we. */
	info->direct_io = 1;
	info->noflush = 1;
	fuse_reply_open(request, info);
}

static void op_release(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct file *file = file_of(request);

	(void)inode;
	(void)info;
	fuse_reply_err(request, 0);
	if (--file->n_open == 0)
		(void)eventfd_write(file->ended_fd, 1);
}

/* How much of BYTES at OFFSET is on the disk. */
static size_t within(const struct file *file, uint64_t offset, size_t bytes)
{
	uint64_t end = file->bytes;

	if (offset >= end)
		return 0;
	return bytes < end - offset ? bytes : (size_t)(end - offset);
}

static void op_read(fuse_req_t request, fuse_ino_t inode, size_t bytes, off_t offset,
		    struct fuse_file_info *info)
{
	const struct file *file = file_of(request);
	const struct server *server = server_of(request);
	size_t n = within(file, (uint64_t)offset, bytes);
	dvs_err err = DVS_OK;

	(void)inode;
	(void)info;
	if (n > ATTACH_REQUEST_MAX || n % ATTACH_SECTOR_BYTES || offset % ATTACH_SECTOR_BYTES) {
		fuse_reply_err(request, EINVAL);
		return;
	}
	if (n)
		err = file->backend.read(server->thread, (uint64_t)offset, server->room, n);
	if (err)
		answer(request, err);
	else
		fuse_reply_buf(request, server->room, n);
}

static void op_write(fuse_req_t request, fuse_ino_t inode, const char *data, size_t bytes,
		     off_t offset, struct fuse_file_info *info)
{
	const struct file *file = file_of(request);
	dvs_err err;

	(void)inode;
	(void)info;
	if (bytes > ATTACH_REQUEST_MAX || bytes % ATTACH_SECTOR_BYTES ||
	    offset % ATTACH_SECTOR_BYTES) {
		fuse_reply_err(request, EINVAL);
		return;
	}
	if (within(file, (uint64_t)offset, bytes) < bytes) {
		fuse_reply_err(request, ENOSPC);
		return;
	}
	err = file->backend.write(server_of(request)->thread, (uint64_t)offset, data, bytes);
	if (err)
		answer(request, err);
	else
		fuse_reply_write(request, bytes);
}

static void op_fsync(fuse_req_t request, fuse_ino_t inode, int data_only,
		     struct fuse_file_info *info)
{
	(void)inode;
	(void)data_only;
	(void)info;
	answer(request, file_of(request)->backend.flush(server_of(request)->thread));
}

static void op_fallocate(fuse_req_t request, fuse_ino_t inode, int mode, off_t offset, off_t bytes,
			 struct fuse_file_info *info)
{
	const struct file *file = file_of(request);
	void *thread = server_of(request)->thread;
	int what = mode & ~FALLOC_FL_KEEP_SIZE;

	(void)inode;
	(void)info;
	if (offset < 0 || bytes <= 0 || offset % ATTACH_SECTOR_BYTES ||
	    bytes % ATTACH_SECTOR_BYTES ||
	    within(file, (uint64_t)offset, (size_t)bytes) < (size_t)bytes)
		fuse_reply_err(request, EINVAL);
	else if (what == FALLOC_FL_PUNCH_HOLE)
		answer(request, file->backend.trim(thread, (uint64_t)offset, (uint64_t)bytes));
	else if (what == FALLOC_FL_ZERO_RANGE)
		answer(request,
		       file->backend.zero(thread, (uint64_t)offset, (uint64_t)bytes, true));
	else
		fuse_reply_err(request, EOPNOTSUPP);
}

static void op_lseek(fuse_req_t request, fuse_ino_t inode, off_t offset, int whence,
		     struct fuse_file_info *info)
{
	const struct file *file = file_of(request);
	uint64_t at = (uint64_t)offset;

	(void)inode;
	(void)info;
	while (at < file->bytes) {
		uint64_t bytes = 0;
		bool is_hole = false;
		dvs_err err = file->backend.extent(server_of(request)->thread,
						   at - at % ATTACH_SECTOR_BYTES, &bytes, &is_hole);

		if (err || !bytes) {
			answer(request, err ? err : DVS_IO);
			return;
		}
		if (is_hole == (whence == SEEK_HOLE)) {
			fuse_reply_lseek(request, (off_t)at);
			return;
		}
		at = at - at % ATTACH_SECTOR_BYTES + bytes;
	}
	/* There is a hole behind the end of every file. */
	if (whence == SEEK_HOLE && (uint64_t)offset < file->bytes)
		fuse_reply_lseek(request, (off_t)file->bytes);
	else
		fuse_reply_err(request, ENXIO);
}

static void op_statfs(fuse_req_t request, fuse_ino_t inode)
{
	struct statvfs statvfs = {
		.f_bsize = STATFS_BLOCK_BYTES,
		.f_frsize = STATFS_BLOCK_BYTES,
		.f_blocks = file_of(request)->bytes / STATFS_BLOCK_BYTES,
		.f_namemax = ATTACH_NAME_MAX,
	};

	(void)inode;
	fuse_reply_statfs(request, &statvfs);
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.statfs = op_statfs,
};

/* ---- threads ---- */

static void serve(struct file *file)
{
	struct fuse_buf buffer = { .mem = NULL };

	while (!fuse_session_exited(file->session)) {
		int n = fuse_session_receive_buf(file->session, &buffer);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		fuse_session_process_buf(file->session, &buffer);
	}
	free(buffer.mem);
	(void)eventfd_write(file->ended_fd, 1);
}

static void *server_run(void *argument)
{
	struct file *file = beginning_context(argument);
	struct server server = { .room = NULL };
	dvs_err err = file->backend.enter(file->backend.context, &server.thread);

	if (!err && posix_memalign(&server.room, STATFS_BLOCK_BYTES, ATTACH_REQUEST_MAX))
		err = DVS_NOMEM;
	if (!err && pthread_setspecific(file->thread, &server))
		err = DVS_NOMEM;
	beginning_end(argument, err);
	if (!err)
		serve(file);
	free(server.room);
	if (server.thread)
		file->backend.leave(server.thread);
	return NULL;
}

/* ---- the mount ---- */

static dvs_err no_fuse(char why[ATTACH_WHY_MAX], const char *what)
{
	int number = errno;

	(void)snprintf(why, ATTACH_WHY_MAX, "%s: %s", what, strerror(number));
	return dvs_from_errno(number);
}

static dvs_err mount_nowhere(int fuse_fd, int *mount_fd, char why[ATTACH_WHY_MAX])
{
	AUTO_CLOSE int context = fsopen("fuse", FSOPEN_CLOEXEC);
	char number[16];

	if (context < 0)
		return no_fuse(why, errno == ENODEV ? "the kernel has no FUSE (module fuse)" :
						      "a FUSE file system cannot be mounted here"
						      " (CAP_SYS_ADMIN, Linux 5.4)");
	(void)snprintf(number, sizeof(number), "%d", fuse_fd);
	if (fsconfig(context, FSCONFIG_SET_STRING, "source", "dvs-attach", 0) ||
	    fsconfig(context, FSCONFIG_SET_STRING, "fd", number, 0) ||
	    fsconfig(context, FSCONFIG_SET_STRING, "rootmode", "40000", 0) ||
	    fsconfig(context, FSCONFIG_SET_STRING, "user_id", "0", 0) ||
	    fsconfig(context, FSCONFIG_SET_STRING, "group_id", "0", 0) ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return no_fuse(why, "the FUSE file system cannot be made");
	*mount_fd = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
	if (*mount_fd < 0)
		return no_fuse(why, "the FUSE file system cannot be mounted");
	return DVS_OK;
}

static dvs_err open_session(struct file *file, int *mount_fd, char why[ATTACH_WHY_MAX])
{
	char program[] = "dvs-attach";
	char *words[] = { program, NULL };
	struct fuse_args arguments = FUSE_ARGS_INIT(1, words);
	AUTO_CLOSE int fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char place[32];
	dvs_err err;

	if (fuse_fd < 0)
		return no_fuse(why, "/dev/fuse cannot be opened (is the module fuse loaded, and"
				    " does the container have the device?)");
	file->session = fuse_session_new(&arguments, &ops, sizeof(ops), file);
	fuse_opt_free_args(&arguments);
	if (!file->session)
		return DVS_NOMEM;
	err = mount_nowhere(fuse_fd, mount_fd, why);
	if (err)
		return err;
	(void)snprintf(place, sizeof(place), "/dev/fd/%d", fuse_fd);
	if (fuse_session_mount(file->session, place) < 0)
		return DVS_IO;
	(void)!take_fd(&fuse_fd); /* the session's now */
	return DVS_OK;
}

static void file_free(struct file *file)
{
	if (file->session)
		fuse_session_destroy(file->session);
	if (file->ended_fd >= 0)
		close(file->ended_fd);
	pthread_key_delete(file->thread);
	free(file);
}

dvs_err file_open(const struct file_config *config, struct file **out, int *mount_fd,
		  char why[ATTACH_WHY_MAX])
{
	struct file *file = calloc(1, sizeof(*file));
	unsigned int n = 0;
	dvs_err err;

	if (!file)
		return DVS_NOMEM;
	if (pthread_key_create(&file->thread, NULL)) {
		free(file);
		return DVS_NOMEM;
	}
	*mount_fd = -1;
	file->backend = *config->backend;
	file->is_read_only = config->geometry.is_read_only;
	file->bytes = config->geometry.bytes;
	(void)snprintf(file->name, sizeof(file->name), "%s", config->name);
	file->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = file->ended_fd < 0 ? dvs_from_errno(errno) : open_session(file, mount_fd, why);
	while (!err && n < config->n_threads) {
		err = beginning_start(server_run, file);
		n += err ? 0 : 1;
	}
	if (!err) {
		*out = file;
		return DVS_OK;
	}
	if (*mount_fd >= 0)
		close(*mount_fd);
	*mount_fd = -1;
	/* With threads in it, it goes with the process. */
	if (!n)
		file_free(file);
	return err;
}

int file_ended_fd(const struct file *file)
{
	return file->ended_fd;
}

void file_resized(struct file *file, uint64_t bytes)
{
	file->bytes = bytes;
	(void)fuse_lowlevel_notify_inval_inode(file->session, INODE, 0, 0);
}
