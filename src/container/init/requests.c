/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent asks for. */
#include <signal.h>

#include "base/cleanup.h"
#include "container/init/init.h"

struct asked {
	struct init_frame frame;
	struct cursor *in;
	int *fds;
	size_t n_fds;
};

static void keep(struct asked *asked, size_t first, int into[3])
{
	row_close(into, 3);
	for (size_t i = 0; i < 3; i++)
		into[i] = take_fd(&asked->fds[first + i]);
}

static dvs_err on_hello(struct init *init, struct asked *asked)
{
	struct init_hello_req req;
	struct init_hello_rep rep = { .version = INIT_VERSION,
				      .boot_ns = init->boot_ns,
				      .programs = (uint32_t)init->n_rows };
	struct writer out;

	if (init_hello_req_decode(asked->in, &req) != DVS_OK || req.version != INIT_VERSION)
		return DVS_PROTO;
	init->greeted = true;
	out = link_body(init, asked->frame);
	init_hello_rep_encode(&out, &rep);
	link_send(init, &out, NULL, 0);
	return DVS_OK;
}

static dvs_err on_start(struct init *init, struct asked *asked)
{
	const struct init_start_req *req = &init->start;
	struct row *row;
	dvs_err err;

	if (init_start_req_decode(asked->in, &init->start) != DVS_OK)
		return DVS_PROTO;
	if (init->ending)
		return DVS_BADSTATE;
	if (req->tty ? asked->n_fds != 0 : asked->n_fds != 3 && asked->n_fds != 6)
		return DVS_BADARG;
	err = row_new(init, req, &row);
	if (err != DVS_OK)
		return err;
	if (req->tty)
		err = terminal_open(req->rows, req->cols, &row->far[0]);
	else
		keep(asked, 0, row->near);
	if (asked->n_fds == 6)
		keep(asked, 3, row->far);
	row->request = asked->frame.id;
	if (err == DVS_OK)
		err = program_launch(init, row);
	if (err != DVS_OK)
		row_free(init, row);
	return err;
}

static dvs_err on_signal(struct init *init, struct asked *asked)
{
	struct init_signal_req req;
	struct row *row;
	int signo;

	if (init_signal_req_decode(asked->in, &req) != DVS_OK)
		return DVS_PROTO;
	signo = (int)req.signo;
	row = row_find(init, req.id);
	if (req.id == 0) {
		(void)kill(-1, signo);
	} else if (!row) {
		return DVS_NOTFOUND;
	} else if (row->state != ROW_RUNS) {
		return DVS_BADSTATE;
	} else {
		(void)kill(req.group ? -row->pid : row->pid, signo);
	}
	link_answer(init, INIT_SIGNAL, asked->frame.id, DVS_OK);
	return DVS_OK;
}

static dvs_err on_stop(struct init *init, struct asked *asked)
{
	struct init_stop_req req;
	struct row *row;

	if (init_stop_req_decode(asked->in, &req) != DVS_OK)
		return DVS_PROTO;
	row = row_find(init, req.id);
	if (!row)
		return DVS_NOTFOUND;
	if (row->state == ROW_ENDED)
		return DVS_BADSTATE;
	/* First the answer, then the event. */
	link_answer(init, INIT_STOP, asked->frame.id, DVS_OK);
	program_stop(init, row, (int)req.signo, req.grace_ms);
	return DVS_OK;
}

static dvs_err on_forget(struct init *init, struct asked *asked)
{
	struct init_forget_req req;
	struct row *row;

	if (init_forget_req_decode(asked->in, &req) != DVS_OK)
		return DVS_PROTO;
	row = row_find(init, req.id);
	if (!row)
		return DVS_NOTFOUND;
	if (row->state != ROW_ENDED)
		return DVS_BADSTATE;
	row_free(init, row);
	link_answer(init, INIT_FORGET, asked->frame.id, DVS_OK);
	return DVS_OK;
}

