/* SPDX-License-Identifier: Apache-2.0 */
/* A measurement must notice when a system cheats or breaks, and leave no process behind. */
#include "manage/bench/internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

enum { DOOMED_CALL = 50 };

struct bed {
	struct bench_lab lab;
	struct bench_options options;
	struct bench_cell cell;
	struct bench_system system; /* a good one, for the test to spoil */
	struct bench_sample sample;
	struct bench_fault fault;
};

static void bed_make(struct bed *bed)
{
	sigset_t set;

	memset(bed, 0, sizeof(*bed));
	bed->options.sample_ms = 20;
	bed->cell = (struct bench_cell){ BENCH_FAN_IN, 1, 2, 64, true, false };
	bed->system = bench_system_pipe;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	bed->lab.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	ck_assert_int_ge(bed->lab.signal_fd, 0);
}

static dvs_err bed_measure(struct bed *bed)
{
	dvs_err err = bench_measure(&bed->lab, &bed->system, &bed->cell, &bed->options,
				    &bed->sample, &bed->fault);

	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	return err;
}

static void bed_expect(struct bed *bed, dvs_err err, const char *why)
{
	ck_assert_int_eq(bed_measure(bed), err);
	ck_assert_msg(strstr(bed->fault.text, why), "says: %s", bed->fault.text);
}

TEST(a_good_system_is_measured)
{
	struct bed bed;

	bed_make(&bed);
	ck_assert_int_eq(bed_measure(&bed), DVS_OK);
	ck_assert_double_gt(bed.sample.rt_ns, 0);
	ck_assert_double_gt(bed.sample.msg_per_s, 0);
	ck_assert_double_gt(bed.sample.cpu, 0);
}

/* The rate is that of all clients, the round trip is what each of them sees. */
TEST(rate_and_round_trip_tell_the_same_story)
{
	struct bed bed;

	bed_make(&bed);
	bed.cell.clients = 4;
	ck_assert_int_eq(bed_measure(&bed), DVS_OK);
	ck_assert_double_gt(bed.sample.rt_ns * bed.sample.msg_per_s, 2.0e9);
	ck_assert_double_lt(bed.sample.rt_ns * bed.sample.msg_per_s, 4.4e9);
}

TEST(thinking_is_not_part_of_the_round_trip)
{
	struct bed bed;

	bed_make(&bed);
	bed.cell = (struct bench_cell){ BENCH_SLEEPY, 1, 1, 64, true, false };
	bed.options.sample_ms = 50;
	ck_assert_int_eq(bed_measure(&bed), DVS_OK);
	ck_assert_double_lt(bed.sample.msg_per_s, 10000);
	ck_assert_double_lt(bed.sample.rt_ns * bed.sample.msg_per_s, 0.9e9);
}

static dvs_err prepare_slowly(struct bench_link *link)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	(void)link;
	nanosleep(&pause, NULL);
	return DVS_OK;
}

TEST(what_prepares_a_call_is_not_part_of_it)
{
	struct bed bed;

	bed_make(&bed);
	bed.system.prepare = prepare_slowly;
	bed.cell = (struct bench_cell){ BENCH_FAN_IN, 1, 1, 64, true, false };
	bed.options.sample_ms = 50;
	ck_assert_int_eq(bed_measure(&bed), DVS_OK);
	ck_assert_double_lt(bed.sample.msg_per_s, 1000);
	ck_assert_double_lt(bed.sample.rt_ns * bed.sample.msg_per_s, 0.9e9);
}

static dvs_err prepare_in_vain(struct bench_link *link)
{
	return bench_fail(&link->fault, DVS_IO, "not prepared");
}

TEST(a_preparation_that_fails_ends_the_measurement)
{
	struct bed bed;

	bed_make(&bed);
	bed.system.prepare = prepare_in_vain;
	bed_expect(&bed, DVS_IO, "not prepared");
}

/* One process speaks for both clients: it calls as the first of them, and here that is all it can do. */
static dvs_err setup_for_one(struct bench_link *link)
{
	unsigned clients = link->clients;
	dvs_err err;

	link->clients = 1;
	err = bench_system_pipe.setup(link);
	link->clients = clients;
	return err;
}

static dvs_err answer_yourself(struct bench_link *link, const void *request,
			       struct bench_msg *reply)
{
	struct bench_msg msg;

	memcpy(&msg, request, sizeof(msg));
	(void)link;
	*reply = msg;
	return DVS_OK;
}

