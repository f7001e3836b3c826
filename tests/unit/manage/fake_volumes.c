/* SPDX-License-Identifier: Apache-2.0 */
/* Records and the servers of volumes, in the place of dvsd and dvs-vdd: a server answers for every record of a volume, with the replicas that the record has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dvs/container.h>

#include "base/cursor.h"
#include "client/volume.h"
#include "fake_dvk.h"
#include "proto/vdd_proto.h"

struct m3 {
	int bound;
};

/* ---- records ---- */

static struct fake_kept *find_record(const char *dc, const char *key)
{
	for (size_t i = 0; i < fake()->n_kept; i++) {
		if (strcmp(fake()->kept[i].dc, dc) == 0 && strcmp(fake()->kept[i].key, key) == 0)
			return &fake()->kept[i];
	}
	return NULL;
}

static int has_dc(const char *dc)
{
	for (uint32_t i = 0; i < fake()->n_dcs; i++) {
		if (strcmp(fake()->dcs[i].info.name, dc) == 0)
			return 1;
	}
	return 0;
}

void fake_keep(const char *dc, const char *key, const char *value)
{
	uint64_t version;

	if (dvk_record_set(NULL, dc, key, DVK_VERSION_ANY, value, strlen(value), &version) !=
	    DVS_OK)
		abort();
}

const char *fake_kept(const char *dc, const char *key)
{
	struct fake_kept *found = find_record(dc, key);

	return found ? found->value : NULL;
}

dvs_err dvk_record_get(struct dvk *admin, const char *dc, const char *key, void *value, size_t *len,
		       uint64_t *version)
{
	struct fake_kept *found = find_record(dc, key);

	(void)admin;
	*len = 0;
	*version = 0;
	if (!found)
		return has_dc(dc) ? DVS_NOTFOUND : DVS_NODC;
	*len = strlen(found->value);
	memcpy(value, found->value, *len);
	*version = found->version;
	return DVS_OK;
}

static void refuse(const char *dc, const char *value, size_t len)
{
	struct volume volume;
	char why[VOLUME_WHY_MAX + 1];
	char key[DVS_NAME_MAX + 1];

	if (volume_parse("new", value, len, &volume, why) != DVS_OK)
		return;
	snprintf(key, sizeof(key), "volume-why/%s/0", volume.id);
	fake_keep(dc, key, fake()->why_of_new);
}

dvs_err dvk_record_set(struct dvk *admin, const char *dc, const char *key, uint64_t expected,
		       const void *value, size_t len, uint64_t *version)
{
	struct fake_kept *found = find_record(dc, key);

	(void)admin;
	if (!has_dc(dc))
		return DVS_NODC;
	if (fake()->n_set_races > 0 && expected != DVK_VERSION_ANY) {
		fake()->n_set_races--;
		if (found)
			found->version = ++fake()->version;
		return DVS_NOTFOUND;
	}
	if (found && expected == 0)
		return DVS_EXISTS;
	if (expected != DVK_VERSION_ANY && expected != 0 && (!found || found->version != expected))
		return DVS_NOTFOUND;
	if (!found) {
		if (fake()->n_kept == FAKE_KEPT_MAX)
			return DVS_FULL;
		found = &fake()->kept[fake()->n_kept++];
	}
	snprintf(found->dc, sizeof(found->dc), "%s", dc);
	snprintf(found->key, sizeof(found->key), "%s", key);
	snprintf(found->value, sizeof(found->value), "%.*s", (int)len, (const char *)value);
	found->version = ++fake()->version;
	*version = found->version;
	if (fake()->why_of_new && strncmp(key, "volume/", 7) == 0)
		refuse(dc, value, len);
	return DVS_OK;
}

dvs_err dvk_record_next(struct dvk *admin, const char *dc, char *key, void *value, size_t *len,
			uint64_t *version)
{
	const struct fake_kept *next = NULL;

	for (size_t i = 0; i < fake()->n_kept; i++) {
		const struct fake_kept *one = &fake()->kept[i];

		if (strcmp(one->dc, dc) == 0 && strcmp(one->key, key) > 0 &&
		    (!next || strcmp(one->key, next->key) < 0))
			next = one;
	}
	if (!next)
		return has_dc(dc) ? DVS_NOTFOUND : DVS_NODC;
	strcpy(key, next->key);
	return dvk_record_get(admin, dc, key, value, len, version);
}

dvs_err dvk_record_remove(struct dvk *admin, const char *dc, const char *key)
{
	struct fake_kept *found = find_record(dc, key);

	(void)admin;
	if (!found)
		return DVS_NOTFOUND;
	*found = fake()->kept[--fake()->n_kept];
	return DVS_OK;
}

/* ---- endpoints ---- */

dvs_err dvk_bind(struct dvk *dvk, dvs_ep want, enum dvk_kind kind, struct m3 **self)
{
	(void)dvk;
	(void)want;
	(void)kind;
	*self = calloc(1, sizeof(**self));
	fake()->n_open++;
	return *self ? DVS_OK : DVS_NOMEM;
}

