/* SPDX-License-Identifier: Apache-2.0 */
/* A client that loads a volume and knows what must be on it.
 *
 *	vdd-load RUN_DIR DC/VOLUME fill  [--value N]    write every block
 *	vdd-load RUN_DIR DC/VOLUME check [--value N]    every block is as fill left it
 *	vdd-load RUN_DIR DC/VOLUME storm --out FILES [--seconds S] [--threads T] [--seed N] [--client N]
 *	vdd-load RUN_DIR DC/VOLUME read  --out FILES    read every block
 *	vdd-load - - judge FILE...                      whether all that FILEs tell can have been one disk
 *
 * A block has 4096 bytes: a head with the volume, the block's number, and the number of the write that made it; then bytes that follow from those; then a
 * checksum. So a block that is torn, at a wrong place, or another volume's is seen when it is read. A storm ends after its seconds, or by SIGTERM; what each thread wrote and read, and
 * when, is in FILES.0, FILES.1... Status 3: a block was wrong. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/err.h"
#include "client/vdd_calls.h"
#include "client/volume.h"
#include "vdd_history.h"

#define BLOCK 4096u
#define CALL_BLOCKS (DVS_DATA_MAX / BLOCK)
#define MAGIC UINT64_C(0x315f64646e766f4d)
#define THREADS_MAX 64u
#define ERRORS_MAX 128u
#define SPOTS 8u
#define SPOT_BLOCKS 32u
#define EXIT_WRONG 3

struct options {
	const char *run_dir;
	const char *volume;
	const char *as; /* what it is a snapshot or clone of: its blocks have that one's name */
	const char *out;
	uint64_t value;
	uint64_t seconds;
	uint64_t threads;
	uint64_t seed;
	uint64_t client;
	uint64_t timeout_ms;
};

struct load;

struct writer_thread {
	struct load *load;
	pthread_t thread;
	uint64_t number;
	uint64_t random;
	uint64_t n_writes;
	struct volume_disk disk;
	bool is_open;
	dvs_err told; /* why it could not be opened */
	struct history history;
	uint64_t errors[ERRORS_MAX];
	uint64_t n_calls;
	uint64_t longest_ns;
	uint8_t *buffer;
	uint8_t *answer;
};

struct load {
	struct options options;
	uint64_t volume; /* a hash of its name */
	uint64_t blocks;
	atomic_bool is_over;
	struct writer_thread threads[THREADS_MAX];
};

/* ---- blocks ---- */

static uint64_t mix(uint64_t value)
{
	value ^= value >> 30;
	value *= UINT64_C(0xbf58476d1ce4e5b9);
	value ^= value >> 27;
	value *= UINT64_C(0x94d049bb133111eb);
	return value ^ (value >> 31);
}

static uint64_t hash(const char *text)
{
	uint64_t sum = 0;

	while (*text)
		sum = mix(sum + (uint8_t)*text++);
	return sum;
}

static uint64_t next_random(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(*state);
}

/* The words of a block in their order; the last one is the checksum of the others. */
static void block_make(uint8_t *at, uint64_t volume, uint64_t number, uint64_t value)
{
	uint64_t words[BLOCK / 8] = { MAGIC, volume, number, value };
	uint64_t state = mix(volume ^ mix(number ^ mix(value)));
	uint64_t sum = 0;

	for (size_t i = 4; i < BLOCK / 8 - 1; i++)
		words[i] = state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	for (size_t i = 0; i < BLOCK / 8 - 1; i++)
		sum = (sum ^ words[i]) * UINT64_C(0x100000001b3);
	words[BLOCK / 8 - 1] = sum;
	memcpy(at, words, BLOCK);
}

/* The number of the write that made the block at AT. False: none did. */
static bool block_read(const uint8_t *at, uint64_t volume, uint64_t number, uint64_t *value)
{
	static const uint8_t zeroes[BLOCK];
	uint8_t wanted[BLOCK];
	uint64_t words[4];

	*value = 0;
	if (memcmp(at, zeroes, BLOCK) == 0)
		return true;
	memcpy(words, at, sizeof(words));
	*value = words[3];
	block_make(wanted, volume, number, *value);
	return memcmp(at, wanted, BLOCK) == 0;
}

