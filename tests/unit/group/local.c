/* SPDX-License-Identifier: Apache-2.0 */
/* A node that is alone: what it submits is applied before the call returns. */
#include <string.h>

#include "group/ordered.h"
#include "unit.h"

struct app {
	struct ordered *ordered;
	uint64_t cookies[16];
	uint32_t nodes[16];
	size_t n;
	unsigned int n_views;
	struct ordered_view view;
	bool ready;
	bool submits;
	bool entered;
};

static void app_apply(void *context, uint32_t node, uint64_t cookie, const void *bytes, size_t len)
{
	struct app *app = context;

	(void)bytes;
	(void)len;
	ck_assert(!app->entered);
	app->entered = true;
	app->nodes[app->n] = node;
	app->cookies[app->n++] = cookie;
	if (app->submits && cookie < 10) {
		ck_assert_int_eq(ordered_submit(app->ordered, cookie + 10, "x", 1, false), DVS_OK);
		/* Not within us. */
		ck_assert_uint_eq(app->cookies[app->n - 1], cookie);
	}
	app->entered = false;
}

static void app_view(void *context, const struct ordered_view *view)
{
	struct app *app = context;

	app->n_views++;
	app->view = *view;
	if (app->submits)
		ck_assert_int_eq(ordered_submit(app->ordered, 9, "x", 1, false), DVS_OK);
	ck_assert_uint_eq(app->n, 0);
}

static uint64_t app_digest(void *context)
{
	return ((struct app *)context)->n;
}

static void app_ready(void *context, bool ready)
{
	((struct app *)context)->ready = ready;
}

static void app_refused(void *context, uint64_t cookie, dvs_err err)
{
	(void)context;
	ck_abort_msg("%u refused: %s", (unsigned int)cookie, dvs_err_name(err));
}

static dvs_err open_local(void *argument, const struct engine_events *events,
			  struct engine **engine)
{
	(void)argument;
	return engine_local_open(5, events, engine);
}

static void app_open(struct app *app, struct ordered_position position)
{
	struct ordered_app ops = { .context = app,
				   .apply = app_apply,
				   .view = app_view,
				   .digest = app_digest,
				   .ready = app_ready,
				   .refused = app_refused };

	ck_assert_int_eq(ordered_open(&ops, &position, 5, open_local, NULL, &app->ordered), DVS_OK);
}

TEST(one_that_is_alone_is_ready_when_it_is_open)
{
	struct app app = { 0 };
	struct ordered_position position = { .epoch = 7, .index = 70, .members = 0x22 };
	uint32_t members[GROUP_MEMBERS_MAX];

	app_open(&app, position);
	ck_assert(app.ready && ordered_is_ready(app.ordered));
	ck_assert_int_eq(ordered_fd(app.ordered), -1);
	ck_assert_uint_eq(app.n_views, 1);
	ck_assert_uint_gt(app.view.epoch, 7);
	ck_assert_uint_eq(app.view.n_members, 1);
	ck_assert_uint_eq(app.view.members[0], 5);
	/* It was a member, and has been started again; 1 was one too, and is not here. */
	ck_assert_uint_eq(app.view.n_joined, 1);
	ck_assert_uint_eq(app.view.n_left, 1);
	ck_assert_uint_eq(app.view.left[0], 1);
	ck_assert_uint_eq(ordered_members(app.ordered, members), 1);
	position = ordered_position(app.ordered);
	ck_assert_uint_eq(position.epoch, app.view.epoch);
	ck_assert_uint_eq(position.index, 70);
	ck_assert_uint_eq(position.members, 0x20);
	ordered_close(app.ordered);
}

TEST(what_is_submitted_is_applied_at_once)
{
	struct app app = { 0 };
	struct ordered_position position = { 0 };
	static const char big[ORDERED_ENTRY_MAX + 1];

	app_open(&app, position);
	for (uint64_t i = 1; i <= 3; i++) {
		ck_assert_int_eq(ordered_submit(app.ordered, i, "abc", i, i == 2), DVS_OK);
		ck_assert_uint_eq(app.n, i);
		ck_assert_uint_eq(app.cookies[i - 1], i);
		ck_assert_uint_eq(app.nodes[i - 1], 5);
		ck_assert_uint_eq(ordered_position(app.ordered).index, i);
	}
	ck_assert_int_eq(ordered_submit(app.ordered, 4, big, sizeof(big), true), DVS_TOOBIG);
	ck_assert_int_eq(ordered_submit(app.ordered, 4, big, sizeof(big) - 1, true), DVS_OK);
	ck_assert_uint_eq(app.n, 4);
	ordered_close(app.ordered);
}

TEST(what_is_submitted_in_a_callback_comes_after_it)
{
	struct app app = { .submits = true };
	struct ordered_position position = { 0 };

	app_open(&app, position);
	ck_assert_uint_eq(app.n, 2);
	ck_assert_uint_eq(app.cookies[0], 9);
	ck_assert_uint_eq(app.cookies[1], 19);
	ck_assert_int_eq(ordered_submit(app.ordered, 1, "x", 1, false), DVS_OK);
	ck_assert_uint_eq(app.n, 4);
	ck_assert_uint_eq(app.cookies[2], 1);
	ck_assert_uint_eq(app.cookies[3], 11);
	ordered_close(app.ordered);
	ordered_close(NULL);
}

UNIT_MAIN("group-local", one_that_is_alone_is_ready_when_it_is_open,
	  what_is_submitted_is_applied_at_once, what_is_submitted_in_a_callback_comes_after_it)
