/* SPDX-License-Identifier: Apache-2.0 */
/* dvs lab up: make a lab. Whatever ends this before it is done, its holders end with it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "manage/cli.h"
#include "manage/command.h"
#include "manage/corosync_conf.h"
#include "manage/lab/lab.h"

#define TOKEN_MAX_MS 60000u

int lab_say_failure(struct cli *cli, const struct lab *lab)
{
	fprintf(cli->err, "dvs: %s: %s%s", cli->command->name, lab->error,
		lab->error[strlen(lab->error) - 1] == '\n' ? "" : "\n");
	return EXIT_FAILED;
}

/* ---- what is wanted ---- */

static bool take_nodes(struct cli *cli, struct lab_options *options)
{
	const char *word = cli->words[0];
	size_t len = strlen(word);

	if (len > 0 && len <= 2 && strspn(word, "0123456789") == len)
		options->n_nodes = (uint32_t)strtoul(word, NULL, 10);
	if (options->n_nodes >= 1 && options->n_nodes <= LAB_NODES_MAX)
		return true;
	(void)cli_usage(cli, "'%s' is no number of nodes from 1 to %u; give one", word,
			LAB_NODES_MAX);
	return false;
}

static bool take_transport(struct lab_options *options, const char *word)
{
	for (int i = CONFIG_TCP; word && i <= CONFIG_TIPC; i++) {
		if (strcmp(word, config_transport_name((enum config_transport)i)) == 0)
			options->transport = (enum config_transport)i;
	}
	return true;
}

static bool take_filters(struct cli *cli, struct lab_options *options, const char *words)
{
	size_t n = 0;

	while (words && *words) {
		size_t len = strcspn(words, ",");
		enum config_filter filter = CONFIG_NO_FILTER;

		for (int i = CONFIG_ZSTD; i <= CONFIG_TLS; i++) {
			const char *name = config_filter_name((enum config_filter)i);

			if (strlen(name) == len && strncmp(words, name, len) == 0)
				filter = (enum config_filter)i;
		}
		if (filter == CONFIG_NO_FILTER || n == CONFIG_FILTERS_MAX) {
			(void)cli_usage(cli,
					"'%s' is no list of filters; it takes zstd or lz4, and "
					"then tls, with commas between",
					cli->values[OPTION_FILTERS]);
			return false;
		}
		options->filters[n++] = filter;
		words += len + (words[len] == ',');
	}
	return true;
}

static bool take_options(struct cli *cli, struct lab_options *options)
{
	const char *engine = cli->values[OPTION_ENGINE];
	uint64_t token_ms;

	if (!take_nodes(cli, options) ||
	    !cli_number(cli, OPTION_TOKEN, COROSYNC_TOKEN_MIN_MS, TOKEN_MAX_MS,
			LAB_TOKEN_DEFAULT_MS, &token_ms) ||
	    !take_transport(options, cli->values[OPTION_TRANSPORT]) ||
	    !take_filters(cli, options, cli->values[OPTION_FILTERS]))
		return false;
	options->token_ms = (uint32_t)token_ms;
	options->engine = engine && strcmp(engine, "local") == 0 ? CONFIG_LOCAL : CONFIG_COROSYNC;
	options->secure = cli_has(cli, OPTION_SECURE);
	options->bare = cli_has(cli, OPTION_BARE);
	return true;
}

/* ---- making it ---- */

/* On a terminal, say what is being waited for. */
static void progress(struct cli *cli, const char *what)
{
	if (isatty(fileno(cli->err))) {
		fprintf(cli->err, "%s\n", what);
		fflush(cli->err);
	}
}

static bool make_dir(struct lab *lab)
{
	char base[128];

	if (!lab_base_dir(base, sizeof(base)))
		return lab_fail(lab, "DVS_LAB_DIR is too long; choose a shorter one");
	if (mkdir(base, 0755) != 0 && errno != EEXIST)
		return lab_fail(lab,
				"make the directory %s: %s; run it as root, or set "
				"DVS_LAB_DIR to a directory that you may write to",
				base, strerror(errno));
	if (mkdir(lab->dir, 0755) != 0 && errno != EEXIST)
		return lab_fail(lab, "make the directory %s: %s", lab->dir, strerror(errno));
	return true;
}

