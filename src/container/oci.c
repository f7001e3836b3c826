/* SPDX-License-Identifier: Apache-2.0 */
#include "container/oci.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/compiler.h"
#include "container/why.h"

#define REF_NAME "org.opencontainers.image.ref.name"
#define LIST_MAX 1000u
#define TEXT_MAX 32768u

#define INDEX "the index of the OCI layout (index.json)"
#define MANIFEST "the manifest of the image"
#define CONFIG "the configuration of the image"
#define DOCKER "manifest.json"

const char *oci_architecture(void)
{
#if defined(__x86_64__)
	return "amd64";
#elif defined(__aarch64__)
	return "arm64";
#elif defined(__riscv) && __riscv_xlen == 64
	return "riscv64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
	return "ppc64le";
#elif defined(__s390x__)
	return "s390x";
#elif defined(__i386__)
	return "386";
#elif defined(__arm__)
	return "arm";
#else
	return "unknown";
#endif
}

bool oci_digest_ok(const char *text)
{
	return strncmp(text, "sha256:", 7) == 0 && strlen(text) == OCI_DIGEST_MAX &&
	       strspn(text + 7, "0123456789abcdef") == 64;
}

static dvs_err load(const void *bytes, size_t len, const char *what, json_t **document, char *why)
{
	json_error_t error;

	*document = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &error);
	if (*document)
		return DVS_OK;
	return why_say(why, DVS_BADARG, "%s is no JSON: line %d: %s", what, error.line, error.text);
}

static dvs_err read_descriptor(const json_t *descriptor, const char *what, struct oci_blob *blob,
			       char *why)
{
	const char *digest = json_string_value(json_object_get(descriptor, "digest"));
	const char *type = json_string_value(json_object_get(descriptor, "mediaType"));
	const json_t *size = json_object_get(descriptor, "size");

	memset(blob, 0, sizeof(*blob));
	if (!digest || !oci_digest_ok(digest))
		return why_say(why, DVS_BADARG,
			       "%s names a part by the digest \"%s\": it must be \"sha256:\" and 64"
			       " hexadecimal digits",
			       what, digest ? digest : "");
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return why_say(why, DVS_BADARG, "%s does not say how big %s is", what, digest);
	memcpy(blob->digest, digest, OCI_DIGEST_MAX);
	(void)snprintf(blob->path, sizeof(blob->path), "blobs/sha256/%s", digest + 7);
	blob->size = (uint64_t)json_integer_value(size);
	blob->is_index = type && (strstr(type, "image.index.") || strstr(type, "manifest.list."));
	return DVS_OK;
}

/* ---- choosing ---- */

/* "latest" stands for "docker.io/library/debian:latest", too. */
static bool is_reference(const char *name, const char *reference)
{
	const char *tag = strrchr(name, ':');

	return strcmp(name, reference) == 0 ||
	       (tag && !strchr(tag, '/') && strcmp(tag + 1, reference) == 0);
}

static const char *name_of(const json_t *descriptor)
{
	return json_string_value(
		json_object_get(json_object_get(descriptor, "annotations"), REF_NAME));
}

/* Whether it can be meant for this machine. What does not say so is looked at later, in its configuration. */
static bool fits(const json_t *descriptor, const char *architecture)
{
	const json_t *platform = json_object_get(descriptor, "platform");
	const char *os = json_string_value(json_object_get(platform, "os"));
	const char *machine = json_string_value(json_object_get(platform, "architecture"));

	return (!os || strcmp(os, "linux") == 0) &&
	       (!machine || strcmp(machine, architecture) == 0);
}

/* Names, or platforms, for people: "a, b and c" would need to know the last. */
static void list_choices(const json_t *list, bool names, char *text, size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < json_array_size(list) && at + 80 < size; i++) {
		const json_t *item = json_array_get(list, i);
		const json_t *platform = json_object_get(item, "platform");
		const char *os = json_string_value(json_object_get(platform, "os"));
		const char *machine = json_string_value(json_object_get(platform, "architecture"));
		int len;

		if (names && name_of(item))
			len = snprintf(text + at, size - at, "%s%.60s", at ? ", " : "",
				       name_of(item));
		else if (!names && os && machine)
			len = snprintf(text + at, size - at, "%s%.30s/%.30s", at ? ", " : "", os,
				       machine);
		else
			continue;
		at += (size_t)len;
	}
	if (at == 0)
		(void)snprintf(text, size, "none");
}

