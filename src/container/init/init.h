/* SPDX-License-Identifier: Apache-2.0 */
/* dc-init: PID 1 of a container. One thread, one epoll loop, no file but /dev/ptmx (and /proc, when it is there).
 *
 * Inside the container is nobody it trusts: it takes orders only on the socket that it inherited as descriptor 3, and only from outside of its PID namespace. The agent on the other
 * end is trusted, and bounded all the same. */
#ifndef CONTAINER_INIT_INIT_H
#define CONTAINER_INIT_INIT_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <dvs/error.h>

#include "base/list.h"
#include "container/init/backoff.h"
#include "container/init/frame.h"
#include "proto/init_proto.h"

/* Frames that wait for an agent that does not read; then its connection is ended, and it asks for the list when it is back. */
#define OUT_FRAMES_MAX 4096u
#define SHUTDOWN_GRACE_MS 10000u

enum row_state { ROW_STARTING = 1, ROW_RUNS, ROW_WAITS, ROW_ENDED };

/* A program. */
struct row {
	uint64_t id;
	enum row_state state;
	bool tty, kept;
	bool stopping;	  /* is not started again */
	uint32_t request; /* of the start that is not answered yet; 0: none */
	pid_t pid;	  /* 0: none */
	int exec_pipe;	  /* STARTING: tells whether exec succeeded; -1 */
	int near[3];	  /* its stdin, stdout, stderr, while it can be started again; -1 */
	int far[3];	  /* for a later agent; a terminal's master is the first; -1 */
	struct backoff backoff;
	uint32_t status, restarts;
	uint64_t started_ns, ended_ns; /* CLOCK_REALTIME */
	uint64_t since_ns;	       /* CLOCK_MONOTONIC, of the last start */
	uint64_t due_ns;	       /* WAITS: of the next start; stopping: of SIGKILL */
	char *blob;		       /* what argv and envp point into */
	char **argv, **envp;
	char *cwd;
	uid_t uid;
	gid_t gid;
	gid_t groups[32];
	size_t n_groups;
	struct init_rlimit rlimits[16];
	size_t n_rlimits;
};

struct init {
	int epoll, listener, signals;
	int link; /* -1: no agent */
	bool greeted;
	struct list out; /* struct out_frame, oldest first */
	size_t n_out;
	struct row *rows[INIT_PROGRAMS_MAX]; /* by rising id */
	size_t n_rows, n_rows_max;
	bool ending, over, more_dead;
	bool raise_oom;	      /* own oom_score_adj is below 0: that of programs is made 0 */
	struct rlimit nofile; /* as it was: programs get that */
	uint64_t kill_ns;     /* ending: when all that is left is killed */
	uint64_t boot_ns;
	uint8_t frame[INIT_FRAME_BYTES_MAX];
	uint8_t reply[INIT_FRAME_BYTES_MAX];
	struct init_start_req start;
};

/* ---- main.c ---- */

/* Watch FD for EVENTS with EPOLL_CTL_ADD or MOD. */
bool init_watch(struct init *init, int ctl, int fd, uint32_t events);
/* All end: SIGTERM now, SIGKILL after GRACE_MS. */
void init_shutdown(struct init *init, uint32_t grace_ms);

/* ---- link.c ---- */

void link_accept(struct init *init);
void link_close(struct init *init);
void link_ready(struct init *init, uint32_t events);
/* The body of an answer or event has been written to init->reply by OUT (see link_body()); the descriptors stay the caller's. */
struct writer link_body(struct init *init, struct init_frame frame);
void link_send(struct init *init, const struct writer *out, const int *fds, size_t n_fds);
void link_answer(struct init *init, uint32_t op, uint32_t id, dvs_err err);

/* ---- requests.c ---- */

/* Answer a request whose body is IN. What is to be kept of FDS is taken out of it (-1 is left there). */
void request_handle(struct init *init, struct init_frame frame, struct cursor *in, int *fds,
		    size_t n_fds);

/* ---- rows.c ---- */

struct row *row_find(struct init *init, uint64_t id);
/* The first one with an id above CURSOR, or NULL. */
struct row *row_after(struct init *init, uint64_t cursor);
/* FULL, EXISTS, NOMEM, BADARG. */
DVS_MUST_USE dvs_err row_new(struct init *init, const struct init_start_req *req,
			     struct row **made);
void row_free(struct init *init, struct row *row);
void row_close(int *fds, size_t n);

/* ---- programs.c ---- */

/* Start what is in ROW; the answer comes by its exec_pipe. */
DVS_MUST_USE dvs_err program_launch(struct init *init, struct row *row);
/* exec_pipe of ROW has something to say, or its process has ended. */
void program_launched(struct init *init, struct row *row);
void program_stop(struct init *init, struct row *row, int signo, uint32_t grace_ms);
/* Bury the dead: some of them; init->more_dead says whether there are more. */
void programs_reap(struct init *init);
/* What is due at NOW_NS is done; returns when to look again. */
uint64_t programs_tick(struct init *init, uint64_t now_ns);

/* ---- spawn.c ---- */

/* Fork the process that becomes ROW's program. *EXEC_PIPE gives a dvs_err (u32) when it cannot, or ends. FULL, NOMEM, IO. */
DVS_MUST_USE dvs_err spawn(const struct init *init, const struct row *row, int tty, pid_t *pid,
			   int *exec_pipe);
/* A new terminal; its master side. IO, NOTFOUND (no /dev/ptmx), FULL. */
DVS_MUST_USE dvs_err terminal_open(uint16_t rows, uint16_t cols, int *master);
/* The program's side of it, owned by UID. */
DVS_MUST_USE dvs_err terminal_near(int master, uid_t uid, int *near);

/* ---- session.c ---- */

/* Send SIGNO to all processes of the session (and so of the group) that PID leads. PID must not have been reaped: then the number may be another's. */
void session_kill(pid_t pid, int signo);

#endif
