/* SPDX-License-Identifier: Apache-2.0 */
#include "vdd_model.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR DISK_SECTOR_BYTES

uint64_t model_random(struct model *model, uint64_t n)
{
	model->seed ^= model->seed << 13;
	model->seed ^= model->seed >> 7;
	model->seed ^= model->seed << 17;
	return (model->seed * UINT64_C(0x2545f4914f6cdd1d) >> 11) % n;
}

static void open_disks(struct model *model)
{
	char why[DISK_WHY_MAX + 1];
	bool is_empty;
	dvs_err err = disks_open(&model->config, &model->disks, &is_empty, why);

	ck_assert_msg(err == DVS_OK, "%s: %s", dvs_strerror(err), why);
}

void model_open(struct model *model, const struct disks_config *config, uint64_t seed)
{
	memset(model, 0, sizeof(*model));
	turns_open(&model->turns);
	model->config = *config;
	model->config.poster = turns_poster(&model->turns);
	model->seed = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	model->minors_max = 8;
	model->resizes = true;
	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++) {
		model->disk[m].data = calloc(1, MODEL_BYTES_MAX);
		ck_assert_ptr_nonnull(model->disk[m].data);
	}
	for (uint32_t i = 0; i < MODEL_REQUESTS; i++) {
		model->request[i].model = model;
		model->request[i].buffer = malloc(MODEL_IO_BYTES_MAX + 64);
		model->request[i].expected = malloc(MODEL_IO_BYTES_MAX);
	}
	model->disk[0].is_there = true;
	model->disk[0].kind = 1;
	model->disk[0].bytes = config->bytes;
	open_disks(model);
}

/* ---- what should happen ---- */

static bool has_children(const struct model *model, uint32_t minor)
{
	for (uint32_t m = 1; m < DISK_MINORS_MAX; m++) {
		if (model->disk[m].is_there && model->disk[m].parent == minor)
			return true;
	}
	return false;
}

static dvs_err make_disk(struct model *model, struct model_request *request)
{
	const struct disk_io *io = &request->io;
	const struct model_disk *of = &model->disk[io->minor];
	uint32_t made = 1;

	if ((io->op == DISK_CLONE) != (of->kind == 2))
		return DVS_BADSTATE;
	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++) {
		if (model->disk[m].is_there && strcmp(model->disk[m].name, io->name) == 0)
			return DVS_EXISTS;
	}
	while (model->disk[made].is_there)
		made++;
	request->wanted_made = made;
	model->disk[made].is_there = true;
	model->disk[made].kind = io->op == DISK_CLONE ? 3 : 2;
	model->disk[made].parent = io->minor;
	model->disk[made].bytes = of->bytes;
	memcpy(model->disk[made].name, io->name, sizeof(io->name));
	memcpy(model->disk[made].data, of->data, MODEL_BYTES_MAX);
	return DVS_OK;
}

static dvs_err resize(struct model *model, const struct disk_io *io)
{
	struct model_disk *disk = &model->disk[io->minor];

	if (disk->kind == 2)
		return DVS_READONLY;
	if (io->bytes < disk->bytes && has_children(model, io->minor))
		return DVS_BADSTATE;
	if (io->bytes < disk->bytes)
		memset(disk->data + io->bytes, 0, disk->bytes - io->bytes);
	disk->bytes = io->bytes;
	return DVS_OK;
}

/* Carry it out on the model; what it should answer. */
static dvs_err foresee(struct model *model, struct model_request *request)
{
	const struct disk_io *io = &request->io;
	struct model_disk *disk = &model->disk[io->minor];

	if (!disk->is_there)
		return DVS_NOTFOUND;
	if (io->op == DISK_FLUSH)
		return DVS_OK;
	if (io->op == DISK_SNAPSHOT || io->op == DISK_CLONE)
		return make_disk(model, request);
	if (io->op == DISK_RESIZE)
		return resize(model, io);
	if (io->op == DISK_REMOVE) {
		if (disk->kind == 1 || has_children(model, io->minor))
			return DVS_BADSTATE;
		disk->is_there = false;
		return DVS_OK;
	}
	if (io->offset > disk->bytes || io->bytes > disk->bytes - io->offset)
		return DVS_RANGE;
	if (io->op == DISK_READ) {
		memcpy(request->expected, disk->data + io->offset, io->bytes);
		return DVS_OK;
	}
	if (disk->kind == 2)
		return DVS_READONLY;
	if (io->op == DISK_WRITE)
		memcpy(disk->data + io->offset, io->buffer, io->bytes);
	else
		memset(disk->data + io->offset, 0, io->bytes);
	return DVS_OK;
}

