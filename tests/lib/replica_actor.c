/* SPDX-License-Identifier: Apache-2.0 */
/* A replicated server of numbers that were counted, and a client that counts. The server keeps for each of CLIENTS clients which of its numbers came; in a file, so that it outlives the process. What came twice is
 * counted, too.
 *
 *	replica-actor serve RUN_DIR DC ENDPOINT NODE NODES FIRST DIR [LEASE_MS EVICT_MS]	until its input ends; prints its roles; "hand N", "nodes MASK" come in
 *	replica-actor count RUN_DIR DC ENDPOINT CLIENT MS		counts for so long; prints "acked N unknown N longest_ms N", and the numbers that were acknowledged are looked for at the end: "lost N twice N"
 *	replica-actor time RUN_DIR DC ENDPOINT KIND BYTES COUNT DEPTH	KIND plain (answered at once), entry; prints microseconds a call, and MB/s */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "replica/replica.h"

#define CLIENTS 8u
#define NUMBERS 65536u
#define DATA_BYTES (4u << 20) /* what entries with data are written to */

enum op { OP_COUNT = 1, OP_READ = 2, OP_PLAIN = 3, OP_DATA = 4, OP_LAST = OP_DATA };

struct state {
	uint8_t numbers[CLIENTS][NUMBERS / 8];
	uint64_t n_twice;
};

struct file {
	struct state state;
	uint64_t is_current;
};

struct server {
	struct skeleton *skeleton;
	struct replica *replica;
	struct log log;
	struct file *file;
	uint8_t *data;
	struct list kept; /* requests that are not answered */
	struct post input;
	pthread_mutex_t lock;
	char line[128];
	bool is_over;
	struct poster poster;
};

struct job {
	struct replica_entry entry;
	struct replica_reader reader;
	struct server *server;
	struct skeleton_request *request; /* NULL: dropped */
	uint8_t *data;
};

static void must(dvs_err err, const char *what)
{
	if (err == DVS_OK)
		return;
	(void)fprintf(stderr, "replica-actor: %s: %s\n", what, dvs_strerror(err));
	exit(1);
}

/* ---- the server's state ---- */

static void apply(void *context, struct replica_entry *entry)
{
	struct server *server = context;
	struct state *state = &server->file->state;
	uint32_t client = entry->head[1] % CLIENTS;
	uint32_t number;

	memcpy(&number, entry->head + 4, sizeof(number));
	number %= NUMBERS;
	if (entry->head[0] == OP_COUNT) {
		if (state->numbers[client][number / 8] >> number % 8 & 1)
			state->n_twice++;
		state->numbers[client][number / 8] |= (uint8_t)(1u << number % 8);
	} else if (entry->bytes > 0) {
		memcpy(server->data, entry->data, entry->bytes);
	}
	replica_applied(server->replica, entry, DVS_OK);
}

static void heard(void *context, struct replica_heard *word)
{
	struct server *server = context;
	bool right = word->bytes == sizeof(server->file->state);

	if (right)
		memcpy(&server->file->state, word->data, word->bytes);
	replica_answer(server->replica, word, right ? DVS_OK : DVS_PROTO, "done", 4);
}

struct sync {
	struct replica_word word;
	struct server *server;
	dvs_nodeid node;
	struct state state;
};

static void sync_done(struct replica_word *word, dvs_err err, const void *answer, size_t n)
{
	struct sync *sync = CONTAINER_OF(word, struct sync, word);

	if (err == DVS_OK && n == 4 && memcmp(answer, "done", 4) == 0)
		replica_is_current(sync->server->replica, sync->node);
	free(sync);
}

static void joined(void *context, dvs_nodeid node, const void *hello, size_t n)
{
	struct server *server = context;
	struct sync *sync = calloc(1, sizeof(*sync));

	if (n != 5 || memcmp(hello, "hello", 5) != 0)
		abort();
	sync->server = server;
	sync->node = node;
	replica_settle(server->replica);
	sync->state = server->file->state;
	sync->word.data = &sync->state;
	sync->word.bytes = sizeof(sync->state);
	sync->word.done = sync_done;
	replica_tell(server->replica, node, &sync->word);
}

static void left(void *context, dvs_nodeid node)
{
	(void)context;
	printf("left %u\n", node.n);
	(void)fflush(stdout);
}

static size_t hello(void *context, void *room)
{
	(void)context;
	memcpy(room, "hello", 5);
	return 5;
}

