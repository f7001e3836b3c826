/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/settle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/described.h"

/* This node's row of the DC; NULL: it has none. */
static const struct dvk_container_node *own_row(const struct settle *settle)
{
	for (uint32_t i = 0; settle->is_known && i < settle->info.n_nodes; i++) {
		if (settle->info.nodes[i].node.n == settle->agent->node)
			return &settle->info.nodes[i];
	}
	return NULL;
}

/* The first DC whose id follows CURSOR, if it is this one. */
static dvs_err try_dc(struct settle *settle, uint32_t *cursor)
{
	dvs_err err = dvk_container_next(settle->agent->admin, cursor, 0, &settle->info);

	settle->is_known = !err && settle->info.phase != DVK_NO_CONTAINERS &&
			   strcmp(settle->info.name, settle->dc) == 0;
	return err;
}

static dvs_err find_dc(struct settle *settle)
{
	uint32_t cursor = settle->id.n ? settle->id.n - 1 : 0;
	dvs_err err = try_dc(settle, &cursor);

	/* It may have been made anew: look through all of them. */
	if (!settle->is_known)
		cursor = 0;
	while (!settle->is_known && (err = try_dc(settle, &cursor)) == DVS_OK)
		continue;
	return err == DVS_NODC ? DVS_OK : err;
}

static bool is_quorate(const struct settle *settle)
{
	struct dvk_node_info node = { .node = { settle->agent->node } };
	uint32_t cursor = settle->agent->node;

	return dvk_node_next(settle->agent->admin, &cursor, &node) == DVS_OK && node.is_quorate;
}

static void retry(struct settle *settle, dvs_err err)
{
	settle->step = SETTLE_RETRY;
	settle->err = err;
	if (settle->why[0] == '\0')
		(void)snprintf(settle->why, sizeof(settle->why), "%s", dvs_strerror(err));
}

static dvs_err report(struct settle *settle, enum dvk_container_state state, bool frozen,
		      uint64_t version, const char *text)
{
	dvs_err err = dvk_container_report(settle->agent->admin, settle->info.dc, state, frozen,
					   version, text);

	/* It was changed meanwhile: an event says so, too, and all is looked at again. */
	return err == DVS_BADSTATE || err == DVS_NODC ? DVS_OK : err;
}

/* ---- what is not wanted here ---- */

static void take_away(struct settle *settle)
{
	const struct dvk_container_node *own = own_row(settle);
	bool asks = !settle->may_kill && settle->there.is == CONTAINER_RUNS &&
		    !(settle->is_known && settle->info.phase == DVK_FAILED);
	dvs_err err;

	if (asks) {
		settle->step = SETTLE_END;
		return;
	}
	if (settle->there.is != CONTAINER_ABSENT) {
		err = container_remove(&settle->agent->host, settle->dc, settle->why);
		if (err) {
			retry(settle, err);
			return;
		}
		settle->there.is = CONTAINER_ABSENT;
	}
	settle->step = SETTLE_ABSENT;
	if (own && own->state != DVK_GONE) {
		err = report(settle, DVK_GONE, false, 0, "");
		if (err)
			retry(settle, err);
	}
}

/* ---- what is wanted ---- */

static dvs_err read_description(struct settle *settle)
{
	dvs_err err = dvk_record_get(settle->agent->admin, settle->dc, "dc", settle->text,
				     &settle->text_len, &settle->version);

	if (err)
		return err;
	err = description_parse(settle->text, settle->text_len, &settle->description, settle->why);
	settle->has_description = err == DVS_OK;
	return err;
}

/* What it is made from. NOTFOUND: the image is not here; settle->image is its name. */
static dvs_err make_plan(struct settle *settle, char tree[512], char control[256],
			 struct container_plan *plan)
{
	const struct description *description = &settle->description;
	struct image image;

	(void)snprintf(control, 256, "%s/inside/%s/control", settle->agent->options.run_dir,
		       settle->dc);
	*plan = (struct container_plan){ .name = settle->dc,
					 .dc = settle->info.dc.n,
					 .description = description,
					 .control_socket = control };
	if (description->root != DESCRIPTION_IMAGE)
		return DVS_OK;
	(void)snprintf(settle->image, sizeof(settle->image), "%s",
		       description->digest ? description->digest : description->image);
	if (image_find(settle->agent->options.lib_dir, settle->image, &image))
		return DVS_NOTFOUND;
	image_tree(settle->agent->options.lib_dir, image.digest, tree);
	plan->tree = tree;
	return DVS_OK;
}