static void complain(const uint8_t *at, uint64_t number)
{
	uint64_t words[4], last;

	memcpy(words, at, sizeof(words));
	memcpy(&last, at + BLOCK - 8, 8);
	(void)printf("wrong block %" PRIu64 ": magic %#" PRIx64 " volume %#" PRIx64
		     " block %" PRIu64 " value %#" PRIx64 " sum %#" PRIx64 "\n",
		     number, words[0], words[1], words[2], words[3], last);
	(void)fflush(stdout);
}

/* ---- calls ---- */

static bool thread_open(struct writer_thread *thread)
{
	const struct options *options = &thread->load->options;
	char why[VOLUME_WHY_MAX + 1] = "";
	dvs_err err = volume_open(options->run_dir, options->volume, (uint32_t)options->timeout_ms,
				  &thread->disk, why);

	thread->is_open = err == DVS_OK;
	if (err && (unsigned int)err < ERRORS_MAX)
		thread->errors[(unsigned int)err]++;
	/* Once for each kind: nobody reads while it runs, and a pipe holds no more than 64 KiB. */
	if (err && err != thread->told)
		(void)fprintf(stderr, "vdd-load: %s: %s\n", options->volume,
			      why[0] ? why : dvs_strerror(err));
	thread->told = err;
	return thread->is_open;
}

/* Of what is pending nobody knows whether it will take effect. Writes are noted before they are asked for: this program may be killed, too. */
static uint64_t note(struct writer_thread *thread, uint64_t block, uint64_t value,
		     uint64_t begin_ns, uint64_t end_ns, bool is_write)
{
	const struct event event = { .block = block,
				     .value = value,
				     .begin_ns = begin_ns,
				     .end_ns = end_ns,
				     .is_write = is_write };

	return history_add(&thread->history, &event);
}

static void called(struct writer_thread *thread, uint64_t begin_ns, dvs_err err)
{
	uint64_t span_ns = clock_now_ns() - begin_ns;

	thread->n_calls++;
	if (span_ns > thread->longest_ns)
		thread->longest_ns = span_ns;
	if ((unsigned int)err < ERRORS_MAX)
		thread->errors[(unsigned int)err]++;
	/* Its own binding is over: the node was taken for down, or its dvsd forgot it. */
	if (err == DVS_NOTBOUND || err == DVS_NODVSD) {
		volume_close(&thread->disk);
		thread->is_open = false;
	}
}

static uint64_t new_value(struct writer_thread *thread)
{
	return (thread->load->options.client << 48) | (thread->number << 40) | ++thread->n_writes;
}

static dvs_err write_blocks(struct writer_thread *thread, uint64_t block, uint64_t n,
			    uint64_t value, uint32_t flags)
{
	struct vdd_write_req req = { .minor = thread->disk.minor,
				     .flags = flags,
				     .offset = block * BLOCK };
	uint64_t at = thread->history.n;
	uint64_t begin_ns;
	dvs_err err;

	for (uint64_t i = 0; i < n; i++)
		block_make(thread->buffer + i * BLOCK, thread->load->volume, block + i, value);
	begin_ns = clock_now_ns();
	for (uint64_t i = 0; i < n; i++)
		(void)note(thread, block + i, value, begin_ns, HISTORY_PENDING, true);
	err = vdd_call_write(thread->disk.self, thread->disk.server, &req, NULL, thread->buffer,
			     n * BLOCK, NULL, 0, NULL, (uint32_t)thread->load->options.timeout_ms);
	if (!err)
		history_end(&thread->history, at, n, clock_now_ns());
	called(thread, begin_ns, err);
	return err;
}

/* What was read into AT; false: a block is wrong. */
static bool take_blocks(struct writer_thread *thread, const uint8_t *at, uint64_t block, uint64_t n,
			uint64_t begin_ns)
{
	uint64_t end_ns = clock_now_ns();
	uint64_t value;

	for (uint64_t i = 0; i < n; i++) {
		if (!block_read(at + i * BLOCK, thread->load->volume, block + i, &value)) {
			complain(at + i * BLOCK, block + i);
			return false;
		}
		(void)note(thread, block + i, value, begin_ns, end_ns, false);
	}
	return true;
}

