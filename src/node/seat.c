/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of a DC. The core has the members and their views; messages are ordered entries beside its commands. Here are the seats: the members
 * whose processes are on this node, each with what it is to be told.
 *
 * A member is sent SEAT_AHEAD events ahead of what it has read; the rest waits in its seat. Whoever has anything waiting there may not cast, and one with too much
 * waiting is taken out of the group: a member that does not read costs the others nothing.
 *
 * A member that awaits the group's state has everything else held back until the last piece of it has come. When it is to get
 * the state from another donor, as of a later view, what was held until that view is in that state, and dropped. */
#include <stdlib.h>
#include <string.h>

#include "node/api.h"
#include "node/seat.h"

/* Events that wait for a process here. */
#define SEAT_QUEUE_MAX 4096u

/* An event; several seats have the same. */
struct said {
	unsigned int holders;
	uint32_t op; /* group_view, _message or _state */
	bool last;
	uint64_t view;
	uint64_t from;
	uint32_t n;
	union {
		struct control_member members[CORE_MEMBERS_MAX];
		uint8_t data[4096];
	};
};

struct waiting {
	struct list of_queue;
	struct said *said;
};

/* ---- what waits ---- */

static void said_drop(struct said *said)
{
	if (said && --said->holders == 0)
		free(said);
}

static struct said *said_new(uint32_t op, uint64_t view)
{
	struct said *said = calloc(1, sizeof(*said));

	if (said) {
		said->holders = 1;
		said->op = op;
		said->view = view;
	}
	return said;
}

static void waiting_free(struct seat *seat, struct waiting *waiting)
{
	list_remove(&waiting->of_queue);
	said_drop(waiting->said);
	free(waiting);
	seat->n_waiting--;
}

static void seat_drop(struct seat *seat, struct list *list)
{
	LIST_FOREACH_SAFE(at, list)
		waiting_free(seat, CONTAINER_OF(at, struct waiting, of_queue));
}

void seat_free(struct seat *seat)
{
	seat_drop(seat, &seat->queue);
	seat_drop(seat, &seat->held);
	list_remove(&seat->of_host);
	list_remove(&seat->of_link);
	free(seat);
}

void seats_forget_link(struct link *link)
{
	LIST_FOREACH_SAFE(at, &link->seats)
		seat_free(CONTAINER_OF(at, struct seat, of_link));
}

struct seat *seat_find(const struct link *link, uint32_t number)
{
	LIST_FOREACH(at, &link->seats) {
		struct seat *seat = CONTAINER_OF(at, struct seat, of_link);

		if (seat->number == number && seat->over == DVS_OK)
			return seat;
	}
	return NULL;
}

/* ---- to the process ---- */

static void seat_say(struct host *host, struct seat *seat, const struct said *said)
{
	struct frame frame;

	frame_begin(&frame, said->op, 0, DVS_OK);
	if (said->op == CONTROL_GROUP_VIEW) {
		struct control_group_view_req event = { .seat = seat->number,
							.view = said->view,
							.n_members = said->n };

		memcpy(event.members, said->members, said->n * sizeof(*said->members));
		control_group_view_req_encode(&frame.out, &event);
	} else if (said->op == CONTROL_GROUP_MESSAGE) {
		struct control_group_message_req event = { .seat = seat->number,
							   .view = said->view,
							   .from = said->from,
							   .n_data = said->n };

		memcpy(event.data, said->data, said->n);
		control_group_message_req_encode(&frame.out, &event);
	} else {
		struct control_group_state_req event = { .seat = seat->number,
							 .view = said->view,
							 .last = said->last,
							 .n_data = said->n };

		memcpy(event.data, said->data, said->n);
		control_group_state_req_encode(&frame.out, &event);
	}
	link_send(host, seat->link, &frame);
}

void seat_send_more(struct host *host, struct seat *seat)
{
	while (seat->n_ahead < SEAT_AHEAD && !list_is_empty(&seat->queue)) {
		struct waiting *waiting = CONTAINER_OF(seat->queue.next, struct waiting, of_queue);

		seat->n_ahead++;
		seat_say(host, seat, waiting->said);
		waiting_free(seat, waiting);
	}
}

void seat_leave(struct host *host, const struct seat *seat, const struct order *order)
{
	struct core_command command = { .op = CORE_GROUP_LEAVE,
					.dc = seat->dc,
					.id = seat->member };

	memcpy(command.name, seat->group, sizeof(command.name));
	order_command(host, &command, order, true);
}

