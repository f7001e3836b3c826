/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/internal.h"

#include <string.h>

#include "base/compiler.h"
#include "unit.h"

enum { WORDS_MAX = 8 };

/* Parse the words of LINE, which are separated by single blanks; they do not outlive the call. */
static dvs_err parse(const char *line, struct bench_options *options, struct bench_fault *fault)
{
	static const char name[] = "ipc";
	char text[200], command[sizeof(name)];
	char *words[WORDS_MAX + 1] = { command };
	int n = 1;

	memcpy(command, name, sizeof(name));
	ck_assert_uint_lt(strlen(line), sizeof(text));
	strcpy(text, line);
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
		ck_assert_int_lt(n, WORDS_MAX);
		words[n++] = word;
	}
	fault->text[0] = '\0';
	return bench_options_parse(&bench_suite_ipc, n, words, options, fault);
}

static size_t system_index(const char *name)
{
	size_t index = 0;

	ck_assert(bench_system_find(&bench_suite_ipc, name, strlen(name), &index));
	return index;
}

/* The cells that OPTIONS want of the system NAME. */
static unsigned cells_wanted(const struct bench_options *options, const char *name)
{
	unsigned wanted = 0;

	for (size_t i = 0; i < options->n_cells; i++)
		wanted += bench_options_want(options, &options->cells[i], system_index(name));
	return wanted;
}

TEST(without_options_everything_is_measured_seven_times)
{
	struct bench_options options;
	struct bench_fault fault;

	ck_assert_int_eq(parse("", &options, &fault), DVS_OK);
	ck_assert_uint_eq(options.repeats, 7);
	ck_assert(!options.json && !options.quick && !options.plot_path);
	ck_assert_uint_eq(cells_wanted(&options, "pipe"), 17);
	ck_assert_uint_eq(cells_wanted(&options, "memcpy"), 7);
}

TEST(quick_is_fewer_repeats_shorter_and_fewer_cells)
{
	struct bench_options full, quick;
	struct bench_fault fault;

	ck_assert_int_eq(parse("", &full, &fault), DVS_OK);
	ck_assert_int_eq(parse("--quick", &quick, &fault), DVS_OK);
	ck_assert_uint_lt(quick.repeats, full.repeats);
	ck_assert_uint_lt(quick.sample_ms, full.sample_ms);
	ck_assert_uint_lt(cells_wanted(&quick, "pipe"), cells_wanted(&full, "pipe"));
}

TEST(quick_keeps_the_cells_that_the_ratios_need)
{
	struct bench_options options;
	struct bench_fault fault;

	ck_assert_int_eq(parse("--quick --pattern pair,sleepy,one-cpu", &options, &fault), DVS_OK);
	ck_assert_uint_eq(cells_wanted(&options, "pipe"), 3);
	ck_assert_int_eq(parse("--quick --pattern data", &options, &fault), DVS_OK);
	ck_assert_uint_ge(cells_wanted(&options, "memcpy"), 1);
}

TEST(repeats_given_win_over_quick)
{
	struct bench_options options;
	struct bench_fault fault;

	ck_assert_int_eq(parse("--repeats 11 --quick", &options, &fault), DVS_OK);
	ck_assert_uint_eq(options.repeats, 11);
}

TEST(lists_of_names_are_sets)
{
	struct bench_options options;
	struct bench_fault fault;

	ck_assert_int_eq(parse("--system pipe,raw --pattern=pair,pairs", &options, &fault), DVS_OK);
	ck_assert_uint_eq(options.systems,
			  UINT64_C(1) << system_index("pipe") | UINT64_C(1) << system_index("raw"));
	ck_assert_uint_eq(options.patterns, 1u << BENCH_PAIR | 1u << BENCH_PAIRS);
	ck_assert_uint_eq(cells_wanted(&options, "tcp"), 0);
	ck_assert_uint_eq(cells_wanted(&options, "pipe"), 5);
}

