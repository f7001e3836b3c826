/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what is in a directory, or making it. The file meta is written first as "not made yet" and again when all is there, so what an interrupted
 * creation left is told from what was lost. */
#include "servers/vdd/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "servers/vdd/image.h"

#define CREW_THREADS 4u
#define IMAGE "disk.img"

/* ---- the directory ---- */

static dvs_err open_dir(const char *path, bool do_make, int *dir, char *why)
{
	AUTO_CLOSE int fd = -1;
	char part[PATH_MAX];

	if ((size_t)snprintf(part, sizeof(part), "%s", path) >= sizeof(part))
		return DVS_BADARG;
	for (char *slash = part; do_make && slash; slash = strchr(slash + 1, '/')) {
		char kept = *slash;

		if (slash == part)
			continue;
		*slash = '\0';
		(void)mkdir(part, 0700);
		*slash = kept;
	}
	if (do_make)
		(void)mkdir(path, 0700);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		why_say(why, "cannot open the directory %s: %s", path, strerror(errno));
		return errno == ENOENT ? DVS_NOTFOUND :
		       errno == EACCES ? DVS_DENIED :
		       errno == EROFS  ? DVS_DENIED :
					 store_errno(errno);
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		why_say(why, "%s is in use by another process", path);
		return DVS_INUSE;
	}
	*dir = take_fd(&fd);
	return DVS_OK;
}

/* ---- what is stored ---- */

static const char *image_path(const struct meta *meta)
{
	return *meta->place ? meta->place : IMAGE;
}

static dvs_err open_store(struct disks *disks, const struct disks_config *config, bool do_make,
			  char *why)
{
	const struct meta *meta = &disks->meta;
	uint64_t bytes = meta->disk[0].bytes;
	int fd;
	dvs_err err;

	switch (config->store) {
	case DISK_RAM:
		return store_ram_open(bytes, &disks->store);
	case DISK_FILE:
		break;
	case DISK_RAW:
		return store_raw_open(meta->place, bytes, &disks->help, &disks->store, why);
	case DISK_NBD:
		return store_nbd_open(meta->place, bytes, &disks->help, &disks->store, why);
	}
	/* A new one that leaves behind what it began with: nothing of that was ever used. */
	if (do_make)
		err = image_make(disks->dir, image_path(meta), meta->id, bytes, !*meta->place, &fd,
				 why);
	else
		err = image_open(disks->dir, image_path(meta), meta->id, bytes, &fd, why);
	if (err != DVS_OK)
		return err == DVS_NOTFOUND && !do_make ? DVS_CORRUPT : err;
	err = config->direct ?
		      store_uring_open(fd, IMAGE_BASE, bytes, false, &disks->help, &disks->store,
				       why) :
		      store_file_open(fd, IMAGE_BASE, bytes, false, &disks->help, &disks->store);
	if (err != DVS_OK)
		close(fd);
	return err;
}

static void new_meta(const struct disks_config *config, struct meta *meta)
{
	memset(meta, 0, sizeof(*meta));
	(void)snprintf(meta->id, sizeof(meta->id), "%s", config->id);
	meta->store = config->store;
	(void)snprintf(meta->place, sizeof(meta->place), "%s", config->place ? config->place : "");
	meta->next_born = 1;
	meta->n_disks = 1;
	meta->disk[0] = (struct meta_disk){ .kind = DISK_IS_VOLUME, .bytes = config->bytes };
}

static dvs_err check_config(const struct disks_config *config, char *why)
{
	if (config->bytes == 0 || config->bytes > DISK_BYTES_MAX ||
	    config->bytes % DISK_SECTOR_BYTES) {
		why_say(why,
			"a size of %llu bytes is not possible; give a multiple of 512 up to 16 TiB",
			(unsigned long long)config->bytes);
		return DVS_BADARG;
	}
	if ((config->store == DISK_RAW || config->store == DISK_NBD) &&
	    (!config->place || !*config->place)) {
		why_say(why, "where is it? Name %s",
			config->store == DISK_RAW ? "the device" : "the server's URI");
		return DVS_BADARG;
	}
	if (config->place && strlen(config->place) > META_PLACE_MAX) {
		why_say(why, "the place has more than %u letters", META_PLACE_MAX);
		return DVS_BADARG;
	}
	return DVS_OK;
}

