/* SPDX-License-Identifier: Apache-2.0 */
/* dvs fs mount and umount: a file system at a directory of this node. The work is dvs-fuse's; here it is started, and its mount taken away. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "manage/daemon.h"
#include "manage/filesystem/filesystem.h"

#define PROGRAM "dvs-fuse"
#define FUSE_MAGIC 0x65735546
#define WORDS_MAX 24u

/* A path that is one line of a log's name: every slash becomes a dash. */
static int log_path(struct filesystem *fs, const char *dir, char path[PATH_MAX])
{
	char folder[PATH_MAX];
	size_t len;

	if (snprintf(folder, sizeof(folder), "%s/fuse", link_run_dir(fs->cli)) >= PATH_MAX)
		return cli_usage(fs->cli, "the path is too long");
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return cli_fail_errno(fs->cli, errno, "", "make %s", folder);
	if (snprintf(path, PATH_MAX, "%s/%s.log", folder, dir + 1) >= PATH_MAX)
		return cli_usage(fs->cli, "the path is too long");
	len = strlen(folder) + 1;
	for (char *at = path + len; *at; at++) {
		if (*at == '/')
			*at = '-';
	}
	return EXIT_DONE;
}

static int mount_it(struct filesystem *fs)
{
	struct cli *cli = fs->cli;
	AUTO_FREE char *dir = realpath(cli->words[1], NULL);
	const struct dvk_node_info *self = nodes_self(&fs->nodes);
	char node[16];
	char log[PATH_MAX];
	char said[DAEMON_SAID_BYTES];
	const char *const words[] = {
		PROGRAM,   "--run-dir", link_run_dir(cli),
		"--dc",	   fs->dc,	"--fs",
		fs->name,  "--node",	node,
		"--mount", dir,		cli_has(cli, OPTION_READ_ONLY) ? "--read-only" : NULL
	};
	char *argv[WORDS_MAX] = { NULL };
	struct stat info;
	pid_t pid;
	int status;

	if (!dir || stat(dir, &info) != 0)
		return cli_fail_errno(cli, errno, "make the directory first", "mount %s at %s",
				      fs->text, cli->words[1]);
	if (!S_ISDIR(info.st_mode))
		return cli_fail_errno(cli, ENOTDIR, "name a directory", "mount %s at %s", fs->text,
				      cli->words[1]);
	(void)snprintf(node, sizeof(node), "%u", self ? self->node.n : 0);
	status = log_path(fs, dir, log);
	if (status != EXIT_DONE)
		return status;
	for (size_t i = 0; i < ARRAY_LEN(words) && words[i]; i++)
		argv[i] = (char *)(uintptr_t)words[i];
	pid = daemon_start(PROGRAM, argv, log, said);
	if (pid > 0)
		return cli_result(cli, dir,
				  json_pack("{s:s, s:s, s:i}", "name", dir, "filesystem", fs->text,
					    "pid", (int)pid));
	if (pid < 0)
		return cli_fail_errno(cli, errno, "", "mount %s at %s", fs->text, dir);
	(void)fprintf(cli->err, "dvs: mount %s at %s: %s\n", fs->text, dir, said);
	return EXIT_FAILED;
}

int cmd_fs_mount(struct cli *cli)
{
	return filesystem_with(cli, cli->words[0], "mount", false, mount_it);
}

/* ---- umount ---- */

/* Whether DIR is a mount of ours; one whose gateway was killed is known by the error that it gives. */
static bool is_ours(const char *dir)
{
	struct statfs info;

	if (statfs(dir, &info) == 0)
		return info.f_type == FUSE_MAGIC;
	return errno == ENOTCONN || errno == ECONNABORTED;
}

int cmd_fs_umount(struct cli *cli)
{
	const char *dir = cli->words[0];
	int flags = UMOUNT_NOFOLLOW | (cli_has(cli, OPTION_FORCE) ? MNT_DETACH : 0);

	if (!is_ours(dir))
		return cli_fail_hint(cli, DVS_NOTFOUND, "see 'findmnt -t fuse'",
				     "unmount %s: no file system is mounted there", dir);
	if (umount2(dir, flags) == 0)
		return cli_result(cli, dir, json_pack("{s:s}", "name", dir));
	return cli_fail_errno(cli, errno,
			      errno == EBUSY ? "programs use it ('fuser -vm' tells which); --force "
					       "takes it away from new ones" :
					       "",
			      "unmount %s", dir);
}
