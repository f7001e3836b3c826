/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/describe.h"

#include <pwd.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/text.h"

static const struct output_column endpoint_columns[] = {
	{ "DC", "dc", false },
	{ "ENDPOINT", "endpoint", false },
	{ "GEN", "generation", false },
	{ "KIND", "kind", false },
	{ "ROLE", "role", true },
	{ "NODE", "node", false },
	{ "PID", "pid", false },
	{ "TID", "tid", true },
	{ "PROGRAM", "program", false },
	{ "STATE", "state", false },
	{ "PARTNER", "partner", false },
	{ "IN", "messages_in", false },
	{ "OUT", "messages_out", false },
	{ "BYTES IN", "bytes_in", true },
	{ "BYTES OUT", "bytes_out", true },
	{ "NOTIFIES", "notifies_in", true },
	{ "SLEEPS", "sleeps", true },
	{ "CHANNELS", "channels", true },
	{ "BACKUPS", "backups", true },
};

const struct output_shape describe_endpoints_shape = {
	.list = "endpoints",
	.columns = endpoint_columns,
	.n_columns = ARRAY_LEN(endpoint_columns),
};

static const struct output_column endpoint_fields[] = {
	{ "Endpoint", "name", false },
	{ "Generation", "generation", false },
	{ "Kind", "kind", false },
	{ "Role", "role", false },
	{ "Backups", "backups", false },
	{ "Node", "node", false },
	{ "Process", "pid", false },
	{ "Thread", "tid", false },
	{ "Program", "program", false },
	{ "State", "state", false },
	{ "Activity", "activity", false },
	{ "Partner", "partner", false },
	{ "Migrating", "migrating", false },
	{ "Channels", "channels", false },
	{ "Messages in", "messages_in", false },
	{ "Messages out", "messages_out", false },
	{ "Bytes in", "bytes_in", false },
	{ "Bytes out", "bytes_out", false },
	{ "Notifications in", "notifies_in", false },
	{ "Sleeps", "sleeps", false },
	{ "May manage", "manage", false },
	{ "May call", "call_to", false },
};

const struct output_shape describe_endpoint_fields = {
	.list = "endpoint",
	.columns = endpoint_fields,
	.n_columns = ARRAY_LEN(endpoint_fields),
};

static const struct output_column dc_fields[] = {
	{ "DC", "name", false },
	{ "Id", "id", false },
	{ "Owner", "owner", false },
	{ "Owner's number", "owner_uid", false },
	{ "Endpoints", "endpoints", false },
	{ "Processes", "processes", false },
	{ "Channels", "channels", false },
};

const struct output_shape describe_dc_fields = {
	.list = "dc",
	.columns = dc_fields,
	.n_columns = ARRAY_LEN(dc_fields),
};

json_t *describe_count(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *describe_ep(dvs_ep ep)
{
	if (dvs_ep_is_any(ep))
		return json_string("any");
	return json_sprintf("%u.%u", dvs_ep_number(ep), dvs_ep_generation(ep));
}

json_t *describe_time(uint64_t realtime_ns)
{
	time_t seconds = (time_t)(realtime_ns / CLOCK_NS_PER_S);
	unsigned us = (unsigned)(realtime_ns % CLOCK_NS_PER_S / 1000);
	struct tm utc;
	char text[32];

	if (!gmtime_r(&seconds, &utc) ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc) == 0)
		return json_null();
	return json_sprintf("%s.%06uZ", text, us);
}

static const char *kind_word(enum dvk_kind kind)
{
	switch (kind) {
	case DVK_LOCAL:
		return "local";
	case DVK_BACKUP:
		return "backup";
	case DVK_REPLICA:
		return "replica";
	case DVK_REMOTE:
		return "remote";
	}
	return "unknown";
}

static const char *activity_word(enum dvk_activity activity)
{
	switch (activity) {
	case DVK_RUNNING:
		return "running";
	case DVK_RECEIVING:
		return "receiving";
	case DVK_SENDING:
		return "sending";
	case DVK_CALLING:
		return "calling";
	case DVK_PARKED:
		return "parked";
	}
	return "unknown";
}

static json_t *partner_of(const struct dvk_endpoint_info *info)
{
	bool talks = info->activity == DVK_RECEIVING || info->activity == DVK_SENDING ||
		     info->activity == DVK_CALLING;

	/* Who receives from anyone has no partner. */
	if (info->activity == DVK_RECEIVING && info->partner.n == 0)
		return json_string("any");
	return talks ? describe_ep(info->partner) : json_null();
}

static json_t *clean_string(const char *text, size_t max_bytes)
{
	AUTO_FREE char *utf8 = text_utf8(text, max_bytes);

	return utf8 ? json_string(utf8) : NULL;
}

/* A pid of a process that the asking one cannot see is none. */
static json_t *pid_or_null(pid_t pid)
{
	return pid > 0 ? json_integer(pid) : json_null();
}