static void role(void *context, enum replica_role what, uint64_t epoch, uint64_t members)
{
	static const char *const names[] = { "absent", "joining", "member", "primary" };
	struct server *server = context;

	if (what == REPLICA_MEMBER || what == REPLICA_PRIMARY)
		server->file->is_current = 1;
	printf("role %s %" PRIu64 " %" PRIx64 "\n", names[what], epoch, members);
	(void)fflush(stdout);
	if (what == REPLICA_PRIMARY)
		return;
	while (!list_is_empty(&server->kept)) {
		struct skeleton_request *request =
			CONTAINER_OF(list_take_head(&server->kept), struct skeleton_request, kept);
		struct job *job = request->keeper;

		if (job)
			job->request = NULL;
		skeleton_drop(request);
	}
}

/* ---- requests ---- */

static void job_end(struct job *job, dvs_err err, const void *data, size_t n)
{
	if (job->request && err != DVS_BADSTATE && err != DVS_NOQUORUM) {
		list_remove(&job->request->kept);
		skeleton_answer_data(job->request, err, NULL, 0, data, n);
		job->request = NULL;
	}
	/* The next primary answers; it goes with the role. */
	if (job->request)
		job->request->keeper = NULL;
	free(job->data);
	free(job);
}

static void entry_done(struct replica_entry *entry, dvs_err err)
{
	job_end(CONTAINER_OF(entry, struct job, entry), err, NULL, 0);
}

static void read_ready(struct replica_reader *reader, dvs_err err)
{
	struct job *job = CONTAINER_OF(reader, struct job, reader);

	job_end(job, err, &job->server->file->state, sizeof(struct state));
}

static enum skeleton_allow allow(uint32_t op)
{
	return op >= OP_COUNT && op <= OP_LAST ? SKELETON_USER : SKELETON_NOBODY;
}

static dvs_err serve(const void *handlers, void *state, struct skeleton_request *request)
{
	struct server *server = state;
	struct job *job;
	dvs_err result;

	(void)handlers;
	if (request->op == OP_PLAIN) {
		skeleton_answer(request, DVS_OK, NULL, 0);
		return DVS_OK;
	}
	if (request->resent &&
	    replica_was_done(server->replica, request->source, request->call, &result)) {
		skeleton_answer(request, result, NULL, 0);
		return DVS_OK;
	}
	job = calloc(1, sizeof(*job));
	job->server = server;
	job->request = request;
	request->keeper = job;
	list_init(&request->kept);
	list_add_tail(&server->kept, &request->kept);
	if (request->op == OP_READ) {
		list_init(&job->reader.queued);
		job->reader.ready = read_ready;
		if (replica_may_read(server->replica, &job->reader))
			read_ready(&job->reader, DVS_OK);
		return DVS_OK;
	}
	job->entry.client = request->source;
	job->entry.call = request->call;
	job->entry.head_bytes = 8;
	memcpy(job->entry.head, request->payload, 8);
	job->entry.head[0] = (uint8_t)request->op;
	job->entry.done = entry_done;
	if (request->data_bytes > 0) {
		job->data = malloc(request->data_bytes);
		memcpy(job->data, request->data, request->data_bytes);
		job->entry.data = job->data;
		job->entry.bytes = request->data_bytes;
	}
	replica_submit(server->replica, &job->entry);
	return DVS_OK;
}

/* ---- the server ---- */

static void handed(void *context, dvs_err err)
{
	(void)context;
	printf("handed %s\n", dvs_err_name(err));
	(void)fflush(stdout);
}

static void on_input(struct post *post)
{
	struct server *server = CONTAINER_OF(post, struct server, input);
	char line[sizeof(server->line)];
	unsigned long number;

	pthread_mutex_lock(&server->lock);
	memcpy(line, server->line, sizeof(line));
	pthread_mutex_unlock(&server->lock);
	if (strncmp(line, "hand ", 5) == 0) {
		number = strtoul(line + 5, NULL, 10);
		replica_hand_over(server->replica, (dvs_nodeid){ (uint32_t)number }, handed,
				  server);
	} else if (strncmp(line, "look", 4) == 0) {
		replica_look_again(server->replica);
	} else if (strncmp(line, "end", 3) == 0) {
		skeleton_stop(server->skeleton);
	}
}

static void *watch_input(void *argument)
{
	struct server *server = argument;
	char line[sizeof(server->line)];

	while (fgets(line, sizeof(line), stdin)) {
		pthread_mutex_lock(&server->lock);
		memcpy(server->line, line, sizeof(line));
		pthread_mutex_unlock(&server->lock);
		poster_put(&server->poster, &server->input);
		if (strncmp(line, "end", 3) == 0)
			return NULL;
	}
	_exit(0);
}

