/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a volume for what it must refuse, and looks that nothing of it was done.
 *
 *	vdd-bad CONTROL ENDPOINT manager	may do everything
 *	vdd-bad CONTROL ENDPOINT user		may read and write, and nothing else
 *	vdd-bad CONTROL ENDPOINT stranger	may do nothing
 *	vdd-bad CONTROL ENDPOINT thief		takes disk 0 from who has it, who is not told
 *
 * Status 1, and what was wrong: an answer was not what it must be. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dvs/dvk.h>

#include "base/compiler.h"
#include "base/cursor.h"
#include "base/err.h"
#include "client/vdd_calls.h"

#define TIMEOUT_MS 10000u
#define SECTOR 512u

struct client {
	struct m3 *self;
	dvs_ep server;
	uint64_t bytes;
	uint64_t claim; /* of what is changed */
	unsigned int n_wrong;
	uint8_t *out;
	uint8_t *in;
};

static void want(struct client *client, dvs_err got, dvs_err wanted, const char *what)
{
	if (got == wanted)
		return;
	client->n_wrong++;
	(void)printf("%s: %s, not %s\n", what, dvs_err_name(got), dvs_err_name(wanted));
}

/* ---- one call each ---- */

static dvs_err do_read(struct client *client, uint32_t minor, uint32_t flags, uint64_t offset,
		       uint32_t bytes, size_t cap)
{
	struct vdd_read_req req = { minor, flags, offset, bytes };

	return vdd_call_read(client->self, client->server, &req, NULL, NULL, 0, client->in, cap,
			     NULL, TIMEOUT_MS);
}

static dvs_err do_write(struct client *client, uint32_t minor, uint32_t flags, uint64_t offset,
			size_t bytes)
{
	struct vdd_write_req req = { minor, flags, offset, client->claim };

	return vdd_call_write(client->self, client->server, &req, NULL, client->out, bytes, NULL, 0,
			      NULL, TIMEOUT_MS);
}

static dvs_err do_trim(struct client *client, uint32_t minor, uint32_t flags, uint64_t offset,
		       uint64_t bytes)
{
	struct vdd_trim_req req = { minor, flags, offset, bytes, client->claim };

	return vdd_call_trim(client->self, client->server, &req, NULL, NULL, 0, NULL, 0, NULL,
			     TIMEOUT_MS);
}

static dvs_err do_zero(struct client *client, uint32_t minor, uint32_t flags, uint64_t offset,
		       uint64_t bytes)
{
	struct vdd_zero_req req = { minor, flags, offset, bytes, client->claim };

	return vdd_call_zero(client->self, client->server, &req, NULL, NULL, 0, NULL, 0, NULL,
			     TIMEOUT_MS);
}

static dvs_err do_flush(struct client *client, uint32_t minor)
{
	struct vdd_flush_req req = { minor };

	return vdd_call_flush(client->self, client->server, &req, NULL, NULL, 0, NULL, 0, NULL,
			      TIMEOUT_MS);
}

static dvs_err do_resize(struct client *client, uint32_t minor, uint64_t bytes)
{
	struct vdd_resize_req req = { minor, bytes };

	return vdd_call_resize(client->self, client->server, &req, NULL, NULL, 0, NULL, 0, NULL,
			       TIMEOUT_MS);
}

static dvs_err do_claim(struct client *client, uint32_t minor, uint64_t claim)
{
	struct vdd_claim_req req = { minor, claim };

	return vdd_call_claim(client->self, client->server, &req, NULL, NULL, 0, NULL, 0, NULL,
			      TIMEOUT_MS);
}

/* As the bytes are: what the generated calls would not send. */
static dvs_err do_raw(struct client *client, uint32_t type, const uint32_t *words, size_t n_words,
		      size_t out_bytes, size_t in_cap)
{
	struct dvs_msg msg = { .type = type };
	dvs_err err;

	for (size_t i = 0; i < n_words; i++)
		msg.u32[i] = words[i];
	err = m3_call(client->self, client->server, &msg, client->out, out_bytes, client->in,
		      in_cap, NULL, TIMEOUT_MS);
	return err ? err : dvs_err_from_number(msg.u32[0]);
}

/* ---- refusals ---- */

