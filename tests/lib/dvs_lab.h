/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of a test program that asks for more than one: a lab without dvsds, made by `dvs lab`. */
#ifndef TESTS_DVS_LAB_H
#define TESTS_DVS_LAB_H

#include <stdbool.h>
#include <stddef.h>

/* DVS_CALLS_NODES, at least 1. */
unsigned int lab_nodes(void);
/* Make it, with the nodes' configuration files in DIR. True also when only one node is asked for. */
bool lab_start(const char *dir);
void lab_stop(void);
/* Go into NODE's network namespace and tell its configuration file. False: there is no lab. */
bool lab_enter(unsigned int node, char *config, size_t size);

#endif
