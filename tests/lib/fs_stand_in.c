/* SPDX-License-Identifier: Apache-2.0 */
/* A file server in memory that has what tests of its clients need: names, contents, leases that are recalled. It checks no permissions and keeps nothing.
 *
 *	fs-stand-in CONTROL ENDPOINT	until its input ends; "ready" on its output */
#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs_stand_in.h"

#define LISTEN_NS (2 * CLOCK_NS_PER_S)
#define LOOK_NS (200 * CLOCK_NS_PER_MS)

static void must(dvs_err err, const char *what)
{
	if (err == DVS_OK)
		return;
	(void)fprintf(stderr, "fs-stand-in: %s: %s\n", what, dvs_strerror(err));
	exit(1);
}

/* ---- files ---- */

struct file *file_of(struct server *server, uint64_t ino)
{
	return ino < FILES ? server->files[ino] : NULL;
}

void touch(struct file *file)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	file->attr.mtime_s = file->attr.ctime_s = now.tv_sec;
	file->attr.mtime_ns = file->attr.ctime_ns = (uint32_t)now.tv_nsec;
	file->attr.version++;
}

struct file *make_file(struct server *server, uint32_t mode, uint64_t parent)
{
	for (uint64_t ino = 1; ino < FILES; ino++) {
		struct file *file;

		if (server->files[ino])
			continue;
		file = calloc(1, sizeof(*file));
		if (!file)
			return NULL;
		file->attr.ino = ino;
		file->attr.mode = mode;
		file->attr.nlink = S_ISDIR(mode) ? 2 : 1;
		file->parent = parent;
		touch(file);
		server->files[ino] = file;
		return file;
	}
	return NULL;
}

struct name **find(struct file *dir, const char *text, size_t len)
{
	struct name **at = &dir->names;

	while (*at && ((*at)->len != len || memcmp((*at)->text, text, len) != 0))
		at = &(*at)->next;
	return at;
}

void add_name(struct file *dir, const char *text, size_t len, uint64_t ino)
{
	struct name **at = &dir->names;
	struct name *name = calloc(1, sizeof(*name));

	if (!name)
		abort();
	while (*at)
		at = &(*at)->next;
	name->ino = ino;
	name->len = len;
	name->cookie = ++dir->last_cookie;
	memcpy(name->text, text, len);
	*at = name;
	touch(dir);
}

void remove_name(struct file *dir, struct name **at)
{
	struct name *name = *at;

	*at = name->next;
	free(name);
	touch(dir);
}

void resize(struct file *file, uint64_t bytes)
{
	if (bytes > file->attr.size) {
		file->data = realloc(file->data, bytes);
		if (!file->data)
			abort();
		memset(file->data + file->attr.size, 0, bytes - file->attr.size);
	}
	file->attr.size = bytes;
	file->attr.blocks = (bytes + 511) / 512;
	touch(file);
}

/* ---- sessions and leases ---- */

/* Its number; SESSIONS: it has none. */
uint32_t session_of(const struct server *server, dvs_ep ep)
{
	for (uint32_t i = 0; i < server->n_members; i++)
		if (server->members[i].ep == ep.n)
			return server->members[i].session;
	return SESSIONS;
}

static void join(struct server *server, dvs_ep ep, uint32_t session)
{
	if (server->n_members == MEMBERS)
		abort();
	server->members[server->n_members].ep = ep.n;
	server->members[server->n_members++].session = session;
}

void refuse(struct skeleton_request *request, dvs_err err)
{
	skeleton_answer(request, err, NULL, 0);
}

static void tell(struct server *server, uint32_t number)
{
	struct session *session = &server->sessions[number];
	struct writer out = writer_over(server->room, 60000);
	struct fs_recalls_rep rep = { .count = 0 };

	if (!session->listener)
		return;
	for (; rep.count < session->n_to_recall && rep.count < 100; rep.count++) {
		uint64_t ino = session->to_recall[rep.count];

		fs_recall_put(&out, &(struct fs_recall){ .number = ino, .ino = ino, .kind = 7 });
		server->files[ino]->told |= 1u << number;
	}
	session->n_to_recall -= rep.count;
	memmove(session->to_recall, session->to_recall + rep.count,
		session->n_to_recall * sizeof(session->to_recall[0]));
	fs_recalls_answer_data(session->listener, DVS_OK, &rep, server->room, writer_len(&out));
	session->listener = NULL;
}

