/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/compose/compose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "container/description.h"
#include "manage/compose/units.h"
#include "unit.h"

static struct compose compose;
static char text[COMPOSE_TEXT_MAX];

static dvs_err read_yaml(const char *yaml)
{
	return compose_read("web.yaml", yaml, strlen(yaml), &compose, text);
}

static void check_json(const json_t *json, const char *expected)
{
	size_t len;
	char *found = description_text(json, &len);

	ck_assert_str_eq(found, expected);
	free(found);
}

TEST(a_name_is_enough)
{
	ck_assert_msg(read_yaml("name: web\n") == DVS_OK, "%s", text);
	ck_assert_uint_eq(compose.n_dcs, 1);
	ck_assert_str_eq(compose.dcs[0].name, "web");
	ck_assert_ptr_null(compose.dcs[0].nodes);
	ck_assert_uint_eq(compose.dcs[0].n_programs, 0);
	check_json(compose.dcs[0].description, "{\"root\":{\"kind\":\"host\"}}");
	compose_free(&compose);
}

static const char *const everything =
	"name: web\n"
	"nodes: [n0, 1]\n"
	"image: debian:12@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
	"hostname: w\n"
	"network: none\n"
	"cpus: 1.5\n"
	"cpu_weight: 50\n"
	"cpuset: 0-3,5\n"
	"memory: 256M\n"
	"swap: 0\n"
	"pids: 512\n"
	"io_weight: 200\n"
	"io:\n"
	"  - device: /dev/vda\n"
	"    read_bps: 1M\n"
	"hugetlb: { 2MB: 4M }\n"
	"devices: [/dev/fuse, '/dev/x:rw', { path: /dev/y }]\n"
	"capabilities: { add: NET_ADMIN, drop: [ALL] }\n"
	"seccomp: unconfined\n"
	"no_new_privs: false\n"
	"rlimits: { nofile: [1024, 4096], core: 0, stack: unlimited }\n"
	"volumes:\n"
	"  - /srv/a:/a\n"
	"  - /srv/b:/b:ro\n"
	"  - { source: /srv/c, target: /c, readonly: true }\n"
	"env: [A=b, C=d=e]\n"
	"labels: { team: web, empty: }\n";

TEST(everything_can_be_said_of_a_dc)
{
	ck_assert_msg(read_yaml(everything) == DVS_OK, "%s", text);
	check_json(compose.dcs[0].nodes, "[\"n0\",\"1\"]");
	check_json(
		compose.dcs[0].description,
		"{\"capabilities\":{\"add\":[\"NET_ADMIN\"],\"drop\":[\"ALL\"]},\"cpu_weight\":50,"
		"\"cpus\":1.5,\"cpuset\":\"0-3,5\",\"devices\":[{\"path\":\"/dev/fuse\"},"
		"{\"access\":\"rw\",\"path\":\"/dev/x\"},{\"path\":\"/dev/y\"}],"
		"\"env\":{\"A\":\"b\",\"C\":\"d=e\"},\"hostname\":\"w\",\"hugetlb\":{\"2MB\":4194304},"
		"\"io\":[{\"device\":\"/dev/vda\",\"read_bps\":1048576}],\"io_weight\":200,"
		"\"labels\":{\"empty\":\"\",\"team\":\"web\"},\"memory\":268435456,"
		"\"network\":\"none\",\"no_new_privs\":false,\"pids\":512,"
		"\"rlimits\":{\"core\":[0,0],\"nofile\":[1024,4096],"
		"\"stack\":[\"unlimited\",\"unlimited\"]},"
		"\"root\":{\"digest\":\"sha256:"
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
		"\"kind\":\"image\",\"name\":\"debian:12\"},\"seccomp\":\"unconfined\",\"swap\":0,"
		"\"volumes\":[{\"source\":\"/srv/a\",\"target\":\"/a\"},"
		"{\"readonly\":true,\"source\":\"/srv/b\",\"target\":\"/b\"},"
		"{\"readonly\":true,\"source\":\"/srv/c\",\"target\":\"/c\"}]}");
	compose_free(&compose);
}

