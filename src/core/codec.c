/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as bytes, for the state file and for other nodes. Each op has the fields that its
 * row names, in one fixed order. */
#include <string.h>

#include "core/core.h"

enum {
	HAS_DC = 1 << 0,
	HAS_EP = 1 << 1,
	HAS_KIND = 1 << 2,
	HAS_ROLE = 1 << 3,
	HAS_SLOT = 1 << 4,
	HAS_NODE = 1 << 5,
	HAS_OWNER = 1 << 6,
	HAS_FLAGS = 1 << 7,
	HAS_ID = 1 << 8,
	HAS_AREA = 1 << 9,
	HAS_COUNT = 1 << 10,
	HAS_PROCESS = 1 << 11,
	HAS_PRIVILEGES = 1 << 12,
	HAS_NAME = 1 << 13,
	HAS_TAKEN = 1 << 14,
	HAS_MIGRATION = 1 << 15,
	HAS_ADDRESS = 1 << 16,
	HAS_VALUE = 1 << 17,
};

static const unsigned int fields_of[CORE_OPS_END] = {
	[CORE_DC_CREATE] = HAS_NAME | HAS_OWNER | HAS_FLAGS,
	[CORE_DC_REMOVE] = HAS_DC | HAS_FLAGS,
	[CORE_BIND] = HAS_DC | HAS_EP | HAS_KIND | HAS_SLOT | HAS_FLAGS | HAS_AREA | HAS_PROCESS |
		      HAS_PRIVILEGES,
	[CORE_UNBIND] = HAS_DC | HAS_EP | HAS_PROCESS,
	[CORE_ENDPOINT_END] = HAS_DC | HAS_EP,
	[CORE_PROCESS_DEAD] = HAS_PROCESS,
	[CORE_PROCESS_AREA] = HAS_PROCESS | HAS_AREA,
	[CORE_PRIVILEGES_SET] = HAS_DC | HAS_EP | HAS_PRIVILEGES,
	[CORE_MIGRATE_START] = HAS_DC | HAS_EP,
	[CORE_MIGRATE_AGAIN] = HAS_DC | HAS_EP,
	[CORE_PARKED] = HAS_DC | HAS_EP | HAS_FLAGS | HAS_MIGRATION | HAS_TAKEN,
	[CORE_MIGRATE_COMMIT] = HAS_DC | HAS_EP | HAS_SLOT | HAS_FLAGS | HAS_MIGRATION | HAS_AREA |
				HAS_PROCESS,
	[CORE_MIGRATE_ROLLBACK] = HAS_DC | HAS_EP,
	[CORE_PROMOTE] = HAS_DC | HAS_EP | HAS_PROCESS,
	[CORE_NODE_DOWN] = HAS_NODE | HAS_COUNT,
	[CORE_NODE_UP] = HAS_NODE | HAS_COUNT | HAS_NAME | HAS_ADDRESS,
	[CORE_NODE_AWAY] = HAS_NODE | HAS_COUNT,
	[CORE_NODE_REMOVE] = HAS_NODE,
	[CORE_NODE_DRAIN] = HAS_NODE | HAS_FLAGS,
	[CORE_REBIND] = HAS_DC | HAS_EP | HAS_KIND | HAS_SLOT | HAS_FLAGS | HAS_AREA | HAS_PROCESS |
			HAS_PRIVILEGES,
	[CORE_GROUP_JOIN] = HAS_DC | HAS_EP | HAS_PROCESS | HAS_NAME,
	[CORE_GROUP_LEAVE] = HAS_DC | HAS_ID | HAS_NAME,
	[CORE_GROUP_GIVEN] = HAS_DC | HAS_ID | HAS_COUNT | HAS_NAME,
	[CORE_RESTORE_VIEWS] = HAS_COUNT,
	[CORE_RESTORE_GROUP] = HAS_DC | HAS_ID | HAS_COUNT | HAS_NAME,
	[CORE_RESTORE_MEMBER] = HAS_DC | HAS_EP | HAS_ID | HAS_AREA | HAS_COUNT | HAS_NAME,
	[CORE_CONTAINER_CREATE] = HAS_NAME | HAS_OWNER | HAS_ID | HAS_VALUE,
	[CORE_CONTAINER_REMOVE] = HAS_DC | HAS_FLAGS,
	[CORE_CONTAINER_NODES] = HAS_DC | HAS_ID | HAS_COUNT,
	[CORE_CONTAINER_FREEZE] = HAS_DC | HAS_FLAGS,
	[CORE_CONTAINER_REPORT] = HAS_DC | HAS_NODE | HAS_KIND | HAS_FLAGS | HAS_COUNT | HAS_VALUE,
	[CORE_RECORD_SET] = HAS_DC | HAS_COUNT | HAS_NAME | HAS_VALUE,
	[CORE_RECORD_REMOVE] = HAS_DC | HAS_NAME,
	[CORE_RESTORE_CONTAINERS] = HAS_DC | HAS_KIND | HAS_NODE | HAS_FLAGS | HAS_ID | HAS_AREA |
				    HAS_COUNT | HAS_VALUE,
	[CORE_RESTORE_CONTAINER] = HAS_DC | HAS_NODE | HAS_KIND | HAS_FLAGS | HAS_COUNT | HAS_VALUE,
	[CORE_RESTORE_RECORD] = HAS_DC | HAS_COUNT | HAS_NAME | HAS_VALUE,
	[CORE_RESTORE_NODE] = HAS_NODE | HAS_KIND | HAS_FLAGS | HAS_COUNT | HAS_NAME | HAS_ADDRESS,
	[CORE_RESTORE_COUNTERS] = HAS_COUNT | HAS_ID | HAS_AREA,
	[CORE_RESTORE_DC] = HAS_DC | HAS_NAME | HAS_OWNER | HAS_COUNT,
	[CORE_RESTORE_CLIENTS] = HAS_DC | HAS_NODE | HAS_COUNT,
	[CORE_RESTORE_NUMBER] = HAS_DC | HAS_EP,
	[CORE_RESTORE_ENDPOINT] = HAS_DC | HAS_EP | HAS_FLAGS | HAS_MIGRATION | HAS_PRIVILEGES,
	[CORE_RESTORE_BINDING] = HAS_DC | HAS_EP | HAS_KIND | HAS_ROLE | HAS_SLOT | HAS_NODE |
				 HAS_FLAGS | HAS_ID | HAS_AREA | HAS_PROCESS,
};

