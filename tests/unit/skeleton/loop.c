/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of a server with a real dvsd: requests and who may make them, answers now and later, timers, endpoints that come and go. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "stand.h"

#define TO dvs_ep_of(SERVICE)

static dvs_err read_at(struct stand *stand, uint32_t flags, uint64_t offset, uint32_t bytes,
		       void *in, size_t cap, size_t *got)
{
	const struct vdd_read_req req = { .flags = flags, .offset = offset, .bytes = bytes };

	return vdd_call_read(stand->self, TO, &req, NULL, NULL, 0, in, cap, got, PATIENCE_MS);
}

static dvs_err write_at(struct stand *stand, uint64_t offset, const void *out, size_t bytes)
{
	const struct vdd_write_req req = { .offset = offset };

	return vdd_call_write(stand->self, TO, &req, NULL, out, bytes, NULL, 0, NULL, PATIENCE_MS);
}

static dvs_err flush(struct stand *stand, struct m3 *self, uint32_t timeout_ms)
{
	(void)stand;
	return vdd_call_flush(self, TO, &(struct vdd_flush_req){ .minor = 0 }, NULL, NULL, 0, NULL,
			      0, NULL, timeout_ms);
}

static dvs_err tune(struct m3 *self)
{
	return vdd_call_tune(self, TO, &(struct vdd_tune_req){ .bytes_per_s = 1 }, NULL, NULL, 0,
			     NULL, 0, NULL, PATIENCE_MS);
}

TEST(data_goes_and_comes)
{
	struct stand *stand = stand_open(true);
	uint8_t *out = malloc(DISK_BYTES);
	uint8_t *in = calloc(1, DISK_BYTES);
	size_t got;

	for (size_t i = 0; i < DISK_BYTES; i++)
		out[i] = (uint8_t)(i * 7 + i / 251);
	ck_assert_int_eq(write_at(stand, 0, out, DISK_BYTES), DVS_OK);
	ck_assert_int_eq(read_at(stand, 0, 0, DISK_BYTES, in, DISK_BYTES, &got), DVS_OK);
	ck_assert_uint_eq(got, DISK_BYTES);
	ck_assert_mem_eq(in, out, DISK_BYTES);
	/* Through the window. */
	ck_assert_int_eq(read_at(stand, 1, 512, 65536, in, DISK_BYTES, &got), DVS_OK);
	ck_assert_uint_eq(got, 65536);
	ck_assert_mem_eq(in, out + 512, 65536);
	free(in);
	free(out);
	stand_close(stand);
}

TEST(an_error_comes_as_the_handler_gave_it)
{
	struct stand *stand = stand_open(true);
	uint8_t in[512];
	size_t got;

	ck_assert_int_eq(read_at(stand, 0, DISK_BYTES, 512, in, sizeof(in), &got), DVS_RANGE);
	ck_assert_uint_eq(got, 0);
	/* More than the client takes. */
	ck_assert_int_eq(read_at(stand, 0, 0, 1024, in, sizeof(in), &got), DVS_TOOBIG);
	ck_assert_int_eq(read_at(stand, 1, 0, 1024, in, sizeof(in), &got), DVS_TOOBIG);
	ck_assert_int_eq(read_at(stand, 0, 0, 512, in, sizeof(in), &got), DVS_OK);
	stand_close(stand);
}

TEST(what_is_no_request_of_the_service_is_refused)
{
	struct stand *stand = stand_open(true);
	struct dvs_msg msg = { .type = VDD_READ };

	msg.bytes[DVS_PAYLOAD_BYTES - 1] = 1;
	ck_assert_int_eq(m3_call(stand->self, TO, &msg, NULL, 0, NULL, 0, NULL, PATIENCE_MS),
			 DVS_OK);
	ck_assert_int_eq(msg.u32[0], DVS_PROTO);
	for (uint32_t type = 0; type < 0x5000; type += type < 64 ? 9 : 0x400) {
		msg = (struct dvs_msg){ .type = type };
		if (vdd_serve_allow(type) != SKELETON_NOBODY)
			continue;
		ck_assert_int_eq(m3_call(stand->self, TO, &msg, NULL, 0, NULL, 0, NULL,
					 PATIENCE_MS),
				 DVS_OK);
		ck_assert_int_eq(msg.u32[0], DVS_BADARG);
	}
	/* Nobody waits for these. */
	ck_assert_int_eq(m3_send(stand->self, TO, &msg, PATIENCE_MS), DVS_OK);
	ck_assert_int_eq(m3_notify(stand->self, TO, 5), DVS_OK);
	/* An operation without a handler. */
	ck_assert_int_eq(vdd_call_trim(stand->self, TO, &(struct vdd_trim_req){ .bytes = 512 },
				       NULL, NULL, 0, NULL, 0, NULL, PATIENCE_MS),
			 DVS_BADARG);
	stand_close(stand);
}

