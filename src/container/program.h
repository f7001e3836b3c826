/* SPDX-License-Identifier: Apache-2.0 */
/* A program that is to run in a DC: the JSON of its record "program/NAME", read and checked; and on which nodes how many of it run.
 *
 *	{ "command": ["nginx", "-g", "daemon off;"],
 *	  "env": {"A": "b"}, "cwd": "/", "user": "www-data", "tty": false,
 *	  "replicas": 2,                       so many, named NAME.0, NAME.1; or "each": one on every node
 *	  "nodes": ["n0", "n1"],               names or numbers of nodes where they may run; missing: all of the DC
 *	  "restart": "always",                 "no", "on-failure"; default: "always"
 *	  "retries": 0, "backoff_ms": 100,
 *	  "stop_signal": "TERM", "stop_grace_ms": 10000,
 *	  "health": {"command": ["curl", "-f", "http://localhost"], "interval_ms": 10000, "timeout_ms": 5000, "retries": 3, "start_ms": 0},
 *	  "rlimits": {"nofile": [1024, 4096]},
 *	  "server": {"endpoint": 20} }         it is a server of the VOS: DVS_ENDPOINT is set for it; the first replica is the primary, the others are backups
 */
#ifndef CONTAINER_PROGRAM_H
#define CONTAINER_PROGRAM_H

#include "container/description.h"

#define PROGRAM_ARGS_MAX 512u
#define PROGRAM_REPLICAS_MAX 1024u
#define PROGRAM_EACH UINT32_MAX

enum program_restart { PROGRAM_NEVER = 0, PROGRAM_ON_FAILURE = 1, PROGRAM_ALWAYS = 2 };

struct program_health {
	const char *command[64];
	size_t n_command; /* 0: there is no check */
	uint32_t interval_ms, timeout_ms, retries, start_ms;
};

struct program {
	json_t *document;
	const char *command[PROGRAM_ARGS_MAX];
	size_t n_command;
	struct description_pair env[128];
	size_t n_env;
	const char *cwd;
	const char *user; /* "": container root */
	bool tty;
	uint32_t replicas; /* PROGRAM_EACH */
	const char *nodes[64];
	size_t n_nodes;
	enum program_restart restart;
	uint32_t retries, backoff_ms;
	uint32_t stop_signal, stop_grace_ms;
	struct program_health health;
	struct description_rlimit rlimits[16];
	size_t n_rlimits;
	uint32_t endpoint; /* UINT32_MAX: none */
};

DVS_MUST_USE dvs_err program_parse(const void *bytes, size_t len, struct program *program,
				   char *why);
DVS_MUST_USE dvs_err program_from_json(json_t *document, struct program *program, char *why);
void program_free(struct program *program);
/* A number, not 0 and below 2^63, that is another one when an instance that runs must be started again to be as PROGRAM says; how many there are and where makes no difference. 0: no memory. */
uint64_t program_digest(const struct program *program);

struct placement_node {
	uint32_t node;
	const char *name;
	bool up;
	bool draining;
};

/* Which of its replicas belong on which node, out of NODES, the DC's by rising number: WHERE[i] is the place in NODES of replica i, or SIZE_MAX when no node
 * can take it; *N is how many there are. Every node computes the same from the same.
 *
 * A replica has a home among the nodes of the DC that may have it (rendezvous hashing of NAME, the replica and the node; no node is the home of two more than
 * another, and more replicas change no home). It is there whenever that node is up and does not drain; else it is a guest on the node that has the fewest. So when a node goes, only its
 * replicas and other guests move, and no node that takes any has two more than another. Of "each", replica i belongs on node number i: *N is the highest number and one,
 * and numbers that are no node's, or that of a node that is down or drains, have SIZE_MAX. */
void placement(const char *name, const struct program *program, const struct placement_node *nodes,
	       size_t n_nodes, size_t where[PROGRAM_REPLICAS_MAX], size_t *n);

#endif
