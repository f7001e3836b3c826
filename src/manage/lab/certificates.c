/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of a lab's nodes, from an authority that is forgotten once they are made. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/cluster/ca.h"
#include "manage/lab/lab.h"

static bool write_pem(struct lab *lab, uint32_t node, const char *rest, mode_t mode,
		      const struct ca_pem *pem)
{
	char path[320];
	AUTO_CLOSE int fd = -1;

	lab_node_path(lab, node, rest, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd >= 0 && write(fd, pem->bytes, pem->len) == (ssize_t)pem->len)
		return true;
	return lab_fail(lab, "write %s: %s", path, strerror(errno));
}

static bool write_node(struct lab *lab, uint32_t node, const struct ca_pem *ca,
		       const struct ca_pem *ca_key)
{
	AUTO_PEM struct ca_pem cert = { .len = 0 };
	AUTO_PEM struct ca_pem key = { .len = 0 };
	char why[CA_WHY_MAX];

	if (ca_issue(ca, ca_key, node, CA_NODE_DAYS, &cert, &key, why) != DVS_OK)
		return lab_fail(lab, "make the certificate of node n%u: %s", node, why);
	return write_pem(lab, node, "dvs/ca.pem", 0644, ca) &&
	       write_pem(lab, node, "dvs/node.pem", 0644, &cert) &&
	       write_pem(lab, node, "dvs/node.key", 0600, &key);
}

bool lab_write_certificates(struct lab *lab)
{
	AUTO_PEM struct ca_pem ca = { .len = 0 };
	AUTO_PEM struct ca_pem ca_key = { .len = 0 };
	char why[CA_WHY_MAX];

	if (ca_create(lab->name, CA_NODE_DAYS, false, &ca, &ca_key, why) != DVS_OK)
		return lab_fail(lab, "make the lab's authority: %s", why);
	for (uint32_t i = 0; i < lab->options.n_nodes; i++) {
		if (!write_node(lab, i, &ca, &ca_key))
			return false;
	}
	return true;
}
