/* SPDX-License-Identifier: Apache-2.0 */
/* dvs fs import: a directory of this node, or an archive, into a file system. libarchive reads both in the same way. What an archive says is not believed: its paths lead nowhere but below where it goes, and through no link. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/filesystem/acl.h"
#include "manage/filesystem/fstree.h"

#define BLOCK_BYTES 65536u

/* A directory whose times are set when all is in it. */
struct folder {
	uint64_t ino;
	struct fs_change change;
	/* What is made in it gets this ACL: not before all is in it. NULL: none */
	uint8_t *inherited;
	size_t inherited_len;
};

struct import {
	struct fstree tree;
	const char *from;
	size_t from_len; /* of a directory: so much is before the paths of what is in it */
	struct archive *in;
	bool keeps_owners;
	uint64_t top; /* where it goes */
	/* The directory of the last entry: the next one is often in it. */
	char parent[PATH_MAX];
	uint64_t parent_ino;
	struct folder *folders;
	size_t n_folders;
};

/* ---- the source ---- */

static void count(struct import *import)
{
	char *const paths[] = { (char *)(uintptr_t)import->from, NULL };
	FTS *all = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *one;

	while (all && (one = fts_read(all)) != NULL) {
		if (one->fts_info == FTS_F)
			import->tree.total += (uint64_t)one->fts_statp->st_size;
	}
	if (all)
		(void)fts_close(all);
}

static int open_source(struct import *import)
{
	struct stat status;
	int result;

	if (stat(import->from, &status) != 0)
		return fstree_fail(&import->tree, import->from, strerror(errno));
	if (S_ISDIR(status.st_mode)) {
		count(import);
		import->in = archive_read_disk_new();
		import->from_len = strlen(import->from);
		if (!import->in)
			return filesystem_fail(import->tree.fs, DVS_NOMEM);
		(void)archive_read_disk_set_symlink_physical(import->in);
		result = archive_read_disk_open(import->in, import->from);
	} else {
		import->tree.total = (uint64_t)status.st_size;
		import->in = archive_read_new();
		if (!import->in)
			return filesystem_fail(import->tree.fs, DVS_NOMEM);
		(void)archive_read_support_filter_all(import->in);
		(void)archive_read_support_format_tar(import->in);
		result = archive_read_open_filename(import->in, import->from, BLOCK_BYTES);
	}
	return result == ARCHIVE_OK ?
		       EXIT_DONE :
		       fstree_fail(&import->tree, import->from, archive_error_string(import->in));
}

/* What PATH is called below where it goes, without slashes around it: "" is the top itself. NULL: it leads out. */
static const char *inner_path(const struct import *import, const char *path, char inner[PATH_MAX])
{
	size_t len = 0;

	if (import->from_len)
		path += strlen(path) < import->from_len ? strlen(path) : import->from_len;
	inner[0] = '\0';
	while (*path) {
		size_t part = strcspn(path, "/");

		if (part == 2 && strncmp(path, "..", 2) == 0)
			return NULL;
		if (part > 0 && !(part == 1 && path[0] == '.')) {
			int used = snprintf(inner + len, PATH_MAX - len, "%s%.*s", len ? "/" : "",
					    (int)part, path);

			if (used < 0 || (size_t)used >= PATH_MAX - len)
				return NULL;
			len += (size_t)used;
		}
		path += part + (path[part] == '/');
	}
	return inner;
}

/* ---- one entry ---- */

/* The directory that INNER is in, from the top of what is imported, and its last name. */
static dvs_err find_parent(struct import *import, const char *inner, uint64_t *parent,
			   struct fsc_name *name)
{
	const char *slash = strrchr(inner, '/');
	size_t len = slash ? (size_t)(slash - inner) : 0;
	struct fs_attr attr;
	char path[2 * PATH_MAX];
	dvs_err err;

