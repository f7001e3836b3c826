/* SPDX-License-Identifier: Apache-2.0 */
#include "stand.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static void serve_read(void *state, struct skeleton_request *request,
		       const struct vdd_read_req *req)
{
	struct stand *stand = state;
	size_t cap = 0;
	uint8_t *window;

	if (req->offset > DISK_BYTES || req->bytes > DISK_BYTES - req->offset) {
		vdd_read_answer(request, DVS_RANGE, NULL);
		return;
	}
	if (req->flags == 0) {
		vdd_read_answer_data(request, DVS_OK, NULL, stand->disk + req->offset, req->bytes);
		return;
	}
	window = skeleton_window(request, &cap);
	ck_assert_ptr_nonnull(window);
	if (req->bytes <= cap)
		memcpy(window, stand->disk + req->offset, req->bytes);
	vdd_read_answer_data(request, DVS_OK, NULL, window, req->bytes);
}

static void serve_write(void *state, struct skeleton_request *request,
			const struct vdd_write_req *req)
{
	struct stand *stand = state;
	bool fits = req->offset <= DISK_BYTES && request->data_bytes <= DISK_BYTES - req->offset;

	if (fits)
		memcpy(stand->disk + req->offset, request->data, request->data_bytes);
	vdd_write_answer(request, fits ? DVS_OK : DVS_RANGE, NULL);
}

/* Answered by whoever finds it. */
static void serve_flush(void *state, struct skeleton_request *request,
			const struct vdd_flush_req *req)
{
	struct stand *stand = state;

	(void)req;
	stand->kept = request;
	sem_post(&stand->said);
}

static void serve_tune(void *state, struct skeleton_request *request,
		       const struct vdd_tune_req *req)
{
	(void)state;
	(void)req;
	vdd_tune_answer(request, request->is_manager ? DVS_OK : DVS_IO, NULL);
}

static const struct vdd_handlers handlers = {
	.read = serve_read,
	.write = serve_write,
	.flush = serve_flush,
	.tune = serve_tune,
};

static void lost(void *context, struct m3 *self, dvs_err err)
{
	struct stand *stand = context;

	ck_assert_int_eq(err, DVS_NOTBOUND);
	stand->lost = m3_self(self);
	dvk_unbind(self);
	stand->service = NULL;
	sem_post(&stand->said);
}

static void *serve(void *argument)
{
	struct stand *stand = argument;
	const struct skeleton_service service = vdd_service(&handlers, stand);
	const struct skeleton_config config = { .dvk = stand->dvk,
						.log = &stand->log,
						.users_are_all = stand->users_are_all,
						.services = &service,
						.n_services = 1 };

	ck_assert_int_eq(skeleton_open(&config, &stand->skeleton), DVS_OK);
	ck_assert_int_eq(dvk_bind(stand->dvk, dvs_ep_of(SERVICE), DVK_LOCAL, &stand->service),
			 DVS_OK);
	stand->poster = skeleton_poster(stand->skeleton);
	skeleton_on_lost(stand->skeleton, lost, stand);
	skeleton_listen(stand->skeleton, stand->service);
	sem_post(&stand->said);
	stand->ended = skeleton_run(stand->skeleton);
	dvk_unbind(stand->service);
	skeleton_close(stand->skeleton);
	return NULL;
}

void stand_hear(struct stand *stand)
{
	struct timespec until = clock_timespec(clock_real_ns() + PATIENCE_MS * CLOCK_NS_PER_MS);

	ck_assert_int_eq(sem_timedwait(&stand->said, &until), 0);
}

struct stand *stand_open(bool users_are_all)
{
	struct stand *stand = calloc(1, sizeof(*stand));

	ck_assert_ptr_nonnull(stand);
	stand->log = log_to_stderr(LOG_LEVEL_ERROR);
	stand->users_are_all = users_are_all;
	sem_init(&stand->said, 0, 0);
	lab_open(&stand->lab);
	ck_assert_int_eq(dvk_open(stand->lab.control, &stand->dvk), DVS_OK);
	ck_assert_int_eq(dvk_bind(stand->dvk, dvs_ep_any(), DVK_LOCAL, &stand->self), DVS_OK);
	ck_assert_int_eq(pthread_create(&stand->thread, NULL, serve, stand), 0);
	stand_hear(stand);
	return stand;
}

void stand_stop(struct stand *stand)
{
	skeleton_stop(stand->skeleton);
	ck_assert_int_eq(pthread_join(stand->thread, NULL), 0);
	ck_assert_int_eq(stand->ended, DVS_OK);
	stand->skeleton = NULL;
}

void stand_close(struct stand *stand)
{
	if (stand->skeleton)
		stand_stop(stand);
	dvk_unbind(stand->self);
	dvk_close(stand->dvk);
	lab_close(&stand->lab);
	sem_destroy(&stand->said);
	free(stand);
}

struct errand {
	struct post post;
	struct stand *stand;
	void (*run)(struct stand *stand);
	sem_t done;
};

static void run_errand(struct post *post)
{
	struct errand *errand = CONTAINER_OF(post, struct errand, post);

	errand->run(errand->stand);
	sem_post(&errand->done);
}

void stand_run(struct stand *stand, void (*run)(struct stand *stand))
{
	struct timespec until = clock_timespec(clock_real_ns() + PATIENCE_MS * CLOCK_NS_PER_MS);
	struct errand errand = { .post = { .run = run_errand }, .stand = stand, .run = run };

	sem_init(&errand.done, 0, 0);
	poster_put(&stand->poster, &errand.post);
	ck_assert_int_eq(sem_timedwait(&errand.done, &until), 0);
	sem_destroy(&errand.done);
}
