/* SPDX-License-Identifier: Apache-2.0 */
/* Right and wrong use: what is understood, and what is said when it is not. */
#include "fake_dvk.h"
#include "run.h"

static void check_usage(const char *line, const char *message)
{
	RESULT result = run(line);

	ck_assert_msg(result.status == EXIT_USAGE, "'%s' ended with %d", line, result.status);
	ck_assert_str_eq(result.out, "");
	ck_assert_contains(result.err, message);
	ck_assert_int_eq(fake()->n_open, 0);
}

static void check_done(const char *line)
{
	RESULT result = run(line);

	ck_assert_msg(result.status == EXIT_DONE, "'%s': %s", line, result.err);
	ck_assert_str_eq(result.err, "");
}

TEST(an_unknown_command_names_the_nearest)
{
	check_usage("sp", "dvs: unknown command 'sp'; did you mean 'ps'?");
	check_usage("inspct", "did you mean 'inspect'?");
	check_usage("dc creat web", "dvs: dc: unknown command 'creat'; did you mean 'create'?");
	check_usage("benhc", "did you mean 'bench'?");
	check_usage("frobnicate", "'dvs help' lists them");
	check_usage("dc frobnicate", "'dvs help dc' lists them");
}

TEST(an_unknown_option_names_the_nearest)
{
	check_usage("dc rm web --froce",
		    "dvs: dc rm: unknown option '--froce'; did you mean '--force'?");
	check_usage("--verison", "did you mean '--version'?");
	check_usage("ps --zzzzzz", "'dvs help ps' lists them");
	check_usage("ps -z", "unknown option '-z'");
	check_usage("-z", "unknown option '-z'; 'dvs help' lists them");
	check_usage("ps --force", "unknown option '--force'");
}

TEST(what_is_missing_or_too_much_is_said)
{
	check_usage("", "say what to do");
	check_usage(
		"dc",
		"dvs: dc: say what to do: create, ls, inspect, set, add-node, rm-node, freeze, thaw or rm");
	check_usage("dc create", "NAME is missing; usage: dvs dc create NAME");
	check_usage("dc ls web", "'web' is one word too many");
	check_usage("ps a b", "'b' is one word too many; usage: dvs ps [DC]");
	check_usage("ps --output", "--output needs a value: --output FORMAT");
	check_usage("ps -o", "--output needs a value");
	check_usage("dc rm web --force=yes", "--force takes no value");
}

TEST(values_are_checked)
{
	check_usage("ps -o xml",
		    "--output does not take 'xml'; it takes one of: table wide json csv name");
	check_usage("ps -o jso", "does not take 'jso'");
	check_usage("ps --output=", "does not take ''");
	check_usage("top --sort speed", "--sort does not take 'speed'");
	check_usage("top -n 0", "'0' is no whole number from 1");
	check_usage("top -n -5", "'-5' is no whole number");
	check_usage("top -n 5x", "'5x' is no whole number");
	check_usage("top -n 99999999999999999999", "is no whole number");
	check_usage("top --interval 0", "'0' is no number of seconds from 0.1 to 3600");
	check_usage("top --interval 1e3", "'1e3' is no number of seconds");
	check_usage("top --interval nan", "'nan' is no number of seconds");
	check_usage("dc create web --owner nobody-has-this-name", "there is no user");
	check_usage("dc create web --owner 4294967295", "is no whole number from 0 to 4294967294");
}