struct choice {
	const json_t *found;
	size_t named; /* of the right name */
	size_t fit;   /* that fit, too */
};

static void choose(const json_t *list, const char *reference, const char *architecture,
		   struct choice *choice)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		const char *name = name_of(item);

		if (reference[0] && !(name && is_reference(name, reference)))
			continue;
		choice->named++;
		if (!fits(item, architecture))
			continue;
		/* Several entries for one image are the same. */
		if (choice->found && json_equal(json_object_get(choice->found, "digest"),
						json_object_get(item, "digest")))
			continue;
		choice->found = item;
		choice->fit++;
	}
}

static dvs_err choose_from(const json_t *list, const char *reference, const char *architecture,
			   struct oci_blob *blob, char *why)
{
	struct choice choice = { 0 };
	char choices[500];

	choose(list, reference, architecture, &choice);
	if (choice.named == 0 && reference[0]) {
		list_choices(list, true, choices, sizeof(choices));
		return why_say(why, DVS_BADARG,
			       "the OCI layout holds no image called \"%s\": its images are %s",
			       reference, choices);
	}
	if (choice.fit == 0) {
		list_choices(list, false, choices, sizeof(choices));
		return why_say(
			why, DVS_BADARG,
			"the OCI layout holds no image for linux/%s, which this node needs: it"
			" has %s",
			architecture, choices);
	}
	if (choice.fit > 1) {
		list_choices(list, true, choices, sizeof(choices));
		return why_say(
			why, DVS_BADARG,
			"the OCI layout holds several images: choose one with --reference: %s",
			choices);
	}
	return read_descriptor(choice.found, INDEX, blob, why);
}

dvs_err oci_index(const void *bytes, size_t len, const char *reference, const char *architecture,
		  struct oci_blob *blob, char *why)
{
	json_t *document;
	dvs_err err = load(bytes, len, INDEX, &document, why);
	const json_t *list;

	if (err != DVS_OK)
		return err;
	list = json_object_get(document, "manifests");
	if (!json_is_array(list) || json_array_size(list) > LIST_MAX)
		err = why_say(why, DVS_BADARG,
			      "%s has no list \"manifests\", or one of more than %u", INDEX,
			      LIST_MAX);
	else
		err = choose_from(list, reference, architecture, blob, why);
	json_decref(document);
	return err;
}

/* ---- manifests ---- */

dvs_err oci_manifest(const void *bytes, size_t len, struct oci_manifest *manifest, char *why)
{
	const json_t *layers;
	json_t *document;
	dvs_err err = load(bytes, len, MANIFEST, &document, why);

	if (err != DVS_OK)
		return err;
	memset(manifest, 0, sizeof(*manifest));
	layers = json_object_get(document, "layers");
	if (!json_is_array(layers) || json_array_size(layers) > OCI_LAYERS_MAX)
		err = why_say(why, DVS_BADARG, "%s has no list \"layers\", or one of more than %u",
			      MANIFEST, OCI_LAYERS_MAX);
	if (err == DVS_OK)
		err = read_descriptor(json_object_get(document, "config"), MANIFEST,
				      &manifest->config, why);
	for (size_t i = 0; err == DVS_OK && i < json_array_size(layers); i++)
		err = read_descriptor(json_array_get(layers, i), MANIFEST,
				      &manifest->layer[manifest->n_layers++], why);
	json_decref(document);
	return err;
}

/* ---- configuration ---- */

static bool is_text(const json_t *value)
{
	return json_is_string(value) && json_string_length(value) <= TEXT_MAX &&
	       strlen(json_string_value(value)) == json_string_length(value);
}

/* FROM, if it is a text that is not empty, as KEY. */
static bool take_text(json_t *config, const char *key, const json_t *from)
{
	if (!is_text(from) || json_string_length(from) == 0)
		return true;
	return json_object_set_new(config, key, json_string(json_string_value(from))) == 0;
}

static bool take_list(json_t *config, const char *key, const json_t *from)
{
	json_t *list = json_array();
	bool done = list != NULL;

	for (size_t i = 0; done && i < json_array_size(from) && i < LIST_MAX; i++) {
		const json_t *item = json_array_get(from, i);

		if (is_text(item))
			done = json_array_append_new(list, json_string(json_string_value(item))) ==
			       0;
	}
	if (done && json_array_size(list) > 0)
		return json_object_set_new(config, key, list) == 0;
	json_decref(list);
	return done;
}

