/* SPDX-License-Identifier: Apache-2.0 */
/* dvs ca: the certificates of a cluster's nodes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "manage/cli.h"
#include "manage/cluster/ca.h"
#include "manage/cluster/files.h"

#define CERT_MODE 0644
#define KEY_MODE 0600
#define SOON_S (30 * 86400)

static const char *dir_of(const struct cli *cli)
{
	return cli_has(cli, OPTION_DIR) ? cli->values[OPTION_DIR] : CONFIG_DIR_DEFAULT;
}

/* "WHAT: WHY; HINT" for errors that are not in the common list. */
static int fail(struct cli *cli, const char *what, const char *why, const char *hint)
{
	fflush(cli->output.file);
	fprintf(cli->err, "dvs: %s: %s%s%s\n", what, why, hint[0] ? "; " : "", hint);
	return EXIT_FAILED;
}

static bool add(struct files *files, const char *dir, const char *name, mode_t mode, bool replace,
		const struct ca_pem *pem)
{
	char path[FILES_PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return files_add(files, path, mode, replace, pem->bytes, pem->len) == DVS_OK;
}

/* Put a certificate and a key (NULL: that is kept) in place together. */
static int put(struct cli *cli, const char *dir, const char *cert_name, const struct ca_pem *cert,
	       const char *key_name, const struct ca_pem *key, bool replace)
{
	struct files files;
	dvs_err err = DVS_TOOBIG;
	int status = EXIT_DONE;

	files_init(&files);
	if (files_add_dir(&files, dir) == DVS_OK &&
	    (!key || add(&files, dir, key_name, KEY_MODE, replace, key)) &&
	    add(&files, dir, cert_name, CERT_MODE, replace, cert))
		err = files_commit(&files);
	if (err == DVS_EXISTS)
		status = fail(cli, "write the certificate", files.why, "--force replaces it");
	else if (err == DVS_IO)
		status = fail(cli, "write the certificate", files.why, "");
	else if (err != DVS_OK)
		status = cli_fail(cli, err, "write the certificate into %s", dir);
	files_free(&files);
	return status;
}

static bool days_of(struct cli *cli, uint32_t fallback, uint32_t *days)
{
	uint64_t number;

	if (!cli_number(cli, OPTION_DAYS, 1, CA_DAYS_MAX, fallback, &number))
		return false;
	*days = (uint32_t)number;
	return true;
}

/* The name of the cluster: said, or that of the configuration in DIR. */
static int cluster_of(struct cli *cli, const char *dir, struct config *config)
{
	const char *said = cli->values[OPTION_CLUSTER];
	char path[FILES_PATH_MAX];
	char text[CONFIG_TEXT_MAX];

	if (said && !config_name_ok(said))
		return cli_usage(cli,
				 "'%s' cannot be the name of a cluster: up to 63 letters, digits,"
				 " '-', '_' and '.', which is not the first",
				 said);
	config_defaults(config);
	if (said) {
		(void)snprintf(config->cluster, sizeof(config->cluster), "%s", said);
		return EXIT_DONE;
	}
	(void)snprintf(path, sizeof(path), "%s/node.yaml", dir);
	if (config_read(path, config, text, sizeof(text)) != DVS_OK)
		return fail(cli, "find the name of the cluster", text,
			    "give it with --cluster NAME");
	if (config->cluster[0] == '\0')
		return fail(cli, "find the name of the cluster", "node.yaml does not tell it",
			    "give it with --cluster NAME");
	return EXIT_DONE;
}

int cmd_ca_init(struct cli *cli)
{
	struct config config;
	AUTO_PEM struct ca_pem cert;
	AUTO_PEM struct ca_pem key;
	const char *dir = dir_of(cli);
	char why[CA_WHY_MAX];
	uint32_t days;
	int status;

	if (!days_of(cli, CA_AUTHORITY_DAYS, &days))
		return EXIT_USAGE;
	status = cluster_of(cli, dir, &config);
	if (status != EXIT_DONE)
		return status;
	if (ca_create(config.cluster, days, false, &cert, &key, why) != DVS_OK)
		return fail(cli, "make the authority", why, "");
	return put(cli, dir, "ca.pem", &cert, "ca.key", &key, cli_has(cli, OPTION_FORCE));
}

static int read_pem(struct cli *cli, const char *dir, const char *name, struct ca_pem *pem,
		    const char *hint)
{
	dvs_err err = ca_read(dir, name, pem);

	if (err == DVS_OK)
		return EXIT_DONE;
	if (err == DVS_IO)
		return cli_fail_errno(cli, errno, hint, "read %s/%s", dir, name);
	return cli_fail_hint(cli, err, hint, "read %s/%s", dir, name);
}

static int read_authority(struct cli *cli, const char *dir, struct ca_pem *cert, struct ca_pem *key)
{
	int status = read_pem(cli, dir, "ca.pem", cert, "'dvs ca init' makes an authority");

	return status == EXIT_DONE ?
		       read_pem(cli, dir, "ca.key", key,
				"run this where the authority was made; its key is only there") :
		       status;
}

static int issue(struct cli *cli, uint32_t node, uint32_t days, const char *into, bool replace)
{
	AUTO_PEM struct ca_pem ca;
	AUTO_PEM struct ca_pem ca_key;
	AUTO_PEM struct ca_pem cert;
	AUTO_PEM struct ca_pem key;
	char why[CA_WHY_MAX];
	int status = read_authority(cli, dir_of(cli), &ca, &ca_key);

	if (status != EXIT_DONE)
		return status;
	if (ca_issue(&ca, &ca_key, node, days, &cert, &key, why) != DVS_OK)
		return fail(cli, "sign a certificate", why, "");
	return put(cli, into, "node.pem", &cert, "node.key", &key, replace);
}

int cmd_ca_issue(struct cli *cli)
{
	const char *into = cli_has(cli, OPTION_INTO) ? cli->values[OPTION_INTO] : dir_of(cli);
	uint64_t node;
	uint32_t days;

	if (!cli_has(cli, OPTION_NODE))
		return cli_usage(cli, "say for which node: --node N");
	if (!cli_number(cli, OPTION_NODE, 0, CONFIG_NODES_MAX - 1, 0, &node) ||
	    !days_of(cli, CA_NODE_DAYS, &days))
		return EXIT_USAGE;
	return issue(cli, (uint32_t)node, days, into, cli_has(cli, OPTION_FORCE));
}

static int renew_authority(struct cli *cli)
{
	AUTO_PEM struct ca_pem cert;
	AUTO_PEM struct ca_pem key;
	struct ca_info info;
	char why[CA_WHY_MAX];
	uint32_t days;
	int status;

	if (!days_of(cli, CA_AUTHORITY_DAYS, &days))
		return EXIT_USAGE;
	status = read_authority(cli, dir_of(cli), &cert, &key);
	if (status != EXIT_DONE)
		return status;
	if (ca_describe(&cert, &info, why) != DVS_OK || !info.is_authority)
		return fail(cli, "renew the authority", why, "'dvs ca show' tells what is there");
	if (ca_create(info.cluster, days, true, &cert, &key, why) != DVS_OK)
		return fail(cli, "renew the authority", why, "");
	status = put(cli, dir_of(cli), "ca.pem", &cert, NULL, NULL, true);
	if (status == EXIT_DONE)
		cli_note(cli, "copy %s/ca.pem to the other nodes before the old one runs out",
			 dir_of(cli));
	return status;
}

int cmd_ca_renew(struct cli *cli)
{
	AUTO_PEM struct ca_pem cert;
	struct ca_info info;
	char why[CA_WHY_MAX];
	uint32_t days;
	int status;

	if (cli_has(cli, OPTION_AUTHORITY))
		return renew_authority(cli);
	if (!days_of(cli, CA_NODE_DAYS, &days))
		return EXIT_USAGE;
	status = read_pem(cli, dir_of(cli), "node.pem", &cert,
			  "'dvs ca issue' makes the first certificate of a node");
	if (status != EXIT_DONE)
		return status;
	if (ca_describe(&cert, &info, why) != DVS_OK || info.is_authority)
		return fail(cli, "renew the certificate", "node.pem is not that of a node",
			    "'dvs ca show' tells what is there");
	return issue(cli, info.node, days, dir_of(cli), true);
}

/* ---- show ---- */

static const struct output_column columns[] = {
	{ "NAME", "name", false },	    { "FOR", "for", false },
	{ "CLUSTER", "cluster", false },    { "UNTIL", "valid_until", false },
	{ "STATE", "state", false },	    { "FROM", "valid_from", true },
	{ "SHA-256", "fingerprint", true },
};
static const struct output_shape shape = { "certificates", columns,
					   sizeof(columns) / sizeof(columns[0]) };

static const char *state_of(const struct ca_info *info)
{
	return info->seconds_left <= 0	   ? "expired" :
	       info->seconds_left < SOON_S ? "expires soon" :
					     "good";
}

static json_t *describe(const char *name, const struct ca_info *info, const char *wrong)
{
	char who[32];

	(void)snprintf(who, sizeof(who), "node %u", info->node);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "name", name, "for",
			 info->is_authority ? "authority" : who, "cluster", info->cluster,
			 "valid_from", info->valid_from, "valid_until", info->valid_until, "state",
			 wrong ? wrong : state_of(info), "fingerprint", info->fingerprint,
			 "seconds_left", (json_int_t)info->seconds_left);
}

