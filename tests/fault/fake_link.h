/* SPDX-License-Identifier: Apache-2.0 */
/* The link of proxy/link.h in the memory of one process: two ends, and a hand that cuts its connections at random places. A program that
 * has this one does not get the real one. */
#ifndef TESTS_FAULT_FAKE_LINK_H
#define TESTS_FAULT_FAKE_LINK_H

#include "proxy/link.h"

struct fake_wire;

struct fake_wire *fake_wire_new(uint64_t seed);
void fake_wire_free(struct fake_wire *wire);
/* End 0 or 1 of the wire; starts two threads. The end before it must have been closed. */
struct peer_link *fake_link_open(struct fake_wire *wire, unsigned end, struct link_events events);
/* Break the connection of a class: what is on its way arrives up to a random place, perhaps in the middle of a frame. It comes
 * again by itself when both ends are there. */
void fake_wire_cut(struct fake_wire *wire, enum link_class class);
/* So many frames have arrived. */
uint64_t fake_wire_frames(struct fake_wire *wire);

#endif
