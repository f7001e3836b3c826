/* SPDX-License-Identifier: Apache-2.0 */
#include "group_app.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum piece { PIECE_IDS = 1, PIECE_COMMAND = 2 };

#define IDS_PER_PIECE 200u

struct state *state_new(void)
{
	struct state *state = calloc(1, sizeof(*state));

	if (!state || core_create(&state->core) != DVS_OK)
		abort();
	return state;
}

void state_free(struct state *state)
{
	if (!state)
		return;
	core_effects_free(&state->effects);
	core_destroy(state->core);
	free(state);
}

static void id_add(struct state *state, uint32_t id)
{
	assert(state->n_ids < APP_IDS_MAX && id < APP_IDS_MAX);
	state->ids[state->n_ids++] = id;
	state->times[id]++;
	state->hash = (state->hash ^ id) * UINT64_C(0x100000001b3);
}

void state_apply(struct state *state, uint32_t id, const void *bytes, size_t len)
{
	struct cursor in = cursor_over(bytes, len);
	struct core_command command;

	id_add(state, id);
	if (len > 0 && core_command_decode(&in, &command) == DVS_OK)
		(void)!core_step(state->core, &command, &state->effects);
}

void state_node_gone(struct state *state, uint32_t node)
{
	struct core_command command = { .op = CORE_NODE_DOWN, .node = node };

	(void)!core_step(state->core, &command, &state->effects);
	state->hash = (state->hash ^ (node + 1)) * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t state_digest(const struct state *state)
{
	return state->hash ^ core_digest(state->core);
}

struct saver {
	dvs_err (*emit)(void *to, const void *bytes, size_t len);
	void *to;
};

static dvs_err command_emit(void *context, const struct core_command *command)
{
	const struct saver *saver = context;
	uint8_t bytes[1 + CORE_COMMAND_BYTES_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));

	writer_u8(&out, PIECE_COMMAND);
	core_command_encode(&out, command);
	assert(writer_ok(&out));
	return saver->emit(saver->to, bytes, writer_len(&out));
}

dvs_err state_save(const struct state *state,
		   dvs_err (*emit)(void *to, const void *bytes, size_t len), void *to)
{
	struct saver saver = { emit, to };
	uint32_t at = 0;

	do {
		uint8_t bytes[9 + 4 * IDS_PER_PIECE];
		struct writer out = writer_over(bytes, sizeof(bytes));

		writer_u8(&out, PIECE_IDS);
		writer_u64(&out, state->hash);
		for (uint32_t n = 0; n < IDS_PER_PIECE && at < state->n_ids; n++)
			writer_u32(&out, state->ids[at++]);
		if (emit(to, bytes, writer_len(&out)) != DVS_OK)
			return DVS_NOMEM;
	} while (at < state->n_ids);
	return core_snapshot(state->core, command_emit, &saver);
}

dvs_err state_load(struct state *state, const void *bytes, size_t len)
{
	struct cursor in = cursor_over(bytes, len);
	uint8_t piece = cursor_u8(&in);
	struct core_command command;
	uint64_t hash;

	if (piece == PIECE_COMMAND) {
		if (core_command_decode(&in, &command) != DVS_OK)
			return DVS_PROTO;
		return core_step(state->core, &command, &state->effects);
	}
	hash = cursor_u64(&in);
	while (cursor_left(&in) >= 4)
		id_add(state, cursor_u32(&in));
	state->hash = hash;
	return cursor_done(&in) ? DVS_OK : DVS_PROTO;
}

/* ---- files ---- */

static dvs_err file_emit(void *to, const void *bytes, size_t len)
{
	struct state_file *file = to;
	uint32_t n = (uint32_t)len;

	file->bytes = realloc(file->bytes, file->len + 4 + len);
	if (!file->bytes)
		abort();
	memcpy(file->bytes + file->len, &n, 4);
	memcpy(file->bytes + file->len + 4, bytes, len);
	file->len += 4 + len;
	return DVS_OK;
}

void state_file_write(struct state_file *file, const struct state *state,
		      struct ordered_position position)
{
	state_file_free(file);
	file->position = position;
	if (state_save(state, file_emit, file) != DVS_OK)
		abort();
}

void state_file_read(const struct state_file *file, struct state *state)
{
	for (size_t at = 0; at < file->len;) {
		uint32_t n;

		memcpy(&n, file->bytes + at, 4);
		if (state_load(state, file->bytes + at + 4, n) != DVS_OK)
			abort();
		at += 4 + n;
	}
}

void state_file_free(struct state_file *file)
{
	free(file->bytes);
	memset(file, 0, sizeof(*file));
}

/* ---- commands ---- */

size_t command_draw(uint32_t (*roll)(void *context, uint32_t below), void *context, uint8_t *bytes,
		    size_t size)
{
	static const enum core_op ops[] = {
		CORE_DC_CREATE,
		CORE_BIND,
		CORE_BIND,
		CORE_BIND,
		CORE_BIND,
		CORE_BIND,
		CORE_UNBIND,
		CORE_ENDPOINT_END,
		CORE_PROCESS_DEAD,
		CORE_MIGRATE_START,
		CORE_MIGRATE_COMMIT,
		CORE_MIGRATE_ROLLBACK,
		CORE_PARKED,
		CORE_PROMOTE,
		CORE_PRIVILEGES_SET,
		CORE_DC_REMOVE,
		CORE_CONTAINER_CREATE,
		CORE_CONTAINER_REPORT,
		CORE_CONTAINER_REPORT,
		CORE_RECORD_SET,
		CORE_CONTAINER_REMOVE,
		CORE_NODE_UP,
	};
	struct core_command command = { .op = ops[roll(context, ARRAY_LEN(ops))] };
	struct writer out = writer_over(bytes, size);
	uint32_t n = 1 + roll(context, 6);

	command.dc.n = 1 + roll(context, 3);
	command.ep = roll(context, 8);
	command.kind = 1 + roll(context, 3);
	command.node = roll(context, 5);
	command.process.node = command.node;
	command.process.pid = n;
	command.process.starttime = 100 + n;
	command.process.serial = 200 + n;
	command.slot = roll(context, 100);
	command.area = roll(context, 100);
	command.migration = 1 + roll(context, 3);
	command.flags = command.op == CORE_DC_REMOVE ? CORE_F_FORCE : 0;
	command.value = (const uint8_t *)"value";
	command.n_value = 5;
	command.id = 1 + roll(context, 7);
	snprintf(command.name, sizeof(command.name), "dc%u", roll(context, 3));
	core_command_encode(&out, &command);
	assert(writer_ok(&out));
	return writer_len(&out);
}
