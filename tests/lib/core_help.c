/* SPDX-License-Identifier: Apache-2.0 */
#include "core_help.h"

#include <assert.h>
#include <string.h>

void bench_open(struct bench *bench)
{
	struct core_command command = { .op = CORE_DC_CREATE, .name = "a", .owner_uid = 7 };
	dvs_err err;

	memset(bench, 0, sizeof(*bench));
	err = core_create(&bench->core);
	assert(err == DVS_OK);
	err = bench_step(bench, &command);
	assert(err == DVS_OK);
	bench->dc = bench->effects.list[0].dc;
}

void bench_close(struct bench *bench)
{
	core_effects_free(&bench->effects);
	core_destroy(bench->core);
}

struct core_process process_n(uint32_t node, uint32_t n)
{
	return (struct core_process){
		.node = node, .pid = n, .starttime = 1000 + n, .serial = 2000 + n
	};
}

/* A value stays where it was decoded from: until the next call but one, which a command can still be made from. */
void bench_recode(struct core_command *command)
{
	static uint8_t buffers[2][CORE_COMMAND_BYTES_MAX];
	static unsigned int turn;
	uint8_t *bytes = buffers[turn++ % 2];
	struct writer out = writer_over(bytes, sizeof(buffers[0]));
	struct cursor in;
	dvs_err err;

	core_command_encode(&out, command);
	assert(writer_ok(&out));
	in = cursor_over(bytes, writer_len(&out));
	err = core_command_decode(&in, command);
	assert(err == DVS_OK);
}

dvs_err bench_step(struct bench *bench, const struct core_command *command)
{
	struct core_command copy = *command;

	bench_recode(&copy);
	return core_step(bench->core, &copy, &bench->effects);
}

dvs_err bench_bind(struct bench *bench, uint32_t want, enum dvk_kind kind,
		   struct core_process process, uint32_t *ep)
{
	struct core_command command = { .op = CORE_BIND,
					.dc = bench->dc,
					.ep = want,
					.kind = kind,
					.process = process,
					.privileges = { .n_call_to = 1,
							.call_to = { { 0, DVS_EP_NUMBER_MAX } } } };
	dvs_err err = bench_step(bench, &command);

	if (err == DVS_OK && ep)
		*ep = bench->effects.list[0].ep.n;
	return err;
}

dvs_err bench_unbind(struct bench *bench, uint32_t ep, struct core_process process)
{
	return bench_move(bench, CORE_UNBIND, ep, process);
}

dvs_err bench_dead(struct bench *bench, struct core_process process)
{
	return bench_move(bench, CORE_PROCESS_DEAD, 0, process);
}

dvs_err bench_simple(struct bench *bench, enum core_op op, uint32_t ep)
{
	return bench_move(bench, op, ep, (struct core_process){ 0 });
}

dvs_err bench_move(struct bench *bench, enum core_op op, uint32_t ep, struct core_process process)
{
	struct core_command command = { .op = op, .dc = bench->dc, .ep = ep, .process = process };

	return bench_step(bench, &command);
}

const char *bench_effects(const struct bench *bench)
{
	static const char *const names[] = {
		[CORE_BOUND] = "BOUND",
		[CORE_UNBOUND] = "UNBOUND",
		[CORE_OVER] = "OVER",
		[CORE_ORPHANED] = "ORPHANED",
		[CORE_PROMOTED] = "PROMOTED",
		[CORE_DEMOTED] = "DEMOTED",
		[CORE_MOVED] = "MOVED",
		[CORE_MIGRATING] = "MIGRATING",
		[CORE_ROLLED_BACK] = "ROLLED_BACK",
		[CORE_PRIVILEGES_CHANGED] = "PRIVILEGES_CHANGED",
		[CORE_DC_CREATED] = "DC_CREATED",
		[CORE_DC_REMOVED] = "DC_REMOVED",
		[CORE_DC_CHANGED] = "DC_CHANGED",
		[CORE_DC_UP] = "DC_UP",
		[CORE_DC_FAILED] = "DC_FAILED",
		[CORE_DC_REFUSED] = "DC_REFUSED",
		[CORE_NODE_IS_UP] = "UP",
		[CORE_NODE_IS_AWAY] = "AWAY",
		[CORE_NODE_IS_DOWN] = "DOWN",
		[CORE_NODE_REMOVED] = "REMOVED",
		[CORE_NODE_DRAINS] = "DRAINS",
	};
	static char text[512];

	text[0] = '\0';
	for (size_t i = 0; i < bench->effects.n && i < 20; i++) {
		if (i > 0)
			strcat(text, " ");
		strcat(text, names[bench->effects.list[i].kind]);
	}
	return text;
}

static dvs_err feed(void *context, const struct core_command *command)
{
	struct core_command copy = *command;
	struct core_effects effects = { 0 };
	dvs_err err;

	bench_recode(&copy);
	err = core_step(context, &copy, &effects);
	core_effects_free(&effects);
	return err;
}

void bench_copy(const struct core *from, struct core **to)
{
	dvs_err err = core_create(to);

	assert(err == DVS_OK);
	err = core_snapshot(from, feed, *to);
	assert(err == DVS_OK);
}
