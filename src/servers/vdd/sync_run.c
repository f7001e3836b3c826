/* SPDX-License-Identifier: Apache-2.0 */
/* The way of one replica: its disks are made the same ones, chunks are gone over until none is left to do, all is made stable, and it is done. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "servers/vdd/sync_internal.h"

#define LOOK_NS (500 * CLOCK_NS_PER_MS)
/* What was not used of the rate is lost after this. */
#define BURST_NS (100 * CLOCK_NS_PER_MS)
#define HOLE_CHUNKS_MAX (UINT64_C(1) << 18) /* 1 TiB at a time */

static struct sync_run *of_word(struct replica_word *word)
{
	return CONTAINER_OF(word, struct sync_run, word);
}

/* ---- what is to be done ---- */

static bool bit(const uint64_t *bits, uint64_t at)
{
	return bits[at / 64] >> (at % 64) & 1;
}

void sync_run_due(struct sync_run *run, uint64_t chunk)
{
	if (chunk >= run->n_chunks || bit(run->due, chunk))
		return;
	run->due[chunk / 64] |= UINT64_C(1) << (chunk % 64);
	run->progress.total_bytes += sync_plan_chunk_bytes(&run->plan, chunk);
}

static uint64_t next_of(const struct sync_run *run, const uint64_t *bits, uint64_t from)
{
	for (uint64_t at = from; at < run->n_chunks; at = (at / 64 + 1) * 64) {
		uint64_t word = bits[at / 64] >> (at % 64);

		if (word)
			return at + (uint64_t)__builtin_ctzll(word);
	}
	return run->n_chunks;
}

static dvs_err grow(uint64_t **bits, uint64_t have, uint64_t want)
{
	uint64_t *grown = realloc(*bits, want * sizeof(**bits));

	if (!grown)
		return DVS_NOMEM;
	memset(grown + have, 0, (want - have) * sizeof(*grown));
	*bits = grown;
	return DVS_OK;
}

/* Room for all chunks of the plan; what is there stays. */
static dvs_err make_room(struct sync_run *run)
{
	uint64_t have = (run->n_chunks + 63) / 64;
	uint64_t chunks = 0;
	dvs_err err = DVS_OK;

	for (uint32_t i = 0; i < run->plan.n; i++) {
		uint64_t n = (run->plan.at[i].bytes + DISK_CHUNK_BYTES - 1) / DISK_CHUNK_BYTES;

		chunks = n > chunks ? n : chunks;
	}
	if (chunks <= run->n_chunks)
		return DVS_OK;
	if ((chunks + 63) / 64 > have) {
		err = grow(&run->due, have, (chunks + 63) / 64);
		if (err == DVS_OK)
			err = grow(&run->odd, have, (chunks + 63) / 64);
		if (err == DVS_OK)
			err = grow(&run->sent, have, (chunks + 63) / 64);
	}
	if (err == DVS_OK)
		run->n_chunks = chunks;
	return err;
}

static void collect_dirty(struct sync_run *run)
{
	for (uint32_t i = 0; i < run->plan.n; i++) {
		uint64_t chunk = 0;

		while (disks_next_dirty(run->sync->disks, run->plan.at[i].minor, &chunk)) {
			sync_run_due(run, chunk);
			chunk++;
		}
	}
}

static void collect_due(struct sync_run *run)
{
	for (uint64_t chunk = 0; run->is_whole && chunk < run->n_chunks; chunk++)
		sync_run_due(run, chunk);
	if (!run->is_whole)
		collect_dirty(run);
}

void sync_run_is_not_stable(struct sync_run *run)
{
	uint64_t chunk = 0;

	if (run->is_verify) {
		run->sync->verify.repaired -= run->n_repaired;
		run->n_repaired = 0;
		return;
	}
	while ((chunk = next_of(run, run->sent, chunk)) < run->n_chunks) {
		run->sent[chunk / 64] &= ~(UINT64_C(1) << (chunk % 64));
		sync_run_due(run, chunk);
	}
	collect_dirty(run);
}

void sync_run_differs(struct sync_run *run, uint64_t offset)
{
	uint64_t chunk = offset / DISK_CHUNK_BYTES;

	if (chunk >= run->n_chunks)
		return;
	run->sent[chunk / 64] |= UINT64_C(1) << (chunk % 64);
	if (!run->is_verify || bit(run->odd, chunk))
		return;
	run->odd[chunk / 64] |= UINT64_C(1) << (chunk % 64);
	run->sync->verify.differs++;
	if (run->repairs) {
		run->n_repaired++;
		run->sync->verify.repaired++;
	}
}

/* ---- how it goes on ---- */

