/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `dvs bench ipc`. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "manage/bench/internal.h"

enum {
	REPEATS_FULL = 7,
	REPEATS_QUICK = 3,
	SAMPLE_FULL_MS = 80,
	SAMPLE_QUICK_MS = 30,
	NAMES_BYTES_MAX = 200,
};

enum option_key {
	KEY_PATTERN = 256,
	KEY_SYSTEM,
	KEY_REPEATS,
	KEY_QUICK,
	KEY_JSON,
	KEY_PLOT,
	KEY_SEED
};

static const struct option long_options[] = {
	{ "pattern", required_argument, NULL, KEY_PATTERN },
	{ "system", required_argument, NULL, KEY_SYSTEM },
	{ "repeats", required_argument, NULL, KEY_REPEATS },
	{ "quick", no_argument, NULL, KEY_QUICK },
	{ "json", no_argument, NULL, KEY_JSON },
	{ "plot", required_argument, NULL, KEY_PLOT },
	{ "seed", required_argument, NULL, KEY_SEED },
	{ "output", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static bool find_pattern(const char *name, size_t length, size_t *index)
{
	enum bench_pattern pattern;

	if (!bench_pattern_find(name, length, &pattern))
		return false;
	*index = pattern;
	return true;
}

static const char *pattern_name(size_t index)
{
	return index < BENCH_PATTERNS ? bench_pattern_name((enum bench_pattern)index) : NULL;
}

static const char *system_name(size_t index)
{
	size_t count;
	const struct bench_system *const *systems = bench_systems(&count);

	return index < count ? systems[index]->name : NULL;
}

/* All names with commas between, into TEXT. */
static const char *names_list(const char *(*name_of)(size_t index), char *text)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; name_of(i) && used < NAMES_BYTES_MAX; i++)
		used += (size_t)snprintf(text + used, NAMES_BYTES_MAX - used, "%s%s", i ? ", " : "",
					 name_of(i));
	return text;
}

/* Read "a,b,c" into a set; WHAT is what each is. */
static dvs_err parse_names(const char *list, const char *what,
			   bool (*find)(const char *name, size_t length, size_t *index),
			   const char *(*name_of)(size_t index), uint32_t *set,
			   struct bench_fault *fault)
{
	char known[NAMES_BYTES_MAX];

	*set = 0;
	for (const char *name = list;; name++) {
		size_t length = strcspn(name, ",");
		size_t index;

		if (!find(name, length, &index))
			return bench_fail(fault, DVS_BADARG, "unknown %s '%.*s'; choose from %s",
					  what, (int)(length < 40 ? length : 40), name,
					  names_list(name_of, known));
		*set |= 1u << index;
		name += length;
		if (*name == '\0')
			return DVS_OK;
	}
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

static dvs_err parse_repeats(const char *text, struct bench_options *options,
			     struct bench_fault *fault)
{
	uint64_t value;
	dvs_err err = parse_number(text, "--repeats", 1, BENCH_REPEATS_MAX, &value, fault);

	if (err == DVS_OK)
		options->repeats = (unsigned)value;
	return err;
}

static dvs_err parse_one(int key, const char *word, struct bench_options *options,
			 struct bench_fault *fault)
{
	switch (key) {
	case KEY_PATTERN:
		return parse_names(optarg, "pattern", find_pattern, pattern_name,
				   &options->patterns, fault);
	case KEY_SYSTEM:
		return parse_names(optarg, "system", bench_system_find, system_name,
				   &options->systems, fault);
	case KEY_REPEATS:
		return parse_repeats(optarg, options, fault);
	case KEY_QUICK:
		options->quick = true;
		return DVS_OK;
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
				  "unknown option '%.40s'; see 'dvs bench ipc --help'", word);
	}
}

static bool anything_wanted(const struct bench_options *options)
{
	size_t n_cells, n_systems;
	const struct bench_cell *cells = bench_cells(&n_cells);

	bench_systems(&n_systems);
	for (size_t c = 0; c < n_cells; c++)
		for (size_t s = 0; s < n_systems; s++)
			if (bench_options_want(options, &cells[c], s))
				return true;
	return false;
}

dvs_err bench_options_parse(int argc, char **argv, struct bench_options *options,
			    struct bench_fault *fault)
{
	dvs_err err = DVS_OK;

	*options =
		(struct bench_options){ .patterns = UINT32_MAX, .systems = UINT32_MAX, .seed = 1 };
	optind = 0; /* another parse may have gone before */
	opterr = 0;
	while (err == DVS_OK) {
		int at = optind ? optind : 1;
		int key = getopt_long(argc, argv, ":ho:", long_options, NULL);

		if (key == -1)
			break;
		err = parse_one(key, argv[at], options, fault);
	}
	if (err != DVS_OK || options->help)
		return err;
	if (optind < argc)
		return bench_fail(fault, DVS_BADARG,
				  "unexpected argument '%.40s'; see 'dvs bench ipc --help'",
				  argv[optind]);
	if (options->repeats == 0)
		options->repeats = options->quick ? REPEATS_QUICK : REPEATS_FULL;
	options->sample_ms = options->quick ? SAMPLE_QUICK_MS : SAMPLE_FULL_MS;
	if (!anything_wanted(options))
		return bench_fail(fault, DVS_BADARG,
				  "none of these systems is measured in any of these patterns;"
				  " see 'dvs bench ipc --help'");
	return DVS_OK;
}

bool bench_options_want(const struct bench_options *options, const struct bench_cell *cell,
			size_t system_index)
{
	size_t count;
	const struct bench_system *system = bench_systems(&count)[system_index];

	return (options->patterns >> cell->pattern & 1) && (options->systems >> system_index & 1) &&
	       (system->patterns >> cell->pattern & 1) && (cell->quick || !options->quick);
}

void bench_options_usage(FILE *out)
{
	size_t count;
	const struct bench_system *const *systems = bench_systems(&count);

	fputs("Usage: dvs bench ipc [OPTIONS]\n"
	      "Measure message round trips and data transfer between processes of this machine.\n\n"
	      "  --pattern P[,P]   only these patterns\n"
	      "  --system S[,S]    only these systems\n"
	      "  --repeats N       measure each N times (7; with --quick 3)\n"
	      "  --quick           fewer sizes and shorter: under 20 s\n"
	      "  --json, -o json   one JSON object per line\n"
	      "  --plot FILE.svg   also draw a picture\n"
	      "  --seed N          order of the systems and content of the data (1)\n"
	      "  -h, --help        this text\n\nPatterns:\n",
	      out);
	for (int i = 0; i < BENCH_PATTERNS; i++)
		fprintf(out, "  %-16s  %s\n", bench_pattern_name((enum bench_pattern)i),
			bench_pattern_title((enum bench_pattern)i));
	fputs("\nSystems:\n", out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "  %-16s  %s\n", systems[i]->name, systems[i]->summary);
}
