/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: what sessions may keep of files until it is recalled. A lease is of a whole file; whoever changes it waits until no other session has one. Requests that only read never wait here, and
 * get no lease on a file for whose change others wait.
 *
 * Names of a directory are kept by one session only, its keeper. A kernel gives names up only while it holds the directory's lock, so a keeper may first have to be answered what it changes there
 * itself. Since the others of that directory give up at once, keeper and others never wait for each other. Requests that change two directories could, in a circle over both: there, who
 * owes an acknowledgement waits for nobody. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "servers/fs/fsd.h"

/* So long `recalls` waits for something to tell. */
#define LISTEN_NS (5 * CLOCK_NS_PER_S)
/* Kernels can lock directories in orders that differ among nodes, and so wait for each other over several requests. None waits longer for names than this. */
#define CIRCLE_NS (10 * CLOCK_NS_PER_S)
#define HOLD_NAMES (UINT64_C(1) << 63)
/* All kinds: a lease ends as a whole. */
#define ALL_KINDS 7u

/* A file on which there are leases, or for whose change somebody waits. */
struct leased {
	struct list by_ino;
	uint64_t ino;
	bool is_dir;
	uint32_t n_waiting;  /* parked requests that change it */
	struct hold *keeper; /* of its names; NULL: nobody */
	struct list holds;
};

struct hold {
	struct list of_leased;
	struct list of_session;
	struct list to_recall; /* of the session: to be told, or told and not acknowledged */
	struct leased *leased;
	struct fsd_session *session;
	uint64_t number; /* of the recall; 0: none */
};

struct parked {
	struct list of_fsd;
	struct skeleton_request *request;
	struct fsd_session *session;
	uint64_t until_ns;
	struct leased *files[FSD_PARK_MAX];
};

static struct leased *find(const struct fsd *fsd, uint64_t ino)
{
	LIST_FOREACH(link, &fsd->leased[fsd_bucket(ino)]) {
		struct leased *leased = CONTAINER_OF(link, struct leased, by_ino);

		if (leased->ino == ino)
			return leased;
	}
	return NULL;
}

static struct leased *get(struct fsd *fsd, uint64_t ino, bool is_dir)
{
	struct leased *leased = find(fsd, ino);

	if (leased)
		return leased;
	leased = calloc(1, sizeof(*leased));
	if (!leased)
		return NULL;
	leased->ino = ino;
	leased->is_dir = is_dir;
	list_init(&leased->holds);
	list_add_head(&fsd->leased[fsd_bucket(ino)], &leased->by_ino);
	return leased;
}

static void put(struct leased *leased)
{
	if (leased->n_waiting > 0 || !list_is_empty(&leased->holds))
		return;
	list_remove(&leased->by_ino);
	free(leased);
}

static struct hold *find_hold(const struct leased *leased, const struct fsd_session *session)
{
	LIST_FOREACH(link, &leased->holds) {
		struct hold *hold = CONTAINER_OF(link, struct hold, of_leased);

		if (hold->session == session)
			return hold;
	}
	return NULL;
}

static void drop(struct fsd *fsd, struct hold *hold)
{
	struct leased *leased = hold->leased;

	if (leased->keeper == hold)
		leased->keeper = NULL;
	list_remove(&hold->of_leased);
	list_remove(&hold->of_session);
	list_remove(&hold->to_recall);
	hold->session->n_leases--;
	fsd->n_leases--;
	free(hold);
	put(leased);
}

static uint8_t kind_of(struct hold *hold, bool may_keep)
{
	struct leased *leased = hold->leased;

	if (leased->is_dir && !leased->keeper && may_keep && hold->session->wants_names &&
	    leased->n_waiting == 0)
		leased->keeper = hold;
	return leased->keeper == hold ? FSD_LEASE_NAMES : FSD_LEASE;
}

