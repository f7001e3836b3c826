/* SPDX-License-Identifier: Apache-2.0 */
#include "container/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "container/doctor_internal.h"
#include "container/why.h"

void doctor_say(const struct doctor *doctor, const char *what, enum doctor_state state,
		const char *disables, const char *cure, const char *found, ...)
{
	struct doctor_finding finding = { .state = state };
	char text[sizeof(finding.found)];
	va_list values;

	va_start(values, found);
	(void)vsnprintf(text, sizeof(text), found, values);
	va_end(values);
	why_printable(text, strlen(text), finding.found, sizeof(finding.found));
	(void)snprintf(finding.what, sizeof(finding.what), "%s", what);
	if (state != DOCTOR_GOOD) {
		(void)snprintf(finding.disables, sizeof(finding.disables), "%s", disables);
		(void)snprintf(finding.cure, sizeof(finding.cure), "%s", cure);
	}
	doctor->found(doctor->context, &finding);
}

static void await(pid_t child, int *status)
{
	while (waitpid(child, status, 0) < 0 && errno == EINTR)
		;
}

int doctor_try(int (*try)(void *argument, char *text), void *argument, char *text)
{
	char own[DOCTOR_TEXT_MAX] = "";
	int ends[2], status = 0;
	ssize_t got;
	pid_t child;

	text[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) != 0)
		return errno;
	child = fork();
	if (child == 0) {
		status = try(argument, own);
		_exit(write(ends[1], own, strlen(own)) < 0 ? EIO : status);
	}
	close(ends[1]);
	got = child > 0 ? read(ends[0], own, sizeof(own) - 1) : 0;
	close(ends[0]);
	if (child < 0)
		return EAGAIN;
	await(child, &status);
	why_printable(own, got > 0 ? (size_t)got : 0, text, DOCTOR_TEXT_MAX);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static _Noreturn void be_program(const char *const argv[], int out)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)dup2(null, STDIN_FILENO);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(out, STDERR_FILENO);
	/* execvp() takes strings that it could change, and does not. */
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

int doctor_capture(const char *const argv[], uint32_t timeout_ms, char *text, size_t size)
{
	uint64_t deadline_ns = clock_deadline_ns(timeout_ms * CLOCK_NS_PER_MS);
	char raw[4096];
	int ends[2], status = 0;
	size_t len = 0;
	ssize_t got = 1;
	pid_t child;

	text[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	child = fork();
	if (child == 0)
		be_program(argv, ends[1]);
	close(ends[1]);
	while (child > 0 && got > 0 && len < sizeof(raw)) {
		struct pollfd poll_fd = { .fd = ends[0], .events = POLLIN };

		if (poll(&poll_fd, 1, clock_poll_ms(deadline_ns)) <= 0)
			break;
		got = read(ends[0], raw + len, sizeof(raw) - len);
		len += got > 0 ? (size_t)got : 0;
	}
	close(ends[0]);
	if (child < 0)
		return -1;
	if (clock_is_past(deadline_ns))
		(void)kill(child, SIGKILL);
	await(child, &status);
	while (len > 0 && raw[len - 1] == '\n')
		len--;
	for (size_t i = 0; i < len; i++) {
		if (raw[i] == '\n')
			raw[i] = ' ';
	}
	why_printable(raw, len, text, size);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool doctor_version(const char *text, unsigned long *major, unsigned long *minor)
{
	const char *digits = strpbrk(text, "0123456789");
	char *end;

	if (!digits)
		return false;
	*major = strtoul(digits, &end, 10);
	if (*end != '.')
		return false;
	*minor = strtoul(end + 1, NULL, 10);
	return true;
}

static void read_config(struct doctor *doctor)
{
	const char *path = doctor->where->config ? doctor->where->config : CONFIG_FILE_DEFAULT;

	config_defaults(doctor->config);
	if (!doctor->where->config && access(path, F_OK) != 0)
		return;
	if (config_read(path, doctor->config, doctor->config_why, sizeof(doctor->config_why)) !=
	    DVS_OK)
		config_defaults(doctor->config);
}

void doctor_run(const struct doctor_where *where,
		void (*found)(void *context, const struct doctor_finding *finding), void *context)
{
	AUTO_FREE struct config *config = calloc(1, sizeof(*config));
	struct doctor doctor = {
		.where = where, .config = config, .found = found, .context = context
	};

	if (!config)
		return;
	read_config(&doctor);
	doctor_kernel(&doctor);
	doctor_rights(&doctor);
	doctor_namespaces(&doctor);
	doctor_cgroups(&doctor);
	doctor_seccomp(&doctor);
	doctor_files(&doctor);
	doctor_container(&doctor);
	doctor_programs(&doctor);
	doctor_volumes(&doctor);
	doctor_limits(&doctor);
	doctor_clock(&doctor);
	doctor_ports(&doctor);
}
