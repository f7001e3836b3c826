/* SPDX-License-Identifier: Apache-2.0 */
/* From files to an image: sums, info, and the step that makes it visible. Sending one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "container/image_internal.h"
#include "container/oci.h"
#include "container/tree.h"
#include "container/why.h"

EVP_MD_CTX *image_sum_start(void)
{
	EVP_MD_CTX *sum = EVP_MD_CTX_new();

	if (sum && EVP_DigestInit_ex(sum, EVP_sha256(), NULL) == 1)
		return sum;
	EVP_MD_CTX_free(sum);
	return NULL;
}

bool image_sum_end(EVP_MD_CTX *sum, char digest[IMAGE_DIGEST_MAX + 1])
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	bool done = EVP_DigestFinal_ex(sum, bytes, &len) == 1 && len == IMAGE_HEX_BYTES / 2;

	EVP_MD_CTX_free(sum);
	if (!done)
		return false;
	memcpy(digest, "sha256:", 8);
	for (unsigned i = 0; i < len; i++)
		(void)snprintf(digest + 7 + (size_t)2 * i, 3, "%02x", bytes[i]);
	return true;
}

/* ---- the canonical archive ---- */

static dvs_err sum_bytes(void *context, const void *bytes, size_t len)
{
	return EVP_DigestUpdate(context, bytes, len) == 1 ? DVS_OK : DVS_NOMEM;
}

struct telling {
	image_progress progress;
	void *context;
	uint64_t total, next_ns;
};

static bool go_on(void *context, const struct pack_count *count)
{
	struct telling *telling = context;

	if (!telling->progress || !clock_is_past(telling->next_ns))
		return true;
	telling->next_ns = clock_deadline_ns(200 * CLOCK_NS_PER_MS);
	return telling->progress(telling->context, "checking", count->bytes, telling->total);
}

/* The canonical archive of the image in DIR. */
static dvs_err pack_image(int dir, const struct pax_sink *sink, struct telling *telling,
			  struct pack_count *count, char *why)
{
	struct pack pack = { .root = dir,
			     .kind = PACK_IMAGE,
			     .sink = sink,
			     .go_on = telling ? go_on : NULL,
			     .context = telling,
			     .why = why };
	dvs_err err;

	why[0] = '\0';
	err = pack_tree(&pack, "config", "config");
	if (err == DVS_OK) {
		pack.count = (struct pack_count){ 0 };
		err = pack_tree(&pack, "tree", "tree");
	}
	if (count)
		*count = pack.count;
	err = pack_end(&pack, err);
	if (err == DVS_WOKEN)
		return why_say(why, err, "it was stopped");
	return err == DVS_OK || why[0] ? err : why_say(why, err, "%s", dvs_strerror(err));
}

dvs_err image_send(const char *lib_dir, const char *digest, int fd, char *why)
{
	struct pax_sink sink = { pax_write_fd, &fd };
	AUTO_CLOSE int store = image_store_fd(lib_dir);
	AUTO_CLOSE int dir = -1;

	if (store >= 0 && oci_digest_ok(digest))
		dir = tree_open(store, digest + 7, O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		return why_say(why, DVS_NOTFOUND, "the image %s is not on this node", digest);
	return pack_image(dir, &sink, NULL, NULL, why);
}

/* ---- a new image ---- */

/* The file NAME with TEXT; its time does not depend on when this is. */
static dvs_err write_file(int dir, const char *name, const char *text, char *why)
{
	static const struct timespec times[2] = { { 0 }, { 0 } };
	AUTO_CLOSE int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || fchmod(fd, 0644) != 0 ||
	    fchown(fd, 0, 0) != 0 || futimens(fd, times) != 0)
		return why_errno(why, errno, "cannot write the image's %s", name);
	return DVS_OK;
}

static dvs_err write_json(int dir, const char *name, const json_t *object, char *why)
{
	AUTO_FREE char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);

	return text ? write_file(dir, name, text, why) : why_say(why, DVS_NOMEM, "out of memory");
}

/* What came from elsewhere can be anything, a link in the place of the tree for one. */
static dvs_err check_kinds(int dir, char *why)
{
	struct stat tree, config;

	if (fstatat(dir, "tree", &tree, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(tree.st_mode) ||
	    fstatat(dir, "config", &config, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(config.st_mode))
		return why_say(why, DVS_BADARG,
			       "the archive is refused: it is not that of an image");
	return DVS_OK;
}

static dvs_err write_info(struct image_build *build, struct image *image, char *why)
{
	struct timespec now;
	json_t *info;
	dvs_err err;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	image->imported_ns = (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
	info = json_pack("{s:s, s:I, s:I, s:I}", "digest", image->digest, "bytes",
			 (json_int_t)image->bytes, "files", (json_int_t)image->files, "imported_ns",
			 (json_int_t)image->imported_ns);
	err = info ? write_json(build->dir, "info", info, why) :
		     why_say(why, DVS_NOMEM, "out of memory");
	json_decref(info);
	return err;
}

/* It is there from one moment to the next, with all its bytes on the disk. */
static dvs_err publish(struct image_build *build, const char *name, struct image *image, char *why)
{
	const char *hex = image->digest + 7;
	AUTO_CLOSE int lock = -1;
	struct image there;

	if (syncfs(build->dir) != 0)
		return why_errno(why, errno, "cannot write the image to the disk");
	lock = image_store_lock(build->store);
	if (lock < 0)
		return why_errno(why, errno, "cannot lock the store of images");
	if (image_read_info(build->store, hex, &there) == DVS_OK) {
		image->imported_ns = there.imported_ns;
	} else {
		/* A folder of that name without a good info is no image. */
		dvs_err err = tree_remove(build->store, hex, why);

		if (err != DVS_OK)
			return err;
		if (renameat(build->store, build->dir_name, build->store, hex) != 0)
			return why_errno(why, errno, "cannot put the image into the store");
		build->dir_name[0] = '\0';
	}
	return image_set_name(build->store, name, hex, why);
}

dvs_err image_commit(struct image_build *build, const char *name, const char *digest,
		     const json_t *config, image_progress progress, void *context,
		     struct image *image, char *why)
{
	struct telling telling = { .progress = progress, .context = context };
	EVP_MD_CTX *sum = image_sum_start();
	struct pax_sink sink = { sum_bytes, sum };
	struct pack_count count = { 0 };
	dvs_err err = sum ? DVS_OK : why_say(why, DVS_NOMEM, "out of memory");

	memset(image, 0, sizeof(*image));
	if (err == DVS_OK && config)
		err = write_json(build->dir, "config", config, why);
	if (err == DVS_OK)
		err = check_kinds(build->dir, why);
	if (err == DVS_OK)
		err = pack_image(build->dir, &sink, &telling, &count, why);
	if (err != DVS_OK) {
		EVP_MD_CTX_free(sum);
		return err;
	}
	if (!image_sum_end(sum, image->digest))
		return why_say(why, DVS_NOMEM, "out of memory");
	if (digest && strcmp(digest, image->digest) != 0)
		return why_say(why, DVS_BADARG,
			       "what came is not the image %s, but %s: it was damaged or changed on"
			       " its way; copy it again",
			       digest, image->digest);
	image->bytes = count.bytes;
	image->files = count.entries;
	(void)snprintf(image->name, sizeof(image->name), "%s", name[0] ? name : image->digest);
	err = write_info(build, image, why);
	return err == DVS_OK ? publish(build, name, image, why) : err;
}
