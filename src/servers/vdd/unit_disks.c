/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a unit: they are opened, looked after, and closed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dvs/container.h>

#include "client/record.h"
#include "servers/vdd/job.h"

static const struct log *log_of(const struct unit *unit)
{
	return &unit->process->log;
}

/* A record says why this node cannot have its replica, for 'dvs vol ls'. Nothing is lost when it cannot be written. */
static void tell_why(const struct unit *unit, const char *why)
{
	const struct process *process = unit->process;
	char key[DVS_NAME_MAX + 1];
	dvs_err err;

	(void)snprintf(key, sizeof(key), "volume-why/%s/%u", unit->volume.id,
		       process->options.node);
	err = record_tell(process->admin, process->options.dc, key, why);
	if (err && err != DVS_NOTFOUND)
		log_debug(log_of(unit), "cannot tell how a replica is",
			  LOG_STR("volume", unit->volume.name), LOG_STR("why", dvs_strerror(err)));
}

/* What another volume left under this name is kept until that happens once more, for whoever finds that it was no mistake to have it. */
static bool set_aside(const struct unit *unit)
{
	const struct process_options *options = &unit->process->options;
	char path[sizeof(unit->dir) + 16];

	(void)snprintf(path, sizeof(path), "%s/volumes/%s/.former-%s", options->lib_dir,
		       options->dc, unit->volume.name);
	(void)!disks_destroy(path);
	if (rename(unit->dir, path) != 0)
		return false;
	log_warning(log_of(unit), "what a former volume of that name had is set aside",
		    LOG_STR("volume", unit->volume.name), LOG_STR("dir", path));
	return true;
}

dvs_err unit_disks_open(struct unit *unit)
{
	static const enum disk_store stores[] = { [VOLUME_RAM] = DISK_RAM,
						  [VOLUME_FILE] = DISK_FILE,
						  [VOLUME_RAW] = DISK_RAW,
						  [VOLUME_NBD] = DISK_NBD };
	const struct volume_replica *own =
		volume_replica_on(&unit->volume, unit->process->options.node);
	struct disks_config config = { .dir = unit->dir,
				       .store = stores[unit->volume.store],
				       .place = own && own->place[0] ? own->place : NULL,
				       .direct = unit->volume.direct,
				       .bytes = unit->volume.bytes,
				       .poster = posts_poster(&unit->posts) };
	char why[DISK_WHY_MAX + 1] = "";
	dvs_err err;

	memcpy(config.id, unit->volume.id, sizeof(config.id));
	err = disks_open(&config, &unit->disks, &unit->is_empty, why);
	/* A volume of this name was removed while this node was away. */
	if (err == DVS_EXISTS && set_aside(unit))
		err = disks_open(&config, &unit->disks, &unit->is_empty, why);
	if (!err) {
		tell_why(unit, NULL);
		return DVS_OK;
	}
	if (!why[0])
		(void)snprintf(why, sizeof(why), "%s", dvs_strerror(err));
	log_error(log_of(unit), "a replica cannot be opened", LOG_STR("volume", unit->volume.name),
		  LOG_STR("why", why));
	tell_why(unit, why);
	return err;
}

void unit_disks_close(struct unit *unit)
{
	if (unit->n_jobs || unit->n_behind) {
		/* A disk does not answer. Its memory cannot be freed under it; the next process begins without it. */
		log_error(log_of(unit), "a disk does not answer; this server ends",
			  LOG_STR("volume", unit->volume.name));
		_exit(EXIT_FAILURE);
	}
	disks_close(unit->disks);
	jobs_free(unit);
}

/* Who is not a member, as its primary says, is not needed as it is. */
static bool is_joining(const struct unit *unit)
{
	uint64_t members = replica_members(unit->replica);

	return replica_role(unit->replica) == REPLICA_JOINING && members &&
	       !(members >> unit->process->options.node & 1);
}

bool unit_disks_are_fit(struct unit *unit)
{
	dvs_err err;

	if (!disks_are_broken(unit->disks) || !is_joining(unit))
		return true;
	err = disks_set_current(unit->disks, false);
	if (err) {
		log_warning(log_of(unit),
			    "the store of a replica cannot be written; it is tried again",
			    LOG_STR("volume", unit->volume.name),
			    LOG_STR("why", dvs_strerror(err)));
		return true;
	}
	log_warning(log_of(unit),
		    "a flush of a replica's store has failed; it is opened anew, and compared as a "
		    "whole",
		    LOG_STR("volume", unit->volume.name));
	return false;
}

/* Another member may have it still, and says so soon. */
#define LOST_LOOKS 3u

void unit_disks_look_lost(struct unit *unit)
{
	bool is_counted_on = replica_members(unit->replica) >> unit->process->options.node & 1;

	if (!unit->is_empty || !is_counted_on || replica_role(unit->replica) != REPLICA_ABSENT) {
		if (unit->n_lost_looks >= LOST_LOOKS)
			tell_why(unit, NULL);
		unit->n_lost_looks = 0;
		return;
	}
	if (++unit->n_lost_looks != LOST_LOOKS)
		return;
	log_error(log_of(unit), "what a replica had is gone, and nobody else may be the primary",
		  LOG_STR("volume", unit->volume.name));
	tell_why(unit,
		 unit->volume.store == VOLUME_RAM ?
			 "what it had was in memory and is gone; 'dvs vol promote --lost-data' "
			 "begins anew with what a node has" :
			 "what it had is gone; 'dvs vol promote --lost-data' begins anew with "
			 "what a node has");
}
