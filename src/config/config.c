/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "config/document.h"

/* More than a configuration with every limit needs. */
#define FILE_BYTES_MAX (1024u * 1024u)

static const char *const engines[] = { "local", "corosync" };
static const char *const transports[] = { "tcp", "udp", "raw", "tipc" };
static const char *const filters[] = { "none", "zstd", "lz4", "tls" };

/* What is being read. Links come in two steps: what holds for all peers, then the single peers over it. */
struct reading {
	struct config *config;
	struct config_link all;
	bool all_filtered;
	const yaml_node_t *peers;
};

/* An entry of `peers`. */
struct peer_reading {
	struct config_link link;
	uint64_t node;
};

const char *config_transport_name(enum config_transport transport)
{
	return transports[transport];
}

const char *config_filter_name(enum config_filter filter)
{
	return filters[filter];
}

static void name_after_number(struct config *config, uint32_t node)
{
	(void)snprintf(config->name, sizeof(config->name), "node%u", node);
}

void config_set_node(struct config *config, uint32_t node)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "node%u", config->node);
	if (strcmp(name, config->name) == 0)
		name_after_number(config, node);
	config->node = node;
}

void config_defaults(struct config *config)
{
	memset(config, 0, sizeof(*config));
	name_after_number(config, 0);
	config->port = CONFIG_PORT_DEFAULT;
	(void)snprintf(config->dir, sizeof(config->dir), "%s", CONFIG_DIR_DEFAULT);
}

/* ---- links ---- */

static bool read_transport(struct document *document, const yaml_node_t *value,
			   struct config_link *link)
{
	size_t choice;

	if (!document_choice(document, value, "the transport", transports, ARRAY_LEN(transports),
			     &choice))
		return false;
	link->transport = (enum config_transport)choice;
	return true;
}

/* The next filter of a link. A compression comes before the encryption, or it would have nothing to do. */
static bool read_filter(struct document *document, const yaml_node_t *value, void *to)
{
	struct config_link *link = to;
	size_t choice;
	size_t at = 0;

	/* Without "none": an empty list says that. */
	if (!document_choice(document, value, "the filter", filters + 1, ARRAY_LEN(filters) - 1,
			     &choice))
		return false;
	choice++;
	while (at < CONFIG_FILTERS_MAX && link->filters[at] != CONFIG_NO_FILTER)
		at++;
	if (at > 0 && choice != CONFIG_TLS)
		return document_fail(document, value,
				     link->filters[at - 1] == CONFIG_TLS ?
					     "'%s' comes after 'tls': what is encrypted cannot be"
					     " compressed; write it before" :
					     "'%s' is a second compression; choose one",
				     filters[choice]);
	if (at > 0 && link->filters[at - 1] == CONFIG_TLS)
		return document_fail(document, value, "'tls' stands here twice; leave out one");
	link->filters[at] = (enum config_filter)choice;
	return true;
}

static bool read_filters(struct document *document, const yaml_node_t *value,
			 struct config_link *link)
{
	memset(link->filters, 0, sizeof(link->filters));
	return document_list(document, value, "'filters'", CONFIG_FILTERS_MAX + 1, read_filter,
			     link);
}

static bool read_interface(struct document *document, const yaml_node_t *value,
			   struct config_link *link)
{
	if (!document_text(document, value, "the interface", link->interface,
			   sizeof(link->interface)))
		return false;
	if (strpbrk(link->interface, "/ :") || strcmp(link->interface, ".") == 0 ||
	    strcmp(link->interface, "..") == 0)
		return document_fail(document, value,
				     "'%s' cannot be the name of a network interface; 'ip link'"
				     " lists them",
				     link->interface);
	return true;
}

static bool check_link(const struct document *document, const yaml_node_t *value,
		       const struct config_link *link)
{
	if (link->transport == CONFIG_RAW && link->interface[0] == '\0')
		return document_fail(document, value,
				     "the transport 'raw' needs the key 'interface': the network"
				     " interface to send by");
	return true;
}

static bool read_peer_node(struct document *document, const yaml_node_t *value, void *to)
{
	struct peer_reading *peer = to;

	return document_number(document, value, "the node", 0, CONFIG_NODES_MAX - 1, &peer->node);
}

static bool read_peer_transport(struct document *document, const yaml_node_t *value, void *to)
{
	return read_transport(document, value, &((struct peer_reading *)to)->link);
}

static bool read_peer_filters(struct document *document, const yaml_node_t *value, void *to)
{
	return read_filters(document, value, &((struct peer_reading *)to)->link);
}

static bool read_peer_interface(struct document *document, const yaml_node_t *value, void *to)
{
	return read_interface(document, value, &((struct peer_reading *)to)->link);
}

static const struct document_key peer_keys[] = {
	{ "node", read_peer_node, true },
	{ "transport", read_peer_transport, false },
	{ "filters", read_peer_filters, false },
	{ "interface", read_peer_interface, false },
};

struct peers_reading {
	struct reading *reading;
	uint64_t seen;
};

