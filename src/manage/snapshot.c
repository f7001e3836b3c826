/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void snapshot_free(struct snapshot *snapshot)
{
	free(snapshot->rows);
	*snapshot = (struct snapshot){ .rows = NULL };
}

/* Room for one more row, or NULL. */
static struct snapshot_row *next_row(struct snapshot *snapshot)
{
	if (snapshot->n_rows == snapshot->room) {
		size_t room = snapshot->room ? 2 * snapshot->room : 64;
		struct snapshot_row *rows =
			reallocarray(snapshot->rows, room, sizeof(*snapshot->rows));

		if (!rows)
			return NULL;
		snapshot->rows = rows;
		snapshot->room = room;
	}
	return &snapshot->rows[snapshot->n_rows];
}

/* The endpoints of the DC that LINK has entered. */
static int add_dc(struct cli *cli, struct link *link, dvs_dcid id, struct snapshot *snapshot)
{
	uint64_t cursor = 0;

	for (;;) {
		struct snapshot_row *row = next_row(snapshot);
		dvs_err err;

		if (!row)
			return cli_fail(cli, DVS_NOMEM, "list the endpoints of dc %s", link->dc);
		*row = (struct snapshot_row){ .dc_id = id };
		err = dvk_endpoint_next(link->dvk, &cursor, &row->info);
		/* NODC: the DC was removed while we looked. */
		if (err == DVS_NODEST || err == DVS_NODC)
			return EXIT_DONE;
		if (err != DVS_OK)
			return cli_fail(cli, err, "list the endpoints of dc %s", link->dc);
		memcpy(row->dc, link->dc, sizeof(row->dc));
		snapshot->n_rows++;
	}
}

static int add_all(struct cli *cli, struct link *link, struct snapshot *snapshot)
{
	uint32_t cursor = 0;
	int status = EXIT_DONE;

	while (status == EXIT_DONE) {
		struct dvk_dc_info info;
		dvs_err err = link_next_dc(link, &cursor, &info);

		if (err == DVS_NODC)
			break;
		if (err != DVS_OK)
			return cli_fail(cli, err, "list the dcs");
		err = link_try_enter(link, info.name);
		if (err == DVS_OK)
			status = add_dc(cli, link, info.id, snapshot);
		else if (err != DVS_NODC)
			status = cli_fail(cli, err, "enter dc %s", info.name);
	}
	return status;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_rows(const void *a_void, const void *b_void)
{
	const struct snapshot_row *a = a_void;
	const struct snapshot_row *b = b_void;
	int order = strcmp(a->dc, b->dc);

	if (order == 0)
		order = compare_u64(dvs_ep_number(a->info.ep), dvs_ep_number(b->info.ep));
	if (order == 0)
		order = compare_u64(a->info.kind == DVK_BACKUP, b->info.kind == DVK_BACKUP);
	if (order == 0)
		order = compare_u64(dvs_ep_generation(a->info.ep), dvs_ep_generation(b->info.ep));
	if (order == 0)
		order = compare_u64(a->info.node.n, b->info.node.n);
	if (order == 0)
		order = compare_u64((uint64_t)a->info.pid, (uint64_t)b->info.pid);
	return order;
}

int snapshot_take(struct cli *cli, struct link *link, const char *dc, struct snapshot *snapshot)
{
	int status;

	*snapshot = (struct snapshot){ .taken_ns = clock_now_ns() };
	if (dc) {
		struct dvk_dc_info info;
		dvs_err err;

		status = link_enter(cli, link, dc);
		if (status != EXIT_DONE)
			return status;
		err = dvk_dc_info(link->dvk, &info);
		if (err == DVS_NODC)
			return link_fail_no_dc(cli, link, dc, "find");
		if (err != DVS_OK)
			return cli_fail(cli, err, "look at dc %s", dc);
		status = add_dc(cli, link, info.id, snapshot);
	} else {
		status = add_all(cli, link, snapshot);
	}
	if (snapshot->n_rows > 0)
		qsort(snapshot->rows, snapshot->n_rows, sizeof(*snapshot->rows), compare_rows);
	return status;
}
