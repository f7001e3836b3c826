/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of corosync as the DVS wants it: by 'dvs init' for machines, by 'dvs lab'
 * for the nodes of a lab. */
#ifndef MANAGE_COROSYNC_CONF_H
#define MANAGE_COROSYNC_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <dvs/error.h>

/* corosync's own name for a node is the DVS number + 1: it takes no 0. */
#define COROSYNC_ID(node) ((node) + 1u)

/* What corosync accepts at least. */
#define COROSYNC_TOKEN_MIN_MS 130u
#define COROSYNC_AUTHKEY_BYTES 256u

struct corosync_conf {
	const char *cluster;
	uint32_t token_ms;    /* a node is found dead after about 2.1 times that */
	bool secure;	      /* AES-256; needs an authkey beside the file */
	bool real_time;	      /* real-time scheduling: not where many share few CPUs */
	const char *log_file; /* NULL: standard error */
	uint32_t n_nodes;
	const struct corosync_conf_node {
		uint32_t node; /* its number in the DVS */
		const char *name;
		const char *address; /* or a name that stands for one */
	} * nodes;
};

/* Write it to FILE, whose error flag tells whether that went well. */
void corosync_conf_write(FILE *file, const struct corosync_conf *conf);

/* Write a new random key to PATH, readable by its owner only. It must not exist. */
DVS_MUST_USE dvs_err corosync_authkey_create(const char *path);

#endif
