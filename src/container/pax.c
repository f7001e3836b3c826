/* SPDX-License-Identifier: Apache-2.0 */
#include "container/pax.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define XATTR_PREFIX "SCHILY.xattr."
/* What the fields of ustar can hold. */
#define ID_MAX 07777777u
#define SIZE_MAX_USTAR UINT64_C(077777777777)
#define NAME_BYTES 100u

static const char zeros[2 * PAX_BLOCK];

/* A header as it lies in the archive. */
struct ustar {
	char name[NAME_BYTES];
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char checksum[8];
	char type;
	char link[NAME_BYTES];
	char magic[8];
	char user[32], group[32];
	char dev_major[8], dev_minor[8];
	char prefix[155];
	char unused[12];
};
_Static_assert(sizeof(struct ustar) == PAX_BLOCK, "a header is one block");

bool pax_keeps_xattr(const char *name)
{
	if (strcmp(name, "security.capability") == 0)
		return true;
	/* A '=' would end the name in the archive. */
	return strncmp(name, "user.", 5) == 0 && name[5] && !strchr(name, '=');
}

static void octal(char *field, size_t size, uint64_t value)
{
	for (size_t i = size - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
	field[size - 1] = '\0';
}

/* A field that is full needs no terminator, which strncpy() would be right for and compilers do not like. */
static void fill(char *field, size_t size, const char *text)
{
	memcpy(field, text, strnlen(text, size));
}

static void seal(struct ustar *header)
{
	const unsigned char *bytes = (const unsigned char *)header;
	unsigned sum = 0;

	memset(header->checksum, ' ', sizeof(header->checksum));
	for (size_t i = 0; i < sizeof(*header); i++)
		sum += bytes[i];
	octal(header->checksum, 7, sum);
	header->checksum[7] = ' ';
}

static void make(struct ustar *header, char type, uint32_t mode, uint64_t size)
{
	memset(header, 0, sizeof(*header));
	octal(header->mode, sizeof(header->mode), mode & 07777);
	octal(header->uid, sizeof(header->uid), 0);
	octal(header->gid, sizeof(header->gid), 0);
	octal(header->size, sizeof(header->size), size);
	octal(header->mtime, sizeof(header->mtime), 0);
	octal(header->dev_major, sizeof(header->dev_major), 0);
	octal(header->dev_minor, sizeof(header->dev_minor), 0);
	header->type = type;
	memcpy(header->magic,
	       "ustar\0"
	       "00",
	       8);
}

/* "LEN KEY=VALUE\n", where LEN counts itself. */
static void put_record(FILE *out, const char *prefix, const char *key, const void *value,
		       size_t len)
{
	size_t rest = strlen(prefix) + strlen(key) + len + 3;
	size_t digits = 1;

	for (size_t power = 10; rest + digits >= power; power *= 10)
		digits++;
	fprintf(out, "%zu %s%s=", rest + digits, prefix, key);
	fwrite(value, 1, len, out);
	fputc('\n', out);
}

static void put_text(FILE *out, const char *key, const char *value)
{
	put_record(out, "", key, value, strlen(value));
}

static void put_number(FILE *out, const char *key, int64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	put_text(out, key, text);
}

static bool is_ascii(const char *text)
{
	for (; text && *text; text++) {
		if ((unsigned char)*text >= 0x80)
			return false;
	}
	return true;
}

static void put_records(FILE *out, const struct pax_entry *entry)
{
	bool path = strlen(entry->path) > NAME_BYTES;
	bool link = entry->link && strlen(entry->link) > NAME_BYTES;

	if ((path && !is_ascii(entry->path)) || (link && !is_ascii(entry->link)))
		put_text(out, "hdrcharset", "BINARY");
	if (path)
		put_text(out, "path", entry->path);
	if (link)
		put_text(out, "linkpath", entry->link);
	if (entry->size > SIZE_MAX_USTAR)
		put_number(out, "size", (int64_t)entry->size);
	if (entry->uid > ID_MAX)
		put_number(out, "uid", entry->uid);
	if (entry->gid > ID_MAX)
		put_number(out, "gid", entry->gid);
	if (entry->mtime_s < 0 || (uint64_t)entry->mtime_s > SIZE_MAX_USTAR)
		put_number(out, "mtime", entry->mtime_s);
	for (size_t i = 0; i < entry->n_xattrs; i++)
		put_record(out, XATTR_PREFIX, entry->xattrs[i].name, entry->xattrs[i].value,
			   entry->xattrs[i].len);
}

dvs_err pax_pad(const struct pax_sink *sink, uint64_t size)
{
	size_t over = size % PAX_BLOCK;

	return over == 0 ? DVS_OK : sink->write(sink->context, zeros, PAX_BLOCK - over);
}

dvs_err pax_end(const struct pax_sink *sink)
{
	return sink->write(sink->context, zeros, 2 * PAX_BLOCK);
}

/* The pax header of ENTRY, if it needs one. */
static dvs_err write_records(const struct pax_sink *sink, const struct pax_entry *entry)
{
	AUTO_FREE char *records = NULL;
	struct ustar header;
	size_t len = 0;
	FILE *out = open_memstream(&records, &len);
	bool failed;
	dvs_err err;

	if (!out)
		return DVS_NOMEM;
	put_records(out, entry);
	failed = ferror(out);
	if (fclose(out) != 0 || failed)
		return DVS_NOMEM;
	if (len == 0)
		return DVS_OK;
	make(&header, 'x', 0644, len);
	fill(header.name, sizeof(header.name), "pax");
	seal(&header);
	err = sink->write(sink->context, &header, sizeof(header));
	if (err == DVS_OK)
		err = sink->write(sink->context, records, len);
	return err == DVS_OK ? pax_pad(sink, len) : err;
}

dvs_err pax_write_fd(void *context, const void *bytes, size_t len)
{
	const int *fd = context;
	const char *at = bytes;

	while (len > 0) {
		ssize_t put = write(*fd, at, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return dvs_from_errno(errno);
		at += put;
		len -= (size_t)put;
	}
	return DVS_OK;
}

dvs_err pax_header(const struct pax_sink *sink, const struct pax_entry *entry)
{
	struct ustar header;
	dvs_err err = write_records(sink, entry);

	if (err != DVS_OK)
		return err;
	make(&header, (char)entry->type, entry->mode,
	     entry->size > SIZE_MAX_USTAR ? 0 : entry->size);
	fill(header.name, sizeof(header.name), entry->path);
	if (entry->link)
		fill(header.link, sizeof(header.link), entry->link);
	if (entry->uid <= ID_MAX)
		octal(header.uid, sizeof(header.uid), entry->uid);
	if (entry->gid <= ID_MAX)
		octal(header.gid, sizeof(header.gid), entry->gid);
	if (entry->mtime_s >= 0 && (uint64_t)entry->mtime_s <= SIZE_MAX_USTAR)
		octal(header.mtime, sizeof(header.mtime), (uint64_t)entry->mtime_s);
	seal(&header);
	return sink->write(sink->context, &header, sizeof(header));
}
