/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/image/images.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/nearest.h"
#include "client/calls.h"
#include "manage/progress.h"
#include "manage/terminal.h"
#include "manage/text.h"

#define PREFIX_BYTES 15u /* "sha256:" and 8 digits */
#define IMAGES_MAX 65536u
#define NAMES_MAX 256u /* compared for a "did you mean" */

/* ---- lists ---- */

static bool same(const struct agent_image *a, const struct agent_image *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->digest, b->digest) == 0;
}

static bool add(struct images *images, const struct agent_image *image, dvs_nodeid node)
{
	struct image_on *one;

	for (size_t i = 0; i < images->n; i++) {
		if (same(&images->one[i].image, image)) {
			images->one[i].nodes |= nodes_bit(node);
			images->one[i].used_by += image->used_by;
			return true;
		}
	}
	if (images->n == images->room) {
		size_t room = images->room ? images->room * 2 : 64;

		one = room > IMAGES_MAX ? NULL : reallocarray(images->one, room, sizeof(*one));
		if (!one)
			return false;
		images->one = one;
		images->room = room;
	}
	images->one[images->n++] = (struct image_on){ .image = *image,
						      .nodes = nodes_bit(node),
						      .used_by = image->used_by };
	return true;
}

static dvs_err load_node(struct reach *reach, dvs_nodeid node, struct images *images)
{
	struct agent_images_rep *rep = malloc(sizeof(*rep));
	struct agent_images_req req = { 0 };
	dvs_err err = rep ? DVS_OK : DVS_NOMEM;

	while (err == DVS_OK) {
		err = agent_call_images(reach->agents, node, &req, rep, REACH_MS);
		if (err != DVS_OK || rep->n_images == 0)
			break;
		for (size_t i = 0; i < rep->n_images && err == DVS_OK; i++)
			err = add(images, &rep->images[i], node) ? DVS_OK : DVS_NOMEM;
		memcpy(req.after, rep->images[rep->n_images - 1].name, sizeof(req.after));
	}
	free(rep);
	return err;
}

static int compare(const void *a, const void *b)
{
	const struct image_on *left = a, *right = b;
	int order = strcmp(left->image.name, right->image.name);

	return order ? order : strcmp(left->image.digest, right->image.digest);
}

int images_load(struct cli *cli, struct reach *reach, struct images *images)
{
	*images = (struct images){ .n = 0 };
	for (size_t i = 0; i < reach->nodes.n; i++) {
		const struct dvk_node_info *node = &reach->nodes.node[i];
		dvs_err err;

		if (node->state == DVK_NODE_DOWN)
			continue;
		err = load_node(reach, node->node, images);
		if (err == DVS_NOMEM)
			return cli_fail(cli, err, "list the images");
		if (err == DVS_OK)
			images->asked |= nodes_bit(node->node);
		else if (err != DVS_NOAGENT)
			(void)reach_fail(cli, reach->agents, err, "list the images of node %s",
					 node->name);
	}
	if (images->n > 0)
		qsort(images->one, images->n, sizeof(*images->one), compare);
	return EXIT_DONE;
}

void images_free(struct images *images)
{
	free(images->one);
	*images = (struct images){ .n = 0 };
}

/* ---- one of them ---- */

static bool is_digest(const char *word)
{
	return strncmp(word, "sha256:", 7) == 0;
}

static bool means(const struct agent_image *image, const char *word)
{
	if (is_digest(word))
		return strlen(word) >= PREFIX_BYTES &&
		       strncmp(image->digest, word, strlen(word)) == 0;
	return strcmp(image->name, word) == 0;
}

static int fail_none(struct cli *cli, const struct images *images, const char *word,
		     const char *what)
{
	const char *names[NAMES_MAX];
	const char *nearest;
	size_t n = 0;

	for (size_t i = 0; i < images->n && n < NAMES_MAX; i++)
		names[n++] = images->one[i].image.name;
	nearest = nearest_word(word, names, n);
	if (!nearest)
		return cli_fail_hint(
			cli, DVS_NOTFOUND,
			"list the images with 'dvs image ls', bring one with 'dvs image"
			" import'",
			"%s image %s", what, word);
	return cli_fail_hint(cli, DVS_NOTFOUND, nearest, "%s image %s; did you mean", what, word);
}

int images_find(struct cli *cli, const struct reach *reach, const struct images *images,
		const char *word, const char *what, const struct image_on **found)
{
	*found = NULL;
	for (size_t i = 0; i < images->n; i++) {
		const struct image_on *one = &images->one[i];
		char first[DVS_NAME_MAX + 1], second[DVS_NAME_MAX + 1];
		dvs_nodeid left, right;

		if (!means(&one->image, word))
			continue;
		if (!*found) {
			*found = one;
			continue;
		}
		if (strcmp((*found)->image.digest, one->image.digest) == 0)
			continue;
		left.n = (uint32_t)__builtin_ctzll((*found)->nodes);
		right.n = (uint32_t)__builtin_ctzll(one->nodes);
		return cli_usage(cli,
				 "%s image %s: node %s has %.19s... by that name, and node %s"
				 " %.19s...; name the digest",
				 what, word, nodes_name(&reach->nodes, left, first),
				 (*found)->image.digest, nodes_name(&reach->nodes, right, second),
				 one->image.digest);
	}
	return *found ? EXIT_DONE : fail_none(cli, images, word, what);
}

/* ---- jobs ---- */

struct following {
	struct cli *cli;
	struct reach *reach;
	dvs_nodeid node;
	uint64_t job;
	const char *title;
	struct progress progress;
	struct interrupts interrupts;
	bool stopping;
};

