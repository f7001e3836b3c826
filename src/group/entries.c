/* SPDX-License-Identifier: Apache-2.0 */
/* The log: entries that are delivered and wait until all members of the established view have them; then they are applied.
 *
 * Each entry carries the hash of all before it, the chain. Two members whose chains are equal at a place have the same entries up to
 * there: an engine may leave a hole in what it delivers to a member that is about to lose the others, so counting is not enough. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "group/internal.h"

/* Mixing as in a 64-bit finalizer: chains meet accidents, not attackers. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash ^= value;
	hash *= UINT64_C(0x9e3779b97f4a7c15);
	hash ^= hash >> 29;
	hash *= UINT64_C(0xbf58476d1ce4e5b9);
	return hash ^ hash >> 32;
}

uint64_t chain_start(uint64_t epoch, uint64_t index, uint64_t digest)
{
	return mix(mix(mix(1, epoch), index), digest);
}

uint64_t chain_view(uint64_t chain, uint64_t epoch, uint64_t members)
{
	return mix(mix(chain, epoch), members);
}

static bool serial_is_after(const struct serial *a, const struct serial *b)
{
	return a->life != b->life ? a->life > b->life : a->n > b->n;
}

static uint64_t chain_next(uint64_t chain, const struct entry *entry)
{
	uint32_t at = 0;

	chain = mix(mix(chain, (uint64_t)entry->node << 32 | entry->len), entry->serial.life);
	chain = mix(chain, entry->serial.n);
	chain = mix(chain, entry->kind);
	for (; at + 8 <= entry->len; at += 8) {
		uint64_t eight;

		memcpy(&eight, entry->bytes + at, 8);
		chain = mix(chain, eight);
	}
	for (; at < entry->len; at++)
		chain = mix(chain, entry->bytes[at]);
	return chain;
}

struct entry *entry_read(struct cursor *in, const struct place *after)
{
	uint32_t node = cursor_u32(in);
	uint64_t life = cursor_u64(in);
	uint64_t n = cursor_u64(in);
	uint8_t kind = cursor_u8(in);
	uint32_t len = cursor_u32(in);
	const uint8_t *bytes = len <= ORDERED_ENTRY_MAX ? cursor_borrow(in, len) : NULL;
	struct entry *entry;

	if (!bytes || node >= GROUP_MEMBERS_MAX || kind > ENTRY_NODE_LOST) {
		cursor_fail(in);
		return NULL;
	}
	entry = malloc(sizeof(*entry) + len);
	if (!entry)
		return NULL;
	list_init(&entry->link);
	entry->node = node;
	entry->serial = (struct serial){ life, n };
	entry->kind = kind == ENTRY_APP ? ENTRY_APP : ENTRY_NODE_LOST;
	entry->len = len;
	memcpy(entry->bytes, bytes, len);
	entry->index = after->index + 1;
	entry->chain = chain_next(after->chain, entry);
	return entry;
}

void entry_write(struct writer *out, uint32_t node, struct serial serial, enum entry_kind kind,
		 const void *bytes, uint32_t len)
{
	writer_u32(out, node);
	writer_u64(out, serial.life);
	writer_u64(out, serial.n);
	writer_u8(out, kind);
	writer_u32(out, len);
	writer_bytes(out, bytes, len);
}

/* ---- the log grows ---- */

static void log_append(struct ordered *ordered, struct entry *entry)
{
	list_add_tail(&ordered->log, &entry->link);
	ordered->last = (struct place){ entry->index, entry->chain };
	ordered->seen[entry->node] = entry->serial;
}

void on_entries(struct ordered *ordered, uint32_t node, struct cursor *in)
{
	uint64_t epoch = cursor_u64(in);
	uint16_t n = cursor_u16(in);

	if (ordered->phase != PHASE_OPEN || epoch != ordered->decision.epoch)
		return;
	for (uint16_t i = 0; i < n; i++) {
		struct entry *entry = entry_read(in, &ordered->last);

		if (!entry && !in->failed)
			ordered_fail(ordered, DVS_NOMEM, "no memory for what the others have told");
		if (!entry)
			return;
		/* The first holds the rule against its own caster, the second has it at most once, whatever the engine does. */
		if (entry->node != node || !serial_is_after(&entry->serial, &ordered->seen[node]))
			free(entry);
		else
			log_append(ordered, entry);
	}
	ordered->want_ack = ordered->members != bit(ordered->node);
	log_apply(ordered);
}

void ack_write(struct ordered *ordered, struct writer *out)
{
	writer_u8(out, MESSAGE_ACK);
	writer_u64(out, ordered->decision.epoch);
	writer_u64(out, ordered->last.index);
	writer_u64(out, ordered->last.chain);
}