TEST(everything_can_be_said_of_volumes)
{
	ck_assert_msg(read_yaml("name: web\n"
				"disks:\n"
				"  data:\n"
				"    size: 10G\n"
				"    store: file\n"
				"    nodes: [n0, 1]\n"
				"    places: { n0: /srv/a }\n"
				"    direct: true\n"
				"    async: true\n"
				"    lag: 8M\n"
				"    resync_rate: 100M\n"
				"    access: dc\n"
				"  small: { size: 4K, replicas: 2 }\n") == DVS_OK,
		      "%s", text);
	ck_assert_uint_eq(compose.dcs[0].n_disks, 2);
	ck_assert_uint_eq(compose.dcs[0].n_programs, 0);
	ck_assert_str_eq(compose.dcs[0].disks[0].name, "data");
	check_json(compose.dcs[0].disks[0].json,
		   "{\"access\":\"dc\",\"async\":true,\"bytes\":10737418240,\"direct\":true,"
		   "\"lag_bytes\":8388608,\"nodes\":[\"n0\",\"1\"],"
		   "\"places\":{\"n0\":\"/srv/a\"},\"resync_bytes_per_s\":104857600,"
		   "\"store\":\"file\"}");
	check_json(compose.dcs[0].disks[1].json, "{\"bytes\":4096,\"replicas\":2}");
	check_json(compose.dcs[0].description, "{\"root\":{\"kind\":\"host\"}}");
	compose_free(&compose);
}

TEST(everything_can_be_said_of_programs_and_servers)
{
	ck_assert_msg(
		read_yaml(
			"name: web\n"
			"programs:\n"
			"  http:\n"
			"    command: nginx -g 'daemon off;'\n"
			"    replicas: each\n"
			"    nodes: n0\n"
			"    workdir: /srv\n"
			"    user: www\n"
			"    tty: true\n"
			"    env: { A: 1 }\n"
			"    restart: on-failure\n"
			"    retries: 3\n"
			"    backoff: 1.5s\n"
			"    stop_signal: QUIT\n"
			"    stop_grace: 1m\n"
			"    rlimits: { core: 0 }\n"
			"    health: { command: [curl, ''], interval: 1s, timeout: 100ms, retries: 2, start: 0 }\n"
			"  sleep: { command: [sleep, inf] }\n"
			"servers:\n"
			"  rs: { endpoint: 20, program: /sbin/rs -v, replicas: 2 }\n") == DVS_OK,
		"%s", text);
	ck_assert_uint_eq(compose.dcs[0].n_programs, 3);
	ck_assert_str_eq(compose.dcs[0].programs[0].name, "http");
	check_json(
		compose.dcs[0].programs[0].json,
		"{\"backoff_ms\":1500,\"command\":[\"nginx\",\"-g\",\"daemon off;\"],\"cwd\":\"/srv\","
		"\"env\":{\"A\":\"1\"},\"health\":{\"command\":[\"curl\",\"\"],\"interval_ms\":1000,"
		"\"retries\":2,\"start_ms\":0,\"timeout_ms\":100},\"nodes\":[\"n0\"],"
		"\"replicas\":\"each\",\"restart\":\"on-failure\",\"retries\":3,"
		"\"rlimits\":{\"core\":[0,0]},\"stop_grace_ms\":60000,\"stop_signal\":\"QUIT\","
		"\"tty\":true,\"user\":\"www\"}");
	ck_assert_str_eq(compose.dcs[0].programs[1].name, "sleep");
	check_json(
		compose.dcs[0].programs[2].json,
		"{\"command\":[\"/sbin/rs\",\"-v\"],\"replicas\":2,\"server\":{\"endpoint\":20}}");
	compose_free(&compose);
}

