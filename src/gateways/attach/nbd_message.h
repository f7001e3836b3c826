/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to the kernel's NBD client by generic netlink (linux/nbd-netlink.h). FAMILY: its number of the family "nbd"; INDEX: N of /dev/nbdN. */
#ifndef GATEWAYS_ATTACH_NBD_MESSAGE_H
#define GATEWAYS_ATTACH_NBD_MESSAGE_H

#include <stdint.h>

#include "gateways/attach/genl.h"
#include "gateways/attach/nbd_kernel.h"

/* Make a free device of the socket; the answer has NBD_ATTR_INDEX. */
void nbd_message_connect(struct genl_message *message, uint16_t family,
			 const struct nbd_wish *wish);
void nbd_message_disconnect(struct genl_message *message, uint16_t family, uint32_t index);
/* The device goes when nobody has it open any more. It is refused if the device was not made with NAME. */
void nbd_message_end_with_last_close(struct genl_message *message, uint16_t family, uint32_t index,
				     const char *name);
void nbd_message_resize(struct genl_message *message, uint16_t family, uint32_t index,
			const char *name, uint64_t bytes);

#endif
