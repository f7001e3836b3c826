/* SPDX-License-Identifier: Apache-2.0 */
/* What a DC's containers are to be like: the JSON of its record "dc", read, checked and written.
 *
 *	{ "root": {"kind": "host"},                    or {"kind": "image", "name": "debian", "digest": "sha256:..."}, {"kind": "directory", "path": "/srv/x"}
 *	  "hostname": "web", "network": "node",        or "none"; more kinds come ("private", with "publish")
 *	  "cpus": 1.5, "cpu_weight": 100, "cpuset": "0-1,3",
 *	  "memory": 268435456, "swap": 0, "pids": 512, "io_weight": 100,
 *	  "io": [{"device": "/dev/vda", "read_bps": 1000000, "write_bps": 1000000, "read_iops": 100, "write_iops": 100}],
 *	  "hugetlb": {"2MB": 0},
 *	  "devices": [{"path": "/dev/fuse", "access": "rwm"}],
 *	  "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
 *	  "seccomp": "default", "no_new_privs": true,  seccomp: or "unconfined"
 *	  "rlimits": {"nofile": [1024, 4096]},
 *	  "volumes": [{"source": "/srv/data", "target": "/data", "readonly": false}],     a source without a slash: a file system of the DC
 *	  "env": {"LANG": "C.UTF-8"}, "labels": {"team": "web"} }
 *
 * Every key but "root" may be missing; a missing limit is none, but for pids (4096). Keys that are not known are refused. Files and numbers are checked for what can be
 * known without a node; container_check() (container.h) does the rest. */
#ifndef CONTAINER_DESCRIPTION_H
#define CONTAINER_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include <jansson.h>

#define DESCRIPTION_TEXT_MAX 1000u  /* of a complaint */
#define DESCRIPTION_NONE UINT64_MAX /* no limit */
#define DESCRIPTION_LIST_MAX 32u
#define DESCRIPTION_PIDS_DEFAULT 4096u

enum description_root { DESCRIPTION_HOST = 1, DESCRIPTION_IMAGE, DESCRIPTION_DIRECTORY };
enum description_network { DESCRIPTION_NODE_NETWORK = 1, DESCRIPTION_NO_NETWORK };

struct description_io {
	const char *device;
	uint64_t read_bps, write_bps, read_iops, write_iops; /* DESCRIPTION_NONE */
};

struct description_volume {
	const char *
		source; /* a path of the node; or the name of a file system of the DC, which does not begin with a slash */
	const char *target;
	bool readonly;
};

static inline bool description_is_fs(const struct description_volume *volume)
{
	return volume->source[0] != '/';
}

struct description_device {
	const char *path;
	const char *access; /* of r, w, m */
};

struct description_pair {
	const char *name;
	const char *value;
};

struct description_rlimit {
	uint32_t which; /* RLIMIT_* */
	const char *name;
	uint64_t soft, hard; /* DESCRIPTION_NONE: unlimited */
};

struct description_hugetlb {
	const char *size; /* as the kernel names it: "2MB" */
	uint64_t bytes;
};

/* Strings belong to `document`. */
struct description {
	json_t *document;
	enum description_root root;
	const char *image;
	const char *digest; /* NULL: not said */
	const char *directory;
	const char *hostname; /* NULL: the DC's name */
	enum description_network network;
	uint64_t cpu_millis; /* thousandths of a CPU */
	uint64_t cpu_weight; /* 1 to 10000 as of cgroup v2, 100 is the default */
	const char *cpuset;  /* NULL: all */
	uint64_t memory_bytes;
	uint64_t swap_bytes; /* beside memory; DESCRIPTION_NONE */
	uint64_t pids;
	uint64_t io_weight;
	struct description_io io[DESCRIPTION_LIST_MAX];
	size_t n_io;
	struct description_hugetlb hugetlb[8];
	size_t n_hugetlb;
	struct description_device devices[DESCRIPTION_LIST_MAX];
	size_t n_devices;
	uint64_t capabilities; /* bit n: capability n of Linux, after add and drop */
	bool seccomp_default;
	bool no_new_privs;
	struct description_rlimit rlimits[16];
	size_t n_rlimits;
	struct description_volume volumes[DESCRIPTION_LIST_MAX];
	size_t n_volumes;
	struct description_pair env[128];
	size_t n_env;
};

/* Read LEN bytes of JSON. BADARG: WHY (room for DESCRIPTION_TEXT_MAX) says where (a path such as "io[0].device"), what is wrong and what would be right. NOMEM. */
DVS_MUST_USE dvs_err description_parse(const void *bytes, size_t len,
				       struct description *description, char *why);
/* The same for a document, of which it takes a reference. */
DVS_MUST_USE dvs_err description_from_json(json_t *document, struct description *description,
					   char *why);
void description_free(struct description *description);
/* The shortest JSON of DOCUMENT with sorted keys: equal descriptions are equal bytes. To be freed; NULL: no memory. */
char *description_text(const json_t *document, size_t *len);

#endif