static dvs_err check_meta(const struct disks_config *config, const struct meta *meta, char *why)
{
	if (strcmp(meta->id, config->id) != 0) {
		why_say(why,
			"%s has another volume, %s; remove it if that is gone, or name another directory",
			config->dir, meta->id);
		return DVS_EXISTS;
	}
	if (meta->store != (uint32_t)config->store ||
	    strcmp(meta->place, config->place ? config->place : "") != 0) {
		why_say(why,
			"%s has this volume in another kind of store or at another place; remove this replica, then add it again",
			config->dir);
		return DVS_EXISTS;
	}
	return DVS_OK;
}

/* ---- the disks ---- */

static dvs_err load_layers(struct disks *disks, struct disk *disk, char *why)
{
	dvs_err err = DVS_OK;
	uint32_t n = disk->is.n_layers;

	/* What was opened is closed by its count. */
	disk->is.n_layers = 0;
	for (uint32_t l = 0; err == DVS_OK && l < n; l++) {
		char name[32];

		control_layer_name(disk->is.layer[l], name);
		err = overlay_open_file(
			disks->dir, name, disks->meta.id, disk->is.kind == DISK_IS_CLONE, false,
			disk->is.kind == DISK_IS_CLONE ? disk->is.bytes : DISK_BYTES_MAX,
			&disks->help, &disk->layer[l], why);
		if (err == DVS_OK)
			disk->is.n_layers++;
	}
	return err;
}

static dvs_err load(struct disks *disks, bool is_new, char *why)
{
	const struct meta *meta = &disks->meta;
	dvs_err err = dirty_open(disks->dir, is_new, disks->help.crew, &disks->dirty);

	for (uint32_t i = 0; err == DVS_OK && i < meta->n_disks; i++) {
		struct disk *disk = &disks->disk[meta->disk[i].minor];

		disk->is_there = true;
		disk->is = meta->disk[i];
		err = is_new ? dirty_size(disks->dirty, disk->is.minor, disk->is.bytes) :
			       dirty_load(disks->dirty, disk->is.minor, disk->is.bytes);
		if (err != DVS_OK)
			disk->is.n_layers = 0;
		else
			err = load_layers(disks, disk, why);
	}
	disks->n_disks = meta->n_disks;
	disks->next_layer = meta->next_layer;
	disks->next_born = meta->next_born;
	return err;
}

static DIR *list_of(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

	if (!list && fd >= 0)
		close(fd);
	return list;
}

/* Files of layers that meta does not know: what was interrupted left them. */
static void sweep(const struct disks *disks)
{
	AUTO_CLOSEDIR DIR *list = list_of(disks->dir);
	const struct dirent *entry;

	while (list && (entry = readdir(list)) != NULL) {
		bool is_known = strncmp(entry->d_name, "cow-", 4) != 0;

		for (uint32_t m = 0; !is_known && m < DISK_MINORS_MAX; m++) {
			const struct disk *disk = &disks->disk[m];

			for (uint32_t l = 0; disk->is_there && l < disk->is.n_layers; l++) {
				char name[32];

				control_layer_name(disk->is.layer[l], name);
				is_known |= strcmp(name, entry->d_name) == 0;
			}
		}
		if (!is_known)
			(void)unlinkat(disks->dir, entry->d_name, 0);
	}
}

