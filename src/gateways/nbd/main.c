/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-nbd: serves the volumes of a DC to NBD clients. */
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "base/err.h"
#include "base/rights.h"
#include "client/volume.h"
#include "gateways/nbd/pidfile.h"
#include "gateways/nbd/server.h"
#include "gateways/nbd/volumes.h"

#define PATIENCE_S_MAX 86400u

struct settings {
	struct nbd_server_options server;
	struct volumes_options volumes;
	const char *pid_file;
	enum log_level log_level;
	char dc[DVS_NAME_MAX + 1];
	const char *names[NBD_EXPORTS_MAX];
};

/* One DC, or volumes that are all in the same one. */
static int take_export(const struct arguments *arguments, const char *word,
		       struct settings *settings)
{
	char dc[DVS_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	char snapshot[DVS_NAME_MAX + 1];
	struct volumes_options *volumes = &settings->volumes;

	if (!volume_name_split(word, dc, name, snapshot))
		return arguments_wrong(arguments, "'%s' is no DC/VOLUME or DC/VOLUME@SNAPSHOT",
				       word);
	if (volumes->n_names > 0 && strcmp(dc, settings->dc) != 0)
		return arguments_wrong(arguments, "one server serves volumes of one DC");
	memcpy(settings->dc, dc, sizeof(dc));
	settings->names[volumes->n_names++] = strchr(word, '/') + 1;
	return ARGUMENTS_RUN;
}

static int take_exports(const struct arguments *arguments, char **words, int n,
			struct settings *settings)
{
	int status = ARGUMENTS_RUN;

	settings->volumes.dc = settings->dc;
	settings->volumes.names = settings->names;
	if (n == 0)
		return arguments_wrong(arguments, "which DC, or which volumes?");
	if (n == 1 && !strchr(words[0], '/')) {
		size_t len = strlen(words[0]);

		if (len > 0 && len <= DVS_NAME_MAX) {
			memcpy(settings->dc, words[0], len + 1);
			return ARGUMENTS_RUN;
		}
	}
	for (int i = 0; i < n && status == ARGUMENTS_RUN; i++)
		status = take_export(arguments, words[i], settings);
	return status;
}

static int parse_words(const struct arguments *arguments, struct settings *settings, int argc,
		       char **argv)
{
	int first;
	int status = arguments_parse(arguments, argc, argv, &first);

	if (status != ARGUMENTS_RUN)
		return status;
	if (!settings->server.socket == !settings->server.listen)
		return arguments_wrong(arguments, "it listens on --socket or on --listen");
	return take_exports(arguments, argv + first, argc - first, settings);
}

static int parse(int argc, char **argv, struct settings *settings)
{
	struct nbd_server_options *server = &settings->server;
	struct volumes_options *volumes = &settings->volumes;
	const struct argument rows[] = {
		{ "socket", "PATH", "listen on a Unix socket, for its owner alone", ARGUMENT_TEXT,
		  .to = &server->socket },
		{ "listen", "ADDRESS:PORT", "listen on a TCP port; [ADDRESS]:PORT for IPv6",
		  ARGUMENT_TEXT, .to = &server->listen },
		{ "tls", "DIR",
		  "only under TLS, with node.pem and node.key in DIR; with ca.pem there,\n"
		  "clients need a certificate that it has signed",
		  ARGUMENT_TEXT, .to = &server->tls },
		{ "read-only", NULL, "nobody writes", ARGUMENT_FLAG, .to = &server->is_read_only },
		{ "shared", NULL,
		  "others may write to the volumes at the same time, if they say so, too",
		  ARGUMENT_FLAG, .to = &volumes->is_shared },
		{ "connections", "N", "at most so many clients at once; default 64",
		  ARGUMENT_NUMBER, .to = &server->connections_max, .least = 1,
		  .most = NBD_CONNECTIONS_MAX },
		{ "patience", "SECONDS",
		  "wait so long for a volume's server that is gone; default 60", ARGUMENT_NUMBER,
		  .to = &volumes->patience_s, .most = PATIENCE_S_MAX },
		{ "pid-file", "PATH",
		  "write the number of the process there, and hold a lock on it", ARGUMENT_TEXT,
		  .to = &settings->pid_file },
		{ "ready-fd", "N", "write a byte to this descriptor when clients can come",
		  ARGUMENT_FD, .to = &server->ready_fd },
		{ "run-dir", "DIR", "of dvsd; default /run/dvs", ARGUMENT_TEXT,
		  .to = &volumes->run_dir },
		{ "log-level", "LEVEL", ARGUMENT_LEVEL_HELP, ARGUMENT_LEVEL,
		  .to = &settings->log_level },
	};
	const struct arguments arguments = {
		.program = "dvs-nbd",
		.synopsis = "(--socket PATH | --listen ADDRESS:PORT) [options]"
			    " DC | DC/VOLUME[@SNAPSHOT]...",
		.about = "Serve all volumes of DC with their snapshots, or those that are named, to"
			 " NBD clients.",
		.rows = rows,
		.n_rows = ARRAY_LEN(rows),
		.words_max = NBD_EXPORTS_MAX,
	};

	return parse_words(&arguments, settings, argc, argv);
}

static dvs_err serve(const struct settings *settings)
{
	char why[NBD_SERVER_WHY_MAX + 1] = "";
	struct nbd_backend *backend = NULL;
	struct pidfile pidfile = { .fd = -1 };
	dvs_err err = DVS_OK;

	if (settings->pid_file)
		err = pidfile_open(settings->pid_file, &pidfile, why);
	if (!err)
		err = volumes_open(&settings->volumes, &backend, why);
	if (!err)
		err = nbd_server_run(&settings->server, backend, why);
	if (err)
		(void)fprintf(stderr, "dvs-nbd: %s\n", why);
	if (backend)
		volumes_close(backend);
	pidfile_close(&pidfile);
	return err;
}

int main(int argc, char **argv)
{
	struct settings settings = {
		.server = { .connections_max = NBD_CONNECTIONS_DEFAULT, .ready_fd = -1 },
		.volumes = { .patience_s = VOLUMES_PATIENCE_S },
		.log_level = LOG_LEVEL_INFO,
	};
	int status = parse(argc, argv, &settings);
	struct log log;
	dvs_err err;

	if (status != ARGUMENTS_RUN)
		return status;
	log = log_to_stderr(settings.log_level);
	settings.server.log = &log;
	settings.volumes.log = &log;
	settings.volumes.about = settings.server.socket ? settings.server.socket :
							  settings.server.listen;
	/* It reads what clients say. CAP_DAC_OVERRIDE: the socket of a DC, a directory for its own one, that are somebody else's; and ports below 1024. */
	err = rights_keep(RIGHT(CAP_DAC_OVERRIDE) | RIGHT(CAP_NET_BIND_SERVICE));
	if (err)
		log_error(&log, "rights cannot be given up", LOG_STR("why", dvs_strerror(err)));
	else
		err = serve(&settings);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
