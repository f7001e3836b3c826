/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the commands on images in the table of commands, which alone includes this. */
#ifndef MANAGE_IMAGE_COMMANDS_H
#define MANAGE_IMAGE_COMMANDS_H

#include "manage/cli.h"
#include "manage/command.h"
#include "manage/image/images.h"
#include "manage/output.h"

#define IMAGE_CHANGED (OUTPUT_CAN(OUTPUT_TABLE) | OUTPUT_CAN(OUTPUT_JSON) | OUTPUT_CAN(OUTPUT_NAME))

#define IMAGE_PROGRESS_OPTION                                                   \
	{                                                                       \
		OPTION_PROGRESS, 0, "progress", "FORM", "auto json none",       \
			"how far it is: a bar or lines, JSON lines, or nothing" \
	}

static const struct cli_option image_import_options[] = {
	{ OPTION_NAME, 0, "name", "NAME", NULL,
	  "what it is called, as debian:12 (default: from the file's name)" },
	{ OPTION_REFERENCE, 0, "reference", "REFERENCE", NULL,
	  "of an archive or layout with several images, which one" },
	{ OPTION_TO, 0, "to", "LIST", NULL,
	  "copy it to these nodes, too: names or numbers with commas between, or all" },
	IMAGE_PROGRESS_OPTION,
	{ .id = OPTION_END },
};

static const struct cli_option image_copy_options[] = {
	{ OPTION_TO, 0, "to", "LIST", NULL,
	  "where to: names or numbers with commas between, or all (the default)" },
	IMAGE_PROGRESS_OPTION,
	{ .id = OPTION_END },
};

static const struct cli_option image_rm_options[] = {
	{ OPTION_NODES, 0, "nodes", "LIST", NULL,
	  "only there: names or numbers with commas between (default: wherever it is)" },
	{ .id = OPTION_END },
};

static const struct cli_option doctor_options[] = {
	{ OPTION_ALL_NODES, 0, "all-nodes", NULL, NULL, "look at all nodes, by their agents" },
	{ .id = OPTION_END },
};

static const struct cli_example doctor_examples[] = {
	{ "dvs doctor", "this machine, whether dvsd runs or not" },
	{ "dvs doctor --all-nodes", "all nodes" },
	{ "dvs doctor -o json", "for programs" },
	{ NULL, NULL },
};

static const struct cli_example image_import_examples[] = {
	{ "dvs image import debian.tar.xz --name debian:12", "the root file system in an archive" },
	{ "dvs image import layout --reference v1 --to all", "of an OCI layout, to all nodes" },
	{ "docker save alpine > alpine.tar; dvs image import alpine.tar", "from docker" },
	{ NULL, NULL },
};

static const struct cli_example image_ls_examples[] = {
	{ "dvs image ls", "the images of all nodes" },
	{ "dvs image ls -o json", "for programs" },
	{ NULL, NULL },
};

static const struct cli_example image_inspect_examples[] = {
	{ "dvs image inspect debian:12", "where it is, and how big" },
	{ NULL, NULL },
};

static const struct cli_example image_copy_examples[] = {
	{ "dvs image copy debian:12 --to n1,n2", "from a node that has it" },
	{ NULL, NULL },
};

static const struct cli_example image_rm_examples[] = {
	{ "dvs image rm debian:12", "from all nodes" },
	{ "dvs image rm debian:12 --nodes n2", "from one" },
	{ NULL, NULL },
};

/* clang-format off */
#define IMAGE_COMMANDS								\
	{									\
		.name = "image import",						\
		.arguments = "FILE | DIR",					\
		.help = "make an image of an archive or a directory",		\
		.options = image_import_options,				\
		.examples = image_import_examples,				\
		.run = cmd_image_import,					\
		.formats = IMAGE_CHANGED,					\
		.min_words = 1,							\
		.max_words = 1,							\
		.page = "dvs-image(1)",						\
	},									\
	{									\
		.name = "image ls",						\
		.arguments = "",						\
		.help = "list the images",					\
		.examples = image_ls_examples,					\
		.run = cmd_image_ls,						\
		.formats = OUTPUT_CAN_ALL,					\
		.page = "dvs-image(1)",						\
	},									\
	{									\
		.name = "image inspect",					\
		.arguments = "IMAGE",						\
		.help = "tell everything about an image",			\
		.examples = image_inspect_examples,				\
		.run = cmd_image_inspect,					\
		.formats = OUTPUT_CAN(OUTPUT_TABLE) | OUTPUT_CAN(OUTPUT_JSON),	\
		.min_words = 1,							\
		.max_words = 1,							\
		.page = "dvs-image(1)",						\
	},									\
	{									\
		.name = "image copy",						\
		.arguments = "IMAGE",						\
		.help = "copy an image to other nodes",				\
		.options = image_copy_options,					\
		.examples = image_copy_examples,				\
		.run = cmd_image_copy,						\
		.formats = IMAGE_CHANGED,					\
		.min_words = 1,							\
		.max_words = 1,							\
		.page = "dvs-image(1)",						\
	},									\
	{									\
		.name = "image rm",						\
		.arguments = "IMAGE",						\
		.help = "remove an image",					\
		.options = image_rm_options,					\
		.examples = image_rm_examples,					\
		.run = cmd_image_rm,						\
		.formats = IMAGE_CHANGED,					\
		.min_words = 1,							\
		.max_words = 1,							\
		.page = "dvs-image(1)",						\
	},									\
	{									\
		.name = "doctor",						\
		.arguments = "",						\
		.help = "tell what a machine lacks for containers",		\
		.options = doctor_options,					\
		.examples = doctor_examples,					\
		.run = cmd_doctor,						\
		.formats = OUTPUT_CAN_ALL,					\
		.page = "dvs-doctor(1)",					\
	},
/* clang-format on */

#endif
