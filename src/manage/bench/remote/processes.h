/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes run on a node of the lab, seen from outside. */
#ifndef DVS_MANAGE_BENCH_REMOTE_PROCESSES_H
#define DVS_MANAGE_BENCH_REMOTE_PROCESSES_H

#include <stddef.h>
#include <sys/types.h>

enum { BENCH_PROCESSES_MAX = 512 };

/* Those in the PID namespace of HOLDER, but for itself, that are called NAME (NULL: all), into PIDS of ROOM. Returns
 * how many. */
size_t bench_find_processes(pid_t holder, const char *name, pid_t *pids, size_t room);
/* What PID is called in the PID namespace of its node, the next one to ours; 0: it has ended. */
pid_t bench_inner_pid(pid_t pid);
/* Kill PIDS, and wait until they have ended. */
void bench_kill_processes(const pid_t *pids, size_t n);

#endif
