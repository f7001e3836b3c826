/* SPDX-License-Identifier: Apache-2.0 */
#include "certs.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = { "ca.pem", "node.pem", "node.key" };

static X509 *certificate_make(EVP_PKEY *key, const char *organisation, const char *name,
			      const struct authority *signer, long age_s, long life_s)
{
	X509 *made = X509_new();
	X509_NAME *subject = X509_NAME_new();
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509_set_version(made, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(made), (long)getpid());
	X509_gmtime_adj(X509_getm_notBefore(made), -age_s);
	X509_gmtime_adj(X509_getm_notAfter(made), life_s);
	X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, (const unsigned char *)organisation,
				   -1, -1, 0);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
				   -1, 0);
	X509_set_subject_name(made, subject);
	X509_set_issuer_name(made, signer ? X509_get_subject_name(signer->certificate) : subject);
	X509_set_pubkey(made, key);
	X509V3_set_ctx(&context, signer ? signer->certificate : made, made, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints,
					signer ? "critical,CA:FALSE" : "critical,CA:TRUE");
	X509_add_ext(made, extension, -1);
	X509_EXTENSION_free(extension);
	X509_sign(made, signer ? signer->key : key, EVP_sha256());
	X509_NAME_free(subject);
	return made;
}

void authority_make(struct authority *authority, const char *cluster)
{
	authority->key = EVP_EC_gen("P-256");
	authority->certificate =
		certificate_make(authority->key, cluster, "the CA", NULL, 3600, 86400);
}

void authority_free(struct authority *authority)
{
	EVP_PKEY_free(authority->key);
	X509_free(authority->certificate);
}

static FILE *certs_file(const char *dir, const char *name)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "we");
	if (!file)
		abort();
	return file;
}

void certs_write(const char *dir, const struct authority *trusted, const struct authority *signer,
		 const char *organisation, const char *name, long age_s, long life_s)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *node = certificate_make(key, organisation, name, signer, age_s, life_s);
	FILE *file = certs_file(dir, "ca.pem");

	PEM_write_X509(file, trusted->certificate);
	fclose(file);
	file = certs_file(dir, "node.pem");
	PEM_write_X509(file, node);
	fclose(file);
	file = certs_file(dir, "node.key");
	PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	EVP_PKEY_free(key);
	X509_free(node);
}

void certs_dir(char dir[64])
{
	snprintf(dir, 64, "/tmp/dvs-certs-XXXXXX");
	if (!mkdtemp(dir))
		abort();
}

void certs_remove(const char *dir)
{
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}
