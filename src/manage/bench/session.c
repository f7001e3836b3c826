/* SPDX-License-Identifier: Apache-2.0 */
/* One run of a suite: go through the cells; in each, repeat; in each repeat, measure every system once, in an
 * order drawn anew, so that whatever else the machine does hits all of them alike. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/bench/internal.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

struct session {
	struct bench_options options;
	struct bench_lab lab;
	uint64_t random;
	uint64_t broken;  /* systems that have failed: not tried again */
	uint64_t skipped; /* among them those that this machine cannot run */
	uint64_t started;
	bool interrupted;
	bool failed; /* a cell */
	bool progress;
	struct bench_sample samples[BENCH_SYSTEMS_MAX][BENCH_REPEATS_MAX];
	struct bench_result results[BENCH_CELLS_MAX * BENCH_SYSTEMS_MAX];
	size_t n_results;
};

/* xorshift64*: any order will do, as long as a seed gives the same one again. */
static uint64_t next_random(struct session *session)
{
	session->random ^= session->random >> 12;
	session->random ^= session->random << 25;
	session->random ^= session->random >> 27;
	return session->random * UINT64_C(0x2545f4914f6cdd1d);
}

static void complain(const struct session *session, const char *system,
		     const struct bench_fault *fault)
{
	fprintf(stderr, "%sdvs bench: %s%s%s\n", session->progress ? "\r\033[K" : "", system,
		*system ? ": " : "", fault->text);
}

static void show_progress(const struct session *session, const struct bench_cell *cell,
			  unsigned repeat, const char *system)
{
	char label[32];

	if (session->progress)
		fprintf(stderr, "\r\033[K%s, %s: repeat %u of %u: %s",
			bench_pattern_name(cell->pattern),
			bench_cell_label(cell, label, sizeof(label)), repeat + 1,
			session->options.repeats, system);
}

static void clear_progress(const struct session *session)
{
	if (session->progress)
		fputs("\r\033[K", stderr);
}

/* ---- starting and stopping ---- */

static dvs_err find_cpus(struct bench_lab *lab, struct bench_fault *fault)
{
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return bench_fail_errno(fault, "read which CPUs may be used");
	for (int cpu = 0; cpu < CPU_SETSIZE && lab->cpu_count < 2; cpu++)
		if (CPU_ISSET((size_t)cpu, &allowed))
			lab->cpus[lab->cpu_count++] = cpu;
	return DVS_OK;
}

static dvs_err take_over_signals(struct session *session, sigset_t *before,
				 struct bench_fault *fault)
{
	const struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	/* The reader of our output may leave early: that too must not keep us from cleaning up. */
	sigaddset(&set, SIGPIPE);
	/* Inherited as ignored, it would hide the end of our processes. */
	if (sigaction(SIGCHLD, &plain, NULL) != 0)
		return bench_fail_errno(fault, "watch for the end of processes");
	if (sigprocmask(SIG_BLOCK, &set, before) != 0)
		return bench_fail_errno(fault, "block signals");
	session->lab.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (session->lab.signal_fd < 0)
		return bench_fail_errno(fault, "signalfd");
	return DVS_OK;
}

static bool system_wanted(const struct session *session, size_t s)
{
	const struct bench_options *options = &session->options;

	for (size_t c = 0; c < options->n_cells; c++)
		if (bench_options_want(options, &options->cells[c], s))
			return true;
	return false;
}

/* What this machine cannot do is told, but is no fault of the run. */
static void cannot_start(struct session *session, size_t s, dvs_err err,
			 const struct bench_fault *fault)
{
	const struct bench_suite *suite = session->options.suite;
	size_t count;
	const struct bench_system *system = suite->systems(&count)[s];

	session->broken |= UINT64_C(1) << s;
	if (err == DVS_BADSTATE) {
		session->skipped |= UINT64_C(1) << s;
		if (session->options.json)
			bench_report_skipped_json(stdout, suite, system->name, fault->text);
		fprintf(stderr, "dvs bench: %s is skipped: %s\n", system->name, fault->text);
	} else {
		complain(session, system->name, fault);
	}
}

