/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the doctor share. */
#ifndef CONTAINER_DOCTOR_INTERNAL_H
#define CONTAINER_DOCTOR_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "config/config.h"
#include "container/doctor.h"

struct doctor {
	const struct doctor_where *where;
	struct config *config;		  /* that of the node, or the defaults */
	char config_why[CONFIG_TEXT_MAX]; /* "": there was nothing to complain of */
	void (*found)(void *context, const struct doctor_finding *finding);
	void *context;
};

/* Tell a finding; DISABLES and CURE are for those that are not good. */
void doctor_say(const struct doctor *doctor, const char *what, enum doctor_state state,
		const char *disables, const char *cure, const char *found, ...) PRINTF_LIKE(6, 7);

/* Run TRY in a child, so that nothing of it stays in this process. It returns 0 or an errno, and may write a sentence of DOCTOR_TEXT_MAX. */
#define DOCTOR_TEXT_MAX 1000u
int doctor_try(int (*try)(void *argument, char *text), void *argument, char *text);

/* What the program ARGV writes, in one line as far as it fits; its exit status, 127 if it is not there, -1 if it was killed, also because the time was over. */
int doctor_capture(const char *const argv[], uint32_t timeout_ms, char *text, size_t size);

/* The first two numbers in TEXT, as of "CRIU 3.17.1". */
bool doctor_version(const char *text, unsigned long *major, unsigned long *minor);

void doctor_kernel(const struct doctor *doctor);
void doctor_rights(const struct doctor *doctor);
void doctor_namespaces(const struct doctor *doctor);
void doctor_cgroups(const struct doctor *doctor);
void doctor_seccomp(const struct doctor *doctor);
void doctor_limits(const struct doctor *doctor);
void doctor_files(const struct doctor *doctor);
void doctor_container(const struct doctor *doctor);
void doctor_programs(const struct doctor *doctor);
void doctor_volumes(const struct doctor *doctor);
void doctor_clock(const struct doctor *doctor);
void doctor_ports(const struct doctor *doctor);

#endif
