/* SPDX-License-Identifier: Apache-2.0 */
#include "site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX "index.html"
#define HTML "text/html; charset=utf-8"
#define ENTRIES_MAX 20000u
#define PATH_BYTES (2 * (size_t)HTTP_PATH_MAX + sizeof(INDEX) + 1)

static int status_of(dvs_err err)
{
	switch (dvs_err_errno(err)) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
	case ELOOP:
	case ESTALE:
		return 404;
	case EACCES:
	case EPERM:
	case EOPNOTSUPP: /* devices and the like */
		return 403;
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case EPIPE:
	case ETIMEDOUT:
	case ECONNREFUSED:
		return 503;
	default:
		return 500;
	}
}

void content_end(struct dvs_fs_thread *me, struct content *content)
{
	dvs_file_close(me, content->file);
	free(content->text);
	*content = (struct content){ .left = 0 };
}

static void set_text(char *text, size_t len, struct http_answer *answer, struct content *content)
{
	content->text = text;
	content->at = 0;
	content->left = len;
	answer->type = HTML;
	answer->length = len;
}

void site_refuse(int status, struct http_answer *answer, struct content *content)
{
	char *text = NULL;
	int len = asprintf(&text, "<!DOCTYPE html>\n<title>%d %s</title>\n<h1>%s</h1>\n", status,
			   http_reason(status), http_reason(status));

	answer->status = status;
	if (len >= 0)
		set_text(text, (size_t)len, answer, content);
}

/* ---- lists ---- */

/* As it stands in a URL. */
static void encode(FILE *out, const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~/";

	for (; *name; name++) {
		if (strchr(plain, *name))
			(void)fputc(*name, out);
		else
			(void)fprintf(out, "%%%02X", (unsigned int)(unsigned char)*name);
	}
}

static void escape(FILE *out, const char *name)
{
	for (; *name; name++) {
		if (strchr("<>&\"'", *name))
			(void)fprintf(out, "&#%d;", *name);
		else
			(void)fputc(*name, out);
	}
}

struct names {
	char *all[ENTRIES_MAX];
	size_t n;
	bool is_cut;
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Directories with a slash behind them. */
static dvs_err read_names(struct dvs_fs_thread *me, struct dvs_dir *dir, struct names *names)
{
	for (;;) {
		const char *name;
		struct stat info;
		dvs_err err = dvs_dir_next(me, dir, &name, &info);

		if (err || !name)
			return err;
		if (names->n == ENTRIES_MAX) {
			names->is_cut = true;
			return DVS_OK;
		}
		if (asprintf(&names->all[names->n], "%s%s", name,
			     S_ISDIR(info.st_mode) ? "/" : "") < 0)
			return DVS_NOMEM;
		names->n++;
	}
}

static dvs_err list_entries(FILE *out, struct dvs_fs_thread *me, struct dvs_dir *dir)
{
	struct names *names = calloc(1, sizeof(*names));
	dvs_err err = names ? read_names(me, dir, names) : DVS_NOMEM;

	for (size_t i = 0; names && i < names->n; i++) {
		if (i == 0)
			qsort(names->all, names->n, sizeof(names->all[0]), compare);
		/* "./": a name with a colon is no scheme. */
		(void)fputs("<li><a href=\"./", out);
		encode(out, names->all[i]);
		(void)fputs("\">", out);
		escape(out, names->all[i]);
		(void)fputs("</a>\n", out);
		free(names->all[i]);
	}
	if (names && names->is_cut)
		(void)fputs("<li>and more\n", out);
	free(names);
	return err;
}

static dvs_err list(struct dvs_fs_thread *me, const char *path, const char *title,
		    struct http_answer *answer, struct content *content)
{
	char *text = NULL;
	size_t len = 0;
	struct dvs_dir *dir = NULL;
	FILE *out;
	dvs_err err = dvs_dir_open(me, path, &dir);

