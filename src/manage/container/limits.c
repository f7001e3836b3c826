/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/container/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "container/description.h"

#define NAME_BYTES 128

struct taking {
	struct cli *cli;
	int status; /* when it has failed */
};

/* Where an option goes, and how its text becomes JSON there. */
struct limit {
	enum option_id id;
	const char *option;
	const char *field;
	/* NULL: the message is out. */
	json_t *(*value)(struct taking *taking, const struct limit *limit, const char *text);
	/* Of options that can be given several times: put one into the list or object; false: the message is out. */
	bool (*add)(struct taking *taking, const struct limit *limit, json_t *field,
		    const char *text);
	bool is_list;
};

static bool refuse(struct taking *taking, const struct limit *limit, const char *text,
		   const char *right)
{
	taking->status = cli_usage(taking->cli, "--%s does not take '%s'; give %s", limit->option,
				   text, right);
	return false;
}

bool limits_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGTP";
	char *end;
	double number;
	const char *unit;
	double factor = 1;

	if (text[0] < '0' || text[0] > '9' || strspn(text, "0123456789.") == 0)
		return false;
	errno = 0;
	number = strtod(text, &end);
	/* strtod() also takes 0x10 and 1e3. */
	if (errno != 0 || (size_t)(end - text) != strspn(text, "0123456789."))
		return false;
	unit = *end ? strchr(units, *end & ~0x20) : NULL;
	if (unit) {
		for (const char *at = units; at <= unit; at++)
			factor *= 1024;
		end++;
		if (*end == 'i')
			end++;
	}
	if (*end == 'B' || *end == 'b')
		end++;
	if (*end || number * factor >= 9e18)
		return false;
	*bytes = (uint64_t)(number * factor);
	return true;
}

/* ---- single values ---- */

static json_t *take_size(struct taking *taking, const struct limit *limit, const char *text)
{
	uint64_t bytes;

	if (limits_size(text, &bytes))
		return json_integer((json_int_t)bytes);
	refuse(taking, limit, text, "a number of bytes, as 268435456, 256M or 1.5G");
	return NULL;
}

static json_t *take_number(struct taking *taking, const struct limit *limit, const char *text)
{
	uint64_t number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && !*end && errno == 0 && number <= INT64_MAX)
		return json_integer((json_int_t)number);
	refuse(taking, limit, text, "a whole number");
	return NULL;
}

static json_t *take_cpus(struct taking *taking, const struct limit *limit, const char *text)
{
	char *end;
	double number = strtod(text, &end);

	if (text[0] >= '0' && text[0] <= '9' && !*end &&
	    strspn(text, "0123456789.") == strlen(text))
		return json_real(number);
	refuse(taking, limit, text, "a number of CPUs, as 2 or 0.5");
	return NULL;
}

static json_t *take_text(struct taking *taking, const struct limit *limit, const char *text)
{
	if (text[0])
		return json_string(text);
	refuse(taking, limit, text, "a text that is not empty");
	return NULL;
}

/* ---- lists and maps ---- */

/* The part of TEXT before the first STOP into NAME (room for NAME_BYTES); what follows STOP, or NULL. */
static const char *split(const char *text, char stop, char *name)
{
	const char *at = strchr(text, stop);
	size_t len = at ? (size_t)(at - text) : 0;

	if (len == 0 || len >= NAME_BYTES)
		return NULL;
	memcpy(name, text, len);
	name[len] = '\0';
	return at + 1;
}

static bool done(struct taking *taking, int failed)
{
	if (failed)
		taking->status = cli_fail(taking->cli, DVS_NOMEM, "describe the dc");
	return !failed;
}

static bool add_pair(struct taking *taking, const struct limit *limit, json_t *field,
		     const char *text)
{
	char name[NAME_BYTES];
	const char *value = split(text, '=', name);

	if (!value)
		return refuse(taking, limit, text, "NAME=VALUE");
	return done(taking, json_object_set_new(field, name, json_string(value)));
}

