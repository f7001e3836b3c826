/* SPDX-License-Identifier: Apache-2.0 */
/* nweb: a small web server whose files are a file server's of a DC, read by messages (paper 000, IV.D). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

#define EXIT_USAGE 2
#define PATIENCE_MS 60000u

static const char usage[] =
	"usage: nweb [--dc DC] --fs NAME [options]\n"
	"       nweb --endpoint N [options]\n"
	"\n"
	"Serve the files of a DC's file system by HTTP, without a mount.\n"
	"\n"
	"  --fs NAME              the file system, of the DC that nweb is a program of\n"
	"  --dc DC                of that DC; for root, outside of containers\n"
	"  --endpoint N           in place of --fs: its server, which 'dvs fs inspect' tells\n"
	"  --root DIR             the site's directory in the file system; default /\n"
	"  --listen ADDRESS:PORT  default 127.0.0.1:8080\n"
	"  --threads N            1 to 64; default 2\n"
	"  --run-dir DIR          of dvsd; default /run/dvs\n"
	"  --help\n";

static const struct option known[] = {
	{ "dc", required_argument, NULL, 'd' },
	{ "fs", required_argument, NULL, 'f' },
	{ "endpoint", required_argument, NULL, 'e' },
	{ "root", required_argument, NULL, 'r' },
	{ "listen", required_argument, NULL, 'l' },
	{ "threads", required_argument, NULL, 't' },
	{ "run-dir", required_argument, NULL, 'R' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

struct options {
	struct server server;
	const char *dc, *fs, *run_dir;
	unsigned int endpoint; /* 0: by name; without a DC as a program of it */
	char root[HTTP_PATH_MAX + 1];
};

static bool take_number(const char *what, const char *value, unsigned long most,
			unsigned int *number)
{
	char *end;
	unsigned long said = strtoul(value, &end, 10);

	*number = (unsigned int)said;
	if (value[0] >= '0' && value[0] <= '9' && *end == '\0' && said >= 1 && said <= most)
		return true;
	(void)fprintf(stderr, "nweb: --%s '%s' is not a number from 1 to %lu\n", what, value, most);
	return false;
}

static bool take_root(const char *value, struct options *options)
{
	size_t len = strlen(value);

	while (len > 0 && value[len - 1] == '/')
		len--;
	if (len >= sizeof(options->root)) {
		(void)fputs("nweb: --root is too long\n", stderr);
		return false;
	}
	memcpy(options->root, value, len);
	options->root[len] = '\0';
	return true;
}

static bool take(int option, const char *value, struct options *options)
{
	switch (option) {
	case 'd':
		options->dc = value;
		return true;
	case 'f':
		options->fs = value;
		return true;
	case 'e':
		return take_number("endpoint", value, UINT32_MAX, &options->endpoint);
	case 'r':
		return take_root(value, options);
	case 'l':
		options->server.address = value;
		return true;
	case 't':
		return take_number("threads", value, SERVER_THREADS_MAX,
				   &options->server.n_threads);
	case 'R':
		options->run_dir = value;
		return true;
	default: /* getopt has complained */
		return false;
	}
}

static bool parse(int argc, char **argv, struct options *options)
{
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'h') {
			(void)fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		}
		if (!take(option, optarg, options))
			return false;
	}
	if (optind == argc && !options->endpoint == (options->fs != NULL) &&
	    !(options->endpoint && options->dc))
		return true;
	(void)fputs("nweb: it needs --fs, with or without --dc, or --endpoint, and nothing else\n",
		    stderr);
	return false;
}

static dvs_err open_fs(const struct options *options, struct dvk **dvk, struct dvs_fs **fs)
{
	dvs_err err;

	if (options->dc)
		return dvs_fs_open(options->run_dir, options->dc, options->fs, PATIENCE_MS, fs);
	err = dvk_open(NULL, dvk);
	if (!err && options->fs)
		err = dvs_fs_open_in(*dvk, options->fs, PATIENCE_MS, fs);
	else if (!err)
		err = dvs_fs_open_on(*dvk, dvs_ep_of(options->endpoint), PATIENCE_MS, fs);
	return err;
}

int main(int argc, char **argv)
{
	struct options options = {
		.server = { .address = "127.0.0.1:8080", .n_threads = 2 },
	};
	struct dvk *dvk = NULL;
	int status = EXIT_FAILURE;
	dvs_err err;

	if (!parse(argc, argv, &options)) {
		(void)fputs("Try 'nweb --help'.\n", stderr);
		return EXIT_USAGE;
	}
	options.server.site.root = options.root;
	err = open_fs(&options, &dvk, &options.server.site.fs);
	if (err)
		(void)fprintf(stderr, "nweb: the file system: %s; %s\n", dvs_strerror(err),
			      dvs_err_hint(err));
	else
		status = server_run(&options.server);
	dvs_fs_close(options.server.site.fs);
	dvk_close(dvk);
	return status;
}
