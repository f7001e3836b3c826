/* SPDX-License-Identifier: Apache-2.0 */
/* Images out of archives, layouts and folders. An archive is unpacked first and looked at then: if it turns out to be a layout, its layers are unpacked in turn. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "container/image_internal.h"
#include "container/image_layout.h"
#include "container/oci.h"
#include "container/tree.h"
#include "container/why.h"

struct import {
	struct image_build build;
	struct image_feed feed;
	uint64_t done, bytes_left, files_left;
	const char *path;
	char *why;
};

static int open_tree(const struct import *import)
{
	return tree_open(import->build.dir, "tree", O_RDONLY | O_DIRECTORY);
}

/* ---- archives ---- */

/* The archive FD becomes the tree. */
static dvs_err unpack_tree(struct import *import, int fd, uint64_t bytes)
{
	AUTO_CLOSE int tree = open_tree(import);

	if (tree < 0)
		return why_errno(import->why, errno, "cannot open the new image");
	import->feed.source = fd;
	import->feed.root = tree;
	import->feed.total = bytes;
	return image_feed(&import->feed);
}

/* What was unpacked turned out to be a layout: it steps aside. */
static dvs_err layers_of_archive(struct import *import, const char *reference, json_t **config)
{
	AUTO_CLOSE int tree = -1, layout = -1;
	dvs_err err;

	if (renameat(import->build.dir, "tree", import->build.dir, "layout") != 0)
		return why_errno(import->why, errno, "cannot make the new image");
	err = image_make_tree(&import->build, import->why);
	if (err != DVS_OK)
		return err;
	tree = open_tree(import);
	layout = tree_open(import->build.dir, "layout", O_RDONLY | O_DIRECTORY);
	if (tree < 0 || layout < 0)
		return why_errno(import->why, errno, "cannot open the new image");
	import->feed.root = tree;
	import->bytes_left = IMAGE_BYTES_MAX;
	import->files_left = IMAGE_FILES_MAX;
	import->done = 0;
	err = image_layout_unpack(&import->feed, layout, reference, config);
	if (err == DVS_OK)
		err = tree_remove(import->build.dir, "layout", import->why);
	return err;
}

static dvs_err import_archive(struct import *import, int fd, const struct stat *st,
			      const char *reference, json_t **config)
{
	AUTO_CLOSE int tree = -1;
	dvs_err err = unpack_tree(import, fd, (uint64_t)st->st_size);

	if (err != DVS_OK)
		return err;
	tree = open_tree(import);
	if (tree >= 0 && image_layout_is(tree))
		return layers_of_archive(import, reference, config);
	if (reference[0])
		return why_say(import->why, DVS_BADARG,
			       "%s is a plain archive and holds no image called \"%s\": leave out"
			       " --reference",
			       import->path, reference);
	return DVS_OK;
}

/* ---- folders ---- */

static _Noreturn void be_packer(int folder, int out, int why_fd)
{
	char why[DESCRIPTION_TEXT_MAX] = "";
	struct pax_sink sink = { pax_write_fd, &out };
	struct pack pack = { .root = folder, .kind = PACK_IMAGE, .sink = &sink, .why = why };
	dvs_err err;

	(void)signal(SIGPIPE, SIG_IGN);
	err = pack_end(&pack, pack_tree(&pack, "", ""));
	if (err != DVS_OK && err != DVS_PEERDEAD && why[0] == '\0')
		why_say(why, err, "the folder cannot be read: %s", dvs_strerror(err));
	if (err == DVS_OK || err == DVS_PEERDEAD)
		_exit(0);
	_exit(write(why_fd, why, strlen(why)) > 0 ? 1 : 2);
}