static void refuses_ranges(struct client *c)
{
	const uint64_t end = c->bytes, huge = UINT64_MAX - SECTOR + 1;

	want(c, do_read(c, 0, 0, end, SECTOR, SECTOR), DVS_RANGE, "a read at the end");
	want(c, do_read(c, 0, 0, end - SECTOR, 2 * SECTOR, 4096), DVS_RANGE, "a read over the end");
	want(c, do_read(c, 0, 0, huge, 2 * SECTOR, 4096), DVS_RANGE, "a read that wraps around");
	want(c, do_write(c, 0, 0, end, SECTOR), DVS_RANGE, "a write at the end");
	want(c, do_write(c, 0, 0, end - SECTOR, 2 * SECTOR), DVS_RANGE, "a write over the end");
	want(c, do_write(c, 0, 0, huge, 2 * SECTOR), DVS_RANGE, "a write that wraps around");
	want(c, do_trim(c, 0, 0, end, SECTOR), DVS_RANGE, "a trim at the end");
	want(c, do_trim(c, 0, 0, SECTOR, huge), DVS_RANGE, "a trim that wraps around");
	want(c, do_zero(c, 0, 0, end - SECTOR, 2 * SECTOR), DVS_RANGE, "a zero over the end");
	want(c, do_zero(c, 0, 0, huge, huge), DVS_RANGE, "a zero that wraps around");
}

static void refuses_sizes(struct client *c)
{
	want(c, do_read(c, 0, 0, 0, 0, 4096), DVS_BADARG, "a read of nothing");
	want(c, do_read(c, 0, 0, 0, 100, 4096), DVS_BADARG, "a read of an odd size");
	want(c, do_read(c, 0, 0, 7, SECTOR, 4096), DVS_BADARG, "a read at an odd place");
	want(c, do_read(c, 0, 0, 0, (1u << 20) + SECTOR, 1u << 20), DVS_TOOBIG, "a long read");
	want(c, do_read(c, 0, 0, 0, 2 * SECTOR, SECTOR), DVS_TOOBIG, "a read into too little room");
	want(c, do_write(c, 0, 0, 0, 0), DVS_BADARG, "a write without data");
	want(c, do_write(c, 0, 0, 0, 1), DVS_BADARG, "a write of an odd size");
	want(c, do_write(c, 0, 0, 9, SECTOR), DVS_BADARG, "a write at an odd place");
	want(c, do_trim(c, 0, 0, 0, 0), DVS_BADARG, "a trim of nothing");
	want(c, do_zero(c, 0, 0, 3, SECTOR), DVS_BADARG, "a zero at an odd place");
	want(c, do_resize(c, 0, 0), DVS_BADARG, "a size of nothing");
	want(c, do_resize(c, 0, 1000), DVS_BADARG, "an odd size");
	want(c, do_resize(c, 0, UINT64_MAX - SECTOR + 1), DVS_BADARG, "a size over all bounds");
}

static void refuses_what_is_not_there(struct client *c)
{
	want(c, do_read(c, 1, 0, 0, SECTOR, SECTOR), DVS_NOTFOUND, "a read of no disk");
	want(c, do_write(c, UINT32_MAX, 0, 0, SECTOR), DVS_NOTFOUND, "a write to no disk");
	want(c, do_flush(c, 64), DVS_NOTFOUND, "a flush of no disk");
	want(c, do_trim(c, 63, 0, 0, SECTOR), DVS_NOTFOUND, "a trim of no disk");
	want(c, do_resize(c, 9, 1u << 20), DVS_NOTFOUND, "another size for no disk");
	want(c, do_read(c, 0, 1, 0, SECTOR, SECTOR), DVS_BADARG, "a read with a flag");
	want(c, do_write(c, 0, 0x80000000u, 0, SECTOR), DVS_BADARG, "a write with a strange flag");
	want(c, do_raw(c, 40, NULL, 0, 0, 0), DVS_BADARG, "an unknown operation");
	want(c, do_raw(c, VDD_RESIZE, (const uint32_t[14]){ [13] = 1 }, 14, 0, 0), DVS_PROTO,
	     "bytes behind the request");
	want(c, do_raw(c, VDD_VERIFY, (const uint32_t[]){ 0x77 }, 1, 0, 0), DVS_PROTO,
	     "a value out of its range");
}

/* N items of KIND at the front of the data, all for the same place. */
static void put_items(struct client *c, uint32_t n, uint32_t kind, uint32_t bytes, uint64_t offset)
{
	struct writer out = writer_over(c->out, DVS_DATA_MAX);
	const struct vdd_item item = { .kind = kind, .bytes = bytes, .offset = offset };

	for (uint32_t i = 0; i < n; i++)
		vdd_item_put(&out, &item);
}

