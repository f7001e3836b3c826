/* SPDX-License-Identifier: Apache-2.0 */
/* A dvsd of its own for each test, in a private directory, and processes that do what the test
 * tells them.
 *
 *	struct world *w = world_start();	a dvsd with DC "a"
 *	struct actor *b = actor_start(w);	a process with its own link
 *	dvs_ep to = bind_as(b, dvs_ep_of(5), DVK_LOCAL);
 *
 *	begin(b, receiving(dvs_ep_any()));	it works, the test goes on
 *	GIVES(OK, m3_send, me, to, &msg, DVS_FOREVER);
 *	ck_assert_uint_eq(end(b)->msg.type, 7);
 *	world_end(w);
 *
 * Each call whose result a test looks at is noted (GIVES() does it, and so do the actors), so
 * that the table of calls and errors can be compared with what really was seen.
 *
 * With DVS_CALLS_NODES=2 in the environment the same is done over two nodes: each world has a second dvsd on
 * another node of a small lab, and the actors live there, so that what the test's own thread and an actor say
 * to each other crosses nodes.
 *
 * What a failed test leaves is cleaned up: Check ends its processes, calls_run() its files. */
#ifndef TESTS_DVS_FIXTURE_H
#define TESTS_DVS_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <dvs/dvk.h>

#include "unit.h"

/* Everything that is waited for comes within this time, or the test fails. */
#define PATIENCE_MS 15000

/* ---- the program ---- */

/* The result of main(): run the tests, then compare what they saw with the rows of the table
 * that name PROGRAM. */
int calls_run(const char *program, const TTest *const *tests, size_t n_tests);

#define CALLS_MAIN(program, ...)                                                    \
	int main(void)                                                              \
	{                                                                           \
		const TTest *const tests[] = { __VA_ARGS__ };                       \
                                                                                    \
		return calls_run(program, tests, sizeof(tests) / sizeof(tests[0])); \
	}

/* Note that the present test saw CALL return ERR. */
void saw(const char *call, dvs_err err);

/* CALL with these arguments must return DVS_<ERROR>. */
#define GIVES(error, call, ...) gives(#call, call(__VA_ARGS__), DVS_##error, __FILE__, __LINE__)
void gives(const char *call, dvs_err got, dvs_err wanted, const char *file, int line);

#define EQUAL_EP(a, b) ck_assert_uint_eq((a).n, (b).n)

/* For tests of what holds on one node only: there what one did is done when its call returns. */
#define ONE_NODE_ONLY()          \
	do {                     \
		if (nodes() > 1) \
			return;  \
	} while (0)
unsigned int nodes(void);

/* ---- the world ---- */

struct actor;

struct world {
	char run_dir[64];
	char control[96]; /* of DC "a" */
	pid_t dvsd;
	/* of the other node, if there is one */
	char far_dir[64];
	char far_control[96];
	pid_t far_dvsd;
	struct dvk *far_dvk; /* to look what actors do */
	struct dvk *dvk;     /* the test's own link, see world_link() */
	struct actor *actors;
};

struct world *world_start(void);
/* Ends all actors and the test's link, stops dvsd and checks that it ended well. */
void world_end(struct world *w);

/* The test's own link with DC "a". */
struct dvk *world_link(struct world *w);
/* The test's own thread, bound to a free number. */
struct m3 *world_bind(struct world *w);
struct dvk *world_admin(const struct world *w);
/* Make DC NAME and tell its control socket. */
void world_add_dc(const struct world *w, const char *name, char *control, size_t size);

/* dvk_privileges_set() by the test's own link, until they hold on all nodes: on others that is an instant after the call returned,
 * and what begins in between is ended with DENIED. */
void world_set_privileges(struct world *w, dvs_ep ep, const struct dvk_privileges *privileges);

void dvsd_start(struct world *w);
/* SIGKILL. */
void dvsd_kill(struct world *w);
/* SIGTERM, and its status must be 0. */
void dvsd_stop(struct world *w);

