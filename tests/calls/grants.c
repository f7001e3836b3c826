/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between address spaces: who may, what of, and what they say when they cannot. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "dvs_fixture.h"

/* An actor grants OUT_BYTES at offset IN_BYTES of its memory to ep, with the rights in kind; fills it with the
 * pattern of n. */
static dvs_err do_grant(struct stage *me, struct act *act)
{
	pattern_fill(me->memory + act->in_bytes, act->out_bytes, (uint8_t)act->n);
	return m3_grant(me->self, act->ep, me->memory + act->in_bytes, act->out_bytes, act->kind,
			&act->grant);
}

static struct act granting(dvs_ep to, size_t bytes, unsigned rights, uint8_t seed)
{
	return (struct act){ .play = do_grant,
			     .call = "m3_grant",
			     .ep = to,
			     .out_bytes = bytes,
			     .kind = rights,
			     .n = seed };
}

static dvs_err do_revoke(struct stage *me, struct act *act)
{
	return m3_revoke(me->self, act->grant);
}

static struct act revoking(uint32_t grant)
{
	return (struct act){ .play = do_revoke, .call = "m3_revoke", .grant = grant };
}

/* Is the memory the pattern of n? */
static dvs_err do_check(struct stage *me, struct act *act)
{
	act->n = pattern_is(me->memory, act->out_bytes, (uint8_t)act->n);
	return DVS_OK;
}

static bool memory_is(struct actor *actor, size_t bytes, uint8_t seed)
{
	return play(actor, (struct act){ .play = do_check, .out_bytes = bytes, .n = seed })->n;
}

static uint32_t grant_of(struct actor *actor, dvs_ep to, size_t bytes, unsigned rights,
			 uint8_t seed)
{
	const struct act *done = play(actor, granting(to, bytes, rights, seed));

	ck_assert_int_eq(done->err, DVS_OK);
	ck_assert_uint_gt(done->grant, 0);
	return done->grant;
}

TEST(memory_is_read_and_written_through_a_grant)
{
	static const size_t sizes[] = { 1, 63, 4096, 100001, STAGE_BYTES };
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *owner = actor_bound(w, 0);
	uint8_t *mine = malloc(STAGE_BYTES);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t grant = grant_of(owner, m3_self(me), sizes[i],
					  M3_GRANT_READ | M3_GRANT_WRITE, (uint8_t)i);
		struct m3_span theirs = { .owner = owner->ep, .grant = grant };
		struct m3_span here = { .owner = m3_self(me), .addr = mine };

		GIVES(OK, m3_copy, me, &theirs, &here, sizes[i]);
		ck_assert(pattern_is(mine, sizes[i], (uint8_t)i));
		pattern_fill(mine, sizes[i], (uint8_t)(i + 100));
		GIVES(OK, m3_copy, me, &here, &theirs, sizes[i]);
		ck_assert(memory_is(owner, sizes[i], (uint8_t)(i + 100)));
		GIVES(OK, m3_copy, me, &here, &theirs, 0);
	}
	free(mine);
	dvk_unbind(me);
	world_end(w);
}