static bool is_idle(const struct sync_run *run)
{
	return list_is_empty(&run->busy) && !run->word_is_out;
}

static void free_run(struct sync_run *run)
{
	sync_run_ended(run);
	list_remove(&run->of_sync);
	free(run->due);
	free(run->odd);
	free(run->sent);
	free(run->layout);
	free(run->marks);
	free(run->buffers);
	free(run);
}

void sync_run_end(struct sync_run *run)
{
	run->state = SYNC_OVER;
	skeleton_timer_cancel(run->sync->skeleton, &run->timer);
	if (is_idle(run) && !run->is_going)
		free_run(run);
}

static void timer_fires(struct skeleton_timer *timer)
{
	struct sync_run *run = CONTAINER_OF(timer, struct sync_run, timer);

	if (run->has_failed) {
		run->has_failed = false;
		run->state = SYNC_AT_LAYOUT;
	}
	sync_run_go(run);
}

static void set_timer(struct sync_run *run, uint64_t deadline_ns)
{
	if (!run->timer.is_set)
		skeleton_timer_set(run->sync->skeleton, &run->timer, deadline_ns, timer_fires);
}

void sync_run_fail(struct sync_run *run, const char *what, dvs_err err)
{
	if (!run->has_failed && err != run->told)
		log_warning(run->sync->log, what, LOG_U64("node", run->node.n),
			    LOG_STR("why", dvs_strerror(err)));
	run->has_failed = true;
	run->told = err;
	if (run->in_chunk) {
		run->in_chunk = false;
		sync_run_due(run, run->chunk);
	}
	sync_run_go(run);
}

bool sync_run_answered(struct sync_run *run, dvs_err err, const char *what)
{
	run->word_is_out = false;
	if (run->state == SYNC_OVER || err == DVS_NODEDOWN) {
		sync_run_end(run);
		return false;
	}
	if (err == DVS_OK)
		return true;
	if (run->is_verify)
		sync_run_done(run);
	else
		sync_run_fail(run, what, err);
	return false;
}

/* ---- the layout ---- */

/* More than was written must be compared: a disk was smaller there, or was made anew. */
static void take_layout(struct sync_run *run, struct cursor *in)
{
	bool is_whole = cursor_u64(in) != 0;
	uint64_t grown_from = cursor_u64(in);
	uint64_t chunk = is_whole ? 0 : grown_from / DISK_CHUNK_BYTES;

	for (; !run->is_whole && chunk < run->n_chunks; chunk++)
		sync_run_due(run, chunk);
}

static void layout_is_done(struct replica_word *word, dvs_err err, const void *answer, size_t n)
{
	struct sync_run *run = of_word(word);
	struct cursor in = cursor_over(answer, n);
	bool others = run->is_verify && err == DVS_BADSTATE;

	if (others) {
		log_warning(run->sync->log, "a replica has other disks",
			    LOG_U64("node", run->node.n));
		run->sync->verify.differs++;
		err = DVS_OK;
	}
	if (!sync_run_answered(run, err, "a replica cannot take over the disks"))
		return;
	if (!others)
		take_layout(run, &in);
	run->state = SYNC_AT_CHUNKS;
	sync_run_go(run);
}

static void has_waited(struct disk_io *io, dvs_err err)
{
	struct sync_run *run = CONTAINER_OF(io, struct sync_run, io);

	(void)err;
	run->word_is_out = false;
	if (run->state == SYNC_OVER)
		sync_run_end(run);
	else
		sync_run_go(run);
}

/* Any read waits for control operations. */
static void wait_for_control(struct sync_run *run)
{
	run->io = (struct disk_io){ .op = DISK_READ,
				    .bytes = DISK_SECTOR_BYTES,
				    .buffer = run->layout,
				    .done = has_waited };
	run->word_is_out = true;
	disks_submit(run->sync->disks, &run->io);
}

static void tell_layout(struct sync_run *run)
{
	struct sync *sync = run->sync;
	struct writer out = sync_head(&run->word, SYNC_LAYOUT);

	replica_settle(sync->replica);
	if (disks_is_changing(sync->disks)) {
		wait_for_control(run);
		return;
	}
	sync_plan_make(sync->disks, &run->plan);
	if (make_room(run) != DVS_OK) {
		sync_run_fail(run, "a replica cannot be brought up to date", DVS_NOMEM);
		return;
	}
	/* After an error it goes on with what is left. */
	if (!run->has_due)
		collect_due(run);
	run->has_due = true;
	writer_u8(&out, run->is_verify);
	run->word.data = run->layout;
	run->word.bytes = sync_layout_encode(sync->disks, run->layout);
	run->word.done = layout_is_done;
	run->word_is_out = true;
	sync_tell(run, &run->word, &out);
}

