/* SPDX-License-Identifier: Apache-2.0 */
#include "container/description.h"

#include <stdlib.h>
#include <string.h>

#include "container/description_volumes.h"
#include "container/names.h"
#include "container/reader.h"

#define CAP(n) (UINT64_C(1) << (n))
/* What programs of a container need to own files, to change their user and to listen on small ports; as podman does. */
#define CAPABILITIES_DEFAULT                                                               \
	(CAP(0) | CAP(1) | CAP(3) | CAP(4) | CAP(5) | CAP(6) | CAP(7) | CAP(8) | CAP(10) | \
	 CAP(18) | CAP(31))
#define CAPABILITIES_ALL (CAP(CAPABILITIES) - 1)

#define CPU_MILLIS_MIN 10u /* the kernel's least quota: 1 ms of 100 ms */
#define CPU_MILLIS_MAX 4096000u
#define CPUS_MAX 8192u
#define BYTES_MAX (UINT64_C(1) << 60)
#define MEMORY_MIN (UINT64_C(4) << 20) /* crun itself starts in it */
#define PIDS_MIN 2u		       /* dc-init and a program */
#define PIDS_MAX 4194304u
#define WEIGHT_MAX 10000u
#define WEIGHT_DEFAULT 100u
#define LABELS_MAX 64u
#define LABEL_MAX 255u
#define HOSTNAME_MAX 64u
#define IMAGE_MAX 127u
#define DIGEST_HEX 64u

#define AT(member) offsetof(struct description, member)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- root ---- */

static bool read_image(const struct place *place, const json_t *value, const struct reader_key *row,
		       void *to)
{
	const char *name = reader_text(place, value, 1, IMAGE_MAX);

	if (!name)
		return false;
	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:") !=
		    strlen(name) ||
	    strchr("-./:_", name[0]) || strstr(name, ".."))
		return reader_fail(place,
				   "the name of an image is made of letters, digits and "
				   "'-', '_', '.', '/', ':', and begins with a letter or digit");
	memcpy((char *)to + row->offset, &name, sizeof(name));
	return true;
}

static bool read_digest(const struct place *place, const json_t *value,
			const struct reader_key *row, void *to)
{
	const char *digest = reader_text(place, value, 1, IMAGE_MAX);

	if (!digest)
		return false;
	if (strncmp(digest, "sha256:", 7) != 0 || strlen(digest) != 7 + DIGEST_HEX ||
	    strspn(digest + 7, "0123456789abcdef") != DIGEST_HEX)
		return reader_fail(place, "a digest is 'sha256:' and 64 digits of 0-9 and a-f");
	memcpy((char *)to + row->offset, &digest, sizeof(digest));
	return true;
}

static const char *const root_kinds[] = { "host", "image", "directory", NULL };
static const struct reader_key root_kind = { "kind", read_choice, AT(root), DESCRIPTION_HOST,
					     0,	     root_kinds,  true };
static const struct reader_key root_keys[] = {
	{ "kind", read_choice, AT(root), DESCRIPTION_HOST, 0, root_kinds, true },
	{ "name", read_image, AT(image), 0, 0, NULL, true },
	{ "digest", read_digest, AT(digest), 0, 0, NULL, false },
};
static const struct reader_key directory_keys[] = {
	{ "kind", read_choice, AT(root), DESCRIPTION_HOST, 0, root_kinds, true },
	{ "path", read_path, AT(directory), 0, 0, NULL, true },
};

static bool read_root(const struct place *place, const json_t *value, const struct reader_key *row,
		      void *to)
{
	struct description *description = to;
	const json_t *kind = json_object_get(value, "kind");
	const struct place at = { place->reader, place, "kind", 0 };

	(void)row;
	if (!reader_is_object(place, value, SIZE_MAX))
		return false;
	if (!kind)
		return reader_fail(place, "lacks the key 'kind'");
	if (!read_choice(&at, kind, &root_kind, to))
		return false;
	switch (description->root) {
	case DESCRIPTION_HOST:
		return reader_object(place, value, root_keys, 1, to);
	case DESCRIPTION_IMAGE:
		return reader_object(place, value, root_keys, COUNT(root_keys), to);
	case DESCRIPTION_DIRECTORY:
		return reader_object(place, value, directory_keys, COUNT(directory_keys), to);
	}
	return false;
}

static bool read_hostname(const struct place *place, const json_t *value,
			  const struct reader_key *row, void *to)
{
	const char *name = reader_text(place, value, 1, HOSTNAME_MAX);

	if (!name)
		return false;
	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") !=
		    strlen(name) ||
	    strchr("-.", name[0]))
		return reader_fail(place,
				   "a host name is made of letters, digits, '-' and '.', and "
				   "begins with a letter or digit");
	memcpy((char *)to + row->offset, &name, sizeof(name));
	return true;
}

