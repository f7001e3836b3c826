/* SPDX-License-Identifier: Apache-2.0 */
/* One node's container of one DC: bundle, root file system, crun, limits, figures. Knows no messages and no other nodes.
 *
 * Calls block (crun takes 30 to 200 ms): they are made from worker threads, for one container by one thread at a time. They can be repeated: whatever was
 * interrupted, container_remove() leaves nothing and container_create() then makes it anew. Every call that fails writes a sentence (what, why, what to try) to WHY
 * (room for DESCRIPTION_TEXT_MAX). */
#ifndef CONTAINER_CONTAINER_H
#define CONTAINER_CONTAINER_H

#include <sys/types.h>

#include "container/description.h"

#define CONTAINER_ID_MAX 63u
#define CONTAINER_UID_FIRST 0x10000000u
#define CONTAINER_UIDS 65536u
#define CONTAINER_DCS 32768u

static inline uint32_t container_uid(uint32_t dc)
{
	return CONTAINER_UID_FIRST + dc % CONTAINER_DCS * CONTAINER_UIDS;
}

/* Where things are. The same for all containers of a node. */
struct container_host {
	char run_dir
		[108]; /* dvsd's; containers are below run_dir/containers, crun's own state below run_dir/crun */
	char lib_dir[108]; /* upper parts of root file systems, images: outlives the machine */
	char cgroup
		[64]; /* path of the parent of all its containers' cgroups: "/dvs-1f2e3d4c", unique on the machine */
	char init[256]; /* the dc-init program */
	char crun[256];
};

enum container_layout { CONTAINER_V1 = 1, CONTAINER_V2 = 2, CONTAINER_HYBRID = 3 };

/* Prepare this process, once, before threads: a mount namespace of its own, in which crun can work on whatever layout the host has. Reads or makes the id in lib_dir
 * and the cgroup. DENIED, NOTFOUND (crun, dc-init), IO. */
DVS_MUST_USE dvs_err container_host_open(const char *run_dir, const char *lib_dir,
					 struct container_host *host, char *why);
enum container_layout container_layout(void);
#define CONTAINER_GROUP_BYTES 32u

/* The cgroup (as in struct container_host) of the node with this LIB_DIR. False: it never had one. */
bool container_host_group(const char *lib_dir, char group[CONTAINER_GROUP_BYTES]);

/* For a node that is gone for good: kill all that is left in its cgroup (as in struct container_host) and remove it, also in trees that only its agent had
 * mounted. Works in a child process, so that the caller's mounts stay as they are. OK when there is nothing. TIMEOUT, DENIED, IO. */
DVS_MUST_USE dvs_err container_host_remove(const char *cgroup, char *why);

/* What a container is made from. */
struct container_plan {
	const char *name; /* of the DC */
	uint32_t dc;
	const struct description *description;
	const char *tree;	    /* of an image (its own ids); NULL: root is not an image */
	const char *control_socket; /* of the DC in dvsd: mounted as /run/dvs/control; NULL: none */
};

/* Whether this node could have it, without making anything. BADARG, NOTFOUND, DENIED. */
DVS_MUST_USE dvs_err container_check(const struct container_host *host,
				     const struct container_plan *plan, char *why);
/* Make and start it; dc-init runs when this returns. *PID is its number on the host; the path of its socket is container_socket(). EXISTS: it runs already. */
DVS_MUST_USE dvs_err container_create(const struct container_host *host,
				      const struct container_plan *plan, pid_t *pid, char *why);
/* Other limits for one that runs: all that a description says but root, volumes, capabilities, seccomp, devices, network and hostname, which need a new one (BADSTATE). */
DVS_MUST_USE dvs_err container_update(const struct container_host *host,
				      const struct container_plan *plan, char *why);
/* Whether NEW can be applied to a container made from OLD by container_update(); WHY: which field needs a new one. */
bool container_can_update(const struct description *old, const struct description *new, char *why);
DVS_MUST_USE dvs_err container_freeze(const struct container_host *host, const char *name, bool on,
				      char *why);
/* Kill all in it, remove cgroups, mounts, files and what it wrote (its upper part). OK when there is nothing. */
DVS_MUST_USE dvs_err container_remove(const struct container_host *host, const char *name,
				      char *why);

enum container_is {
	CONTAINER_ABSENT = 0,
	CONTAINER_RUNS,
	CONTAINER_FROZEN,
	CONTAINER_LEFTOVER /* something of it is there */
};
struct container_state {
	enum container_is is;
	pid_t pid;
	uint32_t dc;	  /* the DC that it was made for: another one may have its name since */
	uint64_t version; /* as container_mark() was told */
	char digest[72];  /* of the image that its root was made from; empty: of none */
};
dvs_err container_look(const struct container_host *host, const char *name,
		       struct container_state *state);
/* Keep with the container which version of the description it has. */
dvs_err container_mark(const struct container_host *host, const char *name, uint64_t version);
/* The names of all of which something is there: N strings, to be freed one by one and together. */
dvs_err container_list(const struct container_host *host, char ***names, size_t *n);
/* dc-init's socket, on the host: room for 108. */
void container_socket(const struct container_host *host, const char *name, char *path);

struct container_usage {
	uint64_t cpu_ns, cpu_limit_millis, throttled_ns;
	uint64_t memory_bytes, memory_limit, memory_peak, oom_kills;
	uint64_t pids, pids_limit;
	uint64_t io_read_bytes, io_write_bytes;
	bool frozen;
};
dvs_err container_usage(const struct container_host *host, const char *name,
			struct container_usage *usage);

/* ---- files inside: a child process enters the container's mounts and users and does it, so that no link leads out ---- */

/* Unpack the archive (pax) that comes on FD: with INTO below the folder PATH, without it in the place of PATH, for which it must have one top name. What was there is replaced, but no folder by a
 * file. Or pack PATH onto FD, where it is called by its last part; of "/", and of what ends in "." or "..", what is in it comes to the top. Links on the way to PATH are followed as the container
 * sees them; one at its end is packed as a link, and with a '/' behind it what it leads to. Devices and sockets are not packed, nor what is in the kernel's own file systems (/proc).
 *
 * *CHILD is to be waited for: it exits with 0, or with a dvs_err; what is wrong it writes as a sentence to WHY_FD. UID, GID: owners, UINT32_MAX: those of the archive. Does not block. */
DVS_MUST_USE dvs_err container_unpack(pid_t init, const char *path, bool into, uint32_t uid,
				      uint32_t gid, int fd, int why_fd, pid_t *child);
DVS_MUST_USE dvs_err container_pack(pid_t init, const char *path, int fd, int why_fd, pid_t *child);
/* Sizes for a bar: regular files' bytes and number of entries below PATH. NOTFOUND. */
DVS_MUST_USE dvs_err container_measure(pid_t init, const char *path, uint64_t *bytes,
				       uint64_t *entries, bool *directory, char *why);
/* USER ("", "name", "uid", "uid:gid") by the container's /etc/passwd and group. NOTFOUND, BADARG, TIMEOUT. */
DVS_MUST_USE dvs_err container_user(pid_t init, const char *user, uint32_t *uid, uint32_t *gid,
				    uint32_t groups[32], uint32_t *n_groups, char *home,
				    size_t home_size, char *why);

#endif