static void start_systems(struct session *session)
{
	size_t count;
	const struct bench_system *const *systems = session->options.suite->systems(&count);

	for (size_t s = 0; s < count; s++) {
		struct bench_fault fault;
		dvs_err err;

		if (!systems[s]->start || !system_wanted(session, s))
			continue;
		err = systems[s]->start(&session->lab, &fault);
		if (err == DVS_OK)
			session->started |= UINT64_C(1) << s;
		else
			cannot_start(session, s, err, &fault);
	}
}

static void stop_systems(struct session *session)
{
	size_t count;
	const struct bench_system *const *systems = session->options.suite->systems(&count);

	for (size_t s = count; s-- > 0;)
		if (session->started >> s & 1 && systems[s]->stop)
			systems[s]->stop(&session->lab);
}

/* ---- measuring ---- */

static void measure_one(struct session *session, const struct bench_cell *cell, unsigned repeat,
			size_t s)
{
	size_t count;
	const struct bench_system *system = session->options.suite->systems(&count)[s];
	char label[32], where[96];
	struct bench_fault fault;
	dvs_err err;

	show_progress(session, cell, repeat, system->name);
	err = (system->measure ? system->measure :
				 bench_measure)(&session->lab, system, cell, &session->options,
						&session->samples[s][repeat], &fault);
	if (err == DVS_OK)
		return;
	session->interrupted |= err == DVS_WOKEN;
	session->broken |= UINT64_C(1) << s;
	snprintf(where, sizeof(where), "%s in %s, %s", system->name,
		 bench_pattern_name(cell->pattern), bench_cell_label(cell, label, sizeof(label)));
	complain(session, where, &fault);
}

/* The systems of CELL that still work, in random order. */
static size_t draw_order(struct session *session, const struct bench_cell *cell, size_t *order)
{
	size_t count, n = 0;

	session->options.suite->systems(&count);
	for (size_t s = 0; s < count; s++) {
		size_t place;

		if (!bench_options_want(&session->options, cell, s) || (session->broken >> s & 1))
			continue;
		place = next_random(session) % (n + 1);
		order[n++] = order[place];
		order[place] = s;
	}
	return n;
}

static void report_cell(struct session *session, const struct bench_cell *cell)
{
	size_t count, first = session->n_results;
	const struct bench_system *const *systems = session->options.suite->systems(&count);

	clear_progress(session);
	for (size_t s = 0; s < count; s++) {
		struct bench_result *result = &session->results[session->n_results];

		if (!bench_options_want(&session->options, cell, s) || (session->broken >> s & 1))
			continue;
		result->suite = session->options.suite;
		result->cell = cell;
		result->system = systems[s];
		bench_result_from_samples(result, session->samples[s], session->options.repeats);
		session->n_results++;
	}
	if (session->n_results == first)
		return;
	bench_results_sort(&session->results[first], session->n_results - first);
	for (size_t i = first; session->options.json && i < session->n_results; i++)
		bench_report_json(stdout, &session->results[i]);
	if (!session->options.json) {
		if (first == 0 || session->results[first - 1].cell->pattern != cell->pattern)
			bench_report_heading(stdout, cell->pattern, &session->options);
		bench_report_table(stdout, &session->results[first], session->n_results - first);
	}
	fflush(stdout);
}

static void run_cell(struct session *session, const struct bench_cell *cell)
{
	for (unsigned r = 0; r < session->options.repeats; r++) {
		size_t order[BENCH_SYSTEMS_MAX] = { 0 };
		size_t n = draw_order(session, cell, order);

		for (size_t i = 0; i < n && !session->interrupted; i++)
			if (!(session->broken >> order[i] & 1))
				measure_one(session, cell, r, order[i]);
	}
	if (!session->interrupted)
		report_cell(session, cell);
}

static bool cell_wanted(const struct bench_options *options, const struct bench_cell *cell)
{
	return (options->patterns >> cell->pattern & 1) && (cell->quick || !options->quick);
}

static dvs_err prepare_cell(struct session *session, const struct bench_cell *cell)
{
	const struct bench_options *options = &session->options;
	struct bench_fault fault;
	dvs_err err = DVS_OK;

	if (options->suite->cell)
		err = options->suite->cell(&session->lab, options, cell, &fault);
	if (err == DVS_OK)
		return DVS_OK;
	complain(session, bench_pattern_name(cell->pattern), &fault);
	session->interrupted |= err == DVS_WOKEN;
	session->failed = true;
	return err;
}

