/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/volume/vol.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/nearest.h"
#include "manage/container/reach.h"
#include "manage/text.h"

#define AGENT_MS 20000u
#define CHANGES_MAX 16 /* attempts to change a record that others change, too */

/* ---- messages ---- */

static struct complaint complaint(const struct vol *vol)
{
	return (struct complaint){ vol->cli, vol->caller, vol->what, "volume", vol->text };
}

int vol_fail(struct vol *vol, dvs_err err)
{
	const struct complaint about = complaint(vol);

	return complaint_fail(&about, err);
}

int vol_note(struct vol *vol, const char *why, ...)
{
	const struct complaint about = complaint(vol);
	va_list args;
	int status;

	va_start(args, why);
	status = complaint_note(&about, why, args);
	va_end(args);
	return status;
}

/* ---- its name ---- */

static bool take_name(struct vol *vol, enum vol_names names)
{
	static const char *const forms[] = {
		[VOL_NEW] = "DC/VOLUME",
		[VOL_VOLUME] = "DC/VOLUME",
		[VOL_SNAPSHOT] = "DC/VOLUME@SNAPSHOT",
		[VOL_DAMAGED] = "DC/VOLUME or DC/VOLUME@SNAPSHOT",
	};

	if (!volume_name_split(vol->text, vol->dc, vol->name, vol->snapshot)) {
		cli_usage(vol->cli,
			  "'%s' is no name of a volume; write %s, with letters, digits, '-', '_' "
			  "and '.'",
			  vol->text, forms[names]);
		return false;
	}
	if (vol->snapshot[0] && (names == VOL_NEW || names == VOL_VOLUME)) {
		cli_usage(vol->cli, "'%s' is a snapshot; name a volume: %s/%s", vol->text, vol->dc,
			  vol->name);
		return false;
	}
	if (!vol->snapshot[0] && names == VOL_SNAPSHOT) {
		cli_usage(vol->cli,
			  "'%s' is no snapshot; write %s/%s@SNAPSHOT, as 'dvs vol inspect %s/%s' "
			  "lists them",
			  vol->text, vol->dc, vol->name, vol->dc, vol->name);
		return false;
	}
	return true;
}

/* ---- its record ---- */

static int fail_no_volume(struct vol *vol)
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	char(*known)[VOLUME_NAME_MAX + 1] = calloc(VOLUMES_OF_DC_MAX, sizeof(*known));
	const char *names[VOLUMES_OF_DC_MAX];
	char name[VOLUME_NAME_MAX + 1] = "";
	const char *nearest;
	size_t n = 0;
	dvs_err err = DVS_OK;

	while (volume && known && n < VOLUMES_OF_DC_MAX && (err == DVS_OK || err == DVS_BADARG)) {
		err = volume_next(vol->link.dvk, vol->dc, name, volume, NULL);
		if (err != DVS_OK)
			continue;
		memcpy(known[n], name, sizeof(name));
		names[n] = known[n];
		n++;
	}
	nearest = nearest_word(vol->name, names, n);
	if (nearest)
		vol_note(vol, "the dc %s has no such volume; did you mean '%s/%s'?", vol->dc,
			 vol->dc, nearest);
	else
		vol_note(vol, "the dc %s has no such volume; 'dvs vol ls %s' lists them", vol->dc,
			 vol->dc);
	free(known);
	return EXIT_FAILED;
}

/* What is wrong with the record of NAME. */
static int fail_damaged(struct vol *vol, const char *name)
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	char key[DVS_NAME_MAX + 1];
	char value[DVK_VALUE_MAX];
	char why[VOLUME_WHY_MAX + 1] = "it cannot be read";
	uint64_t version;
	size_t len = 0;

	volume_key(name, key);
	/* What is wrong is what WHY says then. */
	if (volume && dvk_record_get(vol->link.dvk, vol->dc, key, value, &len, &version) == DVS_OK)
		if (volume_parse(name, value, len, volume, why) == DVS_OK)
			return vol_note(vol, "its record has just been changed; try again");
	return vol_note(vol, "its record is damaged: %s; 'dvs vol rm --force %s/%s' removes it",
			why, vol->dc, name);
}

dvs_err vol_reload(struct vol *vol)
{
	dvs_err err = volume_get(vol->link.dvk, vol->dc, vol->name, &vol->volume, &vol->version);

	if (err == DVS_OK && vol->volume.of[0])
		return volume_get(vol->link.dvk, vol->dc, vol->volume.of, &vol->base,
				  &vol->version);
	if (err == DVS_OK)
		vol->base = vol->volume;
	return err;
}

