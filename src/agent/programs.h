/* SPDX-License-Identifier: Apache-2.0 */
/* What runs in this node's containers. All calls are the loop's thread's, and none blocks.
 *
 * reconcile says which containers there are and which programs of records belong here; programs does the rest: the link to dc-init, starting, stopping, output,
 * attachments, logs, health, and the ids of programs, which are unique on the node for ever. */
#ifndef AGENT_PROGRAMS_H
#define AGENT_PROGRAMS_H

#include "agent/agent.h"
#include "container/program.h"

DVS_MUST_USE dvs_err programs_open(struct agent *agent, struct programs **programs);
/* The agent ends; what runs in the containers goes on. NULL is fine. */
void programs_close(struct programs *programs);

/* The container of DC runs, dc-init is process INIT of the host: link with it (container_socket()) and take over what runs in it. Called again with another INIT when the
 * container was made anew: programs of the old one that are not of records have then ended. DESCRIPTION is to be copied (its env is that of all programs). Also called when only the description has changed. */
void programs_container_up(struct programs *programs, const char *dc, dvs_dcid id, pid_t init,
			   const struct description *description);
/* The container is no more: its programs have ended. FOR_GOOD: forget them, their logs and all else of that DC. */
void programs_container_down(struct programs *programs, const char *dc, bool for_good);

/* It stands still, or goes on: as long as it does nothing is started in it by run, and nobody's health is judged. */
void programs_container_frozen(struct programs *programs, const char *dc, bool on);

/* One instance of a program's record that belongs on this node. */
struct programs_wanted {
	char name[DVS_NAME_MAX + 1];   /* RECORD.N */
	char record[DVS_NAME_MAX + 1]; /* without "program/" */
	uint64_t version;	       /* program_digest(): another one means restart */
	const struct program *program; /* borrowed during the call */
};

/* All instances of records that are to run in DC on this node: start those that are missing, stop those (with a record) that are not in it, stop and start again those of another
 * version. Can be called again at any time with the same. */
void programs_want(struct programs *programs, const char *dc, const struct programs_wanted *wanted,
		   size_t n);
/* Ask dc-init to end (shutdown with GRACE_MS) because the container is to be removed; nothing is started in it any more. When dc-init is gone reconcile_init_gone() is called, at once when there is no link. */
void programs_shutdown(struct programs *programs, const char *dc, uint32_t grace_ms);

/* How many programs run in DC (for the container's row). */
uint32_t programs_count(const struct programs *programs, const char *dc);
/* The client is no more: its attachments end. Its kept requests are already dropped. */
void programs_client_gone(struct programs *programs, dvs_ep client);

/* Handlers of the operations. */
void op_run(struct agent *agent, struct request *request);
void op_attach(struct agent *agent, struct request *request);
void op_read(struct agent *agent, struct request *request);
void op_write(struct agent *agent, struct request *request);
void op_resize(struct agent *agent, struct request *request);
void op_detach(struct agent *agent, struct request *request);
void op_signal(struct agent *agent, struct request *request);
void op_wait(struct agent *agent, struct request *request);
void op_forget(struct agent *agent, struct request *request);
void op_programs(struct agent *agent, struct request *request);
void op_logs(struct agent *agent, struct request *request);

#endif
