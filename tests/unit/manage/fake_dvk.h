/* SPDX-License-Identifier: Apache-2.0 */
/* A dvsd of few lines in the place of libdvk: what the commands are tested against. A test sets
 * up DCs, endpoints and failures, and runs a command line. */
#ifndef TESTS_MANAGE_FAKE_DVK_H
#define TESTS_MANAGE_FAKE_DVK_H

#include <dvs/dvk.h>

#include "proto/vdd_proto.h"

#define FAKE_DCS_MAX 8
#define FAKE_ENDPOINTS_MAX 64
#define FAKE_RECORDS_MAX 16
#define FAKE_LINKS_MAX 4
#define FAKE_KEPT_MAX 160

struct fake_dc {
	struct dvk_dc_info info;
	struct dvk_endpoint_info endpoints[FAKE_ENDPOINTS_MAX];
	uint32_t n_endpoints;
};

struct fake_record {
	dvs_err err; /* of dvk_trace_next() */
	uint64_t lost;
	struct dvk_trace_record record;
};

struct fake_kept {
	char dc[DVS_NAME_MAX + 1];
	char key[DVS_NAME_MAX + 1];
	char value[2048];
	uint64_t version;
};

/* What the server of every volume is like. */
struct fake_disk {
	int is_away; /* nobody is bound */
	dvs_err call_err;
	uint32_t primary; /* a node */
	uint32_t syncing; /* a node, for so many looks: */
	uint32_t sync_looks;
	uint32_t away;	/* a node */
	uint64_t bytes; /* 0: as the record says */
	uint64_t rate;
	uint64_t paused_ms;
	uint32_t waiting; /* the pause grows by as much at each look */
	uint64_t counts;  /* the counters grow by as much at each look */
	uint64_t counted;
	uint8_t verify_state;
	uint32_t verify_looks; /* until it is done */
	uint64_t differs;
	uint64_t repaired;
	dvs_err hand_over_err;
	struct vdd_disk disks[8];
	uint32_t n_disks;
};

struct fake {
	struct fake_dc dcs[FAKE_DCS_MAX];
	uint32_t n_dcs;
	struct dvk_link_info links[FAKE_LINKS_MAX];
	uint32_t n_links;
	uint32_t control_dc; /* index of the DC that the control socket decides */
	dvs_err admin_err;   /* of dvk_admin_open() */
	dvs_err control_err; /* of dvk_open() */
	dvs_err create_err;
	int nodes_differ; /* in dvk_verify() */
	dvs_err next_err; /* of dvk_endpoint_next(), in place of the end of the list */
	struct fake_record records[FAKE_RECORDS_MAX];
	uint32_t n_records;
	uint32_t next_record;
	int n_open;	   /* links that are open now */
	char run_dir[64];  /* the last one given to dvk_admin_open() */
	uint64_t per_look; /* messages added to each counter when it is read */
	int has_agents;
	int barn_is_up;			      /* the second node */
	struct fake_kept kept[FAKE_KEPT_MAX]; /* records of DCs */
	size_t n_kept;
	uint64_t version;
	uint32_t n_set_races; /* so often somebody else changes a record first */
	struct fake_disk disk;
	const char *why_of_new; /* the first node says so of a volume when it is made */
};

/* The one fake of this process: each test has a process of its own. */
struct fake *fake(void);

struct fake_dc *fake_add_dc(const char *name);
struct dvk_endpoint_info *fake_add_endpoint(struct fake_dc *dc, uint32_t number,
					    uint32_t generation, const char *program);
void fake_keep(const char *dc, const char *key, const char *value);
/* NULL: there is no such record. */
const char *fake_kept(const char *dc, const char *key);
void fake_add_record(dvs_err err, uint64_t lost, const char *what, uint32_t partner, uint32_t type);

#endif
