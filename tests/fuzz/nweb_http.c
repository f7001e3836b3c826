/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of requests of arbitrary bytes: what is taken begins with a slash and has no zero byte, and what is answered fits and has one end. */
#include "../../apps/nweb/http.h"

#include <assert.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_request request;
	char room[1024];
	struct http_answer answer = { .tag = "\"t\"", .size = 1000, .length = 10 };
	size_t len = http_head_len((const char *)data, size);
	int status;

	assert(len <= size);
	status = http_parse((const char *)data, len ? len : size, &request);
	if (status == 0) {
		assert(request.path[0] == '/' && strlen(request.path) <= HTTP_PATH_MAX);
		assert(request.range != HTTP_FROM_TO || request.first <= request.last);
		answer.type = http_type(request.path);
		answer.modified = request.modified_since;
	}
	answer.status = status ? status : 206;
	len = http_write(&answer, room, sizeof(room));
	assert(len > 0 && http_head_len(room, len) == len);
	return 0;
}
