/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_dvk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manage/cli.h"

struct dvk {
	int admin;
	struct fake_dc *dc;
};

struct dvk_trace {
	int open;
};

struct fake *fake(void)
{
	static struct fake the_fake;

	return &the_fake;
}

struct fake_dc *fake_add_dc(const char *name)
{
	struct fake_dc *dc = &fake()->dcs[fake()->n_dcs++];

	dc->info = (struct dvk_dc_info){ .id = { fake()->n_dcs }, .owner_uid = 4242424 };
	snprintf(dc->info.name, sizeof(dc->info.name), "%s", name);
	return dc;
}

struct dvk_endpoint_info *fake_add_endpoint(struct fake_dc *dc, uint32_t number,
					    uint32_t generation, const char *program)
{
	struct dvk_endpoint_info *info = &dc->endpoints[dc->n_endpoints++];

	*info = (struct dvk_endpoint_info){
		.ep = { generation << DVS_EP_NUMBER_BITS | number },
		.kind = DVK_LOCAL,
		.node = { 1 },
		.pid = 100 + (pid_t)number,
		.tid = 100 + (pid_t)number,
		.activity = DVK_RECEIVING,
		.partner = dvs_ep_any(),
		.privileges = { .may = DVS_MAY_BIND | DVS_MAY_GRANT,
				.n_call_to = 1,
				.call_to = { { 0, DVS_EP_NUMBER_MAX } } },
	};
	strncpy(info->program, program, sizeof(info->program) - 1);
	dc->info.n_endpoints++;
	return info;
}

void fake_add_record(dvs_err err, uint64_t lost, const char *what, uint32_t partner, uint32_t type)
{
	struct fake_record *record = &fake()->records[fake()->n_records++];

	*record = (struct fake_record){ .err = err, .lost = lost };
	record->record.time_ns = 1000;
	record->record.self.n = 1u << DVS_EP_NUMBER_BITS | 17;
	record->record.partner.n = partner;
	record->record.type = type;
	snprintf(record->record.what, sizeof(record->record.what), "%s", what);
}

static struct fake_dc *find_dc(const char *name)
{
	for (uint32_t i = 0; i < fake()->n_dcs; i++) {
		if (strcmp(fake()->dcs[i].info.name, name) == 0)
			return &fake()->dcs[i];
	}
	return NULL;
}

static dvs_err open_link(struct dvk **dvk, int admin)
{
	*dvk = calloc(1, sizeof(**dvk));
	if (!*dvk)
		return DVS_NOMEM;
	(*dvk)->admin = admin;
	(*dvk)->dc = admin ? NULL : &fake()->dcs[fake()->control_dc];
	fake()->n_open++;
	return DVS_OK;
}

dvs_err dvk_open(const char *path, struct dvk **dvk)
{
	if (path && !strstr(path, "/dc/"))
		return DVS_BADARG;
	return fake()->control_err == DVS_OK ? open_link(dvk, 0) : fake()->control_err;
}

dvs_err dvk_admin_open(const char *run_dir, struct dvk **admin)
{
	snprintf(fake()->run_dir, sizeof(fake()->run_dir), "%s", run_dir);
	return fake()->admin_err == DVS_OK ? open_link(admin, 1) : fake()->admin_err;
}

void dvk_close(struct dvk *dvk)
{
	fake()->n_open -= dvk != NULL;
	free(dvk);
}

dvs_err dvk_dc_create(struct dvk *admin, const char *name, uint32_t owner_uid, dvs_dcid *id)
{
	struct fake_dc *dc;

	if (!admin->admin)
		return DVS_DENIED;
	if (fake()->create_err != DVS_OK)
		return fake()->create_err;
	if (find_dc(name))
		return DVS_EXISTS;
	dc = fake_add_dc(name);
	dc->info.owner_uid = owner_uid;
	*id = dc->info.id;
	return DVS_OK;
}

dvs_err dvk_dc_remove(struct dvk *admin, const char *name, int force)
{
	struct fake_dc *dc = find_dc(name);

	if (!admin->admin)
		return DVS_DENIED;
	if (!dc)
		return DVS_NODC;
	if (dc->n_endpoints > 0 && !force)
		return DVS_BADSTATE;
	dc->info.name[0] = '\0';
	return DVS_OK;
}

dvs_err dvk_dc_next(struct dvk *admin, uint32_t *cursor, struct dvk_dc_info *info)
{
	if (!admin->admin)
		return DVS_DENIED;
	while (*cursor < fake()->n_dcs) {
		*info = fake()->dcs[(*cursor)++].info;
		if (info->name[0])
			return DVS_OK;
	}
	return DVS_NODC;
}

dvs_err dvk_link_next(struct dvk *admin, uint32_t *cursor, struct dvk_link_info *info)
{
	if (!admin->admin)
		return DVS_DENIED;
	if (*cursor >= fake()->n_links)
		return DVS_NODEST;
	*info = fake()->links[(*cursor)++];
	return DVS_OK;
}

dvs_err dvk_admin_enter(struct dvk *admin, const char *name)
{
	admin->dc = find_dc(name);
	return admin->dc ? DVS_OK : DVS_NODC;
}

dvs_err dvk_dvs_info(struct dvk *dvk, struct dvk_dvs_info *info)
{
	(void)dvk;
	*info = (struct dvk_dvs_info){ .node = { 1 },
				       .n_nodes = 1,
				       .n_dcs = fake()->n_dcs,
				       .dvsd_pid = 77,
				       .version = "9.9" };
	return DVS_OK;
}