/* The node cannot have it as it is described: say so, unless that is known. */
static void break_down(struct settle *settle, dvs_err err)
{
	const struct dvk_container_node *own = own_row(settle);
	char known[DVK_TEXT_MAX + 1] = "";
	char text[DVK_TEXT_MAX + 1];
	dvs_err told = DVS_OK;

	(void)snprintf(text, sizeof(text), "%.255s",
		       settle->why[0] ? settle->why : dvs_strerror(err));
	if (own && own->state == DVK_BROKEN &&
	    dvk_container_why(settle->agent->admin, settle->dc, own->node, known) != DVS_OK)
		known[0] = '\0';
	if (strcmp(known, text) != 0)
		told = report(settle, DVK_BROKEN, settle->there.is == CONTAINER_FROZEN,
			      settle->there.version, text);
	retry(settle, told ? told : err);
}

static dvs_err fetch_or_refuse(struct settle *settle)
{
	if (!settle->has_fetched) {
		settle->step = SETTLE_FETCH;
		return DVS_OK;
	}
	(void)snprintf(settle->why, sizeof(settle->why), "root.name: the image %s is not here: %s",
		       settle->description.image,
		       settle->fetch_err ? settle->fetch_why : "it was removed again");
	return DVS_NOTFOUND;
}

/* The mark comes last: a container without one is half made. */
static dvs_err keep_description(struct settle *settle)
{
	const struct agent *agent = settle->agent;
	dvs_err err = described_save(agent, settle->dc, settle->text, settle->text_len);

	return err ? err : container_mark(&agent->host, settle->dc, settle->version);
}

static dvs_err make_container(struct settle *settle)
{
	struct agent *agent = settle->agent;
	const struct dvk_container_node *own = own_row(settle);
	char tree[512], control[256];
	struct container_plan plan;
	dvs_err err;

	/* The others are to know that what runs here has ended. */
	if (own->state == DVK_READY) {
		err = report(settle, DVK_WANTED, false, 0, "");
		if (err)
			return err;
	}
	if (make_plan(settle, tree, control, &plan))
		return fetch_or_refuse(settle);
	if (settle->there.is != CONTAINER_ABSENT) {
		err = container_remove(&agent->host, settle->dc, settle->why);
		if (err)
			return err;
		settle->there = (struct container_state){ .is = CONTAINER_ABSENT };
	}
	err = container_check(&agent->host, &plan, settle->why);
	if (!err)
		err = container_create(&agent->host, &plan, &settle->there.pid, settle->why);
	if (!err)
		err = keep_description(settle);
	if (err) {
		char why[DESCRIPTION_TEXT_MAX];

		/* What was refused leaves nothing half made; if that fails too, the next look takes it away. */
		if (container_remove(&agent->host, settle->dc, why))
			log_warning(&agent->log, "what was made of a container stays for now",
				    LOG_STR("dc", settle->dc), LOG_STR("why", why));
		return err;
	}
	settle->made = true;
	return container_look(&agent->host, settle->dc, &settle->there);
}

/* The container runs, with another description. BADSTATE: it cannot have this one without being made anew. */
static dvs_err update_container(struct settle *settle)
{
	struct agent *agent = settle->agent;
	char tree[512], control[256];
	struct container_plan plan;
	struct description old;
	dvs_err err = described_load(agent, settle->dc, &old);

	if (err)
		return err;
	if (!container_can_update(&old, &settle->description, settle->why))
		err = DVS_BADSTATE;
	description_free(&old);
	if (!err)
		err = make_plan(settle, tree, control, &plan);
	if (!err)
		err = container_update(&agent->host, &plan, settle->why);
	if (!err)
		err = keep_description(settle);
	if (!err)
		settle->there.version = settle->version;
	return err;
}

