/* SPDX-License-Identifier: Apache-2.0 */
/* The network of a lab: in the hub a bridge, and for each node a veth pair from a port of the
 * bridge (p0) to the node's eth0. Nothing of it is in the host's network namespace. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/lab/lab.h"

static _Noreturn void run_tool(pid_t holder, const char *tool, int in, int out)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!lab_enter_network(holder) || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	(void)setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	execlp(tool, tool, "-batch", "-", (char *)NULL);
	_exit(127);
}

bool lab_run_batch(struct lab *lab, pid_t holder, const char *tool, const char *text)
{
	AUTO_CLOSE int in = memfd_create("batch", MFD_CLOEXEC);
	AUTO_CLOSE int out = memfd_create("output", MFD_CLOEXEC);
	char said[300] = "";
	int status = 0;
	pid_t pid;
	ssize_t n;

	if (in < 0 || out < 0 || write(in, text, strlen(text)) != (ssize_t)strlen(text) ||
	    lseek(in, 0, SEEK_SET) != 0)
		return lab_fail(lab, "prepare the input of %s: %s", tool, strerror(errno));
	pid = fork();
	if (pid == 0)
		run_tool(holder, tool, in, out);
	if (pid < 0)
		return lab_fail(lab, "fork: %s", strerror(errno));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return lab_fail(lab, "start %s: it is not there; install the package iproute2",
				tool);
	n = pread(out, said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = '\0';
	return lab_fail(lab, "set up the network of the lab: %s: %s", tool, said);
}

static bool add_ports(struct lab *lab)
{
	char *text = NULL;
	size_t text_bytes;
	FILE *out = open_memstream(&text, &text_bytes);
	bool done;

	if (!out)
		return lab_fail(lab, "set up the network: out of memory");
	fprintf(out, "link set lo up\n"
		     "link add hub type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n"
		     "link set hub up\n");
	for (uint32_t i = 0; i < lab->options.n_nodes; i++)
		fprintf(out,
			"link add p%u type veth peer name eth0 address 02:d5:00:00:00:%02x netns "
			"%d\n"
			"link set p%u master hub up\n",
			i, i + 1, lab->holders[i], i);
	done = fclose(out) == 0 && lab_run_batch(lab, lab->holders[LAB_HUB], "ip", text);
	free(text);
	return done;
}

bool lab_network_up(struct lab *lab)
{
	if (!add_ports(lab))
		return false;
	for (uint32_t i = 0; i < lab->options.n_nodes; i++) {
		char address[LAB_ADDRESS_BYTES];
		char text[256];

		lab_node_address(i, address);
		(void)snprintf(text, sizeof(text),
			       "link set lo up\n"
			       "addr add %s/24 brd + dev eth0\n"
			       "link set eth0 up\n",
			       address);
		if (!lab_run_batch(lab, lab->holders[i], "ip", text))
			return false;
	}
	return true;
}
