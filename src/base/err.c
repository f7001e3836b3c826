/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stddef.h>

#include "base/compiler.h"

struct err_row {
	dvs_err err;
	const char *name;
	const char *text;
	const char *hint;
	int errno_value;
};

static const struct err_row err_rows[] = {
#define X(name, number, text, hint, errno_value) { DVS_##name, #name, text, hint, errno_value },
#include <dvs/errors.def>
#undef X
};

/* What somebody gets who passes a number that was never an error. */
static const struct err_row err_unknown = { DVS_IO, "UNKNOWN", "an unknown error", "", EIO };

static const struct err_row *err_find(dvs_err err)
{
	for (size_t i = 0; i < ARRAY_LEN(err_rows); i++) {
		if (err_rows[i].err == err)
			return &err_rows[i];
	}
	return &err_unknown;
}

const char *dvs_strerror(dvs_err err)
{
	return err_find(err)->text;
}

const char *dvs_err_hint(dvs_err err)
{
	return err_find(err)->hint;
}

const char *dvs_err_name(dvs_err err)
{
	return err_find(err)->name;
}

int dvs_err_errno(dvs_err err)
{
	return err_find(err)->errno_value;
}

dvs_err dvs_err_from_number(unsigned int number)
{
	for (size_t i = 0; i < ARRAY_LEN(err_rows); i++) {
		if ((unsigned int)err_rows[i].err == number)
			return err_rows[i].err;
	}
	return DVS_PROTO;
}

/* Not the table above read backwards: several causes share an error, and some errors of
 * ours give gateways an errno that means something else in a system call. */
dvs_err dvs_from_errno(int errno_value)
{
	static const struct {
		int errno_value;
		dvs_err err;
	} rows[] = {
		{ EPERM, DVS_DENIED },	      { EACCES, DVS_DENIED },
		{ ENOMEM, DVS_NOMEM },	      { ESRCH, DVS_NOPROC },
		{ EEXIST, DVS_EXISTS },	      { EINVAL, DVS_BADARG },
		{ EMFILE, DVS_FULL },	      { ENFILE, DVS_FULL },
		{ ENOSPC, DVS_FULL },	      { EDQUOT, DVS_FULL },
		{ EMSGSIZE, DVS_TOOBIG },     { E2BIG, DVS_TOOBIG },
		{ EPIPE, DVS_PEERDEAD },      { EFAULT, DVS_FAULT },
		{ ECONNRESET, DVS_PEERDEAD }, { ETIMEDOUT, DVS_TIMEOUT },
		{ EAGAIN, DVS_TIMEOUT },      { EADDRINUSE, DVS_INUSE },
		{ ECONNREFUSED, DVS_NODVSD },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].errno_value == errno_value)
			return rows[i].err;
	}
	return DVS_IO;
}
