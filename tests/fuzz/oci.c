/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as the JSON files of an image: what is refused has a sentence, what is accepted names only digests, and short paths. */
#include "container/oci.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "container/description.h"
#include "fuzz.h"

static void check_blob(const struct oci_blob *blob, bool digest)
{
	assert(memchr(blob->path, '\0', sizeof(blob->path)) && blob->path[0]);
	if (!digest)
		return;
	assert(oci_digest_ok(blob->digest));
	assert(strncmp(blob->path, "blobs/sha256/", 13) == 0 && !strstr(blob->path, ".."));
}

static void check_manifest(dvs_err err, const struct oci_manifest *manifest, bool digests)
{
	if (err != DVS_OK)
		return;
	assert(manifest->n_layers <= OCI_LAYERS_MAX);
	check_blob(&manifest->config, digests);
	for (size_t i = 0; i < manifest->n_layers; i++)
		check_blob(&manifest->layer[i], digests);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct oci_manifest manifest;
	char why[DESCRIPTION_TEXT_MAX];
	struct oci_blob blob;
	json_t *config = NULL;
	dvs_err err;

	memset(why, 'x', sizeof(why));
	err = oci_index(data, size, size % 2 ? "a" : "", "amd64", &blob, why);
	if (err == DVS_OK)
		check_blob(&blob, true);
	else
		assert(err == DVS_BADARG && memchr(why, '\0', sizeof(why)));
	check_manifest(oci_manifest(data, size, &manifest, why), &manifest, true);
	check_manifest(oci_docker(data, size, size % 2 ? "a" : "", &manifest, why), &manifest,
		       false);
	err = oci_config(data, size, "amd64", &config, why);
	if (err == DVS_OK)
		assert(json_is_object(config));
	json_decref(config);
	return 0;
}