/* Whether our log has the very entry that PLACE names. Acknowledged are late ones: from the end. */
static bool log_has(const struct ordered *ordered, const struct place *place)
{
	for (const struct list *link = ordered->log.prev; link != &ordered->log;
	     link = link->prev) {
		const struct entry *entry = (const struct entry *)(const void *)link;

		if (entry->index == place->index)
			return entry->chain == place->chain;
	}
	return false;
}

void on_ack(struct ordered *ordered, uint32_t node, struct cursor *in)
{
	uint64_t epoch = cursor_u64(in);
	struct place place;

	place.index = cursor_u64(in);
	place.chain = cursor_u64(in);
	if (!cursor_done(in) || ordered->phase != PHASE_OPEN || epoch != ordered->decision.epoch)
		return;
	/* It can name nothing else than what we have, with an engine that keeps its word. */
	if (!log_has(ordered, &place))
		return;
	ordered->acked[node] = place.index;
	log_apply(ordered);
}

/* ---- the log shrinks ---- */

static void stable_update(struct ordered *ordered)
{
	uint64_t least = ordered->last.index;

	for (uint32_t node = 0; node < GROUP_MEMBERS_MAX; node++) {
		if (node != ordered->node && (ordered->members & bit(node)) &&
		    ordered->acked[node] < least)
			least = ordered->acked[node];
	}
	if (least > ordered->stable)
		ordered->stable = least;
}

static struct own *flight_take(struct ordered *ordered, const struct entry *entry)
{
	struct own *own;

	if (entry->node != ordered->node || list_is_empty(&ordered->flight))
		return NULL;
	own = CONTAINER_OF(ordered->flight.next, struct own, link);
	if (entry->serial.life != ordered->life || own->n != entry->serial.n)
		return NULL;
	list_remove(&own->link);
	return own;
}

static void entry_apply(struct ordered *ordered, const struct entry *entry)
{
	struct own *own = flight_take(ordered, entry);
	uint32_t lost;

	if (entry->kind == ENTRY_APP) {
		ordered->app.apply(ordered->app.context, entry->node, own ? own->cookie : 0,
				   entry->bytes, entry->len);
	} else if (entry->len == 1) {
		lost = entry->bytes[0];
		if (lost < GROUP_MEMBERS_MAX && (ordered->lingering & bit(lost))) {
			ordered->lingering &= ~bit(lost);
			if (ordered->app.node_lost)
				ordered->app.node_lost(ordered->app.context, lost);
		}
	}
	free(own);
}

void log_apply(struct ordered *ordered)
{
	if (ordered->applying)
		return; /* the one below us on the stack goes on */
	ordered->applying = true;
	for (;;) {
		struct entry *entry;

		if (ordered->phase == PHASE_OPEN)
			stable_update(ordered);
		if (list_is_empty(&ordered->log) || ordered->stable <= ordered->applied.index)
			break;
		entry = CONTAINER_OF(list_take_head(&ordered->log), struct entry, link);
		assert(entry->index == ordered->applied.index + 1);
		ordered->applied = (struct place){ entry->index, entry->chain };
		ordered->seen_applied[entry->node] = entry->serial;
		entry_apply(ordered, entry);
		free(entry);
	}
	ordered->applying = false;
}

void log_clear(struct ordered *ordered)
{
	list_free(&ordered->log);
	log_recount(ordered);
}

void log_recount(struct ordered *ordered)
{
	memcpy(ordered->seen, ordered->seen_applied, sizeof(ordered->seen));
	ordered->last = ordered->applied;
	LIST_FOREACH(link, &ordered->log) {
		const struct entry *entry = CONTAINER_OF(link, struct entry, link);

		ordered->seen[entry->node] = entry->serial;
		ordered->last = (struct place){ entry->index, entry->chain };
	}
}

/* ---- our own, after the members have changed ---- */

void flight_resolve(struct ordered *ordered)
{
	const struct serial *seen = &ordered->seen_applied[ordered->node];

	LIST_FOREACH_SAFE(link, &ordered->flight) {
		struct own *own = CONTAINER_OF(link, struct own, link);
		dvs_err err = DVS_OK;

		if (own->epoch < ordered->known_from && own->keep)
			continue; /* told once too often is better than never */
		if (own->epoch < ordered->known_from)
			err = DVS_IO;
		else if (seen->life != ordered->life || own->n > seen->n)
			continue;
		list_remove(&own->link);
		if (own->cookie)
			ordered->app.refused(ordered->app.context, own->cookie, err);
		free(own);
	}
}

void flight_requeue(struct ordered *ordered)
{
	while (!list_is_empty(&ordered->flight)) {
		struct list *last = ordered->flight.prev;

		list_remove(last);
		list_add_head(&ordered->queue, last);
		ordered->queue_bytes += CONTAINER_OF(last, struct own, link)->len;
	}
}
