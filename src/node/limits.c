/* SPDX-License-Identifier: Apache-2.0 */
/* How much a DC may send over each link: the configuration names DCs, the proxies are told numbers. Read anew on SIGHUP, and
 * so are links; what else changed in the file takes a restart, and is named in the log. */
#include <string.h>

#include "node/api.h"
#include "node/carrier.h"

static uint64_t limit_of(const struct config *config, const char *dc)
{
	for (uint32_t i = 0; i < config->n_limits; i++) {
		if (strcmp(config->limits[i].dc, dc) == 0)
			return config->limits[i].bytes_per_s;
	}
	return 0;
}

static void tell(struct host *host, struct carrier *carrier, dvs_dcid dc, uint64_t bytes_per_s)
{
	struct control_carry_limit_req event = { .dc = dc.n, .bytes_per_s = bytes_per_s };
	struct frame frame;

	frame_begin(&frame, CONTROL_CARRY_LIMIT, 0, DVS_OK);
	control_carry_limit_req_encode(&frame.out, &event);
	carrier_send(host, carrier, &frame);
}

static void tell_all(struct host *host, dvs_dcid dc, uint64_t bytes_per_s)
{
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		if (host->carriers[node] && host->carriers[node]->process.link)
			tell(host, host->carriers[node], dc, bytes_per_s);
	}
}

void limits_tell(struct host *host, struct carrier *carrier)
{
	for (const struct core_dc *dc = core_dc_next(host->core, 0); dc;
	     dc = core_dc_next(host->core, dc->id.n)) {
		uint64_t limit = limit_of(&host->config, dc->name);

		if (limit > 0)
			tell(host, carrier, dc->id, limit);
	}
}

void limits_dc_created(struct host *host, const struct core_dc *dc)
{
	uint64_t limit = limit_of(&host->config, dc->name);

	if (limit > 0)
		tell_all(host, dc->id, limit);
}

/* Those that changed only. */
static void take_limits(struct host *host, const struct config *config)
{
	for (const struct core_dc *dc = core_dc_next(host->core, 0); dc;
	     dc = core_dc_next(host->core, dc->id.n)) {
		uint64_t limit = limit_of(config, dc->name);

		if (limit != limit_of(&host->config, dc->name))
			tell_all(host, dc->id, limit);
	}
	memcpy(host->config.limits, config->limits, sizeof(host->config.limits));
	host->config.n_limits = config->n_limits;
}

static void complain(struct host *host, const char *key)
{
	log_warning(&host->log, "this change takes a restart of dvsd", LOG_STR("key", key),
		    LOG_STR("file", host->options.config_path));
}

/* They are the proxies', which read the file themselves. */
static void take_links(struct host *host, const struct config *config)
{
	if (config->port == host->config.port &&
	    memcmp(config->link, host->config.link, sizeof(config->link)) == 0)
		return;
	host->config.port = config->port;
	memcpy(host->config.link, config->link, sizeof(config->link));
	log_info(&host->log, "the links have changed, the proxies begin again");
	carriers_restart(host);
}

void config_reload(struct host *host)
{
	static const char what[] = "configuration not read anew";
	struct config config;
	char text[CONFIG_TEXT_MAX];

	if (host->options.config_path[0] == '\0') {
		log_warning(&host->log, what, LOG_STR("why", "there is no configuration file"));
		return;
	}
	if (config_read(host->options.config_path, &config, text, sizeof(text)) != DVS_OK) {
		log_error(&host->log, what, LOG_STR("why", text));
		return;
	}
	/* The command line may have chosen another number. */
	if (config.node != host->options.file_node)
		complain(host, "node");
	if (strcmp(config.cluster, host->config.cluster) != 0)
		complain(host, "cluster");
	if (strcmp(config.address, host->config.address) != 0)
		complain(host, "address");
	if (config.engine != host->config.engine)
		complain(host, "engine");
	take_links(host, &config);
	take_limits(host, &config);
	log_info(&host->log, "limits read anew", LOG_STR("file", host->options.config_path),
		 LOG_U64("limits", config.n_limits));
}