/* Take all rights from SELF. */
static void make_user(struct stand *stand, struct m3 *self)
{
	const struct dvk_privileges none = { .may = 0,
					     .n_call_to = 1,
					     .call_to = { { 0, DVS_EP_NUMBER_MAX } } };

	ck_assert_int_eq(dvk_privileges_set(stand->dvk, m3_self(self), &none), DVS_OK);
}

TEST(only_managers_do_what_is_theirs)
{
	struct stand *stand = stand_open(true);
	uint8_t in[512];
	uint32_t number = dvs_ep_number(m3_self(stand->self));

	ck_assert_int_eq(tune(stand->self), DVS_OK);
	/* The number's next owner is another one, and has not its rights. */
	dvk_unbind(stand->self);
	ck_assert_int_eq(dvk_bind(stand->dvk, dvs_ep_of(number), DVK_LOCAL, &stand->self), DVS_OK);
	make_user(stand, stand->self);
	ck_assert_int_eq(tune(stand->self), DVS_DENIED);
	ck_assert_int_eq(read_at(stand, 0, 0, 512, in, sizeof(in), NULL), DVS_OK);
	dvk_unbind(stand->self);
	ck_assert_int_eq(dvk_bind(stand->dvk, dvs_ep_of(number), DVK_LOCAL, &stand->self), DVS_OK);
	ck_assert_int_eq(tune(stand->self), DVS_OK);
	stand_close(stand);
}

TEST(users_can_be_managers_only)
{
	struct stand *stand = stand_open(false);
	uint8_t in[512];

	make_user(stand, stand->self);
	ck_assert_int_eq(read_at(stand, 0, 0, 512, in, sizeof(in), NULL), DVS_DENIED);
	dvk_unbind(stand->self);
	ck_assert_int_eq(dvk_bind(stand->dvk, dvs_ep_any(), DVK_LOCAL, &stand->self), DVS_OK);
	ck_assert_int_eq(read_at(stand, 0, 0, 512, in, sizeof(in), NULL), DVS_OK);
	stand_close(stand);
}

/* ---- answers that come later ---- */

static void answer_kept(struct stand *stand)
{
	vdd_flush_answer(stand->kept, DVS_IO, NULL);
}

static void drop_kept(struct stand *stand)
{
	skeleton_drop(stand->kept);
}

/* A client of its own, whose flush waits. */
struct waiter {
	struct stand *stand;
	pthread_t thread;
	uint32_t timeout_ms;
	dvs_err err;
};

static void *wait_for_flush(void *argument)
{
	struct waiter *waiter = argument;
	struct m3 *self;

	ck_assert_int_eq(dvk_bind(waiter->stand->dvk, dvs_ep_any(), DVK_LOCAL, &self), DVS_OK);
	waiter->err = flush(waiter->stand, self, waiter->timeout_ms);
	dvk_unbind(self);
	return NULL;
}

static void waiter_start(struct waiter *waiter, struct stand *stand, uint32_t timeout_ms)
{
	*waiter = (struct waiter){ .stand = stand, .timeout_ms = timeout_ms };
	ck_assert_int_eq(pthread_create(&waiter->thread, NULL, wait_for_flush, waiter), 0);
	stand_hear(stand);
}

static dvs_err waiter_end(struct waiter *waiter)
{
	ck_assert_int_eq(pthread_join(waiter->thread, NULL), 0);
	return waiter->err;
}

TEST(an_answer_can_come_later)
{
	struct stand *stand = stand_open(true);
	struct waiter waiter;
	uint8_t in[512];

	waiter_start(&waiter, stand, PATIENCE_MS);
	/* Others are served meanwhile. */
	ck_assert_int_eq(read_at(stand, 1, 0, 512, in, sizeof(in), NULL), DVS_OK);
	stand_run(stand, answer_kept);
	ck_assert_int_eq(waiter_end(&waiter), DVS_IO);
	stand_close(stand);
}

