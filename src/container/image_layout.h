/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts: folders with an image in layers, by OCI or as `docker save` has them. */
#ifndef CONTAINER_IMAGE_LAYOUT_H
#define CONTAINER_IMAGE_LAYOUT_H

#include <jansson.h>

#include "container/image_internal.h"

/* Whether the folder LAYOUT is one. */
bool image_layout_is(int layout);
/* Unpack the layers of the image REFERENCE to feed->root. *CONFIG is what it says about its programs; the caller frees it. */
DVS_MUST_USE dvs_err image_layout_unpack(struct image_feed *feed, int layout, const char *reference,
					 json_t **config);

#endif
