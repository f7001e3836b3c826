/* SPDX-License-Identifier: Apache-2.0 */
/* Each command against a small dvsd: what it prints, how it fails, and that no link stays. */
#include <jansson.h>

#include "fake_dvk.h"
#include "manage/command.h"
#include "run.h"

static struct fake_dc *web(void)
{
	struct fake_dc *dc = fake_add_dc("web");
	struct dvk_endpoint_info *info = fake_add_endpoint(dc, 17, 3, "fs");

	info->n_backups = 1;
	info->messages_in = 5;
	info = fake_add_endpoint(dc, 17, 3, "fs2");
	info->kind = DVK_BACKUP;
	info->activity = DVK_PARKED;
	info = fake_add_endpoint(dc, 1025, 1, "sh");
	info->activity = DVK_CALLING;
	info->partner.n = 3u << DVS_EP_NUMBER_BITS | 17;
	return dc;
}

static void check_failed(const char *line, const char *message)
{
	RESULT result = run(line);

	ck_assert_int_eq(result.status, EXIT_FAILED);
	ck_assert_str_eq(result.out, "");
	ck_assert_str_eq(result.err, message);
	ck_assert_int_eq(fake()->n_open, 0);
}

static void check_prints(const char *line, const char *out)
{
	RESULT result = run(line);

	ck_assert_msg(result.status == EXIT_DONE, "'%s': %s", line, result.err);
	ck_assert_str_eq(result.out, out);
	ck_assert_str_eq(result.err, "");
	ck_assert_int_eq(fake()->n_open, 0);
}

/* The document that LINE prints; the caller frees it. */
static json_t *document_of(const char *line)
{
	RESULT result = run(line);
	json_t *document = json_loads(result.out, 0, NULL);

	ck_assert_msg(result.status == EXIT_DONE, "'%s': %s", line, result.err);
	ck_assert_msg(document != NULL, "no JSON: %s", result.out);
	ck_assert_int_eq(json_integer_value(json_object_get(document, "schema")), 1);
	return document;
}

TEST(dc_create_makes_a_dc_and_says_nothing)
{
	check_prints("dc create web --no-container --owner 12", "");
	ck_assert_str_eq(fake()->dcs[0].info.name, "web");
	ck_assert_uint_eq(fake()->dcs[0].info.owner_uid, 12);
	check_prints("dc create db --no-container -q --owner root", "db\n");
	ck_assert_uint_eq(fake()->dcs[1].info.owner_uid, 0);
	check_failed(
		"dc create web --no-container",
		"dvs: create dc web: that name or number exists already; choose another one\n");
}

TEST(dc_create_tells_the_id_in_json)
{
	json_t *document = document_of("dc create web --no-container --owner 12 -o json");

	ck_assert_str_eq(json_string_value(json_object_get(document, "name")), "web");
	ck_assert_int_eq(json_integer_value(json_object_get(document, "id")), 1);
	json_decref(document);
}

TEST(dc_ls_lists)
{
	fake_add_dc("web");
	fake_add_dc("db");
	check_prints("dc ls -q", "web\ndb\n");
	check_prints("dc ls --no-header", "web  plain  -  -  -  -  -  0\n"
					  "db   plain  -  -  -  -  -  0\n");
	check_prints("dc ls -o csv",
		     "name,id,phase,nodes_ready,root,cpus,memory_text,pids,owner,endpoints,"
		     "processes,channels,records\n"
		     "web,1,plain,,,,,,4242424,0,0,0,\n"
		     "db,2,plain,,,,,,4242424,0,0,0,\n");
}

TEST(dc_rm_removes_and_asks_for_force)
{
	web();
	check_failed("dc rm web",
		     "dvs: remove dc web: that is not possible in the present state; endpoints are "
		     "bound in it ('dvs ep ls' lists them): end their programs, or use --force\n");
	check_failed("dc rm wbe", "dvs: remove dc wbe: no such DC; did you mean 'web'?\n");
	check_failed("dc rm other",
		     "dvs: remove dc other: no such DC; list them with 'dvs dc ls'\n");
	check_prints("dc rm web --force", "");
	check_prints("dc ls -q", "");
}

