/* SPDX-License-Identifier: Apache-2.0 */
/* A lab: a whole DVS on one machine. Each node is one process, its holder: PID 1 of a PID
 * namespace, with network, mount, IPC and UTS namespaces of its own. All that a node is hangs
 * on its holder, so that a node ends when its holder is killed, and with it its processes,
 * mounts, shared memory and network; the kernel sees to that. One more holder, the hub, owns
 * the network between them: a bridge with a port for each node.
 *
 * Holders carry their lab's name in their command line. What a lab is can be found from that
 * alone; its directory (options, configuration files) is only needed to work with it. Until
 * 'dvs lab up' is done, its death takes the holders with it.
 *
 * Functions that return false have said why with lab_fail(). */
#ifndef MANAGE_LAB_LAB_H
#define MANAGE_LAB_LAB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "config/config.h"

struct cli;

#define LAB_NODES_MAX CONFIG_NODES_MAX
#define LAB_NAME_MAX 31u
#define LAB_NAME_DEFAULT "lab"
#define LAB_TOKEN_DEFAULT_MS 400u
#define LAB_ADDRESS_BYTES 16u
#define LAB_HUB LAB_NODES_MAX /* the hub's place among the holders */
#define LAB_HOLDER_NAME "dvs-lab-hold"

/* Where a node's dvsd has its sockets: the usual place, inside the node's own mounts. */
#define LAB_RUN_DIR "/run/dvs"
#define LAB_LIB_DIR "/var/lib/dvs"

struct lab_options {
	uint32_t n_nodes;
	uint32_t token_ms;
	enum config_transport transport;
	enum config_filter filters[CONFIG_FILTERS_MAX];
	enum config_engine engine;
	bool secure; /* corosync encrypts */
	bool bare;   /* no dvsd */
};

struct lab {
	char name[LAB_NAME_MAX + 1];
	char dir[256];
	struct lab_options options;
	pid_t holders[LAB_NODES_MAX + 1];   /* 0: there is none */
	int control_fds[LAB_NODES_MAX + 1]; /* while it is being made */
	bool keep;			    /* what failed is not ours to remove */
	int lock_fd;
	char error[1024];
};

/* ---- state.c: names and the lab's directory ---- */

/* Record the first failure. Returns false. */
bool lab_fail(struct lab *lab, const char *message, ...) PRINTF_LIKE(2, 3);

/* LAB of that name (NULL: DVS_LAB, else "lab"), whether there is one or not. */
MUST_USE bool lab_init(struct lab *lab, const char *name);

/* The directory of all labs. */
MUST_USE bool lab_base_dir(char *path, size_t path_bytes);

/* Wait until nobody else changes the lab; ended by lab_close(). */
MUST_USE bool lab_lock(struct lab *lab);
void lab_close(struct lab *lab);

/* Make the directory of a new lab and of its nodes, with its options. */
MUST_USE bool lab_create_dir(struct lab *lab);
/* Remove what an earlier lab left in it, but for the lock. */
void lab_clear_dir(struct lab *lab);
void lab_remove_dir(struct lab *lab);

/* Read the options and find the holders of a lab that is up. */
MUST_USE bool lab_open(struct lab *lab, const char *name);
/* Say that there is no such lab, and which one there is. Returns false. */
bool lab_is_missing(struct lab *lab);

/* "n3" or "3" as 3. */
MUST_USE bool lab_parse_node(struct lab *lab, const char *word, uint32_t *node);

/* The directory of a node that PATH starts with, as DIR/n0/REST. */
void lab_node_path(const struct lab *lab, uint32_t node, const char *rest, char *path,
		   size_t path_bytes);

void lab_node_address(uint32_t node, char address[LAB_ADDRESS_BYTES]);

/* ---- node_files.c: the configuration of a node ---- */

MUST_USE bool lab_write_node_files(struct lab *lab, uint32_t node);

/* ---- certificates.c ---- */

/* A certificate for each node, in its /etc/dvs. */
MUST_USE bool lab_write_certificates(struct lab *lab);

/* ---- holder.c ---- */

/* Start the holder of NODE (or LAB_HUB). It is ready when this returns, and dies with us
 * until lab_holders_release(). */
MUST_USE bool lab_holder_start(struct lab *lab, uint32_t node, int *control_fd);
MUST_USE bool lab_holder_wait(struct lab *lab, uint32_t node, int control_fd);
MUST_USE bool lab_holder_release(struct lab *lab, uint32_t node, int control_fd);

