/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol stats: what volumes do, and how far their replicas are. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/describe.h"
#include "manage/live.h"
#include "manage/target.h"
#include "manage/volume/latency.h"
#include "manage/volume/walk.h"

#define VOLUMES_MAX 16384u

/* What a server had counted at the last look. */
struct former {
	char id[37];
	uint64_t epoch; /* with another primary counting begins anew */
	uint64_t at_ns;
	struct vdd_status_rep status;
};

struct stats {
	struct walk walk;
	const char *dc;	  /* NULL: all */
	const char *name; /* NULL: all of them */
	struct former *formers;
	size_t n_formers;
	json_t *rows; /* of the last look */
};

static const struct output_column columns[] = {
	{ "NAME", "name", false },
	{ "READS/S", "reads_rate", false },
	{ "READ/S", "read_rate", false },
	{ "WRITES/S", "writes_rate", false },
	{ "WRITTEN/S", "written_rate", false },
	{ "FLUSHES/S", "flushes_rate", false },
	{ "READ P99", "read_p99", false },
	{ "WRITE P99", "write_p99", false },
	{ "QUEUE", "waiting", false },
	{ "REPLICAS", "where", false },
	{ "STATE", "state", false },
	{ "LAG", "lag", false },
	{ "RESYNC", "resync_text", false },
	{ "TRIMS/S", "trims_rate", true },
	{ "READ P50", "read_p50", true },
	{ "READ MAX", "read_max", true },
	{ "WRITE P50", "write_p50", true },
	{ "WRITE MAX", "write_max", true },
	{ "FLUSH P50", "flush_p50", true },
	{ "FLUSH P99", "flush_p99", true },
	{ "FLUSH MAX", "flush_max", true },
	{ "READS", "reads", true },
	{ "READ", "read", true },
	{ "WRITES", "writes", true },
	{ "WRITTEN", "written", true },
	{ "FLUSHES", "flushes", true },
	{ "TRIMS", "trims", true },
	{ "PAUSED", "paused", true },
	{ "EPOCH", "epoch", true },
};

static const struct output_shape shape = { "volumes", columns, ARRAY_LEN(columns) };

/* ---- rates ---- */

/* The place of the volume ID; of one that is new it has no status yet. NULL: no memory. */
static struct former *former_of(struct stats *stats, const char *id)
{
	struct former *more;

	for (size_t i = 0; i < stats->n_formers; i++) {
		if (strcmp(stats->formers[i].id, id) == 0)
			return &stats->formers[i];
	}
	if (stats->n_formers == VOLUMES_MAX)
		return NULL;
	more = reallocarray(stats->formers, stats->n_formers + 1, sizeof(*more));
	if (!more)
		return NULL;
	stats->formers = more;
	more += stats->n_formers++;
	*more = (struct former){ .at_ns = 0 };
	memcpy(more->id, id, sizeof(more->id));
	return more;
}

static uint64_t rate(uint64_t before, uint64_t now, uint64_t span_ns)
{
	return span_ns == 0 || now < before ? 0 :
					      (uint64_t)((double)(now - before) *
							 (double)CLOCK_NS_PER_S / (double)span_ns);
}

/* Whether there was a look, and at the same primary. */
static bool has_former(const struct former *former, const struct vdd_status_rep *status)
{
	return former->at_ns && former->epoch == status->epoch;
}

/* What happened in a second since the last look; 0 when there was none. */
static json_t *rates(const struct former *former, const struct vdd_status_rep *status)
{
	uint64_t span_ns = has_former(former, status) ? clock_now_ns() - former->at_ns : 0;
	const struct vdd_status_rep *old = &former->status;
	uint64_t read = rate(old->read_bytes, status->read_bytes, span_ns);
	uint64_t written = rate(old->written_bytes, status->written_bytes, span_ns);

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "reads_rate",
			 (json_int_t)rate(old->reads, status->reads, span_ns), "writes_rate",
			 (json_int_t)rate(old->writes, status->writes, span_ns), "flushes_rate",
			 (json_int_t)rate(old->flushes, status->flushes, span_ns), "trims_rate",
			 (json_int_t)rate(old->trims, status->trims, span_ns), "read_bytes_per_s",
			 (json_int_t)read, "written_bytes_per_s", (json_int_t)written, "read_rate",
			 describe_size(read), "written_rate", describe_size(written));
}

static void remember(struct former *former, const struct vdd_status_rep *status)
{
	former->at_ns = clock_now_ns();
	former->epoch = status->epoch;
	former->status = *status;
}

/* ---- rows ---- */

