/* SPDX-License-Identifier: Apache-2.0 */
/* dvs image ls, inspect, copy and rm. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/calls.h"
#include "manage/image/images.h"
#include "manage/text.h"

#define SHORT_DIGEST 19u /* "sha256:" and 12 digits */

static const struct output_column columns[] = {
	{ "NAME", "name", false },	  { "DIGEST", "short_digest", false },
	{ "SIZE", "size", false },	  { "FILES", "files", true },
	{ "NODES", "nodes", false },	  { "USED BY", "used_by", false },
	{ "IMPORTED", "imported", true },
};

static const struct output_shape shape = { "images", columns, ARRAY_LEN(columns) };

static const struct output_column inspect_columns[] = {
	{ "Name", "name", false },
	{ "Digest", "digest", false },
	{ "Size", "size", false },
	{ "Bytes", "bytes", false },
	{ "Files", "files", false },
	{ "Nodes", "nodes", false },
	{ "Containers", "used_by", false },
	{ "Imported", "imported", false },
	{ "Runs", "runs", false },
	{ "In", "workdir", false },
	{ "As", "user", false },
};

static const struct output_shape inspect_shape = { "image", inspect_columns,
						   ARRAY_LEN(inspect_columns) };

static json_t *describe_nodes(const struct reach *reach, uint64_t nodes)
{
	json_t *list = json_array();
	char name[DVS_NAME_MAX + 1];

	for (; nodes && list; nodes &= nodes - 1) {
		dvs_nodeid node = { (uint32_t)__builtin_ctzll(nodes) };

		if (json_array_append_new(list,
					  json_string(nodes_name(&reach->nodes, node, name))) == 0)
			continue;
		json_decref(list);
		list = NULL;
	}
	return list;
}

static json_t *describe(const struct reach *reach, const struct image_on *one)
{
	time_t imported = (time_t)(one->image.imported_ns / CLOCK_NS_PER_S);
	char when[32] = "", size[TEXT_SHORT_BYTES], digest[SHORT_DIGEST + 1];
	struct tm parts;

	if (gmtime_r(&imported, &parts))
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &parts);
	text_short(one->image.bytes, size);
	(void)snprintf(digest, sizeof(digest), "%.*s", (int)SHORT_DIGEST, one->image.digest);
	return json_pack("{s:s, s:s, s:s, s:I, s:s, s:I, s:o, s:i, s:s}", "name", one->image.name,
			 "digest", one->image.digest, "short_digest", digest, "bytes",
			 (json_int_t)one->image.bytes, "size", size, "files",
			 (json_int_t)one->image.files, "nodes", describe_nodes(reach, one->nodes),
			 "used_by", (int)one->used_by, "imported", when);
}

static bool print_list(struct cli *cli, const struct reach *reach, const struct images *images)
{
	json_t *rows = json_array();
	bool done = rows != NULL;

	for (size_t i = 0; done && i < images->n; i++)
		done = json_array_append_new(rows, describe(reach, &images->one[i])) == 0;
	done = done && output_rows(&cli->output, &shape, rows);
	json_decref(rows);
	return done;
}

int cmd_image_ls(struct cli *cli)
{
	struct images images = { .n = 0 };
	struct reach reach;
	int status = reach_open(cli, &reach);

	if (status == EXIT_DONE)
		status = images_load(cli, &reach, &images);
	if (status == EXIT_DONE && !print_list(cli, &reach, &images))
		status = cli_fail(cli, DVS_NOMEM, "print the images");
	images_free(&images);
	reach_close(&reach);
	return status;
}

/* A command as one would type it, more or less: for people. */
static json_t *command_text(const json_t *says)
{
	static const char *const parts[] = { "entrypoint", "cmd" };
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	for (size_t part = 0; out && part < ARRAY_LEN(parts); part++) {
		const json_t *list = json_object_get(says, parts[part]);

		for (size_t i = 0; i < json_array_size(list); i++)
			(void)fprintf(out, "%s%s", ftell(out) > 0 ? " " : "",
				      json_string_value(json_array_get(list, i)));
	}
	if (!out || fclose(out) != 0)
		return NULL;
	return json_string(text);
}

static json_t *text_or_none(const json_t *says, const char *key)
{
	const json_t *text = json_object_get(says, key);

	return json_string(json_is_string(text) ? json_string_value(text) : "");
}

/* What it says about its programs, from a node that has it. */
static int add_says(struct cli *cli, struct reach *reach, const struct image_on *found,
		    json_t *object)
{
	dvs_nodeid node = { (uint32_t)__builtin_ctzll(found->nodes) };
	struct agent_image_says_req req;
	AUTO_FREE struct agent_image_says_rep *rep = malloc(sizeof(*rep));
	json_t *says;
	dvs_err err;

	if (!rep)
		return cli_fail(cli, DVS_NOMEM, "print the image");
	memcpy(req.name, found->image.digest, sizeof(found->image.digest));
	err = agent_call_image_says(reach->agents, node, &req, rep, REACH_MS);
	if (err != DVS_OK)
		return reach_fail(cli, reach->agents, err, "look into the image %s",
				  found->image.name);
	says = json_loadb((const char *)rep->says, rep->n_says, 0, NULL);
	if (!json_is_object(says)) {
		json_decref(says);
		return cli_fail(cli, DVS_PROTO, "look into the image %s", found->image.name);
	}
	if (json_object_set_new(object, "runs", command_text(says)) != 0 ||
	    json_object_set_new(object, "workdir", text_or_none(says, "workdir")) != 0 ||
	    json_object_set_new(object, "user", text_or_none(says, "user")) != 0 ||
	    json_object_set_new(object, "says", says) != 0)
		return cli_fail(cli, DVS_NOMEM, "print the image");
	return EXIT_DONE;
}

