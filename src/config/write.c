/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "config/config.h"

/* TEXT as YAML takes it whatever is in it; control characters are not (the reader refuses them). */
static void write_quoted(FILE *file, const char *text)
{
	(void)fputc('"', file);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			(void)fputc('\\', file);
		(void)fputc(*text, file);
	}
	(void)fputc('"', file);
}

static void write_filters(FILE *file, const struct config_link *link)
{
	(void)fprintf(file, "filters: [");
	for (size_t i = 0; i < CONFIG_FILTERS_MAX && link->filters[i] != CONFIG_NO_FILTER; i++)
		(void)fprintf(file, "%s%s", i == 0 ? "" : ", ",
			      config_filter_name(link->filters[i]));
	(void)fprintf(file, "]");
}

static bool links_equal(const struct config_link *a, const struct config_link *b)
{
	return a->transport == b->transport && strcmp(a->interface, b->interface) == 0 &&
	       memcmp(a->filters, b->filters, sizeof(a->filters)) == 0;
}

/* What most links are: the rest is told as single peers. */
static const struct config_link *usual_link(const struct config *config)
{
	size_t best = 0;
	size_t usual = 0;

	for (size_t i = 0; i < CONFIG_NODES_MAX; i++) {
		size_t n = 0;

		for (size_t j = 0; j < CONFIG_NODES_MAX; j++)
			n += links_equal(&config->link[i], &config->link[j]);
		if (n > best) {
			best = n;
			usual = i;
		}
	}
	return &config->link[usual];
}

static void write_links(FILE *file, const struct config *config)
{
	const struct config_link *usual = usual_link(config);
	bool begun = false;

	(void)fprintf(file, "links:\n  port: %" PRIu32 "\n  transport: %s\n  ", config->port,
		      config_transport_name(usual->transport));
	write_filters(file, usual);
	(void)fputc('\n', file);
	if (usual->interface[0]) {
		(void)fprintf(file, "  interface: ");
		write_quoted(file, usual->interface);
		(void)fputc('\n', file);
	}
	for (size_t i = 0; i < CONFIG_NODES_MAX; i++) {
		const struct config_link *link = &config->link[i];

		if (links_equal(link, usual))
			continue;
		(void)fprintf(file, "%s    - { node: %zu, transport: %s, ",
			      begun ? "" : "  peers:\n", i, config_transport_name(link->transport));
		begun = true;
		write_filters(file, link);
		if (link->interface[0]) {
			(void)fprintf(file, ", interface: ");
			write_quoted(file, link->interface);
		}
		(void)fprintf(file, " }\n");
	}
}

void config_write(FILE *file, const struct config *config)
{
	if (config->cluster[0])
		(void)fprintf(file, "cluster: \"%s\"\n", config->cluster);
	(void)fprintf(file, "node: %" PRIu32 "\nname: \"%s\"\n", config->node, config->name);
	if (config->address[0])
		(void)fprintf(file, "address: \"%s\"\n", config->address);
	(void)fprintf(file, "engine: %s\n",
		      config->engine == CONFIG_COROSYNC ? "corosync" : "local");
	if (strcmp(config->dir, CONFIG_DIR_DEFAULT) != 0) {
		(void)fprintf(file, "dir: ");
		write_quoted(file, config->dir);
		(void)fputc('\n', file);
	}
	write_links(file, config);
	if (config->n_limits > 0)
		(void)fprintf(file, "limits:\n");
	for (uint32_t i = 0; i < config->n_limits; i++)
		(void)fprintf(file, "  - { dc: \"%s\", bytes_per_s: %" PRIu64 " }\n",
			      config->limits[i].dc, config->limits[i].bytes_per_s);
}