TEST(anchors_merges_and_several_dcs)
{
	ck_assert_msg(
		read_yaml(
			"x-limits: &limits { memory: 64M, pids: 100 }\n"
			"x-more: &more { <<: *limits, pids: 200, cpus: 1 }\n"
			"name: a\n"
			"<<: [*more, { hostname: h, cpus: 2 }]\n"
			"pids: 300\n"
			"---\n"
			"name: b\n"
			"programs: { p: &p { command: 'true' }, q: { <<: *p, replicas: 2 } }\n") ==
			DVS_OK,
		"%s", text);
	ck_assert_uint_eq(compose.n_dcs, 2);
	check_json(compose.dcs[0].description,
		   "{\"cpus\":1,\"hostname\":\"h\",\"memory\":67108864,\"pids\":300,"
		   "\"root\":{\"kind\":\"host\"}}");
	check_json(compose.dcs[1].programs[1].json, "{\"command\":[\"true\"],\"replicas\":2}");
	compose_free(&compose);
}

struct mistake {
	const char *yaml;
	const char *text; /* how the complaint begins, after the name of the file */
};

static const struct mistake mistakes[] = {
	{ "", "1:1: there is no DC in it" },
	{ "name: [", "2:1: this is not YAML: " },
	{ "- a", "1:1: the DC: must be a mapping of keys to values, but here stands a list" },
	{ "nodes: all", "1:1: the DC: lacks the key 'name'" },
	{ "name: .a", "1:7: name: '.a' is not made of 63 letters" },
	{ "name: a\nname: b", "2:1: the DC: 'name' stands here twice" },
	{ "name: a\nmemori: 1", "2:1: the DC: there is no key 'memori'; did you mean 'memory'?" },
	{ "name: a\nzzzzzzzz: 1",
	  "2:1: the DC: there is no key 'zzzzzzzz'; there are name, nodes," },
	{ "name: a\nmemory: 256Q", "2:9: memory: '256Q' is not a size; write bytes as 4096" },
	{ "name: a\nmemory: 1M", "2:9: memory: '1M' is not a size from 4M to 1024T" },
	{ "name: a\nmemory:", "2:8: memory: is empty; give it a value" },
	{ "name: a\nmemory: [1]", "2:9: memory: must be one value, but here stands a list" },
	{ "name: a\nswap: 1M", "2:7: swap: is a limit beside 'memory'" },
	{ "name: a\ncpus: two", "2:7: cpus: 'two' is not a number of CPUs, such as 1.5" },
	{ "name: a\ncpus: 0", "2:7: cpus: 0 is not a number of CPUs from 0.01 to 4096" },
	{ "name: a\ncpus: 1.2345", "2:7: cpus: '1.2345' is not a number of CPUs" },
	{ "name: a\npids: 1", "2:7: pids: '1' is not a whole number from 2 to 4194304" },
	{ "name: a\npids: 0x10", "2:7: pids: '0x10' is not a whole number" },
	{ "name: a\ncpuset: 3-1", "2:9: cpuset: must be CPUs by rising number" },
	{ "name: a\nhostname: a_b", "2:11: hostname: a host name is made of" },
	{ "name: a\nnetwork: nod", "2:10: network: there is no 'nod'; did you mean 'node'?" },
	{ "name: a\nseccomp: off", "2:10: seccomp: there is no 'off'; there are 'default', 'unc" },
	{ "name: a\nno_new_privs: yes", "2:15: no_new_privs: 'yes' is neither true nor false" },
	{ "name: a\nroot: srv", "2:7: root: 'srv' is neither 'host' nor a path" },
	{ "name: a\nroot: /a/../b", "2:7: root: must be written without '.', '..'" },
	{ "name: a\nroot: /a\nimage: b", "3:8: image: 'image' and 'root' both say" },
	{ "name: a\nimage: '-b'", "2:8: image: the name of an image is made of" },
	{ "name: a\nimage: b@sha256:12", "2:8: image: a digest is 'sha256:' and 64 digits" },
	{ "name: a\nnodes: []", "2:8: nodes: must have 1 to 62 entries, but has 0" },
	{ "name: a\nnodes: {}",
	  "2:8: nodes: must be a list ([a, b] or lines that begin with '-')" },
	{ "name: a\nio: [{ device: /srv }]", "2:16: io[0].device: a device is below /dev/" },
	{ "name: a\nio:\n- read_bps: 1M", "3:3: io[0]: lacks the key 'device'" },
	{ "name: a\nio: [{ device: /dev/a, read_bpz: 1 }]",
	  "2:24: io[0]: there is no key 'read_bpz'; did you mean 'read_bps'?" },
	{ "name: a\nhugetlb: { 2MiB: 0 }", "2:18: hugetlb.2MiB: the size of a huge page" },
	{ "name: a\ncapabilities: { add: [KILL, NET_ADMI] }",
	  "2:29: capabilities.add[1]: there is no 'NET_ADMI'; did you mean 'NET_ADMIN'?" },
	{ "name: a\nrlimits: { nofiles: 1 }", "2:21: rlimits.nofiles: there is no 'nofiles'; did" },
	{ "name: a\nrlimits: { nofile: [2, 1] }", "2:20: rlimits.nofile: the first value (soft)" },
	{ "name: a\nrlimits: { nofile: [2] }", "2:20: rlimits.nofile: must be one value, or" },
	{ "name: a\nrlimits: { nofile: x }", "2:20: rlimits.nofile: 'x' is neither a whole" },
	{ "name: a\nvolumes: [/a]", "2:11: volumes[0]: '/a' is not SOURCE:TARGET" },
	{ "name: a\nvolumes: ['/a:/b:wr']", "2:11: volumes[0]: '/a:/b:wr' is not SOURCE" },
	{ "name: a\nvolumes: ['-a:/b']", "2:11: volumes[0].source: say an absolute path" },
	{ "name: a\nvolumes:\n- { source: /a, target: /proc }",
	  "3:25: volumes[0].target: /proc belongs to the container" },
	{ "name: a\nenv: [A]", "2:7: env: 'A' is not NAME=VALUE" },
	{ "name: a\nenv: [A=1, A=2]", "2:12: env: 'A=2' stands here twice" },
	{ "name: a\nenv: { A: [1] }", "2:11: env.A: must be one value, but here stands a list" },
	{ "name: a\nenv: { A: 1, A: 2 }", "2:14: env: 'A' stands here twice" },
	{ "name: a\nprograms: { 'a.b': { command: a } }",
	  "2:13: programs: 'a.b' is not made of 55" },
	{ "name: a\nservers: { p: { endpoint: 7 } }", "2:15: servers.p: lacks the key 'program'" },
	{ "name: a\nprograms: { p: { command: a | b } }",
	  "2:27: programs.p.command: '|', '&', ';'" },
	{ "name: a\nprograms: { p: { command: \"'a\" } }", "2:27: programs.p.command: a quote is" },
	{ "name: a\nprograms: { p: { command: [a, {}] } }",
	  "2:31: programs.p.command[1]: must be one value" },
	{ "name: a\nprograms: { p: { command: ['', a] } }",
	  "2:28: programs.p.command[0]: is empty" },
	{ "name: a\nprograms: { p: { command: a, replicas: all } }",
	  "2:40: programs.p.replicas: 'all' is neither a whole number from 0 to 1024 nor 'each'" },
	{ "name: a\nprograms: { p: { command: a, restart: nope } }",
	  "2:39: programs.p.restart: there is no 'nope'; " },
	{ "name: a\nprograms: { p: { command: a, backoff: 5 } }",
	  "2:39: programs.p.backoff: '5' is not a time; write it with a unit, as 500ms" },
	{ "name: a\nprograms: { p: { command: a, workdir: b } }",
	  "2:39: programs.p.workdir: must be an absolute path" },
	{ "name: a\nprograms: { p: { command: a, stop_signal: HALT } }",
	  "2:43: programs.p.stop_signal: there is no signal of that name" },
	{ "name: a\nprograms: { p: { command: a, health: { command: b, interval: 1ms } } }",
	  "2:62: programs.p.health.interval: '1ms' is not a time from 100ms to 24h" },
	{ "name: a\nprograms: { p: { command: a } }\nservers: { p: { endpoint: 1, program: a } }",
	  "3:12: servers: 'p' stands above already" },
	{ "name: a\nservers: { s: { program: a } }", "2:15: servers.s: lacks the key 'endpoint'" },
	{ "name: a\nservers: { s: { endpoint: 1, program: a, replicas: each } }",
	  "2:52: servers.s.replicas: a server has so many backups" },
	{ "name: a\n---\nname: a", "3:1: the DC: a DC called 'a' stands above already" },
	{ "name: a\n<<: b", "2:5: the DC: '<<' takes a mapping" },
	{ "x-a: &a { <<: *a }\nname: a\n<<: *a", "1:6: the DC: '<<' goes on over more than 8" },
	{ "name: &n [*n]", "1:7: name: must be one value" },
	{ "name: a\ndisks: { d: {} }\n", "2:13: disks.d: lacks the key 'size'" },
	{ "name: a\ndisks: { d: { size: 5000 } }\n",
	  "2:21: disks.d.size: must be a multiple of 4096 bytes; the next is 8K" },
	{ "name: a\ndisks: { d: { size: 17T } }\n", "2:21: disks.d.size: '17T' is not a size" },
	{ "name: a\ndisks: { -d: { size: 1M } }\n", "2:10: disks: '-d' is not made of 48 letters" },
	{ "name: a\ndisks:\n  d: { size: 1M, store: tape }\n",
	  "3:25: disks.d.store: there is no 'tape'; there are 'file', 'ram', 'raw', 'nbd'" },
	{ "name: a\ndisks:\n  d: { size: 1M, replicas: 2, nodes: [a] }\n",
	  "3:28: disks.d.replicas: 'nodes' says where they are" },
	{ "name: a\ndisks:\n  d: { size: 1M, lag: 1M }\n",
	  "3:23: disks.d.lag: only an asynchronous volume has a lag" },
	{ "name: a\ndisks:\n  d: { size: 1M, store: ram, direct: true }\n",
	  "3:38: disks.d.direct: only a store 'file'" },
	{ "name: a\nfilesystems: { f: {} }\n",
	  "2:16: filesystems.f: lacks 'size', or 'disk', the volume that it is on" },
	{ "name: a\nfilesystems: { -f: { size: 1G } }\n",
	  "2:16: filesystems: '-f' is not made of 48 letters" },
	{ "name: a\nfilesystems: { f: { size: 1M } }\n", "2:27: filesystems.f.size: '1M' is" },
	{ "name: a\nfilesystems: { f: { size: 20000001 } }\n",
	  "2:27: filesystems.f.size: must be a multiple of 4096 bytes" },
	{ "name: a\nfilesystems: { f: { disk: d, size: 1G } }\n",
	  "2:36: filesystems.f.size: it is as large as what it is on" },
	{ "name: a\nfilesystems: { f: { store: volume } }\n",
	  "2:28: filesystems.f.store: say which volume: 'disk: NAME'" },
	{ "name: a\nfilesystems: { f: { store: raw } }\n",
	  "2:28: filesystems.f.store: say which device" },
	{ "name: a\nfilesystems: { f: { store: ram, disk: d } }\n",
	  "2:39: filesystems.f.disk: goes with 'store: volume' only" },
	{ "name: a\nfilesystems: { f: { disk: /d } }\n",
	  "2:27: filesystems.f.disk: is no name of a volume" },
	{ "name: a\nfilesystems: { f: { device: sda } }\n",
	  "2:29: filesystems.f.device: must be an absolute path" },
	{ "name: a\nfilesystems: { f: { size: 1G, nodes: [a, b] } }\n",
	  "2:38: filesystems.f.nodes: only one on a volume ('disk') can have backups" },
	{ "name: a\nvolumes: [a/b:/c]\n",
	  "2:11: volumes[0].source: say an absolute path of the node, or the name of a file" },
	{ "name: a\ndisks: { d: { size: 1M, sizes: 2 } }\n",
	  "2:25: disks.d: there is no key 'sizes'; did you mean 'size'?" },
};

