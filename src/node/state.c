/* SPDX-License-Identifier: Apache-2.0 */
/* The state file: commands, each with its length and checksum, that rebuild the core, and with the place in the order of all
 * nodes that the state has with it. It begins with a snapshot and goes on as a journal; when the journal has outgrown the snapshot the file
 * is written anew beside the old one and renamed over it. A last record that is cut short is dropped.
 *
 * It outlives dvsd and the machine: which DCs there are and what is wanted in them (records) is on stable storage before anybody is told that it holds here.
 * Bindings are not synced, because their processes do not outlive the machine either: the next dvsd finds that they are gone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/api.h"

static const char magic[8] = "DVSSTA4\n";

/* length and checksum */
#define RECORD_HEAD_BYTES 8u
/* of the position, and the command */
#define RECORD_BODY_BYTES_MAX (24u + CORE_COMMAND_BYTES_MAX)

struct state {
	int fd;
	size_t bytes;
	size_t snapshot_bytes;
	bool failed;
	uint64_t retry_ns; /* when it failed: not to be tried before */
	char path[512];
	char new_path[512];
};

/* CRC-32 as of Ethernet, four bits at a time. */
static uint32_t checksum(const uint8_t *bytes, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc = table[(crc ^ bytes[i]) & 15] ^ crc >> 4;
		crc = table[(crc ^ bytes[i] >> 4) & 15] ^ crc >> 4;
	}
	return ~crc;
}

/* ---- writing ---- */

struct record {
	size_t len;
	uint8_t bytes[RECORD_HEAD_BYTES + RECORD_BODY_BYTES_MAX];
};

static bool record_make(struct record *record, const struct ordered_position *position,
			const struct core_command *command)
{
	struct writer body = writer_over(record->bytes + RECORD_HEAD_BYTES, RECORD_BODY_BYTES_MAX);
	struct writer head = writer_over(record->bytes, RECORD_HEAD_BYTES);

	writer_u64(&body, position->epoch);
	writer_u64(&body, position->index);
	writer_u64(&body, position->members);
	core_command_encode(&body, command);
	writer_u32(&head, writer_len(&body));
	writer_u32(&head, checksum(record->bytes + RECORD_HEAD_BYTES, writer_len(&body)));
	record->len = RECORD_HEAD_BYTES + writer_len(&body);
	return writer_ok(&body);
}

struct snapshot {
	FILE *file;
	const struct ordered_position *position;
	size_t bytes;
};

static dvs_err snapshot_emit(void *context, const struct core_command *command)
{
	struct snapshot *snapshot = context;
	struct record record;

	if (!record_make(&record, snapshot->position, command))
		return DVS_BADARG;
	snapshot->bytes += record.len;
	return fwrite(record.bytes, record.len, 1, snapshot->file) == 1 ? DVS_OK : DVS_IO;
}

static dvs_err snapshot_write(const struct host *host, const char *path, size_t *bytes)
{
	AUTO_FCLOSE FILE *file = fopen(path, "we");
	struct snapshot snapshot = { .file = file,
				     .position = &host->position,
				     .bytes = sizeof(magic) };
	dvs_err err;

	if (!file || fwrite(magic, sizeof(magic), 1, file) != 1)
		return DVS_IO;
	err = core_snapshot(host->core, snapshot_emit, &snapshot);
	*bytes = snapshot.bytes;
	if (err == DVS_OK && (fflush(file) != 0 || fdatasync(fileno(file)) != 0))
		err = DVS_IO;
	return err;
}

/* What must hold when the machine has lost its power: not the bindings, which end with it. */
static bool command_lasts(const struct core_command *command)
{
	static const enum core_op lasting[] = {
		CORE_DC_CREATE,	       CORE_DC_REMOVE,	     CORE_CONTAINER_CREATE,
		CORE_CONTAINER_REMOVE, CORE_CONTAINER_NODES, CORE_CONTAINER_FREEZE,
		CORE_RECORD_SET,       CORE_RECORD_REMOVE,   CORE_NODE_REMOVE,
	};

	for (size_t i = 0; i < ARRAY_LEN(lasting); i++) {
		if (command->op == lasting[i])
			return true;
	}
	return false;
}

static void state_complain(struct host *host, struct state *state)
{
	if (!state->failed)
		log_error(&host->log,
			  "cannot write the state: a restart of dvsd would lose bindings",
			  LOG_STR("path", state->path), LOG_STR("error", strerror(errno)));
	state->failed = true;
	state->retry_ns = clock_deadline_ns(CLOCK_NS_PER_S);
}

dvs_err state_compact(struct host *host)
{
	struct state *state = host->state;
	size_t bytes;
	int fd;

	if (snapshot_write(host, state->new_path, &bytes) != DVS_OK ||
	    rename(state->new_path, state->path) != 0) {
		state_complain(host, state);
		return DVS_IO;
	}
	fd = open(state->path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0) {
		state_complain(host, state);
		return DVS_IO;
	}
	cleanup_close(&state->fd);
	state->fd = fd;
	state->bytes = state->snapshot_bytes = bytes;
	state->failed = false;
	return DVS_OK;
}

