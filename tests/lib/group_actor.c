/* SPDX-License-Identifier: Apache-2.0 */
/* A member of a group that does what its standard input says and prints what it is told, a line for each. Its state is how many
 * messages the group has had and a hash over them in their order: members that agree on it have had the same ones in the same order.
 *
 *	group-actor ENDPOINT GROUP
 *	cast TEXT | flood COUNT | pause | go | leave */
#include <dvs/group.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct actor {
	struct m3 *self;
	struct dvs_group *group;
	uint32_t ep;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under lock: */
	bool paused;
	uint64_t count;
	uint64_t hash;
};

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	flockfile(stdout);
	(void)vprintf(format, args);
	(void)putchar('\n');
	(void)fflush(stdout);
	funlockfile(stdout);
	va_end(args);
}

static void add(struct actor *actor, const void *bytes, size_t len)
{
	const unsigned char *byte = bytes;

	for (size_t i = 0; i < len; i++)
		actor->hash = (actor->hash ^ byte[i]) * UINT64_C(0x100000001b3);
}

static void give(struct actor *actor, const struct dvs_group_event *event)
{
	/* Large enough to go in several pieces. */
	static char state[10000];
	uint64_t to;

	(void)snprintf(state, sizeof(state), "%" PRIu64 " %" PRIu64, actor->count, actor->hash);
	for (uint32_t n = 0; (to = dvs_group_owes(actor->group, event, n)) != 0; n++)
		say("gave %" PRIu64 " %s", to,
		    dvs_err_name(dvs_group_give(actor->group, event, to, state, sizeof(state))));
}

static void on_view(struct actor *actor, const struct dvs_group_event *event)
{
	char text[DVS_GROUP_MEMBERS_MAX * 48];
	size_t used = 0;

	for (uint32_t i = 0; i < event->n_members; i++) {
		const struct dvs_group_member *member = &event->members[i];

		used += (size_t)snprintf(text + used, sizeof(text) - used, " %u@%u%s",
					 dvs_ep_number(member->ep), member->node.n,
					 member->awaits ? "?" : "");
	}
	say("view %" PRIu64 "%s", event->view, text);
	give(actor, event);
}

static void on_event(struct actor *actor, const struct dvs_group_event *event)
{
	if (event->what == DVS_GROUP_VIEW) {
		on_view(actor, event);
	} else if (event->what == DVS_GROUP_MESSAGE) {
		actor->count++;
		add(actor, &event->from, sizeof(event->from));
		add(actor, event->data, event->bytes);
		say("message %" PRIu64 " %" PRIu64 " %.*s", actor->count, actor->hash,
		    (int)event->bytes, (const char *)event->data);
	} else {
		/* Only the first piece of it says something. */
		if (event->data[0])
			(void)sscanf((const char *)event->data, "%" SCNu64 " %" SCNu64,
				     &actor->count, &actor->hash);
		if (event->last)
			say("state %" PRIu64 " %" PRIu64, actor->count, actor->hash);
	}
}

static void *read_events(void *argument)
{
	struct actor *actor = argument;
	struct dvs_group_event event;
	dvs_err err;

	for (;;) {
		pthread_mutex_lock(&actor->lock);
		if (actor->paused)
			say("paused");
		while (actor->paused)
			pthread_cond_wait(&actor->changed, &actor->lock);
		pthread_mutex_unlock(&actor->lock);
		err = dvs_group_next(actor->group, 100, &event);
		if (err == DVS_OK)
			on_event(actor, &event);
		else if (err != DVS_TIMEOUT)
			break;
	}
	say("over %s", dvs_err_name(err));
	return NULL;
}

static void flood(struct actor *actor, unsigned long count)
{
	char text[32];
	dvs_err err = DVS_OK;

	for (unsigned long i = 0; i < count && err == DVS_OK; i++) {
		(void)snprintf(text, sizeof(text), "%u-%lu", actor->ep, i);
		do
			err = dvs_group_cast(actor->group, text, strlen(text));
		while (err == DVS_FULL && usleep(1000) == 0);
	}
	say("flooded %s", dvs_err_name(err));
}

static void set_paused(struct actor *actor, bool paused)
{
	pthread_mutex_lock(&actor->lock);
	actor->paused = paused;
	pthread_cond_broadcast(&actor->changed);
	pthread_mutex_unlock(&actor->lock);
}

static bool obey(struct actor *actor, char *line)
{
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "cast ", 5) == 0)
		say("cast %s",
		    dvs_err_name(dvs_group_cast(actor->group, line + 5, strlen(line + 5))));
	else if (strncmp(line, "flood ", 6) == 0)
		flood(actor, strtoul(line + 6, NULL, 10));
	else if (strcmp(line, "pause") == 0)
		set_paused(actor, true);
	else if (strcmp(line, "go") == 0)
		set_paused(actor, false);
	return strcmp(line, "leave") != 0;
}

int main(int argc, char **argv)
{
	static struct actor actor = { .lock = PTHREAD_MUTEX_INITIALIZER,
				      .changed = PTHREAD_COND_INITIALIZER };
	char line[DVS_GROUP_BYTES_MAX];
	struct dvk *dvk = NULL;
	pthread_t reader;
	dvs_err err;

	if (argc != 3)
		return 2;
	actor.ep = (uint32_t)strtoul(argv[1], NULL, 10);
	err = dvk_open(NULL, &dvk);
	if (err == DVS_OK)
		err = dvk_bind(dvk, dvs_ep_of(actor.ep), DVK_LOCAL, &actor.self);
	if (err == DVS_OK)
		err = dvs_group_join(actor.self, argv[2], &actor.group);
	say("joined %s %" PRIu64, dvs_err_name(err), err ? 0 : dvs_group_self(actor.group));
	if (err != DVS_OK || pthread_create(&reader, NULL, read_events, &actor) != 0)
		return 1;
	while (fgets(line, sizeof(line), stdin) && obey(&actor, line))
		;
	/* The end of the process is the end of the membership as well. */
	say("left");
	return 0;
}
