/* SPDX-License-Identifier: Apache-2.0 */
/* What a DC and its image say about all programs of a container: environment, and what a program gets that was asked for without. */
#ifndef AGENT_SAYS_H
#define AGENT_SAYS_H

#include "container/description.h"

/* Strings, each ended by a zero byte; NULL and 0: none. */
struct says {
	char *env; /* the image's as far as the DC does not say it otherwise, then the DC's */
	size_t env_len;
	char *args; /* the image's entry point and command */
	size_t args_len;
	char *cwd;  /* the image's; NULL: it says none */
	char *user; /* the same */
};

/* Replace what SAYS has. False: there was no memory, and it has what it had. */
bool says_load(struct says *says, const char *lib_dir, const struct description *description);
void says_free(struct says *says);

#endif
