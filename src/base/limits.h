/* SPDX-License-Identifier: Apache-2.0 */
/* Every table and queue has a bound, and every bound has its name here or, when other
 * people's programs must know it, in a public header. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

/* One log line with everything; what is longer is cut and marked. Below PIPE_BUF, so that
 * lines of several processes on one pipe do not mix. */
#define LOG_LINE_BYTES_MAX 2048

/* Requests that one server has taken and not yet answered. */
#define SKELETON_REQUESTS_MAX 8192u

#endif
