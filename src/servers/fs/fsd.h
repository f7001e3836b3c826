/* SPDX-License-Identifier: Apache-2.0 */
/* The process around a file system: its endpoint, sessions of clients, what they have open, leased and locked, and the operations of fs.toml (decision 0026). One
 * thread, the skeleton's, has all of it; a second one listens to what happens in the DVS and posts. */
#ifndef SERVERS_FS_FSD_H
#define SERVERS_FS_FSD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <dvs/dvk.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/log.h"
#include "base/post.h"
#include "client/fs_record.h"
#include "servers/fs/fs.h"
#include "skeleton/fs_serve.h"
#include "skeleton/skeleton.h"

struct fsd_options {
	char run_dir[108];
	char lib_dir[108];
	char dc[DVS_NAME_MAX + 1];
	char name[FS_RECORD_NAME_MAX + 1];
	uint32_t node;
	enum log_level log_level;
};

#define FSD_BUCKETS 4096u      /* of each table by number */
#define FSD_HANDLES_MAX 65536u /* of a session */
#define FSD_IDENTITIES_MAX 4096u
#define FSD_MEMBERS_MAX 1024u
#define FSD_SESSIONS_MAX 1024u
#define FSD_LEASES_MAX (1u << 20)
#define FSD_LOCKS_MAX 65536u

struct fsd {
	struct fsd_options options;
	struct log log;
	struct fs_record record;
	char dir[320]; /* of what the node keeps of it */
	struct dvk *admin;
	struct dvk *dvk;
	struct skeleton *skeleton;
	struct skeleton_service services[1];
	struct m3 *service;
	bool is_stopping;
	bool is_over;	   /* the record names this node no more */
	bool is_away;	   /* what it is on could not be reached when it was to be opened */
	bool was_away;	   /* a tick ago it could not be reached */
	uint64_t retry_ns; /* not before is it tried again to open the file system */
	struct fs *fs;	   /* NULL: not taken over yet */
	char why[256];	   /* it could not be */
	uint64_t server;   /* a number of this life of the server */
	/* whose turn it is to serve */
	uint64_t begins_ns;   /* so long this one waits for who is named before it */
	bool has_turn;	      /* it was taken over, and nobody else has had it since */
	uint64_t taken_ns;    /* when it was taken over; 0: never */
	uint64_t patience_ns; /* so long it is served before another server gets it */
	uint64_t asks_ns;     /* not before is the primary asked for it again */
	atomic_bool is_asking;
	struct skeleton_timer sync;
	struct skeleton_timer again;
	/* posts of the listening thread */
	struct post look;
	atomic_bool is_look_put;
	pthread_t main;
	/* sessions */
	struct list sessions;
	uint32_t n_sessions;
	uint64_t last_session;
	uint64_t loaded_ns;
	uint32_t n_expected;		  /* that have not said yet what they had */
	bool is_settled;		  /* all have, and files that nobody has are gone */
	struct list members[FSD_BUCKETS]; /* by endpoint */
	struct list unsettled;		  /* requests `resumed` that wait for the others */
	/* leases */
	struct list leased[FSD_BUCKETS]; /* by file */
	uint64_t n_leases;
	uint64_t last_recall;
	struct list parked;   /* requests that wait for recalls */
	struct list deferred; /* requests that wait for the medium */
	uint64_t deferred_ns; /* since when */
	bool is_replaying;
	/* locks */
	struct list locked[FSD_BUCKETS]; /* by file */
	uint32_t n_locks;
	uint64_t synced_ns;
	/* Room for answers, which are sent before the handler returns. */
	uint8_t listing[DVS_DATA_MAX];
	uint8_t names[DVS_DATA_MAX];
	uint8_t recalls[1u << 16];
	union {
		struct fs_status_rep status;
		struct fs_check_rep check;
		struct fs_sessions_rep sessions;
	} rep;
	struct {
		uint64_t requests;
		uint64_t recalls;
		uint64_t read_bytes;
		uint64_t written_bytes;
	} figures;
};

/* An identity that a session has told. */
struct fsd_who {
	struct list of_session;
	uint32_t number;
	struct fs_who who;
	uint32_t groups[];
};

struct fsd_handle {
	struct list of_session;
	uint32_t number;
	uint32_t flags; /* of open(2) */
	uint32_t who;
	uint64_t ino;
};

