/* SPDX-License-Identifier: Apache-2.0 */
/* Disks beside a plain model of them: random requests, several of them under way, and every answer is compared. */
#ifndef TESTS_VDD_MODEL_H
#define TESTS_VDD_MODEL_H

#include "vdd_help.h"

#define MODEL_BYTES_MAX (1600u * 1024)
#define MODEL_REQUESTS 12u
#define MODEL_IO_BYTES_MAX (300u * 1024)

struct model_disk {
	bool is_there;
	uint32_t kind;
	uint32_t parent;
	uint64_t bytes;
	char name[DISK_NAME_MAX + 1];
	uint8_t *data;
};

struct model_request {
	struct disk_io io;
	struct model *model;
	bool is_busy;
	bool is_held;
	dvs_err wanted;
	uint32_t wanted_made;
	uint8_t *buffer;
	uint8_t *expected;
};

struct model {
	struct turns turns;
	struct disks_config config;
	struct disks *disks;
	uint64_t seed;
	uint64_t n;	     /* requests so far */
	uint32_t minors_max; /* disks at a time */
	bool resizes;
	struct model_disk disk[DISK_MINORS_MAX];
	struct model_request request[MODEL_REQUESTS];
};

/* Made anew: CONFIG's poster is filled in. */
void model_open(struct model *model, const struct disks_config *config, uint64_t seed);
/* N random requests; at the end none is under way. */
void model_run(struct model *model, unsigned int n);
/* Read all disks and compare. */
void model_compare(struct model *model);
/* Close the disks, and open what is in DIR (NULL: where they were). */
void model_reopen(struct model *model, const char *dir);
void model_close(struct model *model);
/* Up to the end: a number below N. */
uint64_t model_random(struct model *model, uint64_t n);

#endif