	name->text = slash ? slash + 1 : inner;
	name->len = strlen(name->text);
	if (name->len > FSC_NAME_MAX)
		return DVS_NAMELONG;
	*parent = import->top;
	if (len == 0)
		return DVS_OK;
	*parent = import->parent_ino;
	if (import->parent_ino && strncmp(import->parent, inner, len) == 0 &&
	    import->parent[len] == '\0')
		return DVS_OK;
	(void)snprintf(path, sizeof(path), "%s/%.*s",
		       import->tree.fs->cli->n_words > 2 ? import->tree.fs->cli->words[2] : "",
		       (int)len, inner);
	err = fstree_find(&import->tree, path, true, &attr);
	if (err)
		return err;
	(void)snprintf(import->parent, sizeof(import->parent), "%.*s", (int)len, inner);
	*parent = import->parent_ino = attr.ino;
	return DVS_OK;
}

static struct fs_change change_of(const struct import *import, struct archive_entry *entry)
{
	struct fs_change change = { .valid = TREE_SET_MODE,
				    .mode = (uint32_t)archive_entry_perm(entry),
				    .mtime_s = archive_entry_mtime(entry),
				    .mtime_ns = (uint32_t)archive_entry_mtime_nsec(entry) };

	if (archive_entry_mtime_is_set(entry))
		change.valid |= TREE_SET_TIMES;
	change.atime_s = archive_entry_atime_is_set(entry) ? archive_entry_atime(entry) :
							     change.mtime_s;
	change.atime_ns = archive_entry_atime_is_set(entry) ?
				  (uint32_t)archive_entry_atime_nsec(entry) :
				  change.mtime_ns;
	if (import->keeps_owners) {
		change.valid |= TREE_SET_OWNER;
		change.uid = (uint32_t)archive_entry_uid(entry);
		change.gid = (uint32_t)archive_entry_gid(entry);
	}
	return change;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* Blocks of zeroes stay holes. */
static int copy_data(struct import *import, uint32_t handle, const char *inner, uint64_t *size)
{
	struct fstree *tree = &import->tree;
	la_ssize_t len;

	*size = 0;
	while ((len = archive_read_data(import->in, tree->room, FSC_IO_MAX)) > 0) {
		struct fs_write_rep rep;
		dvs_err err = DVS_OK;

		if (!is_zero(tree->room, (size_t)len))
			err = fsc_write(tree->me, handle, 0, *size, tree->room, (size_t)len, &rep);
		if (err)
			return fstree_fail_err(tree, inner, err);
		*size += (uint64_t)len;
		tree->bytes = import->from_len ? tree->bytes + (uint64_t)len :
						 (uint64_t)archive_filter_bytes(import->in, -1);
		if (!fstree_goes_on(tree))
			return EXIT_FAILED;
	}
	return len == 0 ? EXIT_DONE : fstree_fail(tree, inner, archive_error_string(import->in));
}

static int set_xattrs(struct import *import, struct archive_entry *entry, const char *inner,
		      uint64_t ino)
{
	struct fstree *tree = &import->tree;
	const char *name;
	const void *value;
	size_t len;

	(void)archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK) {
		const struct fsc_name word = { name, strlen(name) };
		dvs_err err;

		/* What belongs to the source's own machine. */
		if (strncmp(name, "user.", 5) != 0 && strcmp(name, "security.capability") != 0)
			continue;
		err = len > FSC_XATTR_MAX ?
			      DVS_TOOBIG :
			      fsc_setxattr(tree->me, tree->who, ino, word, value, len, 0);
		if (err)
			return fstree_fail_err(tree, inner, err);
	}
	return EXIT_DONE;
}

/* The attribute NAME is these bytes; NULL: there is none, also if one was inherited. */
static dvs_err put_acl(struct import *import, uint64_t ino, const char *name, const uint8_t *bytes,
		       size_t len)
{
	struct fstree *tree = &import->tree;
	const struct fsc_name word = { name, strlen(name) };
	dvs_err err;

	if (bytes)
		return fsc_setxattr(tree->me, tree->who, ino, word, bytes, len, 0);
	err = fsc_removexattr(tree->me, tree->who, ino, word);
	return err == DVS_NOATTR ? DVS_OK : err;
}