/* ---- holes ---- */

static void skip(struct sync_run *run, uint64_t chunks)
{
	for (uint64_t i = 0; i < chunks && run->chunk < run->n_chunks; i++, run->chunk++) {
		run->due[run->chunk / 64] &= ~(UINT64_C(1) << (run->chunk % 64));
		run->progress.done_bytes += sync_plan_chunk_bytes(&run->plan, run->chunk);
	}
}

static void holes_are_known(struct replica_word *word, dvs_err err, const void *answer, size_t n)
{
	struct sync_run *run = of_word(word);
	struct cursor in = cursor_over(answer, n);
	uint64_t holes = cursor_u64(&in);

	if (!sync_run_answered(run, err, "a replica cannot be compared"))
		return;
	if (holes > run->offset)
		holes = run->offset;
	run->offset = 0;
	run->no_holes = true;
	if (holes >= DISK_CHUNK_BYTES) {
		skip(run, holes / DISK_CHUNK_BYTES);
		run->in_chunk = false;
	}
	sync_run_go(run);
}

/* How far from FROM on nothing that is under way changes something. */
static uint64_t unchanged(const struct sync_run *run, uint64_t from, uint64_t limit)
{
	for (uint32_t i = 0; i < run->plan.n; i++) {
		uint64_t first;
		uint64_t end;

		if (disks_next_change(run->sync->disks, NULL, run->plan.at[i].minor, from, &first,
				      &end) &&
		    first < from + limit)
			limit = first > from ? first - from : 0;
	}
	return limit;
}

/* Holes on both sides are not read. True: the other side was asked. */
static bool ask_holes(struct sync_run *run)
{
	struct sync *sync = run->sync;
	uint64_t from = run->chunk * DISK_CHUNK_BYTES;
	uint64_t chunks = 1;
	uint64_t bytes;
	struct writer out = sync_head(&run->word, SYNC_HOLES);

	run->no_holes = true;
	while (chunks < HOLE_CHUNKS_MAX && run->chunk + chunks < run->n_chunks &&
	       bit(run->due, run->chunk + chunks))
		chunks++;
	replica_settle(sync->replica);
	bytes = sync_plan_holes(sync->disks, &run->plan, from,
				unchanged(run, from, chunks * DISK_CHUNK_BYTES));
	if (bytes < DISK_CHUNK_BYTES)
		return false;
	writer_u64(&out, from);
	writer_u64(&out, bytes);
	run->offset = bytes; /* until it is answered */
	run->word.data = NULL;
	run->word.bytes = 0;
	run->word.done = holes_are_known;
	run->word_is_out = true;
	sync_tell(run, &run->word, &out);
	return true;
}

/* ---- chunks ---- */

static void measure(struct sync_run *run, uint64_t now_ns)
{
	struct sync_progress *progress = &run->progress;
	uint64_t span_ns = now_ns - run->looked_ns;
	uint64_t rate;

	if (run->looked_ns && span_ns < LOOK_NS)
		return;
	if (run->looked_ns) {
		rate = (uint64_t)((double)(progress->done_bytes - run->looked_bytes) *
				  (double)CLOCK_NS_PER_S / (double)span_ns);
		progress->bytes_per_s = progress->bytes_per_s ? (progress->bytes_per_s + rate) / 2 :
								rate;
	}
	run->looked_ns = now_ns;
	run->looked_bytes = progress->done_bytes;
}

/* False: it has to wait for its turn. */
static bool may_go(struct sync_run *run)
{
	uint64_t now_ns = clock_now_ns();

	measure(run, now_ns);
	if (run->sync->bytes_per_s == 0)
		return true;
	if (run->next_ns > now_ns) {
		set_timer(run, run->next_ns);
		return false;
	}
	if (run->next_ns + BURST_NS < now_ns)
		run->next_ns = now_ns - BURST_NS;
	return true;
}

static bool enter_chunk(struct sync_run *run)
{
	uint64_t chunk = next_of(run, run->due, run->chunk);

	if (chunk == run->n_chunks)
		chunk = next_of(run, run->due, 0);
	if (chunk == run->n_chunks) {
		/* What is under way may find more to do. */
		if (list_is_empty(&run->busy))
			run->state = run->is_verify ? SYNC_AT_FLUSH : SYNC_AT_MARKS;
		return list_is_empty(&run->busy);
	}
	run->due[chunk / 64] &= ~(UINT64_C(1) << (chunk % 64));
	run->chunk = chunk;
	run->in_chunk = true;
	run->no_holes = false;
	run->disk = 0;
	run->offset = 0;
	sync_plan_make(run->sync->disks, &run->plan);
	return true;
}

