/* SPDX-License-Identifier: Apache-2.0 */
/* dvs join, dvs leave: this machine becomes a node, and stops being one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/cluster/files.h"
#include "manage/cluster/machine.h"
#include "manage/cluster/place.h"

#define JOIN "join"
#define LEAVE "leave"
#define LEFT_DIR CONFIG_DIR_DEFAULT "/.left"

/* Run the commands of the services, or print them where no systemd is there to take them. */
static int start_services(struct cli *cli, const struct config *config)
{
	FILE *out = cli->output.file;
	bool ok = true;

	fprintf(out, "This machine is node %u, %s, of the cluster %s.%s\n", config->node,
		config->name, config->cluster,
		machine_has_systemd() ? "" : " Start its services: corosync, then dvsd.");
	if (!machine_has_systemd())
		return EXIT_DONE;
	for (size_t i = 0; ok && i < PLACE_COMMANDS; i++)
		ok = machine_run(place_commands[i]) == 0;
	if (ok)
		return EXIT_DONE;
	return machine_fail(cli, "start corosync and dvsd", "systemctl failed",
			    "'journalctl -u corosync -u dvsd' tells why; then 'systemctl restart"
			    " corosync dvsd'");
}

/* A file that others can read is no secret any more. */
static int read_bundle(struct cli *cli, const char *path, struct bundle **bundle)
{
	AUTO_FREE char *bytes = NULL;
	char why[BUNDLE_WHY_MAX];
	struct stat status;
	size_t len = 0;
	dvs_err err;

	if (stat(path, &status) != 0)
		return cli_fail_errno(cli, errno, "give the file that 'dvs node add' made",
				      JOIN ": read %s", path);
	if (!S_ISREG(status.st_mode))
		return machine_fail(cli, JOIN, "the bundle is not a file", "");
	if (status.st_mode & 077)
		return machine_fail(cli, JOIN, "others than its owner can read the bundle",
				    "make a new one, carry it where nobody else sees it, and"
				    " 'chmod 600' it");
	err = files_read(path, BUNDLE_BYTES_MAX, &bytes, &len);
	if (err == DVS_IO)
		return cli_fail_errno(cli, errno, "", JOIN ": read %s", path);
	if (err != DVS_OK)
		return cli_fail(cli, err, JOIN ": read %s", path);
	err = bundle_read(bytes, len, bundle, why);
	explicit_bzero(bytes, len);
	if (err == DVS_NOMEM)
		return cli_fail(cli, err, JOIN);
	if (err != DVS_OK) {
		char what[FILES_PATH_MAX];

		(void)snprintf(what, sizeof(what), JOIN ": %s", path);
		return machine_fail(cli, what, why, "make a new one with 'dvs node add'");
	}
	return EXIT_DONE;
}

int cmd_join(struct cli *cli)
{
	struct bundle *bundle = NULL;
	int status = machine_is_root(cli, JOIN);

	if (status == EXIT_DONE)
		status = read_bundle(cli, cli->words[0], &bundle);
	if (status != EXIT_DONE || !bundle)
		return status;
	status = place_check(cli, JOIN, &bundle->config);
	if (status == EXIT_DONE)
		status = place_node(cli, JOIN, bundle, NULL);
	if (status == EXIT_DONE)
		status = start_services(cli, &bundle->config);
	bundle_free(bundle);
	return status;
}

/* ---- leave ---- */

static bool dvsd_runs(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/dvs/admin" };
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static int stop_services(struct cli *cli)
{
	static const char *const stop[] = { "systemctl", "disable",  "--now",
					    "dvsd",	 "corosync", NULL };

	if (machine_has_systemd() && machine_run(stop) != 0)
		return machine_fail(cli, LEAVE ": stop corosync and dvsd", "systemctl failed",
				    "nothing was changed");
	if (dvsd_runs())
		return machine_fail(cli, LEAVE, "dvsd runs",
				    "stop it and corosync first; nothing was changed");
	return EXIT_DONE;
}

/* All that makes this machine a node. */
static const struct leaving {
	const char *path;
	const char *aside; /* in LEFT_DIR */
} leavings[] = {
	{ CONFIG_FILE_DEFAULT, LEFT_DIR "/node.yaml" },
	{ CONFIG_DIR_DEFAULT "/node.key", LEFT_DIR "/node.key" },
	{ CONFIG_DIR_DEFAULT "/node.pem", LEFT_DIR "/node.pem" },
	{ CONFIG_DIR_DEFAULT "/ca.key", LEFT_DIR "/ca.key" },
	{ CONFIG_DIR_DEFAULT "/ca.pem", LEFT_DIR "/ca.pem" },
};

/* Away with all of them or with none: aside first, and deleted only when that went well. */
static int remove_all(struct cli *cli)
{
	bool moved[ARRAY_LEN(leavings)] = { false };
	int failed = 0;

	if (mkdir(LEFT_DIR, 0700) != 0 && errno != EEXIST)
		return cli_fail_errno(cli, errno, "nothing was changed", LEAVE ": make " LEFT_DIR);
	for (size_t i = 0; failed == 0 && i < ARRAY_LEN(leavings); i++) {
		moved[i] = rename(leavings[i].path, leavings[i].aside) == 0;
		failed = moved[i] || errno == ENOENT ? 0 : errno;
	}
	if (failed == 0 && unlink(MACHINE_AUTHKEY) != 0 && errno != ENOENT)
		failed = errno;
	for (size_t i = 0; i < ARRAY_LEN(leavings); i++) {
		if (moved[i] && failed != 0)
			(void)rename(leavings[i].aside, leavings[i].path);
		else if (moved[i])
			(void)unlink(leavings[i].aside);
	}
	(void)rmdir(LEFT_DIR);
	if (failed != 0)
		return cli_fail_errno(cli, failed, "nothing was changed",
				      LEAVE ": remove the files");
	/* What corosync had before, or nothing. */
	if (rename(MACHINE_COROSYNC_BEFORE, MACHINE_COROSYNC_CONF) != 0)
		(void)unlink(MACHINE_COROSYNC_CONF);
	return EXIT_DONE;
}

int cmd_leave(struct cli *cli)
{
	struct config config;
	char text[CONFIG_TEXT_MAX];
	int status = machine_is_root(cli, LEAVE);

	if (status != EXIT_DONE)
		return status;
	if (config_read(CONFIG_FILE_DEFAULT, &config, text, sizeof(text)) != DVS_OK)
		return machine_fail(cli, LEAVE, text, "this machine is no node");
	if (config.engine != CONFIG_COROSYNC)
		return machine_fail(cli, LEAVE, "this machine is no node of a cluster", "");
	if (access(CONFIG_DIR_DEFAULT "/ca.key", F_OK) == 0 && !cli_has(cli, OPTION_FORCE))
		return machine_fail(cli, LEAVE, "the authority's key is here",
				    "move " CONFIG_DIR_DEFAULT
				    "/ca.key to another node first, or use"
				    " --force if the cluster is to end");
	status = stop_services(cli);
	if (status == EXIT_DONE)
		status = remove_all(cli);
	if (status == EXIT_DONE)
		fprintf(cli->output.file,
			"This machine is no node of the cluster %s any more. On another node:\n\n"
			"    dvs node rm %u\n",
			config.cluster, config.node);
	return status;
}