static void run_cells(struct session *session)
{
	const struct bench_options *options = &session->options;

	for (size_t c = 0; c < options->n_cells && !session->interrupted; c++)
		if (cell_wanted(options, &options->cells[c]) &&
		    prepare_cell(session, &options->cells[c]) == DVS_OK)
			run_cell(session, &options->cells[c]);
}

/* Below this many CPUs the others do not show in the figures. */
#define QUIET_CPUS 0.05

static void tell_noise(const struct session *session, const struct bench_noise *noise)
{
	double cpus = bench_noise_cpus(noise);

	if (cpus >= QUIET_CPUS && !session->interrupted)
		fprintf(stderr,
			"dvs bench: others kept %.2f CPUs of this machine busy meanwhile:"
			" the figures would be better and steadier without them\n",
			cpus);
}

static int finish(struct session *session, FILE *plot)
{
	struct bench_fault fault;

	if (session->interrupted)
		return EXIT_INTERRUPTED;
	if (plot)
		bench_report_svg(plot, session->results, session->n_results);
	if ((plot && fflush(plot) != 0) || fflush(stdout) != 0) {
		(void)!bench_fail_errno(&fault, "write the results");
		complain(session, "", &fault);
		return EXIT_FAULT;
	}
	return session->failed || (session->broken & ~session->skipped) ? EXIT_FAULT : 0;
}

static dvs_err prepare(struct session *session, sigset_t *before, struct bench_fault *fault)
{
	dvs_err err = find_cpus(&session->lab, fault);

	if (err == DVS_OK && session->lab.cpu_count < 2)
		err = bench_fail(fault, DVS_BADSTATE, "needs two CPUs, and may use only one here");
	return err == DVS_OK ? take_over_signals(session, before, fault) : err;
}

static int run_suite(struct session *session, FILE *plot)
{
	const struct bench_suite *suite = session->options.suite;
	struct bench_noise noise;
	struct bench_fault fault;
	dvs_err err = DVS_OK;

	if (suite->begin)
		err = suite->begin(&session->lab, &session->options, &fault);
	if (err != DVS_OK) {
		complain(session, "", &fault);
		return err == DVS_WOKEN ? EXIT_INTERRUPTED : EXIT_FAULT;
	}
	bench_noise_begin(&noise);
	start_systems(session);
	run_cells(session);
	stop_systems(session);
	tell_noise(session, &noise);
	if (suite->end)
		suite->end(&session->lab);
	return finish(session, plot);
}

static int run_session(struct session *session, FILE *plot)
{
	struct bench_fault fault;
	sigset_t before;
	int status;

	session->progress = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
	if (prepare(session, &before, &fault) != DVS_OK) {
		complain(session, "", &fault);
		return EXIT_FAULT;
	}
	status = run_suite(session, plot);
	close(session->lab.signal_fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

/* The picture is opened before minutes are spent on measuring for it. */
static int run_with_plot(struct session *session)
{
	struct bench_fault fault;
	FILE *plot;
	int status;

	if (!session->options.plot_path)
		return run_session(session, NULL);
	plot = fopen(session->options.plot_path, "we");
	if (!plot) {
		(void)!bench_fail_errno(&fault, session->options.plot_path);
		complain(session, "", &fault);
		return EXIT_FAULT;
	}
	status = run_session(session, plot);
	if (fclose(plot) != 0 && status == 0)
		status = EXIT_FAULT;
	return status;
}

int bench_session_main(const struct bench_suite *suite, int argc, char **argv)
{
	AUTO_FREE struct session *session = calloc(1, sizeof(*session));
	struct bench_fault fault;

	if (!session) {
		fputs("dvs bench: out of memory\n", stderr);
		return EXIT_FAULT;
	}
	if (bench_options_parse(suite, argc, argv, &session->options, &fault) != DVS_OK) {
		complain(session, "", &fault);
		return EXIT_USAGE;
	}
	if (session->options.help) {
		bench_options_usage(suite, stdout);
		return 0;
	}
	session->random = session->options.seed + UINT64_C(0x9e3779b97f4a7c15);
	if (session->random == 0)
		session->random = 1;
	return run_with_plot(session);
}