/* The child that reads the folder has ended; what it complained of comes before what came of it. */
static dvs_err end_packer(struct import *import, pid_t child, int why_fd, dvs_err err)
{
	char why[DESCRIPTION_TEXT_MAX];
	int status = 0;
	ssize_t got;

	if (err == DVS_WOKEN)
		(void)kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (err == DVS_WOKEN || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return err;
	got = read(why_fd, why, sizeof(why) - 1);
	why[got > 0 ? got : 0] = '\0';
	return why_say(import->why, DVS_BADARG, "%s cannot become an image: %s", import->path,
		       got > 0 ? why : "the process that reads it has ended before its time");
}

static uint64_t measure(int folder)
{
	char why[DESCRIPTION_TEXT_MAX] = "";
	struct pack pack = { .root = folder, .kind = PACK_IMAGE, .why = why };

	/* It is only for the bar; what is wrong comes up when it is read. */
	if (pack_end(&pack, pack_tree(&pack, "", "")) != DVS_OK)
		return 0;
	return pack.count.bytes + pack.count.entries * PAX_BLOCK;
}

static dvs_err import_folder(struct import *import, int folder)
{
	AUTO_CLOSE int data_out = -1, data_in = -1, why_out = -1, why_in = -1;
	int data[2], whys[2];
	pid_t child;
	dvs_err err;

	if (pipe2(data, O_CLOEXEC) != 0)
		return why_errno(import->why, errno, "cannot make a pipe");
	data_out = data[0];
	data_in = data[1];
	if (pipe2(whys, O_CLOEXEC) != 0)
		return why_errno(import->why, errno, "cannot make a pipe");
	why_out = whys[0];
	why_in = whys[1];
	child = fork();
	if (child < 0)
		return why_errno(import->why, errno, "cannot start a process");
	if (child == 0) {
		close(data_out);
		be_packer(folder, data_in, why_in);
	}
	close(take_fd(&data_in));
	close(take_fd(&why_in));
	err = unpack_tree(import, data_out, measure(folder));
	/* A child that still writes gets to know that nobody reads. */
	close(take_fd(&data_out));
	return end_packer(import, child, why_out, err);
}

/* The store is not to be packed into itself. */
static dvs_err check_place(const char *lib_dir, const char *path, char *why)
{
	char store[PATH_MAX], folder[PATH_MAX];
	size_t len;

	if (!realpath(lib_dir, store) || !realpath(path, folder))
		return why_errno(why, errno, "cannot look at %s", path);
	len = strlen(folder);
	if (strncmp(store, folder, len) == 0 &&
	    (store[len] == '/' || store[len] == '\0' || len == 1))
		return why_say(why, DVS_BADARG,
			       "%s cannot become an image: the images of this node, %s, are in it",
			       path, lib_dir);
	return DVS_OK;
}

/* ---- the whole ---- */

static dvs_err import_any(struct import *import, const char *lib_dir, const char *reference,
			  json_t **config)
{
	AUTO_CLOSE int fd = open(import->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	AUTO_CLOSE int tree = -1;
	struct stat st;
	dvs_err err;

	if (fd < 0 || fstat(fd, &st) != 0) {
		int errno_value = errno;

		(void)why_errno(import->why, errno_value, "cannot open %s", import->path);
		return errno_value == ENOENT ? DVS_NOTFOUND : dvs_from_errno(errno_value);
	}
	if (S_ISREG(st.st_mode))
		return import_archive(import, fd, &st, reference, config);
	if (!S_ISDIR(st.st_mode))
		return why_say(import->why, DVS_BADARG, "%s is neither an archive nor a folder",
			       import->path);
	if (image_layout_is(fd)) {
		tree = open_tree(import);
		import->feed.root = tree;
		return image_layout_unpack(&import->feed, fd, reference, config);
	}
	if (reference[0])
		return why_say(import->why, DVS_BADARG,
			       "%s is no OCI layout and holds no image called \"%s\": leave out"
			       " --reference",
			       import->path, reference);
	err = check_place(lib_dir, import->path, import->why);
	return err == DVS_OK ? import_folder(import, fd) : err;
}

dvs_err image_import(const char *lib_dir, const char *name, const char *path, const char *reference,
		     image_progress progress, void *context, struct image *image, char *why)
{
	struct import import = { .bytes_left = IMAGE_BYTES_MAX,
				 .files_left = IMAGE_FILES_MAX,
				 .path = path,
				 .why = why };
	json_t *config = NULL;
	dvs_err err;

	why[0] = '\0';
	if (!image_name_ok(name))
		return why_say(
			why, DVS_BADARG,
			"\"%s\" cannot be the name of an image: letters, digits and \"-_./:\","
			" at most %u, each part beginning with a letter or digit",
			name, IMAGE_NAME_MAX);
	import.feed = (struct image_feed){ .done = &import.done,
					   .bytes_left = &import.bytes_left,
					   .files_left = &import.files_left,
					   .phase = "unpacking",
					   .progress = progress,
					   .context = context,
					   .why = why };
	err = image_begin(lib_dir, &import.build, why);
	if (err == DVS_OK)
		err = import_any(&import, lib_dir, reference, &config);
	if (err == DVS_OK && !config)
		config = json_object();
	if (err == DVS_OK)
		err = config ? image_commit(&import.build, name, NULL, config, progress, context,
					    image, why) :
			       why_say(why, DVS_NOMEM, "out of memory");
	json_decref(config);
	image_end(&import.build);
	return err;
}

/* It is here already: only the name is new. */
static dvs_err name_only(const char *lib_dir, const char *name, const char *digest, char *why)
{
	AUTO_CLOSE int store = image_store_fd(lib_dir);
	AUTO_CLOSE int lock = store < 0 ? -1 : image_store_lock(store);

	if (lock < 0)
		return why_errno(why, errno, "cannot lock %s/images", lib_dir);
	return image_set_name(store, name, digest + 7, why);
}

dvs_err image_receive(const char *lib_dir, const char *name, const char *digest, int fd,
		      uint64_t total_bytes, image_progress progress, void *context,
		      struct image *image, char *why)
{
	static const char *const tops[] = { "config", "tree", NULL };
	uint64_t done = 0, bytes_left = IMAGE_BYTES_MAX, files_left = IMAGE_FILES_MAX;
	struct image_build build;
	struct image_feed feed = { .source = fd,
				   .done = &done,
				   .total = total_bytes,
				   .tops = tops,
				   .bytes_left = &bytes_left,
				   .files_left = &files_left,
				   .phase = "copying",
				   .progress = progress,
				   .context = context,
				   .why = why };
	dvs_err err;

	why[0] = '\0';
	if ((name[0] && !image_name_ok(name)) || !oci_digest_ok(digest))
		return why_say(why, DVS_BADARG, "%s, %s is no name and digest of an image", name,
			       digest);
	if (image_find(lib_dir, digest, image) == DVS_OK) {
		err = name_only(lib_dir, name, digest, why);
		return err == DVS_OK ? image_find(lib_dir, name[0] ? name : digest, image) : err;
	}
	err = image_begin(lib_dir, &build, why);
	feed.root = build.dir;
	if (err == DVS_OK)
		err = image_feed(&feed);
	if (err == DVS_OK)
		err = image_commit(&build, name, digest, NULL, progress, context, image, why);
	image_end(&build);
	return err;
}
