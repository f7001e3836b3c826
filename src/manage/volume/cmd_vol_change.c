/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol resize, set and promote: changes of a volume that is in use. */
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "manage/container/limits.h"
#include "manage/volume/create.h"
#include "manage/volume/describe.h"
#include "manage/volume/volumes.h"
#include "manage/volume/watch.h"

/* How long a new primary may take; longer it is not promoted but lost. */
#define PROMOTE_LOOKS (60000u / WATCH_MS)

static int print_size(struct vol *vol, uint64_t bytes)
{
	return cli_result(vol->cli, vol->text,
			  json_pack("{s:s, s:I}", "name", vol->text, "bytes", (json_int_t)bytes));
}

/* ---- resize ---- */

/* "20G", or "+5G" more than BEFORE. */
static int take_size(struct vol *vol, const char *text, uint64_t before, uint64_t *bytes)
{
	bool grows = text[0] == '+';
	int status = volumes_size(vol->cli, text + grows, bytes);

	if (status != EXIT_DONE || !grows)
		return status;
	if (*bytes > VOLUME_BYTES_MAX - before)
		return vol_note(vol, "it would be larger than 16T, which is the most");
	*bytes += before;
	return EXIT_DONE;
}

int vol_resize(struct vol *vol, uint64_t bytes)
{
	struct vdd_resize_req request = { .minor = vol->disk.minor, .bytes = bytes };
	dvs_err err = vdd_call_resize(vol->disk.self, vol->disk.server, &request, NULL, NULL, 0,
				      NULL, 0, NULL, DVS_FOREVER);

	if (err == DVS_BADSTATE)
		return vol_note(vol, "a volume with snapshots does not shrink; remove them first, "
				     "'dvs vol inspect' lists them");
	if (err == DVS_BADARG)
		return vol_note(vol, "its store cannot have that size");
	return err == DVS_OK ? EXIT_DONE : vol_fail(vol, err);
}

static int resize(struct vol *vol)
{
	uint64_t before;
	uint64_t bytes;
	int status = vol_reach(vol);

	if (status != EXIT_DONE)
		return status;
	before = vol->disk.bytes;
	status = take_size(vol, vol->cli->words[1], before, &bytes);
	if (status != EXIT_DONE)
		return status;
	if (bytes < before && !cli_has(vol->cli, OPTION_FORCE))
		return vol_note(vol,
				"it would shrink from %llu to %llu bytes, and what is behind its "
				"new end would be lost; make the file system in it smaller first, "
				"then use --force",
				(unsigned long long)before, (unsigned long long)bytes);
	status = vol_resize(vol, bytes);
	return status == EXIT_DONE ? print_size(vol, bytes) : status;
}

int cmd_vol_resize(struct cli *cli)
{
	const char *text = cli->words[1];
	uint64_t bytes;

	/* What is no size is said before dvsd is asked anything. */
	if (volumes_size(cli, text + (text[0] == '+'), &bytes) != EXIT_DONE)
		return EXIT_USAGE;
	return vol_with(cli, cli->words[0], "resize", VOL_VOLUME, resize);
}

/* ---- set ---- */

/* What was not given stays. */
struct settings {
	uint64_t resync_bytes_per_s;
	uint64_t lag_bytes; /* 0: not given */
	const char *async;
	const char *access;
};

static int take_settings(struct cli *cli, struct settings *settings)
{
	int status = volumes_rate(cli, &settings->resync_bytes_per_s);

	settings->lag_bytes = 0;
	settings->async = cli->values[OPTION_ASYNC];
	settings->access = cli->values[OPTION_ACCESS];
	if (status == EXIT_DONE && cli_has(cli, OPTION_LAG))
		status = volumes_lag(cli, &settings->lag_bytes);
	if (status == EXIT_DONE && settings->lag_bytes && settings->async &&
	    strcmp(settings->async, "off") == 0)
		return cli_usage(cli, "--lag is for asynchronous volumes; leave it out with "
				      "--async off");
	return status;
}

static int apply_settings(struct vol *vol, void *settings_void)
{
	const struct settings *settings = settings_void;
	struct volume *base = &vol->base;

	if (vol->volume.of[0])
		return vol_note(vol, "a clone is kept as its volume is; name that: %s/%s", vol->dc,
				vol->volume.of);
	if (cli_has(vol->cli, OPTION_RESYNC_RATE))
		base->resync_bytes_per_s = settings->resync_bytes_per_s;
	if (settings->async)
		base->async = strcmp(settings->async, "on") == 0;
	if (settings->lag_bytes && !base->async)
		return vol_note(vol, "it is synchronous: --lag is for --async on");
	if (settings->lag_bytes || !base->async)
		base->lag_bytes = settings->lag_bytes;
	else if (base->lag_bytes == 0)
		base->lag_bytes = VOL_LAG_DEFAULT;
	if (settings->access)
		base->access_dc = strcmp(settings->access, "dc") == 0;
	return EXIT_DONE;
}

/* The servers follow the record; the rate they are told also. */
static void tell_rate(struct vol *vol, uint64_t bytes_per_s)
{
	struct vdd_tune_req request = { .bytes_per_s = bytes_per_s };
	dvs_err err = vol_try(vol, VOL_ANSWER_MS);

	if (err == DVS_OK)
		err = vdd_call_tune(vol->disk.self, vol->disk.server, &request, NULL, NULL, 0, NULL,
				    0, NULL, VOL_ANSWER_MS);
	if (err != DVS_OK)
		cli_note(vol->cli,
			 "set volume %s: kept for its next start; its server could not be told: %s",
			 vol->text, dvs_strerror(err));
}