/* Before a client gives up the server is to have its request, on a busy machine, too. */
#define SOON_MS 250

TEST(nobody_may_wait_for_an_answer_any_more)
{
	struct stand *stand = stand_open(true);
	struct waiter waiter;
	uint8_t in[512];
	size_t got;

	/* It gives up, and its next call gets its own answer. */
	ck_assert_int_eq(flush(stand, stand->self, SOON_MS), DVS_TIMEOUT);
	stand_hear(stand);
	ck_assert_int_eq(read_at(stand, 1, 0, 512, in, sizeof(in), &got), DVS_OK);
	stand_run(stand, answer_kept);
	ck_assert_int_eq(read_at(stand, 1, 0, 512, in, sizeof(in), &got), DVS_OK);
	/* It is gone. */
	waiter_start(&waiter, stand, SOON_MS);
	ck_assert_int_eq(waiter_end(&waiter), DVS_TIMEOUT);
	stand_run(stand, answer_kept);
	/* It is never answered. */
	waiter_start(&waiter, stand, SOON_MS);
	stand_run(stand, drop_kept);
	ck_assert_int_eq(waiter_end(&waiter), DVS_TIMEOUT);
	/* Nor is this one: the server ends. */
	waiter_start(&waiter, stand, PATIENCE_MS);
	stand_stop(stand);
	ck_assert_int_eq(waiter_end(&waiter), DVS_PEERDEAD);
	stand_close(stand);
}

/* ---- endpoints ---- */

static void unbind_service(struct stand *stand)
{
	skeleton_forget(stand->skeleton, stand->service);
	dvk_unbind(stand->service);
	stand->service = NULL;
}

static void bind_service(struct stand *stand)
{
	ck_assert_int_eq(dvk_bind(stand->dvk, dvs_ep_of(SERVICE), DVK_LOCAL, &stand->service),
			 DVS_OK);
	skeleton_listen(stand->skeleton, stand->service);
}

TEST(an_answer_to_what_came_at_a_forgotten_endpoint_is_dropped)
{
	struct stand *stand = stand_open(true);
	struct waiter waiter;

	waiter_start(&waiter, stand, PATIENCE_MS);
	stand_run(stand, unbind_service);
	ck_assert_int_eq(waiter_end(&waiter), DVS_PEERDEAD);
	stand_run(stand, answer_kept);
	stand_run(stand, bind_service);
	ck_assert_int_eq(tune(stand->self), DVS_OK);
	stand_close(stand);
}

TEST(the_own_endpoint_serves_too)
{
	struct stand *stand = stand_open(true);
	struct m3 *own = skeleton_self(stand->skeleton);
	const struct vdd_tune_req req = { .bytes_per_s = 1 };

	stand_run(stand, unbind_service);
	ck_assert_int_eq(vdd_call_tune(stand->self, m3_self(own), &req, NULL, NULL, 0, NULL, 0,
				       NULL, PATIENCE_MS),
			 DVS_OK);
	stand_close(stand);
}

TEST(a_lost_endpoint_is_told)
{
	struct stand *stand = stand_open(true);

	ck_assert_int_eq(dvk_unbind_endpoint(stand->dvk, dvs_ep_of(SERVICE), PATIENCE_MS), DVS_OK);
	stand_hear(stand);
	ck_assert_uint_eq(dvs_ep_number(stand->lost), SERVICE);
	stand_run(stand, bind_service);
	ck_assert_int_eq(tune(stand->self), DVS_OK);
	stand_close(stand);
}

static void bind_backup(struct stand *stand)
{
	unbind_service(stand);
	ck_assert_int_eq(dvk_bind(stand->dvk, dvs_ep_of(SERVICE + 1), DVK_BACKUP, &stand->service),
			 DVS_OK);
	skeleton_listen(stand->skeleton, stand->service);
}

static void timer_fires(struct skeleton_timer *timer)
{
	struct stand *stand = CONTAINER_OF(timer, struct stand, timer);

	stand->n_fired++;
	sem_post(&stand->said);
}

static void set_timer(struct stand *stand)
{
	skeleton_timer_set(stand->skeleton, &stand->timer, clock_deadline_ns(3 * CLOCK_NS_PER_MS),
			   timer_fires);
}

static void nothing(struct stand *stand)
{
	(void)stand;
}

