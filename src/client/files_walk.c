/* SPDX-License-Identifier: Apache-2.0 */
/* The way along a path, as the kernel goes it: name by name, links by what they say. */
#include <stdlib.h>
#include <string.h>

#include "client/files_internal.h"

struct walk {
	struct dvs_fs_thread *me;
	unsigned int how;
	struct files_place *place;
	const char *at; /* in me->rest */
	uint32_t n_links;
};

static uint64_t here(const struct walk *walk)
{
	return walk->me->up[walk->me->depth - 1];
}

static bool is_link(const struct fs_attr *attr)
{
	return (attr->mode & S_IFMT) == S_IFLNK;
}

static bool is_dir(const struct fs_attr *attr)
{
	return (attr->mode & S_IFMT) == S_IFDIR;
}

/* What the link at place->name says takes its place, before what is left of the path: WITH_SLASH between them, or it is the last. */
static dvs_err expand(struct walk *walk, bool with_slash, const char *left)
{
	struct dvs_fs_thread *me = walk->me;
	char *target;
	size_t len = 0, n_left = strlen(left);
	dvs_err err;

	if (++walk->n_links > FILES_LINKS_MAX)
		return DVS_LOOP;
	target = malloc(FSC_TARGET_MAX + 1);
	if (!target)
		return DVS_NOMEM;
	err = fsc_readlink(me->fsc, walk->place->attr.ino, target, &len);
	if (!err && len == 0)
		err = DVS_NOTFOUND;
	if (!err && len + 1 + n_left >= sizeof(me->rest))
		err = DVS_NAMELONG;
	if (!err) {
		memmove(me->rest + len + 1, left, n_left + 1);
		memcpy(me->rest, target, len);
		me->rest[len] = with_slash ? '/' : '\0';
		walk->at = me->rest;
		if (target[0] == '/')
			me->depth = 1;
	}
	free(target);
	return err;
}

/* The name of LEN bytes at walk->at; LEFT is behind it and its slashes. True: the walk is over, with *RESULT. */
static bool step(struct walk *walk, size_t len, const char *left, dvs_err *result)
{
	struct files_place *place = walk->place;
	struct dvs_fs_thread *me = walk->me;
	const bool is_last = *left == '\0';

	place->parent = here(walk);
	place->name = (struct fsc_name){ walk->at, len };
	place->must_be_dir = walk->at[len] == '/';
	*result = DVS_OK;
	if (is_last && (walk->how & FILES_NAME))
		return true;
	*result = fsc_lookup(me->fsc, me->who, place->parent, place->name, &place->attr);
	if (*result) {
		if (!is_last)
			place->parent = 0;
		return true;
	}
	if (is_link(&place->attr) &&
	    (!is_last || (walk->how & FILES_FOLLOW) || place->must_be_dir)) {
		*result = expand(walk, place->must_be_dir, left);
		return *result != DVS_OK;
	}
	if ((!is_last || place->must_be_dir) && !is_dir(&place->attr))
		*result = DVS_NOTDIR;
	else if (!is_last && me->depth == FILES_DEPTH_MAX)
		*result = DVS_NAMELONG;
	if (*result || is_last)
		return true;
	me->up[me->depth++] = place->attr.ino;
	walk->at = left;
	return false;
}

static bool is_dots(const char *name, size_t len)
{
	return len <= 2 && memcmp(name, "..", len) == 0;
}

dvs_err files_walk(struct dvs_fs_thread *me, const char *path, unsigned int how,
		   struct files_place *place)
{
	struct walk walk = { .me = me, .how = how, .place = place, .at = me->rest };
	size_t bytes = strlen(path);

	*place = (struct files_place){ .parent = 0 };
	if (bytes == 0)
		return DVS_NOTFOUND;
	if (bytes > DVS_FS_PATH_MAX)
		return DVS_NAMELONG;
	memcpy(me->rest, path, bytes + 1);
	me->up[0] = FSC_ROOT;
	me->depth = 1;
	for (;;) {
		const char *left;
		size_t len;
		dvs_err err;

		walk.at += strspn(walk.at, "/");
		len = strcspn(walk.at, "/");
		left = walk.at + len + strspn(walk.at + len, "/");
		if (len == 0)
			break;
		if (len > FSC_NAME_MAX)
			return DVS_NAMELONG;
		if (!is_dots(walk.at, len)) {
			if (step(&walk, len, left, &err))
				return err;
			continue;
		}
		if (len == 2 && me->depth > 1)
			me->depth--;
		walk.at = left;
	}
	/* It ended in a directory of the way. */
	place->name = (struct fsc_name){ "", 0 };
	place->parent = 0;
	return fsc_getattr(me->fsc, here(&walk), &place->attr);
}

struct stat files_stat(const struct fs_attr *attr)
{
	return (struct stat){
		.st_ino = attr->ino,
		.st_mode = attr->mode,
		.st_nlink = attr->nlink,
		.st_uid = attr->uid,
		.st_gid = attr->gid,
		.st_rdev = attr->rdev,
		.st_size = (off_t)attr->size,
		.st_blocks = (blkcnt_t)attr->blocks,
		.st_blksize = 4096,
		.st_atim = { .tv_sec = attr->atime_s, .tv_nsec = attr->atime_ns },
		.st_mtim = { .tv_sec = attr->mtime_s, .tv_nsec = attr->mtime_ns },
		.st_ctim = { .tv_sec = attr->ctime_s, .tv_nsec = attr->ctime_ns },
	};
}
