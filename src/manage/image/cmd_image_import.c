/* SPDX-License-Identifier: Apache-2.0 */
/* dvs image import: this node's agent makes it, and then other nodes fetch it. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "client/calls.h"
#include "container/image.h"
#include "manage/image/images.h"
#include "manage/terminal.h"

/* "/a/debian-12.tar.xz" is debian-12. */
static void name_of_file(const char *path, char name[IMAGE_NAME_MAX + 1])
{
	static const char *const ends[] = { ".gz",  ".xz",  ".zst", ".bz2", ".tgz",
					    ".txz", ".tar", ".oci", ".img" };
	const char *slash = strrchr(path, '/');

	(void)snprintf(name, IMAGE_NAME_MAX + 1, "%.*s", (int)IMAGE_NAME_MAX,
		       slash ? slash + 1 : path);
	for (size_t i = 0; i < ARRAY_LEN(ends);) {
		size_t len = strlen(name), end = strlen(ends[i]);

		if (len > end && strcmp(name + len - end, ends[i]) == 0) {
			name[len - end] = '\0';
			i = 0;
		} else {
			i++;
		}
	}
}

static int prepare(struct cli *cli, struct agent_image_import_req *req)
{
	char path[PATH_MAX], name[IMAGE_NAME_MAX + 1];

	if (!realpath(cli->words[0], path))
		return cli_fail_errno(cli, errno, "name an archive or a directory of this node",
				      "import %s", cli->words[0]);
	name_of_file(path, name);
	if (cli_has(cli, OPTION_NAME) && strlen(cli->values[OPTION_NAME]) > IMAGE_NAME_MAX)
		return cli_usage(cli, "a name has at most %u characters", IMAGE_NAME_MAX);
	if (cli_has(cli, OPTION_NAME))
		(void)snprintf(name, sizeof(name), "%s", cli->values[OPTION_NAME]);
	if (!image_name_ok(name))
		return cli_usage(
			cli,
			"'%s' cannot be the name of an image: letters, digits and '-_./:',"
			" each part beginning with a letter or digit; give one with --name",
			name);
	if (cli_has(cli, OPTION_REFERENCE) &&
	    (size_t)snprintf(req->reference, sizeof(req->reference), "%s",
			     cli->values[OPTION_REFERENCE]) >= sizeof(req->reference))
		return cli_usage(cli, "a reference has at most %zu characters",
				 sizeof(req->reference) - 1);
	(void)snprintf(req->name, sizeof(req->name), "%s", name);
	(void)snprintf(req->path, sizeof(req->path), "%s", path);
	return EXIT_DONE;
}

static int print(struct cli *cli, const char *name, const char *digest)
{
	if (cli->output.format == OUTPUT_JSON) {
		if (!output_document(&cli->output,
				     json_pack("{s:s, s:s}", "name", name, "digest", digest),
				     false))
			return cli_fail(cli, DVS_NOMEM, "print the image");
		return EXIT_DONE;
	}
	fprintf(cli->output.file, "%s\n", cli->output.format == OUTPUT_NAME ? name : digest);
	return EXIT_DONE;
}

static int import(struct cli *cli, struct reach *reach, const struct agent_image_import_req *req)
{
	const struct dvk_node_info *self = nodes_self(&reach->nodes);
	struct agent_image_import_rep rep;
	char title[IMAGE_NAME_MAX + 32], digest[IMAGES_DIGEST_BYTES];
	struct interrupts interrupts;
	uint64_t to = 0;
	dvs_err err;
	int status = EXIT_DONE;

	if (cli_has(cli, OPTION_TO))
		status = nodes_choose(cli, &reach->nodes, cli->values[OPTION_TO], &to);
	if (status != EXIT_DONE)
		return status;
	if (!self)
		return cli_fail(cli, DVS_NODVSD, "import %s", req->path);
	(void)snprintf(title, sizeof(title), "import image %s", req->name);
	if (!interrupts_open(&interrupts, false))
		return cli_fail(cli, DVS_FULL, "%s", title);
	err = agent_call_image_import(reach->agents, self->node, req, &rep, REACH_MS);
	status = err == DVS_OK ? images_follow(cli, reach, self->node, rep.job, title, digest) :
				 reach_fail(cli, reach->agents, err, "%s", title);
	interrupts_close(&interrupts);
	if (status == EXIT_DONE)
		status = images_copy(cli, reach, req->name, self->node, to);
	return status == EXIT_DONE ? print(cli, req->name, digest) : status;
}

int cmd_image_import(struct cli *cli)
{
	struct agent_image_import_req *req = calloc(1, sizeof(*req));
	struct reach reach = { .agents = NULL };
	int status = req ? prepare(cli, req) : cli_fail(cli, DVS_NOMEM, "import an image");

	if (status == EXIT_DONE)
		status = reach_open(cli, &reach);
	if (status == EXIT_DONE)
		status = import(cli, &reach, req);
	reach_close(&reach);
	free(req);
	return status;
}
