/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"

/* Number, seed and length of what follows, then up to this many bytes that follow from the seed. */
#define BODY_RANDOM_MAX 40u
#define PORTS 64u

bool pair_own_network(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	bool is_up;
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	request.ifr_flags = IFF_UP;
	is_up = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
	close(fd);
	return is_up;
}

uint32_t pair_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	uint32_t port = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
	    getsockname(fd, (struct sockaddr *)&address, &len) == 0)
		port = ntohs(address.sin_port);
	if (fd >= 0)
		close(fd);
	return port > UINT16_MAX - PORTS ? port - PORTS : port;
}

uint64_t pair_random(uint64_t *state)
{
	uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);

	mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
	return mixed ^ mixed >> 31;
}

uint64_t pair_seed(void)
{
	const char *given = getenv("PAIR_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : clock_now_ns();

	printf("# PAIR_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* Half of it can be compressed well, half cannot. */
void pair_fill(uint8_t *bytes, size_t len, uint64_t seed)
{
	uint64_t state = seed;
	uint64_t word = 0;

	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			word = (i >> 14) % 2 ? (uint64_t)i >> 9 : pair_random(&state);
		bytes[i] = (uint8_t)(word >> 8 * (i % 8));
	}
}

static void on_up(void *context, enum link_class class, bool fresh)
{
	struct side *side = context;
	struct told *told = &side->told[class];

	pthread_mutex_lock(&side->lock);
	told->ups++;
	told->fresh += fresh;
	pthread_cond_broadcast(&side->news);
	pthread_mutex_unlock(&side->lock);
}

static void on_down(void *context, enum link_class class, const char *why)
{
	struct side *side = context;
	struct told *told = &side->told[class];

	pthread_mutex_lock(&side->lock);
	told->downs++;
	snprintf(told->why, sizeof(told->why), "%s", why);
	pthread_cond_broadcast(&side->news);
	pthread_mutex_unlock(&side->lock);
}

static void *on_place(void *context, enum link_class class, const struct frame_header *header,
		      struct cursor body)
{
	struct side *side = context;
	uint64_t number = cursor_u64(&body);

	(void)header;
	/* Some are not wanted. */
	return number % 7 == 3 ? NULL : side->told[class].room;
}

static bool frame_is_good(const struct frame_header *header, struct cursor body, const void *data,
			  uint64_t number)
{
	uint8_t *expected = malloc(WIRE_DATA_MAX);
	uint64_t seed;
	uint8_t len;
	const uint8_t *rest;
	bool is_good;

	cursor_u64(&body);
	seed = cursor_u64(&body);
	len = cursor_u8(&body);
	rest = cursor_borrow(&body, len);
	pair_fill(expected, len, seed);
	is_good = cursor_done(&body) && (len == 0 || memcmp(rest, expected, len) == 0) &&
		  header->dc == (uint32_t)seed && header->src == (uint32_t)number;
	if (data) {
		pair_fill(expected, header->data_bytes, seed);
		is_good = is_good && memcmp(data, expected, header->data_bytes) == 0;
	}
	free(expected);
	return is_good;
}

static void on_frame(void *context, enum link_class class, const struct frame_header *header,
		     struct cursor body, void *data)
{
	struct side *side = context;
	struct told *told = &side->told[class];
	struct cursor look = body;
	uint64_t number = cursor_u64(&look);
	bool is_good = frame_is_good(header, body, data, number);

	pthread_mutex_lock(&side->lock);
	told->broken += !is_good || (told->next != 0 && number < told->next);
	told->next = number + 1;
	told->frames++;
	pthread_cond_broadcast(&side->news);
	pthread_mutex_unlock(&side->lock);
}

static void on_idle(void *context, enum link_class class)
{
	struct side *side = context;

	pthread_mutex_lock(&side->lock);
	side->told[class].idles++;
	pthread_mutex_unlock(&side->lock);
}

void side_init(struct side *side, uint32_t node, uint32_t peer, uint32_t port)
{
	memset(side, 0, sizeof(*side));
	config_defaults(&side->config);
	snprintf(side->config.cluster, sizeof(side->config.cluster), "farm");
	snprintf(side->config.address, sizeof(side->config.address), "127.0.0.1");
	snprintf(side->address, sizeof(side->address), "127.0.0.1");
	side->config.node = node;
	side->config.port = port;
	memset(side->config.link[peer].filters, 0, sizeof(side->config.link[peer].filters));
	side->peer = peer;
	side->seed = pair_seed() + node;
	side->incarnation = pair_random(&(uint64_t){ side->seed });
	side->log = log_to_stderr(getenv("PAIR_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	pthread_mutex_init(&side->lock, NULL);
	pthread_cond_init(&side->news, NULL);
	for (size_t i = 0; i < LINK_CLASSES; i++)
		side->told[i].room = malloc(WIRE_DATA_MAX);
}

dvs_err side_open(struct side *side)
{
	const struct link_setup setup = {
		.config = &side->config,
		.log = &side->log,
		.node = side->config.node,
		.peer = side->peer,
		.address = side->address,
		.incarnation = side->incarnation,
		.events = { side, on_up, on_down, on_place, on_frame, on_idle },
	};

	return peer_link_open(&setup, &side->link);
}

void side_close(struct side *side)
{
	peer_link_close(side->link);
	side->link = NULL;
	for (size_t i = 0; i < LINK_CLASSES; i++)
		free(side->told[i].room);
	pthread_mutex_destroy(&side->lock);
	pthread_cond_destroy(&side->news);
}

struct told side_told(struct side *side, enum link_class class)
{
	struct told told;

	pthread_mutex_lock(&side->lock);
	told = side->told[class];
	pthread_mutex_unlock(&side->lock);
	return told;
}

static bool side_wait(struct side *side, const struct timespec *until)
{
	return pthread_cond_timedwait(&side->news, &side->lock, until) == 0;
}

static struct timespec wait_end(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PAIR_WAIT_MS / 1000;
	return until;
}

bool side_wait_up(struct side *side, enum link_class class, unsigned int n)
{
	struct timespec until = wait_end();
	struct told *told = &side->told[class];
	bool in_time = true;

	pthread_mutex_lock(&side->lock);
	while (in_time && (told->ups < n || told->downs >= told->ups))
		in_time = side_wait(side, &until);
	pthread_mutex_unlock(&side->lock);
	return in_time;
}

bool side_wait_down(struct side *side, enum link_class class, unsigned int n)
{
	struct timespec until = wait_end();
	bool in_time = true;

	pthread_mutex_lock(&side->lock);
	while (in_time && side->told[class].downs < n)
		in_time = side_wait(side, &until);
	pthread_mutex_unlock(&side->lock);
	return in_time;
}

bool side_wait_frames(struct side *side, enum link_class class, uint64_t frames)
{
	struct timespec until = wait_end();
	bool in_time = true;

	pthread_mutex_lock(&side->lock);
	while (in_time && side->told[class].frames < frames)
		in_time = side_wait(side, &until);
	pthread_mutex_unlock(&side->lock);
	return in_time;
}

static bool send_one(struct side *side, enum link_class class, uint64_t seed, const uint8_t *data,
		     size_t data_bytes)
{
	uint8_t random[BODY_RANDOM_MAX];
	uint8_t body[LINK_BODY_MAX];
	struct writer writer = writer_over(body, sizeof(body));
	uint64_t number = side->sent[class]++;
	size_t len = seed % (BODY_RANDOM_MAX + 1);
	struct frame_header header = {
		.type = FRAME_CALL,
		.dc = (uint32_t)seed,
		.src = (uint32_t)number,
	};

	writer_u64(&writer, number);
	writer_u64(&writer, seed);
	pair_fill(random, len, seed);
	writer_u8(&writer, len);
	writer_bytes(&writer, random, len);
	return peer_link_put(side->link, class, &header, body, writer_len(&writer), data,
			     data_bytes);
}

#define SEND_BUFFERS 8u

uint64_t side_send(struct side *side, enum link_class class, uint64_t n, size_t max_data)
{
	/* What is not flushed yet must stay as it is. */
	uint8_t *buffers[SEND_BUFFERS];
	size_t waiting = 0;
	uint64_t taken = 0;
	uint64_t state = side->seed + class + side->sent[class];

	for (size_t i = 0; i < SEND_BUFFERS; i++)
		buffers[i] = malloc(max_data + 1);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t random = pair_random(&state);
		uint64_t seed = pair_random(&state);
		size_t bytes = 0;

		/* Some without, some small, some as large as they may be. */
		if (random % 3 != 0 && max_data > 0)
			bytes = random % 3 == 1 ? random % 300 % (max_data + 1) :
						  (random >> 8) % (max_data + 1);
		pair_fill(buffers[waiting], bytes, seed);
		taken += send_one(side, class, seed, buffers[waiting], bytes);
		waiting++;
		if (waiting == SEND_BUFFERS || (random >> 40) % 5 == 0) {
			peer_link_flush(side->link, class);
			waiting = 0;
		}
	}
	peer_link_flush(side->link, class);
	for (size_t i = 0; i < SEND_BUFFERS; i++)
		free(buffers[i]);
	return taken;
}

static void *sender_run(void *argument)
{
	struct sender *sender = argument;

	sender->sent = side_send(sender->side, sender->class, sender->n, sender->max_data);
	return NULL;
}

void sender_start(struct sender *sender)
{
	(void)!pthread_create(&sender->thread, NULL, sender_run, sender);
}

void sender_join(struct sender *sender)
{
	pthread_join(sender->thread, NULL);
}
