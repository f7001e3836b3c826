/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/fuse/turns.h"

#include "base/clock.h"

#define LOOK_NS CLOCK_NS_PER_MS
/* After so many looks without a request the watch sleeps. */
#define QUIET_LOOKS 50u
/* One slow request is as many quick ones. */
#define SLOW_WEIGHT 16u
#define SLOWNESS_MAX ((TURNS_READERS_MAX - 1) * SLOW_WEIGHT)

void turns_begin(struct turns *turns)
{
	pthread_condattr_t clock;

	*turns = (struct turns){ .n_readers = 0 };
	pthread_mutex_init(&turns->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&turns->watch, &clock);
	pthread_cond_init(&turns->rest, &clock);
	pthread_condattr_destroy(&clock);
}

void turns_free(struct turns *turns)
{
	pthread_cond_destroy(&turns->rest);
	pthread_cond_destroy(&turns->watch);
	pthread_mutex_destroy(&turns->lock);
}

static bool is_room(const struct turns *turns)
{
	return turns->n_readers < 1 + turns->slowness / SLOW_WEIGHT;
}

static void learn(struct turns *turns, struct turn *turn, uint64_t now_ns)
{
	if (!turn->taken_ns)
		return;
	if (now_ns < turn->taken_ns + TURNS_SLOW_NS)
		turns->slowness -= turns->slowness > 0;
	else if (turns->slowness + SLOW_WEIGHT < SLOWNESS_MAX)
		turns->slowness += SLOW_WEIGHT;
	else
		turns->slowness = SLOWNESS_MAX;
	turn->taken_ns = 0;
}

static void wait_for_look(struct turns *turns)
{
	const struct timespec until = clock_timespec(clock_deadline_ns(LOOK_NS));

	(void)pthread_cond_timedwait(&turns->watch, &turns->lock, &until);
}

static void sleep_on_watch(struct turns *turns)
{
	turns->is_watch_asleep = true;
	while (turns->is_watch_asleep && !turns->is_over && !is_room(turns))
		pthread_cond_wait(&turns->watch, &turns->lock);
	turns->is_watch_asleep = false;
}

/* True: all who read have requests that take their time. */
static bool keep_watch(struct turns *turns)
{
	uint64_t seen = turns->n_taken;
	uint32_t n_quiet = 0;

	while (!turns->is_over && !is_room(turns)) {
		wait_for_look(turns);
		if (turns->n_taken != seen) {
			n_quiet = 0;
		} else if (turns->n_readers == 0) {
			return true;
		} else if (++n_quiet == QUIET_LOOKS) {
			sleep_on_watch(turns);
			n_quiet = 0;
		}
		seen = turns->n_taken;
	}
	return false;
}

/* True: to read whether there is room or not. */
static bool stand_by(struct turns *turns)
{
	bool must_read;

	if (turns->has_watch) {
		turns->n_resting++;
		pthread_cond_wait(&turns->rest, &turns->lock);
		turns->n_resting--;
		return false;
	}
	turns->has_watch = true;
	must_read = keep_watch(turns);
	turns->has_watch = false;
	return must_read;
}

bool turns_wait(struct turns *turns, struct turn *turn)
{
	uint64_t now_ns = turn->taken_ns ? clock_now_ns() : 0;
	bool must_read = false;
	bool may_read;

	pthread_mutex_lock(&turns->lock);
	learn(turns, turn, now_ns);
	while (!turns->is_over && !must_read && !is_room(turns))
		must_read = stand_by(turns);
	may_read = !turns->is_over;
	if (may_read)
		turns->n_readers++;
	if (turns->has_watch && is_room(turns))
		pthread_cond_signal(&turns->watch);
	else if (!turns->has_watch && turns->n_resting > 0)
		pthread_cond_signal(&turns->rest);
	pthread_mutex_unlock(&turns->lock);
	return may_read;
}

bool turns_take(struct turns *turns, struct turn *turn)
{
	bool is_nobody_left = false;

	turn->taken_ns = clock_now_ns();
	pthread_mutex_lock(&turns->lock);
	turns->n_readers--;
	turns->n_taken++;
	if (turns->n_readers == 0 && turns->is_watch_asleep) {
		turns->is_watch_asleep = false;
		pthread_cond_signal(&turns->watch);
	} else if (turns->n_readers == 0) {
		is_nobody_left = !turns->has_watch && turns->n_resting == 0 && !turns->is_over;
	}
	pthread_mutex_unlock(&turns->lock);
	return is_nobody_left;
}

void turns_end(struct turns *turns)
{
	pthread_mutex_lock(&turns->lock);
	turns->is_over = true;
	pthread_cond_broadcast(&turns->watch);
	pthread_cond_broadcast(&turns->rest);
	pthread_mutex_unlock(&turns->lock);
}
