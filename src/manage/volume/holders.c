/* SPDX-License-Identifier: Apache-2.0 */
/* Where a volume is a block device: the record volume-attach/ID, whose holders count as long as their endpoints are bound. */
#include <stdio.h>
#include <string.h>

#include "gateways/attach/claim.h"
#include "manage/volume/vol.h"

bool vol_holders(struct vol *vol, const char *id, uint64_t *nodes)
{
	char key[DVS_NAME_MAX + 1];
	char value[DVK_VALUE_MAX];
	struct claim claim;
	uint64_t version;
	size_t len = 0;

	*nodes = 0;
	snprintf(key, sizeof(key), "volume-attach/%s", id);
	if (dvk_record_get(vol->link.dvk, vol->dc, key, value, &len, &version) != DVS_OK ||
	    claim_parse(value, len, &claim) != DVS_OK || claim.n == 0 ||
	    link_try_enter(&vol->link, vol->dc) != DVS_OK)
		return false;
	for (uint32_t i = 0; i < claim.n; i++) {
		struct dvk_endpoint_info info;

		if (dvk_endpoint_info(vol->link.dvk, claim.holders[i].ep, &info) == DVS_OK &&
		    claim.holders[i].node < DVS_NODES_MAX)
			*nodes |= UINT64_C(1) << claim.holders[i].node;
	}
	return *nodes != 0;
}

int vol_check_holders(struct vol *vol)
{
	char name[DVS_NAME_MAX + 1];
	dvs_nodeid node;
	uint64_t nodes;

	if (!vol_holders(vol, vol->volume.id, &nodes))
		return EXIT_DONE;
	node.n = (uint32_t)__builtin_ctzll(nodes);
	return vol_note(vol,
			"it is a block device of node %s; take it off with 'dvs vol detach' there",
			nodes_name(&vol->nodes, node, name));
}
