/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/link.h"

#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"

#define RUN_DIR_DEFAULT "/run/dvs"
#define NAMES_MAX 256 /* names compared for a "did you mean" */

const char *link_run_dir(const struct cli *cli)
{
	const char *environment = getenv("DVS_RUN_DIR");

	if (cli_has(cli, OPTION_RUN_DIR))
		return cli->values[OPTION_RUN_DIR];
	return environment && environment[0] ? environment : RUN_DIR_DEFAULT;
}

int link_fail_admin(struct cli *cli, dvs_err err)
{
	const char *hint = dvs_err_hint(err);

	if (err == DVS_NODVSD)
		hint = "start dvsd, or name its run directory with --run-dir; for a node of a "
		       "lab say 'dvs lab exec n0 -- dvs ...'";
	if (err == DVS_DENIED)
		hint = "only root and the user who runs dvsd may manage it";
	return cli_fail_hint(cli, err, hint, "reach dvsd in %s", link_run_dir(cli));
}

int link_open_admin(struct cli *cli, struct link *link)
{
	dvs_err err;

	*link = (struct link){ .admin = true };
	err = dvk_admin_open(link_run_dir(cli), &link->dvk);
	return err == DVS_OK ? EXIT_DONE : link_fail_admin(cli, err);
}

static void set_dc(struct link *link, const char *dc)
{
	snprintf(link->dc, sizeof(link->dc), "%s", dc);
}

/* The control socket decides the DC: it is entered from the start. */
static dvs_err open_control(struct link *link)
{
	struct dvk_dc_info info;
	dvs_err err;

	*link = (struct link){ .admin = false };
	err = dvk_open(NULL, &link->dvk);
	if (err != DVS_OK)
		return err;
	err = dvk_dc_info(link->dvk, &info);
	if (err != DVS_OK) {
		link_close(link);
		return err;
	}
	set_dc(link, info.name);
	return DVS_OK;
}

int link_open(struct cli *cli, struct link *link)
{
	const char *control = getenv("DVS_CONTROL");
	bool inside = control && control[0];
	bool named = cli_has(cli, OPTION_RUN_DIR) || getenv("DVS_RUN_DIR");
	dvs_err admin_err = DVS_NODVSD;
	dvs_err err;

	/* DVS_CONTROL alone says that we are inside a DC. */
	if (named || !inside) {
		*link = (struct link){ .admin = true };
		admin_err = dvk_admin_open(link_run_dir(cli), &link->dvk);
		if (admin_err == DVS_OK)
			return EXIT_DONE;
	}
	if (cli_has(cli, OPTION_RUN_DIR))
		return link_fail_admin(cli, admin_err);
	err = open_control(link);
	if (err == DVS_OK)
		return EXIT_DONE;
	if (inside)
		return cli_fail(cli, err, "reach dvsd at %s", control);
	return link_fail_admin(cli, admin_err);
}

void link_close(struct link *link)
{
	dvk_close(link->dvk);
	link->dvk = NULL;
}

dvs_err link_try_enter(struct link *link, const char *dc)
{
	dvs_err err;

	if (strcmp(link->dc, dc) == 0)
		return DVS_OK;
	if (!link->admin)
		return DVS_NODC;
	err = dvk_admin_enter(link->dvk, dc);
	set_dc(link, err == DVS_OK ? dc : "");
	return err;
}

int link_enter(struct cli *cli, struct link *link, const char *dc)
{
	dvs_err err = link_try_enter(link, dc);

	if (err == DVS_OK)
		return EXIT_DONE;
	if (err == DVS_NODC)
		return link_fail_no_dc(cli, link, dc, "find");
	return cli_fail(cli, err, "enter dc %s", dc);
}

dvs_err link_next_dc(struct link *link, uint32_t *cursor, struct dvk_dc_info *info)
{
	dvs_err err;

	if (link->admin)
		return dvk_dc_next(link->dvk, cursor, info);
	if (*cursor != 0)
		return DVS_NODC;
	err = dvk_dc_info(link->dvk, info);
	*cursor = 1;
	return err;
}

int link_fail_no_dc(struct cli *cli, struct link *link, const char *dc, const char *what)
{
	struct dvk_dc_info *infos = calloc(NAMES_MAX, sizeof(*infos));
	const char *names[NAMES_MAX];
	const char *nearest;
	uint32_t cursor = 0;
	size_t n = 0;
	char hint[DVS_NAME_MAX + 32];

	while (infos && n < NAMES_MAX && link_next_dc(link, &cursor, &infos[n]) == DVS_OK) {
		names[n] = infos[n].name;
		n++;
	}
	nearest = nearest_word(dc, names, n);
	if (nearest) {
		snprintf(hint, sizeof(hint), "did you mean '%s'?", nearest);
		cli_fail_hint(cli, DVS_NODC, hint, "%s dc %s", what, dc);
	} else {
		cli_fail(cli, DVS_NODC, "%s dc %s", what, dc);
	}
	free(infos);
	return EXIT_FAILED;
}
