/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: help, completion, argument checks and the tests of the man pages
 * are all made from it. A new command is one row in command_table.c and one file cmd_*.c. */
#ifndef MANAGE_COMMAND_H
#define MANAGE_COMMAND_H

#include <stddef.h>

#include "base/compiler.h"

/* Exit statuses; dvs(1) documents them. */
#define EXIT_DONE 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2

/* More rows than the table has. */
#define COMMANDS_MAX 96

struct cli;

enum option_id {
	OPTION_END, /* closes a table of options */
	OPTION_RUN_DIR,
	OPTION_OUTPUT,
	OPTION_QUIET,
	OPTION_NO_HEADER,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_WIDE,
	OPTION_OWNER,
	OPTION_FORCE,
	OPTION_COUNT,
	OPTION_INTERVAL,
	OPTION_SORT,
	OPTION_DIR,
	OPTION_INTO,
	OPTION_CLUSTER,
	OPTION_NODE,
	OPTION_DAYS,
	OPTION_AUTHORITY,
	OPTION_ADDRESS,
	OPTION_NUMBER,
	OPTION_NO_BUNDLE,
	OPTION_NAME,
	OPTION_TOKEN,
	OPTION_TRANSPORT,
	OPTION_FILTERS,
	OPTION_ENGINE,
	OPTION_SECURE,
	OPTION_BARE,
	OPTION_KEEP,
	OPTION_RATE,
	OPTION_DELAY,
	OPTION_ONE_WAY,
	OPTION_OFF,
	OPTION_DETACH,
	OPTION_FOLLOW,
	OPTION_NODES,
	OPTION_IMAGE,
	OPTION_DIRECTORY,
	OPTION_ROOT,
	OPTION_CPUS,
	OPTION_CPU_WEIGHT,
	OPTION_CPUSET,
	OPTION_MEMORY,
	OPTION_SWAP,
	OPTION_PIDS,
	OPTION_IO_WEIGHT,
	OPTION_IO,
	OPTION_HUGETLB,
	OPTION_DEVICE,
	OPTION_CAP_ADD,
	OPTION_CAP_DROP,
	OPTION_SECCOMP,
	OPTION_RLIMIT,
	OPTION_VOLUME,
	OPTION_NETWORK,
	OPTION_HOSTNAME,
	OPTION_ENV,
	OPTION_LABEL,
	OPTION_NO_CONTAINER,
	OPTION_STDIN,
	OPTION_TTY,
	OPTION_WORKDIR,
	OPTION_USER,
	OPTION_RESTART,
	OPTION_REMOVE,
	OPTION_ALL,
	OPTION_TAIL,
	OPTION_SINCE,
	OPTION_TIMESTAMPS,
	OPTION_SIGNAL,
	OPTION_STOP,
	OPTION_GRACE,
	OPTION_EXIT_CODE,
	OPTION_RECREATE,
	OPTION_TIMEOUT,
	OPTION_REFERENCE,
	OPTION_TO,
	OPTION_PROGRESS,
	OPTION_ALL_NODES,
	OPTION_SIZE,
	OPTION_REPLICAS,
	OPTION_STORE,
	OPTION_DIRECT,
	OPTION_PLACE,
	OPTION_ASYNC,
	OPTION_LOST_DATA,
	OPTION_LAG,
	OPTION_RESYNC_RATE,
	OPTION_ACCESS,
	OPTION_REPAIR,
	OPTION_OWNERS,
	OPTION_SOCKET,
	OPTION_LISTEN,
	OPTION_TLS,
	OPTION_READ_ONLY,
	OPTION_SHARED,
	OPTION_BY,
	OPTION_VOLUMES,
	OPTION_ONCE,
	OPTION_OF_BENCH, /* parsed by the benchmark itself */
	OPTION_IDS,
};

struct cli_option {
	enum option_id id;
	char letter;	     /* 0: it has only a name */
	const char *name;    /* without the "--" */
	const char *value;   /* what stands for its value in the help; NULL: it takes none */
	const char *choices; /* the values it takes, separated by blanks; NULL: any */
	const char *help;
};

/* What the completion offers for the arguments of a command. */
enum argument_kind {
	ARGUMENT_OTHER,
	ARGUMENT_DC,
	ARGUMENT_ENDPOINT,
	ARGUMENT_DC_OR_ENDPOINT,
	ARGUMENT_COMMAND,
	ARGUMENT_PROGRAM,
	ARGUMENT_FILE,
	ARGUMENT_FILE_OR_DC,
	ARGUMENT_SHELL,
	ARGUMENT_VOLUME,
	ARGUMENT_REPLICA, /* what to do, then a volume */
	ARGUMENT_FS,
};

struct cli_example {
	const char *command;
	const char *what;
};

struct command {
	const char *name; /* one word, or two: a group and what to do in it */
	const char *arguments;
	const char *help;
	const struct cli_option *options;   /* up to OPTION_END; NULL: none of its own */
	const struct cli_example *examples; /* up to a row with NULL */
	int (*run)(struct cli *cli);	    /* returns the exit status */
	enum argument_kind argument;
	unsigned formats; /* or-ed OUTPUT_CAN() of what it can print */
	size_t min_words;
	size_t max_words;
	const char *page; /* its man page */
	/* Set for commands that read their own words: they get everything after the name. */
	int takes_rest;
	size_t rest_after; /* after so many words everything is the rest; 0: never */
	int wrong_use;	   /* its exit status when it was used wrongly; 0: EXIT_USAGE */
};