static bool take_config(json_t *to, const json_t *from)
{
	return take_list(to, "env", json_object_get(from, "Env")) &&
	       take_list(to, "entrypoint", json_object_get(from, "Entrypoint")) &&
	       take_list(to, "cmd", json_object_get(from, "Cmd")) &&
	       take_text(to, "workdir", json_object_get(from, "WorkingDir")) &&
	       take_text(to, "user", json_object_get(from, "User")) &&
	       take_text(to, "stop_signal", json_object_get(from, "StopSignal"));
}

dvs_err oci_config(const void *bytes, size_t len, const char *architecture, json_t **config,
		   char *why)
{
	json_t *document;
	dvs_err err = load(bytes, len, CONFIG, &document, why);
	const char *os, *machine;

	if (err != DVS_OK)
		return err;
	os = json_string_value(json_object_get(document, "os"));
	machine = json_string_value(json_object_get(document, "architecture"));
	if ((os && strcmp(os, "linux") != 0) || (machine && strcmp(machine, architecture) != 0)) {
		err = why_say(why, DVS_BADARG, "the image is for %s/%s, this node is linux/%s",
			      os ? os : "linux", machine ? machine : architecture, architecture);
		json_decref(document);
		return err;
	}
	*config = json_object();
	if (!*config || !take_config(*config, json_object_get(document, "config")))
		err = why_say(why, DVS_NOMEM, "out of memory");
	if (err != DVS_OK) {
		json_decref(*config);
		*config = NULL;
	}
	json_decref(document);
	return err;
}

/* ---- docker save ---- */

static dvs_err docker_path(const json_t *path, struct oci_blob *blob, char *why)
{
	const char *text = is_text(path) ? json_string_value(path) : NULL;

	memset(blob, 0, sizeof(*blob));
	if (!text || !text[0] || strlen(text) > OCI_PATH_MAX)
		return why_say(why, DVS_BADARG, "%s names a file wrongly, or not at all", DOCKER);
	memcpy(blob->path, text, strlen(text) + 1);
	return DVS_OK;
}

static bool has_tag(const json_t *image, const char *reference)
{
	const json_t *tags = json_object_get(image, "RepoTags");

	for (size_t i = 0; i < json_array_size(tags); i++) {
		const char *tag = json_string_value(json_array_get(tags, i));

		if (tag && is_reference(tag, reference))
			return true;
	}
	return false;
}

static dvs_err choose_docker(const json_t *list, const char *reference, const json_t **image,
			     char *why)
{
	*image = NULL;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);

		if (reference[0] && !has_tag(item, reference))
			continue;
		if (*image)
			return why_say(why, DVS_BADARG,
				       "the archive holds several images: choose one with"
				       " --reference NAME:TAG");
		*image = item;
	}
	if (*image)
		return DVS_OK;
	return why_say(why, DVS_BADARG, "the archive holds no image called \"%s\"", reference);
}

dvs_err oci_docker(const void *bytes, size_t len, const char *reference,
		   struct oci_manifest *manifest, char *why)
{
	const json_t *image = NULL, *layers;
	json_t *document;
	dvs_err err = load(bytes, len, DOCKER, &document, why);

	if (err != DVS_OK)
		return err;
	memset(manifest, 0, sizeof(*manifest));
	if (!json_is_array(document))
		err = why_say(why, DVS_BADARG, "%s is no list of images", DOCKER);
	if (err == DVS_OK)
		err = choose_docker(document, reference, &image, why);
	layers = json_object_get(image, "Layers");
	if (err == DVS_OK && (!json_is_array(layers) || json_array_size(layers) > OCI_LAYERS_MAX))
		err = why_say(why, DVS_BADARG, "%s has no list \"Layers\", or one of more than %u",
			      DOCKER, OCI_LAYERS_MAX);
	if (err == DVS_OK)
		err = docker_path(json_object_get(image, "Config"), &manifest->config, why);
	for (size_t i = 0; err == DVS_OK && i < json_array_size(layers); i++)
		err = docker_path(json_array_get(layers, i), &manifest->layer[manifest->n_layers++],
				  why);
	json_decref(document);
	return err;
}
