/* SPDX-License-Identifier: Apache-2.0 */
/* dvs node add: a machine may become a node. On the member that has the authority's key it makes the bundle for 'dvs join'; everywhere it
 * takes the node into corosync's list, because corosync lets nobody in whom it does not know. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/cluster/bundle.h"
#include "manage/cluster/files.h"
#include "manage/cluster/machine.h"

#define WHAT "add a node"

struct addition {
	struct config self; /* of the member that we are */
	char *conf;	    /* corosync.conf as it is */
	char *changed;	    /* and as it will be */
	struct nodelist nodes;
	struct nodelist_node node; /* the new one */
	bool known;		   /* it stands in corosync.conf already */
};

static int read_member(struct cli *cli, struct addition *addition)
{
	char text[CONFIG_TEXT_MAX];
	int status = machine_is_root(cli, WHAT);

	if (status != EXIT_DONE)
		return status;
	if (config_read(CONFIG_FILE_DEFAULT, &addition->self, text, sizeof(text)) != DVS_OK)
		return machine_fail(cli, WHAT, text,
				    "run this on a node of a cluster ('dvs init' begins one)");
	if (addition->self.engine != CONFIG_COROSYNC)
		return machine_fail(cli, WHAT, "this machine is no node of a cluster",
				    "'dvs init' begins one");
	addition->conf = machine_corosync_conf();
	if (!addition->conf)
		return cli_fail_errno(cli, errno, "", WHAT ": read " MACHINE_COROSYNC_CONF);
	if (nodelist_read(addition->conf, &addition->nodes, text) != DVS_OK)
		return machine_fail(cli, WHAT ": read " MACHINE_COROSYNC_CONF, text, "");
	return EXIT_DONE;
}

static int fail_taken(struct cli *cli, const struct nodelist_node *other, const char *what)
{
	char why[256];

	(void)snprintf(why, sizeof(why), "%s is that of node %u (%s, %s)", what, other->node,
		       other->name, other->address);
	return machine_fail(cli, WHAT, why, "choose another one");
}

static int check_words(struct cli *cli, const char *name, const char *address)
{
	if (!config_name_ok(name))
		return cli_usage(cli,
				 "'%s' cannot be the name of a node: up to 63 letters, digits,"
				 " '-', '_' and '.', which is not the first",
				 name);
	if (!config_address_ok(address) || strlen(address) > CONFIG_NAME_MAX)
		return cli_usage(cli,
				 "'%s' is not an IP address of one machine; write one like"
				 " 10.0.0.2 or fd00::2",
				 address);
	return EXIT_DONE;
}

/* With a number it may be in the list already, as it is said: what 'dvs node add' on another member has told. */
static int choose(struct cli *cli, struct addition *addition)
{
	const char *name = cli->words[0];
	const char *address = cli->words[1];
	const struct nodelist_node *other;
	uint64_t number;

	if (!cli_number(cli, OPTION_NUMBER, 0, CONFIG_NODES_MAX - 1,
			nodelist_free_number(&addition->nodes), &number))
		return EXIT_USAGE;
	other = nodelist_by_number(&addition->nodes, (uint32_t)number);
	addition->known = other && strcmp(other->name, name) == 0 &&
			  strcmp(other->address, address) == 0;
	if (other && !addition->known)
		return fail_taken(cli, other, "that number");
	other = nodelist_by_name(&addition->nodes, name);
	if (other && !addition->known)
		return fail_taken(cli, other, "that name");
	other = nodelist_by_address(&addition->nodes, address);
	if (other && !addition->known)
		return fail_taken(cli, other, "that address");
	if (number >= CONFIG_NODES_MAX)
		return machine_fail(cli, WHAT,
				    "the cluster has 62 nodes, and more are not possible", "");
	addition->node.node = (uint32_t)number;
	memcpy(addition->node.name, name, strlen(name) + 1);
	memcpy(addition->node.address, address, strlen(address) + 1);
	return EXIT_DONE;
}

static int change_list(struct cli *cli, struct addition *addition)
{
	if (!addition->known)
		addition->nodes.list[addition->nodes.n++] = addition->node;
	addition->changed = nodelist_replace(addition->conf, &addition->nodes);
	return addition->changed ? EXIT_DONE : cli_fail(cli, DVS_NOMEM, WHAT);
}

static int read_authority(struct cli *cli, struct bundle *bundle, struct ca_pem *ca_key)
{
	if (ca_read(CONFIG_DIR_DEFAULT, "ca.pem", &bundle->ca) != DVS_OK)
		return cli_fail_errno(cli, errno, "", WHAT ": read " CONFIG_DIR_DEFAULT "/ca.pem");
	if (ca_read(CONFIG_DIR_DEFAULT, "ca.key", ca_key) != DVS_OK)
		return cli_fail_errno(cli, errno,
				      "run this on the node on which the cluster was begun: only it"
				      " has the authority's key",
				      WHAT ": read " CONFIG_DIR_DEFAULT "/ca.key");
	return EXIT_DONE;
}

