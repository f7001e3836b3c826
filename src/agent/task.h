/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind programs.h share.
 *
 *	box          a container: the link to its dc-init, and what is to run in it (box.c)
 *	task         a program in it, from its start until it is forgotten (task.c, launch.c, store.c)
 *	pump         one of its outputs: a pipe or a terminal's master, read into the log and to whoever is attached (output.c)
 *	input        its stdin, and the writes that wait (input.c)
 *	attachment   a client that reads what it writes (attach.c)
 *
 * A task whose output is not read because attachments are full is held up by its pipe, for LAG_MS; then the attachment loses. */
#ifndef AGENT_TASK_H
#define AGENT_TASK_H

#include "agent/init_link.h"
#include "agent/logs.h"
#include "agent/programs.h"
#include "agent/says.h"
#include "agent/workers.h"

#define TASKS_MAX 16384u
#define TASKS_ENDED_MAX 256u /* of a container, that are kept for 'dvs ps' and 'dvs logs' */
#define ATTACHMENTS_MAX 1024u
#define ATTACHMENT_BYTES_MAX (1u << 20)
#define LAG_MS 5000u
#define READ_BYTES_MAX 65535u
/* A record's program that could not be started is tried again. */
#define RETRY_MS 10000u

enum run_flag { RUN_TTY = 1, RUN_STDIN = 2, RUN_DETACH = 4, RUN_EXEC = 8, RUN_REMOVE = 16 };

/* As in agent.toml. */
enum task_state { TASK_RUNS = 1, TASK_ENDED = 2, TASK_WAITS = 3, TASK_STARTS = 4, TASK_CANNOT = 5 };

struct task;

struct pump {
	struct task *task;
	struct loop_watch watch;
	int fd; /* -1: there is nothing more to read */
	enum logs_stream stream;
	bool held;    /* until attachments have room */
	bool drained; /* after the end of the program all was read */
};

struct input {
	struct loop_watch watch;
	int fd;		    /* -1: closed */
	struct list writes; /* struct request.kept, oldest first */
	size_t at;	    /* so much of the oldest is written */
};

struct health {
	struct loop_timer timer;
	uint8_t value; /* as in agent.toml */
	uint32_t fails;
	uint64_t check; /* the program that checks now; 0: none */
};

struct task {
	struct list of_box;
	struct programs *programs;
	struct box *box;
	uint64_t id;
	char name[DVS_NAME_MAX + 1];
	char record[DVS_NAME_MAX + 1]; /* "": of run */
	uint64_t version;
	uint32_t flags; /* enum run_flag */
	enum task_state state;
	bool sent;			 /* dc-init has been asked to start it */
	bool unsure;			 /* the connection broke before it answered */
	bool over;			 /* dc-init has told its last end; output may still come */
	bool taken;			 /* its descriptors are here */
	bool stopping;			 /* by us */
	bool lost;			 /* it ended with its container */
	uint32_t seen;			 /* the listing of box in which it was */
	uint32_t inner_pid, pid, pid_of; /* pid is the host's number of pid_of */
	uint32_t status, restarts, stop_signo, stop_grace_ms;
	uint64_t started_ns, ended_ns;
	char command[256], text[256];
	struct pump pumps[2]; /* stdout or the terminal; stderr */
	struct input input;
	struct logs *logs;	 /* NULL: has none */
	struct list attachments; /* struct attachment.of_task */
	struct list waiters;	 /* requests: wait */
	struct list followers;	 /* requests: logs */
	struct loop_timer lag;
	struct health health;
	/* STARTS: */
	struct init_start_req *start;
	struct request *starter;  /* the run that wants an answer; NULL */
	struct attachment *first; /* that the run is answered with; NULL */
};

struct wanted {
	char name[DVS_NAME_MAX + 1];
	char record[DVS_NAME_MAX + 1];
	uint64_t version;
	struct program program;
};

struct box {
	struct list of_programs;
	struct programs *programs;
	char dc[DVS_NAME_MAX + 1];
	dvs_dcid id;
	pid_t init;
	struct loop_watch init_watch; /* a pidfd of init */
	struct init_link *link;
	bool loaded;  /* what was kept in files is in tasks */
	bool listed;  /* this link has told what runs */
	bool closing; /* nothing is started any more */
	bool frozen;
	uint32_t listing, pages;
	struct loop_timer gone;	 /* reconcile is told, from the loop */
	struct loop_timer again; /* look at what is wanted once more */
	struct list tasks;
	struct says says;
	struct wanted *wanted;
	size_t n_wanted;
};

struct attachment {
	struct list of_programs, of_task;
	uint64_t id;
	dvs_ep owner;
	struct task *task;
	struct list chunks; /* what is to be read, oldest first */
	size_t bytes;
	bool lags; /* it did not read for long: what has no room is lost */
	struct request *reader;
};

struct programs {
	struct agent *agent;
	struct loop *loop;
	struct list boxes;
	struct list attachments;
	size_t n_attachments, n_tasks;
	uint8_t chunk[READ_BYTES_MAX];
	struct init_start_req check;
	union {
		struct agent_run_req run;
		struct agent_write_req write;
		struct agent_read_rep read;
		struct agent_logs_rep logs;
		struct agent_programs_rep programs;
	} body;
};

