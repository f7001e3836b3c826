/* SPDX-License-Identifier: Apache-2.0 */
#include "container/description.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "unit.h"

static struct description description;
static char why[DESCRIPTION_TEXT_MAX];

static dvs_err parse(const char *json)
{
	why[0] = '\0';
	return description_parse(json, strlen(json), &description, why);
}

TEST(only_a_root_is_a_description_without_limits)
{
	ck_assert_msg(parse("{\"root\": {\"kind\": \"host\"}}") == DVS_OK, "%s", why);
	ck_assert_uint_eq(description.root, DESCRIPTION_HOST);
	ck_assert_uint_eq(description.network, DESCRIPTION_NODE_NETWORK);
	ck_assert_uint_eq(description.cpu_millis, DESCRIPTION_NONE);
	ck_assert_uint_eq(description.memory_bytes, DESCRIPTION_NONE);
	ck_assert_uint_eq(description.swap_bytes, DESCRIPTION_NONE);
	ck_assert_uint_eq(description.pids, 4096);
	ck_assert_uint_eq(description.cpu_weight, 100);
	ck_assert_uint_eq(description.io_weight, 100);
	ck_assert_ptr_null(description.hostname);
	ck_assert_ptr_null(description.cpuset);
	ck_assert(description.seccomp_default);
	ck_assert(description.no_new_privs);
	ck_assert_uint_eq(description.n_io + description.n_hugetlb + description.n_devices +
				  description.n_rlimits + description.n_volumes + description.n_env,
			  0);
	description_free(&description);
}

TEST(everything_can_be_said)
{
	static const char *const all =
		"{\"root\": {\"kind\": \"image\", \"name\": \"debian:12\", \"digest\": \"sha256:"
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"},"
		"\"hostname\": \"web-1.example\", \"network\": \"none\", \"cpus\": 1.5,"
		"\"cpu_weight\": 1, \"cpuset\": \"0-3,5\", \"memory\": 268435456, \"swap\": 0,"
		"\"pids\": 512, \"io_weight\": 10000,"
		"\"io\": [{\"device\": \"/dev/vda\", \"read_bps\": 1000000, \"write_iops\": 7}],"
		"\"hugetlb\": {\"2MB\": 0}, \"devices\": [{\"path\": \"/dev/fuse\", \"access\": \"rw\"}],"
		"\"capabilities\": {\"add\": [\"CAP_NET_ADMIN\", \"kill\"], \"drop\": [\"ALL\"]},"
		"\"seccomp\": \"unconfined\", \"no_new_privs\": false,"
		"\"rlimits\": {\"nofile\": [1024, \"unlimited\"]},"
		"\"volumes\": [{\"source\": \"/srv/data\", \"target\": \"/data\", \"readonly\": true}],"
		"\"env\": {\"LANG\": \"C.UTF-8\", \"EMPTY\": \"\"}, \"labels\": {\"team\": \"web\"}}";

	ck_assert_msg(parse(all) == DVS_OK, "%s", why);
	ck_assert_uint_eq(description.root, DESCRIPTION_IMAGE);
	ck_assert_str_eq(description.image, "debian:12");
	ck_assert_uint_eq(strlen(description.digest), 71);
	ck_assert_str_eq(description.hostname, "web-1.example");
	ck_assert_uint_eq(description.network, DESCRIPTION_NO_NETWORK);
	ck_assert_uint_eq(description.cpu_millis, 1500);
	ck_assert_uint_eq(description.cpu_weight, 1);
	ck_assert_str_eq(description.cpuset, "0-3,5");
	ck_assert_uint_eq(description.memory_bytes, 268435456);
	ck_assert_uint_eq(description.swap_bytes, 0);
	ck_assert_uint_eq(description.pids, 512);
	ck_assert_uint_eq(description.io_weight, 10000);
	ck_assert_str_eq(description.io[0].device, "/dev/vda");
	ck_assert_uint_eq(description.io[0].read_bps, 1000000);
	ck_assert_uint_eq(description.io[0].write_bps, DESCRIPTION_NONE);
	ck_assert_uint_eq(description.io[0].write_iops, 7);
	ck_assert_str_eq(description.hugetlb[0].size, "2MB");
	ck_assert_str_eq(description.devices[0].access, "rw");
	ck_assert_uint_eq(description.capabilities, UINT64_C(1) << 12 | UINT64_C(1) << 5);
	ck_assert(!description.seccomp_default);
	ck_assert(!description.no_new_privs);
	ck_assert_uint_eq(description.rlimits[0].which, RLIMIT_NOFILE);
	ck_assert_uint_eq(description.rlimits[0].soft, 1024);
	ck_assert_uint_eq(description.rlimits[0].hard, DESCRIPTION_NONE);
	ck_assert_str_eq(description.volumes[0].source, "/srv/data");
	ck_assert_str_eq(description.volumes[0].target, "/data");
	ck_assert(description.volumes[0].readonly);
	ck_assert_uint_eq(description.n_env, 2);
	description_free(&description);
}