static bool add_hugetlb(struct taking *taking, const struct limit *limit, json_t *field,
			const char *text)
{
	char name[NAME_BYTES];
	const char *value = split(text, '=', name);
	uint64_t bytes;

	if (!value || !limits_size(value, &bytes))
		return refuse(taking, limit, text, "PAGESIZE=BYTES, as 2MB=0 or 2MB=64M");
	return done(taking, json_object_set_new(field, name, json_integer((json_int_t)bytes)));
}

static json_t *rlimit_value(const char *text, size_t len)
{
	char number[32];
	char *end;
	uint64_t value;

	if (len == 9 && strncmp(text, "unlimited", 9) == 0)
		return json_string("unlimited");
	if (len == 0 || len >= sizeof(number) || text[0] < '0' || text[0] > '9')
		return NULL;
	memcpy(number, text, len);
	number[len] = '\0';
	value = strtoull(number, &end, 10);
	return *end || value > INT64_MAX ? NULL : json_integer((json_int_t)value);
}

static bool add_rlimit(struct taking *taking, const struct limit *limit, json_t *field,
		       const char *text)
{
	char name[NAME_BYTES];
	const char *value = split(text, '=', name);
	size_t len = value ? strcspn(value, ":") : 0;
	const char *hard_text = value && value[len] ? value + len + 1 : value;
	json_t *soft = value ? rlimit_value(value, len) : NULL;
	json_t *hard = value ? rlimit_value(hard_text, strlen(hard_text)) : NULL;

	if (soft && hard)
		return done(taking,
			    json_object_set_new(field, name, json_pack("[o, o]", soft, hard)));
	json_decref(soft);
	json_decref(hard);
	return refuse(taking, limit, text,
		      "NAME=SOFT:HARD, as nofile=1024:4096; 'unlimited' is a number");
}

static bool add_device(struct taking *taking, const struct limit *limit, json_t *field,
		       const char *text)
{
	size_t len = strcspn(text, ":");
	const char *access = text[len] ? text + len + 1 : "rwm";

	if (text[0] != '/' || !access[0])
		return refuse(taking, limit, text, "PATH or PATH:ACCESS, as /dev/fuse:rw");
	return done(taking, json_array_append_new(field, json_pack("{s:s%, s:s}", "path", text, len,
								   "access", access)));
}

static bool add_volume(struct taking *taking, const struct limit *limit, json_t *field,
		       const char *text)
{
	size_t source = strcspn(text, ":");
	const char *target = text[source] ? text + source + 1 : "";
	size_t len = strcspn(target, ":");
	const char *mode = target[len] ? target + len + 1 : "rw";
	bool readonly = strcmp(mode, "ro") == 0;

	if (source == 0 || target[0] != '/' || (!readonly && strcmp(mode, "rw") != 0))
		return refuse(taking, limit, text,
			      "SOURCE:TARGET or SOURCE:TARGET:ro; TARGET is an absolute path, and "
			      "SOURCE, too, or a file system of the DC");
	return done(taking, json_array_append_new(field, json_pack("{s:s%, s:s%, s:b}", "source",
								   text, source, "target", target,
								   len, "readonly", readonly)));
}

/* One "read_bps=1M" of an --io. */
static bool add_io_limit(json_t *entry, const char *text, size_t len)
{
	static const char *const names[] = { "read_bps", "write_bps", "read_iops", "write_iops" };
	char word[NAME_BYTES];
	uint64_t number;

	if (len >= sizeof(word))
		return false;
	memcpy(word, text, len);
	word[len] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t name_len = strlen(names[i]);

		if (strncmp(word, names[i], name_len) != 0 || word[name_len] != '=')
			continue;
		return limits_size(word + name_len + 1, &number) &&
		       json_object_set_new(entry, names[i], json_integer((json_int_t)number)) == 0;
	}
	return false;
}

/* Another one for the same device takes the place of the former. */
static bool put_io(json_t *field, json_t *entry)
{
	const char *device = json_string_value(json_object_get(entry, "device"));

	for (size_t i = 0; device && i < json_array_size(field); i++) {
		const char *other =
			json_string_value(json_object_get(json_array_get(field, i), "device"));

		if (other && strcmp(other, device) == 0)
			return json_array_set_new(field, i, entry) == 0;
	}
	return json_array_append_new(field, entry) == 0;
}

