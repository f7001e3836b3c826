/* SPDX-License-Identifier: Apache-2.0 */
/* What Linux calls its capabilities, resource limits and signals. */
#ifndef CONTAINER_NAMES_H
#define CONTAINER_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAPABILITIES 41u /* of Linux 5.9 and later */
#define RLIMITS 16u
#define SIGNALS_MAX 64u

/* "CAP_CHOWN", ...; NULL: there is no capability N. */
const char *capability_name(unsigned int n);
/* CHOWN or CAP_CHOWN, in whatever case, to 0. False: there is none of that name. */
bool capability_number(const char *name, uint32_t *number);
/* "nofile", ...; NULL: there is no limit WHICH. */
const char *rlimit_name(unsigned int which);
/* TERM or SIGTERM to 15; RTMIN+3. False: there is none of that name. */
bool signal_number(const char *name, uint32_t *number);

/* Those of the capabilities without prefix and the limits', at their numbers, ended by NULL. */
extern const char *const capability_names[CAPABILITIES + 1];
extern const char *const rlimit_names[RLIMITS + 1];

#endif
