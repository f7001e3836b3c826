/* SPDX-License-Identifier: Apache-2.0 */
/* How fast a link is, between two processes in two network namespaces: no test, to be run by hand, as root.
 *
 *	proxy-measure [-t SECONDS] [TRANSPORT[+FILTER...] ...]
 *
 * rt: round trips with one message outstanding; the answer is sent by another thread than the one that receives, as in the proxy.
 * 64: the same with 64 outstanding. data: one way, frames of 1 MiB. both: the same in both directions at once. */
#include <getopt.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "certs.h"
#include "pair.h"

#define IN_FLIGHT 64u
#define DATA_BYTES ((size_t)1 << 20)

enum pattern { ROUND_TRIP, WINDOW, DATA, BOTH, PATTERNS };
static const char *const pattern_names[] = { "rt", "64", "data", "both" };

struct end {
	struct config config;
	struct log log;
	struct peer_link *link;
	bool answers;
	enum pattern pattern;
	sem_t came; /* messages to be answered, or answers */
	sem_t is_up;
	_Atomic uint64_t data_bytes;
	_Atomic uint64_t frames;
	uint8_t *room;
	uint8_t *data;
};

static double cpu_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

struct shared {
	_Atomic uint64_t bytes_at_answerer;
	_Atomic uint64_t cpu_ns_at_answerer;
	_Atomic bool is_over;
};

static void on_up(void *context, enum link_class class, bool fresh)
{
	struct end *end = context;

	(void)class;
	(void)fresh;
	sem_post(&end->is_up);
}

static void on_down(void *context, enum link_class class, const char *why)
{
	(void)context;
	(void)class;
	(void)why;
}

static void *on_place(void *context, enum link_class class, const struct frame_header *header,
		      struct cursor body)
{
	struct end *end = context;

	(void)class;
	(void)header;
	(void)body;
	return end->room;
}

static void on_frame(void *context, enum link_class class, const struct frame_header *header,
		     struct cursor body, void *data)
{
	struct end *end = context;

	(void)body;
	(void)data;
	atomic_fetch_add_explicit(&end->frames, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&end->data_bytes, header->data_bytes, memory_order_relaxed);
	if (class == LINK_MESSAGES)
		sem_post(&end->came);
}

static void on_idle(void *context, enum link_class class)
{
	(void)context;
	(void)class;
}

static void end_put(struct end *end, enum link_class class, size_t data_bytes)
{
	struct frame_header header = { .type = FRAME_CALL, .dc = 1, .src = 2, .dst = 3 };
	static const uint8_t body[FRAME_CALL_REQ_BYTES_MAX];

	if (!peer_link_put(end->link, class, &header, body, sizeof(body), end->data, data_bytes)) {
		fprintf(stderr, "the link is down\n");
		_exit(1);
	}
}

/* As many as have come go back at once. */
static void end_answer(struct end *end)
{
	for (;;) {
		sem_wait(&end->came);
		do
			end_put(end, LINK_MESSAGES, 0);
		while (sem_trywait(&end->came) == 0);
		peer_link_flush(end->link, LINK_MESSAGES);
	}
}

static void end_flood(struct end *end, const struct shared *shared)
{
	while (!atomic_load(&shared->is_over)) {
		end_put(end, LINK_BULK, DATA_BYTES);
		peer_link_flush(end->link, LINK_BULK);
	}
}

static void end_open(struct end *end, uint32_t node, const char *dir, const struct config *config)
{
	struct link_setup setup = {
		.config = &end->config,
		.log = &end->log,
		.node = node,
		.peer = 1 - node,
		.address = node == 0 ? "10.9.8.2" : "10.9.8.1",
		.incarnation = node + 1,
		.events = { end, on_up, on_down, on_place, on_frame, on_idle },
	};

	end->config = *config;
	end->config.node = node;
	end->log = log_to_stderr(LOG_LEVEL_ERROR);
	snprintf(end->config.dir, sizeof(end->config.dir), "%s/%u", dir, node);
	snprintf(end->config.address, sizeof(end->config.address), "%s",
		 node == 0 ? "10.9.8.1" : "10.9.8.2");
	snprintf(end->config.link[1 - node].interface, sizeof(end->config.link[0].interface),
		 "measure%u", node);
	end->room = malloc(DATA_BYTES);
	end->data = malloc(DATA_BYTES);
	pair_fill(end->data, DATA_BYTES, 1);
	sem_init(&end->came, 0, 0);
	sem_init(&end->is_up, 0, 0);
	if (peer_link_open(&setup, &end->link) != DVS_OK)
		exit(1);
	sem_wait(&end->is_up);
	sem_wait(&end->is_up);
}