struct fsd_session {
	struct list of_fsd;
	uint64_t number;
	dvs_ep first; /* the session lives as long as this endpoint */
	uint32_t node;
	bool is_trusted;  /* its identities are what it says */
	bool has_leases;  /* it answers recalls */
	bool wants_names; /* and keeps names of directories */
	bool is_expected; /* its server was another one, and it has not said all yet */
	bool is_resuming;
	uint64_t
		ends_ns; /* its node is down: so long what it has cached may still be seen there; 0: not */
	struct list members;
	uint32_t n_members;
	struct list identities[64];
	uint32_t n_identities;
	struct list handles[256];
	uint32_t n_handles;
	struct list leases;
	uint64_t n_leases;
	uint32_t n_locks;
	struct skeleton_request *listener; /* a request `recalls` that waits */
	uint64_t listens_ns;
	struct list to_recall; /* leases of which it is to be told that they end */
	struct list told;      /* of which it was told, and that it has not acknowledged */
};

/* ---- fsd_process.c ---- */

/* Until SIGTERM or SIGINT, or until the record names this node no more. NODC, NOTFOUND: there is no such record; INUSE: another process serves it here. */
DVS_MUST_USE dvs_err fsd_run(struct fsd *fsd);
/* For the skeleton's thread: open the file system, if this server is the primary. Tried again later when it fails. */
void fsd_take_over(struct fsd *fsd);
/* fsd_open.c: what the record says, made when it is new. WHY (fsd->why) gets a sentence. */
DVS_MUST_USE dvs_err fsd_open_fs(struct fsd *fsd);
extern const struct fs_handlers fsd_handlers;

/* ---- fsd_prefer.c ---- */

/* Nobody has it: whether who is named before this node is to begin. For a moment after the start; then whoever is there does. */
bool fsd_prefers_other(struct fsd *fsd);
/* It was taken over just now. */
void fsd_prefer_taken(struct fsd *fsd);
/* Every now and then: a backup that is named before the primary's node asks for the file system. */
void fsd_prefer(struct fsd *fsd);
void fsd_yield(void *state, struct skeleton_request *request, const struct fs_yield_req *req);

/* ---- fsd_defer.c ---- */

/* The medium cannot be reached, by this server at least; somebody will again. */
bool fsd_is_away(const struct fsd *fsd);
/* True: REQUEST, which is about to be answered with ERR, only failed for that; it waits. */
bool fsd_defer(struct fsd *fsd, struct skeleton_request *request, dvs_err err);
/* The file system is open again. */
void fsd_deferred_serve(struct fsd *fsd);
/* This server is not the primary any more. */
void fsd_deferred_drop(struct fsd *fsd);
void fsd_deferred_tick(struct fsd *fsd);

/* ---- fsd_member.c ---- */

/* The session of the endpoint which asks; NULL. */
struct fsd_session *fsd_session_of(const struct fsd *fsd, dvs_ep ep);
/* EP belongs to SESSION from now on. FULL, NOMEM. */
DVS_MUST_USE dvs_err fsd_member_add(struct fsd *fsd, struct fsd_session *session, dvs_ep ep);
/* What its members were answered nobody will ask for again. */
void fsd_members_forget(struct fsd *fsd, const struct fsd_session *session);
void fsd_members_free(struct fsd_session *session);

/* ---- fsd_session.c ---- */

void fsd_sessions_init(struct fsd *fsd);
/* From the rows of the file system: those that another server had are expected. */
DVS_MUST_USE dvs_err fsd_sessions_load(struct fsd *fsd);
void fsd_sessions_free(struct fsd *fsd);
/* NULL: NUMBER was not told. */
const struct fs_who *fsd_who(const struct fsd_session *session, uint32_t number);
struct fsd_handle *fsd_handle(const struct fsd_session *session, uint32_t number);
/* INUSE as BADSTATE, FULL. INO is pinned by it. */
DVS_MUST_USE dvs_err fsd_handle_add(struct fsd *fsd, struct fsd_session *session, uint32_t number,
				    uint64_t ino, uint32_t flags, uint32_t who);
