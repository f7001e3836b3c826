/* SPDX-License-Identifier: Apache-2.0 */
/* The words of `dvs bench`.
 *
 * A *suite* is one benchmark: `dvs bench ipc`, `dvs bench remote`.
 * A *system* is one way for two processes to exchange a message. A *pattern* says who talks with whom.
 * A *cell* is a pattern with its numbers filled in (16 pairs; 64 KiB). A *sample* is one measurement of one
 * system in one cell: fresh processes, about a tenth of a second. A *result* sums up the samples of all repeats.
 *
 * Every system moves the same thing: a request of `bytes` bytes (at least 64, the first 64 being a
 * struct bench_msg) from a client to its server, and a struct bench_msg back. */
#ifndef DVS_MANAGE_BENCH_INTERNAL_H
#define DVS_MANAGE_BENCH_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <dvs/error.h>

enum {
	BENCH_CLIENTS_MAX = 64,	 /* of one server */
	BENCH_SERVERS_MAX = 64,	 /* in one cell */
	BENCH_WORKERS_MAX = 128, /* processes in one cell: 64 clients with a server each */
	BENCH_CELLS_MAX = 96,	 /* rows of a cell table */
	BENCH_SYSTEMS_MAX = 48,	 /* rows of a system table: a bit of uint64_t each */
	BENCH_REPEATS_MAX = 99,
	BENCH_LINE_BYTES = 128, /* two cache lines: neighbours are fetched in pairs */
	BENCH_PAYLOAD_MAX_BYTES = 1 << 20,
};

/* ---- what is moved ---- */

enum bench_kind { BENCH_CALL = 1, BENCH_STOP = 2 };

/* 64 bytes. Source and kind may be replaced on the way by what a system says in their place
 * (a dvs message has its own source and type there): 64 bytes are moved either way. */
struct bench_msg {
	uint32_t client; /* the sender's number among the clients of its server */
	uint32_t kind;	 /* enum bench_kind */
	uint64_t seq;	 /* counts the calls of one client: a lost or doubled message shows */
	uint64_t fill[6];
};
_Static_assert(sizeof(struct bench_msg) == 64, "a message is 64 bytes");

void bench_msg_fill(struct bench_msg *msg, unsigned client, enum bench_kind kind, uint64_t seq);
bool bench_msg_check(const struct bench_msg *msg, uint64_t seq);

/* What lies behind the first 64 bytes: pseudo-random, the same for both sides, plus SEQ in the last word. */
void bench_payload_fill(void *request, size_t bytes, uint64_t seed);
void bench_payload_mark(void *request, size_t bytes, uint64_t seq);
bool bench_payload_check(const void *request, size_t bytes, uint64_t seq);
bool bench_payload_check_all(const void *request, size_t bytes, uint64_t seed);
/* Of BYTES, a multiple of 64, as words. */
uint64_t bench_payload_sum(const void *request, size_t bytes);

/* ---- what is measured ---- */