dvs_err dvk_dc_info(struct dvk *dvk, struct dvk_dc_info *info)
{
	if (!dvk->dc)
		return DVS_NODC;
	*info = dvk->dc->info;
	return DVS_OK;
}

dvs_err dvk_endpoint_info(struct dvk *dvk, dvs_ep ep, struct dvk_endpoint_info *info)
{
	for (uint32_t i = 0; i < dvk->dc->n_endpoints; i++) {
		*info = dvk->dc->endpoints[i];
		if (dvs_ep_number(info->ep) == dvs_ep_number(ep) && info->kind != DVK_BACKUP &&
		    (dvs_ep_generation(ep) == 0 || info->ep.n == ep.n))
			return DVS_OK;
	}
	return DVS_NODEST;
}

dvs_err dvk_endpoint_next(struct dvk *dvk, uint64_t *cursor, struct dvk_endpoint_info *info)
{
	struct dvk_endpoint_info *found;

	if (*cursor >= dvk->dc->n_endpoints)
		return fake()->next_err == DVS_OK ? DVS_NODEST : fake()->next_err;
	found = &dvk->dc->endpoints[(*cursor)++];
	*info = *found;
	found->messages_in += fake()->per_look;
	found->messages_out += fake()->per_look;
	return DVS_OK;
}

dvs_err dvk_trace_open(struct dvk *dvk, dvs_ep ep, struct dvk_trace **trace)
{
	struct dvk_endpoint_info info;
	dvs_err err = dvk_endpoint_info(dvk, ep, &info);

	if (err != DVS_OK)
		return err;
	*trace = calloc(1, sizeof(**trace));
	return *trace ? DVS_OK : DVS_NOMEM;
}

dvs_err dvk_trace_next(struct dvk_trace *trace, uint32_t timeout_ms,
		       struct dvk_trace_record *record, uint64_t *lost)
{
	const struct fake_record *next = &fake()->records[fake()->next_record];

	(void)trace;
	(void)timeout_ms;
	if (fake()->next_record == fake()->n_records)
		return DVS_PEERDEAD;
	fake()->next_record++;
	*record = next->record;
	*lost = next->lost;
	return next->err;
}

void dvk_trace_close(struct dvk_trace *trace)
{
	free(trace);
}

/* The benchmarks are not linked here: show what would reach them. */
int cmd_bench(struct cli *cli)
{
	for (int i = 0; i < cli->n_rest; i++)
		fprintf(cli->output.file, "%s\n", cli->rest[i]);
	return EXIT_DONE;
}

int cmd_fs_export(struct cli *cli)
{
	return cmd_fs_import(cli);
}

int cmd_fs_snapshot(struct cli *cli)
{
	return cmd_fs_import(cli);
}

int cmd_fs_import(struct cli *cli)
{
	for (int i = 0; i < cli->n_rest; i++)
		fprintf(cli->output.file, "%s\n", cli->rest[i]);
	return EXIT_DONE;
}

/* ---- nodes: two, of which this is the first ---- */

dvs_err dvk_node_next(struct dvk *dvk, uint32_t *cursor, struct dvk_node_info *info)
{
	static const struct dvk_node_info nodes[] = {
		{ .node = { 0 },
		  .name = "farm",
		  .address = "10.0.0.1",
		  .state = DVK_NODE_UP,
		  .is_self = 1,
		  .is_quorate = 1,
		  .n_endpoints = 2,
		  .epoch = 3,
		  .n_applied = 40 },
		{ .node = { 1 }, .name = "barn", .address = "10.0.0.2", .state = DVK_NODE_DOWN },
	};

	(void)dvk;
	if (*cursor > 1)
		return DVS_NODEST;
	*info = nodes[(*cursor)++];
	if (fake()->barn_is_up)
		info->state = DVK_NODE_UP;
	return DVS_OK;
}

dvs_err dvk_node_drain(struct dvk *admin, dvs_nodeid node, int on, uint32_t *n_left)
{
	(void)admin;
	(void)on;
	*n_left = 0;
	return node.n <= 1 ? DVS_OK : DVS_NODEST;
}

dvs_err dvk_node_remove(struct dvk *admin, dvs_nodeid node)
{
	(void)admin;
	return node.n == 0 ? DVS_BADSTATE : DVS_OK;
}

dvs_err dvk_verify(struct dvk *admin, uint32_t timeout_ms, struct dvk_node_digest *digests,
		   uint32_t *n_digests)
{
	(void)admin;
	(void)timeout_ms;
	digests[0] = (struct dvk_node_digest){ { 0 }, 3, 40, 0xabc };
	digests[1] = (struct dvk_node_digest){ { 1 }, 3, 40, fake()->nodes_differ ? 0xdef : 0xabc };
	*n_digests = 2;
	return DVS_OK;
}

dvs_err dvk_watch(struct dvk *admin)
{
	(void)admin;
	return DVS_OK;
}

dvs_err dvk_event_next(struct dvk *admin, uint32_t timeout_ms, struct dvk_event *event,
		       uint64_t *n_lost)
{
	(void)admin;
	(void)timeout_ms;
	*event = (struct dvk_event){ .time_ns = 1000000000,
				     .what = "bound",
				     .node = { 1 },
				     .dc = "web",
				     .ep = { 17 | 1 << DVS_EP_NUMBER_BITS } };
	*n_lost = 0;
	return DVS_OK;
}
