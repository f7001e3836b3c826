/* SPDX-License-Identifier: Apache-2.0 */
/* Calls for which nobody waits: who receives looks at their answers, too, so that the loop of a server can ask others and go on. The caller's lane says that it sleeps, so each answer rings
 * its bell; that costs a system call only when it does sleep. */
#include "ipc/endpoint.h"
#include "ipc/inbox.h"

static void forget(struct endpoint *ep, struct channel *ch)
{
	struct channel **at = &ep->begun;

	while (*at != ch)
		at = &(*at)->next_begun;
	*at = ch->next_begun;
	ch->next_begun = NULL;
	ch->begun = ch->begun_lost = false;
}

void endpoint_begin(struct endpoint *ep, struct channel *ch, const struct dvs_msg *msg,
		    const struct call_data *data)
{
	ch->begun = true;
	ch->begun_lost = false;
	ch->begun_cap = data->in_cap;
	ch->next_begun = ep->begun;
	ep->begun = ch;
	endpoint_trace(ep, IPC_TRACE_CALL, ch->peer, msg, data->out_bytes, DVS_OK);
	/* Said before the call is there: whoever answers looks at it afterwards. */
	atomic_store_explicit(&ch->mine->control.answer, IPC_ASLEEP_LONG, memory_order_relaxed);
	channel_publish_cpu(ch, policy_cpu());
	channel_post(ch, IPC_REQUEST, msg, data, dvs_ep_any());
	if (!channel_peer_hot(ch))
		(void)inbox_ring_request(ch->peer_inbox, ch->peer_index);
	stats_add(&ep->stats->messages_out, 1);
	if (data->out_bytes)
		stats_add(&ep->stats->bytes_out, data->out_bytes);
}

static dvs_err take_answer(struct endpoint *ep, struct channel *ch, struct dvs_msg *msg,
			   struct call_data *data)
{
	dvs_ep to;

	if (channel_take_reply(ch, msg, data, &to) == IPC_RELAYED)
		return DVS_DENIED;
	msg->source = ch->peer;
	stats_add(&ep->stats->messages_in, 1);
	if (data->in_bytes)
		stats_add(&ep->stats->bytes_in, data->in_bytes);
	return DVS_OK;
}

dvs_err endpoint_end(struct endpoint *ep, struct channel *ch, struct dvs_msg *msg,
		     struct call_data *data)
{
	dvs_err err = DVS_TIMEOUT;

	data->in = NULL;
	data->in_bytes = 0;
	data->in_cap = ch->begun_cap;
	if (ch->begun_lost)
		err = DVS_PEERDEAD;
	else if (channel_is_answered(ch, IPC_REQUEST))
		err = take_answer(ep, ch, msg, data);
	else if (ch->gone)
		err = ch->gone;
	atomic_store_explicit(&ch->mine->control.answer, IPC_SPINNING, memory_order_relaxed);
	if (err == DVS_TIMEOUT) {
		(void)channel_withdraw(ch, IPC_REQUEST);
		/* So that it is not received any more if it was not yet. */
		if (ch->remote)
			(void)inbox_ring_request(ch->peer_inbox, ch->peer_index);
	}
	endpoint_trace(ep, IPC_TRACE_RETURN, ch->peer, msg, data->in_bytes, err);
	forget(ep, ch);
	return err;
}
