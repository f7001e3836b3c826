/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define BATCH_BYTES 65536u
#define TIME_BYTES 30u
#define FLAG_AT 38u
#define PATH_BYTES 400u
#define FILES_MAX 2

struct file {
	int fd; /* -1: there is none */
	uint64_t start;
	uint64_t size;
};

struct logs {
	char folder[PATH_BYTES - 64];
	uint64_t id;
	struct file files[FILES_MAX]; /* the older one, the one that is written */
	uint64_t second;	      /* what `time` says */
	char time[TIME_BYTES + 1];
	size_t n;
	char batch[BATCH_BYTES];
};

/* A file as it is read. */
struct view {
	const char *bytes;
	size_t len;
	uint64_t start;
};

static void file_path(const struct logs *logs, uint64_t start, char path[PATH_BYTES])
{
	(void)snprintf(path, PATH_BYTES, "%s/%016" PRIx64 ".%016" PRIx64, logs->folder, logs->id,
		       start);
}

static void file_drop(const struct logs *logs, struct file *file)
{
	char path[PATH_BYTES];

	if (file->fd < 0)
		return;
	file_path(logs, file->start, path);
	(void)unlink(path);
	cleanup_close(&file->fd);
}

/* ---- opening ---- */

/* The file that was found: the two youngest stay. */
static void file_found(struct logs *logs, const char *name, uint64_t start)
{
	struct file *old = &logs->files[0];
	struct file *young = &logs->files[1];
	struct file file = { .fd = -1, .start = start };
	char path[PATH_BYTES];
	struct stat info;

	file_path(logs, start, path);
	if (strcmp(strrchr(path, '/') + 1, name) != 0)
		return;
	file.fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (file.fd < 0 || fstat(file.fd, &info) != 0) {
		cleanup_close(&file.fd);
		return;
	}
	file.size = (uint64_t)info.st_size;
	if (young->fd < 0 || young->start < start) {
		file_drop(logs, old);
		*old = *young;
		*young = file;
	} else {
		file_drop(logs, old->start < start ? old : &file);
		if (file.fd >= 0)
			*old = file;
	}
}

static void files_find(struct logs *logs)
{
	AUTO_CLOSEDIR DIR *dir = opendir(logs->folder);
	const struct dirent *entry;
	char prefix[32];

	(void)snprintf(prefix, sizeof(prefix), "%016" PRIx64 ".", logs->id);
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			file_found(logs, entry->d_name,
				   strtoull(entry->d_name + strlen(prefix), NULL, 16));
	}
}

dvs_err logs_open(const char *folder, uint64_t id, struct logs **made)
{
	struct logs *logs;

	if (strlen(folder) >= sizeof(logs->folder))
		return DVS_TOOBIG;
	logs = calloc(1, sizeof(*logs));
	if (!logs)
		return DVS_NOMEM;
	(void)snprintf(logs->folder, sizeof(logs->folder), "%s", folder);
	logs->id = id;
	for (size_t i = 0; i < FILES_MAX; i++)
		logs->files[i].fd = -1;
	files_find(logs);
	*made = logs;
	return DVS_OK;
}

void logs_close(struct logs *logs)
{
	if (!logs)
		return;
	for (size_t i = 0; i < FILES_MAX; i++)
		cleanup_close(&logs->files[i].fd);
	free(logs);
}

void logs_remove(struct logs *logs)
{
	for (size_t i = 0; i < FILES_MAX; i++)
		file_drop(logs, &logs->files[i]);
}

uint64_t logs_end(const struct logs *logs)
{
	const struct file *young = &logs->files[1];

	return young->fd >= 0 ? young->start + young->size : 0;
}

/* ---- writing ---- */

static bool folder_make(const char *folder)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s", folder);
	for (char *at = path + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return false;
		*at = '/';
	}
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool file_begin(struct logs *logs)
{
	struct file fresh = { .fd = -1, .start = logs_end(logs) };
	char path[PATH_BYTES];

	file_path(logs, fresh.start, path);
	fresh.fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fresh.fd < 0 && errno == ENOENT && folder_make(logs->folder))
		fresh.fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fresh.fd < 0)
		return false;
	file_drop(logs, &logs->files[0]);
	logs->files[0] = logs->files[1];
	logs->files[1] = fresh;
	return true;
}

static void flush(struct logs *logs)
{
	struct file *young = &logs->files[1];
	size_t len = logs->n;
	ssize_t written;

	logs->n = 0;
	if (len == 0)
		return;
	if ((young->fd < 0 || young->size + len > LOGS_FILE_BYTES_MAX) && !file_begin(logs))
		return;
	written = write(young->fd, logs->batch, len);
	if (written == (ssize_t)len)
		young->size += len;
	else if (written > 0 && ftruncate(young->fd, (off_t)young->size) != 0)
		/* Half a line is in it, and must not be read as one. */
		cleanup_close(&young->fd);
}

static void time_text(char text[TIME_BYTES + 1], uint64_t now_ns)
{
	time_t seconds = (time_t)(now_ns / CLOCK_NS_PER_S);
	struct tm tm;
	size_t n;

	(void)gmtime_r(&seconds, &tm);
	n = strftime(text, TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + n, TIME_BYTES + 1 - n, ".%09uZ",
		       (unsigned int)(now_ns % CLOCK_NS_PER_S));
}

