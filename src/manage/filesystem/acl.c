/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/filesystem/acl.h"

#include <archive.h>
#include <endian.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 2u
#define HEAD_BYTES 4u
#define ENTRY_BYTES 8u
#define ENTRIES_MAX 8191 /* as many as an attribute has room for */
#define NO_ID UINT32_MAX

/* In the order in which a list has them. */
static const struct kind {
	uint16_t tag;
	int theirs;
	bool has_id;
} kinds[] = {
	{ 0x01, ARCHIVE_ENTRY_ACL_USER_OBJ, false },  { 0x02, ARCHIVE_ENTRY_ACL_USER, true },
	{ 0x04, ARCHIVE_ENTRY_ACL_GROUP_OBJ, false }, { 0x08, ARCHIVE_ENTRY_ACL_GROUP, true },
	{ 0x10, ARCHIVE_ENTRY_ACL_MASK, false },      { 0x20, ARCHIVE_ENTRY_ACL_OTHER, false },
};

struct one {
	uint16_t tag;
	uint16_t perm;
	uint32_t id;
};

bool acl_is_name(const char *name)
{
	return strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0;
}

static int type_of(const char *name)
{
	return strcmp(name, ACL_DEFAULT) == 0 ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT :
						ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
}

/* ---- into an archive ---- */

static struct one one_at(const uint8_t *at)
{
	struct one one;

	memcpy(&one.tag, at, 2);
	memcpy(&one.perm, at + 2, 2);
	memcpy(&one.id, at + 4, 4);
	return (struct one){ le16toh(one.tag), le16toh(one.perm), le32toh(one.id) };
}

static dvs_err add_one(struct archive_entry *entry, int type, const struct one *one)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].tag != one->tag)
			continue;
		return archive_entry_acl_add_entry(entry, type, one->perm & 7, kinds[i].theirs,
						   kinds[i].has_id ? (int)one->id : -1,
						   NULL) == ARCHIVE_OK ?
			       DVS_OK :
			       DVS_NOMEM;
	}
	return DVS_PROTO;
}

dvs_err acl_to_entry(struct archive_entry *entry, const char *name, const uint8_t *bytes,
		     size_t len)
{
	uint32_t version = 0;
	dvs_err err = DVS_OK;

	if (len >= HEAD_BYTES)
		memcpy(&version, bytes, sizeof(version));
	if (le32toh(version) != VERSION || (len - HEAD_BYTES) % ENTRY_BYTES != 0)
		return DVS_PROTO;
	for (size_t at = HEAD_BYTES; !err && at < len; at += ENTRY_BYTES) {
		const struct one one = one_at(bytes + at);

		err = add_one(entry, type_of(name), &one);
	}
	return err;
}

/* ---- out of an archive ---- */

#define ENTRY_ROOM 4096u /* of a user or group; those of more members have numbers in archives */

static int64_t user_called(const char *name)
{
	char room[ENTRY_ROOM];
	struct passwd user;
	struct passwd *found = NULL;

	if (getpwnam_r(name, &user, room, sizeof(room), &found) != 0 || !found)
		return -1;
	return found->pw_uid;
}

static int64_t group_called(const char *name)
{
	char room[ENTRY_ROOM];
	struct group group;
	struct group *found = NULL;

	if (getgrnam_r(name, &group, room, sizeof(room), &found) != 0 || !found)
		return -1;
	return found->gr_gid;
}

/* Some archives have only names, which may be numbers. False: nobody here is called so. */
static bool find_id(int theirs, const char *name, int64_t *id)
{
	char *end;

	if (*id >= 0)
		return true;
	if (!name || !*name)
		return false;
	*id = strtoll(name, &end, 10);
	if (*end)
		*id = theirs == ARCHIVE_ENTRY_ACL_USER ? user_called(name) : group_called(name);
	return *id >= 0 && *id < NO_ID;
}

static bool take_one(struct one *one, int perm, int theirs, int64_t id, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].theirs != theirs)
			continue;
		if (kinds[i].has_id && !find_id(theirs, name, &id))
			return false;
		*one = (struct one){ kinds[i].tag, (uint16_t)(perm & 7),
				     kinds[i].has_id ? (uint32_t)id : NO_ID };
		return true;
	}
	return false;
}

static int compare(const void *left, const void *right)
{
	const struct one *a = left;
	const struct one *b = right;

	if (a->tag != b->tag)
		return a->tag < b->tag ? -1 : 1;
	return (a->id > b->id) - (a->id < b->id);
}

static void put(uint8_t *bytes, struct one *all, size_t n)
{
	const uint32_t version = htole32(VERSION);

	qsort(all, n, sizeof(*all), compare);
	memcpy(bytes, &version, sizeof(version));
	for (size_t i = 0; i < n; i++) {
		uint8_t *at = bytes + HEAD_BYTES + i * ENTRY_BYTES;
		const uint16_t tag = htole16(all[i].tag), perm = htole16(all[i].perm);
		const uint32_t id = htole32(all[i].id);

		memcpy(at, &tag, 2);
		memcpy(at + 2, &perm, 2);
		memcpy(at + 4, &id, 4);
	}
}

dvs_err acl_from_entry(struct archive_entry *entry, const char *name, uint8_t **bytes, size_t *len)
{
	int wanted = type_of(name);
	int count = archive_entry_acl_reset(entry, wanted);
	int type, perm, theirs, id;
	struct one *all;
	const char *text;
	size_t n = 0;
	bool ok = true;

	*bytes = NULL;
	*len = 0;
	if (count <= 0)
		return DVS_OK;
	if (count > ENTRIES_MAX)
		return DVS_BADARG;
	all = calloc((size_t)count, sizeof(*all));
	*bytes = malloc(HEAD_BYTES + (size_t)count * ENTRY_BYTES);
	while (all && *bytes && ok && n < (size_t)count &&
	       archive_entry_acl_next(entry, wanted, &type, &perm, &theirs, &id, &text) ==
		       ARCHIVE_OK)
		ok = take_one(&all[n++], perm, theirs, id, text);
	if (all && *bytes && ok) {
		put(*bytes, all, n);
		*len = HEAD_BYTES + n * ENTRY_BYTES;
		free(all);
		return DVS_OK;
	}
	free(all);
	free(*bytes);
	*bytes = NULL;
	return ok ? DVS_NOMEM : DVS_BADARG;
}
