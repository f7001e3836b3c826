/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

dvs_err pidfile_open(const char *path, struct pidfile *pidfile, char why[PIDFILE_WHY_MAX + 1])
{
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	/* One of the process, so that who asks for the lock learns whose it is. */
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[24];
	int len = snprintf(text, sizeof(text), "%d\n", getpid());

	if (fd < 0 || fcntl(fd, F_SETLK, &lock) || ftruncate(fd, 0) ||
	    write(fd, text, (size_t)len) != len) {
		int error = errno;
		bool is_held = error == EAGAIN || error == EACCES;

		if (fd >= 0 && is_held) {
			(void)snprintf(why, PIDFILE_WHY_MAX + 1, "%.180s: another process holds it",
				       path);
			return DVS_INUSE;
		}
		(void)snprintf(why, PIDFILE_WHY_MAX + 1, "%.180s: %.60s", path, strerror(error));
		return dvs_from_errno(error);
	}
	pidfile->fd = take_fd(&fd);
	pidfile->path = path;
	return DVS_OK;
}

void pidfile_close(struct pidfile *pidfile)
{
	if (pidfile->fd < 0)
		return;
	(void)unlink(pidfile->path);
	close(pidfile->fd);
	pidfile->fd = -1;
}
