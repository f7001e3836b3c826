/* SPDX-License-Identifier: Apache-2.0 */
/* An NBD backend in memory: for tests of the server without a DVS, and for measuring what the protocol alone costs. */
#ifndef TESTS_NBD_MEMORY_H
#define TESTS_NBD_MEMORY_H

#include <stdint.h>

#include "gateways/nbd/backend.h"

/* Exports "disk" of BYTES, which can be written, "disk@before" (read only, the same memory), and "slow", whose calls take a time: a flush, and a read of the last bytes, half a second, a trim a second. NULL: no memory. */
struct nbd_backend *nbd_memory_open(uint64_t bytes);
void nbd_memory_close(struct nbd_backend *backend);

#endif
