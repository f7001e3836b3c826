/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "container/internal.h"

PRINTF_LIKE(2, 0)
static void say(char *why, const char *format, va_list args)
{
	(void)vsnprintf(why, DESCRIPTION_TEXT_MAX, format, args);
}

dvs_err why_say(char *why, dvs_err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(why, format, args);
	va_end(args);
	return err;
}

dvs_err why_errno(char *why, int errno_value, const char *format, ...)
{
	va_list args;
	size_t len;

	va_start(args, format);
	say(why, format, args);
	va_end(args);
	len = strlen(why);
	(void)snprintf(why + len, DESCRIPTION_TEXT_MAX - len, ": %s", strerror(errno_value));
	return dvs_from_errno(errno_value);
}
