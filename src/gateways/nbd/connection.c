/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/connection.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateways/nbd/watch.h"
#include "gateways/nbd/worker.h"

/* From so long a call on another thread leads meanwhile. Waking it up takes a tenth of that. */
#define SLOW_NS (300 * UINT64_C(1000))

dvs_err connection_open(const struct connection_setup *setup, int fd, uint64_t number,
			struct connection **out)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (connection)
		connection->in = malloc(NBD_IN_BYTES);
	if (!connection || !connection->in) {
		free(connection);
		close(fd);
		return DVS_NOMEM;
	}
	connection->setup = setup;
	connection->number = number;
	connection->grows = true;
	wire_init(&connection->wire, fd);
	list_init(&connection->link);
	list_init(&connection->watched);
	pthread_mutex_init(&connection->lock, NULL);
	pthread_mutex_init(&connection->write_lock, NULL);
	pthread_cond_init(&connection->turn, NULL);
	*out = connection;
	return DVS_OK;
}

void connection_close(struct connection *connection)
{
	wire_close(&connection->wire);
	pthread_cond_destroy(&connection->turn);
	pthread_mutex_destroy(&connection->write_lock);
	pthread_mutex_destroy(&connection->lock);
	free(connection->in);
	free(connection);
}

void connection_stop(struct connection *connection, bool is_now)
{
	if (is_now)
		wire_cut(&connection->wire);
	else
		wire_stop_receiving(&connection->wire);
}

/* ---- the negotiation ---- */

static void close_disk(struct connection *connection)
{
	if (connection->disk)
		connection->setup->backend->ops->close(connection->disk);
	connection->disk = NULL;
}

static dvs_err list_exports(void *context, struct nbd_names *names)
{
	struct connection *connection = context;

	return connection->setup->backend->ops->list(connection->setup->backend, names);
}

/* A client that looks at an export mostly opens it then: so it stays open. */
static dvs_err look_at_export(void *context, const char *name, struct nbd_info *info)
{
	struct connection *connection = context;
	dvs_err err;

	close_disk(connection);
	err = connection->setup->backend->ops->open(connection->setup->backend, name,
						    &connection->disk, info);
	if (err) {
		connection->disk = NULL;
		return err;
	}
	if (connection->setup->is_read_only)
		info->is_read_only = true;
	return DVS_OK;
}

static dvs_err claim_export(void *context, char why[NBD_WHY_BYTES])
{
	const struct connection *connection = context;
	const struct nbd_backend_ops *ops = connection->setup->backend->ops;
	dvs_err err = ops->claim ? ops->claim(connection->disk, why) : DVS_OK;

	if (err)
		log_info(connection->setup->log, "client refused",
			 LOG_U64("connection", connection->number), LOG_STR("why", why));
	return err;
}

static bool start_tls(struct connection *connection, uint64_t deadline_ns)
{
	char why[WIRE_WHY_MAX + 1];

	/* What was sent in clear behind the request for TLS would count as if it had come under it. */
	if (connection->in_start != connection->in_end)
		return false;
	if (wire_start_tls(&connection->wire, connection->setup->tls, deadline_ns, why)) {
		log_info(connection->setup->log, "client refused",
			 LOG_U64("connection", connection->number), LOG_STR("why", why));
		return false;
	}
	return true;
}

/* Send what the negotiation has to say. */
static bool say(struct connection *connection, struct negotiation *negotiation)
{
	struct iovec piece = { negotiation->out, negotiation->out_bytes };

	negotiation->out_bytes = 0;
	return piece.iov_len == 0 || wire_send(&connection->wire, &piece, 1);
}

static bool receive_more(struct connection *connection, uint64_t deadline_ns)
{
	size_t left = connection->in_end - connection->in_start;
	struct iovec piece;
	size_t got;

	memmove(connection->in, connection->in + connection->in_start, left);
	piece = (struct iovec){ connection->in + left, NBD_IN_BYTES - left };
	got = wire_receive(&connection->wire, &piece, 1, deadline_ns);
	connection->in_start = 0;
	connection->in_end = left + got;
	return got > 0;
}

/* True: the client has chosen an export, which is open. */
static bool haggle(struct connection *connection, struct negotiation *negotiation,
		   uint64_t deadline_ns)
{
	for (;;) {
		size_t used;
		enum negotiation_step step =
			negotiation_feed(negotiation, connection->in + connection->in_start,
					 connection->in_end - connection->in_start, &used);

		connection->in_start += used;
		if (!say(connection, negotiation) || step == NEGOTIATION_END ||
		    clock_is_past(deadline_ns))
			return false;
		if (step == NEGOTIATION_TRANSMIT)
			return true;
		if (step == NEGOTIATION_TLS && !start_tls(connection, deadline_ns))
			return false;
		if (used == 0 && !receive_more(connection, deadline_ns))
			return false;
	}
}

static bool negotiate(struct connection *connection)
{
	static const struct negotiation_ops ops = { .list = list_exports,
						    .look = look_at_export,
						    .claim = claim_export };
	uint64_t deadline_ns = clock_deadline_ns(NBD_NEGOTIATION_MS * CLOCK_NS_PER_MS);
	uint8_t greeting[NBD_GREETING_BYTES];
	struct iovec piece = { greeting, sizeof(greeting) };
	struct negotiation negotiation;
	bool is_done;

	negotiation_init(&negotiation, &ops, connection,
			 connection->setup->tls ? NEGOTIATION_MUST_TLS : NEGOTIATION_NO_TLS);
	negotiation_greet(greeting);
	is_done = wire_send(&connection->wire, &piece, 1) &&
		  haggle(connection, &negotiation, deadline_ns);
	connection->rules = negotiation.rules;
	memcpy(connection->name, negotiation.info.name, sizeof(connection->name));
	negotiation_free(&negotiation);
	return is_done;
}