int cmd_image_inspect(struct cli *cli)
{
	struct images images = { .n = 0 };
	const struct image_on *found;
	struct reach reach;
	json_t *object = NULL;
	bool done = true;
	int status = reach_open(cli, &reach);

	if (status == EXIT_DONE)
		status = images_load(cli, &reach, &images);
	if (status == EXIT_DONE)
		status = images_find(cli, &reach, &images, cli->words[0], "inspect", &found);
	if (status == EXIT_DONE) {
		object = describe(&reach, found);
		done = object != NULL;
	}
	if (status == EXIT_DONE && done)
		status = add_says(cli, &reach, found, object);
	if (status == EXIT_DONE && done) {
		done = (cli->output.format == OUTPUT_JSON ?
				output_document(&cli->output, json_pack("{s:O}", "image", object),
						false) :
				output_fields(&cli->output, &inspect_shape, object));
	}
	if (!done)
		status = cli_fail(cli, DVS_NOMEM, "print the image");
	json_decref(object);
	images_free(&images);
	reach_close(&reach);
	return status;
}

/* ---- copy ---- */

static int copy(struct cli *cli, struct reach *reach, const struct images *images)
{
	const char *list = cli_has(cli, OPTION_TO) ? cli->values[OPTION_TO] : "all";
	const struct image_on *found;
	uint64_t to = 0, have = 0;
	dvs_nodeid from;
	int status = images_find(cli, reach, images, cli->words[0], "copy", &found);

	if (status == EXIT_DONE)
		status = nodes_choose(cli, &reach->nodes, list, &to);
	if (status != EXIT_DONE)
		return status;
	for (size_t i = 0; i < images->n; i++) {
		if (strcmp(images->one[i].image.digest, found->image.digest) == 0)
			have |= images->one[i].nodes;
	}
	from.n = (uint32_t)__builtin_ctzll(have);
	/* Those that have it by another name get this one; nothing is copied. */
	status = images_copy(cli, reach, found->image.name, from, to & ~found->nodes);
	if (status == EXIT_DONE && cli->output.format == OUTPUT_NAME)
		fprintf(cli->output.file, "%s\n", found->image.name);
	if (status == EXIT_DONE && cli->output.format == OUTPUT_JSON &&
	    !output_document(&cli->output,
			     json_pack("{s:s, s:s, s:o}", "name", found->image.name, "digest",
				       found->image.digest, "nodes",
				       describe_nodes(reach, found->nodes | to)),
			     false))
		return cli_fail(cli, DVS_NOMEM, "print the image");
	return status;
}

int cmd_image_copy(struct cli *cli)
{
	struct images images = { .n = 0 };
	struct reach reach;
	int status = reach_open(cli, &reach);

	if (status == EXIT_DONE)
		status = images_load(cli, &reach, &images);
	if (status == EXIT_DONE)
		status = copy(cli, &reach, &images);
	images_free(&images);
	reach_close(&reach);
	return status;
}

/* ---- rm ---- */

static int remove_from(struct cli *cli, struct reach *reach, const char *name, dvs_nodeid node)
{
	struct agent_image_remove_req req;
	char on[DVS_NAME_MAX + 1];
	dvs_err err;

	(void)snprintf(req.name, sizeof(req.name), "%s", name);
	err = agent_call_image_remove(reach->agents, node, &req, NULL, REACH_MS);
	if (err == DVS_OK)
		return EXIT_DONE;
	return reach_fail(cli, reach->agents, err, "remove image %s from node %s", name,
			  nodes_name(&reach->nodes, node, on));
}

static int remove_all(struct cli *cli, struct reach *reach, const struct images *images)
{
	const char *word = cli->words[0];
	uint64_t nodes = 0, chosen = UINT64_MAX;
	int status = EXIT_DONE;

	if (cli_has(cli, OPTION_NODES))
		status = nodes_choose(cli, &reach->nodes, cli->values[OPTION_NODES], &chosen);
	if (status != EXIT_DONE)
		return status;
	for (size_t i = 0; i < images->n; i++) {
		const struct agent_image *image = &images->one[i].image;

		if (strcmp(image->name, word) == 0 ||
		    (strlen(word) >= 15 && strncmp(image->digest, word, strlen(word)) == 0))
			nodes |= images->one[i].nodes;
	}
	nodes &= chosen;
	if (!nodes)
		return cli_fail_hint(cli, DVS_NOTFOUND, "list the images with 'dvs image ls'",
				     "remove image %s", word);
	/* As far as it goes. */
	for (; nodes; nodes &= nodes - 1) {
		dvs_nodeid node = { (uint32_t)__builtin_ctzll(nodes) };
		int one = remove_from(cli, reach, word, node);

		status = one == EXIT_DONE ? status : one;
	}
	if (status == EXIT_DONE && cli->output.format == OUTPUT_NAME)
		fprintf(cli->output.file, "%s\n", word);
	if (status == EXIT_DONE && cli->output.format == OUTPUT_JSON &&
	    !output_document(&cli->output, json_pack("{s:s}", "removed", word), false))
		return cli_fail(cli, DVS_NOMEM, "print the image");
	return status;
}

int cmd_image_rm(struct cli *cli)
{
	struct images images = { .n = 0 };
	struct reach reach;
	int status = reach_open(cli, &reach);

	if (status == EXIT_DONE)
		status = images_load(cli, &reach, &images);
	if (status == EXIT_DONE)
		status = remove_all(cli, &reach, &images);
	images_free(&images);
	reach_close(&reach);
	return status;
}
