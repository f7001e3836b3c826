/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes between which `dvs bench remote` measures: those of a lab, so that all systems have the same way between
 * them. Clients run on the first, servers on the second; the third is there to be killed. */
#ifndef DVS_MANAGE_BENCH_REMOTE_NET_H
#define DVS_MANAGE_BENCH_REMOTE_NET_H

#include "config/config.h"
#include "manage/bench/internal.h"

#define BENCH_NET_DC "bench"
/* The control socket of that DC, on every node. */
#define BENCH_NET_CONTROL "/run/dvs/dc/" BENCH_NET_DC "/control"

struct bench_net;

/* How the proxies of the nodes talk. */
struct bench_way {
	enum config_transport transport;
	enum config_filter filters[CONFIG_FILTERS_MAX];
};

struct bench_net_setup {
	const char *
		name; /* of a lab that is there, with at least so many nodes; NULL: bring one up, which ends with bench_net_stop() */
	unsigned n_nodes;
	unsigned token_ms; /* corosync's; 0: as labs have it */
	bool has_keys; /* one that is brought up has them, and its proxies encrypt: bench_net_choose() can choose both */
};

DVS_MUST_USE dvs_err bench_net_start(const struct bench_net_setup *setup, struct bench_net **net,
				     struct bench_fault *fault);
/* NULL is fine. */
void bench_net_stop(struct bench_net *net);

/* Fork a process that is of NODE: its child is there, and has only to enter it. As fork(2). NET NULL: just fork. */
pid_t bench_net_fork(const struct bench_net *net, unsigned node);
/* Take this process, which bench_net_fork() made for NODE, there. */
DVS_MUST_USE dvs_err bench_net_enter(const struct bench_net *net, unsigned node,
				     struct bench_fault *fault);
/* Whether the process that forked this one, PARENT, is still there. */
bool bench_net_has_parent(const struct bench_net *net, pid_t parent);

unsigned bench_net_nodes(const struct bench_net *net);
/* Its IPv4 address. */
const char *bench_net_address(const struct bench_net *net, unsigned node);

/* Let the nodes talk by WAY: if they do not yet, their proxies are ended, and begin again with it. */
DVS_MUST_USE dvs_err bench_net_choose(struct bench_net *net, const struct bench_way *way,
				      struct bench_fault *fault);
/* The CPU time that the proxies have used since bench_net_choose(). */
uint64_t bench_net_proxies_cpu_ns(const struct bench_net *net);

/* What the programs called NAME use of the memory of the nodes, each page divided by those that have it. */
uint64_t bench_net_memory_bytes(const struct bench_net *net, const char *name);

/* Make the DC; further calls do nothing. */
DVS_MUST_USE dvs_err bench_net_make_dc(struct bench_net *net, struct bench_fault *fault);

bool bench_net_has_dc(const struct bench_net *net);

/* Kill NODE and all that runs on it at once, as a power failure does, and begin it again. */
DVS_MUST_USE dvs_err bench_net_kill_node(struct bench_net *net, unsigned node,
					 struct bench_fault *fault);
/* Send SIGNAL to the process called NAME that NODE itself knows as PID; 0: to all that are called so. BADSTATE: there is none. */
DVS_MUST_USE dvs_err bench_net_signal(struct bench_net *net, unsigned node, const char *name,
				      pid_t pid, int signal, struct bench_fault *fault);
DVS_MUST_USE dvs_err bench_net_revive_node(struct bench_net *net, unsigned node,
					   struct bench_fault *fault);

#endif
