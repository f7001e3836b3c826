/* SPDX-License-Identifier: Apache-2.0 */
/* A file, without anybody between: what memory and the kernel can do. */
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/bench/vdd/job.h"

static dvs_err thread_open(void *context, void **handle)
{
	*handle = context;
	return DVS_OK;
}

static void thread_close(void *handle)
{
	(void)handle;
}

static dvs_err thread_read(void *handle, uint64_t offset, void *room, size_t bytes,
			   const void **data)
{
	const int *fd = handle;

	*data = room;
	return pread(*fd, room, bytes, (off_t)offset) == (ssize_t)bytes ? DVS_OK : DVS_IO;
}

static dvs_err thread_write(void *handle, uint64_t offset, const void *data, size_t bytes)
{
	const int *fd = handle;

	return pwrite(*fd, data, bytes, (off_t)offset) == (ssize_t)bytes ? DVS_OK : DVS_IO;
}

static dvs_err run(const struct job *job, struct job_done *done, struct bench_fault *fault)
{
	static const struct job_thread thread = {
		.open = thread_open,
		.read = thread_read,
		.write = thread_write,
		.close = thread_close,
	};
	AUTO_CLOSE int fd = open(job->target, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return bench_fail_errno(fault, job->target);
	return job_run_threads(job, &thread, &fd, done, fault);
}

const struct job_way job_way_file = { "file", run };