static int load(struct vol *vol, bool may_be_damaged)
{
	dvs_err err = volume_get(vol->link.dvk, vol->dc, vol->name, &vol->volume, &vol->version);

	if (may_be_damaged && err != DVS_NOTFOUND) {
		err = err == DVS_OK ? vol_reload(vol) : err;
		vol->is_damaged = err == DVS_BADARG || err == DVS_NOTFOUND;
		return err == DVS_OK || vol->is_damaged ? EXIT_DONE : vol_fail(vol, err);
	}
	if (err == DVS_NOTFOUND)
		return fail_no_volume(vol);
	if (err == DVS_BADARG)
		return fail_damaged(vol, vol->name);
	if (err == DVS_OK)
		err = vol_reload(vol);
	if (err == DVS_NOTFOUND)
		return vol_note(vol,
				"it is a clone of '%s/%s', which is gone; remove it with 'dvs "
				"vol rm --force %s/%s'",
				vol->dc, vol->volume.of, vol->dc, vol->name);
	if (err == DVS_BADARG)
		return fail_damaged(vol, vol->volume.of);
	return err == DVS_OK ? EXIT_DONE : vol_fail(vol, err);
}

static int open_all(struct vol *vol, enum vol_names names)
{
	AUTO_FREE struct dvk_container_info *info = malloc(sizeof(*info));
	int status = link_open_admin(vol->cli, &vol->link);

	if (!info)
		return vol_fail(vol, DVS_NOMEM);
	if (status == EXIT_DONE)
		status = reach_find_dc(vol->cli, vol->link.dvk, vol->dc, "find", info);
	if (status == EXIT_DONE)
		status = nodes_load(vol->cli, vol->link.dvk, &vol->nodes);
	if (status == EXIT_DONE && names != VOL_NEW)
		status = load(vol, names == VOL_DAMAGED && cli_has(vol->cli, OPTION_FORCE));
	return status;
}

int vol_with_caller(struct cli *cli, const char *word, const char *what, enum vol_names names,
		    int (*run)(struct vol *vol), const struct listener *caller)
{
	AUTO_FREE struct vol *vol = calloc(1, sizeof(*vol));
	int status;

	if (!vol)
		return cli_fail(cli, DVS_NOMEM, "%s volume %s", what, word);
	vol->cli = cli;
	vol->caller = caller;
	vol->what = what;
	vol->text = word;
	if (!take_name(vol, names))
		return EXIT_USAGE;
	status = open_all(vol, names);
	if (status == EXIT_DONE)
		status = run(vol);
	vol_leave(vol);
	link_close(&vol->link);
	return status;
}

int vol_with(struct cli *cli, const char *word, const char *what, enum vol_names names,
	     int (*run)(struct vol *vol))
{
	return vol_with_caller(cli, word, what, names, run, NULL);
}

/* ---- changes of the record ---- */

dvs_err vol_store(struct vol *vol)
{
	AUTO_FREE char *text = NULL;
	char key[DVS_NAME_MAX + 1];
	dvs_err err = volume_print(&vol->base, &text);

	if (err != DVS_OK) {
		text = NULL;
		return err;
	}
	volume_key(vol->base.name, key);
	return dvk_record_set(vol->link.dvk, vol->dc, key, vol->version, text, strlen(text),
			      &vol->version);
}

int vol_change(struct vol *vol, int (*change)(struct vol *vol, void *context), void *context)
{
	dvs_err err = DVS_OK;

	for (int i = 0; i < CHANGES_MAX; i++) {
		int status;

		if (i > 0)
			err = vol_reload(vol);
		if (err != DVS_OK)
			break;
		status = change(vol, context);
		if (status != EXIT_DONE)
			return status;
		err = vol_store(vol);
		if (err == DVS_OK)
			return EXIT_DONE;
		/* Somebody was faster, or has removed it. */
		if (err != DVS_NOTFOUND && err != DVS_EXISTS)
			break;
	}
	if (err == DVS_TOOBIG)
		return vol_note(vol,
				"its record would be longer than %u bytes; give shorter places",
				DVK_VALUE_MAX);
	return vol_fail(vol, err);
}

/* ---- its server ---- */

dvs_err vol_try(struct vol *vol, uint32_t timeout_ms)
{
	char text[DVS_NAME_MAX + VOLUME_NAME_MAX + DVS_NAME_MAX + 3];
	char why[VOLUME_WHY_MAX + 1];
	dvs_err err;

	vol_leave(vol);
	snprintf(text, sizeof(text), "%s/%s%s%s", vol->dc, vol->name, vol->snapshot[0] ? "@" : "",
		 vol->snapshot);
	err = volume_open(link_run_dir(vol->cli), text, timeout_ms, &vol->disk, why);
	vol->is_reached = err == DVS_OK;
	return err;
}

