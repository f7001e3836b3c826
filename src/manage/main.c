/* SPDX-License-Identifier: Apache-2.0 */
/* dvs, the command line of the DVS. */
#include <stdio.h>

#include "manage/cli.h"

int main(int argc, char **argv)
{
	return cli_run(argc, argv, stdout, stderr);
}
