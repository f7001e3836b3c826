/* SPDX-License-Identifier: Apache-2.0 */
/* The bounds of dvsd's tables and queues. Those of the core are in core/core.h. */
#ifndef NODE_BOUNDS_H
#define NODE_BOUNDS_H

#include "proto/control_proto.h"

/* op, id, err */
#define FRAME_HEAD_BYTES 12u
#define FRAME_BYTES_MAX (FRAME_HEAD_BYTES + CONTROL_BODY_BYTES_MAX)

/* A link that sent so many malformed frames is closed. */
#define LINK_BAD_FRAMES_MAX 8u
/* Frames that wait for a process to read; one that lets more pile up is cut off. A server can
 * lose as many partners at once as it has channels. */
#define LINK_QUEUE_MAX 65536u
/* Channels hold a descriptor while they wait in a queue: who asks for more waits in line. */
#define LINK_QUEUE_CHANNELS_MAX 64u
/* Requests of one link that wait: one for each of its endpoints, and some. */
#define LINK_PENDINGS_MAX 256u /* and as many for each endpoint: */
#define BINDING_PENDINGS_MAX 4u
/* Frames that wait in all queues together; beyond it whoever has more than its share is cut. */
#define QUEUED_MAX 1000000u
#define LINK_QUEUE_FAIR 256u
/* A socket that takes nothing although it has room is tried again after so long. */
#define LINK_RETRY_NS (10 * CLOCK_NS_PER_MS)
/* What one process may leave unread in its socket. */
#define LINK_SEND_BUFFER_BYTES (64 << 10)

/* One DC must leave something to the others. Links: three of four descriptors, three each. */
#define DC_LINKS_SHARE_OF(descriptors) ((descriptors) / 4)
#define DC_QUEUED_FDS_SHARE_OF(descriptors) ((descriptors) / 16)
#define DC_CHANNELS_MAX (1u << 20)
#define DC_GRANTS_MAX (1u << 20)
/* Frames read from one link before the others get their turn. */
#define LINK_READS_MAX 16u
/* Links of one process. */
#define LINKS_PER_PROCESS_MAX 16u
#define LINK_TRACES_MAX 64u
/* Time for the first frame. */
#define LINK_HELLO_NS (10 * CLOCK_NS_PER_S)

#define CARRIER_ADDRESS_MAX 63u

#define GRANTS_MAX 1024u

/* Copies asked for and not answered; threads that work on them, and how many of those for one
 * DC: memory behind a slow or hostile file system can hold a thread up for ever. */
#define COPIES_MAX 4096u
#define COPIES_OF_LINK_MAX 256u
#define COPY_THREADS_MAX 64u
#define COPIES_OF_DC_MAX 4u
#define COPY_CHUNK_BYTES ((size_t)256 << 10)

/* Events that may lie unread: their inboxes are rung again after 10, 20, 40... ms. */
#define RING_FIRST_NS (10 * CLOCK_NS_PER_MS)
#define RING_LAST_NS CLOCK_NS_PER_S

/* After a restart: how long a process may take to come back before it counts as complete. */
#define REJOIN_GRACE_NS (10 * CLOCK_NS_PER_S)

/* How long a dvsd that starts looks for the others before it counts itself as cut off. */
#define QUORUM_START_NS (3 * CLOCK_NS_PER_S)

/* A node whose dvsd is gone and whose machine is not counts as down after so long. */
#define NODE_AWAY_NS (10 * CLOCK_NS_PER_S)

/* The state file is written anew when its journal has grown by so much. */
#define JOURNAL_BYTES_MAX ((size_t)4 << 20)

/* An agent that ends is started again after 100 ms, 200 ms, ...; one that lived for long begins anew. */
#define AGENT_DELAY_FIRST_NS (100 * CLOCK_NS_PER_MS)
#define AGENT_DELAY_LAST_NS (5 * CLOCK_NS_PER_S)
#define AGENT_LIVED_NS (10 * CLOCK_NS_PER_S)
/* What it has to end in when dvsd ends. */
#define AGENT_STOP_MS 2000

/* Descriptors that others sent and that wait to be closed: that can take for ever. */
#define CLOSERS_MAX 64u

/* Warnings about what clients do, in one second. */
#define COMPLAINTS_MAX 10u

/* Steps along a chain of waits. */
#define CYCLE_MAX 1024u

#endif
