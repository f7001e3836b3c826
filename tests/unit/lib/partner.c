/* SPDX-License-Identifier: Apache-2.0 */
/* Partners come and go as dvsd tells. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/handle.h"
#include "lib/partner.h"
#include "unit.h"

#define SELF 0x108000u
#define PEER 0x100100u

static struct dvk dvk;
static struct m3 *self;

static void *page(void)
{
	void *at = aligned_alloc(IPC_PAGE, IPC_PAGE);

	ck_assert_ptr_nonnull(at);
	memset(at, 0, IPC_PAGE);
	return at;
}

static void open_handle(void)
{
	static uint32_t alive = 1;

	memset(&dvk, 0, sizeof(dvk));
	(void)pthread_mutex_init(&dvk.lock, NULL);
	list_init(&dvk.handles);
	for (unsigned int i = 0; i < DVK_BUCKETS; i++)
		list_init(&dvk.bucket[i]);
	dvk.alive = &alive;
	dvk.area = page();
	dvk.stats = page();
	self = handle_new(&dvk);
	ck_assert_ptr_nonnull(self);
	handle_bind_locked(self, SELF, 0, 0, 1, 0);
}

static int memory(size_t bytes)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

/* dvsd tells of a new channel with PEER that has INDEX here. */
static void comes(uint32_t index)
{
	const struct control_channel_req event = {
		.ep = SELF, .peer = PEER, .my_index = index, .mode = 1
	};
	int fd[LINK_FDS_MAX] = { memory(IPC_CHANNEL_BYTES), memory(IPC_PAGE) };

	partner_add(self, &event, fd);
	close(fd[0]);
	close(fd[1]);
}

static void goes(uint32_t index)
{
	const struct control_gone_req event = { .ep = SELF, .peer = PEER, .my_index = index };

	partner_gone(self, &event, DVS_PEERDEAD);
}

static bool has(uint32_t index)
{
	const struct channel *ch = endpoint_find(&self->ep, dvs_ep_of(PEER));

	return ch && ch->index == index;
}

TEST(the_end_of_a_former_channel_is_not_that_of_its_successor)
{
	open_handle();
	comes(4);
	ck_assert(has(4));
	/* The peer went on elsewhere under the same address; of its former place the last words were waited for. */
	comes(5);
	ck_assert(has(5));
	goes(4);
	ck_assert(has(5));
	goes(5);
	ck_assert(!has(5));
}

UNIT_MAIN("lib-partner", the_end_of_a_former_channel_is_not_that_of_its_successor)
