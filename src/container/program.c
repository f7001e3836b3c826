/* SPDX-License-Identifier: Apache-2.0 */
#include "container/program.h"

#include <stdlib.h>
#include <string.h>

#include <dvs/m3ipc.h>

#include "container/names.h"
#include "container/reader.h"

#define ARG_MAX_BYTES 32768u
#define USER_MAX 127u
#define NODE_NAME_MAX 63u
#define SIGNAL_NAME_MAX 16u
#define RETRIES_MAX 1000000u
#define BACKOFF_MS_DEFAULT 100u
#define GRACE_MS_DEFAULT 10000u
#define HOUR_MS 3600000u
#define DAY_MS 86400000u

#define AT(member) offsetof(struct program, member)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A list of MIN to MAX texts, of which the first is not empty. */
static bool read_texts(const struct place *place, const json_t *value, size_t max, size_t max_bytes,
		       const char **texts, size_t *n)
{
	if (!reader_is_list(place, value, 1, max))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct place at = { place->reader, place, NULL, i };

		texts[i] = reader_text(&at, json_array_get(value, i), i == 0, max_bytes);
		if (!texts[i])
			return false;
	}
	*n = json_array_size(value);
	return true;
}

static bool read_command(const struct place *place, const json_t *value,
			 const struct reader_key *row, void *to)
{
	struct program *program = to;

	(void)row;
	return read_texts(place, value, COUNT(program->command), ARG_MAX_BYTES, program->command,
			  &program->n_command);
}

static bool read_check_command(const struct place *place, const json_t *value,
			       const struct reader_key *row, void *to)
{
	struct program_health *health = to;

	(void)row;
	return read_texts(place, value, COUNT(health->command), ARG_MAX_BYTES, health->command,
			  &health->n_command);
}

static bool read_nodes(const struct place *place, const json_t *value, const struct reader_key *row,
		       void *to)
{
	struct program *program = to;

	(void)row;
	if (!read_texts(place, value, COUNT(program->nodes), NODE_NAME_MAX, program->nodes,
			&program->n_nodes))
		return false;
	for (size_t i = 0; i < program->n_nodes; i++) {
		const struct place at = { place->reader, place, NULL, i };

		for (size_t k = 0; k < i; k++) {
			if (strcmp(program->nodes[i], program->nodes[k]) == 0)
				return reader_fail(&at, "is there twice");
		}
	}
	return true;
}

static bool read_env(const struct place *place, const json_t *value, const struct reader_key *row,
		     void *to)
{
	struct program *program = to;

	(void)row;
	return reader_env(place, value, program->env, COUNT(program->env), &program->n_env);
}

static bool read_rlimits(const struct place *place, const json_t *value,
			 const struct reader_key *row, void *to)
{
	struct program *program = to;

	(void)row;
	return reader_rlimits(place, value, program->rlimits, COUNT(program->rlimits),
			      &program->n_rlimits);
}

static bool read_replicas(const struct place *place, const json_t *value,
			  const struct reader_key *row, void *to)
{
	struct program *program = to;

	if (json_is_string(value)) {
		if (strcmp(json_string_value(value), "each") != 0)
			return reader_fail(place, "must be a number, or \"each\"");
		program->replicas = PROGRAM_EACH;
		return true;
	}
	return read_u32(place, value, row, to);
}

static bool read_signal(const struct place *place, const json_t *value,
			const struct reader_key *row, void *to)
{
	const char *name = reader_text(place, value, 1, SIGNAL_NAME_MAX);
	uint32_t number;

	if (!name)
		return false;
	if (!signal_number(name, &number))
		return reader_fail(place, "there is no signal of that name; say TERM, INT, QUIT, "
					  "RTMIN+3, ...");
	memcpy((char *)to + row->offset, &number, sizeof(number));
	return true;
}

#define HEALTH(member) offsetof(struct program_health, member)
static const struct reader_key health_keys[] = {
	{ "command", read_check_command, 0, 0, 0, NULL, true },
	{ "interval_ms", read_u32, HEALTH(interval_ms), 100, DAY_MS, NULL, false },
	{ "timeout_ms", read_u32, HEALTH(timeout_ms), 10, HOUR_MS, NULL, false },
	{ "retries", read_u32, HEALTH(retries), 1, 1000, NULL, false },
	{ "start_ms", read_u32, HEALTH(start_ms), 0, DAY_MS, NULL, false },
};