/* In two parts, because a list of 20 values reads badly. */
json_t *describe_endpoint(const char *dc, const struct dvk_endpoint_info *info)
{
	const char *role = info->kind == DVK_BACKUP ? "backup" :
			   info->n_backups > 0	    ? "primary" :
						      "alone";
	json_t *figures = json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "messages_in",
		describe_count(info->messages_in), "messages_out",
		describe_count(info->messages_out), "bytes_in", describe_count(info->bytes_in),
		"bytes_out", describe_count(info->bytes_out), "notifies_in",
		describe_count(info->notifies_in), "sleeps", describe_count(info->sleeps),
		"channels", (json_int_t)info->n_channels, "backups", (json_int_t)info->n_backups);
	json_t *object =
		json_pack("{s:o, s:s, s:I, s:I, s:s, s:s, s:I, s:o, s:o, s:o, s:s, s:s, s:o, s:b}",
			  "name", json_sprintf("%s/%u", dc, dvs_ep_number(info->ep)), "dc", dc,
			  "endpoint", (json_int_t)dvs_ep_number(info->ep), "generation",
			  (json_int_t)dvs_ep_generation(info->ep), "kind", kind_word(info->kind),
			  "role", role, "node", (json_int_t)info->node.n, "pid",
			  pid_or_null(info->pid), "tid", pid_or_null(info->tid), "program",
			  clean_string(info->program, sizeof(info->program)), "state",
			  info->migrating ? "migrating" : activity_word(info->activity), "activity",
			  activity_word(info->activity), "partner", partner_of(info), "migrating",
			  info->migrating != 0);

	if (!figures || !object || json_object_update(object, figures) != 0) {
		json_decref(object);
		object = NULL;
	}
	json_decref(figures);
	return object;
}

json_t *describe_dc(const struct dvk_dc_info *info)
{
	struct passwd *user = getpwuid(info->owner_uid);
	json_t *owner = user ? clean_string(user->pw_name, SIZE_MAX) :
			       json_sprintf("%u", info->owner_uid);

	return json_pack("{s:o, s:I, s:o, s:I, s:I, s:I, s:I}", "name",
			 clean_string(info->name, sizeof(info->name)), "id", (json_int_t)info->id.n,
			 "owner", owner, "owner_uid", (json_int_t)info->owner_uid, "endpoints",
			 (json_int_t)info->n_endpoints, "processes", (json_int_t)info->n_processes,
			 "channels", (json_int_t)info->n_channels);
}

json_t *describe_dvs(const struct dvk_dvs_info *info)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "node",
			 (json_int_t)info->node.n, "nodes", (json_int_t)info->n_nodes, "dcs",
			 (json_int_t)info->n_dcs, "endpoints", (json_int_t)info->n_endpoints,
			 "channels", (json_int_t)info->n_channels, "dvsd_pid",
			 pid_or_null(info->dvsd_pid), "dvsd_version",
			 clean_string(info->version, sizeof(info->version)), "started",
			 describe_time(info->started_ns));
}

json_t *describe_privileges(const struct dvk_privileges *privileges)
{
	static const struct {
		uint32_t bit;
		const char *word;
	} rights[] = {
		{ DVS_MAY_BIND, "bind" },	{ DVS_MAY_COPY, "copy" },
		{ DVS_MAY_MIGRATE, "migrate" }, { DVS_MAY_WAKE, "wake" },
		{ DVS_MAY_GRANT, "grant" },	{ DVS_MAY_RELAY, "relay" },
	};
	json_t *manage = json_array();
	json_t *call_to = json_array();
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(rights); i++) {
		if (privileges->may & rights[i].bit)
			failed |= json_array_append_new(manage, json_string(rights[i].word));
	}
	for (uint32_t i = 0; i < privileges->n_call_to && i < DVS_RANGES_MAX; i++) {
		const struct dvk_range *range = &privileges->call_to[i];

		failed |=
			json_array_append_new(call_to, json_pack("[I, I]", (json_int_t)range->first,
								 (json_int_t)range->last));
	}
	if (failed) {
		json_decref(manage);
		json_decref(call_to);
		return NULL;
	}
	return json_pack("{s:o, s:o}", "manage", manage, "call_to", call_to);
}

/* "-" in the table. */
static json_t *text_or_null(const char *text)
{
	return text[0] ? json_string(text) : json_null();
}

static json_t *number_or_null(uint64_t number)
{
	return number ? json_integer((json_int_t)number) : json_null();
}

json_t *describe_link(const struct dvk_link_info *info)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "%u", info->node.n);
	return json_pack(
		"{s:s, s:I, s:s, s:o, s:o, s:o, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
		"name", name, "node", (json_int_t)info->node.n, "state", info->up ? "up" : "down",
		"transport", text_or_null(info->transport), "filters", text_or_null(info->filters),
		"proxy_pid", number_or_null((uint64_t)info->proxy_pid), "channels",
		(json_int_t)info->n_channels, "rtt_us", number_or_null((info->rtt_ns + 999) / 1000),
		"frames_in", (json_int_t)info->frames_in, "frames_out",
		(json_int_t)info->frames_out, "bytes_in", (json_int_t)info->bytes_in, "bytes_out",
		(json_int_t)info->bytes_out, "writes", (json_int_t)info->writes, "reconnects",
		(json_int_t)info->reconnects, "bad_frames", (json_int_t)info->bad_frames, "why",
		text_or_null(info->why));
}