static dvs_err read_blocks(struct writer_thread *thread, uint64_t block, uint64_t n)
{
	struct vdd_read_req req = { .minor = thread->disk.minor,
				    .offset = block * BLOCK,
				    .bytes = (uint32_t)(n * BLOCK) };
	uint64_t begin_ns = clock_now_ns();
	size_t len = 0;
	dvs_err err = vdd_call_read(thread->disk.self, thread->disk.server, &req, NULL, NULL, 0,
				    thread->answer, n * BLOCK, &len,
				    (uint32_t)thread->load->options.timeout_ms);

	called(thread, begin_ns, err);
	if (err)
		return err;
	if (len != n * BLOCK) {
		(void)printf("a read of %" PRIu64 " bytes gave %zu\n", n * BLOCK, len);
		return DVS_CORRUPT;
	}
	return take_blocks(thread, thread->answer, block, n, begin_ns) ? DVS_OK : DVS_CORRUPT;
}

/* Some writes and some reads of single blocks, in one call. */
static dvs_err batch(struct writer_thread *thread, const uint64_t *blocks, uint32_t n)
{
	struct vdd_batch_req req = { .count = n, .data_at = n * (uint32_t)VDD_ITEM_BYTES_MAX };
	struct writer out = writer_over(thread->buffer, DVS_DATA_MAX);
	uint64_t places[16];
	uint64_t begin_ns = clock_now_ns(), end_ns;
	size_t bytes = req.data_at, len = 0, at = n * 4;
	struct cursor in;
	dvs_err err;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t value = new_value(thread);
		struct vdd_item item = { .kind = i % 2 ? VDD_READ : VDD_WRITE,
					 .minor = thread->disk.minor,
					 .offset = blocks[i] * BLOCK,
					 .bytes = BLOCK };

		vdd_item_put(&out, &item);
		if (i % 2)
			continue;
		block_make(thread->buffer + bytes, thread->load->volume, blocks[i], value);
		places[i] = note(thread, blocks[i], value, begin_ns, HISTORY_PENDING, true);
		bytes += BLOCK;
	}
	err = vdd_call_batch(thread->disk.self, thread->disk.server, &req, NULL, thread->buffer,
			     bytes, thread->answer, DVS_DATA_MAX, &len,
			     (uint32_t)thread->load->options.timeout_ms);
	end_ns = clock_now_ns();
	called(thread, begin_ns, err);
	in = cursor_over(thread->answer, err ? 0 : at);
	for (uint32_t i = 0; i < n; i++) {
		dvs_err one = err ? err : dvs_err_from_number(cursor_u32(&in));

		if (i % 2 == 0) {
			if (!one)
				history_end(&thread->history, places[i], 1, end_ns);
			continue;
		}
		if (!one && !take_blocks(thread, thread->answer + at, blocks[i], 1, begin_ns))
			return DVS_CORRUPT;
		at += BLOCK;
	}
	return err;
}

static dvs_err flush(struct writer_thread *thread)
{
	struct vdd_flush_req req = { .minor = thread->disk.minor };
	uint64_t begin_ns = clock_now_ns();
	dvs_err err = vdd_call_flush(thread->disk.self, thread->disk.server, &req, NULL, NULL, 0,
				     NULL, 0, NULL, (uint32_t)thread->load->options.timeout_ms);

	called(thread, begin_ns, err);
	return err;
}

/* ---- a storm ---- */

/* Most of what happens is in a few spots, spread over the disk, so that writers meet. */
static uint64_t pick_block(struct writer_thread *thread)
{
	uint64_t blocks = thread->load->blocks;
	uint64_t spot = next_random(&thread->random) % SPOTS;

	return spot * (blocks / SPOTS) +
	       next_random(&thread->random) %
		       (blocks / SPOTS < SPOT_BLOCKS ? blocks / SPOTS : SPOT_BLOCKS);
}

