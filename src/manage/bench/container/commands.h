/* SPDX-License-Identifier: Apache-2.0 */
/* Programs run one after the other on a node of the lab, by one process that has entered it: the way there is not part of what is measured. */
#ifndef DVS_MANAGE_BENCH_CONTAINER_COMMANDS_H
#define DVS_MANAGE_BENCH_CONTAINER_COMMANDS_H

#include "manage/bench/internal.h"

/* This program, on whatever node. */
#define BENCH_SELF "/proc/self/exe"

enum { BENCH_WORDS_MAX = 24 };

struct bench_command {
	const char *path;		   /* looked up in PATH; BENCH_SELF */
	const char *argv[BENCH_WORDS_MAX]; /* ends with NULL */
	unsigned times;			   /* so often; 0: once */
	bool timed;
	bool may_fail;
	bool heard; /* what it prints is wanted */
};

struct bench_commands {
	unsigned node;
	bool without_v2; /* in mounts of their own, in which crun sees cgroup v1 alone */
	const struct bench_command *list;
	size_t n;
};

struct bench_heard {
	double ns; /* of all that are timed together */
	char text[200];
};

/* Stops at the first one that fails. WOKEN: a signal has come; then those under way were killed. */
DVS_MUST_USE dvs_err bench_commands_run(const struct bench_lab *lab,
					const struct bench_commands *commands,
					struct bench_heard *heard, struct bench_fault *fault);

/* From what a client has printed: how often per second, and how long one took, in ns. */
DVS_MUST_USE dvs_err bench_heard_sample(const struct bench_heard *heard,
					struct bench_sample *sample, struct bench_fault *fault);
/* The sample of one client on NODE: COMMAND, which is heard. */
DVS_MUST_USE dvs_err bench_command_sample(const struct bench_lab *lab, unsigned node,
					  const struct bench_command *command,
					  struct bench_sample *sample, struct bench_fault *fault);

#endif
