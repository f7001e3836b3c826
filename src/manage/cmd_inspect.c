/* SPDX-License-Identifier: Apache-2.0 */
/* dvs inspect: everything about a DC or an endpoint. */
#include <string.h>

#include "manage/cli.h"
#include "manage/container/describe.h"
#include "manage/describe.h"
#include "manage/snapshot.h"
#include "manage/target.h"

/* One row of the snapshot, with its privileges. */
static json_t *describe_row(const struct snapshot_row *row)
{
	json_t *object = describe_endpoint(row->dc, &row->info);

	if (json_object_set_new(object, "privileges", describe_privileges(&row->info.privileges)) !=
	    0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *describe_rows(const struct snapshot *snapshot)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < snapshot->n_rows; i++) {
		if (json_array_append_new(rows, describe_row(&snapshot->rows[i])) != 0) {
			json_decref(rows);
			return NULL;
		}
	}
	return rows;
}

/* An endpoint and its privileges as one list of fields. */
static bool print_endpoint_fields(struct cli *cli, json_t *endpoint)
{
	json_t *fields = json_copy(endpoint);
	bool done = json_object_update(fields, json_object_get(endpoint, "privileges")) == 0 &&
		    output_fields(&cli->output, &describe_endpoint_fields, fields);

	json_decref(fields);
	return done;
}

/* DOCUMENT as a text for people. False: memory ran out. */
static bool print_dc(struct cli *cli, const json_t *document)
{
	json_t *endpoints = json_object_get(document, "endpoints");

	if (!output_fields(&cli->output, &describe_dc_fields, json_object_get(document, "dc")))
		return false;
	if (!describe_print_containers(&cli->output, json_object_get(document, "containers")))
		return false;
	if (json_array_size(endpoints) == 0)
		return true;
	fputc('\n', cli->output.file);
	return output_rows(&cli->output, &describe_endpoints_shape, endpoints);
}

static bool print_endpoint(struct cli *cli, const json_t *document)
{
	json_t *endpoint = json_object_get(document, "endpoint");
	json_t *backups = json_object_get(document, "backups");

	if (!print_endpoint_fields(cli, endpoint))
		return false;
	if (json_array_size(backups) == 0)
		return true;
	fputs("\nBackups:\n", cli->output.file);
	return output_rows(&cli->output, &describe_endpoints_shape, backups);
}

/* Print DOCUMENT, which is freed, as JSON or as PRINT does. */
static int print_document(struct cli *cli, json_t *document,
			  bool (*print)(struct cli *cli, const json_t *document))
{
	bool done;

	if (cli->output.format == OUTPUT_JSON || !document) {
		done = output_document(&cli->output, document, false);
	} else {
		done = print(cli, document);
		json_decref(document);
	}
	return done ? EXIT_DONE : cli_fail(cli, DVS_NOMEM, "print the description");
}

static int inspect_dc(struct cli *cli, struct link *link)
{
	struct dvk_dc_info dc;
	struct dvk_dvs_info dvs;
	struct snapshot snapshot;
	json_t *containers = NULL;
	dvs_err err;
	int status = snapshot_take(cli, link, link->dc, &snapshot);

	if (status == EXIT_DONE)
		status = describe_containers(cli, link, link->dc, &containers);
	if (status == EXIT_DONE) {
		err = dvk_dc_info(link->dvk, &dc);
		if (err == DVS_OK)
			err = dvk_dvs_info(link->dvk, &dvs);
		if (err == DVS_OK)
			status = print_document(cli,
						json_pack("{s:o, s:O, s:o, s:o}", "dc",
							  describe_dc(&dc), "containers",
							  containers, "dvs", describe_dvs(&dvs),
							  "endpoints", describe_rows(&snapshot)),
						print_dc);
		else
			status = cli_fail(cli, err, "inspect dc %s", link->dc);
	}
	json_decref(containers);
	snapshot_free(&snapshot);
	return status;
}

/* Leave only the backups of number NUMBER in SNAPSHOT. */
static void keep_backups(struct snapshot *snapshot, uint32_t number)
{
	size_t kept = 0;

	for (size_t i = 0; i < snapshot->n_rows; i++) {
		const struct dvk_endpoint_info *info = &snapshot->rows[i].info;

		if (dvs_ep_number(info->ep) == number && info->kind == DVK_BACKUP)
			snapshot->rows[kept++] = snapshot->rows[i];
	}
	snapshot->n_rows = kept;
}

static int inspect_endpoint(struct cli *cli, struct link *link, const char *name, dvs_ep ep)
{
	struct snapshot_row row = { .dc_id = { 0 } };
	struct snapshot backups = { .rows = NULL };
	dvs_err err = dvk_endpoint_info(link->dvk, ep, &row.info);
	int status = EXIT_DONE;

	if (err != DVS_OK)
		return cli_fail(cli, err, "inspect %s", name);
	memcpy(row.dc, link->dc, sizeof(row.dc));
	if (row.info.n_backups > 0) {
		status = snapshot_take(cli, link, link->dc, &backups);
		keep_backups(&backups, dvs_ep_number(ep));
	}
	if (status == EXIT_DONE)
		status = print_document(cli,
					json_pack("{s:o, s:o}", "endpoint", describe_row(&row),
						  "backups", describe_rows(&backups)),
					print_endpoint);
	snapshot_free(&backups);
	return status;
}

int cmd_inspect(struct cli *cli)
{
	struct target target;
	struct link link;
	int status;

	if (!target_parse(cli, cli->words[0], &target))
		return EXIT_USAGE;
	status = link_open(cli, &link);
	if (status != EXIT_DONE)
		return status;
	status = link_enter(cli, &link, target.dc);
	if (status == EXIT_DONE && target.has_ep)
		status = inspect_endpoint(cli, &link, cli->words[0], target.ep);
	else if (status == EXIT_DONE)
		status = inspect_dc(cli, &link);
	link_close(&link);
	return status;
}

int cmd_dc_inspect(struct cli *cli)
{
	struct link link;
	int status;

	if (!target_check_dc_name(cli, cli->words[0]))
		return EXIT_USAGE;
	status = link_open(cli, &link);
	if (status != EXIT_DONE)
		return status;
	status = link_enter(cli, &link, cli->words[0]);
	if (status == EXIT_DONE)
		status = inspect_dc(cli, &link);
	link_close(&link);
	return status;
}
