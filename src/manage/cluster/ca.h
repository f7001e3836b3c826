/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates by which the nodes of a cluster know each other.
 *
 * The cluster's authority (CA) has a key on one node, the one on which the cluster was begun. It signs a certificate for each node:
 *
 *	subject   O = the cluster, CN = node<number>
 *	key       P-256, of that node alone
 *	use       client and server of TLS
 *
 * A link takes a peer for the node N if its certificate is signed by the authority in ca.pem and says so.
 *
 * Everything here works on PEM texts in memory; files.h puts them in place. */
#ifndef MANAGE_CLUSTER_CA_H
#define MANAGE_CLUSTER_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#define CA_PEM_MAX 8192u
#define CA_WHY_MAX 256u
#define CA_AUTHORITY_DAYS 3650u
#define CA_NODE_DAYS 825u
#define CA_DAYS_MAX 36500u

/* A certificate or a key; a zero stands behind it. */
struct ca_pem {
	size_t len;
	char bytes[CA_PEM_MAX];
};

/* Goes away with its scope, wiped. */
#define AUTO_PEM __attribute__((cleanup(ca_pem_wipe)))
void ca_pem_wipe(struct ca_pem *pem);

struct ca_info {
	bool is_authority;
	char cluster[64];
	uint32_t node; /* of a node's */
	char valid_from[24];
	char valid_until[24]; /* as 2030-01-31T23:59:59Z */
	int64_t seconds_left; /* below 0: it is over */
	char fingerprint[96]; /* SHA-256 */
};

/* A new authority for CLUSTER. With KEY_GIVEN the key is kept, and so is what it has signed. */
DVS_MUST_USE dvs_err ca_create(const char *cluster, uint32_t days, bool key_given,
			       struct ca_pem *cert, struct ca_pem *key, char why[CA_WHY_MAX]);

/* A new key and certificate for NODE, signed by the authority CA with CA_KEY. BADARG: the authority is not usable. */
DVS_MUST_USE dvs_err ca_issue(const struct ca_pem *ca, const struct ca_pem *ca_key, uint32_t node,
			      uint32_t days, struct ca_pem *cert, struct ca_pem *key,
			      char why[CA_WHY_MAX]);

/* What CERT says. BADARG: it is not one of ours. */
DVS_MUST_USE dvs_err ca_describe(const struct ca_pem *cert, struct ca_info *info,
				 char why[CA_WHY_MAX]);

/* Whether CERT is valid now, signed by CA, belongs to KEY (NULL: not looked at), and is for NODE of the CA's cluster. BADARG: it is not,
 * and WHY says what is wrong. */
DVS_MUST_USE dvs_err ca_check(const struct ca_pem *ca, const struct ca_pem *cert,
			      const struct ca_pem *key, uint32_t node, char why[CA_WHY_MAX]);

/* The same files in a directory: DIR/NAME. IO, TOOBIG. */
DVS_MUST_USE dvs_err ca_read(const char *dir, const char *name, struct ca_pem *pem);

#endif