static uint8_t lease(struct fsd *fsd, struct fsd_session *session, const struct fs_attr *attr,
		     bool may_keep)
{
	struct leased *leased;
	struct hold *hold;

	if (!session->has_leases || fsd->n_leases >= FSD_LEASES_MAX)
		return 0;
	leased = find(fsd, attr->ino);
	if (leased) {
		hold = find_hold(leased, session);
		if (hold)
			return hold->number == 0 ? kind_of(hold, may_keep) : 0;
		if (leased->n_waiting > 0)
			return 0;
	}
	leased = get(fsd, attr->ino, S_ISDIR(attr->mode));
	hold = leased ? calloc(1, sizeof(*hold)) : NULL;
	if (!hold) {
		if (leased)
			put(leased);
		return 0;
	}
	hold->leased = leased;
	hold->session = session;
	list_init(&hold->to_recall);
	list_add_tail(&leased->holds, &hold->of_leased);
	list_add_tail(&session->leases, &hold->of_session);
	session->n_leases++;
	fsd->n_leases++;
	return kind_of(hold, may_keep);
}

uint8_t fsd_lease(struct fsd *fsd, struct fsd_session *session, const struct fs_attr *attr)
{
	return lease(fsd, session, attr, true);
}

static bool owes(const struct leased *leased, const struct fsd_session *session)
{
	const struct hold *own = find_hold(leased, session);

	return own && own->number != 0;
}

static bool has_others(const struct leased *leased, const struct fsd_session *session)
{
	LIST_FOREACH(link, &leased->holds) {
		if (CONTAINER_OF(link, struct hold, of_leased)->session != session)
			return true;
	}
	return false;
}

/* Whether a change of FILES by SESSION has to wait for somebody's lease. */
static bool is_held(struct leased *const files[FSD_PARK_MAX], const struct fsd_session *session,
		    bool is_late)
{
	const struct leased *dir = NULL;
	bool has_two_dirs = false;
	bool owes_dir = false;

	for (uint32_t i = 0; i < FSD_PARK_MAX; i++) {
		if (!files[i] || !files[i]->is_dir)
			continue;
		has_two_dirs = has_two_dirs || (dir && dir != files[i]);
		dir = files[i];
		owes_dir = owes_dir || owes(dir, session);
	}
	for (uint32_t i = 0; i < FSD_PARK_MAX; i++) {
		if (!files[i] || !has_others(files[i], session))
			continue;
		if (files[i]->is_dir ? !is_late && !(has_two_dirs && owes_dir) :
				       !owes(files[i], session))
			return true;
	}
	return false;
}

/* ---- telling sessions ---- */

static void tell(struct fsd *fsd, struct fsd_session *session)
{
	uint8_t *room = fsd->recalls;
	struct skeleton_request *request = session->listener;
	struct fs_recalls_rep rep = { .count = 0 };
	struct writer out;

	if (!request)
		return;
	session->listener = NULL;
	out = writer_over(room, request->reply_cap < sizeof(fsd->recalls) ? request->reply_cap :
									    sizeof(fsd->recalls));
	while (!list_is_empty(&session->to_recall)) {
		struct hold *hold = CONTAINER_OF(session->to_recall.next, struct hold, to_recall);
		const struct fs_recall recall = { .number = hold->number,
						  .ino = hold->leased->ino,
						  .kind = ALL_KINDS };
		struct writer before = out;

		fs_recall_put(&out, &recall);
		if (!writer_ok(&out)) {
			out = before;
			break;
		}
		list_remove(&hold->to_recall);
		list_add_tail(&session->told, &hold->to_recall);
		fsd->figures.recalls++;
		rep.count++;
	}
	fs_recalls_answer_data(request, DVS_OK, &rep, room, writer_len(&out));
}

static void recall(struct fsd *fsd, struct leased *leased, const struct fsd_session *but)
{
	LIST_FOREACH(link, &leased->holds) {
		struct hold *hold = CONTAINER_OF(link, struct hold, of_leased);

		if (hold->session == but || hold->number != 0)
			continue;
		hold->number = ++fsd->last_recall;
		list_add_tail(&hold->session->to_recall, &hold->to_recall);
		tell(fsd, hold->session);
	}
}

