/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as the records of a DC describe them (decision 0021): record volume/NAME, a JSON object. For the command line, the server and the gateways. The calls of the
 * server itself are generated (client/vdd_calls.h). */
#ifndef CLIENT_VOLUME_H
#define CLIENT_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/container.h>
#include <dvs/dvk.h>

#include "base/compiler.h"

#define VOLUME_NAME_MAX 48 /* letters, digits, '-', '_', '.', not first a '.' or '-' */
#define VOLUME_PLACE_MAX 255
#define VOLUME_WHY_MAX 255
/* Endpoints of volumes have the numbers from here on. */
#define VOLUME_EP_FIRST 256u
#define VOLUME_EP_LAST 767u
#define VOLUMES_OF_DC_MAX 128u
#define VOLUME_BLOCK_BYTES 4096u /* sizes are multiples of it */
#define VOLUME_BYTES_MAX (UINT64_C(16) << 40)
#define VOLUME_MINOR_MAX 63u
#define VOLUME_LAG_MAX (UINT64_C(1) << 40)

enum volume_store { VOLUME_RAM = 0, VOLUME_FILE, VOLUME_RAW, VOLUME_NBD };

/* One node's replica. */
struct volume_replica {
	uint32_t node;
	char place
		[VOLUME_PLACE_MAX +
		 1]; /* RAW: its device; NBD: its URI; FILE: another file than the node's own, or ""; RAM: "" */
};

/* JSON: {"id": "UUID", "bytes": N, "endpoint": N, "minor": 0, "store": "ram|file|raw|nbd", "direct": false, "replicas": [{"node": 0, "place": ""}], "first": 0,
 * "async": false, "lag_bytes": 0, "resync_bytes_per_s": 0, "access": "managers|dc", "of": ""}. A clone: "of" names the volume in whose server it is, minor is not 0, and it has no replicas of its own. */
struct volume {
	char name[VOLUME_NAME_MAX + 1]; /* the record's key has it */
	char id[37];
	uint64_t bytes; /* as it was made; the server knows what it is now */
	uint32_t endpoint;
	uint32_t minor;
	enum volume_store store;
	bool direct;
	uint32_t n_replicas;
	struct volume_replica replicas[DVS_NODES_MAX];
	uint32_t first; /* node whose replica begins */
	bool async;
	uint64_t lag_bytes;
	uint64_t resync_bytes_per_s; /* 0: without limit */
	bool access_dc;
	char of[VOLUME_NAME_MAX + 1];
};

/* The words for stores, in the order of enum volume_store; ended by NULL. */
extern const char *const volume_stores[];

bool volume_name_ok(const char *name);
/* Whether a replica can have PLACE; if not, *WHY is what it must be. */
bool volume_place_ok(enum volume_store store, const char *place, const char **why);
/* That on NODE; NULL: it has none there. */
struct volume_replica *volume_replica_on(struct volume *volume, uint32_t node);
/* The key of its record. */
void volume_key(const char *name, char key[DVS_NAME_MAX + 1]);
/* From a record's value. BADARG: WHY gets a sentence. NOMEM. */
DVS_MUST_USE dvs_err volume_parse(const char *name, const void *value, size_t len,
				  struct volume *volume, char why[VOLUME_WHY_MAX + 1]);
/* *TEXT is malloc'ed. NOMEM. TOOBIG: more than DVK_VALUE_MAX. */
DVS_MUST_USE dvs_err volume_print(const struct volume *volume, char **text);
/* Whether they say the same. */
bool volume_equal(const struct volume *a, const struct volume *b);
/* Over an admin link. NODC, NOTFOUND, BADARG. *VERSION may be NULL. */
DVS_MUST_USE dvs_err volume_get(struct dvk *admin, const char *dc, const char *name,
				struct volume *volume, uint64_t *version);
/* The first volume of DC after NAME (start with ""; room for VOLUME_NAME_MAX + 1), which is overwritten. NOTFOUND: that was all. BADARG: of that
 * one (NAME) the record is damaged; go on from it. */
DVS_MUST_USE dvs_err volume_next(struct dvk *admin, const char *dc, char *name,
				 struct volume *volume, uint64_t *version);
/* Split "DC/VOLUME" or, with SNAPSHOT, "DC/VOLUME@SNAPSHOT" ("" when there is none). False: it is none. */
bool volume_name_split(const char *text, char dc[DVS_NAME_MAX + 1], char name[VOLUME_NAME_MAX + 1],
		       char snapshot[DVS_NAME_MAX + 1]);

/* The link with DC of the dvsd in RUN_DIR (as in dvk_admin_open()), as a program outside its containers. As dvk_open(). */
DVS_MUST_USE dvs_err volume_dc_open(const char *run_dir, const char *dc, struct dvk **dvk);

/* A disk that is open: for one thread. */
struct volume_disk {
	struct dvk *dvk;
	struct m3 *self;
	dvs_ep server;
	uint32_t minor;
	uint64_t bytes;
	uint32_t block_bytes;
	bool is_read_only;
	bool trims;	/* what is trimmed takes no space any more */
	uint64_t claim; /* the number under which it is written (claim.h); 0: none */
	char id[37];	/* of the volume */
	uint64_t
		life; /* the same as at an earlier opening: nothing that was answered since is lost, flushed or not */
};

/* Open DC/VOLUME[@SNAPSHOT] for the calling thread: a link with the DC, an endpoint, the geometry. RUN_DIR as in dvk_admin_open(). Waits up to TIMEOUT_MS for its server. NODC, NOTFOUND, DENIED, NODEST: no server runs (yet). WHY gets a sentence. */
DVS_MUST_USE dvs_err volume_open(const char *run_dir, const char *text, uint32_t timeout_ms,
				 struct volume_disk *disk, char why[VOLUME_WHY_MAX + 1]);
/* The same over links that the caller has and keeps: an admin link and one with the DC; it is closed by volume_close_thread(). For who opens many. */
DVS_MUST_USE dvs_err volume_open_on(struct dvk *admin, struct dvk *dvk, const char *text,
				    uint32_t timeout_ms, struct volume_disk *disk,
				    char why[VOLUME_WHY_MAX + 1]);
/* Another thread's endpoint on the same link. */
DVS_MUST_USE dvs_err volume_open_thread(const struct volume_disk *disk, struct volume_disk *mine);
void volume_close(struct volume_disk *disk); /* of volume_open(): ends the link */
void volume_close_thread(struct volume_disk *disk);

#endif
