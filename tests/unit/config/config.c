/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "unit.h"

static struct config config;
static char text[CONFIG_TEXT_MAX];

static dvs_err parse(const char *yaml)
{
	text[0] = '\0';
	return config_parse("/a/b/n.yaml", yaml, strlen(yaml), &config, text, sizeof(text));
}

TEST(an_empty_file_is_the_defaults)
{
	static const char *const empty[] = { "", "# nothing\n", "{}" };

	for (size_t i = 0; i < 3; i++) {
		dvs_err err = parse(empty[i]);

		ck_assert_msg(err == DVS_OK, "%s: %s", empty[i], text);
		ck_assert_uint_eq(config.node, 0);
		ck_assert_str_eq(config.name, "node0");
		ck_assert_str_eq(config.cluster, "");
		ck_assert_str_eq(config.address, "");
		ck_assert_int_eq(config.engine, CONFIG_LOCAL);
		ck_assert_uint_eq(config.port, 7100);
		ck_assert_uint_eq(config.n_limits, 0);
		ck_assert_int_eq(config.link[61].transport, CONFIG_TCP);
		ck_assert_int_eq(config.link[61].filters[0], CONFIG_NO_FILTER);
	}
	ck_assert_str_eq(config.dir, "/a/b");
}

TEST(everything_can_be_said)
{
	dvs_err err = parse("cluster: farm\n"
			    "node: 5\n"
			    "name: five.example\n"
			    "address: fd00::5\n"
			    "engine: corosync\n"
			    "dir: /etc/elsewhere\n"
			    "links:\n"
			    "  peers:\n"
			    "    - { node: 2, transport: raw, filters: [], interface: eth1 }\n"
			    "    - node: 61\n"
			    "      filters: [lz4, tls]\n"
			    "  port: 8000\n"
			    "  transport: udp\n"
			    "  filters: [zstd, tls]\n"
			    "  interface: \"eth0\"\n"
			    "limits:\n"
			    "  - { dc: web, bytes_per_s: 100000000 }\n"
			    "  - { dc: db, bytes_per_s: 1 }\n");

	ck_assert_msg(err == DVS_OK, "%s", text);
	ck_assert_str_eq(config.cluster, "farm");
	ck_assert_uint_eq(config.node, 5);
	ck_assert_str_eq(config.name, "five.example");
	ck_assert_str_eq(config.address, "fd00::5");
	ck_assert_int_eq(config.engine, CONFIG_COROSYNC);
	ck_assert_str_eq(config.dir, "/etc/elsewhere");
	ck_assert_uint_eq(config.port, 8000);
	ck_assert_int_eq(config.link[0].transport, CONFIG_UDP);
	ck_assert_int_eq(config.link[0].filters[0], CONFIG_ZSTD);
	ck_assert_int_eq(config.link[0].filters[1], CONFIG_TLS);
	ck_assert_str_eq(config.link[0].interface, "eth0");
	ck_assert_int_eq(config.link[2].transport, CONFIG_RAW);
	ck_assert_int_eq(config.link[2].filters[0], CONFIG_NO_FILTER);
	ck_assert_str_eq(config.link[2].interface, "eth1");
	ck_assert_int_eq(config.link[61].transport, CONFIG_UDP);
	ck_assert_int_eq(config.link[61].filters[0], CONFIG_LZ4);
	ck_assert_int_eq(config.link[61].filters[1], CONFIG_TLS);
	ck_assert_uint_eq(config.n_limits, 2);
	ck_assert_str_eq(config.limits[0].dc, "web");
	ck_assert_uint_eq(config.limits[0].bytes_per_s, 100000000);
	ck_assert_str_eq(config.limits[1].dc, "db");
}

TEST(a_cluster_is_encrypted_by_default)
{
	ck_assert_int_eq(parse("{cluster: a, address: 10.0.0.1, engine: corosync}"), DVS_OK);
	ck_assert_int_eq(config.link[0].filters[0], CONFIG_TLS);
	ck_assert_int_eq(config.link[0].filters[1], CONFIG_NO_FILTER);
	ck_assert_int_eq(config.link[61].filters[0], CONFIG_TLS);
	/* Who says that nothing is to be encrypted is believed. */
	ck_assert_int_eq(parse("{cluster: a, address: 10.0.0.1, engine: corosync,"
			       " links: {filters: []}}"),
			 DVS_OK);
	ck_assert_int_eq(config.link[0].filters[0], CONFIG_NO_FILTER);
	ck_assert_int_eq(parse("{cluster: a, address: 10.0.0.1, engine: corosync,"
			       " links: {peers: [{node: 3, filters: []}]}}"),
			 DVS_OK);
	ck_assert_int_eq(config.link[2].filters[0], CONFIG_TLS);
	ck_assert_int_eq(config.link[3].filters[0], CONFIG_NO_FILTER);
}

