/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/attach/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "gateways/attach/server.h"
#include "gateways/attach/slot.h"

struct keeper {
	const struct attach_config *config;
	struct slot slot;
	pid_t server;
	int server_fd;
	int report_fd;
	int signal_fd;
	int device_fd;
	bool is_read_only;
	char device[LOOP_DEVICE_MAX];
};

static void report(int fd, dvs_err err, const char *text)
{
	if (err)
		(void)dprintf(fd, "error %d %s\n", (int)err, text);
	else
		(void)dprintf(fd, "ok %s\n", text);
}

static dvs_err start_server(struct keeper *keeper)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return dvs_from_errno(errno);
	keeper->server = fork();
	if (keeper->server == 0) {
		sigset_t none;

		sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		/* Who waits for the report waits until nobody has it any more. */
		close(keeper->report_fd);
		close(pair[0]);
		close(keeper->signal_fd);
		_exit(server_run(keeper->config, keeper->slot.token, pair[1]));
	}
	close(pair[1]);
	keeper->server_fd = pair[0];
	return keeper->server < 0 ? dvs_from_errno(errno) : DVS_OK;
}

static dvs_err make_device(struct keeper *keeper, const struct server_word *word,
			   char why[ATTACH_WHY_MAX])
{
	AUTO_CLOSE int file_fd = -1;

	keeper->is_read_only = word->is_read_only;
	if (keeper->config->nbd)
		return keeper->config->nbd->connect(
			keeper->config->nbd->context,
			&(struct nbd_wish){ .socket_fd = word->fd,
					    .bytes = word->bytes,
					    .is_read_only = word->is_read_only,
					    .name = keeper->slot.token },
			keeper->device, &keeper->device_fd, why);
	file_fd = openat(word->fd, keeper->slot.token,
			 (word->is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);

	if (file_fd < 0) {
		(void)snprintf(why, ATTACH_WHY_MAX, "the file under the device: %s",
			       strerror(errno));
		return dvs_from_errno(errno);
	}
	return loop_make(file_fd, keeper->slot.token, word->is_read_only, keeper->device,
			 &keeper->device_fd, why);
}

static dvs_err make_all(struct keeper *keeper, char why[ATTACH_WHY_MAX])
{
	const struct attach_config *config = keeper->config;
	struct server_word word = { .fd = -1 };
	struct attachment about = { .is_shared = config->is_shared };
	dvs_err err = slot_make(config->run_dir, config->volume, &keeper->slot, why);

	if (!err)
		err = start_server(keeper);
	if (err)
		return err;
	server_hear(keeper->server_fd, &word);
	if (word.says == SERVER_READY && word.fd >= 0) {
		err = make_device(keeper, &word, why);
	} else {
		(void)snprintf(why, ATTACH_WHY_MAX, "%s",
			       word.why[0] ? word.why : "its server has died");
		err = word.err ? word.err : DVS_PEERDEAD;
	}
	if (word.fd >= 0)
		close(word.fd);
	if (err)
		return err;
	(void)snprintf(about.volume, sizeof(about.volume), "%s", config->volume);
	(void)snprintf(about.device, sizeof(about.device), "%s", keeper->device);
	about.keeper = getpid();
	about.server = keeper->server;
	about.is_read_only = keeper->is_read_only;
	about.since_ns = clock_real_ns();
	return slot_write(&keeper->slot, &about);
}

/* ---- afterwards ---- */

static dvs_err resize(const struct keeper *keeper, uint64_t bytes)
{
	const struct nbd_kernel *nbd = keeper->config->nbd;

	return nbd ? nbd->resize(nbd->context, keeper->device, keeper->slot.token, bytes) :
		     loop_resized(keeper->device_fd);
}

static void let_go(struct keeper *keeper)
{
	if (keeper->device_fd >= 0)
		close(keeper->device_fd);
	keeper->device_fd = -1;
}

/* True: the server has ended. */
static bool take_signal(struct keeper *keeper)
{
	struct signalfd_siginfo info;
	int status;

	if (read(keeper->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	if (info.ssi_signo == KEEPER_NOW)
		(void)kill(keeper->server, SIGKILL);
	else if (info.ssi_signo == KEEPER_GENTLY)
		let_go(keeper);
	else
		return waitpid(keeper->server, &status, WNOHANG) == keeper->server;
	return false;
}

static void take_word(struct keeper *keeper)
{
	struct server_word word;

	server_hear(keeper->server_fd, &word);
	if (word.fd >= 0)
		close(word.fd);
	if (word.says == SERVER_GONE) { /* SIGCHLD follows */
		close(keeper->server_fd);
		keeper->server_fd = -1;
	} else if (word.says == SERVER_RESIZED && keeper->device_fd >= 0 &&
		   resize(keeper, word.bytes)) {
		log_warning(&keeper->config->log, "the device keeps its size",
			    LOG_STR("device", keeper->device));
	}
}

static void keep(struct keeper *keeper)
{
	bool has_ended = false;

	while (!has_ended) {
		struct pollfd wait[] = {
			{ .fd = keeper->signal_fd, .events = POLLIN },
			{ .fd = keeper->server_fd, .events = POLLIN },
		};

		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			break;
		if (wait[1].revents)
			take_word(keeper);
		if (wait[0].revents)
			has_ended = take_signal(keeper);
	}
}

static void end_server(struct keeper *keeper)
{
	if (keeper->server <= 0)
		return;
	(void)kill(keeper->server, SIGKILL);
	(void)waitpid(keeper->server, NULL, 0);
}

void keeper_run(const struct attach_config *config, int report_fd)
{
	struct keeper keeper = { .config = config,
				 .server_fd = -1,
				 .device_fd = -1,
				 .report_fd = report_fd,
				 .slot = { .lock_fd = -1 } };
	char why[ATTACH_WHY_MAX] = "";
	sigset_t ours;
	dvs_err err;

	sigemptyset(&ours);
	sigaddset(&ours, KEEPER_GENTLY);
	sigaddset(&ours, KEEPER_NOW);
	sigaddset(&ours, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &ours, NULL);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	keeper.signal_fd = signalfd(-1, &ours, SFD_CLOEXEC);
	err = keeper.signal_fd < 0 ? dvs_from_errno(errno) : make_all(&keeper, why);
	if (err) {
		end_server(&keeper);
		let_go(&keeper);
		slot_remove(&keeper.slot);
		report(report_fd, err, why[0] ? why : dvs_strerror(err));
		close(report_fd);
		return;
	}
	log_info(&config->log, "attached", LOG_STR("volume", config->volume),
		 LOG_STR("device", keeper.device));
	report(report_fd, DVS_OK, keeper.device);
	close(report_fd);
	keep(&keeper);
	let_go(&keeper);
	log_info(&config->log, "detached", LOG_STR("volume", config->volume),
		 LOG_STR("device", keeper.device));
	/* If somebody still has it open, it is listed until they close it. */
	if (slot_has_device(&keeper.slot, keeper.device))
		slot_leave(&keeper.slot);
	else
		slot_remove(&keeper.slot);
}
