/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as block devices of this node: dvs-attach does it, and says how it went. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/errand.h"
#include "agent/server.h"
#include "agent/volumes.h"
#include "base/cleanup.h"

#define PROGRAM "dvs-attach"
#define FOLDER_BYTES 512
#define READ_ONLY 1u
#define SHARED 2u
#define EXIT_CANNOT_EXECUTE 126

/* One errand of these; what the program says is never more than a list of devices. */
struct device_asked {
	union {
		struct agent_volume_attach_req attach;
		struct agent_volume_detach_req detach;
	} req;
	struct agent_attachments_rep said; /* by the program */
};

/* ---- the program ---- */

/* Between fork and exec: only system calls. */
static _Noreturn void become_program(int mounts, int said, char *const *args)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)setsid();
	/* The device is the node's: in the agent's own mounts it would end with them. */
	if (mounts >= 0)
		(void)setns(mounts, CLONE_NEWNS);
	if (dup2(said, STDOUT_FILENO) < 0 || dup2(said, STDERR_FILENO) < 0)
		_exit(EXIT_CANNOT_EXECUTE);
	(void)syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0U);
	(void)execv(args[0], args);
	_exit(EXIT_CANNOT_EXECUTE);
}

/* All that it says until it ends, as far as there is room; what is beyond is read and forgotten. */
static void hear(int fd, struct agent_attachments_rep *said)
{
	uint8_t rest[4096];
	ssize_t n;

	said->n_attachments = 0;
	for (;;) {
		size_t room = sizeof(said->attachments) - said->n_attachments;

		n = room ? read(fd, said->attachments + said->n_attachments, room) :
			   read(fd, rest, sizeof(rest));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		said->n_attachments += room ? (uint32_t)n : 0;
	}
}

/* Its first line without its name, as the sentence of the failure. */
static void tell_why(struct errand *errand, const struct agent_attachments_rep *said)
{
	static const char before[] = PROGRAM ": ";
	const char *text = (const char *)said->attachments;
	size_t len = said->n_attachments;
	const char *end = memchr(text, '\n', len);

	len = end ? (size_t)(end - text) : len;
	if (len >= sizeof(before) && strncmp(text, before, sizeof(before) - 1) == 0) {
		text += sizeof(before) - 1;
		len -= sizeof(before) - 1;
	}
	if (len == 0)
		(void)snprintf(errand->why, sizeof(errand->why),
			       PROGRAM " cannot be run, or has died");
	else
		(void)snprintf(errand->why, sizeof(errand->why), "%.*s",
			       len < sizeof(errand->why) ? (int)len : (int)sizeof(errand->why) - 1,
			       text);
}