struct mistake {
	const char *json; /* beside "root" */
	const char *text; /* how the complaint begins */
};

static const struct mistake mistakes[] = {
	{ "\"memori\": 1", "memori: there is no 'memori'; did you mean 'memory'?" },
	{ "\"zzzzzz\": 1", "zzzzzz: there is no 'zzzzzz'; there are root, hostname, " },
	{ "\"memory\": \"256M\"", "memory: must be a whole number, but is a text" },
	{ "\"memory\": 1.5", "memory: must be a whole number, but is a broken number" },
	{ "\"memory\": 4194303", "memory: 4194303 is not a whole number from 4194304 to " },
	{ "\"memory\": -1", "memory: -1 is not " },
	{ "\"memory\": null", "memory: must be a whole number, but is null" },
	{ "\"swap\": 1", "swap: is a limit beside 'memory'" },
	{ "\"cpus\": 0", "cpus: 0 is not a number of CPUs from 0.01 to 4096" },
	{ "\"cpus\": 4097", "cpus: 4097 is not" },
	{ "\"cpus\": \"2\"", "cpus: must be a number of CPUs" },
	{ "\"cpu_weight\": 0", "cpu_weight: 0 is not" },
	{ "\"io_weight\": 10001", "io_weight: 10001 is not" },
	{ "\"cpuset\": \"\"", "cpuset: is empty" },
	{ "\"cpuset\": \"3-1\"", "cpuset: must be CPUs by rising number" },
	{ "\"cpuset\": \"1,1\"", "cpuset: must be" },
	{ "\"cpuset\": \"1,\"", "cpuset: must be" },
	{ "\"cpuset\": \"a\"", "cpuset: must be" },
	{ "\"cpuset\": \"99999999999999999999\"", "cpuset: must be" },
	{ "\"pids\": 1", "pids: 1 is not a whole number from 2 to" },
	{ "\"network\": \"nod\"", "network: there is no 'nod'; did you mean 'node'?" },
	{ "\"network\": 1", "network: must be a text, but is a number" },
	{ "\"hostname\": \"-a\"", "hostname: a host name is made of" },
	{ "\"hostname\": \"a\\nb\"", "hostname: a host name is made of" },
	{ "\"io\": {}", "io: must be a list [...], but is an object" },
	{ "\"io\": [{\"device\": \"vda\"}]", "io[0].device: must be an absolute path" },
	{ "\"io\": [{\"device\": \"/srv/x\"}]", "io[0].device: a device is below /dev/" },
	{ "\"io\": [{\"read_bps\": 1}]", "io[0]: lacks the key 'device'" },
	{ "\"io\": [{\"device\": \"/dev/a\"}, {\"device\": \"/dev/a\"}]",
	  "io[1]: /dev/a is there twice" },
	{ "\"io\": [{\"device\": \"/dev/a\", \"read_bsp\": 0}]",
	  "io[0].read_bsp: there is no 'read_bsp'; did you mean 'read_bps'?" },
	{ "\"io\": [{\"device\": \"/dev/a\", \"read_bps\": 0}]", "io[0].read_bps: 0 is not" },
	{ "\"hugetlb\": {\"2MiB\": 0}", "hugetlb.2MiB: the size of a huge page" },
	{ "\"devices\": [{\"path\": \"/dev/../etc\"}]",
	  "devices[0].path: must be written without" },
	{ "\"devices\": [{\"path\": \"/dev/a\", \"access\": \"rr\"}]", "devices[0].access: must" },
	{ "\"capabilities\": {\"add\": [\"NET_ADMI\"]}",
	  "capabilities.add[0]: there is no 'NET_ADMI'; did you mean 'NET_ADMIN'?" },
	{ "\"capabilities\": {\"add\": [\"KILL\"], \"drop\": [\"CAP_KILL\"]}",
	  "capabilities: what is added cannot be dropped" },
	{ "\"seccomp\": \"none\"", "seccomp: there is no 'none'" },
	{ "\"no_new_privs\": 1", "no_new_privs: must be true or false, but is a number" },
	{ "\"rlimits\": {\"nofiles\": [1, 2]}",
	  "rlimits.nofiles: there is no 'nofiles'; did you mean 'nofile'?" },
	{ "\"rlimits\": {\"nofile\": [2, 1]}", "rlimits.nofile: the first value (soft)" },
	{ "\"rlimits\": {\"nofile\": [1]}", "rlimits.nofile: must be two values" },
	{ "\"rlimits\": {\"nofile\": [1, \"no\"]}", "rlimits.nofile[1]: must be a whole" },
	{ "\"volumes\": [{\"source\": \"/a\"}]", "volumes[0]: lacks the key 'target'" },
	{ "\"volumes\": [{\"source\": \"/a/..\", \"target\": \"/b\"}]",
	  "volumes[0].source: must be written" },
	{ "\"volumes\": [{\"source\": \"/a\", \"target\": \"/\"}]", "volumes[0].target: '/' is" },
	{ "\"volumes\": [{\"source\": \"/a\", \"target\": \"/proc/x\"}]",
	  "volumes[0].target: /proc belongs to the container" },
	{ "\"volumes\": [{\"source\": \"/a\", \"target\": \"/b\"}, {\"source\": \"/c\", "
	  "\"target\": \"/b\"}]",
	  "volumes[1]: the target /b is there twice" },
	{ "\"volumes\": [{\"source\": \"-a\", \"target\": \"/b\"}]",
	  "volumes[0].source: say an absolute path" },
	{ "\"volumes\": [{\"source\": \"a/b\", \"target\": \"/b\"}]",
	  "volumes[0].source: say an absolute path" },
	{ "\"volumes\": [{\"source\": \"\", \"target\": \"/b\"}]",
	  "volumes[0].source: say an absolute path" },
	{ "\"volumes\": [{\"source\": \"a\", \"target\": \"/b\"}, {\"source\": \"/c\", "
	  "\"target\": \"/b/c\"}]",
	  "volumes[1]: of /b/c and /b one is in the other" },
	{ "\"volumes\": [{\"source\": \"/c\", \"target\": \"/b/c\"}, {\"source\": \"a\", "
	  "\"target\": \"/b\"}]",
	  "volumes[1]: of /b and /b/c one is in the other" },
	{ "\"env\": {\"A=\": \"b\"}", "env.A=: the name of a variable" },
	{ "\"env\": {\"A\": 1}", "env.A: must be a text, but is a number" },
	{ "\"env\": {\"A\": \"\\u0000\"}", "the description: this is not JSON: line 1" },
	{ "\"labels\": {\"\": \"b\"}", "labels.: the name of a label" },
	{ "\"env\": {}, \"env\": {}", "the description: this is not JSON: line 1" },
};

