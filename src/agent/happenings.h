/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in the DVS, as far as the agent has to do something about it: it comes by a thread of its own. */
#ifndef AGENT_HAPPENINGS_H
#define AGENT_HAPPENINGS_H

#include "agent/agent.h"

/* From now on. When dvsd tells no more, the loop is stopped. */
DVS_MUST_USE dvs_err happenings_open(struct agent *agent);

#endif
