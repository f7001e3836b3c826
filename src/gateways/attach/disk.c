/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/attach/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/cursor.h"
#include "client/hold.h"
#include "client/vdd_calls.h"
#include "proto/vdd_proto.h"

#define ZERO_KEEP 2u
#define EXTENT_HOLE 1u
#define EXTENT_BYTES 12u
#define EXTENTS_MAX 64u
/* So much of the disk is asked for at once: nobody needs to know more. */
#define EXTENT_SPAN_BYTES (UINT64_C(1) << 30)
/* Between tries, when the error itself does not wait. */
#define AGAIN_MS 20u

struct disk {
	const struct disk_config *config;
	struct hold *hold;
	struct attach_geometry geometry;
};

/* One thread's. */
struct disk_thread {
	struct disk *disk;
	struct volume_disk mine;
	bool is_open;
	uint64_t term; /* of the claim when it was opened */
};

/* One request, whatever it is. */
struct request {
	uint32_t op;
	uint64_t offset;
	uint64_t bytes;
	uint32_t flags;
	const void *out;
	void *in;
	size_t in_cap;
	size_t in_len;
	union {
		struct vdd_geometry_rep geometry;
		struct vdd_extents_rep extents;
	} reply;
};

static dvs_err send_data(const struct volume_disk *to, struct request *request)
{
	if (request->op == VDD_READ) {
		struct vdd_read_req req = { .minor = to->minor,
					    .offset = request->offset,
					    .bytes = (uint32_t)request->bytes };

		return vdd_call_read(to->self, to->server, &req, NULL, NULL, 0, request->in,
				     request->in_cap, &request->in_len, DVS_FOREVER);
	}
	return vdd_call_write(to->self, to->server,
			      &(struct vdd_write_req){ .minor = to->minor,
						       .flags = request->flags,
						       .offset = request->offset,
						       .claim = to->claim },
			      NULL, request->out, request->bytes, NULL, 0, NULL, DVS_FOREVER);
}

static dvs_err send_query(const struct volume_disk *to, struct request *request)
{
	if (request->op == VDD_GEOMETRY)
		return vdd_call_geometry(to->self, to->server,
					 &(struct vdd_geometry_req){ .minor = to->minor },
					 &request->reply.geometry, NULL, 0, NULL, 0, NULL,
					 DVS_FOREVER);
	return vdd_call_extents(to->self, to->server,
				&(struct vdd_extents_req){ .minor = to->minor,
							   .offset = request->offset,
							   .bytes = request->bytes },
				&request->reply.extents, NULL, 0, request->in, request->in_cap,
				&request->in_len, DVS_FOREVER);
}

static dvs_err send_once(const struct volume_disk *to, struct request *request)
{
	switch (request->op) {
	case VDD_READ:
	case VDD_WRITE:
		return send_data(to, request);
	case VDD_FLUSH:
		return vdd_call_flush(to->self, to->server,
				      &(struct vdd_flush_req){ .minor = to->minor }, NULL, NULL, 0,
				      NULL, 0, NULL, DVS_FOREVER);
	case VDD_TRIM:
		return vdd_call_trim(to->self, to->server,
				     &(struct vdd_trim_req){ .minor = to->minor,
							     .offset = request->offset,
							     .bytes = request->bytes,
							     .claim = to->claim },
				     NULL, NULL, 0, NULL, 0, NULL, DVS_FOREVER);
	case VDD_ZERO:
		return vdd_call_zero(to->self, to->server,
				     &(struct vdd_zero_req){ .minor = to->minor,
							     .flags = request->flags,
							     .offset = request->offset,
							     .bytes = request->bytes,
							     .claim = to->claim },
				     NULL, NULL, 0, NULL, 0, NULL, DVS_FOREVER);
	default:
		return send_query(to, request);
	}
}

/* ---- until it is done ---- */

/* Its server, dvsd or the quorum is away: they come back. What was asked may have been carried out; it can be asked again, since who had it is dead or no member of the view any
 * more, and nobody else writes there before it is answered. */
static bool will_pass(dvs_err err)
{
	return err == DVS_NODEST || err == DVS_PEERDEAD || err == DVS_NODEDOWN ||
	       err == DVS_NOQUORUM || err == DVS_NODVSD || err == DVS_NOTBOUND ||
	       err == DVS_BADSTATE || err == DVS_TIMEOUT;
}

static void close_mine(struct disk_thread *thread)
{
	if (thread->is_open)
		volume_close_thread(&thread->mine);
	thread->is_open = false;
}

/* An endpoint that was bound while the claim was held: it ends no later than the claim. */
static dvs_err open_mine(struct disk_thread *thread, uint64_t deadline_ns)
{
	struct hold *hold = thread->disk->hold;
	uint64_t term;
	dvs_err err = hold_wait(hold, deadline_ns, &term);

	if (err)
		return err;
	if (thread->is_open && thread->term == term)
		return DVS_OK;
	close_mine(thread);
	err = volume_open_thread(hold_disk(hold), &thread->mine);
	if (err)
		return err;
	thread->is_open = true;
	thread->term = term;
	err = hold_check(hold, term);
	if (err)
		close_mine(thread);
	return err;
}