enum bench_pattern {
	BENCH_PAIR,
	BENCH_SLEEPY,
	BENCH_ONE_CPU,
	BENCH_PAIRS,
	BENCH_FAN_IN,
	BENCH_DATA,
	/* Between two nodes: */
	BENCH_REMOTE_RT,
	BENCH_REMOTE_FAN_IN,
	BENCH_REMOTE_DATA,
	BENCH_REMOTE_MCAST,
	BENCH_REMOTE_DETECT,
	/* Of containers: */
	BENCH_CONTAINER_EXEC,
	BENCH_CONTAINER_START,
	BENCH_CONTAINER_FOOTPRINT,
	/* A DC beside another one that takes all it can of something: */
	BENCH_NEIGHBOUR_CPU,
	BENCH_NEIGHBOUR_MEMORY,
	BENCH_NEIGHBOUR_PROCESSES,
	BENCH_NEIGHBOUR_DISK,
	/* Of volumes; a cell's servers are its replicas, its clients the requests under way: */
	BENCH_DISK_SEQ_READ,
	BENCH_DISK_SEQ_WRITE,
	BENCH_DISK_RAND_READ,
	BENCH_DISK_RAND_WRITE,
	BENCH_DISK_RESYNC, /* its bytes are those that have changed */
	BENCH_DISK_FAILOVER,
	BENCH_DISK_FAILOVER_NODE,
	/* Of file systems; a cell's servers are the store (enum files_store), its clients the threads: */
	BENCH_FILE_SEQ_READ,
	BENCH_FILE_SEQ_WRITE,
	BENCH_FILE_RAND_READ,
	BENCH_FILE_RAND_WRITE,
	BENCH_FILE_READ_CACHED,
	BENCH_FILE_CREATE,
	BENCH_FILE_STAT,
	BENCH_FILE_STAT_CACHED,
	BENCH_FILE_RENAME,
	BENCH_FILE_UNLINK,
	BENCH_FILE_SMALL,
	BENCH_FILE_FSYNC,
	BENCH_FILE_READDIR,
	BENCH_FILE_COPY,
	BENCH_FILE_UNTAR,
	BENCH_FILE_COMPILE,
	/* Of web servers; as those of file systems, the clients being connections: */
	BENCH_WEB_WARM,
	BENCH_WEB_COLD,
	BENCH_PATTERNS,
};

#define BENCH_IPC_PATTERNS 0x3fu /* 1 << each */

enum bench_placement {
	BENCH_BY_SCHEDULER,
	BENCH_TWO_CPUS, /* servers on the first allowed CPU but one, clients on the first */
	BENCH_SAME_CPU,
};

struct bench_cell {
	enum bench_pattern pattern;
	unsigned servers;
	unsigned clients; /* in all; each server has clients / servers of them */
	size_t bytes;	  /* or files, where the pattern counts those */
	bool quick;	  /* also measured by --quick */
	bool remote;	  /* of volumes and file systems: the client is on another node */
};

/* A column of the table: how many times as fast as another system. */
struct bench_against {
	const char *title;
	const char *system; /* NULL: the best of BENCH_KERNEL */
};

/* A column of the table, and a field in JSON, of its own. */
struct bench_figure {
	const char *name; /* in JSON; NULL: none */
	const char *title;
	bool is_ns; /* else bytes, shown in KiB */
};

enum { BENCH_FIGURES = 2 };

struct bench_pattern_row {
	const char *name;
	const char *title;
	enum bench_placement placement;
	bool shows_mb; /* its table has a column of MB/s */
	bool by_rate;  /* compared by the rate, not by the round trip */
	bool shows_memory;
	bool compares; /* its MB/s are those of its first figure */
	bool is_of_disks;
	bool is_of_files;
	bool counts_files; /* a cell's bytes are the files of a directory */
	struct bench_against against[2];
	struct bench_figure figures[BENCH_FIGURES];
};

const struct bench_pattern_row *bench_pattern_row(enum bench_pattern pattern);
const char *bench_pattern_name(enum bench_pattern pattern);
const struct bench_cell *bench_ipc_cells(size_t *count);
const struct bench_cell *bench_remote_cells(size_t *count);
/* "8 pairs", "64 KiB" ...: what tells CELL from the others of its pattern; into TEXT, which is returned. */
const char *bench_cell_label(const struct bench_cell *cell, char *text, size_t text_bytes);

/* ---- the systems ---- */

struct bench_fault {
	char text[240];
};

