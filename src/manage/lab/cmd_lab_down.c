/* SPDX-License-Identifier: Apache-2.0 */
/* dvs lab down: end a lab. It needs nothing but the holders' command lines, so it also ends
 * what a crash of 'dvs lab up' left, or a lab whose directory is gone or damaged. */
#include <sys/stat.h>

#include "manage/cli.h"
#include "manage/command.h"
#include "manage/lab/lab.h"

int cmd_lab_down(struct cli *cli)
{
	struct stat status;
	struct lab lab;
	bool has_dir;
	bool good;

	if (!lab_init(&lab, cli->values[OPTION_NAME]))
		return lab_say_failure(cli, &lab);
	has_dir = lstat(lab.dir, &status) == 0;
	if (!has_dir && lab_find_holders(&lab) == 0) {
		(void)lab_is_missing(&lab);
		return lab_say_failure(cli, &lab);
	}
	/* Who is changing the lab may finish first; a damaged directory need not have a lock. */
	if (has_dir && !lab_lock(&lab))
		lab.error[0] = '\0';
	if (!lab_kill_holders(&lab)) {
		lab_close(&lab);
		return lab_say_failure(cli, &lab);
	}
	good = lab_containers_remove(&lab);
	lab_remove_dir(&lab);
	lab_close(&lab);
	return good ? EXIT_DONE : lab_say_failure(cli, &lab);
}