/* WORDS: what follows the name of the program and the run directory; ended by NULL, 12 at most. */
static void run_program(struct errand *errand, const char *const *words)
{
	const struct agent *agent = errand->agent;
	struct device_asked *asked = errand->own;
	char program[FOLDER_BYTES + sizeof(PROGRAM)];
	char folder[FOLDER_BYTES];
	const char *args[16] = { program, "--run-dir", agent->options.run_dir };
	int status = -1;
	int pair[2];
	pid_t pid;

	for (size_t i = 0; words[i]; i++)
		args[i + 3] = words[i];
	errand->err = volumes_folder(folder, sizeof(folder)) ? DVS_OK : DVS_NOTFOUND;
	if (!errand->err && pipe2(pair, O_CLOEXEC) != 0)
		errand->err = DVS_NOMEM;
	if (errand->err)
		return;
	(void)snprintf(program, sizeof(program), "%s%s", folder, PROGRAM);
	pid = fork();
	if (pid == 0) /* execv() only reads them */
		become_program(agent->node_mounts, pair[1], (char *const *)(uintptr_t)args);
	close(pair[1]);
	if (pid > 0)
		hear(pair[0], &asked->said);
	close(pair[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	errand->err = DVS_BADSTATE;
	tell_why(errand, &asked->said);
}

static struct errand *begin(struct request *request, struct device_asked **asked)
{
	struct errand *errand = errand_create(request, sizeof(**asked));

	if (errand)
		*asked = errand->own;
	return errand;
}

/* ---- attach ---- */

static void attach_run(struct errand *errand)
{
	const struct device_asked *asked = errand->own;
	const char *words[4] = { NULL };
	size_t n = 0;

	if (asked->req.attach.flags & READ_ONLY)
		words[n++] = "--read-only";
	if (asked->req.attach.flags & SHARED)
		words[n++] = "--shared";
	words[n] = asked->req.attach.volume;
	run_program(errand, words);
}

static void attach_answer(struct errand *errand)
{
	struct device_asked *asked = errand->own;
	struct agent_volume_attach_rep rep = { .device = "" };
	const uint8_t *end = memchr(asked->said.attachments, '\n', asked->said.n_attachments);
	size_t len = end ? (size_t)(end - asked->said.attachments) : 0;

	(void)snprintf(rep.device, sizeof(rep.device), "%.*s",
		       len < sizeof(rep.device) ? (int)len : 0,
		       (const char *)asked->said.attachments);
	REQUEST_ANSWER(errand->request, volume_attach, &rep);
}

void op_volume_attach(struct agent *agent, struct request *request)
{
	struct agent_volume_attach_req req;
	struct device_asked *asked;
	struct errand *errand;

	(void)agent;
	if (!REQUEST_DECODE(request, volume_attach, &req))
		return;
	/* What begins with '-' would be an option. */
	if (req.volume[0] == '-' || !req.volume[0]) {
		request_fail(request, DVS_BADARG, "that is no name of a volume");
		return;
	}
	errand = begin(request, &asked);
	if (!errand)
		return;
	asked->req.attach = req;
	errand_start(errand, attach_run, attach_answer);
}

/* ---- detach ---- */

static void detach_run(struct errand *errand)
{
	const struct device_asked *asked = errand->own;
	char timeout[16];
	const char *words[6] = { "--detach", "--timeout", timeout };
	size_t n = 3;

	(void)snprintf(timeout, sizeof(timeout), "%u", asked->req.detach.timeout_s);
	if (asked->req.detach.force)
		words[n++] = "--force";
	words[n] = asked->req.detach.what;
	run_program(errand, words);
}

static void detach_answer(struct errand *errand)
{
	request_done(errand->request);
}

void op_volume_detach(struct agent *agent, struct request *request)
{
	struct agent_volume_detach_req req;
	struct device_asked *asked;
	struct errand *errand;

	(void)agent;
	if (!REQUEST_DECODE(request, volume_detach, &req))
		return;
	if (req.what[0] == '-' || !req.what[0]) {
		request_fail(request, DVS_BADARG, "that is no name of a volume or device");
		return;
	}
	errand = begin(request, &asked);
	if (!errand)
		return;
	asked->req.detach = req;
	errand_start(errand, detach_run, detach_answer);
}

/* ---- which there are ---- */

static void attachments_run(struct errand *errand)
{
	static const char *const words[] = { "--list", NULL };
	const struct device_asked *asked = errand->own;

	run_program(errand, words);
	if (errand->err || asked->said.n_attachments < sizeof(asked->said.attachments))
		return;
	errand->err = DVS_TOOBIG;
	(void)snprintf(errand->why, sizeof(errand->why), "too many volumes are attached to tell");
}

static void attachments_answer(struct errand *errand)
{
	struct device_asked *asked = errand->own;

	REQUEST_ANSWER(errand->request, attachments, &asked->said);
}

void op_attachments(struct agent *agent, struct request *request)
{
	struct device_asked *asked;
	struct errand *errand = begin(request, &asked);

	(void)agent;
	if (errand)
		errand_start(errand, attachments_run, attachments_answer);
}
