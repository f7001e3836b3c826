/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/volumes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/volume.h"
#include "gateways/nbd/claims.h"
#include "gateways/nbd/exchange.h"

/* A client that chooses an export waits so long for its server. */
#define OPEN_MS 8000u
/* For the list of exports all servers together are asked so long. */
#define LIST_MS 3000u
#define KIND_SNAPSHOT 2u

struct volumes {
	struct nbd_backend backend;
	const struct volumes_options *options;
	struct dvk *admin;
	struct dvk *dvk;
	struct nbd_claims *claims;
};

/* ---- which exports there are ---- */

static void add_name(struct nbd_names *names, const char *volume, const char *snapshot)
{
	if (names->n == NBD_EXPORTS_MAX)
		return;
	(void)snprintf(names->name[names->n++], NBD_NAME_BYTES, "%s%s%s", volume,
		       snapshot[0] ? "@" : "", snapshot);
}

/* The snapshots of VOLUME, when its server answers. */
static void add_snapshots(struct m3 *self, const struct volume *volume, uint64_t deadline_ns,
			  struct nbd_names *names)
{
	struct vdd_disks_rep *disks = malloc(sizeof(*disks));
	struct vdd_disks_req request = { .cursor = 0 };
	uint32_t left_ms = (uint32_t)clock_poll_ms(deadline_ns);
	dvs_err err = DVS_NOMEM;

	if (disks && left_ms > 0)
		err = vdd_call_disks(self, dvs_ep_of(volume->endpoint), &request, disks, left_ms);
	for (uint32_t i = 0; !err && i < disks->n_disks; i++)
		if (disks->disks[i].kind == KIND_SNAPSHOT &&
		    disks->disks[i].parent == volume->minor)
			add_name(names, volume->name, disks->disks[i].name);
	free(disks);
}

