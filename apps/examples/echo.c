/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest server and its client.
 *
 *	dvs-echo server         answer every request with its own data, until Ctrl-C
 *	dvs-echo client TEXT    have TEXT echoed
 *
 * Both must be in the same DC: DVS_CONTROL names its control socket. The server binds a number
 * that is kept for servers, so it needs the rights of a manager. */
#include <dvs/dvk.h>
#include <stdio.h>
#include <string.h>

/* The two agree on these; the DVS does not care. */
#define ECHO_ENDPOINT 17
#define ECHO_TYPE 1
#define ECHO_TIMEOUT_MS 5000

static int fail(const char *what, dvs_err err)
{
	fprintf(stderr, "dvs-echo: %s: %s; %s\n", what, dvs_strerror(err), dvs_err_hint(err));
	return 1;
}

/* Answer the request that was received into MSG. */
static dvs_err answer(struct m3 *self, const struct dvs_msg *msg)
{
	static char copy[DVS_DATA_MAX];
	struct m3_delivery got;
	dvs_err err = m3_delivered(self, &got);

	if (err != DVS_OK)
		return err;
	/* The client can still change its data: take a copy before looking at it. */
	if (got.data_bytes > 0)
		memcpy(copy, got.data, got.data_bytes);
	return m3_reply_data(self, got.source, msg, copy, got.data_bytes);
}

static int run_server(struct dvk *dvk)
{
	struct m3 *self;
	dvs_err err = dvk_bind(dvk, dvs_ep_of(ECHO_ENDPOINT), DVK_LOCAL, &self);

	if (err != DVS_OK)
		return fail("bind the server's endpoint", err);
	for (;;) {
		struct dvs_msg msg;

		err = m3_receive_request(self, &msg, DVS_FOREVER);
		if (err != DVS_OK)
			return fail("wait for a request", err);
		err = answer(self, &msg);
		/* A client that died or takes too little harms nobody but itself. */
		if (err != DVS_OK)
			fail("answer", err);
	}
}

static int run_client(struct dvk *dvk, const char *text)
{
	static char reply[DVS_DATA_MAX];
	struct dvs_msg msg = { .type = ECHO_TYPE };
	size_t len = 0;
	struct m3 *self;
	dvs_err err = dvk_bind(dvk, dvs_ep_any(), DVK_LOCAL, &self);

	if (err != DVS_OK)
		return fail("bind an endpoint", err);
	err = m3_call(self, dvs_ep_of(ECHO_ENDPOINT), &msg, text, strlen(text), reply,
		      sizeof(reply), &len, ECHO_TIMEOUT_MS);
	dvk_unbind(self);
	if (err != DVS_OK)
		return fail("call the server", err);
	printf("%.*s\n", (int)len, reply);
	return 0;
}

int main(int argc, char **argv)
{
	int is_server = argc == 2 && strcmp(argv[1], "server") == 0;
	int is_client = argc == 3 && strcmp(argv[1], "client") == 0;
	struct dvk *dvk;
	dvs_err err;
	int status;

	if (!is_server && !is_client) {
		fputs("usage: dvs-echo server | dvs-echo client TEXT\n", stderr);
		return 2;
	}
	err = dvk_open(NULL, &dvk);
	if (err != DVS_OK)
		return fail("open the link", err);
	status = is_server ? run_server(dvk) : run_client(dvk, argv[2]);
	dvk_close(dvk);
	return status;
}
