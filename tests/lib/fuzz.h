/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target includes. It defines the function below: return 0, and crash (assert,
 * abort, a sanitizer's finding) when something is wrong. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
