/* SPDX-License-Identifier: Apache-2.0 */
/* A DC "web" with a volume, for the tests of dvs vol. */
#ifndef TESTS_MANAGE_VOLUME_HELP_H
#define TESTS_MANAGE_VOLUME_HELP_H

#include "fake_dvk.h"
#include "run.h"

#define VOLUME_ID "5f0c7a52-14a4-4b52-9a3c-0d1f5ab4c1de"
#define VOLUME_OF(replicas)                                                       \
	"{\"id\": \"" VOLUME_ID "\", \"bytes\": 10737418240, \"endpoint\": 300, " \
	"\"replicas\": [" replicas "], \"store\": \"file\"}"
#define CLONE_OF(origin)                                                                       \
	"{\"id\": \"" VOLUME_ID "\", \"bytes\": 1073741824, \"endpoint\": 300, \"minor\": 2, " \
	"\"of\": \"" origin "\"}"
#define ON_FARM "{\"node\": 0}"
#define ON_BOTH "{\"node\": 0}, {\"node\": 1}"

static inline void volume_begin(void)
{
	fake_add_dc("web");
	fake()->has_agents = 1;
	fake()->disk.away = UINT32_MAX;
	fake()->disk.syncing = UINT32_MAX;
}

/* web/data, with replicas on both nodes. */
static inline void volume_with_two(void)
{
	volume_begin();
	fake()->barn_is_up = 1;
	fake_keep("web", "volume/data", VOLUME_OF(ON_BOTH));
}

static inline void add_snapshot(const char *name)
{
	struct fake_disk *disk = &fake()->disk;
	struct vdd_disk *made = &disk->disks[disk->n_disks++];

	*made = (struct vdd_disk){
		.minor = disk->n_disks, .kind = 2, .bytes = UINT64_C(10) << 30, .created_ns = 1
	};
	snprintf(made->name, sizeof(made->name), "%s", name);
}

#endif
