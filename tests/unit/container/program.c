/* SPDX-License-Identifier: Apache-2.0 */
#include "container/program.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "unit.h"

static struct program program;
static char why[DESCRIPTION_TEXT_MAX];

static dvs_err parse(const char *json)
{
	why[0] = '\0';
	return program_parse(json, strlen(json), &program, why);
}

TEST(a_command_alone_is_one_replica_that_is_always_restarted)
{
	ck_assert_msg(parse("{\"command\": [\"true\"]}") == DVS_OK, "%s", why);
	ck_assert_uint_eq(program.n_command, 1);
	ck_assert_str_eq(program.command[0], "true");
	ck_assert_uint_eq(program.replicas, 1);
	ck_assert_uint_eq(program.restart, PROGRAM_ALWAYS);
	ck_assert_str_eq(program.cwd, ""); /* as the image says */
	ck_assert_str_eq(program.user, "");
	ck_assert(!program.tty);
	ck_assert_uint_eq(program.n_nodes + program.n_env + program.n_rlimits, 0);
	ck_assert_uint_eq(program.backoff_ms, 100);
	ck_assert_uint_eq(program.stop_signal, SIGTERM);
	ck_assert_uint_eq(program.stop_grace_ms, 10000);
	ck_assert_uint_eq(program.health.n_command, 0);
	ck_assert_uint_eq(program.endpoint, UINT32_MAX);
	program_free(&program);
}

TEST(everything_can_be_said)
{
	static const char *const all =
		"{\"command\": [\"nginx\", \"-g\", \"\"], \"env\": {\"A\": \"b\"}, \"cwd\": \"/srv\","
		"\"user\": \"www-data\", \"tty\": true, \"replicas\": 2, \"nodes\": [\"n0\", \"1\"],"
		"\"restart\": \"on-failure\", \"retries\": 5, \"backoff_ms\": 200,"
		"\"stop_signal\": \"SIGQUIT\", \"stop_grace_ms\": 0,"
		"\"health\": {\"command\": [\"check\", \"it\"], \"interval_ms\": 1000, \"retries\": 7},"
		"\"rlimits\": {\"core\": [0, 0]}, \"server\": {\"endpoint\": 20}}";

	ck_assert_msg(parse(all) == DVS_OK, "%s", why);
	ck_assert_uint_eq(program.n_command, 3);
	ck_assert_str_eq(program.command[2], "");
	ck_assert_str_eq(program.env[0].name, "A");
	ck_assert_str_eq(program.env[0].value, "b");
	ck_assert_str_eq(program.cwd, "/srv");
	ck_assert_str_eq(program.user, "www-data");
	ck_assert(program.tty);
	ck_assert_uint_eq(program.replicas, 2);
	ck_assert_uint_eq(program.n_nodes, 2);
	ck_assert_str_eq(program.nodes[1], "1");
	ck_assert_uint_eq(program.restart, PROGRAM_ON_FAILURE);
	ck_assert_uint_eq(program.retries, 5);
	ck_assert_uint_eq(program.backoff_ms, 200);
	ck_assert_uint_eq(program.stop_signal, SIGQUIT);
	ck_assert_uint_eq(program.stop_grace_ms, 0);
	ck_assert_uint_eq(program.health.n_command, 2);
	ck_assert_uint_eq(program.health.interval_ms, 1000);
	ck_assert_uint_eq(program.health.timeout_ms, 5000);
	ck_assert_uint_eq(program.health.retries, 7);
	ck_assert_uint_eq(program.rlimits[0].which, RLIMIT_CORE);
	ck_assert_uint_eq(program.endpoint, 20);
	program_free(&program);
	ck_assert(parse("{\"command\": [\"a\"], \"replicas\": \"each\"}") == DVS_OK);
	ck_assert_uint_eq(program.replicas, PROGRAM_EACH);
	program_free(&program);
	ck_assert(parse("{\"command\": [\"a\"], \"stop_signal\": \"RTMIN+3\"}") == DVS_OK);
	ck_assert_uint_eq(program.stop_signal, (unsigned int)SIGRTMIN + 3);
	program_free(&program);
}

struct mistake {
	const char *json; /* beside the command */
	const char *text; /* how the complaint begins */
};

