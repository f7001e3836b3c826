/* SPDX-License-Identifier: Apache-2.0 */
#include "container/bundle.h"

#include <stdlib.h>

#include "unit.h"

static struct description description;
static char why[DESCRIPTION_TEXT_MAX];
static struct container_plan plan = { .name = "web", .dc = 5, .description = &description };

static json_t *make(const char *text)
{
	const struct bundle_of of = {
		.plan = &plan,
		.cgroup = "/dvs-0/web",
		.dir = "/run/dvs/containers/web",
		.init = "/usr/libexec/dvs/dc-init",
		.has_cgroup = true,
		.filters_devices = true,
		.may_raise = true,
		.most_files = 150,
	};
	json_t *bundle;

	ck_assert_msg(description_parse(text, strlen(text), &description, why) == DVS_OK, "%s",
		      why);
	bundle = bundle_make(&of);
	ck_assert_ptr_nonnull(bundle);
	return bundle;
}

/* The value at a path of keys and numbers, as JSON. */
static char *at(json_t *bundle, const char *path)
{
	char copy[128];
	char *rest = copy;
	char *word;
	char *text;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	while (bundle && (word = strsep(&rest, ".")) != NULL)
		bundle = json_is_array(bundle) ? json_array_get(bundle, strtoul(word, NULL, 10)) :
						 json_object_get(bundle, word);
	text = bundle ? json_dumps(bundle, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("(none)");
	ck_assert_ptr_nonnull(text);
	return text;
}

static void is(json_t *bundle, const char *path, const char *wanted)
{
	char *text = at(bundle, path);

	ck_assert_msg(strcmp(text, wanted) == 0, "%s: %s", path, text);
	free(text);
}

static void has(json_t *bundle, const char *path, const char *wanted, bool whether)
{
	char *text = at(bundle, path);

	ck_assert_msg((strstr(text, wanted) != NULL) == whether, "%s: %s", path, text);
	free(text);
}

TEST(the_usual_container)
{
	json_t *bundle = make("{\"root\": {\"kind\": \"directory\", \"path\": \"/srv/x\"}}");

	is(bundle, "process.args", "[\"/run/dvs-init\"]");
	is(bundle, "process.terminal", "false");
	is(bundle, "process.noNewPrivileges", "true");
	is(bundle, "process.capabilities.inheritable", "[]");
	is(bundle, "process.capabilities.ambient", "[]");
	has(bundle, "process.capabilities.bounding", "CAP_CHOWN", true);
	has(bundle, "process.capabilities.bounding", "CAP_SYS_ADMIN", false);
	has(bundle, "process.capabilities.bounding", "CAP_NET_RAW", false);
	is(bundle, "root", "{\"path\":\"/run/dvs/containers/web/rootfs\",\"readonly\":false}");
	is(bundle, "hostname", "\"web\"");
	is(bundle, "linux.cgroupsPath", "\"/dvs-0/web\"");
	is(bundle, "linux.uidMappings",
	   "[{\"containerID\":0,\"hostID\":268763136,\"size\":65536}]");
	is(bundle, "linux.gidMappings",
	   "[{\"containerID\":0,\"hostID\":268763136,\"size\":65536}]");
	is(bundle, "linux.namespaces",
	   "[{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"ipc\"},{\"type\":\"pid\"},"
	   "{\"type\":\"user\"},{\"type\":\"cgroup\"}]");
	is(bundle, "linux.resources.devices.0", "{\"allow\":false,\"access\":\"rwm\"}");
	has(bundle, "linux.maskedPaths", "/proc/kcore", true);
	has(bundle, "linux.readonlyPaths", "/proc/sysrq-trigger", true);
	/* Of the node's network the agent has made /sys. */
	has(bundle, "mounts", "/run/dvs/containers/web/sys\"", true);
	has(bundle, "mounts", "\"/run/dvs\"", false);
	json_decref(bundle);
	description_free(&description);
}

TEST(what_a_description_changes)
{
	json_t *bundle;

	plan.control_socket = "/run/dvs/inside/web/control";
	bundle = make(
		"{\"root\": {\"kind\": \"host\"}, \"hostname\": \"h\", \"network\": \"none\","
		"\"memory\": 67108864, \"no_new_privs\": false, \"seccomp\": \"unconfined\","
		"\"capabilities\": {\"drop\": [\"ALL\"], \"add\": [\"NET_RAW\"]},"
		"\"rlimits\": {\"nofile\": [100, 200]},"
		"\"volumes\": [{\"source\": \"/srv/a\", \"target\": \"/a\", \"readonly\": true},"
		"{\"source\": \"site\", \"target\": \"/s\"}],"
		"\"devices\": [{\"path\": \"/dev/null\", \"access\": \"r\"}]}");
	is(bundle, "hostname", "\"h\"");
	is(bundle, "root.readonly", "true");
	is(bundle, "process.noNewPrivileges", "false");
	is(bundle, "process.capabilities.effective", "[\"CAP_NET_RAW\"]");
	is(bundle, "process.rlimits", "[{\"type\":\"RLIMIT_NOFILE\",\"soft\":100,\"hard\":150}]");
	is(bundle, "linux.seccomp", "(none)");
	is(bundle, "linux.namespaces.6", "{\"type\":\"network\"}");
	has(bundle, "linux.resources.devices",
	    "{\"allow\":true,\"type\":\"c\",\"major\":1,\"access\":\"r\",\"minor\":3}", true);
	has(bundle, "mounts", "size=33554432", true);
	has(bundle, "mounts",
	    "{\"destination\":\"/a\",\"type\":\"bind\",\"source\":\"/run/dvs/containers/web/"
	    "volumes/0\",\"options\":[\"bind\",\"rprivate\",\"nosuid\",\"nodev\",\"ro\"]}",
	    true);
	/* What is there before a file system is mounted takes no writes. */
	has(bundle, "mounts",
	    "{\"destination\":\"/s\",\"type\":\"bind\",\"source\":\"/run/dvs/containers/web/"
	    "volumes/1\",\"options\":[\"bind\",\"rprivate\",\"nosuid\",\"nodev\",\"ro\"]}",
	    true);
	has(bundle, "mounts",
	    "{\"destination\":\"/dev/null\",\"type\":\"bind\",\"source\":\"/run/dvs/containers/"
	    "web/nodes/0\"",
	    true);
	has(bundle, "mounts",
	    "{\"destination\":\"/run/dvs\",\"type\":\"bind\",\"source\":\"/run/dvs/inside/web\"",
	    true);
	has(bundle, "mounts", "{\"destination\":\"/sys\",\"type\":\"sysfs\"", true);
	json_decref(bundle);
	description_free(&description);
}

TEST(system_calls_that_are_let_through)
{
	json_t *bundle = make("{\"root\": {\"kind\": \"host\"}}");

	is(bundle, "linux.seccomp.defaultAction", "\"SCMP_ACT_ERRNO\"");
	is(bundle, "linux.seccomp.defaultErrnoRet", "38");
	has(bundle, "linux.seccomp.syscalls.0.names", "\"memfd_create\"", true);
	has(bundle, "linux.seccomp.syscalls.0.names", "\"membarrier\"", true);
	has(bundle, "linux.seccomp.syscalls.0.names", "\"rseq\"", true);
	has(bundle, "linux.seccomp.syscalls.0.names", "\"mount\"", false);
	has(bundle, "linux.seccomp.syscalls.0.names", "\"io_uring_setup\"", false);
	has(bundle, "linux.seccomp.syscalls.0.names", "\"clone\"", false);
	is(bundle, "linux.seccomp.syscalls.1.errnoRet", "1");
	has(bundle, "linux.seccomp.syscalls.1.names", "\"mount\"", true);
	has(bundle, "linux.seccomp.syscalls.1.names", "\"setns\"", true);
	is(bundle, "linux.seccomp.syscalls.2.names", "[\"clone\"]");
	is(bundle, "linux.seccomp.syscalls.2.args.0.op", "\"SCMP_CMP_MASKED_EQ\"");
	json_decref(bundle);
	description_free(&description);
	bundle = make(
		"{\"root\": {\"kind\": \"host\"}, \"capabilities\": {\"add\": [\"SYS_ADMIN\"]}}");
	has(bundle, "linux.seccomp.syscalls.1.names", "\"mount\"", false);
	has(bundle, "linux.seccomp.syscalls.1.names", "\"bpf\"", true);
	has(bundle, "linux.seccomp.syscalls.2.names", "\"mount\"", true);
	has(bundle, "linux.seccomp.syscalls.2.names", "\"clone3\"", true);
	json_decref(bundle);
	description_free(&description);
}

UNIT_MAIN("container-bundle", the_usual_container, what_a_description_changes,
	  system_calls_that_are_let_through)
