/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/described.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/* It goes with the directory of the container. */
static void path_of(const struct agent *agent, const char *dc, const char *end, char path[256])
{
	(void)snprintf(path, 256, "%s/containers/%s/described%s", agent->options.run_dir, dc, end);
}

dvs_err described_save(const struct agent *agent, const char *dc, const void *text, size_t len)
{
	char path[256], new_path[256];
	AUTO_CLOSE int fd = -1;

	path_of(agent, dc, "", path);
	path_of(agent, dc, ".new", new_path);
	fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text, len) != (ssize_t)len || rename(new_path, path) != 0)
		return dvs_from_errno(errno);
	return DVS_OK;
}

dvs_err described_load(const struct agent *agent, const char *dc, struct description *description)
{
	char path[256], why[DESCRIPTION_TEXT_MAX];
	char text[DVK_VALUE_MAX];
	AUTO_CLOSE int fd = -1;
	ssize_t n;

	path_of(agent, dc, "", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return dvs_from_errno(errno);
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return dvs_from_errno(errno);
	return description_parse(text, (size_t)n, description, why);
}
