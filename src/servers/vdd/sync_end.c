/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a replica's way: it takes over the marks, and makes everything stable. */
#include <stdlib.h>

#include "servers/vdd/sync_internal.h"

static void is_flushed(struct replica_word *word, dvs_err err, const void *answer, size_t n)
{
	struct sync_run *run = CONTAINER_OF(word, struct sync_run, word);

	(void)answer;
	(void)n;
	if (err != DVS_OK && err != DVS_NODEDOWN && run->state != SYNC_OVER)
		sync_run_is_not_stable(run);
	if (sync_run_answered(run, err, "a replica cannot make stable what it was sent"))
		sync_run_done(run);
}

void sync_tell_flush(struct sync_run *run)
{
	struct writer out = sync_head(&run->word, SYNC_FLUSH);

	run->word.data = NULL;
	run->word.bytes = 0;
	run->word.done = is_flushed;
	run->word_is_out = true;
	sync_tell(run, &run->word, &out);
}

/* ---- marks ---- */

/* Whoever joins may be the primary later, and bring those up to date that are away now: it takes over what was written while they are. */
static void marks_are_taken(struct replica_word *word, dvs_err err, const void *answer, size_t n)
{
	struct sync_run *run = CONTAINER_OF(word, struct sync_run, word);

	(void)answer;
	(void)n;
	free(run->marks);
	run->marks = NULL;
	if (!sync_run_answered(run, err, "a replica cannot take over what others lack"))
		return;
	run->state = SYNC_AT_FLUSH;
	sync_run_go(run);
}

static void tell_marks(struct sync_run *run)
{
	struct writer out = sync_head(&run->word, SYNC_MARKS);
	size_t len = 0;

	run->marks = malloc(SYNC_MARKS_BYTES_MAX);
	if (!run->marks ||
	    !disks_dirty_encode(run->sync->disks, run->marks, SYNC_MARKS_BYTES_MAX, &len)) {
		free(run->marks);
		run->marks = NULL;
		sync_run_fail(run, "a replica cannot take over what others lack", DVS_NOMEM);
		return;
	}
	writer_u64(&out, disks_cooled(run->sync->disks));
	run->word.data = run->marks;
	run->word.bytes = len;
	run->word.done = marks_are_taken;
	run->word_is_out = true;
	sync_tell(run, &run->word, &out);
}

static void all_is_marked(struct disk_io *io, dvs_err err)
{
	struct sync_run *run = CONTAINER_OF(io, struct sync_run, io);

	run->word_is_out = false;
	if (run->state == SYNC_OVER)
		sync_run_end(run);
	else if (err != DVS_OK)
		sync_run_fail(run, "a replica cannot take over what others lack", err);
	else
		tell_marks(run);
}

/* What was ordered before it joined may still wait to be carried out here, and is marked only then; a flush comes after it. */
void sync_tell_marks(struct sync_run *run)
{
	run->io = (struct disk_io){ .op = DISK_FLUSH, .done = all_is_marked };
	run->word_is_out = true;
	disks_submit(run->sync->disks, &run->io);
}