/* ---- limits ---- */

static bool read_cpus(const struct place *place, const json_t *value, const struct reader_key *row,
		      void *to)
{
	double cpus = json_number_value(value);
	uint64_t millis;

	if (!json_is_number(value))
		return reader_fail(place, "must be a number of CPUs, such as 1.5");
	if (!(cpus * 1000 >= CPU_MILLIS_MIN && cpus * 1000 <= CPU_MILLIS_MAX))
		return reader_fail(place, "%g is not a number of CPUs from %g to %g", cpus,
				   CPU_MILLIS_MIN / 1000.0, CPU_MILLIS_MAX / 1000.0);
	millis = (uint64_t)(cpus * 1000 + 0.5);
	memcpy((char *)to + row->offset, &millis, sizeof(millis));
	return true;
}

/* One of "0-3,5": *AT moves behind it. */
static bool cpu_range(const char **at, long *next)
{
	char *end;
	long first;
	long last;

	if (**at < '0' || **at > '9')
		return false;
	last = first = strtol(*at, &end, 10);
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		last = strtol(end + 1, &end, 10);
	if (first < *next || last < first || last >= (long)CPUS_MAX)
		return false;
	*next = last + 1;
	*at = end;
	return true;
}

static bool read_cpuset(const struct place *place, const json_t *value,
			const struct reader_key *row, void *to)
{
	const char *text = reader_text(place, value, 1, LABEL_MAX);
	const char *at = text;
	long next = 0;

	if (!text)
		return false;
	while (cpu_range(&at, &next) && *at == ',')
		at++;
	if (*at != '\0' || (at > text && at[-1] == ','))
		return reader_fail(place, "must be CPUs by rising number, such as \"0-3,5\"");
	memcpy((char *)to + row->offset, &text, sizeof(text));
	return true;
}

static bool read_device_path(const struct place *place, const json_t *value,
			     const struct reader_key *row, void *to)
{
	const char *path = reader_path(place, value);

	if (!path)
		return false;
	if (strncmp(path, "/dev/", 5) != 0)
		return reader_fail(place, "a device is below /dev/, such as /dev/vda");
	memcpy((char *)to + row->offset, &path, sizeof(path));
	return true;
}

#define IO(member) offsetof(struct description_io, member)
static const struct reader_key io_keys[] = {
	{ "device", read_device_path, IO(device), 0, 0, NULL, true },
	{ "read_bps", read_u64, IO(read_bps), 1, BYTES_MAX, NULL, false },
	{ "write_bps", read_u64, IO(write_bps), 1, BYTES_MAX, NULL, false },
	{ "read_iops", read_u64, IO(read_iops), 1, UINT32_MAX, NULL, false },
	{ "write_iops", read_u64, IO(write_iops), 1, UINT32_MAX, NULL, false },
};

static bool read_io(const struct place *place, const json_t *value, const struct reader_key *row,
		    void *to)
{
	struct description *description = to;

	(void)row;
	if (!reader_is_list(place, value, 0, DESCRIPTION_LIST_MAX))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct place at = { place->reader, place, NULL, i };
		struct description_io *io = &description->io[i];

		*io = (struct description_io){ NULL, DESCRIPTION_NONE, DESCRIPTION_NONE,
					       DESCRIPTION_NONE, DESCRIPTION_NONE };
		if (!reader_object(&at, json_array_get(value, i), io_keys, COUNT(io_keys), io))
			return false;
		for (size_t k = 0; k < i; k++) {
			if (strcmp(description->io[k].device, io->device) == 0)
				return reader_fail(&at, "%s is there twice", io->device);
		}
		description->n_io = i + 1;
	}
	return true;
}

/* As the kernel names page sizes: "64KB", "2MB", "1GB". */
static bool is_page_size(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits < 6 && text[0] != '0' &&
	       (strcmp(text + digits, "KB") == 0 || strcmp(text + digits, "MB") == 0 ||
		strcmp(text + digits, "GB") == 0);
}

static bool read_hugetlb(const struct place *place, const json_t *value,
			 const struct reader_key *row, void *to)
{
	struct description *description = to;

	(void)row;
	if (!reader_is_object(place, value, COUNT(description->hugetlb)))
		return false;
	for (void *i = json_object_iter((json_t *)(uintptr_t)value); i;
	     i = json_object_iter_next((json_t *)(uintptr_t)value, i)) {
		const struct place at = { place->reader, place, json_object_iter_key(i), 0 };
		struct description_hugetlb *hugetlb =
			&description->hugetlb[description->n_hugetlb++];

		if (!is_page_size(at.key))
			return reader_fail(&at, "the size of a huge page is such as 2MB or 1GB");
		hugetlb->size = at.key;
		if (!reader_number(&at, json_object_iter_value(i), 0, BYTES_MAX, &hugetlb->bytes))
			return false;
	}
	return true;
}