static int fail_wrong(struct cli *cli, const char *name, const char *why)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "read %s", name);
	return fail(cli, what, why, "");
}

/* NAME of DIR as a row; nothing if it is not there. */
static int show_one(struct cli *cli, const char *name, const struct ca_pem *ca, json_t *rows)
{
	AUTO_PEM struct ca_pem cert;
	AUTO_PEM struct ca_pem key;
	struct ca_info info;
	char why[CA_WHY_MAX];
	bool wrong = false;
	int status;

	if (ca_read(dir_of(cli), name, &cert) != DVS_OK && errno == ENOENT)
		return EXIT_DONE;
	status = read_pem(cli, dir_of(cli), name, &cert, "run it as root");
	if (status != EXIT_DONE)
		return status;
	if (ca_describe(&cert, &info, why) != DVS_OK)
		return fail_wrong(cli, name, why);
	if (!info.is_authority && ca->len > 0 && info.seconds_left > 0) {
		/* The key can only be looked at by root. */
		bool have_key = ca_read(dir_of(cli), "node.key", &key) == DVS_OK;

		wrong = ca_check(ca, &cert, have_key ? &key : NULL, info.node, why) != DVS_OK;
	}
	return json_array_append_new(rows, describe(name, &info, wrong ? why : NULL)) == 0 ?
		       EXIT_DONE :
		       cli_fail(cli, DVS_NOMEM, "list the certificates");
}

int cmd_ca_show(struct cli *cli)
{
	AUTO_PEM struct ca_pem ca;
	json_t *rows = json_array();
	int status;

	if (ca_read(dir_of(cli), "ca.pem", &ca) != DVS_OK)
		ca.len = 0;
	status = show_one(cli, "ca.pem", &ca, rows);
	if (status == EXIT_DONE)
		status = show_one(cli, "node.pem", &ca, rows);
	if (status == EXIT_DONE && json_array_size(rows) == 0)
		status = fail(cli, "list the certificates", "there are none",
			      "'dvs ca init' makes an authority, 'dvs ca issue' certificates");
	if (status == EXIT_DONE && !output_rows(&cli->output, &shape, rows))
		status = cli_fail(cli, DVS_NOMEM, "list the certificates");
	json_decref(rows);
	return status;
}
