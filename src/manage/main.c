/* SPDX-License-Identifier: Apache-2.0 */
/* dvs, the command line of the DVS. */
#include <stdio.h>
#include <string.h>

#include "manage/cli.h"
#include "manage/lab/lab.h"

int main(int argc, char **argv)
{
	/* A lab's holders are this program under another name. */
	if (argc > 0 && strcmp(argv[0], LAB_HOLDER_NAME) == 0)
		return lab_holder_main(argc, argv);
	return cli_run(argc, argv, stdout, stderr);
}
