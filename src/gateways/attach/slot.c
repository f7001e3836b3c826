/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/attach/slot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "gateways/attach/nbd_kernel.h"

#define ABOUT_BYTES_MAX 4096

static dvs_err failed(char why[ATTACH_WHY_MAX], const char *path)
{
	int number = errno;

	(void)snprintf(why, ATTACH_WHY_MAX, "%.300s: %s", path, strerror(number));
	return dvs_from_errno(number);
}

/* The lock of all slots: who makes one or looks for dead ones has it. Released by closing. */
static dvs_err lock_all(const char *run_dir, char folder[ATTACH_PATH_MAX], int *fd,
			char why[ATTACH_WHY_MAX])
{
	char path[ATTACH_PATH_MAX + 8];

	if (snprintf(folder, ATTACH_PATH_MAX, "%s/attach", run_dir) >=
	    ATTACH_PATH_MAX - ATTACH_TOKEN_MAX - 16)
		return DVS_BADARG;
	if (mkdir(folder, 0700) && errno != EEXIST)
		return failed(why, folder);
	(void)snprintf(path, sizeof(path), "%s/lock", folder);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0 || flock(*fd, LOCK_EX))
		return failed(why, path);
	return DVS_OK;
}

static void remove_folder(const char *folder)
{
	static const char *const names[] = { "about", "about.new", "lock" };
	char path[ATTACH_PATH_MAX + 16];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(folder);
}

/* Whether a process has the lock in FOLDER. */
static bool is_alive(const char *folder)
{
	char path[ATTACH_PATH_MAX + 8];
	AUTO_CLOSE int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/lock", folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
}

static bool take_text(json_t *about, const char *key, char *room, size_t size)
{
	const char *text = json_string_value(json_object_get(about, key));

	return text && (size_t)snprintf(room, size, "%s", text) < size;
}

static bool read_about(const char *folder, const char *token, struct attachment *attachment)
{
	char path[ATTACH_PATH_MAX + 8];
	char text[ABOUT_BYTES_MAX];
	AUTO_CLOSE int fd = -1;
	json_t *about;
	ssize_t n;
	bool ok;

	*attachment = (struct attachment){ .is_dead = false };
	(void)snprintf(path, sizeof(path), "%s/about", folder);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	about = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
	ok = about && take_text(about, "volume", attachment->volume, sizeof(attachment->volume)) &&
	     take_text(about, "device", attachment->device, sizeof(attachment->device));
	if (ok) {
		(void)snprintf(attachment->token, sizeof(attachment->token), "%s", token);
		attachment->keeper = (pid_t)json_integer_value(json_object_get(about, "keeper"));
		attachment->server = (pid_t)json_integer_value(json_object_get(about, "server"));
		attachment->is_read_only = json_is_true(json_object_get(about, "read_only"));
		attachment->is_shared = json_is_true(json_object_get(about, "shared"));
		attachment->since_ns =
			(uint64_t)json_integer_value(json_object_get(about, "since_ns"));
	}
	json_decref(about);
	return ok;
}

static bool has_device(const char *device, const char *token)
{
	return loop_is_over(device, token) || nbd_kernel_is_over(device, token);
}

/* Look at one folder; true: it is to be listed. */
static bool look(const char *folder, const char *token, struct attachment *attachment)
{
	bool is_known = read_about(folder, token, attachment);

	if (is_alive(folder))
		return is_known;
	attachment->is_dead = true;
	if (is_known && has_device(attachment->device, token))
		return true;
	remove_folder(folder);
	return false;
}

/* With the lock of all. */
static dvs_err look_at_all(const char *folder, struct attachment *list, size_t *n)
{
	AUTO_CLOSEDIR DIR *dir = opendir(folder);
	const struct dirent *entry;

	*n = 0;
	if (!dir)
		return dvs_from_errno(errno);
	while ((entry = readdir(dir)) && *n < ATTACHMENTS_MAX) {
		char path[ATTACH_PATH_MAX];

		if (entry->d_name[0] == '.' || !strchr(entry->d_name, ':') ||
		    strlen(entry->d_name) > ATTACH_TOKEN_MAX)
			continue;
		(void)snprintf(path, sizeof(path), "%.700s/%.240s", folder, entry->d_name);
		*n += look(path, entry->d_name, &list[*n]) ? 1 : 0;
	}
	return DVS_OK;
}

