/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench work passthrough SOURCE DIR: until it is unmounted or killed. Prints "ready". */
#include "manage/bench/fs/passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/bench/fs/files.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, WORDS = 4 };

/* ---- files that the kernel knows ---- */

struct pt *pt_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct pt_node *node_at(struct pt *pt, fuse_ino_t ino)
{
	/* The number is the one that pt_lookup() gave: where the node stands. */
	return ino == FUSE_ROOT_ID ? &pt->root : (struct pt_node *)(uintptr_t)ino;
}

struct pt_node *pt_node(fuse_req_t req, fuse_ino_t ino)
{
	return node_at(pt_of(req), ino);
}

int pt_fd(fuse_req_t req, fuse_ino_t ino)
{
	return pt_node(req, ino)->fd;
}

static struct pt_node **bucket(struct pt *pt, const struct stat *attr)
{
	uint64_t mixed =
		(attr->st_ino ^ (uint64_t)attr->st_dev << 32) * UINT64_C(0x9e3779b97f4a7c15);

	return &pt->buckets[mixed >> 48 & (PT_BUCKETS - 1)];
}

/* FD is the node's, or is closed. NULL: no memory. */
static struct pt_node *take_node(struct pt *pt, int fd, const struct stat *attr)
{
	struct pt_node **first = bucket(pt, attr);
	struct pt_node *node;

	pthread_mutex_lock(&pt->lock);
	for (node = *first; node; node = node->next)
		if (node->ino == attr->st_ino && node->dev == attr->st_dev)
			break;
	if (node) {
		close(fd);
	} else {
		node = calloc(1, sizeof(*node));
		if (node) {
			*node = (struct pt_node){
				.next = *first, .fd = fd, .dev = attr->st_dev, .ino = attr->st_ino
			};
			*first = node;
		} else {
			close(fd);
		}
	}
	if (node)
		node->n_lookups++;
	pthread_mutex_unlock(&pt->lock);
	return node;
}

int pt_lookup(struct pt *pt, int parent_fd, const char *name, struct fuse_entry_param *entry)
{
	int fd = openat(parent_fd, name, O_PATH | O_NOFOLLOW);
	struct pt_node *node;
	int error;

	*entry = (struct fuse_entry_param){ .attr_timeout = PT_KEPT_S, .entry_timeout = PT_KEPT_S };
	if (fd < 0)
		return errno;
	if (fstatat(fd, "", &entry->attr, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) {
		error = errno;
		close(fd);
		return error;
	}
	node = take_node(pt, fd, &entry->attr);
	if (!node)
		return ENOMEM;
	entry->ino = (fuse_ino_t)(uintptr_t)node;
	return 0;
}

void pt_forget(struct pt *pt, fuse_ino_t ino, uint64_t n_lookups)
{
	struct pt_node *node = node_at(pt, ino);
	struct stat key = { .st_ino = node->ino, .st_dev = node->dev };
	struct pt_node **at;

	if (node == &pt->root)
		return;
	pthread_mutex_lock(&pt->lock);
	node->n_lookups -= n_lookups;
	if (node->n_lookups == 0) {
		for (at = bucket(pt, &key); *at != node; at = &(*at)->next)
			;
		*at = node->next;
		close(node->fd);
		free(node);
	}
	pthread_mutex_unlock(&pt->lock);
}

/* ---- the process ---- */

static int fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return EXIT_FAULT;
}

static int run(struct fuse_session *session, const char *dir)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int status = EXIT_FAULT;

	if (!config)
		return fail("allocate");
	if (fuse_session_mount(session, dir) == 0) {
		printf("ready\n");
		(void)fflush(stdout);
		status = fuse_session_loop_mt(session, config) == 0 ? 0 : EXIT_FAULT;
		fuse_session_unmount(session);
	}
	fuse_loop_cfg_destroy(config);
	return status;
}

/* A descriptor for each file that the kernel knows. */
static void take_descriptors(void)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) == 0) {
		most.rlim_cur = most.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &most);
	}
}

int bench_passthrough_main(int argc, char **argv)
{
	char program[] = "passthrough", option[] = "-oallow_other";
	char *words[] = { program, option, NULL };
	struct fuse_args arguments = FUSE_ARGS_INIT(2, words);
	struct fuse_lowlevel_ops ops = { .init = NULL };
	AUTO_FREE struct pt *pt = calloc(1, sizeof(*pt));
	struct fuse_session *session;
	int status;

	if (argc != WORDS) {
		fprintf(stderr, "usage: dvs bench work passthrough SOURCE DIRECTORY\n");
		return EXIT_USAGE;
	}
	if (!pt)
		return fail("allocate");
	take_descriptors();
	pthread_mutex_init(&pt->lock, NULL);
	pt->root.fd = open(argv[2], O_PATH | O_DIRECTORY);
	if (pt->root.fd < 0)
		return fail(argv[2]);
	(void)umask(0); /* the kernel has applied the caller's */
	pt_names_add(&ops);
	pt_files_add(&ops);
	session = fuse_session_new(&arguments, &ops, sizeof(ops), pt);
	if (!session)
		return fail("make a FUSE session");
	status = run(session, argv[3]);
	fuse_session_destroy(session);
	fuse_opt_free_args(&arguments);
	close(pt->root.fd);
	return status;
}
