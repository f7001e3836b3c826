/* SPDX-License-Identifier: Apache-2.0 */
/* Programs beside us, clocks and ports. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/doctor_internal.h"
#include "container/internal.h"

#define PROGRAM_MS 20000u
#define TCP_LISTEN 0x0au
#define OURS "dvs-proxy"

/* ---- programs ---- */

/* From 6.13 on the kernel's vDSO lies otherwise than CRIU before 4.1 takes it to. */
static bool criu_too_old(const char *version)
{
	unsigned long major, minor, kernel_major, kernel_minor;
	struct utsname name;

	(void)uname(&name);
	if (!doctor_version(version, &major, &minor) ||
	    !doctor_version(name.release, &kernel_major, &kernel_minor))
		return false;
	return (major < 4 || (major == 4 && minor < 1)) &&
	       (kernel_major > 6 || (kernel_major == 6 && kernel_minor >= 13));
}

static void say_criu(const struct doctor *doctor)
{
	static const char *const ask[] = { "criu", "--version", NULL };
	static const char *const check[] = { "criu", "check", NULL };
	static const char disables[] = "moving programs that run from node to node";
	static const char cure[] =
		"install CRIU 4.1 or later (3.17 of Debian 12 does not work on kernels"
		" from 6.13 on)";
	char version[100], text[120];
	int status = doctor_capture(ask, PROGRAM_MS, version, sizeof(version));

	if (status == 127) {
		doctor_say(doctor, "criu", DOCTOR_LESS, disables, cure, "not installed");
		return;
	}
	if (criu_too_old(version)) {
		doctor_say(doctor, "criu", DOCTOR_LESS, disables, cure,
			   "%s does not work on this kernel", version);
		return;
	}
	status = doctor_capture(check, PROGRAM_MS, text, sizeof(text));
	doctor_say(doctor, "criu", status == 0 ? DOCTOR_GOOD : DOCTOR_LESS, disables, cure,
		   "%s: %s", version, text);
}

static void say_corosync(const struct doctor *doctor)
{
	static const char *const ask[] = { "corosync", "-v", NULL };
	bool needed = doctor->config->engine == CONFIG_COROSYNC;
	char text[200];
	int status = doctor_capture(ask, PROGRAM_MS, text, sizeof(text));

	if (strstr(text, " Copyright"))
		*strstr(text, " Copyright") = '\0';
	if (status == 0)
		doctor_say(doctor, "corosync", DOCTOR_GOOD, "", "", "%s", text);
	else
		doctor_say(doctor, "corosync", needed ? DOCTOR_MISSING : DOCTOR_LESS,
			   needed ? "the whole node: node.yaml says engine: corosync" :
				    "being in a cluster: this node is alone",
			   "install corosync (Debian: apt install corosync)", "%s",
			   status == 127 ? "not installed" : text);
}

void doctor_programs(const struct doctor *doctor)
{
	AUTO_CLOSE int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	doctor_say(doctor, "fuse", fuse >= 0 ? DOCTOR_GOOD : DOCTOR_LESS,
		   "file systems of servers, mounted on the node",
		   "load the module fuse (modprobe fuse), or give this machine /dev/fuse",
		   "/dev/fuse: %s", fuse >= 0 ? "works" : strerror(errno));
	say_corosync(doctor);
	say_criu(doctor);
}

/* ---- clock ---- */

void doctor_clock(const struct doctor *doctor)
{
	struct timex state = { .modes = 0 };
	int result = adjtimex(&state);
	bool good = result >= 0 && result != TIME_ERROR && !(state.status & STA_UNSYNC);

	doctor_say(doctor, "clock", good ? DOCTOR_GOOD : DOCTOR_LESS,
		   "comparing times of several nodes, as in logs; certificates may seem to be of"
		   " tomorrow",
		   "run chrony or systemd-timesyncd, here or on the host of this machine", "%s",
		   result < 0 ? strerror(errno) :
		   good	      ? "synchronised" :
				"nobody synchronises it");
}

/* ---- ports ---- */