static int set(struct vol *vol)
{
	const struct volume *base = &vol->base;
	struct settings settings;
	int status = take_settings(vol->cli, &settings);

	if (status == EXIT_DONE)
		status = vol_change(vol, apply_settings, &settings);
	if (status != EXIT_DONE)
		return status;
	if (cli_has(vol->cli, OPTION_RESYNC_RATE))
		tell_rate(vol, settings.resync_bytes_per_s);
	return cli_result(vol->cli, vol->text,
			  json_pack("{s:s, s:I, s:b, s:I, s:s}", "name", vol->text,
				    "resync_bytes_per_s", (json_int_t)base->resync_bytes_per_s,
				    "async", base->async, "lag_bytes", (json_int_t)base->lag_bytes,
				    "access", base->access_dc ? "dc" : "managers"));
}

int cmd_vol_set(struct cli *cli)
{
	struct settings settings;

	if (!cli_has(cli, OPTION_RESYNC_RATE) && !cli_has(cli, OPTION_ASYNC) &&
	    !cli_has(cli, OPTION_LAG) && !cli_has(cli, OPTION_ACCESS))
		return cli_usage(cli,
				 "say what to change: --resync-rate, --async, --lag or --access");
	if (take_settings(cli, &settings) != EXIT_DONE)
		return EXIT_USAGE;
	return vol_with(cli, cli->words[0], "set", VOL_VOLUME, set);
}

/* ---- promote ---- */

static bool is_primary(const struct vol *vol, uint32_t node)
{
	const struct vdd_member *member = vol_member(vol, node);

	return member && member->state == VOL_PRIMARY;
}

/* Between two primaries nobody answers. */
static int wait_primary(struct vol *vol, const struct dvk_node_info *node)
{
	char title[2 * DVS_NAME_MAX + VOLUME_NAME_MAX + 32];
	struct watch watch;
	bool is_there = false;
	dvs_err err = DVS_OK;

	snprintf(title, sizeof(title), "promote volume %s on %s", vol->text, node->name);
	if (!watch_begin(&watch, vol->cli, title))
		return EXIT_FAILED;
	for (unsigned int i = 0; i < PROMOTE_LOOKS && !is_there; i++) {
		err = vol_status(vol, VOL_ANSWER_MS);
		is_there = err == DVS_OK && is_primary(vol, node->node.n);
		if (is_there || (err != DVS_OK && !vol_is_passing(err)))
			break;
		watch_text(&watch, "waits for the new primary");
		if (!watch_pause(&watch))
			break;
	}
	watch_end(&watch);
	if (is_there)
		return EXIT_DONE;
	if (watch.is_ended)
		return vol_note(vol, "goes on; 'dvs vol inspect %s' tells who is the primary",
				vol->text);
	if (err != DVS_OK)
		return vol_fail_reach(vol, err);
	return vol_note(vol,
			"node %s did not become the primary; 'dvs vol inspect %s' tells who is",
			node->name, vol->text);
}

/* Who has just come into sync, or comes in again because the volume is kept in another way now, can take over in a moment. */
static dvs_err ask_hand_over(struct vol *vol, uint32_t node, uint64_t until_ns)
{
	struct vdd_hand_over_req request = { .node = node };
	dvs_err err;

	for (;;) {
		err = vdd_call_hand_over(vol->disk.self, vol->disk.server, &request, NULL, NULL, 0,
					 NULL, 0, NULL, VOL_ANSWER_MS);
		if ((err != DVS_NOTFOUND && err != DVS_NOPROC) || clock_is_past(until_ns))
			return err;
		(void)poll(NULL, 0, WATCH_MS);
	}
}

int vol_hand_over(struct vol *vol, const struct dvk_node_info *node, uint64_t until_ns)
{
	dvs_err err = ask_hand_over(vol, node->node.n, until_ns);

	if (err == DVS_NOTFOUND)
		return vol_note(vol,
				"node %s is not up to date; wait until 'dvs vol inspect %s' says "
				"that it is in sync",
				node->name, vol->text);
	if (err == DVS_NOPROC)
		return vol_note(vol,
				"node %s has just come into sync and cannot take over yet; nothing "
				"was changed, try again",
				node->name);
	if (err == DVS_BADSTATE)
		return vol_note(vol, "the primary is being changed already; try again");
	/* That the former one has gone is what was wanted. */
	if (err != DVS_OK && !vol_is_passing(err))
		return vol_fail(vol, err);
	return wait_primary(vol, node);
}

static int let_be_primary(struct vol *vol, const struct dvk_node_info *node)
{
	int status = vol_reach(vol);
	dvs_err err;

	if (status != EXIT_DONE)
		return status;
	err = vol_status(vol, VOL_ANSWER_MS);
	if (err != DVS_OK)
		return vol_fail_reach(vol, err);
	return is_primary(vol, node->node.n) ? EXIT_DONE : vol_hand_over(vol, node, 0);
}

static int promote(struct vol *vol)
{
	const struct dvk_node_info *node = nodes_named(vol->cli, &vol->nodes, vol->cli->words[1]);
	int status;

	if (!node)
		return EXIT_USAGE;
	if (!volume_replica_on(&vol->base, node->node.n))
		return vol_note(vol,
				"node %s has no replica of it; 'dvs vol replica add %s %s' "
				"makes one",
				node->name, vol->text, node->name);
	status = cli_has(vol->cli, OPTION_LOST_DATA) ? vol_force(vol, node) :
						       let_be_primary(vol, node);
	if (status != EXIT_DONE)
		return status;
	return cli_result(vol->cli, vol->text,
			  json_pack("{s:s, s:s}", "name", vol->text, "primary", node->name));
}

int cmd_vol_promote(struct cli *cli)
{
	return vol_with(cli, cli->words[0], "promote", VOL_VOLUME, promote);
}