void dvk_unbind(struct m3 *self)
{
	fake()->n_open -= self != NULL;
	free(self);
}

/* The volume whose server has that endpoint. */
static int find_volume(dvs_ep ep, struct volume *volume)
{
	char why[VOLUME_WHY_MAX + 1];

	for (size_t i = 0; i < fake()->n_kept; i++) {
		const struct fake_kept *one = &fake()->kept[i];

		if (strncmp(one->key, "volume/", 7) == 0 &&
		    volume_parse(one->key + 7, one->value, strlen(one->value), volume, why) ==
			    DVS_OK &&
		    volume->endpoint == dvs_ep_number(ep) && volume->minor == 0)
			return 1;
	}
	return 0;
}

static int is_served(dvs_ep ep)
{
	struct volume volume;

	return !fake()->disk.is_away && find_volume(ep, &volume);
}

dvs_err dvk_wait_bind(struct dvk *dvk, dvs_ep ep, uint32_t timeout_ms, dvs_ep *bound)
{
	(void)dvk;
	(void)timeout_ms;
	*bound = ep;
	return is_served(ep) ? DVS_OK : DVS_TIMEOUT;
}

dvs_err dvk_wait_unbind(struct dvk *dvk, dvs_ep ep, uint32_t timeout_ms)
{
	(void)dvk;
	(void)timeout_ms;
	return is_served(ep) ? DVS_TIMEOUT : DVS_OK;
}

/* ---- the server ---- */

static struct vdd_disk *disk_at(uint32_t minor)
{
	for (uint32_t i = 0; i < fake()->disk.n_disks; i++) {
		if (fake()->disk.disks[i].minor == minor)
			return &fake()->disk.disks[i];
	}
	return NULL;
}

/* Of base/histogram.h. */
#define BUCKET_OF_100_US 76
#define BUCKET_OF_1_MS 103

static void answer_status(const struct volume *volume, struct writer *out)
{
	static struct vdd_status_rep status;
	struct fake_disk *disk = &fake()->disk;

	status = (struct vdd_status_rep){ .epoch = 7,
					  .waiting = disk->waiting,
					  .paused_ms = disk->paused_ms,
					  .reads = 10 + disk->counted,
					  .flushes = 2 + disk->counted,
					  .read_bytes = disk->counted << 20,
					  .verify_state = disk->verify_state,
					  .verify_done_bytes = 1 << 20,
					  .verify_total_bytes = 1 << 21,
					  .verify_differs = disk->differs,
					  .verify_repaired = disk->repaired };
	/* Reads are of 100 us; of those that came since the last look some took longer. */
	status.n_latencies = 2;
	status.latencies[0] = (struct vdd_latency){ 1, BUCKET_OF_100_US, 1000 };
	status.latencies[1] = (struct vdd_latency){ 1, BUCKET_OF_1_MS, 10 + disk->counted };
	status.max_read_ns = 7000000;
	disk->paused_ms += disk->waiting;
	disk->counted += disk->counts;
	if (disk->verify_state == 1 && disk->verify_looks > 0 && --disk->verify_looks == 0)
		disk->verify_state = 2;
	for (uint32_t i = 0; i < volume->n_replicas; i++) {
		uint32_t node = volume->replicas[i].node;
		struct vdd_member *member = &status.members[status.n_members++];
		int is_syncing = node == disk->syncing && disk->sync_looks > 0;

		*member = (struct vdd_member){ .node = node,
					       .state = node == disk->primary ? 1 :
							node == disk->away    ? 4 :
							is_syncing	      ? 3 :
										2,
					       .done_bytes = 1 << 30,
					       .total_bytes = UINT64_C(4) << 30,
					       .bytes_per_s = 100 << 20,
					       .eta_ms = 31000 };
		if (is_syncing)
			disk->sync_looks--;
	}
	vdd_status_rep_encode(out, &status);
}

static void answer_disks(const struct volume *volume, struct writer *out)
{
	static struct vdd_disks_rep disks;
	struct fake_disk *disk = &fake()->disk;

	disks.n_disks = 1;
	disks.disks[0] = (struct vdd_disk){ .kind = 1,
					    .bytes = disk->bytes ? disk->bytes : volume->bytes,
					    .used_bytes = 3 << 20 };
	for (uint32_t i = 0; i < disk->n_disks; i++)
		disks.disks[disks.n_disks++] = disk->disks[i];
	vdd_disks_rep_encode(out, &disks);
}

static dvs_err make(uint32_t kind, uint32_t parent, const char *name, struct writer *out)
{
	struct fake_disk *disk = &fake()->disk;
	struct vdd_disk *made = &disk->disks[disk->n_disks];

	for (uint32_t i = 0; i < disk->n_disks; i++) {
		if (strcmp(disk->disks[i].name, name) == 0 && disk->disks[i].kind == kind)
			return DVS_EXISTS;
	}
	*made = (struct vdd_disk){ .minor = disk->n_disks + 1,
				   .kind = (uint8_t)kind,
				   .parent = parent,
				   .bytes = 1 << 30,
				   .used_bytes = 65536,
				   .created_ns = UINT64_C(1900000000) * 1000000000 };
	snprintf(made->name, sizeof(made->name), "%s", name);
	disk->n_disks++;
	writer_u32(out, made->minor);
	return DVS_OK;
}

