/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/fuse/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

static int catch_signals(void)
{
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &ours, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	return signalfd(-1, &ours, SFD_CLOEXEC);
}

static dvs_err make(struct gateway *gateway)
{
	pthread_condattr_t clock;
	dvs_err err = nodes_make(&gateway->nodes);

	if (!err)
		err = names_make(gateway->nodes, &gateway->names);
	list_init(&gateway->expiries);
	turns_begin(&gateway->turns);
	releases_begin(&gateway->releases);
	pthread_mutex_init(&gateway->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&gateway->changed, &clock);
	pthread_condattr_destroy(&clock);
	if (err)
		return err;
	if (pthread_key_create(&gateway->worker, NULL))
		return DVS_NOMEM;
	gateway->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return gateway->ended_fd < 0 ? dvs_from_errno(errno) : DVS_OK;
}

static dvs_err open_fs(struct gateway *gateway, struct fsc_recalls *recalls,
		       char why[GATEWAY_WHY_MAX])
{
	const struct gateway_options *options = gateway->options;
	const struct fsc_config config = { .open_ms = options->open_ms,
					   .patience_ms = options->patience_ms,
					   .recalls = recalls,
					   .wants_names = true };
	char text[FSC_WHY_MAX + 1] = "";
	dvs_err err;

	*recalls = coherence_recalls(gateway);
	err = fsc_open(options->run_dir, options->dc, options->name, &config, &gateway->fsc, text);
	if (err)
		(void)snprintf(why, GATEWAY_WHY_MAX, "%s", text);
	return err;
}

static void say_ready(const struct gateway_options *options)
{
	log_info(&options->log, "mounted", LOG_STR("mount", options->mount));
	if (options->ready_fd < 0)
		return;
	(void)!write(options->ready_fd, "", 1);
	close(options->ready_fd);
}

dvs_err gateway_run(const struct gateway_options *options, char why[GATEWAY_WHY_MAX])
{
	struct gateway gateway = { .options = options, .fuse_fd = -1, .ended_fd = -1 };
	AUTO_CLOSE int signal_fd = catch_signals();
	struct fsc_recalls recalls;
	dvs_err err = make(&gateway);

	/* Before there are threads: each would keep its own. */
	if (!err)
		err = gateway_rights_drop(options->container_fd >= 0);
	if (!err)
		err = open_fs(&gateway, &recalls, why);
	if (!err)
		err = releases_start(&gateway);
	if (!err)
		err = serve_start(&gateway, why);
	if (!err) {
		mount_set_readahead(options);
		err = coherence_start(&gateway);
		if (err)
			(void)mount_end(options);
	}
	if (!err) {
		say_ready(options);
		serve_wait(&gateway, signal_fd);
		log_info(&options->log, "unmounted", LOG_STR("mount", options->mount));
	}
	serve_free(&gateway);
	coherence_stop(&gateway);
	fsc_close(gateway.fsc);
	if (gateway.ended_fd >= 0)
		close(gateway.ended_fd);
	releases_free(&gateway.releases);
	turns_free(&gateway.turns);
	names_free(gateway.names);
	nodes_free(gateway.nodes);
	return err;
}
