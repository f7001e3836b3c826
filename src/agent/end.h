/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-agent --end: all of this node is ended that goes on without dvsd, for the day on which DVS is removed from the machine. Containers come first, then gateways, then the servers behind them: each can still
 * hand on what it has to write. */
#ifndef AGENT_END_H
#define AGENT_END_H

#include <dvs/error.h>

#include "agent/agent.h"

/* INUSE: a dvsd runs, which would start all of it again. TIMEOUT: something does not end. What is wrong is logged. */
DVS_MUST_USE dvs_err end_all(const struct agent *agent);

#endif
