/* SPDX-License-Identifier: Apache-2.0 */
/* Files of this machine as an archive, packed or unpacked by a thread at the other end of a pipe, for dvs cp. What comes from a container
 * is hostile: nothing of it gets outside of where it is put, and nothing of it gives rights here. */
#ifndef MANAGE_CONTAINER_ARCHIVE_H
#define MANAGE_CONTAINER_ARCHIVE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/compiler.h"
#include "container/description.h"

struct archive_end {
	int fd;		 /* our end of the pipe; -1: closed */
	int pipe;	 /* the thread's */
	int root;	 /* directory below which the files are */
	char path[4096]; /* below ROOT what is packed */
	char name
		[256]; /* packing: what it is called; unpacking: what the top name becomes; "": names as they are */
	uint64_t bytes; /* of files, counted by archive_pack() before it begins */
	uint64_t entries;
	pthread_t thread;
	bool runs;
	dvs_err err; /* the thread's */
	char why[DESCRIPTION_TEXT_MAX];
};

/* Pack PATH; its top name is NAME, "" for what is in it. To be ended in any case. WHY is in the struct. */
DVS_MUST_USE dvs_err archive_pack(struct archive_end *end, const char *path, const char *name);
/* Unpack into the directory PATH; the one top name becomes NAME, "" for names as they are. */
DVS_MUST_USE dvs_err archive_unpack(struct archive_end *end, const char *path, const char *name);
/* Close our end of the pipe and wait for the thread; how it went. */
DVS_MUST_USE dvs_err archive_finish(struct archive_end *end);

#endif
