/* SPDX-License-Identifier: Apache-2.0 */
/* What it maps: its own areas, each channel that it has, and the whole inbox area of each partner's process. It keeps all of
 * it when its link is closed, and comes back with a new one. Beside noise it writes what looks right: heads with fitting kinds
 * and numbers, bells, notes, lengths. */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "forge.h"
#include "ipc/futex.h"
#include "lab.h"

#define NOBODY 65534
#define REGIONS_MAX 96u
#define STEAL_NS (2 * CLOCK_NS_PER_MS)

enum region_kind { REGION_CHANNEL, REGION_AREA, REGION_STATS };

struct region {
	enum region_kind kind;
	int fd;
	uint8_t *at;
	size_t bytes;
};

struct attack {
	const struct hostile *hostile;
	uint64_t rng;
	uint32_t n_regions;
	struct region region[REGIONS_MAX];
	struct raw_link link;
	uint32_t ep;
	_Atomic(struct ipc_inbox *)
		stolen; /* the inbox whose wake-ups the thief wants; stays mapped */
};

/* ---- what it can write to ---- */

static void region_drop(struct attack *attack, uint32_t i)
{
	struct region *region = &attack->region[i];

	(void)munmap(region->at, region->bytes);
	close(region->fd);
	*region = attack->region[--attack->n_regions];
}

/* Map FD, which is taken over. */
static void region_add(struct attack *attack, enum region_kind kind, int fd, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || at == MAP_FAILED) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (attack->n_regions == REGIONS_MAX)
		region_drop(attack, rng_below(&attack->rng, REGIONS_MAX));
	attack->region[attack->n_regions++] =
		(struct region){ .kind = kind, .fd = fd, .at = at, .bytes = bytes };
}

static void take_channel(struct attack *attack, int fd[2])
{
	if (!atomic_load(&attack->stolen)) {
		void *at = mmap(NULL, IPC_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd[1], 0);

		if (at != MAP_FAILED)
			atomic_store(&attack->stolen, at);
	}
	atomic_fetch_add(&attack->hostile->board->n_channels, 1);
	region_add(attack, REGION_CHANNEL, take_fd(&fd[0]), IPC_CHANNEL_BYTES);
	region_add(attack, REGION_AREA, take_fd(&fd[1]), IPC_AREA_BYTES);
}

static void on_event(void *arg, struct frame *frame)
{
	if (frame->op == CONTROL_CHANNEL && frame->fd[1] >= 0)
		take_channel(arg, frame->fd);
}

/* ---- garbage ---- */

/* Where something that matters is read. */
static size_t place(struct attack *attack, const struct region *region)
{
	uint64_t *rng = &attack->rng;

	if (region->kind == REGION_AREA) {
		uint32_t page = rng_below(rng, rng_below(rng, 64) ? 4 : 16);

		return (size_t)page * IPC_PAGE +
		       rng_below(rng, rng_below(rng, 2) ? 48 : (uint32_t)sizeof(struct ipc_inbox));
	}
	if (region->kind == REGION_STATS || rng_below(rng, 8) == 0)
		return rng_below(rng, (uint32_t)region->bytes);
	return rng_below(rng, (uint32_t)sizeof(struct ipc_channel));
}

static void write_noise(struct attack *attack, const struct region *region)
{
	size_t at = place(attack, region);
	uint32_t len = 1 + rng_below(&attack->rng, rng_below(&attack->rng, 8) ? 8 : 4096);
	uint8_t byte = (uint8_t)rng_next(&attack->rng);
	uint32_t how = rng_below(&attack->rng, 4);

	for (uint32_t i = 0; i < len && at + i < region->bytes; i++) {
		if (how == 0)
			byte = (uint8_t)rng_next(&attack->rng);
		region->at[at + i] = how == 1 ? 0 : how == 2 ? 0xff : byte;
	}
}

/* A word like one of those that stand there. */
static void write_word(struct attack *attack, const struct region *region)
{
	size_t at = place(attack, region) & ~(size_t)3;
	_Atomic uint32_t *word = (_Atomic uint32_t *)(void *)(region->at + at);
	uint64_t *rng = &attack->rng;

	switch (rng_below(rng, 4)) {
	case 0:
		atomic_fetch_xor(word, 1u << rng_below(rng, 32));
		break;
	case 1:
		atomic_fetch_add(word, IPC_HEAD(1, 0));
		break;
	case 2:
		atomic_fetch_add(word, 1);
		break;
	default:
		atomic_store(word, rng_below(rng, 16));
		break;
	}
}

