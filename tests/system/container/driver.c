/* SPDX-License-Identifier: Apache-2.0 */
/* Calls container.h as it is told on its stdin: a line is a JSON array, the operation first; the answer is a line of JSON. Run by container.py. */
#include "container/container.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

struct driver {
	struct container_host host;
	char why[DESCRIPTION_TEXT_MAX];
	const json_t *request;
};

static const char *text(const struct driver *driver, size_t i)
{
	return json_string_value(json_array_get(driver->request, i));
}

static uint64_t number(const struct driver *driver, size_t i)
{
	return (uint64_t)json_integer_value(json_array_get(driver->request, i));
}

static json_t *result(const struct driver *driver, dvs_err err)
{
	return json_pack("{s:s, s:s}", "err", dvs_err_name(err), "why", driver->why);
}

/* [op, name, dc, description, tree, control] */
static dvs_err plan(struct driver *driver, struct description *description,
		    struct container_plan *plan)
{
	dvs_err err =
		description_from_json(json_array_get(driver->request, 3), description, driver->why);

	*plan = (struct container_plan){
		.name = text(driver, 1),
		.dc = (uint32_t)number(driver, 2),
		.description = description,
		.tree = text(driver, 4),
		.control_socket = text(driver, 5),
	};
	return err;
}

static json_t *op_check(struct driver *driver)
{
	struct description description;
	struct container_plan of;
	dvs_err err = plan(driver, &description, &of);

	if (err != DVS_OK)
		return result(driver, err);
	err = container_check(&driver->host, &of, driver->why);
	description_free(&description);
	return result(driver, err);
}

static json_t *op_create(struct driver *driver)
{
	struct description description;
	struct container_plan of;
	pid_t pid = 0;
	dvs_err err = plan(driver, &description, &of);
	json_t *answer;

	if (err != DVS_OK)
		return result(driver, err);
	err = container_create(&driver->host, &of, &pid, driver->why);
	description_free(&description);
	answer = result(driver, err);
	(void)json_object_set_new(answer, "pid", json_integer(pid));
	return answer;
}

static json_t *op_update(struct driver *driver)
{
	struct description description;
	struct container_plan of;
	dvs_err err = plan(driver, &description, &of);

	if (err != DVS_OK)
		return result(driver, err);
	err = container_update(&driver->host, &of, driver->why);
	description_free(&description);
	return result(driver, err);
}

static json_t *op_can_update(struct driver *driver)
{
	struct description old, new;
	json_t *answer;

	if (description_from_json(json_array_get(driver->request, 1), &old, driver->why) != DVS_OK)
		return result(driver, DVS_BADARG);
	if (description_from_json(json_array_get(driver->request, 2), &new, driver->why) !=
	    DVS_OK) {
		description_free(&old);
		return result(driver, DVS_BADARG);
	}
	answer = result(driver,
			container_can_update(&old, &new, driver->why) ? DVS_OK : DVS_BADSTATE);
	description_free(&old);
	description_free(&new);
	return answer;
}

static json_t *op_remove(struct driver *driver)
{
	return result(driver, container_remove(&driver->host, text(driver, 1), driver->why));
}

static json_t *op_freeze(struct driver *driver)
{
	return result(driver, container_freeze(&driver->host, text(driver, 1),
					       number(driver, 2) != 0, driver->why));
}

static json_t *op_mark(struct driver *driver)
{
	return result(driver, container_mark(&driver->host, text(driver, 1), number(driver, 2)));
}

static json_t *op_look(struct driver *driver)
{
	static const char *const names[] = { "absent", "runs", "frozen", "leftover" };
	struct container_state state;
	char path[108];

	if (container_look(&driver->host, text(driver, 1), &state) != DVS_OK)
		return result(driver, DVS_IO);
	container_socket(&driver->host, text(driver, 1), path);
	return json_pack("{s:s, s:s, s:i, s:i, s:I, s:s}", "err", "OK", "is", names[state.is], "dc",
			 (int)state.dc, "pid", (int)state.pid, "version", (json_int_t)state.version,
			 "socket", path);
}

static json_t *op_list(struct driver *driver)
{
	json_t *list = json_array();
	char **names;
	size_t n;

	if (container_list(&driver->host, &names, &n) != DVS_OK)
		return result(driver, DVS_IO);
	for (size_t i = 0; i < n; i++) {
		(void)json_array_append_new(list, json_string(names[i]));
		free(names[i]);
	}
	free(names);
	return json_pack("{s:s, s:o}", "err", "OK", "names", list);
}