/* ---- requests ---- */

/* Where, or BYTES. */
static uint64_t differs(const uint8_t *a, const uint8_t *b, uint64_t bytes)
{
	uint64_t at = 0;

	if (memcmp(a, b, bytes) == 0)
		return bytes;
	while (a[at] == b[at])
		at++;
	return at;
}

static void done(struct disk_io *io, dvs_err err)
{
	struct model_request *request = CONTAINER_OF(io, struct model_request, io);

	ck_assert(request->is_busy);
	ck_assert_msg(err == request->wanted, "op %d minor %u at %llu bytes %llu: %s, not %s",
		      (int)io->op, io->minor, (unsigned long long)io->offset,
		      (unsigned long long)io->bytes, dvs_err_name(err),
		      dvs_err_name(request->wanted));
	if (err == DVS_OK && io->op == DISK_READ) {
		uint64_t at = differs(io->buffer, request->expected, io->bytes);

		ck_assert_msg(at == io->bytes, "minor %u byte %llu of a read at %llu, %llu bytes",
			      io->minor, (unsigned long long)at, (unsigned long long)io->offset,
			      (unsigned long long)io->bytes);
	}
	if (err == DVS_OK && (io->op == DISK_SNAPSHOT || io->op == DISK_CLONE))
		ck_assert_uint_eq(io->made, request->wanted_made);
	request->is_held = err == DVS_OK && (io->flags & DISK_HOLD) && io->op <= DISK_ZERO &&
			   io->op != DISK_FLUSH;
	request->is_busy = request->is_held;
}

static enum disk_op choose(struct model *model)
{
	uint64_t dice = model_random(model, 1000);
	uint32_t n = 0;

	if (dice >= 60)
		return dice % 10 < 4 ? DISK_WRITE :
		       dice % 10 < 8 ? DISK_READ :
		       dice < 700    ? DISK_TRIM :
		       dice < 900    ? DISK_ZERO :
				       DISK_FLUSH;
	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++)
		n += model->disk[m].is_there;
	if (dice < 12)
		return model->resizes ? DISK_RESIZE : DISK_FLUSH;
	if (n >= model->minors_max || dice >= 45)
		return DISK_REMOVE;
	return dice < 30 ? DISK_SNAPSHOT : DISK_CLONE;
}

static void place(struct model *model, struct disk_io *io)
{
	uint64_t bytes = model->disk[io->minor].bytes;

	io->offset = model_random(model, bytes / SECTOR + 2) * SECTOR;
	io->bytes = (1 + model_random(model, model_random(model, 4) ? 20 : 600)) * SECTOR;
	if (model_random(model, 5) == 0) {
		io->offset = io->offset / DISK_GRANULE_BYTES * DISK_GRANULE_BYTES;
		io->bytes = (1 + model_random(model, 3)) * DISK_GRANULE_BYTES;
	}
	if (io->bytes > MODEL_IO_BYTES_MAX)
		io->bytes = MODEL_IO_BYTES_MAX;
	/* Now and then it reaches beyond the end. */
	if (model_random(model, 50) && io->offset + io->bytes > bytes) {
		io->offset = io->offset < bytes ? io->offset : 0;
		io->bytes = io->bytes < bytes - io->offset ? io->bytes : bytes - io->offset;
	}
	if (io->op != DISK_READ && io->op != DISK_WRITE && model_random(model, 10) == 0) {
		io->offset = 0;
		io->bytes = bytes;
	}
}