static dvs_err send(struct disk_thread *thread, struct request *request)
{
	uint64_t deadline_ns =
		clock_deadline_ns(thread->disk->config->patience_ms * CLOCK_NS_PER_MS);

	for (;;) {
		dvs_err err = open_mine(thread, deadline_ns);

		if (!err)
			err = send_once(&thread->mine, request);
		if (!will_pass(err) || clock_is_past(deadline_ns))
			return err;
		/* Signs of a node that was cut off. An endpoint that is bound now, after which the claim is looked at, is not one that was given back after it. */
		if (err == DVS_NOTBOUND || err == DVS_NODEDOWN || err == DVS_NOQUORUM ||
		    err == DVS_NODVSD)
			close_mine(thread);
		/* It may be there at once, or not for seconds. */
		if (err == DVS_NODEST || err == DVS_PEERDEAD)
			(void)!dvk_wait_bind(thread->mine.dvk, thread->mine.server, AGAIN_MS, NULL);
		hold_pause(thread->disk->hold, AGAIN_MS);
	}
}

/* ---- the backend ---- */

static dvs_err disk_enter(void *context, void **out)
{
	struct disk_thread *thread = calloc(1, sizeof(*thread));

	if (!thread)
		return DVS_NOMEM;
	thread->disk = context;
	*out = thread;
	return DVS_OK;
}

static void disk_leave(void *context)
{
	close_mine(context);
	free(context);
}

static dvs_err disk_geometry(void *context, struct attach_geometry *geometry)
{
	struct disk_thread *thread = context;
	struct request request = { .op = VDD_GEOMETRY };
	dvs_err err = send(thread, &request);

	*geometry = thread->disk->geometry;
	if (!err)
		geometry->bytes = request.reply.geometry.bytes;
	return err;
}

static dvs_err disk_read(void *thread, uint64_t offset, void *room, size_t bytes)
{
	struct request request = {
		.op = VDD_READ, .offset = offset, .bytes = bytes, .in = room, .in_cap = bytes
	};
	dvs_err err = send(thread, &request);

	return err ? err : request.in_len == bytes ? DVS_OK : DVS_PROTO;
}

static dvs_err disk_write(void *thread, uint64_t offset, const void *data, size_t bytes)
{
	return send(thread,
		    &(struct request){
			    .op = VDD_WRITE, .offset = offset, .bytes = bytes, .out = data });
}

static dvs_err disk_flush(void *thread)
{
	return send(thread, &(struct request){ .op = VDD_FLUSH });
}

static dvs_err disk_trim(void *thread, uint64_t offset, uint64_t bytes)
{
	return send(thread, &(struct request){ .op = VDD_TRIM, .offset = offset, .bytes = bytes });
}

static dvs_err disk_zero(void *thread, uint64_t offset, uint64_t bytes, bool keep)
{
	return send(thread, &(struct request){ .op = VDD_ZERO,
					       .offset = offset,
					       .bytes = bytes,
					       .flags = keep ? ZERO_KEEP : 0 });
}

static dvs_err disk_extent(void *context, uint64_t offset, uint64_t *bytes, bool *is_hole)
{
	const struct disk_thread *thread = context;
	uint8_t room[EXTENTS_MAX * EXTENT_BYTES];
	uint64_t left = thread->disk->geometry.bytes - offset;
	struct request request = {
		.op = VDD_EXTENTS,
		.offset = offset,
		.bytes = left < EXTENT_SPAN_BYTES ? left : EXTENT_SPAN_BYTES,
		.in = room,
		.in_cap = sizeof(room),
	};
	struct cursor in;
	dvs_err err = send(context, &request);

	if (err)
		return err;
	in = cursor_over(room, request.in_len);
	*bytes = 0;
	for (uint32_t i = 0; i < request.reply.extents.count && i < EXTENTS_MAX; i++) {
		struct vdd_extent extent;

		if (cursor_left(&in) < EXTENT_BYTES)
			return DVS_PROTO;
		vdd_extent_get(&in, &extent);
		if (i && *is_hole != !!(extent.flags & EXTENT_HOLE))
			break;
		*is_hole = extent.flags & EXTENT_HOLE;
		*bytes += extent.bytes;
	}
	return *bytes >= ATTACH_SECTOR_BYTES ? DVS_OK : DVS_PROTO;
}

static dvs_err disk_open(void *context, struct attach_backend *backend,
			 struct attach_geometry *geometry, char why[ATTACH_WHY_MAX])
{
	struct disk *disk = context;
	const struct hold_config config = { .run_dir = disk->config->run_dir,
					    .volume = disk->config->volume,
					    .kind = CLAIM_DEVICE,
					    .is_read_only = disk->config->is_read_only,
					    .is_shared = disk->config->is_shared,
					    .open_ms = disk->config->open_ms,
					    .log = disk->config->log };
	dvs_err err = hold_open(&config, &disk->hold, why);

	if (err)
		return err;
	disk->geometry = (struct attach_geometry){
		.bytes = hold_disk(disk->hold)->bytes,
		.is_read_only = disk->config->is_read_only || hold_disk(disk->hold)->is_read_only,
	};
	*geometry = disk->geometry;
	*backend = (struct attach_backend){
		.context = disk,
		.enter = disk_enter,
		.leave = disk_leave,
		.geometry = disk_geometry,
		.read = disk_read,
		.write = disk_write,
		.flush = disk_flush,
		.trim = disk_trim,
		.zero = disk_zero,
		.extent = disk_extent,
	};
	return DVS_OK;
}

static void disk_close(void *context)
{
	struct disk *disk = context;

	hold_release(disk->hold);
}

dvs_err disk_source(const struct disk_config *config, struct attach_source *source)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	if (!disk)
		return DVS_NOMEM;
	disk->config = config;
	*source = (struct attach_source){ .context = disk, .open = disk_open, .close = disk_close };
	return DVS_OK;
}
