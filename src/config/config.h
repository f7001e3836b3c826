/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of a node: /etc/dvs/node.yaml, read by dvsd, dvs-proxy and dvs.
 *
 *	cluster: farm              # nodes with another name are refused
 *	node: 0                    # 0 to 61, this node's for ever
 *	name: n0                   # default: node<number>
 *	address: 10.0.0.1          # where the other nodes reach this one
 *	engine: corosync           # or local: this node is alone (the default)
 *	dir: /etc/dvs              # keys and certificates: ca.pem, node.pem, node.key; default: where this file is
 *	links:
 *	  port: 7100               # the proxy for peer n listens at port + n (default 7100)
 *	  transport: tcp           # tcp udp raw tipc
 *	  filters: [tls]           # of zstd or lz4, and tls, in this order; default in a cluster: [tls]
 *	  interface: eth0          # for raw
 *	  peers:                   # other values for single peers
 *	    - { node: 2, transport: raw, filters: [], interface: eth1 }
 *	limits:
 *	  - { dc: web, bytes_per_s: 100000000 }   # what a DC may send over each link
 *
 * Errors name the file, the line and the column. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <dvs/error.h>

#define CONFIG_NODES_MAX 62u
#define CONFIG_NAME_MAX 63u
#define CONFIG_PATH_MAX 255u
#define CONFIG_FILTERS_MAX 2u
#define CONFIG_LIMITS_MAX 256u
#define CONFIG_PORT_DEFAULT 7100u
/* The ports of all peers must exist. */
#define CONFIG_PORT_MAX (65535u - CONFIG_NODES_MAX + 1u)
#define CONFIG_BYTES_PER_S_MAX UINT64_C(1000000000000)
#define CONFIG_DIR_DEFAULT "/etc/dvs"
#define CONFIG_FILE_DEFAULT CONFIG_DIR_DEFAULT "/node.yaml"
/* What an error needs at most. */
#define CONFIG_TEXT_MAX 512u

enum config_engine { CONFIG_LOCAL = 0, CONFIG_COROSYNC };
enum config_transport { CONFIG_TCP = 0, CONFIG_UDP, CONFIG_RAW, CONFIG_TIPC };
enum config_filter { CONFIG_NO_FILTER = 0, CONFIG_ZSTD, CONFIG_LZ4, CONFIG_TLS };

struct config_link {
	enum config_transport transport;
	enum config_filter filters
		[CONFIG_FILTERS_MAX]; /* nearest to the frames first; CONFIG_NO_FILTER ends it */
	char interface[16];
};

struct config_limit {
	char dc[CONFIG_NAME_MAX + 1];
	uint64_t bytes_per_s;
};

struct config {
	char cluster[CONFIG_NAME_MAX + 1];
	uint32_t node;
	char name[CONFIG_NAME_MAX + 1];
	char address[CONFIG_NAME_MAX + 1];
	enum config_engine engine;
	char dir[CONFIG_PATH_MAX + 1];
	uint32_t port;
	struct config_link link[CONFIG_NODES_MAX]; /* by peer */
	uint32_t n_limits;
	struct config_limit limits[CONFIG_LIMITS_MAX];
};

/* What holds without a file: node 0, alone. */
void config_defaults(struct config *config);

/* Read PATH over the defaults. On an error CONFIG is not to be used, and TEXT (of TEXT_BYTES) says what, where and what to do. IO; BADARG. */
DVS_MUST_USE dvs_err config_read(const char *path, struct config *config, char *text,
				 unsigned long text_bytes);
/* The same for LEN BYTES that stand for the file PATH. */
DVS_MUST_USE dvs_err config_parse(const char *path, const void *bytes, size_t len,
				  struct config *config, char *text, size_t text_bytes);

/* Another number for this node, from the command line; a name made from the number follows. */
void config_set_node(struct config *config, uint32_t node);

/* Whether TEXT can be the name of a cluster, a node or a DC. */
bool config_name_ok(const char *text);

/* Write CONFIG so that config_read() gives the same again, but for `dir`, which is only written if it is not the default.
 * FILE's error flag tells whether that went well. */
void config_write(FILE *file, const struct config *config);

/* Whether TEXT is the IPv4 or IPv6 address of one machine. */
bool config_address_ok(const char *text);

const char *config_transport_name(enum config_transport transport);
const char *config_filter_name(enum config_filter filter);

#endif
