/* SPDX-License-Identifier: Apache-2.0 */
/* A member of a group over corosync, whose state is the list of the entries that were applied; tests/system/group.py starts some and
 * does to them what it can.
 *
 *	group-member NODE LIFE
 *
 * Entries are numbered NODE, LIFE, 1 and up. Orders, a line each: "submit N", "keep N" (entries), "state ASKED", "list" (the
 * entries), "close". What happens is
 * told in lines:
 *
 *	ready 0|1
 *	view EPOCH INDEX members 0,1,2 left 3:1 joined 1
 *	lost NODE			its machine went after its program had
 *	state INDEX DIGEST TOLD_APPLIED NOQUORUM WHILE_AWAY UNKNOWN WAITING ASKED
 *					asked for; or, with "-", when nothing of ours waits any more
 *	entry NODE LIFE N ...		with "list", then "end"
 */
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cursor.h"
#include "group/ordered.h"

struct entries {
	uint64_t *list; /* node, life, number in one */
	size_t n;
	size_t room;
	uint64_t digest;
};

struct member {
	struct ordered *ordered;
	struct entries entries;
	struct entries loading;
	uint32_t node;
	uint32_t life;
	uint32_t last;
	uint64_t n_applied;
	uint64_t n_noquorum;
	uint64_t n_while_away;
	uint64_t n_unknown;
	uint64_t n_waiting;
	bool over;
};

static void entries_add(struct entries *entries, uint64_t entry)
{
	if (entries->n == entries->room) {
		entries->room = entries->room * 2 + 1000;
		entries->list = realloc(entries->list, entries->room * sizeof(entry));
		if (!entries->list)
			abort();
	}
	entries->list[entries->n++] = entry;
	entries->digest = (entries->digest ^ entry) * UINT64_C(0x100000001b3);
	entries->digest ^= entries->digest >> 31;
}

static void tell_state(const struct member *member, const char *asked)
{
	printf("state %" PRIu64 " %" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
	       " %" PRIu64 " %s\n",
	       ordered_position(member->ordered).index, member->entries.digest, member->n_applied,
	       member->n_noquorum, member->n_while_away, member->n_unknown, member->n_waiting,
	       asked);
}

static void settled(struct member *member)
{
	if (--member->n_waiting == 0)
		tell_state(member, "-");
}

static void app_apply(void *context, uint32_t node, uint64_t cookie, const void *bytes, size_t len)
{
	struct member *member = context;
	struct cursor in = cursor_over(bytes, len);
	uint64_t entry = cursor_u64(&in);

	if (!cursor_done(&in) || entry >> 56 != node)
		abort();
	entries_add(&member->entries, entry);
	if (!cookie)
		return;
	if (cookie != (entry & UINT32_MAX) || node != member->node)
		abort();
	member->n_applied++;
	settled(member);
}

static void app_view(void *context, const struct ordered_view *view)
{
	printf("view %" PRIu64 " %" PRIu64 " members ", view->epoch,
	       ordered_position(((struct member *)context)->ordered).index);
	for (uint32_t i = 0; i < view->n_members; i++)
		printf("%s%u", i ? "," : "", view->members[i]);
	printf(" left ");
	for (uint32_t i = 0; i < view->n_left; i++)
		printf("%s%u:%u", i ? "," : "", view->left[i], view->why[i]);
	printf(" joined ");
	for (uint32_t i = 0; i < view->n_joined; i++)
		printf("%s%u", i ? "," : "", view->joined[i]);
	printf("\n");
}

static void app_node_lost(void *context, uint32_t node)
{
	(void)context;
	printf("lost %u\n", node);
}

static dvs_err app_save(void *context, dvs_err (*emit)(void *to, const void *bytes, size_t len),
			void *to)
{
	const struct entries *entries = &((struct member *)context)->entries;
	dvs_err err = DVS_OK;

	for (size_t at = 0; at < entries->n && err == DVS_OK; at += 1000)
		err = emit(to, entries->list + at,
			   (entries->n - at < 1000 ? entries->n - at : 1000) * 8);
	return err;
}

static void app_load_begin(void *context)
{
	struct entries *loading = &((struct member *)context)->loading;

	loading->n = 0;
	loading->digest = 0;
}

static dvs_err app_load(void *context, const void *bytes, size_t len)
{
	for (size_t at = 0; at < len; at += 8) {
		uint64_t entry;

		memcpy(&entry, (const uint8_t *)bytes + at, 8);
		entries_add(&((struct member *)context)->loading, entry);
	}
	return DVS_OK;
}

