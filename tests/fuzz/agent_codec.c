/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/agent_proto.h"
#include "proto/agent_recode.h"

#define CODEC_RECODE agent_recode
#define CODEC_BYTES_MAX AGENT_BODY_BYTES_MAX
#include "codec.h"