/* A head for one of the four cells: the number that is expected next, or near it. */
static void write_head(struct attack *attack, const struct region *region)
{
	static const uint32_t flags = IPC_HAS_DATA | IPC_RESENT | IPC_RELAYED_CALL;
	struct ipc_channel *channel = (struct ipc_channel *)(void *)region->at;
	struct ipc_lane *lane = &channel->lane[rng_below(&attack->rng, 2)];
	uint32_t other = atomic_load(&channel->lane[rng_below(&attack->rng, 2)].request.head);
	uint32_t number = IPC_NUMBER(other) + rng_below(&attack->rng, 3) - 1;
	uint32_t kind = rng_below(&attack->rng, 7) | ((uint32_t)rng_next(&attack->rng) & flags);
	bool reply = rng_below(&attack->rng, 2);

	atomic_store(&lane->ext.out_bytes, (uint32_t)rng_next(&attack->rng));
	atomic_store(&lane->ext.in_cap, (uint32_t)rng_next(&attack->rng));
	atomic_store(&lane->ext.reply_bytes, (uint32_t)rng_next(&attack->rng));
	atomic_store(&lane->ext.relay_to, TALK_SERVER_NUMBER + rng_below(&attack->rng, 3));
	atomic_store(&lane->ext.relayed_by, (uint32_t)rng_next(&attack->rng));
	atomic_store(reply ? &lane->reply.head : &lane->request.head,
		     IPC_HEAD(number & IPC_NUMBER_MAX, kind));
}

/* Zeroes by the kernel; and what must not be possible at all. */
static void punch(struct attack *attack, const struct region *region)
{
	uint32_t page = rng_below(&attack->rng, region->kind == REGION_CHANNEL ? 64 : 4);
	off_t at = (off_t)page * IPC_PAGE;

	switch (rng_below(&attack->rng, 4)) {
	case 0:
		(void)madvise(region->at + at, IPC_PAGE, MADV_REMOVE);
		break;
	case 1:
		(void)fallocate(region->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
				IPC_PAGE);
		break;
	case 2:
		if (ftruncate(region->fd, 0) == 0)
			talk_fail(attack->hostile->board, "shared memory can be cut off");
		break;
	default:
		if (fcntl(region->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) == 0)
			talk_fail(attack->hostile->board, "shared memory can be sealed for all");
		break;
	}
}

static void ring_bells(struct attack *attack, const struct region *region)
{
	size_t page = (size_t)rng_below(&attack->rng, 4) * IPC_PAGE;
	struct ipc_inbox *inbox = (struct ipc_inbox *)(void *)(region->at + page);

	switch (rng_below(&attack->rng, 4)) {
	case 0:
		atomic_store(&inbox->bell, 0);
		break;
	case 1:
		atomic_fetch_sub(&inbox->events, 1);
		break;
	case 2:
		atomic_store(&inbox->first, rng_next(&attack->rng));
		break;
	default:
		break;
	}
	futex_wake(&inbox->bell, (int)rng_below(&attack->rng, 3));
}

static void one_piece(struct attack *attack)
{
	const struct region *region;
	uint32_t dice = rng_below(&attack->rng, 64);

	if (attack->n_regions == 0)
		return;
	region = &attack->region[rng_below(&attack->rng, attack->n_regions)];
	if (dice == 0)
		punch(attack, region);
	else if (dice < 16 && region->kind == REGION_AREA)
		ring_bells(attack, region);
	else if (dice < 32 && region->kind == REGION_CHANNEL)
		write_head(attack, region);
	else if (dice < 48)
		write_word(attack, region);
	else
		write_noise(attack, region);
}

/* Waits on another's bell, so that wake-ups may go to it, and wipes what the owner left there to be woken, and what its
 * partners left to be seen. */