static json_t *op_usage(struct driver *driver)
{
	struct container_usage usage;
	dvs_err err = container_usage(&driver->host, text(driver, 1), &usage);

	if (err != DVS_OK)
		return result(driver, err);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "err",
			 "OK", "cpu_ns", (json_int_t)usage.cpu_ns, "cpu_limit_millis",
			 (json_int_t)usage.cpu_limit_millis, "throttled_ns",
			 (json_int_t)usage.throttled_ns, "memory_bytes",
			 (json_int_t)usage.memory_bytes, "memory_limit",
			 (json_int_t)usage.memory_limit, "memory_peak",
			 (json_int_t)usage.memory_peak, "oom_kills", (json_int_t)usage.oom_kills,
			 "pids", (json_int_t)usage.pids, "pids_limit", (json_int_t)usage.pids_limit,
			 "io_read_bytes", (json_int_t)usage.io_read_bytes, "io_write_bytes",
			 (json_int_t)usage.io_write_bytes, "frozen", usage.frozen);
}

/* As the workers of an agent do: each has containers of its own, all at once. */
struct worker {
	pthread_t thread;
	struct container_host *host;
	struct container_plan plan;
	char name[32];
	uint64_t rounds;
	dvs_err err;
	char why[DESCRIPTION_TEXT_MAX];
};

static void *work(void *arg)
{
	struct worker *worker = arg;

	for (uint64_t i = 0; i < worker->rounds && worker->err == DVS_OK; i++) {
		pid_t pid;

		worker->err = container_create(worker->host, &worker->plan, &pid, worker->why);
		if (worker->err == DVS_OK)
			worker->err =
				container_remove(worker->host, worker->plan.name, worker->why);
	}
	return NULL;
}

/* [op, rounds, workers, description, first DC] */
static json_t *op_many(struct driver *driver)
{
	struct worker workers[8] = { { .err = DVS_OK } };
	struct description description;
	size_t n = (size_t)number(driver, 2);
	dvs_err err = description_from_json(json_array_get(driver->request, 3), &description,
					    driver->why);

	if (err != DVS_OK || n > ARRAY_LEN(workers))
		return result(driver, DVS_BADARG);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(workers[i].name, sizeof(workers[i].name), "w%zu", i);
		workers[i].host = &driver->host;
		workers[i].rounds = number(driver, 1);
		workers[i].plan = (struct container_plan){ .name = workers[i].name,
							   .dc = (uint32_t)(number(driver, 4) + i),
							   .description = &description };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			abort();
	}
	for (size_t i = 0; i < n; i++) {
		(void)pthread_join(workers[i].thread, NULL);
		if (workers[i].err != DVS_OK) {
			err = workers[i].err;
			(void)snprintf(driver->why, sizeof(driver->why), "%s", workers[i].why);
		}
	}
	description_free(&description);
	return result(driver, err);
}

static json_t *answer(struct driver *driver)
{
	static const struct {
		const char *name;
		json_t *(*run)(struct driver *driver);
	} ops[] = {
		{ "check", op_check },	 { "create", op_create },
		{ "update", op_update }, { "can_update", op_can_update },
		{ "remove", op_remove }, { "freeze", op_freeze },
		{ "mark", op_mark },	 { "look", op_look },
		{ "many", op_many },	 { "list", op_list },
		{ "usage", op_usage },
	};

	driver->why[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (text(driver, 0) && strcmp(ops[i].name, text(driver, 0)) == 0)
			return ops[i].run(driver);
	}
	return result(driver, DVS_BADARG);
}

static void say(json_t *what)
{
	(void)json_dumpf(what, stdout, JSON_COMPACT);
	(void)putchar('\n');
	(void)fflush(stdout);
	json_decref(what);
}

/* driver RUN_DIR LIB_DIR */
int main(int argc, char *argv[])
{
	struct driver driver = { .request = NULL };
	char *line = NULL;
	size_t room = 0;
	dvs_err err;

	if (argc != 3)
		return 2;
	err = container_host_open(argv[1], argv[2], &driver.host, driver.why);
	say(json_pack("{s:s, s:s, s:s, s:i}", "err", dvs_err_name(err), "why", driver.why, "cgroup",
		      driver.host.cgroup, "layout", (int)container_layout()));
	while (err == DVS_OK && getline(&line, &room, stdin) > 0) {
		json_t *request = json_loads(line, 0, NULL);

		driver.request = request;
		say(answer(&driver));
		json_decref(request);
	}
	free(line);
	return err == DVS_OK ? 0 : 1;
}
