/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's programs without the rest of the agent: a dc-init in a PID namespace of its own, the loop, and requests whose answers are kept. */
#ifndef TESTS_PROGRAMS_STAGE_H
#define TESTS_PROGRAMS_STAGE_H

#include "agent/agent.h"
#include "agent/programs.h"
#include "base/clock.h"
#include "unit.h"

/* Longer than anything takes here. */
#define STAGE_WAIT_NS (60 * CLOCK_NS_PER_S)

/* As waitpid() gives it. */
#define EXITED(status) ((uint32_t)(status) << 8)

struct call {
	struct request request;
	bool done;
	dvs_err err;
	size_t len;
	uint8_t *reply; /* or the sentence that says what is wrong, with a zero byte */
	uint8_t body[AGENT_BODY_BYTES_MAX];
};

struct stage {
	struct agent agent;
	char root[32];
	char socket[128];
	pid_t holder, init; /* unshare's child is dc-init */
	unsigned int gone;  /* how often reconcile was told */
	struct loop_timer alarm;
	bool late;
};

struct stage *stage_open(void);
void stage_close(struct stage *stage);
/* As if the agent had been killed and started anew. */
void stage_new_agent(struct stage *stage);
/* A dc-init in the place of the old one. */
void stage_new_init(struct stage *stage);
void stage_up(struct stage *stage);

/* Turn the loop until *IT is true. */
void stage_until(struct stage *stage, const bool *it);
/* For MS milliseconds. */
void stage_turn(struct stage *stage, uint64_t ms);

struct call *call_begin(struct stage *stage, uint32_t op);
/* Where the body of a request is written. */
struct writer call_body(struct call *call);
/* Make the request with what OUT wrote; it may be answered later. */
void call_send(struct call *call, const struct writer *out);
/* Until it is answered. */
void call_wait(struct call *call);
void call_free(struct call *call);
/* Its client dies before the answer. */
void call_drop(struct call *call);

/* ---- shorter ---- */

struct started {
	uint64_t program, attach;
	char name[64];
	dvs_err err;
	char text[512];
};

/* sh -c SCRIPT */
struct started run(struct stage *stage, const char *name, const char *script, uint32_t flags);
struct started run_as(struct stage *stage, const struct agent_run_req *req);
struct agent_run_req *shell(const char *name, const char *script, uint32_t flags);
/* All that comes until stream 3, stdout and stderr one after the other as they come; *STATUS as waitpid() gives it. To be freed. */
char *read_to_end(struct stage *stage, uint64_t attach, uint32_t *status, uint64_t *lost);
/* Until TEXT has come. */
void read_until(struct stage *stage, uint64_t attach, const char *text);
dvs_err write_to(struct stage *stage, uint64_t attach, const char *text, bool eof);
uint32_t wait_for(struct stage *stage, uint64_t program);
/* The row of PROGRAM; id 0: there is none. */
struct agent_program row_of(struct stage *stage, uint64_t program);
/* Turn the loop until the row has that state. */
struct agent_program until_state(struct stage *stage, uint64_t program, uint8_t state);
/* Its log from the beginning; to be freed. */
char *log_of(struct stage *stage, uint64_t program);
/* TEXT is in it. */
void check_log(struct stage *stage, uint64_t program, const char *text);
dvs_err order_signal(struct stage *stage, uint64_t program, uint32_t signo, bool stop);

#endif