static bool read_peer(struct document *document, const yaml_node_t *value, void *to)
{
	struct peers_reading *peers = to;
	struct peer_reading peer = { .link = peers->reading->all };

	if (!document_map(document, value, "an entry of 'peers'", peer_keys, ARRAY_LEN(peer_keys),
			  &peer) ||
	    !check_link(document, value, &peer.link))
		return false;
	if (peers->seen & UINT64_C(1) << peer.node)
		return document_fail(document, value,
				     "node %u stands in 'peers' twice; leave out one",
				     (unsigned int)peer.node);
	peers->seen |= UINT64_C(1) << peer.node;
	peers->reading->config->link[peer.node] = peer.link;
	return true;
}

static bool read_port(struct document *document, const yaml_node_t *value, void *to)
{
	struct reading *reading = to;
	uint64_t port;

	if (!document_number(document, value, "the port", 1, CONFIG_PORT_MAX, &port))
		return false;
	reading->config->port = (uint32_t)port;
	return true;
}

static bool read_all_transport(struct document *document, const yaml_node_t *value, void *to)
{
	return read_transport(document, value, &((struct reading *)to)->all);
}

static bool read_all_filters(struct document *document, const yaml_node_t *value, void *to)
{
	struct reading *reading = to;

	reading->all_filtered = true;
	return read_filters(document, value, &reading->all);
}

static bool read_all_interface(struct document *document, const yaml_node_t *value, void *to)
{
	return read_interface(document, value, &((struct reading *)to)->all);
}

/* They build on all the rest: kept until that is read. */
static bool keep_peers(struct document *document, const yaml_node_t *value, void *to)
{
	(void)document;
	((struct reading *)to)->peers = value;
	return true;
}

static const struct document_key link_keys[] = {
	{ "port", read_port, false },		{ "transport", read_all_transport, false },
	{ "filters", read_all_filters, false }, { "interface", read_all_interface, false },
	{ "peers", keep_peers, false },
};

static bool read_links(struct document *document, const yaml_node_t *value, void *to)
{
	struct reading *reading = to;

	return document_map(document, value, "'links'", link_keys, ARRAY_LEN(link_keys), to) &&
	       check_link(document, value, &reading->all);
}

/* ---- limits ---- */

static bool read_limit_dc(struct document *document, const yaml_node_t *value, void *to)
{
	struct config_limit *limit = to;

	return document_name(document, value, "the DC name", limit->dc, sizeof(limit->dc));
}

static bool read_limit_bytes(struct document *document, const yaml_node_t *value, void *to)
{
	struct config_limit *limit = to;

	return document_number(document, value, "the limit", 1, CONFIG_BYTES_PER_S_MAX,
			       &limit->bytes_per_s);
}

static const struct document_key limit_keys[] = {
	{ "dc", read_limit_dc, true },
	{ "bytes_per_s", read_limit_bytes, true },
};

static bool read_limit(struct document *document, const yaml_node_t *value, void *to)
{
	struct config *config = ((struct reading *)to)->config;
	struct config_limit *limit = &config->limits[config->n_limits];

	if (!document_map(document, value, "an entry of 'limits'", limit_keys,
			  ARRAY_LEN(limit_keys), limit))
		return false;
	for (uint32_t i = 0; i < config->n_limits; i++) {
		if (strcmp(config->limits[i].dc, limit->dc) == 0)
			return document_fail(document, value,
					     "the DC '%s' stands in 'limits' twice; leave out one",
					     limit->dc);
	}
	config->n_limits++;
	return true;
}

static bool read_limits(struct document *document, const yaml_node_t *value, void *to)
{
	return document_list(document, value, "'limits'", CONFIG_LIMITS_MAX, read_limit, to);
}

/* ---- the node ---- */

static bool read_cluster(struct document *document, const yaml_node_t *value, void *to)
{
	struct config *config = ((struct reading *)to)->config;

	return document_name(document, value, "the name of the cluster", config->cluster,
			     sizeof(config->cluster));
}

static bool read_node(struct document *document, const yaml_node_t *value, void *to)
{
	struct config *config = ((struct reading *)to)->config;
	uint64_t node;

	if (!document_number(document, value, "the node", 0, CONFIG_NODES_MAX - 1, &node))
		return false;
	config->node = (uint32_t)node;
	return true;
}

static bool read_name(struct document *document, const yaml_node_t *value, void *to)
{
	struct config *config = ((struct reading *)to)->config;

	return document_name(document, value, "the name of the node", config->name,
			     sizeof(config->name));
}

bool config_name_ok(const char *text)
{
	return strlen(text) <= CONFIG_NAME_MAX && document_is_name(text);
}

bool config_address_ok(const char *text)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return v4.s_addr != INADDR_ANY && v4.s_addr != INADDR_BROADCAST &&
		       !IN_MULTICAST(ntohl(v4.s_addr));
	return inet_pton(AF_INET6, text, &v6) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&v6) &&
	       !IN6_IS_ADDR_MULTICAST(&v6);
}

