/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cluster/machine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/cluster/files.h"

int machine_fail(struct cli *cli, const char *what, const char *why, const char *hint)
{
	fflush(cli->output.file);
	fprintf(cli->err, "dvs: %s: %s%s%s\n", what, why, hint[0] ? "; " : "", hint);
	return EXIT_FAILED;
}

int machine_is_root(struct cli *cli, const char *what)
{
	return geteuid() == 0 ? EXIT_DONE :
				machine_fail(cli, what, "only root may do that", "run it as root");
}

int machine_has_corosync(struct cli *cli, const char *what)
{
	static const char *const places[] = { "/usr/sbin/corosync", "/usr/local/sbin/corosync",
					      "/sbin/corosync" };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (access(places[i], X_OK) == 0)
			return EXIT_DONE;
	}
	return machine_fail(cli, what, "corosync is not installed",
			    "install the package 'corosync'");
}

/* ---- the address ---- */

struct address {
	int family;
	socklen_t bytes;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

static bool address_of(const char *text, uint16_t port, struct address *address)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &address->v4.sin_addr) == 1) {
		address->family = address->v4.sin_family = AF_INET;
		address->v4.sin_port = htons(port);
		address->bytes = sizeof(address->v4);
		return true;
	}
	if (inet_pton(AF_INET6, text, &address->v6.sin6_addr) != 1)
		return false;
	address->family = address->v6.sin6_family = AF_INET6;
	address->v6.sin6_port = htons(port);
	address->bytes = sizeof(address->v6);
	return true;
}

static bool is_loopback(const struct address *address)
{
	return address->family == AF_INET ? ntohl(address->v4.sin_addr.s_addr) >> 24 == 127 :
					    IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static bool same_address(const struct address *address, const struct sockaddr *other)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (!other || other->sa_family != address->family)
		return false;
	if (address->family == AF_INET) {
		memcpy(&v4, other, sizeof(v4));
		return v4.sin_addr.s_addr == address->v4.sin_addr.s_addr;
	}
	memcpy(&v6, other, sizeof(v6));
	return IN6_ARE_ADDR_EQUAL(&v6.sin6_addr, &address->v6.sin6_addr);
}

int machine_has_address(struct cli *cli, const char *what, const char *text)
{
	struct address address;
	struct ifaddrs *all = NULL;
	char why[160];
	bool found = false;

	if (!config_address_ok(text) || !address_of(text, 0, &address)) {
		(void)snprintf(why, sizeof(why), "'%.64s' is not an IP address of one machine",
			       text);
		return machine_fail(cli, what, why, "write one like 10.0.0.1 or fd00::1");
	}
	if (is_loopback(&address))
		return machine_fail(cli, what, "other machines cannot reach a loopback address",
				    "'ip address' lists this machine's");
	if (getifaddrs(&all) != 0)
		return cli_fail_errno(cli, errno, "", "%s: list the addresses", what);
	for (const struct ifaddrs *one = all; one && !found; one = one->ifa_next)
		found = same_address(&address, one->ifa_addr);
	freeifaddrs(all);
	if (found)
		return EXIT_DONE;
	(void)snprintf(why, sizeof(why), "%s is no address of this machine", text);
	return machine_fail(cli, what, why, "'ip address' lists those it has");
}

/* ---- ports ---- */

