/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `dvs bench`. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "manage/bench/internal.h"

enum {
	NAMES_BYTES_MAX = 400,
};

enum option_key {
	KEY_PATTERN = 256,
	KEY_SYSTEM,
	KEY_REPEATS,
	KEY_QUICK,
	KEY_JSON,
	KEY_PLOT,
	KEY_SEED,
	KEY_LAB,
	KEY_CLIENTS,
	KEY_TRANSPORT,
	KEY_MANY,
};

#define REMOTE_OPTIONS 3
/* With more than so many in a directory a cell takes minutes to prepare. */
#define FEW_FILES 100000u

/* Those that only the suite remote has stand first. */
static const struct option long_options[] = {
	{ "lab", required_argument, NULL, KEY_LAB },
	{ "clients", required_argument, NULL, KEY_CLIENTS },
	{ "transport", required_argument, NULL, KEY_TRANSPORT },
	{ "pattern", required_argument, NULL, KEY_PATTERN },
	{ "system", required_argument, NULL, KEY_SYSTEM },
	{ "repeats", required_argument, NULL, KEY_REPEATS },
	{ "quick", no_argument, NULL, KEY_QUICK },
	{ "many", no_argument, NULL, KEY_MANY },
	{ "json", no_argument, NULL, KEY_JSON },
	{ "plot", required_argument, NULL, KEY_PLOT },
	{ "seed", required_argument, NULL, KEY_SEED },
	{ "output", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* A kind of names: how many there are, and what they are called. NULL: no such index. */
struct names {
	const char *what;
	const char *(*of)(const struct bench_suite *suite, size_t index);
};

static const char *pattern_name(const struct bench_suite *suite, size_t index)
{
	size_t nth = 0;

	for (int i = 0; i < BENCH_PATTERNS; i++)
		if ((suite->patterns >> i & 1) && nth++ == index)
			return bench_pattern_name((enum bench_pattern)i);
	return NULL;
}

static const char *system_name(const struct bench_suite *suite, size_t index)
{
	size_t count;
	const struct bench_system *const *systems = suite->systems(&count);

	return index < count ? systems[index]->name : NULL;
}

static const char *transport_name(const struct bench_suite *suite, size_t index)
{
	static const char *const names[] = { "tcp", "udp", "raw", "tipc" };

	(void)suite;
	return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
}

static const struct names pattern_names = { "pattern", pattern_name };
static const struct names system_names = { "system", system_name };
static const struct names transport_names = { "transport", transport_name };

/* All names with commas between, into TEXT. */
static const char *names_list(const struct bench_suite *suite, const struct names *names,
			      char *text)
{
	size_t used = 0;
	const char *name;

	text[0] = '\0';
	for (size_t i = 0; (name = names->of(suite, i)) && used < NAMES_BYTES_MAX; i++)
		used += (size_t)snprintf(text + used, NAMES_BYTES_MAX - used, "%s%s", i ? ", " : "",
					 name);
	return text;
}

static bool find_name(const struct bench_suite *suite, const struct names *names, const char *name,
		      size_t length, size_t *index)
{
	const char *other;

	for (*index = 0; (other = names->of(suite, *index)); ++*index)
		if (strlen(other) == length && memcmp(other, name, length) == 0)
			return true;
	return false;
}

/* Read "a,b,c" into a set of indices. */
static dvs_err parse_names(const struct bench_suite *suite, const struct names *names,
			   const char *list, uint64_t *set, struct bench_fault *fault)
{
	char known[NAMES_BYTES_MAX];

	*set = 0;
	for (const char *name = list;; name++) {
		size_t length = strcspn(name, ",");
		size_t index;

		if (!find_name(suite, names, name, length, &index))
			return bench_fail(fault, DVS_BADARG, "unknown %s '%.*s'; choose from %s",
					  names->what, (int)(length < 40 ? length : 40), name,
					  names_list(suite, names, known));
		*set |= UINT64_C(1) << index;
		name += length;
		if (*name == '\0')
			return DVS_OK;
	}
}

/* The patterns of a suite follow each other in their enum. */
static dvs_err parse_patterns(const char *list, struct bench_options *options,
			      struct bench_fault *fault)
{
	uint64_t set;
	dvs_err err = parse_names(options->suite, &pattern_names, list, &set, fault);

	options->patterns = set << __builtin_ctzll(options->suite->patterns);
	return err;
}

static dvs_err parse_systems(const char *list, struct bench_options *options,
			     struct bench_fault *fault)
{
	options->named = true;
	return parse_names(options->suite, &system_names, list, &options->systems, fault);
}

static dvs_err parse_transports(const char *list, struct bench_options *options,
				struct bench_fault *fault)
{
	uint64_t set;
	dvs_err err = parse_names(options->suite, &transport_names, list, &set, fault);

	options->transports = (uint32_t)set;
	return err;
}

static dvs_err parse_number(const char *text, const char *what, uint64_t min, uint64_t max,
			    uint64_t *value, struct bench_fault *fault)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno || *value < min || *value > max)
		return bench_fail(fault, DVS_BADARG, "%s '%.40s' is not a number from %llu to %llu",
				  what, text, (unsigned long long)min, (unsigned long long)max);
	return DVS_OK;
}

