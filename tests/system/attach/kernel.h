/* SPDX-License-Identifier: Apache-2.0 */
/* A stand-in for the kernel's NBD client, for machines whose kernel has none. The device is a Unix socket: who connects to it, one at a time, speaks with the server of the attachment as the kernel would. As
 * the kernel's, it ends when nobody has it open any more. */
#ifndef TESTS_SYSTEM_ATTACH_KERNEL_H
#define TESTS_SYSTEM_ATTACH_KERNEL_H

#include "gateways/attach/nbd_kernel.h"

/* With its files, of which `refuse` makes it give no device and `size` tells the size, in RUN_DIR, which must outlive it. */
struct nbd_kernel kernel_stand_in(const char *run_dir);

#endif
