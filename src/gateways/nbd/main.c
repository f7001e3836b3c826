/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-nbd: serves the volumes of a DC to NBD clients. */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "client/volume.h"
#include "gateways/nbd/pidfile.h"
#include "gateways/nbd/server.h"
#include "gateways/nbd/volumes.h"

/* As usual: 1 for a failure, 2 for a wrong command line. */
#define EXIT_USAGE 2
#define PATIENCE_S_MAX 86400u

static const char usage[] =
	"usage: dvs-nbd (--socket PATH | --listen ADDRESS:PORT) [options] DC | DC/VOLUME[@SNAPSHOT]...\n"
	"\n"
	"Serve all volumes of DC with their snapshots, or those that are named, to NBD clients.\n"
	"\n"
	"  --socket PATH          listen on a Unix socket, for its owner alone\n"
	"  --listen ADDRESS:PORT  listen on a TCP port; [ADDRESS]:PORT for IPv6\n"
	"  --tls DIR              only under TLS, with node.pem and node.key in DIR; with ca.pem there,\n"
	"                         clients need a certificate that it has signed\n"
	"  --read-only            nobody writes\n"
	"  --connections N        at most so many clients at once; default 64\n"
	"  --patience SECONDS     wait so long for a volume's server that is gone; default 60\n"
	"  --pid-file PATH        write the number of the process there, and hold a lock on it\n"
	"  --ready-fd N           write a byte to this descriptor when clients can come\n"
	"  --run-dir DIR          of dvsd; default /run/dvs\n"
	"  --log-level LEVEL      error, warning, info or debug; default info\n"
	"  --help, --version\n";

static const struct option known[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "listen", required_argument, NULL, 'a' },
	{ "tls", required_argument, NULL, 't' },
	{ "read-only", no_argument, NULL, 'o' },
	{ "connections", required_argument, NULL, 'c' },
	{ "patience", required_argument, NULL, 'w' },
	{ "pid-file", required_argument, NULL, 'p' },
	{ "ready-fd", required_argument, NULL, 'f' },
	{ "run-dir", required_argument, NULL, 'r' },
	{ "log-level", required_argument, NULL, 'l' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	struct nbd_server_options server;
	struct volumes_options volumes;
	const char *pid_file;
	enum log_level log_level;
	char dc[DVS_NAME_MAX + 1];
	const char *names[NBD_EXPORTS_MAX];
};

static bool take_number(const char *option, const char *value, uint32_t least, uint32_t most,
			uint32_t *number)
{
	char *end;
	unsigned long said = strtoul(value, &end, 10);

	*number = (uint32_t)said;
	if (end != value && *end == '\0' && value[0] != '-' && said >= least && said <= most)
		return true;
	(void)fprintf(stderr, "dvs-nbd: %s '%s' is not a number from %u to %u\n", option, value,
		      least, most);
	return false;
}

static bool take_log_level(const char *value, enum log_level *level)
{
	if (log_level_parse(value, level))
		return true;
	(void)fprintf(stderr,
		      "dvs-nbd: the log level '%s' is none of error, warning, info, debug\n",
		      value);
	return false;
}

static bool take_ready_fd(const char *value, int *fd)
{
	uint32_t number;

	if (!take_number("--ready-fd", value, 0, 65535, &number))
		return false;
	*fd = (int)number;
	if (fcntl(*fd, F_SETFD, FD_CLOEXEC) == 0)
		return true;
	(void)fprintf(stderr, "dvs-nbd: --ready-fd %u: no such descriptor is open\n", number);
	return false;
}

static bool parse_one(int option, const char *value, struct arguments *arguments)
{
	struct nbd_server_options *server = &arguments->server;

	switch (option) {
	case 's':
		server->socket = value;
		return true;
	case 'a':
		server->listen = value;
		return true;
	case 't':
		server->tls = value;
		return true;
	case 'o':
		server->is_read_only = true;
		return true;
	case 'c':
		return take_number("--connections", value, 1, NBD_CONNECTIONS_MAX,
				   &server->connections_max);
	case 'w':
		return take_number("--patience", value, 0, PATIENCE_S_MAX,
				   &arguments->volumes.patience_s);
	case 'p':
		arguments->pid_file = value;
		return true;
	case 'f':
		return take_ready_fd(value, &server->ready_fd);
	case 'r':
		arguments->volumes.run_dir = value;
		return true;
	case 'l':
		return take_log_level(value, &arguments->log_level);
	default: /* getopt has complained */
		return false;
	}
}