static const struct mistake mistakes[] = {
	{ "\"replica\": 1", "replica: there is no 'replica'; did you mean 'replicas'?" },
	{ "\"replicas\": 1025", "replicas: 1025 is not a whole number from 0 to 1024" },
	{ "\"replicas\": \"all\"", "replicas: must be a number, or \"each\"" },
	{ "\"replicas\": true", "replicas: must be a whole number, but is true" },
	{ "\"restart\": \"alwayz\"", "restart: there is no 'alwayz'; did you mean 'always'?" },
	{ "\"restart\": false", "restart: must be a text, but is false" },
	{ "\"nodes\": []", "nodes: is empty" },
	{ "\"nodes\": [1]", "nodes[0]: must be a text, but is a number" },
	{ "\"nodes\": [\"a\", \"a\"]", "nodes[1]: is there twice" },
	{ "\"cwd\": \"srv\"", "cwd: must be an absolute path" },
	{ "\"user\": \"a\\nb\"", "user: has a control character" },
	{ "\"backoff_ms\": 0", "backoff_ms: 0 is not" },
	{ "\"stop_signal\": \"HALT\"", "stop_signal: there is no signal of that name" },
	{ "\"stop_signal\": \"RTMIN+99\"", "stop_signal: there is no" },
	{ "\"health\": {}", "health: lacks the key 'command'" },
	{ "\"health\": {\"command\": [\"\"]}", "health.command[0]: is empty" },
	{ "\"health\": {\"kommand\": []}", "health.kommand: there is no 'kommand'; did you mean" },
	{ "\"health\": {\"command\": [\"a\"], \"retries\": 0}", "health.retries: 0 is not" },
	{ "\"rlimits\": {\"stack\": \"x\"}", "rlimits.stack: must be two values" },
	{ "\"server\": {}", "server: lacks the key 'endpoint'" },
	{ "\"server\": {\"endpoint\": 1048575}", "server.endpoint: 1048575 is not" },
	{ "\"server\": {\"endpoint\": 1}, \"replicas\": \"each\"", "replicas: a server has" },
};

TEST(a_mistake_is_named_with_its_place)
{
	char json[512];

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		snprintf(json, sizeof(json), "{\"command\": [\"a\"], %s}", mistakes[i].json);
		ck_assert_msg(parse(json) == DVS_BADARG, "taken: %s", json);
		ck_assert_msg(strncmp(why, mistakes[i].text, strlen(mistakes[i].text)) == 0,
			      "%s\nsays: %s\nnot:  %s", json, why, mistakes[i].text);
	}
	ck_assert(parse("{}") == DVS_OK); /* what the image says */
	program_free(&program);
	ck_assert(parse("{\"command\": \"true\"}") == DVS_BADARG);
	ck_assert_str_eq(why, "command: must be a list [...], but is a text");
	ck_assert(parse("{\"command\": [\"a\", 1]}") == DVS_BADARG);
	ck_assert_str_eq(why, "command[1]: must be a text, but is a number");
}

static uint64_t digest(const char *json)
{
	uint64_t number;

	ck_assert_msg(parse(json) == DVS_OK, "%s", why);
	number = program_digest(&program);
	program_free(&program);
	ck_assert(number > 0 && number <= INT64_MAX);
	return number;
}

TEST(the_digest_leaves_out_how_many_and_where)
{
	uint64_t one = digest("{\"command\": [\"a\"], \"tty\": true}");

	ck_assert_uint_eq(one, digest("{\"tty\": true, \"replicas\": 7, \"nodes\": [\"n1\"], "
				      "\"command\": [\"a\"]}"));
	ck_assert_uint_eq(one,
			  digest("{\"tty\": true, \"replicas\": \"each\", \"command\": [\"a\"]}"));
	ck_assert_uint_ne(one, digest("{\"command\": [\"b\"], \"tty\": true}"));
	ck_assert_uint_ne(one, digest("{\"command\": [\"a\"]}"));
}

UNIT_MAIN("container-program", a_command_alone_is_one_replica_that_is_always_restarted,
	  everything_can_be_said, a_mistake_is_named_with_its_place,
	  the_digest_leaves_out_how_many_and_where)