/* The table, and the options that every command takes. */
const struct command *command_table(size_t *n_commands);
const struct cli_option *command_common_options(void);

/* The command called NAME, or GROUP and NAME; NULL when there is none. */
const struct command *command_find(const char *group, const char *name);

/* Whether some command's name starts with the word NAME and goes on with another. */
int command_is_group(const char *name);

/* The names of GROUP's commands as "create, ls or rm" (GROUP NULL: the first words of all
 * commands); the caller frees it. NULL without memory. */
MUST_USE char *command_names(const char *group);

/* The name most like WORD, for "did you mean"; NULL when none is near. */
const char *command_nearest(const char *group, const char *word);

/* The long option of COMMAND (NULL: of every command) most like WORD, or NULL. */
const char *command_nearest_option(const struct command *command, const char *word);

/* The option of COMMAND (or common to all) with that letter or name, or NULL. */
const struct cli_option *command_option_by_letter(const struct command *command, char letter);
const struct cli_option *command_option_by_name(const struct command *command, const char *name,
						size_t len);

int cmd_dc_create(struct cli *cli);
int cmd_dc_ls(struct cli *cli);
int cmd_dc_inspect(struct cli *cli);
int cmd_dc_set(struct cli *cli);
int cmd_dc_add_node(struct cli *cli);
int cmd_dc_rm_node(struct cli *cli);
int cmd_dc_freeze(struct cli *cli);
int cmd_dc_thaw(struct cli *cli);
int cmd_dc_rm(struct cli *cli);
int cmd_run(struct cli *cli);
int cmd_exec(struct cli *cli);
int cmd_attach(struct cli *cli);
int cmd_ps(struct cli *cli);
int cmd_logs(struct cli *cli);
int cmd_kill(struct cli *cli);
int cmd_wait(struct cli *cli);
int cmd_stats(struct cli *cli);
int cmd_cp(struct cli *cli);
int cmd_ca_init(struct cli *cli);
int cmd_ca_issue(struct cli *cli);
int cmd_ca_renew(struct cli *cli);
int cmd_ca_show(struct cli *cli);
int cmd_init(struct cli *cli);
int cmd_node_add(struct cli *cli);
int cmd_join(struct cli *cli);
int cmd_leave(struct cli *cli);
int cmd_node_ls(struct cli *cli);
int cmd_node_drain(struct cli *cli);
int cmd_node_rm(struct cli *cli);
int cmd_verify(struct cli *cli);
int cmd_events(struct cli *cli);
int cmd_ep_ls(struct cli *cli);
int cmd_proxy_ls(struct cli *cli);
int cmd_plan(struct cli *cli);
int cmd_up(struct cli *cli);
int cmd_down(struct cli *cli);
int cmd_schema(struct cli *cli);
int cmd_vol_create(struct cli *cli);
int cmd_vol_ls(struct cli *cli);
int cmd_vol_stats(struct cli *cli);
int cmd_vol_inspect(struct cli *cli);
int cmd_vol_resize(struct cli *cli);
int cmd_vol_set(struct cli *cli);
int cmd_vol_snapshot(struct cli *cli);
int cmd_vol_clone(struct cli *cli);
int cmd_vol_replica(struct cli *cli);
int cmd_vol_promote(struct cli *cli);
int cmd_vol_verify(struct cli *cli);
int cmd_vol_rm(struct cli *cli);
int cmd_fs_create(struct cli *cli);
int cmd_fs_ls(struct cli *cli);
int cmd_fs_inspect(struct cli *cli);
int cmd_fs_check(struct cli *cli);
int cmd_fs_grow(struct cli *cli);
int cmd_fs_quota(struct cli *cli);
int cmd_fs_export(struct cli *cli);
int cmd_fs_import(struct cli *cli);
int cmd_fs_snapshot(struct cli *cli);
int cmd_fs_rm(struct cli *cli);
int cmd_fs_mount(struct cli *cli);
int cmd_fs_umount(struct cli *cli);
int cmd_vol_export(struct cli *cli);
int cmd_vol_attach(struct cli *cli);
int cmd_vol_detach(struct cli *cli);
int cmd_vol_attachments(struct cli *cli);
int cmd_top(struct cli *cli);
int cmd_inspect(struct cli *cli);
int cmd_trace(struct cli *cli);
int cmd_bench(struct cli *cli);
int cmd_lab_up(struct cli *cli);
int cmd_lab_down(struct cli *cli);
int cmd_lab_ls(struct cli *cli);
int cmd_lab_exec(struct cli *cli);
int cmd_lab_cut(struct cli *cli);
int cmd_lab_heal(struct cli *cli);
int cmd_lab_slow(struct cli *cli);
int cmd_lab_pause(struct cli *cli);
int cmd_lab_resume(struct cli *cli);
int cmd_lab_kill(struct cli *cli);
int cmd_lab_start(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_help(struct cli *cli);
int cmd_completion(struct cli *cli);

#endif
