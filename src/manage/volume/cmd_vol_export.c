/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol export: volumes for NBD clients. The work is dvs-nbd's; here it is started, and ended. Where it listens tells which one it is. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "client/volume.h"
#include "manage/cli.h"
#include "manage/daemon.h"
#include "manage/link.h"

#define PROGRAM "dvs-nbd"
#define END_MS 20000
#define WORDS_MAX (CLI_WORDS_MAX + 24)

struct export
{
	struct cli *cli;
	const char *where; /* PATH, or ADDRESS:PORT */
	char socket[PATH_MAX];
	char pid_file[PATH_MAX];
	char log_file[PATH_MAX];
};

/* ---- where ---- */

static bool put_path(char path[PATH_MAX], const char *dir, const char *name, const char *end)
{
	return snprintf(path, PATH_MAX, "%s/%s%s", dir, name, end) < PATH_MAX;
}

/* The DC of the first word: its socket is the default. */
static void dc_of(const char *word, char dc[DVS_NAME_MAX + 1])
{
	size_t len = strcspn(word, "/");

	(void)snprintf(dc, DVS_NAME_MAX + 1, "%.*s", (int)(len < DVS_NAME_MAX ? len : DVS_NAME_MAX),
		       word);
}

static bool names_ok(struct cli *cli)
{
	char dc[DVS_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	char snapshot[DVS_NAME_MAX + 1];

	for (size_t i = 0; i < cli->n_words; i++) {
		const char *word = cli->words[i];

		if (volume_name_split(word, dc, name, snapshot) ||
		    (cli->n_words == 1 && !strchr(word, '/') && strlen(word) <= DVS_NAME_MAX))
			continue;
		(void)cli_usage(cli,
				"'%s' is no name of a volume; write DC for all of them, or "
				"DC/VOLUME[@SNAPSHOT]...",
				word);
		return false;
	}
	return true;
}

/* EXIT_DONE: all paths are set. */
static int settle_place(struct export *export)
{
	struct cli *cli = export->cli;
	const char *socket = cli->values[OPTION_SOCKET];
	const char *listen = cli->values[OPTION_LISTEN];
	char dir[PATH_MAX];
	char dc[DVS_NAME_MAX + 1];
	bool fits = put_path(dir, link_run_dir(cli), "nbd", "");

	if (socket && listen)
		return cli_usage(cli, "it listens on --socket or on --listen");
	if (listen && strchr(listen, '/'))
		return cli_usage(cli, "'%s' is no ADDRESS:PORT", listen);
	if (fits && !socket && mkdir(dir, 0700) != 0 && errno != EEXIST)
		return cli_fail_errno(cli, errno, "", "make %s", dir);
	dc_of(cli->words[0], dc);
	if (socket)
		fits = snprintf(export->socket, PATH_MAX, "%s", socket) < PATH_MAX;
	else if (!listen)
		fits = fits && put_path(export->socket, dir, dc, ".socket");
	export->where = listen ? listen : export->socket;
	if (listen)
		fits = fits && put_path(export->pid_file, dir, listen, ".pid") &&
		       put_path(export->log_file, dir, listen, ".log");
	else
		fits = fits &&
		       snprintf(export->pid_file, PATH_MAX, "%s.pid", export->socket) < PATH_MAX &&
		       snprintf(export->log_file, PATH_MAX, "%s.log", export->socket) < PATH_MAX;
	return fits ? EXIT_DONE : cli_usage(cli, "the path is too long");
}

/* ---- start ---- */

static void put_words(const struct export *export, char **argv)
{
	const struct cli *cli = export->cli;
	const char *const words[] = {
		PROGRAM,	   "--run-dir",
		link_run_dir(cli), cli_has(cli, OPTION_LISTEN) ? "--listen" : "--socket",
		export->where,	   "--pid-file",
		export->pid_file,
	};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		argv[n++] = (char *)(uintptr_t)words[i];
	if (cli_has(cli, OPTION_TLS)) {
		argv[n++] = (char *)(uintptr_t) "--tls";
		argv[n++] = (char *)(uintptr_t)cli->values[OPTION_TLS];
	}
	if (cli_has(cli, OPTION_READ_ONLY))
		argv[n++] = (char *)(uintptr_t) "--read-only";
	if (cli_has(cli, OPTION_SHARED))
		argv[n++] = (char *)(uintptr_t) "--shared";
	for (size_t i = 0; i < cli->n_words; i++)
		argv[n++] = (char *)(uintptr_t)cli->words[i];
	argv[n] = NULL;
}

static int detach(const struct export *export)
{
	struct cli *cli = export->cli;
	char said[DAEMON_SAID_BYTES];
	char *argv[WORDS_MAX];
	pid_t pid;

	put_words(export, argv);
	pid = daemon_start(PROGRAM, argv, export->log_file, said);
	if (pid > 0)
		return cli_result(cli, export->where,
				  json_pack("{s:s, s:i}", "name", export->where, "pid", (int)pid));
	if (pid < 0)
		return cli_fail_errno(cli, errno, "", "export %s", cli->words[0]);
	(void)fprintf(cli->err, "dvs: export %s: %s\n", cli->words[0], said);
	return EXIT_FAILED;
}

/* ---- stop ---- */

/* Who holds the lock on the file of its number; 0: nobody. */
static pid_t holder(const struct export *export)
{
	AUTO_CLOSE int fd = open(export->pid_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	if (fd < 0 || fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
		return 0;
	return lock.l_pid > 0 ? lock.l_pid : 0;
}

static int stop(const struct export *export)
{
	struct cli *cli = export->cli;
	pid_t pid = holder(export);
	AUTO_CLOSE int fd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	struct pollfd end = { .fd = fd, .events = POLLIN };
	int n;

	/* It is asked for again, so that FD is that of the one who has the lock. */
	if (fd < 0 || holder(export) != pid)
		return cli_fail_hint(cli, DVS_NOTFOUND,
				     "say --socket or --listen as when it was started",
				     "stop the export at %s", export->where);
	if (syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) != 0)
		return cli_fail_errno(cli, errno, "", "stop the export at %s", export->where);
	do
		n = poll(&end, 1, END_MS);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return cli_fail(cli, DVS_TIMEOUT, "stop the export at %s", export->where);
	(void)unlink(export->log_file);
	return cli_result(cli, export->where,
			  json_pack("{s:s, s:i}", "name", export->where, "pid", (int)pid));
}

int cmd_vol_export(struct cli *cli)
{
	struct export export = { .cli = cli };
	char *argv[WORDS_MAX];
	int status;

	if (!names_ok(cli))
		return EXIT_USAGE;
	status = settle_place(&export);
	if (status != EXIT_DONE)
		return status;
	if (cli_has(cli, OPTION_STOP))
		return stop(&export);
	if (cli_has(cli, OPTION_DETACH))
		return detach(&export);
	(void)fflush(NULL);
	put_words(&export, argv);
	daemon_become(PROGRAM, argv);
}