/* What is wrong, and what the message must be, whole. */
static const struct wrong {
	const char *yaml;
	const char *message;
} wrongs[] = {
	{ "cluster: farm\n  node: 0\n",
	  "2:7: this is not YAML: mapping values are not allowed in this context;"
	  " see dvs-node.yaml(5) for an example" },
	{ "a: [1, 2\nb: 3\n",
	  "2:2: this is not YAML: while parsing a flow sequence, did not find expected ',' or ']';"
	  " see dvs-node.yaml(5) for an example" },
	{ "node: 0\nname: \xff\n", "2:7: this is not YAML: invalid leading UTF-8 octet;"
				   " see dvs-node.yaml(5) for an example" },
	{ "node: *nobody\n", "1:7: this is not YAML: found undefined alias;"
			     " see dvs-node.yaml(5) for an example" },
	{ "node: 0\n---\nnode: 1\n",
	  "2:1: a second document begins here; leave only one in the file" },
	{ "---\n...\n",
	  "2:1: the configuration is a mapping of keys to values, but here stands nothing" },
	{ "- node\n",
	  "1:1: the configuration is a mapping of keys to values, but here stands a list" },
	{ "farm\n",
	  "1:1: the configuration is a mapping of keys to values, but here stands one value" },
	{ "node: 0\nclustre: farm\n",
	  "2:1: the configuration has no key 'clustre'; did you mean 'cluster'?" },
	{ "xyzzy: 1\n", "1:1: the configuration has no key 'xyzzy'; there are cluster, node, name,"
			" address, engine, dir, links, limits" },
	{ "\"\\e[31mred\": 1\n",
	  "1:1: the configuration has no key '?[31mred'; there are cluster, node, name,"
	  " address, engine, dir, links, limits" },
	{ "node: 0\nname: a\nnode: 1\n", "3:1: 'node' stands here twice; leave out one" },
	{ "? [a, b]\n: 1\n", "1:3: a key is one value, but here stands a list" },
	{ "node: 62\n", "1:7: the node '62' is not a whole number from 0 to 61" },
	{ "node: -1\n", "1:7: the node '-1' is not a whole number from 0 to 61" },
	{ "node: 0x1\n", "1:7: the node '0x1' is not a whole number from 0 to 61" },
	{ "node: 99999999999999999999999\n",
	  "1:7: the node '99999999999999999999999' is not a whole number from 0 to 61" },
	{ "node:\n", "1:6: the node is empty; give it a value or leave the line out" },
	{ "node: [1]\n", "1:7: the node is one value, but here stands a list" },
	{ "name: \"a\\0b\"\n", "1:7: the name of the node has a zero byte in it; leave it out" },
	{ "cluster: a b\n", "1:10: the name of the cluster 'a b' is not made of letters, digits,"
			    " '-', '_' and '.' (not first)" },
	{ "cluster: .a\n", "1:10: the name of the cluster '.a' is not made of letters, digits,"
			   " '-', '_' and '.' (not first)" },
	{ "cluster: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
	  "1:10: the name of the cluster is longer than 63 bytes" },
	{ "address: 10.0.0.256\n",
	  "1:10: the address '10.0.0.256' is not an IP address of one machine; write one like"
	  " 10.0.0.1 or fd00::1" },
	{ "address: 0.0.0.0\n",
	  "1:10: the address '0.0.0.0' is not an IP address of one machine; write one like"
	  " 10.0.0.1 or fd00::1" },
	{ "address: 224.0.0.1\n",
	  "1:10: the address '224.0.0.1' is not an IP address of one machine; write one like"
	  " 10.0.0.1 or fd00::1" },
	{ "address: ff02::1\n",
	  "1:10: the address 'ff02::1' is not an IP address of one machine; write one like"
	  " 10.0.0.1 or fd00::1" },
	{ "engine: corosink\n",
	  "1:9: the engine 'corosink' is not known; did you mean 'corosync'?" },
	{ "engine: raft\n", "1:9: the engine 'raft' is none of local or corosync" },
	{ "engine: corosync\naddress: 10.0.0.1\n",
	  "1:1: the engine 'corosync' needs the key 'cluster': its name" },
	{ "engine: corosync\ncluster: a\n",
	  "1:1: the engine 'corosync' needs the key 'address': where the other nodes reach this"
	  " one" },
	{ "dir: etc\n", "1:6: 'dir' does not begin with '/'" },
	{ "links: []\n", "1:8: 'links' is a mapping of keys to values, but here stands a list" },
	{ "links:\n  ports: 7\n", "2:3: 'links' has no key 'ports'; did you mean 'port'?" },
	{ "links:\n  port: 65500\n",
	  "2:9: the port '65500' is not a whole number from 1 to 65474" },
	{ "links:\n  transport: tcpp\n",
	  "2:14: the transport 'tcpp' is not known; did you mean 'tcp'?" },
	{ "links:\n  transport: raw\n",
	  "2:3: the transport 'raw' needs the key 'interface': the network interface to send by" },
	{ "links: { interface: a/b }\n",
	  "1:21: 'a/b' cannot be the name of a network interface; 'ip link' lists them" },
	{ "links: { interface: abcdefghijklmnop }\n",
	  "1:21: the interface is longer than 15 bytes" },
	{ "links: { filters: tls }\n",
	  "1:19: 'filters' is a list ([a, b] or lines that begin with '-'), but here stands one"
	  " value" },
	{ "links: { filters: [gzip] }\n", "1:20: the filter 'gzip' is none of zstd, lz4 or tls" },
	{ "links: { filters: [none] }\n", "1:20: the filter 'none' is none of zstd, lz4 or tls" },
	{ "links: { filters: [tls, zstd] }\n",
	  "1:25: 'zstd' comes after 'tls': what is encrypted cannot be compressed; write it"
	  " before" },
	{ "links: { filters: [zstd, lz4] }\n", "1:26: 'lz4' is a second compression; choose one" },
	{ "links: { filters: [tls, tls] }\n", "1:25: 'tls' stands here twice; leave out one" },
	{ "links: { filters: [zstd, tls, tls] }\n",
	  "1:31: 'tls' stands here twice; leave out one" },
	{ "links: { peers: [{transport: tcp}] }\n",
	  "1:18: an entry of 'peers' lacks the key 'node'" },
	{ "links:\n  peers:\n    - { node: 1 }\n    - { node: 1 }\n",
	  "4:7: node 1 stands in 'peers' twice; leave out one" },
	{ "links: { peers: [{node: 1, transport: raw}] }\n",
	  "1:18: the transport 'raw' needs the key 'interface': the network interface to send by" },
	{ "links: &l { peers: *l }\n",
	  "1:8: 'peers' is a list ([a, b] or lines that begin with '-'), but here stands a"
	  " mapping" },
	{ "limits: [{dc: a}]\n", "1:10: an entry of 'limits' lacks the key 'bytes_per_s'" },
	{ "limits: [{dc: a, bytes_per_s: 0}]\n",
	  "1:31: the limit '0' is not a whole number from 1 to 1000000000000" },
	{ "limits: [{dc: a, bytes_per_s: 1}, {dc: a, bytes_per_s: 1}]\n",
	  "1:35: the DC 'a' stands in 'limits' twice; leave out one" },
};

