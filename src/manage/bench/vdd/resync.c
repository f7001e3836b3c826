/* SPDX-License-Identifier: Apache-2.0 */
/* The pattern resync: a backup is away while all of the disk is written anew, most of it with what was there before. All of it must be compared then, and what has changed must be sent. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/vdd_calls.h"
#include "manage/bench/remote/net.h"
#include "manage/bench/vdd/disks.h"
#include "manage/bench/vdd/job.h"
#include "manage/bench/vdd/onlooker.h"

enum {
	CALL_MS = 60000,
	TRIES = 10,
	PIECE_BYTES = BENCH_PAYLOAD_MAX_BYTES,
	MEMBER = 2,
	JOINING = 3,
	AWAY = 4
};

/* Each block tells its place; the first CHANGED_BYTES of the disk something else. */
static void stamp(char *piece, uint64_t offset, uint64_t changed_bytes)
{
	for (size_t at = 0; at < PIECE_BYTES; at += JOB_STAMP_BYTES) {
		uint64_t place = offset + at < changed_bytes ? ~(offset + at) : offset + at + 1;

		memcpy(piece + at, &place, sizeof(place));
	}
}

static dvs_err write_all(const struct onlooker_view *view, uint64_t changed_bytes)
{
	AUTO_FREE char *piece = calloc(1, PIECE_BYTES);
	dvs_err err = piece ? DVS_OK : DVS_NOMEM;

	for (uint64_t offset = 0; !err && offset < view->disk.bytes; offset += PIECE_BYTES) {
		struct vdd_write_req req = { .minor = view->disk.minor, .offset = offset };

		stamp(piece, offset, changed_bytes);
		err = vdd_call_write(view->disk.self, view->disk.server, &req, NULL, piece,
				     PIECE_BYTES, NULL, 0, NULL, CALL_MS);
	}
	return err ? bench_fail(&view->board->fault, err, "write: %s", dvs_strerror(err)) : DVS_OK;
}

static dvs_err await_away(struct onlooker_view *view)
{
	uint64_t deadline_ns = clock_deadline_ns(ONLOOKER_PATIENCE_NS);
	dvs_err err = onlooker_look(view);

	while (!err && onlooker_state_of(view, view->board->node) != AWAY) {
		if (clock_is_past(deadline_ns))
			return bench_fail(&view->board->fault, DVS_TIMEOUT,
					  "the killed replica is still in the view");
		onlooker_pause();
		err = onlooker_look(view);
	}
	return err;
}

static void note_progress(struct onlooker_view *view)
{
	struct onlooker_board *board = view->board;

	for (uint32_t i = 0; i < view->status->n_members; i++) {
		const struct vdd_member *member = &view->status->members[i];

		/* When it is done there are no figures any more. */
		if (member->node != board->node || member->state != JOINING ||
		    member->total_bytes == 0)
			continue;
		board->figures[0] = (double)member->total_bytes;
		board->figures[1] = (double)member->sent_bytes;
	}
}

/* From the last look at which comparing had not begun until the replica has everything. On a busy machine there may be no look between. */
static dvs_err await_back(struct onlooker_view *view)
{
	struct onlooker_board *board = view->board;
	uint64_t deadline_ns = clock_deadline_ns(ONLOOKER_PATIENCE_NS);
	uint64_t begin_ns = 0;

	while (!clock_is_past(deadline_ns)) {
		uint64_t now_ns = clock_now_ns();
		dvs_err err = onlooker_look(view);

		if (err)
			return err;
		note_progress(view);
		if (!begin_ns || board->figures[0] == 0)
			begin_ns = now_ns;
		if (onlooker_state_of(view, board->node) == MEMBER) {
			board->span_ns = (double)(clock_now_ns() - begin_ns);
			return DVS_OK;
		}
		onlooker_pause();
	}
	return bench_fail(&board->fault, DVS_TIMEOUT, "the replica does not come back");
}

static dvs_err work(struct onlooker_view *view)
{
	dvs_err err = onlooker_await_in_sync(view);

	if (!err)
		err = write_all(view, 0);
	if (!err)
		err = onlooker_name_victim(view, false);
	if (err)
		return err;
	onlooker_set(view, ONLOOKER_READY);
	err = onlooker_await(view, ONLOOKER_KILLED);
	if (!err)
		err = await_away(view);
	if (!err)
		err = write_all(view, view->cell->bytes);
	if (err)
		return err;
	onlooker_set(view, ONLOOKER_CHANGED);
	return await_back(view);
}

/* ---- here ---- */

/* Who would start the server anew at once stands still, so that there is time to write. */
static dvs_err kill_and_return(struct bench_lab *lab, struct onlooker *onlooker,
			       struct bench_fault *fault)
{
	const struct onlooker_board *board = onlooker->board;
	struct bench_fault other;
	dvs_err again,
		err = bench_net_signal(lab->net, board->node, "dvs-agent", 0, SIGSTOP, fault);

	if (!err)
		err = bench_net_signal(lab->net, board->node, "dvs-vdd", board->pid, SIGKILL,
				       fault);
	if (!err) {
		onlooker_tell_killed(onlooker, clock_now_ns());
		err = onlooker_wait(onlooker, ONLOOKER_CHANGED, fault);
	}
	again = bench_net_signal(lab->net, board->node, "dvs-agent", 0, SIGCONT, &other);
	if (!err && again)
		*fault = other;
	return err ? err : again;
}

static dvs_err measure_once(struct bench_lab *lab, const char *target,
			    const struct bench_cell *cell, struct bench_sample *sample,
			    struct bench_fault *fault)
{
	struct onlooker onlooker;
	dvs_err err = onlooker_start(lab, target, cell, work, &onlooker, fault);

	if (err)
		return err;
	err = kill_and_return(lab, &onlooker, fault);
	if (!err)
		err = onlooker_result(&onlooker, sample, fault);
	onlooker_end(&onlooker);
	return err;
}

dvs_err bench_resync_measure(struct bench_lab *lab, const char *target,
			     const struct bench_cell *cell, struct bench_sample *sample,
			     struct bench_fault *fault)
{
	for (unsigned i = 0; i < TRIES; i++) {
		dvs_err err = measure_once(lab, target, cell, sample, fault);

		if (err || sample->figures[0] > 0)
			return err;
	}
	return bench_fail(fault, DVS_TIMEOUT, "the replica was brought up to date unseen");
}
