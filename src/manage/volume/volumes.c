/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/volume/volumes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "manage/container/limits.h"

/* How long the servers of a volume may take to end. */
#define END_MS 10000u

int volumes_size(struct cli *cli, const char *text, uint64_t *bytes)
{
	if (!limits_size(text, bytes))
		return cli_usage(cli, "'%s' is no size; give bytes, as 10737418240, 10G or 1.5T",
				 text);
	if (*bytes == 0 || *bytes > VOLUME_BYTES_MAX)
		return cli_usage(cli, "'%s' is no size of a volume: it has 4096 bytes to 16T",
				 text);
	if (*bytes % VOLUME_BLOCK_BYTES == 0)
		return EXIT_DONE;
	return cli_usage(
		cli, "the size must be a multiple of %u bytes; %s is %llu bytes, give %llu",
		VOLUME_BLOCK_BYTES, text, (unsigned long long)*bytes,
		(unsigned long long)(*bytes / VOLUME_BLOCK_BYTES + 1) * VOLUME_BLOCK_BYTES);
}

int volumes_rate(struct cli *cli, uint64_t *bytes_per_s)
{
	const char *text = cli->values[OPTION_RESYNC_RATE];

	*bytes_per_s = 0;
	if (!text || strcmp(text, "none") == 0)
		return EXIT_DONE;
	if (limits_size(text, bytes_per_s) && *bytes_per_s > 0)
		return EXIT_DONE;
	return cli_usage(cli,
			 "--resync-rate does not take '%s'; give bytes a second, as 100M, or none",
			 text);
}

int volumes_lag(struct cli *cli, uint64_t *bytes)
{
	const char *text = cli->values[OPTION_LAG];

	if (limits_size(text, bytes) && *bytes > 0 && *bytes <= VOLUME_LAG_MAX)
		return EXIT_DONE;
	return cli_usage(cli, "--lag does not take '%s'; give bytes up to 1T, as 64M", text);
}

/* ---- places ---- */

/* The entry of --place: NODE=PATH. */
static int take_place(struct vol *vol, struct volume *volume, const char *text)
{
	const char *equals = strchr(text, '=');
	const struct dvk_node_info *node;
	struct volume_replica *replica;
	char name[DVS_NAME_MAX + 1];

	if (!equals || equals == text || equals - text > DVS_NAME_MAX)
		return cli_usage(vol->cli,
				 "--place does not take '%s'; give NODE=PATH, as n0=/dev/vdb",
				 text);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
	node = nodes_named(vol->cli, &vol->nodes, name);
	if (!node)
		return EXIT_USAGE;
	replica = volume_replica_on(volume, node->node.n);
	if (!replica)
		return cli_usage(vol->cli, "--place %s: node %s gets no replica; see --nodes", text,
				 node->name);
	if (replica->place[0])
		return cli_usage(vol->cli, "--place %s: node %s has a place already", text,
				 node->name);
	if (strlen(equals + 1) > VOLUME_PLACE_MAX)
		return cli_usage(vol->cli, "--place %s=...: it is longer than %d bytes", node->name,
				 VOLUME_PLACE_MAX);
	snprintf(replica->place, sizeof(replica->place), "%s", equals + 1);
	return EXIT_DONE;
}

int volumes_places(struct vol *vol, struct volume *volume)
{
	size_t cursor = 0;
	const char *text;
	int status = EXIT_DONE;

	while (status == EXIT_DONE && (text = cli_each(vol->cli, OPTION_PLACE, &cursor)) != NULL)
		status = take_place(vol, volume, text);
	for (uint32_t i = 0; status == EXIT_DONE && i < volume->n_replicas; i++) {
		dvs_nodeid id = { volume->replicas[i].node };
		const char *place = volume->replicas[i].place;
		char name[DVS_NAME_MAX + 1];
		const char *why;

		if (volume_place_ok(volume->store, place, &why))
			continue;
		nodes_name(&vol->nodes, id, name);
		status = cli_usage(vol->cli, "--place %s=%s: %s", name, place[0] ? place : "...",
				   why);
	}
	return status;
}

bool volumes_new_id(char id[37])
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		return false;
	/* A random one, as RFC 9562 says. */
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(id, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		 b[13], b[14], b[15]);
	return true;
}

/* ---- away ---- */

/* Its view, and what its servers have said. They have its id in their names: what cannot be removed does no harm. */
static void forget_rest(struct vol *vol, const char *id)
{
	char prefix[DVS_NAME_MAX + 1];
	char key[DVS_NAME_MAX + 1];
	char value[DVK_VALUE_MAX];
	uint64_t version;
	size_t len = 0;
	dvs_err err;

	snprintf(key, sizeof(key), "view/%s", id);
	err = dvk_record_remove(vol->link.dvk, vol->dc, key);
	snprintf(prefix, sizeof(prefix), "volume-why/%s/", id);
	snprintf(key, sizeof(key), "%s", prefix);
	while ((err == DVS_OK || err == DVS_NOTFOUND) &&
	       dvk_record_next(vol->link.dvk, vol->dc, key, value, &len, &version) == DVS_OK &&
	       strncmp(key, prefix, strlen(prefix)) == 0)
		err = dvk_record_remove(vol->link.dvk, vol->dc, key);
}

/* Nobody has it as a block device any more; that there is no such record is as well. */
static void forget_holders(struct vol *vol, const char *id)
{
	char key[DVS_NAME_MAX + 1];

	claim_key(id, key);
	if (dvk_record_remove(vol->link.dvk, vol->dc, key) == DVS_NOQUORUM)
		cli_note(vol->cli, "remove volume %s: its record %s stays: no quorum", vol->text,
			 key);
}

/* Until nobody is bound to its endpoint. */
static dvs_err wait_end(struct vol *vol, uint32_t endpoint)
{
	struct dvk *dvk;
	dvs_err err = volume_dc_open(link_run_dir(vol->cli), vol->dc, &dvk);

	if (err != DVS_OK)
		return err;
	err = dvk_wait_unbind(dvk, dvs_ep_of(endpoint), END_MS);
	dvk_close(dvk);
	return err;
}

int vol_forget(struct vol *vol, const struct volume *volume)
{
	char key[DVS_NAME_MAX + 1];
	dvs_err err;

	volume_key(volume->name, key);
	err = dvk_record_remove(vol->link.dvk, vol->dc, key);
	if (err != DVS_OK && err != DVS_NOTFOUND)
		return vol_fail(vol, err);
	forget_holders(vol, volume->id);
	if (volume->n_replicas == 0)
		return EXIT_DONE;
	/* Our own endpoint in that DC would keep us from entering it again. */
	vol_leave(vol);
	if (wait_end(vol, volume->endpoint) == DVS_TIMEOUT)
		cli_note(vol->cli,
			 "%s volume %s: its server has not ended yet; it does when its node can",
			 vol->what, vol->text);
	forget_rest(vol, volume->id);
	return EXIT_DONE;
}
