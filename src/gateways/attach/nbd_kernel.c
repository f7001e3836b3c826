/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel chooses a free device and connects it, in one step: nobody can come between. It is to go when it is closed for the last time, but that is told to the kernel only when the caller
 * has it open: udev opens and closes new devices, too, and would end it. */
#include "gateways/attach/nbd_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "gateways/attach/genl.h"
#include "gateways/attach/nbd_message.h"

#define DEVICE "/dev/nbd"
/* An answer of the kernel comes at once, but for work that other programs give it. */
#define ANSWER_S 30
static dvs_err failed(char why[ATTACH_WHY_MAX], const char *what, int number)
{
	(void)snprintf(why, ATTACH_WHY_MAX, "%s: %s", what, strerror(number));
	return dvs_from_errno(number);
}

/* A question to the kernel. WHY gets its reason, or else that of the question, and what does without. */
static dvs_err ask(struct genl *genl, struct genl_message *message, uint16_t wanted,
		   uint32_t *number, const char *what, char why[ATTACH_WHY_MAX])
{
	int refused = 0;
	dvs_err err = genl_ask(genl, message, wanted, number, &refused);

	if (err)
		(void)snprintf(why, ATTACH_WHY_MAX, "%s: %s; --by loop does without NBD", what,
			       refused ? strerror(refused) : dvs_strerror(err));
	return err;
}

static dvs_err open_netlink(struct genl *genl, char why[ATTACH_WHY_MAX])
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	const struct timeval patience = { .tv_sec = ANSWER_S };
	AUTO_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)))
		return failed(why, "generic netlink", errno);
	*genl = (struct genl){ .fd = take_fd(&fd) };
	return DVS_OK;
}

static dvs_err find_family(struct genl *genl, uint32_t *family, char why[ATTACH_WHY_MAX])
{
	struct genl_message message;
	int refused;
	dvs_err err;

	genl_begin(&message, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	genl_put(&message, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME,
		 sizeof(NBD_GENL_FAMILY_NAME));
	err = genl_ask(genl, &message, CTRL_ATTR_FAMILY_ID, family, &refused);
	if (!err)
		return DVS_OK;
	if (refused == ENOENT) {
		(void)snprintf(
			why, ATTACH_WHY_MAX,
			"the kernel has no NBD devices here: 'modprobe nbd' loads the module;"
			" in a network namespace of its own they cannot be had");
		return DVS_NOTSUP;
	}
	(void)snprintf(why, ATTACH_WHY_MAX, "the kernel does not say whether it has NBD: %s",
		       refused ? strerror(refused) : dvs_strerror(err));
	return err;
}

static dvs_err open_family(struct genl *genl, uint16_t *family, char why[ATTACH_WHY_MAX])
{
	uint32_t number = 0;
	dvs_err err = open_netlink(genl, why);

	if (err)
		return err;
	err = find_family(genl, &number, why);
	if (err) {
		close(genl->fd);
		genl->fd = -1;
	}
	*family = (uint16_t)number;
	return err;
}

dvs_err nbd_kernel_check(char why[ATTACH_WHY_MAX])
{
	struct genl genl;
	uint16_t family;
	dvs_err err = open_family(&genl, &family, why);

	if (!err)
		close(genl.fd);
	return err;
}

/* ---- what is told to the kernel ---- */

static dvs_err join(struct genl *genl, uint16_t family, const struct nbd_wish *wish,
		    uint32_t *index, char why[ATTACH_WHY_MAX])
{
	struct genl_message message;

	nbd_message_connect(&message, family, wish);
	return ask(genl, &message, NBD_ATTR_INDEX, index, "the kernel connects no NBD device", why);
}

static void part(struct genl *genl, uint16_t family, uint32_t index)
{
	struct genl_message message;
	int refused;

	nbd_message_disconnect(&message, family, index);
	/* The other end of the socket goes soon: then all it answers are errors. */
	(void)!genl_ask(genl, &message, 0, NULL, &refused);
}

static dvs_err end_with_last_close(struct genl *genl, uint16_t family, uint32_t index,
				   const char *name, char why[ATTACH_WHY_MAX])
{
	struct genl_message message;

	nbd_message_end_with_last_close(&message, family, index, name);
	return ask(genl, &message, 0, NULL, "the NBD device cannot be made to end by itself", why);
}

/* ---- the device's node ---- */

static bool device_number(uint32_t index, dev_t *number)
{
	char path[64];
	AUTO_FCLOSE FILE *file = NULL;
	char line[32];
	char *at;
	unsigned long in_major;

	(void)snprintf(path, sizeof(path), "/sys/block/nbd%u/dev", index);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		return false;
	in_major = strtoul(line, &at, 10);
	if (*at != ':')
		return false;
	*number = makedev((unsigned int)in_major, (unsigned int)strtoul(at + 1, NULL, 10));
	return true;
}

/* A container's /dev may lack the node of a device that the kernel has. */
static dvs_err open_device(uint32_t index, const struct nbd_wish *wish,
			   char device[LOOP_DEVICE_MAX], int *fd, char why[ATTACH_WHY_MAX])
{
	int flags = (wish->is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
	dev_t number = 0;

	(void)snprintf(device, LOOP_DEVICE_MAX, DEVICE "%u", index);
	*fd = open(device, flags);
	if (*fd < 0 && errno == ENOENT && device_number(index, &number) &&
	    !mknod(device, S_IFBLK | 0600, number))
		*fd = open(device, flags);
	return *fd < 0 ? failed(why, device, errno) : DVS_OK;
}

static dvs_err netlink_connect(void *context, const struct nbd_wish *wish,
			       char device[LOOP_DEVICE_MAX], int *fd, char why[ATTACH_WHY_MAX])
{
	struct genl genl;
	AUTO_CLOSE int device_fd = -1;
	uint16_t family;
	uint32_t index;
	dvs_err err = open_family(&genl, &family, why);

	(void)context;
	if (err)
		return err;
	err = join(&genl, family, wish, &index, why);
	if (!err) {
		err = open_device(index, wish, device, &device_fd, why);
		if (!err)
			err = end_with_last_close(&genl, family, index, wish->name, why);
		if (err)
			part(&genl, family, index);
	}
	close(genl.fd);
	if (!err)
		*fd = take_fd(&device_fd);
	return err;
}

static dvs_err netlink_resize(void *context, const char *device, const char *name, uint64_t bytes)
{
	struct genl genl;
	struct genl_message message;
	char why[ATTACH_WHY_MAX];
	uint16_t family;
	dvs_err err = open_family(&genl, &family, why);
	int refused;

	(void)context;
	if (err)
		return err;
	nbd_message_resize(&message, family,
			   (uint32_t)strtoul(device + sizeof(DEVICE) - 1, NULL, 10), name, bytes);
	err = genl_ask(&genl, &message, 0, NULL, &refused);
	close(genl.fd);
	return err;
}

const struct nbd_kernel nbd_kernel_netlink = {
	.connect = netlink_connect,
	.resize = netlink_resize,
};

bool nbd_kernel_is_over(const char *device, const char *name)
{
	char path[128];
	char backend[ATTACH_WHY_MAX];
	AUTO_FCLOSE FILE *file = NULL;

	if (strncmp(device, DEVICE, sizeof(DEVICE) - 1) != 0)
		return false;
	(void)snprintf(path, sizeof(path), "/sys/block/%.20s/backend", device + strlen("/dev/"));
	file = fopen(path, "re");
	if (!file || !fgets(backend, sizeof(backend), file))
		return false;
	backend[strcspn(backend, "\n")] = '\0';
	return !strcmp(backend, name);
}
