/* SPDX-License-Identifier: Apache-2.0 */
/* Members of groups whose processes are here; seat.c tells how. */
#ifndef NODE_SEAT_H
#define NODE_SEAT_H

#include "node/host.h"
#include "node/order.h"

/* Events that a process may have unread. */
#define SEAT_AHEAD 64u

struct seat {
	struct list of_host;
	struct list of_link;
	struct link *link;
	uint32_t number;
	dvs_dcid dc;
	char group[DVS_NAME_MAX + 1];
	uint64_t id;	 /* of the group */
	uint64_t member; /* its binding */
	uint64_t view;	 /* the last one that was put into its queue */
	uint64_t awaits;
	uint32_t n_ahead;
	struct list queue; /* to be sent */
	struct list held;  /* until the state is there */
	uint32_t n_waiting;
	dvs_err over; /* not OK: it ends, for this reason, when the present event is done */
};

/* What is ordered. */
enum entry_what { ENTRY_MESSAGE = 1, ENTRY_STATE = 2, ENTRY_STATE_END = 3 };

struct entry {
	dvs_dcid dc;
	uint64_t group;
	uint64_t member;
	enum entry_what what;
	uint64_t to;
	uint64_t view;
	uint32_t n_data;
	const uint8_t *data;
};

/* Beside the data. */
#define ENTRY_HEAD_BYTES 64u
#define ENTRY_DATA_MAX 4096u

struct seat *seat_find(const struct link *link, uint32_t number);
struct seat *seat_new(struct host *host, const struct order *order, const struct core_group *group,
		      uint64_t member);
void seat_free(struct seat *seat);
/* Send as much as the process takes. */
void seat_send_more(struct host *host, struct seat *seat);
/* Its member leaves the group; ORDER may be NULL. */
void seat_leave(struct host *host, const struct seat *seat, const struct order *order);

#endif