/* What a process called LAB_HOLDER_NAME does. */
int lab_holder_main(int argc, char **argv);

/* ---- mounts.c: inside a holder ---- */

/* Its mounts, from the files in its directory DIR. On failure WHAT says what did not work, and errno why. */
MUST_USE bool lab_mount_node(const char *dir, const char **what);

/* What a power failure loses: /run and /dev/shm, made anew. */
MUST_USE bool lab_mount_memory(const char **what);

/* ---- inside.c: working inside a node ---- */

/* Enter the namespaces of process HOLDER; a process forked then is in its PID namespace. */
MUST_USE bool lab_enter(pid_t holder);
MUST_USE bool lab_enter_network(pid_t holder);

/* A job inside a node: it writes why it failed to WHY. */
typedef bool lab_job(struct lab *lab, uint32_t node, void *arg, FILE *why);

struct lab_running {
	pid_t pid;
	int fd;
};

/* Start JOB inside NODE, and wait for it. */
MUST_USE bool lab_inside_start(struct lab *lab, uint32_t node, lab_job *job, void *arg,
			       struct lab_running *running);
MUST_USE bool lab_inside_wait(struct lab *lab, uint32_t node, struct lab_running *running);
MUST_USE bool lab_inside(struct lab *lab, uint32_t node, lab_job *job, void *arg);

/* Set what programs in a node find in their environment. */
void lab_set_environment(const struct lab *lab, uint32_t node);

/* ---- network.c ---- */

/* Give "ip" or "tc" the lines TEXT, in the network namespace of HOLDER. */
MUST_USE bool lab_run_batch(struct lab *lab, pid_t holder, const char *tool, const char *text);

/* The bridge, and a port and an address for each node. */
MUST_USE bool lab_network_up(struct lab *lab);

/* ---- containers.c: what the agents of a lab's nodes have made ---- */

/* From outside: the containers of all nodes are killed, also those that are frozen. */
void lab_containers_kill(const struct lab *lab);
/* The nodes are gone: nothing of their containers stays on the machine. */
MUST_USE bool lab_containers_remove(struct lab *lab);
/* Inside a node: those of this node are killed. */
void lab_containers_kill_here(void);

/* ---- services.c: corosync and dvsd of a node ---- */

/* Look for the programs that a lab needs, so that what is missing is said before anything is made. */
MUST_USE bool lab_find_programs(struct lab *lab);

/* How many others, and itself, a node is to see when it is up; 0: do not wait for that. */
struct lab_expected {
	uint32_t n_corosync;
	uint32_t n_dvsd;
};

/* A lab_job: start what does not run of NODE's services, and wait until they serve and see what the struct lab_expected ARG says. */
bool lab_services_start(struct lab *lab, uint32_t node, void *arg, FILE *why);

/* ---- processes.c ---- */

/* Find the holders of LAB. Returns how many there are, of any node. */
uint32_t lab_find_holders(struct lab *lab);

/* Call FOUND for each process of all labs' holders: NAME is the lab's, ROLE "hub" or "n0"; both are "" for one that is just ending. */
typedef void lab_holder_found(void *arg, pid_t pid, const char *name, const char *role);
void lab_each_holder(lab_holder_found *found, void *arg);

/* The letter of a process's state, as ps(1) has it; 'X' when it is gone. */
char lab_process_state(pid_t pid);

/* Kill all of LAB's holders and wait until they and all that was in them are gone. */
MUST_USE bool lab_kill_holders(struct lab *lab);

/* What runs in a node, by its number on the host; 0: it does not. */
#define LAB_PROXIES_MAX (2 * LAB_NODES_MAX)
struct lab_lives {
	pid_t corosync;
	pid_t dvsd;
	pid_t proxies[LAB_PROXIES_MAX];
	size_t n_proxies;
	uint32_t n; /* without the holder */
	uint32_t n_stopped;
};

struct lab_processes {
	struct lab_lives of_node[LAB_NODES_MAX];
};

void lab_find_processes(const struct lab *lab, struct lab_processes *processes);

/* The commands' names for failures: prints lab->error. Returns EXIT_FAILED. */
int lab_say_failure(struct cli *cli, const struct lab *lab);

#endif