static dvs_err list_all(struct volumes *volumes, struct nbd_names *names)
{
	uint64_t deadline_ns = clock_deadline_ns(LIST_MS * CLOCK_NS_PER_MS);
	struct volume *volume = malloc(sizeof(*volume));
	char name[VOLUME_NAME_MAX + 1] = "";
	struct m3 *self = NULL;
	dvs_err err = DVS_NOMEM;

	if (volume)
		err = dvk_bind(volumes->dvk, dvs_ep_any(), DVK_LOCAL, &self);
	while (!err) {
		err = volume_next(volumes->admin, volumes->options->dc, name, volume, NULL);
		if (err == DVS_BADARG) { /* the record is damaged: not this one */
			err = DVS_OK;
			continue;
		}
		if (err)
			break;
		add_name(names, volume->name, "");
		add_snapshots(self, volume, deadline_ns, names);
	}
	dvk_unbind(self);
	free(volume);
	return err == DVS_NOTFOUND ? DVS_OK : err;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static dvs_err list(struct nbd_backend *backend, struct nbd_names *names)
{
	struct volumes *volumes = CONTAINER_OF(backend, struct volumes, backend);
	const struct volumes_options *options = volumes->options;
	dvs_err err = DVS_OK;

	for (uint32_t i = 0; i < options->n_names; i++)
		add_name(names, options->names[i], "");
	if (options->n_names == 0)
		err = list_all(volumes, names);
	if (!err)
		qsort(names->name, names->n, NBD_NAME_BYTES, compare_names);
	return err;
}

/* The export that is meant by NAME; NULL: none. */
static const char *export_of(const struct volumes_options *options, const char *name)
{
	if (options->n_names == 0)
		return name[0] ? name : NULL;
	if (!name[0])
		return options->n_names == 1 ? options->names[0] : NULL;
	for (uint32_t i = 0; i < options->n_names; i++)
		if (strcmp(options->names[i], name) == 0)
			return name;
	return NULL;
}

/* ---- disks ---- */

static struct nbd_disk *disk_new(struct volumes *volumes)
{
	struct nbd_disk *disk = calloc(1, sizeof(*disk));

	if (!disk)
		return NULL;
	disk->backend = &volumes->backend;
	disk->patience_ms = volumes->options->patience_s * 1000;
	return disk;
}

static void disk_free(struct nbd_disk *disk)
{
	free(disk->saved);
	free(disk->in);
	free(disk);
}

static dvs_err open_disk(struct nbd_backend *backend, const char *name, struct nbd_disk **out,
			 struct nbd_info *info)
{
	struct volumes *volumes = CONTAINER_OF(backend, struct volumes, backend);
	const char *export = export_of(volumes->options, name);
	char text[DVS_NAME_MAX + 1 + NBD_NAME_BYTES];
	char why[VOLUME_WHY_MAX + 1];
	struct nbd_disk *disk;
	dvs_err err;

	if (!export)
		return DVS_NOTFOUND;
	disk = disk_new(volumes);
	if (!disk)
		return DVS_NOMEM;
	(void)snprintf(text, sizeof(text), "%s/%s", volumes->options->dc, export);
	err = volume_open_on(volumes->admin, volumes->dvk, text, OPEN_MS, &disk->volume, why);
	if (err) {
		log_info(volumes->options->log, "export not opened", LOG_STR("export", text),
			 LOG_STR("why", why));
		disk_free(disk);
		return err == DVS_BADARG || err == DVS_NODC ? DVS_NOTFOUND : err;
	}
	*info = (struct nbd_info){ .bytes = disk->volume.bytes,
				   .block_bytes = disk->volume.block_bytes,
				   .is_read_only = disk->volume.is_read_only,
				   .zeroes_quickly = disk->volume.trims };
	(void)snprintf(info->name, sizeof(info->name), "%s", export);
	(void)snprintf(disk->name, sizeof(disk->name), "%s", export);
	*out = disk;
	return DVS_OK;
}

_Static_assert(NBD_WHY_BYTES == CLAIM_WHY_MAX, "sentences of claims");

static dvs_err claim_disk(struct nbd_disk *disk, char why[NBD_WHY_BYTES])
{
	const struct volumes *volumes = CONTAINER_OF(disk->backend, struct volumes, backend);
	char text[DVS_NAME_MAX + 1 + NBD_NAME_BYTES];

	/* A client that could not go on with it tries once more. */
	if (disk->claim)
		return DVS_OK;
	(void)snprintf(text, sizeof(text), "%s/%s", volumes->options->dc, disk->name);
	return nbd_claims_get(volumes->claims, text, &disk->volume, &disk->claim, why);
}

static dvs_err open_thread(struct nbd_disk *disk, struct nbd_disk **out)
{
	struct nbd_disk *mine = disk_new(CONTAINER_OF(disk->backend, struct volumes, backend));
	dvs_err err;

	if (!mine)
		return DVS_NOMEM;
	err = volume_open_thread(&disk->volume, &mine->volume);
	if (err) {
		disk_free(mine);
		return err;
	}
	*out = mine;
	return DVS_OK;
}

static void close_disk(struct nbd_disk *disk)
{
	const struct volumes *volumes = CONTAINER_OF(disk->backend, struct volumes, backend);

	volume_close_thread(&disk->volume);
	nbd_claims_put(volumes->claims, disk->claim);
	disk_free(disk);
}

static const struct nbd_backend_ops volumes_ops = {
	.list = list,
	.open = open_disk,
	.claim = claim_disk,
	.open_thread = open_thread,
	.close = close_disk,
	.window = exchange_window,
	.run = exchange_run,
	.extents = exchange_extents,
};

/* Those that are named are there now; what they have for snapshots only their servers know. */
static dvs_err look_for_named(const struct volumes *volumes, char why[VOLUMES_WHY_MAX + 1])
{
	const struct volumes_options *options = volumes->options;
	struct volume *volume = malloc(sizeof(*volume));
	dvs_err err = volume ? DVS_OK : DVS_NOMEM;

	for (uint32_t i = 0; !err && i < options->n_names; i++) {
		char name[NBD_NAME_BYTES];

		(void)snprintf(name, sizeof(name), "%s", options->names[i]);
		name[strcspn(name, "@")] = '\0';
		err = volume_get(volumes->admin, options->dc, name, volume, NULL);
		if (err == DVS_NOTFOUND)
			(void)snprintf(why, VOLUMES_WHY_MAX + 1,
				       "the DC %s has no volume %s; see 'dvs vol ls %s'",
				       options->dc, name, options->dc);
		else if (err)
			(void)snprintf(why, VOLUMES_WHY_MAX + 1, "%s/%s: %s", options->dc, name,
				       dvs_strerror(err));
	}
	free(volume);
	return err;
}

static dvs_err open_claims(struct volumes *volumes)
{
	const struct nbd_claims_options options = { .run_dir = volumes->options->run_dir,
						    .dvk = volumes->dvk,
						    .about = volumes->options->about,
						    .is_shared = volumes->options->is_shared,
						    .log = volumes->options->log };

	return nbd_claims_open(&options, &volumes->claims);
}

dvs_err volumes_open(const struct volumes_options *options, struct nbd_backend **backend,
		     char why[VOLUMES_WHY_MAX + 1])
{
	struct volumes *volumes = calloc(1, sizeof(*volumes));
	dvs_err err = volumes ? dvk_admin_open(options->run_dir, &volumes->admin) : DVS_NOMEM;

	if (!err)
		err = volume_dc_open(options->run_dir, options->dc, &volumes->dvk);
	if (err) {
		(void)snprintf(why, VOLUMES_WHY_MAX + 1, "entering the DC %s: %s", options->dc,
			       dvs_strerror(err));
		if (volumes)
			volumes_close(&volumes->backend);
		return err;
	}
	volumes->backend.ops = &volumes_ops;
	volumes->options = options;
	err = look_for_named(volumes, why);
	if (!err)
		err = open_claims(volumes);
	if (err) {
		volumes_close(&volumes->backend);
		return err;
	}
	*backend = &volumes->backend;
	return DVS_OK;
}

void volumes_close(struct nbd_backend *backend)
{
	struct volumes *volumes = CONTAINER_OF(backend, struct volumes, backend);

	nbd_claims_close(volumes->claims);
	dvk_close(volumes->dvk);
	dvk_close(volumes->admin);
	free(volumes);
}
