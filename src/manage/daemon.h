/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of the DVS that a command starts: beside this one, in the foreground or away from the terminal. */
#ifndef MANAGE_DAEMON_H
#define MANAGE_DAEMON_H

#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"

#define DAEMON_SAID_BYTES 512u

/* Become PROGRAM, which is beside this one or where the package has it. ARGV ends with NULL. Returns only in a child of daemon_start(): _Noreturn otherwise; when it is not installed it says so and exits. */
_Noreturn void daemon_become(const char *program, char *const *argv);
/* Start PROGRAM away from the terminal, with standard error in LOG_FILE, which is made anew. ARGV has room for three more words, and ends with NULL: "--ready-fd" and a number are added, where it writes a byte when it is ready.
 * Its pid then. 0: it did not come up, and SAID is the last line of its log; -1: errno. */
MUST_USE pid_t daemon_start(const char *program, char **argv, const char *log_file,
			    char said[DAEMON_SAID_BYTES]);

#endif