static void refuses_batches(struct client *c)
{
	const size_t one = VDD_ITEM_BYTES_MAX;

	put_items(c, 257, VDD_READ, SECTOR, 0);
	want(c, do_raw(c, VDD_BATCH, (const uint32_t[]){ 0, 0 }, 2, 4096, 4096), DVS_PROTO,
	     "a batch of nothing");
	want(c, do_raw(c, VDD_BATCH, (const uint32_t[]){ 257, 257 * 24 }, 2, 257 * one, 1u << 20),
	     DVS_PROTO, "a batch of too many");
	want(c, do_raw(c, VDD_BATCH, (const uint32_t[]){ 2, 48 }, 2, one, 4096), DVS_PROTO,
	     "a batch that is cut off");
	want(c, do_raw(c, VDD_BATCH, (const uint32_t[]){ 2, 24 }, 2, 2 * one, 4096), DVS_PROTO,
	     "a batch whose data is in its items");
	want(c, do_raw(c, VDD_BATCH, (const uint32_t[]){ 1, UINT32_MAX }, 2, one, 4096), DVS_PROTO,
	     "a batch whose data is nowhere");
	want(c, do_raw(c, VDD_BATCH, (const uint32_t[]){ 2, 48 }, 2, 2 * one, SECTOR), DVS_TOOBIG,
	     "a batch that reads more than the client takes");
	put_items(c, 2, VDD_READ, 1u << 19, 0);
	want(c, do_raw(c, VDD_BATCH, (const uint32_t[]){ 2, 48 }, 2, 2 * one, 1u << 20), DVS_TOOBIG,
	     "a batch that reads too much");
	put_items(c, 1, VDD_WRITE, SECTOR, 0);
	want(c, do_raw(c, VDD_BATCH, (const uint32_t[]){ 1, 24 }, 2, one + SECTOR - 1, 4096),
	     DVS_PROTO, "a batch whose data is cut off");
	put_items(c, 1, VDD_RESIZE, SECTOR, 0);
	want(c, do_raw(c, VDD_BATCH, (const uint32_t[]){ 1, 24 }, 2, one, 4096), DVS_PROTO,
	     "a batch of something else");
}

/* What is wrong with one item does nothing to the others. */
static void answers_items_alone(struct client *c)
{
	struct writer out = writer_over(c->out, DVS_DATA_MAX);
	const struct vdd_item items[] = {
		{ .kind = VDD_WRITE, .bytes = SECTOR, .offset = c->bytes },
		{ .kind = VDD_WRITE, .bytes = SECTOR, .offset = 8 * SECTOR },
		{ .kind = VDD_READ, .bytes = SECTOR, .offset = c->bytes - 1 },
		{ .kind = VDD_READ, .bytes = SECTOR, .minor = 5 },
		{ .kind = VDD_FLUSH },
		{ .kind = VDD_TRIM, .bytes = SECTOR, .offset = 64 * SECTOR },
	};
	const dvs_err wanted[] = { DVS_RANGE, DVS_OK, DVS_BADARG, DVS_NOTFOUND, DVS_OK, DVS_OK };
	const uint32_t words[] = { ARRAY_LEN(items), ARRAY_LEN(items) * 24 };
	struct cursor in;
	size_t at = words[1];

	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		vdd_item_put(&out, &items[i]);
	memset(c->out + at, 'x', SECTOR);
	memset(c->out + at + SECTOR, 'y', SECTOR);
	want(c, do_raw(c, VDD_BATCH, words, 2, at + 2 * SECTOR, 1u << 20), DVS_OK,
	     "a batch with mistakes");
	in = cursor_over(c->in, sizeof(uint32_t) * ARRAY_LEN(items));
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		want(c, dvs_err_from_number(cursor_u32(&in)), wanted[i], "an item of it");
	want(c, do_read(c, 0, 0, 8 * SECTOR, SECTOR, SECTOR), DVS_OK, "what it wrote");
	if (c->in[0] != 'y' || c->in[SECTOR - 1] != 'y') {
		c->n_wrong++;
		(void)puts("a batch wrote the data of another item");
	}
}

static void refuses_batches_of_old_claims(struct client *c, uint32_t claim, dvs_err wanted)
{
	const uint32_t words[] = { 1, 24, claim, 0 };
	struct cursor in;

	put_items(c, 1, VDD_WRITE, SECTOR, 8 * SECTOR);
	want(c, do_raw(c, VDD_BATCH, words, ARRAY_LEN(words), words[1] + SECTOR, 1u << 20), DVS_OK,
	     "a batch under a claim");
	in = cursor_over(c->in, sizeof(uint32_t));
	want(c, dvs_err_from_number(cursor_u32(&in)), wanted, "a write of it");
}