TEST(a_mistake_is_named_with_line_column_and_what_would_be_right)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		dvs_err err = read_yaml(mistakes[i].yaml);
		const char *said = text + strlen("web.yaml:");

		ck_assert_msg(err == DVS_BADARG, "taken: %s", mistakes[i].yaml);
		ck_assert(strncmp(text, "web.yaml:", 9) == 0);
		ck_assert_msg(strncmp(said, mistakes[i].text, strlen(mistakes[i].text)) == 0,
			      "%s\nsays: %s\nnot:  %s", mistakes[i].yaml, said, mistakes[i].text);
	}
}

TEST(a_billion_laughs_are_cut_short)
{
	static char yaml[8192];
	size_t used = 0;

	used += (size_t)snprintf(yaml, sizeof(yaml), "x-a0: &a0 { k: v }\n");
	for (int i = 1; i < 8; i++) {
		used += (size_t)snprintf(yaml + used, sizeof(yaml) - used, "x-a%d: &a%d\n  <<: [",
					 i, i);
		for (int k = 0; k < 10; k++)
			used += (size_t)snprintf(yaml + used, sizeof(yaml) - used, "%s*a%d",
						 k == 0 ? "" : ", ", i - 1);
		used += (size_t)snprintf(yaml + used, sizeof(yaml) - used, "]\n");
	}
	snprintf(yaml + used, sizeof(yaml) - used, "name: a\n<<: *a7\n");
	ck_assert(read_yaml(yaml) == DVS_BADARG);
	ck_assert_msg(strstr(text, "'<<' brings more than 20000 entries"), "%s", text);
}