TEST(a_mistake_is_told_with_its_place)
{
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		char message[CONFIG_TEXT_MAX];

		(void)snprintf(message, sizeof(message), "/a/b/n.yaml:%s", wrongs[i].message);
		ck_assert_int_eq(parse(wrongs[i].yaml), DVS_BADARG);
		ck_assert_str_eq(text, message);
	}
}

TEST(tables_have_bounds)
{
	static char yaml[64 * 1024];
	size_t used = (size_t)sprintf(yaml, "limits:\n");

	for (unsigned int i = 0; i < CONFIG_LIMITS_MAX; i++)
		used += (size_t)sprintf(yaml + used, " - { dc: d%u, bytes_per_s: 7 }\n", i);
	ck_assert_int_eq(parse(yaml), DVS_OK);
	ck_assert_uint_eq(config.n_limits, CONFIG_LIMITS_MAX);
	ck_assert_str_eq(config.limits[CONFIG_LIMITS_MAX - 1].dc, "d255");
	(void)sprintf(yaml + used, " - { dc: more, bytes_per_s: 7 }\n");
	ck_assert_int_eq(parse(yaml), DVS_BADARG);
	ck_assert_str_eq(text, "/a/b/n.yaml:258:4: 'limits' has more than 256 entries");
}

TEST(a_complaint_fits_its_room)
{
	char small[12];

	memset(small, 'x', sizeof(small));
	ck_assert_int_eq(config_parse("n", "nodd: 1", 7, &config, small, 8), DVS_BADARG);
	ck_assert_str_eq(small, "n:1:1: ");
	ck_assert_int_eq(small[8], 'x');
}

