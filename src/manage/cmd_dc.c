/* SPDX-License-Identifier: Apache-2.0 */
/* dvs dc: create, list and remove DCs. */
#include <pwd.h>
#include <unistd.h>

#include "manage/cli.h"
#include "manage/describe.h"
#include "manage/link.h"
#include "manage/target.h"

/* What a command has made or removed: its name, or a document with MEMBERS (which it frees). */
static int print_result(struct cli *cli, const char *name, json_t *members)
{
	if (cli->output.format == OUTPUT_JSON) {
		if (!output_document(&cli->output, members, false))
			return cli_fail(cli, DVS_NOMEM, "print the result");
		return EXIT_DONE;
	}
	if (cli->output.format == OUTPUT_NAME)
		fprintf(cli->output.file, "%s\n", name);
	json_decref(members);
	return EXIT_DONE;
}

static bool owner_of(struct cli *cli, uint32_t *uid)
{
	const char *text = cli->values[OPTION_OWNER];
	const struct passwd *user;
	uint64_t number;

	if (text && !(text[0] >= '0' && text[0] <= '9')) {
		user = getpwnam(text);
		if (!user) {
			cli_usage(cli, "there is no user '%s'; give a name or a number", text);
			return false;
		}
		*uid = user->pw_uid;
		return true;
	}
	/* The largest number means "no user" to the kernel. */
	if (!cli_number(cli, OPTION_OWNER, 0, UINT32_MAX - 1, getuid(), &number))
		return false;
	*uid = (uint32_t)number;
	return true;
}

int cmd_dc_create(struct cli *cli)
{
	const char *name = cli->words[0];
	struct link link;
	uint32_t uid;
	dvs_dcid id;
	dvs_err err;
	int status;

	if (!target_check_dc_name(cli, name) || !owner_of(cli, &uid))
		return EXIT_USAGE;
	status = link_open_admin(cli, &link);
	if (status != EXIT_DONE)
		return status;
	err = dvk_dc_create(link.dvk, name, uid, &id);
	if (err == DVS_OK)
		status = print_result(cli, name,
				      json_pack("{s:s, s:I, s:I}", "name", name, "id",
						(json_int_t)id.n, "owner_uid", (json_int_t)uid));
	else
		status = cli_fail(cli, err, "create dc %s", name);
	link_close(&link);
	return status;
}

static int list_dcs(struct cli *cli, struct link *link, json_t *rows)
{
	struct dvk_dc_info info;
	uint32_t cursor = 0;
	dvs_err err;

	while ((err = link_next_dc(link, &cursor, &info)) == DVS_OK) {
		if (json_array_append_new(rows, describe_dc(&info)) != 0)
			return cli_fail(cli, DVS_NOMEM, "list the dcs");
	}
	if (err != DVS_NODC)
		return cli_fail(cli, err, "list the dcs");
	if (!output_rows(&cli->output, &describe_dcs_shape, rows))
		return cli_fail(cli, DVS_NOMEM, "list the dcs");
	return EXIT_DONE;
}

int cmd_dc_ls(struct cli *cli)
{
	struct link link;
	json_t *rows;
	int status = link_open(cli, &link);

	if (status != EXIT_DONE)
		return status;
	rows = json_array();
	status = rows ? list_dcs(cli, &link, rows) : cli_fail(cli, DVS_NOMEM, "list the dcs");
	json_decref(rows);
	link_close(&link);
	return status;
}

int cmd_dc_rm(struct cli *cli)
{
	const char *name = cli->words[0];
	struct link link;
	dvs_err err;
	int status;

	if (!target_check_dc_name(cli, name))
		return EXIT_USAGE;
	status = link_open_admin(cli, &link);
	if (status != EXIT_DONE)
		return status;
	err = dvk_dc_remove(link.dvk, name, cli_has(cli, OPTION_FORCE));
	if (err == DVS_OK)
		status = print_result(cli, name, json_pack("{s:s}", "name", name));
	else if (err == DVS_NODC)
		status = link_fail_no_dc(cli, &link, name, "remove");
	else if (err == DVS_BADSTATE)
		status = cli_fail_hint(
			cli, err,
			"endpoints are bound in it ('dvs ep ls' lists them): end their "
			"programs, or use --force",
			"remove dc %s", name);
	else
		status = cli_fail(cli, err, "remove dc %s", name);
	link_close(&link);
	return status;
}