TEST(both_ways_to_ask_for_json_are_the_same)
{
	struct bench_options options;
	struct bench_fault fault;

	ck_assert_int_eq(parse("--json", &options, &fault), DVS_OK);
	ck_assert(options.json);
	ck_assert_int_eq(parse("-o json", &options, &fault), DVS_OK);
	ck_assert(options.json);
	ck_assert_int_eq(parse("-ojson", &options, &fault), DVS_OK);
	ck_assert(options.json);
	ck_assert_int_eq(parse("--json -o table", &options, &fault), DVS_OK);
	ck_assert(!options.json);
}

TEST(seed_and_plot_are_taken)
{
	char command[] = "ipc", seed[] = "--seed=0x10", plot[] = "--plot", path[] = "a.svg";
	char *words[] = { command, seed, plot, path, NULL };
	struct bench_options options;
	struct bench_fault fault;

	ck_assert_int_eq(bench_options_parse(&bench_suite_ipc, 4, words, &options, &fault), DVS_OK);
	ck_assert_uint_eq(options.seed, 16);
	ck_assert_str_eq(options.plot_path, "a.svg");
}

TEST(a_mistake_is_named_with_what_to_write_instead)
{
	static const struct {
		const char *line;
		const char *says;
	} mistakes[] = {
		{ "--pattern par", "unknown pattern 'par'; choose from pair, sleepy" },
		{ "--pattern pair,", "unknown pattern ''" },
		{ "--system pipes", "unknown system 'pipes'; choose from" },
		{ "--system", "option '--system' needs a value" },
		{ "--repeats 0", "--repeats '0' is not a number from 1 to 99" },
		{ "--repeats 100", "is not a number from 1 to 99" },
		{ "--repeats -1", "is not a number" },
		{ "--repeats 7x", "is not a number" },
		{ "--seed 99999999999999999999", "is not a number" },
		{ "-o yaml", "unknown output 'yaml'; choose from table, json" },
		{ "--fast", "unknown option '--fast'" },
		{ "--quick=3", "unknown option '--quick=3'" },
		{ "-x", "unknown option '-x'" },
		{ "pair", "unexpected argument 'pair'" },
		{ "--pattern one-cpu --system raw", "none of these systems" },
	};

	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		struct bench_options options;
		struct bench_fault fault;

		ck_assert_int_eq(parse(mistakes[i].line, &options, &fault), DVS_BADARG);
		ck_assert_msg(strstr(fault.text, mistakes[i].says), "'%s' says: %s",
			      mistakes[i].line, fault.text);
	}
}

TEST(help_needs_nothing_else)
{
	struct bench_options options;
	struct bench_fault fault;

	ck_assert_int_eq(parse("--help", &options, &fault), DVS_OK);
	ck_assert(options.help);
}

/* The same for `dvs bench remote`. */
static dvs_err parse_remote(const char *option, const char *value, struct bench_options *options,
			    struct bench_fault *fault)
{
	char name[] = "remote", first[32], second[64];
	char *words[] = { name, first, second, NULL };

	snprintf(first, sizeof(first), "%s", option);
	snprintf(second, sizeof(second), "%s", value ? value : "");
	return bench_options_parse(&bench_suite_remote, value ? 3 : 2, words, options, fault);
}

static unsigned remote_cells_wanted(const struct bench_options *options, const char *name)
{
	unsigned wanted = 0;
	size_t index = 0;

	ck_assert(bench_system_find(&bench_suite_remote, name, strlen(name), &index));
	for (size_t i = 0; i < options->n_cells; i++)
		wanted += bench_options_want(options, &options->cells[i], index);
	return wanted;
}