static uint8_t state_told(const struct row *row)
{
	switch (row->state) {
	case ROW_STARTING:
	case ROW_RUNS:
		return 1;
	case ROW_WAITS:
		return 3;
	case ROW_ENDED:
		return 2;
	}
	return 2;
}

static dvs_err on_list(struct init *init, struct asked *asked)
{
	struct init_list_req req;
	struct init_list_rep rep = { .n_programs = 0 };
	struct writer out;
	struct row *row;

	if (init_list_req_decode(asked->in, &req) != DVS_OK)
		return DVS_PROTO;
	while (rep.n_programs < ARRAY_LEN(rep.programs) && (row = row_after(init, req.cursor))) {
		req.cursor = row->id;
		/* Whether it runs is told by the answer that is still to come. */
		if (row->request != 0)
			continue;
		rep.programs[rep.n_programs++] =
			(struct init_program){ .id = row->id,
					       .pid = (uint32_t)row->pid,
					       .state = state_told(row),
					       .status = row->status,
					       .restarts = row->restarts,
					       .started_ns = row->started_ns,
					       .ended_ns = row->ended_ns,
					       .tty = row->tty };
	}
	out = link_body(init, asked->frame);
	init_list_rep_encode(&out, &rep);
	link_send(init, &out, NULL, 0);
	return DVS_OK;
}

static dvs_err on_take(struct init *init, struct asked *asked)
{
	struct init_take_req req;
	struct init_take_rep rep;
	struct writer out;
	const struct row *row;

	if (init_take_req_decode(asked->in, &req) != DVS_OK)
		return DVS_PROTO;
	row = row_find(init, req.id);
	if (!row)
		return DVS_NOTFOUND;
	if (row->far[0] < 0)
		return DVS_BADSTATE;
	rep.tty = row->tty;
	out = link_body(init, asked->frame);
	init_take_rep_encode(&out, &rep);
	link_send(init, &out, row->far, row->tty ? 1 : 3);
	return DVS_OK;
}

static dvs_err on_give(struct init *init, struct asked *asked)
{
	struct init_give_req req;
	struct row *row;

	if (init_give_req_decode(asked->in, &req) != DVS_OK)
		return DVS_PROTO;
	row = row_find(init, req.id);
	if (!row)
		return DVS_NOTFOUND;
	if (row->tty || asked->n_fds != 3)
		return DVS_BADARG;
	keep(asked, 0, row->far);
	link_answer(init, INIT_GIVE, asked->frame.id, DVS_OK);
	return DVS_OK;
}

static dvs_err on_shutdown(struct init *init, struct asked *asked)
{
	struct init_shutdown_req req;

	if (init_shutdown_req_decode(asked->in, &req) != DVS_OK)
		return DVS_PROTO;
	link_answer(init, INIT_SHUTDOWN, asked->frame.id, DVS_OK);
	init_shutdown(init, req.grace_ms);
	return DVS_OK;
}

/* A handler answers itself when it returns OK. */
struct request {
	enum init_op op;
	dvs_err (*handle)(struct init *init, struct asked *asked);
};

static const struct request requests[] = {
	{ INIT_HELLO, on_hello }, { INIT_START, on_start },   { INIT_SIGNAL, on_signal },
	{ INIT_STOP, on_stop },	  { INIT_FORGET, on_forget }, { INIT_LIST, on_list },
	{ INIT_TAKE, on_take },	  { INIT_GIVE, on_give },     { INIT_SHUTDOWN, on_shutdown },
};

void request_handle(struct init *init, struct init_frame frame, struct cursor *in, int *fds,
		    size_t n_fds)
{
	struct asked asked = { .frame = frame, .in = in, .fds = fds, .n_fds = n_fds };
	dvs_err err = DVS_PROTO;

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (requests[i].op == frame.op && (init->greeted || frame.op == INIT_HELLO))
			err = requests[i].handle(init, &asked);
	}
	if (err != DVS_OK)
		link_answer(init, frame.op, frame.id, err);
}