static bool add_io(struct taking *taking, const struct limit *limit, json_t *field,
		   const char *text)
{
	size_t len = strcspn(text, ":");
	json_t *entry = json_pack("{s:s%}", "device", text, len);
	bool good = entry && text[0] == '/' && text[len] == ':' && text[len + 1];

	for (const char *at = text + len; good && *at; at += len) {
		at++;
		len = strcspn(at, ",");
		good = add_io_limit(entry, at, len);
	}
	if (good)
		return done(taking, !put_io(field, entry));
	json_decref(entry);
	return refuse(
		taking, limit, text,
		"DEVICE:read_bps=N,write_bps=N,read_iops=N,write_iops=N, at least one of them");
}

/* ---- the table ---- */

static const struct limit limits[] = {
	{ OPTION_CPUS, "cpus", "cpus", take_cpus, NULL, false },
	{ OPTION_CPU_WEIGHT, "cpu-weight", "cpu_weight", take_number, NULL, false },
	{ OPTION_CPUSET, "cpuset", "cpuset", take_text, NULL, false },
	{ OPTION_MEMORY, "memory", "memory", take_size, NULL, false },
	{ OPTION_SWAP, "swap", "swap", take_size, NULL, false },
	{ OPTION_PIDS, "pids", "pids", take_number, NULL, false },
	{ OPTION_IO_WEIGHT, "io-weight", "io_weight", take_number, NULL, false },
	{ OPTION_IO, "io", "io", NULL, add_io, true },
	{ OPTION_HUGETLB, "hugetlb", "hugetlb", NULL, add_hugetlb, false },
	{ OPTION_DEVICE, "device", "devices", NULL, add_device, true },
	{ OPTION_SECCOMP, "seccomp", "seccomp", take_text, NULL, false },
	{ OPTION_RLIMIT, "rlimit", "rlimits", NULL, add_rlimit, false },
	{ OPTION_VOLUME, "volume", "volumes", NULL, add_volume, true },
	{ OPTION_NETWORK, "network", "network", take_text, NULL, false },
	{ OPTION_HOSTNAME, "hostname", "hostname", take_text, NULL, false },
	{ OPTION_ENV, "env", "env", NULL, add_pair, false },
	{ OPTION_LABEL, "label", "labels", NULL, add_pair, false },
};

/* "none" takes it away again. */
static bool take_limit(struct taking *taking, const struct limit *limit, json_t *document)
{
	size_t cursor = 0;
	const char *text;
	json_t *field;

	if (!cli_has(taking->cli, limit->id))
		return true;
	/* A network called none there is. */
	if (limit->id != OPTION_NETWORK && strcmp(taking->cli->values[limit->id], "none") == 0) {
		/* That there is none to remove is as well. */
		(void)json_object_del(document, limit->field);
		return true;
	}
	if (!limit->add) {
		field = limit->value(taking, limit, taking->cli->values[limit->id]);
		return field && done(taking, json_object_set_new(document, limit->field, field));
	}
	field = json_object_get(document, limit->field);
	if (!field) {
		field = limit->is_list ? json_array() : json_object();
		if (!done(taking, json_object_set_new(document, limit->field, field)))
			return false;
	}
	while ((text = cli_each(taking->cli, limit->id, &cursor)) != NULL) {
		if (!limit->add(taking, limit, field, text))
			return false;
	}
	return true;
}

/* --cap-add and --cap-drop are two lists of one field. */
static bool take_capabilities(struct taking *taking, json_t *document)
{
	static const struct {
		enum option_id id;
		const char *list;
	} lists[] = { { OPTION_CAP_ADD, "add" }, { OPTION_CAP_DROP, "drop" } };
	json_t *field = json_object();
	int failed = !field;

	for (size_t i = 0; i < ARRAY_LEN(lists) && !failed; i++) {
		json_t *list = json_array();
		size_t cursor = 0;
		const char *text;

		failed = json_object_set_new(field, lists[i].list, list);
		while (!failed && (text = cli_each(taking->cli, lists[i].id, &cursor)) != NULL)
			failed = json_array_append_new(list, json_string(text));
	}
	if (!failed &&
	    (cli_has(taking->cli, OPTION_CAP_ADD) || cli_has(taking->cli, OPTION_CAP_DROP)))
		failed = json_object_set(document, "capabilities", field);
	json_decref(field);
	return done(taking, failed);
}

