/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/control_proto.h"
#include "proto/control_recode.h"

#define CODEC_RECODE control_recode
#define CODEC_BYTES_MAX CONTROL_BODY_BYTES_MAX
#include "codec.h"