/* The ACL, whose mask is the mode's group from then on. Whom it names is a number, as owners are. */
static int set_acl(struct import *import, struct archive_entry *entry, const char *inner,
		   uint64_t ino)
{
	AUTO_FREE uint8_t *bytes = NULL;
	size_t len = 0;
	dvs_err err;

	if (!import->keeps_owners)
		return EXIT_DONE;
	err = acl_from_entry(entry, ACL_ACCESS, &bytes, &len);
	if (!err)
		err = put_acl(import, ino, ACL_ACCESS, bytes, len);
	return err ? fstree_fail_err(&import->tree, inner, err) : EXIT_DONE;
}

/* A new file, directory or other thing of that name; what was there goes, but for directories. */
static dvs_err make_new(struct import *import, const struct fsc_new *what, uint32_t *handle,
			struct fs_attr *attr)
{
	struct fstree *tree = &import->tree;
	struct fs_unlink_rep rep;
	dvs_err err = fsc_create(tree->me, tree->who, what,
				 handle ? O_WRONLY | O_CREAT | O_EXCL : 0, handle, attr);

	if (err != DVS_EXISTS)
		return err;
	err = fsc_lookup(tree->me, tree->who, what->parent, what->name, attr);
	if (err || (S_ISDIR(attr->mode) && S_ISDIR(what->mode)))
		return err;
	err = fsc_unlink(tree->me, tree->who, what->parent, what->name, false, &rep);
	return err ? err :
		     fsc_create(tree->me, tree->who, what, handle ? O_WRONLY | O_CREAT | O_EXCL : 0,
				handle, attr);
}

static int import_file(struct import *import, struct archive_entry *entry, const char *inner,
		       const struct fsc_new *what)
{
	struct fstree *tree = &import->tree;
	struct fs_change change = change_of(import, entry);
	struct fs_unlink_rep gone;
	struct fs_attr attr;
	uint32_t handle = 0;
	dvs_err err = make_new(import, what, &handle, &attr);
	int status;

	if (err)
		return fstree_fail_err(tree, inner, err);
	status = copy_data(import, handle, inner, &change.size);
	err = fsc_release(tree->me, handle);
	change.valid |= TREE_SET_SIZE;
	if (status == EXIT_DONE && !err)
		status = set_xattrs(import, entry, inner, attr.ino);
	if (status == EXIT_DONE && !err)
		err = fsc_setattr(tree->me, tree->who, attr.ino, 0, &change, &attr);
	if (status == EXIT_DONE && err)
		status = fstree_fail_err(tree, inner, err);
	if (status == EXIT_DONE)
		status = set_acl(import, entry, inner, attr.ino);
	/* Half a file is none. */
	if (status != EXIT_DONE)
		(void)!fsc_unlink(tree->me, tree->who, what->parent, what->name, false, &gone);
	return status;
}

static int keep_folder(struct import *import, struct archive_entry *entry, const char *inner,
		       uint64_t ino, const struct fs_change *change)
{
	struct folder *more = import->folders;
	struct folder folder = { .ino = ino, .change = *change };
	dvs_err err;

	if ((import->n_folders & (import->n_folders - 1)) == 0)
		more = reallocarray(more, import->n_folders ? 2 * import->n_folders : 1,
				    sizeof(*more));
	if (!more)
		return filesystem_fail(import->tree.fs, DVS_NOMEM);
	import->folders = more;
	/* It has its mode, and perhaps an ACL that says more. */
	folder.change.valid &= ~TREE_SET_MODE;
	err = import->keeps_owners ?
		      acl_from_entry(entry, ACL_DEFAULT, &folder.inherited, &folder.inherited_len) :
		      DVS_OK;
	if (err)
		return fstree_fail_err(&import->tree, inner, err);
	more[import->n_folders++] = folder;
	return EXIT_DONE;
}

