/* SPDX-License-Identifier: Apache-2.0
 *
 * The futex system call on words in shared memory.
 */
#ifndef IPC_FUTEX_H
#define IPC_FUTEX_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Sleep while WORD is VALUE, at most for SPAN (NULL: without end). Also returns early. */
static inline void futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *span)
{
	(void)syscall(SYS_futex, word, FUTEX_WAIT, value, span, NULL, 0);
}

/* Wake up to COUNT sleepers. */
static inline void futex_wake(_Atomic uint32_t *word, int count)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

#endif