static dvs_err remove_disk(uint32_t minor)
{
	struct fake_disk *disk = &fake()->disk;
	struct vdd_disk *found = disk_at(minor);

	for (uint32_t i = 0; i < disk->n_disks; i++) {
		if (disk->disks[i].parent == minor)
			return DVS_BADSTATE;
	}
	if (!found)
		return DVS_NOTFOUND;
	*found = disk->disks[--disk->n_disks];
	return DVS_OK;
}

static dvs_err answer_geometry(const struct volume *volume, struct cursor *in, struct writer *out)
{
	struct vdd_geometry_req request;
	const struct vdd_disk *found;

	if (vdd_geometry_req_decode_padded(in, &request) != DVS_OK)
		return DVS_PROTO;
	found = disk_at(request.minor);
	if (request.minor != 0 && !found)
		return DVS_NOTFOUND;
	vdd_geometry_rep_encode(
		out, &(struct vdd_geometry_rep){ .bytes = found		     ? found->bytes :
							  fake()->disk.bytes ? fake()->disk.bytes :
									       volume->bytes,
						 .block_bytes = 4096,
						 .flags = found && found->kind == 2 });
	return DVS_OK;
}

/* What comes in the payload. */
static dvs_err serve_small(const struct volume *volume, uint32_t op, struct cursor *in,
			   struct writer *out)
{
	struct fake_disk *disk = &fake()->disk;
	struct vdd_resize_req resize;
	struct vdd_verify_req verify;
	struct vdd_tune_req tune;

	if (op == VDD_GEOMETRY)
		return answer_geometry(volume, in, out);
	if (op == VDD_REMOVE)
		return remove_disk(cursor_u32(in));
	if (op == VDD_HAND_OVER) {
		if (disk->hand_over_err == DVS_OK)
			disk->primary = cursor_u32(in);
		return disk->hand_over_err;
	}
	if (op == VDD_RESIZE && vdd_resize_req_decode_padded(in, &resize) == DVS_OK) {
		disk->bytes = resize.bytes;
		return DVS_OK;
	}
	if (op == VDD_TUNE && vdd_tune_req_decode_padded(in, &tune) == DVS_OK) {
		disk->rate = tune.bytes_per_s;
		return DVS_OK;
	}
	if (op == VDD_VERIFY && vdd_verify_req_decode_padded(in, &verify) == DVS_OK) {
		disk->verify_state = verify.start ? 1 : 3;
		disk->repaired = verify.repair ? disk->differs : 0;
		return DVS_OK;
	}
	return DVS_PROTO;
}

/* What comes attached. */
static dvs_err serve_large(const struct volume *volume, uint32_t op, struct cursor *in,
			   struct writer *out)
{
	struct vdd_snapshot_req snapshot;
	struct vdd_clone_req clone;

	if (op == VDD_STATUS)
		answer_status(volume, out);
	else if (op == VDD_DISKS)
		answer_disks(volume, out);
	else if (op == VDD_SNAPSHOT && vdd_snapshot_req_decode(in, &snapshot) == DVS_OK)
		return make(2, snapshot.minor, snapshot.name, out);
	else if (op == VDD_CLONE && vdd_clone_req_decode(in, &clone) == DVS_OK)
		return make(3, clone.minor, clone.name, out);
	else
		return DVS_PROTO;
	return DVS_OK;
}

dvs_err m3_call(struct m3 *self, dvs_ep dst, struct dvs_msg *msg, const void *out, size_t out_len,
		void *in, size_t in_cap, size_t *in_len, uint32_t timeout_ms)
{
	static struct volume volume;
	uint32_t op = msg->type;
	dvs_err err;

	(void)self;
	(void)timeout_ms;
	if (fake()->disk.is_away || !find_volume(dst, &volume))
		return DVS_NODEST;
	if (fake()->disk.call_err != DVS_OK && op != VDD_GEOMETRY)
		return fake()->disk.call_err;
	if (op == VDD_STATUS || op == VDD_DISKS || op == VDD_SNAPSHOT || op == VDD_CLONE) {
		struct cursor from = cursor_over(out, out_len);
		struct writer to = writer_over(in, in_cap);

		err = serve_large(&volume, op, &from, &to);
		if (in_len)
			*in_len = err == DVS_OK ? writer_len(&to) : 0;
	} else {
		uint8_t room[52] = { 0 };
		struct cursor from = cursor_over(msg->bytes, sizeof(msg->bytes));
		struct writer to = writer_over(room, sizeof(room));

		err = serve_small(&volume, op, &from, &to);
		memcpy(msg->bytes + 4, room, sizeof(room));
	}
	msg->u32[0] = (uint32_t)err;
	return DVS_OK;
}
