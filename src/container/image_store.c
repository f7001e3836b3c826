/* SPDX-License-Identifier: Apache-2.0 */
/* The store: names, digests and folders. Whatever is interrupted leaves a folder new-XXXXXX, which nobody locks and the next start removes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "container/image_internal.h"
#include "container/oci.h"
#include "container/tree.h"
#include "container/why.h"

#define NEW "new-"
#define NEW_TRIES 100u
#define NAMES "names"
#define INFO_BYTES_MAX 65536u
#define CONFIG_BYTES_MAX (4u << 20)
#define PREFIX_MIN 15u /* "sha256:" and 8 digits */

bool image_name_ok(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t len = strlen(name);

	if (len == 0 || len > IMAGE_NAME_MAX || strncmp(name, "sha256:", 7) == 0)
		return false;
	for (const char *part = name; part; part = strchr(part, '/')) {
		part += part > name;
		if (!*part || !strchr(letters, *part))
			return false;
	}
	return strspn(name,
		      "-_./:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == len;
}

/* NAME as a file's: '+' is in no name. */
static void file_name(const char *name, char file[IMAGE_NAME_MAX + 1])
{
	(void)snprintf(file, IMAGE_NAME_MAX + 1, "%s", name);
	for (char *c = file; *c; c++) {
		if (*c == '/')
			*c = '+';
	}
}

static bool name_of_file(const char *file, char name[IMAGE_NAME_MAX + 1])
{
	if (strlen(file) > IMAGE_NAME_MAX)
		return false;
	(void)snprintf(name, IMAGE_NAME_MAX + 1, "%s", file);
	for (char *c = name; *c; c++) {
		if (*c == '+')
			*c = '/';
	}
	return image_name_ok(name);
}

static bool is_hex(const char *text)
{
	return strlen(text) == IMAGE_HEX_BYTES &&
	       strspn(text, "0123456789abcdef") == IMAGE_HEX_BYTES;
}

int image_store_fd(const char *lib_dir)
{
	char path[512];

	(void)mkdir(lib_dir, 0755);
	(void)snprintf(path, sizeof(path), "%s/images", lib_dir);
	/* Programs in images that run as root for whoever starts them must not be reached from outside. */
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int image_store_lock(int store)
{
	AUTO_CLOSE int fd = openat(store, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -1;
	while (flock(fd, LOCK_EX) != 0) {
		if (errno != EINTR)
			return -1;
	}
	return take_fd(&fd);
}

void image_tree(const char *lib_dir, const char *digest, char *path)
{
	(void)snprintf(path, 512, "%s/images/%s/tree", lib_dir,
		       oci_digest_ok(digest) ? digest + 7 : "none");
}

/* ---- reading ---- */

/* A small file of an image. NULL with errno: it is not there. */
static json_t *read_json(int store, const char *hex, const char *file, size_t max)
{
	AUTO_FREE char *path = NULL, *bytes = NULL;
	AUTO_CLOSE int fd = -1;
	struct stat st;
	ssize_t got;

	if (asprintf(&path, "%s/%s", hex, file) < 0)
		return NULL;
	fd = tree_open(store, path, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
		return NULL;
	bytes = malloc((size_t)st.st_size + 1);
	got = bytes ? read(fd, bytes, (size_t)st.st_size) : -1;
	return got < 0 ? NULL : json_loadb(bytes, (size_t)got, 0, NULL);
}

dvs_err image_read_info(int store, const char *hex, struct image *image)
{
	json_t *info = is_hex(hex) ? read_json(store, hex, "info", INFO_BYTES_MAX) : NULL;

	memset(image, 0, sizeof(*image));
	if (!json_is_object(info)) {
		json_decref(info);
		return DVS_NOTFOUND;
	}
	(void)snprintf(image->digest, sizeof(image->digest), "sha256:%s", hex);
	image->bytes = (uint64_t)json_integer_value(json_object_get(info, "bytes"));
	image->files = (uint64_t)json_integer_value(json_object_get(info, "files"));
	image->imported_ns = (uint64_t)json_integer_value(json_object_get(info, "imported_ns"));
	json_decref(info);
	return DVS_OK;
}

dvs_err image_config(const char *lib_dir, const char *digest, json_t **config)
{
	AUTO_CLOSE int store = image_store_fd(lib_dir);

	if (store < 0 || !oci_digest_ok(digest))
		return DVS_NOTFOUND;
	*config = read_json(store, digest + 7, "config", CONFIG_BYTES_MAX);
	if (json_is_object(*config))
		return DVS_OK;
	json_decref(*config);
	*config = NULL;
	return DVS_NOTFOUND;
}

/* The digits of the image that has the name FILE. */
static bool read_name(int names, const char *file, char hex[IMAGE_HEX_BYTES + 1])
{
	char target[IMAGE_HEX_BYTES + 8];
	ssize_t len = readlinkat(names, file, target, sizeof(target) - 1);

	if (len != IMAGE_HEX_BYTES + 3)
		return false;
	target[len] = '\0';
	memcpy(hex, target + 3, IMAGE_HEX_BYTES + 1);
	return strncmp(target, "../", 3) == 0 && is_hex(hex);
}

/* Call TAKE for each file of a folder of the store until it returns false. */
static void each(int store, const char *folder,
		 bool (*take)(void *context, int folder, const char *file), void *context)
{
	int fd = openat(store, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	AUTO_CLOSEDIR DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!stream) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(stream)) != NULL) {
		if (entry->d_name[0] != '.' && !take(context, fd, entry->d_name))
			return;
	}
}

struct name_search {
	const char *hex;
	char name[IMAGE_NAME_MAX + 1]; /* the first one */
	size_t n;
};

static bool take_name_of(void *context, int names, const char *file)
{
	struct name_search *search = context;
	char hex[IMAGE_HEX_BYTES + 1], name[IMAGE_NAME_MAX + 1];

	if (!read_name(names, file, hex) || strcmp(hex, search->hex) != 0 ||
	    !name_of_file(file, name))
		return true;
	if (search->n++ == 0 || strcmp(name, search->name) < 0)
		memcpy(search->name, name, sizeof(name));
	return true;
}

struct prefix_search {
	const char *prefix;
	char hex[IMAGE_HEX_BYTES + 1];
	size_t n;
};

static bool take_prefix(void *context, int folder, const char *file)
{
	struct prefix_search *search = context;

	(void)folder;
	if (is_hex(file) && strncmp(file, search->prefix, strlen(search->prefix)) == 0) {
		memcpy(search->hex, file, IMAGE_HEX_BYTES + 1);
		search->n++;
	}
	return true;
}

static dvs_err find_digest(int store, const char *digest, struct image *image)
{
	struct prefix_search search = { .prefix = digest + 7 };
	struct name_search names = { .hex = search.hex };
	dvs_err err;

	if (strlen(digest) < PREFIX_MIN)
		return DVS_NOTFOUND;
	each(store, ".", take_prefix, &search);
	if (search.n != 1)
		return DVS_NOTFOUND;
	err = image_read_info(store, search.hex, image);
	if (err != DVS_OK)
		return err;
	each(store, NAMES, take_name_of, &names);
	(void)snprintf(image->name, sizeof(image->name), "%s",
		       names.n ? names.name : image->digest);
	return DVS_OK;
}

static dvs_err find_in(int store, const char *name, struct image *image)
{
	char file[sizeof(NAMES) + IMAGE_NAME_MAX + 1] = NAMES "/";
	char hex[IMAGE_HEX_BYTES + 1];
	dvs_err err;

	if (strncmp(name, "sha256:", 7) == 0)
		return find_digest(store, name, image);
	if (!image_name_ok(name))
		return DVS_NOTFOUND;
	file_name(name, file + strlen(file));
	if (!read_name(store, file, hex))
		return DVS_NOTFOUND;
	err = image_read_info(store, hex, image);
	if (err == DVS_OK)
		(void)snprintf(image->name, sizeof(image->name), "%s", name);
	return err;
}

dvs_err image_find(const char *lib_dir, const char *name, struct image *image)
{
	AUTO_CLOSE int store = image_store_fd(lib_dir);

	return store < 0 ? DVS_NOTFOUND : find_in(store, name, image);
}

struct next_search {
	int store;
	const char *after;
	char found[IMAGE_NAME_MAX + 1];
};

static void take_next(struct next_search *search, const char *name)
{
	if (strcmp(name, search->after) > 0 &&
	    (search->found[0] == '\0' || strcmp(name, search->found) < 0))
		(void)snprintf(search->found, sizeof(search->found), "%s", name);
}

static bool take_next_name(void *context, int folder, const char *file)
{
	char name[IMAGE_NAME_MAX + 1], hex[IMAGE_HEX_BYTES + 1];

	if (name_of_file(file, name) && read_name(folder, file, hex))
		take_next(context, name);
	return true;
}

static bool take_next_nameless(void *context, int folder, const char *file)
{
	struct next_search *search = context;
	struct name_search names = { .hex = file };
	char digest[IMAGE_DIGEST_MAX + 1];

	(void)folder;
	if (!is_hex(file))
		return true;
	(void)snprintf(digest, sizeof(digest), "sha256:%s", file);
	each(search->store, NAMES, take_name_of, &names);
	if (names.n == 0)
		take_next(search, digest);
	return true;
}

dvs_err image_next(const char *lib_dir, const char *after, struct image *image)
{
	AUTO_CLOSE int store = image_store_fd(lib_dir);
	struct next_search search = { .store = store, .after = after };
	char last[IMAGE_NAME_MAX + 1];

	while (store >= 0) {
		search.found[0] = '\0';
		each(store, NAMES, take_next_name, &search);
		each(store, ".", take_next_nameless, &search);
		if (search.found[0] == '\0')
			return DVS_NOTFOUND;
		if (find_in(store, search.found, image) == DVS_OK)
			return DVS_OK;
		/* It was removed meanwhile, or its files are damaged. */
		memcpy(last, search.found, sizeof(last));
		search.after = last;
	}
	return DVS_NOTFOUND;
}

/* ---- making ---- */

/* A locked folder new-XXXXXX. The store is locked, so that nobody sees it without its lock. */
static dvs_err make_new(int store, char name[16], int *dir)
{
	for (unsigned i = 0; i < NEW_TRIES; i++) {
		AUTO_CLOSE int fd = -1;

		(void)snprintf(name, 16, NEW "%06x", arc4random_uniform(1u << 24));
		if (mkdirat(store, name, 0700) != 0) {
			if (errno == EEXIST)
				continue;
			return dvs_from_errno(errno);
		}
		fd = openat(store, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
			return dvs_from_errno(errno);
		*dir = take_fd(&fd);
		return DVS_OK;
	}
	return DVS_FULL;
}

dvs_err image_make_tree(const struct image_build *build, char *why)
{
	/* Archives need not tell of the root; its time must not depend on when this is. */
	static const struct timespec times[2] = { { 0 }, { 0 } };

	if (mkdirat(build->dir, "tree", 0755) != 0 || fchmodat(build->dir, "tree", 0755, 0) != 0 ||
	    utimensat(build->dir, "tree", times, AT_SYMLINK_NOFOLLOW) != 0)
		return why_errno(why, errno, "cannot make the folder of the new image");
	return DVS_OK;
}

dvs_err image_begin(const char *lib_dir, struct image_build *build, char *why)
{
	AUTO_CLOSE int lock = -1;
	dvs_err err;

	*build = (struct image_build){ .store = -1, .dir = -1 };
	if (geteuid() != 0)
		return why_say(why, DVS_DENIED,
			       "only root can make images: their files belong to many users");
	build->store = image_store_fd(lib_dir);
	if (build->store < 0)
		return why_errno(why, errno, "cannot open %s/images", lib_dir);
	lock = image_store_lock(build->store);
	if (lock < 0)
		return why_errno(why, errno, "cannot lock %s/images", lib_dir);
	err = make_new(build->store, build->dir_name, &build->dir);
	if (err != DVS_OK)
		return why_say(why, err, "cannot make a folder in %s/images: %s", lib_dir,
			       dvs_strerror(err));
	return image_make_tree(build, why);
}

void image_end(struct image_build *build)
{
	if (build->dir >= 0 && build->dir_name[0] &&
	    tree_remove(build->store, build->dir_name, NULL) != DVS_OK) {
		/* The next start tries again. */
	}
	if (build->dir >= 0)
		close(build->dir);
	if (build->store >= 0)
		close(build->store);
	build->dir = build->store = -1;
}

dvs_err image_set_name(int store, const char *name, const char *hex, char *why)
{
	char file[sizeof(NAMES) + IMAGE_NAME_MAX + 1] = NAMES "/";
	char target[IMAGE_HEX_BYTES + 8];

	if (!name[0])
		return DVS_OK;
	file_name(name, file + strlen(file));
	(void)snprintf(target, sizeof(target), "../%s", hex);
	if (mkdirat(store, NAMES, 0700) != 0 && errno != EEXIST)
		return why_errno(why, errno, "cannot give the image its name");
	(void)unlinkat(store, "new-name", 0);
	if (symlinkat(target, store, "new-name") != 0 ||
	    renameat(store, "new-name", store, file) != 0)
		return why_errno(why, errno, "cannot give the image its name");
	return DVS_OK;
}

/* ---- removing ---- */

struct cleaning {
	int store;
	char name[16];
	int dir;
};

static bool take_abandoned(void *context, int folder, const char *file)
{
	struct cleaning *cleaning = context;

	(void)folder;
	if (strncmp(file, NEW, strlen(NEW)) != 0 || strlen(file) >= sizeof(cleaning->name))
		return true;
	cleaning->dir =
		openat(cleaning->store, file, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (cleaning->dir < 0)
		return true;
	if (flock(cleaning->dir, LOCK_EX | LOCK_NB) != 0) {
		close(take_fd(&cleaning->dir));
		return true;
	}
	(void)snprintf(cleaning->name, sizeof(cleaning->name), "%s", file);
	return false;
}

void image_store_open(const char *lib_dir)
{
	AUTO_CLOSE int store = image_store_fd(lib_dir);

	while (store >= 0) {
		struct cleaning cleaning = { .store = store, .dir = -1 };
		AUTO_CLOSE int lock = image_store_lock(store);
		AUTO_CLOSE int dir = -1;

		if (lock >= 0)
			each(store, ".", take_abandoned, &cleaning);
		close(take_fd(&lock));
		dir = cleaning.dir;
		/* What cannot be removed now is not tried again before the next start. */
		if (dir < 0 || tree_remove(store, cleaning.name, NULL) != DVS_OK)
			return;
	}
}

/* Take the image out of the store at once, and then remove it without holding up others. */
static dvs_err remove_tree(int store, const char *hex, int *lock)
{
	AUTO_CLOSE int dir = -1;
	char name[16];
	dvs_err err = make_new(store, name, &dir);

	if (err != DVS_OK)
		return err;
	if (renameat(store, hex, store, name) != 0)
		return dvs_from_errno(errno);
	close(take_fd(lock));
	return tree_remove(store, name, NULL);
}

static bool take_removal(void *context, int names, const char *file)
{
	char hex[IMAGE_HEX_BYTES + 1];

	if (read_name(names, file, hex) && strcmp(hex, context) == 0)
		(void)unlinkat(names, file, 0);
	return true;
}

dvs_err image_remove(const char *lib_dir, const char *name,
		     bool (*in_use)(void *context, const char *digest), void *context)
{
	AUTO_CLOSE int store = image_store_fd(lib_dir);
	AUTO_CLOSE int lock = store < 0 ? -1 : image_store_lock(store);
	char file[sizeof(NAMES) + IMAGE_NAME_MAX + 1] = NAMES "/";
	struct name_search names = { 0 };
	char hex[IMAGE_HEX_BYTES + 1];
	struct image image;
	dvs_err err = lock < 0 ? DVS_IO : find_in(store, name, &image);

	if (err != DVS_OK)
		return err;
	memcpy(hex, image.digest + 7, sizeof(hex));
	names.hex = hex;
	each(store, NAMES, take_name_of, &names);
	if (strncmp(name, "sha256:", 7) != 0 && names.n > 1) {
		file_name(name, file + strlen(file));
		return unlinkat(store, file, 0) == 0 ? DVS_OK : dvs_from_errno(errno);
	}
	if (in_use && in_use(context, image.digest))
		return DVS_INUSE;
	each(store, NAMES, take_removal, hex);
	return remove_tree(store, hex, &lock);
}
