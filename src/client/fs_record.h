/* SPDX-License-Identifier: Apache-2.0 */
/* File systems as the records of a DC describe them (decision 0026): record fs/NAME, a JSON object. For the command line, the server and the gateways. The calls of the server itself are generated
 * (client/fs_calls.h). */
#ifndef CLIENT_FS_RECORD_H
#define CLIENT_FS_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/container.h>
#include <dvs/dvk.h>

#include "base/compiler.h"

#define FS_RECORD_NAME_MAX 48 /* as that of a volume */
#define FS_RECORD_PLACE_MAX 255
#define FS_RECORD_WHY_MAX 255
/* Endpoints of file systems have the numbers from here on. */
#define FS_EP_FIRST 768u
#define FS_EP_LAST 1023u
#define FS_BYTES_MIN (UINT64_C(16) << 20)
#define FS_BYTES_MAX (UINT64_C(16) << 40)

enum fs_store { FS_STORE_RAM = 0, FS_STORE_FILE, FS_STORE_RAW, FS_STORE_VOLUME };

/* JSON: {"id": "UUID", "endpoint": N, "store": "ram|file|raw|volume", "place": "", "volume": "", "bytes": N, "nodes": [0, 1], "access": "managers|dc"} */
struct fs_record {
	char name[FS_RECORD_NAME_MAX + 1]; /* the record's key has it */
	char id[37];
	uint32_t endpoint;
	enum fs_store store;
	/* FILE: another file than the node's own, or ""; RAW: the device */
	char place[FS_RECORD_PLACE_MAX + 1];
	char volume[FS_RECORD_NAME_MAX + 1]; /* VOLUME: of the same DC */
	uint64_t bytes; /* RAM, FILE: as it was made; others: 0, as large as what they are on */
	/* Nodes with a server, the one that begins first: the others are backups, which only a file system on a volume can have. */
	uint32_t n_nodes;
	uint32_t nodes[DVS_NODES_MAX];
	bool access_dc; /* programs of the DC may ask the server, as who they are; else only managers and gateways */
};

/* The words for stores, in the order of enum fs_store; ended by NULL. */
extern const char *const fs_record_stores[];

bool fs_record_name_ok(const char *name);
bool fs_record_is_on(const struct fs_record *record, uint32_t node);
void fs_record_key(const char *name, char key[DVS_NAME_MAX + 1]);
/* From a record's value. BADARG: WHY gets a sentence. NOMEM. */
DVS_MUST_USE dvs_err fs_record_parse(const char *name, const void *value, size_t len,
				     struct fs_record *record, char why[FS_RECORD_WHY_MAX + 1]);
/* *TEXT is malloc'ed. NOMEM. TOOBIG: more than DVK_VALUE_MAX. */
DVS_MUST_USE dvs_err fs_record_print(const struct fs_record *record, char **text);
/* Over an admin link. NODC, NOTFOUND, BADARG. *VERSION may be NULL. */
DVS_MUST_USE dvs_err fs_record_get(struct dvk *admin, const char *dc, const char *name,
				   struct fs_record *record, uint64_t *version);
/* The first of DC after NAME (start with ""; room for FS_RECORD_NAME_MAX + 1), which is overwritten. NOTFOUND: that was all. BADARG: the
 * record of NAME is damaged; go on from it. */
DVS_MUST_USE dvs_err fs_record_next(struct dvk *admin, const char *dc, char *name,
				    struct fs_record *record, uint64_t *version);

#endif