void fsd_lease_gone(struct fsd *fsd, uint64_t ino)
{
	struct leased *leased = find(fsd, ino);
	struct fs_attr attr;

	if (!leased || fs_getattr(fsd->fs, ino, &attr) != DVS_STALE)
		return;
	/* So that it does not go with its last lease. */
	leased->n_waiting++;
	LIST_FOREACH_SAFE(link, &leased->holds)
		drop(fsd, CONTAINER_OF(link, struct hold, of_leased));
	leased->n_waiting--;
	put(leased);
}

/* ---- requests that wait ---- */

static void unpark(struct parked *parked)
{
	list_remove(&parked->of_fsd);
	for (uint32_t i = 0; i < FSD_PARK_MAX; i++) {
		if (!parked->files[i])
			continue;
		parked->files[i]->n_waiting--;
		put(parked->files[i]);
	}
	free(parked);
}

/* In the order of their coming. A request that is handed to its handler may wait anew. */
static void replay(struct fsd *fsd)
{
	struct list ready;
	struct list *link;

	if (fsd->is_replaying)
		return;
	fsd->is_replaying = true;
	list_init(&ready);
	LIST_FOREACH_SAFE(each, &fsd->parked) {
		struct parked *parked = CONTAINER_OF(each, struct parked, of_fsd);

		if (clock_is_past(parked->until_ns))
			parked->request->keeper = fsd;
		if (is_held(parked->files, parked->session, parked->request->keeper == fsd))
			continue;
		list_add_tail(&ready, &parked->request->kept);
		unpark(parked);
	}
	while ((link = list_take_head(&ready))) {
		struct skeleton_request *request =
			CONTAINER_OF(link, struct skeleton_request, kept);
		dvs_err err = fs_serve(&fsd_handlers, fsd, request);

		if (err)
			skeleton_answer(request, err, NULL, 0);
	}
	fsd->is_replaying = false;
}

bool fsd_park(struct fsd *fsd, struct fsd_session *session, struct skeleton_request *request,
	      const uint64_t inos[FSD_PARK_MAX])
{
	struct leased *files[FSD_PARK_MAX];
	struct parked *parked;
	bool waits;

	for (uint32_t i = 0; i < FSD_PARK_MAX; i++)
		files[i] = inos[i] ? find(fsd, inos[i]) : NULL;
	/* Its keeper: it has waited for too long. */
	waits = is_held(files, session, request->keeper == fsd);
	parked = waits ? calloc(1, sizeof(*parked)) : NULL;
	if (waits && !parked) {
		skeleton_answer(request, DVS_NOMEM, NULL, 0);
		return true;
	}
	if (waits) {
		parked->request = request;
		parked->session = session;
		parked->until_ns = clock_deadline_ns(CIRCLE_NS);
		list_add_tail(&fsd->parked, &parked->of_fsd);
	}
	for (uint32_t i = 0; i < FSD_PARK_MAX; i++) {
		if (!files[i])
			continue;
		if (waits) {
			parked->files[i] = files[i];
			files[i]->n_waiting++;
		}
		recall(fsd, files[i], session);
	}
	return waits;
}

void fsd_leases_end(struct fsd *fsd, struct fsd_session *session)
{
	if (session->listener)
		fs_recalls_answer(session->listener, DVS_RESUME, NULL);
	session->listener = NULL;
	LIST_FOREACH_SAFE(link, &fsd->parked) {
		struct parked *parked = CONTAINER_OF(link, struct parked, of_fsd);
		struct skeleton_request *request = parked->request;

		if (parked->session != session)
			continue;
		unpark(parked);
		skeleton_answer(request, DVS_RESUME, NULL, 0);
	}
	LIST_FOREACH_SAFE(link, &session->leases)
		drop(fsd, CONTAINER_OF(link, struct hold, of_session));
	if (fsd->fs && !fsd->is_stopping)
		replay(fsd);
}

/* ---- operations ---- */

/* One that it was not told of yet cannot be over. */
static struct hold *find_told(const struct fsd_session *session, uint64_t number)
{
	LIST_FOREACH(link, &session->told) {
		struct hold *hold = CONTAINER_OF(link, struct hold, to_recall);

		if (hold->number == number)
			return hold;
	}
	return NULL;
}