/* One DC, or volumes that are all in the same one. */
static bool take_export(const char *word, struct arguments *arguments)
{
	char dc[DVS_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	char snapshot[DVS_NAME_MAX + 1];
	struct volumes_options *volumes = &arguments->volumes;

	if (!volume_name_split(word, dc, name, snapshot)) {
		(void)fprintf(stderr, "dvs-nbd: '%s' is no DC/VOLUME or DC/VOLUME@SNAPSHOT\n",
			      word);
		return false;
	}
	if (volumes->n_names > 0 && strcmp(dc, arguments->dc) != 0) {
		(void)fputs("dvs-nbd: one server serves volumes of one DC\n", stderr);
		return false;
	}
	if (volumes->n_names == NBD_EXPORTS_MAX) {
		(void)fprintf(stderr, "dvs-nbd: at most %u volumes\n", NBD_EXPORTS_MAX);
		return false;
	}
	memcpy(arguments->dc, dc, sizeof(dc));
	arguments->names[volumes->n_names++] = strchr(word, '/') + 1;
	return true;
}

static bool take_exports(char **words, int n, struct arguments *arguments)
{
	arguments->volumes.dc = arguments->dc;
	arguments->volumes.names = arguments->names;
	if (n == 1 && !strchr(words[0], '/')) {
		size_t len = strlen(words[0]);

		if (len > 0 && len <= DVS_NAME_MAX) {
			memcpy(arguments->dc, words[0], len + 1);
			return true;
		}
	}
	for (int i = 0; i < n; i++)
		if (!take_export(words[i], arguments))
			return false;
	if (n > 0)
		return true;
	(void)fputs("dvs-nbd: which DC, or which volumes?\n", stderr);
	return false;
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'h' || option == 'v') {
			(void)fputs(option == 'h' ? usage : "dvs-nbd " DVS_VERSION "\n", stdout);
			exit(EXIT_SUCCESS);
		}
		if (!parse_one(option, optarg, arguments))
			return false;
	}
	if (!arguments->server.socket == !arguments->server.listen) {
		(void)fputs("dvs-nbd: it listens on --socket or on --listen\n", stderr);
		return false;
	}
	return take_exports(argv + optind, argc - optind, arguments);
}

static dvs_err serve(const struct arguments *arguments)
{
	char why[NBD_SERVER_WHY_MAX + 1] = "";
	struct nbd_backend *backend = NULL;
	struct pidfile pidfile = { .fd = -1 };
	dvs_err err = DVS_OK;

	if (arguments->pid_file)
		err = pidfile_open(arguments->pid_file, &pidfile, why);
	if (!err)
		err = volumes_open(&arguments->volumes, &backend, why);
	if (!err)
		err = nbd_server_run(&arguments->server, backend, why);
	if (err)
		(void)fprintf(stderr, "dvs-nbd: %s\n", why);
	if (backend)
		volumes_close(backend);
	pidfile_close(&pidfile);
	return err;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {
		.server = { .connections_max = NBD_CONNECTIONS_DEFAULT, .ready_fd = -1 },
		.volumes = { .patience_s = VOLUMES_PATIENCE_S },
		.log_level = LOG_LEVEL_INFO,
	};
	struct log log;

	if (!parse(argc, argv, &arguments)) {
		(void)fputs("Try 'dvs-nbd --help'.\n", stderr);
		return EXIT_USAGE;
	}
	log = log_to_stderr(arguments.log_level);
	arguments.server.log = &log;
	arguments.volumes.log = &log;
	return serve(&arguments) ? EXIT_FAILURE : EXIT_SUCCESS;
}