static void put_process(struct writer *out, const struct core_process *process)
{
	writer_u32(out, process->node);
	writer_u32(out, process->pid);
	writer_u64(out, process->starttime);
	writer_u64(out, process->serial);
}

static void put_privileges(struct writer *out, const struct dvk_privileges *privileges)
{
	writer_u32(out, privileges->may);
	writer_u8(out, privileges->n_call_to);
	for (uint32_t i = 0; i < privileges->n_call_to && i < DVS_RANGES_MAX; i++) {
		writer_u32(out, privileges->call_to[i].first);
		writer_u32(out, privileges->call_to[i].last);
	}
}

static void put_taken(struct writer *out, const struct core_command *command)
{
	writer_u8(out, command->n_taken);
	for (uint32_t i = 0; i < command->n_taken && i < CORE_COMMAND_TAKEN; i++) {
		writer_u32(out, command->taken[i].peer);
		writer_u32(out, command->taken[i].number);
		writer_u8(out, command->taken[i].stale);
		writer_u64(out, command->taken[i].note);
	}
}

static void put_text(struct writer *out, const char *text)
{
	size_t len = strlen(text);

	writer_u8(out, len);
	writer_bytes(out, text, len);
}

static void put_u32_if(struct writer *out, unsigned int has, uint32_t value)
{
	if (has)
		writer_u32(out, value);
}

static void put_u64_if(struct writer *out, unsigned int has, uint64_t value)
{
	if (has)
		writer_u64(out, value);
}

void core_command_encode(struct writer *out, const struct core_command *command)
{
	unsigned int has = fields_of[command->op];
	writer_u8(out, command->op);
	put_u32_if(out, has & HAS_DC, command->dc.n);
	put_u32_if(out, has & HAS_EP, command->ep);
	put_u32_if(out, has & HAS_KIND, command->kind);
	put_u32_if(out, has & HAS_ROLE, command->role);
	put_u32_if(out, has & HAS_SLOT, command->slot);
	put_u32_if(out, has & HAS_NODE, command->node);
	put_u32_if(out, has & HAS_OWNER, command->owner_uid);
	put_u32_if(out, has & HAS_FLAGS, command->flags);
	put_u32_if(out, has & HAS_MIGRATION, command->migration);
	put_u64_if(out, has & HAS_ID, command->id);
	put_u64_if(out, has & HAS_AREA, command->area);
	put_u64_if(out, has & HAS_COUNT, command->count);
	if (has & HAS_PROCESS)
		put_process(out, &command->process);
	if (has & HAS_PRIVILEGES)
		put_privileges(out, &command->privileges);
	if (has & HAS_TAKEN)
		put_taken(out, command);
	if (has & HAS_NAME)
		put_text(out, command->name);
	if (has & HAS_ADDRESS)
		put_text(out, command->address);
	if (has & HAS_VALUE) {
		writer_u16(out, command->n_value);
		writer_bytes(out, command->value, command->n_value);
	}
}

