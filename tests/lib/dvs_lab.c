/* SPDX-License-Identifier: Apache-2.0 */
#include "dvs_lab.h"

#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODES_MAX 4u

static struct lab {
	char name[32];
	char dir[64];
	long holder[NODES_MAX];
	bool up;
} lab;

unsigned int lab_nodes(void)
{
	const char *text = getenv("DVS_CALLS_NODES");
	unsigned long n = text ? strtoul(text, NULL, 10) : 1;

	return n >= 1 && n <= NODES_MAX ? (unsigned int)n : 1;
}

/* The command `dvs lab WHAT` for this lab. */
static const char *command(const char *what)
{
	static char line[1024];
	const char *build = getenv("DVS_BUILD");

	(void)snprintf(line, sizeof(line), "'%s/dvs' lab %s --name %s", build ? build : ".", what,
		       lab.name);
	return line;
}

static bool node_write(const json_t *node, unsigned int number)
{
	const char *address = json_string_value(json_object_get(node, "address"));
	char path[128];
	FILE *file;

	lab.holder[number] = (long)json_integer_value(json_object_get(node, "holder"));
	(void)snprintf(path, sizeof(path), "%s/node%u.yaml", lab.dir, number);
	file = address && lab.holder[number] > 0 ? fopen(path, "we") : NULL;
	if (!file)
		return false;
	(void)fprintf(
		file,
		"cluster: %s\nnode: %u\naddress: %s\nengine: corosync\nlinks:\n  filters: []\n",
		lab.name, number, address);
	return fclose(file) == 0;
}

static bool nodes_read(void)
{
	FILE *list = popen(command("ls -o json"), "re");
	json_t *root = list ? json_loadf(list, 0, NULL) : NULL;
	const json_t *nodes = root;
	bool right;

	if (list)
		(void)pclose(list);
	if (json_is_array(root) && json_object_get(json_array_get(root, 0), "nodes"))
		nodes = json_object_get(json_array_get(root, 0), "nodes");
	else if (json_is_object(root))
		nodes = json_object_get(root, "nodes");
	right = json_array_size(nodes) == lab_nodes();
	for (unsigned int i = 0; right && i < lab_nodes(); i++)
		right = node_write(json_array_get(nodes, i), i);
	json_decref(root);
	return right;
}

/* The test's TAP goes to stdout. */
static bool run(const char *line)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)dup2(STDERR_FILENO, STDOUT_FILENO);
		(void)execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool lab_start(const char *dir)
{
	char up[64];

	if (lab_nodes() < 2)
		return true;
	(void)snprintf(lab.dir, sizeof(lab.dir), "%s", dir);
	(void)snprintf(lab.name, sizeof(lab.name), "calls-%d", (int)getpid());
	(void)snprintf(up, sizeof(up), "up %u --bare --token 1000", lab_nodes());
	lab.up = true; /* also half of one is to be taken down */
	if (run(command(up)) && nodes_read())
		return true;
	(void)fprintf(stderr, "cannot make a lab of %u nodes\n", lab_nodes());
	lab_stop();
	return false;
}

void lab_stop(void)
{
	if (lab.up && !run(command("down")))
		(void)fprintf(stderr, "cannot take the lab %s down\n", lab.name);
	lab.up = false;
}

static bool enter(const char *kind, unsigned int node, int type)
{
	char path[64];
	int fd;
	bool right;

	(void)snprintf(path, sizeof(path), "/proc/%ld/ns/%s", lab.holder[node], kind);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	right = fd >= 0 && setns(fd, type) == 0;
	if (!right)
		perror(path);
	if (fd >= 0)
		close(fd);
	return right;
}

/* The node's network and its /dev/shm, where its corosync is reached; but this process's own view of processes, because those
 * of the test belong to it. */
bool lab_enter(unsigned int node, char *config, size_t size)
{
	bool there;

	if (!lab.up)
		return false;
	(void)snprintf(config, size, "%s/node%u.yaml", lab.dir, node);
	there = enter("net", node, CLONE_NEWNET) && enter("mnt", node, CLONE_NEWNS) &&
		unshare(CLONE_NEWNS) == 0 && mount("proc", "/proc", "proc", 0, NULL) == 0;
	if (!there) {
		perror("cannot go to the other node");
		_exit(127);
	}
	return true;
}