static bool is_asked(const struct server *server, uint32_t session, uint64_t ino)
{
	const struct session *of = &server->sessions[session];

	if (server->files[ino]->told >> session & 1)
		return true;
	for (uint32_t k = 0; k < of->n_to_recall; k++)
		if (of->to_recall[k] == ino)
			return true;
	return false;
}

/* Whether REQUEST has to wait for the leases of others on INO; then it is asked again when they have changed. Who owes an acknowledgement waits for nobody: it may have to write before it can give it. */
bool waits(struct server *server, struct skeleton_request *request, uint64_t ino)
{
	struct file *file = file_of(server, ino);
	uint32_t own = session_of(server, request->source);
	uint32_t others;

	if (!file)
		return false;
	others = file->leases & ~(1u << own);
	for (uint32_t i = 0; i < SESSIONS; i++) {
		struct session *session = &server->sessions[i];

		if (!(others >> i & 1) || is_asked(server, i, ino))
			continue;
		session->to_recall[session->n_to_recall++] = ino;
		tell(server, i);
	}
	if (!others || (file->told & (1u << own)))
		return false;
	list_add_tail(&server->parked, &request->kept);
	file->n_waiting++;
	return true;
}

void replay(struct server *server)
{
	struct list ready;
	struct list *link;

	list_init(&ready);
	while ((link = list_take_head(&server->parked)))
		list_add_tail(&ready, link);
	for (uint32_t i = 1; i < FILES; i++)
		if (server->files[i])
			server->files[i]->n_waiting = 0;
	while ((link = list_take_head(&ready))) {
		struct skeleton_request *request =
			CONTAINER_OF(link, struct skeleton_request, kept);
		dvs_err err = fs_serve(&handlers, server, request);

		if (err)
			skeleton_answer(request, err, NULL, 0);
	}
}

/* The attributes, with a lease where nobody waits for its end. */
size_t put_attr(struct server *server, const struct skeleton_request *request, struct file *file,
		struct writer *out)
{
	uint32_t own = session_of(server, request->source);
	struct fs_attr attr = file->attr;

	if (server->sessions[own].has_leases && !file->n_waiting && !(file->told & (1u << own))) {
		file->leases |= 1u << own;
		attr.lease = 1;
	}
	fs_attr_put(out, &attr);
	return writer_len(out);
}

void answer_attr(struct server *server, struct skeleton_request *request, struct file *file)
{
	uint8_t room[FS_ATTR_BYTES_MAX];
	struct writer out = writer_over(room, sizeof(room));
	size_t bytes = put_attr(server, request, file, &out);

	skeleton_answer_data(request, DVS_OK, NULL, 0, room, bytes);
}

/* The session of who asks; NULL: it was answered. */
struct session *begin(struct server *server, struct skeleton_request *request)
{
	uint32_t own = session_of(server, request->source);

	if (own < SESSIONS)
		return &server->sessions[own];
	refuse(request, DVS_RESUME);
	return NULL;
}

void on_hello(void *state, struct skeleton_request *request, const struct fs_hello_req *req)
{
	struct server *server = state;

	for (uint32_t i = 0; i < SESSIONS; i++) {
		if (server->sessions[i].is_used)
			continue;
		server->sessions[i].is_used = true;
		server->sessions[i].first = request->source;
		server->sessions[i].has_leases = req->flags & 1;
		join(server, request->source, i);
		fs_hello_answer(request, DVS_OK,
				&(struct fs_hello_rep){ .session = i + 1, .server = 1 });
		return;
	}
	refuse(request, DVS_FULL);
}

void on_join(void *state, struct skeleton_request *request, const struct fs_join_req *req)
{
	struct server *server = state;
	bool is_one = req->session >= 1 && req->session <= SESSIONS &&
		      server->sessions[req->session - 1].is_used;

	if (is_one)
		join(server, request->source, (uint32_t)req->session - 1);
	refuse(request, is_one ? DVS_OK : DVS_NOTFOUND);
}