static void *steal_wakeups(void *arg)
{
	struct attack *attack = arg;

	for (uint32_t i = 0; atomic_load(&attack->hostile->board->stop) != TALK_STOP_ALL; i++) {
		struct ipc_inbox *inbox = atomic_load(&attack->stolen);
		struct timespec span = clock_timespec(STEAL_NS);

		if (!inbox) {
			(void)poll(NULL, 0, 1);
		} else if (i % 64 == 0) {
			futex_wait(&inbox->bell, atomic_load(&inbox->bell), &span);
		} else {
			atomic_fetch_and(&inbox->bell, ~(IPC_BELL_SLEEPS | IPC_BELL_WAITS));
			atomic_store(&inbox->first, 0);
			(void)poll(NULL, 0, 0);
		}
	}
	return NULL;
}

/* ---- the link ---- */

static void connect_to_all(struct attack *attack)
{
	uint32_t n = TALK_SERVERS + attack->hostile->n_clients;

	for (uint32_t i = 0; i < n; i++) {
		struct control_connect_rep reply;
		uint32_t to = i < TALK_SERVERS ? TALK_SERVER_NUMBER + i :
						 TALK_CLIENT_NUMBER + i - TALK_SERVERS;
		int fd[2];

		if (raw_connect(&attack->link, attack->ep, to, &reply, fd) == DVS_OK)
			take_channel(attack, fd);
		frame_close_fds(fd);
	}
}

static void come_in(struct attack *attack)
{
	struct control_bind_rep bound;
	int fd[2];

	raw_close(&attack->link);
	if (!raw_open(&attack->link, attack->hostile->control))
		return;
	attack->link.on_event = on_event;
	attack->link.arg = attack;
	if (raw_hello(&attack->link, fd)) {
		frame_close_fds(fd);
		return;
	}
	region_add(attack, REGION_AREA, fd[0], IPC_AREA_BYTES);
	region_add(attack, REGION_STATS, fd[1], IPC_STATS_BYTES);
	/* Its former link may not be closed yet: then it has no number this time. */
	attack->ep = 0;
	if (raw_bind(&attack->link, TALK_HOSTILE_NUMBER + attack->hostile->number, &bound) ==
	    DVS_OK) {
		attack->ep = bound.ep;
		connect_to_all(attack);
	}
}

static void bother_dvsd(struct attack *attack)
{
	uint32_t values[] = { 0,
			      1,
			      TALK_SERVER_NUMBER,
			      TALK_SERVER_NUMBER + 1,
			      TALK_CLIENT_NUMBER,
			      TALK_CLIENT_NUMBER + 1,
			      TALK_HOSTILE_NUMBER,
			      attack->ep,
			      attack->ep,
			      attack->ep,
			      (uint32_t)getpid(),
			      (uint32_t)getppid(),
			      UINT32_MAX };
	struct forge forge = { .rng = &attack->rng,
			       .values = values,
			       .n_values = sizeof(values) / sizeof(values[0]) };

	forge_send(&forge, &attack->link);
	atomic_fetch_add(&attack->hostile->board->n_frames, 1);
	raw_pump(&attack->link);
}

static void make_trouble(struct attack *attack)
{
	const struct hostile *hostile = attack->hostile;
	uint32_t n = rng_below(&attack->rng, 2000);

	if (attack->link.fd < 0 || rng_below(&attack->rng, 64) == 0)
		come_in(attack);
	for (uint32_t i = 0; i < n; i++) {
		one_piece(attack);
		if (hostile->pause_us && rng_below(&attack->rng, 16) == 0)
			rng_pause(&attack->rng, hostile->pause_us);
	}
	atomic_fetch_add(&hostile->board->n_garbage, n);
	bother_dvsd(attack);
}

int hostile_run(const struct hostile *hostile)
{
	struct attack attack = { .hostile = hostile, .rng = hostile->seed, .link = { .fd = -1 } };
	pthread_t thief;

	if (geteuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
		return EXIT_FAILURE;
	if (pthread_create(&thief, NULL, steal_wakeups, &attack))
		return EXIT_FAILURE;
	come_in(&attack);
	while (atomic_load(&hostile->board->stop) != TALK_STOP_ALL) {
		if (hostile->only_wipes)
			(void)poll(NULL, 0, 10);
		else
			make_trouble(&attack);
	}
	(void)pthread_join(thief, NULL);
	return EXIT_SUCCESS;
}
