/* SPDX-License-Identifier: Apache-2.0 */
#include "container/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/paths.h"
#include "container/tree.h"
#include "container/why.h"

#define BUFFER_BYTES (256u * 1024)
/* Deeper trees have no use, and take the stack. */
#define DEPTH_MAX 256u
#define XATTRS_MAX 64u
#define XATTR_NAMES_BYTES 65536u
#define XATTR_VALUE_BYTES 65536u
#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif

/* The first name of each file that has several. */
struct pack_links {
	struct paths paths;
};

/* Where the walk is: its place below the root, and its name in the archive. */
struct place {
	char path[PATH_MAX];
	char name[PATH_MAX];
};

static dvs_err pack_at(struct pack *pack, struct place *place);

static dvs_err put(struct pack *pack, const void *bytes, size_t len)
{
	return pack->sink ? pack->sink->write(pack->sink->context, bytes, len) : DVS_OK;
}

/* ---- extended attributes ---- */

struct xattrs {
	struct pax_xattr item[XATTRS_MAX];
	size_t n;
};

static void xattrs_free(struct xattrs *xattrs)
{
	for (size_t i = 0; i < xattrs->n; i++) {
		free(xattrs->item[i].name);
		free(xattrs->item[i].value);
	}
}

static int compare_xattrs(const void *a, const void *b)
{
	return strcmp(((const struct pax_xattr *)a)->name, ((const struct pax_xattr *)b)->name);
}

static dvs_err read_xattr(int fd, const char *name, struct xattrs *xattrs)
{
	AUTO_FREE char *value = malloc(XATTR_VALUE_BYTES);
	ssize_t len = value ? fgetxattr(fd, name, value, XATTR_VALUE_BYTES) : -1;
	struct pax_xattr *item = &xattrs->item[xattrs->n];

	if (!value)
		return DVS_NOMEM;
	/* It may have been removed meanwhile. */
	if (len < 0)
		return DVS_OK;
	item->name = strdup(name);
	if (!item->name)
		return DVS_NOMEM;
	item->len = (size_t)len;
	item->value = TAKE_PTR(value);
	xattrs->n++;
	return DVS_OK;
}

static dvs_err read_xattrs(int fd, struct xattrs *xattrs)
{
	AUTO_FREE char *names = malloc(XATTR_NAMES_BYTES);
	ssize_t len = names ? flistxattr(fd, names, XATTR_NAMES_BYTES) : -1;
	dvs_err err = names ? DVS_OK : DVS_NOMEM;

	xattrs->n = 0;
	for (ssize_t at = 0; err == DVS_OK && at < len; at += (ssize_t)strlen(names + at) + 1) {
		if (pax_keeps_xattr(names + at))
			err = xattrs->n < XATTRS_MAX ? read_xattr(fd, names + at, xattrs) :
						       DVS_TOOBIG;
	}
	qsort(xattrs->item, xattrs->n, sizeof(xattrs->item[0]), compare_xattrs);
	return err;
}

/* ---- one entry ---- */

/* Not inlined, as pack_link(): their buffers must not be in the frames of a deep walk. */
static NOINLINE dvs_err write_header(struct pack *pack, struct place *place, const struct stat *st,
				     enum pax_type type, const char *link, int fd)
{
	struct xattrs xattrs = { .n = 0 };
	struct pax_entry entry = { .type = type,
				   .path = place->name,
				   .link = link,
				   .mode = st->st_mode & 07777,
				   .uid = st->st_uid,
				   .gid = st->st_gid,
				   .mtime_s = st->st_mtim.tv_sec,
				   .xattrs = xattrs.item };
	dvs_err err = fd >= 0 ? read_xattrs(fd, &xattrs) : DVS_OK;
	char folder[PATH_MAX + 2];

	if (type == PAX_DIRECTORY) {
		(void)snprintf(folder, sizeof(folder), "%s/", place->name[0] ? place->name : ".");
		entry.path = folder;
	}
	if (type == PAX_FILE)
		entry.size = (uint64_t)st->st_size;
	/* The kernel ignores the mode of symbolic links, and file systems differ in what they say. */
	if (type == PAX_SYMBOLIC_LINK)
		entry.mode = 0777;
	entry.n_xattrs = xattrs.n;
	if (err == DVS_OK && pack->sink)
		err = pax_header(pack->sink, &entry);
	else if (err != DVS_OK)
		why_say(pack->why, err, "the extended attributes of %s cannot be read: %s",
			place->path, dvs_strerror(err));
	xattrs_free(&xattrs);
	pack->count.entries++;
	return err;
}

