/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the commands on volumes in the table of commands, which alone includes this. */
#ifndef MANAGE_VOLUME_COMMANDS_H
#define MANAGE_VOLUME_COMMANDS_H

#include "manage/cli.h"
#include "manage/command.h"
#include "manage/output.h"

#define VOL_CHANGED (OUTPUT_CAN(OUTPUT_TABLE) | OUTPUT_CAN(OUTPUT_JSON) | OUTPUT_CAN(OUTPUT_NAME))

#define VOL_PROGRESS_OPTION                                                     \
	{                                                                       \
		OPTION_PROGRESS, 0, "progress", "FORM", "auto json none",       \
			"how far it is: a bar or lines, JSON lines, or nothing" \
	}

#define VOL_RATE_OPTION                                                                                \
	{                                                                                              \
		OPTION_RESYNC_RATE, 0, "resync-rate", "BYTES", NULL,                                   \
			"bytes a second for each replica that is brought up to date, as 100M, or none" \
	}

static const struct cli_option vol_create_options[] = {
	{ OPTION_SIZE, 's', "size", "BYTES", NULL, "as 512M, 10G or 1.5T; up to 16T" },
	{ OPTION_REPLICAS, 'r', "replicas", "N", NULL,
	  "on so many nodes, those that have the fewest (default: 1)" },
	{ OPTION_NODES, 0, "nodes", "LIST", NULL,
	  "on these nodes: names or numbers with commas between, or all; the first one begins" },
	{ OPTION_STORE, 0, "store", "KIND", "ram file raw nbd",
	  "in memory, a file (the default), a block device, or an NBD volume of somebody else" },
	{ OPTION_DIRECT, 0, "direct", NULL, NULL, "a file past the page cache (O_DIRECT)" },
	{ OPTION_PLACE, 0, "place", "NODE=PLACE", NULL,
	  "the file, device or NBD URI of a node; several times" },
	{ OPTION_ASYNC, 0, "async", NULL, NULL,
	  "answer writes before the backups have them: what they lag behind can be lost" },
	{ OPTION_LAG, 0, "lag", "BYTES", NULL,
	  "by how much they may lag behind with --async (default: 64M)" },
	VOL_RATE_OPTION,
	{ OPTION_ACCESS, 0, "access", "WHO", "managers dc",
	  "who may read and write: managers (the default) or all programs of the DC" },
	{ OPTION_DETACH, 'd', "detach", NULL, NULL, "do not wait until all replicas are there" },
	VOL_PROGRESS_OPTION,
	{ .id = OPTION_END },
};

static const struct cli_option vol_ls_options[] = {
	{ OPTION_WIDE, 'w', "wide", NULL, NULL, "more columns, as -o wide" },
	{ .id = OPTION_END },
};

static const struct cli_option vol_stats_options[] = {
	{ OPTION_ONCE, 0, "once", NULL, NULL, "one look, as a table, also on a terminal" },
	{ OPTION_COUNT, 'n', "count", "COUNT", NULL,
	  "end after COUNT looks (default: 1, on a terminal without end)" },
	{ OPTION_INTERVAL, 'i', "interval", "SECONDS", NULL,
	  "time between two looks, 0.1 to 3600 (default: 1)" },
	{ OPTION_WIDE, 'w', "wide", NULL, NULL, "more columns, as -o wide" },
	{ .id = OPTION_END },
};

static const struct cli_option vol_resize_options[] = {
	{ OPTION_FORCE, 'f', "force", NULL, NULL, "also to a smaller size" },
	{ .id = OPTION_END },
};

static const struct cli_option vol_set_options[] = {
	VOL_RATE_OPTION,
	{ OPTION_ASYNC, 0, "async", "WHETHER", "on off",
	  "on: answer writes before the backups have them; off: when all have them" },
	{ OPTION_LAG, 0, "lag", "BYTES", NULL,
	  "by how much backups may lag behind while it is asynchronous" },
	{ OPTION_ACCESS, 0, "access", "WHO", "managers dc",
	  "who may read and write: managers or all programs of the DC" },
	{ .id = OPTION_END },
};

static const struct cli_option vol_promote_options[] = {
	{ OPTION_LOST_DATA, 0, "lost-data", NULL, NULL,
	  "with what the node has, when no replica that has everything comes back" },
	{ .id = OPTION_END },
};

static const struct cli_option vol_replica_options[] = {
	{ OPTION_PLACE, 0, "place", "PLACE", NULL, "add: its file, device or NBD URI there" },
	{ OPTION_FORCE, 'f', "force", NULL, NULL, "rm: even if the others lack something" },
	{ OPTION_DETACH, 'd', "detach", NULL, NULL, "add: do not wait until it is in sync" },
	VOL_PROGRESS_OPTION,
	{ .id = OPTION_END },
};

