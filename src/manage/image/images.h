/* SPDX-License-Identifier: Apache-2.0 */
/* The images of all nodes, and the jobs that make and copy them. The functions that return an int return an exit status, EXIT_DONE if all went well; else the message is
 * out. */
#ifndef MANAGE_IMAGE_IMAGES_H
#define MANAGE_IMAGE_IMAGES_H

#include "manage/container/reach.h"

/* An image by one name, and where it is. */
struct image_on {
	struct agent_image image; /* as the first of its nodes tells it */
	uint64_t nodes;		  /* bits */
	uint32_t used_by;	  /* containers on all of them */
};

struct images {
	struct image_on *one; /* by name, then digest */
	size_t n, room;
	uint64_t asked; /* nodes that answered, as bits */
};

/* Ask all nodes that are up; one that does not answer is named as a remark. */
MUST_USE int images_load(struct cli *cli, struct reach *reach, struct images *images);
void images_free(struct images *images);

/* The one that WORD names: a name, or a digest or its beginning. Names that mean different images on different nodes are a failure of WHAT ("copy"). */
MUST_USE int images_find(struct cli *cli, const struct reach *reach, const struct images *images,
			 const char *word, const char *what, const struct image_on **found);

/* Follow JOB of NODE to its end and show how far it is; TITLE stands before that. Ctrl-C ends the job; so that one is not lost that comes before
 * this call, whoever starts the job opens interrupts (terminal.h) before. DIGEST may be NULL. */
#define IMAGES_DIGEST_BYTES 72u
MUST_USE int images_follow(struct cli *cli, struct reach *reach, dvs_nodeid node, uint64_t job,
			   const char *title, char digest[IMAGES_DIGEST_BYTES]);

/* Copy the image NAME (or digest), which node FROM has, to the nodes TO (bits). */
MUST_USE int images_copy(struct cli *cli, struct reach *reach, const char *name, dvs_nodeid from,
			 uint64_t to);

int cmd_image_import(struct cli *cli);
int cmd_image_ls(struct cli *cli);
int cmd_image_inspect(struct cli *cli);
int cmd_image_copy(struct cli *cli);
int cmd_image_rm(struct cli *cli);
int cmd_doctor(struct cli *cli);

#endif
