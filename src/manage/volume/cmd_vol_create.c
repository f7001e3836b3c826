/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol create: what its options say, which is checked before anything is begun. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/container/limits.h"
#include "manage/volume/create.h"
#include "manage/volume/volumes.h"

/* ---- options ---- */

static int take_lag(struct cli *cli, struct volume *volume)
{
	const char *text = cli->values[OPTION_LAG];

	volume->async = cli_has(cli, OPTION_ASYNC);
	volume->lag_bytes = volume->async ? VOL_LAG_DEFAULT : 0;
	if (!text)
		return EXIT_DONE;
	if (!volume->async)
		return cli_usage(cli, "--lag is for asynchronous volumes; give --async, too");
	return volumes_lag(cli, &volume->lag_bytes);
}

static void take_store(struct cli *cli, struct volume *volume)
{
	const char *text = cli->values[OPTION_STORE];

	volume->store = VOLUME_FILE;
	for (int i = 0; text && volume_stores[i]; i++) {
		if (strcmp(volume_stores[i], text) == 0)
			volume->store = (enum volume_store)i;
	}
}

/* All that can be said wrong without asking anybody. */
static int take_options(struct cli *cli, struct volume *volume)
{
	const char *access = cli->values[OPTION_ACCESS];
	uint64_t replicas;
	int status;

	*volume = (struct volume){ .minor = 0 };
	take_store(cli, volume);
	if (!cli_has(cli, OPTION_SIZE))
		return cli_usage(cli, "say how large it is: --size 10G");
	if (cli_has(cli, OPTION_NODES) && cli_has(cli, OPTION_REPLICAS))
		return cli_usage(cli, "--nodes says where replicas are, --replicas how many; give "
				      "one of them");
	volume->direct = cli_has(cli, OPTION_DIRECT);
	volume->access_dc = access && strcmp(access, "dc") == 0;
	if (volume->direct && volume->store != VOLUME_FILE)
		return cli_usage(cli, "--direct is for --store file");
	if (!cli_number(cli, OPTION_REPLICAS, 1, DVS_NODES_MAX, 1, &replicas))
		return EXIT_USAGE;
	status = volumes_size(cli, cli->values[OPTION_SIZE], &volume->bytes);
	if (status == EXIT_DONE)
		status = volumes_rate(cli, &volume->resync_bytes_per_s);
	if (status == EXIT_DONE)
		status = take_lag(cli, volume);
	return status;
}

/* ---- where ---- */

static void add_replica(struct volume *volume, uint32_t node)
{
	volume->replicas[volume->n_replicas++] = (struct volume_replica){ .node = node };
}

/* In the order of --nodes: the first one begins. */
static int take_nodes(struct vol *vol, struct volume *volume, const char *list)
{
	uint64_t chosen;
	int status = nodes_choose(vol->cli, &vol->nodes, list, &chosen);

	if (status != EXIT_DONE)
		return status;
	if (strcmp(list, "all") == 0) {
		for (size_t i = 0; i < vol->nodes.n; i++) {
			if (chosen & nodes_bit(vol->nodes.node[i].node))
				add_replica(volume, vol->nodes.node[i].node.n);
		}
	}
	for (const char *at = list; strcmp(list, "all") != 0 && *at;) {
		size_t len = strcspn(at, ",");
		char word[DVS_NAME_MAX + 1];
		const struct dvk_node_info *node;

		snprintf(word, sizeof(word), "%.*s", (int)len, at);
		node = nodes_find(&vol->nodes, word);
		if (node && volume_replica_on(volume, node->node.n))
			return cli_usage(vol->cli, "--nodes names %s twice", node->name);
		if (node)
			add_replica(volume, node->node.n);
		at += len + (at[len] == ',');
	}
	return EXIT_DONE;
}

/* A node that has a place has a replica. What is no node is said when places are taken. */
static void choose_places(struct vol *vol, struct volume *volume)
{
	size_t cursor = 0;
	const char *text;

	while ((text = cli_each(vol->cli, OPTION_PLACE, &cursor)) != NULL) {
		const struct dvk_node_info *node;
		char name[DVS_NAME_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, "="), text);
		node = nodes_find(&vol->nodes, name);
		if (node && !volume_replica_on(volume, node->node.n))
			add_replica(volume, node->node.n);
	}
}

static int place_replicas(struct vol *vol, struct volume *volume)
{
	const char *list = vol->cli->values[OPTION_NODES];
	uint64_t n;
	int status;

	if (!cli_number(vol->cli, OPTION_REPLICAS, 1, DVS_NODES_MAX, 1, &n))
		return EXIT_USAGE;
	if (!list)
		choose_places(vol, volume);
	status = list ? take_nodes(vol, volume, list) : vol_choose_nodes(vol, n);
	if (status == EXIT_DONE && volume->n_replicas == 0)
		status = vol_note(vol, "no node is up and not drained; see 'dvs node ls'");
	return status == EXIT_DONE ? volumes_places(vol, volume) : status;
}

/* ---- */

static int print_created(struct vol *vol)
{
	json_t *nodes = json_array();

	for (uint32_t i = 0; i < vol->base.n_replicas && nodes; i++) {
		dvs_nodeid id = { vol->base.replicas[i].node };
		char name[DVS_NAME_MAX + 1];

		if (json_array_append_new(nodes, json_string(nodes_name(&vol->nodes, id, name))) ==
		    0)
			continue;
		json_decref(nodes);
		nodes = NULL;
	}
	return cli_result(vol->cli, vol->text,
			  json_pack("{s:s, s:I, s:s, s:o, s:I, s:s}", "name", vol->text, "bytes",
				    (json_int_t)vol->base.bytes, "store",
				    volume_stores[vol->base.store], "nodes", nodes, "endpoint",
				    (json_int_t)vol->base.endpoint, "id", vol->base.id));
}

static int create(struct vol *vol)
{
	int status = take_options(vol->cli, &vol->base);

	if (status == EXIT_DONE)
		status = vol_check_new(vol);
	if (status == EXIT_DONE)
		status = place_replicas(vol, &vol->base);
	if (status == EXIT_DONE)
		status = vol_create(vol, !cli_has(vol->cli, OPTION_DETACH));
	return status == EXIT_DONE ? print_created(vol) : status;
}

int cmd_vol_create(struct cli *cli)
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));

	if (!volume)
		return cli_fail(cli, DVS_NOMEM, "create volume %s", cli->words[0]);
	if (take_options(cli, volume) != EXIT_DONE)
		return EXIT_USAGE;
	return vol_with(cli, cli->words[0], "create", VOL_NEW, create);
}