/* ---- threads that take turns ---- */

static void *helper_run(void *argument);

/* Somebody else is to lead: one that waits for it, or a new thread. */
static void give_lead_locked(struct connection *connection)
{
	pthread_t *thread = &connection->threads[connection->n_threads];

	connection->has_leader = false;
	if (connection->n_waiting > 0)
		pthread_cond_signal(&connection->turn);
	else if (connection->grows && connection->n_threads < NBD_THREADS_MAX - 1 &&
		 !connection->is_over && !pthread_create(thread, NULL, helper_run, connection))
		connection->n_threads++;
}

static void give_lead(struct connection *connection)
{
	pthread_mutex_lock(&connection->lock);
	give_lead_locked(connection);
	pthread_mutex_unlock(&connection->lock);
}

void connection_take_lead(struct connection *connection, uint64_t seen)
{
	if (atomic_compare_exchange_strong(&connection->call, &seen, seen | CALL_LOST_LEAD))
		give_lead(connection);
}

/* False: it is over. */
static bool lead(struct connection *connection)
{
	bool leads;

	pthread_mutex_lock(&connection->lock);
	while (connection->has_leader && !connection->is_over) {
		connection->n_waiting++;
		pthread_cond_wait(&connection->turn, &connection->lock);
		connection->n_waiting--;
	}
	leads = !connection->is_over;
	if (leads)
		connection->has_leader = true;
	pthread_mutex_unlock(&connection->lock);
	return leads;
}

static void end(struct connection *connection)
{
	pthread_mutex_lock(&connection->lock);
	connection->is_over = true;
	pthread_cond_broadcast(&connection->turn);
	pthread_mutex_unlock(&connection->lock);
}

/* Run the job without giving the lead away. *LEADS: it was not taken away either. */
static bool run_leading(struct worker *worker, bool *leads)
{
	struct connection *connection = worker->connection;
	uint64_t call = (atomic_load(&connection->call) & ~(CALL_NEXT - 1)) + CALL_NEXT;
	uint64_t mine = call | CALL_RUNS;
	bool is_fine;

	atomic_store(&connection->call, mine);
	watch_note(connection->setup->watch);
	is_fine = worker_run(worker);
	*leads = atomic_compare_exchange_strong(&connection->call, &mine, call);
	return is_fine;
}

/* As leader. False: the connection is over. */
static bool serve_one(struct worker *worker, bool *leads)
{
	struct connection *connection = worker->connection;

	if (!worker_gather(worker))
		return false;
	if (worker->is_slow ||
	    atomic_load_explicit(&connection->call_ns, memory_order_relaxed) > SLOW_NS) {
		*leads = false;
		give_lead(connection);
		if (worker_run(worker))
			return true;
	} else if (run_leading(worker, leads)) {
		return true;
	}
	/* Another thread may be waiting for requests of a client that gets no replies any more. */
	wire_cut(&connection->wire);
	return false;
}

static void take_turns(struct worker *worker)
{
	bool is_over = false;

	while (!is_over && lead(worker->connection)) {
		bool leads = true;

		while (leads && !is_over)
			is_over = !serve_one(worker, &leads);
	}
	end(worker->connection);
}

static struct worker *worker_new(struct connection *connection, struct nbd_disk *disk)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (worker) {
		worker->connection = connection;
		worker->disk = disk;
	}
	return worker;
}

static void *helper_run(void *argument)
{
	struct connection *connection = argument;
	const struct nbd_backend_ops *ops = connection->setup->backend->ops;
	struct nbd_disk *disk = NULL;
	struct worker *worker = NULL;
	dvs_err err = ops->open_thread(connection->disk, &disk);

	if (!err)
		worker = worker_new(connection, disk);
	if (worker) {
		take_turns(worker);
	} else {
		pthread_mutex_lock(&connection->lock);
		connection->grows = false;
		pthread_mutex_unlock(&connection->lock);
		log_warning(connection->setup->log, "no further thread for a client",
			    LOG_U64("connection", connection->number),
			    LOG_STR("why", dvs_strerror(err ? err : DVS_NOMEM)));
	}
	free(worker);
	if (!err)
		ops->close(disk);
	return NULL;
}

static void transmit(struct connection *connection)
{
	struct worker *worker = worker_new(connection, connection->disk);

	if (!worker)
		return;
	watch_add(connection->setup->watch, connection);
	take_turns(worker);
	watch_remove(connection->setup->watch, connection);
	/* After the end nobody makes another one. */
	for (uint32_t i = 0; i < connection->n_threads; i++)
		pthread_join(connection->threads[i], NULL);
	free(worker);
}

void connection_serve(struct connection *connection)
{
	if (negotiate(connection)) {
		log_info(connection->setup->log, "client has opened an export",
			 LOG_U64("connection", connection->number),
			 LOG_STR("export", connection->name));
		transmit(connection);
	}
	log_debug(connection->setup->log, "client is gone",
		  LOG_U64("connection", connection->number));
	close_disk(connection);
}
