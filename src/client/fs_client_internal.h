/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_FS_CLIENT_INTERNAL_H
#define CLIENT_FS_CLIENT_INTERNAL_H

#include <pthread.h>

#include "base/list.h"
#include "client/fs_client.h"

#define FSC_WHO_BUCKETS 256u
#define FSC_WHO_KNOWN 1024u /* more than these are forgotten when nobody uses them */
#define FSC_WHO_MAX 65535u
#define FSC_HANDLE_MAX 1048575u
#define FSC_NO_HANDLE 0u
/* The most that stands in front of the data of a request: a name and the target of a link. */
#define FSC_NAMES_ROOM (FSC_NAME_MAX + 1 + FSC_TARGET_MAX + 1)

struct fsc_who {
	struct list by_key;
	struct list by_use; /* least recently used first */
	uint32_t number;
	uint32_t refs; /* of callers, and of open files */
	bool is_told;
	uint32_t uid;
	uint32_t gid;
	uint32_t flags;
	uint32_t n_groups;
	uint32_t groups[];
};

enum handle_state { HANDLE_FREE = 0, HANDLE_OPENING, HANDLE_OPEN, HANDLE_LOST };

struct handle {
	enum handle_state state;
	uint32_t next_free;
	uint32_t flags;
	uint64_t ino;
	struct fsc_who *who;
	struct list locks; /* struct held_lock that were got by it */
};

struct held_lock {
	struct list link;
	uint64_t ino;
	struct fs_lock_req what;
};

struct fsc {
	struct dvk *dvk;
	bool owns_dvk;
	dvs_ep server;
	struct fsc_config config;
	struct fsc_recalls recalls;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under lock: */
	uint64_t session;
	uint64_t
		term; /* rises when the session goes on at another server, or another one is begun */
	bool is_resuming;
	uint32_t n_busy; /* threads between asking and having noted what was answered */
	struct list who_by_key[FSC_WHO_BUCKETS];
	struct list who_by_use;
	uint32_t n_who;
	uint32_t last_who;
	struct fsc_who **who_numbers; /* FSC_WHO_MAX + 1 */
	struct handle **handles;      /* in blocks of FSC_HANDLE_BLOCK */
	uint32_t n_handles;	      /* numbers given out so far, 0 among them */
	uint32_t free_handle;
	bool had_fcntl; /* somebody had a lock of fcntl(2) once */
	/* the thread that waits for recalls: */
	bool is_closing;
	dvs_ep recaller_ep; /* 0: it has none */
	dvs_err why_not;    /* it has no session */
	/* the opener's: */
	bool is_started;
	pthread_t recaller;
};

#define FSC_HANDLE_BLOCK 1024u
#define FSC_HANDLE_BLOCKS ((FSC_HANDLE_MAX + FSC_HANDLE_BLOCK) / FSC_HANDLE_BLOCK)

struct fsc_thread {
	struct fsc *fsc;
	struct m3 *self;
	uint64_t term; /* in which its endpoint has joined the session; 0: in none */
};

/* A request as it is sent, perhaps more than once. */
struct fsc_request {
	uint32_t op;
	uint8_t body[DVS_PAYLOAD_BYTES];
	const void *out;
	size_t out_len;
	void *in; /* NULL: what comes stays where it is, at *PLACE */
	size_t in_cap;
	size_t in_len;
	const void *place;
	uint8_t reply[DVS_PAYLOAD_BYTES - 4];
	bool is_aside;	  /* it may wait at the server as long as it likes: nobody waits for it */
	bool never_twice; /* when its fate is not known it is not asked again */
	bool is_in_doubt; /* it was asked of a server that died with it */
	/* Called under the lock before others can resume the session. */
	void (*note)(struct fsc *fsc, void *context);
	void *context;
};

/* ---- fs_client.c ---- */
/* Ask, until it is answered. */
DVS_MUST_USE dvs_err fsc_ask(struct fsc_thread *me, struct fsc_request *request);
/* Ask once, with no look at the session. */
DVS_MUST_USE dvs_err fsc_send(struct fsc_thread *me, struct fsc_request *request);
/* Ask once; RESUME: the session was resumed, ask again. */
DVS_MUST_USE dvs_err fsc_ask_once(struct fsc_thread *me, struct fsc_request *request,
				  uint64_t deadline_ns);
/* After ERR, which will pass: before the next try. */
void fsc_pause(struct fsc_thread *me, dvs_err err);
bool fsc_is_away(dvs_err err);

/* ---- fs_client_resume.c ---- */
/* The session of TERM is not known at the server, or has ended. Afterwards all is told again, or another thread is at it. */
DVS_MUST_USE dvs_err fsc_resume(struct fsc_thread *me, uint64_t term);

/* ---- fs_client_tables.c ---- */
DVS_MUST_USE dvs_err fsc_tables_make(struct fsc *fsc);
void fsc_tables_free(struct fsc *fsc);
DVS_MUST_USE dvs_err fsc_who_tell(struct fsc_thread *me, const struct fsc_who *who,
				  dvs_err (*send)(struct fsc_thread *me,
						  struct fsc_request *request));
/* All of these under the lock. */
struct handle *fsc_handle(struct fsc *fsc, uint32_t number);
DVS_MUST_USE dvs_err fsc_handle_take(struct fsc *fsc, struct fsc_who *who, uint32_t flags,
				     uint32_t *number);
void fsc_handle_free(struct fsc *fsc, uint32_t number);
/* The lock was got, or given up. */
void fsc_lock_note(struct fsc *fsc, const struct fs_lock_req *what, struct held_lock *room[2]);

/* ---- fs_client_recalls.c ---- */
DVS_MUST_USE dvs_err fsc_recaller_start(struct fsc *fsc);
void fsc_recaller_stop(struct fsc *fsc);

#endif