	if (err)
		return err;
	out = open_memstream(&text, &len);
	if (!out) {
		dvs_dir_close(me, dir);
		return DVS_NOMEM;
	}
	(void)fputs("<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>", out);
	escape(out, title);
	(void)fputs("</title>\n<ul>\n<li><a href=\"../\">..</a>\n", out);
	err = list_entries(out, me, dir);
	(void)fputs("</ul>\n", out);
	dvs_dir_close(me, dir);
	if (fclose(out) != 0 && !err)
		err = DVS_NOMEM;
	if (err) {
		free(text);
		return err;
	}
	answer->status = 200;
	set_text(text, len, answer, content);
	return DVS_OK;
}

/* ---- files ---- */

static bool is_tag(const char *said, const char *tag)
{
	if (strncmp(said, "W/", 2) == 0)
		said += 2;
	return strcmp(said, tag) == 0;
}

static bool is_known(const struct http_request *request, const char *tag, time_t modified)
{
	if (request->none_match[0])
		return strcmp(request->none_match, "*") == 0 || is_tag(request->none_match, tag);
	return request->modified_since && modified <= request->modified_since;
}

/* False: there is no such part. */
static bool cut_range(const struct http_request *request, uint64_t size, struct http_answer *answer,
		      struct content *content)
{
	uint64_t first = request->first, last = size - 1;

	if (request->range == HTTP_ALL ||
	    (request->if_range[0] && strcmp(request->if_range, content->tag) != 0))
		return true;
	answer->size = size;
	if (request->range == HTTP_LAST) {
		if (request->first == 0 || size == 0)
			return false;
		first = request->first < size ? size - request->first : 0;
	} else if (first >= size) {
		return false;
	} else if (request->range == HTTP_FROM_TO && request->last < last) {
		last = request->last;
	}
	answer->status = 206;
	answer->first = content->at = first;
	answer->length = content->left = last - first + 1;
	return true;
}

static void send_file(const char *path, const struct stat *info, const struct http_request *request,
		      struct http_answer *answer, struct content *content)
{
	(void)snprintf(content->tag, sizeof(content->tag), "\"%llx-%llx.%lx-%llx\"",
		       (unsigned long long)info->st_ino, (unsigned long long)info->st_mtim.tv_sec,
		       (unsigned long)info->st_mtim.tv_nsec, (unsigned long long)info->st_size);
	answer->status = 200;
	answer->tag = content->tag;
	answer->modified = info->st_mtim.tv_sec;
	if (is_known(request, content->tag, info->st_mtim.tv_sec)) {
		answer->status = 304;
		return;
	}
	answer->type = http_type(path);
	answer->length = content->left = (uint64_t)info->st_size;
	if (!cut_range(request, (uint64_t)info->st_size, answer, content)) {
		content->left = 0;
		answer->tag = NULL;
		site_refuse(416, answer, content);
	}
}

static void redirect(const char *path, struct http_answer *answer, struct content *content)
{
	FILE *out = fmemopen(content->place, sizeof(content->place), "w");

	if (!out) {
		site_refuse(500, answer, content);
		return;
	}
	/* "//x" would be another host. */
	(void)fputc('/', out);
	encode(out, path + strspn(path, "/"));
	(void)fputc('/', out);
	(void)fclose(out);
	site_refuse(301, answer, content);
	answer->location = content->place;
}

void site_answer(const struct site *site, struct dvs_fs_thread *me,
		 const struct http_request *request, struct http_answer *answer,
		 struct content *content)
{
	char path[PATH_BYTES];
	size_t len = (size_t)snprintf(path, sizeof(path), "%s%s", site->root, request->path);
	const bool is_dir = request->path[strlen(request->path) - 1] == '/';
	struct stat info;
	dvs_err err;

	*answer = (struct http_answer){ .keeps = request->keeps };
	*content = (struct content){ .left = 0 };
	if (is_dir)
		memcpy(path + len, INDEX, sizeof(INDEX));
	err = dvs_file_open(me, path, O_RDONLY, 0, &content->file, &info);
	if (err == DVS_ISDIR && !is_dir) {
		redirect(request->path, answer, content);
		return;
	}
	if (is_dir && err == DVS_NOTFOUND) {
		path[len] = '\0';
		err = list(me, path, request->path, answer, content);
	} else if (!err) {
		send_file(path, &info, request, answer, content);
	}
	if (err)
		site_refuse(status_of(err), answer, content);
}
