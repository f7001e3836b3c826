/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a volume: its record tells the endpoint of its server and its minor number, the server tells the rest. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "client/vdd_calls.h"
#include "client/volume.h"

#define KIND_SNAPSHOT 2u
#define FLAG_READ_ONLY 1u
#define FLAG_TRIMS 2u

struct opening {
	uint64_t deadline_ns;
	char *why;
	char dc[DVS_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	char snapshot[DVS_NAME_MAX + 1];
};

static PRINTF_LIKE(3, 4) dvs_err
	fail(const struct opening *opening, dvs_err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(opening->why, VOLUME_WHY_MAX + 1, format, args);
	va_end(args);
	return err;
}

static uint32_t left_ms(uint64_t deadline_ns)
{
	int ms = clock_poll_ms(deadline_ns);

	return ms < 0 ? DVS_FOREVER : (uint32_t)ms;
}

static const char *run_dir_of(const char *run_dir)
{
	if (!run_dir)
		run_dir = getenv("DVS_RUN_DIR");
	return run_dir && run_dir[0] ? run_dir : "/run/dvs";
}

dvs_err volume_dc_open(const char *run_dir, const char *dc, struct dvk **dvk)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/dc/%s/control", run_dir_of(run_dir), dc) >=
	    sizeof(path))
		return DVS_BADARG;
	return dvk_open(path, dvk);
}

/* ---- what is known of it without its server ---- */

static dvs_err link_up(const struct opening *opening, const char *run_dir, struct dvk **admin)
{
	dvs_err err = dvk_admin_open(run_dir, admin);

	if (err == DVS_DENIED)
		return fail(opening, err,
			    "only root and the user who runs dvsd may open volumes by name");
	return err == DVS_OK ?
		       DVS_OK :
		       fail(opening, err, "dvsd in %s: %s", run_dir_of(run_dir), dvs_strerror(err));
}

static dvs_err look_up(const struct opening *opening, struct dvk *admin, struct volume *volume)
{
	dvs_err err = volume_get(admin, opening->dc, opening->name, volume, NULL);

	if (err == DVS_NODC)
		return fail(opening, err, "there is no DC %s; see 'dvs dc ls'", opening->dc);
	if (err == DVS_NOTFOUND)
		return fail(opening, err, "the DC %s has no volume %s; see 'dvs vol ls %s'",
			    opening->dc, opening->name, opening->dc);
	if (err == DVS_BADARG)
		return fail(opening, err, "its record is damaged; see 'dvs vol inspect %s/%s'",
			    opening->dc, opening->name);
	if (err != DVS_OK)
		return fail(opening, err, "its record: %s", dvs_strerror(err));
	return DVS_OK;
}

static dvs_err entered(const struct opening *opening, dvs_err err)
{
	if (err == DVS_DENIED)
		return fail(opening, err,
			    "this process is in another DC than %s, or may not enter it",
			    opening->dc);
	return err == DVS_OK ?
		       DVS_OK :
		       fail(opening, err, "entering the DC %s: %s", opening->dc, dvs_strerror(err));
}

/* ---- its server ---- */

static dvs_err find_snapshot(const struct opening *opening, const struct volume_disk *disk,
			     uint32_t *minor)
{
	struct vdd_disks_rep *reply = malloc(sizeof(*reply));
	struct vdd_disks_req request = { .cursor = 0 };
	dvs_err err = DVS_NOMEM;

	if (reply)
		err = vdd_call_disks(disk->self, disk->server, &request, reply,
				     left_ms(opening->deadline_ns));
	if (err == DVS_OK) {
		err = DVS_NOTFOUND;
		for (uint32_t i = 0; i < reply->n_disks; i++) {
			const struct vdd_disk *found = &reply->disks[i];

			if (found->kind == KIND_SNAPSHOT && found->parent == disk->minor &&
			    strcmp(found->name, opening->snapshot) == 0) {
				*minor = found->minor;
				err = DVS_OK;
				break;
			}
		}
	}
	free(reply);
	return err;
}

/* Ask a server that is there. */
static dvs_err measure(const struct opening *opening, struct volume_disk *disk)
{
	struct vdd_geometry_req request = { .minor = disk->minor };
	struct vdd_geometry_rep reply;
	dvs_err err = DVS_OK;

	if (opening->snapshot[0])
		err = find_snapshot(opening, disk, &request.minor);
	if (err == DVS_OK)
		err = vdd_call_geometry(disk->self, disk->server, &request, &reply, NULL, 0, NULL,
					0, NULL, left_ms(opening->deadline_ns));
	if (err != DVS_OK)
		return err;
	disk->minor = request.minor;
	disk->bytes = reply.bytes;
	disk->block_bytes = reply.block_bytes;
	disk->life = reply.life;
	disk->is_read_only = reply.flags & FLAG_READ_ONLY;
	disk->trims = reply.flags & FLAG_TRIMS;
	return DVS_OK;
}