/* Entries that this makes can be applied at once, so nobody must be at work on seats now. */
static void seat_end(struct host *host, struct seat *seat)
{
	struct control_group_over_req event = { .seat = seat->number, .why = (uint32_t)seat->over };
	struct frame frame;

	frame_begin(&frame, CONTROL_GROUP_OVER, 0, DVS_OK);
	control_group_over_req_encode(&frame.out, &event);
	link_send(host, seat->link, &frame);
	list_remove(&seat->of_host);
	list_init(&seat->of_host);
	list_remove(&seat->of_link);
	list_init(&seat->of_link);
	if (seat->over == DVS_FULL)
		seat_leave(host, seat, NULL);
	seat_free(seat);
}

static struct seat *seat_that_is_over(const struct host *host)
{
	LIST_FOREACH(at, &host->seats) {
		struct seat *seat = CONTAINER_OF(at, struct seat, of_host);

		if (seat->over != DVS_OK)
			return seat;
	}
	return NULL;
}

void seats_settle(struct host *host)
{
	struct seat *seat;

	if (!host->seats_over)
		return;
	host->seats_over = false;
	while ((seat = seat_that_is_over(host)) != NULL)
		seat_end(host, seat);
}

static void seat_over(struct host *host, struct seat *seat, dvs_err why)
{
	seat->over = why;
	host->seats_over = true;
	seat_drop(seat, &seat->queue);
	seat_drop(seat, &seat->held);
}

/* False: it was more than the seat takes, and the seat is over. */
static bool seat_put(struct host *host, struct seat *seat, struct list *list, struct said *said)
{
	struct waiting *waiting = NULL;

	if (seat->over != DVS_OK)
		return false;
	if (seat->n_waiting < SEAT_QUEUE_MAX)
		waiting = malloc(sizeof(*waiting));
	if (!waiting) {
		seat_over(host, seat, DVS_FULL);
		return false;
	}
	waiting->said = said;
	said->holders++;
	list_add_tail(list, &waiting->of_queue);
	seat->n_waiting++;
	seat_send_more(host, seat);
	return true;
}

struct seat *seat_new(struct host *host, const struct order *order, const struct core_group *group,
		      uint64_t member)
{
	struct seat *seat = calloc(1, sizeof(*seat));

	if (!seat)
		return NULL;
	seat->link = order->link;
	seat->number = ++order->link->last_seat;
	seat->dc = order->dc;
	memcpy(seat->group, order->name, sizeof(seat->group));
	seat->id = group->id;
	seat->member = member;
	list_init(&seat->queue);
	list_init(&seat->held);
	list_add_tail(&host->seats, &seat->of_host);
	list_add_tail(&order->link->seats, &seat->of_link);
	host->seats_core = NULL; /* it knows no view yet */
	return seat;
}

/* ---- views ---- */

static const struct core_group *seat_group(const struct host *host, const struct seat *seat)
{
	const struct core_dc *dc = core_dc_find(host->core, seat->dc);
	const struct core_group *group = dc ? core_group_find(dc, seat->group) : NULL;

	return group && group->id == seat->id ? group : NULL;
}

static struct said *said_view(const struct core_group *group)
{
	struct said *said = said_new(CONTROL_GROUP_VIEW, group->view);

	if (!said)
		return NULL;
	LIST_FOREACH(at, &group->members) {
		const struct core_member *member = CONTAINER_OF(at, struct core_member, of_group);

		said->members[said->n++] =
			(struct control_member){ .id = member->binding->id,
						 .ep = member->binding->endpoint->ep.n,
						 .node = member->binding->node,
						 .awaits = member->awaits,
						 .donor = member->donor };
	}
	return said;
}

/* The last piece of the state is there. */
static void seat_release(struct host *host, struct seat *seat)
{
	struct list *at;

	while ((at = list_take_head(&seat->held)) != NULL)
		list_add_tail(&seat->queue, at);
	seat->awaits = 0;
	seat_send_more(host, seat);
}

static void seat_follow(struct host *host, struct seat *seat)
{
	const struct core_group *group = seat_group(host, seat);
	const struct core_member *member = group ? core_member_find(group, seat->member) : NULL;
	struct said *said;

	if (seat->over != DVS_OK)
		return;
	if (!member) {
		seat_over(host, seat, DVS_PEERDEAD);
		return;
	}
	if (seat->view == group->view)
		return;
	said = said_view(group);
	if (!said) {
		seat_over(host, seat, DVS_FULL);
		return;
	}
	seat->view = group->view;
	/* From another donor, or from nobody any more: what was held is in what it will be given, or is nowhere. */
	if (member->awaits != seat->awaits) {
		seat_drop(seat, &seat->held);
		seat->awaits = member->awaits;
		(void)seat_put(host, seat, &seat->queue, said);
	} else {
		(void)seat_put(host, seat, seat->awaits ? &seat->held : &seat->queue, said);
	}
	said_drop(said);
}