static uint64_t ask(struct end *end, uint64_t deadline_ns)
{
	unsigned int window = end->pattern == ROUND_TRIP ? 1 : IN_FLIGHT;
	uint64_t n = 0;

	for (unsigned int i = 0; i < window; i++)
		end_put(end, LINK_MESSAGES, 0);
	peer_link_flush(end->link, LINK_MESSAGES);
	while (!clock_is_past(deadline_ns)) {
		sem_wait(&end->came);
		do {
			end_put(end, LINK_MESSAGES, 0);
			n++;
		} while (sem_trywait(&end->came) == 0);
		peer_link_flush(end->link, LINK_MESSAGES);
	}
	return n;
}

static void ask_and_report(struct end *end, const char *name, struct shared *shared, double seconds)
{
	uint64_t start_ns = clock_now_ns();
	uint64_t deadline_ns = start_ns + (uint64_t)(seconds * 1e9);
	uint64_t bytes = atomic_load(&shared->bytes_at_answerer);
	uint64_t other_cpu_ns = atomic_load(&shared->cpu_ns_at_answerer);
	double cpu = cpu_s();
	double spent;

	if (end->pattern == ROUND_TRIP || end->pattern == WINDOW) {
		uint64_t n = ask(end, deadline_ns);

		spent = (double)(clock_now_ns() - start_ns) / 1e9;
		cpu = cpu_s() - cpu +
		      (double)(atomic_load(&shared->cpu_ns_at_answerer) - other_cpu_ns) / 1e9;
		printf("%-14s %-5s %10.0f round trips/s, %.2f us of CPU each\n", name,
		       pattern_names[end->pattern], (double)n / spent, cpu / (double)n * 1e6);
	} else {
		while (!clock_is_past(deadline_ns)) {
			end_put(end, LINK_BULK, DATA_BYTES);
			peer_link_flush(end->link, LINK_BULK);
		}
		spent = (double)(clock_now_ns() - start_ns) / 1e9;
		bytes = atomic_load(&shared->bytes_at_answerer) - bytes;
		cpu = cpu_s() - cpu +
		      (double)(atomic_load(&shared->cpu_ns_at_answerer) - other_cpu_ns) / 1e9;
		if (end->pattern == BOTH)
			bytes += atomic_load(&end->data_bytes);
		printf("%-14s %-5s %10.0f MB/s, %.2f ns of CPU a byte\n", name,
		       pattern_names[end->pattern], (double)bytes / spent / 1e6,
		       cpu / (double)bytes * 1e9);
	}
	fflush(stdout);
	atomic_store(&shared->is_over, true);
}

static void *copy_count(void *argument)
{
	void **both = argument;
	struct end *end = both[0];
	struct shared *shared = both[1];

	for (;;) {
		atomic_store(&shared->bytes_at_answerer, atomic_load(&end->data_bytes));
		atomic_store(&shared->cpu_ns_at_answerer, (uint64_t)(cpu_s() * 1e9));
		usleep(1000);
	}
	return NULL;
}

static void answerer(struct end *end, struct shared *shared)
{
	void *both[] = { end, shared };
	pthread_t counter;

	if (pthread_create(&counter, NULL, copy_count, both) != 0)
		exit(1);
	if (end->pattern == BOTH)
		end_flood(end, shared);
	if (end->pattern == DATA || end->pattern == BOTH)
		for (;;)
			pause();
	end_answer(end);
}

static bool run(const char *command)
{
	if (system(command) == 0)
		return true;
	fprintf(stderr, "failed: %s\n", command);
	return false;
}