static dvs_err parse_output(const char *text, struct bench_options *options,
			    struct bench_fault *fault)
{
	if (strcmp(text, "json") != 0 && strcmp(text, "table") != 0)
		return bench_fail(fault, DVS_BADARG,
				  "unknown output '%.40s'; choose from table, json", text);
	options->json = text[0] == 'j';
	return DVS_OK;
}

static dvs_err parse_count(const char *text, const char *what, unsigned max, unsigned *count,
			   struct bench_fault *fault)
{
	uint64_t value;
	dvs_err err = parse_number(text, what, 1, max, &value, fault);

	if (err == DVS_OK)
		*count = (unsigned)value;
	return err;
}

static dvs_err parse_one(int key, const char *word, struct bench_options *options,
			 struct bench_fault *fault)
{
	switch (key) {
	case KEY_PATTERN:
		return parse_patterns(optarg, options, fault);
	case KEY_SYSTEM:
		return parse_systems(optarg, options, fault);
	case KEY_TRANSPORT:
		return parse_transports(optarg, options, fault);
	case KEY_CLIENTS:
		return parse_count(optarg, "--clients", BENCH_CLIENTS_MAX, &options->clients,
				   fault);
	case KEY_LAB:
		options->lab = optarg;
		return DVS_OK;
	case KEY_REPEATS:
		return parse_count(optarg, "--repeats", BENCH_REPEATS_MAX, &options->repeats,
				   fault);
	case KEY_QUICK:
		options->quick = true;
		return DVS_OK;
	case KEY_MANY:
		options->many = true;
		return options->suite == &bench_suite_fs ?
			       DVS_OK :
			       bench_fail(fault, DVS_BADARG,
					  "only 'dvs bench fs' has the option '%.40s'", word);
	case KEY_JSON:
		options->json = true;
		return DVS_OK;
	case 'o':
		return parse_output(optarg, options, fault);
	case KEY_PLOT:
		options->plot_path = optarg;
		return DVS_OK;
	case KEY_SEED:
		return parse_number(optarg, "--seed", 0, UINT64_MAX, &options->seed, fault);
	case 'h':
		options->help = true;
		return DVS_OK;
	case ':':
		return bench_fail(fault, DVS_BADARG, "option '%.40s' needs a value", word);
	default:
		return bench_fail(fault, DVS_BADARG,
				  "unknown option '%.40s'; see 'dvs bench %s --help'", word,
				  options->suite->name);
	}
}

static bool anything_wanted(const struct bench_options *options)
{
	size_t n_systems;

	options->suite->systems(&n_systems);
	for (size_t c = 0; c < options->n_cells; c++)
		for (size_t s = 0; s < n_systems; s++)
			if (bench_options_want(options, &options->cells[c], s))
				return true;
	return false;
}

/* With --clients, one cell of each pattern that has clients to count. */
static void choose_cells(struct bench_options *options)
{
	size_t count;
	const struct bench_cell *cells = options->suite->cells(&count);
	uint32_t seen = 0;

	for (size_t i = 0; i < count; i++) {
		struct bench_cell cell = cells[i];
		bool counts = cell.pattern == BENCH_REMOTE_RT ||
			      cell.pattern == BENCH_REMOTE_FAN_IN;

		if (bench_pattern_row(cell.pattern)->counts_files && cell.bytes > FEW_FILES &&
		    !options->many)
			continue;
		if (counts && options->clients) {
			if (seen >> cell.pattern & 1)
				continue;
			seen |= 1u << cell.pattern;
			cell.servers = cell.pattern == BENCH_REMOTE_RT ? options->clients : 1;
			cell.clients = options->clients;
		}
		options->cells[options->n_cells++] = cell;
	}
}

