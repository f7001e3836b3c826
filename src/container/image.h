/* SPDX-License-Identifier: Apache-2.0 */
/* The images of a node: root file systems by name and digest, in lib_dir/images.
 *
 *	images/HEX/tree/      the files, with the image's own ids
 *	images/HEX/config     JSON: what the image says about its programs (image_config())
 *	images/HEX/info       JSON: digest, bytes, files, imported_ns
 *	images/names/NAME     a symbolic link to ../HEX; '/' in names is '+' there
 *	images/new-XXXXXX/    what is being made or removed; locked (flock) while somebody works on it, removed at the next start
 *	images/lock           held (flock) for moments
 *
 * The digest is the SHA-256 of the canonical archive of "config" and "tree" (pack.h, pax.h: names sorted, no times but mtime in whole seconds, no user names), which is also how an
 * image goes to another node; so equal trees are one image, and what came over the network is checked by its name. Archives are hostile: they are unpacked by a child that has
 * changed its root to the new tree and has no right but to own files (confine.h, unpack.h); absolute names, "..", links that lead out, devices and sockets are refused. Of extended
 * attributes user.* and security.capability are kept. All of it needs root. */
#ifndef CONTAINER_IMAGE_H
#define CONTAINER_IMAGE_H

#include "container/description.h"

#define IMAGE_NAME_MAX 127u
#define IMAGE_DIGEST_MAX 71u /* "sha256:" and 64 hexadecimal digits */
#define IMAGE_BYTES_MAX (UINT64_C(64) << 30)
#define IMAGE_FILES_MAX UINT64_C(2000000)

struct image {
	char name[IMAGE_NAME_MAX + 1];
	char digest[IMAGE_DIGEST_MAX + 1];
	uint64_t bytes;
	uint64_t files;
	uint64_t imported_ns;
};

/* Told now and then how far it is; returns false to stop it. */
typedef bool (*image_progress)(void *context, const char *phase, uint64_t done_bytes,
			       uint64_t total_bytes);

/* Names: letters, digits and "-_./:", as of OCI references; none begins with "sha256:". */
bool image_name_ok(const char *name);
/* Remove what was left half made, but not what another process is making. */
void image_store_open(const char *lib_dir);
/* Blocks. PATH: an archive, an OCI layout (directory or archive; REFERENCE chooses a tag, "" the only one), what `docker save` writes, or a directory. NAME goes to it, also when another image
 * had it, which then is there by its digest alone. DENIED, NOTFOUND, BADARG, IO, TOOBIG; WOKEN: it was stopped. WHY as in container.h. */
DVS_MUST_USE dvs_err image_import(const char *lib_dir, const char *name, const char *path,
				  const char *reference, image_progress progress, void *context,
				  struct image *image, char *why);
/* The image that comes as a canonical archive on FD and must have DIGEST. */
DVS_MUST_USE dvs_err image_receive(const char *lib_dir, const char *name, const char *digest,
				   int fd, uint64_t total_bytes, image_progress progress,
				   void *context, struct image *image, char *why);
/* Write the canonical archive of the image to FD. Blocks. */
DVS_MUST_USE dvs_err image_send(const char *lib_dir, const char *digest, int fd, char *why);
/* By name, digest, or a digest's beginning ("sha256:" and 8 digits or more) if it is the only such one. NOTFOUND. */
DVS_MUST_USE dvs_err image_find(const char *lib_dir, const char *name, struct image *image);
/* The first one whose name follows AFTER. One without a name has its digest for one. NOTFOUND: that was all. */
DVS_MUST_USE dvs_err image_next(const char *lib_dir, const char *after, struct image *image);
/* Remove a name, or by its digest an image with all its names; the tree goes with the last name. INUSE: it was the last one and IN_USE(digest), which is asked only then, is
 * true: nothing was removed. NOTFOUND. */
DVS_MUST_USE dvs_err image_remove(const char *lib_dir, const char *name,
				  bool (*in_use)(void *context, const char *digest), void *context);
/* What the image says about its programs: an object with those of "env" (list of NAME=VALUE), "entrypoint" and "cmd" (lists), "workdir", "user" and "stop_signal" that it has. The caller
 * frees it. NOTFOUND. */
DVS_MUST_USE dvs_err image_config(const char *lib_dir, const char *digest, json_t **config);
/* PATH (room for 512) is where the tree is. */
void image_tree(const char *lib_dir, const char *digest, char *path);

#endif
