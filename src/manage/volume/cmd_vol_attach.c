/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol attach, detach and attachments: volumes as block devices of this node, or of others by their agents. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client/volume.h"
#include "gateways/attach/attach.h"
#include "manage/cli.h"
#include "manage/link.h"
#include "manage/volume/devices.h"

#define PROGRAM "dvs-attach"
#define SAID_BYTES 1024u
#define DETACH_MS 10000u
#define DETACH_MS_MAX (3600u * 1000)
#define DETACH_FAR_MS_MAX (60u * 1000) /* an agent waits */

/* ---- attach ---- */

/* Beside this program, or where the package has it. */
static void run_program(const char *const *argv)
{
	static const char *const places[] = { "", "../sbin/" };
	char self[PATH_MAX], path[PATH_MAX + 32];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[len > 0 ? len : 0] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
		slash[1] = '\0';
		(void)snprintf(path, sizeof(path), "%s%s" PROGRAM, self, places[i]);
		(void)execv(path, (char *const *)(uintptr_t)argv);
	}
	(void)execvp(PROGRAM, (char *const *)(uintptr_t)argv);
	(void)fprintf(stderr, PROGRAM ": it is not installed: %s\n", strerror(errno));
	_exit(EXIT_FAILED);
}

/* What it says to SAID: the device, or why not. Its exit status; -1: it has none. */
static int ask_program(const char *const *argv, char said[SAID_BYTES])
{
	size_t used = 0;
	int status = -1, pair[2];
	ssize_t n;
	pid_t pid;

	said[0] = '\0';
	if (pipe2(pair, O_CLOEXEC) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		if (dup2(pair[1], STDOUT_FILENO) >= 0 && dup2(pair[1], STDERR_FILENO) >= 0)
			run_program(argv);
		_exit(EXIT_FAILED);
	}
	close(pair[1]);
	while (pid > 0 && used + 1 < SAID_BYTES &&
	       ((n = read(pair[0], said + used, SAID_BYTES - 1 - used)) > 0 ||
		(n < 0 && errno == EINTR)))
		used += n > 0 ? (size_t)n : 0;
	said[used] = '\0';
	said[strcspn(said, "\n")] = '\0';
	close(pair[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int print_attached(struct cli *cli, const char *device, bool read_only)
{
	json_t *about = json_pack("{s:s, s:s, s:b}", "name", cli->words[0], "device", device,
				  "read_only", read_only);

	if (about && cli_has(cli, OPTION_NODE))
		(void)json_object_set_new(about, "node", json_string(cli->values[OPTION_NODE]));
	if (cli->output.format == OUTPUT_TABLE)
		(void)fprintf(cli->output.file, "%s\n", device);
	return cli_result(cli, device, about);
}

static int attach_far(struct cli *cli, bool read_only)
{
	char device[DEVICES_PATH_BYTES] = "";
	int status = devices_attach(cli, cli->words[0], device);

	return status == EXIT_DONE ? print_attached(cli, device, read_only) : status;
}

int cmd_vol_attach(struct cli *cli)
{
	const char *argv[10] = { PROGRAM, "--run-dir", link_run_dir(cli) };
	char dc[DVS_NAME_MAX + 1], name[VOLUME_NAME_MAX + 1], snapshot[DVS_NAME_MAX + 1];
	static const char before[] = PROGRAM ": ";
	char said[SAID_BYTES];
	bool read_only = cli_has(cli, OPTION_READ_ONLY);
	size_t n = 3;

	if (!volume_name_split(cli->words[0], dc, name, snapshot))
		return cli_usage(cli, "'%s' is no name of a volume; write DC/VOLUME[@SNAPSHOT]",
				 cli->words[0]);
	if (cli_has(cli, OPTION_NODE) && cli_has(cli, OPTION_BY))
		return cli_usage(cli, "--by is for devices of this node; agents choose for theirs");
	if (cli_has(cli, OPTION_NODE))
		return attach_far(cli, read_only || snapshot[0]);
	if (read_only)
		argv[n++] = "--read-only";
	if (cli_has(cli, OPTION_SHARED))
		argv[n++] = "--shared";
	if (cli_has(cli, OPTION_BY)) {
		argv[n++] = "--by";
		argv[n++] = cli->values[OPTION_BY];
	}
	argv[n++] = cli->words[0];
	if (ask_program(argv, said) == 0)
		return print_attached(cli, said, read_only || snapshot[0]);
	(void)fprintf(cli->err, "dvs: %s\n",
		      !said[0]					? PROGRAM " has died" :
		      strncmp(said, before, sizeof(before) - 1) ? said :
								  said + sizeof(before) - 1);
	return EXIT_FAILED;
}

/* ---- detach ---- */

int cmd_vol_detach(struct cli *cli)
{
	char why[ATTACH_WHY_MAX] = "";
	uint32_t timeout_ms;
	dvs_err err;

	if (!cli_seconds(cli, OPTION_TIMEOUT, 0,
			 cli_has(cli, OPTION_NODE) ? DETACH_FAR_MS_MAX : DETACH_MS_MAX, DETACH_MS,
			 &timeout_ms))
		return EXIT_USAGE;
	if (cli_has(cli, OPTION_NODE)) {
		int status = devices_detach(cli, cli->words[0], timeout_ms);

		return status != EXIT_DONE ? status :
					     cli_result(cli, cli->words[0],
							json_pack("{s:s}", "name", cli->words[0]));
	}
	err = attach_detach(link_run_dir(cli), cli->words[0], cli_has(cli, OPTION_FORCE),
			    timeout_ms, why);
	if (err != DVS_OK && !why[0])
		return cli_fail(cli, err, "detach %s", cli->words[0]);
	if (err != DVS_OK) {
		(void)fprintf(cli->err, "dvs: detach %s: %s%s\n", cli->words[0], why,
			      attach_hint(err));
		return EXIT_FAILED;
	}
	return cli_result(cli, cli->words[0], json_pack("{s:s}", "name", cli->words[0]));
}

/* ---- attachments ---- */

static const struct output_column columns[] = {
	{ "DEVICE", "device", false }, { "VOLUME", "volume", false }, { "STATE", "state", false },
	{ "ACCESS", "access", false }, { "SINCE", "since", true },    { "KEEPER", "keeper", true },
	{ "SERVER", "server", true },
};
static const struct output_shape shape = { "attachments", columns, ARRAY_LEN(columns) };

static const struct output_column columns_of_nodes[] = {
	{ "NODE", "node", false },    { "DEVICE", "device", false }, { "VOLUME", "volume", false },
	{ "STATE", "state", false },  { "ACCESS", "access", false }, { "SINCE", "since", true },
	{ "KEEPER", "keeper", true }, { "SERVER", "server", true },
};
static const struct output_shape shape_of_nodes = { "attachments", columns_of_nodes,
						    ARRAY_LEN(columns_of_nodes) };

static int list_here(struct cli *cli, json_t *rows)
{
	char why[ATTACH_WHY_MAX] = "";
	dvs_err err = attach_rows(link_run_dir(cli), rows, why);

	return err ? cli_fail(cli, err, "list the attachments (%s)", why) : EXIT_DONE;
}

int cmd_vol_attachments(struct cli *cli)
{
	bool is_far = cli_has(cli, OPTION_NODE) || cli_has(cli, OPTION_ALL_NODES);
	json_t *rows = json_array();
	int status;

	if (!rows)
		return cli_fail(cli, DVS_NOMEM, "list the attachments");
	status = is_far ? devices_list(cli, rows) : list_here(cli, rows);
	/* What others have said is told, also when one did not answer. */
	if ((status == EXIT_DONE || (is_far && json_array_size(rows) > 0)) &&
	    !output_rows(&cli->output, is_far ? &shape_of_nodes : &shape, rows))
		status = cli_fail(cli, DVS_NOMEM, "list the attachments");
	json_decref(rows);
	return status;
}
