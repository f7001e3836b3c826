/* SPDX-License-Identifier: Apache-2.0 */
/* The end of DVS on a machine: what goes on without dvsd and its agent is ended, and what it has on the disk stays. */
#ifndef CONTAINER_ENDING_H
#define CONTAINER_ENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <dvs/error.h>

typedef bool processes_wanted(const void *arg, pid_t pid);

/* Send NUMBER to each process that WANTED finds, and wait until they have ended, at most until DEADLINE_NS. How many have not. Needs /proc. */
size_t processes_end(processes_wanted *wanted, const void *arg, int number, uint64_t deadline_ns);

/* Have the programs of all containers of the node with this LIB_DIR end, kill after GRACE_MS what has not, and remove the cgroups. What the containers wrote stays. OK also when there are none.
 * TIMEOUT, IO. WHY: room for DESCRIPTION_TEXT_MAX. */
DVS_MUST_USE dvs_err container_host_stop(const char *lib_dir, uint32_t grace_ms, char *why);

#endif
