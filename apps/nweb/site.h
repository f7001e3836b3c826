/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind a path of the site: a file, a directory's index, or a list of what is in it. */
#ifndef NWEB_SITE_H
#define NWEB_SITE_H

#include <dvs/fs.h>

#include "http.h"

#define SITE_PLACE_BYTES ((size_t)3 * HTTP_PATH_MAX + 2)

struct site {
	struct dvs_fs *fs;
	const char *root; /* without a slash at its end */
};

/* Content that is to be sent: a file from AT on, or text. */
struct content {
	struct dvs_file *file;
	char *text; /* malloc()ed */
	uint64_t at;
	uint64_t left;
	char tag[HTTP_TAG_MAX + 1];
	char place[SITE_PLACE_BYTES]; /* of a redirection */
};

/* Fills ANSWER and CONTENT, which content_end() frees. */
void site_answer(const struct site *site, struct dvs_fs_thread *me,
		 const struct http_request *request, struct http_answer *answer,
		 struct content *content);
/* A page that says STATUS. */
void site_refuse(int status, struct http_answer *answer, struct content *content);
void content_end(struct dvs_fs_thread *me, struct content *content);

#endif
