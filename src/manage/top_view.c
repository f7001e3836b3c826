/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "manage/describe.h"
#include "manage/top.h"

static const char *const sort_words[] = {
	[TOP_BY_RATE] = "rate",		[TOP_BY_DATA] = "data",	      [TOP_BY_SLEEPS] = "sleeps",
	[TOP_BY_ENDPOINT] = "endpoint", [TOP_BY_PROGRAM] = "program",
};

bool top_sort_parse(const char *word, enum top_sort *sort)
{
	for (size_t i = 0; i < ARRAY_LEN(sort_words); i++) {
		if (strcmp(word, sort_words[i]) == 0) {
			*sort = (enum top_sort)i;
			return true;
		}
	}
	return false;
}

const char *top_sort_word(enum top_sort sort)
{
	return sort_words[sort];
}

/* A counter that went back belongs to another process: no rate then. */
static uint64_t per_second(uint64_t before, uint64_t now, uint64_t span_ns)
{
	if (span_ns == 0 || now <= before)
		return 0;
	return (uint64_t)((double)(now - before) * (double)CLOCK_NS_PER_S / (double)span_ns + 0.5);
}

static struct top_rates rates_between(const struct dvk_endpoint_info *before,
				      const struct dvk_endpoint_info *now, uint64_t span_ns)
{
	return (struct top_rates){
		.in = per_second(before->messages_in, now->messages_in, span_ns),
		.out = per_second(before->messages_out, now->messages_out, span_ns),
		.bytes = per_second(before->bytes_in, now->bytes_in, span_ns) +
			 per_second(before->bytes_out, now->bytes_out, span_ns),
		.sleeps = per_second(before->sleeps, now->sleeps, span_ns),
	};
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* The order in which snapshots are sorted, as far as it tells bindings apart. */
static int compare_bindings(const struct snapshot_row *a, const struct snapshot_row *b)
{
	int order = strcmp(a->dc, b->dc);

	if (order == 0)
		order = compare(dvs_ep_number(a->info.ep), dvs_ep_number(b->info.ep));
	if (order == 0)
		order = compare(a->info.kind == DVK_BACKUP, b->info.kind == DVK_BACKUP);
	if (order == 0)
		order = compare(dvs_ep_generation(a->info.ep), dvs_ep_generation(b->info.ep));
	if (order == 0)
		order = compare(a->info.node.n, b->info.node.n);
	if (order == 0)
		order = compare((uint64_t)a->info.pid, (uint64_t)b->info.pid);
	return order;
}

bool top_view_make(struct top_view *view, const struct snapshot *before, const struct snapshot *now)
{
	struct timespec clock;
	size_t old = 0;

	(void)clock_gettime(CLOCK_REALTIME, &clock);
	*view = (struct top_view){
		.n_rows = now->n_rows,
		.span_ns = before->taken_ns ? now->taken_ns - before->taken_ns : 0,
		.realtime_ns = (uint64_t)clock.tv_sec * CLOCK_NS_PER_S + (uint64_t)clock.tv_nsec,
	};
	view->rows = calloc(now->n_rows + 1, sizeof(*view->rows));
	if (!view->rows)
		return false;
	for (size_t i = 0; i < now->n_rows; i++) {
		struct top_row *row = &view->rows[i];

		row->now = &now->rows[i];
		while (old < before->n_rows && compare_bindings(&before->rows[old], row->now) < 0)
			old++;
		if (old < before->n_rows && compare_bindings(&before->rows[old], row->now) == 0)
			row->rates = rates_between(&before->rows[old].info, &row->now->info,
						   view->span_ns);
		view->total.in += row->rates.in;
		view->total.out += row->rates.out;
		view->total.bytes += row->rates.bytes;
		view->total.sleeps += row->rates.sleeps;
	}
	return true;
}

static const struct dvk_link_info *link_of(const struct top_links *links, dvs_nodeid node)
{
	for (size_t i = 0; i < links->n; i++) {
		if (links->info[i].node.n == node.n)
			return &links->info[i];
	}
	return NULL;
}

void top_view_add_links(struct top_view *view, const struct top_links *before,
			const struct top_links *now)
{
	view->n_links = now->n;
	for (size_t i = 0; i < now->n; i++) {
		const struct dvk_link_info *info = &now->info[i];
		const struct dvk_link_info *old = link_of(before, info->node);
		struct top_link *link = &view->links[i];

		*link = (struct top_link){ .now = info };
		if (!old)
			continue;
		link->rates.in = per_second(old->frames_in, info->frames_in, view->span_ns);
		link->rates.out = per_second(old->frames_out, info->frames_out, view->span_ns);
		link->rates.bytes = per_second(old->bytes_in, info->bytes_in, view->span_ns) +
				    per_second(old->bytes_out, info->bytes_out, view->span_ns);
	}
}

void top_view_free(struct top_view *view)
{
	free(view->rows);
	*view = (struct top_view){ .rows = NULL };
}

/* Rows with the same key stay in the order of the snapshot: by the address of its row. */
static int by_endpoint(const void *a, const void *b)
{
	const struct top_row *left = a;
	const struct top_row *right = b;

	return compare((uintptr_t)left->now, (uintptr_t)right->now);
}

static int by_rate(const void *a, const void *b)
{
	const struct top_row *left = a;
	const struct top_row *right = b;
	int order = compare(right->rates.in + right->rates.out, left->rates.in + left->rates.out);

	return order ? order : by_endpoint(a, b);
}

static int by_data(const void *a, const void *b)
{
	const struct top_row *left = a;
	const struct top_row *right = b;
	int order = compare(right->rates.bytes, left->rates.bytes);

	return order ? order : by_endpoint(a, b);
}

static int by_sleeps(const void *a, const void *b)
{
	const struct top_row *left = a;
	const struct top_row *right = b;
	int order = compare(right->rates.sleeps, left->rates.sleeps);

	return order ? order : by_endpoint(a, b);
}

static int by_program(const void *a, const void *b)
{
	const struct top_row *left = a;
	const struct top_row *right = b;
	int order = strncmp(left->now->info.program, right->now->info.program,
			    sizeof(left->now->info.program));

	return order ? order : by_endpoint(a, b);
}

void top_view_sort(struct top_view *view, enum top_sort sort)
{
	static int (*const orders[])(const void *, const void *) = {
		[TOP_BY_RATE] = by_rate,       [TOP_BY_DATA] = by_data,
		[TOP_BY_SLEEPS] = by_sleeps,   [TOP_BY_ENDPOINT] = by_endpoint,
		[TOP_BY_PROGRAM] = by_program,
	};

	qsort(view->rows, view->n_rows, sizeof(*view->rows), orders[sort]);
}

static const struct output_column top_columns[] = {
	{ "TIME", "time", true }, /* that is: in CSV, where the looks follow each other */
	{ "DC", "dc", false },
	{ "ENDPOINT", "endpoint", false },
	{ "PID", "pid", false },
	{ "PROGRAM", "program", false },
	{ "STATE", "state", false },
	{ "PARTNER", "partner", false },
	{ "IN/S", "messages_in_per_s", false },
	{ "OUT/S", "messages_out_per_s", false },
	{ "BYTES/S", "bytes_per_s", false },
	{ "SLEEPS/S", "sleeps_per_s", false },
};

const struct output_shape top_shape = {
	.list = "endpoints",
	.columns = top_columns,
	.n_columns = ARRAY_LEN(top_columns),
};

static json_t *describe_row(const struct top_row *row)
{
	json_t *object = describe_endpoint(row->now->dc, &row->now->info);
	json_t *rates = json_pack("{s:o, s:o, s:o, s:o}", "messages_in_per_s",
				  describe_count(row->rates.in), "messages_out_per_s",
				  describe_count(row->rates.out), "bytes_per_s",
				  describe_count(row->rates.bytes), "sleeps_per_s",
				  describe_count(row->rates.sleeps));

	if (!rates || json_object_update(object, rates) != 0) {
		json_decref(object);
		object = NULL;
	}
	json_decref(rates);
	return object;
}

static json_t *describe_rows(const struct top_view *view)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < view->n_rows; i++) {
		if (json_array_append_new(rows, describe_row(&view->rows[i])) != 0) {
			json_decref(rows);
			return NULL;
		}
	}
	return rows;
}

