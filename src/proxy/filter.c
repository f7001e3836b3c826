/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/filter.h"

static const struct filter_ops *const filters[] = {
	[CONFIG_NO_FILTER] = NULL,
	[CONFIG_ZSTD] = &filter_zstd,
	[CONFIG_LZ4] = &filter_lz4,
	[CONFIG_TLS] = &filter_tls,
};

const struct filter_ops *filter_find(enum config_filter which)
{
	return (size_t)which < ARRAY_LEN(filters) ? filters[which] : NULL;
}