TEST(proxy_ls_lists_the_links)
{
	struct dvk_link_info *links = fake()->links;

	check_prints("proxy ls --no-header", "");
	links[0] = (struct dvk_link_info){ .node = { 1 },
					   .proxy_pid = 812,
					   .up = 1,
					   .n_channels = 3,
					   .transport = "tcp",
					   .filters = "zstd,tls",
					   .rtt_ns = 61349,
					   .frames_in = 5,
					   .frames_out = 6,
					   .bytes_in = 700,
					   .bytes_out = 800,
					   .writes = 4,
					   .reconnects = 2 };
	links[1] = (struct dvk_link_info){ .node = { 4 }, .why = "no answer" };
	fake()->n_links = 2;
	check_prints("proxy ls --no-header",
		     "1  up    tcp  zstd,tls  812  3  62  5  6  2  -\n"
		     "4  down  -    -           -  0   -  0  0  0  no answer\n");
	check_prints("proxy ls -q", "1\n4\n");
	check_prints("proxy ls -o csv --no-header",
		     "1,up,tcp,\"zstd,tls\",812,3,62,5,6,700,800,4,2,0,\n"
		     "4,down,,,,0,,0,0,0,0,0,0,0,no answer\n");
}

TEST(ps_lists_all_dcs_sorted)
{
	fake_add_endpoint(fake_add_dc("zoo"), 1, 1, "z");
	web();
	check_prints("ep ls --no-header",
		     "web    17  3  local   1   117  fs   receiving  any   5  0\n"
		     "web    17  3  backup  1   117  fs2  parked     -     0  0\n"
		     "web  1025  1  local   1  1125  sh   calling    17.3  0  0\n"
		     "zoo     1  1  local   1   101  z    receiving  any   0  0\n");
	check_prints("ep ls -q", "web/17\nweb/1025\nzoo/1\n");
	check_prints("ep ls zoo -q", "zoo/1\n");
}

TEST(ps_of_no_dc_names_the_nearest)
{
	web();
	check_failed("ep ls wen", "dvs: find dc wen: no such DC; did you mean 'web'?\n");
}

TEST(ps_tells_json_readers_everything)
{
	json_t *document;
	const json_t *first;

	web();
	document = document_of("ep ls -o json");
	first = json_array_get(json_object_get(document, "endpoints"), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "endpoints")), 3);
	ck_assert_str_eq(json_string_value(json_object_get(first, "name")), "web/17");
	ck_assert_str_eq(json_string_value(json_object_get(first, "role")), "primary");
	ck_assert_int_eq(json_integer_value(json_object_get(first, "messages_in")), 5);
	ck_assert(json_is_false(json_object_get(first, "migrating")));
	json_decref(document);
}

TEST(a_migrating_endpoint_shows_it)
{
	struct fake_dc *dc = fake_add_dc("web");

	fake_add_endpoint(dc, 1, 1, "a")->migrating = 1;
	check_prints("ep ls --no-header", "web  1  1  local  1  101  a  migrating  any  0  0\n");
}

TEST(hostile_program_names_are_harmless_everywhere)
{
	struct fake_dc *dc = fake_add_dc("web");
	json_t *document;

	fake_add_endpoint(dc, 1, 1, "\xff\033[2J\",x");
	check_prints("ep ls --no-header",
		     "web  1  1  local  1  101  \xef\xbf\xbd\\x1b[2J\",x  receiving  any  0  0\n");
	document = document_of("ep ls -o json");
	json_decref(document);
}

TEST(huge_counters_fit_json)
{
	struct fake_dc *dc = fake_add_dc("web");

	fake_add_endpoint(dc, 1, 1, "a")->messages_in = UINT64_MAX;
	check_prints("ep ls --no-header",
		     "web  1  1  local  1  101  a  receiving  any  9223372036854775807  0\n");
}

