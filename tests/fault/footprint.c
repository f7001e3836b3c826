/* SPDX-License-Identifier: Apache-2.0 */
/* What idle endpoints cost: ten thousand of them with one channel each in memory, and some that wait in time of the CPU. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <dvs/dvk.h>

#include "base/clock.h"
#include "lab.h"
#include "unit.h"

#define PROCESSES 5u
#define ENDPOINTS_EACH 2000u
#define SERVER 10u
#define BYTES_MAX (16u * 1024u)
#define WAITERS 64u
#define IDLE_MS 3000
/* A tick is 10 ms; one may fall to anybody. */
#define TICKS_MAX 2u

#if defined(__SANITIZE_ADDRESS__)
#define FAULT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAULT_SANITIZED 1
#endif
#endif
#ifndef FAULT_SANITIZED
#define FAULT_SANITIZED 0
#endif

struct helper {
	pid_t pid;
	int ready_fd;
};

static void say_ready(int fd)
{
	if (write(fd, "x", 1) != 1)
		_exit(EXIT_FAILURE);
}

static struct dvk *open_dvk(const char *control)
{
	struct dvk *dvk;

	if (dvk_open(control, &dvk))
		_exit(EXIT_FAILURE);
	return dvk;
}

/* Fork a process that runs RUN and is killed with the test; wait until it says that it is ready. */
static struct helper start(const struct lab *lab, void (*run)(const char *control, int ready_fd))
{
	struct helper helper;
	int pipe_fd[2];
	char byte;

	ck_assert_int_eq(pipe(pipe_fd), 0);
	(void)fflush(NULL);
	helper.pid = fork();
	ck_assert_int_ge(helper.pid, 0);
	if (helper.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pipe_fd[0]);
		run(lab->control, pipe_fd[1]);
		_exit(EXIT_FAILURE);
	}
	close(pipe_fd[1]);
	ck_assert_msg(read(pipe_fd[0], &byte, 1) == 1, "a process did not get ready");
	helper.ready_fd = pipe_fd[0];
	return helper;
}

static void stop(const struct helper *helper)
{
	close(helper->ready_fd);
	(void)kill(helper->pid, SIGKILL);
	ck_assert_int_eq(waitpid(helper->pid, NULL, 0), helper->pid);
}

/* ---- memory ---- */

/* All share one server, so that each has a channel that somebody uses. */
static void run_server(const char *control, int ready_fd)
{
	struct dvk *dvk = open_dvk(control);
	struct dvs_msg msg;
	struct m3 *self;

	if (dvk_bind(dvk, dvs_ep_of(SERVER), DVK_LOCAL, &self))
		return;
	say_ready(ready_fd);
	while (m3_receive(self, dvs_ep_any(), &msg, DVS_FOREVER) == DVS_OK) {
		if (m3_reply(self, msg.source, &msg))
			return;
	}
}

static void run_many(const char *control, int ready_fd)
{
	struct dvk *dvk = open_dvk(control);

	for (uint32_t i = 0; i < ENDPOINTS_EACH; i++) {
		struct dvs_msg msg = { .type = 1 };
		struct m3 *self;

		if (dvk_bind(dvk, dvs_ep_any(), DVK_LOCAL, &self) ||
		    m3_sendrec(self, dvs_ep_of(SERVER), &msg, 10000))
			return;
	}
	say_ready(ready_fd);
	for (;;)
		(void)pause();
}

/* What these processes take in all; memory that several share counts once. The kernel's own, its page tables above all, is
 * not the processes' but is taken because of them. */
static uint64_t kib_of(const struct lab *lab, const struct helper *helper, uint32_t n)
{
	uint64_t kib = pss_kib_of(lab->dvsd) + page_table_kib_of(lab->dvsd);

	for (uint32_t i = 0; i < n; i++)
		kib += pss_kib_of(helper[i].pid) + page_table_kib_of(helper[i].pid);
	return kib;
}

