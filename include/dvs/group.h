/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups: servers of a DC, on any of its nodes, that are told the same messages and the same views in the same order.
 *
 * What is said here holds for all members of a group, wherever they are. Between two views all who are in both get the same messages. A message is
 * given to everybody who is a member at its place in the order, its sender too, or to nobody. Messages of one sender come in the order
 * in which their casts were called.
 *
 * State. Who joins a group that has members is first given its state: the view names a donor, the oldest member that has the state. The donor
 * sees in the view that it is to give (dvs_group_owes()), and calls dvs_group_give() before it reads its next event: what it has then is the state as of that view. The
 * joiner gets the view, then the state, then what came after the view. When the donor leaves before it has given all, the next view names
 * another one, and the joiner gets the state as of that view; pieces that it was given before are void.
 *
 * Ends. A member leaves by dvs_group_leave(), when its endpoint is unbound, when its process dies, when its endpoint moves to another process, when its
 * node is down, and when the dvsd of its node is started anew. A member that does not read is put out of the group, and the others go on; who has
 * more than DVS_GROUP_UNREAD_MAX events unread cannot cast. A node outside of the quorum casts nothing and sees no view: its members wait, or
 * are over when it meets the others again.
 *
 * A struct dvs_group may be used by many threads at once; their casts have no order among each other, and an event goes to one of them.
 * Any call may return DVS_BADARG and DVS_NODVSD.
 */
#ifndef DVS_GROUP_H
#define DVS_GROUP_H

#include <stddef.h>
#include <stdint.h>

#include <dvs/dvk.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DVS_GROUP_BYTES_MAX 4096
#define DVS_GROUP_MEMBERS_MAX 64
#define DVS_GROUP_UNREAD_MAX 64

struct dvs_group;

struct dvs_group_member {
	uint64_t id; /* of this membership's endpoint binding: unique for ever in the DVS */
	dvs_ep ep;
	dvs_nodeid node;
	uint64_t awaits; /* the view as of which it is to be given the state; 0: it has it */
	uint64_t donor;	 /* the member that gives it; 0: none */
};

enum dvs_group_what {
	DVS_GROUP_VIEW = 1, /* members, n_members */
	DVS_GROUP_MESSAGE,  /* from, data, bytes */
	DVS_GROUP_STATE,    /* data, bytes; last: this was all of it */
};

struct dvs_group_event {
	enum dvs_group_what what;
	uint64_t view; /* numbers grow; of a state: as of which it is */
	uint64_t from;
	uint32_t n_members; /* the oldest first */
	struct dvs_group_member members[DVS_GROUP_MEMBERS_MAX];
	int last;
	size_t bytes;
	unsigned char data[DVS_GROUP_BYTES_MAX];
};

/* Make endpoint SELF, which has a server number, a member of the group NAME of its DC; a group is made by its first member. Names are as those of DCs. DENIED: no
 * server number; EXISTS: it is a member already; FULL: 64 members, 1024 groups; NOQUORUM; NODEST: SELF is unbound. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_group_join(struct m3 *self, const char *name,
					       struct dvs_group **group);

/* Leave it; GROUP is freed. Before the link is closed (dvk_close()). NULL is fine. */
DVS_PUBLIC void dvs_group_leave(struct dvs_group *group);

/* The id of this member. */
DVS_PUBLIC uint64_t dvs_group_self(const struct dvs_group *group);

/* Cast up to DVS_GROUP_BYTES_MAX bytes. Returns when the place of the message in the order is known; this member gets it as an event, too.
 * FULL: read first; NOQUORUM; PEERDEAD: the membership is over; TOOBIG. After PEERDEAD, NODVSD and IO it is not known whether the others get it. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_group_cast(struct dvs_group *group, const void *data,
					       size_t bytes);

/* Wait for the next event. TIMEOUT; PEERDEAD: the membership is over, and there are no more; FULL: it is over because events
 * were not read. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_group_next(struct dvs_group *group, uint32_t timeout_ms,
					       struct dvs_group_event *event);

/* The member of the view EVENT to whom this member is to give the state, counted from 0: N members have come before. 0: there is no more. */
DVS_PUBLIC uint64_t dvs_group_owes(const struct dvs_group *group,
				   const struct dvs_group_event *event, uint32_t n);

/* Give member TO all of the state: BYTES of DATA, as of the view EVENT, which was the last event that was read. BADSTATE: it awaits nothing from
 * this member any more. Otherwise as dvs_group_cast(). */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_group_give(struct dvs_group *group,
					       const struct dvs_group_event *event, uint64_t to,
					       const void *data, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