static void end_session(struct server *server, uint32_t number)
{
	struct session *session = &server->sessions[number];

	for (uint32_t i = 1; i < FILES; i++) {
		struct file *file = server->files[i];

		if (!file)
			continue;
		file->leases &= ~(1u << number);
		file->told &= ~(1u << number);
		if (file->locked_by == number + 1)
			file->locked_by = 0;
	}
	for (uint32_t i = 0; i < server->n_members; i++)
		if (server->members[i].session == number)
			server->members[i].session = SESSIONS;
	if (session->listener)
		refuse(session->listener, DVS_RESUME);
	memset(session, 0, sizeof(*session));
	replay(server);
}

void on_bye(void *state, struct skeleton_request *request, const struct fs_bye_req *req)
{
	struct server *server = state;
	uint32_t own = session_of(server, request->source);

	(void)req;
	refuse(request, DVS_OK);
	if (own < SESSIONS)
		end_session(server, own);
}

void on_resume(void *state, struct skeleton_request *request, const struct fs_resume_req *req)
{
	(void)state;
	(void)req;
	refuse(request, DVS_NOTFOUND);
}

void on_who(void *state, struct skeleton_request *request, const struct fs_who_req *req)
{
	(void)req;
	if (begin(state, request))
		refuse(request, DVS_OK);
}

void on_recalls(void *state, struct skeleton_request *request, const struct fs_recalls_req *req)
{
	struct server *server = state;
	struct session *session = begin(server, request);
	uint32_t own;

	if (!session)
		return;
	own = session_of(server, request->source);
	for (uint32_t i = 0; i < req->count; i++) {
		struct file *file;
		uint64_t ino;

		memcpy(&ino, request->data + i * sizeof(ino), sizeof(ino));
		file = file_of(server, le64toh(ino));
		if (!file || !(file->told >> own & 1))
			continue;
		file->leases &= ~(1u << own);
		file->told &= ~(1u << own);
	}
	session->listener = request;
	session->listens_ns = clock_deadline_ns(LISTEN_NS);
	if (session->n_to_recall)
		tell(server, own);
	replay(server);
}

static void look_at(struct server *server, uint32_t number)
{
	struct session *session = &server->sessions[number];
	struct dvk_endpoint_info info;

	if (!session->is_used)
		return;
	if (dvk_endpoint_info(server->dvk, session->first, &info) == DVS_NODEST)
		end_session(server, number);
	else if (session->listener && clock_is_past(session->listens_ns))
		tell(server, number);
}

static void tick(struct skeleton_timer *timer)
{
	struct server *server = CONTAINER_OF(timer, struct server, tick);

	for (uint32_t i = 0; i < SESSIONS; i++)
		look_at(server, i);
	skeleton_timer_set(server->skeleton, timer, clock_deadline_ns(LOOK_NS), tick);
}

static void *watch_input(void *context)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	skeleton_stop(context);
	return NULL;
}

int main(int argc, char **argv)
{
	struct server *server = calloc(1, sizeof(*server));
	struct log log = log_to_stderr(LOG_LEVEL_INFO);
	struct skeleton_service services[1];
	struct skeleton_config config = {
		.log = &log, .users_are_all = true, .services = services, .n_services = 1
	};
	struct m3 *self;
	pthread_t thread;

	if (argc != 3 || !server)
		return 2;
	services[0] = fs_service(&handlers, server);
	list_init(&server->parked);
	if (!make_file(server, S_IFDIR | 0777, 1))
		return 1;
	must(dvk_open(argv[1], &config.dvk), "open the link");
	server->dvk = config.dvk;
	must(skeleton_open(&config, &server->skeleton), "make the loop");
	must(dvk_bind(config.dvk, dvs_ep_of((uint32_t)atoi(argv[2])), DVK_LOCAL, &self), "bind");
	skeleton_listen(server->skeleton, self);
	if (pthread_create(&thread, NULL, watch_input, server->skeleton))
		return 1;
	tick(&server->tick);
	(void)puts("ready");
	(void)fflush(stdout);
	must(skeleton_run(server->skeleton), "serve");
	_exit(0);
}
