/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups of a container, by the texts of its own files. The node's name services know nothing of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "container/container.h"
#include "container/inside.h"
#include "container/why.h"

#define FIELDS_MAX 7u

/* A line taken apart at its colons. */
struct line {
	const char *field[FIELDS_MAX];
	size_t len[FIELDS_MAX];
	size_t n;
};

/* The line at *TEXT, which goes on to the next. False: there is none. */
static bool next_line(const char **text, struct line *line)
{
	const char *at = *text;
	size_t left = strcspn(at, "\n");

	if (*at == '\0')
		return false;
	*text = at + left + (at[left] == '\n');
	line->n = 0;
	while (line->n < FIELDS_MAX) {
		size_t len = 0;

		while (len < left && (at[len] != ':' || line->n == FIELDS_MAX - 1))
			len++;
		line->field[line->n] = at;
		line->len[line->n++] = len;
		if (len == left)
			break;
		at += len + 1;
		left -= len + 1;
	}
	return true;
}

static bool is(const struct line *line, size_t i, const char *text, size_t len)
{
	return i < line->n && line->len[i] == len && memcmp(line->field[i], text, len) == 0;
}

static bool number(const char *text, size_t len, uint32_t *value)
{
	uint64_t sum = 0;

	if (len == 0 || len > 10)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		sum = sum * 10 + (uint64_t)(text[i] - '0');
	}
	*value = (uint32_t)sum;
	return sum < CONTAINER_UIDS;
}

static bool field_number(const struct line *line, size_t i, uint32_t *value)
{
	return i < line->n && number(line->field[i], line->len[i], value);
}

/* The line of passwd for the user: by its name, or by its number if it has one. */
static bool find_passwd(const char *passwd, const char *name, size_t len, bool by_number,
			struct line *line)
{
	uint32_t wanted = 0, uid;

	if (by_number && !number(name, len, &wanted))
		return false;
	while (next_line(&passwd, line)) {
		if (!field_number(line, 2, &uid))
			continue;
		if (by_number ? uid == wanted : is(line, 0, name, len))
			return true;
	}
	return false;
}

/* Whether the list "a,b,c" of a line of group has NAME. */
static bool has_member(const struct line *line, const char *name, size_t len)
{
	const char *at = line->n > 3 ? line->field[3] : "";
	const char *end = line->n > 3 ? at + line->len[3] : at;

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		size_t member = (size_t)((comma ? comma : end) - at);

		if (member == len && memcmp(at, name, len) == 0)
			return true;
		at += member + 1;
	}
	return false;
}

static void find_groups(const char *group, const char *name, size_t len, struct inside_user *found)
{
	struct line line;
	uint32_t gid;

	while (next_line(&group, &line) && found->n_groups < ARRAY_LEN(found->groups)) {
		if (field_number(&line, 2, &gid) && gid != found->gid &&
		    has_member(&line, name, len))
			found->groups[found->n_groups++] = gid;
	}
}

/* The group that was asked for beside the user: it is the only one then. */
static dvs_err find_group(const char *group, const char *name, struct inside_user *found, char *why)
{
	size_t len = strlen(name);
	struct line line;
	uint32_t gid;

	found->n_groups = 0;
	while (next_line(&group, &line)) {
		if (field_number(&line, 2, &gid) && is(&line, 0, name, len)) {
			found->gid = gid;
			return DVS_OK;
		}
	}
	if (number(name, len, &found->gid))
		return DVS_OK;
	return why_say(why, DVS_NOTFOUND,
		       "the container has no group %s: name one of its /etc/group, or a number",
		       name);
}

static void take_line(const struct line *line, const char *group, struct inside_user *found)
{
	uint32_t gid;

	if (field_number(line, 3, &gid))
		found->gid = gid;
	if (line->n > 5 && line->len[5] > 0 && line->len[5] < sizeof(found->home) &&
	    line->field[5][0] == '/')
		(void)snprintf(found->home, sizeof(found->home), "%.*s", (int)line->len[5],
			       line->field[5]);
	find_groups(group, line->field[0], line->len[0], found);
}

dvs_err inside_find_user(const char *user, const char *passwd, const char *group,
			 struct inside_user *found, char *why)
{
	const char *name = user[0] ? user : "0";
	const char *colon = strchr(name, ':');
	size_t len = colon ? (size_t)(colon - name) : strlen(name);
	struct line line;

	*found = (struct inside_user){ .home = "/" };
	if (len == 0 || (colon && !colon[1]))
		return why_say(why, DVS_BADARG,
			       "\"%s\" is no user: it must be NAME, NUMBER, NAME:GROUP or"
			       " NUMBER:NUMBER",
			       user);
	if (find_passwd(passwd, name, len, false, &line) ||
	    find_passwd(passwd, name, len, true, &line)) {
		(void)field_number(&line, 2, &found->uid);
		take_line(&line, group, found);
	} else if (!number(name, len, &found->uid)) {
		return why_say(why, DVS_NOTFOUND,
			       "the container has no user %.*s: name one of its /etc/passwd, or a"
			       " number up to %u",
			       (int)len, name, CONTAINER_UIDS - 1);
	}
	return colon ? find_group(group, colon + 1, found, why) : DVS_OK;
}
