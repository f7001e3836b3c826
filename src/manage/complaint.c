/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/complaint.h"

#include <stdio.h>

#include "base/cleanup.h"

static int tell(const struct complaint *complaint, const char *why)
{
	if (complaint->listener)
		complaint->listener->told(complaint->listener->context, why);
	else
		cli_note(complaint->cli, "%s %s %s: %s", complaint->what, complaint->title,
			 complaint->text, why);
	return EXIT_FAILED;
}

int complaint_fail(const struct complaint *complaint, dvs_err err)
{
	char why[512];

	if (!complaint->listener)
		return cli_fail(complaint->cli, err, "%s %s %s", complaint->what, complaint->title,
				complaint->text);
	(void)snprintf(why, sizeof(why), "%s; %s", dvs_strerror(err), dvs_err_hint(err));
	return tell(complaint, why);
}

int complaint_note(const struct complaint *complaint, const char *why, va_list args)
{
	AUTO_FREE char *text = NULL;

	if (vasprintf(&text, why, args) >= 0)
		return tell(complaint, text);
	text = NULL;
	return cli_fail(complaint->cli, DVS_NOMEM, "%s %s %s", complaint->what, complaint->title,
			complaint->text);
}