static void submit(struct model *model, struct model_request *request)
{
	struct disk_io *io = &request->io;
	uint64_t tries = 8;

	memset(io, 0, sizeof(*io));
	io->op = choose(model);
	do
		io->minor = (uint32_t)model_random(model, model->minors_max + 1);
	while (!model->disk[io->minor].is_there && --tries);
	io->done = done;
	io->buffer = request->buffer + model_random(model, 2) * model_random(model, 64);
	if (io->op == DISK_SNAPSHOT || io->op == DISK_CLONE)
		(void)snprintf(io->name, sizeof(io->name), "d%u",
			       (unsigned int)model_random(model, 30));
	else if (io->op == DISK_RESIZE)
		io->bytes = (1 + model_random(model, MODEL_BYTES_MAX / SECTOR)) * SECTOR;
	else if (io->op <= DISK_ZERO && io->op != DISK_FLUSH)
		place(model, io);
	if (io->op == DISK_WRITE)
		fill(io->buffer, io->bytes, model->seed);
	io->flags = (model_random(model, 8) == 0 ? DISK_FUA : 0) |
		    (model_random(model, 8) == 0 ? DISK_KEEP : 0) |
		    (model_random(model, 8) == 0 ? DISK_HOLD : 0);
	request->wanted = foresee(model, request);
	request->is_busy = true;
	request->is_held = false;
	model->n++;
	disks_submit(model->disks, io);
}

static bool release_one(struct model *model)
{
	for (uint32_t i = 0; i < MODEL_REQUESTS; i++) {
		struct model_request *request = &model->request[i];

		if (!request->is_held)
			continue;
		request->is_held = false;
		request->is_busy = false;
		disk_io_release(model->disks, &request->io);
		return true;
	}
	return false;
}

/* Until REQUEST is over; it may wait for any that is held. */
static void wait_for(struct model *model, const struct model_request *request)
{
	while (request->is_busy) {
		if (!release_one(model))
			turns_run(&model->turns);
	}
}

void model_run(struct model *model, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct model_request *request =
			&model->request[model_random(model, MODEL_REQUESTS)];

		wait_for(model, request);
		submit(model, request);
		if (model_random(model, 4) == 0)
			turns_poll(&model->turns);
	}
	for (uint32_t i = 0; i < MODEL_REQUESTS; i++)
		wait_for(model, &model->request[i]);
}

void model_compare(struct model *model)
{
	static uint8_t room[MODEL_BYTES_MAX], zeroes[MODEL_BYTES_MAX];
	struct disk_info info;
	uint32_t n = 0, seen = 0;

	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++) {
		const struct model_disk *disk = &model->disk[m];
		uint64_t at, bytes;

		n += disk->is_there;
		if (!disk->is_there)
			continue;
		memset(room, 0xa5, sizeof(room));
		ck_assert(do_io(&model->turns, model->disks, DISK_READ, m, 0, disk->bytes, room) ==
			  DVS_OK);
		at = differs(room, disk->data, disk->bytes);
		ck_assert_msg(at == disk->bytes, "minor %u byte %llu", m, (unsigned long long)at);
		for (at = 0; at < disk->bytes; at += bytes) {
			bool is_hole;

			ck_assert(disks_extent(model->disks, m, at, UINT64_MAX, &bytes, &is_hole) ==
				  DVS_OK);
			ck_assert(bytes > 0 && bytes <= disk->bytes - at);
			ck_assert(!is_hole || differs(disk->data + at, zeroes, bytes) == bytes);
		}
	}
	for (uint32_t m = 0; disks_look(model->disks, m, &info) == DVS_OK; m = info.minor + 1) {
		const struct model_disk *disk = &model->disk[info.minor];

		ck_assert(disk->is_there);
		ck_assert_uint_eq(info.kind, disk->kind);
		ck_assert_uint_eq(info.bytes, disk->bytes);
		ck_assert_str_eq(info.name, disk->name);
		seen++;
	}
	ck_assert_uint_eq(n, seen);
}

void model_reopen(struct model *model, const char *dir)
{
	disks_close(model->disks);
	turns_poll(&model->turns);
	if (dir)
		model->config.dir = dir;
	open_disks(model);
}

void model_close(struct model *model)
{
	disks_close(model->disks);
	turns_close(&model->turns);
	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++)
		free(model->disk[m].data);
	for (uint32_t i = 0; i < MODEL_REQUESTS; i++) {
		free(model->request[i].buffer);
		free(model->request[i].expected);
	}
}
