/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cluster/ca.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "manage/cluster/files.h"

/* Clocks of the nodes differ. */
#define BACKDATED_S (-3600L)
#define SERIAL_BITS 127
#define AUTHORITY_NAME "DVS CA"
#define NODE_PREFIX "node"
#define NODES_MAX 62u

#define AUTO_KEY __attribute__((cleanup(cleanup_key)))
#define AUTO_CERT __attribute__((cleanup(cleanup_cert)))
#define AUTO_BIO __attribute__((cleanup(cleanup_bio)))

static void cleanup_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void cleanup_cert(X509 **cert)
{
	X509_free(*cert);
}

static void cleanup_bio(BIO **bio)
{
	BIO_free_all(*bio);
}

void ca_pem_wipe(struct ca_pem *pem)
{
	OPENSSL_cleanse(pem, sizeof(*pem));
}

/* WHAT, and the first thing that OpenSSL has to say about it. */
static dvs_err fail(char why[CA_WHY_MAX], const char *what)
{
	unsigned long code = ERR_get_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	(void)snprintf(why, CA_WHY_MAX, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
	ERR_clear_error();
	return DVS_BADARG;
}

/* ---- between PEM and OpenSSL ---- */

/* Nobody is asked for a password. */
static int no_password(char *to, int size, int writing, void *context)
{
	(void)to;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

static X509 *cert_of(const struct ca_pem *pem)
{
	AUTO_BIO BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->len);

	return bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
}

static EVP_PKEY *key_of(const struct ca_pem *pem)
{
	AUTO_BIO BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->len);

	return bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
}

static bool take_bio(BIO *bio, struct ca_pem *pem)
{
	char *bytes;
	long len = BIO_get_mem_data(bio, &bytes);

	if (len <= 0 || (size_t)len >= sizeof(pem->bytes))
		return false;
	memcpy(pem->bytes, bytes, (size_t)len);
	pem->bytes[len] = '\0';
	pem->len = (size_t)len;
	return true;
}

static bool cert_to(X509 *cert, struct ca_pem *pem)
{
	AUTO_BIO BIO *bio = BIO_new(BIO_s_mem());

	return bio && PEM_write_bio_X509(bio, cert) == 1 && take_bio(bio, pem);
}

static bool key_to(EVP_PKEY *key, struct ca_pem *pem)
{
	/* Wipes its memory when it is freed. */
	AUTO_BIO BIO *bio = BIO_new(BIO_s_secmem());

	return bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	       take_bio(bio, pem);
}

/* ---- certificates ---- */

static bool set_serial(X509 *cert)
{
	BIGNUM *number = BN_new();
	bool ok = number &&
		  BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
		  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));

	BN_free(number);
	return ok;
}

static bool set_span(X509 *cert, uint32_t days)
{
	return X509_gmtime_adj(X509_getm_notBefore(cert), BACKDATED_S) &&
	       X509_time_adj_ex(X509_getm_notAfter(cert), (int)days, 0, NULL);
}

static bool add_name(X509_NAME *name, const char *field, const char *value)
{
	return X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, (const unsigned char *)value,
					  -1, -1, 0) == 1;
}

