/* SPDX-License-Identifier: Apache-2.0 */
/* The connection with a client: a socket, in clear or under TLS 1.3. One thread receives at a time, and one sends; both at once is fine. */
#ifndef GATEWAYS_NBD_WIRE_H
#define GATEWAYS_NBD_WIRE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <dvs/error.h>

#include "base/compiler.h"

#define WIRE_WHY_MAX 255

struct wire_tls;     /* the certificates of the server */
struct wire_session; /* TLS of one connection */

struct wire {
	int fd;
	struct wire_session *session; /* NULL: in clear */
};

/* The server's certificate and key, DIR/node.pem and DIR/node.key (as dvs ca makes them), and when there is DIR/ca.pem: clients must have one that it has signed. WHY gets a sentence.
 * NOTFOUND, BADARG, NOMEM. */
DVS_MUST_USE dvs_err wire_tls_open(const char *dir, struct wire_tls **tls,
				   char why[WIRE_WHY_MAX + 1]);
void wire_tls_close(struct wire_tls *tls);

void wire_init(struct wire *wire, int fd);
/* From now on TLS; the handshake as server. WHY gets a sentence. */
DVS_MUST_USE dvs_err wire_start_tls(struct wire *wire, struct wire_tls *tls, uint64_t deadline_ns,
				    char why[WIRE_WHY_MAX + 1]);
/* What is there, at least a byte, into PIECES in their order (under TLS only into the first). 0: the connection is over, broken, or DEADLINE_NS passed. */
size_t wire_receive(struct wire *wire, struct iovec *pieces, size_t n, uint64_t deadline_ns);
/* All of PIECES, which are changed. False: the connection is broken. */
MUST_USE bool wire_send(struct wire *wire, struct iovec *pieces, size_t n);
/* End what waits in wire_receive() and wire_send(); for any thread. */
void wire_cut(struct wire *wire);
/* As wire_cut(), but what is being answered can still be sent. */
void wire_stop_receiving(struct wire *wire);
void wire_close(struct wire *wire);

#endif