TEST(a_mistake_is_named_with_its_place)
{
	char json[512];

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		snprintf(json, sizeof(json), "{\"root\": {\"kind\": \"host\"}, %s}",
			 mistakes[i].json);
		ck_assert_msg(parse(json) == DVS_BADARG, "taken: %s", json);
		ck_assert_msg(strncmp(why, mistakes[i].text, strlen(mistakes[i].text)) == 0,
			      "%s\nsays: %s\nnot:  %s", json, why, mistakes[i].text);
	}
}

TEST(a_mistake_in_the_root_is_named)
{
	static const struct mistake wrong[] = {
		{ "", "the description: this is not JSON" },
		{ "[]", "the description: must be an object {...}, but is a list" },
		{ "{}", "the description: lacks the key 'root'" },
		{ "{\"root\": \"host\"}", "root: must be an object {...}, but is a text" },
		{ "{\"root\": {}}", "root: lacks the key 'kind'" },
		{ "{\"root\": {\"kind\": \"hots\"}}",
		  "root.kind: there is no 'hots'; did you mean 'host'?" },
		{ "{\"root\": {\"kind\": \"host\", \"path\": \"/\"}}",
		  "root.path: there is no 'path'" },
		{ "{\"root\": {\"kind\": \"image\"}}", "root: lacks the key 'name'" },
		{ "{\"root\": {\"kind\": \"image\", \"name\": \"../a\"}}",
		  "root.name: the name of an image" },
		{ "{\"root\": {\"kind\": \"image\", \"name\": \"a\", \"digest\": \"sha256:12\"}}",
		  "root.digest: a digest is" },
		{ "{\"root\": {\"kind\": \"directory\"}}", "root: lacks the key 'path'" },
		{ "{\"root\": {\"kind\": \"directory\", \"path\": \"a\"}}",
		  "root.path: must be an absolute" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_msg(parse(wrong[i].json) == DVS_BADARG, "taken: %s", wrong[i].json);
		ck_assert_msg(strncmp(why, wrong[i].text, strlen(wrong[i].text)) == 0,
			      "%s\nsays: %s\nnot:  %s", wrong[i].json, why, wrong[i].text);
	}
}

TEST(names_add_to_and_take_from_all_or_the_usual_capabilities)
{
	const uint64_t kill = UINT64_C(1) << 5;
	uint64_t usual;

	ck_assert(parse("{\"root\": {\"kind\": \"host\"}}") == DVS_OK);
	usual = description.capabilities;
	ck_assert(usual & kill);
	description_free(&description);
	ck_assert(
		parse("{\"root\": {\"kind\": \"host\"}, \"capabilities\": {\"drop\": [\"KILL\"]}}") ==
		DVS_OK);
	ck_assert_uint_eq(description.capabilities, usual & ~kill);
	description_free(&description);
	ck_assert(parse("{\"root\": {\"kind\": \"host\"}, \"capabilities\": {\"add\": [\"ALL\"], "
			"\"drop\": [\"KILL\"]}}") == DVS_OK);
	ck_assert_uint_eq(description.capabilities, ((UINT64_C(1) << 41) - 1) & ~kill);
	description_free(&description);
}

TEST(equal_descriptions_are_equal_bytes)
{
	char *text;
	size_t len;

	ck_assert(parse("{ \"pids\": 5,\n\"root\": { \"kind\": \"host\" }, \"env\": {\"b\": \"\", "
			"\"a\": \"\"} }") == DVS_OK);
	text = description_text(description.document, &len);
	ck_assert_str_eq(
		text, "{\"env\":{\"a\":\"\",\"b\":\"\"},\"pids\":5,\"root\":{\"kind\":\"host\"}}");
	ck_assert_uint_eq(len, strlen(text));
	free(text);
	description_free(&description);
}

UNIT_MAIN("container-description", only_a_root_is_a_description_without_limits,
	  everything_can_be_said, a_mistake_is_named_with_its_place, a_mistake_in_the_root_is_named,
	  names_add_to_and_take_from_all_or_the_usual_capabilities,
	  equal_descriptions_are_equal_bytes)