static bool set_subject(X509 *cert, const char *cluster, const char *common)
{
	X509_NAME *name = X509_get_subject_name(cert);

	return add_name(name, "O", cluster) && add_name(name, "CN", common);
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool ok;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	ok = extension && X509_add_ext(cert, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return ok;
}

/* All that a certificate of ours has, but for the issuer's name and signature. */
static X509 *cert_begin(const char *cluster, const char *common, uint32_t days, EVP_PKEY *key)
{
	X509 *cert = X509_new();

	if (cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
	    set_span(cert, days) && set_subject(cert, cluster, common) &&
	    X509_set_pubkey(cert, key) == 1)
		return cert;
	X509_free(cert);
	return NULL;
}

static bool authority_finish(X509 *cert, EVP_PKEY *key)
{
	return X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 &&
	       add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	       add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       add_extension(cert, cert, NID_subject_key_identifier, "hash") &&
	       X509_sign(cert, key, EVP_sha256()) > 0;
}

static bool node_finish(X509 *cert, X509 *ca, EVP_PKEY *ca_key)
{
	return X509_set_issuer_name(cert, X509_get_subject_name(ca)) == 1 &&
	       add_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(cert, ca, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(cert, ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
	       add_extension(cert, ca, NID_subject_key_identifier, "hash") &&
	       add_extension(cert, ca, NID_authority_key_identifier, "keyid:always") &&
	       X509_sign(cert, ca_key, EVP_sha256()) > 0;
}

dvs_err ca_create(const char *cluster, uint32_t days, bool key_given, struct ca_pem *cert,
		  struct ca_pem *key, char why[CA_WHY_MAX])
{
	AUTO_KEY EVP_PKEY *made = key_given ? key_of(key) : EVP_EC_gen("P-256");
	AUTO_CERT X509 *x509 = NULL;

	if (!made)
		return fail(why, key_given ? "the key of the authority cannot be read" :
					     "a key cannot be made");
	x509 = cert_begin(cluster, AUTHORITY_NAME, days, made);
	if (!x509 || !authority_finish(x509, made))
		return fail(why, "the certificate of the authority cannot be made");
	if (!cert_to(x509, cert) || (!key_given && !key_to(made, key)))
		return fail(why, "the authority cannot be written");
	return DVS_OK;
}

/* ---- reading ---- */

/* The one entry NID of the subject. */
static bool subject_entry(const X509 *cert, int nid, char *to, size_t size)
{
	const X509_NAME *name = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(name, nid, -1);
	const ASN1_STRING *value;
	size_t len;

	if (at < 0 || X509_NAME_get_index_by_NID(name, nid, at) >= 0)
		return false;
	value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
	len = (size_t)ASN1_STRING_length(value);
	if (len == 0 || len >= size || memchr(ASN1_STRING_get0_data(value), '\0', len))
		return false;
	memcpy(to, ASN1_STRING_get0_data(value), len);
	to[len] = '\0';
	return true;
}

static bool node_of_name(const char *common, uint32_t *node)
{
	const char *digits = common + strlen(NODE_PREFIX);
	char again[16];
	unsigned long number;

	if (strncmp(common, NODE_PREFIX, strlen(NODE_PREFIX)) != 0)
		return false;
	number = strtoul(digits, NULL, 10);
	if (number >= NODES_MAX)
		return false;
	(void)snprintf(again, sizeof(again), "%lu", number);
	*node = (uint32_t)number;
	return strcmp(again, digits) == 0;
}

static bool describe_time(const ASN1_TIME *time, char to[24], int64_t *seconds_left)
{
	struct tm tm;
	int days;
	int seconds;

	if (ASN1_TIME_to_tm(time, &tm) != 1 || ASN1_TIME_diff(&days, &seconds, NULL, time) != 1)
		return false;
	*seconds_left = (int64_t)days * 86400 + seconds;
	return strftime(to, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0;
}

static bool describe_fingerprint(const X509 *cert, char to[96])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (X509_digest(cert, EVP_sha256(), digest, &len) != 1 || len != 32)
		return false;
	for (unsigned int i = 0; i < len; i++)
		(void)snprintf(to + i * 3, 4, "%02X%s", digest[i], i + 1 < len ? ":" : "");
	return true;
}

static dvs_err describe(X509 *cert, struct ca_info *info, char why[CA_WHY_MAX])
{
	char common[80];
	int64_t since;

	memset(info, 0, sizeof(*info));
	if (!subject_entry(cert, NID_organizationName, info->cluster, sizeof(info->cluster)) ||
	    !subject_entry(cert, NID_commonName, common, sizeof(common)))
		return fail(why, "its subject is not that of a certificate of a cluster");
	info->is_authority = strcmp(common, AUTHORITY_NAME) == 0;
	if (!info->is_authority && !node_of_name(common, &info->node))
		return fail(why, "its subject names no node");
	if (!describe_time(X509_get0_notBefore(cert), info->valid_from, &since) ||
	    !describe_time(X509_get0_notAfter(cert), info->valid_until, &info->seconds_left) ||
	    !describe_fingerprint(cert, info->fingerprint))
		return fail(why, "it cannot be read");
	return DVS_OK;
}

dvs_err ca_describe(const struct ca_pem *pem, struct ca_info *info, char why[CA_WHY_MAX])
{
	AUTO_CERT X509 *cert = cert_of(pem);

	return cert ? describe(cert, info, why) : fail(why, "it is not a certificate");
}

dvs_err ca_issue(const struct ca_pem *ca_pem, const struct ca_pem *ca_key_pem, uint32_t node,
		 uint32_t days, struct ca_pem *cert, struct ca_pem *key, char why[CA_WHY_MAX])
{
	AUTO_CERT X509 *ca = cert_of(ca_pem);
	AUTO_KEY EVP_PKEY *ca_key = key_of(ca_key_pem);
	AUTO_KEY EVP_PKEY *made = NULL;
	AUTO_CERT X509 *x509 = NULL;
	struct ca_info info;
	char common[32];

	if (!ca || describe(ca, &info, why) != DVS_OK || !info.is_authority)
		return fail(why, "ca.pem is not the certificate of a cluster's authority");
	if (!ca_key || X509_check_private_key(ca, ca_key) != 1)
		return fail(why, "ca.key is not the key that belongs to ca.pem");
	if (info.seconds_left <= 0)
		return fail(why, "the authority's certificate has run out;"
				 " 'dvs ca renew --authority' makes a new one");
	(void)snprintf(common, sizeof(common), NODE_PREFIX "%u", node);
	made = EVP_EC_gen("P-256");
	x509 = made ? cert_begin(info.cluster, common, days, made) : NULL;
	if (!x509 || !node_finish(x509, ca, ca_key))
		return fail(why, "the certificate cannot be made");
	return cert_to(x509, cert) && key_to(made, key) ? DVS_OK :
							  fail(why, "it cannot be written");
}

/* ---- checking ---- */

static dvs_err check_chain(X509 *ca, X509 *cert, char why[CA_WHY_MAX])
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	dvs_err err = DVS_OK;

	if (!store || !context || X509_STORE_add_cert(store, ca) != 1 ||
	    X509_STORE_CTX_init(context, store, cert, NULL) != 1) {
		err = fail(why, "it cannot be checked");
	} else if (X509_verify_cert(context) != 1) {
		(void)snprintf(why, CA_WHY_MAX, "it is not good for ca.pem: %s",
			       X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
		err = DVS_BADARG;
	}
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	ERR_clear_error();
	return err;
}

dvs_err ca_check(const struct ca_pem *ca_pem, const struct ca_pem *cert_pem,
		 const struct ca_pem *key_pem, uint32_t node, char why[CA_WHY_MAX])
{
	AUTO_CERT X509 *ca = cert_of(ca_pem);
	AUTO_CERT X509 *cert = cert_of(cert_pem);
	AUTO_KEY EVP_PKEY *key = key_pem ? key_of(key_pem) : NULL;
	struct ca_info authority;
	struct ca_info info;
	dvs_err err;

	if (!ca || describe(ca, &authority, why) != DVS_OK || !authority.is_authority)
		return fail(why, "ca.pem is not the certificate of a cluster's authority");
	if (!cert)
		return fail(why, "it is not a certificate");
	err = describe(cert, &info, why);
	if (err != DVS_OK)
		return err;
	if (info.is_authority || info.node != node ||
	    strcmp(info.cluster, authority.cluster) != 0) {
		(void)snprintf(why, CA_WHY_MAX,
			       "it is for node %u of '%s', not for node %u of '%s'", info.node,
			       info.cluster, node, authority.cluster);
		return DVS_BADARG;
	}
	if (key_pem && (!key || X509_check_private_key(cert, key) != 1))
		return fail(why, "the key does not belong to it");
	return check_chain(ca, cert, why);
}

dvs_err ca_read(const char *dir, const char *name, struct ca_pem *pem)
{
	char path[FILES_PATH_MAX];
	AUTO_FREE char *bytes = NULL;
	dvs_err err;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return DVS_TOOBIG;
	err = files_read(path, CA_PEM_MAX - 1, &bytes, &pem->len);
	if (err != DVS_OK)
		return err;
	memcpy(pem->bytes, bytes, pem->len + 1);
	OPENSSL_cleanse(bytes, pem->len);
	return DVS_OK;
}
