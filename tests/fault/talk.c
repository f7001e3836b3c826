/* SPDX-License-Identifier: Apache-2.0 */
#include "talk.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "lab.h"

struct talk_board *talk_board_create(void)
{
	void *board = mmap(NULL, sizeof(struct talk_board), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(board != MAP_FAILED);
	return board;
}

void talk_fail(struct talk_board *board, const char *format, ...)
{
	char text[sizeof(board->failure)];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)fprintf(stderr, "# failure: %s\n", text);
	if (atomic_fetch_add(&board->n_failures, 1) == 0)
		memcpy(board->failure, text, sizeof(text));
}

/* ---- what is said ---- */

static uint64_t mix(uint64_t value)
{
	return rng_next(&value);
}

static uint64_t sum_of(const struct dvs_msg *msg)
{
	uint64_t sum = msg->type;

	for (unsigned i = 0; i < TALK_SUM; i++)
		sum = mix(sum ^ msg->u64[i]);
	return sum;
}

void talk_seal(struct dvs_msg *msg)
{
	msg->u64[TALK_SUM] = sum_of(msg);
}

bool talk_is_sealed(const struct dvs_msg *msg)
{
	return msg->u64[TALK_SUM] == sum_of(msg);
}

uint64_t talk_pattern(uint32_t client, uint32_t server, uint64_t call, bool reply)
{
	return mix(mix(((uint64_t)client << 32 | server) ^ (reply ? UINT64_MAX : 0)) + call);
}

static uint64_t pattern_word(uint64_t pattern, size_t i)
{
	return (pattern + i) * UINT64_C(0x9e3779b97f4a7c15);
}

void talk_fill(uint8_t *data, size_t len, uint64_t pattern)
{
	for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
		uint64_t word = pattern_word(pattern, at);

		memcpy(data + at, &word, len - at < sizeof(word) ? len - at : sizeof(word));
	}
}

bool talk_is_filled(const uint8_t *data, size_t len, uint64_t pattern)
{
	for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
		uint64_t word = pattern_word(pattern, at);

		if (memcmp(data + at, &word, len - at < sizeof(word) ? len - at : sizeof(word)))
			return false;
	}
	return true;
}

/* ---- coming and going ---- */

/* While dvsd is dead every question may have to be asked again. */
static bool try_again(const struct talk_party *party, dvs_err err, uint64_t deadline_ns)
{
	return err == DVS_NODVSD && party->talk->dvsd_dies && !clock_is_past(deadline_ns);
}

bool talk_bind(struct talk_party *party, uint32_t number, struct m3 **self)
{
	uint64_t deadline_ns = clock_deadline_ns(3 * TALK_CALL_MS * CLOCK_NS_PER_MS);
	dvs_err err = DVS_OK;

	if (!party->dvk) {
		do
			err = dvk_open(party->talk->control, &party->dvk);
		while (try_again(party, err, deadline_ns));
	}
	if (err) {
		talk_fail(party->board, "endpoint %u: open: %s", number, dvs_err_name(err));
		return false;
	}
	err = dvk_wait_unbind(party->dvk, dvs_ep_of(number), TALK_CALL_MS);
	if (err) {
		talk_fail(party->board, "endpoint %u: the one before is still there: %s", number,
			  dvs_err_name(err));
		return false;
	}
	err = dvk_bind(party->dvk, dvs_ep_of(number), DVK_LOCAL, self);
	if (err)
		talk_fail(party->board, "endpoint %u: bind: %s", number, dvs_err_name(err));
	return err == DVS_OK;
}

int talk_run(const struct talk *talk, uint32_t seat)
{
	struct talk_party party = { .talk = talk,
				    .board = talk->board,
				    .seat = &talk->board->seat[seat],
				    .number = seat,
				    .rng = talk->seed ^ clock_now_ns() ^ seat,
				    .dvk = talk->shared };
	int status;

	/* Guard bytes behind them belong to the sanitizer. */
	party.buffer = malloc(TALK_BUFFER_BYTES);
	party.out = malloc(TALK_BUFFER_BYTES);
	if (!party.buffer || !party.out)
		return EXIT_FAILURE;
	status = seat < TALK_SERVERS ? talk_server(&party) : talk_client(&party);
	if (!talk->shared)
		dvk_close(party.dvk);
	free(party.buffer);
	free(party.out);
	return status;
}
