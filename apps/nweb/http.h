/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 as far as a server of files needs it (RFC 9110, 9112): requests are read, heads of responses written. No I/O here. */
#ifndef NWEB_HTTP_H
#define NWEB_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define HTTP_HEAD_MAX 8192u /* of a request */
#define HTTP_PATH_MAX 4095u
#define HTTP_TAG_MAX 63u
#define HTTP_DATE_BYTES 30u
#define HTTP_ANSWER_MAX 1024u /* head of a response without its location */

/* What the client asked for. */
enum http_range { HTTP_ALL, HTTP_FROM_TO, HTTP_FROM, HTTP_LAST };

struct http_request {
	bool is_head;		      /* HEAD; else GET */
	bool keeps;		      /* the connection stays */
	char path[HTTP_PATH_MAX + 1]; /* decoded, begins with a slash, without the query */
	enum http_range range;
	uint64_t first; /* FROM_TO, FROM; LAST: how many */
	uint64_t last;
	char none_match[HTTP_TAG_MAX + 1]; /* a tag, or "*" */
	char if_range[HTTP_TAG_MAX + 1];
	time_t modified_since; /* 0: was not asked */
};

/* Length of the head at the beginning of the LEN bytes of TEXT, its empty line included; 0: its end is not there yet. */
size_t http_head_len(const char *text, size_t len);
/* 0, or the status to answer with; then the connection ends. */
int http_parse(const char *head, size_t len, struct http_request *request);

struct http_answer {
	int status;
	const char *type;     /* NULL: no content */
	const char *location; /* or NULL */
	const char *tag;      /* or NULL */
	time_t modified;      /* 0: is not told */
	uint64_t length;      /* of the content */
	uint64_t first, size; /* 206: from FIRST on, of SIZE; 416: of SIZE */
	bool keeps;
};

/* Writes the head to ROOM: its length, 0 when it does not fit. */
size_t http_write(const struct http_answer *answer, char *room, size_t bytes);
const char *http_reason(int status);
void http_date(time_t when, char text[HTTP_DATE_BYTES]);
/* How content is called, by the end of its path. */
const char *http_type(const char *path);

#endif
