/* SPDX-License-Identifier: Apache-2.0 */
/* A dvsd of the test's own in a private directory, and what /proc says of it. */
#ifndef TESTS_FAULT_LAB_H
#define TESTS_FAULT_LAB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct lab {
	char run_dir[64];
	char control[104]; /* the control socket of DC "a", which is there from the start */
	pid_t dvsd;	   /* 0: not running */
};

/* Make the directory and start dvsd in it; fails the test if that does not work. */
void lab_open(struct lab *lab);

/* Start dvsd in the directory and wait until it accepts connections. */
void lab_start_dvsd(struct lab *lab);
/* The two steps of it. */
void lab_spawn_dvsd(struct lab *lab);
void lab_wait_dvsd(struct lab *lab);
void lab_kill_dvsd(struct lab *lab);
/* Create another DC, closed to others; CONTROL gets the path of its socket. */
void lab_create_dc(const struct lab *lab, const char *name, char control[104]);

/* Ask dvsd to end, check that it ended well (leaks are its sanitizer's business), remove the directory. */
void lab_close(struct lab *lab);

/* What a process uses. */
struct usage {
	uint64_t rss_kib;
	uint64_t n_fds;
	uint64_t n_maps;
	uint64_t n_memfd_maps;
	uint64_t cpu_ticks;
};

struct usage usage_of(pid_t pid);

/* The same when nothing has changed for a while: what was closed at the other end is closed here, too. */
struct usage usage_settled(pid_t pid);

/* Pss of a process, in KiB. */
uint64_t pss_kib_of(pid_t pid);
/* And of its page tables. */
uint64_t page_table_kib_of(pid_t pid);

/* Print a diagnostic line. */
void lab_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The number in the environment variable NAME, else OTHERWISE. */
uint64_t lab_option(const char *name, uint64_t otherwise);

/* FAULT_SEED, or a fresh one; printed, so that a run can be repeated. */
uint64_t lab_seed(void);

/* splitmix64: small, and good enough to be unlucky with. */
static inline uint64_t rng_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint32_t rng_below(uint64_t *state, uint32_t end)
{
	return (uint32_t)(((rng_next(state) >> 32) * end) >> 32);
}

/* Let up to SPAN_US microseconds pass: faults come at random times. */
void rng_pause(uint64_t *state, uint32_t span_us);

#endif