static int read_authkey(struct cli *cli, struct bundle *bundle)
{
	AUTO_FREE char *bytes = NULL;
	dvs_err err = files_read(MACHINE_AUTHKEY, sizeof(bundle->authkey), &bytes,
				 &bundle->authkey_bytes);

	if (err != DVS_OK)
		return cli_fail_hint(cli, err, "corosync's key must be there",
				     WHAT ": read " MACHINE_AUTHKEY);
	memcpy(bundle->authkey, bytes, bundle->authkey_bytes);
	explicit_bzero(bytes, bundle->authkey_bytes);
	return EXIT_DONE;
}

/* The new node's links are like ours, but for those that this node has for single peers. */
static void fill_config(const struct addition *addition, struct config *config)
{
	const struct config_link *usual = &addition->self.link[addition->node.node];

	*config = addition->self;
	config->node = addition->node.node;
	memcpy(config->name, addition->node.name, sizeof(config->name));
	memcpy(config->address, addition->node.address, sizeof(config->address));
	(void)snprintf(config->dir, sizeof(config->dir), "%s", CONFIG_DIR_DEFAULT);
	for (size_t i = 0; i < CONFIG_NODES_MAX; i++)
		config->link[i] = *usual;
}

static int make_bundle(struct cli *cli, const struct addition *addition, struct bundle *bundle)
{
	AUTO_PEM struct ca_pem ca_key = { 0 };
	char why[CA_WHY_MAX];
	int status = read_authority(cli, bundle, &ca_key);

	if (status == EXIT_DONE)
		status = read_authkey(cli, bundle);
	if (status != EXIT_DONE)
		return status;
	fill_config(addition, &bundle->config);
	bundle->corosync_conf = strdup(addition->changed);
	if (!bundle->corosync_conf)
		return cli_fail(cli, DVS_NOMEM, WHAT);
	if (ca_issue(&bundle->ca, &ca_key, bundle->config.node, CA_NODE_DAYS, &bundle->cert,
		     &bundle->key, why) != DVS_OK)
		return machine_fail(cli, WHAT, why, "");
	return EXIT_DONE;
}

static int add_bundle(struct cli *cli, const struct addition *addition, const char *path,
		      struct files *files)
{
	struct bundle *bundle = calloc(1, sizeof(*bundle));
	char *bytes = NULL;
	size_t len = 0;
	int status = bundle ? make_bundle(cli, addition, bundle) : cli_fail(cli, DVS_NOMEM, WHAT);

	if (status == EXIT_DONE && (bundle_write(bundle, &bytes, &len) != DVS_OK ||
				    files_add(files, path, 0600, false, bytes, len) != DVS_OK))
		status = cli_fail(cli, DVS_NOMEM, WHAT);
	if (bytes)
		explicit_bzero(bytes, len);
	free(bytes);
	bundle_free(bundle);
	return status;
}

static int commit(struct cli *cli, const struct addition *addition, struct files *files)
{
	static const char *const reload[] = { "corosync-cfgtool", "-R", NULL };
	int status = EXIT_DONE;

	if (!addition->known && files_add(files, MACHINE_COROSYNC_CONF, 0644, true,
					  addition->changed, strlen(addition->changed)) != DVS_OK)
		return cli_fail(cli, DVS_NOMEM, WHAT);
	if (files_commit(files) != DVS_OK)
		return machine_fail(cli, WHAT, files->why, "nothing was changed");
	if (!addition->known && machine_run(reload) != 0)
		cli_note(cli, "corosync did not read its configuration anew; it does so at its next"
			      " start, or with 'corosync-cfgtool -R'");
	return status;
}

static void tell_what_is_next(struct cli *cli, const struct addition *addition, const char *path)
{
	const struct nodelist_node *node = &addition->node;
	FILE *out = cli->output.file;
	bool others = addition->nodes.n > 2;

	if (!path)
		return;
	fprintf(out, "%s will be node %u of the cluster %s. What is next:\n\n", node->name,
		node->node, addition->self.cluster);
	if (others)
		fprintf(out,
			"    dvs node add %s %s --number %u --no-bundle    on each other node\n",
			node->name, node->address, node->node);
	fprintf(out,
		"    scp %s root@%s:    it holds the node's key: keep it from others\n"
		"    dvs join %s    there\n",
		path, node->address, path);
}

int cmd_node_add(struct cli *cli)
{
	struct addition addition = { 0 };
	struct files files;
	char path[FILES_PATH_MAX];
	bool with_bundle = !cli_has(cli, OPTION_NO_BUNDLE);
	int status = check_words(cli, cli->words[0], cli->words[1]);

	files_init(&files);
	if (status == EXIT_DONE)
		status = read_member(cli, &addition);
	if (status == EXIT_DONE)
		status = choose(cli, &addition);
	if (status == EXIT_DONE)
		status = change_list(cli, &addition);
	if (status == EXIT_DONE) {
		(void)snprintf(path, sizeof(path), "%s.dvs", addition.node.name);
		if (cli_has(cli, OPTION_INTO))
			(void)snprintf(path, sizeof(path), "%s", cli->values[OPTION_INTO]);
	}
	if (status == EXIT_DONE && with_bundle)
		status = add_bundle(cli, &addition, path, &files);
	if (status == EXIT_DONE)
		status = commit(cli, &addition, &files);
	if (status == EXIT_DONE)
		tell_what_is_next(cli, &addition, with_bundle ? path : NULL);
	files_free(&files);
	free(addition.conf);
	free(addition.changed);
	return status;
}