/* Links, and what has no bytes. */
static dvs_err import_other(struct import *import, struct archive_entry *entry,
			    struct fsc_new *what, struct fs_attr *attr)
{
	struct fstree *tree = &import->tree;
	const char *target = archive_entry_symlink(entry);
	struct fs_unlink_rep rep;
	dvs_err err;

	if (!S_ISLNK(what->mode)) {
		what->rdev = (uint32_t)archive_entry_rdev(entry);
		return make_new(import, what, NULL, attr);
	}
	if (!target || strlen(target) > FSC_TARGET_MAX)
		return DVS_BADARG;
	err = fsc_unlink(tree->me, tree->who, what->parent, what->name, false, &rep);
	if (err && err != DVS_NOTFOUND)
		return err;
	return fsc_symlink(tree->me, tree->who, what->parent, what->name,
			   (struct fsc_name){ target, strlen(target) }, attr);
}

/* Another name of what was imported before. */
static dvs_err import_link(struct import *import, const char *old, const struct fsc_new *what)
{
	struct fstree *tree = &import->tree;
	struct fs_unlink_rep rep;
	struct fsc_name name;
	struct fs_attr attr;
	char inner[PATH_MAX];
	uint64_t parent;
	dvs_err err = inner_path(import, old, inner) && inner[0] ?
			      find_parent(import, inner, &parent, &name) :
			      DVS_BADARG;

	if (!err)
		err = fsc_lookup(tree->me, tree->who, parent, name, &attr);
	if (err)
		return err;
	err = fsc_link(tree->me, tree->who, attr.ino, what->parent, what->name, &attr);
	if (err != DVS_EXISTS)
		return err;
	err = fsc_unlink(tree->me, tree->who, what->parent, what->name, false, &rep);
	return err ? err : fsc_link(tree->me, tree->who, attr.ino, what->parent, what->name, &attr);
}

static int import_at(struct import *import, struct archive_entry *entry, const char *inner,
		     struct fsc_new *what)
{
	struct fstree *tree = &import->tree;
	struct fs_change change = change_of(import, entry);
	const char *old = archive_entry_hardlink(entry);
	struct fs_attr attr;
	dvs_err err;
	int status;

	if (old) {
		err = import_link(import, old, what);
		return err ? fstree_fail_err(tree, inner, err) : EXIT_DONE;
	}
	if (S_ISREG(what->mode))
		return import_file(import, entry, inner, what);
	err = import_other(import, entry, what, &attr);
	if (S_ISLNK(what->mode))
		change.valid &= ~TREE_SET_MODE;
	if (!err)
		err = fsc_setattr(tree->me, tree->who, attr.ino, 0, &change, &attr);
	if (err)
		return fstree_fail_err(tree, inner, err);
	status = S_ISLNK(what->mode) ? EXIT_DONE : set_xattrs(import, entry, inner, attr.ino);
	if (status == EXIT_DONE && !S_ISLNK(what->mode))
		status = set_acl(import, entry, inner, attr.ino);
	if (status == EXIT_DONE && S_ISDIR(what->mode))
		status = keep_folder(import, entry, inner, attr.ino, &change);
	return status;
}

static int import_entry(struct import *import, struct archive_entry *entry)
{
	const char *path = archive_entry_pathname(entry);
	struct fsc_new what = { .mode = (uint32_t)archive_entry_mode(entry) };
	char inner[PATH_MAX];
	dvs_err err;

	if (!path || !inner_path(import, path, inner))
		return fstree_fail(&import->tree, path ? path : "a name",
				   "it leads out of what is imported, or is too long");
	/* Sockets belong to processes; and the top is there. */
	if (!inner[0] || S_ISSOCK(what.mode))
		return EXIT_DONE;
	err = find_parent(import, inner, &what.parent, &what.name);
	if (err)
		return fstree_fail_err(&import->tree, inner, err);
	import->tree.files++;
	return import_at(import, entry, inner, &what);
}