TEST(names_of_dcs_and_endpoints_are_checked)
{
	check_usage("dc create .web", "'.web' is no name of a DC");
	check_usage("dc create a/b", "'a/b' is no name of a DC");
	check_usage("dc create a234567890123456789012345678901234567890123456789012345678901234",
		    "is no name of a DC");
	check_usage("ps we:b", "'we:b' is no name of a DC");
	check_usage("inspect /17", "'' is no name of a DC");
	check_usage("inspect a2345678901234567890123456789012345678901234567890123456789012345/1",
		    "longer than a name of a DC can be");
	check_usage("inspect web/", "'web/' names no endpoint");
	check_usage("inspect web/x", "names no endpoint");
	check_usage("inspect web/-1", "names no endpoint");
	check_usage("inspect web/1048575", "names no endpoint");
	check_usage("inspect web/17.", "names no endpoint");
	check_usage("inspect web/17.4096", "names no endpoint");
	check_usage("inspect web/17.3.1", "names no endpoint");
	check_usage("trace web", "'web' names a DC; name one of its endpoints, as web/17");
}

TEST(forms_that_a_command_does_not_have_are_refused)
{
	check_usage("inspect web -o csv", "it has no output of the form 'csv'");
	check_usage("top -q", "it has no output of the form 'name'");
	check_usage("completion bash -o json", "it has no output of the form 'json'");
	check_usage("ps -q -o json", "exclude each other");
	check_usage("ps -w -q", "exclude each other");
}

TEST(options_stand_anywhere_and_in_every_spelling)
{
	fake_add_dc("web");
	check_done("ps web -o json");
	check_done("-o json ps web");
	check_done("ps -ojson web");
	check_done("ps --output json web");
	check_done("ps --output=json web");
	check_done("dc -o json ls");
	check_done("ps -- web");
	check_done("dc rm -fq web");
}

TEST(a_word_after_two_dashes_is_no_option)
{
	RESULT result = run("ps -- -w");

	ck_assert_int_eq(result.status, EXIT_FAILED);
	ck_assert_contains(result.err, "dvs: find dc -w: no such DC");
}

TEST(help_is_on_stdout_and_needs_no_dvsd)
{
	static const char *const lines[] = {
		"help",	      "--help",	      "-h",	 "help ps",   "ps --help", "ps web -h",
		"help dc rm", "dc rm --help", "help dc", "dc --help", "dc -h",	   "help help",
	};

	fake()->admin_err = DVS_NODVSD;
	fake()->control_err = DVS_NODVSD;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		RESULT result = run(lines[i]);

		ck_assert_int_eq(result.status, EXIT_DONE);
		ck_assert_str_eq(result.err, "");
		ck_assert_contains(result.out, "Usage: dvs ");
	}
}

TEST(the_benchmarks_get_their_words_as_they_are)
{
	RESULT result = run("bench ipc --quick --plot x -- y --help");

	ck_assert_int_eq(result.status, EXIT_DONE);
	ck_assert_str_eq(result.out, "--quick\n--plot\nx\n--\ny\n--help\n");
}

TEST(help_about_nothing_known_is_an_error)
{
	check_usage("help nothing", "there is no command 'nothing'");
	check_usage("help dc nothing", "there is no command 'dc nothing'");
}

TEST(the_run_directory_comes_from_the_option_then_the_environment)
{
	fake_add_dc("web");
	unsetenv("DVS_RUN_DIR");
	check_done("dc ls");
	ck_assert_str_eq(fake()->run_dir, "/run/dvs");
	setenv("DVS_RUN_DIR", "/tmp/env", 1);
	check_done("dc ls");
	ck_assert_str_eq(fake()->run_dir, "/tmp/env");
	check_done("dc ls --run-dir /tmp/option");
	ck_assert_str_eq(fake()->run_dir, "/tmp/option");
}

UNIT_MAIN("manage-parse", an_unknown_command_names_the_nearest, an_unknown_option_names_the_nearest,
	  what_is_missing_or_too_much_is_said, values_are_checked,
	  names_of_dcs_and_endpoints_are_checked, forms_that_a_command_does_not_have_are_refused,
	  options_stand_anywhere_and_in_every_spelling, a_word_after_two_dashes_is_no_option,
	  the_benchmarks_get_their_words_as_they_are, help_is_on_stdout_and_needs_no_dvsd,
	  help_about_nothing_known_is_an_error,
	  the_run_directory_comes_from_the_option_then_the_environment)