TEST(an_offset_moves_the_copy)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *owner = actor_bound(w, 0);
	struct m3_span theirs = { .owner = dvs_ep_of(dvs_ep_number(owner->ep)), .offset = 96 };
	uint8_t mine[100] = { 0 };
	uint8_t all[100];
	struct m3_span here = { .owner = m3_self(me), .addr = mine };

	theirs.grant = grant_of(owner, dvs_ep_any(), 100, M3_GRANT_READ, 5);
	pattern_fill(all, sizeof(all), 5);
	GIVES(OK, m3_copy, me, &theirs, &here, 4);
	ck_assert_mem_eq(mine, all + 96, 4);
	ck_assert_uint_eq(mine[4], 0);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_grant_bounds_what_is_copied)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *owner = actor_bound(w, 0);
	uint8_t mine[200] = { 0 };
	struct m3_span here = { .owner = m3_self(me), .addr = mine };
	struct m3_span theirs = { .owner = owner->ep };

	theirs.grant = grant_of(owner, m3_self(me), 100, M3_GRANT_READ, 5);
	GIVES(TOOBIG, m3_copy, me, &theirs, &here, 101);
	GIVES(TOOBIG, m3_copy, me, &theirs, &here, DVS_COPY_MAX + 1);
	GIVES(TOOBIG, m3_copy, me, &theirs, &here, UINT64_MAX);
	theirs.offset = 100;
	GIVES(TOOBIG, m3_copy, me, &theirs, &here, 1);
	theirs.offset = UINT64_MAX;
	GIVES(TOOBIG, m3_copy, me, &theirs, &here, 2);
	theirs.offset = UINT64_MAX - 1;
	GIVES(TOOBIG, m3_copy, me, &theirs, &here, 2);
	ck_assert_uint_eq(mine[0], 0);
	theirs.offset = 0;
	GIVES(NOGRANT, m3_copy, me, &here, &theirs, 1);
	GIVES(OK, m3_copy, me, &theirs, &here, 100);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_grant_is_for_its_grantee_until_it_is_revoked)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *owner = actor_bound(w, 0);
	struct actor *other = actor_bound(w, 0);
	uint8_t mine[200];
	struct m3_span here = { .owner = m3_self(me), .addr = mine };
	struct m3_span theirs = { .owner = owner->ep };
	uint32_t grant = grant_of(owner, other->ep, 100, M3_GRANT_READ, 5);

	theirs.grant = grant;
	GIVES(NOGRANT, m3_copy, me, &theirs, &here, 1);
	theirs.grant = grant + 1000;
	GIVES(NOGRANT, m3_copy, me, &theirs, &here, 1);
	theirs.grant = grant_of(owner, m3_self(me), 100, M3_GRANT_READ, 5);
	ck_assert_uint_ne(theirs.grant, grant);
	GIVES(OK, m3_copy, me, &theirs, &here, 1);
	ck_assert_int_eq(play(other, revoking(theirs.grant))->err, DVS_NOGRANT);
	ck_assert_int_eq(play(owner, revoking(theirs.grant))->err, DVS_OK);
	ck_assert_int_eq(play(owner, revoking(theirs.grant))->err, DVS_NOGRANT);
	GIVES(NOGRANT, m3_copy, me, &theirs, &here, 1);
	theirs.owner = dvs_ep_of(99);
	GIVES(NODEST, m3_copy, me, &theirs, &here, 1);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_third_party_copies_between_two_others)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 0);
	struct actor *b = actor_bound(w, 0);
	struct m3_span from = { .owner = a->ep };
	struct m3_span to = { .owner = b->ep };
	const size_t bytes = (size_t)1 << 20;

	from.grant = grant_of(a, m3_self(me), bytes, M3_GRANT_READ, 1);
	to.grant = grant_of(b, dvs_ep_any(), bytes, M3_GRANT_WRITE, 2);
	GIVES(OK, m3_copy, me, &from, &to, bytes);
	ck_assert(memory_is(b, bytes, 1));
	ck_assert(memory_is(a, bytes, 1));
	GIVES(NOGRANT, m3_copy, me, &to, &from, bytes);
	/* Between endpoints of one's own process too. */
	to.owner = a->ep;
	to.grant = grant_of(a, m3_self(me), 10, M3_GRANT_WRITE, 1);
	GIVES(OK, m3_copy, me, &from, &to, 10);
	dvk_unbind(me);
	world_end(w);
}

static dvs_err do_unmap(struct stage *me, struct act *act)
{
	(void)act;
	(void)munmap(me->memory + 4096, 4096);
	return DVS_OK;
}

TEST(memory_that_is_not_mapped_is_a_fault)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *owner = actor_bound(w, 0);
	uint8_t mine[8192];
	struct m3_span here = { .owner = m3_self(me), .addr = mine };
	struct m3_span theirs = { .owner = owner->ep };

	theirs.grant = grant_of(owner, m3_self(me), 8192, M3_GRANT_READ, 1);
	(void)play(owner, (struct act){ .play = do_unmap });
	GIVES(FAULT, m3_copy, me, &theirs, &here, 8192);
	GIVES(OK, m3_copy, me, &theirs, &here, 4096);
	ck_assert(pattern_is(mine, 4096, 1));
	theirs.offset = 4096;
	GIVES(FAULT, m3_copy, me, &theirs, &here, 1);
	/* One's own memory as well. */
	theirs.offset = 0;
	here.addr = (void *)8;
	GIVES(FAULT, m3_copy, me, &theirs, &here, 1);
	dvk_unbind(me);
	world_end(w);
}

TEST(grants_end_with_their_owner)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *owner = actor_bound(w, 0);
	uint8_t mine[100];
	struct m3_span here = { .owner = m3_self(me), .addr = mine };
	struct m3_span theirs = { .owner = owner->ep };

	theirs.grant = grant_of(owner, m3_self(me), 100, M3_GRANT_READ, 1);
	ck_assert_int_eq(play(owner, unbinding())->err, DVS_OK);
	GIVES(NODEST, m3_copy, me, &theirs, &here, 100);
	(void)bind_as(owner, dvs_ep_of(6), DVK_LOCAL);
	theirs.owner = owner->ep;
	GIVES(NOGRANT, m3_copy, me, &theirs, &here, 100);
	theirs.grant = grant_of(owner, m3_self(me), 100, M3_GRANT_READ, 1);
	actor_kill(w, owner);
	GIVES(OK, dvk_wait_unbind, w->dvk, theirs.owner, DVS_FOREVER);
	GIVES(NODEST, m3_copy, me, &theirs, &here, 100);
	dvk_unbind(me);
	world_end(w);
}