static bool read_address(struct document *document, const yaml_node_t *value, void *to)
{
	struct config *config = ((struct reading *)to)->config;

	if (!document_text(document, value, "the address", config->address,
			   sizeof(config->address)))
		return false;
	if (!config_address_ok(config->address))
		return document_fail(document, value,
				     "the address '%s' is not an IP address of one machine;"
				     " write one like 10.0.0.1 or fd00::1",
				     config->address);
	return true;
}

static bool read_engine(struct document *document, const yaml_node_t *value, void *to)
{
	struct config *config = ((struct reading *)to)->config;
	size_t choice;

	if (!document_choice(document, value, "the engine", engines, ARRAY_LEN(engines), &choice))
		return false;
	config->engine = (enum config_engine)choice;
	return true;
}

static bool read_dir(struct document *document, const yaml_node_t *value, void *to)
{
	struct config *config = ((struct reading *)to)->config;

	if (!document_text(document, value, "'dir'", config->dir, sizeof(config->dir)))
		return false;
	if (config->dir[0] != '/')
		return document_fail(document, value, "'dir' does not begin with '/'");
	return true;
}

static const struct document_key node_keys[] = {
	{ "cluster", read_cluster, false }, { "node", read_node, false },
	{ "name", read_name, false },	    { "address", read_address, false },
	{ "engine", read_engine, false },   { "dir", read_dir, false },
	{ "links", read_links, false },	    { "limits", read_limits, false },
};

/* A cluster cannot do without these. */
static bool check_cluster(const struct document *document, const yaml_node_t *root,
			  const struct config *config)
{
	if (config->engine != CONFIG_COROSYNC)
		return true;
	if (config->cluster[0] == '\0')
		return document_fail(document, root,
				     "the engine 'corosync' needs the key 'cluster': its name");
	if (config->address[0] == '\0')
		return document_fail(document, root,
				     "the engine 'corosync' needs the key 'address': where the"
				     " other nodes reach this one");
	return true;
}

static bool read_root(struct document *document, const yaml_node_t *root, struct reading *reading)
{
	struct config *config = reading->config;
	struct peers_reading peers = { .reading = reading };

	if (!document_map(document, root, "the configuration", node_keys, ARRAY_LEN(node_keys),
			  reading) ||
	    !check_cluster(document, root, config))
		return false;
	if (!reading->all_filtered && config->engine == CONFIG_COROSYNC)
		reading->all.filters[0] = CONFIG_TLS;
	for (uint32_t i = 0; i < CONFIG_NODES_MAX; i++)
		config->link[i] = reading->all;
	return !reading->peers || document_list(document, reading->peers, "'peers'",
						CONFIG_NODES_MAX, read_peer, &peers);
}

static void directory_of(const char *path, char *dir, size_t size)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		(void)snprintf(dir, size, ".");
	else
		(void)snprintf(dir, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

dvs_err config_parse(const char *path, const void *bytes, size_t len, struct config *config,
		     char *text, size_t text_bytes)
{
	struct reading reading = { .config = config };
	struct document document;
	const yaml_node_t *root;
	dvs_err err = document_open(&document, path, bytes, len, text, text_bytes);

	config_defaults(config);
	if (err != DVS_OK)
		return err;
	directory_of(path, config->dir, sizeof(config->dir));
	config->name[0] = '\0';
	root = document_root(&document);
	if (root && !read_root(&document, root, &reading))
		err = DVS_BADARG;
	if (config->name[0] == '\0')
		name_after_number(config, config->node);
	document_close(&document);
	return err;
}

/* All of the file PATH, for the caller to free. */
static dvs_err read_file(const char *path, char **bytes, size_t *len, const char **why)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO_FREE char *room = NULL;
	struct stat status;
	size_t have = 0;
	ssize_t n;

	if (fd < 0 || fstat(fd, &status) != 0) {
		*why = strerror(errno);
		return DVS_IO;
	}
	*why = "it is not a file, or larger than 1 MiB";
	if (!S_ISREG(status.st_mode) || status.st_size > FILE_BYTES_MAX)
		return DVS_IO;
	room = malloc(FILE_BYTES_MAX + 1);
	*why = "out of memory";
	if (!room)
		return DVS_NOMEM;
	while ((n = read(fd, room + have, FILE_BYTES_MAX + 1 - have)) > 0)
		have += (size_t)n;
	*why = n < 0 ? strerror(errno) : "it is larger than 1 MiB";
	if (n < 0 || have > FILE_BYTES_MAX)
		return DVS_IO;
	*bytes = TAKE_PTR(room);
	*len = have;
	return DVS_OK;
}

dvs_err config_read(const char *path, struct config *config, char *text, unsigned long text_bytes)
{
	AUTO_FREE char *bytes = NULL;
	const char *why = "";
	size_t len = 0;
	dvs_err err;

	config_defaults(config);
	err = read_file(path, &bytes, &len, &why);
	if (err != DVS_OK) {
		(void)snprintf(text, text_bytes, "%s: cannot read the configuration: %s", path,
			       why);
		return err;
	}
	err = config_parse(path, bytes, len, config, text, text_bytes);
	if (err == DVS_NOMEM)
		(void)snprintf(text, text_bytes, "%s: out of memory", path);
	return err;
}