TEST(a_program_that_does_not_fit_is_refused_at_its_place)
{
	static char yaml[9000];
	size_t used =
		(size_t)snprintf(yaml, sizeof(yaml), "name: a\nprograms:\n  p:\n    command: [a, ");

	memset(yaml + used, 'x', 7000);
	snprintf(yaml + used + 7000, sizeof(yaml) - used - 7000, "]\n");
	ck_assert(read_yaml(yaml) == DVS_BADARG);
	ck_assert_msg(strncmp(text, "web.yaml:4:5: programs.p: it takes 7020 bytes, and 7000",
			      54) == 0,
		      "%s", text);
}

TEST(what_a_node_says_of_a_field_is_brought_to_its_line)
{
	ck_assert_msg(read_yaml("name: web\nvolumes:\n  - /srv/a:/a\nmemory: 64M\n") == DVS_OK,
		      "%s", text);
	compose_locate(&compose, &compose.dcs[0], "", "memory: the node has 32M", text);
	ck_assert_str_eq(text, "web.yaml:4:9: memory: the node has 32M");
	compose_locate(&compose, &compose.dcs[0], "", "volumes[0].source: is not there", text);
	ck_assert_str_eq(text, "web.yaml:3:5: volumes[0].source: is not there");
	compose_locate(&compose, &compose.dcs[0], "", "pids: the node has 3", text);
	ck_assert_str_eq(text, "web.yaml:1:1: web: pids: the node has 3");
	compose_locate(&compose, &compose.dcs[0], "", "crun is not there", text);
	ck_assert_str_eq(text, "web.yaml:1:1: web: crun is not there");
	compose_free(&compose);
}