/* The bytes of a file are as many as its header said, whatever becomes of it meanwhile. */
static dvs_err write_bytes(struct pack *pack, const struct place *place, int fd, uint64_t size)
{
	uint64_t left = size;
	dvs_err err = DVS_OK;

	while (err == DVS_OK && left > 0) {
		size_t want = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
		ssize_t got = read(fd, pack->buffer, want);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 && pack->kind == PACK_IMAGE)
			return why_say(pack->why, DVS_IO, "%s cannot be read, or is being changed",
				       place->path);
		if (got <= 0) {
			memset(pack->buffer, 0, want);
			got = (ssize_t)want;
		}
		err = put(pack, pack->buffer, (size_t)got);
		left -= (uint64_t)got;
		pack->count.bytes += (uint64_t)got;
		if (err == DVS_OK && pack->go_on && !pack->go_on(pack->context, &pack->count))
			err = DVS_WOKEN;
	}
	return err == DVS_OK && pack->sink ? pax_pad(pack->sink, size) : err;
}

/* A file of several names is packed with the first of them. *DONE: it was packed before. */
static dvs_err write_link(struct pack *pack, struct place *place, const struct stat *st, bool *done)
{
	char key[64];
	const char *first;

	*done = false;
	if (st->st_nlink < 2)
		return DVS_OK;
	(void)snprintf(key, sizeof(key), "%llx:%llx", (unsigned long long)st->st_dev,
		       (unsigned long long)st->st_ino);
	first = paths_text(&pack->links->paths, key);
	if (!first)
		return paths_set_text(&pack->links->paths, key, place->name);
	*done = true;
	return write_header(pack, place, st, PAX_HARD_LINK, first, -1);
}