static dvs_err look_locked(const char *folder, struct attachment **list, size_t *n)
{
	AUTO_FREE struct attachment *found = calloc(ATTACHMENTS_MAX, sizeof(*found));
	dvs_err err = found ? look_at_all(folder, found, n) : DVS_NOMEM;

	if (!err)
		*list = TAKE_PTR(found);
	return err;
}

dvs_err attach_list(const char *run_dir, struct attachment **list, size_t *n,
		    char why[ATTACH_WHY_MAX])
{
	char folder[ATTACH_PATH_MAX];
	AUTO_CLOSE int lock_fd = -1;
	dvs_err err = lock_all(run_dir, folder, &lock_fd, why);

	return err ? err : look_locked(folder, list, n);
}

/* "DC:VOLUME@SNAPSHOT:3f2a9c1d": a colon is in none of the names. */
static void draw_token(const char *volume, char token[ATTACH_TOKEN_MAX + 1])
{
	uint32_t number = 0;

	/* It does not fail for so few bytes once the system is up; two with one number would not hurt, but for one of them having to try again. */
	(void)!getrandom(&number, sizeof(number), 0);
	(void)snprintf(token, ATTACH_TOKEN_MAX + 1, "%.200s:%08x", volume, number);
	for (char *at = token; *at; at++) {
		if (*at == '/')
			*at = ':';
	}
}

static dvs_err make_folder(const char *folder, const char *volume, struct slot *slot,
			   char why[ATTACH_WHY_MAX])
{
	char path[ATTACH_PATH_MAX + 8];

	draw_token(volume, slot->token);
	(void)snprintf(slot->folder, sizeof(slot->folder), "%.700s/%s", folder, slot->token);
	if (mkdir(slot->folder, 0700))
		return failed(why, slot->folder);
	(void)snprintf(path, sizeof(path), "%s/lock", slot->folder);
	slot->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (slot->lock_fd < 0 || flock(slot->lock_fd, LOCK_EX | LOCK_NB))
		return failed(why, path);
	return DVS_OK;
}

dvs_err slot_make(const char *run_dir, const char *volume, struct slot *slot,
		  char why[ATTACH_WHY_MAX])
{
	char folder[ATTACH_PATH_MAX];
	AUTO_FREE struct attachment *list = NULL;
	AUTO_CLOSE int lock_fd = -1;
	size_t n = 0;
	dvs_err err = lock_all(run_dir, folder, &lock_fd, why);

	*slot = (struct slot){ .lock_fd = -1 };
	if (!err)
		err = look_locked(folder, &list, &n);
	if (!err && n >= ATTACHMENTS_MAX) {
		(void)snprintf(why, ATTACH_WHY_MAX, "%u volumes are attached on this node",
			       ATTACHMENTS_MAX);
		err = DVS_FULL;
	}
	return err ? err : make_folder(folder, volume, slot, why);
}

dvs_err slot_write(const struct slot *slot, const struct attachment *attachment)
{
	char path[ATTACH_PATH_MAX + 16];
	char fresh[ATTACH_PATH_MAX + 16];
	json_t *about =
		json_pack("{s:s, s:s, s:i, s:i, s:b, s:b, s:I}", "volume", attachment->volume,
			  "device", attachment->device, "keeper", (int)attachment->keeper, "server",
			  (int)attachment->server, "read_only", attachment->is_read_only, "shared",
			  attachment->is_shared, "since_ns", (json_int_t)attachment->since_ns);
	bool ok;

	if (!about)
		return DVS_NOMEM;
	(void)snprintf(path, sizeof(path), "%s/about", slot->folder);
	(void)snprintf(fresh, sizeof(fresh), "%s/about.new", slot->folder);
	ok = !json_dump_file(about, fresh, JSON_COMPACT) && !rename(fresh, path);
	json_decref(about);
	return ok ? DVS_OK : DVS_IO;
}

bool slot_has_device(const struct slot *slot, const char *device)
{
	return has_device(device, slot->token);
}

void slot_leave(struct slot *slot)
{
	close(slot->lock_fd);
	slot->lock_fd = -1;
}

void slot_remove(struct slot *slot)
{
	if (slot->lock_fd < 0)
		return;
	remove_folder(slot->folder);
	slot_leave(slot);
}