static dvs_err freeze_container(struct settle *settle, char *why)
{
	bool is = settle->there.is == CONTAINER_FROZEN;
	bool wanted = settle->info.frozen != 0;
	dvs_err err;

	if (is == wanted)
		return DVS_OK;
	err = container_freeze(&settle->agent->host, settle->dc, wanted, why);
	if (!err)
		settle->there.is = wanted ? CONTAINER_FROZEN : CONTAINER_RUNS;
	return err;
}

static dvs_err report_ready(struct settle *settle)
{
	const struct dvk_container_node *own = own_row(settle);
	bool frozen = settle->there.is == CONTAINER_FROZEN;

	if (own->state == DVK_READY && (own->frozen != 0) == frozen &&
	    own->version == settle->there.version)
		return DVS_OK;
	return report(settle, DVK_READY, frozen, settle->there.version, "");
}

static bool is_transient(dvs_err err)
{
	return err == DVS_NODVSD || err == DVS_NOQUORUM || err == DVS_TIMEOUT || err == DVS_NOMEM;
}

static bool runs(const struct settle *settle)
{
	return settle->there.is == CONTAINER_RUNS || settle->there.is == CONTAINER_FROZEN;
}

/* What runs and is not to be gone on with: another DC of that name left it behind, which was forgotten while this node was away; or whoever made it was killed before it was done. */
static bool is_leftover(const struct settle *settle)
{
	return runs(settle) &&
	       (settle->there.dc != settle->info.dc.n || settle->there.version == 0);
}

/* Programs go on beside a description that cannot be had: with the one that the container has. */
static void keep_programs(struct settle *settle, dvs_err err)
{
	dvs_err told;

	if (runs(settle) && !settle->has_description)
		settle->has_description =
			described_load(settle->agent, settle->dc, &settle->description) == DVS_OK;
	if (settle->there.is != CONTAINER_RUNS || !settle->has_description ||
	    settle->info.phase != DVK_RUNS)
		return;
	told = settle_place(settle);
	if (told && !err)
		retry(settle, told);
}

static void keep(struct settle *settle)
{
	dvs_err err = read_description(settle);
	char why[DESCRIPTION_TEXT_MAX];

	if (is_leftover(settle))
		settle->there.is = CONTAINER_LEFTOVER;
	if (!err && !runs(settle)) {
		err = make_container(settle);
		if (settle->step == SETTLE_FETCH)
			return;
	}
	if (!err && settle->there.version != settle->version)
		err = update_container(settle);
	if (!err) {
		err = freeze_container(settle, settle->why);
	} else if (runs(settle) && freeze_container(settle, why)) {
		/* What is told is what was first. */
		log_warning(&settle->agent->log, "freeze or thaw", LOG_STR("dc", settle->dc),
			    LOG_STR("why", why));
	}
	if (!err)
		err = report_ready(settle);
	settle->step = SETTLE_UP;
	if (err && is_transient(err))
		retry(settle, err);
	else if (err)
		break_down(settle, err);
	keep_programs(settle, err);
}

static bool is_wanted(const struct settle *settle)
{
	const struct dvk_container_node *own = own_row(settle);

	return own && (settle->info.phase == DVK_CREATING || settle->info.phase == DVK_RUNS) &&
	       own->state != DVK_LEAVING && own->state != DVK_GONE &&
	       /* Refused: all of the DC is about to be taken back. */
	       !(settle->info.phase == DVK_CREATING && own->state == DVK_BROKEN);
}

void settle_run(struct settle *settle)
{
	dvs_err err;

	if (!is_quorate(settle)) {
		settle->step = SETTLE_OUTSIDE;
		return;
	}
	err = find_dc(settle);
	if (!err)
		err = container_look(&settle->agent->host, settle->dc, &settle->there);
	if (err)
		retry(settle, err);
	else if (is_wanted(settle))
		keep(settle);
	else
		take_away(settle);
}

void settle_clear(struct settle *settle)
{
	if (settle->has_description)
		description_free(&settle->description);
	settle->has_description = false;
	while (settle->programs) {
		struct settle_program *next = settle->programs->next;

		program_free(&settle->programs->program);
		free(settle->programs);
		settle->programs = next;
	}
	free(settle->wanted);
	settle->wanted = NULL;
	settle->n_wanted = 0;
	settle->has_wanted = false;
}