static const struct cli_option vol_verify_options[] = {
	{ OPTION_REPAIR, 0, "repair", NULL, NULL, "send what differs anew from the primary" },
	{ OPTION_DETACH, 'd', "detach", NULL, NULL, "do not wait for the result" },
	VOL_PROGRESS_OPTION,
	{ .id = OPTION_END },
};

static const struct cli_option vol_export_options[] = {
	{ OPTION_SOCKET, 0, "socket", "PATH", NULL,
	  "on a Unix socket, for its owner alone (default: nbd/DC.socket in the run directory)" },
	{ OPTION_LISTEN, 0, "listen", "ADDRESS:PORT", NULL, "on a TCP port" },
	{ OPTION_TLS, 0, "tls", "DIR", NULL,
	  "only under TLS, with node.pem and node.key in DIR; with ca.pem clients need a certificate" },
	{ OPTION_READ_ONLY, 0, "read-only", NULL, NULL, "nobody writes" },
	{ OPTION_SHARED, 0, "shared", NULL, NULL,
	  "others may write to them at the same time, if they say so, too" },
	{ OPTION_DETACH, 'd', "detach", NULL, NULL, "go on in the background" },
	{ OPTION_STOP, 0, "stop", NULL, NULL, "end the one that listens there" },
	{ .id = OPTION_END },
};

static const struct cli_option vol_attach_options[] = {
	{ OPTION_READ_ONLY, 0, "read-only", NULL, NULL,
	  "nothing can be written; others may write to it meanwhile" },
	{ OPTION_SHARED, 0, "shared", NULL, NULL,
	  "others may attach it to write, too, if they say so: for file systems made for it" },
	{ OPTION_BY, 0, "by", "DEVICE", NULL,
	  "nbd, of the kernel's NBD client, or loop, over FUSE; auto: nbd if the kernel has it"
	  " (default: auto)" },
	{ OPTION_NODE, 0, "node", "NODE", NULL, "of that node, by its agent (default: this one)" },
	{ .id = OPTION_END },
};

static const struct cli_option vol_detach_options[] = {
	{ OPTION_FORCE, 'f', "force", NULL, NULL,
	  "even if it is mounted: whoever uses it gets errors" },
	{ OPTION_TIMEOUT, 0, "timeout", "SECONDS", NULL,
	  "wait so long for those who have it open (default: 10)" },
	{ OPTION_NODE, 0, "node", "NODE", NULL, "of that node, by its agent (default: this one)" },
	{ .id = OPTION_END },
};

static const struct cli_option vol_attachments_options[] = {
	{ OPTION_NODE, 0, "node", "NODE", NULL, "of that node, by its agent (default: this one)" },
	{ OPTION_ALL_NODES, 0, "all-nodes", NULL, NULL, "of all nodes, by their agents" },
	{ .id = OPTION_END },
};

static const struct cli_option vol_rm_options[] = {
	{ OPTION_FORCE, 'f', "force", NULL, NULL, "yes, with all that is in it" },
	{ .id = OPTION_END },
};

static const struct cli_example vol_create_examples[] = {
	{ "dvs vol create web/data --size 10G", "a file on this node, or one with fewer volumes" },
	{ "dvs vol create web/db --size 50G --nodes n0,n1,n2 --direct", "three replicas" },
	{ "dvs vol create web/disk --size 100G --store raw --nodes n1 --place n1=/dev/vdb",
	  "a block device of n1" },
	{ NULL, NULL },
};

static const struct cli_example vol_ls_examples[] = {
	{ "dvs vol ls", "the volumes of all DCs" },
	{ "dvs vol ls web -w", "those of the DC web, with all columns" },
	{ "dvs vol ls -o json", "for programs" },
	{ NULL, NULL },
};

static const struct cli_example vol_inspect_examples[] = {
	{ "dvs vol inspect web/data", "its replicas, snapshots and counters" },
	{ NULL, NULL },
};

static const struct cli_example vol_stats_examples[] = {
	{ "dvs vol stats", "live, on the whole screen; q ends it" },
	{ "dvs vol stats web/data -n 5", "five looks at one volume" },
	{ "dvs vol stats --once -o json", "one look, for programs" },
	{ NULL, NULL },
};

static const struct cli_example vol_resize_examples[] = {
	{ "dvs vol resize web/data +5G", "5 GiB more" },
	{ "dvs vol resize web/data 20G", "20 GiB" },
	{ NULL, NULL },
};

