/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cluster/bundle.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define HEAD "dvs-join 1 "
#define SUM_DIGITS 64u
#define HEAD_BYTES (sizeof(HEAD) - 1 + SUM_DIGITS + 1)
/* corosync takes no shorter ones. */
#define AUTHKEY_MIN 128u

void bundle_free(struct bundle *bundle)
{
	if (!bundle)
		return;
	free(bundle->corosync_conf);
	OPENSSL_cleanse(bundle, sizeof(*bundle));
	free(bundle);
}

static bool sum_of(const void *bytes, size_t len, char digits[SUM_DIGITS + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (EVP_Digest(bytes, len, digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	for (size_t i = 0; i < SUM_DIGITS / 2; i++)
		(void)snprintf(digits + 2 * i, 3, "%02x", digest[i]);
	return true;
}

/* ---- writing ---- */

static char *config_text(const struct config *config)
{
	char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	if (!file)
		return NULL;
	config_write(file, config);
	if (fclose(file) == 0)
		return text;
	free(text);
	return NULL;
}

static json_t *document_of(const struct bundle *bundle, const char *config)
{
	char authkey[BUNDLE_AUTHKEY_MAX * 2];
	json_t *document;

	(void)EVP_EncodeBlock((unsigned char *)authkey, bundle->authkey,
			      (int)bundle->authkey_bytes);
	document = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "node_yaml", config, "corosync_conf",
			     bundle->corosync_conf, "ca", bundle->ca.bytes, "certificate",
			     bundle->cert.bytes, "key", bundle->key.bytes, "authkey", authkey);
	OPENSSL_cleanse(authkey, sizeof(authkey));
	return document;
}

dvs_err bundle_write(const struct bundle *bundle, char **bytes, size_t *len)
{
	AUTO_FREE char *config = config_text(&bundle->config);
	json_t *document = config ? document_of(bundle, config) : NULL;
	char *text = document ? json_dumps(document, JSON_INDENT(1)) : NULL;
	char sum[SUM_DIGITS + 1];
	size_t text_len = text ? strlen(text) : 0;

	*bytes = text ? malloc(HEAD_BYTES + text_len + 1) : NULL;
	if (*bytes && sum_of(text, text_len, sum)) {
		(void)snprintf(*bytes, HEAD_BYTES + text_len + 1, HEAD "%s\n%s", sum, text);
		*len = HEAD_BYTES + text_len;
	}
	if (text)
		OPENSSL_cleanse(text, text_len);
	free(text);
	json_decref(document);
	return *bytes ? DVS_OK : DVS_NOMEM;
}

/* ---- reading ---- */

static bool fail(char why[BUNDLE_WHY_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool fail(char why[BUNDLE_WHY_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, BUNDLE_WHY_MAX, format, args);
	va_end(args);
	return false;
}

/* The member NAME as a text of at most MAX bytes. */
static const char *text_of(const json_t *document, const char *name, size_t max,
			   char why[BUNDLE_WHY_MAX])
{
	const json_t *value = json_object_get(document, name);
	size_t len = json_string_length(value);

	if (json_is_string(value) && len > 0 && len <= max &&
	    strlen(json_string_value(value)) == len)
		return json_string_value(value);
	fail(why, "it has no good '%s'", name);
	return NULL;
}

static bool take_pem(const json_t *document, const char *name, struct ca_pem *pem,
		     char why[BUNDLE_WHY_MAX])
{
	const char *text = text_of(document, name, CA_PEM_MAX - 1, why);

	if (!text)
		return false;
	pem->len = strlen(text);
	memcpy(pem->bytes, text, pem->len + 1);
	return true;
}

static bool take_authkey(const json_t *document, struct bundle *bundle, char why[BUNDLE_WHY_MAX])
{
	/* Four digits for three bytes, and the last ones may be filled up with '='. */
	const char *text = text_of(document, "authkey", BUNDLE_AUTHKEY_MAX / 3 * 4, why);
	int n;

	if (!text)
		return false;
	n = EVP_DecodeBlock(bundle->authkey, (const unsigned char *)text, (int)strlen(text));
	if (n > 0 && strlen(text) > 2)
		n -= (text[strlen(text) - 1] == '=') + (text[strlen(text) - 2] == '=');
	if (n < (int)AUTHKEY_MIN)
		return fail(why, "it has no good 'authkey'");
	bundle->authkey_bytes = (size_t)n;
	return true;
}

static bool take_config(const json_t *document, struct bundle *bundle, char why[BUNDLE_WHY_MAX])
{
	const char *text = text_of(document, "node_yaml", BUNDLE_BYTES_MAX, why);
	char wrong[CONFIG_TEXT_MAX];

	if (!text)
		return false;
	if (config_parse(CONFIG_FILE_DEFAULT, text, strlen(text), &bundle->config, wrong,
			 sizeof(wrong)) != DVS_OK)
		return fail(why, "its configuration is wrong: %s", wrong);
	if (bundle->config.engine != CONFIG_COROSYNC)
		return fail(why, "its configuration is not that of a node of a cluster");
	return true;
}

static bool take_corosync(const json_t *document, struct bundle *bundle, char why[BUNDLE_WHY_MAX])
{
	const struct config *config = &bundle->config;
	const char *text = text_of(document, "corosync_conf", BUNDLE_BYTES_MAX, why);
	const struct nodelist_node *self;
	char wrong[NODELIST_WHY_MAX];

	if (!text)
		return false;
	if (nodelist_read(text, &bundle->nodes, wrong) != DVS_OK)
		return fail(why, "its corosync.conf is wrong: %s", wrong);
	self = nodelist_by_number(&bundle->nodes, config->node);
	if (!self || strcmp(self->address, config->address) != 0 ||
	    strcmp(bundle->nodes.cluster, config->cluster) != 0)
		return fail(why,
			    "its parts do not belong together: corosync.conf does not have"
			    " node %u of '%s' at %s",
			    config->node, config->cluster, config->address);
	bundle->corosync_conf = strdup(text);
	return bundle->corosync_conf || fail(why, "out of memory");
}

static bool take_certificates(const json_t *document, struct bundle *bundle,
			      char why[BUNDLE_WHY_MAX])
{
	struct ca_info info;
	char wrong[CA_WHY_MAX];

	if (!take_pem(document, "ca", &bundle->ca, why) ||
	    !take_pem(document, "certificate", &bundle->cert, why) ||
	    !take_pem(document, "key", &bundle->key, why))
		return false;
	if (ca_describe(&bundle->ca, &info, wrong) != DVS_OK)
		return fail(why, "its 'ca' is not good: %s", wrong);
	if (strcmp(info.cluster, bundle->config.cluster) != 0)
		return fail(why,
			    "its parts do not belong together: the authority is that of '%s',"
			    " the configuration that of '%s'",
			    info.cluster, bundle->config.cluster);
	if (ca_check(&bundle->ca, &bundle->cert, &bundle->key, bundle->config.node, wrong) !=
	    DVS_OK)
		return fail(why, "its certificate is not good: %s", wrong);
	return true;
}

/* The head and the sum; then *TEXT is what follows. */
static bool check_sum(const char *bytes, size_t len, const char **text, size_t *text_len,
		      char why[BUNDLE_WHY_MAX])
{
	char sum[SUM_DIGITS + 1];

	if (len < HEAD_BYTES || memcmp(bytes, HEAD, sizeof(HEAD) - 1) != 0)
		return fail(why, "it is no bundle of 'dvs node add'");
	*text = bytes + HEAD_BYTES;
	*text_len = len - HEAD_BYTES;
	if (!sum_of(*text, *text_len, sum) ||
	    memcmp(bytes + sizeof(HEAD) - 1, sum, SUM_DIGITS) != 0 || (*text)[-1] != '\n')
		return fail(why, "it is damaged: its sum is not right");
	return true;
}

dvs_err bundle_read(const void *bytes, size_t len, struct bundle **made, char why[BUNDLE_WHY_MAX])
{
	struct bundle *bundle = NULL;
	json_t *document = NULL;
	const char *text = NULL;
	size_t text_len = 0;
	dvs_err err = DVS_BADARG;

	if (!check_sum(bytes, len, &text, &text_len, why))
		return DVS_BADARG;
	bundle = calloc(1, sizeof(*bundle));
	if (!bundle)
		return DVS_NOMEM;
	document = json_loadb(text, text_len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(document))
		fail(why, "it is no JSON");
	else if (take_config(document, bundle, why) && take_corosync(document, bundle, why) &&
		 take_certificates(document, bundle, why) && take_authkey(document, bundle, why))
		err = DVS_OK;
	json_decref(document);
	if (err == DVS_OK)
		*made = bundle;
	else
		bundle_free(bundle);
	return err;
}
