/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the commands that make a cluster of machines in the table of commands, which alone includes this. */
#ifndef MANAGE_CLUSTER_COMMANDS_H
#define MANAGE_CLUSTER_COMMANDS_H

#include "manage/command.h"
#include "manage/output.h"

#define CLUSTER_OPTIONS_END      \
	{                        \
		.id = OPTION_END \
	}

#define CLUSTER_CA_DIR                                                    \
	{                                                                 \
		OPTION_DIR, 0, "dir", "DIR", NULL,                        \
			"where ca.pem and ca.key are (default: /etc/dvs)" \
	}
#define CLUSTER_CA_DAYS                                                      \
	{                                                                    \
		OPTION_DAYS, 0, "days", "DAYS", NULL, "how long it is valid" \
	}

static const struct cli_option ca_init_options[] = {
	{ OPTION_CLUSTER, 0, "cluster", "NAME", NULL,
	  "name of the cluster (default: that in DIR/node.yaml)" },
	CLUSTER_CA_DIR,
	CLUSTER_CA_DAYS,
	{ OPTION_FORCE, 'f', "force", NULL, NULL, "replace an authority that is there" },
	CLUSTER_OPTIONS_END,
};

static const struct cli_option ca_issue_options[] = {
	{ OPTION_NODE, 0, "node", "N", NULL, "number of the node, 0 to 61" },
	{ OPTION_INTO, 0, "into", "DIR", NULL,
	  "where node.pem and node.key go (default: the directory of the authority)" },
	CLUSTER_CA_DIR,
	CLUSTER_CA_DAYS,
	{ OPTION_FORCE, 'f', "force", NULL, NULL, "replace a certificate that is there" },
	CLUSTER_OPTIONS_END,
};

static const struct cli_option ca_renew_options[] = {
	{ OPTION_AUTHORITY, 0, "authority", NULL, NULL,
	  "renew the authority itself, with its key: what it has signed stays good" },
	CLUSTER_CA_DIR,
	CLUSTER_CA_DAYS,
	CLUSTER_OPTIONS_END,
};

static const struct cli_option ca_show_options[] = {
	CLUSTER_CA_DIR,
	{ OPTION_WIDE, 'w', "wide", NULL, NULL, "more columns, as -o wide" },
	CLUSTER_OPTIONS_END,
};

static const struct cli_option init_options[] = {
	{ OPTION_CLUSTER, 0, "cluster", "NAME", NULL, "name of the new cluster" },
	{ OPTION_ADDRESS, 0, "address", "ADDRESS", NULL,
	  "where the other machines reach this one" },
	{ OPTION_NAME, 0, "name", "NAME", NULL,
	  "name of this node (default: that of the machine)" },
	{ OPTION_TOKEN, 0, "token", "MS", NULL,
	  "corosync's token, 130 to 60000 (default: 300): a dead node is seen after about twice "
	  "that" },
	CLUSTER_OPTIONS_END,
};

static const struct cli_option node_add_options[] = {
	{ OPTION_INTO, 0, "into", "FILE", NULL, "where the bundle goes (default: NAME.dvs)" },
	{ OPTION_NUMBER, 0, "number", "N", NULL,
	  "number of the new node, 0 to 61 (default: one that nobody had)" },
	{ OPTION_NO_BUNDLE, 0, "no-bundle", NULL, NULL, "only let corosync on this node know it" },
	CLUSTER_OPTIONS_END,
};

static const struct cli_option leave_options[] = {
	{ OPTION_FORCE, 'f', "force", NULL, NULL, "also when the authority's key is here" },
	CLUSTER_OPTIONS_END,
};

static const struct cli_example ca_init_examples[] = {
	{ "dvs ca init --cluster farm", "an authority for a new cluster" },
	{ NULL, NULL },
};

static const struct cli_example ca_issue_examples[] = {
	{ "dvs ca issue --node 0", "for this machine, beside the authority" },
	{ "dvs ca issue --node 1 --into /root/node1", "for another one" },
	{ NULL, NULL },
};

