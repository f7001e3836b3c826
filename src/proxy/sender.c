/* SPDX-License-Identifier: Apache-2.0 */
/* The two threads that send. The one of messages sleeps on the bell of the proxy's inbox page like a receiver (ipc/receive.c), and looks at the
 * channels whose bits are set; many frames go out in one system call. Its page can be written by all processes that have a channel here: what
 * a hostile one wipes is found by looking at all channels now and then. */
#include <sched.h>

#include "base/clock.h"
#include "ipc/futex.h"
#include "ipc/policy.h"
#include "proxy/carried.h"

/* With one conversation at a time this thread sleeps where its endpoint runs (see near.h). */
static void remember(struct sender *sender, const struct carried *ch, unsigned n_before)
{
	if (n_before == 0 && sender->only == ch) {
		sender->streak += sender->streak < POLICY_ONLY_CLIENT;
		sender->cpu = atomic_load_explicit(&ch->theirs->control.cpu, memory_order_relaxed);
	} else {
		sender->only = n_before == 0 ? ch : NULL;
		sender->streak = 0;
	}
}

/* All that may send now, once round. How long to wait until others may: *WAIT_NS. */
static unsigned turn(struct sender *sender, uint64_t *wait_ns)
{
	struct mirror *mirror = sender->mirror;
	struct carried *ch;
	unsigned n = 0;

	while ((ch = queue_pop(mirror, sender->class, wait_ns))) {
		if (sender->class == LINK_MESSAGES)
			say_messages(sender, ch);
		else
			say_bulk(sender, ch);
		remember(sender, ch, n);
		carried_put(ch);
		n++;
	}
	queue_next_round(mirror, sender->class);
	return n;
}

static void sleep_on(_Atomic uint32_t *word, uint32_t value, uint64_t span_ns)
{
	struct timespec span;

	if (span_ns == UINT64_MAX) {
		futex_wait(word, value, NULL);
		return;
	}
	span = clock_timespec(span_ns);
	futex_wait(word, value, &span);
}

/* ---- bulk ---- */

static void *run_bulk(void *arg)
{
	struct sender *sender = arg;
	struct mirror *mirror = sender->mirror;

	while (!atomic_load(&mirror->stops)) {
		uint32_t bell = atomic_load(&mirror->bulk_bell);
		uint64_t wait_ns;
		unsigned n;

		pthread_mutex_lock(&sender->lock);
		n = turn(sender, &wait_ns);
		say_flush(sender);
		pthread_mutex_unlock(&sender->lock);
		if (n == 0 && wait_ns != 0)
			sleep_on(&mirror->bulk_bell, bell, wait_ns);
	}
	return NULL;
}

bool mirror_send_bulk(struct mirror *mirror, struct frame_header *header, const void *body,
		      size_t body_bytes, const void *data, size_t data_bytes)
{
	struct sender *sender = &mirror->sender[LINK_BULK];
	bool put;

	pthread_mutex_lock(&sender->lock);
	put = !atomic_load(&mirror->stops) &&
	      peer_link_put(mirror->link, LINK_BULK, header, body, body_bytes, data, data_bytes);
	if (put)
		peer_link_flush(mirror->link, LINK_BULK);
	pthread_mutex_unlock(&sender->lock);
	return put;
}

/* ---- messages ---- */

static void push_word(struct mirror *mirror, uint32_t word, uint64_t bits)
{
	for (; bits; bits &= bits - 1) {
		struct carried *ch = table_at(mirror, word * 64 + (uint32_t)__builtin_ctzll(bits));

		if (!ch)
			continue;
		queue_push(mirror, LINK_MESSAGES, ch);
		carried_put(ch);
	}
}

static bool has_bits(const struct ipc_inbox *inbox)
{
	uint64_t any = atomic_load_explicit(&inbox->first, memory_order_relaxed);

	for (unsigned i = 0; i < 4; i++)
		any |= atomic_load_explicit(&inbox->summary[i], memory_order_relaxed);
	return any;
}

/* The bits of the page become members of the queue. */
static void collect(struct mirror *mirror)
{
	struct ipc_inbox *inbox = mirror->setup.inbox;

	if (!has_bits(inbox))
		return;
	if (atomic_load_explicit(&inbox->first, memory_order_relaxed))
		push_word(mirror, 0, atomic_exchange(&inbox->first, 0));
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t words;

		if (atomic_load_explicit(&inbox->summary[i], memory_order_relaxed) == 0)
			continue;
		words = atomic_exchange(&inbox->summary[i], 0);
		for (; words; words &= words - 1) {
			uint32_t word = i * 64 + (uint32_t)__builtin_ctzll(words);

			if (word < IPC_MORE_WORDS)
				push_word(mirror, word + 1, atomic_exchange(&inbox->more[word], 0));
		}
	}
}