static bool read_health(const struct place *place, const json_t *value,
			const struct reader_key *row, void *to)
{
	struct program *program = to;

	(void)row;
	program->health =
		(struct program_health){ .interval_ms = 10000, .timeout_ms = 5000, .retries = 3 };
	return reader_object(place, value, health_keys, COUNT(health_keys), &program->health);
}

static const struct reader_key server_keys[] = {
	{ "endpoint", read_u32, AT(endpoint), 0, DVS_EP_NUMBER_MAX, NULL, true },
};

static bool read_server(const struct place *place, const json_t *value,
			const struct reader_key *row, void *to)
{
	(void)row;
	return reader_object(place, value, server_keys, COUNT(server_keys), to);
}

static const char *const restarts[] = { "no", "on-failure", "always", NULL };

static const struct reader_key keys[] = {
	{ "command", read_command, 0, 0, 0, NULL, false },
	{ "env", read_env, 0, 0, 0, NULL, false },
	{ "cwd", read_path, AT(cwd), 0, 0, NULL, false },
	{ "user", read_text, AT(user), 0, USER_MAX, NULL, false },
	{ "tty", read_bool, AT(tty), 0, 0, NULL, false },
	{ "replicas", read_replicas, AT(replicas), 0, PROGRAM_REPLICAS_MAX, NULL, false },
	{ "nodes", read_nodes, 0, 0, 0, NULL, false },
	{ "restart", read_choice, AT(restart), PROGRAM_NEVER, 0, restarts, false },
	{ "retries", read_u32, AT(retries), 0, RETRIES_MAX, NULL, false },
	{ "backoff_ms", read_u32, AT(backoff_ms), 1, HOUR_MS, NULL, false },
	{ "stop_signal", read_signal, AT(stop_signal), 0, 0, NULL, false },
	{ "stop_grace_ms", read_u32, AT(stop_grace_ms), 0, HOUR_MS, NULL, false },
	{ "health", read_health, 0, 0, 0, NULL, false },
	{ "rlimits", read_rlimits, 0, 0, 0, NULL, false },
	{ "server", read_server, 0, 0, 0, NULL, false },
};

static void set_defaults(struct program *program)
{
	*program = (struct program){
		.cwd = "",
		.user = "",
		.replicas = 1,
		.restart = PROGRAM_ALWAYS,
		.backoff_ms = BACKOFF_MS_DEFAULT,
		.stop_grace_ms = GRACE_MS_DEFAULT,
		.endpoint = UINT32_MAX,
	};
	(void)signal_number("TERM", &program->stop_signal);
}

dvs_err program_from_json(json_t *document, struct program *program, char *why)
{
	struct reader reader = { "the program", why };
	const struct place place = { &reader, NULL, NULL, 0 };
	const struct place replicas = { &reader, &place, "replicas", 0 };

	set_defaults(program);
	if (!reader_object(&place, document, keys, COUNT(keys), program))
		return DVS_BADARG;
	if (program->endpoint != UINT32_MAX && program->replicas == PROGRAM_EACH) {
		reader_fail(&replicas, "a server has so many backups: say a number, not \"each\"");
		return DVS_BADARG;
	}
	program->document = json_incref(document);
	return DVS_OK;
}

dvs_err program_parse(const void *bytes, size_t len, struct program *program, char *why)
{
	dvs_err err;
	json_t *document = reader_parse("the program", bytes, len, why, &err);

	if (!document)
		return err;
	err = program_from_json(document, program, why);
	json_decref(document);
	return err;
}

void program_free(struct program *program)
{
	json_decref(program->document);
	program->document = NULL;
}

uint64_t program_digest(const struct program *program)
{
	json_t *instance = json_copy(program->document);
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	char *text;
	size_t len;

	if (!instance)
		return 0;
	/* That they are missing is no error. */
	(void)json_object_del(instance, "replicas");
	(void)json_object_del(instance, "nodes");
	text = description_text(instance, &len);
	json_decref(instance);
	if (!text)
		return 0;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	free(text);
	return (hash >> 1) | 1;
}