TEST(a_failure_in_the_middle_of_the_list_is_told)
{
	web();
	fake()->next_err = DVS_NODVSD;
	check_failed("ep ls",
		     "dvs: list the endpoints of dc web: no dvsd answers on the control socket; "
		     "start dvsd, or set DVS_CONTROL to the control socket of your DC\n");
	check_failed("top -n 1",
		     "dvs: list the endpoints of dc web: no dvsd answers on the control "
		     "socket; start dvsd, or set DVS_CONTROL to the control socket of "
		     "your DC\n");
}

TEST(a_dc_removed_while_we_look_is_passed_over)
{
	web();
	fake()->next_err = DVS_NODC;
	check_prints("ep ls -q", "web/17\nweb/1025\n");
}

TEST(without_a_dvsd_every_command_says_what_to_try)
{
	static const char *const lines[] = { "dc ls",	    "dc create a", "dc rm a",  "ep ls",
					     "inspect a/1", "top -n 1",	   "trace a/1" };

	fake()->admin_err = DVS_NODVSD;
	fake()->control_err = DVS_NODVSD;
	unsetenv("DVS_CONTROL");
	setenv("DVS_RUN_DIR", "/tmp/none", 1);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		check_failed(lines[i],
			     "dvs: reach dvsd in /tmp/none: no dvsd answers on the control socket; "
			     "start dvsd, or name its run directory with --run-dir; for a node of "
			     "a lab say 'dvs lab exec n0 -- dvs ...'\n");
}

TEST(inside_a_dc_only_that_dc_is_seen)
{
	fake_add_endpoint(fake_add_dc("zoo"), 1, 1, "z");
	web();
	fake()->admin_err = DVS_DENIED;
	fake()->control_dc = 1;
	unsetenv("DVS_RUN_DIR");
	setenv("DVS_CONTROL", "/run/dvs/control", 1);
	check_prints("ep ls -q", "web/17\nweb/1025\n");
	check_prints("ep ls web -q", "web/17\nweb/1025\n");
	check_prints("dc ls -q", "web\n");
	check_failed("ep ls zoo", "dvs: find dc zoo: no such DC; list them with 'dvs dc ls'\n");
	check_failed(
		"dc create other --no-container",
		"dvs: reach dvsd in /run/dvs: not allowed; only root and the user who runs dvsd "
		"may manage it\n");
}

TEST(a_control_socket_that_does_not_answer_is_named)
{
	fake()->control_err = DVS_NODVSD;
	unsetenv("DVS_RUN_DIR");
	setenv("DVS_CONTROL", "/tmp/c", 1);
	check_failed("ep ls",
		     "dvs: reach dvsd at /tmp/c: no dvsd answers on the control socket; start "
		     "dvsd, or set DVS_CONTROL to the control socket of your DC\n");
}

TEST(inspect_tells_a_dc_and_its_endpoints)
{
	json_t *document;
	RESULT text = { 0 };

	web();
	document = document_of("inspect web -o json");
	ck_assert_str_eq(
		json_string_value(json_object_get(json_object_get(document, "dc"), "name")), "web");
	ck_assert_uint_eq(json_array_size(json_object_get(document, "endpoints")), 3);
	json_decref(document);
	text = run("inspect web");
	ck_assert_contains(text.out, "DC:             web\n");
	ck_assert_contains(text.out, "1025");
}

TEST(inspect_tells_an_endpoint_its_privileges_and_backups)
{
	RESULT text = { 0 };
	json_t *document;
	const json_t *endpoint;

	web();
	text = run("inspect web/17");
	ck_assert_contains(text.out, "Endpoint:         web/17\n");
	ck_assert_contains(text.out, "May manage:       bind grant\n");
	ck_assert_contains(text.out, "May call:         0-1048574\n");
	ck_assert_contains(text.out, "\nBackups:\n");
	ck_assert_contains(text.out, "fs2");
	document = document_of("inspect web/17.3 -o json");
	endpoint = json_object_get(document, "endpoint");
	ck_assert_int_eq(json_integer_value(json_object_get(endpoint, "generation")), 3);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "backups")), 1);
	json_decref(document);
}