/* Describe what went wrong in FAULT and return the matching error. */
DVS_MUST_USE dvs_err bench_fail(struct bench_fault *fault, dvs_err err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for a system call that has just failed: WHAT and the text of errno. */
DVS_MUST_USE dvs_err bench_fail_errno(struct bench_fault *fault, const char *what);

/* Where clients and servers run, and who is killed: numbers of nodes. */
enum bench_side { BENCH_CLIENT_SIDE, BENCH_SERVER_SIDE, BENCH_VICTIM_SIDE };

struct bench_net;	/* see remote/net.h */
struct bench_disks;	/* see vdd/disks.h */
struct bench_files;	/* see fs/files.h */
struct bench_web;	/* see web/web.h */
struct bench_footprint; /* see container/container.c */
#define BENCH_FOOTPRINT_PROGRAMS 2u
struct bench_program; /* see remote/program.h */
struct bench_options;
struct bench_sample;
struct bench_system;

/* What one run of the benchmark keeps while it lasts. */
struct bench_lab {
	void *dvs;   /* the node of its own that the dvs systems talk through, or NULL */
	int cpus[2]; /* the CPUs that pinned patterns use */
	int cpu_count;
	struct bench_net *net;		   /* the nodes of `dvs bench remote`, or NULL */
	struct bench_program *iperf3;	   /* its server, or NULL */
	struct bench_disks *disks;	   /* of `dvs bench vdd`, or NULL */
	struct bench_files *files;	   /* of `dvs bench fs`, or NULL */
	struct bench_web *web;		   /* of `dvs bench web`, or NULL */
	struct bench_footprint *footprint; /* what many DCs cost, or NULL */
	double detected_ns[2]; /* of the pattern detect: what was seen and not yet asked for */
	int signal_fd;	       /* readable when a signal has come */
};

/* One server and its clients over one system. Made in the parent, then inherited by fork:
 * from there on each process has its own copy, and STATE may keep what only that process needs. */
struct bench_link {
	const struct bench_system *system;
	struct bench_lab *lab;
	unsigned index; /* which server of the cell */
	unsigned clients;
	size_t bytes;
	void *state;
	struct bench_fault fault; /* why a call below failed, in the process that made it */
};

struct bench_request {
	void *buffer;	  /* in: BYTES of private memory of the server's own */
	const void *data; /* out: where the request lies now: BUFFER, or in place */
	unsigned client;  /* out: whom to reply to */
};

enum bench_class {
	BENCH_DVS,
	BENCH_LIMIT,  /* no operating system in the way, or no second process */
	BENCH_KERNEL, /* what the host offers */
};

enum bench_when {
	BENCH_ALWAYS,
	BENCH_FULL,  /* not by --quick, unless it is named */
	BENCH_NAMED, /* only when it is named */
};

struct bench_system {
	const char *name;
	const char *summary;
	enum bench_class class;
	uint64_t patterns; /* 1 << enum bench_pattern */
	bool solo;	   /* the client plays both parts; there is no server process */
	bool in_place;	   /* the server finds the request where it lies, and copies nothing */
	bool sums;	   /* it reads all of it there */
	enum bench_when when;
	bool crowd;	    /* one process is all clients of a server: a call is one call of each */
	const void *detail; /* what tells apart systems that share their functions */
	/* In place of all that follows but start and stop: takes the whole sample. */
	dvs_err (*measure)(struct bench_lab *lab, const struct bench_system *system,
			   const struct bench_cell *cell, const struct bench_options *options,
			   struct bench_sample *sample, struct bench_fault *fault);
	/* Once per run, in the parent; either may be NULL. BADSTATE from start: this machine cannot. */
	dvs_err (*start)(struct bench_lab *lab, struct bench_fault *fault);
	void (*stop)(struct bench_lab *lab);
	/* Once per sample, in the parent. TEARDOWN also undoes a SETUP that failed half-way. */
	dvs_err (*setup)(struct bench_link *link);
	void (*teardown)(struct bench_link *link);
	/* In the server's process. Open may be NULL. Receive blocks until a whole request is there. */
	dvs_err (*server_open)(struct bench_link *link);
	dvs_err (*receive)(struct bench_link *link, struct bench_request *request);
	dvs_err (*reply)(struct bench_link *link, unsigned client, const struct bench_msg *reply);
	/* In the client's process. Open may be NULL. REQUEST is link->bytes long. Prepare may be NULL: it comes before
	 * each call, and its time is not counted. */
	dvs_err (*client_open)(struct bench_link *link, unsigned client);
	dvs_err (*prepare)(struct bench_link *link);
	dvs_err (*call)(struct bench_link *link, const void *request, struct bench_msg *reply);
	/* In either process, when it is done. May be NULL: the end of the process closes the rest. */
	void (*leave)(struct bench_link *link);
	/* In the parent: the CPU time that processes beside clients and servers have used for LINK so far. May be NULL. */
	uint64_t (*helpers_cpu_ns)(struct bench_lab *lab);
};

extern const struct bench_system bench_system_dvs;
extern const struct bench_system bench_system_dvs_inplace;
extern const struct bench_system bench_system_raw;
extern const struct bench_system bench_system_futex;
extern const struct bench_system bench_system_eventfd;
extern const struct bench_system bench_system_memcpy;
extern const struct bench_system bench_system_pipe;
extern const struct bench_system bench_system_fifo;
extern const struct bench_system bench_system_unix_stream;
extern const struct bench_system bench_system_unix_seqpacket;
extern const struct bench_system bench_system_mq_posix;
extern const struct bench_system bench_system_mq_sysv;
extern const struct bench_system bench_system_tcp;

const struct bench_system *const *bench_ipc_systems(size_t *count);
const struct bench_system *const *bench_remote_systems(size_t *count);

/* ---- the suites ---- */

struct bench_suite {
	const char *name;
	const char *purpose;	/* the second line of its help */
	const char *usage;	/* lines of help for options of its own */
	const char *quick_time; /* "under 20 s" */
	const char *svg_kernel; /* what the classes mean, in its picture */
	const char *svg_limit;
	uint64_t patterns; /* 1 << enum bench_pattern */
	unsigned repeats_full;
	unsigned repeats_quick;
	unsigned sample_full_ms;
	unsigned sample_quick_ms;
	const struct bench_cell *(*cells)(size_t *count);
	const struct bench_system *const *(*systems)(size_t *count);
	/* Beside what all options of a suite say; may be NULL. */
	bool (*wants)(const struct bench_options *options, const struct bench_system *system);
	/* Which cells a system can be measured in; may be NULL. */
	bool (*fits)(const struct bench_system *system, const struct bench_cell *cell);
	/* Around everything, in the parent; either may be NULL. */
	dvs_err (*begin)(struct bench_lab *lab, const struct bench_options *options,
			 struct bench_fault *fault);
	void (*end)(struct bench_lab *lab);
	/* Before each cell, in the parent; may be NULL. */
	dvs_err (*cell)(struct bench_lab *lab, const struct bench_options *options,
			const struct bench_cell *cell, struct bench_fault *fault);
};

extern const struct bench_suite bench_suite_ipc;
extern const struct bench_suite bench_suite_remote;
extern const struct bench_suite bench_suite_container;
extern const struct bench_suite bench_suite_neighbour;
extern const struct bench_suite bench_suite_vdd;
extern const struct bench_suite bench_suite_fs;
extern const struct bench_suite bench_suite_web;

/* What a neighbour and its DC do, in their containers: `dvs bench work`. Returns the exit status. */
int bench_work_main(int argc, char **argv);

bool bench_pattern_find(const struct bench_suite *suite, const char *name, size_t length,
			enum bench_pattern *pattern);
bool bench_system_find(const struct bench_suite *suite, const char *name, size_t length,
		       size_t *index);

/* Run `dvs bench SUITE`; ARGV[0] is the name of the suite. Returns the exit status. */
int bench_session_main(const struct bench_suite *suite, int argc, char **argv);

/* ---- options ---- */

struct bench_options {
	const struct bench_suite *suite;
	struct bench_cell cells[BENCH_CELLS_MAX]; /* of the suite, as --clients changes them */
	size_t n_cells;
	uint64_t patterns;   /* 1 << enum bench_pattern */
	uint64_t systems;    /* 1 << row of the suite's systems */
	uint32_t transports; /* of the suite remote: 1 << enum config_transport */
	unsigned clients; /* of the suite remote: in place of those of the cells; 0: as they are */
	const char *lab;  /* of the suite remote: a lab that runs already, or NULL */
	bool many;	  /* of the suite fs: a million files, too */
	unsigned repeats;
	bool quick;
	bool json;
	bool help;
	bool named;	       /* systems were given */
	const char *plot_path; /* or NULL */
	uint64_t seed;
	unsigned sample_ms;
};

/* Read ARGV (ARGV[0] is skipped). BADARG: FAULT says what is wrong and what to write instead. */
DVS_MUST_USE dvs_err bench_options_parse(const struct bench_suite *suite, int argc, char **argv,
					 struct bench_options *options, struct bench_fault *fault);
void bench_options_usage(const struct bench_suite *suite, FILE *out);
bool bench_options_want(const struct bench_options *options, const struct bench_cell *cell,
			size_t system_index);

/* ---- one sample ---- */

struct bench_sample {
	double rt_ns;	     /* the mean round trip that a client saw */
	double msg_per_s;    /* round trips of all clients together */
	double cpu;	     /* CPU seconds of all clients and servers per second */
	double memory_bytes; /* where the pattern shows it */
	double figures[BENCH_FIGURES];
};

/* Fork the processes of CELL, let them talk for SAMPLE_MS and end them. SIGCHLD, SIGINT and SIGTERM must be
 * blocked and readable from LAB's signal_fd. WOKEN: the user wants to stop. No process is left behind. */
DVS_MUST_USE dvs_err bench_measure(struct bench_lab *lab, const struct bench_system *system,
				   const struct bench_cell *cell,
				   const struct bench_options *options, struct bench_sample *sample,
				   struct bench_fault *fault);

/* ---- statistics and reports ---- */

struct bench_spread {
	double median;
	double min;
	double max;
};

/* Sorts VALUES. COUNT is at least 1; of an even number the median is the mean of the middle two. */
struct bench_spread bench_spread_of(double *values, size_t count);

struct bench_result {
	const struct bench_suite *suite;
	const struct bench_cell *cell;
	const struct bench_system *system;
	struct bench_spread rt_ns;
	double msg_per_s;
	double mb_per_s; /* request bytes, in units of a million */
	double cpu;
	double memory_bytes;
	double figures[BENCH_FIGURES];
	unsigned repeats;
};

void bench_result_from_samples(struct bench_result *result, const struct bench_sample *samples,
			       unsigned count);
/* The fastest first. */
void bench_results_sort(struct bench_result *results, size_t count);
void bench_report_json(FILE *out, const struct bench_result *result);
/* A system that is not measured, and why. */
void bench_report_skipped_json(FILE *out, const struct bench_suite *suite, const char *system,
			       const char *why);
/* RESULTS are those of one cell. */
void bench_report_table(FILE *out, const struct bench_result *results, size_t count);
void bench_report_heading(FILE *out, enum bench_pattern pattern,
			  const struct bench_options *options);
/* One panel per cell. RESULTS of a cell follow each other. */
void bench_report_svg(FILE *out, const struct bench_result *results, size_t count);
/* "118 ns", "4.4 µs", "1.25 ms"; into TEXT, which is returned. */
const char *bench_format_ns(double ns, char *text, size_t text_bytes);
const char *bench_format_rate(double per_s, char *text, size_t text_bytes);

/* ---- noise ---- */

struct bench_noise {
	bool known; /* whether the machine tells at all */
	double machine_s;
	double own_s;
	uint64_t begin_ns;
};

void bench_noise_begin(struct bench_noise *noise);
/* How many CPUs others kept busy since, on average; 0 when the machine does not tell. */
double bench_noise_cpus(const struct bench_noise *noise);
/* The CPU time of the whole machine from LINE, the first of /proc/stat. */
bool bench_noise_parse(const char *line, double ticks_per_s, double *busy_s);

#endif
