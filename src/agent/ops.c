/* SPDX-License-Identifier: Apache-2.0 */
/* Which operation is handled where. */
#include "agent/jobs.h"
#include "agent/programs.h"
#include "agent/server.h"
#include "agent/streams.h"

struct row {
	uint32_t op;
	agent_op_handler handler;
};

static const struct row rows[] = {
	{ AGENT_HELLO, op_hello },
	{ AGENT_CHECK, op_check },
	{ AGENT_RUN, op_run },
	{ AGENT_ATTACH, op_attach },
	{ AGENT_READ, op_read },
	{ AGENT_WRITE, op_write },
	{ AGENT_RESIZE, op_resize },
	{ AGENT_DETACH, op_detach },
	{ AGENT_SIGNAL, op_signal },
	{ AGENT_WAIT, op_wait },
	{ AGENT_FORGET, op_forget },
	{ AGENT_PROGRAMS, op_programs },
	{ AGENT_LOGS, op_logs },
	{ AGENT_CONTAINERS, op_containers },
	{ AGENT_USAGE, op_usage },
	{ AGENT_COPY_IN, op_copy_in },
	{ AGENT_COPY_OUT, op_copy_out },
	{ AGENT_STREAM_READ, op_stream_read },
	{ AGENT_STREAM_WRITE, op_stream_write },
	{ AGENT_STREAM_CLOSE, op_stream_close },
	{ AGENT_IMAGES, op_images },
	{ AGENT_IMAGE_IMPORT, op_image_import },
	{ AGENT_IMAGE_FETCH, op_image_fetch },
	{ AGENT_IMAGE_SEND, op_image_send },
	{ AGENT_IMAGE_REMOVE, op_image_remove },
	{ AGENT_IMAGE_SAYS, op_image_says },
	{ AGENT_JOB, op_job },
	{ AGENT_JOB_STOP, op_job_stop },
	{ AGENT_JOBS, op_jobs },
	{ AGENT_DOCTOR, op_doctor },
	{ AGENT_VOLUME_ATTACH, op_volume_attach },
	{ AGENT_VOLUME_DETACH, op_volume_detach },
	{ AGENT_ATTACHMENTS, op_attachments },
};

agent_op_handler op_handler(uint32_t op)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].op == op)
			return rows[i].handler;
	}
	return NULL;
}