static dvs_err make(struct disks *disks, const struct disks_config *config, char *why)
{
	struct stat st;
	dvs_err err;

	if (!disks->meta.is_made && *disks->meta.id == '\0' &&
	    fstatat(disks->dir, IMAGE, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		why_say(why,
			"%s has an image, but no file meta that says of what; put that back, or remove the directory",
			config->dir);
		return DVS_CORRUPT;
	}
	new_meta(config, &disks->meta);
	err = meta_write(disks->dir, &disks->meta);
	if (err == DVS_OK)
		err = open_store(disks, config, true, why);
	if (err == DVS_OK)
		err = load(disks, true, why);
	if (err == DVS_OK) {
		disks->meta.is_made = true;
		err = meta_write(disks->dir, &disks->meta);
	}
	return err;
}

static dvs_err open_files(struct disks *disks, const struct disks_config *config, char *why)
{
	dvs_err err = open_dir(config->dir, true, &disks->dir, why);

	if (err != DVS_OK)
		return err;
	err = meta_read(disks->dir, &disks->meta, why);
	if (err == DVS_NOTFOUND)
		err = DVS_OK;
	else if (err == DVS_OK && disks->meta.is_made)
		err = check_meta(config, &disks->meta, why);
	if (err != DVS_OK)
		return err;
	why[0] = '\0';
	if (!disks->meta.is_made)
		return make(disks, config, why);
	err = open_store(disks, config, false, why);
	if (err == DVS_OK)
		err = load(disks, false, why);
	if (err == DVS_OK)
		sweep(disks);
	return err;
}

static dvs_err open_all(struct disks *disks, const struct disks_config *config, char *why)
{
	dvs_err err = returns_open(&config->poster, &disks->help.returns);

	if (err == DVS_OK)
		err = crew_open(CREW_THREADS, disks->help.returns, &disks->help.crew);
	if (err != DVS_OK)
		return err;
	if (config->store != DISK_RAM)
		return open_files(disks, config, why);
	new_meta(config, &disks->meta);
	err = open_store(disks, config, true, why);
	return err == DVS_OK ? load(disks, true, why) : err;
}

dvs_err disks_open(const struct disks_config *config, struct disks **disks, bool *is_empty,
		   char why[DISK_WHY_MAX + 1])
{
	struct disks *made;
	dvs_err err = check_config(config, why);

	*disks = NULL;
	if (err != DVS_OK)
		return err;
	why[0] = '\0';
	made = calloc(1, sizeof(*made));
	if (!made)
		return DVS_NOMEM;
	made->poster = config->poster;
	made->dir = -1;
	list_init(&made->order);
	list_init(&made->ready);
	list_init(&made->pieces);
	if (pthread_mutex_init(&made->meta_lock, NULL) != 0) {
		free(made);
		return DVS_NOMEM;
	}
	err = open_all(made, config, why);
	if (err != DVS_OK) {
		disks_close(made);
		if (!*why)
			why_say(why, "cannot open the volume in %s: %s", config->dir,
				dvs_strerror(err));
		return err;
	}
	*is_empty = !made->meta.is_current;
	disks_new_life(made);
	*disks = made;
	tidy_kick(made);
	return DVS_OK;
}

/* ---- removing ---- */

static bool is_ours(const char *name)
{
	static const char *const names[] = { "meta", "meta.new", "dirty", IMAGE };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return strncmp(name, "cow-", 4) == 0;
}

/* An image elsewhere goes too, when it says that it is this volume's. */
static void remove_image(int dir)
{
	AUTO_FREE struct meta *meta = malloc(sizeof(*meta));
	char why[DISK_WHY_MAX + 1];
	int fd;

	if (!meta || meta_read(dir, meta, why) != DVS_OK || meta->store != DISK_FILE ||
	    !*meta->place || image_open(dir, meta->place, meta->id, 0, &fd, why) != DVS_OK)
		return;
	(void)unlinkat(dir, meta->place, 0);
	close(fd);
}

dvs_err disks_destroy(const char *dir)
{
	AUTO_CLOSE int fd = -1;
	AUTO_CLOSEDIR DIR *list = NULL;
	const struct dirent *entry;
	char why[DISK_WHY_MAX + 1];
	dvs_err err = open_dir(dir, false, &fd, why);

	if (err != DVS_OK)
		return err == DVS_NOTFOUND ? DVS_OK : err;
	remove_image(fd);
	list = list_of(fd);
	if (!list)
		return store_errno(errno);
	while ((entry = readdir(list)) != NULL) {
		if (is_ours(entry->d_name) && unlinkat(fd, entry->d_name, 0) != 0 &&
		    errno != ENOENT)
			err = store_errno(errno);
	}
	/* With something in it that is not ours it stays. */
	(void)rmdir(dir);
	return err;
}
