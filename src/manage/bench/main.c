/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmarks as a program of their own, for trials without the rest of the command line. */
#include "manage/bench/bench.h"

int main(int argc, char **argv)
{
	return bench_main(argc, argv);
}