static void app_load_end(void *context, bool ok)
{
	struct member *member = context;
	struct entries former = member->entries;

	if (!ok)
		return;
	member->entries = member->loading;
	member->loading = former;
}

static uint64_t app_digest(void *context)
{
	return ((struct member *)context)->entries.digest;
}

static void app_ready(void *context, bool ready)
{
	(void)context;
	printf("ready %d\n", ready);
}

static void app_refused(void *context, uint64_t cookie, dvs_err err)
{
	struct member *member = context;

	(void)cookie;
	if (err == DVS_NOQUORUM)
		member->n_noquorum++;
	else if (err == DVS_OK)
		member->n_while_away++;
	else
		member->n_unknown++;
	settled(member);
}

static void app_failed(void *context, dvs_err err, const char *why)
{
	(void)context;
	printf("failed %s: %s\n", dvs_err_name(err), why);
}

static dvs_err open_engine(void *argument, const struct engine_events *events,
			   struct engine **engine)
{
	const struct member *member = argument;

	return engine_corosync_open("group-member", member->node, events, engine);
}

static void submit(struct member *member, unsigned long n, bool keep)
{
	for (; n > 0; n--) {
		uint32_t number = ++member->last;
		uint8_t bytes[8];
		struct writer out = writer_over(bytes, sizeof(bytes));
		dvs_err err;

		writer_u64(&out,
			   (uint64_t)member->node << 56 | (uint64_t)member->life << 32 | number);
		member->n_waiting++;
		err = ordered_submit(member->ordered, number, bytes, sizeof(bytes), keep);
		if (err == DVS_OK)
			continue;
		member->n_noquorum += err == DVS_NOQUORUM;
		member->n_unknown += err != DVS_NOQUORUM;
		settled(member);
	}
}

static void order(struct member *member, const char *line)
{
	if (strncmp(line, "submit ", 7) == 0)
		submit(member, strtoul(line + 7, NULL, 10), false);
	else if (strncmp(line, "keep ", 5) == 0)
		submit(member, strtoul(line + 5, NULL, 10), true);
	else if (strcmp(line, "close") == 0)
		member->over = true;
	else if (strncmp(line, "state ", 6) == 0)
		tell_state(member, line + 6);
	else if (strcmp(line, "list") == 0) {
		for (size_t i = 0; i < member->entries.n; i++)
			printf("entry %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			       member->entries.list[i] >> 56,
			       member->entries.list[i] >> 32 & 0xffffff,
			       member->entries.list[i] & UINT32_MAX);
		printf("end\n");
	}
}

/* False: the end. */
static bool orders_read(struct member *member)
{
	static char line[256];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, line + len, sizeof(line) - 1 - len);
	char *end;

	if (n <= 0)
		return false;
	len += (size_t)n;
	while ((end = memchr(line, '\n', len))) {
		*end = '\0';
		order(member, line);
		len -= (size_t)(end + 1 - line);
		memmove(line, end + 1, len);
	}
	return len < sizeof(line) - 1;
}

int main(int argc, char **argv)
{
	static struct member member;
	struct ordered_app app = { .context = &member,
				   .apply = app_apply,
				   .view = app_view,
				   .node_lost = app_node_lost,
				   .save = app_save,
				   .load_begin = app_load_begin,
				   .load = app_load,
				   .load_end = app_load_end,
				   .digest = app_digest,
				   .ready = app_ready,
				   .refused = app_refused,
				   .failed = app_failed };
	struct ordered_position position = { .epoch = 0 };
	struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .events = POLLIN } };
	struct timespec now;

	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	member.node = (uint32_t)strtoul(argv[1], NULL, 10);
	member.life = (uint32_t)strtoul(argv[2], NULL, 10);
	clock_gettime(CLOCK_REALTIME, &now);
	position.promised = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	if (ordered_open(&app, &position, member.node, open_engine, &member, &member.ordered) !=
	    DVS_OK) {
		printf("failed to open\n");
		return 1;
	}
	fds[1].fd = ordered_fd(member.ordered);
	while (!member.over) {
		if (poll(fds, 2, -1) < 0)
			return 1;
		if (fds[1].revents)
			ordered_dispatch(member.ordered);
		if (fds[0].revents && !orders_read(&member))
			break;
	}
	ordered_close(member.ordered);
	free(member.entries.list);
	free(member.loading.list);
	return 0;
}