/* ---- devices and rights ---- */

static bool read_access(const struct place *place, const json_t *value,
			const struct reader_key *row, void *to)
{
	const char *text = reader_text(place, value, 1, LABEL_MAX);
	size_t len;

	if (!text)
		return false;
	len = strlen(text);
	if (strspn(text, "rwm") != len || len > 3 || (len > 1 && text[0] == text[1]) ||
	    (len > 2 && (text[0] == text[2] || text[1] == text[2])))
		return reader_fail(place,
				   "must be made of r (read), w (write), m (make), each once");
	memcpy((char *)to + row->offset, &text, sizeof(text));
	return true;
}

static const struct reader_key device_keys[] = {
	{ "path", read_device_path, offsetof(struct description_device, path), 0, 0, NULL, true },
	{ "access", read_access, offsetof(struct description_device, access), 0, 0, NULL, false },
};

static bool read_devices(const struct place *place, const json_t *value,
			 const struct reader_key *row, void *to)
{
	struct description *description = to;

	(void)row;
	if (!reader_is_list(place, value, 0, DESCRIPTION_LIST_MAX))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct place at = { place->reader, place, NULL, i };
		struct description_device *device = &description->devices[i];

		device->access = "rwm";
		if (!reader_object(&at, json_array_get(value, i), device_keys, COUNT(device_keys),
				   device))
			return false;
		for (size_t k = 0; k < i; k++) {
			if (strcmp(description->devices[k].path, device->path) == 0)
				return reader_fail(&at, "%s is there twice", device->path);
		}
		description->n_devices = i + 1;
	}
	return true;
}

struct capabilities {
	uint64_t add, drop;
	bool add_all, drop_all;
};

static bool capability_list(const struct place *place, const json_t *value, uint64_t *set,
			    bool *all)
{
	if (!reader_is_list(place, value, 0, 2 * CAPABILITIES))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct place at = { place->reader, place, NULL, i };
		const char *name = reader_text(&at, json_array_get(value, i), 1, LABEL_MAX);
		uint32_t number;

		if (!name)
			return false;
		if (strcmp(name, "ALL") == 0)
			*all = true;
		else if (capability_number(name, &number))
			*set |= CAP(number);
		else
			return reader_unknown(&at, name, capability_names);
	}
	return true;
}

static bool read_add(const struct place *place, const json_t *value, const struct reader_key *row,
		     void *to)
{
	struct capabilities *capabilities = to;

	(void)row;
	return capability_list(place, value, &capabilities->add, &capabilities->add_all);
}

static bool read_drop(const struct place *place, const json_t *value, const struct reader_key *row,
		      void *to)
{
	struct capabilities *capabilities = to;

	(void)row;
	return capability_list(place, value, &capabilities->drop, &capabilities->drop_all);
}

static const struct reader_key capability_keys[] = {
	{ "add", read_add, 0, 0, 0, NULL, false },
	{ "drop", read_drop, 0, 0, 0, NULL, false },
};

/* ALL is the ground on which the names stand: drop ALL and add KILL leaves KILL. */
static bool read_capabilities(const struct place *place, const json_t *value,
			      const struct reader_key *row, void *to)
{
	struct description *description = to;
	struct capabilities sets = { 0 };
	uint64_t ground = CAPABILITIES_DEFAULT;

	(void)row;
	if (!reader_object(place, value, capability_keys, COUNT(capability_keys), &sets))
		return false;
	if ((sets.add_all && sets.drop_all) || (sets.add & sets.drop))
		return reader_fail(place, "what is added cannot be dropped, too");
	if (sets.add_all)
		ground = CAPABILITIES_ALL;
	if (sets.drop_all)
		ground = 0;
	description->capabilities = (ground | sets.add) & ~sets.drop;
	return true;
}

static const char *const seccomp_names[] = { "unconfined", "default", NULL };

static bool read_seccomp(const struct place *place, const json_t *value,
			 const struct reader_key *row, void *to)
{
	struct description *description = to;
	const struct reader_key choice = { "", read_choice, 0, 0, 0, seccomp_names, false };
	uint32_t number = 0;

	(void)row;
	if (!read_choice(place, value, &choice, &number))
		return false;
	description->seccomp_default = number == 1;
	return true;
}

static bool read_rlimits(const struct place *place, const json_t *value,
			 const struct reader_key *row, void *to)
{
	struct description *description = to;

	(void)row;
	return reader_rlimits(place, value, description->rlimits, COUNT(description->rlimits),
			      &description->n_rlimits);
}

/* ---- env, labels ---- */

