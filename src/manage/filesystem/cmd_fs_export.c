/* SPDX-License-Identifier: Apache-2.0 */
/* dvs fs export: a directory of a file system, with all that is below it, into a directory of this node or an archive. */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/filesystem/acl.h"
#include "manage/filesystem/export.h"

#define SEGMENTS_MAX 65536u
#define SEEK_TO_DATA 3u
#define SEEK_TO_HOLE 4u

/* ---- for the places ---- */

bool export_beside(char name[EXPORT_BESIDE_BYTES])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return false;
	(void)snprintf(name, EXPORT_BESIDE_BYTES, ".dvs-%016llx", (unsigned long long)number);
	return true;
}

bool export_rename(const struct export *export, int folder, const char *from, const char *to)
{
	if (export->replaces)
		return renameat(folder, from, folder, to) == 0;
	if (renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0)
		return true;
	/* Not every file system can do that. */
	return errno == EINVAL && linkat(folder, from, folder, to, 0) == 0 &&
	       unlinkat(folder, from, 0) == 0;
}

int export_fail_errno(struct export *export, const char *path)
{
	if (errno == EEXIST)
		return fstree_fail(&export->tree, path[0] ? path : export->to,
				   "it is there already; --force replaces files");
	return fstree_fail(&export->tree, path[0] ? path : export->to, strerror(errno));
}

uint32_t export_mode(const struct export *export, const struct fs_attr *attr)
{
	return attr->mode & (export->keeps_owners ? 07777u : 01777u);
}

static int take_xattr(struct export *export, const struct export_what *what, const char *name,
		      uint8_t *value,
		      int (*take)(struct export *export, const struct export_what *what,
				  void *context, const char *name, const void *value, size_t len),
		      void *context)
{
	struct fstree *tree = &export->tree;
	size_t len = 0;
	dvs_err err;

	if (strncmp(name, "user.", 5) != 0 &&
	    !(export->keeps_owners &&
	      (strcmp(name, "security.capability") == 0 || acl_is_name(name))))
		return EXIT_DONE;
	err = fsc_getxattr(tree->me, tree->who, what->attr.ino,
			   (struct fsc_name){ name, strlen(name) }, value, FSC_XATTR_MAX, &len);
	/* It was there a moment ago. */
	if (err == DVS_NOATTR || err == DVS_NOTFOUND || err == DVS_STALE)
		return EXIT_DONE;
	if (err)
		return fstree_fail_err(tree, what->path, err);
	return take(export, what, context, name, value, len);
}

int export_xattrs(struct export *export, const struct export_what *what,
		  int (*take)(struct export *export, const struct export_what *what, void *context,
			      const char *name, const void *value, size_t len),
		  void *context)
{
	struct fstree *tree = &export->tree;
	AUTO_FREE char *names = malloc(2 * (size_t)FSC_XATTR_MAX + 1);
	int status = EXIT_DONE;
	size_t len = 0;
	dvs_err err;

	if (!names)
		return filesystem_fail(tree->fs, DVS_NOMEM);
	err = fsc_listxattr(tree->me, tree->who, what->attr.ino, names, FSC_XATTR_MAX, &len);
	if (err == DVS_NOTFOUND || err == DVS_STALE)
		return EXIT_DONE;
	if (err || len > FSC_XATTR_MAX)
		return fstree_fail_err(tree, what->path, err ? err : DVS_PROTO);
	names[len] = '\0';
	for (size_t at = 0; at < len && status == EXIT_DONE; at += strlen(names + at) + 1)
		status = take_xattr(export, what, names + at, (uint8_t *)names + FSC_XATTR_MAX + 1,
				    take, context);
	return status;
}

/* ---- files with several names ---- */

struct seen {
	uint64_t ino;
	char path[];
};

static int compare_seen(const void *left, const void *right)
{
	uint64_t a = ((const struct seen *)left)->ino;
	uint64_t b = ((const struct seen *)right)->ino;

	return (a > b) - (a < b);
}

/* Where it was exported to; NULL: not yet. */
static const char *find_seen(const struct export *export, const struct fs_attr *attr)
{
	const struct seen key = { .ino = attr->ino };
	void *found = attr->nlink > 1 ? tfind(&key, &export->seen, compare_seen) : NULL;

	return found ? (*(struct seen **)found)->path : NULL;
}

