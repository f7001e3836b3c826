/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/container/dc.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/nearest.h"
#include "client/calls.h"
#include "manage/container/limits.h"
#include "manage/container/reach.h"

#define IMAGES_MAX 256u /* of one node, compared for a "did you mean" */

/* ---- images ---- */

struct images {
	char names[IMAGES_MAX][128];
	size_t n;
};

/* Look for NAME on NODE; all names that it has go to IMAGES. *DIGEST stays "" when it is not there. */
static dvs_err look_for_image(struct agents *agents, dvs_nodeid node, const char *name,
			      struct images *images, char *digest, size_t room)
{
	AUTO_FREE struct agent_images_rep *rep = malloc(sizeof(*rep));
	struct agent_images_req req = { .after = "" };
	dvs_err err = rep ? DVS_OK : DVS_NOMEM;

	while (err == DVS_OK) {
		err = agent_call_images(agents, node, &req, rep, REACH_MS);
		if (err != DVS_OK || rep->n_images == 0)
			break;
		for (uint32_t i = 0; i < rep->n_images; i++) {
			const struct agent_image *image = &rep->images[i];

			if (images->n < IMAGES_MAX)
				memcpy(images->names[images->n++], image->name,
				       sizeof(image->name));
			if (strcmp(image->name, name) == 0 || strcmp(image->digest, name) == 0)
				snprintf(digest, room, "%s", image->digest);
		}
		/* By name: what does not go on upwards would never end. */
		if (strcmp(rep->images[rep->n_images - 1].name, req.after) <= 0)
			err = DVS_PROTO;
		memcpy(req.after, rep->images[rep->n_images - 1].name, sizeof(req.after));
		if (rep->n_images < ARRAY_LEN(rep->images))
			break;
	}
	return err;
}

static int fail_no_image(struct cli *cli, const struct images *images, const char *name)
{
	const char *names[IMAGES_MAX];
	const char *nearest;

	for (size_t i = 0; i < images->n; i++)
		names[i] = images->names[i];
	nearest = nearest_word(name, names, images->n);
	if (nearest)
		cli_note(cli, "find image %s: no node that is up has it; did you mean '%s'?", name,
			 nearest);
	else
		cli_note(cli,
			 "find image %s: no node that is up has it; 'dvs image ls' lists them, "
			 "'dvs image import' makes one",
			 name);
	return EXIT_FAILED;
}

/* The digest that all nodes mean by NAME, to DIGEST. */
static int find_image(struct cli *cli, struct agents *agents, const struct nodes *nodes,
		      const char *name, char digest[72])
{
	AUTO_FREE struct images *images = calloc(1, sizeof(*images));
	const char *first = NULL;

	if (!images)
		return cli_fail(cli, DVS_NOMEM, "find image %s", name);
	digest[0] = '\0';
	for (size_t i = 0; i < nodes->n; i++) {
		const struct dvk_node_info *node = &nodes->node[i];
		char found[72] = "";
		dvs_err err;

		if (node->state != DVK_NODE_UP)
			continue;
		err = look_for_image(agents, node->node, name, images, found, sizeof(found));
		if (err != DVS_OK && err != DVS_NOAGENT)
			return reach_fail(cli, agents, err, "list the images of node %s",
					  node->name);
		if (found[0] && first && strcmp(found, digest) != 0) {
			cli_note(
				cli,
				"find image %s: nodes %s and %s have different images of that name; "
				"name one by its digest, as 'dvs image ls' tells it",
				name, first, node->name);
			return EXIT_FAILED;
		}
		if (found[0]) {
			memcpy(digest, found, sizeof(found));
			first = node->name;
		}
	}
	return first ? EXIT_DONE : fail_no_image(cli, images, name);
}

int dc_resolve_image(struct cli *cli, struct agents *agents, const struct nodes *nodes,
		     json_t *document)
{
	json_t *root = json_object_get(document, "root");
	const char *kind = json_string_value(json_object_get(root, "kind"));
	const char *name = json_string_value(json_object_get(root, "name"));
	char digest[72];
	int status;

	if (!kind || strcmp(kind, "image") != 0 || !name)
		return EXIT_DONE;
	status = find_image(cli, agents, nodes, name, digest);
	if (status == EXIT_DONE && json_object_set_new(root, "digest", json_string(digest)) != 0)
		status = cli_fail(cli, DVS_NOMEM, "find image %s", name);
	return status;
}

/* ---- refusals ---- */

/* A complaint about a field of the description names the option that it came from. */
static void tell_refusal(struct cli *cli, const char *what, const char *node, const char *why)
{
	const char *sentence;
	const char *option = limits_option(cli, why, &sentence);

	cli_note(cli, "%s: node %s: %s%s%s%s", what, node, option ? "--" : "", option ? option : "",
		 option ? ": " : "", sentence);
}

int dc_check(struct cli *cli, struct agents *agents, const struct nodes *nodes, uint64_t on,
	     const char *dc, const char *description, size_t len)
{
	AUTO_FREE struct agent_check_req *req = calloc(1, sizeof(*req));
	int status = EXIT_DONE;

	if (!req || len > sizeof(req->description))
		return cli_fail(cli, DVS_NOMEM, "check the description");
	snprintf(req->dc, sizeof(req->dc), "%s", dc);
	memcpy(req->description, description, len);
	req->n_description = (uint32_t)len;
	req->fetch = 1;
	for (size_t i = 0; i < nodes->n; i++) {
		const struct dvk_node_info *node = &nodes->node[i];
		char what[DVS_NAME_MAX + 32];
		dvs_err err;

		if (!(on & nodes_bit(node->node)))
			continue;
		err = agent_call_check(agents, node->node, req, NULL, REACH_MS);
		if (err == DVS_OK)
			continue;
		status = EXIT_FAILED;
		snprintf(what, sizeof(what), "%s %s", cli->command->name, dc);
		if (agents_text(agents)[0])
			tell_refusal(cli, what, node->name, agents_text(agents));
		else
			cli_fail(cli, err, "%s: node %s", what, node->name);
	}
	return status;
}

int dc_fail_refused(struct cli *cli, const struct nodes *nodes, const struct dvk_refusal *refusal,
		    const char *what)
{
	char name[DVS_NAME_MAX + 1];

	nodes_name(nodes, refusal->node, name);
	if (refusal->text[0])
		tell_refusal(cli, what, name, refusal->text);
	else
		cli_fail(cli, refusal->err, "%s: node %s", what, name);
	return EXIT_FAILED;
}

/* ---- the record ---- */

int dc_load(struct cli *cli, struct dvk *admin, const char *dc, json_t **document,
	    uint64_t *version)
{
	char value[DVK_VALUE_MAX];
	size_t len = 0;
	dvs_err err = dvk_record_get(admin, dc, "dc", value, &len, version);

	*document = NULL;
	if (err != DVS_OK)
		return cli_fail(cli, err, "read the description of dc %s", dc);
	*document = json_loadb(value, len, 0, NULL);
	if (json_is_object(*document))
		return EXIT_DONE;
	json_decref(*document);
	*document = NULL;
	cli_note(cli,
		 "read the description of dc %s: it is no JSON object; remove the dc and create "
		 "it again",
		 dc);
	return EXIT_FAILED;
}
