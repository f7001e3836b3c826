/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "servers/fs/medium_internal.h"

void medium_why(char *why, const char *format, ...)
{
	va_list args;

	if (!why)
		return;
	va_start(args, format);
	(void)vsnprintf(why, MEDIUM_WHY_MAX + 1, format, args);
	va_end(args);
}
