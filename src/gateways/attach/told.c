/* SPDX-License-Identifier: Apache-2.0 */
/* Attachments as people and programs are told of them. */
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "gateways/attach/attach.h"

#define TIME_BYTES 32

json_t *attach_describe(const struct attachment *attachment)
{
	time_t seconds = (time_t)(attachment->since_ns / CLOCK_NS_PER_S);
	char since[TIME_BYTES] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		(void)strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i}", "name", attachment->device,
			 "device", attachment->device, "volume", attachment->volume, "state",
			 attachment->is_dead ? "dead" : "attached", "access",
			 attachment->is_read_only ? "read-only" :
			 attachment->is_shared	  ? "shared" :
						    "exclusive",
			 "since", since, "keeper", (int)attachment->keeper, "server",
			 (int)attachment->server);
}

dvs_err attach_rows(const char *run_dir, json_t *rows, char why[ATTACH_WHY_MAX])
{
	struct attachment *list = NULL;
	size_t n = 0;
	dvs_err err = attach_list(run_dir, &list, &n, why);

	for (size_t i = 0; !err && i < n; i++)
		err = json_array_append_new(rows, attach_describe(&list[i])) ? DVS_NOMEM : DVS_OK;
	free(list);
	return err;
}

const char *attach_hint(dvs_err err)
{
	if (err == DVS_INUSE)
		return "; unmount it first, or give --force: then whoever uses it gets errors";
	return err == DVS_NOTFOUND ? "; see 'dvs vol attachments'" : "";
}