TEST(grants_run_out)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	uint32_t first = 0;
	uint32_t grant = 0;
	dvs_err err = DVS_OK;

	for (unsigned i = 0; i < 100000 && !err; i++) {
		err = m3_grant(me, dvs_ep_any(), w, 4, M3_GRANT_READ, &grant);
		first = i == 0 ? grant : first;
	}
	ck_assert_int_eq(err, DVS_FULL);
	saw("m3_grant", DVS_FULL);
	GIVES(OK, m3_revoke, me, first);
	GIVES(OK, m3_grant, me, dvs_ep_any(), w, 4, M3_GRANT_READ, &grant);
	ck_assert_uint_ne(grant, first);
	dvk_unbind(me);
	world_end(w);
}

/* Much to copy that needs little memory: one piece mapped over and over, in place of the stage's. */
#define LONG_PIECE ((size_t)4 << 20)
#define LONG_PIECES 64
#define LONG_BYTES (LONG_PIECE * LONG_PIECES)

static dvs_err do_map_long(struct stage *me, struct act *act)
{
	int fd = memfd_create("long", MFD_CLOEXEC);
	uint8_t *at = mmap(NULL, LONG_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)act;
	if (at == MAP_FAILED || fd < 0 || ftruncate(fd, (off_t)LONG_PIECE) != 0)
		return DVS_NOMEM;
	for (size_t i = 0; i < LONG_PIECES; i++) {
		if (mmap(at + i * LONG_PIECE, LONG_PIECE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			return DVS_NOMEM;
	}
	close(fd);
	(void)munmap(me->memory, STAGE_BYTES);
	me->memory = at;
	return DVS_OK;
}

static dvs_err do_copy_long(struct stage *me, struct act *act)
{
	struct m3_span here = { .owner = m3_self(me->self), .addr = me->memory };
	struct m3_span theirs = { .owner = act->ep, .grant = act->grant };

	return m3_copy(me->self, &theirs, &here, LONG_BYTES);
}

static struct actor *long_actor(struct world *w)
{
	struct actor *actor = actor_bound(w, 0);

	ck_assert_int_eq(play(actor, (struct act){ .play = do_map_long })->err, DVS_OK);
	return actor;
}

/* Killed at various moments; at one of them the copy is under way. */
TEST(the_owner_is_killed_while_it_is_copied)
{
	struct world *w = world_start();
	struct actor *copier = long_actor(w);
	struct act act = { .play = do_copy_long, .call = "m3_copy" };
	dvs_err err = DVS_OK;

	for (long ms = 0; ms < 100 && err != DVS_PEERDEAD; ms++) {
		struct timespec moment = { .tv_nsec = ms * 500000 };
		struct actor *owner = long_actor(w);

		act.ep = owner->ep;
		act.grant = grant_of(owner, copier->ep, LONG_BYTES, M3_GRANT_READ, 1);
		begin(copier, act);
		(void)nanosleep(&moment, NULL);
		actor_kill(w, owner);
		err = end(copier)->err;
		ck_assert_msg(err == DVS_PEERDEAD || err == DVS_NODEST || err == DVS_OK, "gave %s",
			      dvs_err_name(err));
	}
	ck_assert_int_eq(err, DVS_PEERDEAD);
	world_end(w);
}

/* Copy again and again until something ends it. */
static dvs_err do_copy_on(struct stage *me, struct act *act)
{
	struct m3_span here = { .owner = m3_self(me->self), .addr = me->memory };
	struct m3_span theirs = { .owner = act->ep, .grant = act->grant };
	dvs_err err;

	do
		err = m3_copy(me->self, &theirs, &here, STAGE_BYTES);
	while (!err);
	return err;
}

TEST(a_revoke_ends_the_copies)
{
	struct world *w = world_start();
	struct actor *owner = actor_bound(w, 0);
	struct actor *copier = actor_bound(w, 0);
	struct act act = { .play = do_copy_on, .ep = owner->ep };

	act.grant = grant_of(owner, copier->ep, STAGE_BYTES, M3_GRANT_READ, 1);
	begin(copier, act);
	ck_assert_int_eq(play(owner, revoking(act.grant))->err, DVS_OK);
	ck_assert_int_eq(end(copier)->err, DVS_NOGRANT);
	world_end(w);
}

CALLS_MAIN("grants", memory_is_read_and_written_through_a_grant, an_offset_moves_the_copy,
	   a_grant_bounds_what_is_copied, a_grant_is_for_its_grantee_until_it_is_revoked,
	   a_third_party_copies_between_two_others, memory_that_is_not_mapped_is_a_fault,
	   grants_end_with_their_owner, grants_run_out, the_owner_is_killed_while_it_is_copied,
	   a_revoke_ends_the_copies)
