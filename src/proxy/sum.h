/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), the checksum of frames. */
#ifndef PROXY_SUM_H
#define PROXY_SUM_H

#include <stddef.h>
#include <stdint.h>

/* Begin with 0; what it returns may be handed in again with the bytes that follow. */
uint32_t sum_crc32c(uint32_t sum, const void *bytes, size_t len);

/* The same without the processor's help, for the test. */
uint32_t sum_crc32c_plain(uint32_t sum, const void *bytes, size_t len);

#endif