static void get_process(struct cursor *in, struct core_process *process)
{
	process->node = cursor_u32(in);
	process->pid = cursor_u32(in);
	process->starttime = cursor_u64(in);
	process->serial = cursor_u64(in);
}

static void get_privileges(struct cursor *in, struct dvk_privileges *privileges)
{
	privileges->may = cursor_u32(in);
	privileges->n_call_to = cursor_u8(in);
	if (privileges->n_call_to > DVS_RANGES_MAX) {
		privileges->n_call_to = 0;
		cursor_fail(in);
	}
	for (uint32_t i = 0; i < privileges->n_call_to; i++) {
		privileges->call_to[i].first = cursor_u32(in);
		privileges->call_to[i].last = cursor_u32(in);
	}
}

static void get_taken(struct cursor *in, struct core_command *command)
{
	command->n_taken = cursor_u8(in);
	if (command->n_taken > CORE_COMMAND_TAKEN) {
		command->n_taken = 0;
		cursor_fail(in);
	}
	for (uint32_t i = 0; i < command->n_taken; i++) {
		command->taken[i].peer = cursor_u32(in);
		command->taken[i].number = cursor_u32(in);
		command->taken[i].stale = cursor_u8(in);
		command->taken[i].note = cursor_u64(in);
	}
}

static void get_text(struct cursor *in, char *text, size_t size)
{
	size_t len = cursor_u8(in);

	cursor_string(in, len, text, size);
}

static void get_value(struct cursor *in, struct core_command *command)
{
	command->n_value = cursor_u16(in);
	if (command->n_value > DVK_VALUE_MAX) {
		command->n_value = 0;
		cursor_fail(in);
	}
	command->value = cursor_borrow(in, command->n_value);
}

static uint32_t get_u32_if(struct cursor *in, unsigned int has)
{
	return has ? cursor_u32(in) : 0;
}

static uint64_t get_u64_if(struct cursor *in, unsigned int has)
{
	return has ? cursor_u64(in) : 0;
}

dvs_err core_command_decode(struct cursor *in, struct core_command *command)
{
	unsigned int op = cursor_u8(in);
	unsigned int has;

	memset(command, 0, sizeof(*command));
	if (op < CORE_DC_CREATE || op >= CORE_OPS_END)
		return DVS_PROTO;
	command->op = (enum core_op)op;
	has = fields_of[command->op];
	command->dc.n = get_u32_if(in, has & HAS_DC);
	command->ep = get_u32_if(in, has & HAS_EP);
	command->kind = get_u32_if(in, has & HAS_KIND);
	command->role = get_u32_if(in, has & HAS_ROLE);
	command->slot = get_u32_if(in, has & HAS_SLOT);
	command->node = get_u32_if(in, has & HAS_NODE);
	command->owner_uid = get_u32_if(in, has & HAS_OWNER);
	command->flags = get_u32_if(in, has & HAS_FLAGS);
	command->migration = get_u32_if(in, has & HAS_MIGRATION);
	command->id = get_u64_if(in, has & HAS_ID);
	command->area = get_u64_if(in, has & HAS_AREA);
	command->count = get_u64_if(in, has & HAS_COUNT);
	if (has & HAS_PROCESS)
		get_process(in, &command->process);
	if (has & HAS_PRIVILEGES)
		get_privileges(in, &command->privileges);
	if (has & HAS_TAKEN)
		get_taken(in, command);
	if (has & HAS_NAME)
		get_text(in, command->name, sizeof(command->name));
	if (has & HAS_ADDRESS)
		get_text(in, command->address, sizeof(command->address));
	if (has & HAS_VALUE)
		get_value(in, command);
	if (command->flags & ~CORE_F_ALL)
		return DVS_PROTO;
	return cursor_done(in) ? DVS_OK : DVS_PROTO;
}