static bool port_is_free(const char *text, int type, uint32_t port)
{
	struct address address;
	AUTO_CLOSE int fd = -1;
	int one = 1;

	if (!address_of(text, (uint16_t)port, &address))
		return false;
	fd = socket(address.family, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return true;
	/* Connections that are over are no obstacle. */
	if (type == SOCK_STREAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return bind(fd, &address.any, address.bytes) == 0 || errno != EADDRINUSE;
}

static int fail_port(struct cli *cli, const char *what, const char *kind, uint32_t port)
{
	char why[128];
	char hint[128];

	(void)snprintf(why, sizeof(why), "the %s port %u is in use", kind, port);
	(void)snprintf(hint, sizeof(hint), "'ss -lnp' tells by whom; end that first");
	return machine_fail(cli, what, why, hint);
}

int machine_has_ports(struct cli *cli, const char *what, const char *address, uint32_t port,
		      uint32_t node)
{
	if (!port_is_free(address, SOCK_DGRAM, MACHINE_COROSYNC_PORT))
		return fail_port(cli, what, "UDP", MACHINE_COROSYNC_PORT);
	for (uint32_t peer = 0; peer < CONFIG_NODES_MAX; peer++) {
		if (peer == node)
			continue;
		if (!port_is_free(address, SOCK_STREAM, port + peer))
			return fail_port(cli, what, "TCP", port + peer);
		if (!port_is_free(address, SOCK_DGRAM, port + peer))
			return fail_port(cli, what, "UDP", port + peer);
	}
	return EXIT_DONE;
}

/* ---- another cluster ---- */

char *machine_corosync_conf(void)
{
	char *text = NULL;
	size_t len;

	return files_read(MACHINE_COROSYNC_CONF, MACHINE_COROSYNC_MAX, &text, &len) == DVS_OK ?
		       text :
		       NULL;
}

int machine_is_free(struct cli *cli, const char *what)
{
	static const char *const ours[] = { "node.yaml", "ca.pem", "ca.key", "node.pem",
					    "node.key" };
	static const char leave[] = "'dvs leave' takes the machine out of its cluster";
	struct config config;
	AUTO_FREE char *conf = machine_corosync_conf();
	struct nodelist nodes;
	char text[CONFIG_TEXT_MAX];
	char wrong[NODELIST_WHY_MAX];
	char why[640];

	if (config_read(CONFIG_FILE_DEFAULT, &config, text, sizeof(text)) == DVS_OK &&
	    config.engine == CONFIG_COROSYNC) {
		(void)snprintf(why, sizeof(why), "this machine is node %u of the cluster '%s'",
			       config.node, config.cluster);
		return machine_fail(cli, what, why, leave);
	}
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		(void)snprintf(why, sizeof(why), CONFIG_DIR_DEFAULT "/%s", ours[i]);
		if (access(why, F_OK) != 0)
			continue;
		(void)snprintf(why, sizeof(why), CONFIG_DIR_DEFAULT "/%s is there already",
			       ours[i]);
		return machine_fail(cli, what, why, "move it away if it is not needed");
	}
	if (access(MACHINE_AUTHKEY, F_OK) == 0)
		return machine_fail(cli, what, MACHINE_AUTHKEY " is there already",
				    "another cluster may use it; move it away if not");
	if (!conf)
		return EXIT_DONE;
	if (nodelist_read(conf, &nodes, wrong) == DVS_OK && nodelist_is_example(&nodes))
		return EXIT_DONE;
	(void)snprintf(why, sizeof(why), MACHINE_COROSYNC_CONF " is that of another cluster ('%s')",
		       nodes.cluster);
	return machine_fail(cli, what, why, "move it away if it is not needed");
}

/* ---- services ---- */

bool machine_has_systemd(void)
{
	return access("/run/systemd/system", F_OK) == 0;
}

int machine_run(const char *const *argv)
{
	char path[] = "PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
	char *environment[] = { path, NULL };
	posix_spawn_file_actions_t actions;
	char *words[8] = { NULL };
	pid_t pid;
	int status = -1;
	int failed;

	for (size_t i = 0; argv[i] && i + 1 < ARRAY_LEN(words); i++)
		memcpy(&words[i], &argv[i], sizeof(words[i]));
	if (!words[0] || posix_spawn_file_actions_init(&actions) != 0)
		return -1;
	/* What it prints is no output of ours. */
	failed = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	if (failed == 0)
		failed = posix_spawnp(&pid, words[0], &actions, NULL, words, environment);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (failed != 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