/* The next disk of the chunk, when all before it are as they should be. False: not yet. */
static bool enter_disk(struct sync_run *run)
{
	struct sync_plan plan;

	if (!list_is_empty(&run->busy))
		return false;
	sync_plan_make(run->sync->disks, &plan);
	if (plan.signature != run->plan.signature) {
		run->plan = plan;
		run->disk = 0;
	}
	return true;
}

static uint64_t bytes_here(const struct sync_run *run)
{
	uint64_t bytes = run->plan.at[run->disk].bytes;
	uint64_t from = run->chunk * DISK_CHUNK_BYTES;

	if (bytes <= from)
		return 0;
	return bytes - from < DISK_CHUNK_BYTES ? bytes - from : DISK_CHUNK_BYTES;
}

static bool begin_step(struct sync_run *run)
{
	struct list *link = list_take_head(&run->free);
	uint64_t left = bytes_here(run) - run->offset;
	struct sync_step *step;

	if (!link)
		return false;
	step = CONTAINER_OF(link, struct sync_step, at);
	list_add_tail(&run->busy, &step->at);
	step->minor = run->plan.at[run->disk].minor;
	step->offset = run->chunk * DISK_CHUNK_BYTES + run->offset;
	step->bytes = left < SYNC_SEGMENT_BYTES ? (uint32_t)left : SYNC_SEGMENT_BYTES;
	run->offset += step->bytes;
	if (run->sync->bytes_per_s)
		run->next_ns += (uint64_t)((double)step->bytes * (double)CLOCK_NS_PER_S /
					   (double)run->sync->bytes_per_s);
	sync_step_begin(step);
	return true;
}

/* One thing more; false: it has to wait for something. */
static bool go_over_chunks(struct sync_run *run)
{
	if (run->word_is_out)
		return false;
	if (!run->in_chunk)
		return enter_chunk(run);
	if (run->disk >= run->plan.n) {
		run->in_chunk = false;
		run->chunk++;
		return true;
	}
	if (run->offset == 0 && run->disk > 0 && !enter_disk(run))
		return false;
	if (run->offset >= bytes_here(run)) {
		run->disk++;
		run->offset = 0;
		return true;
	}
	if (!may_go(run))
		return false;
	if (run->disk == 0 && run->offset == 0 && !run->no_holes && ask_holes(run))
		return false;
	return begin_step(run);
}

/* ---- one thing after the other ---- */

static bool go_on(struct sync_run *run)
{
	if (run->has_failed && run->state != SYNC_OVER) {
		if (is_idle(run))
			set_timer(run, clock_now_ns() + SYNC_RETRY_NS);
		return false;
	}
	switch (run->state) {
	case SYNC_AT_LAYOUT:
		if (is_idle(run))
			tell_layout(run);
		return false;
	case SYNC_AT_CHUNKS:
		return go_over_chunks(run);
	case SYNC_AT_MARKS:
		if (is_idle(run))
			sync_tell_marks(run);
		return false;
	case SYNC_AT_FLUSH:
		if (is_idle(run))
			sync_tell_flush(run);
		return false;
	case SYNC_OVER:
		return false;
	}
	return false;
}

void sync_run_go(struct sync_run *run)
{
	if (run->is_going)
		return;
	run->is_going = true;
	while (go_on(run))
		;
	run->is_going = false;
	if (run->state == SYNC_OVER && is_idle(run))
		free_run(run);
}

dvs_err sync_run_new(struct sync *sync, dvs_nodeid node, struct sync_run **run)
{
	struct sync_run *made = calloc(1, sizeof(*made));

	if (!made)
		return DVS_NOMEM;
	made->buffers = malloc((size_t)SYNC_STEPS * SYNC_SEGMENT_BYTES);
	made->layout = malloc(SYNC_LAYOUT_BYTES_MAX);
	if (!made->buffers || !made->layout) {
		free(made->buffers);
		free(made->layout);
		free(made);
		return DVS_NOMEM;
	}
	made->sync = sync;
	made->node = node;
	made->state = SYNC_AT_LAYOUT;
	if (getrandom(&made->seed, sizeof(made->seed), 0) != sizeof(made->seed))
		made->seed = clock_real_ns();
	list_init(&made->free);
	list_init(&made->busy);
	for (uint32_t i = 0; i < SYNC_STEPS; i++) {
		made->step[i].run = made;
		made->step[i].buffer = made->buffers + (size_t)i * SYNC_SEGMENT_BYTES;
		list_add_tail(&made->free, &made->step[i].at);
	}
	list_add_tail(&sync->runs, &made->of_sync);
	*run = made;
	return DVS_OK;
}
