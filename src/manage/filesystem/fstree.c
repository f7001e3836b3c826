/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/filesystem/fstree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"

#define OPEN_MS 15000u
#define PATIENCE_MS 60000u

int fstree_open(struct filesystem *fs, const char *what, struct fstree *tree)
{
	const struct fsc_config config = { .open_ms = OPEN_MS, .patience_ms = PATIENCE_MS };
	const struct fsc_identity root = { .flags = FSC_MAY_ALL };
	char why[FSC_WHY_MAX + 1] = "";
	dvs_err err;

	*tree = (struct fstree){ .fs = fs, .what = what, .interrupts = { .fd = -1 } };
	tree->room = malloc(FSC_IO_MAX);
	if (!tree->room)
		return filesystem_fail(fs, DVS_NOMEM);
	err = fsc_open(link_run_dir(fs->cli), fs->dc, fs->name, &config, &tree->fsc, why);
	if (err)
		return filesystem_note(fs, "%s", why);
	err = fsc_enter(tree->fsc, &tree->me);
	if (!err)
		err = fsc_who_get(tree->me, &root, &tree->who);
	if (err)
		return filesystem_fail(fs, err);
	if (!interrupts_open(&tree->interrupts, false))
		return filesystem_note(fs, "take signals: %s", strerror(errno));
	progress_begin(&tree->progress, fs->cli->err);
	return EXIT_DONE;
}

void fstree_close(struct fstree *tree)
{
	if (tree->interrupts.fd >= 0) {
		progress_end(&tree->progress);
		interrupts_close(&tree->interrupts);
	}
	if (tree->who)
		fsc_who_put(tree->me, tree->who);
	if (tree->me)
		fsc_leave(tree->me);
	fsc_close(tree->fsc);
	free(tree->room);
}

bool fstree_goes_on(struct fstree *tree)
{
	progress_bytes(&tree->progress, tree->what, tree->bytes, tree->total);
	if (!tree->is_stopped &&
	    interrupts_wait(&tree->interrupts, -1, clock_now_ns()) == EVENT_END)
		tree->is_stopped = true;
	return !tree->is_stopped;
}

int fstree_fail(struct fstree *tree, const char *path, const char *why)
{
	progress_end(&tree->progress);
	return filesystem_note(tree->fs, "%s: %s", path, why);
}

int fstree_fail_err(struct fstree *tree, const char *path, dvs_err err)
{
	return fstree_fail(tree, path, dvs_strerror(err));
}

static dvs_err step_down(struct fstree *tree, const char *name, size_t len, bool makes,
			 struct fs_attr *attr)
{
	const struct fsc_name word = { name, len };
	const struct fsc_new what = { .parent = attr->ino, .name = word, .mode = S_IFDIR | 0755 };
	dvs_err err = len > FSC_NAME_MAX ? DVS_NAMELONG :
					   fsc_lookup(tree->me, tree->who, attr->ino, word, attr);

	if (err == DVS_NOTFOUND && makes)
		err = fsc_create(tree->me, tree->who, &what, 0, NULL, attr);
	return !err && !S_ISDIR(attr->mode) ? DVS_NOTDIR : err;
}

dvs_err fstree_find(struct fstree *tree, const char *path, bool makes, struct fs_attr *attr)
{
	dvs_err err = fsc_getattr(tree->me, FSC_ROOT, attr);

	while (!err && *path) {
		size_t len = strcspn(path, "/");

		if (len > 0)
			err = step_down(tree, path, len, makes, attr);
		path += len + (path[len] == '/');
	}
	return err;
}
