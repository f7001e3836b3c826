/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/attach/nbd_message.h"

#include <linux/nbd-netlink.h>
#include <linux/nbd.h>
#include <string.h>

/* Of newer kernels, not in all headers. */
#define FLAG_SEND_WRITE_ZEROES (UINT64_C(1) << 6)

static uint64_t flags_of(const struct nbd_wish *wish)
{
	return NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH |
	       (wish->is_read_only ? (uint64_t)NBD_FLAG_READ_ONLY :
				     NBD_FLAG_SEND_TRIM | FLAG_SEND_WRITE_ZEROES);
}

void nbd_message_connect(struct genl_message *message, uint16_t family, const struct nbd_wish *wish)
{
	size_t sockets;
	size_t item;

	genl_begin(message, family, NBD_CMD_CONNECT, NBD_GENL_VERSION);
	genl_put_u64(message, NBD_ATTR_SIZE_BYTES, wish->bytes);
	genl_put_u64(message, NBD_ATTR_BLOCK_SIZE_BYTES, ATTACH_SECTOR_BYTES);
	genl_put_u64(message, NBD_ATTR_SERVER_FLAGS, flags_of(wish));
	genl_put(message, NBD_ATTR_BACKEND_IDENTIFIER, wish->name, strlen(wish->name) + 1);
	sockets = genl_nest(message, NBD_ATTR_SOCKETS);
	item = genl_nest(message, NBD_SOCK_ITEM);
	genl_put_u32(message, NBD_SOCK_FD, (uint32_t)wish->socket_fd);
	genl_unnest(message, item);
	genl_unnest(message, sockets);
}

void nbd_message_disconnect(struct genl_message *message, uint16_t family, uint32_t index)
{
	genl_begin(message, family, NBD_CMD_DISCONNECT, NBD_GENL_VERSION);
	genl_put_u32(message, NBD_ATTR_INDEX, index);
}

static void begin_change(struct genl_message *message, uint16_t family, uint32_t index,
			 const char *name)
{
	genl_begin(message, family, NBD_CMD_RECONFIGURE, NBD_GENL_VERSION);
	genl_put_u32(message, NBD_ATTR_INDEX, index);
	genl_put(message, NBD_ATTR_BACKEND_IDENTIFIER, name, strlen(name) + 1);
}

void nbd_message_end_with_last_close(struct genl_message *message, uint16_t family, uint32_t index,
				     const char *name)
{
	begin_change(message, family, index, name);
	genl_put_u64(message, NBD_ATTR_CLIENT_FLAGS, NBD_CFLAG_DISCONNECT_ON_CLOSE);
}

void nbd_message_resize(struct genl_message *message, uint16_t family, uint32_t index,
			const char *name, uint64_t bytes)
{
	begin_change(message, family, index, name);
	genl_put_u64(message, NBD_ATTR_SIZE_BYTES, bytes);
}