TEST(an_idle_endpoint_with_a_channel_takes_16_kib_at_most)
{
	struct helper helper[1 + PROCESSES];
	uint64_t n = PROCESSES * ENDPOINTS_EACH;
	struct lab lab;
	uint64_t before;
	uint64_t after;

	lab_open(&lab);
	helper[0] = start(&lab, run_server);
	before = kib_of(&lab, helper, 1);
	for (uint32_t i = 1; i <= PROCESSES; i++)
		helper[i] = start(&lab, run_many);
	after = kib_of(&lab, helper, 1 + PROCESSES);
	lab_say("%llu endpoints with a channel each: %llu KiB, %llu bytes for each; at most %u",
		(unsigned long long)n, (unsigned long long)(after - before),
		(unsigned long long)((after - before) * 1024 / n), BYTES_MAX);
	for (uint32_t i = 0; i <= PROCESSES; i++)
		stop(&helper[i]);
	lab_close(&lab);
	if (FAULT_SANITIZED)
		lab_say("not judged: the sanitizer's own memory is in it");
	else
		ck_assert_uint_le((after - before) * 1024 / n, BYTES_MAX);
}

/* ---- the CPU ---- */

struct waiter {
	struct dvk *dvk;
	uint32_t number;
};

static void *wait_for_ever(void *arg)
{
	const struct waiter *waiter = arg;
	struct dvs_msg msg;
	struct m3 *self;

	if (dvk_bind(waiter->dvk, dvs_ep_any(), DVK_LOCAL, &self))
		_exit(EXIT_FAILURE);
	/* Half of them wait for a reply that does not come, the others for anybody. */
	msg.type = 2;
	if (waiter->number % 2)
		(void)!m3_sendrec(self, dvs_ep_of(SERVER), &msg, DVS_FOREVER);
	else
		(void)!m3_receive(self, dvs_ep_any(), &msg, DVS_FOREVER);
	_exit(EXIT_FAILURE);
}

static void run_waiters(const char *control, int ready_fd)
{
	struct dvk *dvk = open_dvk(control);
	struct waiter waiter[WAITERS];

	for (uint32_t i = 0; i < WAITERS; i++) {
		pthread_t thread;

		waiter[i] = (struct waiter){ .dvk = dvk, .number = i };
		if (pthread_create(&thread, NULL, wait_for_ever, &waiter[i]))
			return;
	}
	say_ready(ready_fd);
	for (;;)
		(void)pause();
}

/* Receives all and answers nobody. */
static void run_silent_server(const char *control, int ready_fd)
{
	struct dvk *dvk = open_dvk(control);
	struct dvs_msg msg;
	struct m3 *self;

	if (dvk_bind(dvk, dvs_ep_of(SERVER), DVK_LOCAL, &self))
		return;
	say_ready(ready_fd);
	while (m3_receive(self, dvs_ep_any(), &msg, DVS_FOREVER) == DVS_OK)
		;
}

static uint64_t ticks_of(const struct lab *lab, const struct helper *helper)
{
	return usage_of(lab->dvsd).cpu_ticks + usage_of(helper[0].pid).cpu_ticks +
	       usage_of(helper[1].pid).cpu_ticks;
}

TEST(waiters_and_dvsd_take_no_cpu)
{
	struct helper helper[2];
	uint64_t before;
	uint64_t after;
	struct lab lab;

	lab_open(&lab);
	helper[0] = start(&lab, run_silent_server);
	helper[1] = start(&lab, run_waiters);
	/* They are on their way to sleep. */
	(void)poll(NULL, 0, 1000);
	before = ticks_of(&lab, helper);
	(void)poll(NULL, 0, IDLE_MS);
	after = ticks_of(&lab, helper);
	lab_say("%u waiters, their server and dvsd: %llu ticks in %d ms", WAITERS,
		(unsigned long long)(after - before), IDLE_MS);
	stop(&helper[1]);
	stop(&helper[0]);
	lab_close(&lab);
	ck_assert_uint_le(after - before, TICKS_MAX);
}

UNIT_MAIN_TIMEOUT("fault-footprint", 3600, an_idle_endpoint_with_a_channel_takes_16_kib_at_most,
		  waiters_and_dvsd_take_no_cpu)