static bool start_holders(struct lab *lab)
{
	int fds[LAB_NODES_MAX + 1];
	uint32_t n = lab->options.n_nodes;

	/* They are never closed: what is left of them ends with us. */
	if (!lab_holder_start(lab, LAB_HUB, &fds[LAB_HUB]))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (!lab_holder_start(lab, i, &fds[i]))
			return false;
	}
	if (!lab_holder_wait(lab, LAB_HUB, fds[LAB_HUB]))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (!lab_holder_wait(lab, i, fds[i]))
			return false;
	}
	memcpy(lab->control_fds, fds, sizeof(fds));
	return true;
}

static bool start_services(struct lab *lab)
{
	struct lab_running running[LAB_NODES_MAX];
	uint32_t n = lab->options.n_nodes;
	struct lab_expected expected = { .n_corosync = n, .n_dvsd = n };
	uint32_t n_started = 0;
	bool good = true;

	while (n_started < n && good) {
		good = lab_inside_start(lab, n_started, lab_services_start, &expected,
					&running[n_started]);
		n_started += good;
	}
	for (uint32_t i = 0; i < n_started; i++)
		good = lab_inside_wait(lab, i, &running[i]) && good;
	return good;
}

static bool release(struct lab *lab)
{
	for (uint32_t i = 0; i < lab->options.n_nodes; i++) {
		if (!lab_holder_release(lab, i, lab->control_fds[i]))
			return false;
	}
	return lab_holder_release(lab, LAB_HUB, lab->control_fds[LAB_HUB]);
}

static bool make_lab(struct cli *cli, struct lab *lab)
{
	if (!lab_find_programs(lab) || !make_dir(lab) || !lab_lock(lab))
		return false;
	if (lab_find_holders(lab) > 0) {
		lab->keep = true;
		return lab_fail(lab,
				"there is a lab '%s' already; 'dvs lab down --name %s' ends "
				"it, --name gives the new one another name",
				lab->name, lab->name);
	}
	/* what a lab left that was not taken down */
	if (!lab_containers_remove(lab))
		return false;
	lab_clear_dir(lab);
	if (!lab_create_dir(lab))
		return false;
	for (uint32_t i = 0; i < lab->options.n_nodes; i++) {
		if (!lab_write_node_files(lab, i))
			return false;
	}
	progress(cli, "namespaces and network");
	if (!lab_write_certificates(lab) || !start_holders(lab) || !lab_network_up(lab))
		return false;
	progress(cli, lab->options.engine == CONFIG_COROSYNC ? "corosync, its quorum, and dvsd" :
							       "dvsd");
	return start_services(lab) && release(lab);
}

static void summarise(struct cli *cli, const struct lab *lab, uint64_t began_ns)
{
	uint64_t ms = (clock_now_ns() - began_ns) / CLOCK_NS_PER_MS;
	const char *name = strcmp(lab->name, LAB_NAME_DEFAULT) == 0 ? "" : lab->name;
	const char *option = name[0] ? " --name " : "";

	fprintf(cli->output.file,
		"lab '%s': %u nodes, n0 to n%u, up in %u.%u s\n"
		"  dvs lab ls%s%s\n"
		"  dvs lab exec%s%s n0 -- bash\n"
		"  dvs lab down%s%s\n",
		lab->name, lab->options.n_nodes, lab->options.n_nodes - 1,
		(unsigned int)(ms / 1000), (unsigned int)(ms % 1000 / 100), option, name, option,
		name, option, name);
}

int cmd_lab_up(struct cli *cli)
{
	uint64_t began_ns = clock_now_ns();
	struct lab lab;
	bool good;

	if (!lab_init(&lab, cli->values[OPTION_NAME]))
		return lab_say_failure(cli, &lab);
	if (!take_options(cli, &lab.options))
		return EXIT_USAGE;
	good = make_lab(cli, &lab);
	if (!good && !lab.keep) {
		struct lab rest = lab;

		/* The first failure is the one to tell. */
		if (lab_kill_holders(&rest) && lab_containers_remove(&rest))
			lab_remove_dir(&rest);
	}
	lab_close(&lab);
	if (!good)
		return lab_say_failure(cli, &lab);
	summarise(cli, &lab, began_ns);
	return EXIT_DONE;
}
