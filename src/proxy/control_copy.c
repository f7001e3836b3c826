/* SPDX-License-Identifier: Apache-2.0 */
/* What copies need of dvsd: asked and told by their own threads. */
#include "proxy/control_internal.h"
#include "proxy/copy.h"

/* A question that a thread waits for. Under control.lock. */
struct control_question {
	struct list node;
	uint32_t id;
	pthread_cond_t answered;
	bool done;
	dvs_err err;
	struct control_copy_open_rep rep;
	int fd;
};

static bool on_send(void *context, struct frame_header *header, const void *body, size_t body_bytes,
		    const void *data, size_t data_bytes)
{
	const struct control *control = context;

	return mirror_send_bulk(control->mirror, header, body, body_bytes, data, data_bytes);
}

static dvs_err on_open(void *context, const struct control_copy_open_req *req,
		       struct control_copy_open_rep *rep, int *fd)
{
	struct control *control = context;
	struct control_question question = { .id = control_new_id(control), .fd = -1 };
	struct request request;

	(void)pthread_cond_init(&question.answered, NULL);
	pthread_mutex_lock(&control->lock);
	list_add_tail(&control->questions, &question.node);
	pthread_mutex_unlock(&control->lock);
	request_begin(&request, CONTROL_COPY_OPEN, question.id);
	control_copy_open_req_encode(&request.out, req);
	/* If it cannot be sent the process is about to end. */
	(void)request_send(control, &request);
	pthread_mutex_lock(&control->lock);
	while (!question.done)
		pthread_cond_wait(&question.answered, &control->lock);
	list_remove(&question.node);
	pthread_mutex_unlock(&control->lock);
	(void)pthread_cond_destroy(&question.answered);
	*rep = question.rep;
	*fd = question.fd;
	return question.err;
}

static void on_close(void *context, uint64_t use)
{
	struct control *control = context;
	struct control_copy_close_req close = { .use = use };
	struct request request;

	request_begin(&request, CONTROL_COPY_CLOSE, control_new_id(control));
	control_copy_close_req_encode(&request.out, &close);
	(void)request_send(control, &request);
}

static void on_done(void *context, uint64_t copy, dvs_err reason)
{
	struct control *control = context;
	struct control_copy_done_req done = { .copy = copy, .reason = (uint32_t)reason };
	struct request request;

	request_begin(&request, CONTROL_COPY_DONE, control_new_id(control));
	control_copy_done_req_encode(&request.out, &done);
	(void)request_send(control, &request);
}

dvs_err control_copies_create(struct control *control)
{
	struct copies_owner owner = { .context = control,
				      .send = on_send,
				      .open = on_open,
				      .close = on_close,
				      .done = on_done };

	return copies_create(&owner, &control->copies);
}

void control_copy_start(struct control *control, struct message *message)
{
	struct control_copy_start_req start;

	if (control_copy_start_req_decode(&message->in, &start) || message->fd[0] < 0)
		return;
	copies_start(control->copies, &start, message->fd[0]);
	message->fd[0] = -1;
}

void control_copy_stop(struct control *control, struct message *message)
{
	struct control_copy_stop_req stop;

	if (control_copy_stop_req_decode(&message->in, &stop) == DVS_OK)
		copies_stop(control->copies, &stop);
}

bool control_copy_reply(struct control *control, struct message *message)
{
	bool found = false;

	pthread_mutex_lock(&control->lock);
	LIST_FOREACH(node, &control->questions) {
		struct control_question *question =
			CONTAINER_OF(node, struct control_question, node);

		if (question->id != message->id)
			continue;
		found = true;
		question->err = message->err ? dvs_err_from_number(message->err) : DVS_OK;
		if (!question->err)
			question->err = control_copy_open_rep_decode(&message->in, &question->rep);
		question->fd = message->fd[0];
		message->fd[0] = -1;
		question->done = true;
		(void)pthread_cond_signal(&question->answered);
		break;
	}
	pthread_mutex_unlock(&control->lock);
	return found;
}