static void show(struct following *following, const struct agent_job_rep *rep)
{
	const char *form = following->cli->values[OPTION_PROGRESS];
	char what[512];
	json_t *line;
	char *text;

	if (form && strcmp(form, "none") == 0)
		return;
	if (!form || strcmp(form, "json") != 0) {
		(void)snprintf(what, sizeof(what), "%s: %s", following->title, rep->phase);
		progress_bytes(&following->progress, what, rep->done_bytes, rep->total_bytes);
		return;
	}
	line = json_pack("{s:s, s:I, s:s, s:I, s:I}", "title", following->title, "node",
			 (json_int_t)following->node.n, "phase", rep->phase, "done_bytes",
			 (json_int_t)rep->done_bytes, "total_bytes", (json_int_t)rep->total_bytes);
	text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	if (text)
		fprintf(following->cli->err, "%s\n", text);
	free(text);
	json_decref(line);
}

/* Somebody pressed Ctrl-C: the job goes, too. */
static void look_for_end(struct following *following)
{
	struct agent_job_stop_req req = { .job = following->job };

	if (following->stopping ||
	    interrupts_wait(&following->interrupts, -1, clock_now_ns()) != EVENT_END)
		return;
	following->stopping = true;
	/* It may have ended by itself. */
	if (agent_call_job_stop(following->reach->agents, following->node, &req, NULL, REACH_MS) !=
	    DVS_OK)
		following->stopping = false;
}

static int tell_failure(struct following *following, const struct agent_job_rep *rep)
{
	AUTO_FREE char *utf8 = text_utf8(rep->text, sizeof(rep->text));
	AUTO_FREE char *why = utf8 ? text_printable(utf8) : NULL;
	char node[DVS_NAME_MAX + 1];

	if (following->stopping) {
		cli_note(following->cli, "%s: stopped; nothing of it stays", following->title);
		return EXIT_FAILED;
	}
	cli_note(following->cli, "%s: node %s: %s", following->title,
		 nodes_name(&following->reach->nodes, following->node, node),
		 why && why[0] ? why : dvs_strerror((dvs_err)rep->err));
	return EXIT_FAILED;
}

/* The job went with its agent, and the next one cleans up. */
static int tell_dead(const struct following *following)
{
	char node[DVS_NAME_MAX + 1];

	cli_note(following->cli,
		 "%s: the agent of node %s has ended meanwhile, and nothing of it stays; run the"
		 " command again",
		 following->title, nodes_name(&following->reach->nodes, following->node, node));
	return EXIT_FAILED;
}

static int follow(struct following *following, char *digest)
{
	struct agent_job_req req = { .job = following->job };
	struct agent_job_rep rep = { 0 };

	do {
		dvs_err err = agent_call_job(following->reach->agents, following->node, &req, &rep,
					     REACH_MS);

		if (err != DVS_OK) {
			progress_end(&following->progress);
			if (err == DVS_PEERDEAD)
				return tell_dead(following);
			return reach_fail(following->cli, following->reach->agents, err, "%s",
					  following->title);
		}
		req.known = rep.done_bytes;
		if (rep.state == 1)
			show(following, &rep);
		look_for_end(following);
	} while (rep.state == 1);
	progress_end(&following->progress);
	if (rep.state != 2)
		return tell_failure(following, &rep);
	if (digest)
		(void)snprintf(digest, IMAGES_DIGEST_BYTES, "%.71s", rep.text);
	return EXIT_DONE;
}

int images_follow(struct cli *cli, struct reach *reach, dvs_nodeid node, uint64_t job,
		  const char *title, char digest[IMAGES_DIGEST_BYTES])
{
	struct following following = {
		.cli = cli, .reach = reach, .node = node, .job = job, .title = title
	};
	int status;

	if (!interrupts_open(&following.interrupts, false))
		return cli_fail(cli, DVS_FULL, "%s", title);
	progress_begin(&following.progress, cli->err);
	status = follow(&following, digest);
	interrupts_close(&following.interrupts);
	return status;
}

static int copy_to(struct cli *cli, struct reach *reach, const char *name, dvs_nodeid from,
		   dvs_nodeid to)
{
	struct agent_image_fetch_req req = { .from = from.n };
	struct agent_image_fetch_rep rep;
	char title[IMAGES_DIGEST_BYTES + DVS_NAME_MAX + 128];
	char node[DVS_NAME_MAX + 1];
	struct interrupts interrupts;
	int status;
	dvs_err err;

	(void)snprintf(req.name, sizeof(req.name), "%s", name);
	(void)snprintf(title, sizeof(title), "copy image %s to %s", name,
		       nodes_name(&reach->nodes, to, node));
	if (!interrupts_open(&interrupts, false))
		return cli_fail(cli, DVS_FULL, "%s", title);
	err = agent_call_image_fetch(reach->agents, to, &req, &rep, REACH_MS);
	status = err == DVS_OK ? images_follow(cli, reach, to, rep.job, title, NULL) :
				 reach_fail(cli, reach->agents, err, "%s", title);
	interrupts_close(&interrupts);
	return status;
}

int images_copy(struct cli *cli, struct reach *reach, const char *name, dvs_nodeid from,
		uint64_t to)
{
	int status = EXIT_DONE;

	to &= ~nodes_bit(from);
	while (to && status == EXIT_DONE) {
		dvs_nodeid node = { (uint32_t)__builtin_ctzll(to) };

		to &= to - 1;
		status = copy_to(cli, reach, name, from, node);
	}
	return status;
}
