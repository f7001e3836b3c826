/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/vdd_proto.h"
#include "proto/vdd_recode.h"

#define CODEC_RECODE vdd_recode
#define CODEC_BYTES_MAX VDD_BODY_BYTES_MAX
#include "codec.h"