static dvs_err pack_file(struct pack *pack, struct place *place)
{
	AUTO_CLOSE int fd = tree_open(pack->root, place->path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	bool done;
	dvs_err err;

	if (fd < 0 && errno == ENOENT && pack->kind == PACK_COPY)
		return DVS_OK;
	if (fd < 0 || fstat(fd, &st) != 0)
		return why_errno(pack->why, errno, "cannot open %s", place->path);
	/* Somebody put something else in its place since it was looked at. */
	if (!S_ISREG(st.st_mode))
		return pack->kind == PACK_COPY ?
			       DVS_OK :
			       why_say(pack->why, DVS_IO, "%s is being changed", place->path);
	err = write_link(pack, place, &st, &done);
	if (err != DVS_OK || done)
		return err;
	if (!pack->sink) {
		pack->count.entries++;
		pack->count.bytes += (uint64_t)st.st_size;
		return DVS_OK;
	}
	err = write_header(pack, place, &st, PAX_FILE, NULL, fd);
	return err == DVS_OK ? write_bytes(pack, place, fd, (uint64_t)st.st_size) : err;
}

static NOINLINE dvs_err pack_link(struct pack *pack, struct place *place, int fd,
				  const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(fd, "", target, sizeof(target) - 1);

	if (len < 0)
		return why_errno(pack->why, errno, "cannot read the link %s", place->path);
	target[len] = '\0';
	return write_header(pack, place, st, PAX_SYMBOLIC_LINK, target, -1);
}

/* ---- folders ---- */

/* The kernel's own file systems hold no files of anybody, and some have no end. */
static bool is_pseudo(int fd)
{
	static const unsigned long kinds[] = {
		PROC_SUPER_MAGIC,   SYSFS_MAGIC,    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
		DEVPTS_SUPER_MAGIC, DEBUGFS_MAGIC,  TRACEFS_MAGIC,	SECURITYFS_MAGIC,
		BPF_FS_MAGIC,	    PSTOREFS_MAGIC, EFIVARFS_MAGIC,	NSFS_MAGIC,
		BINFMTFS_MAGIC,	    SELINUX_MAGIC,  MQUEUE_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if ((unsigned long)fs.f_type == kinds[i])
			return true;
	}
	return false;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

/* The names in the folder FD, sorted. */
static dvs_err read_names(int fd, char ***names, size_t *n_names)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSEDIR DIR *stream = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;
	size_t n = 0, room = 0;
	char **list = NULL;

	if (!stream) {
		if (again >= 0)
			close(again);
		return DVS_IO;
	}
	while ((entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (n == room) {
			char **more = reallocarray(list, room ? room * 2 : 32, sizeof(*list));

			if (!more)
				break;
			list = more;
			room = room ? room * 2 : 32;
		}
		list[n] = strdup(entry->d_name);
		if (!list[n])
			break;
		n++;
	}
	if (entry) {
		free_names(list, n);
		return DVS_NOMEM;
	}
	if (n > 0)
		qsort(list, n, sizeof(*list), compare_names);
	*names = list;
	*n_names = n;
	return DVS_OK;
}

static bool append(char *path, const char *name)
{
	size_t at = strlen(path);
	int len = snprintf(path + at, PATH_MAX - at, "%s%s", at ? "/" : "", name);

	if (len >= 0 && (size_t)len < PATH_MAX - at)
		return true;
	path[at] = '\0';
	return false;
}

static dvs_err pack_child(struct pack *pack, struct place *place, const char *child)
{
	size_t path_len = strlen(place->path), name_len = strlen(place->name);
	dvs_err err;

	if (pack->depth >= DEPTH_MAX)
		return why_say(pack->why, DVS_TOOBIG, "%s is more than %u folders deep",
			       place->path, DEPTH_MAX);
	pack->depth++;
	if (append(place->path, child) && append(place->name, child))
		err = pack_at(pack, place);
	else if (pack->kind == PACK_COPY)
		err = DVS_OK; /* no program can open it by name either */
	else
		err = why_say(pack->why, DVS_BADARG, "the path of %s in %s is too long", child,
			      place->path);
	pack->depth--;
	place->path[path_len] = '\0';
	place->name[name_len] = '\0';
	return err;
}

static dvs_err pack_folder(struct pack *pack, struct place *place)
{
	AUTO_CLOSE int fd = tree_open(pack->root, place->path, O_RDONLY | O_DIRECTORY);
	char **names = NULL;
	size_t n = 0;
	struct stat st;
	dvs_err err;

	if (fd < 0 && pack->kind == PACK_COPY && (errno == ENOENT || errno == ENOTDIR))
		return DVS_OK;
	if (fd < 0 || fstat(fd, &st) != 0)
		return why_errno(pack->why, errno, "cannot open the folder %s", place->path);
	if (pack->count.entries == 0)
		pack->device = st.st_dev;
	err = write_header(pack, place, &st, PAX_DIRECTORY, NULL, fd);
	if (err != DVS_OK || is_pseudo(fd) ||
	    (pack->kind == PACK_IMAGE && st.st_dev != pack->device))
		return err;
	err = read_names(fd, &names, &n);
	if (err != DVS_OK)
		return why_say(pack->why, err, "cannot read the folder %s", place->path);
	/* Deep trees would else need a descriptor for each level. */
	close(take_fd(&fd));
	for (size_t i = 0; err == DVS_OK && i < n; i++)
		err = pack_child(pack, place, names[i]);
	free_names(names, n);
	return err;
}

static dvs_err pack_at(struct pack *pack, struct place *place)
{
	AUTO_CLOSE int fd = tree_open(pack->root, place->path, O_PATH);
	struct stat st;

	if (pack->go_on && !pack->go_on(pack->context, &pack->count))
		return DVS_WOKEN;
	if (fd < 0 && errno == ENOENT && pack->kind == PACK_COPY && pack->count.entries > 0)
		return DVS_OK;
	if (fd < 0 || fstat(fd, &st) != 0)
		return why_errno(pack->why, errno, "cannot open %s",
				 place->path[0] ? place->path : ".");
	if (S_ISREG(st.st_mode))
		return pack_file(pack, place);
	if (S_ISDIR(st.st_mode)) {
		close(take_fd(&fd));
		return pack_folder(pack, place);
	}
	if (S_ISLNK(st.st_mode))
		return pack_link(pack, place, fd, &st);
	if (S_ISFIFO(st.st_mode))
		return write_header(pack, place, &st, PAX_FIFO, NULL, -1);
	if (pack->kind == PACK_COPY)
		return DVS_OK;
	return why_say(pack->why, DVS_BADARG,
		       "%s is a %s, which an image cannot have: remove it, or leave it out",
		       place->path, S_ISSOCK(st.st_mode) ? "socket" : "device");
}

dvs_err pack_tree(struct pack *pack, const char *path, const char *name)
{
	AUTO_FREE struct place *place = calloc(1, sizeof(*place));

	if (!pack->links)
		pack->links = calloc(1, sizeof(*pack->links));
	if (!pack->buffer)
		pack->buffer = malloc(BUFFER_BYTES);
	if (!place || !pack->links || !pack->buffer)
		return why_say(pack->why, DVS_NOMEM, "out of memory");
	if (!append(place->path, path) || !append(place->name, name))
		return why_say(pack->why, DVS_BADARG, "a path is too long");
	/* append() puts a '/' only between two parts. */
	return pack_at(pack, place);
}

dvs_err pack_end(struct pack *pack, dvs_err err)
{
	if (err == DVS_OK && pack->sink)
		err = pax_end(pack->sink);
	if (pack->links)
		paths_free(&pack->links->paths);
	free(pack->links);
	free(pack->buffer);
	pack->links = NULL;
	pack->buffer = NULL;
	return err;
}
