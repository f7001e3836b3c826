/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol replica add and rm. */
#include <string.h>

#include "manage/volume/replica.h"

static int print_done(struct vol *vol, const char *what, const struct dvk_node_info *node)
{
	return cli_result(vol->cli, vol->text,
			  json_pack("{s:s, s:s}", "name", vol->text, what, node->name));
}

static int find_node(struct vol *vol, const struct dvk_node_info **node)
{
	*node = NULL;
	if (vol->volume.of[0]) {
		(void)vol_note(vol, "a clone is where its volume is; name that: %s/%s", vol->dc,
			       vol->volume.of);
		return EXIT_FAILURE;
	}
	*node = nodes_named(vol->cli, &vol->nodes, vol->cli->words[2]);
	return *node ? EXIT_DONE : EXIT_USAGE;
}

static int check_place(struct vol *vol, const char *place)
{
	const char *why;

	if (strlen(place) > VOLUME_PLACE_MAX)
		return cli_usage(vol->cli, "--place: it is longer than %d bytes", VOLUME_PLACE_MAX);
	if (volume_place_ok(vol->base.store, place, &why))
		return EXIT_DONE;
	return cli_usage(vol->cli, "--place%s%s: %s", place[0] ? " " : "", place, why);
}

static int add_replica(struct vol *vol)
{
	const char *place = cli_has(vol->cli, OPTION_PLACE) ? vol->cli->values[OPTION_PLACE] : "";
	const struct dvk_node_info *node;
	int status = find_node(vol, &node);

	if (status == EXIT_DONE)
		status = check_place(vol, place);
	if (status == EXIT_DONE)
		status = vol_add_replica(vol, node, place, !cli_has(vol->cli, OPTION_DETACH));
	return status == EXIT_DONE ? print_done(vol, "added", node) : status;
}

static int remove_replica(struct vol *vol)
{
	const struct dvk_node_info *node;
	int status = find_node(vol, &node);

	if (status == EXIT_DONE)
		status = vol_remove_replica(vol, node, cli_has(vol->cli, OPTION_FORCE));
	return status == EXIT_DONE ? print_done(vol, "removed", node) : status;
}

int cmd_vol_replica(struct cli *cli)
{
	bool adds = strcmp(cli->words[0], "add") == 0;

	if (!adds && strcmp(cli->words[0], "rm") != 0)
		return cli_usage(cli, "'%s' is nothing that it can do; say add or rm",
				 cli->words[0]);
	if (!adds && cli_has(cli, OPTION_PLACE))
		return cli_usage(cli, "--place is for 'replica add'");
	if (adds && cli_has(cli, OPTION_FORCE))
		return cli_usage(cli, "--force is for 'replica rm'");
	return vol_with(cli, cli->words[1], adds ? "add a replica of" : "remove a replica of",
			VOL_VOLUME, adds ? add_replica : remove_replica);
}
