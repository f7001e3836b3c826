/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of fs-stand-in have in common. */
#ifndef TESTS_FS_STAND_IN_H
#define TESTS_FS_STAND_IN_H

#include <stdbool.h>
#include <stdint.h>

#include "skeleton/fs_serve.h"

#define FILES 4096u
#define SESSIONS 8u
#define MEMBERS 1024u
#define HANDLES 4096u

struct name {
	struct name *next;
	uint64_t ino;
	uint64_t cookie;
	size_t len;
	char text[256];
};

struct file {
	struct fs_attr attr;
	uint8_t *data;
	struct name *names; /* of a directory, in the order of cookies */
	uint64_t last_cookie;
	uint64_t parent;
	uint32_t leases; /* a bit for each session */
	uint32_t told;	 /* of those, that were recalled and not acknowledged */
	uint32_t n_waiting;
	uint32_t locked_by; /* exclusive: session + 1 */
	uint64_t owner;
};

struct session {
	bool is_used;
	bool has_leases;
	dvs_ep first;		   /* it lives as long as this endpoint */
	uint64_t handles[HANDLES]; /* files */
	struct skeleton_request *listener;
	uint64_t listens_ns;
	uint64_t to_recall[FILES];
	uint32_t n_to_recall;
};

struct server {
	struct dvk *dvk;
	struct skeleton *skeleton;
	struct file *files[FILES];
	struct session sessions[SESSIONS];
	struct {
		uint32_t ep;
		uint32_t session;
	} members[MEMBERS];
	uint32_t n_members;
	uint32_t n_releases; /* requests */
	struct list parked;
	struct skeleton_timer tick;
	uint8_t room[DVS_DATA_MAX];
};

/* fs_stand_in_ops.c */
extern const struct fs_handlers handlers;

/* fs_stand_in.c */
/* NULL: there is none. */
struct file *file_of(struct server *server, uint64_t ino);
void touch(struct file *file);
struct file *make_file(struct server *server, uint32_t mode, uint64_t parent);
/* The place of that name, or the end. */
struct name **find(struct file *dir, const char *text, size_t len);
void add_name(struct file *dir, const char *text, size_t len, uint64_t ino);
void remove_name(struct file *dir, struct name **at);
void resize(struct file *file, uint64_t bytes);
/* Its number; SESSIONS: it has none. */
uint32_t session_of(const struct server *server, dvs_ep ep);
/* Whether REQUEST has to wait for the leases of others on INO; then it is asked again when they have changed. */
bool waits(struct server *server, struct skeleton_request *request, uint64_t ino);
/* Ask again what waited. */
void replay(struct server *server);
/* The attributes, with a lease where nobody waits for its end; how many bytes OUT has. */
size_t put_attr(struct server *server, const struct skeleton_request *request, struct file *file,
		struct writer *out);
void answer_attr(struct server *server, struct skeleton_request *request, struct file *file);
void refuse(struct skeleton_request *request, dvs_err err);
/* The session of who asks; NULL: it was answered. */
struct session *begin(struct server *server, struct skeleton_request *request);
void on_hello(void *state, struct skeleton_request *request, const struct fs_hello_req *req);
void on_join(void *state, struct skeleton_request *request, const struct fs_join_req *req);
void on_bye(void *state, struct skeleton_request *request, const struct fs_bye_req *req);
void on_resume(void *state, struct skeleton_request *request, const struct fs_resume_req *req);
void on_who(void *state, struct skeleton_request *request, const struct fs_who_req *req);
void on_recalls(void *state, struct skeleton_request *request, const struct fs_recalls_req *req);

#endif
