/* SPDX-License-Identifier: Apache-2.0 */
/* Resources that free themselves when their variable goes out of scope.
 *
 *	AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
 *	...
 *	image->fd = take_fd(&fd);	(the image owns it now)
 *
 * Moving a resource out is visible at the place where it happens: take_fd() and
 * TAKE_PTR() leave "nothing" behind, so that the clean-up finds nothing to do. */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

#define AUTO_CLOSE __attribute__((cleanup(cleanup_close)))
#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_FCLOSE __attribute__((cleanup(cleanup_fclose)))
#define AUTO_CLOSEDIR __attribute__((cleanup(cleanup_closedir)))

/* Each of them keeps errno, because it runs between a failing call and the caller's
 * look at errno. */
static inline void cleanup_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

/* The argument is a pointer to the variable, of whatever pointer type. */
static inline void cleanup_free(void *variable)
{
	int saved = errno;
	void *pointer;

	/* memcpy, because the variable may be a pointer to anything. */
	memcpy(&pointer, variable, sizeof(pointer));
	free(pointer);
	errno = saved;
}

static inline void cleanup_fclose(FILE **file)
{
	int saved = errno;

	if (*file)
		fclose(*file);
	*file = NULL;
	errno = saved;
}

static inline void cleanup_closedir(DIR **dir)
{
	int saved = errno;

	if (*dir)
		closedir(*dir);
	*dir = NULL;
	errno = saved;
}

/* The descriptor in *FD, which then holds none. */
MUST_USE static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* The pointer in VARIABLE, which then holds NULL. */
#define TAKE_PTR(variable)                                \
	__extension__({                                   \
		__typeof__(variable) taken_ = (variable); \
		(variable) = NULL;                        \
		taken_;                                   \
	})

#endif