static bool has_refusals(struct mirror *mirror)
{
	bool any;

	pthread_mutex_lock(&mirror->news_lock);
	any = mirror->n_refusals != 0;
	pthread_mutex_unlock(&mirror->news_lock);
	return any;
}

static bool has_waiting(struct mirror *mirror)
{
	bool any;

	pthread_mutex_lock(&mirror->queue_lock);
	any = !list_is_empty(&mirror->turn[LINK_MESSAGES]);
	pthread_mutex_unlock(&mirror->queue_lock);
	return any;
}

/* Until somebody rings, at most SPAN_NS. BLOCKED: who waits in the queue waits for tokens. */
static void sleep_once(struct sender *sender, uint64_t span_ns, bool blocked)
{
	struct mirror *mirror = sender->mirror;
	uint32_t cpu = sender->streak == POLICY_ONLY_CLIENT ? sender->cpu : 0;
	struct ipc_inbox *inbox = mirror->setup.inbox;
	uint32_t bell = atomic_fetch_or(&inbox->bell, IPC_BELL_SLEEPS) | IPC_BELL_SLEEPS;

	atomic_thread_fence(memory_order_seq_cst);
	if (!has_bits(inbox) && !atomic_load(&mirror->stops) && !has_refusals(mirror) &&
	    (blocked || !has_waiting(mirror))) {
		atomic_fetch_add_explicit(&mirror->figures.sleeps, 1, memory_order_relaxed);
		if (cpu)
			policy_home_begin(&sender->home, cpu);
		sleep_on(&inbox->bell, bell, span_ns);
		if (cpu)
			policy_home_end(&sender->home, cpu);
	}
	if (atomic_load_explicit(&inbox->bell, memory_order_relaxed) & IPC_BELL_SLEEPS)
		atomic_fetch_and(&inbox->bell, ~IPC_BELL_SLEEPS);
}

static void count(struct mirror *mirror, unsigned n, bool gathered)
{
	atomic_fetch_add_explicit(&mirror->figures.looks, n, memory_order_relaxed);
	atomic_fetch_add_explicit(&mirror->figures.rounds, gathered, memory_order_relaxed);
}

static void *run_messages(void *arg)
{
	struct sender *sender = arg;
	struct mirror *mirror = sender->mirror;
	uint64_t span_ns = POLICY_LOOK_AGAIN_MIN_NS;
	uint64_t looked_ns = clock_now_ns();

	while (!atomic_load(&mirror->stops)) {
		uint64_t wait_ns;
		unsigned n;

		collect(mirror);
		n = turn(sender, &wait_ns);
		say_refusals(sender);
		count(mirror, n, sender->gathered);
		say_flush(sender);
		if (n == 0 && wait_ns != 0) {
			sleep_once(sender, wait_ns < span_ns ? wait_ns : span_ns,
				   wait_ns != UINT64_MAX);
			/* Who was woken runs before those who were about to post as well: let them, then one write takes all. */
			(void)sched_yield();
		}
		if (clock_now_ns() - looked_ns >= span_ns) {
			looked_ns = clock_now_ns();
			table_push_all(mirror);
			if (span_ns < POLICY_LOOK_AGAIN_MAX_NS)
				span_ns *= 2;
		}
	}
	return NULL;
}

/* ---- both ---- */

void sender_init(struct mirror *mirror, enum link_class class)
{
	struct sender *sender = &mirror->sender[class];

	sender->mirror = mirror;
	sender->class = class;
	list_init(&sender->flying);
	(void)pthread_mutex_init(&sender->lock, NULL);
}

dvs_err sender_start(struct mirror *mirror, enum link_class class)
{
	struct sender *sender = &mirror->sender[class];

	if (pthread_create(&sender->thread, NULL, class == LINK_BULK ? run_bulk : run_messages,
			   sender))
		return DVS_NOMEM;
	sender->runs = true;
	return DVS_OK;
}

void sender_stop(struct mirror *mirror, enum link_class class)
{
	struct sender *sender = &mirror->sender[class];

	if (!sender->runs)
		return;
	sender_wake(mirror, class);
	(void)pthread_join(sender->thread, NULL);
	sender->runs = false;
	say_flush(sender);
}

void sender_wake(struct mirror *mirror, enum link_class class)
{
	_Atomic uint32_t *word = &mirror->bulk_bell;
	uint32_t step = 1;

	if (class == LINK_MESSAGES) {
		word = &mirror->setup.inbox->bell;
		step = IPC_BELL_RING;
	}
	atomic_fetch_add(word, step);
	futex_wake(word, INT32_MAX);
}
