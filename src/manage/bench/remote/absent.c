/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of peers whose library was not there when dvs was built: they are named, with the reason. */
#include "manage/bench/remote/peers.h"

#define ABSENT(peer, called, library)                                                     \
	static dvs_err peer##_start(struct bench_lab *lab, struct bench_fault *fault)     \
	{                                                                                 \
		(void)lab;                                                                \
		return bench_fail(fault, DVS_BADSTATE, "dvs was built without " library); \
	}                                                                                 \
	const struct bench_system bench_peer_##peer = {                                   \
		.name = called,                                                           \
		.summary = "not in this build: it had no " library,                       \
		.class = BENCH_KERNEL,                                                    \
		.patterns = PEER_MESSAGES,                                                \
		.start = peer##_start,                                                    \
	}

#ifndef BENCH_HAS_ZMQ
ABSENT(zmq, "zmq", "libzmq");
#endif
#ifndef BENCH_HAS_NNG
ABSENT(nng, "nng", "libnng");
#endif
#ifndef BENCH_HAS_RPC
ABSENT(rpc, "rpc", "libtirpc or rpcgen");
#endif
