/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/replica_proto.h"
#include "proto/replica_recode.h"

#define CODEC_RECODE replica_recode
#define CODEC_BYTES_MAX REPLICA_BODY_BYTES_MAX
#include "codec.h"
