/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench: the one door the rest of the command line comes in by. */
#ifndef DVS_MANAGE_BENCH_BENCH_H
#define DVS_MANAGE_BENCH_BENCH_H

/* Run `dvs bench NAME [OPTIONS]`; ARGV[0] is the word "bench", ARGV[1] the benchmark.
 * Figures go to stdout, messages to stderr.
 * Returns the exit status: 0 all measured, 1 a system failed, 2 wrong usage, 130 interrupted. */
int bench_main(int argc, char **argv);

#endif
