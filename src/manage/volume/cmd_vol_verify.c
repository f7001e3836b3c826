/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol verify: compare the replicas while the volume is in use. */
#include "manage/volume/volumes.h"
#include "manage/volume/watch.h"

enum verify { VERIFY_NEVER = 0, VERIFY_RUNS = 1, VERIFY_DONE = 2, VERIFY_STOPPED = 3 };

static dvs_err control(struct vol *vol, bool start, bool repair)
{
	struct vdd_verify_req request = { .start = start, .repair = repair };

	return vdd_call_verify(vol->disk.self, vol->disk.server, &request, NULL, NULL, 0, NULL, 0,
			       NULL, VOL_ANSWER_MS);
}

/* The error that ended it; OK: it has come to an end, or somebody pressed Ctrl-C. A promotion passes, and ends the comparison: the new primary knows of none. */
static dvs_err follow(struct vol *vol, struct watch *watch)
{
	for (;;) {
		dvs_err err = vol_status(vol, VOL_ANSWER_MS);

		if (err != DVS_OK && !vol_is_passing(err))
			return err;
		if (err == DVS_OK && vol->status.verify_state != VERIFY_RUNS)
			return DVS_OK;
		if (err == DVS_OK)
			watch_bytes(watch, vol->status.verify_done_bytes,
				    vol->status.verify_total_bytes, 0, 0);
		else
			watch_text(watch, "waits for the primary");
		if (!watch_pause(watch))
			return DVS_OK;
	}
}

static int tell(struct vol *vol, bool repair)
{
	const struct vdd_status_rep *status = &vol->status;
	int result = cli_result(vol->cli, vol->text,
				json_pack("{s:s, s:I, s:I, s:I}", "name", vol->text, "bytes",
					  (json_int_t)status->verify_done_bytes, "differs",
					  (json_int_t)status->verify_differs, "repaired",
					  (json_int_t)status->verify_repaired));

	if (result != EXIT_DONE || status->verify_differs == 0)
		return result;
	if (repair && status->verify_repaired >= status->verify_differs) {
		cli_note(vol->cli, "verify volume %s: %llu chunks differed and were repaired",
			 vol->text, (unsigned long long)status->verify_differs);
		return EXIT_DONE;
	}
	return vol_note(vol, "%llu chunks differ between its replicas; %s",
			(unsigned long long)(status->verify_differs - status->verify_repaired),
			repair ? "they could not be repaired, see the logs of its nodes" :
				 "'--repair' sends them anew from the primary");
}

static int start(struct vol *vol, bool repair)
{
	dvs_err err = control(vol, true, repair);

	if (err == DVS_BADSTATE)
		return vol_note(vol,
				"its replicas are being compared already; 'dvs vol inspect %s' "
				"tells how far it is",
				vol->text);
	return err == DVS_OK ? EXIT_DONE : vol_fail(vol, err);
}

static int verify(struct vol *vol)
{
	bool repair = cli_has(vol->cli, OPTION_REPAIR);
	char title[DVS_NAME_MAX + VOLUME_NAME_MAX + 32];
	struct watch watch;
	dvs_err err;
	int status = vol_reach(vol);

	if (status == EXIT_DONE)
		status = start(vol, repair);
	if (status != EXIT_DONE)
		return status;
	if (cli_has(vol->cli, OPTION_DETACH))
		return cli_result(vol->cli, vol->text, json_pack("{s:s}", "name", vol->text));
	snprintf(title, sizeof(title), "verify volume %s", vol->text);
	if (!watch_begin(&watch, vol->cli, title))
		return EXIT_FAILED;
	err = follow(vol, &watch);
	if (watch.is_ended)
		err = control(vol, false, false);
	watch_end(&watch);
	if (watch.is_ended) {
		vol_note(vol, "interrupted");
		return 130;
	}
	if (err != DVS_OK)
		return vol_fail_reach(vol, err);
	if (vol->status.verify_state != VERIFY_DONE)
		return vol_note(vol, "it was stopped before its end; start it again");
	return tell(vol, repair);
}

int cmd_vol_verify(struct cli *cli)
{
	return vol_with(cli, cli->words[0], "verify", VOL_VOLUME, verify);
}