struct sizes {
	const char *text;
	uint64_t number; /* UINT64_MAX: it is wrong */
};

TEST(sizes_and_times_have_units)
{
	static const struct sizes bytes[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "1K", 1024 },
		{ "1KiB", 1024 },
		{ "1.5G", 1610612736 },
		{ "0.1M", 104857 },
		{ "12B", 12 },
		{ "1.5", UINT64_MAX },
		{ "1.M", UINT64_MAX },
		{ "M", UINT64_MAX },
		{ "1 M", UINT64_MAX },
		{ "-1", UINT64_MAX },
		{ "1m", UINT64_MAX },
		{ "9007199254740993K", UINT64_MAX },
		{ "", UINT64_MAX },
		{ "1.0001M", UINT64_MAX },
	};
	static const struct sizes times[] = {
		{ "0", 0 },
		{ "1ms", 1 },
		{ "1.5s", 1500 },
		{ "2m", 120000 },
		{ "1h", 3600000 },
		{ "5", UINT64_MAX },
		{ "1.5ms", UINT64_MAX },
		{ "1d", UINT64_MAX },
		{ "s", UINT64_MAX },
	};
	char back[UNITS_TEXT_BYTES];

	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		uint64_t number = UINT64_MAX;

		ck_assert_msg(units_bytes(bytes[i].text, &number) ==
					      (bytes[i].number != UINT64_MAX) &&
				      number == bytes[i].number,
			      "%s", bytes[i].text);
	}
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		uint64_t number = UINT64_MAX;

		ck_assert_msg(units_ms(times[i].text, &number) == (times[i].number != UINT64_MAX) &&
				      number == times[i].number,
			      "%s", times[i].text);
	}
	units_bytes_text(268435456, back);
	ck_assert_str_eq(back, "256M");
	units_bytes_text(1500, back);
	ck_assert_str_eq(back, "1500");
	units_ms_text(90000, back);
	ck_assert_str_eq(back, "90s");
}