static const struct cli_example vol_set_examples[] = {
	{ "dvs vol set web/data --resync-rate 100M", "at most 100 MiB a second for each" },
	{ "dvs vol set web/data --resync-rate none", "as fast as it goes" },
	{ "dvs vol set web/data --async on --lag 16M", "answer before the backups have it" },
	{ NULL, NULL },
};

static const struct cli_example vol_snapshot_examples[] = {
	{ "dvs vol snapshot web/data monday", "keep what it has now as web/data@monday" },
	{ NULL, NULL },
};

static const struct cli_example vol_clone_examples[] = {
	{ "dvs vol clone web/data@monday test", "a volume web/test that begins as the snapshot" },
	{ NULL, NULL },
};

static const struct cli_example vol_replica_examples[] = {
	{ "dvs vol replica add web/data n2", "one more, on n2" },
	{ "dvs vol replica rm web/data n0", "that of n0 is not needed any more" },
	{ NULL, NULL },
};

static const struct cli_example vol_promote_examples[] = {
	{ "dvs vol promote web/data n1", "n1 answers from now on" },
	{ "dvs vol promote --lost-data web/data n1",
	  "n1 goes on with what it has: all others are lost for good" },
	{ NULL, NULL },
};

static const struct cli_example vol_verify_examples[] = {
	{ "dvs vol verify web/data", "whether all replicas are equal" },
	{ "dvs vol verify web/data --repair", "and make them so" },
	{ NULL, NULL },
};

static const struct cli_example vol_export_examples[] = {
	{ "dvs vol export web", "all volumes of web, and their snapshots, until Ctrl-C" },
	{ "dvs vol export -d web/data --listen 10.0.0.1:10809 --tls /etc/dvs",
	  "one, to other machines" },
	{ "dvs vol export --stop web", "no more" },
	{ NULL, NULL },
};

static const struct cli_example vol_attach_examples[] = {
	{ "dvs vol attach web/data", "prints the device, as /dev/loop0" },
	{ "mount \"$(dvs vol attach web/data)\" /mnt", "use the file system on it" },
	{ "dvs vol attach web/data@monday", "a snapshot: read only" },
	{ "dvs vol attach web/data --node barn", "a device of another node" },
	{ NULL, NULL },
};

static const struct cli_example vol_detach_examples[] = {
	{ "dvs vol detach /dev/loop0", "this device" },
	{ "dvs vol detach web/data", "that of this volume" },
	{ NULL, NULL },
};

static const struct cli_example vol_attachments_examples[] = {
	{ "dvs vol attachments", "the volumes that are devices of this node" },
	{ "dvs vol attachments --all-nodes", "of all nodes" },
	{ NULL, NULL },
};

static const struct cli_example vol_rm_examples[] = {
	{ "dvs vol rm web/data@monday", "a snapshot" },
	{ "dvs vol rm --force web/data", "a volume" },
	{ NULL, NULL },
};

