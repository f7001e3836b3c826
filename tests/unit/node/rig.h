/* SPDX-License-Identifier: Apache-2.0 */
/* A dvsd of node 0 without a loop, driven frame by frame: processes and proxies are sockets of the test itself, other nodes are
 * commands of the core. */
#ifndef TESTS_UNIT_NODE_RIG_H
#define TESTS_UNIT_NODE_RIG_H

#include "node/api.h"
#include "node/carrier.h"
#include "node/order.h"

/* A frame that dvsd sent. */
struct letter {
	uint32_t op;
	uint32_t id;
	uint32_t err;
	uint8_t bytes[FRAME_BYTES_MAX];
	size_t len;
	unsigned int n_fds;
	uint64_t inodes[2]; /* of the descriptors that came along */
	int fds[2];	    /* themselves, when its peer keeps them */
};

#define RIG_MAIL_MAX 64u
#define RIG_KEPT_MAX 16u

struct peer {
	struct rig *rig;
	int fd;
	struct link *link;
	uint32_t next_id;
	bool keeps_fds; /* until it is closed */
	int area_fd;	/* as hello gave them, if it keeps them */
	int stats_fd;
	int kept[RIG_KEPT_MAX];
	size_t n_kept;
	struct letter mail[RIG_MAIL_MAX];
	size_t n_mail;
};

#define RIG_PEERS_MAX 16u

struct rig {
	struct host host;
	dvs_dcid dc;
	struct peer peers[RIG_PEERS_MAX];
	size_t n_peers;
	uint64_t last_serial;
};

void rig_open(struct rig *rig);
/* Another dvsd with the state of FORMER, as after a restart: the processes are lost. */
void rig_open_again(struct rig *rig, const struct rig *former);
void rig_close(struct rig *rig);
/* Let dvsd read and answer all that is there. */
void rig_turn(struct rig *rig);
/* Fire all timers that would be due within SPAN_NS. */
void rig_wait(struct rig *rig, uint64_t span_ns);

/* A process of this node that has said hello; its socket is closed by peer_end(). */
struct peer *rig_process(struct rig *rig);
/* The same, and the descriptors that come are kept. */
struct peer *rig_process_keeping(struct rig *rig);
/* The process of FORMER, which kept its descriptors, comes back to RIG with one endpoint. */
struct peer *rig_process_again(struct rig *rig, const struct peer *former, dvs_ep ep);
/* It tells of one channel, and that this was all. */
void peer_rejoin_link(struct peer *peer, const struct control_link *row);
/* The proxy for NODE, which is made to be up; it has said hello. */
struct peer *rig_proxy(struct rig *rig, uint32_t node);
void peer_end(struct peer *peer);

/* Send a request, let dvsd work; its id. */
uint32_t peer_send(struct peer *peer, uint32_t op, const struct writer *body);
/* The first letter of OP (an event, or the answer when ID is not 0), taken out; NULL: none. */
const struct letter *peer_mail(struct peer *peer, uint32_t op, uint32_t id);
/* All letters are thrown away; how many they were. */
size_t peer_forget_mail(struct peer *peer);
/* The error with which a request is answered. */
dvs_err peer_ask(struct peer *peer, uint32_t op, const struct writer *body);

/* Bind NUMBER for a process of this node; its endpoint. */
dvs_ep peer_bind(struct peer *peer, uint32_t number, enum dvk_kind kind);
dvs_err peer_unbind(struct peer *peer, dvs_ep ep);
/* Ask for a channel; the id of the request. */
uint32_t peer_connect(struct peer *peer, dvs_ep ep, dvs_ep to, uint32_t timeout_ms);

/* A process of another node. */
struct core_process rig_far_process(struct rig *rig, uint32_t node);
/* Bind NUMBER for it. */
dvs_ep rig_far_bind(struct rig *rig, const struct core_process *process, uint32_t number,
		    enum dvk_kind kind);
dvs_err rig_command(struct rig *rig, const struct core_command *command);

/* Decode the events that the tests look at; they fail if it was not sent. */
struct control_carry_req peer_carry(struct peer *proxy, uint64_t *memory);
struct control_carry_end_req peer_carry_end(struct peer *proxy);
struct control_channel_req peer_channel(struct peer *peer, uint64_t *memory);
struct control_gone_req peer_gone(struct peer *peer);
dvs_err peer_carry_over(struct peer *proxy, const struct control_carry_req *carried, bool clean);
dvs_err peer_carry_over_why(struct peer *proxy, const struct control_carry_req *carried, bool clean,
			    dvs_err why);
dvs_err peer_carry_ready(struct peer *proxy, const struct control_carry_req *carried);
uint32_t peer_carry_connect(struct peer *proxy, dvs_ep remote, dvs_ep local, uint32_t timeout_ms);
/* The same for a channel that the other node takes for there. */
uint32_t peer_carry_look(struct peer *proxy, const struct control_carry_req *carried);

#endif
