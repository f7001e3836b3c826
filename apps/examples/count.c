/* SPDX-License-Identifier: Apache-2.0 */
/* A server with a backup, and a client that does not notice which of them answers.
 *
 *	dvs-count server        serve, or wait as backup of who does
 *	dvs-count client N      ask N times, once a second
 *
 * A program under 'servers' of a dvs.yaml is told its number in DVS_ENDPOINT; so started it has the right to bind it. */
#include <dvs/dvk.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT_ENDPOINT 18
#define COUNT_TYPE 1

static int fail(const char *what, dvs_err err)
{
	fprintf(stderr, "dvs-count: %s: %s; %s\n", what, dvs_strerror(err), dvs_err_hint(err));
	return 1;
}

/* A whole number from 1 to MAX; 0: it is none. */
static uint32_t number_of(const char *text, uint32_t max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	return errno == 0 && *end == '\0' && n <= max ? (uint32_t)n : 0;
}

static uint32_t own_endpoint(void)
{
	const char *text = getenv("DVS_ENDPOINT");
	uint32_t n = text ? number_of(text, DVS_EP_SERVERS - 1) : 0;

	return n ? n : COUNT_ENDPOINT;
}

static int run_server(struct dvk *dvk)
{
	dvs_ep ep = dvs_ep_of(own_endpoint());
	uint64_t n = 0;
	struct m3 *self;
	dvs_err err = dvk_bind(dvk, ep, DVK_LOCAL, &self);

	/* Somebody serves already: wait until that ends. */
	if (err == DVS_INUSE)
		err = dvk_bind(dvk, ep, DVK_BACKUP, &self);
	if (err != DVS_OK)
		return fail("bind the server's endpoint", err);
	for (;;) {
		struct m3_delivery got;
		struct dvs_msg msg;

		/* As a backup it comes back when it has been promoted and somebody asks. */
		err = m3_receive_request(self, &msg, DVS_FOREVER);
		if (err == DVS_OK)
			err = m3_delivered(self, &got);
		if (err != DVS_OK)
			return fail("wait for a request", err);
		msg.u64[0] = ++n;
		msg.u64[1] = (uint64_t)getpid();
		err = m3_reply(self, got.source, &msg);
		if (err != DVS_OK)
			fail("answer", err);
	}
}

static int run_client(struct dvk *dvk, uint32_t n_calls)
{
	struct m3 *self;
	dvs_err err = dvk_bind(dvk, dvs_ep_any(), DVK_LOCAL, &self);

	if (err != DVS_OK)
		return fail("bind an endpoint", err);
	for (uint32_t i = 1; i <= n_calls; i++) {
		struct dvs_msg msg = { .type = COUNT_TYPE };

		err = m3_sendrec(self, dvs_ep_of(COUNT_ENDPOINT), &msg, DVS_FOREVER);
		if (err != DVS_OK)
			return fail("call the server", err);
		printf("call %u: answer %llu of process %llu\n", i, (unsigned long long)msg.u64[0],
		       (unsigned long long)msg.u64[1]);
		fflush(stdout);
		if (i < n_calls)
			sleep(1);
	}
	dvk_unbind(self);
	return 0;
}

int main(int argc, char **argv)
{
	int is_server = argc == 2 && strcmp(argv[1], "server") == 0;
	int is_client = argc == 3 && strcmp(argv[1], "client") == 0;
	uint32_t n_calls = is_client ? number_of(argv[2], 1000000) : 0;
	struct dvk *dvk;
	dvs_err err;
	int status;

	if (!is_server && n_calls == 0) {
		fputs("usage: dvs-count server | dvs-count client N\n", stderr);
		return 2;
	}
	err = dvk_open(NULL, &dvk);
	if (err != DVS_OK)
		return fail("open the link", err);
	status = is_server ? run_server(dvk) : run_client(dvk, n_calls);
	dvk_close(dvk);
	return status;
}
