/* SPDX-License-Identifier: Apache-2.0 */
/* The description that a container was made from or brought to, kept with it: what it needs to be told whether another one can be applied. */
#ifndef AGENT_DESCRIBED_H
#define AGENT_DESCRIBED_H

#include "agent/agent.h"

/* Keep LEN bytes of JSON. IO and others. */
DVS_MUST_USE dvs_err described_save(const struct agent *agent, const char *dc, const void *text,
				    size_t len);
/* To be freed by description_free(). NOTFOUND; BADARG: it is damaged. */
DVS_MUST_USE dvs_err described_load(const struct agent *agent, const char *dc,
				    struct description *description);

#endif
