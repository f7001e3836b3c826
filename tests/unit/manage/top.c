/* SPDX-License-Identifier: Apache-2.0 */
/* Rates, orders and the screen of dvs top. */
#include "manage/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "unit.h"

#define SECOND UINT64_C(1000000000)

static struct snapshot_row row_of(uint32_t number, pid_t pid, uint64_t in, uint64_t bytes)
{
	struct snapshot_row row = { .dc = "web" };

	row.info.ep.n = 1u << DVS_EP_NUMBER_BITS | number;
	row.info.kind = DVK_LOCAL;
	row.info.pid = pid;
	row.info.messages_in = in;
	row.info.bytes_in = bytes;
	snprintf(row.info.program, sizeof(row.info.program), "p%u", 9 - number);
	return row;
}

struct looks {
	struct snapshot_row old_rows[3];
	struct snapshot_row new_rows[3];
	struct snapshot before;
	struct snapshot now;
	struct top_view view;
};

static void looks_make(struct looks *looks)
{
	looks->old_rows[0] = row_of(1, 10, 100, 0);
	looks->old_rows[1] = row_of(3, 30, 500, 0);
	looks->new_rows[0] = row_of(1, 10, 300, 0);
	looks->new_rows[1] = row_of(2, 20, 999, 0); /* bound in between */
	looks->new_rows[2] = row_of(3, 30, 4500, 64);
	looks->before = (struct snapshot){ SECOND, looks->old_rows, 2, 3 };
	looks->now = (struct snapshot){ 3 * SECOND, looks->new_rows, 3, 3 };
	ck_assert(top_view_make(&looks->view, &looks->before, &looks->now));
}

TEST(rates_are_per_second_and_new_endpoints_have_none)
{
	struct looks looks;

	looks_make(&looks);
	ck_assert_uint_eq(looks.view.rows[0].rates.in, 100);
	ck_assert_uint_eq(looks.view.rows[1].rates.in, 0);
	ck_assert_uint_eq(looks.view.rows[2].rates.in, 2000);
	ck_assert_uint_eq(looks.view.rows[2].rates.bytes, 32);
	ck_assert_uint_eq(looks.view.total.in, 2100);
	top_view_free(&looks.view);
}

TEST(the_first_look_has_no_rates)
{
	struct looks looks;
	struct snapshot nothing = { .rows = NULL };
	struct top_view view;

	looks_make(&looks);
	ck_assert(top_view_make(&view, &nothing, &looks.now));
	ck_assert_uint_eq(view.span_ns, 0);
	ck_assert_uint_eq(view.total.in, 0);
	top_view_free(&view);
	top_view_free(&looks.view);
}

TEST(a_counter_that_went_back_has_no_rate)
{
	struct looks looks;

	looks_make(&looks);
	top_view_free(&looks.view);
	looks.new_rows[0].info.messages_in = 5;
	ck_assert(top_view_make(&looks.view, &looks.before, &looks.now));
	ck_assert_uint_eq(looks.view.rows[0].rates.in, 0);
	top_view_free(&looks.view);
}

static uint32_t number_at(const struct top_view *view, size_t i)
{
	return dvs_ep_number(view->rows[i].now->info.ep);
}

TEST(rows_come_in_the_order_asked_for)
{
	struct looks looks;

	looks_make(&looks);
	top_view_sort(&looks.view, TOP_BY_RATE);
	ck_assert_uint_eq(number_at(&looks.view, 0), 3);
	ck_assert_uint_eq(number_at(&looks.view, 1), 1);
	ck_assert_uint_eq(number_at(&looks.view, 2), 2);
	top_view_sort(&looks.view, TOP_BY_ENDPOINT);
	ck_assert_uint_eq(number_at(&looks.view, 0), 1);
	top_view_sort(&looks.view, TOP_BY_PROGRAM);
	ck_assert_uint_eq(number_at(&looks.view, 0), 3);
	/* All the same: the order of the list. */
	top_view_sort(&looks.view, TOP_BY_SLEEPS);
	ck_assert_uint_eq(number_at(&looks.view, 0), 1);
	ck_assert_uint_eq(number_at(&looks.view, 2), 3);
	top_view_sort(&looks.view, TOP_BY_DATA);
	ck_assert_uint_eq(number_at(&looks.view, 0), 3);
	top_view_free(&looks.view);
}