/* clang-format off */
#define VOLUME_COMMANDS								\
	{									\
		.name = "vol create",						\
		.arguments = "DC/VOLUME",					\
		.help = "create a volume: a disk with replicas",		\
		.options = vol_create_options,					\
		.examples = vol_create_examples,				\
		.run = cmd_vol_create,						\
		.formats = VOL_CHANGED,						\
		.min_words = 1,							\
		.max_words = 1,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol ls",						\
		.arguments = "[DC]",						\
		.help = "list the volumes",					\
		.options = vol_ls_options,					\
		.examples = vol_ls_examples,					\
		.run = cmd_vol_ls,						\
		.argument = ARGUMENT_DC,					\
		.formats = OUTPUT_CAN_ALL,					\
		.max_words = 1,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol inspect",						\
		.arguments = "DC/VOLUME",					\
		.help = "tell everything about a volume",			\
		.examples = vol_inspect_examples,				\
		.run = cmd_vol_inspect,						\
		.argument = ARGUMENT_VOLUME,					\
		.formats = OUTPUT_CAN(OUTPUT_TABLE) | OUTPUT_CAN(OUTPUT_JSON),	\
		.min_words = 1,							\
		.max_words = 1,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol stats",						\
		.arguments = "[DC|DC/VOLUME]",					\
		.help = "watch what volumes do",				\
		.options = vol_stats_options,					\
		.examples = vol_stats_examples,					\
		.run = cmd_vol_stats,						\
		.argument = ARGUMENT_VOLUME,					\
		.formats = OUTPUT_CAN_ALL,					\
		.max_words = 1,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol resize",						\
		.arguments = "DC/VOLUME SIZE",					\
		.help = "change the size of a volume that is in use",		\
		.options = vol_resize_options,					\
		.examples = vol_resize_examples,				\
		.run = cmd_vol_resize,						\
		.argument = ARGUMENT_VOLUME,					\
		.formats = VOL_CHANGED,						\
		.min_words = 2,							\
		.max_words = 2,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol set",						\
		.arguments = "DC/VOLUME",					\
		.help = "change how a volume is kept",				\
		.options = vol_set_options,					\
		.examples = vol_set_examples,					\
		.run = cmd_vol_set,						\
		.argument = ARGUMENT_VOLUME,					\
		.formats = VOL_CHANGED,						\
		.min_words = 1,							\
		.max_words = 1,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol snapshot",						\
		.arguments = "DC/VOLUME NAME",					\
		.help = "keep what a volume has now",				\
		.examples = vol_snapshot_examples,				\
		.run = cmd_vol_snapshot,					\
		.argument = ARGUMENT_VOLUME,					\
		.formats = VOL_CHANGED,						\
		.min_words = 2,							\
		.max_words = 2,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol clone",						\
		.arguments = "DC/VOLUME@SNAPSHOT NEW",				\
		.help = "make a volume that begins as a snapshot",		\
		.examples = vol_clone_examples,					\
		.run = cmd_vol_clone,						\
		.argument = ARGUMENT_VOLUME,					\
		.formats = VOL_CHANGED,						\
		.min_words = 2,							\
		.max_words = 2,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol replica",						\
		.arguments = "add|rm DC/VOLUME NODE",				\
		.help = "add or remove a replica of a volume",			\
		.options = vol_replica_options,					\
		.examples = vol_replica_examples,				\
		.run = cmd_vol_replica,						\
		.argument = ARGUMENT_REPLICA,					\
		.formats = VOL_CHANGED,						\
		.min_words = 3,							\
		.max_words = 3,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol promote",						\
		.arguments = "DC/VOLUME NODE",					\
		.help = "let another node's replica be the primary",		\
		.options = vol_promote_options,					\
		.examples = vol_promote_examples,				\
		.run = cmd_vol_promote,						\
		.argument = ARGUMENT_VOLUME,					\
		.formats = VOL_CHANGED,						\
		.min_words = 2,							\
		.max_words = 2,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol verify",						\
		.arguments = "DC/VOLUME",					\
		.help = "compare the replicas of a volume",			\
		.options = vol_verify_options,					\
		.examples = vol_verify_examples,				\
		.run = cmd_vol_verify,						\
		.argument = ARGUMENT_VOLUME,					\
		.formats = VOL_CHANGED,						\
		.min_words = 1,							\
		.max_words = 1,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol export",						\
		.arguments = "DC|DC/VOLUME[@SNAPSHOT]...",			\
		.help = "serve volumes to NBD clients",				\
		.options = vol_export_options,					\
		.examples = vol_export_examples,				\
		.run = cmd_vol_export,						\
		.argument = ARGUMENT_VOLUME,					\
		.formats = VOL_CHANGED,						\
		.min_words = 1,							\
		.max_words = CLI_WORDS_MAX,					\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol attach",						\
		.arguments = "DC/VOLUME[@SNAPSHOT]",				\
		.help = "make a volume a block device of a node",		\
		.options = vol_attach_options,					\
		.examples = vol_attach_examples,				\
		.run = cmd_vol_attach,						\
		.argument = ARGUMENT_VOLUME,					\
		.formats = VOL_CHANGED,						\
		.min_words = 1,							\
		.max_words = 1,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol detach",						\
		.arguments = "DC/VOLUME[@SNAPSHOT]|DEVICE",			\
		.help = "take a block device off a node",			\
		.options = vol_detach_options,					\
		.examples = vol_detach_examples,				\
		.run = cmd_vol_detach,						\
		.argument = ARGUMENT_VOLUME,					\
		.formats = VOL_CHANGED,						\
		.min_words = 1,							\
		.max_words = 1,							\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol attachments",					\
		.arguments = "",						\
		.help = "list the volumes that are block devices of a node",	\
		.options = vol_attachments_options,				\
		.examples = vol_attachments_examples,				\
		.run = cmd_vol_attachments,					\
		.formats = OUTPUT_CAN_ALL,					\
		.page = "dvs-vol(1)",						\
	},									\
	{									\
		.name = "vol rm",						\
		.arguments = "DC/VOLUME[@SNAPSHOT]",				\
		.help = "remove a volume, clone or snapshot",			\
		.options = vol_rm_options,					\
		.examples = vol_rm_examples,					\
		.run = cmd_vol_rm,						\
		.argument = ARGUMENT_VOLUME,					\
		.formats = VOL_CHANGED,						\
		.min_words = 1,							\
		.max_words = 1,							\
		.page = "dvs-vol(1)",						\
	},
/* clang-format on */

#endif