static uint64_t pick_n(struct writer_thread *thread, uint64_t block)
{
	static const uint16_t sizes[] = { 1, 1, 1, 1, 1, 2, 2, 3, 4, 8, 16, 16, 32, 64, 128, 256 };
	uint64_t n = sizes[next_random(&thread->random) % (sizeof(sizes) / sizeof(sizes[0]))];

	return n > thread->load->blocks - block ? thread->load->blocks - block : n;
}

static dvs_err one_call(struct writer_thread *thread)
{
	uint64_t what = next_random(&thread->random) % 100;
	uint64_t block = pick_block(thread);
	uint64_t n = pick_n(thread, block);
	uint64_t blocks[12];

	if (what < 45)
		return write_blocks(thread, block, n, new_value(thread), what < 8 ? 1 : 0);
	if (what < 85)
		return read_blocks(thread, block, n);
	if (what < 90)
		return flush(thread);
	/* Of one block only one item: they have no order. */
	n = 2 + next_random(&thread->random) % 11;
	for (uint64_t i = 0; i < n; i++)
		blocks[i] = (block + i * 7) % thread->load->blocks;
	return batch(thread, blocks, (uint32_t)n);
}

static void *storm_run(void *argument)
{
	struct writer_thread *thread = argument;
	struct load *load = thread->load;

	while (!atomic_load(&load->is_over)) {
		dvs_err err;

		if (!thread->is_open && !thread_open(thread)) {
			(void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
			continue;
		}
		err = one_call(thread);
		if (err == DVS_CORRUPT) {
			/* Whoever watches is to stop the world at once. */
			_exit(EXIT_WRONG);
		}
		/* What fails at once is not tried without a pause. */
		if (err)
			(void)nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	}
	if (thread->is_open)
		volume_close(&thread->disk);
	return NULL;
}

static void thread_init(struct load *load, uint64_t number)
{
	struct writer_thread *thread = &load->threads[number];
	char path[4096];

	thread->load = load;
	thread->number = number;
	thread->random = mix(load->options.seed ^ mix(load->options.client * 1000 + number));
	thread->buffer = aligned_alloc(BLOCK, DVS_DATA_MAX);
	thread->answer = aligned_alloc(BLOCK, DVS_DATA_MAX);
	if (!thread->buffer || !thread->answer)
		exit(2);
	if (load->options.out)
		(void)snprintf(path, sizeof(path), "%s.%" PRIu64, load->options.out, number);
	history_open(&thread->history, load->options.out ? path : NULL);
}

static void wait_for_end(const struct options *options)
{
	struct timespec span = { .tv_sec = (time_t)options->seconds };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	while (sigtimedwait(&set, NULL, &span) < 0 && errno == EINTR)
		continue;
}

static void tell(const struct load *load, uint64_t n_threads)
{
	uint64_t n_calls = 0, longest_ns = 0;

	for (uint64_t i = 0; i < n_threads; i++) {
		n_calls += load->threads[i].n_calls;
		if (load->threads[i].longest_ns > longest_ns)
			longest_ns = load->threads[i].longest_ns;
	}
	(void)printf("{\"calls\": %" PRIu64 ", \"longest_ms\": %" PRIu64 ", \"errors\": {", n_calls,
		     longest_ns / CLOCK_NS_PER_MS);
	for (unsigned int e = 1, n = 0; e < ERRORS_MAX; e++) {
		uint64_t count = 0;

		for (uint64_t i = 0; i < n_threads; i++)
			count += load->threads[i].errors[e];
		if (count)
			(void)printf("%s\"%s\": %" PRIu64, n++ ? ", " : "",
				     dvs_err_name(dvs_err_from_number(e)), count);
	}
	(void)puts("}}");
}

static int storm(struct load *load)
{
	const struct options *options = &load->options;

	/* Others come to this size by their own. */
	if (!thread_open(&load->threads[0]))
		return 1;
	load->blocks = load->threads[0].disk.bytes / BLOCK;
	volume_close(&load->threads[0].disk);
	load->threads[0].is_open = false;
	for (uint64_t i = 0; i < options->threads; i++) {
		if (i)
			thread_init(load, i);
		if (pthread_create(&load->threads[i].thread, NULL, storm_run, &load->threads[i]))
			return 2;
	}
	(void)puts("storm");
	(void)fflush(stdout);
	wait_for_end(options);
	atomic_store(&load->is_over, true);
	for (uint64_t i = 0; i < options->threads; i++)
		(void)pthread_join(load->threads[i].thread, NULL);
	tell(load, options->threads);
	return 0;
}

/* ---- all blocks in turn ---- */

static uint64_t blocks_at(const struct load *load, uint64_t block)
{
	return load->blocks - block < CALL_BLOCKS ? load->blocks - block : CALL_BLOCKS;
}

static bool has_value(const struct writer_thread *thread, uint64_t value)
{
	for (size_t i = 0; i < thread->history.n; i++) {
		if (thread->history.events[i].value != value) {
			(void)printf("block %" PRIu64 " has value %#" PRIx64 ", not %#" PRIx64 "\n",
				     thread->history.events[i].block,
				     thread->history.events[i].value, value);
			return false;
		}
	}
	return true;
}

static int in_turn(struct load *load, const char *mode)
{
	struct writer_thread *thread = &load->threads[0];
	bool is_fill = strcmp(mode, "fill") == 0;
	dvs_err err = DVS_OK;

	if (!thread_open(thread))
		return 1;
	load->blocks = thread->disk.bytes / BLOCK;
	for (uint64_t at = 0; !err && at < load->blocks; at += CALL_BLOCKS)
		err = is_fill ? write_blocks(thread, at, blocks_at(load, at), load->options.value,
					     0) :
				read_blocks(thread, at, blocks_at(load, at));
	if (err == DVS_CORRUPT)
		return EXIT_WRONG;
	if (err) {
		(void)fprintf(stderr, "vdd-load: %s: %s\n", mode, dvs_strerror(err));
		return 1;
	}
	volume_close(&thread->disk);
	if (strcmp(mode, "check") == 0 && !has_value(thread, load->options.value))
		return EXIT_WRONG;
	return 0;
}

static int judge(int n, char **files)
{
	struct history history = { .n = 0 };
	size_t n_wrong;

	for (int i = 0; i < n; i++) {
		if (!history_load(&history, files[i])) {
			perror(files[i]);
			return 2;
		}
	}
	n_wrong = history_judge(&history);
	free(history.events);
	(void)printf("%zu events, %zu wrong blocks\n", history.n, n_wrong);
	return n_wrong ? EXIT_WRONG : 0;
}

static bool parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "out", required_argument, NULL, 'o' },
		{ "value", required_argument, NULL, 'v' },
		{ "seconds", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 'r' },
		{ "client", required_argument, NULL, 'c' },
		{ "timeout", required_argument, NULL, 'w' },
		{ "as", required_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		uint64_t number = option == 'o' || option == 'a' ?
					  0 :
					  strtoull(optarg ? optarg : "", NULL, 0);

		if (option == 'o')
			options->out = optarg;
		else if (option == 'a')
			options->as = optarg;
		else if (option == 'v')
			options->value = number;
		else if (option == 's')
			options->seconds = number;
		else if (option == 't')
			options->threads = number;
		else if (option == 'r')
			options->seed = number;
		else if (option == 'c')
			options->client = number;
		else if (option == 'w')
			options->timeout_ms = number;
		else
			return false;
	}
	return options->threads > 0 && options->threads <= THREADS_MAX;
}

int main(int argc, char **argv)
{
	static struct load load;
	sigset_t set;

	load.options = (struct options){
		.value = 1, .seconds = 5, .threads = 4, .client = 1, .timeout_ms = 20000
	};
	if (argc < 4 || !parse(argc, argv, &load.options)) {
		(void)fputs("usage: vdd-load RUN_DIR DC/VOLUME MODE [options]\n", stderr);
		return 2;
	}
	if (strcmp(argv[optind + 2], "judge") == 0)
		return judge(argc - optind - 3, argv + optind + 3);
	load.options.run_dir = argv[optind];
	load.options.volume = argv[optind + 1];
	load.volume = hash(load.options.as ? load.options.as : load.options.volume);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	thread_init(&load, 0);
	if (strcmp(argv[optind + 2], "storm") == 0)
		return load.options.out ? storm(&load) : 2;
	return in_turn(&load, argv[optind + 2]);
}