/* ---- all ---- */

static int import_all(struct import *import)
{
	struct archive_entry_linkresolver *links = archive_entry_linkresolver_new();
	int status = EXIT_DONE;
	int result = ARCHIVE_OK;

	if (!links)
		return filesystem_fail(import->tree.fs, DVS_NOMEM);
	archive_entry_linkresolver_set_strategy(links, ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE);
	while (status == EXIT_DONE && fstree_goes_on(&import->tree)) {
		struct archive_entry *entry = archive_entry_new();
		struct archive_entry *later = NULL;

		result = entry ? archive_read_next_header2(import->in, entry) : ARCHIVE_FATAL;
		if (result == ARCHIVE_EOF || result < ARCHIVE_WARN) {
			archive_entry_free(entry);
			break;
		}
		if (import->from_len) {
			(void)archive_read_disk_descend(import->in);
			archive_entry_linkify(links, &entry, &later);
		}
		status = import_entry(import, entry);
		archive_entry_free(entry);
	}
	archive_entry_linkresolver_free(links);
	if (status == EXIT_DONE && import->tree.is_stopped)
		status = EXIT_FAILED;
	if (status == EXIT_DONE && result != ARCHIVE_EOF)
		status = fstree_fail(&import->tree, import->from, archive_error_string(import->in));
	return status;
}

/* Innermost last: what is made in a directory changes its times. */
static int finish(struct import *import)
{
	struct fstree *tree = &import->tree;
	struct fs_attr attr;
	dvs_err err = DVS_OK;

	for (size_t i = import->n_folders; i-- > 0 && !err;) {
		const struct folder *folder = &import->folders[i];

		if (import->keeps_owners)
			err = put_acl(import, folder->ino, ACL_DEFAULT, folder->inherited,
				      folder->inherited_len);
		if (!err)
			err = fsc_setattr(tree->me, tree->who, folder->ino, 0, &folder->change,
					  &attr);
	}
	if (!err)
		err = fsc_fsync(tree->me, 0, false);
	return err ? fstree_fail_err(tree, "the last of it", err) : EXIT_DONE;
}

static int run(struct import *import)
{
	struct cli *cli = import->tree.fs->cli;
	const char *to = cli->n_words > 2 ? cli->words[2] : "/";
	struct fs_attr attr;
	dvs_err err = fstree_find(&import->tree, to, true, &attr);
	int status;

	if (err)
		return fstree_fail_err(&import->tree, to, err);
	import->top = attr.ino;
	status = open_source(import);
	if (status == EXIT_DONE)
		status = import_all(import);
	if (status == EXIT_DONE)
		status = finish(import);
	progress_end(&import->tree.progress);
	if (status != EXIT_DONE)
		cli_note(
			cli,
			"import file system %s: %llu files, directories and links of it are there, the rest is not",
			import->tree.fs->text, (unsigned long long)import->tree.files);
	return status;
}

static int import(struct filesystem *fs)
{
	AUTO_FREE struct import *import = calloc(1, sizeof(*import));
	int status;

	if (!import)
		return filesystem_fail(fs, DVS_NOMEM);
	import->from = fs->cli->words[1];
	import->keeps_owners = cli_has(fs->cli, OPTION_OWNERS);
	status = fstree_open(fs, "import", &import->tree);
	if (status == EXIT_DONE)
		status = run(import);
	if (import->in)
		(void)archive_read_free(import->in);
	for (size_t i = 0; i < import->n_folders; i++)
		free(import->folders[i].inherited);
	free(import->folders);
	fstree_close(&import->tree);
	if (status != EXIT_DONE)
		return status;
	return cli_result(fs->cli, fs->text,
			  json_pack("{s:s, s:I, s:I}", "name", fs->text, "files",
				    (json_int_t)import->tree.files, "bytes",
				    (json_int_t)import->tree.bytes));
}

int cmd_fs_import(struct cli *cli)
{
	return filesystem_with(cli, cli->words[0], "import into", false, import);
}
