/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cluster/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/cluster/files.h"
#include "manage/cluster/machine.h"

#define SECRET_MODE 0600
#define PUBLIC_MODE 0644

const char *const place_commands[PLACE_COMMANDS][5] = {
	{ "systemctl", "enable", "corosync", "dvsd", NULL },
	{ "systemctl", "restart", "corosync", "dvsd", NULL },
};

int place_check(struct cli *cli, const char *what, const struct config *node)
{
	int status = machine_is_root(cli, what);

	if (status == EXIT_DONE)
		status = machine_has_corosync(cli, what);
	if (status == EXIT_DONE)
		status = machine_is_free(cli, what);
	if (status == EXIT_DONE)
		status = machine_has_address(cli, what, node->address);
	if (status == EXIT_DONE)
		status = machine_has_ports(cli, what, node->address, node->port, node->node);
	return status;
}

static bool add_text(struct files *files, const char *path, mode_t mode, const char *text)
{
	return files_add(files, path, mode, false, text, strlen(text)) == DVS_OK;
}

static bool add_config(struct files *files, const struct config *config)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);

	if (!file)
		return false;
	(void)fprintf(file, "# Written by dvs; dvs-node.yaml(5) tells what can stand here.\n");
	config_write(file, config);
	return fclose(file) == 0 && add_text(files, CONFIG_FILE_DEFAULT, PUBLIC_MODE, text);
}

/* What stands in corosync.conf now is kept; node.yaml comes last, because with it dvsd is a node. */
static bool add_all(struct files *files, const struct bundle *bundle, const struct ca_pem *ca_key)
{
	AUTO_FREE char *before = machine_corosync_conf();
	bool ok = files_add_dir(files, CONFIG_DIR_DEFAULT) == DVS_OK &&
		  files_add_dir(files, MACHINE_COROSYNC_DIR) == DVS_OK;

	if (before)
		ok = ok && files_add(files, MACHINE_COROSYNC_BEFORE, PUBLIC_MODE, true, before,
				     strlen(before)) == DVS_OK;
	if (ca_key)
		ok = ok &&
		     add_text(files, CONFIG_DIR_DEFAULT "/ca.key", SECRET_MODE, ca_key->bytes);
	return ok && add_text(files, CONFIG_DIR_DEFAULT "/ca.pem", PUBLIC_MODE, bundle->ca.bytes) &&
	       add_text(files, CONFIG_DIR_DEFAULT "/node.key", SECRET_MODE, bundle->key.bytes) &&
	       add_text(files, CONFIG_DIR_DEFAULT "/node.pem", PUBLIC_MODE, bundle->cert.bytes) &&
	       files_add(files, MACHINE_AUTHKEY, SECRET_MODE, false, bundle->authkey,
			 bundle->authkey_bytes) == DVS_OK &&
	       files_add(files, MACHINE_COROSYNC_CONF, PUBLIC_MODE, true, bundle->corosync_conf,
			 strlen(bundle->corosync_conf)) == DVS_OK &&
	       add_config(files, &bundle->config);
}

int place_node(struct cli *cli, const char *what, const struct bundle *bundle,
	       const struct ca_pem *ca_key)
{
	struct files files;
	int status = EXIT_DONE;

	files_init(&files);
	if (!add_all(&files, bundle, ca_key))
		status = cli_fail(cli, DVS_NOMEM, "%s", what);
	else if (files_commit(&files) != DVS_OK)
		status = machine_fail(cli, what, files.why, "nothing was changed");
	files_free(&files);
	return status;
}