static void check_comes_back(const char *yaml)
{
	static struct config before;
	AUTO_FREE char *written = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&written, &len);

	ck_assert_msg(parse(yaml) == DVS_OK, "%s", text);
	before = config;
	config_write(file, &config);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_msg(config_parse("/a/b/n.yaml", written, len, &config, text, sizeof(text)) ==
			      DVS_OK,
		      "%s: %s", text, written);
	ck_assert_msg(memcmp(&before, &config, sizeof(config)) == 0, "%s", written);
}

TEST(what_is_written_is_read_again)
{
	check_comes_back("");
	check_comes_back("{dir: '/a \"b\\c', name: 1.0, node: 61}");
	check_comes_back("{cluster: true, address: fd00::1, engine: corosync}");
	check_comes_back("{cluster: a, address: 10.0.0.1, engine: corosync, links: {filters: []}}");
	check_comes_back(
		"{cluster: a, address: 10.0.0.1, engine: corosync, links: {transport: raw,"
		" interface: e, port: 9, peers: [{node: 0, filters: [lz4, tls]},"
		" {node: 61, transport: udp, filters: [], interface: \"q\\\"\"}]},"
		" limits: [{dc: null, bytes_per_s: 1}, {dc: b, bytes_per_s: 1000000000000}]}");
}

TEST(another_number_brings_another_name_unless_there_was_one)
{
	ck_assert_int_eq(parse("node: 3"), DVS_OK);
	config_set_node(&config, 4);
	ck_assert_uint_eq(config.node, 4);
	ck_assert_str_eq(config.name, "node4");
	ck_assert_int_eq(parse("{node: 3, name: three}"), DVS_OK);
	config_set_node(&config, 4);
	ck_assert_str_eq(config.name, "three");
}

TEST(a_file_is_read_and_its_directory_is_that_of_the_keys)
{
	char dir[] = "/tmp/dvs-config-XXXXXX";
	char path[64];
	FILE *file;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/node.yaml", dir);
	ck_assert_int_eq(config_read(path, &config, text, sizeof(text)), DVS_IO);
	ck_assert_ptr_nonnull(
		strstr(text, "node.yaml: cannot read the configuration: No such file"));
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs("node: 7\n", file), 0);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(config_read(path, &config, text, sizeof(text)), DVS_OK);
	ck_assert_uint_eq(config.node, 7);
	ck_assert_str_eq(config.dir, dir);
	/* Not a megabyte of zeroes, and no waiting for somebody to write into a pipe. */
	ck_assert_int_eq(truncate(path, 2 * 1024 * 1024), 0);
	ck_assert_int_eq(config_read(path, &config, text, sizeof(text)), DVS_IO);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(config_read(path, &config, text, sizeof(text)), DVS_IO);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(config_read(dir, &config, text, sizeof(text)), DVS_IO);
	ck_assert_int_eq(rmdir(dir), 0);
}

UNIT_MAIN("config", an_empty_file_is_the_defaults, everything_can_be_said,
	  a_cluster_is_encrypted_by_default, a_mistake_is_told_with_its_place, tables_have_bounds,
	  what_is_written_is_read_again, a_complaint_fits_its_room,
	  another_number_brings_another_name_unless_there_was_one,
	  a_file_is_read_and_its_directory_is_that_of_the_keys)
