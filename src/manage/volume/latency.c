/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/volume/latency.h"

#include "base/compiler.h"
#include "base/histogram.h"
#include "manage/describe.h"

/* In the order of struct latency's `kind`, from 1 on. */
static const char *const kinds[] = { "read", "write", "flush" };

static void collect(const struct vdd_status_rep *status, size_t kind, struct histogram *all)
{
	const uint64_t longest[ARRAY_LEN(kinds)] = { status->max_read_ns, status->max_write_ns,
						     status->max_flush_ns };

	*all = (struct histogram){ .max_ns = longest[kind] };
	for (uint32_t i = 0; i < status->n_latencies; i++) {
		if (status->latencies[i].kind == kind + 1)
			all->count[status->latencies[i].bucket] = status->latencies[i].count;
	}
}

static json_t *figures(const struct histogram *of)
{
	uint64_t total = histogram_total(of);

	if (total == 0)
		return json_pack("{s:i, s:n, s:n, s:n}", "count", 0, "p50_ns", "p99_ns", "max_ns");
	return json_pack("{s:o, s:o, s:o, s:o}", "count", describe_count(total), "p50_ns",
			 describe_count(histogram_quantile(of, 500)), "p99_ns",
			 describe_count(histogram_quantile(of, 990)), "max_ns",
			 describe_count(of->max_ns));
}

/* "870ns", "12us", "3.4ms", "1.2s". */
static json_t *text(const struct histogram *of, uint32_t per_mille)
{
	static const struct {
		double ns;
		const char *name;
	} units[] = { { 1e9, "s" }, { 1e6, "ms" }, { 1e3, "us" } };
	double ns = (double)histogram_quantile(of, per_mille);

	if (histogram_total(of) == 0)
		return json_null();
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		double value = ns / units[i].ns;

		if (value >= 1)
			return json_sprintf("%.*f%s", value < 10 ? 1 : 0, value, units[i].name);
	}
	return json_sprintf("%.0fns", ns);
}

static bool put(json_t *object, const char *kind, const char *what, json_t *value)
{
	char key[16];

	(void)snprintf(key, sizeof(key), "%s_%s", kind, what);
	return json_object_set_new(object, key, value) == 0;
}

json_t *latency_describe(const struct vdd_status_rep *before, const struct vdd_status_rep *now)
{
	json_t *object = json_object();
	json_t *latencies = json_object();
	bool is_whole = object && latencies;

	for (size_t i = 0; i < ARRAY_LEN(kinds) && is_whole; i++) {
		struct histogram old;
		struct histogram all;
		struct histogram last = { .max_ns = 0 };
		json_t *of;

		collect(now, i, &all);
		if (before) {
			collect(before, i, &old);
			histogram_since(&old, &all, &last);
		}
		of = figures(&all);
		is_whole = of && json_object_set_new(of, "last", figures(&last)) == 0;
		is_whole = json_object_set_new(latencies, kinds[i], of) == 0 && is_whole &&
			   put(object, kinds[i], "p50", text(&last, 500)) &&
			   put(object, kinds[i], "p99", text(&last, 990)) &&
			   put(object, kinds[i], "max", text(&last, 1000));
	}
	if (json_object_set_new(object, "latencies", latencies) == 0 && is_whole)
		return object;
	json_decref(object);
	return NULL;
}
