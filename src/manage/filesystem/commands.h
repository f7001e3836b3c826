/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the commands on file systems in the table of commands, which alone includes this. */
#ifndef MANAGE_FILESYSTEM_COMMANDS_H
#define MANAGE_FILESYSTEM_COMMANDS_H

#include "manage/cli.h"
#include "manage/command.h"
#include "manage/output.h"

#define FS_CHANGED (OUTPUT_CAN(OUTPUT_TABLE) | OUTPUT_CAN(OUTPUT_JSON) | OUTPUT_CAN(OUTPUT_NAME))

static const struct cli_option fs_create_options[] = {
	{ OPTION_SIZE, 's', "size", "BYTES", NULL,
	  "of one in memory or in a file: as 512M or 10G; 16M to 16T" },
	{ OPTION_STORE, 0, "store", "KIND", "ram file raw volume",
	  "what it is on: memory, a file (the default), a block device, or a volume" },
	{ OPTION_VOLUME, 0, "volume", "NAME", NULL, "the volume of that DC that it is on" },
	{ OPTION_DEVICE, 0, "device", "PATH", NULL, "the block device that it is on" },
	{ OPTION_NODES, 0, "nodes", "LIST", NULL,
	  "nodes with a server: names or numbers with commas between (default: this one); of a "
	  "file system on a volume all but one are backups" },
	{ OPTION_ACCESS, 0, "access", "WHO", "managers dc",
	  "who may ask the server: managers (the default) or all programs of the DC" },
	{ OPTION_DETACH, 'd', "detach", NULL, NULL, "do not wait until it is served" },
	{ .id = OPTION_END },
};

static const struct cli_option fs_ls_options[] = {
	{ OPTION_WIDE, 'w', "wide", NULL, NULL, "more columns, as -o wide" },
	{ .id = OPTION_END },
};

static const struct cli_option fs_rm_options[] = {
	{ OPTION_FORCE, 'f', "force", NULL, NULL, "yes, with all files in it" },
	{ .id = OPTION_END },
};

static const struct cli_option fs_check_options[] = {
	{ OPTION_REPAIR, 0, "repair", NULL, NULL, "mend what can be mended" },
	{ .id = OPTION_END },
};

static const struct cli_option fs_quota_options[] = {
	{ OPTION_SIZE, 's', "size", "BYTES", NULL, "bytes that all files may have, or none" },
	{ OPTION_COUNT, 'n', "count", "COUNT", NULL, "how many files there may be; 0: any number" },
	{ .id = OPTION_END },
};

static const struct cli_option fs_import_options[] = {
	{ OPTION_OWNERS, 0, "owners", NULL, NULL,
	  "keep the numbers of users and groups; without it all belongs to root" },
	{ .id = OPTION_END },
};

static const struct cli_option fs_export_options[] = {
	{ OPTION_OWNERS, 0, "owners", NULL, NULL,
	  "keep the numbers of users and groups, set-id bits, file capabilities and devices" },
	{ OPTION_FORCE, 'f', "force", NULL, NULL, "replace files that are there" },
	{ .id = OPTION_END },
};

static const struct cli_option fs_mount_options[] = {
	{ OPTION_READ_ONLY, 0, "read-only", NULL, NULL, "nothing can be written there" },
	{ .id = OPTION_END },
};

static const struct cli_option fs_umount_options[] = {
	{ OPTION_FORCE, 'f', "force", NULL, NULL,
	  "also if programs use it: they keep it, nobody else sees it" },
	{ .id = OPTION_END },
};

static const struct cli_example fs_import_examples[] = {
	{ "dvs fs import web/site /usr/share/doc/nginx", "what is in a directory of this node" },
	{ "dvs fs import web/site site.tar.gz /v2", "an archive, into the directory /v2" },
	{ NULL, NULL },
};

static const struct cli_example fs_export_examples[] = {
	{ "dvs fs export web/site /srv/copy", "all of it, into a directory of this node" },
	{ "dvs fs export web/site:/doc doc.tar.zst", "the directory /doc, into an archive" },
	{ "dvs fs export web/site - | ssh host tar -xC /srv", "an archive to the standard output" },
	{ NULL, NULL },
};

static const struct cli_example fs_snapshot_examples[] = {
	{ "dvs fs snapshot web/site monday", "its volume has a snapshot 'monday' now" },
	{ NULL, NULL },
};

static const struct cli_example fs_mount_examples[] = {
	{ "dvs fs mount web/site /srv/site", "on each node where it is wanted" },
	{ NULL, NULL },
};

static const struct cli_example fs_umount_examples[] = {
	{ "dvs fs umount /srv/site", "take it away from this node" },
	{ NULL, NULL },
};

static const struct cli_example fs_create_examples[] = {
	{ "dvs fs create web/site --size 10G", "in a file of this node" },
	{ "dvs fs create web/data --volume data --nodes n0,n1",
	  "on the volume web/data, with a backup server" },
	{ "dvs fs create web/tmp --store ram --size 1G", "in memory: gone with its server" },
	{ NULL, NULL },
};