void vol_leave(struct vol *vol)
{
	if (vol->is_reached)
		volume_close(&vol->disk);
	vol->is_reached = false;
}

bool vol_is_passing(dvs_err err)
{
	return err == DVS_NODEST || err == DVS_PEERDEAD || err == DVS_NODEDOWN ||
	       err == DVS_TIMEOUT;
}

int vol_fail_reach(struct vol *vol, dvs_err err)
{
	char known[VOL_KNOWN_BYTES];

	if (err == DVS_NOTFOUND && vol->snapshot[0])
		return vol_note(vol,
				"there is no snapshot of that name; 'dvs vol inspect %s/%s' lists "
				"them",
				vol->dc, vol->name);
	if (!vol_is_passing(err))
		return vol_fail(vol, err);
	vol_known(vol, known);
	return vol_note(vol, "no server of it answers: %s", known);
}

int vol_reach(struct vol *vol)
{
	dvs_err err = vol_try(vol, VOL_ANSWER_MS);

	return err == DVS_OK ? EXIT_DONE : vol_fail_reach(vol, err);
}

dvs_err vol_status(struct vol *vol, uint32_t timeout_ms)
{
	return vdd_call_status(vol->disk.self, vol->disk.server, NULL, &vol->status, timeout_ms);
}

const struct vdd_member *vol_member(const struct vol *vol, uint32_t node)
{
	for (uint32_t i = 0; i < vol->status.n_members; i++) {
		if (vol->status.members[i].node == node)
			return &vol->status.members[i];
	}
	return NULL;
}

/* ---- what is known without it ---- */

bool vol_why(struct vol *vol, uint32_t node, char why[DVK_TEXT_MAX + 1])
{
	char key[DVS_NAME_MAX + 1];
	char value[DVK_VALUE_MAX];
	AUTO_FREE char *utf8 = NULL;
	AUTO_FREE char *text = NULL;
	uint64_t version;
	size_t len = 0;

	snprintf(key, sizeof(key), "volume-why/%s/%u", vol->base.id, node);
	if (dvk_record_get(vol->link.dvk, vol->dc, key, value, &len, &version) != DVS_OK ||
	    len == 0)
		return false;
	utf8 = text_utf8(value, len < DVK_TEXT_MAX ? len : DVK_TEXT_MAX);
	text = utf8 ? text_printable(utf8) : NULL;
	snprintf(why, DVK_TEXT_MAX + 1, "%s", text ? text : "it cannot open its store");
	return true;
}

void vol_known(struct vol *vol, char known[VOL_KNOWN_BYTES])
{
	FILE *out = fmemopen(known, VOL_KNOWN_BYTES, "w");
	const char *between = "";

	known[0] = '\0';
	if (!out)
		return;
	for (uint32_t i = 0; i < vol->base.n_replicas; i++) {
		dvs_nodeid id = { vol->base.replicas[i].node };
		const struct dvk_node_info *node = nodes_at(&vol->nodes, id);
		char name[DVS_NAME_MAX + 1];
		char why[DVK_TEXT_MAX + 1];

		nodes_name(&vol->nodes, id, name);
		if (!node)
			fprintf(out, "%snode %s is not known", between, name);
		else if (node->state != DVK_NODE_UP)
			fprintf(out, "%snode %s is down", between, name);
		else if (vol_why(vol, id.n, why))
			fprintf(out, "%snode %s: %s", between, name, why);
		else
			fprintf(out, "%snode %s is up and has said nothing (see its log)", between,
				name);
		between = "; ";
	}
	/* It was cut where it did not fit. */
	(void)fclose(out);
	known[VOL_KNOWN_BYTES - 1] = '\0';
}

int vol_start_agent(struct vol *vol, const struct dvk_node_info *node)
{
	dvs_ep ep;
	dvs_err err;

	if (node->state != DVK_NODE_UP)
		return vol_note(vol, "node %s is down; 'dvs node ls' tells which are up",
				node->name);
	err = dvk_agent_start(vol->link.dvk, node->node, AGENT_MS, &ep);
	if (err == DVS_OK)
		return EXIT_DONE;
	return vol_note(vol, "node %s: %s; %s", node->name, dvs_strerror(err), dvs_err_hint(err));
}
