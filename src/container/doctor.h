/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do for a node and its containers: each thing is tried, not believed. */
#ifndef CONTAINER_DOCTOR_H
#define CONTAINER_DOCTOR_H

#include <dvs/error.h>

enum doctor_state {
	DOCTOR_GOOD = 1,
	DOCTOR_LESS = 2,    /* works with less */
	DOCTOR_MISSING = 3, /* a node with containers needs it */
};

struct doctor_finding {
	char what[64];
	enum doctor_state state;
	char found[256];
	char disables[256]; /* "" when good, as cure */
	char cure[256];
};

struct doctor_where {
	const char *config;  /* node.yaml; NULL: where it is by default, if it is there */
	const char *lib_dir; /* where images and what containers write will be */
};

/* Blocks, for a second or two. Calls FOUND for one thing after the other. Nothing stays of what is tried. */
void doctor_run(const struct doctor_where *where,
		void (*found)(void *context, const struct doctor_finding *finding), void *context);

#endif