/* Wait until EP sleeps in ACTIVITY (of its own DC; the test's link is used). */
void await_activity(struct world *w, dvs_ep ep, enum dvk_activity activity);
/* The same of ACTIVITY towards PARTNER. */
void await_activity_with(struct world *w, dvs_ep ep, enum dvk_activity activity, dvs_ep partner);

/* Waits in small steps, for what tells nobody; fails the test when the patience ends. */
struct wait {
	uint64_t until_ns;
};
struct wait wait_begin(void);
void wait_step(const struct wait *wait, const char *what);

uint64_t now_ms(void);

/* ---- actors ---- */

struct stage;
struct act;
typedef dvs_err (*scene)(struct stage *me, struct act *act);

/* What an actor is to do; given back with what came of it. */
struct act {
	scene play;
	const char *call; /* noted with the result */
	dvs_err err;
	dvs_ep ep;
	uint32_t timeout_ms;
	uint32_t kind;
	uint32_t grant;
	pid_t pid;
	uint64_t n;
	uint64_t out_bytes;
	uint64_t in_bytes;
	struct dvs_msg msg;
	struct m3_delivery got; /* its addresses are the actor's */
	struct dvk_privileges privileges;
	char text[96];
};

/* Where an actor stands: what its scenes work with, in its own process. */
struct stage {
	struct dvk *dvk;
	struct m3 *self;
	uint8_t *memory; /* STAGE_BYTES, its own */
	char control[96];
};
#define STAGE_BYTES ((size_t)2 << 20)

struct actor {
	struct actor *next;
	pid_t pid;
	int fd;
	dvs_ep ep; /* the last it bound */
	bool busy;
	struct act done;
};

/* A process with a link of its own, on the other node if there is one. */
struct actor *actor_start(struct world *w);
/* The same on the test's own node. */
struct actor *actor_near(struct world *w);
/* The same for another DC; CONTROL "" gives it no link. */
struct actor *actor_at(struct world *w, const char *control);
/* The same as user UID; only root can. */
struct actor *actor_as(struct world *w, uid_t uid);
/* An actor with an endpoint. */
struct actor *actor_bound(struct world *w, uint32_t number);
/* It ends itself in order. */
void actor_end(struct world *w, struct actor *actor);
/* SIGKILL. */
void actor_kill(struct world *w, struct actor *actor);

/* begin() lets it work, end() waits for the result; play() does both. */
void begin(struct actor *actor, struct act act);
const struct act *end(struct actor *actor);
const struct act *play(struct actor *actor, struct act act);
/* Has it ended its act? */
bool is_done(const struct actor *actor);

/* Acts. Those with a time-out wait without end unless one is put in. */
struct act binding(dvs_ep want, enum dvk_kind kind);
struct act unbinding(void);
struct act taking_bound(uint32_t timeout_ms);
struct act sending(dvs_ep dst, uint32_t type);
struct act receiving(dvs_ep src);
struct act receiving_request(void);
struct act sendrecing(dvs_ep dst, uint32_t type);
/* OUT_BYTES of the pattern SEED; it checks that IN_BYTES come back as the pattern SEED + 1. */
struct act calling(dvs_ep dst, uint32_t type, size_t out_bytes, size_t in_cap, uint8_t seed);
struct act replying(dvs_ep client, uint32_t type);
struct act relaying(dvs_ep client, dvs_ep dst, uint32_t type);
struct act notifying(dvs_ep dst, uint64_t value);
struct act waking(dvs_ep dst);
/* Receive and answer COUNT requests: type + 1, u64[0] counts on, data comes back as the pattern
 * plus 1. Ends early with an error. */
struct act serving(uint64_t count);
struct act within(struct act act, uint32_t timeout_ms);

/* An endpoint for ACTOR; asserts that it gets it. */
dvs_ep bind_as(struct actor *actor, dvs_ep want, enum dvk_kind kind);

void pattern_fill(void *data, size_t bytes, uint8_t seed);
bool pattern_is(const void *data, size_t bytes, uint8_t seed);

struct dvs_msg message(uint32_t type);

#endif