static const struct cli_example ca_renew_examples[] = {
	{ "dvs ca renew", "a new certificate for this node" },
	{ "dvs ca renew --authority", "the authority's own" },
	{ NULL, NULL },
};

static const struct cli_example ca_show_examples[] = {
	{ "dvs ca show", "what is there, and until when it is valid" },
	{ NULL, NULL },
};

static const struct cli_example init_examples[] = {
	{ "dvs init --cluster farm --address 10.0.0.1", "the first node of a cluster" },
	{ NULL, NULL },
};

static const struct cli_example node_add_examples[] = {
	{ "dvs node add barn 10.0.0.2", "makes barn.dvs for 'dvs join' there" },
	{ NULL, NULL },
};

static const struct cli_example join_examples[] = {
	{ "dvs join barn.dvs", "on the machine for which it was made" },
	{ NULL, NULL },
};

static const struct cli_example leave_examples[] = {
	{ "dvs leave", "take this machine out of its cluster" },
	{ NULL, NULL },
};

#define CLUSTER_COMMANDS                                                          \
	{                                                                         \
		.name = "ca init",                                                \
		.arguments = "",                                                  \
		.help = "make the authority that signs a cluster's certificates", \
		.options = ca_init_options,                                       \
		.examples = ca_init_examples,                                     \
		.run = cmd_ca_init,                                               \
		.formats = OUTPUT_CAN(OUTPUT_TABLE),                              \
		.page = "dvs-ca(1)",                                              \
	},                                                                        \
		{                                                                 \
			.name = "ca issue",                                       \
			.arguments = "",                                          \
			.help = "make the key and the certificate of a node",     \
			.options = ca_issue_options,                              \
			.examples = ca_issue_examples,                            \
			.run = cmd_ca_issue,                                      \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                      \
			.page = "dvs-ca(1)",                                      \
		},                                                                \
		{                                                                 \
			.name = "ca renew",                                       \
			.arguments = "",                                          \
			.help = "make a certificate anew",                        \
			.options = ca_renew_options,                              \
			.examples = ca_renew_examples,                            \
			.run = cmd_ca_renew,                                      \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                      \
			.page = "dvs-ca(1)",                                      \
		},                                                                \
		{                                                                 \
			.name = "ca show",                                        \
			.arguments = "",                                          \
			.help = "show the certificates of this node",             \
			.options = ca_show_options,                               \
			.examples = ca_show_examples,                             \
			.run = cmd_ca_show,                                       \
			.formats = OUTPUT_CAN_ALL,                                \
			.page = "dvs-ca(1)",                                      \
		},                                                                \
		{                                                                 \
			.name = "init",                                           \
			.arguments = "",                                          \
			.help = "begin a cluster on this machine",                \
			.options = init_options,                                  \
			.examples = init_examples,                                \
			.run = cmd_init,                                          \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                      \
			.page = "dvs-init(1)",                                    \
		},                                                                \
		{                                                                 \
			.name = "node add",                                       \
			.arguments = "NAME ADDRESS",                              \
			.help = "let a machine become a node of the cluster",     \
			.options = node_add_options,                              \
			.examples = node_add_examples,                            \
			.run = cmd_node_add,                                      \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                      \
			.min_words = 2,                                           \
			.max_words = 2,                                           \
			.page = "dvs-init(1)",                                    \
		},                                                                \
		{                                                                 \
			.name = "join",                                           \
			.arguments = "BUNDLE",                                    \
			.help = "make this machine a node of a cluster",          \
			.examples = join_examples,                                \
			.run = cmd_join,                                          \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                      \
			.min_words = 1,                                           \
			.max_words = 1,                                           \
			.page = "dvs-init(1)",                                    \
		},                                                                \
		{                                                                 \
			.name = "leave",                                          \
			.arguments = "",                                          \
			.help = "take this machine out of its cluster",           \
			.options = leave_options,                                 \
			.examples = leave_examples,                               \
			.run = cmd_leave,                                         \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                      \
			.page = "dvs-init(1)",                                    \
		},

#endif
