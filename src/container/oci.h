/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON files of container images: OCI layouts, and what `docker save` writes. They come from strangers; nothing here touches a file. */
#ifndef CONTAINER_OCI_H
#define CONTAINER_OCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include <jansson.h>

#define OCI_JSON_MAX (4u << 20) /* bytes of a file */
#define OCI_LAYERS_MAX 256u
#define OCI_DIGEST_MAX 71u /* "sha256:" and 64 hexadecimal digits */
#define OCI_PATH_MAX 255u

struct oci_blob {
	char digest[OCI_DIGEST_MAX + 1]; /* "": not known */
	char path[OCI_PATH_MAX + 1];	 /* in the layout, relative */
	uint64_t size;			 /* of an OCI layout: what its descriptor says */
	bool is_index;			 /* it is a list of images, again */
};

struct oci_manifest {
	struct oci_blob config;
	struct oci_blob layer[OCI_LAYERS_MAX]; /* the lowest first */
	size_t n_layers;
};

/* "amd64", "arm64" ...: this node's, as images call it. */
const char *oci_architecture(void);
/* Whether TEXT is "sha256:" and 64 hexadecimal digits in small letters. */
bool oci_digest_ok(const char *text);

/* All of them: BADARG, and WHY (room for DESCRIPTION_TEXT_MAX) says what is wrong in which file. */

/* Of an image index choose what REFERENCE names ("": the only one) for linux and ARCHITECTURE. */
DVS_MUST_USE dvs_err oci_index(const void *bytes, size_t len, const char *reference,
			       const char *architecture, struct oci_blob *blob, char *why);
DVS_MUST_USE dvs_err oci_manifest(const void *bytes, size_t len, struct oci_manifest *manifest,
				  char *why);
/* What the image says about its programs: an object with those of "env", "entrypoint", "cmd", "workdir", "user", "stop_signal" that it has. BADARG, too, if it is for another
 * architecture or system. */
DVS_MUST_USE dvs_err oci_config(const void *bytes, size_t len, const char *architecture,
				json_t **config, char *why);
/* manifest.json of `docker save`. */
DVS_MUST_USE dvs_err oci_docker(const void *bytes, size_t len, const char *reference,
				struct oci_manifest *manifest, char *why);

#endif
