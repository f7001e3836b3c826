/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol attach, detach and attachments: volumes as block devices of this node. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/volume.h"
#include "gateways/attach/attach.h"
#include "manage/cli.h"
#include "manage/link.h"

#define PROGRAM "dvs-attach"
#define SAID_BYTES 1024u
#define DETACH_MS 10000u
#define DETACH_MS_MAX (3600u * 1000)
#define TIME_BYTES 32

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

int cmd_vol_attach(struct cli *cli)
{
	const char *argv[8] = { PROGRAM, "--run-dir", link_run_dir(cli) };
	char dc[DVS_NAME_MAX + 1], name[VOLUME_NAME_MAX + 1], snapshot[DVS_NAME_MAX + 1];
	static const char before[] = PROGRAM ": ";
	char said[SAID_BYTES];
	bool read_only = cli_has(cli, OPTION_READ_ONLY);
	size_t n = 3;

	if (!volume_name_split(cli->words[0], dc, name, snapshot))
		return cli_usage(cli, "'%s' is no name of a volume; write DC/VOLUME[@SNAPSHOT]",
				 cli->words[0]);
	if (read_only)
		argv[n++] = "--read-only";
	if (cli_has(cli, OPTION_SHARED))
		argv[n++] = "--shared";
	argv[n++] = cli->words[0];
	if (ask_program(argv, said) == 0) {
		if (cli->output.format == OUTPUT_TABLE)
			(void)fprintf(cli->output.file, "%s\n", said);
		return cli_result(cli, said,
				  json_pack("{s:s, s:s, s:b}", "name", cli->words[0], "device",
					    said, "read_only", read_only || snapshot[0]));
	}
	(void)fprintf(cli->err, "dvs: %s\n",
		      !said[0]					? PROGRAM " has died" :
		      strncmp(said, before, sizeof(before) - 1) ? said :
								  said + sizeof(before) - 1);
	return EXIT_FAILED;
}

/* ---- detach ---- */

static const char *hint_of(dvs_err err)
{
	if (err == DVS_INUSE)
		return "; unmount it first, or give --force: then whoever uses it gets errors";
	return err == DVS_NOTFOUND ? "; see 'dvs vol attachments'" : "";
}

int cmd_vol_detach(struct cli *cli)
{
	char why[ATTACH_WHY_MAX] = "";
	uint32_t timeout_ms;
	dvs_err err;

	if (!cli_seconds(cli, OPTION_TIMEOUT, 0, DETACH_MS_MAX, DETACH_MS, &timeout_ms))
		return EXIT_USAGE;
	err = attach_detach(link_run_dir(cli), cli->words[0], cli_has(cli, OPTION_FORCE),
			    timeout_ms, why);
	if (err != DVS_OK && !why[0])
		return cli_fail(cli, err, "detach %s", cli->words[0]);
	if (err != DVS_OK) {
		(void)fprintf(cli->err, "dvs: detach %s: %s%s\n", cli->words[0], why, hint_of(err));
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

static json_t *describe(const struct attachment *attachment)
{
	time_t seconds = (time_t)(attachment->since_ns / CLOCK_NS_PER_S);
	char since[TIME_BYTES] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		(void)strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i}", "name", attachment->device,
			 "device", attachment->device, "volume", attachment->volume, "state",
			 attachment->is_dead ? "dead" : "attached", "access",
			 attachment->is_read_only ? "read-only" :
			 attachment->is_shared	  ? "shared" :
						    "exclusive",
			 "since", since, "keeper", (int)attachment->keeper, "server",
			 (int)attachment->server);
}

int cmd_vol_attachments(struct cli *cli)
{
	AUTO_FREE struct attachment *list = NULL;
	char why[ATTACH_WHY_MAX] = "";
	json_t *rows = json_array();
	size_t n = 0;
	bool ok = rows;
	dvs_err err = attach_list(link_run_dir(cli), &list, &n, why);

	if (err != DVS_OK) {
		json_decref(rows);
		return cli_fail(cli, err, "list the attachments (%s)", why);
	}
	for (size_t i = 0; ok && i < n; i++)
		ok = json_array_append_new(rows, describe(&list[i])) == 0;
	ok = ok && output_rows(&cli->output, &shape, rows);
	json_decref(rows);
	return ok ? EXIT_DONE : cli_fail(cli, DVS_NOMEM, "list the attachments");
}
