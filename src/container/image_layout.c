/* SPDX-License-Identifier: Apache-2.0 */
#include "container/image_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/oci.h"
#include "container/tree.h"
#include "container/why.h"

/* An index can hold indexes. */
#define NESTED_MAX 4u

static bool is_file(int layout, const char *name)
{
	AUTO_CLOSE int fd = tree_open(layout, name, O_PATH);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_oci(int layout)
{
	return is_file(layout, "oci-layout") && is_file(layout, "index.json");
}

/* A file of the layout; links may lead to others of it, as `docker save` makes them. */
static int open_file(int layout, const char *path, struct stat *st)
{
	AUTO_CLOSE int fd = tree_open_within(layout, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, st) != 0)
		return -1;
	if (!S_ISREG(st->st_mode)) {
		errno = EINVAL;
		return -1;
	}
	return take_fd(&fd);
}

static dvs_err missing(const struct image_feed *feed, const char *path)
{
	if (errno == ENOENT)
		return why_say(feed->why, DVS_BADARG,
			       "the image is not complete: %s is missing; copy or make it anew",
			       path);
	return why_errno(feed->why, errno, "cannot read %s of the image", path);
}

/* SUM may be NULL. */
static dvs_err check_sum(const struct image_feed *feed, EVP_MD_CTX *sum,
			 const struct oci_blob *blob)
{
	char digest[IMAGE_DIGEST_MAX + 1];

	if (!sum)
		return DVS_OK;
	if (!image_sum_end(sum, digest))
		return why_say(feed->why, DVS_NOMEM, "out of memory");
	if (strcmp(digest, blob->digest) == 0)
		return DVS_OK;
	return why_say(
		feed->why, DVS_BADARG,
		"the image is damaged: the contents of %s have the digest %s; copy or make it"
		" anew",
		blob->path, digest);
}

/* A JSON file of the layout; *BYTES is to be freed. */
static dvs_err read_file(const struct image_feed *feed, int layout, const struct oci_blob *blob,
			 char **bytes, size_t *len)
{
	struct stat st;
	AUTO_CLOSE int fd = open_file(layout, blob->path, &st);
	EVP_MD_CTX *sum;
	ssize_t got;

	if (fd < 0)
		return missing(feed, blob->path);
	if (st.st_size > OCI_JSON_MAX)
		return why_say(feed->why, DVS_TOOBIG, "%s of the image is too big", blob->path);
	*bytes = malloc((size_t)st.st_size + 1);
	got = *bytes ? read(fd, *bytes, (size_t)st.st_size) : -1;
	sum = got >= 0 && blob->digest[0] ? image_sum_start() : NULL;
	if (got < 0 || (blob->digest[0] && !sum) ||
	    (sum && EVP_DigestUpdate(sum, *bytes, (size_t)got) != 1)) {
		EVP_MD_CTX_free(sum);
		return why_say(feed->why, DVS_IO, "cannot read %s of the image", blob->path);
	}
	*len = (size_t)got;
	return check_sum(feed, sum, blob);
}

/* Down to the manifest that is meant. */
static dvs_err find_manifest(const struct image_feed *feed, int layout, const char *reference,
			     struct oci_blob *blob)
{
	*blob = (struct oci_blob){ .path = "index.json", .is_index = true };
	for (unsigned i = 0; blob->is_index; i++) {
		AUTO_FREE char *bytes = NULL;
		size_t len = 0;
		dvs_err err;

		if (i > NESTED_MAX)
			return why_say(feed->why, DVS_BADARG,
				       "the image is refused: indexes in indexes in indexes");
		err = read_file(feed, layout, blob, &bytes, &len);
		if (err == DVS_OK)
			err = oci_index(bytes, len, i == 0 ? reference : "", oci_architecture(),
					blob, feed->why);
		if (err != DVS_OK)
			return err;
	}
	return DVS_OK;
}

static dvs_err read_manifest(const struct image_feed *feed, int layout, const char *reference,
			     struct oci_manifest *manifest)
{
	struct oci_blob blob = { .path = "manifest.json" };
	AUTO_FREE char *bytes = NULL;
	bool oci = is_oci(layout);
	size_t len = 0;
	dvs_err err = oci ? find_manifest(feed, layout, reference, &blob) : DVS_OK;

	if (err == DVS_OK)
		err = read_file(feed, layout, &blob, &bytes, &len);
	if (err != DVS_OK)
		return err;
	return oci ? oci_manifest(bytes, len, manifest, feed->why) :
		     oci_docker(bytes, len, reference, manifest, feed->why);
}

bool image_layout_is(int layout)
{
	struct oci_manifest *manifest;
	char why[DESCRIPTION_TEXT_MAX];
	struct image_feed feed = { .why = why };
	struct oci_blob blob = { .path = "manifest.json" };
	AUTO_FREE char *bytes = NULL;
	size_t len = 0;
	bool is;

	if (is_oci(layout))
		return true;
	/* The root of an image can have a file of that name: it must be what it should. */
	if (!is_file(layout, "manifest.json") ||
	    read_file(&feed, layout, &blob, &bytes, &len) != DVS_OK)
		return false;
	manifest = calloc(1, sizeof(*manifest));
	is = manifest &&
	     (oci_docker(bytes, len, "", manifest, why) == DVS_OK || strstr(why, "--reference"));
	free(manifest);
	return is;
}

static dvs_err unpack_layer(struct image_feed *feed, int layout, const struct oci_blob *blob)
{
	struct stat st;
	AUTO_CLOSE int fd = open_file(layout, blob->path, &st);
	EVP_MD_CTX *sum;
	dvs_err err;

	if (fd < 0)
		return missing(feed, blob->path);
	if (blob->digest[0] && (uint64_t)st.st_size != blob->size)
		return why_say(
			feed->why, DVS_BADARG,
			"the image is damaged: %s has %lld bytes and should have %llu; copy or"
			" make it anew",
			blob->path, (long long)st.st_size, (unsigned long long)blob->size);
	sum = blob->digest[0] ? image_sum_start() : NULL;
	if (blob->digest[0] && !sum)
		return why_say(feed->why, DVS_NOMEM, "out of memory");
	feed->source = fd;
	feed->sum = sum;
	err = image_feed(feed);
	feed->sum = NULL;
	if (err == DVS_OK)
		return check_sum(feed, sum, blob);
	EVP_MD_CTX_free(sum);
	return err;
}

/* How much there is to read. */
static uint64_t total(int layout, const struct oci_manifest *manifest)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < manifest->n_layers; i++) {
		AUTO_CLOSE int fd = -1;
		struct stat st;

		fd = open_file(layout, manifest->layer[i].path, &st);
		if (fd >= 0)
			bytes += (uint64_t)st.st_size;
	}
	return bytes;
}

dvs_err image_layout_unpack(struct image_feed *feed, int layout, const char *reference,
			    json_t **config)
{
	AUTO_FREE struct oci_manifest *manifest = calloc(1, sizeof(*manifest));
	AUTO_FREE char *bytes = NULL;
	size_t len = 0;
	dvs_err err;

	if (!manifest)
		return why_say(feed->why, DVS_NOMEM, "out of memory");
	err = read_manifest(feed, layout, reference, manifest);
	if (err == DVS_OK)
		err = read_file(feed, layout, &manifest->config, &bytes, &len);
	if (err == DVS_OK)
		err = oci_config(bytes, len, oci_architecture(), config, feed->why);
	feed->total = total(layout, manifest);
	feed->layer = true;
	for (size_t i = 0; err == DVS_OK && i < manifest->n_layers; i++)
		err = unpack_layer(feed, layout, &manifest->layer[i]);
	return err;
}
