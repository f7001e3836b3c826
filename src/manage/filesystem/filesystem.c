/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/filesystem/filesystem.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dvs/container.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/nearest.h"
#include "client/volume.h"
#include "manage/container/reach.h"
#include "manage/text.h"

#define KNOWN_MAX 64u
#define GONE_NS (20 * CLOCK_NS_PER_S)
#define PAUSE_MS 20

static struct complaint complaint(const struct filesystem *fs)
{
	return (struct complaint){ fs->cli, fs->caller, fs->what, "file system", fs->text };
}

int filesystem_fail(struct filesystem *fs, dvs_err err)
{
	const struct complaint about = complaint(fs);

	return complaint_fail(&about, err);
}

int filesystem_note(struct filesystem *fs, const char *why, ...)
{
	const struct complaint about = complaint(fs);
	va_list args;
	int status;

	va_start(args, why);
	status = complaint_note(&about, why, args);
	va_end(args);
	return status;
}

static bool take_name(struct filesystem *fs)
{
	char snapshot[DVS_NAME_MAX + 1];

	if (volume_name_split(fs->text, fs->dc, fs->name, snapshot) && !snapshot[0])
		return true;
	cli_usage(fs->cli,
		  "'%s' is no name of a file system; write DC/NAME, with letters, digits, '-', "
		  "'_' and '.'",
		  fs->text);
	return false;
}

static int fail_not_found(struct filesystem *fs)
{
	char known[KNOWN_MAX][FS_RECORD_NAME_MAX + 1];
	const char *names[KNOWN_MAX];
	char name[FS_RECORD_NAME_MAX + 1] = "";
	struct fs_record record;
	const char *nearest;
	size_t n = 0;

	while (n < KNOWN_MAX &&
	       fs_record_next(fs->link.dvk, fs->dc, name, &record, NULL) == DVS_OK) {
		memcpy(known[n], name, sizeof(name));
		names[n] = known[n];
		n++;
	}
	nearest = nearest_word(fs->name, names, n);
	if (nearest)
		return filesystem_note(fs,
				       "the dc %s has no such file system; did you mean '%s/%s'?",
				       fs->dc, fs->dc, nearest);
	return filesystem_note(fs, "the dc %s has no such file system; 'dvs fs ls %s' lists them",
			       fs->dc, fs->dc);
}

static int load(struct filesystem *fs, bool is_new)
{
	struct dvk_container_info info;
	dvs_err err;
	int status = reach_find_dc(fs->cli, fs->link.dvk, fs->dc, fs->what, &info);

	if (status != EXIT_DONE)
		return status;
	err = fs_record_get(fs->link.dvk, fs->dc, fs->name, &fs->record, NULL);
	if (is_new && err != DVS_NOTFOUND)
		return filesystem_note(fs,
				       "there is a file system of that name; 'dvs fs inspect %s' "
				       "tells about it",
				       fs->text);
	if (is_new || err == DVS_OK)
		return EXIT_DONE;
	return err == DVS_NOTFOUND ? fail_not_found(fs) : filesystem_fail(fs, err);
}

int filesystem_with_caller(struct cli *cli, const char *word, const char *what, bool is_new,
			   int (*run)(struct filesystem *fs), const struct listener *caller)
{
	AUTO_FREE struct filesystem *fs = calloc(1, sizeof(*fs));
	int status;

	if (!fs)
		return cli_fail(cli, DVS_NOMEM, "%s file system %s", what, word);
	fs->cli = cli;
	fs->caller = caller;
	fs->what = what;
	fs->text = word;
	if (!take_name(fs))
		return EXIT_USAGE;
	status = link_open_admin(cli, &fs->link);
	if (status == EXIT_DONE)
		status = nodes_load(cli, fs->link.dvk, &fs->nodes);
	if (status == EXIT_DONE)
		status = load(fs, is_new);
	if (status == EXIT_DONE)
		status = run(fs);
	dvk_unbind(fs->self);
	dvk_close(fs->dvk);
	link_close(&fs->link);
	return status;
}

int filesystem_with(struct cli *cli, const char *word, const char *what, bool is_new,
		    int (*run)(struct filesystem *fs))
{
	return filesystem_with_caller(cli, word, what, is_new, run, NULL);
}

int filesystem_reach(struct filesystem *fs)
{
	dvs_err err = volume_dc_open(link_run_dir(fs->cli), fs->dc, &fs->dvk);

	if (err == DVS_OK)
		err = dvk_bind(fs->dvk, dvs_ep_any(), DVK_LOCAL, &fs->self);
	return err == DVS_OK ? EXIT_DONE : filesystem_fail(fs, err);
}

static void why_key(const struct filesystem *fs, uint32_t node, char key[DVS_NAME_MAX + 1])
{
	snprintf(key, DVS_NAME_MAX + 1, "fs-why/%s/%u", fs->record.id, node);
}

bool filesystem_why(struct filesystem *fs, uint32_t node, char why[DVK_TEXT_MAX + 1])
{
	char key[DVS_NAME_MAX + 1];
	char value[DVK_VALUE_MAX];
	AUTO_FREE char *utf8 = NULL;
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	why_key(fs, node, key);
	if (dvk_record_get(fs->link.dvk, fs->dc, key, value, &len, NULL) != DVS_OK || len == 0)
		return false;
	utf8 = text_utf8(value, len < DVK_TEXT_MAX ? len : DVK_TEXT_MAX);
	text = utf8 ? text_printable(utf8) : NULL;
	snprintf(why, DVK_TEXT_MAX + 1, "%s", text ? text : "it cannot open what it is on");
	return true;
}

int filesystem_fail_ask(struct filesystem *fs, dvs_err err)
{
	for (uint32_t i = 0; i < fs->record.n_nodes; i++) {
		dvs_nodeid id = { fs->record.nodes[i] };
		char name[DVS_NAME_MAX + 1];
		char why[DVK_TEXT_MAX + 1];

		if (filesystem_why(fs, id.n, why))
			return filesystem_note(fs, "node %s: %s", nodes_name(&fs->nodes, id, name),
					       why);
	}
	return filesystem_fail(fs, err);
}

/* Its servers see by themselves that it is removed, and end. What it was on can be removed after that: a server that cannot write any more takes long to end. */
static void wait_gone(struct filesystem *fs)
{
	uint64_t until_ns = clock_deadline_ns(GONE_NS);
	struct dvk_endpoint_info info;

	if (link_try_enter(&fs->link, fs->dc) != DVS_OK)
		return;
	while (dvk_endpoint_info(fs->link.dvk, filesystem_server(fs), &info) == DVS_OK &&
	       !clock_is_past(until_ns))
		(void)poll(NULL, 0, PAUSE_MS);
}

dvs_err filesystem_forget(struct filesystem *fs)
{
	char key[DVS_NAME_MAX + 1];
	dvs_err err;

	fs_record_key(fs->name, key);
	err = dvk_record_remove(fs->link.dvk, fs->dc, key);
	for (uint32_t i = 0; !err && i < fs->record.n_nodes; i++) {
		why_key(fs, fs->record.nodes[i], key);
		err = dvk_record_remove(fs->link.dvk, fs->dc, key);
		/* Most have nothing to say. */
		if (err == DVS_NOTFOUND)
			err = DVS_OK;
	}
	if (!err)
		wait_gone(fs);
	return err;
}