static int keep_seen(struct export *export, const struct fs_attr *attr)
{
	size_t len = strlen(export->path);
	struct seen *seen;

	if (attr->nlink < 2 || find_seen(export, attr))
		return EXIT_DONE;
	seen = malloc(sizeof(*seen) + len + 1);
	if (!seen)
		return filesystem_fail(export->tree.fs, DVS_NOMEM);
	seen->ino = attr->ino;
	memcpy(seen->path, export->path, len + 1);
	if (tsearch(seen, &export->seen, compare_seen))
		return EXIT_DONE;
	free(seen);
	return filesystem_fail(export->tree.fs, DVS_NOMEM);
}

static void forget_seen(struct export *export)
{
	tdestroy(export->seen, free);
	export->seen = NULL;
}

/* ---- one file ---- */

static bool is_gone(dvs_err err)
{
	return err == DVS_NOTFOUND || err == DVS_STALE;
}

/* Where its data is. A file in more pieces than can be kept has its last holes filled. */
static dvs_err find_segments(struct export *export, uint32_t handle, struct export_what *what)
{
	struct fsc_thread *me = export->tree.me;
	uint64_t at = 0;
	dvs_err err = DVS_OK;

	what->segments = export->segments;
	what->n_segments = 0;
	while (!err && at < what->attr.size) {
		struct segment *segment = &export->segments[what->n_segments];

		err = fsc_seek(me, handle, SEEK_TO_DATA, at, &segment->begin);
		if (err == DVS_NOATTR || (!err && segment->begin >= what->attr.size))
			return DVS_OK;
		if (!err)
			err = fsc_seek(me, handle, SEEK_TO_HOLE, segment->begin, &segment->end);
		if (err)
			break;
		if (segment->end > what->attr.size || what->n_segments == SEGMENTS_MAX - 1)
			segment->end = what->attr.size;
		if (segment->begin < at || segment->end <= segment->begin)
			return DVS_PROTO;
		at = segment->end;
		what->n_segments++;
	}
	return err == DVS_NODATA ? DVS_OK : err;
}

/* What is cut off meanwhile reads as zeroes. */
static int copy_segment(struct export *export, uint32_t handle, const struct export_what *what,
			const struct segment *segment, uint64_t before)
{
	struct fstree *tree = &export->tree;
	uint64_t at = segment->begin;

	while (at < segment->end) {
		uint64_t want = segment->end - at;
		const void *data;
		size_t len = 0;
		int status;
		dvs_err err = fsc_read(tree->me, handle, at,
				       want < FSC_IO_MAX ? (size_t)want : FSC_IO_MAX, &data, &len);

		if (err)
			return fstree_fail_err(tree, what->path, err);
		if (len == 0)
			break;
		if (len > want)
			return fstree_fail_err(tree, what->path, DVS_PROTO);
		status = export->place->data(export, at, data, len);
		if (status != EXIT_DONE)
			return status;
		at += len;
		tree->bytes = before + at;
		if (!fstree_goes_on(tree))
			return EXIT_FAILED;
	}
	return EXIT_DONE;
}

static int export_open_file(struct export *export, uint32_t handle, struct export_what *what)
{
	uint64_t before = export->tree.bytes;
	dvs_err err = find_segments(export, handle, what);
	int status;

	if (err)
		return fstree_fail_err(&export->tree, what->path, err);
	status = export->place->begin(export, what);
	if (status != EXIT_DONE)
		return status;
	for (size_t i = 0; i < what->n_segments && status == EXIT_DONE; i++)
		status = copy_segment(export, handle, what, &what->segments[i], before);
	status = export->place->end(export, what, status);
	export->tree.bytes = before + what->attr.size;
	return status;
}

static int export_file(struct export *export, struct export_what *what)
{
	struct fstree *tree = &export->tree;
	uint32_t handle = 0;
	int status;
	dvs_err err =
		fsc_open_file(tree->me, tree->who, what->attr.ino, O_RDONLY, &handle, &what->attr);

	if (err)
		return is_gone(err) ? EXIT_DONE : fstree_fail_err(tree, what->path, err);
	status = export_open_file(export, handle, what);
	err = fsc_release(tree->me, handle);
	return status == EXIT_DONE && err ? fstree_fail_err(tree, what->path, err) : status;
}

static int export_plain(struct export *export, const struct export_what *what)
{
	int status = export->place->begin(export, what);

	return status == EXIT_DONE ? export->place->end(export, what, status) : status;
}

