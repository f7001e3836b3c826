/* SPDX-License-Identifier: Apache-2.0 */
/* dvs init: this machine becomes the first node of a new cluster. */
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/cluster/machine.h"
#include "manage/cluster/place.h"
#include "manage/corosync_conf.h"

#define WHAT "begin a cluster"
#define TOKEN_MS 300u
#define TOKEN_MAX_MS 60000u
/* With fewer CPUs a busy corosync at real-time priority starves everybody else. */
#define REAL_TIME_CPUS 4

/* The machine's own name up to the first dot. */
static void name_after_machine(struct config *config)
{
	char name[256];

	if (gethostname(name, sizeof(name) - 1) != 0)
		return;
	name[sizeof(name) - 1] = '\0';
	name[strcspn(name, ".")] = '\0';
	if (config_name_ok(name))
		memcpy(config->name, name, strlen(name) + 1);
}

static int take_options(struct cli *cli, struct config *config, uint32_t *token_ms)
{
	const char *cluster = cli->values[OPTION_CLUSTER];
	const char *address = cli->values[OPTION_ADDRESS];
	const char *name = cli->values[OPTION_NAME];
	uint64_t token;

	config_defaults(config);
	if (!cluster || !address)
		return cli_usage(cli, "say the name of the cluster and where the other machines"
				      " reach this one: --cluster NAME --address ADDRESS");
	if (!config_name_ok(cluster) || (name && !config_name_ok(name)))
		return cli_usage(cli,
				 "'%s' cannot be a name: up to 63 letters, digits, '-', '_' and"
				 " '.', which is not the first",
				 !config_name_ok(cluster) ? cluster : name);
	if (!config_address_ok(address) || strlen(address) > CONFIG_NAME_MAX)
		return cli_usage(cli,
				 "'%s' is not an IP address of one machine; write one like 10.0.0.1"
				 " or fd00::1",
				 address);
	if (!cli_number(cli, OPTION_TOKEN, COROSYNC_TOKEN_MIN_MS, TOKEN_MAX_MS, TOKEN_MS, &token))
		return EXIT_USAGE;
	*token_ms = (uint32_t)token;
	memcpy(config->cluster, cluster, strlen(cluster) + 1);
	memcpy(config->address, address, strlen(address) + 1);
	name_after_machine(config);
	if (name)
		memcpy(config->name, name, strlen(name) + 1);
	config->engine = CONFIG_COROSYNC;
	for (size_t i = 0; i < CONFIG_NODES_MAX; i++)
		config->link[i].filters[0] = CONFIG_TLS;
	return EXIT_DONE;
}

static char *corosync_text(const struct config *config, uint32_t token_ms)
{
	const struct corosync_conf_node node = { config->node, config->name, config->address };
	const struct corosync_conf conf = {
		.cluster = config->cluster,
		.token_ms = token_ms,
		.secure = true,
		.real_time = sysconf(_SC_NPROCESSORS_ONLN) >= REAL_TIME_CPUS,
		.n_nodes = 1,
		.nodes = &node,
	};
	char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	if (!file)
		return NULL;
	corosync_conf_write(file, &conf);
	if (fclose(file) == 0)
		return text;
	free(text);
	return NULL;
}

/* Keys, certificates and configuration, all of it in memory. */
static int make(struct cli *cli, struct bundle *bundle, struct ca_pem *ca_key, uint32_t token_ms)
{
	char why[CA_WHY_MAX];

	bundle->corosync_conf = corosync_text(&bundle->config, token_ms);
	bundle->authkey_bytes = COROSYNC_AUTHKEY_BYTES;
	if (!bundle->corosync_conf)
		return cli_fail(cli, DVS_NOMEM, WHAT);
	if (RAND_bytes(bundle->authkey, (int)bundle->authkey_bytes) != 1)
		return machine_fail(cli, WHAT, "there are no random numbers", "");
	if (ca_create(bundle->config.cluster, CA_AUTHORITY_DAYS, false, &bundle->ca, ca_key, why) !=
		    DVS_OK ||
	    ca_issue(&bundle->ca, ca_key, bundle->config.node, CA_NODE_DAYS, &bundle->cert,
		     &bundle->key, why) != DVS_OK)
		return machine_fail(cli, WHAT, why, "");
	return EXIT_DONE;
}

static void tell_what_is_next(struct cli *cli, const struct config *config)
{
	FILE *out = cli->output.file;

	fprintf(out, "This machine is node %u, %s, of the cluster %s. What is next:\n\n",
		config->node, config->name, config->cluster);
	for (size_t i = 0; i < PLACE_COMMANDS; i++) {
		fprintf(out, "   ");
		for (size_t j = 0; place_commands[i][j]; j++)
			fprintf(out, " %s", place_commands[i][j]);
		fprintf(out, "\n");
	}
	fprintf(out, "    dvs node add NAME ADDRESS    once for each other machine\n\n"
		     "Keep a copy of " CONFIG_DIR_DEFAULT "/ca.key in a safe place.\n");
}

int cmd_init(struct cli *cli)
{
	struct bundle *bundle = calloc(1, sizeof(*bundle));
	AUTO_PEM struct ca_pem ca_key = { 0 };
	uint32_t token_ms = TOKEN_MS;
	int status;

	if (!bundle)
		return cli_fail(cli, DVS_NOMEM, WHAT);
	status = take_options(cli, &bundle->config, &token_ms);
	if (status == EXIT_DONE)
		status = place_check(cli, WHAT, &bundle->config);
	if (status == EXIT_DONE)
		status = make(cli, bundle, &ca_key, token_ms);
	if (status == EXIT_DONE)
		status = place_node(cli, WHAT, bundle, &ca_key);
	if (status == EXIT_DONE)
		tell_what_is_next(cli, &bundle->config);
	bundle_free(bundle);
	return status;
}
