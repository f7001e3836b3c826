/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that find the medium gone: its volume has no server at the moment, or another file server has taken it, which this one is to hear of in a moment. Whoever asked is not told that something failed, since nothing did. Either this server opens
 * the medium again, and then serves them as sent again (what had been carried out is answered from the rows of answers), or it is not the primary any more, and M3-IPC sends them to who is. */
#include "base/clock.h"
#include "servers/fs/fsd.h"

/* Clients have patience, but should hear why at last. */
#define DEFER_NS (60 * CLOCK_NS_PER_S)

bool fsd_is_away(const struct fsd *fsd)
{
	if (!fsd->fs)
		return fsd->is_away;
	return medium_is_over(fsimage_medium(fs_image(fsd->fs)));
}

bool fsd_defer(struct fsd *fsd, struct skeleton_request *request, dvs_err err)
{
	if (!err || err == DVS_RESUME || !fsd_is_away(fsd))
		return false;
	if (list_is_empty(&fsd->deferred))
		fsd->deferred_ns = clock_now_ns();
	list_add_tail(&fsd->deferred, &request->kept);
	return true;
}

void fsd_deferred_serve(struct fsd *fsd)
{
	struct list due;
	struct list *link;

	list_init(&due);
	while ((link = list_take_head(&fsd->deferred)))
		list_add_tail(&due, link);
	while ((link = list_take_head(&due))) {
		struct skeleton_request *request =
			CONTAINER_OF(link, struct skeleton_request, kept);
		dvs_err err;

		request->resent = true;
		err = fs_serve(&fsd_handlers, fsd, request);
		if (err)
			skeleton_answer(request, err, NULL, 0);
	}
}

void fsd_deferred_drop(struct fsd *fsd)
{
	struct list *link;

	while ((link = list_take_head(&fsd->deferred)))
		skeleton_drop(CONTAINER_OF(link, struct skeleton_request, kept));
}

void fsd_deferred_tick(struct fsd *fsd)
{
	struct list *link;

	if (list_is_empty(&fsd->deferred) || clock_now_ns() - fsd->deferred_ns < DEFER_NS)
		return;
	while ((link = list_take_head(&fsd->deferred)))
		skeleton_answer(CONTAINER_OF(link, struct skeleton_request, kept), DVS_IO, NULL, 0);
}