/* Whether a process of that name has the socket open. */
static bool has_socket(const char *pid, const char *wanted)
{
	char path[PATH_BYTES], target[64];
	const struct dirent *entry;
	AUTO_CLOSEDIR DIR *dir = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) != NULL) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (len <= 0)
			continue;
		target[len] = '\0';
		if (strcmp(target, wanted) == 0)
			return true;
	}
	return false;
}

/* The program that has the socket INODE open; "" if nobody can be seen to. */
static void find_owner(unsigned long inode, char name[64])
{
	AUTO_CLOSEDIR DIR *dir = opendir("/proc");
	const struct dirent *entry;
	char wanted[64], path[PATH_BYTES];

	name[0] = '\0';
	(void)snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	while (dir && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
		    !has_socket(entry->d_name, wanted))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%.16s/comm", entry->d_name);
		(void)file_read(path, name, 64);
		name[strcspn(name, "\n")] = '\0';
		return;
	}
}

/* Whether the address in /proc/net/tcp is the node's, or any. */
static bool is_address(const struct doctor *doctor, const char *hex)
{
	struct in_addr address;
	char ours[16];

	if (strspn(hex, "0") == strlen(hex))
		return true;
	if (inet_pton(AF_INET, doctor->config->address, &address) != 1)
		return true;
	(void)snprintf(ours, sizeof(ours), "%08" PRIX32, address.s_addr);
	return strcmp(hex, ours) == 0;
}

struct port_search {
	const struct doctor *doctor;
	unsigned ours; /* ports that our own proxies have */
	unsigned long other;
	char owner[64];
};

/* A line: "N: ADDRESS:PORT REMOTE STATE QUEUES TIMER RETRANSMITS UID TIMEOUT INODE ..." */
#define LINE_WORDS 10u

static void look_at_line(struct port_search *search, char *line)
{
	const struct config *config = search->doctor->config;
	char *words[LINE_WORDS], *rest = NULL, *colon;
	char owner[64];
	unsigned long port, state, inode;
	size_t n = 0;

	for (char *word = strtok_r(line, " ", &rest); word && n < LINE_WORDS;
	     word = strtok_r(NULL, " ", &rest))
		words[n++] = word;
	if (n < LINE_WORDS || !(colon = strchr(words[1], ':')))
		return;
	*colon = '\0';
	port = strtoul(colon + 1, NULL, 16);
	state = strtoul(words[3], NULL, 16);
	inode = strtoul(words[9], NULL, 10);
	if (state != TCP_LISTEN || port < config->port || port >= config->port + CONFIG_NODES_MAX ||
	    port == config->port + config->node || !is_address(search->doctor, words[1]))
		return;
	find_owner(inode, owner);
	if (strcmp(owner, OURS) == 0) {
		search->ours++;
	} else if (!search->other) {
		search->other = port;
		(void)snprintf(search->owner, sizeof(search->owner), "%s",
			       owner[0] ? owner : "another program");
	}
}

void doctor_ports(const struct doctor *doctor)
{
	static const char *const files[] = { "/proc/net/tcp", "/proc/net/tcp6" };
	struct port_search search = { .doctor = doctor };
	const struct config *config = doctor->config;

	if (doctor->config_why[0]) {
		doctor_say(doctor, "node.yaml", DOCTOR_MISSING, "the whole node",
			   "mend it; dvs-node.yaml(5) has an example", "%s", doctor->config_why);
		return;
	}
	if (config->engine == CONFIG_LOCAL) {
		doctor_say(doctor, "ports", DOCTOR_GOOD, "", "",
			   "none are needed: this node is alone");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_FCLOSE FILE *file = fopen(files[i], "re");
		char line[512];

		while (file && fgets(line, sizeof(line), file))
			look_at_line(&search, line);
	}
	if (search.other)
		doctor_say(doctor, "ports", DOCTOR_MISSING, "the link to one other node",
			   "end that program, or choose other ports with links: port: in node.yaml",
			   "%s listens at port %lu, which is ours", search.owner, search.other);
	else
		doctor_say(doctor, "ports", DOCTOR_GOOD, "", "", "%u to %u are free or ours (%u)",
			   config->port, config->port + CONFIG_NODES_MAX - 1, search.ours);
}