/* It went before it answered: another one is to come. */
static bool is_gone(dvs_err err)
{
	return err == DVS_NODEST || err == DVS_PEERDEAD || err == DVS_NODEDOWN;
}

static dvs_err reach(const struct opening *opening, struct volume_disk *disk)
{
	for (;;) {
		dvs_ep bound = disk->server;
		dvs_err err = dvk_wait_bind(disk->dvk, disk->server, left_ms(opening->deadline_ns),
					    &bound);

		if (err == DVS_OK)
			err = measure(opening, disk);
		if (is_gone(err)) {
			/* It went, which this node may only hear of now; what comes next has another generation. */
			err = dvk_wait_unbind(disk->dvk, bound, left_ms(opening->deadline_ns));
			if (err == DVS_OK)
				continue;
		}
		if (err == DVS_TIMEOUT)
			return fail(opening, DVS_NODEST,
				    "no server answers for it; 'dvs vol inspect %s/%s' tells what "
				    "is known",
				    opening->dc, opening->name);
		if (err == DVS_NOTFOUND && opening->snapshot[0])
			return fail(opening, err,
				    "the volume has no snapshot %s; see 'dvs vol inspect %s/%s'",
				    opening->snapshot, opening->dc, opening->name);
		return err == DVS_OK ? DVS_OK :
				       fail(opening, err, "its server: %s", dvs_strerror(err));
	}
}

static dvs_err opening_begin(struct opening *opening, const char *text, uint32_t timeout_ms,
			     char why[VOLUME_WHY_MAX + 1])
{
	*opening = (struct opening){ .why = why };
	why[0] = '\0';
	opening->deadline_ns = timeout_ms == DVS_FOREVER ?
				       CLOCK_NEVER_NS :
				       clock_deadline_ns(timeout_ms * CLOCK_NS_PER_MS);
	if (volume_name_split(text, opening->dc, opening->name, opening->snapshot))
		return DVS_OK;
	return fail(opening, DVS_BADARG,
		    "that is no name of a volume; write DC/VOLUME or DC/VOLUME@SNAPSHOT");
}

static dvs_err open_on(const struct opening *opening, struct dvk *admin, struct dvk *dvk,
		       struct volume_disk *disk)
{
	struct volume *volume = malloc(sizeof(*volume));
	dvs_err err;

	*disk = (struct volume_disk){ .dvk = dvk };
	if (!volume)
		return fail(opening, DVS_NOMEM, "out of memory");
	err = look_up(opening, admin, volume);
	if (err == DVS_OK) {
		disk->server = dvs_ep_of(volume->endpoint);
		disk->minor = volume->minor;
		memcpy(disk->id, volume->id, sizeof(disk->id));
		err = entered(opening, dvk_bind(dvk, dvs_ep_any(), DVK_LOCAL, &disk->self));
	}
	free(volume);
	if (err == DVS_OK)
		err = reach(opening, disk);
	if (err != DVS_OK)
		volume_close_thread(disk);
	return err;
}

dvs_err volume_open_on(struct dvk *admin, struct dvk *dvk, const char *text, uint32_t timeout_ms,
		       struct volume_disk *disk, char why[VOLUME_WHY_MAX + 1])
{
	struct opening opening;
	dvs_err err = opening_begin(&opening, text, timeout_ms, why);

	return err == DVS_OK ? open_on(&opening, admin, dvk, disk) : err;
}

dvs_err volume_open(const char *run_dir, const char *text, uint32_t timeout_ms,
		    struct volume_disk *disk, char why[VOLUME_WHY_MAX + 1])
{
	struct opening opening;
	struct volume *volume = NULL;
	struct dvk *admin = NULL;
	struct dvk *dvk = NULL;
	dvs_err err = opening_begin(&opening, text, timeout_ms, why);

	*disk = (struct volume_disk){ .dvk = NULL };
	if (err == DVS_OK)
		err = link_up(&opening, run_dir, &admin);
	/* First whether there is such a DC: that its socket is not there says less. */
	if (err == DVS_OK) {
		volume = malloc(sizeof(*volume));
		err = volume ? look_up(&opening, admin, volume) : DVS_NOMEM;
	}
	free(volume);
	if (err == DVS_OK)
		err = entered(&opening, volume_dc_open(run_dir, opening.dc, &dvk));
	if (err == DVS_OK)
		err = open_on(&opening, admin, dvk, disk);
	if (err != DVS_OK) {
		dvk_close(dvk);
		disk->dvk = NULL;
	}
	dvk_close(admin);
	return err;
}

dvs_err volume_open_thread(const struct volume_disk *disk, struct volume_disk *mine)
{
	*mine = *disk;
	mine->self = NULL;
	return dvk_bind(disk->dvk, dvs_ep_any(), DVK_LOCAL, &mine->self);
}

void volume_close_thread(struct volume_disk *disk)
{
	dvk_unbind(disk->self);
	disk->self = NULL;
}

void volume_close(struct volume_disk *disk)
{
	volume_close_thread(disk);
	dvk_close(disk->dvk);
	disk->dvk = NULL;
}
