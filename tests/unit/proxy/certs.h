/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, good ones and others. */
#ifndef TESTS_PROXY_CERTS_H
#define TESTS_PROXY_CERTS_H

#include <openssl/x509.h>
#include <stdint.h>

struct authority {
	EVP_PKEY *key;
	X509 *certificate;
};

void authority_make(struct authority *authority, const char *cluster);
void authority_free(struct authority *authority);
/* Write ca.pem, node.pem and node.key to DIR, which is there: the node's is signed by SIGNER and holds for AGE_S seconds before now
 * up to LIFE_S after it; the authority that is trusted is TRUSTED. */
void certs_write(const char *dir, const struct authority *trusted, const struct authority *signer,
		 const char *organisation, const char *name, long age_s, long life_s);
/* A directory for this process, removed with what certs_write() puts in. */
void certs_dir(char dir[64]);
void certs_remove(const char *dir);

#endif
