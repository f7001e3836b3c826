/* SPDX-License-Identifier: Apache-2.0 */
#include "node/copier.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/bounds.h"
#include "unit.h"

#define BYTES (COPY_CHUNK_BYTES * 2 + 77)

static char *from;
static char *to;
static char buffer[COPY_CHUNK_BYTES];

/* A child with the same memory at the same addresses, which it does not share. */
static pid_t sleeper(void)
{
	pid_t pid;

	from = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	to = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(from, MAP_FAILED);
	ck_assert_ptr_ne(to, MAP_FAILED);
	memset(from, 'x', BYTES);
	pid = fork();
	if (pid == 0) {
		for (;;)
			pause();
	}
	memset(from, 'y', BYTES);
	return pid;
}

static void end(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static struct copy_side side_of(pid_t pid, const char *at)
{
	struct copy_side side = { .pid = (uint32_t)pid, .addr = (uint64_t)(uintptr_t)at };

	ck_assert(image_of(side.pid, &side.image));
	return side;
}

TEST(memory_is_copied_from_one_process_to_another)
{
	pid_t pid = sleeper();
	struct copy_job job = { .from = side_of(pid, from),
				.to = side_of(getpid(), to),
				.bytes = BYTES };

	ck_assert_int_eq(copy_run(&job, buffer), DVS_OK);
	for (size_t i = 0; i < BYTES; i++)
		ck_assert_int_eq(to[i], 'x');
	job.to.addr = 8;
	ck_assert_int_eq(copy_run(&job, buffer), DVS_FAULT);
	job.from.image.marks[0]++;
	ck_assert_int_eq(copy_run(&job, buffer), DVS_DENIED);
	end(pid);
}

TEST(the_memory_of_a_dead_process_is_gone)
{
	pid_t pid = sleeper();
	struct copy_job job = { .from = side_of(pid, from),
				.to = side_of(getpid(), to),
				.bytes = BYTES };

	end(pid);
	ck_assert_int_eq(copy_run(&job, buffer), DVS_PEERDEAD);
}

TEST(the_threads_work_on_many_copies)
{
	pid_t pid = sleeper();
	struct copy_job jobs[20] = { 0 };
	struct copier *copier;
	int n_done = 0;

	ck_assert_int_eq(copier_create(&copier), DVS_OK);
	for (int i = 0; i < 20; i++) {
		jobs[i].from = side_of(pid, from);
		jobs[i].to = side_of(getpid(), to);
		jobs[i].bytes = BYTES;
		ck_assert_int_eq(copier_start(copier, &jobs[i]), DVS_OK);
	}
	while (n_done < 20) {
		const struct copy_job *job = copier_take_done(copier);

		if (!job) {
			struct pollfd done = { .fd = copier_fd(copier), .events = POLLIN };

			(void)poll(&done, 1, 1000);
			(void)!read(done.fd, buffer, 8);
			continue;
		}
		ck_assert_int_eq(job->err, DVS_OK);
		n_done++;
	}
	ck_assert_int_eq(to[BYTES - 1], 'x');
	end(pid);
	copier_destroy(copier);
}

UNIT_MAIN("node-copier", memory_is_copied_from_one_process_to_another,
	  the_memory_of_a_dead_process_is_gone, the_threads_work_on_many_copies)