static bool take_root(struct taking *taking, json_t *document)
{
	const char *image = taking->cli->values[OPTION_IMAGE];
	const char *directory = taking->cli->values[OPTION_DIRECTORY];
	json_t *root;

	if (cli_has(taking->cli, OPTION_IMAGE) + cli_has(taking->cli, OPTION_DIRECTORY) +
		    cli_has(taking->cli, OPTION_ROOT) >
	    1) {
		taking->status =
			cli_usage(taking->cli,
				  "--image, --directory and --root exclude each other; give one");
		return false;
	}
	if (image)
		root = json_pack("{s:s, s:s}", "kind", "image", "name", image);
	else if (directory)
		root = json_pack("{s:s, s:s}", "kind", "directory", "path", directory);
	else if (cli_has(taking->cli, OPTION_ROOT) || !json_object_get(document, "root"))
		root = json_pack("{s:s}", "kind", "host");
	else
		return true;
	return done(taking, json_object_set_new(document, "root", root));
}

/* The root file system is told by one of three. */
static const char *root_option(const struct cli *cli)
{
	if (cli_has(cli, OPTION_IMAGE))
		return "image";
	return cli_has(cli, OPTION_DIRECTORY) ? "directory" : "root";
}

const char *limits_option(const struct cli *cli, const char *complaint, const char **sentence)
{
	static const struct {
		const char *field;
		const char *option;
	} others[] = { { "capabilities.add", "cap-add" }, { "capabilities.drop", "cap-drop" } };
	const char *end = strstr(complaint, ": ");
	size_t len = end ? strcspn(complaint, ".[:") : 0;

	*sentence = end ? end + 2 : complaint;
	if (len == 4 && strncmp(complaint, "root", len) == 0)
		return root_option(cli);
	for (size_t i = 0; end && i < ARRAY_LEN(others); i++) {
		size_t field_len = strlen(others[i].field);

		if (strncmp(complaint, others[i].field, field_len) == 0 &&
		    (complaint[field_len] == ':' || complaint[field_len] == '['))
			return others[i].option;
	}
	for (size_t i = 0; end && i < ARRAY_LEN(limits); i++) {
		if (strlen(limits[i].field) == len && strncmp(complaint, limits[i].field, len) == 0)
			return limits[i].option;
	}
	*sentence = complaint;
	return NULL;
}

static int check(struct cli *cli, json_t *document)
{
	struct description description;
	char why[DESCRIPTION_TEXT_MAX];
	const char *sentence;
	const char *option;
	dvs_err err = description_from_json(document, &description, why);

	if (err == DVS_OK) {
		description_free(&description);
		return EXIT_DONE;
	}
	if (err != DVS_BADARG)
		return cli_fail(cli, err, "describe the dc");
	option = limits_option(cli, why, &sentence);
	if (option)
		return cli_usage(cli, "--%s: %s", option, sentence);
	return cli_usage(cli, "%s", sentence);
}

int limits_take(struct cli *cli, json_t *document)
{
	/* What does not say what it was has run out of memory. */
	struct taking taking = { .cli = cli, .status = EXIT_DONE };
	bool taken = take_root(&taking, document) && take_capabilities(&taking, document);

	for (size_t i = 0; i < ARRAY_LEN(limits) && taken; i++)
		taken = take_limit(&taking, &limits[i], document);
	if (taken)
		return check(cli, document);
	return taking.status != EXIT_DONE ? taking.status :
					    cli_fail(cli, DVS_NOMEM, "describe the dc");
}

const char *limits_given(const struct cli *cli)
{
	static const struct {
		enum option_id id;
		const char *option;
	} others[] = { { OPTION_IMAGE, "image" },
		       { OPTION_DIRECTORY, "directory" },
		       { OPTION_ROOT, "root" },
		       { OPTION_CAP_ADD, "cap-add" },
		       { OPTION_CAP_DROP, "cap-drop" } };

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (cli_has(cli, others[i].id))
			return others[i].option;
	}
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		if (cli_has(cli, limits[i].id))
			return limits[i].option;
	}
	return NULL;
}
