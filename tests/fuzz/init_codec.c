/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/init_proto.h"
#include "proto/init_recode.h"

#define CODEC_RECODE init_recode
#define CODEC_BYTES_MAX INIT_BODY_BYTES_MAX
#include "codec.h"