/* The screen as text; the caller frees it. */
static char *screen_text(const struct top_view *view, const struct top_screen *screen)
{
	char *text = NULL;
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);

	ck_assert_ptr_nonnull(file);
	top_draw(file, view, screen);
	fclose(file);
	return text;
}

/* Without its control sequences, no line may be wider than the screen. */
static void check_lines(const char *text, const struct top_screen *screen)
{
	unsigned columns = 0;
	unsigned lines = 1;

	for (; *text; text++) {
		if (*text == '\033') {
			text += strcspn(text, "HKJm");
		} else if (*text == '\n') {
			lines++;
			columns = 0;
		} else if (*text != '\r') {
			ck_assert_uint_le(++columns, screen->columns);
		}
	}
	ck_assert_uint_le(lines, screen->lines);
}

TEST(the_screen_never_exceeds_the_terminal)
{
	struct looks looks;

	looks_make(&looks);
	for (unsigned columns = 1; columns < 130; columns += 7) {
		for (unsigned lines = 6; lines < 12; lines++) {
			struct top_screen screen = { .columns = columns, .lines = lines };
			AUTO_FREE char *text = screen_text(&looks.view, &screen);

			check_lines(text, &screen);
		}
	}
	top_view_free(&looks.view);
}

TEST(the_screen_shows_the_rows_from_where_it_was_scrolled)
{
	struct looks looks;
	struct top_screen screen = { .columns = 100, .lines = 7, .first = 1 };
	AUTO_FREE char *text = NULL;

	looks_make(&looks);
	ck_assert_uint_eq(top_rows_that_fit(&screen), 2);
	text = screen_text(&looks.view, &screen);
	ck_assert_ptr_null(strstr(text, "web/1 "));
	ck_assert_ptr_nonnull(strstr(text, "web/2 "));
	ck_assert_ptr_nonnull(strstr(text, "web/3 "));
	ck_assert_ptr_nonnull(strstr(text, "2.0k"));
	top_view_free(&looks.view);
}

TEST(links_have_a_line_and_rates)
{
	static const struct top_links before = {
		.info = { { .node.n = 1, .up = 1, .transport = "tcp", .frames_in = 100 } }, .n = 1
	};
	static const struct top_links now = {
		.info = { { .node.n = 1, .up = 1, .transport = "tcp", .frames_in = 4100 },
			  { .node.n = 2 } },
		.n = 2
	};
	struct looks looks;
	struct top_screen screen = { .columns = 100, .lines = 7 };
	AUTO_FREE char *text = NULL;
	json_t *document;

	looks_make(&looks);
	top_view_add_links(&looks.view, &before, &now);
	ck_assert_uint_eq(looks.view.links[0].rates.in, 2000);
	ck_assert_uint_eq(looks.view.links[1].rates.in, 0);
	text = screen_text(&looks.view, &screen);
	ck_assert_ptr_nonnull(strstr(text, "links  1 tcp frames/s in 2.0k out 0"));
	ck_assert_ptr_nonnull(strstr(text, "| 2 down"));
	document = top_view_document(&looks.view);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "links")), 2);
	json_decref(document);
	top_view_free(&looks.view);
}

TEST(an_empty_view_can_be_drawn)
{
	struct snapshot nothing = { .rows = NULL };
	struct top_screen screen = { .columns = 80, .lines = 24 };
	struct top_view view;
	AUTO_FREE char *text = NULL;

	ck_assert(top_view_make(&view, &nothing, &nothing));
	text = screen_text(&view, &screen);
	check_lines(text, &screen);
	top_view_free(&view);
}

UNIT_MAIN("manage-top", rates_are_per_second_and_new_endpoints_have_none,
	  the_first_look_has_no_rates, a_counter_that_went_back_has_no_rate,
	  rows_come_in_the_order_asked_for, the_screen_never_exceeds_the_terminal,
	  the_screen_shows_the_rows_from_where_it_was_scrolled, an_empty_view_can_be_drawn,
	  links_have_a_line_and_rates)