void fsd_handle_drop(struct fsd *fsd, struct fsd_session *session, struct fsd_handle *handle);
/* Look whether the endpoints of all sessions are still there. */
void fsd_sessions_look(struct fsd *fsd);
void fsd_hello(void *state, struct skeleton_request *request, const struct fs_hello_req *req);
void fsd_join(void *state, struct skeleton_request *request, const struct fs_join_req *req);
void fsd_bye(void *state, struct skeleton_request *request, const struct fs_bye_req *req);
void fsd_resume(void *state, struct skeleton_request *request, const struct fs_resume_req *req);
void fsd_resumed(void *state, struct skeleton_request *request, const struct fs_resumed_req *req);
void fsd_whom(void *state, struct skeleton_request *request, const struct fs_who_req *req);
void fsd_reopen(void *state, struct skeleton_request *request, const struct fs_reopen_req *req);

/* ---- fsd_lease.c ---- */

#define FSD_LEASE 1u
#define FSD_LEASE_NAMES 2u
/* Give SESSION a lease on ATTR->ino, if it takes leases and nobody waits for a change of the file: FSD_LEASE; FSD_LEASE_NAMES: it is a directory whose names nobody else keeps. 0: none. */
uint8_t fsd_lease(struct fsd *fsd, struct fsd_session *session, const struct fs_attr *attr);
/* If INO is no more there is nothing to lease. */
void fsd_lease_gone(struct fsd *fsd, uint64_t ino);
#define FSD_PARK_MAX 4u
/* REQUEST changes INOS (0: none). True: other sessions have leases on them; they end, and REQUEST is handed to its handler again when they are over. Who owes an acknowledgement for one of them itself may wait for nobody: it may have to write before it can give
 * it, or to be answered; the others are told all the same. */
bool fsd_park(struct fsd *fsd, struct fsd_session *session, struct skeleton_request *request,
	      const uint64_t inos[FSD_PARK_MAX]);
/* Its leases are over, its parked requests dropped. */
void fsd_leases_end(struct fsd *fsd, struct fsd_session *session);
void fsd_hold(void *state, struct skeleton_request *request, const struct fs_hold_req *req);
void fsd_recalls(void *state, struct skeleton_request *request, const struct fs_recalls_req *req);
void fsd_recalled(void *state, struct skeleton_request *request, const struct fs_recalled_req *req);
/* Answer those `recalls` that have waited for long. */
void fsd_recalls_tick(struct fsd *fsd);

/* ---- fsd_lock.c ---- */

void fsd_lock(void *state, struct skeleton_request *request, const struct fs_lock_req *req);
void fsd_test_lock(void *state, struct skeleton_request *request,
		   const struct fs_test_lock_req *req);
void fsd_cancel(void *state, struct skeleton_request *request, const struct fs_cancel_req *req);
/* Of HANDLE (flock's), or with NULL all of the session. */
void fsd_locks_end(struct fsd *fsd, struct fsd_session *session, const struct fsd_handle *handle);

/* ---- fsd_call.c: what all handlers have in common ---- */

struct fsd_call {
	struct fsd *fsd;
	struct skeleton_request *request;
	struct fsd_session *session;
	const struct fs_who *who; /* NULL: none was named */
	uint8_t *data; /* the request's, copied: the client can change its own at any time */
	size_t bytes;
	bool is_changing;
	uint8_t attr[128]; /* encoded, behind what is answered */
	size_t attr_bytes;
};

/* The file system is there, the session known. Otherwise REQUEST is answered, and false. COPY: the attached data is copied. WHO: the request's, or FSD_NOBODY (which no
 * client can say) for what needs no identity; otherwise CALL->who is one. */
#define FSD_NOBODY UINT64_MAX
bool fsd_begin(struct fsd *fsd, struct fsd_call *call, struct skeleton_request *request, bool copy,
	       uint64_t who);
/* What fsd_begin() has made. For handlers' every way out but fsd_answer() and fsd_wait(). */
void fsd_end(struct fsd_call *call);
/* Answer with ERR, the payload and attached data; ends CALL. */
void fsd_answer(struct fsd_call *call, dvs_err err, const void *payload, size_t len,
		const void *data, size_t bytes);
/* True: others have leases on one of INOS; the request comes again when they have none, and CALL is ended. */
bool fsd_wait(struct fsd_call *call, uint64_t one, uint64_t two, uint64_t three, uint64_t four);
/* A change: the answer to a call that was carried out before is given again (true: CALL is ended). */
bool fsd_was_done(struct fsd_call *call);
/* End the change set with ERR and answer; what was answered well is remembered. */
void fsd_change_end(struct fsd_call *call, dvs_err err, const void *payload, size_t len,
		    const void *data, size_t bytes);