static void acknowledge(struct fsd *fsd, struct fsd_session *session,
			const struct skeleton_request *request, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct hold *hold;
		uint64_t number;

		memcpy(&number, request->data + i * sizeof(number), sizeof(number));
		hold = find_told(session, le64toh(number));
		if (hold)
			drop(fsd, hold);
	}
}

void fsd_recalls(void *state, struct skeleton_request *request, const struct fs_recalls_req *req)
{
	struct fsd *fsd = state;
	struct fsd_session *session = fsd_session_of(fsd, request->source);
	dvs_err err = DVS_OK;

	if (!session || !fsd->fs || session->is_expected)
		err = DVS_RESUME;
	else if (session->listener)
		err = DVS_BADSTATE;
	else if (request->data_bytes < (size_t)req->count * sizeof(uint64_t) ||
		 request->reply_cap < 4096)
		err = DVS_PROTO;
	if (err) {
		fs_recalls_answer(request, err, NULL);
		return;
	}
	acknowledge(fsd, session, request, req->count);
	session->listener = request;
	session->listens_ns = clock_deadline_ns(LISTEN_NS);
	if (!list_is_empty(&session->to_recall))
		tell(fsd, session);
	if (req->count > 0)
		replay(fsd);
}

void fsd_recalled(void *state, struct skeleton_request *request, const struct fs_recalled_req *req)
{
	struct fsd *fsd = state;
	struct fsd_session *session = fsd_session_of(fsd, request->source);
	dvs_err err = DVS_OK;

	if (!session || !fsd->fs || session->is_expected)
		err = DVS_RESUME;
	else if (request->data_bytes < (size_t)req->count * sizeof(uint64_t))
		err = DVS_PROTO;
	if (!err)
		acknowledge(fsd, session, request, req->count);
	fs_recalled_answer(request, err, NULL);
	if (!err)
		replay(fsd);
}

void fsd_recalls_tick(struct fsd *fsd)
{
	LIST_FOREACH(link, &fsd->sessions) {
		struct fsd_session *session = CONTAINER_OF(link, struct fsd_session, of_fsd);

		if (session->listener && clock_is_past(session->listens_ns))
			tell(fsd, session);
	}
	replay(fsd);
}

static bool is_still_held(struct fsd *fsd, struct fsd_session *session, uint64_t ino)
{
	bool keeps = (ino & HOLD_NAMES) != 0;
	struct fs_attr attr;
	dvs_err err = fs_getattr(fsd->fs, ino & ~HOLD_NAMES, &attr);

	if (err)
		return err == DVS_STALE;
	/* Nothing is changed until all sessions of before have spoken. */
	return !fsd->is_settled &&
	       lease(fsd, session, &attr, keeps) >= (keeps ? FSD_LEASE_NAMES : FSD_LEASE);
}

void fsd_hold(void *state, struct skeleton_request *request, const struct fs_hold_req *req)
{
	struct fsd *fsd = state;
	uint8_t *bits = fsd->recalls;
	struct fsd_session *session = fsd_session_of(fsd, request->source);
	size_t bytes = ((size_t)req->count + 7) / 8;
	dvs_err err = DVS_OK;

	if (!session || !fsd->fs)
		err = DVS_RESUME;
	else if (!session->is_resuming)
		err = DVS_BADSTATE;
	else if (request->data_bytes < (size_t)req->count * sizeof(uint64_t))
		err = DVS_PROTO;
	if (err) {
		fs_hold_answer(request, err, NULL);
		return;
	}
	memset(bits, 0, bytes);
	for (uint32_t i = 0; i < req->count; i++) {
		uint64_t ino;

		memcpy(&ino, request->data + i * sizeof(ino), sizeof(ino));
		if (is_still_held(fsd, session, le64toh(ino)))
			bits[i / 8] |= (uint8_t)(1u << i % 8);
	}
	fs_hold_answer_data(request, DVS_OK, NULL, bits, bytes);
}