static int export_symlink(struct export *export, struct export_what *what)
{
	AUTO_FREE char *target = malloc(FSC_TARGET_MAX + 1);
	size_t len = 0;
	dvs_err err = DVS_NOMEM;

	if (target)
		err = fsc_readlink(export->tree.me, what->attr.ino, target, &len);
	if (err)
		return is_gone(err) ? EXIT_DONE : fstree_fail_err(&export->tree, what->path, err);
	what->target = target;
	return export_plain(export, what);
}

static int export_other(struct export *export, struct export_what *what)
{
	uint32_t type = what->attr.mode & S_IFMT;
	int status;

	/* Sockets belong to processes; devices give rights. */
	if (type == S_IFSOCK)
		return EXIT_DONE;
	if (!export->keeps_owners && (type == S_IFBLK || type == S_IFCHR)) {
		export->left_out++;
		return EXIT_DONE;
	}
	what->same = find_seen(export, &what->attr);
	if (what->same)
		status = export_plain(export, what);
	else if (type == S_IFREG)
		status = export_file(export, what);
	else if (type == S_IFLNK)
		status = export_symlink(export, what);
	else
		status = export_plain(export, what);
	if (status != EXIT_DONE)
		return status;
	export->tree.files++;
	return keep_seen(export, &what->attr);
}

/* ---- the walk ---- */

static int enter(struct export *export, const char *name, const struct fs_attr *attr)
{
	struct level *level = calloc(1, sizeof(*level));
	int status;

	if (!level)
		return filesystem_fail(export->tree.fs, DVS_NOMEM);
	level->up = export->level;
	level->path_len = strlen(export->path);
	level->what = (struct export_what){ .path = export->path, .attr = *attr };
	level->what.name = name;
	level->fd = -1;
	export->level = level;
	status = export->place ? export->place->enter(export) : EXIT_DONE;
	if (status == EXIT_DONE && level->up)
		export->tree.files++;
	return status;
}

static int leave(struct export *export)
{
	struct level *level = export->level;
	int status = EXIT_DONE;

	export->path[level->path_len] = '\0';
	if (export->place)
		status = export->place->leave(export);
	export->level = level->up;
	free(level);
	return status;
}

/* NAME below the directory, in export->path. */
static bool set_path(struct export *export, const struct fs_dirent *entry)
{
	size_t len = export->level->path_len;
	int used = snprintf(export->path + len, sizeof(export->path) - len, "%s%.*s",
			    len ? "/" : "", (int)entry->n_name, (const char *)entry->name);

	if (used > 0 && (size_t)used < sizeof(export->path) - len)
		return true;
	export->path[len] = '\0';
	return false;
}

static bool is_dots(const struct fs_dirent *entry)
{
	return entry->name[0] == '.' &&
	       (entry->n_name == 1 || (entry->n_name == 2 && entry->name[1] == '.'));
}

static int visit(struct export *export, const struct fs_dirent *entry, const struct fs_attr *attr)
{
	size_t len = export->level->path_len;
	struct export_what what = { .path = export->path, .attr = *attr };

	if (entry->n_name == 0 || memchr(entry->name, '/', entry->n_name) ||
	    memchr(entry->name, '\0', entry->n_name))
		return fstree_fail(&export->tree, export->path[0] ? export->path : "/",
				   "there is a name in it that cannot be one");
	if (attr->ino == 0)
		return EXIT_DONE;
	if (!set_path(export, entry))
		return fstree_fail(&export->tree, export->path, "the paths below it are too long");
	what.name = export->path + len + (len > 0);
	if (S_ISDIR(attr->mode))
		return enter(export, what.name, attr);
	if (export->place)
		return export_other(export, &what);
	export->tree.total += S_ISREG(attr->mode) && !find_seen(export, attr) ? attr->size : 0;
	return keep_seen(export, attr);
}

/* The next entry of the directory, or out of it. */
static int step(struct export *export)
{
	struct level *level = export->level;
	struct fstree *tree = &export->tree;
	struct fs_dirent entry;
	struct fs_attr attr;
	dvs_err err;

	export->path[level->path_len] = '\0';
	if (fsc_entry_next(&level->entries, &entry, &attr)) {
		if (entry.cookie == level->cookie)
			return fstree_fail_err(tree, export->path, DVS_PROTO);
		level->cookie = entry.cookie;
		return is_dots(&entry) ? EXIT_DONE : visit(export, &entry, &attr);
	}
	if (level->entries.is_end)
		return leave(export);
	err = fsc_readdir(tree->me, tree->who, 0, level->what.attr.ino, level->cookie, true,
			  level->room, sizeof(level->room), &level->entries);
	/* Somebody has removed it meanwhile. */
	if (is_gone(err))
		return leave(export);
	return err ? fstree_fail_err(tree, export->path, err) : EXIT_DONE;
}

