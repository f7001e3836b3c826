/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of the record are in an order: whoever is named first is to serve. So a backup that is named before the primary's node asks the primary for the file system when it can have it, and promotes itself when that one has brought all it
 * has to stable storage. Each time that makes a pause, so the primary gives it up only when it has served for a while, and for longer each time that it had to take over again: a node that fails again and again is not waited for more often than it must. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/fs_calls.h"
#include "client/volume.h"
#include "servers/fs/fsd.h"

#define PATIENCE_NS (10 * CLOCK_NS_PER_S)
/* Who has served for so long begins with the shortest patience again; it is the longest, too. */
#define CALM_NS (600 * CLOCK_NS_PER_S)
/* At the beginning nobody has it: so long others wait for who is to. */
#define BEGIN_NS (2 * CLOCK_NS_PER_S)
#define ASK_NS (2 * CLOCK_NS_PER_S)
#define ASK_MS 5000u
#define OPEN_MS 2000u

void fsd_prefer_taken(struct fsd *fsd)
{
	bool is_again = fsd->taken_ns && clock_now_ns() - fsd->taken_ns < CALM_NS;

	/* It was only opened anew. */
	if (fsd->has_turn)
		return;
	fsd->has_turn = true;
	fsd->patience_ns = is_again ? fsd->patience_ns * 2 : PATIENCE_NS;
	if (fsd->patience_ns > CALM_NS)
		fsd->patience_ns = CALM_NS;
	fsd->taken_ns = clock_now_ns();
}

void fsd_yield(void *state, struct skeleton_request *request, const struct fs_yield_req *req)
{
	struct fsd *fsd = state;
	dvs_err err = DVS_BADSTATE;

	(void)req;
	if (fsd->fs && fsd->is_settled && clock_now_ns() - fsd->taken_ns >= fsd->patience_ns)
		err = fsimage_sync(fs_image(fsd->fs));
	if (!err)
		log_info(&fsd->log, "a server that is named before this one takes the file system",
			 LOG_STR("name", fsd->options.name));
	fs_yield_answer(request, err, NULL);
}

/* ---- asking, in a thread of its own: the backup must hear at once that it is promoted ---- */

static dvs_err ask(struct fsd *fsd)
{
	const dvs_ep server = dvs_ep_of(fsd->record.endpoint);
	char why[VOLUME_WHY_MAX + 1];
	char text[2 * DVS_NAME_MAX + 2];
	struct volume_disk disk;
	dvs_err err;

	/* Only who reaches the volume could serve. */
	(void)snprintf(text, sizeof(text), "%s/%s", fsd->options.dc, fsd->record.volume);
	err = volume_open_on(fsd->admin, fsd->dvk, text, OPEN_MS, &disk, why);
	if (err)
		return err;
	err = fs_call_yield(disk.self, server, NULL, NULL, NULL, 0, NULL, 0, NULL, ASK_MS);
	if (!err)
		err = dvk_promote(fsd->dvk, server, getpid());
	volume_close_thread(&disk);
	return err;
}

static void *run_ask(void *argument)
{
	struct fsd *fsd = argument;
	dvs_err err = ask(fsd);

	if (!err)
		log_info(&fsd->log, "takes the file system from a server that is named later",
			 LOG_STR("name", fsd->options.name));
	else if (err != DVS_BADSTATE)
		log_debug(&fsd->log, "cannot take the file system yet",
			  LOG_STR("why", dvs_strerror(err)));
	atomic_store(&fsd->is_asking, false);
	return NULL;
}

/* Whether NODE may have primaries now. */
static bool is_fit(struct fsd *fsd, uint32_t node)
{
	struct dvk_node_info info;
	uint32_t cursor = node;

	return dvk_node_next(fsd->admin, &cursor, &info) == DVS_OK && info.node.n == node &&
	       info.state == DVK_NODE_UP && !info.draining && info.is_quorate;
}

/* Whether the record names this node before NODE. */
static bool is_before(const struct fsd *fsd, uint32_t node)
{
	for (uint32_t i = 0; i < fsd->record.n_nodes && fsd->record.nodes[i] != node; i++) {
		if (fsd->record.nodes[i] == fsd->options.node)
			return true;
	}
	return false;
}

bool fsd_prefers_other(struct fsd *fsd)
{
	if (!fsd->begins_ns)
		fsd->begins_ns = clock_deadline_ns(BEGIN_NS);
	if (clock_is_past(fsd->begins_ns))
		return false;
	for (uint32_t i = 0; i < fsd->record.n_nodes && fsd->record.nodes[i] != fsd->options.node;
	     i++) {
		if (is_fit(fsd, fsd->record.nodes[i]))
			return true;
	}
	return false;
}

void fsd_prefer(struct fsd *fsd)
{
	struct dvk_endpoint_info info;
	pthread_t thread;

	if (!fsd->service || fsd->fs || atomic_load(&fsd->is_asking) ||
	    !clock_is_past(fsd->asks_ns) ||
	    dvk_endpoint_info(fsd->dvk, dvs_ep_of(fsd->record.endpoint), &info) != DVS_OK ||
	    !is_before(fsd, info.node.n) || !is_fit(fsd, fsd->options.node))
		return;
	fsd->asks_ns = clock_deadline_ns(ASK_NS);
	atomic_store(&fsd->is_asking, true);
	if (pthread_create(&thread, NULL, run_ask, fsd))
		atomic_store(&fsd->is_asking, false);
	else
		pthread_detach(thread);
}
