/* SPDX-License-Identifier: Apache-2.0 */
/* The two processes of an attachment. The keeper has the block device, the server carries out what is asked of it. They are two, because a process that has both cannot
 * be killed: at its end the kernel writes the device out, which only the process itself could do. */
#ifndef GATEWAYS_ATTACH_KEEPER_H
#define GATEWAYS_ATTACH_KEEPER_H

#include <signal.h>
#include <stdbool.h>

#include <dvs/error.h>

#include "base/log.h"
#include "gateways/attach/attach.h"
#include "gateways/attach/backend.h"
#include "gateways/attach/nbd_kernel.h"

/* To the keeper: let the device go, it ends when nobody has it open. */
#define KEEPER_GENTLY SIGTERM
/* End it now; whoever uses it gets errors. */
#define KEEPER_NOW SIGQUIT

#define ATTACH_THREADS_DEFAULT 16u

/* Where the backend comes from, called in the server's process. */
struct attach_source {
	void *context;
	dvs_err (*open)(void *context, struct attach_backend *backend,
			struct attach_geometry *geometry, char why[ATTACH_WHY_MAX]);
	/* At the end, all having been written: let others have it. May be NULL. */
	void (*close)(void *context);
};

struct attach_config {
	const char *run_dir;
	const char *volume; /* "DC/VOLUME[@SNAPSHOT]": for people, and for attach_list() */
	bool is_shared;
	unsigned int n_threads;
	const struct attach_source *source;
	const struct nbd_kernel
		*nbd; /* the device is one of the kernel's NBD client; NULL: a loop device */
	struct log log;
};

/* Make the device and stay behind it, in this process and a child, until it is let go. When it is there, "ok DEVICE\n" is written to REPORT_FD; or "error NUMBER TEXT\n"; then REPORT_FD is closed. */
void keeper_run(const struct attach_config *config, int report_fd);
/* In a process of its own, without a terminal. DEVICE gets its path. WHY gets a sentence. */
DVS_MUST_USE dvs_err attach_start(const struct attach_config *config, char device[LOOP_DEVICE_MAX],
				  char why[ATTACH_WHY_MAX]);

#endif
