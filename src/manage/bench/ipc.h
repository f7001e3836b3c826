/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DVS_MANAGE_BENCH_IPC_H
#define DVS_MANAGE_BENCH_IPC_H

/* `dvs bench ipc`; ARGV[0] is the word "ipc". Returns the exit status. */
int bench_ipc_main(int argc, char **argv);

#endif