TEST(inspect_refuses_what_is_not_there)
{
	web();
	check_failed("inspect web/18",
		     "dvs: inspect web/18: no process is bound to that endpoint; list "
		     "the bound endpoints with 'dvs ep ls'\n");
	check_failed("inspect web/17.4",
		     "dvs: inspect web/17.4: no process is bound to that endpoint; list the bound "
		     "endpoints with 'dvs ep ls'\n");
	check_failed("inspect wed", "dvs: find dc wed: no such DC; did you mean 'web'?\n");
}

TEST(trace_prints_records_and_counts_what_was_lost)
{
	RESULT result = { 0 };

	web();
	fake_add_record(DVS_OK, 0, "call", 1025, 7);
	fake_add_record(DVS_TIMEOUT, 0, "", 0, 0);
	fake_add_record(DVS_TIMEOUT, 2, "", 0, 0);
	fake_add_record(DVS_OK, 3, "notify", 1025, DVS_TYPE_NOTIFY);
	result = run("trace web/17");
	ck_assert_int_eq(result.status, EXIT_DONE);
	ck_assert_contains(result.out, "call");
	ck_assert_contains(result.out, "... 5 lost: they came faster than they could be read\n");
	ck_assert_str_eq(result.err, "dvs: trace: web/17 ended\ndvs: trace: 2 messages, 5 lost\n");
}

TEST(trace_gives_json_readers_one_document_per_line)
{
	RESULT result = { 0 };
	json_t *record;

	web();
	fake_add_record(DVS_OK, 0, "call", 1025, 7);
	fake_add_record(DVS_OK, 4, "return", 1025, 8);
	fake()->records[1].record.result = DVS_PEERDEAD;
	result = run("trace web/17 -n 2 -o json");
	ck_assert_int_eq(result.status, EXIT_DONE);
	record = json_loads(strchr(result.out, '\n') + 1, 0, NULL);
	ck_assert_ptr_nonnull(record);
	ck_assert_str_eq(json_string_value(json_object_get(record, "what")), "return");
	ck_assert_str_eq(json_string_value(json_object_get(record, "result")), "PEERDEAD");
	ck_assert_int_eq(json_integer_value(json_object_get(record, "lost")), 4);
	json_decref(record);
}

TEST(trace_of_an_endpoint_that_ends_too_early_fails)
{
	RESULT result = { 0 };

	web();
	fake_add_record(DVS_OK, 0, "call", 1025, 7);
	result = run("trace web/17 -n 5");
	ck_assert_int_eq(result.status, EXIT_FAILED);
	ck_assert_contains(result.err, "dvs: trace: web/17 ended\n");
	ck_assert_int_eq(fake()->n_open, 0);
}

TEST(trace_of_nobody_fails)
{
	web();
	check_failed("trace web/3",
		     "dvs: trace web/3: no process is bound to that endpoint; list the "
		     "bound endpoints with 'dvs ep ls'\n");
}

TEST(top_tells_rates_in_lines)
{
	RESULT result = { 0 };
	json_t *document;
	json_int_t rate;

	web();
	fake()->per_look = 100;
	result = run("top web -n 2 --interval 0.1 -o csv");
	ck_assert_int_eq(result.status, EXIT_DONE);
	ck_assert_contains(result.out, "time,dc,endpoint,pid");
	ck_assert_ptr_null(strstr(strchr(result.out, '\n'), "time,dc,endpoint,pid"));
	document = document_of("top -n 1 -i 0.1 -o json");
	rate = json_integer_value(json_object_get(document, "messages_in_per_s"));
	/* Three endpoints, each 100 in a tenth of a second or, on a busy machine, a bit more. */
	ck_assert_int_gt(rate, 300);
	ck_assert_int_le(rate, 3000);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "endpoints")), 3);
	json_decref(document);
}

TEST(version_tells_dvsd_if_one_answers)
{
	RESULT result = run("version");
	json_t *document;

	ck_assert_contains(result.out, "dvsd  9.9 (node 1, process 77)\n");
	fake()->admin_err = DVS_DENIED;
	fake()->control_err = DVS_NODVSD;
	document = document_of("version -o json");
	ck_assert(json_is_null(json_object_get(document, "dvsd")));
	json_decref(document);
}

