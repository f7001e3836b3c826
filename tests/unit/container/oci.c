/* SPDX-License-Identifier: Apache-2.0 */
#include "container/oci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "container/description.h"
#include "unit.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char why[DESCRIPTION_TEXT_MAX];

static dvs_err choose(const char *json, const char *reference, struct oci_blob *blob)
{
	return oci_index(json, strlen(json), reference, "amd64", blob, why);
}

TEST(an_index_gives_the_one_that_is_meant)
{
	static const char json[] =
		"{\"manifests\": [{\"digest\": \"" A
		"\", \"size\": 5, \"platform\": {\"os\": \"linux\","
		" \"architecture\": \"amd64\"}, \"annotations\": {\"org.opencontainers.image.ref.name\":"
		" \"host:5000/x:one\"}}, {\"digest\": \"" B "\", \"size\": 6, \"platform\":"
		" {\"os\": \"linux\", \"architecture\": \"arm64\"}, \"mediaType\":"
		" \"application/vnd.oci.image.index.v1+json\"}]}";
	struct oci_blob blob;

	ck_assert_int_eq(choose(json, "", &blob), DVS_OK);
	ck_assert_str_eq(blob.digest, A);
	ck_assert_str_eq(blob.path,
			 "blobs/sha256/"
			 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	ck_assert_uint_eq(blob.size, 5);
	ck_assert(!blob.is_index);
	ck_assert_int_eq(choose(json, "one", &blob), DVS_OK);
	ck_assert_int_eq(choose(json, "5000/x:one", &blob), DVS_BADARG);
	ck_assert_ptr_nonnull(strstr(why, "its images are host:5000/x:one"));
	ck_assert_int_eq(oci_index(json, strlen(json), "", "arm64", &blob, why), DVS_OK);
	ck_assert_str_eq(blob.digest, B);
	ck_assert(blob.is_index);
	ck_assert_int_eq(oci_index(json, strlen(json), "", "sparc", &blob, why), DVS_BADARG);
	ck_assert_ptr_nonnull(strstr(why, "it has linux/amd64, linux/arm64"));
}

TEST(what_is_no_index_is_refused)
{
	static const char *const wrong[] = {
		"",
		"[]",
		"{}",
		"{\"manifests\": 5}",
		"{\"manifests\": []}",
		"{\"manifests\": [5]}",
		"{\"manifests\": [{}]}",
		"{\"manifests\": [{\"digest\": \"" A "\"}]}",
		"{\"manifests\": [{\"digest\": \"" A "\", \"size\": -1}]}",
		"{\"manifests\": [{\"digest\": \"sha256:AAAA\", \"size\": 1}]}",
		"{\"manifests\": [{\"digest\": \"" A "0\", \"size\": 1}]}",
		"{\"manifests\": [], \"manifests\": []}",
	};
	struct oci_blob blob;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		why[0] = '\0';
		ck_assert_msg(choose(wrong[i], "", &blob) == DVS_BADARG, "%s", wrong[i]);
		ck_assert_msg(why[0], "%s", wrong[i]);
	}
}

TEST(a_manifest_has_its_layers_in_order)
{
	static const char json[] =
		"{\"config\": {\"digest\": \"" A "\", \"size\": 1}, \"layers\": ["
		"{\"digest\": \"" B "\", \"size\": 2}, {\"digest\": \"" A "\", \"size\": 3}]}";
	struct oci_manifest *manifest = calloc(1, sizeof(*manifest));
	char many[40000] = "{\"config\": {\"digest\": \"" A "\", \"size\": 1}, \"layers\": [0";

	ck_assert_int_eq(oci_manifest(json, strlen(json), manifest, why), DVS_OK);
	ck_assert_uint_eq(manifest->n_layers, 2);
	ck_assert_str_eq(manifest->layer[0].digest, B);
	ck_assert_uint_eq(manifest->layer[1].size, 3);
	for (unsigned i = 0; i < OCI_LAYERS_MAX; i++)
		strcat(many, ",0");
	strcat(many, "]}");
	ck_assert_int_eq(oci_manifest(many, strlen(many), manifest, why), DVS_BADARG);
	ck_assert_ptr_nonnull(strstr(why, "more than 256"));
	free(manifest);
}

TEST(a_configuration_gives_what_programs_need)
{
	static const char json[] =
		"{\"os\": \"linux\", \"architecture\": \"amd64\", \"config\": {\"Env\": [\"A=b\", 5, \"C=d\"],"
		" \"Cmd\": null, \"Entrypoint\": [\"/init\"], \"WorkingDir\": \"\", \"User\": \"a:b\"}}";
	static const char foreign[] = "{\"os\": \"windows\", \"architecture\": \"amd64\"}";
	json_t *config = NULL, *wanted;

	ck_assert_int_eq(oci_config(json, strlen(json), "amd64", &config, why), DVS_OK);
	wanted = json_pack("{s:[ss], s:[s], s:s}", "env", "A=b", "C=d", "entrypoint", "/init",
			   "user", "a:b");
	ck_assert(json_equal(config, wanted));
	json_decref(config);
	json_decref(wanted);
	ck_assert_int_eq(oci_config("{}", 2, "amd64", &config, why), DVS_OK);
	ck_assert_uint_eq(json_object_size(config), 0);
	json_decref(config);
	ck_assert_int_eq(oci_config(foreign, strlen(foreign), "amd64", &config, why), DVS_BADARG);
	ck_assert_str_eq(why, "the image is for windows/amd64, this node is linux/amd64");
}

TEST(a_list_of_docker_gives_the_one_that_is_meant)
{
	static const char json[] =
		"[{\"Config\": \"c\", \"RepoTags\": [\"x:1\"], \"Layers\": [\"l/layer.tar\"]},"
		" {\"Config\": \"d\", \"RepoTags\": [\"x:2\"], \"Layers\": []}]";
	static const char *const wrong[] = { "{}",
					     "[]",
					     "[{}]",
					     "[{\"Layers\": []}]",
					     "[{\"Config\": \"a\\u0000b\", \"Layers\": []}]",
					     "[{\"Config\": \"a\", \"Layers\": [5]}]" };
	struct oci_manifest *manifest = calloc(1, sizeof(*manifest));

	ck_assert_int_eq(oci_docker(json, strlen(json), "", manifest, why), DVS_BADARG);
	ck_assert_ptr_nonnull(strstr(why, "--reference"));
	ck_assert_int_eq(oci_docker(json, strlen(json), "2", manifest, why), DVS_OK);
	ck_assert_str_eq(manifest->config.path, "d");
	ck_assert_int_eq(oci_docker(json, strlen(json), "x:1", manifest, why), DVS_OK);
	ck_assert_str_eq(manifest->layer[0].path, "l/layer.tar");
	ck_assert_int_eq(oci_docker(json, strlen(json), "3", manifest, why), DVS_BADARG);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		ck_assert_msg(oci_docker(wrong[i], strlen(wrong[i]), "", manifest, why) ==
				      DVS_BADARG,
			      "%s", wrong[i]);
	free(manifest);
}

UNIT_MAIN("container-oci", an_index_gives_the_one_that_is_meant, what_is_no_index_is_refused,
	  a_manifest_has_its_layers_in_order, a_configuration_gives_what_programs_need,
	  a_list_of_docker_gives_the_one_that_is_meant)
