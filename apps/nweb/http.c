/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/* ---- reading ---- */

size_t http_head_len(const char *text, size_t len)
{
	const char *at = text, *end = text + len;

	while ((at = memchr(at, '\n', (size_t)(end - at)))) {
		at++;
		if (at < end && *at == '\n')
			return (size_t)(at + 1 - text);
		if (at + 1 < end && at[0] == '\r' && at[1] == '\n')
			return (size_t)(at + 2 - text);
	}
	return 0;
}

struct span {
	const char *at;
	size_t len;
};

/* The next line of *HEAD, without its end. */
static struct span take_line(struct span *head)
{
	const char *end = memchr(head->at, '\n', head->len);
	size_t len = end ? (size_t)(end - head->at) : head->len;
	struct span line = { head->at, len };
	size_t used = end ? len + 1 : len;

	head->at += used;
	head->len -= used;
	if (line.len > 0 && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

static struct span take_word(struct span *line)
{
	const char *end = memchr(line->at, ' ', line->len);
	size_t len = end ? (size_t)(end - line->at) : line->len;
	struct span word = { line->at, len };

	line->at += end ? len + 1 : len;
	line->len -= end ? len + 1 : len;
	return word;
}

static bool is(struct span span, const char *text)
{
	return span.len == strlen(text) && strncasecmp(span.at, text, span.len) == 0;
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int decode_path(struct span target, char path[HTTP_PATH_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < target.len && target.at[i] != '?'; i++) {
		int c = (unsigned char)target.at[i];

		if (c == '%') {
			int high = i + 2 < target.len ? hex_of(target.at[i + 1]) : -1;
			int low = i + 2 < target.len ? hex_of(target.at[i + 2]) : -1;

			if (high < 0 || low < 0)
				return 400;
			c = high * 16 + low;
			i += 2;
		}
		if (c == 0 || c == '\r')
			return 400;
		if (n == HTTP_PATH_MAX)
			return 414;
		path[n++] = (char)c;
	}
	path[n] = '\0';
	return path[0] == '/' ? 0 : 400;
}

/* "/path", or "http://host/path" as proxies send it. */
static int parse_target(struct span target, char path[HTTP_PATH_MAX + 1])
{
	static const char scheme[] = "http://";

	if (target.len > strlen(scheme) && strncasecmp(target.at, scheme, strlen(scheme)) == 0) {
		const char *slash;

		target.at += strlen(scheme);
		target.len -= strlen(scheme);
		slash = memchr(target.at, '/', target.len);
		if (!slash) {
			memcpy(path, "/", 2);
			return 0;
		}
		target.len -= (size_t)(slash - target.at);
		target.at = slash;
	}
	return decode_path(target, path);
}

static bool parse_u64(const char **at, const char *end, uint64_t *number)
{
	const char *start = *at;

	for (*number = 0; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
		if (*number > UINT64_MAX / 10 - 10)
			return false;
		*number = *number * 10 + (uint64_t)(**at - '0');
	}
	return *at > start;
}

/* One range; several, and what is not understood, are not looked at: all is sent. */
static void parse_range(struct span value, struct http_request *request)
{
	static const char unit[] = "bytes=";
	const char *at = value.at + strlen(unit), *end = value.at + value.len;
	uint64_t first, last;

	if (value.len <= strlen(unit) || strncasecmp(value.at, unit, strlen(unit)) != 0)
		return;
	if (*at == '-') {
		at++;
		if (parse_u64(&at, end, &first) && at == end) {
			request->range = HTTP_LAST;
			request->first = first;
		}
		return;
	}
	if (!parse_u64(&at, end, &first) || at == end || *at++ != '-')
		return;
	if (at == end) {
		request->range = HTTP_FROM;
		request->first = first;
	} else if (parse_u64(&at, end, &last) && at == end && last >= first) {
		request->range = HTTP_FROM_TO;
		request->first = first;
		request->last = last;
	}
}

static void parse_date(struct span value, time_t *when)
{
	char text[64];
	struct tm parts = { .tm_isdst = 0 };

	if (value.len >= sizeof(text))
		return;
	memcpy(text, value.at, value.len);
	text[value.len] = '\0';
	if (strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts))
		*when = timegm(&parts);
}

static void copy_tag(struct span value, char tag[HTTP_TAG_MAX + 1])
{
	/* A list or a longer one is none of ours. */
	if (value.len > HTTP_TAG_MAX)
		return;
	memcpy(tag, value.at, value.len);
	tag[value.len] = '\0';
}

static int take_field(struct span name, struct span value, struct http_request *request,
		      bool *has_host)
{
	if (is(name, "host"))
		*has_host = true;
	else if (is(name, "connection"))
		request->keeps = is(value, "close")	 ? false :
				 is(value, "keep-alive") ? true :
							   request->keeps;
	else if (is(name, "range"))
		parse_range(value, request);
	else if (is(name, "if-none-match"))
		copy_tag(value, request->none_match);
	else if (is(name, "if-range"))
		copy_tag(value, request->if_range);
	else if (is(name, "if-modified-since"))
		parse_date(value, &request->modified_since);
	else if (is(name, "transfer-encoding") || (is(name, "content-length") && !is(value, "0")))
		return 413;
	return 0;
}

static int parse_fields(struct span head, struct http_request *request, bool *has_host)
{
	while (head.len > 0) {
		struct span line = take_line(&head);
		const char *colon = memchr(line.at, ':', line.len);
		struct span name, value;
		int status;

		if (line.len == 0)
			break;
		/* A blank before the colon, and lines that go on, are refused as RFC 9112 says. */
		if (!colon || colon == line.at || colon[-1] == ' ' || line.at[0] == ' ' ||
		    line.at[0] == '\t')
			return 400;
		name = (struct span){ line.at, (size_t)(colon - line.at) };
		value = (struct span){ colon + 1, line.len - name.len - 1 };
		while (value.len > 0 && (*value.at == ' ' || *value.at == '\t')) {
			value.at++;
			value.len--;
		}
		while (value.len > 0 &&
		       (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t'))
			value.len--;
		status = take_field(name, value, request, has_host);
		if (status)
			return status;
	}
	return 0;
}

int http_parse(const char *head, size_t len, struct http_request *request)
{
	struct span rest = { head, len };
	struct span line = take_line(&rest);
	struct span method = take_word(&line);
	struct span target = take_word(&line);
	bool has_host = false;
	int status;

	*request = (struct http_request){ .is_head = is(method, "HEAD") };
	if (is(line, "HTTP/1.1"))
		request->keeps = true;
	else if (!is(line, "HTTP/1.0"))
		return line.len >= 5 && strncmp(line.at, "HTTP/", 5) == 0 ? 505 : 400;
	status = parse_target(target, request->path);
	if (!status)
		status = parse_fields(rest, request, &has_host);
	if (status)
		return status;
	if (!has_host && is(line, "HTTP/1.1"))
		return 400;
	return request->is_head || is(method, "GET") ? 0 : 405;
}

/* ---- writing ---- */

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} known[] = {
		{ 200, "OK" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 416, "Range Not Satisfiable" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < LEN(known); i++)
		if (known[i].status == status)
			return known[i].reason;
	return "Unknown";
}

void http_date(time_t when, char text[HTTP_DATE_BYTES])
{
	struct tm parts;

	text[0] = '\0';
	if (gmtime_r(&when, &parts))
		(void)strftime(text, HTTP_DATE_BYTES, "%a, %d %b %Y %H:%M:%S GMT", &parts);
}

/* The end of the path decides; lower case only, as files of sites have it. */
const char *http_type(const char *path)
{
	static const char *const known[][2] = {
		{ "css", "text/css; charset=utf-8" },
		{ "csv", "text/csv; charset=utf-8" },
		{ "gif", "image/gif" },
		{ "gz", "application/gzip" },
		{ "htm", "text/html; charset=utf-8" },
		{ "html", "text/html; charset=utf-8" },
		{ "ico", "image/x-icon" },
		{ "jpeg", "image/jpeg" },
		{ "jpg", "image/jpeg" },
		{ "js", "text/javascript; charset=utf-8" },
		{ "json", "application/json" },
		{ "md", "text/markdown; charset=utf-8" },
		{ "mp4", "video/mp4" },
		{ "pdf", "application/pdf" },
		{ "png", "image/png" },
		{ "svg", "image/svg+xml" },
		{ "txt", "text/plain; charset=utf-8" },
		{ "wasm", "application/wasm" },
		{ "webp", "image/webp" },
		{ "woff2", "font/woff2" },
		{ "xml", "application/xml" },
		{ "zip", "application/zip" },
	};
	const char *name = strrchr(path, '/');
	const char *dot = strrchr(name ? name : path, '.');

	for (size_t i = 0; dot && i < LEN(known); i++)
		if (strcmp(dot + 1, known[i][0]) == 0)
			return known[i][1];
	return "application/octet-stream";
}

static void write_range(FILE *out, const struct http_answer *answer)
{
	if (answer->status == 206)
		(void)fprintf(out, "Content-Range: bytes %llu-%llu/%llu\r\n",
			      (unsigned long long)answer->first,
			      (unsigned long long)(answer->first + answer->length - 1),
			      (unsigned long long)answer->size);
	else if (answer->status == 416)
		(void)fprintf(out, "Content-Range: bytes */%llu\r\n",
			      (unsigned long long)answer->size);
}

size_t http_write(const struct http_answer *answer, char *room, size_t bytes)
{
	char date[HTTP_DATE_BYTES];
	FILE *out = fmemopen(room, bytes, "w");
	long len;

	if (!out)
		return 0;
	http_date(time(NULL), date);
	(void)fprintf(out, "HTTP/1.1 %d %s\r\nServer: nweb\r\nDate: %s\r\n", answer->status,
		      http_reason(answer->status), date);
	if (answer->type)
		(void)fprintf(out, "Content-Type: %s\r\n", answer->type);
	if (answer->status != 304)
		(void)fprintf(out, "Content-Length: %llu\r\n", (unsigned long long)answer->length);
	if (answer->modified) {
		http_date(answer->modified, date);
		(void)fprintf(out, "Last-Modified: %s\r\n", date);
	}
	if (answer->tag)
		(void)fprintf(out, "ETag: %s\r\nAccept-Ranges: bytes\r\n", answer->tag);
	if (answer->location)
		(void)fprintf(out, "Location: %s\r\n", answer->location);
	if (answer->status == 405)
		(void)fputs("Allow: GET, HEAD\r\n", out);
	write_range(out, answer);
	(void)fprintf(out, "Connection: %s\r\n\r\n", answer->keeps ? "keep-alive" : "close");
	len = fflush(out) == 0 && !ferror(out) ? ftell(out) : 0;
	(void)fclose(out);
	return len > 0 && (size_t)len < bytes ? (size_t)len : 0;
}
