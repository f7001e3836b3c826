/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the image store share. */
#ifndef CONTAINER_IMAGE_INTERNAL_H
#define CONTAINER_IMAGE_INTERNAL_H

#include <openssl/evp.h>

#include "container/image.h"
#include "container/pack.h"

#define IMAGE_HEX_BYTES 64u

/* An image that is being made: a locked folder new-XXXXXX of the store. */
struct image_build {
	int store;
	int dir;
	char dir_name[16];
};

/* lib_dir/images, made if need be. -1 with errno. */
int image_store_fd(const char *lib_dir);
/* Hold the store for a moment; -1 with errno. Closing it lets go. */
int image_store_lock(int store);

DVS_MUST_USE dvs_err image_begin(const char *lib_dir, struct image_build *build, char *why);
/* The empty folder "tree" (image_begin() makes it). */
DVS_MUST_USE dvs_err image_make_tree(const struct image_build *build, char *why);
/* Remove what was made, unless it has become an image. */
void image_end(struct image_build *build);

/* Write "config", sum up and count what is there, and make it the image NAME ("": without a name). DIGEST: that it must have; NULL: any. CONFIG: NULL if "config" is there. */
DVS_MUST_USE dvs_err image_commit(struct image_build *build, const char *name, const char *digest,
				  const json_t *config, image_progress progress, void *context,
				  struct image *image, char *why);

/* Give NAME to the image HEX. The store is locked. */
DVS_MUST_USE dvs_err image_set_name(int store, const char *name, const char *hex, char *why);
/* Read the info of image HEX. NOTFOUND. */
DVS_MUST_USE dvs_err image_read_info(int store, const char *hex, struct image *image);

/* ---- sums ---- */

/* NULL: no memory. */
EVP_MD_CTX *image_sum_start(void);
/* "sha256:HEX", and frees SUM. */
bool image_sum_end(EVP_MD_CTX *sum, char digest[IMAGE_DIGEST_MAX + 1]);

/* ---- a child that unpacks ---- */

/* What is unpacked, and where to. */
struct image_feed {
	int source;	       /* read to its end */
	uint64_t *done, total; /* for progress, across several feeds */
	EVP_MD_CTX *sum;       /* NULL: not wanted */
	int root;	       /* becomes the child's root */
	bool layer;
	const char *const *tops;
	uint64_t *bytes_left, *files_left;
	const char *phase;
	image_progress progress; /* may be NULL */
	void *context;
	char *why;
};
DVS_MUST_USE dvs_err image_feed(const struct image_feed *feed);

#endif