static int walk(struct export *export, const struct fs_attr *top)
{
	int status;

	export->path[0] = '\0';
	status = enter(export, "", top);
	while (status == EXIT_DONE && export->level) {
		status = step(export);
		if (status == EXIT_DONE && !fstree_goes_on(&export->tree))
			status = EXIT_FAILED;
	}
	while (export->level) {
		int left = leave(export);

		if (status == EXIT_DONE)
			status = left;
	}
	forget_seen(export);
	return status;
}

/* ---- all ---- */

static int export_all(struct export *export, const struct fs_attr *top)
{
	const struct export_place *place = export->place;
	int status;

	/* How much there is, without a place to go to. */
	export->place = NULL;
	status = walk(export, top);
	export->place = place;
	export->tree.files = 0;
	if (status == EXIT_DONE)
		status = place->open(export);
	if (status == EXIT_DONE)
		status = walk(export, top);
	return place->close(export, status);
}

static int run(struct export *export)
{
	struct cli *cli = export->tree.fs->cli;
	struct fs_attr top;
	dvs_err err = fstree_find(&export->tree, export->from, false, &top);
	int status;

	if (err)
		return fstree_fail_err(&export->tree, export->from, err);
	export->segments = calloc(SEGMENTS_MAX, sizeof(*export->segments));
	if (!export->segments)
		return filesystem_fail(export->tree.fs, DVS_NOMEM);
	status = export_all(export, &top);
	progress_end(&export->tree.progress);
	if (status != EXIT_DONE && export->place == &export_to_directory)
		cli_note(
			cli,
			"export file system %s: %llu files, directories and links are in %s, the rest is not",
			export->tree.fs->text, (unsigned long long)export->tree.files, export->to);
	else if (status != EXIT_DONE && strcmp(export->to, "-") != 0)
		cli_note(cli, "export file system %s: %s is not made", export->tree.fs->text,
			 export->to);
	if (status == EXIT_DONE && export->left_out)
		cli_note(
			cli,
			"export file system %s: %llu devices (without --owners) and attributes (that %s does not keep) are left out",
			export->tree.fs->text, (unsigned long long)export->left_out, export->to);
	return status;
}

static int export_it(struct filesystem *fs)
{
	AUTO_FREE struct export *export = calloc(1, sizeof(*export));
	const char *colon = strchr(fs->cli->words[0], ':');
	int status;

	if (!export)
		return filesystem_fail(fs, DVS_NOMEM);
	export->from = colon ? colon + 1 : "/";
	export->to = fs->cli->words[1];
	export->keeps_owners = cli_has(fs->cli, OPTION_OWNERS);
	export->replaces = cli_has(fs->cli, OPTION_FORCE);
	export->place = export_is_archive(export->to) ? &export_to_archive : &export_to_directory;
	status = fstree_open(fs, "export", &export->tree);
	if (status == EXIT_DONE)
		status = run(export);
	free(export->segments);
	fstree_close(&export->tree);
	/* What goes to the standard output is the archive. */
	if (status != EXIT_DONE || strcmp(export->to, "-") == 0)
		return status;
	return cli_result(fs->cli, export->to,
			  json_pack("{s:s, s:s, s:I, s:I}", "name", fs->text, "to", export->to,
				    "files", (json_int_t) export->tree.files, "bytes",
				    (json_int_t) export->tree.bytes));
}

int cmd_fs_export(struct cli *cli)
{
	const char *word = cli->words[0];
	char name[2 * DVS_NAME_MAX + 2];
	size_t len = strcspn(word, ":");

	if (len >= sizeof(name))
		return cli_usage(cli, "'%s' is no name of a file system", word);
	memcpy(name, word, len);
	name[len] = '\0';
	if (strcmp(cli->words[1], "-") == 0 && isatty(STDOUT_FILENO))
		return cli_usage(cli, "an archive is nothing for a terminal; say '> FILE.tar'");
	return filesystem_with(cli, name, "export", false, export_it);
}
