/* SPDX-License-Identifier: Apache-2.0 */
/* What is written and not synced yet, of all files of this process: after a power cut any part of it may be missing. Names and sizes are taken to be on the
 * medium at once. */
#ifndef TESTS_VDD_POWER_H
#define TESTS_VDD_POWER_H

#include <stdint.h>

/* Copy the files of directory FROM to the new directory TO as the medium may have them at this moment; RANDOM gives a number below its argument. */
void power_cut(const char *from, const char *to, uint64_t (*random)(void *context, uint64_t n),
	       void *context);
/* Forget what is not synced: the next files are others. */
void power_forget(void);

#endif
