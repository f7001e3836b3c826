/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/target.h"

#include <stdlib.h>
#include <string.h>

#define EP_GENERATION_MAX ((UINT32_C(1) << (32 - DVS_EP_NUMBER_BITS)) - 1)

bool target_check_dc_name(struct cli *cli, const char *text)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t len = strlen(text);

	if (len > 0 && len <= DVS_NAME_MAX && strspn(text, allowed) == len && text[0] != '.')
		return true;
	cli_usage(cli,
		  "'%s' is no name of a DC; use 1 to %d letters, digits, '-', '_' and '.', "
		  "not first a '.'",
		  text, DVS_NAME_MAX);
	return false;
}

/* The digits at *AT up to STOP, as a number of at most MAX; *AT goes behind them. */
static bool take_number(const char **at, char stop, uint32_t max, uint32_t *number)
{
	uint64_t n = 0;
	const char *digit = *at;

	for (; *digit >= '0' && *digit <= '9' && n <= max; digit++)
		n = n * 10 + (uint64_t)(*digit - '0');
	if (digit == *at || n > max || (*digit && *digit != stop))
		return false;
	*number = (uint32_t)n;
	*at = digit;
	return true;
}

/* "17" or "17.3" */
static bool take_ep(const char *at, dvs_ep *ep)
{
	uint32_t number;
	uint32_t generation = 0;

	if (!take_number(&at, '.', DVS_EP_NUMBER_MAX, &number))
		return false;
	if (*at == '.') {
		at++;
		if (!take_number(&at, '\0', EP_GENERATION_MAX, &generation))
			return false;
	}
	ep->n = generation << DVS_EP_NUMBER_BITS | number;
	return true;
}

bool target_parse(struct cli *cli, const char *text, struct target *target)
{
	size_t dc_len = strcspn(text, "/");

	*target = (struct target){ .has_ep = text[dc_len] == '/' };
	memcpy(target->dc, text, dc_len < sizeof(target->dc) ? dc_len : 0);
	if (dc_len >= sizeof(target->dc) || !target_check_dc_name(cli, target->dc)) {
		if (dc_len >= sizeof(target->dc))
			cli_usage(cli, "'%s' is longer than a name of a DC can be; see 'dvs dc ls'",
				  text);
		return false;
	}
	if (!target->has_ep)
		return true;
	if (!take_ep(text + dc_len + 1, &target->ep)) {
		cli_usage(cli,
			  "'%s' names no endpoint; write DC/NUMBER or DC/NUMBER.GENERATION, as "
			  "'dvs ep ls' lists them",
			  text);
		return false;
	}
	return true;
}
