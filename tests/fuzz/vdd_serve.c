/* SPDX-License-Identifier: Apache-2.0 */
/* Any message to a server of service vdd: what reaches a handler is within the ranges that vdd.toml says, each request is answered once at most, and an answer fits the protocol. The input: op (4 bytes),
 * and what is both the payload and the attached data. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "skeleton/vdd_serve.h"

struct seen {
	struct skeleton_request request;
	uint32_t n_handled;
	uint32_t n_answered;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static bool is_text(const char *text, size_t room)
{
	return memchr(text, '\0', room) != NULL;
}

/* ---- the skeleton, as far as the generated code knows it ---- */

void skeleton_answer_data(struct skeleton_request *request, dvs_err err, const void *payload,
			  size_t len, const void *data, size_t bytes)
{
	struct seen *seen = CONTAINER_OF(request, struct seen, request);
	uint8_t copy[DVS_PAYLOAD_BYTES];
	uint8_t *all = malloc(bytes + 1);

	(void)err;
	must(len <= sizeof(copy) - 4);
	if (len)
		memcpy(copy, payload, len);
	if (bytes && all)
		memcpy(all, data, bytes);
	free(all);
	seen->n_answered++;
}

void skeleton_answer(struct skeleton_request *request, dvs_err err, const void *payload, size_t len)
{
	skeleton_answer_data(request, err, payload, len, NULL, 0);
}

/* ---- handlers ---- */

static void handled(struct skeleton_request *request)
{
	CONTAINER_OF(request, struct seen, request)->n_handled++;
}

/* Those that have nothing to check. */
#define PLAIN(name)                                                             \
	static void serve_##name(void *state, struct skeleton_request *request, \
				 const struct vdd_##name##_req *req)            \
	{                                                                       \
		(void)state;                                                    \
		(void)req;                                                      \
		handled(request);                                               \
		vdd_##name##_answer(request, DVS_OK, NULL);                     \
	}

PLAIN(read)
PLAIN(write)
PLAIN(flush)
PLAIN(trim)
PLAIN(zero)
PLAIN(resize)
PLAIN(remove)
PLAIN(hand_over)
PLAIN(tune)

static void serve_geometry(void *state, struct skeleton_request *request,
			   const struct vdd_geometry_req *req)
{
	(void)state;
	handled(request);
	vdd_geometry_answer(request, DVS_OK, &(struct vdd_geometry_rep){ .flags = req->minor });
}

static void serve_claim(void *state, struct skeleton_request *request,
			const struct vdd_claim_req *req)
{
	(void)state;
	handled(request);
	must(req->claim >= 1);
	vdd_claim_answer(request, DVS_OK, NULL);
}

static void serve_batch(void *state, struct skeleton_request *request,
			const struct vdd_batch_req *req)
{
	(void)state;
	handled(request);
	must(req->count >= 1 && req->count <= 256);
	vdd_batch_answer_data(request, DVS_OK, NULL, request->data, request->data_bytes);
}

static void serve_extents(void *state, struct skeleton_request *request,
			  const struct vdd_extents_req *req)
{
	const struct vdd_extents_rep rep = { .count = req->minor };

	(void)state;
	handled(request);
	vdd_extents_answer_data(request, DVS_OK, &rep, NULL, 0);
}

static void serve_snapshot(void *state, struct skeleton_request *request,
			   const struct vdd_snapshot_req *req)
{
	(void)state;
	handled(request);
	must(is_text(req->name, sizeof(req->name)));
	vdd_snapshot_answer(request, DVS_OK, &(struct vdd_snapshot_rep){ .minor = req->minor });
}

static void serve_clone(void *state, struct skeleton_request *request,
			const struct vdd_clone_req *req)
{
	(void)state;
	handled(request);
	must(is_text(req->name, sizeof(req->name)));
	vdd_clone_answer(request, DVS_EXISTS, NULL);
}

static void serve_disks(void *state, struct skeleton_request *request,
			const struct vdd_disks_req *req)
{
	struct vdd_disks_rep *rep = calloc(1, sizeof(*rep));

	(void)state;
	handled(request);
	if (!rep)
		return;
	rep->n_disks = req->cursor % 65;
	for (uint32_t i = 0; i < rep->n_disks; i++)
		rep->disks[i].kind = 1;
	vdd_disks_answer(request, DVS_OK, rep);
	free(rep);
}

static void serve_status(void *state, struct skeleton_request *request,
			 const struct vdd_status_req *req)
{
	static const struct vdd_status_rep rep = { .n_members = 1, .members = { { .state = 1 } } };

	(void)state;
	(void)req;
	handled(request);
	vdd_status_answer(request, DVS_OK, &rep);
}

static void serve_verify(void *state, struct skeleton_request *request,
			 const struct vdd_verify_req *req)
{
	(void)state;
	handled(request);
	must(req->start <= 1 && req->repair <= 1);
	vdd_verify_answer(request, DVS_OK, NULL);
}

static const struct vdd_handlers handlers = {
	.read = serve_read,
	.write = serve_write,
	.flush = serve_flush,
	.trim = serve_trim,
	.zero = serve_zero,
	.geometry = serve_geometry,
	.batch = serve_batch,
	.extents = serve_extents,
	.resize = serve_resize,
	.snapshot = serve_snapshot,
	.clone = serve_clone,
	.remove = serve_remove,
	.disks = serve_disks,
	.status = serve_status,
	.verify = serve_verify,
	.hand_over = serve_hand_over,
	.claim = serve_claim,
	.tune = serve_tune,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = { .n_handled = 0 };
	struct cursor in = cursor_over(data, size);
	size_t payload;
	dvs_err err;

	seen.request.op = cursor_u32(&in);
	if (in.failed)
		return 0;
	/* The body is where the operation looks for it: so the same seeds do for all. */
	seen.request.data_bytes = cursor_left(&in);
	seen.request.data = seen.request.data_bytes ? in.at : NULL;
	payload = cursor_left(&in) < DVS_PAYLOAD_BYTES ? cursor_left(&in) : DVS_PAYLOAD_BYTES;
	cursor_bytes(&in, seen.request.payload, payload);
	err = vdd_serve(&handlers, NULL, &seen.request);
	must(seen.n_handled == (err == DVS_OK) && seen.n_answered == seen.n_handled);
	must(err == DVS_OK || err == DVS_PROTO ||
	     (err == DVS_BADARG && vdd_serve_allow(seen.request.op) == SKELETON_NOBODY));
	return 0;
}
