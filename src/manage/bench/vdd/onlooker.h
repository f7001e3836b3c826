/* SPDX-License-Identifier: Apache-2.0 */
/* A client that uses a volume and looks how it is, while others are killed: a process on the client's node, which shares a board with the benchmark. Both read the same clock. */
#ifndef DVS_MANAGE_BENCH_VDD_ONLOOKER_H
#define DVS_MANAGE_BENCH_VDD_ONLOOKER_H

#include "client/volume.h"
#include "manage/bench/internal.h"
#include "proto/vdd_proto.h"

#define ONLOOKER_PATIENCE_NS (60 * CLOCK_NS_PER_S)

/* How far it is; both go on by turns. */
enum onlooker_stage {
	ONLOOKER_BEGINS,
	ONLOOKER_READY,	  /* the victim is named, and may be killed */
	ONLOOKER_KILLED,  /* told by the benchmark */
	ONLOOKER_CHANGED, /* what the victim has missed is written: it may come back */
};

struct onlooker_board {
	uint32_t stage;	    /* atomic, enum onlooker_stage */
	uint64_t killed_ns; /* before ONLOOKER_KILLED */
	/* The victim: its node, and what that calls the process. Before ONLOOKER_READY. */
	uint32_t node;
	pid_t pid;
	/* At its end. */
	bool has_succeeded;
	double span_ns;
	double figures[BENCH_FIGURES];
	struct bench_fault fault;
};

/* In the process on the client's node, with the volume open. */
struct onlooker_view {
	struct onlooker_board *board;
	const struct bench_cell *cell;
	struct volume_disk disk;
	struct dvk *dvk; /* for looking, while threads use that of the disk */
	struct vdd_status_rep *status;
};

typedef dvs_err onlooker_work(struct onlooker_view *view);

struct onlooker {
	struct bench_lab *lab;
	struct onlooker_board *board;
	pid_t pid;
};

/* Begin WORK with TARGET on the client's node, and wait until it is ONLOOKER_READY. After an error there is nothing to end. */
DVS_MUST_USE dvs_err onlooker_start(struct bench_lab *lab, const char *target,
				    const struct bench_cell *cell, onlooker_work *work,
				    struct onlooker *onlooker, struct bench_fault *fault);
void onlooker_tell_killed(struct onlooker *onlooker, uint64_t killed_ns);
/* Wait until it is at STAGE. */
DVS_MUST_USE dvs_err onlooker_wait(struct onlooker *onlooker, enum onlooker_stage stage,
				   struct bench_fault *fault);
/* Wait until it has ended, and take what it has found. */
DVS_MUST_USE dvs_err onlooker_result(struct onlooker *onlooker, struct bench_sample *sample,
				     struct bench_fault *fault);
void onlooker_end(struct onlooker *onlooker);

bool onlooker_is_at(const struct onlooker_board *board, enum onlooker_stage stage);

/* For WORK. */
void onlooker_set(struct onlooker_view *view, enum onlooker_stage stage);
/* TIMEOUT. */
DVS_MUST_USE dvs_err onlooker_await(struct onlooker_view *view, enum onlooker_stage stage);
void onlooker_pause(void);
/* Ask the volume's server. */
DVS_MUST_USE dvs_err onlooker_look(struct onlooker_view *view);
/* Of the last look: 1 to 4 as in struct vdd_member; 4: it is not there either. */
unsigned onlooker_state_of(const struct onlooker_view *view, uint32_t node);
/* Wait until all replicas are members of the view. TIMEOUT. */
DVS_MUST_USE dvs_err onlooker_await_in_sync(struct onlooker_view *view);
/* Name the process that has the primary, or a backup, of the volume. */
DVS_MUST_USE dvs_err onlooker_name_victim(struct onlooker_view *view, bool is_primary);

#endif