json_t *top_view_rows(const struct top_view *view)
{
	json_t *rows = describe_rows(view);
	json_t *time = describe_time(view->realtime_ns);
	bool failed = !rows || !time;

	for (size_t i = 0; !failed && i < view->n_rows; i++)
		failed = json_object_set(json_array_get(rows, i), "time", time) != 0;
	json_decref(time);
	if (!failed)
		return rows;
	json_decref(rows);
	return NULL;
}

static json_t *describe_links(const struct top_view *view)
{
	json_t *links = json_array();

	for (size_t i = 0; links && i < view->n_links; i++) {
		const struct top_link *link = &view->links[i];
		json_t *object = describe_link(link->now);
		json_t *rates = json_pack("{s:o, s:o, s:o}", "frames_in_per_s",
					  describe_count(link->rates.in), "frames_out_per_s",
					  describe_count(link->rates.out), "bytes_per_s",
					  describe_count(link->rates.bytes));

		if (!rates || json_object_update(object, rates) != 0 ||
		    json_array_append(links, object) != 0) {
			json_decref(links);
			links = NULL;
		}
		json_decref(rates);
		json_decref(object);
	}
	return links;
}

json_t *top_view_document(const struct top_view *view)
{
	return json_pack("{s:o, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "time",
			 describe_time(view->realtime_ns), "interval_s",
			 (double)view->span_ns / (double)CLOCK_NS_PER_S, "dvs",
			 describe_dvs(&view->dvs), "messages_in_per_s",
			 describe_count(view->total.in), "messages_out_per_s",
			 describe_count(view->total.out), "bytes_per_s",
			 describe_count(view->total.bytes), "sleeps_per_s",
			 describe_count(view->total.sleeps), "links", describe_links(view),
			 "endpoints", describe_rows(view));
}