/* The primary is another process, which ends when nobody holds *END any more. */
static pid_t primary_start(struct stand *stand, int *end)
{
	int pipe_fds[2];
	struct dvk *dvk;
	struct m3 *self;
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(pipe_fds[1]);
		if (dvk_open(stand->lab.control, &dvk) == DVS_OK &&
		    dvk_bind(dvk, dvs_ep_of(SERVICE + 1), DVK_LOCAL, &self) == DVS_OK)
			(void)!read(pipe_fds[0], &byte, 1);
		_exit(0);
	}
	close(pipe_fds[0]);
	*end = pipe_fds[1];
	ck_assert_int_eq(dvk_wait_bind(stand->dvk, dvs_ep_of(SERVICE + 1), PATIENCE_MS, NULL),
			 DVS_OK);
	return pid;
}

TEST(posts_and_timers_reach_a_backup)
{
	struct stand *stand = stand_open(true);
	const struct vdd_tune_req req = { .bytes_per_s = 1 };
	int end;
	pid_t primary = primary_start(stand, &end);

	stand_run(stand, bind_backup);
	for (int i = 0; i < 100; i++)
		stand_run(stand, nothing);
	stand_run(stand, set_timer);
	stand_hear(stand);
	/* And it serves when it is promoted. */
	close(end);
	ck_assert_int_eq(waitpid(primary, NULL, 0), primary);
	ck_assert_int_eq(vdd_call_tune(stand->self, dvs_ep_of(SERVICE + 1), &req, NULL, NULL, 0,
				       NULL, 0, NULL, PATIENCE_MS),
			 DVS_OK);
	stand_close(stand);
}

/* ---- timers ---- */

#define TIMERS 5u

struct bell {
	struct skeleton_timer timer;
	struct stand *stand;
	struct bell *others;
	uint32_t *n_fired;
	uint32_t place; /* in the order of firing, from 1; 0: it did not */
};

/* The first fires once more, and cancels the fourth. */
static void ring(struct skeleton_timer *timer)
{
	struct bell *bell = CONTAINER_OF(timer, struct bell, timer);
	struct skeleton *skeleton = bell->stand->skeleton;

	if (bell == &bell->others[0] && bell->place == 0) {
		skeleton_timer_cancel(skeleton, &bell->others[3].timer);
		skeleton_timer_set(skeleton, timer, clock_now_ns() + 30 * CLOCK_NS_PER_MS, ring);
	}
	bell->place = ++*bell->n_fired;
	if (bell == &bell->others[4])
		sem_post(&bell->stand->said);
}

static void set_all(struct stand *stand)
{
	static const uint32_t at_ms[TIMERS] = { 1, 20, 10, 15, 60 };
	struct bell *bells = stand->context;
	uint64_t now_ns = clock_now_ns();

	for (uint32_t i = 0; i < TIMERS; i++)
		skeleton_timer_set(stand->skeleton, &bells[i].timer,
				   now_ns + at_ms[i] * CLOCK_NS_PER_MS, ring);
}

TEST(timers_fire_in_their_order)
{
	struct stand *stand = stand_open(true);
	struct bell bells[TIMERS];
	uint32_t n_fired = 0;

	for (uint32_t i = 0; i < TIMERS; i++)
		bells[i] = (struct bell){ .stand = stand, .others = bells, .n_fired = &n_fired };
	stand->context = bells;
	stand_run(stand, set_all);
	stand_hear(stand);
	ck_assert_uint_eq(bells[2].place, 2);
	ck_assert_uint_eq(bells[1].place, 3);
	ck_assert_uint_eq(bells[0].place, 4);
	ck_assert_uint_eq(bells[4].place, 5);
	ck_assert_uint_eq(bells[3].place, 0);
	ck_assert(!bells[0].timer.is_set);
	stand_close(stand);
}

UNIT_MAIN("skeleton-loop", data_goes_and_comes, an_error_comes_as_the_handler_gave_it,
	  what_is_no_request_of_the_service_is_refused, only_managers_do_what_is_theirs,
	  users_can_be_managers_only, an_answer_can_come_later,
	  nobody_may_wait_for_an_answer_any_more,
	  an_answer_to_what_came_at_a_forgotten_endpoint_is_dropped, the_own_endpoint_serves_too,
	  a_lost_endpoint_is_told, posts_and_timers_reach_a_backup, timers_fire_in_their_order)
