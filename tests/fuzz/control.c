/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary frames into the dispatch of dvsd: no crash, no leak, no broken state, whatever a few
 * processes send in whatever order. There are no sockets; what dvsd answers goes nowhere.
 *
 * An input is a row of records: who (one of LINKS, or something that happens), op, the low
 * byte of the length, and so many bytes of body. */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fuzz.h"
#include "node/api.h"

#define LINKS 6u

enum happening { TIME_PASSES = LINKS, LINK_ENDS, HELLO_WITH_AREAS, HAPPENINGS_END };

struct fuzz {
	struct host host;
	struct server *server;
	struct link *links[LINKS];
	pid_t pids[2];
};

/* Processes that are there and do nothing, to be spoken of: two, made once. */
static const pid_t *sleepers(void)
{
	static pid_t pids[2];
	pid_t parent = getpid();

	for (size_t i = 0; i < 2; i++) {
		if (pids[i] != 0 && kill(pids[i], 0) == 0)
			continue;
		pids[i] = fork();
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			/* It may have ended before that. */
			while (getppid() == parent)
				pause();
			_exit(0);
		}
	}
	return pids;
}

/* Two links of one process with all rights, two of one without, one alone, and an admin's. */
static void link_make(struct fuzz *fuzz, size_t i)
{
	struct server *server = i == LINKS - 1 ? &fuzz->host.admin : fuzz->server;
	uint32_t pid = (uint32_t)fuzz->pids[i < 2 ? 0 : 1];
	uid_t uid = i < 2 || i == LINKS - 1 ? 0 : 65534;
	struct link *link = link_new(&fuzz->host, server, -1, pid, uid);

	assert(link);
	link->starttime = proc_starttime(pid);
	link->pid_ns = fuzz->host.pid_ns;
	fuzz->links[i] = link;
}

static void fuzz_open(struct fuzz *fuzz)
{
	struct options options = { .run_dir = "/nonexistent", .log_level = LOG_LEVEL_ERROR };
	struct core_command command = { .op = CORE_DC_CREATE, .name = "a" };
	dvs_err err;

	memcpy(fuzz->pids, sleepers(), sizeof(fuzz->pids));
	err = host_init(&fuzz->host, &options);
	assert(err == DVS_OK);
	fuzz->host.log.fd = -1;
	fuzz->host.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	/* the copier's threads would outlive the input */
	fuzz->host.n_copies = COPIES_MAX;
	list_init(&fuzz->host.admin.of_host);
	err = core_step(fuzz->host.core, &command, &fuzz->host.effects);
	assert(err == DVS_OK);
	fuzz->server = server_new(&fuzz->host, (dvs_dcid){ 1 }, "a");
	assert(fuzz->server);
	for (size_t i = 0; i < LINKS; i++)
		link_make(fuzz, i);
}

static void settle(struct fuzz *fuzz)
{
	host_settle(&fuzz->host);
	host_bury(&fuzz->host);
}

/* A link that was closed is followed by a new one, as long as there is the DC. */
static void mend_links(struct fuzz *fuzz)
{
	for (size_t i = 0; i < LINKS; i++) {
		bool there = false;

		LIST_FOREACH(at, &fuzz->host.links)
			there = there || CONTAINER_OF(at, struct link, of_host) == fuzz->links[i];
		if (there)
			continue;
		fuzz->links[i] = NULL;
		fuzz->server = server_find(&fuzz->host, (dvs_dcid){ 1 });
		if (fuzz->server || i == LINKS - 1)
			link_make(fuzz, i);
	}
}

static void frame_in(struct fuzz *fuzz, struct link *link, uint32_t op, const uint8_t *body,
		     size_t len, int fds[2])
{
	uint8_t bytes[FRAME_BYTES_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));

	writer_u32(&out, op);
	writer_u32(&out, 1);
	writer_u32(&out, 0);
	writer_bytes(&out, body, len);
	if (writer_ok(&out))
		link_frame(&fuzz->host, link, bytes, writer_len(&out), fds);
}

static void time_passes(struct fuzz *fuzz)
{
	for (int i = 0; i < 32; i++) {
		struct timer *timer = timers_take(&fuzz->host.timers, CLOCK_NEVER_NS - 1);

		if (!timer)
			break;
		timer->fire(&fuzz->host, timer);
		settle(fuzz);
	}
}

static void hello_with_areas(struct fuzz *fuzz, struct link *link)
{
	static const uint8_t body[5] = { 1, 0, 0, 0, 1 };
	struct areas areas;
	int fds[2];

	if (areas_create(&areas) != DVS_OK)
		return;
	fds[0] = areas.area_fd;
	fds[1] = areas.stats_fd;
	frame_in(fuzz, link, CONTROL_HELLO, body, sizeof(body), fds);
}

static void happen(struct fuzz *fuzz, uint8_t who, uint8_t op, const uint8_t *body, size_t len)
{
	struct link *link = fuzz->links[(who < LINKS ? who : op) % LINKS];
	int none[2] = { -1, -1 };

	if (who == TIME_PASSES)
		time_passes(fuzz);
	else if (!link)
		return;
	else if (who == LINK_ENDS)
		link_doom(&fuzz->host, link, NULL);
	else if (who == HELLO_WITH_AREAS)
		hello_with_areas(fuzz, link);
	else
		frame_in(fuzz, link, op, body, len, none);
}

/* What the tables say about each other. */
static void check(const struct fuzz *fuzz)
{
	LIST_FOREACH(at, &fuzz->host.processes) {
		const struct process *process = CONTAINER_OF(at, struct process, of_host);
		uint32_t n = 0;

		LIST_FOREACH(link, &process->bindings) {
			const struct binding *binding =
				CONTAINER_OF(link, struct binding, of_process);
			uint32_t n_channels = 0;

			n++;
			assert(binding->process == process);
			assert(binding->core->host == binding);
			assert(bitmap_has(&process->slots, binding->slot));
			LIST_FOREACH(end, &binding->channels)
				n_channels++;
			assert(n_channels == binding->n_channels);
		}
		assert(n == process->n_bindings);
		assert(process->slots.n_set == n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));
	struct cursor in = cursor_over(data, size);

	assert(fuzz);
	fuzz_open(fuzz);
	while (cursor_left(&in) >= 3) {
		uint8_t who = cursor_u8(&in) % HAPPENINGS_END;
		uint8_t op = cursor_u8(&in);
		size_t len = cursor_u8(&in);
		const uint8_t *body;

		if (len > cursor_left(&in))
			len = cursor_left(&in);
		body = cursor_borrow(&in, len);
		happen(fuzz, who, op, body, len);
		settle(fuzz);
		check(fuzz);
		mend_links(fuzz);
	}
	host_free(&fuzz->host);
	close(fuzz->host.epoll_fd);
	free(fuzz);
	return 0;
}
