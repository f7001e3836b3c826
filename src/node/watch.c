/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in the DVS, told to those who watch; of a hidden DC to those who have entered it. */
#include <stdio.h>
#include <time.h>

#include "node/api.h"

static void copy_text(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from ? from : "");
}

void happened(struct host *host, const struct news *what)
{
	struct control_happened_req event = { .node = what->node, .ep = what->ep };
	const struct core_dc *dc = core_dc_find(host->core, what->dc);
	struct timespec now;
	struct frame frame;
	bool hidden;

	if (host->n_watchers == 0)
		return;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	event.time_ns = (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
	copy_text(event.what, sizeof(event.what), what->what);
	copy_text(event.dc_name, sizeof(event.dc_name), dc ? dc->name : what->dc_name);
	hidden = core_name_is_hidden(event.dc_name);
	copy_text(event.text, sizeof(event.text), what->text);
	LIST_FOREACH(at, &host->links) {
		struct link *link = CONTAINER_OF(at, struct link, of_host);

		if (!link->watches || link->doomed || (hidden && link->dc.n != what->dc.n))
			continue;
		frame_begin(&frame, CONTROL_HAPPENED, 0, DVS_OK);
		control_happened_req_encode(&frame.out, &event);
		frame.ring = SLOT_NONE;
		link_send(host, link, &frame);
	}
}

void op_watch(struct host *host, struct request *request)
{
	struct control_watch_req req;
	dvs_err err = control_watch_req_decode(&request->body, &req);

	if (err == DVS_OK && !request->link->watches) {
		request->link->watches = true;
		host->n_watchers++;
	}
	request_answer(host, request, err);
}