static const char *stream_text(enum logs_stream stream)
{
	return stream == LOGS_STDERR ? " stderr " : " stdout ";
}

static void put_line(struct logs *logs, enum logs_stream stream, char flag, const char *text,
		     size_t len)
{
	char *at;

	if (logs->n + LOGS_HEAD_BYTES + len + 1 > sizeof(logs->batch))
		flush(logs);
	at = logs->batch + logs->n;
	memcpy(at, logs->time, TIME_BYTES);
	memcpy(at + TIME_BYTES, stream_text(stream), FLAG_AT - TIME_BYTES);
	at[FLAG_AT] = flag;
	at[FLAG_AT + 1] = ' ';
	memcpy(at + LOGS_HEAD_BYTES, text, len);
	at[LOGS_HEAD_BYTES + len] = '\n';
	logs->n += LOGS_HEAD_BYTES + len + 1;
}

void logs_append(struct logs *logs, enum logs_stream stream, const void *data, size_t len,
		 uint64_t now_ns)
{
	const char *at = data;
	const char *end = at + len;

	time_text(logs->time, now_ns);
	while (at < end) {
		size_t left = (size_t)(end - at);
		const char *line_end = memchr(at, '\n', left);
		size_t text = line_end ? (size_t)(line_end - at) : left;

		if (text > LOGS_TEXT_MAX) {
			put_line(logs, stream, 'P', at, LOGS_TEXT_MAX);
			at += LOGS_TEXT_MAX;
			continue;
		}
		put_line(logs, stream, line_end ? 'F' : 'P', at, text);
		at += text + (line_end ? 1 : 0);
	}
	flush(logs);
}

/* ---- reading ---- */

static struct view view_open(const struct file *file)
{
	struct view view = { .bytes = "", .start = file->start };
	void *bytes;

	if (file->fd < 0 || file->size == 0)
		return view;
	bytes = mmap(NULL, file->size, PROT_READ, MAP_SHARED, file->fd, 0);
	if (bytes == MAP_FAILED)
		return view;
	view.bytes = bytes;
	view.len = file->size;
	return view;
}

static void view_close(struct view *view)
{
	void *bytes;

	if (view->len == 0)
		return;
	memcpy(&bytes, &view->bytes, sizeof(bytes));
	(void)munmap(bytes, view->len);
}

/* Where the line begins that ends with the line break before AT; FLAG is its flag. */
static size_t line_before(const struct view *view, size_t at, char *flag)
{
	const char *before = at > 1 ? memrchr(view->bytes, '\n', at - 1) : NULL;
	size_t begin = before ? (size_t)(before - view->bytes) + 1 : 0;

	*flag = begin + FLAG_AT < at ? view->bytes[begin + FLAG_AT] : 'F';
	return begin;
}

/* The place of the first of the last TAIL lines. */
static uint64_t tail_start(const struct view views[FILES_MAX], uint32_t tail, uint64_t end)
{
	uint64_t place = end;
	uint64_t lines = 0;
	bool last = true;

	for (int i = FILES_MAX - 1; i >= 0; i--) {
		size_t at = views[i].len;

		while (at > 0) {
			char flag;
			size_t begin = line_before(&views[i], at, &flag);

			/* A line ends with flag F; the very last one need not have ended. */
			if ((flag == 'F' || last) && ++lines > tail)
				return place;
			last = false;
			at = begin;
			place = views[i].start + at;
		}
	}
	return place;
}

/* Copy lines of VIEW from *CURSOR on. Returns false when there is no more room. */
static bool copy_lines(const struct view *view, uint64_t *cursor, const char *since, uint8_t *data,
		       size_t size, size_t *n)
{
	size_t at = *cursor > view->start ? (size_t)(*cursor - view->start) : 0;

	/* A cursor that nobody gave out may be inside of a line. */
	while (at > 0 && at < view->len && view->bytes[at - 1] != '\n')
		at++;
	while (at < view->len) {
		const char *line = view->bytes + at;
		const char *line_end = memchr(line, '\n', view->len - at);
		size_t len = line_end ? (size_t)(line_end - line) + 1 : view->len - at;

		if (!since || len < TIME_BYTES || memcmp(line, since, TIME_BYTES) >= 0) {
			if (*n + len > size)
				return false;
			memcpy(data + *n, line, len);
			*n += len;
		}
		at += len;
		*cursor = view->start + at;
	}
	return true;
}

size_t logs_read(struct logs *logs, uint64_t *cursor, uint32_t tail, uint64_t since_ns,
		 uint8_t *data, size_t size)
{
	struct view views[FILES_MAX];
	char since[TIME_BYTES + 1];
	size_t n = 0;
	bool room = true;

	for (size_t i = 0; i < FILES_MAX; i++)
		views[i] = view_open(&logs->files[i]);
	time_text(since, since_ns);
	if (*cursor == 0 && tail != LOGS_ALL)
		*cursor = tail_start(views, tail, logs_end(logs));
	for (size_t i = 0; i < FILES_MAX && room; i++) {
		if (*cursor < views[i].start + views[i].len)
			room = copy_lines(&views[i], cursor, since_ns > 0 ? since : NULL, data,
					  size, &n);
	}
	for (size_t i = 0; i < FILES_MAX; i++)
		view_close(&views[i]);
	return n;
}
