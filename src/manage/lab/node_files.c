/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration files of a lab's node. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/corosync_conf.h"
#include "manage/lab/lab.h"

static bool finish(struct lab *lab, FILE *file, const char *path)
{
	bool good = !ferror(file);

	if (fclose(file) == 0 && good)
		return true;
	return lab_fail(lab, "write %s: %s", path, strerror(errno));
}

static bool write_corosync_conf(struct lab *lab, uint32_t node)
{
	struct corosync_conf_node nodes[LAB_NODES_MAX];
	char texts[LAB_NODES_MAX][2][LAB_ADDRESS_BYTES];
	struct corosync_conf conf = {
		.cluster = lab->name,
		.token_ms = lab->options.token_ms,
		.secure = lab->options.secure,
		.n_nodes = lab->options.n_nodes,
		.nodes = nodes,
	};
	char path[320];
	FILE *file;

	for (uint32_t i = 0; i < conf.n_nodes; i++) {
		(void)snprintf(texts[i][0], sizeof(texts[i][0]), "n%u", i);
		lab_node_address(i, texts[i][1]);
		nodes[i] = (struct corosync_conf_node){ i, texts[i][0], texts[i][1] };
	}
	lab_node_path(lab, node, "corosync/corosync.conf", path, sizeof(path));
	file = fopen(path, "we");
	if (!file)
		return lab_fail(lab, "write %s: %s", path, strerror(errno));
	corosync_conf_write(file, &conf);
	return finish(lab, file, path);
}

static bool write_node_yaml(struct lab *lab, uint32_t node)
{
	const struct lab_options *options = &lab->options;
	char address[LAB_ADDRESS_BYTES];
	char path[320];
	const char *comma = "";
	FILE *file;

	lab_node_path(lab, node, "dvs/node.yaml", path, sizeof(path));
	file = fopen(path, "we");
	if (!file)
		return lab_fail(lab, "write %s: %s", path, strerror(errno));
	lab_node_address(node, address);
	fprintf(file,
		"# Written by dvs lab.\n"
		"cluster: %s\n"
		"node: %u\n"
		"name: n%u\n"
		"address: %s\n"
		"engine: %s\n"
		"links:\n"
		"  transport: %s\n"
		"  interface: eth0\n"
		"  filters: [",
		lab->name, node, node, address,
		options->engine == CONFIG_COROSYNC ? "corosync" : "local",
		config_transport_name(options->transport));
	for (size_t i = 0; i < CONFIG_FILTERS_MAX && options->filters[i] != CONFIG_NO_FILTER; i++) {
		fprintf(file, "%s%s", comma, config_filter_name(options->filters[i]));
		comma = ", ";
	}
	fprintf(file, "]\n");
	return finish(lab, file, path);
}

/* One key for all. */
static bool write_authkey(struct lab *lab, uint32_t node)
{
	char first[320];
	char path[320];

	lab_node_path(lab, 0, "corosync/authkey", first, sizeof(first));
	lab_node_path(lab, node, "corosync/authkey", path, sizeof(path));
	if (node == 0 ? corosync_authkey_create(path) == DVS_OK : link(first, path) == 0)
		return true;
	return lab_fail(lab, "write %s: %s", path, strerror(errno));
}

bool lab_write_node_files(struct lab *lab, uint32_t node)
{
	if (lab->options.secure && !write_authkey(lab, node))
		return false;
	return write_corosync_conf(lab, node) && write_node_yaml(lab, node);
}