/* The other process: in its own namespace, at the other end of the cable. */
static pid_t other_start(int *go)
{
	int ready[2];
	int pipe_fd[2];
	char byte = 0;
	char command[200];
	pid_t pid;

	if (pipe(ready) < 0 || pipe(pipe_fd) < 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], &byte, 1) != 1 ||
		    read(pipe_fd[0], &byte, 1) != 1 ||
		    !run("ip addr add 10.9.8.1/24 dev measure0 && ip link set measure0 up && ip link set lo up"))
			_exit(1);
		return 0;
	}
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	snprintf(
		command, sizeof(command),
		"ip link set lo up && ip link add measure1 type veth peer name measure0 netns %d &&"
		"ip addr add 10.9.8.2/24 dev measure1 && ip link set measure1 up",
		pid);
	if (!run(command))
		exit(1);
	*go = pipe_fd[1];
	return pid;
}

static void measure(const char *name, const struct config *config, enum pattern pattern,
		    const char *dir, double seconds)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct end *end = calloc(1, sizeof(*end));
	int go = -1;
	pid_t pid;

	end->pattern = pattern;
	if (unshare(CLONE_NEWNET) < 0)
		exit(1);
	pid = other_start(&go);
	if (pid == 0) {
		end->answers = true;
		end_open(end, 0, dir, config);
		answerer(end, shared);
		_exit(0);
	}
	if (write(go, "", 1) != 1)
		exit(1);
	end_open(end, 1, dir, config);
	ask_and_report(end, name, shared, seconds);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	_exit(0);
}

static void choose(const char *name, struct config *config)
{
	char copy[80];
	char *rest = copy;
	char *part;
	size_t n = 0;

	config_defaults(config);
	memset(config->link, 0, sizeof(config->link));
	snprintf(config->cluster, sizeof(config->cluster), "farm");
	snprintf(copy, sizeof(copy), "%s", name);
	while ((part = strsep(&rest, "+"))) {
		for (int i = CONFIG_TCP; i <= CONFIG_TIPC; i++) {
			if (strcmp(part, config_transport_name((enum config_transport)i)) == 0)
				config->link[0].transport = (enum config_transport)i;
		}
		for (int i = CONFIG_ZSTD; i <= CONFIG_TLS && n < CONFIG_FILTERS_MAX; i++) {
			if (strcmp(part, config_filter_name((enum config_filter)i)) == 0)
				config->link[0].filters[n++] = (enum config_filter)i;
		}
	}
	config->link[1] = config->link[0];
}

int main(int argc, char **argv)
{
	static const char *const all[] = { "tcp", "tcp+tls", "tcp+lz4", "tcp+zstd", "tcp+lz4+tls" };
	const char *const *names = all;
	size_t n = ARRAY_LEN(all);
	struct authority authority;
	double seconds = 2;
	char dir[64];
	char sub[2][80];
	int option;

	while ((option = getopt(argc, argv, "t:")) != -1) {
		if (option != 't')
			return 2;
		seconds = atof(optarg);
	}
	if (optind < argc) {
		names = (const char *const *)argv + optind;
		n = (size_t)(argc - optind);
	}
	certs_dir(dir);
	authority_make(&authority, "farm");
	for (size_t i = 0; i < 2; i++) {
		char name[16];

		snprintf(sub[i], sizeof(sub[i]), "%s/%zu", dir, i);
		snprintf(name, sizeof(name), "node%zu", i);
		if (mkdir(sub[i], 0700) < 0)
			return 1;
		certs_write(sub[i], &authority, &authority, "farm", name, 60, 3600);
	}
	authority_free(&authority);
	for (size_t i = 0; i < n; i++) {
		for (int pattern = 0; pattern < PATTERNS; pattern++) {
			struct config config;
			pid_t pid;

			choose(names[i], &config);
			pid = fork();
			if (pid == 0)
				measure(names[i], &config, (enum pattern)pattern, dir, seconds);
			waitpid(pid, NULL, 0);
		}
	}
	certs_remove(sub[0]);
	certs_remove(sub[1]);
	certs_remove(dir);
	return 0;
}