TEST(every_command_of_the_table_has_help_and_examples)
{
	size_t n_commands;
	const struct command *commands = command_table(&n_commands);

	for (size_t i = 0; i < n_commands; i++) {
		char line[64];
		RESULT result = { 0 };

		snprintf(line, sizeof(line), "help %s", commands[i].name);
		result = run(line);
		ck_assert_int_eq(result.status, EXIT_DONE);
		ck_assert_contains(result.out, commands[i].help);
		ck_assert_contains(result.out, "\nExamples:\n  ");
	}
}

TEST(the_table_reads_back_from_json)
{
	json_t *document = document_of("help -o json");
	size_t n_commands;

	command_table(&n_commands);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "commands")), n_commands);
	json_decref(document);
}

TEST(output_that_cannot_be_written_is_a_failure)
{
	char name[] = "dvs";
	char word[] = "help";
	char *words[] = { name, word, NULL };
	FILE *full = fopen("/dev/full", "w");
	FILE *err = tmpfile();

	ck_assert_ptr_nonnull(full);
	ck_assert_ptr_nonnull(err);
	ck_assert_int_eq(cli_run(2, words, full, err), EXIT_FAILED);
	fclose(full);
	fclose(err);
}

TEST(nodes_are_listed)
{
	check_prints("node ls", "NODE  NAME  ADDRESS   STATE  DRAINING  ENDPOINTS  SELF\n"
				"   0  farm  10.0.0.1  up     no                2  yes\n"
				"   1  barn  10.0.0.2  down   no                0  no\n");
	check_prints("node ls -q", "farm\nbarn\n");
}

static void check_fails(const char *line, int status)
{
	RESULT result = run(line);

	ck_assert_int_eq(result.status, status);
}

TEST(nodes_are_named_by_name_or_number)
{
	check_prints("node drain farm", "");
	check_prints("node drain 1 --off", "");
	check_prints("node rm barn -q", "barn\n");
	check_failed("node rm 0",
		     "dvs: remove node farm: that is not possible in the present state; "
		     "only a node that is down can be forgotten\n");
	check_fails("node drain stable", EXIT_USAGE);
}

TEST(verify_fails_when_nodes_differ)
{
	check_prints("verify", "NODE  EPOCH  APPLIED  DIGEST            SAME\n"
			       "   0      3       40  0000000000000abc  yes\n"
			       "   1      3       40  0000000000000abc  yes\n");
	fake()->nodes_differ = 1;
	check_fails("verify", EXIT_FAILED);
}

TEST(events_are_told_line_by_line)
{
	check_prints("events -n 1 --no-header",
		     "00:00:01.000000  bound              1  web/17.1\n");
}

UNIT_MAIN("manage-commands", nodes_are_listed, nodes_are_named_by_name_or_number,
	  verify_fails_when_nodes_differ, events_are_told_line_by_line,
	  dc_create_makes_a_dc_and_says_nothing, dc_create_tells_the_id_in_json, dc_ls_lists,
	  dc_rm_removes_and_asks_for_force, proxy_ls_lists_the_links, ps_lists_all_dcs_sorted,
	  ps_of_no_dc_names_the_nearest, ps_tells_json_readers_everything,
	  a_migrating_endpoint_shows_it, hostile_program_names_are_harmless_everywhere,
	  huge_counters_fit_json, a_failure_in_the_middle_of_the_list_is_told,
	  a_dc_removed_while_we_look_is_passed_over, without_a_dvsd_every_command_says_what_to_try,
	  inside_a_dc_only_that_dc_is_seen, a_control_socket_that_does_not_answer_is_named,
	  inspect_tells_a_dc_and_its_endpoints,
	  inspect_tells_an_endpoint_its_privileges_and_backups, inspect_refuses_what_is_not_there,
	  trace_prints_records_and_counts_what_was_lost,
	  trace_gives_json_readers_one_document_per_line,
	  trace_of_an_endpoint_that_ends_too_early_fails, trace_of_nobody_fails,
	  top_tells_rates_in_lines, version_tells_dvsd_if_one_answers,
	  every_command_of_the_table_has_help_and_examples, the_table_reads_back_from_json,
	  output_that_cannot_be_written_is_a_failure)