void seats_follow(struct host *host)
{
	uint64_t view = core_last_view(host->core);

	/* A state that came from other nodes can have the same number and other members. */
	if (host->seats_view == view && host->seats_core == host->core)
		return;
	host->seats_view = view;
	host->seats_core = host->core;
	LIST_FOREACH_SAFE(at, &host->seats)
		seat_follow(host, CONTAINER_OF(at, struct seat, of_host));
}

/* ---- ordered entries ---- */

static bool entry_read(struct cursor *in, struct entry *entry)
{
	uint8_t what;

	entry->dc.n = cursor_u32(in);
	entry->group = cursor_u64(in);
	entry->member = cursor_u64(in);
	what = cursor_u8(in);
	entry->what = (enum entry_what)what;
	entry->to = cursor_u64(in);
	entry->view = cursor_u64(in);
	entry->n_data = cursor_u16(in);
	entry->data = cursor_borrow(in, entry->n_data);
	return cursor_done(in) && what >= ENTRY_MESSAGE && what <= ENTRY_STATE_END &&
	       entry->n_data <= ENTRY_DATA_MAX;
}

static const struct core_group *entry_group(const struct host *host, const struct entry *entry)
{
	const struct core_dc *dc = core_dc_find(host->core, entry->dc);
	const struct core_group *group = dc ? core_group_next(dc, NULL) : NULL;

	while (group && group->id != entry->group)
		group = core_group_next(dc, group);
	return group;
}

/* The others have it: whoever went on without it would go on with another order. */
static struct said *said_must(struct host *host, uint32_t op, uint64_t view)
{
	struct said *said = said_new(op, view);

	if (!said)
		order_die(host);
	return said;
}

static dvs_err apply_message(struct host *host, const struct core_group *group,
			     const struct entry *entry)
{
	struct said *said = said_must(host, CONTROL_GROUP_MESSAGE, group->view);

	said->from = entry->member;
	said->n = entry->n_data;
	memcpy(said->data, entry->data, entry->n_data);
	LIST_FOREACH_SAFE(at, &host->seats) {
		struct seat *seat = CONTAINER_OF(at, struct seat, of_host);

		if (seat->dc.n == entry->dc.n && seat->id == entry->group)
			(void)seat_put(host, seat, seat->awaits ? &seat->held : &seat->queue, said);
	}
	said_drop(said);
	return DVS_OK;
}

static struct seat *seat_of_member(const struct host *host, const struct entry *entry)
{
	LIST_FOREACH(at, &host->seats) {
		struct seat *seat = CONTAINER_OF(at, struct seat, of_host);

		if (seat->dc.n == entry->dc.n && seat->id == entry->group &&
		    seat->member == entry->to)
			return seat;
	}
	return NULL;
}

/* Late pieces, as of a view that is not awaited any more, are dropped by all alike. */
static dvs_err apply_state(struct host *host, const struct core_group *group,
			   const struct entry *entry)
{
	const struct core_member *to = core_member_find(group, entry->to);
	struct seat *seat = seat_of_member(host, entry);
	bool last = entry->what == ENTRY_STATE_END;
	struct core_command command = {
		.op = CORE_GROUP_GIVEN, .dc = entry->dc, .id = entry->to, .count = entry->view
	};
	struct said *said;

	if (!to || to->awaits != entry->view || to->donor != entry->member)
		return DVS_BADSTATE;
	memcpy(command.name, group->name, sizeof(command.name));
	if (last)
		order_apply_here(host, &command);
	if (!seat)
		return DVS_OK;
	said = said_must(host, CONTROL_GROUP_STATE, entry->view);
	said->last = last;
	said->n = entry->n_data;
	memcpy(said->data, entry->data, entry->n_data);
	/* seats_follow() may have ended it, and putting can. */
	seat = seat_of_member(host, entry);
	if (seat && seat_put(host, seat, &seat->queue, said) && last)
		seat_release(host, seat);
	said_drop(said);
	return DVS_OK;
}

dvs_err seats_apply(struct host *host, struct cursor *in)
{
	const struct core_group *group;
	struct entry entry;

	if (!entry_read(in, &entry))
		return DVS_PROTO;
	group = entry_group(host, &entry);
	if (!group || !core_member_find(group, entry.member))
		return DVS_NOTBOUND;
	return entry.what == ENTRY_MESSAGE ? apply_message(host, group, &entry) :
					     apply_state(host, group, &entry);
}
