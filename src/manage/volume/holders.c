/* SPDX-License-Identifier: Apache-2.0 */
/* Who may write to a volume: the record volume-attach/ID (client/claim.h), whose holders count as long as their endpoints are bound. */
#include <stdio.h>
#include <string.h>

#include "manage/volume/vol.h"

bool vol_holders(struct vol *vol, const char *id, struct claim *claim)
{
	char key[DVS_NAME_MAX + 1];
	char value[DVK_VALUE_MAX];
	uint64_t version;
	uint32_t kept = 0;
	size_t len = 0;

	claim_key(id, key);
	if (dvk_record_get(vol->link.dvk, vol->dc, key, value, &len, &version) != DVS_OK ||
	    claim_parse(value, len, claim) != DVS_OK || claim->n == 0 ||
	    link_try_enter(&vol->link, vol->dc) != DVS_OK)
		return false;
	for (uint32_t i = 0; i < claim->n; i++) {
		struct dvk_endpoint_info info;

		if (dvk_endpoint_info(vol->link.dvk, claim->holders[i].ep, &info) == DVS_OK &&
		    claim->holders[i].node < DVS_NODES_MAX)
			claim->holders[kept++] = claim->holders[i];
	}
	claim->n = kept;
	return kept > 0;
}

int vol_check_holders(struct vol *vol)
{
	struct claim claim;
	char name[DVS_NAME_MAX + 1];
	char why[CLAIM_WHY_MAX];
	dvs_nodeid node;

	if (!vol_holders(vol, vol->volume.id, &claim))
		return EXIT_DONE;
	node.n = claim.holders[0].node;
	(void)nodes_name(&vol->nodes, node, name);
	if (claim.holders[0].kind == CLAIM_DEVICE)
		return vol_note(
			vol,
			"it is a block device of node %s; take it off with 'dvs vol detach' there",
			name);
	claim_tell(&claim.holders[0], vol->text, why);
	return vol_note(vol, "%s", why);
}