/* ---- box.c ---- */

struct box *box_find(const struct programs *programs, const char *dc);
/* The record's program that TASK is, while it is wanted; or NULL. */
const struct program *box_program_of(const struct task *task);
/* Start and stop what records want; harmless at any time. */
void box_look(struct box *box);
/* The same after a while. */
void box_look_later(struct box *box);

/* ---- task.c ---- */

struct task *task_find(const struct programs *programs, uint64_t id);
struct task *task_by_name(const struct box *box, const char *name);
/* FULL, NOMEM. A task without pumps, in state STARTS. ID 0: a new one. */
DVS_MUST_USE dvs_err task_new(struct box *box, uint64_t id, struct task **task);
/* Forget it, with its files; whoever waits is answered. */
void task_forget(struct task *task);
/* The same, but its files stay: the agent ends. */
void task_free(struct task *task);
/* Send a signal and let it not be started again; what was not started is not. */
void task_stop(struct task *task, uint32_t signo, uint32_t grace_ms);
/* dc-init's last word about it: it has ended with STATUS. */
void task_over(struct task *task, uint32_t status, uint64_t ended_ns);
/* When it is over and all its output is read, it has ended: everybody is told. May forget it. */
void task_settle(struct task *task);
/* It could not be started: TEXT says why. May forget it. */
PRINTF_LIKE(3, 4) void task_cannot(struct task *task, dvs_err err, const char *format, ...);
bool task_has_ended(const struct task *task);
/* Its number on the host, looked up in /proc when it is not known yet. */
uint32_t task_host_pid(struct task *task);
/* The descriptors of a program that runs: a terminal's master, or stdin to write and stdout and stderr to read. They are taken. */
void task_connect(struct task *task, int *fds, size_t n_fds);
/* Its stdin is closed: dc-init, which keeps it open for a later agent, lets go of it, too. */
void task_stdin_ended(struct task *task);

/* ---- launch.c ---- */

/* What run and records have in common. */
struct launch {
	const char *name, *record;
	uint64_t version;
	const uint8_t *args, *env;
	size_t n_args, n_env;
	const char *cwd, *user;
	uint32_t flags;
	uint16_t rows, cols;
	uint8_t restart;
	uint32_t retries, backoff_ms, stop_signo, stop_grace_ms;
	const struct description_rlimit *rlimits;
	size_t n_rlimits;
};

/* Start a program in BOX. STARTER, which may be NULL, is kept and answered; otherwise what is wrong is told by the task's state. With an error nothing is left of it, and WHY (room for
 * AGENT_WHY_MAX) says what; STARTER is not answered then. */
#define AGENT_WHY_MAX 1000u
DVS_MUST_USE dvs_err launch(struct box *box, const struct launch *how, struct request *starter,
			    char *why);
/* dc-init has TASK's program: the run is answered. */
void launch_known(struct task *task);
DVS_MUST_USE dvs_err launch_record(struct box *box, const struct wanted *wanted, char *why);

/* ---- store.c ---- */

/* Keep what a later agent must know. */
void store_save(const struct task *task);
void store_remove(const struct task *task);
/* Make tasks of what an earlier agent kept. */
void store_load(struct box *box);
/* Nothing of that DC is kept. */
void store_clear(struct programs *programs, const char *dc);
void store_log_folder(const struct programs *programs, const char *dc, char *path, size_t size);

/* ---- output.c ---- */

void pump_open(struct task *task, size_t which, int fd, enum logs_stream stream);
void pump_close(struct pump *pump);
/* Read what there is. May end the task. */
void pumps_run(struct task *task);
/* Attachments have more room, or lost it for good. */
void pumps_resume(struct task *task);

/* ---- input.c ---- */

void input_open(struct task *task, int fd);
void input_close(struct task *task, dvs_err err);
void input_add(struct task *task, struct request *request);

/* ---- attach.c ---- */

/* FULL, NOMEM. */
DVS_MUST_USE dvs_err attachment_new(struct task *task, dvs_ep owner, struct attachment **made);
struct attachment *attachment_find(const struct programs *programs, uint64_t id);
/* How many more bytes it takes. */
size_t attachment_room(const struct attachment *attachment);
void attachment_put(struct attachment *attachment, enum logs_stream stream, const uint8_t *data,
		    size_t len);
/* Give its reader what there is. May end it, when that was the end of its task. */
void attachment_feed(struct attachment *attachment);
void attachment_read(struct attachment *attachment, struct request *request);
/* Its client does not want any more: of an exec, it ends the program. May forget the task. */
void attachment_end(struct attachment *attachment);
/* Only this: the task is being freed. */
void attachment_free(struct attachment *attachment);

/* ---- follow.c ---- */

/* Answer the logs that wait for lines of TASK. */
void followers_feed(struct task *task);

/* ---- health.c ---- */

void health_start(struct task *task);
void health_end(struct task *task);
/* Whether the program ID that has ended was a check. */
bool health_exited(struct box *box, uint64_t id, uint32_t status);

#endif
