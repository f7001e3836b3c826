/* SPDX-License-Identifier: Apache-2.0 */
#include "client/agent.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

/* How often an agent that was there when it was started and is gone when it is called is started again. */
#define STARTS_MAX 3
/* The first agent of a DVS. */
#define START_MS 20000u

struct agents {
	struct dvk *admin;
	struct dvk *dvk; /* in the agents' DC */
	struct m3 *self;
	char text[AGENT_TEXT_MAX + 1];
	uint8_t body[AGENT_BODY_BYTES_MAX];
	uint8_t reply[AGENT_BODY_BYTES_MAX];
};

/* The control socket of the agents' DC. */
static dvs_err control_path(const char *run_dir, char *path, size_t size)
{
	if (!run_dir)
		run_dir = getenv("DVS_RUN_DIR");
	if (!run_dir || !run_dir[0])
		run_dir = "/run/dvs";
	return (size_t)snprintf(path, size, "%s/dc/" DVK_AGENTS_DC "/control", run_dir) < size ?
		       DVS_OK :
		       DVS_BADARG;
}

/* The DC of the agents is made when the first of them is started. */
static dvs_err enter(struct agents *agents, const char *path)
{
	struct dvk_dvs_info info;
	dvs_ep ep;
	dvs_err err;

	if (access(path, F_OK) != 0) {
		err = dvk_dvs_info(agents->admin, &info);
		if (err == DVS_OK)
			err = dvk_agent_start(agents->admin, info.node, START_MS, &ep);
		if (err != DVS_OK)
			return err;
	}
	err = dvk_open(path, &agents->dvk);
	if (err == DVS_OK)
		err = dvk_bind(agents->dvk, dvs_ep_any(), DVK_LOCAL, &agents->self);
	return err;
}

dvs_err agents_open(const char *run_dir, struct agents **agents)
{
	struct agents *made = malloc(sizeof(*made));
	char path[PATH_MAX];
	dvs_err err = control_path(run_dir, path, sizeof(path));

	if (!made)
		return DVS_NOMEM;
	made->self = NULL;
	made->dvk = NULL;
	made->admin = NULL;
	made->text[0] = '\0';
	if (err == DVS_OK)
		err = dvk_admin_open(run_dir, &made->admin);
	if (err == DVS_OK)
		err = enter(made, path);
	if (err != DVS_OK) {
		agents_close(made);
		return err;
	}
	*agents = made;
	return DVS_OK;
}

void agents_close(struct agents *agents)
{
	if (!agents)
		return;
	dvk_unbind(agents->self);
	dvk_close(agents->dvk);
	dvk_close(agents->admin);
	free(agents);
}

const char *agents_text(const struct agents *agents)
{
	return agents->text;
}

struct dvk *agents_admin(struct agents *agents)
{
	return agents->admin;
}

void *agents_body(struct agents *agents)
{
	return agents->body;
}

void *agents_reply(struct agents *agents)
{
	return agents->reply;
}

/* What is left until DEADLINE_NS, as the calls take it. */
static uint32_t left_ms(uint64_t deadline_ns)
{
	int ms = clock_poll_ms(deadline_ns);

	return ms < 0 ? DVS_FOREVER : (uint32_t)ms;
}

/* What the agent has answered; its sentence, if it is one, is kept without what could steer a terminal. */
static dvs_err take_answer(struct agents *agents, const struct dvs_msg *msg, size_t len)
{
	dvs_err err = msg->u64[0] > UINT32_MAX ? DVS_PROTO :
						 dvs_err_from_number((unsigned int)msg->u64[0]);
	size_t n = len < AGENT_TEXT_MAX ? len : AGENT_TEXT_MAX;

	if (err == DVS_OK)
		return DVS_OK;
	memcpy(agents->text, agents->reply, n);
	agents->text[n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)agents->text[i] < ' ' || agents->text[i] == 0x7f)
			agents->text[i] = '?';
	}
	return err;
}

dvs_err agents_call(struct agents *agents, dvs_nodeid node, uint32_t op, const void *body,
		    size_t len, size_t *reply_len, uint32_t timeout_ms)
{
	uint64_t deadline_ns = timeout_ms == DVS_FOREVER ?
				       CLOCK_NEVER_NS :
				       clock_deadline_ns(timeout_ms * CLOCK_NS_PER_MS);
	dvs_ep ep = dvs_ep_of(node.n + 1);
	dvs_err err;

	agents->text[0] = '\0';
	*reply_len = 0;
	for (int starts = 0;; starts++) {
		struct dvs_msg msg = { .type = op };

		err = m3_call(agents->self, ep, &msg, body, len, agents->reply,
			      sizeof(agents->reply), reply_len, left_ms(deadline_ns));
		if (err == DVS_OK)
			return take_answer(agents, &msg, *reply_len);
		if (err != DVS_NODEST || starts == STARTS_MAX)
			return err;
		err = dvk_agent_start(agents->admin, node, left_ms(deadline_ns), &ep);
		if (err != DVS_OK)
			return err;
		/* The next agent of that node has another generation. */
		ep = dvs_ep_of(node.n + 1);
	}
}