/* The most that a member lags, and how far the first one is that is brought up to date. */
static json_t *of_replicas(const json_t *replicas)
{
	const json_t *behind = NULL;
	json_int_t lag = 0;
	const char *left;

	for (size_t i = 0; i < json_array_size(replicas); i++) {
		const json_t *replica = json_array_get(replicas, i);
		json_int_t bytes = json_integer_value(json_object_get(replica, "lag_bytes"));
		const char *state = json_string_value(json_object_get(replica, "state"));

		lag = bytes > lag ? bytes : lag;
		if (!behind && strcmp(state, "syncing") == 0)
			behind = replica;
	}
	left = json_string_value(json_object_get(behind, "left"));
	return json_pack("{s:o, s:o}", "lag", describe_size((uint64_t)lag), "resync_text",
			 behind ?
				 json_sprintf("%s%s%s",
					      json_string_value(json_object_get(behind, "percent")),
					      left ? ", left " : "", left ? left : "") :
				 json_null());
}

static json_t *totals(const struct vdd_status_rep *status)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "flushes", describe_count(status->flushes),
			 "trims", describe_count(status->trims), "read",
			 describe_size(status->read_bytes), "written",
			 describe_size(status->written_bytes));
}

/* MORE, which is taken, into ROW. */
static bool add(json_t *row, json_t *more)
{
	bool done = row && more && json_object_update(row, more) == 0;

	json_decref(more);
	return done;
}

static int add_row(struct stats *stats, json_t *row, bool is_whole)
{
	if (is_whole && json_array_append_new(stats->rows, row) == 0)
		return EXIT_DONE;
	if (!is_whole)
		json_decref(row);
	return cli_fail(stats->walk.vol.cli, DVS_NOMEM, "read the figures");
}

static int take(struct walk *walk)
{
	struct stats *stats = walk->context;
	const struct vdd_status_rep *status = walk->told.of.status;
	struct former *former = former_of(stats, walk->vol.volume.id);
	json_t *row = describe_volume(&walk->vol, &walk->told.of);
	json_t *replicas = describe_replicas(&walk->vol, &walk->told.of);
	bool is_whole = former && row && json_object_set_new(row, "replicas", replicas) == 0;

	if (is_whole && status) {
		const struct vdd_status_rep *before = has_former(former, status) ? &former->status :
										   NULL;

		is_whole = add(row, describe_server(status)) && add(row, totals(status)) &&
			   add(row, rates(former, status)) && add(row, of_replicas(replicas)) &&
			   add(row, latency_describe(before, status));
		remember(former, status);
	}
	return add_row(stats, row, is_whole);
}

static int take_damaged(struct walk *walk, const char *name)
{
	json_t *row = json_pack("{s:o, s:s}", "name", json_sprintf("%s/%s", walk->vol.dc, name),
				"state", "damaged record");

	return add_row(walk->context, row, row != NULL);
}

static int load(void *stats_void)
{
	struct stats *stats = stats_void;
	struct cli *cli = stats->walk.vol.cli;

	json_decref(stats->rows);
	stats->rows = json_array();
	/* Nodes come and go while it is looked at. */
	if (nodes_load(cli, stats->walk.vol.link.dvk, &stats->walk.vol.nodes) != EXIT_DONE)
		return EXIT_FAILED;
	return stats->rows ? walk_all(&stats->walk, stats->dc, stats->name) :
			     cli_fail(cli, DVS_NOMEM, "read the figures");
}

static int print(void *stats_void, const struct output *output)
{
	struct stats *stats = stats_void;

	if (output_rows(output, &shape, stats->rows))
		return EXIT_DONE;
	return cli_fail(stats->walk.vol.cli, DVS_NOMEM, "print the figures");
}

/* ---- the whole ---- */

static int run(struct cli *cli, struct stats *stats)
{
	struct live live = { .cli = cli, .load = load, .print = print, .context = stats };
	int status;

	if (!live_options(&live))
		return EXIT_USAGE;
	status = walk_open(&stats->walk, cli);
	return status == EXIT_DONE ? live_run(&live) : status;
}

/* That there is such a volume: else it would be watched for ever. */
static int found(struct vol *vol)
{
	(void)vol;
	return EXIT_DONE;
}

int cmd_vol_stats(struct cli *cli)
{
	AUTO_FREE struct stats *stats = calloc(1, sizeof(*stats));
	const char *word = cli->n_words > 0 ? cli->words[0] : NULL;
	char dc[DVS_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	char snapshot[DVS_NAME_MAX + 1];
	int status = EXIT_DONE;

	if (!stats)
		return cli_fail(cli, DVS_NOMEM, "read the figures");
	stats->dc = word;
	if (word && strchr(word, '/')) {
		status = vol_with(cli, word, "watch", VOL_VOLUME, found);
		if (status != EXIT_DONE || !volume_name_split(word, dc, name, snapshot))
			return status;
		stats->dc = dc;
		stats->name = name;
	} else if (word && !target_check_dc_name(cli, word)) {
		return EXIT_USAGE;
	}
	stats->walk.volume = take;
	stats->walk.damaged = take_damaged;
	stats->walk.context = stats;
	status = run(cli, stats);
	walk_close(&stats->walk);
	json_decref(stats->rows);
	free(stats->formers);
	return status;
}