static struct file *file_open(const char *dir, uint32_t node, bool *is_empty)
{
	char path[256];
	struct file *file;
	int fd;

	(void)mkdir(dir, 0700);
	(void)snprintf(path, sizeof(path), "%s/numbers-%u", dir, node);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*file)) != 0)
		abort();
	file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (file == MAP_FAILED)
		abort();
	*is_empty = !file->is_current;
	return file;
}

static struct dvk *link_open(const char *run_dir, const char *dc)
{
	char path[256];
	struct dvk *dvk;

	(void)snprintf(path, sizeof(path), "%s/dc/%s/control", run_dir, dc);
	must(dvk_open(path, &dvk), "open a link");
	return dvk;
}

static int server_main(int argc, char **argv)
{
	static const struct replica_owner owner_of = {
		.apply = apply,
		.heard = heard,
		.role = role,
		.hello = hello,
		.joined = joined,
		.left = left,
	};
	static struct server server;
	struct replica_owner owner = owner_of;
	struct replica_config config = { .run_dir = argv[2],
					 .dc = argv[3],
					 .name = "numbers",
					 .service = dvs_ep_of((uint32_t)strtoul(argv[4], NULL, 10)),
					 .node = { (uint32_t)strtoul(argv[5], NULL, 10) },
					 .nodes = strtoul(argv[6], NULL, 16),
					 .first = { (uint32_t)strtoul(argv[7], NULL, 10) },
					 .owner = &owner,
					 .log = &server.log };
	struct skeleton_service services[2] = {
		{ .name = "numbers",
		  .first = OP_COUNT,
		  .last = OP_LAST,
		  .allow = allow,
		  .serve = serve,
		  .state = &server },
		replica_peers(&server.replica),
	};
	struct skeleton_config skeleton = {
		.log = &server.log, .users_are_all = true, .services = services, .n_services = 2
	};
	pthread_t input;

	if (argc > 10) {
		config.lease_ms = (uint32_t)strtoul(argv[9], NULL, 10);
		config.evict_ms = (uint32_t)strtoul(argv[10], NULL, 10);
	}
	owner.context = &server;
	server.log = log_to_stderr(getenv("REPLICA_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	server.file = file_open(argv[8], config.node.n, &config.is_empty);
	server.data = malloc(DATA_BYTES);
	list_init(&server.kept);
	pthread_mutex_init(&server.lock, NULL);
	server.input.run = on_input;
	config.dvk = skeleton.dvk = link_open(argv[2], argv[3]);
	must(dvk_admin_open(argv[2], &config.admin), "open the admin socket");
	must(skeleton_open(&skeleton, &server.skeleton), "make the loop");
	server.poster = skeleton_poster(server.skeleton);
	config.skeleton = server.skeleton;
	must(replica_open(&config, &server.replica), "open the replica");
	if (pthread_create(&input, NULL, watch_input, &server) != 0)
		abort();
	must(skeleton_run(server.skeleton), "serve");
	pthread_join(input, NULL);
	replica_close(server.replica);
	skeleton_close(server.skeleton);
	dvk_close(config.dvk);
	dvk_close(config.admin);
	free(server.data);
	return 0;
}

/* ---- clients ---- */

static dvs_err count(struct m3 *self, dvs_ep service, uint32_t client, uint32_t number)
{
	struct dvs_msg msg = { .type = OP_COUNT };
	dvs_err err;

	msg.bytes[1] = (uint8_t)client;
	memcpy(msg.bytes + 4, &number, sizeof(number));
	err = m3_call(self, service, &msg, NULL, 0, NULL, 0, NULL, 30000);
	return err == DVS_OK && msg.u32[0] != 0 ? DVS_IO : err;
}

static bool was_counted(const struct state *state, uint32_t client, uint32_t number)
{
	return state->numbers[client][number / 8] >> number % 8 & 1;
}

static int check_main(struct m3 *self, dvs_ep service, uint32_t client, const uint8_t *acked,
		      uint32_t n)
{
	static struct state state;
	struct dvs_msg msg;
	size_t bytes = 0;
	uint32_t lost = 0;
	dvs_err err = DVS_IO;

	for (uint64_t until = clock_deadline_ns(60 * CLOCK_NS_PER_S);
	     err != DVS_OK && !clock_is_past(until);) {
		msg = (struct dvs_msg){ .type = OP_READ };
		err = m3_call(self, service, &msg, NULL, 0, &state, sizeof(state), &bytes, 30000);
	}
	must(err, "read");
	for (uint32_t i = 0; i < n; i++)
		lost += acked[i] && !was_counted(&state, client, i);
	printf("lost %u twice %" PRIu64 "\n", lost, state.n_twice);
	return lost > 0 || state.n_twice > 0;
}

static int count_main(char **argv)
{
	static uint8_t acked[NUMBERS];
	struct dvk *dvk = link_open(argv[2], argv[3]);
	dvs_ep service = dvs_ep_of((uint32_t)strtoul(argv[4], NULL, 10));
	uint32_t client = (uint32_t)strtoul(argv[5], NULL, 10);
	uint64_t until_ns = clock_deadline_ns(strtoul(argv[6], NULL, 10) * CLOCK_NS_PER_MS);
	uint32_t n_acked = 0, n_unknown = 0, number = 0;
	uint64_t last_ns = clock_now_ns(), longest_ns = 0;
	struct m3 *self;

	must(dvk_bind(dvk, dvs_ep_any(), DVK_LOCAL, &self), "bind");
	while (!clock_is_past(until_ns) && number < NUMBERS) {
		dvs_err err = count(self, service, client, number);
		uint64_t now_ns = clock_now_ns();

		if (err == DVS_NODEST) {
			/* nobody is there: it was not sent */
			(void)!dvk_wait_bind(dvk, service, 1000, NULL);
			continue;
		}
		acked[number++] = err == DVS_OK;
		n_acked += err == DVS_OK;
		n_unknown += err != DVS_OK;
		if (err == DVS_OK && now_ns - last_ns > longest_ns)
			longest_ns = now_ns - last_ns;
		if (err == DVS_OK)
			last_ns = now_ns;
	}
	printf("acked %u unknown %u longest_ms %" PRIu64 "\n", n_acked, n_unknown,
	       longest_ns / CLOCK_NS_PER_MS);
	(void)fflush(stdout);
	return check_main(self, service, client, acked, number);
}

struct timing {
	struct dvk *dvk;
	dvs_ep service;
	uint32_t op;
	size_t bytes;
	atomic_int left;
};

static void *time_run(void *argument)
{
	struct timing *timing = argument;
	void *data = calloc(1, timing->bytes + 1);
	struct m3 *self;

	must(dvk_bind(timing->dvk, dvs_ep_any(), DVK_LOCAL, &self), "bind");
	while (atomic_fetch_sub(&timing->left, 1) > 0) {
		struct dvs_msg msg = { .type = timing->op };

		must(m3_call(self, timing->service, &msg, data, timing->bytes, NULL, 0, NULL,
			     60000),
		     "call");
		if (msg.u32[0] != 0)
			must(DVS_IO, "answer");
	}
	dvk_unbind(self);
	free(data);
	return NULL;
}

static int time_main(char **argv)
{
	struct timing timing = { .dvk = link_open(argv[2], argv[3]),
				 .service = dvs_ep_of((uint32_t)strtoul(argv[4], NULL, 10)),
				 .op = strcmp(argv[5], "plain") == 0 ? OP_PLAIN : OP_DATA,
				 .bytes = strtoul(argv[6], NULL, 10) };
	int n = atoi(argv[7]);
	int depth = atoi(argv[8]);
	pthread_t threads[64];
	uint64_t began_ns;
	double s;

	atomic_init(&timing.left, 20);
	(void)time_run(&timing);
	atomic_store(&timing.left, n);
	began_ns = clock_now_ns();
	for (int i = 0; i < depth; i++) {
		if (pthread_create(&threads[i], NULL, time_run, &timing) != 0)
			abort();
	}
	for (int i = 0; i < depth; i++)
		pthread_join(threads[i], NULL);
	s = (double)(clock_now_ns() - began_ns) / 1e9;
	printf("us %.1f mb_s %.1f\n", s * 1e6 / n, (double)timing.bytes * n / s / 1e6);
	dvk_close(timing.dvk);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 9 && strcmp(argv[1], "serve") == 0)
		return server_main(argc, argv);
	if (argc == 7 && strcmp(argv[1], "count") == 0)
		return count_main(argv);
	if (argc == 9 && strcmp(argv[1], "time") == 0)
		return time_main(argv);
	(void)fprintf(stderr, "usage: see the head of replica_actor.c\n");
	return 2;
}