struct command_line {
	const char *command;
	const char *words; /* with | between */
};

TEST(a_command_is_split_as_a_shell_does_it_without_expansion)
{
	static const struct command_line lines[] = {
		{ "a b  c", "a|b|c" },
		{ " a\tb\n", "a|b" },
		{ "a 'b c' \"d e\"", "a|b c|d e" },
		{ "a b\\ c \\\\", "a|b c|\\" },
		{ "a '' b", "a||b" },
		{ "a'b'\"c\"d", "abcd" },
		{ "a '$HOME' \"\\$x \\\" \\n\"", "a|$HOME|$x \" \\n" },
		{ "ls *.c ~", "ls|*.c|~" },
		{ "", NULL },
		{ "a $HOME", NULL },
		{ "a \"$HOME\"", NULL },
		{ "a | b", NULL },
		{ "a 'b", NULL },
		{ "a \\", NULL },
		{ "a 1 2 3 4 5 6 7 8", NULL },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const char *words[8];
		const char *why;
		char buffer[64];
		char joined[64] = "";
		size_t n = units_words(lines[i].command, buffer, words, 8, &why);
		size_t used = 0;

		for (size_t k = 0; k < n; k++)
			used += (size_t)snprintf(joined + used, sizeof(joined) - used, "%s%s",
						 k == 0 ? "" : "|", words[k]);
		ck_assert_msg((n == 0) == (lines[i].words == NULL), "%s: %s", lines[i].command,
			      joined);
		if (lines[i].words)
			ck_assert_str_eq(joined, lines[i].words);
	}
}

UNIT_MAIN("manage-compose", a_name_is_enough, everything_can_be_said_of_a_dc,
	  everything_can_be_said_of_volumes, everything_can_be_said_of_programs_and_servers,
	  anchors_merges_and_several_dcs,
	  a_mistake_is_named_with_line_column_and_what_would_be_right,
	  a_billion_laughs_are_cut_short, a_program_that_does_not_fit_is_refused_at_its_place,
	  what_a_node_says_of_a_field_is_brought_to_its_line, sizes_and_times_have_units,
	  a_command_is_split_as_a_shell_does_it_without_expansion)
