/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "client/record.h"

dvs_err record_tell(struct dvk *admin, const char *dc, const char *key, const char *why)
{
	char known[DVK_VALUE_MAX];
	size_t len = 0;
	dvs_err err = dvk_record_get(admin, dc, key, known, &len, NULL);

	if (!why)
		return err ? err : dvk_record_remove(admin, dc, key);
	if (!err && len == strlen(why) && memcmp(known, why, len) == 0)
		return DVS_OK;
	return dvk_record_set(admin, dc, key, DVK_VERSION_ANY, why, strlen(why), NULL);
}