static bool read_env(const struct place *place, const json_t *value, const struct reader_key *row,
		     void *to)
{
	struct description *description = to;

	(void)row;
	return reader_env(place, value, description->env, COUNT(description->env),
			  &description->n_env);
}

static bool read_labels(const struct place *place, const json_t *value,
			const struct reader_key *row, void *to)
{
	(void)row;
	(void)to;
	if (!reader_is_object(place, value, LABELS_MAX))
		return false;
	for (void *i = json_object_iter((json_t *)(uintptr_t)value); i;
	     i = json_object_iter_next((json_t *)(uintptr_t)value, i)) {
		const struct place at = { place->reader, place, json_object_iter_key(i), 0 };

		if (at.key[0] == '\0' || strlen(at.key) > LABEL_MAX)
			return reader_fail(&at, "the name of a label has 1 to %u bytes", LABEL_MAX);
		if (!reader_text(&at, json_object_iter_value(i), 0, LABEL_MAX))
			return false;
	}
	return true;
}

/* ---- the whole ---- */

static const char *const networks[] = { "node", "none", NULL };

static const struct reader_key keys[] = {
	{ "root", read_root, 0, 0, 0, NULL, true },
	{ "hostname", read_hostname, AT(hostname), 0, 0, NULL, false },
	{ "network", read_choice, AT(network), DESCRIPTION_NODE_NETWORK, 0, networks, false },
	{ "cpus", read_cpus, AT(cpu_millis), 0, 0, NULL, false },
	{ "cpu_weight", read_u64, AT(cpu_weight), 1, WEIGHT_MAX, NULL, false },
	{ "cpuset", read_cpuset, AT(cpuset), 0, 0, NULL, false },
	{ "memory", read_u64, AT(memory_bytes), MEMORY_MIN, BYTES_MAX, NULL, false },
	{ "swap", read_u64, AT(swap_bytes), 0, BYTES_MAX, NULL, false },
	{ "pids", read_u64, AT(pids), PIDS_MIN, PIDS_MAX, NULL, false },
	{ "io_weight", read_u64, AT(io_weight), 1, WEIGHT_MAX, NULL, false },
	{ "io", read_io, 0, 0, 0, NULL, false },
	{ "hugetlb", read_hugetlb, 0, 0, 0, NULL, false },
	{ "devices", read_devices, 0, 0, 0, NULL, false },
	{ "capabilities", read_capabilities, 0, 0, 0, NULL, false },
	{ "seccomp", read_seccomp, 0, 0, 0, NULL, false },
	{ "no_new_privs", read_bool, AT(no_new_privs), 0, 0, NULL, false },
	{ "rlimits", read_rlimits, 0, 0, 0, NULL, false },
	{ "volumes", description_read_volumes, 0, 0, 0, NULL, false },
	{ "env", read_env, 0, 0, 0, NULL, false },
	{ "labels", read_labels, 0, 0, 0, NULL, false },
};

static void set_defaults(struct description *description)
{
	*description = (struct description){
		.network = DESCRIPTION_NODE_NETWORK,
		.cpu_millis = DESCRIPTION_NONE,
		.cpu_weight = WEIGHT_DEFAULT,
		.memory_bytes = DESCRIPTION_NONE,
		.swap_bytes = DESCRIPTION_NONE,
		.pids = DESCRIPTION_PIDS_DEFAULT,
		.io_weight = WEIGHT_DEFAULT,
		.capabilities = CAPABILITIES_DEFAULT,
		.seccomp_default = true,
		.no_new_privs = true,
	};
}

dvs_err description_from_json(json_t *document, struct description *description, char *why)
{
	struct reader reader = { "the description", why };
	const struct place place = { &reader, NULL, NULL, 0 };
	const struct place swap = { &reader, &place, "swap", 0 };

	set_defaults(description);
	if (!reader_object(&place, document, keys, COUNT(keys), description))
		return DVS_BADARG;
	if (description->swap_bytes != DESCRIPTION_NONE &&
	    description->memory_bytes == DESCRIPTION_NONE) {
		reader_fail(&swap, "is a limit beside 'memory'; give that one, too");
		return DVS_BADARG;
	}
	description->document = json_incref(document);
	return DVS_OK;
}

dvs_err description_parse(const void *bytes, size_t len, struct description *description, char *why)
{
	dvs_err err;
	json_t *document = reader_parse("the description", bytes, len, why, &err);

	if (!document)
		return err;
	err = description_from_json(document, description, why);
	json_decref(document);
	return err;
}

void description_free(struct description *description)
{
	json_decref(description->document);
	description->document = NULL;
}

char *description_text(const json_t *document, size_t *len)
{
	char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);

	*len = text ? strlen(text) : 0;
	return text;
}
