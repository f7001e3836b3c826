/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/corosync_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/err.h"

/* In which family names are looked up; addresses of the other are refused by corosync. */
static const char *ip_version(const struct corosync_conf *conf)
{
	for (uint32_t i = 0; i < conf->n_nodes; i++) {
		if (strchr(conf->nodes[i].address, ':'))
			return "ipv6-4";
	}
	return "ipv4";
}

/* Consensus and join follow the token by corosync's own rules; the coefficient would make the
 * detection of a dead node slower with every node. */
static void write_totem(FILE *file, const struct corosync_conf *conf)
{
	fprintf(file,
		"totem {\n"
		"\tversion: 2\n"
		"\tcluster_name: %s\n"
		"\ttransport: knet\n"
		"\tip_version: %s\n"
		"\ttoken: %u\n"
		"\ttoken_coefficient: 0\n"
		"\tcrypto_cipher: %s\n"
		"\tcrypto_hash: %s\n"
		"}\n",
		conf->cluster, ip_version(conf), conf->token_ms, conf->secure ? "aes256" : "none",
		conf->secure ? "sha256" : "none");
}

static void write_logging(FILE *file, const struct corosync_conf *conf)
{
	fprintf(file,
		"logging {\n"
		"\ttimestamp: hires\n"
		"\tto_syslog: no\n"
		"\tto_stderr: %s\n"
		"\tto_logfile: %s\n",
		conf->log_file ? "no" : "yes", conf->log_file ? "yes" : "no");
	if (conf->log_file)
		fprintf(file, "\tlogfile: %s\n", conf->log_file);
	fprintf(file, "}\n");
}

/* Without real time it is before others all the same: a node that is busy is not to be taken for dead. */
void corosync_conf_write(FILE *file, const struct corosync_conf *conf)
{
	fprintf(file, "# Written by dvs.\n");
	write_totem(file, conf);
	write_logging(file, conf);
	fprintf(file,
		"system {\n"
		"\tsched_rr: %s\n"
		"%s"
		"\tmove_to_root_cgroup: no\n"
		"}\n"
		"quorum {\n"
		"\tprovider: corosync_votequorum\n"
		"\texpected_votes: %u\n"
		"}\n"
		"nodelist {\n",
		conf->real_time ? "yes" : "no", conf->real_time ? "" : "\tpriority: -10\n",
		conf->n_nodes);
	for (uint32_t i = 0; i < conf->n_nodes; i++)
		fprintf(file,
			"\tnode {\n"
			"\t\tnodeid: %u\n"
			"\t\tname: %s\n"
			"\t\tring0_addr: %s\n"
			"\t}\n",
			COROSYNC_ID(conf->nodes[i].node), conf->nodes[i].name,
			conf->nodes[i].address);
	fprintf(file, "}\n");
}

dvs_err corosync_authkey_create(const char *path)
{
	unsigned char key[COROSYNC_AUTHKEY_BYTES];
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	ssize_t n;

	if (fd < 0)
		return dvs_from_errno(errno);
	/* Up to 256 bytes come in one piece. */
	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return DVS_IO;
	n = write(fd, key, sizeof(key));
	explicit_bzero(key, sizeof(key));
	return n == (ssize_t)sizeof(key) && fsync(fd) == 0 ? DVS_OK : DVS_IO;
}