void state_append(struct host *host, const struct core_command *command)
{
	struct state *state = host->state;
	struct record record;

	if (!state || (state->fd < 0 && !state->failed))
		return; /* what is done before the first snapshot is in it */
	/* After a failure the file has a hole; only a new one is whole again. */
	if (state->failed && !clock_is_past(state->retry_ns))
		return;
	if (state->failed ||
	    (state->bytes > JOURNAL_BYTES_MAX && state->bytes > 2 * state->snapshot_bytes)) {
		(void)!state_compact(host);
		return;
	}
	if (!record_make(&record, &host->position, command) ||
	    write(state->fd, record.bytes, record.len) != (ssize_t)record.len ||
	    (command_lasts(command) && fdatasync(state->fd) != 0)) {
		state_complain(host, state);
		return;
	}
	state->bytes += record.len;
}

/* ---- reading ---- */

static uint8_t *file_read(const char *path, size_t *len)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_FREE uint8_t *bytes = NULL;
	struct stat file;

	*len = 0;
	if (fd < 0 || fstat(fd, &file) != 0 || file.st_size <= 0)
		return NULL;
	bytes = malloc((size_t)file.st_size);
	while (bytes && *len < (size_t)file.st_size) {
		ssize_t n = read(fd, bytes + *len, (size_t)file.st_size - *len);

		if (n <= 0)
			break;
		*len += (size_t)n;
	}
	return TAKE_PTR(bytes);
}

/* False at the first record that is not whole. */
static bool record_take(struct cursor *in, struct ordered_position *position,
			struct core_command *command)
{
	uint32_t len = cursor_u32(in);
	uint32_t sum = cursor_u32(in);
	const uint8_t *bytes = len <= RECORD_BODY_BYTES_MAX ? cursor_borrow(in, len) : NULL;
	struct cursor body;

	if (!bytes || checksum(bytes, len) != sum)
		return false;
	body = cursor_over(bytes, len);
	position->epoch = cursor_u64(&body);
	position->index = cursor_u64(&body);
	position->members = cursor_u64(&body);
	return core_command_decode(&body, command) == DVS_OK;
}

void state_replay(struct host *host, const void *bytes, size_t len)
{
	struct cursor in = cursor_over(bytes, len);
	const uint8_t *start = cursor_borrow(&in, sizeof(magic));
	struct core_command command;
	uint64_t n = 0;

	if (!start || memcmp(start, magic, sizeof(magic)) != 0) {
		log_warning(
			&host->log,
			"the state file is not one of this version: starting without it, what was bound "
			"must be bound again");
		return;
	}
	while (cursor_left(&in) > 0) {
		size_t left = cursor_left(&in);
		dvs_err err;

		if (!record_take(&in, &host->position, &command)) {
			log_warning(&host->log, "the end of the state file is cut short",
				    LOG_U64("bytes", left));
			break;
		}
		err = core_step(host->core, &command, &host->effects);
		if (err != DVS_OK)
			log_warning(&host->log, "a command of the state file is refused",
				    LOG_U64("record", n), LOG_U64("op", command.op),
				    LOG_STR("why", dvs_strerror(err)));
		n++;
	}
	log_debug(&host->log, "state read", LOG_U64("records", n));
}

/* ---- open and close ---- */

static dvs_err state_directory(struct host *host, struct state *state)
{
	/* The directory above may be there with more rights, the agent's things are in it, too. */
	if (mkdir(host->options.lib_dir, 0755) == 0)
		(void)chmod(host->options.lib_dir, 0755);
	(void)snprintf(state->path, sizeof(state->path), "%s/state", host->options.lib_dir);
	if ((mkdir(state->path, 0700) != 0 && errno != EEXIST) || chmod(state->path, 0700) != 0) {
		log_error(&host->log, "cannot make the state directory",
			  LOG_STR("path", state->path), LOG_STR("error", strerror(errno)));
		return DVS_IO;
	}
	(void)snprintf(state->path, sizeof(state->path), "%s/state/state", host->options.lib_dir);
	(void)snprintf(state->new_path, sizeof(state->new_path), "%s/state/state.new",
		       host->options.lib_dir);
	return DVS_OK;
}

dvs_err state_open(struct host *host)
{
	struct state *state = calloc(1, sizeof(*state));
	AUTO_FREE uint8_t *bytes = NULL;
	size_t len;
	dvs_err err;

	if (!state)
		return DVS_NOMEM;
	state->fd = -1;
	err = state_directory(host, state);
	if (err != DVS_OK) {
		free(state);
		return err;
	}
	bytes = file_read(state->path, &len);
	if (bytes)
		state_replay(host, bytes, len);
	host->state = state;
	return DVS_OK;
}

void state_close(struct host *host)
{
	if (!host->state)
		return;
	cleanup_close(&host->state->fd);
	free(host->state);
	host->state = NULL;
}