static const struct cli_example fs_ls_examples[] = {
	{ "dvs fs ls", "the file systems of all DCs" },
	{ "dvs fs ls web -w", "those of the DC web, with all columns" },
	{ NULL, NULL },
};

static const struct cli_example fs_inspect_examples[] = {
	{ "dvs fs inspect web/site", "its size, sessions and counters" },
	{ NULL, NULL },
};

static const struct cli_example fs_rm_examples[] = {
	{ "dvs fs rm --force web/site", "with all files in it" },
	{ NULL, NULL },
};

static const struct cli_example fs_check_examples[] = {
	{ "dvs fs check web/site", "whether all is well, while it is in use" },
	{ "dvs fs check --repair web/site", "and mend it" },
	{ NULL, NULL },
};

static const struct cli_example fs_grow_examples[] = {
	{ "dvs fs grow web/data", "use what 'dvs vol resize web/data +5G' has added" },
	{ NULL, NULL },
};

static const struct cli_example fs_quota_examples[] = {
	{ "dvs fs quota web/site --size 5G", "no more than 5 GiB in files" },
	{ "dvs fs quota web/site --size none --count 0", "no limits" },
	{ NULL, NULL },
};

/* clang-format off */
#define FS_COMMAND(NAME, ARGUMENTS, HELP, TABLE, RUN, ARGUMENT, FORMATS, MIN, MAX) \
		.name = "fs " NAME,						\
		.arguments = ARGUMENTS,						\
		.help = HELP,							\
		.examples = fs_ ## TABLE ## _examples,				\
		.run = RUN,							\
		.argument = ARGUMENT,						\
		.formats = FORMATS,						\
		.min_words = MIN,						\
		.max_words = MAX,						\
		.page = "dvs-fs(1)"

#define FILESYSTEM_COMMANDS							\
	{									\
		FS_COMMAND("create", "DC/NAME", "create a file system", create,	\
			   cmd_fs_create, ARGUMENT_OTHER, FS_CHANGED, 1, 1),	\
		.options = fs_create_options,					\
	},									\
	{									\
		FS_COMMAND("ls", "[DC]", "list the file systems", ls,		\
			   cmd_fs_ls, ARGUMENT_DC, OUTPUT_CAN_ALL, 0, 1),		\
		.options = fs_ls_options,					\
	},									\
	{									\
		FS_COMMAND("inspect", "DC/NAME",				\
			   "tell everything about a file system", inspect,	\
			   cmd_fs_inspect, ARGUMENT_FS,				\
			   OUTPUT_CAN(OUTPUT_TABLE) | OUTPUT_CAN(OUTPUT_JSON), 1, 1), \
	},									\
	{									\
		FS_COMMAND("check", "DC/NAME",					\
			   "look whether a file system is sound", check,	\
			   cmd_fs_check, ARGUMENT_FS, FS_CHANGED, 1, 1),		\
		.options = fs_check_options,					\
	},									\
	{									\
		FS_COMMAND("grow", "DC/NAME",					\
			   "use what its volume or device has grown by", grow,	\
			   cmd_fs_grow, ARGUMENT_FS, FS_CHANGED, 1, 1),		\
	},									\
	{									\
		FS_COMMAND("quota", "DC/NAME",					\
			   "limit what a file system may have", quota,		\
			   cmd_fs_quota, ARGUMENT_FS, FS_CHANGED, 1, 1),		\
		.options = fs_quota_options,					\
	},									\
	{									\
		FS_COMMAND("import", "DC/NAME SOURCE [DIRECTORY]",		\
			   "copy a directory or an archive into a file system",	\
			   import, cmd_fs_import, ARGUMENT_FS, FS_CHANGED, 2, 3), \
		.options = fs_import_options,					\
	},									\
	{									\
		FS_COMMAND("export", "DC/NAME[:DIRECTORY] DESTINATION",	\
			   "copy a file system into a directory or an archive",	\
			   export, cmd_fs_export, ARGUMENT_FS, FS_CHANGED, 2, 2), \
		.options = fs_export_options,					\
	},									\
	{									\
		FS_COMMAND("snapshot", "DC/NAME SNAPSHOT",			\
			   "keep a file system on a volume as it is now",	\
			   snapshot, cmd_fs_snapshot, ARGUMENT_FS, FS_CHANGED, 2, 2), \
	},									\
	{									\
		FS_COMMAND("rm", "DC/NAME", "remove a file system", rm,		\
			   cmd_fs_rm, ARGUMENT_FS, FS_CHANGED, 1, 1),		\
		.options = fs_rm_options,					\
	},									\
	{									\
		FS_COMMAND("mount", "DC/NAME DIRECTORY",			\
			   "mount a file system on this node", mount,		\
			   cmd_fs_mount, ARGUMENT_FS, FS_CHANGED, 2, 2),	\
		.options = fs_mount_options,					\
	},									\
	{									\
		FS_COMMAND("umount", "DIRECTORY",				\
			   "unmount a file system from this node", umount,	\
			   cmd_fs_umount, ARGUMENT_FILE, FS_CHANGED, 1, 1),	\
		.options = fs_umount_options,					\
	},
/* clang-format on */

#endif
