/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pair.h"

#define PACKET_BYTES 2048u

static bool run(const char *command)
{
	return system(command) == 0;
}

static pid_t holder_start(void)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) == 0 && write(ready[1], "+", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	if (pid > 0 && read(ready[0], &byte, 1) != 1)
		byte = 0;
	close(ready[0]);
	return byte ? pid : -1;
}

static int port_open(int which)
{
	struct sockaddr_ll own = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	char name[8];

	snprintf(name, sizeof(name), "m%d", which);
	own.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || bind(fd, (struct sockaddr *)(void *)&own, sizeof(own)) < 0)
		abort();
	return fd;
}

/* A packet that is kept back until the next one has gone. */
struct kept {
	uint8_t bytes[PACKET_BYTES];
	ssize_t len;
};

static bool happens(struct net *net, uint64_t *state, unsigned int of_thousand)
{
	bool does = pair_random(state) % 1000 < of_thousand;

	if (does)
		atomic_fetch_add(&net->harmed, 1);
	return does;
}

static void pass_on(struct net *net, int from, struct kept *kept, uint64_t *state)
{
	struct sockaddr_ll source;
	socklen_t source_bytes = sizeof(source);
	uint8_t bytes[PACKET_BYTES];
	ssize_t len = recvfrom(net->port[from], bytes, sizeof(bytes), MSG_DONTWAIT,
			       (struct sockaddr *)(void *)&source, &source_bytes);
	int to = net->port[1 - from];

	/* What we send ourselves is seen by sockets for all protocols, too. */
	if (len <= 0 || source.sll_pkttype == PACKET_OUTGOING || happens(net, state, net->lost))
		return;
	if (happens(net, state, net->cut))
		len = ETH_HLEN + (ssize_t)(pair_random(state) % (uint64_t)(len - ETH_HLEN));
	if (happens(net, state, net->spoilt))
		bytes[pair_random(state) % (uint64_t)len] ^= 0x10;
	if (kept->len == 0 && happens(net, state, net->late)) {
		memcpy(kept->bytes, bytes, (size_t)len);
		kept->len = len;
		return;
	}
	(void)!send(to, bytes, (size_t)len, 0);
	if (happens(net, state, net->doubled))
		(void)!send(to, bytes, (size_t)len, 0);
	if (kept->len > 0)
		(void)!send(to, kept->bytes, (size_t)kept->len, 0);
	kept->len = 0;
}

static void *middle_run(void *argument)
{
	struct net *net = argument;
	struct kept kept[2] = { { .len = 0 }, { .len = 0 } };
	uint64_t state = net->seed;

	for (;;) {
		struct pollfd wait[] = {
			{ .fd = net->port[0], .events = POLLIN },
			{ .fd = net->port[1], .events = POLLIN },
			{ .fd = net->stop, .events = POLLIN },
		};

		(void)poll(wait, 3, -1);
		if (wait[2].revents)
			return NULL;
		for (int i = 0; i < 2; i++) {
			if (wait[i].revents)
				pass_on(net, i, &kept[i], &state);
		}
	}
}

bool net_open(struct net *net, bool has_middle)
{
	char command[400];

	if (!pair_own_network())
		return false;
	net->own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	net->has_middle = has_middle;
	for (int i = 0; i < 2; i++) {
		net->holder[i] = holder_start();
		if (net->holder[i] < 0)
			return false;
	}
	if (!has_middle) {
		snprintf(command, sizeof(command),
			 "ip link add v0 netns %d type veth peer name v1 netns %d", net->holder[0],
			 net->holder[1]);
		if (!run(command))
			abort();
	}
	for (int i = 0; i < 2; i++) {
		if (has_middle) {
			snprintf(
				command, sizeof(command),
				"ip link add m%d type veth peer name v%d netns %d && ip link set m%d up",
				i, i, net->holder[i], i);
			if (!run(command))
				abort();
			net->port[i] = port_open(i);
		}
		snprintf(command, sizeof(command),
			 "nsenter -t %d -n ip addr add 10.7.6.%d/24 dev v%d && "
			 "nsenter -t %d -n ip link set v%d up",
			 net->holder[i], i + 1, i, net->holder[i], i);
		if (!run(command))
			abort();
	}
	net->stop = eventfd(0, EFD_CLOEXEC);
	return !has_middle || pthread_create(&net->middle, NULL, middle_run, net) == 0;
}

void net_close(struct net *net)
{
	if (net->has_middle) {
		(void)!write(net->stop, &(uint64_t){ 1 }, sizeof(uint64_t));
		pthread_join(net->middle, NULL);
		close(net->port[0]);
		close(net->port[1]);
	}
	close(net->stop);
	close(net->own);
	for (int i = 0; i < 2; i++) {
		kill(net->holder[i], SIGKILL);
		waitpid(net->holder[i], NULL, 0);
	}
}

void net_enter(const struct net *net, int which)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", net->holder[which]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		abort();
	close(fd);
}

void net_leave(const struct net *net)
{
	if (setns(net->own, CLONE_NEWNET) < 0)
		abort();
}

void net_cable(const struct net *net, bool is_up)
{
	char command[120];

	snprintf(command, sizeof(command), "nsenter -t %d -n ip link set v0 %s", net->holder[0],
		 is_up ? "up" : "down");
	if (!run(command))
		abort();
}