static dvs_err parse_all(int argc, char **argv, struct bench_options *options,
			 struct bench_fault *fault)
{
	bool remote = options->suite == &bench_suite_remote;
	dvs_err err = DVS_OK;

	optind = 0; /* another parse may have gone before */
	opterr = 0;
	while (err == DVS_OK) {
		int at = optind ? optind : 1;
		int key = getopt_long(argc, argv,
				      ":ho:", long_options + (remote ? 0 : REMOTE_OPTIONS), NULL);

		if (key == -1)
			break;
		err = parse_one(key, argv[at], options, fault);
	}
	if (err == DVS_OK && optind < argc && !options->help)
		err = bench_fail(fault, DVS_BADARG,
				 "unexpected argument '%.40s'; see 'dvs bench %s --help'",
				 argv[optind], options->suite->name);
	return err;
}

dvs_err bench_options_parse(const struct bench_suite *suite, int argc, char **argv,
			    struct bench_options *options, struct bench_fault *fault)
{
	dvs_err err;

	*options = (struct bench_options){
		.suite = suite,
		.patterns = suite->patterns,
		.systems = UINT64_MAX,
		.transports = UINT32_MAX,
		.seed = 1,
	};
	err = parse_all(argc, argv, options, fault);
	if (err != DVS_OK || options->help)
		return err;
	choose_cells(options);
	if (options->repeats == 0)
		options->repeats = options->quick ? suite->repeats_quick : suite->repeats_full;
	options->sample_ms = options->quick ? suite->sample_quick_ms : suite->sample_full_ms;
	if (!anything_wanted(options))
		return bench_fail(fault, DVS_BADARG,
				  "none of these systems is measured in any of these patterns;"
				  " see 'dvs bench %s --help'",
				  suite->name);
	return DVS_OK;
}

/* Whether the moment is one for SYSTEM. */
static bool is_due(const struct bench_options *options, const struct bench_system *system)
{
	switch (system->when) {
	case BENCH_ALWAYS:
		return true;
	case BENCH_FULL:
		return options->named || !options->quick;
	case BENCH_NAMED:
		return options->named;
	}
	return true;
}

bool bench_options_want(const struct bench_options *options, const struct bench_cell *cell,
			size_t system_index)
{
	const struct bench_suite *suite = options->suite;
	size_t count;
	const struct bench_system *system = suite->systems(&count)[system_index];

	return (options->patterns >> cell->pattern & 1) && (options->systems >> system_index & 1) &&
	       (system->patterns >> cell->pattern & 1) && (cell->quick || !options->quick) &&
	       is_due(options, system) && (!suite->fits || suite->fits(system, cell)) &&
	       (!suite->wants || suite->wants(options, system));
}

void bench_options_usage(const struct bench_suite *suite, FILE *out)
{
	size_t count;
	const struct bench_system *const *systems = suite->systems(&count);

	fprintf(out,
		"Usage: dvs bench %s [OPTIONS]\n%s\n\n"
		"  --pattern P[,P]   only these patterns\n"
		"  --system S[,S]    only these systems\n"
		"  --repeats N       measure each N times (%u; with --quick %u)\n"
		"  --quick           fewer sizes and shorter: %s\n"
		"  --json, -o json   one JSON object per line\n"
		"  --plot FILE.svg   also draw a picture\n"
		"  --seed N          order of the systems and content of the data (1)\n%s"
		"  -h, --help        this text\n\nPatterns:\n",
		suite->name, suite->purpose, suite->repeats_full, suite->repeats_quick,
		suite->quick_time, suite->usage);
	for (int i = 0; i < BENCH_PATTERNS; i++)
		if (suite->patterns >> i & 1)
			fprintf(out, "  %-16s  %s\n", bench_pattern_name((enum bench_pattern)i),
				bench_pattern_row((enum bench_pattern)i)->title);
	fputs("\nSystems:\n", out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "  %-16s  %s\n", systems[i]->name, systems[i]->summary);
}