/* The same without the answer: what it is to be. */
DVS_MUST_USE dvs_err fsd_change_close(struct fsd_call *call, dvs_err err, const void *payload,
				      size_t len, const void *data, size_t bytes);
DVS_MUST_USE dvs_err fsd_change_begin(struct fsd_call *call);
/* After MUST_SYNC: roll back, sync, begin anew. */
DVS_MUST_USE dvs_err fsd_change_again(struct fsd_call *call);
/* The copied data is one name, or two of which the first has FIRST bytes. BADARG, NAMELONG. */
DVS_MUST_USE dvs_err fsd_names(const struct fsd_call *call, size_t first, struct fs_name *one,
			       struct fs_name *two);
/* Within a change set: what O_TRUNC of open(2) does with a file that may be opened so. */
DVS_MUST_USE dvs_err fsd_empty(const struct fsd_call *call, uint64_t ino, struct fs_attr *attr);
/* ATTR, with a lease if there can be one, into call->attr. */
void fsd_put_attr(struct fsd_call *call, struct fs_attr *attr);

/* ---- handlers: fsd_names.c, fsd_attrs.c, fsd_files.c, fsd_admin.c ---- */

void fsd_lookup(void *state, struct skeleton_request *request, const struct fs_lookup_req *req);
void fsd_create(void *state, struct skeleton_request *request, const struct fs_create_req *req);
void fsd_symlink(void *state, struct skeleton_request *request, const struct fs_symlink_req *req);
void fsd_link(void *state, struct skeleton_request *request, const struct fs_link_req *req);
void fsd_unlink(void *state, struct skeleton_request *request, const struct fs_unlink_req *req);
void fsd_rename(void *state, struct skeleton_request *request, const struct fs_rename_req *req);
void fsd_readlink(void *state, struct skeleton_request *request, const struct fs_readlink_req *req);
void fsd_readdir(void *state, struct skeleton_request *request, const struct fs_readdir_req *req);
void fsd_getattr(void *state, struct skeleton_request *request, const struct fs_getattr_req *req);
void fsd_setattr(void *state, struct skeleton_request *request, const struct fs_setattr_req *req);
void fsd_access(void *state, struct skeleton_request *request, const struct fs_access_req *req);
void fsd_getxattr(void *state, struct skeleton_request *request, const struct fs_getxattr_req *req);
void fsd_setxattr(void *state, struct skeleton_request *request, const struct fs_setxattr_req *req);
void fsd_listxattr(void *state, struct skeleton_request *request,
		   const struct fs_listxattr_req *req);
void fsd_removexattr(void *state, struct skeleton_request *request,
		     const struct fs_removexattr_req *req);
void fsd_statfs(void *state, struct skeleton_request *request, const struct fs_statfs_req *req);
void fsd_open(void *state, struct skeleton_request *request, const struct fs_open_req *req);
void fsd_tmpfile(void *state, struct skeleton_request *request, const struct fs_tmpfile_req *req);
void fsd_release(void *state, struct skeleton_request *request, const struct fs_release_req *req);
void fsd_read(void *state, struct skeleton_request *request, const struct fs_read_req *req);
void fsd_write(void *state, struct skeleton_request *request, const struct fs_write_req *req);
void fsd_fsync(void *state, struct skeleton_request *request, const struct fs_fsync_req *req);
void fsd_allocate(void *state, struct skeleton_request *request, const struct fs_allocate_req *req);
void fsd_seek(void *state, struct skeleton_request *request, const struct fs_seek_req *req);
void fsd_copy(void *state, struct skeleton_request *request, const struct fs_copy_req *req);
void fsd_status(void *state, struct skeleton_request *request, const struct fs_status_req *req);
void fsd_grow(void *state, struct skeleton_request *request, const struct fs_grow_req *req);
void fsd_quota(void *state, struct skeleton_request *request, const struct fs_quota_req *req);
void fsd_check(void *state, struct skeleton_request *request, const struct fs_check_req *req);
void fsd_list_sessions(void *state, struct skeleton_request *request,
		       const struct fs_sessions_req *req);

static inline uint32_t fsd_bucket(uint64_t number)
{
	return (uint32_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 52) % FSD_BUCKETS;
}

#endif
