/* SPDX-License-Identifier: Apache-2.0 */
/* Opening by name: the record of the file system tells the endpoint of its server. */
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "client/fs_client_internal.h"
#include "client/fs_record.h"
#include "client/volume.h"

static PRINTF_LIKE(3, 4) dvs_err fail(char *why, dvs_err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, FSC_WHY_MAX + 1, format, args);
	va_end(args);
	return err;
}

static dvs_err look_up(const char *run_dir, const char *dc, const char *name,
		       struct fs_record *record, char *why)
{
	struct dvk *admin = NULL;
	dvs_err err = dvk_admin_open(run_dir, &admin);

	if (err == DVS_DENIED)
		return fail(why, err,
			    "only root and the user who runs dvsd may open file systems by name");
	if (err)
		return fail(why, err, "dvsd: %s", dvs_strerror(err));
	err = fs_record_get(admin, dc, name, record, NULL);
	dvk_close(admin);
	if (err == DVS_NODC)
		return fail(why, err, "there is no DC %s; see 'dvs dc ls'", dc);
	if (err == DVS_NOTFOUND)
		return fail(why, err, "the DC %s has no file system %s; see 'dvs fs ls %s'", dc,
			    name, dc);
	if (err)
		return fail(why, err, "the record of file system %s: %s", name, dvs_strerror(err));
	return DVS_OK;
}

dvs_err fsc_open(const char *run_dir, const char *dc, const char *name,
		 const struct fsc_config *config, struct fsc **out, char why[FSC_WHY_MAX + 1])
{
	struct fs_record record = { .n_nodes = 0 };
	struct dvk *dvk = NULL;
	dvs_err err = look_up(run_dir, dc, name, &record, why);

	if (err)
		return err;
	err = volume_dc_open(run_dir, dc, &dvk);
	if (err)
		return fail(why, err, "entering the DC %s: %s", dc, dvs_strerror(err));
	err = dvk_wait_bind(dvk, dvs_ep_of(record.endpoint), config->open_ms, NULL);
	if (!err)
		err = fsc_open_on(dvk, dvs_ep_of(record.endpoint), config, out);
	if (err) {
		dvk_close(dvk);
		return fail(why, err == DVS_TIMEOUT ? DVS_NODEST : err,
			    "the server of file system %s: %s", name, dvs_strerror(err));
	}
	(*out)->owns_dvk = true;
	return DVS_OK;
}