TEST(a_crowd_counts_a_call_for_each_of_its_clients)
{
	struct bed bed;
	double alone;

	bed_make(&bed);
	bed.system.solo = true;
	bed.system.setup = setup_for_one;
	bed.system.call = answer_yourself;
	bed.cell = (struct bench_cell){ BENCH_FAN_IN, 1, 1, 64, true, false };
	ck_assert_int_eq(bed_measure(&bed), DVS_OK);
	alone = bed.sample.rt_ns * bed.sample.msg_per_s;
	bed.cell.clients = 8;
	bed.system.crowd = true;
	ck_assert_int_eq(bed_measure(&bed), DVS_OK);
	/* Eight calls at a time, each as long as before. */
	ck_assert_double_gt(bed.sample.rt_ns * bed.sample.msg_per_s, 7 * alone);
	ck_assert_double_lt(bed.sample.rt_ns * bed.sample.msg_per_s, 9 * alone);
}

static dvs_err reply_with_another_number(struct bench_link *link, unsigned client,
					 const struct bench_msg *reply)
{
	struct bench_msg changed = *reply;

	if (reply->seq == DOOMED_CALL)
		changed.seq--;
	return bench_system_pipe.reply(link, client, &changed);
}

TEST(an_old_reply_is_noticed)
{
	struct bed bed;

	bed_make(&bed);
	bed.system.reply = reply_with_another_number;
	bed_expect(&bed, DVS_IO, "the reply to request 50 is damaged");
}

static dvs_err call_with_a_changed_bit(struct bench_link *link, const void *request,
				       struct bench_msg *reply)
{
	struct bench_msg changed;

	memcpy(&changed, request, sizeof(changed));
	if (changed.seq == DOOMED_CALL)
		changed.fill[3] ^= 1;
	return bench_system_pipe.call(link, &changed, reply);
}

TEST(a_damaged_request_is_noticed)
{
	struct bed bed;

	bed_make(&bed);
	bed.system.call = call_with_a_changed_bit;
	bed_expect(&bed, DVS_IO, "request 50 of client");
}

static dvs_err receive_and_die(struct bench_link *link, struct bench_request *request)
{
	dvs_err err = bench_system_pipe.receive(link, request);

	if (((const struct bench_msg *)request->data)->seq == DOOMED_CALL)
		raise(SIGKILL);
	return err;
}

TEST(a_server_that_dies_ends_the_measurement)
{
	struct bed bed;

	bed_make(&bed);
	bed.system.receive = receive_and_die;
	bed_expect(&bed, DVS_IO, "a process of pipe was killed by signal 9");
}

static dvs_err open_and_fail(struct bench_link *link)
{
	return bench_fail(&link->fault, DVS_IO, "the server has no door");
}

TEST(a_server_that_cannot_start_says_why)
{
	struct bed bed;

	bed_make(&bed);
	bed.system.server_open = open_and_fail;
	bed_expect(&bed, DVS_IO, "the server has no door");
}

static dvs_err setup_half(struct bench_link *link)
{
	dvs_err err = bench_system_pipe.setup(link);

	return err == DVS_OK ? bench_fail(&link->fault, DVS_IO, "no second half") : err;
}

TEST(a_setup_that_fails_is_undone)
{
	struct bed bed;

	bed_make(&bed);
	bed.system.setup = setup_half;
	bed_expect(&bed, DVS_IO, "no second half");
}

/* Blocks for good, so that only a signal ends the measurement. */
static dvs_err receive_never(struct bench_link *link, struct bench_request *request)
{
	(void)link;
	(void)request;
	for (;;)
		pause();
	return DVS_OK;
}

TEST(a_signal_ends_it_and_everybody_in_it)
{
	struct bed bed;

	bed_make(&bed);
	bed.system.receive = receive_never;
	kill(getpid(), SIGTERM);
	bed_expect(&bed, DVS_WOKEN, "stopped by signal 15");
}

UNIT_MAIN_TIMEOUT("bench-measure", 30, a_good_system_is_measured,
		  rate_and_round_trip_tell_the_same_story, thinking_is_not_part_of_the_round_trip,
		  what_prepares_a_call_is_not_part_of_it,
		  a_preparation_that_fails_ends_the_measurement,
		  a_crowd_counts_a_call_for_each_of_its_clients, an_old_reply_is_noticed,
		  a_damaged_request_is_noticed, a_server_that_dies_ends_the_measurement,
		  a_server_that_cannot_start_says_why, a_setup_that_fails_is_undone,
		  a_signal_ends_it_and_everybody_in_it)
