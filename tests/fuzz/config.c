/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as the configuration file: what is refused has a complaint with its place, what is accepted
 * keeps to all bounds. */
#include "config/config.h"

#include <assert.h>
#include <string.h>

#include "fuzz.h"

static void check_link(const struct config_link *link)
{
	assert(config_transport_name(link->transport));
	for (size_t i = 0; i < CONFIG_FILTERS_MAX; i++)
		assert(config_filter_name(link->filters[i]));
	assert(memchr(link->interface, '\0', sizeof(link->interface)));
	assert(link->transport != CONFIG_RAW || link->interface[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config;
	char text[CONFIG_TEXT_MAX] = "";
	dvs_err err = config_parse("dir/file", data, size, &config, text, sizeof(text));

	assert(memchr(text, '\0', sizeof(text)));
	if (err != DVS_OK) {
		assert(err == DVS_BADARG && strncmp(text, "dir/file:", 9) == 0);
		return 0;
	}
	assert(config.node < CONFIG_NODES_MAX && config.name[0] != '\0');
	assert(config.engine == CONFIG_LOCAL || (config.cluster[0] && config.address[0]));
	assert(config.n_limits <= CONFIG_LIMITS_MAX);
	for (size_t i = 0; i < CONFIG_NODES_MAX; i++)
		check_link(&config.link[i]);
	return 0;
}
