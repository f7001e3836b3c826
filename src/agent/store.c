/* SPDX-License-Identifier: Apache-2.0 */
/* What a later agent must know of the programs that it finds in a container: RUN_DIR/programs/DC/ID, a JSON file each. They go with the machine, as the programs do. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/task.h"
#include "base/cleanup.h"

#define PATH_BYTES 400

static void folder_of(const struct programs *programs, const char *dc, char path[PATH_BYTES])
{
	(void)snprintf(path, PATH_BYTES, "%s/programs/%s", programs->agent->options.run_dir, dc);
}

void store_log_folder(const struct programs *programs, const char *dc, char *path, size_t size)
{
	(void)snprintf(path, size, "%s/logs/%s", programs->agent->options.lib_dir, dc);
}

static void file_of(const struct task *task, char path[PATH_BYTES])
{
	(void)snprintf(path, PATH_BYTES, "%s/programs/%s/%016" PRIx64,
		       task->programs->agent->options.run_dir, task->box->dc, task->id);
}

static json_t *to_json(const struct task *task)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s}",
			 "name", task->name, "record", task->record, "version",
			 (json_int_t)task->version, "flags", (json_int_t)task->flags, "state",
			 (json_int_t)task->state, "status", (json_int_t)task->status, "restarts",
			 (json_int_t)task->restarts, "started_ns", (json_int_t)task->started_ns,
			 "ended_ns", (json_int_t)task->ended_ns, "stop_signo",
			 (json_int_t)task->stop_signo, "stop_grace_ms",
			 (json_int_t)task->stop_grace_ms, "command", task->command, "text",
			 task->text);
}

static bool folders_make(const struct task *task)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/programs", task->programs->agent->options.run_dir);
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return false;
	folder_of(task->programs, task->box->dc, path);
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

void store_save(const struct task *task)
{
	char path[PATH_BYTES];
	char beside[PATH_BYTES + 8];
	json_t *json = to_json(task);
	bool good;

	file_of(task, path);
	(void)snprintf(beside, sizeof(beside), "%s.new", path);
	good = json && (json_dump_file(json, beside, JSON_COMPACT) == 0 ||
			(folders_make(task) && json_dump_file(json, beside, JSON_COMPACT) == 0));
	if (!good || rename(beside, path) != 0)
		log_warning(&task->programs->agent->log,
			    "a program cannot be kept in mind: a later agent will not know it",
			    LOG_STR("program", task->name), LOG_STR("path", path));
	json_decref(json);
}

void store_remove(const struct task *task)
{
	char path[PATH_BYTES];

	file_of(task, path);
	(void)unlink(path);
}

/* ---- reading ---- */

static bool put_text(const json_t *json, const char *key, char *text, size_t size)
{
	const char *value = json_string_value(json_object_get(json, key));

	if (!value || strlen(value) >= size)
		return false;
	(void)snprintf(text, size, "%s", value);
	return true;
}

static uint64_t number(const json_t *json, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(json, key));
}

static bool fill(struct task *task, const json_t *json)
{
	task->version = number(json, "version");
	task->flags = (uint32_t)number(json, "flags");
	task->state = (enum task_state)number(json, "state");
	task->status = (uint32_t)number(json, "status");
	task->restarts = (uint32_t)number(json, "restarts");
	task->started_ns = number(json, "started_ns");
	task->ended_ns = number(json, "ended_ns");
	task->stop_signo = (uint32_t)number(json, "stop_signo");
	task->stop_grace_ms = (uint32_t)number(json, "stop_grace_ms");
	task->over = task_has_ended(task);
	/* What was under way when the agent ended is found out from dc-init's list. */
	task->sent = !task->over;
	return put_text(json, "name", task->name, sizeof(task->name)) &&
	       put_text(json, "record", task->record, sizeof(task->record)) &&
	       put_text(json, "command", task->command, sizeof(task->command)) &&
	       put_text(json, "text", task->text, sizeof(task->text)) && task->state >= TASK_RUNS &&
	       task->state <= TASK_CANNOT;
}

static void load_one(struct box *box, const char *path, uint64_t id)
{
	json_t *json = json_load_file(path, 0, NULL);
	struct task *task = NULL;
	char folder[PATH_BYTES];

	if (json && task_new(box, id, &task) == DVS_OK) {
		store_log_folder(box->programs, box->dc, folder, sizeof(folder));
		if (!fill(task, json) ||
		    (!(task->flags & RUN_EXEC) && logs_open(folder, id, &task->logs) != DVS_OK))
			task_forget(task);
	}
	json_decref(json);
}

void store_load(struct box *box)
{
	char folder[PATH_BYTES];
	AUTO_CLOSEDIR DIR *dir = NULL;
	const struct dirent *entry;

	folder_of(box->programs, box->dc, folder);
	dir = opendir(folder);
	while (dir && (entry = readdir(dir))) {
		char path[PATH_BYTES + 260];
		char *end;
		uint64_t id = strtoull(entry->d_name, &end, 16);

		(void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (end == entry->d_name + 16 && *end == '\0' && id != 0)
			load_one(box, path, id);
		else if (entry->d_name[0] != '.')
			(void)unlink(path);
	}
}

static void clear_folder(const char *folder)
{
	AUTO_CLOSEDIR DIR *dir = opendir(folder);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	}
	(void)rmdir(folder);
}

void store_clear(struct programs *programs, const char *dc)
{
	char folder[PATH_BYTES];

	folder_of(programs, dc, folder);
	clear_folder(folder);
	store_log_folder(programs, dc, folder, sizeof(folder));
	clear_folder(folder);
}