TEST(between_nodes_rare_ways_are_measured_only_when_they_are_named)
{
	struct bench_options options;
	struct bench_fault fault;

	ck_assert_int_eq(parse_remote("--repeats", "2", &options, &fault), DVS_OK);
	ck_assert_uint_eq(remote_cells_wanted(&options, "dvs-tcp"), 9);
	ck_assert_uint_eq(remote_cells_wanted(&options, "dvs-tcp+zstd"), 7);
	ck_assert_uint_eq(remote_cells_wanted(&options, "dvs-raw+tls"), 0);
	ck_assert_int_eq(parse_remote("--quick", NULL, &options, &fault), DVS_OK);
	ck_assert_uint_eq(remote_cells_wanted(&options, "dvs-tcp+tls"), 5);
	ck_assert_uint_eq(remote_cells_wanted(&options, "dvs-tcp+zstd"), 0);
	ck_assert_int_eq(parse_remote("--system", "dvs-raw+tls,tcp", &options, &fault), DVS_OK);
	ck_assert_uint_eq(remote_cells_wanted(&options, "dvs-raw+tls"), 7);
	ck_assert_uint_eq(remote_cells_wanted(&options, "zmq"), 0);
}

TEST(a_number_of_clients_takes_the_place_of_all)
{
	struct bench_options options;
	struct bench_fault fault;

	ck_assert_int_eq(parse_remote("--clients", "5", &options, &fault), DVS_OK);
	ck_assert_uint_eq(remote_cells_wanted(&options, "tcp"), 4);
	ck_assert_int_eq(options.cells[0].pattern, BENCH_REMOTE_RT);
	ck_assert_uint_eq(options.cells[0].clients, 5);
	ck_assert_uint_eq(options.cells[0].servers, 5);
	ck_assert_int_eq(options.cells[1].pattern, BENCH_REMOTE_FAN_IN);
	ck_assert_uint_eq(options.cells[1].clients, 5);
	ck_assert_uint_eq(options.cells[1].servers, 1);
	ck_assert_int_eq(parse_remote("--clients", "65", &options, &fault), DVS_BADARG);
}

TEST(a_transport_is_of_the_dvs_only)
{
	struct bench_options options;
	struct bench_fault fault;

	ck_assert_int_eq(parse_remote("--transport", "raw,udp", &options, &fault), DVS_OK);
	ck_assert_uint_eq(remote_cells_wanted(&options, "dvs-tcp+tls"), 0);
	ck_assert_uint_eq(remote_cells_wanted(&options, "dvs-raw"), 7);
	ck_assert_uint_eq(remote_cells_wanted(&options, "dvs-udp"), 7);
	ck_assert_uint_eq(remote_cells_wanted(&options, "tcp"), 7);
}

TEST(each_suite_has_patterns_and_options_of_its_own)
{
	struct bench_options options;
	struct bench_fault fault;

	ck_assert_int_eq(parse_remote("--pattern", "pair", &options, &fault), DVS_BADARG);
	ck_assert_msg(strstr(fault.text, "choose from rt, fan-in, data, mcast, detect"), "says: %s",
		      fault.text);
	ck_assert_int_eq(parse("--pattern mcast", &options, &fault), DVS_BADARG);
	ck_assert_int_eq(parse("--lab here", &options, &fault), DVS_BADARG);
	ck_assert_int_eq(parse_remote("--pattern", "data", &options, &fault), DVS_OK);
	ck_assert_uint_eq(options.patterns, 1u << BENCH_REMOTE_DATA);
	ck_assert_int_eq(parse_remote("--lab", "here", &options, &fault), DVS_OK);
	ck_assert_ptr_nonnull(options.lab);
}

UNIT_MAIN("bench-options", without_options_everything_is_measured_seven_times,
	  quick_is_fewer_repeats_shorter_and_fewer_cells,
	  quick_keeps_the_cells_that_the_ratios_need, repeats_given_win_over_quick,
	  lists_of_names_are_sets, both_ways_to_ask_for_json_are_the_same, seed_and_plot_are_taken,
	  a_mistake_is_named_with_what_to_write_instead, help_needs_nothing_else,
	  between_nodes_rare_ways_are_measured_only_when_they_are_named,
	  a_number_of_clients_takes_the_place_of_all, a_transport_is_of_the_dvs_only,
	  each_suite_has_patterns_and_options_of_its_own)
