/* SPDX-License-Identifier: Apache-2.0 */
/* A volume, by M3-IPC: an endpoint for each request under way. What is read is looked at where the server, or the proxy, has put it: as the gateways do. */
#include <stdlib.h>

#include "base/err.h"
#include "client/vdd_calls.h"
#include "client/volume.h"
#include "lib/in_place.h"
#include "manage/bench/vdd/job.h"

enum { OPEN_MS = 20000, CALL_MS = 20000 };

static dvs_err thread_open(void *context, void **handle)
{
	struct volume_disk *mine = malloc(sizeof(*mine));
	dvs_err err = mine ? volume_open_thread(context, mine) : DVS_NOMEM;

	if (err)
		free(mine);
	else
		*handle = mine;
	return err;
}

static void thread_close(void *handle)
{
	volume_close_thread(handle);
	free(handle);
}

static dvs_err thread_read(void *handle, uint64_t offset, void *room, size_t bytes,
			   const void **data)
{
	const struct volume_disk *mine = handle;
	const struct vdd_read_req req = { .minor = mine->minor,
					  .offset = offset,
					  .bytes = (uint32_t)bytes };
	struct dvs_msg msg = { .type = VDD_READ };
	struct writer body = writer_over(msg.bytes, sizeof(msg.bytes));
	size_t len = 0;
	dvs_err err;

	(void)room;
	vdd_read_req_encode(&body, &req);
	err = m3_call_in_place(mine->self, mine->server, &msg, NULL, 0, bytes, data, &len, CALL_MS);
	if (!err)
		err = dvs_err_from_number(msg.u32[0]);
	return err || len == bytes ? err : DVS_PROTO;
}

static dvs_err thread_write(void *handle, uint64_t offset, const void *data, size_t bytes)
{
	const struct volume_disk *mine = handle;
	struct vdd_write_req req = { .minor = mine->minor, .offset = offset };

	return vdd_call_write(mine->self, mine->server, &req, NULL, data, bytes, NULL, 0, NULL,
			      CALL_MS);
}

static dvs_err run(const struct job *job, struct job_done *done, struct bench_fault *fault)
{
	static const struct job_thread thread = {
		.open = thread_open,
		.read = thread_read,
		.write = thread_write,
		.close = thread_close,
	};
	char why[VOLUME_WHY_MAX + 1];
	struct volume_disk disk;
	dvs_err err = volume_open(NULL, job->target, OPEN_MS, &disk, why);

	if (err)
		return bench_fail(fault, err, "%s: %s", job->target, why);
	err = job_run_threads(job, &thread, &disk, done, fault);
	volume_close(&disk);
	return err;
}

const struct job_way job_way_volume = { "volume", run };
