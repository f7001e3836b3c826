/* SPDX-License-Identifier: Apache-2.0 */
/* dvs verify: whether all nodes have the same state. */
#include <inttypes.h>

#include "manage/cli.h"
#include "manage/describe.h"
#include "manage/link.h"

/* A node that has not answered by then is stopped, or as good as. */
#define VERIFY_MS 10000

static const struct output_column columns[] = {
	{ "NODE", "node", false },     { "EPOCH", "epoch", false }, { "APPLIED", "applied", false },
	{ "DIGEST", "digest", false }, { "SAME", "same", false },
};

static const struct output_shape shape = { .list = "nodes",
					   .columns = columns,
					   .n_columns = ARRAY_LEN(columns) };

static json_t *describe(const struct dvk_node_digest *digest, bool same)
{
	char name[16];
	char text[17];

	(void)snprintf(name, sizeof(name), "%" PRIu32, digest->node.n);
	(void)snprintf(text, sizeof(text), "%016" PRIx64, digest->digest);
	return json_pack("{s:s, s:I, s:o, s:o, s:s, s:b}", "name", name, "node",
			 (json_int_t)digest->node.n, "epoch", describe_count(digest->epoch),
			 "applied", describe_count(digest->n_applied), "digest", text, "same",
			 same);
}

static int print(struct cli *cli, const struct dvk_node_digest *digests, uint32_t n)
{
	json_t *rows = json_array();
	bool equal = true;
	bool done = rows != NULL;

	for (uint32_t i = 0; i < n && done; i++) {
		bool same = digests[i].digest == digests[0].digest &&
			    digests[i].n_applied == digests[0].n_applied;

		equal = equal && same;
		done = json_array_append_new(rows, describe(&digests[i], same)) == 0;
	}
	done = done && output_rows(&cli->output, &shape, rows);
	json_decref(rows);
	if (!done)
		return cli_fail(cli, DVS_NOMEM, "print the digests");
	if (equal)
		return EXIT_DONE;
	return cli_fail_hint(
		cli, DVS_BADSTATE,
		"that is a defect: keep the logs of all nodes, and restart dvsd on those that "
		"differ from the others",
		"verify: the nodes have different states");
}

int cmd_verify(struct cli *cli)
{
	struct dvk_node_digest digests[DVS_NODES_MAX];
	uint32_t n = 0;
	struct link link;
	dvs_err err;
	int status = link_open_admin(cli, &link);

	if (status != EXIT_DONE)
		return status;
	err = dvk_verify(link.dvk, VERIFY_MS, digests, &n);
	if (err == DVS_TIMEOUT)
		status = cli_fail_hint(cli, err,
				       "see with 'dvs node ls' which node is away or stopped",
				       "verify: not all nodes have answered");
	else if (err != DVS_OK)
		status = cli_fail(cli, err, "verify");
	else
		status = print(cli, digests, n);
	link_close(&link);
	return status;
}