static void refuses_old_claims(struct client *c)
{
	want(c, do_claim(c, 0, 5), DVS_OK, "a claim");
	want(c, do_claim(c, 0, 4), DVS_STALE, "an older claim");
	want(c, do_claim(c, 0, 5), DVS_OK, "the same claim again");
	want(c, do_claim(c, 0, 0), DVS_BADARG, "no claim as a claim");
	want(c, do_claim(c, 5, 6), DVS_NOTFOUND, "a claim of a disk that is not there");
	for (c->claim = 4; c->claim <= 6; c->claim++) {
		dvs_err wanted = c->claim == 4 ? DVS_STALE : DVS_OK;

		want(c, do_write(c, 0, 0, 8 * SECTOR, SECTOR), wanted, "a write under a claim");
		want(c, do_zero(c, 0, 0, 8 * SECTOR, SECTOR), wanted, "a zero under a claim");
		want(c, do_trim(c, 0, 0, 8 * SECTOR, SECTOR), wanted, "a trim under a claim");
		refuses_batches_of_old_claims(c, (uint32_t)c->claim, wanted);
		want(c, do_flush(c, 0), DVS_OK, "a flush under a claim");
	}
	c->claim = 0;
	want(c, do_write(c, 0, 0, 8 * SECTOR, SECTOR), DVS_OK, "a write under no claim");
}

static void manager(struct client *c)
{
	static const uint8_t zeroes[SECTOR];

	memset(c->out, 0xee, DVS_DATA_MAX);
	refuses_ranges(c);
	refuses_sizes(c);
	refuses_what_is_not_there(c);
	want(c, do_read(c, 0, 0, 0, SECTOR, SECTOR), DVS_OK, "the first sector");
	if (memcmp(c->in, zeroes, SECTOR) != 0) {
		c->n_wrong++;
		(void)puts("something of what was refused was written");
	}
	refuses_batches(c);
	answers_items_alone(c);
	refuses_old_claims(c);
	want(c, do_zero(c, 0, 0, 8 * SECTOR, SECTOR), DVS_OK, "a zero");
	want(c, do_trim(c, 0, 0, c->bytes - SECTOR, SECTOR), DVS_OK, "a trim of the last sector");
	want(c, do_flush(c, 0), DVS_OK, "a flush");
}

static void user(struct client *c, dvs_err reading, dvs_err managing)
{
	struct vdd_snapshot_req snapshot = { .minor = 0, .name = "s" };
	struct vdd_hand_over_req over = { .node = 0 };
	struct vdd_tune_req tune = { .bytes_per_s = 1 };

	want(c, do_read(c, 0, 0, 0, SECTOR, SECTOR), reading, "a read");
	want(c, do_write(c, 0, 0, 0, SECTOR), reading, "a write");
	want(c, do_flush(c, 0), reading, "a flush");
	want(c, do_resize(c, 0, 1u << 20), managing, "another size");
	want(c, do_claim(c, 0, 9), managing, "a claim");
	want(c, vdd_call_snapshot(c->self, c->server, &snapshot, NULL, TIMEOUT_MS), managing,
	     "a snapshot");
	want(c,
	     vdd_call_hand_over(c->self, c->server, &over, NULL, NULL, 0, NULL, 0, NULL,
				TIMEOUT_MS),
	     managing, "to hand over");
	want(c, vdd_call_tune(c->self, c->server, &tune, NULL, NULL, 0, NULL, 0, NULL, TIMEOUT_MS),
	     managing, "another rate");
}

#define CLAIMS_MAX 1000u

static void thief(struct client *c)
{
	uint64_t claim = 1;

	while (claim < CLAIMS_MAX && do_claim(c, 0, claim) == DVS_STALE)
		claim++;
	want(c, do_claim(c, 0, claim + 1), DVS_OK, "the next claim");
}

int main(int argc, char **argv)
{
	struct client client = { .out = calloc(1, DVS_DATA_MAX), .in = calloc(1, DVS_DATA_MAX) };
	struct vdd_geometry_req req = { .minor = 0 };
	struct vdd_geometry_rep rep = { .bytes = 0 };
	struct dvk *dvk = NULL;
	dvs_err err;

	if (argc != 4 || !client.out || !client.in)
		return 2;
	err = dvk_open(argv[1], &dvk);
	if (!err)
		err = dvk_bind(dvk, dvs_ep_any(), DVK_LOCAL, &client.self);
	client.server = dvs_ep_of((uint32_t)strtoul(argv[2], NULL, 10));
	if (!err)
		err = dvk_wait_bind(dvk, client.server, TIMEOUT_MS, NULL);
	if (!err && strcmp(argv[3], "stranger") != 0)
		err = vdd_call_geometry(client.self, client.server, &req, &rep, NULL, 0, NULL, 0,
					NULL, TIMEOUT_MS);
	if (err) {
		(void)printf("vdd-bad: %s\n", dvs_strerror(err));
		return 2;
	}
	client.bytes = rep.bytes;
	if (strcmp(argv[3], "manager") == 0)
		manager(&client);
	else if (strcmp(argv[3], "thief") == 0)
		thief(&client);
	else if (strcmp(argv[3], "user") == 0)
		user(&client, DVS_OK, DVS_DENIED);
	else
		user(&client, DVS_DENIED, DVS_DENIED);
	dvk_close(dvk);
	free(client.out);
	free(client.in);
	return client.n_wrong ? 1 : 0;
}
